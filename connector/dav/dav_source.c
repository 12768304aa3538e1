#include "dav_source.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "bodies.h"
#include "dav_listing.h"
#include "discover.h"

#define HEAD_BYTES (64 * KIB) /* that tell an item's kind */
#define DAY_MS     86400000

struct dav_source {
	struct item_source base;
	struct dav_lanes lanes; /* the thread that lists has the first, while nothing is fetched */
	struct dav_folders folders;
};

static struct dav_source *own(struct item_source *s)
{
	return (struct dav_source *)s;
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct dav_source *s = own(base);

	(void)e;
	*out = s->folders.outline.collections;
	*count = s->folders.outline.count;
	return ERR_OK;
}

/* ---- listing ---- */

static uint32_t today(void)
{
	return (uint32_t)(clock_now_ms() / DAY_MS);
}

static bool is_fresh(const struct dav_cursor *c)
{
	uint32_t day = today();

	return day >= c->full_day && day - c->full_day < DAV_FULL_DAYS;
}

/* What the server tells of both times is the same, and it tells something. */
static bool nothing_moved(const struct dav_cursor *before, struct span token, struct span ctag)
{
	return (token.len || ctag.len) && span_equal(before->token, token) && span_equal(before->ctag, ctag);
}

static void tell_strange(struct dav_source *s, size_t c, const struct item_listing *l)
{
	struct err why;

	if (!l->strange || !s->base.report)
		return;
	err_set(&why, ERR_CORRUPT,
	        "the server lists %zu resources that are not in it, and are not read: the first is %s", l->strange,
	        l->strange_first.text);
	s->base.report(s->base.report_ctx, text_name(s->folders.outline.collections[c].path).text, &why);
}

/* What changed since BEFORE; ERR_UNSUPPORTED: all is to be listed. */
static enum err_code list_changes(struct dav_source *s, size_t c, const struct dav_cursor *before,
                                  const struct item_known *items, struct item_listing **out, struct err *e)
{
	if (!items || !before->token.len || !is_fresh(before))
		return err_set(e, ERR_UNSUPPORTED, "all is to be listed");
	return dav_list_since(s->lanes.clients[0], s->folders.outline.raws[c],
	                      s->folders.outline.collections[c].kind == KIND_CONTACT, before->token, items, out, e);
}

static enum err_code list(struct dav_source *s, size_t c, struct span cursor, const struct item_known *items,
                          struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct dav_cursor before = { 0 }, now = { .full_day = today() };
	struct span raw = s->folders.outline.raws[c];
	bool known = dav_cursor_get(cursor, &before);
	struct item_listing *l = NULL;
	enum err_code rc;

	*out = NULL;
	buf_clear(new_cursor);
	dav_folder_state(&s->folders, raw, &now.token, &now.ctag);
	if (known && is_fresh(&before) && nothing_moved(&before, now.token, now.ctag))
		return ERR_OK;
	rc = known ? list_changes(s, c, &before, items, &l, e) : ERR_UNSUPPORTED;
	if (!rc) {
		now.full_day = before.full_day;
		now.token = buf_span(&l->token);
	} else if (rc == ERR_UNSUPPORTED) {
		rc = dav_list_all(s->lanes.clients[0], raw, s->folders.outline.collections[c].kind == KIND_CONTACT, &l,
		                  e);
	}
	if (!rc)
		tell_strange(s, c, l);
	if (!rc)
		rc = dav_cursor_put(&now, new_cursor, e);
	if (rc)
		dav_listing_free(&l);
	*out = l;
	return rc ? err_note(e, "while listing %s", text_name(s->folders.outline.collections[c].path).text) : ERR_OK;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	return list(own(base), c, rescan ? SPAN_EMPTY : cursor, NULL, out, new_cursor, e);
}

static enum err_code source_list_since(struct item_source *base, size_t c, struct span cursor,
                                       const struct item_known *known, struct item_listing **out,
                                       struct buf *new_cursor, struct err *e)
{
	return list(own(base), c, cursor, known, out, new_cursor, e);
}

static size_t listing_count(const struct item_listing *l)
{
	return l->count;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct dav_entry *entry = &l->entries[i];

	*out = (struct item_entry){ dav_key(l, entry), dav_state(l, entry), i };
}

/* ---- fetching ---- */

static enum err_code source_ahead(struct item_source *base, size_t c, const struct item_listing *l,
                                  const uint64_t *places, size_t count, bool heads, struct err *e)
{
	struct dav_source *s = own(base);
	struct item_listing *mine = (struct item_listing *)(uintptr_t)l;

	(void)c;
	(void)heads;
	(void)e;
	pthread_mutex_lock(&s->lanes.lock);
	for (size_t i = 0; i < count; i++)
		bodies_want(mine, (size_t)places[i]);
	pthread_mutex_unlock(&s->lanes.lock);
	return ERR_OK;
}

static enum err_code add_facts(struct span key, struct span head, uint64_t bytes, int64_t modified_s, struct buf *facts,
                               struct err *e)
{
	enum err_code rc = fields_add_u64(facts, FACT_SIZE, bytes, 8, e);

	if (!rc && modified_s != DAV_NO_TIME)
		rc = fields_add_u64(facts, FACT_TIME, (uint64_t)modified_s * 1000000000u, 8, e);
	/* Always told: the collection's kind may be another one at the next run, and facts stay as they are. */
	return rc ? rc : fields_add_u64(facts, FACT_KIND, item_kind_guess(key, head), 1, e);
}

/* Gives what is here. When the receiver has no room for it now, it stays here for the next try. */
static enum err_code give_held(struct dav_source *s, struct item_listing *l, size_t place,
                               const struct item_receiver *to, struct buf *facts, struct err *e)
{
	const struct dav_body *body = l->entries[place].body;
	struct span bytes = buf_span(&body->bytes);
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, bytes.len, e);

	if (!rc)
		rc = item_give(to, bytes, e);
	if (!rc)
		rc = add_facts(dav_key(l, &l->entries[place]), span_first(bytes, HEAD_BYTES), bytes.len,
		               body->modified_s, facts, e);
	pthread_mutex_lock(&s->lanes.lock);
	if (rc != ERR_LIMIT)
		bodies_done(&s->lanes, l, place);
	pthread_mutex_unlock(&s->lanes.lock);
	return rc;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct item_listing *mine = (struct item_listing *)(uintptr_t)l;
	struct dav_entry *entry = &mine->entries[place];
	struct dav_source *s = own(base);
	int64_t modified_s = DAV_NO_TIME;
	uint64_t bytes = 0;
	enum err_code rc;

	(void)c;
	rc = bodies_get(&s->lanes, mine, (size_t)place, e);
	if (rc)
		return rc;
	if (entry->how != DAV_LARGE)
		return give_held(s, mine, (size_t)place, to, facts, e);
	rc = bodies_stream(&s->lanes, mine, (size_t)place, to, &bytes, &modified_s, e);
	return rc ? rc : add_facts(dav_key(l, entry), SPAN_EMPTY, bytes, modified_s, facts, e);
}

/* ---- the source ---- */

static void source_free(struct item_source **base)
{
	struct dav_source *s = own(*base);

	if (!s)
		return;
	dav_folders_release(&s->folders);
	dav_lanes_release(&s->lanes);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops dav_ops = {
	.collections = source_collections,
	.list = source_list,
	.list_since = source_list_since,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = dav_listing_free,
	.ahead = source_ahead,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code dav_source_open(const struct dav_login *login, struct item_source **out, struct err *e)
{
	struct dav_source *s = mem_zalloc(1, sizeof *s);
	struct item_source *base = s ? &s->base : NULL;
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_source){ .ops = &dav_ops, .world = "dav", .parallel_fetch = true };
	rc = dav_lanes_open(login, login->connections, &s->lanes, e);
	if (!rc)
		rc = dav_discover(s->lanes.clients[0], login, &s->folders, e);
	if (!rc)
		dav_lanes_agree(&s->lanes);
	if (rc) {
		source_free(&base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}
