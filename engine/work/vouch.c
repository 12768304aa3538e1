#include "engine/work/vouch.h"

#include <stdlib.h>

enum err_code vouch_note(const struct repo *r, const struct pack_fact *fact, struct buf *ordinals, struct err *e)
{
	uint32_t ordinal;

	if (fact->trusted || !keys_read_content(r->keys) || !ledger_pack_find(r->ledger, &fact->pack.name, &ordinal))
		return ERR_OK;
	return buf_append(ordinals, span_of(&ordinal, sizeof ordinal), e);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Packs may have been read in any order; a record names them rising, and each once. */
static size_t sort_unique(uint32_t *all, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(all, count, sizeof *all, by_number);
	for (size_t i = 0; i < count; i++)
		if (!kept || all[kept - 1] != all[i])
			all[kept++] = all[i];
	return kept;
}

void vouch_record(struct repo *r, struct buf *ordinals)
{
	uint32_t *all = (uint32_t *)(void *)ordinals->ptr;
	size_t count = sort_unique(all, ordinals->len / sizeof *all);
	struct err why;

	for (size_t at = 0; at < count; at += ORDINALS_MAX)
		if (ledger_verified(r->ledger, all + at, count - at < ORDINALS_MAX ? count - at : ORDINALS_MAX, &why)) {
			repo_notice(r, ENGINE_WARNING, "what was verified could not be recorded: %s", why.text);
			break;
		}
	buf_release(ordinals);
}
