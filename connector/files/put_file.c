#include "put_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/text.h"
#include "stamp.h"

#define TORN_MODE     0200
#define SCRATCH_BYTES (64 * KIB)

static _Thread_local uint8_t scratch[SCRATCH_BYTES + 1];

/* Reads LEN bytes at OFFSET into the scratch, and one more if it comes along; fewer only at the end of the file. */
static enum err_code read_some(int fd, uint64_t offset, size_t len, size_t *got, struct err *e)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = pread(fd, scratch + *got, len + 1 - *got, (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot read back");
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return ERR_OK;
}

/* What a file is beside the bytes it should hold. */
struct likeness {
	uint64_t at;
	bool differs; /* somewhere before AT */
	bool other;   /* a byte that is neither right nor a missing one */
	bool ended;   /* the file ends before AT */
	bool longer;  /* the file goes on behind AT */
};

static void compare_scratch(struct likeness *like, struct span want, size_t got)
{
	size_t i = 0;

	like->ended = got < want.len;
	like->longer = got > want.len;
	got = num_min(got, want.len);
	if (!like->differs && memcmp(scratch, want.ptr, got) == 0)
		return;
	if (!like->differs)
		while (scratch[i] == want.ptr[i])
			i++;
	like->differs = true;
	for (; i < got; i++)
		like->other |= scratch[i] != 0;
}

static enum err_code compare_piece(int fd, struct likeness *like, struct span piece, struct err *e)
{
	while (piece.len && !like->other && !like->ended) {
		struct span part = span_first(piece, SCRATCH_BYTES);
		enum err_code rc;
		size_t got;

		rc = read_some(fd, like->at, part.len, &got, e);
		if (rc)
			return rc;
		compare_scratch(like, part, got);
		like->at += part.len;
		piece = span_skip(piece, part.len);
	}
	return ERR_OK;
}

/* Compares all of FD with BODY, which is at its start. */
static enum err_code compare_all(int fd, const struct item_body *body, bool *same, bool *torn, struct err *e)
{
	struct likeness like = { 0 };
	enum err_code rc = ERR_OK;
	struct span piece;
	size_t more = 0;

	do {
		rc = body->next(body->ctx, &piece, e);
		if (!rc)
			rc = compare_piece(fd, &like, piece, e);
	} while (!rc && piece.len && !like.other && !like.ended);
	if (!rc && like.at == 0)
		rc = read_some(fd, 0, 1, &more, e);
	like.longer |= more > 0;
	*same = !rc && !like.differs && !like.ended && !like.other && !like.longer;
	*torn = !rc && !*same && !like.other && !like.longer;
	return rc;
}

enum err_code put_check_bytes(int fd, uint64_t offset, struct span want, bool *same, struct err *e)
{
	struct likeness like = { .at = offset };
	enum err_code rc = compare_piece(fd, &like, want, e);

	*same = !rc && !like.differs && !like.ended;
	return rc;
}

static bool item_time(const struct item_out *item, int64_t *ns)
{
	uint64_t value;

	if (!fields_get_u64(item->facts, FACT_TIME, &value))
		return false;
	*ns = (int64_t)value;
	return true;
}

bool put_may_be_torn(const struct stat *st, const struct item_out *item)
{
	int64_t want, have = (int64_t)((uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec);

	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size > item->bytes)
		return false;
	return (st->st_mode & 0777) == TORN_MODE || (item_time(item, &want) && want == have);
}

/* Fills FD, reads it back, and gives it time and mode. */
static enum err_code fill(int fd, const char *name, const struct item_out *item, const struct item_body *body,
                          struct err *e)
{
	struct text_name shown;
	bool same, torn;
	uint64_t mode = 0600, written = 0;
	enum err_code rc;
	struct span piece;
	int64_t time;

	do {
		rc = body->next(body->ctx, &piece, e);
		if (!rc && piece.len)
			rc = file_write(fd, "the new file", piece, e);
		written += piece.len;
	} while (!rc && piece.len);
	if (!rc)
		rc = body->rewind(body->ctx, e);
	if (!rc)
		rc = compare_all(fd, body, &same, &torn, e);
	if (!rc && (!same || written != item->bytes)) {
		shown = text_name(span_cstr(name));
		rc = err_set(e, ERR_IO, "%s: what was written does not read back the same", shown.text);
	}
	if (rc)
		return rc;
	fields_get_u64(item->facts, FACT_MODE, &mode);
	return stamp_apply(fd, name, (unsigned)mode & 0777, item_time(item, &time) ? &time : NULL, e);
}

static enum err_code make_and_fill(int folder_fd, const char *name, const struct item_out *item,
                                   const struct item_body *body, bool *exists, struct err *e)
{
	int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, TORN_MODE);
	enum err_code rc;

	*exists = fd < 0 && (errno == EEXIST || errno == ELOOP || errno == EISDIR);
	if (*exists)
		return ERR_OK;
	if (fd < 0)
		return err_sys(e, errno, "cannot make %s", text_name(span_cstr(name)).text);
	rc = fill(fd, name, item, body, e);
	if (close(fd) < 0 && !rc)
		rc = err_sys(e, errno, "cannot write %s", text_name(span_cstr(name)).text);
	if (rc)
		unlinkat(folder_fd, name, 0);
	return rc;
}

/* Writes beside NAME and renames over it. */
static enum err_code replace_file(int folder_fd, const char *name, const struct item_out *item,
                                  const struct item_body *body, struct err *e)
{
	char beside[64];
	enum err_code rc;
	bool exists;

	snprintf(beside, sizeof beside, ".mailhold-%016llx.tmp", (unsigned long long)hash64(span_cstr(name)));
	if (unlinkat(folder_fd, beside, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "cannot remove an old temporary file");
	rc = body->rewind(body->ctx, e);
	if (!rc)
		rc = make_and_fill(folder_fd, beside, item, body, &exists, e);
	if (!rc && exists)
		rc = err_set(e, ERR_EXISTS, "another process writes there, too");
	if (!rc && renameat(folder_fd, beside, folder_fd, name) < 0) {
		rc = err_sys(e, errno, "cannot replace %s", text_name(span_cstr(name)).text);
		unlinkat(folder_fd, beside, 0);
	}
	return rc;
}

/* Looks at what has the name: *SAME, or *TORN when it is our own unfinished copy. */
static enum err_code look_at(int folder_fd, const char *name, const struct item_out *item, const struct item_body *body,
                             bool *same, bool *torn, struct err *e)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum err_code rc = ERR_OK;
	struct stat st;
	bool may;

	*same = *torn = false;
	if (fd < 0) { /* mode 0200 cannot be read by its owner: told by its stats alone */
		*torn = item && errno == EACCES && fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		        st.st_uid == geteuid() && put_may_be_torn(&st, item);
		return ERR_OK;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		may = item && put_may_be_torn(&st, item);
		rc = body->rewind(body->ctx, e);
		if (!rc)
			rc = compare_all(fd, body, same, torn, e);
		/* Whole, but killed before its time and mode were set: put it again. */
		if (may && *same && (st.st_mode & 0777) == TORN_MODE)
			*same = false, *torn = true;
		*torn = *torn && may;
	}
	close(fd);
	return rc;
}

enum err_code put_compare(int folder_fd, const char *name, const struct item_body *body, bool *same, struct err *e)
{
	bool torn;

	return look_at(folder_fd, name, NULL, body, same, &torn, e);
}

enum err_code put_file(int folder_fd, const char *name, bool replace, const struct item_out *item,
                       const struct item_body *body, enum put_outcome *outcome, struct err *e)
{
	bool exists, same, torn;
	enum err_code rc;

	rc = body->rewind(body->ctx, e);
	if (!rc)
		rc = make_and_fill(folder_fd, name, item, body, &exists, e);
	if (!rc && exists) {
		rc = look_at(folder_fd, name, item, body, &same, &torn, e);
		if (rc)
			return rc;
		if (same || !(torn || replace)) {
			*outcome = same ? PUT_SAME : PUT_OTHER;
			return ERR_OK;
		}
		rc = replace_file(folder_fd, name, item, body, e);
	}
	if (!rc)
		*outcome = PUT_WROTE;
	return rc;
}

enum err_code put_small(int folder_fd, const char *name, struct span content, unsigned mode, const int64_t *mtime_ns,
                        bool *other, struct err *e)
{
	int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum err_code rc = ERR_OK;
	struct stat st;

	*other = false;
	if (fd < 0 && errno == EEXIST) {
		fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		*other = fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != content.len;
		if (!*other) {
			rc = put_check_bytes(fd, 0, content, other, e);
			*other = !*other;
		}
	} else if (fd < 0) {
		return err_sys(e, errno, "cannot make %s", text_name(span_cstr(name)).text);
	} else {
		rc = file_write(fd, name, content, e);
		if (!rc)
			rc = stamp_apply(fd, name, mode, mtime_ns, e);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}
