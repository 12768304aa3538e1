#include "spool.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Small pieces gather; larger ones go out by themselves. */
#define GATHER_BYTES (64 * KIB)

struct spool {
	int fd;
	bool broken;
	uint64_t size; /* with what is gathered */
	void *mapped;  /* NULL: not */
	size_t gathered;
	uint8_t gather[GATHER_BYTES];
};

static const char *place(void)
{
	const char *folder = getenv("TMPDIR");

	return folder && *folder == '/' ? folder : "/var/tmp";
}

/* O_TMPFILE where there is one; else a name that is taken away at once. */
static int open_nameless(void)
{
	char path[512];
	int fd = open(place(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || strlen(place()) > sizeof path - 32)
		return fd;
	strcpy(path, place());
	strcat(path, "/mailhold-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

enum err_code spool_open(struct spool **out, struct err *e)
{
	struct spool *s = mem_alloc(sizeof *s);

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->broken = false;
	s->mapped = NULL;
	s->size = s->gathered = 0;
	s->fd = open_nameless();
	if (s->fd < 0) {
		mem_free(s);
		return err_sys(e, errno, "cannot create a temporary file in %s (TMPDIR names another folder)", place());
	}
	*out = s;
	return ERR_OK;
}

static enum err_code write_out(struct spool *s, struct span bytes, struct err *e)
{
	enum err_code rc = file_write(s->fd, place(), bytes, e);

	s->broken = rc != ERR_OK;
	return rc;
}

static enum err_code flush(struct spool *s, struct err *e)
{
	enum err_code rc = write_out(s, span_of(s->gather, s->gathered), e);

	s->gathered = 0;
	return rc;
}

enum err_code spool_write(struct spool *s, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (s->broken)
		return err_set(e, ERR_STATE, "an earlier write of this object failed");
	if (bytes.len > GATHER_BYTES - s->gathered)
		rc = flush(s, e);
	if (!rc && bytes.len > GATHER_BYTES / 2) {
		rc = flush(s, e);
		if (!rc)
			rc = write_out(s, bytes, e);
	} else if (!rc && bytes.len) {
		memcpy(s->gather + s->gathered, bytes.ptr, bytes.len);
		s->gathered += bytes.len;
	}
	if (!rc)
		s->size += bytes.len;
	return rc;
}

uint64_t spool_size(const struct spool *s)
{
	return s->size;
}

enum err_code spool_end(struct spool *s, struct err *e)
{
	if (s->broken)
		return err_set(e, ERR_STATE, "an earlier write of this object failed");
	return flush(s, e);
}

enum err_code spool_read(const struct spool *s, uint64_t offset, size_t len, uint8_t *dst, struct err *e)
{
	return file_read_at(s->fd, "a temporary file", offset, dst, len, e);
}

enum err_code spool_map(struct spool *s, struct span *out, struct err *e)
{
	void *at = s->mapped;

	if (!at && s->size) {
		at = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED, s->fd, 0);
		if (at == MAP_FAILED)
			return err_sys(e, errno, "cannot read back a temporary file in %s", place());
		s->mapped = at;
	}
	*out = span_of(at, (size_t)s->size);
	return ERR_OK;
}

void spool_free(struct spool **sp)
{
	if (!*sp)
		return;
	if ((*sp)->mapped)
		munmap((*sp)->mapped, (size_t)(*sp)->size);
	close((*sp)->fd);
	mem_free(*sp);
	*sp = NULL;
}

/* ---- drafts ---- */

static struct spool_draft *draft_of(struct store_draft *d)
{
	return (struct spool_draft *)d;
}

enum err_code spool_draft_open(struct store *s, struct store_draft **out, struct err *e)
{
	struct spool_draft *d = mem_zalloc(1, sizeof *d);
	enum err_code rc;

	(void)s;
	if (!d)
		return err_no_memory(e, sizeof *d);
	rc = spool_open(&d->spool, e);
	if (rc) {
		mem_free(d);
		return rc;
	}
	*out = &d->base;
	return ERR_OK;
}

enum err_code spool_draft_write(struct store_draft *d, struct span bytes, struct err *e)
{
	return spool_write(draft_of(d)->spool, bytes, e);
}

uint64_t spool_draft_size(const struct store_draft *d)
{
	return spool_size(((const struct spool_draft *)d)->spool);
}

enum err_code spool_draft_read(const struct store_draft *d, uint64_t offset, size_t len, uint8_t *dst, struct err *e)
{
	return spool_read(((const struct spool_draft *)d)->spool, offset, len, dst, e);
}

enum err_code spool_draft_end(struct store_draft *d, struct spool **out, struct err *e)
{
	*out = draft_of(d)->spool;
	return spool_end(*out, e);
}

void spool_draft_free(struct store_draft *d)
{
	spool_free(&draft_of(d)->spool);
	mem_free(d);
}
