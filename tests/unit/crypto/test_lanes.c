/* Every kernel that runs here against libsodium, which knows nothing of lanes. */
#include <sodium.h>
#include <stdlib.h>

#include "crypto_test.h"
#include "crypto/lanes.h"

#define MESSAGES_MAX 600

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % below;
}

static int start(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	const struct lanes_kernel *all[LANES_KERNELS_MAX];
	size_t count;

	random_state = given ? strtoull(given, NULL, 10) : 20261130;
	printf("lanes: seed %llu (MAILHOLD_TEST_SEED repeats it); kernels:", (unsigned long long)random_state);
	start_crypto(state);
	count = lanes_kernels(all);
	for (size_t i = 0; i < count; i++)
		printf(" %s", all[i]->name);
	printf("\n");
	return 0;
}

/* Memory of exactly this length: the address stage sees a byte read too far. */
static struct span message(size_t len)
{
	uint8_t *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)draw(256);
	return span_of(bytes, len);
}

static void expect_libsodium(const struct span *in, size_t count, const uint8_t *key, size_t bytes)
{
	const struct lanes_kernel *all[LANES_KERNELS_MAX];
	size_t kernels = lanes_kernels(all);
	static uint8_t got[MESSAGES_MAX * LANES_DIGEST_MAX + 1];
	uint8_t want[LANES_DIGEST_MAX];

	for (size_t k = 0; k < kernels; k++) {
		memset(got, 0xa5, sizeof got);
		lanes_hash(all[k], key, in, count, got, bytes);
		for (size_t i = 0; i < count; i++) {
			crypto_generichash(want, bytes, in[i].ptr, in[i].len, key, key ? LANES_KEY_BYTES : 0);
			if (memcmp(want, got + i * bytes, bytes) != 0)
				fail_msg("%s: message %zu of %zu, %zu bytes, is not what libsodium says", all[k]->name,
				         i, count, in[i].len);
		}
		assert_int_equal(got[count * bytes], 0xa5);
	}
}

static const uint8_t *some_key(uint8_t key[LANES_KEY_BYTES])
{
	for (size_t i = 0; i < LANES_KEY_BYTES; i++)
		key[i] = (uint8_t)draw(256);
	return key;
}

static void with_lengths(const size_t *lengths, size_t count, const uint8_t *key, size_t bytes)
{
	struct span in[MESSAGES_MAX];

	for (size_t i = 0; i < count; i++)
		in[i] = message(lengths[i]);
	expect_libsodium(in, count, key, bytes);
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)in[i].ptr);
}

static void every_length_alone_and_among_others(void **state)
{
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t len = 0; len <= 9 * LANES_BLOCK_BYTES; len++) {
		size_t lengths[9] = { len, len, len, len, len, len, len, len, len };
		size_t others[9] = { draw(700), len, draw(300), len + 128, draw(129), len + 1, 0, draw(1200), len };

		with_lengths(lengths, 1, some_key(key), 32);
		with_lengths(lengths, 1, NULL, 16);
		with_lengths(lengths, 9, some_key(key), 32);
		with_lengths(others, 9, some_key(key), 32);
	}
}

/* Three lanes is the fewest that are filled; in each the length is one around which something changes. */
static void every_mix_around_the_ends_of_blocks(void **state)
{
	static const size_t edges[] = { 0, 1, 127, 128, 129, 255, 256, 257, 385 };
	size_t count = sizeof edges / sizeof *edges, mixes = count * count * count * count;
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t mix = 0; mix < mixes; mix++) {
		size_t lengths[4] = { edges[mix % count], edges[mix / count % count],
			              edges[mix / count / count % count], edges[mix / count / count / count] };

		with_lengths(lengths, 3 + (mix & 1), some_key(key), 32);
	}
}

static void every_number_of_messages(void **state)
{
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t count = 0; count < 40; count++) {
		size_t lengths[40];

		for (size_t i = 0; i < count; i++)
			lengths[i] = draw(8) ? draw(400) : draw(5000);
		with_lengths(lengths, count, some_key(key), 32);
		with_lengths(lengths, count, NULL, 32);
	}
}

static void more_messages_than_are_dealt_at_once(void **state)
{
	static const size_t counts[] = { 255, 256, 257, 258, 259, 511, 513, MESSAGES_MAX };
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
		size_t lengths[MESSAGES_MAX];

		for (size_t i = 0; i < counts[c]; i++)
			lengths[i] = draw(20) ? draw(200) : draw(3000);
		with_lengths(lengths, counts[c], some_key(key), 32);
	}
}

static void every_size_of_digest(void **state)
{
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t bytes = crypto_generichash_BYTES_MIN; bytes <= LANES_DIGEST_MAX; bytes++) {
		size_t lengths[5] = { draw(500), draw(500), draw(500), draw(500), 0 };

		with_lengths(lengths, 5, some_key(key), bytes);
		with_lengths(lengths, 5, NULL, bytes);
	}
}

/* A few lanes in which one message is much longer than all others: the plain kernel ends it. */
static void a_long_message_among_short_ones(void **state)
{
	uint8_t key[LANES_KEY_BYTES];

	(void)state;
	for (size_t at = 0; at < 12; at++) {
		size_t lengths[12];

		for (size_t i = 0; i < 12; i++)
			lengths[i] = draw(300);
		lengths[at] = 100000 + draw(1000);
		lengths[11 - at] = 70000 + draw(1000);
		with_lengths(lengths, 12, some_key(key), 32);
	}
}

static void chunk_ids_are_the_same_many_at_once(void **state)
{
	struct keys *k = golden_keys();
	struct span in[20];
	struct chunk_id many[20], one;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		in[i] = message(i * 37);
	for (int scope = SCOPE_CONTENT; scope < SCOPE_END; scope++) {
		keys_chunk_ids(k, (enum scope)scope, in, 20, many);
		for (size_t i = 0; i < 20; i++) {
			keys_chunk_id(k, (enum scope)scope, in[i], &one);
			assert_memory_equal(one.bytes, many[i].bytes, ID_BYTES);
		}
	}
	for (size_t i = 0; i < 20; i++)
		free((void *)(uintptr_t)in[i].ptr);
	keys_free(&k);
}

/* A kernel that is off by one bit in one lane, as a broken unit would be, must not be taken. */
static void run_wrongly(struct lanes_state *s, size_t blocks)
{
	const struct lanes_kernel *all[LANES_KERNELS_MAX];

	lanes_kernels(all);
	all[0]->run(s, blocks);
	s->h[0][all[0]->width - 1] ^= 1u << 7;
}

static void a_kernel_that_computes_wrongly_is_found_out(void **state)
{
	const struct lanes_kernel *all[LANES_KERNELS_MAX];
	size_t count = lanes_kernels(all);
	struct lanes_kernel wrong = { "wrong", all[0]->width, run_wrongly };

	(void)state;
	for (size_t i = 0; i < count; i++)
		assert_true(lanes_agrees(all[i]));
	if (wrong.width > 1)
		assert_false(lanes_agrees(&wrong));
	assert_string_equal(crypto_hash_kernel(), all[0]->name);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_alone_and_among_others),
		cmocka_unit_test(every_mix_around_the_ends_of_blocks),
		cmocka_unit_test(every_number_of_messages),
		cmocka_unit_test(more_messages_than_are_dealt_at_once),
		cmocka_unit_test(every_size_of_digest),
		cmocka_unit_test(a_long_message_among_short_ones),
		cmocka_unit_test(chunk_ids_are_the_same_many_at_once),
		cmocka_unit_test(a_kernel_that_computes_wrongly_is_found_out),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
