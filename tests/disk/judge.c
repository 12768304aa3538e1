#include "scene.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "connector/connector.h"
#include "engine/engine.h"

struct judging {
	const struct stage *stage;
	const struct recorded *recorded;
	const struct promise *promise;
	const struct roots *at;
	struct repo *repo;
	struct verdict *verdict;
	bool live[STEPS_MAX];
	char next_id[33];
	char notices[300]; /* the last ones */
};

PRINTF_LIKE(2, 3) static bool bad(struct judging *j, const char *fmt, ...)
{
	va_list args;
	size_t used;

	if (!j->verdict->good)
		return false;
	j->verdict->good = false;
	va_start(args, fmt);
	vsnprintf(j->verdict->text, sizeof j->verdict->text, fmt, args);
	va_end(args);
	used = strlen(j->verdict->text);
	if (j->notices[0])
		snprintf(j->verdict->text + used, sizeof j->verdict->text - used, " (said: %s)", j->notices);
	return false;
}

static void notice(void *ctx, enum engine_notice_kind kind, const char *text)
{
	struct judging *j = ctx;

	(void)kind;
	snprintf(j->notices, sizeof j->notices, "%s", text);
}

/* ---- opening ---- */

static enum err_code open_with(struct judging *j, const uint8_t key[32], struct repo **out, struct err *e)
{
	char url[200], cache[200];
	struct secret *secret = NULL;
	struct repo_options o = {
		.url = url, .secret_kind = SLOT_KEY_FILE, .cache_folder = cache, .notice = notice, .notice_ctx = j
	};
	enum err_code rc = secret_new(span_of(key, 32), &secret, e);

	snprintf(url, sizeof url, "%s/repo", j->at->text[DISK_STORE]);
	snprintf(cache, sizeof cache, "%s/cache/mailhold", j->at->text[DISK_CLIENT]);
	o.secret = secret;
	if (!rc)
		rc = repo_open(&o, out, e);
	secret_free(&secret);
	return rc;
}

/* Key file K as it stands in P (NULL: as it was written). */
static bool key_there(const struct judging *j, const struct picture *p, unsigned k)
{
	const struct picture_file *f;

	if (!j->recorded->has_key[k])
		return false;
	if (!p)
		return true;
	f = picture_find(p, DISK_CLIENT, key_names[k]);
	return f && f->len == 65 && f->bytes[64] == '\n';
}

/* Any key file that its owner still has must do. */
static bool open_repository(struct judging *j, const struct picture *p, bool *repository)
{
	static const unsigned order[] = { 0, 2 };
	struct err e = { 0 };

	*repository = false;
	for (unsigned i = 0; i < ARRAY_LEN(order) && !j->repo; i++) {
		if (!key_there(j, p, order[i]))
			continue;
		if (open_with(j, j->recorded->keys[order[i]], &j->repo, &e) == ERR_OK) {
			*repository = true;
			return true;
		}
		if (e.code != ERR_WRONG_KEY)
			break;
	}
	if (!j->promise->init && (e.code == ERR_NO_REPOSITORY || e.code == ERR_OK))
		return false;
	return bad(j, "the repository does not open: %s", e.code ? e.text : "no key file is left");
}

/* Key files that were told of are there, open what they shall, and nothing else. */
static void check_keys(struct judging *j, const struct picture *p)
{
	for (unsigned k = 0; k < KEY_NAMES_MAX; k++) {
		struct repo *other = NULL;
		enum err_code rc;
		struct err e;

		if (p && j->promise->key_file[k] && !key_there(j, p, k))
			bad(j, "the key file '%s' is gone", key_names[k]);
		if (k == 0 || !(j->promise->opens[k] || j->promise->opens_not[k]))
			continue;
		rc = open_with(j, j->recorded->keys[k], &other, &e);
		if (j->promise->opens[k] && rc)
			bad(j, "the key '%s' does not open: %s", key_names[k], e.text);
		if (j->promise->opens_not[k] && !rc)
			bad(j, "the removed key '%s' opens", key_names[k]);
		repo_free(&other);
	}
}

/* ---- comparing ---- */

struct looking {
	struct view *view;
	struct buf body;
	uint64_t sum, items;
	const struct view_collection *collection;
};

static enum err_code take_body(void *ctx, struct span bytes, struct err *e)
{
	return buf_append(ctx, bytes, e);
}

static enum err_code take_item(void *ctx, size_t collection, const struct view_item *item, struct err *e)
{
	struct looking *l = ctx;
	enum err_code rc;

	buf_clear(&l->body);
	rc = view_body(l->view, collection, item->key, SPAN_EMPTY, take_body, &l->body, e);
	if (rc)
		return rc;
	l->sum += mail_item_sum(l->collection->c.path, item->key, buf_span(&l->body));
	l->items++;
	return ERR_OK;
}

/* Reads every body of a snapshot and compares all with the mail that was there. */
static bool holds(struct judging *j, const struct snapshot_id *id, unsigned first, unsigned count, const char *which)
{
	struct looking l = { .body = BUF_EMPTY };
	enum err_code rc;
	struct err e;

	rc = view_open(j->repo, id, &l.view, &e);
	for (size_t c = 0; !rc && c < view_collection_count(l.view); c++) {
		rc = view_collection(l.view, c, &l.collection, &e);
		if (!rc)
			rc = view_items(l.view, c, false, take_item, &l, &e);
	}
	view_free(&l.view);
	buf_release(&l.body);
	if (rc)
		return bad(j, "snapshot %s cannot be read: %s", which, e.text);
	if (l.items != count || l.sum != mail_sum(first, count))
		return bad(j, "snapshot %s holds %llu items of another sum, not the %u that it was made of", which,
		           (unsigned long long)l.items, count);
	return true;
}

struct listed {
	struct judging *judging;
	struct snapshot_id ids[STEPS_MAX + 1];
	unsigned steps[STEPS_MAX + 1]; /* STEPS_MAX: the next one */
	bool trash[STEPS_MAX + 1];
	unsigned count;
};

static enum err_code list_one(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct listed *l = ctx;
	struct judging *j = l->judging;
	unsigned k = 0;

	(void)e;
	/* A copy that could not be whole, and was completed by the next run. */
	if (s->forgotten_ms && (s->flags & ENGINE_SNAPSHOT_COPIED) && (s->flags & ENGINE_SNAPSHOT_GAPS))
		return ERR_OK;
	while (k < j->recorded->step_count && strcmp(s->id_hex, j->recorded->ids[k]) != 0)
		k++;
	if (k == j->recorded->step_count)
		k = !strcmp(s->id_hex, j->next_id)   ? STEPS_MAX
		    : j->recorded->loose < STEPS_MAX ? j->recorded->loose
		                                     : STEPS_MAX + 1;
	if (k > STEPS_MAX || l->count > STEPS_MAX || (s->flags & (ENGINE_SNAPSHOT_PARTIAL | ENGINE_SNAPSHOT_GAPS)) ||
	    s->items_skipped) {
		bad(j, "there is a snapshot %s that nobody made, or with gaps", s->id_hex);
		return ERR_OK;
	}
	l->ids[l->count] = s->id;
	l->steps[l->count] = k;
	l->trash[l->count++] = s->forgotten_ms != 0;
	return ERR_OK;
}

/* What is there, and what must be. With PRUNED the trash counts no more. */
static void check_snapshots(struct judging *j, bool pruned)
{
	static const char *const words[] = { "", "live", "live or in the trash", "in the trash" };
	bool live[STEPS_MAX + 1] = { false }, trash[STEPS_MAX + 1] = { false };
	struct listed l = { .judging = j };
	struct err e;

	if (repo_snapshots(j->repo, SNAPSHOTS_LIVE | SNAPSHOTS_TRASH, NULL, list_one, &l, &e))
		bad(j, "the snapshots cannot be listed: %s", e.text);
	for (unsigned i = 0; i < l.count && j->verdict->good; i++) {
		unsigned k = l.steps[i], first = NEXT_FIRST, count = NEXT_COUNT;

		(l.trash[i] ? trash : live)[k] = true;
		if (k < STEPS_MAX && !step_mail(j->recorded->scene, k, &first, &count))
			bad(j, "step %u made a snapshot", k);
		holds(j, &l.ids[i], first, count, k < STEPS_MAX ? j->recorded->ids[k] : j->next_id);
	}
	for (unsigned k = 0; k < j->recorded->step_count; k++) {
		enum must must = j->promise->snapshots[k];
		bool fine = must == MUST_NOTHING || (must == MUST_LIVE && live[k]) ||
		            (must == MUST_LIVE_OR_TRASH && (live[k] || trash[k])) || (must == MUST_TRASH && trash[k]);

		if (!fine && !(pruned && must != MUST_LIVE))
			bad(j, "the snapshot of step %u must be %s and is %s", k, words[must],
			    live[k]    ? "live"
			    : trash[k] ? "in the trash"
			               : "gone");
		j->live[k] = live[k];
	}
	if (j->next_id[0] && !live[STEPS_MAX])
		bad(j, "the next snapshot is gone");
}

static void problem(void *ctx, const struct check_problem *p)
{
	bad(ctx, "check finds in %s: %s", p->object, p->what->text);
}

static void check_all(struct judging *j, bool read_data)
{
	struct check_report report;
	struct err e;

	if (engine_check(j->repo, &(struct check_options){ .read_data = read_data }, problem, j, &report, &e))
		bad(j, "check fails: %s", e.text);
}

/* ---- going on ---- */

static void skipped(void *ctx, const char *what, const struct err *why)
{
	bad(ctx, "the next snapshot skips %s: %s", what, why->text);
}

static void next_snapshot(struct judging *j)
{
	struct item_source *source = NULL;
	struct snapshot_report report;
	char folder[160];
	struct err e;
	enum err_code rc;

	mail_folder(j->stage, NEXT_FIRST, NEXT_COUNT, folder);
	rc = connector_source_open(folder, &source, &e);
	if (!rc) {
		source->report = skipped;
		source->report_ctx = j;
		rc = engine_snapshot(j->repo, source, &(struct snapshot_options){ .account = "ann", .source = folder },
		                     &report, &e);
	}
	if (rc)
		bad(j, "the next snapshot fails: %s", e.text);
	else
		snprintf(j->next_id, sizeof j->next_id, "%s", report.info.id_hex);
	if (source)
		source->ops->free(&source);
}

static void prune(struct judging *j)
{
	struct prune_report report;
	struct err e;

	if (engine_prune(j->repo, &(struct prune_options){ .max_unused_percent = 50, .max_repack_bytes = UINT64_MAX },
	                 &report, &e))
		bad(j, "the prune fails: %s", e.text);
	else if (report.packs_waiting || report.sessions_open)
		bad(j, "the prune leaves things behind");
}

/* Read it can be before anything is repaired. Opened anew, for an open file goes on giving the old bytes. */
static void repair_packs(struct judging *j)
{
	struct repair_parity_options o = { .url = NULL };
	struct repair_parity_report healed;
	char url[200];
	bool ignored;
	struct err e;

	check_snapshots(j, false);
	repo_free(&j->repo);
	snprintf(url, sizeof url, "%s/repo", j->at->text[DISK_STORE]);
	o.url = url;
	if (engine_repair_parity(&o, NULL, NULL, &healed, &e))
		bad(j, "packs cannot be repaired: %s", e.text);
	else if (healed.failed)
		bad(j, "%u packs cannot be repaired", (unsigned)healed.failed);
	open_repository(j, NULL, &ignored);
}

static void repair(struct judging *j)
{
	uint64_t count;
	struct err e;

	if (j->promise->decayed && j->verdict->good)
		repair_packs(j);
	if (!j->repo)
		return;
	if (j->promise->harmed && engine_repair_ledger(j->repo, &count, &e))
		bad(j, "the ledger cannot be repaired: %s", e.text);
}

void judge(const struct stage *s, const struct recorded *r, const struct promise *promise, const struct picture *p,
           bool client_lost, const struct roots *at, bool *repository, struct verdict *out)
{
	struct judging j = { .stage = s, .recorded = r, .promise = promise, .at = at, .verdict = out };
	const struct picture *keys = client_lost ? NULL : p;

	*out = (struct verdict){ .good = true };
	if (!open_repository(&j, keys, repository))
		return;
	check_keys(&j, keys);
	repair(&j);
	if (out->good)
		check_all(&j, true);
	if (out->good)
		check_snapshots(&j, false);
	if (out->good)
		next_snapshot(&j);
	if (out->good)
		prune(&j);
	if (out->good)
		check_all(&j, false);
	if (out->good)
		check_snapshots(&j, true);
	repo_free(&j.repo);
}

void judge_quick(const struct recorded *r, const struct promise *promise, const struct roots *at, bool live[STEPS_MAX],
                 struct verdict *out)
{
	struct judging j = { .recorded = r, .promise = promise, .at = at, .verdict = out };
	bool repository;

	*out = (struct verdict){ .good = true };
	memset(live, 0, STEPS_MAX * sizeof *live);
	if (!open_repository(&j, NULL, &repository))
		return;
	check_keys(&j, NULL);
	repair(&j);
	if (out->good)
		check_all(&j, true);
	if (out->good)
		check_snapshots(&j, false);
	memcpy(live, j.live, sizeof j.live);
	repo_free(&j.repo);
}
