/*
 * connector: opens a source or a sink by its URL. Each connector knows one world. This one: files.
 *   maildir:PATH  a Maildir or Maildir++ (docs: cr.yp.to/proto/maildir.html, Courier's maildir++)
 *   mbox:PATH     one mbox file, or a folder of them (mboxo, mboxrd, mboxcl, mboxcl2)
 *   files:PATH    a tree of .eml .ics .vcf .sieve and other files
 *   PATH          the kind is detected from what lies there
 * Sources are opened read-only; atime is left alone where the system allows (O_NOATIME).
 */
#ifndef MAILHOLD_CONNECTOR_CONNECTOR_H
#define MAILHOLD_CONNECTOR_CONNECTOR_H

#include <signal.h>

#include "base/pace.h"
#include "item/item.h"

/* ERR_USAGE for an unknown scheme, ERR_NOT_FOUND when nothing is there, ERR_UNSUPPORTED when the kind cannot be told.
 */
MUST_CHECK enum err_code connector_source_open(const char *url, struct item_source **out, struct err *e);

/* True when URL names a server, which one has to log in to: see struct server_login. */
bool connector_is_server(const char *url);
/* Of such a URL, as a target: ERR_USAGE when it cannot be logged in to as it is written, so that nobody is asked for a password in
 * vain; ERR_UNSUPPORTED when nothing can be written there. */
MUST_CHECK enum err_code connector_server_target_check(const char *url, struct err *e);
/*
 * imaps://USER@HOST[:PORT]            an account at an IMAP server, with TLS from the first byte
 * imap://USER@HOST[:PORT]             the same with STARTTLS; without TLS nothing is sent
 * davs://USER@HOST[:PORT][/PATH]      calendars and contacts at a CalDAV and CardDAV server; https:// is the same. PATH, where the
 *                                     server does not tell it: a principal, a home, or one collection
 * caldavs://…, carddavs://…           only its calendars; only its contacts
 * dav://…, http://…, caldav://…, carddav://…   without TLS, which has to be asked for (TLS "off")
 */
struct server_login {
	struct span password; /* or an OAuth 2 access token; borrowed for the call */
	bool is_token;
	/* Instead of PASSWORD: as struct imap_login has it; TOKEN_CTX outlives what is opened. NULL: PASSWORD. */
	enum err_code (*token)(void *ctx, bool refused, struct buf *out, struct err *e);
	void *token_ctx;
	const char *
	        mechanism; /* of SASL: connector_mechanisms; over HTTP basic, digest, bearer; NULL: the best that is offered */
	const char
	        *tls; /* "required" (also NULL); "off": imap://, dav:// … without TLS on this machine; "off-anywhere" */
	const char *fingerprint; /* SHA-256 of the server's certificate, in hex: trust this one; NULL: by authorities */
	const char *ca_file;     /* PEM: the authorities to trust instead of the system's; NULL: these */
	const char *compress;    /* "far" (also NULL), "always", "never": the line, where the server can */
	struct pace *pace;       /* of what comes from it; NULL: as it comes. Outlives what is opened */
	unsigned connections;    /* at most so many at once; 0: 3 */
	int64_t patience_ms; /* how long to go on without anything new learned; 0: 5 minutes, < 0: only a few tries */
	const volatile sig_atomic_t *stop;
};
/* "scram-sha-256, plain, …": what MECHANISM may be. */
const char *connector_mechanisms(void);
/* ERR_USAGE when LOGIN's words are none, or do not fit URL; the secret is not looked at. */
MUST_CHECK enum err_code connector_login_check(const char *url, const struct server_login *login, struct err *e);
/* Connects and logs in. ERR_USAGE as connector_login_check; ERR_DENIED when the server refuses the login, or its certificate is not good. */
MUST_CHECK enum err_code connector_server_open(const char *url, const struct server_login *login,
                                               struct item_source **out, struct err *e);

/*
 * Several sources as one (joined.h): collections of the first keep their paths, those of the others stand below "imap", "dav", "files" …
 * Takes all of PARTS, also on failure. ERR_LIMIT for more than 16.
 */
MUST_CHECK enum err_code connector_join(struct item_source **parts, size_t count, struct item_source **out,
                                        struct err *e);

struct sink_options {
	const char *into; /* a folder below the sink to put everything in, or NULL */
	/* For a bare PATH: the world the items came from ("maildir", "mbox", "files"), so that they go back as they
	 * were. */
	const char *world_hint;
};
/* Of a sink at a server. */
struct server_sink_options {
	const char *into;  /* as above */
	bool plan_only;    /* then the login may change nothing there */
	bool flags_only;   /* nothing is put; what is there gets the items' flags */
	bool missing_only; /* what is there in any folder (but not in the trash) is not put again */
	bool mends;        /* of what is refused a copy is put whose bytes are as servers want them (mime/mend.h) */
	unsigned verify_percent; /* of the bodies that are read back and compared */
	const char *journal;     /* file that remembers what was put, for later runs and undo; NULL: none */
};
/* Connects and logs in, as connector_server_open. */
MUST_CHECK enum err_code connector_server_sink_open(const char *url, const struct server_login *login,
                                                    const struct server_sink_options *o, struct item_sink **out,
                                                    struct err *e);
/* What an undo did. */
struct server_undo {
	uint64_t removed; /* messages */
	uint64_t gone;    /* were there no more */
	uint64_t kept;    /* cannot be removed; told by report */
	uint64_t folders; /* that the restore had made, and that are empty */
};
/* Takes away what JOURNAL says was put, and nothing else; with PLAN_ONLY only counts. ERR_NOT_FOUND: there is no journal. */
MUST_CHECK enum err_code connector_server_undo(const char *url, const struct server_login *login, const char *journal,
                                               bool plan_only, item_report report, void *ctx, struct server_undo *out,
                                               struct err *e);
/* Another folder for a sink at a server; before its first collection. */
MUST_CHECK enum err_code connector_server_sink_into(struct item_sink *s, const char *into, struct err *e);
MUST_CHECK enum err_code connector_sink_open(const char *url, const struct sink_options *o, struct item_sink **out,
                                             struct err *e);

#endif
