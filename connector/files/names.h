/*
 * names: the names of one folder, packed: one arena for the bytes, 16 bytes a name for order. Holds a million Maildir
 * names in about 100 MB. A record has a name (as it stands in the folder), a key (its first bytes, or one of its own)
 * and an encoded state. Names are at most 255 bytes and hold no NUL, so keys can be compared as zero-padded words.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_NAMES_H
#define MAILHOLD_CONNECTOR_FILES_NAMES_H

#include "base/err.h"

#define NAME_LEN_MAX 255

struct name_ref {
	uint64_t word;   /* eight bytes of the key, big-endian: the sort's own */
	uint32_t offset; /* of the record in the arena: name, NUL, own key (if any), state length, state */
	uint16_t key_len;
	uint8_t name_len;
	uint8_t mark; /* NAME_OWN_KEY and the caller's bits */
};
#define NAME_OWN_KEY  0x80u /* the key stands behind the name, it is not its beginning */
#define NAME_USER_BIT 0x01u /* the caller's: Maildir: stands in cur */

struct names {
	struct name_ref *refs;
	size_t count, refs_cap;
	uint8_t *arena;
	size_t arena_len, arena_cap;
};
#define NAMES_EMPTY ((struct names){ NULL, 0, 0, NULL, 0, 0 })

/* Adds NAME whose first KEY_LEN bytes are the key. STATE is at most 65535 bytes. ERR_LIMIT at 4 GiB of names. */
MUST_CHECK enum err_code names_add(struct names *n, struct span name, size_t key_len, uint8_t mark, struct span state,
                                   struct err *e);
/* Gives number I a key of its own; sort again afterwards. */
MUST_CHECK enum err_code names_own_key(struct names *n, size_t i, struct span key, struct err *e);
/* Orders by key as memcmp does; equal keys by mark, then by whole name. */
void names_sort(struct names *n);
void names_release(struct names *n);

struct span names_name(const struct names *n, size_t i); /* followed by a NUL */
struct span names_key(const struct names *n, size_t i);
struct span names_state(const struct names *n, size_t i);
/* The first entry with KEY in sorted names; false when there is none. */
bool names_find(const struct names *n, struct span key, size_t *at);

#endif
