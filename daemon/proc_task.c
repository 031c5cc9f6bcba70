#include "daemon/proc_task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"

/* Of linux/sched.h, visible in /proc/PID/stat. */
#define TASK_FLAG_EXITING UINT64_C(0x00000004)
#define TASK_FLAG_KTHREAD UINT64_C(0x00200000)

#define SIGNAL_BIT(sig) (UINT64_C(1) << ((sig)-1))

static const uint64_t ending_signals = SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGINT) |
                                       SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGTERM) |
                                       SIGNAL_BIT(SIGKILL);

/* Reads a whole small file of /proc. False: it is not there (any more). */
static bool read_file(const char *path, char *buf, size_t size)
{
	CF_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return false;
	while (length < size - 1) {
		ssize_t n = read(fd, buf + length, size - 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	buf[length] = '\0';
	return length > 0;
}

static bool find_field(const char *text, const char *name, int base, uint64_t *ret_value)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		char *end;

		line += *line == '\n';
		if (strncmp(line, name, length) != 0)
			continue;
		errno = 0;
		*ret_value = strtoull(line + length, &end, base);
		return errno == 0 && end != line + length;
	}
	return false;
}

bool proc_status_parse(const char *text, struct proc_status *ret_status)
{
	uint64_t tgid, thread_pending, shared_pending, blocked;

	if (!find_field(text, "Tgid:", 10, &tgid) ||
	    !find_field(text, "SigPnd:", 16, &thread_pending) ||
	    !find_field(text, "ShdPnd:", 16, &shared_pending) ||
	    !find_field(text, "SigBlk:", 16, &blocked))
		return false;
	*ret_status = (struct proc_status){
	        .tgid = (pid_t)tgid,
	        .pending = thread_pending | shared_pending,
	        .blocked = blocked,
	};
	return true;
}

/* The number in field @n (from 0) of @text, which fields are separated by single spaces. */
static bool field_number(const char *text, unsigned int n, uint64_t *ret_value)
{
	char *end;

	for (; n; n--) {
		text = strchr(text, ' ');
		if (!text)
			return false;
		text++;
	}
	errno = 0;
	*ret_value = strtoull(text, &end, 10);
	return errno == 0 && end != text;
}

bool proc_stat_parse(const char *text, struct proc_stat *ret_stat)
{
	const char *rest = strrchr(text, ')');
	struct proc_stat stat;

	if (!rest || rest[1] != ' ')
		return false;
	rest += 2;
	stat.state = *rest;
	/* proc(5) counts from 1 and the name is the second: flags are its 9, starttime its 22 */
	if (!field_number(rest, 6, &stat.flags) || !field_number(rest, 19, &stat.started))
		return false;
	*ret_stat = stat;
	return true;
}

struct proc_verdict proc_judge(const struct proc_status *status, const struct proc_stat *stat)
{
	/* SIGKILL cannot be blocked. */
	uint64_t pending = status->pending & (~status->blocked | SIGNAL_BIT(SIGKILL));

	if (stat->flags & TASK_FLAG_KTHREAD)
		return (struct proc_verdict){false, false};
	return (struct proc_verdict){
	        .dying = (pending & SIGNAL_BIT(SIGKILL)) || (stat->flags & TASK_FLAG_EXITING) ||
	                 stat->state == 'Z' || stat->state == 'X',
	        .ending = (pending & ending_signals) != 0,
	};
}

/* Reads both files of the task in folder @folder. False: it is gone. */
static bool read_task(const char *folder, struct proc_status *ret_status,
                      struct proc_stat *ret_stat)
{
	char path[64];
	char text[16384]; /* a long list of groups comes before the signals */

	(void)snprintf(path, sizeof(path), "%s/status", folder);
	if (!read_file(path, text, sizeof(text)) || !proc_status_parse(text, ret_status))
		return false;
	(void)snprintf(path, sizeof(path), "%s/stat", folder);
	return read_file(path, text, sizeof(text)) && proc_stat_parse(text, ret_stat);
}

/* A process is dying when all its threads are: one that called pthread_exit() alone is not. */
static struct proc_verdict judge_process(pid_t tgid)
{
	struct proc_verdict verdict = {.dying = true, .ending = false};
	bool any = false;
	struct dirent *entry;
	char folder[64];
	DIR *tasks;

	(void)snprintf(folder, sizeof(folder), "/proc/%d/task", (int)tgid);
	tasks = opendir(folder);
	if (!tasks)
		return (struct proc_verdict){false, false};
	while ((entry = readdir(tasks))) {
		struct proc_verdict one;
		struct proc_status status;
		struct proc_stat stat;
		char path[sizeof(folder) + sizeof(entry->d_name)];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (!read_task(path, &status, &stat))
			continue;
		one = proc_judge(&status, &stat);
		any = true;
		verdict.dying = verdict.dying && one.dying;
		verdict.ending = verdict.ending || one.ending;
	}
	(void)closedir(tasks);
	verdict.dying = verdict.dying && any;
	return verdict;
}

/* Notes the process of thread @pid. */
static void first_look(pid_t pid, struct proc_task *task)
{
	struct proc_status status;
	struct proc_stat stat;
	char folder[64];

	task->gone = true;
	(void)snprintf(folder, sizeof(folder), "/proc/%d", (int)pid);
	if (!read_task(folder, &status, &stat) || (stat.flags & TASK_FLAG_KTHREAD))
		return;
	(void)snprintf(folder, sizeof(folder), "/proc/%d", (int)status.tgid);
	if (!read_task(folder, &status, &stat))
		return;
	task->tgid = status.tgid;
	task->started = stat.started;
	task->gone = false;
}

void proc_task_look(pid_t pid, struct proc_task *task, struct proc_verdict *ret_verdict)
{
	struct proc_status status;
	struct proc_stat stat;
	char folder[64];

	*ret_verdict = (struct proc_verdict){false, false};
	if (!task->tgid && !task->gone)
		first_look(pid, task);
	if (task->gone)
		return;
	(void)snprintf(folder, sizeof(folder), "/proc/%d", (int)task->tgid);
	if (!read_task(folder, &status, &stat) || stat.started != task->started)
		return;
	(void)snprintf(folder, sizeof(folder), "/proc/%d/task/%d", (int)task->tgid, (int)pid);
	/* A thread that ends by itself may leave what it submitted to the others. */
	if (read_task(folder, &status, &stat) && !(stat.flags & TASK_FLAG_EXITING))
		*ret_verdict = proc_judge(&status, &stat);
	else
		*ret_verdict = judge_process(task->tgid);
}
