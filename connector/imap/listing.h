/*
 * listing: what there is in a mailbox: each message with its key, flags, date, size and the provider's own id. Read whole, or made
 * of what is known from the last time and what changed since (QRESYNC, CONDSTORE: RFC 7162).
 * Thread   one at a time while it is made, then read-only.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_LISTING_H
#define MAILHOLD_CONNECTOR_IMAP_LISTING_H

#include "base/idmap.h"
#include "item/item.h"
#include "session.h"

#define LISTING_KEY_BYTES 21 /* "VALIDITY.UID", ten digits each; see listing_cursor about the '.' */
#define LISTING_NO_DATE   INT64_MIN

/* What was true of a mailbox when it was last read. */
struct listing_cursor {
	struct folder_status status;
	/*
	 * A server that gave the same UIDVALIDITY to another mailbox of the same name (UIDNEXT went back) has broken its
	 * promise: its keys get another letter in place of the '.', so that they never name other bytes.
	 */
	uint8_t generation;
};

struct listing_entry {
	int64_t date_s; /* LISTING_NO_DATE: not told */
	uint32_t uid;
	uint32_t bytes; /* 0: not told */
	uint32_t state; /* place in STATES */
	uint32_t object;
	uint32_t order; /* in which it came */
	int16_t zone_minutes;
	uint16_t state_bytes;
	uint8_t object_bytes; /* at OBJECT in OBJECTS; 0: not told */
	uint8_t lane;         /* the reader's own; 0 at first */
	char key[LISTING_KEY_BYTES + 1];
};

struct item_listing {
	struct span raw; /* the mailbox */
	struct listing_cursor cursor;
	struct buf entries; /* struct listing_entry, rising by uid */
	struct buf states;  /* each distinct one once */
	struct buf objects;
	struct idmap state_by_hash;
	size_t sent_for; /* entries before it are on their way already; the reader's own, 0 at first */
};

static inline size_t listing_count(const struct item_listing *l)
{
	return l->entries.len / sizeof(struct listing_entry);
}

static inline struct listing_entry *listing_entry(const struct item_listing *l, size_t i)
{
	return (struct listing_entry *)(void *)l->entries.ptr + i;
}

/* A listing in the making. */
struct listing_run;
/*
 * Opens mailbox RAW, which outlives the listing, over S, and asks for all there is, or, with CHANGES, for what changed since
 * KNOWN, which is what the last cursor said, or NULL. TOLD: what the server said of it in this run, or NULL; it saves a turn. Ends with _finish or _drop.
 */
MUST_CHECK enum err_code listing_begin(struct session *s, struct span raw, const struct folder_status *told,
                                       const struct listing_cursor *known, bool changes, struct listing_run **out,
                                       struct err *e);
/* What is listed, when nothing has to be asked for any more: everything was listed. Else NULL. It is the run's. */
struct item_listing *listing_peek(struct listing_run *run);
/*
 * Makes the listing. ITEMS: what was kept when KNOWN was true, or NULL: then there were no CHANGES asked for. The mailbox is open over
 * the same session still: when it does not come out even, everything is listed. *COMPLETE false: the server counts more
 * messages than it lists. Consumes *RUN, also on failure.
 */
MUST_CHECK enum err_code listing_finish(struct listing_run **run, const struct item_known *items,
                                        struct item_listing **out, bool *complete, struct err *e);
void listing_drop(struct listing_run **run);
void listing_free(struct item_listing **l);

#endif
