/* Parity as people meet it: switching it on, adding it to what is there, checking it, and repairing with it. */
#include "engine/work/parity_work.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/stop.h"
#include "engine/pack/parity.h"

/* ---- the policy, and what there is ---- */

enum err_code engine_parity_set(struct repo *r, unsigned percent, struct err *e)
{
	_Static_assert(ENGINE_PARITY_PERCENT_MAX == POLICY_PARITY_MAX, "one limit");
	enum err_code rc = repo_need_full(r, "change the parity of new packs", e);

	return rc ? rc : ledger_set_parity(r->ledger, percent, e);
}

/* *BYTES of the pack's parity object, 0 when there is none. */
static enum err_code parity_size(struct repo *r, const struct pack_fact *fact, uint64_t *bytes, struct err *e)
{
	enum err_code rc = store_size(r->store, parity_path(&fact->pack.name).text, bytes, e);

	if (rc == ERR_NOT_FOUND) {
		*bytes = 0;
		rc = ERR_OK;
	}
	return rc;
}

static enum err_code count_pack(struct repo *r, const struct pack_fact *fact, struct parity_report *out, struct err *e)
{
	uint64_t bytes;
	enum err_code rc = parity_size(r, fact, &bytes, e);

	out->packs++;
	out->packs_bytes += fact->pack.bytes;
	if (!rc && bytes) {
		out->protected ++;
		out->parity_bytes += bytes;
	}
	return rc;
}

enum err_code engine_parity_show(struct repo *r, struct parity_report *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	*out = (struct parity_report){ .percent = ledger_parity_percent(r->ledger) };
	for (uint32_t i = 0; !rc && i < ledger_pack_count(r->ledger); i++)
		if (ledger_pack(r->ledger, i)->state == PACK_LIVE)
			rc = count_pack(r, ledger_pack(r->ledger, i), out, e);
	return rc;
}

/* ---- adding ---- */

struct adding {
	struct repo *repo;
	bool dry_run;
	check_visit visit;
	void *ctx;
	struct parity_report *out;
};

static enum err_code needs_parity(struct adding *a, const struct pack_fact *fact, bool *needs, struct err *e)
{
	struct parity *p = NULL;
	enum err_code rc = parity_open(a->repo->store, &fact->pack.name, &p, e);

	*needs = rc || parity_describe(p).percent != a->out->percent || !parity_describe(p).copies_whole;
	parity_free(&p);
	return rc == ERR_NOT_FOUND || rc == ERR_CORRUPT ? ERR_OK : rc;
}

/* Damage of one pack, or a disk that does not read it, is told and leaves that pack without; a prune may have taken it away meanwhile. */
static enum err_code add_to_pack(struct adding *a, const struct pack_fact *fact, struct err *e)
{
	struct check_problem problem = { .what = e };
	struct pack_path path = pack_path(&fact->pack.name);
	uint64_t stored = 0;
	bool needs;
	enum err_code rc = needs_parity(a, fact, &needs, e);

	if (!rc && needs && !a->dry_run)
		rc = pack_protect(a->repo->store, a->repo->keys, &fact->pack, a->out->percent, &stored, e);
	a->out->made += !rc && needs;
	a->out->made_bytes += stored;
	if (rc != ERR_CORRUPT && rc != ERR_NOT_FOUND && rc != ERR_IO)
		return rc;
	a->out->damaged++;
	problem.object = path.text;
	if (a->visit)
		a->visit(a->ctx, &problem);
	return ERR_OK;
}

enum err_code engine_parity_add(struct repo *r, bool dry_run, check_visit visit, void *ctx, struct parity_report *out,
                                struct err *e)
{
	struct adding a = { r, dry_run, visit, ctx, out };
	struct engine_progress tell = { .phase = "making parity", .what = "packs" };
	enum err_code rc = repo_refresh(r, e);

	*out = (struct parity_report){ 0 };
	if (!rc && ledger_parity_percent(r->ledger) == 0)
		rc = err_set(e, ERR_STATE, "the repository has no parity set; say how much with `parity set PERCENT`");
	if (!rc)
		rc = engine_parity_show(r, out, e);
	tell.items_total = out->packs;
	for (uint32_t i = 0; !rc && i < ledger_pack_count(r->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(r->ledger, i);

		if (fact->state != PACK_LIVE)
			continue;
		rc = repo_stopped(r) ? repo_cancelled(e) : add_to_pack(&a, fact, e);
		tell.items_done++;
		tell.bytes_done += fact->pack.bytes;
		repo_tell(r, &tell);
	}
	return rc;
}

/* ---- checking ---- */

static void look_at_cells(const struct parity_state *s, struct err *what)
{
	bool pack_bad = parity_state_pack_bad(s);

	if (s->stripes_lost)
		err_set(what, s->unread.code ? ERR_IO : ERR_CORRUPT,
		        "%" PRIu64 " of %" PRIu64 " pieces of the pack and %" PRIu64 " of %" PRIu64
		        " of its parity are damaged: more than the parity can give back%s%s",
		        s->cells_bad, s->cells, s->parity_cells_bad, s->parity_cells, s->unread.code ? "; " : "",
		        s->unread.text);
	else if (pack_bad)
		err_set(what, ERR_CORRUPT,
		        "%" PRIu64 " of %" PRIu64
		        " pieces of the pack%s are damaged, and all can be repaired: `mailhold repair parity`",
		        s->cells_bad, s->cells, s->pack_length_wrong ? " and its length" : "");
	else if (parity_state_parity_bad(s))
		err_set(what, ERR_CORRUPT,
		        "%" PRIu64 " of %" PRIu64
		        " pieces of the parity%s are damaged, the pack is fine: `mailhold repair parity`",
		        s->parity_cells_bad, s->parity_cells, s->copies_damaged ? " and a copy of its head" : "");
}

static enum err_code look_inside(const struct parity *p, bool read_data, struct err *what, struct err *e)
{
	struct parity_state state = { 0 };
	enum err_code rc = ERR_OK;

	if (read_data)
		rc = parity_inspect(p, &state, e);
	else
		state.copies_damaged = !parity_describe(p).copies_whole;
	if (!rc)
		look_at_cells(&state, what);
	parity_state_release(&state);
	return rc;
}

enum err_code parity_look(struct repo *r, const struct pack_fact *fact, bool read_data, parity_problem problem,
                          void *ctx, struct err *e)
{
	struct pack_path path = parity_path(&fact->pack.name);
	struct err what = { 0 };
	struct parity *p = NULL;
	enum err_code rc = parity_open(r->store, &fact->pack.name, &p, &what);

	if (rc == ERR_NOT_FOUND && ledger_parity_percent(r->ledger) == 0)
		return ERR_OK;
	if (rc == ERR_NOT_FOUND)
		err_set(&what, rc, "the pack has no parity: `mailhold parity add` makes it");
	else if (rc == ERR_CORRUPT)
		err_note(&what, "`mailhold parity add` makes it anew");
	else if (rc == ERR_NO_MEMORY)
		*e = what;
	if (rc == ERR_NO_MEMORY)
		return rc;
	if (!rc)
		rc = look_inside(p, read_data, &what, e);
	else
		rc = ERR_OK;
	parity_free(&p);
	if (!rc && what.code)
		problem(ctx, path.text, &what);
	return rc;
}

/* ---- repairing without keys ---- */

struct repairing {
	const struct repair_parity_options *options;
	struct store *store;
	repair_parity_visit visit;
	void *ctx;
	struct repair_parity_report *out;
	struct buf names; /* struct pack_name of every parity */
	uint64_t packs;   /* in the store */
};

static enum err_code note_parity(void *ctx, const char *path, uint64_t bytes, struct err *e)
{
	struct repairing *r = ctx;
	struct pack_name name;

	(void)bytes;
	return parity_name_of_path(path, &name) ? buf_append(&r->names, span_of(&name, sizeof name), e) : ERR_OK;
}

static enum err_code count_object(void *ctx, const char *path, uint64_t bytes, struct err *e)
{
	struct repairing *r = ctx;
	struct pack_name name;

	(void)bytes;
	(void)e;
	r->packs += pack_name_of_path(path, &name);
	return ERR_OK;
}

/* *BYTES of the pack; *HERE is false for a parity that is left of a pack that a prune took away, or that is lost. */
static enum err_code look_for_pack(struct repairing *r, const struct pack_name *name, uint64_t *bytes, bool *here,
                                   struct err *e)
{
	enum err_code rc = store_size(r->store, pack_path(name).text, bytes, e);

	*here = rc != ERR_NOT_FOUND;
	if (!*here) {
		*bytes = 0;
		return ERR_OK;
	}
	return rc;
}

static enum err_code repair_one(struct repairing *r, const struct pack_name *name, struct err *e)
{
	struct pack_path path = pack_path(name);
	struct pack_added what = { .name = *name };
	struct pack_healing h = { 0 };
	struct repair_parity_step step = { .object = path.text, .kept = h.kept };
	uint64_t bytes;
	bool here;
	enum err_code rc = look_for_pack(r, name, &bytes, &here, e);

	if (rc)
		return rc;
	r->packs -= here;
	r->out->packs++;
	r->out->bytes_read += bytes;
	rc = pack_heal(r->store, NULL, &what, &h, e);
	/* One that cannot be helped, or that a newer version made, does not hold up the others. */
	if (rc && rc != ERR_CORRUPT && rc != ERR_NOT_FOUND && rc != ERR_UNSUPPORTED && rc != ERR_IO)
		return rc;
	r->out->packs_mended += h.pack_mended;
	r->out->parities_mended += h.parity_mended;
	if (!rc && !h.pack_mended && !h.parity_mended)
		return ERR_OK;
	if (rc == ERR_CORRUPT && !here)
		err_set(e, ERR_NOT_FOUND,
		        "the pack is missing: parity makes good a part of a pack, not all of it (if no snapshot needs "
		        "it, the next prune takes the parity away, too)");
	r->out->failed += rc != ERR_OK;
	step.failed = rc ? e : NULL;
	step.pack_mended = h.pack_mended;
	step.parity_mended = h.parity_mended;
	step.cells = h.cells_bad + h.parity_cells_bad;
	if (r->visit)
		r->visit(r->ctx, &step);
	return ERR_OK;
}

static enum err_code repair_all(struct repairing *r, struct err *e)
{
	size_t count = r->names.len / sizeof(struct pack_name);
	struct engine_progress tell = { .phase = "repairing", .items_total = count, .what = "packs" };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		struct pack_name name;

		memcpy(&name, r->names.ptr + i * sizeof name, sizeof name);
		if (stop_asked(r->options->stop))
			rc = repo_cancelled(e);
		else
			rc = repair_one(r, &name, e);
		tell.items_done = i + 1;
		tell.bytes_done = r->out->bytes_read;
		if (r->options->progress)
			r->options->progress(r->options->progress_ctx, &tell);
	}
	return rc;
}

/* Without keys nothing can be read, but a repository has a first record. */
static enum err_code find_repository(struct repairing *r, struct err *e)
{
	uint64_t bytes;
	enum err_code rc = store_open(r->options->url, &r->store, e);

	if (!rc)
		rc = store_size(r->store, record_path(0).text, &bytes, e);
	if (rc == ERR_NOT_FOUND)
		rc = err_set(e, ERR_NO_REPOSITORY, "there is no repository at %s", r->options->url);
	return rc;
}

enum err_code engine_repair_parity(const struct repair_parity_options *o, repair_parity_visit visit, void *ctx,
                                   struct repair_parity_report *out, struct err *e)
{
	struct repairing r = { .options = o, .visit = visit, .ctx = ctx, .out = out, .names = BUF_EMPTY };
	enum err_code rc = find_repository(&r, e);

	*out = (struct repair_parity_report){ 0 };
	if (!rc)
		rc = store_list(r.store, "pack", count_object, &r, e);
	if (!rc)
		rc = store_list(r.store, "parity", note_parity, &r, e);
	if (!rc)
		rc = repair_all(&r, e);
	out->without = r.packs;
	buf_release(&r.names);
	store_free(&r.store);
	return rc;
}
