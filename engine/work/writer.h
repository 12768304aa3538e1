/*
 * writer: takes chunks and keeps the new ones: known? → class buffers → blocks (compressed and sealed by the pool) →
 * packs → index. The order of everything that is written follows the order of the calls, whatever the threads do.
 * Memory   class buffers, at most SEAL_JOBS blocks in work, the ids of two packs.
 * Order    docs/order.md: a pack is durable before the commit that names it; our index learns of it after.
 * Thread   one thread at a time; the pool does the heavy part.
 */
#ifndef MAILHOLD_ENGINE_WORK_WRITER_H
#define MAILHOLD_ENGINE_WORK_WRITER_H

#include "base/pool.h"
#include "engine/repo/repo.h"

struct writer;

struct writer_count {
	uint64_t chunks_new, chunks_known; /* chunks of carried blocks are neither */
	uint64_t blocks_carried;
	uint64_t bytes_new;    /* raw */
	uint64_t bytes_stored; /* of finished packs, as stored */
};

/* DRY: chunks are looked up and counted, nothing is written. The index must be open for writing (reading when dry). */
MUST_CHECK enum err_code writer_open(struct repo *r, struct pool *pool, int level, bool dry, struct writer **out,
                                     struct err *e);
/* Drops what was not committed: unfinished packs vanish; finished ones stay to be reaped when the session ends. */
void writer_free(struct writer **w);

/* Keeps PLAIN under ID unless a pack that we trust (pack_trusted_by) has it. The id must be PLAIN's. */
MUST_CHECK enum err_code writer_put(struct writer *w, enum block_class class, const struct chunk_id *id,
                                    struct span plain, struct err *e);
/* As writer_put for several at once: one look-up. */
struct writer_chunk {
	enum block_class class;
	struct chunk_id id;
	struct span plain;
};
MUST_CHECK enum err_code writer_put_all(struct writer *w, const struct writer_chunk *chunks, size_t count,
                                        struct err *e);
/* For pages: puts through the writer, gets what it put or what the repository has; for that all that was put may become durable. */
struct chunk_io writer_chunk_io(struct writer *w);

/*
 * For repacking: keeps PLAIN although the index knows it, in a pack that is about to be condemned. The caller sees to
 * it that no chunk is moved twice.
 */
MUST_CHECK enum err_code writer_move(struct writer *w, enum block_class class, const struct chunk_id *id,
                                     struct span plain, struct err *e);

/*
 * For repair: from now on only unknown chunks whose ids ONLY has are kept, all others are passed over, and nothing is
 * deduplicated against. ONLY must outlive the writer.
 */
struct idmap;
void writer_keep_only(struct writer *w, const struct idmap *only);

/*
 * For repacking: keeps block BLOCK of FROM as it lies there (pack_writer_carry), with all of its chunks. ERR_CORRUPT: it
 * is damaged, and nothing was kept.
 */
MUST_CHECK enum err_code writer_carry(struct writer *w, const struct pack *from, uint32_t block, struct span sealed,
                                      const struct chunk_id *ids, struct err *e);

/* Everything put so far becomes durable. */
MUST_CHECK enum err_code writer_flush(struct writer *w, struct err *e);
/* True when something was put that is not in a committed pack yet. */
bool writer_dirty(const struct writer *w);
uint64_t writer_uncommitted_bytes(const struct writer *w);
/*
 * The part of a commit that is the writer's: session, packs added, packs deduplicated against. Borrowed until the next
 * put. With ENDING it also ends the session, if one is open.
 */
void writer_commit_part(const struct writer *w, bool ending, struct commit *c);
/* The commit is in the ledger: what it named counts as committed. SESSION_ENDED: the next pack needs a new session. */
void writer_committed(struct writer *w, bool session_ended);
/* The open session, 0 when there is none. */
uint64_t writer_session(const struct writer *w);
struct writer_count writer_count(const struct writer *w);

#endif
