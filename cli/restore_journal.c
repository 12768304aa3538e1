#include "restore_journal.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "output.h"

enum { JOURNAL_BYTES_MAX = 64 * 1024 };

const char *restore_target_path(const char *target)
{
	static const char *const schemes[] = { "maildir:", "mbox:", "files:" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (!strncmp(target, schemes[i], strlen(schemes[i])))
			return target + strlen(schemes[i]);
	return strstr(target, "://") ? NULL : target;
}

/* The real path, also of what is not there yet: the longest part that exists is resolved, the rest is kept. */
static void real_target(const char *target, char *out, size_t max)
{
	const char *path = restore_target_path(target);
	char copy[PATH_MAX + 2], *real = NULL, *slash;
	size_t kept;

	if (!path || strlen(path) >= PATH_MAX) {
		snprintf(out, max, "%s", target);
		return;
	}
	snprintf(copy, sizeof copy, "%s%.*s", path[0] == '/' ? "" : "./", PATH_MAX - 1, path);
	kept = strlen(copy);
	while (kept > 1 && copy[kept - 1] == '/')
		copy[--kept] = 0;
	for (;;) {
		char cut = copy[kept];

		copy[kept] = 0;
		real = realpath(kept ? copy : "/", NULL);
		copy[kept] = cut;
		slash = kept ? memrchr(copy, '/', kept) : NULL;
		if (real || !slash)
			break;
		kept = (size_t)(slash - copy);
	}
	if (real && !strcmp(real, "/") && copy[kept])
		*real = 0; /* the rest brings its own */
	snprintf(out, max, "%s%s", real ? real : "", copy + (real ? kept : 0));
	free(real);
}

static enum err_code state_folder(struct buf *out, struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && state[0] == '/')
		return buf_printf(out, e, "%s/mailhold/restore", state);
	if (home && home[0] == '/')
		return buf_printf(out, e, "%s/.local/state/mailhold/restore", home);
	return ERR_OK;
}

static enum err_code name_file(struct restore_journal *j, struct err *e)
{
	struct buf folder = BUF_EMPTY, what = BUF_EMPTY;
	uint8_t hash[16];
	char hex[33];
	enum err_code rc = state_folder(&folder, e);

	if (!rc)
		rc = buf_printf(&what, e, "%s\n%s\n%s", j->repo, j->snapshot, j->target);
	if (rc || folder.len == 0)
		goto done;
	hash128(buf_span(&what), hash);
	text_hex(span_of(hash, sizeof hash), hex);
	if (folder.len + sizeof "/.json" + sizeof hex > sizeof j->file)
		rc = err_set(e, ERR_LIMIT, "the path of the state folder is too long");
	else
		snprintf(j->file, sizeof j->file, "%.*s/%s.json", (int)folder.len, (const char *)folder.ptr, hex);
done:
	buf_release(&folder);
	buf_release(&what);
	return rc;
}

/* True when JSON is this very restore's journal. */
static bool is_ours(const struct restore_journal *j, const json_t *json)
{
	const char *repo = json_string_value(json_object_get(json, "repository"));
	const char *snapshot = json_string_value(json_object_get(json, "snapshot"));
	const char *into = json_string_value(json_object_get(json, "into"));

	return json_integer_value(json_object_get(json, "version")) == 1 && repo && !strcmp(repo, j->repo) &&
	       snapshot && !strcmp(snapshot, j->snapshot) && into;
}

/*
 * NULL with ERR_OK: this is no JSON. Short of memory, jansson calls good tokens invalid, and may even leave a byte out of a
 * name or a value and say that all went well. So it is asked twice, and believed when it says the same.
 */
static enum err_code parse(struct span text, json_t **out, struct err *e)
{
	json_error_t why = { 0 };
	json_t *first = json_loadb((const char *)text.ptr, text.len, 0, &why);
	json_t *second = json_loadb((const char *)text.ptr, text.len, 0, &why);
	/* It says what is wrong with a text; without a word it was short of memory. */
	bool same = first && second ? json_equal(first, second) : !first && !second && why.text[0];

	json_decref(first);
	if (same) {
		*out = second;
		return ERR_OK;
	}
	json_decref(second);
	return err_no_memory(e, text.len);
}

static enum err_code load(struct restore_journal *j, struct err *e)
{
	struct buf text = BUF_EMPTY;
	json_t *json = NULL;
	const char *into;
	enum err_code rc = *j->file ? file_read(j->file, JOURNAL_BYTES_MAX, &text, e) : ERR_NOT_FOUND;

	if (rc) {
		buf_release(&text);
		/* Going on without one that is there would put everything a second time, into another folder. */
		return rc == ERR_NOT_FOUND || rc == ERR_LIMIT ? ERR_OK : rc;
	}
	rc = parse(buf_span(&text), &json, e);
	if (json && is_ours(j, json)) {
		into = json_string_value(json_object_get(json, "into"));
		rc = buf_append(&j->into, span_of(into, strlen(into) + 1), e);
		j->found = !rc;
	}
	json_decref(json);
	buf_release(&text);
	return rc;
}

enum err_code restore_journal_open(struct restore_journal *j, const struct repo_id *repo,
                                   const struct snapshot_id *snapshot, const char *target, struct err *e)
{
	enum err_code rc;

	*j = (struct restore_journal){ .into = BUF_EMPTY };
	text_hex(span_of(repo->bytes, sizeof repo->bytes), j->repo);
	text_hex(span_of(snapshot->bytes, sizeof snapshot->bytes), j->snapshot);
	real_target(target, j->target, sizeof j->target);
	rc = name_file(j, e);
	return rc ? rc : load(j, e);
}

static enum err_code write_file(const struct restore_journal *j, struct span text, struct err *e)
{
	char folder[sizeof j->file];
	enum err_code rc;

	snprintf(folder, sizeof folder, "%s", j->file);
	*strrchr(folder, '/') = 0;
	rc = file_make_folders(folder, 0700, e);
	if (!rc)
		rc = file_replace(j->file, text, 0600, true, e);
	return rc ? err_note(e, "noting where this restore goes") : ERR_OK;
}

enum err_code restore_journal_save(struct restore_journal *j, const char *into, struct err *e)
{
	/* A target that is no UTF-8 is told in part only: it is there for people; the file's name is what counts. */
	json_t *json = json_pack("{s:i,s:s,s:s,s:s*,s:s}", "version", 1, "repository", j->repo, "snapshot", j->snapshot,
	                         "target", text_is_utf8(span_cstr(j->target)) ? j->target : NULL, "into", into);
	struct buf text = BUF_EMPTY;
	enum err_code rc = json_text(json, JSON_INDENT(1), &text, e);

	if (!rc && *j->file)
		rc = write_file(j, buf_span(&text), e);
	buf_release(&text);
	json_decref(json);
	return rc;
}

void restore_journal_release(struct restore_journal *j)
{
	buf_release(&j->into);
}
