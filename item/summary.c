/*
 * Summaries, on the path of every new item: one pass over the header, nothing allocated but OUT.
 * Format   docs/format/summary.md.
 */
#include "base/num.h"
#include "base/text.h"
#include "item.h"
#include "mime/mime.h"

/* Limits of the fields; together with tags and lengths they stay under SUMMARY_BYTES_MAX. */
#define TITLE_MAX   512
#define FROM_MAX    256
#define TO_MAX      1024
#define ID_MAX      256
#define FILES_MAX   1024
#define PLACE_MAX   256
#define CONTACT_MAX 512
#define VALUE_MAX   (4 * KIB) /* so much of a value is read */

/* A small text with its own room; as a buf it never grows. */
#define ROOM(n)                                                                                                        \
	struct {                                                                                                       \
		size_t len;                                                                                            \
		uint8_t room[n];                                                                                       \
	}

struct summary {
	bool has_date, has_zone, has_end, end_is_due, to_cut;
	int64_t date_ms, end_ms;
	int16_t zone;
	uint32_t to_count;
	enum item_kind kind;
	ROOM(TITLE_MAX + 1) title;
	ROOM(FROM_MAX + 1) from;
	ROOM(TO_MAX + 1) to;
	ROOM(ID_MAX + 1) id;
	ROOM(FILES_MAX) files;
	ROOM(PLACE_MAX + 1) place;
	ROOM(CONTACT_MAX + 1) contact;
};

/* Appends the text of VALUE at *LEN of ROOM, whose size is MAX + 1. What does not fit is left out. */
static void text_put(uint8_t *room, size_t *len, size_t max, struct span value)
{
	struct buf b = { room, *len, max + 1, max + 1 };
	struct err e;

	if (*len < max && !mime_text(span_first(value, VALUE_MAX), max - *len, &b, &e))
		*len = b.len;
}

/* As text_put, after ", " when something stands there. */
static void list_put(uint8_t *room, size_t *len, size_t max, struct span value)
{
	size_t before = *len, start;

	if (before + 2 >= max)
		return;
	if (before) {
		memcpy(room + before, ", ", 2);
		*len += 2;
	}
	start = *len;
	text_put(room, len, max, value);
	if (*len == start)
		*len = before;
}

#define PUT(field, value) text_put((field).room, &(field).len, sizeof(field).room - 1, value)
#define PUT_FIRST(field, value)                                                                                        \
	do {                                                                                                           \
		if ((field).len == 0)                                                                                  \
			PUT(field, value);                                                                             \
	} while (0)
#define PUT_LIST(field, value) list_put((field).room, &(field).len, sizeof(field).room - 1, value)

/* ---- mail ---- */

/* Addresses in a list: separators outside quotes, comments and angle brackets. */
static uint32_t count_addresses(struct span s)
{
	bool quoted = false, any = false;
	uint32_t count = 0;
	unsigned depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c == '(')
			depth++;
		else if (!quoted && c == ')' && depth)
			depth--;
		if (c > ' ' && c != ',' && c != ';')
			any = true;
		if (any && !quoted && !depth && (c == ',' || c == ';')) {
			count++;
			any = false;
		}
	}
	return count + any;
}

/* A list is cut when its end is not there: the text is full, or the value was longer than what was read. */
static void recipients_put(struct summary *s, struct span value)
{
	s->to_count += count_addresses(value);
	PUT_LIST(s->to, value);
	if (s->to.len + 8 > TO_MAX || value.len > VALUE_MAX)
		s->to_cut = true;
}

static struct span without_brackets(struct span v)
{
	const uint8_t *open = v.len ? memchr(v.ptr, '<', v.len) : NULL, *close;

	if (!open)
		return v;
	v = span_skip(v, (size_t)(open + 1 - v.ptr));
	close = v.len ? memchr(v.ptr, '>', v.len) : NULL;
	return close ? span_first(v, (size_t)(close - v.ptr)) : v;
}

static bool is_name(struct span name, const char *lower)
{
	return text_equal_nocase(name, span_cstr(lower));
}

static void mail_field(struct summary *s, const struct mime_field *f)
{
	switch (text_lower(f->name.ptr[0])) {
	case 'b':
		if (is_name(f->name, "bcc"))
			recipients_put(s, f->value);
		break;
	case 'c':
		if (is_name(f->name, "cc"))
			recipients_put(s, f->value);
		break;
	case 'd':
		if (!s->has_date && is_name(f->name, "date"))
			s->has_date = s->has_zone = mime_date(span_first(f->value, 256), &s->date_ms, &s->zone);
		break;
	case 'f':
		if (is_name(f->name, "from"))
			PUT_FIRST(s->from, f->value);
		break;
	case 'm':
		if (is_name(f->name, "message-id"))
			PUT_FIRST(s->id, without_brackets(f->value));
		break;
	case 's':
		if (is_name(f->name, "subject"))
			PUT_FIRST(s->title, f->value);
		break;
	case 't':
		if (is_name(f->name, "to"))
			recipients_put(s, f->value);
		break;
	default:
		break;
	}
}

static enum err_code file_found(void *ctx, struct span name, struct err *e)
{
	struct summary *s = ctx;

	(void)e;
	if (name.len + 1 <= sizeof s->files.room - s->files.len) {
		memcpy(s->files.room + s->files.len, name.ptr, name.len);
		s->files.len += name.len;
		s->files.room[s->files.len++] = 0;
	}
	return ERR_OK;
}

static enum err_code mail_read(struct summary *s, struct span head, struct span text, struct err *e)
{
	struct mime_fields it = mime_fields_of(head);
	struct mime_field field;

	while (mime_fields_next(&it, &field))
		mail_field(s, &field);
	return mime_part_names(text, file_found, s, e);
}

/* ---- vCard and iCalendar ---- */

/* Takes RFC 6350 backslashes away: "\n" is white space, others stand for what follows. */
static struct span unescape(struct span value, uint8_t *room, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < value.len && n < max; i++) {
		uint8_t c = value.ptr[i];

		if (c == '\\' && i + 1 < value.len) {
			c = value.ptr[++i];
			c = c == 'n' || c == 'N' ? ' ' : c;
		}
		room[n++] = c;
	}
	return span_of(room, n);
}

static void card_line(struct summary *s, const struct vobject_line *line)
{
	uint8_t room[1024];
	struct span value = unescape(line->value, room, sizeof room);

	if (is_name(line->name, "fn"))
		PUT_FIRST(s->title, value);
	else if (is_name(line->name, "uid"))
		PUT_FIRST(s->id, value);
	else if (is_name(line->name, "email") || is_name(line->name, "tel"))
		PUT_LIST(s->contact, value);
}

/* "mailto:a@b" with its CN parameter: "Name <a@b>". */
static struct span address_of(const struct vobject_line *line, uint8_t *room, size_t max)
{
	struct span value = line->value, params = line->params, name = SPAN_EMPTY;
	struct buf b = { room, 0, max, max };
	struct err e;

	if (value.len >= 7 && text_equal_nocase(span_first(value, 7), SPAN_LIT("mailto:")))
		value = span_skip(value, 7);
	while (params.len >= 3 && !text_equal_nocase(span_first(params, 3), SPAN_LIT("cn="))) {
		const uint8_t *next = memchr(params.ptr, ';', params.len);

		params = next ? span_skip(params, (size_t)(next + 1 - params.ptr)) : SPAN_EMPTY;
	}
	if (params.len > 3) {
		uint8_t stop = params.ptr[3] == '"' ? '"' : ';';
		const uint8_t *end;

		name = span_skip(params, stop == '"' ? 4 : 3);
		end = name.len ? memchr(name.ptr, stop, name.len) : NULL;
		if (end)
			name.len = (size_t)(end - name.ptr);
	}
	if (!name.len || buf_append(&b, name, &e) || buf_append(&b, SPAN_LIT(" <"), &e) || buf_append(&b, value, &e) ||
	    buf_append(&b, SPAN_LIT(">"), &e))
		return value;
	return buf_span(&b);
}

static void event_time(struct summary *s, const struct vobject_line *line)
{
	int64_t time;

	if (!vobject_time(line->value, &time))
		return;
	if (is_name(line->name, "dtstart") || (is_name(line->name, "due") && !s->has_date)) {
		s->date_ms = time;
		s->has_date = true;
		s->has_zone = line->value.ptr[line->value.len - 1] == 'Z';
		s->zone = 0;
	} else if (is_name(line->name, "dtend") || is_name(line->name, "completed")) {
		s->end_ms = time;
		s->has_end = true;
	}
}

static void event_line(struct summary *s, const struct vobject_line *line)
{
	uint8_t room[1024];
	struct span value = unescape(line->value, room, sizeof room);

	switch (line->name.ptr[0]) {
	case 'A':
		if (is_name(line->name, "attendee")) {
			s->to_count++;
			PUT_LIST(s->to, address_of(line, room, sizeof room));
			s->to_cut = s->to.len + 8 > TO_MAX;
		}
		break;
	case 'C':
	case 'D':
		event_time(s, line);
		break;
	case 'L':
		if (is_name(line->name, "location"))
			PUT_FIRST(s->place, value);
		break;
	case 'O':
		if (is_name(line->name, "organizer"))
			PUT_FIRST(s->from, address_of(line, room, sizeof room));
		break;
	case 'S':
		if (is_name(line->name, "summary"))
			PUT_FIRST(s->title, value);
		break;
	case 'U':
		if (is_name(line->name, "uid"))
			PUT_FIRST(s->id, value);
		break;
	default:
		break;
	}
}

/* The kind of a calendar component; 0 for what is none of ours (VTIMEZONE, VALARM …). */
static int component_kind(struct span name)
{
	if (is_name(name, "vevent"))
		return KIND_EVENT;
	if (is_name(name, "vtodo"))
		return KIND_TASK;
	return is_name(name, "vjournal") ? KIND_NOTE : 0;
}

/* The first card, or the first component that says something; what is nested in it (alarms) is passed over. */
static enum err_code vobject_read(struct summary *s, bool card, struct span head, struct err *e)
{
	struct vobject_lines it = vobject_lines_of(head);
	struct vobject_line line;
	unsigned depth = 0; /* of what is taken: 1 is the component itself */
	bool more = true, done = false;
	enum err_code rc = ERR_OK;

	while (!done) {
		rc = vobject_lines_next(&it, &line, &more, e);
		if (rc || !more)
			break;
		if (is_name(line.name, "begin")) {
			int kind = component_kind(line.value);

			if (depth || kind || (card && is_name(line.value, "vcard")))
				depth++;
			if (depth == 1 && kind)
				s->kind = (enum item_kind)kind;
		} else if (depth && is_name(line.name, "end")) {
			depth--;
			done = depth == 0;
		} else if (depth == 1 && card) {
			card_line(s, &line);
		} else if (depth == 1) {
			event_line(s, &line);
		}
	}
	vobject_lines_release(&it);
	return rc;
}

/* ---- out ---- */

static enum err_code add_text(struct buf *out, uint32_t tag, const uint8_t *room, size_t len, struct err *e)
{
	return len ? fields_add(out, tag, span_of(room, len), e) : ERR_OK;
}

static enum err_code summary_encode(const struct summary *s, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (s->has_date)
		rc = fields_add_u64(out, SUMMARY_DATE, (uint64_t)s->date_ms, 8, e);
	if (!rc && s->has_zone)
		rc = fields_add_u64(out, SUMMARY_ZONE, (uint16_t)s->zone, 2, e);
	if (!rc)
		rc = add_text(out, SUMMARY_TITLE, s->title.room, s->title.len, e);
	if (!rc)
		rc = add_text(out, SUMMARY_FROM, s->from.room, s->from.len, e);
	if (!rc)
		rc = add_text(out, SUMMARY_TO, s->to.room, s->to.len, e);
	if (!rc)
		rc = add_text(out, SUMMARY_MESSAGE_ID, s->id.room, s->id.len, e);
	if (!rc)
		rc = add_text(out, SUMMARY_FILES, s->files.room, s->files.len, e);
	if (!rc && s->has_end)
		rc = fields_add_u64(out, SUMMARY_END, (uint64_t)s->end_ms, 8, e);
	if (!rc)
		rc = add_text(out, SUMMARY_PLACE, s->place.room, s->place.len, e);
	if (!rc)
		rc = add_text(out, SUMMARY_CONTACT, s->contact.room, s->contact.len, e);
	if (!rc)
		rc = fields_add_u64(out, SUMMARY_KIND, s->kind, 1, e);
	if (!rc && s->to_cut)
		rc = fields_add_u64(out, SUMMARY_TO_COUNT, s->to_count, 4, e);
	return rc;
}

/* The texts are set by their lengths alone; clearing the rooms would cost more than reading a header. */
static void summary_init(struct summary *s, enum item_kind kind)
{
	s->has_date = s->has_zone = s->has_end = s->to_cut = false;
	s->to_count = 0;
	s->kind = kind;
	s->title.len = s->from.len = s->to.len = s->id.len = s->files.len = s->place.len = s->contact.len = 0;
}

enum err_code summary_make(enum item_kind kind, struct span head, struct span text, struct buf *out, struct err *e)
{
	struct summary s;
	enum err_code rc = ERR_OK;

	summary_init(&s, kind);
	switch (kind) {
	case KIND_MAIL:
		rc = mail_read(&s, head, text, e);
		break;
	case KIND_CONTACT:
		rc = vobject_read(&s, true, head, e);
		break;
	case KIND_EVENT:
	case KIND_TASK:
	case KIND_NOTE:
		rc = vobject_read(&s, false, head, e);
		break;
	default: /* scripts, settings and other files have no words of their own to show */
		break;
	}
	return rc ? rc : summary_encode(&s, out, e);
}

/* ---- kinds ---- */

static bool starts_nocase(struct span s, struct span prefix)
{
	return s.len >= prefix.len && text_equal_nocase(span_first(s, prefix.len), prefix);
}

static bool ends_nocase(struct span s, struct span suffix)
{
	return s.len >= suffix.len && text_equal_nocase(span_skip(s, s.len - suffix.len), suffix);
}

static struct span after_blanks(struct span s)
{
	while (s.len && (s.ptr[0] == ' ' || (s.ptr[0] >= '\t' && s.ptr[0] <= '\r')))
		s = span_skip(s, 1);
	return s;
}

/* What the first component in a calendar is; events are the most common answer. */
static enum item_kind calendar_kind(struct span head)
{
	while (head.len) {
		const uint8_t *lf = memchr(head.ptr, '\n', head.len);
		struct span line = span_first(head, lf ? (size_t)(lf - head.ptr) : head.len);

		if (starts_nocase(line, SPAN_LIT("begin:v"))) {
			int kind;

			while (line.len && line.ptr[line.len - 1] <= ' ')
				line.len--;
			kind = component_kind(span_skip(line, 6));
			if (kind)
				return (enum item_kind)kind;
		}
		head = span_skip(head, line.len + 1);
	}
	return KIND_EVENT;
}

/* "require [" or "require \"" behind comments; a script may also begin with a test. */
static bool is_sieve(struct span s)
{
	for (s = after_blanks(s); s.len && s.ptr[0] == '#'; s = after_blanks(s)) {
		const uint8_t *lf = memchr(s.ptr, '\n', s.len);

		s = lf ? span_skip(s, (size_t)(lf - s.ptr)) : SPAN_EMPTY;
	}
	if (!starts_nocase(s, SPAN_LIT("require")))
		return false;
	s = after_blanks(span_skip(s, 7));
	return s.len && (s.ptr[0] == '[' || s.ptr[0] == '"');
}

/* Two fields at the start, one of them a field that mail has and other "Name: value" files do not. */
static bool is_mail(struct span head)
{
	static const char *const known[] = { "received",     "return-path",    "from", "date",
		                             "message-id",   "subject",        "to",   "delivered-to",
		                             "mime-version", "x-envelope-from" };
	struct mime_fields it;
	struct mime_field field;
	int seen = 0, mail = 0;

	if (span_starts(head, SPAN_LIT("From ")) || span_starts(head, SPAN_LIT(">From "))) {
		const uint8_t *lf = memchr(head.ptr, '\n', head.len);

		head = lf ? span_skip(head, (size_t)(lf + 1 - head.ptr)) : SPAN_EMPTY;
	}
	if (!head.len || head.ptr[0] <= ' ')
		return false;
	it = mime_fields_of(span_first(head, 64 * KIB));
	for (; seen < 32 && mime_fields_next(&it, &field); seen++) {
		if (seen == 0 && field.name.ptr != head.ptr)
			return false; /* the very first line is none */
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			mail += is_name(field.name, known[i]);
	}
	return seen >= 2 && mail >= 1;
}

enum item_kind item_kind_guess(struct span name, struct span head)
{
	struct span start = after_blanks(span_starts(head, SPAN_LIT("\xef\xbb\xbf")) ? span_skip(head, 3) : head);

	if (ends_nocase(name, SPAN_LIT(".eml")))
		return KIND_MAIL;
	if (ends_nocase(name, SPAN_LIT(".vcf")) || ends_nocase(name, SPAN_LIT(".vcard")))
		return KIND_CONTACT;
	if (ends_nocase(name, SPAN_LIT(".ics")) || ends_nocase(name, SPAN_LIT(".ical")))
		return calendar_kind(head);
	if (ends_nocase(name, SPAN_LIT(".sieve")) || ends_nocase(name, SPAN_LIT(".siv")))
		return KIND_RULE;
	if (starts_nocase(start, SPAN_LIT("begin:vcalendar")))
		return calendar_kind(head);
	if (starts_nocase(start, SPAN_LIT("begin:vcard")))
		return KIND_CONTACT;
	if (is_sieve(start))
		return KIND_RULE;
	return is_mail(head) ? KIND_MAIL : KIND_OTHER;
}
