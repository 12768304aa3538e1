/*
 * create: a file comes to be whole under a name that nobody had (rule A of the ledger; docs/order.md rule 1).
 * Bytes first, then the name, then the folder.
 */
#include "folder_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECT_MODE 0400

struct fd_path {
	char text[40];
};

/* linkat(AT_EMPTY_PATH) would need a capability; /proc/self/fd works for everyone, also without core dumps. */
static struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
	return path;
}

/* tmp/ may have been lost on the way (copies without empty folders), so it is made when it is missed. */
static int open_in_temp(struct folder *s, const char *name, int flags, mode_t mode)
{
	int fd = openat(s->root_fd, name, flags | O_CLOEXEC, mode);

	if (fd < 0 && errno == ENOENT && (mkdirat(s->root_fd, STORE_TEMP_FOLDER, 0700) == 0 || errno == EEXIST))
		fd = openat(s->root_fd, name, flags | O_CLOEXEC, mode);
	return fd;
}

static int open_named(struct folder *s, char temp[STORE_TEMP_NAME_MAX])
{
	int fd =
	        store_temp_name(temp) ? open_in_temp(s, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, OBJECT_MODE) : -1;

	if (fd < 0)
		temp[0] = 0;
	return fd;
}

bool link_missing(int sys_errno)
{
	return sys_errno == EPERM || sys_errno == EOPNOTSUPP || sys_errno == ENOSYS || sys_errno == EINVAL ||
	       sys_errno == EMLINK;
}

/*
 * Gives F the name NAME. Whether that worked is told by the file, not by the answer: over NFS a repeated request
 * says EEXIST to the very client that won.
 */
bool fresh_give_name(struct folder *s, const struct fresh *f, const char *name, int *seen)
{
	struct stat mine, there;
	int rc;

	if (f->way == CREATE_TMPFILE)
		rc = linkat(AT_FDCWD, fd_path(f->fd).text, s->root_fd, name, AT_SYMLINK_FOLLOW);
	else if (f->way == CREATE_LINK)
		rc = linkat(s->root_fd, f->temp, s->root_fd, name, 0);
	else
		rc = renameat2(s->root_fd, f->temp, s->root_fd, name, RENAME_NOREPLACE);
	*seen = rc ? errno : 0;
	if (rc == 0)
		return true;
	if (fstat(f->fd, &mine) != 0)
		return false;
	if (f->way != CREATE_RENAME)
		return mine.st_nlink == (f->way == CREATE_TMPFILE ? 1 : 2);
	return fstatat(s->root_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == mine.st_ino &&
	       there.st_dev == mine.st_dev;
}

/* Tries a way out on an empty file. WORKS tells; an error only when the try could not be made. */
static enum err_code try_way(struct folder *s, enum create_way way, bool *works, struct err *e)
{
	struct fresh f = { -1, way, "" };
	char name[STORE_TEMP_NAME_MAX];
	int seen = 0;

	*works = false;
	f.fd = way == CREATE_TMPFILE ? open_in_temp(s, STORE_TEMP_FOLDER, O_TMPFILE | O_RDWR, OBJECT_MODE)
	                             : open_named(s, f.temp);
	if (f.fd < 0) {
		/* For O_TMPFILE any refusal means: not here. The named way tells what is really wrong. */
		return way == CREATE_TMPFILE ? ERR_OK
		                             : write_failed(s, errno, "create a file in", STORE_TEMP_FOLDER, e);
	}
	if (!store_temp_name(name))
		seen = errno;
	else
		*works = fresh_give_name(s, &f, name, &seen);
	if (*works)
		unlinkat(s->root_fd, name, 0);
	if (*works && way == CREATE_RENAME)
		f.temp[0] = 0;
	fresh_close(s, &f);
	if (!*works && way != CREATE_TMPFILE && !link_missing(seen))
		return write_failed(s, seen, "create a file in", STORE_TEMP_FOLDER, e);
	return ERR_OK;
}

static enum err_code find_way(struct folder *s, enum create_way *out, struct err *e)
{
	enum create_way way = (enum create_way)atomic_load(&s->create_way);
	bool works = false;

	for (enum create_way next = CREATE_TMPFILE; way == CREATE_UNKNOWN; next++) {
		enum err_code rc;

		if (next == CREATE_NONE) {
			way = CREATE_NONE;
			break;
		}
		rc = try_way(s, next, &works, e);
		if (rc)
			return rc;
		if (works)
			way = next;
	}
	atomic_store(&s->create_way, (int)way);
	if (way == CREATE_NONE)
		return err_set(e, ERR_UNSUPPORTED,
		               "the file system of %s can neither link nor rename without replacing, so two writers "
		               "could destroy each other's objects",
		               s->path);
	*out = way;
	return ERR_OK;
}

enum err_code fresh_open(struct folder *s, struct fresh *out, struct err *e)
{
	struct fresh f = FRESH_NONE;
	enum err_code rc = find_way(s, &f.way, e);

	if (rc)
		return rc;
	f.fd = f.way == CREATE_TMPFILE ? open_in_temp(s, STORE_TEMP_FOLDER, O_TMPFILE | O_RDWR, OBJECT_MODE)
	                               : open_named(s, f.temp);
	if (f.fd < 0)
		return write_failed(s, errno, "create a file in", STORE_TEMP_FOLDER, e);
	*out = f;
	return ERR_OK;
}

void fresh_close(struct folder *s, struct fresh *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->temp[0])
		unlinkat(s->root_fd, f->temp, 0);
	*f = FRESH_NONE;
}

enum err_code fresh_commit(struct folder *s, struct fresh *f, const char *name, struct err *e)
{
	enum err_code rc = folders_for(s, name, false, e);
	int seen = 0;
	bool won;

	if (rc)
		return rc;
	if (fsync(f->fd) != 0)
		return write_failed(s, errno, "sync", name, e);
	won = fresh_give_name(s, f, name, &seen);
	if (!won && seen == ENOENT) {
		/* Somebody removed a folder that we knew. */
		rc = folders_for(s, name, true, e);
		if (rc)
			return rc;
		won = fresh_give_name(s, f, name, &seen);
	}
	if (!won && seen == EEXIST)
		return err_set(e, ERR_EXISTS, "%s/%s exists already", s->path, name);
	if (!won)
		return write_failed(s, seen, "create", name, e);
	if (f->way == CREATE_RENAME)
		f->temp[0] = 0;
	return folder_sync(s, name, e);
}

enum err_code folder_put(struct store *base, const char *name, struct span bytes, struct err *e)
{
	struct folder *s = folder_of(base);
	struct fresh f = FRESH_NONE;
	enum err_code rc = fresh_open(s, &f, e);

	while (!rc && bytes.len) {
		ssize_t n = write(f.fd, bytes.ptr, bytes.len);

		if (n >= 0)
			bytes = span_skip(bytes, (size_t)n);
		else if (errno != EINTR)
			rc = write_failed(s, errno, "write", name, e);
	}
	if (!rc)
		rc = fresh_commit(s, &f, name, e);
	fresh_close(s, &f);
	return rc;
}
