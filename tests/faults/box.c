#include "box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/cli.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define LEAKS_BY_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKS_BY_SANITIZER 1
#endif

/* RocksDB names its threads; a parent on a busy machine pays for it in wait4() (tests/disk/tape.c). */
int pthread_setname_np(pthread_t thread, const char *name)
{
	(void)thread;
	(void)name;
	return 0;
}

void box_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t box_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t box_seed(const char *test)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec * 2654435761u % 1000000007u;
	printf("%s: seed %" PRIu64 " (MAILHOLD_TEST_SEED repeats it)\n", test, seed);
	fflush(stdout);
	return seed;
}

/* ---- the mails ---- */

static void put_file(const struct box *b, const char *name, const char *bytes, size_t count)
{
	char path[BOX_PATH_MAX + 200], folder[BOX_PATH_MAX + 200];
	struct err e;
	FILE *f;

	snprintf(path, sizeof path, "%s/source/%s", b->folder, name);
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = 0;
	if (file_make_folders(folder, 0700, &e))
		box_die("%s", e.text);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, count, f) != count || fclose(f) != 0)
		box_die("%s cannot be written", path);
}

/* Lines of base64 that say what NUMBER says: COUNT of them, 54 bytes each. */
static size_t put_base64(char *at, unsigned number, size_t count)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t state = number;
	size_t used = 0;

	for (size_t line = 0; line < count; line++) {
		for (int i = 0; i < 72; i++)
			at[used++] = alphabet[box_random(&state) >> 58];
		at[used++] = '\r';
		at[used++] = '\n';
	}
	return used;
}

/* One mail; with PARTS attachments of 1.6 KiB each. */
static void put_mail(const struct box *b, const char *folder, unsigned number, unsigned parts)
{
	static char text[256 * 1024];
	char name[100];
	size_t used;

	used = (size_t)snprintf(text, sizeof text,
	                        "From: Person %u <p%u@example.org>\r\nTo: list@example.net\r\n"
	                        "Subject: =?utf-8?q?Angebot_f=C3=BCr?= number %u\r\nMessage-ID: <%u@example.org>\r\n"
	                        "Date: Mon, 02 Jan 2023 10:%02u:00 +0100\r\nMIME-Version: 1.0\r\n"
	                        "Content-Type: multipart/mixed; boundary=\"b%u\"\r\n\r\n--b%u\r\n\r\n"
	                        "This is the text of mail %u, which says that %u is followed by %u.\r\n",
	                        number % 7, number % 7, number, number, number % 60, number, number, number, number,
	                        number + 1);
	for (unsigned p = 0; p < parts; p++) {
		used += (size_t)snprintf(text + used, sizeof text - used,
		                         "--b%u\r\nContent-Type: application/pdf; name=\"offer-%u.pdf\"\r\n"
		                         "Content-Transfer-Encoding: base64\r\n\r\n",
		                         number, p);
		used += put_base64(text + used, number * 100 + p, 30);
	}
	used += (size_t)snprintf(text + used, sizeof text - used, "--b%u--\r\n", number);
	snprintf(name, sizeof name, "%.40s/%u.M%uP1.host:2,%s", folder, 1700000000 + number, number,
	         number % 3 ? "S" : "");
	put_file(b, name, text, used);
}

static void put_events(const struct box *b)
{
	static const char event[] = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1@example.org\r\n"
	                            "DTSTART:20230102T100000Z\r\nSUMMARY:Lunch\r\nLOCATION:Aula\r\nEND:VEVENT\r\n"
	                            "END:VCALENDAR\r\n";
	static const char card[] = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:2\r\nFN:Ann Smith\r\n"
	                           "EMAIL:ann@example.org\r\nEND:VCARD\r\n";

	put_file(b, "files/Calendar/1.ics", event, sizeof event - 1);
	put_file(b, "files/Contacts/2.vcf", card, sizeof card - 1);
	put_file(b, "files/rules.sieve", "keep;\r\n", 7);
}

static void put_mbox(const struct box *b)
{
	static const char text[] = "From ann@example.org Mon Jan  2 10:00:00 2023\nFrom: ann@example.org\n"
	                           "Subject: one\n\nFirst.\n\nFrom bob@example.org Mon Jan  2 11:00:00 2023\n"
	                           "From: bob@example.org\nSubject: two\n\nSecond.\n\n";

	put_file(b, "box/mail.mbox", text, sizeof text - 1);
}

/* "before" and "after" are one mailbox at two times. */
static void put_sources(const struct box *b, enum box_size size)
{
	static const char *const folders[] = { "cur", ".Sent/cur", ".Archive/cur" };
	char path[BOX_PATH_MAX + 100];
	struct err e;

	for (int after = 0; after < 2; after++) {
		for (unsigned n = 0; n < 9 + 2u * (unsigned)after; n++) {
			snprintf(path, sizeof path, "%s/%s", after ? "after" : "before", folders[n % 3]);
			if (!after || n != 4)
				put_mail(b, path, n, n == 1 && size == BOX_FULL ? 70 : n % 3);
		}
		for (size_t f = 0; f < ARRAY_LEN(folders); f++)
			for (int part = 0; part < 2; part++) {
				snprintf(path, sizeof path, "%s/source/%s/%.*s%s", b->folder,
				         after ? "after" : "before", (int)strlen(folders[f]) - 3, folders[f],
				         part ? "new" : "tmp");
				if (file_make_folders(path, 0700, &e))
					box_die("%s", e.text);
			}
	}
	put_events(b);
	put_mbox(b);
}

/* ---- the folder ---- */

static void set_environment(const struct box *b)
{
	static const char *const ours[] = { "MAILHOLD_PASSWORD", "MAILHOLD_PASSWORD_FILE", "MAILHOLD_PASSWORD_COMMAND",
		                            "MAILHOLD_PARTIAL_MS" };
	char path[BOX_PATH_MAX + 20];

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		unsetenv(ours[i]);
	setenv("TZ", "UTC", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("MAILHOLD_REPOSITORY", "repo", 1);
	setenv("MAILHOLD_KEY_FILE", "key", 1);
	setenv("HOME", b->work, 1);
	snprintf(path, sizeof path, "%s/cache", b->work);
	setenv("XDG_CACHE_HOME", path, 1);
	snprintf(path, sizeof path, "%s/state", b->work);
	setenv("XDG_STATE_HOME", path, 1);
}

void box_begin(struct box *b, enum box_size size)
{
	const char *tmp = getenv("TMPDIR");
	struct err e;

	alloc_faults_start();
	snprintf(b->folder, sizeof b->folder, "%.100s/mailhold-faults-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(b->folder))
		box_die("%s cannot be made", b->folder);
	snprintf(b->work, sizeof b->work, "%s/work", b->folder);
	if (file_make_folders(b->work, 0700, &e))
		box_die("%s", e.text);
	put_sources(b, size);
	set_environment(b);
	/* What libc loads once stays loaded: not in every child anew. */
	setlocale(LC_CTYPE, "");
}

static void remove_tree(const char *path)
{
	struct err e;

	if (file_remove_tree(path, &e))
		box_die("%s", e.text);
}

void box_end(struct box *b)
{
	remove_tree(b->folder);
}

/* One file with its mode; links are followed nowhere, there are none. */
static void copy_file(const char *from, const char *to, mode_t mode)
{
	static char bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0777);
	ssize_t n = 0;

	while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof bytes)) > 0)
		if (write(out, bytes, (size_t)n) != n)
			box_die("%s cannot be written: %s", to, strerror(errno));
	if (in < 0 || out < 0 || n < 0)
		box_die("%s cannot be copied: %s", from, strerror(errno));
	close(in);
	close(out);
}

static void copy_tree(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *entry;

	if (!d || mkdir(to, 0700) != 0)
		box_die("%s cannot be copied to %s: %s", from, to, strerror(errno));
	while ((entry = readdir(d))) {
		char a[1024], b[1024];
		struct stat s;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
		snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
		if (lstat(a, &s) != 0)
			box_die("%s: %s", a, strerror(errno));
		if (S_ISDIR(s.st_mode))
			copy_tree(a, b);
		else
			copy_file(a, b, s.st_mode);
	}
	closedir(d);
}

void box_keep(struct box *b, const char *name)
{
	char path[BOX_PATH_MAX + 60];

	snprintf(path, sizeof path, "%s/world-%s", b->folder, name);
	copy_tree(b->work, path);
}

void box_bring_back(struct box *b, const char *name)
{
	char path[BOX_PATH_MAX + 60];

	snprintf(path, sizeof path, "%s/world-%s", b->folder, name);
	remove_tree(b->work);
	copy_tree(path, b->work);
}

uint64_t box_fingerprint(const char *path)
{
	static uint8_t bytes[1 << 20];
	DIR *d = opendir(path);
	struct dirent *entry;
	uint64_t sum = 0;

	if (!d)
		return 0;
	while ((entry = readdir(d))) {
		char below[1024];
		struct stat s;
		FILE *f;
		size_t n;

		snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || lstat(below, &s) != 0)
			continue;
		sum += hash64(span_of(below, strlen(below)));
		if (S_ISDIR(s.st_mode)) {
			sum += box_fingerprint(below);
			continue;
		}
		f = fopen(below, "rb");
		n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
		sum += hash64(span_of(bytes, n)) * 31 + (uint64_t)s.st_size;
		if (f)
			fclose(f);
	}
	closedir(d);
	return sum;
}

/* ---- running ---- */

struct shared {
	struct alloc_report mem;
	unsigned descriptors;
	bool sanitizer_found_leaks;
};

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void slurp(const struct box *b, const char *name, char *out, size_t max)
{
	char path[BOX_PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", b->folder, name);
	f = fopen(path, "rb");
	out[f ? fread(out, 1, max - 1, f) : 0] = 0;
	if (f)
		fclose(f);
}

static void redirect(const struct box *b, const char *name, int fd)
{
	char path[BOX_PATH_MAX];
	int to;

	snprintf(path, sizeof path, "%s/%s", b->folder, name);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (to < 0 || dup2(to, fd) < 0)
		_exit(98);
	close(to);
}

static _Noreturn void child(const struct box *b, char **argv, int argc, uint64_t nth, bool all_after, uint64_t show,
                            struct shared *s)
{
	unsigned before;
	int code;

	redirect(b, "out", STDOUT_FILENO);
	redirect(b, "err", STDERR_FILENO);
	if (chdir(b->work) != 0)
		_exit(98);
	alarm(BOX_SECONDS_MAX);
	before = open_descriptors();
	alloc_faults_show(show);
	if (nth)
		alloc_faults_arm(nth, all_after);
	code = cli_main(argc, argv);
	fflush(stdout);
	fflush(stderr);
	if (nth)
		alloc_faults_report(&s->mem);
	s->descriptors = open_descriptors() - before;
#ifdef LEAKS_BY_SANITIZER
	if (nth)
		s->sanitizer_found_leaks = __lsan_do_recoverable_leak_check() != 0;
#endif
	_exit(code);
}

void box_command(struct box *b, const char *const *words, uint64_t nth, bool all_after, uint64_t show,
                 struct box_run *out)
{
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *argv[BOX_WORDS_MAX + 2] = { (char *)"mailhold" };
	int argc = 1, status;
	pid_t pid;

	for (size_t i = 0; i < BOX_WORDS_MAX && words[i]; i++)
		argv[argc++] = (char *)words[i];
	fflush(stdout);
	pid = s == MAP_FAILED ? -1 : fork();
	if (pid == 0)
		child(b, argv, argc, nth, all_after, show, s);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		box_die("a child cannot be started: %s", strerror(errno));
	out->code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	out->mem = s->mem;
	out->mem.leaked += s->sanitizer_found_leaks;
	out->descriptors = s->descriptors;
	munmap(s, sizeof *s);
	slurp(b, "out", out->out, sizeof out->out);
	slurp(b, "err", out->err, sizeof out->err);
}

void box_must(struct box *b, const char *const *words, struct box_run *out)
{
	box_command(b, words, 0, false, 0, out);
	if (out->code != 0)
		box_die("mailhold %s %s … ended with %d: %s%s", words[0], words[1] ? words[1] : "", out->code, out->out,
		        out->err);
}
