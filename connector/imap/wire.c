#include "wire.h"

#include "base/num.h"
#include "base/text.h"

#define READ_BYTES  (64 * KIB)
#define LITERAL_MAX ((uint64_t)1 << 40)
#define TOKENS_MAX  (1u << 22) /* of one response that is passed over */

void wire_init(struct wire *w, wire_read read, void *ctx)
{
	*w = (struct wire){ .read = read, .ctx = ctx, .in = BUF_EMPTY, .word = BUF_WITH_MAX(WIRE_WORD_BYTES_MAX) };
}

void wire_release(struct wire *w)
{
	buf_release(&w->in);
	buf_release(&w->word);
}

bool wire_is_empty(const struct wire *w)
{
	return w->at == w->in.len && !w->literal_left;
}

struct span wire_waiting(struct wire *w)
{
	struct span out = span_of(w->in.ptr + w->at, w->in.len - w->at);

	w->at = w->in.len;
	return out;
}

/* There is at least one byte at AT afterwards. */
static enum err_code fill(struct wire *w, struct err *e)
{
	size_t got = 0;
	enum err_code rc;

	if (w->at < w->in.len)
		return ERR_OK;
	buf_clear(&w->in);
	w->at = 0;
	rc = buf_reserve(&w->in, READ_BYTES, e);
	if (!rc)
		rc = w->read(w->ctx, w->in.ptr, READ_BYTES, &got, e);
	if (rc)
		return rc;
	if (!got) {
		err_set(e, ERR_IO, "the server has closed the connection");
		e->retry = ERR_RETRY_NOW;
		return ERR_IO;
	}
	w->in.len = got;
	w->received += got;
	return ERR_OK;
}

static enum err_code peek(struct wire *w, uint8_t *out, struct err *e)
{
	enum err_code rc = fill(w, e);

	if (!rc)
		*out = w->in.ptr[w->at];
	return rc;
}

static enum err_code keep(struct wire *w, uint8_t c, struct err *e)
{
	if (w->word.len == WIRE_WORD_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "the server sent a word of more than %u bytes",
		               (unsigned)WIRE_WORD_BYTES_MAX);
	return buf_append(&w->word, span_of(&c, 1), e);
}

static bool ends_atom(uint8_t c)
{
	return c == ' ' || c == '(' || c == ')' || c == '\r' || c == '\n';
}

static enum err_code take_atom(struct wire *w, struct wire_token *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	uint8_t c = 0;

	for (;;) {
		rc = peek(w, &c, e);
		if (rc || ends_atom(c))
			break;
		rc = keep(w, c, e);
		if (rc)
			break;
		w->at++;
	}
	*out = (struct wire_token){ WIRE_ATOM, buf_span(&w->word), 0 };
	return rc;
}

static enum err_code take_quoted(struct wire *w, struct wire_token *out, struct err *e)
{
	bool escaped = false;

	for (w->at++;;) {
		uint8_t c = 0;
		enum err_code rc = peek(w, &c, e);

		if (!rc && (c == '\r' || c == '\n'))
			rc = err_set(e, ERR_CORRUPT, "the server sent a string without an end");
		if (rc)
			return rc;
		w->at++;
		if (!escaped && c == '"')
			break;
		escaped = !escaped && c == '\\';
		if (!escaped)
			rc = keep(w, c, e);
		if (rc)
			return rc;
	}
	*out = (struct wire_token){ WIRE_QUOTED, buf_span(&w->word), 0 };
	return ERR_OK;
}

/* "\r\n", or a lone "\n". */
static enum err_code take_line_end(struct wire *w, struct err *e)
{
	uint8_t c = 0;
	enum err_code rc = peek(w, &c, e);

	if (!rc && c == '\r') {
		w->at++;
		rc = peek(w, &c, e);
	}
	if (rc)
		return rc;
	if (c != '\n')
		return err_set(e, ERR_CORRUPT, "the server sent a CR in the middle of a line");
	w->at++;
	return ERR_OK;
}

/* "{123}", "{123+}" and their line end; AT is at the brace. */
static enum err_code take_literal(struct wire *w, struct wire_token *out, struct err *e)
{
	uint64_t bytes;
	uint8_t c = 0;
	enum err_code rc;

	for (w->at++;; w->at++) {
		rc = peek(w, &c, e);
		if (rc || c == '}' || c == '+' || ends_atom(c))
			break;
		rc = keep(w, c, e);
		if (rc)
			return rc;
	}
	if (!rc && c == '+') {
		w->at++;
		rc = peek(w, &c, e);
	}
	if (rc)
		return rc;
	if (c != '}' || !text_number(buf_span(&w->word), LITERAL_MAX, &bytes))
		return err_set(e, ERR_CORRUPT, "the server announced a literal of '%s' bytes",
		               text_name(buf_span(&w->word)).text);
	w->at++;
	rc = take_line_end(w, e);
	w->literal_left = bytes;
	*out = (struct wire_token){ WIRE_LITERAL, SPAN_EMPTY, bytes };
	return rc;
}

static enum err_code one_char(struct wire *w, struct wire_token *out, enum wire_kind kind)
{
	w->at++;
	*out = (struct wire_token){ kind, SPAN_EMPTY, 0 };
	return ERR_OK;
}

enum err_code wire_next(struct wire *w, struct wire_token *out, struct err *e)
{
	enum err_code rc = wire_literal_skip(w, e);
	uint8_t c = ' ';

	buf_clear(&w->word);
	while (!rc && c == ' ') {
		rc = peek(w, &c, e);
		w->at += !rc && c == ' ';
	}
	if (rc)
		return rc;
	switch (c) {
	case '(':
		return one_char(w, out, WIRE_OPEN);
	case ')':
		return one_char(w, out, WIRE_CLOSE);
	case '\r':
	case '\n':
		*out = (struct wire_token){ WIRE_END, SPAN_EMPTY, 0 };
		return take_line_end(w, e);
	case '"':
		return take_quoted(w, out, e);
	case '{':
		return take_literal(w, out, e);
	case '~': /* of a literal8, or an atom that begins so */
		w->at++;
		rc = peek(w, &c, e);
		if (!rc && c == '{')
			return take_literal(w, out, e);
		if (!rc)
			rc = keep(w, '~', e);
		return rc ? rc : take_atom(w, out, e);
	default:
		return take_atom(w, out, e);
	}
}

enum err_code wire_literal(struct wire *w, struct span *piece, struct err *e)
{
	enum err_code rc;
	size_t n;

	*piece = SPAN_EMPTY;
	if (!w->literal_left)
		return ERR_OK;
	rc = fill(w, e);
	if (rc)
		return rc;
	n = w->in.len - w->at;
	if (n > w->literal_left)
		n = (size_t)w->literal_left;
	*piece = span_of(w->in.ptr + w->at, n);
	w->at += n;
	w->literal_left -= n;
	return ERR_OK;
}

enum err_code wire_literal_skip(struct wire *w, struct err *e)
{
	struct span piece;
	enum err_code rc = ERR_OK;

	while (!rc && w->literal_left)
		rc = wire_literal(w, &piece, e);
	return rc;
}

enum err_code wire_text(struct wire *w, const struct wire_token *t, struct span *out, bool *is_nil, struct err *e)
{
	struct span piece;
	enum err_code rc = ERR_OK;

	*is_nil = t->kind == WIRE_ATOM && text_equal_nocase(t->text, SPAN_LIT("NIL"));
	*out = t->text;
	if (t->kind == WIRE_ATOM || t->kind == WIRE_QUOTED)
		return ERR_OK;
	if (t->kind != WIRE_LITERAL)
		return err_set(e, ERR_CORRUPT, "the server sent no string where one belongs");
	if (t->bytes > WIRE_WORD_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "the server sent a string of %llu bytes", (unsigned long long)t->bytes);
	buf_clear(&w->word);
	while (!rc && w->literal_left) {
		rc = wire_literal(w, &piece, e);
		if (!rc)
			rc = buf_append(&w->word, piece, e);
	}
	*out = buf_span(&w->word);
	return rc;
}

enum err_code wire_line(struct wire *w, struct span *out, struct err *e)
{
	enum err_code rc;
	uint8_t c = 0;

	buf_clear(&w->word);
	for (;;) {
		rc = peek(w, &c, e);
		if (rc)
			return rc;
		if (c == '\r' || c == '\n')
			break;
		rc = keep(w, c, e);
		if (rc)
			return rc;
		w->at++;
	}
	*out = buf_span(&w->word);
	if (out->len && out->ptr[0] == ' ')
		*out = span_skip(*out, 1);
	return take_line_end(w, e);
}

enum err_code wire_skip_value(struct wire *w, const struct wire_token *t, struct err *e)
{
	struct wire_token token = *t;
	unsigned depth = t->kind == WIRE_OPEN, tokens = 0;
	enum err_code rc = t->kind == WIRE_LITERAL ? wire_literal_skip(w, e) : ERR_OK;

	while (!rc && depth) {
		rc = wire_next(w, &token, e);
		if (rc)
			break;
		depth += token.kind == WIRE_OPEN;
		depth -= token.kind == WIRE_CLOSE;
		if (token.kind == WIRE_END || depth > WIRE_DEPTH_MAX || tokens++ > TOKENS_MAX)
			rc = err_set(e, ERR_CORRUPT, "the server sent a list without an end");
	}
	return rc;
}

enum err_code wire_skip_line(struct wire *w, struct err *e)
{
	struct wire_token token;
	unsigned tokens = 0;
	enum err_code rc;

	do {
		rc = wire_next(w, &token, e);
		if (!rc && tokens++ > TOKENS_MAX)
			rc = err_set(e, ERR_CORRUPT, "the server sent a line without an end");
	} while (!rc && token.kind != WIRE_END);
	return rc;
}
