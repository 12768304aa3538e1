#include "engine/work/copy_verify.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/text.h"
#include "engine/work/copy_source.h"

/* The rows of one collection, one after the other. */
struct rows {
	struct view *view;
	struct page_list pages;
	struct page page;
	size_t next_page;
	uint32_t row;
	bool end;
	struct span key, facts, state;
	struct chunk_id content;
};

struct comparison {
	struct copy_verified *v;
	struct view *from, *to;
	item_report report;
	void *ctx;
	struct span path;
};

static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND;
}

static void differs(struct comparison *k, struct span key, const char *what)
{
	char name[700];
	struct err why;

	err_set(&why, ERR_CORRUPT, "the copy differs from its origin: %s", what);
	snprintf(name, sizeof name, "%s%s%s", text_name(k->path).text, key.len ? "#" : "",
	         key.len ? text_name(key).text : "");
	k->v->differ++;
	if (k->report)
		k->report(k->ctx, name, &why);
}

/* TO has COUNT items where FROM has none. */
static void has_more(struct comparison *k, struct span key, uint64_t count, const char *what)
{
	if (count <= k->v->more)
		k->v->more -= count;
	else
		differs(k, key, what);
}

static enum err_code rows_next(struct rows *r, struct err *e)
{
	const struct page_row *row;
	const struct chunk_id *ids;
	uint32_t count;
	enum err_code rc;

	while (r->row == r->page.count) {
		if (r->next_page == r->pages.count) {
			r->end = true;
			return ERR_OK;
		}
		rc = page_load(&r->view->io, &r->pages.entries[r->next_page++], PAGE_ALL, &r->page, e);
		if (rc)
			return rc;
		r->row = 0;
	}
	row = &r->page.rows[r->row++];
	rc = view_row_ids(r->view, row, &ids, &count, e);
	if (rc)
		return rc;
	r->key = row->key;
	r->facts = row->facts;
	r->state = row->state;
	r->content = count ? ids[0] : (struct chunk_id){ { 0 } };
	return ERR_OK;
}

static enum err_code rows_open(struct rows *r, struct view *v, size_t c, struct err *e)
{
	enum err_code rc;

	*r = (struct rows){ .view = v, .page = PAGE_EMPTY, .pages = PAGE_LIST_EMPTY };
	rc = view_pages(v, c, &r->pages, e);
	return rc ? rc : rows_next(r, e);
}

static void rows_release(struct rows *r)
{
	page_list_release(&r->pages);
	page_release(&r->page);
}

/* The next field but the anchor. False at the end. */
static bool next_field(struct rd *r, uint64_t *tag, struct span *value)
{
	while (r->left.len && !r->bad) {
		*tag = rd_var(r);
		*value = rd_blob(r, r->left.len);
		if (*tag != FACT_ANCHOR)
			return !r->bad;
	}
	return false;
}

static bool same_facts(struct span a, struct span b)
{
	struct rd x = rd_of(a), y = rd_of(b);
	struct span p, q;
	uint64_t s, t;

	for (;;) {
		bool more = next_field(&x, &s, &p), other = next_field(&y, &t, &q);

		if (more != other || x.bad || y.bad)
			return false;
		if (!more)
			return true;
		if (s != t || !span_equal(p, q))
			return false;
	}
}

static enum err_code add_stream(void *ctx, struct span name, uint64_t bytes, struct err *e)
{
	uint8_t length[8];

	(void)e;
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bytes >> 8 * i);
	hash_stream_add(ctx, name);
	hash_stream_add(ctx, span_of(length, sizeof length));
	return ERR_OK;
}

static enum err_code add_bytes(void *ctx, struct span bytes, struct err *e)
{
	(void)e;
	hash_stream_add(ctx, bytes);
	return ERR_OK;
}

/* Names and bytes of all streams of an item. */
static enum err_code hash_item(struct repo *r, const struct chunk_id *content, uint8_t out[16], struct err *e)
{
	struct hash_stream *h = hash_stream_open();
	struct copy_join join = { .ctx = h, .stream = add_stream, .write = add_bytes };
	enum err_code rc;

	if (!h)
		return err_no_memory(e, 0);
	rc = copy_join_item(r, r->codec, content, &join, e);
	hash_stream_end(h, out);
	hash_stream_free(&h);
	return rc;
}

/* Enough of an id to tell that one content became two. */
static uint64_t id_beginning(const struct chunk_id *id)
{
	uint64_t n;

	memcpy(&n, id->bytes, sizeof n);
	return n >> 1;
}

static enum err_code same_bodies(struct comparison *k, const struct rows *a, const struct rows *b, struct err *e)
{
	uint8_t x[16], y[16];
	uint64_t before;
	enum err_code rc;

	if (idmap_get(&k->v->same, a->content.bytes, &before) && before == id_beginning(&b->content))
		return ERR_OK;
	rc = hash_item(a->view->repo, &a->content, x, e);
	if (!rc)
		rc = hash_item(b->view->repo, &b->content, y, e);
	if (is_damage(rc)) {
		differs(k, a->key, e->text);
		return ERR_OK;
	}
	if (rc)
		return rc;
	k->v->items++;
	if (memcmp(x, y, sizeof x) != 0) {
		differs(k, a->key, "other bytes");
		return ERR_OK;
	}
	return idmap_put(&k->v->same, a->content.bytes, id_beginning(&b->content), e);
}

static enum err_code same_row(struct comparison *k, const struct rows *a, const struct rows *b, struct err *e)
{
	if (!span_equal(a->state, b->state))
		differs(k, a->key, "another state");
	if (!same_facts(a->facts, b->facts))
		differs(k, a->key, "other facts");
	return same_bodies(k, a, b, e);
}

static enum err_code same_rows(struct comparison *k, struct rows *a, struct rows *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && !(a->end && b->end)) {
		int order = a->end ? 1 : b->end ? -1 : span_compare(a->key, b->key);

		if (repo_stopped(k->to->repo))
			return repo_cancelled(e);
		if (order == 0)
			rc = same_row(k, a, b, e);
		else if (order > 0)
			has_more(k, b->key, 1, "its origin has no such item");
		else
			k->v->missing++;
		if (!rc && order <= 0)
			rc = rows_next(a, e);
		if (!rc && order >= 0)
			rc = rows_next(b, e);
	}
	return rc;
}

static bool same_attributes(const struct collection *a, const struct collection *b)
{
	if (a->kind != b->kind || a->role != b->role || a->attribute_count != b->attribute_count)
		return false;
	for (size_t i = 0; i < a->attribute_count; i++)
		if (!span_equal(a->attributes[i].name, b->attributes[i].name) ||
		    !span_equal(a->attributes[i].value, b->attributes[i].value))
			return false;
	return true;
}

static enum err_code same_collection(struct comparison *k, size_t c, size_t d, struct err *e)
{
	const struct view_collection *x, *y;
	struct rows a, b;
	enum err_code rc = view_collection(k->from, c, &x, e);

	if (!rc)
		rc = view_collection(k->to, d, &y, e);
	if (rc)
		return rc;
	if (!same_attributes(&x->c, &y->c))
		differs(k, SPAN_EMPTY, "other attributes");
	rc = rows_open(&a, k->from, c, e);
	if (!rc) {
		rc = rows_open(&b, k->to, d, e);
		if (!rc)
			rc = same_rows(k, &a, &b, e);
		rows_release(&b);
	}
	rows_release(&a);
	return rc;
}

enum err_code copy_verify(struct view *from, struct view *to, struct copy_verified *v, item_report report, void *ctx,
                          struct err *e)
{
	struct comparison k = { .v = v, .from = from, .to = to, .report = report, .ctx = ctx };
	size_t c = 0, d = 0;
	enum err_code rc = ERR_OK;

	while (!rc && (c < from->table.count || d < to->table.count)) {
		const struct collection_row *a = &from->table.rows[c], *b = &to->table.rows[d];
		int order = c == from->table.count ? 1
		            : d == to->table.count ? -1
		                                   : span_compare(a->shown.c.path, b->shown.c.path);

		k.path = order > 0 ? b->shown.c.path : a->shown.c.path;
		if (order > 0)
			has_more(&k, SPAN_EMPTY, num_max(b->state.items, 1), "its origin has no such collection");
		else if (order < 0)
			v->missing += a->state.items;
		else
			rc = same_collection(&k, c, d, e);
		if (is_damage(rc)) {
			differs(&k, SPAN_EMPTY, e->text);
			rc = ERR_OK;
		}
		c += order <= 0;
		d += order >= 0;
	}
	return rc;
}
