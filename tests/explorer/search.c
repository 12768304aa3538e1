#include "search.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"

#define NO_PARENT UINT32_MAX

/* One state that was reached. Its bytes live only while it waits to be expanded. */
struct visit {
	uint64_t hash;
	uint32_t parent;
};

struct frontier {
	struct state *states;
	uint32_t *numbers; /* rows of visits */
	size_t count, cap;
};

/*
 * Invariants: 1. table holds row + 1 of every visit at its hash, with linear probing; 0 is free. 2. its size is a power
 * of two and at least twice visit_count.
 */
struct search {
	const struct model *m;
	struct visit *visits;
	size_t visit_count, visit_cap;
	uint32_t *table;
	size_t table_size;
	struct frontier now, next;
	struct steps *steps;
	struct search_result result;
	uint32_t bad; /* row of the violation */
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t state_hash(const struct model *m, const struct state *s)
{
	return hash64(span_of(s, model_state_bytes(m)));
}

static size_t grown_cap(size_t cap)
{
	return cap ? cap * 2 : 1024;
}

/* Room for one more of EACH bytes; CAP is changed by the caller, who may keep several arrays of one capacity. */
static bool grow(void *array, size_t each, size_t count, size_t cap)
{
	void **at = array, *grown;

	if (count < cap)
		return true;
	grown = realloc(*at, grown_cap(cap) * each);
	if (!grown)
		return false;
	*at = grown;
	return true;
}

static void table_put(struct search *s, uint32_t row)
{
	size_t at = s->visits[row].hash & (s->table_size - 1);

	while (s->table[at])
		at = (at + 1) & (s->table_size - 1);
	s->table[at] = row + 1;
}

static bool table_has(const struct search *s, uint64_t hash)
{
	for (size_t at = hash & (s->table_size - 1); s->table[at]; at = (at + 1) & (s->table_size - 1))
		if (s->visits[s->table[at] - 1].hash == hash)
			return true;
	return false;
}

static bool table_grow(struct search *s)
{
	size_t size = s->table_size ? s->table_size * 2 : 1 << 16;

	if (s->table_size >= 2 * (s->visit_count + 1))
		return true;
	free(s->table);
	s->table = calloc(size, sizeof *s->table);
	if (!s->table)
		return false;
	s->table_size = size;
	for (uint32_t row = 0; row < s->visit_count; row++)
		table_put(s, row);
	return true;
}

static bool visit_add(struct search *s, uint64_t hash, uint32_t parent)
{
	if (!grow(&s->visits, sizeof *s->visits, s->visit_count, s->visit_cap))
		return false;
	if (s->visit_count == s->visit_cap)
		s->visit_cap = grown_cap(s->visit_cap);
	s->visits[s->visit_count++] = (struct visit){ hash, parent };
	if (!table_grow(s))
		return false;
	table_put(s, (uint32_t)(s->visit_count - 1));
	return true;
}

static bool frontier_add(struct frontier *f, const struct state *state, uint32_t number)
{
	if (!grow(&f->states, sizeof *f->states, f->count, f->cap) ||
	    !grow(&f->numbers, sizeof *f->numbers, f->count, f->cap))
		return false;
	if (f->count == f->cap)
		f->cap = grown_cap(f->cap);
	f->states[f->count] = *state;
	f->numbers[f->count++] = number;
	return true;
}

static void note_witness(struct search *s, const struct state *t)
{
	struct witness *w = &s->result.witness;
	const struct view *v = &t->view;

	if (t->count > s->result.longest)
		s->result.longest = t->count;
	w->both_writers_done |= t->actor[0].step == STEP_DONE && t->actor[1].step == STEP_DONE;
	w->a_pack_deleted |= v->pack[0] >= PACK_IS_CONDEMNED && !(t->present & 1);
	w->a_power_cut |= t->power_cuts < s->m->power_cuts;
	for (size_t k = 0; k < SNAPSHOTS; k++)
		w->a_snapshot_expired |= v->snapshot[k] == SNAP_EXPIRED;
	for (size_t i = WRITERS; i < ACTORS; i++)
		w->a_copy_published |= v->pack[1 + i] != PACK_NONE;
}

/* True when the search goes on. */
static bool reach(struct search *s, const struct state *state, uint32_t parent)
{
	struct state t = model_canonical(s->m, state);
	uint64_t hash = state_hash(s->m, &t);
	const char *violation;

	if (table_has(s, hash))
		return true;
	if (!visit_add(s, hash, parent) || !frontier_add(&s->next, &t, (uint32_t)(s->visit_count - 1))) {
		s->result.outcome = OUTCOME_NO_MEMORY;
		return false;
	}
	violation = model_violation(s->m, &t);
	if (violation) {
		snprintf(s->result.violation, sizeof s->result.violation, "%s", violation);
		s->result.outcome = OUTCOME_VIOLATION;
		s->bad = (uint32_t)(s->visit_count - 1);
		return false;
	}
	note_witness(s, &t);
	return true;
}

static bool expand_level(struct search *s, const struct search_limits *limits, double begun)
{
	for (size_t i = 0; i < s->now.count; i++) {
		model_steps(s->m, &s->now.states[i], s->steps);
		s->result.steps += s->steps->count;
		for (size_t k = 0; k < s->steps->count; k++)
			if (!reach(s, &s->steps->to[k], s->now.numbers[i]))
				return false;
		if (s->visit_count >= limits->states || (i % 1024 == 0 && seconds_now() - begun > limits->seconds)) {
			s->result.outcome = OUTCOME_CUT_OFF;
			return false;
		}
	}
	return true;
}

/*
 * States on the way were stored with their actors renamed. Walking it again from the start, and taking each time the
 * step whose canonical form is the next one stored, tells it with one name for each.
 */
static void print_trace(struct search *s, FILE *trace)
{
	uint32_t way[256];
	size_t length = 0;
	struct state at = model_start(s->m);

	for (uint32_t row = s->bad; s->visits[row].parent != NO_PARENT && length < 256; row = s->visits[row].parent)
		way[length++] = row;
	for (size_t n = 0; n < length; n++) {
		uint64_t wanted = s->visits[way[length - 1 - n]].hash;
		size_t k = 0;

		model_steps(s->m, &at, s->steps);
		for (; k < s->steps->count; k++) {
			struct state t = model_canonical(s->m, &s->steps->to[k]);

			if (state_hash(s->m, &t) == wanted)
				break;
		}
		if (k == s->steps->count)
			return;
		fprintf(trace, "    %2zu  %s\n", n + 1, event_text(&s->steps->event[k]).text);
		at = s->steps->to[k];
	}
	fprintf(trace, "        %s\n", model_violation(s->m, &at));
}

static void walk(struct search *s, const struct search_limits *limits, double begun)
{
	struct state first = model_start(s->m);
	bool on = table_grow(s) && reach(s, &first, NO_PARENT);

	while (on && s->next.count) {
		struct frontier done = s->now;

		s->now = s->next;
		s->next = done;
		s->next.count = 0;
		s->result.depth++;
		on = expand_level(s, limits, begun);
	}
	if (on)
		s->result.depth--; /* nothing was found behind the last level */
}

struct search_result search(const struct model *m, const struct search_limits *limits, FILE *trace)
{
	struct search s = { .m = m, .steps = malloc(sizeof *s.steps) };
	double begun = seconds_now();

	if (!s.steps)
		s.result.outcome = OUTCOME_NO_MEMORY;
	else
		walk(&s, limits, begun);
	s.result.states = s.visit_count;
	s.result.seconds = seconds_now() - begun;
	if (s.result.outcome == OUTCOME_VIOLATION && trace)
		print_trace(&s, trace);
	free(s.visits);
	free(s.table);
	free(s.now.states);
	free(s.now.numbers);
	free(s.next.states);
	free(s.next.numbers);
	free(s.steps);
	return s.result;
}
