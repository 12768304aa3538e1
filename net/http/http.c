#include "http_internal.h"

#include <pthread.h>
#include <stdio.h>

#include "base/text.h"

#define TIMEOUT_MS         30000
#define CONNECT_TIMEOUT_MS 15000

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void start(void)
{
	ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

CURL *http_easy(void)
{
	pthread_once(&once, start);
	return ready ? curl_easy_init() : NULL;
}

/* ---- what is sent ---- */

enum err_code http_form(const struct http_field *fields, size_t count, struct buf *out, struct err *e)
{
	bool first = true;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		if (!fields[i].value.ptr)
			continue;
		rc = buf_printf(out, e, "%s%s=", first ? "" : "&", fields[i].name);
		first = false;
		if (!rc)
			rc = text_url(out, fields[i].value, "", e); /* %20 for a space is read by everybody */
	}
	return rc;
}

static bool starts_nocase(const char *s, const char *with)
{
	size_t n = strlen(with);

	return strlen(s) >= n && text_equal_nocase(span_of(s, n), span_cstr(with));
}

enum err_code http_url_check(const char *url, struct err *e)
{
	static const char *const hosts[] = { "127.0.0.1", "[::1]", "localhost" };
	bool tls = starts_nocase(url, "https://"), local = false;
	const char *host = url + (tls ? 8 : 7);
	size_t len;

	if (!tls && !starts_nocase(url, "http://"))
		return err_set(e, ERR_USAGE, "%s is no https:// URL", text_name(span_cstr(url)).text);
	len = strcspn(host, "/?#");
	if (!len || memchr(host, '@', len))
		return err_set(e, ERR_USAGE, "a URL of a server names a host, and no user");
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		size_t n = strlen(hosts[i]);

		local |= len >= n && !strncmp(host, hosts[i], n) && (len == n || host[n] == ':');
	}
	if (!tls && !local)
		return err_set(e, ERR_USAGE, "%s: only this machine is talked to without TLS",
		               text_name(span_cstr(url)).text);
	return ERR_OK;
}

/* ---- what comes ---- */

struct arrival {
	struct buf *body;
	struct err *e;
	enum err_code rc;
};

static size_t take(char *bytes, size_t size, size_t count, void *ctx)
{
	struct arrival *a = ctx;

	a->rc = buf_append(a->body, span_of(bytes, size * count), a->e);
	return a->rc ? 0 : size * count;
}

static int look(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http_options *o = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return o->stop && *o->stop;
}

enum err_code http_failed(CURLcode code, const char *url, const char *why, struct err *e)
{
	const char *host = strstr(url, "://") ? strstr(url, "://") + 3 : url;
	struct text_name name = text_name(span_of(host, strcspn(host, "/?#")));

	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_CANCELLED, "interrupted");
	case CURLE_OUT_OF_MEMORY:
		return err_no_memory(e, 0);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(e, ERR_DENIED, "%s: %s", name.text, *why ? why : curl_easy_strerror(code));
	default:
		err_set(e, ERR_IO, "%s: %s", name.text, *why ? why : curl_easy_strerror(code));
		e->retry = ERR_RETRY_LATER;
		return ERR_IO;
	}
}

/* All options are checked at once: the first that fails stays in *CODE. */
#define SET(option, value)                                                                                             \
	do {                                                                                                           \
		if (code == CURLE_OK)                                                                                  \
			code = curl_easy_setopt(curl, option, value);                                                  \
	} while (0)

static CURLcode prepare(CURL *curl, const char *url, const struct buf *form, const struct http_options *o,
                        struct curl_slist *headers)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, starts_nocase(url, "https:") ? "https" : "http");
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (o->ca_file)
		SET(CURLOPT_CAINFO, o->ca_file);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form->len);
	SET(CURLOPT_POSTFIELDS, form->len ? (const char *)form->ptr : "");
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_USERAGENT, "mailhold");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, look);
	SET(CURLOPT_XFERINFODATA, (void *)(uintptr_t)o);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)(o->timeout_ms ? o->timeout_ms : TIMEOUT_MS));
	SET(CURLOPT_WRITEFUNCTION, take);
	return code;
}

static enum err_code perform(CURL *curl, const char *url, const struct buf *form, const struct http_options *o,
                             struct http_answer *out, struct err *e)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
	struct arrival arrival = { &out->body, e, ERR_OK };
	char why[CURL_ERROR_SIZE] = "";
	CURLcode code = headers ? prepare(curl, url, form, o, headers) : CURLE_OUT_OF_MEMORY;

	out->body.max = HTTP_BODY_BYTES_MAX;
	SET(CURLOPT_ERRORBUFFER, why);
	SET(CURLOPT_WRITEDATA, (void *)&arrival);
	if (code == CURLE_OK)
		code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
	curl_slist_free_all(headers);
	if (arrival.rc)
		return err_note(e, "reading the answer of %s", text_name(span_cstr(url)).text);
	return code == CURLE_OK ? ERR_OK : http_failed(code, url, why, e);
}

enum err_code http_post_form(const char *url, const struct http_field *fields, size_t count,
                             const struct http_options *o, struct http_answer *out, struct err *e)
{
	struct buf form = BUF_WITH_MAX(MIB);
	CURL *curl;
	enum err_code rc = http_url_check(url, e);

	if (rc)
		return rc;
	curl = http_easy();
	if (!curl)
		return err_no_memory(e, 0);
	rc = buf_reserve(&form, 64 * KIB,
	                 e); /* what a form holds fits: it does not move, so that wiping it is enough */
	if (!rc)
		rc = http_form(fields, count, &form, e);
	if (!rc)
		rc = perform(curl, url, &form, o, out, e);
	curl_easy_cleanup(curl);
	buf_wipe(&form);
	return rc;
}
