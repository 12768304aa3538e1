/*
 * Holds: making, releasing and listing them, and judging what must stay for them. What is enforced for every reader is
 * in the fold (engine/ledger/fold.c); which snapshots a hold on items needs is found here, by those who read summaries.
 */
#include "engine/work/hold.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

#define ROUNDS_MAX 100 /* of looking again because somebody else was faster */

static bool looks_at(const struct hold_payload *h, const struct account_id *account)
{
	if (h->query && !h->account_count)
		return true;
	for (size_t i = 0; i < h->account_count; i++)
		if (!memcmp(&h->accounts[i], account, sizeof *account))
			return true;
	return false;
}

static bool is_covered(const struct hold_payload *h, const struct snapshot_fact *fact)
{
	for (size_t i = 0; i < h->snapshot_count; i++)
		if (!memcmp(&h->snapshots[i], &fact->entry.id, sizeof fact->entry.id))
			return true;
	return looks_at(h, &fact->entry.account);
}

/* ---- which must stay ---- */

/* One hold on items, and the rows in the order in which they are looked at: what stays anyway, then the rest. */
struct looking {
	struct repo *repo;
	const struct hold_payload *hold;
	size_t *rows;
	size_t staying, count;
	bool *fresh;
};

static int newest_first(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x > y ? -1 : x < y;
}

/* Fills K->rows from ROWS (to go) and everything else that is live, or with IN_TRASH in the trash. */
static enum err_code choose_rows(struct looking *k, const size_t *rows, size_t count, const struct hold_fact **why,
                                 bool in_trash, struct err *e)
{
	size_t all = ledger_snapshot_count(k->repo->ledger);
	bool *going = mem_zalloc(all, sizeof *going);

	k->rows = mem_zalloc(all, sizeof *k->rows);
	k->fresh = mem_zalloc(all, sizeof *k->fresh);
	if (!going || !k->rows || !k->fresh) {
		mem_free(going);
		return err_no_memory(e, all * sizeof *k->rows);
	}
	for (size_t i = 0; i < count; i++)
		going[rows[i]] = !why[i];
	for (size_t i = 0; i < all; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(k->repo->ledger, i);

		if (!going[i] && looks_at(k->hold, &fact->entry.account) &&
		    (fact->state == SNAPSHOT_LIVE || (in_trash && fact->state == SNAPSHOT_TRASH)))
			k->rows[k->staying++] = i;
	}
	k->count = k->staying;
	for (size_t i = 0; i < all; i++)
		if (going[i] && looks_at(k->hold, &ledger_snapshot(k->repo->ledger, i)->entry.account))
			k->rows[k->count++] = i;
	qsort(k->rows + k->staying, k->count - k->staying, sizeof *k->rows, newest_first);
	mem_free(going);
	return ERR_OK;
}

/* A hold whose query cannot be read keeps all that it looks at. */
static enum err_code look(struct looking *k, struct err *e)
{
	struct buf hold = BUF_EMPTY;
	struct hold_details d;
	enum err_code rc = hold_details_open(k->repo->keys, k->hold, &hold, &d, e);

	if (rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED || rc == ERR_WRONG_KEY) {
		repo_notice(k->repo, ENGINE_WARNING, "a hold keeps every snapshot of its accounts: %s", e->text);
		for (size_t i = 0; i < k->count; i++)
			k->fresh[i] = true;
		rc = ERR_OK;
	} else if (!rc) {
		rc = find_fresh(k->repo, &d.query, k->rows, k->count, k->fresh, e);
	}
	buf_release(&hold);
	return rc;
}

/* Hold NUMBER, which is one on items. */
static enum err_code judge_items(struct repo *r, size_t number, const size_t *rows, size_t count,
                                 const struct hold_fact **why, struct err *e)
{
	const struct hold_fact *fact = ledger_hold(r->ledger, number);
	struct looking k = { .repo = r, .hold = &fact->hold };
	uint64_t head = ledger_head(r->ledger).number;
	bool in_trash = ledger_snapshot(r->ledger, rows[0])->state == SNAPSHOT_TRASH;
	enum err_code rc = choose_rows(&k, rows, count, why, in_trash, e);

	if (!rc && k.count > k.staying)
		rc = look(&k, e);
	/* Reading may fold what came meanwhile; then neither numbers nor pointers are good any more. */
	if (!rc && ledger_head(r->ledger).number != head)
		rc = err_set(e, ERR_STATE, "the ledger has moved on while holds were looked at");
	for (size_t i = k.staying; !rc && i < k.count; i++)
		for (size_t at = 0; k.fresh[i] && at < count; at++)
			if (rows[at] == k.rows[i])
				why[at] = fact;
	mem_free(k.rows);
	mem_free(k.fresh);
	return rc;
}

enum err_code holds_judge(struct repo *r, const size_t *rows, size_t count, const struct hold_fact **why, struct err *e)
{
	bool reads = keys_role(r->keys) == ROLE_FULL;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < count; i++)
		why[i] = ledger_held(r->ledger, ledger_snapshot(r->ledger, rows[i]), !reads);
	for (size_t i = 0; !rc && reads && count && i < ledger_hold_count(r->ledger); i++) {
		const struct hold_fact *hold = ledger_hold(r->ledger, i);

		if (!hold->released && hold->hold.query)
			rc = judge_items(r, i, rows, count, why, e);
	}
	return rc;
}

/* ---- forgetting ---- */

static enum err_code refuse(struct repo *r, const struct snapshot_fact *s, const struct hold_fact *why, struct err *e)
{
	struct buf hold = BUF_EMPTY;
	struct hold_details d = { 0 };
	char id[2 * ID16_BYTES + 1];

	if (hold_details_open(r->keys, &why->hold, &hold, &d, &(struct err){ 0 }))
		d.label = SPAN_EMPTY;
	text_hex(span_of(s->entry.id.bytes, ID16_BYTES), id);
	err_set(e, ERR_NOT_FOUND, "snapshot %.8s is kept by the hold '%s'; see `mailhold hold list`", id,
	        text_name(d.label).text);
	buf_release(&hold);
	return ERR_NOT_FOUND;
}

/* Those of IDS that are live, as rows; the ledger tells about the others. */
static size_t rows_of(const struct repo *r, const struct snapshot_id *ids, size_t count, size_t *rows)
{
	size_t n = 0;

	for (size_t i = 0; i < ledger_snapshot_count(r->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);
		bool wanted = false;

		for (size_t k = 0; k < count && !wanted && fact->state == SNAPSHOT_LIVE; k++)
			wanted = !memcmp(&ids[k], &fact->entry.id, sizeof ids[k]);
		if (wanted)
			rows[n++] = i;
	}
	return n;
}

static enum err_code check_held(struct repo *r, const struct snapshot_id *ids, size_t count, struct err *e)
{
	size_t all = ledger_snapshot_count(r->ledger), n;
	size_t *rows = mem_zalloc(all, sizeof *rows);
	const struct hold_fact **why = mem_zalloc(all, sizeof *why);
	enum err_code rc = rows && why ? ERR_OK : err_no_memory(e, all * sizeof *rows);

	if (!rc) {
		n = rows_of(r, ids, count, rows);
		rc = holds_judge(r, rows, n, why, e);
		for (size_t i = 0; !rc && i < n; i++)
			if (why[i])
				rc = refuse(r, ledger_snapshot(r->ledger, rows[i]), why[i], e);
	}
	mem_free(rows);
	mem_free((void *)why);
	return rc;
}

enum err_code holds_forget(struct repo *r, uint64_t looked, const struct snapshot_id *ids, size_t count, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		uint64_t head;

		rc = repo_refresh(r, e);
		head = ledger_head(r->ledger).number;
		if (!rc && head != looked)
			rc = check_held(r, ids, count, e);
		if (!rc)
			rc = ledger_forget_at(r->ledger, head, ids, count, e);
		if (rc != ERR_STATE)
			return rc;
	}
	return rc;
}

/* ---- making and releasing ---- */

static enum err_code check_options(const struct hold_options *o, struct err *e)
{
	size_t len = o->label ? strlen(o->label) : 0;

	if (!len || len > HOLD_LABEL_MAX)
		return err_set(e, ERR_USAGE, "a hold needs a label of 1 to %d bytes that says why", HOLD_LABEL_MAX);
	if (!o->snapshot_count && !o->account && !o->query)
		return err_set(e, ERR_USAGE, "a hold needs something to hold: snapshots, an account or a query");
	if (o->snapshot_count && (o->account || o->query))
		return err_set(e, ERR_USAGE, "a hold is on snapshots, or on an account, or on what a query finds");
	if (o->snapshot_count > COMMIT_SNAPSHOTS_MAX)
		return err_set(e, ERR_LIMIT, "%zu snapshots in one hold, at most %d", o->snapshot_count,
		               COMMIT_SNAPSHOTS_MAX);
	return ERR_OK;
}

/* An account that nobody has a snapshot of is most likely a slip. */
static enum err_code check_account(const struct repo *r, const char *name, const struct account_id *id, struct err *e)
{
	for (size_t i = 0; i < ledger_snapshot_count(r->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (fact->state != SNAPSHOT_EXPIRED && !memcmp(&fact->entry.account, id, sizeof *id))
			return ERR_OK;
	}
	return err_set(e, ERR_NOT_FOUND, "there is no snapshot of the account '%s'", text_name(span_cstr(name)).text);
}

static enum err_code holds_label(void *ctx, const struct hold_info *h, struct err *e)
{
	if (span_equal(h->label, span_cstr(ctx)))
		return err_set(e, ERR_EXISTS, "there is a hold '%s' already", text_name(h->label).text);
	return ERR_OK;
}

/* What the query finds only in the trash comes back: as many snapshots as are needed, the newest first. */
static enum err_code bring_back(struct repo *r, struct err *e)
{
	size_t all = ledger_snapshot_count(r->ledger), n = 0;
	size_t *rows = mem_zalloc(all, sizeof *rows);
	const struct hold_fact **why = mem_zalloc(all, sizeof *why);
	struct buf ids = BUF_EMPTY;
	enum err_code rc = rows && why ? ERR_OK : err_no_memory(e, all * sizeof *rows);

	for (size_t i = 0; !rc && i < all; i++)
		if (ledger_snapshot(r->ledger, i)->state == SNAPSHOT_TRASH)
			rows[n++] = i;
	if (!rc && n)
		rc = holds_judge(r, rows, n, why, e);
	for (size_t i = 0; !rc && i < n; i++)
		if (why[i])
			rc = buf_append(&ids, span_of(&ledger_snapshot(r->ledger, rows[i])->entry.id, ID16_BYTES), e);
	for (size_t at = 0; !rc && at < ids.len; at += COMMIT_SNAPSHOTS_MAX * ID16_BYTES) {
		struct span some = span_first(span_skip(buf_span(&ids), at), COMMIT_SNAPSHOTS_MAX * ID16_BYTES);

		rc = ledger_mark(r->ledger, RECORD_UNFORGET, (const struct snapshot_id *)(const void *)some.ptr,
		                 some.len / ID16_BYTES, e);
	}
	mem_free(rows);
	mem_free((void *)why);
	buf_release(&ids);
	return rc ? err_note(e, "the hold stands, but what it needs of the trash was not brought back; prune leaves it "
	                        "there")
	          : ERR_OK;
}

static enum err_code add(struct repo *r, const struct hold_options *o, struct hold_payload *p, struct err *e)
{
	struct hold_details d = { .label = span_cstr(o->label),
		                  .who = o->who ? span_cstr(o->who) : SPAN_EMPTY,
		                  .until_ms = o->until_ms,
		                  .query = { .after_ms = INT64_MIN, .before_ms = INT64_MAX } };
	struct buf sealed = BUF_WITH_MAX(HOLD_SEALED_MAX);
	struct account_id account;
	enum err_code rc = ERR_OK;

	if (o->query)
		d.query = *o->query;
	if (o->account) {
		account = keys_account(r->keys, span_cstr(o->account));
		p->accounts = &account;
		p->account_count = 1;
		d.account = span_cstr(o->account);
		rc = check_account(r, o->account, &account, e);
	}
	crypto_random(p->id.bytes, sizeof p->id.bytes);
	p->epoch = keys_epoch(r->keys);
	if (!rc)
		rc = hold_details_seal(r->keys, &p->id, &d, &sealed, e);
	p->sealed = buf_span(&sealed);
	if (!rc)
		rc = ledger_hold_add(r->ledger, p, e);
	buf_release(&sealed);
	return rc;
}

enum err_code engine_hold_add(struct repo *r, const struct hold_options *o, struct hold_id *out, struct err *e)
{
	struct hold_payload p = { .query = o->query != NULL,
		                  .snapshots = o->snapshots,
		                  .snapshot_count = o->snapshot_count };
	enum err_code rc = check_options(o, e);

	if (!rc && keys_role(r->keys) != ROLE_FULL)
		rc = err_set(e, ERR_DENIED, "this key may not make holds: that takes a full one");
	if (!rc)
		rc = repo_refresh(r, e);
	if (!rc)
		rc = engine_holds(r, holds_label, (void *)(uintptr_t)o->label, e);
	if (!rc)
		rc = add(r, o, &p, e);
	if (!rc)
		*out = p.id;
	return rc || !o->query ? rc : bring_back(r, e);
}

enum err_code engine_hold_remove(struct repo *r, const struct hold_id *id, struct err *e)
{
	if (keys_role(r->keys) != ROLE_FULL)
		return err_set(e, ERR_DENIED, "this key may not release holds: that takes a full one");
	return ledger_hold_release(r->ledger, id, e);
}

/* ---- listing ---- */

static enum err_code show(const struct repo *r, const struct hold_fact *fact, struct buf *hold, struct hold_info *out,
                          struct err *e)
{
	struct hold_details d = { .until_ms = INT64_MIN };
	bool reads = keys_read_names(r->keys);
	enum err_code rc = reads ? hold_details_open(r->keys, &fact->hold, hold, &d, e) : ERR_OK;

	if (rc == ERR_UNSUPPORTED || rc == ERR_CORRUPT) {
		d.label = SPAN_LIT("(cannot be read)");
		rc = ERR_OK;
	}
	if (rc)
		return rc;
	*out = (struct hold_info){ .id = fact->hold.id,
		                   .names_hidden = !reads,
		                   .label = d.label,
		                   .who = d.who,
		                   .added_ms = fact->added_ms,
		                   .until_ms = d.until_ms,
		                   .by_query = fact->hold.query,
		                   .query = d.query,
		                   .account = d.account,
		                   .snapshots = fact->hold.snapshots,
		                   .snapshot_count = fact->hold.snapshot_count };
	text_hex(span_of(fact->hold.id.bytes, ID16_BYTES), out->id_hex);
	for (size_t i = 0; i < ledger_snapshot_count(r->ledger); i++) {
		const struct snapshot_fact *s = ledger_snapshot(r->ledger, i);

		out->covered += s->state != SNAPSHOT_EXPIRED && is_covered(&fact->hold, s);
	}
	return ERR_OK;
}

enum err_code engine_holds(struct repo *r, hold_visit visit, void *ctx, struct err *e)
{
	struct buf hold = BUF_EMPTY;
	struct hold_info info;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < ledger_hold_count(r->ledger); i++) {
		if (ledger_hold(r->ledger, i)->released)
			continue;
		rc = show(r, ledger_hold(r->ledger, i), &hold, &info, e);
		if (!rc)
			rc = visit(ctx, &info, e);
	}
	buf_release(&hold);
	return rc;
}

enum err_code hold_label(const struct repo *r, const struct hold_fact *fact, struct buf *out, struct err *e)
{
	struct buf hold = BUF_EMPTY;
	struct hold_info info;
	enum err_code rc = show(r, fact, &hold, &info, e);

	if (!rc)
		rc = buf_append(out, info.label, e);
	buf_release(&hold);
	return rc;
}

struct wanted {
	const char *text;
	struct hold_id id;
	unsigned by_label, by_id;
};

#define ID_DIGITS_MIN 4

static enum err_code match(void *ctx, const struct hold_info *h, struct err *e)
{
	struct wanted *w = ctx;
	size_t len = strlen(w->text);
	bool labelled = h->label.len && span_equal(h->label, span_cstr(w->text));
	bool named = len >= ID_DIGITS_MIN && len <= 2 * ID16_BYTES && !memcmp(h->id_hex, w->text, len);

	(void)e;
	/* A label goes before digits that happen to look like it. */
	if (labelled || (named && !w->by_label))
		w->id = h->id;
	w->by_label += labelled;
	w->by_id += named;
	return ERR_OK;
}

enum err_code engine_hold_find(struct repo *r, const char *text, struct hold_id *out, struct err *e)
{
	struct wanted w = { .text = text };
	enum err_code rc = engine_holds(r, match, &w, e);

	if (rc)
		return rc;
	if (w.by_label > 1 || (!w.by_label && w.by_id > 1))
		return err_set(e, ERR_USAGE, "several holds are called '%s'; use more digits of the id",
		               text_name(span_cstr(text)).text);
	if (!w.by_label && !w.by_id)
		return err_set(e, ERR_NOT_FOUND, "there is no hold '%s'", text_name(span_cstr(text)).text);
	*out = w.id;
	return ERR_OK;
}
