/* key bundles: as a store gives them (they must open under the key), and the parser behind the seal alone. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "crypto/crypto.h"
#include "crypto/keys_internal.h"
#include "unit/crypto/golden.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The holder of the golden bundle: secret 0x10…, id 0xa0…, root key as the input says, so that it can match. */
static struct holder_secret *holder_for(struct span plain)
{
	struct holder_secret *h = locked_new(sizeof *h);

	if (!h)
		abort();
	for (size_t i = 0; i < sizeof h->holder_key; i++)
		h->holder_key[i] = (uint8_t)(0x10 + i);
	for (size_t i = 0; i < sizeof h->holder.bytes; i++)
		h->holder.bytes[i] = (uint8_t)(0xa0 + i);
	if (plain.len >= 8 + KEY_BYTES)
		memcpy(h->root_public, plain.ptr + 8, KEY_BYTES);
	h->repo = repo_of_root(h->root_public);
	return h;
}

/* The golden holder, so that the sealed seed opens and its mutations get as far as they can. */
static struct holder_secret *holder_of_seed(void)
{
	struct holder_secret *h = NULL;
	struct secret *key_file = NULL;
	uint8_t raw[SLOT_KEY_FILE_BYTES];
	struct err e;

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(0x20 + i);
	if (secret_new(span_of(raw, sizeof raw), &key_file, &e) ||
	    slot_open(span_of(golden_slot_key_file, sizeof golden_slot_key_file), key_file, &h, &e))
		abort();
	secret_free(&key_file);
	return h;
}

/* What was read can be written and read again. */
static void must_return(const struct keys *k, const struct holder_secret *h)
{
	struct buf again = BUF_EMPTY;
	struct keys *back = NULL;
	struct err e;

	if (bundle_seal(k, &again, &e) || bundle_open(buf_span(&again), h, &back, &e))
		abort();
	if (keys_epoch(back) != keys_epoch(k) || keys_role(back) != keys_role(k))
		abort();
	keys_free(&back);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct holder_secret *seed_holder;
	struct holder_secret *h;
	struct keys *k = NULL;
	struct err e;

	if (!seed_holder) {
		if (crypto_start(&e))
			abort();
		seed_holder = holder_of_seed();
	}
	if (bundle_open(span_of(data, size), seed_holder, &k, &e) == ERR_OK)
		keys_free(&k);
	h = holder_for(span_of(data, size));
	if (bundle_decode(span_of(data, size), h, &k, &e) == ERR_OK) {
		must_return(k, h);
		keys_free(&k);
	}
	locked_free(h);
	return 0;
}
