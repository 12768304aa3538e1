#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum err_code file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum err_code rc = ERR_OK;
	size_t start = out->len;
	uint8_t *at;
	ssize_t n;

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	for (;;) {
		rc = buf_extend(out, 64 * KIB, &at, e);
		if (rc)
			break;
		n = read(fd, at, 64 * KIB);
		out->len -= 64 * KIB - (n > 0 ? (size_t)n : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(e, errno, "cannot read %s", path);
		if (n <= 0)
			break;
		if (out->len - start > max) {
			rc = err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
			break;
		}
	}
	close(fd);
	if (rc)
		out->len = start;
	return rc;
}

enum err_code file_read_at(int fd, const char *name, uint64_t offset, uint8_t *dst, size_t len, struct err *e)
{
	while (len) {
		ssize_t n = pread(fd, dst, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot read %s", name);
		if (n == 0)
			return err_set(e, ERR_CORRUPT, "%s ends at byte %llu, %zu bytes too early", name,
			               (unsigned long long)offset, len);
		dst += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

enum err_code file_drain(int fd, const char *name, uint8_t *dst, size_t max, size_t *len, struct err *e)
{
	uint8_t rest[512];
	ssize_t n;

	*len = 0;
	for (;;) {
		bool full = *len == max;

		n = full ? read(fd, rest, sizeof rest) : read(fd, dst + *len, max - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!full)
			*len += (size_t)n;
	}
	explicit_bzero(rest, sizeof rest);
	return n < 0 ? err_sys(e, errno, "cannot read %s", name) : ERR_OK;
}

enum err_code file_write(int fd, const char *name, struct span bytes, struct err *e)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot write %s", name);
		bytes = span_skip(bytes, (size_t)n);
	}
	return ERR_OK;
}

enum err_code file_sync_folder(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err_code rc = ERR_OK;

	if (fd < 0)
		return err_sys(e, errno, "cannot open folder %s", path);
	/* Some file systems cannot sync folders and say EINVAL; there is nothing more to be had there. */
	if (fsync(fd) != 0 && errno != EINVAL)
		rc = err_sys(e, errno, "cannot sync folder %s", path);
	close(fd);
	return rc;
}

static enum err_code folder_of(const char *path, struct buf *out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct span folder = slash == path ? SPAN_LIT("/")
	                     : slash       ? span_of(path, (size_t)(slash - path))
	                                   : SPAN_LIT(".");
	enum err_code rc = buf_append(out, folder, e);

	return rc ? rc : buf_append(out, span_of("", 1), e);
}

enum err_code file_sync_name(const char *path, struct err *e)
{
	struct buf folder = BUF_EMPTY;
	enum err_code rc = folder_of(path, &folder, e);

	if (!rc)
		rc = file_sync_folder((const char *)folder.ptr, e);
	buf_release(&folder);
	return rc;
}

enum err_code file_replace(const char *path, struct span bytes, unsigned mode, bool durable, struct err *e)
{
	struct buf temp = BUF_EMPTY, folder = BUF_EMPTY;
	enum err_code rc;
	int fd = -1;

	rc = buf_printf(&temp, e, "%s.XXXXXX", path);
	if (!rc)
		rc = buf_append(&temp, span_of("", 1), e);
	if (!rc)
		rc = folder_of(path, &folder, e);
	if (rc)
		goto done;
	fd = mkostemp((char *)temp.ptr, O_CLOEXEC);
	if (fd < 0) {
		rc = err_sys(e, errno, "cannot create a file beside %s", path);
		goto done;
	}
	rc = file_write(fd, path, bytes, e);
	if (!rc && (fchmod(fd, mode) != 0 || (durable && fsync(fd) != 0)))
		rc = err_sys(e, errno, "cannot finish writing %s", path);
	if (close(fd) != 0 && !rc)
		rc = err_sys(e, errno, "cannot close %s", path);
	if (!rc && rename((char *)temp.ptr, path) != 0)
		rc = err_sys(e, errno, "cannot rename to %s", path);
	if (rc)
		unlink((char *)temp.ptr);
	else if (durable)
		rc = file_sync_folder((char *)folder.ptr, e);
done:
	buf_release(&temp);
	buf_release(&folder);
	return rc;
}

static enum err_code fill(int fd, const char *path, struct span bytes, unsigned mode, struct err *e)
{
	enum err_code rc = file_write(fd, path, bytes, e);

	if (!rc && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		rc = err_sys(e, errno, "cannot finish writing %s", path);
	return rc;
}

/* False: this place has no nameless files, or none that can be named; nothing was made. */
static bool create_nameless(const char *path, const char *folder, struct span bytes, unsigned mode, enum err_code *rc,
                            struct err *e)
{
	int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	char link[40];
	bool named;

	if (fd < 0)
		return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	*rc = fill(fd, path, bytes, mode, e);
	named = !*rc && linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
	if (!*rc && !named && errno == EEXIST)
		*rc = err_sys(e, errno, "cannot create %s", path);
	close(fd);
	return named || *rc;
}

/* Gives TEMP the name PATH, if nobody has it. */
static enum err_code name_it(const char *temp, const char *path, struct err *e)
{
	int fd;

	if (link(temp, path) == 0) {
		unlink(temp);
		return ERR_OK;
	}
	/* Where there are no links the name is taken first, and then gets what belongs there. */
	fd = errno == EEXIST ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot create %s", path);
	close(fd);
	return rename(temp, path) == 0 ? ERR_OK : err_sys(e, errno, "cannot rename to %s", path);
}

static enum err_code create_beside(const char *path, struct span bytes, unsigned mode, struct err *e)
{
	struct buf temp = BUF_EMPTY;
	enum err_code rc = buf_printf(&temp, e, "%s.XXXXXX", path);
	int fd = -1;

	if (!rc)
		rc = buf_append(&temp, span_of("", 1), e);
	if (rc)
		goto done;
	fd = mkostemp((char *)temp.ptr, O_CLOEXEC);
	if (fd < 0) {
		rc = err_sys(e, errno, "cannot create a file beside %s", path);
		goto done;
	}
	rc = fill(fd, path, bytes, mode, e);
	if (close(fd) != 0 && !rc)
		rc = err_sys(e, errno, "cannot close %s", path);
	if (!rc)
		rc = name_it((char *)temp.ptr, path, e);
	if (rc)
		unlink((char *)temp.ptr);
done:
	buf_release(&temp);
	return rc;
}

enum err_code file_create(const char *path, struct span bytes, unsigned mode, struct err *e)
{
	struct buf folder = BUF_EMPTY;
	enum err_code rc = folder_of(path, &folder, e);

	if (!rc && !create_nameless(path, (char *)folder.ptr, bytes, mode, &rc, e))
		rc = create_beside(path, bytes, mode, e);
	if (!rc) {
		rc = file_sync_folder((char *)folder.ptr, e);
		if (rc)
			unlink(path);
	}
	buf_release(&folder);
	return rc;
}

enum err_code file_make_folders(const char *path, unsigned mode, struct err *e)
{
	struct buf copy = BUF_EMPTY;
	enum err_code rc = buf_append(&copy, span_of(path, strlen(path) + 1), e);
	struct stat st;
	char *p;

	if (rc)
		goto done;
	for (p = (char *)copy.ptr + 1; copy.len > 1; p++) {
		char kept = *p;

		if (kept && kept != '/')
			continue;
		*p = 0;
		if (mkdir((char *)copy.ptr, mode) != 0 && errno != EEXIST) {
			int seen = errno;

			if (stat((char *)copy.ptr, &st) != 0 || !S_ISDIR(st.st_mode)) {
				rc = err_sys(e, seen, "cannot create folder %s", (char *)copy.ptr);
				break;
			}
		}
		*p = kept;
		if (!kept)
			break;
	}
	if (!rc && stat(path, &st) != 0)
		rc = err_sys(e, errno, "cannot look at %s", path);
	else if (!rc && !S_ISDIR(st.st_mode))
		rc = err_sys(e, ENOTDIR, "%s is not a folder", path);
done:
	buf_release(&copy);
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

enum err_code file_remove_tree(const char *path, struct err *e)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return err_sys(e, errno, "cannot remove %s", path);
	return ERR_OK;
}

enum err_code file_join(const char *folder, const char *name, struct buf *out, struct err *e)
{
	enum err_code rc;

	buf_clear(out);
	rc = buf_append(out, span_cstr(folder), e);
	if (!rc && out->len && out->ptr[out->len - 1] != '/')
		rc = buf_append(out, SPAN_LIT("/"), e);
	if (!rc)
		rc = buf_append(out, span_of(name, strlen(name) + 1), e);
	if (!rc)
		out->len--;
	return rc;
}
