/*
 * crashes: power cuts after operations of a recorded scene, each judged in this process or its children.
 */
#ifndef MAILHOLD_TESTS_DISK_CRASHES_H
#define MAILHOLD_TESTS_DISK_CRASHES_H

#include "scene.h"

struct crash_options {
	uint64_t crashes; /* how many, at least one */
	uint64_t seed;
	unsigned jobs;
	const struct no_sync *without; /* or NULL */
};
struct crash_report {
	uint64_t crashes;    /* moments and choices that were drawn */
	uint64_t states;     /* different ones among them: those were judged */
	uint64_t repository; /* judged ones with a repository in them */
	uint64_t ignored;    /* syncs that were passed over */
	uint64_t failures;
	char failure[4000]; /* the first, with what repeats it */
};
/* Every operation is cut once before any is cut twice, as far as CRASHES goes. Stops at the first failure. */
void crashes_run(const struct stage *s, const struct recorded *r, const struct crash_options *o,
                 struct crash_report *out);

#endif
