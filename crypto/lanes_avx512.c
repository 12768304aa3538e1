/* lanes_avx512: eight messages at once. The state and the message's sixteen words fill the 32 registers exactly. */
#include "lanes.h"

#if defined __x86_64__

#include <immintrin.h>

#include "lanes_rounds.h"

#define WIDE __attribute__((target("avx512f")))

typedef __m512i vec;

#define vadd      _mm512_add_epi64
#define vxor      _mm512_xor_si512
#define vror32(x) _mm512_ror_epi64(x, 32)
#define vror24(x) _mm512_ror_epi64(x, 24)
#define vror16(x) _mm512_ror_epi64(x, 16)
#define vror63(x) _mm512_ror_epi64(x, 63)

/* Four words of eight lanes, from their pairs: every second word of words[0], words[2], words[4], words[6]. */
WIDE static inline void spread(vec *words, vec a, vec b, vec c, vec d)
{
	vec ab = _mm512_shuffle_i64x2(a, b, 0x44), cd = _mm512_shuffle_i64x2(c, d, 0x44);

	words[0] = _mm512_shuffle_i64x2(ab, cd, 0x88);
	words[2] = _mm512_shuffle_i64x2(ab, cd, 0xdd);
	ab = _mm512_shuffle_i64x2(a, b, 0xee);
	cd = _mm512_shuffle_i64x2(c, d, 0xee);
	words[4] = _mm512_shuffle_i64x2(ab, cd, 0x88);
	words[6] = _mm512_shuffle_i64x2(ab, cd, 0xdd);
}

/* Eight words of each lane, starting OFFSET bytes into its block: a matrix of eight by eight, turned over. */
WIDE static inline void load(vec *words, const struct lanes_state *s, size_t offset)
{
	vec r[8], low[4], high[4];

	for (int lane = 0; lane < 8; lane++)
		r[lane] = _mm512_loadu_si512(s->at[lane] + offset);
	for (int pair = 0; pair < 4; pair++) {
		low[pair] = _mm512_unpacklo_epi64(r[2 * pair], r[2 * pair + 1]);
		high[pair] = _mm512_unpackhi_epi64(r[2 * pair], r[2 * pair + 1]);
	}
	spread(words, low[0], low[1], low[2], low[3]);
	spread(words + 1, high[0], high[1], high[2], high[3]);
}

WIDE static void run(struct lanes_state *s, size_t blocks)
{
	static const uint64_t iv[8] = { IV0, IV1, IV2, IV3, IV4, IV5, IV6, IV7 };
	vec h[8], v[16], m[16], t = _mm512_load_si512(s->t);

	for (int i = 0; i < 8; i++)
		h[i] = _mm512_load_si512(s->h[i]);
	for (; blocks; blocks--) {
		load(m, s, 0);
		load(m + 8, s, 64);
		t = vadd(t, _mm512_load_si512(s->step));
		for (int i = 0; i < 8; i++) {
			v[i] = h[i];
			v[8 + i] = _mm512_set1_epi64((long long)iv[i]);
			s->at[i] += s->stride[i];
		}
		v[12] = vxor(v[12], t);
		v[14] = vxor(v[14], _mm512_load_si512(s->last));
		COMPRESS;
		for (int i = 0; i < 8; i++)
			h[i] = vxor(h[i], vxor(v[i], v[8 + i]));
	}
	for (int i = 0; i < 8; i++)
		_mm512_store_si512(s->h[i], h[i]);
	_mm512_store_si512(s->t, t);
}

const struct lanes_kernel lanes_avx512 = { .name = "AVX-512", .width = 8, .run = run };

#endif
