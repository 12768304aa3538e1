#include "engine/repo/repo.h"

#include <stdio.h>

struct looking {
	const struct repo *repo;
	struct repo_beyond *found;
};

static enum err_code look_at_record(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct looking *l = ctx;
	uint64_t number;

	(void)bytes;
	(void)e;
	if (!record_number_of_path(name, &number) || number <= l->found->head)
		return ERR_OK;
	if (!l->found->records || number < l->found->first_record)
		l->found->first_record = number;
	l->found->records++;
	return ERR_OK;
}

static enum err_code look_at_pack(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct looking *l = ctx;
	struct pack_name pack;

	(void)e;
	/* Anybody who writes to the store can put a file there; the seal of a pack proves its session. */
	if (!pack_name_of_path(name, &pack) || pack.session <= l->found->head ||
	    !pack_is_genuine(l->repo->store, l->repo->keys, &pack, bytes))
		return ERR_OK;
	if (pack.session > l->found->last_session) {
		l->found->last_session = pack.session;
		snprintf(l->found->pack, sizeof l->found->pack, "%s", name);
	}
	l->found->packs++;
	return ERR_OK;
}

enum err_code repo_look_beyond(struct repo *r, struct repo_beyond *out, struct err *e)
{
	struct looking l = { r, out };
	enum err_code rc = ledger_refresh(r->ledger, e);

	*out = (struct repo_beyond){ .head = ledger_head(r->ledger).number };
	if (!rc)
		rc = store_list(r->store, "ledger", look_at_record, &l, e);
	if (!rc) {
		rc = store_list(r->store, "pack", look_at_pack, &l, e);
		rc = rc == ERR_NOT_FOUND ? ERR_OK : rc; /* there was never a pack */
	}
	if (!rc && (out->records || out->packs)) {
		rc = ledger_refresh(r->ledger, e);
		if (ledger_head(r->ledger).number != out->head)
			*out = (struct repo_beyond){ .head = ledger_head(r->ledger).number };
	}
	return rc;
}
