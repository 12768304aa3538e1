/*
 * The contract of store.h, run against every way of a folder store, or against the store that MAILHOLD_TEST_STORE names
 * (tests/cli/test_stores.sh starts servers for it). What only a folder store has is tested in test_folder.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store.h"
#include "store/folder/folder_internal.h"

struct opener {
	const char *name;
	/* Makes a fresh, empty store; PLACE is an empty folder to keep it in, or to keep notes about it. */
	enum err_code (*create)(const char *place, struct store **out, struct err *e);
	/* Opens what create made there a second time, as another process would. */
	enum err_code (*open)(const char *place, struct store **out, struct err *e);
};

static struct err err;

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		enum err_code got_ = (call);                                                                           \
		if (got_)                                                                                              \
			fail_msg("%s: %s (%s)", #call, err.text, err_code_name(got_));                                 \
	} while (0)
#define FAILS(want, call) assert_string_equal(err_code_name(call), err_code_name(want))

static enum err_code folder_with(enum create_way way, bool fresh, const char *place, struct store **out, struct err *e)
{
	enum err_code rc = fresh ? store_create(place, out, e) : store_open(place, out, e);

	if (!rc && way)
		atomic_store(&folder_of(*out)->create_way, (int)way);
	return rc;
}

static enum err_code probed_create(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_UNKNOWN, true, place, out, e);
}
static enum err_code probed_open(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_UNKNOWN, false, place, out, e);
}
static enum err_code link_create(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_LINK, true, place, out, e);
}
static enum err_code link_open(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_LINK, false, place, out, e);
}
static enum err_code rename_create(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_RENAME, true, place, out, e);
}
static enum err_code rename_open(const char *place, struct store **out, struct err *e)
{
	return folder_with(CREATE_RENAME, false, place, out, e);
}

/* A folder below the URL in MAILHOLD_TEST_STORE, named as PLACE is: whoever starts a server runs the contract against it. */
static const char *far_place(const char *place)
{
	static _Thread_local char url[512];

	snprintf(url, sizeof url, "%s/%s", getenv("MAILHOLD_TEST_STORE"), strrchr(place, '/') + 1);
	return url;
}
static enum err_code far_create(const char *place, struct store **out, struct err *e)
{
	return store_create(far_place(place), out, e);
}
static enum err_code far_open(const char *place, struct store **out, struct err *e)
{
	return store_open(far_place(place), out, e);
}

static const struct opener far_opener = { "the store of MAILHOLD_TEST_STORE", far_create, far_open };
static const struct opener openers[] = {
	{ "folder", probed_create, probed_open },
	{ "folder by link", link_create, link_open },
	{ "folder by rename", rename_create, rename_open },
};
static const struct opener *opener;

struct place {
	char path[64];
	struct store *store;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	assert_non_null(p);
	strcpy(p->path, "/tmp/mailhold-store-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	OK(opener->create(p->path, &p->store, &err));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	store_free(&p->store);
	OK(file_remove_tree(p->path, &err));
	free(p);
	return 0;
}

static struct store *store_of(void **state)
{
	return ((struct place *)*state)->store;
}

static void reads_as(struct store *s, const char *name, struct span want)
{
	struct buf got = BUF_EMPTY;

	OK(store_get(s, name, MIB, &got, &err));
	assert_int_equal(got.len, want.len);
	if (want.len)
		assert_memory_equal(got.ptr, want.ptr, want.len);
	buf_release(&got);
}

struct seen {
	size_t count;
	uint64_t bytes;
	char names[64][STORE_NAME_MAX + 1];
};

static enum err_code note_name(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct seen *seen = ctx;

	(void)e;
	assert_true(seen->count < ARRAY_LEN(seen->names));
	strcpy(seen->names[seen->count++], name);
	seen->bytes += bytes;
	return ERR_OK;
}

static enum err_code count_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)bytes;
	(void)e;
	++*(size_t *)ctx;
	return ERR_OK;
}

static bool has(const struct seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->names[i], name) == 0)
			return true;
	return false;
}

static size_t objects_in(struct store *s)
{
	struct seen seen = { 0 };

	OK(store_list(s, "", note_name, &seen, &err));
	return seen.count;
}

static void what_was_put_is_read_back_by_others(void **state)
{
	struct store *s = store_of(state), *other;

	OK(store_put(s, "key/0011", SPAN_LIT("a slot"), &err));
	OK(store_put(s, "empty", SPAN_EMPTY, &err));
	reads_as(s, "key/0011", SPAN_LIT("a slot"));
	reads_as(s, "empty", SPAN_EMPTY);
	OK(opener->open(((struct place *)*state)->path, &other, &err));
	reads_as(other, "key/0011", SPAN_LIT("a slot"));
	store_free(&other);
	assert_null(other);
}

static void a_name_is_given_once(void **state)
{
	struct store *s = store_of(state);

	OK(store_put(s, "ledger/1", SPAN_LIT("first"), &err));
	FAILS(ERR_EXISTS, store_put(s, "ledger/1", SPAN_LIT("second"), &err));
	/* Far away the same bytes are the same object: a request may reach a server twice. */
	FAILS(opener == &far_opener ? ERR_OK : ERR_EXISTS, store_put(s, "ledger/1", SPAN_LIT("first"), &err));
	reads_as(s, "ledger/1", SPAN_LIT("first"));
	assert_int_equal(objects_in(s), 1);
}

struct racer {
	const struct opener *by;
	const char *place, *name;
	pthread_barrier_t *start;
	enum err_code rc;
	char mark;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct store *s = NULL;
	uint8_t bytes[5000];
	struct err e;

	memset(bytes, r->mark, sizeof bytes);
	r->rc = r->by->open(r->place, &s, &e);
	pthread_barrier_wait(r->start);
	if (!r->rc)
		r->rc = store_put(s, r->name, span_of(bytes, sizeof bytes), &e);
	store_free(&s);
	return NULL;
}

static void of_eight_creators_at_once_one_wins(void **state)
{
	struct place *p = *state;

	for (int round = 0; round < 8; round++) {
		struct racer racers[8];
		pthread_t threads[8];
		pthread_barrier_t start;
		uint8_t want[5000];
		char name[32];
		int winners = 0;

		snprintf(name, sizeof name, "probe/round-%d", round);
		pthread_barrier_init(&start, NULL, 8);
		for (int i = 0; i < 8; i++) {
			racers[i] = (struct racer){ opener, p->path, name, &start, ERR_OK, (char)('a' + i) };
			assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
		}
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&start);
		for (int i = 0; i < 8; i++) {
			if (racers[i].rc == ERR_OK) {
				winners++;
				memset(want, racers[i].mark, sizeof want);
			} else {
				FAILS(ERR_EXISTS, racers[i].rc);
			}
		}
		assert_int_equal(winners, 1);
		reads_as(p->store, name, span_of(want, sizeof want));
	}
	assert_int_equal(objects_in(p->store), 8);
}

struct writer {
	struct store *store;
	unsigned number;
	bool wrong;
};

static void *write_many(void *arg)
{
	struct writer *w = arg;
	struct err e;

	for (unsigned i = 0; i < 16 && !w->wrong; i++) {
		struct store_draft *d = NULL;
		char name[48];

		snprintf(name, sizeof name, "pack/%02x/%u", i, w->number);
		w->wrong = store_draft_open(w->store, &d, &e) || store_draft_write(d, span_cstr(name), &e) ||
		           store_draft_commit(&d, name, &e);
		snprintf(name, sizeof name, "key/%02x/%u", i, w->number);
		w->wrong |= store_put(w->store, name, span_cstr(name), &e) != ERR_OK;
		w->wrong |= store_sync(w->store, name, &e) != ERR_OK;
	}
	return NULL;
}

static enum err_code holds_its_name(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)e;
	assert_int_equal(bytes, strlen(name));
	reads_as(ctx, name, span_cstr(name));
	return ERR_OK;
}

static void one_store_serves_many_writers(void **state)
{
	struct store *s = store_of(state);
	struct writer writers[4];
	pthread_t threads[4];
	size_t count = 0;

	for (unsigned i = 0; i < 4; i++) {
		writers[i] = (struct writer){ s, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(writers[i].wrong);
	}
	OK(store_list(s, "", holds_its_name, s, &err));
	OK(store_list(s, "", count_one, &count, &err));
	assert_int_equal(count, 4 * 16 * 2);
}

static void what_is_missing_is_not_found(void **state)
{
	struct store *s = store_of(state);
	struct buf out = BUF_EMPTY;
	uint64_t bytes = 7;
	uint8_t byte;

	FAILS(ERR_NOT_FOUND, store_get(s, "pack/none", MIB, &out, &err));
	FAILS(ERR_NOT_FOUND, store_get_range(s, "none", 0, 1, &byte, &err));
	FAILS(ERR_NOT_FOUND, store_size(s, "none", &bytes, &err));
	if (opener != &far_opener)
		FAILS(ERR_NOT_FOUND, store_sync(s, "none", &err));
	assert_int_equal(bytes, 7);
	assert_int_equal(out.len, 0);
	OK(store_put(s, "pack/ab/one", SPAN_LIT("x"), &err));
	FAILS(ERR_NOT_FOUND, store_get(s, "pack/ab", MIB, &out, &err)); /* a folder is no object */
	FAILS(ERR_NOT_FOUND, store_size(s, "pack/ab", &bytes, &err));
	FAILS(ERR_NOT_FOUND, store_get(s, "pack/ab/one/two", MIB, &out, &err));
	buf_release(&out);
}

static void a_larger_object_than_allowed_is_refused_and_out_stays(void **state)
{
	struct store *s = store_of(state);
	struct buf out = BUF_EMPTY;

	OK(buf_append(&out, SPAN_LIT("before"), &err));
	OK(store_put(s, "x", SPAN_LIT("12345"), &err));
	FAILS(ERR_LIMIT, store_get(s, "x", 4, &out, &err));
	assert_int_equal(out.len, 6);
	OK(store_get(s, "x", 5, &out, &err));
	assert_memory_equal(out.ptr, "before12345", 11);
	buf_release(&out);
}

static void ranges_give_exactly_what_was_asked(void **state)
{
	struct store *s = store_of(state);
	uint8_t all[3000], got[3000];
	uint64_t bytes;

	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)(i * 7 + i / 256);
	OK(store_put(s, "pack/r", span_of(all, sizeof all), &err));
	OK(store_size(s, "pack/r", &bytes, &err));
	assert_int_equal(bytes, sizeof all);
	for (size_t from = 0; from < sizeof all; from += 271)
		for (size_t len = 0; from + len <= sizeof all; len += 523) {
			OK(store_get_range(s, "pack/r", from, len, got, &err));
			if (len)
				assert_memory_equal(got, all + from, len);
		}
	FAILS(ERR_CORRUPT, store_get_range(s, "pack/r", sizeof all - 1, 2, got, &err));
	FAILS(ERR_CORRUPT, store_get_range(s, "pack/r", sizeof all + 1, 1, got, &err));
	FAILS(ERR_CORRUPT, store_get_range(s, "pack/r", UINT64_MAX, 1, got, &err));
	FAILS(ERR_CORRUPT, store_get_range(s, "pack/r", UINT64_MAX - 10, 100, got, &err));
}

static void ranges_of_more_objects_than_descriptors_are_kept(void **state)
{
	struct store *s = store_of(state);
	char name[32];
	uint8_t got;

	for (unsigned i = 0; i < 150; i++) {
		uint8_t byte = (uint8_t)i;

		snprintf(name, sizeof name, "pack/%u", i);
		OK(store_put(s, name, span_of(&byte, 1), &err));
	}
	for (unsigned i = 0; i < 600; i++) {
		unsigned pick = i * 67 % 150;

		snprintf(name, sizeof name, "pack/%u", pick);
		OK(store_get_range(s, name, 0, 1, &got, &err));
		assert_int_equal(got, pick);
	}
}

struct reader {
	struct store *store;
	unsigned seed;
	bool wrong;
};

static void *read_many(void *arg)
{
	struct reader *r = arg;
	struct err e;
	uint8_t got[8];
	char name[32];

	for (unsigned i = 0; i < 3000 && !r->wrong; i++) {
		unsigned pick = (r->seed = r->seed * 1103515245 + 12345) / 65536 % 100;
		enum err_code rc;

		snprintf(name, sizeof name, "pack/%u", pick);
		rc = store_get_range(r->store, name, 0, 8, got, &e);
		if (pick < 10) { /* these are deleted meanwhile */
			if (i % 50 == 0 && store_delete(r->store, name, &e))
				r->wrong = true;
			r->wrong |= rc && rc != ERR_NOT_FOUND;
			continue;
		}
		for (unsigned b = 0; b < 8; b++)
			r->wrong |= rc || got[b] != pick;
	}
	return NULL;
}

static void many_threads_read_ranges_while_objects_are_deleted(void **state)
{
	struct store *s = store_of(state);
	struct reader readers[4];
	pthread_t threads[4];
	uint8_t bytes[8];
	char name[32];

	for (unsigned i = 0; i < 100; i++) {
		memset(bytes, (int)i, sizeof bytes);
		snprintf(name, sizeof name, "pack/%u", i);
		OK(store_put(s, name, span_of(bytes, sizeof bytes), &err));
	}
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ s, i + 1, false };
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readers[i].wrong);
	}
}

static void deleting_is_done_once_and_a_missing_object_is_fine(void **state)
{
	struct store *s = store_of(state);
	struct buf out = BUF_EMPTY;
	uint8_t byte;

	OK(store_put(s, "pack/aa/x", SPAN_LIT("x"), &err));
	OK(store_get_range(s, "pack/aa/x", 0, 1, &byte, &err));
	OK(store_delete(s, "pack/aa/x", &err));
	FAILS(ERR_NOT_FOUND, store_get_range(s, "pack/aa/x", 0, 1, &byte, &err));
	FAILS(ERR_NOT_FOUND, store_get(s, "pack/aa/x", MIB, &out, &err));
	OK(store_delete(s, "pack/aa/x", &err));
	OK(store_delete(s, "never/was/there", &err));
	OK(store_delete(s, "pack", &err)); /* a folder is no object, so there was nothing to delete */
	OK(store_put(s, "full/x", SPAN_LIT("x"), &err));
	store_drop_empty_folder(s, "full"); /* it is not empty */
	reads_as(s, "full/x", SPAN_LIT("x"));
	OK(store_delete(s, "full/x", &err));
	store_drop_empty_folder(s, "full");
	assert_int_equal(objects_in(s), 0);
}

static void a_listing_names_everything_below_a_folder(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	OK(store_put(s, "key/a", SPAN_LIT("1"), &err));
	OK(store_put(s, "key/a.bundle", SPAN_LIT("22"), &err));
	OK(store_put(s, "pack/00/x", SPAN_LIT("333"), &err));
	OK(store_put(s, "pack/ff/y", SPAN_LIT("4444"), &err));
	OK(store_put(s, "readme.txt", SPAN_LIT("55555"), &err));
	OK(store_list(s, "pack", note_name, &seen, &err));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.bytes, 7);
	assert_true(has(&seen, "pack/00/x") && has(&seen, "pack/ff/y"));
	seen = (struct seen){ 0 };
	OK(store_list(s, "pack/ff", note_name, &seen, &err));
	assert_int_equal(seen.count, 1);
	seen = (struct seen){ 0 };
	OK(store_list(s, "ledger", note_name, &seen, &err));
	assert_int_equal(seen.count, 0);
	OK(store_list(s, "", note_name, &seen, &err));
	assert_int_equal(seen.count, 5);
	FAILS(ERR_USAGE, store_list(s, "../etc", note_name, &seen, &err));
}

static enum err_code stop(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)bytes;
	++*(int *)ctx;
	return err_set(e, ERR_CANCELLED, "stopped at %s", name);
}

static void a_visitor_stops_the_walk(void **state)
{
	struct store *s = store_of(state);
	int calls = 0;

	OK(store_put(s, "a/1", SPAN_EMPTY, &err));
	OK(store_put(s, "a/2", SPAN_EMPTY, &err));
	FAILS(ERR_CANCELLED, store_list(s, "a", stop, &calls, &err));
	assert_int_equal(calls, 1);
}

static void names_outside_the_contract_are_refused_everywhere(void **state)
{
	static const char *const bad[] = { "",       "/",    "/a",      "a/",    "a//b", ".",    "..",
		                           "a/../b", "a/.b", ".hidden", "UPPER", "a b",  "a\nb", "a\xc3\xa9",
		                           "tmp/x",  "tmp",  "a*",      "a\\b",  "~",    "a:b",  "%41" };
	struct store *s = store_of(state);
	struct buf out = BUF_EMPTY;
	char part[103], whole[300];
	uint64_t bytes;
	uint8_t byte;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		FAILS(ERR_USAGE, store_put(s, bad[i], SPAN_LIT("x"), &err));
		FAILS(ERR_USAGE, store_get(s, bad[i], 9, &out, &err));
		FAILS(ERR_USAGE, store_get_range(s, bad[i], 0, 1, &byte, &err));
		FAILS(ERR_USAGE, store_size(s, bad[i], &bytes, &err));
		FAILS(ERR_USAGE, store_delete(s, bad[i], &err));
		FAILS(ERR_USAGE, store_sync(s, bad[i], &err));
	}
	memset(part, 'a', sizeof part);
	part[101] = 0;
	FAILS(ERR_USAGE, store_put(s, part, SPAN_EMPTY, &err));
	part[100] = 0;
	OK(store_put(s, part, SPAN_EMPTY, &err));
	for (size_t i = 0; i < 256; i++)
		whole[i] = i % 50 == 49 ? '/' : 'b';
	whole[256] = 0;
	FAILS(ERR_USAGE, store_put(s, whole, SPAN_EMPTY, &err));
	whole[255] = 0;
	OK(store_put(s, whole, SPAN_EMPTY, &err));
	OK(store_put(s, "0-9_a.z/tmp/a..b", SPAN_EMPTY, &err));
	assert_int_equal(objects_in(s), 3);
}

static void a_draft_is_invisible_until_it_has_its_name(void **state)
{
	struct store *s = store_of(state);
	struct store_draft *d;

	OK(store_draft_open(s, &d, &err));
	OK(store_draft_write(d, SPAN_LIT("head "), &err));
	OK(store_draft_write(d, SPAN_LIT("and tail"), &err));
	store_draft_hint(d);
	assert_int_equal(objects_in(s), 0);
	OK(store_draft_commit(&d, "pack/9f/one", &err));
	assert_null(d);
	assert_int_equal(objects_in(s), 1);
	reads_as(s, "pack/9f/one", SPAN_LIT("head and tail"));
}

static void a_draft_of_many_pieces_is_their_concatenation(void **state)
{
	static const size_t sizes[] = { 1,      40, 32767, 32768, 0,     65536, 65535, 3,
		                        200000, 64, 32768, 1,     32767, 32767, 32767 };
	struct store *s = store_of(state);
	struct buf want = BUF_EMPTY;
	struct store_draft *d;
	uint8_t *at;

	OK(store_draft_open(s, &d, &err));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		OK(buf_extend(&want, sizes[i], &at, &err));
		for (size_t b = 0; b < sizes[i]; b++)
			at[b] = (uint8_t)(b * 31 + i);
		OK(store_draft_write(d, span_of(at, sizes[i]), &err));
		store_draft_hint(d);
	}
	OK(store_draft_commit(&d, "pack/big", &err));
	reads_as(s, "pack/big", buf_span(&want));
	buf_release(&want);
}

static void a_freed_draft_leaves_nothing(void **state)
{
	struct store *s = store_of(state);
	struct store_draft *d;

	OK(store_draft_open(s, &d, &err));
	OK(store_draft_write(d, SPAN_LIT("never mind"), &err));
	store_draft_free(&d);
	assert_null(d);
	store_draft_free(&d);
	assert_int_equal(objects_in(s), 0);
}

static void a_draft_that_loses_its_name_is_gone(void **state)
{
	struct store *s = store_of(state);
	struct store_draft *d;

	OK(store_put(s, "pack/x", SPAN_LIT("first"), &err));
	OK(store_draft_open(s, &d, &err));
	OK(store_draft_write(d, SPAN_LIT("second"), &err));
	FAILS(ERR_EXISTS, store_draft_commit(&d, "pack/x", &err));
	assert_null(d);
	OK(store_draft_open(s, &d, &err));
	FAILS(ERR_USAGE, store_draft_commit(&d, "../x", &err));
	assert_null(d);
	reads_as(s, "pack/x", SPAN_LIT("first"));
	assert_int_equal(objects_in(s), 1);
}

static void what_is_there_can_be_made_durable(void **state)
{
	struct store *s = store_of(state);

	OK(store_put(s, "ledger/00/00/1", SPAN_LIT("x"), &err));
	OK(store_sync(s, "ledger/00/00/1", &err));
	OK(store_sync(s, "ledger/00/00/1", &err));
}

static void without_memory_nothing_is_made(void **state)
{
	struct store *s = store_of(state);
	struct store_draft *d = NULL;
	struct buf out = BUF_EMPTY;

	OK(store_put(s, "x", SPAN_LIT("x"), &err));
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, store_draft_open(s, &d, &err));
	assert_null(d);
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, store_get(s, "x", MIB, &out, &err));
	for (uint64_t n = 1; n <= 2; n++) {
		struct store *other = NULL;

		mem_fail_nth(n);
		FAILS(ERR_NO_MEMORY, opener->open(((struct place *)*state)->path, &other, &err));
		assert_null(other);
	}
	mem_fail_nth(0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(what_was_put_is_read_back_by_others),
		T(a_name_is_given_once),
		T(of_eight_creators_at_once_one_wins),
		T(one_store_serves_many_writers),
		T(what_is_missing_is_not_found),
		T(a_larger_object_than_allowed_is_refused_and_out_stays),
		T(ranges_give_exactly_what_was_asked),
		T(ranges_of_more_objects_than_descriptors_are_kept),
		T(many_threads_read_ranges_while_objects_are_deleted),
		T(deleting_is_done_once_and_a_missing_object_is_fine),
		T(a_listing_names_everything_below_a_folder),
		T(a_visitor_stops_the_walk),
		T(names_outside_the_contract_are_refused_everywhere),
		T(a_draft_is_invisible_until_it_has_its_name),
		T(a_draft_of_many_pieces_is_their_concatenation),
		T(a_freed_draft_leaves_nothing),
		T(a_draft_that_loses_its_name_is_gone),
		T(what_is_there_can_be_made_durable),
		T(without_memory_nothing_is_made),
	};
	const struct opener *first = getenv("MAILHOLD_TEST_STORE") ? &far_opener : openers;
	size_t count = getenv("MAILHOLD_TEST_STORE") ? 1 : ARRAY_LEN(openers);
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		opener = &first[i];
		failed += cmocka_run_group_tests_name(opener->name, tests, NULL, NULL);
	}
	return failed;
}
