/* Looking after a repository: forget, pin, stats, versions. */
#include "engine/work/hold.h"

#include "base/file.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "chunker/chunker.h"
#include "engine/pack/parity.h"
#include "engine/work/verified.h"

enum err_code engine_forget(struct repo *r, const struct snapshot_id *ids, size_t count, bool undo, struct err *e)
{
	enum err_code rc = repo_need_keep(r, "forget snapshots", e);

	if (rc)
		return rc;
	if (undo)
		return ledger_mark(r->ledger, RECORD_UNFORGET, ids, count, e);
	return holds_forget(r, UINT64_MAX, ids, count, e);
}

/* What GONE (by row of the ledger) leaves of the account of row I: is I the newest to go, and nothing that counts stays? */
static bool is_last(const struct ledger *l, const bool *gone, size_t i)
{
	const struct snapshot_entry *entry = &ledger_snapshot(l, i)->entry;
	bool stays = false, complete_stays = false, complete_goes = false;

	for (size_t k = 0; k < ledger_snapshot_count(l); k++) {
		const struct snapshot_fact *other = ledger_snapshot(l, k);
		bool complete = !(other->entry.flags & SNAPSHOT_PARTIAL);

		if (other->state != SNAPSHOT_LIVE ||
		    memcmp(&other->entry.account, &entry->account, sizeof entry->account) != 0)
			continue;
		if (gone[k] && k > i && (complete || (entry->flags & SNAPSHOT_PARTIAL)))
			return false;
		complete_goes |= complete && gone[k];
		complete_stays |= complete && !gone[k];
		stays |= !gone[k];
	}
	return complete_goes ? !complete_stays && !(entry->flags & SNAPSHOT_PARTIAL) : !stays;
}

enum err_code engine_last_ones(struct repo *r, const struct snapshot_id *ids, size_t count, snapshot_visit visit,
                               void *ctx, struct err *e)
{
	size_t rows = ledger_snapshot_count(r->ledger);
	bool *gone = mem_zalloc(rows, sizeof *gone);
	struct buf hold = BUF_EMPTY;
	struct snapshot_info info;
	enum err_code rc = repo_need_keep(r, "forget snapshots", e);

	if (!rc && !gone)
		rc = err_no_memory(e, rows * sizeof *gone);
	for (size_t i = 0; !rc && i < rows; i++)
		for (size_t k = 0; k < count && !gone[i]; k++)
			gone[i] = ledger_snapshot(r->ledger, i)->state == SNAPSHOT_LIVE &&
			          !memcmp(&ledger_snapshot(r->ledger, i)->entry.id, &ids[k], sizeof ids[k]);
	for (size_t i = 0; !rc && i < rows; i++) {
		if (!gone[i] || !is_last(r->ledger, gone, i))
			continue;
		rc = snapshot_show(r, ledger_snapshot(r->ledger, i), &hold, &info, e);
		if (!rc)
			rc = visit(ctx, &info, e);
	}
	mem_free(gone);
	buf_release(&hold);
	return rc;
}

enum err_code engine_pin(struct repo *r, const struct snapshot_id *ids, size_t count, bool unpin, struct err *e)
{
	enum err_code rc = repo_need_keep(r, "pin snapshots", e);

	return rc ? rc : ledger_mark(r->ledger, unpin ? RECORD_UNPIN : RECORD_PIN, ids, count, e);
}

/* ---- repair ---- */

enum err_code engine_repair_ledger(struct repo *r, uint64_t *count, struct err *e)
{
	size_t passed = 0;
	enum err_code rc = repo_need_keep(r, "repair the ledger", e);

	if (!rc)
		rc = ledger_repair(r->ledger, &passed, e);

	*count = passed;
	return rc;
}

enum err_code engine_repair_index(struct repo *r, uint64_t *count, struct err *e)
{
	struct buf path = BUF_EMPTY;
	enum err_code rc = repo_need_index(r, INDEX_WRITE, e); /* holds the lock: nobody else writes it now */

	if (!rc)
		rc = repo_cache_path(r, "index", &path, e);
	repo_drop_index(r);
	if (!rc)
		rc = file_remove_tree((const char *)path.ptr, e);
	if (!rc)
		rc = repo_need_index(r, INDEX_WRITE, e);
	if (!rc)
		*count = index_count(r->index);
	buf_release(&path);
	return rc;
}

/* ---- stats ---- */

static enum err_code count_object(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct stats_report *out = ctx;

	(void)name;
	(void)e;
	out->objects++;
	out->object_bytes += bytes;
	return ERR_OK;
}

static void count_snapshots(struct repo *r, struct stats_report *out)
{
	for (size_t i = 0; i < ledger_snapshot_count(r->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (fact->state == SNAPSHOT_TRASH)
			out->snapshots_trash++;
		if (fact->state != SNAPSHOT_LIVE)
			continue;
		out->snapshots++;
		out->items_all += fact->entry.item_count;
		out->bytes_all += fact->entry.item_bytes;
		if (snapshot_latest(r, &fact->entry.account, true) == fact) {
			out->accounts++;
			out->items_latest += fact->entry.item_count;
			out->bytes_latest += fact->entry.item_bytes;
		}
	}
}

static enum err_code count_pack(struct repo *r, const struct pack_fact *fact, struct stats_report *out, struct err *e)
{
	struct pack *pack = NULL;
	enum err_code rc = pack_open(r->store, r->keys, &fact->pack, &pack, NULL, e);

	if (rc)
		return rc;
	out->packs++;
	out->pack_bytes += fact->pack.bytes;
	for (uint32_t b = 0; b < pack_block_count(pack); b++) {
		const struct block_info *info = pack_block(pack, b);

		out->classes[info->class - 1].blocks++;
		out->classes[info->class - 1].chunks += info->chunk_count;
		out->classes[info->class - 1].raw_bytes += info->raw_bytes;
		out->classes[info->class - 1].sealed_bytes += info->sealed_bytes;
		out->chunks += info->chunk_count;
	}
	pack_free(&pack);
	return ERR_OK;
}

enum err_code engine_stats(struct repo *r, struct stats_report *out, struct err *e)
{
	struct verified verified = { 0 };
	enum err_code rc = ERR_OK;

	_Static_assert(CLASS_END - 1 <= ARRAY_LEN(((struct stats_report *)0)->classes), "a place for every class");
	memset(out, 0, sizeof *out);
	out->class_count = CLASS_END - 1; /* classes count from 1 */
	for (size_t c = 0; c < out->class_count; c++)
		out->classes[c].name = block_class_name((enum block_class)(c + 1));
	out->records = ledger_head(r->ledger).number + 1;
	count_snapshots(r, out);
	for (uint32_t i = 0; !rc && i < ledger_pack_count(r->ledger); i++)
		if (ledger_pack(r->ledger, i)->state == PACK_LIVE)
			rc = count_pack(r, ledger_pack(r->ledger, i), out, e);
	if (!rc)
		rc = store_list(r->store, "", count_object, out, e);
	if (!rc)
		rc = verified_load(r, &verified, e);
	verified_sum(r, &verified, &out->verified);
	verified_release(&verified);
	return rc;
}

/* ---- versions ---- */

const char *engine_version(void)
{
	return MAILHOLD_VERSION;
}

enum err_code engine_versions(struct buf *out, struct err *e)
{
	enum err_code rc = buf_printf(out, e, "mailhold %s\n", MAILHOLD_VERSION);

	if (!rc)
		rc = buf_printf(out, e, "ledger-format %d\n", RECORD_VERSION);
	if (!rc)
		rc = buf_printf(out, e, "splitter %d\ncutter %d\n", SPLITTER_VERSION, CUTTER_VERSION);
	if (!rc)
		rc = buf_printf(out, e, "libsodium %s\nzstd %s\nrocksdb %s\nisa-l %s\n", crypto_library_version(),
		                block_library_version(), index_library_version(), parity_library_version());
	return rc;
}
