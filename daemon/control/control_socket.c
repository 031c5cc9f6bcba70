#include "daemon/control/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/cleanup.h"

#define BACKLOG 64

struct control_socket {
	int fd;     /* owned, -1 once taken */
	int folder; /* owned, O_PATH */
	char *path; /* owned */
	const char *name;
	bool made; /* dev and ino are those of the socket we made */
	dev_t dev;
	ino_t ino;
};

static int remove_stale(struct control_socket *s, struct cf_error *err)
{
	struct stat st;

	if (fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : cf_error_errno(err, -errno, "socket '%s'", s->path);
	if (!S_ISSOCK(st.st_mode))
		return cf_error_set(err, -EEXIST, "socket '%s': something else is there", s->path);
	if (unlinkat(s->folder, s->name, 0) < 0 && errno != ENOENT)
		return cf_error_errno(err, -errno, "removing the stale socket '%s'", s->path);
	return 0;
}

/* A socket address has 108 bytes: a longer path is reached through its folder's descriptor. */
static int fill_address(const struct control_socket *s, struct sockaddr_un *address)
{
	int n;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(address->sun_path, sizeof(address->sun_path), "%s", s->path);
	if (n >= (int)sizeof(address->sun_path))
		n = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
		             s->folder, s->name);
	return n >= (int)sizeof(address->sun_path) ? -ENAMETOOLONG : 0;
}

/*
 * The mode of a socket's file is the mode of the socket at bind() less the umask: set before, it
 * is at no time wider than 0600; set after, a strange umask does not make it narrower.
 */
static int bind_private(struct control_socket *s)
{
	struct sockaddr_un address;
	struct stat st;
	int r = fill_address(s, &address);

	if (r < 0)
		return r;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || fchmod(s->fd, 0600) < 0 ||
	    bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->made = true;
	if (fchmodat(s->folder, s->name, 0600, 0) < 0 || listen(s->fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

static int open_folder(struct control_socket *s, const char *path)
{
	CF_AUTO_FREE char *folder = NULL;
	char *slash;

	s->path = strdup(path);
	if (!s->path)
		return -ENOMEM;
	slash = strrchr(s->path, '/');
	s->name = slash ? slash + 1 : s->path;
	folder = slash ? strndup(s->path, (size_t)(slash - s->path) + 1) : strdup(".");
	if (!folder)
		return -ENOMEM;
	s->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->folder < 0 ? -errno : 0;
}

int control_socket_open(const char *path, struct control_socket **ret_socket, struct cf_error *err)
{
	struct control_socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return cf_error_errno(err, -ENOMEM, "socket '%s'", path);
	s->fd = s->folder = -1;
	r = open_folder(s, path);
	if (r < 0) {
		(void)cf_error_errno(err, r, "the folder of socket '%s'", path);
		goto fail;
	}
	r = remove_stale(s, err);
	if (r < 0)
		goto fail;
	r = bind_private(s);
	if (r < 0) {
		(void)cf_error_errno(err, r, "making socket '%s'", path);
		goto fail;
	}
	*ret_socket = s;
	return 0;
fail:
	control_socket_close(s);
	return r;
}

int control_socket_take_fd(struct control_socket *s)
{
	return cf_steal_fd(&s->fd);
}

void control_socket_close(struct control_socket *s)
{
	struct stat st;

	if (!s)
		return;
	if (s->made && fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == s->dev && st.st_ino == s->ino)
		(void)unlinkat(s->folder, s->name, 0);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->folder >= 0)
		(void)close(s->folder);
	free(s->path);
	free(s);
}

bool control_socket_peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || length != sizeof(peer))
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}
