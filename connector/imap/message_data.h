/*
 * message_data: the values of FETCH responses (RFC 9051, 7.5.2) that source and sink both read.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_MESSAGE_DATA_H
#define MAILHOLD_CONNECTOR_IMAP_MESSAGE_DATA_H

#include "wire.h"

/*
 * Gets each item of a FETCH response: NAME, of which longer ones are cut, was read; its value is to be read (message_pass passes it
 * by).
 */
typedef enum err_code (*message_item)(void *ctx, struct wire *w, const char *name, struct err *e);
/* Reads "(NAME value …)", what follows the number and FETCH, and the line's end. Any order, any items. */
MUST_CHECK enum err_code message_read(struct wire *w, message_item item, void *ctx, struct err *e);
MUST_CHECK enum err_code message_pass(struct wire *w, struct err *e);
/* A UID; 0: none, as of a number that is none. */
MUST_CHECK enum err_code message_uid(struct wire *w, uint32_t *out, struct err *e);
/*
 * Reads "(\Seen $Forwarded)" into OUT (cleared before): in memcmp order with a space between, so that the same flags are the
 * same bytes; without \Recent, which is the session's.
 */
MUST_CHECK enum err_code message_flags(struct wire *w, struct buf *out, struct err *e);
MUST_CHECK enum err_code message_number(struct wire *w, uint64_t *out, struct err *e);
/* "17-Jul-1996 02:44:25 -0700"; the day may have a blank in front. False, and nothing set, when TEXT is no date. */
bool message_date(struct span text, int64_t *date_s, int16_t *zone_minutes);

#endif
