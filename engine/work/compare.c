/*
 * Comparing snapshots: diff and deleted. Two snapshots share the pages that did not change, so only pages that one of
 * them has and the other has not are read.
 */
#include "engine/work/loose.h"

#include "base/idmap.h"
#include "base/mem.h"

const char *change_kind_name(enum change_kind kind)
{
	static const char *const names[] = { "",      "added",   "removed",          "moved",
		                             "flags", "content", "collection-added", "collection-removed" };

	return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "";
}

/* ---- walking two collections side by side ---- */

/* Rows of the pages that the other side does not have, in key order. */
struct side {
	struct view *view;
	size_t collection;
	enum item_kind kind;
	struct page_list pages;
	bool *skip; /* pages that the other side has, too */
	size_t page_number;
	struct page page;
	uint32_t row;
	bool loaded;
};

static void side_release(struct side *s)
{
	page_list_release(&s->pages);
	page_release(&s->page);
	mem_free(s->skip);
}

/* Moves to the next row that matters; false at the end. */
static enum err_code side_at(struct side *s, bool *more, struct err *e)
{
	for (;;) {
		if (s->loaded && s->row < s->page.count) {
			*more = true;
			return ERR_OK;
		}
		if (s->loaded) {
			s->page_number++;
			s->loaded = false;
		}
		while (s->page_number < s->pages.count && s->skip[s->page_number])
			s->page_number++;
		if (s->page_number == s->pages.count) {
			*more = false;
			return ERR_OK;
		}
		if (repo_stopped(s->view->repo))
			return repo_cancelled(e);
		enum err_code rc = page_load(&s->view->io, &s->pages.entries[s->page_number], PAGE_ALL, &s->page, e);

		if (rc)
			return rc;
		s->loaded = true;
		s->row = 0;
	}
}

/* One key for "the very same page": all four columns. */
static void page_key(const struct page_entry *p, uint8_t out[IDMAP_KEY_BYTES])
{
	const uint8_t *columns[] = { p->refs.bytes, p->keys.bytes, p->facts.bytes, p->state.bytes };

	memset(out, 0, IDMAP_KEY_BYTES);
	/* Ids are uniform and keyed: rotating before mixing keeps equal columns from cancelling out. */
	for (size_t c = 0; c < 4; c++)
		for (size_t i = 0; i < ID_BYTES; i++)
			out[i] ^= columns[c][(i + 8 * c) % ID_BYTES];
}

static enum err_code mark_shared(struct side *a, struct side *b, struct err *e)
{
	struct idmap seen = IDMAP_EMPTY;
	uint8_t key[IDMAP_KEY_BYTES];
	uint64_t at;
	enum err_code rc = ERR_OK;

	a->skip = mem_zalloc(a->pages.count, sizeof *a->skip);
	b->skip = mem_zalloc(b->pages.count, sizeof *b->skip);
	if (!a->skip || !b->skip)
		return err_no_memory(e, a->pages.count + b->pages.count);
	for (size_t i = 0; !rc && i < a->pages.count; i++) {
		page_key(&a->pages.entries[i], key);
		rc = idmap_put(&seen, key, i, e);
	}
	for (size_t i = 0; !rc && i < b->pages.count; i++) {
		page_key(&b->pages.entries[i], key);
		if (idmap_get(&seen, key, &at))
			a->skip[at] = b->skip[i] = true;
	}
	idmap_release(&seen);
	return rc;
}

typedef enum err_code (*pair_visit)(void *ctx, struct side *a, struct side *b, bool in_a, bool in_b, struct err *e);

/* Opens one side; a view of NULL is an empty one. */
static enum err_code side_open(struct side *s, struct view *v, const struct collection_row *row, struct err *e)
{
	s->view = v;
	if (!row)
		return ERR_OK;
	s->collection = (size_t)(row - v->table.rows);
	s->kind = row->shown.c.kind;
	return view_pages(v, s->collection, &s->pages, e);
}

/* Calls VISIT for every key that stands in a page which the other side does not share. */
static enum err_code walk_pair(struct view *va, const struct collection_row *ra, struct view *vb,
                               const struct collection_row *rb, pair_visit visit, void *ctx, struct err *e)
{
	struct side a = { 0 }, b = { 0 };
	bool more_a = false, more_b = false;
	enum err_code rc = side_open(&a, va, ra, e);

	if (!rc)
		rc = side_open(&b, vb, rb, e);
	if (!rc)
		rc = mark_shared(&a, &b, e);
	while (!rc) {
		int order;

		rc = side_at(&a, &more_a, e);
		if (!rc)
			rc = side_at(&b, &more_b, e);
		if (rc || (!more_a && !more_b))
			break;
		order = !more_a ? 1 : !more_b ? -1 : span_compare(a.page.rows[a.row].key, b.page.rows[b.row].key);
		rc = visit(ctx, &a, &b, order <= 0, order >= 0, e);
		a.row += order <= 0;
		b.row += order >= 0;
	}
	side_release(&a);
	side_release(&b);
	return rc;
}

static enum err_code side_item(struct side *s, struct view_item *out, struct err *e)
{
	return view_row(s->view, &s->page, s->row, s->kind, true, out, e);
}

/* ---- diff ---- */

/* An item that was seen on one side only, kept until moves are known. */
struct loose {
	struct loose_item copy;
	size_t collection;
	size_t same; /* 1 + the one removed before it with the same content, or 0 */
	bool matched;
};

struct diff {
	struct view *a, *b;
	change_visit visit;
	void *ctx;
	struct loose *added, *removed;
	size_t added_count, added_cap, removed_count, removed_cap;
	struct idmap removed_by_content; /* content id → 1 + the last one not yet matched, or 0 */
};

static enum err_code loose_add(struct loose **list, size_t *count, size_t *cap, const struct view_item *item, size_t c,
                               struct err *e)
{
	enum err_code rc;

	if (*count == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		struct loose *grown = mem_grow(*list, more * sizeof *grown);

		if (!grown)
			return err_no_memory(e, more * sizeof *grown);
		*list = grown;
		*cap = more;
	}
	(*list)[*count] = (struct loose){ .collection = c };
	rc = loose_copy(item, &(*list)[*count].copy, e);
	*count += rc == ERR_OK;
	return rc;
}

static enum err_code same_key(struct diff *d, struct side *a, struct side *b, struct err *e)
{
	struct view_item before, after;
	struct change change = { .collection = b->view->table.rows[b->collection].shown.c.path };
	enum err_code rc = side_item(a, &before, e);

	if (!rc)
		rc = side_item(b, &after, e);
	if (rc)
		return rc;
	change.before = &before;
	change.after = &after;
	if (!chunk_id_equal(&before.content, &after.content))
		change.kind = CHANGE_CONTENT;
	else if (!span_equal(before.state, after.state))
		change.kind = CHANGE_STATE;
	else
		return ERR_OK; /* its page differs, it does not */
	return d->visit(d->ctx, &change, e);
}

static enum err_code diff_pair(void *ctx, struct side *a, struct side *b, bool in_a, bool in_b, struct err *e)
{
	struct diff *d = ctx;
	struct view_item item;
	uint64_t same;
	enum err_code rc;

	if (in_a && in_b)
		return same_key(d, a, b, e);
	rc = side_item(in_a ? a : b, &item, e);
	if (rc)
		return rc;
	if (in_b)
		return loose_add(&d->added, &d->added_count, &d->added_cap, &item, b->collection, e);
	rc = loose_add(&d->removed, &d->removed_count, &d->removed_cap, &item, a->collection, e);
	if (rc)
		return rc;
	if (idmap_get(&d->removed_by_content, item.content.bytes, &same))
		d->removed[d->removed_count - 1].same = (size_t)same;
	return idmap_put(&d->removed_by_content, item.content.bytes, d->removed_count, e);
}

/* What left one place and came to another with the same content was moved. */
static enum err_code tell_loose(struct diff *d, struct err *e)
{
	enum err_code rc = ERR_OK;
	uint64_t at;

	for (size_t i = 0; !rc && i < d->added_count; i++) {
		struct loose *now = &d->added[i];
		struct change change = { .kind = CHANGE_ADDED,
			                 .collection = d->b->table.rows[now->collection].shown.c.path,
			                 .after = loose_get(&now->copy) };

		if (idmap_get(&d->removed_by_content, now->copy.item.content.bytes, &at) && at--) {
			d->removed[at].matched = true;
			rc = idmap_put(&d->removed_by_content, now->copy.item.content.bytes, d->removed[at].same, e);
			change.kind = CHANGE_MOVED;
			change.before = loose_get(&d->removed[at].copy);
			change.collection_from = d->a->table.rows[d->removed[at].collection].shown.c.path;
		}
		if (!rc)
			rc = d->visit(d->ctx, &change, e);
	}
	for (size_t i = 0; !rc && i < d->removed_count; i++) {
		struct change change = { .kind = CHANGE_REMOVED,
			                 .collection = d->a->table.rows[d->removed[i].collection].shown.c.path };

		if (d->removed[i].matched)
			continue;
		change.before = loose_get(&d->removed[i].copy);
		rc = d->visit(d->ctx, &change, e);
	}
	return rc;
}

static enum err_code tell_collection(struct diff *d, enum change_kind kind, const struct collection_row *row,
                                     struct err *e)
{
	struct change change = { .kind = kind, .collection = row->shown.c.path };

	return d->visit(d->ctx, &change, e);
}

static enum err_code diff_collections(struct diff *d, struct err *e)
{
	size_t i = 0, j = 0;
	enum err_code rc = ERR_OK;

	while (!rc && (i < d->a->table.count || j < d->b->table.count)) {
		struct collection_row *ra = i < d->a->table.count ? &d->a->table.rows[i] : NULL;
		struct collection_row *rb = j < d->b->table.count ? &d->b->table.rows[j] : NULL;
		int order = !ra ? 1 : !rb ? -1 : span_compare(ra->shown.c.path, rb->shown.c.path);

		if (order > 0)
			ra = NULL;
		else if (order < 0)
			rb = NULL;
		i += ra != NULL;
		j += rb != NULL;
		if (!ra)
			rc = tell_collection(d, CHANGE_COLLECTION_ADDED, rb, e);
		else if (!rb)
			rc = tell_collection(d, CHANGE_COLLECTION_REMOVED, ra, e);
		else if (!memcmp(&ra->roots, &rb->roots, sizeof ra->roots))
			continue;
		if (!rc)
			rc = walk_pair(d->a, ra, d->b, rb, diff_pair, d, e);
	}
	return rc;
}

enum err_code engine_diff(struct repo *r, const struct snapshot_id *a, const struct snapshot_id *b, change_visit visit,
                          void *ctx, struct err *e)
{
	struct diff d = { .visit = visit, .ctx = ctx };
	enum err_code rc = repo_need_content(r, "compare snapshots", e);

	if (!rc)
		rc = view_open(r, a, &d.a, e);
	if (!rc)
		rc = view_open(r, b, &d.b, e);
	if (!rc)
		rc = diff_collections(&d, e);
	if (!rc)
		rc = tell_loose(&d, e);
	for (size_t i = 0; i < d.added_count; i++)
		loose_release(&d.added[i].copy);
	for (size_t i = 0; i < d.removed_count; i++)
		loose_release(&d.removed[i].copy);
	mem_free(d.added);
	mem_free(d.removed);
	idmap_release(&d.removed_by_content);
	view_free(&d.a);
	view_free(&d.b);
	return rc;
}

/* ---- deleted ---- */

/*
 * Walks an account's snapshots from the newest to the oldest, comparing neighbours: what the older has and the newer
 * has not went away in between. It is deleted if the latest snapshot has its content nowhere; each is told once, from
 * the newest snapshot that has it.
 */
struct deleted {
	struct repo *repo;
	deleted_visit visit;
	void *ctx;
	struct view *newer, *older;
	struct idmap present; /* contents that the latest snapshot has; built when the first candidate turns up */
	struct idmap told;
	bool have_present;
	struct view *latest;
};

static enum err_code note_present(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct deleted *d = ctx;

	(void)c;
	return idmap_put(&d->present, item->content.bytes, 0, e);
}

static enum err_code need_present(struct deleted *d, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (d->have_present)
		return ERR_OK;
	for (size_t c = 0; !rc && c < d->latest->table.count; c++)
		rc = view_items(d->latest, c, false, note_present, d, e);
	d->have_present = rc == ERR_OK;
	return rc;
}

static enum err_code deleted_pair(void *ctx, struct side *a, struct side *b, bool in_a, bool in_b, struct err *e)
{
	struct deleted *d = ctx;
	struct deleted_item out = { .last_in = &d->older->info, .gone_by_ms = d->newer->info.time_ms };
	struct view_item item;
	uint64_t ignored;
	enum err_code rc;

	(void)b;
	if (!in_a || in_b)
		return ERR_OK;
	rc = side_item(a, &item, e);
	if (!rc)
		rc = need_present(d, e);
	if (rc || idmap_get(&d->present, item.content.bytes, &ignored) ||
	    idmap_get(&d->told, item.content.bytes, &ignored))
		return rc;
	rc = idmap_put(&d->told, item.content.bytes, 0, e);
	out.collection = a->view->table.rows[a->collection].shown.c.path;
	out.item = &item;
	return rc ? rc : d->visit(d->ctx, &out, e);
}

static enum err_code deleted_between(struct deleted *d, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < d->older->table.count; i++) {
		struct collection_row *ra = &d->older->table.rows[i];
		struct collection_row *rb = collection_table_find(&d->newer->table, ra->shown.c.path);

		if (!rb || memcmp(&ra->roots.spine, &rb->roots.spine, sizeof ra->roots.spine) != 0)
			rc = walk_pair(d->older, ra, d->newer, rb, deleted_pair, d, e);
	}
	return rc;
}

static enum err_code deleted_of_account(struct repo *r, const struct account_id *account, int64_t since_ms,
                                        deleted_visit visit, void *ctx, struct err *e)
{
	struct deleted d = { .repo = r, .visit = visit, .ctx = ctx };
	size_t i = ledger_snapshot_count(r->ledger);
	enum err_code rc = ERR_OK;

	while (!rc && i-- > 0) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (fact->state != SNAPSHOT_LIVE || memcmp(&fact->entry.account, account, sizeof *account) != 0)
			continue;
		rc = view_open(r, &fact->entry.id, &d.older, e);
		if (!rc && d.newer)
			rc = deleted_between(&d, e);
		if (!d.latest)
			d.latest = d.older;
		else if (d.newer != d.latest)
			view_free(&d.newer);
		d.newer = d.older;
		d.older = NULL;
		/* What was gone in a snapshot older than that went before it. */
		if (!rc && d.newer && d.newer->info.time_ms < since_ms)
			break;
	}
	if (d.newer != d.latest)
		view_free(&d.newer);
	view_free(&d.latest);
	idmap_release(&d.present);
	idmap_release(&d.told);
	return rc;
}

enum err_code engine_deleted(struct repo *r, const char *account, int64_t since_ms, deleted_visit visit, void *ctx,
                             struct err *e)
{
	struct account_id only = { { 0 } };
	struct idmap seen = IDMAP_EMPTY;
	size_t count = ledger_snapshot_count(r->ledger);
	enum err_code rc = repo_need_content(r, "search items", e);
	bool any = false;

	if (!rc && account)
		only = keys_account(r->keys, span_cstr(account));
	for (size_t i = 0; !rc && i < count; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);
		struct account_id id = fact->entry.account;
		uint8_t key[IDMAP_KEY_BYTES] = { 0 };
		uint64_t ignored;

		memcpy(key, id.bytes, sizeof id.bytes);
		if (fact->state != SNAPSHOT_LIVE || (account && memcmp(&id, &only, sizeof id) != 0) ||
		    idmap_get(&seen, key, &ignored))
			continue;
		any = true;
		rc = idmap_put(&seen, key, 0, e);
		if (!rc)
			rc = deleted_of_account(r, &id, since_ms, visit, ctx, e);
	}
	idmap_release(&seen);
	if (!rc && account && !any)
		rc = err_set(e, ERR_NOT_FOUND, "there is no snapshot of account '%s'", account);
	return rc;
}
