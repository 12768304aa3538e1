#include "joined.h"

#include "base/mem.h"
#include "base/text.h"
#include "outline.h"

struct part {
	struct item_source *source;
	const struct collection *collections;
	size_t count;
};

/* Where collection C of all comes from. */
struct origin {
	size_t part, number;
};

struct joined_source {
	struct item_source base;
	struct part parts[JOINED_SOURCES_MAX];
	size_t part_count;
	struct outline outline; /* all of them */
	struct origin *origins;
	bool gathered;
};

struct item_listing {
	struct item_source *source;
	struct item_listing *listing; /* of that source */
};

static struct joined_source *own(struct item_source *s)
{
	return (struct joined_source *)(void *)s;
}

static struct item_source *part_of(struct item_source *s, size_t c, size_t *number)
{
	const struct origin *o = &own(s)->origins[c];

	*number = o->number;
	return own(s)->parts[o->part].source;
}

/* ---- collections ---- */

/* RAW tells where it came from: the outline orders the collections anew. */
static enum err_code add_collection(struct joined_source *s, size_t p, size_t n, struct err *e)
{
	const struct part *part = &s->parts[p];
	const struct collection *c = &part->collections[n];
	struct origin from = { p, n };
	struct buf path = BUF_EMPTY;
	enum err_code rc = p ? buf_printf(&path, e, "%s/", part->source->world) : ERR_OK;

	if (!rc)
		rc = buf_append(&path, c->path, e);
	if (!rc && path.len > COLLECTION_PATH_BYTES_MAX)
		rc = err_set(e, ERR_LIMIT, "the path of a collection has %zu bytes", path.len);
	if (!rc)
		rc = outline_add(&s->outline, buf_span(&path), span_of(&from, sizeof from), c->kind, e);
	if (!rc)
		s->outline.collections[s->outline.count - 1].role = p ? ROLE_NONE : c->role;
	for (size_t i = 0; !rc && i < c->attribute_count; i++)
		rc = outline_attribute(&s->outline, c->attributes[i].name, c->attributes[i].value, e);
	buf_release(&path);
	return rc;
}

/* A path must say of whom it is, today and with the next snapshot. */
static enum err_code check_distinct(const struct joined_source *s, struct err *e)
{
	const struct outline *o = &s->outline;

	for (size_t i = 0; i < o->count; i++) {
		const struct origin *from = &s->origins[i];
		struct span theirs = s->parts[from->part].collections[from->number].path;

		/* One of two that have a path was given another one, which does not end as it should. */
		if (o->collections[i].path.len < theirs.len ||
		    !span_equal(span_skip(o->collections[i].path, o->collections[i].path.len - theirs.len), theirs))
			return err_set(
			        e, ERR_EXISTS,
			        "two sources of the account have a collection '%s': give one of them an account of "
			        "its own",
			        text_name(theirs).text);
	}
	return ERR_OK;
}

static enum err_code gather(struct joined_source *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t p = 0; !rc && p < s->part_count; p++) {
		struct part *part = &s->parts[p];

		part->source->report = s->base.report;
		part->source->report_ctx = s->base.report_ctx;
		rc = part->source->ops->collections(part->source, &part->collections, &part->count, e);
		for (size_t n = 0; !rc && n < part->count; n++)
			rc = add_collection(s, p, n, e);
	}
	if (!rc)
		rc = outline_finish(&s->outline, e);
	if (rc)
		return rc;
	s->origins = mem_zalloc(s->outline.count + 1, sizeof *s->origins);
	if (!s->origins)
		return err_no_memory(e, s->outline.count * sizeof *s->origins);
	for (size_t i = 0; i < s->outline.count; i++)
		memcpy(&s->origins[i], s->outline.raws[i].ptr, sizeof s->origins[i]);
	return check_distinct(s, e);
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct joined_source *s = own(base);
	enum err_code rc = s->gathered ? ERR_OK : gather(s, e);

	s->gathered = true;
	*out = s->outline.collections;
	*count = rc ? 0 : s->outline.count;
	return rc;
}

/* ---- listings ---- */

static enum err_code wrap(struct item_source *source, struct item_listing *listing, struct item_listing **out,
                          struct err *e)
{
	if (!listing)
		return ERR_OK;
	*out = mem_zalloc(1, sizeof **out);
	if (!*out) {
		source->ops->listing_free(&listing);
		return err_no_memory(e, sizeof **out);
	}
	(*out)->source = source;
	(*out)->listing = listing;
	return ERR_OK;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	size_t number;
	struct item_source *source = part_of(base, c, &number);
	struct item_listing *listing = NULL;
	enum err_code rc = source->ops->list(source, number, cursor, rescan, &listing, new_cursor, e);

	*out = NULL;
	return rc ? rc : wrap(source, listing, out, e);
}

static enum err_code source_list_since(struct item_source *base, size_t c, struct span cursor,
                                       const struct item_known *known, struct item_listing **out,
                                       struct buf *new_cursor, struct err *e)
{
	size_t number;
	struct item_source *source = part_of(base, c, &number);
	struct item_listing *listing = NULL;
	enum err_code rc;

	*out = NULL;
	if (!source->ops->list_since)
		return source_list(base, c, cursor, false, out, new_cursor, e);
	rc = source->ops->list_since(source, number, cursor, known, &listing, new_cursor, e);
	return rc ? rc : wrap(source, listing, out, e);
}

static size_t listing_count(const struct item_listing *l)
{
	return l->source->ops->listing_count(l->listing);
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	l->source->ops->listing_get(l->listing, i, out);
}

static void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	(*l)->source->ops->listing_free(&(*l)->listing);
	mem_free(*l);
	*l = NULL;
}

/* ---- items ---- */

static enum err_code listing_facts(const struct item_listing *l, uint64_t place, struct buf *facts, struct err *e)
{
	return l->source->ops->facts ? l->source->ops->facts(l->listing, place, facts, e) : ERR_OK;
}

static enum err_code source_head(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                 struct buf *out, struct err *e)
{
	size_t number;
	struct item_source *source = part_of(base, c, &number);

	if (!source->ops->head)
		return err_set(e, ERR_UNSUPPORTED, "this source gives no headers alone");
	return source->ops->head(source, number, l->listing, place, out, e);
}

static enum err_code source_ahead(struct item_source *base, size_t c, const struct item_listing *l,
                                  const uint64_t *places, size_t count, bool heads, struct err *e)
{
	size_t number;
	struct item_source *source = part_of(base, c, &number);

	return source->ops->ahead ? source->ops->ahead(source, number, l->listing, places, count, heads, e) : ERR_OK;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	size_t number;
	struct item_source *source = part_of(base, c, &number);

	return source->ops->fetch(source, number, l->listing, place, to, facts, e);
}

static void source_free(struct item_source **base)
{
	struct joined_source *s;

	if (!*base)
		return;
	s = own(*base);
	for (size_t p = 0; p < s->part_count; p++)
		s->parts[p].source->ops->free(&s->parts[p].source);
	outline_release(&s->outline);
	mem_free(s->origins);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops joined_ops = {
	.collections = source_collections,
	.list = source_list,
	.list_since = source_list_since,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.facts = listing_facts,
	.head = source_head,
	.ahead = source_ahead,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code joined_source_open(struct item_source **parts, size_t count, struct item_source **out, struct err *e)
{
	struct joined_source *s = count <= JOINED_SOURCES_MAX ? mem_zalloc(1, sizeof *s) : NULL;

	if (!s) {
		for (size_t p = 0; p < count; p++)
			parts[p]->ops->free(&parts[p]);
		return count > JOINED_SOURCES_MAX
		               ? err_set(e, ERR_LIMIT, "an account has at most %d sources", JOINED_SOURCES_MAX)
		               : err_no_memory(e, sizeof *s);
	}
	s->base = (struct item_source){
		.ops = &joined_ops, .world = "joined", .parallel_fetch = true, .keys_immutable = true
	};
	s->outline = OUTLINE_EMPTY;
	for (size_t p = 0; p < count; p++) {
		s->parts[p].source = parts[p];
		s->base.parallel_fetch &= parts[p]->parallel_fetch;
		s->base.keys_immutable &= parts[p]->keys_immutable;
		parts[p] = NULL;
	}
	s->part_count = count;
	*out = &s->base;
	return ERR_OK;
}
