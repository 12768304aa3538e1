/*
 * answer: what an S3 server says in XML ("ListObjectsV2" and "Error Responses" of the API reference, 2006-03-01).
 */
#ifndef MAILHOLD_STORE_S3_ANSWER_H
#define MAILHOLD_STORE_S3_ANSWER_H

#include "net/xml/xml.h"

/* One page of 1,000 keys of at most 1,024 bytes, generously. */
#define LISTING_BYTES_MAX (8 * MIB)
#define S3_KEY_MAX        1024

/* KEY as it was created. An error ends the reading. */
typedef enum err_code (*answer_object)(void *ctx, struct span key, uint64_t bytes, struct err *e);

/* A listing as it comes. After answer_finish TRUNCATED tells whether there is more, and NEXT where it goes on. */
struct answer_listing;
MUST_CHECK enum err_code answer_open(answer_object object, void *ctx, struct answer_listing **out, struct err *e);
MUST_CHECK enum err_code answer_feed(struct answer_listing *l, struct span bytes, struct err *e);
/* ERR_CORRUPT: it has not come to its end, is no listing, or says that there is more and not where. NEXT: empty when that was all. */
MUST_CHECK enum err_code answer_finish(struct answer_listing *l, struct buf *next, struct err *e);
void answer_free(struct answer_listing **l);

struct answer_error {
	char code[64];     /* "NoSuchKey"; empty: BODY is no error of S3 */
	char message[256]; /* printable */
};
void answer_error_parse(struct span body, struct answer_error *out);

#endif
