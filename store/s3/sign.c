#include "sign.h"
#include "base/text.h"
#include "net/net.h"

#include <stdio.h>
#include <time.h>

struct digits {
	char text[65];
};

static struct digits hex_of(const uint8_t digest[32])
{
	struct digits d;

	text_hex(span_of(digest, 32), d.text);
	d.text[64] = 0;
	return d;
}

/* The headers that are signed, in order: host and x-amz-… are all that every request has. */
struct signed_headers {
	struct buf lines; /* "name:value\n" */
	struct buf names; /* "a;b" */
	struct buf *out;
	struct err *e;
	enum err_code rc;
};

static void sign_header(struct signed_headers *h, const char *name, const char *value, bool send)
{
	if (!h->rc)
		h->rc = buf_printf(&h->lines, h->e, "%s:%s\n", name, value);
	if (!h->rc)
		h->rc = buf_printf(&h->names, h->e, "%s%s", h->names.len ? ";" : "", name);
	if (!h->rc && send)
		h->rc = buf_printf(h->out, h->e, "%s: %s", name, value);
	if (!h->rc && send)
		h->rc = buf_append(h->out, span_of("", 1), h->e);
}

/* Of the further ones, those whose names come before LIMIT (NULL: all that are left). */
static void sign_further(struct signed_headers *h, const char *const **at, const char *limit)
{
	for (; **at; ++*at) {
		char name[64];
		const char *colon = strstr(**at, ": ");
		size_t len = colon ? (size_t)(colon - **at) : 0;

		if (!len || len >= sizeof name) {
			h->rc = err_set(h->e, ERR_USAGE, "a header without a name cannot be signed");
			return;
		}
		memcpy(name, **at, len);
		name[len] = 0;
		if (limit && strcmp(name, limit) > 0)
			return;
		sign_header(h, name, colon + 2, true);
	}
}

static void signing_key(const struct sign_keys *keys, const char *day, const char *region, uint8_t out[32])
{
	char first[256];
	int n = snprintf(first, sizeof first, "AWS4%s", keys->secret);

	net_hmac_sha256(span_of(first, n > 0 && (size_t)n < sizeof first ? (size_t)n : 0), span_cstr(day), out);
	net_hmac_sha256(span_of(out, 32), span_cstr(region), out);
	net_hmac_sha256(span_of(out, 32), SPAN_LIT("s3"), out);
	net_hmac_sha256(span_of(out, 32), SPAN_LIT("aws4_request"), out);
	explicit_bzero(first, sizeof first);
}

static enum err_code authorize(const struct sign_request *r, const struct sign_keys *keys, struct signed_headers *h,
                               const char *stamp, struct err *e)
{
	struct buf canonical = BUF_EMPTY, to_sign = BUF_EMPTY;
	uint8_t digest[32], key[32];
	char day[9];
	enum err_code rc;

	memcpy(day, stamp, 8);
	day[8] = 0;
	rc = buf_printf(&canonical, e, "%s\n%.*s\n%.*s\n%.*s\n%.*s\n%s", r->method, (int)r->path.len,
	                (const char *)r->path.ptr, (int)r->query.len, r->query.len ? (const char *)r->query.ptr : "",
	                (int)h->lines.len, (const char *)h->lines.ptr, (int)h->names.len, (const char *)h->names.ptr,
	                hex_of(r->payload).text);
	if (!rc) {
		net_sha256(buf_span(&canonical), digest);
		rc = buf_printf(&to_sign, e, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", stamp, day, r->region,
		                hex_of(digest).text);
	}
	if (!rc) {
		signing_key(keys, day, r->region, key);
		net_hmac_sha256(span_of(key, 32), buf_span(&to_sign), digest);
		explicit_bzero(key, sizeof key);
		rc = buf_printf(h->out, e,
		                "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/s3/aws4_request,"
		                "SignedHeaders=%.*s,Signature=%s",
		                keys->id, day, r->region, (int)h->names.len, (const char *)h->names.ptr,
		                hex_of(digest).text);
	}
	if (!rc)
		rc = buf_append(h->out, span_of("", 1), e);
	buf_release(&canonical);
	buf_release(&to_sign);
	return rc;
}

enum err_code sign_request(const struct sign_request *r, const struct sign_keys *keys, struct buf *out, struct err *e)
{
	static const char *const none[] = { NULL };
	struct signed_headers h = { BUF_EMPTY, BUF_EMPTY, out, e, ERR_OK };
	const char *const *further = r->headers ? r->headers : none;
	time_t seconds = (time_t)(r->time_ms / 1000);
	char stamp[32];
	struct tm utc;
	enum err_code rc;

	if (strlen(keys->secret) > 200)
		return err_set(e, ERR_USAGE, "the secret access key is longer than 200 bytes");
	if (!gmtime_r(&seconds, &utc) || !strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc))
		return err_set(e, ERR_STATE, "the clock is set to no time");
	sign_header(&h, "host", r->host, false);
	sign_further(&h, &further, "x-amz-content-sha256");
	sign_header(&h, "x-amz-content-sha256", hex_of(r->payload).text, true);
	sign_further(&h, &further, "x-amz-date");
	sign_header(&h, "x-amz-date", stamp, true);
	sign_further(&h, &further, "x-amz-security-token");
	if (keys->token)
		sign_header(&h, "x-amz-security-token", keys->token, true);
	sign_further(&h, &further, NULL);
	rc = h.rc ? h.rc : authorize(r, keys, &h, stamp, e);
	buf_release(&h.lines);
	buf_release(&h.names);
	return rc;
}
