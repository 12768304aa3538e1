/*
 * block: the unit of compression and sealing. Many chunks of one class, one zstd frame, one AEAD seal.
 * Format   docs/format/pack.md (block), version 1.
 * Thread   the functions have no shared state; a block_codec belongs to one thread at a time.
 */
#ifndef MAILHOLD_ENGINE_OBJECT_BLOCK_H
#define MAILHOLD_ENGINE_OBJECT_BLOCK_H

#include "base/buf.h"
#include "crypto/crypto.h"

/* Values are format. */
enum block_class {
	CLASS_ITEM = 1,       /* content: recipes with inline literals (header blocks) */
	CLASS_TEXT = 2,       /* content */
	CLASS_BINARY = 3,     /* content */
	CLASS_SUMMARY = 4,    /* content */
	CLASS_REFS = 5,       /* struct */
	CLASS_NODE = 6,       /* struct */
	CLASS_MANIFEST = 7,   /* struct: commit entries, for rebuilding a lost ledger */
	CLASS_KEYS = 8,       /* sync */
	CLASS_FACTS = 9,      /* sync */
	CLASS_STATE = 10,     /* sync */
	CLASS_ATTRIBUTE = 11, /* sync */
	CLASS_END
};
enum scope block_class_scope(enum block_class c);
const char *block_class_name(enum block_class c);
/* Raw bytes at which a block of this class is full: 1 MiB for content, 64 KiB for the rest. */
size_t block_class_target(enum block_class c);

#define BLOCK_RAW_MAX    (8 * MIB)
#define BLOCK_CHUNKS_MAX 65536
#define BLOCK_HASH_BYTES 16

enum block_codec_kind { CODEC_STORED = 0, CODEC_ZSTD = 1 };

/* What the pack directory says of a block. */
struct block_info {
	uint16_t seal; /* which of the pack's seals */
	uint64_t counter;
	enum block_class class;
	uint8_t codec;
	uint64_t offset; /* in the pack */
	uint32_t sealed_bytes;
	uint32_t raw_bytes; /* decompressed: chunk table and chunks */
	uint32_t chunk_count;
	uint8_t hash[BLOCK_HASH_BYTES]; /* BLAKE2b-128 of the sealed bytes */
	uint64_t list_offset;           /* its sealed id list in the pack */
	uint32_t list_bytes;
};

/* Chunks gathered for one block. Filled by one thread, then handed over whole. */
struct block_draft {
	enum block_class class;
	struct buf bytes;   /* the chunks, one after the other */
	struct buf lengths; /* uint32_t each */
	struct buf ids;     /* struct chunk_id each */
};
void block_draft_init(struct block_draft *d, enum block_class class);
uint32_t block_draft_count(const struct block_draft *d);
MUST_CHECK enum err_code block_draft_add(struct block_draft *d, const struct chunk_id *id, struct span plain,
                                         struct err *e);
void block_draft_clear(struct block_draft *d); /* keeps the memory */
void block_draft_release(struct block_draft *d);

/* zstd contexts and scratch of one thread, made once and reused. */
struct block_codec;
MUST_CHECK enum err_code block_codec_open(int level, struct block_codec **out, struct err *e);
void block_codec_free(struct block_codec **c);
/* "1.5.4": of the zstd that runs. */
const char *block_library_version(void);

/*
 * Compresses and seals DRAFT under W and COUNTER (drawn by the owner of W), then opens and compares the result
 * before giving it back (verified before it is written). Fills INFO but for seal, offset and list. Appends to SEALED.
 * A block that did not get smaller is kept with CODEC_STORED. ERR_CORRUPT: the check failed; draw a new counter and try
 * once more.
 */
MUST_CHECK enum err_code block_seal(struct block_codec *c, const struct block_draft *draft, const struct seal_writer *w,
                                    uint64_t counter, struct repo_id repo, struct block_info *info, struct buf *sealed,
                                    struct err *e);

/* A decoded block. */
struct block {
	struct buf raw;
	uint32_t chunk_count;
	uint32_t *starts;     /* chunk_count + 1 offsets into raw */
	uint32_t starts_room; /* entries that STARTS has room for */
};
/* INFO as the directory says (limits already checked there); every claim is compared with what is found. */
MUST_CHECK enum err_code block_open(struct block_codec *c, const struct block_info *info, const struct seal_reader *r,
                                    const struct seal_id *seal, struct repo_id repo, struct span sealed,
                                    struct block *out, struct err *e);
/* As block_open, into a block that may hold an earlier one: its memory is used again. After a failure it is empty. */
MUST_CHECK enum err_code block_open_again(struct block_codec *c, const struct block_info *info,
                                          const struct seal_reader *r, const struct seal_id *seal, struct repo_id repo,
                                          struct span sealed, struct block *b, struct err *e);
struct span block_chunk(const struct block *b, uint32_t slot); /* empty span when SLOT is out of range */
/*
 * The ids of the COUNT chunks from slot FIRST on, hashed several at once; all of them exist. OUT has room for COUNT. Needs
 * keys that read names.
 */
void block_ids(const struct block *b, const struct keys *k, enum block_class class, uint32_t first, uint32_t count,
               struct chunk_id *out);
void block_release(struct block *b);

#endif
