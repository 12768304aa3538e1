/*
 * dav_listing: what there is in a collection: each resource with its key, ETag and Schedule-Tag. Read whole (PROPFIND), or made of
 * what is known from the last time and what changed since (RFC 6578).
 * Key      the last segment of the href in its canonical form (href.h).
 * Thread   one at a time while it is made; entries' HOW and BODY belong to bodies.h.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_DAV_LISTING_H
#define MAILHOLD_CONNECTOR_DAV_DAV_LISTING_H

#include "base/text.h"
#include "client.h"
#include "item/item.h"

#define DAV_ETAG_BYTES_MAX 1024

/* What was true of a collection when it was last read. */
struct dav_cursor {
	struct span token, ctag; /* DAV:sync-token, getctag; empty: it has none */
	uint32_t full_day;       /* since 1970: when all of it was last listed */
};
MUST_CHECK enum err_code dav_cursor_put(const struct dav_cursor *c, struct buf *out, struct err *e);
bool dav_cursor_get(struct span cursor, struct dav_cursor *out);

enum dav_how { DAV_NOT_YET, DAV_WANTED, DAV_ASKED, DAV_HERE, DAV_ALONE, DAV_LARGE };
struct dav_body {
	struct buf bytes;
	int64_t modified_s; /* DAV_NO_TIME: not told */
};

struct dav_entry {
	size_t key, state, name; /* places in TEXTS */
	uint16_t key_bytes, state_bytes, name_bytes;
	uint8_t how; /* enum dav_how */
	bool gone;   /* while it is made: not there any more */
	uint32_t order;
	struct dav_body *body; /* owned; NULL unless HERE */
};

struct item_listing {
	struct span raw;      /* the collection's path, with a '/' behind; of the source */
	struct buf canonical; /* of RAW */
	struct buf texts;
	struct dav_entry *entries; /* in key order */
	size_t count, cap;
	bool contacts;
	struct buf token; /* DAV:sync-token that goes with it, when only changes were asked for */
	size_t strange;   /* hrefs that are not in the collection; the first: */
	struct text_name strange_first;
	/* of bodies.h */
	size_t batch; /* 0: the usual number of resources at once */
	bool no_multiget, proven;
};

static inline struct span dav_key(const struct item_listing *l, const struct dav_entry *entry)
{
	return span_of(l->texts.ptr + entry->key, entry->key_bytes);
}
static inline struct span dav_state(const struct item_listing *l, const struct dav_entry *entry)
{
	return span_of(l->texts.ptr + entry->state, entry->state_bytes);
}
/* Its last segment as the server writes it. */
static inline struct span dav_name(const struct item_listing *l, const struct dav_entry *entry)
{
	return span_of(l->texts.ptr + entry->name, entry->name_bytes);
}
/* NULL: not listed. */
struct dav_entry *dav_listing_find(const struct item_listing *l, struct span key);
/* Where HREF is, which stood in an answer about L's collection: the collection itself, a folder in it, a resource in it, or elsewhere.
 * Of a resource KEY and RAW are replaced by its key and its last segment as it is written. */
enum dav_place { DAV_PLACE_SELF, DAV_PLACE_FOLDER, DAV_PLACE_MEMBER, DAV_PLACE_STRANGE };
enum dav_place dav_listing_place(const struct dav_client *c, const struct item_listing *l, struct span href,
                                 struct buf *key, struct buf *raw);

/* Lists all of the collection RAW, which outlives it. ERR_LIMIT: the server will not list all. */
MUST_CHECK enum err_code dav_list_all(struct dav_client *c, struct span raw, bool contacts, struct item_listing **out,
                                      struct err *e);
/* The same by what changed since TOKEN. ERR_UNSUPPORTED: it cannot be told, list all. */
MUST_CHECK enum err_code dav_list_since(struct dav_client *c, struct span raw, bool contacts, struct span token,
                                        const struct item_known *known, struct item_listing **out, struct err *e);
void dav_listing_free(struct item_listing **l);

#endif
