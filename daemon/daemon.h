/*
 * All parts of a running daemon, for the few files that tie them together (main.c, controls.c,
 * serve.c). Made and taken apart in main.c.
 */
#ifndef CLONEFS_DAEMON_DAEMON_H
#define CLONEFS_DAEMON_DAEMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/mutex.h"
#include "daemon/clone.h"
#include "daemon/file_times.h"
#include "daemon/fuse_file.h"
#include "daemon/mount.h"
#include "daemon/opens.h"
#include "daemon/options.h"
#include "daemon/trim.h"

struct control_server;
struct digest;
struct fuse_loop;
struct pending_table;
struct stop_guard;
struct watcher;

struct daemon {
	const struct options *options; /* borrowed */
	struct mount_place place;
	char *image_path; /* owned; of the exposed file */
	struct clone clone;
	struct file_times times;
	struct trim trim; /* the watcher's */
	struct opens opens;
	struct fuse_file file;
	struct pending_table *pending;
	struct watcher *watcher;
	_Atomic(struct digest *) digest; /* NULL: nothing is expected, or not yet made */
	struct control_server *control;
	struct stop_guard *guard;         /* from the end of serving on */
	_Atomic(struct fuse_loop *) loop; /* set once; the committer may ask before it is */
	dev_t device;                     /* of the mount; 0: not mounted yet */
	uint64_t started_ns;              /* monotonic */

	struct cf_mutex lock; /* protects: settings, closing, and their way into the image */
	struct settings settings;
	bool closing; /* settings are what the end needs them to be */
};

#endif
