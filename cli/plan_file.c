#include "plan_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

struct loading {
	struct plan_file *to;
	const char *path;
	uint64_t line;
	bool ended; /* its summary was there */
};

/* A collection, or with a KEY an item: the NUL between cannot stand in a path. */
static enum err_code name_key(struct span collection, struct span key, bool is_item, uint8_t out[IDMAP_KEY_BYTES],
                              struct err *e)
{
	struct buf name = BUF_EMPTY;
	enum err_code rc = buf_append(&name, collection, e);

	if (!rc && is_item)
		rc = buf_append(&name, span_of("", 1), e);
	if (!rc)
		rc = buf_append(&name, key, e);
	memset(out, 0, IDMAP_KEY_BYTES);
	if (!rc)
		hash128(buf_span(&name), out);
	buf_release(&name);
	return rc;
}

static enum err_code bad(const struct loading *k, const char *what, struct err *e)
{
	return err_set(e, ERR_USAGE, "%s, line %llu: %s; a plan is what `restore --plan=FILE` writes", k->path,
	               (unsigned long long)k->line, what);
}

static enum err_code name_of(const struct loading *k, const json_t *row, const char *member, struct buf *out,
                             struct err *e)
{
	const char *text = json_string_value(json_object_get(row, member));

	return text ? text_unpercent(out, span_cstr(text), e) : bad(k, "it lacks a name", e);
}

/* Lines that something is to be done for. */
static bool is_to_do(const char *type, const json_t *row)
{
	return !strcmp(type, "put") || !strcmp(type, "renamed") ||
	       (!strcmp(type, "present") && json_array_size(json_object_get(row, "changes")) > 0);
}

static enum err_code take_summary(struct loading *k, const json_t *row, struct err *e)
{
	const char *snapshot = json_string_value(json_object_get(row, "snapshot"));
	const char *to = json_string_value(json_object_get(row, "to"));
	const char *into = json_string_value(json_object_get(row, "into"));
	enum err_code rc;

	if (!snapshot || strlen(snapshot) != sizeof k->to->snapshot - 1 || !to || !into ||
	    !json_is_true(json_object_get(row, "plan")))
		return bad(k, "its summary is none of a plan", e);
	memcpy(k->to->snapshot, snapshot, sizeof k->to->snapshot);
	rc = buf_append(&k->to->to, span_of(to, strlen(to) + 1), e);
	if (!rc)
		rc = buf_append(&k->to->into, span_of(into, strlen(into) + 1), e);
	k->ended = true;
	return rc;
}

static enum err_code take_line(struct loading *k, const json_t *row, struct err *e)
{
	const char *type = json_string_value(json_object_get(row, "type"));
	struct buf collection = BUF_EMPTY, key = BUF_EMPTY;
	uint8_t hash[IDMAP_KEY_BYTES];
	uint64_t known;
	bool item;
	enum err_code rc;

	if (!type)
		return bad(k, "it has no type", e);
	if (!strcmp(type, "summary"))
		return take_summary(k, row, e);
	item = is_to_do(type, row);
	if (!item && strcmp(type, "collection") != 0)
		return ERR_OK;
	rc = name_of(k, row, "collection", &collection, e);
	if (!rc && item)
		rc = name_of(k, row, "key", &key, e);
	if (!rc)
		rc = name_key(buf_span(&collection), buf_span(&key), item, hash, e);
	if (!rc && !idmap_get(&k->to->wanted, hash, &known)) {
		rc = idmap_put(&k->to->wanted, hash, 1, e);
		k->to->items += !rc && item;
	}
	buf_release(&collection);
	buf_release(&key);
	return rc;
}

static enum err_code read_lines(struct loading *k, FILE *file, struct err *e)
{
	char *line = mem_alloc(PLAN_LINE_BYTES_MAX);
	enum err_code rc = line ? ERR_OK : err_no_memory(e, PLAN_LINE_BYTES_MAX);

	while (!rc && fgets(line, PLAN_LINE_BYTES_MAX, file)) {
		size_t len = strlen(line);
		json_t *row;

		k->line++;
		if (!len || line[len - 1] != '\n') {
			rc = bad(k, "it is cut, or too long", e);
			break;
		}
		if (len == 1)
			continue;
		row = json_loadb(line, len, 0, NULL);
		rc = json_is_object(row) ? take_line(k, row, e) : bad(k, "it is no JSON object", e);
		json_decref(row);
	}
	if (!rc && ferror(file))
		rc = err_sys(e, errno, "cannot read %s", k->path);
	mem_free(line);
	return rc;
}

enum err_code plan_file_load(const char *path, struct plan_file *out, struct err *e)
{
	struct loading k = { .to = out, .path = path };
	FILE *file = fopen(path, "re");
	enum err_code rc;

	*out = (struct plan_file){ .to = BUF_EMPTY };
	if (!file)
		return err_sys(e, errno, "cannot read %s", path);
	rc = read_lines(&k, file, e);
	fclose(file);
	return rc || k.ended ? rc : bad(&k, "the last line, the summary, is missing", e);
}

void plan_file_release(struct plan_file *p)
{
	idmap_release(&p->wanted);
	buf_release(&p->to);
	buf_release(&p->into);
}

bool plan_file_wants(void *ctx, struct span collection, struct span key)
{
	struct plan_file *p = ctx;
	uint8_t hash[IDMAP_KEY_BYTES];
	struct err ignored;
	uint64_t value;
	bool wanted = !name_key(collection, key, key.len > 0, hash, &ignored) && idmap_get(&p->wanted, hash, &value);

	p->met += wanted && key.len;
	return wanted;
}
