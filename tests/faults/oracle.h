/*
 * oracle: what each item of a repository needs, as the second reader (tests/reader, written from docs/format/ alone)
 * tells it.
 */
#ifndef MAILHOLD_TESTS_FAULTS_ORACLE_H
#define MAILHOLD_TESTS_FAULTS_ORACLE_H

#include "base/span.h"
#include "crypto/crypto.h"

enum { ORACLE_BLOCKS_MAX = 64, ORACLE_ITEMS_MAX = 64, ORACLE_SNAPSHOTS_MAX = 8, ORACLE_NAME_MAX = 64 };
/* Bit n of a set is block number n, or item number n. */
typedef uint64_t oracle_set;

struct oracle_block {
	char pack[120]; /* name of the object */
	uint64_t first, end;
	uint64_t record; /* that announced the pack */
};

struct oracle_item {
	unsigned snapshot;
	uint8_t path[ORACLE_NAME_MAX], key[ORACLE_NAME_MAX];
	size_t path_bytes, key_bytes;
	uint64_t bytes;
	uint8_t digest[16];
	oracle_set content;   /* blocks without which its bytes are lost */
	oracle_set structure; /* blocks without which it may not be found, or lose its name, date or flags */
};

struct oracle {
	struct oracle_block blocks[ORACLE_BLOCKS_MAX];
	size_t block_count;
	struct {
		struct snapshot_id id;
		uint64_t record;
	} snapshots[ORACLE_SNAPSHOTS_MAX];
	size_t snapshot_count;
	struct oracle_item items[ORACLE_ITEMS_MAX];
	size_t item_count;
};

/* Runs READER (a command line) on the repository. Ends the process when it fails or tells too much. */
void oracle_ask(const char *reader, const char *repository, const char *key_file, struct oracle *out);
/* Number of the item, or -1: there is none of that name. */
int oracle_find(const struct oracle *o, unsigned snapshot, struct span path, struct span key);

#endif
