#include "command.h"

static enum err_code put_json(const struct buf *lines, struct err *e)
{
	struct row r = row_new(NULL), libraries = row_new(NULL);
	struct span left = buf_span(lines);

	row_cstr(&r, "version", engine_version());
	while (left.len) {
		const uint8_t *end = memchr(left.ptr, '\n', left.len);
		struct span line = span_first(left, end ? (size_t)(end - left.ptr) : left.len);
		const uint8_t *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
		char name[40] = "";

		if (space && (size_t)(space - line.ptr) < sizeof name)
			memcpy(name, line.ptr, (size_t)(space - line.ptr));
		if (*name && strcmp(name, "mailhold") != 0)
			row_text(&libraries, name, span_skip(line, strlen(name) + 1));
		left = span_skip(left, line.len + 1);
	}
	row_cstr(&libraries, "jansson", jansson_version_str());
	row_child(&r, "parts", &libraries);
	return row_put(&r, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	struct buf lines = BUF_EMPTY;
	struct line l = line_new(e);
	enum err_code rc = engine_versions(&lines, e);

	(void)values;
	(void)words;
	if (rc)
		goto done;
	if (c->g.json) {
		rc = put_json(&lines, e);
		goto done;
	}
	/* The engine's own lines begin with the program. */
	if (!span_starts(buf_span(&lines), SPAN_LIT("mailhold "))) {
		line_printf(&l, "mailhold %s", engine_version());
		rc = line_put(&l);
	}
	if (!rc)
		rc = output_bytes(buf_span(&lines), e);
	if (!rc && lines.len && lines.ptr[lines.len - 1] != '\n')
		rc = output_bytes(SPAN_LIT("\n"), e);
	line_printf(&l, "jansson %s", jansson_version_str());
	if (!rc)
		rc = line_put(&l);
done:
	line_release(&l);
	buf_release(&lines);
	return rc;
}

const struct command command_version = {
	.name = "version",
	.words = "",
	.summary = "the version of the program, its formats and libraries",
	.examples = "mailhold version\nmailhold version --json",
	.run = run,
};
