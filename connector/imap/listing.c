#include "listing.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "message_data.h"

#define ENTRIES_MAX   ((size_t)1 << 30)
#define GENERATIONS   26
#define ENTRIES_BYTES (sizeof(struct listing_entry) * ENTRIES_MAX)
#define GONE          UINT32_MAX /* state of an entry that is to be dropped */
#define OBJECT_BYTES  200

/* A run of UIDs. */
struct range {
	uint32_t from, to;
};

struct listing_run {
	struct session *s;
	struct item_listing *l;
	bool has_known;
	struct listing_cursor known;
	bool by_changes;                 /* what changed was asked for */
	bool opened;                     /* the mailbox, in this run */
	bool has_new;                    /* what is new was asked for already */
	struct buf flags, state, object; /* of the entry at hand */
	struct buf changes;              /* struct listing_entry: what changed since */
	struct buf vanished;             /* struct range */
	struct buf found;                /* struct range: the answer to a search */
	bool restarted, changed_only;
	bool versions; /* the mailbox has no UIDVALIDITY */
};

/* ---- one message ---- */

/* Puts the entry's state, of which there are few different ones in a mailbox. */
static enum err_code keep_state(struct item_listing *l, struct span state, struct listing_entry *entry, struct err *e)
{
	uint8_t hash[IDMAP_KEY_BYTES] = { 0 };
	uint64_t place;
	enum err_code rc;

	if (state.len > ITEM_STATE_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a message has %zu bytes of flags", state.len);
	hash128(state, hash);
	entry->state_bytes = (uint16_t)state.len;
	if (idmap_get(&l->state_by_hash, hash, &place)) {
		entry->state = (uint32_t)place;
		return ERR_OK;
	}
	if (l->states.len + state.len >= GONE)
		return err_set(e, ERR_LIMIT, "the folder has too many different flags");
	entry->state = (uint32_t)l->states.len;
	rc = buf_append(&l->states, state, e);
	return rc ? rc : idmap_put(&l->state_by_hash, hash, entry->state, e);
}

/* Without UIDVALIDITY a UID may be another message's one day: then its size and date tell. */
static enum err_code add_version(struct listing_run *k, const struct listing_entry *entry, struct err *e)
{
	uint8_t version[12];

	for (size_t i = 0; i < 4; i++)
		version[i] = (uint8_t)(entry->bytes >> 8 * i);
	for (size_t i = 0; i < 8; i++)
		version[4 + i] = (uint8_t)((uint64_t)entry->date_s >> 8 * i);
	return fields_add(&k->state, STATE_VERSION, span_of(version, sizeof version), e);
}

static enum err_code keep_flags(struct listing_run *k, struct listing_entry *entry, struct err *e)
{
	enum err_code rc = ERR_OK;

	buf_clear(&k->state);
	if (k->flags.len)
		rc = fields_add(&k->state, STATE_FLAGS, buf_span(&k->flags), e);
	if (!rc && k->versions)
		rc = add_version(k, entry, e);
	return rc ? rc : keep_state(k->l, buf_span(&k->state), entry, e);
}

/* "EMAILID (M6d99ac3275bb4e)" (RFC 8474) or "X-GM-MSGID 1278455344230334865". */
static enum err_code read_object(struct listing_run *k, struct wire *w, struct err *e)
{
	struct wire_token t;
	bool in_list;
	enum err_code rc = wire_next(w, &t, e);

	in_list = !rc && t.kind == WIRE_OPEN;
	if (in_list)
		rc = wire_next(w, &t, e);
	if (rc || t.kind == WIRE_CLOSE)
		return rc;
	if (t.kind == WIRE_ATOM && t.text.len <= OBJECT_BYTES && !text_equal_nocase(t.text, SPAN_LIT("NIL"))) {
		buf_clear(&k->object);
		rc = buf_append(&k->object, t.text, e);
	} else {
		rc = wire_skip_value(w, &t, e);
	}
	while (!rc && in_list && t.kind != WIRE_CLOSE) {
		rc = wire_next(w, &t, e);
		if (!rc && t.kind == WIRE_END)
			rc = err_set(e, ERR_CORRUPT, "the server sent a list without an end");
	}
	return rc;
}

/* An entry while it is read. */
struct reading {
	struct listing_run *run;
	struct listing_entry entry;
	bool flags;
};

static enum err_code read_item(void *ctx, struct wire *w, const char *name, struct err *e)
{
	struct reading *r = ctx;
	struct wire_token t;
	uint64_t number = 0;
	struct span text;
	bool is_nil;
	enum err_code rc;

	if (!strcasecmp(name, "UID"))
		return message_uid(w, &r->entry.uid, e);
	if (!strcasecmp(name, "FLAGS")) {
		r->flags = true;
		return message_flags(w, &r->run->flags, e);
	}
	if (!strcasecmp(name, "RFC822.SIZE")) {
		rc = message_number(w, &number, e);
		r->entry.bytes = (uint32_t)(number <= UINT32_MAX ? number : UINT32_MAX);
		return rc;
	}
	if (!strcasecmp(name, "EMAILID") || !strcasecmp(name, "X-GM-MSGID"))
		return read_object(r->run, w, e);
	if (strcasecmp(name, "INTERNALDATE") != 0)
		return message_pass(w, e);
	rc = wire_next(w, &t, e);
	if (!rc)
		rc = wire_text(w, &t, &text, &is_nil, e);
	if (!rc)
		(void)message_date(text, &r->entry.date_s, &r->entry.zone_minutes);
	return rc;
}

static enum err_code keep_entry(struct listing_run *k, struct listing_entry *entry, struct err *e)
{
	struct item_listing *l = k->l;
	enum err_code rc;

	if (listing_count(l) >= ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "the folder has too many messages");
	entry->order = (uint32_t)listing_count(l);
	rc = keep_flags(k, entry, e);
	if (!rc && k->object.len && l->objects.len < UINT32_MAX - OBJECT_BYTES) {
		entry->object = (uint32_t)l->objects.len;
		entry->object_bytes = (uint8_t)k->object.len;
		rc = buf_append(&l->objects, buf_span(&k->object), e);
	}
	return rc ? rc : buf_append(k->changed_only ? &k->changes : &l->entries, span_of(entry, sizeof *entry), e);
}

static enum err_code read_entry(struct listing_run *k, struct wire *w, struct err *e)
{
	struct reading r = { .run = k, .entry = { .date_s = LISTING_NO_DATE } };
	enum err_code rc;

	buf_clear(&k->flags);
	buf_clear(&k->object);
	rc = message_read(w, read_item, &r, e);
	/* Unasked news of a message whose UID is not told cannot be used. */
	return rc || !r.entry.uid || !r.flags ? rc : keep_entry(k, &r.entry, e);
}

/* ---- sets of UIDs ---- */

/* "300:310,405": appends struct range. */
static enum err_code read_set(struct span set, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && set.len) {
		struct span one = set, to;
		struct range r;
		uint64_t a, b;
		size_t colon = 0;

		for (one.len = 0; one.len < set.len && set.ptr[one.len] != ','; one.len++)
			colon = set.ptr[one.len] == ':' ? one.len : colon;
		set = span_skip(set, one.len + (one.len < set.len));
		to = colon ? span_skip(one, colon + 1) : one;
		if (!text_number(colon ? span_first(one, colon) : one, UINT32_MAX, &a) ||
		    !text_number(to, UINT32_MAX, &b))
			return err_set(e, ERR_CORRUPT, "the server sent a strange set of UIDs");
		r = (struct range){ (uint32_t)(a < b ? a : b), (uint32_t)(a < b ? b : a) };
		rc = buf_append(out, span_of(&r, sizeof r), e);
	}
	return rc;
}

/* "(EARLIER) 41,43:116" */
static enum err_code read_vanished(struct listing_run *k, struct wire *w, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && t.kind == WIRE_OPEN) {
		rc = wire_skip_value(w, &t, e);
		if (!rc)
			rc = wire_next(w, &t, e);
	}
	if (!rc && t.kind != WIRE_ATOM)
		return err_set(e, ERR_CORRUPT, "the server sent a strange set of UIDs");
	if (!rc)
		rc = read_set(t.text, &k->vanished, e);
	return rc ? rc : wire_skip_line(w, e);
}

/* "(TAG "A7") UID ALL 2:5,9", or nothing behind UID when nothing was found. */
static enum err_code read_esearch(struct listing_run *k, struct wire *w, struct err *e)
{
	struct wire_token t;
	bool is_set = false;
	enum err_code rc = ERR_OK;

	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_END)
			break;
		if (t.kind != WIRE_ATOM)
			rc = wire_skip_value(w, &t, e);
		else if (is_set)
			rc = read_set(t.text, &k->found, e);
		is_set = t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("ALL"));
	}
	return rc;
}

/* "2 3 4" */
static enum err_code read_search(struct listing_run *k, struct wire *w, struct err *e)
{
	struct wire_token t;
	enum err_code rc = ERR_OK;

	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_END)
			break;
		rc = t.kind == WIRE_ATOM ? read_set(t.text, &k->found, e) : wire_skip_value(w, &t, e);
	}
	return rc;
}

static enum err_code take_data(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct listing_run *k = ctx;
	struct wire *w = imap_wire(c);

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (k->restarted) {
		/* The connection broke in the middle, and everything comes again. */
		k->restarted = false;
		buf_clear(&k->changes);
		buf_clear(&k->vanished);
		buf_clear(&k->l->entries);
	}
	if (!strcmp(r->word, "FETCH"))
		return read_entry(k, w, e);
	if (!strcmp(r->word, "VANISHED") && k->changed_only)
		return read_vanished(k, w, e);
	if (!strcmp(r->word, "ESEARCH"))
		return read_esearch(k, w, e);
	if (!strcmp(r->word, "SEARCH"))
		return read_search(k, w, e);
	return wire_skip_line(w, e);
}

/* ---- order ---- */

static int by_uid(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid > y->uid ? 1 : -1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Of one message told twice the later word counts; what only the earlier one knew stays. */
static void join_entries(struct listing_entry *earlier, const struct listing_entry *later)
{
	struct listing_entry was = *earlier;

	*earlier = *later;
	if (!later->bytes)
		earlier->bytes = was.bytes;
	if (later->date_s == LISTING_NO_DATE) {
		earlier->date_s = was.date_s;
		earlier->zone_minutes = was.zone_minutes;
	}
	if (!later->object_bytes) {
		earlier->object = was.object;
		earlier->object_bytes = was.object_bytes;
	}
}

/* Orders, joins what came twice, drops what is gone. */
static void put_in_order(struct item_listing *l)
{
	size_t count = listing_count(l), kept = 0;
	struct listing_entry *all = count ? listing_entry(l, 0) : NULL;
	bool ordered = true;

	for (size_t i = 1; i < count && ordered; i++)
		ordered = all[i - 1].uid < all[i].uid;
	if (!ordered)
		qsort(all, count, sizeof *all, by_uid);
	for (size_t i = 0; i < count; i++) {
		if (all[i].state == GONE)
			continue;
		if (kept && all[kept - 1].uid == all[i].uid)
			join_entries(&all[kept - 1], &all[i]);
		else
			all[kept++] = all[i];
	}
	l->entries.len = kept * sizeof *all;
}

static void make_keys(struct item_listing *l)
{
	char mark = l->cursor.generation ? (char)('A' + (l->cursor.generation - 1) % GENERATIONS) : '.';

	for (size_t i = 0; i < listing_count(l); i++) {
		struct listing_entry *entry = listing_entry(l, i);

		snprintf(entry->key, sizeof entry->key, "%010" PRIu32 "%c%010" PRIu32, l->cursor.status.uid_validity,
		         mark, entry->uid);
	}
}

static struct listing_entry *find_entry(struct item_listing *l, uint32_t uid, size_t count)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (listing_entry(l, middle)->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return listing_entry(l, low);
}

/* ---- all of it ---- */

#define QUESTION_BYTES 160

static const char *object_item(const struct listing_run *k)
{
	unsigned have = imap_capabilities(k->s->client);

	return have & IMAP_GMAIL ? " X-GM-MSGID" : have & IMAP_OBJECTID ? " EMAILID" : "";
}

/* The command for what is to be known of messages FROM to TO (0: the last). SINCE: only of those that changed since. */
static void question(const struct listing_run *k, uint32_t from, uint32_t to, bool all, uint64_t since,
                     char out[QUESTION_BYTES])
{
	char end[16] = "*", changed[48] = "";

	if (to)
		snprintf(end, sizeof end, "%" PRIu32, to);
	if (since)
		snprintf(changed, sizeof changed, " (CHANGEDSINCE %" PRIu64 ")", since);
	snprintf(out, QUESTION_BYTES, "UID FETCH %" PRIu32 ":%s (UID FLAGS%s%s)%s", from, end,
	         all ? " INTERNALDATE RFC822.SIZE" : "", all ? object_item(k) : "", changed);
}

static enum err_code list_range(struct listing_run *k, uint32_t from, uint32_t to, bool all, uint64_t since,
                                struct err *e)
{
	bool object = all && *object_item(k);
	char text[QUESTION_BYTES];
	unsigned tag;
	enum err_code rc;

	question(k, from, to, all, since, text);
	rc = imap_send(k->s->client, &tag, e, "%s", text);
	if (!rc)
		rc = imap_wait(k->s->client, tag, take_data, k, e);
	if (!rc || !object || imap_is_broken(k->s->client) || e->retry == ERR_RETRY_LATER)
		return rc;
	imap_cannot(k->s->client, IMAP_GMAIL);
	imap_cannot(k->s->client, IMAP_OBJECTID);
	return list_range(k, from, to, all, since, e);
}

/* After a failure: ERR_OK when it may be said again. */
static enum err_code again(struct listing_run *k, struct err *e)
{
	struct err why = *e;

	return session_again(k->s, &why, NULL, e);
}

static bool may_pass(const struct listing_run *k, enum err_code rc, const struct err *e)
{
	return (rc == ERR_IO && (e->retry != ERR_RETRY_NEVER || imap_is_broken(k->s->client))) ||
	       (rc == ERR_CORRUPT && imap_is_broken(k->s->client));
}

static bool same_mailbox(const struct listing_run *k)
{
	const struct folder_status *now = &k->s->status, *then = k->has_known ? &k->known.status : NULL;

	return then && then->uid_validity && then->uid_validity == now->uid_validity && then->uid_next &&
	       (!now->uid_next || now->uid_next >= then->uid_next);
}

/* Dates and sizes are asked for only of messages that came since the cursor, when it is still good: the others are known. */
static enum err_code list_all(struct listing_run *k, struct err *e)
{
	const struct folder_status *now = &k->s->status;
	uint32_t new_from = same_mailbox(k) ? k->known.status.uid_next : 1;
	enum err_code rc = ERR_OK;

	buf_clear(&k->l->entries);
	k->changed_only = false;
	k->versions = !now->uid_validity;
	if (!now->messages)
		return ERR_OK;
	if (new_from > 1)
		rc = list_range(k, 1, new_from - 1, false, 0, e);
	if (!rc && (new_from == 1 || !now->uid_next || now->uid_next > new_from))
		rc = list_range(k, new_from, 0, true, 0, e);
	return rc;
}

static enum err_code load_all(struct listing_run *k, bool fresh, struct err *e)
{
	enum err_code rc = session_examine(k->s, k->l->raw, fresh, e);

	while (!rc) {
		rc = list_all(k, e);
		if (!may_pass(k, rc, e))
			break;
		rc = again(k, e);
	}
	if (!rc)
		put_in_order(k->l);
	return rc;
}

/* ---- what is known, and what changed since ---- */

static enum err_code take_known(void *ctx, struct span key, struct span state, struct err *e)
{
	struct listing_run *k = ctx;
	struct listing_entry entry = { .date_s = LISTING_NO_DATE };
	uint64_t validity, uid;
	enum err_code rc;

	if (key.len != LISTING_KEY_BYTES || !text_number(span_first(key, 10), UINT32_MAX, &validity) ||
	    !text_number(span_skip(key, 11), UINT32_MAX, &uid) || validity != k->known.status.uid_validity || !uid ||
	    uid >= k->known.status.uid_next)
		return ERR_OK;
	entry.uid = (uint32_t)uid;
	rc = keep_state(k->l, state, &entry, e);
	return rc ? rc : buf_append(&k->l->entries, span_of(&entry, sizeof entry), e);
}

/* The new flags to where they belong. False: a message changed that is not known. */
static bool apply_changes(struct listing_run *k)
{
	const struct listing_entry *changes = (const struct listing_entry *)(const void *)k->changes.ptr;
	size_t count = k->changes.len / sizeof *changes, known = listing_count(k->l);

	for (size_t i = 0; i < count; i++) {
		struct listing_entry *entry;

		if (changes[i].uid >= k->known.status.uid_next)
			continue; /* new: listed with all there is to know */
		entry = find_entry(k->l, changes[i].uid, known);
		if (entry == listing_entry(k->l, known) || entry->uid != changes[i].uid)
			return false;
		entry->state = changes[i].state;
		entry->state_bytes = changes[i].state_bytes;
	}
	return true;
}

static void apply_vanished(struct listing_run *k)
{
	const struct range *gone = (const struct range *)(const void *)k->vanished.ptr;
	size_t count = k->vanished.len / sizeof *gone, known = listing_count(k->l);

	for (size_t i = 0; i < count; i++)
		for (struct listing_entry *entry = find_entry(k->l, gone[i].from, known);
		     entry < listing_entry(k->l, known) && entry->uid <= gone[i].to; entry++)
			entry->state = GONE;
}

/* Everything that the search did not find is gone. The answer may come in any order. */
static int by_from(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static void keep_found(struct listing_run *k)
{
	struct range *found = (struct range *)(void *)k->found.ptr;
	size_t count = k->found.len / sizeof *found, at = 0;

	if (count)
		qsort(found, count, sizeof *found, by_from);
	for (size_t i = 0; i < listing_count(k->l); i++) {
		struct listing_entry *entry = listing_entry(k->l, i);

		while (at < count && found[at].to < entry->uid)
			at++;
		if (at == count || found[at].from > entry->uid)
			entry->state = GONE;
	}
	put_in_order(k->l);
}

static enum err_code search_all(struct listing_run *k, struct err *e)
{
	bool compact = imap_capabilities(k->s->client) & IMAP_ESEARCH;
	unsigned tag;
	enum err_code rc;

	buf_clear(&k->found);
	rc = imap_send(k->s->client, &tag, e, "UID SEARCH %sALL", compact ? "RETURN (ALL) " : "");
	return rc ? rc : imap_wait(k->s->client, tag, take_data, k, e);
}

/* The changes and the new messages, over a mailbox that is open. RESYNCED: the changes have come already. */
static enum err_code ask_changes(struct listing_run *k, bool resynced, struct err *e)
{
	const struct folder_status *then = &k->known.status;
	enum err_code rc = ERR_OK;

	k->changed_only = true;
	if (!resynced && then->uid_next > 1 && k->s->status.mod_seq > then->mod_seq)
		rc = list_range(k, 1, then->uid_next - 1, false, then->mod_seq, e);
	k->changed_only = false;
	if (!rc && !k->has_new && k->s->status.messages && k->s->status.uid_next != then->uid_next)
		rc = list_range(k, then->uid_next, 0, true, 0, e);
	return rc;
}

/* What is new comes as the answer to command TAG. Refused: it is asked for once more by itself. */
static enum err_code take_new(struct listing_run *k, unsigned tag, struct err *e)
{
	enum err_code rc;

	k->changed_only = false;
	rc = imap_wait(k->s->client, tag, take_data, k, e);
	k->has_new = !rc;
	if (rc)
		buf_clear(&k->l->entries);
	return rc && !imap_is_broken(k->s->client) ? ERR_OK : rc;
}

/* Asks for what changed since, and at once for what is new by what the server TOLD before. *GOOD false: everything must be listed. */
static enum err_code ask_since(struct listing_run *k, const struct folder_status *told, bool *good, struct err *e)
{
	char behind[QUESTION_BYTES] = "";
	unsigned tag = 0;
	bool resynced = true;
	enum err_code rc;

	if (told && told->messages && told->uid_next > k->known.status.uid_next)
		question(k, k->known.status.uid_next, 0, true, 0, behind);
	k->changed_only = true;
	rc = session_resync(k->s, k->l->raw, &k->known.status, *behind ? behind : NULL, take_data, k, &k->restarted,
	                    &tag, e);
	if (rc == ERR_UNSUPPORTED) {
		resynced = false;
		rc = session_examine(k->s, k->l->raw, true, e);
	}
	k->opened = !rc;
	if (tag)
		rc = take_new(k, tag, e);
	if (may_pass(k, rc, e) && k->opened)
		return again(k, e);
	if (rc || !same_mailbox(k) || !k->s->status.mod_seq || k->s->status.mod_seq < k->known.status.mod_seq)
		return rc;
	rc = ask_changes(k, resynced, e);
	if (may_pass(k, rc, e))
		return again(k, e);
	*good = !rc;
	return rc;
}

/*
 * Makes the listing of what is known and what changed. *GOOD false: it does not come out even; everything must be listed. Errors
 * of the line are waited out by listing everything, too: over a bad line that is seldom, and always right.
 */
static enum err_code join_changes(struct listing_run *k, const struct item_known *items, bool *good, struct err *e)
{
	struct buf fresh = k->l->entries;
	enum err_code rc;

	k->l->entries = (struct buf)BUF_WITH_MAX(ENTRIES_BYTES);
	rc = items->each(items->ctx, take_known, k, e);
	if (!rc && apply_changes(k)) {
		apply_vanished(k);
		*good = true;
		rc = buf_append(&k->l->entries, buf_span(&fresh), e);
	}
	buf_release(&fresh);
	if (rc || !*good)
		return rc;
	put_in_order(k->l);
	if (listing_count(k->l) > k->s->status.messages) {
		rc = search_all(k, e);
		if (may_pass(k, rc, e)) {
			*good = false;
			return again(k, e);
		}
		if (!rc)
			keep_found(k);
	}
	*good = !rc && listing_count(k->l) == k->s->status.messages;
	return rc;
}

/* ---- the door ---- */

static void start_over(struct item_listing *l)
{
	buf_clear(&l->entries);
	buf_clear(&l->states);
	buf_clear(&l->objects);
	idmap_clear(&l->state_by_hash);
}

/* What the cursor says when nothing more can go wrong; see listing_cursor about generations. */
static void note_cursor(struct listing_run *k)
{
	struct listing_cursor *c = &k->l->cursor;
	const struct listing_cursor *then = &k->known;

	c->status = k->s->status;
	c->generation = 0;
	if (!k->has_known || then->status.uid_validity != c->status.uid_validity)
		return;
	c->generation = then->generation;
	if (c->status.uid_next && c->status.uid_next < then->status.uid_next)
		c->generation = (uint8_t)(then->generation % GENERATIONS + 1);
}

static enum err_code list_anew(struct listing_run *k, struct err *e)
{
	enum err_code rc;

	start_over(k->l);
	k->by_changes = false;
	rc = load_all(k, !k->opened, e);
	k->opened |= !rc;
	return rc;
}

enum err_code listing_begin(struct session *s, struct span raw, const struct folder_status *told,
                            const struct listing_cursor *known, bool changes, struct listing_run **out, struct err *e)
{
	struct listing_run *k = mem_zalloc(1, sizeof *k);
	enum err_code rc = ERR_OK;

	if (k)
		k->l = mem_zalloc(1, sizeof *k->l);
	if (!k || !k->l) {
		listing_drop(&k);
		return err_no_memory(e, sizeof *k);
	}
	k->s = s;
	k->has_known = known != NULL;
	if (known)
		k->known = *known;
	k->l->raw = raw;
	k->l->entries.max = k->changes.max = ENTRIES_BYTES;
	k->l->states.max = k->l->objects.max = UINT32_MAX;
	k->vanished.max = k->found.max = UINT32_MAX;
	k->state.max = ITEM_STATE_BYTES_MAX;
	if (known && changes && known->status.uid_validity && known->status.mod_seq &&
	    (imap_capabilities(s->client) & (IMAP_CONDSTORE | IMAP_QRESYNC)))
		rc = ask_since(k, told, &k->by_changes, e);
	if (!rc && !k->by_changes)
		rc = list_anew(k, e);
	if (rc)
		listing_drop(&k);
	*out = k;
	return rc;
}

/* The keys, and what the next run may believe. */
static void seal(struct listing_run *k)
{
	note_cursor(k);
	make_keys(k->l);
}

struct item_listing *listing_peek(struct listing_run *k)
{
	if (k->by_changes)
		return NULL;
	seal(k);
	return k->l;
}

enum err_code listing_finish(struct listing_run **run, const struct item_known *items, struct item_listing **out,
                             bool *complete, struct err *e)
{
	struct listing_run *k = *run;
	bool good = !k->by_changes;
	enum err_code rc = ERR_OK;

	assert(good || items);
	if (!good)
		rc = join_changes(k, items, &good, e);
	if (!rc && !good)
		rc = list_anew(k, e);
	if (!rc) {
		seal(k);
		/* What is missing is not gone, so no cursor shall say that all was seen. */
		*complete = listing_count(k->l) >= k->s->status.messages;
		*out = k->l;
		k->l = NULL;
	}
	listing_drop(run);
	return rc;
}

void listing_drop(struct listing_run **run)
{
	struct listing_run *k = *run;

	if (!k)
		return;
	buf_release(&k->flags);
	buf_release(&k->state);
	buf_release(&k->object);
	buf_release(&k->changes);
	buf_release(&k->vanished);
	buf_release(&k->found);
	listing_free(&k->l);
	mem_free(k);
	*run = NULL;
}

void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	buf_release(&(*l)->entries);
	buf_release(&(*l)->states);
	buf_release(&(*l)->objects);
	idmap_release(&(*l)->state_by_hash);
	mem_free(*l);
	*l = NULL;
}
