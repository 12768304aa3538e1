#include "sasl.h"

#include <gsasl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

#define REFUSAL_BYTES_MAX 1024

struct sasl {
	unsigned mechanism;
	Gsasl *library; /* NULL for the OAuth mechanisms */
	Gsasl_session *session;
	bool spoke, proven;
	struct buf first;   /* what an OAuth mechanism says first; secret */
	struct buf refusal; /* what the server answered to it */
};

/* Best first, for passwords and for tokens. */
static const struct {
	unsigned mechanism;
	const char *name;
	bool client_first, token;
} mechanisms[] = {
	{ SASL_SCRAM_SHA_256, "SCRAM-SHA-256", true, false },
	{ SASL_SCRAM_SHA_1, "SCRAM-SHA-1", true, false },
	{ SASL_PLAIN, "PLAIN", true, false },
	{ SASL_LOGIN, "LOGIN", false, false },
	{ SASL_OAUTHBEARER, "OAUTHBEARER", true, true },
	{ SASL_XOAUTH2, "XOAUTH2", true, true },
};

unsigned sasl_named(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (text_equal_nocase(name, span_cstr(mechanisms[i].name)))
			return mechanisms[i].mechanism;
	return 0;
}

static size_t place_of(unsigned mechanism)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(mechanisms) && mechanisms[i].mechanism != mechanism)
		i++;
	return i;
}

const char *sasl_name(unsigned mechanism)
{
	return mechanisms[place_of(mechanism)].name;
}

bool sasl_takes_token(unsigned mechanism)
{
	return mechanisms[place_of(mechanism)].token;
}

bool sasl_client_first(unsigned mechanism)
{
	return mechanisms[place_of(mechanism)].client_first;
}

unsigned sasl_best(unsigned offered, bool is_token)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if ((offered & mechanisms[i].mechanism) && mechanisms[i].token == is_token)
			return mechanisms[i].mechanism;
	return 0;
}

/* ---- opening ---- */

static enum err_code library_failed(int code, const char *doing, struct err *e)
{
	if (code == GSASL_MALLOC_ERROR)
		return err_no_memory(e, 0);
	return err_set(e, ERR_UNSUPPORTED, "%s: %s", doing, gsasl_strerror(code));
}

/* SECRET is not NUL-terminated; the copy that is made of it here is wiped at once. */
static enum err_code give_login(struct sasl *s, const struct sasl_login *l, struct err *e)
{
	struct buf secret = BUF_EMPTY;
	enum err_code rc = buf_reserve(&secret, l->secret.len + 1, e);
	int code = GSASL_OK;

	if (!rc)
		rc = buf_append(&secret, l->secret, e);
	if (!rc)
		rc = buf_append(&secret, span_of("", 1), e);
	if (!rc)
		code = gsasl_property_set(s->session, GSASL_PASSWORD, (const char *)secret.ptr);
	if (!rc && code == GSASL_OK)
		code = gsasl_property_set(s->session, GSASL_AUTHID, l->user);
	buf_wipe(&secret);
	return rc ? rc : code == GSASL_OK ? ERR_OK : library_failed(code, "preparing the login", e);
}

static enum err_code open_library(struct sasl *s, const struct sasl_login *l, struct err *e)
{
	int code = gsasl_init(&s->library);

	if (code != GSASL_OK) {
		s->library = NULL;
		return library_failed(code, "preparing the login", e);
	}
	code = gsasl_client_start(s->library, sasl_name(s->mechanism), &s->session);
	if (code != GSASL_OK) {
		s->session = NULL;
		return library_failed(code, sasl_name(s->mechanism), e);
	}
	return give_login(s, l, e);
}

/* A ',' or '=' in a name of RFC 5801 stands as "=2C", "=3D". */
static enum err_code put_name(struct buf *out, const char *user, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (; !rc && *user; user++)
		rc = *user == ','   ? buf_append(out, SPAN_LIT("=2C"), e)
		     : *user == '=' ? buf_append(out, SPAN_LIT("=3D"), e)
		                    : buf_append(out, span_of(user, 1), e);
	return rc;
}

static enum err_code put_bearer(struct sasl *s, const struct sasl_login *l, struct err *e)
{
	struct buf *out = &s->first;
	enum err_code rc = buf_append(out, SPAN_LIT("n,a="), e);

	if (!rc)
		rc = put_name(out, l->user, e);
	if (!rc)
		rc = buf_append(out, SPAN_LIT(",\x01"), e);
	if (!rc && l->host && *l->host)
		rc = buf_printf(out, e, "host=%s\x01", l->host);
	if (!rc && l->port && *l->port)
		rc = buf_printf(out, e, "port=%s\x01", l->port);
	return rc;
}

static enum err_code open_token(struct sasl *s, const struct sasl_login *l, struct err *e)
{
	enum err_code rc = buf_reserve(&s->first, l->secret.len + 2 * KIB, e); /* one place to wipe */

	for (size_t i = 0; i < l->secret.len; i++)
		if (l->secret.ptr[i] <= ' ' || l->secret.ptr[i] >= 0x7f)
			return err_set(e, ERR_USAGE, "the access token holds a space or a control character");
	if (!rc && s->mechanism == SASL_OAUTHBEARER)
		rc = put_bearer(s, l, e);
	else if (!rc)
		rc = buf_printf(&s->first, e, "user=%s\x01", l->user);
	if (!rc)
		rc = buf_append(&s->first, SPAN_LIT("auth=Bearer "), e);
	if (!rc)
		rc = buf_append(&s->first, l->secret, e);
	return rc ? rc : buf_append(&s->first, SPAN_LIT("\x01\x01"), e);
}

enum err_code sasl_open(unsigned mechanism, const struct sasl_login *login, struct sasl **out, struct err *e)
{
	struct sasl *s;
	enum err_code rc;

	if (login->secret.len && memchr(login->secret.ptr, 0, login->secret.len))
		return err_set(e, ERR_USAGE, "the password holds a NUL, which no login can carry");
	if (strlen(login->user) > KIB || strpbrk(login->user, "\x01\r\n"))
		return err_set(e, ERR_USAGE, "the user's name is longer than 1 KiB or holds a control character");
	s = mem_zalloc(1, sizeof *s);
	if (!s)
		return err_no_memory(e, sizeof *s);
	s->mechanism = mechanism;
	s->refusal.max = REFUSAL_BYTES_MAX;
	rc = sasl_takes_token(mechanism) ? open_token(s, login, e) : open_library(s, login, e);
	if (rc) {
		sasl_free(&s);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

/* ---- steps ---- */

static enum err_code put_base64(struct span bytes, struct buf *out, struct err *e)
{
	char *coded = NULL;
	size_t len = 0;
	enum err_code rc;

	if (!bytes.len)
		return ERR_OK;
	if (gsasl_base64_to((const char *)bytes.ptr, bytes.len, &coded, &len) != GSASL_OK)
		return err_no_memory(e, bytes.len);
	/* One reservation, so that wiping OUT is enough. */
	rc = buf_reserve(out, len, e);
	if (!rc)
		rc = buf_append(out, span_of(coded, len), e);
	explicit_bzero(coded, len);
	gsasl_free(coded);
	return rc;
}

/* Appends a NUL, not counted, as the library wants it. */
static enum err_code take_base64(struct span text, struct buf *out, struct err *e)
{
	char *plain = NULL;
	size_t len = 0;
	int code = GSASL_OK;
	enum err_code rc;

	while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\r'))
		text.len--;
	if (text.len > SASL_CHALLENGE_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "the server's challenge has %zu bytes", text.len);
	if (text.len)
		code = gsasl_base64_from((const char *)text.ptr, text.len, &plain, &len);
	if (code == GSASL_MALLOC_ERROR)
		return err_no_memory(e, text.len);
	if (code != GSASL_OK)
		return err_set(e, ERR_CORRUPT, "the server's challenge is no base64");
	rc = buf_append(out, span_of(plain ? plain : "", len), e);
	if (!rc)
		rc = buf_append(out, span_of("", 1), e);
	if (!rc)
		out->len--;
	gsasl_free(plain);
	return rc;
}

/* "r=…,s=…,i=4096": the library hashes as often as it is told, so the number meets its limit here. */
static enum err_code check_rounds(struct span challenge, struct err *e)
{
	static const struct span lead = { (const uint8_t *)",i=", 3 };

	for (size_t i = 0; i + lead.len <= challenge.len; i++) {
		struct span number = span_skip(challenge, i + lead.len);
		const uint8_t *end = number.len ? memchr(number.ptr, ',', number.len) : NULL;
		uint64_t rounds;

		if (!span_starts(span_skip(challenge, i), lead))
			continue;
		if (end)
			number.len = (size_t)(end - number.ptr);
		if (!text_number(number, SASL_SCRAM_ROUNDS_MAX, &rounds))
			return err_set(e, ERR_LIMIT, "the server wants the password hashed '%s' times; %d is our limit",
			               text_name(span_first(number, 20)).text, SASL_SCRAM_ROUNDS_MAX);
	}
	return ERR_OK;
}

static enum err_code step_library(struct sasl *s, struct span challenge, struct buf *answer, struct err *e)
{
	bool scram = s->mechanism & (SASL_SCRAM_SHA_1 | SASL_SCRAM_SHA_256);
	enum err_code rc = scram ? check_rounds(challenge, e) : ERR_OK;
	char *said = NULL;
	size_t len = 0;
	int code;

	if (rc)
		return rc;
	if (s->proven)
		return challenge.len ? err_set(e, ERR_CORRUPT, "the server goes on after the login is complete")
		                     : ERR_OK;
	code = gsasl_step(s->session, (const char *)challenge.ptr, challenge.len, &said, &len);
	if (code == GSASL_OK || code == GSASL_NEEDS_MORE) {
		s->proven = code == GSASL_OK;
		rc = put_base64(span_of(said, len), answer, e);
	} else if (code == GSASL_AUTHENTICATION_ERROR) {
		rc = err_set(e, ERR_DENIED, "the server does not know the password: it is not who it says it is");
	} else if (code == GSASL_MECHANISM_PARSE_ERROR || code == GSASL_MECHANISM_CALLED_TOO_MANY_TIMES) {
		rc = err_set(e, ERR_CORRUPT, "the server's challenge is no %s", sasl_name(s->mechanism));
	} else {
		rc = library_failed(code, sasl_name(s->mechanism), e);
	}
	if (said)
		explicit_bzero(said, len);
	gsasl_free(said);
	return rc;
}

/* The second thing that a server says is why it refuses; it wants an answer before it says NO (RFC 7628, 3.2.3). */
static enum err_code step_token(struct sasl *s, struct span challenge, struct buf *answer, struct err *e)
{
	if (!s->spoke) {
		s->spoke = s->proven = true;
		return put_base64(buf_span(&s->first), answer, e);
	}
	if (s->refusal.len)
		return err_set(e, ERR_CORRUPT, "the server goes on after it refused the token");
	if (challenge.len) {
		enum err_code rc = buf_append(&s->refusal, span_first(challenge, REFUSAL_BYTES_MAX), e);

		if (rc)
			return rc;
	}
	return s->mechanism == SASL_OAUTHBEARER ? put_base64(SPAN_LIT("\x01"), answer, e) : ERR_OK;
}

enum err_code sasl_step(struct sasl *s, struct span challenge, struct buf *answer, struct err *e)
{
	struct buf plain = BUF_EMPTY;
	enum err_code rc = take_base64(challenge, &plain, e);

	if (!rc)
		rc = sasl_takes_token(s->mechanism) ? step_token(s, buf_span(&plain), answer, e)
		                                    : step_library(s, buf_span(&plain), answer, e);
	buf_release(&plain);
	return rc;
}

enum err_code sasl_finish(struct sasl *s, struct err *e)
{
	if (s->proven || !(s->mechanism & (SASL_SCRAM_SHA_1 | SASL_SCRAM_SHA_256)))
		return ERR_OK;
	return err_set(e, ERR_DENIED, "the server lets us in without proof that it knows the password");
}

struct span sasl_refusal(const struct sasl *s)
{
	return buf_span(&s->refusal);
}

static void wipe_property(Gsasl_session *session, Gsasl_property which)
{
	/* The library's own copy, on its heap: nobody else looks at it any more. */
	char *at = (char *)(uintptr_t)gsasl_property_fast(session, which);

	if (at)
		explicit_bzero(at, strlen(at));
}

void sasl_free(struct sasl **s)
{
	static const Gsasl_property secrets[] = { GSASL_PASSWORD, GSASL_SCRAM_SALTED_PASSWORD, GSASL_SCRAM_SERVERKEY,
		                                  GSASL_SCRAM_STOREDKEY };

	if (!*s)
		return;
	if ((*s)->session) {
		for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
			wipe_property((*s)->session, secrets[i]);
		gsasl_finish((*s)->session);
	}
	if ((*s)->library)
		gsasl_done((*s)->library);
	buf_wipe(&(*s)->first);
	buf_release(&(*s)->refusal);
	mem_free(*s);
	*s = NULL;
}
