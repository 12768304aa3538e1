/*
 * Invariants
 *  1. The window holds [start, start + len) of the file, and start never passes `hashed`: what is not in a hash yet
 *     can always be taken from the window.
 *  2. Nothing within three bytes of a place where a separator may still be found is hashed: it may become tail.
 */
#include "mbox_split.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define WINDOW_BYTES MIB
#define HELD_MAX     (WINDOW_BYTES / 2) /* a message that is longer than this is hashed as a stream */
#define SEARCH_MAX   (WINDOW_BYTES / 4) /* with HELD_MAX and a line it still fits the window */
#define HEADER_MAX   (64 * KIB)         /* Content-Length is looked for this far */
#define LOOK_BYTES   (4 * KIB)
#define LOOK_BACK    3

struct splitter {
	mbox_read read;
	void *read_ctx;
	uint8_t *window;
	uint64_t start;
	size_t len;
	bool at_end; /* the window reaches the end of the file */
	uint64_t hashed;
	struct hash_stream *hash; /* NULL while the message fits the window */
};

/* ---- window ---- */

static enum err_code refill(struct splitter *s, uint64_t from, struct err *e)
{
	size_t kept = 0, got = 0;
	enum err_code rc;

	if (from >= s->start && from <= s->start + s->len) {
		kept = (size_t)(s->start + s->len - from);
		memmove(s->window, s->window + (from - s->start), kept);
	}
	s->start = from;
	s->len = kept;
	rc = s->read(s->read_ctx, from + kept, s->window + kept, WINDOW_BYTES - kept, &got, e);
	if (rc)
		return rc;
	s->len += got;
	s->at_end = got < WINDOW_BYTES - kept;
	return ERR_OK;
}

/* The bytes from OFFSET on: at least WANT of them, fewer only at the end of the file. */
static enum err_code look(struct splitter *s, uint64_t offset, size_t want, struct span *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	assert(offset >= s->start && want <= LOOK_BYTES + HEADER_MAX);
	if (!s->at_end && offset + want > s->start + s->len)
		rc = refill(s, s->hashed < offset ? s->hashed : offset, e);
	if (rc)
		return rc;
	*out = offset < s->start + s->len
	               ? span_of(s->window + (offset - s->start), (size_t)(s->start + s->len - offset))
	               : SPAN_EMPTY;
	return ERR_OK;
}

/* Hashes up to UNTIL, which lies in the window (invariant 1). */
static enum err_code hash_until(struct splitter *s, uint64_t until, struct err *e)
{
	if (until <= s->hashed)
		return ERR_OK;
	if (!s->hash)
		s->hash = hash_stream_open();
	if (!s->hash)
		return err_no_memory(e, 600);
	hash_stream_add(s->hash, span_of(s->window + (s->hashed - s->start), (size_t)(until - s->hashed)));
	s->hashed = until;
	return ERR_OK;
}

static enum err_code hash_end(struct splitter *s, uint64_t until, uint8_t out[16], struct err *e)
{
	enum err_code rc;

	if (!s->hash) {
		hash128(span_of(s->window + (s->hashed - s->start), (size_t)(until - s->hashed)), out);
		return ERR_OK;
	}
	rc = hash_until(s, until, e);
	if (!rc)
		hash_stream_end(s->hash, out);
	hash_stream_free(&s->hash);
	return rc;
}

/* ---- separators ---- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool has_time_of_day(struct span line)
{
	for (size_t i = 1; i + 2 < line.len; i++)
		if (line.ptr[i] == ':' && is_digit(line.ptr[i - 1]) && is_digit(line.ptr[i + 1]) &&
		    is_digit(line.ptr[i + 2]))
			return true;
	return false;
}

/* The next word of *LEFT, parted by spaces; empty at the end. */
static struct span next_word(struct span *left)
{
	size_t n = 0;

	while (left->len && (left->ptr[0] == ' ' || left->ptr[0] == '\t'))
		*left = span_skip(*left, 1);
	while (n < left->len && !strchr(" \t\r\n", left->ptr[n]))
		n++;
	left->len -= n;
	left->ptr += n;
	return span_of(left->ptr - n, n);
}

static bool is_one_of(struct span word, const char *names)
{
	for (; *names; names += 3)
		if (word.len == 3 && memcmp(word.ptr, names, 3) == 0)
			return true;
	return false;
}

/* "Jan  3 01:05[:34] [zone] 1996" behind a weekday. */
static bool rest_of_date(struct span left)
{
	struct span word = next_word(&left);
	uint64_t number;

	if (!is_one_of(word, "JanFebMarAprMayJunJulAugSepOctNovDec"))
		return false;
	if (!text_number(next_word(&left), 31, &number) || number == 0)
		return false;
	if (!has_time_of_day(next_word(&left)))
		return false;
	for (int words = 0; words < 3; words++) { /* zone names may stand before the year */
		word = next_word(&left);
		if (word.len == 4 && text_number(word, 9999, &number) && number >= 1900)
			return true;
	}
	return false;
}

bool mbox_line_is_dated(struct span line)
{
	struct span left = span_skip(line, 5);
	struct span word;

	while ((word = next_word(&left)).len)
		if (is_one_of(word, "MonTueWedThuFriSatSun") && rest_of_date(left))
			return true;
	return false;
}

/* Tells whether a separator stands at OFFSET, which begins a line, and how long it is. */
static enum err_code is_separator(struct splitter *s, uint64_t offset, bool *yes, struct err *e)
{
	struct span around, line;
	const uint8_t *end;
	size_t back = (size_t)(offset - s->start < LOOK_BACK ? offset - s->start : LOOK_BACK);
	enum err_code rc = look(s, offset - back, back + MBOX_FROM_BYTES_MAX, &around, e);
	bool blank;

	*yes = false;
	if (rc)
		return rc;
	line = span_first(span_skip(around, back), MBOX_FROM_BYTES_MAX);
	if (!span_starts(line, SPAN_LIT("From ")))
		return ERR_OK;
	end = memchr(line.ptr, '\n', line.len);
	if (!end)
		return ERR_OK;
	line.len = (size_t)(end - line.ptr) + 1;
	blank = back >= 2 && line.ptr[-1] == '\n' &&
	        (line.ptr[-2] == '\n' || (back >= 3 && line.ptr[-2] == '\r' && line.ptr[-3] == '\n'));
	*yes = blank ? has_time_of_day(line) : mbox_line_is_dated(line);
	return ERR_OK;
}

/* ---- Content-Length ---- */

enum header { HEADER_CUT, HEADER_PLAIN, HEADER_LENGTH };

/* Reads the header block at the start of S: where the body begins, and the number in its last Content-Length. */
static enum header read_header(struct span s, size_t *body, uint64_t *value)
{
	struct span name = SPAN_LIT("Content-Length:");
	enum header got = HEADER_PLAIN;
	size_t at = 0;

	while (at < s.len) {
		struct span line = span_skip(s, at);
		const uint8_t *end = memchr(line.ptr, '\n', line.len);
		struct span number;

		if (!end)
			break;
		line.len = (size_t)(end - line.ptr) + 1;
		at += line.len;
		*body = at;
		if (line.len == 1 || (line.len == 2 && line.ptr[0] == '\r'))
			return got;
		if (span_starts(line, SPAN_LIT("From "))) /* no header line: the next message, most likely */
			return HEADER_PLAIN;
		if (line.len > name.len && text_equal_nocase(span_first(line, name.len), name)) {
			number = span_skip(line, name.len);
			got = text_number(next_word(&number), INT64_MAX / 2, value) ? HEADER_LENGTH : HEADER_PLAIN;
		}
	}
	return HEADER_CUT;
}

/* Tells whether a message may end at OFFSET: a separator or the end is there, at most one line end between. */
static enum err_code ends_there(struct splitter *s, uint64_t offset, bool *yes, struct err *e)
{
	uint8_t around[LOOK_BACK + MBOX_FROM_BYTES_MAX];
	size_t got = 0, at;
	const uint8_t *end;
	struct span line;
	enum err_code rc = s->read(s->read_ctx, offset - 1, around, sizeof around, &got, e);

	*yes = false;
	if (rc || got == 0)
		return rc;
	at = 1;
	if (at < got && around[at] == '\r')
		at++;
	if (at < got && around[at] == '\n')
		at++;
	if (at == got) {
		*yes = true;
		return ERR_OK;
	}
	line = span_of(around + at, got - at);
	end = memchr(line.ptr, '\n', line.len);
	if (around[at - 1] == '\n' && end && span_starts(line, SPAN_LIT("From "))) {
		line.len = (size_t)(end - line.ptr) + 1;
		*yes = mbox_line_is_dated(line);
	}
	return ERR_OK;
}

/* Before *PAST no separator counts, because the message says how long it is and keeps its word. */
static enum err_code find_length(struct splitter *s, uint64_t header, uint64_t *past, struct err *e)
{
	struct span head;
	uint64_t value = 0;
	enum header got;
	enum err_code rc;
	bool yes = false;
	size_t body = 0;

	*past = header;
	rc = look(s, header, LOOK_BYTES, &head, e);
	if (rc)
		return rc;
	got = read_header(head, &body, &value);
	if (got == HEADER_CUT && !s->at_end) {
		rc = look(s, header, HEADER_MAX, &head, e);
		got = read_header(span_first(head, HEADER_MAX), &body, &value);
	}
	if (rc || got != HEADER_LENGTH)
		return rc;
	rc = ends_there(s, header + body + value, &yes, e);
	if (!rc && yes)
		*past = header + body + value;
	return rc;
}

/* ---- messages ---- */

/* Finds the first separator at or behind FROM whose line begins at or behind PAST; the end of the file else. */
static enum err_code find_next(struct splitter *s, uint64_t from, uint64_t past, uint64_t *next, struct err *e)
{
	uint64_t at = from - 1; /* the line end before */

	for (;;) {
		const uint8_t *hit;
		struct span here;
		bool yes = false;
		enum err_code rc = ERR_OK;

		if (at - s->hashed > HELD_MAX)
			rc = hash_until(s, at - LOOK_BACK, e);
		if (!rc)
			rc = look(s, at, LOOK_BYTES, &here, e);
		if (rc)
			return rc;
		hit = here.len ? memmem(here.ptr, num_min(here.len, SEARCH_MAX), "\nFrom ", 6) : NULL;
		if (!hit) {
			if (s->at_end && here.len <= SEARCH_MAX) {
				*next = at + here.len;
				return ERR_OK;
			}
			at += num_min(here.len, SEARCH_MAX) - 5;
			continue;
		}
		at += (uint64_t)(hit - here.ptr) + 1;
		if (at >= past)
			rc = is_separator(s, at, &yes, e);
		if (rc)
			return rc;
		if (yes) {
			*next = at;
			return ERR_OK;
		}
	}
}

/* The empty line at the end of what lies between the From_ line and NEXT. */
static uint8_t tail_length(const struct splitter *s, uint64_t body, uint64_t next)
{
	const uint8_t *end = s->window + (next - s->start);
	uint64_t len = next - body;

	if (len < 1 || end[-1] != '\n')
		return 0;
	if (len == 1 || end[-2] == '\n')
		return 1;
	if (end[-2] == '\r' && (len == 2 || end[-3] == '\n'))
		return 2;
	return 0;
}

static enum err_code split_one(struct splitter *s, uint64_t offset, uint64_t *next, struct mbox_message *m,
                               struct err *e)
{
	uint64_t body, past;
	const uint8_t *end;
	struct span line;
	enum err_code rc;

	s->hashed = offset;
	*m = (struct mbox_message){ .offset = offset };
	rc = look(s, offset, LOOK_BYTES, &line, e);
	if (rc)
		return rc;
	end = memchr(line.ptr, '\n', num_min(line.len, MBOX_FROM_BYTES_MAX));
	m->from_bytes = end ? (uint32_t)(end - line.ptr) + 1 : 0;
	body = offset + m->from_bytes;
	rc = find_length(s, body, &past, e);
	/* Without a From_ line the search begins behind the "From " that stands here. */
	if (!rc)
		rc = find_next(s, end ? body : body + 5, past, next, e);
	if (rc)
		return rc;
	m->tail_bytes = tail_length(s, body, *next);
	m->body_bytes = *next - body - m->tail_bytes;
	return hash_end(s, *next - m->tail_bytes, m->hash, e);
}

enum err_code mbox_split(mbox_read read, void *read_ctx, mbox_found found, void *found_ctx, struct err *e)
{
	struct splitter s = { .read = read, .read_ctx = read_ctx };
	struct mbox_message m;
	uint64_t offset = 0, next = 0;
	struct span here;
	enum err_code rc;

	s.window = mem_alloc(WINDOW_BYTES);
	if (!s.window)
		return err_no_memory(e, WINDOW_BYTES);
	rc = look(&s, 0, LOOK_BYTES, &here, e);
	if (!rc && here.len && !span_starts(here, SPAN_LIT("From ")))
		rc = err_set(e, ERR_UNSUPPORTED, "it does not begin with \"From \", so it is not an mbox");
	while (!rc && here.len) {
		rc = split_one(&s, offset, &next, &m, e);
		if (!rc)
			rc = found(found_ctx, &m, e);
		offset = s.hashed = next;
		if (!rc)
			rc = look(&s, offset, LOOK_BYTES, &here, e);
	}
	hash_stream_free(&s.hash);
	mem_free(s.window);
	return rc;
}

enum err_code mbox_read_fd(void *ctx, uint64_t offset, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = pread(*(const int *)ctx, dst + *got, len - *got, (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot read at byte %llu", (unsigned long long)(offset + *got));
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return ERR_OK;
}

size_t mbox_key_number(uint32_t times, char out[16])
{
	/* Ten digits, so that memcmp orders the numbers. */
	return (size_t)snprintf(out, 16, "-%010u", times);
}

size_t mbox_key(const uint8_t hash[16], uint32_t times, char out[MBOX_KEY_BYTES_MAX])
{
	char number[16];
	size_t n;

	text_hex(span_of(hash, 16), out);
	if (times == 1)
		return 32;
	n = mbox_key_number(times, number);
	memcpy(out + 32, number, n + 1);
	return 32 + n;
}
