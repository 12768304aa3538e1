/*
 * xml: a document as it comes, told element by element, over expat, whose home this is.
 * Limits   a document type declaration is refused, so there are no entities but the five that XML has, and nothing is ever
 *          fetched; at most XML_DEPTH_MAX elements in each other, and as many bytes as the reader was opened for.
 * Line ends  XML makes every line end of a text a LF. Here each is told as it came: a CR LF that stood in the document, and
 *          one that was written &#13; and LF, are both CR LF.
 * Thread   one at a time per reader.
 */
#ifndef MAILHOLD_NET_XML_XML_H
#define MAILHOLD_NET_XML_XML_H

#include "base/buf.h"

#define XML_DEPTH_MAX 64

/* SPACE is the URI, empty for names in none. Borrowed for the call. */
struct xml_name {
	struct span space, local;
};
struct xml_attribute {
	struct xml_name name;
	struct span value;
};
#define XML_ATTRIBUTES_MAX 32 /* of an element; further ones are not told */

/* What of them fails ends the reading with that error. TEXT comes in pieces of any size. */
struct xml_handler {
	void *ctx;
	enum err_code (*start)(void *ctx, const struct xml_name *name, const struct xml_attribute *attributes,
	                       size_t count, struct err *e);
	enum err_code (*text)(void *ctx, struct span bytes, struct err *e);
	enum err_code (*end)(void *ctx, const struct xml_name *name, struct err *e);
};

struct xml_reader;
MUST_CHECK enum err_code xml_open(const struct xml_handler *handler, uint64_t bytes_max, struct xml_reader **out,
                                  struct err *e);
/* ERR_CORRUPT: no well-formed XML, or a document type declaration; ERR_LIMIT. After a failure only xml_free. */
MUST_CHECK enum err_code xml_feed(struct xml_reader *r, struct span bytes, struct err *e);
/* Nothing more comes. ERR_CORRUPT when the document has not ended. */
MUST_CHECK enum err_code xml_finish(struct xml_reader *r, struct err *e);
void xml_free(struct xml_reader **r);

/* Appends BYTES as they stand in a text or an attribute: & < > " and CR as references. */
MUST_CHECK enum err_code xml_escape(struct span bytes, struct buf *out, struct err *e);

#endif
