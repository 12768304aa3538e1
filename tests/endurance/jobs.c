#include "jobs.h"

#include "base/clock.h"
#include "fake_clock.h"

#include <dirent.h>
#include <sys/stat.h>

#define WAIT_MS 600000 /* for another process of the same machine */

/* ---- opening ---- */

static void count_void(void *ctx, enum engine_notice_kind kind, const char *text)
{
	struct outcome *o = ctx;

	(void)kind;
	o->records_void += strstr(text, "void") != NULL;
}

static struct secret *secret_of(unsigned machine)
{
	uint8_t bytes[SLOT_KEY_FILE_BYTES] = { 7, (uint8_t)machine };
	struct secret *out = NULL;

	ok(secret_new(span_of(bytes, sizeof bytes), &out, &err));
	return out;
}

static void cache_of(const struct years *y, unsigned machine, char out[100])
{
	snprintf(out, 100, "%s/cache-%u", y->folder, machine);
}

static struct repo *open_with(struct years *y, unsigned machine, const char *cache)
{
	struct secret *secret = secret_of(machine);
	struct repo_options o = { .url = y->url,
		                  .secret = secret,
		                  .secret_kind = SLOT_KEY_FILE,
		                  .cache_folder = cache,
		                  .notice = count_void,
		                  .notice_ctx = &y->outcomes[machine],
		                  .wait_ms = WAIT_MS };
	struct repo *r = NULL;

	ok(repo_open(&o, &r, &err));
	secret_free(&secret);
	return r;
}

static struct repo *open_as(struct years *y, unsigned machine)
{
	char cache[100];

	random_state = y->job_seed + machine;
	ok(crypto_start(&err));
	cache_of(y, machine, cache);
	return open_with(y, machine, cache);
}

static void end(struct years *y, unsigned machine, struct repo *r)
{
	repo_free(&r);
	y->outcomes[machine].ended = true;
}

void job_init(struct years *y, unsigned machine)
{
	char cache[100];
	struct repo_options o = { .url = y->url, .secret_kind = SLOT_KEY_FILE, .cache_folder = cache };
	struct secret *secret;
	struct repo *r = NULL;

	ok(crypto_start(&err));
	cache_of(y, machine, cache);
	secret = secret_of(machine);
	o.secret = secret;
	ok(repo_init(&o, &(struct slot_options){ .kind = SLOT_KEY_FILE }, &r, &err));
	secret_free(&secret);
	for (unsigned m = 1; m < MACHINES; m++) {
		struct slot_options slot = { .kind = SLOT_KEY_FILE };
		struct holder_id id;

		secret = secret_of(m);
		ok(repo_key_add(r, m == KEEPER ? ROLE_KEEPER : ROLE_FULL, secret, &slot, &id, &err));
		secret_free(&secret);
	}
	end(y, machine, r);
}

/* ---- writing ---- */

static void back_up(struct years *y, unsigned machine, struct repo *r, unsigned account)
{
	struct fake_source *s = calloc(1, sizeof *s);
	struct fake_world *world = malloc(sizeof *world);
	struct outcome *out = &y->outcomes[machine];
	struct snapshot_options o = { .account = account_names[account] };
	struct snapshot_report report;

	assert_non_null(s);
	assert_non_null(world);
	*world = y->mail[account].now;
	fake_source_init(s, world);
	s->with_cursors = true;
	ok(engine_snapshot(r, &s->base, &o, &report, &err));
	assert_int_equal(s->reports, 0);
	out->run[account] = (struct seen){ .id = report.info.id, .account = account, .time_ms = report.info.time_ms };
	out->took[account] = true;
	free(s);
	free(world);
}

void job_backup(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);

	back_up(y, machine, r, machine == ANN ? MAIL_ANN : MAIL_BOB);
	if (y->team_machine == machine)
		back_up(y, machine, r, MAIL_TEAM);
	end(y, machine, r);
}

void job_prune(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);
	struct prune_options o = { .trash_ms = PRUNE_TRASH_MS,
		                   .wait_ms = PRUNE_WAIT_MS,
		                   .silent_ms = PRUNE_SILENT_MS,
		                   .max_unused_percent = PRUNE_UNUSED_PERCENT,
		                   .max_repack_bytes = UINT64_MAX };
	struct session_fact s;

	ok(engine_prune(r, &o, &y->outcomes[machine].prune, &err));
	/* Nobody waits for the dead for ever. A machine's clock may be hours off. */
	for (size_t i = 0; ledger_session_at(r->ledger, i, &s); i++)
		assert_true(s.state != SESSION_OPEN || s.last_ms > clock_now_ms() - PRUNE_SILENT_MS - DAY_MS);
	end(y, machine, r);
}

void job_rotate(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);
	uint32_t epoch;

	ok(repo_key_rotate(r, &epoch, &err));
	end(y, machine, r);
}

/* ---- looking ---- */

static enum err_code see(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct years *y = ctx;
	struct seen *to = &y->seen[y->seen_count];
	unsigned a = 0;

	(void)e;
	assert_true(y->seen_count < SEEN_MAX);
	while (a < ACCOUNTS && !span_equal(s->account, span_cstr(account_names[a])))
		a++;
	assert_true(a < ACCOUNTS);
	assert_int_equal(s->flags, 0);
	*to = (struct seen){ .id = s->id, .account = a, .time_ms = s->time_ms };
	y->seen_count++;
	return ERR_OK;
}

static void list(struct years *y, struct repo *r)
{
	y->seen_count = 0;
	ok(repo_snapshots(r, SNAPSHOTS_LIVE, NULL, see, y, &err));
}

void job_list(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);

	list(y, r);
	end(y, machine, r);
}

static void forget(struct years *y, unsigned machine, struct repo *r)
{
	struct forget_policy policy = { 0 };

	memcpy(policy.keep, keep_rules, sizeof policy.keep);
	ok(engine_forget_policy(r, &policy, NULL, NULL, &y->outcomes[machine].forget, &err));
}

void job_forget(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);

	forget(y, machine, r);
	end(y, machine, r);
}

void job_forget_and_list(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);

	forget(y, machine, r);
	list(y, r);
	end(y, machine, r);
}

static void same_put(const struct fake_put *put, const char *path, const struct fake_world *want, struct buf *bytes)
{
	const struct fake_item *item = NULL;
	char name[32];

	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		if (want->folders[f].there && span_equal(fake_path(f, name), span_cstr(path)))
			item = find_number(&want->folders[f], put->number);
	assert_non_null(item);
	ok(fake_bytes(item, bytes, &err));
	assert_true(span_equal(buf_span(bytes), buf_span(&put->bytes)));
	assert_int_equal(item->flags, put->flags);
}

/* All of one snapshot to another place. */
static void restore(struct years *y, struct repo *r, const struct taken *t)
{
	struct restore_report report;
	struct buf bytes = BUF_EMPTY;
	struct fake_sink sink;
	struct view *v = NULL;
	size_t items = 0;

	fake_sink_init(&sink);
	ok(view_open(r, &t->id, &v, &err));
	ok(engine_restore(v, &sink.base, &(struct restore_options){ 0 }, NULL, NULL, &report, &err));
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		items += t->world.folders[f].there ? t->world.folders[f].count : 0;
	assert_int_equal(report.items_put, items);
	assert_int_equal(sink.put_count, items);
	for (size_t i = 0; i < sink.put_count; i++)
		same_put(&sink.puts[i], sink.paths[sink.puts[i].handle], &t->world, &bytes);
	view_free(&v);
	fake_sink_release(&sink);
	buf_release(&bytes);
	y->restored++;
}

static void compare(struct years *y, struct repo *r, const struct taken *t, size_t one_in)
{
	struct lab *l = calloc(1, sizeof *l);

	assert_non_null(l);
	l->repo = r;
	same_snapshot(l, &t->id, &t->world, one_in);
	free(l);
	y->looked_at++;
}

void job_look(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);
	const struct taken *t = years_pick(y, below(1000000));

	if (t)
		compare(y, r, t, 60);
	end(y, machine, r);
}

void job_restore(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);
	const struct taken *t = years_pick(y, below(1000000));

	if (t)
		restore(y, r, t);
	end(y, machine, r);
}

void job_look_at_all(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);

	for (size_t i = 0; i < TAKEN_MAX; i++)
		if (y->taken[i].live)
			compare(y, r, &y->taken[i], 100);
	end(y, machine, r);
}

static void check(struct years *y, unsigned machine, unsigned percent)
{
	struct repo *r = open_as(y, machine);
	struct check_options o = { .read_data = true, .data_percent = percent };
	struct check_report report;

	ok(engine_check(r, &o, no_problem, NULL, &report, &err));
	assert_int_equal(report.problems, 0);
	assert_int_equal(report.objects_gone, 0);
	assert_int_equal(report.items_affected, 0);
	end(y, machine, r);
}

void job_check(struct years *y, unsigned machine)
{
	check(y, machine, 5);
}

void job_check_all(struct years *y, unsigned machine)
{
	check(y, machine, 0);
}

/* ---- measuring ---- */

struct tally {
	uint64_t count, bytes;
};

static enum err_code tally_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct tally *t = ctx;

	(void)name;
	(void)e;
	t->count++;
	t->bytes += bytes;
	return ERR_OK;
}

void job_tally(struct store *s, const char *folder, uint64_t *count, uint64_t *bytes)
{
	struct tally t = { 0 };
	enum err_code rc = store_list(s, folder, tally_one, &t, &err);

	if (rc != ERR_NOT_FOUND)
		ok(rc);
	*count = t.count;
	*bytes = t.bytes;
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double time_opening(struct years *y, unsigned machine, const char *cache)
{
	double since = cpu_s();
	struct repo *r = open_with(y, machine, cache);

	since = cpu_s() - since;
	repo_free(&r);
	return since;
}

/* What is live, alone in a repository of its own, as compact as prune makes it. */
static void measure_copy(struct years *y, struct repo *from)
{
	char url[100], cache[100];
	struct secret *secret = secret_of(ANN);
	struct repo_options o = { .url = url, .secret = secret, .secret_kind = SLOT_KEY_FILE, .cache_folder = cache };
	struct prune_options all = { .max_repack_bytes = UINT64_MAX };
	struct snapshot_id *ids = calloc(SEEN_MAX, sizeof *ids);
	struct copy_options copy = { .ids = ids };
	struct copy_report report;
	struct prune_report pruned;
	struct repo *to = NULL;

	snprintf(url, sizeof url, "%s/copy", y->folder);
	snprintf(cache, sizeof cache, "%s/cache-copy", y->folder);
	assert_non_null(ids);
	for (size_t i = 0; i < y->seen_count; i++)
		ids[copy.count++] = y->seen[i].id;
	ok(repo_init(&o, &(struct slot_options){ .kind = SLOT_KEY_FILE }, &to, &err));
	ok(engine_copy(from, to, &copy, NULL, NULL, &report, &err));
	assert_int_equal(report.copied, copy.count);
	ok(engine_prune(to, &all, &pruned, &err));
	job_tally(to->store, "pack", &y->now.compact_packs, &y->now.compact_bytes);
	repo_free(&to);
	free(ids);
	secret_free(&secret);
	ok(file_remove_tree(url, &err));
	ok(file_remove_tree(cache, &err));
}

static uint64_t folder_bytes(const char *path)
{
	DIR *d = opendir(path);
	uint64_t sum = 0;

	for (struct dirent *entry; d && (entry = readdir(d));) {
		char below_it[400];
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below_it, sizeof below_it, "%.200s/%.190s", path, entry->d_name);
		if (lstat(below_it, &st) == 0)
			sum += S_ISDIR(st.st_mode) ? folder_bytes(below_it) : (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	return sum;
}

void job_measure(struct years *y, unsigned machine)
{
	struct repo *r = open_as(y, machine);
	struct figures *f = &y->now;
	char cache[100];

	f->live_packs = f->live_bytes = 0;
	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++) {
		const struct pack_fact *p = ledger_pack(r->ledger, i);

		f->live_packs += p->state == PACK_LIVE;
		f->live_bytes += p->state == PACK_LIVE ? p->pack.bytes : 0;
	}
	job_tally(r->store, "ledger", &f->records, &f->record_bytes);
	job_tally(r->store, "checkpoint", &f->checkpoints, &f->checkpoint_bytes);
	measure_copy(y, r);
	repo_free(&r);
	cache_of(y, machine, cache);
	f->cache_bytes = folder_bytes(cache);
	f->open_warm_s = time_opening(y, machine, cache);
	snprintf(cache, sizeof cache, "%s/cache-fresh", y->folder);
	f->open_fresh_s = time_opening(y, machine, cache);
	ok(file_remove_tree(cache, &err));
	y->outcomes[machine].ended = true;
}
