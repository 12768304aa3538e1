/* The sessions that are open: what is known of those who write, and ending one whose writer is dead. */
#include "engine/snapshot/snapshot.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/text.h"

struct session_row {
	struct session_info info;
	struct buf hold; /* what its spans point into, but for the label */
	struct buf label;
};
struct sessions {
	struct repo *repo;
	struct session_row *rows; /* rising by number */
	size_t count;
};

static void sessions_release(struct sessions *s)
{
	for (size_t i = 0; s->rows && i < s->count; i++) {
		buf_release(&s->rows[i].hold);
		buf_release(&s->rows[i].label);
	}
	mem_free(s->rows);
}

static struct session_row *find_row(const struct sessions *s, uint64_t number)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->rows[i].info.number == number)
			return &s->rows[i];
	return NULL;
}

/* ---- gathering ---- */

/* Of the session's own record; when that cannot be read nobody knows since when it is open. */
static int64_t opened_ms(struct repo *r, uint64_t number)
{
	int64_t ms;

	return ledger_record_time(r->ledger, number, &ms, &(struct err){ 0 }) ? INT64_MIN : ms;
}

static enum err_code gather(struct sessions *s, struct err *e)
{
	struct ledger *l = s->repo->ledger;
	struct holder_id self = keys_holder(s->repo->keys);
	struct session_fact fact;
	size_t open = 0;

	for (size_t i = 0; ledger_session_at(l, i, &fact); i++)
		open += fact.state == SESSION_OPEN;
	s->rows = mem_zalloc(open, sizeof *s->rows);
	if (!s->rows)
		return err_no_memory(e, open * sizeof *s->rows);
	for (size_t i = 0; ledger_session_at(l, i, &fact); i++) {
		const struct holder_payload *holder = ledger_holder_find(l, &fact.holder);
		struct session_row *row;

		if (fact.state != SESSION_OPEN)
			continue;
		row = &s->rows[s->count++];
		row->hold = row->label = BUF_EMPTY;
		row->info = (struct session_info){ .number = fact.number,
			                           .holder = fact.holder,
			                           .role = holder ? (unsigned)holder->role : 0,
			                           .self = !memcmp(&fact.holder, &self, sizeof self),
			                           .opened_ms = opened_ms(s->repo, fact.number),
			                           .last_ms = fact.last_ms };
		text_hex(span_of(fact.holder.bytes, ID16_BYTES), row->info.holder_hex);
	}
	return ERR_OK;
}

static enum err_code add_label(void *ctx, const struct key_info *k, struct err *e)
{
	struct sessions *s = ctx;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < s->count; i++) {
		struct session_row *row = &s->rows[i];

		if (memcmp(&row->info.holder, &k->id, sizeof k->id) != 0 || row->label.len)
			continue;
		rc = buf_append(&row->label, k->label, e);
		row->info.label = buf_span(&row->label);
	}
	return rc;
}

/* Packs that the store has of a session and that no commit names. Rule A: a listing may lack some. */
static enum err_code add_upload(void *ctx, const char *path, uint64_t bytes, struct err *e)
{
	struct sessions *s = ctx;
	struct session_row *row;
	struct pack_name name;
	uint32_t ordinal;

	(void)e;
	if (!pack_name_of_path(path, &name))
		return ERR_OK;
	row = find_row(s, name.session);
	if (!row || ledger_pack_find(s->repo->ledger, &name, &ordinal))
		return ERR_OK;
	row->info.packs++;
	row->info.bytes += bytes;
	return ERR_OK;
}

/* The session whose commit at RECORD added packs; NULL: none that is open. */
static struct session_row *committer(const struct sessions *s, uint64_t record)
{
	const struct ledger *l = s->repo->ledger;

	for (uint32_t i = ledger_pack_count(l); i-- > 0 && ledger_pack(l, i)->committed_at >= record;)
		if (ledger_pack(l, i)->committed_at == record)
			return find_row(s, ledger_pack(l, i)->pack.name.session);
	return NULL;
}

/* What a session has committed so far tells whose it is. The newest snapshot counts. */
static enum err_code add_snapshots(struct sessions *s, struct err *e)
{
	const struct ledger *l = s->repo->ledger;
	uint64_t oldest = s->count ? s->rows[0].info.number : UINT64_MAX;
	struct snapshot_info shown;
	enum err_code rc = ERR_OK;

	for (size_t i = ledger_snapshot_count(l); !rc && i-- > 0;) {
		const struct snapshot_fact *fact = ledger_snapshot(l, i);
		struct session_row *row;

		if (fact->committed_at <= oldest)
			break;
		row = committer(s, fact->committed_at);
		if (!row || row->info.has_snapshot)
			continue;
		rc = snapshot_show(s->repo, fact, &row->hold, &shown, e);
		if (rc)
			break;
		row->info.has_snapshot = true;
		row->info.snapshot = shown;
	}
	return rc;
}

enum err_code repo_sessions(struct repo *r, session_visit visit, void *ctx, struct err *e)
{
	struct sessions s = { .repo = r };
	enum err_code rc = gather(&s, e);

	if (!rc && s.count)
		rc = repo_keys(r, add_label, &s, e);
	if (!rc && s.count) {
		rc = store_list(r->store, "pack", add_upload, &s, e);
		if (rc == ERR_NOT_FOUND)
			rc = ERR_OK;
	}
	if (!rc)
		rc = add_snapshots(&s, e);
	for (size_t i = 0; !rc && i < s.count; i++)
		rc = visit(ctx, &s.rows[i].info, e);
	sessions_release(&s);
	return rc;
}

/* ---- fencing ---- */

static enum err_code not_open(uint64_t number, enum session_state state, struct err *e)
{
	if (state == SESSION_UNKNOWN)
		return err_set(e, ERR_NOT_FOUND, "there never was a session %" PRIu64 " (mailhold session list)",
		               number);
	return err_set(e, ERR_STATE, "session %" PRIu64 " is not open any more: it %s", number,
	               state == SESSION_FENCED ? "was fenced" : "ended");
}

enum err_code engine_session_fence(struct repo *r, uint64_t number, bool dry_run, struct err *e)
{
	enum err_code rc = repo_need_keep(r, "fence sessions", e);

	if (!rc)
		rc = repo_refresh(r, e);
	if (rc)
		return rc;
	if (ledger_session(r->ledger, number) != SESSION_OPEN)
		return not_open(number, ledger_session(r->ledger, number), e);
	if (dry_run)
		return ERR_OK;
	rc = ledger_fence(r->ledger, number, e);
	/* It ended, or somebody else was faster. */
	if (rc == ERR_STATE && ledger_session(r->ledger, number) != SESSION_OPEN)
		return not_open(number, ledger_session(r->ledger, number), e);
	return rc;
}
