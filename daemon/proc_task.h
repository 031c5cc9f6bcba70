/*
 * What /proc says about the task that waits for a request: is it about to die, does a signal that
 * ends programs wait for it. A request's pid is that of a thread (see proc(5) for the files).
 *
 * Threads may end while their process waits on (an io_submit() of another thread), so the process
 * is noted at the first look and asked later. Kernel threads (a loop device's) are never judged to
 * be dying: EINTR to write-back would lose data.
 */
#ifndef CLONEFS_DAEMON_PROC_TASK_H
#define CLONEFS_DAEMON_PROC_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which process a thread belongs to. All zero: not looked yet. */
struct proc_task {
	pid_t tgid;       /* 0: not known */
	uint64_t started; /* of the process, clock ticks since boot: tells a reused pid apart */
	bool gone;        /* was gone (or a kernel thread) at the first look: never asked again */
};

struct proc_verdict {
	bool dying;  /* SIGKILL is pending, or the process is exiting */
	bool ending; /* HUP, INT, QUIT, TERM or KILL is pending and not blocked */
};

/*
 * Looks at thread @pid, and at its process where the thread is gone. Fills *@task at the first
 * look. A task that cannot be looked at is neither dying nor ending.
 */
void proc_task_look(pid_t pid, struct proc_task *task, struct proc_verdict *ret_verdict);

/* The parsers below it, for tests. @text is the whole file. */
struct proc_status {
	pid_t tgid;
	uint64_t pending; /* SigPnd | ShdPnd */
	uint64_t blocked; /* SigBlk */
};
/* /proc/PID/status. False: a line is missing. */
bool proc_status_parse(const char *text, struct proc_status *ret_status);

struct proc_stat {
	char state;
	uint64_t flags; /* PF_* */
	uint64_t started;
};
/* /proc/PID/stat. The command's name may hold anything, also ") R 1". False: malformed. */
bool proc_stat_parse(const char *text, struct proc_stat *ret_stat);

/* What one task's files say together. */
struct proc_verdict proc_judge(const struct proc_status *status, const struct proc_stat *stat);

#endif
