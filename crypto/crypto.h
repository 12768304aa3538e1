/*
 * crypto: keys, ids, seals, signatures and key slots, over six calls of libsodium: crypto_pwhash (Argon2id),
 * crypto_generichash, crypto_kdf, crypto_aead_xchacha20poly1305_ietf, crypto_box_seal, crypto_sign. Ids and digests, which
 * are made of every byte, are computed by kernels of our own (lanes.h) that give what crypto_generichash gives.
 * Format   docs/format/key.md (slots, bundles, hierarchy), version 1.
 * Secrets  live in locked memory (sodium_malloc) inside opaque objects and are wiped when freed. Locked as far as
 *          RLIMIT_MEMLOCK goes; each object takes a page and two guard pages, so keep seals per pack, not per block.
 * Thread   crypto_start once, before anything else. A struct keys does not change after it was opened: any
 *          number of threads may use it at once. A seal_writer belongs to one thread at a time; a seal_reader
 *          does not change and may be shared.
 */
#ifndef MAILHOLD_CRYPTO_CRYPTO_H
#define MAILHOLD_CRYPTO_CRYPTO_H

#include "base/buf.h"

#define ID_BYTES   32
#define ID16_BYTES 16

struct chunk_id {
	uint8_t bytes[ID_BYTES];
};

/* Repository, holder, account, snapshot, seal and hold ids are 16 bytes; each has its own type. */
struct repo_id {
	uint8_t bytes[ID16_BYTES];
};
struct holder_id {
	uint8_t bytes[ID16_BYTES];
};
struct account_id {
	uint8_t bytes[ID16_BYTES];
};
struct snapshot_id {
	uint8_t bytes[ID16_BYTES];
};
struct seal_id {
	uint8_t bytes[ID16_BYTES];
};
struct hold_id {
	uint8_t bytes[ID16_BYTES];
};

/* Who may read: content needs the content key, struct K_struct, sync K_sync. Values are format. */
enum scope { SCOPE_CONTENT = 1, SCOPE_STRUCT = 2, SCOPE_SYNC = 3, SCOPE_END };

/*
 * Prepares the library, chooses how hashes are computed, and forbids core dumps of this process (PR_SET_DUMPABLE 0, RLIMIT_CORE
 * 0). Call it again freely.
 */
MUST_CHECK enum err_code crypto_start(struct err *e);
/* "1.0.18": of the libsodium that runs. */
const char *crypto_library_version(void);
/* "AVX-512", "AVX2" or "plain": how crypto_start found that several chunks are best hashed here. */
const char *crypto_hash_kernel(void);
void crypto_random(void *out, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */
/* Unkeyed BLAKE2b of OUT_LEN 16..64 bytes. */
void crypto_digest(struct span bytes, uint8_t *out, size_t out_len);

/* ---- secrets: a password or raw key on its way in ---- */

struct secret; /* locked bytes; no copies by assignment */
/* Copies LEN bytes in (LEN may be 0). The caller wipes its own copy. */
MUST_CHECK enum err_code secret_new(struct span bytes, struct secret **out, struct err *e);
struct span secret_span(const struct secret *s); /* borrowed until secret_free */
void secret_free(struct secret **s);             /* wipes */

/* ---- small files of this client under a key of their own: 32 raw bytes, a fresh random nonce for each ---- */

#define SECRET_KEY_BYTES     32
#define SECRET_SEAL_OVERHEAD 40
/* Appends PLAIN sealed under KEY and bound to AD. ERR_USAGE when KEY has another length. */
MUST_CHECK enum err_code secret_seal(const struct secret *key, struct span ad, struct span plain, struct buf *out,
                                     struct err *e);
/* ERR_CORRUPT when it does not open: damaged, of another key, or of another AD. Nothing of OUT's growth is left unwiped. */
MUST_CHECK enum err_code secret_unseal(const struct secret *key, struct span ad, struct span sealed, struct buf *out,
                                       struct err *e);

/* ---- keys: everything that a holder's bundle opens ---- */

struct keys;
/* What the bundle gives (docs/format/key.md, section 3). Values are format. */
enum role { ROLE_FULL = 1, ROLE_DEPOSIT = 2, ROLE_KEEPER = 3, ROLE_END };

/* The keys of a new repository: the full role with epoch 1, fresh random secrets, a fresh root signing key. */
MUST_CHECK enum err_code keys_new(struct keys **out, struct err *e);
/*
 * The keys of one more holder of K's repository: a fresh holder id and secret, and of K's keys those that ROLE has.
 * ERR_WRONG_KEY unless K is full: nobody can give what they do not hold. A depositor of all accounts.
 */
MUST_CHECK enum err_code keys_new_holder(const struct keys *k, enum role role, struct keys **out, struct err *e);
/*
 * The same for a depositor of 1 to KEYS_ACCOUNTS_MAX accounts. The ledger's record is what counts for others, the bundle's
 * copy is for the holder's own use.
 */
#define KEYS_ACCOUNTS_MAX 1024
MUST_CHECK enum err_code keys_new_depositor(const struct keys *k, const struct account_id *accounts, size_t count,
                                            struct keys **out, struct err *e);
void keys_free(struct keys **k);

struct repo_id keys_repo(const struct keys *k); /* BLAKE2b-256("mailhold repository 1" ‖ root public key), 16 bytes */
struct holder_id keys_holder(const struct keys *k); /* who we are */
enum role keys_role(const struct keys *k);
bool keys_read_names(const struct keys *k);            /* whether K_id and K_sync are there: all but a keeper */
bool keys_read_content(const struct keys *k);          /* whether bodies and summaries open: full only */
uint32_t keys_epoch(const struct keys *k);             /* the newest epoch; writers use it */
const uint8_t *keys_sign_public(const struct keys *k); /* 32 bytes: our Ed25519 public key */
const uint8_t *keys_root_public(const struct keys *k); /* 32 bytes */

/* ---- slots: object key/HOLDER, 512 bytes ---- */

enum slot_kind { SLOT_PASSWORD = 1, SLOT_KEY_FILE = 2 };

#define SLOT_BYTES          512
#define SLOT_KEY_FILE_BYTES 32 /* a key file holds 64 hex digits and a newline, or these bytes raw */
#define SLOT_OPS_DEFAULT    3
#define SLOT_MEM_DEFAULT    ((uint64_t)64 << 20)

struct slot_options {
	enum slot_kind kind;
	uint32_t ops;       /* Argon2id passes, 1..16; 0 takes the default. Ignored for key files. */
	uint64_t mem_bytes; /* Argon2id memory, 8 KiB..4 GiB; 0 takes the default */
	struct span label;  /* at most 64 bytes, sealed: "laptop of Ann" */
};

/* Seals K's holder secret under SECRET (the password, or the 32 raw bytes) and appends SLOT_BYTES to OUT. */
MUST_CHECK enum err_code slot_seal(const struct keys *k, const struct secret *secret, const struct slot_options *o,
                                   struct buf *out, struct err *e);

struct slot_info {
	enum slot_kind kind;
	uint32_t ops;
	uint64_t mem_bytes;
	struct holder_id holder;
	struct repo_id repo;
};

/* Reads the clear part only. ERR_CORRUPT, or ERR_UNSUPPORTED for another version or kind. Limits are checked. */
MUST_CHECK enum err_code slot_inspect(struct span slot, struct slot_info *out, struct err *e);

/* The holder's secret and the root public key that a slot opens to. */
struct holder_secret;
/* ERR_WRONG_KEY when the commitment tag differs, ERR_CORRUPT when it matches and the rest does not open. */
MUST_CHECK enum err_code slot_open(struct span slot, const struct secret *secret, struct holder_secret **out,
                                   struct err *e);
void holder_secret_free(struct holder_secret **h);

/* ---- epochs: K_struct, K_sync, K_drop and the content pair, made anew when somebody must not read what comes ---- */

#define EPOCH_SEALED_BYTES 256
const uint8_t *keys_box_public(const struct keys *k); /* 32 bytes, X25519: others seal our next keys for it */
/* K with one epoch more, of fresh random keys. ERR_WRONG_KEY unless K is full; ERR_LIMIT after 127 of them. */
MUST_CHECK enum err_code keys_next_epoch(const struct keys *k, struct keys **out, struct err *e);
/* Appends what ROLE has of K's newest epoch, sealed for holder TO: EPOCH_SEALED_BYTES. */
MUST_CHECK enum err_code epoch_seal(const struct keys *k, enum role role, const struct holder_id *to,
                                    const uint8_t box_public[32], struct buf *out, struct err *e);
/*
 * K with the epoch that was sealed for us. ERR_CORRUPT also when it is not the one after K's newest, or not what our role
 * has. Who made it is not in it: it must come out of a record that counts.
 */
MUST_CHECK enum err_code epoch_open(const struct keys *k, struct span sealed, struct keys **out, struct err *e);

/* ---- bundles: the holder's role secrets, kept as object key/HOLDER.bundle, at most BUNDLE_BYTES_MAX ---- */

#define BUNDLE_BYTES_MAX (64 * KIB)
MUST_CHECK enum err_code bundle_seal(const struct keys *k, struct buf *out, struct err *e);
/* Reads the clear part only: whose it is. ERR_CORRUPT, or ERR_UNSUPPORTED for another version. The size is checked. */
MUST_CHECK enum err_code bundle_inspect(struct span bundle, struct holder_id *holder, struct repo_id *repo,
                                        struct err *e);
/* ERR_CORRUPT also when the root public key in the bundle is not the slot's. */
MUST_CHECK enum err_code bundle_open(struct span bundle, const struct holder_secret *h, struct keys **out,
                                     struct err *e);

/* ---- labels: object key/HOLDER.label: what a holder is called, sealed for those who read names (K_sync) ---- */

#define LABEL_BYTES    176 /* of the object, whatever the label */
#define LABEL_TEXT_MAX 64
struct label {
	struct holder_id holder;
	int64_t time_ms; /* when the key was made, as its maker claims */
	size_t len;
	uint8_t text[LABEL_TEXT_MAX];
};
/* Appends LABEL_BYTES. ERR_WRONG_KEY when K does not read names. */
MUST_CHECK enum err_code label_seal(const struct keys *k, const struct label *l, struct buf *out, struct err *e);
/* ERR_WRONG_KEY for a keeper; ERR_CORRUPT also for the label of another holder or repository. */
MUST_CHECK enum err_code label_open(const struct keys *k, const struct holder_id *holder, struct span sealed,
                                    struct label *out, struct err *e);

/* ---- names made from bytes: for the roles full and deposit only, a keeper has no K_id ---- */

/* Keyed BLAKE2b-256 of a chunk's plaintext under SCOPE's own key, so that ids of two scopes never meet. */
void keys_chunk_id(const struct keys *k, enum scope scope, struct span plain, struct chunk_id *out);
/*
 * The ids of COUNT plaintexts, OUT[i] that of PLAIN[i]: the same as one by one, and up to five times as fast, as several are
 * hashed at once. From three on it pays; memory is constant.
 */
void keys_chunk_ids(const struct keys *k, enum scope scope, const struct span *plain, size_t count,
                    struct chunk_id *out);
/* Keyed BLAKE2b-128 of a whole header block: re-anchors an item without download. */
void keys_anchor(const struct keys *k, struct span header, uint8_t out[16]);
/* Keyed 64-bit number of an item key: decides page and node cuts. LEVEL separates the levels of a tree. */
uint64_t keys_cut(const struct keys *k, uint32_t level, struct span bytes);
struct account_id keys_account(const struct keys *k, struct span account_name);
/* 256 64-bit numbers for the content-defined cutter, the same for the whole life of the repository. */
void keys_gear_table(const struct keys *k, uint64_t out[256]);

/* ---- seals: one random key, made by one writer for one pack and scope ---- */

#define SEAL_OVERHEAD    16 /* bytes that sealing adds; the nonce is the counter and is not stored with the block */
#define SEAL_WRAPPED_MAX 160

struct seal_writer;
/* Draws id and key. WRAPPED (appended) is what the pack's directory keeps; only SCOPE's holders can unwrap it. */
MUST_CHECK enum err_code seal_writer_open(const struct keys *k, enum scope scope, struct seal_writer **out,
                                          struct buf *wrapped, struct err *e);
struct seal_id seal_writer_id(const struct seal_writer *w);
/*
 * Takes the next counter. Every sealing attempt takes a fresh one, also after a failed check: a counter is never
 * used twice. Not thread-safe by itself: the owner takes counters in order and may seal with them in any thread.
 */
uint64_t seal_writer_next(struct seal_writer *w);
/* Seals PLAIN under COUNTER with associated data AD; appends PLAIN.len + SEAL_OVERHEAD bytes. Thread-safe. */
MUST_CHECK enum err_code seal_writer_seal(const struct seal_writer *w, uint64_t counter, struct span ad,
                                          struct span plain, struct buf *out, struct err *e);
/* The reading side of the same seal, for checking before writing. Borrowed from W. */
const struct seal_reader *seal_writer_reader(const struct seal_writer *w);
void seal_writer_free(struct seal_writer **w); /* wipes the key */

struct seal_reader;
/* ERR_WRONG_KEY when our role does not open SCOPE, ERR_CORRUPT when WRAPPED does not open. */
MUST_CHECK enum err_code seal_reader_open(const struct keys *k, enum scope scope, uint32_t epoch,
                                          const struct seal_id *id, struct span wrapped, struct seal_reader **out,
                                          struct err *e);
/* Writes SEALED.len - SEAL_OVERHEAD bytes to DST. ERR_CORRUPT when it does not open. Thread-safe. */
MUST_CHECK enum err_code seal_reader_unseal(const struct seal_reader *r, uint64_t counter, struct span ad,
                                            struct span sealed, uint8_t *dst, struct err *e);
void seal_reader_free(struct seal_reader **r);

/* ---- boxes: small sealed bytes under a key of the hierarchy with a random nonce ---- */

enum box_kind {
	BOX_LEDGER = 1, /* ledger records: K_struct, "mh_ledgr" */
	BOX_TABLE = 2,  /* pack directories and id lists: K_struct, "mh_table" */
	BOX_NAMES = 3,  /* account names and snapshot details inside records: K_sync, "mh_names" */
	BOX_CACHE = 4   /* local cache files: K_struct, "mh_cache" */
};
#define BOX_NONCE_BYTES 24
#define BOX_OVERHEAD    (BOX_NONCE_BYTES + 16) /* nonce first, then the ciphertext and its tag */

MUST_CHECK enum err_code box_seal(const struct keys *k, enum box_kind kind, uint32_t epoch, struct span ad,
                                  struct span plain, struct buf *out, struct err *e);
/* ERR_CORRUPT when it does not open; ERR_WRONG_KEY when our role lacks the key or the epoch. Appends to OUT. */
MUST_CHECK enum err_code box_open(const struct keys *k, enum box_kind kind, uint32_t epoch, struct span ad,
                                  struct span sealed, struct buf *out, struct err *e);

/* ---- signatures ---- */

#define SIGNATURE_BYTES 64
void keys_sign(const struct keys *k, struct span message, uint8_t out[SIGNATURE_BYTES]);
/* Signs with the root key, which vouches for holders. ERR_WRONG_KEY when our bundle does not hold it. */
MUST_CHECK enum err_code keys_root_sign(const struct keys *k, struct span message, uint8_t out[SIGNATURE_BYTES],
                                        struct err *e);
bool sign_verify(const uint8_t public_key[32], struct span message, const uint8_t signature[SIGNATURE_BYTES]);

#endif
