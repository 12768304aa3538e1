/* bundle: object key/HOLDER.bundle, a holder's role secrets. Layout and reasons in docs/format/key.md. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"

#define BUNDLE_MAGIC       "mh-bndl\0"
#define BUNDLE_VERSION     1
#define BUNDLE_AD_BYTES    48
#define BUNDLE_CLEAR_BYTES (BUNDLE_AD_BYTES + NONCE_BYTES)
#define BUNDLE_UNIT        512
#define FIXED_BYTES        104
#define EPOCH_BYTES        (8 + EPOCH_FIELD_END * KEY_BYTES)
#define GRANT_BYTES        ID16_BYTES
#define HOLDER_BYTES       (ID16_BYTES + KEY_BYTES)

_Static_assert(BUNDLE_CLEAR_BYTES + FIXED_BYTES + EPOCHS_MAX * EPOCH_BYTES + GRANTS_MAX * GRANT_BYTES +
                               HOLDERS_MAX * HOLDER_BYTES + TAG_BYTES + BUNDLE_UNIT <=
                       BUNDLE_BYTES_MAX,
               "the largest bundle fits");

static size_t plain_bytes(struct keys_shape shape)
{
	return FIXED_BYTES + shape.epochs * EPOCH_BYTES + shape.grants * GRANT_BYTES + shape.holders * HOLDER_BYTES;
}

static size_t padded_bytes(size_t plain)
{
	size_t whole = BUNDLE_CLEAR_BYTES + plain + TAG_BYTES;

	return (whole + BUNDLE_UNIT - 1) / BUNDLE_UNIT * BUNDLE_UNIT;
}

static void put(uint8_t **at, const void *bytes, size_t len)
{
	memcpy(*at, bytes, len);
	*at += len;
}

static void put_uint(uint8_t **at, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

/* Straight into locked memory: a growing buffer would leave copies of secrets behind. */
static void plain_encode(const struct keys *k, uint8_t *at)
{
	*at++ = (uint8_t)k->role;
	*at++ = (uint8_t)k->flags;
	put_uint(&at, (uint32_t)k->shape.epochs, 2);
	put_uint(&at, (uint32_t)k->shape.grants, 2);
	put_uint(&at, (uint32_t)k->shape.holders, 2);
	put(&at, k->root_public, KEY_BYTES);
	put(&at, k->id_key, KEY_BYTES);
	put(&at, k->root_seed, KEY_BYTES);
	for (size_t i = 0; i < k->shape.epochs; i++) {
		put_uint(&at, k->epochs[i].number, 4);
		put_uint(&at, k->epochs[i].present, 4);
		put(&at, k->epochs[i].field, sizeof k->epochs[i].field);
	}
	for (size_t i = 0; i < k->shape.grants; i++)
		put(&at, k->grants[i].bytes, ID16_BYTES);
	for (size_t i = 0; i < k->shape.holders; i++) {
		put(&at, k->holders[i].holder.bytes, ID16_BYTES);
		put(&at, k->holders[i].bundle_key, KEY_BYTES);
	}
}

enum err_code bundle_encode(const struct keys *k, const uint8_t nonce[NONCE_BYTES], struct buf *out, struct err *e)
{
	size_t start = out->len, total = padded_bytes(plain_bytes(k->shape));
	size_t plain_len = total - BUNDLE_CLEAR_BYTES - TAG_BYTES;
	struct wr w = wr_to(out, e);
	uint8_t *plain, *at;
	enum err_code rc = buf_reserve(out, total, e);

	if (rc)
		return rc;
	plain = locked_new(plain_len);
	if (!plain)
		return err_no_memory(e, plain_len);
	plain_encode(k, plain);
	wr_bytes(&w, SPAN_LIT(BUNDLE_MAGIC));
	wr_u16(&w, BUNDLE_VERSION);
	wr_zeros(&w, 6);
	wr_bytes(&w, span_of(k->holder.bytes, ID16_BYTES));
	wr_bytes(&w, span_of(k->repo.bytes, ID16_BYTES));
	wr_bytes(&w, span_of(nonce, NONCE_BYTES));
	rc = wr_end(&w);
	if (!rc)
		rc = buf_extend(out, plain_len + TAG_BYTES, &at, e);
	if (!rc)
		aead_seal(k->bundle_key, nonce, span_of(out->ptr + start, BUNDLE_AD_BYTES), span_of(plain, plain_len),
		          at);
	else
		out->len = start;
	locked_free(plain);
	return rc;
}

enum err_code bundle_seal(const struct keys *k, struct buf *out, struct err *e)
{
	uint8_t nonce[NONCE_BYTES];

	crypto_random(nonce, sizeof nonce);
	return bundle_encode(k, nonce, out, e);
}

enum err_code bundle_inspect(struct span bundle, struct holder_id *holder, struct repo_id *repo, struct err *e)
{
	struct rd r = rd_of(bundle);
	struct span magic = rd_take(&r, sizeof BUNDLE_MAGIC - 1), zeros;
	unsigned version = rd_u16(&r);

	if (r.bad || !span_equal(magic, SPAN_LIT(BUNDLE_MAGIC)))
		return err_set(e, ERR_CORRUPT, "this is not a key bundle");
	if (version != BUNDLE_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "key bundle of version %u; this program knows version %d", version,
		               BUNDLE_VERSION);
	if (bundle.len % BUNDLE_UNIT || bundle.len < BUNDLE_UNIT || bundle.len > BUNDLE_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "a key bundle cannot have %zu bytes", bundle.len);
	zeros = rd_take(&r, 6);
	if (!sodium_is_zero(zeros.ptr, zeros.len))
		return err_set(e, ERR_UNSUPPORTED, "key bundle with features that this program does not know");
	rd_copy(&r, holder->bytes, ID16_BYTES);
	rd_copy(&r, repo->bytes, ID16_BYTES);
	return ERR_OK;
}

static enum err_code clear_check(struct span bundle, const struct holder_secret *h, struct err *e)
{
	struct holder_id holder;
	struct repo_id repo;
	enum err_code rc = bundle_inspect(bundle, &holder, &repo, e);

	if (rc)
		return rc;
	if (memcmp(&holder, &h->holder, sizeof holder) != 0)
		return err_set(e, ERR_CORRUPT, "key bundle of another holder");
	if (memcmp(&repo, &h->repo, sizeof repo) != 0)
		return err_set(e, ERR_CORRUPT, "key bundle of another repository");
	return ERR_OK;
}

/* What every role must hold, and may not hold. A full key that lacks something would fail much later. */
static enum err_code role_check(const struct keys *k, struct err *e)
{
	unsigned flags = k->flags & (HAS_ID_KEY | HAS_ROOT_SEED);

	if (flags != role_flags(k->role) || (k->role != ROLE_FULL && k->shape.holders))
		return err_set(e, ERR_CORRUPT, "key bundle does not hold what role %u has", k->role);
	for (size_t i = 0; i < k->shape.epochs; i++)
		if (k->epochs[i].present != role_present(k->role))
			return err_set(e, ERR_CORRUPT, "key bundle does not hold what role %u has in epoch %u", k->role,
			               k->epochs[i].number);
	return ERR_OK;
}

static enum err_code root_check(const struct keys *k, const struct holder_secret *h, struct err *e)
{
	uint8_t public_key[KEY_BYTES], secret[SIGN_SECRET_BYTES];
	bool same = crypto_equal(k->root_public, h->root_public, KEY_BYTES);

	if (same && k->flags & HAS_ROOT_SEED) {
		crypto_sign_seed_keypair(public_key, secret, k->root_seed);
		same = crypto_equal(public_key, k->root_public, KEY_BYTES);
		sodium_memzero(secret, sizeof secret);
	}
	return same ? ERR_OK : err_set(e, ERR_CORRUPT, "key bundle holds another root key than the slot");
}

static enum err_code epochs_decode(struct rd *r, struct keys *k, struct err *e)
{
	uint32_t before = 0;

	for (size_t i = 0; i < k->shape.epochs; i++) {
		struct epoch *ep = &k->epochs[i];

		ep->number = rd_u32(r);
		ep->present = rd_u32(r);
		rd_copy(r, ep->field, sizeof ep->field);
		if (r->bad || ep->number <= before)
			return err_set(e, ERR_CORRUPT, "key bundle lists epoch %u behind %u", ep->number, before);
		if (ep->present & ~EPOCH_FIELDS_ALL)
			return err_set(e, ERR_UNSUPPORTED, "key bundle with fields that this program does not know");
		for (unsigned f = 0; f < EPOCH_FIELD_END; f++)
			if (!epoch_has(ep, f) && !sodium_is_zero(ep->field[f], KEY_BYTES))
				return err_set(e, ERR_CORRUPT, "key bundle has bytes where epoch %u has no field",
				               ep->number);
		before = ep->number;
	}
	return ERR_OK;
}

static enum err_code body_decode(struct rd *r, struct keys *k, struct err *e)
{
	enum err_code rc;

	rd_copy(r, k->root_public, KEY_BYTES);
	rd_copy(r, k->id_key, KEY_BYTES);
	rd_copy(r, k->root_seed, KEY_BYTES);
	rc = epochs_decode(r, k, e);
	if (rc)
		return rc;
	for (size_t i = 0; i < k->shape.grants; i++)
		rd_copy(r, k->grants[i].bytes, ID16_BYTES);
	for (size_t i = 0; i < k->shape.holders; i++) {
		rd_copy(r, k->holders[i].holder.bytes, ID16_BYTES);
		rd_copy(r, k->holders[i].bundle_key, KEY_BYTES);
	}
	if (r->bad)
		return err_set(e, ERR_CORRUPT, "key bundle is cut short");
	if (!sodium_is_zero(r->left.ptr, r->left.len))
		return err_set(e, ERR_UNSUPPORTED, "key bundle holds more than this program knows");
	return ERR_OK;
}

enum err_code bundle_decode(struct span plain, const struct holder_secret *h, struct keys **out, struct err *e)
{
	struct rd r = rd_of(plain);
	unsigned role = rd_u8(&r), flags = rd_u8(&r);
	struct keys_shape shape = { 0 };
	struct keys *k;
	enum err_code rc;

	shape.epochs = rd_u16(&r);
	shape.grants = rd_u16(&r);
	shape.holders = rd_u16(&r);
	if (role == 0 || role >= ROLE_END || flags & ~KEYS_FLAGS_ALL)
		return err_set(e, ERR_UNSUPPORTED, "key bundle of role %u, flags %u", role, flags);
	if (shape.epochs == 0 || shape.epochs > EPOCHS_MAX || shape.grants > GRANTS_MAX ||
	    shape.holders > HOLDERS_MAX || plain_bytes(shape) > plain.len)
		return err_set(e, ERR_CORRUPT, "key bundle claims %zu epochs, %zu grants, %zu holders", shape.epochs,
		               shape.grants, shape.holders);
	rc = keys_alloc(shape, &k, e);
	if (rc)
		return rc;
	k->role = (enum role)role;
	k->flags = flags;
	k->holder = h->holder;
	memcpy(k->holder_key, h->holder_key, KEY_BYTES);
	rc = body_decode(&r, k, e);
	if (!rc)
		rc = role_check(k, e);
	if (!rc)
		rc = root_check(k, h, e);
	if (rc) {
		keys_free(&k);
		return rc;
	}
	keys_settle(k);
	*out = k;
	return ERR_OK;
}

enum err_code bundle_open(struct span bundle, const struct holder_secret *h, struct keys **out, struct err *e)
{
	uint8_t key[KEY_BYTES], *plain = NULL;
	size_t plain_len;
	enum err_code rc = clear_check(bundle, h, e);

	if (rc)
		return rc;
	plain_len = bundle.len - BUNDLE_CLEAR_BYTES - TAG_BYTES;
	plain = locked_new(plain_len);
	if (!plain)
		return err_no_memory(e, plain_len);
	derive(key, h->holder_key, 1, "mh_bundl");
	if (aead_open(key, bundle.ptr + BUNDLE_AD_BYTES, span_first(bundle, BUNDLE_AD_BYTES),
	              span_skip(bundle, BUNDLE_CLEAR_BYTES), plain))
		rc = bundle_decode(span_of(plain, plain_len), h, out, e);
	else
		rc = err_set(e, ERR_CORRUPT, "the key bundle is damaged or not this holder's");
	sodium_memzero(key, sizeof key);
	locked_free(plain);
	return rc;
}
