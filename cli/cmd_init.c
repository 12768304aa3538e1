#include "command.h"

#include <stdio.h>

#include "base/stop.h"
#include "base/text.h"
#include "secret_input.h"

struct values {
	const char *label, *parity;
};

static const struct option_def options[] = {
	{ 0, "label", OPTION_TEXT, "TEXT", "a name for this key, kept sealed (\"laptop of Ann\")",
	  offsetof(struct values, label) },
	{ 0, "parity", OPTION_TEXT, "PERCENT", "packs get repair data for losses of so much; see mailhold help parity",
	  offsetof(struct values, parity) },
};

static enum err_code tell(struct cli *c, const struct secret_got *got, struct err *e)
{
	struct repo_info info;
	struct line l = line_new(e);
	char id[2 * ID16_BYTES + 1];
	enum err_code rc;

	repo_describe(c->repo, &info);
	text_hex(span_of(info.id.bytes, ID16_BYTES), id);
	if (c->g.json) {
		struct row r = row_new("repository");

		row_cstr(&r, "id", id);
		row_cstr(&r, "url", c->url);
		row_cstr(&r, "head", info.head);
		row_cstr(&r, "opens_with", got->kind == SLOT_KEY_FILE ? "key-file" : "password");
		row_bool(&r, "key_file_created", got->key_file_created);
		return row_put(&r, e);
	}
	line_printf(&l, "repository %.8s made in ", id);
	line_safe(&l, span_cstr(c->url));
	line_printf(&l, "; head %s", info.head);
	rc = c->g.quiet ? ERR_OK : line_put(&l);
	line_release(&l);
	if (got->key_file_created)
		cli_note(c, "made the key file %s", got->key_file);
	cli_note(c, "keep a copy of the %s in another place: without it nobody can read this repository, ever",
	         got->kind == SLOT_KEY_FILE ? "key file" : "password");
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct secret_options so = { .key_file = c->g.key_file,
		                     .password_file = c->g.password_file,
		                     .password_command = c->g.password_command,
		                     .create = true,
		                     .stop = &cli_stop };
	struct slot_options slot = { .label = v->label ? span_cstr(v->label) : SPAN_EMPTY };
	struct repo_options o = {
		.cache_folder = c->g.cache_folder, .notice = cli_notice, .notice_ctx = c, .stop = &cli_stop
	};
	struct secret_got got = { 0 };
	unsigned parity = 0;
	enum err_code rc;

	if (words->count && c->g.repository)
		return err_set(e, ERR_USAGE, "the repository is named twice");
	if (words->count)
		c->g.repository = words->items[0];
	rc = cli_need_url(c, e);
	if (rc)
		return rc;
	if (slot.label.len > 64)
		return err_set(e, ERR_USAGE, "the label is longer than 64 bytes");
	if (v->parity)
		rc = cli_parity_percent(v->parity, &parity, e);
	if (rc)
		return rc;
	cli_configured_secret(c, &so);
	rc = secret_input(&so, &got, e);
	if (!rc) {
		o.url = c->url;
		o.secret = got.secret;
		o.secret_kind = slot.kind = got.kind;
		rc = repo_init(&o, &slot, &c->repo, e);
	}
	if (rc && stop_asked(&cli_stop))
		rc = err_set(e, ERR_CANCELLED, "interrupted");
	/* A key to nothing would only confuse; to what may be a repository it is the only one. */
	if (rc && rc != ERR_OUTCOME_UNKNOWN && got.key_file_created)
		remove(got.key_file);
	if (!rc && parity)
		rc = engine_parity_set(c->repo, parity, e);
	if (!rc)
		rc = tell(c, &got, e);
	secret_free(&got.secret);
	return rc;
}

const struct command command_init = {
	.name = "init",
	.words = "[URL]",
	.summary = "make a new repository",
	.details = "URL, -r URL or MAILHOLD_REPOSITORY says where: a folder that is empty or not there yet. It is "
	           "opened with\n"
	           "a password (asked twice, not empty), or with --key-file FILE for runs without a person; FILE is "
	           "made when\n"
	           "it is not there. Nobody can help who has lost both.\n",
	.examples = "mailhold init -r /mnt/disk/mail\nmailhold init -r /mnt/disk/mail --key-file ~/.mailhold.key "
	            "--parity 5",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = 1,
	.run = run,
};
