/*
 * print_fetch: reads messages of the open folder and tells their prints, or their headers, without marking anything as seen.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_PRINT_FETCH_H
#define MAILHOLD_CONNECTOR_IMAP_PRINT_FETCH_H

#include "client.h"
#include "mail_print.h"

typedef enum err_code (*print_visit)(void *ctx, uint32_t uid, const struct mail_print *print, struct err *e);
/* Fetches the messages of SET ("4,7,12") of the open folder and tells their prints; those that are gone are not told. */
MUST_CHECK enum err_code fetch_prints(struct imap_client *c, struct span set, print_visit visit, void *ctx,
                                      struct err *e);

typedef enum err_code (*head_visit)(void *ctx, uint32_t uid, struct span head, struct err *e);
/* The same for their header blocks, cut at 256 KiB. */
MUST_CHECK enum err_code fetch_heads(struct imap_client *c, struct span set, head_visit visit, void *ctx,
                                     struct err *e);

#endif
