#include "engine/work/restock.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/work/prepare.h"
#include "engine/work/view_source.h"

#define LEVEL 3
#define RING  16

struct restock {
	struct repo *repo;
	struct pool *pool;
	const struct idmap *missing;
	struct writer *writer;
	struct prepare_shared shared;
	struct item_job *jobs;
	size_t first, used;
	struct engine_progress tell;
};

static bool all_found(const struct restock *r)
{
	return writer_count(r->writer).chunks_new >= r->missing->used;
}

/* ---- one item ---- */

/* The writer passes over whatever is not missing. */
static enum err_code put_chunks(struct restock *r, const struct item_job *j, struct err *e)
{
	const struct prepared_chunk *parts = (const struct prepared_chunk *)(const void *)j->chunks.ptr;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < j->chunks.len / sizeof *parts; i++)
		rc = writer_put(r->writer, parts[i].class, &parts[i].id,
		                span_of(j->chunk_bytes.ptr + parts[i].offset, parts[i].len), e);
	return rc;
}

static void tell_skipped(struct restock *r, const struct item_job *j, const struct err *why)
{
	const struct collection *all;
	size_t count;
	char what[700];
	struct err ignored;

	if (why->code == ERR_VANISHED)
		return;
	if (!j->source->report) {
		repo_notice(r->repo, ENGINE_WARNING, "an item is passed over: %s", why->text);
		return;
	}
	if (j->source->ops->collections(j->source, &all, &count, &ignored))
		return;
	snprintf(what, sizeof what, "%s#%s", text_name(all[j->collection].path).text, text_name(j->key).text);
	j->source->report(j->source->report_ctx, what, why);
}

static enum err_code take_oldest(struct restock *r, struct err *e)
{
	struct item_job *j = &r->jobs[r->first];
	enum err_code rc;

	pool_wait(r->pool, &j->job);
	if (j->rc == ERR_LIMIT)
		j->rc = prepare_stream(j, r->writer, &j->e);
	if (j->rc == ERR_NO_MEMORY || (j->rc && j->ours)) {
		*e = j->e;
		rc = j->rc;
	} else if (j->rc) {
		tell_skipped(r, j, &j->e);
		rc = ERR_OK;
	} else {
		rc = put_chunks(r, j, e);
		if (!rc)
			rc = writer_put(r->writer, CLASS_ITEM, &j->item_id, buf_span(&j->item), e);
		r->tell.bytes_done += j->bytes;
	}
	r->tell.items_done++;
	repo_tell(r->repo, &r->tell);
	item_job_clear(j);
	r->first = (r->first + 1) % RING;
	r->used--;
	return rc;
}

static void abandon(struct restock *r)
{
	for (; r->used; r->used--, r->first = (r->first + 1) % RING) {
		pool_wait(r->pool, &r->jobs[r->first].job);
		item_job_clear(&r->jobs[r->first]);
	}
}

/* ---- one source ---- */

static enum err_code submit(struct restock *r, struct item_source *s, const struct collection *c, size_t number,
                            const struct item_listing *listing, size_t i, struct err *e)
{
	/* A source that is not thread-safe has one item in work. */
	size_t most = s->parallel_fetch ? RING : 1;
	struct item_entry entry = { 0 };
	struct item_job *j;
	enum err_code rc = repo_stopped(r->repo) ? repo_cancelled(e) : ERR_OK;

	while (!rc && r->used >= most)
		rc = take_oldest(r, e);
	if (rc)
		return rc;
	s->ops->listing_get(listing, i, &entry);
	j = &r->jobs[(r->first + r->used++) % RING];
	j->shared = &r->shared;
	j->source = s;
	j->collection = number;
	j->listing = listing;
	j->place = entry.place;
	j->key = entry.key;
	j->kind = c->kind;
	pool_submit(r->pool, &j->job);
	return ERR_OK;
}

static enum err_code take_collection(struct restock *r, struct item_source *s, const struct collection *c,
                                     size_t number, struct err *e)
{
	struct item_listing *listing = NULL;
	struct buf cursor = BUF_EMPTY;
	struct err why;
	enum err_code rc = s->ops->list(s, number, SPAN_EMPTY, true, &listing, &cursor, &why);

	if (rc) {
		/* One folder that cannot be read stops one folder. */
		repo_notice(r->repo, ENGINE_WARNING, "'%s' is passed over: %s", text_name(c->path).text, why.text);
		rc = ERR_OK;
	}
	for (size_t i = 0; !rc && listing && i < s->ops->listing_count(listing) && !all_found(r); i++)
		rc = submit(r, s, c, number, listing, i, e);
	while (!rc && r->used)
		rc = take_oldest(r, e);
	abandon(r);
	if (listing)
		s->ops->listing_free(&listing);
	buf_release(&cursor);
	return rc;
}

static enum err_code take_source(struct restock *r, struct item_source *s, struct err *e)
{
	const struct collection *all;
	size_t count;
	enum err_code rc = s->ops->collections(s, &all, &count, e);

	for (size_t i = 0; !rc && i < count && !all_found(r); i++)
		rc = take_collection(r, s, &all[i], i, e);
	return rc;
}

/* ---- another repository ---- */

static enum err_code take_snapshot(struct restock *r, struct repo *from, const struct snapshot_id *id,
                                   struct idmap *seen, struct err *e)
{
	struct item_source *s = NULL;
	struct view *v = NULL;
	struct err why;
	enum err_code rc = view_open(from, id, &v, &why);

	if (rc) {
		repo_notice(r->repo, ENGINE_WARNING, "a snapshot of %s is passed over: %s", store_url(from->store),
		            why.text);
		return ERR_OK;
	}
	rc = view_source_open(v, seen, &s, e);
	if (!rc)
		rc = take_source(r, s, e);
	if (s)
		s->ops->free(&s);
	view_free(&v);
	return rc;
}

static enum err_code take_repository(struct restock *r, struct repo *from, struct err *e)
{
	struct idmap seen = IDMAP_EMPTY;
	enum err_code rc = repo_need_names(from, "give its items", e);

	for (size_t i = ledger_snapshot_count(from->ledger); !rc && i-- > 0 && !all_found(r);) {
		const struct snapshot_fact *fact = ledger_snapshot(from->ledger, i);

		if (fact->state == SNAPSHOT_LIVE)
			rc = take_snapshot(r, from, &fact->entry.id, &seen, e);
	}
	idmap_release(&seen);
	return rc;
}

/* ---- door ---- */

static enum err_code restock_open(struct restock *r, struct err *e)
{
	enum err_code rc = prepare_shared_open(r->repo->keys, pool_cores() + 1, &r->shared, e);

	if (!rc)
		rc = writer_open(r->repo, r->pool, LEVEL, false, &r->writer, e);
	if (rc)
		return rc;
	writer_keep_only(r->writer, r->missing);
	r->jobs = mem_zalloc(RING, sizeof *r->jobs);
	if (!r->jobs)
		return err_no_memory(e, RING * sizeof *r->jobs);
	for (size_t i = 0; i < RING; i++)
		item_job_init(&r->jobs[i]);
	return ERR_OK;
}

static void restock_close(struct restock *r)
{
	if (r->writer && writer_session(r->writer))
		(void)!ledger_end_session(r->repo->ledger, writer_session(r->writer), &(struct err){ 0 });
	for (size_t i = 0; r->jobs && i < RING; i++)
		item_job_release(&r->jobs[i]);
	mem_free(r->jobs);
	writer_free(&r->writer);
	prepare_shared_release(&r->shared);
}

/* A commit without a snapshot: it only brings packs. Old snapshots find their chunks in them by their ids. */
static enum err_code commit(struct restock *r, struct err *e)
{
	struct commit c = { 0 };
	uint64_t number;
	enum err_code rc = writer_flush(r->writer, e);

	if (rc || !writer_session(r->writer))
		return rc;
	writer_commit_part(r->writer, true, &c);
	rc = ledger_commit(r->repo->ledger, &c, &number, e);
	if (!rc)
		writer_committed(r->writer, true);
	return rc ? rc : index_update(r->repo->index, r->repo->ledger, e);
}

enum err_code restock_missing(struct repo *repo, struct pool *pool, const struct idmap *missing,
                              struct item_source *source, struct repo *from, struct restock_count *out, struct err *e)
{
	struct restock r = { .repo = repo, .pool = pool, .missing = missing };
	enum err_code rc;

	r.tell = (struct engine_progress){ .phase = "looking for lost items", .what = "" };
	rc = restock_open(&r, e);
	if (!rc && source)
		rc = take_source(&r, source, e);
	if (!rc && from && !all_found(&r))
		rc = take_repository(&r, from, e);
	if (!rc)
		rc = commit(&r, e);
	if (!rc)
		*out = (struct restock_count){ writer_count(r.writer).chunks_new, writer_count(r.writer).bytes_stored };
	restock_close(&r);
	return rc;
}
