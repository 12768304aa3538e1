/*
 * Four walks. The first decides every item of the snapshot, folder by folder, as the plan of a restore does; the second finds in
 * other folders what is not in its own; the third tells what is gone, moved or flagged otherwise, and then what is in the
 * folder besides; the last tells the folders that no collection went to. Of each item a byte is held; of those whose flags differ,
 * or that moved, the words for it, in order.
 */
#include "diff_live.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

enum mark { MARK_SAME, MARK_FLAGS, MARK_GONE, MARK_MOVED };

/* Texts that come out as they went in. */
struct queue {
	struct buf bytes; /* u32 length, text */
	size_t at;
};

static enum err_code queue_put(struct queue *q, struct span text, struct err *e)
{
	uint32_t len = (uint32_t)text.len;
	enum err_code rc = buf_append(&q->bytes, span_of(&len, sizeof len), e);

	return rc ? rc : buf_append(&q->bytes, text, e);
}

static struct span queue_get(struct queue *q)
{
	struct span text;
	uint32_t len;

	memcpy(&len, q->bytes.ptr + q->at, sizeof len);
	text = span_of(q->bytes.ptr + q->at + sizeof len, len);
	q->at += sizeof len + len;
	return text;
}

/* A folder of the server: a collection's, or one of nobody's. */
struct place_there {
	struct buf path; /* the collection's, or its own */
	size_t handle;
};

struct live {
	struct comparison *d;
	struct view *view;
	struct item_sink *sink;
	struct place_there *places; /* by handle */
	size_t place_count, place_cap;
	size_t mapped;   /* how many are collections' */
	size_t *handles; /* of collections; SIZE_MAX: it is not there */
	uint8_t **marks;
	size_t at; /* item of the current collection */
	struct queue flags, moves;
	struct buf before, after; /* states for telling */
	struct span collection;   /* whose others are told */
};

static struct item_out out_of(const struct view_item *item)
{
	return (struct item_out){ .key = item->key,
		                  .facts = item->facts,
		                  .state = item->state,
		                  .kind = item->kind,
		                  .bytes = item->bytes,
		                  .summary = item->summary };
}

/* ---- the folders ---- */

static enum err_code add_place(struct live *k, struct span path, size_t handle, struct err *e)
{
	if (k->place_count == k->place_cap) {
		size_t cap = k->place_cap ? 2 * k->place_cap : 32;
		struct place_there *grown = mem_grow(k->places, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		k->places = grown;
		k->place_cap = cap;
	}
	k->places[k->place_count] = (struct place_there){ .path = BUF_EMPTY, .handle = handle };
	return buf_append(&k->places[k->place_count++].path, path, e);
}

static struct span path_of(const struct live *k, size_t handle)
{
	for (size_t i = 0; i < k->place_count; i++)
		if (k->places[i].handle == handle)
			return buf_span(&k->places[i].path);
	return SPAN_EMPTY;
}

/* A folder that cannot be looked into is told, and nothing is said of what is in it. */
static enum err_code refused(struct live *k, struct span path, enum err_code rc, struct err *e)
{
	if (k->sink->gone || rc == ERR_NO_MEMORY || rc == ERR_CANCELLED)
		return rc;
	cli_report(k->d->c, text_name(path).text, e);
	k->d->c->incomplete = true;
	return ERR_OK;
}

/* ---- first: what is where it was ---- */

static enum err_code decide(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct live *k = ctx;
	struct item_out out = out_of(item);
	enum sink_verdict verdict = SINK_PUT;
	struct buf target = BUF_EMPTY;
	struct span there, wanted;
	enum err_code rc = cli_go_on(e);

	if (!rc) {
		rc = k->sink->ops->decide(k->sink, k->handles[c], &out, SINK_SKIP, &verdict, &target, e);
		if (rc == ERR_LIMIT || rc == ERR_UNSUPPORTED)
			rc = ERR_OK; /* a restore could not put it: it is not there, nevertheless */
	}
	buf_release(&target);
	if (rc)
		return rc;
	if (verdict != SINK_PRESENT) {
		k->marks[c][k->at++] = MARK_GONE;
		return ERR_OK;
	}
	if (!k->sink->ops->other_flags(k->sink, &there, &wanted)) {
		k->at++;
		return ERR_OK;
	}
	k->marks[c][k->at++] = MARK_FLAGS;
	rc = queue_put(&k->flags, wanted, e);
	return rc ? rc : queue_put(&k->flags, there, e);
}

static enum err_code first_walk(struct live *k, struct err *e)
{
	size_t count = view_collection_count(k->view);
	enum err_code rc = ERR_OK;

	k->handles = mem_zalloc(count + 1, sizeof *k->handles);
	k->marks = mem_zalloc(count + 1, sizeof *k->marks);
	if (!k->handles || !k->marks)
		return err_no_memory(e, count * sizeof *k->handles);
	for (size_t c = 0; !rc && c < count; c++) {
		const struct view_collection *col;

		k->handles[c] = SIZE_MAX;
		rc = view_collection(k->view, c, &col, e);
		if (!rc)
			rc = k->sink->ops->collection(k->sink, &col->c, true, &k->handles[c], e);
		if (rc) {
			k->handles[c] = SIZE_MAX;
			rc = refused(k, col ? col->c.path : SPAN_EMPTY, rc, e);
			continue;
		}
		k->marks[c] = mem_zalloc(col->items + 1, 1);
		if (!k->marks[c])
			return err_no_memory(e, col->items);
		k->at = 0;
		rc = add_place(k, col->c.path, k->handles[c], e);
		if (!rc)
			rc = view_items(k->view, c, true, decide, k, e);
	}
	k->mapped = k->place_count;
	return rc;
}

/* ---- second: what lies in another folder now ---- */

static enum err_code load_unclaimed(struct live *k, struct err *e)
{
	bool found = true;
	enum err_code rc = ERR_OK;

	while (!rc && found) {
		struct buf path = BUF_EMPTY;
		size_t handle;

		rc = k->sink->ops->unclaimed(k->sink, &found, &path, &handle, e);
		if (!rc && found)
			rc = add_place(k, buf_span(&path), handle, e);
		else if (rc && found)
			rc = refused(k, buf_span(&path), rc, e);
		buf_release(&path);
	}
	return rc;
}

static enum err_code seek(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct live *k = ctx;
	struct item_out out = out_of(item);
	uint8_t *mark = &k->marks[c][k->at++];
	bool found = false;
	size_t where = 0;
	enum err_code rc = cli_go_on(e);

	if (rc || *mark != MARK_GONE)
		return rc;
	rc = k->sink->ops->elsewhere(k->sink, k->handles[c], &out, &found, &where, e);
	if (rc || !found)
		return rc;
	*mark = MARK_MOVED;
	return queue_put(&k->moves, path_of(k, where), e);
}

/* Only of collections that lack something. */
static enum err_code second_walk(struct live *k, struct err *e)
{
	enum err_code rc = load_unclaimed(k, e);

	for (size_t c = 0; !rc && c < view_collection_count(k->view); c++) {
		const struct view_collection *col;

		rc = view_collection(k->view, c, &col, e);
		if (rc || !k->marks[c] || !memchr(k->marks[c], MARK_GONE, col->items))
			continue;
		k->at = 0;
		rc = view_items(k->view, c, true, seek, k, e);
	}
	return rc;
}

/* ---- third: telling ---- */

static enum err_code state_with(struct buf *out, struct span flags, struct err *e)
{
	buf_clear(out);
	return fields_add(out, STATE_FLAGS, flags, e);
}

static enum err_code tell_flags(struct live *k, struct change *ch, const struct view_item *item, struct err *e)
{
	struct view_item before = *item, after = *item;
	enum err_code rc = state_with(&k->before, queue_get(&k->flags), e);

	if (!rc)
		rc = state_with(&k->after, queue_get(&k->flags), e);
	before.state = buf_span(&k->before);
	after.state = buf_span(&k->after);
	ch->kind = CHANGE_STATE;
	ch->before = &before;
	ch->after = &after;
	return rc ? rc : diff_visit(k->d, ch, e);
}

static enum err_code tell_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct live *k = ctx;
	struct change ch = { .kind = CHANGE_REMOVED, .collection = k->collection, .before = item };

	switch ((enum mark)k->marks[c][k->at++]) {
	case MARK_SAME:
		return ERR_OK;
	case MARK_FLAGS:
		return tell_flags(k, &ch, item, e);
	case MARK_MOVED:
		ch.kind = CHANGE_MOVED;
		ch.collection = queue_get(&k->moves);
		ch.collection_from = k->collection;
		break;
	case MARK_GONE:
		break;
	}
	return diff_visit(k->d, &ch, e);
}

static enum err_code tell_other(void *ctx, const struct item_out *out, struct err *e)
{
	struct live *k = ctx;
	struct view_item item = { .key = out->key,
		                  .facts = out->facts,
		                  .state = out->state,
		                  .summary = out->summary,
		                  .kind = out->kind,
		                  .bytes = out->bytes,
		                  .time_ms = INT64_MIN };
	struct change ch = { .kind = CHANGE_ADDED, .collection = k->collection, .after = &item };
	uint64_t ns;

	if (fields_get_u64(out->facts, FACT_TIME, &ns))
		item.time_ms = (int64_t)ns / 1000000;
	return diff_visit(k->d, &ch, e);
}

static enum err_code tell_collection(struct live *k, enum change_kind kind, struct err *e)
{
	struct change ch = { .kind = kind, .collection = k->collection };

	return diff_visit(k->d, &ch, e);
}

static enum err_code tell_others(struct live *k, size_t handle, struct err *e)
{
	return k->sink->ops->others(k->sink, handle, !k->d->summary_only, tell_other, k, e);
}

static enum err_code third_walk(struct live *k, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t c = 0; !rc && c < view_collection_count(k->view); c++) {
		const struct view_collection *col;

		rc = view_collection(k->view, c, &col, e);
		if (rc || k->handles[c] == SIZE_MAX)
			continue;
		k->collection = col->c.path;
		k->at = 0;
		if (!k->sink->ops->exists(k->sink, k->handles[c]))
			rc = tell_collection(k, CHANGE_COLLECTION_REMOVED, e);
		if (!rc)
			rc = view_items(k->view, c, !k->d->summary_only, tell_item, k, e);
		if (!rc)
			rc = tell_others(k, k->handles[c], e);
	}
	for (size_t i = k->mapped; !rc && i < k->place_count; i++) {
		k->collection = buf_span(&k->places[i].path);
		rc = tell_collection(k, CHANGE_COLLECTION_ADDED, e);
		if (!rc)
			rc = tell_others(k, k->places[i].handle, e);
	}
	return rc;
}

static void release(struct live *k)
{
	if (k->sink)
		k->sink->ops->free(&k->sink);
	for (size_t i = 0; i < k->place_count; i++)
		buf_release(&k->places[i].path);
	mem_free(k->places);
	for (size_t c = 0; k->marks && c < view_collection_count(k->view); c++)
		mem_free(k->marks[c]);
	mem_free(k->marks);
	mem_free(k->handles);
	view_free(&k->view);
	buf_release(&k->flags.bytes);
	buf_release(&k->moves.bytes);
	buf_release(&k->before);
	buf_release(&k->after);
}

enum err_code diff_live(struct comparison *d, const char *snapshot, const char *word, const struct restore_target *live,
                        const struct target_login *login, struct err *e)
{
	struct live k = { .d = d };
	const struct server_sink_options o = { .plan_only = true };
	char id[2 * ID16_BYTES + 1];
	enum err_code rc = connector_server_target_check(live->url, e);

	if (!rc)
		rc = cli_view(d->c, snapshot, &k.view, e);
	if (!rc)
		rc = restore_target_open(live, login, &o, &k.sink, e);
	if (!rc) {
		snprintf(id, sizeof id, "%.*s", d->c->g.json ? 2 * ID16_BYTES : 8, view_snapshot(k.view)->id_hex);
		d->old_id = id;
		d->new_id = "live";
		d->url = live->url;
		d->url_word = word;
		rc = first_walk(&k, e);
	}
	if (!rc)
		rc = second_walk(&k, e);
	if (!rc)
		rc = third_walk(&k, e);
	progress_clear(&d->c->progress);
	cli_reports_end(d->c);
	if (!rc)
		rc = diff_summary(d, e);
	release(&k);
	return rc;
}
