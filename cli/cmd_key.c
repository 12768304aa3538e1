/* key: who may open the repository. What each action means for whom is docs/keys.md. */
#include "command.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/stop.h"
#include "base/text.h"
#include "account_name.h"
#include "key_sheet.h"
#include "secret_input.h"

struct values {
	const char *label, *role, *new_key_file, *new_password_file, *new_password_command;
	struct text_list accounts;
	bool all, rotate;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 0, "label", OPTION_TEXT, "TEXT", "a name for the new key, kept sealed (\"laptop of Ann\")", AT(label) },
	{ 0, "role", OPTION_TEXT, "ROLE", "of the new key: full (may do everything), deposit or keeper", AT(role) },
	{ 'a', "account", OPTION_LIST, "NAME", "of a deposit key: may add to this account only; may be repeated",
	  AT(accounts) },
	{ 0, "new-key-file", OPTION_TEXT, "FILE", "the new key is this key file; made when it is not there",
	  AT(new_key_file) },
	{ 0, "new-password-file", OPTION_TEXT, "FILE", "the new password is the first line of FILE",
	  AT(new_password_file) },
	{ 0, "new-password-command", OPTION_TEXT, "COMMAND", "the new password is the first line that COMMAND prints",
	  AT(new_password_command) },
	{ 0, "all", OPTION_FLAG, NULL, "list: removed keys, too", AT(all) },
	{ 0, "rotate", OPTION_FLAG, NULL, "remove: and give everybody else new keys for what comes", AT(rotate) },
};

static const char *role_name(unsigned role)
{
	static const char *const names[ROLE_END] = { "", "full", "deposit", "keeper" };

	return role < ROLE_END ? names[role] : "";
}

static const char *kind_name(unsigned kind)
{
	return kind == SLOT_PASSWORD ? "password" : kind == SLOT_KEY_FILE ? "key-file" : "";
}

static const char *state_name(enum key_state state)
{
	return state == KEY_VALID        ? "valid"
	       : state == KEY_GONE       ? "gone"
	       : state == KEY_UNFINISHED ? "unfinished"
	                                 : "removed";
}

/* ---- list ---- */

struct listing {
	struct cli *c;
	bool all;
	struct table table;
	json_t *array;
};

/* An account's name, or, when nothing tells it, the beginning of its id. */
static enum err_code account_text(struct cli *c, const struct account_id *id, struct buf *out, struct err *e)
{
	char hex[2 * ID16_BYTES + 1];
	enum err_code rc = repo_account_name(c->repo, id, out, e);

	if (rc || out->len)
		return rc;
	text_hex(span_of(id->bytes, ID16_BYTES), hex);
	return buf_append(out, span_of(hex, 8), e);
}

static enum err_code bound_to(struct cli *c, const struct key_info *k, struct err *e, struct line *l)
{
	struct buf name = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	line_printf(l, "%s", k->self ? "this one, for " : "for ");
	for (size_t i = 0; !rc && i < k->accounts; i++) {
		rc = account_text(c, &k->account_ids[i], &name, e);
		if (i)
			line_printf(l, ", ");
		line_safe(l, buf_span(&name));
	}
	buf_release(&name);
	return rc ? rc : l->rc;
}

static json_t *bound_array(struct cli *c, const struct key_info *k, struct err *e)
{
	json_t *array = json_array();
	struct buf name = BUF_EMPTY;
	char hex[2 * ID16_BYTES + 1];

	for (size_t i = 0; array && i < k->accounts; i++) {
		struct row r = row_new(NULL);

		text_hex(span_of(k->account_ids[i].bytes, ID16_BYTES), hex);
		r.bad |= repo_account_name(c->repo, &k->account_ids[i], &name, e) != ERR_OK;
		row_cstr(&r, "id", hex);
		row_text(&r, "name", buf_span(&name));
		array_add_row(&array, &r);
	}
	buf_release(&name);
	return array;
}

static enum err_code notes(struct cli *c, struct table *t, const struct key_info *k, struct err *e)
{
	char text[120];

	if (k->state == KEY_VALID && k->accounts && k->slots < 2) {
		struct line l = line_new(e);
		enum err_code rc = bound_to(c, k, e, &l);

		table_cell(t, buf_span(&l.text));
		line_release(&l);
		return rc;
	}
	snprintf(text, sizeof text, "%s%s%s", k->self ? "this one" : "", k->self && k->state != KEY_VALID ? ", " : "",
	         k->state == KEY_GONE         ? "gone: its objects are missing, it opens nothing"
	         : k->state == KEY_UNFINISHED ? "unfinished: it opens nothing, remove it"
	         : k->state == KEY_REMOVED    ? (k->slots ? "removed, but not all of it: remove it again" : "removed")
	                                      : "");
	if (k->state == KEY_VALID && k->slots > 1)
		snprintf(text, sizeof text, "%s%u slots: key passwd was interrupted, do it again",
		         k->self ? "this one, " : "", k->slots);
	table_text(t, text);
	return ERR_OK;
}

static enum err_code list_one(void *ctx, const struct key_info *k, struct err *e)
{
	struct listing *l = ctx;
	struct table *t = &l->table;
	char id[9];
	enum err_code rc;

	if (k->state == KEY_REMOVED && !k->slots && !l->all)
		return ERR_OK;
	if (l->c->g.json) {
		struct row r = row_new(NULL);

		row_cstr(&r, "id", k->id_hex);
		row_text(&r, "label", k->label);
		row_cstr(&r, "role", role_name(k->role));
		row_number(&r, "accounts", k->accounts);
		row_array(&r, "bound_to", bound_array(l->c, k, e));
		row_cstr(&r, "opens_with", kind_name(k->kind));
		row_time(&r, "added", k->added_ms);
		row_cstr(&r, "state", state_name(k->state));
		row_number(&r, "slots", k->slots);
		row_bool(&r, "self", k->self);
		array_add_row(&l->array, &r);
		return l->array ? ERR_OK : err_no_memory(e, 0);
	}
	snprintf(id, sizeof id, "%.8s", k->id_hex);
	table_text(t, id);
	table_cell(t, k->label);
	table_text(t, role_name(k->role));
	table_text(t, kind_name(k->kind));
	table_text(t, time_text(k->added_ms).text);
	rc = notes(l->c, t, k, e);
	return rc ? rc : t->rc;
}

static enum err_code list(struct cli *c, const struct values *v, struct err *e)
{
	static const char *const titles[] = { "id", "label", "role", "opens with", "added", "notes" };
	struct listing l = { c, v->all, table_new(titles, ARRAY_LEN(titles), e), json_array() };
	struct row r = row_new(NULL);
	enum err_code rc = repo_keys(c->repo, list_one, &l, e);

	if (!rc && c->g.json) {
		row_array(&r, "keys", l.array);
		l.array = NULL;
		rc = row_put(&r, e);
	} else if (!rc) {
		rc = table_put(&l.table);
	}
	row_drop(&r);
	json_decref(l.array);
	buf_release(&l.table.cells);
	return rc;
}

/* ---- what was done ---- */

struct told {
	struct holder_id id;
	struct key_info info;
	struct buf label;
	bool found;
};

static enum err_code remember(void *ctx, const struct key_info *k, struct err *e)
{
	struct told *t = ctx;
	enum err_code rc;

	if (memcmp(&k->id, &t->id, sizeof k->id) != 0)
		return ERR_OK;
	t->info = *k;
	t->found = true;
	rc = buf_append(&t->label, k->label, e);
	t->info.label = buf_span(&t->label);
	return rc;
}

static enum err_code tell(struct cli *c, const struct told *t, const char *type, const char *did, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.json) {
		struct row r = row_new(type);

		row_cstr(&r, "id", t->info.id_hex);
		row_text(&r, "label", t->info.label);
		row_cstr(&r, "role", role_name(t->info.role));
		row_cstr(&r, "opens_with", kind_name(t->info.kind));
		return row_put(&r, e);
	}
	if (c->g.quiet)
		return ERR_OK;
	line_printf(&l, "%s key %.8s", did, t->info.id_hex);
	if (t->info.label.len) {
		line_printf(&l, " (");
		line_safe(&l, t->info.label);
		line_printf(&l, ")");
	}
	if (t->info.role)
		line_printf(&l, ", role %s", role_name(t->info.role));
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code look_and_tell(struct cli *c, const struct holder_id *id, const char *type, const char *did,
                                   struct err *e)
{
	struct told t = { .id = *id };
	enum err_code rc = repo_keys(c->repo, remember, &t, e);

	if (!rc)
		rc = tell(c, &t, type, did, e);
	buf_release(&t.label);
	return rc;
}

/* ---- add, passwd ---- */

static enum err_code role_of(const char *text, enum role *out, struct err *e)
{
	*out = ROLE_FULL;
	if (!text || !strcmp(text, "full"))
		return ERR_OK;
	*out = ROLE_KEEPER;
	if (!strcmp(text, "keeper"))
		return ERR_OK;
	*out = ROLE_DEPOSIT;
	if (!strcmp(text, "deposit"))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "--role is full, deposit or keeper, not '%s'", text_name(span_cstr(text)).text);
}

static enum err_code new_secret(const struct values *v, struct secret_got *out, struct err *e)
{
	struct secret_options so = { .key_file = v->new_key_file,
		                     .password_file = v->new_password_file,
		                     .password_command = v->new_password_command,
		                     .create = true,
		                     .stop = &cli_stop };
	enum err_code rc = secret_input_new(&so, out, e);

	if (rc && stop_asked(&cli_stop))
		rc = err_set(e, ERR_CANCELLED, "interrupted");
	return rc;
}

/* A key to nothing would only confuse; where it may open something it stays. */
static void drop_secret(struct cli *c, struct secret_got *got, enum err_code rc)
{
	if (rc && rc != ERR_OUTCOME_UNKNOWN && got->key_file_created)
		remove(got->key_file);
	else if (got->key_file_created)
		cli_note(c, "made the key file %s; keep a copy of it in another place", got->key_file);
	secret_free(&got->secret);
}

/* What whoever got the new key can do with it. */
static const char *role_means(enum role role)
{
	return role == ROLE_FULL ? "whoever has it can read everything, add and remove snapshots and keys"
	       : role == ROLE_DEPOSIT
	               ? "whoever has it can add snapshots, list and check them, and see names and flags, but read no "
	                 "bodies"
	               : "whoever has it can list, check, forget, pin and count snapshots, and read no names, mails or "
	                 "other items";
}

static enum err_code add(struct cli *c, const struct values *v, struct err *e)
{
	struct slot_options slot = { .label = v->label ? span_cstr(v->label) : SPAN_EMPTY };
	struct secret_got got = { 0 };
	struct holder_id id;
	enum role role;
	enum err_code rc = role_of(v->role, &role, e);

	if (!rc)
		rc = new_secret(v, &got, e);
	slot.kind = got.kind;
	if (!rc)
		rc = v->accounts.count ? repo_key_add_deposit(c->repo, v->accounts.items, v->accounts.count, got.secret,
		                                              &slot, &id, e)
		                       : repo_key_add(c->repo, role, got.secret, &slot, &id, e);
	drop_secret(c, &got, rc);
	if (!rc)
		rc = look_and_tell(c, &id, "key-added", "added", e);
	if (!rc)
		cli_note(c, "%s", role_means(role));
	return rc;
}

static enum err_code find_self(void *ctx, const struct key_info *k, struct err *e)
{
	(void)e;
	if (k->self)
		*(struct holder_id *)ctx = k->id;
	return ERR_OK;
}

static enum err_code passwd(struct cli *c, const struct values *v, struct err *e)
{
	struct secret_got got = { 0 };
	struct holder_id self = { { 0 } };
	enum err_code rc = new_secret(v, &got, e);

	if (!rc)
		rc = repo_key_change(c->repo, got.secret, got.kind, e);
	drop_secret(c, &got, rc);
	if (!rc)
		rc = repo_keys(c->repo, find_self, &self, e);
	if (!rc)
		rc = look_and_tell(c, &self, "key-changed", "changed", e);
	if (!rc)
		cli_note(c, "a copy of the repository from before still opens with the old one; if somebody else may "
		            "know it, "
		            "add a new key and remove this one");
	return rc;
}

/* ---- remove ---- */

static enum err_code rotate_keys(struct cli *c, struct err *e)
{
	struct line l = line_new(e);
	uint32_t epoch;
	enum err_code rc = repo_key_rotate(c->repo, &epoch, e);

	if (!rc && c->g.json) {
		struct row r = row_new("keys-rotated");

		row_number(&r, "epoch", epoch);
		rc = row_put(&r, e);
	} else if (!rc && !c->g.quiet) {
		line_printf(&l, "rotated the keys: epoch %u", epoch);
		rc = line_put(&l);
	}
	line_release(&l);
	if (!rc)
		cli_note(c,
		         "what is written from now on is sealed with them; runs at work elsewhere end and have to be "
		         "started again. What was written before is as readable as it was to whoever kept old keys");
	return rc;
}

static enum err_code remove_key(struct cli *c, const char *text, bool rotate, struct err *e)
{
	struct told t = { 0 };
	enum err_code rc;

	rc = repo_key_find(c->repo, text, &t.id, e);
	if (!rc)
		rc = repo_keys(c->repo, remember, &t, e);
	if (!rc && rotate)
		rc = repo_key_may_rotate(c->repo, &t.id, e);
	if (!rc)
		rc = repo_key_remove(c->repo, &t.id, e);
	if (!rc)
		rc = tell(c, &t, "key-removed", "removed", e);
	buf_release(&t.label);
	if (!rc && rotate)
		return rotate_keys(c, e);
	if (rc)
		return rc;
	cli_note(c, "it can add, forget and change nothing any more. But whoever kept a copy of its key objects and "
	            "can read "
	            "the store still reads what it could read, new snapshots included, until the keys are rotated");
	cli_note(c, "if that matters: mailhold key rotate, and take its access to the store away, too");
	return ERR_OK;
}

/* ---- export ---- */

static const char sheet_head[] =
        "mailhold recovery sheet, printed %s\n"
        "\n"
        "Whoever holds this sheet can read the whole backup. Keep it where you keep papers, not on a computer.\n"
        "\n"
        "repository  %s\n"
        "id          %s\n"
        "key         %.8s (%s)\n"
        "\n";
static const char sheet_tail[] =
        "\n"
        "To open the repository with it:\n"
        "1. Type the four numbered lines into a text file, say sheet.txt. Spaces do not matter. The two digits behind\n"
        "   the / check their line: mailhold says which line has a slip.\n"
        "2. mailhold -r URL --key-file sheet.txt snapshots\n"
        "   where URL is the repository above, or wherever a copy of it lies now.\n"
        "3. Make a key to work with, and delete the file: mailhold -r URL --key-file sheet.txt key add\n"
        "\n"
        "When the sheet is lost: mailhold -r URL key remove %.8s\n";

static enum err_code print_sheet(struct cli *c, const struct told *t, struct span key, const char *date, struct err *e)
{
	struct buf text = BUF_EMPTY;
	struct repo_info info;
	char id[2 * ID16_BYTES + 1], line[KEY_SHEET_LINE_MAX];
	enum err_code rc;

	repo_describe(c->repo, &info);
	text_hex(span_of(info.id.bytes, ID16_BYTES), id);
	rc = buf_reserve(&text, KEY_SHEET_BYTES_MAX, e); /* it never moves, so that wiping it is enough */
	if (!rc)
		rc = buf_printf(&text, e, sheet_head, date, text_name(span_cstr(info.url)).text, id, t->info.id_hex,
		                text_name(t->info.label).text);
	for (unsigned number = 1; !rc && number <= KEY_SHEET_LINES; number++) {
		key_sheet_line(key.ptr, number, line);
		rc = buf_printf(&text, e, "    %s\n", line);
	}
	if (!rc)
		rc = buf_printf(&text, e, sheet_tail, t->info.id_hex);
	explicit_bzero(line, sizeof line);
	/* Not through stdio, whose buffer would keep it. */
	if (!rc)
		rc = output_finish(e);
	if (!rc)
		rc = file_write(STDOUT_FILENO, "standard output", buf_span(&text), e);
	buf_wipe(&text);
	return rc;
}

static enum err_code new_random_secret(struct secret **out, struct err *e)
{
	uint8_t key[SLOT_KEY_FILE_BYTES];
	enum err_code rc;

	crypto_random(key, sizeof key);
	rc = secret_new(span_of(key, sizeof key), out, e);
	explicit_bzero(key, sizeof key);
	return rc;
}

static enum err_code export(struct cli *c, const struct values *v, struct err *e) {
	char date[11], label[64]; struct slot_options slot = { .kind = SLOT_KEY_FILE }; struct secret *secret = NULL;
	struct told t = { 0 }; enum err_code rc;

	if (c->g.json) return err_set(e, ERR_USAGE,
	                              "a recovery sheet is for paper; for scripts there is key add --new-key-file");
	if (v->role || v->new_key_file || v->new_password_file || v->new_password_command) return err_set(
	        e, ERR_USAGE, "a recovery sheet is a new full key of its own; export takes --label only");
	snprintf(date, sizeof date, "%.10s", time_text(c->now_ms).text);
	snprintf(label, sizeof label, "recovery sheet %s", date); slot.label = span_cstr(v->label ? v->label : label);
	rc = new_random_secret(&secret, e); if (!rc) rc = repo_key_add(c->repo, ROLE_FULL, secret, &slot, &t.id, e);
	if (rc){ secret_free(&secret); return rc; }
rc = repo_keys(c->repo, remember, &t, e);
if (!rc)
	rc = print_sheet(c, &t, secret_span(secret), date, e);
/* A sheet that nobody has in full is a key that nobody looks after. */
if (rc && repo_key_remove(c->repo, &t.id, &(struct err){ 0 }))
	err_note(e, "and the key that was to be printed is still there; mailhold key list shows it");
secret_free(&secret);
buf_release(&t.label);
return rc;
}

/* ---- dispatch ---- */

static bool takes_new_secret(const struct values *v)
{
	return v->new_key_file || v->new_password_file || v->new_password_command;
}

/* Before a password is asked for: whose accounts, and only a depositor has such. */
static enum err_code check_accounts(const struct values *v, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (v->accounts.count && (!v->role || strcmp(v->role, "deposit") != 0))
		return err_set(e, ERR_USAGE, "--account goes with --role deposit: other keys are for all accounts");
	for (size_t i = 0; !rc && i < v->accounts.count; i++)
		rc = account_name_check(v->accounts.items[i], e);
	return rc;
}

/* Options stand in one table; an action refuses those of another before anybody is asked for a password. */
static enum err_code check_options(const char *action, const struct values *v, struct err *e)
{
	bool adds = !strcmp(action, "add"), changes = !strcmp(action, "passwd"), exports = !strcmp(action, "export");

	if ((v->label && !adds && !exports) || ((v->role || v->accounts.count) && !adds) ||
	    (takes_new_secret(v) && !adds && !changes) || (v->all && strcmp(action, "list") != 0) ||
	    (v->rotate && strcmp(action, "remove") != 0))
		return err_set(e, ERR_USAGE, "key %s does not take one of these options", action);
	if (v->label && strlen(v->label) > LABEL_TEXT_MAX)
		return err_set(e, ERR_USAGE, "the label is longer than %d bytes", LABEL_TEXT_MAX);
	return check_accounts(v, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	static const char *const actions[] = { "list", "add", "remove", "passwd", "rotate", "export" };
	const struct values *v = values;
	const char *action = words->items[0];
	size_t which = 0, want = strcmp(action, "remove") ? 1 : 2;
	enum err_code rc;

	while (which < ARRAY_LEN(actions) && strcmp(actions[which], action) != 0)
		which++;
	if (which == ARRAY_LEN(actions))
		return err_set(e, ERR_USAGE, "key does not know '%s': list, add, remove, passwd, rotate or export",
		               text_name(span_cstr(action)).text);
	if (words->count != want)
		return err_set(e, ERR_USAGE, "write: mailhold key %s%s", action, want == 2 ? " ID|LABEL" : "");
	rc = check_options(action, v, e);
	if (!rc)
		rc = cli_open(c, e);
	if (rc)
		return rc;
	switch (which) {
	case 0:
		return list(c, v, e);
	case 1:
		return add(c, v, e);
	case 2:
		return remove_key(c, words->items[1], v->rotate, e);
	case 3:
		return passwd(c, v, e);
	case 4:
		return rotate_keys(c, e);
	default:
		return export(c, v, e);
	}
}

const struct command command_key = {
	.name = "key",
	.words = "list|add|passwd|rotate|export|remove ID|LABEL",
	.summary = "add, remove and list who may open the repository",
	.details =
	        "list    the keys, with what they may do\n"
	        "add     one more key: a password (asked for twice), or --new-key-file. --role full may do "
	        "everything;\n"
	        "        deposit adds snapshots (of --account NAME only, when given), lists and checks them, and "
	        "reads no\n"
	        "        bodies; keeper lists, checks, forgets, pins and counts snapshots, and reads nothing in them\n"
	        "remove  a key by its label, or by at least 4 digits of its id. It can change nothing any more; who "
	        "kept a\n"
	        "        copy of it still reads what it could read\n"
	        "passwd  another password, or key file, for the key that opened the repository\n"
	        "rotate  new keys for what is written from now on, for everybody who has a key; remove --rotate does "
	        "both\n"
	        "export  a recovery sheet to print: a key of its own, typed into a file it is a key file\n",
	.examples = "mailhold key add --label \"Ann's laptop\"\n"
	            "mailhold key add --label nightly --new-key-file /etc/mailhold.key\n"
	            "mailhold key add --label mx1 --role deposit --account ann --new-key-file /etc/mailhold.key\n"
	            "mailhold key export | lp\nmailhold key remove \"Ann's laptop\"",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 2,
	.run = run,
};
