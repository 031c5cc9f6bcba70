/*
 * Everybody may read /proc/PID/cmdline: what may be secret in SOURCE (userinfo, query) and in
 * proxy= (userinfo) is overwritten in argv once it has been parsed. mount(8)'s own argv is not ours
 * to change.
 */
#ifndef CLONEFS_DAEMON_ARGV_HIDE_H
#define CLONEFS_DAEMON_ARGV_HIDE_H

/* Overwrites each word of @argv that equals @source by @shown, cut or padded with spaces to its
 * length. */
void argv_hide(int argc, char *argv[], const char *source, const char *shown);

/* Overwrites the value of each proxy= that has an '@', and what stands behind it in its word. */
void argv_hide_proxy(int argc, char *argv[]);

#endif
