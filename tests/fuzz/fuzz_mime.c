/* Arbitrary bytes as header, text, date and part headers: what comes out is clean UTF-8 within its limits. */
#include <stdlib.h>

#include "base/text.h"
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_clean(struct span s, size_t max)
{
	if (s.len > max || !text_is_utf8(s))
		abort();
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f || (s.ptr[i] == 0xc2 && s.ptr[i + 1] < 0xa0))
			abort();
}

static enum err_code name_found(void *ctx, struct span name, struct err *e)
{
	(void)e;
	must_be_clean(name, 255);
	if (name.len == 0 || ++*(int *)ctx > 64)
		abort();
	return ERR_OK;
}

static void try_text(struct span s, size_t max)
{
	struct buf out = BUF_EMPTY;
	struct err e;

	if (mime_text(s, max, &out, &e))
		abort();
	must_be_clean(buf_span(&out), max);
	buf_release(&out);
}

static void try_date(struct span s)
{
	int64_t time;
	int16_t zone;

	if (mime_date(s, &time, &zone) && (zone < -1439 || zone > 1439))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct mime_fields it;
	struct mime_field field;
	int names = 0;
	struct err e;

	if (mime_header_length(s) > size)
		abort();
	it = mime_fields_of(s);
	while (mime_fields_next(&it, &field)) {
		if (field.name.len == 0)
			abort();
		try_text(field.value, 1 + field.value.len % 100);
		try_date(field.value);
	}
	try_text(s, 4096);
	try_date(s);
	if (mime_part_names(s, name_found, &names, &e))
		abort();
	return 0;
}
