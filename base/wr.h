/*
 * wr: appends little-endian fields to a buf and remembers the first failure, so that an encoder reads like the
 * format page. Check wr_end() once.
 */
#ifndef MAILHOLD_BASE_WR_H
#define MAILHOLD_BASE_WR_H

#include "buf.h"

struct wr {
	struct buf *to;
	struct err *e;
	enum err_code rc;
};

static inline struct wr wr_to(struct buf *to, struct err *e)
{
	return (struct wr){ to, e, ERR_OK };
}

static inline void wr_bytes(struct wr *w, struct span s)
{
	if (!w->rc)
		w->rc = buf_append(w->to, s, w->e);
}

static inline void wr_uint(struct wr *w, uint64_t value, size_t bytes)
{
	uint8_t le[8];

	for (size_t i = 0; i < bytes; i++)
		le[i] = (uint8_t)(value >> (8 * i));
	wr_bytes(w, span_of(le, bytes));
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_uint(w, v, 1);
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	wr_uint(w, v, 2);
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
	wr_uint(w, v, 4);
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_uint(w, v, 8);
}

static inline void wr_var(struct wr *w, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
		n++;
	} while (v);
	wr_bytes(w, span_of(out, n));
}

/* A length (wr_var) and the bytes. */
static inline void wr_blob(struct wr *w, struct span s)
{
	wr_var(w, s.len);
	wr_bytes(w, s);
}

static inline void wr_zeros(struct wr *w, size_t n)
{
	uint8_t *at;

	if (!w->rc && n) {
		w->rc = buf_extend(w->to, n, &at, w->e);
		if (!w->rc)
			memset(at, 0, n);
	}
}

static inline enum err_code wr_end(const struct wr *w)
{
	return w->rc;
}

#endif
