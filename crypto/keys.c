/* keys: making them, deriving from them, asking them. What they name and seal is in names.c, seal.c and box.c. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"

#define REPO_PREFIX "mailhold repository 1"

enum err_code keys_alloc(struct keys_shape shape, struct keys **out, struct err *e)
{
	/* The counts have met their limits, so the sum cannot wrap. Fields are bytes and u32: no padding to mind. */
	size_t size = sizeof(struct keys) + shape.epochs * sizeof(struct epoch) +
	              shape.holders * sizeof(struct holder_grant) + shape.grants * sizeof(struct account_id);
	struct keys *k = locked_new(size);

	if (!k)
		return err_no_memory(e, size);
	k->shape = shape;
	k->epochs = (struct epoch *)(k + 1);
	k->holders = (struct holder_grant *)(k->epochs + shape.epochs);
	k->grants = (struct account_id *)(k->holders + shape.holders);
	*out = k;
	return ERR_OK;
}

void keys_free(struct keys **k)
{
	locked_free(*k);
	*k = NULL;
}

struct repo_id repo_of_root(const uint8_t root_public[KEY_BYTES])
{
	uint8_t bytes[sizeof REPO_PREFIX - 1 + KEY_BYTES], hash[32];
	struct repo_id id;

	memcpy(bytes, REPO_PREFIX, sizeof REPO_PREFIX - 1);
	memcpy(bytes + sizeof REPO_PREFIX - 1, root_public, KEY_BYTES);
	crypto_digest(span_of(bytes, sizeof bytes), hash, sizeof hash);
	memcpy(id.bytes, hash, sizeof id.bytes);
	return id;
}

bool epoch_has(const struct epoch *ep, enum epoch_field field)
{
	return ep->present >> field & 1;
}

static void epoch_derive(struct epoch *ep)
{
	if (epoch_has(ep, EPOCH_STRUCT)) {
		const uint8_t *key = ep->field[EPOCH_STRUCT];

		derive(ep->box[BOX_LEDGER], key, 1, "mh_ledgr");
		derive(ep->box[BOX_TABLE], key, 1, "mh_table");
		derive(ep->box[BOX_CACHE], key, 1, "mh_cache");
		derive(ep->wrap[SCOPE_STRUCT], key, 1, "mh_wrap_");
	}
	if (epoch_has(ep, EPOCH_SYNC)) {
		derive(ep->box[BOX_NAMES], ep->field[EPOCH_SYNC], 1, "mh_names");
		derive(ep->wrap[SCOPE_SYNC], ep->field[EPOCH_SYNC], 1, "mh_wrap_");
	}
	if (epoch_has(ep, EPOCH_DROP))
		derive(ep->wrap[SCOPE_CONTENT], ep->field[EPOCH_DROP], 1, "mh_wrap_");
}

void keys_settle(struct keys *k)
{
	uint8_t seed[KEY_BYTES];

	derive(k->bundle_key, k->holder_key, 1, "mh_bundl");
	derive(seed, k->holder_key, 2, "mh_sign_");
	crypto_sign_seed_keypair(k->sign_public, k->sign_secret, seed);
	derive(seed, k->holder_key, 3, "mh_rcpt_");
	crypto_box_seed_keypair(k->box_public, k->box_secret, seed);
	sodium_memzero(seed, sizeof seed);
	k->repo = repo_of_root(k->root_public);
	if (k->flags & HAS_ID_KEY) {
		for (unsigned scope = SCOPE_CONTENT; scope < SCOPE_END; scope++)
			derive(k->chunk_key[scope], k->id_key, scope, "mh_chunk");
		derive(k->anchor_key, k->id_key, 1, "mh_ankr_");
		derive(k->cut_key, k->id_key, 1, "mh_cut__");
		derive(k->account_key, k->id_key, 1, "mh_acct_");
	}
	for (size_t i = 0; i < k->shape.epochs; i++)
		epoch_derive(&k->epochs[i]);
	/* Many threads read it from here on; a stray write shall fault rather than change a key. Best effort. */
	(void)sodium_mprotect_readonly(k);
}

void epoch_new(struct epoch *ep, uint32_t number)
{
	ep->number = number;
	ep->present = EPOCH_FIELDS_ALL;
	crypto_random(ep->field[EPOCH_STRUCT], KEY_BYTES);
	crypto_random(ep->field[EPOCH_SYNC], KEY_BYTES);
	crypto_random(ep->field[EPOCH_DROP], KEY_BYTES);
	crypto_box_keypair(ep->field[EPOCH_CONTENT_PUBLIC], ep->field[EPOCH_CONTENT_SECRET]);
}

enum err_code keys_new(struct keys **out, struct err *e)
{
	uint8_t root_secret[SIGN_SECRET_BYTES];
	struct keys *k;
	enum err_code rc = keys_alloc((struct keys_shape){ .epochs = 1 }, &k, e);

	if (rc)
		return rc;
	k->role = ROLE_FULL;
	k->flags = HAS_ID_KEY | HAS_ROOT_SEED | GRANT_ALL_ACCOUNTS;
	crypto_random(k->holder_key, KEY_BYTES);
	crypto_random(k->holder.bytes, sizeof k->holder.bytes);
	crypto_random(k->id_key, KEY_BYTES);
	crypto_random(k->root_seed, KEY_BYTES);
	crypto_sign_seed_keypair(k->root_public, root_secret, k->root_seed);
	sodium_memzero(root_secret, sizeof root_secret);
	epoch_new(&k->epochs[0], 1);
	keys_settle(k);
	*out = k;
	return ERR_OK;
}

unsigned role_flags(enum role role)
{
	return role == ROLE_FULL ? HAS_ID_KEY | HAS_ROOT_SEED : role == ROLE_DEPOSIT ? HAS_ID_KEY : 0;
}

uint32_t role_present(enum role role)
{
	static const uint32_t present[ROLE_END] = {
		[ROLE_FULL] = EPOCH_FIELDS_ALL,
		[ROLE_DEPOSIT] = EPOCH_FIELDS_ALL & ~(1u << EPOCH_CONTENT_SECRET),
		[ROLE_KEEPER] = 1u << EPOCH_STRUCT,
	};

	return present[role];
}

enum err_code keys_for_holder(const struct keys *k, const struct holder_wanted *want,
                              const uint8_t holder_key[KEY_BYTES], struct keys **out, struct err *e)
{
	size_t grants = want->role == ROLE_DEPOSIT ? want->account_count : 0;
	uint32_t present = role_present(want->role);
	struct keys *got;
	enum err_code rc;

	if (k->role != ROLE_FULL)
		return err_set(e, ERR_WRONG_KEY, "this key cannot make keys: it does not hold all of them itself");
	if (grants > GRANTS_MAX)
		return err_set(e, ERR_LIMIT, "a key is for at most %d accounts, or for all", GRANTS_MAX);
	rc = keys_alloc((struct keys_shape){ .epochs = k->shape.epochs, .grants = grants }, &got, e);
	if (rc)
		return rc;
	got->role = want->role;
	got->flags = role_flags(want->role);
	if (want->role == ROLE_FULL || (want->role == ROLE_DEPOSIT && !grants))
		got->flags |= GRANT_ALL_ACCOUNTS;
	for (size_t i = 0; i < grants; i++)
		got->grants[i] = want->accounts[i];
	got->holder = want->holder;
	memcpy(got->holder_key, holder_key, KEY_BYTES);
	memcpy(got->root_public, k->root_public, KEY_BYTES);
	if (got->flags & HAS_ID_KEY)
		memcpy(got->id_key, k->id_key, KEY_BYTES);
	if (got->flags & HAS_ROOT_SEED)
		memcpy(got->root_seed, k->root_seed, KEY_BYTES);
	/* Field by field: what the role does not have stays zero, and never was in this memory. */
	for (size_t i = 0; i < k->shape.epochs; i++) {
		got->epochs[i].number = k->epochs[i].number;
		got->epochs[i].present = present;
		for (unsigned f = 0; f < EPOCH_FIELD_END; f++)
			if (present >> f & 1)
				memcpy(got->epochs[i].field[f], k->epochs[i].field[f], KEY_BYTES);
	}
	keys_settle(got);
	*out = got;
	return ERR_OK;
}

static enum err_code new_holder(const struct keys *k, struct holder_wanted want, struct keys **out, struct err *e)
{
	uint8_t *holder_key = locked_new(KEY_BYTES);
	enum err_code rc;

	if (!holder_key)
		return err_no_memory(e, KEY_BYTES);
	crypto_random(holder_key, KEY_BYTES);
	crypto_random(want.holder.bytes, sizeof want.holder.bytes);
	rc = keys_for_holder(k, &want, holder_key, out, e);
	locked_free(holder_key);
	return rc;
}

enum err_code keys_new_holder(const struct keys *k, enum role role, struct keys **out, struct err *e)
{
	return new_holder(k, (struct holder_wanted){ .role = role }, out, e);
}

enum err_code keys_new_depositor(const struct keys *k, const struct account_id *accounts, size_t count,
                                 struct keys **out, struct err *e)
{
	if (!count)
		return err_set(e, ERR_USAGE, "a depositor's key is for one account or more");
	return new_holder(k, (struct holder_wanted){ ROLE_DEPOSIT, { { 0 } }, accounts, count }, out, e);
}

bool keys_read_names(const struct keys *k)
{
	return k->flags & HAS_ID_KEY && epoch_has(&k->epochs[k->shape.epochs - 1], EPOCH_SYNC);
}

bool keys_read_content(const struct keys *k)
{
	return epoch_has(&k->epochs[k->shape.epochs - 1], EPOCH_CONTENT_SECRET);
}

struct repo_id keys_repo(const struct keys *k)
{
	return k->repo;
}

struct holder_id keys_holder(const struct keys *k)
{
	return k->holder;
}

enum role keys_role(const struct keys *k)
{
	return k->role;
}

uint32_t keys_epoch(const struct keys *k)
{
	return k->epochs[k->shape.epochs - 1].number;
}

const struct epoch *keys_find_epoch(const struct keys *k, uint32_t number)
{
	/* The newest is the one that is nearly always asked for. */
	for (size_t i = k->shape.epochs; i-- > 0;)
		if (k->epochs[i].number == number)
			return &k->epochs[i];
	return NULL;
}

const uint8_t *keys_sign_public(const struct keys *k)
{
	return k->sign_public;
}

const uint8_t *keys_root_public(const struct keys *k)
{
	return k->root_public;
}

void keys_sign(const struct keys *k, struct span message, uint8_t out[SIGNATURE_BYTES])
{
	crypto_sign_detached(out, NULL, message.ptr, message.len, k->sign_secret);
}

enum err_code keys_root_sign(const struct keys *k, struct span message, uint8_t out[SIGNATURE_BYTES], struct err *e)
{
	uint8_t root_public[KEY_BYTES], root_secret[SIGN_SECRET_BYTES];

	if (!(k->flags & HAS_ROOT_SEED))
		return err_set(e, ERR_WRONG_KEY, "this holder's keys do not hold the root key");
	crypto_sign_seed_keypair(root_public, root_secret, k->root_seed);
	crypto_sign_detached(out, NULL, message.ptr, message.len, root_secret);
	sodium_memzero(root_secret, sizeof root_secret);
	return ERR_OK;
}
