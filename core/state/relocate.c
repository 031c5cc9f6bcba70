/* A clone whose source has moved: the only change that clone.json sees after its creation. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/state/state_internal.h"

int state_relocate(struct state *state, const struct source_identity *identity,
                   struct cf_error *err)
{
	const struct clone_config *before = state->config;
	struct clone_config *config = state->config;
	/* Shares what it points to with the old one, but for the URL. */
	struct clone_config after = *before;
	CF_AUTO_FREE char *url = strdup(state->source_url);
	int r;

	assert(identity->size == before->source.size);
	if (!url)
		return cf_error_errno(err, -ENOMEM, "%s/%s", state->dir, CLONE_JSON_FILE);
	after.source_url = url;
	memcpy(after.source_sha256, state->source_sha256, sizeof(after.source_sha256));
	after.source = *identity;
	r = clone_config_save(state->dir, &after, err);
	if (r < 0) {
		/* The new one may be there already, only not durable. */
		(void)clone_config_save(state->dir, before, NULL);
		return r;
	}
	free(config->source_url);
	*config = after;
	(void)cf_steal(&url);
	return 0;
}
