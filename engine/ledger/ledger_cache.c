/*
 * The cache of folded records. It spares reading and verifying every record in every run, and pins the head. It is read
 * in one pass and only ever appended to, so a run that adds a record writes that record, not the history. Whatever does
 * not open ends the reading there: what was folded up to that place is good (and the pin is compared with the store),
 * the rest comes from the store.
 * Order: docs/order.md, rules 7 and 10.
 */
#include "engine/ledger/ledger_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"

#define CACHE_MAGIC             SPAN_LIT("mhlcache")
#define CACHE_VERSION           1
#define CACHE_HEADER_BYTES      32
#define SEGMENT_HEAD_BYTES      16
#define SEGMENT_FLUSH_BYTES     MIB
#define SEGMENT_BYTES_MAX       (SEGMENT_FLUSH_BYTES + RECORD_BYTES_MAX + 64 * KIB)
#define ENTRIES_PER_SEGMENT_MAX (SEGMENT_BYTES_MAX / 41)
#define READ_AHEAD_BYTES        (256 * KIB)
#define CACHE_STATE_COUNT       UINT32_MAX
enum { CACHE_STATE_PART = 1, CACHE_STATE_END = 2 };

static enum err_code header_encode(const struct ledger *l, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_bytes(&w, CACHE_MAGIC);
	wr_u16(&w, CACHE_VERSION);
	wr_u16(&w, FOLD_VERSION);
	wr_u32(&w, 0);
	wr_bytes(&w, span_of(l->repo.bytes, sizeof l->repo.bytes));
	return wr_end(&w);
}

/* ---- reading ---- */

/* Folds one entry. An entry that was seen already (two processes wrote it) is decoded and passed over. */
static enum err_code entry_take(struct ledger *l, struct rd *r, uint64_t number, struct err *e)
{
	struct record record = { .number = number };
	uint8_t hash[RECORD_HASH_BYTES];
	unsigned status = rd_u8(r);
	enum err_code rc;

	rd_copy(r, hash, sizeof hash);
	record.time_ms = (int64_t)rd_u64(r);
	if (status == TAKE_LEGAL || status == TAKE_UNKNOWN) {
		record.kind = rd_u16(r);
		rd_copy(r, record.holder.bytes, sizeof record.holder.bytes);
		record.payload = rd_blob(r, RECORD_BYTES_MAX);
	}
	if (r->bad || status < TAKE_LEGAL || status > TAKE_UNKNOWN)
		return err_set(e, ERR_CORRUPT, "the cached ledger record %" PRIu64 " makes no sense", number);
	if (number < l->next)
		return ERR_OK;
	/* It was compared when the record was judged. */
	record.checkpoint_number = l->fold.checkpoint_number;
	memcpy(record.checkpoint_hash, l->fold.checkpoint_hash, sizeof record.checkpoint_hash);
	rc = ledger_advance(l, (enum take_status)status, &record, hash, e);
	return rc ? rc : ledger_grow_keys(l, e);
}

/* A part of the fold itself, or its end, from which on there are records. */
static enum err_code state_take(struct ledger *l, struct rd *r, struct err *e)
{
	unsigned what = rd_u8(r);

	if (l->next || (what != CACHE_STATE_PART && (what != CACHE_STATE_END || !l->cache.state_kind)))
		return err_set(e, ERR_CORRUPT, "a cached fold of the ledger makes no sense");
	if (what == CACHE_STATE_PART) {
		l->fold.repo = l->repo;
		return fold_load(&l->fold, &l->cache.state_kind, r->left, e);
	}
	l->head.number = rd_u64(r);
	rd_copy(r, l->head.hash, sizeof l->head.hash);
	l->head.time_ms = (int64_t)rd_u64(r);
	l->base = rd_u64(r);
	l->head_unreadable = rd_u8(r);
	if (!rd_done(r) || l->base > l->head.number)
		return err_set(e, ERR_CORRUPT, "the end of a cached fold of the ledger makes no sense");
	l->from_checkpoint = true;
	l->next = l->head.number + 1;
	return ledger_grow_keys(l, e);
}

static enum err_code segment_take(struct ledger *l, struct span plain, uint64_t first, struct err *e)
{
	struct rd r = rd_of(plain);
	uint32_t count = rd_u32(&r);
	uint64_t durable = rd_u64(&r);
	enum err_code rc = ERR_OK;

	if (!r.bad && count == CACHE_STATE_COUNT) {
		rc = state_take(l, &r, e);
		if (!rc && l->next)
			l->durable = durable <= l->next ? durable : 0;
		return rc;
	}
	if (r.bad || count > ENTRIES_PER_SEGMENT_MAX || first > l->next)
		return err_set(e, ERR_CORRUPT, "a segment of the cached ledger makes no sense");
	for (uint32_t i = 0; i < count && !rc; i++)
		rc = entry_take(l, &r, first + i, e);
	if (!rc && !rd_done(&r))
		rc = err_set(e, ERR_CORRUPT, "a segment of the cached ledger is too long");
	if (!rc && durable > l->durable && durable <= l->next)
		l->durable = durable;
	/* A VOID that mattered made the whole fold begin again when it was read; here it says nothing new. */
	l->fold.has_void_wanted = false;
	return rc;
}

/* Reads and folds one segment. ERR_NOT_FOUND: the file ends here, cleanly. ERR_CORRUPT: from here on it is damaged. */
static enum err_code segment_read(struct ledger *l, FILE *file, struct buf *ad, struct buf *sealed, struct err *e)
{
	uint8_t head[SEGMENT_HEAD_BYTES] = { 0 };
	struct rd r = rd_of(span_of(head, sizeof head));
	size_t got = fread(head, 1, sizeof head, file);
	uint32_t bytes, epoch;
	uint64_t first;
	uint8_t *at;
	enum err_code rc;

	if (got == 0)
		return ERR_NOT_FOUND;
	bytes = rd_u32(&r);
	epoch = rd_u32(&r);
	first = rd_u64(&r);
	if (got < sizeof head || bytes < BOX_OVERHEAD || bytes > SEGMENT_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "a segment of %" PRIu32 " bytes", bytes);
	buf_clear(sealed);
	rc = buf_extend(sealed, bytes, &at, e);
	if (rc)
		return rc;
	if (fread(at, 1, bytes, file) != bytes)
		return err_set(e, ERR_CORRUPT, "a segment is cut short");
	ad->len = CACHE_HEADER_BYTES;
	rc = buf_append(ad, span_of(head + 4, sizeof head - 4), e);
	buf_clear(&l->plain);
	if (!rc)
		rc = box_open(l->keys, BOX_CACHE, epoch, buf_span(ad), buf_span(sealed), &l->plain, e);
	if (rc)
		return rc;
	/* From here on a failure is one of meaning, and may leave half of a record in the fold. */
	l->cache.torn = true;
	rc = segment_take(l, buf_span(&l->plain), first, e);
	if (rc)
		return rc;
	l->cache.torn = false;
	l->cache.good += SEGMENT_HEAD_BYTES + bytes;
	return ERR_OK;
}

/* ERR_CORRUPT or ERR_UNSUPPORTED with a reason when the file is not ours to use. */
static enum err_code file_take(struct ledger *l, FILE *file, struct err *e)
{
	struct buf ad = BUF_EMPTY, sealed = BUF_WITH_MAX(SEGMENT_BYTES_MAX);
	uint8_t head[CACHE_HEADER_BYTES];
	enum err_code rc;

	rc = header_encode(l, &ad, e);
	if (rc)
		goto done;
	if (fread(head, 1, sizeof head, file) != sizeof head || memcmp(head, ad.ptr, sizeof head) != 0) {
		rc = err_set(e, ERR_UNSUPPORTED, "it is of another version or repository");
		goto done;
	}
	l->cache.fresh = false;
	l->cache.good = sizeof head;
	do
		rc = segment_read(l, file, &ad, &sealed, e);
	while (!rc);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_OK;
done:
	buf_release(&ad);
	buf_release(&sealed);
	return rc;
}

enum err_code cache_load(struct ledger *l, struct err *e)
{
	FILE *file = fopen(l->cache.path, "rbe");
	enum err_code rc;

	if (!file) {
		if (errno != ENOENT)
			ledger_tell(l, 0, NULL, "the cached ledger %s cannot be read; reading all", l->cache.path);
		return ERR_OK;
	}
	l->plain.max = SEGMENT_BYTES_MAX;
	(void)setvbuf(file, NULL, _IOFBF, READ_AHEAD_BYTES);
	rc = file_take(l, file, e);
	fclose(file);
	/* Nothing in it, or a fold whose end was never written. */
	if (!rc && l->next == 0)
		ledger_reset(l);
	if (!rc || rc == ERR_NO_MEMORY)
		return rc;
	ledger_tell(l, 0, NULL,
	            "the cached ledger %s is not usable from record %" PRIu64 " on (%s); reading the rest again",
	            l->cache.path, l->next, e->text);
	l->cache.cut = true;
	if (l->cache.torn || l->next == 0)
		ledger_reset(l);
	return ERR_OK;
}

/* ---- writing ---- */

void cache_note(struct ledger *l, enum take_status status, const struct record *r,
                const uint8_t hash[RECORD_HASH_BYTES])
{
	struct ledger_cache *c = &l->cache;
	struct err e = { 0 };
	struct wr w = wr_to(&c->entries, &e);

	if (!c->path)
		return;
	if (c->count == 0)
		c->first = r->number;
	wr_u8(&w, (uint8_t)status);
	wr_bytes(&w, span_of(hash, RECORD_HASH_BYTES));
	wr_u64(&w, (uint64_t)r->time_ms);
	if (status == TAKE_LEGAL || status == TAKE_UNKNOWN) {
		wr_u16(&w, r->kind);
		wr_bytes(&w, span_of(r->holder.bytes, sizeof r->holder.bytes));
		wr_blob(&w, r->payload);
	}
	if (wr_end(&w)) {
		ledger_tell(l, 0, NULL, "the ledger is not cached: %s", e.text);
		cache_release(c);
		return;
	}
	c->count++;
	if (c->entries.len >= SEGMENT_FLUSH_BYTES)
		cache_flush(l);
}

/* COUNT entries, the first of which is record FIRST. */
static enum err_code segment_encode(struct ledger *l, uint32_t count, uint64_t first, struct span entries,
                                    struct buf *out, struct err *e)
{
	struct buf ad = BUF_EMPTY, plain = BUF_WITH_MAX(SEGMENT_BYTES_MAX), sealed = BUF_WITH_MAX(SEGMENT_BYTES_MAX);
	uint32_t epoch = FOLD_FIRST_EPOCH; /* later ones come out of what is in here */
	struct wr w = wr_to(&plain, e);
	enum err_code rc;

	wr_u32(&w, count);
	wr_u64(&w, l->durable);
	wr_bytes(&w, entries);
	rc = wr_end(&w);
	if (!rc)
		rc = header_encode(l, &ad, e);
	w = wr_to(&ad, e);
	wr_u32(&w, epoch);
	wr_u64(&w, first);
	if (!rc)
		rc = wr_end(&w);
	if (!rc)
		rc = box_seal(l->keys, BOX_CACHE, epoch, buf_span(&ad), buf_span(&plain), &sealed, e);
	w = wr_to(out, e);
	wr_u32(&w, (uint32_t)sealed.len);
	wr_bytes(&w, span_skip(buf_span(&ad), CACHE_HEADER_BYTES));
	wr_bytes(&w, buf_span(&sealed));
	if (!rc)
		rc = wr_end(&w);
	buf_release(&ad);
	buf_release(&plain);
	buf_release(&sealed);
	return rc;
}

/* Appends in one write, so that two processes do not mix. Nothing is synced: losing it costs a longer start. */
static enum err_code segment_write(struct ledger_cache *c, struct span bytes, struct err *e)
{
	int fd = open(c->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	enum err_code rc = ERR_OK;

	if (fd < 0)
		return err_sys(e, errno, "%s", c->path);
	if (c->cut && ftruncate(fd, (off_t)c->good) != 0)
		rc = err_sys(e, errno, "%s", c->path);
	if (!rc)
		rc = file_write(fd, c->path, bytes, e);
	if (close(fd) != 0 && !rc)
		rc = err_sys(e, errno, "%s", c->path);
	c->cut = false;
	return rc;
}

static enum err_code write_state(struct ledger *l, struct span part, struct err *e)
{
	struct buf bytes = BUF_WITH_MAX(SEGMENT_BYTES_MAX);
	enum err_code rc = segment_encode(l, CACHE_STATE_COUNT, 0, part, &bytes, e);

	if (!rc)
		rc = segment_write(&l->cache, buf_span(&bytes), e);
	buf_release(&bytes);
	return rc;
}

static enum err_code write_state_part(void *ctx, struct span segment, struct err *e)
{
	struct buf part = BUF_WITH_MAX(FOLD_SEGMENT_MAX + 1);
	struct wr w = wr_to(&part, e);
	enum err_code rc;

	wr_u8(&w, CACHE_STATE_PART);
	wr_bytes(&w, segment);
	rc = wr_end(&w);
	if (!rc)
		rc = write_state(ctx, buf_span(&part), e);
	buf_release(&part);
	return rc;
}

/* The fold as it is at the head, for a file that begins without records. */
static enum err_code state_write(struct ledger *l, struct err *e)
{
	struct buf end = BUF_EMPTY;
	struct wr w = wr_to(&end, e);
	enum err_code rc = fold_save(&l->fold, write_state_part, l, e);

	wr_u8(&w, CACHE_STATE_END);
	wr_u64(&w, l->head.number);
	wr_bytes(&w, span_of(l->head.hash, sizeof l->head.hash));
	wr_u64(&w, (uint64_t)l->head.time_ms);
	wr_u64(&w, l->base);
	wr_u8(&w, l->head_unreadable);
	if (!rc)
		rc = wr_end(&w);
	if (!rc)
		rc = write_state(l, buf_span(&end), e);
	buf_release(&end);
	return rc;
}

static enum err_code entries_write(struct ledger *l, struct err *e)
{
	struct ledger_cache *c = &l->cache;
	struct buf bytes = BUF_WITH_MAX(SEGMENT_BYTES_MAX);
	enum err_code rc = segment_encode(l, c->count, c->count ? c->first : l->next, buf_span(&c->entries), &bytes, e);

	if (!rc)
		rc = segment_write(c, buf_span(&bytes), e);
	buf_release(&bytes);
	return rc;
}

void cache_flush(struct ledger *l)
{
	struct ledger_cache *c = &l->cache;
	struct buf head = BUF_EMPTY;
	struct err e = { 0 };
	bool state = c->fresh && l->from_checkpoint;
	enum err_code rc = ERR_OK;

	/* Of a fold that began at a checkpoint a newer version's records cannot be told again: it is not kept. */
	if (!c->path || (state && (l->fold.unknown_count || !l->next)) ||
	    (!c->count && !c->durable_changed && !c->cut && !state))
		return;
	/* The pin must never lead: a record that a power cut takes away again would look like a store that went back.
	 */
	rc = ledger_make_durable(l, &e);
	if (!rc && c->fresh) {
		rc = header_encode(l, &head, &e);
		if (!rc)
			rc = file_replace(c->path, buf_span(&head), 0600, false, &e);
		c->cut = false;
	}
	if (!rc)
		rc = state ? state_write(l, &e) : entries_write(l, &e);
	c->fresh = false;
	c->count = 0;
	c->durable_changed = false;
	buf_clear(&c->entries);
	buf_release(&head);
	if (rc) {
		ledger_tell(l, 0, NULL, "the ledger is not cached: %s", e.text);
		cache_release(c);
	}
}

void cache_release(struct ledger_cache *c)
{
	mem_free(c->path);
	buf_release(&c->entries);
	*c = (struct ledger_cache){ 0 };
}
