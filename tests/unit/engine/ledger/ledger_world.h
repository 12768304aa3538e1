/*
 * ledger_world: one repository in a temporary folder, what its ledger told, and steps of any history. Include after
 * cmocka.h.
 */
#ifndef MAILHOLD_TESTS_ENGINE_LEDGER_WORLD_H
#define MAILHOLD_TESTS_ENGINE_LEDGER_WORLD_H

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/wr.h"
#include "engine/ledger/ledger_internal.h"

/* One repository in a temporary folder, and what its ledger told. */
struct world {
	char folder[64], url[80], cache[80];
	struct keys *keys;
	struct store *store;
	int notices;
	char last[1400];
};

static struct err err;

static inline void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static inline void on_notice(void *ctx, const char *text)
{
	struct world *w = ctx;

	w->notices++;
	snprintf(w->last, sizeof w->last, "%s", text);
}

static inline struct world world_new(void)
{
	const char *tmp = getenv("TMPDIR");
	struct world w = { .notices = 0 };

	snprintf(w.folder, sizeof w.folder, "%.30s/mailhold-ledger-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w.folder));
	snprintf(w.url, sizeof w.url, "%s/store", w.folder);
	snprintf(w.cache, sizeof w.cache, "%s/cache", w.folder);
	ok(crypto_start(&err));
	ok(keys_new(&w.keys, &err));
	ok(store_create(w.url, &w.store, &err));
	ok(ledger_create(w.store, w.keys, 1, 2, &err));
	return w;
}

static inline void world_end(struct world *w)
{
	store_free(&w->store);
	keys_free(&w->keys);
	ok(file_remove_tree(w->folder, &err));
}

static inline struct ledger *ledger_of(struct world *w, const char *cache)
{
	struct ledger *l = NULL;

	ok(ledger_open(w->store, w->keys, cache, on_notice, w, &l, &err));
	return l;
}

static inline struct snapshot_entry entry_new(void)
{
	struct snapshot_entry s = { .time_ms = 1700000000000, .zone_minutes = 60, .item_count = 3, .item_bytes = 999 };

	crypto_random(s.id.bytes, sizeof s.id.bytes);
	crypto_random(s.spine_root.bytes, sizeof s.spine_root.bytes);
	memset(s.account.bytes, 7, sizeof s.account.bytes);
	s.sealed = SPAN_LIT("sealed details of a snapshot");
	return s;
}

static inline struct pack_added pack_new(uint64_t session)
{
	struct pack_added p = { .name.session = session, .bytes = 12345 };

	crypto_random(p.name.random, sizeof p.name.random);
	crypto_random(p.header_hash, sizeof p.header_hash);
	return p;
}

/* Commits one pack and one snapshot in a session of their own. */
static inline struct snapshot_entry commit_one(struct ledger *l, uint32_t *ordinal)
{
	struct snapshot_entry s = entry_new();
	struct commit c = { .end_session = true, .added_count = 1, .snapshots = &s, .snapshot_count = 1 };
	struct pack_added p;
	uint64_t number;

	ok(ledger_open_session(l, &c.session, &err));
	p = pack_new(c.session);
	c.added = &p;
	ok(ledger_commit(l, &c, &number, &err));
	assert_true(ledger_pack_find(l, &p.name, ordinal));
	return s;
}

static inline void append_session(struct ledger *l, enum record_kind kind, uint64_t session)
{
	struct buf payload = BUF_EMPTY;

	ok(session_encode(session, &payload, &err));
	ok(ledger_append_bytes(l, kind, buf_span(&payload), NULL, &err));
	buf_release(&payload);
}

static inline enum err_code append_ordinal(struct ledger *l, enum record_kind kind, uint32_t ordinal)
{
	struct buf payload = BUF_EMPTY;
	enum err_code rc;

	ok(ordinals_encode(&ordinal, 1, &payload, &err));
	rc = ledger_append_bytes(l, kind, buf_span(&payload), NULL, &err);
	buf_release(&payload);
	return rc;
}

static inline void same_fold(const struct ledger *a, const struct ledger *b)
{
	uint8_t one[16], two[16];

	ok(fold_digest(&a->fold, one, &err));
	ok(fold_digest(&b->fold, two, &err));
	assert_memory_equal(one, two, sizeof one);
	assert_int_equal(a->head.number, b->head.number);
	assert_memory_equal(a->head.hash, b->head.hash, sizeof a->head.hash);
}

/* Appends a record that no honest writer would make: R's number, chain and holder are filled in where they are zero. */
static inline void put_raw(struct world *w, const struct keys *keys, struct record *r)
{
	struct ledger *l = ledger_of(w, NULL);
	struct buf bytes = BUF_EMPTY;

	if (!r->number)
		r->number = l->next;
	r->epoch = keys_epoch(keys);
	r->holder = keys_holder(keys);
	memcpy(r->prev_hash, l->head.hash, sizeof r->prev_hash);
	ok(record_seal(keys, r, &bytes, &err));
	ok(store_put(w->store, record_path(r->number).text, buf_span(&bytes), &err));
	buf_release(&bytes);
	ledger_free(&l);
}

static inline uint64_t dice(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static inline struct snapshot_id any_snapshot(struct ledger *l, uint64_t *seed)
{
	struct snapshot_id none = { { 0 } };
	size_t count = ledger_snapshot_count(l);

	return count ? ledger_snapshot(l, dice(seed) % count)->entry.id : none;
}

static inline enum err_code any_commit(struct ledger *l, uint64_t *seed)
{
	struct snapshot_entry s = entry_new();
	struct commit c = { .snapshots = &s, .snapshot_count = dice(seed) % 2, .end_session = dice(seed) % 2 };
	struct pack_added packs[3];
	uint32_t against = (uint32_t)(dice(seed) % (ledger_pack_count(l) + 1));

	c.session = l->next ? dice(seed) % l->next : 0;
	if (l->fold.session_count && dice(seed) % 4)
		c.session = l->fold.sessions[l->fold.session_count - 1].number;
	c.added_count = dice(seed) % 4;
	for (size_t i = 0; i < c.added_count; i++)
		packs[i] = pack_new(c.session);
	c.added = packs;
	c.against = &against;
	c.against_count = dice(seed) % 2;
	s.flags = dice(seed) % 2 ? SNAPSHOT_PARTIAL : 0;
	if (dice(seed) % 2)
		s.base = any_snapshot(l, seed);
	if (dice(seed) % 2)
		s.replaces = any_snapshot(l, seed);
	return ledger_commit(l, &c, NULL, &err);
}

static inline enum err_code any_hold(struct ledger *l, uint64_t *seed)
{
	struct hold_payload p = { .query = dice(seed) % 3 == 0, .epoch = 1, .sealed = SPAN_LIT("why it is held") };
	struct snapshot_id id = any_snapshot(l, seed);
	struct account_id account;

	crypto_random(p.id.bytes, sizeof p.id.bytes);
	memset(account.bytes, dice(seed) % 2 ? 7 : 8, sizeof account.bytes);
	p.accounts = &account;
	p.account_count = p.query ? dice(seed) % 2 : dice(seed) % 4 == 0;
	p.snapshots = &id;
	p.snapshot_count = p.query || p.account_count ? 0 : 1;
	if (dice(seed) % 2 && l->fold.hold_count)
		return ledger_hold_release(l, &l->fold.holds[dice(seed) % l->fold.hold_count].hold.id, &err);
	return ledger_hold_add(l, &p, &err);
}

static inline enum err_code any_step(struct ledger *l, uint64_t *seed)
{
	static const enum record_kind marks[] = { RECORD_FORGET, RECORD_UNFORGET, RECORD_PIN, RECORD_UNPIN };
	struct snapshot_id id = any_snapshot(l, seed);
	uint64_t session;
	size_t count;

	switch (dice(seed) % 10) {
	case 0:
		return ledger_open_session(l, &session, &err);
	case 1:
		return ledger_mark(l, marks[dice(seed) % 4], &id, 1, &err);
	case 2:
		return append_ordinal(l, RECORD_CONDEMN, (uint32_t)(dice(seed) % (ledger_pack_count(l) + 1)));
	case 3:
		return append_ordinal(l, RECORD_DROP, (uint32_t)(dice(seed) % (ledger_pack_count(l) + 1)));
	case 4:
		return any_hold(l, seed);
	case 5:
		return ledger_expire(l, dice(seed) % 2 ? INT64_MAX : 0, &count, &err);
	default:
		return any_commit(l, seed);
	}
}

#endif
