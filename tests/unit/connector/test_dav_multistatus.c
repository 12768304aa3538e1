#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "connector/dav/multistatus.h"

/* What was told, as text: "href status name=value|markup;…\n". */
static enum err_code write_down(void *ctx, const struct dav_response *r, struct err *e)
{
	struct buf *out = ctx;
	enum err_code rc = buf_printf(out, e, "%.*s %u", (int)r->href.len, (const char *)r->href.ptr, r->status);

	for (size_t i = 0; !rc && i < r->count; i++)
		rc = buf_printf(out, e, " %.*s%s%.*s", (int)r->properties[i].local.len,
		                (const char *)r->properties[i].local.ptr, r->properties[i].markup ? "~" : "=",
		                (int)r->properties[i].value.len, (const char *)r->properties[i].value.ptr);
	return rc ? rc : buf_append(out, SPAN_LIT("\n"), e);
}

static enum err_code read_pieces(const char *text, size_t piece, struct buf *out, struct buf *token, struct err *e)
{
	struct span left = span_cstr(text);
	struct multistatus *m = NULL;
	enum err_code rc = multistatus_open(write_down, out, MIB, &m, e);

	for (; !rc && left.len; left = span_skip(left, piece))
		rc = multistatus_feed(m, span_first(left, piece), e);
	if (!rc)
		rc = multistatus_finish(m, e);
	if (!rc && token)
		rc = buf_append(token, multistatus_sync_token(m), e);
	multistatus_free(&m);
	return rc;
}

static void expect(const char *text, const char *want)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 64, MIB };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct buf out = BUF_EMPTY;
		struct err e = { 0 };

		if (read_pieces(text, pieces[i], &out, NULL, &e))
			fail_msg("%s: %s", text, e.text);
		if (!span_equal(buf_span(&out), span_cstr(want)))
			fail_msg("in pieces of %zu: %.*s", pieces[i], (int)out.len, (const char *)out.ptr);
		buf_release(&out);
	}
}

static void refused(const char *text, enum err_code code)
{
	struct buf out = BUF_EMPTY;
	struct err e = { 0 };

	assert_int_equal(read_pieces(text, 16, &out, NULL, &e), code);
	buf_release(&out);
}

#define HEAD                                                                                                           \
	"<?xml version='1.0' encoding='utf-8'?><d:multistatus xmlns:d='DAV:' xmlns:c='urn:ietf:params:xml:ns:caldav'>"
#define TAIL "</d:multistatus>"

static void what_the_server_has_is_told_and_what_it_has_not_is_not(void **state)
{
	(void)state;
	expect(HEAD
	       "<d:response><d:href>/a/1</d:href><d:propstat><d:prop><d:getetag>\"x\"</d:getetag><d:empty/></d:prop>"
	       "<d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:owner>me</d:owner></d:prop>"
	       "<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
	       "<d:response><d:href>/a/2</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>" TAIL,
	       "/a/1 0 getetag=\"x\" empty=\n/a/2 404\n");
	/* Several hrefs of one status; elements that nobody knows; no status is no success. */
	expect(HEAD "<x xmlns='other:'><d:response/></x><d:response><d:href>/1</d:href><d:href>/2</d:href>"
	            "<d:error><d:href>/no</d:href></d:error><d:status>HTTP/1.1 507 x</d:status></d:response>"
	            "<d:response><d:href>/3</d:href><d:propstat><d:prop><d:getetag>y</d:getetag></d:prop></d:propstat>"
	            "</d:response>" TAIL,
	       "/1 507\n/2 507\n/3 0\n");
	expect(HEAD TAIL, "");
}

/* XML would have all of them be LF. */
static void line_ends_are_as_they_came(void **state)
{
	(void)state;
	expect(HEAD
	       "<d:response><d:href>/1</d:href><d:propstat><d:prop><c:calendar-data>A\r\nB\nC\rD&#13;\nE&#xD;&#10;"
	       "<![CDATA[F\r\n&amp;]]>\r\n</c:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
	       "</d:response>" TAIL,
	       "/1 0 calendar-data=A\r\nB\nC\rD\r\nE\r\nF\r\n&amp;\r\n\n");
}

static void a_fragment_declares_its_namespaces_itself(void **state)
{
	(void)state;
	expect(HEAD "<d:response><d:href>/1</d:href><d:propstat><d:prop><d:resourcetype>\n <d:collection/>\n "
	            "<c:calendar a='b\"&amp;'>"
	            "x &lt; y</c:calendar>\n</d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
	            "</d:response>" TAIL,
	       "/1 0 resourcetype~<collection xmlns=\"DAV:\"></collection><calendar "
	       "xmlns=\"urn:ietf:params:xml:ns:caldav\" "
	       "a=\"b&quot;&amp;\">x &lt; y</calendar>\n");
}

static void a_token_goes_with_changes(void **state)
{
	struct buf out = BUF_EMPTY, token = BUF_EMPTY;
	struct err e;

	(void)state;
	assert_int_equal(read_pieces(HEAD "<d:sync-token> http://x/&amp;7\n</d:sync-token>" TAIL, 5, &out, &token, &e),
	                 ERR_OK);
	assert_true(span_equal(buf_span(&token), SPAN_LIT("http://x/&7")));
	buf_release(&out);
	buf_release(&token);
}

static void bombs_and_nonsense_are_refused(void **state)
{
	char deep[64 * 200] = HEAD "<d:response><d:href>/1</d:href><d:propstat><d:prop>";
	struct buf out = BUF_EMPTY;
	struct multistatus *m = NULL;
	struct err e;

	(void)state;
	refused("<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><d:multistatus xmlns:d='DAV:'>&b;" TAIL,
	        ERR_CORRUPT);
	refused("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><d:multistatus xmlns:d='DAV:'>" TAIL, ERR_CORRUPT);
	refused("<html><body>Log in</body></html>", ERR_CORRUPT);
	refused("<multistatus/>", ERR_CORRUPT); /* not in DAV: */
	refused(HEAD, ERR_CORRUPT);
	refused(HEAD "<d:response></d:multistatus>", ERR_CORRUPT);
	refused(HEAD "&undefined;" TAIL, ERR_CORRUPT);
	refused(HEAD "\x01" TAIL, ERR_CORRUPT);
	refused("", ERR_CORRUPT);
	for (int i = 0; i < 100; i++)
		strcat(deep, "<x>");
	refused(deep, ERR_LIMIT);
	assert_int_equal(multistatus_open(write_down, &out, 10, &m, &e), ERR_OK);
	assert_int_equal(multistatus_feed(m, SPAN_LIT("<multistatus>"), &e), ERR_LIMIT);
	assert_int_equal(multistatus_feed(m, SPAN_LIT("<"), &e), ERR_STATE);
	multistatus_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_server_has_is_told_and_what_it_has_not_is_not),
		cmocka_unit_test(line_ends_are_as_they_came),
		cmocka_unit_test(a_fragment_declares_its_namespaces_itself),
		cmocka_unit_test(a_token_goes_with_changes),
		cmocka_unit_test(bombs_and_nonsense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
