#include "recipe_internal.h"
#include "base/num.h"
#include "base/rd.h"
#include "base64.h"
#include "cut.h"

#include <inttypes.h>

enum {
	FLAG_PREFIX = 3, /* 0 none, 1 SP, 2 TAB */
	FLAG_CRLF = 4,
	FLAG_TAIL = 8,
	FLAG_WRAPPED = 16,
	FLAG_ALL = 31
};

void recipe_op_encode(struct wr *w, const struct recipe_op *op)
{
	const struct wrap *wrap = &op->wrap;
	unsigned prefix = wrap->prefix == ' ' ? 1 : wrap->prefix == '\t' ? 2 : 0;

	wr_u8(w, (uint8_t)op->code);
	if (op->code == RECIPE_BASE64) {
		wr_u8(w, (uint8_t)(prefix | (wrap->crlf ? FLAG_CRLF : 0) | (wrap->tail ? FLAG_TAIL : 0) |
		                   (wrap->line ? FLAG_WRAPPED : 0)));
		if (wrap->line) {
			wr_var(w, wrap->first);
			wr_var(w, wrap->line);
		}
	}
	if (op->code != RECIPE_LITERAL)
		wr_var(w, op->chunks);
	wr_var(w, op->bytes);
}

uint64_t recipe_op_length(const struct recipe_op *op)
{
	const struct wrap *wrap = &op->wrap;
	uint64_t eol = wrap->crlf ? 2 : 1;
	uint64_t chars, breaks = 0;

	if (op->code != RECIPE_BASE64)
		return op->bytes;
	chars = (op->bytes + 2) / 3 * 4; /* no sum here can wrap: bytes is at most CHUNKER_ITEM_BYTES_MAX */
	if (wrap->line && chars > wrap->first)
		breaks = (chars - wrap->first + wrap->line - 1) / wrap->line;
	return chars + breaks * (eol + (wrap->prefix ? 1 : 0)) + (wrap->tail ? eol : 0);
}

/* ---- reading and checking ---- */

static bool wrap_decode(struct rd *r, struct wrap *out)
{
	uint8_t flags = rd_u8(r);
	uint64_t first = 0, line = 0;

	if (flags & FLAG_WRAPPED) {
		first = rd_var(r);
		line = rd_var(r);
		if (first < 1 || first > WRAP_LINE_MAX || line < WRAP_LINE_MIN || line > WRAP_LINE_MAX)
			return false;
	} else if ((flags & FLAG_PREFIX) || ((flags & FLAG_CRLF) && !(flags & FLAG_TAIL))) {
		return false; /* one encoding for one meaning */
	}
	if (flags > FLAG_ALL || (flags & FLAG_PREFIX) == FLAG_PREFIX)
		return false;
	*out = (struct wrap){ (uint16_t)first, (uint16_t)line,
		              (uint8_t)((flags & FLAG_PREFIX) == 0   ? 0
		                        : (flags & FLAG_PREFIX) == 1 ? ' '
		                                                     : '\t'),
		              (flags & FLAG_CRLF) != 0, (flags & FLAG_TAIL) != 0 };
	return true;
}

/* One operation with every number inside its limit. Unknown codes are ERR_UNSUPPORTED. */
static enum err_code op_decode(struct rd *r, struct recipe_op *out, struct err *e)
{
	struct recipe_op op = { 0 };
	uint8_t code = rd_u8(r);
	uint64_t chunks = 0;

	if (!r->bad && (code < RECIPE_LITERAL || code > RECIPE_BASE64))
		return err_set(e, ERR_UNSUPPORTED, "recipe has unknown operation %u", code);
	op.code = (enum recipe_code)code;
	if (op.code == RECIPE_BASE64 && !wrap_decode(r, &op.wrap))
		return err_set(e, ERR_CORRUPT, "recipe has impossible line parameters");
	if (op.code != RECIPE_LITERAL)
		chunks = rd_var(r);
	op.bytes = rd_var(r);
	if (r->bad)
		return err_set(e, ERR_CORRUPT, "recipe is cut short");
	if (op.bytes < 1 || op.bytes > CHUNKER_ITEM_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "recipe operation claims %" PRIu64 " bytes", op.bytes);
	if (op.code != RECIPE_LITERAL && (chunks < (op.bytes + CHUNKER_CHUNK_BYTES_MAX - 1) / CHUNKER_CHUNK_BYTES_MAX ||
	                                  chunks > (op.bytes - 1) / CUT_MIN + 1))
		return err_set(e, ERR_CORRUPT, "recipe operation claims %" PRIu64 " chunks for %" PRIu64 " bytes",
		               chunks, op.bytes);
	op.chunks = (uint32_t)chunks;
	*out = op;
	return ERR_OK;
}

struct recipe_head {
	struct rd ops; /* at the first operation */
	uint32_t op_count;
	uint64_t total_bytes;
};

static enum err_code head_decode(struct span recipe, struct recipe_head *out, struct err *e)
{
	struct rd r = rd_of(recipe);
	uint8_t version;
	uint64_t total, count;

	if (recipe.len > CHUNKER_RECIPE_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "recipe of %zu bytes", recipe.len);
	version = rd_u8(&r);
	if (!r.bad && version != RECIPE_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "recipe has version %u", version);
	total = rd_var(&r);
	count = rd_var(&r);
	if (r.bad)
		return err_set(e, ERR_CORRUPT, "recipe is cut short");
	if (total > CHUNKER_ITEM_BYTES_MAX || count > CHUNKER_OPS_MAX)
		return err_set(e, ERR_CORRUPT, "recipe claims %" PRIu64 " bytes in %" PRIu64 " operations", total,
		               count);
	*out = (struct recipe_head){ r, (uint32_t)count, total };
	return ERR_OK;
}

/* Checks everything; LITERALS is what stands behind the operations. */
static enum err_code recipe_read(struct span recipe, struct recipe_head *head, struct recipe_info *info,
                                 struct span *literals, struct err *e)
{
	uint64_t total = 0, literal = 0, chunks = 0;
	struct recipe_op op;
	struct rd r;
	enum err_code rc;

	rc = head_decode(recipe, head, e);
	if (rc)
		return rc;
	r = head->ops;
	for (uint32_t i = 0; i < head->op_count; i++) {
		rc = op_decode(&r, &op, e);
		if (rc)
			return rc;
		total += recipe_op_length(&op); /* below 2^16 * 2^35: cannot wrap */
		chunks += op.chunks;
		if (op.code == RECIPE_LITERAL)
			literal += op.bytes;
	}
	if (literal != r.left.len)
		return err_set(e, ERR_CORRUPT, "recipe has %zu literal bytes, its operations use %" PRIu64, r.left.len,
		               literal);
	if (total != head->total_bytes)
		return err_set(e, ERR_CORRUPT, "recipe makes %" PRIu64 " bytes, and says %" PRIu64, total,
		               head->total_bytes);
	*literals = r.left;
	*info = (struct recipe_info){ total, (uint32_t)chunks }; /* chunks <= total / CUT_MIN + op_count */
	return ERR_OK;
}

enum err_code recipe_check(struct span recipe, struct recipe_info *out, struct err *e)
{
	struct recipe_head head;
	struct recipe_info info;
	struct span literals;
	enum err_code rc = recipe_read(recipe, &head, &info, &literals, e);

	if (!rc)
		*out = info;
	return rc;
}

/* ---- joining ---- */

#define ENCODE_BYTES 6144 /* raw bytes encoded at once; a multiple of 3 */

/* Encodes a run piece by piece. CHARS_LEFT counts down to the next line end. */
struct wrapper {
	const struct wrap *wrap;
	size_t chars_left;
	uint8_t held[3]; /* bytes waiting for the rest of their group */
	size_t held_count;
	recipe_write write;
	void *ctx;
	size_t out_len;
	uint8_t out[16 * KIB];
};

static enum err_code wrapper_flush(struct wrapper *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->out_len)
		rc = w->write(w->ctx, span_of(w->out, w->out_len), e);
	w->out_len = 0;
	return rc;
}

static void wrapper_line_end(struct wrapper *w)
{
	if (w->wrap->crlf)
		w->out[w->out_len++] = '\r';
	w->out[w->out_len++] = '\n';
}

/* Characters of whole groups into lines. A line end is only written when another character follows it. */
static void wrapper_put(struct wrapper *w, const uint8_t *chars, size_t n)
{
	while (n) {
		size_t now;

		if (w->wrap->line && w->chars_left == 0) {
			wrapper_line_end(w);
			if (w->wrap->prefix)
				w->out[w->out_len++] = w->wrap->prefix;
			w->chars_left = w->wrap->line;
		}
		now = w->wrap->line ? num_min(n, w->chars_left) : n;
		memcpy(w->out + w->out_len, chars, now);
		w->out_len += now;
		w->chars_left -= w->wrap->line ? now : 0;
		chars += now;
		n -= now;
	}
}

/* Encodes N bytes: whole groups, or with LAST the end of the run. N <= ENCODE_BYTES, so OUT holds the worst wrapping.
 */
static enum err_code wrapper_encode(struct wrapper *w, const uint8_t *bytes, size_t n, struct err *e)
{
	uint8_t chars[ENCODE_BYTES / 3 * 4];
	size_t count = base64_encode(bytes, n, chars);

	if (w->out_len + count + count / WRAP_LINE_MIN * 3 + 16 > sizeof w->out) {
		enum err_code rc = wrapper_flush(w, e);

		if (rc)
			return rc;
	}
	wrapper_put(w, chars, count);
	return ERR_OK;
}

static enum err_code wrapper_add(struct wrapper *w, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (w->held_count && w->held_count < 3 && bytes.len) {
		w->held[w->held_count++] = bytes.ptr[0];
		bytes = span_skip(bytes, 1);
	}
	if (w->held_count == 3) {
		rc = wrapper_encode(w, w->held, 3, e);
		w->held_count = 0;
	}
	while (!rc && bytes.len >= 3) {
		size_t n = num_min(bytes.len - bytes.len % 3, ENCODE_BYTES);

		rc = wrapper_encode(w, bytes.ptr, n, e);
		bytes = span_skip(bytes, n);
	}
	if (!rc && bytes.len) {
		memcpy(w->held + w->held_count, bytes.ptr, bytes.len);
		w->held_count += bytes.len;
	}
	return rc;
}

static enum err_code wrapper_end(struct wrapper *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->held_count)
		rc = wrapper_encode(w, w->held, w->held_count, e);
	if (!rc && w->wrap->tail)
		wrapper_line_end(w);
	return rc ? rc : wrapper_flush(w, e);
}

struct join {
	recipe_chunk chunk;
	recipe_write write;
	void *ctx;
	uint32_t next; /* the chunk that comes next */
};

static enum err_code join_chunks(struct join *j, const struct recipe_op *op, struct wrapper *w, struct err *e)
{
	uint64_t left = op->bytes;
	enum err_code rc = ERR_OK;

	for (uint32_t i = 0; !rc && i < op->chunks; i++) {
		struct span bytes = SPAN_EMPTY;

		rc = j->chunk(j->ctx, j->next, &bytes, e);
		if (rc)
			return rc;
		if (bytes.len < 1 || bytes.len > CHUNKER_CHUNK_BYTES_MAX || bytes.len > left)
			return err_set(e, ERR_CORRUPT, "part chunk %" PRIu32 " has %zu bytes, %" PRIu64 " are due",
			               j->next, bytes.len, left);
		left -= bytes.len;
		j->next++;
		if (left && i + 1 == op->chunks)
			return err_set(e, ERR_CORRUPT, "part chunks end %" PRIu64 " bytes early", left);
		rc = w ? wrapper_add(w, bytes, e) : j->write(j->ctx, bytes, e);
	}
	return rc;
}

static enum err_code join_base64(struct join *j, const struct recipe_op *op, struct err *e)
{
	struct wrapper w;
	enum err_code rc;

	w.wrap = &op->wrap;
	w.chars_left = op->wrap.first;
	w.held_count = 0;
	w.write = j->write;
	w.ctx = j->ctx;
	w.out_len = 0;
	rc = join_chunks(j, op, &w, e);
	return rc ? rc : wrapper_end(&w, e);
}

enum err_code recipe_join(struct span recipe, recipe_chunk chunk, recipe_write write, void *ctx, struct err *e)
{
	struct join j = { chunk, write, ctx, 0 };
	struct recipe_head head;
	struct recipe_info info;
	struct recipe_op op;
	struct span literals;
	enum err_code rc;

	rc = recipe_read(recipe, &head, &info, &literals, e);
	for (uint32_t i = 0; !rc && i < head.op_count; i++) {
		rc = op_decode(&head.ops, &op, e);
		if (rc)
			break;
		if (op.code == RECIPE_LITERAL) {
			rc = write(ctx, span_first(literals, (size_t)op.bytes), e);
			literals = span_skip(literals, (size_t)op.bytes);
		} else if (op.code == RECIPE_PART) {
			rc = join_chunks(&j, &op, NULL, e);
		} else {
			rc = join_base64(&j, &op, e);
		}
	}
	return rc;
}
