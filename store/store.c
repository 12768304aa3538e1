/* store: the door. Finds the kind of store that a URL names, and checks names once for all kinds. */
#include "store.h"
#include "retry.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "store/contract/contract.h"
#include "store/folder/folder.h"
#include "store/s3/s3.h"
#include "store/sftp/sftp.h"

/* Of what is there and of what was sent, at once. */
#define COMPARE_BYTES (256 * KIB)

static const struct store_kind *const kinds[] = { &store_sftp, &store_s3, &store_s3_https, &store_s3_http,
	                                          &store_folder };

static bool has_scheme(const char *url)
{
	size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	return scheme && strncmp(url + scheme, "://", 3) == 0;
}

static const struct store_kind *kind_of(const char *url, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->prefix && strncmp(url, kinds[i]->prefix, strlen(kinds[i]->prefix)) == 0)
			return kinds[i];
	if (has_scheme(url)) {
		err_set(e, ERR_UNSUPPORTED, "there is no store of kind '%.*s'", (int)strcspn(url, ":"), url);
		return NULL;
	}
	return &store_folder;
}

static enum err_code open_as(const char *url, bool create, struct store **out, struct err *e)
{
	const struct store_kind *kind = kind_of(url, e);
	size_t bytes = strlen(url) + 1;
	struct retry again = { 0 };
	enum err_code rc;
	char *copy;

	if (!kind)
		return e->code;
	again.far = kind->far;
	copy = mem_alloc(bytes);
	if (!copy)
		return err_no_memory(e, bytes);
	memcpy(copy, url, bytes);
	do
		rc = create ? kind->create(copy, out, e) : kind->open(copy, out, e);
	while (rc && retry_again(&again, e));
	if (rc) {
		mem_free(copy);
		return e->code;
	}
	(*out)->kind = kind;
	(*out)->url = copy;
	return ERR_OK;
}

enum err_code store_open(const char *url, struct store **out, struct err *e)
{
	return open_as(url, false, out, e);
}

enum err_code store_create(const char *url, struct store **out, struct err *e)
{
	return open_as(url, true, out, e);
}

void store_free(struct store **s)
{
	char *url;

	if (!*s)
		return;
	url = (*s)->url;
	(*s)->kind->free(*s);
	mem_free(url);
	*s = NULL;
}

const char *store_url(const struct store *s)
{
	return s->url;
}

static enum err_code check_name(const char *name, struct err *e)
{
	if (store_name_ok(name))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "'%s' cannot be the name of an object",
	               text_name(span_of(name, strnlen(name, STORE_NAME_MAX + 1))).text);
}

void store_stop_flag(struct store *s, const volatile sig_atomic_t *flag)
{
	if (!s->stop)
		s->stop = flag;
}

static struct retry patience(const struct store *s)
{
	return (struct retry){ .far = s->kind->far, .met = atomic_load(&s->met), .stop = s->stop };
}

/* After each try: whether to try once more. What is no matter of the line is an answer. */
static bool once_more(struct store *s, enum err_code rc, struct retry *again, struct err *e)
{
	if (s->kind->far && (!rc || e->retry == ERR_RETRY_NEVER))
		atomic_store(&s->met, true);
	return rc && retry_again(again, e);
}

/*
 * Somebody has the name. Far away it may be ours: of a try that seemed to fail, or of a request that reached the server twice (libcurl
 * says one again when the connection that it kept turns out to be gone). It is ours when it holds what we put: no two writers create
 * the same bytes under one name.
 */
static bool holds(struct store *s, const char *name, struct span bytes)
{
	struct buf there = BUF_WITH_MAX(bytes.len + 1);
	struct err ignored;
	bool same = !store_get(s, name, bytes.len, &there, &ignored) && span_equal(buf_span(&there), bytes);

	buf_release(&there);
	return same;
}

enum err_code store_put(struct store *s, const char *name, struct span bytes, struct err *e)
{
	struct retry again = patience(s);
	enum err_code rc = check_name(name, e);

	if (rc)
		return rc;
	do
		rc = s->kind->put(s, name, bytes, e);
	while (once_more(s, rc, &again, e));
	if (rc == ERR_EXISTS && s->kind->far && holds(s, name, bytes))
		rc = ERR_OK;
	return rc ? e->code : ERR_OK;
}

enum err_code store_get(struct store *s, const char *name, size_t max, struct buf *out, struct err *e)
{
	struct retry again = patience(s);
	size_t start = out->len;
	enum err_code rc = check_name(name, e);

	if (rc)
		return rc;
	do {
		out->len = start;
		rc = s->kind->get(s, name, max, out, e);
	} while (once_more(s, rc, &again, e));
	if (!rc)
		return ERR_OK;
	out->len = start;
	return e->code;
}

enum err_code store_get_range(struct store *s, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                              struct err *e)
{
	struct retry again = patience(s);
	enum err_code rc = check_name(name, e);

	if (rc)
		return rc;
	do
		rc = s->kind->get_range(s, name, offset, len, dst, e);
	while (once_more(s, rc, &again, e));
	return rc ? e->code : ERR_OK;
}

enum err_code store_size(struct store *s, const char *name, uint64_t *bytes, struct err *e)
{
	struct retry again = patience(s);
	enum err_code rc = check_name(name, e);

	if (rc)
		return rc;
	do
		rc = s->kind->size(s, name, bytes, e);
	while (once_more(s, rc, &again, e));
	return rc ? e->code : ERR_OK;
}

enum err_code store_delete(struct store *s, const char *name, struct err *e)
{
	struct retry again = patience(s);
	enum err_code rc = check_name(name, e);

	if (rc)
		return rc;
	do
		rc = s->kind->delete (s, name, e);
	while (once_more(s, rc, &again, e));
	return rc ? e->code : ERR_OK;
}

void store_drop_empty_folder(struct store *s, const char *folder)
{
	if (store_name_ok(folder) && s->kind->drop_empty_folder)
		s->kind->drop_empty_folder(s, folder);
}

enum err_code store_sync(struct store *s, const char *name, struct err *e)
{
	struct retry again = patience(s);
	enum err_code rc = check_name(name, e);

	if (rc || !s->kind->sync)
		return rc;
	do
		rc = s->kind->sync(s, name, e);
	while (once_more(s, rc, &again, e));
	return rc ? e->code : ERR_OK;
}

/* A listing that has begun to be told is not begun again. */
struct told {
	store_visit visit;
	void *ctx;
	bool any;
};

static enum err_code tell(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct told *t = ctx;

	t->any = true;
	return t->visit(t->ctx, name, bytes, e);
}

enum err_code store_list(struct store *s, const char *folder, store_visit visit, void *ctx, struct err *e)
{
	struct told t = { .visit = visit, .ctx = ctx };
	struct retry again = patience(s);
	enum err_code rc = *folder ? check_name(folder, e) : ERR_OK;

	if (rc)
		return rc;
	do
		rc = s->kind->list(s, folder, tell, &t, e);
	while (!t.any && once_more(s, rc, &again, e));
	return rc ? e->code : ERR_OK;
}

enum err_code store_draft_open(struct store *s, struct store_draft **out, struct err *e)
{
	enum err_code rc = s->kind->draft_open(s, out, e);

	if (!rc)
		(*out)->store = s;
	return rc;
}

enum err_code store_draft_write(struct store_draft *d, struct span bytes, struct err *e)
{
	return d->store->kind->draft_write(d, bytes, e);
}

void store_draft_hint(struct store_draft *d)
{
	if (d->store->kind->draft_hint)
		d->store->kind->draft_hint(d);
}

static bool holds_draft(const struct store_draft *d, const char *name)
{
	const struct store_kind *kind = d->store->kind;
	uint64_t size = kind->draft_size(d), there = 0;
	uint8_t *room = mem_alloc(2 * COMPARE_BYTES);
	struct err ignored;
	bool same = room && !store_size(d->store, name, &there, &ignored) && there == size;

	for (uint64_t at = 0; same && at < size; at += COMPARE_BYTES) {
		size_t n = (size_t)num_min(COMPARE_BYTES, size - at);

		same = !kind->draft_read(d, at, n, room, &ignored) &&
		       !store_get_range(d->store, name, at, n, room + COMPARE_BYTES, &ignored) &&
		       !memcmp(room, room + COMPARE_BYTES, n);
	}
	mem_free(room);
	return same;
}

enum err_code store_draft_commit(struct store_draft **d, const char *name, struct err *e)
{
	struct retry again = patience((*d)->store);
	enum err_code rc = check_name(name, e);

	if (!rc) {
		do
			rc = (*d)->store->kind->draft_commit(*d, name, e);
		while (once_more((*d)->store, rc, &again, e));
		if (rc == ERR_EXISTS && (*d)->store->kind->far && holds_draft(*d, name))
			rc = ERR_OK;
	}
	store_draft_free(d);
	return rc ? e->code : ERR_OK;
}

enum err_code store_draft_put_back(struct store_draft **d, const char *name, char *kept, struct err *e)
{
	enum err_code rc = check_name(name, e);

	if (!rc)
		rc = (*d)->store->kind->draft_put_back(*d, name, kept, e);
	store_draft_free(d);
	return rc;
}

void store_draft_free(struct store_draft **d)
{
	if (!*d)
		return;
	(*d)->store->kind->draft_free(*d);
	*d = NULL;
}
