/*
 * multistatus: a DAV server's answer about many resources (RFC 4918, 13; RFC 6578, 6), told response by response as it comes.
 * Limits   xml.h's; a response holds at most MULTISTATUS_PROPERTIES_MAX properties and MULTISTATUS_RESPONSE_BYTES_MAX bytes of
 *          hrefs and values.
 * Thread   one at a time per reader.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_MULTISTATUS_H
#define MAILHOLD_CONNECTOR_DAV_MULTISTATUS_H

#include "base/buf.h"

#define MULTISTATUS_PROPERTIES_MAX     128
#define MULTISTATUS_RESPONSE_BYTES_MAX (48 * MIB)

/*
 * A property that the server has (those it has not, or refuses, are not told). VALUE is its text, line ends as they came; with
 * MARKUP it holds elements, and VALUE is an XML fragment in which each element declares its namespace itself.
 */
struct dav_property {
	struct span space, local;
	struct span value;
	bool markup;
};

/* STATUS is the response's own (404: the resource is gone; 507: there is more), 0 where it has properties instead. */
struct dav_response {
	struct span href;
	unsigned status;
	const struct dav_property *properties;
	size_t count;
};
/* NULL: it has none. */
const struct dav_property *dav_property_find(const struct dav_response *r, struct span space, const char *local);

#define NS_DAV     SPAN_LIT("DAV:")
#define NS_CALDAV  SPAN_LIT("urn:ietf:params:xml:ns:caldav")
#define NS_CARDDAV SPAN_LIT("urn:ietf:params:xml:ns:carddav")
#define NS_CS      SPAN_LIT("http://calendarserver.org/ns/")
#define NS_APPLE   SPAN_LIT("http://apple.com/ns/ical/")

struct multistatus;
/* TAKE gets each response, borrowed for the call; its error ends the reading. */
MUST_CHECK enum err_code multistatus_open(enum err_code (*take)(void *ctx, const struct dav_response *r, struct err *e),
                                          void *ctx, uint64_t bytes_max, struct multistatus **out, struct err *e);
/* ERR_CORRUPT: no XML, or no multistatus; ERR_LIMIT. After a failure only multistatus_free. */
MUST_CHECK enum err_code multistatus_feed(struct multistatus *m, struct span bytes, struct err *e);
/* Nothing more comes. ERR_CORRUPT: the answer is cut off. */
MUST_CHECK enum err_code multistatus_finish(struct multistatus *m, struct err *e);
/* DAV:sync-token, empty when there is none; borrowed until it is freed. */
struct span multistatus_sync_token(const struct multistatus *m);
void multistatus_free(struct multistatus **m);

/* Calls GOT for each element of FRAGMENT (a value with markup), with how many elements it is in and the text behind its start. */
MUST_CHECK enum err_code dav_fragment_each(struct span fragment,
                                           enum err_code (*got)(void *ctx, unsigned depth, struct span space,
                                                                struct span local, struct span name, struct span text,
                                                                struct err *e),
                                           void *ctx, struct err *e);

#endif
