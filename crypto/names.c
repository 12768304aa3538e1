/* names: ids, anchors and cut numbers, all keyed from K_id. Nothing here allocates: it runs for every chunk. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"

#include <assert.h>

/*
 * One call, and no prepared state to copy: libsodium keeps the key block back until more bytes come, so a copied state
 * hashes it again all the same (13 of 287 ns were gained for 64 bytes, nothing for 8 KiB).
 */
void keys_chunk_id(const struct keys *k, enum scope scope, struct span plain, struct chunk_id *out)
{
	assert((k->flags & HAS_ID_KEY) && scope >= SCOPE_CONTENT && scope < SCOPE_END);
	crypto_generichash(out->bytes, sizeof out->bytes, plain.ptr, plain.len, k->chunk_key[scope], KEY_BYTES);
}

void keys_anchor(const struct keys *k, struct span header, uint8_t out[16])
{
	assert(k->flags & HAS_ID_KEY);
	crypto_generichash(out, 16, header.ptr, header.len, k->anchor_key, KEY_BYTES);
}

struct account_id keys_account(const struct keys *k, struct span account_name)
{
	struct account_id id;

	assert(k->flags & HAS_ID_KEY);
	crypto_generichash(id.bytes, sizeof id.bytes, account_name.ptr, account_name.len, k->account_key, KEY_BYTES);
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
		crypto_generichash(hash, sizeof hash, short_key, sizeof le + bytes.len, k->cut_key, KEY_BYTES);
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
