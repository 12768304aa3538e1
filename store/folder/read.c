/* read: getting, listing, deleting and syncing what is there. */
#include "folder_internal.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a plain file. O_NONBLOCK keeps a planted pipe from holding us; it means nothing for plain files. */
static enum err_code object_open(struct folder *s, const char *name, int *fd_out, uint64_t *bytes, struct err *e)
{
	int fd = openat(s->root_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	enum err_code rc;

	if (fd < 0 && (errno == ELOOP || errno == ENXIO))
		return err_set(e, ERR_CORRUPT, "%s/%s is not a plain file", s->path, name);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s/%s", s->path, name);
	if (fstat(fd, &st) != 0)
		rc = err_sys(e, errno, "cannot look at %s/%s", s->path, name);
	else if (S_ISDIR(st.st_mode))
		rc = err_set(e, ERR_NOT_FOUND, "%s/%s is a folder, not an object", s->path, name);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, ERR_CORRUPT, "%s/%s is not a plain file", s->path, name);
	else {
		*fd_out = fd;
		*bytes = (uint64_t)st.st_size;
		return ERR_OK;
	}
	close(fd);
	return rc;
}

enum err_code folder_get(struct store *base, const char *name, size_t max, struct buf *out, struct err *e)
{
	struct folder *s = folder_of(base);
	uint64_t bytes;
	uint8_t *at = NULL;
	int fd = -1;
	enum err_code rc = object_open(s, name, &fd, &bytes, e);

	if (rc)
		return rc;
	if (bytes > max)
		rc = err_set(e, ERR_LIMIT, "%s/%s has %llu bytes, more than %zu", s->path, name,
		             (unsigned long long)bytes, max);
	if (!rc && bytes)
		rc = buf_extend(out, (size_t)bytes, &at, e);
	if (!rc && bytes)
		rc = file_read_at(fd, name, 0, at, (size_t)bytes, e);
	close(fd);
	return rc;
}

static enum err_code range_read(struct folder *s, const char *name, int fd, uint64_t offset, size_t len, uint8_t *dst,
                                struct err *e)
{
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return err_set(e, ERR_CORRUPT, "%s/%s cannot hold byte %llu", s->path, name,
		               (unsigned long long)offset);
	return file_read_at(fd, name, offset, dst, len, e);
}

enum err_code folder_get_range(struct store *base, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                               struct err *e)
{
	struct folder *s = folder_of(base);
	struct fd_slot *slot;
	enum err_code rc;
	uint64_t bytes;
	int fd = -1;

	slot = fd_cache_take(&s->fds, name);
	if (slot) {
		rc = range_read(s, name, slot->fd, offset, len, dst, e);
		fd_cache_give_back(&s->fds, slot);
		if (rc != ERR_IO || e->sys_errno != ESTALE)
			return rc;
		fd_cache_drop(&s->fds, name); /* NFS lost the handle, not the object */
	}
	rc = object_open(s, name, &fd, &bytes, e);
	if (rc)
		return rc;
	slot = fd_cache_put(&s->fds, name, fd);
	rc = range_read(s, name, fd, offset, len, dst, e);
	if (slot)
		fd_cache_give_back(&s->fds, slot);
	else
		close(fd);
	return rc;
}

enum err_code folder_size(struct store *base, const char *name, uint64_t *bytes, struct err *e)
{
	struct folder *s = folder_of(base);
	struct stat st;

	if (fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(e, errno, "cannot look at %s/%s", s->path, name);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_NOT_FOUND, "%s/%s is a folder, not an object", s->path, name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "%s/%s is not a plain file", s->path, name);
	*bytes = (uint64_t)st.st_size;
	return ERR_OK;
}

enum err_code folder_delete(struct store *base, const char *name, struct err *e)
{
	struct folder *s = folder_of(base);
	enum err_code rc = ERR_OK;

	/* Not synced: a delete that a power cut takes back is deleted again by the next prune. */
	if (unlinkat(s->root_fd, name, 0) != 0 && errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
		rc = err_sys(e, errno, "cannot delete %s/%s", s->path, name);
	/* An open descriptor would keep the room on the disk taken. After the unlink, so that nobody opens it anew. */
	fd_cache_drop(&s->fds, name);
	return rc;
}

void folder_drop_empty(struct store *base, const char *folder)
{
	(void)!unlinkat(folder_of(base)->root_fd, folder, AT_REMOVEDIR);
}

enum err_code folder_sync_object(struct store *base, const char *name, struct err *e)
{
	struct folder *s = folder_of(base);
	uint64_t bytes;
	int fd = -1;
	enum err_code rc = object_open(s, name, &fd, &bytes, e);

	if (rc)
		return rc;
	if (fsync(fd) != 0)
		rc = write_failed(s, errno, "sync", name, e);
	close(fd);
	if (!rc)
		rc = folder_sync(s, name, e);
	/* The folders above it, too, once in a process. */
	return rc ? rc : folders_for(s, name, false, e);
}

/* ---- listing ---- */

struct walk {
	struct folder *store;
	store_visit visit;
	void *ctx;
	size_t len; /* of name */
	char name[STORE_NAME_MAX + 1];
};

static enum err_code walk_folder(struct walk *w, int parent, const char *leaf, struct err *e);

static enum err_code walk_entry(struct walk *w, int folder, const struct dirent *entry, struct err *e)
{
	size_t before = w->len, part = strlen(entry->d_name);
	enum err_code rc = ERR_OK;
	struct stat st;

	/* Not ours: other programs leave files in a folder, and that is no damage. */
	if (!store_name_part_ok(span_of(entry->d_name, part)) || before + (before > 0) + part > STORE_NAME_MAX)
		return ERR_OK;
	if (before == 0 && strcmp(entry->d_name, STORE_TEMP_FOLDER) == 0)
		return ERR_OK;
	if (entry->d_type != DT_REG && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
		return ERR_OK;
	if (fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return ERR_OK; /* deleted meanwhile */
		return err_sys(e, errno, "cannot look at %s/%s/%s", w->store->path, w->name, entry->d_name);
	}
	if (before)
		w->name[w->len++] = '/';
	memcpy(w->name + w->len, entry->d_name, part + 1);
	w->len += part;
	if (S_ISDIR(st.st_mode))
		rc = walk_folder(w, folder, entry->d_name, e);
	else if (S_ISREG(st.st_mode))
		rc = w->visit(w->ctx, w->name, (uint64_t)st.st_size, e);
	w->len = before;
	w->name[before] = 0;
	return rc;
}

/* Recursion is bounded: a name of 255 bytes has at most 128 parts. */
static enum err_code walk_folder(struct walk *w, int parent, const char *leaf, struct err *e)
{
	int fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	enum err_code rc = ERR_OK;
	struct dirent *entry;

	if (!folder) {
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
			return ERR_OK;
		rc = err_sys(e, errno, "cannot list %s/%s", w->store->path, w->name);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(folder);
		if (!entry) {
			if (errno)
				rc = err_sys(e, errno, "cannot list %s/%s", w->store->path, w->name);
			break;
		}
		rc = walk_entry(w, fd, entry, e);
	}
	closedir(folder);
	return rc;
}

enum err_code folder_list(struct store *base, const char *folder, store_visit visit, void *ctx, struct err *e)
{
	struct walk w = { .store = folder_of(base), .visit = visit, .ctx = ctx, .len = strlen(folder) };

	memcpy(w.name, folder, w.len + 1);
	return walk_folder(&w, w.store->root_fd, *folder ? folder : ".", e);
}
