/*
 * client: one connection to an IMAP server (RFC 9051, RFC 3501): greeting, TLS, login, capabilities, tagged commands and the
 * responses to them. What a response holds is taken apart by whoever asked for it (wire.h).
 * Harm     imap_send refuses every word that is not in its list of reading commands, unless the login was opened to
 *          change (imap_login.changes): only the sink does that, and only the few words that it needs are added.
 * Secrets  password and token go to the server only, after TLS began, and are wiped from what was sent.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_CLIENT_H
#define MAILHOLD_CONNECTOR_IMAP_CLIENT_H

#include <signal.h>

#include "base/buf.h"
#include "base/pace.h"
#include "wire.h"

/* Instead of a connection, for tests: bytes come from READ, what is sent goes to WRITE. */
struct imap_transport {
	void *ctx;
	wire_read read;
	enum err_code (*write)(void *ctx, struct span bytes, struct err *e);
};

enum imap_compress { IMAP_COMPRESS_FAR = 0, IMAP_COMPRESS_ALWAYS, IMAP_COMPRESS_NEVER };
#define IMAP_FAR_US 4000 /* from this round trip on a line is worth more than a processor */

struct imap_login {
	const char *host, *port; /* port "": 993, or 143 with STARTTLS */
	bool start_tls;          /* else TLS from the first byte */
	const char *ca_file;     /* NULL: the system's */
	bool pinned;             /* by PIN, as net_options has it, not by authorities */
	uint8_t pin[32];
	bool clear;          /* with START_TLS: do without, but only where the server is this machine */
	bool clear_anywhere; /* with CLEAR: and elsewhere, too */
	const char *user;
	struct span password; /* or an OAuth 2 access token */
	bool is_token;
	/*
	 * Instead of PASSWORD, when not NULL: appends the access token that is good now, for this connection; tokens do not live as
	 * long as a run. REFUSED: the server did not take the one that was given last. Any thread.
	 */
	enum err_code (*token)(void *ctx, bool refused, struct buf *out, struct err *e);
	void *token_ctx;
	unsigned mechanism;          /* enum sasl_mechanism (net/sasl/sasl.h); 0: the best that the server offers */
	struct pace *pace;           /* of what is read; NULL: as it comes */
	int64_t silence_ms;          /* 0: net's own */
	unsigned connections;        /* at most so many at once; 0: the source's own */
	enum imap_compress compress; /* COMPRESS=DEFLATE where it is offered: to far servers, always, never */
	int64_t patience_ms; /* how long to go on after breaks and refusals that mean later; 0: session.h's own, < 0: none */
	const volatile sig_atomic_t *stop;
	/* When not NULL: called with GONE before, and without after whatever may wait for the server or for better times. */
	void (*away)(void *ctx, bool gone);
	void *away_ctx;
	bool changes; /* a sink's: SELECT, CREATE, SUBSCRIBE, DELETE, APPEND, UID STORE and UID EXPUNGE may be sent, too */
	const struct imap_transport *transport; /* NULL: connect to HOST */
};
/* OWN is FROM with copies of its texts, in STRINGS (mem_free each; they begin as NULL) and PASSWORD, also on failure. */
MUST_CHECK enum err_code imap_login_keep(const struct imap_login *from, char *strings[4], struct buf *password,
                                         struct imap_login *own, struct err *e);

enum imap_capability {
	IMAP_SASL_IR = 1 << 0,
	IMAP_SPECIAL_USE = 1 << 1,
	IMAP_LIST_EXTENDED = 1 << 2,
	IMAP_LIST_STATUS = 1 << 3,
	IMAP_CONDSTORE = 1 << 4,
	IMAP_QRESYNC = 1 << 5,
	IMAP_ENABLE = 1 << 6,
	IMAP_ESEARCH = 1 << 7,
	IMAP_OBJECTID = 1 << 8,
	IMAP_GMAIL = 1 << 9,
	IMAP_START_TLS = 1 << 10,
	IMAP_LOGIN_DISABLED = 1 << 11,
	IMAP_LITERAL_PLUS = 1 << 12,
	IMAP_LITERAL_MINUS = 1 << 13,
	IMAP_MULTIAPPEND = 1 << 14,
	IMAP_UIDPLUS = 1 << 15,
	IMAP_CREATE_SPECIAL_USE = 1 << 16,
	IMAP_NAMESPACE = 1 << 17,
	IMAP_COMPRESS_DEFLATE = 1 << 18,
	IMAP_ACL = 1 << 19,
	IMAP_QUOTA = 1 << 20,
	IMAP_METADATA = 1 << 21,
	IMAP_BINARY = 1 << 22
};

struct imap_client;

/* ERR_DENIED when the server refuses the login; else as net_open. */
MUST_CHECK enum err_code imap_open(const struct imap_login *login, struct imap_client **out, struct err *e);
/* Says goodbye when there is nothing outstanding; never waits. */
void imap_free(struct imap_client **c);
/* Nothing more can be said over it: after ERR_IO and ERR_CORRUPT from any call, but not after what the server refused. */
bool imap_is_broken(const struct imap_client *c);
/* Nobody waits for the server any more: whoever does gets ERR_IO at once. From any thread, while C is not freed. */
void imap_hang_up(struct imap_client *c);
/* login.away is not called from now on. */
void imap_stay(struct imap_client *c);
/* The caller could not read a response to its end: now it is. */
void imap_break(struct imap_client *c);
/* Commands that were sent and are not done. */
unsigned imap_outstanding(const struct imap_client *c);
/* A round trip to the server costs more than a processor's work for it: IMAP_FAR_US. */
bool imap_is_far(const struct imap_client *c);
unsigned imap_capabilities(const struct imap_client *c); /* enum imap_capability */
/* The largest message that the server takes (APPENDLIMIT=N, RFC 7889); 0: it does not say. */
uint64_t imap_append_limit(const struct imap_client *c);
/* A server that announces WHICH cannot do it after all. */
void imap_cannot(struct imap_client *c, enum imap_capability which);
struct wire *imap_wire(struct imap_client *c);

enum imap_status { IMAP_OK = 1, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };
enum imap_kind {
	IMAP_DONE = 1, /* a command's end: TAG, STATUS, CODE, TEXT */
	IMAP_TOLD,     /* untagged OK, NO, BAD, BYE: STATUS, CODE, TEXT */
	IMAP_DATA, /* untagged: NUMBER when there is one, WORD in capitals; the rest of the line is still to be read */
	IMAP_CONTINUE /* '+': TEXT */
};
struct imap_response {
	enum imap_kind kind;
	unsigned tag;
	enum imap_status status;
	uint32_t number;
	char word[24];
	struct span code; /* of "[CODE …]", without the brackets */
	struct span text; /* both good until the next read */
};

/*
 * Sends "TAG command"; *TAG names it. The words that change nothing: see above. Where the command holds a synchronising
 * literal (imap_string), it waits for the server to ask for the rest: then nothing else may be on its way.
 */
MUST_CHECK enum err_code imap_send(struct imap_client *c, unsigned *tag, struct err *e, const char *fmt, ...)
        PRINTF_LIKE(4, 5);
/* Sends what belongs to a command that was begun: a literal, or the line's rest. Only where changes are allowed. */
MUST_CHECK enum err_code imap_send_more(struct imap_client *c, struct span bytes, struct err *e);
/* Reads up to where IMAP_DATA's data begins, or a whole response of another kind. */
MUST_CHECK enum err_code imap_next(struct imap_client *c, struct imap_response *out, struct err *e);

/* Gets what comes while a command is on its way; IMAP_DATA must be read to its line's end. */
typedef enum err_code (*imap_handler)(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e);
/* Reads until TAG is done. HANDLER may be NULL: everything is passed over. Not OK is an error: imap_refused. */
MUST_CHECK enum err_code imap_wait(struct imap_client *c, unsigned tag, imap_handler handler, void *ctx, struct err *e);
/*
 * Sets E from a NO or BAD: ERR_NOT_FOUND, ERR_DENIED, ERR_LIMIT or ERR_IO by its code, with what the server said. What sounds
 * like "later" has E->retry ERR_RETRY_LATER: the connection is good, the same command may work after a pause.
 */
enum err_code imap_refused(const struct imap_response *r, struct err *e);
/* The number behind NAME in a response code ("UIDVALIDITY 12"); false when it is another code. */
bool imap_code_number(struct span code, const char *name, uint64_t *out);
/* Appends NAME as a quoted string or, when it cannot be one, as a literal. ERR_UNSUPPORTED: it holds a NUL. */
MUST_CHECK enum err_code imap_string(const struct imap_client *c, struct span name, struct buf *out, struct err *e);

#endif
