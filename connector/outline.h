/*
 * outline: gathers the collections of a source, their attributes and the bytes behind their spans, which stay in
 * place until outline_release. Bounded: at most OUTLINE_BYTES_MAX of names and values and OUTLINE_COUNT_MAX
 * collections, then ERR_LIMIT.
 */
#ifndef MAILHOLD_CONNECTOR_OUTLINE_H
#define MAILHOLD_CONNECTOR_OUTLINE_H

#include "item/item.h"

#define OUTLINE_BYTES_MAX (64 * MIB)
#define OUTLINE_COUNT_MAX 1000000u

struct outline_block;
struct outline {
	struct outline_block *blocks;
	size_t bytes;
	struct collection *collections; /* attributes are the outline's own arrays */
	struct span *raws;              /* by collection: where it lies, relative to the source's root */
	size_t count, cap;
};
#define OUTLINE_EMPTY ((struct outline){ NULL, 0, NULL, NULL, 0, 0 })

MUST_CHECK enum err_code outline_add(struct outline *o, struct span path, struct span raw, enum item_kind kind,
                                     struct err *e);
/* Adds an attribute to the collection that was added last. */
MUST_CHECK enum err_code outline_attribute(struct outline *o, struct span name, struct span value, struct err *e);
/* Adds one to the collection that was added as number I; before outline_finish, which orders them anew. */
MUST_CHECK enum err_code outline_attribute_of(struct outline *o, size_t i, struct span name, struct span value,
                                              struct err *e);
/* Orders by path. Of collections with the same path all but the first get "./" and their raw name instead. */
MUST_CHECK enum err_code outline_finish(struct outline *o, struct err *e);
void outline_release(struct outline *o);

/* Finds an attribute of a collection; false when absent. */
bool outline_find(const struct collection *c, struct span name, struct span *value);
/* The role that a folder's path suggests ("Sent Items", "Spam" …). */
enum collection_role outline_role(struct span path);

#endif
