/*
 * journal: what restores have put into an account, so that the next run finds it again whatever the server made of it, and so that
 * exactly this can be taken away again. A text file to which lines are added:
 *   mailhold imap journal 1
 *   folder N NAME                            its raw name, percent-encoded
 *   made N                                   we made that folder
 *   send K N VALIDITY UIDNEXT ID DATE CONTENT  message K is about to be sent to folder N; on the disk before it is
 *   put K UID                                it arrived
 *   refused K
 * A line that was cut by a crash ends the file. Losing it loses nothing but undo, and some bytes that have to be compared.
 * Thread   one at a time; two processes cannot have one open (ERR_BUSY).
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_JOURNAL_H
#define MAILHOLD_CONNECTOR_IMAP_JOURNAL_H

#include "there.h"

#define JOURNAL_BYTES_MAX ((size_t)1 << 32)

struct journal_mail {
	uint32_t folder, uid_validity, uid_next;
	uint32_t uid; /* 0: nobody told whether it arrived */
	bool refused;
	uint64_t id;
	int64_t date_s;
	uint8_t content[16];
};

struct journal_folder {
	struct buf raw;
	bool made;
};

struct journal {
	char *path; /* NULL: none is kept */
	int fd;
	struct buf mails; /* struct journal_mail; number K is at K */
	struct journal_folder *folders;
	size_t folder_count, folder_cap;
	struct buf lines; /* not written yet */
	int64_t left_ms;  /* when an earlier run wrote last; 0: there was none */
};

/* Opens or makes PATH, and reads what earlier runs left. PATH NULL: nothing is kept. */
MUST_CHECK enum err_code journal_open(const char *path, struct journal *out, struct err *e);
void journal_release(struct journal *j);
/* Closes it and removes the file. */
MUST_CHECK enum err_code journal_remove(struct journal *j, struct err *e);

static inline size_t journal_count(const struct journal *j)
{
	return j->mails.len / sizeof(struct journal_mail);
}
static inline struct journal_mail *journal_at(const struct journal *j, size_t k)
{
	return (struct journal_mail *)(void *)j->mails.ptr + k;
}

/* Its number; new ones are noted. */
MUST_CHECK enum err_code journal_folder(struct journal *j, struct span raw, uint32_t *number, struct err *e);
MUST_CHECK enum err_code journal_made(struct journal *j, struct span raw, struct err *e);
/* Notes M; *NUMBER names it. It is on the disk after journal_sync. */
MUST_CHECK enum err_code journal_send(struct journal *j, const struct journal_mail *m, uint32_t *number, struct err *e);
MUST_CHECK enum err_code journal_put(struct journal *j, uint32_t number, uint32_t uid, struct err *e);
MUST_CHECK enum err_code journal_refused(struct journal *j, uint32_t number, struct err *e);
/* Writes what was noted, durably. */
MUST_CHECK enum err_code journal_sync(struct journal *j, struct err *e);

/*
 * Tells T, the listing of folder RAW, what of it is ours: its content is known then. A message of which nobody told whether it
 * arrived is the one that came since with the same Message-ID and date; *MISSING (may be NULL) counts those that did not.
 */
MUST_CHECK enum err_code journal_recognise(struct journal *j, struct span raw, uint32_t uid_validity, struct there *t,
                                           size_t *missing, struct err *e);

#endif
