#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto_test.h"

/* What golden.py calls KEEPER and KEEPER_H. */
static struct keys *golden_keeper(void)
{
	struct keys *full = golden_keys(), *keeper;
	struct holder_wanted want = { .role = ROLE_KEEPER };
	uint8_t h[KEY_BYTES];

	for (size_t i = 0; i < sizeof h; i++)
		h[i] = (uint8_t)(0x11 + i);
	for (size_t i = 0; i < sizeof want.holder.bytes; i++)
		want.holder.bytes[i] = (uint8_t)(0xa1 + i);
	OK(keys_for_holder(full, &want, h, &keeper, &err));
	keys_free(&full);
	return keeper;
}

static void the_golden_keeper_is_written_the_same(void **state)
{
	struct keys *k = golden_keeper();
	struct buf out = BUF_EMPTY;

	(void)state;
	assert_memory_equal(keys_repo(k).bytes, golden_repo, 16);
	assert_memory_equal(keys_sign_public(k), golden_keeper_sign_public, 32);
	assert_false(keys_read_names(k));
	OK(bundle_encode(k, golden_bundle_keeper + 48, &out, &err));
	assert_true(span_equal(buf_span(&out), GOLDEN(bundle_keeper)));
	keys_free(&k);
	buf_release(&out);
}

static bool holds(const struct keys *k, size_t bytes, const uint8_t *secret)
{
	return memmem(k, bytes, secret, KEY_BYTES) != NULL;
}

static size_t bytes_of(const struct keys *k)
{
	return sizeof *k + k->shape.epochs * sizeof *k->epochs;
}

static void a_keeper_holds_one_secret_of_the_repository(void **state)
{
	struct keys *full = golden_keys(), *keeper = golden_keeper();
	const struct epoch *ep = &full->epochs[0];

	(void)state;
	assert_true(holds(full, bytes_of(full), full->id_key)); /* the search finds what is there */
	assert_true(holds(keeper, bytes_of(keeper), ep->field[EPOCH_STRUCT]));
	assert_false(holds(keeper, bytes_of(keeper), full->id_key));
	assert_false(holds(keeper, bytes_of(keeper), full->root_seed));
	assert_false(holds(keeper, bytes_of(keeper), full->holder_key));
	for (unsigned f = EPOCH_SYNC; f < EPOCH_FIELD_END; f++)
		assert_false(holds(keeper, bytes_of(keeper), ep->field[f]));
	keys_free(&full);
	keys_free(&keeper);
}

/* Every run of 32 bytes that K holds, as a key of SEALED. */
static bool any_bytes_open(const struct keys *k, struct span ad, struct span sealed)
{
	uint8_t plain[256];

	for (size_t at = 0; at + KEY_BYTES <= bytes_of(k); at++)
		if (aead_open((const uint8_t *)k + at, sealed.ptr, ad, span_skip(sealed, NONCE_BYTES), plain))
			return true;
	return false;
}

static void nothing_that_a_keeper_holds_opens_names_or_items(void **state)
{
	struct keys *full = golden_keys(), *keeper = golden_keeper();
	uint8_t ad[48] = "mh-seal\0\1\0\3\0\1";
	struct span names = SPAN_LIT("clear"), seal = span_of(ad, sizeof ad);
	struct buf content = BUF_EMPTY;
	struct seal_writer *w;
	struct seal_id id;

	(void)state;
	memcpy(ad + 16, golden_repo, 16);
	for (unsigned i = 0; i < 16; i++)
		ad[32 + i] = (uint8_t)(0xe0 + i);
	assert_true(any_bytes_open(full, names, GOLDEN(box_names)));
	assert_true(any_bytes_open(full, seal, GOLDEN(wrapped_sync)));
	assert_true(any_bytes_open(keeper, names, GOLDEN(box_table)));
	assert_false(any_bytes_open(keeper, names, GOLDEN(box_names)));
	assert_false(any_bytes_open(keeper, seal, GOLDEN(wrapped_sync)));
	assert_false(any_bytes_open(keeper, span_first(GOLDEN(label), 48), span_skip(GOLDEN(label), 48)));
	OK(seal_writer_open(full, SCOPE_CONTENT, &w, &content, &err));
	id = seal_writer_id(w);
	ad[10] = SCOPE_CONTENT;
	memcpy(ad + 32, id.bytes, sizeof id.bytes);
	assert_true(any_bytes_open(full, seal, buf_span(&content)));
	assert_false(any_bytes_open(keeper, seal, buf_span(&content)));
	seal_writer_free(&w);
	keys_free(&full);
	keys_free(&keeper);
	buf_release(&content);
}

/* Every run of 32 bytes that K holds, as the secret key of a sealed box for PUBLIC_KEY. */
static bool any_bytes_unbox(const struct keys *k, const uint8_t *public_key, struct span boxed)
{
	uint8_t plain[64];

	for (size_t at = 0; at + KEY_BYTES <= bytes_of(k); at++)
		if (crypto_box_seal_open(plain, boxed.ptr, boxed.len, public_key, (const uint8_t *)k + at) == 0)
			return true;
	return false;
}

/* A depositor seals content, its own included, and cannot take it out again: no bytes that it keeps open either layer's
 * inside. */
static void nothing_that_a_depositor_holds_opens_content(void **state)
{
	struct account_id account = { { 5 } };
	struct keys *full = golden_keys(), *deposit;
	const struct epoch *ep = &full->epochs[0];
	uint8_t ad[48] = "mh-seal\0\1\0\1\0\1", boxed[80];
	struct span seal = span_of(ad, sizeof ad), block_ad = SPAN_LIT("block"), plain = SPAN_LIT("Dear Ann,");
	struct buf content = BUF_EMPTY, sealed = BUF_EMPTY;
	struct seal_writer *w;
	struct seal_reader *r = NULL;
	struct seal_id id;
	uint8_t block[64] = { 0 };

	(void)state;
	OK(keys_new_depositor(full, &account, 1, &deposit, &err));
	assert_false(keys_read_content(deposit));
	assert_true(keys_read_names(deposit) && keys_read_content(full));
	assert_true(holds(full, bytes_of(full), ep->field[EPOCH_CONTENT_SECRET]));
	assert_false(holds(deposit, bytes_of(deposit), ep->field[EPOCH_CONTENT_SECRET]));
	assert_false(holds(deposit, bytes_of(deposit), full->root_seed));
	assert_false(holds(deposit, bytes_of(deposit), full->holder_key));
	OK(seal_writer_open(deposit, SCOPE_CONTENT, &w, &content, &err));
	id = seal_writer_id(w);
	memcpy(ad + 16, golden_repo, 16);
	memcpy(ad + 32, id.bytes, sizeof id.bytes);
	OK(seal_writer_seal(w, seal_writer_next(w), block_ad, plain, &sealed, &err));
	seal_writer_free(&w);
	/* The outer layer is open to it: what is in there is the box. */
	assert_true(any_bytes_open(deposit, seal, buf_span(&content)));
	assert_true(aead_open(ep->wrap[SCOPE_CONTENT], content.ptr, seal, span_skip(buf_span(&content), NONCE_BYTES),
	                      boxed));
	assert_true(any_bytes_unbox(full, ep->field[EPOCH_CONTENT_PUBLIC], span_of(boxed, sizeof boxed)));
	assert_false(any_bytes_unbox(deposit, ep->field[EPOCH_CONTENT_PUBLIC], span_of(boxed, sizeof boxed)));
	/* Counter 0 is a nonce of zeros. */
	memcpy(block + NONCE_BYTES, sealed.ptr, sealed.len);
	assert_false(any_bytes_open(deposit, block_ad, span_of(block, NONCE_BYTES + sealed.len)));
	FAILS(ERR_WRONG_KEY, seal_reader_open(deposit, SCOPE_CONTENT, 1, &id, buf_span(&content), &r, &err));
	OK(seal_reader_open(full, SCOPE_CONTENT, 1, &id, buf_span(&content), &r, &err));
	OK(seal_reader_unseal(r, 0, block_ad, buf_span(&sealed), block, &err));
	assert_memory_equal(block, plain.ptr, plain.len);
	seal_reader_free(&r);
	buf_release(&content);
	buf_release(&sealed);
	keys_free(&full);
	keys_free(&deposit);
}

/* A holder is made, its slot and bundle are stored, and it comes in with its own secret. */
static void a_new_holder_comes_in_with_its_own_secret(void **state)
{
	static const enum role roles[] = { ROLE_FULL, ROLE_DEPOSIT, ROLE_KEEPER };
	struct keys *first = golden_keys();
	struct secret *s = golden_key_file();
	struct slot_options o = { .kind = SLOT_KEY_FILE };
	struct account_id account = { { 5 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct buf slot = BUF_EMPTY, bundle = BUF_EMPTY;
		struct holder_secret *h;
		struct keys *k, *back;

		OK(roles[i] == ROLE_DEPOSIT ? keys_new_depositor(first, &account, 1, &k, &err)
		                            : keys_new_holder(first, roles[i], &k, &err));
		assert_memory_not_equal(&k->holder, &first->holder, 16);
		assert_memory_not_equal(k->sign_public, first->sign_public, 32);
		assert_memory_not_equal(k->bundle_key, first->bundle_key, 32);
		OK(slot_seal(k, s, &o, &slot, &err));
		OK(bundle_seal(k, &bundle, &err));
		OK(slot_open(buf_span(&slot), s, &h, &err));
		OK(bundle_open(buf_span(&bundle), h, &back, &err));
		assert_int_equal(back->shape.grants, roles[i] == ROLE_DEPOSIT ? 1 : 0);
		assert_int_equal(back->flags & GRANT_ALL_ACCOUNTS, roles[i] == ROLE_FULL ? GRANT_ALL_ACCOUNTS : 0);
		assert_int_equal(keys_role(back), roles[i]);
		assert_memory_equal(keys_repo(back).bytes, golden_repo, 16);
		FAILS(ERR_CORRUPT, bundle_open(GOLDEN(bundle), h, &(struct keys *){ NULL }, &err));
		keys_free(&k);
		keys_free(&back);
		holder_secret_free(&h);
		buf_release(&slot);
		buf_release(&bundle);
	}
	keys_free(&first);
	secret_free(&s);
}

static void only_full_makes_holders(void **state)
{
	struct keys *keeper = golden_keeper(), *full = golden_keys(), *deposit, *k = NULL;

	(void)state;
	OK(keys_new_holder(full, ROLE_DEPOSIT, &deposit, &err));
	FAILS(ERR_WRONG_KEY, keys_new_holder(keeper, ROLE_KEEPER, &k, &err));
	FAILS(ERR_WRONG_KEY, keys_new_holder(deposit, ROLE_KEEPER, &k, &err));
	assert_null(k);
	keys_free(&keeper);
	keys_free(&full);
	keys_free(&deposit);
}

/* ---- labels ---- */

static void the_golden_label_opens(void **state)
{
	struct keys *full = golden_keys(), *keeper = golden_keeper();
	struct holder_id id = keys_holder(keeper);
	struct label l;

	(void)state;
	OK(label_open(full, &id, GOLDEN(label), &l, &err));
	assert_int_equal(l.time_ms, 1795378500123);
	assert_true(span_equal(span_of(l.text, l.len), SPAN_LIT("laptop of Ann")));
	FAILS(ERR_WRONG_KEY, label_open(keeper, &id, GOLDEN(label), &l, &err));
	id = keys_holder(full);
	FAILS(ERR_CORRUPT, label_open(full, &id, GOLDEN(label), &l, &err));
	keys_free(&full);
	keys_free(&keeper);
}

static void no_changed_or_cut_label_opens(void **state)
{
	struct keys *full = golden_keys(), *keeper = golden_keeper();
	struct holder_id id = keys_holder(keeper);
	uint8_t bytes[sizeof golden_label];
	struct label l = { .len = 99 };

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
		memcpy(bytes, golden_label, sizeof bytes);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(label_open(full, &id, span_of(bytes, sizeof bytes), &l, &err), ERR_OK);
	}
	for (size_t len = 0; len < sizeof bytes; len++)
		FAILS(ERR_CORRUPT, label_open(full, &id, span_of(golden_label, len), &l, &err));
	assert_int_equal(l.len, 99);
	keys_free(&full);
	keys_free(&keeper);
}

static void a_label_comes_back_and_shows_no_length(void **state)
{
	struct keys *full = golden_keys(), *keeper = golden_keeper();
	struct label l = { .holder = keys_holder(full), .time_ms = -5 }, back;
	struct buf out = BUF_EMPTY;

	(void)state;
	memset(l.text, 'x', sizeof l.text);
	for (l.len = 0; l.len <= LABEL_TEXT_MAX; l.len++) {
		buf_clear(&out);
		OK(label_seal(full, &l, &out, &err));
		assert_int_equal(out.len, LABEL_BYTES);
		OK(label_open(full, &l.holder, buf_span(&out), &back, &err));
		assert_int_equal(back.len, l.len);
		assert_int_equal(back.time_ms, -5);
		assert_memory_equal(back.text, l.text, l.len);
	}
	FAILS(ERR_USAGE, label_seal(full, &l, &out, &err));
	l.len = 1;
	FAILS(ERR_WRONG_KEY, label_seal(keeper, &l, &out, &err));
	assert_int_equal(out.len, LABEL_BYTES);
	keys_free(&full);
	keys_free(&keeper);
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_golden_keeper_is_written_the_same),
		cmocka_unit_test(a_keeper_holds_one_secret_of_the_repository),
		cmocka_unit_test(nothing_that_a_keeper_holds_opens_names_or_items),
		cmocka_unit_test(nothing_that_a_depositor_holds_opens_content),
		cmocka_unit_test(a_new_holder_comes_in_with_its_own_secret),
		cmocka_unit_test(only_full_makes_holders),
		cmocka_unit_test(the_golden_label_opens),
		cmocka_unit_test(no_changed_or_cut_label_opens),
		cmocka_unit_test(a_label_comes_back_and_shows_no_length),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
