/* The table of commands, in the order of help. */
#include "command.h"

#define LATER(n, w, s)                                                                                                 \
	&(const struct command)                                                                                        \
	{                                                                                                              \
		.name = n, .words = w, .summary = s                                                                    \
	}

const struct command *const commands[] = {
	&command_init,
	&command_snapshot,
	&command_snapshots,
	&command_ls,
	&command_cat,
	&command_find,
	&command_diff,
	&command_deleted,
	&command_restore,
	&command_report,
	&command_copy,
	&command_forget,
	&command_prune,
	&command_session,
	&command_pin,
	&command_unpin,
	&command_hold,
	&command_check,
	&command_repair,
	&command_parity,
	&command_stats,
	&command_key,
	&command_account,
	&command_version,
	&command_help,
	LATER("mount", "FOLDER", "look at snapshots as files"),
	LATER("web", "", "look at snapshots in a browser"),
};
const size_t command_count = ARRAY_LEN(commands);

const struct command *command_find_name(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i]->name, name) || (commands[i]->alias && !strcmp(commands[i]->alias, name)))
			return commands[i];
	return NULL;
}

const char *command_near(const char *name)
{
	const char *best = NULL;
	size_t best_distance = 3;

	for (size_t i = 0; i < command_count; i++) {
		const char *const names[2] = { commands[i]->name, commands[i]->alias };

		for (size_t j = 0; j < 2 && commands[i]->run; j++) {
			size_t distance = names[j] ? text_distance(names[j], name) : SIZE_MAX;

			if (distance < best_distance && distance < strlen(names[j])) {
				best = names[j];
				best_distance = distance;
			}
		}
	}
	return best;
}
