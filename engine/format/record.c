/*
 * The envelope of a ledger record. The clear part is the associated data of the box, so a record cannot be moved to
 * another number, repository or epoch; the signature sits inside, so a store sees nothing of who wrote.
 */
#include "engine/format/record.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"

#define RECORD_MAGIC       SPAN_LIT("mhledger")
#define RECORD_DOMAIN      SPAN_LIT("mailhold ledger 1")
#define CLEAR_BYTES        40  /* without the nonce, which the box puts first in its output */
#define BODY_HEAD_BYTES    102 /* of the sealed body, before the payload */
#define DOMAIN_BYTES       17
#define MESSAGE_HEAD_BYTES (DOMAIN_BYTES + ID16_BYTES + 8)
#define RECORD_FLOOR       512
#define RECORD_FIXED_BYTES (CLEAR_BYTES + BOX_OVERHEAD + BODY_HEAD_BYTES + SIGNATURE_BYTES)

static const char *const kind_names[RECORD_KIND_END] = {
	[RECORD_INIT] = "init",
	[RECORD_OPEN] = "session",
	[RECORD_COMMIT] = "snapshot",
	[RECORD_END] = "end of a session",
	[RECORD_FORGET] = "forget",
	[RECORD_UNFORGET] = "forget --undo",
	[RECORD_EXPIRE] = "emptied trash",
	[RECORD_CONDEMN] = "condemned packs",
	[RECORD_DROP] = "deleted packs",
	[RECORD_FENCE] = "fence",
	[RECORD_REPACK] = "rewritten packs",
	[RECORD_CHECKPOINT] = "checkpoint",
	[RECORD_VOID] = "passing over of a record",
	[RECORD_HOLDER] = "key",
	[RECORD_POLICY] = "setting",
	[RECORD_PIN] = "pin",
	[RECORD_UNPIN] = "unpin",
	[RECORD_VERIFIED] = "verification",
	[RECORD_HOLD] = "hold",
	[RECORD_UNHOLD] = "end of a hold",
	[RECORD_EPOCH] = "key rotation",
};

const char *record_kind_name(unsigned kind)
{
	return kind < RECORD_KIND_END && kind_names[kind] ? kind_names[kind] : "unknown kind";
}

uint64_t padme(uint64_t bytes, uint64_t floor)
{
	uint64_t padded = bytes;

	if (bytes >= 2) {
		unsigned exponent = 63 - (unsigned)__builtin_clzll(bytes);
		unsigned mantissa = exponent ? 64 - (unsigned)__builtin_clzll(exponent) : 0;
		uint64_t mask = exponent > mantissa ? ((uint64_t)1 << (exponent - mantissa)) - 1 : 0;

		if (!__builtin_add_overflow(bytes, mask, &padded))
			padded &= ~mask;
		else
			padded = bytes;
	}
	return padded > floor ? padded : floor;
}

struct record_path record_path(uint64_t number)
{
	struct record_path path;

	snprintf(path.text, sizeof path.text, "ledger/%016" PRIx64, number);
	return path;
}

struct pack_path pack_path(const struct pack_name *name)
{
	struct pack_path path;
	char random[33];

	text_hex(span_of(name->random, sizeof name->random), random);
	snprintf(path.text, sizeof path.text, "pack/%.2s/%016" PRIx64 "-%s", random, name->session, random);
	return path;
}

bool pack_name_of_path(const char *path, struct pack_name *out)
{
	struct pack_name name = { 0 };
	uint8_t session[8];

	if (strlen(path) != strlen("pack/xx/") + 16 + 1 + 32)
		return false;
	if (!text_unhex(span_of(path + 8, 16), session, sizeof session) ||
	    !text_unhex(span_of(path + 25, 32), name.random, sizeof name.random))
		return false;
	for (size_t i = 0; i < sizeof session; i++)
		name.session = name.session << 8 | session[i];
	/* One spelling only: what we would have written ourselves. */
	if (strcmp(pack_path(&name).text, path) != 0)
		return false;
	*out = name;
	return true;
}

bool record_number_of_path(const char *path, uint64_t *out)
{
	uint8_t bytes[8];
	uint64_t number = 0;

	if (strlen(path) != strlen("ledger/") + 16 || !text_unhex(span_of(path + 7, 16), bytes, sizeof bytes))
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		number = number << 8 | bytes[i];
	if (strcmp(record_path(number).text, path) != 0)
		return false;
	*out = number;
	return true;
}

/* The clear part: also the associated data. */
static void clear_encode(struct wr *w, uint32_t epoch, const struct repo_id *repo, uint64_t number)
{
	wr_bytes(w, RECORD_MAGIC);
	wr_u16(w, RECORD_VERSION);
	wr_u16(w, 0);
	wr_u32(w, epoch);
	wr_bytes(w, span_of(repo->bytes, sizeof repo->bytes));
	wr_u64(w, number);
}

/* What is signed is what is sealed, behind a head that binds it to its place. */
static void message_head(struct wr *w, const struct repo_id *repo, uint64_t number)
{
	wr_bytes(w, RECORD_DOMAIN);
	wr_bytes(w, span_of(repo->bytes, sizeof repo->bytes));
	wr_u64(w, number);
}

static void body_encode(struct wr *w, const struct record *r, size_t zeros)
{
	wr_bytes(w, span_of(r->prev_hash, sizeof r->prev_hash));
	wr_u64(w, r->checkpoint_number);
	wr_bytes(w, span_of(r->checkpoint_hash, sizeof r->checkpoint_hash));
	wr_bytes(w, span_of(r->holder.bytes, sizeof r->holder.bytes));
	wr_u64(w, (uint64_t)r->time_ms);
	wr_u16(w, r->kind);
	wr_u32(w, (uint32_t)r->payload.len);
	wr_bytes(w, r->payload);
	wr_zeros(w, zeros);
}

enum err_code record_seal(const struct keys *k, const struct record *r, struct buf *out, struct err *e)
{
	struct buf plain = BUF_WITH_MAX(RECORD_BYTES_MAX + KIB);
	struct buf clear = BUF_EMPTY;
	struct repo_id repo = keys_repo(k);
	struct wr w = wr_to(&plain, e);
	uint8_t signature[SIGNATURE_BYTES];
	uint64_t whole;
	enum err_code rc;

	if (r->payload.len > RECORD_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a ledger record of %zu bytes is too large", r->payload.len);
	whole = padme(RECORD_FIXED_BYTES + r->payload.len, RECORD_FLOOR);
	if (whole > RECORD_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a ledger record of %" PRIu64 " bytes is too large", whole);
	message_head(&w, &repo, r->number);
	body_encode(&w, r, (size_t)whole - RECORD_FIXED_BYTES - r->payload.len);
	rc = wr_end(&w);
	if (rc)
		goto done;
	keys_sign(k, buf_span(&plain), signature);
	wr_bytes(&w, span_of(signature, sizeof signature));
	rc = wr_end(&w);
	if (rc)
		goto done;
	w = wr_to(&clear, e);
	clear_encode(&w, r->epoch, &repo, r->number);
	rc = wr_end(&w);
	if (!rc)
		rc = buf_append(out, buf_span(&clear), e);
	if (!rc)
		rc = box_seal(k, BOX_LEDGER, r->epoch, buf_span(&clear),
		              span_skip(buf_span(&plain), MESSAGE_HEAD_BYTES), out, e);
done:
	buf_release(&clear);
	buf_release(&plain);
	return rc;
}

static enum err_code clear_decode(const struct keys *k, uint64_t number, struct span stored, uint32_t *epoch,
                                  struct err *e)
{
	struct repo_id ours = keys_repo(k), repo;
	struct rd r = rd_of(stored);
	struct span magic = rd_take(&r, RECORD_MAGIC.len);
	unsigned version = rd_u16(&r), flags = rd_u16(&r);
	uint32_t got_epoch = rd_u32(&r);
	uint64_t got_number;

	rd_copy(&r, repo.bytes, sizeof repo.bytes);
	got_number = rd_u64(&r);
	if (r.bad || !span_equal(magic, RECORD_MAGIC))
		return err_set(e, ERR_CORRUPT, "%zu bytes that are no ledger record", stored.len);
	if (version != RECORD_VERSION || flags)
		return err_set(e, ERR_UNSUPPORTED, "ledger record of version %u, flags %u", version, flags);
	if (memcmp(repo.bytes, ours.bytes, sizeof repo.bytes) != 0)
		return err_set(e, ERR_CORRUPT, "a ledger record of another repository");
	if (got_number != number)
		return err_set(e, ERR_CORRUPT, "a ledger record that says it is number %" PRIu64, got_number);
	if (stored.len > RECORD_BYTES_MAX || stored.len < RECORD_FLOOR || padme(stored.len, RECORD_FLOOR) != stored.len)
		return err_set(e, ERR_CORRUPT, "a ledger record of %zu bytes", stored.len);
	*epoch = got_epoch;
	return ERR_OK;
}

static enum err_code body_decode(struct span body, struct record *out, struct err *e)
{
	struct rd r = rd_of(body);
	uint32_t length;

	rd_copy(&r, out->prev_hash, sizeof out->prev_hash);
	out->checkpoint_number = rd_u64(&r);
	rd_copy(&r, out->checkpoint_hash, sizeof out->checkpoint_hash);
	rd_copy(&r, out->holder.bytes, sizeof out->holder.bytes);
	out->time_ms = (int64_t)rd_u64(&r);
	out->kind = rd_u16(&r);
	length = rd_u32(&r);
	out->payload = rd_take(&r, length);
	if (r.bad)
		return err_set(e, ERR_CORRUPT, "a ledger record claims a payload of %" PRIu32 " bytes", length);
	/* One length for one payload, so that padding cannot carry a hidden bit. */
	if (padme(RECORD_FIXED_BYTES + length, RECORD_FLOOR) != RECORD_FIXED_BYTES + length + r.left.len)
		return err_set(e, ERR_CORRUPT, "a ledger record is padded by %zu bytes", r.left.len);
	for (size_t i = 0; i < r.left.len; i++)
		if (r.left.ptr[i])
			return err_set(e, ERR_CORRUPT, "the padding of a ledger record is not zero");
	return ERR_OK;
}

enum err_code record_open(const struct keys *k, uint64_t number, struct span stored, struct buf *plain,
                          struct record *out, struct record_signature *signature, struct err *e)
{
	struct record got = { .number = number };
	struct repo_id repo = keys_repo(k);
	struct wr w = wr_to(plain, e);
	struct span message;
	enum err_code rc;

	rc = clear_decode(k, number, stored, &got.epoch, e);
	if (rc)
		return rc;
	buf_clear(plain);
	message_head(&w, &repo, number);
	rc = wr_end(&w);
	if (!rc)
		rc = box_open(k, BOX_LEDGER, got.epoch, span_first(stored, CLEAR_BYTES), span_skip(stored, CLEAR_BYTES),
		              plain, e);
	if (rc)
		return rc;
	message = span_first(buf_span(plain), plain->len - SIGNATURE_BYTES);
	rc = body_decode(span_skip(message, MESSAGE_HEAD_BYTES), &got, e);
	if (rc)
		return rc;
	memcpy(signature->bytes, message.ptr + message.len, SIGNATURE_BYTES);
	signature->message = message;
	*out = got;
	return ERR_OK;
}
