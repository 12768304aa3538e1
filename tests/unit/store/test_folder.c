/* What only a store in a local folder has: its files on the disk, and what others do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store/store.h"
#include "store/folder/folder_internal.h"

static struct err err;
static char root[64];
static char path_text[512];

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		enum err_code got_ = (call);                                                                           \
		if (got_)                                                                                              \
			fail_msg("%s: %s (%s)", #call, err.text, err_code_name(got_));                                 \
	} while (0)
#define FAILS(want, call) assert_string_equal(err_code_name(call), err_code_name(want))

static const enum create_way ways[] = { CREATE_TMPFILE, CREATE_LINK, CREATE_RENAME };

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/mailhold-folder-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	OK(file_remove_tree(root, &err));
	return 0;
}

/* Good until the next call. */
static const char *in_root(const char *name)
{
	snprintf(path_text, sizeof path_text, "%s/%s", root, name);
	return path_text;
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(in_root(name), &st), 0);
	return st.st_mode & 07777;
}

static size_t entries_in(const char *name)
{
	DIR *folder = opendir(in_root(name));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static void write_file(const char *name, const char *text)
{
	OK(file_replace(in_root(name), span_cstr(text), 0600, false, &err));
}

static enum err_code count_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)bytes;
	(void)e;
	++*(size_t *)ctx;
	return ERR_OK;
}

static size_t objects(struct store *s)
{
	size_t count = 0;

	OK(store_list(s, "", count_one, &count, &err));
	return count;
}

static void create_makes_a_private_folder_and_only_tmp_in_it(void **state)
{
	struct store *s;
	char url[128];

	(void)state;
	snprintf(url, sizeof url, "file:%s/new/deep", root);
	OK(store_create(url, &s, &err));
	assert_string_equal(store_url(s), url);
	assert_int_equal(mode_of("new/deep"), 0700);
	assert_int_equal(entries_in("new/deep"), 1);
	assert_int_equal(entries_in("new/deep/tmp"), 0);
	assert_int_equal(objects(s), 0);
	store_free(&s);
	OK(store_open(in_root("new/deep"), &s, &err));
	store_free(&s);
	OK(store_create(url, &s, &err)); /* an init that was cut off is begun again */
	store_free(&s);
}

static void create_refuses_a_folder_that_holds_anything(void **state)
{
	struct store *s = NULL;

	(void)state;
	write_file("holiday.jpg", "not ours");
	FAILS(ERR_EXISTS, store_create(root, &s, &err));
	assert_null(s);
	assert_non_null(strstr(err.text, root));
	assert_int_equal(entries_in(""), 1); /* and left it alone */
	unlink(in_root("holiday.jpg"));
	assert_int_equal(mkdir(in_root("lost+found"), 0700), 0); /* a freshly formatted disk */
	OK(store_create(root, &s, &err));
	store_free(&s);
}

static void open_tells_missing_from_strange(void **state)
{
	struct store *s = NULL;

	(void)state;
	FAILS(ERR_NO_REPOSITORY, store_open(in_root("none"), &s, &err));
	write_file("file", "x");
	FAILS(ERR_NO_REPOSITORY, store_open(in_root("file"), &s, &err));
	FAILS(ERR_USAGE, store_open("", &s, &err));
	FAILS(ERR_USAGE, store_open("file:", &s, &err));
	FAILS(ERR_UNSUPPORTED, store_open("gopher://host/x", &s, &err));
	FAILS(ERR_IO, store_create(in_root("file"), &s, &err));
	FAILS(ERR_IO, store_create(in_root("file/below"), &s, &err));
	assert_null(s);
}

static void objects_are_private_files_and_leave_nothing_in_tmp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct store_draft *d;
		struct store *s;
		char place[128];

		snprintf(place, sizeof place, "%s/%zu", root, i);
		OK(store_create(place, &s, &err));
		atomic_store(&folder_of(s)->create_way, (int)ways[i]);
		OK(store_put(s, "key/aa", SPAN_LIT("x"), &err));
		FAILS(ERR_EXISTS, store_put(s, "key/aa", SPAN_LIT("y"), &err));
		OK(store_draft_open(s, &d, &err));
		OK(store_draft_write(d, SPAN_LIT("z"), &err));
		OK(store_draft_commit(&d, "pack/0f/bb", &err));
		OK(store_draft_open(s, &d, &err));
		store_draft_free(&d);
		store_free(&s);
		snprintf(place, sizeof place, "%zu/key/aa", i);
		assert_int_equal(mode_of(place), 0400);
		snprintf(place, sizeof place, "%zu/pack/0f", i);
		assert_int_equal(mode_of(place), 0700);
		snprintf(place, sizeof place, "%zu/pack/0f/bb", i);
		assert_int_equal(mode_of(place), 0400);
		snprintf(place, sizeof place, "%zu/tmp", i);
		assert_int_equal(entries_in(place), 0);
	}
}

static void this_file_system_is_probed_once_and_nothing_remains(void **state)
{
	struct store *s;

	(void)state;
	OK(store_create(root, &s, &err));
	assert_int_equal(atomic_load(&folder_of(s)->create_way), CREATE_UNKNOWN);
	OK(store_put(s, "a", SPAN_EMPTY, &err));
	assert_int_not_equal(atomic_load(&folder_of(s)->create_way), CREATE_UNKNOWN);
	assert_int_equal(entries_in("tmp"), 0);
	atomic_store(&folder_of(s)->create_way, CREATE_NONE);
	FAILS(ERR_UNSUPPORTED, store_put(s, "b", SPAN_EMPTY, &err));
	store_free(&s);
}

static void foreign_files_are_not_listed(void **state)
{
	struct store *s;

	(void)state;
	OK(store_create(root, &s, &err));
	OK(store_put(s, "pack/aa/one", SPAN_EMPTY, &err));
	write_file("Thumbs.db", "x");
	write_file("pack/aa/.nfs0001", "x");
	write_file("pack/aa/two (copy)", "x");
	write_file("tmp/0123456789abcdef", "left by a killed run");
	assert_int_equal(symlink("one", in_root("pack/aa/link")), 0);
	assert_int_equal(mkfifo(in_root("pack/aa/fifo"), 0600), 0);
	assert_int_equal(objects(s), 1);
	store_free(&s);
}

static void what_is_no_plain_file_is_damage_and_does_not_hang(void **state)
{
	struct buf out = BUF_EMPTY;
	struct store *s;
	uint64_t bytes;
	uint8_t byte;

	(void)state;
	OK(store_create(root, &s, &err));
	assert_int_equal(mkfifo(in_root("fifo"), 0600), 0);
	assert_int_equal(symlink("/etc/passwd", in_root("link")), 0);
	FAILS(ERR_CORRUPT, store_get(s, "fifo", 100, &out, &err));
	FAILS(ERR_CORRUPT, store_get_range(s, "fifo", 0, 1, &byte, &err));
	FAILS(ERR_CORRUPT, store_size(s, "fifo", &bytes, &err));
	FAILS(ERR_CORRUPT, store_get(s, "link", 100000, &out, &err));
	FAILS(ERR_CORRUPT, store_size(s, "link", &bytes, &err));
	store_free(&s);
}

static void folders_that_were_removed_are_made_again(void **state)
{
	struct store *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		char name[32];

		OK(store_create(in_root("r"), &s, &err));
		atomic_store(&folder_of(s)->create_way, (int)ways[i]);
		snprintf(name, sizeof name, "pack/aa/%zu", i);
		OK(store_put(s, name, SPAN_EMPTY, &err));
		OK(file_remove_tree(in_root("r/pack"), &err));
		OK(file_remove_tree(in_root("r/tmp"), &err));
		OK(store_put(s, name, SPAN_LIT("again"), &err));
		assert_int_equal(objects(s), 1);
		store_free(&s);
		OK(file_remove_tree(in_root("r"), &err));
	}
}

static void a_file_in_place_of_a_folder_is_an_error_with_its_path(void **state)
{
	struct store_draft *d;
	struct store *s;

	(void)state;
	OK(store_create(root, &s, &err));
	write_file("pack", "a file");
	FAILS(ERR_IO, store_put(s, "pack/aa/x", SPAN_EMPTY, &err));
	assert_non_null(strstr(err.text, root));
	OK(store_draft_open(s, &d, &err));
	FAILS(ERR_IO, store_draft_commit(&d, "pack/x", &err));
	assert_int_equal(entries_in("tmp"), 0);
	store_free(&s);
	OK(file_remove_tree(in_root("tmp"), &err));
	write_file("tmp", "a file");
	OK(store_open(root, &s, &err));
	FAILS(ERR_IO, store_put(s, "x", SPAN_EMPTY, &err));
	FAILS(ERR_IO, store_draft_open(s, &d, &err));
	store_free(&s);
}

static void a_store_that_was_removed_is_an_error(void **state)
{
	struct store *s;

	(void)state;
	OK(store_create(in_root("gone"), &s, &err));
	OK(file_remove_tree(in_root("gone"), &err));
	FAILS(ERR_IO, store_put(s, "x", SPAN_EMPTY, &err));
	store_free(&s);
}

/* /proc/self belongs to root in a process that forbids core dumps; it must serve its own process all the same. */
static void a_plain_user_without_core_dumps_can_write(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(chown(root, 65534, 65534), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store *s = NULL;
		int way = 0;

		if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
			_exit(9);
		if (store_create(root, &s, &err) || store_put(s, "pack/aa/x", SPAN_LIT("x"), &err))
			_exit(1);
		way = atomic_load(&folder_of(s)->create_way);
		store_free(&s);
		_exit(way == CREATE_TMPFILE || way == CREATE_LINK ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a mount namespace of its own: 0 as hoped, 77 when this machine does not allow it. */
static int fill_a_small_disk(void)
{
	static uint8_t much[700 * 1024];
	struct store_draft *d = NULL;
	struct store *s = NULL;

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", root, "tmpfs", 0, "size=1m") != 0)
		return 77;
	if (store_create(root, &s, &err) || store_put(s, "pack/one", span_of(much, sizeof much), &err))
		return 1;
	if (store_put(s, "pack/two", span_of(much, sizeof much), &err) != ERR_NO_SPACE || !strstr(err.text, root))
		return 2;
	if (store_draft_open(s, &d, &err) || store_draft_write(d, span_of(much, sizeof much), &err) != ERR_NO_SPACE)
		return 3;
	if (store_draft_write(d, SPAN_LIT("x"), &err) != ERR_STATE ||
	    store_draft_commit(&d, "pack/two", &err) != ERR_STATE || d)
		return 4;
	if (objects(s) != 1 || entries_in("tmp") != 0)
		return 5;
	/* What failed left its room behind. */
	if (store_put(s, "pack/three", span_of(much, 100 * 1024), &err))
		return 6;
	store_free(&s);
	return 0;
}

static void a_full_disk_is_told_as_such_and_leaves_nothing_half_written(void **state)
{
	pid_t child;
	int status;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(fill_a_small_disk());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(create_makes_a_private_folder_and_only_tmp_in_it),
		T(create_refuses_a_folder_that_holds_anything),
		T(open_tells_missing_from_strange),
		T(objects_are_private_files_and_leave_nothing_in_tmp),
		T(this_file_system_is_probed_once_and_nothing_remains),
		T(foreign_files_are_not_listed),
		T(what_is_no_plain_file_is_damage_and_does_not_hang),
		T(folders_that_were_removed_are_made_again),
		T(a_file_in_place_of_a_folder_is_an_error_with_its_path),
		T(a_store_that_was_removed_is_an_error),
		T(a_plain_user_without_core_dumps_can_write),
		T(a_full_disk_is_told_as_such_and_leaves_nothing_half_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
