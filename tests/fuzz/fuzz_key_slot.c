/* key slots from a hostile store: read in the clear, and opened when that costs no key derivation. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secret *key_file;
	struct holder_secret *h = NULL;
	struct slot_info info;
	struct err e;

	if (!key_file) {
		uint8_t raw[SLOT_KEY_FILE_BYTES];

		for (size_t i = 0; i < sizeof raw; i++)
			raw[i] = (uint8_t)(0x20 + i);
		if (crypto_start(&e) || secret_new(span_of(raw, sizeof raw), &key_file, &e))
			abort();
	}
	if (slot_inspect(span_of(data, size), &info, &e))
		return 0;
	/* What passed has a cost that we are willing to pay, whatever the store says. */
	if (size != SLOT_BYTES || info.ops > 16 || info.mem_bytes > (uint64_t)4 << 30)
		abort();
	if (info.kind == SLOT_KEY_FILE && slot_open(span_of(data, size), key_file, &h, &e) == ERR_OK)
		holder_secret_free(&h);
	return 0;
}
