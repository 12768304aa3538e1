/*
 * Traces of the model, driven through the real ledger: at every record the real writer's judgement (append or refuse),
 * the real readers' (take or void), and what every reader believes of sessions, packs and snapshots must be the
 * model's. Each actor has a handle and a cache file of its own and lags behind the others at random. Half of the traces
 * also hold records that no honest actor would append, some of them illegal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/ledger/ledger_internal.h"
#include "model.h"
#include "unit/engine/memory_chunks.h"

#define TRACES     300
#define GIVEN      2 /* real records before the model's record 1, less one: INIT, then OPEN and COMMIT */
#define NO_SESSION UINT64_C(999999)

struct world {
	char folder[64];
	struct keys *keys;
	struct store *store;
	struct ledger *handle[ACTORS];
	struct pack_added pack[PACKS];
	struct snapshot_id snapshot[SNAPSHOTS];
	uint64_t session[ACTORS]; /* NO_SESSION before its OPEN */
	unsigned notices;
};

/* One trace: how it was drawn, and where it stands. */
struct trace {
	struct model model;
	struct state at;
	bool intruder;
	unsigned number;
};

static struct err err;
static struct {
	unsigned records, refused;
	unsigned kinds[KIND_END];
} tally;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static unsigned draw(unsigned count)
{
	return (unsigned)(next_random() % count);
}

static void on_notice(void *ctx, const char *text)
{
	(void)text;
	((struct world *)ctx)->notices++;
}

/* ---- the real world ---- */

static void handle_open(struct world *w, size_t i)
{
	char cache[96];

	snprintf(cache, sizeof cache, "%s/cache%zu", w->folder, i);
	ok(ledger_open(w->store, w->keys, cache, on_notice, w, &w->handle[i], &err));
}

static struct snapshot_entry entry_of(const struct world *w, size_t snapshot)
{
	struct snapshot_entry s = { .id = w->snapshot[snapshot],
		                    .time_ms = 1700000000000,
		                    .sealed = SPAN_LIT("sealed") };

	memset(s.account.bytes, 7, sizeof s.account.bytes);
	return s;
}

/* Snapshot 0 in pack 0, which every trace begins with. */
static void commit_given(struct world *w)
{
	struct snapshot_entry s = entry_of(w, 0);
	struct commit c = {
		.end_session = true, .added = &w->pack[0], .added_count = 1, .snapshots = &s, .snapshot_count = 1
	};

	ok(ledger_open_session(w->handle[0], &c.session, &err));
	w->pack[0].name.session = c.session;
	ok(ledger_commit(w->handle[0], &c, NULL, &err));
}

/* In memory if there is such a place: thousands of records are synced, and nothing here is about surviving that. */
static const char *temporary_folder(void)
{
	const char *given = getenv("TMPDIR");

	return given ? given : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* Handles keep W: it must stay where it is. */
static void world_new(struct world *w)
{
	char url[80];

	*w = (struct world){ .notices = 0 };
	snprintf(w->folder, sizeof w->folder, "%.30s/mailhold-conform-XXXXXX", temporary_folder());
	assert_non_null(mkdtemp(w->folder));
	snprintf(url, sizeof url, "%s/store", w->folder);
	ok(keys_new(&w->keys, &err));
	ok(store_create(url, &w->store, &err));
	ok(ledger_create(w->store, w->keys, 1, 1, &err));
	for (size_t p = 0; p < PACKS; p++) {
		w->pack[p].bytes = 4096;
		crypto_random(w->pack[p].name.random, sizeof w->pack[p].name.random);
	}
	for (size_t k = 0; k < SNAPSHOTS; k++)
		crypto_random(w->snapshot[k].bytes, sizeof w->snapshot[k].bytes);
	for (size_t i = 0; i < ACTORS; i++) {
		handle_open(w, i);
		w->session[i] = NO_SESSION;
	}
	commit_given(w);
	for (size_t i = 0; i < ACTORS; i++)
		ok(ledger_refresh(w->handle[i], &err));
}

static void world_end(struct world *w)
{
	for (size_t i = 0; i < ACTORS; i++)
		ledger_free(&w->handle[i]);
	store_free(&w->store);
	keys_free(&w->keys);
	ok(file_remove_tree(w->folder, &err));
}

/* ---- what the real fold believes, in the model's words ---- */

static uint8_t real_snapshot(const struct world *w, const struct ledger *l, size_t k)
{
	for (size_t i = 0; i < ledger_snapshot_count(l); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(l, i);

		if (memcmp(fact->entry.id.bytes, w->snapshot[k].bytes, sizeof fact->entry.id.bytes) == 0)
			return fact->state == SNAPSHOT_LIVE    ? SNAP_LIVE
			       : fact->state == SNAPSHOT_TRASH ? SNAP_TRASH
			                                       : SNAP_EXPIRED;
	}
	return SNAP_NONE;
}

static uint8_t real_pack(const struct world *w, const struct ledger *l, size_t p)
{
	uint32_t ordinal;

	if (!ledger_pack_find(l, &w->pack[p].name, &ordinal))
		return PACK_NONE;
	switch (ledger_pack(l, ordinal)->state) {
	case PACK_LIVE:
		return PACK_IS_LIVE;
	case PACK_CONDEMNED:
		return PACK_IS_CONDEMNED;
	default:
		return PACK_IS_DROPPED;
	}
}

static uint8_t real_session(const struct world *w, const struct ledger *l, size_t i)
{
	switch (ledger_session(l, w->session[i])) {
	case SESSION_OPEN:
		return SESSION_IS_OPEN;
	case SESSION_ENDED:
		return SESSION_IS_ENDED;
	case SESSION_FENCED:
		return SESSION_IS_FENCED;
	default:
		return SESSION_NONE;
	}
}

static void print_history(const struct trace *t)
{
	for (size_t n = 0; n < t->at.count; n++) {
		const struct entry *r = &t->at.history[n];

		printf("  %2zu  actor %d: %s (flags %d)\n", n, r->actor, entry_text(r).text, r->flags);
	}
}

static void same(const struct trace *t, const char *what, size_t i, unsigned real, unsigned model)
{
	if (real == model)
		return;
	print_history(t);
	fail_msg("trace %u, %u records: %s %zu is %u, and %u in the model", t->number, t->at.count, what, i, real,
	         model);
}

/* A handle may lag: it must believe what the model's fold of as many records says. */
static void compare(const struct world *w, const struct trace *t, const struct ledger *l)
{
	size_t count = (size_t)ledger_head(l).number - GIVEN + 1;
	struct view v = model_fold(&t->model, t->at.history, count);

	for (size_t i = 0; i < ACTORS; i++)
		same(t, "the session of actor", i, real_session(w, l, i), v.session[i]);
	for (size_t p = 0; p < PACKS; p++)
		same(t, "pack", p, real_pack(w, l, p), v.pack[p]);
	for (size_t k = 0; k < SNAPSHOTS; k++)
		same(t, "snapshot", k, real_snapshot(w, l, k), v.snapshot[k]);
}

/* ---- records ---- */

struct commit_parts {
	struct commit commit;
	struct pack_added added[2];
	uint32_t against[1];
	struct snapshot_entry entry;
};

static uint32_t ordinal_of(const struct world *w, const struct ledger *l, size_t pack)
{
	uint32_t ordinal;

	return ledger_pack_find(l, &w->pack[pack].name, &ordinal) ? ordinal : ledger_pack_count(l) + 5;
}

/* A COMMIT or REPACK; PARTS is what it points to. */
static void commit_make(const struct world *w, const struct ledger *l, const struct entry *r,
                        struct commit_parts *parts)
{
	struct commit *c = &parts->commit;

	*parts = (struct commit_parts){ .added = { w->pack[1 + r->actor] } };
	*c = (struct commit){ .session = w->session[r->actor],
		              .end_session = true,
		              .added = parts->added,
		              .added_count = 1,
		              .against = parts->against,
		              .first_ordinal = ledger_pack_count(l) };
	if (r->flags & FLAG_SECOND)
		parts->added[c->added_count++] = w->pack[1 + ACTORS + r->actor];
	for (size_t i = 0; i < c->added_count; i++)
		parts->added[i].name.session = c->session;
	if (r->target < PACKS)
		parts->against[c->against_count++] = ordinal_of(w, l, r->target);
	if (r->kind == KIND_REPACK)
		return;
	parts->entry = entry_of(w, 1 + r->actor);
	if (r->target >= SOURCE_BASE && r->target < SOURCE_OWN)
		parts->entry.base = w->snapshot[r->target - SOURCE_BASE];
	c->snapshots = &parts->entry;
	c->snapshot_count = 1;
}

static enum record_kind real_kind(const struct entry *r)
{
	static const enum record_kind kinds[KIND_END] = {
		[KIND_OPEN] = RECORD_OPEN,     [KIND_COMMIT] = RECORD_COMMIT,
		[KIND_FORGET] = RECORD_FORGET, [KIND_UNDO] = RECORD_UNFORGET,
		[KIND_EXPIRE] = RECORD_EXPIRE, [KIND_CONDEMN] = RECORD_CONDEMN,
		[KIND_DROP] = RECORD_DROP,     [KIND_FENCE] = RECORD_FENCE,
		[KIND_REPACK] = RECORD_REPACK, [KIND_CHECKPOINT] = RECORD_CHECKPOINT,
	};

	return kinds[r->kind];
}

static void payload_make(const struct world *w, const struct ledger *l, const struct entry *r, struct buf *out)
{
	struct commit_parts parts;
	uint32_t ordinal;

	switch (r->kind) {
	case KIND_COMMIT:
	case KIND_REPACK:
		commit_make(w, l, r, &parts);
		ok(commit_encode(&parts.commit, out, &err));
		break;
	case KIND_FORGET:
	case KIND_UNDO:
	case KIND_EXPIRE:
		ok(snapshot_ids_encode(&w->snapshot[r->target], 1, out, &err));
		break;
	case KIND_CONDEMN:
	case KIND_DROP:
		ordinal = ordinal_of(w, l, r->target);
		ok(ordinals_encode(&ordinal, 1, out, &err));
		break;
	case KIND_FENCE:
		ok(session_encode(w->session[r->target], out, &err));
		break;
	}
}

/* Past all checks, as a broken or malicious writer with good keys would. */
static void put_raw(struct world *w, struct ledger *l, const struct entry *r, struct span payload)
{
	struct record raw = { .number = l->next,
		              .epoch = keys_epoch(w->keys),
		              .checkpoint_number = l->fold.checkpoint_number,
		              .holder = keys_holder(w->keys),
		              .time_ms = clock_now_ms(),
		              .kind = (uint16_t)(real_kind(r) | RECORD_CRITICAL),
		              .payload = payload };
	struct buf bytes = BUF_EMPTY;

	memcpy(raw.prev_hash, l->head.hash, sizeof raw.prev_hash);
	memcpy(raw.checkpoint_hash, l->fold.checkpoint_hash, sizeof raw.checkpoint_hash);
	ok(record_seal(w->keys, &raw, &bytes, &err));
	ok(store_put(w->store, record_path(raw.number).text, buf_span(&bytes), &err));
	buf_release(&bytes);
}

static enum err_code append_public(struct world *w, struct ledger *l, const struct entry *r, struct span payload)
{
	struct commit_parts parts;
	uint64_t session;
	enum err_code rc;

	if (r->kind == KIND_COMMIT) {
		commit_make(w, l, r, &parts);
		return ledger_commit(l, &parts.commit, NULL, &err);
	}
	if (r->kind != KIND_OPEN)
		return ledger_append_bytes(l, real_kind(r), payload, NULL, &err);
	rc = ledger_open_session(l, &session, &err);
	if (!rc)
		w->session[r->actor] = session;
	return rc;
}

/* A pack's name begins with the session of whoever uploads it. */
static void name_packs(struct world *w, size_t actor)
{
	w->pack[1 + actor].name.session = w->session[actor];
	if (actor < WRITERS)
		w->pack[1 + ACTORS + actor].name.session = w->session[actor];
}

/* Appends the newest record of T, which stood behind BEFORE. */
static void drive(struct world *w, const struct trace *t, const struct view *before)
{
	const struct entry *r = &t->at.history[t->at.count - 1];
	bool legal = entry_legal(before, r, 0);
	struct ledger *l = w->handle[r->actor];
	struct buf payload = BUF_EMPTY;
	enum err_code rc;
	unsigned told;

	ok(ledger_refresh(l, &err));
	payload_make(w, l, r, &payload);
	rc = append_public(w, l, r, buf_span(&payload));
	if (rc != (legal ? ERR_OK : ERR_STATE)) {
		print_history(t);
		fail_msg("trace %u: the last record is %s in the model, and appending says %s (%s)", t->number,
		         legal ? "legal" : "illegal", err_code_name(rc), rc ? err.text : "");
	}
	if (!legal) {
		told = w->notices;
		put_raw(w, l, r, buf_span(&payload));
		ok(ledger_refresh(l, &err));
		same(t, "the number of notices about a void record:", 0, w->notices - told, 1);
	}
	if (r->kind == KIND_OPEN)
		name_packs(w, r->actor);
	same(t, "the number of the newest record:", 0, (unsigned)ledger_head(l).number - GIVEN + 1, t->at.count);
	buf_release(&payload);
	tally.records++;
	tally.refused += !legal;
	tally.kinds[r->kind]++;
}

/* ---- drawing traces ---- */

static struct trace trace_new(unsigned number)
{
	struct trace t = { .number = number, .intruder = number & 1 };

	t.model = (struct model){ .writers = 2,
		                  .pruners = 2,
		                  .records = (uint8_t)(8 + draw(RECORDS_MAX - 8)),
		                  .forgets = 3,
		                  .undos = 2,
		                  .stale = 3,
		                  .checkpoints = 1,
		                  .requests = draw(2),
		                  .fences = draw(4) == 0,
		                  .repacks = draw(2),
		                  .drops = true,
		                  .voiding = true,
		                  .careless = draw(2) };
	t.at = model_start(&t.model);
	return t;
}

/* Any record at all, but OPEN: the model has no name for a second session of an actor. */
static struct entry intrude(void)
{
	struct entry r = { .kind = (uint8_t)(KIND_COMMIT + draw(KIND_CHECKPOINT - KIND_COMMIT)),
		           .actor = (uint8_t)draw(ACTORS) };

	if (r.kind == KIND_COMMIT) {
		static const uint8_t sources[] = {
			0, 1, 2, 3, 4, 5, 6, SOURCE_BASE, SOURCE_BASE + 1, SOURCE_BASE + 2, SOURCE_OWN
		};

		r.actor %= WRITERS;
		r.target = sources[draw(sizeof sources)];
		r.flags = (uint8_t)draw(4);
	} else if (r.kind == KIND_FORGET || r.kind == KIND_UNDO || r.kind == KIND_EXPIRE) {
		r.target = (uint8_t)draw(SNAPSHOTS);
	} else if (r.kind == KIND_FENCE) {
		r.target = (uint8_t)draw(ACTORS);
	} else {
		r.target = (uint8_t)draw(PACKS);
	}
	return r;
}

/* One step of the model or the intruder; false at the end. */
static bool trace_step(struct trace *t)
{
	static struct steps steps;

	if (t->at.count >= t->model.records)
		return false;
	if (t->intruder && draw(6) == 0) {
		struct entry r = intrude();

		model_append(&t->model, &t->at, &r);
		return true;
	}
	model_steps(&t->model, &t->at, &steps);
	if (!steps.count)
		return false;
	t->at = steps.to[draw((unsigned)steps.count)];
	return true;
}

static void reopen(struct world *w, size_t i)
{
	ledger_free(&w->handle[i]);
	handle_open(w, i);
}

static void count_problem(void *ctx, uint64_t number, const struct err *what)
{
	(void)number;
	(void)what;
	++*(unsigned *)ctx;
}

/* All caught up: every handle, from its cache or not, holds the same. */
static void finish(struct world *w, const struct trace *t)
{
	uint8_t first[16], other[16];
	unsigned problems = 0;

	reopen(w, draw(ACTORS));
	for (size_t i = 0; i < ACTORS; i++) {
		ok(ledger_refresh(w->handle[i], &err));
		compare(w, t, w->handle[i]);
		ok(fold_digest(&w->handle[i]->fold, i ? other : first, &err));
		if (i)
			assert_memory_equal(first, other, sizeof first);
	}
	ok(ledger_check(w->handle[0], count_problem, &problems, &err));
}

static void run_trace(unsigned number)
{
	struct trace t = trace_new(number);
	struct world w;

	world_new(&w);
	for (;;) {
		struct view before = t.at.view;
		uint8_t count = t.at.count;

		if (!trace_step(&t))
			break;
		if (t.at.count == count)
			continue;
		drive(&w, &t, &before);
		for (size_t i = 0; i < ACTORS; i++) {
			if (draw(8) == 0)
				reopen(&w, i);
			else if (draw(3) == 0)
				ok(ledger_refresh(w.handle[i], &err));
			compare(&w, &t, w.handle[i]);
		}
	}
	finish(&w, &t);
	world_end(&w);
}

static void the_real_ledger_does_what_the_model_does(void **state)
{
	(void)state;
	random_start("conformance");
	ok(crypto_start(&err));
	for (unsigned n = 0; n < TRACES; n++)
		run_trace(n);
	printf("%u traces, %u records, %u of them illegal\n", TRACES, tally.records, tally.refused);
	for (int k = KIND_OPEN; k < KIND_END; k++) {
		struct event_text name = entry_text(&(struct entry){ .kind = (uint8_t)k });

		printf("  %-11.*s%u\n", (int)strcspn(name.text, " "), name.text, tally.kinds[k]);
		assert_true(tally.kinds[k] > 0);
	}
	assert_true(tally.refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_real_ledger_does_what_the_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
