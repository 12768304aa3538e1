#include "dav_listing.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"
#include "href.h"
#include "net/xml/xml.h"

#define CURSOR_VERSION     1
#define CURSOR_TEXT_MAX    4096
#define SCHEDULE_BYTES_MAX 512
#define ENTRIES_MAX        10000000u
#define PAGES_MAX          100000u
#define TEXTS_BYTES_MAX    (1024 * MIB)
#define XML_HEAD           "<?xml version=\"1.0\" encoding=\"utf-8\"?>"

static const char properties[] = "<D:prop><D:getetag/><C:schedule-tag/><D:resourcetype/></D:prop>";
static const char namespaces[] = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"";

/* ---- cursors ---- */

enum err_code dav_cursor_put(const struct dav_cursor *c, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if ((!c->token.len && !c->ctag.len) || c->token.len > CURSOR_TEXT_MAX || c->ctag.len > CURSOR_TEXT_MAX)
		return ERR_OK; /* nothing to know it by */
	wr_u8(&w, CURSOR_VERSION);
	wr_u32(&w, c->full_day);
	wr_blob(&w, c->token);
	wr_blob(&w, c->ctag);
	return wr_end(&w);
}

bool dav_cursor_get(struct span cursor, struct dav_cursor *out)
{
	struct rd r = rd_of(cursor);
	uint8_t version = rd_u8(&r);

	*out = (struct dav_cursor){ 0 };
	if (version != CURSOR_VERSION)
		return false;
	out->full_day = rd_u32(&r);
	out->token = rd_blob(&r, CURSOR_TEXT_MAX);
	out->ctag = rd_blob(&r, CURSOR_TEXT_MAX);
	return rd_done(&r);
}

/* ---- entries ---- */

struct dav_entry *dav_listing_find(const struct item_listing *l, struct span key)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_compare(dav_key(l, &l->entries[middle]), key);

		if (!order)
			return &l->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static enum err_code new_entry(struct item_listing *l, struct dav_entry **out, struct err *e)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct dav_entry *grown;

		if (l->count >= ENTRIES_MAX)
			return err_set(e, ERR_LIMIT, "more than %u resources in one collection", ENTRIES_MAX);
		grown = mem_grow(l->entries, cap * sizeof *grown);
		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		l->entries = grown;
		l->cap = cap;
	}
	*out = &l->entries[l->count];
	**out = (struct dav_entry){ .order = (uint32_t)l->count };
	return ERR_OK;
}

/* RAW: the last segment as it is written; KEY: what it means. */
static enum err_code add_entry(struct item_listing *l, struct span key, struct span raw, struct span state, bool gone,
                               struct err *e)
{
	struct dav_entry *entry = NULL;
	enum err_code rc = new_entry(l, &entry, e);

	if (rc)
		return rc;
	entry->gone = gone;
	entry->key = entry->name = l->texts.len;
	entry->key_bytes = entry->name_bytes = (uint16_t)key.len;
	rc = buf_append(&l->texts, key, e);
	if (!rc && !span_equal(key, raw)) {
		entry->name = l->texts.len;
		entry->name_bytes = (uint16_t)raw.len;
		rc = buf_append(&l->texts, raw, e);
	}
	entry->state = l->texts.len;
	entry->state_bytes = (uint16_t)state.len;
	if (!rc)
		rc = buf_append(&l->texts, state, e);
	if (!rc)
		l->count++;
	return rc;
}

/* ---- what an answer tells ---- */

struct reading {
	struct dav_client *client;
	struct item_listing *l;
	bool more;     /* 507: the server has not told all */
	bool self;     /* the collection itself was told of, as it has to be */
	size_t before; /* entries before this answer */
	size_t texts_before;
	struct buf key, raw, state;
};

enum dav_place dav_listing_place(const struct dav_client *c, const struct item_listing *l, struct span href,
                                 struct buf *key, struct buf *raw)
{
	struct span own = buf_span(&l->canonical), last;
	enum dav_place place = DAV_PLACE_STRANGE;
	struct err e;

	if (href_resolve(dav_origin(c), l->raw, href, raw, &e) || href_canonical(buf_span(raw), key, &e))
		return DAV_PLACE_STRANGE;
	if (span_equal(buf_span(key), own) || span_equal(buf_span(key), span_first(own, own.len - 1)))
		return DAV_PLACE_SELF;
	if (span_starts(buf_span(key), own)) {
		last = span_skip(buf_span(key), own.len);
		if (memchr(last.ptr, '/', last.len))
			place = last.ptr[last.len - 1] == '/' ? DAV_PLACE_FOLDER : DAV_PLACE_STRANGE;
		else if (last.len <= ITEM_KEY_BYTES_MAX)
			place = DAV_PLACE_MEMBER;
	}
	if (place != DAV_PLACE_MEMBER)
		return place;
	memmove(key->ptr, last.ptr, last.len);
	key->len = last.len;
	last = href_last(buf_span(raw));
	memmove(raw->ptr, last.ptr, last.len);
	raw->len = last.len;
	return DAV_PLACE_MEMBER;
}

/* An ETag of nobody: the item is read again every time. */
static enum err_code add_stamp(struct buf *state, struct err *e)
{
	uint8_t stamp[9] = { 0 };
	uint64_t now = (uint64_t)clock_now_ms();

	for (size_t i = 0; i < 8; i++)
		stamp[1 + i] = (uint8_t)(now >> (8 * i));
	return fields_add(state, STATE_VERSION, span_of(stamp, sizeof stamp), e);
}

static enum err_code make_state(struct reading *r, const struct dav_response *response, struct err *e)
{
	const struct dav_property *etag = dav_property_find(response, NS_DAV, "getetag"),
	                          *schedule = dav_property_find(response, NS_CALDAV, "schedule-tag");
	enum err_code rc;

	buf_clear(&r->state);
	if (etag && !etag->markup && etag->value.len && etag->value.len <= DAV_ETAG_BYTES_MAX &&
	    !memchr(etag->value.ptr, 0, etag->value.len))
		rc = fields_add(&r->state, STATE_VERSION, etag->value, e);
	else
		rc = add_stamp(&r->state, e);
	if (!rc && !span_equal(buf_span(&r->key), buf_span(&r->raw)))
		rc = fields_add(&r->state, STATE_HREF, buf_span(&r->raw), e);
	if (!rc && schedule && !schedule->markup && schedule->value.len && schedule->value.len <= SCHEDULE_BYTES_MAX)
		rc = fields_add(&r->state, STATE_SCHEDULE, schedule->value, e);
	return rc;
}

static bool is_collection(const struct dav_response *r)
{
	const struct dav_property *p = dav_property_find(r, NS_DAV, "resourcetype");

	return p && p->markup && p->value.len;
}

static enum err_code take_member(void *ctx, const struct dav_response *response, struct err *e)
{
	struct reading *r = ctx;
	bool gone = response->status == 404 || response->status == 410;
	enum err_code rc;

	switch (dav_listing_place(r->client, r->l, response->href, &r->key, &r->raw)) {
	case DAV_PLACE_SELF:
		r->self = true;
		r->more |= response->status == 507;
		return ERR_OK;
	case DAV_PLACE_FOLDER:
		return ERR_OK;
	case DAV_PLACE_STRANGE:
		if (!r->l->strange++)
			r->l->strange_first = text_name(response->href);
		return ERR_OK;
	case DAV_PLACE_MEMBER:
		break;
	}
	if (is_collection(response))
		return ERR_OK;
	/* One that cannot be told of is there nevertheless: its reading will say what is wrong. */
	rc = make_state(r, response, e);
	return rc ? rc : add_entry(r->l, buf_span(&r->key), buf_span(&r->raw), buf_span(&r->state), gone, e);
}

static void begin_again(void *ctx)
{
	struct reading *r = ctx;

	r->l->count = r->before;
	r->l->texts.len = r->texts_before;
	r->more = false;
	r->l->strange = 0;
}

static void reading_release(struct reading *r)
{
	buf_release(&r->key);
	buf_release(&r->raw);
	buf_release(&r->state);
}

/* Orders by key; of several with one key the last that was told counts. Those that are gone leave with KEEP_GONE false. */
static int compare_entries(const void *a, const void *b, void *listing)
{
	const struct dav_entry *x = a, *y = b;
	int order = span_compare(dav_key(listing, x), dav_key(listing, y));

	return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static void settle(struct item_listing *l, bool keep_gone)
{
	size_t kept = 0;

	if (l->count)
		qsort_r(l->entries, l->count, sizeof *l->entries, compare_entries, l);
	for (size_t i = 0; i < l->count; i++) {
		bool last =
		        i + 1 == l->count || !span_equal(dav_key(l, &l->entries[i]), dav_key(l, &l->entries[i + 1]));

		if (last && (keep_gone || !l->entries[i].gone))
			l->entries[kept++] = l->entries[i];
	}
	l->count = kept;
}

/* ---- the whole ---- */

static enum err_code open_listing(struct span raw, bool contacts, struct item_listing **out, struct err *e)
{
	struct item_listing *l = mem_zalloc(1, sizeof *l);
	enum err_code rc;

	if (!l)
		return err_no_memory(e, sizeof *l);
	l->raw = raw;
	l->contacts = contacts;
	l->texts.max = TEXTS_BYTES_MAX;
	rc = href_canonical(raw, &l->canonical, e);
	if (rc)
		dav_listing_free(&l);
	*out = l;
	return rc;
}

static enum err_code ask(struct reading *r, const char *method, const char *depth, struct span body,
                         struct dav_answer *answer, struct err *e)
{
	const struct dav_ask q = { .method = method,
		                   .path = r->l->raw,
		                   .depth = depth,
		                   .body = body,
		                   .bytes_max = DAV_LISTING_BYTES_MAX,
		                   .again = begin_again,
		                   .response = take_member,
		                   .ctx = r };

	r->more = false;
	r->before = r->l->count;
	r->texts_before = r->l->texts.len;
	return dav_request(r->client, &q, answer, e);
}

/* Asks page by page for what changed since TOKEN; empty: for everything. */
static enum err_code ask_changes(struct reading *r, struct span token, struct err *e)
{
	struct dav_answer answer = { 0 };
	struct buf body = BUF_EMPTY;
	enum err_code rc = buf_append(&r->l->token, token, e);

	for (unsigned page = 0; !rc && page < PAGES_MAX; page++) {
		buf_clear(&body);
		rc = buf_printf(&body, e, XML_HEAD "<D:sync-collection %s><D:sync-token>", namespaces);
		if (!rc)
			rc = xml_escape(buf_span(&r->l->token), &body, e);
		if (!rc)
			rc = buf_printf(&body, e, "</D:sync-token><D:sync-level>1</D:sync-level>%s</D:sync-collection>",
			                properties);
		if (!rc)
			rc = ask(r, "REPORT", "0", buf_span(&body), &answer, e);
		if (!rc && (!answer.sync_token.len ||
		            (r->more && span_equal(buf_span(&answer.sync_token), buf_span(&r->l->token)))))
			rc = err_set(e, ERR_UNSUPPORTED, "the server tells changes without a token that leads on");
		if (rc)
			break;
		buf_clear(&r->l->token);
		rc = buf_append(&r->l->token, buf_span(&answer.sync_token), e);
		if (!r->more)
			break;
	}
	if (!rc && r->more)
		rc = err_set(e, ERR_LIMIT, "the server has no end of changes");
	dav_answer_release(&answer);
	buf_release(&body);
	return rc;
}

enum err_code dav_list_all(struct dav_client *c, struct span raw, bool contacts, struct item_listing **out,
                           struct err *e)
{
	struct reading r = { .client = c };
	struct dav_answer answer = { 0 };
	struct buf body = BUF_EMPTY;
	enum err_code rc = open_listing(raw, contacts, &r.l, e);

	if (!rc)
		rc = buf_printf(&body, e, XML_HEAD "<D:propfind %s>%s</D:propfind>", namespaces, properties);
	if (!rc)
		rc = ask(&r, "PROPFIND", "1", buf_span(&body), &answer, e);
	if (!rc && !r.self && !r.l->count)
		rc = err_set(e, ERR_CORRUPT, "%s lists nothing in %s, not even itself", dav_origin(c),
		             text_name(raw).text);
	if (!rc && r.more)
		rc = err_set(e, ERR_LIMIT, "%s lists only some of %s", dav_origin(c), text_name(raw).text);
	/* What is too much for one answer may be had page by page. */
	if (rc == ERR_LIMIT) {
		struct err why;

		r.l->count = 0;
		r.l->texts.len = 0;
		if (!ask_changes(&r, SPAN_EMPTY, &why))
			rc = ERR_OK;
		else if (why.code == ERR_CANCELLED || why.code == ERR_NO_MEMORY || why.code == ERR_IO)
			*e = why;
		rc = rc ? e->code : ERR_OK;
	}
	if (!rc)
		settle(r.l, false);
	if (rc)
		dav_listing_free(&r.l);
	*out = r.l;
	reading_release(&r);
	dav_answer_release(&answer);
	buf_release(&body);
	return rc;
}

/* ---- what changed ---- */

struct merge {
	struct item_listing *to;
	const struct item_listing *changes;
	size_t at; /* changes before it are done */
};

static enum err_code copy_change(struct merge *m, const struct dav_entry *c, struct err *e)
{
	if (c->gone)
		return ERR_OK;
	return add_entry(m->to, dav_key(m->changes, c), dav_name(m->changes, c), dav_state(m->changes, c), false, e);
}

static enum err_code got_known(void *ctx, struct span key, struct span state, struct err *e)
{
	struct merge *m = ctx;
	struct span name = key;
	enum err_code rc = ERR_OK;

	for (; !rc && m->at < m->changes->count; m->at++) {
		const struct dav_entry *c = &m->changes->entries[m->at];
		int order = span_compare(dav_key(m->changes, c), key);

		if (order > 0)
			break;
		rc = copy_change(m, c, e);
		if (!order) {
			m->at++;
			return rc;
		}
	}
	(void)fields_get(state, STATE_HREF, &name);
	return rc ? rc : add_entry(m->to, key, name, state, false, e);
}

enum err_code dav_list_since(struct dav_client *c, struct span raw, bool contacts, struct span token,
                             const struct item_known *known, struct item_listing **out, struct err *e)
{
	struct reading r = { .client = c };
	struct item_listing *l = NULL;
	struct merge m = { 0 };
	enum err_code rc = open_listing(raw, contacts, &r.l, e);

	if (!rc)
		rc = open_listing(raw, contacts, &l, e);
	if (!rc)
		rc = ask_changes(&r, token, e);
	/* An expired token (403 valid-sync-token), and whatever else stands in the way of this report alone. */
	if (rc == ERR_DENIED || rc == ERR_NOT_FOUND || rc == ERR_LIMIT || rc == ERR_CORRUPT ||
	    (rc == ERR_IO && e->retry == ERR_RETRY_NEVER))
		rc = err_set(e, ERR_UNSUPPORTED, "the server does not tell what changed");
	if (!rc) {
		settle(r.l, true);
		m = (struct merge){ l, r.l, 0 };
		rc = known->each(known->ctx, got_known, &m, e);
	}
	for (; !rc && m.at < r.l->count; m.at++)
		rc = copy_change(&m, &r.l->entries[m.at], e);
	if (!rc)
		rc = buf_append(&l->token, buf_span(&r.l->token), e);
	if (!rc) {
		l->strange = r.l->strange;
		l->strange_first = r.l->strange_first;
	}
	dav_listing_free(&r.l);
	if (rc)
		dav_listing_free(&l);
	*out = l;
	reading_release(&r);
	return rc;
}

void dav_listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	for (size_t i = 0; i < (*l)->count; i++)
		if ((*l)->entries[i].body) {
			buf_release(&(*l)->entries[i].body->bytes);
			mem_free((*l)->entries[i].body);
		}
	mem_free((*l)->entries);
	buf_release(&(*l)->canonical);
	buf_release(&(*l)->texts);
	buf_release(&(*l)->token);
	mem_free(*l);
	*l = NULL;
}
