#include "folders.h"

#include <stdio.h>
#include <strings.h>

#include "base/hash.h"
#include "base/text.h"
#include "folder_name.h"
#include "namespace.h"

/* One LIST response. */
struct listed {
	struct buf name, attributes; /* attributes: as they were sent, a space between */
	char delimiter;              /* 0: none */
	enum collection_role role;
	bool readable, subscribed;
};

struct loading {
	struct folders *to;
	bool only_names;
	struct listed one;
	struct buf path, scratch;
	struct idmap subscribed; /* hashes of raw names that LSUB told */
};

#define ASKED_AT_ONCE 32 /* commands on their way together */

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
	uint8_t key[IDMAP_KEY_BYTES];
	uint64_t told;
	enum err_code rc = ERR_OK;

	name_key(buf_span(&l->name), key);
	if (!l->readable || !l->name.len || idmap_get(&k->to->listed, key, &told))
		return ERR_OK;
	if (!l->subscribed && idmap_get(&k->subscribed, key, &told))
		rc = buf_printf(&l->attributes, e, "%s\\Subscribed", l->attributes.len ? " " : "");
	if (rc)
		return rc;
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
	rc = idmap_put(&k->to->listed, key, o->count - 1, e);
	if (!rc)
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

/* ---- ACL, METADATA, QUOTA ---- */

/* The number of the folder whose name comes next; false: none that was listed. */
static enum err_code read_whose(struct loading *k, struct wire *w, bool *found, size_t *number, struct err *e)
{
	uint8_t key[IDMAP_KEY_BYTES];
	struct span name;
	uint64_t value;
	bool is_nil;
	enum err_code rc = read_string(w, &name, &is_nil, e);

	if (rc)
		return rc;
	if (text_equal_nocase(name, SPAN_LIT("INBOX")))
		name = SPAN_LIT("INBOX");
	name_key(name, key);
	*found = idmap_get(&k->to->listed, key, &value);
	*number = *found ? (size_t)value : 0;
	return ERR_OK;
}

/* "INBOX fred rwipslxetad joe lr": one line for each who may do something. */
static enum err_code take_acl(struct loading *k, struct wire *w, struct err *e)
{
	bool found, is_nil, second = false;
	struct wire_token t;
	struct span text;
	size_t number;
	enum err_code rc = read_whose(k, w, &found, &number, e);

	buf_clear(&k->scratch);
	for (; !rc; second = !second) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_END)
			break;
		rc = wire_text(w, &t, &text, &is_nil, e);
		if (!rc)
			rc = buf_append(&k->scratch, text, e);
		if (!rc)
			rc = buf_append(&k->scratch, second ? SPAN_LIT("\n") : SPAN_LIT(" "), e);
	}
	if (rc || !found || !k->scratch.len)
		return rc;
	return outline_attribute_of(&k->to->outline, number, SPAN_LIT("imap:acl"), buf_span(&k->scratch), e);
}

/* What a server notes for itself (sizes, times) is no part of what a folder is, and changes from day to day. */
static bool is_internal(struct span entry)
{
	struct span mark = SPAN_LIT("/vendor/cmu/cyrus-imapd/");

	for (size_t i = 0; i + mark.len <= entry.len; i++)
		if (text_equal_nocase(span_of(entry.ptr + i, mark.len), mark))
			return true;
	return false;
}

static enum err_code add_annotation(struct loading *k, struct wire *w, size_t number, bool found, struct err *e)
{
	size_t prefix = sizeof "imap:metadata" - 1, name_length = k->scratch.len;
	struct wire_token t;
	struct span value;
	bool is_nil;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && t.kind == WIRE_LITERAL && t.bytes > WIRE_WORD_BYTES_MAX)
		return wire_literal_skip(w, e);
	if (!rc)
		rc = wire_text(w, &t, &value, &is_nil, e);
	if (rc || is_nil || !found || name_length > ATTRIBUTE_NAME_BYTES_MAX ||
	    is_internal(span_skip(buf_span(&k->scratch), prefix)))
		return rc;
	return outline_attribute_of(&k->to->outline, number, buf_span(&k->scratch), value, e);
}

/* "INBOX (/private/comment "My own" /shared/x NIL)" */
static enum err_code take_metadata(struct loading *k, struct wire *w, struct err *e)
{
	struct wire_token t;
	struct span name;
	bool found, is_nil;
	size_t number;
	enum err_code rc = read_whose(k, w, &found, &number, e);

	if (!rc)
		rc = wire_next(w, &t, e);
	while (!rc && t.kind == WIRE_OPEN) {
		struct wire_token one;

		rc = wire_next(w, &one, e);
		if (rc || one.kind == WIRE_CLOSE)
			break;
		rc = wire_text(w, &one, &name, &is_nil, e);
		buf_clear(&k->scratch);
		if (!rc)
			rc = buf_append(&k->scratch, SPAN_LIT("imap:metadata"), e);
		if (!rc)
			rc = buf_append(&k->scratch, name, e);
		if (!rc)
			rc = add_annotation(k, w, number, found, e);
	}
	return rc ? rc : wire_skip_line(w, e);
}

/* ""ROOT" (STORAGE 10 512)": the limits only; what is used changes with every message. They stand with the INBOX. */
static enum err_code take_quota(struct loading *k, struct wire *w, struct err *e)
{
	uint8_t key[IDMAP_KEY_BYTES];
	struct wire_token t;
	struct span text;
	uint64_t inbox;
	bool is_nil;
	enum err_code rc = read_string(w, &text, &is_nil, e);

	buf_clear(&k->scratch);
	if (!rc)
		rc = buf_append(&k->scratch, text, e);
	if (!rc)
		rc = wire_next(w, &t, e);
	if (!rc && t.kind == WIRE_END)
		return ERR_OK; /* Courier has no list where it has no limit */
	for (unsigned i = 0; !rc && (i || t.kind == WIRE_OPEN); i++) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server sent a strange quota");
		if (i % 3 == 1)
			continue;
		rc = buf_append(&k->scratch, SPAN_LIT(" "), e);
		if (!rc)
			rc = buf_append(&k->scratch, t.text, e);
	}
	if (!rc)
		rc = wire_skip_line(w, e);
	name_key(SPAN_LIT("INBOX"), key);
	if (rc || !idmap_get(&k->to->listed, key, &inbox))
		return rc;
	return outline_attribute_of(&k->to->outline, (size_t)inbox, SPAN_LIT("imap:quota"), buf_span(&k->scratch), e);
}

/* ---- all of it ---- */

static enum err_code take_data(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
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
	if (strcmp(r->word, "LSUB") == 0) {
		uint8_t key[IDMAP_KEY_BYTES];

		rc = read_listed(w, &k->one, e);
		name_key(buf_span(&k->one.name), key);
		return rc ? rc : idmap_put(&k->subscribed, key, 1, e);
	}
	if (strcmp(r->word, "ACL") == 0)
		return take_acl(k, w, e);
	if (strcmp(r->word, "METADATA") == 0)
		return take_metadata(k, w, e);
	if (strcmp(r->word, "QUOTA") == 0)
		return take_quota(k, w, e);
	if (strcmp(r->word, "STATUS") == 0) {
		rc = read_status(w, &k->one.name, &s, e);
		return rc ? rc : add_status(k->to, buf_span(&k->one.name), &s, e);
	}
	return wire_skip_line(w, e);
}

#define STATUS_ITEMS "MESSAGES UIDNEXT UIDVALIDITY"

/* The answer to TAG; that the server refuses means that there is nothing to know. */
static enum err_code wait_lenient(struct loading *k, struct imap_client *c, unsigned tag, struct err *e)
{
	enum err_code rc = imap_wait(c, tag, take_data, k, e);

	return rc && !imap_is_broken(c) && rc != ERR_NO_MEMORY && rc != ERR_LIMIT ? ERR_OK : rc;
}

/* Says FORMAT, which has a place for the name, of every folder, many at once. */
static enum err_code ask_of_all(struct loading *k, struct imap_client *c, const char *before, const char *behind,
                                struct err *e)
{
	const struct outline *o = &k->to->outline;
	struct buf name = BUF_EMPTY;
	unsigned tag = 0;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < o->count; i++) {
		buf_clear(&name);
		rc = imap_string(c, o->raws[i], &name, e);
		if (rc == ERR_UNSUPPORTED) {
			rc = ERR_OK;
			continue;
		}
		/* A literal may have to wait, and then nothing else can be on its way. */
		if (!rc && tag && (name.ptr[0] == '{' || imap_outstanding(c) >= ASKED_AT_ONCE))
			rc = wait_lenient(k, c, tag, e);
		if (!rc)
			rc = imap_send(c, &tag, e, "%s %.*s%s", before, (int)name.len, (const char *)name.ptr, behind);
		if (rc && !imap_is_broken(c) && rc != ERR_NO_MEMORY)
			rc = ERR_OK; /* refused before its literal */
	}
	buf_release(&name);
	return rc || !tag || !imap_outstanding(c) ? rc : wait_lenient(k, c, tag, e);
}

static enum err_code load_extras(struct loading *k, struct imap_client *c, struct err *e)
{
	unsigned have = imap_capabilities(c), tag;
	enum err_code rc = ERR_OK;

	if (!(have & IMAP_LIST_STATUS) && (have & IMAP_CONDSTORE))
		rc = ask_of_all(k, c, "STATUS", " (" STATUS_ITEMS " HIGHESTMODSEQ)", e);
	if (rc || k->only_names)
		return rc;
	if (have & IMAP_ACL)
		rc = ask_of_all(k, c, "GETACL", "", e);
	if (!rc && (have & IMAP_METADATA))
		rc = ask_of_all(k, c, "GETMETADATA (DEPTH infinity)", " (/private /shared)", e);
	if (!rc && (have & IMAP_QUOTA)) {
		rc = imap_send(c, &tag, e, "GETQUOTAROOT INBOX");
		if (!rc)
			rc = wait_lenient(k, c, tag, e);
	}
	return rc;
}

static enum err_code load_list(struct loading *k, struct imap_client *c, struct err *e)
{
	unsigned have = imap_capabilities(c), tag, ignored;
	enum err_code rc;

	if (have & IMAP_LIST_EXTENDED) {
		rc = imap_send(c, &tag, e, "LIST \"\" \"*\" RETURN (SUBSCRIBED%s%s)",
		               have & IMAP_SPECIAL_USE ? " SPECIAL-USE" : "",
		               !(have & IMAP_LIST_STATUS) ? ""
		               : have & IMAP_CONDSTORE    ? " STATUS (" STATUS_ITEMS " HIGHESTMODSEQ)"
		                                          : " STATUS (" STATUS_ITEMS ")");
	} else {
		/* Its answers come first, so that each folder can be told with all that it has. */
		rc = imap_send(c, &ignored, e, "LSUB \"\" \"*\"");
		if (!rc)
			rc = imap_send(c, &tag, e, "LIST \"\" \"*\"");
	}
	return rc ? rc : imap_wait(c, tag, take_data, k, e);
}

/* A namespace's prefix stands before all folders but INBOX: only then is it worth asking. */
static bool may_have_prefix(const struct outline *o)
{
	bool any = false;

	for (size_t i = 0; i < o->count; i++) {
		if (span_equal(o->collections[i].path, SPAN_LIT("INBOX")))
			continue;
		if (!span_starts(o->collections[i].path, SPAN_LIT("INBOX/")))
			return false;
		any = true;
	}
	return any;
}

static enum err_code load_prefix(struct folders *f, struct imap_client *c, struct err *e)
{
	struct outline *o = &f->outline;
	struct buf prefix = BUF_EMPTY;
	char delimiter;
	enum err_code rc = ERR_OK;

	if (may_have_prefix(o))
		rc = namespace_ask(c, &prefix, &delimiter, e);
	for (size_t i = 0; !rc && prefix.len && i < o->count; i++)
		if (o->raws[i].len > prefix.len && span_starts(o->raws[i], buf_span(&prefix)))
			rc = outline_attribute_of(o, i, SPAN_LIT("imap:prefix"), buf_span(&prefix), e);
	buf_release(&prefix);
	return rc;
}

static enum err_code load(struct imap_client *c, bool only_names, struct folders *out, struct err *e)
{
	struct loading k = { .to = out, .only_names = only_names };
	enum err_code rc;

	*out = (struct folders){ .outline = OUTLINE_EMPTY };
	rc = load_list(&k, c, e);
	if (!rc)
		rc = load_extras(&k, c, e);
	if (!rc)
		rc = load_prefix(out, c, e);
	if (!rc)
		rc = outline_finish(&out->outline, e);
	buf_release(&k.one.name);
	buf_release(&k.one.attributes);
	buf_release(&k.path);
	buf_release(&k.scratch);
	idmap_release(&k.subscribed);
	return rc ? err_note(e, "while listing the folders") : ERR_OK;
}

enum err_code folders_load(struct imap_client *c, struct folders *out, struct err *e)
{
	return load(c, false, out, e);
}

enum err_code folders_load_names(struct imap_client *c, struct folders *out, struct err *e)
{
	return load(c, true, out, e);
}

void folders_release(struct folders *f)
{
	outline_release(&f->outline);
	buf_release(&f->statuses);
	idmap_release(&f->by_name);
	idmap_release(&f->listed);
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
