/* Help from the tables. */
#include "command.h"

#include <stdio.h>

static const char intro[] =
        "mailhold keeps a deduplicated, encrypted copy of mail, calendars, contacts and rules, and gives any point in\n"
        "time back.\n"
        "\n"
        "usage: mailhold [options] COMMAND [options] [words]\n"
        "\n"
        "commands:\n";
static const char outro[] =
        "\n"
        "SNAP is an id (at least 4 digits of it), latest, latest~2, or a date or time (\"2026-11-22 20:15\": the last\n"
        "one before), with ACCOUNT@ before it when there are several accounts. In it: SNAP:COLLECTION#KEY.\n"
        "The password is asked for, or comes from --password-file, --password-command, MAILHOLD_PASSWORD,\n"
        "MAILHOLD_PASSWORD_FILE or MAILHOLD_PASSWORD_COMMAND; a key file from --key-file or MAILHOLD_KEY_FILE.\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 done but some items could not be read or written, 10 no repository,\n"
        "11 the local index is in use, 12 wrong password, 13 the store went back or forked, 130 interrupted.\n"
        "\n"
        "mailhold help COMMAND tells more about one command.\n";

static enum err_code put(const char *text, struct err *e)
{
	return output_bytes(span_cstr(text), e);
}

static enum err_code put_options(const char *title, const struct option_def *options, size_t count, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc = ERR_OK;

	if (count) {
		line_printf(&l, "\n%s", title);
		rc = line_put(&l);
	}
	for (size_t i = 0; i < count && !rc; i++) {
		const struct option_def *o = &options[i];
		char names[80], letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof letter, "-%c, ", o->letter);
		snprintf(names, sizeof names, "%s--%s%s%s%s", letter, o->name,
		         !o->value                 ? ""
		         : o->kind == OPTION_MAYBE ? "[="
		                                   : " ",
		         o->value ? o->value : "", o->kind == OPTION_MAYBE ? "]" : "");
		line_printf(&l, "  %-32s %s", names, o->help);
		rc = line_put(&l);
	}
	line_release(&l);
	return rc;
}

static enum err_code put_commands(bool available, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < command_count && !rc; i++) {
		const struct command *command = commands[i];

		if (!command->run == available)
			continue;
		line_printf(&l, "  %-10s %s%s%s%s", command->name, command->summary, command->alias ? " (also: " : "",
		            command->alias ? command->alias : "", command->alias ? ")" : "");
		rc = line_put(&l);
	}
	line_release(&l);
	return rc;
}

enum err_code help_all(struct err *e)
{
	enum err_code rc = put(intro, e);

	if (!rc)
		rc = put_commands(true, e);
	if (!rc)
		rc = put("\nnot available in this version:\n", e);
	if (!rc)
		rc = put_commands(false, e);
	if (!rc)
		rc = put_options("options of every command:", global_options, global_option_count, e);
	return rc ? rc : put(outro, e);
}

static enum err_code put_indented(const char *text, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (*text && !rc) {
		size_t len = strcspn(text, "\n");

		rc = put("  ", e);
		if (!rc)
			rc = output_bytes(span_of(text, len), e);
		if (!rc)
			rc = put("\n", e);
		text += len + (text[len] == '\n');
	}
	return rc;
}

enum err_code help_command(const struct command *command, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	line_printf(&l, "usage: mailhold %s%s%s%s\n\n%s%s%s", command->name, command->option_count ? " [options]" : "",
	            *command->words ? " " : "", command->words, command->summary, command->alias ? "; also: " : "",
	            command->alias ? command->alias : "");
	rc = line_put(&l);
	line_release(&l);
	if (!rc && !command->run)
		return put("\nThis command is not available in this version.\n", e);
	if (!rc && command->details) {
		rc = put("\n", e);
		if (!rc)
			rc = put(command->details, e);
	}
	if (!rc)
		rc = put_options("options:", command->options, command->option_count, e);
	if (!rc)
		rc = put_options("options of every command:", global_options, global_option_count, e);
	if (!rc && command->examples)
		rc = put("\nexamples:\n", e);
	return rc || !command->examples ? rc : put_indented(command->examples, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct command *command;

	(void)c;
	(void)values;
	if (words->count == 0)
		return help_all(e);
	command = command_find_name(words->items[0]);
	if (command)
		return help_command(command, e);
	return err_set(e, ERR_USAGE, "there is no such command; mailhold help lists all of them");
}

const struct command command_help = {
	.name = "help",
	.words = "[COMMAND]",
	.summary = "this help, or help for one command",
	.examples = "mailhold help\nmailhold help restore",
	.words_max = 1,
	.run = run,
};
