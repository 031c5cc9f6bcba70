/*
 * The crash simulator: worlds (world.h), one after the other, each from its seed, until so many
 * states after power cuts were opened and checked. Ends with status 1 at the first finding, and
 * says the seed that repeats it exactly.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/crash/cut.h"
#include "tests/crash/world.h"

#define PARTS 2 /* power cuts that one world goes on after, and one */
#define LIVES 3 /* most opens in one part */

struct options {
	uint64_t first_seed, nr_seeds, nr_states;
	bool expect_finding;
	bool verbose;
};

static void usage(void)
{
	(void)fprintf(stderr, "usage: crash_simulator [--first SEED] [--states N] [--seed SEED] "
	                      "[--forever] [--expect-finding] [--verbose]\n");
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text)
		usage();
	return value;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
	        {"first", required_argument, NULL, 'f'},
	        {"states", required_argument, NULL, 'n'},
	        {"seed", required_argument, NULL, 's'},
	        {"forever", no_argument, NULL, 'e'},
	        {"expect-finding", no_argument, NULL, 'x'},
	        {"verbose", no_argument, NULL, 'v'},
	        {NULL, 0, NULL, 0},
	};
	struct options options = {.first_seed = 1, .nr_seeds = UINT64_MAX, .nr_states = 25000};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'f':
			options.first_seed = number(optarg);
			break;
		case 'n':
			options.nr_states = number(optarg);
			break;
		case 's':
			options.first_seed = number(optarg);
			options.nr_seeds = 1;
			break;
		case 'e':
			options.nr_states = UINT64_MAX;
			break;
		case 'x':
			options.expect_finding = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	return options;
}

static void one_world(uint64_t seed, struct cut_figures *figures, bool verbose)
{
	struct world *world = world_new(seed);
	uint64_t before = figures->nr_states;

	for (unsigned int part = 0; part < PARTS; part++) {
		uint64_t nr_lives = 1 + random_below(&world->random, LIVES);

		for (uint64_t life = 0; life < nr_lives; life++)
			(void)world_live(world);
		if (verbose)
			(void)printf("seed %" PRIu64 ": %zu records, %" PRIu64 " changes, %" PRIu64
			             " reads, %" PRIu64 " fsyncs\n",
			             seed, world->disks.nr_records, world->nr_changes,
			             world->nr_reads, world->nr_flushes);
		cut_everywhere(world, figures);
	}
	if (verbose)
		(void)printf("seed %" PRIu64 ": %" PRIu64 " states\n", seed,
		             figures->nr_states - before);
	world_free(world);
}

int main(int argc, char **argv)
{
	const struct options options = parse(argc, argv);
	struct cut_figures figures = {0};
	uint64_t seed = options.first_seed;
	double seconds;

	if (options.expect_finding)
		world_expect_finding();
	while (figures.nr_states < options.nr_states &&
	       seed - options.first_seed < options.nr_seeds)
		one_world(seed++, &figures, options.verbose);
	seconds = (double)clock() / CLOCKS_PER_SEC;
	(void)printf("%" PRIu64 " states of %" PRIu64 " cuts in %" PRIu64 " worlds, seeds %" PRIu64
	             " to %" PRIu64 ": nothing found; %.1f s of CPU, %.0f states a second\n",
	             figures.nr_states, figures.nr_cuts, seed - options.first_seed,
	             options.first_seed, seed - 1, seconds,
	             (double)figures.nr_states / (seconds > 0 ? seconds : 1));
	return options.expect_finding ? 1 : 0;
}
