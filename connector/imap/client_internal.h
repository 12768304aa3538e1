/*
 * client_internal: what the files of client share: commands and responses (client.c), and how a connection begins (login.c).
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_CLIENT_INTERNAL_H
#define MAILHOLD_CONNECTOR_IMAP_CLIENT_INTERNAL_H

#include "client.h"
#include "net/net.h"

#define CLIENT_COMMAND_MAX (64 * KIB)
#define CLIENT_TOLD_MAX    100000 /* responses while waiting for a login: more is no server */

struct imap_client {
	struct net *net; /* NULL: TRANSPORT instead */
	const struct imap_transport *transport;
	struct wire wire;
	unsigned tags; /* given */
	unsigned done; /* come back */
	unsigned capabilities;
	uint64_t append_limit;
	unsigned mechanisms; /* of SASL */
	bool has_capabilities;
	bool changes;                       /* may be made */
	void (*away)(void *ctx, bool gone); /* as login.away */
	void *away_ctx;
	bool broken;    /* nothing more can be said over it */
	char host[300]; /* printable */
};

/* Of the wire. */
enum err_code client_read(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e);
MUST_CHECK enum err_code client_send_bytes(struct imap_client *c, struct span bytes, struct err *e);
/* As imap_send. COMMAND may hold secrets: what was made of it is wiped. */
MUST_CHECK enum err_code client_send_line(struct imap_client *c, unsigned *tag, struct span command, struct err *e);
/* An imap_handler: takes what the server says that it can. */
enum err_code client_take_capability(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e);
/* Asks what the server can, unless it told. */
MUST_CHECK enum err_code client_need_capabilities(struct imap_client *c, struct err *e);

#endif
