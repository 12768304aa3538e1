/*
 * fuzz_imap: whatever a server sends, the client reads it to an end: login, folders, a listing, bodies. The input is all that
 * the server ever says, in pieces of the size in its first byte.
 */
#include <stdio.h>
#include <stdlib.h>

#include "connector/imap/imap_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct said {
	struct span left;
	size_t piece;
};

static enum err_code say(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct said *s = ctx;

	(void)e;
	*got = s->left.len < len ? s->left.len : len;
	if (*got > s->piece)
		*got = s->piece;
	if (*got)
		memcpy(dst, s->left.ptr, *got);
	s->left = span_skip(s->left, *got);
	return ERR_OK;
}

static enum err_code hear(void *ctx, struct span bytes, struct err *e)
{
	(void)ctx;
	(void)bytes;
	(void)e;
	return ERR_OK;
}

static uint8_t sink[4096];

static enum err_code stream(void *ctx, struct span name, uint64_t bytes, struct err *e)
{
	(void)ctx;
	(void)name;
	(void)bytes;
	(void)e;
	return ERR_OK;
}

static enum err_code space(void *ctx, size_t wanted, uint8_t **dst, size_t *got, struct err *e)
{
	(void)ctx;
	(void)e;
	*dst = sink;
	*got = wanted < sizeof sink ? wanted : sizeof sink;
	return ERR_OK;
}

static enum err_code add(void *ctx, size_t written, struct err *e)
{
	(void)ctx;
	(void)e;
	if (written > sizeof sink)
		abort();
	return ERR_OK;
}

static void read_listing(struct item_source *s, size_t c, const struct item_listing *l)
{
	const struct item_receiver to = { NULL, stream, space, add };
	size_t count = s->ops->listing_count(l);
	struct buf facts = BUF_EMPTY;
	struct item_entry entry, before = { 0 };
	struct err e;

	for (size_t i = 0; i < count; i++) {
		s->ops->listing_get(l, i, &entry);
		if (!fields_check(entry.state) || (i && span_compare(before.key, entry.key) >= 0))
			abort();
		before = entry;
		if (i >= 8)
			continue;
		(void)!s->ops->ahead(s, c, l, &entry.place, 1, i % 2, &e);
		buf_clear(&facts);
		if (!s->ops->fetch(s, c, l, entry.place, &to, &facts, &e) && !fields_check(buf_span(&facts)))
			abort();
	}
	buf_release(&facts);
}

/* What was kept: three messages of the mailbox that the cursor is of. */
static enum err_code each_known(void *ctx,
                                enum err_code (*got)(void *to, struct span key, struct span state, struct err *e),
                                void *to, struct err *e)
{
	enum err_code rc = ERR_OK;

	(void)ctx;
	for (unsigned uid = 1; !rc && uid <= 3; uid++) {
		char key[32];

		snprintf(key, sizeof key, "0000000007.%010u", uid);
		rc = got(to, span_cstr(key), SPAN_EMPTY, e);
	}
	return rc;
}

/* As an earlier run would have left it: UIDVALIDITY 7, UIDNEXT 4, 3 messages, HIGHESTMODSEQ 5. */
static void list_since(struct item_source *s, size_t c)
{
	static const uint8_t cursor[] = { 2, 7, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0 };
	const struct item_known known = { NULL, each_known };
	struct item_listing *l = NULL;
	struct buf next = BUF_EMPTY;
	struct err e;

	if (!s->ops->list_since(s, c, span_of(cursor, sizeof cursor), &known, &l, &next, &e) && l)
		read_listing(s, c, l);
	if (l)
		s->ops->listing_free(&l);
	buf_release(&next);
}

static const volatile sig_atomic_t stopped = 1; /* no pauses before another connection */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct said said = { span_of(data + (size > 0), size - (size > 0)), size && data[0] ? data[0] : SIZE_MAX };
	const struct imap_transport transport = { &said, say, hear };
	const struct imap_login login = { .host = "host",
		                          .port = "",
		                          .user = "user",
		                          .password = SPAN_LIT("password"),
		                          .stop = &stopped,
		                          .transport = &transport };
	const struct collection *all;
	struct item_source *s = NULL;
	struct buf cursor = BUF_EMPTY;
	struct err e;
	size_t count = 0;

	if (imap_source_open(&login, &s, &e))
		return 0;
	if (s->ops->collections(s, &all, &count, &e))
		count = 0;
	for (size_t c = 0; c < count && c < 4; c++) {
		struct item_listing *l = NULL;

		if (c % 2) {
			list_since(s, c);
			continue;
		}
		if (!s->ops->list(s, c, SPAN_EMPTY, false, &l, &cursor, &e) && l)
			read_listing(s, c, l);
		if (l)
			s->ops->listing_free(&l);
	}
	buf_release(&cursor);
	s->ops->free(&s);
	return 0;
}
