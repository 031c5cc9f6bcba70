#include "core/engine/patience.h"

#include "core/base/clock.h"

/* In two seconds: enough for the whole of a stream's window (readahead.c), which it is told early.
 * What comes slower leaves the disk time, and is dearer to fetch again. */
#define FAST_BYTES (UINT64_C(32) << 20)
/* A stream moves on after each MiB. */
#define STREAM_NS (500 * CF_NS_PER_MS)
/* Who has changed something will go on. */
#define USER_NS (10000 * CF_NS_PER_MS)

void patience_init(struct patience *patience)
{
	*patience = (struct patience){0};
	atomic_init(&patience->user, false);
}

void patience_user(struct patience *patience)
{
	/* Between two looks, writers only read it. */
	if (!atomic_load_explicit(&patience->user, memory_order_relaxed))
		atomic_store_explicit(&patience->user, true, memory_order_relaxed);
}

void patience_stream(struct patience *patience, uint64_t bytes, uint64_t now_ns)
{
	if (bytes >= FAST_BYTES)
		patience->stream_ns = now_ns;
}

static bool is_within(uint64_t since_ns, uint64_t length_ns, uint64_t now_ns)
{
	return since_ns && now_ns < since_ns + length_ns;
}

bool patience_is_calm(const struct patience *patience, uint64_t now_ns)
{
	return is_within(patience->stream_ns, STREAM_NS, now_ns) &&
	       !atomic_load_explicit(&patience->user, memory_order_relaxed) &&
	       !is_within(patience->user_ns, USER_NS, now_ns);
}

bool patience_holds(struct patience *patience, uint64_t uncommitted, uint64_t now_ns)
{
	if (atomic_exchange_explicit(&patience->user, false, memory_order_relaxed))
		patience->user_ns = now_ns;
	return uncommitted < PATIENCE_BYTES && patience_is_calm(patience, now_ns);
}
