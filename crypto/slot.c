/* slot: object key/HOLDER, 512 bytes. Layout and reasons in docs/format/key.md. */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"

#include <inttypes.h>

#define SLOT_MAGIC       "mh-slot\0"
#define SLOT_VERSION     1
#define SLOT_SALT_BYTES  16
#define SLOT_LABEL_MAX   64
#define SLOT_OPS_MAX     16
#define SLOT_MEM_MIN     (8 * (uint64_t)KIB)
#define SLOT_MEM_MAX     ((uint64_t)4 << 30)
#define SLOT_CLEAR_BYTES 128 /* with tag and nonce */
#define SLOT_AD_BYTES    104 /* without the nonce: everything up to and with the tag */
#define SLOT_PLAIN_BYTES (SLOT_BYTES - SLOT_CLEAR_BYTES - TAG_BYTES)
#define SLOT_USED_BYTES  (KEY_BYTES + KEY_BYTES + 1 + SLOT_LABEL_MAX)
#define KEY_FILE_PREFIX  "mailhold key file 1"

_Static_assert(SLOT_SALT_BYTES == crypto_pwhash_SALTBYTES, "salt");

/* The clear part as it stands in the bytes; salt, tag and nonce are borrowed from them. */
struct slot_clear {
	struct slot_info info;
	struct span salt, tag, nonce;
};

/* What is derived and opened on the way: secret, so it lies in locked memory. */
struct slot_work {
	uint8_t a[KEY_BYTES];
	uint8_t kek[KEY_BYTES];
	uint8_t tag[KEY_BYTES];
	uint8_t plain[SLOT_PLAIN_BYTES];
};

/* A of the hierarchy. A key file is hashed with the salt so that two slots of one key file show unlike tags. */
static enum err_code stretch(const struct slot_info *info, const uint8_t *salt, struct span secret,
                             uint8_t out[KEY_BYTES], struct err *e)
{
	uint8_t bound[sizeof KEY_FILE_PREFIX - 1 + SLOT_SALT_BYTES];

	if (info->kind == SLOT_PASSWORD) {
		if (crypto_pwhash(out, KEY_BYTES, (const char *)secret.ptr, secret.len, salt, info->ops,
		                  (size_t)info->mem_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
			return err_set(e, ERR_NO_MEMORY, "deriving the key needs %" PRIu64 " bytes of memory",
			               info->mem_bytes);
		return ERR_OK;
	}
	memcpy(bound, KEY_FILE_PREFIX, sizeof KEY_FILE_PREFIX - 1);
	memcpy(bound + sizeof KEY_FILE_PREFIX - 1, salt, SLOT_SALT_BYTES);
	crypto_generichash(out, KEY_BYTES, bound, sizeof bound, secret.ptr, secret.len);
	return ERR_OK;
}

static enum err_code work_open(const struct slot_info *info, const uint8_t *salt, const struct secret *secret,
                               struct slot_work **out, struct err *e)
{
	struct span given = secret_span(secret);
	struct slot_work *work;
	enum err_code rc;

	if (info->kind == SLOT_KEY_FILE && given.len != SLOT_KEY_FILE_BYTES)
		return err_set(e, ERR_USAGE, "a key file has %d bytes, this one has %zu", SLOT_KEY_FILE_BYTES,
		               given.len);
	work = locked_new(sizeof *work);
	if (!work)
		return err_no_memory(e, sizeof *work);
	rc = stretch(info, salt, given, work->a, e);
	if (rc) {
		locked_free(work);
		return rc;
	}
	derive(work->kek, work->a, 1, "mh_kek__");
	derive(work->tag, work->a, 2, "mh_cmt__");
	*out = work;
	return ERR_OK;
}

static bool cost_fits(const struct slot_info *info)
{
	if (info->kind == SLOT_KEY_FILE)
		return info->ops == 0 && info->mem_bytes == 0;
	return info->ops >= 1 && info->ops <= SLOT_OPS_MAX && info->mem_bytes >= SLOT_MEM_MIN &&
	       info->mem_bytes <= SLOT_MEM_MAX && info->mem_bytes % KIB == 0;
}

static enum err_code info_of(const struct keys *k, const struct slot_options *o, struct slot_info *info, struct err *e)
{
	*info = (struct slot_info){ .kind = o->kind, .holder = k->holder, .repo = k->repo };
	if (o->kind == SLOT_PASSWORD) {
		info->ops = o->ops ? o->ops : SLOT_OPS_DEFAULT;
		info->mem_bytes = (o->mem_bytes ? o->mem_bytes : SLOT_MEM_DEFAULT) & ~(uint64_t)(KIB - 1);
	} else if (o->kind != SLOT_KEY_FILE) {
		return err_set(e, ERR_USAGE, "unknown kind of slot %d", (int)o->kind);
	}
	if (!cost_fits(info))
		return err_set(e, ERR_USAGE,
		               "key derivation takes 1 to %d passes over 8 KiB to 4 GiB, not %" PRIu32 " over %" PRIu64
		               " bytes",
		               SLOT_OPS_MAX, info->ops, info->mem_bytes);
	if (o->label.len > SLOT_LABEL_MAX)
		return err_set(e, ERR_USAGE, "a label has at most %d bytes, this one has %zu", SLOT_LABEL_MAX,
		               o->label.len);
	return ERR_OK;
}

static void clear_encode(struct wr *w, const struct slot_info *info, const uint8_t *salt, const uint8_t *tag,
                         const uint8_t *nonce)
{
	wr_bytes(w, SPAN_LIT(SLOT_MAGIC));
	wr_u16(w, SLOT_VERSION);
	wr_u16(w, (uint16_t)info->kind);
	wr_u32(w, info->ops);
	wr_u64(w, info->mem_bytes);
	wr_bytes(w, span_of(salt, SLOT_SALT_BYTES));
	wr_bytes(w, span_of(info->holder.bytes, ID16_BYTES));
	wr_bytes(w, span_of(info->repo.bytes, ID16_BYTES));
	wr_bytes(w, span_of(tag, KEY_BYTES));
	wr_bytes(w, span_of(nonce, NONCE_BYTES));
}

enum err_code slot_encode(const struct keys *k, const struct secret *secret, const struct slot_options *o,
                          const uint8_t salt[SLOT_SALT_BYTES], const uint8_t nonce[NONCE_BYTES], struct buf *out,
                          struct err *e)
{
	struct slot_work *work = NULL;
	size_t start = out->len;
	struct slot_info info;
	enum err_code rc = info_of(k, o, &info, e);
	struct wr w = wr_to(out, e);
	uint8_t *at;

	if (!rc)
		rc = buf_reserve(out, SLOT_BYTES, e);
	if (!rc)
		rc = work_open(&info, salt, secret, &work, e);
	if (rc)
		return rc;
	clear_encode(&w, &info, salt, work->tag, nonce);
	memcpy(work->plain, k->holder_key, KEY_BYTES);
	memcpy(work->plain + KEY_BYTES, k->root_public, KEY_BYTES);
	work->plain[2 * KEY_BYTES] = (uint8_t)o->label.len;
	if (o->label.len)
		memcpy(work->plain + 2 * KEY_BYTES + 1, o->label.ptr, o->label.len);
	rc = wr_end(&w);
	if (!rc)
		rc = buf_extend(out, SLOT_PLAIN_BYTES + TAG_BYTES, &at, e);
	if (!rc)
		aead_seal(work->kek, nonce, span_of(out->ptr + start, SLOT_AD_BYTES),
		          span_of(work->plain, SLOT_PLAIN_BYTES), at);
	else
		out->len = start;
	locked_free(work);
	return rc;
}

enum err_code slot_seal(const struct keys *k, const struct secret *secret, const struct slot_options *o,
                        struct buf *out, struct err *e)
{
	uint8_t salt[SLOT_SALT_BYTES], nonce[NONCE_BYTES];

	crypto_random(salt, sizeof salt);
	crypto_random(nonce, sizeof nonce);
	return slot_encode(k, secret, o, salt, nonce, out, e);
}

static enum err_code clear_decode(struct span slot, struct slot_clear *out, struct err *e)
{
	struct rd r = rd_of(slot);
	struct slot_clear got = { 0 };
	struct span magic = rd_take(&r, sizeof SLOT_MAGIC - 1);
	unsigned version = rd_u16(&r), kind = rd_u16(&r);

	if (r.bad || !span_equal(magic, SPAN_LIT(SLOT_MAGIC)))
		return err_set(e, ERR_CORRUPT, "this is not a key slot");
	/* The version comes first: a newer slot may have another size. */
	if (version != SLOT_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "key slot of version %u; this program knows version %d", version,
		               SLOT_VERSION);
	if (slot.len != SLOT_BYTES)
		return err_set(e, ERR_CORRUPT, "a key slot has %d bytes, this one has %zu", SLOT_BYTES, slot.len);
	if (kind != SLOT_PASSWORD && kind != SLOT_KEY_FILE)
		return err_set(e, ERR_UNSUPPORTED, "key slot of kind %u", kind);
	got.info.kind = kind == SLOT_PASSWORD ? SLOT_PASSWORD : SLOT_KEY_FILE;
	got.info.ops = rd_u32(&r);
	got.info.mem_bytes = rd_u64(&r);
	got.salt = rd_take(&r, SLOT_SALT_BYTES);
	rd_copy(&r, got.info.holder.bytes, ID16_BYTES);
	rd_copy(&r, got.info.repo.bytes, ID16_BYTES);
	got.tag = rd_take(&r, KEY_BYTES);
	got.nonce = rd_take(&r, NONCE_BYTES);
	/* The cost is the store's word: without limits a forged slot could eat the machine. */
	if (r.bad || !cost_fits(&got.info))
		return err_set(e, ERR_CORRUPT, "key slot asks for %" PRIu32 " passes over %" PRIu64 " bytes",
		               got.info.ops, got.info.mem_bytes);
	*out = got;
	return ERR_OK;
}

enum err_code slot_inspect(struct span slot, struct slot_info *out, struct err *e)
{
	struct slot_clear clear;
	enum err_code rc = clear_decode(slot, &clear, e);

	if (!rc)
		*out = clear.info;
	return rc;
}

static enum err_code plain_decode(const uint8_t plain[SLOT_PLAIN_BYTES], const struct slot_info *info,
                                  struct holder_secret **out, struct err *e)
{
	unsigned label_len = plain[2 * KEY_BYTES];
	struct repo_id repo = repo_of_root(plain + KEY_BYTES);
	struct holder_secret *h;

	if (label_len > SLOT_LABEL_MAX)
		return err_set(e, ERR_CORRUPT, "key slot has a label of %u bytes", label_len);
	if (!sodium_is_zero(plain + SLOT_USED_BYTES, SLOT_PLAIN_BYTES - SLOT_USED_BYTES))
		return err_set(e, ERR_UNSUPPORTED, "key slot holds more than this program knows");
	if (memcmp(repo.bytes, info->repo.bytes, ID16_BYTES) != 0)
		return err_set(e, ERR_CORRUPT, "key slot holds the root key of another repository");
	h = locked_new(sizeof *h);
	if (!h)
		return err_no_memory(e, sizeof *h);
	memcpy(h->holder_key, plain, KEY_BYTES);
	memcpy(h->root_public, plain + KEY_BYTES, KEY_BYTES);
	h->holder = info->holder;
	h->repo = info->repo;
	*out = h;
	return ERR_OK;
}

enum err_code slot_open(struct span slot, const struct secret *secret, struct holder_secret **out, struct err *e)
{
	struct slot_work *work = NULL;
	struct slot_clear clear;
	enum err_code rc = clear_decode(slot, &clear, e);

	if (!rc)
		rc = work_open(&clear.info, clear.salt.ptr, secret, &work, e);
	if (rc)
		return rc;
	if (!crypto_equal(work->tag, clear.tag.ptr, KEY_BYTES))
		rc = err_set(e, ERR_WRONG_KEY, "wrong %s", clear.info.kind == SLOT_PASSWORD ? "password" : "key file");
	else if (!aead_open(work->kek, clear.nonce.ptr, span_first(slot, SLOT_AD_BYTES),
	                    span_skip(slot, SLOT_CLEAR_BYTES), work->plain))
		rc = err_set(e, ERR_CORRUPT, "the key slot is damaged: the %s is right, the rest does not open",
		             clear.info.kind == SLOT_PASSWORD ? "password" : "key file");
	else
		rc = plain_decode(work->plain, &clear.info, out, e);
	locked_free(work);
	return rc;
}

void holder_secret_free(struct holder_secret **h)
{
	locked_free(*h);
	*h = NULL;
}
