#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "dir_scan.h"
#include "safe_name.h"

#define EARLY_BYTES (32 * MIB) /* less is not worth a commit of the file system's journal */

static char *copy_text(struct span s)
{
	char *out = mem_alloc(s.len + 1);

	if (out) {
		if (s.len)
			memcpy(out, s.ptr, s.len);
		out[s.len] = 0;
	}
	return out;
}

enum err_code target_init(struct target *t, const char *path, const char *into, struct err *e)
{
	struct buf safe = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	*t = (struct target){ .fd = -1 };
	pthread_mutex_init(&t->lock, NULL);
	if (into)
		rc = safe_path(span_cstr(into), NAME_PORTABLE, &safe, e);
	if (!rc) {
		t->path = copy_text(span_cstr(path));
		t->into = copy_text(buf_span(&safe));
		if (!t->path || !t->into)
			rc = err_no_memory(e, safe.len + strlen(path) + 2);
	}
	buf_release(&safe);
	if (rc)
		target_release(t);
	return rc;
}

/* ---- writing out early ---- */

static void run_early(struct pool_job *job)
{
	struct target_early *early = (struct target_early *)(void *)job;

	if (syncfs(early->fd) < 0)
		early->failed = errno;
}

/* Waits for the one that runs. */
static void end_early(struct target *t)
{
	if (t->early.submitted)
		pool_wait(t->early.pool, &t->early.job);
	t->early.submitted = false;
}

void target_wrote(struct target *t, uint64_t bytes)
{
	struct target_early *early = &t->early;

	pthread_mutex_lock(&t->lock);
	early->bytes += bytes;
	if (early->bytes >= EARLY_BYTES && !early->failed && (!early->submitted || pool_is_done(&early->job))) {
		end_early(t);
		/* Without the thread all is written at the end. */
		if (early->pool || pool_open(1, &early->pool, &(struct err){ 0 }) == ERR_OK) {
			early->job.run = run_early;
			early->fd = t->fd;
			early->submitted = true;
			pool_submit(early->pool, &early->job);
		}
		early->bytes = 0;
	}
	pthread_mutex_unlock(&t->lock);
}

void target_release(struct target *t)
{
	end_early(t);
	pool_free(&t->early.pool);
	if (t->fd >= 0)
		close(t->fd);
	mem_free(t->path);
	mem_free(t->into);
	mem_free(t->handles);
	pthread_mutex_destroy(&t->lock);
	*t = (struct target){ .fd = -1 };
}

enum err_code target_open(struct target *t, bool make, bool *found, struct err *e)
{
	enum err_code rc;

	*found = t->fd >= 0;
	if (*found)
		return ERR_OK;
	if (make) {
		rc = file_make_folders(t->path, 0700, e);
		if (rc)
			return rc;
	}
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*found = t->fd >= 0;
	if (*found || (errno == ENOENT && !make))
		return ERR_OK;
	return err_sys(e, errno, "cannot open folder %s", t->path);
}

enum err_code target_add(struct target *t, void *thing, size_t *handle, struct err *e)
{
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&t->lock);
	/* Grown at powers of two. */
	if ((t->handle_count & (t->handle_count - 1)) == 0) {
		size_t cap = t->handle_count ? t->handle_count * 2 : 1;
		void **bigger = mem_grow(t->handles, cap * sizeof *bigger);

		if (bigger)
			t->handles = bigger;
		else
			rc = err_no_memory(e, cap * sizeof *bigger);
	}
	if (!rc) {
		*handle = t->handle_count++;
		t->handles[*handle] = thing;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void *target_get(struct target *t, size_t handle)
{
	void *thing;

	pthread_mutex_lock(&t->lock);
	thing = handle < t->handle_count ? t->handles[handle] : NULL;
	pthread_mutex_unlock(&t->lock);
	return thing;
}

enum err_code target_sync(struct target *t, struct err *e)
{
	int failed;

	end_early(t);
	failed = t->early.failed;
	t->early.failed = 0;
	if (t->fd >= 0 && syncfs(t->fd) < 0 && !failed)
		failed = errno;
	return failed ? err_sys(e, failed, "cannot write everything below %s to the disk", t->path) : ERR_OK;
}

enum err_code target_holds_anything(struct target *t, const char *path, bool *out, struct err *e)
{
	struct dir_scan scan = { 0 };
	struct dir_entry entry;
	enum err_code rc;
	bool found, made;
	int fd = -1;

	*out = false;
	rc = target_open(t, false, &found, e);
	if (rc || !found)
		return rc;
	rc = folder_open(t->fd, path, false, &fd, &made, e);
	if (rc)
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	rc = dir_scan_open(&scan, fd, true, e);
	if (!rc)
		rc = dir_scan_next(&scan, &entry, out, e);
	dir_scan_release(&scan);
	close(fd);
	return rc;
}
