/*
 * damage [--all | --each N] [OBJECT…]     damages a small repository in every way and looks what comes of it
 *
 * For every object of the store: every byte changed, cut at every length, lengthened, deleted, exchanged with each other
 * object of its kind, replaced by each other one (of records that is an older or newer version of the same place). Each
 * time, by a client that has never seen the repository:
 *   - opening it, or check with read_data, tells; what cannot be told by design is named in judge_detection();
 *   - restore gives nothing but right bytes;
 *   - what does not depend on the damage is given, and what lies in a damaged block is not. What depends on what is told
 *     by the second reader (oracle.h), never by the code that is tested.
 * Records of the ledger are looked at once more by a client that knows the head and by one that has seen it: for these
 * no record can be taken away or exchanged without ERR_FORKED or a problem that names it.
 *
 * --all is exhaustive. --each N takes about so many bytes and lengths of each object, evenly spread from a seeded
 * offset, and at least one of each block (24).
 */
#include "box.h"
#include "oracle.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/secret_input.h"
#include "engine/engine.h"

enum kind { KIND_OF_RECORD, KIND_OF_SLOT, KIND_OF_BUNDLE, KIND_OF_LABEL, KIND_OF_PACK, KIND_OF_README };
enum { OBJECTS_MAX = 64, FINDINGS_MAX = 30 };

struct object {
	char name[120];
	enum kind kind;
	bool others; /* a key object that our own key has no part in */
	uint64_t record;
	uint8_t *bytes;
	size_t size;
};

/* How somebody comes to the repository. */
struct client {
	const char *what;
	const char *expect_head; /* or NULL */
	const struct buf *fold;  /* what it keeps of the ledger, or NULL */
	const struct secret *secret;
};

struct outcome {
	struct err opening; /* code ERR_OK: it opened */
	struct err first_problem;
	uint64_t problems, affected;
	oracle_set given; /* items */
};

struct damage {
	struct box box;
	struct oracle oracle;
	struct object objects[OBJECTS_MAX];
	size_t object_count;
	struct secret *ours, *others;
	char repository[BOX_PATH_MAX + 10], cache[BOX_PATH_MAX + 10], fold_path[BOX_PATH_MAX + 100];
	struct buf fold; /* as it was before any damage */
	char head[80];
	int index_lock;
	uint64_t random, cases;
	unsigned findings;
	char doing[400]; /* what is damaged how, for findings */
};

/* ---- files ---- */

static void path_of(const struct damage *d, const struct object *o, char *out, size_t max)
{
	snprintf(out, max, "%s/%s", d->repository, o->name);
}

static void write_object(const struct damage *d, const struct object *o, const uint8_t *bytes, size_t size)
{
	char path[BOX_PATH_MAX + 200];
	int fd;

	path_of(d, o, path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) != 0)
		box_die("%s cannot be written", path);
}

static void restore_object(const struct damage *d, const struct object *o)
{
	write_object(d, o, o->bytes, o->size);
}

static void delete_object(const struct damage *d, const struct object *o)
{
	char path[BOX_PATH_MAX + 200];

	path_of(d, o, path, sizeof path);
	if (unlink(path) != 0)
		box_die("%s cannot be deleted", path);
}

/* ---- a sink that compares ---- */

struct comparing_sink {
	struct item_sink base;
	struct damage *damage;
	unsigned snapshot;
	struct buf path, body; /* of the collection at hand */
	oracle_set given;
};

static void finding(struct damage *d, const char *what, const struct outcome *o)
{
	d->findings++;
	printf("FAILED: %s: %s\n", d->doing, what);
	if (o)
		printf("  opening: %s; %" PRIu64 " problems (%s), %" PRIu64 " items affected; given %" PRIx64 "\n",
		       o->opening.code ? o->opening.text : "fine", o->problems,
		       o->problems ? o->first_problem.text : "none", o->affected, o->given);
	fflush(stdout);
	if (d->findings >= FINDINGS_MAX)
		box_die("%u findings are enough", d->findings);
}

static enum err_code sink_occupied(struct item_sink *s, bool *out, struct err *e)
{
	(void)s;
	(void)e;
	*out = false;
	return ERR_OK;
}

static enum err_code sink_collection(struct item_sink *base, const struct collection *c, bool plan, size_t *handle,
                                     struct err *e)
{
	struct comparing_sink *s = (struct comparing_sink *)base;

	(void)plan;
	*handle = 0;
	buf_clear(&s->path);
	return buf_append(&s->path, c->path, e);
}

static enum err_code sink_decide(struct item_sink *s, size_t handle, const struct item_out *item,
                                 enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                 struct err *e)
{
	(void)s;
	(void)handle;
	(void)collision;
	*verdict = SINK_PUT;
	return buf_append(target, item->key, e);
}

static enum err_code sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                              const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                              struct err *e)
{
	struct comparing_sink *s = (struct comparing_sink *)base;
	struct damage *d = s->damage;
	uint8_t digest[16];
	struct span piece;
	enum err_code rc = body->rewind(body->ctx, e);
	int n;

	(void)handle;
	(void)collision;
	buf_clear(&s->body);
	while (!rc) {
		rc = body->next(body->ctx, &piece, e);
		if (rc || !piece.len)
			break;
		rc = buf_append(&s->body, piece, e);
	}
	if (rc)
		return rc;
	n = oracle_find(&d->oracle, s->snapshot, buf_span(&s->path), item->key);
	crypto_digest(buf_span(&s->body), digest, sizeof digest);
	if (n < 0)
		finding(d, "restore gives an item that nobody stored", NULL);
	else if (d->oracle.items[n].bytes != s->body.len || memcmp(digest, d->oracle.items[n].digest, sizeof digest))
		finding(d, "restore gives wrong bytes", NULL);
	else
		s->given |= (oracle_set)1 << n;
	*verdict = SINK_PUT;
	return ERR_OK;
}

static enum err_code sink_done(struct item_sink *s, size_t handle, struct err *e)
{
	(void)s;
	(void)handle;
	(void)e;
	return ERR_OK;
}

static enum err_code sink_finish(struct item_sink *s, struct err *e)
{
	(void)s;
	(void)e;
	return ERR_OK;
}

static const struct item_sink_ops sink_ops = { .occupied = sink_occupied,
	                                       .collection = sink_collection,
	                                       .decide = sink_decide,
	                                       .put = sink_put,
	                                       .collection_done = sink_done,
	                                       .finish = sink_finish };

/* ---- one look at the repository ---- */

static void note_problem(void *ctx, const struct check_problem *p)
{
	struct outcome *o = ctx;

	if (!o->problems++)
		err_set(&o->first_problem, p->what->code, "%.150s: %.300s", p->object, p->what->text);
}

static enum err_code ignore_step(void *ctx, const struct restore_step *step, struct err *e)
{
	(void)ctx;
	(void)step;
	(void)e;
	return ERR_OK;
}

/* Gives every item of every snapshot back, as far as it can be had. */
static void restore_all(struct damage *d, struct repo *r, struct outcome *out)
{
	for (unsigned i = 0; i < d->oracle.snapshot_count; i++) {
		struct comparing_sink s = { .base = { .ops = &sink_ops, .world = "test" }, .damage = d, .snapshot = i };
		struct restore_report report;
		struct view *v = NULL;
		struct err ignored;

		if (!view_open(r, &d->oracle.snapshots[i].id, &v, &ignored))
			(void)!engine_restore(v, &s.base, &(struct restore_options){ 0 }, ignore_step, NULL, &report,
			                      &ignored);
		view_free(&v);
		out->given |= s.given;
		buf_release(&s.path);
		buf_release(&s.body);
	}
}

static void look(struct damage *d, const struct client *c, struct outcome *out)
{
	struct repo_options o = { .url = d->repository,
		                  .secret = c->secret,
		                  .secret_kind = SLOT_KEY_FILE,
		                  .cache_folder = d->cache,
		                  .expect_head = c->expect_head };
	struct check_report report;
	struct repo *r = NULL;
	struct err e;

	memset(out, 0, sizeof *out);
	unlink(d->fold_path);
	if (c->fold && file_replace(d->fold_path, buf_span(c->fold), 0600, false, &e))
		box_die("%s", e.text);
	if (repo_open(&o, &r, &out->opening)) {
		if (!out->opening.text[0])
			finding(d, "it does not open, and does not say why", out);
		return;
	}
	out->opening.code = ERR_OK;
	if (engine_check(r, &(struct check_options){ .read_data = true }, note_problem, out, &report, &e)) {
		out->problems++;
		out->first_problem = e;
	}
	out->affected = report.items_affected;
	restore_all(d, r, out);
	repo_free(&r);
	d->cases++;
}

/* ---- what a damage may cost ---- */

/* Blocks whose bytes are gone or changed, records that are, and whether nobody can open anything without them. */
struct extent {
	oracle_set blocks; /* certainly unreadable */
	oracle_set maybe;  /* perhaps, too: the pack's directories are damaged */
	uint64_t record;   /* UINT64_MAX: none */
	uint64_t other_record;
	bool history_ends; /* a reader may take the ledger for ending before RECORD */
	bool opens_nothing;
	bool gone;           /* the object */
	bool changed_inside; /* bytes changed, not length, name or place */
};

#define NO_RECORD UINT64_MAX

static struct extent extent_none(void)
{
	return (struct extent){ .record = NO_RECORD, .other_record = NO_RECORD };
}

/* Bytes FIRST to END of the object. */
static void extent_add(const struct damage *d, const struct object *o, uint64_t first, uint64_t end, bool cut,
                       struct extent *x)
{
	for (size_t i = 0; i < d->oracle.block_count; i++) {
		const struct oracle_block *b = &d->oracle.blocks[i];

		if (strcmp(b->pack, o->name) != 0)
			continue;
		x->maybe |= cut ? (oracle_set)1 << i : 0;
		if (b->first < end && first < b->end)
			x->blocks |= (oracle_set)1 << i;
	}
	if (o->kind == KIND_OF_RECORD)
		*(x->record == NO_RECORD ? &x->record : &x->other_record) = o->record;
	x->opens_nothing |= (o->kind == KIND_OF_SLOT || o->kind == KIND_OF_BUNDLE) && !o->others;
}

static bool record_hit(const struct extent *x, uint64_t record)
{
	return record == x->record || record == x->other_record ||
	       (x->history_ends && (record >= x->record || record >= x->other_record));
}

static void judge_losses(struct damage *d, const struct extent *x, const struct outcome *out)
{
	oracle_set records_blocks = 0, may = 0, must = 0, lost;

	for (size_t i = 0; i < d->oracle.block_count; i++)
		if (record_hit(x, d->oracle.blocks[i].record))
			records_blocks |= (oracle_set)1 << i;
	for (size_t i = 0; i < d->oracle.item_count; i++) {
		const struct oracle_item *item = &d->oracle.items[i];
		oracle_set needs = item->content | item->structure, bit = (oracle_set)1 << i;

		if (needs & (x->blocks | x->maybe | records_blocks) ||
		    record_hit(x, d->oracle.snapshots[item->snapshot].record) || x->opens_nothing || x->record == 0 ||
		    x->other_record == 0)
			may |= bit;
		if (item->content & x->blocks)
			must |= bit;
	}
	lost = ~out->given & (((oracle_set)1 << d->oracle.item_count) - 1);
	if (lost & ~may)
		finding(d, "something is lost that does not depend on it", out);
	if (must & ~lost)
		finding(d, "something is given whose bytes are not there", out);
	if (out->opening.code == ERR_OK && must && !out->affected)
		finding(d, "check does not say that items are affected", out);
	if (out->affected > (uint64_t)__builtin_popcountll(may))
		finding(d, "check says that more is affected than there can be", out);
}

static bool detected(const struct outcome *o)
{
	return o->opening.code || o->problems;
}

/* ---- one damage, looked at by everyone whom it may concern ---- */

static struct client newcomer(const struct damage *d)
{
	return (struct client){ .what = "a newcomer", .secret = d->ours };
}

/* Clients that know what the ledger was. */
static void look_by_knowing(struct damage *d, const struct object *o, bool newest_gone)
{
	struct client knowing = { .what = "one who was told the head", .expect_head = d->head, .secret = d->ours };
	struct client returning = { .what = "one who has been here", .fold = &d->fold, .secret = d->ours };
	const struct client *all[] = { &knowing, &returning };
	char number[40];

	snprintf(number, sizeof number, "record %" PRIu64, o->record);
	for (size_t i = 0; i < 2; i++) {
		struct outcome out;

		look(d, all[i], &out);
		if (!detected(&out))
			finding(d, all[i]->what, &out);
		if (newest_gone && out.opening.code != ERR_FORKED)
			finding(d, "the newest record is gone, and that is not called a store that went back", &out);
		if (newest_gone && !strstr(out.opening.text, number))
			finding(d, "it does not say which record is gone", &out);
	}
}

/*
 * What a newcomer cannot see: the text for people; what is called a label and is not there; what only another key opens;
 * and that the newest records are not there, or all of them from some record on, as if they had never been written.
 */
static bool may_be_silent(const struct object *o, const struct extent *x)
{
	return o->kind == KIND_OF_README || (o->kind == KIND_OF_LABEL && x->gone) ||
	       (o->others && o->kind != KIND_OF_LABEL && x->changed_inside) || x->history_ends;
}

static void judge_detection(struct damage *d, const struct object *o, const struct extent *x, const struct outcome *out)
{
	if (!detected(out) && !may_be_silent(o, x))
		finding(d, "nobody is told", out);
	if (o->others && o->kind != KIND_OF_LABEL) {
		struct client other = { .what = "its holder", .secret = d->others };
		struct outcome theirs;

		look(d, &other, &theirs);
		if (!detected(&theirs))
			finding(d, "not even its own holder is told", &theirs);
	}
}

static void judge(struct damage *d, const struct object *o, const struct extent *x)
{
	struct client c = newcomer(d);
	struct outcome out;

	look(d, &c, &out);
	judge_detection(d, o, x, &out);
	judge_losses(d, x, &out);
}

/* ---- all the ways ---- */

static void flip(struct damage *d, const struct object *o, size_t at)
{
	struct extent x = extent_none();
	uint8_t mask = (uint8_t)(1 + box_random(&d->random) % 255), byte = o->bytes[at] ^ mask;
	char path[BOX_PATH_MAX + 200];
	int fd;

	snprintf(d->doing, sizeof d->doing, "%s, byte %zu of %zu xor %02x", o->name, at, o->size, mask);
	path_of(d, o, path, sizeof path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, &byte, 1, (off_t)at) != 1)
		box_die("%s cannot be changed", path);
	extent_add(d, o, at, at + 1, false, &x);
	x.changed_inside = true;
	judge(d, o, &x);
	if (o->kind == KIND_OF_RECORD)
		look_by_knowing(d, o, false);
	if (pwrite(fd, &o->bytes[at], 1, (off_t)at) != 1 || close(fd) != 0)
		box_die("%s cannot be changed back", path);
}

static void cut(struct damage *d, const struct object *o, size_t size)
{
	struct extent x = extent_none();

	snprintf(d->doing, sizeof d->doing, "%s, %zu bytes, cut to %zu", o->name, o->size, size);
	write_object(d, o, o->bytes, size);
	extent_add(d, o, size, UINT64_MAX, true, &x);
	judge(d, o, &x);
	restore_object(d, o);
}

static void lengthen(struct damage *d, const struct object *o)
{
	struct extent x = extent_none();
	struct buf longer = BUF_EMPTY;
	struct err e;

	snprintf(d->doing, sizeof d->doing, "%s, a byte more", o->name);
	if (buf_append(&longer, span_of(o->bytes, o->size), &e) || buf_append(&longer, SPAN_LIT("+"), &e))
		box_die("%s", e.text);
	write_object(d, o, longer.ptr, longer.len);
	extent_add(d, o, o->size, UINT64_MAX, true, &x);
	judge(d, o, &x);
	restore_object(d, o);
	buf_release(&longer);
}

static bool is_newest_record(const struct damage *d, const struct object *o)
{
	for (size_t i = 0; i < d->object_count; i++)
		if (d->objects[i].kind == KIND_OF_RECORD && d->objects[i].record > o->record)
			return false;
	return o->kind == KIND_OF_RECORD;
}

static void take_away(struct damage *d, const struct object *o)
{
	struct extent x = extent_none();

	snprintf(d->doing, sizeof d->doing, "%s deleted", o->name);
	delete_object(d, o);
	extent_add(d, o, 0, UINT64_MAX, true, &x);
	x.history_ends = o->kind == KIND_OF_RECORD && o->record > 0;
	x.gone = true;
	judge(d, o, &x);
	if (o->kind == KIND_OF_RECORD)
		look_by_knowing(d, o, is_newest_record(d, o));
	restore_object(d, o);
}

/* O gets what P holds; with BOTH also the other way round. */
static void put_in_place(struct damage *d, const struct object *o, const struct object *p, bool both)
{
	struct extent x = extent_none();

	snprintf(d->doing, sizeof d->doing, "%s %s %s", o->name, both ? "exchanged with" : "replaced by", p->name);
	write_object(d, o, p->bytes, p->size);
	extent_add(d, o, 0, UINT64_MAX, true, &x);
	if (both) {
		write_object(d, p, o->bytes, o->size);
		extent_add(d, p, 0, UINT64_MAX, true, &x);
	}
	judge(d, both && o->others ? p : o, &x);
	if (o->kind == KIND_OF_RECORD)
		look_by_knowing(d, o, false);
	restore_object(d, o);
	if (both)
		restore_object(d, p);
}

/* All records from O on are gone: the store as it once was. */
static void roll_back(struct damage *d, const struct object *o)
{
	struct extent x = extent_none();

	snprintf(d->doing, sizeof d->doing, "the store as it was before %s", o->name);
	for (size_t i = 0; i < d->object_count; i++)
		if (d->objects[i].kind == KIND_OF_RECORD && d->objects[i].record >= o->record)
			delete_object(d, &d->objects[i]);
	extent_add(d, o, 0, UINT64_MAX, true, &x);
	x.history_ends = true;
	judge(d, o, &x);
	for (size_t i = 0; i < d->object_count; i++)
		if (is_newest_record(d, &d->objects[i]))
			look_by_knowing(d, &d->objects[i], true);
	for (size_t i = 0; i < d->object_count; i++)
		if (d->objects[i].kind == KIND_OF_RECORD)
			restore_object(d, &d->objects[i]);
}

/* ---- the run ---- */

static void bytes_of(struct damage *d, const struct object *o, size_t each)
{
	size_t step = each && o->size > each ? o->size / each : 1;

	for (size_t at = box_random(&d->random) % step; at < o->size; at += step)
		flip(d, o, at);
	for (size_t at = box_random(&d->random) % step; at < o->size; at += step)
		cut(d, o, at);
	for (size_t i = 0; each && i < d->oracle.block_count; i++) {
		const struct oracle_block *b = &d->oracle.blocks[i];

		if (!strcmp(b->pack, o->name))
			flip(d, o, b->first + box_random(&d->random) % (b->end - b->first));
	}
}

static void damage_object(struct damage *d, struct object *o, size_t each)
{
	uint64_t before = d->cases;
	unsigned findings = d->findings;

	bytes_of(d, o, each);
	lengthen(d, o);
	take_away(d, o);
	if (o->kind == KIND_OF_RECORD && o->record)
		roll_back(d, o);
	for (size_t i = 0; i < d->object_count; i++) {
		const struct object *p = &d->objects[i];

		if (p == o || p->kind != o->kind)
			continue;
		put_in_place(d, o, p, false);
		if (p > o)
			put_in_place(d, o, p, true);
	}
	printf("%-70s %6zu bytes, %7" PRIu64 " looks, %u findings\n", o->name, o->size, d->cases - before,
	       d->findings - findings);
	fflush(stdout);
}

/* ---- the repository ---- */

static enum kind kind_of(const char *name)
{
	if (!strncmp(name, "ledger/", 7))
		return KIND_OF_RECORD;
	if (!strncmp(name, "pack/", 5))
		return KIND_OF_PACK;
	if (strstr(name, ".bundle"))
		return KIND_OF_BUNDLE;
	if (strstr(name, ".label"))
		return KIND_OF_LABEL;
	return strncmp(name, "key/", 4) != 0 ? KIND_OF_README : KIND_OF_SLOT;
}

static void take_object(struct damage *d, const char *name, const char *path)
{
	struct object *o = &d->objects[d->object_count++];
	struct buf bytes = BUF_EMPTY;
	struct err e;

	if (d->object_count > OBJECTS_MAX || file_read(path, MIB, &bytes, &e))
		box_die("%s cannot be taken", name);
	chmod(path, 0600);
	snprintf(o->name, sizeof o->name, "%.119s", name);
	o->kind = kind_of(name);
	o->record = o->kind == KIND_OF_RECORD ? strtoull(name + 7, NULL, 16) : 0;
	o->bytes = bytes.ptr;
	o->size = bytes.len;
}

static void take_objects(struct damage *d, const char *below)
{
	char path[BOX_PATH_MAX + 300], name[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/%s", d->repository, below);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct stat s;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%.100s%s%.100s", below, *below ? "/" : "", entry->d_name);
		snprintf(path, sizeof path, "%s/%.200s", d->repository, name);
		if (stat(path, &s) == 0 && S_ISDIR(s.st_mode))
			take_objects(d, name);
		else if (s.st_size)
			take_object(d, name, path);
	}
	if (dir)
		closedir(dir);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct object *)a)->name, ((const struct object *)b)->name);
}

static struct secret *key_of(const struct damage *d, const char *file)
{
	char path[BOX_PATH_MAX + 20];
	struct buf text = BUF_EMPTY;
	struct secret *key = NULL;
	struct err e;

	snprintf(path, sizeof path, "%s/%s", d->box.work, file);
	if (file_read(path, 4096, &text, &e) || key_file_decode(buf_span(&text), &key, &e))
		box_die("%s", e.text);
	buf_release(&text);
	return key;
}

static void build(struct damage *d)
{
	static const char *const steps[][BOX_WORDS_MAX] = {
		{ "init", "--label", "first" },
		{ "snapshot", "../source/before", "--account", "ann" },
		{ "snapshot", "../source/files", "--account", "bob" },
		{ "snapshot", "../source/after", "--account", "ann" },
		{ "pin", "bob@latest" },
		{ "forget", "ann@latest~1" },
		{ "key", "add", "--label", "second", "--new-key-file", "other" },
	};
	static struct box_run run;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		box_must(&d->box, steps[i], &run);
	snprintf(d->repository, sizeof d->repository, "%s/repo", d->box.work);
	snprintf(d->cache, sizeof d->cache, "%s/looks", d->box.work);
	take_objects(d, "");
	qsort(d->objects, d->object_count, sizeof d->objects[0], by_name);
	if (crypto_start(&e))
		box_die("%s", e.text);
	d->ours = key_of(d, "key");
	d->others = key_of(d, "other");
}

/*
 * A good look first: it finds the cache folder, what the ledger is remembered as, and which key objects are ours. From
 * then on the index is "in use", so that every look makes its own in memory, from the packs: that is what a newcomer
 * does, and a hundred times as fast as RocksDB is opened.
 */
static void learn(struct damage *d)
{
	struct repo_options o = {
		.url = d->repository, .secret = d->ours, .secret_kind = SLOT_KEY_FILE, .cache_folder = d->cache
	};
	char path[BOX_PATH_MAX + 100];
	struct repo_info info;
	struct repo *r = NULL;
	struct err e;

	if (repo_open(&o, &r, &e))
		box_die("%s", e.text);
	repo_describe(r, &info);
	snprintf(d->head, sizeof d->head, "%s", info.head);
	snprintf(d->fold_path, sizeof d->fold_path, "%s/fold", info.cache_folder);
	snprintf(path, sizeof path, "%s/index.lock", info.cache_folder);
	repo_free(&r);
	if (file_read(d->fold_path, MIB, &d->fold, &e))
		box_die("%s", e.text);
	d->index_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->index_lock < 0 || flock(d->index_lock, LOCK_EX) != 0)
		box_die("%s cannot be locked", path);
}

static enum err_code note_holder(void *ctx, const struct key_info *k, struct err *e)
{
	struct damage *d = ctx;

	(void)e;
	for (size_t i = 0; i < d->object_count; i++)
		if (strstr(d->objects[i].name, k->id_hex))
			d->objects[i].others = !k->self;
	return ERR_OK;
}

static void learn_holders(struct damage *d)
{
	struct repo_options o = {
		.url = d->repository, .secret = d->ours, .secret_kind = SLOT_KEY_FILE, .cache_folder = d->cache
	};
	struct repo *r = NULL;
	struct err e;

	if (repo_open(&o, &r, &e) || repo_keys(r, note_holder, d, &e))
		box_die("%s", e.text);
	repo_free(&r);
}

static void without_damage(struct damage *d)
{
	struct client c = newcomer(d);
	struct outcome out;

	snprintf(d->doing, sizeof d->doing, "without any damage");
	look(d, &c, &out);
	if (detected(&out) || out.given != ((oracle_set)1 << d->oracle.item_count) - 1)
		finding(d, "not all is well", &out);
}

int main(int argc, char **argv)
{
	static struct damage d;
	const char *reader = getenv("MAILHOLD_READER");
	char key[BOX_PATH_MAX + 10];
	size_t each = 24, total = 0;
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--all"))
			each = 0;
		else if (!strcmp(argv[i], "--each") && i + 1 < argc)
			each = strtoull(argv[++i], NULL, 10);
		else if (argv[i][0] != '-')
			only = argv[i];
		else
			box_die("damage [--all | --each N] [OBJECT]");
	}
	if (!reader)
		box_die("MAILHOLD_READER names the second reader; run_damage.sh sets it");
	d.random = box_seed("damage");
	box_begin(&d.box, BOX_SMALL);
	build(&d);
	snprintf(key, sizeof key, "%s/key", d.box.work);
	oracle_ask(reader, d.repository, key, &d.oracle);
	learn(&d);
	learn_holders(&d);
	without_damage(&d);
	for (size_t i = 0; i < d.object_count; i++) {
		total += d.objects[i].size;
		if (!only || strstr(d.objects[i].name, only))
			damage_object(&d, &d.objects[i], each);
	}
	without_damage(&d);
	printf("%zu objects, %zu bytes, %zu items in %zu snapshots, %zu blocks; %" PRIu64 " looks, %u findings\n",
	       d.object_count, total, d.oracle.item_count, d.oracle.snapshot_count, d.oracle.block_count, d.cases,
	       d.findings);
	box_end(&d.box);
	return d.findings != 0;
}
