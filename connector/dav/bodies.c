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

static enum err_code full_path(const struct item_listing *l, const struct dav_entry *entry, struct buf *out,
                               struct err *e)
{
	enum err_code rc;

	buf_clear(out);
	rc = buf_append(out, l->raw, e);
	return rc ? rc : href_append(dav_name(l, entry), out, e);
}

static void body_free(struct dav_body **body)
{
	if (!*body)
		return;
	buf_release(&(*body)->bytes);
	mem_free(*body);
	*body = NULL;
}

/* Replaces *OUT. */
static enum err_code body_make(struct span bytes, int64_t modified_s, struct dav_body **out, struct err *e)
{
	struct dav_body *body = mem_zalloc(1, sizeof *body);
	enum err_code rc;

	if (!body)
		return err_no_memory(e, sizeof *body);
	body->bytes.max = BODIES_HELD_BYTES_MAX;
	body->modified_s = modified_s;
	rc = buf_append(&body->bytes, bytes, e);
	if (rc) {
		body_free(&body);
		return rc;
	}
	body_free(out);
	*out = body;
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

static enum err_code stream_piece(void *ctx, struct span piece, struct err *e)
{
	struct getting *g = ctx;

	if (g->restarted && g->given)
		return err_set(e, ERR_IO, "the connection broke while a large item came");
	g->given += piece.len;
	return item_give(g->to, piece, e);
}

static void stream_again(void *ctx)
{
	((struct getting *)ctx)->restarted = true;
}

static size_t take_lane(struct dav_lanes *lanes)
{
	size_t lane;

	while ((lane = dav_lane_take(lanes)) == SIZE_MAX)
		pthread_cond_wait(&lanes->changed, &lanes->lock);
	return lane;
}

enum err_code bodies_stream(struct dav_lanes *lanes, struct item_listing *l, size_t i, const struct item_receiver *to,
                            uint64_t *bytes, int64_t *modified_s, struct err *e)
{
	struct getting g = { .to = to };
	struct dav_ask ask = { .bytes_max = ITEM_BYTES_MAX, .again = stream_again, .bytes = stream_piece, .ctx = &g };
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, BODIES_HELD_BYTES_MAX + 1, e);
	size_t lane;

	*bytes = 0;
	if (rc)
		return rc;
	pthread_mutex_lock(&lanes->lock);
	lane = take_lane(lanes);
	pthread_mutex_unlock(&lanes->lock);
	rc = get(lanes->clients[lane], l, &l->entries[i], &ask, modified_s, e);
	pthread_mutex_lock(&lanes->lock);
	dav_lane_return(lanes, lane);
	pthread_mutex_unlock(&lanes->lock);
	*bytes = g.given;
	return rc;
}

/* ---- multiget ---- */

/* What one thread asks for at once. What came stays here until it is published with the lock held. */
struct batch {
	struct dav_client *client;
	struct item_listing *l;
	size_t members[BODIES_BATCH]; /* rising */
	struct dav_body *bodies[BODIES_BATCH];
	bool alone[BODIES_BATCH]; /* something is odd about it: a GET will tell */
	size_t count;
	bool multiget, proven; /* is it one; do its bytes need no proof */
	bool spoilt, smaller;  /* multigets will not do here; it was too large */
	struct buf key, raw;
};

/* With the lock held: those wanted from I on are asked for from now on. */
static void gather(struct batch *b, struct item_listing *l, size_t i)
{
	size_t most = l->batch ? l->batch : BODIES_BATCH;

	*b = (struct batch){ .l = l };
	for (size_t k = i; k < l->count && b->count < most; k++)
		if (l->entries[k].how == DAV_WANTED)
			b->members[b->count++] = k;
	b->multiget = b->count > FEW && !l->no_multiget;
	b->proven = l->proven;
	if (!b->multiget && b->count)
		b->count = 1;
	for (size_t k = 0; k < b->count; k++)
		l->entries[b->members[k]].how = DAV_ASKED;
}

static size_t member_of(const struct batch *b, const struct dav_entry *entry)
{
	size_t place = (size_t)(entry - b->l->entries), low = 0, high = b->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->members[middle] == place)
			return middle;
		if (b->members[middle] < place)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
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
	const struct dav_entry *entry = NULL;
	struct batch *b = ctx;
	int64_t modified_s = DAV_NO_TIME;
	size_t i;

	if (dav_listing_place(b->client, b->l, r->href, &b->key, &b->raw) == DAV_PLACE_MEMBER)
		entry = dav_listing_find(b->l, buf_span(&b->key));
	i = entry ? member_of(b, entry) : SIZE_MAX;
	/* What was not asked for is nobody's; what came already does not come again. */
	if (i == SIZE_MAX || b->bodies[i])
		return ERR_OK;
	data = dav_property_find(r, b->l->contacts ? NS_CARDDAV : NS_CALDAV,
	                         b->l->contacts ? "address-data" : "calendar-data");
	time = dav_property_find(r, NS_DAV, "getlastmodified");
	if (time && !time->markup && !http_date(time->value, &modified_s))
		modified_s = DAV_NO_TIME;
	b->alone[i] = !data || data->markup || !data->value.len || data->value.len > BODIES_HELD_BYTES_MAX ||
	              !has_length(r, data->value.len);
	return b->alone[i] ? ERR_OK : body_make(data->value, modified_s, &b->bodies[i], e);
}

static void batch_again(void *ctx)
{
	struct batch *b = ctx;

	for (size_t i = 0; i < b->count; i++) {
		body_free(&b->bodies[i]);
		b->alone[i] = false;
	}
}

/* The first that came: does a GET give the same bytes? */
static enum err_code prove(struct batch *b, struct err *e)
{
	for (size_t i = 0; !b->proven && !b->spoilt && i < b->count; i++) {
		struct buf bytes = BUF_EMPTY;
		int64_t modified_s;
		struct err why;
		enum err_code rc;

		if (!b->bodies[i])
			continue;
		rc = get_held(b->client, b->l, &b->l->entries[b->members[i]], &bytes, &modified_s, &why);
		if (!rc && span_equal(buf_span(&bytes), buf_span(&b->bodies[i]->bytes)))
			b->proven = true;
		else if (!rc)
			b->spoilt = true;
		buf_release(&bytes);
		if (rc == ERR_NO_MEMORY || rc == ERR_CANCELLED) {
			*e = why;
			return rc;
		}
	}
	return ERR_OK;
}

static enum err_code multiget(struct batch *b, struct err *e)
{
	struct buf body = BUF_EMPTY;
	struct dav_answer answer = { 0 };
	struct dav_ask ask = { .method = "REPORT",
		               .path = b->l->raw,
		               .depth = "1",
		               .bytes_max = BODIES_ANSWER_BYTES_MAX,
		               .once = true,
		               .again = batch_again,
		               .response = take_one,
		               .ctx = b };
	enum err_code rc = multiget_body(b, &body, e);

	ask.body = buf_span(&body);
	if (!rc)
		rc = dav_request(b->client, &ask, &answer, e);
	dav_answer_release(&answer);
	buf_release(&body);
	return rc;
}

/* One GET; what is too large to be held is left ALONE with no body. */
static enum err_code get_one(struct batch *b, bool *large, struct err *e)
{
	struct buf bytes = BUF_EMPTY;
	int64_t modified_s;
	enum err_code rc = get_held(b->client, b->l, &b->l->entries[b->members[0]], &bytes, &modified_s, e);

	*large = rc == ERR_LIMIT;
	if (*large)
		return ERR_OK;
	if (!rc)
		rc = body_make(buf_span(&bytes), modified_s, &b->bodies[0], e);
	buf_release(&bytes);
	return rc;
}

/* Asks for all of B. ERR_OK also when nothing of it can be had in this way: then it is left to GETs, or to smaller batches. */
static enum err_code ask_batch(struct batch *b, struct err *e)
{
	enum err_code rc = multiget(b, e);

	if (rc == ERR_NO_MEMORY || rc == ERR_CANCELLED || (rc == ERR_IO && e->retry != ERR_RETRY_NEVER)) {
		batch_again(b);
		return rc;
	}
	if (!rc)
		rc = prove(b, e);
	else {
		batch_again(b);
		b->smaller = rc == ERR_LIMIT;
		/* A report that the server has not; else one poisonous resource spoils the answer for all of its batch. */
		b->spoilt = rc == ERR_UNSUPPORTED || rc == ERR_NOT_FOUND || rc == ERR_DENIED;
		rc = ERR_OK;
	}
	if (b->spoilt)
		batch_again(b);
	return rc;
}

/* With the lock held: what came, and what is to become of what did not. */
static void publish(struct dav_lanes *lanes, struct batch *b, enum err_code rc, bool large)
{
	struct item_listing *l = b->l;

	l->proven |= b->proven;
	l->no_multiget |= b->spoilt;
	if (b->smaller)
		l->batch = b->count / 2;
	for (size_t i = 0; i < b->count; i++) {
		struct dav_entry *entry = &l->entries[b->members[i]];

		if (b->bodies[i]) {
			lanes->held_bytes += b->bodies[i]->bytes.len;
			entry->body = b->bodies[i];
			entry->how = DAV_HERE;
		} else if (large) {
			entry->how = DAV_LARGE;
		} else {
			entry->how = rc || (b->smaller && b->count > FEW) ? DAV_WANTED : DAV_ALONE;
		}
	}
	buf_release(&b->key);
	buf_release(&b->raw);
}

/* With the lock held, which is let go meanwhile: asks for B over LANE. */
static enum err_code run_batch(struct dav_lanes *lanes, size_t lane, struct batch *b, struct err *e)
{
	bool large = false, single = !b->multiget;
	enum err_code rc;

	b->client = lanes->clients[lane];
	pthread_mutex_unlock(&lanes->lock);
	rc = single ? get_one(b, &large, e) : ask_batch(b, e);
	pthread_mutex_lock(&lanes->lock);
	publish(lanes, b, rc, large);
	/* A connection too many: the first will do. */
	if (rc == ERR_IO && e->retry != ERR_RETRY_NEVER && dav_lane_give_up(lanes, lane))
		return ERR_OK;
	dav_lane_return(lanes, lane);
	return rc;
}

void bodies_done(struct dav_lanes *lanes, struct item_listing *l, size_t i)
{
	struct dav_entry *entry = &l->entries[i];

	lanes->held_bytes -= entry->body->bytes.len;
	body_free(&entry->body);
	entry->how = DAV_NOT_YET;
}

/* With the lock held: somebody else asks for entry I. What comes behind it is asked for meanwhile, if there is a lane and room. */
static void help_ahead(struct dav_lanes *lanes, struct item_listing *l, size_t i, bool *helped)
{
	size_t lane = *helped || lanes->held_bytes > BODIES_AHEAD_BYTES ? SIZE_MAX : dav_lane_take(lanes);
	struct batch b;
	struct err ignored; /* who needs it asks again, and is told */

	if (lane != SIZE_MAX)
		gather(&b, l, i + 1);
	if (lane != SIZE_MAX && b.count) {
		*helped = true;
		(void)!run_batch(lanes, lane, &b, &ignored);
		return;
	}
	if (lane != SIZE_MAX)
		dav_lane_return(lanes, lane);
	pthread_cond_wait(&lanes->changed, &lanes->lock);
}

enum err_code bodies_get(struct dav_lanes *lanes, struct item_listing *l, size_t i, struct err *e)
{
	struct dav_entry *entry = &l->entries[i];
	bool helped = false;
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&lanes->lock);
	bodies_want(l, i);
	while (!rc && entry->how != DAV_HERE && entry->how != DAV_LARGE) {
		struct batch b = { .l = l, .members = { i }, .count = 1 };
		size_t lane;

		if (entry->how == DAV_ASKED) {
			help_ahead(lanes, l, i, &helped);
			continue;
		}
		lane = dav_lane_take(lanes);
		if (lane == SIZE_MAX) {
			pthread_cond_wait(&lanes->changed, &lanes->lock);
			continue;
		}
		if (entry->how == DAV_WANTED)
			gather(&b, l, i);
		entry->how = DAV_ASKED;
		rc = run_batch(lanes, lane, &b, e);
	}
	if (rc)
		entry->how = DAV_NOT_YET; /* not again, when others are asked for */
	pthread_mutex_unlock(&lanes->lock);
	return rc;
}
