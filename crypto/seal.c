/* seal: one random key for one pack and scope, wrapped for the scope's holders. Layout in docs/format/key.md. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/num.h"

#include <assert.h>
#include <stdatomic.h>

#define BOXED_BYTES           (KEY_BYTES + crypto_box_SEALBYTES)
#define WRAPPED_PLAIN_BYTES   (NONCE_BYTES + KEY_BYTES + TAG_BYTES)
#define WRAPPED_CONTENT_BYTES (NONCE_BYTES + BOXED_BYTES + TAG_BYTES)
_Static_assert(WRAPPED_CONTENT_BYTES <= SEAL_WRAPPED_MAX, "a wrapped seal fits");

struct seal_reader {
	uint8_t key[KEY_BYTES];
};

struct seal_writer {
	struct seal_reader reader;
	struct seal_id id;
	atomic_uint_fast64_t next; /* atomic only so that sealing threads may check against it */
};

#define WRAP_AD_BYTES 48

/* Binds a wrapped key to what it is for, so that a store cannot pass it off as another one. */
static struct span wrap_ad(uint8_t ad[WRAP_AD_BYTES], const struct keys *k, enum scope scope, uint32_t epoch,
                           const struct seal_id *id)
{
	memcpy(ad, "mh-seal\0\1\0", 10); /* magic and version 1 */
	ad[10] = (uint8_t)scope;
	ad[11] = 0;
	for (unsigned i = 0; i < 4; i++)
		ad[12 + i] = (uint8_t)(epoch >> (8 * i));
	memcpy(ad + 16, k->repo.bytes, 16);
	memcpy(ad + 32, id->bytes, 16);
	return span_of(ad, WRAP_AD_BYTES);
}

static enum err_code wrap(const struct keys *k, enum scope scope, const struct seal_writer *w, struct buf *out,
                          struct err *e)
{
	const struct epoch *ep = &k->epochs[k->shape.epochs - 1];
	uint8_t ad_bytes[WRAP_AD_BYTES], boxed[BOXED_BYTES];
	struct span ad = wrap_ad(ad_bytes, k, scope, ep->number, &w->id), inner = span_of(w->reader.key, KEY_BYTES);
	static const enum epoch_field need[SCOPE_END] = { 0, EPOCH_DROP, EPOCH_STRUCT, EPOCH_SYNC };
	enum err_code rc;
	uint8_t *at;

	if (!epoch_has(ep, need[scope]) || (scope == SCOPE_CONTENT && !epoch_has(ep, EPOCH_CONTENT_PUBLIC)))
		return err_set(e, ERR_WRONG_KEY, "this key cannot write scope %u", scope);
	if (scope == SCOPE_CONTENT) {
		if (crypto_box_seal(boxed, inner.ptr, inner.len, ep->field[EPOCH_CONTENT_PUBLIC]) != 0)
			return err_set(e, ERR_CORRUPT, "the content public key of epoch %u is unusable", ep->number);
		inner = span_of(boxed, sizeof boxed);
	}
	rc = buf_extend(out, NONCE_BYTES + inner.len + TAG_BYTES, &at, e);
	if (rc)
		return rc;
	crypto_random(at, NONCE_BYTES);
	aead_seal(ep->wrap[scope], at, ad, inner, at + NONCE_BYTES);
	return ERR_OK;
}

enum err_code seal_writer_open(const struct keys *k, enum scope scope, struct seal_writer **out, struct buf *wrapped,
                               struct err *e)
{
	struct seal_writer *w = locked_new(sizeof *w);
	enum err_code rc;

	assert(scope >= SCOPE_CONTENT && scope < SCOPE_END);
	if (!w)
		return err_no_memory(e, sizeof *w);
	crypto_random(w->id.bytes, sizeof w->id.bytes);
	crypto_random(w->reader.key, KEY_BYTES);
	rc = wrap(k, scope, w, wrapped, e);
	if (rc)
		seal_writer_free(&w);
	else
		*out = w;
	return rc;
}

void seal_writer_free(struct seal_writer **w)
{
	locked_free(*w);
	*w = NULL;
}

struct seal_id seal_writer_id(const struct seal_writer *w)
{
	return w->id;
}

uint64_t seal_writer_next(struct seal_writer *w)
{
	uint64_t got = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed);

	assert(got < UINT64_MAX);
	return got;
}

const struct seal_reader *seal_writer_reader(const struct seal_writer *w)
{
	return &w->reader;
}

/* The counter is the nonce: the key is random, belongs to one writer, and that writer never repeats a counter. */
static void counter_nonce(uint8_t nonce[NONCE_BYTES], uint64_t counter)
{
	memset(nonce, 0, NONCE_BYTES);
	for (unsigned i = 0; i < 8; i++)
		nonce[i] = (uint8_t)(counter >> (8 * i));
}

enum err_code seal_writer_seal(const struct seal_writer *w, uint64_t counter, struct span ad, struct span plain,
                               struct buf *out, struct err *e)
{
	uint8_t nonce[NONCE_BYTES], *at;
	enum err_code rc;
	size_t sealed_len;

	assert(counter < atomic_load_explicit(&w->next, memory_order_relaxed)); /* taken, not invented */
	if (!num_add_size(plain.len, SEAL_OVERHEAD, &sealed_len))
		return err_set(e, ERR_LIMIT, "a block of %zu bytes cannot be sealed", plain.len);
	rc = buf_extend(out, sealed_len, &at, e);
	if (rc)
		return rc;
	counter_nonce(nonce, counter);
	aead_seal(w->reader.key, nonce, ad, plain, at);
	return ERR_OK;
}

enum err_code seal_reader_unseal(const struct seal_reader *r, uint64_t counter, struct span ad, struct span sealed,
                                 uint8_t *dst, struct err *e)
{
	uint8_t nonce[NONCE_BYTES];

	if (sealed.len < SEAL_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "a sealed block of %zu bytes is cut short", sealed.len);
	counter_nonce(nonce, counter);
	if (!aead_open(r->key, nonce, ad, sealed, dst))
		return err_set(e, ERR_CORRUPT, "a sealed block of %zu bytes (counter %llu) is damaged or not ours",
		               sealed.len, (unsigned long long)counter);
	return ERR_OK;
}

static enum err_code unwrap_content(const struct epoch *ep, struct span ad, struct span wrapped, uint8_t key[KEY_BYTES],
                                    struct err *e)
{
	uint8_t boxed[BOXED_BYTES];

	if (!epoch_has(ep, EPOCH_DROP) || !epoch_has(ep, EPOCH_CONTENT_SECRET))
		return err_set(e, ERR_WRONG_KEY, "this key does not open content");
	if (wrapped.len != WRAPPED_CONTENT_BYTES)
		return err_set(e, ERR_CORRUPT, "a wrapped content key has %zu bytes", wrapped.len);
	if (!aead_open(ep->wrap[SCOPE_CONTENT], wrapped.ptr, ad, span_skip(wrapped, NONCE_BYTES), boxed) ||
	    crypto_box_seal_open(key, boxed, sizeof boxed, ep->field[EPOCH_CONTENT_PUBLIC],
	                         ep->field[EPOCH_CONTENT_SECRET]) != 0)
		return err_set(e, ERR_CORRUPT, "a wrapped content key does not open");
	return ERR_OK;
}

static enum err_code unwrap_plain(const struct epoch *ep, enum scope scope, struct span ad, struct span wrapped,
                                  uint8_t key[KEY_BYTES], struct err *e)
{
	if (!epoch_has(ep, scope == SCOPE_STRUCT ? EPOCH_STRUCT : EPOCH_SYNC))
		return err_set(e, ERR_WRONG_KEY, "this key does not open scope %u", scope);
	if (wrapped.len != WRAPPED_PLAIN_BYTES)
		return err_set(e, ERR_CORRUPT, "a wrapped key has %zu bytes", wrapped.len);
	if (!aead_open(ep->wrap[scope], wrapped.ptr, ad, span_skip(wrapped, NONCE_BYTES), key))
		return err_set(e, ERR_CORRUPT, "a wrapped key does not open");
	return ERR_OK;
}

enum err_code seal_reader_open(const struct keys *k, enum scope scope, uint32_t epoch, const struct seal_id *id,
                               struct span wrapped, struct seal_reader **out, struct err *e)
{
	const struct epoch *ep = keys_find_epoch(k, epoch);
	uint8_t ad_bytes[WRAP_AD_BYTES];
	struct seal_reader *r;
	enum err_code rc;
	struct span ad;

	assert(scope >= SCOPE_CONTENT && scope < SCOPE_END);
	if (!ep)
		return err_set(e, ERR_WRONG_KEY, "this key does not hold epoch %u", epoch);
	r = locked_new(sizeof *r);
	if (!r)
		return err_no_memory(e, sizeof *r);
	ad = wrap_ad(ad_bytes, k, scope, epoch, id);
	rc = scope == SCOPE_CONTENT ? unwrap_content(ep, ad, wrapped, r->key, e)
	                            : unwrap_plain(ep, scope, ad, wrapped, r->key, e);
	if (rc)
		seal_reader_free(&r);
	else
		*out = r;
	return rc;
}

void seal_reader_free(struct seal_reader **r)
{
	locked_free(*r);
	*r = NULL;
}
