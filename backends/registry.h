/*
 * Where sources come from: a path or URL becomes a struct source. The engine's calls go through
 * wrappers that hold both sides to the contract of core/engine/source.h.
 */
#ifndef CLONEFS_BACKENDS_REGISTRY_H
#define CLONEFS_BACKENDS_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/engine/source.h"

#define SOURCE_MAX_CONNECTIONS_DEFAULT 16
#define SOURCE_MAX_CONNECTIONS_LIMIT   256
#define SOURCE_STALL_MS_DEFAULT        10000

/* Zero means the default; everything is copied. */
struct source_options {
	const char *cacert; /* file of CA certificates to trust, instead of the system's */
	/* http only; see backends/http_auth.h: */
	const char *user_file;        /* USER:PASSWORD; instead of the URL's */
	const char *netrc;            /* when there is no other login; "": ~/.netrc */
	const char *header_file;      /* NAME: VALUE lines */
	const char *cert;             /* client certificate, PEM */
	const char *key;              /* its key, PEM; NULL: in cert */
	const char *proxy;            /* URL; "": none; NULL: the environment's */
	bool insecure_redirect;       /* follows redirects from https to http */
	unsigned int max_connections; /* 1 to 256; default 16 */
	uint64_t stall_ms;            /* see struct source_limits; default 10 s */
};

/*
 * Opens @url: a path, file://, http:// or https://. Neither the disk nor the network is touched
 * yet (but the files that @opts name are looked at): the probe does that. Threads are made: none
 * before the last fork. @ret is closed by (*ret)->ops->close(). Userinfo of a URL is used to log in
 * and appears nowhere else, not even in the sentences for -EINVAL: a kind of source that is not
 * known or a malformed URL. -ENOMEM, -EAGAIN: no resources.
 */
int source_open(const char *url, const struct source_options *opts, struct source **ret,
                struct cf_error *err);

#endif
