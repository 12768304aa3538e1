/*
 * rd: one cursor over foreign bytes that cannot leave its span and remembers that it ran dry. All integers are
 * little-endian. Once dry, every read gives zero; check r->bad once at the end of a structure.
 */
#ifndef MAILHOLD_BASE_RD_H
#define MAILHOLD_BASE_RD_H

#include "span.h"

struct rd {
	struct span left;
	bool bad;
};

static inline struct rd rd_of(struct span s)
{
	return (struct rd){ s, false };
}

/* The next N bytes, borrowed; an empty span when fewer are left. */
static inline struct span rd_take(struct rd *r, size_t n)
{
	struct span got = { r->left.ptr, n };

	if (r->bad || n > r->left.len) {
		r->bad = true;
		return SPAN_EMPTY;
	}
	if (n) {
		r->left.ptr += n;
		r->left.len -= n;
	}
	return got;
}

static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	struct span got = rd_take(r, n);

	if (got.ptr && n)
		memcpy(dst, got.ptr, n);
	else if (n)
		memset(dst, 0, n);
}

static inline uint64_t rd_uint(struct rd *r, size_t bytes)
{
	struct span got = rd_take(r, bytes);
	uint64_t value = 0;

	for (size_t i = got.len; i-- > 0;)
		value = value << 8 | got.ptr[i];
	return value;
}

static inline uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)rd_uint(r, 1);
}

static inline uint16_t rd_u16(struct rd *r)
{
	return (uint16_t)rd_uint(r, 2);
}

static inline uint32_t rd_u32(struct rd *r)
{
	return (uint32_t)rd_uint(r, 4);
}

static inline uint64_t rd_u64(struct rd *r)
{
	return rd_uint(r, 8);
}

/* LEB128, at most 10 bytes, shortest form only: a longer form of the same number is refused. */
static inline uint64_t rd_var(struct rd *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = rd_u8(r);

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			if (byte == 0 && shift > 0)
				break;
			return r->bad ? 0 : value;
		}
	}
	r->bad = true;
	return 0;
}

/* A length (rd_var, at most MAX) and that many bytes. */
static inline struct span rd_blob(struct rd *r, size_t max)
{
	uint64_t n = rd_var(r);

	if (n > max) {
		r->bad = true;
		return SPAN_EMPTY;
	}
	return rd_take(r, (size_t)n);
}

/* True when everything was read and nothing is left over. */
static inline bool rd_done(const struct rd *r)
{
	return !r->bad && r->left.len == 0;
}

#endif
