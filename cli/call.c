#include "cli/call.h"

#include <errno.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/target.h"

enum exit_status exit_status_of(int error)
{
	return error == 0         ? EXIT_STATUS_DONE
	       : error == -EINVAL ? EXIT_STATUS_USAGE
	                          : EXIT_STATUS_FAILED;
}

enum exit_status call_target(const char *target, const char *path, const struct json_t *body,
                             struct json_t **ret_object)
{
	struct target found;
	struct cf_error err;
	enum exit_status status;
	int r = target_resolve(target, &found, &err);

	status = exit_status_of(r);
	if (r == 0) {
		r = client_call(found.socket_path, path, body,
		                body ? CLIENT_SLOW_TIMEOUT_MS : CLIENT_TIMEOUT_MS, ret_object,
		                &err);
		status = r < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_DONE;
	}
	if (r < 0)
		output_error("%s", err.text);
	target_fini(&found);
	return status;
}

const char *target_word(const struct arguments *args)
{
	return args->nr_words ? args->words[0] : NULL;
}
