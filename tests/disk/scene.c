#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/cli.h"

#define MAIL(text) "snapshot mail:" text " --account ann"

const struct scene scenes[] = {
	{ .name = "daily",
	  .steps = { { "init", EFFECT_INIT, 0 },
	             { MAIL("0-10"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("6-10"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("6-10"), EFFECT_SNAPSHOT, 0 },
	             { "forget id:1 id:2", EFFECT_FORGET, 1 },
	             { "forget --undo id:1", EFFECT_UNDO, 1 },
	             { MAIL("12-10"), EFFECT_SNAPSHOT, 0 },
	             { "forget id:1", EFFECT_FORGET, 1 },
	             { "forget id:3", EFFECT_FORGET, 3 },
	             { "prune --now", EFFECT_EXPIRE, 0 },
	             { MAIL("12-11"), EFFECT_SNAPSHOT, 0 } } },
	{ .name = "merge",
	  .later = true,
	  .cut_from = 18,
	  .steps = { { "init", EFFECT_INIT, 0 },           { MAIL("0-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("1-6"), EFFECT_SNAPSHOT, 0 },  { MAIL("2-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("3-6"), EFFECT_SNAPSHOT, 0 },  { MAIL("4-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("5-6"), EFFECT_SNAPSHOT, 0 },  { MAIL("6-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("7-6"), EFFECT_SNAPSHOT, 0 },  { MAIL("8-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("9-6"), EFFECT_SNAPSHOT, 0 },  { MAIL("10-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("11-6"), EFFECT_SNAPSHOT, 0 }, { MAIL("12-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("13-6"), EFFECT_SNAPSHOT, 0 }, { MAIL("14-6"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("15-6"), EFFECT_SNAPSHOT, 0 }, { MAIL("16-6"), EFFECT_SNAPSHOT, 0 },
	             { "prune", EFFECT_NONE, 0 },          { "prune --now", EFFECT_EXPIRE, 0 },
	             { MAIL("17-6"), EFFECT_SNAPSHOT, 0 } } },
	{ .name = "keys",
	  .steps = { { "init", EFFECT_INIT, 0 },
	             { MAIL("0-3"), EFFECT_SNAPSHOT, 0 },
	             { "key add --label second --new-key-file client:second", EFFECT_KEY_ADD, 0 },
	             { "key passwd --new-key-file client:third", EFFECT_KEY_CHANGE, 0 },
	             { MAIL("1-3"), EFFECT_SNAPSHOT, 0 },
	             { "key remove second", EFFECT_KEY_REMOVE, 0 },
	             { MAIL("2-3"), EFFECT_SNAPSHOT, 0 } } },
	{ .name = "repair",
	  .steps = { { "init", EFFECT_INIT, 0 },
	             { MAIL("0-4"), EFFECT_SNAPSHOT, 0 },
	             { "repair index", EFFECT_NONE, 0 },
	             { "pin id:1", EFFECT_NONE, 0 },
	             { "harm", EFFECT_HARM, 0 },
	             { "repair ledger", EFFECT_REPAIR_LEDGER, 0 },
	             { MAIL("2-4"), EFFECT_SNAPSHOT, 0 },
	             { "check --read-data", EFFECT_NONE, 0 } } },
	{ .name = "no O_TMPFILE",
	  .no_tmpfile = true,
	  .steps = { { "init", EFFECT_INIT, 0 },
	             { MAIL("0-4"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("4-4"), EFFECT_SNAPSHOT, 0 },
	             { "forget id:1", EFFECT_FORGET, 1 },
	             { "prune --now", EFFECT_EXPIRE, 0 } } },
	{ .name = "no links",
	  .no_tmpfile = true,
	  .no_links = true,
	  .steps = { { "init", EFFECT_INIT, 0 },
	             { MAIL("0-4"), EFFECT_SNAPSHOT, 0 },
	             { MAIL("4-4"), EFFECT_SNAPSHOT, 0 },
	             { "forget id:1", EFFECT_FORGET, 1 },
	             { "prune --now", EFFECT_EXPIRE, 0 } } },
};
const size_t scene_count = ARRAY_LEN(scenes);
const char *const key_names[KEY_NAMES_MAX] = { "key", "second", "third" };

static _Noreturn void die(const char *what, const char *which)
{
	fprintf(stderr, "%s %s: %s\n", what, which, strerror(errno));
	exit(2);
}

/* ---- the place ---- */

static void remove_all(const char *path)
{
	struct err e;

	if (file_remove_tree(path, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(2);
	}
}

void stage_open(struct stage *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->folder, sizeof s->folder, "%.40s/mailhold-disk-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(s->folder))
		die("cannot make", s->folder);
	for (unsigned d = 0; d < DISK_COUNT; d++)
		snprintf(s->roots[d], sizeof s->roots[d], "%s/live/%s", s->folder,
		         d == DISK_STORE ? "store" : "client");
}

void stage_close(struct stage *s)
{
	remove_all(s->folder);
}

void stage_disks(const struct stage *s, const char *name, struct roots *out)
{
	char folder[128];

	snprintf(folder, sizeof folder, "%s/%s", s->folder, name);
	remove_all(folder);
	if (mkdir(folder, 0700) != 0)
		die("cannot make", folder);
	for (unsigned d = 0; d < DISK_COUNT; d++) {
		snprintf(out->text[d], sizeof out->text[d], "%s/%s", folder, d == DISK_STORE ? "store" : "client");
		out->both[d] = out->text[d];
		if (mkdir(out->text[d], 0700) != 0)
			die("cannot make", out->text[d]);
	}
}

/* ---- mail ---- */

static const char *const folder_names[] = { "", ".Sent", ".Archive.2024" };
static const char *const collection_names[] = { "INBOX", "Sent", "Archive/2024" };

static void message(unsigned number, struct buf *out)
{
	uint64_t seed = number * 7919u + 1;
	unsigned lines = (unsigned)dice_below(&seed, 12) + 1;
	unsigned attached = number % 16 == 5 ? 1400 : number % 4 == 1 ? 40 : 0; /* lines of base64 */
	struct err e;
	enum err_code rc;

	buf_clear(out);
	rc = buf_printf(out, &e,
	                "From: p%u@example.org\r\nSubject: number %u\r\nMessage-ID: <%u@example.org>\r\n%s\r\n", number,
	                number, number, attached ? "Content-Transfer-Encoding: base64\r\n" : "");
	for (unsigned i = 0; !rc && i < lines && !attached; i++)
		rc = buf_printf(out, &e, "the contract of %llx is with the customer\r\n",
		                (unsigned long long)dice(&seed));
	for (unsigned i = 0; !rc && i < attached; i++) {
		char line[77];

		for (size_t at = 0; at < 76; at++)
			line[at] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[dice(&seed) % 64];
		line[76] = 0;
		rc = buf_printf(out, &e, "%s\r\n", line);
	}
	if (rc)
		die("no memory for", "a message");
}

static void message_key(unsigned number, char out[40])
{
	snprintf(out, 40, "%u.M%uP1.host", 1700000000 + number, number);
}

static void make_mail_folders(const char *folder)
{
	static const char *const parts[] = { "", "/cur", "/new", "/tmp" };
	char path[256];

	for (size_t f = 0; f < ARRAY_LEN(folder_names); f++)
		for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
			snprintf(path, sizeof path, "%s/%s%s", folder, folder_names[f], parts[p]);
			if (mkdir(path, 0700) != 0 && errno != EEXIST)
				die("cannot make", path);
		}
}

void mail_folder(const struct stage *s, unsigned first, unsigned count, char out[160])
{
	struct buf bytes = BUF_EMPTY;
	char path[320], key[40];
	struct stat st;
	struct err e;

	snprintf(out, 160, "%s/mail-%u-%u", s->folder, first, count);
	if (stat(out, &st) == 0)
		return;
	make_mail_folders(out);
	for (unsigned n = first; n < first + count; n++) {
		int fd;

		message(n, &bytes);
		message_key(n, key);
		snprintf(path, sizeof path, "%s/%s/cur/%s:2,S", out, folder_names[n % ARRAY_LEN(folder_names)], key);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || file_write(fd, path, buf_span(&bytes), &e))
			die("cannot write", path);
		close(fd);
	}
	buf_release(&bytes);
}

uint64_t mail_item_sum(struct span collection, struct span key, struct span bytes)
{
	uint64_t parts[] = { hash64(collection), hash64(key), hash64(bytes) };

	return hash64(span_of(parts, sizeof parts));
}

uint64_t mail_sum(unsigned first, unsigned count)
{
	struct buf bytes = BUF_EMPTY;
	uint64_t sum = 0;
	char key[40];

	for (unsigned n = first; n < first + count; n++) {
		message(n, &bytes);
		message_key(n, key);
		sum += mail_item_sum(span_cstr(collection_names[n % ARRAY_LEN(collection_names)]), span_cstr(key),
		                     buf_span(&bytes));
	}
	buf_release(&bytes);
	return sum;
}

bool step_mail(const struct step *step, unsigned *first, unsigned *count)
{
	const char *at = strstr(step->words, "mail:");

	return at && sscanf(at, "mail:%u-%u", first, count) == 2;
}

/* ---- running a command ---- */

#define WORDS_MAX 24
struct words {
	char text[WORDS_MAX][200];
	char *argv[WORDS_MAX + 1];
	int argc;
};

static void add_word(struct words *w, const char *text)
{
	if (w->argc == WORDS_MAX)
		die("too many words before", text);
	snprintf(w->text[w->argc], sizeof w->text[0], "%s", text);
	w->argv[w->argc] = w->text[w->argc];
	w->argv[++w->argc] = NULL;
}

static void add_step_word(struct words *w, const struct stage *s, const struct roots *at, const char *text,
                          char ids[STEPS_MAX][33])
{
	char made[200];
	unsigned first, count, step;

	if (sscanf(text, "mail:%u-%u", &first, &count) == 2) {
		mail_folder(s, first, count, made);
		add_word(w, made);
	} else if (sscanf(text, "id:%u", &step) == 1) {
		add_word(w, ids[step]);
	} else if (!strncmp(text, "client:", 7)) {
		snprintf(made, sizeof made, "%s/%s", at->text[DISK_CLIENT], text + 7);
		add_word(w, made);
	} else {
		add_word(w, text);
	}
}

static void make_words(struct words *w, const struct stage *s, const struct roots *at, const struct step *step,
                       char ids[STEPS_MAX][33], const char *key_name)
{
	char copy[400], path[200], *rest = NULL;

	*w = (struct words){ .argc = 0 };
	add_word(w, "mailhold");
	snprintf(copy, sizeof copy, "%s", step->words);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		add_step_word(w, s, at, word, ids);
	add_word(w, "-r");
	snprintf(path, sizeof path, "%s/repo", at->text[DISK_STORE]);
	add_word(w, path);
	add_word(w, "--key-file");
	snprintf(path, sizeof path, "%s/%s", at->text[DISK_CLIENT], key_name);
	add_word(w, path);
	add_word(w, "--json");
}

static void set_place(const char *name, const char *root, const char *below)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", root, below);
	setenv(name, path, 1);
}

/* The newest record gets another byte, for sure, and the client forgets that it ever read it. */
static int harm(const struct roots *at)
{
	char folder[200], path[500], newest[256] = "";
	struct dirent *entry;
	struct err e;
	uint8_t byte;
	DIR *list;
	int fd;

	snprintf(folder, sizeof folder, "%s/repo/ledger", at->text[DISK_STORE]);
	list = opendir(folder);
	while (list && (entry = readdir(list)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, newest) > 0)
			snprintf(newest, sizeof newest, "%s", entry->d_name);
	if (!list || !*newest)
		return 1;
	closedir(list);
	snprintf(path, sizeof path, "%s/%s", folder, newest);
	chmod(path, 0600);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, 100) != 1)
		return 1;
	byte ^= 0xff;
	if (pwrite(fd, &byte, 1, 100) != 1 || fsync(fd) != 0)
		return 1;
	close(fd);
	snprintf(path, sizeof path, "%s/cache", at->text[DISK_CLIENT]);
	if (file_remove_tree(path, &e))
		return 1;
	fd = open(at->text[DISK_CLIENT], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || syncfs(fd) != 0;
}

static _Noreturn void be_the_program(const struct roots *at, const struct step *step, struct words *w, bool recorded,
                                     int out, int err)
{
	int code;

	set_place("HOME", at->text[DISK_CLIENT], "");
	set_place("XDG_CACHE_HOME", at->text[DISK_CLIENT], "cache");
	set_place("XDG_STATE_HOME", at->text[DISK_CLIENT], "state");
	setenv("TZ", "UTC", 1);
	unsetenv("MAILHOLD_REPOSITORY");
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(125);
	tape_record(recorded);
	code = step->effect == EFFECT_HARM ? harm(at) : cli_main(w->argc, w->argv);
	tape_record(false);
	_exit(code);
}

static char *read_all(int fd)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) != 0 || !(text = calloc(1, (size_t)st.st_size + 1)))
		die("cannot read", "what a command said");
	if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		die("cannot read", "what a command said");
	close(fd);
	return text;
}

void run_step(const struct stage *s, const struct roots *at, const struct step *step, char ids[STEPS_MAX][33],
              const char *key_name, bool recorded, struct result *out)
{
	int o = memfd_create("out", MFD_CLOEXEC), e = memfd_create("err", MFD_CLOEXEC), status = 0;
	struct words w;
	pid_t pid;

	if (o < 0 || e < 0)
		die("cannot make", "a place for the results");
	make_words(&w, s, at, step, ids, key_name);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be_the_program(at, step, &w, recorded, o, e);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("cannot run", step->words);
	out->exit = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	out->out = read_all(o);
	out->err = read_all(e);
}

void result_release(struct result *r)
{
	free(r->out);
	free(r->err);
	*r = (struct result){ 0 };
}

bool result_id(const struct result *r, char id[33])
{
	const char *at = strstr(r->out, "\"id\":\"");

	return at && sscanf(at + 6, "%32[0-9a-f]", id) == 1 && strlen(id) == 32;
}

const char *key_before(const struct scene *scene, unsigned k)
{
	for (unsigned i = 0; i < k; i++)
		if (scene->steps[i].effect == EFFECT_KEY_CHANGE)
			return key_names[2];
	return key_names[0];
}

/* ---- recording ---- */

void scene_read_keys(const struct roots *at, struct recorded *r)
{
	struct buf text = BUF_EMPTY;
	char path[200];
	struct err e;

	for (unsigned k = 0; k < KEY_NAMES_MAX; k++) {
		snprintf(path, sizeof path, "%s/%s", at->text[DISK_CLIENT], key_names[k]);
		buf_clear(&text);
		r->has_key[k] = !file_read(path, 1000, &text, &e) && text.len >= 64 &&
		                text_unhex(span_first(buf_span(&text), 64), r->keys[k], sizeof r->keys[k]);
	}
	buf_release(&text);
}

static void find_steps(struct recorded *r)
{
	struct tape_op op;
	uint64_t at = 0;
	unsigned step = 0;

	for (unsigned i = 0; i < STEPS_MAX; i++)
		r->begun[i] = r->told[i] = UINT64_MAX;
	for (; tape_next(&at, &op); r->op_count++) {
		if (op.kind == TAPE_STEP) {
			step = (unsigned)op.offset;
			r->begun[step] = r->op_count;
		} else if (op.kind == TAPE_TELL) {
			r->told[step] = r->op_count + 1;
		}
	}
	/* What is no command has no answer: it counts when it is over. */
	for (unsigned i = 0; i < r->step_count; i++)
		if (r->scene->steps[i].effect == EFFECT_HARM)
			r->told[i] = i + 1 < r->step_count ? r->begun[i + 1] : r->op_count;
}

void scene_record(const struct stage *s, const struct scene *scene, struct recorded *out)
{
	struct roots live;
	char ignored[160];

	*out = (struct recorded){ .scene = scene, .loose = STEPS_MAX };
	mail_folder(s, NEXT_FIRST, NEXT_COUNT, ignored);
	stage_disks(s, "live", &live);
	tape_move(live.both);
	tape_clear();
	tape_lacks(scene->no_tmpfile, scene->no_links);
	for (unsigned k = 0; k < STEPS_MAX && scene->steps[k].effect != EFFECT_END; k++, out->step_count++) {
		struct result result;

		tape_step(k);
		run_step(s, &live, &scene->steps[k], out->ids, key_before(scene, k), true, &result);
		if (result.exit != 0 ||
		    (scene->steps[k].effect == EFFECT_SNAPSHOT && !result_id(&result, out->ids[k]))) {
			fprintf(stderr, "%s, step %u (%s) ended with %d:\n%s%s", scene->name, k, scene->steps[k].words,
			        result.exit, result.out, result.err);
			exit(2);
		}
		result_release(&result);
	}
	scene_read_keys(&live, out);
	find_steps(out);
}

/* ---- promises ---- */

unsigned scene_step_at(const struct recorded *r, uint64_t at)
{
	unsigned step = 0;

	while (step + 1 < r->step_count && r->begun[step + 1] < at)
		step++;
	return step;
}

static void promise_trash(struct promise *p, const struct step *step, bool told)
{
	unsigned first = 0, second = 0;
	int count = sscanf(step->words, "forget id:%u id:%u", &first, &second);
	enum must forgotten = told ? MUST_TRASH : MUST_LIVE_OR_TRASH;

	switch (step->effect) {
	case EFFECT_FORGET:
		p->snapshots[first] = forgotten;
		if (count == 2)
			p->snapshots[second] = forgotten;
		break;
	case EFFECT_UNDO:
		p->snapshots[step->subject] = told ? MUST_LIVE : MUST_LIVE_OR_TRASH;
		break;
	default: /* EFFECT_EXPIRE */
		for (unsigned i = 0; i < STEPS_MAX; i++)
			if (p->snapshots[i] == MUST_TRASH)
				p->snapshots[i] = MUST_NOTHING;
	}
}

static void promise_keys(struct promise *p, enum effect effect, bool told)
{
	if (effect == EFFECT_KEY_ADD) {
		p->key_file[1] = p->opens[1] = told;
	} else if (effect == EFFECT_KEY_CHANGE) {
		p->opens[0] = false; /* both may, until it is told */
		p->key_file[2] = p->opens[2] = told;
	} else {
		p->opens[1] = false;
		p->opens_not[1] = told;
	}
}

void scene_promise(const struct recorded *r, uint64_t at, struct promise *out)
{
	*out = (struct promise){ 0 };
	for (unsigned k = 0; k < r->step_count && r->begun[k] < at; k++) {
		const struct step *step = &r->scene->steps[k];
		bool told = r->told[k] <= at;

		switch (step->effect) {
		case EFFECT_INIT:
			out->init = out->key_file[0] = out->opens[0] = told;
			break;
		case EFFECT_SNAPSHOT:
			out->snapshots[k] = told ? MUST_LIVE : MUST_NOTHING;
			break;
		case EFFECT_FORGET:
		case EFFECT_UNDO:
		case EFFECT_EXPIRE:
			promise_trash(out, step, told);
			break;
		case EFFECT_KEY_ADD:
		case EFFECT_KEY_CHANGE:
		case EFFECT_KEY_REMOVE:
			promise_keys(out, step->effect, told);
			break;
		case EFFECT_HARM:
			out->harmed = true;
			break;
		case EFFECT_REPAIR_LEDGER:
			out->harmed &= !told;
			break;
		default:
			break;
		}
	}
}
