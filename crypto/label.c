/* label: object key/HOLDER.label, what a holder is called. Layout and reasons in docs/format/key.md. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/rd.h"
#include "base/wr.h"

#define LABEL_MAGIC       "mh-labl\0"
#define LABEL_VERSION     1
#define LABEL_CLEAR_BYTES 48 /* with the epoch; the associated data */
#define LABEL_PLAIN_BYTES (LABEL_BYTES - LABEL_CLEAR_BYTES - BOX_OVERHEAD)

_Static_assert(LABEL_PLAIN_BYTES == 8 + 1 + LABEL_TEXT_MAX + 15, "label layout");

static enum err_code plain_encode(const struct label *l, uint8_t plain[LABEL_PLAIN_BYTES], struct err *e)
{
	uint64_t time = (uint64_t)l->time_ms;

	if (l->len > LABEL_TEXT_MAX)
		return err_set(e, ERR_USAGE, "a label has at most %d bytes, this one has %zu", LABEL_TEXT_MAX, l->len);
	memset(plain, 0, LABEL_PLAIN_BYTES);
	for (unsigned i = 0; i < 8; i++)
		plain[i] = (uint8_t)(time >> (8 * i));
	plain[8] = (uint8_t)l->len;
	memcpy(plain + 9, l->text, l->len);
	return ERR_OK;
}

enum err_code label_seal(const struct keys *k, const struct label *l, struct buf *out, struct err *e)
{
	uint8_t plain[LABEL_PLAIN_BYTES];
	size_t start = out->len;
	struct buf clear = BUF_EMPTY;
	struct wr w = wr_to(&clear, e);
	enum err_code rc = plain_encode(l, plain, e);

	if (rc)
		return rc;
	wr_bytes(&w, SPAN_LIT(LABEL_MAGIC));
	wr_u16(&w, LABEL_VERSION);
	wr_u16(&w, 0);
	wr_u32(&w, keys_epoch(k));
	wr_bytes(&w, span_of(l->holder.bytes, ID16_BYTES));
	wr_bytes(&w, span_of(k->repo.bytes, ID16_BYTES));
	rc = wr_end(&w);
	if (!rc)
		rc = buf_append(out, buf_span(&clear), e);
	if (!rc)
		rc = box_seal(k, BOX_NAMES, keys_epoch(k), buf_span(&clear), span_of(plain, sizeof plain), out, e);
	if (rc)
		out->len = start;
	buf_release(&clear);
	sodium_memzero(plain, sizeof plain);
	return rc;
}

static enum err_code plain_decode(struct span plain, struct label *out, struct err *e)
{
	struct rd r = rd_of(plain);
	uint64_t time = rd_u64(&r);
	size_t len = rd_u8(&r);
	struct span text = rd_take(&r, LABEL_TEXT_MAX);

	if (r.bad || len > LABEL_TEXT_MAX)
		return err_set(e, ERR_CORRUPT, "a label of %zu bytes", len);
	if (!sodium_is_zero(text.ptr + len, LABEL_TEXT_MAX - len) || !sodium_is_zero(r.left.ptr, r.left.len))
		return err_set(e, ERR_UNSUPPORTED, "label holds more than this program knows");
	out->time_ms = (int64_t)time;
	out->len = len;
	memcpy(out->text, text.ptr, len);
	return ERR_OK;
}

/* The epoch in the clear part says which key opens it; it is bound as associated data like the rest. */
static enum err_code clear_check(const struct keys *k, const struct holder_id *holder, struct span sealed,
                                 uint32_t *epoch, struct err *e)
{
	struct rd r = rd_of(sealed);
	struct span magic = rd_take(&r, sizeof LABEL_MAGIC - 1), found_holder, found_repo;
	unsigned version = rd_u16(&r), flags = rd_u16(&r);

	*epoch = rd_u32(&r);
	found_holder = rd_take(&r, ID16_BYTES);
	found_repo = rd_take(&r, ID16_BYTES);
	if (r.bad || !span_equal(magic, SPAN_LIT(LABEL_MAGIC)))
		return err_set(e, ERR_CORRUPT, "this is not a label");
	if (version != LABEL_VERSION || flags)
		return err_set(e, ERR_UNSUPPORTED, "label of version %u, flags %u", version, flags);
	if (sealed.len != LABEL_BYTES)
		return err_set(e, ERR_CORRUPT, "a label has %d bytes, this one has %zu", LABEL_BYTES, sealed.len);
	if (!span_equal(found_holder, span_of(holder->bytes, ID16_BYTES)) ||
	    !span_equal(found_repo, span_of(k->repo.bytes, ID16_BYTES)))
		return err_set(e, ERR_CORRUPT, "this is the label of another holder");
	return ERR_OK;
}

enum err_code label_open(const struct keys *k, const struct holder_id *holder, struct span sealed, struct label *out,
                         struct err *e)
{
	struct label got = { .holder = *holder };
	struct buf plain = BUF_EMPTY;
	uint32_t epoch;
	enum err_code rc = clear_check(k, holder, sealed, &epoch, e);

	if (!rc)
		rc = box_open(k, BOX_NAMES, epoch, span_first(sealed, LABEL_CLEAR_BYTES),
		              span_skip(sealed, LABEL_CLEAR_BYTES), &plain, e);
	if (!rc)
		rc = plain_decode(buf_span(&plain), &got, e);
	if (!rc)
		*out = got;
	buf_wipe(&plain);
	return rc;
}
