/*
 * Random operations on an image by several threads, held against a model in memory, with crashes:
 * at random moments, in the middle of it all, a command kills whoever serves the image, another one
 * brings it back, and what is there must be what the last fsync made safe, or newer.
 *
 *     model_io --image FILE --begin FILE --operations N [options]
 *
 * --begin is what the image holds at first. Exit status: 0 all is as the model says, 1 it is not,
 * 2 usage or environment. The seed is printed; with the same one, the same operations are chosen.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/units.h"
#include "tests/support/model_io/run.h"

static const char usage_text[] =
        "usage: model_io --image FILE --begin FILE --operations N [options]\n"
        "  --region-size SIZE   where operations like to begin and end (64K)\n"
        "  --threads N          8\n"
        "  --seed N             from the clock\n"
        "  --crash-every N      operations between crashes, on average; 0: none (0)\n"
        "  --kill COMMAND       what a crash is\n"
        "  --mount COMMAND      and how the image comes back\n"
        "  --compare-all        after a crash look at everything, not at samples\n"
        "  --weight NAME=N      how often: read read_direct read_mapped write write_direct\n"
        "                       write_mapped write_regions punch zero sync\n"
        "  --save FILE          in the end, what the image must hold\n";

static const unsigned int default_weights[NR_OPERATIONS] = {
        [OPERATION_READ] = 34,         [OPERATION_READ_DIRECT] = 6,  [OPERATION_READ_MAPPED] = 4,
        [OPERATION_WRITE] = 34,        [OPERATION_WRITE_DIRECT] = 6, [OPERATION_WRITE_MAPPED] = 2,
        [OPERATION_WRITE_REGIONS] = 2, [OPERATION_PUNCH] = 2,        [OPERATION_ZERO] = 2,
        [OPERATION_SYNC] = 4,
};

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static bool parse_weight(char *text, struct run_options *options)
{
	char *equals = strchr(text, '=');
	uint64_t weight;
	int kind;

	if (!equals || !parse_number(equals + 1, &weight) || weight > 1000000)
		return false;
	*equals = '\0';
	kind = operation_find(text);
	if (kind < 0)
		return false;
	options->weights[kind] = (unsigned int)weight;
	return true;
}

static bool parse_option(int option, char *value, struct run_options *options)
{
	uint64_t number = 0;
	bool is_number = value && parse_number(value, &number);

	switch (option) {
	case 'i':
		options->image = value;
		return true;
	case 'b':
		options->begin = value;
		return true;
	case 'k':
		options->kill = value;
		return true;
	case 'm':
		options->mount = value;
		return true;
	case 'S':
		options->save = value;
		return true;
	case 'a':
		options->compare_all = true;
		return true;
	case 'r':
		return parse_size(value, &options->region_size) == 0;
	case 'w':
		return parse_weight(value, options);
	case 'o':
		options->operations = number;
		return is_number;
	case 't':
		options->threads = (unsigned int)number;
		return is_number && number > 0 && number <= 256;
	case 's':
		options->seed = number;
		return is_number;
	case 'c':
		options->crash_every = number;
		return is_number;
	default:
		return false;
	}
}

static bool parse_options(int argc, char **argv, struct run_options *options)
{
	static const struct option table[] = {
	        {"image", required_argument, NULL, 'i'},
	        {"begin", required_argument, NULL, 'b'},
	        {"kill", required_argument, NULL, 'k'},
	        {"mount", required_argument, NULL, 'm'},
	        {"save", required_argument, NULL, 'S'},
	        {"region-size", required_argument, NULL, 'r'},
	        {"weight", required_argument, NULL, 'w'},
	        {"operations", required_argument, NULL, 'o'},
	        {"threads", required_argument, NULL, 't'},
	        {"compare-all", no_argument, NULL, 'a'},
	        {"seed", required_argument, NULL, 's'},
	        {"crash-every", required_argument, NULL, 'c'},
	        {0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (option == '?' || !parse_option(option, optarg, options))
			return false;
	return optind == argc && options->image && options->begin && options->operations &&
	       (!options->crash_every || (options->kill && options->mount));
}

int main(int argc, char **argv)
{
	struct run_options options = {
	        .region_size = 65536, .threads = 8, .seed = (uint64_t)time(NULL)};

	memcpy(options.weights, default_weights, sizeof(default_weights));
	if (!parse_options(argc, argv, &options)) {
		(void)fputs(usage_text, stderr);
		return 2;
	}
	(void)fprintf(stderr, "model_io: seed %" PRIu64 "\n", options.seed);
	return run(&options);
}
