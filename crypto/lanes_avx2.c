/* lanes_avx2: four messages at once. */
#include "lanes.h"

#if defined __x86_64__

#include <immintrin.h>

#include "lanes_rounds.h"

#define WIDE __attribute__((target("avx2")))

typedef __m256i vec;

#define vadd _mm256_add_epi64
#define vxor _mm256_xor_si256

/* Whole bytes are turned by a shuffle: one instruction instead of three. */
WIDE static inline vec vror32(vec x)
{
	return _mm256_shuffle_epi32(x, _MM_SHUFFLE(2, 3, 0, 1));
}

WIDE static inline vec vror24(vec x)
{
	return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6,
	                                               7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
}

WIDE static inline vec vror16(vec x)
{
	return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5,
	                                               6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
}

WIDE static inline vec vror63(vec x)
{
	return vxor(_mm256_srli_epi64(x, 63), vadd(x, x));
}

WIDE static inline vec row(const void *at)
{
	return _mm256_loadu_si256(at);
}

/* Four words of each lane, starting OFFSET bytes into its block: a matrix of four by four, turned over. */
WIDE static inline void load(vec *words, const struct lanes_state *s, size_t offset)
{
	vec a = row(s->at[0] + offset), b = row(s->at[1] + offset);
	vec c = row(s->at[2] + offset), d = row(s->at[3] + offset);
	vec low_ab = _mm256_unpacklo_epi64(a, b), high_ab = _mm256_unpackhi_epi64(a, b);
	vec low_cd = _mm256_unpacklo_epi64(c, d), high_cd = _mm256_unpackhi_epi64(c, d);

	words[0] = _mm256_permute2x128_si256(low_ab, low_cd, 0x20);
	words[1] = _mm256_permute2x128_si256(high_ab, high_cd, 0x20);
	words[2] = _mm256_permute2x128_si256(low_ab, low_cd, 0x31);
	words[3] = _mm256_permute2x128_si256(high_ab, high_cd, 0x31);
}

WIDE static void run(struct lanes_state *s, size_t blocks)
{
	static const uint64_t iv[8] = { IV0, IV1, IV2, IV3, IV4, IV5, IV6, IV7 };
	vec h[8], v[16], m[16], t = row(s->t);

	for (int i = 0; i < 8; i++)
		h[i] = row(s->h[i]);
	for (; blocks; blocks--) {
		for (size_t i = 0; i < 4; i++)
			load(m + 4 * i, s, 32 * i);
		t = vadd(t, row(s->step));
		for (int i = 0; i < 8; i++) {
			v[i] = h[i];
			v[8 + i] = _mm256_set1_epi64x((long long)iv[i]);
		}
		for (int lane = 0; lane < 4; lane++)
			s->at[lane] += s->stride[lane];
		v[12] = vxor(v[12], t);
		v[14] = vxor(v[14], row(s->last));
		COMPRESS;
		for (int i = 0; i < 8; i++)
			h[i] = vxor(h[i], vxor(v[i], v[8 + i]));
	}
	for (int i = 0; i < 8; i++)
		_mm256_storeu_si256((void *)s->h[i], h[i]);
	_mm256_storeu_si256((void *)s->t, t);
}

const struct lanes_kernel lanes_avx2 = { .name = "AVX2", .width = 4, .run = run };

#endif
