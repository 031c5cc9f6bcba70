#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/metadata_file.h"
#include "cli/output.h"
#include "core/control/json_text.h"
#include "core/metadata/metadata.h"

struct range {
	uint64_t first, last; /* regions, both included */
};

struct dump {
	struct metadata_info info;
	uint64_t nr_regions;
	uint64_t nr_hydrated;
	uint64_t blocks_used, blocks_total;
	struct range *ranges; /* owned */
	size_t nr_ranges, room;
};

static int add_range(struct dump *dump, uint64_t first, uint64_t last, struct cf_error *err)
{
	if (dump->nr_ranges == dump->room) {
		size_t room = dump->room ? 2 * dump->room : 64;
		struct range *ranges = reallocarray(dump->ranges, room, sizeof(*ranges));

		if (!ranges)
			return cf_error_set(err, -ENOMEM, "no memory for so many ranges");
		dump->ranges = ranges;
		dump->room = room;
	}
	dump->ranges[dump->nr_ranges++] = (struct range){first, last};
	return 0;
}

static int collect(struct metadata *md, struct dump *dump, struct cf_error *err)
{
	uint64_t region = 0;
	int r = 0;

	dump->nr_regions = metadata_nr_regions(md);
	dump->nr_hydrated = metadata_nr_committed(md);
	metadata_usage(md, &dump->blocks_used, &dump->blocks_total);
	dump->nr_ranges = 0;
	while (r == 0) {
		uint64_t first = metadata_find_next_hydrated(md, region);

		if (first >= dump->nr_regions)
			break;
		region = metadata_find_next_unhydrated(md, first);
		r = add_range(dump, first, region - 1, err);
	}
	return r;
}

static int dump_once(struct block_io *io, void *user, struct cf_error *err)
{
	struct dump *dump = user;
	struct metadata *md;
	int r;

	r = metadata_read_superblock(io, &dump->info, err);
	if (r < 0)
		return r;
	if (dump->info.is_zero)
		return cf_error_set(err, -EPERM, "it begins with zeros: not formatted");
	r = metadata_open(io,
	                  &(struct metadata_params){.target_sectors = dump->info.target_sectors,
	                                            .region_sectors = dump->info.region_sectors,
	                                            .mode = METADATA_EXISTING},
	                  &md, err);
	if (r < 0)
		return r;
	r = collect(md, dump, err);
	metadata_close(md);
	return r;
}

static json_t *ranges_to_json(const struct dump *dump)
{
	json_t *array = json_array();
	int failed = array ? 0 : -1;

	for (size_t i = 0; !failed && i < dump->nr_ranges; i++)
		failed = json_array_append_new(array, json_pack("[o, o]",
		                                                json_count(dump->ranges[i].first),
		                                                json_count(dump->ranges[i].last)));
	if (failed) {
		json_decref(array);
		return NULL;
	}
	return array;
}

static bool print_json(const struct dump *dump)
{
	json_t *object = json_pack(
	        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "nr_regions", json_count(dump->nr_regions),
	        "region_size", json_count(dump->info.region_sectors), "target_size",
	        json_count(dump->info.target_sectors), "hydrated", json_count(dump->nr_hydrated),
	        "hydrated_ranges", ranges_to_json(dump), "metadata_blocks_used",
	        json_count(dump->blocks_used), "metadata_blocks_total",
	        json_count(dump->blocks_total));

	if (!object) {
		output_error("no memory");
		return false;
	}
	output_json(object);
	json_decref(object);
	return true;
}

static void print_text(const struct dump *dump)
{
	(void)printf("regions          %" PRIu64 " of %" PRIu64 " sectors\n", dump->nr_regions,
	             dump->info.region_sectors);
	(void)printf("target size      %" PRIu64 " sectors\n", dump->info.target_sectors);
	(void)printf("hydrated         %" PRIu64 " (%.1f %%)\n", dump->nr_hydrated,
	             output_percent(dump->nr_hydrated, dump->nr_regions));
	(void)printf("metadata blocks  %" PRIu64 " of %" PRIu64 " used\n", dump->blocks_used,
	             dump->blocks_total);
	for (size_t i = 0; i < dump->nr_ranges; i++)
		(void)printf("%s %" PRIu64 "-%" PRIu64 "\n",
		             i ? "                " : "hydrated ranges ", dump->ranges[i].first,
		             dump->ranges[i].last);
}

static enum exit_status run_dump(const struct arguments *args)
{
	enum exit_status status = EXIT_STATUS_DONE;
	struct dump dump = {0};
	struct cf_error err;

	if (metadata_file_read(args->words[0], dump_once, &dump, &err) < 0) {
		output_error("%s", err.text);
		status = EXIT_STATUS_FAILED;
	} else if (args->json) {
		status = print_json(&dump) ? EXIT_STATUS_DONE : EXIT_STATUS_FAILED;
	} else {
		print_text(&dump);
	}
	free(dump.ranges);
	return status;
}

const struct command command_dump = {
        .name = "dump",
        .usage = "METADATA [--json]",
        .summary = "Show which regions a metadata file or device has as hydrated",
        .help = "Writes nothing. With --json: nr_regions, region_size and target_size in sectors "
                "of 512\nbytes, hydrated, hydrated_ranges (first and last region of each), "
                "metadata_blocks_used,\nmetadata_blocks_total.\n",
        .options = OPTION_JSON,
        .min_words = 1,
        .max_words = 1,
        .run = run_dump,
};
