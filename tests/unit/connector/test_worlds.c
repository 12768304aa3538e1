/* Round trips through temporary folders: what a source gives, a sink puts back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "carry.h"

static char root[64], from[128], to[128];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/mailhold-test-XXXXXX");
	if (!mkdtemp(root))
		return 1;
	snprintf(from, sizeof from, "%s/from", root);
	snprintf(to, sizeof to, "%s/to", root);
	return mkdir(from, 0755);
}

static int teardown(void **state)
{
	struct err e = { 0 };

	(void)state;
	return file_remove_tree(root, &e);
}

static void folder(const char *base, const char *name)
{
	struct err e = { 0 };
	char path[1024];

	snprintf(path, sizeof path, "%s/%s", base, name);
	assert_int_equal(file_make_folders(path, 0755, &e), ERR_OK);
}

/* A file whose time and mode follow from its name, so that a lost one is seen. */
static void put(const char *base, const char *name, const char *content)
{
	struct timespec times[2] = { { 1000, 5 }, { 1600000000 + (time_t)strlen(name), 123456789 } };
	char path[1024];
	int fd;

	snprintf(path, sizeof path, "%s/%s", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	assert_int_equal(fchmod(fd, strlen(name) % 2 ? 0640 : 0600), 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Every name, byte, time and mode below A is below B, and nothing else. */
static void assert_same_tree(const char *a, const char *b)
{
	DIR *dir = opendir(a);
	struct dirent *d;

	assert_non_null(dir);
	assert_int_equal(count_entries(a), count_entries(b));
	while ((d = readdir(dir))) {
		char x[1024], y[1024];
		struct stat s, t;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		snprintf(x, sizeof x, "%s/%s", a, d->d_name);
		snprintf(y, sizeof y, "%s/%s", b, d->d_name);
		assert_int_equal(lstat(x, &s), 0);
		assert_int_equal(lstat(y, &t), 0);
		assert_int_equal(s.st_mode, t.st_mode);
		if (S_ISDIR(s.st_mode)) {
			assert_same_tree(x, y);
		} else {
			struct buf p = BUF_EMPTY, q = BUF_EMPTY;
			struct err e = { 0 };

			assert_true(s.st_mtim.tv_sec == t.st_mtim.tv_sec && s.st_mtim.tv_nsec == t.st_mtim.tv_nsec);
			assert_int_equal(file_read(x, MIB, &p, &e), ERR_OK);
			assert_int_equal(file_read(y, MIB, &q, &e), ERR_OK);
			assert_true(span_equal(buf_span(&p), buf_span(&q)));
			buf_release(&p);
			buf_release(&q);
		}
	}
	closedir(dir);
}

static struct carry_totals carried_with(const char *from_url, const char *to_url, struct carry_options o)
{
	struct carry_totals t;
	struct err e = { 0 };
	enum err_code rc = carry(from_url, to_url, &o, &t, &e);

	if (rc)
		print_error("%s\n", e.text);
	assert_int_equal(rc, ERR_OK);
	return t;
}

static struct carry_totals carried(const char *from_url, const char *to_url)
{
	return carried_with(from_url, to_url, (struct carry_options){ 0 });
}

static void make_maildir(void)
{
	char longest[280];

	folder(from, "cur");
	folder(from, "new");
	folder(from, "tmp");
	folder(from, ".Sent.2024/cur");
	folder(from, ".Empty/cur");
	folder(from, ".Empty/new");
	folder(from, ".Empty/tmp");
	folder(from, "nested/deep/cur");
	put(from, "subscriptions", "Sent.2024\n");
	put(from, ".sieve", "keep;\n");
	put(from, ".Empty/maildirfolder", "");
	put(from, "cur/1.a.host:2,FS", "From: me\n\nbody\n");
	put(from, "cur/1.a.host2:2,", "x");
	put(from, "cur/noflags", "");
	put(from, "cur/2.b,S=3:2,Sab", "abc");
	put(from, "cur/3.c;2,S", "semicolon");
	put(from, "cur/line\nbreak:2,R", "newline in the name");
	put(from, "cur/\xff\xfe:2,", "not UTF-8");
	put(from, "cur/..hidden", "dot");
	put(from, "cur/twin:2,S", "one");
	put(from, "cur/twin:2,T", "another");
	put(from, "new/twin", "the third");
	put(from, "new/4.d.host", "new mail");
	put(from, ".Sent.2024/cur/5.e:2,S", "sent");
	put(from, "nested/deep/cur/6.f:2,S", "deep");
	memset(longest, 'n', sizeof longest);
	memcpy(longest, "cur/", 4);
	longest[4 + 255] = 0;
	put(from, longest, "longest name");
	assert_int_equal(chmod(from, 0755), 0);
}

static void a_maildir_comes_back_as_it_was(void **state)
{
	struct carry_totals t;
	char path[256];

	(void)state;
	make_maildir();
	t = carried(from, to);
	assert_int_equal(t.items, 15);
	assert_int_equal(t.put, 15);
	assert_int_equal(chmod(to, 0755), 0); /* the target itself is the user's */
	snprintf(path, sizeof path, "%s/nested", to);
	assert_int_equal(chmod(path, 0755), 0); /* folders between that hold no mail are made plainly */
	snprintf(path, sizeof path, "%s/nested/deep", to);
	assert_same_tree(from, to);
}

static void restoring_twice_puts_nothing_twice(void **state)
{
	struct carry_totals t;

	(void)state;
	make_maildir();
	carried(from, to);
	t = carried(from, to);
	assert_int_equal(t.present, 15);
	t = carried_with(from, to, (struct carry_options){ .collision = SINK_COPY, .piece_bytes = 2 });
	assert_int_equal(t.present, 15);
}

static void mail_whose_flags_changed_since_is_present(void **state)
{
	char a[256], b[256];

	(void)state;
	make_maildir();
	carried(from, to);
	snprintf(a, sizeof a, "%s/new/4.d.host", to);
	snprintf(b, sizeof b, "%s/cur/4.d.host:2,S", to);
	assert_int_equal(rename(a, b), 0);
	assert_int_equal(carried(from, to).present, 15);
}

static void a_torn_copy_is_made_whole_and_other_content_is_left_alone(void **state)
{
	struct carry_totals t;
	char path[256];

	(void)state;
	make_maildir();
	carried(from, to);
	put(to, "cur/1.a.host:2,FS", "From: me"); /* right time: a power cut */
	snprintf(path, sizeof path, "%s/cur/2.b,S=3:2,Sab", to);
	assert_int_equal(truncate(path, 1), 0); /* killed */
	assert_int_equal(chmod(path, 0200), 0);
	put(to, "new/4.d.host", "other content, longer");
	t = carried(from, to);
	assert_int_equal(t.put, 2);
	assert_int_equal(t.clash, 1);
	assert_int_equal(t.present, 12);
	t = carried_with(from, to, (struct carry_options){ .collision = SINK_COPY });
	assert_int_equal(t.renamed, 1);
	assert_int_equal(carried_with(from, to, (struct carry_options){ .collision = SINK_COPY }).present, 15);
	t = carried_with(from, to, (struct carry_options){ .collision = SINK_REPLACE });
	assert_int_equal(t.put, 1);
}

static void into_puts_a_maildir_below_a_folder(void **state)
{
	char path[256];

	(void)state;
	make_maildir();
	carried_with(from, to, (struct carry_options){ .into = "old/2024" });
	snprintf(path, sizeof path, "%s/.old.2024.Sent.2024/cur/5.e:2,S", to);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof path, "%s/.old.2024/cur/noflags", to);
	assert_int_equal(access(path, F_OK), 0);
}

struct opened {
	struct item_source *source;
	const struct collection *collections;
	size_t count;
	struct item_listing *listing;
	struct buf cursor;
};

static struct opened open_first(const char *url)
{
	struct opened o = { 0 };
	struct err e = { 0 };

	assert_int_equal(connector_source_open(url, &o.source, &e), ERR_OK);
	assert_int_equal(o.source->ops->collections(o.source, &o.collections, &o.count, &e), ERR_OK);
	assert_int_equal(o.source->ops->list(o.source, 0, SPAN_EMPTY, false, &o.listing, &o.cursor, &e), ERR_OK);
	assert_non_null(o.listing);
	return o;
}

static void close_opened(struct opened *o)
{
	o->source->ops->listing_free(&o->listing);
	o->source->ops->free(&o->source);
	buf_release(&o->cursor);
}

static enum err_code fetch_first(struct opened *o, struct carried *held)
{
	struct item_receiver receiver = { held, carry_stream, carry_space, carry_add };
	struct buf facts = BUF_EMPTY;
	struct item_entry entry;
	struct err e = { 0 };
	enum err_code rc;

	o->source->ops->listing_get(o->listing, 0, &entry);
	rc = o->source->ops->fetch(o->source, 0, o->listing, entry.place, &receiver, &facts, &e);
	buf_release(&facts);
	return rc;
}

static void a_file_renamed_by_its_flags_is_found_and_a_gone_one_has_vanished(void **state)
{
	struct carried held = { 0 };
	char a[256], b[256];
	struct opened o;

	(void)state;
	folder(from, "cur");
	folder(from, "new");
	put(from, "new/1.a", "bytes");
	o = open_first(from);
	snprintf(a, sizeof a, "%s/new/1.a", from);
	snprintf(b, sizeof b, "%s/cur/1.a:2,S", from);
	assert_int_equal(rename(a, b), 0);
	assert_int_equal(fetch_first(&o, &held), ERR_OK);
	assert_true(span_equal(buf_span(&held.body), SPAN_LIT("bytes")));
	assert_int_equal(unlink(b), 0);
	assert_int_equal(fetch_first(&o, &held), ERR_VANISHED);
	buf_release(&held.body);
	close_opened(&o);
}

static void keys_rise_and_are_unique(void **state)
{
	struct item_entry a, b;
	struct opened o;

	(void)state;
	make_maildir();
	o = open_first(from);
	for (size_t c = 0; c < o.count; c++)
		assert_true(c == 0 || span_compare(o.collections[c - 1].path, o.collections[c].path) < 0);
	for (size_t i = 1; i < o.source->ops->listing_count(o.listing); i++) {
		o.source->ops->listing_get(o.listing, i - 1, &a);
		o.source->ops->listing_get(o.listing, i, &b);
		assert_true(span_compare(a.key, b.key) < 0);
		assert_true(fields_check(b.state));
	}
	close_opened(&o);
}

static void set_old(const char *name)
{
	struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[256];

	snprintf(path, sizeof path, "%s/%s", from, name);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Only a cursor taken two seconds after the last change is believed, so the test must wait that long once. */
static void an_unchanged_folder_is_not_listed_again(void **state)
{
	struct item_listing *l = NULL;
	struct buf early = BUF_EMPTY, next = BUF_EMPTY;
	struct err e = { 0 };
	struct opened o;

	(void)state;
	folder(from, "cur");
	folder(from, "new");
	put(from, "cur/1.a:2,S", "bytes");
	set_old("cur");
	set_old("new");
	o = open_first(from);
	assert_int_equal(buf_append(&early, buf_span(&o.cursor), &e), ERR_OK);
	assert_int_equal(o.source->ops->list(o.source, 0, buf_span(&early), false, &l, &next, &e), ERR_OK);
	assert_non_null(l); /* taken too early */
	o.source->ops->listing_free(&l);
	usleep(2100000);
	assert_int_equal(o.source->ops->list(o.source, 0, buf_span(&early), false, &l, &next, &e), ERR_OK);
	assert_non_null(l);
	o.source->ops->listing_free(&l);
	buf_clear(&early);
	assert_int_equal(buf_append(&early, buf_span(&next), &e), ERR_OK);
	assert_int_equal(o.source->ops->list(o.source, 0, buf_span(&early), false, &l, &next, &e), ERR_OK);
	assert_null(l);
	assert_int_equal(o.source->ops->list(o.source, 0, buf_span(&early), true, &l, &next, &e), ERR_OK);
	assert_non_null(l);
	o.source->ops->listing_free(&l);
	put(from, "new/2.b", "more");
	assert_int_equal(o.source->ops->list(o.source, 0, buf_span(&early), false, &l, &next, &e), ERR_OK);
	assert_non_null(l);
	o.source->ops->listing_free(&l);
	buf_release(&early);
	buf_release(&next);
	close_opened(&o);
}

static void hostile_names_stay_inside_the_target(void **state)
{
	static const char *const paths[] = { "../../out", "/abs", "a/../../b", "..", ".", "x/./y", "a\nb", "trail." };
	static const char *const schemes[] = { "maildir", "mbox", "files" };
	struct item_body body;
	struct carried held = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(buf_append(&held.body, SPAN_LIT("x\n"), &e), ERR_OK);
	body = (struct item_body){ &held, carry_next, carry_rewind };
	folder(root, "jail");
	for (size_t i = 0; i < ARRAY_LEN(paths) * ARRAY_LEN(schemes) * 4; i++) {
		struct span path = span_cstr(paths[i % ARRAY_LEN(paths)]);
		const char *scheme = schemes[i / ARRAY_LEN(paths) % ARRAY_LEN(schemes)];
		size_t claim = i / ARRAY_LEN(paths) / ARRAY_LEN(schemes);
		struct attribute attribute = { span_cstr(claim == 1   ? "maildir:folder"
			                                 : claim == 2 ? "files:mode"
			                                              : "mbox:stat"),
			                       path };
		struct collection c = { path, KIND_MAIL, ROLE_NONE, &attribute, claim ? 1 : 0 };
		struct item_out item = {
			.key = path, .state = SPAN_LIT("\x02\x01\x01"), .kind = KIND_MAIL, .bytes = 2
		};
		struct item_sink *s = NULL;
		enum sink_verdict verdict;
		char url[256];
		size_t handle;

		snprintf(url, sizeof url, "%s:%s/jail/%zu", scheme, root, i);
		assert_int_equal(connector_sink_open(url, &(struct sink_options){ 0 }, &s, &e), ERR_OK);
		assert_int_equal(s->ops->collection(s, &c, false, &handle, &e), ERR_OK);
		held.at = 0;
		assert_int_equal(s->ops->put(s, handle, &item, &body, SINK_SKIP, &verdict, &e), ERR_OK);
		assert_int_equal(s->ops->collection_done(s, handle, &e), ERR_OK);
		s->ops->free(&s);
	}
	assert_int_equal(count_entries(root), 4); /* ".", "..", "from", "jail" */
	buf_release(&held.body);
}

static void a_link_in_the_target_is_not_followed(void **state)
{
	char path[256];
	struct carry_totals t;
	struct err e = { 0 };

	(void)state;
	make_maildir();
	folder(root, "outside");
	folder(to, "");
	snprintf(path, sizeof path, "%s/cur", to);
	assert_int_equal(symlink("../outside", path), 0);
	assert_int_not_equal(carry(from, to, &(struct carry_options){ 0 }, &t, &e), ERR_OK);
	snprintf(path, sizeof path, "%s/outside", root);
	assert_int_equal(count_entries(path), 2);
}

static void a_tree_of_files_comes_back_as_it_was(void **state)
{
	(void)state;
	folder(from, "empty");
	folder(from, "a/b");
	put(from, ".hidden", "1");
	put(from, "mail.eml", "From: a\n\nx");
	put(from, "a/b/card.vcf", "BEGIN:VCARD\r\nEND:VCARD\r\n");
	put(from, "a/b/\xff\n", "odd name");
	put(from, "a/b/zero", "");
	assert_int_equal(carried(from, to).put, 5);
	assert_int_equal(chmod(to, 0755), 0);
	{
		char path[256];

		snprintf(path, sizeof path, "%s/a", to);
		assert_int_equal(chmod(path, 0755), 0); /* holds no files: made plainly */
	}
	assert_same_tree(from, to);
	assert_int_equal(carried(from, to).present, 5);
}

static void a_shorter_file_of_the_user_is_no_torn_copy(void **state)
{
	struct timespec times[2] = { { 5, 0 }, { 5, 0 } };
	char path[256];

	(void)state;
	put(from, "list.txt", "one\ntwo\n");
	carried(from, to);
	put(to, "list.txt", "one\n");
	snprintf(path, sizeof path, "%s/list.txt", to);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(carried(from, to).clash, 1);
}

#define DATED "From a@b Sat Jan  3 01:05:34 1996\n"

static void mbox_files_come_back_byte_for_byte(void **state)
{
	char url_from[256], url_to[256];

	(void)state;
	snprintf(url_from, sizeof url_from, "mbox:%s", from);
	snprintf(url_to, sizeof url_to, "mbox:%s", to);
	folder(from, "sub");
	put(from, "two", DATED "S: 1\n\nx\n\n" DATED "S: 1\n\nx\n\n" DATED "S: 2\n\n>From y");
	put(from, "sub/crlf", "From a 1:02\r\n\r\nx\r\n\r\nFrom b 1:03\r\n\r\n");
	put(from, "nothing", "");
	put(from, "odd", "From ");
	assert_int_equal(carried(url_from, url_to).put, 6);
	assert_int_equal(chmod(to, 0755), 0);
	{
		char path[256];

		snprintf(path, sizeof path, "%s/sub", to);
		assert_int_equal(chmod(path, 0755), 0);
	}
	assert_same_tree(from, to);
	assert_int_equal(carried(url_from, url_to).present, 6);
	assert_same_tree(from, to);
}

static void maildir_to_mbox_quotes_and_finds_its_mail_again(void **state)
{
	struct buf got = BUF_EMPTY;
	char url[256], path[256];
	struct err e = { 0 };

	(void)state;
	folder(from, "cur");
	put(from, "cur/1.a:2,S", "S: 1\n\nFrom x\n>From y\n>>Fro z\nFrom");
	snprintf(url, sizeof url, "mbox:%s", to);
	for (size_t piece = 0; piece < 4; piece++) {
		struct carry_totals t = carried_with(from, url, (struct carry_options){ .piece_bytes = piece });

		assert_int_equal(piece ? t.present : t.put, 1);
	}
	snprintf(path, sizeof path, "%s/INBOX.mbox", to);
	assert_int_equal(file_read(path, MIB, &got, &e), ERR_OK);
	assert_true(span_equal(buf_span(&got), SPAN_LIT("From MAILER-DAEMON Sun Sep 13 12:26:51 2020\n"
	                                                "S: 1\n\n>From x\n>>From y\n>>Fro z\nFrom\n\n")));
	buf_release(&got);
}

static void what_is_in_an_mbox_stays_when_more_is_put(void **state)
{
	struct buf got = BUF_EMPTY;
	char url_from[256], url_to[256], path[256];
	struct err e = { 0 };

	(void)state;
	snprintf(url_from, sizeof url_from, "mbox:%s", from);
	snprintf(url_to, sizeof url_to, "mbox:%s", to);
	folder(to, "");
	put(to, "box", DATED "S: old\n\nno line end");
	put(from, "box", DATED "S: new\n\nx\n");
	assert_int_equal(carried(url_from, url_to).put, 1);
	snprintf(path, sizeof path, "%s/box", to);
	assert_int_equal(file_read(path, MIB, &got, &e), ERR_OK);
	assert_true(span_equal(buf_span(&got), SPAN_LIT(DATED "S: old\n\nno line end\n\n" DATED "S: new\n\nx\n")));
	buf_release(&got);
}

static void kinds_are_told_apart_and_errors_name_the_remedy(void **state)
{
	struct item_source *s = NULL;
	struct err e = { 0 };
	char url[256];

	(void)state;
	put(from, "note", "no mbox");
	snprintf(url, sizeof url, "%s/note", from);
	assert_int_equal(connector_source_open(url, &s, &e), ERR_UNSUPPORTED);
	assert_non_null(strstr(e.text, "maildir:, mbox: or files:"));
	snprintf(url, sizeof url, "%s/none", from);
	assert_int_equal(connector_source_open(url, &s, &e), ERR_NOT_FOUND);
	assert_int_equal(connector_source_open("gopher:x", &s, &e), ERR_USAGE);
	assert_int_equal(connector_source_open("files:", &s, &e), ERR_USAGE);
	snprintf(url, sizeof url, "maildir:%s", from);
	assert_int_equal(connector_source_open(url, &s, &e), ERR_UNSUPPORTED);
	assert_int_equal(connector_source_open(from, &s, &e), ERR_OK);
	assert_string_equal(s->world, "files");
	s->ops->free(&s);
	put(from, "box", DATED);
	snprintf(url, sizeof url, "%s/box", from);
	assert_int_equal(connector_source_open(url, &s, &e), ERR_OK);
	assert_string_equal(s->world, "mbox");
	s->ops->free(&s);
	folder(from, ".x/cur");
	assert_int_equal(connector_source_open(from, &s, &e), ERR_OK);
	assert_string_equal(s->world, "maildir");
	s->ops->free(&s);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_maildir_comes_back_as_it_was),
		WORLD_TEST(restoring_twice_puts_nothing_twice),
		WORLD_TEST(mail_whose_flags_changed_since_is_present),
		WORLD_TEST(a_torn_copy_is_made_whole_and_other_content_is_left_alone),
		WORLD_TEST(into_puts_a_maildir_below_a_folder),
		WORLD_TEST(a_file_renamed_by_its_flags_is_found_and_a_gone_one_has_vanished),
		WORLD_TEST(keys_rise_and_are_unique),
		WORLD_TEST(an_unchanged_folder_is_not_listed_again),
		WORLD_TEST(hostile_names_stay_inside_the_target),
		WORLD_TEST(a_link_in_the_target_is_not_followed),
		WORLD_TEST(a_tree_of_files_comes_back_as_it_was),
		WORLD_TEST(a_shorter_file_of_the_user_is_no_torn_copy),
		WORLD_TEST(mbox_files_come_back_byte_for_byte),
		WORLD_TEST(maildir_to_mbox_quotes_and_finds_its_mail_again),
		WORLD_TEST(what_is_in_an_mbox_stays_when_more_is_put),
		WORLD_TEST(kinds_are_told_apart_and_errors_name_the_remedy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
