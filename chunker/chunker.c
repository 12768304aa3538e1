/*
 * The splitter, in push mode. Input is looked at through windows: either the caller's bytes themselves or, where a
 * decision needs bytes that have not come yet, a small carry buffer. Every step gets SCAN_LOOK bytes or the end of
 * the item, so that nothing depends on how the item was fed.
 *
 * Text that is not yet given away lies in the part buffer followed by [text, here) of the window. Small items are thus
 * copied once, into the carry; large texts not at all, as long as they come in one piece.
 */
#include "base/mem.h"
#include "base/num.h"
#include "base64.h"
#include "cut.h"
#include "scan.h"

#include <inttypes.h>

#define CARRY_BYTES         (2 * SCAN_LOOK)
#define PART_BYTES          (2 * CHUNKER_CHUNK_BYTES_MAX)
#define LINE_ROOM           KIB         /* the decoded bytes of one step fit the part buffer */
#define HEADER_BYTES_MAX    (256 * KIB) /* a longer header block is no header but text */
#define HEADER_NAME_MAX     128         /* a field name is found within so many bytes, or this is no header */
#define LITERAL_BYTES_MAX   MIB         /* once so much is inline, every text becomes a part */
#define TEXT_PART_BYTES_MIN (2 * KIB)   /* measured: docs/decisions/0002-text-threshold.md */

enum state {
	STATE_START,  /* nothing seen */
	STATE_HEADER, /* inside the header block */
	STATE_TEXT,   /* body: looking for base64 runs */
	STATE_RUN,    /* inside a base64 run */
	STATE_REST    /* no operation is left for more runs: all that comes is text */
};

/* The part that is being gathered. Invariant: bytes = what was emitted + len. */
struct part {
	uint8_t *buf; /* PART_BYTES + BASE64_SLACK */
	size_t len;
	uint64_t bytes;
	uint32_t chunks;
};

/* The run that is being decoded. The window stands REST characters before the line end of its last line. */
struct run {
	struct wrap wrap;
	size_t rest; /* 0..3 characters whose group ends in the next line */
	bool begun;  /* the first line is behind us */
};

struct chunker {
	struct chunker_params params;
	chunker_emit emit;
	void *ctx;
	enum state state;
	bool in_line; /* the scanner stands inside a line */
	bool failed;
	size_t header_left;
	uint64_t total;
	uint64_t literal_pending; /* literal bytes that are in LITERALS and not yet in an operation */
	uint32_t op_count;
	struct buf ops;
	struct buf literals;
	struct part part;
	struct run run;
	size_t carry_len;
	uint8_t carry[CARRY_BYTES];
};

/* ---- parts ---- */

static enum err_code part_emit(struct chunker *c, enum chunk_kind kind, struct span bytes, struct err *e)
{
	c->part.chunks++;
	return c->emit(c->ctx, kind, bytes, e);
}

/* Cuts BYTES of a large part and tells how many were given away: all of them at the part's END. */
static enum err_code part_cut(struct chunker *c, enum chunk_kind kind, struct span bytes, bool end, size_t *given,
                              struct err *e)
{
	size_t done = 0;
	enum err_code rc = ERR_OK;

	while (!rc && (bytes.len - done >= CHUNKER_CHUNK_BYTES_MAX || (end && done < bytes.len))) {
		size_t n = cut_length(c->params.gear, bytes.ptr + done, bytes.len - done);

		rc = part_emit(c, kind, span_of(bytes.ptr + done, n), e);
		done += n;
	}
	*given = done;
	return rc;
}

/* Gives away chunks of a full buffer and moves the rest to its start. */
static enum err_code part_drain(struct chunker *c, enum chunk_kind kind, struct err *e)
{
	struct part *p = &c->part;
	size_t given;
	enum err_code rc = part_cut(c, kind, span_of(p->buf, p->len), false, &given, e);

	if (rc)
		return rc;
	memmove(p->buf, p->buf + given, p->len - given);
	p->len -= given;
	return ERR_OK;
}

static enum err_code part_add(struct chunker *c, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct part *p = &c->part;
	enum err_code rc = ERR_OK;

	p->bytes += bytes.len;
	if (p->len == 0 && bytes.len >= CHUNKER_CHUNK_BYTES_MAX) {
		size_t given;

		rc = part_cut(c, kind, bytes, false, &given, e);
		bytes = span_skip(bytes, given);
	}
	while (!rc && bytes.len) {
		size_t n = num_min(bytes.len, PART_BYTES - p->len);

		memcpy(p->buf + p->len, bytes.ptr, n);
		p->len += n;
		bytes = span_skip(bytes, n);
		if (p->len == PART_BYTES)
			rc = part_drain(c, kind, e);
	}
	return rc;
}

static enum err_code op_add(struct chunker *c, const struct recipe_op *op, struct err *e)
{
	struct wr w = wr_to(&c->ops, e);

	if (c->literal_pending) {
		recipe_op_encode(&w, &(struct recipe_op){ .code = RECIPE_LITERAL, .bytes = c->literal_pending });
		c->literal_pending = 0;
		c->op_count++;
	}
	if (op) {
		recipe_op_encode(&w, op);
		c->op_count++;
	}
	return wr_end(&w);
}

/* Ends the part with LAST, which stands behind what the buffer holds, and writes its operation. */
static enum err_code part_end(struct chunker *c, enum chunk_kind kind, struct span last, const struct wrap *wrap,
                              struct err *e)
{
	struct part *p = &c->part;
	struct recipe_op op = { .code = wrap ? RECIPE_BASE64 : RECIPE_PART };
	enum err_code rc = ERR_OK;
	size_t given;

	if (p->bytes) {
		rc = part_add(c, kind, last, e);
		last = span_of(p->buf, p->len);
	} else {
		p->bytes = last.len;
	}
	if (!rc && p->bytes < CHUNKER_CUT_PART_BYTES_MIN)
		rc = part_emit(c, kind, last, e);
	else if (!rc)
		rc = part_cut(c, kind, last, true, &given, e);
	op.bytes = p->bytes;
	op.chunks = p->chunks;
	if (wrap)
		op.wrap = *wrap;
	p->len = p->chunks = 0;
	p->bytes = 0;
	return rc ? rc : op_add(c, &op, e);
}

/* Ends a text with LAST: inline when it is short or the header block, else a part of its own. */
static enum err_code text_end(struct chunker *c, struct span last, bool header, struct err *e)
{
	struct part *p = &c->part;
	uint64_t bytes = p->bytes + last.len;
	enum err_code rc;

	if (bytes == 0)
		return ERR_OK;
	if (!header && (bytes >= TEXT_PART_BYTES_MIN || c->literals.len >= LITERAL_BYTES_MAX))
		return part_end(c, CHUNK_TEXT, last, NULL, e);
	rc = buf_append(&c->literals, span_of(p->buf, p->len), e);
	if (!rc)
		rc = buf_append(&c->literals, last, e);
	c->literal_pending += bytes;
	p->len = 0;
	p->bytes = 0;
	return rc;
}

/* ---- header block ---- */

/* "Name:" with a name of printable characters, or a line that mbox puts first. */
static bool begins_header(struct span s)
{
	size_t n = num_min(s.len, HEADER_NAME_MAX), i = 0;

	if (span_starts(s, SPAN_LIT("From ")) || span_starts(s, SPAN_LIT(">From ")))
		return true;
	while (i < n && s.ptr[i] > ' ' && s.ptr[i] < 0x7f && s.ptr[i] != ':')
		i++;
	while (i > 0 && i < n && (s.ptr[i] == ' ' || s.ptr[i] == '\t'))
		i++;
	if (i == 0 || i >= n || s.ptr[i] != ':')
		return false;
	/* vCard and iCalendar begin with a line that looks like a field, have no empty line, and hold folded base64. */
	return !(i == 5 && (s.ptr[0] | 0x20) == 'b' && (s.ptr[1] | 0x20) == 'e' && (s.ptr[2] | 0x20) == 'g' &&
	         (s.ptr[3] | 0x20) == 'i' && (s.ptr[4] | 0x20) == 'n');
}

/* Walks the header block; at its end, or when it grows too long, the state changes. */
static enum err_code header_step(struct chunker *c, struct scan_window *w, const uint8_t **text, struct err *e)
{
	while (w->p < w->end && (w->final || w->end - w->p >= (ptrdiff_t)SCAN_LOOK)) {
		size_t n = num_min((size_t)(w->end - w->p), c->header_left);
		size_t eol = c->in_line ? 0 : scan_line_end(w->p, w->end);
		const uint8_t *lf;

		if (eol) {
			w->p += eol;
			c->state = STATE_TEXT;
			eol = (size_t)(w->p - *text);
			*text = w->p;
			return text_end(c, span_of(w->p - eol, eol), true, e);
		}
		if (n == 0) {
			c->state = STATE_TEXT;
			return ERR_OK;
		}
		lf = memchr(w->p, '\n', n);
		n = lf ? (size_t)(lf + 1 - w->p) : n;
		c->in_line = !lf;
		c->header_left -= n;
		w->p += n;
	}
	return ERR_OK;
}

/* ---- base64 runs ---- */

static enum err_code run_end(struct chunker *c, struct err *e)
{
	struct wrap *wrap = &c->run.wrap;

	c->state = STATE_TEXT;
	c->in_line = !wrap->tail;
	if (!wrap->line && !wrap->tail)
		wrap->crlf = false;
	return part_end(c, CHUNK_BINARY, SPAN_EMPTY, wrap, e);
}

static void run_took(struct chunker *c, size_t decoded)
{
	c->part.len += decoded;
	c->part.bytes += decoded;
}

/* Ends a run before the line that follows: with its line end when the last group is whole, else before that group. */
static enum err_code run_end_before_line(struct chunker *c, struct scan_window *w, struct err *e)
{
	struct run *run = &c->run;

	run->wrap.tail = run->rest == 0;
	if (run->wrap.tail)
		w->p += run->wrap.crlf ? 2 : 1;
	return run_end(c, e);
}

/* The last line of a run, at Q behind the REST characters at W->p, whole or padded or neither; ends the run. */
static enum err_code run_last_line(struct chunker *c, struct scan_window *w, const uint8_t *q, struct err *e)
{
	struct run *run = &c->run;
	uint8_t line[WRAP_LINE_MAX + 8], last[2];
	uint8_t *dst = c->part.buf + c->part.len;
	size_t chars, pads, total, quads, left, n = 0;

	if (!scan_last_line(q, w->end, w->final, run->wrap.line, &chars, &pads))
		return run_end_before_line(c, w, e);
	memcpy(line, w->p, run->rest);
	memcpy(line + run->rest, q, chars);
	total = run->rest + chars;
	quads = total / 4;
	left = total % 4;
	if (left + pads == 4)
		n = base64_decode_last(line + 4 * quads, left, last);
	if (quads == 0 && n == 0)
		return run_end_before_line(c, w, e);
	base64_decode(line, quads, dst);
	memcpy(dst + 3 * quads, last, n);
	run_took(c, 3 * quads + n);
	if (n || (left == 0 && pads == 0)) {
		size_t eol;

		w->p = q + chars + pads;
		eol = scan_line_end(w->p, w->end);
		run->wrap.tail = eol == (run->wrap.crlf ? 2u : 1u);
		w->p += run->wrap.tail ? eol : 0;
	} else {
		w->p = q + chars - left; /* what is not a whole group, or not canonical, is text */
		run->wrap.tail = false;
	}
	return run_end(c, e);
}

/* One full line at Q behind the REST characters at W->p. False, and nothing moved, when it is not full. */
static bool run_full_line(struct chunker *c, struct scan_window *w, const uint8_t *q)
{
	struct run *run = &c->run;
	size_t line = run->wrap.line, head = run->rest ? 4 - run->rest : 0;
	size_t quads = (line - head) / 4, rest = (line - head) % 4;
	uint8_t *dst = c->part.buf + c->part.len;

	if (scan_line_end(q + line, w->end) != (run->wrap.crlf ? 2u : 1u))
		return false;
	if (head) {
		uint8_t group[4];

		memcpy(group, w->p, run->rest);
		memcpy(group + run->rest, q, head);
		if (base64_decode(group, 1, dst) != 1)
			return false;
		dst += 3;
	}
	if (base64_decode(q + head, quads, dst) != quads || base64_span(q + line - rest, rest) != rest)
		return false;
	run_took(c, (head ? 3 : 0) + 3 * quads);
	run->rest = rest;
	w->p = q + line - rest;
	return true;
}

/* Lines of a wrapped run, as many as the window and the part buffer have room for. */
static enum err_code run_lines(struct chunker *c, struct scan_window *w, struct err *e)
{
	struct run *run = &c->run;
	size_t eol = run->wrap.crlf ? 2 : 1;

	if (!run->begun) {
		size_t quads = run->wrap.first / 4;

		base64_decode(w->p, quads, c->part.buf + c->part.len);
		run_took(c, 3 * quads);
		w->p += 4 * quads;
		run->rest = run->wrap.first % 4;
		run->begun = true;
	}
	while (c->part.len + LINE_ROOM <= PART_BYTES && (w->final || w->end - w->p >= (ptrdiff_t)SCAN_LOOK)) {
		const uint8_t *q = w->p + run->rest + eol;

		if (run->wrap.prefix) {
			if (q >= w->end || *q != run->wrap.prefix)
				return run_end_before_line(c, w, e);
			q++;
		}
		if ((size_t)(w->end - q) < run->wrap.line || !run_full_line(c, w, q))
			return run_last_line(c, w, q, e);
	}
	return ERR_OK;
}

/* A run in one long line, which ends where its characters do. */
static enum err_code run_long_line(struct chunker *c, struct scan_window *w, struct err *e)
{
	size_t keep = w->final ? 0 : 16; /* the last group and the line end must be seen together */
	size_t room = (PART_BYTES - c->part.len) / 3;
	size_t quads = num_min(((size_t)(w->end - w->p) - keep) / 4, room);
	size_t done = base64_decode(w->p, quads, c->part.buf + c->part.len);
	size_t left, pads = 0, eol, n;
	uint8_t last[2];

	run_took(c, 3 * done);
	w->p += 4 * done;
	if (done == quads && (!w->final || quads == room))
		return ERR_OK;
	left = base64_span(w->p, num_min((size_t)(w->end - w->p), 4));
	while (pads < 2 && w->p + left + pads < w->end && w->p[left + pads] == '=')
		pads++;
	n = left + pads == 4 ? base64_decode_last(w->p, left, last) : 0;
	memcpy(c->part.buf + c->part.len, last, n);
	run_took(c, n);
	w->p += n ? 4 : 0;
	eol = n || left == 0 ? scan_line_end(w->p, w->end) : 0;
	c->run.wrap.tail = eol != 0;
	c->run.wrap.crlf = eol == 2;
	w->p += eol;
	return run_end(c, e);
}

static enum err_code run_step(struct chunker *c, struct scan_window *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (c->part.len + LINE_ROOM > PART_BYTES)
		rc = part_drain(c, CHUNK_BINARY, e);
	if (rc)
		return rc;
	return c->run.wrap.line ? run_lines(c, w, e) : run_long_line(c, w, e);
}

/* ---- the stream ---- */

static enum err_code text_step(struct chunker *c, struct scan_window *w, const uint8_t **text, struct err *e)
{
	struct wrap wrap;
	enum err_code rc;

	if (c->op_count + 4 >
	    CHUNKER_OPS_MAX) { /* a literal or part, a run, and one more for the rest, with one spare */
		c->state = STATE_REST;
		return ERR_OK;
	}
	if (!scan_text(w, &c->in_line, &wrap))
		return ERR_OK;
	rc = text_end(c, span_of(*text, (size_t)(w->p - *text)), false, e);
	c->run = (struct run){ .wrap = wrap };
	c->state = STATE_RUN;
	return rc;
}

static void start(struct chunker *c, struct span s)
{
	c->in_line = false;
	c->state = begins_header(s) ? STATE_HEADER : STATE_TEXT;
}

/* Works on a window until more bytes are needed, and tells how many were used. */
static enum err_code process(struct chunker *c, struct span bytes, bool final, size_t *used, struct err *e)
{
	struct scan_window w = { bytes.ptr, bytes.ptr + bytes.len, final };
	const uint8_t *text = bytes.ptr; /* not yet given away: [text, w.p), unless in a run */
	enum err_code rc = ERR_OK;

	while (!rc && w.p < w.end && (final || w.end - w.p >= (ptrdiff_t)SCAN_LOOK)) {
		switch (c->state) {
		case STATE_START:
			start(c, bytes);
			break;
		case STATE_HEADER:
			rc = header_step(c, &w, &text, e);
			break;
		case STATE_TEXT:
			rc = text_step(c, &w, &text, e);
			break;
		case STATE_RUN:
			rc = run_step(c, &w, e);
			text = w.p;
			break;
		case STATE_REST:
			w.p = w.end;
			break;
		}
	}
	if (!rc && final) {
		if (c->state == STATE_RUN)
			rc = run_end(c, e);
		else
			rc = text_end(c, span_of(text, (size_t)(w.p - text)), c->state == STATE_HEADER, e);
	} else if (!rc && c->state != STATE_RUN && w.p > text) {
		rc = part_add(c, CHUNK_TEXT, span_of(text, (size_t)(w.p - text)), e);
	}
	*used = (size_t)(w.p - bytes.ptr);
	return rc;
}

enum err_code chunker_open(const struct chunker_params *params, struct chunker **out, struct err *e)
{
	struct chunker *c = mem_zalloc(1, sizeof *c);

	if (!c)
		return err_no_memory(e, sizeof *c);
	c->part.buf = mem_alloc(PART_BYTES + BASE64_SLACK);
	if (!c->part.buf) {
		mem_free(c);
		return err_no_memory(e, PART_BYTES + BASE64_SLACK);
	}
	c->params = *params;
	c->ops.max = c->literals.max = CHUNKER_RECIPE_BYTES_MAX;
	c->failed = true; /* until _begin */
	*out = c;
	return ERR_OK;
}

void chunker_begin(struct chunker *c, chunker_emit emit, void *ctx)
{
	c->emit = emit;
	c->ctx = ctx;
	c->state = STATE_START;
	c->in_line = c->failed = false;
	c->header_left = HEADER_BYTES_MAX;
	c->total = c->literal_pending = 0;
	c->op_count = 0;
	buf_clear(&c->ops);
	buf_clear(&c->literals);
	c->part.len = c->part.chunks = 0;
	c->part.bytes = 0;
	c->carry_len = 0;
}

/* Tops up the carry; once it is full, works on it and steps back in BYTES to what it did not use. */
static enum err_code feed_carry(struct chunker *c, struct span *bytes, struct err *e)
{
	size_t take = num_min(bytes->len, CARRY_BYTES - c->carry_len), used, rest;
	enum err_code rc;

	memcpy(c->carry + c->carry_len, bytes->ptr, take);
	c->carry_len += take;
	*bytes = (struct span){ bytes->ptr + take, bytes->len - take };
	if (c->carry_len < CARRY_BYTES)
		return ERR_OK;
	rc = process(c, span_of(c->carry, CARRY_BYTES), false, &used, e);
	if (rc)
		return rc;
	rest = CARRY_BYTES - used;
	if (rest <= take) {
		*bytes = (struct span){ bytes->ptr - rest, bytes->len + rest };
		c->carry_len = 0;
	} else {
		memmove(c->carry, c->carry + used, rest);
		c->carry_len = rest;
	}
	return ERR_OK;
}

enum err_code chunker_feed(struct chunker *c, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t used;

	if (c->failed)
		return err_set(e, ERR_STATE, "the chunker has no item stream");
	c->total += bytes.len;
	if (c->total > CHUNKER_ITEM_BYTES_MAX)
		rc = err_set(e, ERR_LIMIT, "item of more than %" PRIu64 " bytes", CHUNKER_ITEM_BYTES_MAX);
	while (!rc && bytes.len) {
		if (c->carry_len || bytes.len < CARRY_BYTES) {
			rc = feed_carry(c, &bytes, e);
		} else {
			rc = process(c, bytes, false, &used, e);
			if (!rc)
				bytes = span_skip(bytes, used);
		}
	}
	c->failed = rc != ERR_OK;
	return rc;
}

enum err_code chunker_finish(struct chunker *c, struct buf *recipe, struct err *e)
{
	size_t used;
	struct wr w = wr_to(recipe, e);
	enum err_code rc;

	if (c->failed)
		return err_set(e, ERR_STATE, "the chunker has no item stream");
	c->failed = true;
	rc = process(c, span_of(c->carry, c->carry_len), true, &used, e);
	if (!rc)
		rc = op_add(c, NULL, e);
	if (rc)
		return rc;
	rc = buf_reserve(recipe, 24 + c->ops.len + c->literals.len, e);
	if (rc)
		return rc;
	wr_u8(&w, RECIPE_VERSION);
	wr_var(&w, c->total);
	wr_var(&w, c->op_count);
	wr_bytes(&w, buf_span(&c->ops));
	wr_bytes(&w, buf_span(&c->literals));
	return wr_end(&w);
}

void chunker_free(struct chunker **c)
{
	if (!*c)
		return;
	buf_release(&(*c)->ops);
	buf_release(&(*c)->literals);
	mem_free((*c)->part.buf);
	mem_free(*c);
	*c = NULL;
}
