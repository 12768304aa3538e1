#include "engine/work/view_source.h"

#include "base/mem.h"
#include "engine/work/copy_source.h"

struct view_source {
	struct item_source base;
	struct view *view;
	struct idmap *seen;
	struct collection *collections;
};

struct item_listing {
	struct buf items; /* struct listed */
	struct buf names; /* keys and facts */
};

struct listed {
	struct chunk_id content;
	size_t at;
	uint32_t key_len, facts_len;
};

static struct view_source *of(struct item_source *s)
{
	return (struct view_source *)(void *)s;
}

static enum err_code collections(struct item_source *base, const struct collection **out, size_t *count, struct err *e)
{
	struct view_source *s = of(base);
	size_t n = view_collection_count(s->view);
	const struct view_collection *shown;
	enum err_code rc = ERR_OK;

	if (!s->collections)
		s->collections = mem_zalloc(n, sizeof *s->collections);
	if (!s->collections)
		return err_no_memory(e, n * sizeof *s->collections);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = view_collection(s->view, i, &shown, e);
		if (!rc)
			s->collections[i] = shown->c;
	}
	*out = s->collections;
	*count = n;
	return rc;
}

struct listing_of {
	struct view_source *source;
	struct item_listing *listing;
};

static enum err_code list_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct listing_of *l = ctx;
	struct listed one = { .content = item->content,
		              .at = l->listing->names.len,
		              .key_len = (uint32_t)item->key.len,
		              .facts_len = (uint32_t)item->facts.len };
	uint64_t ignored;
	enum err_code rc;

	(void)c;
	if (idmap_get(l->source->seen, item->content.bytes, &ignored))
		return ERR_OK;
	rc = idmap_put(l->source->seen, item->content.bytes, 0, e);
	if (!rc)
		rc = buf_append(&l->listing->names, item->key, e);
	if (!rc)
		rc = buf_append(&l->listing->names, item->facts, e);
	return rc ? rc : buf_append(&l->listing->items, span_of(&one, sizeof one), e);
}

static void listing_free(struct item_listing **at)
{
	if (!*at)
		return;
	buf_release(&(*at)->items);
	buf_release(&(*at)->names);
	mem_free(*at);
	*at = NULL;
}

static enum err_code list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                          struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct listing_of l = { of(base), mem_zalloc(1, sizeof *l.listing) };
	enum err_code rc;

	(void)cursor;
	(void)rescan;
	(void)new_cursor;
	if (!l.listing)
		return err_no_memory(e, sizeof *l.listing);
	l.listing->items.max = l.listing->names.max = (size_t)1 << 40;
	rc = view_items(l.source->view, c, false, list_item, &l, e);
	if (rc)
		listing_free(&l.listing);
	else
		*out = l.listing;
	return rc;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->items.len / sizeof(struct listed);
}

static const struct listed *listed_at(const struct item_listing *l, uint64_t i)
{
	return (const struct listed *)(const void *)l->items.ptr + i;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct listed *one = listed_at(l, i);

	*out = (struct item_entry){ .key = span_of(l->names.ptr + one->at, one->key_len), .place = i };
}

/* ---- fetching ---- */

static enum err_code begin(void *ctx, struct span name, uint64_t bytes, struct err *e)
{
	const struct item_receiver *to = ctx;

	return to->stream(to->ctx, name, bytes, e);
}

static enum err_code pass(void *ctx, struct span bytes, struct err *e)
{
	return item_give(ctx, bytes, e);
}

/* The anchor is keyed: that of another repository says nothing here, and the engine makes ours. */
static enum err_code copy_facts(struct span facts, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct span value;

	for (uint32_t tag = FACT_SIZE; !rc && tag <= FACT_MODE; tag++)
		if (tag != FACT_ANCHOR && fields_get(facts, tag, &value))
			rc = fields_add(out, tag, value, e);
	return rc;
}

static enum err_code fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                           const struct item_receiver *to, struct buf *facts, struct err *e)
{
	const struct listed *one = listed_at(l, place);
	struct item_receiver receiver = *to;
	struct copy_join join = { &receiver, begin, pass };
	struct repo *repo = of(base)->view->repo;
	enum err_code rc = copy_join_item(repo, repo->codec, &one->content, &join, e);

	(void)c;
	return rc ? rc : copy_facts(span_of(l->names.ptr + one->at + one->key_len, one->facts_len), facts, e);
}

static void source_free(struct item_source **at)
{
	if (!*at)
		return;
	mem_free(of(*at)->collections);
	mem_free(*at);
	*at = NULL;
}

static const struct item_source_ops ops = {
	.collections = collections,
	.list = list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.fetch = fetch,
	.free = source_free,
};

enum err_code view_source_open(struct view *view, struct idmap *seen, struct item_source **out, struct err *e)
{
	struct view_source *s = mem_zalloc(1, sizeof *s);

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_source){ .ops = &ops, .world = "repository" };
	s->view = view;
	s->seen = seen;
	*out = &s->base;
	return ERR_OK;
}
