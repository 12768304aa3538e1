/*
 * fuzz_oauth: whatever an authorisation server answers, or a guest at our loopback port asks, is taken apart or refused. The
 * first byte picks which, the second one the status.
 */
#include <stdlib.h>

#include "net/oauth/oauth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is handed on stands in lines of other protocols. */
static void check_token(const struct buf *token)
{
	if (token->len && strlen((const char *)token->ptr) != token->len)
		abort();
	for (size_t i = 0; i < token->len; i++)
		if (token->ptr[i] <= ' ' || token->ptr[i] > '~')
			abort();
}

static void try_token(long status, struct span body)
{
	struct oauth_tokens t = { 0 };
	char code[64];
	struct err e;

	if (oauth_token_parse(status, body, &t, code, &e)) {
		if (t.access.ptr || t.refresh.ptr || strlen(code) >= sizeof code)
			abort();
		return;
	}
	if (!t.access.len || t.lives_ms < 0)
		abort();
	check_token(&t.access);
	check_token(&t.refresh);
	oauth_tokens_wipe(&t);
}

static void try_device(long status, struct span body)
{
	struct oauth_device d = { 0 };
	struct err e;

	if (oauth_device_parse(status, body, &d, &e))
		return;
	if (!d.device_code.len || d.interval_ms < 0 || d.lives_ms < 0)
		abort();
	check_token(&d.device_code);
	oauth_device_wipe(&d);
}

static void try_redirect(struct span request)
{
	struct buf code = BUF_EMPTY;
	struct err e;

	if (!oauth_redirect_parse(request, "state", &code, &e) &&
	    (!code.len || strlen((const char *)code.ptr) != code.len))
		abort();
	buf_wipe(&code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = { 200, 400, 401, 429, 503 };
	long status = size > 1 ? statuses[data[1] % ARRAY_LEN(statuses)] : 200;
	struct span rest = size > 2 ? span_of(data + 2, size - 2) : SPAN_EMPTY;

	if (size && data[0] == 'r')
		try_redirect(rest);
	else if (size && data[0] == 'd')
		try_device(status, rest);
	else
		try_token(status, rest);
	return 0;
}
