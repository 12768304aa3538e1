/*
 * model: the ledger protocol as a state machine that is small enough to be walked through completely. It says in one
 * page of code what rules A–H allow (docs/format/ledger.md, docs/order.md), and can be told to leave one of them out.
 *
 * Actors     0, 1 are writers, 2, 3 are pruners. Each acts on what it has folded; each may stop for ever at any point,
 * so a crash needs no step of its own: what holds after every step holds for every crash. Snapshots  0 stands at the
 * beginning, 1 + w is what writer w makes. Each needs chunk "a"; 1 + w also a chunk of its own. Packs      0 stands at
 * the beginning and holds a. 1 + i is the first pack of actor i: a writer's holds its own chunk and perhaps a, a
 * pruner's is its copy of pack 0. 5 + w is the second pack of writer w, holding a. Requests   with `requests`, a create
 * is sent and lands at any later time or never, also when its sender does nothing more, and so does a delete. By rule B
 * the answer decides nothing, so that a lost one is no step: whoever finds the number taken reads whose it is. Without
 * `requests` both land as they are decided, which leaves out no outcome of the rules as designed: a create that lands
 * at all lands on the very fold that it was decided on, so it might have been decided just then; one that misses
 * changes nothing; and what a delete is decided on is final. Removed rules void this argument and need `requests`.
 * Thread     no state; call from anywhere.
 */
#ifndef MAILHOLD_TESTS_EXPLORER_MODEL_H
#define MAILHOLD_TESTS_EXPLORER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WRITERS     2
#define ACTORS      4
#define SNAPSHOTS   3
#define PACKS       7
#define RECORDS_MAX 28
#define STEPS_MAX   160 /* from one state */

/* ---- records, and what they add up to ---- */

enum kind {
	KIND_NONE,
	KIND_INIT, /* with snapshot 0 and pack 0 */
	KIND_OPEN,
	KIND_COMMIT,
	KIND_FORGET,
	KIND_UNDO,
	KIND_EXPIRE,
	KIND_CONDEMN,
	KIND_DROP,
	KIND_FENCE,
	KIND_REPACK,
	KIND_CHECKPOINT,
	KIND_END
};

/* Where a commit says that chunk a is, beside the packs 0..PACKS-1. */
#define SOURCE_BASE 8  /* + k: in pages inherited from snapshot k */
#define SOURCE_OWN  15 /* in a pack that this commit adds */

enum record_flag {
	FLAG_HOLDS_A = 1,     /* the writer's first pack holds a */
	FLAG_SECOND = 2,      /* the commit adds the writer's second pack */
	FLAG_SAME_NAME = 4,   /* pack 0 was stored again under its old name (REMOVED_FRESH_NAMES) */
	FLAG_SESSIONLESS = 8, /* a repack without a session (REMOVED_PRUNER_SESSION) */
};

struct entry {
	uint8_t kind;
	uint8_t actor;
	uint8_t target; /* snapshot, pack, session's actor, or source of a */
	uint8_t flags;
};

enum { SESSION_NONE, SESSION_IS_OPEN, SESSION_IS_ENDED, SESSION_IS_FENCED };
enum { SNAP_NONE, SNAP_LIVE, SNAP_TRASH, SNAP_EXPIRED };
enum { PACK_NONE, PACK_IS_LIVE, PACK_IS_CONDEMNED, PACK_IS_DROPPED };

struct view {
	uint8_t session[ACTORS];
	uint8_t snapshot[SNAPSHOTS];
	uint8_t pack[PACKS];
	uint8_t holds_a;    /* bit p: pack p is said to hold a */
	uint8_t checkpoint; /* number of the newest, 0: none */
};

/* ---- what is explored ---- */

/* The eleven of the design, then those that this explorer adds. A set of bits. */
enum removal {
	REMOVED_SESSION_CHECK = 1 << 0,
	REMOVED_REFERENCE_CHECK = 1 << 1,
	REMOVED_COMMIT_AT_HEAD = 1 << 2,
	REMOVED_MARK_AT_HEAD = 1 << 3,
	REMOVED_RECORD_BEFORE_DELETE = 1 << 4,
	REMOVED_ORPHAN_RULE = 1 << 5,
	REMOVED_FRESH_NAMES = 1 << 6,
	REMOVED_NAMES_KEPT = 1 << 7, /* records below a checkpoint are deleted, and their names free again */
	REMOVED_BASE_CHECK = 1 << 8,
	REMOVED_PRUNER_SESSION = 1 << 9,
	REMOVED_READ_OUTCOME = 1 << 10, /* no answer is taken for success */
	REMOVED_OWN_KEPT = 1 << 11,     /* no answer is taken for failure, and the writer cleans up after itself */
	REMOVED_TRASH_ROOT = 1 << 12,   /* marking begins at live snapshots only */
	REMOVED_MADE_DURABLE = 1 << 13, /* acts on what is visible, durable or not */
};

struct model {
	uint8_t writers, pruners;
	uint8_t records; /* the ledger's length, INIT included */
	uint8_t forgets, undos;
	uint8_t stale;      /* so many decisions may be made on any older fold; without requests: any resolving may */
	uint8_t lost;       /* so many answers are misjudged; needs one of the two removals */
	uint8_t power_cuts; /* above 0: visible is not durable until somebody syncs */
	uint8_t checkpoints;
	bool requests; /* take time */
	bool fences, repacks, drops;
	bool voiding;  /* readers pass over records that break rules C and D */
	bool careless; /* writer 1 appends whatever it wants to */
	bool strict;   /* a condemned pack counts as lost already, though nobody has deleted it yet */
	unsigned removed;
};

enum step {
	STEP_START,   /* writer: has no session. Pruner: nothing in hand */
	STEP_RESOLVE, /* writer: session open, looks for a */
	STEP_COMMIT,  /* writer: packs uploaded */
	STEP_COPY,    /* pruner: session open, about to copy pack 0 */
	STEP_PUBLISH, /* pruner: copy uploaded */
	STEP_DONE,    /* writer: told its user that the snapshot is safe */
	STEP_GONE,    /* gave up, or died in a power cut */
};

struct actor {
	uint8_t step;
	uint8_t source; /* of a, as in a commit's target */
	uint8_t flags;
	uint8_t landed;    /* its record stands at SLOT, but was not acknowledged yet (power cuts only) */
	uint8_t slot;      /* that WANT was sent to */
	uint8_t doomed;    /* 1 + the pack that it is about to delete; 0: none */
	struct entry want; /* a create that is under way */
};

/*
 * Bytes only, so that two equal states are equal in memory. The history comes last: where nothing looks back (no
 * requests, no power cuts), two histories with the same sum are the same state, and model_state_bytes() ends before it.
 */
struct state {
	uint8_t count;   /* of records that can be read */
	uint8_t durable; /* of those, how many survive a power cut */
	uint8_t freed;   /* names below are free again (REMOVED_NAMES_KEPT) */
	uint8_t present; /* bit p: pack p lies in the store */
	uint8_t stale, lost, power_cuts;
	uint8_t forgets, undos, checkpoints; /* so many were recorded */
	struct view view;                    /* what all records add up to */
	struct actor actor[ACTORS];
	struct entry history[RECORDS_MAX];
};

/* ---- one step ---- */

enum what {
	DID_APPEND,     /* folded, decided, created */
	DID_DECIDE,     /* folded, decided, sent a create */
	DID_LAND,       /* the create won its number */
	DID_MISS,       /* the create's number was taken */
	DID_LAND_FREED, /* the create won a number that had been taken once */
	DID_ACKNOWLEDGE,
	DID_BELIEVE, /* took no answer for success */
	DID_DESPAIR, /* took no answer for failure */
	DID_UPLOAD,  /* resolved a and uploaded its first pack */
	DID_RESOLVE, /* resolved a again */
	DID_COPY,
	DID_LEAVE,
	DID_DOOM, /* decided to delete a pack */
	DID_DELETE,
	DID_POWER_CUT,
	DID_FREE_NAMES,
};

struct event {
	uint8_t what, actor, pack, count; /* COUNT: records folded, or left */
	struct entry entry;
};
struct event_text {
	char text[160];
};

struct steps {
	size_t count;
	struct state to[STEPS_MAX];
	struct event event[STEPS_MAX];
};

struct state model_start(const struct model *m);
/* Everything that can happen next. */
void model_steps(const struct model *m, const struct state *s, struct steps *out);
/* The state after R was appended by somebody, whatever the actors had in mind. S must have room for it. */
void model_append(const struct model *m, struct state *s, const struct entry *r);
/* Which promise S breaks, NULL when none. */
const char *model_violation(const struct model *m, const struct state *s);
/* So many bytes of a state tell it apart from others. */
size_t model_state_bytes(const struct model *m);
/* Of all states that only differ in who is called 0 and who 1, always the same one. */
struct state model_canonical(const struct model *m, const struct state *s);
struct event_text event_text(const struct event *event);

/* ---- the fold alone, for comparing it with the real one ---- */

/* Rules C, D and E (its recorded half), without those in REMOVED. */
bool entry_legal(const struct view *v, const struct entry *r, unsigned removed);
/* What the first COUNT records of HISTORY add up to. */
struct view model_fold(const struct model *m, const struct entry *history, size_t count);
/* Adds R at NUMBER, passing over it where M says so. */
void view_take(const struct model *m, struct view *v, const struct entry *r, size_t number);
struct event_text entry_text(const struct entry *r);

#endif
