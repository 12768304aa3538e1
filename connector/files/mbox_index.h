/*
 * mbox_index: the messages of one mbox in key order, about 90 bytes a message.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_MBOX_INDEX_H
#define MAILHOLD_CONNECTOR_FILES_MBOX_INDEX_H

#include "mbox_split.h"

struct mbox_entry {
	uint64_t offset;
	uint64_t body_bytes;
	uint32_t from_bytes;
	uint8_t tail_bytes;
	uint8_t key_len;
	char key[MBOX_KEY_BYTES_MAX];
	uint8_t state[10]; /* STATE_POSITION, encoded */
};

struct mbox_index {
	struct mbox_entry *entries;
	size_t count, cap;
};
#define MBOX_INDEX_EMPTY ((struct mbox_index){ NULL, 0, 0 })

/* Splits the open file FD and orders its messages by key. Release also after a failure. */
MUST_CHECK enum err_code mbox_index_read(struct mbox_index *x, int fd, struct err *e);
/* True when a message with KEY is there. */
bool mbox_index_has(const struct mbox_index *x, struct span key);
void mbox_index_release(struct mbox_index *x);

#endif
