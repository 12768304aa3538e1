/* draft: an object that grows in pieces and has no name until it is whole. */
#include "store_internal.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Small pieces (headers, id lists) gather here; a piece of half this size or more goes out directly. */
#define GATHER_BYTES (64 * KIB)
#define HINT_UNIT    4096

struct store_draft {
	struct store *store;
	struct fresh fresh;
	uint64_t written; /* bytes that the file holds */
	uint64_t hinted;  /* bytes whose writing back was started, a multiple of HINT_UNIT */
	bool broken;      /* a write failed: its place is unknown, so nothing more may follow */
	size_t gathered;
	uint8_t gather[GATHER_BYTES];
};

enum err_code store_draft_open(struct store *s, struct store_draft **out, struct err *e)
{
	struct store_draft *d = mem_alloc(sizeof *d);
	enum err_code rc;

	if (!d)
		return err_no_memory(e, sizeof *d);
	d->store = s; /* field by field: the gathering room needs no zeros */
	d->fresh = FRESH_NONE;
	d->written = d->hinted = 0;
	d->broken = false;
	d->gathered = 0;
	rc = fresh_open(s, &d->fresh, e);
	if (rc) {
		mem_free(d);
		return rc;
	}
	*out = d;
	return ERR_OK;
}

/* Writes what was gathered and then BYTES, in one call as a rule. */
static enum err_code flush(struct store_draft *d, struct span bytes, struct err *e)
{
	struct span gathered = span_of(d->gather, d->gathered);

	while (gathered.len || bytes.len) {
		struct iovec parts[2] = { { (void *)(uintptr_t)gathered.ptr, gathered.len },
			                  { (void *)(uintptr_t)bytes.ptr, bytes.len } };
		ssize_t n = writev(d->fresh.fd, gathered.len ? parts : parts + 1, gathered.len ? 2 : 1);
		size_t first;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			d->broken = true;
			return write_failed(d->store, errno, "write to", NULL, e);
		}
		d->written += (uint64_t)n;
		first = (size_t)n < gathered.len ? (size_t)n : gathered.len;
		gathered = span_skip(gathered, first);
		bytes = span_skip(bytes, (size_t)n - first);
	}
	d->gathered = 0;
	return ERR_OK;
}

enum err_code store_draft_write(struct store_draft *d, struct span bytes, struct err *e)
{
	if (d->broken)
		return err_set(e, ERR_STATE, "an earlier write of this object failed");
	if (bytes.len >= GATHER_BYTES / 2 || bytes.len > GATHER_BYTES - d->gathered)
		return flush(d, bytes, e);
	if (bytes.len)
		memcpy(d->gather + d->gathered, bytes.ptr, bytes.len);
	d->gathered += bytes.len;
	return ERR_OK;
}

void store_draft_hint(struct store_draft *d)
{
	uint64_t whole = d->written / HINT_UNIT * HINT_UNIT; /* the last page would be written twice */

	if (whole <= d->hinted)
		return;
	/* Only a hint: commit's fsync is what counts, and it reports what went wrong. */
	(void)sync_file_range(d->fresh.fd, (off_t)d->hinted, (off_t)(whole - d->hinted), SYNC_FILE_RANGE_WRITE);
	d->hinted = whole;
}

enum err_code store_draft_commit(struct store_draft **d, const char *name, struct err *e)
{
	enum err_code rc = name_check(name, e);

	if (!rc && (*d)->broken)
		rc = err_set(e, ERR_STATE, "an earlier write of this object failed");
	if (!rc)
		rc = flush(*d, SPAN_EMPTY, e);
	if (!rc)
		rc = fresh_commit((*d)->store, &(*d)->fresh, name, e);
	store_draft_free(d);
	return rc;
}

enum err_code store_draft_put_back(struct store_draft **d, const char *name, char *kept, struct err *e)
{
	struct store *s = (*d)->store;
	enum err_code rc = name_check(name, e);

	if (!rc && (*d)->broken)
		rc = err_set(e, ERR_STATE, "an earlier write of this object failed");
	if (!rc)
		rc = flush(*d, SPAN_EMPTY, e);
	if (!rc && kept)
		rc = keep_damaged(s, name, kept, e);
	if (!rc)
		rc = fresh_replace(s, &(*d)->fresh, name, e);
	/* Also after a failure: what stands there is not known then. */
	fd_cache_drop(&s->fds, name);
	store_draft_free(d);
	return rc;
}

void store_draft_free(struct store_draft **d)
{
	if (!*d)
		return;
	fresh_close((*d)->store, &(*d)->fresh);
	mem_free(*d);
	*d = NULL;
}
