#include "imap_sink_internal.h"

#include <stdlib.h>

#include "base/text.h"
#include "mime/mime.h"

#define FLAG_WORDS  256
#define DATE_S_LAST 253402300799 /* the end of the year 9999 */

/* ---- flags ---- */

struct words {
	struct span list[FLAG_WORDS];
	size_t count;
	bool lost; /* one that cannot be kept */
};

static int compare_words(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_compare(*x, *y);
}

/* An atom, or a '\' and one. */
static bool is_flag(struct span word)
{
	for (size_t i = 0; i < word.len; i++) {
		uint8_t c = word.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"]", c) || (c == '\\' && i))
			return false;
	}
	return word.len > (word.len && word.ptr[0] == '\\');
}

static bool is_kept(const struct outbox_folder *f, struct span word)
{
	struct span list = buf_span(&f->permanent);

	if (f->any_keyword || !word.len)
		return true;
	for (size_t i = 0; i + word.len <= list.len; i++)
		if (text_equal_nocase(span_of(list.ptr + i, word.len), word) &&
		    (i + word.len == list.len || strchr(" )", list.ptr[i + word.len])))
			return true;
	return false;
}

static void add_word(struct words *w, const struct outbox_folder *f, struct span word)
{
	if (text_equal_nocase(word, SPAN_LIT("\\Recent")))
		return;
	if (!is_flag(word) || w->count == FLAG_WORDS || !is_kept(f, word))
		w->lost = true;
	else
		w->list[w->count++] = word;
}

/* Dovecot keeps the names of keywords a, b … in a file beside the mail: "0 $Label". */
static struct span keyword_of_letter(const struct sink_folder *f, uint8_t letter)
{
	struct span text = buf_span(&f->keywords);

	while (text.len) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len), *space;
		struct span line = span_first(text, end ? (size_t)(end - text.ptr) : text.len);
		uint64_t number;

		text = span_skip(text, line.len + 1);
		space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
		if (space && text_number(span_first(line, (size_t)(space - line.ptr)), 25, &number) &&
		    number + 'a' == letter)
			return span_skip(line, (size_t)(space - line.ptr) + 1);
	}
	return SPAN_EMPTY;
}

static void add_letter(struct words *w, const struct sink_folder *f, uint8_t letter)
{
	static const struct {
		uint8_t letter;
		const char *flag;
	} known[] = { { 'D', "\\Draft" },    { 'F', "\\Flagged" }, { 'P', "$Forwarded" },
		      { 'R', "\\Answered" }, { 'S', "\\Seen" },    { 'T', "\\Deleted" } };
	struct span keyword;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].letter == letter) {
			add_word(w, &f->box, span_cstr(known[i].flag));
			return;
		}
	keyword = keyword_of_letter(f, letter);
	if (keyword.len)
		add_word(w, &f->box, keyword);
	else
		w->lost = true;
}

/* A Maildir's letters (its items have a place: new or cur), or IMAP's words. */
enum err_code imap_sink_flags(struct imap_sink *s, const struct sink_folder *f, const struct item_out *item,
                              struct err *e)
{
	struct words w = { .count = 0 };
	struct span flags = SPAN_EMPTY;
	uint64_t place;
	enum err_code rc = ERR_OK;

	fields_get(item->state, STATE_FLAGS, &flags);
	if (fields_get_u64(item->state, STATE_PLACE, &place)) {
		for (size_t i = 0; i < flags.len; i++)
			add_letter(&w, f, flags.ptr[i]);
	} else {
		while (flags.len) {
			const uint8_t *space = memchr(flags.ptr, ' ', flags.len);
			size_t n = space ? (size_t)(space - flags.ptr) : flags.len;

			if (n)
				add_word(&w, &f->box, span_first(flags, n));
			flags = span_skip(flags, n + 1);
		}
	}
	if (w.count)
		qsort(w.list, w.count, sizeof *w.list, compare_words);
	buf_clear(&s->flags);
	for (size_t i = 0; !rc && i < w.count; i++) {
		if (i)
			rc = buf_append(&s->flags, SPAN_LIT(" "), e);
		if (!rc)
			rc = buf_append(&s->flags, w.list[i], e);
	}
	s->flags_lost = w.lost;
	return rc;
}

/* ---- dates ---- */

static bool usable_date(int64_t date_s)
{
	return date_s >= 0 && date_s <= DATE_S_LAST;
}

int64_t imap_sink_date(const struct item_out *item, struct span head, int64_t header_ms, int16_t *zone)
{
	uint64_t value;
	struct mime_fields fields = mime_fields_of(span_first(head, mime_header_length(head)));
	struct mime_field field;
	int64_t date_s;

	*zone = 0;
	if (fields_get_u64(item->facts, FACT_TIME, &value)) {
		date_s = (int64_t)value / 1000000000 - ((int64_t)value % 1000000000 < 0);
		if (fields_get_u64(item->facts, FACT_ZONE, &value))
			*zone = (int16_t)value;
		if (*zone <= -24 * 60 || *zone >= 24 * 60)
			*zone = 0;
		return usable_date(date_s) ? date_s : THERE_NO_DATE;
	}
	while (header_ms == INT64_MIN && mime_fields_next(&fields, &field))
		if (text_equal_nocase(field.name, SPAN_LIT("Date")) && !mime_date(field.value, &header_ms, zone))
			break;
	if (header_ms == INT64_MIN || !usable_date(header_ms / 1000))
		return THERE_NO_DATE;
	return header_ms / 1000;
}
