/*
 * wire: packets of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of the extensions that OpenSSH documents in its
 * PROTOCOL: hardlink, posix-rename, fsync, limits. Bytes only, no connection. Integers are big-endian.
 */
#ifndef MAILHOLD_STORE_SFTP_WIRE_H
#define MAILHOLD_STORE_SFTP_WIRE_H

#include "base/buf.h"

#define SFTP_VERSION 3
/* A packet of an answer, its length aside. 256 KiB is what OpenSSH sends at most. */
#define SFTP_PACKET_MAX (256 * KIB + 1024)
#define SFTP_HANDLE_MAX 256
/* Every server takes and gives this much at once (section 3 of the draft). */
#define SFTP_DATA_BYTES (32 * KIB)

enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION_IS = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_RENAME = 18,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201
};

enum sftp_status {
	SFTP_OK = 0,
	SFTP_EOF = 1,
	SFTP_NO_SUCH_FILE = 2,
	SFTP_PERMISSION_DENIED = 3,
	SFTP_FAILURE = 4,
	SFTP_BAD_MESSAGE = 5,
	SFTP_NO_CONNECTION = 6,
	SFTP_CONNECTION_LOST = 7,
	SFTP_OP_UNSUPPORTED = 8
};

#define SFTP_OPEN_READ   0x01
#define SFTP_OPEN_WRITE  0x02
#define SFTP_OPEN_CREATE 0x08
#define SFTP_OPEN_EXCL   0x20

/* What is known of a file; HAS_SIZE and HAS_MODE tell what the server said. */
struct sftp_attrs {
	bool has_size, has_mode;
	uint64_t size;
	uint32_t mode; /* as st_mode */
};

/* One answer; spans are borrowed from the packet. Which fields count follows from TYPE. */
struct sftp_answer {
	enum sftp_type type;
	uint32_t id;             /* of the request; of VERSION_IS: the version */
	uint32_t status;         /* STATUS */
	struct span text;        /* STATUS: for people, in any encoding; may be empty */
	struct span bytes;       /* HANDLE, DATA, EXTENDED_REPLY; VERSION_IS: pairs of name and data; NAME: entries */
	uint32_t count;          /* NAME: entries */
	struct sftp_attrs attrs; /* ATTRS */
};

/* PACKET without its length. ERR_CORRUPT for what no server may say. */
MUST_CHECK enum err_code sftp_answer_parse(struct span packet, struct sftp_answer *out, struct err *e);
/* The next of the entries in BYTES of a NAME answer, or of the pairs of VERSION_IS; false at the end. ERR in *E->code when it is broken. */
MUST_CHECK enum err_code sftp_next_entry(struct span *entries, struct span *name, struct sftp_attrs *attrs,
                                         struct err *e);
/* True and *DATA when the server offers EXTENSION. */
bool sftp_offers(struct span pairs, const char *extension, struct span *data);

/* ---- requests: appended whole to OUT, length first ---- */

/* A request in the making. FIELDS come in the order of the draft; sftp_end writes the length. */
struct sftp_request {
	struct buf *out;
	size_t start;
	struct err *e;
	enum err_code rc;
};
struct sftp_request sftp_begin(struct buf *out, enum sftp_type type, uint32_t id, struct err *e);
void sftp_u32(struct sftp_request *r, uint32_t v);
void sftp_u64(struct sftp_request *r, uint64_t v);
void sftp_string(struct sftp_request *r, struct span s);
/* ATTRS with the permissions MODE alone, or with nothing (0). */
void sftp_mode(struct sftp_request *r, uint32_t mode);
MUST_CHECK enum err_code sftp_end(struct sftp_request *r);

#endif
