#include "mail_print.h"

#include "base/text.h"
#include "mime/mime.h"

enum { ID_BYTES_MAX = 1024 };

/* ---- content ---- */

enum err_code mail_printer_init(struct mail_printer *p, struct err *e)
{
	*p = (struct mail_printer){ .content = hash_stream_open(), .exact = hash_stream_open() };
	if (p->content && p->exact)
		return ERR_OK;
	mail_printer_release(p);
	return err_no_memory(e, 2 * 576);
}

static void put(struct mail_printer *p, uint8_t c)
{
	if (p->used == sizeof p->scratch) {
		hash_stream_add(p->content, span_of(p->scratch, p->used));
		p->used = 0;
	}
	p->scratch[p->used++] = c;
}

static void put_plain(struct mail_printer *p, uint8_t c)
{
	for (; p->ends; p->ends--)
		put(p, '\n');
	put(p, c ? c : 0x80);
}

void mail_printer_add(struct mail_printer *p, struct span bytes)
{
	hash_stream_add(p->exact, bytes);
	p->bytes += bytes.len;
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.ptr[i];

		if (c == '\n') {
			p->ends++;
			p->after_cr = false;
			continue;
		}
		if (p->after_cr)
			put_plain(p, '\r'); /* it ended no line */
		p->after_cr = c == '\r';
		if (!p->after_cr)
			put_plain(p, c);
	}
}

void mail_printer_end(struct mail_printer *p, struct mail_print *out)
{
	if (p->after_cr)
		put_plain(p, '\r');
	hash_stream_add(p->content, span_of(p->scratch, p->used));
	hash_stream_end(p->content, out->content);
	hash_stream_end(p->exact, out->exact);
	out->bytes = p->bytes;
	mail_printer_release(p);
}

void mail_printer_release(struct mail_printer *p)
{
	hash_stream_free(&p->content);
	hash_stream_free(&p->exact);
}

/* ---- Message-ID ---- */

uint64_t mail_id_of_value(struct span value)
{
	uint8_t kept[ID_BYTES_MAX];
	size_t n = 0;
	uint64_t hash;

	/* Servers and summaries fold, unfold and take the brackets off: none of that makes another id. */
	for (size_t i = 0; i < value.len && n < sizeof kept; i++) {
		uint8_t c = value.ptr[i];

		if (c > ' ' && c != 0x7f && c != '<' && c != '>')
			kept[n++] = c;
	}
	if (!n)
		return 0;
	hash = hash64(span_of(kept, n));
	return hash ? hash : 1;
}

uint64_t mail_id(struct span head)
{
	struct mime_fields fields = mime_fields_of(span_first(head, mime_header_length(head)));
	struct mime_field field;

	while (mime_fields_next(&fields, &field))
		if (text_equal_nocase(field.name, SPAN_LIT("Message-ID")))
			return mail_id_of_value(field.value);
	return 0;
}

/* ---- line ends ---- */

void line_ends_add(struct line_ends *l, struct span bytes)
{
	const uint8_t *at = bytes.ptr, *end = bytes.ptr + bytes.len;

	if (!bytes.len)
		return;
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		bool cr = at > bytes.ptr ? at[-1] == '\r' : l->after_cr;

		l->crlf += cr;
		l->lf += !cr;
		at++;
	}
	l->after_cr = end[-1] == '\r';
}

enum err_code line_ends_convert(struct span bytes, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.ptr) : bytes.len;

		rc = buf_append(out, span_first(bytes, n), e);
		if (!rc && end)
			rc = buf_append(out, SPAN_LIT("\r\n"), e);
		bytes = span_skip(bytes, n + (end != NULL));
	}
	return rc;
}
