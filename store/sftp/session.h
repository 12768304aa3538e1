/*
 * session: one SSH connection that speaks SFTP, over libssh, whose home this is. Known hosts, agent, keys, ports and
 * all of ~/.ssh/config are libssh's (MAILHOLD_SSH_CONFIG names another file); nothing is run on either side but the
 * sftp subsystem.
 * Answers  requests may be in flight in any number; answers come in any order and are told apart by id.
 * Failing  ERR_IO with a hint in RETRY ends the connection: it is BROKEN and only good for being closed.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_STORE_SFTP_SESSION_H
#define MAILHOLD_STORE_SFTP_SESSION_H

#include "wire.h"

struct sftp_place {
	const char *host, *user, *port; /* as in the URL; user and port empty: as ssh would take them */
};

struct sftp_session;

/* ERR_DENIED: host key or login, with what to do. */
MUST_CHECK enum err_code sftp_session_open(const struct sftp_place *place, struct sftp_session **out, struct err *e);
void sftp_session_free(struct sftp_session **s);
bool sftp_session_broken(const struct sftp_session *s);

/* What the server offers. */
struct sftp_server {
	bool hardlink, posix_rename, fsync;
	uint32_t read_bytes, write_bytes; /* at most in one request */
};
const struct sftp_server *sftp_session_server(const struct sftp_session *s);

/* A request to be filled; it leaves with the next flush or wait. */
struct sftp_request sftp_session_begin(struct sftp_session *s, enum sftp_type type, struct err *e);
/* Completes it; *ID is what its answer will have. */
MUST_CHECK enum err_code sftp_session_end(struct sftp_session *s, struct sftp_request *r, uint32_t *id);
/* Nobody will wait for the answer to ID. */
void sftp_session_ignore(struct sftp_session *s, uint32_t id);
/* The next answer that is not ignored; its spans are good until the next call. */
MUST_CHECK enum err_code sftp_session_wait(struct sftp_session *s, struct sftp_answer *out, struct err *e);
/* The same, when no other request is in flight. ERR_CORRUPT for an answer to something else. */
MUST_CHECK enum err_code sftp_session_wait_for(struct sftp_session *s, uint32_t id, struct sftp_answer *out,
                                               struct err *e);

#endif
