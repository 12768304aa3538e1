/*
 * Naming what is missing: the client's fold has the history that it saw, the store another one. What the first says is
 * there and the second does not know was taken away.
 */
#include "engine/ledger/ledger_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define TOLD_MAX 20 /* of each kind by name; the others are counted */

struct gone {
	struct ledger *ours;
	struct fold *theirs;
	size_t snapshots, packs;
};

static void tell_snapshot(struct gone *g, const struct snapshot_fact *fact)
{
	char hex[2 * ID16_BYTES + 1];

	if (g->snapshots++ >= TOLD_MAX)
		return;
	text_hex(span_of(fact->entry.id.bytes, 4), hex);
	ledger_tell(g->ours, fact->committed_at, NULL,
	            "missing: snapshot %s of %s (%" PRIu64 " items), committed by ledger record %" PRIu64, hex,
	            clock_format(fact->entry.time_ms, fact->entry.zone_minutes).text, fact->entry.item_count,
	            fact->committed_at);
}

static void tell_pack(struct gone *g, const struct pack_fact *fact)
{
	if (g->packs++ >= TOLD_MAX)
		return;
	ledger_tell(g->ours, fact->committed_at, NULL, "missing: what ledger record %" PRIu64 " said of %s",
	            fact->committed_at, pack_path(&fact->pack.name).text);
}

static void compare(struct gone *g)
{
	const struct fold *f = &g->ours->fold;
	uint32_t ignored;

	for (size_t i = 0; i < f->snapshot_count; i++) {
		const struct fold_snapshot *row = &f->snapshots[i];

		if (!row->hidden && row->fact.state != SNAPSHOT_EXPIRED &&
		    !fold_snapshot_find(g->theirs, &row->fact.entry.id))
			tell_snapshot(g, &row->fact);
	}
	for (size_t i = 0; i < f->pack_count; i++)
		if (f->packs[i].state == PACK_LIVE && !fold_pack_find(g->theirs, &f->packs[i].pack.name, &ignored))
			tell_pack(g, &f->packs[i]);
}

enum err_code ledger_tell_gone(struct ledger *l, const char *how, struct err *e)
{
	uint64_t head = l->head.number;
	struct ledger *again = NULL;
	struct gone g = { .ours = l };
	char where[80] = "nothing of its ledger can be read";
	enum err_code rc = ledger_new(l->store, l->keys, &again, e);

	if (rc)
		return rc;
	/* Whatever stops the reading: as far as it came is what the store has. */
	(void)!ledger_fold_on(again, UINT64_MAX, &(struct err){ 0 });
	g.theirs = &again->fold;
	compare(&g);
	if (again->next)
		snprintf(where, sizeof where, "its ledger ends at record %" PRIu64, again->next - 1);
	again->broken = true;
	if (again->next > head)
		rc = err_set(e, ERR_FORKED,
		             "the store %s: ledger record %" PRIu64 " is not the one seen earlier; %zu snapshots and "
		             "%zu packs that were seen are missing",
		             how, head, g.snapshots, g.packs);
	else
		rc = err_set(e, ERR_FORKED,
		             "the store %s: %s, and record %" PRIu64
		             ", seen earlier, is gone; %zu snapshots and %zu packs "
		             "that were seen are missing",
		             how, where, head, g.snapshots, g.packs);
	ledger_free(&again);
	return rc;
}
