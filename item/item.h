/*
 * item: what an item is, and the contracts of the places it comes from (item_source) and goes back to (item_sink).
 * Engine and connector both look down at this and never at each other.
 *
 * One item is a key, 1..16 named streams, facts (immutable) and state (what changes: flags, position, etag).
 * Bytes are kept as they were given. Keys are byte strings ordered by memcmp, unique in their collection.
 * Format   docs/format/item.md for the encodings of facts, state and summaries made here.
 */
#ifndef MAILHOLD_ITEM_ITEM_H
#define MAILHOLD_ITEM_ITEM_H

#include "base/buf.h"

enum item_kind {
	KIND_MAIL = 1,
	KIND_EVENT = 2,
	KIND_TASK = 3,
	KIND_CONTACT = 4,
	KIND_NOTE = 5,
	KIND_RULE = 6,
	KIND_SETTINGS = 7,
	KIND_OTHER = 8 /* any other file: passes through */
};
const char *item_kind_name(enum item_kind kind); /* "mail", "event", …; "other" for unknown numbers */
bool item_kind_of_name(struct span name, enum item_kind *out);

enum collection_role {
	ROLE_NONE = 0,
	ROLE_INBOX = 1,
	ROLE_SENT = 2,
	ROLE_DRAFTS = 3,
	ROLE_TRASH = 4,
	ROLE_JUNK = 5,
	ROLE_ARCHIVE = 6
};
const char *collection_role_name(enum collection_role role); /* "inbox" …, "" for none */

#define ITEM_KEY_BYTES_MAX        1024
#define ITEM_STATE_BYTES_MAX      4096
#define ITEM_FACTS_BYTES_MAX      4096
#define COLLECTION_PATH_BYTES_MAX 4096
#define ATTRIBUTE_NAME_BYTES_MAX  255
#define ATTRIBUTE_VALUE_BYTES_MAX (4 * MIB)
#define ITEM_STREAMS_MAX          16

/* ---- facts and state: small tagged fields ---- */

/* One field: tag, then bytes. Encoded as rd_var tag, rd_blob bytes, in rising tag order. Unknown tags are kept and
 * passed by. */
enum fact_tag {
	FACT_SIZE = 1,      /* u64 LE: bytes of the primary stream */
	FACT_TIME = 2,      /* i64 LE ns since 1970: file mtime, INTERNALDATE */
	FACT_ZONE = 3,      /* i16 LE minutes, where the source has one */
	FACT_KIND = 4,      /* u8 item_kind, when it differs from the collection's */
	FACT_ANCHOR = 5,    /* 16 bytes, put by the engine */
	FACT_OBJECT = 6,    /* the provider's own object id */
	FACT_MBOX_FROM = 7, /* the whole "From " line with its line end */
	FACT_MBOX_TAIL = 8, /* what separated it from the next message (usually one line end) */
	FACT_MODE = 9       /* u16 LE: permission bits of a file */
};
enum state_tag {
	STATE_FLAGS = 1, /* flags as the source writes them: Maildir "FS", IMAP "\\Seen \\Flagged" … */
	STATE_PLACE = 2, /* u8: Maildir 0 = new, 1 = cur */
	STATE_VERSION =
	        3, /* etag; for files inode, mtime, ctime and size: when it changes, the item is fetched again */
	STATE_POSITION = 4, /* u64 LE: ordinal in an mbox */
	STATE_SUFFIX = 5,   /* Maildir: everything from the ':' (or other separator) on, raw */
	STATE_HREF = 6, /* DAV: the last segment of the href as the server writes it, where the key is not the same */
	STATE_SCHEDULE = 7 /* DAV: the Schedule-Tag */
};
/* Finds one field; false when it is absent or FIELDS is damaged. */
bool fields_get(struct span fields, uint32_t tag, struct span *out);
bool fields_get_u64(struct span fields, uint32_t tag, uint64_t *out); /* 1..8 bytes LE */
/* Appends a field; the caller keeps tags rising. */
MUST_CHECK enum err_code fields_add(struct buf *fields, uint32_t tag, struct span value, struct err *e);
MUST_CHECK enum err_code fields_add_u64(struct buf *fields, uint32_t tag, uint64_t value, size_t bytes, struct err *e);
/* True when FIELDS is well formed: rising tags, no bytes left over. */
bool fields_check(struct span fields);

/* ---- summaries: what ls and find show without opening a body ---- */

enum summary_tag {
	SUMMARY_DATE = 1,       /* i64 LE ms: Date, DTSTART, DUE */
	SUMMARY_ZONE = 2,       /* i16 LE minutes */
	SUMMARY_TITLE = 3,      /* subject, SUMMARY, FN, script name */
	SUMMARY_FROM = 4,       /* sender, organizer */
	SUMMARY_TO = 5,         /* To, Cc, Bcc or attendees, comma-separated, cut at 1 KiB */
	SUMMARY_MESSAGE_ID = 6, /* Message-ID or UID, without <> */
	SUMMARY_FILES = 7,      /* attachment names, each followed by a NUL, cut at 1 KiB */
	SUMMARY_END = 8,        /* i64 LE ms: DTEND, COMPLETED */
	SUMMARY_PLACE = 9,      /* LOCATION */
	SUMMARY_CONTACT = 10,   /* addresses and numbers of a contact, comma-separated */
	SUMMARY_KIND = 11,      /* u8 item_kind of this item */
	SUMMARY_TO_COUNT = 12   /* u32 LE, when SUMMARY_TO was cut */
};
#define SUMMARY_BYTES_MAX (4 * KIB)
/*
 * Appends the summary of an item (fields as above, in rising tag order) to OUT. HEAD is the start of the primary
 * stream (all of it, or at least its header block); TEXT is what of the body is not base64 (for file names), it may
 * equal HEAD. Never fails for odd content: what cannot be read is left out.
 */
MUST_CHECK enum err_code summary_make(enum item_kind kind, struct span head, struct span text, struct buf *out,
                                      struct err *e);
/* The kind of a file by its content and name: VCALENDAR with VEVENT or VTODO, VCARD, Sieve, mail. */
enum item_kind item_kind_guess(struct span name, struct span head);

/* ---- sources ---- */

struct attribute {
	struct span name; /* "maildir:subscriptions"; namespaced */
	struct span value;
};

struct collection {
	struct span path; /* '/'-separated for display; raw bytes; the root of a Maildir is "INBOX" */
	enum item_kind kind;
	enum collection_role role;
	const struct attribute *attributes;
	size_t attribute_count;
};

/* Reports what could not be read; the run goes on. WHAT names it in printable form. */
typedef void (*item_report)(void *ctx, const char *what, const struct err *why);

/* One line of a listing. Spans are borrowed until the listing is freed. */
struct item_entry {
	struct span key;
	struct span state; /* encoded fields */
	uint64_t place;    /* the source's own handle for fetch, good while the listing lives */
};

/*
 * Takes an item's bytes. The source calls space() for room, fills it, and add()s what it wrote; stream() first,
 * once per stream. The first stream is the primary one; its name is empty, whatever the source, so that the same item
 * from two worlds is stored once; all others have names. Any error ends the fetch with that error.
 */
struct item_receiver {
	void *ctx;
	enum err_code (*stream)(void *ctx, struct span name, uint64_t bytes_expected, struct err *e);
	enum err_code (*space)(void *ctx, size_t wanted, uint8_t **dst, size_t *got, struct err *e);
	enum err_code (*add)(void *ctx, size_t written, struct err *e);
};

/* Gives R all of BYTES, in as many pieces as it has room for. */
MUST_CHECK enum err_code item_give(const struct item_receiver *r, struct span bytes, struct err *e);

/* What was kept of a collection the last time: EACH gives its keys and states, in key order, until GOT fails. */
struct item_known {
	void *ctx;
	enum err_code (*each)(void *ctx,
	                      enum err_code (*got)(void *to, struct span key, struct span state, struct err *e),
	                      void *to, struct err *e);
};

struct item_source;
struct item_listing;

struct item_source_ops {
	/* Fills the collections of the source in path order; the array and all spans live until the source is freed. */
	enum err_code (*collections)(struct item_source *s, const struct collection **out, size_t *count,
	                             struct err *e);
	/*
	 * Lists collection number C in key order. CURSOR is what the last snapshot saved (empty the first time). When
	 * the source can tell from it that nothing changed, *OUT is NULL. Else NEW_CURSOR (cleared before) gets what
	 * to save with this snapshot; it was taken before the listing was read, so that a later change is seen.
	 */
	enum err_code (*list)(struct item_source *s, size_t c, struct span cursor, bool rescan,
	                      struct item_listing **out, struct buf *new_cursor, struct err *e);
	/*
	 * May be NULL. As list without RESCAN, for a source that is told only what changed since CURSOR: what else there is it
	 * learns from KNOWN, which is of the snapshot that saved CURSOR. The listing holds everything nevertheless.
	 */
	enum err_code (*list_since)(struct item_source *s, size_t c, struct span cursor, const struct item_known *known,
	                            struct item_listing **out, struct buf *new_cursor, struct err *e);
	size_t (*listing_count)(const struct item_listing *l);
	void (*listing_get)(const struct item_listing *l, size_t i, struct item_entry *out);
	void (*listing_free)(struct item_listing **l);
	/*
	 * May be NULL. Appends what the listing itself tells of an item, as fields: FACT_SIZE, FACT_TIME, FACT_ZONE,
	 * FACT_OBJECT, as far as it does. Who has an item with the same object and size need not fetch it; who has one with
	 * the same size and time may look at its head first.
	 */
	enum err_code (*facts)(const struct item_listing *l, uint64_t place, struct buf *facts, struct err *e);
	/* May be NULL. Replaces OUT by the header block of a mail, up to and with its empty line. Else as fetch. */
	enum err_code (*head)(struct item_source *s, size_t c, const struct item_listing *l, uint64_t place,
	                      struct buf *out, struct err *e);
	/*
	 * May be NULL. Tells which PLACES of L will be fetched (HEADS: whose head will be asked for), each once, in key order
	 * over all calls, so that a source far away can send for them meanwhile. Told by the thread that lists, before the
	 * first of them is fetched; not all of them need be. They are forgotten with the next list().
	 */
	enum err_code (*ahead)(struct item_source *s, size_t c, const struct item_listing *l, const uint64_t *places,
	                       size_t count, bool heads, struct err *e);
	/*
	 * May be NULL. Tells that collection C will be listed next, with CURSOR, by list_since (CHANGES) or by list without rescan, so
	 * that a source far away can look at it meanwhile. BODIES: nothing was kept of the account before, so that whatever has
	 * no FACT_OBJECT will be fetched. Told by the thread that lists, while another collection is at hand. False: nothing changed
	 * in C, as list would tell; another one may be expected.
	 */
	bool (*expect)(struct item_source *s, size_t c, struct span cursor, bool changes, bool bodies);
	/*
	 * Reads one item: its streams go to TO, its facts (encoded fields, without the anchor) are appended to FACTS.
	 * ERR_VANISHED when it is gone; it is then not part of this snapshot. Thread-safe when parallel_fetch.
	 */
	enum err_code (*fetch)(struct item_source *s, size_t c, const struct item_listing *l, uint64_t place,
	                       const struct item_receiver *to, struct buf *facts, struct err *e);
	void (*free)(struct item_source **s);
};

/* A connector's source begins with this. */
struct item_source {
	const struct item_source_ops *ops;
	const char *world;   /* "maildir", "mbox", "files" */
	bool parallel_fetch; /* fetch may be called from several threads */
	bool keys_immutable; /* an item's bytes never change under one key (Maildir) */
	item_report report;  /* set by the caller before the first call; may be called from fetch's threads */
	void *report_ctx;
};

/* ---- sinks ---- */

/* An item to write. SIZE is the length of the primary stream. Borrowed for the call. */
struct item_out {
	struct span key;
	struct span facts;
	struct span state;
	enum item_kind kind;
	uint64_t bytes;
	struct span summary; /* fields, where the sink wants_summaries and there is one */
	uint64_t ticket;     /* the caller's name for it, told back by settled() */
};

/* Gives the primary stream piece by piece from the start; called again after rewind(). *PIECE empty at the end. */
struct item_body {
	void *ctx;
	enum err_code (*next)(void *ctx, struct span *piece, struct err *e);
	enum err_code (*rewind)(void *ctx, struct err *e);
};

enum sink_collision { SINK_SKIP = 0, SINK_COPY = 1, SINK_REPLACE = 2 };
enum sink_verdict {
	SINK_PUT = 0,     /* would be, or was, written */
	SINK_PRESENT = 1, /* the very same item is there already */
	SINK_CLASH = 2,   /* something else has its place and collision is skip */
	SINK_RENAMED = 3, /* written under another name, told in NOTE */
	SINK_LATER = 4,   /* taken; settled() will tell */
	SINK_MISSING = 5  /* not there, and only what is there was to be touched */
};

/* What of an item is at its target not as it was here. Bits. */
enum sink_change {
	SINK_LINE_ENDS = 1 << 0,  /* LF became CRLF, as the target's protocol wants it */
	SINK_MENDED = 1 << 1,     /* bytes that the target refuses were replaced, as asked */
	SINK_FLAGS_LOST = 1 << 2, /* the target keeps no such keywords */
	SINK_FLAGS_SET = 1 << 3,  /* it was there; its flags were made those of the item */
	SINK_ELSEWHERE = 1 << 4   /* it was there in another collection, which NOTE names */
};

/* How it ended for an item that was taken with SINK_LATER. */
struct item_outcome {
	uint64_t ticket;
	enum sink_verdict verdict;
	unsigned changes;         /* enum sink_change */
	const char *note;         /* what was changed, for people; "" */
	const struct err *failed; /* NULL: it worked */
};

/* What reading back found. */
struct sink_check {
	uint64_t items, bodies; /* looked at: size, flags and date; and every byte */
	uint64_t differ;        /* told by report */
	uint64_t altered;       /* bodies: the same but for line ends or a last one, as some servers have it */
};

/* Told of something that is at a target, with its summary where that was asked for. KEY is the target's own name for it. */
typedef enum err_code (*item_other)(void *ctx, const struct item_out *item, struct err *e);

struct item_sink;
struct item_sink_ops {
	/* True when the place holds anything already. */
	enum err_code (*occupied)(struct item_sink *s, bool *out, struct err *e);
	/* Makes collection C (or finds it) with its attributes and gives a handle for put. With PLAN, changes nothing.
	 */
	enum err_code (*collection)(struct item_sink *s, const struct collection *c, bool plan, size_t *handle,
	                            struct err *e);
	/*
	 * Decides where ITEM goes. TARGET (appended) is its place as a person would write it.
	 * Called in key order per collection; mbox needs position order, see needs_position_order.
	 */
	enum err_code (*decide)(struct item_sink *s, size_t handle, const struct item_out *item,
	                        enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
	                        struct err *e);
	/* Writes ITEM as decided, reads it back and compares. VERDICT as above. */
	enum err_code (*put)(struct item_sink *s, size_t handle, const struct item_out *item,
	                     const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
	                     struct err *e);
	/* May be NULL. Appends where collection HANDLE goes, as a person would write it, and why there. */
	enum err_code (*describe)(struct item_sink *s, size_t handle, struct buf *out, struct err *e);
	/* Ends a collection: folder times, tails; whatever was taken for it is settled. */
	enum err_code (*collection_done)(struct item_sink *s, size_t handle, struct err *e);
	/* Makes everything durable. */
	enum err_code (*finish)(struct item_sink *s, struct err *e);
	/* May be NULL: reading back is part of put. */
	void (*checked)(const struct item_sink *s, struct sink_check *out);
	/*
	 * Comparing: all five or none, and only where everything was a plan. First all collections are made and their items
	 * decided; then come what is unclaimed, what lies elsewhere, and what is there besides.
	 */
	/* Of the item that decide() found there last: true when it has other flags. Both good until the next decide(). */
	bool (*other_flags)(const struct item_sink *s, struct span *there, struct span *wanted);
	/* Whether HANDLE is there, or would have to be made. */
	bool (*exists)(const struct item_sink *s, size_t handle);
	/* A handle for a place of the target that no collection went to, with its name appended to PATH; false: no more. */
	enum err_code (*unclaimed)(struct item_sink *s, bool *found, struct buf *path, size_t *handle, struct err *e);
	/* Finds ITEM, which is not in HANDLE, in another place: *WHERE is that one's handle. It answers for no other item then. */
	enum err_code (*elsewhere)(struct item_sink *s, size_t handle, const struct item_out *item, bool *found,
	                           size_t *where, struct err *e);
	/* Tells what is in HANDLE and was no item so far; each once. */
	enum err_code (*others)(struct item_sink *s, size_t handle, bool summaries, item_other visit, void *ctx,
	                        struct err *e);
	void (*free)(struct item_sink **s);
};

/* One thread at a time. */
struct item_sink {
	const struct item_sink_ops *ops;
	const char *world;
	bool needs_position_order; /* items of a collection must come in STATE_POSITION order, one at a time */
	bool wants_summaries;
	bool batches;             /* put may say SINK_LATER */
	bool refuses_collections; /* one collection may fail and the others go on */
	bool sets_flags;          /* what is there gets the flags of its item: a plan tells which would change */
	bool gone;                /* set by the sink with a failure: it can take nothing more, whatever comes */
	item_report report;
	void *report_ctx;
	/* Of a sink that puts several at once: set by the caller before the first put. Called once for each SINK_LATER, in any
	 * order, by the thread that puts. */
	void (*settled)(void *ctx, const struct item_outcome *o);
	void *settled_ctx;
};

#endif
