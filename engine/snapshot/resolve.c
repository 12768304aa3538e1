/* Which snapshot the user means: "[ACCOUNT@]" + id prefix | latest | latest~N | date or time. */
#include "engine/snapshot/snapshot.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define ID_PREFIX_DIGITS_MIN 4

bool snapshot_of_account(const struct repo *r, const struct snapshot_fact *fact, struct span account)
{
	struct account_id id;
	char hex[2 * ID16_BYTES + 1];

	if (keys_read_names(r->keys)) {
		id = keys_account(r->keys, account);
		return memcmp(&fact->entry.account, &id, sizeof id) == 0;
	}
	text_hex(span_of(fact->entry.account.bytes, ID16_BYTES), hex);
	return account.len >= ID_PREFIX_DIGITS_MIN && account.len <= 2 * ID16_BYTES &&
	       text_equal_nocase(span_of(hex, account.len), account);
}

static bool wanted(const struct snapshot_fact *fact, unsigned which)
{
	return (fact->state == SNAPSHOT_LIVE && (which & SNAPSHOTS_LIVE)) ||
	       (fact->state == SNAPSHOT_TRASH && (which & SNAPSHOTS_TRASH));
}

/* The candidates: snapshots of the wanted state and account, oldest first, as numbers in the ledger. */
struct candidates {
	size_t *numbers;
	size_t count;
	bool several_accounts;
};

static bool is_earlier(const struct repo *r, size_t a, size_t b)
{
	return ledger_snapshot(r->ledger, a)->entry.time_ms < ledger_snapshot(r->ledger, b)->entry.time_ms;
}

/*
 * A copied snapshot was committed when it was copied, which says nothing about its age: with copies among them, time is
 * the order. Else it is the ledger, which no wrong clock disturbs. Mostly in order already: by insertion.
 */
static void put_in_order(const struct repo *r, struct candidates *c)
{
	bool copied = false;

	for (size_t i = 0; i < c->count; i++)
		copied |= (ledger_snapshot(r->ledger, c->numbers[i])->entry.flags & SNAPSHOT_COPIED) != 0;
	for (size_t i = 1; copied && i < c->count; i++) {
		size_t moved = c->numbers[i], at = i;

		for (; at > 0 && is_earlier(r, moved, c->numbers[at - 1]); at--)
			c->numbers[at] = c->numbers[at - 1];
		c->numbers[at] = moved;
	}
}

static enum err_code gather(struct repo *r, unsigned which, struct span account, struct candidates *out, struct err *e)
{
	size_t count = ledger_snapshot_count(r->ledger);

	out->numbers = mem_alloc((count + 1) * sizeof *out->numbers);
	if (!out->numbers)
		return err_no_memory(e, (count + 1) * sizeof *out->numbers);
	for (size_t i = 0; i < count; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (!wanted(fact, which) || (account.len && !snapshot_of_account(r, fact, account)))
			continue;
		if (out->count && memcmp(&fact->entry.account,
		                         &ledger_snapshot(r->ledger, out->numbers[0])->entry.account, ID16_BYTES) != 0)
			out->several_accounts = true;
		out->numbers[out->count++] = i;
	}
	put_in_order(r, out);
	return ERR_OK;
}

enum err_code repo_snapshots(struct repo *r, unsigned which, const char *account, snapshot_visit visit, void *ctx,
                             struct err *e)
{
	struct candidates c = { 0 };
	struct buf hold = BUF_EMPTY;
	struct snapshot_info info;
	enum err_code rc = ERR_OK;

	if (!account || *account)
		rc = gather(r, which, account ? span_cstr(account) : SPAN_EMPTY, &c, e);
	for (size_t i = 0; !rc && i < c.count; i++) {
		rc = snapshot_show(r, ledger_snapshot(r->ledger, c.numbers[i]), &hold, &info, e);
		if (!rc)
			rc = visit(ctx, &info, e);
	}
	mem_free(c.numbers);
	buf_release(&hold);
	return rc;
}

static enum err_code several(struct err *e)
{
	return err_set(e, ERR_USAGE, "the repository holds several accounts; say which: ACCOUNT@latest");
}

/* A record that cannot be read may hold a newer snapshot: what is latest, or the last before a time, is not known. */
static enum err_code in_doubt(struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	               "a ledger record cannot be read, and may hold a newer snapshot; name the one you mean by "
	               "its id, as `mailhold snapshots` shows it");
}

static enum err_code by_age(struct repo *r, const struct candidates *c, uint64_t back, size_t *out, struct err *e)
{
	size_t complete = 0;

	if (c->several_accounts)
		return several(e);
	if (ledger_in_doubt(r->ledger))
		return in_doubt(e);
	/* A partial snapshot is no answer to "latest" while a complete one exists. */
	for (size_t i = c->count; i-- > 0;) {
		if (ledger_snapshot(r->ledger, c->numbers[i])->entry.flags & SNAPSHOT_PARTIAL)
			continue;
		if (complete++ == back) {
			*out = c->numbers[i];
			return ERR_OK;
		}
	}
	if (complete == 0 && back == 0) {
		*out = c->numbers[c->count - 1];
		return ERR_OK;
	}
	return err_set(e, ERR_NOT_FOUND, "there are only %zu complete snapshots", complete);
}

static enum err_code by_time(struct repo *r, const struct candidates *c, int64_t time_ms, size_t *out, struct err *e)
{
	if (c->several_accounts)
		return several(e);
	if (ledger_in_doubt(r->ledger))
		return in_doubt(e);
	for (size_t i = c->count; i-- > 0;)
		if (ledger_snapshot(r->ledger, c->numbers[i])->entry.time_ms <= time_ms) {
			*out = c->numbers[i];
			return ERR_OK;
		}
	return err_set(e, ERR_NOT_FOUND, "there is no snapshot that old");
}

/* True when TEXT looks like an id prefix. *MATCHES says how many snapshots have it. */
static bool by_prefix(struct repo *r, const struct candidates *c, const char *text, size_t *matches, size_t *out)
{
	size_t len = strlen(text);

	*matches = 0;
	if (len < ID_PREFIX_DIGITS_MIN || len > 2 * ID16_BYTES || strspn(text, "0123456789abcdefABCDEF") != len)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		char hex[2 * ID16_BYTES + 1];

		text_hex(span_of(ledger_snapshot(r->ledger, c->numbers[i])->entry.id.bytes, ID16_BYTES), hex);
		if (text_equal_nocase(span_of(hex, len), span_of(text, len))) {
			*out = c->numbers[i];
			++*matches;
		}
	}
	return true;
}

static enum err_code resolve_in(struct repo *r, const struct candidates *c, const char *text, size_t *out,
                                struct err *e)
{
	uint64_t back = 0;
	int64_t time_ms;
	size_t matches;
	struct err why;

	if (c->count == 0)
		return err_set(e, ERR_NOT_FOUND, "there are no snapshots yet");
	if (!strncmp(text, "latest", 6) && (!text[6] || text[6] == '~')) {
		if (text[6] && !text_number(span_cstr(text + 7), 1000000, &back))
			return err_set(e, ERR_USAGE, "'%s': write latest~1 for the one before the latest", text);
		return by_age(r, c, back, out, e);
	}
	if (by_prefix(r, c, text, &matches, out) && matches == 1)
		return ERR_OK;
	if (matches > 1)
		return err_set(e, ERR_USAGE, "%zu snapshots begin with '%s'; write more digits", matches, text);
	if (clock_parse(text, clock_now_ms(), true, &time_ms, &why) == ERR_OK)
		return by_time(r, c, time_ms, out, e);
	return err_set(e, ERR_NOT_FOUND,
	               "there is no snapshot '%s' (an id of at least %d digits, latest, latest~1, or a date)",
	               text_name(span_cstr(text)).text, ID_PREFIX_DIGITS_MIN);
}

/* The '@' that ends an account name is the last one: names may hold some ("ann@example.org@latest"). */
enum err_code repo_resolve(struct repo *r, const char *text, unsigned which, struct snapshot_id *out, struct err *e)
{
	const char *at = strrchr(text, '@');
	struct span account = at ? span_of(text, (size_t)(at - text)) : SPAN_EMPTY;
	struct candidates c = { 0 };
	size_t number = 0;
	enum err_code rc = gather(r, which, account, &c, e);

	if (!rc && account.len && c.count == 0)
		rc = err_set(e, ERR_NOT_FOUND, "there is no snapshot of account '%s'", text_name(account).text);
	if (!rc)
		rc = resolve_in(r, &c, at ? at + 1 : text, &number, e);
	if (!rc)
		*out = ledger_snapshot(r->ledger, number)->entry.id;
	mem_free(c.numbers);
	return rc;
}
