#include "daemon/opens.h"

#include <assert.h>

void opens_init(struct opens *opens)
{
	*opens = (struct opens){.nr_cached = 0};
	cf_mutex_init(&opens->lock);
}

void opens_fini(struct opens *opens)
{
	cf_mutex_fini(&opens->lock);
}

void opens_never_pass(struct opens *opens)
{
	cf_lock(&opens->lock);
	opens->cannot_pass = true;
	cf_unlock(&opens->lock);
}

/* Has the kernel the destination? Asked when nothing is passed through yet. */
static bool attach_locked(struct opens *opens, const struct open_wish *wish,
                          struct open_grant *grant) CF_REQUIRES(&opens->lock)
{
	int r;

	if (opens->cannot_pass || opens->backing)
		return !opens->cannot_pass;
	r = wish->attach(wish->user);
	if (r > 0)
		opens->backing = r;
	else
		grant->refused = r;
	opens->cannot_pass = r <= 0;
	return r > 0;
}

static enum open_way decide_locked(struct opens *opens, const struct open_wish *wish,
                                   struct open_grant *grant) CF_REQUIRES(&opens->lock)
{
	bool pass = wish->may_pass && !wish->writes;

	if (opens->nr_passed)
		return pass ? OPEN_PASSED : OPEN_DIRECT;
	return pass && !opens->nr_cached && attach_locked(opens, wish, grant) ? OPEN_PASSED
	                                                                      : OPEN_CACHED;
}

struct open_grant opens_begin(struct opens *opens, const struct open_wish *wish)
{
	struct open_grant grant = {.way = OPEN_CACHED};

	cf_lock(&opens->lock);
	grant.way = decide_locked(opens, wish, &grant);
	if (grant.way == OPEN_CACHED)
		opens->nr_cached++;
	else
		opens->nr_passed++;
	opens->cache_may_be_old |= grant.way == OPEN_DIRECT && wish->writes;
	grant.keep_cache = !opens->cache_may_be_old;
	grant.backing = grant.way == OPEN_CACHED ? 0 : opens->backing;
	assert(!opens->nr_cached || !opens->nr_passed); /* P1 */
	cf_unlock(&opens->lock);
	return grant;
}

void opens_end(struct opens *opens, enum open_way way)
{
	unsigned int *nr = way == OPEN_CACHED ? &opens->nr_cached : &opens->nr_passed;

	cf_lock(&opens->lock);
	assert(*nr);
	(*nr)--;
	cf_unlock(&opens->lock);
}
