#include "args.h"

#include "base/mem.h"
#include "base/num.h"

enum { DISTANCE_TEXT_MAX = 40, DISTANCE_NEAR = 2 };

enum err_code text_list_add(struct text_list *l, const char *text, struct err *e)
{
	const char **grown = l->items;

	/* Powers of two: the list grows when its length is one. */
	if ((l->count & (l->count - 1)) == 0) {
		size_t bytes = (l->count ? 2 * l->count : 1) * sizeof *grown;

		grown = mem_grow(l->items, bytes);
		if (!grown)
			return err_no_memory(e, bytes);
	}
	l->items = grown;
	l->items[l->count++] = text;
	return ERR_OK;
}

void text_list_release(struct text_list *l)
{
	mem_free(l->items);
	*l = (struct text_list){ NULL, 0 };
}

size_t text_distance(const char *a, const char *b)
{
	size_t rows[3][DISTANCE_TEXT_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > DISTANCE_TEXT_MAX || b_len > DISTANCE_TEXT_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *now = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = num_min(num_min(above[j], now[j - 1]) + 1, replaced);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = num_min(now[j], above2[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

struct found {
	const struct option_def *option;
	void *value;
};

static struct found find_option(const struct option_set *sets, size_t set_count, char letter, struct span name)
{
	for (size_t s = 0; s < set_count; s++)
		for (size_t i = 0; i < sets[s].count; i++) {
			const struct option_def *o = &sets[s].options[i];

			if (letter ? o->letter == letter : span_equal(span_cstr(o->name), name))
				return (struct found){ o, (char *)sets[s].values + o->offset };
		}
	return (struct found){ NULL, NULL };
}

static const char *near_option(const struct option_set *sets, size_t set_count, const char *name)
{
	const char *best = NULL;
	size_t best_distance = DISTANCE_NEAR + 1;

	for (size_t s = 0; s < set_count; s++)
		for (size_t i = 0; i < sets[s].count; i++) {
			size_t distance = text_distance(sets[s].options[i].name, name);

			if (distance < best_distance) {
				best = sets[s].options[i].name;
				best_distance = distance;
			}
		}
	return best;
}

/* What the user typed, cut at '=' so that a value that may be private is not repeated. */
static enum err_code unknown_option(const struct option_set *sets, size_t set_count, const char *command,
                                    const char *typed, struct err *e)
{
	char name[64];
	const char *near = NULL;
	size_t len = strcspn(typed, "=");

	if (len >= sizeof name)
		len = sizeof name - 1;
	memcpy(name, typed, len);
	name[len] = 0;
	if (!strncmp(name, "--", 2))
		near = near_option(sets, set_count, name + 2);
	return err_set(e, ERR_USAGE, "unknown option %s%s%s%s%s%s", name, command ? " for " : "",
	               command ? command : "", near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

static enum err_code put_value(const struct found *f, const char *value, struct err *e)
{
	switch (f->option->kind) {
	case OPTION_FLAG:
		*(bool *)f->value = true;
		return ERR_OK;
	case OPTION_TEXT:
		*(const char **)f->value = value;
		return ERR_OK;
	case OPTION_MAYBE:
		*(struct maybe_text *)f->value = (struct maybe_text){ true, value };
		return ERR_OK;
	case OPTION_LIST:
		return text_list_add(f->value, value, e);
	}
	return ERR_OK;
}

static bool takes_value(const struct option_def *o)
{
	return o->kind == OPTION_TEXT || o->kind == OPTION_LIST;
}

/* ARGV[*AT] is "--name" or "--name=value". */
static enum err_code parse_long(const struct option_set *sets, size_t set_count, const char *command, char *const *argv,
                                size_t argc, size_t *at, struct err *e)
{
	const char *typed = argv[(*at)++], *value = strchr(typed, '=');
	struct span name = span_of(typed + 2, value ? (size_t)(value - typed) - 2 : strlen(typed + 2));
	struct found f = find_option(sets, set_count, 0, name);

	if (!f.option)
		return unknown_option(sets, set_count, command, typed, e);
	value = value ? value + 1 : NULL;
	if (value && f.option->kind == OPTION_FLAG)
		return err_set(e, ERR_USAGE, "option --%s takes no value", f.option->name);
	if (!value && takes_value(f.option)) {
		if (*at == argc)
			return err_set(e, ERR_USAGE, "option --%s needs a value: --%s %s", f.option->name,
			               f.option->name, f.option->value);
		value = argv[(*at)++];
	}
	return put_value(&f, value, e);
}

/* ARGV[*AT] is "-a", "-aVALUE" or joined flags. */
static enum err_code parse_short(const struct option_set *sets, size_t set_count, const char *command,
                                 char *const *argv, size_t argc, size_t *at, struct err *e)
{
	const char *p = argv[(*at)++] + 1;

	for (; *p; p++) {
		struct found f = find_option(sets, set_count, *p, SPAN_EMPTY);
		const char *value = NULL;
		enum err_code rc;

		if (!f.option) {
			char typed[3] = { '-', *p, 0 };

			/* Only ASCII letters are repeated; anything else could be a piece of a longer character. */
			return unknown_option(sets, set_count, command, *p > ' ' && *p < 0x7f ? typed : "-?", e);
		}
		if (takes_value(f.option)) {
			if (!p[1] && *at == argc)
				return err_set(e, ERR_USAGE, "option -%c needs a value: -%c %s", *p, *p,
				               f.option->value);
			value = p[1] ? p + 1 : argv[(*at)++];
		}
		rc = put_value(&f, value, e);
		if (rc || value)
			return rc;
	}
	return ERR_OK;
}

enum err_code args_parse(const struct option_set *sets, size_t set_count, const char *command, char *const *argv,
                         size_t argc, size_t *at, struct text_list *words, struct err *e)
{
	bool options_ended = false;

	while (*at < argc) {
		const char *arg = argv[*at];
		enum err_code rc;

		if (options_ended || arg[0] != '-' || !arg[1]) {
			if (!words)
				return ERR_OK;
			rc = text_list_add(words, arg, e);
			(*at)++;
		} else if (!strcmp(arg, "--")) {
			options_ended = true;
			(*at)++;
			rc = ERR_OK;
		} else if (arg[1] == '-') {
			rc = parse_long(sets, set_count, command, argv, argc, at, e);
		} else {
			rc = parse_short(sets, set_count, command, argv, argc, at, e);
		}
		if (rc)
			return rc;
	}
	return ERR_OK;
}

void args_release(const struct option_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->options[i].kind == OPTION_LIST)
			text_list_release((struct text_list *)((char *)set->values + set->options[i].offset));
}
