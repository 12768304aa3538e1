/*
 * num: sums and products that cannot wrap unseen. A number read from outside goes through these before it is
 * used as a size. Each returns false and leaves *OUT alone when the result does not fit.
 */
#ifndef MAILHOLD_BASE_NUM_H
#define MAILHOLD_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool num_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline bool num_add_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool num_mul_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline size_t num_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t num_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

#endif
