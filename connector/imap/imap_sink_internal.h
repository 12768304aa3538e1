/*
 * imap_sink_internal: what the sink's own files share.
 *   imap_sink.c      folders, plans, putting
 *   sink_words.c     flags and dates as IMAP has them
 *   sink_compare.c   what an account has besides the items of a plan
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_IMAP_SINK_INTERNAL_H
#define MAILHOLD_CONNECTOR_IMAP_IMAP_SINK_INTERNAL_H

#include "imap_sink.h"
#include "outbox.h"
#include "target_folder.h"

struct sink_folder {
	struct outbox_folder box;
	struct target_folder target;
	struct buf keywords; /* of a Maildir of Dovecot's: "0 $Label\n1 Junk\n" */
	bool listed;         /* what is there is known */
};

struct imap_sink {
	struct item_sink base;
	struct imap_login login;
	struct sink_line line;
	struct target_names names;
	bool has_names;
	struct outbox *outbox;
	struct journal journal;
	struct sink_folder **folders;
	size_t count, cap;
	char *strings[4]; /* host, port, user, file of authorities */
	struct buf password, into;
	bool flags_only, missing_only, mends;
	struct elsewhere *elsewhere; /* with MISSING_ONLY, from the first collection on */
	unsigned verify_percent;
	struct sink_check check;
	/* scratch for one item */
	struct buf body, converted, flags, mended, mended_note;
	bool flags_lost;
	struct span flags_there; /* of the item that was decided last and is there; FLAGS are its own */
	bool flags_differ;
};

static inline struct imap_sink *imap_sink_own(struct item_sink *s)
{
	return (struct imap_sink *)(void *)s;
}

/* Says CALL again as long as that may help. What is lost with a connection makes the sink useless. */
#define AGAIN(s, rc, call)                                                                                             \
	do {                                                                                                           \
		(rc) = (call);                                                                                         \
	} while ((rc) && imap_sink_again((s), &(rc), e))

bool imap_sink_again(struct imap_sink *s, enum err_code *rc, struct err *e);

/* ---- imap_sink.c ---- */

void imap_sink_folder_free(struct sink_folder *f);
/* Makes and opens F; with PLAN only lists it, if it is there. */
MUST_CHECK enum err_code imap_sink_need_folder(struct imap_sink *s, struct sink_folder *f, bool plan, struct err *e);
/* F is the sink's from now on. */
MUST_CHECK enum err_code imap_sink_add_folder(struct imap_sink *s, struct sink_folder *f, size_t *handle,
                                              struct err *e);
/* What ITEM, of which nothing but its facts and its summary is at hand, may be called there. */
struct there_wish imap_sink_wish(const struct item_out *item);

/* ---- sink_words.c ---- */

/* ITEM's flags into S->flags: in memcmp order with a space between; S->flags_lost: F cannot keep them all. */
MUST_CHECK enum err_code imap_sink_flags(struct imap_sink *s, const struct sink_folder *f, const struct item_out *item,
                                         struct err *e);
/* When it was received; where its source had no such time (an mbox), what its Date field says. THERE_NO_DATE: never. */
int64_t imap_sink_date(const struct item_out *item, struct span head, int64_t header_ms, int16_t *zone);

/* ---- sink_compare.c: see struct item_sink_ops ---- */

bool imap_sink_other_flags(const struct item_sink *s, struct span *there, struct span *wanted);
bool imap_sink_exists(const struct item_sink *s, size_t handle);
MUST_CHECK enum err_code imap_sink_unclaimed(struct item_sink *s, bool *found, struct buf *path, size_t *handle,
                                             struct err *e);
MUST_CHECK enum err_code imap_sink_elsewhere(struct item_sink *s, size_t handle, const struct item_out *item,
                                             bool *found, size_t *where, struct err *e);
MUST_CHECK enum err_code imap_sink_others(struct item_sink *s, size_t handle, bool summaries, item_other visit,
                                          void *ctx, struct err *e);

#endif
