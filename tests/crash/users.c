#include "tests/crash/users.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mutex.h"
#include "core/engine/image.h"
#include "tests/crash/schedule.h"
#include "tests/support/memory_source.h"

#define MAX_USERS 8
#define MS        UINT64_C(1000000)

struct user {
	struct world *world;
	struct image *img;
	struct memory_source *source;
	struct random random;
	pthread_t thread;
};

/* One call that is waited for. */
struct call {
	struct world *world;
	enum call_kind kind;
	struct user_range range;
	struct cf_mutex lock;
	struct cf_cond changed;
	bool done;
	int error;
	uint64_t acked;
	bool valid; /* the process was alive when it was acknowledged */
	uint8_t *to;
};

static void call_init(struct call *call, struct user *user, enum call_kind kind,
                      const struct user_range *range, uint8_t *to)
{
	*call = (struct call){.world = user->world, .kind = kind, .to = to};
	if (range)
		call->range = *range;
	cf_mutex_init(&call->lock);
	cf_cond_init(&call->changed);
}

static void on_done(void *arg, int error, const void *data, size_t length)
{
	struct call *call = arg;

	if (call->to && error == 0)
		memcpy(call->to, data, length);
	cf_lock(&call->lock);
	call->error = error;
	call->acked = disks_tick(&call->world->disks);
	call->valid = !call->world->disks.killed;
	call->done = true;
	cf_cond_broadcast(&call->changed);
	cf_unlock(&call->lock);
}

static bool is_tolerated(const struct user *user, const struct call *call)
{
	const struct world *world = user->world;

	return world->tolerates &&
	       world->tolerates(world, user->img, call->kind, &call->range, call->error);
}

/* True: the answer counts, and is 0. An error that nothing explains is a finding. */
static bool finish(struct user *user, struct call *call, struct image_request *req, bool cancelled)
{
	static const char *const names[] = {
	        [CALL_READ] = "a read",
	        [CALL_CHANGE] = "a write, punch or zero-range",
	        [CALL_FLUSH] = "an fsync or pause",
	};

	cf_lock(&call->lock);
	while (!call->done)
		cf_cond_wait(&call->changed, &call->lock);
	cf_unlock(&call->lock);
	if (req)
		image_request_put(req);
	cf_cond_fini(&call->changed);
	cf_mutex_fini(&call->lock);
	if (call->valid && call->error && !(cancelled && call->error == -EINTR) &&
	    !is_tolerated(user, call))
		world_finding(user->world, "%s at %llu, %llu bytes, was answered with %s",
		              names[call->kind], (unsigned long long)call->range.offset,
		              (unsigned long long)call->range.length, strerror(-call->error));
	return call->valid && call->error == 0;
}

/* ---- ranges ---- */

/* Somewhere in the windows, whole regions or anything; not across the end of a window. */
static struct user_range pick_range(struct user *user)
{
	const struct world *world = user->world;
	const struct disk *disk = &world->disks.disk[DESTINATION];
	struct random *random = &user->random;
	uint64_t region_size = world->plan.region_size;
	struct user_range range;
	uint64_t most;
	uint64_t length;

	range.at = random_below(random, disk->nr_bytes);
	range.offset = disk_offset(disk, range.at);
	length = 1 + random_below(random, random_one_in(random, 3) ? 8 * region_size : 6000);
	if (random_one_in(random, 3)) {
		uint64_t skip = range.offset % region_size;

		/* Windows begin with regions. */
		range.offset -= skip;
		range.at -= skip;
		length = region_size * (1 + random_below(random, 3));
	} else if (world->whole_sectors || random_one_in(random, 2)) {
		uint64_t skip = range.offset % SECTOR;

		range.offset -= skip;
		range.at -= skip;
		length = (length / SECTOR + 1) * SECTOR;
	}
	(void)disk_find(disk, range.offset, &range.at, &most);
	range.length = length < most ? length : most;
	return range;
}

/* A range nobody else changes; length 0: none was found. */
static struct user_range take_range(struct user *user)
{
	for (int i = 0; i < 8; i++) {
		struct user_range range = pick_range(user);

		if (model_take(&user->world->model, range.at, range.length))
			return range;
	}
	return (struct user_range){0};
}

static uint8_t *new_data(struct user *user, uint64_t length)
{
	uint64_t word = 0;
	uint8_t *data = malloc(length);

	if (!data)
		abort();
	for (uint64_t i = 0; i < length; i++) {
		if (i % 8 == 0)
			word = random_next(&user->random);
		data[i] = (uint8_t)(word >> (8 * (i % 8)));
	}
	return data;
}

/* ---- reads ---- */

static void check_read(struct world *world, const struct user_range *range, const uint8_t *bytes,
                       uint64_t begun, uint64_t ended)
{
	uint64_t done = 0;

	while (done < range->length) {
		uint64_t sector = (range->at + done) / SECTOR;
		uint64_t skip = (range->at + done) % SECTOR;
		uint64_t n = SECTOR - skip;
		uint32_t low, high;

		if (n > range->length - done)
			n = range->length - done;
		model_allowed(&world->model, sector, begun, ended, &low, &high);
		if (model_match(&world->model, sector, low, high, bytes + done, skip, n) < 0) {
			if (n == model_sector_length(&world->model, sector))
				world_describe(world, sector, bytes + done);
			world_finding(world,
			              "a read saw something wrong in sector %llu (offset %llu), "
			              "expected version %u to %u",
			              (unsigned long long)sector,
			              (unsigned long long)(range->offset + done), low, high);
		}
		done += n;
	}
	world->nr_reads++;
}

static int do_read(struct user *user, const struct user_range *range)
{
	struct world *world = user->world;
	uint8_t *buf = malloc(range->length);
	uint64_t begun = disks_tick(&world->disks);
	struct call call = {0};
	int r;

	if (!buf)
		abort();
	r = image_read_hydrated(user->img, buf, range->length, range->offset);
	if (r == 0) {
		if (!world->disks.killed)
			check_read(world, range, buf, begun, disks_tick(&world->disks));
	} else {
		call_init(&call, user, CALL_READ, range, buf);
		if (finish(user, &call,
		           image_read(user->img, range->offset, range->length, on_done, &call),
		           false))
			check_read(world, range, buf, begun, call.acked);
	}
	free(buf);
	return call.error;
}

static void op_read(struct user *user)
{
	struct user_range range = pick_range(user);

	(void)do_read(user, &range);
}

static void op_cancelled_read(struct user *user)
{
	struct user_range range = pick_range(user);
	struct image_request *req;
	struct call call;
	uint8_t *buf = malloc(range.length);

	if (!buf)
		abort();
	call_init(&call, user, CALL_READ, &range, buf);
	req = image_read(user->img, range.offset, range.length, on_done, &call);
	if (req)
		image_request_cancel(user->img, req, -EINTR);
	(void)finish(user, &call, req, true);
	free(buf);
}

/* ---- changes ---- */

static int do_write(struct user *user, const struct user_range *range, bool cancel)
{
	struct world *world = user->world;
	uint8_t *data = new_data(user, range->length);
	struct image_request *req;
	struct call call;

	if (cancel) {
		/* What it leaves is not known, until the same bytes are written again. */
		model_begin(&world->model, range->at, range->length, data,
		            disks_tick(&world->disks));
		call_init(&call, user, CALL_CHANGE, range, NULL);
		req = image_write(user->img, range->offset, data, range->length, on_done, &call);
		if (req)
			image_request_cancel(user->img, req, -EINTR);
		(void)finish(user, &call, req, true);
	}
	model_begin(&world->model, range->at, range->length, data, disks_tick(&world->disks));
	call_init(&call, user, CALL_CHANGE, range, NULL);
	if (finish(user, &call,
	           image_write(user->img, range->offset, data, range->length, on_done, &call),
	           false)) {
		model_ack(&world->model, range->at, range->length, call.acked);
		world->nr_changes++;
	}
	free(data);
	return call.error;
}

static int do_zeros(struct user *user, enum image_range_op op, const struct user_range *range)
{
	struct world *world = user->world;
	struct call call;

	model_begin(&world->model, range->at, range->length, NULL, disks_tick(&world->disks));
	call_init(&call, user, CALL_CHANGE, range, NULL);
	if (finish(user, &call,
	           image_range(user->img, op, range->offset, range->length, on_done, &call),
	           false)) {
		model_ack(&world->model, range->at, range->length, call.acked);
		world->nr_changes++;
	}
	return call.error;
}

static void op_write(struct user *user, bool cancel)
{
	struct user_range range = take_range(user);

	if (!range.length)
		return;
	(void)do_write(user, &range, cancel);
	model_give_back(&user->world->model, range.at, range.length);
}

static void op_zeros(struct user *user, enum image_range_op op)
{
	struct user_range range = take_range(user);

	if (!range.length)
		return;
	(void)do_zeros(user, op, &range);
	model_give_back(&user->world->model, range.at, range.length);
}

/* A pause promises nothing when the clone is read-only already. */
static bool is_promise(struct user *user, bool pause)
{
	struct image_status status;

	image_get_status(user->img, &status);
	return !pause || status.mode == IMAGE_RW;
}

static int op_flush(struct user *user, bool pause)
{
	struct world *world = user->world;
	uint64_t begun = disks_tick(&world->disks);
	struct call call;

	call_init(&call, user, CALL_FLUSH, NULL, NULL);
	if (finish(user, &call,
	           pause ? image_pause(user->img, on_done, &call)
	                 : image_flush_here(user->img, on_done, &call),
	           false) &&
	    is_promise(user, pause)) {
		model_flushed(&world->model, begun, call.acked);
		world->nr_flushes++;
	}
	return call.error;
}

static void op_source(struct user *user)
{
	static const enum source_result results[] = {SOURCE_SHORT, SOURCE_FAILED,
	                                             SOURCE_WRONG_REPLY};

	memory_source_plan(user->source, 1, results[random_below(&user->random, 3)],
	                   random_below(&user->random, 5000), 0);
	memory_source_set_chunk(user->source, SECTOR + random_below(&user->random, 9000));
}

static void one_operation(struct user *user)
{
	uint64_t dice = random_below(&user->random, 100);

	if (dice < 25)
		op_read(user);
	else if (dice < 58)
		op_write(user, false);
	else if (dice < 66)
		op_zeros(user, IMAGE_PUNCH);
	else if (dice < 71)
		op_zeros(user, IMAGE_ZERO);
	else if (dice < 85)
		(void)op_flush(user, false);
	else if (dice < 87)
		(void)op_flush(user, true);
	else if (dice < 90)
		image_resume(user->img);
	else if (dice < 93)
		op_write(user, true);
	else if (dice < 95)
		op_cancelled_read(user);
	else if (dice < 97)
		op_source(user);
	else
		schedule_sleep_ns(random_below(&user->random, 1500) * MS);
	if (random_one_in(&user->random, 3))
		schedule_sleep_ns(random_below(&user->random, 3 * MS));
}

static void *run_user(void *arg)
{
	struct user *user = arg;

	for (unsigned int i = 0; i < user->world->plan.nr_operations && !user->world->disks.killed;
	     i++)
		one_operation(user);
	return NULL;
}

void users_work(struct world *world, struct image *img, struct memory_source *source)
{
	struct user users[MAX_USERS];

	assert(world->plan.nr_users <= MAX_USERS);
	for (unsigned int i = 0; i < world->plan.nr_users; i++) {
		users[i] = (struct user){.world = world, .img = img, .source = source};
		users[i].random = random_from(random_next(&world->random), i);
		if (pthread_create(&users[i].thread, NULL, run_user, &users[i]))
			abort();
	}
	for (unsigned int i = 0; i < world->plan.nr_users; i++)
		(void)pthread_join(users[i].thread, NULL);
}

void users_read_all(struct world *world, struct image *img)
{
	struct user user = {.world = world, .img = img};
	uint64_t at = 0;

	for (unsigned int i = 0; i < world->plan.nr_windows && !world->disks.killed; i++) {
		const struct window *window = &world->plan.windows[i];
		struct user_range range = {window->begin, at, window->end - window->begin};

		(void)do_read(&user, &range);
		at += range.length;
	}
}

int users_flush(struct world *world, struct image *img)
{
	struct user user = {.world = world, .img = img};

	return op_flush(&user, false);
}

int users_read(struct world *world, struct image *img, const struct user_range *range)
{
	struct user user = {.world = world, .img = img};

	return do_read(&user, range);
}

int users_change(struct world *world, struct image *img, const struct user_range *range, bool punch)
{
	struct user user = {.world = world, .img = img};

	user.random = random_from(random_next(&world->random), range->at);
	return punch ? do_zeros(&user, IMAGE_PUNCH, range) : do_write(&user, range, false);
}
