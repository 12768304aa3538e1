/* A place as typed: parsed without fault, and what it named prints and reads back the same. */
#include <assert.h>
#include <stdlib.h>

#include "cli/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct place *p)
{
	struct buf text = BUF_EMPTY;
	struct place again = PLACE_EMPTY;
	struct err e;

	if (place_print(&text, "1a2b3c4d", buf_span(&p->collection), p->has_key ? buf_span(&p->key) : SPAN_EMPTY, &e) ||
	    buf_append(&text, span_of("", 1), &e))
		abort();
	assert(place_parse((const char *)text.ptr, &again, &e) == ERR_OK);
	assert(span_equal(buf_span(&p->collection), buf_span(&again.collection)));
	assert(span_equal(buf_span(&p->key), buf_span(&again.key)));
	place_release(&again);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct place p = PLACE_EMPTY;
	struct err e = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (place_parse(text, &p, &e) == ERR_OK && p.has_collection)
		check_round_trip(&p);
	place_release(&p);
	free(text);
	return 0;
}
