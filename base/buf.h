/*
 * buf: a growing run of bytes with a limit from birth. Growing past MAX is ERR_LIMIT, never a large allocation
 * by accident. The content is left alone by a failed append.
 */
#ifndef MAILHOLD_BASE_BUF_H
#define MAILHOLD_BASE_BUF_H

#include "err.h"

struct buf {
	uint8_t *ptr;
	size_t len;
	size_t cap;
	size_t max; /* 0 means BUF_MAX_DEFAULT */
};

#define BUF_MAX_DEFAULT     (64 * MIB)
#define BUF_EMPTY           ((struct buf){ NULL, 0, 0, 0 })
#define BUF_WITH_MAX(bytes) ((struct buf){ NULL, 0, 0, (bytes) })

/* Makes room for MORE bytes behind the content. */
MUST_CHECK enum err_code buf_reserve(struct buf *b, size_t more, struct err *e);
MUST_CHECK enum err_code buf_append(struct buf *b, struct span bytes, struct err *e);
/* Appends N bytes of unset content and gives their place in *OUT, good until the next growth. */
MUST_CHECK enum err_code buf_extend(struct buf *b, size_t n, uint8_t **out, struct err *e);
MUST_CHECK enum err_code buf_printf(struct buf *b, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->ptr, b->len };
}

/* Empties it and keeps the memory for the next use. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

void buf_release(struct buf *b); /* frees; B is empty and usable afterwards, its max kept */
void buf_wipe(struct buf *b);    /* overwrites the whole capacity, then releases */

#endif
