/*
 * carry: copies everything from a source to a sink as a backup and a restore would, and holds what a source gave so
 * that a test can look at it. For the tests of the connector room.
 */
#ifndef MAILHOLD_TESTS_CARRY_H
#define MAILHOLD_TESTS_CARRY_H

#include <stdlib.h>

#include "connector/connector.h"

struct carried {
	struct buf body;
	size_t at;
	size_t streams;
	size_t piece_bytes; /* how much space() gives at most; 0 for all that is wanted */
};

static inline enum err_code carry_stream(void *ctx, struct span name, uint64_t bytes_expected, struct err *e)
{
	struct carried *c = ctx;

	(void)bytes_expected;
	c->streams++;
	return name.len == 0 ? ERR_OK : err_set(e, ERR_STATE, "the primary stream has a name");
}

static inline enum err_code carry_space(void *ctx, size_t wanted, uint8_t **dst, size_t *got, struct err *e)
{
	struct carried *c = ctx;
	enum err_code rc;

	*got = c->piece_bytes && c->piece_bytes < wanted ? c->piece_bytes : wanted;
	rc = buf_reserve(&c->body, *got, e);
	if (!rc)
		*dst = c->body.ptr + c->body.len;
	return rc;
}

static inline enum err_code carry_add(void *ctx, size_t written, struct err *e)
{
	struct carried *c = ctx;

	(void)e;
	c->body.len += written;
	return ERR_OK;
}

static inline enum err_code carry_next(void *ctx, struct span *piece, struct err *e)
{
	struct carried *c = ctx;

	(void)e;
	*piece = span_skip(buf_span(&c->body), c->at);
	if (c->piece_bytes)
		*piece = span_first(*piece, c->piece_bytes);
	c->at += piece->len;
	return ERR_OK;
}

static inline enum err_code carry_rewind(void *ctx, struct err *e)
{
	(void)e;
	((struct carried *)ctx)->at = 0;
	return ERR_OK;
}

struct carry_totals {
	size_t items, put, present, clash, renamed, vanished, refused;
};

struct carry_options {
	const char *into;
	enum sink_collision collision;
	size_t piece_bytes;
};

struct carry_order {
	size_t index;
	uint64_t position;
};

static inline int carry_compare(const void *a, const void *b)
{
	const struct carry_order *x = a, *y = b;

	return x->position < y->position ? -1 : x->position > y->position;
}

static inline enum err_code carry_item(struct item_source *from, size_t c, struct item_listing *l, size_t i,
                                       enum item_kind kind, struct item_sink *to, size_t handle,
                                       const struct carry_options *o, struct carry_totals *t, struct err *e)
{
	static struct carried held;
	static struct buf facts, target;
	struct item_receiver receiver = { &held, carry_stream, carry_space, carry_add };
	struct item_body body = { &held, carry_next, carry_rewind };
	enum sink_verdict verdict, planned;
	struct item_entry entry;
	struct item_out item;
	uint64_t own_kind;
	enum err_code rc;

	buf_clear(&held.body);
	buf_clear(&facts);
	buf_clear(&target);
	held.at = held.streams = 0;
	held.body.max = 1024 * MIB;
	held.piece_bytes = o->piece_bytes;
	from->ops->listing_get(l, i, &entry);
	rc = from->ops->fetch(from, c, l, entry.place, &receiver, &facts, e);
	if (rc == ERR_VANISHED || rc == ERR_UNSUPPORTED) {
		t->vanished += rc == ERR_VANISHED;
		t->refused += rc == ERR_UNSUPPORTED;
		return ERR_OK;
	}
	if (rc)
		return rc;
	if (!fields_check(entry.state) || !fields_check(buf_span(&facts)) || held.streams != 1)
		return err_set(e, ERR_STATE, "fields are damaged, or not one stream");
	if (fields_get_u64(buf_span(&facts), FACT_KIND, &own_kind))
		kind = (enum item_kind)own_kind;
	item = (struct item_out){
		.key = entry.key, .facts = buf_span(&facts), .state = entry.state, .kind = kind, .bytes = held.body.len
	};
	rc = to->ops->decide(to, handle, &item, o->collision, &planned, &target, e);
	if (!rc)
		rc = to->ops->put(to, handle, &item, &body, o->collision, &verdict, e);
	if (rc)
		return rc;
	t->items++;
	t->put += verdict == SINK_PUT;
	t->present += verdict == SINK_PRESENT;
	t->clash += verdict == SINK_CLASH;
	t->renamed += verdict == SINK_RENAMED;
	return ERR_OK;
}

static inline enum err_code carry_collection(struct item_source *from, size_t c, const struct collection *collection,
                                             struct item_sink *to, const struct carry_options *o,
                                             struct carry_totals *t, struct err *e)
{
	struct buf cursor = BUF_EMPTY;
	struct item_listing *l = NULL;
	struct carry_order *order = NULL;
	size_t handle, count;
	enum err_code rc;

	rc = from->ops->list(from, c, SPAN_EMPTY, false, &l, &cursor, e);
	buf_release(&cursor);
	if (rc)
		return rc;
	rc = to->ops->collection(to, collection, false, &handle, e);
	count = from->ops->listing_count(l);
	order = calloc(count + 1, sizeof *order);
	for (size_t i = 0; i < count; i++) {
		struct item_entry entry;

		from->ops->listing_get(l, i, &entry);
		order[i] = (struct carry_order){ i, i };
		if (to->needs_position_order)
			fields_get_u64(entry.state, STATE_POSITION, &order[i].position);
	}
	qsort(order, count, sizeof *order, carry_compare);
	for (size_t i = 0; i < count && !rc; i++)
		rc = carry_item(from, c, l, order[i].index, collection->kind, to, handle, o, t, e);
	if (!rc)
		rc = to->ops->collection_done(to, handle, e);
	free(order);
	from->ops->listing_free(&l);
	return rc;
}

/* Copies all of FROM_URL to TO_URL. */
static inline enum err_code carry(const char *from_url, const char *to_url, const struct carry_options *o,
                                  struct carry_totals *t, struct err *e)
{
	struct sink_options so = { o->into, NULL };
	const struct collection *collections;
	struct item_source *from = NULL;
	struct item_sink *to = NULL;
	size_t count = 0;
	enum err_code rc;

	*t = (struct carry_totals){ 0 };
	rc = connector_source_open(from_url, &from, e);
	if (!rc) {
		so.world_hint = from->world;
		rc = connector_sink_open(to_url, &so, &to, e);
	}
	if (!rc)
		rc = from->ops->collections(from, &collections, &count, e);
	for (size_t c = 0; c < count && !rc; c++)
		rc = carry_collection(from, c, &collections[c], to, o, t, e);
	if (!rc)
		rc = to->ops->finish(to, e);
	if (from)
		from->ops->free(&from);
	if (to)
		to->ops->free(&to);
	return rc;
}

#endif
