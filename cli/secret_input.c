#include "secret_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/stop.h"
#include "base/text.h"
#include "child.h"
#include "key_sheet.h"

enum { KEY_FILE_TEXT_BYTES = 2 * SLOT_KEY_FILE_BYTES, KEY_WAIT_MS = 200 };

/* The two repositories that a command may open, and how the user calls what opens them. */
enum which { MAIN, TARGET, REPOSITORIES };
static const struct {
	const char *key_file, *password_file, *password_command, *password; /* in the environment */
	const char *prompt, *give_one;
} words[REPOSITORIES] = {
	[MAIN] = { "MAILHOLD_KEY_FILE", "MAILHOLD_PASSWORD_FILE", "MAILHOLD_PASSWORD_COMMAND", "MAILHOLD_PASSWORD",
	           "Password of the repository: ", "give one of --key-file, --password-file and --password-command" },
	[TARGET] = { "MAILHOLD_TO_KEY_FILE", "MAILHOLD_TO_PASSWORD_FILE", "MAILHOLD_TO_PASSWORD_COMMAND",
	             "MAILHOLD_TO_PASSWORD", "Password of the repository to copy to: ",
	             "give one of --to-key-file, --to-password-file and --to-password-command" }
};
static struct secret *from_environment[REPOSITORIES];

static enum err_code take_environment(enum which which, struct err *e)
{
	char *value = getenv(words[which].password);
	enum err_code rc;

	if (!value)
		return ERR_OK;
	rc = secret_new(span_cstr(value), &from_environment[which], e);
	/* Also what /proc/PID/environ shows. */
	explicit_bzero(value, strlen(value));
	unsetenv(words[which].password);
	return rc;
}

enum err_code secret_take_environment(struct err *e)
{
	enum err_code rc = take_environment(MAIN, e);

	return rc ? rc : take_environment(TARGET, e);
}

void secret_drop_environment(void)
{
	secret_free(&from_environment[MAIN]);
	secret_free(&from_environment[TARGET]);
}

enum err_code key_file_decode(struct span text, struct secret **out, struct err *e)
{
	uint8_t key[SLOT_KEY_FILE_BYTES];
	struct span digits = text;
	enum err_code rc;

	if (text.len == SLOT_KEY_FILE_BYTES)
		return secret_new(text, out, e);
	while (digits.len && (digits.ptr[digits.len - 1] == '\n' || digits.ptr[digits.len - 1] == '\r'))
		digits.len--;
	if (!text_unhex(digits, key, sizeof key)) {
		rc = key_sheet_decode(text, key, e);
		if (rc)
			return rc;
	}
	rc = secret_new(span_of(key, sizeof key), out, e);
	explicit_bzero(key, sizeof key);
	return rc;
}

typedef enum err_code (*secret_decode)(struct span text, struct secret **out, struct err *e);

static enum err_code read_file(const char *path, secret_decode decode, struct secret **out, struct err *e)
{
	uint8_t text[KEY_SHEET_BYTES_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	enum err_code rc;

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", text_name(span_cstr(path)).text);
	rc = file_drain(fd, "the file", text, sizeof text, &len, e);
	close(fd);
	if (!rc)
		rc = decode(span_of(text, len), out, e);
	explicit_bzero(text, sizeof text);
	return rc ? err_note(e, "reading %s", text_name(span_cstr(path)).text) : ERR_OK;
}

static enum err_code create_key_file(const char *path, struct secret **out, struct err *e)
{
	uint8_t key[SLOT_KEY_FILE_BYTES];
	char text[KEY_FILE_TEXT_BYTES + 2];
	enum err_code rc;

	crypto_random(key, sizeof key);
	text_hex(span_of(key, sizeof key), text);
	memcpy(text + KEY_FILE_TEXT_BYTES, "\n", 2);
	rc = secret_new(span_of(key, sizeof key), out, e);
	/* Without this file the repository is lost: it must be on the disk before the repository is. */
	if (!rc && (rc = file_create(path, span_cstr(text), 0600, e)) != ERR_OK) {
		err_note(e, "making the key file %s", text_name(span_cstr(path)).text);
		secret_free(out);
	}
	explicit_bzero(key, sizeof key);
	explicit_bzero(text, sizeof text);
	return rc;
}

static enum err_code use_key_file(const char *path, bool create, struct secret_got *out, struct err *e)
{
	out->kind = SLOT_KEY_FILE;
	out->key_file = path;
	if (create && access(path, F_OK) != 0) {
		if (errno != ENOENT)
			return err_sys(e, errno, "cannot look at the key file %s", text_name(span_cstr(path)).text);
		out->key_file_created = true;
		return create_key_file(path, &out->secret, e);
	}
	return read_file(path, key_file_decode, &out->secret, e);
}

static enum err_code first_line(struct span text, size_t max, const char *what, struct secret **out, struct err *e)
{
	const uint8_t *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
	struct span line = end ? span_of(text.ptr, (size_t)(end - text.ptr)) : text;

	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0)
		return err_set(e, ERR_USAGE, "the %s is empty", what);
	if (line.len > max)
		return err_set(e, ERR_LIMIT, "the %s is longer than %zu bytes", what, max);
	return secret_new(line, out, e);
}

enum err_code password_first_line(struct span text, struct secret **out, struct err *e)
{
	return first_line(text, PASSWORD_BYTES_MAX, "password", out, e);
}

/* WHAT it prints: "password" or "token", of at most MAX bytes. */
static enum err_code run_command(const char *command, const char *account, size_t max, const char *what,
                                 struct secret **out, struct err *e)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	const struct child c = { .argv = argv, .account = account };
	uint8_t text[TOKEN_BYTES_MAX + 64];
	size_t len = 0;
	int status;
	enum err_code rc = child_run(&c, text, max + 64, &len, &status, e);

	if (!rc && status)
		rc = err_set(e, ERR_IO, "the %s command failed with status %d", what, status);
	if (!rc)
		rc = first_line(span_of(text, len), max, what, out, e);
	explicit_bzero(text, sizeof text);
	return rc ? err_note(e, "asking the %s command", what) : ERR_OK;
}

/*
 * Waits for a key. A signal between looking at STOP and waiting would be slept over, so the wait is cut into pieces.
 * ERR_CANCELLED after Ctrl-C, with the line ended that the prompt began.
 */
static enum err_code wait_for_key(int tty, const volatile sig_atomic_t *stop, struct err *e)
{
	struct pollfd p = { .fd = tty, .events = POLLIN };
	int ready = 0;

	while (ready == 0 || (ready < 0 && errno == EINTR)) {
		if (stop_asked(stop)) {
			(void)!write(tty, "\n", 1);
			return err_set(e, ERR_CANCELLED, "interrupted at the password prompt");
		}
		ready = poll(&p, 1, KEY_WAIT_MS);
	}
	return ready < 0 ? err_sys(e, errno, "cannot wait for the terminal") : ERR_OK;
}

/* One line from the terminal; echo is off. */
static enum err_code read_line(int tty, const volatile sig_atomic_t *stop, uint8_t *text, size_t max, size_t *len,
                               struct err *e)
{
	*len = 0;
	while (*len < max) {
		enum err_code rc = wait_for_key(tty, stop, e);
		ssize_t n;

		if (rc)
			return rc;
		n = read(tty, text + *len, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot read the terminal");
		if (n == 0 || text[*len] == '\n')
			return ERR_OK;
		(*len)++;
	}
	return err_set(e, ERR_LIMIT, "the password is longer than %d bytes", PASSWORD_BYTES_MAX);
}

static enum err_code ask(const char *prompt, const volatile sig_atomic_t *stop, struct secret **out, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	uint8_t text[PASSWORD_BYTES_MAX + 2];
	struct termios before, silent;
	size_t len = 0;
	enum err_code rc;

	if (tty < 0 || tcgetattr(tty, &before) != 0) {
		if (tty >= 0)
			close(tty);
		return err_set(e, ERR_USAGE, "no password was given and there is no terminal to ask on");
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ECHONL;
	tcsetattr(tty, TCSAFLUSH, &silent);
	rc = file_write(tty, "the terminal", span_cstr(prompt), e);
	if (!rc)
		rc = read_line(tty, stop, text, sizeof text, &len, e);
	tcsetattr(tty, TCSAFLUSH, &before);
	close(tty);
	if (!rc)
		rc = password_first_line(span_of(text, len), out, e);
	explicit_bzero(text, sizeof text);
	return rc;
}

static enum err_code ask_twice(const volatile sig_atomic_t *stop, struct secret **out, struct err *e)
{
	struct secret *first = NULL, *second = NULL;
	struct span a, b;
	enum err_code rc;

	rc = ask("New password for the repository: ", stop, &first, e);
	if (!rc)
		rc = ask("The same again: ", stop, &second, e);
	if (rc)
		goto done;
	a = secret_span(first);
	b = secret_span(second);
	if (a.len != b.len || !crypto_equal(a.ptr, b.ptr, a.len)) {
		rc = err_set(e, ERR_USAGE, "the two passwords differ");
		goto done;
	}
	*out = first;
	first = NULL;
done:
	secret_free(&first);
	secret_free(&second);
	return rc;
}

static enum err_code from_options(const struct secret_options *o, struct secret_got *out, struct err *e)
{
	if (o->key_file)
		return use_key_file(o->key_file, o->create, out, e);
	if (o->password_file)
		return read_file(o->password_file, password_first_line, &out->secret, e);
	return run_command(o->password_command, NULL, PASSWORD_BYTES_MAX, "password", &out->secret, e);
}

static enum err_code input(const struct secret_options *o, enum which which, struct secret_got *out, struct err *e)
{
	int given = !!o->key_file + !!o->password_file + !!o->password_command;
	struct secret_options env = { .key_file = getenv(words[which].key_file), .create = o->create };

	*out = (struct secret_got){ .kind = SLOT_PASSWORD };
	if (given > 1)
		return err_set(e, ERR_USAGE, "%s", words[which].give_one);
	if (given)
		return from_options(o, out, e);
	if (!env.key_file)
		env.password_file = getenv(words[which].password_file);
	if (!env.password_file)
		env.password_command = getenv(words[which].password_command);
	if (env.key_file || env.password_file || env.password_command)
		return from_options(&env, out, e);
	if (from_environment[which])
		return password_first_line(secret_span(from_environment[which]), &out->secret, e);
	env = (struct secret_options){ .key_file = o->configured_key_file,
		                       .password_file = o->configured_password_file,
		                       .password_command = o->configured_password_command,
		                       .create = o->create };
	if (env.key_file || env.password_file || env.password_command)
		return from_options(&env, out, e);
	out->asked = true;
	return o->create ? ask_twice(o->stop, &out->secret, e) : ask(words[which].prompt, o->stop, &out->secret, e);
}

enum err_code secret_input(const struct secret_options *o, struct secret_got *out, struct err *e)
{
	return input(o, MAIN, out, e);
}

enum err_code secret_input_to(const struct secret_options *o, struct secret_got *out, struct err *e)
{
	return input(o, TARGET, out, e);
}

enum err_code secret_input_new(const struct secret_options *o, struct secret_got *out, struct err *e)
{
	int given = !!o->key_file + !!o->password_file + !!o->password_command;

	*out = (struct secret_got){ .kind = SLOT_PASSWORD };
	if (given > 1)
		return err_set(e, ERR_USAGE,
		               "give one of --new-key-file, --new-password-file and --new-password-command");
	if (given)
		return from_options(o, out, e);
	out->asked = true;
	return ask_twice(o->stop, &out->secret, e);
}

static enum err_code ask_one(const char *prompt, const volatile sig_atomic_t *stop, struct secret **out, struct err *e)
{
	static pthread_mutex_t terminal = PTHREAD_MUTEX_INITIALIZER;
	enum err_code rc;

	pthread_mutex_lock(&terminal);
	rc = ask(prompt, stop, out, e);
	pthread_mutex_unlock(&terminal);
	return rc;
}

/* The two servers that a command may log in to, and how the user calls what logs in there. */
struct server_words {
	const char *file, *command, *give_one;
};

static enum err_code input_server(const struct source_secret *from, const struct server_words *said,
                                  struct secret **out, struct err *e)
{
	const char *file = from->password_file, *command = from->password_command;

	if (!!file + !!command + !!from->token_command > 1)
		return err_set(e, ERR_USAGE, "%s", said->give_one);
	if (from->token_command)
		return run_command(from->token_command, from->account, TOKEN_BYTES_MAX, "token", out, e);
	if (!file && !command && from->environment) {
		file = getenv(said->file);
		if (!file)
			command = getenv(said->command);
	}
	if (file)
		return read_file(file, password_first_line, out, e);
	if (command)
		return run_command(command, from->account, PASSWORD_BYTES_MAX, "password", out, e);
	return ask_one(from->prompt, from->stop, out, e);
}

enum err_code secret_input_source(const struct source_secret *from, struct secret **out, struct err *e)
{
	static const struct server_words said = {
		"MAILHOLD_SOURCE_PASSWORD_FILE", "MAILHOLD_SOURCE_PASSWORD_COMMAND",
		"give one of --source-password-file, --source-password-command and --source-token-command"
	};

	return input_server(from, &said, out, e);
}

enum err_code secret_input_target(const struct source_secret *from, struct secret **out, struct err *e)
{
	static const struct server_words said = {
		"MAILHOLD_TARGET_PASSWORD_FILE", "MAILHOLD_TARGET_PASSWORD_COMMAND",
		"give one of --target-password-file, --target-password-command and --target-token-command"
	};

	return input_server(from, &said, out, e);
}
