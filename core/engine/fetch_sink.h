/* Where the backend's bytes and outcomes arrive. */
#ifndef CLONEFS_ENGINE_FETCH_SINK_H
#define CLONEFS_ENGINE_FETCH_SINK_H

#include "core/engine/engine_internal.h"

extern const struct source_sink fetch_sink;

/* What the pieces of a fetch of @class are charged to when nobody waits for them. */
static inline enum budget_use fetch_sink_use(enum source_class class)
{
	switch (class) {
	case SOURCE_FOREGROUND:
		return BUDGET_FOREGROUND;
	case SOURCE_READAHEAD:
		return BUDGET_READAHEAD;
	case SOURCE_BACKGROUND:
		break;
	}
	return BUDGET_BACKGROUND;
}

/* Bytes at the image's beginning that came by another way than a fetch. */
void fetch_sink_feed_locked(struct image *img, uint64_t offset, const unsigned char *bytes,
                            size_t length) CF_IMAGE_LOCKED;

#endif
