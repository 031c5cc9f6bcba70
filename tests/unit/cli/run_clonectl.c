#include "run_clonectl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char run_folder[128];
char state_root[128];
char work_folder[] = "/tmp/clonectl-XXXXXX";

/* Root's folders have fixed names: give this process others to see there. */
static bool hide_root_folders(void)
{
	static const char *const hidden[] = {"/run", "/var/lib"};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (mount("none", hidden[i], "tmpfs", 0, NULL) < 0)
			return false;
	strcpy(run_folder, "/run/clonefs");
	strcpy(state_root, "/var/lib/clonefs");
	return true;
}

int surroundings_setup(void **state)
{
	(void)state;
	if (!mkdtemp(work_folder))
		return -1;
	if (geteuid() != 0) {
		setenv("XDG_RUNTIME_DIR", work_folder, 1);
		setenv("XDG_STATE_HOME", work_folder, 1);
		(void)snprintf(run_folder, sizeof(run_folder), "%s/clonefs", work_folder);
		strcpy(state_root, run_folder);
	} else if (!hide_root_folders()) {
		(void)printf("no mount namespace can be made here: skipped\n");
		(void)rmdir(work_folder);
		exit(77);
	}
	(void)mkdir(run_folder, 0755);
	(void)mkdir(state_root, 0700);
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

int surroundings_teardown(void **state)
{
	(void)state;
	(void)nftw(work_folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return 0;
}

void run_start(struct running *running, const char *const words[])
{
	char *argv[32] = {strdup(CLONECTL)};
	int nr = 1;

	for (; words[nr - 1]; nr++)
		argv[nr] = strdup(words[nr - 1]);
	running->out = memfd_create("out", MFD_CLOEXEC);
	running->err = memfd_create("err", MFD_CLOEXEC);
	running->pid = fork();
	if (running->pid == 0) {
		(void)dup2(running->out, STDOUT_FILENO);
		(void)dup2(running->err, STDERR_FILENO);
		(void)execv(CLONECTL, argv);
		_exit(127);
	}
	assert_true(running->pid > 0);
	for (int i = 0; i < nr; i++)
		free(argv[i]);
}

static void read_all(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	assert_true(n >= 0);
	buf[n] = '\0';
	(void)close(fd);
}

void run_join(struct running *running, struct run *ret_run)
{
	int status;

	while (waitpid(running->pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	ret_run->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	read_all(running->out, ret_run->out, sizeof(ret_run->out));
	read_all(running->err, ret_run->err, sizeof(ret_run->err));
}

void run_clonectl(struct run *ret_run, const char *const words[])
{
	struct running running;

	run_start(&running, words);
	run_join(&running, ret_run);
}
