#include "folders.h"

#include <stdio.h>
#include <strings.h>

#include "base/hash.h"
#include "base/text.h"
#include "folder_name.h"

/* One LIST response. */
struct listed {
	struct buf name, attributes; /* attributes: as they were sent, a space between */
	char delimiter;              /* 0: none */
	enum collection_role role;
	bool readable, subscribed;
};

struct loading {
	struct folders *to;
	struct listed one;
	struct buf path;
};

static void name_key(struct span raw, uint8_t key[IDMAP_KEY_BYTES])
{
	memset(key, 0, IDMAP_KEY_BYTES);
	hash128(raw, key);
}

/* ---- LIST ---- */

/* What changes from day to day, or follows from the other folders: no part of what a folder is. */
static bool is_fleeting(struct span word)
{
	static const char *const names[] = { "\\Marked", "\\Unmarked", "\\HasChildren", "\\HasNoChildren" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_equal_nocase(word, span_cstr(names[i])))
			return true;
	return false;
}

static void take_attribute(struct listed *l, struct span word)
{
	static const struct {
		const char *name;
		enum collection_role role;
	} roles[] = {
		{ "\\Sent", ROLE_SENT }, { "\\Drafts", ROLE_DRAFTS },   { "\\Trash", ROLE_TRASH },
		{ "\\Junk", ROLE_JUNK }, { "\\Archive", ROLE_ARCHIVE },
	};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (text_equal_nocase(word, span_cstr(roles[i].name)))
			l->role = roles[i].role;
	if (text_equal_nocase(word, SPAN_LIT("\\Noselect")) || text_equal_nocase(word, SPAN_LIT("\\NonExistent")))
		l->readable = false;
	if (text_equal_nocase(word, SPAN_LIT("\\Subscribed")))
		l->subscribed = true;
}

static enum err_code read_attributes(struct wire *w, struct listed *l, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server listed a folder without attributes");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server listed a folder with strange attributes");
		if (is_fleeting(t.text))
			continue;
		take_attribute(l, t.text);
		if (l->attributes.len)
			rc = buf_append(&l->attributes, SPAN_LIT(" "), e);
		if (!rc)
			rc = buf_append(&l->attributes, t.text, e);
	}
	return rc;
}

static enum err_code read_string(struct wire *w, struct span *out, bool *is_nil, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	return rc ? rc : wire_text(w, &t, out, is_nil, e);
}

static enum err_code read_listed(struct wire *w, struct listed *l, struct err *e)
{
	struct span text;
	bool is_nil;
	enum err_code rc;

	buf_clear(&l->name);
	buf_clear(&l->attributes);
	l->delimiter = 0;
	l->role = ROLE_NONE;
	l->readable = true;
	l->subscribed = false;
	rc = read_attributes(w, l, e);
	if (!rc)
		rc = read_string(w, &text, &is_nil, e);
	if (!rc && !is_nil && text.len == 1)
		l->delimiter = (char)text.ptr[0];
	if (!rc)
		rc = read_string(w, &text, &is_nil, e);
	if (!rc)
		rc = buf_append(&l->name, text, e);
	return rc ? rc : wire_skip_line(w, e);
}

static enum err_code add_text(struct folders *f, const char *name, struct span value, struct err *e)
{
	return outline_attribute(&f->outline, span_cstr(name), value, e);
}

static enum err_code add_folder(struct loading *k, struct err *e)
{
	struct listed *l = &k->one;
	struct outline *o = &k->to->outline;
	struct collection *c;
	enum err_code rc;

	if (!l->readable || !l->name.len)
		return ERR_OK;
	buf_clear(&k->path);
	rc = folder_path(buf_span(&l->name), l->delimiter, &k->path, e);
	if (!rc && k->path.len > COLLECTION_PATH_BYTES_MAX)
		rc = err_set(e, ERR_LIMIT, "a folder's name has %zu bytes", k->path.len);
	if (!rc)
		rc = outline_add(o, buf_span(&k->path), buf_span(&l->name), KIND_MAIL, e);
	if (rc)
		return rc;
	/* What the server says is truer than what the name suggests. */
	c = &o->collections[o->count - 1];
	if (l->role)
		c->role = l->role;
	if (span_equal(c->path, SPAN_LIT("INBOX")))
		c->role = ROLE_INBOX;
	rc = add_text(k->to, "imap:name", buf_span(&l->name), e);
	if (!rc)
		rc = add_text(k->to, "imap:delimiter", span_of(&l->delimiter, l->delimiter != 0), e);
	return rc ? rc : add_text(k->to, "imap:attributes", buf_span(&l->attributes), e);
}

/* ---- STATUS ---- */

static enum err_code read_status_item(struct wire *w, struct span name, struct folder_status *s, struct err *e)
{
	char word[16];
	struct wire_token t;
	uint64_t value = 0;
	enum err_code rc;

	snprintf(word, sizeof word, "%.*s", (int)name.len, (const char *)name.ptr);
	rc = wire_next(w, &t, e);
	if (rc)
		return rc;
	if (t.kind != WIRE_ATOM || !text_number(t.text, UINT64_MAX, &value))
		return wire_skip_value(w, &t, e);
	if (!strcasecmp(word, "MESSAGES"))
		s->messages = (uint32_t)value;
	else if (!strcasecmp(word, "UIDNEXT"))
		s->uid_next = (uint32_t)value;
	else if (!strcasecmp(word, "UIDVALIDITY"))
		s->uid_validity = (uint32_t)value;
	else if (!strcasecmp(word, "HIGHESTMODSEQ"))
		s->mod_seq = value;
	return ERR_OK;
}

static enum err_code read_status(struct wire *w, struct buf *name, struct folder_status *s, struct err *e)
{
	struct wire_token t;
	struct span text;
	bool is_nil;
	enum err_code rc = read_string(w, &text, &is_nil, e);

	buf_clear(name);
	*s = (struct folder_status){ 0 };
	if (!rc)
		rc = buf_append(name, text, e);
	if (!rc)
		rc = wire_next(w, &t, e);
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a status without its list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		rc = t.kind == WIRE_ATOM ? read_status_item(w, t.text, s, e)
		                         : err_set(e, ERR_CORRUPT, "the server sent a strange status");
	}
	return rc ? rc : wire_skip_line(w, e);
}

static enum err_code add_status(struct folders *f, struct span raw, const struct folder_status *s, struct err *e)
{
	uint8_t key[IDMAP_KEY_BYTES];
	enum err_code rc = idmap_put(&f->by_name, (name_key(raw, key), key), f->statuses.len / sizeof *s, e);

	return rc ? rc : buf_append(&f->statuses, span_of(s, sizeof *s), e);
}

bool folders_status(const struct folders *f, struct span raw, struct folder_status *out)
{
	uint8_t key[IDMAP_KEY_BYTES];
	uint64_t place;

	name_key(raw, key);
	if (!idmap_get(&f->by_name, key, &place))
		return false;
	memcpy(out, f->statuses.ptr + place * sizeof *out, sizeof *out);
	return true;
}

/* ---- all of it ---- */

static enum err_code take_listed(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct loading *k = ctx;
	struct wire *w = imap_wire(c);
	struct folder_status s;
	enum err_code rc;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "LIST") == 0) {
		rc = read_listed(w, &k->one, e);
		return rc ? rc : add_folder(k, e);
	}
	if (strcmp(r->word, "STATUS") == 0) {
		rc = read_status(w, &k->one.name, &s, e);
		return rc ? rc : add_status(k->to, buf_span(&k->one.name), &s, e);
	}
	return wire_skip_line(w, e);
}

#define STATUS_ITEMS "MESSAGES UIDNEXT UIDVALIDITY"

enum err_code folders_load(struct imap_client *c, struct folders *out, struct err *e)
{
	struct loading k = { .to = out };
	unsigned have = imap_capabilities(c), tag;
	bool returns = (have & IMAP_LIST_EXTENDED) && (have & IMAP_LIST_STATUS);
	enum err_code rc;

	*out = (struct folders){ .outline = OUTLINE_EMPTY };
	if (returns)
		rc = imap_send(c, &tag, e, "LIST \"\" \"*\" RETURN (SUBSCRIBED%s STATUS (" STATUS_ITEMS "%s))",
		               have & IMAP_SPECIAL_USE ? " SPECIAL-USE" : "",
		               have & IMAP_CONDSTORE ? " HIGHESTMODSEQ" : "");
	else
		rc = imap_send(c, &tag, e, "LIST \"\" \"*\"");
	if (!rc)
		rc = imap_wait(c, tag, take_listed, &k, e);
	if (!rc)
		rc = outline_finish(&out->outline, e);
	buf_release(&k.one.name);
	buf_release(&k.one.attributes);
	buf_release(&k.path);
	return rc ? err_note(e, "while listing the folders") : ERR_OK;
}

void folders_release(struct folders *f)
{
	outline_release(&f->outline);
	buf_release(&f->statuses);
	idmap_release(&f->by_name);
}

struct asking {
	struct folder_status *out;
	struct buf name;
};

static enum err_code take_status(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct asking *a = ctx;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	return strcmp(r->word, "STATUS") ? wire_skip_line(imap_wire(c), e)
	                                 : read_status(imap_wire(c), &a->name, a->out, e);
}

enum err_code folder_ask_status(struct imap_client *c, struct span raw, struct folder_status *out, struct err *e)
{
	struct asking a = { .out = out };
	struct buf name = BUF_EMPTY;
	unsigned tag;
	enum err_code rc = imap_string(c, raw, &name, e);

	*out = (struct folder_status){ 0 };
	if (!rc)
		rc = imap_send(c, &tag, e, "STATUS %.*s (" STATUS_ITEMS "%s)", (int)name.len, (const char *)name.ptr,
		               imap_capabilities(c) & IMAP_CONDSTORE ? " HIGHESTMODSEQ" : "");
	if (!rc)
		rc = imap_wait(c, tag, take_status, &a, e);
	buf_release(&name);
	buf_release(&a.name);
	return rc;
}
