/* snapshot_list: the snapshots that a command line names, for forget, pin and unpin. */
#ifndef MAILHOLD_CLI_SNAPSHOT_LIST_H
#define MAILHOLD_CLI_SNAPSHOT_LIST_H

#include "command.h"

struct snapshot_list {
	struct snapshot_id *ids;
	size_t count;
};
/* Resolves all WORDS, each id once, or fails without a change. WHICH as for repo_resolve. */
MUST_CHECK enum err_code snapshot_list_resolve(struct repo *r, const struct text_list *words, unsigned which,
                                               struct snapshot_list *out, struct err *e);
void snapshot_list_release(struct snapshot_list *l);
/* Tells each: "forgot 1a2b3c4d of ann, 2026-11-22 20:15", or a row {"type": DONE, …} each. */
MUST_CHECK enum err_code snapshot_list_tell(struct cli *c, const struct snapshot_list *l, unsigned which,
                                            const char *done, struct err *e);

#endif
