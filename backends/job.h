/*
 * What every backend keeps of a request: the first member of its own structure, which lives in
 * the request's backend_room from submit to done. The two calls to the engine go through here, so
 * that the contract of core/engine/source.h is checked in one place:
 *
 * 1. data() never brings more than was asked for.
 * 2. done() is called exactly once, with OK only when every byte was taken, and with a sentence
 *    for every failure.
 */
#ifndef CLONEFS_BACKENDS_JOB_H
#define CLONEFS_BACKENDS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine/source.h"

struct source_job {
	struct source_request *req; /* borrowed */
	enum source_class class;    /* as it was at submit */
	uint64_t delivered;         /* bytes taken by data() so far */
};

/*
 * Makes @req's room the job of @size bytes that the caller's type is; zeroed but for what
 * struct source_job takes from @req. req->backend points to it until the backend clears that, under
 * its own lock, just before source_job_done().
 */
void *source_job_place(struct source_request *req, size_t size);

/* Hands @length bytes (> 0) on. False: not taken. */
bool source_job_data(struct source_job *job, const void *bytes, size_t length);

/* Ends the request; neither @job nor its request may be touched afterwards. */
void source_job_done(struct source_job *job, const struct source_outcome *outcome);

#endif
