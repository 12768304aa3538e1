/*
 * A run of records, each { kind 2, holder 1, length 2, payload }, folded as a ledger would: whatever holders with valid
 * keys may write, the fold judges it, and a dry judgement agrees with the one that is applied.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rd.h"
#include "engine/ledger/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keys *keys;
static struct buf init;
static struct err err;

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void start(void)
{
	struct init_payload p = { 0 };
	struct repo_id repo;
	uint8_t message[HOLDER_MESSAGE_BYTES];

	if (keys)
		return;
	must(!crypto_start(&err) && !keys_new(&keys, &err));
	repo = keys_repo(keys);
	memcpy(p.root_public, keys_root_public(keys), 32);
	memcpy(p.holder_public, keys_sign_public(keys), 32);
	holder_message(&repo, &p.holder, p.holder_public, HOLDER_FULL, message);
	must(!keys_root_sign(keys, span_of(message, sizeof message), p.root_signature, &err));
	must(!init_encode(&p, &init, &err));
}

static void check(const struct fold *f)
{
	size_t doubt = 0;

	for (size_t i = 0; i < f->unreadable_count; i++)
		doubt += !f->unreadable[i].voided;
	must(doubt == f->doubt_count);
	for (size_t i = 1; i < f->session_count; i++)
		must(f->sessions[i - 1].number < f->sessions[i].number);
	for (size_t i = 0; i < f->snapshot_count; i++)
		must(fold_snapshot_find(f, &f->snapshots[i].fact.entry.id) == &f->snapshots[i]);
	must(f->visible_count <= f->snapshot_count);
}

static void fold_one(struct fold *f, const struct record *r)
{
	static const uint8_t hash[RECORD_HASH_BYTES];
	bool is_void = (r->kind & ~RECORD_CRITICAL) == RECORD_VOID;
	enum err_code dry = fold_record(f, r, NULL, false, &err);
	enum err_code wet = fold_record(f, r, hash, true, &err);

	/* A VOID of a readable record is refused to a writer and only noted by a reader. */
	must(dry == wet || is_void);
	if (wet == ERR_CORRUPT)
		must(!fold_unreadable(f, r->number, hash, &err));
	else if (wet == ERR_UNSUPPORTED)
		fold_unknown(f, r->number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd in = rd_of(span_of(data, size));
	struct fold f = { 0 };
	struct record r = { .kind = RECORD_INIT };
	struct repo_id repo;
	uint8_t digest[16];

	start();
	repo = keys_repo(keys);
	r.payload = buf_span(&init);
	must(!fold_start(&f, &repo, &r, &err));
	while (in.left.len && !in.bad && r.number < 500) {
		r.number++;
		r.kind = rd_u16(&in);
		memset(r.holder.bytes, rd_u8(&in), sizeof r.holder.bytes);
		r.payload = rd_take(&in, rd_u16(&in));
		r.checkpoint_number = f.checkpoint_number;
		memcpy(r.checkpoint_hash, f.checkpoint_hash, sizeof r.checkpoint_hash);
		if (!in.bad)
			fold_one(&f, &r);
	}
	must(!fold_settle(&f, &err));
	check(&f);
	must(!fold_digest(&f, digest, &err));
	fold_release(&f);
	return 0;
}
