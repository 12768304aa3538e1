/*
 * fuzz_config: any bytes as a configuration are read or refused; what can be read can have an account added and removed again,
 * and is what it was then.
 */
#include <stdlib.h>

#include "cli/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t accounts_of(struct span text, bool *good)
{
	struct config *c = NULL;
	struct err e;
	size_t count = 0;

	*good = config_parse(text, "config", true, &c, &e) == ERR_OK;
	if (*good)
		count = config_account_count(c);
	config_free(&c);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config_line lines[] = { { "source", "imaps://a@host" }, { "tag", "one" } };
	static const char name[] = "added \"by\" \\fuzz";
	struct span text = span_of(data, size);
	struct buf more = BUF_EMPTY, less = BUF_EMPTY;
	struct config *c = NULL;
	struct err e;
	bool good, found;
	size_t count = accounts_of(text, &good);

	if (!good || count == CONFIG_ACCOUNTS_MAX || size > CONFIG_BYTES_MAX / 2)
		return 0;
	if (config_parse(text, "config", true, &c, &e))
		abort();
	found = config_find(c, name) != NULL;
	config_free(&c);
	if (found)
		return 0;
	if (config_add_account(text, name, lines, ARRAY_LEN(lines), &more, &e))
		abort();
	if (accounts_of(buf_span(&more), &good) != count + 1 || !good)
		abort();
	if (config_remove_account(buf_span(&more), name, &less, &found, &e) || !found)
		abort();
	if (accounts_of(buf_span(&less), &good) != count || !good)
		abort();
	buf_release(&more);
	buf_release(&less);
	return 0;
}
