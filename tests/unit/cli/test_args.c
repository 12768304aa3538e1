#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/args.h"

struct values {
	bool quiet, verbose;
	const char *account;
	struct text_list tags;
	struct maybe_text plan;
};
struct more {
	const char *repository;
	bool json;
};

#define AT(field)   offsetof(struct values, field)
#define MORE(field) offsetof(struct more, field)
static const struct option_def options[] = {
	{ 'q', "quiet", OPTION_FLAG, NULL, "", AT(quiet) },
	{ 'v', "verbose", OPTION_FLAG, NULL, "", AT(verbose) },
	{ 'a', "account", OPTION_TEXT, "NAME", "", AT(account) },
	{ 't', "tag", OPTION_LIST, "TAG", "", AT(tags) },
	{ 0, "plan", OPTION_MAYBE, "FILE", "", AT(plan) },
};
static const struct option_def more_options[] = {
	{ 'r', "repository", OPTION_TEXT, "URL", "", MORE(repository) },
	{ 0, "json", OPTION_FLAG, NULL, "", MORE(json) },
};

struct parsed {
	struct values v;
	struct more m;
	struct text_list words;
	struct err e;
	enum err_code rc;
};

/* argv of main is not const; the parser leaves it alone. */
static struct parsed parse(const char *const *argv, size_t argc)
{
	static struct parsed p;
	struct option_set sets[2] = { { options, ARRAY_LEN(options), &p.v },
		                      { more_options, ARRAY_LEN(more_options), &p.m } };
	size_t at = 0;

	p = (struct parsed){ 0 };
	p.rc = args_parse(sets, 2, "snapshot", (char *const *)argv, argc, &at, &p.words, &p.e);
	return p;
}
#define PARSE(...) parse((const char *[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *[]){ __VA_ARGS__ })))

static void done(struct parsed *p)
{
	struct option_set set = { options, ARRAY_LEN(options), &p->v };

	args_release(&set);
	text_list_release(&p->words);
}

static void options_stand_before_and_behind_words(void **state)
{
	struct parsed p = PARSE("-r", "/repo", "one", "--account", "ann", "two", "--json");

	(void)state;
	assert_int_equal(p.rc, ERR_OK);
	assert_string_equal(p.m.repository, "/repo");
	assert_string_equal(p.v.account, "ann");
	assert_true(p.m.json);
	assert_int_equal(p.words.count, 2);
	assert_string_equal(p.words.items[1], "two");
	done(&p);
}

static void a_value_stands_in_the_same_word_or_the_next(void **state)
{
	struct parsed p = PARSE("--account=a=b", "-r/repo", "-qvtx", "--tag=", "-");

	(void)state;
	assert_int_equal(p.rc, ERR_OK);
	assert_string_equal(p.v.account, "a=b");
	assert_string_equal(p.m.repository, "/repo");
	assert_true(p.v.quiet && p.v.verbose);
	assert_int_equal(p.v.tags.count, 2);
	assert_string_equal(p.v.tags.items[0], "x");
	assert_string_equal(p.v.tags.items[1], "");
	assert_int_equal(p.words.count, 1); /* "-" is a word */
	done(&p);
}

static void two_dashes_end_the_options(void **state)
{
	struct parsed p = PARSE("-q", "--", "--account", "-v", "--");

	(void)state;
	assert_int_equal(p.rc, ERR_OK);
	assert_true(p.v.quiet && !p.v.verbose);
	assert_int_equal(p.words.count, 3);
	done(&p);
}

static void an_optional_value_needs_its_equals_sign(void **state)
{
	struct parsed p = PARSE("--plan", "file");

	(void)state;
	assert_int_equal(p.rc, ERR_OK);
	assert_true(p.v.plan.given);
	assert_null(p.v.plan.text);
	assert_int_equal(p.words.count, 1);
	done(&p);
	p = PARSE("--plan=file");
	assert_string_equal(p.v.plan.text, "file");
	done(&p);
}

static void many_values_are_all_kept(void **state)
{
	const char *argv[400];
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = i % 2 ? "x" : "-t";
	p = parse(argv, ARRAY_LEN(argv));
	assert_int_equal(p.rc, ERR_OK);
	assert_int_equal(p.v.tags.count, 200);
	done(&p);
}

static void an_unknown_option_is_told_with_a_near_one(void **state)
{
	struct parsed p = PARSE("--acount", "ann");

	(void)state;
	assert_int_equal(p.rc, ERR_USAGE);
	assert_string_equal(p.e.text, "unknown option --acount for snapshot (did you mean --account?)");
	done(&p);
	p = PARSE("--nothing-like-it=secret");
	assert_string_equal(p.e.text, "unknown option --nothing-like-it for snapshot");
	done(&p);
	p = PARSE("-x");
	assert_string_equal(p.e.text, "unknown option -x for snapshot");
	done(&p);
	p = PARSE("-\xc3\xa4");
	assert_string_equal(p.e.text, "unknown option -? for snapshot");
	done(&p);
}

static void a_missing_or_needless_value_is_refused(void **state)
{
	struct parsed p = PARSE("--account");

	(void)state;
	assert_int_equal(p.rc, ERR_USAGE);
	done(&p);
	p = PARSE("-q", "-r");
	assert_int_equal(p.rc, ERR_USAGE);
	done(&p);
	p = PARSE("--quiet=yes");
	assert_int_equal(p.rc, ERR_USAGE);
	done(&p);
}

static void without_words_it_stops_at_the_command(void **state)
{
	struct more m = { 0 };
	struct option_set set = { more_options, ARRAY_LEN(more_options), &m };
	const char *argv[] = { "--json", "-r", "x", "ls", "--odd" };
	struct err e = { 0 };
	size_t at = 0;

	(void)state;
	assert_int_equal(args_parse(&set, 1, NULL, (char *const *)argv, ARRAY_LEN(argv), &at, NULL, &e), ERR_OK);
	assert_int_equal(at, 3);
	assert_true(m.json);
}

static void distance_counts_edits_and_swaps(void **state)
{
	(void)state;
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("restore", "restore"), 0);
	assert_int_equal(text_distance("resotre", "restore"), 1);
	assert_int_equal(text_distance("snapshto", "snapshots"), 2);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_true(text_distance("an overly long word that nobody would ever type", "x") == SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_before_and_behind_words),
		cmocka_unit_test(a_value_stands_in_the_same_word_or_the_next),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(an_optional_value_needs_its_equals_sign),
		cmocka_unit_test(many_values_are_all_kept),
		cmocka_unit_test(an_unknown_option_is_told_with_a_near_one),
		cmocka_unit_test(a_missing_or_needless_value_is_refused),
		cmocka_unit_test(without_words_it_stops_at_the_command),
		cmocka_unit_test(distance_counts_edits_and_swaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
