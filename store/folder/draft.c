/* draft: an object that grows in pieces and has no name until it is whole. */
#include "folder_internal.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Small pieces (headers, id lists) gather here; a piece of half this size or more goes out directly. */
#define GATHER_BYTES (64 * KIB)
#define HINT_UNIT    4096

struct folder_draft {
	struct store_draft base;
	struct folder *store;
	struct fresh fresh;
	uint64_t written; /* bytes that the file holds */
	uint64_t hinted;  /* bytes whose writing back was started, a multiple of HINT_UNIT */
	bool broken;      /* a write failed: its place is unknown, so nothing more may follow */
	size_t gathered;
	uint8_t gather[GATHER_BYTES];
};

static struct folder_draft *draft_of(struct store_draft *d)
{
	return (struct folder_draft *)d;
}

enum err_code folder_draft_open(struct store *base, struct store_draft **out, struct err *e)
{
	struct folder *s = folder_of(base);
	struct folder_draft *d = mem_alloc(sizeof *d);
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
	*out = &d->base;
	return ERR_OK;
}

/* Writes what was gathered and then BYTES, in one call as a rule. */
static enum err_code flush(struct folder_draft *d, struct span bytes, struct err *e)
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

enum err_code folder_draft_write(struct store_draft *base, struct span bytes, struct err *e)
{
	struct folder_draft *d = draft_of(base);

	if (d->broken)
		return err_set(e, ERR_STATE, "an earlier write of this object failed");
	if (bytes.len >= GATHER_BYTES / 2 || bytes.len > GATHER_BYTES - d->gathered)
		return flush(d, bytes, e);
	if (bytes.len)
		memcpy(d->gather + d->gathered, bytes.ptr, bytes.len);
	d->gathered += bytes.len;
	return ERR_OK;
}

void folder_draft_hint(struct store_draft *base)
{
	struct folder_draft *d = draft_of(base);
	uint64_t whole = d->written / HINT_UNIT * HINT_UNIT; /* the last page would be written twice */

	if (whole <= d->hinted)
		return;
	/* Only a hint: commit's fsync is what counts, and it reports what went wrong. */
	(void)sync_file_range(d->fresh.fd, (off_t)d->hinted, (off_t)(whole - d->hinted), SYNC_FILE_RANGE_WRITE);
	d->hinted = whole;
}

/* What was gathered goes out; ERR_STATE when the file is not what was written. */
static enum err_code finish(struct folder_draft *d, struct err *e)
{
	if (d->broken)
		return err_set(e, ERR_STATE, "an earlier write of this object failed");
	return flush(d, SPAN_EMPTY, e);
}

enum err_code folder_draft_commit(struct store_draft *base, const char *name, struct err *e)
{
	struct folder_draft *d = draft_of(base);
	enum err_code rc = finish(d, e);

	return rc ? rc : fresh_commit(d->store, &d->fresh, name, e);
}

enum err_code folder_draft_put_back(struct store_draft *base, const char *name, char *kept, struct err *e)
{
	struct folder_draft *d = draft_of(base);
	enum err_code rc = finish(d, e);

	if (!rc && kept)
		rc = keep_damaged(d->store, name, kept, e);
	if (!rc)
		rc = fresh_replace(d->store, &d->fresh, name, e);
	/* Also after a failure: what stands there is not known then. */
	fd_cache_drop(&d->store->fds, name);
	return rc;
}

void folder_draft_free(struct store_draft *base)
{
	struct folder_draft *d = draft_of(base);

	fresh_close(d->store, &d->fresh);
	mem_free(d);
}
