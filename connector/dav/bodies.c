#include "bodies.h"

#include "base/mem.h"
#include "href.h"
#include "net/xml/xml.h"

#define ITEM_BYTES_MAX ((uint64_t)1 << 34)
#define FEW            2 /* so many are not worth a multiget */
#define XML_HEAD       "<?xml version=\"1.0\" encoding=\"utf-8\"?>"

void bodies_want(struct item_listing *l, size_t i)
{
	if (l->entries[i].how == DAV_NOT_YET)
		l->entries[i].how = DAV_WANTED;
}

enum err_code bodies_give(const struct item_receiver *to, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		uint8_t *dst;
		size_t got;

		rc = to->space(to->ctx, bytes.len, &dst, &got, e);
		if (rc)
			break;
		if (got > bytes.len)
			got = bytes.len;
		memcpy(dst, bytes.ptr, got);
		rc = to->add(to->ctx, got, e);
		bytes = span_skip(bytes, got);
	}
	return rc;
}

static enum err_code full_path(const struct item_listing *l, const struct dav_entry *entry, struct buf *out,
                               struct err *e)
{
	enum err_code rc;

	buf_clear(out);
	rc = buf_append(out, l->raw, e);
	return rc ? rc : href_append(dav_name(l, entry), out, e);
}

static void drop_body(struct dav_entry *entry)
{
	if (!entry->body)
		return;
	buf_release(&entry->body->bytes);
	mem_free(entry->body);
	entry->body = NULL;
}

static enum err_code keep_body(struct dav_entry *entry, struct span bytes, int64_t modified_s, struct err *e)
{
	struct dav_body *body = mem_zalloc(1, sizeof *body);
	enum err_code rc;

	if (!body)
		return err_no_memory(e, sizeof *body);
	drop_body(entry);
	body->bytes.max = BODIES_HELD_BYTES_MAX;
	body->modified_s = modified_s;
	rc = buf_append(&body->bytes, bytes, e);
	if (rc) {
		buf_release(&body->bytes);
		mem_free(body);
		return rc;
	}
	entry->body = body;
	entry->how = DAV_HERE;
	return ERR_OK;
}

/* ---- GET ---- */

struct getting {
	struct buf held; /* of what is held whole */
	const struct item_receiver *to;
	uint64_t given;
	bool restarted;
};

static enum err_code hold(void *ctx, struct span piece, struct err *e)
{
	return buf_append(&((struct getting *)ctx)->held, piece, e);
}

static void hold_again(void *ctx)
{
	buf_clear(&((struct getting *)ctx)->held);
}

static enum err_code get(struct dav_client *c, const struct item_listing *l, const struct dav_entry *entry,
                         struct dav_ask *ask, int64_t *modified_s, struct err *e)
{
	struct dav_answer answer = { 0 };
	struct buf path = BUF_EMPTY;
	enum err_code rc = full_path(l, entry, &path, e);

	ask->method = "GET";
	ask->path = buf_span(&path);
	if (!rc)
		rc = dav_request(c, ask, &answer, e);
	*modified_s = answer.modified_s;
	if (rc == ERR_NOT_FOUND)
		rc = err_set(e, ERR_VANISHED, "%s went away while its collection was read",
		             text_name(dav_key(l, entry)).text);
	dav_answer_release(&answer);
	buf_release(&path);
	return rc;
}

static enum err_code get_held(struct dav_client *c, const struct item_listing *l, const struct dav_entry *entry,
                              struct buf *out, int64_t *modified_s, struct err *e)
{
	struct getting g = { .held = BUF_WITH_MAX(BODIES_HELD_BYTES_MAX) };
	struct dav_ask ask = { .bytes_max = BODIES_HELD_BYTES_MAX, .again = hold_again, .bytes = hold, .ctx = &g };
	enum err_code rc = get(c, l, entry, &ask, modified_s, e);

	if (rc)
		buf_release(&g.held);
	*out = g.held;
	return rc;
}

static enum err_code get_alone(struct dav_client *c, struct item_listing *l, struct dav_entry *entry, struct err *e)
{
	struct buf bytes = BUF_EMPTY;
	int64_t modified_s;
	enum err_code rc = get_held(c, l, entry, &bytes, &modified_s, e);

	if (rc == ERR_LIMIT) {
		entry->how = DAV_LARGE;
		return ERR_OK;
	}
	if (!rc)
		rc = keep_body(entry, buf_span(&bytes), modified_s, e);
	buf_release(&bytes);
	return rc;
}

static enum err_code stream_piece(void *ctx, struct span piece, struct err *e)
{
	struct getting *g = ctx;

	if (g->restarted && g->given)
		return err_set(e, ERR_IO, "the connection broke while a large item came");
	g->given += piece.len;
	return bodies_give(g->to, piece, e);
}

static void stream_again(void *ctx)
{
	((struct getting *)ctx)->restarted = true;
}

enum err_code bodies_stream(struct dav_client *c, struct item_listing *l, size_t i, const struct item_receiver *to,
                            uint64_t *bytes, int64_t *modified_s, struct err *e)
{
	struct getting g = { .to = to };
	struct dav_ask ask = { .bytes_max = ITEM_BYTES_MAX, .again = stream_again, .bytes = stream_piece, .ctx = &g };
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, BODIES_HELD_BYTES_MAX + 1, e);

	if (!rc)
		rc = get(c, l, &l->entries[i], &ask, modified_s, e);
	*bytes = g.given;
	return rc;
}

/* ---- multiget ---- */

struct batch {
	struct dav_client *client;
	struct item_listing *l;
	size_t members[BODIES_BATCH];
	size_t count;
	struct buf key, raw;
};

/* The entry I and those wanted behind it. */
static void gather(struct batch *b, size_t i)
{
	struct item_listing *l = b->l;
	size_t most = l->batch ? l->batch : BODIES_BATCH;

	b->members[b->count++] = i;
	for (size_t k = i + 1; k < l->count && b->count < most; k++)
		if (l->entries[k].how == DAV_WANTED)
			b->members[b->count++] = k;
}

static enum err_code multiget_body(const struct batch *b, struct buf *out, struct err *e)
{
	const struct item_listing *l = b->l;
	const char *what = l->contacts ? "addressbook" : "calendar";
	struct buf path = BUF_EMPTY;
	enum err_code rc =
	        buf_printf(out, e,
	                   XML_HEAD "<C:%s-multiget xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:%s\">"
	                            "<D:prop><D:getcontentlength/><D:getlastmodified/><C:%s/></D:prop>",
	                   what, l->contacts ? "carddav" : "caldav", l->contacts ? "address-data" : "calendar-data");

	for (size_t i = 0; !rc && i < b->count; i++) {
		rc = full_path(l, &l->entries[b->members[i]], &path, e);
		if (!rc)
			rc = buf_printf(out, e, "<D:href>");
		if (!rc)
			rc = xml_escape(buf_span(&path), out, e);
		if (!rc)
			rc = buf_printf(out, e, "</D:href>");
	}
	buf_release(&path);
	return rc ? rc : buf_printf(out, e, "</C:%s-multiget>", what);
}

static bool has_length(const struct dav_response *r, size_t len)
{
	const struct dav_property *p = dav_property_find(r, NS_DAV, "getcontentlength");
	uint64_t told;

	return !p || p->markup || !text_number(p->value, UINT64_MAX, &told) || told == len;
}

/* What came for one resource. Whatever is odd about it is left to a GET. */
static enum err_code take_one(void *ctx, const struct dav_response *r, struct err *e)
{
	const struct dav_property *data, *time;
	struct dav_entry *entry = NULL;
	struct batch *b = ctx;
	int64_t modified_s = DAV_NO_TIME;

	if (dav_listing_place(b->client, b->l, r->href, &b->key, &b->raw) == DAV_PLACE_MEMBER)
		entry = dav_listing_find(b->l, buf_span(&b->key));
	/* What was not asked for is nobody's; what came already does not come again. */
	if (!entry || entry->how != DAV_WANTED)
		return ERR_OK;
	data = dav_property_find(r, b->l->contacts ? NS_CARDDAV : NS_CALDAV,
	                         b->l->contacts ? "address-data" : "calendar-data");
	time = dav_property_find(r, NS_DAV, "getlastmodified");
	if (time && !time->markup && !http_date(time->value, &modified_s))
		modified_s = DAV_NO_TIME;
	if (!data || data->markup || !data->value.len || data->value.len > BODIES_HELD_BYTES_MAX ||
	    !has_length(r, data->value.len)) {
		entry->how = DAV_ALONE;
		return ERR_OK;
	}
	return keep_body(entry, data->value, modified_s, e);
}

static void batch_again(void *ctx)
{
	struct batch *b = ctx;

	for (size_t i = 0; i < b->count; i++) {
		struct dav_entry *entry = &b->l->entries[b->members[i]];

		drop_body(entry);
		entry->how = DAV_WANTED;
	}
}

/* The first that came: does a GET give the same bytes? */
static enum err_code prove(struct batch *b, struct err *e)
{
	struct item_listing *l = b->l;

	for (size_t i = 0; !l->proven && !l->no_multiget && i < b->count; i++) {
		struct dav_entry *entry = &l->entries[b->members[i]];
		struct buf bytes = BUF_EMPTY;
		int64_t modified_s;
		struct err why;
		enum err_code rc;

		if (entry->how != DAV_HERE)
			continue;
		rc = get_held(b->client, l, entry, &bytes, &modified_s, &why);
		if (!rc && span_equal(buf_span(&bytes), buf_span(&entry->body->bytes)))
			l->proven = true;
		else if (!rc)
			l->no_multiget = true;
		buf_release(&bytes);
		if (rc == ERR_NO_MEMORY || rc == ERR_CANCELLED) {
			*e = why;
			return rc;
		}
	}
	return ERR_OK;
}

static void leave_to_get(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct dav_entry *entry = &b->l->entries[b->members[i]];

		drop_body(entry);
		entry->how = DAV_ALONE;
	}
}

static enum err_code multiget(struct batch *b, struct err *e)
{
	struct buf body = BUF_EMPTY;
	struct dav_answer answer = { 0 };
	const struct dav_ask ask = { .method = "REPORT",
		                     .path = b->l->raw,
		                     .depth = "1",
		                     .bytes_max = BODIES_ANSWER_BYTES_MAX,
		                     .once = true,
		                     .again = batch_again,
		                     .response = take_one,
		                     .ctx = b };
	struct dav_ask asked = ask;
	enum err_code rc = multiget_body(b, &body, e);

	asked.body = buf_span(&body);
	if (!rc)
		rc = dav_request(b->client, &asked, &answer, e);
	dav_answer_release(&answer);
	buf_release(&body);
	return rc;
}

/* Asks for a batch. Afterwards each of it is HERE or ALONE, or all are WANTED still and batches have become smaller. */
static enum err_code get_batch(struct batch *b, struct err *e)
{
	enum err_code rc = multiget(b, e);

	if (rc == ERR_NO_MEMORY || rc == ERR_CANCELLED || (rc == ERR_IO && e->retry != ERR_RETRY_NEVER))
		return rc;
	if (rc == ERR_LIMIT && b->count > FEW) {
		batch_again(b);
		b->l->batch = b->count / 2;
		return ERR_OK;
	}
	if (rc) {
		/* A report that the server has not; else one poisonous resource spoils the answer for all of its batch. */
		b->l->no_multiget |= rc == ERR_UNSUPPORTED || rc == ERR_NOT_FOUND || rc == ERR_DENIED;
		leave_to_get(b);
		return ERR_OK;
	}
	rc = prove(b, e);
	if (b->l->no_multiget)
		leave_to_get(b);
	for (size_t i = 0; i < b->count; i++)
		if (b->l->entries[b->members[i]].how == DAV_WANTED) /* passed over by the server */
			b->l->entries[b->members[i]].how = DAV_ALONE;
	return rc;
}

enum err_code bodies_get(struct dav_client *c, struct item_listing *l, size_t i, struct err *e)
{
	struct dav_entry *entry = &l->entries[i];
	enum err_code rc = ERR_OK;

	bodies_want(l, i);
	while (!rc && entry->how == DAV_WANTED) {
		struct batch b = { .client = c, .l = l };

		gather(&b, i);
		if (b.count <= FEW || l->no_multiget)
			leave_to_get(&b);
		else
			rc = get_batch(&b, e);
		buf_release(&b.key);
		buf_release(&b.raw);
	}
	if (!rc && entry->how == DAV_ALONE)
		rc = get_alone(c, l, entry, e);
	return rc;
}
