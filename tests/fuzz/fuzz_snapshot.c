/* What a snapshot says beside its pages. First byte: details, facts or state of a collection, item chunk. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/snapshot/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touched;

static void touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		touched += s.ptr[i];
}

static void details(struct span bytes)
{
	struct snapshot_details d;
	struct err e;

	if (details_decode(bytes, &d, &e))
		return;
	touch(d.account);
	touch(d.host);
	touch(d.source);
	touch(d.tags);
	touch(d.tool);
}

static void facts(struct span bytes)
{
	struct attribute *attributes = NULL;
	struct collection c = { 0 };
	uint32_t *chunks = NULL;
	struct err e;

	if (!collection_facts_decode(bytes, 10, &c, &attributes, &chunks, &e))
		for (size_t i = 0; i < c.attribute_count; i++) {
			touch(c.attributes[i].name);
			touch(c.attributes[i].value);
			if (chunks[i] >= 10)
				abort();
		}
	mem_free(attributes);
	mem_free(chunks);
}

static void state(struct span bytes)
{
	struct collection_state s;
	struct err e;

	if (!collection_state_decode(bytes, &s, &e))
		touch(s.cursor);
}

static void item(struct span bytes)
{
	struct item_chunk c;
	struct err e;

	if (item_chunk_decode(bytes, &c, &e))
		return;
	if (c.count == 0 || c.count > ITEM_STREAMS_MAX)
		abort();
	for (size_t i = 0; i < c.count; i++) {
		touch(c.streams[i].name);
		touch(c.streams[i].recipe);
		if (c.streams[i].id_count)
			touch(span_of(c.streams[i].ids, c.streams[i].id_count * sizeof *c.streams[i].ids));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const all[])(struct span) = { details, facts, state, item };

	if (size)
		all[data[0] % ARRAY_LEN(all)](span_of(data + 1, size - 1));
	return 0;
}
