#include "imap_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"
#include "lane.h"
#include "listing.h"

#define CURSOR_VERSION  2
#define LANES_MAX       8
#define LANES           3
#define AHEAD_MESSAGES  256         /* of a folder that is expected */
#define EXPECTED_MIN    3           /* folders in which something moved are worth a second connection to a far server */
#define WINDOW_BYTES    (8 * MIB)   /* over all lanes */
#define LANE_RUN_BYTES  (256 * KIB) /* of neighbours that come over one lane */
#define LANE_RUN_ITEMS  50
#define LANE_MORE_BYTES (2 * MIB) /* to be fetched for each lane that is made besides the first */

/* A folder that is expected, and is looked at over a lane of its own meanwhile. */
struct scout {
	size_t c;
	size_t lane; /* 0: there is none */
	struct imap_source *source;
	struct listing_cursor known;
	bool has_known, changes, bodies;
	struct listing_run *run; /* NULL: it did not work, whatever the reason */
};

struct imap_source {
	struct item_source base;
	struct imap_login login;
	struct folders folders;
	bool has_folders;
	struct lane lanes[LANES_MAX];
	size_t lane_count, lanes_max; /* that are there; that may be. Both of the thread that lists */
	bool opening;                 /* lane number LANE_COUNT is being connected */
	struct scout scout;
	size_t home;             /* the lane that small folders are fetched over */
	size_t expected;         /* folders so far */
	bool is_far;             /* the server */
	uint64_t folder_bytes;   /* told of the folder at hand */
	size_t turn, turn_items; /* who gets the next items */
	uint64_t turn_bytes, told_bytes;
	char *strings[4]; /* host, port, user, file of authorities */
	struct buf password;
};

static struct imap_source *own(struct item_source *s)
{
	return (struct imap_source *)s;
}

/* ---- collections ---- */

static enum err_code load_folders(struct imap_source *s, struct session *session, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!s->has_folders && !rc) {
		struct err why;

		if (session->death.code) {
			*e = session->death;
			return e->code;
		}
		s->is_far = imap_is_far(session->client);
		s->has_folders = !folders_load(session->client, &s->folders, e);
		if (s->has_folders)
			break;
		folders_release(&s->folders);
		why = *e;
		rc = session_again(session, &why, NULL, e);
	}
	return rc;
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct imap_source *s = own(base);
	struct session *session = &s->lanes[0].session;
	enum err_code rc = ERR_OK;

	if (!s->has_folders) {
		lane_borrow(&s->lanes[0]);
		rc = load_folders(s, session, e);
		lane_return(&s->lanes[0]);
	}
	if (rc)
		return rc;
	*out = s->folders.outline.collections;
	*count = s->folders.outline.count;
	return ERR_OK;
}

/* ---- cursors ---- */

static enum err_code cursor_put(const struct listing_cursor *c, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u8(&w, CURSOR_VERSION);
	wr_u32(&w, c->status.uid_validity);
	wr_u32(&w, c->status.uid_next);
	wr_u32(&w, c->status.messages);
	wr_u64(&w, c->status.mod_seq);
	wr_u8(&w, c->generation);
	return wr_end(&w);
}

/* Version 1 had no generation. */
static bool cursor_get(struct span cursor, struct listing_cursor *out)
{
	struct rd r = rd_of(cursor);
	uint8_t version = rd_u8(&r);

	*out = (struct listing_cursor){ 0 };
	if (version != 1 && version != CURSOR_VERSION)
		return false;
	out->status.uid_validity = rd_u32(&r);
	out->status.uid_next = rd_u32(&r);
	out->status.messages = rd_u32(&r);
	out->status.mod_seq = rd_u64(&r);
	if (version == CURSOR_VERSION)
		out->generation = rd_u8(&r);
	return rd_done(&r);
}

/* Without HIGHESTMODSEQ flags may have changed and nothing else tells; without UIDVALIDITY UIDs may be others. */
static bool nothing_moved(const struct folder_status *a, const struct folder_status *b)
{
	return a->mod_seq && a->uid_validity && a->mod_seq == b->mod_seq && a->uid_validity == b->uid_validity &&
	       a->uid_next == b->uid_next && a->messages == b->messages;
}

/* ---- listing ---- */

/* What belongs to the folder before is forgotten; and what was expected, unless it is folder C. */
static void clear_lanes(struct imap_source *s, size_t c, bool has_known, bool changes)
{
	bool expected =
	        s->scout.lane && s->scout.c == c && s->scout.has_known == has_known && s->scout.changes == changes;

	for (size_t i = 0; i < s->lane_count; i++)
		if (!expected || i != s->scout.lane)
			lane_clear(&s->lanes[i]);
	if (s->scout.lane && !expected) {
		listing_drop(&s->scout.run);
		s->scout.lane = 0;
	}
	s->home = s->turn = s->turn_items = 0;
	s->turn_bytes = s->folder_bytes = 0;
}

static enum err_code ask(struct imap_source *s, struct lane *lane, size_t c, const struct listing_cursor *known,
                         bool changes, struct listing_run **run, struct err *e)
{
	struct span raw = s->folders.outline.raws[c];
	struct folder_status told;
	bool is_told = folders_status(&s->folders, raw, &told);

	return listing_begin(&lane->session, raw, is_told ? &told : NULL, known, changes, run, e);
}

/* Over the lane that went ahead, when it did and came back with something, else over the first. */
static enum err_code load(struct imap_source *s, size_t c, const struct listing_cursor *known,
                          const struct item_known *items, struct item_listing **out, bool *complete, struct err *e)
{
	struct lane *lane = &s->lanes[s->scout.lane];
	struct listing_run *run;
	enum err_code rc = ERR_OK;

	lane_borrow(lane);
	run = s->scout.run;
	s->scout.run = NULL;
	s->home = run ? s->scout.lane : 0;
	if (s->scout.lane && !run) {
		lane_return(lane);
		lane = &s->lanes[0];
		lane_borrow(lane);
	}
	s->scout.lane = 0;
	if (lane->session.death.code) {
		*e = lane->session.death;
		rc = e->code;
	}
	if (!rc && !run)
		rc = ask(s, lane, c, known, items != NULL, &run, e);
	if (!rc)
		rc = listing_finish(&run, items, out, complete, e);
	listing_drop(&run);
	lane_return(lane);
	return rc;
}

static bool moved_since(const struct imap_source *s, struct span raw, const struct listing_cursor *known)
{
	struct folder_status now;

	return !folders_status(&s->folders, raw, &now) || !nothing_moved(&known->status, &now);
}

static void tell_incomplete(struct imap_source *s, size_t c, const struct item_listing *l)
{
	struct err why;

	err_set(&why, ERR_CORRUPT, "the server counts %" PRIu32 " messages and lists %zu", l->cursor.status.messages,
	        listing_count(l));
	if (s->base.report)
		s->base.report(s->base.report_ctx, text_name(s->folders.outline.collections[c].path).text, &why);
}

static enum err_code list(struct imap_source *s, size_t c, struct span cursor, const struct item_known *items,
                          bool rescan, struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct span raw = s->folders.outline.raws[c];
	struct item_listing *l = NULL;
	struct listing_cursor known;
	bool has_known = cursor_get(cursor, &known) && !rescan, moved = true, complete = false;
	enum err_code rc = ERR_OK;

	*out = NULL;
	buf_clear(new_cursor);
	clear_lanes(s, c, has_known, items != NULL);
	if (has_known)
		moved = moved_since(s, raw, &known);
	if (moved)
		rc = load(s, c, has_known ? &known : NULL, items, &l, &complete, e);
	if (!rc && l)
		lane_aim(&s->lanes[0], raw, l->cursor.status.uid_validity);
	if (!rc && l && !complete)
		tell_incomplete(s, c, l);
	if (!rc && l && complete)
		rc = cursor_put(&l->cursor, new_cursor, e);
	if (rc)
		listing_free(&l);
	*out = l;
	return rc;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	return list(own(base), c, cursor, NULL, rescan, out, new_cursor, e);
}

static enum err_code source_list_since(struct item_source *base, size_t c, struct span cursor,
                                       const struct item_known *known, struct item_listing **out,
                                       struct buf *new_cursor, struct err *e)
{
	return list(own(base), c, cursor, known, false, out, new_cursor, e);
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct listing_entry *entry = listing_entry(l, i);

	*out = (struct item_entry){ span_of(entry->key, LISTING_KEY_BYTES),
		                    span_of(l->states.ptr ? l->states.ptr + entry->state : NULL, entry->state_bytes),
		                    i };
}

/* ---- facts ---- */

/* BYTES: what there is; 0 with TOLD: what the server says, if it does. */
static enum err_code add_facts(const struct item_listing *l, const struct listing_entry *entry, uint64_t bytes,
                               bool told, struct buf *facts, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (!told || entry->bytes)
		rc = fields_add_u64(facts, FACT_SIZE, told ? entry->bytes : bytes, 8, e);
	if (!rc && entry->date_s != LISTING_NO_DATE)
		rc = fields_add_u64(facts, FACT_TIME, (uint64_t)entry->date_s * 1000000000u, 8, e);
	if (!rc && entry->date_s != LISTING_NO_DATE)
		rc = fields_add_u64(facts, FACT_ZONE, (uint16_t)entry->zone_minutes, 2, e);
	if (!rc && entry->object_bytes)
		rc = fields_add(facts, FACT_OBJECT, span_of(l->objects.ptr + entry->object, entry->object_bytes), e);
	return rc;
}

static enum err_code source_facts(const struct item_listing *l, uint64_t place, struct buf *facts, struct err *e)
{
	return add_facts(l, listing_entry(l, (size_t)place), 0, true, facts, e);
}

/* ---- lanes ---- */

/* Another lane when there is enough to do for it; none when the server allows no more. */
static void maybe_open_lane(struct imap_source *s)
{
	struct lane *next = &s->lanes[s->lane_count];
	struct err why;

	if (s->opening && lane_is_refused(next)) {
		lane_free(next);
		s->lanes_max = s->lane_count;
		s->opening = false;
	}
	if (s->opening && lane_is_open(next)) {
		s->lane_count++;
		s->opening = false;
	}
	if (s->opening || s->lane_count == s->lanes_max ||
	    (s->told_bytes <= s->lane_count * LANE_MORE_BYTES &&
	     (!s->is_far || s->expected < s->lane_count * EXPECTED_MIN)))
		return;
	if (lane_begin(&s->lanes[s->lane_count], &s->login, WINDOW_BYTES / s->lanes_max, &why))
		s->lanes_max = s->lane_count;
	else
		s->opening = true;
}

/* Another lane gets the next items: none that is ahead already. */
static void next_turn(struct imap_source *s)
{
	s->turn_bytes = s->turn_items = 0;
	do
		s->turn = (s->turn + 1) % s->lane_count;
	while (s->turn && s->turn == s->scout.lane);
}

/* The lane for the next item, of BYTES: neighbours share one, so that commands name many. Small folders need but one. */
static size_t next_lane(struct imap_source *s, uint32_t bytes)
{
	s->told_bytes += bytes;
	s->folder_bytes += bytes;
	if (s->folder_bytes <= LANE_MORE_BYTES)
		return s->home;
	if (s->turn_bytes >= LANE_RUN_BYTES || s->turn_items >= LANE_RUN_ITEMS)
		next_turn(s);
	s->turn_bytes += bytes;
	s->turn_items++;
	return s->turn;
}

static enum err_code source_ahead(struct item_source *base, size_t c, const struct item_listing *l,
                                  const uint64_t *places, size_t count, bool heads, struct err *e)
{
	struct imap_source *s = own(base);
	enum err_code rc = ERR_OK;

	(void)c;
	for (size_t i = 0; !rc && i < count; i++) {
		struct listing_entry *entry = listing_entry(l, (size_t)places[i]);

		if (places[i] < l->sent_for)
			continue;
		entry->lane = (uint8_t)next_lane(s, heads ? 2 * KIB : entry->bytes);
		rc = lane_want(&s->lanes[entry->lane], entry->uid, entry->bytes, heads, e);
	}
	maybe_open_lane(s);
	for (size_t i = 0; !rc && i < s->lane_count; i++) {
		if (i && i == s->scout.lane)
			continue;
		lane_aim(&s->lanes[i], l->raw, l->cursor.status.uid_validity);
		lane_go(&s->lanes[i]);
	}
	return rc;
}

/* ---- what is expected ---- */

/* Bodies of an expected folder of which nothing is kept: as many as there is room for. Lane number LANE is ours. */
static void send_for(struct scout *scout, struct item_listing *l, struct lane *lane)
{
	uint64_t bytes = 0;
	struct err why;

	/* What has an object id may be there by then, from another folder. */
	if (l->objects.len)
		return;
	lane->raw = l->raw;
	lane->uid_validity = l->cursor.status.uid_validity;
	for (size_t i = 0; i < listing_count(l) && i < AHEAD_MESSAGES && bytes < lane->fetch.window_bytes; i++) {
		struct listing_entry *entry = listing_entry(l, i);

		if (fetch_want(&lane->fetch, entry->uid, entry->bytes, false, &why))
			break;
		entry->lane = (uint8_t)scout->lane;
		bytes += entry->bytes;
		l->sent_for = i + 1;
	}
}

static void go_ahead(void *ctx, struct lane *lane)
{
	struct scout *scout = ctx;
	struct imap_source *s = scout->source;
	struct item_listing *l;
	struct err why;

	if (ask(s, lane, scout->c, scout->has_known ? &scout->known : NULL, scout->changes, &scout->run, &why))
		return;
	l = scout->bodies ? listing_peek(scout->run) : NULL;
	if (l)
		send_for(scout, l, lane);
}

/* A lane for what is expected: not the first, which stands in for all others, and not that of the folder at hand. 0: none. */
static size_t scouting_lane(const struct imap_source *s)
{
	for (size_t i = 1; i < s->lane_count; i++)
		if (i != s->home)
			return i;
	return 0;
}

static bool source_expect(struct item_source *base, size_t c, struct span cursor, bool changes, bool bodies)
{
	struct imap_source *s = own(base);
	struct scout *scout = &s->scout;
	size_t lane;

	if (scout->lane)
		return true;
	*scout = (struct scout){ .c = c, .source = s, .changes = changes, .bodies = bodies };
	scout->has_known = cursor_get(cursor, &scout->known);
	if (scout->has_known && !moved_since(s, s->folders.outline.raws[c], &scout->known))
		return false;
	s->expected++;
	maybe_open_lane(s);
	lane = scouting_lane(s);
	scout->lane = lane;
	if (!lane || !lane_send(&s->lanes[lane], go_ahead, scout))
		scout->lane = 0;
	return true;
}

/* ---- fetching ---- */

/* Takes one message or its head over its lane; when that is lost for good, over the first. */
static enum err_code take(struct imap_source *s, struct listing_entry *entry, bool head, enum fetch_state *state,
                          struct buf *body, struct err *e)
{
	enum err_code rc = lane_take(&s->lanes[entry->lane], entry->uid, entry->bytes, head, state, body, e);

	if (rc != ERR_IO || !entry->lane)
		return rc;
	entry->lane = 0;
	return take(s, entry, head, state, body, e);
}

static enum err_code give_pieces(struct imap_source *s, const struct listing_entry *entry,
                                 const struct item_receiver *to, uint64_t *bytes, struct err *e)
{
	struct lane *lane = &s->lanes[entry->lane];
	struct buf piece = BUF_EMPTY;
	bool last = false;
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, entry->bytes > FETCH_WHOLE_MAX ? entry->bytes : 0, e);

	*bytes = 0;
	while (!rc && !last) {
		rc = lane_piece(lane, entry->uid, *bytes, entry->bytes, &piece, &last, e);
		if (!rc)
			rc = item_give(to, buf_span(&piece), e);
		*bytes += piece.len;
	}
	buf_release(&piece);
	return rc;
}

static enum err_code give_whole(struct imap_source *s, const struct listing_entry *entry, struct buf *body,
                                const struct item_receiver *to, struct err *e)
{
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, body->len, e);

	if (!rc)
		rc = item_give(to, buf_span(body), e);
	if (rc == ERR_LIMIT)
		lane_give_back(&s->lanes[entry->lane], entry->uid, body);
	return rc;
}

static enum err_code cannot_have(const struct listing_entry *entry, enum fetch_state state, struct err *e)
{
	if (state == FETCH_GONE)
		return err_set(e, ERR_VANISHED, "message %s went away while the folder was read", entry->key);
	return e->code ? e->code : err_set(e, ERR_IO, "the server refuses message %s", entry->key);
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct imap_source *s = own(base);
	struct listing_entry *entry = listing_entry(l, (size_t)place);
	struct buf body = BUF_EMPTY;
	enum fetch_state state = FETCH_REFUSED;
	uint64_t bytes = 0;
	enum err_code rc = take(s, entry, false, &state, &body, e);

	(void)c;
	if (!rc && state == FETCH_HERE) {
		bytes = body.len;
		rc = give_whole(s, entry, &body, to, e);
	} else if (!rc && state == FETCH_LARGE) {
		rc = give_pieces(s, entry, to, &bytes, e);
	} else if (!rc) {
		rc = cannot_have(entry, state, e);
	}
	buf_release(&body);
	return rc ? rc : add_facts(l, entry, bytes, false, facts, e);
}

static enum err_code source_head(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                 struct buf *out, struct err *e)
{
	struct listing_entry *entry = listing_entry(l, (size_t)place);
	enum fetch_state state = FETCH_REFUSED;
	enum err_code rc;

	(void)c;
	buf_release(out);
	rc = take(own(base), entry, true, &state, out, e);
	return rc || state == FETCH_HERE ? rc : cannot_have(entry, state, e);
}

/* ---- the source ---- */

static void source_free(struct item_source **base)
{
	struct imap_source *s = own(*base);

	if (!s)
		return;
	if (s->opening)
		lane_free(&s->lanes[s->lane_count]);
	while (s->lane_count)
		lane_free(&s->lanes[--s->lane_count]);
	listing_drop(&s->scout.run);
	folders_release(&s->folders);
	for (size_t i = 0; i < ARRAY_LEN(s->strings); i++)
		mem_free(s->strings[i]);
	buf_wipe(&s->password);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops imap_ops = {
	.collections = source_collections,
	.list = source_list,
	.list_since = source_list_since,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.facts = source_facts,
	.head = source_head,
	.ahead = source_ahead,
	.expect = source_expect,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code imap_source_open(const struct imap_login *login, struct item_source **out, struct err *e)
{
	struct imap_source *s = mem_zalloc(1, sizeof *s);
	struct item_source *base = s ? &s->base : NULL;
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_source){ .ops = &imap_ops, .world = "imap", .parallel_fetch = true };
	s->lanes_max = login->connections ? login->connections : LANES;
	if (s->lanes_max > LANES_MAX)
		s->lanes_max = LANES_MAX;
	/* What stands in for a connection is one. */
	if (login->transport)
		s->lanes_max = 1;
	rc = imap_login_keep(login, s->strings, &s->password, &s->login, e);
	if (!rc)
		rc = lane_open(&s->lanes[0], &s->login, WINDOW_BYTES / s->lanes_max, e);
	s->lane_count = !rc;
	if (rc) {
		source_free(&base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}
