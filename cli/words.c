/* How snapshots and items are told, for people and as JSON. */
#include "command.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

enum { FROM_COLUMNS = 24, TITLE_COLUMNS = 40, FLAGS_COLUMNS = 6 };

struct hex_short snapshot_short(const struct snapshot_info *s)
{
	struct hex_short out;

	snprintf(out.text, sizeof out.text, "%.8s", s->id_hex);
	return out;
}

enum err_code snapshot_words(const struct snapshot_info *s, struct buf *out, struct err *e)
{
	enum err_code rc = buf_printf(out, e, "%s of ", snapshot_short(s).text);

	if (!rc && s->names_hidden)
		rc = buf_printf(out, e, "account %.8s", s->account_id_hex);
	else if (!rc)
		rc = output_safe(out, s->account, 0, NULL, e);
	return rc ? rc : buf_printf(out, e, ", %s", time_text(s->time_ms).text);
}

static json_t *words_array(struct span commas)
{
	json_t *array = json_array();

	while (array && commas.len) {
		const uint8_t *end = memchr(commas.ptr, ',', commas.len);
		size_t len = end ? (size_t)(end - commas.ptr) : commas.len;

		array_add_text(&array, span_first(commas, len));
		commas = span_skip(commas, end ? len + 1 : len);
	}
	return array;
}

struct row snapshot_row(const struct snapshot_info *s, const char *type)
{
	struct row r = row_new(type);

	row_cstr(&r, "id", s->id_hex);
	row_text(&r, "account", s->account);
	row_cstr(&r, "account_id", s->account_id_hex);
	row_time_zone(&r, "time", s->time_ms, s->zone_minutes);
	row_number(&r, "items", s->items);
	row_number(&r, "bytes", s->bytes);
	row_number(&r, "collections", s->collections);
	row_number(&r, "items_skipped", s->items_skipped);
	row_number(&r, "duration_ms", s->duration_ms < 0 ? 0 : (uint64_t)s->duration_ms);
	row_text(&r, "host", s->host);
	row_text(&r, "source", s->source);
	row_array(&r, "tags", words_array(s->tags));
	row_bool(&r, "partial", s->flags & ENGINE_SNAPSHOT_PARTIAL);
	row_bool(&r, "shrunk", s->flags & ENGINE_SNAPSHOT_SHRUNK);
	row_bool(&r, "gaps", s->flags & ENGINE_SNAPSHOT_GAPS);
	row_bool(&r, "copied", s->flags & ENGINE_SNAPSHOT_COPIED);
	row_bool(&r, "pinned", s->pinned);
	row_time(&r, "forgotten", s->forgotten_ms ? s->forgotten_ms : INT64_MIN);
	return r;
}

static struct span field(const struct view_item *item, uint32_t tag)
{
	struct span got;

	return fields_get(item->summary, tag, &got) ? got : SPAN_EMPTY;
}

struct item_words item_words(const struct view_item *item)
{
	return (struct item_words){ .title = field(item, SUMMARY_TITLE),
		                    .from = field(item, SUMMARY_FROM),
		                    .to = field(item, SUMMARY_TO),
		                    .message_id = field(item, SUMMARY_MESSAGE_ID),
		                    .files = field(item, SUMMARY_FILES),
		                    .place = field(item, SUMMARY_PLACE),
		                    .contact = field(item, SUMMARY_CONTACT) };
}

struct span item_flags(const struct view_item *item)
{
	struct span flags;

	return fields_get(item->state, STATE_FLAGS, &flags) ? flags : SPAN_EMPTY;
}

/* When it was written (a message) or takes place (an event); else when it came. */
static int64_t date_of(const struct view_item *item)
{
	uint64_t ms;

	if (fields_get_u64(item->summary, SUMMARY_DATE, &ms))
		return (int64_t)ms;
	return item->time_ms;
}

void item_line(struct line *l, const struct view_item *item)
{
	struct item_words w = item_words(item);

	line_printf(l, "%-16s  ", time_text(date_of(item)).text);
	line_cell(l, w.from.len ? w.from : w.contact, FROM_COLUMNS);
	line_cell(l, w.title, TITLE_COLUMNS);
	line_printf(l, "%10s  ", text_size(item->bytes).text);
	line_cell(l, item_flags(item), FLAGS_COLUMNS);
}

static json_t *names_array(struct span names)
{
	json_t *array = json_array();

	while (array && names.len) {
		const uint8_t *end = memchr(names.ptr, 0, names.len);
		size_t len = end ? (size_t)(end - names.ptr) : names.len;

		array_add_text(&array, span_first(names, len));
		names = span_skip(names, end ? len + 1 : len);
	}
	return array;
}

void item_row(struct row *r, const char *snapshot, struct span collection, const struct view_item *item)
{
	struct item_words w = item_words(item);
	char content[2 * ID_BYTES + 1];

	if (snapshot)
		row_place(r, "place", snapshot, collection, item->key);
	row_name(r, "collection", collection);
	row_name(r, "key", item->key);
	row_cstr(r, "kind", item_kind_name(item->kind));
	row_number(r, "bytes", item->bytes);
	row_time(r, "date", date_of(item));
	row_time(r, "received", item->time_ms);
	row_text(r, "flags", item_flags(item));
	if (snapshot) {
		text_hex(span_of(item->content.bytes, ID_BYTES), content);
		row_cstr(r, "content", content);
	}
	if (!item->summary.len)
		return;
	row_text(r, "from", w.from);
	row_text(r, "to", w.to);
	row_text(r, "title", w.title);
	row_text(r, "message_id", w.message_id);
	row_array(r, "files", names_array(w.files));
	if (w.place.len)
		row_text(r, "location", w.place);
	if (w.contact.len)
		row_text(r, "contact", w.contact);
}
