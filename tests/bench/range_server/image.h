/*
 * What is served: an image of any size whose bytes repeat after a while, so that it needs little
 * memory and no disk, and dropped caches do not touch it. No aligned block of it is zero, and no
 * two regions near each other are alike.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct image {
	int fd;
	uint64_t size;
};

/* 0 or a negative errno. */
int image_make(struct image *image, uint64_t size);

/* As sendfile(2): bytes sent, or a negative errno. Sends fewer than length at will. */
ssize_t image_send(const struct image *image, int socket_fd, uint64_t offset, uint64_t length);
