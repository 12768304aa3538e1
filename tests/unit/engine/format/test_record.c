#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/format/record.h"

static struct err err;
static struct keys *keys;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static int setup(void **state)
{
	(void)state;
	ok(crypto_start(&err));
	ok(keys_new(&keys, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(&keys);
	return 0;
}

static uint64_t seed_now(void)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;

	printf("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void is_hex(const struct buf *got, const char *want)
{
	char text[4096];

	assert_true(got->len * 2 < sizeof text);
	text_hex(buf_span(got), text);
	assert_string_equal(text, want);
}

/* Every shorter span of BYTES, and BYTES with one more behind, must be refused by DECODE. */
typedef enum err_code (*decoder)(struct span payload);
static void refuses_cuts(const struct buf *bytes, decoder decode)
{
	struct buf longer = BUF_EMPTY;

	ok(decode(buf_span(bytes)));
	for (size_t len = 0; len < bytes->len; len++) {
		uint8_t *cut = malloc(len ? len : 1);

		memcpy(cut, bytes->ptr, len);
		assert_int_equal(decode(span_of(cut, len)), ERR_CORRUPT);
		free(cut);
	}
	ok(buf_append(&longer, buf_span(bytes), &err));
	ok(buf_append(&longer, SPAN_LIT("\0"), &err));
	assert_int_equal(decode(buf_span(&longer)), ERR_CORRUPT);
	buf_release(&longer);
}

static struct record record_new(struct span payload)
{
	struct record r = { .number = 41, .epoch = keys_epoch(keys), .checkpoint_number = 7, .time_ms = 1700000000123 };

	memset(r.prev_hash, 1, sizeof r.prev_hash);
	memset(r.checkpoint_hash, 2, sizeof r.checkpoint_hash);
	r.holder = keys_holder(keys);
	r.kind = RECORD_COMMIT | RECORD_CRITICAL;
	r.payload = payload;
	return r;
}

static void a_record_opens_to_what_was_sealed(void **state)
{
	struct record r = record_new(SPAN_LIT("a payload")), got;
	struct buf stored = BUF_EMPTY, plain = BUF_EMPTY;
	struct record_signature signature;

	(void)state;
	ok(record_seal(keys, &r, &stored, &err));
	assert_int_equal(stored.len, 512);
	assert_memory_equal(stored.ptr, "mhledger\1\0\0\0\1\0\0\0", 16);
	assert_memory_equal(stored.ptr + 16, keys_repo(keys).bytes, 16);
	assert_memory_equal(stored.ptr + 32, "\51\0\0\0\0\0\0\0", 8);
	ok(record_open(keys, 41, buf_span(&stored), &plain, &got, &signature, &err));
	assert_true(sign_verify(keys_sign_public(keys), signature.message, signature.bytes));
	assert_true(span_equal(got.payload, r.payload));
	assert_int_equal(got.number, 41);
	assert_int_equal(got.epoch, r.epoch);
	assert_int_equal(got.kind, r.kind);
	assert_int_equal(got.time_ms, r.time_ms);
	assert_int_equal(got.checkpoint_number, 7);
	assert_memory_equal(got.prev_hash, r.prev_hash, sizeof r.prev_hash);
	assert_memory_equal(got.checkpoint_hash, r.checkpoint_hash, sizeof r.checkpoint_hash);
	assert_memory_equal(got.holder.bytes, r.holder.bytes, sizeof r.holder.bytes);
	/* The same record is never stored twice as the same bytes. */
	buf_clear(&plain);
	ok(record_seal(keys, &r, &plain, &err));
	assert_false(span_equal(buf_span(&plain), buf_span(&stored)));
	buf_release(&stored);
	buf_release(&plain);
}

static void the_signature_covers_domain_place_and_body(void **state)
{
	struct record r = record_new(SPAN_LIT("x")), got;
	struct buf stored = BUF_EMPTY, plain = BUF_EMPTY;
	struct record_signature signature;

	(void)state;
	ok(record_seal(keys, &r, &stored, &err));
	ok(record_open(keys, 41, buf_span(&stored), &plain, &got, &signature, &err));
	assert_int_equal(signature.message.len, 17 + 16 + 8 + (512 - 40 - 40 - 64));
	assert_memory_equal(signature.message.ptr, "mailhold ledger 1", 17);
	assert_memory_equal(signature.message.ptr + 17, keys_repo(keys).bytes, 16);
	assert_memory_equal(signature.message.ptr + 33, "\51\0\0\0\0\0\0\0", 8);
	assert_memory_equal(signature.message.ptr + 41, r.prev_hash, 32);
	buf_release(&stored);
	buf_release(&plain);
}

static void every_cut_and_flip_of_a_record_is_refused(void **state)
{
	struct record r = record_new(SPAN_LIT("a payload")), got;
	struct buf stored = BUF_EMPTY, plain = BUF_EMPTY;
	struct record_signature signature;
	enum err_code rc;

	(void)state;
	ok(record_seal(keys, &r, &stored, &err));
	for (size_t len = 0; len < stored.len; len++)
		assert_int_equal(
		        record_open(keys, 41, span_first(buf_span(&stored), len), &plain, &got, &signature, &err),
		        ERR_CORRUPT);
	for (size_t bit = 0; bit < stored.len * 8; bit++) {
		stored.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = record_open(keys, 41, buf_span(&stored), &plain, &got, &signature, &err);
		/* Version and flags may be a newer program's; another epoch is one that we have no keys for. */
		if (bit / 8 >= 8 && bit / 8 < 12)
			assert_int_equal(rc, ERR_UNSUPPORTED);
		else if (bit / 8 >= 12 && bit / 8 < 16)
			assert_int_equal(rc, ERR_WRONG_KEY);
		else
			assert_int_equal(rc, ERR_CORRUPT);
		stored.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(record_open(keys, 42, buf_span(&stored), &plain, &got, &signature, &err), ERR_CORRUPT);
	buf_release(&stored);
	buf_release(&plain);
}

/* Seals BODY as record_seal would, whatever it holds. */
static enum err_code open_body(struct span body)
{
	struct record r = record_new(SPAN_EMPTY), got;
	struct buf stored = BUF_EMPTY, plain = BUF_EMPTY, forged = BUF_EMPTY;
	struct record_signature signature;
	enum err_code rc;

	ok(record_seal(keys, &r, &stored, &err));
	ok(buf_append(&forged, span_first(buf_span(&stored), 40), &err));
	ok(box_seal(keys, BOX_LEDGER, r.epoch, span_first(buf_span(&stored), 40), body, &forged, &err));
	rc = record_open(keys, 41, buf_span(&forged), &plain, &got, &signature, &err);
	buf_release(&stored);
	buf_release(&plain);
	buf_release(&forged);
	return rc;
}

static void a_body_that_lies_about_its_length_or_padding_is_refused(void **state)
{
	uint8_t body[512 - 80] = { 0 };

	(void)state;
	ok(open_body(span_of(body, sizeof body)));
	body[98] = 200; /* length */
	ok(open_body(span_of(body, sizeof body)));
	body[98] = 0;
	body[99] = 2; /* 512: longer than the body */
	assert_int_equal(open_body(span_of(body, sizeof body)), ERR_CORRUPT);
	body[99] = 0;
	body[sizeof body - 65] = 1; /* the last byte of padding */
	assert_int_equal(open_body(span_of(body, sizeof body)), ERR_CORRUPT);
}

static void a_record_too_large_is_refused_before_it_is_built(void **state)
{
	struct buf big = BUF_EMPTY, stored = BUF_WITH_MAX(8 * MIB), plain = BUF_WITH_MAX(8 * MIB);
	struct record_signature signature;
	struct record r, got;
	uint8_t *at;

	(void)state;
	ok(buf_extend(&big, RECORD_BYTES_MAX, &at, &err));
	memset(at, 3, RECORD_BYTES_MAX);
	r = record_new(buf_span(&big));
	assert_int_equal(record_seal(keys, &r, &stored, &err), ERR_LIMIT);
	r.payload.len -= 246;
	ok(record_seal(keys, &r, &stored, &err));
	assert_int_equal(stored.len, RECORD_BYTES_MAX);
	ok(record_open(keys, 41, buf_span(&stored), &plain, &got, &signature, &err));
	buf_release(&big);
	buf_release(&stored);
	buf_release(&plain);
}

static void padme_adds_little_and_leaves_few_lengths(void **state)
{
	uint64_t seed = seed_now();

	(void)state;
	assert_int_equal(padme(0, 0), 0);
	assert_int_equal(padme(1, 0), 1);
	assert_int_equal(padme(9, 0), 10); /* the PURBs paper: 9 is 1001, the last bit goes */
	assert_int_equal(padme(100, 512), 512);
	assert_int_equal(padme(513, 512), 544);
	assert_int_equal(padme(1000001, 0), 1015808);
	assert_true(padme(UINT64_MAX, 0) == UINT64_MAX);
	for (int i = 0; i < 20000; i++) {
		uint64_t n = next_random(&seed) >> next_random(&seed) % 60, p = padme(n, 0);

		if (n > UINT64_MAX / 2)
			continue;
		assert_true(p >= n && p - n <= n / 8);
		assert_true(padme(p, 0) == p);
	}
}

static void a_pack_path_reads_back_in_one_spelling_only(void **state)
{
	struct pack_name name = { .session = 0x1234, .random = { 0xab, 1, 2 } }, got;
	struct pack_path path = pack_path(&name);

	(void)state;
	assert_string_equal(path.text, "pack/ab/0000000000001234-ab010200000000000000000000000000");
	assert_true(pack_name_of_path(path.text, &got));
	assert_memory_equal(&got, &name, sizeof name);
	assert_false(pack_name_of_path("pack/ac/0000000000001234-ab010200000000000000000000000000", &got));
	assert_false(pack_name_of_path("pack/AB/0000000000001234-AB010200000000000000000000000000", &got));
	assert_false(pack_name_of_path("pack/ab/0000000000001234-ab01020000000000000000000000000", &got));
	assert_false(pack_name_of_path("pack/ab/000000000000123x-ab010200000000000000000000000000", &got));
	assert_false(pack_name_of_path("pack/ab/0000000000001234+ab010200000000000000000000000000", &got));
	assert_false(pack_name_of_path("", &got));
	assert_string_equal(record_path(0x1f).text, "ledger/000000000000001f");
}

/* ---- golden payloads: these bytes are the format ---- */

static enum err_code try_commit(struct span payload)
{
	struct commit_hold hold = { 0 };
	enum err_code rc = commit_decode(payload, &hold, &err);

	commit_release(&hold);
	return rc;
}

static struct snapshot_entry entry_of(uint8_t id)
{
	struct snapshot_entry s = { .time_ms = 0x0102030405, .zone_minutes = -60, .item_count = 300, .item_bytes = 5 };

	memset(s.id.bytes, id, sizeof s.id.bytes);
	memset(s.account.bytes, 0xaa, sizeof s.account.bytes);
	memset(s.spine_root.bytes, 0xbb, sizeof s.spine_root.bytes);
	memset(s.state_root.bytes, 0xcc, sizeof s.state_root.bytes);
	return s;
}

static void a_commit_has_these_bytes(void **state)
{
	struct pack_added packs[1] = { { .name = { .session = 5, .random = { 0x11, 0x22 } }, .bytes = 4096 } };
	uint32_t against[3] = { 0, 3, 300 };
	struct snapshot_entry s[2] = { entry_of(1), entry_of(2) };
	struct commit c = { 5, true, packs, 1, against, 3, s, 2, 9 };
	struct buf out = BUF_EMPTY;
	struct commit_hold hold;

	(void)state;
	memset(packs[0].header_hash, 0xdd, sizeof packs[0].header_hash);
	s[1].flags = SNAPSHOT_GAPS;
	memset(s[1].base.bytes, 1, sizeof s[1].base.bytes);
	memset(s[1].replaces.bytes, 3, sizeof s[1].replaces.bytes);
	s[1].sealed = SPAN_LIT("zz");
	ok(commit_encode(&c, &out, &err));
	is_hex(&out, "050109" /* session, flags, first ordinal */
	             "01"
	             "11220000000000000000000000000000"
	             "dddddddddddddddddddddddddddddddd"
	             "8020"
	             "03"
	             "00"
	             "02"
	             "a802"
	             "02"
	             "01010101010101010101010101010101"
	             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	             "0504030201000000"
	             "c4ff"
	             "0000"
	             "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	             "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	             "ac02"
	             "05"
	             "00"
	             "02020202020202020202020202020202"
	             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	             "0504030201000000"
	             "c4ff"
	             "0403"
	             "01010101010101010101010101010101"
	             "03030303030303030303030303030303"
	             "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	             "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	             "ac02"
	             "05"
	             "02"
	             "7a7a");
	ok(commit_decode(buf_span(&out), &hold, &err));
	assert_int_equal(hold.commit.session, 5);
	assert_true(hold.commit.end_session);
	assert_int_equal(hold.commit.first_ordinal, 9);
	assert_memory_equal(hold.commit.added, packs, sizeof packs);
	assert_memory_equal(hold.commit.against, against, sizeof against);
	assert_int_equal(hold.commit.snapshot_count, 2);
	assert_int_equal(hold.snapshots[1].flags, SNAPSHOT_GAPS);
	assert_int_equal(hold.snapshots[1].zone_minutes, -60);
	assert_memory_equal(hold.snapshots[1].replaces.bytes, s[1].replaces.bytes, 16);
	assert_true(span_equal(hold.snapshots[1].sealed, s[1].sealed));
	assert_int_equal(hold.snapshots[0].item_count, 300);
	commit_release(&hold);
	refuses_cuts(&out, try_commit);
	buf_release(&out);
}

static void the_shortest_snapshot_entry_decodes(void **state)
{
	struct snapshot_entry s = entry_of(1);
	struct commit c = { .snapshots = &s, .snapshot_count = 1 };
	struct buf out = BUF_EMPTY;

	(void)state;
	s.item_count = 0;
	ok(commit_encode(&c, &out, &err));
	assert_int_equal(out.len, 6 + 111);
	refuses_cuts(&out, try_commit);
	buf_release(&out);
}

static void a_commit_beyond_its_limits_is_not_encoded(void **state)
{
	struct pack_added pack = { .name.session = 4 };
	uint32_t falling[2] = { 3, 3 };
	struct snapshot_entry s = entry_of(1);
	struct buf out = BUF_EMPTY;
	static uint8_t details[SNAPSHOT_SEALED_MAX + 1];

	(void)state;
	assert_int_equal(commit_encode(&(struct commit){ .added_count = COMMIT_PACKS_MAX + 1 }, &out, &err), ERR_LIMIT);
	assert_int_equal(commit_encode(&(struct commit){ .snapshot_count = COMMIT_SNAPSHOTS_MAX + 1 }, &out, &err),
	                 ERR_LIMIT);
	assert_int_equal(commit_encode(&(struct commit){ .session = 5, .added = &pack, .added_count = 1 }, &out, &err),
	                 ERR_STATE);
	assert_int_equal(commit_encode(&(struct commit){ .against = falling, .against_count = 2 }, &out, &err),
	                 ERR_STATE);
	s.sealed = span_of(details, sizeof details);
	assert_int_equal(commit_encode(&(struct commit){ .snapshots = &s, .snapshot_count = 1 }, &out, &err),
	                 ERR_LIMIT);
	s.sealed.len--;
	buf_clear(&out);
	ok(commit_encode(&(struct commit){ .snapshots = &s, .snapshot_count = 1 }, &out, &err));
	ok(try_commit(buf_span(&out)));
	buf_release(&out);
}

static void counts_that_cannot_be_true_allocate_nothing(void **state)
{
	/* 65,536 packs, 2^20 ordinals, 4,096 snapshots, each with nothing behind. */
	const uint8_t packs[] = { 5, 0, 0, 0x80, 0x80, 0x04 }, ordinals[] = { 5, 0, 0, 0, 0x80, 0x80, 0x40 };
	const uint8_t snapshots[] = { 5, 0, 0, 0, 0, 0x80, 0x20 }, flags[] = { 5, 2, 0, 0, 0, 0 };
	const uint8_t wide[] = { 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0 }, longer[] = { 0x85, 0x00, 0, 0, 0, 0, 0 };
	uint32_t *out;
	size_t count;

	(void)state;
	mem_fail_nth(1); /* the first allocation would fail, and say so */
	assert_int_equal(try_commit(span_of(packs, sizeof packs)), ERR_CORRUPT);
	assert_int_equal(try_commit(span_of(ordinals, sizeof ordinals)), ERR_CORRUPT);
	assert_int_equal(try_commit(span_of(snapshots, sizeof snapshots)), ERR_CORRUPT);
	mem_fail_nth(0);
	assert_int_equal(try_commit(span_of(flags, sizeof flags)), ERR_CORRUPT);
	assert_int_equal(try_commit(span_of(longer, sizeof longer)), ERR_CORRUPT);
	assert_int_equal(ordinals_decode(span_of(wide, sizeof wide), &out, &count, &err), ERR_CORRUPT);
}

static enum err_code try_init(struct span p)
{
	struct init_payload got;

	return init_decode(p, &got, &err);
}

static void init_has_these_bytes(void **state)
{
	struct init_payload p = { .splitter_version = 1, .cutter_version = 0x0203 }, got;
	struct buf out = BUF_EMPTY;

	(void)state;
	memset(p.root_public, 1, sizeof p.root_public);
	memset(p.holder.bytes, 2, sizeof p.holder.bytes);
	memset(p.holder_public, 3, sizeof p.holder_public);
	memset(p.root_signature, 4, sizeof p.root_signature);
	memset(p.random, 5, sizeof p.random);
	ok(init_encode(&p, &out, &err));
	is_hex(&out, "0101010101010101010101010101010101010101010101010101010101010101"
	             "02020202020202020202020202020202"
	             "0303030303030303030303030303030303030303030303030303030303030303"
	             "0404040404040404040404040404040404040404040404040404040404040404"
	             "0404040404040404040404040404040404040404040404040404040404040404"
	             "01000000"
	             "03020000"
	             "05050505050505050505050505050505");
	ok(init_decode(buf_span(&out), &got, &err));
	assert_memory_equal(&got, &p, sizeof p);
	refuses_cuts(&out, try_init);
	buf_release(&out);
}

static enum err_code try_ids(struct span p)
{
	struct snapshot_id *ids = NULL;
	size_t count;
	enum err_code rc = snapshot_ids_decode(p, &ids, &count, &err);

	mem_free(ids);
	return rc;
}

static enum err_code try_ordinals(struct span p)
{
	uint32_t *ordinals = NULL;
	size_t count;
	enum err_code rc = ordinals_decode(p, &ordinals, &count, &err);

	mem_free(ordinals);
	return rc;
}

static enum err_code try_session(struct span p)
{
	uint64_t session;

	return session_decode(p, &session, &err);
}

static enum err_code try_void(struct span p)
{
	struct void_payload got;

	return void_decode(p, &got, &err);
}

static enum err_code try_holder(struct span p)
{
	struct holder_payload got = { 0 };
	enum err_code rc = holder_decode(p, &got, &err);

	holder_release(&got);
	return rc;
}

static void the_small_payloads_have_these_bytes(void **state)
{
	struct snapshot_id ids[2] = { { { 1 } }, { { 2 } } };
	struct void_payload lost = { .number = 300, .hash = { 9 } };
	struct account_id account = { { 8 } };
	struct holder_payload h = {
		.holder = { { 7 } }, .role = HOLDER_DEPOSIT, .accounts = &account, .account_count = 1
	};
	uint32_t ordinals[2] = { 128, 129 };
	struct buf out = BUF_EMPTY;

	(void)state;
	ok(snapshot_ids_encode(ids, 2, &out, &err));
	is_hex(&out, "02"
	             "01000000000000000000000000000000"
	             "02000000000000000000000000000000");
	refuses_cuts(&out, try_ids);
	buf_clear(&out);
	ok(ordinals_encode(ordinals, 2, &out, &err));
	is_hex(&out, "02"
	             "8001"
	             "00");
	refuses_cuts(&out, try_ordinals);
	buf_clear(&out);
	ok(session_encode(300, &out, &err));
	is_hex(&out, "ac02");
	refuses_cuts(&out, try_session);
	assert_int_equal(try_session(SPAN_LIT("\0")), ERR_CORRUPT);
	buf_clear(&out);
	ok(void_encode(&lost, &out, &err));
	is_hex(&out, "ac02"
	             "0900000000000000000000000000000000000000000000000000000000000000");
	refuses_cuts(&out, try_void);
	buf_clear(&out);
	ok(holder_encode(&h, &out, &err));
	is_hex(&out, "07000000000000000000000000000000"
	             "0000000000000000000000000000000000000000000000000000000000000000"
	             "02"
	             "01"
	             "08000000000000000000000000000000");
	refuses_cuts(&out, try_holder);
	out.ptr[48] = HOLDER_ROLE_END;
	assert_int_equal(try_holder(buf_span(&out)), ERR_CORRUPT);
	assert_int_equal(snapshot_ids_encode(ids, COMMIT_SNAPSHOTS_MAX + 1, &out, &err), ERR_LIMIT);
	assert_int_equal(ordinals_encode(ordinals, ORDINALS_MAX + 1, &out, &err), ERR_LIMIT);
	h.account_count = HOLDER_ACCOUNTS_MAX + 1;
	assert_int_equal(holder_encode(&h, &out, &err), ERR_LIMIT);
	buf_release(&out);
}

static void any_commit_decodes_to_itself(void **state)
{
	uint64_t seed = seed_now();
	struct pack_added packs[20];
	uint32_t against[50];
	struct snapshot_entry snapshots[10];

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct commit c = { .session = next_random(&seed) >> 1, .added = packs, .against = against };
		struct buf one = BUF_EMPTY, two = BUF_EMPTY;
		struct commit_hold hold;
		uint32_t ordinal = 0;

		c.snapshots = snapshots;
		c.added_count = next_random(&seed) % ARRAY_LEN(packs);
		c.against_count = next_random(&seed) % ARRAY_LEN(against);
		c.snapshot_count = next_random(&seed) % ARRAY_LEN(snapshots);
		c.first_ordinal = (uint32_t)next_random(&seed) >> 1;
		for (size_t i = 0; i < c.added_count; i++) {
			packs[i] = (struct pack_added){ .name.session = c.session, .bytes = next_random(&seed) >> 32 };
			crypto_random(packs[i].name.random, 16);
		}
		for (size_t i = 0; i < c.against_count; i++)
			ordinal = against[i] = ordinal + 1 + (uint32_t)(next_random(&seed) % 70000);
		for (size_t i = 0; i < c.snapshot_count; i++) {
			snapshots[i] = entry_of((uint8_t)(i + 1));
			snapshots[i].item_count = next_random(&seed) >> next_random(&seed) % 64;
			snapshots[i].base.bytes[3] = next_random(&seed) % 2;
			snapshots[i].replaces.bytes[15] = next_random(&seed) % 2;
		}
		ok(commit_encode(&c, &one, &err));
		ok(commit_decode(buf_span(&one), &hold, &err));
		ok(commit_encode(&hold.commit, &two, &err));
		assert_true(span_equal(buf_span(&one), buf_span(&two)));
		commit_release(&hold);
		buf_release(&one);
		buf_release(&two);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_opens_to_what_was_sealed),
		cmocka_unit_test(the_signature_covers_domain_place_and_body),
		cmocka_unit_test(every_cut_and_flip_of_a_record_is_refused),
		cmocka_unit_test(a_body_that_lies_about_its_length_or_padding_is_refused),
		cmocka_unit_test(a_record_too_large_is_refused_before_it_is_built),
		cmocka_unit_test(padme_adds_little_and_leaves_few_lengths),
		cmocka_unit_test(a_pack_path_reads_back_in_one_spelling_only),
		cmocka_unit_test(a_commit_has_these_bytes),
		cmocka_unit_test(the_shortest_snapshot_entry_decodes),
		cmocka_unit_test(a_commit_beyond_its_limits_is_not_encoded),
		cmocka_unit_test(counts_that_cannot_be_true_allocate_nothing),
		cmocka_unit_test(init_has_these_bytes),
		cmocka_unit_test(the_small_payloads_have_these_bytes),
		cmocka_unit_test(any_commit_decodes_to_itself),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
