/*
 * lab: a repository with a fake source, changed at random, and a plain model of what each snapshot of it must hold.
 * Include after cmocka.h.
 */
#ifndef MAILHOLD_TESTS_ENGINE_LAB_H
#define MAILHOLD_TESTS_ENGINE_LAB_H

#include <unistd.h>

#include "base/file.h"
#include "engine/repo/repo.h"
#include "engine/snapshot/snapshot.h"
#include "unit/engine/work/fake_world.h"

static struct err err;

static inline void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

#define SNAPSHOTS_KEPT 64

/* The thread sanitizer makes everything ten times slower, and what it looks for is not in the n-th failure. */
#ifdef __SANITIZE_THREAD__
#define FAILURES_APART 16
#define SLOWER         4 /* so much less work shows how threads meet no worse */
#else
#define FAILURES_APART 1
#define SLOWER         1
#endif

struct lab {
	char folder[64], url[80], cache[80];
	struct secret *secret;
	struct repo *repo;
	volatile sig_atomic_t stop;
	struct fake_world now;                   /* what the source has */
	struct fake_world *kept[SNAPSHOTS_KEPT]; /* what each snapshot must hold */
	struct snapshot_id ids[SNAPSHOTS_KEPT];
	size_t count;
	uint32_t next_number, next_version;
	bool with_cursors;
};

static inline void lab_open(struct lab *l)
{
	struct repo_options o = {
		.url = l->url, .secret = l->secret, .secret_kind = SLOT_KEY_FILE, .cache_folder = l->cache
	};

	ok(repo_open(&o, &l->repo, &err));
	engine_stop_flag(l->repo, &l->stop);
}

static inline void lab_reopen(struct lab *l)
{
	repo_free(&l->repo);
	lab_open(l);
}

static inline void lab_start(struct lab *l)
{
	const char *tmp = getenv("TMPDIR");
	uint8_t bytes[SLOT_KEY_FILE_BYTES] = { 7 };
	struct repo_options o = { .secret_kind = SLOT_KEY_FILE };

	memset(l, 0, sizeof *l);
	snprintf(l->folder, sizeof l->folder, "%.30s/mailhold-run-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(l->folder));
	snprintf(l->url, sizeof l->url, "%s/repo", l->folder);
	snprintf(l->cache, sizeof l->cache, "%s/cache", l->folder);
	ok(crypto_start(&err));
	ok(secret_new(span_of(bytes, sizeof bytes), &l->secret, &err));
	o.url = l->url;
	o.secret = l->secret;
	o.cache_folder = l->cache;
	ok(repo_init(&o, &(struct slot_options){ .kind = SLOT_KEY_FILE }, &l->repo, &err));
	engine_stop_flag(l->repo, &l->stop);
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		l->now.folders[f].there = f < 5;
}

static inline void lab_end(struct lab *l)
{
	repo_free(&l->repo);
	secret_free(&l->secret);
	for (size_t i = 0; i < l->count; i++)
		free(l->kept[i]);
	ok(file_remove_tree(l->folder, &err));
}

/* ---- what happens at the source ---- */

static inline uint32_t random_size(void)
{
	switch (below(40)) {
	case 0:
		return 0;
	case 1:
		return (uint32_t)below(200);
	case 2:
		return (uint32_t)(100000 + below(900000));
	default:
		return (uint32_t)(200 + below(8000));
	}
}

static inline void item_new(struct lab *l, struct fake_folder *f, bool huge)
{
	struct fake_item *i = &f->items[f->count];
	uint32_t seed = (uint32_t)below(1 << 20);

	if (f->count == FAKE_ITEMS)
		return;
	f->count++;
	*i = (struct fake_item){ .number = l->next_number++,
		                 .seed = seed,
		                 .size = huge ? (uint32_t)(2100000 + below(3000000)) : random_size(),
		                 .version = l->next_version++,
		                 .flags = (uint8_t)below(8) };
}

static inline void item_remove(struct fake_folder *f, size_t at)
{
	memmove(&f->items[at], &f->items[at + 1], (f->count - at - 1) * sizeof *f->items);
	f->count--;
}

static inline void item_move(struct lab *l, struct fake_folder *from, size_t at, struct fake_folder *to)
{
	struct fake_item moved = from->items[at];

	if (to->count == FAKE_ITEMS || from->items[at].trouble)
		return;
	item_remove(from, at);
	moved.number = l->next_number++;
	to->items[to->count++] = moved;
}

static inline struct fake_folder *any_folder(struct lab *l)
{
	for (;;) {
		struct fake_folder *f = &l->now.folders[below(FAKE_FOLDERS)];

		if (f->there)
			return f;
	}
}

static inline void change_item(struct lab *l, struct fake_folder *f, size_t at)
{
	struct fake_item *i = &f->items[at];

	switch (below(6)) {
	case 0:
		item_remove(f, at);
		break;
	case 1:
		item_move(l, f, at, any_folder(l));
		break;
	case 2:
		i->seed = (uint32_t)below(1 << 20);
		i->size = random_size();
		i->version = l->next_version++;
		break;
	case 3:
		i->trouble = below(4) ? FAKE_FINE : FAKE_UNREADABLE;
		break;
	default:
		i->flags++;
	}
}

static inline void change_world(struct lab *l, size_t changes)
{
	for (size_t n = 0; n < changes; n++) {
		struct fake_folder *f = any_folder(l);

		if (f->count == 0 || below(3) == 0)
			item_new(l, f, below(80) == 0);
		else
			change_item(l, f, below(f->count));
	}
	if (below(4) == 0)
		any_folder(l)->stamp++;
	if (below(5) == 0)
		any_folder(l)->failing ^= true;
	if (below(6) == 0) {
		struct fake_folder *f = &l->now.folders[1 + below(FAKE_FOLDERS - 1)];

		f->there = !f->there;
		f->failing = false;
	}
	if (below(8) == 0) {
		struct fake_folder *f = any_folder(l);

		if (f->count)
			f->items[below(f->count)].trouble = FAKE_VANISHES;
	}
}

/* ---- the model of a run ---- */

static inline const struct fake_item *find_number(const struct fake_folder *f, uint32_t number)
{
	for (size_t i = 0; f && i < f->count; i++)
		if (f->items[i].number == number)
			return &f->items[i];
	return NULL;
}

/* What a snapshot of NOW on BASE (NULL: none) holds. */
static inline struct fake_world *expected_of(const struct fake_world *now, const struct fake_world *base)
{
	struct fake_world *out = calloc(1, sizeof *out);

	assert_non_null(out);
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		const struct fake_folder *from = &now->folders[f], *old = base ? &base->folders[f] : NULL;
		struct fake_folder *to = &out->folders[f];

		if (!from->there)
			continue;
		if (from->failing) {
			if (old && old->there)
				*to = *old;
			continue;
		}
		to->there = true;
		to->stamp = from->stamp;
		for (size_t i = 0; i < from->count; i++) {
			const struct fake_item *item = &from->items[i];
			const struct fake_item *before = old && old->there ? find_number(old, item->number) : NULL;
			bool fetches = !before || before->version != item->version;

			if (!fetches) {
				/* Its bytes are those of the snapshot; its state is of now. */
				to->items[to->count] = *before;
				to->items[to->count++].flags = item->flags;
			} else if (item->trouble == FAKE_FINE) {
				to->items[to->count++] = *item;
			} else if (item->trouble == FAKE_UNREADABLE && before) {
				to->items[to->count++] = *before; /* as it was, to be tried again */
			}
		}
	}
	return out;
}

/* ---- comparing a snapshot with its model ---- */

struct looking {
	const struct fake_folder *folder;
	size_t at;
	struct view *view;
	struct buf state, body;
};

static inline enum err_code same_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct looking *k = ctx;
	const struct fake_item *want = &k->folder->items[k->at];
	char key[16];

	(void)c;
	assert_true(k->at++ < k->folder->count);
	assert_true(span_equal(item->key, fake_key(want, key)));
	ok(fake_state(want, &k->state, e));
	assert_true(span_equal(item->state, buf_span(&k->state)));
	assert_int_equal(item->bytes, want->size);
	return ERR_OK;
}

static inline enum err_code gather(void *ctx, struct span bytes, struct err *e)
{
	return buf_append(ctx, bytes, e);
}

static inline void same_body(struct view *v, size_t c, const struct fake_item *want)
{
	struct buf got = BUF_WITH_MAX(64 * MIB), wanted = BUF_EMPTY;
	char key[16];

	ok(view_body(v, c, fake_key(want, key), SPAN_EMPTY, gather, &got, &err));
	ok(fake_bytes(want, &wanted, &err));
	assert_true(span_equal(buf_span(&got), buf_span(&wanted)));
	buf_release(&got);
	buf_release(&wanted);
}

static inline void same_attributes(const struct view_collection *shown, const struct fake_folder *folder, size_t f)
{
	char stamp[16];

	snprintf(stamp, sizeof stamp, "stamp %u", folder->stamp);
	assert_int_equal(shown->c.attribute_count, 2);
	assert_int_equal(shown->c.attributes[0].value.len, 600 + 100 * f);
	assert_int_equal(shown->c.attributes[0].value.ptr[599], (uint8_t)folder->stamp);
	assert_true(span_equal(shown->c.attributes[1].value, span_cstr(stamp)));
}

/* One body of ONE_IN is compared. */
static inline void same_snapshot(struct lab *l, const struct snapshot_id *id, const struct fake_world *want,
                                 size_t one_in)
{
	struct looking k = { 0 };
	struct view *v = NULL;
	size_t c = 0;
	uint64_t items = 0, bytes = 0;

	ok(view_open(l->repo, id, &v, &err));
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		const struct view_collection *shown;
		char path[32];

		if (!want->folders[f].there)
			continue;
		assert_true(c < view_collection_count(v));
		ok(view_collection(v, c, &shown, &err));
		assert_true(span_equal(shown->c.path, fake_path(f, path)));
		assert_int_equal(shown->items, want->folders[f].count);
		same_attributes(shown, &want->folders[f], f);
		k.folder = &want->folders[f];
		k.at = 0;
		ok(view_items(v, c, below(2), same_item, &k, &err));
		assert_int_equal(k.at, k.folder->count);
		for (size_t i = 0; i < k.folder->count; i++) {
			items++;
			bytes += k.folder->items[i].size;
			if (below(one_in) == 0)
				same_body(v, c, &k.folder->items[i]);
		}
		c++;
	}
	assert_int_equal(c, view_collection_count(v));
	assert_int_equal(view_snapshot(v)->items, items);
	assert_int_equal(view_snapshot(v)->bytes, bytes);
	view_free(&v);
	buf_release(&k.state);
}

/* ---- runs ---- */

static inline struct fake_world *newest(const struct lab *l)
{
	return l->count ? l->kept[l->count - 1] : NULL;
}

static inline void keep(struct lab *l, const struct snapshot_id *id, struct fake_world *model)
{
	assert_true(l->count < SNAPSHOTS_KEPT);
	l->ids[l->count] = *id;
	l->kept[l->count++] = model;
}

static inline bool shrunk(const struct fake_world *model, const struct fake_world *before)
{
	size_t now = 0, then = 0;

	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		now += model->folders[f].count;
		then += before ? before->folders[f].count : 0;
	}
	return now * 2 < then;
}

/* Everything that must be fetched was, and nothing else. Partial snapshots never make it more. */
static inline void fetched_what_was_needed(const struct lab *l, const struct fake_world *base, bool at_most)
{
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		const struct fake_folder *now = &l->now.folders[f];

		for (size_t i = 0; now->there && !now->failing && i < now->count; i++) {
			const struct fake_item *before = base && base->folders[f].there
			                                         ? find_number(&base->folders[f], now->items[i].number)
			                                         : NULL;
			bool needed = !before || before->version != now->items[i].version;

			if (now->items[i].fetched && !needed)
				fail_msg("folder %zu, item %u was fetched again", f, now->items[i].number);
			if (needed && !at_most && !now->items[i].fetched)
				fail_msg("folder %zu, item %u was not fetched", f, now->items[i].number);
		}
	}
}

static inline void run_whole(struct lab *l, const struct snapshot_options *more)
{
	struct snapshot_options o = *more;
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_report report;
	struct fake_world *model = expected_of(&l->now, newest(l));
	bool gaps = false;

	assert_non_null(s);
	fake_source_init(s, &l->now);
	s->with_cursors = l->with_cursors;
	s->base.parallel_fetch = below(4) != 0;
	o.account = "ann";
	ok(engine_snapshot(l->repo, &s->base, &o, &report, &err));
	if (!s->base.parallel_fetch)
		assert_true(atomic_load(&s->most_at_once) <= 1);
	fetched_what_was_needed(l, o.rescan ? NULL : newest(l), false);
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		const struct fake_folder *folder = &l->now.folders[f];

		gaps |= folder->there && folder->failing;
		for (size_t i = 0; folder->there && !folder->failing && i < folder->count; i++)
			gaps |= folder->items[i].trouble == FAKE_UNREADABLE && folder->items[i].fetched;
	}
	assert_int_equal((report.info.flags & ENGINE_SNAPSHOT_GAPS) != 0, gaps);
	assert_int_equal(s->reports != 0, gaps);
	assert_int_equal((report.info.flags & ENGINE_SNAPSHOT_SHRUNK) != 0, shrunk(model, newest(l)));
	keep(l, &report.info.id, model);
	free(s);
}

static inline void no_problem(void *ctx, const struct check_problem *p)
{
	(void)ctx;
	fail_msg("%s: %s", p->object, p->what->text);
}

static inline void repository_is_good(struct lab *l)
{
	struct check_report report;

	ok(engine_check(l->repo, &(struct check_options){ .read_data = true }, no_problem, NULL, &report, &err));
	assert_int_equal(report.problems, 0);
	assert_int_equal(report.items_affected, 0);
}

#endif
