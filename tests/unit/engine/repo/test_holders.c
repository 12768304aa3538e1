/* Several people with one repository, and every place where adding, changing and removing a key may be cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "engine/repo/holders.h"

static struct err err;

struct world {
	char folder[80], url[96], cache[96];
	struct repo *ann; /* the first full holder */
	struct secret *ann_key, *bob_key;
};

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

#define FAILS(want, call) assert_string_equal(err_code_name(call), err_code_name(want))

static struct secret *key_of(uint32_t number)
{
	uint8_t raw[SLOT_KEY_FILE_BYTES] = { 0 };
	struct secret *s;

	memcpy(raw, &number, sizeof number);
	ok(secret_new(span_of(raw, sizeof raw), &s, &err));
	return s;
}

static enum err_code open_as(struct world *w, const struct secret *key, struct repo **out)
{
	struct repo_options o = {
		.url = w->url, .secret = key, .secret_kind = SLOT_KEY_FILE, .cache_folder = w->cache
	};

	return repo_open(&o, out, &err);
}

static enum err_code opens(struct world *w, const struct secret *key)
{
	struct repo *r = NULL;
	enum err_code rc = open_as(w, key, &r);

	repo_free(&r);
	return rc;
}

static int begin(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct world *w = calloc(1, sizeof *w);
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Ann") };
	struct repo_options o = { .secret_kind = SLOT_KEY_FILE };

	snprintf(w->folder, sizeof w->folder, "%.40s/mailhold-holders-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->url, sizeof w->url, "%s/store", w->folder);
	snprintf(w->cache, sizeof w->cache, "%s/cache", w->folder);
	ok(crypto_start(&err));
	w->ann_key = key_of(1);
	w->bob_key = key_of(2);
	o.url = w->url;
	o.cache_folder = w->cache;
	o.secret = w->ann_key;
	ok(repo_init(&o, &slot, &w->ann, &err));
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	mem_fail_nth(0);
	repo_free(&w->ann);
	secret_free(&w->ann_key);
	secret_free(&w->bob_key);
	ok(file_remove_tree(w->folder, &err));
	free(w);
	return 0;
}

static struct holder_id add(struct world *w, enum role role, const struct secret *key, const char *label)
{
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = span_cstr(label) };
	struct holder_id id;

	ok(repo_key_add(w->ann, role, key, &slot, &id, &err));
	return id;
}

struct look {
	struct holder_id id;
	struct key_info info;
	size_t all;
};

static enum err_code look_at(void *ctx, const struct key_info *k, struct err *e)
{
	struct look *l = ctx;

	(void)e;
	l->all++;
	if (!memcmp(&k->id, &l->id, sizeof k->id))
		l->info = *k;
	return ERR_OK;
}

/* What the list of keys says about ID; state 0: nothing. */
static struct look look(struct world *w, struct holder_id id)
{
	struct look l = { .id = id };

	ok(repo_keys(w->ann, look_at, &l, &err));
	return l;
}

static uint64_t head(struct world *w)
{
	ok(ledger_refresh(w->ann->ledger, &err));
	return ledger_head(w->ann->ledger).number;
}

/* ---- what holders may ---- */

static void a_removed_holder_can_append_nothing(void **state)
{
	struct world *w = *state;
	struct holder_id id = add(w, ROLE_FULL, w->bob_key, "Bob");
	struct holder_payload again = { .holder = id, .role = HOLDER_FULL };
	struct repo *bob = NULL;
	uint64_t session, before;

	ok(open_as(w, w->bob_key, &bob));
	ok(ledger_open_session(bob->ledger, &session, &err));
	ok(repo_key_remove(w->ann, &id, &err));
	before = head(w);
	/* The process that was running goes on with its keys: the ledger's rules stop it. */
	FAILS(ERR_DENIED, ledger_end_session(bob->ledger, session, &err));
	FAILS(ERR_DENIED, ledger_open_session(bob->ledger, &session, &err));
	memcpy(again.public_key, keys_sign_public(bob->keys), sizeof again.public_key);
	FAILS(ERR_DENIED, ledger_put_holder(bob->ledger, &again, &err));
	assert_int_equal(head(w), before);
	repo_free(&bob);
	FAILS(ERR_WRONG_KEY, opens(w, w->bob_key));
}

static void a_keeper_forgets_and_nothing_else(void **state)
{
	struct world *w = *state;
	struct holder_id id = add(w, ROLE_KEEPER, w->bob_key, "cleaner"), other;
	struct slot_options slot = { .kind = SLOT_KEY_FILE };
	struct holder_payload self = { .holder = id, .role = HOLDER_FULL };
	struct secret *key = key_of(3);
	struct repo *keeper = NULL;
	uint64_t before = head(w);

	ok(open_as(w, w->bob_key, &keeper));
	assert_int_equal(repo_role(keeper), ROLE_KEEPER);
	FAILS(ERR_DENIED, repo_key_add(keeper, ROLE_KEEPER, key, &slot, &other, &err));
	FAILS(ERR_DENIED, repo_key_remove(keeper, &id, &err));
	FAILS(ERR_DENIED, repo_need_names(keeper, "look", &err));
	/* Past the polite refusal: the record itself would be void. */
	memcpy(self.public_key, keys_sign_public(keeper->keys), sizeof self.public_key);
	FAILS(ERR_DENIED, ledger_put_holder(keeper->ledger, &self, &err));
	assert_int_equal(head(w), before);
	/* It changes its own key file all the same. */
	ok(repo_key_change(keeper, key, SLOT_KEY_FILE, &err));
	repo_free(&keeper);
	FAILS(ERR_WRONG_KEY, opens(w, w->bob_key));
	ok(opens(w, key));
	secret_free(&key);
}

static void the_last_full_holder_stays(void **state)
{
	struct world *w = *state;
	struct holder_id ann = keys_holder(w->ann->keys), bob;
	struct secret *key = key_of(4);
	struct key_path slot;

	(void)add(w, ROLE_KEEPER, w->bob_key, "cleaner");
	FAILS(ERR_STATE, repo_key_remove(w->ann, &ann, &err));
	/* One whose objects are gone opens nothing, so it does not count. */
	bob = add(w, ROLE_FULL, key, "Bob");
	secret_free(&key);
	slot = key_path_of(bob, KEY_SLOT);
	ok(store_delete(w->ann->store, slot.text, &err));
	assert_int_equal(look(w, bob).info.state, KEY_GONE);
	FAILS(ERR_STATE, repo_key_remove(w->ann, &ann, &err));
	ok(opens(w, w->ann_key));
}

static void labels_and_secrets_are_not_given_twice(void **state)
{
	struct world *w = *state;
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Ann") };
	struct secret *key = key_of(5);
	struct holder_id id, found;
	uint64_t before = head(w);

	memset(&id, 0, sizeof id);
	FAILS(ERR_EXISTS, repo_key_add(w->ann, ROLE_FULL, key, &slot, &id, &err));
	slot.label = SPAN_LIT("Ann again");
	FAILS(ERR_EXISTS, repo_key_add(w->ann, ROLE_FULL, w->ann_key, &slot, &id, &err));
	FAILS(ERR_USAGE, repo_key_add_deposit(w->ann, NULL, 0, key, &slot, &id, &err));
	assert_int_equal(head(w), before);
	assert_int_equal(look(w, id).all, 1);
	id = add(w, ROLE_FULL, key, "Ann again");
	ok(repo_key_find(w->ann, "Ann again", &found, &err));
	assert_memory_equal(&found, &id, sizeof id);
	FAILS(ERR_NOT_FOUND, repo_key_find(w->ann, "Bob", &found, &err));
	/* A name is free again when its owner is gone. */
	ok(repo_key_remove(w->ann, &id, &err));
	FAILS(ERR_NOT_FOUND, repo_key_find(w->ann, "Ann again", &found, &err));
	(void)add(w, ROLE_FULL, key, "Ann again");
	secret_free(&key);
}

/* Two holders with one secret: whether it is so must be known, not guessed from what cannot be read for now. */
static void a_secret_that_may_open_the_repository_already_is_not_given_again(void **state)
{
	struct world *w = *state;
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Carol") };
	struct holder_id bob = add(w, ROLE_KEEPER, w->bob_key, "Bob"), id;
	struct key_path bundle = key_path_of(bob, KEY_BUNDLE);
	char path[200], aside[220];
	uint64_t before = head(w);

	/* A link to itself is no object: Bob's slot is there, and what it leads to cannot be had. */
	snprintf(path, sizeof path, "%s/%s", w->url, bundle.text);
	snprintf(aside, sizeof aside, "%s.aside", w->folder);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink(path, path), 0);
	FAILS(ERR_CORRUPT, repo_key_add(w->ann, ROLE_FULL, w->bob_key, &slot, &id, &err));
	assert_non_null(strstr(err.text, "opens the repository already"));
	FAILS(ERR_CORRUPT, repo_key_change(w->ann, w->bob_key, SLOT_KEY_FILE, &err));
	assert_int_equal(head(w), before);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(aside, path), 0);
	FAILS(ERR_EXISTS, repo_key_add(w->ann, ROLE_FULL, w->bob_key, &slot, &id, &err));
	ok(opens(w, w->bob_key));
	ok(opens(w, w->ann_key));
}

/* ---- cut short ---- */

static void an_add_that_was_cut_short_opens_nothing_and_can_be_cleared(void **state)
{
	struct world *w = *state;
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Bob") };
	uint64_t before = head(w);
	struct holder_id id;
	struct look found;
	struct keys *k;

	ok(keys_new_holder(w->ann->keys, ROLE_FULL, &k, &err));
	id = keys_holder(k);
	ok(holder_objects_put(w->ann->store, w->ann->keys, k, w->bob_key, &slot, &err));
	keys_free(&k);
	FAILS(ERR_WRONG_KEY, opens(w, w->bob_key));
	assert_non_null(strstr(err.text, "never announced"));
	found = look(w, id);
	assert_int_equal(found.info.state, KEY_UNFINISHED);
	ok(repo_key_remove(w->ann, &id, &err));
	assert_int_equal(look(w, id).all, 1);
	assert_int_equal(head(w), before);
	(void)add(w, ROLE_FULL, w->bob_key, "Bob");
	ok(opens(w, w->bob_key));
}

/* Whoever was told that the outcome is unknown was also told to give the same command again, with the same key file. */
static void an_add_that_was_cut_short_can_be_done_again_with_the_same_key(void **state)
{
	struct world *w = *state;
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Bob") };
	struct holder_id left, added;
	struct keys *k;

	ok(keys_new_holder(w->ann->keys, ROLE_FULL, &k, &err));
	left = keys_holder(k);
	ok(holder_objects_put(w->ann->store, w->ann->keys, k, w->bob_key, &slot, &err));
	keys_free(&k);
	added = add(w, ROLE_FULL, w->bob_key, "Bob");
	ok(opens(w, w->bob_key));
	assert_int_equal(look(w, added).info.state, KEY_VALID);
	assert_int_equal(look(w, left).all, 2);
	slot.label = SPAN_LIT("Bob again");
	FAILS(ERR_EXISTS, repo_key_add(w->ann, ROLE_FULL, w->bob_key, &slot, &left, &err));
	ok(opens(w, w->bob_key));
}

static void a_key_whose_label_is_damaged_is_not_told_as_missing(void **state)
{
	struct world *w = *state;
	struct holder_id bob = add(w, ROLE_FULL, w->bob_key, "Bob"), found;
	struct key_path label = key_path_of(bob, KEY_LABEL);

	ok(store_delete(w->ann->store, label.text, &err));
	FAILS(ERR_NOT_FOUND, repo_key_find(w->ann, "Bob", &found, &err));
	ok(store_put(w->ann->store, label.text, SPAN_LIT("rubbish"), &err));
	FAILS(ERR_CORRUPT, repo_key_find(w->ann, "Bob", &found, &err));
	assert_non_null(strstr(err.text, "labels of 1 cannot"));
	ok(repo_key_find(w->ann, "Ann", &found, &err));
	ok(repo_key_find(w->ann, look(w, bob).info.id_hex, &found, &err));
	assert_memory_equal(&found, &bob, sizeof bob);
}

static void what_a_cut_add_left_is_not_in_the_way_of_the_same_add(void **state)
{
	struct world *w = *state;
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("Bob") };
	struct secret *other = key_of(8);
	struct holder_id left, added, found;
	struct keys *k;

	ok(keys_new_holder(w->ann->keys, ROLE_FULL, &k, &err));
	left = keys_holder(k);
	ok(holder_objects_put(w->ann->store, w->ann->keys, k, w->bob_key, &slot, &err));
	keys_free(&k);
	ok(repo_key_find(w->ann, "Bob", &found, &err));
	assert_memory_equal(&found, &left, sizeof left);
	added = add(w, ROLE_FULL, other, "Bob");
	ok(opens(w, other));
	ok(repo_key_find(w->ann, "Bob", &found, &err));
	assert_memory_equal(&found, &added, sizeof added);
	secret_free(&other);
}

static void copy_object(struct world *w, const char *name, struct buf *out)
{
	ok(store_get(w->ann->store, name, BUNDLE_BYTES_MAX, out, &err));
}

static void a_removal_that_was_cut_short_opens_nothing_and_can_be_ended(void **state)
{
	struct world *w = *state;
	struct holder_id id = add(w, ROLE_FULL, w->bob_key, "Bob");
	struct key_path slot = key_path_of(id, KEY_SLOT), bundle = key_path_of(id, KEY_BUNDLE);
	struct buf slot_bytes = BUF_EMPTY, bundle_bytes = BUF_EMPTY;
	uint64_t after;

	copy_object(w, slot.text, &slot_bytes);
	copy_object(w, bundle.text, &bundle_bytes);
	ok(repo_key_remove(w->ann, &id, &err));
	assert_int_equal(look(w, id).info.state, KEY_REMOVED);
	assert_int_equal(look(w, id).info.slots, 0);
	after = head(w);
	/* As if the deletes had never come, or somebody put a copy back. */
	ok(store_put(w->ann->store, slot.text, buf_span(&slot_bytes), &err));
	ok(store_put(w->ann->store, bundle.text, buf_span(&bundle_bytes), &err));
	FAILS(ERR_WRONG_KEY, opens(w, w->bob_key));
	assert_non_null(strstr(err.text, "was removed"));
	assert_int_equal(look(w, id).info.slots, 1);
	ok(repo_key_remove(w->ann, &id, &err));
	assert_int_equal(look(w, id).info.slots, 0);
	assert_int_equal(head(w), after);
	buf_release(&slot_bytes);
	buf_release(&bundle_bytes);
}

static void a_change_that_was_cut_short_leaves_both_and_can_be_ended(void **state)
{
	struct world *w = *state;
	struct holder_id ann = keys_holder(w->ann->keys);
	struct key_path slot = key_path_of(ann, KEY_SLOT);
	struct secret *second = key_of(6), *third = key_of(7);
	struct buf old = BUF_EMPTY;

	copy_object(w, slot.text, &old);
	ok(repo_key_change(w->ann, second, SLOT_KEY_FILE, &err));
	FAILS(ERR_WRONG_KEY, opens(w, w->ann_key));
	ok(store_put(w->ann->store, slot.text, buf_span(&old), &err));
	ok(opens(w, w->ann_key));
	ok(opens(w, second));
	assert_int_equal(look(w, ann).info.slots, 2);
	ok(repo_key_change(w->ann, third, SLOT_KEY_FILE, &err));
	FAILS(ERR_WRONG_KEY, opens(w, w->ann_key));
	FAILS(ERR_WRONG_KEY, opens(w, second));
	ok(opens(w, third));
	FAILS(ERR_EXISTS, repo_key_change(w->ann, third, SLOT_KEY_FILE, &err));
	/* The same change, by who still has the old one. */
	ok(store_put(w->ann->store, slot.text, buf_span(&old), &err));
	repo_free(&w->ann);
	ok(open_as(w, w->ann_key, &w->ann));
	ok(repo_key_change(w->ann, third, SLOT_KEY_FILE, &err));
	FAILS(ERR_WRONG_KEY, opens(w, w->ann_key));
	ok(opens(w, third));
	assert_int_equal(look(w, ann).info.slots, 1);
	secret_free(&second);
	secret_free(&third);
	buf_release(&old);
}

/* The n-th allocation fails, for every n: the new key opens or it does not, and the old one always does. */
static void adding_without_memory_leaves_nothing_half(void **state)
{
	struct world *w = *state;
	enum err_code rc = ERR_NO_MEMORY;

	for (uint32_t n = 1; rc; n++) {
		struct slot_options slot = { .kind = SLOT_KEY_FILE };
		struct secret *key = key_of(1000 + n);
		struct holder_id id;

		repo_free(&w->ann);
		ok(open_as(w, w->ann_key, &w->ann));
		mem_fail_nth(n);
		rc = repo_key_add(w->ann, ROLE_FULL, key, &slot, &id, &err);
		mem_fail_nth(0);
		assert_true(n < 5000);
		if (!rc)
			ok(opens(w, key));
		else if (rc != ERR_OUTCOME_UNKNOWN)
			FAILS(ERR_WRONG_KEY, opens(w, key));
		secret_free(&key);
	}
	ok(opens(w, w->ann_key));
}

/* ---- names of objects ---- */

static void only_our_names_are_keys(void **state)
{
	static const char holder[] = "key/00112233445566778899aabbccddeeff";
	static const struct {
		const char *tail;
		enum key_object want;
	} names[] = { { "", KEY_SLOT },
		      { ".0123abcd", KEY_SLOT_LATER },
		      { ".bundle", KEY_BUNDLE },
		      { ".label", KEY_LABEL },
		      { ".0123abc", KEY_OTHER },
		      { ".0123abcde", KEY_OTHER },
		      { ".0123abcg", KEY_OTHER },
		      { "0", KEY_OTHER },
		      { ".bundle.bak", KEY_OTHER } };
	struct holder_id id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char name[100];

		snprintf(name, sizeof name, "%s%s", holder, names[i].tail);
		assert_int_equal(key_path_parse(name, &id), names[i].want);
	}
	assert_int_equal(id.bytes[1], 0x11);
	assert_int_equal(key_path_parse("key/0011", &id), KEY_OTHER);
	for (int what = KEY_SLOT; what <= KEY_LABEL; what++)
		assert_int_equal(key_path_parse(key_path_of(id, (enum key_object)what).text, &id), what);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
	static const struct CMUnitTest tests[] = {
		STORY(a_removed_holder_can_append_nothing),
		STORY(a_keeper_forgets_and_nothing_else),
		STORY(the_last_full_holder_stays),
		STORY(labels_and_secrets_are_not_given_twice),
		STORY(a_secret_that_may_open_the_repository_already_is_not_given_again),
		STORY(an_add_that_was_cut_short_opens_nothing_and_can_be_cleared),
		STORY(an_add_that_was_cut_short_can_be_done_again_with_the_same_key),
		STORY(a_key_whose_label_is_damaged_is_not_told_as_missing),
		STORY(what_a_cut_add_left_is_not_in_the_way_of_the_same_add),
		STORY(a_removal_that_was_cut_short_opens_nothing_and_can_be_ended),
		STORY(a_change_that_was_cut_short_leaves_both_and_can_be_ended),
		STORY(adding_without_memory_leaves_nothing_half),
		cmocka_unit_test(only_our_names_are_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
