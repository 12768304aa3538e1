/* lanes_plain: one message, no vectors. */
#include <string.h>

#include "lanes.h"
#include "lanes_rounds.h"

typedef uint64_t vec;

#define vadd(a, b) ((a) + (b))
#define vxor(a, b) ((a) ^ (b))
#define vror32(x)  ror(x, 32)
#define vror24(x)  ror(x, 24)
#define vror16(x)  ror(x, 16)
#define vror63(x)  ror(x, 63)

static inline vec ror(vec x, unsigned n)
{
	return x >> n | x << (64 - n);
}

static inline uint64_t word(const uint8_t *at)
{
	uint64_t w;

	memcpy(&w, at, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

static void run(struct lanes_state *s, size_t blocks)
{
	vec h[8], v[16], m[16];

	for (int i = 0; i < 8; i++)
		h[i] = s->h[i][0];
	for (; blocks; blocks--) {
		for (int i = 0; i < 16; i++)
			m[i] = word(s->at[0] + 8 * i);
		s->at[0] += s->stride[0];
		s->t[0] += s->step[0];
		for (int i = 0; i < 8; i++)
			v[i] = h[i];
		v[8] = IV0;
		v[9] = IV1;
		v[10] = IV2;
		v[11] = IV3;
		v[12] = IV4 ^ s->t[0];
		v[13] = IV5;
		v[14] = IV6 ^ s->last[0];
		v[15] = IV7;
		COMPRESS;
		for (int i = 0; i < 8; i++)
			h[i] ^= v[i] ^ v[8 + i];
	}
	for (int i = 0; i < 8; i++)
		s->h[i][0] = h[i];
}

const struct lanes_kernel lanes_plain = { .name = "plain", .width = 1, .run = run };
