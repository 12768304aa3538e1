/*
 * lanes: BLAKE2b (RFC 7693) of many messages at once, each in a lane of its own of the processor's vector registers.
 * Digests are those of crypto_generichash, to the bit; libsodium does one message at a time, and slower.
 * Memory   a few kilobytes of stack, wiped; nothing is allocated.
 * Thread   no state is shared.
 */
#ifndef MAILHOLD_CRYPTO_LANES_H
#define MAILHOLD_CRYPTO_LANES_H

#include "base/span.h"

#define LANES_MAX         8
#define LANES_KEY_BYTES   32
#define LANES_DIGEST_MAX  64
#define LANES_BLOCK_BYTES 128

/* What a kernel works on. Lane L of every row belongs to one message. */
struct lanes_state {
	_Alignas(64) uint64_t h[8][LANES_MAX]; /* the chaining value */
	_Alignas(64) uint64_t t[LANES_MAX];    /* bytes taken so far */
	_Alignas(64) uint64_t step[LANES_MAX]; /* bytes that each block adds to t */
	_Alignas(64) uint64_t last[LANES_MAX]; /* all ones: the block ends its message */
	const uint8_t *at[LANES_MAX];          /* the next block */
	size_t stride[LANES_MAX];              /* from one block to the next; 0 in idle lanes */
};

struct lanes_kernel {
	const char *name;
	size_t width;
	/* Takes BLOCKS blocks in every lane; h, t and at move on. */
	void (*run)(struct lanes_state *s, size_t blocks);
};

/*
 * The kernels that this processor runs, the widest first, at most LANES_KERNELS_MAX; the last is lanes_plain, which every one
 * runs. After sodium_init.
 */
#define LANES_KERNELS_MAX 3
size_t lanes_kernels(const struct lanes_kernel *out[LANES_KERNELS_MAX]);
/* Whether KERNEL gives what libsodium gives, on a few messages of several lengths (some microseconds). */
bool lanes_agrees(const struct lanes_kernel *kernel);

/*
 * Digests of BYTES bytes (1..64) of each of COUNT messages, one after the other in OUT. KEY is LANES_KEY_BYTES, or NULL for
 * none. The more messages there are, and the more alike in length, the fuller the lanes; too few for KERNEL are done by
 * the plain one.
 */
void lanes_hash(const struct lanes_kernel *kernel, const uint8_t *key, const struct span *in, size_t count,
                uint8_t *out, size_t bytes);

extern const struct lanes_kernel lanes_plain;
#if defined __x86_64__
extern const struct lanes_kernel lanes_avx2, lanes_avx512;
#endif

#endif
