/*
 * span: a borrowed run of bytes. Mail is bytes: it holds NULs and lies about its charset, so everything from
 * outside travels as pointer and length. A span never owns; its header or caller says how long it lives.
 */
#ifndef MAILHOLD_BASE_SPAN_H
#define MAILHOLD_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MUST_CHECK
#define PRINTF_LIKE(fmt, args)
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KIB          ((size_t)1024)
#define MIB          (1024 * KIB)

struct span {
	const uint8_t *ptr;
	size_t len;
};

#define SPAN_EMPTY ((struct span){ NULL, 0 })
/* A string literal of ours, without its NUL. */
#define SPAN_LIT(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct span span_of(const void *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

/* The bytes of a C string of ours (a path, a message), without its NUL. Never for foreign bytes. */
static inline struct span span_cstr(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Orders as memcmp does, a prefix before what it begins. Returns <0, 0 or >0. */
static inline int span_compare(struct span a, struct span b)
{
	size_t shared = a.len < b.len ? a.len : b.len;
	int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;

	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* S without its first N bytes; all of it gone when N is larger. */
static inline struct span span_skip(struct span s, size_t n)
{
	return n >= s.len ? SPAN_EMPTY : (struct span){ s.ptr + n, s.len - n };
}

/* At most the first N bytes of S. */
static inline struct span span_first(struct span s, size_t n)
{
	return (struct span){ s.ptr, n < s.len ? n : s.len };
}

#endif
