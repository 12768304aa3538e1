#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "cli/restore_journal.h"

static char folder[] = "/tmp/mailhold-journal-XXXXXX";
static const struct repo_id repo = { { 1, 2, 3 } };
static const struct snapshot_id snapshot = { { 4, 5, 6 } }, other = { { 7 } };

static int make_folder(void **state)
{
	(void)state;
	return setenv("XDG_STATE_HOME", mkdtemp(folder), 1);
}

static int remove_folder(void **state)
{
	struct err e;

	(void)state;
	return file_remove_tree(folder, &e) != ERR_OK;
}

static void open_it(struct restore_journal *j, const struct snapshot_id *id, const char *target)
{
	struct err e = { 0 };

	if (restore_journal_open(j, &repo, id, target, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

static void the_same_restore_finds_where_it_went(void **state)
{
	struct restore_journal j;
	struct err e;

	(void)state;
	open_it(&j, &snapshot, "/tmp/nowhere/at all");
	assert_false(j.found);
	assert_int_equal(restore_journal_save(&j, "Restored 2026-11-22", &e), ERR_OK);
	restore_journal_release(&j);
	open_it(&j, &snapshot, "maildir:/tmp/./nowhere/at all");
	assert_true(j.found);
	assert_string_equal((const char *)j.into.ptr, "Restored 2026-11-22");
	restore_journal_release(&j);
	open_it(&j, &other, "/tmp/nowhere/at all");
	assert_false(j.found);
	restore_journal_release(&j);
	open_it(&j, &snapshot, "/tmp/nowhere/else");
	assert_false(j.found);
	restore_journal_release(&j);
}

static void a_link_and_its_target_are_one_place(void **state)
{
	struct restore_journal j;
	char real[80], link[80];
	struct err e;

	(void)state;
	snprintf(real, sizeof real, "%s/real", folder);
	snprintf(link, sizeof link, "%s/link", folder);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, link), 0);
	open_it(&j, &snapshot, real);
	assert_int_equal(restore_journal_save(&j, "", &e), ERR_OK);
	restore_journal_release(&j);
	open_it(&j, &snapshot, link);
	assert_true(j.found);
	assert_string_equal((const char *)j.into.ptr, "");
	restore_journal_release(&j);
}

static void a_damaged_journal_counts_as_none(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{\"version\":1}", "{\"version\":2,\"into\":\"x\"}" };
	struct restore_journal j;
	struct err e;

	(void)state;
	open_it(&j, &snapshot, "/tmp/damaged");
	assert_int_equal(restore_journal_save(&j, "x", &e), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct restore_journal again;

		assert_int_equal(file_replace(j.file, span_cstr(texts[i]), 0600, false, &e), ERR_OK);
		open_it(&again, &snapshot, "/tmp/damaged");
		assert_false(again.found);
		restore_journal_release(&again);
	}
	restore_journal_release(&j);
}

static unsigned asked, fail_from, fail_count;

static void *short_malloc(size_t bytes)
{
	asked++;
	return asked >= fail_from && asked - fail_from < fail_count ? NULL : malloc(bytes);
}

/* Overlooking it would put everything once more, into another folder. */
static void a_journal_is_not_overlooked_when_memory_is_short(void **state)
{
	static const unsigned counts[] = { 1, 2, UINT_MAX };
	struct restore_journal j;
	struct err e = { 0 };
	enum err_code rc;

	(void)state;
	open_it(&j, &snapshot, "/tmp/short");
	assert_int_equal(restore_journal_save(&j, "Restored", &e), ERR_OK);
	restore_journal_release(&j);
	json_set_alloc_funcs(short_malloc, free);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		fail_count = counts[i];
		for (fail_from = 1, asked = UINT_MAX; asked >= fail_from; fail_from++) {
			asked = 0;
			rc = restore_journal_open(&j, &repo, &snapshot, "/tmp/short", &e);
			if (rc ? rc != ERR_NO_MEMORY : !j.found)
				fail_msg("allocation %u: %s", fail_from, rc ? e.text : "overlooked");
			restore_journal_release(&j);
		}
		assert_true(fail_from > 10);
	}
	json_set_alloc_funcs(malloc, free);
}

static void without_a_home_nothing_is_kept_and_nothing_fails(void **state)
{
	struct restore_journal j;
	struct err e;

	(void)state;
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	open_it(&j, &snapshot, "/tmp/homeless");
	assert_string_equal(j.file, "");
	assert_int_equal(restore_journal_save(&j, "x", &e), ERR_OK);
	restore_journal_release(&j);
}

static void only_paths_have_a_path(void **state)
{
	(void)state;
	assert_string_equal(restore_target_path("maildir:/a"), "/a");
	assert_string_equal(restore_target_path("a b"), "a b");
	assert_null(restore_target_path("imaps://host/"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_restore_finds_where_it_went),
		cmocka_unit_test(a_link_and_its_target_are_one_place),
		cmocka_unit_test(a_damaged_journal_counts_as_none),
		cmocka_unit_test(a_journal_is_not_overlooked_when_memory_is_short),
		cmocka_unit_test(without_a_home_nothing_is_kept_and_nothing_fails),
		cmocka_unit_test(only_paths_have_a_path),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
