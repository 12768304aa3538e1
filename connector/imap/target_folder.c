#include "target_folder.h"

#include <stdio.h>

#include "base/text.h"
#include "folder_name.h"
#include "namespace.h"

enum { TWINS_MAX = 1000 };

/* Without NAMESPACE: levels as the folders that there are have them. */
static void guess_delimiter(struct target_names *t)
{
	struct span value;

	for (size_t i = 0; !t->delimiter && i < t->folders.outline.count; i++)
		if (outline_find(&t->folders.outline.collections[i], SPAN_LIT("imap:delimiter"), &value) &&
		    value.len == 1)
			t->delimiter = (char)value.ptr[0];
}

enum err_code target_names_load(struct imap_client *c, struct target_names *t, struct err *e)
{
	enum err_code rc = folders_load_names(c, &t->folders, e);

	if (!rc)
		rc = namespace_ask(c, &t->prefix, &t->delimiter, e);
	if (!rc)
		guess_delimiter(t);
	return rc;
}

void target_names_release(struct target_names *t)
{
	folders_release(&t->folders);
	buf_release(&t->prefix);
	buf_release(&t->moved);
	buf_release(&t->raws);
}

void target_folder_release(struct target_folder *f)
{
	buf_release(&f->raw);
	buf_release(&f->path);
}

/* ---- names ---- */

const char *target_role_word(enum collection_role role)
{
	static const char *const words[] = { [ROLE_SENT] = "\\Sent",
		                             [ROLE_DRAFTS] = "\\Drafts",
		                             [ROLE_TRASH] = "\\Trash",
		                             [ROLE_JUNK] = "\\Junk",
		                             [ROLE_ARCHIVE] = "\\Archive" };

	return (size_t)role < ARRAY_LEN(words) ? words[role] : NULL;
}

/* The place of RAW among the folders that there are; SIZE_MAX: it is none. */
static size_t place_of(const struct target_names *t, struct span raw)
{
	for (size_t i = 0; i < t->folders.outline.count; i++)
		if (span_equal(t->folders.outline.raws[i], raw))
			return i;
	return SIZE_MAX;
}

/* The folder of ROLE; when SAID only one of which the server says so. */
static size_t place_of_role(const struct target_names *t, enum collection_role role, bool said)
{
	struct span words;

	for (size_t i = 0; i < t->folders.outline.count; i++) {
		const struct collection *c = &t->folders.outline.collections[i];

		if (c->role == role && (!said || (outline_find(c, SPAN_LIT("imap:attributes"), &words) &&
		                                  text_contains_nocase(words, span_cstr(target_role_word(role))))))
			return i;
	}
	return SIZE_MAX;
}

static enum err_code take_place(const struct target_names *t, size_t i, struct target_folder *out, struct err *e)
{
	enum err_code rc;

	out->exists = true;
	out->renamed = false;
	buf_clear(&out->raw);
	buf_clear(&out->path);
	rc = buf_append(&out->raw, t->folders.outline.raws[i], e);
	return rc ? rc : buf_append(&out->path, t->folders.outline.collections[i].path, e);
}

/* Where the nearest folder above PATH went, when that is not its own name, and what is left of PATH. */
static bool moved_above(const struct target_names *t, struct span path, struct span *to, struct span *rest)
{
	struct span list = buf_span(&t->moved);
	bool any = false;
	size_t longest = 0;

	while (list.len) {
		struct span from = span_of(list.ptr, strlen((const char *)list.ptr)), where;

		list = span_skip(list, from.len + 1);
		where = span_of(list.ptr, strlen((const char *)list.ptr));
		list = span_skip(list, where.len + 1);
		if (from.len >= longest && span_starts(path, from) && path.len > from.len &&
		    path.ptr[from.len] == '/') {
			any = true;
			longest = from.len;
			*to = where;
			*rest = span_skip(path, from.len);
		}
	}
	return any;
}

static enum err_code remember_move(struct target_names *t, struct span from, struct span to, struct err *e)
{
	enum err_code rc;

	if (memchr(from.ptr, 0, from.len) || memchr(to.ptr, 0, to.len))
		return ERR_OK;
	rc = buf_append(&t->moved, from, e);
	if (!rc)
		rc = buf_append(&t->moved, span_of("", 1), e);
	if (!rc)
		rc = buf_append(&t->moved, to, e);
	return rc ? rc : buf_append(&t->moved, span_of("", 1), e);
}

static bool was_given(const struct target_names *t, struct span raw)
{
	struct span list = buf_span(&t->raws);

	while (list.len) {
		struct span one = span_of(list.ptr, strlen((const char *)list.ptr));

		if (span_equal(one, raw))
			return true;
		list = span_skip(list, one.len + 1);
	}
	return false;
}

static enum err_code remember_raw(struct target_names *t, struct span raw, struct err *e)
{
	enum err_code rc = buf_append(&t->raws, raw, e);

	return rc ? rc : buf_append(&t->raws, span_of("", 1), e);
}

/* The raw name of PATH, of which a level may have been changed: then never that of another collection. */
static enum err_code name_raw(struct target_names *t, struct span path, struct target_folder *out, struct err *e)
{
	bool inbox = span_equal(path, SPAN_LIT("INBOX"));
	size_t bare;
	enum err_code rc = ERR_OK;

	buf_clear(&out->raw);
	if (!inbox)
		rc = buf_append(&out->raw, buf_span(&t->prefix), e);
	if (!rc)
		rc = folder_raw(path, t->delimiter, &out->raw, &out->renamed, e);
	bare = out->raw.len;
	for (unsigned n = 2; !rc && out->renamed && was_given(t, buf_span(&out->raw)); n++) {
		out->raw.len = bare;
		rc = n > TWINS_MAX ? err_set(e, ERR_EXISTS, "too many folders would be called so")
		                   : buf_printf(&out->raw, e, "_%u", n);
	}
	return rc;
}

/* COLLECTION's path without the namespace that its server put in front of everything ("INBOX/Sent" of Courier is "Sent"). */
static enum err_code own_path(const struct collection *c, struct buf *out, struct err *e)
{
	struct span prefix, delimiter = SPAN_EMPTY;
	struct buf shown = BUF_EMPTY;
	struct span path = c->path;
	enum err_code rc = ERR_OK;

	if (outline_find(c, SPAN_LIT("imap:prefix"), &prefix)) {
		outline_find(c, SPAN_LIT("imap:delimiter"), &delimiter);
		rc = folder_path(prefix, delimiter.len ? (char)delimiter.ptr[0] : 0, &shown, e);
		if (!rc && span_starts(path, buf_span(&shown)) && path.len > shown.len)
			path = span_skip(path, shown.len);
	}
	if (!rc)
		rc = buf_append(out, path, e);
	buf_release(&shown);
	return rc;
}

/* By role: what the server calls so; a folder whose name only sounds so comes after one of the same name. */
static enum err_code by_role(struct target_names *t, const struct collection *c, bool said, struct target_folder *out,
                             struct err *e)
{
	size_t i;

	if (!target_role_word(c->role) || (t->roles & 1u << c->role))
		return ERR_OK;
	i = place_of_role(t, c->role, said);
	if (i == SIZE_MAX)
		return ERR_OK;
	t->roles |= 1u << c->role;
	out->by_role = true;
	return take_place(t, i, out, e);
}

static enum err_code by_name(struct target_names *t, struct span path, struct target_folder *out, struct err *e)
{
	struct span to, rest;
	size_t i;
	enum err_code rc;

	buf_clear(&out->path);
	if (moved_above(t, path, &to, &rest)) {
		rc = buf_append(&out->path, to, e);
		if (!rc)
			rc = buf_append(&out->path, rest, e);
	} else {
		rc = buf_append(&out->path, path, e);
	}
	if (!rc)
		rc = name_raw(t, buf_span(&out->path), out, e);
	if (rc)
		return rc;
	i = place_of(t, buf_span(&out->raw));
	out->exists = i != SIZE_MAX;
	return ERR_OK;
}

static enum err_code in_place(struct target_names *t, const struct collection *c, struct span path,
                              struct target_folder *out, struct err *e)
{
	enum err_code rc = by_role(t, c, true, out, e);

	if (!rc && !out->exists)
		rc = by_name(t, path, out, e);
	if (!rc && !out->exists)
		rc = by_role(t, c, false, out, e);
	if (!rc && !out->exists && target_role_word(c->role) && !(t->roles & 1u << c->role)) {
		t->roles |= 1u << c->role;
		out->give_role = c->role;
	}
	if (!rc && out->exists && c->role)
		t->roles |= 1u << c->role;
	if (!rc && out->by_role && span_equal(buf_span(&out->path), path))
		out->by_role = false;
	if (!rc && !span_equal(buf_span(&out->path), path))
		rc = remember_move(t, path, buf_span(&out->path), e);
	return rc;
}

enum err_code target_folder_find(struct target_names *t, const struct collection *c, const char *into,
                                 struct target_folder *out, struct err *e)
{
	struct buf path = BUF_EMPTY;
	enum err_code rc = *into ? buf_printf(&path, e, "%s/", into) : ERR_OK;

	*out = (struct target_folder){ .raw = BUF_EMPTY, .path = BUF_EMPTY };
	if (!rc)
		rc = own_path(c, &path, e);
	if (!rc)
		rc = *into ? by_name(t, buf_span(&path), out, e) : in_place(t, c, buf_span(&path), out, e);
	if (!rc)
		rc = remember_raw(t, buf_span(&out->raw), e);
	buf_release(&path);
	if (rc)
		target_folder_release(out);
	return rc;
}

enum err_code target_folder_rest(struct target_names *t, bool *found, struct target_folder *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	*out = (struct target_folder){ .raw = BUF_EMPTY, .path = BUF_EMPTY };
	*found = false;
	for (size_t i = 0; !rc && !*found && i < t->folders.outline.count; i++) {
		if (was_given(t, t->folders.outline.raws[i]))
			continue;
		*found = true;
		rc = take_place(t, i, out, e);
		if (!rc)
			rc = remember_raw(t, buf_span(&out->raw), e);
	}
	if (rc)
		target_folder_release(out);
	return rc;
}
