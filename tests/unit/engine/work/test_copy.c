/*
 * Copies between two repositories with other keys: what the copy holds against the model of its origin, what had to be
 * read for it, what becomes of interruptions, damage and memory that runs out, and whether a copy that is not one is
 * found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "engine/work/copy_source.h"
#include "engine/work/run.h"
#include "unit/engine/work/lab.h"

struct pair {
	struct snapshot_id from, to;
	enum copy_verdict verdict;
};
struct pairs {
	struct pair rows[SNAPSHOTS_KEPT];
	size_t count;
	size_t done, lacking, kept;
	size_t skipped;
	char last[300]; /* what was skipped last, and why */
};

static enum err_code note_pair(void *ctx, const struct copy_step *s, struct err *e)
{
	struct pairs *p = ctx;

	(void)e;
	assert_true(p->count < SNAPSHOTS_KEPT);
	p->rows[p->count] = (struct pair){ .from = s->from->id, .verdict = s->verdict };
	if (s->to)
		p->rows[p->count].to = *s->to;
	p->count++;
	p->done += s->verdict == COPY_DONE;
	p->lacking += s->verdict == COPY_LACKING;
	p->kept += s->instead_kept;
	return ERR_OK;
}

static void note_skipped(void *ctx, const char *what, const struct err *why)
{
	struct pairs *p = ctx;

	if (p->skipped < 3)
		printf("%s: %s\n", what, why->text); /* for who looks at a failed test */
	snprintf(p->last, sizeof p->last, "%.90s: %.200s", what, why->text);
	p->skipped++;
}

static struct copy_options options_for(const struct lab *from, struct pairs *p)
{
	*p = (struct pairs){ .count = 0 };
	return (struct copy_options){
		.ids = from->ids, .count = from->count, .verify = true, .skipped = note_skipped, .skipped_ctx = p
	};
}

struct shown {
	struct snapshot_info info;
	char words[200];
};

static void show(struct repo *r, const struct snapshot_id *id, struct shown *out)
{
	const struct snapshot_fact *fact = snapshot_find(r, id);
	struct buf hold = BUF_EMPTY;

	assert_non_null(fact);
	ok(snapshot_show(r, fact, &hold, &out->info, &err));
	snprintf(out->words, sizeof out->words, "%.*s|%.*s|%.*s|%.*s", (int)out->info.account.len,
	         (const char *)out->info.account.ptr, (int)out->info.host.len, (const char *)out->info.host.ptr,
	         (int)out->info.source.len, (const char *)out->info.source.ptr, (int)out->info.tags.len,
	         out->info.tags.len ? (const char *)out->info.tags.ptr : "");
	buf_release(&hold);
}

/* What the entry and the details of a copy say is what its origin says. */
static void same_words(struct repo *from, struct repo *to, const struct pair *p)
{
	struct shown a, b;

	show(from, &p->from, &a);
	show(to, &p->to, &b);
	assert_string_equal(a.words, b.words);
	assert_int_equal(a.info.time_ms, b.info.time_ms);
	assert_int_equal(a.info.zone_minutes, b.info.zone_minutes);
	assert_int_equal(a.info.duration_ms, b.info.duration_ms);
	assert_int_equal(a.info.items, b.info.items);
	assert_int_equal(a.info.bytes, b.info.bytes);
	assert_int_equal(a.info.collections, b.info.collections);
	assert_int_equal(a.info.items_skipped, b.info.items_skipped);
	assert_int_equal(a.info.flags | ENGINE_SNAPSHOT_COPIED, b.info.flags);
}

static void copies_equal(struct lab *from, struct lab *to, const struct pairs *p)
{
	for (size_t i = 0; i < p->count; i++) {
		assert_true(p->rows[i].verdict == COPY_DONE || p->rows[i].verdict == COPY_PRESENT);
		same_words(from->repo, to->repo, &p->rows[i]);
		for (size_t k = 0; k < from->count; k++)
			if (!memcmp(&from->ids[k], &p->rows[i].from, sizeof from->ids[k]))
				same_snapshot(to, &p->rows[i].to, from->kept[k], 10);
	}
}

static void take_some(struct lab *l, size_t rounds)
{
	static const char *const tags[] = { "one", "two" };

	for (size_t n = 0; n < rounds; n++) {
		change_world(l, 60 + below(200));
		run_whole(l, &(struct snapshot_options){ .source = "fake:ann", .tags = tags, .tag_count = below(3) });
	}
}

static void copies_equal_their_origins(void **state)
{
	static struct lab a, b, c;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("copies_equal_their_origins");
	lab_start(&a);
	lab_start(&b);
	lab_start(&c);
	take_some(&a, 4);
	/* Some first, and not the oldest: the others are put before it later. */
	o = options_for(&a, &p);
	o.ids = a.ids + 1;
	o.count = 2;
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.copied, 2);
	copies_equal(&a, &b, &p);
	take_some(&a, 4);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.copied, 6);
	assert_int_equal(report.present, 2);
	assert_int_equal(report.items_differ, 0);
	assert_int_equal(p.skipped, 0);
	copies_equal(&a, &b, &p);
	repository_is_good(&b);
	/* Nothing is left to do, wherever it comes from. */
	ok(engine_copy(a.repo, b.repo, &o, NULL, NULL, &report, &err));
	assert_int_equal(report.present, 8);
	assert_int_equal(report.items_read, 0);
	for (size_t i = 0; i < p.count; i++)
		b.ids[i] = p.rows[i].to;
	b.count = p.count;
	o = options_for(&b, &p);
	ok(engine_copy(b.repo, a.repo, &o, NULL, NULL, &report, &err));
	assert_int_equal(report.present, 8);
	ok(engine_copy(b.repo, c.repo, &o, NULL, NULL, &report, &err));
	assert_int_equal(report.copied, 8);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, c.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.present, 8);
	copies_equal(&a, &c, &p);
	repository_is_good(&c);
	b.count = 0; /* they have no models of their own */
	lab_end(&a);
	lab_end(&b);
	lab_end(&c);
}

static void only_changes_are_read(void **state)
{
	static struct lab a, b;
	struct fake_folder *f;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("only_changes_are_read");
	lab_start(&a);
	lab_start(&b);
	f = &a.now.folders[1];
	for (size_t i = 0; i < 2000; i++)
		item_new(&a, &a.now.folders[i % 4], false);
	run_whole(&a, &(struct snapshot_options){ 0 });
	o = options_for(&a, &p);
	o.verify = false;
	ok(engine_copy(a.repo, b.repo, &o, NULL, NULL, &report, &err));
	assert_true(report.items_read >= 2000);
	/* 3 new, 2 others under known keys, one gone, one moved with its bytes, some flags. */
	for (size_t i = 0; i < 3; i++)
		item_new(&a, f, false);
	for (size_t i = 0; i < 2; i++) {
		f->items[40 * i].seed += 1000003;
		f->items[40 * i].size = 500;
		f->items[40 * i].version = a.next_version++;
	}
	item_remove(f, 100);
	item_move(&a, f, 200, &a.now.folders[2]);
	for (size_t i = 0; i < 50; i++)
		f->items[i * 7].flags++;
	run_whole(&a, &(struct snapshot_options){ 0 });
	run_whole(&a, &(struct snapshot_options){ 0 });
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.copied, 2);
	assert_true(report.items_read >= 5 && report.items_read <= 6);
	copies_equal(&a, &b, &p);
	lab_end(&a);
	lab_end(&b);
}

/* ---- interruptions ---- */

struct stopper {
	pthread_t thread;
	volatile sig_atomic_t *flag;
	unsigned wait_us;
};

static void *stop_later(void *ctx)
{
	struct stopper *s = ctx;

	usleep(s->wait_us);
	stop_ask(s->flag);
	return NULL;
}

static void an_interrupted_copy_goes_on(void **state)
{
	static struct lab a, b;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;
	size_t stopped = 0, unfinished = 0;
	enum err_code rc = ERR_CANCELLED;

	(void)state;
	random_start("an_interrupted_copy_goes_on");
	lab_start(&a);
	lab_start(&b);
	take_some(&a, 6);
	for (unsigned n = 0; rc == ERR_CANCELLED && n < 400; n++) {
		struct stopper s = { .flag = &b.stop, .wait_us = (unsigned)below(3000 + 400 * n) };

		o = options_for(&a, &p);
		o.verify = below(2);
		o.partial_every_bytes = below(2);
		b.stop = 0;
		if (below(3) == 0)
			lab_reopen(&b);
		assert_int_equal(pthread_create(&s.thread, NULL, stop_later, &s), 0);
		rc = engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err);
		pthread_join(s.thread, NULL);
		assert_int_equal(p.skipped, 0);
		stopped += rc == ERR_CANCELLED;
		for (size_t i = 0; i < ledger_snapshot_count(b.repo->ledger); i++)
			unfinished += ledger_snapshot(b.repo->ledger, i)->entry.flags & SNAPSHOT_PARTIAL;
	}
	b.stop = 0;
	ok(rc);
	assert_true(stopped > 2);
	assert_true(unfinished > 0);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.present, a.count);
	/* What interrupted copies left was replaced, each by the copy that it was the beginning of. */
	for (size_t i = 0; i < ledger_snapshot_count(b.repo->ledger); i++)
		assert_false(ledger_snapshot(b.repo->ledger, i)->entry.flags & SNAPSHOT_PARTIAL);
	copies_equal(&a, &b, &p);
	repository_is_good(&b);
	lab_end(&a);
	lab_end(&b);
}

/* ---- damage ---- */

static char largest[1000];
static off_t largest_bytes;

static int note_largest(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)where;
	if (type == FTW_F && st->st_size > largest_bytes) {
		largest_bytes = st->st_size;
		snprintf(largest, sizeof largest, "%s", path);
	}
	return 0;
}

/* The largest pack of L. */
static void find_pack(const struct lab *l)
{
	char folder[200];

	snprintf(folder, sizeof folder, "%s/pack", l->url);
	largest_bytes = 0;
	assert_int_equal(nftw(folder, note_largest, 8, FTW_PHYS), 0);
	assert_true(largest_bytes > 0);
}

/* Flips a byte in that pack, or flips it back. */
static void flip_pack(void)
{
	FILE *f;
	int byte;

	assert_int_equal(chmod(largest, 0600), 0);
	f = fopen(largest, "r+b");
	assert_non_null(f);
	assert_int_equal(fseek(f, largest_bytes / 3, SEEK_SET), 0);
	byte = fgetc(f);
	assert_int_equal(fseek(f, largest_bytes / 3, SEEK_SET), 0);
	fputc(byte ^ 0x40, f);
	assert_int_equal(fclose(f), 0);
}

/* A has a pack with a flipped bit, and what can be read of its only snapshot is in B. */
static void copy_what_is_readable(struct lab *a, struct lab *b, struct pairs *p, struct copy_report *report)
{
	struct copy_options o;

	lab_start(a);
	lab_start(b);
	for (size_t i = 0; i < 1500 / SLOWER; i++)
		item_new(a, &a->now.folders[i % 5], false);
	run_whole(a, &(struct snapshot_options){ 0 });
	find_pack(a);
	flip_pack();
	lab_reopen(a);
	o = options_for(a, p);
	ok(engine_copy(a->repo, b->repo, &o, note_pair, p, report, &err));
	assert_int_equal(p->done, 1);
}

static void damage_costs_what_it_hits(void **state)
{
	static struct lab a, b;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;
	struct shown shown;

	(void)state;
	random_start("damage_costs_what_it_hits");
	copy_what_is_readable(&a, &b, &p, &report);
	assert_true(report.items_skipped > 0 && report.items_skipped < 1500 / SLOWER);
	assert_true(p.skipped > 0);
	assert_int_equal(report.items_differ, 0);
	show(b.repo, &p.rows[0].to, &shown);
	assert_true(shown.info.flags & ENGINE_SNAPSHOT_GAPS);
	assert_int_equal(shown.info.items + shown.info.items_skipped, 1500 / SLOWER);
	repository_is_good(&b);
	/* When they can be read the first snapshot is copied again, and the next one has the lost items, too. */
	flip_pack();
	lab_reopen(&a);
	item_new(&a, any_folder(&a), false);
	run_whole(&a, &(struct snapshot_options){ 0 });
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(p.done, 2);
	assert_int_equal(p.skipped, 0);
	same_snapshot(&b, &p.rows[0].to, a.kept[0], 1);
	same_snapshot(&b, &p.rows[1].to, a.kept[1], 1);
	lab_end(&a);
	lab_end(&b);
}

/* ---- copies that lack something ---- */

/* Bits of A's packs that are flipped for now. */
static struct flip {
	char path[300];
	long at;
} flips[12];
static size_t flip_count;
static char packs[64][300];
static off_t pack_bytes[64];
static size_t pack_count;

static int note_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)where;
	if (type == FTW_F && pack_count < 64) {
		pack_bytes[pack_count] = st->st_size;
		snprintf(packs[pack_count++], sizeof packs[0], "%s", path);
	}
	return 0;
}

static void flip(const struct flip *f)
{
	FILE *file;
	int byte;

	assert_int_equal(chmod(f->path, 0600), 0);
	file = fopen(f->path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, f->at, SEEK_SET), 0);
	byte = fgetc(file);
	assert_int_equal(fseek(file, f->at, SEEK_SET), 0);
	fputc(byte ^ 0x10, file);
	assert_int_equal(fclose(file), 0);
}

static void damage_more(struct lab *l)
{
	char folder[200];
	size_t i;

	snprintf(folder, sizeof folder, "%s/pack", l->url);
	pack_count = 0;
	assert_int_equal(nftw(folder, note_file, 8, FTW_PHYS), 0);
	while (flip_count < ARRAY_LEN(flips)) {
		i = below(pack_count);
		snprintf(flips[flip_count].path, sizeof flips[0].path, "%s", packs[i]);
		flips[flip_count].at = (long)below((uint64_t)pack_bytes[i]);
		flip(&flips[flip_count++]);
	}
	lab_reopen(l);
}

static void mend(struct lab *l, size_t count)
{
	for (; count && flip_count; count--) {
		size_t i = below(flip_count);

		flip(&flips[i]);
		flips[i] = flips[--flip_count];
	}
	lab_reopen(l);
}

/* Live copies in L of the snapshot ID, partial ones aside; *ITEMS: of the newest. */
static size_t live_copies(struct lab *l, const struct snapshot_id *id, uint64_t *items)
{
	size_t count = 0;

	*items = 0;
	for (size_t i = 0; i < ledger_snapshot_count(l->repo->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(l->repo->ledger, i);
		struct snapshot_details d;
		struct buf hold = BUF_EMPTY;

		if (fact->state != SNAPSHOT_LIVE)
			continue;
		ok(snapshot_details_of(l->repo, fact, &hold, &d, &err));
		if (d.copied && !memcmp(&d.origin.snapshot, id, sizeof *id)) {
			*items = fact->entry.item_count;
			count++;
		}
		buf_release(&hold);
	}
	return count;
}

/* Whatever is readable when, no copy ever loses what an earlier one had, and in the end all is there, once. */
static void a_copy_that_lacks_something_is_completed(void **state)
{
	static struct lab a, b;
	uint64_t had[3] = { 0 }, items;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;
	uint64_t head;
	size_t lacking = 0;

	(void)state;
	random_start("a_copy_that_lacks_something_is_completed");
	lab_start(&a);
	lab_start(&b);
	for (size_t s = 0; s < 3; s++) {
		for (size_t i = 0; i < 300 / SLOWER; i++)
			item_new(&a, &a.now.folders[i % 5], false);
		run_whole(&a, &(struct snapshot_options){ 0 });
	}
	for (size_t round = 0; round < 8; round++) {
		mend(&a, 1 + below(8));
		damage_more(&a);
		o = options_for(&a, &p);
		o.verify = false;
		o.partial_every_bytes = below(2);
		ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
		assert_int_equal(report.lacking, p.lacking);
		lacking += p.lacking;
		for (size_t s = 0; s < 3; s++) {
			assert_true(live_copies(&b, &a.ids[s], &items) <= 1);
			assert_true(items >= had[s]);
			had[s] = items;
		}
	}
	assert_true(lacking > 0);
	mend(&a, flip_count);
	o = options_for(&a, &p);
	o.partial_every_bytes = below(2);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_true(report.copied > 0);
	assert_int_equal(report.lacking, 0);
	assert_int_equal(p.skipped, 0);
	copies_equal(&a, &b, &p);
	for (size_t s = 0; s < 3; s++)
		assert_int_equal(live_copies(&b, &a.ids[s], &items), 1);
	repository_is_good(&b);
	/* Nothing is left to do. */
	head = ledger_head(b.repo->ledger).number;
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.present, 3);
	assert_int_equal(report.items_read, 0);
	assert_int_equal(ledger_head(b.repo->ledger).number, head);
	lab_end(&a);
	lab_end(&b);
}

/* While nothing more can be read nothing is committed; a pinned copy stays beside the one that completes it. */
static void a_lacking_copy_waits_and_a_pinned_one_stays(void **state)
{
	static struct lab a, b;
	struct copy_report report;
	struct snapshot_id first;
	struct pairs p;
	struct copy_options o;
	size_t snapshots;
	uint64_t items;

	(void)state;
	random_start("a_lacking_copy_waits_and_a_pinned_one_stays");
	copy_what_is_readable(&a, &b, &p, &report);
	first = p.rows[0].to;
	snapshots = ledger_snapshot_count(b.repo->ledger);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.lacking, 1);
	assert_int_equal(report.copied + report.present, 0);
	assert_true(report.items_skipped > 0);
	assert_memory_equal(&p.rows[0].to, &first, sizeof first);
	assert_int_equal(ledger_snapshot_count(b.repo->ledger), snapshots);
	ok(engine_pin(b.repo, &first, 1, false, &err));
	flip_pack();
	lab_reopen(&a);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(p.done, 1);
	assert_int_equal(p.kept, 1);
	same_snapshot(&b, &p.rows[0].to, a.kept[0], 1);
	assert_int_equal(live_copies(&b, &a.ids[0], &items), 2);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.present, 1);
	copies_equal(&a, &b, &p);
	lab_end(&a);
	lab_end(&b);
}

/* ---- copies that are none ---- */

enum bend { BEND_NOTHING, BEND_BYTES, BEND_FACTS, BEND_STATE, BEND_ATTRIBUTE, BEND_ITEM, BEND_COLLECTION, BENDS };
static const struct {
	const char *told;
	uint64_t differences;
} bends[BENDS] = {
	[BEND_BYTES] = { "other bytes", 1 },   [BEND_FACTS] = { "other facts", 1 },
	[BEND_STATE] = { "another state", 1 }, [BEND_ATTRIBUTE] = { "other attributes", 1 },
	[BEND_ITEM] = { "lacks 1 items", 1 },  [BEND_COLLECTION] = { "lacks", 1 },
};

/* A snapshot as it is, but for one thing. Only one at a time: listings know no source. */
static struct {
	struct item_source base;
	struct item_source *inner;
	enum bend bend;
	struct collection collections[FAKE_FOLDERS];
	struct attribute attributes[2];
	struct buf state;
	const struct item_receiver *to;
	uint8_t *space;
	bool bent;
} bent;

static enum err_code bent_collections(struct item_source *s, const struct collection **out, size_t *count,
                                      struct err *e)
{
	const struct collection *from;
	enum err_code rc = bent.inner->ops->collections(bent.inner, &from, count, e);

	(void)s;
	if (rc)
		return rc;
	memcpy(bent.collections, from, *count * sizeof *from);
	memcpy(bent.attributes, from[0].attributes, sizeof bent.attributes);
	if (bent.bend == BEND_ATTRIBUTE) {
		bent.attributes[1].value = SPAN_LIT("stamp of another");
		bent.collections[0].attributes = bent.attributes;
	}
	*count -= bent.bend == BEND_COLLECTION;
	*out = bent.collections;
	return ERR_OK;
}

static enum err_code bent_list(struct item_source *s, size_t c, struct span cursor, bool rescan,
                               struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	(void)s;
	return bent.inner->ops->list(bent.inner, c, cursor, rescan, out, new_cursor, e);
}

static size_t bent_count(const struct item_listing *l)
{
	size_t count = bent.inner->ops->listing_count(l);

	if (bent.bend != BEND_ITEM || bent.bent)
		return count;
	bent.bent = true;
	return count - 1;
}

static void bent_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	bent.inner->ops->listing_get(l, i, out);
	if (bent.bend != BEND_STATE || !span_equal(out->key, SPAN_LIT("key00000003")))
		return;
	buf_clear(&bent.state);
	ok(buf_append(&bent.state, out->state, &err));
	bent.state.ptr[bent.state.len - 1] ^= 1;
	out->state = buf_span(&bent.state);
}

static void bent_listing_free(struct item_listing **l)
{
	bent.inner->ops->listing_free(l);
}

static enum err_code bent_stream(void *ctx, struct span name, uint64_t bytes, struct err *e)
{
	(void)ctx;
	return bent.to->stream(bent.to->ctx, name, bytes, e);
}

static enum err_code bent_space(void *ctx, size_t want, uint8_t **dst, size_t *got, struct err *e)
{
	enum err_code rc = bent.to->space(bent.to->ctx, want, dst, got, e);

	(void)ctx;
	bent.space = *dst;
	return rc;
}

static enum err_code bent_add(void *ctx, size_t n, struct err *e)
{
	(void)ctx;
	if (n && !bent.bent) {
		bent.space[n - 1] ^= 0x20;
		bent.bent = true;
	}
	return bent.to->add(bent.to->ctx, n, e);
}

static enum err_code bent_fetch(struct item_source *s, size_t c, const struct item_listing *l, uint64_t place,
                                const struct item_receiver *to, struct buf *facts, struct err *e)
{
	static const struct item_receiver receiver = { .stream = bent_stream, .space = bent_space, .add = bent_add };
	enum err_code rc;

	(void)s;
	bent.to = to;
	rc = bent.inner->ops->fetch(bent.inner, c, l, place, bent.bend == BEND_BYTES ? &receiver : to, facts, e);
	if (!rc && bent.bend == BEND_FACTS && !bent.bent) {
		facts->ptr[facts->len - 1] ^= 1;
		bent.bent = true;
	}
	return rc;
}

static bool never_same(const struct item_source *s, size_t c, uint64_t items, uint64_t bytes)
{
	(void)s;
	(void)c;
	(void)items;
	(void)bytes;
	return false;
}

/* Puts into B what says that it is a copy of A's first snapshot. */
static void copy_bent(struct lab *a, struct lab *b, enum bend bend)
{
	static const struct item_source_ops ops = { .collections = bent_collections,
		                                    .list = bent_list,
		                                    .listing_count = bent_count,
		                                    .listing_get = bent_get,
		                                    .listing_free = bent_listing_free,
		                                    .fetch = bent_fetch };
	const struct snapshot_fact *fact = snapshot_find(a->repo, &a->ids[0]);
	struct copied c = { .time_ms = fact->entry.time_ms, .same = never_same, .changed = copy_source_changed };
	struct snapshot_options o = { .account = "ann" };
	struct snapshot_report report;
	struct buf hold = BUF_EMPTY;
	struct view *v = NULL;

	ok(repo_need_index(a->repo, INDEX_READ, &err));
	ok(view_open(a->repo, &a->ids[0], &v, &err));
	ok(snapshot_details_of(a->repo, fact, &hold, &c.details, &err));
	c.details.origin = (struct snapshot_origin){ keys_repo(a->repo->keys), a->ids[0] };
	memset(&bent, 0, sizeof bent);
	bent.bend = bend;
	bent.state = BUF_EMPTY;
	ok(copy_source_open(v, NULL, 0, &bent.inner, &err));
	bent.base = *bent.inner;
	bent.base.ops = &ops;
	bent.base.parallel_fetch = false;
	c.lost = copy_source_lost(bent.inner);
	ok(run_copy(b->repo, &bent.base, &o, &c, &report, &err));
	bent.inner->ops->free(&bent.inner);
	buf_release(&bent.state);
	buf_release(&hold);
	view_free(&v);
}

static void verifying_finds_what_differs(void **state)
{
	static struct lab a;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("verifying_finds_what_differs");
	lab_start(&a);
	for (size_t i = 0; i < 40; i++)
		item_new(&a, &a.now.folders[i % 5], false);
	run_whole(&a, &(struct snapshot_options){ 0 });
	for (enum bend bend = 0; bend < BENDS; bend++) {
		static struct lab b;

		lab_start(&b);
		copy_bent(&a, &b, bend);
		/* Who does not look finds nothing. */
		o = options_for(&a, &p);
		o.verify = false;
		ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
		assert_int_equal(report.present, 1);
		o = options_for(&a, &p);
		assert_int_equal(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err),
		                 bend ? ERR_CORRUPT : ERR_OK);
		assert_int_equal(report.present, 1);
		assert_int_equal(report.items_differ, bends[bend].differences);
		assert_int_equal(p.skipped, bends[bend].differences);
		if (bend && !strstr(p.last, bends[bend].told))
			fail_msg("'%s' does not tell of '%s'", p.last, bends[bend].told);
		lab_end(&b);
	}
	lab_end(&a);
}

static void verifying_finds_damage_in_the_copy(void **state)
{
	static struct lab a, b;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("verifying_finds_damage_in_the_copy");
	lab_start(&a);
	lab_start(&b);
	for (size_t i = 0; i < 400; i++)
		item_new(&a, &a.now.folders[i % 5], false);
	run_whole(&a, &(struct snapshot_options){ 0 });
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	find_pack(&b);
	flip_pack();
	lab_reopen(&b);
	o.verify = false;
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	o = options_for(&a, &p);
	assert_int_equal(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err), ERR_CORRUPT);
	assert_true(report.items_differ > 0);
	assert_int_equal(p.skipped, report.items_differ);
	flip_pack();
	lab_reopen(&b);
	o = options_for(&a, &p);
	ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
	assert_int_equal(report.items_differ, 0);
	lab_end(&a);
	lab_end(&b);
}

/* ---- who may, and memory ---- */

static void the_same_repository_is_refused(void **state)
{
	static struct lab a;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("the_same_repository_is_refused");
	lab_start(&a);
	take_some(&a, 1);
	o = options_for(&a, &p);
	assert_int_equal(engine_copy(a.repo, a.repo, &o, NULL, NULL, &report, &err), ERR_USAGE);
	lab_end(&a);
}

static void memory_may_run_out_in_a_copy(void **state)
{
	static struct lab a, b;
	size_t failed = 0;
	struct copy_report report;
	struct pairs p;
	struct copy_options o;

	(void)state;
	random_start("memory_may_run_out_in_a_copy");
	lab_start(&a);
	lab_start(&b);
	for (uint64_t n = 1; n < 600; n += FAILURES_APART * (n < 40 ? 1 : 9 + below(60))) {
		enum err_code rc;

		item_new(&a, any_folder(&a), n == 30);
		run_whole(&a, &(struct snapshot_options){ 0 });
		o = options_for(&a, &p);
		o.ids = a.ids + a.count - 1;
		o.count = 1;
		lab_reopen(&a);
		lab_reopen(&b);
		mem_fail_nth(n);
		rc = engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err);
		mem_fail_nth(0);
		failed += rc != ERR_OK;
		lab_reopen(&b);
		if (rc || !p.count || p.rows[0].verdict == COPY_FAILED || p.skipped) {
			/* An item that was lost to memory is an item that was not copied: never a silent gap. */
			assert_true(rc != ERR_OK || p.skipped);
			p = (struct pairs){ .count = 0 };
			ok(engine_copy(a.repo, b.repo, &o, note_pair, &p, &report, &err));
		}
		copies_equal(&a, &b, &p);
		if (a.count == SNAPSHOTS_KEPT - 1) {
			free(a.kept[0]);
			memmove(a.kept, a.kept + 1, (a.count - 1) * sizeof *a.kept);
			memmove(a.ids, a.ids + 1, (a.count - 1) * sizeof *a.ids);
			a.count--;
		}
	}
	assert_true(failed > 30 / FAILURES_APART);
	repository_is_good(&b);
	lab_end(&a);
	lab_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_equal_their_origins),
		cmocka_unit_test(only_changes_are_read),
		cmocka_unit_test(an_interrupted_copy_goes_on),
		cmocka_unit_test(damage_costs_what_it_hits),
		cmocka_unit_test(a_copy_that_lacks_something_is_completed),
		cmocka_unit_test(a_lacking_copy_waits_and_a_pinned_one_stays),
		cmocka_unit_test(verifying_finds_what_differs),
		cmocka_unit_test(verifying_finds_damage_in_the_copy),
		cmocka_unit_test(the_same_repository_is_refused),
		cmocka_unit_test(memory_may_run_out_in_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
