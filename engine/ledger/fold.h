/*
 * fold: the state that the records of a ledger add up to, and the rules that make a record legal. It knows nothing of
 * stores, keys or files: the same records in the same order give the same fold for everyone, and a writer asks the very
 * code that readers will judge it by.
 *
 * Doubt    a record that cannot be read may have said anything. Until a VOID passes over it, whoever wrote after it
 * must have been able to read it (writers stop at an unreadable record), so facts that may have been lost with it are
 * granted: an unknown base, a session of that number, an ordinal that leaves a gap.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_ENGINE_LEDGER_FOLD_H
#define MAILHOLD_ENGINE_LEDGER_FOLD_H

#include "base/idmap.h"
#include "engine/ledger/ledger.h"

struct fold_session {
	uint64_t number;
	struct holder_id holder;
	enum session_state state;
	int64_t last_ms; /* claimed time of its newest record */
};

struct fold_snapshot {
	struct snapshot_fact fact;
	bool hidden; /* a partial one that was replaced */
};

struct fold_unreadable {
	uint64_t number;
	uint8_t hash[RECORD_HASH_BYTES];
	bool voided;
};

struct fold_block {
	struct fold_block *next;
	size_t used, cap;
	uint8_t bytes[];
};

/*
 * Invariants: 1. sessions and unreadable rise by number. 2. pack_by_name and snapshot_by_id name every row once; rows
 * of a gap have no name. 3. visible lists the rows below settled_count that are not hidden, in order, unless
 * visible_stale.
 * 4. doubt_count counts the unreadable ones that are not voided.
 */
struct fold {
	struct repo_id repo;
	struct init_payload init;
	struct holder_payload *holders;
	size_t holder_count, holder_cap;
	struct fold_session *sessions;
	size_t session_count, session_cap;
	struct pack_fact *packs;
	size_t pack_count, pack_cap;
	struct fold_snapshot *snapshots;
	size_t snapshot_count, snapshot_cap;
	uint32_t *visible;
	size_t visible_count, visible_cap, settled_count;
	bool visible_stale;
	struct fold_unreadable *unreadable;
	size_t unreadable_count, unreadable_cap;
	size_t doubt_count;
	struct idmap pack_by_name, snapshot_by_id;
	struct fold_block *arena; /* sealed details of snapshots and holds */
	struct hold_fact *holds;
	size_t hold_count, hold_cap;
	size_t unknown_count;
	uint64_t unknown_kind; /* number of the first record of a critical kind that we do not know; 0: none */
	uint64_t checkpoint_number;
	uint8_t checkpoint_hash[RECORD_HASH_BYTES];
	struct void_payload void_wanted; /* a VOID of a record that we could read: the caller has to look again */
	bool has_void_wanted;
};

#define FOLD_VERSION 2 /* changes with every rule below: what older code judged is judged again */

/* Begins with record 0, whose payload is R's. ERR_CORRUPT when it is no INIT of REPO. */
MUST_CHECK enum err_code fold_start(struct fold *f, const struct repo_id *repo, const struct record *r, struct err *e);
void fold_release(struct fold *f);

/*
 * Judges record R at its number and, if APPLY, adds it; HASH is that of its stored bytes (only looked at with APPLY).
 * ERR_STATE, ERR_DENIED, ERR_NOT_FOUND: the record breaks a rule, which the text names: void for every reader.
 * ERR_CORRUPT: the payload makes no sense. ERR_UNSUPPORTED: a critical kind that we do not know. In these cases F is
 * unchanged. Any other failure (memory) leaves F fit for fold_release only.
 */
MUST_CHECK enum err_code fold_record(struct fold *f, const struct record *r, const uint8_t hash[RECORD_HASH_BYTES],
                                     bool apply, struct err *e);
/* Record NUMBER cannot be read. */
MUST_CHECK enum err_code fold_unreadable(struct fold *f, uint64_t number, const uint8_t hash[RECORD_HASH_BYTES],
                                         struct err *e);
/* Notes that a record of an unknown critical kind stands at NUMBER. */
void fold_unknown(struct fold *f, uint64_t number);
/* NULL when unknown; may be removed. */
const struct holder_payload *fold_holder(const struct fold *f, const struct holder_id *holder);
/* NULL when unknown or removed. */
const struct holder_payload *fold_signer(const struct fold *f, const struct holder_id *holder);
/* Brings the visible list up to date; call after a run of fold_record. */
MUST_CHECK enum err_code fold_settle(struct fold *f, struct err *e);
bool fold_pack_find(const struct fold *f, const struct pack_name *name, uint32_t *ordinal);
struct fold_snapshot *fold_snapshot_find(const struct fold *f, const struct snapshot_id *id);
enum session_state fold_session_state(const struct fold *f, uint64_t session);
/* The first hold on S that is not released; QUERIES: holds on items in S's account, too. NULL: none. */
const struct hold_fact *fold_held(const struct fold *f, const struct snapshot_fact *s, bool queries);
/* NULL: there never was one. */
struct hold_fact *fold_hold_find(const struct fold *f, const struct hold_id *id);
/* A fingerprint of everything above that readers act on, for comparing two folds. */
MUST_CHECK enum err_code fold_digest(const struct fold *f, uint8_t out[16], struct err *e);

struct snapshot_id_text {
	char text[2 * ID16_BYTES + 1];
};
struct snapshot_id_text snapshot_id_text(const struct snapshot_id *id);

#endif
