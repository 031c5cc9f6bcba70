#include "daemon/source_ask.h"

#include <errno.h>

#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/signals.h"

#define AGAIN_MS UINT64_C(15000)

/* What is left of @timeout_ms since @begin_ns; 0: nothing. */
static uint64_t left_of(uint64_t timeout_ms, uint64_t begin_ns)
{
	uint64_t passed_ms = (clock_monotonic_ns() - begin_ns) / CF_NS_PER_MS;

	return passed_ms < timeout_ms ? timeout_ms - passed_ms : 0;
}

int source_ask(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
               struct cf_error *err)
{
	uint64_t begin_ns = clock_monotonic_ns();
	uint64_t again_ms = timeout_ms / 2 < AGAIN_MS ? timeout_ms / 2 : AGAIN_MS;

	for (unsigned int attempt = 0;; attempt++) {
		struct source_probe probe = {.head = NULL};
		struct cf_error why = {0};
		uint64_t wait_ms;
		int r = source->ops->probe(source, left_of(timeout_ms, begin_ns), &probe, &why);

		if (r == 0)
			*ret_probe = probe;
		if (r != -EAGAIN)
			return r < 0 ? cf_error_set(err, r, "%s", why.text) : 0;
		wait_ms = backoff_ns(attempt) / CF_NS_PER_MS;
		if (wait_ms < probe.retry_after_ms)
			wait_ms = probe.retry_after_ms;
		if (wait_ms >= left_of(again_ms, begin_ns))
			return cf_error_set(err, -EIO, "%s", why.text);
		log_info("%s; asking again", why.text);
		if (signals_sleep(wait_ms))
			return cf_error_set(err, -EINTR,
			                    "a signal came before anything was mounted");
	}
}
