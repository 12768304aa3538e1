/*
 * engine: the repository and everything one can do with it. Knows no mail world: items come from an item_source and
 * go to an item_sink (item/item.h). Where bytes lie is docs/format/, in which order they are written docs/order.md.
 *
 *   repo_init, repo_open            a repository on a store, unlocked
 *   engine_snapshot                 take one account's items into it
 *   engine_copy                     take snapshots of another repository into it
 *   repo_snapshots, repo_resolve    what there is
 *   view_*                          look into one snapshot: collections, items, bodies
 *   engine_diff, _deleted, _find    compare and search, without opening bodies
 *   engine_restore                  give items back
 *   engine_forget, _forget_policy   what is to be kept, and for how long
 *   engine_hold_add, _holds         what stays whatever those say
 *   engine_prune                    give back the space of what is not
 *   repo_sessions, _session_fence   who is writing, and ending those who are dead
 *   engine_check, _stats            look after it
 *   engine_parity_*                 repair data of packs, and repairing with it
 *
 * Thread   one thread at a time per struct repo; the engine uses threads of its own inside. Callbacks are called in the
 *          caller's thread unless said otherwise. Spans and strings given to a callback are good for the call.
 * Stop     long calls look at the flag given with engine_stop_flag and end with ERR_CANCELLED; what was committed
 * stays.
 */
#ifndef MAILHOLD_ENGINE_ENGINE_H
#define MAILHOLD_ENGINE_ENGINE_H

#include <signal.h>

#include "crypto/crypto.h"
#include "item/item.h"

struct repo;

/*
 * Something worth a line on stderr that is no failure. A remark explains what takes its time ("the local index is being
 * made"); a warning says that something is not as it should be, and people want it even from a run that is to be quiet.
 */
enum engine_notice_kind { ENGINE_REMARK, ENGINE_WARNING };
typedef void (*engine_notice)(void *ctx, enum engine_notice_kind kind, const char *text);

struct engine_progress {
	const char *phase;                /* "reading", "comparing", "restoring", "checking" … */
	uint64_t items_done, items_total; /* total 0: unknown */
	uint64_t bytes_done, bytes_total;
	const char *what; /* collection or object, printable; may be "" */
};
typedef void (*engine_progress_fn)(void *ctx, const struct engine_progress *p); /* at most about 10 times a second */

struct repo_options {
	const char *url;             /* store */
	const struct secret *secret; /* password, or 32 raw bytes of a key file; borrowed for the call */
	enum slot_kind secret_kind;
	const char *cache_folder; /* NULL: $XDG_CACHE_HOME/mailhold, else ~/.cache/mailhold */
	const char
	        *expect_head; /* hex head as printed by a run, or NULL: ERR_FORKED when the ledger does not hold it */
	engine_notice notice;
	void *notice_ctx;
	int64_t wait_ms; /* how long to wait for another process of this machine that writes the local index, before
	                    ERR_BUSY; a notice tells that it waits */
	const volatile sig_atomic_t *stop; /* as engine_stop_flag, from the first call to the store on; may be NULL */
};

/*
 * ERR_EXISTS when there is a repository, or anything else, already. ERR_OUTCOME_UNKNOWN: there may be one now, and
 * SECRET may be what opens it. After any other failure the folder is as empty as it was.
 */
MUST_CHECK enum err_code repo_init(const struct repo_options *o, const struct slot_options *slot, struct repo **out,
                                   struct err *e);
/* ERR_NO_REPOSITORY, ERR_WRONG_KEY, ERR_FORKED, ERR_UNSUPPORTED … */
MUST_CHECK enum err_code repo_open(const struct repo_options *o, struct repo **out, struct err *e);
/*
 * Another handle of R's repository, for another thread: with a fold of the ledger, a reader and sessions of its own, as
 * another process would have them; store, keys and the local index are R's. R must outlive it, and while there are
 * such handles nobody works through R itself. Its progress is not told.
 */
MUST_CHECK enum err_code repo_open_beside(struct repo *r, struct repo **out, struct err *e);
void repo_free(struct repo **r);
/* Looked at by long calls; set it from a signal handler. May be NULL. */
void engine_stop_flag(struct repo *r, const volatile sig_atomic_t *flag);
void engine_set_progress(struct repo *r, engine_progress_fn fn, void *ctx);

struct repo_info {
	struct repo_id id;
	const char *url;          /* borrowed */
	const char *cache_folder; /* this repository's; borrowed */
	char head[80];            /* "NUMBER:HEX": for --expect-head */
};
void repo_describe(const struct repo *r, struct repo_info *out);

/* ---- who may open it: docs/keys.md ----
 * A holder has a role, a signing key, and one slot (a password or a key file) that opens them. Only a full holder adds
 * and removes others: ERR_DENIED else. */

enum key_state {
	KEY_VALID = 1,  /* announced in the ledger, and its objects are there */
	KEY_GONE,       /* announced, but its objects are missing: opens nothing */
	KEY_UNFINISHED, /* objects that no record announces: of an interrupted repo_key_add; opens nothing */
	KEY_REMOVED     /* SLOTS above 0: its objects are still there (an interrupted repo_key_remove); opens nothing */
};
struct key_info {
	struct holder_id id;
	char id_hex[33];
	enum key_state state;
	unsigned role;                        /* enum role; 0: not known, of removed and unfinished ones */
	unsigned kind;                        /* enum slot_kind; 0: no slot */
	unsigned slots;                       /* 2 after an interrupted repo_key_change: both open */
	bool self;                            /* the one that opened the repository */
	size_t accounts;                      /* that a depositor is bound to; 0: all */
	const struct account_id *account_ids; /* of them; good for the call */
	struct span label;                    /* empty for a keeper, who does not read names */
	int64_t added_ms;                     /* INT64_MIN: not known */
};
typedef enum err_code (*key_visit)(void *ctx, const struct key_info *k, struct err *e);
/* In order of announcement, unfinished ones last. */
MUST_CHECK enum err_code repo_keys(struct repo *r, key_visit visit, void *ctx, struct err *e);
/* By label, or by at least 4 digits of the id; not among removed ones without objects. ERR_NOT_FOUND, ERR_USAGE when
 * ambiguous. When it may be one whose label cannot be read, the error is that of the label. */
MUST_CHECK enum err_code repo_key_find(struct repo *r, const char *text, struct holder_id *out, struct err *e);
/*
 * Makes one more holder of ROLE whose slot opens with SECRET; a depositor of all accounts. ERR_EXISTS when the label is
 * taken, or SECRET opens this repository already. SLOT's kind says what SECRET is. A failure leaves nothing that opens,
 * but ERR_OUTCOME_UNKNOWN may; what an earlier call with SECRET left unannounced is taken away first.
 */
MUST_CHECK enum err_code repo_key_add(struct repo *r, enum role role, const struct secret *secret,
                                      const struct slot_options *slot, struct holder_id *out, struct err *e);
/* The same for a depositor of these ACCOUNTS (names) only; ERR_USAGE without any. */
MUST_CHECK enum err_code repo_key_add_deposit(struct repo *r, const char *const *accounts, size_t account_count,
                                              const struct secret *secret, const struct slot_options *slot,
                                              struct holder_id *out, struct err *e);
/* Record first, then the objects. ERR_STATE when no other full holder can open the repository. */
MUST_CHECK enum err_code repo_key_remove(struct repo *r, const struct holder_id *id, struct err *e);
/*
 * Fresh keys for all that is written from now on, for everybody who is a holder: whoever was removed and kept a copy of
 * their keys reads nothing newer. One record; what was written before stays readable to those who could. ERR_STATE names
 * a holder who cannot be given keys. R cannot write afterwards (nor can runs that are at work elsewhere: they end with
 * ERR_STATE, and the next ones go on); open it again. *EPOCH: of the new keys.
 */
MUST_CHECK enum err_code repo_key_rotate(struct repo *r, uint32_t *epoch, struct err *e);
/* Whether it could, with holder WITHOUT (may be NULL) removed before: the same errors. */
MUST_CHECK enum err_code repo_key_may_rotate(struct repo *r, const struct holder_id *without, struct err *e);
/*
 * Gives our own holder a new slot that opens with SECRET and takes the old ones away. A crash between leaves both, and
 * so does ERR_OUTCOME_UNKNOWN, and the same call ends it; after any other failure the old one alone opens.
 */
MUST_CHECK enum err_code repo_key_change(struct repo *r, const struct secret *secret, enum slot_kind kind,
                                         struct err *e);
enum role repo_role(const struct repo *r);
/* What a role may not, told before anything is begun. ERR_DENIED: "this key may not WHAT: …". */
MUST_CHECK enum err_code repo_need_content(const struct repo *r, const char *what,
                                           struct err *e);                                      /* bodies, summaries */
MUST_CHECK enum err_code repo_need_keep(const struct repo *r, const char *what, struct err *e); /* forget and prune */

/* ---- snapshots ---- */

struct snapshot_info {
	struct snapshot_id id;
	char id_hex[33];
	struct account_id account_id;
	char account_id_hex[33];
	bool names_hidden;   /* to a keeper: account, host, source and tags are empty, counts of collections 0 */
	struct span account; /* name */
	struct span host;
	struct span source; /* as the user typed it */
	struct span tags;   /* comma-separated */
	int64_t time_ms;
	int16_t zone_minutes;
	int64_t duration_ms;
	uint32_t flags; /* enum engine_snapshot_flag */
	uint64_t items, bytes, collections;
	uint64_t items_skipped;
	int64_t forgotten_ms; /* of the trash; 0: live */
	bool pinned;
};
enum engine_snapshot_flag {
	ENGINE_SNAPSHOT_PARTIAL = 1, /* interrupted run: what was safe by then */
	ENGINE_SNAPSHOT_SHRUNK = 2,  /* fewer than half of the items of the one before */
	ENGINE_SNAPSHOT_GAPS = 4,    /* some items could not be read */
	ENGINE_SNAPSHOT_COPIED = 8   /* by engine_copy, from another repository */
};
/*
 * The name of ACCOUNT, into OUT, as the newest snapshot of it has it, however long ended; OUT stays empty when there never
 * was one, or R's key reads no names.
 */
MUST_CHECK enum err_code repo_account_name(struct repo *r, const struct account_id *account, struct buf *out,
                                           struct err *e);
enum { SNAPSHOTS_LIVE = 1, SNAPSHOTS_TRASH = 2 };
typedef enum err_code (*snapshot_visit)(void *ctx, const struct snapshot_info *s, struct err *e);
/* Oldest first. WHICH: SNAPSHOTS_LIVE, _TRASH or both. ACCOUNT: a name (a keeper's: digits of the account id), or NULL
 * for all. */
MUST_CHECK enum err_code repo_snapshots(struct repo *r, unsigned which, const char *account, snapshot_visit visit,
                                        void *ctx, struct err *e);
/*
 * "[ACCOUNT@]" + an id prefix (at least 4 digits), "latest", "latest~N", or a date or time ("the last one before"; a
 * bare date means its end). To a keeper ACCOUNT is at least 4 digits of the account id. ERR_NOT_FOUND, or ERR_USAGE
 * when it is ambiguous. WHICH as above (forget --undo looks into the trash).
 */
MUST_CHECK enum err_code repo_resolve(struct repo *r, const char *text, unsigned which, struct snapshot_id *out,
                                      struct err *e);

struct snapshot_options {
	const char *account; /* NULL: the source's label */
	const char *source;  /* as typed, for the record */
	const char *const *tags;
	size_t tag_count;
	bool rescan;                  /* look inside items that seem unchanged */
	bool dry_run;                 /* reads and counts, writes nothing */
	bool no_parent;               /* ignore earlier snapshots */
	int64_t partial_every_ms;     /* 0: 10 minutes; partial commits */
	uint64_t partial_every_bytes; /* 0: 1 GiB */
	int compression_level;        /* 0: default (3); 1..19 */
};
struct snapshot_report {
	struct snapshot_info info; /* id zeros on a dry run; spans empty */
	uint64_t items_new, items_changed, items_state_changed, items_removed, items_unchanged;
	uint64_t items_moved; /* new in their places, and not read: they lay, or lie, in another place as well */
	uint64_t bytes_read;
	uint64_t bytes_stored; /* added to the store by this run, packs as stored */
	uint64_t chunks_new, chunks_known;
	uint64_t collections_unchanged;
	bool resumed; /* built on a partial snapshot */
	char head[80];
};
/*
 * When somebody else took away what the run leaned on (a prune), it begins again by itself, with a notice; ERR_STATE
 * when that happened several times. Reports of unreadable items come through SOURCE->report; the run goes on and the
 * snapshot carries _GAPS.
 */
MUST_CHECK enum err_code engine_snapshot(struct repo *r, struct item_source *source, const struct snapshot_options *o,
                                         struct snapshot_report *out, struct err *e);

/* ---- copying to another repository: docs/copy.md ---- */

struct copy_options {
	const struct snapshot_id *ids; /* live ones of FROM */
	size_t count;
	bool verify;           /* what TO has of them, now or before, is read and compared with FROM, byte for byte */
	bool dry_run;          /* tells what would be copied; reads no bodies, writes nothing */
	int compression_level; /* as in struct snapshot_options, and the two below */
	int64_t partial_every_ms;
	uint64_t partial_every_bytes;
	item_report skipped; /* told of every item, or larger thing, that cannot be copied. Any thread. May be NULL */
	void *skipped_ctx;
};
enum copy_verdict {
	COPY_DONE = 1,
	COPY_WOULD,   /* of a dry run: copied, or, with INSTEAD_OF, looked at again */
	COPY_PRESENT, /* TO has it already */
	COPY_LACKING, /* TO has it without what could not be read then, and none of that can be read now */
	COPY_FAILED   /* its list of collections cannot be read; told to SKIPPED, too */
};
struct copy_step {
	const struct snapshot_info *from;
	enum copy_verdict verdict;
	const struct snapshot_id *to;         /* the copy; NULL for _WOULD and _FAILED */
	const struct snapshot_id *instead_of; /* _DONE, _WOULD: the copy that lacked something; NULL: there was none */
	bool instead_kept;                    /* it was not forgotten: pinned, held, or not for our key to forget */
	const struct snapshot_report *run;    /* _DONE and _LACKING */
	uint64_t items_verified;              /* 0 when another step of this call compared all of them */
};
typedef enum err_code (*copy_visit)(void *ctx, const struct copy_step *s, struct err *e);
struct copy_report {
	uint64_t copied, present, lacking, failed; /* snapshots; of a dry run: that would be */
	uint64_t items_read, bytes_read;           /* of FROM: bodies that had to be put together */
	uint64_t items_skipped;
	uint64_t items_verified, items_differ;
	uint64_t bytes_stored;
	uint64_t chunks_new, chunks_known;
	char head[80]; /* of TO */
};
/*
 * Copies snapshots of FROM into TO, oldest first, each with one commit of its own: account, times, host, source, tags
 * and flags as they are, items with their keys, facts and states byte for byte. TO has other keys, so all is named,
 * cut, compressed and sealed anew, and stored once. What TO has a copy of, or is the origin of, is passed over, so the
 * same call may be made again, also after an interruption, which leaves at most one partial snapshot to build on. Next
 * to a copy of an earlier snapshot only what differs from that one is read. A copy that lacks what could not be read is
 * looked at again: what can be read now makes another one, and the earlier one is forgotten (docs/copy.md).
 * ERR_DENIED with keys that do not read names. ERR_USAGE when FROM and TO are the same repository. ERR_CORRUPT when
 * VERIFY found something else in TO than in FROM.
 */
MUST_CHECK enum err_code engine_copy(struct repo *from, struct repo *to, const struct copy_options *o, copy_visit visit,
                                     void *ctx, struct copy_report *out, struct err *e);

/* Forget: into the trash. Undo: back. Several ids, one record. ERR_NOT_FOUND names one that is pinned or held. */
MUST_CHECK enum err_code engine_forget(struct repo *r, const struct snapshot_id *ids, size_t count, bool undo,
                                       struct err *e);
/*
 * Visits, of IDS, the newest one of each account that would keep no complete snapshot without them (or, when it has no
 * complete one, no snapshot at all): what nobody should forget by accident. Changes nothing. ERR_DENIED as engine_forget.
 */
MUST_CHECK enum err_code engine_last_ones(struct repo *r, const struct snapshot_id *ids, size_t count,
                                          snapshot_visit visit, void *ctx, struct err *e);
MUST_CHECK enum err_code engine_pin(struct repo *r, const struct snapshot_id *ids, size_t count, bool unpin,
                                    struct err *e);

/* ---- retention: docs/retention.md ---- */

enum keep_period {
	KEEP_LAST,
	KEEP_HOURLY,
	KEEP_DAILY,
	KEEP_WEEKLY,
	KEEP_MONTHLY,
	KEEP_QUARTERLY,
	KEEP_YEARLY,
	KEEP_PERIODS
};
struct forget_policy {
	const char *account;         /* NULL: all, each judged on its own */
	uint32_t keep[KEEP_PERIODS]; /* the newest of so many periods that have one; 0: no such rule, UINT32_MAX: all */
	int64_t keep_within_ms[KEEP_PERIODS]; /* of all periods so long before the newest; [KEEP_LAST]: all snapshots;
	                                         0: no such rule */
	const char *const *keep_tags;         /* any of them */
	size_t keep_tag_count;
	bool force; /* no brake */
	bool dry_run;
};
struct forget_verdict {
	const struct snapshot_info *snapshot;
	bool keep;
	bool held;           /* would go, but the account is held back */
	const char *reasons; /* "daily, monthly", "no-rule" */
	struct span hold;    /* label of the hold that keeps it; empty when none does, or to a keeper */
};
typedef enum err_code (*forget_visit)(void *ctx, const struct forget_verdict *v, struct err *e);
struct forget_report {
	uint64_t kept, forgotten; /* forgotten: also those that a dry run would forget */
	uint64_t held; /* would go, but their accounts are held back: too many at once, or a burst of new ones (a notice
	                  tells) */
};
/*
 * Judges all live snapshots, calls VISIT for each, oldest first, and moves those that no rule keeps to the trash.
 * ERR_USAGE without a rule; ERR_NOT_FOUND when there is no such account.
 */
MUST_CHECK enum err_code engine_forget_policy(struct repo *r, const struct forget_policy *policy, forget_visit visit,
                                              void *ctx, struct forget_report *out, struct err *e);

/* ---- holds: docs/retention.md ---- */

struct find_query { /* all that is given must match; text matches anywhere, ASCII case folded */
	const char *account;
	struct span from, to, title, message_id, file, place, any; /* any: in any of them */
	struct span collection;                                    /* path, or a shell pattern with * and ? */
	enum item_kind kind;                                       /* 0: all */
	int64_t after_ms, before_ms;                               /* item date; INT64_MIN / INT64_MAX: open */
};

struct hold_options {
	const char *label; /* why; 1 to HOLD_LABEL_MAX bytes */
	const char *who;   /* who makes it, as claimed, or NULL */
	int64_t until_ms;  /* when somebody should look at it again; INT64_MIN: no such day. It never ends by itself */
	/* What is held: snapshots, or all of an account, or what a query finds (in its account, or in all). */
	const struct snapshot_id *snapshots;
	size_t snapshot_count;
	const char *account;
	const struct find_query *query;
};
#define HOLD_LABEL_MAX 200
struct hold_info {
	struct hold_id id;
	char id_hex[33];
	bool names_hidden; /* to a keeper: label, who, account and query are empty */
	struct span label, who;
	int64_t added_ms; /* as claimed */
	int64_t until_ms; /* INT64_MIN: no such day */
	bool by_query;
	struct find_query query; /* its account is in ACCOUNT below, its texts are spans */
	struct span account;     /* empty: none was named */
	const struct snapshot_id *snapshots;
	size_t snapshot_count;
	uint64_t covered; /* snapshots it looks at, live or in the trash; without BY_QUERY all of them stay */
};
/*
 * Makes a hold. Snapshots of it (or its account's) that are in the trash come back, and of what a query finds there as
 * many as are needed. ERR_DENIED unless we are a full holder; ERR_NOT_FOUND, ERR_USAGE, ERR_LIMIT.
 */
MUST_CHECK enum err_code engine_hold_add(struct repo *r, const struct hold_options *o, struct hold_id *out,
                                         struct err *e);
MUST_CHECK enum err_code engine_hold_remove(struct repo *r, const struct hold_id *id, struct err *e);
typedef enum err_code (*hold_visit)(void *ctx, const struct hold_info *h, struct err *e);
/* Those that are not released, oldest first. */
MUST_CHECK enum err_code engine_holds(struct repo *r, hold_visit visit, void *ctx, struct err *e);
/* By label, or by at least 4 digits of the id. ERR_NOT_FOUND, ERR_USAGE when ambiguous. */
MUST_CHECK enum err_code engine_hold_find(struct repo *r, const char *text, struct hold_id *out, struct err *e);

/*
 * How long the trash keeps; how long a condemned pack stays, because readers may be at it; and the silence after which a
 * session is taken for dead.
 */
#define PRUNE_TRASH_MS       ((int64_t)7 * 24 * 3600 * 1000)
#define PRUNE_WAIT_MS        ((int64_t)24 * 3600 * 1000)
#define PRUNE_SILENT_MS      ((int64_t)7 * 24 * 3600 * 1000)
#define PRUNE_UNUSED_PERCENT 5
struct prune_options {
	int64_t trash_ms;  /* snapshots longer in the trash than this end for good; 0: all */
	int64_t wait_ms;   /* 0: for when no other machine reads */
	int64_t silent_ms; /* 0: every open session is fenced; a run of it fails and must be done again */
	/*
	 * Packs are rewritten, those that give most back first, until no more than this is unused in what is left: so
	 * many per cent of all (100: anything may be), or so many bytes, whichever is more.
	 */
	unsigned max_unused_percent;
	uint64_t max_unused_bytes;
	uint64_t max_repack_bytes;         /* of copies; UINT64_MAX: any */
	int64_t max_duration_ms;           /* begins nothing new after; 0: no limit. One pack is rewritten at least */
	const struct snapshot_id *without; /* dry run: as if these were gone */
	size_t without_count;
	bool dry_run;
};
struct prune_report {
	uint64_t snapshots_expired, snapshots_held; /* held: would have ended, but for a hold */
	uint64_t sessions_fenced, sessions_open;    /* open: their packs were left alone */
	uint64_t packs, bytes;                      /* live before */
	uint64_t chunks, chunks_live;
	uint64_t packs_unused, bytes_unused;     /* nothing needed was in them: condemned */
	uint64_t packs_repacked, bytes_repacked; /* condemned after what is needed in them was copied */
	uint64_t bytes_copied;                   /* of the copies, as stored; of a dry run: expected */
	uint64_t bytes_unused_left;              /* not needed, in packs that were not rewritten; estimated */
	uint64_t packs_deleted, bytes_deleted;   /* condemned now or earlier; orphans included */
	uint64_t orphans_deleted;                /* uploaded, never committed */
	uint64_t packs_waiting, bytes_waiting;   /* condemned, to be deleted by a later prune */
	bool out_of_time;                        /* max_duration_ms was over: the next prune goes on */
	char head[80];
};
/*
 * Frees what no snapshot, live or in the trash, needs. Other machines may write and read meanwhile. Stopped or killed
 * anywhere it has lost nothing, and may be run again; it does so by itself, with a notice, when somebody fenced its
 * session. ERR_CORRUPT: something that snapshots need is missing or damaged;
 * nothing was condemned.
 */
MUST_CHECK enum err_code engine_prune(struct repo *r, const struct prune_options *o, struct prune_report *out,
                                      struct err *e);

/* ---- sessions: whoever uploads has one, prune included ---- */

struct session_info {
	uint64_t number; /* its name */
	struct holder_id holder;
	char holder_hex[33];
	unsigned role;         /* enum role of the key, 0: not known */
	bool self;             /* it is the key that opened the repository */
	struct span label;     /* of the key; empty to a keeper */
	int64_t opened_ms;     /* INT64_MIN: its record cannot be read */
	int64_t last_ms;       /* of its newest record: it commits every 10 minutes or 1 GiB, if it has something */
	uint64_t packs, bytes; /* uploaded, and in no commit so far */
	bool has_snapshot;
	struct snapshot_info snapshot; /* HAS_SNAPSHOT: the newest that it committed, which tells account and machine */
};
typedef enum err_code (*session_visit)(void *ctx, const struct session_info *s, struct err *e);
/* Those that are open, oldest first. Times are those of the writers' clocks. */
MUST_CHECK enum err_code repo_sessions(struct repo *r, session_visit visit, void *ctx, struct err *e);
/*
 * Ends somebody's session, whose writer is dead or stuck: what it uploaded and did not commit goes with the next prune.
 * A writer that lives after all finds out at its next commit, and begins again. ERR_NOT_FOUND; ERR_STATE: not open any
 * more; ERR_DENIED for a depositor. DRY_RUN: the same errors, and nothing else.
 */
MUST_CHECK enum err_code engine_session_fence(struct repo *r, uint64_t number, bool dry_run, struct err *e);

/* ---- looking into one snapshot ---- */

struct view;
MUST_CHECK enum err_code view_open(struct repo *r, const struct snapshot_id *id, struct view **out, struct err *e);
void view_free(struct view **v);
const struct snapshot_info *view_snapshot(const struct view *v);

struct view_collection {
	struct collection c;
	uint64_t items, bytes;
};
size_t view_collection_count(const struct view *v);
/* Borrowed until view_free. */
MUST_CHECK enum err_code view_collection(struct view *v, size_t i, const struct view_collection **out, struct err *e);
/* Exact path. ERR_NOT_FOUND names near ones. */
MUST_CHECK enum err_code view_find_collection(struct view *v, struct span path, size_t *out, struct err *e);

struct view_item {
	struct span key;
	struct span facts;
	struct span state;
	struct span summary;     /* fields, see summary_tag; empty when not asked for */
	struct chunk_id content; /* names the content: equal ids, equal bytes */
	enum item_kind kind;
	uint64_t bytes;
	int64_t time_ms; /* received (fact), else the summary's date, else INT64_MIN */
};
typedef enum err_code (*item_visit)(void *ctx, size_t collection, const struct view_item *item, struct err *e);
/* All items of a collection in key order; reads no bodies. */
MUST_CHECK enum err_code view_items(struct view *v, size_t collection, bool with_summary, item_visit visit, void *ctx,
                                    struct err *e);
/* One item by key: reads one page. The visit happens once. ERR_NOT_FOUND. */
MUST_CHECK enum err_code view_item(struct view *v, size_t collection, struct span key, item_visit visit, void *ctx,
                                   struct err *e);
/* Writes an item's stream (STREAM empty: primary), checked against its ids. */
typedef enum err_code (*body_write)(void *ctx, struct span bytes, struct err *e);
MUST_CHECK enum err_code view_body(struct view *v, size_t collection, struct span key, struct span stream,
                                   body_write write, void *ctx, struct err *e);

/* ---- compare and search ---- */

enum change_kind {
	CHANGE_ADDED = 1,
	CHANGE_REMOVED,
	CHANGE_MOVED,
	CHANGE_STATE,
	CHANGE_CONTENT,
	CHANGE_COLLECTION_ADDED,
	CHANGE_COLLECTION_REMOVED
};
const char *change_kind_name(enum change_kind kind); /* "added" … */
struct change {
	enum change_kind kind;
	struct span collection;                 /* where it is in B; where it was, when removed */
	struct span collection_from;            /* moved: where it was */
	const struct view_item *before, *after; /* NULL where there is none; with summaries */
};
typedef enum err_code (*change_visit)(void *ctx, const struct change *c, struct err *e);
/* Per collection, in order; reads only pages that differ. */
MUST_CHECK enum err_code engine_diff(struct repo *r, const struct snapshot_id *a, const struct snapshot_id *b,
                                     change_visit visit, void *ctx, struct err *e);

struct deleted_item {
	struct span collection;
	const struct view_item *item;
	const struct snapshot_info *last_in; /* the newest snapshot that has it */
	int64_t gone_by_ms;                  /* time of the first snapshot without it */
};
typedef enum err_code (*deleted_visit)(void *ctx, const struct deleted_item *d, struct err *e);
/* Items that some snapshot of the account (NULL: every account) has and its latest has not; only those gone since
 * SINCE_MS. */
MUST_CHECK enum err_code engine_deleted(struct repo *r, const char *account, int64_t since_ms, deleted_visit visit,
                                        void *ctx, struct err *e);

struct find_hit {
	struct span account;
	struct span collection;
	const struct view_item *item;
	const struct snapshot_info *first, *last; /* the span of time it existed */
	bool in_latest;
};
typedef enum err_code (*find_visit)(void *ctx, const struct find_hit *hit, struct err *e);
/* Over all live snapshots; each distinct item (account, collection, key, content) once. */
MUST_CHECK enum err_code engine_find(struct repo *r, const struct find_query *q, find_visit visit, void *ctx,
                                     struct err *e);

/* ---- restore ---- */

struct restore_options {
	struct span collection;     /* one collection (exact path); empty: all */
	struct span key;            /* one item of it; empty: all */
	const char *const *include; /* shell patterns on collection paths; none: all */
	size_t include_count;
	const char *const *exclude;
	size_t exclude_count;
	const char *const *map; /* "OLD=NEW" collection paths */
	size_t map_count;
	enum sink_collision collision;
	bool plan_only;
	bool tell_all; /* the visitor is told of every item, as of a plan */
	/* May be NULL. Says whether an item, or with an empty KEY a collection (both as the sink has them), is to be restored. */
	bool (*wanted)(void *ctx, struct span collection, struct span key);
	void *wanted_ctx;
};
struct restore_step {
	struct span collection;
	const struct view_item
	        *item; /* without summary; NULL: the collection itself is made or, with FAILED, part of it is lost */
	struct span target; /* its place, printable; plans only */
	struct span flags_there,
	        flags; /* of a plan, where CHANGES has SINK_FLAGS_SET: those it has there, and would get */
	enum sink_verdict verdict;
	unsigned changes;         /* enum sink_change */
	const char *note;         /* what was changed; "" */
	const struct err *failed; /* NULL when it worked */
};
/* With plan_only or tell_all: every step. Else: those only that are renamed, clashed, failed, mended or lack flags. */
typedef enum err_code (*restore_visit)(void *ctx, const struct restore_step *step, struct err *e);
struct restore_report {
	uint64_t items_wanted; /* of the snapshot, before anything was looked at */
	uint64_t collections, items_put, items_present, items_clashed, items_renamed, items_failed;
	uint64_t bytes_put;
	uint64_t items_missing; /* SINK_MISSING */
	uint64_t items_line_ends, items_mended, items_flags_lost, items_flags_set,
	        items_elsewhere;   /* enum sink_change */
	struct sink_check checked; /* by sinks that read back at the end of a collection */
};
MUST_CHECK enum err_code engine_restore(struct view *v, struct item_sink *sink, const struct restore_options *o,
                                        restore_visit visit, void *ctx, struct restore_report *out, struct err *e);

/* ---- statements: signed by the key that opened the repository, kept outside of it; docs/format/report.md ---- */

#define STATEMENT_DIGEST_BYTES 32
struct statement {
	struct holder_id holder;
	uint8_t signature[SIGNATURE_BYTES];
};
/* Signs DIGEST for PURPOSE, at most 40 bytes that say what is signed and in which version. */
void engine_sign(const struct repo *r, const char *purpose, const uint8_t digest[STATEMENT_DIGEST_BYTES],
                 struct statement *out);
/* ERR_CORRUPT: that key did not sign this. ERR_NOT_FOUND: the repository has no such key, or has it no more. */
MUST_CHECK enum err_code engine_verify(const struct repo *r, const char *purpose,
                                       const uint8_t digest[STATEMENT_DIGEST_BYTES], const struct statement *s,
                                       struct err *e);

/* ---- looking after it ---- */

struct check_options {
	bool read_data; /* every block: unseal, decompress, compare ids; else structure only */
	/*
	 * Of the data, only so much, whole packs, those first that were verified longest ago (the client remembers): at
	 * least one pack. All 0: everything.
	 */
	unsigned data_percent; /* 1..100, of the bytes of all packs */
	uint64_t data_bytes;
	int64_t data_ms; /* packs are begun for so long */
};
struct check_problem {
	const char *object; /* "ledger record 12", "pack 0003…", "snapshot ab12 …" */
	const struct err *what;
	/* An item that needs something damaged: SNAPSHOTS (else 0) of them have it, from FIRST to LAST in order of commit. */
	uint64_t snapshots;
	struct snapshot_id first, last;
	struct span collection, key, title; /* TITLE is empty when it is lost or was never there */
};
typedef void (*check_visit)(void *ctx, const struct check_problem *p);
/* What this client remembers of the live packs. */
struct engine_verified {
	uint64_t packs, bytes; /* verified at some time */
	uint64_t never_packs, never_bytes;
	int64_t oldest_ms; /* of those that were; 0: none */
};
struct check_report {
	uint64_t records, packs, blocks, chunks, snapshots, bytes_read;
	uint64_t problems;
	uint64_t objects_gone;   /* records and packs that must be there and are not */
	uint64_t items_affected; /* items of live snapshots that need something damaged */
	uint64_t packs_data;     /* of PACKS: every byte was compared */
	struct engine_verified verified;
};
/*
 * An item is told once, however many snapshots have it. A keeper compares the bytes of what it cannot open. With data read and
 * a full key, a record vouches for packs of others that were found good (docs/threat_model.md).
 */
MUST_CHECK enum err_code engine_check(struct repo *r, const struct check_options *o, check_visit visit, void *ctx,
                                      struct check_report *out, struct err *e);

/* Passes over ledger records that cannot be read; *COUNT tells how many. What they said stays lost. */
MUST_CHECK enum err_code engine_repair_ledger(struct repo *r, uint64_t *count, struct err *e);
/* Throws the local index away and makes it anew from the packs; *COUNT tells how many chunks it has. */
MUST_CHECK enum err_code engine_repair_index(struct repo *r, uint64_t *count, struct err *e);

/* ---- repair of packs: docs/repair.md ---- */

struct repair_options {
	/* Where lost chunks may be had again; each may be absent. Items are split as a snapshot splits them. */
	struct item_source *source;
	struct repo *from;
	bool dry_run; /* finds and tells, changes nothing */
};
struct repair_report {
	uint64_t packs;                      /* looked at */
	uint64_t packs_mended;               /* put right by their parity: they were damaged, and are no more */
	uint64_t packs_damaged, packs_gone;  /* damaged: set aside; gone: the store has lost them */
	uint64_t chunks_saved, chunks_known; /* of damaged packs: copied; had elsewhere as well */
	uint64_t bytes_added;                /* new packs, as stored */
	uint64_t chunks_lost;     /* needed by snapshots and nowhere to be had when the packs were repaired */
	uint64_t chunks_restored; /* of them, taken from the source or the other repository */
	uint64_t items_affected;  /* items that cannot be read whole, in the end */
	uint64_t problems;        /* told, of packs and of snapshots */
	char head[80];
};
/*
 * Looks at every byte of every pack. A damaged pack is copied to damaged/… in the store, every whole chunk of it is kept in
 * new packs, and the ledger condemns it in the same record (docs/order.md, rule 19): from then on what was lost counts
 * as unknown, and is stored again by whoever has it. VISIT gets the packs' problems first, and, when all that can be
 * done was done, each item that is affected still. Killed anywhere it is simply run again. Only for a full holder.
 */
MUST_CHECK enum err_code engine_repair_packs(struct repo *r, const struct repair_options *o, check_visit visit,
                                             void *ctx, struct repair_report *out, struct err *e);

/* ---- parity: repair data of packs, docs/parity.md ---- */

#define ENGINE_PARITY_PERCENT_MAX 50
/* What new packs get from now on: PERCENT, or 0 for none. Packs that are there stay as they are. ERR_DENIED: only a full
 * holder says so. */
MUST_CHECK enum err_code engine_parity_set(struct repo *r, unsigned percent, struct err *e);
struct parity_report {
	unsigned percent;                 /* of new packs; 0: none */
	uint64_t packs, packs_bytes;      /* live ones */
	uint64_t protected, parity_bytes; /* those that have a parity object, and how long these are */
	uint64_t made, made_bytes;        /* engine_parity_add */
	uint64_t damaged;                 /* packs that were left without, each told */
};
MUST_CHECK enum err_code engine_parity_show(struct repo *r, struct parity_report *out, struct err *e);
/*
 * Gives each live pack that has no parity, or one for another loss, the parity that the policy says, after comparing
 * every byte of the pack. Stopped or killed, it is simply run again. ERR_STATE: the policy says none.
 */
MUST_CHECK enum err_code engine_parity_add(struct repo *r, bool dry_run, check_visit visit, void *ctx,
                                           struct parity_report *out, struct err *e);

struct repair_parity_options {
	const char *url; /* no key is needed */
	const volatile sig_atomic_t *stop;
	engine_progress_fn progress;
	void *progress_ctx;
};
struct repair_parity_step {
	const char *object;       /* "pack/…" */
	const struct err *failed; /* NULL: repaired */
	bool pack_mended, parity_mended;
	uint64_t cells;   /* that were damaged, of pack and parity */
	const char *kept; /* where the damaged pack lies now; "" */
};
typedef void (*repair_parity_visit)(void *ctx, const struct repair_parity_step *s);
struct repair_parity_report {
	uint64_t packs, bytes_read;                     /* that have parity */
	uint64_t packs_mended, parities_mended, failed; /* each told */
	uint64_t without;                               /* packs without parity: nothing is known of them */
};
/*
 * Compares every pack that has parity with it, and puts right what is damaged of either. The damaged packs stay under
 * damaged/. ERR_NO_REPOSITORY.
 */
MUST_CHECK enum err_code engine_repair_parity(const struct repair_parity_options *o, repair_parity_visit visit,
                                              void *ctx, struct repair_parity_report *out, struct err *e);

struct stats_report {
	uint64_t snapshots, snapshots_trash, accounts, records;
	uint64_t packs, pack_bytes;
	uint64_t objects, object_bytes;      /* everything in the store */
	uint64_t items_latest, bytes_latest; /* sum over the latest snapshot of each account */
	uint64_t items_all, bytes_all;       /* sum over all snapshots: what copies would take */
	uint64_t chunks;
	struct engine_verified verified;
	struct {
		const char *name;
		uint64_t blocks, chunks, raw_bytes, sealed_bytes;
	} classes[16];
	size_t class_count;
};
MUST_CHECK enum err_code engine_stats(struct repo *r, struct stats_report *out, struct err *e);

/* "0.1.0", and the versions of the libraries and formats, one per line as "name version". */
const char *engine_version(void);
MUST_CHECK enum err_code engine_versions(struct buf *out, struct err *e);

#endif
