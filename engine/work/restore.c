/*
 * Restore: the plan is the snapshot's collections and items against what the sink says of each; applying it writes
 * through the sink, which reads back and compares. Items are joined by the pool from blocks that are read once each.
 */
#include "engine/snapshot/snapshot.h"
#include "engine/work/codecs.h"
#include "engine/work/loose.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/pool.h"
#include "base/text.h"
#include "chunker/chunker.h"

#define RING               32
#define BODY_KEEP_BYTES    (512 * KIB)
#define BODY_WHOLE_MAX     MIB /* larger ones go through an unnamed file, so that memory stays bounded */
#define SPOOL_WINDOW_BYTES (256 * KIB)

struct restore {
	struct view *view;
	struct item_sink *sink;
	const struct restore_options *options;
	restore_visit visit;
	void *ctx;
	struct restore_report *report;
	struct pool *pool;
	struct codecs codecs;
	struct restore_job *jobs;
	size_t first, used;
	uint64_t done, total;
	struct span collection; /* where the current one goes */
	/* Items that the sink has taken and not told of yet; a ticket is a place here. */
	struct waiting *waiting;
	size_t waiting_count, waiting_free; /* FREE: 1 + the first free place, or 0 */
	enum err_code settle_rc;            /* telling failed */
	struct err settle_e;
};

struct waiting {
	struct loose_item copy;
	size_t next_free;
};

/* ---- bodies for the sink ---- */

/* The primary stream of one item: whole in memory when it is one piece, else joined again on every rewind. */
struct restore_job {
	struct pool_job job;
	struct restore *restore;
	size_t handle;
	enum item_kind kind;
	struct buf key, facts, state; /* copies: pages move on */
	struct chunk_id item_id;
	uint64_t bytes;
	struct view_item shown;
	struct buf body; /* whole, or a window on the spool */
	int spool;       /* -1: the body is held whole */
	uint64_t given;  /* bytes handed to the sink so far */
	enum sink_verdict verdict;
	enum err_code rc;
	struct err e;
};

struct join {
	struct restore *restore;
	struct block_codec *codec;
	const struct item_stream *stream;
	struct held_chunk held;
	struct restore_job *job;
};

static enum err_code join_chunk(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	struct join *j = ctx;
	struct reader *reader = j->restore->view->repo->reader;
	enum err_code rc;

	reader_drop(reader, &j->held);
	if (i >= j->stream->id_count)
		return err_set(e, ERR_CORRUPT, "the recipe wants chunk %u of %u", i, j->stream->id_count);
	rc = reader_get(reader, j->codec, ITEM_PART_CLASS, &j->stream->ids[i], &j->held, e);
	*bytes = j->held.bytes;
	return rc;
}

static enum err_code join_write(void *ctx, struct span bytes, struct err *e)
{
	struct join *j = ctx;

	j->job->bytes += bytes.len;
	if (j->job->spool >= 0)
		return file_write(j->job->spool, "a temporary file in the cache folder", bytes, e);
	return buf_append(&j->job->body, bytes, e);
}

static enum err_code body_next(void *ctx, struct span *piece, struct err *e)
{
	struct restore_job *j = ctx;
	size_t n = (size_t)num_min(SPOOL_WINDOW_BYTES, j->bytes - j->given);
	enum err_code rc = ERR_OK;

	*piece = SPAN_EMPTY;
	if (j->given == j->bytes)
		return ERR_OK;
	if (j->spool < 0) {
		*piece = buf_span(&j->body);
		j->given = j->bytes;
		return ERR_OK;
	}
	rc = file_read_at(j->spool, "a temporary file in the cache folder", j->given, j->body.ptr, n, e);
	j->given += n;
	*piece = span_of(j->body.ptr, n);
	return rc;
}

static enum err_code body_rewind(void *ctx, struct err *e)
{
	struct restore_job *j = ctx;

	(void)e;
	j->given = 0;
	return ERR_OK;
}

/* Room for an item of TOTAL bytes: memory, or a file that has no name and goes with its descriptor. */
static enum err_code make_room(struct restore_job *j, uint64_t total, struct err *e)
{
	const char *folder = (const char *)j->restore->view->repo->cache_folder.ptr;

	if (total <= BODY_WHOLE_MAX)
		return buf_reserve(&j->body, (size_t)total, e);
	j->spool = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (j->spool < 0) {
		struct buf path = BUF_EMPTY;
		enum err_code rc = file_join(folder, "spool-XXXXXX", &path, e);

		if (!rc)
			j->spool = mkostemp((char *)path.ptr, O_CLOEXEC);
		if (!rc && j->spool < 0)
			rc = err_sys(e, errno, "cannot make a temporary file in %s", folder);
		if (!rc)
			unlink((char *)path.ptr);
		buf_release(&path);
		if (rc)
			return rc;
	}
	return buf_reserve(&j->body, SPOOL_WINDOW_BYTES, e);
}

static void drop_spool(struct restore_job *j)
{
	if (j->spool >= 0)
		close(j->spool);
	j->spool = -1;
}

static enum err_code load_body(struct restore_job *j, struct block_codec *codec, struct err *e)
{
	struct restore *r = j->restore;
	struct join join = { .restore = r, .codec = codec, .job = j };
	struct held_chunk held = HELD_CHUNK_NONE;
	struct item_chunk item;
	struct recipe_info info;
	enum err_code rc = reader_get(r->view->repo->reader, codec, CLASS_ITEM, &j->item_id, &held, e);

	if (!rc)
		rc = item_chunk_decode(held.bytes, &item, e);
	if (!rc)
		rc = recipe_check(item.streams[0].recipe, &info, e);
	if (!rc)
		rc = make_room(j, info.total_bytes, e);
	j->bytes = 0;
	join.stream = &item.streams[0];
	if (!rc)
		rc = recipe_join(join.stream->recipe, join_chunk, join_write, &join, e);
	reader_drop(r->view->repo->reader, &join.held);
	reader_drop(r->view->repo->reader, &held);
	return rc;
}

static struct item_out item_out(const struct restore_job *j)
{
	return (struct item_out){ .key = buf_span(&j->key),
		                  .facts = buf_span(&j->facts),
		                  .state = buf_span(&j->state),
		                  .kind = j->kind,
		                  .bytes = j->bytes };
}

static void run_load(struct pool_job *job)
{
	struct restore_job *j = (struct restore_job *)(void *)job;
	struct restore *r = j->restore;
	struct block_codec *codec = codecs_take(&r->codecs);

	buf_clear(&j->body);
	j->given = 0;
	j->rc = load_body(j, codec, &j->e);
	codecs_give(&r->codecs, codec);
}

/* ---- results ---- */

/* In a plan for a sink that sets flags: which it would set. */
static void add_flags(const struct restore *r, struct restore_step *step)
{
	if (!r->options->plan_only || !r->sink->sets_flags || step->failed || step->verdict != SINK_PRESENT ||
	    !r->sink->ops->other_flags(r->sink, &step->flags_there, &step->flags))
		return;
	step->changes |= SINK_FLAGS_SET;
	r->report->items_flags_set++;
}

static enum err_code tell_step(struct restore *r, const struct restore_job *j, struct span target,
                               const struct err *failed, struct err *e)
{
	struct view_item shown = { .key = buf_span(&j->key),
		                   .facts = buf_span(&j->facts),
		                   .state = buf_span(&j->state),
		                   .kind = j->kind,
		                   .content = j->item_id,
		                   .bytes = j->bytes };
	struct restore_step step = { .collection = r->collection,
		                     .item = &shown,
		                     .target = target,
		                     .verdict = j->verdict,
		                     .note = "",
		                     .failed = failed };

	add_flags(r, &step);
	return r->visit ? r->visit(r->ctx, &step, e) : ERR_OK;
}

static void count_verdict(struct restore *r, enum sink_verdict verdict, uint64_t bytes)
{
	switch (verdict) {
	case SINK_PUT:
		r->report->items_put++;
		r->report->bytes_put += bytes;
		break;
	case SINK_RENAMED:
		r->report->items_put++;
		r->report->items_renamed++;
		r->report->bytes_put += bytes;
		break;
	case SINK_PRESENT:
		r->report->items_present++;
		break;
	case SINK_CLASH:
		r->report->items_clashed++;
		break;
	case SINK_MISSING:
		r->report->items_missing++;
		break;
	case SINK_LATER:
		break; /* counted when it is settled */
	}
}

/* Errors that make going on pointless. */
static bool is_fatal(enum err_code rc)
{
	return rc == ERR_NO_SPACE || rc == ERR_NO_MEMORY || rc == ERR_STATE || rc == ERR_CANCELLED;
}

/* ---- what the sink takes now and tells of later ---- */

/* A place for J in the table of those that wait: the ticket to give. */
static enum err_code take_ticket(struct restore *r, const struct restore_job *j, uint64_t *ticket, struct err *e)
{
	struct view_item item = { .key = buf_span(&j->key),
		                  .facts = buf_span(&j->facts),
		                  .state = buf_span(&j->state),
		                  .kind = j->kind,
		                  .content = j->item_id,
		                  .bytes = j->bytes };
	size_t at = r->waiting_free - 1;
	enum err_code rc;

	if (!r->waiting_free) {
		struct waiting *grown = mem_grow(r->waiting, (r->waiting_count + RING) * sizeof *grown);

		if (!grown)
			return err_no_memory(e, (r->waiting_count + RING) * sizeof *grown);
		r->waiting = grown;
		for (size_t i = 0; i < RING; i++)
			grown[r->waiting_count + i] = (struct waiting){ .next_free = i ? r->waiting_count + i : 0 };
		at = r->waiting_count + RING - 1;
		r->waiting_count += RING;
		r->waiting_free = at + 1;
	}
	rc = loose_copy(&item, &r->waiting[at].copy, e);
	if (!rc)
		r->waiting_free = r->waiting[at].next_free;
	*ticket = at;
	return rc;
}

static void give_ticket_back(struct restore *r, uint64_t ticket)
{
	struct waiting *w = &r->waiting[ticket];

	loose_release(&w->copy);
	w->next_free = r->waiting_free;
	r->waiting_free = (size_t)ticket + 1;
}

static void count_changes(struct restore *r, unsigned changes)
{
	r->report->items_line_ends += !!(changes & SINK_LINE_ENDS);
	r->report->items_mended += !!(changes & SINK_MENDED);
	r->report->items_flags_lost += !!(changes & SINK_FLAGS_LOST);
	r->report->items_flags_set += !!(changes & SINK_FLAGS_SET);
	r->report->items_elsewhere += !!(changes & SINK_ELSEWHERE);
}

static void settled(void *ctx, const struct item_outcome *o)
{
	struct restore *r = ctx;
	struct waiting *w = &r->waiting[o->ticket];
	struct restore_step step = { .collection = r->collection,
		                     .item = loose_get(&w->copy),
		                     .verdict = o->verdict,
		                     .changes = o->changes,
		                     .note = o->note,
		                     .failed = o->failed };
	bool told = r->options->tell_all || o->failed || o->verdict == SINK_CLASH || o->verdict == SINK_RENAMED ||
	            (o->changes & (SINK_MENDED | SINK_FLAGS_LOST));

	if (o->failed) {
		r->report->items_failed++;
	} else {
		count_verdict(r, o->verdict, w->copy.item.bytes);
		count_changes(r, o->changes);
	}
	if (told && r->visit && !r->settle_rc)
		r->settle_rc = r->visit(r->ctx, &step, &r->settle_e);
	give_ticket_back(r, o->ticket);
}

static enum err_code put_item(struct restore *r, struct restore_job *j)
{
	struct item_body body = { .ctx = j, .next = body_next, .rewind = body_rewind };
	struct item_out item = item_out(j);
	enum err_code rc;

	if (r->sink->settled) {
		rc = take_ticket(r, j, &item.ticket, &j->e);
		if (rc)
			return rc;
	}
	rc = r->sink->ops->put(r->sink, j->handle, &item, &body, r->options->collision, &j->verdict, &j->e);
	if (r->sink->settled && (rc || j->verdict != SINK_LATER))
		give_ticket_back(r, item.ticket);
	return rc;
}

/*
 * Takes the oldest item and puts it. Bodies are made by all threads, files by this one alone: two threads that create
 * files in one folder wait for its lock more than they work (8,146 messages: 0.82 s instead of 1.4 s, medians).
 */
static enum err_code pop(struct restore *r, struct err *e)
{
	struct restore_job *j = &r->jobs[r->first];
	struct engine_progress p = { .phase = "restoring", .what = "" };
	enum err_code rc = ERR_OK;

	pool_wait(r->pool, &j->job);
	r->first = (r->first + 1) % RING;
	r->used--;
	if (!j->rc)
		j->rc = put_item(r, j);
	if (is_fatal(j->rc) || (j->rc && r->sink->gone)) {
		*e = j->e;
		rc = j->rc;
	} else if (j->rc) {
		r->report->items_failed++;
		rc = tell_step(r, j, SPAN_EMPTY, &j->e, e);
	} else {
		count_verdict(r, j->verdict, j->bytes);
		if (j->verdict == SINK_CLASH || j->verdict == SINK_RENAMED ||
		    (r->options->tell_all && j->verdict != SINK_LATER))
			rc = tell_step(r, j, SPAN_EMPTY, NULL, e);
	}
	if (!rc && r->settle_rc) {
		*e = r->settle_e;
		rc = r->settle_rc;
	}
	drop_spool(j);
	if (j->body.cap > BODY_KEEP_BYTES)
		buf_release(&j->body);
	r->done++;
	p.items_done = r->done;
	p.items_total = r->total;
	p.bytes_done = r->report->bytes_put;
	repo_tell(r->view->repo, &p);
	return rc;
}

static enum err_code drain(struct restore *r, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (r->used) {
		struct err later;
		enum err_code got = pop(r, rc ? &later : e);

		if (!rc)
			rc = got;
	}
	return rc;
}

/* ---- items ---- */

static enum err_code copy(struct buf *to, struct span bytes, struct err *e)
{
	buf_clear(to);
	return buf_append(to, bytes, e);
}

static enum err_code fill_job(struct restore *r, struct restore_job *j, size_t handle, const struct view_item *item,
                              struct err *e)
{
	enum err_code rc = copy(&j->key, item->key, e);

	if (!rc)
		rc = copy(&j->facts, item->facts, e);
	if (!rc)
		rc = copy(&j->state, item->state, e);
	j->restore = r;
	j->handle = handle;
	j->kind = item->kind;
	j->item_id = item->content;
	j->bytes = item->bytes;
	j->verdict = SINK_PUT;
	return rc;
}

static enum err_code plan_item(struct restore *r, size_t handle, const struct view_item *item, struct err *e)
{
	struct restore_job *j = &r->jobs[0];
	struct buf target = BUF_EMPTY;
	struct item_out out;
	enum err_code rc = fill_job(r, j, handle, item, e);

	if (rc)
		return rc;
	out = item_out(j);
	out.summary = item->summary;
	j->rc = r->sink->ops->decide(r->sink, handle, &out, r->options->collision, &j->verdict, &target, &j->e);
	if (j->rc && (is_fatal(j->rc) || j->rc == ERR_IO || r->sink->gone)) {
		*e = j->e;
		rc = j->rc;
	} else if (j->rc) {
		r->report->items_failed++;
		rc = tell_step(r, j, buf_span(&target), &j->e, e);
	} else {
		count_verdict(r, j->verdict, j->bytes);
		rc = tell_step(r, j, buf_span(&target), NULL, e);
	}
	buf_release(&target);
	return rc;
}

static enum err_code give_item(struct restore *r, size_t handle, const struct view_item *item, struct err *e)
{
	struct restore_job *j;
	enum err_code rc = ERR_OK;

	if (repo_stopped(r->view->repo))
		return repo_cancelled(e);
	if (r->options->wanted && !r->options->wanted(r->options->wanted_ctx, r->collection, item->key))
		return ERR_OK;
	if (r->options->plan_only)
		return plan_item(r, handle, item, e);
	if (r->used == RING)
		rc = pop(r, e);
	if (rc)
		return rc;
	j = &r->jobs[(r->first + r->used) % RING];
	rc = fill_job(r, j, handle, item, e);
	if (rc)
		return rc;
	j->job.run = run_load;
	r->used++;
	pool_submit(r->pool, &j->job);
	return ERR_OK;
}

struct items_ctx {
	struct restore *restore;
	size_t handle;
};

static enum err_code visit_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct items_ctx *i = ctx;

	(void)c;
	return give_item(i->restore, i->handle, item, e);
}

/* ---- pages, as far as they can be read ---- */

/* What damage of the repository says; anything else ends the restore. */
static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND;
}

/* Tells of something larger than an item that cannot be read. */
static enum err_code tell_lost(struct restore *r, const struct err *why, struct err *e)
{
	struct restore_step step = { .collection = r->collection, .note = "", .failed = why };

	return r->visit ? r->visit(r->ctx, &step, e) : ERR_OK;
}

/*
 * Loads what there is of a page: keys and references must be; items whose facts or state are lost come back without,
 * and that is told. *LOST: nothing can be had; told, too, and counted.
 */
static enum err_code load_page(struct restore *r, const struct page_entry *entry, struct page *page, bool *lost,
                               struct err *e)
{
	static const unsigned less[] = { PAGE_FACTS | PAGE_REFS, PAGE_STATE | PAGE_REFS, PAGE_REFS };
	const struct chunk_io *io = &r->view->io;
	enum err_code rc = page_load(io, entry, PAGE_ALL, page, e);
	struct err why, other;

	*lost = false;
	if (!is_damage(rc))
		return rc;
	why = *e;
	for (size_t i = 0; i < ARRAY_LEN(less); i++) {
		if (page_load(io, entry, less[i], page, &other))
			continue;
		err_note(&why, "%s of %u items are lost; the items are restored without",
		         less[i] & PAGE_FACTS   ? "the flags"
		         : less[i] & PAGE_STATE ? "the dates"
		                                : "dates and flags",
		         page->count);
		return tell_lost(r, &why, e);
	}
	*lost = true;
	r->report->items_failed += entry->count;
	err_note(&why, "%u items that cannot be told by name are lost", entry->count);
	return tell_lost(r, &why, e);
}

static enum err_code items_by_key(struct restore *r, size_t c, const struct page_list *pages, size_t handle,
                                  struct err *e)
{
	struct view *v = r->view;
	enum item_kind kind = v->table.rows[c].shown.c.kind;
	struct page page = PAGE_EMPTY;
	struct view_item item;
	enum err_code rc = ERR_OK;
	bool lost;

	for (size_t p = 0; !rc && p < pages->count; p++) {
		rc = load_page(r, &pages->entries[p], &page, &lost, e);
		for (uint32_t row = 0; !rc && !lost && row < page.count; row++) {
			rc = view_row(v, &page, row, kind, r->options->plan_only && r->sink->wants_summaries, &item, e);
			if (!rc)
				rc = give_item(r, handle, &item, e);
		}
	}
	page_release(&page);
	return rc;
}

/* ---- position order: an mbox wants its messages as they stood ---- */

struct position {
	uint64_t position;
	uint32_t page;
	uint32_t row;
};

static int by_position(const void *a, const void *b)
{
	const struct position *x = a, *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static enum err_code gather_positions(struct view *v, const struct page_list *pages, struct position *out,
                                      struct err *e)
{
	size_t at = 0;
	enum err_code rc = ERR_OK;

	for (size_t p = 0; !rc && p < pages->count; p++) {
		bool known;

		rc = page_load(&v->io, &pages->entries[p], PAGE_KEYS | PAGE_STATE, &v->page, e);
		known = rc == ERR_OK;
		if (is_damage(rc))
			rc = ERR_OK; /* they come last, and load_page tells why */
		for (uint32_t row = 0; !rc && row < pages->entries[p].count; row++) {
			uint64_t position = UINT64_MAX;

			if (known)
				(void)fields_get_u64(v->page.rows[row].state, STATE_POSITION, &position);
			out[at++] = (struct position){ position, (uint32_t)p, row };
		}
	}
	return rc;
}

static enum err_code items_by_position(struct restore *r, size_t c, const struct page_list *pages, size_t handle,
                                       struct err *e)
{
	struct view *v = r->view;
	enum item_kind kind = v->table.rows[c].shown.c.kind;
	struct page page = PAGE_EMPTY;
	struct position *order = mem_zalloc(pages->items, sizeof *order);
	uint32_t loaded = UINT32_MAX;
	struct view_item item;
	bool lost = false;
	enum err_code rc =
	        order ? gather_positions(v, pages, order, e) : err_no_memory(e, pages->items * sizeof *order);

	if (!rc)
		qsort(order, pages->items, sizeof *order, by_position);
	for (size_t i = 0; !rc && i < pages->items; i++) {
		if (order[i].page != loaded)
			rc = load_page(r, &pages->entries[order[i].page], &page, &lost, e);
		loaded = order[i].page;
		if (lost)
			continue;
		if (!rc)
			rc = view_row(v, &page, order[i].row, kind, false, &item, e);
		if (!rc)
			rc = give_item(r, handle, &item, e);
	}
	mem_free(order);
	page_release(&page);
	return rc;
}

/* All items of a collection. When its tree cannot be read it is lost as a whole, and the others go on. */
static enum err_code all_items(struct restore *r, size_t c, size_t handle, struct err *e)
{
	struct page_list pages = PAGE_LIST_EMPTY;
	enum err_code rc = view_pages(r->view, c, &pages, e);

	if (is_damage(rc)) {
		struct err why = *e;

		r->report->items_failed += r->view->table.rows[c].state.items;
		return tell_lost(r, &why, e);
	}
	if (!rc && r->sink->needs_position_order)
		rc = items_by_position(r, c, &pages, handle, e);
	else if (!rc)
		rc = items_by_key(r, c, &pages, handle, e);
	page_list_release(&pages);
	return rc;
}

/* ---- collections ---- */

static bool matches_any(struct span path, const char *const *patterns, size_t count)
{
	char name[COLLECTION_PATH_BYTES_MAX + 1];

	if (path.len >= sizeof name || memchr(path.ptr, 0, path.len))
		return false;
	memcpy(name, path.ptr, path.len);
	name[path.len] = 0;
	for (size_t i = 0; i < count; i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct restore_options *o, struct span path)
{
	if (o->collection.len)
		return span_equal(o->collection, path);
	if (o->include_count && !matches_any(path, o->include, o->include_count))
		return false;
	return !matches_any(path, o->exclude, o->exclude_count);
}

/* --map OLD=NEW: the collection itself, and those below it. */
static enum err_code mapped_path(const struct restore_options *o, struct span path, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < o->map_count; i++) {
		const char *equals = strchr(o->map[i], '=');
		struct span old = equals ? span_of(o->map[i], (size_t)(equals - o->map[i])) : SPAN_EMPTY;
		enum err_code rc;

		if (!equals)
			return err_set(e, ERR_USAGE, "--map wants OLD=NEW, not '%s'", o->map[i]);
		if (!span_starts(path, old) || (path.len > old.len && path.ptr[old.len] != '/'))
			continue;
		rc = buf_append(out, span_cstr(equals + 1), e);
		return rc ? rc : buf_append(out, span_skip(path, old.len), e);
	}
	return buf_append(out, path, e);
}

/* A target that refuses one collection has room for the others; one that answers with an error of its own kind has not. */
static enum err_code collection_failed(struct restore *r, size_t c, enum err_code rc, struct err *e)
{
	struct restore_step step = { .collection = r->collection, .note = "" };
	struct err why = *e;

	if (!r->sink->refuses_collections || is_fatal(rc) || r->sink->gone)
		return rc;
	r->report->items_failed += r->options->key.len ? 1 : r->view->table.rows[c].state.items;
	step.failed = &why;
	return r->visit ? r->visit(r->ctx, &step, e) : ERR_OK;
}

static enum err_code tell_collection(struct restore *r, size_t handle, struct err *e)
{
	struct buf target = BUF_EMPTY;
	struct restore_step step = { .collection = r->collection, .note = "" };
	enum err_code rc = r->sink->ops->describe ? r->sink->ops->describe(r->sink, handle, &target, e) : ERR_OK;

	step.target = buf_span(&target);
	if (!rc)
		rc = r->visit(r->ctx, &step, e);
	buf_release(&target);
	return rc;
}

static enum err_code one_collection(struct restore *r, size_t c, struct err *e)
{
	const struct view_collection *shown;
	struct collection target;
	struct buf path = BUF_EMPTY;
	struct items_ctx ctx = { .restore = r };
	enum err_code rc = view_collection(r->view, c, &shown, e), ended;

	if (!rc)
		rc = mapped_path(r->options, shown->c.path, &path, e);
	if (rc)
		goto done;
	target = shown->c;
	target.path = buf_span(&path);
	r->collection = target.path;
	/* The raw name that the source used, and its role, go with the path that it was; a mapped one is named anew. */
	if (!span_equal(target.path, shown->c.path)) {
		target.attribute_count = 0;
		target.role = ROLE_NONE;
	}
	if (r->options->wanted && !r->options->wanted(r->options->wanted_ctx, target.path, SPAN_EMPTY))
		goto done;
	rc = r->sink->ops->collection(r->sink, &target, r->options->plan_only, &ctx.handle, e);
	if (rc) {
		rc = collection_failed(r, c, rc, e);
		goto done;
	}
	r->report->collections++;
	if (r->options->plan_only && r->visit)
		rc = tell_collection(r, ctx.handle, e);
	if (!rc && r->options->key.len)
		rc = view_item(r->view, c, r->options->key, visit_item, &ctx, e);
	else if (!rc)
		rc = all_items(r, c, ctx.handle, e);
	ended = drain(r, rc ? &(struct err){ 0 } : e);
	if (!rc)
		rc = ended;
	if (!rc && !r->options->plan_only)
		rc = r->sink->ops->collection_done(r->sink, ctx.handle, e);
	if (!rc && r->settle_rc) {
		*e = r->settle_e;
		rc = r->settle_rc;
	}
done:
	buf_release(&path);
	return rc;
}

static enum err_code open_parts(struct restore *r, struct err *e)
{
	unsigned cores = pool_cores();
	enum err_code rc;

	r->jobs = mem_zalloc(RING, sizeof *r->jobs);
	if (!r->jobs)
		return err_no_memory(e, RING * sizeof *r->jobs);
	for (size_t i = 0; i < RING; i++)
		r->jobs[i].spool = -1;
	rc = codecs_open(&r->codecs, cores + 1, e);
	return rc ? rc : pool_open(cores > 1 ? cores - 1 : 1, &r->pool, e);
}

static void close_parts(struct restore *r)
{
	pool_free(&r->pool);
	codecs_release(&r->codecs);
	for (size_t i = 0; r->jobs && i < RING; i++) {
		buf_release(&r->jobs[i].key);
		buf_release(&r->jobs[i].facts);
		buf_release(&r->jobs[i].state);
		buf_release(&r->jobs[i].body);
	}
	mem_free(r->jobs);
	for (size_t i = 0; i < r->waiting_count; i++)
		loose_release(&r->waiting[i].copy);
	mem_free(r->waiting);
}

static enum err_code all_collections(struct restore *r, struct err *e)
{
	struct view *v = r->view;
	size_t only;
	enum err_code rc = ERR_OK;

	if (r->options->collection.len)
		rc = view_find_collection(v, r->options->collection, &only, e);
	for (size_t c = 0; !rc && c < v->table.count; c++)
		if (is_wanted(r->options, v->table.rows[c].shown.c.path))
			r->total += v->table.rows[c].state.items;
	if (r->options->key.len)
		r->total = 1;
	r->report->items_wanted = r->total;
	for (size_t c = 0; !rc && c < v->table.count; c++)
		if (is_wanted(r->options, v->table.rows[c].shown.c.path))
			rc = one_collection(r, c, e);
	return rc;
}

enum err_code engine_restore(struct view *v, struct item_sink *sink, const struct restore_options *o,
                             restore_visit visit, void *ctx, struct restore_report *out, struct err *e)
{
	struct restore r = { .view = v, .sink = sink, .options = o, .visit = visit, .ctx = ctx, .report = out };
	enum err_code rc, ended;

	memset(out, 0, sizeof *out);
	rc = repo_need_content(v->repo, "restore", e);
	if (rc)
		return rc;
	rc = open_parts(&r, e);
	sink->settled = sink->batches ? settled : NULL;
	sink->settled_ctx = &r;
	if (!rc)
		rc = all_collections(&r, e);
	if (!o->plan_only) {
		/* Also after a failure: what was put stays put. */
		ended = sink->ops->finish(sink, rc ? &(struct err){ 0 } : e);
		if (!rc)
			rc = ended;
		if (sink->ops->checked)
			sink->ops->checked(sink, &out->checked);
	}
	sink->settled = NULL;
	close_parts(&r);
	return rc;
}
