#include "crypto_test.h"
#include "base/mem.h"

static const struct slot_options cheap = { .kind = SLOT_PASSWORD, .ops = 1, .mem_bytes = 8 * KIB };

static struct secret *secret_of(struct span bytes)
{
	struct secret *s;

	OK(secret_new(bytes, &s, &err));
	return s;
}

static void the_golden_password_slot_opens_and_is_written_the_same(void **state)
{
	struct slot_options o = {
		.kind = SLOT_PASSWORD, .ops = 2, .mem_bytes = 64 * KIB, .label = SPAN_LIT("laptop of Ann")
	};
	struct secret *password = secret_of(SPAN_LIT("correct horse"));
	struct buf again = BUF_EMPTY;
	struct keys *k = golden_keys();
	struct holder_secret *h;
	struct slot_info info;

	(void)state;
	OK(slot_inspect(GOLDEN(slot_password), &info, &err));
	assert_int_equal(info.kind, SLOT_PASSWORD);
	assert_int_equal(info.ops, 2);
	assert_int_equal(info.mem_bytes, 64 * KIB);
	assert_memory_equal(info.repo.bytes, golden_repo, 16);
	assert_memory_equal(info.holder.bytes, keys_holder(k).bytes, 16);
	OK(slot_open(GOLDEN(slot_password), password, &h, &err));
	assert_memory_equal(h->holder_key, k->holder_key, KEY_BYTES);
	assert_memory_equal(h->root_public, keys_root_public(k), 32);
	OK(slot_encode(k, password, &o, golden_slot_password + 24, golden_slot_password + 104, &again, &err));
	assert_true(span_equal(buf_span(&again), GOLDEN(slot_password)));
	holder_secret_free(&h);
	secret_free(&password);
	keys_free(&k);
	buf_release(&again);
}

static void the_golden_key_file_slot_is_written_the_same(void **state)
{
	struct slot_options o = { .kind = SLOT_KEY_FILE, .ops = 9, .label = SPAN_LIT("laptop of Ann") };
	struct secret *file = golden_key_file();
	struct buf again = BUF_EMPTY;
	struct keys *k = golden_keys();

	(void)state;
	OK(slot_encode(k, file, &o, golden_slot_key_file + 24, golden_slot_key_file + 104, &again, &err));
	assert_true(span_equal(buf_span(&again), GOLDEN(slot_key_file)));
	secret_free(&file);
	keys_free(&k);
	buf_release(&again);
}

static void a_slot_opens_to_what_was_sealed(void **state)
{
	static const struct span passwords[] = { SPAN_LIT(""), SPAN_LIT("x"), SPAN_LIT("p\0q"), SPAN_LIT("\xff\xfe") };
	struct holder_secret *h;
	struct keys *k, *opened;

	(void)state;
	OK(keys_new(&k, &err));
	for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
		struct buf slot = BUF_EMPTY, bundle = BUF_EMPTY;
		struct secret *s = secret_of(passwords[i]), *wrong = secret_of(SPAN_LIT("p"));

		OK(buf_append(&slot, SPAN_LIT("kept"), &err)); /* appended, not written over */
		OK(slot_seal(k, s, &cheap, &slot, &err));
		assert_int_equal(slot.len, 4 + SLOT_BYTES);
		FAILS(ERR_WRONG_KEY, slot_open(span_skip(buf_span(&slot), 4), wrong, &h, &err));
		OK(slot_open(span_skip(buf_span(&slot), 4), s, &h, &err));
		OK(bundle_seal(k, &bundle, &err));
		OK(bundle_open(buf_span(&bundle), h, &opened, &err));
		assert_memory_equal(keys_repo(k).bytes, keys_repo(opened).bytes, 16);
		assert_memory_equal(keys_sign_public(k), keys_sign_public(opened), 32);
		keys_free(&opened);
		holder_secret_free(&h);
		secret_free(&s);
		secret_free(&wrong);
		buf_release(&slot);
		buf_release(&bundle);
	}
	keys_free(&k);
}

static void two_slots_of_one_secret_have_nothing_in_common(void **state)
{
	struct slot_options o = { .kind = SLOT_KEY_FILE };
	struct secret *s = golden_key_file();
	struct buf slots = BUF_EMPTY;
	struct keys *k;

	(void)state;
	OK(keys_new(&k, &err));
	OK(slot_seal(k, s, &o, &slots, &err));
	OK(slot_seal(k, s, &o, &slots, &err));
	assert_memory_not_equal(slots.ptr + 24, slots.ptr + SLOT_BYTES + 24, 16);   /* salt */
	assert_memory_not_equal(slots.ptr + 72, slots.ptr + SLOT_BYTES + 72, 32);   /* tag */
	assert_memory_not_equal(slots.ptr + 128, slots.ptr + SLOT_BYTES + 128, 32); /* what is sealed */
	secret_free(&s);
	keys_free(&k);
	buf_release(&slots);
}

/* Every flipped bit is met, and none opens; the codes keep "wrong password" and "damaged" apart. */
static void no_changed_slot_opens(void **state)
{
	struct secret *s = golden_key_file();
	uint8_t slot[SLOT_BYTES];

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof slot; bit++) {
		size_t at = bit / 8;
		struct holder_secret *h = NULL;
		enum err_code rc;

		memcpy(slot, golden_slot_key_file, sizeof slot);
		slot[at] ^= (uint8_t)(1 << bit % 8);
		rc = slot_open(span_of(slot, sizeof slot), s, &h, &err);
		assert_null(h);
		if (at < 8)
			FAILS(ERR_CORRUPT, rc); /* magic */
		else if (at < 10)
			FAILS(ERR_UNSUPPORTED, rc); /* version */
		else if (at < 12)
			assert_true(rc == ERR_UNSUPPORTED || rc == ERR_CORRUPT); /* kind */
		else if (at < 24)
			FAILS(ERR_CORRUPT, rc); /* cost: a key file has none */
		else if (at < 40)
			FAILS(ERR_WRONG_KEY, rc); /* salt */
		else if (at < 72)
			FAILS(ERR_CORRUPT, rc); /* holder and repository */
		else if (at < 104)
			FAILS(ERR_WRONG_KEY, rc); /* tag */
		else
			FAILS(ERR_CORRUPT, rc); /* nonce and sealed part */
	}
	secret_free(&s);
}

static void no_cut_or_longer_slot_is_read(void **state)
{
	struct secret *s = golden_key_file();
	uint8_t longer[SLOT_BYTES + 1] = { 0 };
	struct holder_secret *h;
	struct slot_info info;

	(void)state;
	memcpy(longer, golden_slot_key_file, SLOT_BYTES);
	for (size_t len = 0; len <= sizeof longer; len++) {
		if (len == SLOT_BYTES)
			continue;
		FAILS(ERR_CORRUPT, slot_inspect(span_of(longer, len), &info, &err));
		FAILS(ERR_CORRUPT, slot_open(span_of(longer, len), s, &h, &err));
	}
	secret_free(&s);
}

static void a_slot_cannot_ask_for_the_whole_machine(void **state)
{
	static const struct {
		uint32_t ops;
		uint64_t mem;
		bool fine;
	} costs[] = {
		{ 1, 8192, true },           { 16, (uint64_t)4 << 30, true },
		{ 0, 8192, false },          { 17, 8192, false },
		{ UINT32_MAX, 8192, false }, { 3, 0, false },
		{ 3, 8191, false },          { 3, 8193, false },
		{ 3, 7168, false },          { 3, ((uint64_t)4 << 30) + 1024, false },
		{ 3, UINT64_MAX, false },
	};
	uint8_t slot[SLOT_BYTES];
	struct slot_info info;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
		memcpy(slot, golden_slot_password, sizeof slot);
		for (unsigned b = 0; b < 4; b++)
			slot[12 + b] = (uint8_t)(costs[i].ops >> (8 * b));
		for (unsigned b = 0; b < 8; b++)
			slot[16 + b] = (uint8_t)(costs[i].mem >> (8 * b));
		if (costs[i].fine)
			OK(slot_inspect(span_of(slot, sizeof slot), &info, &err));
		else
			FAILS(ERR_CORRUPT, slot_inspect(span_of(slot, sizeof slot), &info, &err));
	}
}

static void bad_options_are_a_usage_error(void **state)
{
	struct slot_options bad[] = {
		{ .kind = SLOT_PASSWORD, .ops = 17 },
		{ .kind = SLOT_PASSWORD, .mem_bytes = 4096 },
		{ .kind = SLOT_PASSWORD, .mem_bytes = (uint64_t)8 << 30 },
		{ .kind = SLOT_KEY_FILE + 1 },
		{ .kind = SLOT_PASSWORD, .label = span_of(golden_gear, 65) },
		{ .kind = SLOT_KEY_FILE }, /* with a secret that is no key file */
	};
	struct secret *s = secret_of(SPAN_LIT("short"));
	struct buf out = BUF_EMPTY;
	struct holder_secret *h;
	struct keys *k;

	(void)state;
	OK(keys_new(&k, &err));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		FAILS(ERR_USAGE, slot_seal(k, s, &bad[i], &out, &err));
		assert_int_equal(out.len, 0);
	}
	FAILS(ERR_USAGE, slot_open(GOLDEN(slot_key_file), s, &h, &err));
	secret_free(&s);
	keys_free(&k);
	buf_release(&out);
}

static void every_label_that_fits_is_kept_inside(void **state)
{
	uint8_t label[64];
	struct secret *s = golden_key_file();
	struct keys *k;

	(void)state;
	memset(label, 'L', sizeof label);
	OK(keys_new(&k, &err));
	for (size_t len = 0; len <= sizeof label; len++) {
		struct slot_options o = { .kind = SLOT_KEY_FILE, .label = span_of(label, len) };
		struct buf out = BUF_EMPTY;
		struct holder_secret *h;

		OK(slot_seal(k, s, &o, &out, &err));
		assert_int_equal(out.len, SLOT_BYTES);
		OK(slot_open(buf_span(&out), s, &h, &err));
		holder_secret_free(&h);
		buf_release(&out);
	}
	secret_free(&s);
	keys_free(&k);
}

static void out_of_memory_is_told_and_leaves_out_alone(void **state)
{
	struct secret *s = golden_key_file();
	struct slot_options o = { .kind = SLOT_KEY_FILE };
	struct keys *k = golden_keys();
	struct buf out = BUF_EMPTY;

	(void)state;
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, slot_seal(k, s, &o, &out, &err));
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, bundle_seal(k, &out, &err));
	mem_fail_nth(0);
	assert_int_equal(out.len, 0);
	secret_free(&s);
	keys_free(&k);
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_golden_password_slot_opens_and_is_written_the_same),
		cmocka_unit_test(the_golden_key_file_slot_is_written_the_same),
		cmocka_unit_test(a_slot_opens_to_what_was_sealed),
		cmocka_unit_test(two_slots_of_one_secret_have_nothing_in_common),
		cmocka_unit_test(no_changed_slot_opens),
		cmocka_unit_test(no_cut_or_longer_slot_is_read),
		cmocka_unit_test(a_slot_cannot_ask_for_the_whole_machine),
		cmocka_unit_test(bad_options_are_a_usage_error),
		cmocka_unit_test(every_label_that_fits_is_kept_inside),
		cmocka_unit_test(out_of_memory_is_told_and_leaves_out_alone),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
