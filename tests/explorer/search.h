/*
 * search: walks through every state that a model can reach, breadth first, so that what it finds is found in the fewest
 * steps. Of a state only a 64-bit hash is kept. That any two of ten million states share one, so that one would be
 * passed over, has a chance of 3 in a million.
 */
#ifndef MAILHOLD_TESTS_EXPLORER_SEARCH_H
#define MAILHOLD_TESTS_EXPLORER_SEARCH_H

#include <stdio.h>

#include "model.h"

enum outcome { OUTCOME_SAFE, OUTCOME_VIOLATION, OUTCOME_CUT_OFF, OUTCOME_NO_MEMORY };

/* Things that must have happened somewhere, or "safe" would say nothing. */
struct witness {
	bool both_writers_done, a_pack_deleted, a_snapshot_expired, a_copy_published, a_power_cut;
};

struct search_result {
	enum outcome outcome;
	uint64_t states; /* different ones, symmetric ones counted once */
	uint64_t steps;
	unsigned depth;   /* of the deepest state, or of the violation */
	unsigned longest; /* history */
	double seconds;
	struct witness witness;
	char violation[80];
};

struct search_limits {
	uint64_t states;
	double seconds;
};

/* Prints the way to a violation to TRACE (may be NULL), one numbered line for a step. */
struct search_result search(const struct model *m, const struct search_limits *limits, FILE *trace);

#endif
