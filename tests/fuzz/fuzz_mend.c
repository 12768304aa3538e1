/*
 * fuzz_mend: whatever the bytes, the mended copy has nothing that is refused, is the same however the bytes are cut, and is not mended
 * again; what needs no mending comes out as it went in. The first byte says how the rest is cut.
 */
#include <stdlib.h>

#include "mime/mend/mend.h"
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_in_pieces(struct span bytes, size_t piece, struct buf *out, struct mend_report *did)
{
	struct mend m = MEND_EMPTY;
	struct err e;

	while (bytes.len) {
		if (mend_add(&m, span_first(bytes, piece), out, &e))
			abort();
		bytes = span_skip(bytes, bytes.len < piece ? bytes.len : piece);
	}
	if (mend_end(&m, out, &e))
		abort();
	*did = m.did;
	mend_release(&m);
}

static void check_good(struct span s)
{
	size_t head = mime_header_length(s), line = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool end = s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n';

		if (!s.ptr[i] || (s.ptr[i] == '\r' && !end) || (s.ptr[i] == '\n' && (!i || s.ptr[i - 1] != '\r')) ||
		    (i < head && s.ptr[i] >= 0x80))
			abort();
		line = end || s.ptr[i] == '\n' ? 0 : line + 1;
		if (line > MEND_LINE_BYTES_MAX)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_EMPTY, cut = BUF_EMPTY, again = BUF_EMPTY, words = BUF_EMPTY;
	struct span bytes = size ? span_of(data + 1, size - 1) : SPAN_EMPTY;
	struct mend_report did, same, none;
	struct err e;

	mend_in_pieces(bytes, bytes.len ? bytes.len : 1, &whole, &did);
	mend_in_pieces(bytes, size && data[0] ? data[0] : 1, &cut, &same);
	if (!span_equal(buf_span(&whole), buf_span(&cut)) || memcmp(&did, &same, sizeof did) != 0)
		abort();
	if (mend_did(&did) == span_equal(buf_span(&whole), bytes))
		abort();
	check_good(buf_span(&whole));
	mend_in_pieces(buf_span(&whole), 1000, &again, &none);
	if (mend_did(&none) || !span_equal(buf_span(&again), buf_span(&whole)))
		abort();
	if (mend_words(&did, &words, &e) || mend_did(&did) != (words.len > 0))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	buf_release(&again);
	buf_release(&words);
	return 0;
}
