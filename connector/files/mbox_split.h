/*
 * mbox_split: finds the messages of an mbox without changing a byte. A message is its From_ line, its body (quoting
 * such as ">From " stays as it is) and its tail: the empty line before the next message or the end. These three of
 * all messages, in order, are the file.
 *
 * A line is a separator when it begins with "From ", has at most 1000 bytes, and
 *   - it is the first line of the file; or
 *   - an empty line stands before it and it holds something like a time of day (mboxo, mboxrd); or
 *   - it ends in a whole asctime date (writers that leave out the empty line).
 * Where a message's Content-Length leads exactly to a separator or to the end of the file, separators before that
 * are text (mboxcl, mboxcl2).
 *
 * Memory   one window of 1 MiB, whatever the file's size.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_MBOX_SPLIT_H
#define MAILHOLD_CONNECTOR_FILES_MBOX_SPLIT_H

#include "base/err.h"

#define MBOX_FROM_BYTES_MAX 1000

struct mbox_message {
	uint64_t offset; /* of the From_ line */
	uint64_t body_bytes;
	uint32_t from_bytes; /* with its line end; 0 when the first line is too long for one: it is body then */
	uint8_t tail_bytes;  /* 0..2 */
	uint8_t hash[16];    /* hash128 of From_ line and body */
};

/* Reads up to LEN bytes at OFFSET; *GOT is less only at the end. */
typedef enum err_code (*mbox_read)(void *ctx, uint64_t offset, uint8_t *dst, size_t len, size_t *got, struct err *e);
typedef enum err_code (*mbox_found)(void *ctx, const struct mbox_message *m, struct err *e);

/* Calls FOUND for each message in order. ERR_UNSUPPORTED when the file is not empty and does not begin with "From ". */
MUST_CHECK enum err_code mbox_split(mbox_read read, void *read_ctx, mbox_found found, void *found_ctx, struct err *e);

/* An mbox_read over an open file: CTX points to the descriptor. */
MUST_CHECK enum err_code mbox_read_fd(void *ctx, uint64_t offset, uint8_t *dst, size_t len, size_t *got, struct err *e);

/* True when LINE ends in a whole asctime date, with or without seconds and zone: safe without an empty line before. */
bool mbox_line_is_dated(struct span line);

/*
 * A message's key: 32 hex digits of its hash, then, for the second and further ones with this hash, '-' and which it
 * is. MBOX_KEY_BYTES_MAX counts the NUL. mbox_key_number writes that second part and gives its length.
 */
#define MBOX_KEY_BYTES_MAX 44
size_t mbox_key(const uint8_t hash[16], uint32_t times, char out[MBOX_KEY_BYTES_MAX]);
size_t mbox_key_number(uint32_t times, char out[16]);

#endif
