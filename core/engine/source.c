/* The wrappers: they hold the engine and the backends to the contract in source.h. */
#include "core/engine/source.h"

#include <assert.h>

int source_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                 struct cf_error *err)
{
	return source->ops->probe(source, timeout_ms, ret_probe, err);
}

void source_pin(struct source *source, const struct source_identity *identity)
{
	source->ops->pin(source, identity);
}

void source_submit(struct source *source, struct source_request *req)
{
	assert(req->length > 0 && req->length <= SOURCE_REQUEST_MAX);
	assert(req->offset + req->length > req->offset);
	assert(req->sink && req->sink->data && req->sink->done);
	source->ops->submit(source, req);
}

void source_cancel(struct source *source, struct source_request *req)
{
	source->ops->cancel(source, req);
}

void source_resume(struct source *source, struct source_request *req)
{
	source->ops->resume(source, req);
}

void source_configure(struct source *source, const struct source_limits *limits)
{
	assert(limits->max_connections >= 1);
	source->ops->configure(source, limits);
}

bool source_is_connected(const struct source *source)
{
	return source->ops->connected;
}

bool source_can_share(const struct source *source)
{
	return source->ops->share != NULL;
}

int source_share(struct source *source, struct block_io *destination, uint64_t offset,
                 uint64_t length)
{
	assert(length > 0 && offset + length > offset);
	return source->ops->share(source, destination, offset, length);
}

void source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
}
