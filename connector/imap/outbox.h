/*
 * outbox: messages on their way into folders of an account, several in one command (MULTIAPPEND, RFC 3502) and a command on its way
 * while the next is filled, as far as the server lets. Whatever becomes of the connection, each message ends once in its folder:
 * an item that looks like a message that is there is compared with it and not put; before a command is sent, its messages are
 * in the journal; after a lost answer the folder is asked what arrived.
 * Memory   two batches of OUTBOX_BATCH_BYTES, and some 120 bytes for each message put or found, for reading back.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_OUTBOX_H
#define MAILHOLD_CONNECTOR_IMAP_OUTBOX_H

#include "item/item.h"
#include "elsewhere.h"
#include "sink_line.h"
#include "journal.h"

#define OUTBOX_BATCH_BYTES (4 * MIB)
#define OUTBOX_BATCH_ITEMS 256
#define OUTBOX_WHOLE_MAX   (2 * MIB) /* larger ones are streams: they go alone, and are never held whole */

/* A message of ours in the folder. */
struct placed {
	uint32_t uid;                                /* 0: not told */
	uint32_t flags, flags_bytes, key, key_bytes; /* in texts */
	bool was_there, noted;
	uint32_t number; /* in the journal, when NOTED */
	int64_t date_s;  /* THERE_NO_DATE: none was given */
	struct mail_print print;
};

/* A folder that is written to. */
struct outbox_folder {
	struct buf raw; /* its name as the server writes it */
	uint32_t uid_validity, uid_next;
	bool any_keyword;     /* PERMANENTFLAGS has \* */
	struct buf permanent; /* what it has else */
	struct there there;
	struct buf placed, texts; /* struct placed; flags and keys */
	struct span last_flags;   /* place in texts, for the next that has the same */
};

/* A message to be put. Spans are borrowed for the call. */
struct outbox_mail {
	uint64_t ticket;
	struct span key;
	struct mail_print print; /* of what is sent */
	int64_t date_s;
	int16_t zone_minutes;
	struct span flags; /* a space between */
	unsigned changes;
	const char *note;
	struct span body; /* whole; empty: STREAM gives it */
	const struct item_body *stream;
	bool converts; /* the stream's line ends become CRLF */
	bool has_nul;
	/* What may be sent when the server refuses it, or may be there of an earlier run; not there when MENDED_NOTE is NULL. */
	const char *mended_note;        /* what was mended, for people */
	struct mail_print mended_print; /* its ID, too */
	struct span mended_body;        /* empty: the stream is mended as it is sent */
};

struct outbox;
struct outbox_options {
	struct sink_line *line;
	struct item_sink *sink; /* told of outcomes by settled */
	struct journal *journal;
	bool flags_only;              /* nothing is put; those that are there get the item's flags */
	struct elsewhere **elsewhere; /* *ELSEWHERE not NULL: what is in another folder is not put, either */
};
MUST_CHECK enum err_code outbox_open(const struct outbox_options *o, struct outbox **out, struct err *e);
void outbox_free(struct outbox **o);
/*
 * Takes M for folder F, which stays until outbox_end. What becomes of it is told later, of a stream before this returns. One
 * folder at a time. An error is the connection's, and then nothing more can be put; or ERR_NO_SPACE: the mailbox is full.
 */
MUST_CHECK enum err_code outbox_put(struct outbox *o, struct outbox_folder *f, const struct outbox_mail *m,
                                    struct err *e);
/* Waits until everything is settled. */
MUST_CHECK enum err_code outbox_end(struct outbox *o, struct err *e);
/* Lists the open folder F from UID FROM on; what was placed is taken there, and has its uid where it can be told (then J notes it). */
MUST_CHECK enum err_code outbox_look_back(struct imap_client *c, struct outbox_folder *f, uint32_t from,
                                          struct journal *j, struct err *e);

static inline size_t placed_count(const struct outbox_folder *f)
{
	return f->placed.len / sizeof(struct placed);
}
static inline struct placed *placed_at(const struct outbox_folder *f, size_t i)
{
	return (struct placed *)(void *)f->placed.ptr + i;
}
void outbox_folder_release(struct outbox_folder *f);

#endif
