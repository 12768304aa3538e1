/*
 * A snapshot run: compare each collection with the base, collect what differs, build the collection list, commit. When
 * nothing differs no index is opened, no pack written, and the ledger gets one record.
 */
#include "engine/work/run.h"
#include "engine/work/twins.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define PARTIAL_MS_DEFAULT    (10 * 60 * 1000)
#define PARTIAL_BYTES_DEFAULT ((uint64_t)1 << 30)
#define LEVEL_DEFAULT         3
#define RUNS_AGAIN            3

/* ---- parts opened on demand ---- */

static enum err_code need_table(struct run *r, struct err *e)
{
	struct chunk_io io = repo_chunk_io(r->repo);
	enum err_code rc;

	if (r->has_table || !r->has_base)
		return ERR_OK;
	rc = collection_table_load(&io, &r->base_roots, &r->table, e);
	r->has_table = rc == ERR_OK;
	return rc;
}

enum err_code run_need_writer(struct run *r, enum index_mode mode, struct err *e)
{
	bool dry = r->options->dry_run;
	unsigned cores = pool_cores();
	enum err_code rc;

	if (r->writer)
		return ERR_OK;
	rc = repo_need_index(r->repo, dry ? INDEX_READ : mode, e);
	/* What an earlier run of this process committed must be known by its ordinal, or our commit could not name it.
	 */
	if (!rc)
		rc = index_update(r->repo->index, r->repo->ledger, e);
	if (!rc)
		rc = need_table(r, e);
	if (!rc)
		rc = pool_open(cores > 1 ? cores - 1 : 1, &r->pool, e);
	r->threads = cores > 1 ? cores : 2;
	if (!rc)
		rc = prepare_shared_open(r->repo->keys, cores + 1, &r->shared, e);
	if (!rc)
		rc = writer_open(r->repo, r->pool,
		                 r->options->compression_level ? r->options->compression_level : LEVEL_DEFAULT, dry,
		                 &r->writer, e);
	if (rc)
		return rc;
	r->io = writer_chunk_io(r->writer);
	rc = page_builder_open(&r->io, &r->pages, e);
	if (!rc)
		rc = page_builder_open(&r->io, &r->list, e);
	if (rc)
		return rc;
	r->jobs = mem_zalloc(RUN_RING + 1, sizeof *r->jobs);
	if (!r->jobs)
		return err_no_memory(e, (RUN_RING + 1) * sizeof *r->jobs);
	for (size_t i = 0; i < RUN_RING + 1; i++)
		item_job_init(&r->jobs[i]);
	return r->source->ops->facts && !r->options->rescan ? twins_open(r, &r->twins, e) : ERR_OK;
}

static void run_release(struct run *r)
{
	for (size_t i = 0; r->jobs && i < RUN_RING + 1; i++)
		item_job_release(&r->jobs[i]);
	mem_free(r->jobs);
	twins_free(&r->twins);
	writer_free(&r->writer);
	page_builder_free(&r->pages);
	page_builder_free(&r->list);
	pool_free(&r->pool);
	prepare_shared_release(&r->shared);
	for (size_t i = 0; r->collected && i < r->collection_count; i++)
		buf_release(&r->collected[i].cursor);
	mem_free(r->collected);
	last_release(&r->last);
	collection_table_release(&r->table);
}

/* ---- telling ---- */

void run_skip(struct run *r, size_t c, struct span key, const struct err *why)
{
	char what[700];

	r->skipped++;
	if (!r->source->report)
		return;
	if (key.len)
		snprintf(what, sizeof what, "%s#%s", text_name(r->collections[c].path).text, text_name(key).text);
	else
		snprintf(what, sizeof what, "%s", text_name(r->collections[c].path).text);
	r->source->report(r->source->report_ctx, what, why);
}

void run_tell(struct run *r, size_t c, uint64_t done, uint64_t total)
{
	struct engine_progress p = { .phase = r->copied ? "copying" : "reading",
		                     .items_done = done,
		                     .items_total = total };
	struct text_name name;

	if (!r->repo->progress)
		return;
	name = text_name(r->collections[c].path);
	p.bytes_done = r->report->bytes_read;
	p.what = name.text;
	repo_tell(r->repo, &p);
}

/* ---- the base ---- */

/* The account's newest snapshot that we may build on. */
static const struct snapshot_fact *newest_base(const struct run *r, bool partial)
{
	for (size_t i = ledger_snapshot_count(r->repo->ledger); i-- > 0;) {
		const struct snapshot_fact *fact = ledger_snapshot(r->repo->ledger, i);

		if (fact->state == SNAPSHOT_LIVE && snapshot_believed(r->repo, fact) &&
		    !memcmp(&fact->entry.account, &r->account, sizeof r->account) &&
		    (partial || !(fact->entry.flags & SNAPSHOT_PARTIAL)))
			return fact;
	}
	return NULL;
}

static void use_base(struct run *r, const struct snapshot_entry *entry)
{
	r->has_base = true;
	r->base = *entry;
	r->base_time_ms = entry->time_ms;
	r->base_roots = (struct page_roots){ entry->spine_root, entry->state_root };
	r->has_last = !(entry->flags & SNAPSHOT_PARTIAL) && last_load(r->repo, &r->account, &r->base.id, &r->last);
}

static void find_base(struct run *r)
{
	const struct snapshot_fact *fact;

	if (r->copied) {
		r->replaces = r->copied->replaces;
		if (r->copied->base)
			use_base(r, r->copied->base);
		return;
	}
	if (r->options->no_parent)
		return;
	fact = newest_base(r, false);
	if (fact)
		r->complete_items = fact->entry.item_count;
	fact = newest_base(r, true);
	if (!fact)
		return;
	use_base(r, &fact->entry);
	if (fact->entry.flags & SNAPSHOT_PARTIAL) {
		r->replaces = fact->entry.id;
		r->report->resumed = true;
	}
}

/* What the base knows of collection C; the cursor is borrowed. False: the collection is new. */
struct known {
	struct chunk_id facts_id;
	struct span cursor;
	uint64_t items, bytes;
};

static enum err_code known_of(struct run *r, size_t c, struct known *out, bool *found, struct err *e)
{
	const struct last_collection *last;
	const struct collection_row *row;
	enum err_code rc;

	*found = false;
	if (!r->has_base)
		return ERR_OK;
	if (r->has_last) {
		last = last_find(&r->last, r->collections[c].path);
		if (last)
			*out = (struct known){ last->facts_id, last->cursor, last->items, last->bytes };
		*found = last != NULL;
		return ERR_OK;
	}
	rc = need_table(r, e);
	row = rc ? NULL : collection_table_find(&r->table, r->collections[c].path);
	if (row) {
		*out = (struct known){ .cursor = row->state.cursor,
			               .items = row->state.items,
			               .bytes = row->state.bytes };
		rc = collection_facts_id(r->repo->keys, row->facts, row->ids + COLLECTION_REFS_FIXED,
		                         row->id_count - COLLECTION_REFS_FIXED, &out->facts_id, e);
		*found = rc == ERR_OK;
	}
	return rc;
}

static size_t base_collections(const struct run *r)
{
	return r->has_last ? r->last.count : r->has_table ? r->table.count : 0;
}

/* Names what a collection's row says besides its items, for comparing; nothing is put. */
static enum err_code facts_id(struct run *r, size_t c, struct chunk_id *out, struct err *e)
{
	struct buf facts = BUF_WITH_MAX(16 * MIB), ids = BUF_EMPTY;
	enum err_code rc = collection_facts_encode(NULL, r->repo->keys, &r->collections[c], &facts, &ids, e);

	if (!rc)
		rc = collection_facts_id(r->repo->keys, buf_span(&facts),
		                         (const struct chunk_id *)(const void *)ids.ptr,
		                         ids.len / sizeof(struct chunk_id), out, e);
	buf_release(&facts);
	buf_release(&ids);
	return rc;
}

/* ---- the collection list ---- */

static enum err_code add_row(struct run *r, const struct collection *c, const struct collection_state *state,
                             const struct page_roots *roots, struct err *e)
{
	struct buf facts = BUF_WITH_MAX(16 * MIB), encoded = BUF_EMPTY, ids = BUF_EMPTY;
	struct page_row row = { .key = c->path };
	enum err_code rc = buf_append(&ids, span_of(roots, sizeof *roots), e);

	if (!rc)
		rc = collection_facts_encode(&r->io, r->repo->keys, c, &facts, &ids, e);
	if (!rc)
		rc = collection_state_encode(state, &encoded, e);
	row.facts = buf_span(&facts);
	row.state = buf_span(&encoded);
	if (!rc)
		rc = page_builder_add(r->list, &row, (const struct chunk_id *)(const void *)ids.ptr,
		                      (uint32_t)(ids.len / sizeof(struct chunk_id)), SPAN_EMPTY, e);
	buf_release(&facts);
	buf_release(&encoded);
	buf_release(&ids);
	return rc;
}

/* A row of the base as it stands there. */
static enum err_code add_base_row(struct run *r, const struct collection_row *from, struct err *e)
{
	struct buf state = BUF_EMPTY;
	struct page_row row = { .key = from->shown.c.path, .facts = from->facts };
	enum err_code rc = collection_state_encode(&from->state, &state, e);

	row.state = buf_span(&state);
	if (!rc)
		rc = page_builder_add(r->list, &row, from->ids, from->id_count, SPAN_EMPTY, e);
	buf_release(&state);
	return rc;
}

struct totals {
	uint64_t items, bytes;
};

/* The row of collection C: of the base when it was kept or not reached, else what was collected. */
static enum err_code add_collection(struct run *r, size_t c, bool reached, struct totals *t, struct err *e)
{
	const struct collected *got = &r->collected[c];
	const struct collection_row *base =
	        r->has_table ? collection_table_find(&r->table, r->collections[c].path) : NULL;
	struct collection_state state = { .cursor = buf_span(&got->cursor), .items = got->items, .bytes = got->bytes };

	if (reached && !got->kept && !got->failed) {
		t->items += got->items;
		t->bytes += got->bytes;
		return add_row(r, &r->collections[c], &state, &got->roots, e);
	}
	if (!base || (reached && got->failed && r->copied))
		return ERR_OK; /* new, and not reached or not readable */
	t->items += base->state.items;
	t->bytes += base->state.bytes;
	return add_base_row(r, base, e);
}

/* Builds the list; DONE collections were reached. A partial list also holds collections that the source may have lost
 * since. */
static enum err_code build_list(struct run *r, size_t done, bool partial, struct page_roots *out, struct totals *t,
                                struct err *e)
{
	size_t c = 0, b = 0, base_count = partial && r->has_table ? r->table.count : 0;
	uint64_t rows;
	enum err_code rc = ERR_OK;

	*t = (struct totals){ 0, 0 };
	page_builder_reset(r->list);
	while (!rc && (c < r->collection_count || b < base_count)) {
		int order = c == r->collection_count ? 1
		            : b == base_count        ? -1
		                              : span_compare(r->collections[c].path, r->table.rows[b].shown.c.path);

		if (order > 0) {
			t->items += r->table.rows[b].state.items;
			t->bytes += r->table.rows[b].state.bytes;
			rc = add_base_row(r, &r->table.rows[b++], e);
			continue;
		}
		rc = add_collection(r, c, c < done, t, e);
		c++;
		b += order == 0;
	}
	return rc ? rc : page_builder_roots(r->list, out, &rows, e);
}

/* ---- commits ---- */

static enum err_code seal_copied(struct run *r, const struct snapshot_entry *entry, struct buf *out, struct err *e)
{
	struct snapshot_details d = r->copied->details;

	d.skipped += r->skipped;
	if (r->unfinished) {
		d.unfinished = true;
		d.begun = d.origin;
		d.rest = r->copied->rest;
	}
	d.copied = !r->unfinished;
	return details_seal(r->repo->keys, &entry->id, &d, out, e);
}

static enum err_code seal_details(struct run *r, const struct snapshot_id *id, struct buf *out, struct err *e)
{
	char host[256] = "";
	struct buf tags = BUF_WITH_MAX(16 * KIB);
	struct snapshot_details d = { .account = r->account_name };
	enum err_code rc = ERR_OK;

	if (gethostname(host, sizeof host - 1) != 0)
		host[0] = 0;
	for (size_t i = 0; !rc && i < r->options->tag_count; i++)
		rc = buf_printf(&tags, e, "%s%s", i ? "," : "", r->options->tags[i]);
	d.host = span_cstr(host);
	d.source = span_cstr(r->options->source ? r->options->source : "");
	d.tags = buf_span(&tags);
	d.tool = span_cstr(engine_version());
	d.duration_ms = clock_monotonic_ms() - r->started_monotonic_ms;
	d.collections = r->collection_count;
	d.skipped = r->skipped;
	if (!rc)
		rc = details_seal(r->repo->keys, id, &d, out, e);
	buf_release(&tags);
	return rc;
}

/* The commit entry goes into a pack, too: a lost ledger can be made again from packs. */
static enum err_code put_manifest(struct run *r, const struct snapshot_entry *entry, struct err *e)
{
	struct commit c = { .snapshots = entry, .snapshot_count = 1 };
	struct buf plain = BUF_EMPTY;
	struct chunk_id id;
	enum err_code rc = commit_encode(&c, &plain, e);

	if (!rc)
		rc = r->io.put(r->io.ctx, CLASS_MANIFEST, buf_span(&plain), &id, e);
	buf_release(&plain);
	return rc;
}

static enum err_code commit_entry(struct run *r, struct snapshot_entry *entry, bool last, struct err *e)
{
	struct commit c = { .snapshots = entry, .snapshot_count = 1 };
	struct buf sealed = BUF_EMPTY;
	uint64_t number;
	enum err_code rc = r->copied ? seal_copied(r, entry, &sealed, e) : seal_details(r, &entry->id, &sealed, e);

	entry->sealed = buf_span(&sealed);
	if (!rc && r->writer && writer_dirty(r->writer))
		rc = put_manifest(r, entry, e);
	if (!rc && r->writer)
		rc = writer_flush(r->writer, e);
	if (!rc && r->writer)
		writer_commit_part(r->writer, last, &c);
	if (!rc)
		rc = ledger_commit(r->repo->ledger, &c, &number, e);
	if (!rc && r->writer)
		writer_committed(r->writer, c.end_session);
	if (!rc && r->writer && !last)
		rc = index_update(r->repo->index, r->repo->ledger, e);
	entry->sealed = SPAN_EMPTY;
	buf_release(&sealed);
	return rc ? err_note(e, "while committing the snapshot") : ERR_OK;
}

static struct snapshot_entry new_entry(const struct run *r, const struct page_roots *roots, const struct totals *t)
{
	struct snapshot_entry entry = { .id = r->id,
		                        .account = r->account,
		                        .time_ms = r->started_ms,
		                        .zone_minutes = clock_zone_minutes(r->started_ms),
		                        .replaces = r->replaces,
		                        .spine_root = roots->spine,
		                        .state_root = roots->state,
		                        .item_count = t->items,
		                        .item_bytes = t->bytes };

	if (r->has_base)
		entry.base = r->base.id;
	if (r->copied) {
		entry.time_ms = r->copied->time_ms;
		entry.zone_minutes = r->copied->zone_minutes;
		entry.flags = r->copied->flags | SNAPSHOT_COPIED;
	}
	if (r->skipped)
		entry.flags |= SNAPSHOT_GAPS;
	return entry;
}

bool run_partial_due(const struct run *r)
{
	uint64_t bytes = r->options->partial_every_bytes ? r->options->partial_every_bytes : PARTIAL_BYTES_DEFAULT;

	if (r->options->dry_run)
		return false;
	return writer_uncommitted_bytes(r->writer) >= bytes || clock_monotonic_ms() >= r->partial_at_ms;
}

static void plan_next_partial(struct run *r)
{
	int64_t every = r->options->partial_every_ms ? r->options->partial_every_ms : PARTIAL_MS_DEFAULT;

	r->partial_at_ms = clock_monotonic_ms() + every;
}

bool run_partial_wanted(struct run *r)
{
	plan_next_partial(r);
	/* Also what was only read again is work that the next run need not repeat. */
	return r->writer && !r->options->dry_run && (writer_dirty(r->writer) || r->report->bytes_read > r->bytes_safe);
}

/* A partial snapshot of the first DONE collections, with the base's for the rest. */
static enum err_code commit_partial(struct run *r, size_t done, bool ending, struct err *e)
{
	struct snapshot_entry entry;
	struct page_roots roots;
	struct totals totals;
	enum err_code rc = build_list(r, done, true, &roots, &totals, e);

	if (rc)
		return rc;
	entry = new_entry(r, &roots, &totals);
	crypto_random(entry.id.bytes, sizeof entry.id.bytes);
	entry.flags |= SNAPSHOT_PARTIAL;
	r->unfinished = true;
	rc = commit_entry(r, &entry, ending, e);
	r->unfinished = false;
	if (rc)
		return rc;
	r->has_base = true;
	r->base = entry;
	r->replaces = entry.id;
	r->bytes_safe = r->report->bytes_read;
	return ERR_OK;
}

enum err_code run_commit_partial(struct run *r, size_t c, uint64_t bytes, bool ending, struct err *e)
{
	struct collected *current = &r->collected[c];
	struct buf cursor = current->cursor;
	enum err_code rc = page_builder_roots(r->pages, &current->roots, &current->items, e);

	current->bytes = bytes;
	/* Without a cursor the next run lists this collection again. */
	current->cursor = BUF_EMPTY;
	if (!rc)
		rc = commit_partial(r, c + 1, ending, e);
	current->cursor = cursor;
	return rc;
}

/* ---- the flow ---- */

/* One folder that cannot be read stops one folder; what the base has of it stays. */
static enum err_code cannot_list(struct run *r, size_t c, const struct err *why)
{
	if (why->code == ERR_NO_MEMORY)
		return why->code;
	run_skip(r, c, SPAN_EMPTY, why);
	r->collected[c].failed = true;
	return ERR_OK;
}

struct known_items {
	struct run *run;
	size_t c;
};

/* Gives a source what the base has of a collection. */
static enum err_code each_known(void *ctx,
                                enum err_code (*got)(void *to, struct span key, struct span state, struct err *e),
                                void *to, struct err *e)
{
	struct known_items *k = ctx;
	struct run *r = k->run;
	struct chunk_io io = r->writer ? r->io : repo_chunk_io(r->repo);
	struct page_list pages = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	enum err_code rc = need_table(r, e);
	const struct collection_row *row = rc ? NULL : collection_table_find(&r->table, r->collections[k->c].path);

	if (row)
		rc = page_list_load(&io, &row->roots, &pages, e);
	for (size_t p = 0; !rc && p < pages.count; p++) {
		rc = page_load(&io, &pages.entries[p], PAGE_KEYS | PAGE_STATE, &page, e);
		for (uint32_t i = 0; !rc && i < page.count; i++)
			rc = got(to, page.rows[i].key, page.rows[i].state, e);
	}
	page_release(&page);
	page_list_release(&pages);
	return rc;
}

/* LISTING stays NULL when nothing changed. */
static enum err_code list(struct run *r, size_t c, const struct known *known, bool found, struct item_listing **listing,
                          struct err *e)
{
	struct collected *out = &r->collected[c];
	uint64_t lost = r->copied ? *r->copied->lost : 0;
	enum err_code rc;

	if (r->copied && found && r->copied->same(r->source, c, known->items, known->bytes))
		return ERR_OK;
	if (r->source->ops->list_since && found && known->cursor.len && !r->options->rescan) {
		struct known_items items = { r, c };

		return r->source->ops->list_since(r->source, c, known->cursor,
		                                  &(struct item_known){ &items, each_known }, listing, &out->cursor, e);
	}
	rc = r->source->ops->list(r->source, c, found ? known->cursor : SPAN_EMPTY, r->options->rescan, listing,
	                          &out->cursor, e);
	if (r->copied && *r->copied->lost != lost) {
		r->skipped += *r->copied->lost - lost;
		out->gaps = true;
	}
	return rc;
}

/* What the base has of collection C stays as it is. */
static enum err_code keep_collection(struct run *r, size_t c, const struct known *known, struct err *e)
{
	struct collected *out = &r->collected[c];

	out->kept = true;
	out->failed = false;
	out->items = known->items;
	out->bytes = known->bytes;
	buf_clear(&out->cursor);
	r->report->items_unchanged += known->items;
	r->report->collections_unchanged++;
	return buf_append(&out->cursor, known->cursor, e);
}

/* Tells the source which collection comes behind C, so that it can begin. */
static void expect_next(struct run *r, size_t c)
{
	const struct item_source_ops *ops = r->source->ops;

	if (!ops->expect || r->options->rescan || r->expected > c)
		return;
	for (r->expected = c + 1; r->expected < r->collection_count; r->expected++) {
		struct known known = { 0 };
		struct err why;
		bool found = false;

		if (known_of(r, r->expected, &known, &found, &why) ||
		    ops->expect(r->source, r->expected, found ? known.cursor : SPAN_EMPTY,
		                ops->list_since && found && known.cursor.len, !r->has_base))
			return;
	}
}

static enum err_code do_collection(struct run *r, size_t c, struct err *e)
{
	struct collected *out = &r->collected[c];
	struct item_listing *listing = NULL;
	struct known known = { 0 };
	bool found;
	enum err_code rc = facts_id(r, c, &out->facts_id, e);

	if (!rc)
		rc = known_of(r, c, &known, &found, e);
	if (rc)
		return rc;
	rc = list(r, c, &known, found, &listing, e);
	if (rc) {
		rc = cannot_list(r, c, e);
		return !rc && found && r->copied && r->copied->completes ? keep_collection(r, c, &known, e) : rc;
	}
	if (!listing && found && !memcmp(&known.facts_id, &out->facts_id, sizeof known.facts_id))
		return keep_collection(r, c, &known, e);
	rc = run_need_writer(r, INDEX_WRITE, e);
	/* Only its attributes changed: items as they were, the listing is needed no less. */
	if (!rc && !listing &&
	    r->source->ops->list(r->source, c, SPAN_EMPTY, r->options->rescan, &listing, &out->cursor, e))
		return cannot_list(r, c, e);
	if (!rc) {
		expect_next(r, c);
		rc = run_collect(r, c, listing, e);
	}
	if (listing)
		r->source->ops->listing_free(&listing);
	if (!rc && out->failed)
		return keep_collection(r, c, &known, e);
	if (out->gaps)
		buf_clear(&out->cursor);
	if (rc == ERR_OK && found && r->has_table) {
		const struct collection_row *base = collection_table_find(&r->table, r->collections[c].path);

		/*
		 * Listed, but the same: the base's row stands, only our memory of the cursor moves on. In a partial
		 * base the sum of bytes may be of other items than its rows are.
		 */
		if (base && !memcmp(&base->roots, &out->roots, sizeof out->roots) && base->state.bytes == out->bytes &&
		    !memcmp(&known.facts_id, &out->facts_id, sizeof out->facts_id) &&
		    (!r->copied || span_equal(base->state.cursor, buf_span(&out->cursor)))) {
			out->kept = true;
			r->report->collections_unchanged++;
		}
	}
	return rc;
}

static void remember(struct run *r)
{
	struct last_collection *rows = mem_zalloc(r->collection_count, sizeof *rows);

	if (!rows)
		return;
	for (size_t c = 0; c < r->collection_count; c++)
		rows[c] = (struct last_collection){ .path = r->collections[c].path,
			                            .facts_id = r->collected[c].facts_id,
			                            .cursor = buf_span(&r->collected[c].cursor),
			                            .items = r->collected[c].items,
			                            .bytes = r->collected[c].bytes };
	last_save(r->repo, &r->account, &r->id, rows, r->collection_count);
	mem_free(rows);
}

/* True when every collection is as the base has it, and the base has no others. */
static bool nothing_changed(const struct run *r)
{
	if (!r->has_base || (r->base.flags & SNAPSHOT_PARTIAL) || base_collections(r) != r->collection_count)
		return false;
	for (size_t c = 0; c < r->collection_count; c++)
		if (!r->collected[c].kept)
			return false;
	return true;
}

static bool any_failed(const struct run *r)
{
	for (size_t c = 0; c < r->collection_count; c++)
		if (r->collected[c].failed)
			return true;
	return false;
}

/* Items of collections that the source no longer has. Both lists are in path order. */
static void count_lost_collections(struct run *r)
{
	size_t c = 0;

	for (size_t b = 0; r->has_table && b < r->table.count; b++) {
		struct span path = r->table.rows[b].shown.c.path;

		while (c < r->collection_count && span_compare(r->collections[c].path, path) < 0)
			c++;
		if (c == r->collection_count || !span_equal(r->collections[c].path, path))
			r->report->items_removed += r->table.rows[b].state.items;
	}
}

static enum err_code finish(struct run *r, struct err *e)
{
	struct page_roots roots = r->base_roots;
	struct totals totals = { r->base.item_count, r->base.item_bytes };
	struct snapshot_entry entry;
	bool changed = !nothing_changed(r);
	enum err_code rc = ERR_OK;

	/* Another copy that lacks the same is of no use. */
	if (!changed && r->copied && r->copied->completes && r->skipped)
		return ERR_OK;
	if (changed) {
		rc = run_need_writer(r, INDEX_WRITE, e);
		count_lost_collections(r);
		if (!rc)
			rc = build_list(r, r->collection_count, false, &roots, &totals, e);
	}
	if (rc)
		return rc;
	r->report->info.items = totals.items;
	r->report->info.bytes = totals.bytes;
	entry = new_entry(r, &roots, &totals);
	if (!r->copied && totals.items * 2 < r->complete_items) {
		entry.flags |= SNAPSHOT_SHRUNK;
		repo_notice(r->repo, ENGINE_WARNING,
		            "the source of %s has %llu items; the snapshot before had %llu. Nothing older is dropped "
		            "for it",
		            text_name(r->account_name).text, (unsigned long long)totals.items,
		            (unsigned long long)r->complete_items);
	}
	if (r->options->dry_run)
		return ERR_OK;
	rc = commit_entry(r, &entry, true, e);
	if (rc)
		return rc;
	r->report->info.id = entry.id;
	text_hex(span_of(entry.id.bytes, sizeof entry.id.bytes), r->report->info.id_hex);
	r->report->info.flags = (entry.flags & SNAPSHOT_SHRUNK ? ENGINE_SNAPSHOT_SHRUNK : 0u) |
	                        (entry.flags & SNAPSHOT_GAPS ? ENGINE_SNAPSHOT_GAPS : 0u);
	/* A collection that could not be read has no cursor worth keeping. */
	if (!any_failed(r))
		remember(r);
	return ERR_OK;
}

static enum err_code go(struct run *r, struct err *e)
{
	enum err_code rc = r->source->ops->collections(r->source, &r->collections, &r->collection_count, e);

	if (rc)
		return rc;
	r->collected = mem_zalloc(r->collection_count, sizeof *r->collected);
	if (!r->collected)
		return err_no_memory(e, r->collection_count * sizeof *r->collected);
	find_base(r);
	plan_next_partial(r);
	for (size_t c = 0; !rc && c < r->collection_count; c++) {
		if (!repo_stopped(r->repo)) {
			rc = do_collection(r, c, e);
			continue;
		}
		if (run_partial_wanted(r))
			rc = commit_partial(r, c, true, e);
		if (!rc)
			rc = repo_cancelled(e);
	}
	return rc ? rc : finish(r, e);
}

static void fill_report(struct run *r)
{
	struct snapshot_report *out = r->report;
	struct repo_info info;

	out->info.time_ms = r->started_ms;
	out->info.zone_minutes = clock_zone_minutes(r->started_ms);
	out->info.duration_ms = clock_monotonic_ms() - r->started_monotonic_ms;
	out->info.collections = r->collection_count;
	out->info.items_skipped = r->skipped;
	if (r->writer) {
		struct writer_count count = writer_count(r->writer);

		out->chunks_new = count.chunks_new;
		out->chunks_known = count.chunks_known;
		out->bytes_stored = count.bytes_stored;
	}
	repo_describe(r->repo, &info);
	memcpy(out->head, info.head, sizeof out->head);
}

static enum err_code run_once(struct repo *repo, struct item_source *source, const struct snapshot_options *o,
                              const struct copied *copied, struct snapshot_report *out, struct err *e)
{
	struct snapshot_options mine = *o;
	struct run r = { .repo = repo, .copied = copied, .source = source, .options = &mine, .report = out };
	bool lost;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	r.account_name = span_cstr(o->account ? o->account : "default");
	if (r.account_name.len == 0 || r.account_name.len > 255 || !text_is_utf8(r.account_name))
		return err_set(e, ERR_USAGE, "an account name has 1 to 255 bytes of UTF-8");
	rc = repo_need_names(repo, "add snapshots", e);
	if (rc)
		return rc;
	r.account = keys_account(repo->keys, r.account_name);
	if (!ledger_may_add(repo->ledger, &r.account))
		return err_set(e, ERR_DENIED,
		               "this key may not add snapshots of the account '%s': it was made for other accounts "
		               "(key add --role deposit --account NAME makes one for this)",
		               text_name(r.account_name).text);
	crypto_random(r.id.bytes, sizeof r.id.bytes);
	r.started_ms = clock_now_ms();
	r.started_monotonic_ms = clock_monotonic_ms();
	lost = !copied && lost_noted(repo, &r.account);
	if (lost && !mine.rescan)
		repo_notice(repo, ENGINE_REMARK,
		            "items of %s were lost: looking into everything once, to store again what is still there",
		            text_name(r.account_name).text);
	mine.rescan |= lost;
	rc = go(&r, e);
	if (!rc && lost && !mine.dry_run)
		lost_clear(repo, &r.account);
	/*
	 * A run that was asked to stop, was refused, or found nothing to commit, says so in the ledger: nobody has to wait
	 * for its session.
	 */
	if ((!rc || rc == ERR_CANCELLED || rc == ERR_STATE || rc == ERR_NOT_FOUND) && r.writer &&
	    writer_session(r.writer))
		(void)!ledger_end_session(repo->ledger, writer_session(r.writer), &(struct err){ 0 });
	fill_report(&r);
	run_release(&r);
	return rc;
}

/*
 * Rule D (ERR_STATE): something that a run leaned on was taken away before it could commit. Nothing was committed with
 * a hole, and what the run has just read is in the page cache: once more, from what the ledger says now. The same when
 * an object is gone and the ledger has moved on: a prune rewrote it, and deleted it sooner than it should beside others.
 */
bool run_may_begin_again(struct repo *repo, const struct err *e)
{
	uint64_t before = ledger_head(repo->ledger).number;
	struct err ignored;

	if ((e->code != ERR_STATE && e->code != ERR_NOT_FOUND) || repo_stopped(repo))
		return false;
	if (ledger_refresh(repo->ledger, &ignored) || ledger_rotated(repo->ledger))
		return false;
	if (e->code == ERR_NOT_FOUND) {
		if (ledger_head(repo->ledger).number == before)
			return false;
		repo_drop_index(repo);
	}
	repo_notice(repo, ENGINE_REMARK, "somebody else changed the repository meanwhile; the run begins again (%s)",
	            e->text);
	return true;
}

/* Is there anything that a run may have stumbled over? */
static bool has_snapshots(const struct repo *repo, const struct snapshot_options *o)
{
	struct account_id account = keys_account(repo->keys, span_cstr(o->account ? o->account : "default"));

	return snapshot_latest(repo, &account, true) != NULL;
}

static enum err_code run_again_if_refused(struct repo *repo, struct item_source *source,
                                          const struct snapshot_options *o, struct snapshot_report *out, struct err *e)
{
	enum err_code rc = run_once(repo, source, o, NULL, out, e);

	for (int again = 0; rc && again < RUNS_AGAIN && run_may_begin_again(repo, e); again++)
		rc = run_once(repo, source, o, NULL, out, e);
	if (!rc && !o->dry_run) {
		struct repo_info info;

		repo_checkpoint(repo);
		repo_describe(repo, &info);
		memcpy(out->head, info.head, sizeof out->head);
	}
	return rc;
}

enum err_code engine_snapshot(struct repo *repo, struct item_source *source, const struct snapshot_options *o,
                              struct snapshot_report *out, struct err *e)
{
	struct snapshot_options whole = *o;
	enum err_code rc = run_again_if_refused(repo, source, o, out, e);

	/*
	 * The pages that a run builds on are lost: then it builds them anew, from everything. Pages are cut by their keys,
	 * so those that did not change get the ids that they had, and older snapshots find theirs again.
	 */
	if ((rc != ERR_NOT_FOUND && rc != ERR_CORRUPT) || o->no_parent || repo_stopped(repo) || !has_snapshots(repo, o))
		return rc;
	repo_notice(repo, ENGINE_WARNING, "the snapshot before cannot be built on; reading everything (%s)", e->text);
	whole.no_parent = true;
	return run_again_if_refused(repo, source, &whole, out, e);
}

enum err_code run_copy(struct repo *repo, struct item_source *source, const struct snapshot_options *o,
                       const struct copied *copied, struct snapshot_report *out, struct err *e)
{
	struct repo_info info;
	enum err_code rc = run_once(repo, source, o, copied, out, e);

	if (!rc) {
		repo_checkpoint(repo);
		repo_describe(repo, &info);
		memcpy(out->head, info.head, sizeof out->head);
	}
	return rc;
}
