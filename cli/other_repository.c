#include "other_repository.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "secret_input.h"

bool other_repository_is(const char *url)
{
	const char *path = !strncmp(url, "file:", 5) ? url + 5 : url;
	struct buf first = BUF_EMPTY;
	struct err ignored;
	bool is = file_join(path, "ledger/0000000000000000", &first, &ignored) == ERR_OK &&
	          access((const char *)first.ptr, F_OK) == 0;

	buf_release(&first);
	return is;
}

enum err_code other_repository_check(const struct other_repository *o, const char *prefix, struct err *e)
{
	if (!o->url && (o->password_file || o->password_command || o->key_file))
		return err_set(e, ERR_USAGE, "--%s-password-file, --%s-password-command and --%s-key-file go with --%s",
		               prefix, prefix, prefix, prefix);
	return ERR_OK;
}

enum err_code other_repository_open(struct cli *c, const struct other_repository *o, const char *prefix,
                                    struct repo **out, struct err *e)
{
	bool own = o->password_file || o->password_command || o->key_file;
	struct secret_options so = { .key_file = own ? o->key_file : c->g.key_file,
		                     .password_file = own ? o->password_file : c->g.password_file,
		                     .password_command = own ? o->password_command : c->g.password_command,
		                     .stop = &cli_stop };
	struct repo_options ro = { .stop = &cli_stop,
		                   .url = o->url,
		                   .cache_folder = c->g.cache_folder,
		                   .notice = cli_notice,
		                   .notice_ctx = c };
	struct secret_got got;
	enum err_code rc = secret_input(&so, &got, e);

	if (!rc) {
		ro.secret = got.secret;
		ro.secret_kind = got.kind;
		rc = repo_open(&ro, out, e);
	}
	secret_free(&got.secret);
	if (rc)
		return err_note(
		        e,
		        "while opening the repository that --%s names (--%s-password-file, --%s-password-command "
		        "and --%s-key-file tell its secret)",
		        prefix, prefix, prefix, prefix);
	engine_stop_flag(*out, &cli_stop);
	return ERR_OK;
}
