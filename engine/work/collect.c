/*
 * One collection: its listing is merged with the pages of the base by key, new items are read by the pool, unchanged
 * pages are taken whole without reading more than their keys and states.
 */
#include "engine/work/run.h"

#include "base/mem.h"
#include "base/num.h"
#include "engine/work/twins.h"
#include "mime/mime.h"

#define OLD_NONE    0u
#define REFETCH     0x80000000u /* the item is known, but its bytes may have changed */
#define ROW_MASK    0x7fffffffu
#define CHECK_EVERY 64
#define AHEAD       256 /* items that a source hears of before they are fetched */

/* Where each entry of the listing was in the base: 1 + its row there, or OLD_NONE; REFETCH beside it. */
struct merge {
	struct run *run;
	size_t c;
	const struct item_listing *listing;
	size_t count;
	uint32_t *old;
	uint8_t *verdicts;      /* enum twins_verdict of each entry before TOLD; NULL without twins */
	uint64_t rows;          /* that were added */
	struct buf facts, head; /* scratch, of twins */
	struct page_list pages;
	uint64_t bytes; /* of the base's items that stay */
	uint64_t unchanged;
	struct page page;   /* the page of the base that rows are taken from */
	size_t page_number; /* which one; SIZE_MAX: none loaded */
	size_t cursor;      /* pages before it are behind us */
	size_t submitted, ring_first, ring_used;
	size_t left;         /* entries from SUBMITTED on that are to be fetched */
	size_t told;         /* entries before it were told to the source, if they are to be fetched */
	size_t told_waiting; /* of them not submitted yet */
};

static void entry_at(const struct merge *m, size_t i, struct item_entry *out)
{
	m->run->source->ops->listing_get(m->listing, i, out);
}

static uint64_t row_bytes(const struct page_row *row)
{
	uint64_t bytes = 0;

	(void)fields_get_u64(row->facts, FACT_SIZE, &bytes);
	return bytes;
}

static bool version_differs(struct span old, struct span now)
{
	struct span a = SPAN_EMPTY, b = SPAN_EMPTY;

	(void)fields_get(old, STATE_VERSION, &a);
	(void)fields_get(now, STATE_VERSION, &b);
	return !span_equal(a, b);
}

/* One key that both have. */
static void match(struct merge *m, size_t i, const struct item_entry *entry, const struct page_entry *page,
                  uint32_t row_number, const struct page_row *row)
{
	bool refetch = m->run->options->rescan ||
	               (!m->run->source->keys_immutable && version_differs(row->state, entry->state)) ||
	               (m->run->copied && m->run->copied->changed(m->listing, i));

	m->old[i] = ((uint32_t)page->first + row_number + 1) | (refetch ? REFETCH : 0);
	if (refetch)
		return;
	m->unchanged++;
	if (!span_equal(row->state, entry->state))
		m->run->report->items_state_changed++;
}

/* Walks the base's pages and the listing side by side. Facts are read only of pages that lose or refetch something. */
static enum err_code merge_with_base(struct merge *m, struct err *e)
{
	struct page page = PAGE_EMPTY;
	struct item_entry entry;
	size_t i = 0;
	enum err_code rc = ERR_OK;

	for (size_t p = 0; !rc && p < m->pages.count; p++) {
		const struct page_entry *from = &m->pages.entries[p];
		size_t start = i;
		uint32_t kept = 0;

		rc = page_load(&m->run->io, from, PAGE_KEYS | PAGE_STATE, &page, e);
		for (uint32_t row = 0; !rc && row < page.count; row++) {
			for (; i < m->count; i++) {
				entry_at(m, i, &entry);
				if (span_compare(entry.key, page.rows[row].key) >= 0)
					break;
			}
			if (i < m->count && span_equal(entry.key, page.rows[row].key)) {
				match(m, i, &entry, from, row, &page.rows[row]);
				kept += !(m->old[i] & REFETCH);
				i++;
			} else {
				m->run->report->items_removed++;
			}
		}
		if (rc || kept == page.count)
			continue;
		/* The bytes of what goes leave the sum. */
		rc = page_load(&m->run->io, from, PAGE_KEYS | PAGE_FACTS, &page, e);
		i = start;
		for (uint32_t row = 0; !rc && row < page.count; row++) {
			while (i < m->count && (m->old[i] & ROW_MASK) != from->first + row + 1 &&
			       (entry_at(m, i, &entry), span_compare(entry.key, page.rows[row].key) < 0))
				i++;
			if (i >= m->count || m->old[i] != from->first + row + 1)
				m->bytes -= num_min(m->bytes, row_bytes(&page.rows[row]));
		}
	}
	page_release(&page);
	return rc;
}

/* ---- reading new items ahead ---- */

static bool must_fetch(const struct merge *m, size_t i)
{
	return m->old[i] == OLD_NONE || (m->old[i] & REFETCH);
}

/* Has the new entry I a twin, as far as the listing tells? */
static enum err_code judge(struct merge *m, size_t i, uint64_t place, struct err *e)
{
	enum twins_verdict verdict = TWINS_NONE;
	enum err_code rc;

	if (!m->verdicts || m->old[i] != OLD_NONE)
		return ERR_OK;
	buf_clear(&m->facts);
	rc = m->run->source->ops->facts(m->listing, place, &m->facts, e);
	if (!rc)
		rc = twins_ask(m->run->twins, buf_span(&m->facts), &verdict, e);
	m->verdicts[i] = (uint8_t)verdict;
	return rc;
}

/* Keeps the source informed of at least half of AHEAD, so that it is told in batches. */
static enum err_code tell_source(struct merge *m, struct err *e)
{
	const struct item_source_ops *ops = m->run->source->ops;
	uint64_t places[AHEAD], heads[AHEAD];
	size_t count = 0, head_count = 0;
	enum err_code rc = ERR_OK;

	if (m->told_waiting >= AHEAD / 2)
		return ERR_OK;
	for (; !rc && m->told < m->count && m->told_waiting + count + head_count < AHEAD; m->told++) {
		struct item_entry entry;

		if (!must_fetch(m, m->told))
			continue;
		entry_at(m, m->told, &entry);
		rc = judge(m, m->told, entry.place, e);
		if (m->verdicts && m->verdicts[m->told] == TWINS_LIKELY)
			heads[head_count++] = entry.place;
		else if (!m->verdicts || m->verdicts[m->told] == TWINS_NONE)
			places[count++] = entry.place;
	}
	m->told_waiting += count + head_count;
	if (!rc && head_count && ops->ahead)
		rc = ops->ahead(m->run->source, m->c, m->listing, heads, head_count, true, e);
	if (!rc && count && ops->ahead)
		rc = ops->ahead(m->run->source, m->c, m->listing, places, count, false, e);
	return rc;
}

static void fill_job(const struct merge *m, const struct item_entry *entry, struct item_job *j)
{
	struct run *r = m->run;

	j->shared = &r->shared;
	j->source = r->source;
	j->collection = m->c;
	j->listing = m->listing;
	j->place = entry->place;
	j->key = entry->key;
	j->kind = r->collections[m->c].kind;
	j->next = NULL;
	j->leads = false;
}

/*
 * How many items make a job: as many as pays, but no fewer jobs than the threads can share among them. A source that hears
 * of items ahead is far away: each of its fetches waits, so none waits behind another.
 */
static size_t together(const struct merge *m)
{
	size_t share = num_min(RUN_RING, m->left) / (2 * m->run->threads);

	if (m->run->source->ops->ahead || !m->run->source->parallel_fetch)
		return 1;
	return num_max(1, num_min(share, PREPARE_TOGETHER_MAX));
}

/* Submits the next entries as one job, at most COUNT of them; there is room. */
static void submit_together(struct merge *m, size_t count)
{
	struct item_job *first = NULL, *last = NULL;

	for (; count && m->submitted < m->told; m->submitted++) {
		struct item_job *j = &m->run->jobs[(m->ring_first + m->ring_used) % RUN_RING];
		struct item_entry entry;

		if (!must_fetch(m, m->submitted))
			continue;
		m->left--;
		if (m->verdicts && m->verdicts[m->submitted])
			continue;
		entry_at(m, m->submitted, &entry);
		fill_job(m, &entry, j);
		m->ring_used++;
		m->told_waiting -= m->told_waiting > 0;
		count--;
		*(last ? &last->next : &first) = j;
		last = j;
	}
	if (!first)
		return;
	first->leads = true;
	pool_submit(m->run->pool, &first->job);
}

static enum err_code submit_ahead(struct merge *m, struct err *e)
{
	/* A source that is not thread-safe has one item in work, and its owner waits for it before the next call. */
	size_t most = m->run->source->parallel_fetch ? RUN_RING : 1;
	enum err_code rc = tell_source(m, e);

	while (!rc && m->submitted < m->told) {
		size_t count = together(m);

		if (m->ring_used + count > most)
			break;
		submit_together(m, count);
	}
	return rc;
}

/* Items behind the first of a job were done with it. */
static void wait_for(struct merge *m, struct item_job *j)
{
	if (j->leads)
		pool_wait(m->run->pool, &j->job);
}

static void ring_pop(struct merge *m)
{
	item_job_clear(&m->run->jobs[m->ring_first]);
	m->ring_first = (m->ring_first + 1) % RUN_RING;
	m->ring_used--;
}

static void ring_drain(struct merge *m)
{
	while (m->ring_used) {
		wait_for(m, &m->run->jobs[m->ring_first]);
		ring_pop(m);
	}
}

/* ---- rows of the base ---- */

/* The page of the base that holds ROW; rows are asked for in rising order. */
static size_t page_of_row(struct merge *m, uint64_t row)
{
	while (row >= m->pages.entries[m->cursor].first + m->pages.entries[m->cursor].count)
		m->cursor++;
	return m->cursor;
}

/* Loads the page of the base that entry I was in, and tells its row there. */
static enum err_code load_old(struct merge *m, size_t i, uint32_t *row, struct err *e)
{
	uint64_t number = (m->old[i] & ROW_MASK) - 1;
	size_t p = page_of_row(m, number);
	enum err_code rc = ERR_OK;

	if (m->page_number != p) {
		rc = page_load(&m->run->io, &m->pages.entries[p], PAGE_ALL, &m->page, e);
		m->page_number = rc ? SIZE_MAX : p;
	}
	*row = (uint32_t)(number - m->pages.entries[p].first);
	return rc;
}

static enum err_code add_old(struct merge *m, size_t i, const struct item_entry *entry, struct err *e)
{
	uint32_t row;
	enum err_code rc = load_old(m, i, &row, e);

	m->rows++;
	return rc ? rc : page_builder_add_old(m->run->pages, &m->page, row, entry->state, e);
}

/* How many entries from I on are one whole page of the base, in order and unchanged; 0 when it cannot be taken. */
static uint32_t whole_page(struct merge *m, size_t i)
{
	const struct page_entry *page;
	uint64_t row;

	if (m->old[i] == OLD_NONE || (m->old[i] & REFETCH) || !page_builder_at_cut(m->run->pages))
		return 0;
	row = m->old[i] - 1;
	page = &m->pages.entries[page_of_row(m, row)];
	if (row != page->first || page->count > m->count - i ||
	    (m->cursor + 1 == m->pages.count && i + page->count != m->count))
		return 0;
	for (uint32_t k = 0; k < page->count; k++)
		if (m->old[i + k] != row + k + 1)
			return 0;
	return page->count;
}

static enum err_code take_page(struct merge *m, size_t i, uint32_t count, struct err *e)
{
	struct span states[PAGE_ITEMS_MAX];
	struct item_entry entry = { 0 };

	for (uint32_t k = 0; k < count; k++) {
		entry_at(m, i + k, &entry);
		states[k] = entry.state;
	}
	return page_builder_take(m->run->pages, &m->pages.entries[m->cursor], entry.key, states, e);
}

/* ---- new items ---- */

static enum err_code put_prepared(struct run *r, const struct item_job *j, struct err *e)
{
	const struct prepared_chunk *parts = (const struct prepared_chunk *)(const void *)j->chunks.ptr;
	size_t count = j->chunks.len / sizeof *parts;
	struct writer_chunk batch[64];
	size_t used = 0;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		batch[used++] = (struct writer_chunk){ parts[i].class, parts[i].id,
			                               span_of(j->chunk_bytes.ptr + parts[i].offset, parts[i].len) };
		if (used == ARRAY_LEN(batch)) {
			rc = writer_put_all(r->writer, batch, used, e);
			used = 0;
		}
	}
	batch[used++] = (struct writer_chunk){ CLASS_ITEM, j->item_id, buf_span(&j->item) };
	return rc ? rc : writer_put_all(r->writer, batch, used, e);
}

/* A known item was read again: did its content change? */
static enum err_code count_refetched(struct merge *m, size_t i, const struct item_job *j, struct err *e)
{
	uint32_t row;
	enum err_code rc = load_old(m, i, &row, e);
	const struct page_row *old;

	if (rc)
		return rc;
	old = &m->page.rows[row];
	if (!old->listed && old->id_count && chunk_id_equal(&old->ids[0], &j->item_id))
		m->unchanged++;
	else
		m->run->report->items_changed++;
	return ERR_OK;
}

static enum err_code add_fetched(struct merge *m, size_t i, const struct item_entry *entry, const struct item_job *j,
                                 struct err *e)
{
	struct page_row row = { .key = entry->key, .facts = buf_span(&j->facts), .state = entry->state };
	enum err_code rc = page_builder_add(m->run->pages, &row, (const struct chunk_id *)(const void *)j->ids.ptr,
	                                    (uint32_t)(j->ids.len / sizeof(struct chunk_id)), buf_span(&j->summary), e);
	uint64_t bytes = 0;

	if (rc)
		return rc;
	(void)fields_get_u64(row.facts, FACT_SIZE, &bytes);
	m->bytes += bytes;
	m->run->report->bytes_read += j->bytes;
	m->rows++;
	if (m->run->twins)
		rc = twins_note(m->run->twins, m->c, m->rows - 1, row.facts, e);
	if (rc)
		return rc;
	if (m->old[i] == OLD_NONE) {
		m->run->report->items_new++;
		return ERR_OK;
	}
	return count_refetched(m, i, j, e);
}

/*
 * The item cannot be read now. What an earlier snapshot has of it stays, with the state of then: the version in it is
 * what makes the next run try again. A new one is left out and reported. Either way the collection must be listed
 * again.
 */
static enum err_code keep_or_skip(struct merge *m, size_t i, const struct item_entry *entry, const struct err *why,
                                  struct err *e)
{
	enum err_code rc;
	uint32_t row;

	if (why->code == ERR_VANISHED) {
		/* Gone while we looked: not part of this snapshot. */
		m->run->report->items_removed += m->old[i] != OLD_NONE;
		return ERR_OK;
	}
	run_skip(m->run, m->c, entry->key, why);
	m->run->collected[m->c].gaps = true;
	/* A copy is of one snapshot: what another had under this key is not part of it. */
	if (m->old[i] == OLD_NONE || m->run->copied)
		return ERR_OK;
	rc = load_old(m, i, &row, e);
	m->rows++;
	if (!rc)
		rc = page_builder_add_old(m->run->pages, &m->page, row, m->page.rows[row].state, e);
	if (!rc)
		m->bytes += row_bytes(&m->page.rows[row]);
	return rc;
}

/* Errors of our own side end the run; errors of one item do not. */
static bool is_ours(enum err_code rc)
{
	return rc == ERR_NO_MEMORY || rc == ERR_STATE;
}

static enum err_code take_job(struct merge *m, size_t i, const struct item_entry *entry, struct item_job *j,
                              struct err *e)
{
	struct run *r = m->run;
	enum err_code rc;
	bool stored = false;

	wait_for(m, j);
	if (j->rc == ERR_LIMIT)
		j->rc = prepare_stream(j, r->writer, &j->e);
	if (j->rc == ERR_OK) {
		rc = put_prepared(r, j, e);
		stored = true;
	} else if (j->ours || is_ours(j->rc)) {
		*e = j->e;
		rc = j->rc;
	} else {
		rc = keep_or_skip(m, i, entry, &j->e, e);
	}
	if (!rc && stored)
		rc = add_fetched(m, i, entry, j, e);
	return rc;
}

static enum err_code add_new(struct merge *m, size_t i, const struct item_entry *entry, struct err *e)
{
	enum err_code rc = take_job(m, i, entry, &m->run->jobs[m->ring_first], e);

	ring_pop(m);
	return rc;
}

/* ---- twins ---- */

/* The facts of a twin: what the listing tells, but for the size and the anchor, which the twin knows. */
static enum err_code twin_facts(struct merge *m, struct span twin, struct err *e)
{
	static const uint32_t tags[] = { FACT_SIZE, FACT_TIME, FACT_ZONE, FACT_ANCHOR, FACT_OBJECT };
	struct buf told = m->facts;
	enum err_code rc = ERR_OK;

	m->facts = BUF_EMPTY;
	for (size_t i = 0; !rc && i < ARRAY_LEN(tags); i++) {
		struct span from = tags[i] == FACT_SIZE || tags[i] == FACT_ANCHOR ? twin : buf_span(&told), value;

		if (fields_get(from, tags[i], &value))
			rc = fields_add(&m->facts, tags[i], value, e);
	}
	buf_release(&told);
	return rc;
}

static enum err_code add_twin(struct merge *m, const struct item_entry *entry, const struct page *page, uint32_t row,
                              struct err *e)
{
	enum err_code rc = twin_facts(m, page->rows[row].facts, e);

	if (!rc)
		rc = page_builder_add_as(m->run->pages, page, row, entry->key, buf_span(&m->facts), entry->state, e);
	if (rc)
		return rc;
	m->bytes += row_bytes(&page->rows[row]);
	m->run->report->items_moved++;
	return twins_note(m->run->twins, m->c, m->rows++, buf_span(&m->facts), e);
}

static enum err_code read_now(struct merge *m, size_t i, const struct item_entry *entry, struct err *e)
{
	struct item_job *j = &m->run->jobs[RUN_RING];
	enum err_code rc;

	fill_job(m, entry, j);
	j->leads = true;
	pool_submit(m->run->pool, &j->job);
	rc = take_job(m, i, entry, j, e);
	item_job_clear(j);
	return rc;
}

/* A new entry that seems to have a twin: its row, if that is true; else the item is read after all. */
static enum err_code add_likely(struct merge *m, size_t i, const struct item_entry *entry, struct err *e)
{
	struct run *r = m->run;
	const struct page *page = NULL;
	bool look = m->verdicts[i] == TWINS_LIKELY;
	uint8_t anchor[16];
	uint32_t row = 0;
	struct err why;
	enum err_code rc;

	if (look) {
		m->told_waiting -= m->told_waiting > 0;
		rc = r->source->ops->head(r->source, m->c, m->listing, entry->place, &m->head, &why);
		if (is_ours(rc))
			*e = why;
		if (rc)
			return is_ours(rc) ? rc : keep_or_skip(m, i, entry, &why, e);
		keys_anchor(r->repo->keys,
		            span_first(buf_span(&m->head),
		                       num_min(mime_header_length(buf_span(&m->head)), PREPARE_HEAD_BYTES)),
		            anchor);
	}
	buf_clear(&m->facts);
	rc = r->source->ops->facts(m->listing, entry->place, &m->facts, e);
	if (!rc)
		rc = twins_find(r->twins, buf_span(&m->facts), look ? anchor : NULL, &page, &row, e);
	if (rc)
		return rc;
	return page ? add_twin(m, entry, page, row, e) : read_now(m, i, entry, e);
}

/* ---- partial snapshots ---- */

static enum err_code add_rest_of_page(struct merge *m, size_t p, struct span after, struct page *page, struct err *e)
{
	const struct page_entry *from = &m->pages.entries[p];
	struct span states[PAGE_ITEMS_MAX];
	enum err_code rc = page_load(&m->run->io, from, PAGE_KEYS | PAGE_STATE, page, e);

	if (rc || span_compare(page->rows[page->count - 1].key, after) <= 0)
		return rc;
	if (page_builder_at_cut(m->run->pages) && span_compare(page->rows[0].key, after) > 0) {
		for (uint32_t row = 0; row < page->count; row++)
			states[row] = page->rows[row].state;
		return page_builder_take(m->run->pages, from, page->rows[page->count - 1].key, states, e);
	}
	rc = page_load(&m->run->io, from, PAGE_ALL, page, e);
	for (uint32_t row = 0; !rc && row < page->count; row++)
		if (span_compare(page->rows[row].key, after) > 0)
			rc = page_builder_add_old(m->run->pages, page, row, page->rows[row].state, e);
	return rc;
}

/*
 * Commits the entries before I and, as the base has them, the items behind: what was safe before stays safe to build
 * on, so the next run need not fetch it, and the pages taken later are inherited from a snapshot that has them (rule
 * D).
 */
static enum err_code make_safe(struct merge *m, size_t i, bool ending, struct err *e)
{
	struct run *r = m->run;
	struct page_mark *mark = NULL;
	struct page page = PAGE_EMPTY;
	struct item_entry entry = { 0 };
	enum err_code rc;

	if (!run_partial_wanted(r))
		return ERR_OK;
	if (i)
		entry_at(m, i - 1, &entry);
	rc = page_builder_mark(r->pages, &mark, e);
	for (size_t p = m->cursor; !rc && p < m->pages.count; p++)
		rc = add_rest_of_page(m, p, entry.key, &page, e);
	if (!rc)
		rc = run_commit_partial(r, m->c, m->bytes, ending, e);
	page_builder_rewind(r->pages, &mark);
	page_release(&page);
	return rc;
}

/* ---- the collection ---- */

static enum err_code build(struct merge *m, struct err *e)
{
	struct run *r = m->run;
	struct item_entry entry;
	enum err_code rc = ERR_OK;

	for (size_t i = 0, steps = 0; !rc && i < m->count; steps++) {
		uint32_t whole = whole_page(m, i);

		if (steps % CHECK_EVERY == 0) {
			run_tell(r, m->c, i, m->count);
			bool stopped = repo_stopped(r->repo);

			if (stopped || run_partial_due(r))
				rc = make_safe(m, i, stopped, e);
			if (!rc && stopped)
				rc = repo_cancelled(e);
			if (rc)
				break;
		}
		if (whole) {
			rc = take_page(m, i, whole, e);
			i += whole;
			m->rows += whole;
			continue;
		}
		rc = submit_ahead(m, e);
		entry_at(m, i, &entry);
		if (!rc && !must_fetch(m, i))
			rc = add_old(m, i, &entry, e);
		else if (!rc)
			rc = m->verdicts && m->verdicts[i] ? add_likely(m, i, &entry, e) : add_new(m, i, &entry, e);
		i++;
	}
	ring_drain(m);
	return rc;
}

/* The sum of a partial snapshot's collection is not kept exactly; the facts have it. */
static enum err_code sum_bytes(struct merge *m, struct err *e)
{
	struct page page = PAGE_EMPTY;
	enum err_code rc = ERR_OK;

	m->bytes = 0;
	for (size_t p = 0; !rc && p < m->pages.count; p++) {
		rc = page_load(&m->run->io, &m->pages.entries[p], PAGE_KEYS | PAGE_FACTS, &page, e);
		for (uint32_t row = 0; !rc && row < page.count; row++)
			m->bytes += row_bytes(&page.rows[row]);
	}
	page_release(&page);
	return rc;
}

enum err_code run_collect(struct run *r, size_t c, const struct item_listing *listing, struct err *e)
{
	struct merge m = { .run = r, .c = c, .listing = listing, .page_number = SIZE_MAX, .page = PAGE_EMPTY };
	struct collection_row *base = r->has_table ? collection_table_find(&r->table, r->collections[c].path) : NULL;
	struct collected *out = &r->collected[c];
	uint64_t removed = r->report->items_removed;
	enum err_code rc = ERR_OK;

	m.count = r->source->ops->listing_count(listing);
	if (m.count >= ROW_MASK)
		return err_set(e, ERR_LIMIT, "the collection has %zu items, more than %u", m.count, ROW_MASK);
	m.old = mem_zalloc(m.count, sizeof *m.old);
	if (!m.old)
		return err_no_memory(e, m.count * sizeof *m.old);
	if (r->twins) {
		m.verdicts = mem_zalloc(m.count, sizeof *m.verdicts);
		if (!m.verdicts) {
			mem_free(m.old);
			return err_no_memory(e, m.count);
		}
	}
	page_builder_reset(r->pages);
	if (base) {
		m.bytes = base->state.bytes;
		rc = page_list_load(&r->io, &base->roots, &m.pages, e);
		if (!rc && (r->base.flags & SNAPSHOT_PARTIAL))
			rc = sum_bytes(&m, e);
		if (!rc)
			rc = merge_with_base(&m, e);
	}
	for (size_t i = 0; i < m.count; i++)
		m.left += must_fetch(&m, i);
	/* Pages that cannot be listed now held what the base could still read. */
	out->failed = r->copied && r->copied->completes && r->report->items_removed != removed;
	if (!rc && !out->failed)
		rc = build(&m, e);
	if (!rc && !out->failed)
		rc = page_builder_roots(r->pages, &out->roots, &out->items, e);
	out->bytes = m.bytes;
	r->report->items_unchanged += m.unchanged;
	page_release(&m.page);
	page_list_release(&m.pages);
	buf_release(&m.facts);
	buf_release(&m.head);
	mem_free(m.verdicts);
	mem_free(m.old);
	return rc;
}
