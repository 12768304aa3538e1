/*
 * there: what a folder at the target holds already: each message's UID, flags, date, size and the id of its Message-ID; and
 * which of them a message that is to be put may be. What looks the same is the same only if its content says so (mail_print).
 * A message that is there answers for one item only: a folder that has two alike gets two back.
 * Memory   some 64 bytes a message.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_THERE_H
#define MAILHOLD_CONNECTOR_IMAP_THERE_H

#include "client.h"
#include "mail_print.h"

#define THERE_NO_DATE INT64_MIN

enum there_state {
	THERE_FREE = 0,
	THERE_ASKED, /* an item may be this one; its content is to be compared */
	THERE_TAKEN  /* an item is this one */
};

struct there_one {
	uint64_t id; /* mail_id; 0: no Message-ID */
	int64_t date_s;
	uint32_t uid, bytes;
	uint32_t flags, flags_bytes; /* in flags of struct there: sorted, a space between */
	enum there_state state;
	bool known;          /* CONTENT is: it was put by an earlier run, whose journal says so */
	uint8_t content[16]; /* of mail_print */
};

struct there {
	struct buf ones;  /* struct there_one, by id, date and uid */
	struct buf flags; /* each distinct set once */
	struct idmap *flags_by_hash;
};
#define THERE_EMPTY ((struct there){ { .max = (size_t)1 << 36 }, { NULL, 0, 0, 0 }, NULL })
void there_release(struct there *t);
static inline size_t there_count(const struct there *t)
{
	return t->ones.len / sizeof(struct there_one);
}
static inline struct there_one *there_at(const struct there *t, size_t i)
{
	return (struct there_one *)(void *)t->ones.ptr + i;
}
struct span there_flags(const struct there *t, const struct there_one *one);

/*
 * Asks for the messages of the selected folder from UID FROM on and adds them. May be asked for again: what comes twice is
 * there once, with its newer flags, and keeps its state.
 */
MUST_CHECK enum err_code there_load(struct imap_client *c, uint32_t from, struct there *t, struct err *e);

/* As there_load, of a folder that has been open for a while: some servers (Courier) show what came since only when asked for news. */
MUST_CHECK enum err_code there_load_again(struct imap_client *c, uint32_t from, struct there *t, struct err *e);

/* What is asked for: zero or THERE_NO_DATE stands for what is not known. */
struct there_wish {
	uint64_t id;
	int64_t date_s;
	uint64_t bytes;
	uint32_t uid_from; /* none with a lesser uid */
	bool any_size;     /* else those of other size come behind, and only with a Message-ID or when they are known */
};
/*
 * The number TRY (from 0) of the messages that WISH may be, the likeliest first, without those that are taken; NULL when there are no
 * more. With a date, a message of another date is none of them.
 */
struct there_one *there_find(const struct there *t, const struct there_wish *wish, size_t try);

#endif
