/*
 * The first byte says what the rest is: a stored record, the body inside of one (sealed here, so that the fuzzer gets
 * past the box), or a payload of some kind. What decodes must encode to the very same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/format/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keys *keys;
static struct err err;

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void start(void)
{
	if (!keys)
		must(!crypto_start(&err) && !keys_new(&keys, &err));
}

static void try_record(struct span stored)
{
	struct buf plain = BUF_WITH_MAX(2 * RECORD_BYTES_MAX);
	struct record_signature signature;
	struct record r;

	if (!record_open(keys, 1, stored, &plain, &r, &signature, &err))
		must(r.payload.len < stored.len && signature.message.len < plain.len);
	buf_release(&plain);
}

static void try_body(struct span body)
{
	struct record r = { .number = 1, .epoch = keys_epoch(keys) };
	struct buf stored = BUF_EMPTY;

	must(!record_seal(keys, &r, &stored, &err));
	stored.len = 40;
	must(!box_seal(keys, BOX_LEDGER, r.epoch, span_of(stored.ptr, 40), body, &stored, &err));
	try_record(buf_span(&stored));
	buf_release(&stored);
}

static void try_commit(struct span p, struct buf *again)
{
	struct commit_hold hold;

	if (commit_decode(p, &hold, &err))
		return;
	must(!commit_encode(&hold.commit, again, &err) && span_equal(buf_span(again), p));
	commit_release(&hold);
}

static void try_lists(struct span p, struct buf *again)
{
	struct snapshot_id *ids;
	uint32_t *ordinals;
	size_t count;

	if (!snapshot_ids_decode(p, &ids, &count, &err)) {
		must(!snapshot_ids_encode(ids, count, again, &err) && span_equal(buf_span(again), p));
		mem_free(ids);
	}
	buf_clear(again);
	if (!ordinals_decode(p, &ordinals, &count, &err)) {
		must(!ordinals_encode(ordinals, count, again, &err) && span_equal(buf_span(again), p));
		mem_free(ordinals);
	}
}

static void try_small(struct span p, struct buf *again)
{
	struct init_payload init;
	struct void_payload lost;
	struct holder_payload holder;
	uint64_t session;

	if (!init_decode(p, &init, &err))
		must(!init_encode(&init, again, &err) && span_equal(buf_span(again), p));
	buf_clear(again);
	if (!void_decode(p, &lost, &err))
		must(!void_encode(&lost, again, &err) && span_equal(buf_span(again), p));
	buf_clear(again);
	if (!session_decode(p, &session, &err))
		must(!session_encode(session, again, &err) && span_equal(buf_span(again), p));
	buf_clear(again);
	if (!holder_decode(p, &holder, &err)) {
		must(!holder_encode(&holder, again, &err) && span_equal(buf_span(again), p));
		holder_release(&holder);
	}
}

static void try_holds(struct span p, struct buf *again)
{
	struct checkpoint_payload checkpoint;
	struct hold_payload hold;
	struct hold_id id;

	buf_clear(again);
	if (!hold_decode(p, &hold, &err)) {
		must(!hold_encode(&hold, again, &err) && span_equal(buf_span(again), p));
		hold_release(&hold);
	}
	buf_clear(again);
	if (!unhold_decode(p, &id, &err))
		must(!unhold_encode(&id, again, &err) && span_equal(buf_span(again), p));
	buf_clear(again);
	if (!checkpoint_payload_decode(p, &checkpoint, &err))
		must(!checkpoint_payload_encode(&checkpoint, again, &err) && span_equal(buf_span(again), p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data + 1, size ? size - 1 : 0);
	struct buf again = BUF_EMPTY;

	start();
	if (!size)
		return 0;
	switch (data[0] % 5) {
	case 0:
		try_record(rest);
		break;
	case 1:
		try_body(rest);
		break;
	case 2:
		try_commit(rest, &again);
		break;
	case 3:
		try_lists(rest, &again);
		break;
	default:
		try_small(rest, &again);
		try_holds(rest, &again);
	}
	buf_release(&again);
	return 0;
}
