#include "engine/repo/repo.h"
#include "engine/repo/holders.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "chunker/chunker.h"

#define INDEX_ASK_US 50000

/* ---- the cache folder ---- */

static enum err_code cache_base(const char *given, struct buf *out, struct err *e)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (given)
		return buf_printf(out, e, "%s", given);
	if (xdg && xdg[0] == '/')
		return buf_printf(out, e, "%s/mailhold", xdg);
	if (home && home[0] == '/')
		return buf_printf(out, e, "%s/.cache/mailhold", home);
	return err_set(e, ERR_USAGE, "no place for the local cache: HOME is not set (use --cache-folder)");
}

static enum err_code make_cache_folder(struct repo *r, const char *given, struct err *e)
{
	struct repo_id id = keys_repo(r->keys);
	char hex[2 * ID16_BYTES + 1];
	enum err_code rc = cache_base(given, &r->cache_folder, e);

	text_hex(span_of(id.bytes, sizeof id.bytes), hex);
	if (!rc)
		/* What another's index lacks because it opens less must not be missing to a full key of the same
		 * person. */
		rc = buf_printf(&r->cache_folder, e, "/%s%s", hex,
		                keys_role(r->keys) == ROLE_KEEPER    ? "-keeper"
		                : keys_role(r->keys) == ROLE_DEPOSIT ? "-deposit"
		                                                     : "");
	if (!rc)
		rc = buf_append(&r->cache_folder, span_of("", 1), e);
	if (!rc)
		rc = file_make_folders((const char *)r->cache_folder.ptr, 0700, e);
	return rc ? err_note(e, "while making the local cache folder") : ERR_OK;
}

enum err_code repo_cache_path(const struct repo *r, const char *name, struct buf *out, struct err *e)
{
	return file_join((const char *)r->cache_folder.ptr, name, out, e);
}

/* ---- small helpers ---- */

void repo_notice(struct repo *r, enum engine_notice_kind kind, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;

	if (!r->notice)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	r->notice(r->notice_ctx, kind, text);
}

/* The ledger tells of records that are void or cannot be read; the index, a cache, of itself. */
static void ledger_notice_of(void *ctx, const char *text)
{
	repo_notice(ctx, ENGINE_WARNING, "%s", text);
}

static void index_notice_of(void *ctx, const char *text)
{
	repo_notice(ctx, ENGINE_REMARK, "%s", text);
}

/* Readers run in many threads; notices are told in the caller's. */
static void tell_mended(struct repo *r)
{
	struct pack_name name;

	while (r->reader && reader_next_mended(r->reader, &name))
		repo_notice(r, ENGINE_WARNING,
		            "%s is damaged and was read with the help of its parity; `mailhold repair parity` puts it "
		            "right",
		            pack_path(&name).text);
}

void repo_tell(struct repo *r, const struct engine_progress *p)
{
	int64_t now;

	tell_mended(r);
	if (!r->progress)
		return;
	now = clock_monotonic_ms();
	if (now - r->progress_at < 100)
		return;
	r->progress_at = now;
	r->progress(r->progress_ctx, p);
}

enum err_code repo_cancelled(struct err *e)
{
	return err_set(e, ERR_CANCELLED, "stopped on request");
}

void engine_stop_flag(struct repo *r, const volatile sig_atomic_t *flag)
{
	r->stop = flag;
	store_stop_flag(r->store, flag);
}

void engine_set_progress(struct repo *r, engine_progress_fn fn, void *ctx)
{
	r->progress = fn;
	r->progress_ctx = ctx;
}

void repo_checkpoint(struct repo *r)
{
	struct err e = { 0 };
	bool made;

	if (!repo_stopped(r) && ledger_checkpoint(r->ledger, &made, &e))
		repo_notice(r, ENGINE_WARNING, "%s", e.text);
}

void repo_describe(const struct repo *r, struct repo_info *out)
{
	struct ledger_head head = ledger_head(r->ledger);
	char hex[2 * RECORD_HASH_BYTES + 1];

	out->id = keys_repo(r->keys);
	out->url = store_url(r->store);
	out->cache_folder = (const char *)r->cache_folder.ptr;
	text_hex(span_of(head.hash, 16), hex);
	snprintf(out->head, sizeof out->head, "%" PRIu64 ":%s", head.number, hex);
}

/* ---- opening ---- */

/* Does the record NUMBER hash to what stands in HEX (a prefix of at least 16 digits)? */
static enum err_code check_record_hash(struct repo *r, uint64_t number, const char *hex, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	char name[40], found[2 * RECORD_HASH_BYTES + 1];
	struct buf record = BUF_EMPTY;
	enum err_code rc;

	snprintf(name, sizeof name, "ledger/%016" PRIx64, number);
	rc = store_get(r->store, name, RECORD_BYTES_MAX, &record, e);
	if (!rc) {
		crypto_digest(buf_span(&record), hash, sizeof hash);
		text_hex(span_of(hash, sizeof hash), found);
		if (strlen(hex) < 16 || strlen(hex) > strlen(found))
			rc = err_set(e, ERR_USAGE, "a head looks like 12:0123…, as every run prints it");
		else if (strncmp(found, hex, strlen(hex)) != 0)
			rc = err_set(e, ERR_FORKED, "ledger record %" PRIu64 " is not the one that was expected",
			             number);
	}
	buf_release(&record);
	return rc;
}

/* "NUMBER:HEX" */
static bool head_number(const char *expected, uint64_t *number)
{
	const char *colon = strchr(expected, ':');

	return colon && text_number(span_of(expected, (size_t)(colon - expected)), UINT64_MAX, number);
}

/* A client that never saw more can still tell how much is missing, and whether traces of it are there. */
static enum err_code tell_short(struct repo *r, uint64_t expected, struct err *e)
{
	struct repo_beyond b = { 0 };
	char traces[160] = "";

	if (repo_look_beyond(r, &b, e) == ERR_OK && b.records)
		snprintf(traces, sizeof traces, "; record %" PRIu64 " is there, what comes before it was taken away",
		         b.first_record);
	else if (b.packs)
		snprintf(traces, sizeof traces, "; %" PRIu64 " packs of sessions that they opened are there (%s)",
		         b.packs, b.pack);
	return err_set(e, ERR_FORKED,
	               "the store's ledger ends at record %" PRIu64 ", but record %" PRIu64
	               " was expected: it went back, or this is an old copy. Missing are %" PRIu64
	               " records and the snapshots that they added%s",
	               ledger_head(r->ledger).number, expected, expected - ledger_head(r->ledger).number, traces);
}

static enum err_code check_expected_head(struct repo *r, const char *expected, struct err *e)
{
	struct repo_info info;
	uint64_t number;

	if (!head_number(expected, &number))
		return err_set(e, ERR_USAGE, "a head looks like 12:0123…, as every run prints it");
	repo_describe(r, &info);
	if (number > ledger_head(r->ledger).number)
		return tell_short(r, number, e);
	return check_record_hash(r, number, strchr(expected, ':') + 1, e);
}

/* The secret, the cache and the ledger of a store that is open. */
static enum err_code open_parts(struct repo *r, const struct repo_options *o, struct err *e)
{
	struct buf cache_file = BUF_EMPTY;
	const struct init_payload *init;
	uint64_t first_read = UINT64_MAX;
	enum err_code rc;

	r->keys = r->own_keys;
	/* What is expected must be part of the chain, not only lie there: no checkpoint may stand for it. */
	if (o->expect_head && !head_number(o->expect_head, &first_read))
		first_read = UINT64_MAX;
	rc = make_cache_folder(r, o->cache_folder, e);
	if (!rc)
		rc = repo_cache_path(r, "fold", &cache_file, e);
	if (!rc)
		rc = ledger_open_reading(r->store, r->keys, (const char *)cache_file.ptr, first_read, ledger_notice_of,
		                         r, &r->ledger, e);
	if (!rc) {
		r->keys = ledger_keys(r->ledger);
		init = ledger_init(r->ledger);
		if (init->splitter_version != SPLITTER_VERSION || init->cutter_version != CUTTER_VERSION)
			rc = err_set(e, ERR_UNSUPPORTED,
			             "the repository uses splitter %u and cutter %u; this program knows %d and %d",
			             init->splitter_version, init->cutter_version, SPLITTER_VERSION, CUTTER_VERSION);
	}
	if (!rc && o->expect_head)
		rc = check_expected_head(r, o->expect_head, e);
	buf_release(&cache_file);
	return rc;
}

static enum err_code new_repo(const struct repo_options *o, struct repo **out, struct err *e)
{
	struct repo *r = mem_zalloc(1, sizeof *r);

	if (!r)
		return err_no_memory(e, sizeof *r);
	r->notice = o->notice;
	r->notice_ctx = o->notice_ctx;
	r->wait_ms = o->wait_ms;
	r->stop = o->stop;
	pthread_mutex_init(&r->sharing, NULL);
	*out = r;
	return crypto_start(e);
}

enum err_code repo_open(const struct repo_options *o, struct repo **out, struct err *e)
{
	struct repo *r = NULL;
	bool opened;
	enum err_code rc = new_repo(o, &r, e);

	if (!rc)
		rc = store_open(o->url, &r->store, e);
	if (!rc) {
		store_stop_flag(r->store, o->stop);
		rc = unlock_any(r->store, o->secret, o->secret_kind, &r->own_keys, &r->slot, &opened, e);
	}
	if (!rc)
		rc = open_parts(r, o, e);
	if (!rc)
		rc = holder_check(r, e);
	if (rc) {
		repo_free(&r);
		return rc;
	}
	*out = r;
	return ERR_OK;
}

enum err_code repo_open_beside(struct repo *r, struct repo **out, struct err *e)
{
	const struct repo_options o = { .notice = r->notice, .notice_ctx = r->notice_ctx, .wait_ms = r->wait_ms };
	struct buf cache_file = BUF_EMPTY;
	struct repo *n = NULL;
	enum err_code rc = new_repo(&o, &n, e);

	if (rc) {
		repo_free(&n);
		return rc;
	}
	n->first = r;
	n->store = r->store;
	n->own_keys = r->own_keys;
	n->keys = r->own_keys;
	n->slot = r->slot;
	n->stop = r->stop;
	rc = buf_append(&n->cache_folder, buf_span(&r->cache_folder), e);
	if (!rc)
		rc = repo_cache_path(n, "fold", &cache_file, e);
	if (!rc)
		rc = ledger_open(n->store, n->keys, (const char *)cache_file.ptr, ledger_notice_of, n, &n->ledger, e);
	if (!rc)
		n->keys = ledger_keys(n->ledger);
	buf_release(&cache_file);
	if (rc) {
		repo_free(&n);
		return rc;
	}
	*out = n;
	return ERR_OK;
}

static const char readme[] =
        "This folder is a mailhold repository: an encrypted backup of mail, calendars, contacts and rules.\n"
        "Do not rename, edit or remove files in it; mailhold does all that is needed.\n"
        "To see what it holds: mailhold -r THIS-FOLDER snapshots\n"
        "The format is documented in docs/format/ of the program's source.\n";

/* With the repository's id: of two that are made in one place at once, one finds the name taken by other bytes. */
static enum err_code put_readme(struct repo *r, struct err *e)
{
	const struct repo_id id = keys_repo(r->own_keys);
	struct buf text = BUF_EMPTY;
	char digits[2 * sizeof id.bytes + 1];
	enum err_code rc;

	text_hex(span_of(id.bytes, sizeof id.bytes), digits);
	digits[2 * sizeof id.bytes] = 0;
	rc = buf_printf(&text, e, "%s\nThis is the repository %s.\n", readme, digits);
	if (!rc)
		rc = store_put(r->store, "readme.txt", buf_span(&text), e);
	buf_release(&text);
	return rc;
}

/* What opens goes first. What cannot be deleted stays: the error at hand says more than that would. */
static void take_back_first_objects(struct repo *r)
{
	static const enum key_object objects[] = { KEY_SLOT, KEY_BUNDLE, KEY_LABEL };
	struct err ignored;

	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		(void)!store_delete(r->store, key_path_of(keys_holder(r->keys), objects[i]).text, &ignored);
	(void)!store_delete(r->store, "readme.txt", &ignored);
	store_drop_empty_folder(r->store, "key");
	store_drop_empty_folder(r->store, "ledger");
}

/* Key objects first, then record 0, which makes it a repository: a crash in between leaves nothing that opens. */
static enum err_code write_first_objects(struct repo *r, const struct repo_options *o, const struct slot_options *slot,
                                         struct err *e)
{
	enum err_code rc = put_readme(r, e);

	r->keys = r->own_keys;
	r->slot = key_path_of(keys_holder(r->keys), KEY_SLOT);
	if (!rc)
		rc = holder_objects_put(r->store, r->keys, r->keys, o->secret, slot, e);
	if (!rc)
		rc = ledger_create(r->store, r->keys, SPLITTER_VERSION, CUTTER_VERSION, e);
	/* The folder was empty, so that the same command must find it so again. */
	if (rc && rc != ERR_OUTCOME_UNKNOWN && rc != ERR_EXISTS)
		take_back_first_objects(r);
	return rc;
}

enum err_code repo_init(const struct repo_options *o, const struct slot_options *slot, struct repo **out, struct err *e)
{
	struct repo *r = NULL;
	enum err_code rc = new_repo(o, &r, e);

	if (!rc)
		rc = store_create(o->url, &r->store, e);
	if (!rc) {
		store_stop_flag(r->store, o->stop);
		rc = keys_new(&r->own_keys, e);
	}
	if (!rc)
		rc = write_first_objects(r, o, slot, e);
	if (!rc) {
		rc = open_parts(r, o, e);
		/* It stands, and its secret must be kept. */
		if (rc) {
			struct err why = *e;

			rc = err_set(e, ERR_OUTCOME_UNKNOWN, "the repository was made, but then: %.400s", why.text);
		}
	}
	if (rc) {
		repo_free(&r);
		return rc;
	}
	*out = r;
	return ERR_OK;
}

void repo_free(struct repo **rp)
{
	struct repo *r = *rp;

	if (!r)
		return;
	repo_drop_index(r);
	block_codec_free(&r->codec);
	ledger_free(&r->ledger);
	if (!r->first) {
		keys_free(&r->own_keys);
		store_free(&r->store);
	}
	buf_release(&r->cache_folder);
	pthread_mutex_destroy(&r->sharing);
	mem_free(r);
	*rp = NULL;
}

/* ---- index and reader ---- */

/*
 * Following the ledger in the middle of reading (rule H). With a fold of its own: the repository's belongs to the calling
 * thread, which holds on to what it was given, while readers are in many. In the common case, that nothing is new, this
 * is one look for the next record.
 */
struct repo_follow {
	struct repo *repo;
	pthread_mutex_t lock;
	struct ledger *ledger; /* NULL until it is needed */
	uint64_t seen;         /* newest record that the index knows of through us */
	uint64_t round;        /* how often there was something new */
};

static void follow_free(struct repo_follow **at)
{
	if (!*at)
		return;
	ledger_free(&(*at)->ledger);
	pthread_mutex_destroy(&(*at)->lock);
	mem_free(*at);
	*at = NULL;
}

static enum err_code follow_ledger(struct repo_follow *f, struct err *e)
{
	struct repo *r = f->repo;
	struct buf cache_file = BUF_EMPTY;
	enum err_code rc;

	if (f->ledger)
		return ledger_refresh(f->ledger, e);
	rc = repo_cache_path(r, "fold", &cache_file, e);
	if (!rc)
		rc = ledger_open(r->store, r->keys, (const char *)cache_file.ptr, NULL, NULL, &f->ledger, e);
	buf_release(&cache_file);
	return rc;
}

static enum err_code follow_locked(struct repo_follow *f, struct err *e)
{
	struct repo *r = f->repo;
	uint64_t bytes;
	enum err_code rc = store_size(r->store, record_path(f->seen + 1).text, &bytes, e);

	if (rc)
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	rc = follow_ledger(f, e);
	if (!rc)
		rc = ledger_check_epoch(f->ledger, e);
	if (!rc)
		rc = index_update(r->index, f->ledger, e);
	if (rc)
		return rc;
	f->seen = ledger_head(f->ledger).number;
	f->round++;
	return ERR_OK;
}

static enum err_code follow(void *ctx, uint64_t *round, struct err *e)
{
	struct repo_follow *f = ctx;
	enum err_code rc;

	pthread_mutex_lock(&f->lock);
	rc = follow_locked(f, e);
	*round = f->round;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static enum err_code follow_open(struct repo *r, struct err *e)
{
	struct repo_follow *f = mem_zalloc(1, sizeof *f);

	if (!f)
		return err_no_memory(e, sizeof *f);
	f->repo = r;
	f->seen = ledger_head(r->ledger).number;
	pthread_mutex_init(&f->lock, NULL);
	r->follow = f;
	reader_set_follow(r->reader, follow, f);
	return ERR_OK;
}

void repo_drop_index(struct repo *r)
{
	tell_mended(r);
	reader_free(&r->reader);
	follow_free(&r->follow);
	if (r->first)
		r->index = NULL;
	index_free(&r->index);
}

enum err_code repo_refresh(struct repo *r, struct err *e)
{
	enum err_code rc = ledger_refresh(r->ledger, e);

	return rc ? rc : ledger_check_epoch(r->ledger, e);
}

/* Asks again and again, until the one who has the index is done, or it took too long, or we are to stop. */
static enum err_code open_index_waiting(struct repo *r, enum index_mode mode, struct err *e)
{
	int64_t until = clock_monotonic_ms() + r->wait_ms;
	enum err_code rc;

	for (unsigned n = 0;; n++) {
		rc = index_open((const char *)r->cache_folder.ptr, r->store, r->keys, r->ledger, mode, index_notice_of,
		                r, &r->index, e);
		if (rc != ERR_BUSY || r->wait_ms <= 0)
			return rc;
		if (repo_stopped(r))
			return repo_cancelled(e);
		if (clock_monotonic_ms() >= until)
			return err_note(e, "after waiting for %lld s", (long long)(r->wait_ms / 1000));
		if (n == 0)
			repo_notice(r, ENGINE_REMARK, "%s; waiting for up to %lld s", e->text,
			            (long long)(r->wait_ms / 1000));
		usleep(INDEX_ASK_US);
		/*
		 * What the one before us did, a prune perhaps, must be known before its index is read. A reader never
		 * comes here, so nobody above holds on to what the ledger gave out.
		 */
		rc = repo_refresh(r, e);
		if (rc)
			return rc;
	}
}

/* The index of the handle that we are beside: opened by whoever comes first, for writing, since others may want that. */
static enum err_code borrow_index(struct repo *r, struct err *e)
{
	struct repo *first = r->first;
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&first->sharing);
	if (!first->index || first->index_mode < INDEX_WRITE) {
		repo_drop_index(first);
		rc = open_index_waiting(first, INDEX_WRITE, e);
		first->index_mode = INDEX_WRITE;
	}
	pthread_mutex_unlock(&first->sharing);
	if (!rc)
		r->index = first->index;
	return rc ? rc : index_update(r->index, r->ledger, e);
}

enum err_code repo_need_index(struct repo *r, enum index_mode mode, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (r->index && r->index_mode >= mode)
		return ERR_OK;
	repo_drop_index(r);
	if (r->first)
		mode = INDEX_WRITE;
	rc = r->first ? borrow_index(r, e) : open_index_waiting(r, mode, e);
	if (!rc && !r->codec)
		rc = block_codec_open(3, &r->codec, e);
	if (!rc)
		rc = reader_open(r->store, r->keys, r->index, REPO_READER_CACHE_BYTES, &r->reader, e);
	if (!rc)
		rc = follow_open(r, e);
	r->index_mode = mode;
	/* Half of it is nothing: who asks again must not find an index without a reader. */
	if (rc)
		repo_drop_index(r);
	return rc;
}

static enum err_code get_chunk(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
                               struct err *e)
{
	struct repo *r = ctx;
	struct held_chunk held = HELD_CHUNK_NONE;
	enum err_code rc = repo_need_index(r, INDEX_READ, e);

	if (!rc)
		rc = reader_get(r->reader, r->codec, class, id, &held, e);
	if (rc)
		return rc;
	buf_clear(out);
	rc = buf_append(out, held.bytes, e);
	reader_drop(r->reader, &held);
	return rc;
}

struct chunk_io repo_chunk_io(struct repo *r)
{
	return (struct chunk_io){ .ctx = r, .keys = r->keys, .get = get_chunk };
}
