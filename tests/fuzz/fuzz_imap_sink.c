/*
 * fuzz_imap_sink: whatever a server sends, a restore to it comes to an end, and each item that was taken is told of at most once. The
 * input is all that the server ever says, in pieces of the size in its first byte.
 */
#include <stdlib.h>

#include "connector/imap/imap_sink.h"

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

struct body {
	const char *text;
	bool given;
};

static enum err_code next(void *ctx, struct span *piece, struct err *e)
{
	struct body *b = ctx;

	(void)e;
	*piece = b->given ? SPAN_EMPTY : span_cstr(b->text);
	b->given = true;
	return ERR_OK;
}

static enum err_code again(void *ctx, struct err *e)
{
	(void)e;
	((struct body *)ctx)->given = false;
	return ERR_OK;
}

#define MAILS 3
static const char *const mails[MAILS] = { "Message-ID: <1@x>\r\n\r\none\r\n", "Message-ID: <2@x>\n\ntwo\n",
	                                  "Subject: none\r\n\r\nthree\r\n" };

static void settled(void *ctx, const struct item_outcome *o)
{
	unsigned *told = ctx;

	if (o->ticket >= MAILS || *told & 1u << o->ticket)
		abort();
	*told |= 1u << o->ticket;
}

static void give_all(struct item_sink *s, size_t handle)
{
	/* Field 2 (time), 8 bytes, 2023-11-14 22:13:20 UTC; field 1 (flags) "\Seen", a Maildir's and IMAP's. */
	static const uint8_t facts[] = { 2, 8, 0x00, 0x00, 0xb8, 0x47, 0x8a, 0x8c, 0x97, 0x17 };
	struct buf target = BUF_EMPTY;
	struct err e;

	for (size_t i = 0; i < MAILS; i++) {
		struct body text = { mails[i], false };
		struct item_body body = { &text, next, again };
		struct item_out item = { .key = span_cstr("key"),
			                 .facts = span_of(facts, sizeof facts),
			                 .state = SPAN_LIT("\x01\x05\\Seen"),
			                 .kind = KIND_MAIL,
			                 .bytes = strlen(mails[i]),
			                 .ticket = i };
		enum sink_verdict verdict;

		if (s->ops->put(s, handle, &item, &body, SINK_SKIP, &verdict, &e))
			break;
	}
	buf_release(&target);
	(void)!s->ops->collection_done(s, handle, &e);
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
		                          .changes = true,
		                          .transport = &transport };
	const struct imap_sink_options options = { .verify_percent = 100 };
	const struct collection folders[] = { { .path = SPAN_LIT("INBOX"), .kind = KIND_MAIL, .role = ROLE_INBOX },
		                              { .path = SPAN_LIT("Sent/x"), .kind = KIND_MAIL, .role = ROLE_SENT } };
	struct item_sink *s = NULL;
	struct sink_check check;
	struct err e;
	bool occupied;

	if (imap_sink_open(&login, &options, &s, &e))
		return 0;
	s->settled = settled;
	(void)!s->ops->occupied(s, &occupied, &e);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		unsigned told = 0;
		size_t handle;

		s->settled_ctx = &told;
		if (!s->ops->collection(s, &folders[i], false, &handle, &e))
			give_all(s, handle);
	}
	s->ops->checked(s, &check);
	if (check.bodies > check.items)
		abort();
	s->ops->free(&s);
	return 0;
}
