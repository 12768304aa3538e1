/* epoch: fresh keys for what comes, handed to each holder who stays. Layout and reasons in docs/format/key.md, section 7. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/rd.h"

#define EPOCH_MAGIC       "mh-epch\0"
#define EPOCH_PLAIN_BYTES (8 + ID16_BYTES + ID16_BYTES + 8 + EPOCH_FIELD_END * KEY_BYTES)
_Static_assert(EPOCH_PLAIN_BYTES + crypto_box_SEALBYTES == EPOCH_SEALED_BYTES, "what the header promises");

/* K with room for one more epoch behind its own; not settled. */
static enum err_code with_room(const struct keys *k, struct keys **out, struct err *e)
{
	struct keys_shape shape = k->shape;
	struct keys *got;
	enum err_code rc;

	if (shape.epochs == EPOCHS_MAX)
		return err_set(
		        e, ERR_LIMIT,
		        "its keys were rotated %d times, and more epochs of keys it cannot hold; mailhold copy into a "
		        "new repository begins anew",
		        EPOCHS_MAX - 1);
	shape.epochs++;
	rc = keys_alloc(shape, &got, e);
	if (rc)
		return rc;
	got->role = k->role;
	got->flags = k->flags;
	got->holder = k->holder;
	memcpy(got->holder_key, k->holder_key, KEY_BYTES);
	memcpy(got->root_public, k->root_public, KEY_BYTES);
	memcpy(got->root_seed, k->root_seed, KEY_BYTES);
	memcpy(got->id_key, k->id_key, KEY_BYTES);
	for (size_t i = 0; i < k->shape.epochs; i++) {
		got->epochs[i].number = k->epochs[i].number;
		got->epochs[i].present = k->epochs[i].present;
		memcpy(got->epochs[i].field, k->epochs[i].field, sizeof k->epochs[i].field);
	}
	for (size_t i = 0; i < shape.holders; i++)
		got->holders[i] = k->holders[i];
	for (size_t i = 0; i < shape.grants; i++)
		got->grants[i] = k->grants[i];
	*out = got;
	return ERR_OK;
}

enum err_code keys_next_epoch(const struct keys *k, struct keys **out, struct err *e)
{
	struct keys *got;
	enum err_code rc;

	if (k->role != ROLE_FULL)
		return err_set(e, ERR_WRONG_KEY, "this key cannot make keys: it does not hold all of them itself");
	rc = with_room(k, &got, e);
	if (rc)
		return rc;
	epoch_new(&got->epochs[got->shape.epochs - 1], keys_epoch(k) + 1);
	keys_settle(got);
	*out = got;
	return ERR_OK;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		*at++ = (uint8_t)(value >> (8 * i));
	return at;
}

/* Fields that the role does not have stay zero. */
static void plain_encode(const struct keys *k, enum role role, const struct holder_id *to, uint8_t *plain)
{
	const struct epoch *ep = &k->epochs[k->shape.epochs - 1];
	uint32_t present = role_present(role);
	uint8_t *at = plain;

	memcpy(at, EPOCH_MAGIC, 8);
	memcpy(at + 8, k->repo.bytes, ID16_BYTES);
	memcpy(at + 24, to->bytes, ID16_BYTES);
	at = put_u32(at + 40, ep->number);
	at = put_u32(at, present);
	for (unsigned f = 0; f < EPOCH_FIELD_END; f++)
		if (present >> f & 1)
			memcpy(at + f * KEY_BYTES, ep->field[f], KEY_BYTES);
}

enum err_code epoch_seal(const struct keys *k, enum role role, const struct holder_id *to,
                         const uint8_t box_public[KEY_BYTES], struct buf *out, struct err *e)
{
	uint8_t *plain = locked_new(EPOCH_PLAIN_BYTES), *at;
	enum err_code rc;

	if (!plain)
		return err_no_memory(e, EPOCH_PLAIN_BYTES);
	plain_encode(k, role, to, plain);
	rc = buf_extend(out, EPOCH_SEALED_BYTES, &at, e);
	if (!rc && crypto_box_seal(at, plain, EPOCH_PLAIN_BYTES, box_public) != 0) {
		out->len -= EPOCH_SEALED_BYTES;
		rc = err_set(e, ERR_CORRUPT, "a holder's public key is unusable");
	}
	locked_free(plain);
	return rc;
}

static enum err_code plain_decode(const struct keys *k, struct span plain, struct epoch *out, struct err *e)
{
	struct rd r = rd_of(plain);
	struct span magic = rd_take(&r, 8), repo = rd_take(&r, ID16_BYTES), holder = rd_take(&r, ID16_BYTES);

	out->number = rd_u32(&r);
	out->present = rd_u32(&r);
	rd_copy(&r, out->field, sizeof out->field);
	if (r.bad || !span_equal(magic, span_of(EPOCH_MAGIC, 8)) ||
	    !span_equal(repo, span_of(k->repo.bytes, ID16_BYTES)) ||
	    !span_equal(holder, span_of(k->holder.bytes, ID16_BYTES)))
		return err_set(e, ERR_CORRUPT, "the new keys are for another holder or repository");
	if (out->number != keys_epoch(k) + 1 || out->present != role_present(k->role))
		return err_set(e, ERR_CORRUPT, "the new keys are of epoch %u, fields %u, for role %d in epoch %u",
		               out->number, out->present, k->role, keys_epoch(k));
	return ERR_OK;
}

enum err_code epoch_open(const struct keys *k, struct span sealed, struct keys **out, struct err *e)
{
	uint8_t *plain = NULL;
	struct keys *got = NULL;
	enum err_code rc;

	if (sealed.len != EPOCH_SEALED_BYTES)
		return err_set(e, ERR_CORRUPT, "sealed keys of %zu bytes", sealed.len);
	plain = locked_new(EPOCH_PLAIN_BYTES);
	if (!plain)
		return err_no_memory(e, EPOCH_PLAIN_BYTES);
	if (crypto_box_seal_open(plain, sealed.ptr, sealed.len, k->box_public, k->box_secret) != 0)
		rc = err_set(e, ERR_CORRUPT, "the new keys do not open");
	else
		rc = with_room(k, &got, e);
	if (!rc)
		rc = plain_decode(k, span_of(plain, EPOCH_PLAIN_BYTES), &got->epochs[got->shape.epochs - 1], e);
	if (!rc) {
		keys_settle(got);
		*out = got;
		got = NULL;
	}
	keys_free(&got);
	locked_free(plain);
	return rc;
}

const uint8_t *keys_box_public(const struct keys *k)
{
	return k->box_public;
}
