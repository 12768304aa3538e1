/*
 * faults: the n-th call of a command on one of the disks fails. The command must succeed or say clearly what failed, what
 * was committed before is whole, and the same command then succeeds.
 */
#ifndef MAILHOLD_TESTS_DISK_FAULTS_H
#define MAILHOLD_TESTS_DISK_FAULTS_H

#include "scene.h"

struct fault_options {
	uint64_t faults; /* how many at most; all of them when there are not more */
	uint64_t seed;
	unsigned jobs;
	enum fault only; /* FAULT_NONE: all kinds */
	bool tell;       /* every one, on standard output; no failure stops the run */
};
struct fault_report {
	uint64_t possible; /* calls, each with each fault that can hit it */
	uint64_t faults;   /* runs */
	uint64_t hit;      /* that met their fault */
	uint64_t failed;   /* commands that said so */
	uint64_t failures; /* of the test */
	char failure[3000];
};
void faults_run(const struct stage *s, const struct recorded *r, const struct fault_options *o,
                struct fault_report *out);

#endif
