/*
 * outbox_internal: what the outbox's own files share.
 *   outbox.c          batches: filled, sent, narrowed down when something is refused
 *   outbox_seek.c     is it there already?
 *   outbox_send.c     commands, and their answers
 *   outbox_settle.c   what became of each mail
 *   outbox_lost.c     after a broken connection: what arrived?
 * A mail goes through stages: it is compared with what looks like it in the folder, or put; sent under a tag; settled. One batch
 * fills while another is on its way. When all goes well nobody waits for the answer to a batch before the next one is sent.
 * As soon as something does not, both batches are brought to their end one command at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_OUTBOX_INTERNAL_H
#define MAILHOLD_CONNECTOR_IMAP_OUTBOX_INTERNAL_H

#include "outbox.h"

enum stage {
	STAGE_LOOK = 1, /* what it may be in the folder is to be found */
	STAGE_COMPARE,  /* with its candidate */
	STAGE_STORE,    /* it is its candidate, which gets its flags */
	STAGE_PUT,      /* to be sent */
	STAGE_SENT,     /* under its tag */
	STAGE_SETTLED
};

struct mail {
	uint64_t ticket;
	struct mail_print print;
	int64_t date_s;
	size_t flags, flags_bytes, key, key_bytes, note; /* in texts */
	size_t body, body_bytes;                         /* in bodies */
	const struct item_body *stream;
	bool converts, has_nul;
	bool may_mend, mends;           /* MENDS: it is sent as the mended copy, which PRINT and BODY are of now */
	struct mail_print mended_print; /* while it MAY_MEND */
	size_t mended_body, mended_bytes, mended_note;
	int16_t zone_minutes;
	unsigned changes;
	struct there_one *candidate; /* while it is compared or stored */
	enum stage stage;
	unsigned tag;
	uint32_t number; /* in the journal, once NOTED */
	bool noted;
};

struct batch {
	struct buf bodies, texts;
	struct mail mails[OUTBOX_BATCH_ITEMS];
	size_t count;
	uint32_t uid_next;  /* what was sent for this batch has at least this UID */
	struct err refusal; /* of what was refused last */
};

struct outbox {
	struct outbox_options o;
	struct outbox_folder *folder;
	struct batch *batches; /* two */
	unsigned filling;
	bool flying; /* the other one was sent */
	struct buf staging;
	struct err failure; /* set: nothing more goes */
};

static inline struct imap_client *outbox_client(const struct outbox *o)
{
	return o->o.line->client;
}

static inline struct span batch_text(const struct batch *b, size_t at, size_t bytes)
{
	return bytes ? span_of(b->texts.ptr + at, bytes) : SPAN_EMPTY;
}

static inline bool batch_has(const struct batch *b, enum stage stage)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->mails[i].stage == stage)
			return true;
	return false;
}

/* ---- outbox_settle.c ---- */

/* Tells what became of M; FAILED may be NULL. */
void outbox_tell(struct outbox *o, const struct batch *b, struct mail *m, enum sink_verdict verdict,
                 const struct err *failed);
/* M arrived, under UID (0: not told). */
MUST_CHECK enum err_code outbox_settle_put(struct outbox *o, const struct batch *b, struct mail *m, uint32_t uid,
                                           struct err *e);
/* M is its candidate. */
MUST_CHECK enum err_code outbox_settle_present(struct outbox *o, const struct batch *b, struct mail *m, struct err *e);

/* ---- outbox_seek.c ---- */

/*
 * Looks for the message that M is, or may be. What has been read is known; what has not is asked for, by one mail at a time: who
 * meets one that another has asked for stays in STAGE_LOOK.
 */
MUST_CHECK enum err_code outbox_seek(struct outbox *o, struct batch *b, struct mail *m, struct err *e);
/* Until every mail of the filling batch is settled or to be put. */
MUST_CHECK enum err_code outbox_compare_all(struct outbox *o, struct err *e);

/* ---- outbox_send.c ---- */

/* M's bytes need not wait for the server's word. */
bool outbox_at_once(const struct outbox *o, const struct mail *m);
/* Sends those of FROM to TO that are to be put, in one command or, where the server has no MULTIAPPEND, in one for each. */
MUST_CHECK enum err_code outbox_send(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e);
/* Until nothing of B is on its way. */
MUST_CHECK enum err_code outbox_collect(struct outbox *o, struct batch *b, struct err *e);

/* ---- outbox_lost.c ---- */

/*
 * Looks into the folder for what arrived. When GRACE_MS is not 0 and something did not, it looks again until then: the server may still
 * be at a command that it got whole before the connection went.
 */
MUST_CHECK enum err_code outbox_look_for_landed(struct outbox *o, int64_t grace_ms, struct err *e);
/* After failure E: a connection again, and every mail settled, to be put, or to be looked for. */
MUST_CHECK enum err_code outbox_recover(struct outbox *o, struct err *e);

/* ---- outbox.c ---- */

/* After trouble RC, or with none: what is on its way is settled, the other batch is empty, nothing flies. */
MUST_CHECK enum err_code outbox_settle_both(struct outbox *o, enum err_code rc, struct err *e);

#endif
