#include "crypto.h"
#include "keys_internal.h"
#include "base/num.h"

#include <assert.h>

static enum err_code box_key(const struct keys *k, enum box_kind kind, uint32_t epoch, const uint8_t **out,
                             struct err *e)
{
	const struct epoch *ep = keys_find_epoch(k, epoch);

	assert(kind >= BOX_LEDGER && kind < BOX_KIND_END);
	if (!ep)
		return err_set(e, ERR_WRONG_KEY, "this key does not hold epoch %u", epoch);
	if (!epoch_has(ep, kind == BOX_NAMES ? EPOCH_SYNC : EPOCH_STRUCT))
		return err_set(e, ERR_WRONG_KEY, "this key does not open %s", kind == BOX_NAMES ? "names" : "records");
	*out = ep->box[kind];
	return ERR_OK;
}

enum err_code box_seal(const struct keys *k, enum box_kind kind, uint32_t epoch, struct span ad, struct span plain,
                       struct buf *out, struct err *e)
{
	const uint8_t *key;
	enum err_code rc = box_key(k, kind, epoch, &key, e);
	size_t sealed_len;
	uint8_t *at;

	if (rc)
		return rc;
	if (!num_add_size(plain.len, BOX_OVERHEAD, &sealed_len))
		return err_set(e, ERR_LIMIT, "%zu bytes cannot be sealed", plain.len);
	rc = buf_extend(out, sealed_len, &at, e);
	if (rc)
		return rc;
	crypto_random(at, BOX_NONCE_BYTES);
	aead_seal(key, at, ad, plain, at + BOX_NONCE_BYTES);
	return ERR_OK;
}

enum err_code box_open(const struct keys *k, enum box_kind kind, uint32_t epoch, struct span ad, struct span sealed,
                       struct buf *out, struct err *e)
{
	const uint8_t *key;
	enum err_code rc = box_key(k, kind, epoch, &key, e);
	size_t start = out->len;
	uint8_t *at = NULL; /* stays so for empty bytes, which are only verified */

	if (rc)
		return rc;
	if (sealed.len < BOX_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "sealed bytes are cut short (%zu)", sealed.len);
	if (sealed.len > BOX_OVERHEAD)
		rc = buf_extend(out, sealed.len - BOX_OVERHEAD, &at, e);
	if (rc)
		return rc;
	if (!aead_open(key, sealed.ptr, ad, span_skip(sealed, BOX_NONCE_BYTES), at)) {
		out->len = start;
		return err_set(e, ERR_CORRUPT, "%zu sealed bytes are damaged or not ours", sealed.len);
	}
	return ERR_OK;
}
