/*
 * fuzz_sasl: whatever a server challenges a login with, the client answers or refuses. The first byte picks the mechanism, each
 * line behind it is a challenge.
 */
#include <stdlib.h>

#include "net/sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl_login login = { .user = "user",
		                                 .secret = { (const uint8_t *)"secret", 6 },
		                                 .host = "host" };
	unsigned mechanism = 1U << (size ? data[0] % 6 : 0);
	struct span left = span_of(data + (size > 0), size - (size > 0));
	struct sasl *s = NULL;
	struct buf answer = BUF_EMPTY;
	struct err e;
	enum err_code rc;

	if (sasl_open(mechanism, &login, &s, &e))
		abort();
	rc = sasl_client_first(mechanism) ? sasl_step(s, SPAN_EMPTY, &answer, &e) : ERR_OK;
	while (!rc && left.len) {
		const uint8_t *end = memchr(left.ptr, '\n', left.len);
		struct span line = span_of(left.ptr, end ? (size_t)(end - left.ptr) : left.len);

		rc = sasl_step(s, line, &answer, &e);
		left = span_skip(left, line.len + 1);
	}
	/* Nobody proves to know the password by chance. */
	if (!sasl_finish(s, &e) && (mechanism & (SASL_SCRAM_SHA_1 | SASL_SCRAM_SHA_256)))
		abort();
	buf_wipe(&answer);
	sasl_free(&s);
	return 0;
}
