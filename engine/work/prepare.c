#include "engine/work/prepare.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"
#include "engine/snapshot/snapshot.h"
#include "mime/mime.h"

#define IDS_AT_ONCE 64

/* ---- shared chunkers ---- */

enum err_code prepare_shared_open(const struct keys *k, size_t threads, struct prepare_shared *out, struct err *e)
{
	pthread_mutex_t *lock = mem_alloc(sizeof *lock);

	*out = (struct prepare_shared){ .keys = k, .lock = lock, .bytes_max = 24 * MIB };
	out->chunkers = mem_zalloc(threads, sizeof *out->chunkers);
	if (!lock || !out->chunkers) {
		mem_free(lock);
		mem_free(out->chunkers);
		*out = (struct prepare_shared){ 0 };
		return err_no_memory(e, sizeof *lock);
	}
	pthread_mutex_init(lock, NULL);
	keys_gear_table(k, out->params.gear);
	for (; out->chunker_count < threads; out->chunker_count++) {
		enum err_code rc = chunker_open(&out->params, &out->chunkers[out->chunker_count], e);

		if (rc) {
			prepare_shared_release(out);
			return rc;
		}
	}
	return ERR_OK;
}

void prepare_shared_release(struct prepare_shared *s)
{
	while (s->chunker_count)
		chunker_free(&s->chunkers[--s->chunker_count]);
	mem_free(s->chunkers);
	if (s->lock)
		pthread_mutex_destroy(s->lock);
	mem_free(s->lock);
	*s = (struct prepare_shared){ 0 };
}

/* There are as many chunkers as threads that can run jobs, so one is always free. */
static struct chunker *take_chunker(struct prepare_shared *s)
{
	struct chunker *c;

	pthread_mutex_lock(s->lock);
	c = s->chunkers[--s->chunker_count];
	pthread_mutex_unlock(s->lock);
	return c;
}

static void give_back(struct prepare_shared *s, struct chunker *c)
{
	pthread_mutex_lock(s->lock);
	s->chunkers[s->chunker_count++] = c;
	pthread_mutex_unlock(s->lock);
}

/* ---- jobs ---- */

void item_job_init(struct item_job *j)
{
	memset(j, 0, sizeof *j);
	j->job.run = item_job_run;
	j->facts.max = 4 * ITEM_FACTS_BYTES_MAX;
	j->item.max = PAGE_CHUNK_BYTES_MAX;
	j->ids.max = (REFS_PER_ITEM_MAX + 1) * sizeof(struct chunk_id);
	j->recipes.max = PAGE_CHUNK_BYTES_MAX;
	j->summary.max = SUMMARY_BYTES_MAX;
}

static struct buf *buffers(struct item_job *j, size_t i)
{
	struct buf *all[] = { &j->facts,  &j->item,        &j->ids,  &j->summary,
		              &j->chunks, &j->chunk_bytes, &j->body, &j->recipes };

	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

void item_job_release(struct item_job *j)
{
	struct buf *b;

	for (size_t i = 0; (b = buffers(j, i)); i++)
		buf_release(b);
}

void item_job_clear(struct item_job *j)
{
	struct buf *b;

	for (size_t i = 0; (b = buffers(j, i)); i++) {
		if (b->cap > PREPARE_KEEP_BYTES)
			buf_release(b);
		else
			buf_clear(b);
	}
	j->stream_count = 0;
	j->bytes = 0;
	j->ours = false;
	if (j->shared && j->counted)
		atomic_fetch_sub(&j->shared->bytes_in_flight, j->counted);
	j->counted = 0;
}

static enum err_code begin_stream(void *ctx, struct span name, uint64_t expected, struct err *e)
{
	struct item_job *j = ctx;

	if (expected > CHUNKER_ITEM_BYTES_MAX)
		return err_set(e, ERR_UNSUPPORTED, "the item has more than 16 GiB");
	if (j->stream_count == ITEM_STREAMS_MAX || name.len >= sizeof j->streams[0].name_bytes)
		return err_set(e, ERR_UNSUPPORTED, "the item has too many streams");
	if ((j->stream_count == 0) != (name.len == 0))
		return err_set(e, ERR_STATE, "the first stream of an item has no name, all others have one");
	if (name.len)
		memcpy(j->streams[j->stream_count].name_bytes, name.ptr, name.len);
	j->streams[j->stream_count].name = span_of(j->streams[j->stream_count].name_bytes, name.len);
	j->streams[j->stream_count].start = j->body.len;
	j->stream_count++;
	return ERR_OK;
}

/* Of one that will not fit the source need not begin. */
static enum err_code begin_whole(void *ctx, struct span name, uint64_t expected, struct err *e)
{
	return expected > PREPARE_WHOLE_MAX ? err_set(e, ERR_LIMIT, "the item is too large to be held whole")
	                                    : begin_stream(ctx, name, expected, e);
}

/* Room in memory for an item that is held whole; refuses when it, or all together, would be too much. */
static enum err_code whole_space(void *ctx, size_t wanted, uint8_t **dst, size_t *got, struct err *e)
{
	struct item_job *j = ctx;
	enum err_code rc;

	if (wanted == 0)
		wanted = 64 * KIB;
	if (j->body.len + wanted > PREPARE_WHOLE_MAX ||
	    (wanted > PREPARE_KEEP_BYTES && atomic_load(&j->shared->bytes_in_flight) > j->shared->bytes_max))
		return err_set(e, ERR_LIMIT, "the item is too large to be held whole");
	rc = buf_reserve(&j->body, wanted, e);
	if (rc)
		return rc;
	*dst = j->body.ptr + j->body.len;
	*got = wanted;
	return ERR_OK;
}

static enum err_code whole_add(void *ctx, size_t written, struct err *e)
{
	struct item_job *j = ctx;

	(void)e;
	j->body.len += written;
	j->counted += 2 * written; /* the body and its decoded parts */
	atomic_fetch_add(&j->shared->bytes_in_flight, 2 * written);
	return ERR_OK;
}

static enum block_class class_of(enum chunk_kind kind)
{
	return kind == CHUNK_TEXT ? CLASS_TEXT : CLASS_BINARY;
}

/* A part chunk of an item that is held whole: kept until the owner takes it. It is named with the others. */
static enum err_code keep_chunk(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct item_job *j = ctx;
	struct prepared_chunk c = { .class = class_of(kind), .offset = j->chunk_bytes.len, .len = bytes.len };
	enum err_code rc;

	rc = buf_append(&j->chunk_bytes, bytes, e);
	return rc ? rc : buf_append(&j->chunks, span_of(&c, sizeof c), e);
}

/* ---- what is made of the streams ---- */

/* FACTS with the anchor in its place among the rising tags. */
static enum err_code add_anchor(struct item_job *j, struct span header, struct err *e)
{
	uint8_t anchor[16], copy[ITEM_FACTS_BYTES_MAX];
	struct rd r = rd_of(buf_span(&j->facts));
	size_t before = 0, len = j->facts.len;
	enum err_code rc;

	if (len > sizeof copy || !fields_check(buf_span(&j->facts)))
		return err_set(e, ERR_STATE, "the source gave malformed facts");
	while (r.left.len) {
		if (rd_var(&r) > FACT_ANCHOR)
			break;
		(void)rd_blob(&r, len);
		before = len - r.left.len;
	}
	keys_anchor(j->shared->keys, header, anchor);
	memcpy(copy, j->facts.ptr, len);
	j->facts.len = before;
	rc = fields_add(&j->facts, FACT_ANCHOR, span_of(anchor, sizeof anchor), e);
	return rc ? rc : buf_append(&j->facts, span_of(copy + before, len - before), e);
}

/* j->ids has the parts of all streams, after a place for the item chunk's own id. */
static enum err_code make_item_chunk(struct item_job *j, struct err *e)
{
	struct item_stream streams[ITEM_STREAMS_MAX];
	const struct chunk_id *ids = (const struct chunk_id *)(const void *)j->ids.ptr + 1;
	size_t at = 0;

	for (size_t i = 0; i < j->stream_count; i++) {
		size_t end = j->streams[i].recipe_end;

		streams[i] = (struct item_stream){ .name = j->streams[i].name,
			                           .recipe = span_skip(span_first(buf_span(&j->recipes), end), at),
			                           .ids = ids,
			                           .id_count = j->streams[i].part_count };
		ids += j->streams[i].part_count;
		at = end;
	}
	return item_chunk_encode(streams, j->stream_count, &j->item, e);
}

static void set_item_id(struct item_job *j, const struct chunk_id *id)
{
	j->item_id = *id;
	memcpy(j->ids.ptr, id, sizeof *id);
}

static enum err_code make_meta(struct item_job *j, struct span head, struct span text, struct err *e)
{
	enum item_kind kind = j->kind;
	struct span header = span_first(head, num_min(mime_header_length(head), PREPARE_HEAD_BYTES));
	uint64_t other;
	enum err_code rc = add_anchor(j, header, e);

	if (fields_get_u64(buf_span(&j->facts), FACT_KIND, &other))
		kind = (enum item_kind)other;
	return rc ? rc : summary_make(kind, head, text, &j->summary, e);
}

/* Of an item that is streamed, so far. */
static size_t part_count(const struct item_job *j)
{
	return j->ids.len / sizeof(struct chunk_id) - 1;
}

static size_t parts_kept(const struct item_job *j)
{
	return j->chunks.len / sizeof(struct prepared_chunk);
}

static enum err_code place_for_item_id(struct item_job *j, struct err *e)
{
	struct chunk_id zero = { { 0 } };

	return buf_append(&j->ids, span_of(&zero, sizeof zero), e);
}

static enum err_code split_whole(struct item_job *j, struct chunker *c, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < j->stream_count; i++) {
		size_t end = i + 1 < j->stream_count ? j->streams[i + 1].start : j->body.len;
		size_t before = parts_kept(j);
		struct span bytes = span_skip(span_first(buf_span(&j->body), end), j->streams[i].start);

		chunker_begin(c, keep_chunk, j);
		rc = chunker_feed(c, bytes, e);
		if (!rc)
			rc = chunker_finish(c, &j->recipes, e);
		if (!rc && i == 0)
			rc = make_meta(j, bytes, bytes, e);
		j->streams[i].recipe_end = j->recipes.len;
		j->streams[i].part_count = (uint32_t)(parts_kept(j) - before);
	}
	j->bytes = j->body.len;
	return rc;
}

static void read_and_split(struct item_job *j)
{
	struct item_receiver to = { .ctx = j, .stream = begin_whole, .space = whole_space, .add = whole_add };
	struct chunker *c;

	j->rc = j->source->ops->fetch(j->source, j->collection, j->listing, j->place, &to, &j->facts, &j->e);
	if (!j->rc && j->stream_count == 0)
		j->rc = err_set(&j->e, ERR_STATE, "the source gave no stream");
	if (j->rc)
		return;
	c = take_chunker(j->shared);
	j->rc = split_whole(j, c, &j->e);
	give_back(j->shared, c);
}

/* Chunks of several items on their way to be named. */
struct naming {
	const struct keys *keys;
	size_t count;
	struct span plain[IDS_AT_ONCE];
	struct prepared_chunk *to[IDS_AT_ONCE];
};

static void name_gathered(struct naming *n)
{
	struct chunk_id ids[IDS_AT_ONCE];

	keys_chunk_ids(n->keys, SCOPE_CONTENT, n->plain, n->count, ids);
	for (size_t i = 0; i < n->count; i++)
		n->to[i]->id = ids[i];
	n->count = 0;
}

static void name_parts(struct item_job *first)
{
	struct naming n = { .keys = first->shared->keys };

	for (struct item_job *j = first; j; j = j->next) {
		struct prepared_chunk *chunks = (struct prepared_chunk *)(void *)j->chunks.ptr;

		for (size_t i = 0; !j->rc && i < parts_kept(j); i++) {
			if (n.count == IDS_AT_ONCE)
				name_gathered(&n);
			n.plain[n.count] = span_of(j->chunk_bytes.ptr + chunks[i].offset, chunks[i].len);
			n.to[n.count++] = &chunks[i];
		}
	}
	name_gathered(&n);
}

static enum err_code list_ids(struct item_job *j, struct err *e)
{
	const struct prepared_chunk *chunks = (const struct prepared_chunk *)(const void *)j->chunks.ptr;
	size_t count = parts_kept(j);
	enum err_code rc = buf_reserve(&j->ids, (count + 1) * sizeof(struct chunk_id), e);

	if (!rc)
		rc = place_for_item_id(j, e);
	for (size_t i = 0; !rc && i < count; i++)
		rc = buf_append(&j->ids, span_of(&chunks[i].id, sizeof chunks[i].id), e);
	return rc;
}

void item_job_run(struct pool_job *job)
{
	struct item_job *first = (struct item_job *)(void *)job;
	struct item_job *made[PREPARE_TOGETHER_MAX];
	struct span items[PREPARE_TOGETHER_MAX];
	struct chunk_id ids[PREPARE_TOGETHER_MAX];
	size_t count = 0;

	for (struct item_job *j = first; j; j = j->next)
		read_and_split(j);
	name_parts(first);
	for (struct item_job *j = first; j; j = j->next) {
		if (!j->rc)
			j->rc = list_ids(j, &j->e);
		if (!j->rc)
			j->rc = make_item_chunk(j, &j->e);
		if (j->rc)
			continue;
		made[count] = j;
		items[count++] = buf_span(&j->item);
	}
	keys_chunk_ids(first->shared->keys, SCOPE_CONTENT, items, count, ids);
	for (size_t i = 0; i < count; i++)
		set_item_id(made[i], &ids[i]);
}

/* ---- streaming ---- */

struct streaming {
	struct item_job *j;
	struct writer *w;
	struct chunker *c;
	struct buf window, head;
	size_t before;
	bool begun;
};

static enum err_code store_chunk(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct streaming *s = ctx;
	struct chunk_id id;
	enum err_code rc;

	keys_chunk_id(s->j->shared->keys, SCOPE_CONTENT, bytes, &id);
	rc = writer_put(s->w, class_of(kind), &id, bytes, e);
	s->j->ours = rc != ERR_OK;
	return rc ? rc : buf_append(&s->j->ids, span_of(&id, sizeof id), e);
}

static enum err_code end_stream(struct streaming *s, struct err *e)
{
	size_t i = s->j->stream_count - 1;
	enum err_code rc;

	if (!s->begun)
		return ERR_OK;
	rc = chunker_finish(s->c, &s->j->recipes, e);
	s->j->streams[i].recipe_end = s->j->recipes.len;
	s->j->streams[i].part_count = (uint32_t)(part_count(s->j) - s->before);
	s->begun = false;
	return rc;
}

static enum err_code stream_begin(void *ctx, struct span name, uint64_t expected, struct err *e)
{
	struct streaming *s = ctx;
	enum err_code rc = end_stream(s, e);

	if (!rc)
		rc = begin_stream(s->j, name, expected, e);
	if (rc)
		return rc;
	s->before = part_count(s->j);
	s->begun = true;
	chunker_begin(s->c, store_chunk, s);
	return ERR_OK;
}

static enum err_code stream_space(void *ctx, size_t wanted, uint8_t **dst, size_t *got, struct err *e)
{
	struct streaming *s = ctx;
	enum err_code rc = buf_reserve(&s->window, PREPARE_HEAD_BYTES, e);

	(void)wanted;
	*dst = s->window.ptr;
	*got = PREPARE_HEAD_BYTES;
	return rc;
}

static enum err_code stream_add(void *ctx, size_t written, struct err *e)
{
	struct streaming *s = ctx;
	struct span bytes = span_of(s->window.ptr, written);
	enum err_code rc = ERR_OK;

	if (s->j->stream_count == 1 && s->head.len < PREPARE_HEAD_BYTES)
		rc = buf_append(&s->head, span_first(bytes, PREPARE_HEAD_BYTES - s->head.len), e);
	s->j->bytes += written;
	return rc ? rc : chunker_feed(s->c, bytes, e);
}

enum err_code prepare_stream(struct item_job *j, struct writer *w, struct err *e)
{
	struct streaming s = { .j = j, .w = w };
	struct item_receiver to = { .ctx = &s, .stream = stream_begin, .space = stream_space, .add = stream_add };
	struct chunk_id id;
	enum err_code rc;

	item_job_clear(j);
	s.c = take_chunker(j->shared);
	rc = place_for_item_id(j, e);
	if (!rc)
		rc = j->source->ops->fetch(j->source, j->collection, j->listing, j->place, &to, &j->facts, e);
	if (!rc)
		rc = end_stream(&s, e);
	give_back(j->shared, s.c);
	if (!rc)
		rc = make_meta(j, buf_span(&s.head), buf_span(&s.head), e);
	if (!rc)
		rc = make_item_chunk(j, e);
	if (!rc) {
		keys_chunk_id(j->shared->keys, SCOPE_CONTENT, buf_span(&j->item), &id);
		set_item_id(j, &id);
	}
	buf_release(&s.window);
	buf_release(&s.head);
	return rc;
}
