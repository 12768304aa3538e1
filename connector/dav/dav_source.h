/*
 * dav_source: the calendars and address books of a login at a CalDAV and CardDAV server as a source. Each is a collection: of kind
 * event, task or note by what it may hold, or contact.
 * Key      the resource's name in its collection (dav_listing.h). Its bytes change in place: the ETag, as the item's version, tells.
 * Harm     nothing is changed at the server: PROPFIND, REPORT and GET.
 * Cursor   DAV:sync-token, getctag, and the day on which all was last listed. When token and ctag are as they were nothing is
 *          asked; else only what changed, where the server can tell; after DAV_FULL_DAYS days all is listed again.
 * Thread   as item_source; fetches may come from several threads, over up to login.connections lines.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_DAV_SOURCE_H
#define MAILHOLD_CONNECTOR_DAV_DAV_SOURCE_H

#include "client.h"
#include "item/item.h"

#define DAV_FULL_DAYS 30

/* LOGIN is copied. Connects and finds out what there is. */
MUST_CHECK enum err_code dav_source_open(const struct dav_login *login, struct item_source **out, struct err *e);

#endif
