/* store: the door. Finds the kind of store that a URL names, and checks names once for all kinds. */
#include "store.h"
#include "retry.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/contract/contract.h"
#include "store/folder/folder.h"
#include "store/s3/s3.h"
#include "store/sftp/sftp.h"

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

/* Somebody has the name. After a try whose outcome nobody knows it may be ours: it is when it holds what we put. */
static enum err_code ours_after_all(struct store *s, const char *name, struct span bytes, struct err *e)
{
	struct buf there = BUF_WITH_MAX(bytes.len + 1);
	struct err exists = *e, ignored;
	bool same = !s->kind->get(s, name, bytes.len, &there, &ignored) && span_equal(buf_span(&there), bytes);

	buf_release(&there);
	if (same)
		return ERR_OK;
	*e = exists;
	return e->code;
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
	if (rc == ERR_EXISTS && again.tries)
		rc = ours_after_all(s, name, bytes, e);
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

/* As ours_after_all. Names of packs are drawn by chance, so that one of the same size is the one that we sent. */
static enum err_code ours_by_size(const struct store_draft *d, const char *name, struct err *e)
{
	struct err exists = *e, ignored;
	uint64_t bytes;

	if (!d->store->kind->size(d->store, name, &bytes, &ignored) && bytes == d->store->kind->draft_size(d))
		return ERR_OK;
	*e = exists;
	return e->code;
}

enum err_code store_draft_commit(struct store_draft **d, const char *name, struct err *e)
{
	struct retry again = patience((*d)->store);
	enum err_code rc = check_name(name, e);

	if (!rc) {
		do
			rc = (*d)->store->kind->draft_commit(*d, name, e);
		while (once_more((*d)->store, rc, &again, e));
		if (rc == ERR_EXISTS && again.tries)
			rc = ours_by_size(*d, name, e);
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
