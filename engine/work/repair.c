/*
 * Repair of packs. Order docs/order.md, rule 19: a damaged pack is durable under damaged/… and the copies of its whole
 * chunks are durable before the record that adds those and condemns it. Every step begins from what the ledger and the
 * store say, so a run that was killed is simply done again; nothing is deleted here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/work/check.h"
#include "engine/work/last.h"
#include "engine/work/restock.h"

#define LEVEL       3
#define ROUNDS_MAX  200
#define COPY_BYTES  MIB
#define SECTOR      (4 * KIB)
#define FOLDER      "damaged"
#define PACK_FOLDER "pack"

struct repair {
	struct repo *repo;
	const struct repair_options *options;
	struct repair_report *report;
	check_visit visit;
	void *ctx;
	struct buf bad;      /* struct survey_pack: packs to be repaired */
	struct buf ordinals; /* uint32_t: of BAD, rising */
	struct idmap missing;
	struct buf accounts; /* struct account_id: whose snapshots lack something */
	struct pool *pool;
};

static enum err_code go_on(const struct repair *r, struct err *e)
{
	return repo_stopped(r->repo) ? repo_cancelled(e) : ERR_OK;
}

static const struct pack_fact *fact_of(const struct repair *r, uint32_t ordinal)
{
	return ledger_pack(r->repo->ledger, ordinal);
}

static size_t bad_count(const struct repair *r)
{
	return r->bad.len / sizeof(struct survey_pack);
}

static const struct survey_pack *bad_at(const struct repair *r, size_t i)
{
	return (const struct survey_pack *)(const void *)r->bad.ptr + i;
}

static int by_ordinal(const void *a, const void *b)
{
	const struct survey_pack *x = a, *y = b;

	return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* BAD must be sorted. */
static bool is_bad(const struct repair *r, uint32_t ordinal)
{
	struct survey_pack wanted = { .ordinal = ordinal };

	return bsearch(&wanted, r->bad.ptr, bad_count(r), sizeof wanted, by_ordinal) != NULL;
}

/* ---- which packs ---- */

/* A pack that its parity puts right is as it was, and stays. */
static bool is_mended(struct repair *r, const struct survey_pack *p)
{
	const struct pack_added *pack = &fact_of(r, p->ordinal)->pack;
	struct pack_healing healing;
	struct err why;

	if (r->options->dry_run || pack_heal(r->repo->store, r->repo->keys, pack, &healing, &why))
		return false;
	repo_notice(r->repo, ENGINE_WARNING, "%s is put right by its parity; %s%s", pack_path(&pack->name).text,
	            *healing.kept ? "what it was lies in " : "it was gone", healing.kept);
	r->report->packs_mended++;
	return true;
}

/* What is no damage is not for us to repair: it may be fine for a newer version, or when the disk is back. */
static void leave_alone(struct repair *r)
{
	struct survey_pack *packs = (struct survey_pack *)(void *)r->bad.ptr;
	size_t kept = 0;

	for (size_t i = 0; i < bad_count(r); i++) {
		if (packs[i].beyond_us) {
			repo_notice(r->repo, ENGINE_WARNING, "%s is left as it is: what is wrong with it is no damage",
			            pack_path(&fact_of(r, packs[i].ordinal)->pack.name).text);
			continue;
		}
		if (is_mended(r, &packs[i]))
			continue;
		r->report->packs_gone += packs[i].missing;
		r->report->packs_damaged += !packs[i].missing;
		packs[kept++] = packs[i];
	}
	r->bad.len = kept * sizeof *packs;
}

/* Every byte of every pack; C keeps what can be had. */
static enum err_code find_damage(struct repair *r, struct check *c, struct err *e)
{
	enum err_code rc;

	c->bad_packs = &r->bad;
	rc = check_packs(c, e);
	r->report->packs = c->report->packs;
	if (!rc)
		leave_alone(r);
	return rc;
}

/* ---- setting aside ---- */

struct copying {
	struct repair *repair;
	const char *from;
	struct store_draft *draft;
	struct buf bytes;
	uint64_t unreadable;
};

/* Sectors that cannot be read become zeros: whoever looks at the copy later needs the places of the others. */
static enum err_code read_leaky(struct copying *c, uint64_t at, size_t len, uint8_t *dst, struct err *e)
{
	enum err_code rc = store_get_range(c->repair->repo->store, c->from, at, len, dst, e);

	if (rc != ERR_IO)
		return rc;
	rc = ERR_OK;
	for (size_t done = 0; !rc && done < len; done += SECTOR) {
		size_t n = len - done < SECTOR ? len - done : SECTOR;

		rc = store_get_range(c->repair->repo->store, c->from, at + done, n, dst + done, e);
		if (rc != ERR_IO)
			continue;
		memset(dst + done, 0, n);
		c->unreadable += n;
		rc = ERR_OK;
	}
	return rc;
}

static enum err_code copy_bytes(struct copying *c, uint64_t bytes, struct err *e)
{
	uint8_t *dst;
	enum err_code rc = ERR_OK;

	for (uint64_t at = 0; !rc && at < bytes; at += COPY_BYTES) {
		size_t n = (size_t)(bytes - at < COPY_BYTES ? bytes - at : COPY_BYTES);

		buf_clear(&c->bytes);
		rc = go_on(c->repair, e);
		if (!rc)
			rc = buf_extend(&c->bytes, n, &dst, e);
		if (!rc)
			rc = read_leaky(c, at, n, dst, e);
		if (!rc)
			rc = store_draft_write(c->draft, buf_span(&c->bytes), e);
	}
	return rc;
}

static enum err_code set_aside(struct repair *r, uint32_t ordinal, struct err *e)
{
	struct pack_path path = pack_path(&fact_of(r, ordinal)->pack.name);
	struct copying c = { .repair = r, .from = path.text };
	char to[sizeof path.text + sizeof FOLDER];
	uint64_t bytes, there;
	enum err_code rc = store_size(r->repo->store, path.text, &bytes, e);

	if (rc == ERR_NOT_FOUND || rc == ERR_CORRUPT)
		return ERR_OK; /* nothing to keep, or no file at all */
	snprintf(to, sizeof to, "%s%s", FOLDER, path.text + strlen(PACK_FOLDER));
	/* An earlier run came this far. */
	if (!rc && store_size(r->repo->store, to, &there, e) == ERR_OK)
		return ERR_OK;
	if (!rc)
		rc = store_draft_open(r->repo->store, &c.draft, e);
	if (!rc)
		rc = copy_bytes(&c, bytes, e);
	if (!rc)
		rc = store_draft_commit(&c.draft, to, e);
	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	if (!rc && c.unreadable)
		repo_notice(r->repo, ENGINE_WARNING, "%s: %" PRIu64 " bytes of %s cannot be read and are zeros in it",
		            to, c.unreadable, path.text);
	store_draft_free(&c.draft);
	buf_release(&c.bytes);
	return rc ? err_note(e, "while setting %s aside", path.text) : ERR_OK;
}

/* ---- saving ---- */

/* Is the chunk in a pack that is not to be condemned, or in one of our copies? */
static enum err_code is_elsewhere(struct repair *r, const struct chunk_id *id, bool *elsewhere, struct err *e)
{
	struct place places[16];
	size_t count = 0;
	enum err_code rc = index_find_all(r->repo->index, id, places, ARRAY_LEN(places), &count, e);

	*elsewhere = false;
	for (size_t i = 0; !rc && i < count; i++) {
		uint32_t ordinal;

		*elsewhere |= !index_pack_ordinal(r->repo->index, places[i].pack, &ordinal) || !is_bad(r, ordinal);
	}
	return rc;
}

static enum err_code save_block(struct repair *r, struct writer *w, struct pack *pack, uint32_t b, struct err *e)
{
	enum block_class class = pack_block(pack, b)->class;
	struct block block = { 0 };
	struct err ignored;
	enum err_code rc = pack_read_block(pack, b, r->repo->codec, &block, &ignored);

	if (rc == ERR_NO_MEMORY) {
		*e = ignored;
		return rc;
	}
	if (rc)
		return ERR_OK; /* told when it was found */
	/* The id is made of the bytes, not taken from a list: what is kept is what it says it is. */
	for (uint32_t i = 0; !rc && i < block.chunk_count; i++) {
		struct span plain = block_chunk(&block, i);
		struct chunk_id id;
		bool elsewhere;

		keys_chunk_id(r->repo->keys, block_class_scope(class), plain, &id);
		rc = is_elsewhere(r, &id, &elsewhere, e);
		if (!rc && elsewhere)
			r->report->chunks_known++;
		else if (!rc)
			rc = writer_move(w, class, &id, plain, e);
	}
	block_release(&block);
	return rc;
}

static enum err_code save_pack(struct repair *r, struct writer *w, uint32_t ordinal, struct err *e)
{
	struct pack *pack = NULL;
	struct err ignored;
	enum err_code rc = pack_open(r->repo->store, r->repo->keys, &fact_of(r, ordinal)->pack, &pack, NULL, &ignored);

	if (rc == ERR_NO_MEMORY) {
		*e = ignored;
		return rc;
	}
	if (rc)
		return ERR_OK;
	for (uint32_t b = 0; !rc && b < pack_block_count(pack); b++) {
		rc = go_on(r, e);
		if (!rc)
			rc = save_block(r, w, pack, b, e);
	}
	pack_free(&pack);
	return rc;
}

/* ---- the record ---- */

/* Those that are live still: somebody else may have repaired or pruned meanwhile. */
static enum err_code gather_live(struct repair *r, struct err *e)
{
	enum err_code rc = ERR_OK;

	buf_clear(&r->ordinals);
	for (size_t i = 0; !rc && i < bad_count(r); i++)
		if (fact_of(r, bad_at(r, i)->ordinal)->state == PACK_LIVE)
			rc = buf_append(&r->ordinals, span_of(&bad_at(r, i)->ordinal, sizeof(uint32_t)), e);
	return rc;
}

static enum err_code record_once(struct repair *r, struct writer *w, struct err *e)
{
	uint64_t head = ledger_head(r->repo->ledger).number;
	struct commit c = { 0 };
	enum err_code rc = gather_live(r, e);

	if (rc || !r->ordinals.len)
		return rc;
	writer_commit_part(w, true, &c);
	c.against = (const uint32_t *)(const void *)r->ordinals.ptr;
	c.against_count = r->ordinals.len / sizeof(uint32_t);
	if (!writer_session(w))
		return ledger_condemn(r->repo->ledger, head, c.against, c.against_count, &head, e);
	rc = ledger_repack(r->repo->ledger, head, &c, &head, e);
	if (!rc)
		writer_committed(w, c.end_session);
	return rc;
}

/*
 * Whoever commits meanwhile and leans on a damaged pack leans on chunks by their ids: what is whole of it was copied,
 * needed or not. So a head that has moved changes nothing for us but which packs are live.
 */
static enum err_code record_all(struct repair *r, struct writer *w, struct err *e)
{
	enum err_code rc = record_once(r, w, e);

	for (int round = 0; rc == ERR_STATE && round < ROUNDS_MAX; round++) {
		rc = repo_refresh(r->repo, e);
		if (!rc && writer_session(w) && ledger_session(r->repo->ledger, writer_session(w)) != SESSION_OPEN)
			return err_set(e, ERR_STATE, "somebody ended our session meanwhile; run the repair again");
		if (!rc)
			rc = record_once(r, w, e);
	}
	return rc;
}

static enum err_code save_all(struct repair *r, struct writer *w, struct err *e)
{
	struct engine_progress tell = { .phase = "saving", .items_total = bad_count(r), .what = "packs" };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < bad_count(r); i++) {
		tell.items_done = i;
		repo_tell(r->repo, &tell);
		rc = set_aside(r, bad_at(r, i)->ordinal, e);
		if (!rc)
			rc = save_pack(r, w, bad_at(r, i)->ordinal, e);
	}
	if (!rc)
		rc = writer_flush(w, e);
	return rc ? rc : record_all(r, w, e);
}

static enum err_code replace_packs(struct repair *r, struct err *e)
{
	struct writer *w = NULL;
	enum err_code rc;

	if (!bad_count(r))
		return ERR_OK;
	qsort(r->bad.ptr, bad_count(r), sizeof(struct survey_pack), by_ordinal);
	rc = writer_open(r->repo, r->pool, LEVEL, false, &w, e);
	if (!rc)
		rc = save_all(r, w, e);
	if (w) {
		r->report->chunks_saved = writer_count(w).chunks_new;
		r->report->bytes_added = writer_count(w).bytes_stored;
	}
	/* Whatever stopped us: nobody has to wait for our session. */
	if (w && writer_session(w))
		(void)!ledger_end_session(r->repo->ledger, writer_session(w), &(struct err){ 0 });
	writer_free(&w);
	if (!rc)
		rc = repo_need_index(r->repo, INDEX_WRITE, e);
	return rc ? rc : index_update(r->repo->index, r->repo->ledger, e);
}

/* ---- what snapshots miss ---- */

/* Walks all snapshots from what the packs' tables say now. With VISIT NULL only to learn what is missing. */
static enum err_code walk(struct repair *r, check_visit visit, struct check_report *found, struct err *e)
{
	const struct check_options tables_only = { 0 };
	struct check c;
	enum err_code rc;

	memset(found, 0, sizeof *found);
	check_init(&c, r->repo, &tables_only, visit, r->ctx, found);
	idmap_clear(&r->missing);
	buf_clear(&r->accounts);
	c.missing = &r->missing;
	c.accounts = &r->accounts;
	rc = check_packs(&c, e);
	if (!rc)
		rc = check_snapshots(&c, e);
	check_release(&c);
	return rc;
}

static enum err_code restock(struct repair *r, struct err *e)
{
	struct restock_count count = { 0 };
	enum err_code rc;

	if (!r->missing.used || (!r->options->source && !r->options->from))
		return ERR_OK;
	rc = restock_missing(r->repo, r->pool, &r->missing, r->options->source, r->options->from, &count, e);
	r->report->chunks_restored = count.chunks;
	r->report->bytes_added += count.bytes_stored;
	return rc ? err_note(e, "while taking lost chunks again") : ERR_OK;
}

static enum err_code tell_what_is_lost(struct repair *r, struct err *e)
{
	struct check_report found;
	bool again = r->options->source || r->options->from;
	enum err_code rc = walk(r, again ? NULL : r->visit, &found, e);

	r->report->chunks_lost = r->missing.used;
	if (!rc && again) {
		rc = restock(r, e);
		if (!rc)
			rc = walk(r, r->visit, &found, e);
	}
	r->report->items_affected = found.items_affected;
	r->report->problems += found.problems;
	for (size_t at = 0; !rc && at < r->accounts.len; at += sizeof(struct account_id))
		lost_note(r->repo, (const struct account_id *)(const void *)(r->accounts.ptr + at));
	return rc;
}

/* What would be lost if the damaged packs were repaired now. C knows what is whole. */
static enum err_code foresee(struct repair *r, struct check *c, struct err *e)
{
	enum err_code rc;

	c->missing = &r->missing;
	rc = check_snapshots(c, e);
	r->report->chunks_lost = r->missing.used;
	r->report->items_affected = c->report->items_affected;
	return rc;
}

/* ---- door ---- */

static enum err_code run(struct repair *r, struct err *e)
{
	const struct check_options everything = { .read_data = true };
	struct check_report found = { 0 };
	unsigned cores = pool_cores();
	struct check c;
	enum err_code rc = repo_refresh(r->repo, e);

	check_init(&c, r->repo, &everything, r->visit, r->ctx, &found);
	if (!rc && !r->options->dry_run)
		rc = ledger_may_delete(r->repo->ledger, e);
	if (!rc)
		rc = repo_need_index(r->repo, r->options->dry_run ? INDEX_READ : INDEX_WRITE, e);
	if (!rc)
		rc = index_update(r->repo->index, r->repo->ledger, e);
	if (!rc)
		rc = find_damage(r, &c, e);
	if (!rc && r->options->dry_run)
		rc = foresee(r, &c, e);
	r->report->problems = found.problems;
	check_release(&c);
	if (rc || r->options->dry_run)
		return rc;
	rc = pool_open(cores > 1 ? cores - 1 : 1, &r->pool, e);
	if (!rc)
		rc = replace_packs(r, e);
	return rc ? rc : tell_what_is_lost(r, e);
}

enum err_code engine_repair_packs(struct repo *repo, const struct repair_options *o, check_visit visit, void *ctx,
                                  struct repair_report *out, struct err *e)
{
	struct repair r = { .repo = repo, .options = o, .report = out, .visit = visit, .ctx = ctx };
	struct repo_info info;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	rc = repo_need_names(repo, "repair packs", e);
	if (!rc)
		rc = run(&r, e);
	pool_free(&r.pool);
	buf_release(&r.bad);
	buf_release(&r.ordinals);
	buf_release(&r.accounts);
	idmap_release(&r.missing);
	repo_describe(repo, &info);
	memcpy(out->head, info.head, sizeof out->head);
	return rc;
}
