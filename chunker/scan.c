#include "scan.h"
#include "base/num.h"
#include "base64.h"

#define LINE_LOOK (WRAP_LINE_MAX + 3)                        /* a line with its fold and line end */
#define CHARS_MIN ((CHUNKER_BASE64_DECODED_MIN + 2) / 3 * 4) /* characters of the shortest run */

static bool is_fold(uint8_t c)
{
	return c == ' ' || c == '\t';
}

bool scan_last_line(const uint8_t *p, const uint8_t *end, bool final, size_t max, size_t *chars, size_t *pads)
{
	size_t n = num_min((size_t)(end - p), max);
	size_t v = base64_span(p, n), k = 0;

	while (v + k < n && k < 2 && p[v + k] == '=')
		k++;
	if (v + k == 0 || (!(final && p + v + k == end) && !scan_line_end(p + v + k, end)))
		return false;
	*chars = v;
	*pads = k;
	return true;
}

/* What a look at the first SCAN_PROBE bytes of a would-be run found. */
struct probe {
	struct wrap wrap;
	const uint8_t *seen; /* behind the last canonical line, or character, that was looked at */
	size_t chars;        /* characters and padding up to there */
	uint64_t values;     /* which of the 64 characters occur */
};

static void probe_take(struct probe *pr, const uint8_t *p, size_t chars)
{
	for (size_t i = 0; i < chars; i++)
		pr->values |= (uint64_t)1 << (base64_value[p[i]] & 63);
	pr->chars += chars;
	pr->seen = p + chars;
}

static bool probe_good(const struct probe *pr)
{
	return pr->chars >= CHARS_MIN && __builtin_popcountll(pr->values) >= SCAN_DISTINCT_MIN;
}

/* Further lines of a run whose first line and wrapping are known. Q is behind the line end of the first. */
static void probe_lines(struct probe *pr, const uint8_t *q, const uint8_t *end, bool final)
{
	const struct wrap *wrap = &pr->wrap;
	size_t eol = wrap->crlf ? 2 : 1;

	for (;;) {
		size_t v, pads;

		if (wrap->prefix) {
			if (q >= end || *q != wrap->prefix)
				return;
			q++;
		}
		v = base64_span(q, num_min((size_t)(end - q), wrap->line));
		if (v == wrap->line && scan_line_end(q + v, end) == eol) {
			probe_take(pr, q, v);
			q += v + eol;
			pr->seen = q;
			continue;
		}
		if (scan_last_line(q, end, final, wrap->line, &v, &pads)) {
			probe_take(pr, q, v);
			pr->chars += pads;
			pr->seen += pads;
			pr->seen += scan_line_end(pr->seen, end);
		}
		return;
	}
}

/*
 * Looks at a would-be run that begins at S. INSIDE: S is in the middle of its first line, which is then shorter than
 * the others and belongs to folded lines only. True: take it. Else OUT->seen tells how far the look went.
 */
static bool probe_run(const uint8_t *s, const struct scan_window *w, bool inside, struct probe *out)
{
	bool whole = w->final && w->end - s <= (ptrdiff_t)SCAN_PROBE;
	const uint8_t *end = s + num_min((size_t)(w->end - s), SCAN_PROBE);
	size_t v = base64_span(s, (size_t)(end - s)), eol, line;
	const uint8_t *q = s + v;

	*out = (struct probe){ .seen = s };
	probe_take(out, s, v);
	if (v > WRAP_LINE_MAX) { /* one long line */
		for (; q < end && *q == '=' && out->chars < v + 2; q++)
			out->chars++;
		return probe_good(out);
	}
	eol = scan_line_end(q, end);
	if (!eol || v == 0 || (v < WRAP_LINE_MIN && !inside))
		return false;
	q += eol;
	out->seen = q;
	if (q < end && is_fold(*q))
		out->wrap.prefix = *q;
	else if (inside)
		return false;
	line = v;
	if (out->wrap.prefix)
		line = base64_span(q + 1, num_min((size_t)(end - q - 1), WRAP_LINE_MAX + 1));
	if (line < WRAP_LINE_MIN || line > WRAP_LINE_MAX)
		return false;
	out->wrap.first = (uint16_t)v;
	out->wrap.line = (uint16_t)line;
	out->wrap.crlf = eol == 2;
	probe_lines(out, q, end, whole);
	return probe_good(out);
}

/* At least WRAP_LINE_MIN characters at P, without looking further. */
static bool begins_base64(const uint8_t *p, const uint8_t *end)
{
	return end - p >= WRAP_LINE_MIN && base64_span(p, WRAP_LINE_MIN) == WRAP_LINE_MIN;
}

/* "PHOTO;ENCODING=b:/9j/4AAQ": where the characters behind the last ':' or ',' begin; NULL when there are none. */
static const uint8_t *value_start(const uint8_t *line, const uint8_t *eol)
{
	const uint8_t *s = eol;

	while (s > line && base64_value[s[-1]] < 64)
		s--;
	return s < eol && s > line && (s[-1] == ':' || s[-1] == ',') ? s : NULL;
}

/* The first ':' or ',' in [p, end), or END. NEXT caches the places of both, so that all calls together are linear. */
struct separators {
	const uint8_t *next[2];
};

static const uint8_t *separator_next(struct separators *s, const uint8_t *p, const uint8_t *end)
{
	for (int i = 0; i < 2; i++) {
		if (!s->next[i] || s->next[i] < p)
			s->next[i] = memchr(p, i ? ',' : ':', (size_t)(end - p));
		if (!s->next[i])
			s->next[i] = end;
	}
	return s->next[0] < s->next[1] ? s->next[0] : s->next[1];
}

/* The rest of a line: only a run in one long piece can begin here, behind a ':' or ','. */
static bool scan_in_line(struct scan_window *w, bool *in_line, struct wrap *wrap)
{
	const uint8_t *eol = memchr(w->p, '\n', (size_t)(w->end - w->p));
	const uint8_t *stop = eol ? eol : w->end;
	struct separators separators = { { NULL, NULL } };
	struct probe pr;

	while (w->p < stop) {
		const uint8_t *at = separator_next(&separators, w->p, stop);

		w->p = at;
		if (at == stop)
			break;
		if (!w->final && w->end - at < (ptrdiff_t)SCAN_LOOK)
			return false;
		w->p = at + 1;
		if (!begins_base64(at + 1, stop))
			continue;
		if (probe_run(at + 1, w, true, &pr) && !pr.wrap.line) {
			*wrap = pr.wrap;
			return true;
		}
		w->p = pr.wrap.line || pr.seen > stop ? stop : pr.seen;
	}
	if (eol) {
		w->p = eol + 1;
		*in_line = false;
	}
	return false;
}

/* A run that begins at or inside the line at W->p, which ends at EOL (the LF). Moves W->p to it, or past the line. */
static bool scan_line(struct scan_window *w, const uint8_t *eol, struct wrap *wrap)
{
	const uint8_t *p = w->p, *s = p + is_fold(*p), *next = eol + 1;
	const uint8_t *text_end = eol > p && eol[-1] == '\r' ? eol - 1 : eol;
	struct probe pr;
	bool inside = false;

	w->p = next;
	if (!begins_base64(s, text_end)) {
		if (next >= w->end || !is_fold(*next) || !begins_base64(next + 1, w->end))
			return false;
		s = value_start(p, text_end);
		if (!s)
			return false;
		inside = true;
	}
	if (probe_run(s, w, inside, &pr)) {
		w->p = s;
		*wrap = pr.wrap;
		return true;
	}
	if (pr.seen > next)
		w->p = pr.seen; /* looked at and refused: it stays text, nothing is looked at a third time */
	return false;
}

bool scan_text(struct scan_window *w, bool *in_line, struct wrap *wrap)
{
	while (w->p < w->end && (w->final || w->end - w->p >= (ptrdiff_t)SCAN_LOOK)) {
		size_t look = num_min((size_t)(w->end - w->p), LINE_LOOK);
		const uint8_t *eol;
		struct probe pr;

		if (*in_line) {
			if (scan_in_line(w, in_line, wrap))
				return true;
			if (*in_line && !w->final)
				return false; /* the window, or what of it may be decided, is used up */
			continue;
		}
		eol = memchr(w->p, '\n', look);
		if (eol) {
			if (scan_line(w, eol, wrap))
				return true;
			continue;
		}
		*in_line = true;
		w->p += is_fold(*w->p);
		if (probe_run(w->p, w, true, &pr) && !pr.wrap.line) {
			*wrap = pr.wrap;
			return true;
		}
		w->p = pr.seen < w->p + look ? pr.seen : w->p + look;
	}
	return false;
}
