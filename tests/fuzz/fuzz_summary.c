/* Arbitrary bytes of any kind: a summary is well-formed fields under its limit, and making one never fails. */
#include <stdlib.h>

#include "item/item.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_skip(span_of(data, size), 1);
	enum item_kind kind = size ? (enum item_kind)(data[0] % 9) : KIND_MAIL;
	struct buf out = BUF_EMPTY;
	struct err e;

	if (summary_make(kind, s, s, &out, &e) || out.len > SUMMARY_BYTES_MAX || !fields_check(buf_span(&out)))
		abort();
	item_kind_guess(span_first(s, 12), s);
	buf_release(&out);
	return 0;
}
