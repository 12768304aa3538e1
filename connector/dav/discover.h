/*
 * discover: from a login to the collections that it has: RFC 6764 (well-known), RFC 5397 (current-user-principal), RFC 4791 and
 * RFC 6352 (home sets), each home listed with all that is known of its collections. A URL with a path may also name a principal,
 * a home, or one collection, which is then all that there is.
 * Attributes dav:…: docs/format/fields.md.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_DISCOVER_H
#define MAILHOLD_CONNECTOR_DAV_DISCOVER_H

#include "client.h"
#include "connector/outline.h"

struct dav_folders {
	struct outline outline; /* raws: the collection's path as the server writes it, with a '/' behind */
	struct buf states;      /* struct dav_folder_state, in the order in which they were added */
	struct buf texts;       /* what these point into */
};

/* What moves when something in a collection does; empty where the server has none. */
struct dav_folder_state {
	size_t raw, raw_bytes; /* whose it is */
	size_t token, token_bytes, ctag, ctag_bytes;
};

/* ERR_NOT_FOUND: there is no such thing at that URL. After a failure OUT is to be released all the same. */
MUST_CHECK enum err_code dav_discover(struct dav_client *c, const struct dav_login *login, struct dav_folders *out,
                                      struct err *e);
/* DAV:sync-token and getctag of the collection RAW, as they were when it was listed. */
void dav_folder_state(const struct dav_folders *f, struct span raw, struct span *token, struct span *ctag);
void dav_folders_release(struct dav_folders *f);

#endif
