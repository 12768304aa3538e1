/*
 * replace: an object that was damaged gets its bytes back. The new file is whole and synced before it takes the name in
 * one rename, so that at every moment the name has the old object or the new one, and the old one has a second name
 * before. A killed run leaves at most a file in tmp/ and a second name under damaged/.
 */
#include "folder_internal.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES   (64 * KIB)
#define SECTOR_BYTES 4096

enum err_code fresh_replace(struct folder *s, struct fresh *f, const char *name, struct err *e)
{
	enum err_code rc = folders_for(s, name, false, e);
	char temp[STORE_TEMP_NAME_MAX];
	int seen = 0;

	if (rc)
		return rc;
	if (fsync(f->fd) != 0)
		return write_failed(s, errno, "sync", name, e);
	/* Only what has a name can be renamed over another; from then on fresh_close takes it away. */
	if (!f->temp[0]) {
		if (!store_temp_name(temp))
			return write_failed(s, errno, "put back", name, e);
		if (!fresh_give_name(s, f, temp, &seen))
			return write_failed(s, seen, "put back", name, e);
		memcpy(f->temp, temp, sizeof temp);
	}
	if (renameat(s->root_fd, f->temp, s->root_fd, name) != 0)
		return write_failed(s, errno, "put back", name, e);
	f->temp[0] = 0;
	return folder_sync(s, name, e);
}

/* What can be read of LEN bytes at OFFSET; the rest is zeros. */
static void read_what_is_left(int fd, uint64_t offset, size_t len, uint8_t *dst)
{
	for (size_t at = 0; at < len; at += SECTOR_BYTES) {
		size_t n = num_min(SECTOR_BYTES, len - at);

		if (pread(fd, dst + at, n, (off_t)(offset + at)) != (ssize_t)n)
			memset(dst + at, 0, n);
	}
}

/* On disks without links: a copy, sector by sector where that is all that can be had. */
static enum err_code copy_damaged(struct folder *s, const char *name, const char *kept, struct err *e)
{
	uint8_t *piece = mem_alloc(COPY_BYTES);
	int fd = openat(s->root_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct store_draft *d = NULL;
	enum err_code rc = ERR_OK;
	struct stat st;

	if (!piece)
		rc = err_no_memory(e, COPY_BYTES);
	else if (fd < 0 || fstat(fd, &st) != 0)
		rc = err_sys(e, errno, "cannot open %s/%s", s->path, name);
	else
		rc = folder_draft_open(&s->base, &d, e);
	for (uint64_t at = 0; !rc && at < (uint64_t)st.st_size;) {
		size_t n = num_min(COPY_BYTES, (size_t)((uint64_t)st.st_size - at));

		if (pread(fd, piece, n, (off_t)at) != (ssize_t)n)
			read_what_is_left(fd, at, n, piece);
		rc = folder_draft_write(d, span_of(piece, n), e);
		at += n;
	}
	if (!rc)
		rc = folder_draft_commit(d, kept, e);
	if (d)
		folder_draft_free(d);
	if (fd >= 0)
		close(fd);
	mem_free(piece);
	return rc;
}

enum err_code keep_damaged(struct folder *s, const char *name, char kept[STORE_NAME_MAX + 1], struct err *e)
{
	char there[STORE_NAME_MAX + 1];
	bool links = atomic_load(&s->create_way) != CREATE_RENAME;
	enum err_code rc;
	struct stat st;

	kept[0] = 0;
	if (fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? ERR_OK : err_sys(e, errno, "cannot look at %s/%s", s->path, name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "%s/%s is not a plain file", s->path, name);
	rc = store_damaged_name(name, there, e);
	if (!rc)
		rc = folders_for(s, there, true, e);
	if (rc)
		return rc;
	if (links && linkat(s->root_fd, name, s->root_fd, there, 0) == 0)
		rc = folder_sync(s, there, e);
	else if (!links || link_missing(errno))
		rc = copy_damaged(s, name, there, e);
	else
		rc = write_failed(s, errno, "keep a second name of", name, e);
	if (!rc)
		memcpy(kept, there, strlen(there) + 1);
	return rc;
}
