#include "backends/job.h"

#include <assert.h>
#include <string.h>

void *source_job_place(struct source_request *req, size_t size)
{
	struct source_job *job = (struct source_job *)req->backend_room;

	assert(size >= sizeof(*job) && size <= sizeof(req->backend_room));
	assert(!req->backend);
	memset(req->backend_room, 0, size);
	job->req = req;
	job->class = req->class;
	req->backend = job;
	return job;
}

bool source_job_data(struct source_job *job, const void *bytes, size_t length)
{
	struct source_request *req = job->req;

	assert(req && length > 0 && length <= req->length - job->delivered);
	if (!req->sink->data(req, bytes, length))
		return false;
	job->delivered += length;
	return true;
}

void source_job_done(struct source_job *job, const struct source_outcome *outcome)
{
	struct source_request *req = job->req;

	assert(req && !req->backend);
	assert(outcome->result != SOURCE_OK || job->delivered == req->length);
	assert(outcome->result == SOURCE_OK || outcome->result == SOURCE_CANCELLED ||
	       (outcome->error.code < 0 && outcome->error.text[0]));
	job->req = NULL;
	req->sink->done(req, outcome);
}
