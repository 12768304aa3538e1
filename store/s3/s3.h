/*
 * s3: a store in a bucket: s3://BUCKET/PREFIX at Amazon (AWS_REGION says where), s3+https://HOST[:PORT]/BUCKET/PREFIX at any server that
 * speaks its protocol, s3+http:// in clear to this machine.
 * Rule A   PUT with If-None-Match: *. Servers are known that take the header and do not heed it, so that create tries it: rounds of
 *          eight at once, of whom one has to win each.
 * Durable  what is acknowledged is.
 * Trust    requests are signed with their bodies' SHA-256; what comes back is checked by the rooms above, as from everywhere.
 */
#ifndef MAILHOLD_STORE_S3_S3_H
#define MAILHOLD_STORE_S3_S3_H

#include "store/contract/contract.h"

extern const struct store_kind store_s3, store_s3_https, store_s3_http;

#endif
