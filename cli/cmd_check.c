#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/metadata_file.h"
#include "cli/output.h"
#include "core/control/json_text.h"
#include "core/metadata/check.h"

static int check_once(struct block_io *io, void *user, struct cf_error *err)
{
	struct metadata_findings *findings = user;

	metadata_findings_fini(findings);
	*findings = (struct metadata_findings){0};
	return metadata_check(io, findings, err);
}

static json_t *findings_to_json(const struct metadata_findings *findings)
{
	json_t *array = json_array();
	int failed = array ? 0 : -1;

	for (size_t i = 0; !failed && i < findings->nr; i++) {
		const struct metadata_finding *f = &findings->list[i];

		failed = json_array_append_new(
		        array, json_pack("{s:o, s:o, s:o, s:o}", "block", json_count(f->block),
		                         "what", json_text(f->what), "expected",
		                         json_text(f->expected), "found", json_text(f->found)));
	}
	if (failed) {
		json_decref(array);
		return NULL;
	}
	return json_pack("{s:b, s:o}", "clean", findings->nr_total == 0, "findings", array);
}

static bool print_json(const struct metadata_findings *findings)
{
	json_t *object = findings_to_json(findings);

	if (!object) {
		output_error("no memory");
		return false;
	}
	output_json(object);
	json_decref(object);
	return true;
}

static void print_text(const char *path, const struct metadata_findings *findings)
{
	if (findings->nr_total == 0) {
		(void)printf("%s: clean\n", path);
		return;
	}
	for (size_t i = 0; i < findings->nr; i++) {
		const struct metadata_finding *f = &findings->list[i];

		(void)printf("block %" PRIu64 ": %s: expected %s, found %s\n", f->block, f->what,
		             f->expected, f->found);
	}
	if (findings->nr_total > findings->nr)
		(void)printf("... and %" PRIu64 " more\n", findings->nr_total - findings->nr);
	(void)printf("%s: damaged\n", path);
}

static enum exit_status run_check(const struct arguments *args)
{
	const char *path = args->words[0];
	struct metadata_findings findings = {0};
	enum exit_status status = EXIT_STATUS_FAILED;
	struct cf_error err;

	if (metadata_file_read(path, check_once, &findings, &err) < 0) {
		output_error("%s", err.text);
	} else if (!args->json || print_json(&findings)) {
		if (!args->json)
			print_text(path, &findings);
		status = findings.nr_total ? EXIT_STATUS_FAILED : EXIT_STATUS_DONE;
	}
	metadata_findings_fini(&findings);
	return status;
}

const struct command command_check = {
        .name = "check",
        .usage = "METADATA [--json]",
        .summary = "Look for damage in a metadata file or device",
        .help = "Writes nothing. Exit status 0: clean, 1: damaged, or not to be read.\n",
        .options = OPTION_JSON,
        .min_words = 1,
        .max_words = 1,
        .run = run_check,
};
