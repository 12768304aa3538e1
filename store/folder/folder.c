/* folder: opening a store in a local folder, and the folders inside it. */
#include "folder_internal.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0700

/* The path in URL, or NULL (and E set) when it names none. */
static const char *path_of(const char *url, struct err *e)
{
	const char *path = strncmp(url, "file:", 5) == 0 ? url + 5 : url;

	if (*path)
		return path;
	err_set(e, ERR_USAGE, "the place of the repository is empty");
	return NULL;
}

static enum err_code open_root(const char *path, int fd, struct store **out, struct err *e)
{
	struct folder *s = mem_zalloc(1, sizeof *s);

	if (!s) {
		close(fd);
		return err_no_memory(e, sizeof *s);
	}
	s->path = path;
	s->root_fd = fd;
	fd_cache_init(&s->fds);
	pthread_mutex_init(&s->folders.lock, NULL);
	*out = &s->base;
	return ERR_OK;
}

static enum err_code folder_open(const char *url, struct store **out, struct err *e)
{
	const char *path = path_of(url, e);
	int fd;

	if (!path)
		return e->code;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		if (err_sys(e, errno, "cannot open %s", path) == ERR_NOT_FOUND)
			e->code = ERR_NO_REPOSITORY;
		return e->code;
	}
	return open_root(path, fd, out, e);
}

/* What may lie in a folder that counts as empty: a file system's own folder, and tmp/ of an init that was cut off. */
static bool counts_as_nothing(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0 ||
	       strcmp(name, STORE_TEMP_FOLDER) == 0;
}

static enum err_code check_empty(int root_fd, const char *path, struct err *e)
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	enum err_code rc = ERR_OK;
	struct dirent *entry;

	if (!folder) {
		rc = err_sys(e, errno, "cannot list %s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	errno = 0;
	while (!rc && (entry = readdir(folder)))
		if (!counts_as_nothing(entry->d_name))
			rc = err_set(e, ERR_EXISTS, "%s is not empty: a new repository needs a folder of its own",
			             path);
	if (!rc && errno)
		rc = err_sys(e, errno, "cannot list %s", path);
	closedir(folder);
	return rc;
}

/*
 * The folders above the root may be new as well: sync upwards to the top of the file system. Best effort above the
 * root itself, for we may not be allowed to open what is there.
 */
static enum err_code sync_upwards(int root_fd, const char *path, struct err *e)
{
	struct stat st, above_st;
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL) || fstat(fd, &st) != 0) {
		enum err_code rc = err_sys(e, errno, "cannot sync %s", path);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	for (;;) {
		int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(fd);
		if (above < 0)
			return ERR_OK;
		fd = above;
		if (fstat(fd, &above_st) != 0 || above_st.st_dev != st.st_dev || above_st.st_ino == st.st_ino)
			break;
		(void)fsync(fd);
		st = above_st;
	}
	close(fd);
	return ERR_OK;
}

static enum err_code folder_create(const char *url, struct store **out, struct err *e)
{
	const char *path = path_of(url, e);
	enum err_code rc;
	int fd;

	if (!path)
		return e->code;
	rc = file_make_folders(path, FOLDER_MODE, e);
	if (rc) {
		/* A file in the way is no missing repository. */
		if (rc == ERR_NOT_FOUND)
			rc = e->code = ERR_IO;
		return rc;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	rc = check_empty(fd, path, e);
	if (!rc && mkdirat(fd, STORE_TEMP_FOLDER, FOLDER_MODE) != 0 && errno != EEXIST)
		rc = err_sys(e, errno, "cannot create a folder in %s", path);
	if (!rc)
		rc = sync_upwards(fd, path, e);
	if (rc) {
		close(fd);
		return rc;
	}
	return open_root(path, fd, out, e);
}

static void folder_free(struct store *base)
{
	struct folder *s = folder_of(base);

	fd_cache_release(&s->fds);
	pthread_mutex_destroy(&s->folders.lock);
	close(s->root_fd);
	mem_free(s);
}

enum err_code write_failed(struct folder *s, int sys_errno, const char *doing, const char *name, struct err *e)
{
	enum err_code rc;

	if (sys_errno == ENOSPC || sys_errno == EDQUOT)
		return err_sys(e, sys_errno, "no room is left on the disk that holds %s", s->path);
	rc = err_sys(e, sys_errno, "cannot %s %s%s%s", doing, s->path, name ? "/" : "", name ? name : "");
	/* While writing, a missing folder is a broken store, not an absent object. */
	if (rc == ERR_NOT_FOUND)
		rc = e->code = ERR_IO;
	return rc;
}

/* ---- folders ---- */

static uint64_t folder_hash(struct span folder)
{
	uint64_t hash = hash64(folder);

	return hash ? hash : 1;
}

static bool folder_known(struct folder_set *set, uint64_t hash)
{
	bool known = false;

	pthread_mutex_lock(&set->lock);
	for (size_t i = hash % FOLDERS_KNOWN; set->hashes[i] && !known; i = (i + 1) % FOLDERS_KNOWN)
		known = set->hashes[i] == hash;
	pthread_mutex_unlock(&set->lock);
	return known;
}

static void folder_learn(struct folder_set *set, uint64_t hash)
{
	size_t i = hash % FOLDERS_KNOWN;

	pthread_mutex_lock(&set->lock);
	if (set->used >= FOLDERS_KNOWN / 4 * 3) {
		memset(set->hashes, 0, sizeof set->hashes); /* only a cache: a few calls more */
		set->used = 0;
	}
	while (set->hashes[i] && set->hashes[i] != hash)
		i = (i + 1) % FOLDERS_KNOWN;
	if (!set->hashes[i])
		set->used++;
	set->hashes[i] = hash;
	pthread_mutex_unlock(&set->lock);
}

static enum err_code sync_at(struct folder *s, const char *folder, struct err *e)
{
	int fd = openat(s->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int seen = 0;

	if (fd < 0)
		return write_failed(s, errno, "open", folder, e);
	/* Some file systems cannot sync folders and say EINVAL; there is nothing more to be had there. */
	if (fsync(fd) != 0 && errno != EINVAL)
		seen = errno;
	close(fd);
	return seen ? write_failed(s, seen, "sync", folder, e) : ERR_OK;
}

/* The part of NAME above its last '/', or "." for the root. */
static const char *folder_above(const char *name, char out[STORE_NAME_MAX + 1])
{
	const char *slash = strrchr(name, '/');
	size_t len = slash ? (size_t)(slash - name) : 0;

	if (!slash)
		return ".";
	memcpy(out, name, len);
	out[len] = 0;
	return out;
}

enum err_code folder_sync(struct folder *s, const char *name, struct err *e)
{
	char above[STORE_NAME_MAX + 1];

	return sync_at(s, folder_above(name, above), e);
}

enum err_code folders_for(struct folder *s, const char *name, bool without_cache, struct err *e)
{
	char folder[STORE_NAME_MAX + 1];

	for (const char *end = strchr(name, '/'); end; end = strchr(end + 1, '/')) {
		size_t len = (size_t)(end - name);
		uint64_t hash = folder_hash(span_of(name, len));
		enum err_code rc;

		if (!without_cache && folder_known(&s->folders, hash))
			continue;
		memcpy(folder, name, len);
		folder[len] = 0;
		if (mkdirat(s->root_fd, folder, FOLDER_MODE) != 0 && errno != EEXIST)
			return write_failed(s, errno, "create folder", folder, e);
		/* Also when it was there: whoever made it may not have lived to sync it. */
		rc = folder_sync(s, folder, e);
		if (rc)
			return rc;
		folder_learn(&s->folders, hash);
	}
	return ERR_OK;
}

const struct store_kind store_folder = {
	.open = folder_open,
	.create = folder_create,
	.free = folder_free,
	.put = folder_put,
	.get = folder_get,
	.get_range = folder_get_range,
	.size = folder_size,
	.delete = folder_delete,
	.drop_empty_folder = folder_drop_empty,
	.sync = folder_sync_object,
	.list = folder_list,
	.draft_open = folder_draft_open,
	.draft_write = folder_draft_write,
	.draft_hint = folder_draft_hint,
	.draft_commit = folder_draft_commit,
	.draft_put_back = folder_draft_put_back,
	.draft_free = folder_draft_free,
};
