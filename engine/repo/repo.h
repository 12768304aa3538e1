/*
 * repo: the opened parts of a repository, held together. The rooms above work through it.
 * Order    store, keys, ledger are there from repo_open on; the index and the reader only when something needs them,
 * because opening RocksDB costs more than a whole run in which nothing changed.
 */
#ifndef MAILHOLD_ENGINE_REPO_REPO_H
#define MAILHOLD_ENGINE_REPO_REPO_H

#include <pthread.h>
#include "base/stop.h"

#include "engine/engine.h"
#include "engine/ledger/ledger.h"
#include "engine/page/page.h"
#include "engine/repo/reader.h"

/* Name of an object under key/. */
struct key_path {
	char text[80];
};

struct repo {
	struct repo *first;      /* whose store, own_keys and index ours are (repo_open_beside); NULL: our own */
	pthread_mutex_t sharing; /* held while a handle beside us opens our index */
	struct store *store;
	const struct keys *keys; /* with the epochs that the ledger gave us */
	struct keys *own_keys;   /* of the bundle */
	struct key_path slot;    /* the one that opened it */
	struct ledger *ledger;
	struct index *index; /* NULL until repo_need_index */
	enum index_mode index_mode;
	struct reader *reader;      /* with the index */
	struct block_codec *codec;  /* of the calling thread; with the index */
	struct repo_follow *follow; /* rule H; with the reader */
	struct buf cache_folder;    /* NUL-terminated */
	engine_notice notice;
	void *notice_ctx;
	engine_progress_fn progress;
	void *progress_ctx;
	int64_t progress_at; /* when it was last told */
	int64_t wait_ms;     /* for another process that has the index */
	const volatile sig_atomic_t *stop;
};

#define REPO_READER_CACHE_BYTES (24 * MIB)

/* ERR_DENIED for a keeper: "this key may not WHAT …"; see repo_need_content and _keep in engine.h. */
MUST_CHECK enum err_code repo_need_full(const struct repo *r, const char *what, struct err *e);
MUST_CHECK enum err_code repo_need_names(const struct repo *r, const char *what, struct err *e);

/* The newest fold, for whoever is to read what it speaks of: ERR_STATE when keys were rotated since R was opened. */
MUST_CHECK enum err_code repo_refresh(struct repo *r, struct err *e);
/* Opens index and reader, or turns a reading index into a writing one. */
MUST_CHECK enum err_code repo_need_index(struct repo *r, enum index_mode mode, struct err *e);
/*
 * Closes them; the next need opens them anew. What a session of ours uploaded and never committed does not count from
 * then on.
 */
void repo_drop_index(struct repo *r);
/* Reads chunks through the reader in the calling thread; PUT is NULL. */
struct chunk_io repo_chunk_io(struct repo *r);
/* Makes a checkpoint of the ledger when one is due; a failure is a notice. */
void repo_checkpoint(struct repo *r);
void repo_notice(struct repo *r, enum engine_notice_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Tells progress if it is time to. */
void repo_tell(struct repo *r, const struct engine_progress *p);
static inline bool repo_stopped(const struct repo *r)
{
	return stop_asked(r->stop);
}
MUST_CHECK enum err_code repo_cancelled(struct err *e);
/*
 * A ledger that was cut off looks whole to who never saw more. But records behind a gap, and packs of sessions that no
 * known record opened, tell: a listing proves nothing by what it lacks, only by what it has. All 0: nothing is there
 * that should not be (or somebody wrote while we listed). The ledger is read on for it.
 */
struct repo_beyond {
	uint64_t head; /* the newest record there is */
	uint64_t records, packs;
	uint64_t first_record; /* behind the gap */
	uint64_t last_session; /* the newest that a pack names */
	char pack[80];         /* one of them */
};
MUST_CHECK enum err_code repo_look_beyond(struct repo *r, struct repo_beyond *out, struct err *e);
/* PATH of a file in the cache folder, NUL-terminated. */
MUST_CHECK enum err_code repo_cache_path(const struct repo *r, const char *name, struct buf *out, struct err *e);

#endif
