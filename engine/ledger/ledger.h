/*
 * ledger: the repository's truth: an append-only, hash-chained sequence of sealed and signed records ledger/N. State is
 * the fold of the ledger. Rules A–H of the design; docs/format/ledger.md has the bytes, docs/order.md the order.
 * Thread   one thread at a time. Spans and pointers given out are good until the next refresh or append.
 */
#ifndef MAILHOLD_ENGINE_LEDGER_LEDGER_H
#define MAILHOLD_ENGINE_LEDGER_LEDGER_H

#include "engine/format/record.h"
#include "store/store.h"

struct ledger;

/* Tells something worth a line that is no failure: a void record, a rebuilt cache. */
typedef void (*ledger_notice)(void *ctx, const char *text);

/* Creates record 0 for K's repository. ERR_EXISTS when there is one. */
MUST_CHECK enum err_code ledger_create(struct store *s, const struct keys *k, uint32_t splitter_version,
                                       uint32_t cutter_version, struct err *e);

/*
 * Folds everything there is, without a cache from the newest checkpoint on. CACHE_FILE (may be NULL) keeps the fold between runs, sealed; it is only a cache: missing,
 * stale, damaged or foreign means folding from record 0 and a notice. It also pins the head: ERR_FORKED when the store
 * has less than, or something else than, what this client saw before. ERR_NO_REPOSITORY when there is no record 0. A
 * record that cannot be read is a notice: reading goes on, and every append says ERR_CORRUPT (ERR_UNSUPPORTED for a
 * critical kind of a newer version) until ledger_repair.
 */
MUST_CHECK enum err_code ledger_open(struct store *s, const struct keys *k, const char *cache_file,
                                     ledger_notice notice, void *ctx, struct ledger **out, struct err *e);
/*
 * The same, but each record from FIRST_READ on is read and follows from the one before: no checkpoint behind it, in the
 * store or in the cache, stands for it. For somebody who knows what that record has to be.
 */
MUST_CHECK enum err_code ledger_open_reading(struct store *s, const struct keys *k, const char *cache_file,
                                             uint64_t first_read, ledger_notice notice, void *ctx, struct ledger **out,
                                             struct err *e);
/*
 * K, or K with the epochs that were begun since K's bundle was made: an EPOCH record has them sealed for each holder.
 * Borrowed until ledger_free. ledger_open says ERR_WRONG_KEY when it has none for us.
 */
const struct keys *ledger_keys(const struct ledger *l);
/* True when keys were rotated since ledger_open: nothing can be appended, open it again. */
bool ledger_rotated(const struct ledger *l);
/* ERR_STATE, with the words for it, when it is so: what was written since does not open with our keys. */
MUST_CHECK enum err_code ledger_check_epoch(const struct ledger *l, struct err *e);
/* Folds records that came since. */
MUST_CHECK enum err_code ledger_refresh(struct ledger *l, struct err *e);
/* Writes the cache file if anything was folded since it was read (a failure is a notice, never an error). Frees. */
void ledger_free(struct ledger **l);

struct ledger_head {
	uint64_t number;                 /* of the newest record */
	uint8_t hash[RECORD_HASH_BYTES]; /* of its stored bytes */
	int64_t time_ms;
};
struct ledger_head ledger_head(const struct ledger *l);
/* What INIT fixed. */
const struct init_payload *ledger_init(const struct ledger *l);

/* ---- packs, by ordinal: 0.. in order of first announcement by a legal commit or repack ----
 * A nameless one, dropped, stands for a pack whose record was lost (docs/format/ledger.md, section 3). */

enum pack_state { PACK_LIVE = 1, PACK_CONDEMNED = 2, PACK_DROPPED = 3 };
/*
 * TRUSTED: a full holder vouches that every chunk is what its id says: it made the pack, copied it, or has read all of it
 * (VERIFIED). MAKER says who answers for one that is not trusted: its ids may lie, and nobody else may lean on them
 * (docs/threat_model.md). All zeros: several.
 */
struct pack_fact {
	struct pack_added pack;
	enum pack_state state;
	bool trusted;
	struct holder_id maker;
	uint64_t committed_at; /* record number */
	int64_t condemned_ms;  /* claimed time of the record that condemned it; 0 while live */
};
/* Whether SELF may deduplicate against P. */
static inline bool pack_trusted_by(const struct pack_fact *p, const struct holder_id *self)
{
	return p->trusted || memcmp(&p->maker, self, sizeof *self) == 0;
}
uint32_t ledger_pack_count(const struct ledger *l);
const struct pack_fact *ledger_pack(const struct ledger *l, uint32_t ordinal);
bool ledger_pack_find(const struct ledger *l, const struct pack_name *name, uint32_t *ordinal);

/* ---- snapshots, in order of commit; partial ones that were replaced are not shown ---- */

enum snapshot_state { SNAPSHOT_LIVE = 1, SNAPSHOT_TRASH = 2, SNAPSHOT_EXPIRED = 3 };
struct snapshot_fact {
	struct snapshot_entry entry;
	enum snapshot_state state;
	bool pinned;
	enum holder_role maker_role; /* of the one who committed it, at that time */
	uint64_t committed_at;
	int64_t committed_ms;
	int64_t forgotten_ms; /* of the trash */
};
size_t ledger_snapshot_count(const struct ledger *l);
const struct snapshot_fact *ledger_snapshot(const struct ledger *l, size_t i);

/* ---- sessions ---- */

enum session_state { SESSION_UNKNOWN = 0, SESSION_OPEN = 1, SESSION_ENDED = 2, SESSION_FENCED = 3 };
enum session_state ledger_session(const struct ledger *l, uint64_t session);
struct session_fact {
	uint64_t number;
	struct holder_id holder;
	enum session_state state;
	int64_t last_ms; /* claimed time of its newest record */
};
size_t ledger_session_count(const struct ledger *l);
/* In order of opening. False behind the last. */
bool ledger_session_at(const struct ledger *l, size_t i, struct session_fact *out);
/* The claimed time of record NUMBER, which is below the head; reads it from the store. Its signature is not verified. */
MUST_CHECK enum err_code ledger_record_time(struct ledger *l, uint64_t number, int64_t *time_ms, struct err *e);

/* ---- holders: everyone who was ever announced, in that order; removed ones stay with HOLDER_REMOVED ---- */

size_t ledger_holder_count(const struct ledger *l);
const struct holder_payload *ledger_holder(const struct ledger *l, size_t i);
/* NULL: never announced, or by a record that cannot be read (ledger_in_doubt). */
const struct holder_payload *ledger_holder_find(const struct ledger *l, const struct holder_id *holder);
/* Whether we may add snapshots of ACCOUNT: a depositor may of its own accounts only. */
bool ledger_may_add(const struct ledger *l, const struct account_id *account);
/* True while a record cannot be read: what it said may be missing from all of the above. */
bool ledger_in_doubt(const struct ledger *l);

/* ---- holds, in order of making; released ones stay with RELEASED ---- */

struct hold_fact {
	struct hold_payload hold;
	struct holder_id holder; /* who made it */
	uint64_t number;         /* of the record that made it */
	int64_t added_ms;        /* as claimed */
	bool released;
};
size_t ledger_hold_count(const struct ledger *l);
const struct hold_fact *ledger_hold(const struct ledger *l, size_t i);
/* The first hold on S that is not released, or NULL. QUERIES: those that hold items in S's account, too. */
const struct hold_fact *ledger_held(const struct ledger *l, const struct snapshot_fact *s, bool queries);
/* Is there a hold on items that looks at this account? NULL: at any. */
bool ledger_has_query_hold(const struct ledger *l, const struct account_id *account);

/* ---- policy: what the repository is set to, by the newest POLICY ---- */

/* Percent of each new pack that its parity makes good; 0: none. */
unsigned ledger_parity_percent(const struct ledger *l);

/* ---- appending, rule B: fold, decide, create, read what stands there ----
 * Each may fail with ERR_OUTCOME_UNKNOWN (it may or may not be in the ledger), with ERR_STATE when at the head it would
 * be illegal (text says which rule), or with the store's error when nothing was appended for sure. */

MUST_CHECK enum err_code ledger_open_session(struct ledger *l, uint64_t *session, struct err *e);
MUST_CHECK enum err_code ledger_end_session(struct ledger *l, uint64_t session, struct err *e);
/*
 * Checks rule D at the head and appends. ERR_STATE: the session was closed, the base is gone, or a pack
 * deduplicated against was condemned meanwhile; refresh, resolve again, and try again.
 */
MUST_CHECK enum err_code ledger_commit(struct ledger *l, const struct commit *c, uint64_t *number, struct err *e);
/* RECORD_FORGET, _UNFORGET, _PIN or _UNPIN of snapshots. ERR_NOT_FOUND names an id that is not in the right state. */
MUST_CHECK enum err_code ledger_mark(struct ledger *l, enum record_kind kind, const struct snapshot_id *ids,
                                     size_t count, struct err *e);

/*
 * Vouches for packs of which we have compared every chunk with its id; ordinals rising. Those that are not live any more
 * are left out, and nothing is appended when none is left. ERR_DENIED unless we are full.
 */
MUST_CHECK enum err_code ledger_verified(struct ledger *l, const uint32_t *ordinals, size_t count, struct err *e);

/*
 * Makes a hold. Those of its snapshots, and of its accounts' snapshots, that are in the trash come back. ERR_NOT_FOUND
 * names a snapshot that is not there any more, ERR_DENIED: we are no full holder.
 */
MUST_CHECK enum err_code ledger_hold_add(struct ledger *l, const struct hold_payload *p, struct err *e);
/* ERR_NOT_FOUND: there is no such hold, or it was released. */
MUST_CHECK enum err_code ledger_hold_release(struct ledger *l, const struct hold_id *id, struct err *e);
/*
 * RECORD_FORGET by somebody who has looked, at record HEAD, which snapshots the holds on items need: as ledger_mark,
 * which takes nothing from an account that such a hold looks at. ERR_STATE, and nothing appended, when there is such a
 * hold and the ledger has moved past HEAD: look again.
 */
MUST_CHECK enum err_code ledger_forget_at(struct ledger *l, uint64_t head, const struct snapshot_id *ids, size_t count,
                                          struct err *e);

/*
 * Makes a checkpoint when the newest is CHECKPOINT_EVERY records behind and we are a full holder; else does nothing. A
 * failure harms nobody: opening stays slower.
 */
MUST_CHECK enum err_code ledger_checkpoint(struct ledger *l, bool *made, struct err *e);
/* Deletes checkpoints that are older than the newest named one, if that was made at or before BEFORE_MS. */
MUST_CHECK enum err_code ledger_checkpoint_sweep(struct ledger *l, int64_t before_ms, struct err *e);

/* ---- taking away (docs/order.md, rules 10 to 15) ---- */

/*
 * Ends for good what was moved to the trash at or before FORGOTTEN_MS, but nothing that is held. *COUNT tells how many;
 * nothing is appended when there are none.
 */
MUST_CHECK enum err_code ledger_expire(struct ledger *l, int64_t forgotten_ms, size_t *count, struct err *e);
/*
 * The same by somebody who has looked, at record HEAD, which of the trash the holds on items need: all but the
 * STAY_COUNT snapshots of STAY. ERR_STATE as ledger_forget_at; *COUNT tells what was ended until then.
 */
MUST_CHECK enum err_code ledger_expire_at(struct ledger *l, int64_t forgotten_ms, uint64_t head,
                                          const struct snapshot_id *stay, size_t stay_count, size_t *count,
                                          struct err *e);
/*
 * Rule E: condemns packs that a mark made at record HEAD found unreachable; ordinals rising. ERR_STATE, and nothing
 * appended, when the ledger has moved past HEAD: mark again. *NUMBER is the record's.
 */
MUST_CHECK enum err_code ledger_condemn(struct ledger *l, uint64_t head, const uint32_t *ordinals, size_t count,
                                        uint64_t *number, struct err *e);
/*
 * Rule E with copies: adds C's packs and condemns those under C->against, which a mark made at record HEAD found to
 * hold nothing reachable but what was copied. As ledger_condemn else.
 */
MUST_CHECK enum err_code ledger_repack(struct ledger *l, uint64_t head, const struct commit *c, uint64_t *number,
                                       struct err *e);
/* Condemned packs whose objects are deleted; ordinals rising. Those that somebody else dropped meanwhile are left out.
 */
MUST_CHECK enum err_code ledger_drop(struct ledger *l, const uint32_t *ordinals, size_t count, struct err *e);
/* Ends somebody's session; what it uploaded and never committed may be deleted then. ERR_STATE: it is not open any
 * more. */
MUST_CHECK enum err_code ledger_fence(struct ledger *l, uint64_t session, struct err *e);
/*
 * Rules 10 and 12, before anything is deleted because of what the fold says: no record is unreadable or of a newer
 * version, and the newest is made durable.
 */
MUST_CHECK enum err_code ledger_may_delete(struct ledger *l, struct err *e);

/*
 * Announces a holder, or changes what one may do, from the next record on. ERR_STATE when no full holder would be left,
 * ERR_DENIED when we are not one.
 */
MUST_CHECK enum err_code ledger_put_holder(struct ledger *l, const struct holder_payload *p, struct err *e);

/* PERCENT 1 to POLICY_PARITY_MAX, or 0 for none; the rest of the policy stays. Nothing is appended when it is so
 * already. ERR_DENIED when we are no full holder. */
MUST_CHECK enum err_code ledger_set_parity(struct ledger *l, unsigned percent, struct err *e);

/*
 * Begins a new epoch of keys: from this record on only those who hold NEXT's read what is written, and that are the
 * holders announced at the head. ERR_STATE names one who cannot be given keys. Afterwards ledger_rotated is true.
 */
MUST_CHECK enum err_code ledger_rotate(struct ledger *l, const struct keys *next, struct err *e);

/*
 * For repair: appends a VOID for every record that cannot be read, so that appends work again. What such a record had
 * said stays lost: its packs count as uploaded and never committed. *COUNT tells how many.
 */
MUST_CHECK enum err_code ledger_repair(struct ledger *l, size_t *count, struct err *e);

/* For check: reads every record from the store again from 0, and compares chain, signatures and fold with what we hold.
 */
typedef void (*ledger_problem)(void *ctx, uint64_t number, const struct err *what);
MUST_CHECK enum err_code ledger_check(struct ledger *l, ledger_problem problem, void *ctx, struct err *e);

#endif
