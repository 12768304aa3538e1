/* query: the options that say which items are meant, as find and hold take them. */
#ifndef MAILHOLD_CLI_QUERY_H
#define MAILHOLD_CLI_QUERY_H

#include "command.h"

struct query_values {
	const char *account, *from, *to, *subject, *date, *after, *before, *message_id, *attachment, *kind, *collection,
	        *place;
};

#define QUERY_AT(type, field, part) (offsetof(type, field) + offsetof(struct query_values, part))
/* clang-format off */
#define QUERY_OPTIONS(type, field) \
	{ 0, "from", OPTION_TEXT, "TEXT", "in the sender or organizer", QUERY_AT(type, field, from) }, \
	{ 0, "to", OPTION_TEXT, "TEXT", "in the recipients or attendees", QUERY_AT(type, field, to) }, \
	{ 's', "subject", OPTION_TEXT, "TEXT", "in the subject or title", QUERY_AT(type, field, subject) }, \
	{ 'd', "date", OPTION_TEXT, "A..B", "dated from A to B (either may be missing), or on the day A", \
	  QUERY_AT(type, field, date) }, \
	{ 0, "after", OPTION_TEXT, "DATE", "dated DATE or later (2026-11-22, yesterday, 3d)", \
	  QUERY_AT(type, field, after) }, \
	{ 0, "before", OPTION_TEXT, "DATE", "dated before DATE", QUERY_AT(type, field, before) }, \
	{ 0, "message-id", OPTION_TEXT, "ID", "in the Message-ID or UID", QUERY_AT(type, field, message_id) }, \
	{ 0, "attachment", OPTION_TEXT, "NAME", "in the name of an attachment", QUERY_AT(type, field, attachment) }, \
	{ 'k', "kind", OPTION_TEXT, "KIND", "mail, event, task, contact, note, rule, settings or other", \
	  QUERY_AT(type, field, kind) }, \
	{ 'c', "collection", OPTION_TEXT, "PATH", "in this collection; * and ? stand for any characters", \
	  QUERY_AT(type, field, collection) }, \
	{ 0, "place", OPTION_TEXT, "TEXT", "in the place of an event", QUERY_AT(type, field, place) }, \
	{ 'a', "account", OPTION_TEXT, "NAME", "in this account's snapshots", QUERY_AT(type, field, account) }
/* clang-format on */

/* Is anything but an account asked for? */
bool query_given(const struct query_values *v);
/* COLLECTION, which must outlive Q, holds the path. ERR_USAGE names the option that makes no sense. */
MUST_CHECK enum err_code query_read(struct cli *c, const struct query_values *v, struct buf *collection,
                                    struct find_query *q, struct err *e);

#endif
