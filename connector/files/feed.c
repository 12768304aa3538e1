#include "feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/num.h"
#include "base/text.h"

#define PIECE_BYTES MIB

/* O_NOATIME is for the file's owner only: once refused, it is not asked for again. */
static atomic_bool noatime_refused;

enum err_code feed_open(int folder_fd, const char *name, int *out, struct stat *st, struct err *e)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	bool plain = atomic_load_explicit(&noatime_refused, memory_order_relaxed);
	int fd = openat(folder_fd, name, plain ? flags : flags | O_NOATIME);

	if (fd < 0 && errno == EPERM && !plain) {
		atomic_store_explicit(&noatime_refused, true, memory_order_relaxed);
		fd = openat(folder_fd, name, flags);
	}
	if (fd < 0 && errno == ELOOP)
		return err_set(e, ERR_UNSUPPORTED, "%s is a symbolic link; they are not followed",
		               text_name(span_cstr(name)).text);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", text_name(span_cstr(name)).text);
	if (fstat(fd, st) < 0) {
		int why = errno;

		close(fd);
		return err_sys(e, why, "cannot stat %s", text_name(span_cstr(name)).text);
	}
	if (!S_ISREG(st->st_mode)) {
		close(fd);
		return err_set(e, ERR_UNSUPPORTED, "%s is not a regular file", text_name(span_cstr(name)).text);
	}
	*out = fd;
	return ERR_OK;
}

enum err_code feed_file(int fd, const char *name, uint64_t size, const struct item_receiver *to, uint64_t *bytes,
                        enum item_kind *guess, struct err *e)
{
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, size, e);
	uint64_t total = 0;

	if (guess)
		*guess = item_kind_guess(span_cstr(name), SPAN_EMPTY);
	while (!rc) {
		/* One byte more than is left, so that a short read tells the end; at least one when it has grown. */
		size_t want = (size_t)(size - total < PIECE_BYTES ? size - total + 1 : PIECE_BYTES), got = 0;
		uint8_t *dst = NULL;
		ssize_t n;

		rc = to->space(to->ctx, want, &dst, &got, e);
		if (rc)
			break;
		do
			n = read(fd, dst, num_min(got, PIECE_BYTES));
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return err_sys(e, errno, "cannot read %s", text_name(span_cstr(name)).text);
		if (guess && total == 0)
			*guess = item_kind_guess(span_cstr(name), span_of(dst, (size_t)n));
		if (n > 0)
			rc = to->add(to->ctx, (size_t)n, e);
		total += (uint64_t)n;
		if (n == 0 || (total == size && (size_t)n < num_min(got, PIECE_BYTES)))
			break;
		if (total > size)
			size = total; /* it grows while we read */
	}
	*bytes = total;
	return rc;
}

enum err_code feed_range(int fd, uint64_t offset, uint64_t len, const struct item_receiver *to, struct err *e)
{
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, len, e);

	while (!rc && len) {
		uint8_t *dst = NULL;
		size_t got = 0;
		ssize_t n;

		rc = to->space(to->ctx, (size_t)(len < PIECE_BYTES ? len : PIECE_BYTES), &dst, &got, e);
		if (rc)
			break;
		do
			n = pread(fd, dst, num_min(got, (size_t)(len < PIECE_BYTES ? len : PIECE_BYTES)),
			          (off_t)offset);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return err_sys(e, errno, "cannot read at byte %llu", (unsigned long long)offset);
		if (n == 0)
			return err_set(e, ERR_VANISHED, "the file became shorter while it was read");
		rc = to->add(to->ctx, (size_t)n, e);
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return rc;
}
