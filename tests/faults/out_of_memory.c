/*
 * out_of_memory [--all | --each N] [--from-there] [SCENE…]      every allocation of each command fails in turn
 * out_of_memory SCENE --at N [--show M]                         one of them, with what was printed
 *
 * A command whose N-th allocation fails either ends with 1 and says that memory was short, or did not need it and says
 * just what it always says. It never crashes, hangs, leaks, or calls it damage, a wrong password or a missing
 * repository. After it everything that was committed is whole, and the same command succeeds.
 *
 * --all tries every N, --each N about so many of each scene, evenly spread from a seeded offset (12). --from-there lets
 * all later allocations fail, too. A scene is a command in a world: what is in the repository before it.
 */
#include "box.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum {
	WRITES = 1,    /* the repository may change: it is checked; else it must not change at all */
	SAME_WORDS = 2 /* what it prints is the same every time */
};

struct world {
	const char *name, *from; /* made out of another world by one command each; NULL: nothing yet */
	const char *words[BOX_WORDS_MAX];
	void (*finish)(struct box *b);
};

struct scene {
	const char *name, *world;
	unsigned flags;
	const char *words[BOX_WORDS_MAX];
	const char *other_key; /* opens the repository when "key" does not any more */
	int again;             /* how it may end as well when it is given again: the first one did its work after all */
};

/* ---- the worlds ---- */

static void drop_cache(struct box *b)
{
	char path[BOX_PATH_MAX + 20];
	struct err e;

	snprintf(path, sizeof path, "%s/cache", b->work);
	if (file_remove_tree(path, &e))
		box_die("%s", e.text);
}

/* At a number that is free: what the store's owner can do to stop appends. */
static void add_rubbish_record(struct box *b)
{
	char path[BOX_PATH_MAX + 60];
	FILE *f = NULL;

	for (unsigned n = 0; n < 1000 && !f; n++) {
		snprintf(path, sizeof path, "%s/repo/ledger/%016x", b->work, n);
		if (access(path, F_OK) != 0)
			f = fopen(path, "wb");
	}
	for (int i = 0; f && i < 512; i++)
		fputc(i & 0xff, f);
	if (!f || fclose(f) != 0)
		box_die("no record can be added");
}

static const struct world worlds[] = {
	{ "nothing", NULL, { NULL }, NULL },
	{ "new", "nothing", { "init" }, NULL },
	{ "ann", "new", { "snapshot", "../source/before", "--account", "ann", "--tag", "first" }, NULL },
	{ "bob", "ann", { "snapshot", "../source/files", "--account", "bob" }, NULL },
	{ "full", "bob", { "snapshot", "../source/after", "--account", "ann" }, NULL },
	{ "cold", "full", { "snapshots" }, drop_cache },
	{ "trash", "full", { "forget", "ann@latest~1" }, NULL },
	{ "pinned", "full", { "pin", "ann@latest" }, NULL },
	{ "restored", "full", { "restore", "ann@latest", "--to", "maildir:back" }, NULL },
	{ "keys", "full", { "key", "add", "--label", "other", "--new-key-file", "other" }, NULL },
	{ "stopped", "full", { "snapshots" }, add_rubbish_record },
};

static void make_worlds(struct box *b)
{
	static struct box_run run;

	for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
		if (worlds[i].from) {
			box_bring_back(b, worlds[i].from);
			box_must(b, worlds[i].words, &run);
		}
		if (worlds[i].finish)
			worlds[i].finish(b);
		box_keep(b, worlds[i].name);
	}
}

/* ---- the scenes ---- */

#define MAIL "ann@latest:INBOX#1700000000.M0P1.host"

static const struct scene scenes[] = {
	{ .name = "version", .world = "nothing", .flags = SAME_WORDS, .words = { "version" } },
	{ .name = "help", .world = "nothing", .flags = SAME_WORDS, .words = { "help", "prune" } },
	{ .name = "init", .world = "nothing", .flags = WRITES, .words = { "init", "--label", "laptop" }, .again = 1 },
	{ .name = "snapshot-first",
	  .world = "new",
	  .flags = WRITES,
	  .words = { "snapshot", "../source/before", "--account", "ann", "--tag", "x" } },
	{ .name = "snapshot-same",
	  .world = "full",
	  .flags = WRITES,
	  .words = { "snapshot", "../source/after", "--account", "ann" } },
	{ .name = "snapshot-changed",
	  .world = "bob",
	  .flags = WRITES,
	  .words = { "snapshot", "../source/after", "--account", "ann", "--json" } },
	{ .name = "snapshot-files",
	  .world = "ann",
	  .flags = WRITES,
	  .words = { "snapshot", "../source/files", "--account", "bob" } },
	{ .name = "snapshot-mbox",
	  .world = "ann",
	  .flags = WRITES,
	  .words = { "snapshot", "../source/box", "--account", "eve" } },
	{ .name = "snapshot-dry-run",
	  .world = "bob",
	  .flags = 0,
	  .words = { "snapshot", "../source/after", "--account", "ann", "--dry-run" } },
	{ .name = "snapshots", .world = "trash", .flags = SAME_WORDS, .words = { "snapshots", "--all" } },
	{ .name = "snapshots-json", .world = "pinned", .flags = SAME_WORDS, .words = { "snapshots", "--json" } },
	{ .name = "ls", .world = "full", .flags = SAME_WORDS, .words = { "ls", "ann@latest" } },
	{ .name = "ls-items", .world = "full", .flags = SAME_WORDS, .words = { "ls", "-l", "ann@latest:INBOX" } },
	{ .name = "ls-json", .world = "full", .flags = SAME_WORDS, .words = { "ls", "--json", "ann@latest:Sent" } },
	{ .name = "ls-cold", .world = "cold", .flags = 0, .words = { "ls", "ann@latest" } },
	{ .name = "cat", .world = "full", .flags = SAME_WORDS, .words = { "cat", MAIL } },
	{ .name = "cat-large",
	  .world = "full",
	  .flags = SAME_WORDS,
	  .words = { "cat", "ann@latest:Sent#1700000001.M1P1.host" } },
	{ .name = "find", .world = "full", .flags = SAME_WORDS, .words = { "find", "number", "--from", "person" } },
	{ .name = "find-json",
	  .world = "full",
	  .flags = SAME_WORDS,
	  .words = { "find", "--json", "--attachment", "offer-1" } },
	{ .name = "diff", .world = "full", .flags = SAME_WORDS, .words = { "diff", "ann@latest~1", "ann@latest" } },
	{ .name = "deleted", .world = "full", .flags = SAME_WORDS, .words = { "deleted", "--account", "ann" } },
	{ .name = "restore-maildir",
	  .world = "full",
	  .flags = 0,
	  .words = { "restore", "ann@latest", "--to", "maildir:back" } },
	{ .name = "restore-files",
	  .world = "full",
	  .flags = 0,
	  .words = { "restore", "bob@latest", "--to", "files:back" } },
	{ .name = "restore-mbox",
	  .world = "full",
	  .flags = 0,
	  .words = { "restore", "ann@latest:INBOX", "--to", "mbox:back" } },
	{ .name = "restore-plan",
	  .world = "full",
	  .flags = 0,
	  .words = { "restore", "ann@latest", "--to", "maildir:back", "--plan" } },
	{ .name = "restore-again",
	  .world = "restored",
	  .flags = 0,
	  .words = { "restore", "ann@latest", "--to", "maildir:back" } },
	{ .name = "forget", .world = "full", .flags = WRITES, .words = { "forget", "ann@latest~1" }, .again = 1 },
	{ .name = "forget-rules", .world = "full", .flags = WRITES, .words = { "forget", "--keep-last", "1" } },
	{ .name = "forget-undo",
	  .world = "trash",
	  .flags = WRITES,
	  .words = { "forget", "--undo", "ann@latest" },
	  .again = 1 },
	{ .name = "pin", .world = "full", .flags = WRITES, .words = { "pin", "ann@latest" } },
	{ .name = "unpin", .world = "pinned", .flags = WRITES, .words = { "unpin", "ann@latest" } },
	{ .name = "prune-dry-run",
	  .world = "trash",
	  .flags = 0,
	  .words = { "prune", "--dry-run", "--now", "--max-unused", "0" } },
	{ .name = "prune", .world = "trash", .flags = WRITES, .words = { "prune", "--now", "--max-unused", "0" } },
	{ .name = "check", .world = "full", .flags = SAME_WORDS, .words = { "check" } },
	{ .name = "check-read-data",
	  .world = "full",
	  .flags = SAME_WORDS,
	  .words = { "check", "--read-data", "--json" } },
	{ .name = "stats", .world = "full", .flags = SAME_WORDS, .words = { "stats" } },
	{ .name = "stats-json", .world = "full", .flags = SAME_WORDS, .words = { "stats", "--json" } },
	{ .name = "key-list", .world = "keys", .flags = SAME_WORDS, .words = { "key", "list" } },
	{ .name = "key-list-json", .world = "keys", .flags = SAME_WORDS, .words = { "key", "list", "--json" } },
	{ .name = "key-add",
	  .world = "full",
	  .flags = WRITES,
	  .words = { "key", "add", "--label", "new", "--new-key-file", "new" },
	  .again = 1 },
	{ .name = "key-add-keeper",
	  .world = "full",
	  .flags = WRITES,
	  .words = { "key", "add", "--role", "keeper", "--new-key-file", "new" },
	  .again = 1 },
	{ .name = "key-passwd",
	  .world = "full",
	  .flags = WRITES,
	  .words = { "key", "passwd", "--new-key-file", "new" },
	  .other_key = "new",
	  .again = 12 },
	{ .name = "key-remove", .world = "keys", .flags = WRITES, .words = { "key", "remove", "other" }, .again = 1 },
	{ .name = "key-export",
	  .world = "full",
	  .flags = WRITES,
	  .words = { "key", "export", "--label", "sheet" },
	  .again = 1 },
	{ .name = "repair-ledger", .world = "stopped", .flags = WRITES, .words = { "repair", "ledger" } },
	{ .name = "repair-index", .world = "full", .flags = 0, .words = { "repair", "index" } },
};

/* ---- judging one run ---- */

struct trial {
	struct box *b;
	const struct scene *scene;
	uint64_t nth;
	bool from_there;
	struct box_run good;  /* without a fault */
	struct box_run run;   /* with it */
	struct box_run after; /* whatever comes next */
	uint64_t before;      /* fingerprint of the repository */
	unsigned findings;
};

static void finding(struct trial *t, const char *what, const struct box_run *shown)
{
	t->findings++;
	printf("FAILED: out_of_memory %s --at %" PRIu64 "%s: %s\n", t->scene->name, t->nth,
	       t->from_there ? " --from-there" : "", what);
	printf("  exit %d\n--- stdout\n%.1500s--- stderr\n%.1500s---\n", shown->code, shown->out, shown->err);
	fflush(stdout);
}

static bool names_memory(const char *text)
{
	return strstr(text, "memory") || strstr(text, "Cannot allocate");
}

static void judge_run(struct trial *t)
{
	const struct box_run *r = &t->run;
	char text[200];
	size_t used;

	if (r->code < 0) {
		snprintf(text, sizeof text, "it was ended by signal %d", -r->code);
		finding(t, text, r);
		return;
	}
	if (r->code != t->good.code && r->code != 1)
		finding(t, "this is not how running out of memory is told", r);
	else if (r->code != t->good.code && !names_memory(r->err))
		finding(t, "it failed and does not say why", r);
	else if (r->code == t->good.code && t->scene->flags & SAME_WORDS && strcmp(r->out, t->good.out) != 0)
		finding(t, "it says it is done, but said something else before", r);
	if (r->mem.leaked) {
		used = (size_t)snprintf(text, sizeof text, "%" PRIu64 " blocks leaked, of allocations", r->mem.leaked);
		for (size_t i = 0; i < ALLOC_LEAKS_MAX && r->mem.leaks[i]; i++)
			used += (size_t)snprintf(text + used, sizeof text - used, " %" PRIu64, r->mem.leaks[i]);
		finding(t, text, r);
	}
	if (r->mem.libc_kept > t->good.mem.libc_kept)
		finding(t, "something that libc made for us was not given back", r);
	if (r->descriptors > t->good.descriptors)
		finding(t, "files were left open", r);
}

static void judge_repository(struct trial *t)
{
	static const char *const check[] = { "check", "--read-data", NULL };
	char path[BOX_PATH_MAX + 20];

	snprintf(path, sizeof path, "%s/repo", t->b->work);
	if (!(t->scene->flags & WRITES)) {
		if (box_fingerprint(path) != t->before)
			finding(t, "the repository has changed", &t->run);
		return;
	}
	box_command(t->b, check, 0, false, 0, &t->after);
	if (t->after.code == 12 && t->scene->other_key) {
		setenv("MAILHOLD_KEY_FILE", t->scene->other_key, 1);
		box_command(t->b, check, 0, false, 0, &t->after);
		setenv("MAILHOLD_KEY_FILE", "key", 1);
	}
	if (t->after.code != 0)
		finding(t, "the repository is not whole afterwards", &t->after);
}

/* After a failure: the same command, with enough memory. */
static void judge_again(struct trial *t)
{
	if (t->run.code == t->good.code)
		return;
	box_command(t->b, t->scene->words, 0, false, 0, &t->after);
	if (t->after.code != t->good.code && (!t->scene->again || t->after.code != t->scene->again))
		finding(t, "the same command did not succeed afterwards", &t->after);
	else if (t->scene->flags & SAME_WORDS && strcmp(t->after.out, t->good.out) != 0)
		finding(t, "the same command says something else afterwards", &t->after);
}

/* False: the fault never came; there are fewer allocations than that. */
static bool try_one(struct trial *t)
{
	box_bring_back(t->b, t->scene->world);
	box_command(t->b, t->scene->words, t->nth, t->from_there, 0, &t->run);
	if (t->run.code >= 0 && !t->run.mem.failed)
		return false;
	judge_run(t);
	judge_again(t);
	judge_repository(t);
	return true;
}

/* ---- all runs of a scene ---- */

static void begin_scene(struct trial *t)
{
	char path[BOX_PATH_MAX + 20];

	box_bring_back(t->b, t->scene->world);
	snprintf(path, sizeof path, "%s/repo", t->b->work);
	t->before = box_fingerprint(path);
	box_command(t->b, t->scene->words, UINT64_MAX, false, 0, &t->good);
	t->findings = 0;
	if (t->good.code != 0)
		finding(t, "it fails with all the memory it wants", &t->good);
	if (t->good.mem.leaked)
		finding(t, "it leaks even when nothing fails", &t->good);
}

static unsigned run_scene(struct trial *t, uint64_t each, uint64_t *state)
{
	uint64_t count, step, tried = 0;

	begin_scene(t);
	count = t->good.mem.count;
	step = each && count > each ? count / each : 1;
	/* Threads do not ask in the same order every time: a few more than were counted. */
	for (t->nth = 1 + box_random(state) % step; t->nth <= count + count / 50 + 3 && t->findings < 20;
	     t->nth += step)
		tried += try_one(t);
	printf("%-18s %6" PRIu64 " allocations, %6" PRIu64 " made to fail, %u findings\n", t->scene->name, count, tried,
	       t->findings);
	fflush(stdout);
	if (!tried)
		finding(t, "nothing was made to fail", &t->good);
	return t->findings;
}

static unsigned run_all(struct box *b, const char *const *names, size_t name_count, uint64_t each, bool from_there)
{
	static struct trial t;
	uint64_t state = box_seed("out_of_memory");
	unsigned findings = 0;
	size_t scenes_run = 0;

	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		bool wanted = name_count == 0;

		for (size_t n = 0; n < name_count; n++)
			wanted |= !strcmp(names[n], scenes[i].name);
		if (!wanted)
			continue;
		t = (struct trial){ .b = b, .scene = &scenes[i], .from_there = from_there };
		findings += run_scene(&t, each, &state);
		scenes_run++;
	}
	if (!scenes_run)
		box_die("there is no such scene");
	return findings;
}

static unsigned run_one(struct box *b, const char *name, uint64_t nth, bool from_there, uint64_t show)
{
	static struct trial t;

	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		if (strcmp(scenes[i].name, name) != 0)
			continue;
		t = (struct trial){ .b = b, .scene = &scenes[i], .nth = nth, .from_there = from_there };
		begin_scene(&t);
		if (show) {
			box_bring_back(b, scenes[i].world);
			box_command(b, scenes[i].words, nth, from_there, show, &t.run);
			printf("%s", t.run.err);
		}
		if (!try_one(&t))
			printf("there is no allocation %" PRIu64 "\n", nth);
		printf("exit %d\n--- stdout\n%s--- stderr\n%s", t.run.code, t.run.out, t.run.err);
		return t.findings;
	}
	box_die("there is no scene %s", name);
}

int main(int argc, char **argv)
{
	static struct box b;
	const char *names[ARRAY_LEN(scenes)];
	size_t name_count = 0;
	uint64_t each = 12, at = 0, show = 0;
	bool from_there = false;
	unsigned findings;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--all"))
			each = 0;
		else if (!strcmp(argv[i], "--from-there"))
			from_there = true;
		else if (!strcmp(argv[i], "--each") && i + 1 < argc)
			each = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--at") && i + 1 < argc)
			at = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--show") && i + 1 < argc)
			show = strtoull(argv[++i], NULL, 10);
		else if (name_count < ARRAY_LEN(names) && argv[i][0] != '-')
			names[name_count++] = argv[i];
		else
			box_die("out_of_memory [--all | --each N] [--from-there] [SCENE…] | SCENE --at N [--show M]");
	}
	box_begin(&b, BOX_FULL);
	make_worlds(&b);
	findings = at && name_count == 1 ? run_one(&b, names[0], at, from_there, show)
	                                 : run_all(&b, names, name_count, each, from_there);
	box_end(&b);
	printf("%u findings\n", findings);
	return findings != 0;
}
