/* Runs the clonectl that was built, in surroundings that no other test and no real clone share. */
#ifndef CLONEFS_TEST_RUN_CLONECTL_H
#define CLONEFS_TEST_RUN_CLONECTL_H

#include <sys/types.h>

/*
 * Makes a private folder of sockets and of state: as root in a mount namespace of its own, else
 * through the environment. False: neither is possible here (skip).
 */
int surroundings_setup(void **state);
int surroundings_teardown(void **state);

extern char run_folder[];  /* RUN */
extern char state_root[];  /* the folder of all state folders */
extern char work_folder[]; /* for whatever a test needs; empty at first */

struct run {
	int status; /* exit status; -1: a signal */
	char out[16384];
	char err[4096];
};

/* @words: the arguments up to NULL. */
void run_clonectl(struct run *ret_run, const char *const words[]);
#define RUN(run, ...) run_clonectl(run, (const char *const[]){__VA_ARGS__, NULL})

/* The same in two steps, for commands that wait; the output is there after run_join(). */
struct running {
	pid_t pid;
	int out, err; /* memory files */
};
void run_start(struct running *running, const char *const words[]);
void run_join(struct running *running, struct run *ret_run);

#endif
