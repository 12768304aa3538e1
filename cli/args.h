/*
 * args: one parser for all command lines, driven by tables. A table row names an option and the place in a struct of
 * plain values where it goes, so that a command reads its options as fields.
 *   --name VALUE, --name=VALUE, -n VALUE, -nVALUE; flags of one letter may be joined (-qv); "--" ends the options.
 * Strings are borrowed from argv. A second --name of a kind that holds one value replaces the first.
 */
#ifndef MAILHOLD_CLI_ARGS_H
#define MAILHOLD_CLI_ARGS_H

#include "base/err.h"

struct text_list {
	const char **items;
	size_t count;
};
struct maybe_text {
	bool given;
	const char *text; /* NULL without "=VALUE" */
};

enum option_kind {
	OPTION_FLAG, /* bool */
	OPTION_TEXT, /* const char * */
	OPTION_LIST, /* struct text_list; may be repeated */
	OPTION_MAYBE /* struct maybe_text: --name or --name=VALUE */
};

struct option_def {
	char letter;      /* 0: none */
	const char *name; /* without the dashes */
	enum option_kind kind;
	const char *value; /* how help calls the value, or NULL */
	const char *help;
	size_t offset; /* in the struct of values */
};

struct option_set {
	const struct option_def *options;
	size_t count;
	void *values;
};

/*
 * Reads ARGV[*AT] to the end. Options are looked up in SETS in order; other words are appended to WORDS. With WORDS
 * NULL it stops at the first word. *AT is left behind what was read. ERR_USAGE; COMMAND (may be NULL) is for the
 * message.
 */
MUST_CHECK enum err_code args_parse(const struct option_set *sets, size_t set_count, const char *command,
                                    char *const *argv, size_t argc, size_t *at, struct text_list *words, struct err *e);
/* Frees the lists in SET's values. */
void args_release(const struct option_set *set);

MUST_CHECK enum err_code text_list_add(struct text_list *l, const char *text, struct err *e);
void text_list_release(struct text_list *l);

/* Edits (insert, delete, replace, swap of neighbours) from A to B; SIZE_MAX when one is longer than 40. */
size_t text_distance(const char *a, const char *b);

#endif
