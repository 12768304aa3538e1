#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static struct err err;
static char folder[80];

static int begin(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof folder, "%.40s/mailhold-file-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) == NULL;
}

static int end(void **state)
{
	(void)state;
	return file_remove_tree(folder, &err) != ERR_OK;
}

static const char *inside(const char *name)
{
	static char path[120];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static unsigned count_names(void)
{
	DIR *d = opendir(folder);
	unsigned count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count - 2;
}

static void a_created_file_has_its_bytes_and_mode_and_leaves_nothing_else(void **state)
{
	struct buf got = BUF_EMPTY;
	struct stat st;

	(void)state;
	assert_int_equal(file_create(inside("key"), SPAN_LIT("all of it"), 0600, &err), ERR_OK);
	assert_int_equal(file_read(inside("key"), 100, &got, &err), ERR_OK);
	assert_true(span_equal(buf_span(&got), SPAN_LIT("all of it")));
	assert_int_equal(stat(inside("key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(count_names(), 1);
	buf_release(&got);
}

static void creating_never_replaces(void **state)
{
	struct buf got = BUF_EMPTY;

	(void)state;
	assert_int_equal(file_create(inside("key"), SPAN_LIT("first"), 0600, &err), ERR_OK);
	assert_int_equal(file_create(inside("key"), SPAN_LIT("second"), 0600, &err), ERR_EXISTS);
	assert_non_null(strstr(err.text, "/key"));
	assert_int_equal(symlink("nowhere", inside("link")), 0);
	assert_int_equal(file_create(inside("link"), SPAN_LIT("second"), 0600, &err), ERR_EXISTS);
	assert_int_equal(file_read(inside("key"), 100, &got, &err), ERR_OK);
	assert_true(span_equal(buf_span(&got), SPAN_LIT("first")));
	assert_int_equal(count_names(), 2);
	buf_release(&got);
}

static void creating_in_no_folder_names_the_file(void **state)
{
	(void)state;
	assert_int_equal(file_create(inside("not/there"), SPAN_LIT("x"), 0600, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "not/there"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
	static const struct CMUnitTest tests[] = {
		STORY(a_created_file_has_its_bytes_and_mode_and_leaves_nothing_else),
		STORY(creating_never_replaces),
		STORY(creating_in_no_folder_names_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
