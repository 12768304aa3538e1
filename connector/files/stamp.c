#include "stamp.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"

#define VERSION       1
#define SETTLED_AFTER 2000000000
#define COUNT_MAX     8
#define STAT_BYTES    40

static int64_t ns_of(struct timespec t)
{
	return (int64_t)((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

int64_t stamp_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ns_of(now);
}

static void put_stat(struct wr *w, const struct stat *st)
{
	wr_u64(w, (uint64_t)st->st_dev);
	wr_u64(w, (uint64_t)st->st_ino);
	wr_u64(w, (uint64_t)ns_of(st->st_mtim));
	wr_u64(w, (uint64_t)ns_of(st->st_ctim));
	/* A folder's size follows from its content, but not stably on every file system. */
	wr_u64(w, S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0);
}

enum err_code stamp_encode(const struct stat *stats, size_t count, int64_t now_ns, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);
	bool settled = true;

	assert(count <= COUNT_MAX);
	for (size_t i = 0; i < count; i++) {
		int64_t mtime = ns_of(stats[i].st_mtim), ctime = ns_of(stats[i].st_ctim);

		if (now_ns < SETTLED_AFTER || mtime > now_ns - SETTLED_AFTER || ctime > now_ns - SETTLED_AFTER)
			settled = false;
	}
	wr_u8(&w, VERSION);
	wr_u8(&w, settled);
	wr_u8(&w, (uint8_t)count);
	for (size_t i = 0; i < count; i++)
		put_stat(&w, &stats[i]);
	return wr_end(&w);
}

bool stamp_unchanged(struct span cursor, const struct stat *stats, size_t count)
{
	struct rd r = rd_of(cursor);
	bool same;

	same = rd_u8(&r) == VERSION && rd_u8(&r) == 1 && rd_u8(&r) == count;
	for (size_t i = 0; i < count && same; i++) {
		uint64_t dev = rd_u64(&r), ino = rd_u64(&r), mtime = rd_u64(&r), ctime = rd_u64(&r), size = rd_u64(&r);

		same = dev == (uint64_t)stats[i].st_dev && ino == (uint64_t)stats[i].st_ino &&
		       mtime == (uint64_t)ns_of(stats[i].st_mtim) && ctime == (uint64_t)ns_of(stats[i].st_ctim) &&
		       size == (S_ISREG(stats[i].st_mode) ? (uint64_t)stats[i].st_size : 0);
	}
	return same && rd_done(&r);
}

struct stamp_text stamp_text(const struct stat *st)
{
	struct stamp_text out;

	snprintf(out.text, sizeof out.text, "%o %lld", (unsigned)st->st_mode & 0777, (long long)ns_of(st->st_mtim));
	return out;
}

bool stamp_parse_mode(struct span text, unsigned *mode)
{
	unsigned got = 0;

	if (text.len < 1 || text.len > 4)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '7')
			return false;
		got = got << 3 | (unsigned)(text.ptr[i] - '0');
	}
	*mode = got & 0777;
	return true;
}

bool stamp_parse(struct span text, unsigned *mode, int64_t *mtime_ns)
{
	const uint8_t *space = text.len ? memchr(text.ptr, ' ', text.len) : NULL;
	struct span number;
	bool negative;
	uint64_t value;

	if (!space || !stamp_parse_mode(span_of(text.ptr, (size_t)(space - text.ptr)), mode))
		return false;
	number = span_skip(text, (size_t)(space - text.ptr) + 1);
	negative = number.len && number.ptr[0] == '-';
	if (!text_number(span_skip(number, negative), INT64_MAX, &value))
		return false;
	*mtime_ns = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

enum err_code stamp_apply(int fd, const char *name, unsigned mode, const int64_t *mtime_ns, struct err *e)
{
	if (mtime_ns) {
		int64_t ns = *mtime_ns % 1000000000, s = *mtime_ns / 1000000000 - (ns < 0);
		struct timespec times[2] = { { 0, UTIME_OMIT }, { (time_t)s, (long)(ns < 0 ? ns + 1000000000 : ns) } };

		if (futimens(fd, times) < 0)
			return err_sys(e, errno, "cannot set the time of %s", text_name(span_cstr(name)).text);
	}
	if (fchmod(fd, mode) < 0)
		return err_sys(e, errno, "cannot set the mode of %s", text_name(span_cstr(name)).text);
	return ERR_OK;
}
