/*
 * href: the URLs in a DAV server's answers (RFC 4918, 8.3): absolute, or a path, of this server or another one, percent-encoded
 * in whatever way. A path is sent back as the server wrote it, and compared by its canonical form.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_HREF_H
#define MAILHOLD_CONNECTOR_DAV_HREF_H

#include "base/buf.h"

#define HREF_BYTES_MAX 2048

/*
 * Replaces OUT by the path (and query) that HREF names, which stood in an answer for BASE (a path), as it can be sent: bytes that a
 * request cannot hold are percent-encoded, all else stays. ORIGIN as http_origin has it. ERR_DENIED: it is another server's.
 * ERR_CORRUPT: longer than HREF_BYTES_MAX, or it holds "." or ".." as a segment.
 */
MUST_CHECK enum err_code href_resolve(const char *origin, struct span base, struct span href, struct buf *out,
                                      struct err *e);
/*
 * Replaces OUT by what PATH means, decoded, so that two paths are the same if and only if they are here: a NUL stays %00, a '/' that is
 * part of a name %2F, and a '%' that would look like the begin of one of these three stays %25.
 */
MUST_CHECK enum err_code href_canonical(struct span path, struct buf *out, struct err *e);
/* Appends what stands in an answer, as it can be sent. */
MUST_CHECK enum err_code href_append(struct span path, struct buf *out, struct err *e);
/* The last segment of PATH, without a '/' behind it. */
struct span href_last(struct span path);

#endif
