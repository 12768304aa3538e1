/*
 * The ledger's parts: the fold (fold.h), checkpoints of it (ledger_checkpoint.c), reading and checking (ledger.c), appending (ledger_append.c; what takes away:
 * ledger_prune.c), the cache of folded records (ledger_cache.c).
 */
#ifndef MAILHOLD_ENGINE_LEDGER_LEDGER_INTERNAL_H
#define MAILHOLD_ENGINE_LEDGER_LEDGER_INTERNAL_H

#include "engine/ledger/fold.h"

/* What became of a record when it was folded. Values are format of the cache file. */
enum take_status { TAKE_LEGAL = 1, TAKE_VOID = 2, TAKE_UNREADABLE = 3, TAKE_UNKNOWN = 4 };

/*
 * The cache file: records as they were judged, in segments that are appended run by run. Local, sealed under BOX_CACHE.
 * A ledger that was opened from a checkpoint begins with the fold itself instead of its first records.
 *   header 32   "mhlcache", version 2, FOLD_VERSION 2, zero 4, repository 16
 *   segment     sealed length 4, epoch 4, first number 8 | box of { count 4, durable 8, entries }; header and the two
 *               numbers are the associated data
 *   entry       status 1, hash 32, time 8, and of legal and unknown ones kind 2, holder 16, payload (varint length)
 *   state       in place of entries, with count 0xffffffff and first number 0: 1 and a segment of fold_save; at the
 *               end 2, head number 8, hash 32, time 8, base 8, head unreadable 1
 * Two processes may append what they both folded: entries that were seen already are passed over.
 */
struct ledger_cache {
	char *path;         /* NULL: none */
	bool fresh;         /* nothing usable stands there: begin it anew */
	bool cut;           /* bytes after GOOD are damaged */
	bool torn;          /* an authentic segment made no sense: the fold is not to be trusted */
	uint64_t good;      /* bytes that were read well */
	struct buf entries; /* folded since, not yet written */
	uint64_t first;     /* number of the first of them */
	uint32_t count;
	bool durable_changed;
	unsigned state_kind; /* while reading: the last table of a state, 0: none yet */
};

#define EPOCHS_GROWN_MAX 128

/*
 * Records between two checkpoints. Who opens without a cache reads so many at most, 0.05 s from a disk and some seconds
 * from an object store; a checkpoint of 100,000 snapshots takes 0.2 s to make and 30 MB, so it must not be much less.
 */
#define CHECKPOINT_EVERY 1000

struct ledger {
	struct store *store;
	const struct keys *keys;              /* with every epoch that was folded */
	struct keys *grown[EPOCHS_GROWN_MAX]; /* ours: each has one epoch more; others may still use any of them */
	size_t grown_count;
	uint32_t opened_epoch; /* when ledger_open was done; 0: it is not yet */
	struct repo_id repo;
	ledger_notice notice;
	ledger_problem problem; /* instead of notices, while checking */
	void *ctx;
	const struct ledger *held; /* while checking: the one that is checked, which knows who was removed since */
	struct fold fold;
	struct ledger_head head;
	uint64_t next; /* number of the record after the head; 0: nothing folded yet */
	bool head_unreadable;
	uint64_t durable;     /* records below this number are known to be durable */
	bool from_checkpoint; /* this fold began at one, after record BASE */
	uint64_t base;
	uint64_t checkpoint_every; /* CHECKPOINT_EVERY, but for tests */
	bool whole;                /* this fold began at record 0 of the store, just now */
	bool broken;               /* a fold failed half way */
	struct buf stored, plain;  /* kept between records */
	struct ledger_cache cache;
};

void ledger_tell(struct ledger *l, uint64_t number, const struct err *what, const char *fmt, ...) PRINTF_LIKE(4, 5);
MUST_CHECK enum err_code ledger_new(struct store *s, const struct keys *k, struct ledger **out, struct err *e);
/* After the fold met an EPOCH: takes the keys that it has for us. */
MUST_CHECK enum err_code ledger_grow_keys(struct ledger *l, struct err *e);
/* Drops what was folded. */
void ledger_reset(struct ledger *l);
/* Reads ledger/NUMBER into L->stored and its hash. ERR_NOT_FOUND. An object above the limit counts as empty with a hash
 * of 0xff. */
MUST_CHECK enum err_code ledger_fetch(struct ledger *l, uint64_t number, uint8_t hash[RECORD_HASH_BYTES],
                                      struct err *e);
/* Folds the record in L->stored, whose number is L->next. OURS: we sealed it just now, no need to verify the signature.
 */
MUST_CHECK enum err_code ledger_take(struct ledger *l, const uint8_t hash[RECORD_HASH_BYTES], bool ours, struct err *e);
/* Adds a judged record to the fold (or not, by STATUS) and moves the head to it. */
MUST_CHECK enum err_code ledger_advance(struct ledger *l, enum take_status status, const struct record *r,
                                        const uint8_t hash[RECORD_HASH_BYTES], struct err *e);

/* Folds from the store up to and without record END, or to where it ends. */
MUST_CHECK enum err_code ledger_fold_on(struct ledger *l, uint64_t end, struct err *e);
/*
 * The store no longer has the head that we saw. Compares our fold with what the store holds now, tells the snapshots and
 * packs that are missing there as notices, and returns ERR_FORKED with the sums. HOW: "went back" or "forked".
 */
MUST_CHECK enum err_code ledger_tell_gone(struct ledger *l, const char *how, struct err *e);

/* Visible is not durable (docs/order.md, rule 10): what we rely on must survive a power cut before what follows from
 * it. */
MUST_CHECK enum err_code ledger_make_durable(struct ledger *l, struct err *e);

/* Cached or checkpointed judgements are final but for records that could not be read: when one has changed, L is reset.
 */
MUST_CHECK enum err_code ledger_look_for_mended(struct ledger *l, struct err *e);

/* ---- checkpoints ---- */

struct checkpoint_path {
	char text[80];
};
/* "checkpoint/<16 hex: after>-<32 hex>" */
struct checkpoint_path checkpoint_path(const struct checkpoint_payload *p);
/* Fills the empty L from the newest checkpoint of a record up to NOT_AFTER, or leaves it empty. ERR_FORKED. */
MUST_CHECK enum err_code checkpoint_open(struct ledger *l, uint64_t not_after, struct err *e);
/*
 * The fold in a stored OBJECT into F, which is empty and stays so on failure. ERR_CORRUPT: damaged, or the root key did
 * not sign it; ERR_UNSUPPORTED.
 */
MUST_CHECK enum err_code checkpoint_decode(struct ledger *l, struct span object, struct fold *f,
                                           struct ledger_head *head, struct err *e);
/* For check: folds AGAIN, which reads from record 0, up to the newest checkpoint, and compares. FOLD_TO does the folding. */
typedef enum err_code (*ledger_fold_to)(struct ledger *l, uint64_t end, struct err *e);
MUST_CHECK enum err_code checkpoint_check(struct ledger *l, struct ledger *again, ledger_fold_to fold_to,
                                          ledger_problem problem, void *ctx, struct err *e);

/* ---- cache ---- */

/* Folds what the file holds. A bad file is a notice; only memory fails. */
MUST_CHECK enum err_code cache_load(struct ledger *l, struct err *e);
/* Notes a record that was folded from the store, and writes when much has gathered. */
void cache_note(struct ledger *l, enum take_status status, const struct record *r,
                const uint8_t hash[RECORD_HASH_BYTES]);
/* Writes what is left. */
void cache_flush(struct ledger *l);
void cache_release(struct ledger_cache *c);

/* ---- appending ---- */

/* Fills PAYLOAD from the fold at the head; called again whenever the head has moved. */
typedef enum err_code (*ledger_decide)(struct ledger *l, void *ctx, struct buf *payload, struct err *e);
/* Rule B for a record of KIND. *NUMBER is where it stands. */
MUST_CHECK enum err_code ledger_append(struct ledger *l, enum record_kind kind, ledger_decide decide, void *ctx,
                                       uint64_t *number, struct err *e);
/* The same for a payload that does not depend on the fold. */
MUST_CHECK enum err_code ledger_append_bytes(struct ledger *l, enum record_kind kind, struct span payload,
                                             uint64_t *number, struct err *e);
/* Whether a record of ours counts as a full holder's. */
bool ledger_we_are_full(const struct ledger *l);
/* What holds on items need was looked at (if LOOKED) at record HEAD: ERR_STATE when that says nothing about now. */
MUST_CHECK enum err_code ledger_check_looked(const struct ledger *l, bool looked, uint64_t head, struct err *e);
/* A record that we cannot read may be a commit: nothing is appended (but VOIDs) or deleted behind its back. */
MUST_CHECK enum err_code ledger_check_writable(const struct ledger *l, enum record_kind kind, struct err *e);

#endif
