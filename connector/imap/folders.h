/*
 * folders: the mailboxes of an account: one LIST (RFC 9051, 6.3.9; roles RFC 6154, status RFC 5819), or LIST, LSUB and STATUS
 * where a server has only these. Besides, where they are offered: who may do what (ACL, RFC 4314), annotations (METADATA,
 * RFC 5464), limits (QUOTA, RFC 9208). Commands go out together, so that all of it takes two or three round trips.
 * Attributes imap:name, imap:delimiter, imap:attributes, imap:acl, imap:metadata/ENTRY, imap:quota: docs/format/fields.md.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_FOLDERS_H
#define MAILHOLD_CONNECTOR_IMAP_FOLDERS_H

#include "base/idmap.h"
#include "client.h"
#include "connector/outline.h"

/* What STATUS or EXAMINE says of a mailbox; 0 where a server does not tell. */
struct folder_status {
	uint32_t uid_validity, uid_next, messages;
	uint64_t mod_seq;
};

struct folders {
	struct outline outline; /* raws: names as the server writes them */
	struct buf statuses;    /* struct folder_status */
	struct idmap by_name;   /* hash of a raw name → its place in STATUSES; those that were told */
	struct idmap listed;    /* hash of a raw name → the number with which it was added to the outline */
};

/* After a failure OUT is to be released all the same. */
MUST_CHECK enum err_code folders_load(struct imap_client *c, struct folders *out, struct err *e);
/* The same without rights, annotations and limits, for who only wants to know which folders there are. */
MUST_CHECK enum err_code folders_load_names(struct imap_client *c, struct folders *out, struct err *e);
void folders_release(struct folders *f);
/* False when the server did not tell. */
bool folders_status(const struct folders *f, struct span raw, struct folder_status *out); /* Asks for one. */
MUST_CHECK enum err_code folder_ask_status(struct imap_client *c, struct span raw, struct folder_status *out,
                                           struct err *e);

#endif
