/* Details, rows of the collection list, item chunks: encoding and decoding, docs/format/snapshot.md. */
#include "engine/snapshot/snapshot.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"

/* ---- details ---- */

enum detail_tag {
	DETAIL_ACCOUNT = 1,
	DETAIL_HOST = 2,
	DETAIL_SOURCE = 3,
	DETAIL_TAGS = 4,
	DETAIL_TOOL = 5,
	DETAIL_DURATION = 6,
	DETAIL_COLLECTIONS = 7,
	DETAIL_SKIPPED = 8,
	DETAIL_ORIGIN = 9,
	DETAIL_UNFINISHED = 10
};

enum err_code details_encode(const struct snapshot_details *d, struct buf *out, struct err *e)
{
	struct snapshot_origin two[2] = { d->begun, d->rest };
	enum err_code rc = fields_add(out, DETAIL_ACCOUNT, d->account, e);

	if (!rc)
		rc = fields_add(out, DETAIL_HOST, d->host, e);
	if (!rc)
		rc = fields_add(out, DETAIL_SOURCE, d->source, e);
	if (!rc && d->tags.len)
		rc = fields_add(out, DETAIL_TAGS, d->tags, e);
	if (!rc)
		rc = fields_add(out, DETAIL_TOOL, d->tool, e);
	if (!rc)
		rc = fields_add_u64(out, DETAIL_DURATION, (uint64_t)d->duration_ms, 8, e);
	if (!rc)
		rc = fields_add_u64(out, DETAIL_COLLECTIONS, d->collections, 8, e);
	if (!rc)
		rc = fields_add_u64(out, DETAIL_SKIPPED, d->skipped, 8, e);
	if (!rc && d->copied)
		rc = fields_add(out, DETAIL_ORIGIN, span_of(&d->origin, sizeof d->origin), e);
	if (!rc && d->unfinished)
		rc = fields_add(out, DETAIL_UNFINISHED, span_of(two, sizeof two), e);
	return rc;
}

/* COUNT origins under TAG; false when the field is not there, or of another length. */
static bool get_origins(struct span fields, uint32_t tag, struct snapshot_origin *out, size_t count)
{
	struct span got;

	if (!fields_get(fields, tag, &got) || got.len != count * sizeof *out)
		return false;
	memcpy(out, got.ptr, got.len);
	return true;
}

enum err_code details_decode(struct span fields, struct snapshot_details *out, struct err *e)
{
	struct snapshot_details d = { 0 };
	struct snapshot_origin two[2];
	uint64_t duration = 0;

	if (!fields_check(fields))
		return err_set(e, ERR_CORRUPT, "the details of a snapshot are damaged");
	(void)fields_get(fields, DETAIL_ACCOUNT, &d.account);
	(void)fields_get(fields, DETAIL_HOST, &d.host);
	(void)fields_get(fields, DETAIL_SOURCE, &d.source);
	(void)fields_get(fields, DETAIL_TAGS, &d.tags);
	(void)fields_get(fields, DETAIL_TOOL, &d.tool);
	(void)fields_get_u64(fields, DETAIL_DURATION, &duration);
	(void)fields_get_u64(fields, DETAIL_COLLECTIONS, &d.collections);
	(void)fields_get_u64(fields, DETAIL_SKIPPED, &d.skipped);
	d.duration_ms = (int64_t)duration;
	d.copied = get_origins(fields, DETAIL_ORIGIN, &d.origin, 1);
	d.unfinished = get_origins(fields, DETAIL_UNFINISHED, two, 2);
	if (d.unfinished) {
		d.begun = two[0];
		d.rest = two[1];
	}
	*out = d;
	return ERR_OK;
}

/* Associated data of the sealed details: what they are and whose. */
struct details_ad {
	uint8_t bytes[19 + ID16_BYTES];
};

static struct details_ad details_ad(const struct snapshot_id *id)
{
	struct details_ad ad;

	memcpy(ad.bytes, "mailhold snapshot 1", 19);
	memcpy(ad.bytes + 19, id->bytes, ID16_BYTES);
	return ad;
}

enum err_code details_seal(const struct keys *k, const struct snapshot_id *id, const struct snapshot_details *d,
                           struct buf *out, struct err *e)
{
	struct details_ad ad = details_ad(id);
	struct buf plain = BUF_WITH_MAX(SNAPSHOT_SEALED_MAX);
	enum err_code rc = details_encode(d, &plain, e);

	if (!rc)
		rc = box_seal(k, BOX_NAMES, keys_epoch(k), span_of(ad.bytes, sizeof ad.bytes), buf_span(&plain), out,
		              e);
	buf_wipe(&plain);
	return rc;
}

static enum err_code details_open(const struct keys *k, const struct snapshot_entry *entry, struct buf *hold,
                                  struct snapshot_details *out, struct err *e)
{
	struct details_ad ad = details_ad(&entry->id);
	enum err_code rc;

	buf_clear(hold);
	/* A sealed box names no epoch: it is the record's. */
	rc = box_open(k, BOX_NAMES, entry->epoch, span_of(ad.bytes, sizeof ad.bytes), entry->sealed, hold, e);
	return rc ? rc : details_decode(buf_span(hold), out, e);
}

enum err_code snapshot_details_of(const struct repo *r, const struct snapshot_fact *fact, struct buf *hold,
                                  struct snapshot_details *out, struct err *e)
{
	return details_open(r->keys, &fact->entry, hold, out, e);
}

enum err_code snapshot_show(const struct repo *r, const struct snapshot_fact *fact, struct buf *hold,
                            struct snapshot_info *out, struct err *e)
{
	const struct snapshot_entry *entry = &fact->entry;
	struct snapshot_details d = { 0 };
	enum err_code rc = keys_read_names(r->keys) ? details_open(r->keys, entry, hold, &d, e) : ERR_OK;

	if (rc)
		return rc;
	*out = (struct snapshot_info){ .id = entry->id,
		                       .account_id = entry->account,
		                       .account = d.account,
		                       .names_hidden = !keys_read_names(r->keys),
		                       .host = d.host,
		                       .source = d.source,
		                       .tags = d.tags,
		                       .time_ms = entry->time_ms,
		                       .zone_minutes = entry->zone_minutes,
		                       .duration_ms = d.duration_ms,
		                       .items = entry->item_count,
		                       .bytes = entry->item_bytes,
		                       .collections = d.collections,
		                       .items_skipped = d.skipped,
		                       .pinned = fact->pinned };
	text_hex(span_of(entry->id.bytes, sizeof entry->id.bytes), out->id_hex);
	text_hex(span_of(entry->account.bytes, sizeof entry->account.bytes), out->account_id_hex);
	out->flags = (entry->flags & SNAPSHOT_PARTIAL ? ENGINE_SNAPSHOT_PARTIAL : 0u) |
	             (entry->flags & SNAPSHOT_SHRUNK ? ENGINE_SNAPSHOT_SHRUNK : 0u) |
	             (entry->flags & SNAPSHOT_GAPS ? ENGINE_SNAPSHOT_GAPS : 0u) |
	             (entry->flags & SNAPSHOT_COPIED ? ENGINE_SNAPSHOT_COPIED : 0u);
	if (fact->state != SNAPSHOT_LIVE)
		out->forgotten_ms = fact->forgotten_ms ? fact->forgotten_ms : 1;
	return ERR_OK;
}

enum err_code repo_account_name(struct repo *r, const struct account_id *account, struct buf *out, struct err *e)
{
	struct snapshot_details d;
	struct buf hold = BUF_EMPTY;
	enum err_code rc = ERR_OK;
	bool found = !keys_read_names(r->keys);

	buf_clear(out);
	for (size_t i = ledger_snapshot_count(r->ledger); !rc && !found && i-- > 0;) {
		const struct snapshot_entry *entry = &ledger_snapshot(r->ledger, i)->entry;
		struct err why;

		if (memcmp(&entry->account, account, sizeof *account) != 0)
			continue;
		/* One whose details are damaged is not the only one. */
		rc = details_open(r->keys, entry, &hold, &d, &why);
		found = rc == ERR_OK;
		if (rc == ERR_NO_MEMORY)
			*e = why;
		else
			rc = found ? buf_append(out, d.account, e) : ERR_OK;
	}
	buf_release(&hold);
	return rc;
}

const struct snapshot_fact *snapshot_find(const struct repo *r, const struct snapshot_id *id)
{
	for (size_t i = ledger_snapshot_count(r->ledger); i-- > 0;) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (!memcmp(&fact->entry.id, id, sizeof *id))
			return fact->state == SNAPSHOT_EXPIRED ? NULL : fact;
	}
	return NULL;
}

bool snapshot_believed(const struct repo *r, const struct snapshot_fact *fact)
{
	struct holder_id self = keys_holder(r->keys);

	return fact->maker_role == HOLDER_FULL || !memcmp(&fact->entry.holder, &self, sizeof self);
}

const struct snapshot_fact *snapshot_latest(const struct repo *r, const struct account_id *account, bool partial)
{
	for (size_t i = ledger_snapshot_count(r->ledger); i-- > 0;) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (fact->state == SNAPSHOT_LIVE && !memcmp(&fact->entry.account, account, sizeof *account) &&
		    (partial || !(fact->entry.flags & SNAPSHOT_PARTIAL)))
			return fact;
	}
	return NULL;
}

/* ---- rows of the collection list ---- */

#define ROW_VERSION 1
enum value_place { VALUE_INLINE = 0, VALUE_CHUNK = 1 };

static enum err_code put_value(const struct chunk_io *io, const struct keys *keys, struct span value, struct buf *ids,
                               struct err *e)
{
	struct chunk_id id;
	enum err_code rc = ERR_OK;

	if (io)
		rc = io->put(io->ctx, CLASS_ATTRIBUTE, value, &id, e);
	else
		keys_chunk_id(keys, SCOPE_SYNC, value, &id);
	return rc ? rc : buf_append(ids, span_of(&id, sizeof id), e);
}

enum err_code collection_facts_encode(const struct chunk_io *io, const struct keys *keys, const struct collection *c,
                                      struct buf *facts, struct buf *ids, struct err *e)
{
	struct wr w = wr_to(facts, e);
	uint32_t chunks = 0;

	if (c->attribute_count > COLLECTION_ATTRIBUTES_MAX)
		return err_set(e, ERR_LIMIT, "collection %s has %zu attributes, more than %d", text_name(c->path).text,
		               c->attribute_count, COLLECTION_ATTRIBUTES_MAX);
	wr_u8(&w, ROW_VERSION);
	wr_u8(&w, (uint8_t)c->kind);
	wr_u8(&w, (uint8_t)c->role);
	wr_var(&w, c->attribute_count);
	for (size_t i = 0; i < c->attribute_count; i++) {
		const struct attribute *a = &c->attributes[i];

		wr_blob(&w, a->name);
		if (a->value.len <= ATTRIBUTE_INLINE_MAX) {
			wr_u8(&w, VALUE_INLINE);
			wr_blob(&w, a->value);
		} else {
			enum err_code rc = put_value(io, keys, a->value, ids, e);

			if (rc)
				return rc;
			wr_u8(&w, VALUE_CHUNK);
			wr_var(&w, COLLECTION_REFS_FIXED + chunks++);
		}
	}
	return wr_end(&w);
}

enum err_code collection_facts_id(const struct keys *keys, struct span facts, const struct chunk_id *values,
                                  size_t count, struct chunk_id *out, struct err *e)
{
	struct buf all = BUF_EMPTY;
	enum err_code rc = buf_append(&all, facts, e);

	if (!rc)
		rc = buf_append(&all, span_of(values, count * sizeof *values), e);
	if (!rc)
		keys_chunk_id(keys, SCOPE_SYNC, buf_span(&all), out);
	buf_release(&all);
	return rc;
}

enum err_code collection_facts_decode(struct span facts, uint32_t id_count, struct collection *out,
                                      struct attribute **attributes, uint32_t **chunks, struct err *e)
{
	struct rd r = rd_of(facts);
	uint8_t version = rd_u8(&r);
	struct attribute *list = NULL;
	uint32_t *numbers = NULL;
	uint64_t count;

	out->kind = rd_u8(&r);
	out->role = rd_u8(&r);
	count = rd_var(&r);
	if (!r.bad && version != ROW_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "collection row has version %u", version);
	if (r.bad || count > COLLECTION_ATTRIBUTES_MAX)
		return err_set(e, ERR_CORRUPT, "collection row is damaged");
	list = mem_zalloc(count, sizeof *list);
	numbers = mem_zalloc(count, sizeof *numbers);
	if (!list || !numbers) {
		mem_free(list);
		mem_free(numbers);
		return err_no_memory(e, count * sizeof *list);
	}
	for (uint64_t i = 0; i < count && !r.bad; i++) {
		list[i].name = rd_blob(&r, ATTRIBUTE_NAME_BYTES_MAX);
		if (rd_u8(&r) == VALUE_INLINE) {
			list[i].value = rd_blob(&r, ATTRIBUTE_INLINE_MAX);
		} else {
			uint64_t number = rd_var(&r);

			if (number < COLLECTION_REFS_FIXED || number >= id_count)
				r.bad = true;
			numbers[i] = (uint32_t)number;
		}
	}
	if (!rd_done(&r)) {
		mem_free(list);
		mem_free(numbers);
		return err_set(e, ERR_CORRUPT, "collection row is damaged in its attributes");
	}
	out->attributes = list;
	out->attribute_count = count;
	*attributes = list;
	*chunks = numbers;
	return ERR_OK;
}

enum err_code collection_state_encode(const struct collection_state *s, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u8(&w, ROW_VERSION);
	wr_blob(&w, s->cursor);
	wr_var(&w, s->items);
	wr_var(&w, s->bytes);
	return wr_end(&w);
}

enum err_code collection_state_decode(struct span state, struct collection_state *out, struct err *e)
{
	struct rd r = rd_of(state);
	uint8_t version = rd_u8(&r);

	out->cursor = rd_blob(&r, state.len);
	out->items = rd_var(&r);
	out->bytes = rd_var(&r);
	if (!rd_done(&r) || version != ROW_VERSION)
		return err_set(e, ERR_CORRUPT, "collection state is damaged");
	return ERR_OK;
}

/* ---- the table of collections ---- */

static enum err_code load_row(const struct chunk_io *io, const struct page_row *from, struct collection_row *row,
                              struct buf *hold, struct err *e)
{
	struct buf ids = BUF_EMPTY;
	enum err_code rc = page_ids_expand(io, from, &ids, e);
	size_t facts_at = from->key.len, state_at = facts_at + from->facts.len, ids_at = state_at + from->state.len;

	hold->max = 2 * MIB + ids.max;
	if (!rc)
		rc = buf_append(hold, from->key, e);
	if (!rc)
		rc = buf_append(hold, from->facts, e);
	if (!rc)
		rc = buf_append(hold, from->state, e);
	if (!rc)
		rc = buf_append(hold, buf_span(&ids), e);
	row->id_count = (uint32_t)(ids.len / sizeof(struct chunk_id));
	buf_release(&ids);
	if (rc)
		return rc;
	if (row->id_count < COLLECTION_REFS_FIXED)
		return err_set(e, ERR_CORRUPT, "collection row has no roots");
	row->shown.c.path = span_of(hold->ptr, from->key.len);
	row->facts = span_of(hold->ptr + facts_at, from->facts.len);
	row->ids = (struct chunk_id *)(void *)(hold->ptr + ids_at);
	row->roots = (struct page_roots){ row->ids[0], row->ids[1] };
	rc = collection_state_decode(span_of(hold->ptr + state_at, from->state.len), &row->state, e);
	if (!rc)
		rc = collection_facts_decode(row->facts, row->id_count, &row->shown.c, &row->attributes,
		                             &row->attribute_chunk, e);
	row->shown.items = row->state.items;
	row->shown.bytes = row->state.bytes;
	return rc;
}

static enum err_code table_grow(struct collection_table *t, size_t more, struct err *e)
{
	struct collection_row *rows = mem_grow(t->rows, (t->count + more) * sizeof *rows);
	struct buf *hold;

	if (!rows)
		return err_no_memory(e, (t->count + more) * sizeof *rows);
	t->rows = rows;
	hold = mem_grow(t->hold, (t->count + more) * sizeof *hold);
	if (!hold)
		return err_no_memory(e, (t->count + more) * sizeof *hold);
	t->hold = hold;
	memset(rows + t->count, 0, more * sizeof *rows);
	memset(hold + t->count, 0, more * sizeof *hold);
	return ERR_OK;
}

enum err_code collection_table_load(const struct chunk_io *io, const struct page_roots *roots,
                                    struct collection_table *out, struct err *e)
{
	struct collection_table t = COLLECTION_TABLE_EMPTY;
	struct page_list pages = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	enum err_code rc = page_list_load(io, roots, &pages, e);

	for (size_t p = 0; !rc && p < pages.count; p++) {
		rc = page_load(io, &pages.entries[p], PAGE_ALL, &page, e);
		if (!rc)
			rc = table_grow(&t, page.count, e);
		for (uint32_t i = 0; !rc && i < page.count; i++) {
			t.count++;
			rc = load_row(io, &page.rows[i], &t.rows[t.count - 1], &t.hold[t.count - 1], e);
		}
	}
	page_release(&page);
	page_list_release(&pages);
	if (rc) {
		collection_table_release(&t);
		return err_note(e, "while reading the list of collections");
	}
	*out = t;
	return ERR_OK;
}

void collection_table_release(struct collection_table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		mem_free(t->rows[i].attributes);
		mem_free(t->rows[i].attribute_chunk);
		buf_release(&t->rows[i].value_hold);
		buf_release(&t->hold[i]);
	}
	mem_free(t->rows);
	mem_free(t->hold);
	*t = COLLECTION_TABLE_EMPTY;
}

struct collection_row *collection_table_find(const struct collection_table *t, struct span path)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_compare(t->rows[middle].shown.c.path, path);

		if (order == 0)
			return &t->rows[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

enum err_code collection_attributes_load(const struct chunk_io *io, struct collection_table *t, size_t number,
                                         struct err *e)
{
	struct collection_row *row = &t->rows[number];
	struct buf value = BUF_EMPTY, all = BUF_WITH_MAX(256 * MIB);
	enum err_code rc = ERR_OK;

	if (row->attributes_loaded)
		return ERR_OK;
	/* Lengths first: the memory may move while it grows. */
	for (size_t i = 0; !rc && i < row->shown.c.attribute_count; i++) {
		if (!row->attribute_chunk[i])
			continue;
		rc = io->get(io->ctx, CLASS_ATTRIBUTE, &row->ids[row->attribute_chunk[i]], &value, e);
		if (!rc)
			rc = buf_append(&all, buf_span(&value), e);
		row->attributes[i].value = span_of(NULL, value.len);
	}
	if (!rc) {
		uint8_t *at = all.ptr;

		for (size_t i = 0; i < row->shown.c.attribute_count; i++)
			if (row->attribute_chunk[i]) {
				row->attributes[i].value.ptr = at;
				at += row->attributes[i].value.len;
			}
		row->attributes_loaded = true;
		row->value_hold = all;
		all = BUF_EMPTY;
	}
	buf_release(&value);
	buf_release(&all);
	return rc;
}

/* ---- item chunks ---- */

enum err_code item_chunk_encode(const struct item_stream *streams, size_t count, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u8(&w, ITEM_CHUNK_VERSION);
	wr_u8(&w, (uint8_t)count);
	for (size_t i = 0; i < count; i++) {
		wr_blob(&w, streams[i].name);
		wr_var(&w, streams[i].id_count);
		wr_bytes(&w, span_of(streams[i].ids, streams[i].id_count * sizeof(struct chunk_id)));
		wr_blob(&w, streams[i].recipe);
	}
	return wr_end(&w);
}

enum err_code item_chunk_decode(struct span plain, struct item_chunk *out, struct err *e)
{
	struct rd r = rd_of(plain);
	uint8_t version = rd_u8(&r);

	out->count = rd_u8(&r);
	if (!r.bad && version != ITEM_CHUNK_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "item chunk has version %u", version);
	if (r.bad || out->count == 0 || out->count > ITEM_STREAMS_MAX)
		return err_set(e, ERR_CORRUPT, "item chunk claims %zu streams", out->count);
	for (size_t i = 0; i < out->count; i++) {
		struct item_stream *s = &out->streams[i];
		uint64_t ids;

		s->name = rd_blob(&r, 255);
		ids = rd_var(&r);
		if (ids > REFS_PER_ITEM_MAX)
			return err_set(e, ERR_CORRUPT, "item chunk claims %llu parts", (unsigned long long)ids);
		s->id_count = (uint32_t)ids;
		s->ids = (const struct chunk_id *)(const void *)rd_take(&r, ids * sizeof(struct chunk_id)).ptr;
		s->recipe = rd_blob(&r, plain.len);
	}
	return rd_done(&r) ? ERR_OK : err_set(e, ERR_CORRUPT, "item chunk is cut short or damaged");
}
