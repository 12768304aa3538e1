/* names: ids, anchors and cut numbers, all keyed from K_id. Nothing here allocates: it runs for every chunk. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"

#include <assert.h>

void keys_chunk_ids(const struct keys *k, enum scope scope, const struct span *plain, size_t count,
                    struct chunk_id *out)
{
	_Static_assert(sizeof *out == ID_BYTES, "ids lie one after the other");
	assert((k->flags & HAS_ID_KEY) && scope >= SCOPE_CONTENT && scope < SCOPE_END);
	hash_many(k->chunk_key[scope], plain, count, (uint8_t *)out, sizeof *out);
}

void keys_chunk_id(const struct keys *k, enum scope scope, struct span plain, struct chunk_id *out)
{
	keys_chunk_ids(k, scope, &plain, 1, out);
}

void keys_anchor(const struct keys *k, struct span header, uint8_t out[16])
{
	assert(k->flags & HAS_ID_KEY);
	hash_many(k->anchor_key, &header, 1, out, 16);
}

struct account_id keys_account(const struct keys *k, struct span account_name)
{
	struct account_id id;

	assert(k->flags & HAS_ID_KEY);
	hash_many(k->account_key, &account_name, 1, id.bytes, sizeof id.bytes);
	return id;
}

uint64_t keys_cut(const struct keys *k, uint32_t level, struct span bytes)
{
	uint8_t short_key[4 + 124], le[4], hash[16];
	uint64_t cut = 0;

	assert(k->flags & HAS_ID_KEY);
	for (unsigned i = 0; i < sizeof le; i++)
		le[i] = (uint8_t)(level >> (8 * i));
	if (bytes.len <= sizeof short_key - sizeof le) {
		/* Nearly every item key is short: one call on one buffer costs less than three on a state. */
		memcpy(short_key, le, sizeof le);
		if (bytes.len)
			memcpy(short_key + sizeof le, bytes.ptr, bytes.len);
		hash_many(k->cut_key, &(struct span){ short_key, sizeof le + bytes.len }, 1, hash, sizeof hash);
	} else {
		crypto_generichash_state state;

		crypto_generichash_init(&state, k->cut_key, KEY_BYTES, sizeof hash);
		crypto_generichash_update(&state, le, sizeof le);
		crypto_generichash_update(&state, bytes.ptr, bytes.len);
		crypto_generichash_final(&state, hash, sizeof hash);
	}
	for (unsigned i = 8; i-- > 0;)
		cut = cut << 8 | hash[i];
	return cut;
}

void keys_gear_table(const struct keys *k, uint64_t out[256])
{
	uint8_t run[64];

	assert(k->flags & HAS_ID_KEY);
	for (unsigned i = 0; i < 256; i++) {
		const uint8_t *at = run + i % 8 * 8;

		if (i % 8 == 0)
			crypto_kdf_derive_from_key(run, sizeof run, 1 + i / 8, "mh_cdc__", k->id_key);
		out[i] = 0;
		for (unsigned b = 8; b-- > 0;)
			out[i] = out[i] << 8 | at[b];
	}
	sodium_memzero(run, sizeof run);
}
