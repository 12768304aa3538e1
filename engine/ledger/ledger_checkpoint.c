/*
 * Checkpoints: the fold as one object, so that who has no cache reads that and the records behind it, not all of them.
 * The object says who may sign records, so nobody but the root key may vouch for it: a keeper, a depositor or the
 * store's owner who makes one up is not believed. Where it lies is a hint (a listing), and what it says is bound to the
 * record that it follows; whoever doubts it folds from record 0.
 * Format   docs/format/ledger.md, section 8. Order docs/order.md, rule 19.
 */
#include "engine/ledger/ledger_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/rd.h"
#include "base/wr.h"

#define CHECKPOINT_MAGIC     SPAN_LIT("mhcheckp")
#define CHECKPOINT_VERSION   1
#define CHECKPOINT_HEAD      80
#define CHECKPOINT_FLOOR     4096
#define CHECKPOINT_BYTES_MAX (256 * MIB) /* about 700,000 snapshots; beyond, records are read from 0 */
#define CHECKPOINT_TRIES     3
#define CHECKPOINT_PADDING   0xff /* kind of a segment that says nothing */
#define BOX_MAX              (FOLD_SEGMENT_MAX + BOX_OVERHEAD)
#define SIGNED_BYTES         (21 + ID16_BYTES + RECORD_HASH_BYTES)

/* ---- writing ---- */

struct sealing {
	const struct ledger *l;
	struct buf *out;
	uint32_t epoch, count;
	uint8_t chain[RECORD_HASH_BYTES];
};

/* Segments are chained by hash, so that one signature stands for all of them in this order. */
static void chain_add(uint8_t chain[RECORD_HASH_BYTES], struct span box)
{
	uint8_t both[2 * RECORD_HASH_BYTES];

	memcpy(both, chain, RECORD_HASH_BYTES);
	crypto_digest(box, both + RECORD_HASH_BYTES, RECORD_HASH_BYTES);
	crypto_digest(span_of(both, sizeof both), chain, RECORD_HASH_BYTES);
}

struct segment_ad {
	uint8_t bytes[CHECKPOINT_HEAD + 4];
};

static struct segment_ad segment_ad(const uint8_t *head, uint32_t number)
{
	struct segment_ad ad;

	memcpy(ad.bytes, head, CHECKPOINT_HEAD);
	for (int i = 0; i < 4; i++)
		ad.bytes[CHECKPOINT_HEAD + i] = (uint8_t)(number >> (8 * i));
	return ad;
}

static enum err_code seal_segment(void *ctx, struct span plain, struct err *e)
{
	struct sealing *s = ctx;
	struct segment_ad ad = segment_ad(s->out->ptr, s->count++);
	struct wr w = wr_to(s->out, e);
	size_t at;
	enum err_code rc;

	wr_u32(&w, (uint32_t)(plain.len + BOX_OVERHEAD));
	rc = wr_end(&w);
	at = s->out->len;
	if (!rc)
		rc = box_seal(s->l->keys, BOX_LEDGER, s->epoch, span_of(ad.bytes, sizeof ad.bytes), plain, s->out, e);
	if (!rc)
		chain_add(s->chain, span_of(s->out->ptr + at, s->out->len - at));
	return rc;
}

/* Segments of nothing up to the length that Padmé gives: how much there is in it is nobody's business. */
static enum err_code seal_padding(struct sealing *s, struct err *e)
{
	size_t end = 4 + SIGNATURE_BYTES, each = 4 + BOX_OVERHEAD + 1;
	uint64_t want = padme(s->out->len + end + each, CHECKPOINT_FLOOR);
	struct buf plain = BUF_WITH_MAX(FOLD_SEGMENT_MAX);
	enum err_code rc = ERR_OK;

	while (!rc && s->out->len + end + each <= want) {
		uint64_t zeros = want - s->out->len - end - each;
		struct wr w = wr_to(&plain, e);

		/* What is left for another one must be room for one. */
		if (zeros > FOLD_SEGMENT_TARGET)
			zeros = FOLD_SEGMENT_TARGET;
		buf_clear(&plain);
		wr_u8(&w, CHECKPOINT_PADDING);
		wr_zeros(&w, (size_t)zeros);
		rc = wr_end(&w);
		if (!rc)
			rc = seal_segment(s, buf_span(&plain), e);
	}
	buf_release(&plain);
	return rc;
}

static void signed_bytes(const struct repo_id *repo, const uint8_t chain[RECORD_HASH_BYTES], uint8_t out[SIGNED_BYTES])
{
	memcpy(out, "mailhold checkpoint 1", 21);
	memcpy(out + 21, repo->bytes, ID16_BYTES);
	memcpy(out + 21 + ID16_BYTES, chain, RECORD_HASH_BYTES);
}

static enum err_code object_encode(const struct ledger *l, struct buf *out, struct err *e)
{
	struct sealing s = { .l = l, .out = out, .epoch = keys_epoch(l->keys) };
	uint8_t message[SIGNED_BYTES], signature[SIGNATURE_BYTES];
	struct wr w = wr_to(out, e);
	enum err_code rc;

	wr_bytes(&w, CHECKPOINT_MAGIC);
	wr_u16(&w, CHECKPOINT_VERSION);
	wr_u16(&w, 0);
	wr_u32(&w, s.epoch);
	wr_bytes(&w, span_of(l->repo.bytes, sizeof l->repo.bytes));
	wr_u64(&w, l->head.number);
	wr_bytes(&w, span_of(l->head.hash, sizeof l->head.hash));
	wr_u64(&w, (uint64_t)l->head.time_ms);
	rc = wr_end(&w);
	if (!rc)
		crypto_digest(buf_span(out), s.chain, sizeof s.chain);
	if (!rc)
		rc = fold_save(&l->fold, seal_segment, &s, e);
	if (!rc)
		rc = seal_padding(&s, e);
	signed_bytes(&l->repo, s.chain, message);
	if (!rc)
		rc = keys_root_sign(l->keys, span_of(message, sizeof message), signature, e);
	w = wr_to(out, e);
	wr_u32(&w, 0);
	wr_bytes(&w, span_of(signature, sizeof signature));
	return rc ? rc : wr_end(&w);
}

/* ---- reading ---- */

/* The next segment's box; empty at the end. */
static struct span rd_box(struct rd *r)
{
	uint32_t bytes = rd_u32(r);

	if (bytes && (bytes <= BOX_OVERHEAD || bytes > BOX_MAX))
		r->bad = true;
	return rd_take(r, r->bad ? 0 : bytes);
}

/* Is all of OBJECT as the root key signed it? Nothing of it is opened before that. */
static bool is_signed(const struct ledger *l, struct span object)
{
	struct rd r = rd_of(span_skip(object, CHECKPOINT_HEAD));
	uint8_t chain[RECORD_HASH_BYTES], message[SIGNED_BYTES], signature[SIGNATURE_BYTES];
	struct span box;

	crypto_digest(span_first(object, CHECKPOINT_HEAD), chain, sizeof chain);
	for (box = rd_box(&r); !r.bad && box.len; box = rd_box(&r))
		chain_add(chain, box);
	rd_copy(&r, signature, sizeof signature);
	signed_bytes(&l->repo, chain, message);
	return rd_done(&r) && sign_verify(keys_root_public(l->keys), span_of(message, sizeof message), signature);
}

static enum err_code read_head(const struct ledger *l, struct span object, uint32_t *epoch, struct ledger_head *out,
                               struct err *e)
{
	struct rd r = rd_of(object);
	struct span magic = rd_take(&r, CHECKPOINT_MAGIC.len), repo;
	unsigned version = rd_u16(&r), flags = rd_u16(&r);

	*epoch = rd_u32(&r);
	repo = rd_take(&r, ID16_BYTES);
	out->number = rd_u64(&r);
	rd_copy(&r, out->hash, sizeof out->hash);
	out->time_ms = (int64_t)rd_u64(&r);
	if (r.bad || !span_equal(magic, CHECKPOINT_MAGIC) || !span_equal(repo, span_of(l->repo.bytes, ID16_BYTES)))
		return err_set(e, ERR_CORRUPT, "it is no checkpoint of this repository");
	if (version != CHECKPOINT_VERSION || flags)
		return err_set(e, ERR_UNSUPPORTED, "it is of version %u, flags %u", version, flags);
	return ERR_OK;
}

static enum err_code load_segments(struct ledger *l, struct span object, uint32_t epoch, struct fold *f, struct err *e)
{
	struct rd r = rd_of(span_skip(object, CHECKPOINT_HEAD));
	unsigned last_kind = 0;
	struct buf plain = BUF_WITH_MAX(FOLD_SEGMENT_MAX);
	uint32_t number = 0;
	enum err_code rc = ERR_OK;

	for (struct span box = rd_box(&r); !rc && !r.bad && box.len; box = rd_box(&r)) {
		struct segment_ad ad = segment_ad(object.ptr, number++);

		buf_clear(&plain);
		rc = box_open(l->keys, BOX_LEDGER, epoch, span_of(ad.bytes, sizeof ad.bytes), box, &plain, e);
		if (!rc && plain.ptr[0] != CHECKPOINT_PADDING)
			rc = fold_load(f, &last_kind, buf_span(&plain), e);
	}
	if (!rc && !last_kind)
		rc = err_set(e, ERR_CORRUPT, "it is empty");
	buf_release(&plain);
	return rc;
}

/* F is empty, and stays so on failure. */
enum err_code checkpoint_decode(struct ledger *l, struct span object, struct fold *f, struct ledger_head *head,
                                struct err *e)
{
	uint32_t epoch;
	enum err_code rc = read_head(l, object, &epoch, head, e);

	if (!rc && !is_signed(l, object))
		rc = err_set(e, ERR_CORRUPT, "the root key did not sign it");
	if (!rc) {
		f->repo = l->repo;
		rc = load_segments(l, object, epoch, f, e);
	}
	if (!rc && (memcmp(f->init.root_public, keys_root_public(l->keys), sizeof f->init.root_public) != 0 ||
	            f->checkpoint_number > head->number))
		rc = err_set(e, ERR_CORRUPT, "it contradicts itself");
	if (rc)
		fold_release(f);
	return rc;
}

/* ---- names ---- */

struct checkpoint_path checkpoint_path(const struct checkpoint_payload *p)
{
	struct checkpoint_path path;
	int at = snprintf(path.text, sizeof path.text, "checkpoint/%016" PRIx64 "-", p->after);

	for (size_t i = 0; i < sizeof p->random; i++)
		at += snprintf(path.text + at, sizeof path.text - (size_t)at, "%02x", p->random[i]);
	return path;
}

static bool hex_value(const char *digits, size_t count, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < count; i++) {
		const char *at = digits[i] ? strchr("0123456789abcdef", digits[i]) : NULL;

		if (!at)
			return false;
		*out = *out << 4 | (uint64_t)(at - "0123456789abcdef") % 16;
	}
	return true;
}

/* The number in the name of an object; false when it is none of ours. */
static bool number_of(const char *name, uint64_t *out)
{
	static const char prefix[] = "checkpoint/";
	size_t len = strlen(prefix);

	return strlen(name) == len + 16 + 1 + 32 && !strncmp(name, prefix, len) && name[len + 16] == '-' &&
	       hex_value(name + len, 16, out);
}

/* ---- finding one ---- */

struct found {
	char name[CHECKPOINT_TRIES][80]; /* newest first */
	uint64_t number[CHECKPOINT_TRIES];
	size_t count;
	uint64_t not_after;
};

static enum err_code note_name(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct found *f = ctx;
	uint64_t number;
	size_t at = 0;

	(void)e;
	if (!number_of(name, &number) || number > f->not_after || bytes > CHECKPOINT_BYTES_MAX)
		return ERR_OK;
	while (at < f->count && f->number[at] >= number)
		at++;
	if (at == CHECKPOINT_TRIES)
		return ERR_OK;
	f->count += f->count < CHECKPOINT_TRIES;
	for (size_t i = f->count - 1; i > at; i--) {
		memcpy(f->name[i], f->name[i - 1], sizeof f->name[i]);
		f->number[i] = f->number[i - 1];
	}
	snprintf(f->name[at], sizeof f->name[at], "%s", name);
	f->number[at] = number;
	return ERR_OK;
}

static bool is_unusable(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED || rc == ERR_WRONG_KEY || rc == ERR_NOT_FOUND ||
	       rc == ERR_LIMIT;
}

static enum err_code load_one(struct ledger *l, const char *name, uint64_t number, struct fold *f,
                              struct ledger_head *head, struct err *e)
{
	struct buf object = BUF_WITH_MAX(CHECKPOINT_BYTES_MAX);
	enum err_code rc = store_get(l->store, name, CHECKPOINT_BYTES_MAX, &object, e);

	if (!rc)
		rc = checkpoint_decode(l, buf_span(&object), f, head, e);
	if (!rc && head->number != number) {
		fold_release(f);
		rc = err_set(e, ERR_CORRUPT, "it is of record %" PRIu64, head->number);
	}
	buf_release(&object);
	return rc;
}

/* Fills L from the newest one that can be believed. Nothing usable is no failure: L stays empty. */
static enum err_code load_newest(struct ledger *l, uint64_t not_after, struct err *e)
{
	struct found found = { .not_after = not_after };
	enum err_code rc = store_list(l->store, "checkpoint", note_name, &found, e);

	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	for (size_t i = 0; !rc && i < found.count; i++) {
		struct ledger_head head;

		rc = load_one(l, found.name[i], found.number[i], &l->fold, &head, e);
		if (!rc) {
			l->head = head;
			l->next = head.number + 1;
			l->from_checkpoint = true;
			l->base = head.number;
			return ERR_OK;
		}
		/* Another prune took it away, or it is damaged: the records say the same, only slower. */
		if (is_unusable(rc)) {
			/* Who has to take keys of a later epoch out of the ledger first cannot begin behind them. */
			if (rc != ERR_WRONG_KEY)
				ledger_tell(l, 0, NULL, "%s cannot be used (%s); reading older ledger records instead",
				            found.name[i], e->text);
			rc = ERR_OK;
		}
	}
	return rc;
}

/*
 * The store must hold the very record that it follows. One that is gone shows that the store went back; one that
 * changed may have rotted since, and is for those who read all to judge.
 */
static enum err_code check_base(struct ledger *l, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	enum err_code rc = ledger_fetch(l, l->base, hash, e);

	if (rc == ERR_NOT_FOUND)
		return err_set(e, ERR_FORKED,
		               "the store went back: ledger record %" PRIu64 ", which a checkpoint follows, is gone",
		               l->base);
	if (!rc && memcmp(hash, l->head.hash, sizeof hash) != 0) {
		ledger_tell(l, 0, NULL,
		            "ledger record %" PRIu64 " is not the one that the checkpoint follows; reading all records",
		            l->base);
		ledger_reset(l);
	}
	return rc;
}

enum err_code checkpoint_open(struct ledger *l, uint64_t not_after, struct err *e)
{
	enum err_code rc = load_newest(l, not_after, e);

	if (!rc && l->next)
		rc = check_base(l, e);
	if (!rc && l->next)
		rc = ledger_look_for_mended(l, e);
	return rc ? err_note(e, "while looking for a checkpoint of the ledger") : ERR_OK;
}

/* ---- making one ---- */

static bool is_due(const struct ledger *l)
{
	return l->head.number - l->fold.checkpoint_number >= l->checkpoint_every;
}

static enum err_code decide_checkpoint(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	if (!is_due(l))
		return err_set(e, ERR_EXISTS, "somebody else made a checkpoint");
	return checkpoint_payload_encode(ctx, payload, e);
}

/* A wrong one would mislead whoever begins from it: it is read back as they would before anybody can see it. */
static enum err_code check_encoded(struct ledger *l, struct span object, struct err *e)
{
	struct fold again = { 0 };
	struct ledger_head head;
	uint8_t ours[16], theirs[16];
	enum err_code rc = checkpoint_decode(l, object, &again, &head, e);

	if (!rc)
		rc = fold_digest(&l->fold, ours, e);
	if (!rc)
		rc = fold_digest(&again, theirs, e);
	if (!rc && memcmp(ours, theirs, sizeof ours) != 0)
		rc = err_set(e, ERR_CORRUPT, "the checkpoint does not open to what was sealed");
	fold_release(&again);
	return rc;
}

static enum err_code make(struct ledger *l, struct err *e)
{
	struct checkpoint_payload p = { .after = l->head.number };
	struct buf object = BUF_WITH_MAX(CHECKPOINT_BYTES_MAX);
	enum err_code rc = ledger_make_durable(l, e);

	crypto_random(p.random, sizeof p.random);
	if (!rc)
		rc = object_encode(l, &object, e);
	if (!rc)
		rc = check_encoded(l, buf_span(&object), e);
	if (!rc)
		rc = store_put(l->store, checkpoint_path(&p).text, buf_span(&object), e);
	p.bytes = object.len;
	crypto_digest(buf_span(&object), p.hash, sizeof p.hash);
	buf_release(&object);
	if (!rc)
		rc = ledger_append(l, RECORD_CHECKPOINT, decide_checkpoint, &p, NULL, e);
	return rc == ERR_EXISTS ? ERR_OK : rc;
}

enum err_code ledger_checkpoint(struct ledger *l, bool *made, struct err *e)
{
	uint64_t before = l->fold.checkpoint_number;
	enum err_code rc = ERR_OK;

	*made = false;
	if (keys_role(l->keys) != ROLE_FULL || !ledger_we_are_full(l) || !is_due(l) || l->fold.doubt_count ||
	    l->fold.unknown_count)
		return ERR_OK;
	rc = make(l, e);
	*made = l->fold.checkpoint_number != before;
	return rc ? err_note(e, "while making a checkpoint of the ledger") : ERR_OK;
}

/* ---- looking after them ---- */

/* What the newest CHECKPOINT record names. ERR_NOT_FOUND: there is none, or it is none of this version's. */
static enum err_code named(struct ledger *l, struct checkpoint_payload *out, int64_t *time_ms, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	struct record_signature signature;
	struct record r;
	uint64_t number = l->fold.checkpoint_number;
	enum err_code rc = number ? ledger_fetch(l, number, hash, e) : err_set(e, ERR_NOT_FOUND, "no checkpoint");

	if (!rc)
		rc = record_open(l->keys, number, buf_span(&l->stored), &l->plain, &r, &signature, e);
	if (!rc && memcmp(hash, l->fold.checkpoint_hash, sizeof hash) != 0)
		rc = err_set(e, ERR_CORRUPT, "ledger record %" PRIu64 " has changed", number);
	if (!rc)
		rc = checkpoint_payload_decode(r.payload, out, e);
	if (rc)
		return is_unusable(rc) ? err_set(e, ERR_NOT_FOUND, "no checkpoint") : rc;
	*time_ms = r.time_ms;
	return ERR_OK;
}

struct sweep {
	uint64_t after; /* what is older goes */
	struct buf names;
};

static enum err_code note_old(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct sweep *s = ctx;
	uint64_t number;

	(void)bytes;
	if (!number_of(name, &number) || number >= s->after)
		return ERR_OK;
	return buf_append(&s->names, span_of(name, strlen(name) + 1), e);
}

enum err_code ledger_checkpoint_sweep(struct ledger *l, int64_t before_ms, struct err *e)
{
	struct checkpoint_payload p;
	struct sweep s = { 0, BUF_EMPTY };
	int64_t time_ms;
	uint64_t bytes;
	enum err_code rc = named(l, &p, &time_ms, e);

	/* Only one that is there replaces others, and who reads an older one is given time. */
	if (!rc && time_ms <= before_ms)
		rc = store_size(l->store, checkpoint_path(&p).text, &bytes, e);
	else if (!rc)
		return ERR_OK;
	s.after = p.after;
	if (!rc && bytes == p.bytes)
		rc = store_list(l->store, "checkpoint", note_old, &s, e);
	for (size_t at = 0; !rc && at < s.names.len; at += strlen((const char *)s.names.ptr + at) + 1)
		rc = store_delete(l->store, (const char *)s.names.ptr + at, e);
	buf_release(&s.names);
	return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

struct checking {
	struct ledger *l;
	uint64_t newest; /* number in the name of the newest object that can be believed */
	char name[80];
	bool any;
	ledger_problem problem;
	void *ctx;
};

static void report(const struct checking *c, enum err_code code, const char *name, const char *why)
{
	struct err what = { 0 };

	err_set(&what, code, "%s %s", name, why);
	c->problem(c->ctx, c->l->head.number, &what);
}

static enum err_code check_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct checking *c = ctx;
	uint64_t number;

	(void)bytes;
	(void)e;
	if (number_of(name, &number) && number <= c->l->head.number && (!c->any || number >= c->newest)) {
		c->any = true;
		c->newest = number;
		snprintf(c->name, sizeof c->name, "%s", name);
	}
	return ERR_OK;
}

enum err_code checkpoint_check(struct ledger *l, struct ledger *again, ledger_fold_to fold_to, ledger_problem problem,
                               void *ctx, struct err *e)
{
	struct checking c = { .l = l, .problem = problem, .ctx = ctx };
	struct checkpoint_payload p;
	struct fold f = { 0 };
	struct ledger_head head;
	uint8_t ours[16], theirs[16];
	int64_t time_ms;
	uint64_t bytes;
	enum err_code rc = named(l, &p, &time_ms, e);

	if (!rc && store_size(l->store, checkpoint_path(&p).text, &bytes, e) == ERR_NOT_FOUND)
		report(&c, ERR_NOT_FOUND, checkpoint_path(&p).text,
		       "is missing; nothing is lost, only opening is slower");
	if (!rc || rc == ERR_NOT_FOUND)
		rc = store_list(l->store, "checkpoint", check_one, &c, e);
	if (rc || !c.any)
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	rc = load_one(l, c.name, c.newest, &f, &head, e);
	if (is_unusable(rc)) {
		report(&c, rc, c.name, e->text);
		return ERR_OK;
	}
	if (!rc)
		rc = fold_to(again, head.number + 1, e);
	if (!rc && again->next == head.number + 1 && !again->fold.doubt_count && !again->fold.unknown_count) {
		rc = fold_digest(&f, ours, e);
		if (!rc)
			rc = fold_digest(&again->fold, theirs, e);
		if (!rc && (memcmp(ours, theirs, sizeof ours) != 0 ||
		            memcmp(head.hash, again->head.hash, sizeof head.hash) != 0))
			report(&c, ERR_CORRUPT, c.name, "is not what the records add up to");
	}
	fold_release(&f);
	return rc;
}
