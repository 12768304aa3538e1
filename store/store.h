/*
 * store: where a repository's objects lie: a folder, a bucket, or an account that SSH reaches (docs/stores.md). A store sees names and opaque
 * bytes, nothing else.
 * Names    '/'-separated, each part 1..100 bytes of [a-z0-9._-], not starting with '.'; at most 255 bytes.
 * Rule A   create is all or nothing; of all creators of a name, ever, exactly one wins; a read that starts after
 *          an acknowledged create sees it. A listing is a hint: nothing follows from what it lacks.
 * Order    docs/order.md. An acknowledged create is durable (file and folder synced).
 * Thread   every function but open and free may be called from several threads at once. A store_draft belongs to
 *          one thread at a time.
 */
#ifndef MAILHOLD_STORE_STORE_H
#define MAILHOLD_STORE_STORE_H

#include <signal.h>

#include "base/buf.h"

struct store;

#define STORE_NAME_MAX 255

/*
 * Opens the store at URL: a path, "file:" and a path, sftp://[USER@]HOST[:PORT]/PATH, s3://BUCKET/PREFIX or s3+https://HOST[:PORT]/BUCKET/PREFIX. ERR_NO_REPOSITORY when there is no such
 * folder, ERR_UNSUPPORTED for another "scheme://". A killed run can leave a file in tmp/ (a folder without O_TMPFILE, SFTP);
 * nothing here removes it, for another process may be about to name it (docs/format/repository.md).
 */
MUST_CHECK enum err_code store_open(const char *url, struct store **out, struct err *e);
/*
 * Makes the folder if need be (0700). An existing empty folder (lost+found and tmp/ aside) is fine;
 * ERR_EXISTS when it holds anything.
 */
MUST_CHECK enum err_code store_create(const char *url, struct store **out, struct err *e);
void store_free(struct store **s);
/*
 * From now on, calls to a store that is far away are made again for some minutes when the line breaks or the server is busy, until
 * FLAG is set: ERR_CANCELLED. Before that, and before the store has answered at all, for some seconds; the first flag given stays. What stands under a name with just the
 * bytes that were put there is ours, whatever was answered: no two creators put the same bytes under one name. Before other threads use the store.
 */
void store_stop_flag(struct store *s, const volatile sig_atomic_t *flag);
/* For messages: the place as the user would type it. Borrowed. */
const char *store_url(const struct store *s);

/* ERR_EXISTS: somebody was first. Durable on success. A failure may still have created it: read to know. */
MUST_CHECK enum err_code store_put(struct store *s, const char *name, struct span bytes, struct err *e);
/* Appends the whole object to OUT; ERR_NOT_FOUND; ERR_LIMIT when it is larger than MAX. */
MUST_CHECK enum err_code store_get(struct store *s, const char *name, size_t max, struct buf *out, struct err *e);
/* Exactly LEN bytes at OFFSET to DST; ERR_CORRUPT when the object is shorter. */
MUST_CHECK enum err_code store_get_range(struct store *s, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                                         struct err *e);
MUST_CHECK enum err_code store_size(struct store *s, const char *name, uint64_t *bytes, struct err *e);
/* A missing object is fine. */
MUST_CHECK enum err_code store_delete(struct store *s, const char *name, struct err *e);
/*
 * Where objects lie in folders: takes FOLDER away if it is empty. Only for when nobody else can be writing into it, as
 * in a repository that was never finished.
 */
void store_drop_empty_folder(struct store *s, const char *folder);
/* Makes an object that was read durable by ourselves (visible is not durable on POSIX). Elsewhere it need not even look. */
MUST_CHECK enum err_code store_sync(struct store *s, const char *name, struct err *e);

/*
 * Calls VISIT for every object below FOLDER ("pack", "ledger", "key"; "" for all), in no order. VISIT stops the walk
 * with an error. Names that are none of ours are left out.
 */
typedef enum err_code (*store_visit)(void *ctx, const char *name, uint64_t bytes, struct err *e);
MUST_CHECK enum err_code store_list(struct store *s, const char *folder, store_visit visit, void *ctx, struct err *e);

/* ---- drafts: a large object written piece by piece, invisible until it gets its name ---- */

struct store_draft;
MUST_CHECK enum err_code store_draft_open(struct store *s, struct store_draft **out, struct err *e);
MUST_CHECK enum err_code store_draft_write(struct store_draft *d, struct span bytes, struct err *e);
/* Starts writing back what was written so far without waiting (sync_file_range), so that commit waits less. */
void store_draft_hint(struct store_draft *d);
/* Makes it durable under NAME and frees the draft, also on failure (*D becomes NULL). ERR_EXISTS as in put. */
MUST_CHECK enum err_code store_draft_commit(struct store_draft **d, const char *name, struct err *e);
void store_draft_free(struct store_draft **d); /* nothing remains */

/*
 * Repair only, the one exception to "never changed": the draft takes the place of the object NAME, at once and durably;
 * there need not be one. The caller sees to it that its bytes are those that NAME had when it was created (or another
 * parity of the same pack). KEPT (STORE_NAME_MAX + 1 bytes, or NULL: do not keep) tells where the object that stood
 * there lies now, "damaged/NAME.XXXXXXXX", durable before it is replaced; it is empty when there was none. Frees the
 * draft, also on failure; until it succeeds NAME is as it was. Readers that hold the old object open go on reading it.
 */
MUST_CHECK enum err_code store_draft_put_back(struct store_draft **d, const char *name, char *kept, struct err *e);

#endif
