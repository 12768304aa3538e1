#include "crypto_test.h"

/* Offsets inside the unsealed bundle, from docs/format/key.md. */
enum {
	AT_ROLE = 0,
	AT_FLAGS = 1,
	AT_EPOCHS = 2,
	AT_GRANTS = 4,
	AT_HOLDERS = 6,
	AT_ROOT = 8,
	AT_ID_KEY = 40,
	AT_ROOT_SEED = 72,
	AT_EPOCH = 104,
	EPOCH_SIZE = 168,
	PLAIN_SIZE = 424
};

static void the_golden_bundle_is_written_the_same(void **state)
{
	struct keys *k = golden_keys();
	struct buf again = BUF_EMPTY;

	(void)state;
	assert_memory_equal(keys_repo(k).bytes, golden_repo, 16);
	assert_memory_equal(keys_sign_public(k), golden_sign_public, 32);
	assert_int_equal(keys_epoch(k), 1);
	assert_int_equal(keys_role(k), ROLE_FULL);
	OK(bundle_encode(k, golden_bundle + 48, &again, &err));
	assert_true(span_equal(buf_span(&again), GOLDEN(bundle)));
	keys_free(&k);
	buf_release(&again);
}

static void no_changed_bundle_opens(void **state)
{
	struct holder_secret *h = golden_holder();
	uint8_t bytes[sizeof golden_bundle];

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
		struct keys *k = NULL;
		enum err_code rc;

		memcpy(bytes, golden_bundle, sizeof bytes);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = bundle_open(span_of(bytes, sizeof bytes), h, &k, &err);
		assert_null(k);
		if (bit / 8 >= 8 && bit / 8 < 16)
			FAILS(ERR_UNSUPPORTED, rc); /* version and features */
		else
			FAILS(ERR_CORRUPT, rc);
	}
	holder_secret_free(&h);
}

static void no_cut_bundle_opens(void **state)
{
	struct holder_secret *h = golden_holder();
	struct keys *k;

	(void)state;
	for (size_t len = 0; len < sizeof golden_bundle; len++)
		FAILS(ERR_CORRUPT, bundle_open(span_of(golden_bundle, len), h, &k, &err));
	holder_secret_free(&h);
}

static void another_holder_cannot_open_it(void **state)
{
	struct secret *s = golden_key_file();
	struct slot_options o = { .kind = SLOT_KEY_FILE };
	struct buf slot = BUF_EMPTY;
	struct holder_secret *h;
	struct keys *k, *opened, *golden = golden_keys();

	(void)state;
	OK(keys_new(&k, &err));
	OK(slot_seal(k, s, &o, &slot, &err));
	OK(slot_open(buf_span(&slot), s, &h, &err));
	FAILS(ERR_CORRUPT, bundle_open(GOLDEN(bundle), h, &opened, &err));
	/* Even under the same clear words, the key is another. */
	h->holder = keys_holder(golden);
	memcpy(h->repo.bytes, golden_repo, 16);
	FAILS(ERR_CORRUPT, bundle_open(GOLDEN(bundle), h, &opened, &err));
	holder_secret_free(&h);
	keys_free(&k);
	keys_free(&golden);
	secret_free(&s);
	buf_release(&slot);
}

/* The unsealed golden bundle, as the golden keys give it. */
static void plain_golden(uint8_t plain[PLAIN_SIZE])
{
	struct holder_secret *h = golden_holder();
	uint8_t key[KEY_BYTES];

	derive(key, h->holder_key, 1, "mh_bundl");
	assert_int_equal(sizeof golden_bundle - 72 - TAG_BYTES, PLAIN_SIZE);
	assert_true(aead_open(key, golden_bundle + 48, span_of(golden_bundle, 48),
	                      span_of(golden_bundle + 72, sizeof golden_bundle - 72), plain));
	holder_secret_free(&h);
}

static void decodes_to(enum err_code want, const uint8_t *plain, size_t len)
{
	struct holder_secret *h = golden_holder();
	struct keys *k = NULL;

	FAILS(want, bundle_decode(span_of(plain, len), h, &k, &err));
	assert_true(want == ERR_OK ? k != NULL : k == NULL);
	keys_free(&k);
	holder_secret_free(&h);
}

static void a_bundle_that_lies_inside_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		enum err_code want;
	} lies[] = {
		{ AT_ROLE, 0, ERR_UNSUPPORTED },
		{ AT_ROLE, 4, ERR_UNSUPPORTED },
		{ AT_ROLE, ROLE_KEEPER, ERR_CORRUPT },  /* a keeper with everything */
		{ AT_ROLE, ROLE_DEPOSIT, ERR_CORRUPT }, /* a depositor who reads */
		{ AT_FLAGS, 0x0f, ERR_UNSUPPORTED },
		{ AT_FLAGS, 5, ERR_CORRUPT }, /* full without root seed */
		{ AT_EPOCHS, 0, ERR_CORRUPT },
		{ AT_EPOCHS, 2, ERR_CORRUPT }, /* zeros follow: epoch 0 behind 1 */
		{ AT_EPOCHS, 200, ERR_CORRUPT },
		{ AT_EPOCHS + 1, 1, ERR_CORRUPT },
		{ AT_GRANTS + 1, 4, ERR_CORRUPT },
		{ AT_GRANTS, 200, ERR_CORRUPT },
		{ AT_HOLDERS + 1, 3, ERR_CORRUPT },
		{ AT_HOLDERS, 200, ERR_CORRUPT },
		{ AT_ROOT, 0xee, ERR_CORRUPT },
		{ AT_ROOT_SEED, 0xee, ERR_CORRUPT },
		{ AT_EPOCH, 0, ERR_CORRUPT },          /* epoch 0 */
		{ AT_EPOCH + 4, 30, ERR_CORRUPT },     /* a field that is not there but has bytes */
		{ AT_EPOCH + 4, 63, ERR_UNSUPPORTED }, /* a field that we do not know */
		{ AT_EPOCH + EPOCH_SIZE, 1, ERR_UNSUPPORTED },
		{ PLAIN_SIZE - 1, 1, ERR_UNSUPPORTED },
	};
	uint8_t plain[PLAIN_SIZE], bad[PLAIN_SIZE];

	(void)state;
	plain_golden(plain);
	decodes_to(ERR_OK, plain, sizeof plain);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		memcpy(bad, plain, sizeof bad);
		bad[lies[i].at] = lies[i].value;
		decodes_to(lies[i].want, bad, sizeof bad);
	}
}

static void an_unsealed_bundle_that_is_cut_is_refused(void **state)
{
	uint8_t plain[PLAIN_SIZE];

	(void)state;
	plain_golden(plain);
	for (size_t len = 0; len < AT_EPOCH + EPOCH_SIZE; len++) {
		struct holder_secret *h = golden_holder();
		struct keys *k = NULL;

		assert_int_not_equal(bundle_decode(span_of(plain, len), h, &k, &err), ERR_OK);
		assert_null(k);
		holder_secret_free(&h);
	}
	decodes_to(ERR_OK, plain, AT_EPOCH + EPOCH_SIZE);
}

/* The largest of everything still fits the object's limit, and comes back. */
static void a_full_house_fits_and_comes_back(void **state)
{
	struct keys_shape shape = { EPOCHS_MAX, GRANTS_MAX, HOLDERS_MAX };
	struct keys *small = golden_keys(), *k, *back;
	struct holder_secret *h = golden_holder();
	struct buf out = BUF_EMPTY;

	(void)state;
	OK(keys_alloc(shape, &k, &err));
	memcpy(k->holder_key, small->holder_key, KEY_BYTES);
	memcpy(k->root_seed, small->root_seed, KEY_BYTES);
	memcpy(k->root_public, small->root_public, KEY_BYTES);
	memcpy(k->id_key, small->id_key, KEY_BYTES);
	k->holder = small->holder;
	k->role = ROLE_FULL;
	k->flags = HAS_ID_KEY | HAS_ROOT_SEED;
	for (size_t i = 0; i < shape.epochs; i++) {
		k->epochs[i] = small->epochs[0];
		k->epochs[i].number = (uint32_t)(i * 3 + 1);
	}
	for (size_t i = 0; i < shape.grants; i++)
		memset(k->grants[i].bytes, (int)i, 16);
	for (size_t i = 0; i < shape.holders; i++)
		memset(&k->holders[i], (int)i, sizeof k->holders[i]);
	keys_settle(k);
	OK(bundle_seal(k, &out, &err));
	assert_true(out.len <= BUNDLE_BYTES_MAX && out.len % 512 == 0);
	OK(bundle_open(buf_span(&out), h, &back, &err));
	assert_int_equal(keys_epoch(back), (EPOCHS_MAX - 1) * 3 + 1);
	assert_memory_equal(back->epochs, k->epochs, EPOCHS_MAX * sizeof *k->epochs);
	assert_memory_equal(back->grants, k->grants, GRANTS_MAX * sizeof *k->grants);
	assert_memory_equal(back->holders, k->holders, HOLDERS_MAX * sizeof *k->holders);
	keys_free(&k);
	keys_free(&back);
	keys_free(&small);
	holder_secret_free(&h);
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_golden_bundle_is_written_the_same),
		cmocka_unit_test(no_changed_bundle_opens),
		cmocka_unit_test(no_cut_bundle_opens),
		cmocka_unit_test(another_holder_cannot_open_it),
		cmocka_unit_test(a_bundle_that_lies_inside_is_refused),
		cmocka_unit_test(an_unsealed_bundle_that_is_cut_is_refused),
		cmocka_unit_test(a_full_house_fits_and_comes_back),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
