/*
 * record: the bytes of a ledger record and of the payload of every kind.
 * Format   docs/format/ledger.md, version 1. All numbers little-endian; counts and ordinals as LEB128 varints.
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_ENGINE_FORMAT_RECORD_H
#define MAILHOLD_ENGINE_FORMAT_RECORD_H

#include "base/buf.h"
#include "crypto/crypto.h"

#define RECORD_VERSION         1
#define RECORD_BYTES_MAX       (4 * MIB) /* sealed, as stored */
#define RECORD_HASH_BYTES      32
#define PACK_HEADER_HASH_BYTES 16

enum record_kind {
	RECORD_INIT = 1,
	RECORD_OPEN = 2,
	RECORD_COMMIT = 3,
	RECORD_END = 4,
	RECORD_FORGET = 5,
	RECORD_UNFORGET = 6,
	RECORD_EXPIRE = 7,
	RECORD_CONDEMN = 8,
	RECORD_DROP = 9,
	RECORD_FENCE = 10,
	RECORD_REPACK = 11,
	RECORD_CHECKPOINT = 12,
	RECORD_VOID = 13,
	RECORD_HOLDER = 14,
	RECORD_POLICY = 15,
	RECORD_PIN = 16,
	RECORD_UNPIN = 17,
	RECORD_VERIFIED = 18,
	RECORD_HOLD = 19,
	RECORD_UNHOLD = 20,
	RECORD_EPOCH = 21,
	RECORD_KIND_END
};
/* "snapshot commit", "forget", "unknown kind": for messages. Without RECORD_CRITICAL. */
const char *record_kind_name(unsigned kind);
#define RECORD_CRITICAL 0x8000 /* bit of the stored kind: who does not know the kind must not write or prune */

struct record {
	uint64_t number;
	uint32_t epoch;
	uint8_t prev_hash[RECORD_HASH_BYTES]; /* BLAKE2b-256 of the stored bytes of record number-1; zeros for 0 */
	uint64_t checkpoint_number;           /* newest checkpoint, 0 while there is none */
	uint8_t checkpoint_hash[RECORD_HASH_BYTES];
	struct holder_id holder;
	int64_t time_ms;     /* claimed; nothing safe depends on it */
	uint16_t kind;       /* with RECORD_CRITICAL */
	struct span payload; /* borrowed */
};

/* Signs with K, pads (zeros to a Padmé size, at least 512 bytes), seals and appends the stored bytes to OUT. */
MUST_CHECK enum err_code record_seal(const struct keys *k, const struct record *r, struct buf *out, struct err *e);
/*
 * Opens stored bytes that were found under NUMBER. PLAIN receives the body; OUT->payload points into it. The signature
 * is given back unchecked with the message it covers: who may sign is the fold's business. ERR_CORRUPT: does not open,
 * wrong number or repository. ERR_UNSUPPORTED: version.
 */
struct record_signature {
	struct span message; /* into PLAIN */
	uint8_t bytes[SIGNATURE_BYTES];
};
MUST_CHECK enum err_code record_open(const struct keys *k, uint64_t number, struct span stored, struct buf *plain,
                                     struct record *out, struct record_signature *signature, struct err *e);

/* ---- payloads ---- */

/* A pack is named by the session that uploads it and 16 random bytes; names are never reused. */
struct pack_name {
	uint64_t session;
	uint8_t random[16];
};
/* "pack/xx/<session 16 hex>-<32 hex>": xx is the first random byte. */
struct pack_path {
	char text[80];
};
struct pack_path pack_path(const struct pack_name *name);
bool pack_name_of_path(const char *path, struct pack_name *out);

struct pack_added {
	struct pack_name name;                       /* its session is the commit's */
	uint64_t bytes;                              /* stored length, with padding; at most PACK_STORED_BYTES_MAX */
	uint8_t header_hash[PACK_HEADER_HASH_BYTES]; /* BLAKE2b-128 of the clear header and the first directory as
	                                                stored */
};

enum snapshot_flag {
	SNAPSHOT_PARTIAL = 1, /* a long run's safe point; replaced by the complete one */
	SNAPSHOT_SHRUNK = 2,  /* fewer than half of the items of the one before */
	SNAPSHOT_GAPS = 4,    /* some items could not be read */
	SNAPSHOT_COPIED = 8   /* of another repository: its time is not that of the commit; its details tell of what */
};

/* One snapshot in a commit. SEALED holds its details under BOX_NAMES; the keeper reads everything else. */
struct snapshot_entry {
	struct snapshot_id id;
	struct account_id account;
	struct holder_id holder; /* not stored in the payload: the record's; filled by the fold */
	uint32_t epoch;          /* the same; its details are sealed for it */
	int64_t time_ms;         /* start of the run, as claimed */
	int16_t zone_minutes;
	uint32_t flags;
	struct snapshot_id base;     /* inherited pages come through it; zeros: none */
	struct snapshot_id replaces; /* a partial snapshot of this run that this one makes obsolete; zeros: none */
	struct chunk_id spine_root;  /* scope struct */
	struct chunk_id state_root;  /* scope struct */
	uint64_t item_count;
	uint64_t item_bytes;
	struct span sealed; /* borrowed; at most SNAPSHOT_SEALED_MAX */
};
#define SNAPSHOT_SEALED_MAX (64 * KIB)

struct commit {
	uint64_t session; /* 0: adds no packs and needs none */
	bool end_session; /* this commit is also the session's end */
	const struct pack_added *added;
	size_t added_count;
	const uint32_t *against; /* ordinals of packs deduplicated against, rising */
	size_t against_count;
	const struct snapshot_entry *snapshots;
	size_t snapshot_count;
	/*
	 * Packs announced before this record: the ordinal of the first one added. ledger_commit fills it in. It keeps
	 * ordinals in place for every reader when a record below this one is lost.
	 */
	uint32_t first_ordinal;
};
#define COMMIT_PACKS_MAX      65536
#define PACK_STORED_BYTES_MAX ((uint64_t)1 << 32) /* what a record may claim a pack to be long */
#define COMMIT_SNAPSHOTS_MAX  4096
MUST_CHECK enum err_code commit_encode(const struct commit *c, struct buf *out, struct err *e);
/* Decodes into memory owned by *HOLD (release with commit_release); spans point into PAYLOAD. */
struct commit_hold {
	struct commit commit;
	struct pack_added *added;
	uint32_t *against;
	struct snapshot_entry *snapshots;
};
MUST_CHECK enum err_code commit_decode(struct span payload, struct commit_hold *out, struct err *e);
void commit_release(struct commit_hold *hold);

/* INIT: what is fixed for the life of the repository. */
struct init_payload {
	uint8_t root_public[32];
	struct holder_id holder; /* the first full holder */
	uint8_t holder_public[32];
	uint8_t root_signature[SIGNATURE_BYTES]; /* root key over "mailhold holder 1" ‖ repo ‖ holder ‖ public ‖ role */
	uint32_t splitter_version;
	uint32_t cutter_version;
	uint8_t random[16]; /* makes two inits differ */
};
MUST_CHECK enum err_code init_encode(const struct init_payload *p, struct buf *out, struct err *e);
MUST_CHECK enum err_code init_decode(struct span payload, struct init_payload *out, struct err *e);

/* FORGET, UNFORGET, EXPIRE, PIN, UNPIN: a list of snapshots. END, FENCE: a session. CONDEMN, DROP: pack ordinals. */
MUST_CHECK enum err_code snapshot_ids_encode(const struct snapshot_id *ids, size_t count, struct buf *out,
                                             struct err *e);
/* *OUT is allocated (mem_free). At most COMMIT_SNAPSHOTS_MAX. */
MUST_CHECK enum err_code snapshot_ids_decode(struct span payload, struct snapshot_id **out, size_t *count,
                                             struct err *e);

/* REPACK has a commit's layout: ADDED are the copies, AGAINST the packs that it condemns, and there are no snapshots.
 */

/* END and FENCE. A session is never 0. */
MUST_CHECK enum err_code session_encode(uint64_t session, struct buf *out, struct err *e);
MUST_CHECK enum err_code session_decode(struct span payload, uint64_t *out, struct err *e);

/* CONDEMN, DROP, VERIFIED: ordinals, strictly rising. *OUT is allocated (mem_free). */
#define ORDINALS_MAX ((size_t)1 << 20)
MUST_CHECK enum err_code ordinals_encode(const uint32_t *ordinals, size_t count, struct buf *out, struct err *e);
MUST_CHECK enum err_code ordinals_decode(struct span payload, uint32_t **out, size_t *count, struct err *e);

/* VOID: the record NUMBER, whose stored bytes hash to HASH and cannot be read, is to be passed over. */
struct void_payload {
	uint64_t number;
	uint8_t hash[RECORD_HASH_BYTES];
};
MUST_CHECK enum err_code void_encode(const struct void_payload *p, struct buf *out, struct err *e);
MUST_CHECK enum err_code void_decode(struct span payload, struct void_payload *out, struct err *e);

/* What a holder may do. Values are format. */
enum holder_role { HOLDER_REMOVED = 0, HOLDER_FULL = 1, HOLDER_DEPOSIT = 2, HOLDER_KEEPER = 3, HOLDER_ROLE_END };

/* HOLDER: adds a holder or changes what one may do from the next record on. ACCOUNTS bounds a deposit holder; none:
 * all. */
struct holder_payload {
	struct holder_id holder;
	uint8_t public_key[32];
	enum holder_role role;
	const struct account_id *accounts; /* decoded: allocated (mem_free by holder_release) */
	size_t account_count;
	bool has_box;
	uint8_t box_public[32]; /* X25519: keys of the next epoch are sealed for it; without it there can be none */
};
#define HOLDER_ACCOUNTS_MAX 4096
MUST_CHECK enum err_code holder_encode(const struct holder_payload *p, struct buf *out, struct err *e);
MUST_CHECK enum err_code holder_decode(struct span payload, struct holder_payload *out, struct err *e);
void holder_release(struct holder_payload *p);

/*
 * HOLD: what no rule and no keeper may take away until an UNHOLD of the same id. Without QUERY: the snapshots, and all
 * snapshots of the accounts, those to come included. With QUERY: of each item that SEALED describes at least one
 * snapshot; ACCOUNTS are those it looks at (none: all), and there are no snapshots.
 */
struct hold_payload {
	struct hold_id id; /* random, never zeros */
	bool query;
	const struct snapshot_id *snapshots; /* decoded: allocated, as the accounts (mem_free by hold_release) */
	size_t snapshot_count;               /* at most COMMIT_SNAPSHOTS_MAX */
	const struct account_id *accounts;
	size_t account_count; /* at most HOLDER_ACCOUNTS_MAX */
	uint32_t epoch;       /* of the key that seals the details */
	struct span sealed;   /* details under BOX_NAMES; borrowed */
};
#define HOLD_SEALED_MAX (16 * KIB)
MUST_CHECK enum err_code hold_encode(const struct hold_payload *p, struct buf *out, struct err *e);
/* SEALED points into PAYLOAD. */
MUST_CHECK enum err_code hold_decode(struct span payload, struct hold_payload *out, struct err *e);
void hold_release(struct hold_payload *p);
/* UNHOLD: the id. */
MUST_CHECK enum err_code unhold_encode(const struct hold_id *id, struct buf *out, struct err *e);
MUST_CHECK enum err_code unhold_decode(struct span payload, struct hold_id *out, struct err *e);

/* EPOCH: from the next record on the keys of epoch NUMBER count; each holder who stays finds its share of them here. */
struct epoch_entry {
	struct holder_id holder;
	struct span sealed; /* EPOCH_SEALED_BYTES */
};
struct epoch_payload {
	uint32_t number;
	const struct epoch_entry *entries; /* decoded: allocated (mem_free), spans point into the payload */
	size_t count;
};
#define EPOCH_HOLDERS_MAX 4096
MUST_CHECK enum err_code epoch_encode(const struct epoch_payload *p, struct buf *out, struct err *e);
MUST_CHECK enum err_code epoch_decode(struct span payload, struct epoch_payload *out, struct err *e);
void epoch_payload_release(struct epoch_payload *p);

/* What the root key signs to vouch for a holder: "mailhold holder 1" ‖ repo ‖ holder ‖ public key ‖ role. */
#define HOLDER_MESSAGE_BYTES (17 + ID16_BYTES + ID16_BYTES + 32 + 1)
void holder_message(const struct repo_id *repo, const struct holder_id *holder, const uint8_t public_key[32],
                    enum holder_role role, uint8_t out[HOLDER_MESSAGE_BYTES]);

/* POLICY: at most so much; a CHECKPOINT, too, which may be bytes that this version passes over. */
#define OPAQUE_PAYLOAD_MAX (64 * KIB)

/* CHECKPOINT: names an object that holds the fold after record AFTER (docs/format/ledger.md, section 8). */
struct checkpoint_payload {
	uint64_t after;
	uint8_t random[16];              /* of its name */
	uint64_t bytes;                  /* stored length */
	uint8_t hash[RECORD_HASH_BYTES]; /* BLAKE2b-256 of the stored bytes */
};
MUST_CHECK enum err_code checkpoint_payload_encode(const struct checkpoint_payload *p, struct buf *out, struct err *e);
/* ERR_UNSUPPORTED: of another version. */
MUST_CHECK enum err_code checkpoint_payload_decode(struct span payload, struct checkpoint_payload *out, struct err *e);

/*
 * POLICY: what the repository is set to, as fields of tag, length and value, tags strictly rising. The newest record
 * says all of it, so who changes one field carries the others over, those that it does not know included.
 */
#define POLICY_PARITY_MAX 50
enum policy_tag { POLICY_PARITY = 1 /* 1 byte: percent, 1 to 50; absent: no parity */ };
/* OLD with the value of TAG put in (empty: taken out). ERR_CORRUPT: OLD is no policy. */
MUST_CHECK enum err_code policy_put(struct span old, uint64_t tag, struct span value, struct buf *out, struct err *e);
/* The value of TAG into *OUT, borrowed; empty when it is not there. ERR_CORRUPT: PAYLOAD is no policy. */
MUST_CHECK enum err_code policy_get(struct span payload, uint64_t tag, struct span *out, struct err *e);

/* "ledger/0000000000000000": 16 hex digits. */
struct record_path {
	char text[32];
};
struct record_path record_path(uint64_t number);
/* False: PATH is not exactly what record_path gives for some number. */
bool record_number_of_path(const char *path, uint64_t *out);

/* Length after Padmé padding (at most 12 % more), at least FLOOR. Packs and records use it. */
uint64_t padme(uint64_t bytes, uint64_t floor);

#endif
