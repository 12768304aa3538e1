/*
 * Check: the ledger's chain, every live pack's tables (and with read_data every block and chunk), every page and
 * reference of every live snapshot. One damaged thing is told and the rest goes on.
 */
#include "engine/work/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/repo/holders.h"
#include "engine/work/parity_work.h"
#include "engine/work/vouch.h"

#define SAVE_EVERY_MS 10000

void check_problem(struct check *c, const char *object, const struct err *what)
{
	struct check_problem p = { .object = object, .what = what };

	if (what->code == ERR_NO_MEMORY) {
		c->ours = *what;
		return;
	}
	c->report->problems++;
	c->trouble++;
	if (c->visit)
		c->visit(c->ctx, &p);
}

enum err_code check_end(const struct check *c, enum err_code rc, struct err *e)
{
	if (!rc && c->ours.code) {
		*e = c->ours;
		rc = e->code;
	}
	return rc;
}

void check_init(struct check *c, struct repo *r, const struct check_options *o, check_visit visit, void *ctx,
                struct check_report *report)
{
	*c = (struct check){ .repo = r, .options = o, .visit = visit, .ctx = ctx, .report = report };
}

void check_release(struct check *c)
{
	known_release(&c->known);
	idmap_release(&c->damaged);
	verified_release(&c->verified);
	idmap_release(&c->pages_seen);
	idmap_release(&c->trees_seen);
	buf_release(&c->pages);
	buf_release(&c->items);
	buf_release(&c->names);
	buf_release(&c->ids);
	buf_release(&c->have);
}

/* ---- ledger ---- */

static void ledger_trouble(void *ctx, uint64_t number, const struct err *what)
{
	struct check *c = ctx;
	char object[48];

	snprintf(object, sizeof object, "ledger record %" PRIu64, number);
	c->report->objects_gone += what->code == ERR_FORKED;
	check_problem(c, object, what);
}

static enum err_code check_beyond(struct check *c, struct err *e)
{
	struct repo_beyond b;
	struct err what;
	char object[48];
	enum err_code rc = repo_look_beyond(c->repo, &b, e);

	if (rc || (!b.records && !b.packs))
		return rc;
	snprintf(object, sizeof object, "ledger record %" PRIu64, b.head + 1);
	if (b.records)
		err_set(&what, ERR_FORKED,
		        "it is gone, though record %" PRIu64
		        " is there: what it and all later ones said is not seen by anybody",
		        b.first_record);
	else
		err_set(&what, ERR_FORKED,
		        "it is gone: %" PRIu64
		        " packs are of sessions that later records opened (%s). The store went back to "
		        "an older ledger; snapshots made since are not seen",
		        b.packs, b.pack);
	c->report->objects_gone++;
	check_problem(c, object, &what);
	return ERR_OK;
}

/* ---- key objects: what can be told of them without their secrets ---- */

static enum err_code check_key(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct check *c = ctx;
	struct buf object = BUF_EMPTY;
	struct holder_id holder = { 0 }, told = { 0 };
	struct repo_id repo = keys_repo(c->repo->keys), told_repo = repo;
	struct slot_info info;
	struct label label;
	struct err what;
	enum err_code rc;

	(void)bytes;
	(void)e;
	rc = store_get(c->repo->store, name, BUNDLE_BYTES_MAX, &object, &what);
	switch (rc ? KEY_OTHER : key_path_parse(name, &holder)) {
	case KEY_SLOT:
	case KEY_SLOT_LATER:
		rc = slot_inspect(buf_span(&object), &info, &what);
		told = info.holder;
		told_repo = info.repo;
		break;
	case KEY_BUNDLE:
		rc = bundle_inspect(buf_span(&object), &told, &told_repo, &what);
		break;
	case KEY_LABEL:
		rc = label_open(c->repo->keys, &holder, buf_span(&object), &label, &what);
		if (rc == ERR_WRONG_KEY && !keys_read_names(c->repo->keys))
			rc = ERR_OK; /* a keeper reads no names */
		told = holder;
		break;
	default:
		break;
	}
	if (!rc && (memcmp(&told, &holder, sizeof told) != 0 || memcmp(&told_repo, &repo, sizeof repo) != 0))
		rc = err_set(&what, ERR_CORRUPT, "it is of another key or another repository");
	if (rc)
		check_problem(c, name, &what);
	buf_release(&object);
	return ERR_OK;
}

/* An announced key whose objects are not there. What is there was looked at by check_key. */
static enum err_code check_holder(void *ctx, const struct key_info *k, struct err *e)
{
	struct check *c = ctx;
	char object[48];
	struct err what;

	(void)e;
	if (k->state != KEY_GONE)
		return ERR_OK;
	snprintf(object, sizeof object, "key %.8s", k->id_hex);
	err_set(&what, ERR_NOT_FOUND, "its slot or its bundle is missing, so that it opens nothing any more");
	check_problem(c, object, &what);
	return ERR_OK;
}

static enum err_code check_keys(struct check *c, struct err *e)
{
	enum err_code rc = store_list(c->repo->store, "key", check_key, c, e);

	return rc ? rc : repo_keys(c->repo, check_holder, c, e);
}

/* ---- packs ---- */

static bool wants_data(void *ctx, uint32_t ordinal)
{
	struct check *c = ctx;
	uint64_t bytes = ledger_pack(c->repo->ledger, ordinal)->pack.bytes;

	if (!c->options->read_data || !c->data_left)
		return false;
	if (c->report->packs_data && clock_monotonic_ms() >= c->data_until_ms)
		return false;
	c->data_left -= bytes < c->data_left ? bytes : c->data_left;
	return true;
}

static void pack_trouble(void *ctx, const char *object, const struct err *what)
{
	check_problem(ctx, object, what);
}

static enum err_code pack_block_seen(void *ctx, const struct survey_block *b, struct err *e)
{
	struct check *c = ctx;
	enum err_code rc = ERR_OK;

	if (b->data) {
		c->report->blocks++;
		c->report->chunks += b->count;
		c->report->bytes_read += b->sealed_bytes;
	}
	if (b->ids && b->whole)
		return known_add(&c->known, b->ids, b->count, e);
	for (uint32_t i = 0; !rc && b->ids && i < b->count; i++)
		rc = idmap_put(&c->damaged, b->ids[i].bytes, 0, e);
	return rc;
}

static void parity_trouble(void *ctx, const char *object, const struct err *what)
{
	check_problem(ctx, object, what);
}

static void save_verified(struct check *c)
{
	struct err why;

	c->saved_ms = clock_monotonic_ms();
	if (verified_save(c->repo, &c->verified, &why))
		repo_notice(c->repo, ENGINE_WARNING, "what was verified is not remembered: %s", why.text);
}

static enum err_code pack_seen(void *ctx, const struct survey_pack *p, struct err *e)
{
	struct check *c = ctx;
	enum err_code rc = ERR_OK;

	c->report->packs++;
	c->report->packs_data += p->data;
	c->report->objects_gone += p->missing;
	if (p->damaged && c->bad_packs)
		rc = buf_append(c->bad_packs, span_of(p, sizeof *p), e);
	if (!rc && !p->missing)
		rc = parity_look(c->repo, ledger_pack(c->repo->ledger, p->ordinal), p->data, parity_trouble, c, e);
	if (!rc && (p->data || p->damaged))
		rc = verified_set(&c->verified, p->ordinal, p->damaged ? 0 : clock_now_ms(), e);
	if (!rc && p->data && !p->damaged)
		rc = vouch_note(c->repo, ledger_pack(c->repo->ledger, p->ordinal), &c->vouched, e);
	if (!rc && p->data && clock_monotonic_ms() - c->saved_ms > SAVE_EVERY_MS)
		save_verified(c);
	return rc;
}

struct due {
	int64_t at_ms;
	uint32_t ordinal;
};

static int by_time(const void *a, const void *b)
{
	const struct due *x = a, *y = b;

	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->ordinal < y->ordinal ? -1 : 1;
}

/* With a budget, those that were verified longest ago come first. */
static enum err_code put_in_order(const struct check *c, struct buf *ordinals, struct err *e)
{
	uint32_t *list = (uint32_t *)(void *)ordinals->ptr;
	size_t count = ordinals->len / sizeof *list;
	struct due *due;

	if (!count || (c->data_left == UINT64_MAX && c->data_until_ms == INT64_MAX))
		return ERR_OK;
	due = mem_zalloc(count, sizeof *due);
	if (!due)
		return err_no_memory(e, count * sizeof *due);
	for (size_t i = 0; i < count; i++)
		due[i] = (struct due){ verified_at(&c->verified, list[i]), list[i] };
	qsort(due, count, sizeof *due, by_time);
	for (size_t i = 0; i < count; i++)
		list[i] = due[i].ordinal;
	mem_free(due);
	return ERR_OK;
}

static void set_budget(struct check *c, const struct buf *ordinals)
{
	const uint32_t *list = (const uint32_t *)(const void *)ordinals->ptr;
	const struct check_options *o = c->options;
	uint64_t all = 0;

	for (size_t i = 0; i < ordinals->len / sizeof *list; i++)
		all += ledger_pack(c->repo->ledger, list[i])->pack.bytes;
	c->data_left = UINT64_MAX;
	if (o->data_percent && o->data_percent < 100)
		c->data_left = all / 100 * o->data_percent + 1;
	if (o->data_bytes && o->data_bytes < c->data_left)
		c->data_left = o->data_bytes;
	c->data_until_ms = o->data_ms ? clock_monotonic_ms() + o->data_ms : INT64_MAX;
	c->saved_ms = clock_monotonic_ms();
}

enum err_code check_packs(struct check *c, struct err *e)
{
	struct survey_ops ops = {
		.ctx = c, .wants_data = wants_data, .problem = pack_trouble, .block = pack_block_seen, .pack = pack_seen
	};
	struct buf ordinals = BUF_EMPTY;
	bool first = c->packs_seen == 0;
	enum err_code rc = survey_live(c->repo, c->packs_seen, &ordinals, e);

	if (!rc && first)
		rc = verified_load(c->repo, &c->verified, e);
	if (!rc && first)
		set_budget(c, &ordinals);
	if (!rc)
		rc = put_in_order(c, &ordinals, e);
	c->packs_seen = ledger_pack_count(c->repo->ledger);
	if (!rc)
		rc = survey(c->repo, (const uint32_t *)(const void *)ordinals.ptr, ordinals.len / sizeof(uint32_t),
		            &ops, e);
	/* Also when it was stopped: what was done is done. */
	if (c->report->packs_data || c->report->problems)
		save_verified(c);
	buf_release(&ordinals);
	return check_end(c, rc, e);
}

/* ---- what can be had ---- */

/* More chunks than known.h holds: the index tells, and what lies in a damaged block does not count. */
static enum err_code ask_index(struct check *c, const struct chunk_id *ids, size_t count, bool *have, struct err *e)
{
	struct place places[256];
	uint64_t ignored;
	enum err_code rc = ERR_OK;

	for (size_t at = 0; !rc && at < count; at += ARRAY_LEN(places)) {
		size_t n = count - at < ARRAY_LEN(places) ? count - at : ARRAY_LEN(places);

		rc = index_find(c->repo->index, ids + at, n, places, have + at, e);
		for (size_t i = at; !rc && i < at + n; i++)
			have[i] = have[i] && !idmap_get(&c->damaged, ids[i].bytes, &ignored);
	}
	return rc;
}

static enum err_code ask(struct check *c, const struct chunk_id *ids, size_t count, bool *have, bool *all,
                         struct err *e)
{
	enum err_code rc = ERR_OK;

	if (c->known.full)
		rc = ask_index(c, ids, count, have, e);
	else
		for (size_t i = 0; i < count; i++)
			have[i] = known_has(&c->known, &ids[i]);
	*all = true;
	for (size_t i = 0; i < count; i++)
		*all &= have[i];
	return rc;
}

/* Rule H: reads the ledger on; *NEWS tells whether new packs were looked at. */
static enum err_code look_on(struct check *c, bool *news, struct err *e)
{
	enum err_code rc = repo_refresh(c->repo, e);

	*news = !rc && ledger_pack_count(c->repo->ledger) > c->packs_seen;
	if (!*news)
		return rc;
	rc = check_packs(c, e);
	return rc ? rc : index_update(c->repo->index, c->repo->ledger, e);
}

enum err_code check_have(struct check *c, const struct chunk_id *ids, size_t count, bool *have, struct err *e)
{
	bool all, news;
	enum err_code rc = ask(c, ids, count, have, &all, e);

	if (!rc && !all) {
		rc = look_on(c, &news, e);
		if (!rc && news)
			rc = ask(c, ids, count, have, &all, e);
	}
	for (size_t i = 0; !rc && !all && c->missing && i < count; i++)
		if (!have[i])
			rc = idmap_put(c->missing, ids[i].bytes, 0, e);
	return rc;
}

enum err_code check_count_missing(struct check *c, const struct chunk_id *ids, size_t count, uint64_t *missing,
                                  struct err *e)
{
	bool have[256];
	enum err_code rc = ERR_OK;

	for (size_t at = 0; !rc && at < count; at += ARRAY_LEN(have)) {
		size_t n = count - at < ARRAY_LEN(have) ? count - at : ARRAY_LEN(have);

		rc = check_have(c, ids + at, n, have, e);
		for (size_t i = 0; !rc && i < n; i++)
			*missing += !have[i];
	}
	return rc;
}

/* ---- door ---- */

static enum err_code check_all(struct check *c, struct err *e)
{
	enum err_code rc = ledger_check(c->repo->ledger, ledger_trouble, c, e);

	if (!rc)
		rc = check_beyond(c, e);
	c->report->records = ledger_head(c->repo->ledger).number + 1;
	if (!rc)
		rc = ledger_check_epoch(c->repo->ledger, e);
	if (!rc)
		rc = check_keys(c, e);
	if (!rc)
		rc = check_packs(c, e);
	if (!rc)
		rc = repo_need_index(c->repo, INDEX_READ, e);
	if (!rc)
		rc = index_update(c->repo->index, c->repo->ledger, e);
	return rc ? rc : check_snapshots(c, e);
}

enum err_code engine_check(struct repo *r, const struct check_options *o, check_visit visit, void *ctx,
                           struct check_report *out, struct err *e)
{
	struct check c;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	if (o->data_percent > 100)
		return err_set(e, ERR_USAGE, "there are at most 100 percent");
	check_init(&c, r, o, visit, ctx, out);
	rc = check_all(&c, e);
	verified_sum(r, &c.verified, &out->verified);
	vouch_record(r, &c.vouched);
	check_release(&c);
	return rc;
}
