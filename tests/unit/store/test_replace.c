/* Putting back: the name has the old object or the new one, and the old one stays under damaged/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/folder/folder_internal.h"

static struct err err;
static char folder[64];
static struct store *store;

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		enum err_code got_ = (call);                                                                           \
		if (got_)                                                                                              \
			fail_msg("%s: %s (%s)", #call, err.text, err_code_name(got_));                                 \
	} while (0)

#define NAME "pack/ab/object"

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof folder, "%.30s/mailhold-replace-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(folder));
	OK(store_create(folder, &store, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_free(&store);
	OK(file_remove_tree(folder, &err));
	return 0;
}

static void assert_holds(const char *name, const char *want)
{
	struct buf got = BUF_EMPTY;

	OK(store_get(store, name, KIB, &got, &err));
	assert_true(span_equal(buf_span(&got), span_cstr(want)));
	buf_release(&got);
}

static enum err_code put_back(const char *name, const char *text, char *kept)
{
	struct store_draft *d = NULL;

	OK(store_draft_open(store, &d, &err));
	OK(store_draft_write(d, span_cstr(text), &err));
	return store_draft_put_back(&d, name, kept, &err);
}

static size_t files_in_tmp(void)
{
	char path[128];
	size_t count = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/tmp", folder);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *entry; (entry = readdir(d));)
		count += entry->d_name[0] != '.';
	closedir(d);
	return count;
}

static void the_new_bytes_stand_there_and_the_old_are_kept(void **state)
{
	char kept[STORE_NAME_MAX + 1];
	uint8_t byte;

	(void)state;
	OK(store_put(store, NAME, SPAN_LIT("damaged"), &err));
	OK(store_get_range(store, NAME, 0, 1, &byte, &err)); /* a descriptor of the old one is kept open now */
	OK(put_back(NAME, "right", kept));
	assert_holds(NAME, "right");
	assert_int_equal(strncmp(kept, "damaged/" NAME ".", strlen("damaged/" NAME ".")), 0);
	assert_holds(kept, "damaged");
	OK(store_get_range(store, NAME, 0, 1, &byte, &err));
	assert_int_equal(byte, 'r');
	assert_int_equal(files_in_tmp(), 0);
}

static void every_way_of_creating_can_put_back(void **state)
{
	char kept[STORE_NAME_MAX + 1];

	(void)state;
	for (int way = CREATE_TMPFILE; way <= CREATE_RENAME; way++) {
		static const char *const texts[] = { "", "unnamed", "link", "rename" };

		folder_of(store)->create_way = way;
		OK(put_back(NAME, texts[way], kept));
		assert_holds(NAME, texts[way]);
		if (way != CREATE_TMPFILE)
			assert_holds(kept, texts[way - 1]);
		assert_int_equal(files_in_tmp(), 0);
	}
}

static void what_is_not_there_is_made_and_nothing_is_kept(void **state)
{
	char kept[STORE_NAME_MAX + 1] = "x";

	(void)state;
	OK(put_back(NAME, "new", kept));
	assert_holds(NAME, "new");
	assert_string_equal(kept, "");
	OK(put_back(NAME, "newer", NULL));
	assert_holds(NAME, "newer");
}

static void two_damages_of_one_name_are_both_kept(void **state)
{
	char first[STORE_NAME_MAX + 1], second[STORE_NAME_MAX + 1];

	(void)state;
	OK(store_put(store, NAME, SPAN_LIT("one"), &err));
	OK(put_back(NAME, "two", first));
	OK(put_back(NAME, "three", second));
	assert_string_not_equal(first, second);
	assert_holds(first, "one");
	assert_holds(second, "two");
}

static void a_name_that_cannot_be_put_back_is_left_alone(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/pack", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_not_equal(put_back("pack", "a folder stands there", NULL), ERR_OK);
	assert_int_equal(put_back("tmp/x", "no object", NULL), ERR_USAGE);
	assert_int_equal(files_in_tmp(), 0);
	assert_int_equal(rmdir(path), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_new_bytes_stand_there_and_the_old_are_kept), T(every_way_of_creating_can_put_back),
		T(what_is_not_there_is_made_and_nothing_is_kept),  T(two_damages_of_one_name_are_both_kept),
		T(a_name_that_cannot_be_put_back_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
