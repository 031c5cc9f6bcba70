/*
 * Background has all its connections while nobody reads what is missing. Who begins to sets it back
 * to a few, and then it goes by foreground's time to the first byte: down by half when that is well
 * above what it is when things are calm, at most twice a second, else up step by step while that
 * brings more (climb.h). After two seconds without a reader it doubles instead.
 */
#include "core/engine/pacing.h"

#include "core/engine/fetch.h"

#define ADAPT_NS (CF_NS_PER_S / 2)
/* What more requests bring shows when their first bytes are long there. */
#define SHOW_FIRST_BYTES 4
#define SHOW_MIN_NS      (CF_NS_PER_S / 4)
#define SHOW_MAX_NS      (2 * CF_NS_PER_S)
#define QUIET_NS         (2 * CF_NS_PER_S)
#define SLACK_NS         CF_NS_PER_MS
#define NEAR_BYTES       (UINT64_C(256) << 10)
#define RATE_MIN_BYTES   (UINT64_C(256) << 10)
#define UNLIMITED        256u
/* How fast requests began says something from there on. */
#define BEGIN_MIN_NS    (10 * CF_NS_PER_MS)
#define BEGIN_MIN_BYTES (UINT64_C(1) << 20)
#define TWO_SECONDS_NS  (2 * CF_NS_PER_S)
/* The part of the connections that background goes on with when a reader comes. */
#define BEGIN_PART 4

void pacing_init(struct pacing *pacing)
{
	*pacing = (struct pacing){.background_limit = UNLIMITED};
}

static uint64_t smooth(uint64_t old, uint64_t sample)
{
	return old ? old - old / 4 + sample / 4 : sample;
}

static void adapt(struct image *img, unsigned int limit, uint64_t now_ns) CF_IMAGE_LOCKED
{
	img->pacing.background_limit = limit;
	climb_begin(&img->pacing.climb, img->fetches.nr_bytes, now_ns);
}

static void slow_down(struct image *img, unsigned int running, uint64_t now_ns) CF_IMAGE_LOCKED
{
	unsigned int limit = img->pacing.background_limit;
	unsigned int base = running < limit ? running : limit;

	adapt(img, base > 1 ? base / 2 : 1, now_ns);
}

/* Has the limit been there for so long that another one may follow? */
static bool is_settled(const struct pacing *pacing, uint64_t now_ns)
{
	return now_ns >= pacing->climb.since_ns + ADAPT_NS;
}

/* A quarter above what it is when things are calm. */
static bool is_slow(const struct pacing *pacing)
{
	return pacing->first_byte_ns > pacing->calm_ns + pacing->calm_ns / 4 + SLACK_NS;
}

/* Nobody waits for bytes of the source, and nobody did lately. */
static bool is_quiet(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	return now_ns > img->pacing.reader_ns + QUIET_NS &&
	       !img->fetches.nr_running[SOURCE_FOREGROUND];
}

/* A few connections go on; what the others were to bring is asked for again later. */
void pacing_reader_locked(struct image *img, uint64_t now_ns)
{
	struct pacing *pacing = &img->pacing;
	unsigned int all =
	        (unsigned int)min_u64(img->settings.max_connections, img->pushback.limit);
	unsigned int few = (unsigned int)max_u64(all / BEGIN_PART, 1);

	if (is_quiet(img, now_ns)) {
		if (few < pacing->background_limit)
			adapt(img, few, now_ns);
		fetch_shed_background_locked(img, pacing->background_limit, now_ns);
	}
	pacing->reader_ns = now_ns;
}

void pacing_begin_locked(struct image *img, uint64_t now_ns)
{
	img->pacing.begin_ns = now_ns;
	img->pacing.begin_bytes = 0;
}

void pacing_first_byte_locked(struct image *img, const struct fetch *fetch, uint64_t now_ns)
{
	struct pacing *pacing = &img->pacing;
	uint64_t sample = now_ns - fetch->submitted_ns;

	/* What a new connection costs is no sign of congestion. */
	if (fetch->class != SOURCE_FOREGROUND || fetch->req.fresh_connection)
		return;
	pacing->first_byte_ns = smooth(pacing->first_byte_ns, sample);
	pacing->calm_ns = pacing->calm_ns
	                          ? min_u64(pacing->calm_ns + pacing->calm_ns / 128 + 1, sample)
	                          : sample;
	if (is_settled(pacing, now_ns) && is_slow(pacing) &&
	    img->fetches.nr_running[SOURCE_BACKGROUND])
		slow_down(img, img->fetches.nr_running[SOURCE_BACKGROUND], now_ns);
}

void pacing_pushback_locked(struct image *img, uint64_t now_ns)
{
	if (is_settled(&img->pacing, now_ns))
		slow_down(img, img->fetches.nr_running[SOURCE_BACKGROUND] + 1, now_ns);
}

/* When a request is over: was it the limit that bounded them, and does it show what it brings? */
static bool is_shown(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	const struct pacing *pacing = &img->pacing;
	uint64_t long_ns = max_u64(min_u64(SHOW_FIRST_BYTES * pacing->first_byte_ns, SHOW_MAX_NS),
	                           SHOW_MIN_NS);

	return img->fetches.nr_running[SOURCE_BACKGROUND] + 1 >= pacing->background_limit &&
	       now_ns >= pacing->climb.since_ns + long_ns;
}

/* A request of the background is over, and brought bytes. */
static void speed_up(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	struct pacing *pacing = &img->pacing;

	if (pacing->background_limit >= UNLIMITED)
		return;
	if (is_quiet(img, now_ns)) {
		if (is_settled(pacing, now_ns))
			adapt(img, 2 * pacing->background_limit, now_ns);
	} else if (!is_slow(pacing) && is_shown(img, now_ns)) {
		pacing->background_limit = climb_next(&pacing->climb, pacing->background_limit,
		                                      img->fetches.nr_bytes, now_ns);
	}
}

void pacing_fetch_over_locked(struct image *img, const struct fetch *fetch, uint64_t now_ns)
{
	struct pacing *pacing = &img->pacing;
	uint64_t bytes = fetch->pos - fetch->attempt_pos;

	if (fetch->first_byte_ns && now_ns > fetch->first_byte_ns && bytes >= RATE_MIN_BYTES)
		pacing->byte_rate = smooth(pacing->byte_rate,
		                           bytes * CF_NS_PER_S / (now_ns - fetch->first_byte_ns));
	if (fetch->class == SOURCE_BACKGROUND && bytes)
		speed_up(img, now_ns);
	if (bytes)
		pushback_served(&img->pushback, now_ns);
}

bool pacing_is_far_locked(const struct image *img, uint64_t distance)
{
	const struct pacing *pacing = &img->pacing;

	if (distance <= NEAR_BYTES)
		return false;
	if (!pacing->byte_rate || !pacing->first_byte_ns)
		return true;
	return distance * CF_NS_PER_S / pacing->byte_rate > pacing->first_byte_ns;
}

void pacing_bytes_locked(struct image *img, size_t length, uint64_t now_ns)
{
	uint64_t second = now_ns / CF_NS_PER_S;
	unsigned int slot = (unsigned int)(second % PACING_SECONDS);

	if (img->pacing.seconds[slot].second != second) {
		img->pacing.seconds[slot].second = second;
		img->pacing.seconds[slot].bytes = 0;
	}
	img->pacing.seconds[slot].bytes += length;
	img->pacing.begin_bytes += length;
}

static uint64_t bytes_in(const struct pacing *pacing, uint64_t second)
{
	unsigned int slot = (unsigned int)(second % PACING_SECONDS);

	return pacing->seconds[slot].second == second ? pacing->seconds[slot].bytes : 0;
}

uint64_t pacing_two_seconds_locked(const struct image *img, uint64_t now_ns)
{
	uint64_t second = now_ns / CF_NS_PER_S;
	uint64_t most = 0;

	for (unsigned int i = 0; i + 1 < PACING_SECONDS && i < second; i++)
		most = max_u64(most, bytes_in(&img->pacing, second - i) +
		                             bytes_in(&img->pacing, second - i - 1));
	return most;
}

uint64_t pacing_two_seconds_hence_locked(const struct image *img, uint64_t now_ns)
{
	const struct pacing *pacing = &img->pacing;
	uint64_t most = pacing_two_seconds_locked(img, now_ns);
	uint64_t ns = now_ns - pacing->begin_ns;

	if (ns < BEGIN_MIN_NS || ns > TWO_SECONDS_NS || pacing->begin_bytes < BEGIN_MIN_BYTES)
		return most;
	return max_u64(most, (uint64_t)((double)pacing->begin_bytes * (double)TWO_SECONDS_NS /
	                                (double)ns));
}

uint64_t pacing_rate_locked(const struct image *img, uint64_t now_ns)
{
	uint64_t second = now_ns / CF_NS_PER_S;
	uint64_t oldest = second;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < PACING_SECONDS; i++) {
		uint64_t at = img->pacing.seconds[i].second;

		/* The second that runs is not over; ten whole ones are before it. */
		if (!img->pacing.seconds[i].bytes || at + PACING_SECONDS <= second)
			continue;
		bytes += img->pacing.seconds[i].bytes;
		oldest = min_u64(oldest, at);
	}
	if (!bytes)
		return 0;
	return bytes * CF_NS_PER_S / max_u64(now_ns - oldest * CF_NS_PER_S, CF_NS_PER_S / 10);
}
