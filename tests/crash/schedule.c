#include "tests/crash/schedule.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/crash/random.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#if defined(WITH_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

#define MAX_TASKS    64
#define STACK_SIZE   ((size_t)512 << 10)
#define MAX_SWITCHES UINT64_C(200000000) /* of one run: more is a livelock */
#define CLOCK_STEP   200                 /* nanoseconds that a look at the clock takes */
#define NEVER        UINT64_MAX

enum waiting { WAITS_NOT, WAITS_FOR_MUTEX, WAITS_FOR_COND, WAITS_FOR_END, WAITS_FOR_TIME, ENDED };

struct task {
	bool used;
	enum waiting waiting;
	const void *what;  /* the mutex, condition variable or task it waits for */
	uint64_t until_ns; /* when it runs anyway */
	bool timed_out;
	ucontext_t context;
	void *stack;
	void *(*run)(void *arg);
	void *arg;
	void *fake_stack; /* the sanitizer's, while the task does not run */
	const void *stack_bottom;
	size_t stack_size;
};

static struct {
	bool active;
	struct random random;
	struct task tasks[MAX_TASKS];
	unsigned int nr_tasks; /* highest index ever used + 1 */
	struct task *current;
	uint64_t now_ns;
	uint64_t nr_switches;
	uint64_t preempt;        /* one lock operation in so many lets somebody else run */
	void *stacks[MAX_TASKS]; /* of ended tasks, for the next ones */
	unsigned int nr_stacks;
} sched;

/* ---- what the linker calls ---- */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __real_pthread_join(pthread_t thread, void **ret);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __real_pthread_cond_signal(pthread_cond_t *cond);
int __real_pthread_cond_broadcast(pthread_cond_t *cond);
int __real_usleep(useconds_t us);
ssize_t __real_getrandom(void *buf, size_t length, unsigned int flags);
uint64_t __real_clock_monotonic_ns(void);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_usleep(useconds_t us);
ssize_t __wrap_getrandom(void *buf, size_t length, unsigned int flags);
uint64_t __wrap_clock_monotonic_ns(void);

/* ---- switching ---- */

static void begin_switch(struct task *from, const struct task *to, bool from_ends)
{
#if defined(WITH_ASAN)
	__sanitizer_start_switch_fiber(from_ends ? NULL : &from->fake_stack, to->stack_bottom,
	                               to->stack_size);
#else
	(void)from;
	(void)to;
	(void)from_ends;
#endif
}

static void end_switch(struct task *to, struct task *from)
{
#if defined(WITH_ASAN)
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(to->fake_stack, &bottom, &size);
	if (from && !from->stack) {
		from->stack_bottom = bottom;
		from->stack_size = size;
	}
#else
	(void)to;
	(void)from;
#endif
}

static struct task *previous; /* who ran before the current one */

static void give_up(const char *why)
{
	(void)fprintf(stderr, "the schedule: %s\n", why);
	for (unsigned int i = 0; i < sched.nr_tasks; i++) {
		const struct task *task = &sched.tasks[i];

		if (task->used)
			(void)fprintf(stderr, "  thread %u waits %d for %p until %llu\n", i,
			              (int)task->waiting, task->what,
			              (unsigned long long)task->until_ns);
	}
	abort();
}

static void wake(struct task *task, bool timed_out)
{
	task->waiting = WAITS_NOT;
	task->what = NULL;
	task->until_ns = NEVER;
	task->timed_out = timed_out;
}

static void wake_due(void)
{
	for (unsigned int i = 0; i < sched.nr_tasks; i++) {
		struct task *task = &sched.tasks[i];

		if (task->used && task->until_ns <= sched.now_ns)
			wake(task, true);
	}
}

static struct task *pick_ready(void)
{
	struct task *ready[MAX_TASKS];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < sched.nr_tasks; i++) {
		if (sched.tasks[i].used && sched.tasks[i].waiting == WAITS_NOT)
			ready[nr++] = &sched.tasks[i];
	}
	return nr ? ready[random_below(&sched.random, nr)] : NULL;
}

static struct task *pick(void)
{
	struct task *next;

	wake_due();
	while (!(next = pick_ready())) {
		uint64_t soonest = NEVER;

		for (unsigned int i = 0; i < sched.nr_tasks; i++) {
			if (sched.tasks[i].used && sched.tasks[i].until_ns < soonest)
				soonest = sched.tasks[i].until_ns;
		}
		if (soonest == NEVER)
			give_up("everybody waits for each other");
		sched.now_ns = soonest;
		wake_due();
	}
	return next;
}

/* Runs the next one; returns when it is this one's turn again. */
static void switch_away(void)
{
	struct task *from = sched.current;
	struct task *to = pick();

	if (++sched.nr_switches > MAX_SWITCHES)
		give_up("this does not end");
	if (to == from)
		return;
	previous = from;
	sched.current = to;
	begin_switch(from, to, from->waiting == ENDED);
	(void)swapcontext(&from->context, &to->context);
	end_switch(from, previous);
}

static void wait_for(enum waiting waiting, const void *what, uint64_t until_ns)
{
	struct task *task = sched.current;

	task->waiting = waiting;
	task->what = what;
	task->until_ns = until_ns;
	task->timed_out = false;
	switch_away();
}

static void wake_all(enum waiting waiting, const void *what)
{
	for (unsigned int i = 0; i < sched.nr_tasks; i++) {
		struct task *task = &sched.tasks[i];

		if (task->used && task->waiting == waiting && task->what == what)
			wake(task, false);
	}
}

void schedule_yield(void)
{
	if (sched.active)
		switch_away();
}

void schedule_yield_one_in(uint64_t n)
{
	if (sched.active && random_one_in(&sched.random, n))
		switch_away();
}

void schedule_sleep_ns(uint64_t ns)
{
	if (sched.active)
		wait_for(WAITS_FOR_TIME, NULL, sched.now_ns + ns);
}

void schedule_begin(uint64_t seed)
{
	memset(sched.tasks, 0, sizeof(sched.tasks));
	sched.random = random_from(seed, 0x5C4ED);
	sched.nr_tasks = 1;
	sched.current = &sched.tasks[0];
	sched.current->used = true;
	sched.current->until_ns = NEVER;
	sched.now_ns = UINT64_C(1000000000);
	sched.nr_switches = 0;
	sched.preempt = UINT64_C(2) << random_below(&sched.random, 6);
	sched.active = true;
}

void schedule_end(void)
{
	for (unsigned int i = 1; i < sched.nr_tasks; i++) {
		if (sched.tasks[i].used)
			give_up("a thread was not joined");
	}
	sched.active = false;
}

/* ---- threads ---- */

static void run_task(void)
{
	struct task *self = sched.current;

	end_switch(self, previous);
	(void)self->run(self->arg);
	self->waiting = ENDED;
	self->until_ns = NEVER;
	wake_all(WAITS_FOR_END, self);
	switch_away();
	give_up("an ended thread runs");
}

static void *take_stack(void)
{
	void *stack;

	if (sched.nr_stacks)
		return sched.stacks[--sched.nr_stacks];
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		give_up("no memory for a stack");
	return stack;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
	struct task *task = NULL;

	if (!sched.active)
		return __real_pthread_create(thread, attr, run, arg);
	for (unsigned int i = 1; i < MAX_TASKS && !task; i++) {
		if (sched.tasks[i].used)
			continue;
		task = &sched.tasks[i];
		if (i >= sched.nr_tasks)
			sched.nr_tasks = i + 1;
	}
	if (!task)
		return EAGAIN;
	*task = (struct task){.used = true, .run = run, .arg = arg, .until_ns = NEVER};
	task->stack = take_stack();
	task->stack_bottom = task->stack;
	task->stack_size = STACK_SIZE;
	(void)getcontext(&task->context);
	task->context.uc_stack.ss_sp = task->stack;
	task->context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&task->context, run_task, 0);
	*thread = (pthread_t)(uintptr_t)task;
	schedule_yield_one_in(2);
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
	struct task *task = (struct task *)(uintptr_t)thread;

	if (!sched.active)
		return __real_pthread_join(thread, ret);
	if (task->waiting != ENDED)
		wait_for(WAITS_FOR_END, task, NEVER);
	if (ret)
		*ret = NULL;
	sched.stacks[sched.nr_stacks++] = task->stack;
	*task = (struct task){0};
	return 0;
}

/* ---- locks ---- */

static void lock_mutex(pthread_mutex_t *mutex)
{
	/* One real thread: a mutex that another task holds is busy for this one, too. */
	while (pthread_mutex_trylock(mutex) == EBUSY)
		wait_for(WAITS_FOR_MUTEX, mutex, NEVER);
}

static void unlock_mutex(pthread_mutex_t *mutex)
{
	(void)__real_pthread_mutex_unlock(mutex);
	wake_all(WAITS_FOR_MUTEX, mutex);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (!sched.active)
		return __real_pthread_mutex_lock(mutex);
	schedule_yield_one_in(sched.preempt);
	lock_mutex(mutex);
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (!sched.active)
		return __real_pthread_mutex_unlock(mutex);
	unlock_mutex(mutex);
	schedule_yield_one_in(sched.preempt);
	return 0;
}

static int wait_for_cond(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until_ns)
{
	bool timed_out;

	unlock_mutex(mutex);
	wait_for(WAITS_FOR_COND, cond, until_ns);
	timed_out = sched.current->timed_out;
	lock_mutex(mutex);
	return timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	return sched.active ? wait_for_cond(cond, mutex, NEVER)
	                    : __real_pthread_cond_wait(cond, mutex);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
	if (!sched.active)
		return __real_pthread_cond_timedwait(cond, mutex, until);
	return wait_for_cond(cond, mutex,
	                     (uint64_t)until->tv_sec * UINT64_C(1000000000) +
	                             (uint64_t)until->tv_nsec);
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
	struct task *waiters[MAX_TASKS];
	unsigned int nr = 0;

	if (!sched.active)
		return __real_pthread_cond_signal(cond);
	for (unsigned int i = 0; i < sched.nr_tasks; i++) {
		struct task *task = &sched.tasks[i];

		if (task->used && task->waiting == WAITS_FOR_COND && task->what == cond)
			waiters[nr++] = task;
	}
	if (nr)
		wake(waiters[random_below(&sched.random, nr)], false);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	if (!sched.active)
		return __real_pthread_cond_broadcast(cond);
	wake_all(WAITS_FOR_COND, cond);
	return 0;
}

/* ---- time and chance ---- */

ssize_t __wrap_getrandom(void *buf, size_t length, unsigned int flags)
{
	unsigned char *bytes = buf;

	if (!sched.active)
		return __real_getrandom(buf, length, flags);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (unsigned char)random_next(&sched.random);
	return (ssize_t)length;
}

int __wrap_usleep(useconds_t us)
{
	if (!sched.active)
		return __real_usleep(us);
	schedule_sleep_ns((uint64_t)us * 1000);
	return 0;
}

uint64_t __wrap_clock_monotonic_ns(void)
{
	if (!sched.active)
		return __real_clock_monotonic_ns();
	sched.now_ns += CLOCK_STEP;
	return sched.now_ns;
}
