/*
 * The decoder of a folded ledger, behind the signature and the box: segments, each with a length of two bytes. What
 * decodes must save to bytes that decode to the same fold; and the object around it, unsigned, is refused.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/rd.h"
#include "engine/ledger/ledger_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keys *keys;
static struct err err;

static void must(bool truth)
{
	if (!truth)
		abort();
}

struct copy {
	struct fold fold;
	unsigned last_kind;
};

static enum err_code load_again(void *ctx, struct span segment, struct err *e)
{
	struct copy *c = ctx;

	return fold_load(&c->fold, &c->last_kind, segment, e);
}

static void must_be_whole(struct fold *f)
{
	struct copy again = { .fold.repo = f->repo };
	uint8_t one[16], two[16];

	must(!fold_settle(f, &err) && f->visible_count <= f->snapshot_count);
	for (size_t i = 0; i < f->snapshot_count; i++)
		must(fold_snapshot_find(f, &f->snapshots[i].fact.entry.id) == &f->snapshots[i]);
	must(!fold_save(f, load_again, &again, &err));
	must(!fold_digest(f, one, &err) && !fold_digest(&again.fold, two, &err));
	must(memcmp(one, two, sizeof one) == 0);
	fold_release(&again.fold);
}

static void try_object(struct span object)
{
	struct ledger l = { .keys = keys, .repo = keys_repo(keys) };
	struct ledger_head head;
	struct fold f = { 0 };

	must(checkpoint_decode(&l, object, &f, &head, &err) != ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd in = rd_of(span_of(data, size));
	struct fold f = { 0 };
	unsigned last_kind = 0;
	enum err_code rc = ERR_OK;

	if (!keys)
		must(!crypto_start(&err) && !keys_new(&keys, &err));
	try_object(span_of(data, size));
	while (in.left.len && !in.bad && !rc) {
		struct span segment = rd_take(&in, rd_u16(&in));

		if (!in.bad)
			rc = fold_load(&f, &last_kind, segment, &err);
	}
	if (!rc && last_kind)
		must_be_whole(&f);
	fold_release(&f);
	return 0;
}
