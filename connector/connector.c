#include "connector.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/text.h"
#include "dav/dav_source.h"
#include "files/worlds.h"
#include "imap/imap_sink.h"
#include "imap/imap_source.h"
#include "imap/undo.h"
#include "joined.h"
#include "net/net.h"
#include "net/sasl/sasl.h"

struct world {
	const char *name;
	const char *scheme;
	enum err_code (*source_open)(const char *path, struct item_source **out, struct err *e);
	enum err_code (*sink_open)(const char *path, const char *into, struct item_sink **out, struct err *e);
};

static const struct world worlds[] = {
	{ "maildir", "maildir:", maildir_source_open, maildir_sink_open },
	{ "mbox", "mbox:", mbox_source_open, mbox_sink_open },
	{ "files", "files:", tree_source_open, tree_sink_open },
};

static const struct world *world_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(worlds); i++)
		if (strcmp(worlds[i].name, name) == 0)
			return &worlds[i];
	return NULL;
}

/* A scheme is two letters or more before a ':' with no '/' before it; so "./a:b" and "/a:b" are paths. */
static size_t scheme_length(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-");

	return n >= 2 && url[n] == ':' ? n + 1 : 0;
}

/* Takes URL apart. *WORLD is NULL for a bare path. */
static enum err_code take_apart(const char *url, const struct world **world, const char **path, struct err *e)
{
	size_t n = scheme_length(url);

	*world = NULL;
	*path = url;
	for (size_t i = 0; n && i < ARRAY_LEN(worlds); i++)
		if (strncmp(worlds[i].scheme, url, n) == 0 && worlds[i].scheme[n] == 0) {
			*world = &worlds[i];
			*path = url + n;
		}
	if (n && !*world)
		return err_set(e, ERR_USAGE,
		               "'%.*s' is not a kind of place that mailhold knows; use maildir:, mbox: or files: "
		               "(for a file with ':' in its name write ./%s)",
		               (int)n, url, url);
	if (!**path)
		return err_set(e, ERR_USAGE, "'%s' names no path", url);
	return ERR_OK;
}

/* What speaks at a server. Those without calendars and contacts are IMAP. */
static const struct server_scheme {
	const char *name;
	bool calendars, contacts, clear;
} server_schemes[] = {
	{ "imaps", false, false, false },   { "imap", false, false, true },    { "davs", true, true, false },
	{ "dav", true, true, true },        { "caldavs", true, false, false }, { "caldav", true, false, true },
	{ "carddavs", false, true, false }, { "carddav", false, true, true },  { "https", true, true, false },
	{ "http", true, true, true },
};

static const struct server_scheme *scheme_of(const char *url)
{
	size_t n = strcspn(url, ":");

	for (size_t i = 0; i < ARRAY_LEN(server_schemes) && !strncmp(url + n, "://", 3); i++)
		if (strlen(server_schemes[i].name) == n && !strncmp(server_schemes[i].name, url, n))
			return &server_schemes[i];
	return NULL;
}

static bool is_dav(const struct server_scheme *scheme)
{
	return scheme->calendars || scheme->contacts;
}

bool connector_is_server(const char *url)
{
	return scheme_of(url) != NULL;
}

static enum err_code server_url(const char *url, const struct server_scheme *scheme, struct net_url *out, struct err *e)
{
	enum err_code rc = net_url_parse(url, out, e);

	if (!rc && !*out->user)
		rc = err_set(e, ERR_USAGE, "%s names no user: write %s://USER@%s (a '@' in the user's name as %%40)",
		             text_name(span_cstr(url)).text, scheme->name, out->host);
	if (!rc && *out->path && !is_dav(scheme))
		rc = err_set(e, ERR_USAGE, "an account's URL has no path; --include picks folders at the restore");
	return rc;
}

static enum err_code no_target(const char *url, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED,
	               "%s: a server of calendars and contacts is only read so far: take a snapshot of it, and restore "
	               "to a folder",
	               text_name(span_cstr(url)).text);
}

enum err_code connector_server_target_check(const char *url, struct err *e)
{
	struct net_url parts;

	return is_dav(scheme_of(url)) ? no_target(url, e) : server_url(url, scheme_of(url), &parts, e);
}

static enum err_code compress_named(const char *name, enum imap_compress *out, struct err *e)
{
	static const char *const names[] = {
		[IMAP_COMPRESS_FAR] = "far", [IMAP_COMPRESS_ALWAYS] = "always", [IMAP_COMPRESS_NEVER] = "never"
	};

	for (size_t i = 0; i < ARRAY_LEN(names) && name; i++)
		if (!strcmp(name, names[i])) {
			*out = (enum imap_compress)i;
			return ERR_OK;
		}
	return name ? err_set(e, ERR_USAGE, "a connection is compressed far, always or never") : ERR_OK;
}

const char *connector_mechanisms(void)
{
	return SASL_NAMES;
}

static enum err_code mechanism_of(const struct server_login *login, unsigned *out, struct err *e)
{
	*out = login->mechanism ? sasl_named(span_cstr(login->mechanism)) : 0;
	if (login->mechanism && !*out)
		return err_set(e, ERR_USAGE, "'%s' is no way to log in: it may be %s",
		               text_name(span_cstr(login->mechanism)).text, SASL_NAMES);
	if (*out && sasl_takes_token(*out) != login->is_token)
		return err_set(e, ERR_USAGE, "%s takes %s", sasl_name(*out),
		               login->is_token ? "a password, and there is a token"
		                               : "an OAuth 2 token, and there is a password");
	return ERR_OK;
}

struct tls_words {
	bool clear, clear_anywhere, pinned;
	uint8_t pin[NET_PIN_BYTES];
};

static enum err_code tls_of(const struct server_login *login, const struct server_scheme *scheme, struct tls_words *out,
                            struct err *e)
{
	bool off = login->tls && !strcmp(login->tls, "off"),
	     anywhere = login->tls && !strcmp(login->tls, "off-anywhere");

	*out = (struct tls_words){ .clear = off || anywhere, .clear_anywhere = anywhere, .pinned = login->fingerprint };

	if (login->tls && !off && !anywhere && strcmp(login->tls, "required") != 0)
		return err_set(e, ERR_USAGE, "tls is required, off or off-anywhere");
	if (out->clear && !scheme->clear)
		return err_set(e, ERR_USAGE, "%s:// is with TLS; without it the URL is %.*s://", scheme->name,
		               (int)strlen(scheme->name) - 1, scheme->name);
	if (!out->clear && scheme->clear && is_dav(scheme))
		return err_set(e, ERR_USAGE,
		               "%s:// is without TLS: write %ss://, or say that it is meant so (--source-tls off)",
		               scheme->name, scheme->name);
	if (out->clear && (login->fingerprint || login->ca_file))
		return err_set(e, ERR_USAGE,
		               "without TLS there is no certificate: leave out fingerprint and authorities");
	if (login->fingerprint && login->ca_file)
		return err_set(e, ERR_USAGE, "a fingerprint names the one good certificate: leave out the authorities");
	if (login->fingerprint && !net_pin_parse(login->fingerprint, out->pin))
		return err_set(e, ERR_USAGE,
		               "a fingerprint is the SHA-256 of the certificate: 64 hex digits, as openssl x509 "
		               "-fingerprint -sha256 prints them");
	return ERR_OK;
}

static enum err_code dav_auth_of(const struct server_login *login, enum http_auth *out, struct err *e)
{
	static const char *const names[] = {
		[HTTP_AUTH_BASIC] = "basic", [HTTP_AUTH_DIGEST] = "digest", [HTTP_AUTH_BEARER] = "bearer"
	};
	const char *name = login->mechanism;

	*out = login->is_token ? HTTP_AUTH_BEARER : HTTP_AUTH_ANY;
	for (size_t i = HTTP_AUTH_BASIC; i < ARRAY_LEN(names) && name; i++)
		if (!strcmp(name, names[i])) {
			*out = (enum http_auth)i;
			name = NULL;
		}
	if (name)
		return err_set(e, ERR_USAGE, "'%s' is no way to log in over HTTP: it may be basic, digest or bearer",
		               text_name(span_cstr(name)).text);
	if ((*out == HTTP_AUTH_BEARER) != login->is_token)
		return err_set(e, ERR_USAGE, "%s",
		               login->is_token ? "a token is sent by bearer" : "bearer takes an OAuth 2 token");
	return ERR_OK;
}

/* A name of this very machine: what comes from it need not be compressed. */
static bool is_near(const char *host)
{
	return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

static enum err_code dav_login_of(const char *url, const struct server_login *login, struct net_url *parts,
                                  struct dav_login *out, struct err *e)
{
	const struct server_scheme *scheme = scheme_of(url);
	enum imap_compress compress = IMAP_COMPRESS_FAR;
	struct tls_words tls = { 0 };
	enum err_code rc = server_url(url, scheme, parts, e);

	*out = (struct dav_login){ .host = parts->host,
		                   .port = parts->port,
		                   .path = parts->path,
		                   .calendars = scheme->calendars,
		                   .contacts = scheme->contacts,
		                   .ca_file = login->ca_file,
		                   .user = parts->user,
		                   .password = login->password,
		                   .token = login->token,
		                   .token_ctx = login->token_ctx,
		                   .pace = login->pace,
		                   .connections = login->connections,
		                   .patience_ms = login->patience_ms,
		                   .stop = login->stop };
	if (!rc)
		rc = compress_named(login->compress, &compress, e);
	if (!rc)
		rc = dav_auth_of(login, &out->auth, e);
	if (!rc)
		rc = tls_of(login, scheme, &tls, e);
	out->compressed = compress == IMAP_COMPRESS_ALWAYS || (compress == IMAP_COMPRESS_FAR && !is_near(parts->host));
	out->clear = tls.clear;
	out->clear_anywhere = tls.clear_anywhere;
	out->pinned = tls.pinned;
	memcpy(out->pin, tls.pin, sizeof out->pin);
	return rc;
}

/* What LOGIN says, as the client wants it. Its strings are PARTS' and LOGIN's. */
static enum err_code imap_login_of(const char *url, const struct server_login *login, struct net_url *parts,
                                   struct imap_login *out, struct err *e)
{
	struct tls_words tls = { 0 };
	enum err_code rc = server_url(url, scheme_of(url), parts, e);

	*out = (struct imap_login){ .host = parts->host,
		                    .port = parts->port,
		                    .user = parts->user,
		                    .password = login->password,
		                    .is_token = login->is_token,
		                    .token = login->token,
		                    .token_ctx = login->token_ctx,
		                    .ca_file = login->ca_file,
		                    .stop = login->stop,
		                    .pace = login->pace,
		                    .connections = login->connections,
		                    .patience_ms = login->patience_ms };
	if (rc)
		return rc;
	out->start_tls = !strcmp(parts->scheme, "imap");
	rc = compress_named(login->compress, &out->compress, e);
	if (!rc)
		rc = mechanism_of(login, &out->mechanism, e);
	if (!rc)
		rc = tls_of(login, scheme_of(url), &tls, e);
	out->clear = tls.clear;
	out->clear_anywhere = tls.clear_anywhere;
	out->pinned = tls.pinned;
	memcpy(out->pin, tls.pin, sizeof out->pin);
	return rc;
}

enum err_code connector_login_check(const char *url, const struct server_login *login, struct err *e)
{
	struct imap_login imap;
	struct dav_login dav;
	struct net_url parts;

	return is_dav(scheme_of(url)) ? dav_login_of(url, login, &parts, &dav, e)
	                              : imap_login_of(url, login, &parts, &imap, e);
}

enum err_code connector_server_open(const char *url, const struct server_login *login, struct item_source **out,
                                    struct err *e)
{
	struct imap_login imap;
	struct dav_login dav;
	struct net_url parts = { .host = "" };
	enum err_code rc;

	if (is_dav(scheme_of(url))) {
		rc = dav_login_of(url, login, &parts, &dav, e);
		return rc ? rc : dav_source_open(&dav, out, e);
	}
	rc = imap_login_of(url, login, &parts, &imap, e);
	return rc ? rc : imap_source_open(&imap, out, e);
}

enum err_code connector_server_sink_open(const char *url, const struct server_login *login,
                                         const struct server_sink_options *o, struct item_sink **out, struct err *e)
{
	struct imap_sink_options options = { .into = o->into,
		                             .flags_only = o->flags_only,
		                             .missing_only = o->missing_only,
		                             .mends = o->mends,
		                             .verify_percent = o->verify_percent,
		                             .journal = o->journal };
	struct imap_login imap = { .host = "" };
	struct net_url parts = { .host = "" };
	enum err_code rc = is_dav(scheme_of(url)) ? no_target(url, e) : imap_login_of(url, login, &parts, &imap, e);

	imap.changes = !o->plan_only;
	return rc ? rc : imap_sink_open(&imap, &options, out, e);
}

enum err_code connector_server_undo(const char *url, const struct server_login *login, const char *journal,
                                    bool plan_only, item_report report, void *ctx, struct server_undo *out,
                                    struct err *e)
{
	struct imap_login imap = { .host = "" };
	struct net_url parts = { .host = "" };
	struct undo_report did = { 0 };
	enum err_code rc = is_dav(scheme_of(url)) ? no_target(url, e) : imap_login_of(url, login, &parts, &imap, e);

	imap.changes = !plan_only;
	if (!rc)
		rc = imap_undo(&imap, journal, plan_only, report, ctx, &did, e);
	*out = (struct server_undo){ did.removed, did.gone, did.kept, did.folders };
	return rc;
}

enum err_code connector_server_sink_into(struct item_sink *s, const char *into, struct err *e)
{
	return imap_sink_into(s, into, e);
}

static enum err_code detect(const char *path, const struct stat *st, const struct world **world, struct err *e)
{
	if (S_ISDIR(st->st_mode)) {
		*world = world_named(maildir_looks_like(path) ? "maildir" : "files");
		return ERR_OK;
	}
	if (S_ISREG(st->st_mode) && mbox_looks_like(path)) {
		*world = world_named("mbox");
		return ERR_OK;
	}
	return err_set(
	        e, ERR_UNSUPPORTED,
	        "%s is neither a Maildir (no cur/ or new/), nor an mbox (it does not begin with \"From \"), nor a "
	        "folder of files; use maildir:, mbox: or files: with the right path",
	        path);
}

enum err_code connector_source_open(const char *url, struct item_source **out, struct err *e)
{
	const struct world *world;
	const char *path;
	struct stat st;
	enum err_code rc = take_apart(url, &world, &path, e);

	if (rc)
		return rc;
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "cannot find %s", path);
	if (!world)
		rc = detect(path, &st, &world, e);
	if (!rc && strcmp(world->name, "maildir") == 0 && !maildir_looks_like(path))
		rc = err_set(e, ERR_UNSUPPORTED,
		             "%s is not a Maildir (no cur/ or new/ in it or in the folders in it); use mbox: or files:",
		             path);
	if (!rc && strcmp(world->name, "files") == 0 && !S_ISDIR(st.st_mode))
		rc = err_set(e, ERR_UNSUPPORTED, "%s is not a folder; name the folder that it lies in", path);
	return rc ? rc : world->source_open(path, out, e);
}

enum err_code connector_sink_open(const char *url, const struct sink_options *o, struct item_sink **out, struct err *e)
{
	const struct world *world;
	const char *path;
	struct stat st;
	enum err_code rc = take_apart(url, &world, &path, e);

	if (rc)
		return rc;
	if (!world && o->world_hint)
		world = world_named(o->world_hint);
	if (!world)
		world = world_named("files");
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is a file; name a folder to write to", path);
	return world->sink_open(path, o->into, out, e);
}

enum err_code connector_join(struct item_source **parts, size_t count, struct item_source **out, struct err *e)
{
	return joined_source_open(parts, count, out, e);
}
