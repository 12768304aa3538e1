#include "command.h"

struct values {
	const char *stream;
};

static const struct option_def options[] = {
	{ 0, "stream", OPTION_TEXT, "NAME", "another stream of the item than the primary one",
	  offsetof(struct values, stream) },
};

static enum err_code write_body(void *ctx, struct span bytes, struct err *e)
{
	enum err_code rc = cli_go_on(e);

	(void)ctx;
	return rc ? rc : output_bytes(bytes, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *o = values;
	struct place p = PLACE_EMPTY;
	struct view *v = NULL;
	size_t at;
	enum err_code rc = place_parse(words->items[0], &p, e);

	if (!rc && !p.has_key)
		rc = err_set(e, ERR_USAGE, "cat needs an item: SNAP:COLLECTION#KEY, as ls -l and find print it");
	if (!rc)
		rc = cli_view(c, (const char *)p.snapshot.ptr, &v, e);
	if (!rc)
		rc = view_find_collection(v, buf_span(&p.collection), &at, e);
	if (!rc)
		rc = view_body(v, at, buf_span(&p.key), o->stream ? span_cstr(o->stream) : SPAN_EMPTY, write_body, NULL,
		               e);
	view_free(&v);
	place_release(&p);
	return rc;
}

const struct command command_cat = {
	.name = "cat",
	.words = "SNAP:COLLECTION#KEY",
	.summary = "write the bytes of one item to standard output",
	.details = "The bytes are those that the source gave, unchanged.\n",
	.examples = "mailhold cat latest:INBOX#1699999999.M1P2.host > message.eml\n"
	            "mailhold cat 1a2b3c4d:Calendar/Work#meeting.ics",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1,
	.run = run,
};
