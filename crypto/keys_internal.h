/*
 * keys_internal: what struct keys holds, for the files of this room and their tests. Everything lies in one
 * locked allocation (sodium_malloc) that becomes read-only once keys_settle has derived the subkeys.
 *
 * Invariants of a settled struct keys:
 *  1. epochs are in strictly ascending order of number, at least one, the first number at least 1;
 *  2. a field whose bit is missing in `present` is all zero, and so is every key derived from it;
 *  3. repo is the hash of root_public; when HAS_ROOT_SEED is set, root_public belongs to root_seed;
 *  4. sign_secret, sign_public, box_secret, box_public and bundle_key follow from holder_key alone.
 */
#ifndef MAILHOLD_CRYPTO_KEYS_INTERNAL_H
#define MAILHOLD_CRYPTO_KEYS_INTERNAL_H

#include "crypto.h"

#define KEY_BYTES         32
#define NONCE_BYTES       24
#define TAG_BYTES         16
#define SIGN_SECRET_BYTES 64

#define EPOCHS_MAX  128
#define GRANTS_MAX  KEYS_ACCOUNTS_MAX
#define HOLDERS_MAX 512

/* Values are format (docs/format/key.md): bit n of an epoch's `present` is field n. */
enum epoch_field {
	EPOCH_STRUCT = 0,
	EPOCH_SYNC = 1,
	EPOCH_DROP = 2,
	EPOCH_CONTENT_PUBLIC = 3,
	EPOCH_CONTENT_SECRET = 4,
	EPOCH_FIELD_END
};
#define EPOCH_FIELDS_ALL ((1u << EPOCH_FIELD_END) - 1)

/* Values are format. */
#define HAS_ID_KEY         1u
#define HAS_ROOT_SEED      2u
#define GRANT_ALL_ACCOUNTS 4u
#define KEYS_FLAGS_ALL     7u

#define BOX_KIND_END 5

struct epoch {
	uint32_t number;
	uint32_t present;
	uint8_t field[EPOCH_FIELD_END][KEY_BYTES];
	uint8_t box[BOX_KIND_END][KEY_BYTES]; /* by box_kind; slot 0 unused */
	uint8_t wrap[SCOPE_END][KEY_BYTES];   /* by scope: wraps seal keys; slot 0 unused */
};

/* Another holder's bundle key: lets full rotate for everyone without their passwords. */
struct holder_grant {
	struct holder_id holder;
	uint8_t bundle_key[KEY_BYTES];
};

struct keys_shape {
	size_t epochs, grants, holders;
};

struct keys {
	uint8_t holder_key[KEY_BYTES]; /* H */
	uint8_t bundle_key[KEY_BYTES];
	uint8_t sign_secret[SIGN_SECRET_BYTES];
	uint8_t sign_public[KEY_BYTES];
	uint8_t box_secret[KEY_BYTES]; /* X25519: the next epoch's keys come sealed for it */
	uint8_t box_public[KEY_BYTES];
	uint8_t root_seed[KEY_BYTES];
	uint8_t root_public[KEY_BYTES];
	uint8_t id_key[KEY_BYTES]; /* K_id */
	uint8_t chunk_key[SCOPE_END][KEY_BYTES];
	uint8_t anchor_key[KEY_BYTES];
	uint8_t cut_key[KEY_BYTES];
	uint8_t account_key[KEY_BYTES];
	struct repo_id repo;
	struct holder_id holder;
	enum role role;
	unsigned flags;
	struct keys_shape shape;
	struct epoch *epochs; /* the three runs lie behind the struct, in the same allocation */
	struct holder_grant *holders;
	struct account_id *grants;
};

struct holder_secret {
	uint8_t holder_key[KEY_BYTES];
	uint8_t root_public[KEY_BYTES];
	struct holder_id holder;
	struct repo_id repo;
};

/* Zeroed locked memory, aligned to 64 bytes; NULL when out of memory. Free it with locked_free. */
MUST_CHECK void *locked_new(size_t bytes);
void locked_free(void *ptr); /* wipes; NULL is fine */

/*
 * BLAKE2b of BYTES bytes of each of COUNT messages, one after the other in OUT, in whatever way is fastest here. KEY has
 * KEY_BYTES, or is NULL.
 */
void hash_many(const uint8_t *key, const struct span *in, size_t count, uint8_t *out, size_t bytes);

/* A 32-byte subkey: crypto_kdf with an 8-byte context. */
void derive(uint8_t out[KEY_BYTES], const uint8_t key[KEY_BYTES], uint64_t number, const char context[8]);

/* What a role's bundle holds (docs/format/key.md, section 3): HAS_ID_KEY and HAS_ROOT_SEED; `present` of an epoch. */
unsigned role_flags(enum role role);
uint32_t role_present(enum role role);

/* keys_new_holder with a given id and secret, for golden files. */
struct holder_wanted {
	enum role role;
	struct holder_id holder;
	const struct account_id *accounts; /* of a depositor; none: all */
	size_t account_count;
};
MUST_CHECK enum err_code keys_for_holder(const struct keys *k, const struct holder_wanted *want,
                                         const uint8_t holder_key[KEY_BYTES], struct keys **out, struct err *e);

MUST_CHECK enum err_code keys_alloc(struct keys_shape shape, struct keys **out, struct err *e);
/* Fresh random keys, all fields. */
void epoch_new(struct epoch *ep, uint32_t number);
/* Fills in what follows from the secrets and makes the memory read-only. */
void keys_settle(struct keys *k);
struct repo_id repo_of_root(const uint8_t root_public[KEY_BYTES]);
/* The epoch, or NULL when this role does not hold it. */
const struct epoch *keys_find_epoch(const struct keys *k, uint32_t number);
bool epoch_has(const struct epoch *ep, enum epoch_field field);

/* AEAD (XChaCha20-Poly1305) into DST, PLAIN.len + TAG_BYTES bytes. */
void aead_seal(const uint8_t key[KEY_BYTES], const uint8_t nonce[NONCE_BYTES], struct span ad, struct span plain,
               uint8_t *dst);
/* Into DST, SEALED.len - TAG_BYTES bytes. False when it does not open; DST then holds zeros or old bytes. */
bool aead_open(const uint8_t key[KEY_BYTES], const uint8_t nonce[NONCE_BYTES], struct span ad, struct span sealed,
               uint8_t *dst);

/* slot_seal and bundle_seal with given salt and nonce, for golden files. */
MUST_CHECK enum err_code slot_encode(const struct keys *k, const struct secret *secret, const struct slot_options *o,
                                     const uint8_t salt[16], const uint8_t nonce[NONCE_BYTES], struct buf *out,
                                     struct err *e);
MUST_CHECK enum err_code bundle_encode(const struct keys *k, const uint8_t nonce[NONCE_BYTES], struct buf *out,
                                       struct err *e);
/* What a bundle holds once it is unsealed: the parser alone, for fuzzing. */
MUST_CHECK enum err_code bundle_decode(struct span plain, const struct holder_secret *h, struct keys **out,
                                       struct err *e);

#endif
