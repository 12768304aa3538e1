/* s3: the store. Each request is one exchange on a connection that stays open; a few of them serve all threads. */
#include "s3.h"
#include "answer.h"
#include "credentials.h"
#include "sign.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/http/http.h"
#include "net/net.h"
#include "store/contract/lines.h"
#include "store/spool/spool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES         8
#define HOST_MAX      320
#define REGION_USUAL  "us-east-1"
#define PROOF_ROUNDS  4
#define PROOF_WRITERS 8

struct s3_store {
	struct store base;
	const char *url;
	char host[HOST_MAX], host_header[HOST_MAX];
	char port[8];
	char region[64];
	bool clear;
	struct buf path;   /* "/BUCKET", encoded; empty when the host names the bucket */
	struct buf bucket; /* raw */
	struct buf prefix; /* of all keys, raw, with a '/' at its end; may be empty */
	struct credentials who;
	struct lines lines;                 /* who has which of these */
	struct http_client *clients[LINES]; /* NULL: not connected */
};

static struct s3_store *s3_of(struct store *s)
{
	return (struct s3_store *)s;
}

/* ---- requests ---- */

struct call {
	const char *method;
	const char *name; /* of an object; NULL: the bucket */
	struct span query;
	const char *const *headers;
	struct span body;
	uint64_t answer_max;
	enum err_code (*take)(void *ctx, struct span bytes, struct err *e);
	void *ctx;
};

static enum err_code take_client(struct s3_store *s, unsigned *out, struct err *e)
{
	const struct http_server server = { .host = s->host,
		                            .port = s->port,
		                            .clear = s->clear,
		                            .ca_file = getenv("AWS_CA_BUNDLE"),
		                            .auth = HTTP_AUTH_NONE,
		                            .silence_ms = 60000,
		                            .stop = s->base.stop };
	bool open;

	*out = lines_take(&s->lines, &open);
	return open ? ERR_OK : http_open(&server, &s->clients[*out], e);
}

static void give_client(struct s3_store *s, unsigned which)
{
	lines_give(&s->lines, which, s->clients[which] != NULL);
}

/* The path of NAME as it is sent. */
static enum err_code path_of(const struct s3_store *s, const char *name, struct buf *out, struct err *e)
{
	enum err_code rc = buf_append(out, buf_span(&s->path), e);

	if (!rc)
		rc = buf_append(out, SPAN_LIT("/"), e);
	if (!rc && name)
		rc = text_url(out, buf_span(&s->prefix), "/", e);
	if (!rc && name)
		rc = text_url(out, span_cstr(name), "/", e);
	return rc;
}

static enum err_code collect_headers(const struct buf *texts, const char *out[SIGN_HEADERS_MAX + 1], struct err *e)
{
	size_t count = 0;

	for (size_t at = 0; at < texts->len; at += strlen((const char *)texts->ptr + at) + 1) {
		if (count == SIGN_HEADERS_MAX)
			return err_set(e, ERR_LIMIT, "a request has more than %d headers", SIGN_HEADERS_MAX);
		out[count++] = (const char *)texts->ptr + at;
	}
	out[count] = NULL;
	return ERR_OK;
}

/* Any answer is a success here; SAID is the caller's to release. */
static enum err_code ask(struct s3_store *s, const struct call *c, struct http_said *said, struct err *e)
{
	const struct sign_keys keys = { (const char *)s->who.id.ptr, (const char *)s->who.secret.ptr,
		                        s->who.token.len ? (const char *)s->who.token.ptr : NULL };
	struct sign_request sign = { .method = c->method,
		                     .region = s->region,
		                     .host = s->host_header,
		                     .query = c->query,
		                     .headers = c->headers,
		                     .time_ms = clock_now_ms() };
	const char *headers[SIGN_HEADERS_MAX + 1];
	struct buf target = BUF_EMPTY, texts = BUF_EMPTY;
	unsigned line;
	enum err_code rc = path_of(s, c->name, &target, e);

	if (!rc) {
		sign.path = buf_span(&target);
		net_sha256(c->body, sign.payload);
		rc = sign_request(&sign, &keys, &texts, e);
	}
	if (!rc && c->query.len)
		rc = buf_printf(&target, e, "?%.*s", (int)c->query.len, (const char *)c->query.ptr);
	if (!rc)
		rc = collect_headers(&texts, headers, e);
	if (!rc) {
		const struct http_ask http = { .method = c->method,
			                       .target = buf_span(&target),
			                       .headers = headers,
			                       .body = c->body,
			                       .answer_bytes_max = c->answer_max,
			                       .take = c->take,
			                       .ctx = c->ctx };

		rc = take_client(s, &line, e);
		if (!rc)
			rc = http_request(s->clients[line], &http, said, e);
		give_client(s, line);
	}
	buf_release(&target);
	buf_wipe(&texts);
	return rc;
}

/* What an answer that is no success means. */
static enum err_code refused(struct s3_store *s, const struct call *c, const struct http_said *said, struct err *e)
{
	const char *slash = c->name ? "/" : "", *name = c->name ? c->name : "";
	struct answer_error why;
	enum err_code code = ERR_IO;

	answer_error_parse(buf_span(&said->body), &why);
	if (!strcmp(why.code, "NoSuchBucket"))
		return err_set(e, ERR_NO_REPOSITORY, "there is no such bucket: %s", s->url);
	if (!strcmp(why.code, "RequestTimeTooSkewed"))
		return err_set(e, ERR_DENIED, "%s: this machine's clock and the server's are too far apart", s->url);
	if (said->status == 404)
		return err_set(e, ERR_NOT_FOUND, "there is no %s%s%s", s->url, slash, name);
	if (said->status == 412)
		return err_set(e, ERR_EXISTS, "%s%s%s exists already", s->url, slash, name);
	if (said->status == 401 || said->status == 403)
		code = ERR_DENIED;
	else if (said->status == 416)
		code = ERR_CORRUPT;
	else if (said->status == 501)
		code = ERR_UNSUPPORTED;
	err_set(e, code, "%s %s%s%s: the server says %ld%s%s%s%s", c->method, s->url, slash, name, said->status,
	        *why.code ? " " : "", why.code, *why.message ? ": " : "", why.message);
	if (said->status == 409 || said->status == 429 || said->status >= 500 || !strcmp(why.code, "RequestTimeout") ||
	    !strcmp(why.code, "SlowDown"))
		e->retry = code == ERR_UNSUPPORTED ? ERR_RETRY_NEVER : ERR_RETRY_LATER;
	return e->code;
}

static enum err_code call(struct s3_store *s, const struct call *c, struct http_said *said, struct err *e)
{
	enum err_code rc = ask(s, c, said, e);

	if (!rc && (said->status < 200 || said->status > 299))
		rc = refused(s, c, said, e);
	return rc;
}

/* A call of which nothing but its success matters. */
static enum err_code simple(struct s3_store *s, const struct call *c, struct err *e)
{
	struct http_said said = { 0 };
	enum err_code rc = call(s, c, &said, e);

	http_said_release(&said);
	return rc;
}

/* ---- objects ---- */

/* A success with an error in it is none ("200 OK" is sent before a copy is made). */
static enum err_code look_for_error(void *ctx, struct span bytes, struct err *e)
{
	struct answer_error why;

	answer_error_parse(bytes, &why);
	if (!*why.code)
		return ERR_OK;
	err_set(e, ERR_IO, "%s: the server says %s: %s", ((struct s3_store *)ctx)->url, why.code, why.message);
	e->retry = ERR_RETRY_LATER;
	return e->code;
}

static enum err_code put_bytes(struct s3_store *s, const char *name, struct span bytes, bool absent, struct err *e)
{
	static const char *const if_absent[] = { "if-none-match: *", NULL };
	const struct call c = { .method = "PUT",
		                .name = name,
		                .headers = absent ? if_absent : NULL,
		                .body = bytes,
		                .answer_max = 64 * KIB,
		                .take = look_for_error,
		                .ctx = s };
	enum err_code rc = simple(s, &c, e);

	/* While writing, what is missing is the store. */
	return rc == ERR_NOT_FOUND ? (e->code = ERR_IO) : rc;
}

static enum err_code s3_put(struct store *base, const char *name, struct span bytes, struct err *e)
{
	return put_bytes(s3_of(base), name, bytes, true, e);
}

static enum err_code append(void *ctx, struct span bytes, struct err *e)
{
	return buf_append(ctx, bytes, e);
}

static enum err_code s3_get(struct store *base, const char *name, size_t max, struct buf *out, struct err *e)
{
	const struct call c = { .method = "GET", .name = name, .answer_max = max, .take = append, .ctx = out };

	return simple(s3_of(base), &c, e);
}

static enum err_code s3_size(struct store *base, const char *name, uint64_t *bytes, struct err *e)
{
	const struct call c = { .method = "HEAD", .name = name };
	struct http_said said = { 0 };
	enum err_code rc = call(s3_of(base), &c, &said, e);

	if (!rc && said.length < 0)
		rc = err_set(e, ERR_CORRUPT, "%s/%s: the server does not say how long it is", s3_of(base)->url, name);
	if (!rc)
		*bytes = (uint64_t)said.length;
	http_said_release(&said);
	return rc;
}

struct place {
	uint8_t *dst;
	size_t len, got;
};

static enum err_code fill(void *ctx, struct span bytes, struct err *e)
{
	struct place *p = ctx;

	(void)e;
	if (bytes.len > p->len - p->got)
		bytes.len = p->len - p->got;
	memcpy(p->dst + p->got, bytes.ptr, bytes.len);
	p->got += bytes.len;
	return ERR_OK;
}

static enum err_code s3_get_range(struct store *base, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                                  struct err *e)
{
	struct s3_store *s = s3_of(base);
	struct place p = { dst, len, 0 };
	char range[80];
	const char *const headers[] = { range, NULL };
	const struct call c = {
		.method = "GET", .name = name, .headers = headers, .answer_max = len, .take = fill, .ctx = &p
	};
	struct http_said said = { 0 };
	uint64_t size;
	enum err_code rc;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return err_set(e, ERR_CORRUPT, "%s/%s cannot hold byte %llu", s->url, name, (unsigned long long)offset);
	if (!len) {
		rc = s3_size(base, name, &size, e);
		return rc || size >= offset ? rc : err_set(e, ERR_CORRUPT, "%s/%s is shorter", s->url, name);
	}
	snprintf(range, sizeof range, "range: bytes=%llu-%llu", (unsigned long long)offset,
	         (unsigned long long)(offset + len - 1));
	rc = call(s, &c, &said, e);
	if (!rc && said.status != 206)
		rc = err_set(e, ERR_UNSUPPORTED, "%s/%s: the server does not heed Range", s->url, name);
	if (!rc && p.got < len)
		rc = err_set(e, ERR_CORRUPT, "%s/%s ends at byte %llu, before %llu", s->url, name,
		             (unsigned long long)(offset + p.got), (unsigned long long)(offset + len));
	http_said_release(&said);
	return rc;
}

static enum err_code s3_delete(struct store *base, const char *name, struct err *e)
{
	const struct call c = { .method = "DELETE", .name = name, .answer_max = 64 * KIB };
	enum err_code rc = simple(s3_of(base), &c, e);

	return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* ---- listing ---- */

struct listing {
	struct s3_store *store;
	struct buf objects;
	struct answer_listing *answer;
};

static enum err_code note_object(void *ctx, struct span key, uint64_t bytes, struct err *e)
{
	struct listing *g = ctx;
	struct span prefix = buf_span(&g->store->prefix);
	char name[STORE_NAME_MAX + 1];

	/* Not ours: other programs may use the bucket, too. */
	if (!span_starts(key, prefix) || key.len - prefix.len > STORE_NAME_MAX)
		return ERR_OK;
	key = span_skip(key, prefix.len);
	memcpy(name, key.ptr, key.len);
	name[key.len] = 0;
	if (strlen(name) != key.len || !store_name_ok(name))
		return ERR_OK;
	return store_found_add(&g->objects, name, bytes, e);
}

static enum err_code feed(void *ctx, struct span bytes, struct err *e)
{
	return answer_feed(((struct listing *)ctx)->answer, bytes, e);
}

/* The page that begins at FROM (empty: the first); FROM becomes where the next one begins. */
static enum err_code list_page(struct listing *g, const char *folder, unsigned most, struct buf *from, struct err *e)
{
	struct buf query = BUF_EMPTY, prefix = BUF_EMPTY;
	enum err_code rc = buf_append(&prefix, buf_span(&g->store->prefix), e);

	if (!rc && *folder)
		rc = buf_printf(&prefix, e, "%s/", folder);
	if (!rc && from->len) {
		rc = buf_append(&query, SPAN_LIT("continuation-token="), e);
		if (!rc)
			rc = text_url(&query, buf_span(from), "", e);
		if (!rc)
			rc = buf_append(&query, SPAN_LIT("&"), e);
	}
	if (!rc)
		rc = buf_printf(&query, e, "encoding-type=url&list-type=2&max-keys=%u&prefix=", most);
	if (!rc)
		rc = text_url(&query, buf_span(&prefix), "", e);
	if (!rc)
		rc = answer_open(note_object, g, &g->answer, e);
	if (!rc) {
		const struct call c = { .method = "GET",
			                .query = buf_span(&query),
			                .answer_max = LISTING_BYTES_MAX,
			                .take = feed,
			                .ctx = g };

		rc = simple(g->store, &c, e);
		if (!rc)
			rc = answer_finish(g->answer, from, e);
	}
	answer_free(&g->answer);
	buf_release(&query);
	buf_release(&prefix);
	return rc;
}

static enum err_code s3_list(struct store *base, const char *folder, store_visit visit, void *ctx, struct err *e)
{
	struct listing g = { s3_of(base), STORE_FOUND, NULL };
	struct buf from = BUF_EMPTY;
	enum err_code rc;

	do
		rc = list_page(&g, folder, 1000, &from, e);
	while (!rc && from.len);
	if (!rc)
		rc = store_found_visit(&g.objects, visit, ctx, e);
	buf_release(&g.objects);
	buf_release(&from);
	return rc;
}

/* ---- drafts ---- */

static enum err_code all_of(struct store_draft *d, struct span *out, struct err *e)
{
	struct spool *spool;
	enum err_code rc = spool_draft_end(d, &spool, e);

	return rc ? rc : spool_map(spool, out, e);
}

static enum err_code s3_draft_commit(struct store_draft *base, const char *name, struct err *e)
{
	struct span bytes;
	enum err_code rc = all_of(base, &bytes, e);

	return rc ? rc : put_bytes(s3_of(base->store), name, bytes, true, e);
}

/* NAME is copied by the server, before it is replaced. */
static enum err_code keep_damaged(struct s3_store *s, const char *name, char *kept, struct err *e)
{
	struct buf source = BUF_EMPTY;
	char there[STORE_NAME_MAX + 1];
	enum err_code rc = store_damaged_name(name, there, e);

	kept[0] = 0;
	if (!rc)
		rc = buf_append(&source, SPAN_LIT("x-amz-copy-source: /"), e);
	if (!rc)
		rc = text_url(&source, buf_span(&s->bucket), "/", e);
	if (!rc)
		rc = buf_append(&source, SPAN_LIT("/"), e);
	if (!rc)
		rc = text_url(&source, buf_span(&s->prefix), "/", e);
	if (!rc)
		rc = text_url(&source, span_cstr(name), "/", e);
	if (!rc)
		rc = buf_append(&source, span_of("", 1), e);
	if (!rc) {
		const char *const headers[] = { (const char *)source.ptr, NULL };
		const struct call c = { .method = "PUT",
			                .name = there,
			                .headers = headers,
			                .answer_max = 64 * KIB,
			                .take = look_for_error,
			                .ctx = s };

		rc = simple(s, &c, e);
	}
	buf_release(&source);
	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	if (!rc)
		memcpy(kept, there, strlen(there) + 1);
	return rc;
}

static enum err_code s3_draft_put_back(struct store_draft *base, const char *name, char *kept, struct err *e)
{
	struct s3_store *s = s3_of(base->store);
	struct span bytes;
	enum err_code rc = all_of(base, &bytes, e);

	if (!rc && kept)
		rc = keep_damaged(s, name, kept, e);
	return rc ? rc : put_bytes(s, name, bytes, false, e);
}

/* ---- opening ---- */

static void drop_clients(struct s3_store *s)
{
	for (unsigned i = 0; i < LINES; i++) {
		http_free(&s->clients[i]);
		s->lines.open[i] = false;
	}
}

static void s3_free(struct store *base)
{
	struct s3_store *s = s3_of(base);

	drop_clients(s);
	buf_release(&s->path);
	buf_release(&s->bucket);
	buf_release(&s->prefix);
	credentials_wipe(&s->who);
	lines_release(&s->lines);
	mem_free(s);
}

static void find_region(struct s3_store *s)
{
	const char *given = getenv("AWS_REGION"), *usual = getenv("AWS_DEFAULT_REGION");
	const char *region = given && *given ? given : usual && *usual ? usual : REGION_USUAL;

	snprintf(s->region, sizeof s->region, "%s", region);
}

/* BUCKET[/PREFIX]. */
static enum err_code take_place(struct s3_store *s, const char *place, struct err *e)
{
	size_t bucket = strcspn(place, "/"), len = strlen(place);
	enum err_code rc;

	while (len > bucket && place[len - 1] == '/')
		len--;
	if (bucket < 3 || bucket > 63)
		return err_set(e, ERR_USAGE, "%s names no bucket (3 to 63 characters)", s->url);
	rc = buf_append(&s->bucket, span_of(place, bucket), e);
	if (!rc && len > bucket)
		rc = buf_printf(&s->prefix, e, "%.*s/", (int)(len - bucket - 1), place + bucket + 1);
	if (!rc && s->prefix.len > S3_KEY_MAX - STORE_NAME_MAX)
		rc = err_set(e, ERR_USAGE, "the prefix in %s is longer than %d bytes", s->url,
		             S3_KEY_MAX - STORE_NAME_MAX);
	return rc;
}

/* At Amazon the host names the bucket, unless a '.' in it would not go with the certificate. */
static enum err_code set_amazon(struct s3_store *s, struct err *e)
{
	bool in_path = memchr(s->bucket.ptr, '.', s->bucket.len) != NULL;

	snprintf(s->host, sizeof s->host, "%.*s%ss3.%s.amazonaws.com", in_path ? 0 : (int)s->bucket.len,
	         (const char *)s->bucket.ptr, in_path ? "" : ".", s->region);
	snprintf(s->host_header, sizeof s->host_header, "%s", s->host);
	return in_path ? buf_printf(&s->path, e, "/%.*s", (int)s->bucket.len, (const char *)s->bucket.ptr) : ERR_OK;
}

static enum err_code set_server(struct s3_store *s, const struct net_url *u, struct err *e)
{
	bool v6 = strchr(u->host, ':') != NULL;
	bool usual = !*u->port || !strcmp(u->port, s->clear ? "80" : "443");

	snprintf(s->host, sizeof s->host, "%s", u->host);
	snprintf(s->port, sizeof s->port, "%s", u->port);
	snprintf(s->host_header, sizeof s->host_header, "%s%s%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "",
	         usual ? "" : ":", usual ? "" : u->port);
	return buf_printf(&s->path, e, "/%.*s", (int)s->bucket.len, (const char *)s->bucket.ptr);
}

static enum err_code read_url(struct s3_store *s, struct err *e)
{
	char place[2048];
	struct net_url u;
	enum err_code rc = net_url_parse(s->url, &u, e);

	if (rc)
		return rc;
	if (*u.user)
		return err_set(e, ERR_USAGE, "%s: a user has no place in it; the credentials say who one is", s->url);
	find_region(s);
	if (strcmp(u.scheme, "s3") == 0) {
		if (*u.port)
			return err_set(e, ERR_USAGE,
			               "%s: s3:// is Amazon's; for another server: s3+https://HOST:PORT/BUCKET",
			               s->url);
		snprintf(place, sizeof place, "%s/%s", u.host, u.path);
		rc = take_place(s, place, e);
		return rc ? rc : set_amazon(s, e);
	}
	s->clear = strcmp(u.scheme, "s3+http") == 0;
	rc = take_place(s, u.path, e);
	return rc ? rc : set_server(s, &u, e);
}

static enum err_code s3_open(const char *url, struct store **out, struct err *e)
{
	struct s3_store *s = mem_zalloc(1, sizeof *s);
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->url = url;
	lines_init(&s->lines, LINES);
	rc = read_url(s, e);
	if (!rc)
		rc = credentials_find(&s->who, e);
	if (rc) {
		s3_free(&s->base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}

struct writer {
	struct s3_store *store;
	const char *name;
	enum err_code rc;
	struct err err;
};

static void *create_once(void *arg)
{
	struct writer *w = arg;

	w->rc = put_bytes(w->store, w->name, SPAN_LIT("who is first?"), true, &w->err);
	return NULL;
}

/* One name, eight at once: one has to win and all others to be told so. */
static enum err_code prove_round(struct s3_store *s, struct err *e)
{
	struct writer writers[PROOF_WRITERS];
	pthread_t threads[PROOF_WRITERS];
	char drawn[STORE_TEMP_NAME_MAX], name[STORE_TEMP_NAME_MAX + 16];
	size_t started = 0, won = 0, lost = 0;
	struct err ignored;

	if (!store_temp_name(drawn))
		return err_set(e, ERR_IO, "the system has no random numbers");
	snprintf(name, sizeof name, "probe/%s", drawn + sizeof STORE_TEMP_FOLDER);
	for (; started < PROOF_WRITERS; started++) {
		writers[started] = (struct writer){ .store = s, .name = name };
		if (pthread_create(&threads[started], NULL, create_once, &writers[started]))
			break;
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		won += writers[i].rc == ERR_OK;
		lost += writers[i].rc == ERR_EXISTS;
	}
	(void)!s3_delete(&s->base, name, &ignored);
	if (started < PROOF_WRITERS)
		return err_set(e, ERR_NO_MEMORY, "cannot start %d threads to try the server", PROOF_WRITERS);
	for (size_t i = 0; i < started; i++)
		if (writers[i].rc && writers[i].rc != ERR_EXISTS) {
			*e = writers[i].err;
			return e->code;
		}
	if (won == 1 && won + lost == started)
		return ERR_OK;
	return err_set(
	        e, ERR_UNSUPPORTED,
	        "%s: of %zu that created one name at the same moment %zu were told that they had: the server does "
	        "not heed If-None-Match, so that two machines could destroy each other's objects",
	        s->url, started, won);
}

static enum err_code check_empty(struct s3_store *s, struct err *e)
{
	struct listing g = { s, BUF_EMPTY, NULL };
	struct buf from = BUF_EMPTY;
	enum err_code rc = list_page(&g, "", 5, &from, e);

	if (!rc && (g.objects.len || from.len))
		rc = err_set(e, ERR_EXISTS, "%s is not empty: a new repository needs a prefix of its own", s->url);
	buf_release(&g.objects);
	buf_release(&from);
	return rc;
}

static enum err_code s3_create(const char *url, struct store **out, struct err *e)
{
	struct store *made;
	struct s3_store *s;
	enum err_code rc = s3_open(url, &made, e);

	if (rc)
		return rc;
	s = s3_of(made);
	rc = check_empty(s, e);
	for (int i = 0; !rc && i < PROOF_ROUNDS; i++)
		rc = prove_round(s, e);
	/* They were opened before anybody could say when to stop. */
	drop_clients(s);
	if (rc)
		s3_free(&s->base);
	else
		*out = made;
	return rc;
}

/* clang-format off */
#define S3_KIND(scheme)                         \
	{                                       \
		.prefix = (scheme),             \
		.far = true,                    \
		.open = s3_open,                \
		.create = s3_create,            \
		.free = s3_free,                \
		.put = s3_put,                  \
		.get = s3_get,                  \
		.get_range = s3_get_range,      \
		.size = s3_size,                \
		.delete = s3_delete,            \
		.list = s3_list,                \
		.draft_open = spool_draft_open, \
		.draft_write = spool_draft_write, \
		.draft_size = spool_draft_size, \
		.draft_read = spool_draft_read, \
		.draft_commit = s3_draft_commit, \
		.draft_put_back = s3_draft_put_back, \
		.draft_free = spool_draft_free, \
	}
/* clang-format on */

const struct store_kind store_s3 = S3_KIND("s3://");
const struct store_kind store_s3_https = S3_KIND("s3+https://");
const struct store_kind store_s3_http = S3_KIND("s3+http://");
