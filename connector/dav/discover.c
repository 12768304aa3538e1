#include "discover.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "href.h"

#define HOMES_MAX       32
#define PLAIN_DEPTH_MAX 3   /* folders in a home that are no collections themselves, in each other */
#define PLAIN_MAX       256 /* of them, in all */
#define LONG_TEXT_MAX   (256 * MIB)

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
#define NAMESPACES                                                                                                     \
	"xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:A=\"urn:ietf:params:xml:ns:carddav\" "       \
	"xmlns:S=\"http://calendarserver.org/ns/\" xmlns:I=\"http://apple.com/ns/ical/\" "                             \
	"xmlns:O=\"http://owncloud.org/ns\" xmlns:B=\"http://inf-it.com/ns/ab/\""

static const char ask_self[] =
        XML_HEAD "<D:propfind " NAMESPACES "><D:prop><D:resourcetype/><D:current-user-principal/><C:calendar-home-set/>"
                 "<A:addressbook-home-set/></D:prop></D:propfind>";

static const char ask_collections[] =
        XML_HEAD "<D:propfind " NAMESPACES
                 "><D:prop><D:resourcetype/><D:displayname/><D:owner/><D:sync-token/><S:getctag/><D:acl/>"
                 "<D:current-user-privilege-set/><D:supported-report-set/><C:calendar-description/>"
                 "<C:supported-calendar-component-set/><C:supported-calendar-data/><C:calendar-timezone/>"
                 "<C:schedule-calendar-transp/><C:calendar-availability/><C:max-resource-size/>"
                 "<A:addressbook-description/><A:supported-address-data/><A:max-resource-size/><I:calendar-color/>"
                 "<I:calendar-order/><B:addressbook-color/><S:invite/><O:invite/><S:source/></D:prop></D:propfind>";

/* Asked for, and not kept as attributes: they move. */
static bool is_moving(const struct dav_property *p)
{
	return (span_equal(p->space, NS_DAV) && span_equal(p->local, SPAN_LIT("sync-token"))) ||
	       (span_equal(p->space, NS_CS) && span_equal(p->local, SPAN_LIT("getctag")));
}

struct finding {
	struct dav_client *client;
	const struct dav_login *login;
	struct dav_folders *out;
	struct span base;                     /* of hrefs in the answer being read */
	struct buf principal;                 /* empty: not told */
	bool nobody;                          /* the server takes us for nobody */
	bool is_calendar, is_book, is_folder; /* of the one resource that was asked for */
	struct buf homes[HOMES_MAX];          /* paths; canonical ones in the outline's raws tell twins */
	size_t home_count;
	struct buf plain[PLAIN_MAX]; /* folders in a home that may hold collections */
	unsigned plain_depth[PLAIN_MAX];
	size_t plain_count;
	unsigned depth;
	struct span home; /* canonical: what names are relative to */
};

/* ---- what a resource is ---- */

struct types {
	bool folder, calendar, book, inbox, outbox, principal;
	unsigned count;
};

static enum err_code see_type(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
                              struct span text, struct err *e)
{
	struct types *t = ctx;

	(void)name;
	(void)text;
	(void)e;
	if (depth)
		return ERR_OK;
	t->count++;
	t->folder |= span_equal(space, NS_DAV) && span_equal(local, SPAN_LIT("collection"));
	t->principal |= span_equal(space, NS_DAV) && span_equal(local, SPAN_LIT("principal"));
	t->calendar |= span_equal(space, NS_CALDAV) && span_equal(local, SPAN_LIT("calendar"));
	t->inbox |= span_equal(space, NS_CALDAV) && span_equal(local, SPAN_LIT("schedule-inbox"));
	t->outbox |= span_equal(space, NS_CALDAV) && span_equal(local, SPAN_LIT("schedule-outbox"));
	t->book |= span_equal(space, NS_CARDDAV) && span_equal(local, SPAN_LIT("addressbook"));
	return ERR_OK;
}

static enum err_code types_of(const struct dav_response *r, struct types *out, struct err *e)
{
	const struct dav_property *p = dav_property_find(r, NS_DAV, "resourcetype");

	*out = (struct types){ 0 };
	return p && p->markup ? dav_fragment_each(p->value, see_type, out, e) : ERR_OK;
}

/* VEVENT, VTODO …: bits by their place in the list. */
enum { HAS_EVENT = 1, HAS_TODO = 2, HAS_JOURNAL = 4, HAS_OTHER = 8 };

static enum err_code see_component(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
                                   struct span text, struct err *e)
{
	unsigned *bits = ctx;

	(void)depth;
	(void)text;
	(void)e;
	if (!span_equal(space, NS_CALDAV) || !span_equal(local, SPAN_LIT("comp")))
		return ERR_OK;
	*bits |= text_equal_nocase(name, SPAN_LIT("VEVENT"))     ? HAS_EVENT
	         : text_equal_nocase(name, SPAN_LIT("VTODO"))    ? HAS_TODO
	         : text_equal_nocase(name, SPAN_LIT("VJOURNAL")) ? HAS_JOURNAL
	                                                         : 0;
	return ERR_OK;
}

static enum err_code kind_of(const struct dav_response *r, const struct types *t, enum item_kind *out, struct err *e)
{
	const struct dav_property *p = dav_property_find(r, NS_CALDAV, "supported-calendar-component-set");
	unsigned bits = 0;
	enum err_code rc = p && p->markup ? dav_fragment_each(p->value, see_component, &bits, e) : ERR_OK;

	*out = t->book ? KIND_CONTACT : bits == HAS_TODO ? KIND_TASK : bits == HAS_JOURNAL ? KIND_NOTE : KIND_EVENT;
	return rc;
}

/* ---- keeping a collection ---- */

static enum err_code keep_text(struct buf *texts, struct span text, size_t *at, size_t *bytes, struct err *e)
{
	*at = texts->len;
	*bytes = text.len;
	return buf_append(texts, text, e);
}

static struct span value_of(const struct dav_response *r, struct span space, const char *local)
{
	const struct dav_property *p = dav_property_find(r, space, local);

	return p && !p->markup ? p->value : SPAN_EMPTY;
}

static enum err_code keep_state(struct dav_folders *out, struct span raw, const struct dav_response *r, struct err *e)
{
	struct dav_folder_state s = { 0 };
	enum err_code rc = keep_text(&out->texts, raw, &s.raw, &s.raw_bytes, e);

	if (!rc)
		rc = keep_text(&out->texts, value_of(r, NS_DAV, "sync-token"), &s.token, &s.token_bytes, e);
	if (!rc)
		rc = keep_text(&out->texts, value_of(r, NS_CS, "getctag"), &s.ctag, &s.ctag_bytes, e);
	return rc ? rc : buf_append(&out->states, span_of(&s, sizeof s), e);
}

static enum err_code keep_attributes(struct outline *o, const struct dav_response *r, struct span raw, struct err *e)
{
	struct buf name = BUF_WITH_MAX(ATTRIBUTE_NAME_BYTES_MAX);
	enum err_code rc = outline_attribute(o, SPAN_LIT("dav:href"), raw, e);

	for (size_t i = 0; !rc && i < r->count; i++) {
		const struct dav_property *p = &r->properties[i];

		if (is_moving(p) || p->value.len > ATTRIBUTE_VALUE_BYTES_MAX ||
		    p->space.len + p->local.len + 6 > ATTRIBUTE_NAME_BYTES_MAX)
			continue;
		buf_clear(&name);
		rc = buf_printf(&name, e, "dav:{%.*s}%.*s", (int)p->space.len, (const char *)p->space.ptr,
		                (int)p->local.len, (const char *)p->local.ptr);
		if (!rc)
			rc = outline_attribute(o, buf_span(&name), p->value, e);
	}
	buf_release(&name);
	return rc;
}

/* "calendars/work", "contacts/friends": by the server's name, which stays while the name that is shown may change. */
static enum err_code path_of(const struct finding *f, const struct types *t, struct span canonical, struct buf *out,
                             struct err *e)
{
	struct span name = canonical;
	enum err_code rc = buf_append(out, t->book ? SPAN_LIT("contacts/") : SPAN_LIT("calendars/"), e);

	if (f->home.len && canonical.len > f->home.len && span_starts(canonical, f->home))
		name = span_skip(canonical, f->home.len);
	else
		name = href_last(canonical);
	while (name.len && name.ptr[name.len - 1] == '/')
		name.len--;
	if (!name.len)
		name = SPAN_LIT("root");
	return rc ? rc : buf_append(out, name, e);
}

static bool is_known(const struct dav_folders *out, struct span raw)
{
	for (size_t i = 0; i < out->outline.count; i++)
		if (span_equal(out->outline.raws[i], raw))
			return true;
	return false;
}

static enum err_code keep_collection(struct finding *f, const struct dav_response *r, const struct types *t,
                                     struct span raw, struct span canonical, struct err *e)
{
	struct buf path = BUF_WITH_MAX(COLLECTION_PATH_BYTES_MAX);
	enum item_kind kind = KIND_EVENT;
	enum err_code rc = kind_of(r, t, &kind, e);

	if (!rc)
		rc = path_of(f, t, canonical, &path, e);
	if (!rc)
		rc = outline_add(&f->out->outline, buf_span(&path), raw, kind, e);
	if (!rc) {
		f->out->outline.collections[f->out->outline.count - 1].role = ROLE_NONE;
		rc = keep_attributes(&f->out->outline, r, raw, e);
	}
	if (!rc)
		rc = keep_state(f->out, raw, r, e);
	buf_release(&path);
	return rc;
}

/* ---- answers ---- */

/* The path of a collection, with a '/' behind, as it is sent. ERR_DENIED and ERR_CORRUPT: it is to be passed over. */
static enum err_code folder_path(const struct finding *f, struct span href, struct buf *out, struct err *e)
{
	enum err_code rc = href_resolve(dav_origin(f->client), f->base, href, out, e);

	if (!rc && (!out->len || out->ptr[out->len - 1] != '/'))
		rc = buf_append(out, SPAN_LIT("/"), e);
	return rc;
}

static enum err_code keep_plain(struct finding *f, struct span path, struct err *e)
{
	if (f->depth >= PLAIN_DEPTH_MAX || f->plain_count == PLAIN_MAX)
		return ERR_OK;
	f->plain_depth[f->plain_count] = f->depth + 1;
	return buf_append(&f->plain[f->plain_count++], path, e);
}

/* One resource in a home, or the home itself. */
static enum err_code take_listed(void *ctx, const struct dav_response *r, struct err *e)
{
	struct buf raw = BUF_EMPTY, canonical = BUF_EMPTY, self = BUF_EMPTY;
	struct finding *f = ctx;
	struct types t;
	enum err_code rc = types_of(r, &t, e);
	bool wanted, own;

	if (!rc && r->status == 507)
		rc = err_set(e, ERR_LIMIT, "%s lists only some of the collections", dav_origin(f->client));
	if (rc || (r->status && r->status / 100 != 2))
		return rc;
	rc = folder_path(f, r->href, &raw, e);
	if (rc == ERR_DENIED || rc == ERR_CORRUPT) {
		rc = ERR_OK;
		goto done;
	}
	if (!rc)
		rc = href_canonical(buf_span(&raw), &canonical, e);
	if (!rc)
		rc = href_canonical(f->base, &self, e);
	if (rc)
		goto done;
	wanted = (f->login->calendars && (t.calendar || t.inbox)) || (f->login->contacts && t.book);
	own = span_equal(buf_span(&canonical), buf_span(&self));
	if (wanted && !t.outbox && !is_known(f->out, buf_span(&raw)))
		rc = keep_collection(f, r, &t, buf_span(&raw), buf_span(&canonical), e);
	else if (!own && t.folder && t.count == 1 && f->home.len && span_starts(buf_span(&canonical), f->home))
		rc = keep_plain(f, buf_span(&raw), e);
done:
	buf_release(&raw);
	buf_release(&canonical);
	buf_release(&self);
	return rc;
}

struct href_sight {
	struct finding *f;
	struct buf *one; /* the first; or else all are homes */
};

static enum err_code see_href(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
                              struct span text, struct err *e)
{
	struct href_sight *s = ctx;
	struct finding *f = s->f;
	struct buf path = BUF_EMPTY;
	enum err_code rc;

	(void)name;
	if (depth || !span_equal(space, NS_DAV))
		return ERR_OK;
	if (span_equal(local, SPAN_LIT("unauthenticated")))
		f->nobody = true;
	if (!span_equal(local, SPAN_LIT("href")))
		return ERR_OK;
	rc = folder_path(f, text, &path, e);
	if (!rc && s->one && !s->one->len)
		rc = buf_append(s->one, buf_span(&path), e);
	for (size_t i = 0; !rc && !s->one && i < f->home_count; i++)
		if (span_equal(buf_span(&f->homes[i]), buf_span(&path)))
			goto done; /* calendars and contacts may share one */
	if (!rc && !s->one && f->home_count < HOMES_MAX)
		rc = buf_append(&f->homes[f->home_count++], buf_span(&path), e);
done:
	buf_release(&path);
	if (rc == ERR_DENIED)
		err_note(e, "the account is at another server, which does not get this login: name that one");
	return rc;
}

static enum err_code see_hrefs(struct finding *f, const struct dav_response *r, struct span space, const char *local,
                               struct buf *one, struct err *e)
{
	const struct dav_property *p = dav_property_find(r, space, local);
	struct href_sight sight = { f, one };

	return p && p->markup ? dav_fragment_each(p->value, see_href, &sight, e) : ERR_OK;
}

static enum err_code take_self(void *ctx, const struct dav_response *r, struct err *e)
{
	struct finding *f = ctx;
	struct types t;
	enum err_code rc = types_of(r, &t, e);

	if (rc || (r->status && r->status / 100 != 2))
		return rc;
	f->is_calendar |= t.calendar || t.inbox;
	f->is_book |= t.book;
	f->is_folder |= t.folder && !t.principal;
	rc = see_hrefs(f, r, NS_DAV, "current-user-principal", &f->principal, e);
	if (!rc && f->login->calendars)
		rc = see_hrefs(f, r, NS_CALDAV, "calendar-home-set", NULL, e);
	if (!rc && f->login->contacts)
		rc = see_hrefs(f, r, NS_CARDDAV, "addressbook-home-set", NULL, e);
	return rc;
}

/* ---- questions ---- */

static enum err_code ask(struct finding *f, struct span path, const char *depth, struct span body,
                         enum err_code (*take)(void *ctx, const struct dav_response *r, struct err *e),
                         struct dav_answer *answer, struct err *e)
{
	struct buf own = BUF_EMPTY;
	const struct dav_ask q = { .method = "PROPFIND",
		                   .path = path,
		                   .depth = depth,
		                   .body = body,
		                   .bytes_max = 64 * MIB,
		                   .response = take,
		                   .ctx = f };
	enum err_code rc = buf_append(&own, path, e);

	f->base = buf_span(&own);
	if (!rc)
		rc = dav_request(f->client, &q, answer, e);
	f->base = SPAN_EMPTY;
	buf_release(&own);
	return rc;
}

static enum err_code ask_about(struct finding *f, struct span path, struct buf *answered, struct err *e)
{
	struct dav_answer answer = { 0 };
	enum err_code rc;

	f->is_calendar = f->is_book = f->is_folder = f->nobody = false;
	buf_clear(&f->principal);
	rc = ask(f, path, "0", span_cstr(ask_self), take_self, &answer, e);
	if (!rc && f->nobody && !f->home_count) {
		/* It answers everybody; only who says the password is somebody. */
		dav_insist(f->client);
		f->nobody = false;
		rc = ask(f, path, "0", span_cstr(ask_self), take_self, &answer, e);
	}
	if (!rc && answered) {
		buf_clear(answered);
		rc = buf_append(answered, buf_span(&answer.path), e);
	}
	dav_answer_release(&answer);
	return rc;
}

static enum err_code list_folder(struct finding *f, struct span path, const char *depth, struct err *e)
{
	struct dav_answer answer = { 0 };
	enum err_code rc = ask(f, path, depth, span_cstr(ask_collections), take_listed, &answer, e);

	dav_answer_release(&answer);
	return rc ? err_note(e, "while listing the collections in %s", text_name(path).text) : ERR_OK;
}

/* A home, and the plain folders in it. */
static enum err_code list_home(struct finding *f, struct span path, struct err *e)
{
	struct buf home = BUF_EMPTY;
	enum err_code rc = href_canonical(path, &home, e);

	f->home = buf_span(&home);
	f->depth = 0;
	f->plain_count = 0;
	if (!rc)
		rc = list_folder(f, path, "1", e);
	/* One that may not be looked into is somebody else's; any other failure would lose what is in it. */
	for (size_t i = 0; !rc && i < f->plain_count; i++) {
		f->depth = f->plain_depth[i];
		rc = list_folder(f, buf_span(&f->plain[i]), "1", e);
		if (rc == ERR_DENIED || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED)
			rc = ERR_OK;
	}
	for (size_t i = 0; i < f->plain_count; i++)
		buf_release(&f->plain[i]);
	f->plain_count = 0;
	f->home = SPAN_EMPTY;
	buf_release(&home);
	return rc;
}

/* ---- the way ---- */

static bool is_missing(enum err_code rc, const struct err *e)
{
	return rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED || (rc == ERR_DENIED && strstr(e->text, " says 403"));
}

/* The principal's homes, when the answer that was read tells where it is. */
static enum err_code follow_principal(struct finding *f, struct err *e)
{
	struct buf principal = f->principal;
	enum err_code rc = ERR_OK;

	f->principal = BUF_EMPTY;
	if (principal.len)
		rc = ask_about(f, buf_span(&principal), NULL, e);
	buf_release(&principal);
	return is_missing(rc, e) ? ERR_OK : rc;
}

/* Where the server says that the service begins; else at its root. */
static enum err_code begin_at(struct finding *f, const char *well_known, struct err *e)
{
	enum err_code rc = ask_about(f, span_cstr(well_known), NULL, e);

	if (is_missing(rc, e) || (!rc && !f->principal.len && !f->home_count))
		rc = ask_about(f, SPAN_LIT("/"), NULL, e);
	if (is_missing(rc, e))
		return ERR_OK;
	return rc ? rc : follow_principal(f, e);
}

static bool has_kind(const struct finding *f, bool book)
{
	for (size_t i = 0; i < f->out->outline.count; i++)
		if ((f->out->outline.collections[i].kind == KIND_CONTACT) == book)
			return true;
	return false;
}

static enum err_code list_homes(struct finding *f, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < f->home_count; i++)
		rc = list_home(f, buf_span(&f->homes[i]), e);
	for (size_t i = 0; i < f->home_count; i++)
		buf_release(&f->homes[i]);
	f->home_count = 0;
	return rc;
}

/* By the login's own path: a collection, a principal, or whatever is above collections. */
static enum err_code from_path(struct finding *f, struct err *e)
{
	struct buf path = BUF_EMPTY, escaped = BUF_EMPTY;
	enum err_code rc = buf_append(&path, SPAN_LIT("/"), e);

	if (!rc)
		rc = text_percent(&path, span_cstr(f->login->path), "?", e);
	if (!rc)
		rc = href_resolve(dav_origin(f->client), SPAN_LIT("/"), buf_span(&path), &escaped, e);
	if (!rc)
		rc = ask_about(f, buf_span(&escaped), &path, e);
	if (!rc && (f->is_calendar || f->is_book))
		rc = list_folder(f, buf_span(&path), "0", e);
	else if (!rc && f->home_count)
		rc = list_homes(f, e);
	else if (!rc && f->is_folder) {
		struct buf principal = f->principal;

		f->principal = BUF_EMPTY;
		rc = list_home(f, buf_span(&path), e);
		f->principal = principal;
	}
	if (!rc && !f->out->outline.count) {
		rc = follow_principal(f, e);
		if (!rc)
			rc = list_homes(f, e);
	}
	buf_release(&path);
	buf_release(&escaped);
	return rc;
}

static enum err_code from_host(struct finding *f, struct err *e)
{
	enum err_code rc = begin_at(f, f->login->calendars ? "/.well-known/caldav" : "/.well-known/carddav", e);

	if (!rc)
		rc = list_homes(f, e);
	/* Some servers have two roots. */
	if (!rc && f->login->calendars && f->login->contacts && !has_kind(f, true)) {
		rc = begin_at(f, "/.well-known/carddav", e);
		if (!rc)
			rc = list_homes(f, e);
	}
	return rc;
}

enum err_code dav_discover(struct dav_client *c, const struct dav_login *login, struct dav_folders *out, struct err *e)
{
	struct finding *f = mem_zalloc(1, sizeof *f);
	enum err_code rc;

	if (!f)
		return err_no_memory(e, sizeof *f);
	*out = (struct dav_folders){ .outline = OUTLINE_EMPTY };
	out->texts.max = out->states.max = LONG_TEXT_MAX;
	f->client = c;
	f->login = login;
	f->out = out;
	rc = *login->path ? from_path(f, e) : from_host(f, e);
	if (!rc && !out->outline.count)
		rc = err_set(e, ERR_NOT_FOUND,
		             "no %s found at %s/%s; when they are below another path, write it behind the host",
		             !login->contacts    ? "calendars"
		             : !login->calendars ? "address books"
		                                 : "calendars and address books",
		             dav_origin(c), text_name(span_cstr(login->path)).text);
	if (!rc)
		rc = outline_finish(&out->outline, e);
	for (size_t i = 0; i < ARRAY_LEN(f->homes); i++)
		buf_release(&f->homes[i]);
	for (size_t i = 0; i < ARRAY_LEN(f->plain); i++)
		buf_release(&f->plain[i]);
	buf_release(&f->principal);
	mem_free(f);
	return rc;
}

void dav_folder_state(const struct dav_folders *f, struct span raw, struct span *token, struct span *ctag)
{
	const struct dav_folder_state *s = (const struct dav_folder_state *)(const void *)f->states.ptr;

	*token = *ctag = SPAN_EMPTY;
	/* Names are never empty: where there is a state there are texts. */
	for (size_t i = 0; i < f->states.len / sizeof *s; i++)
		if (span_equal(span_of(f->texts.ptr + s[i].raw, s[i].raw_bytes), raw)) {
			*token = span_of(f->texts.ptr + s[i].token, s[i].token_bytes);
			*ctag = span_of(f->texts.ptr + s[i].ctag, s[i].ctag_bytes);
		}
}

void dav_folders_release(struct dav_folders *f)
{
	outline_release(&f->outline);
	buf_release(&f->states);
	buf_release(&f->texts);
}
