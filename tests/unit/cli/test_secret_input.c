#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/secret_input.h"

static char folder[] = "/tmp/mailhold-secret-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	struct err e;

	(void)state;
	snprintf(path, sizeof path, "%s/file", mkdtemp(folder));
	unsetenv("MAILHOLD_KEY_FILE");
	unsetenv("MAILHOLD_PASSWORD_FILE");
	unsetenv("MAILHOLD_PASSWORD_COMMAND");
	unsetenv("MAILHOLD_PASSWORD");
	return crypto_start(&e) != ERR_OK;
}

static int remove_folder(void **state)
{
	struct err e;

	(void)state;
	return file_remove_tree(folder, &e) != ERR_OK;
}

static void write_text(const char *text)
{
	struct err e;

	assert_int_equal(file_replace(path, span_cstr(text), 0600, false, &e), ERR_OK);
}

static void check_secret(const struct secret_options *o, const char *want)
{
	struct secret_got got;
	struct err e = { 0 };

	if (secret_input(o, &got, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_true(span_equal(secret_span(got.secret), span_cstr(want)));
	assert_int_equal(got.kind, SLOT_PASSWORD);
	secret_free(&got.secret);
}

static void a_password_is_the_first_line_of_its_file(void **state)
{
	struct secret_options o = { .password_file = path };

	(void)state;
	write_text("correct horse\nsecond line\n");
	check_secret(&o, "correct horse");
	write_text("no line end");
	check_secret(&o, "no line end");
	write_text("dos\r\n");
	check_secret(&o, "dos");
}

static void empty_and_long_passwords_are_refused(void **state)
{
	char text[PASSWORD_BYTES_MAX + 2];
	struct secret *got = NULL;
	struct err e;

	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(password_first_line(SPAN_EMPTY, &got, &e), ERR_USAGE);
	assert_int_equal(password_first_line(SPAN_LIT("\nmore"), &got, &e), ERR_USAGE);
	assert_int_equal(password_first_line(span_of(text, PASSWORD_BYTES_MAX + 1), &got, &e), ERR_LIMIT);
	assert_null(got);
	assert_int_equal(password_first_line(span_of(text, PASSWORD_BYTES_MAX), &got, &e), ERR_OK);
	secret_free(&got);
}

static void a_command_prints_the_password(void **state)
{
	struct secret_options o = { .password_command = "printf 'pw of %s\\nrest' ann" };
	struct secret_got got;
	struct err e;

	(void)state;
	check_secret(&o, "pw of ann");
	o.password_command = "echo pw; exit 3";
	assert_int_equal(secret_input(&o, &got, &e), ERR_IO);
	assert_null(strstr(e.text, "pw"));
	o.password_command = "kill -9 $$";
	assert_int_equal(secret_input(&o, &got, &e), ERR_IO);
	o.password_command = "yes | head -c 1000000 | tr -d '\\n'";
	assert_int_equal(secret_input(&o, &got, &e), ERR_LIMIT);
}

static void the_environment_serves_when_nothing_was_given(void **state)
{
	struct secret_options none = { 0 }, file = { .password_file = path };
	struct err e;

	(void)state;
	write_text("from file\n");
	setenv("MAILHOLD_PASSWORD", "from environment", 1);
	assert_int_equal(secret_take_environment(&e), ERR_OK);
	assert_null(getenv("MAILHOLD_PASSWORD"));
	check_secret(&none, "from environment");
	check_secret(&file, "from file");
	setenv("MAILHOLD_PASSWORD_COMMAND", "echo from command", 1);
	check_secret(&none, "from command");
	setenv("MAILHOLD_PASSWORD_FILE", path, 1);
	check_secret(&none, "from file");
	unsetenv("MAILHOLD_PASSWORD_FILE");
	unsetenv("MAILHOLD_PASSWORD_COMMAND");
	secret_drop_environment();
}

static void two_ways_at_once_are_refused(void **state)
{
	struct secret_options o = { .password_file = path, .key_file = path };
	struct secret_got got;
	struct err e;

	(void)state;
	assert_int_equal(secret_input(&o, &got, &e), ERR_USAGE);
}

static void a_key_file_is_made_once_and_read_again(void **state)
{
	char key_path[80];
	struct secret_options o = { .key_file = key_path, .create = true };
	struct secret_got first, second;
	struct stat st;
	struct err e = { 0 };

	(void)state;
	snprintf(key_path, sizeof key_path, "%s/key", folder);
	assert_int_equal(secret_input(&o, &first, &e), ERR_OK);
	assert_true(first.key_file_created);
	assert_int_equal(first.kind, SLOT_KEY_FILE);
	assert_int_equal(secret_span(first.secret).len, SLOT_KEY_FILE_BYTES);
	assert_int_equal(stat(key_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 2 * SLOT_KEY_FILE_BYTES + 1);
	assert_int_equal(secret_input(&o, &second, &e), ERR_OK);
	assert_false(second.key_file_created);
	assert_true(span_equal(secret_span(first.secret), secret_span(second.secret)));
	secret_free(&first.secret);
	secret_free(&second.secret);
	unlink(key_path);
	o.create = false;
	assert_int_equal(secret_input(&o, &first, &e), ERR_NOT_FOUND);
}

static void a_key_file_holds_hex_or_raw_bytes_and_nothing_else(void **state)
{
	static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	struct secret *got = NULL;
	uint8_t raw[32];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)i;
	assert_int_equal(key_file_decode(span_of(raw, sizeof raw), &got, &e), ERR_OK);
	secret_free(&got);
	assert_int_equal(key_file_decode(span_cstr(hex), &got, &e), ERR_OK);
	assert_true(span_equal(secret_span(got), span_of(raw, sizeof raw)));
	secret_free(&got);
	for (size_t len = 0; len < 64; len++)
		if (len != SLOT_KEY_FILE_BYTES) {
			assert_int_equal(key_file_decode(span_of(hex, len), &got, &e), ERR_USAGE);
			assert_null(got);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_the_first_line_of_its_file),
		cmocka_unit_test(empty_and_long_passwords_are_refused),
		cmocka_unit_test(a_command_prints_the_password),
		cmocka_unit_test(the_environment_serves_when_nothing_was_given),
		cmocka_unit_test(two_ways_at_once_are_refused),
		cmocka_unit_test(a_key_file_is_made_once_and_read_again),
		cmocka_unit_test(a_key_file_holds_hex_or_raw_bytes_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
