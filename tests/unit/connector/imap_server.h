/*
 * imap_server: a small IMAP server in memory, strict about what it is told and faulty on request, behind the transport of a
 * client. It knows what a reading client needs (RFC 9051: CAPABILITY, AUTHENTICATE, LIST, LSUB, NOOP, STATUS, EXAMINE, UID FETCH, LOGOUT)
 * and counts everything else as an offence.
 */
#ifndef MAILHOLD_TESTS_IMAP_SERVER_H
#define MAILHOLD_TESTS_IMAP_SERVER_H

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "connector/imap/client.h"

struct served {
	uint32_t uid;
	const char *flags;
	struct buf body;
};

struct imap_server {
	const char *capabilities;
	uint32_t uid_validity, mod_seq;
	struct served messages[64];
	size_t count;
	/* faults */
	size_t cut_every;      /* closes the connection after so many bytes; 0: never */
	size_t cuts_left;      /* so often */
	size_t piece;          /* at most so many bytes a read; 0: all */
	uint32_t refuse_uid;   /* answers NO to what asks for it */
	uint32_t vanished_uid; /* lists it and does not give it */
	uint32_t nil_uid;      /* gives it as NIL */
	bool hides_last;       /* counts a message that it does not list */
	bool backwards;        /* gives messages in the other order, UID behind the body */
	bool chatter;          /* news nobody asked for, in between */
	bool literal8;
	const char *greeting; /* NULL: a good one */
	const char *listing;  /* instead of its answer to LIST; NULL: INBOX */
	/* state */
	struct buf in, out;
	size_t at, sent;
	bool examined;
	unsigned connections, offences, fetches, logins;
	uint32_t made_anew; /* UIDVALIDITY from the second connection on; 0: the same */
};

static inline void serve_add(struct imap_server *s, uint32_t uid, const char *flags, const char *body, size_t len)
{
	struct served *m = &s->messages[s->count++];
	struct err e;

	*m = (struct served){ .uid = uid, .flags = flags, .body = BUF_EMPTY };
	if (buf_append(&m->body, span_of(body, len), &e))
		abort();
}

static inline void serve_release(struct imap_server *s)
{
	for (size_t i = 0; i < s->count; i++)
		buf_release(&s->messages[i].body);
	buf_release(&s->in);
	buf_release(&s->out);
}

#define SAY(s, ...)                                                                                                    \
	do {                                                                                                           \
		struct err say_e;                                                                                      \
		if (buf_printf(&(s)->out, &say_e, __VA_ARGS__))                                                        \
			abort();                                                                                       \
	} while (0)

static inline bool in_set(const char *set, uint32_t uid, uint32_t last)
{
	while (*set) {
		char *end;
		unsigned long a = strtoul(set, &end, 10), b = a;

		if (*end == ':') {
			b = end[1] == '*' ? last : strtoul(end + 1, &end, 10);
			if (b == last && *end != ',' && *end != ' ' && *end)
				end = strpbrk(end, ", ");
			/* "9:*" is the last one, even if that is less (RFC 9051, seq-range). */
			if (b < a) {
				unsigned long swap = a;

				a = b;
				b = swap;
			}
		}
		if (uid >= a && uid <= b)
			return true;
		if (!end || *end != ',')
			return false;
		set = end + 1;
	}
	return false;
}

static inline void serve_body(struct imap_server *s, const struct served *m, const char *items)
{
	const char *part = strstr(items, "BODY.PEEK[]<");
	struct span body = buf_span(&m->body);
	struct err e;

	if (part) {
		char *dot;
		size_t from = strtoul(part + 12, &dot, 10), most = strtoul(dot + 1, NULL, 10);

		body = from < body.len ? span_first(span_skip(body, from), most) : SPAN_EMPTY;
		SAY(s, "BODY[]<%zu> {%zu}\r\n", from, body.len);
	} else if (m->uid == s->nil_uid) {
		SAY(s, "BODY[] NIL");
		return;
	} else {
		SAY(s, "BODY[] %s{%zu}\r\n", s->literal8 ? "~" : "", body.len);
	}
	if (buf_append(&s->out, body, &e))
		abort();
}

static inline void serve_message(struct imap_server *s, size_t i, const char *items)
{
	const struct served *m = &s->messages[i];

	if (s->chatter)
		SAY(s, "* %zu EXISTS\r\n* OK [X-NEWS (odd)] all is well\r\n* %zu FETCH (FLAGS (\\Seen))\r\n", s->count,
		    i + 1);
	SAY(s, "* %zu FETCH (", i + 1);
	if (!s->backwards)
		SAY(s, "UID %u ", m->uid);
	if (strstr(items, "FLAGS"))
		SAY(s, "FLAGS (%s) ", m->flags);
	if (strstr(items, "INTERNALDATE"))
		SAY(s, "INTERNALDATE \" 7-Feb-2024 10:11:12 +0130\" RFC822.SIZE %zu ", m->body.len);
	if (strstr(items, "BODY"))
		serve_body(s, m, items);
	if (s->backwards)
		SAY(s, " UID %u", m->uid);
	else
		SAY(s, " X-ODD (a (b \"c)\" {3}\r\n)()))");
	SAY(s, ")\r\n");
}

static inline void serve_fetch(struct imap_server *s, const char *tag, const char *rest)
{
	const char *items = strchr(rest, '(');
	uint32_t last = s->count ? s->messages[s->count - 1].uid : 0;
	bool bodies = items && strstr(items, "BODY");

	s->fetches++;
	if (!items || !s->examined || (bodies && !strstr(items, "BODY.PEEK["))) {
		s->offences++;
		SAY(s, "%s BAD what?\r\n", tag);
		return;
	}
	if (bodies && s->refuse_uid && in_set(rest, s->refuse_uid, last)) {
		SAY(s, "%s NO [SERVERBUG] cannot read it\r\n", tag);
		return;
	}
	for (size_t n = 0; n < s->count; n++) {
		size_t i = s->backwards ? s->count - 1 - n : n;

		if (!in_set(rest, s->messages[i].uid, last) || (bodies && s->messages[i].uid == s->vanished_uid) ||
		    (!bodies && s->hides_last && i + 1 == s->count))
			continue;
		serve_message(s, i, items);
	}
	SAY(s, "%s OK fetched\r\n", tag);
}

static inline uint32_t serve_validity(const struct imap_server *s)
{
	return s->made_anew && s->connections > 1 ? s->made_anew : s->uid_validity;
}

static inline void serve_line(struct imap_server *s, char *line)
{
	char *tag = line, *word = strchr(line, ' ');
	uint32_t next = s->count ? s->messages[s->count - 1].uid + 1 : 1;

	if (!word) {
		s->offences++;
		return;
	}
	*word++ = 0;
	if (!strcmp(word, "CAPABILITY")) {
		SAY(s, "* CAPABILITY IMAP4rev1 %s\r\n%s OK\r\n", s->capabilities, tag);
	} else if (!strncmp(word, "AUTHENTICATE PLAIN ", 19)) {
		s->logins++;
		SAY(s, "%s %s\r\n", tag,
		    !strcmp(word + 19, "AG51bgBnZWhlaW0=") ? "OK in" : "NO [AUTHENTICATIONFAILED] not you");
	} else if (!strncmp(word, "LIST ", 5)) {
		SAY(s, "%s%s OK\r\n", s->listing ? s->listing : "* LIST (\\HasNoChildren) \"/\" INBOX\r\n", tag);
	} else if (!strncmp(word, "LSUB ", 5) || !strcmp(word, "NOOP")) {
		SAY(s, "%s OK\r\n", tag);
	} else if (!strncmp(word, "STATUS ", 7)) {
		SAY(s, "* STATUS INBOX (MESSAGES %zu UIDNEXT %u UIDVALIDITY %u HIGHESTMODSEQ %u)\r\n%s OK\r\n",
		    s->count, next, serve_validity(s), s->mod_seq, tag);
	} else if (!strncmp(word, "EXAMINE ", 8)) {
		s->examined = true;
		SAY(s,
		    "* FLAGS (\\Seen)\r\n* %zu EXISTS\r\n* OK [UIDVALIDITY %u] v\r\n* OK [UIDNEXT %u] n\r\n"
		    "* OK [HIGHESTMODSEQ %u] m\r\n%s OK [READ-ONLY] open\r\n",
		    s->count, serve_validity(s), next, s->mod_seq, tag);
	} else if (!strncmp(word, "UID FETCH ", 10)) {
		serve_fetch(s, tag, word + 10);
	} else if (!strcmp(word, "LOGOUT")) {
		SAY(s, "* BYE\r\n%s OK\r\n", tag);
	} else {
		s->offences++;
		SAY(s, "%s BAD no\r\n", tag);
	}
}

static inline enum err_code serve_write(void *ctx, struct span bytes, struct err *e)
{
	struct imap_server *s = ctx;
	uint8_t *end;

	if (buf_append(&s->in, bytes, e))
		return e->code;
	while (s->in.len && (end = memchr(s->in.ptr, '\n', s->in.len))) {
		size_t n = (size_t)(end - s->in.ptr) + 1;
		char *line = strndup((const char *)s->in.ptr, n >= 2 ? n - 2 : 0);

		serve_line(s, line);
		free(line);
		memmove(s->in.ptr, s->in.ptr + n, s->in.len - n);
		s->in.len -= n;
	}
	return ERR_OK;
}

static inline void serve_hang_up(struct imap_server *s)
{
	buf_clear(&s->in);
	buf_clear(&s->out);
	s->at = 0;
	s->sent = 0;
	s->examined = false;
}

static inline enum err_code serve_read(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct imap_server *s = ctx;
	size_t left;

	(void)e;
	*got = 0;
	if (s->cut_every && s->cuts_left && s->sent >= s->cut_every) {
		s->cuts_left--;
		serve_hang_up(s);
		return ERR_OK;
	}
	left = s->out.len - s->at;
	if (!left && s->sent)
		return ERR_OK; /* nothing more to say: a client that waits here would wait for ever */
	if (!left) {
		s->connections++;
		SAY(s, "%s", s->greeting ? s->greeting : "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n");
		left = s->out.len - s->at;
	}
	if (left > len)
		left = len;
	if (s->piece && left > s->piece)
		left = s->piece;
	memcpy(dst, s->out.ptr + s->at, left);
	s->at += left;
	s->sent += left;
	*got = left;
	return ERR_OK;
}

#endif
