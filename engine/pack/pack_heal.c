/* A pack and its parity, each repaired from the other. */
#include "engine/pack/pack_internal.h"

#include "base/mem.h"

static void keep_first(void *ctx, uint32_t block, const struct err *what)
{
	struct err *first = ctx;

	(void)block;
	if (!first->code)
		*first = *what;
}

/* WHY is untouched when every byte of P is what ledger, directory and seals say; else it tells the first that is not. */
static enum err_code judge(struct pack *p, struct err *why, struct err *e)
{
	return pack_check_bytes(p, keep_first, why, e);
}

/* The pack as it lies there. WHY as in judge(); a pack that does not open without its parity is damaged. */
static enum err_code judge_stored(struct store *store, const struct keys *k, const struct pack_added *what,
                                  struct err *why, struct err *e)
{
	struct pack *p = NULL;
	enum err_code rc = pack_open(store, k, what, &p, NULL, e);

	*why = (struct err){ 0 };
	if (!rc && pack_mended(p))
		err_set(why, ERR_CORRUPT, "its directory is damaged");
	else if (!rc)
		rc = judge(p, why, e);
	pack_free(&p);
	if (!pack_is_damage(rc) && rc != ERR_NOT_FOUND)
		return rc;
	*why = *e;
	return ERR_OK;
}

/* What the parity makes of the pack. */
static enum err_code judge_mended(struct store *store, const struct keys *k, const struct pack_added *what,
                                  struct err *e)
{
	struct pack *p = NULL;
	struct err why = { 0 };
	enum err_code rc = pack_open_mended(store, k, what, &p, e);

	if (!rc)
		rc = judge(p, &why, e);
	pack_free(&p);
	if (!rc && why.code)
		rc = err_set(e, ERR_CORRUPT, "what the parity of %s gives is not what the ledger says",
		             pack_path(&what->name).text);
	return rc;
}

static enum err_code remake(struct store *store, const struct pack_name *name, struct repo_id repo, uint64_t bytes,
                            unsigned percent, struct err *e)
{
	struct parity_order order = {
		.repo = repo, .name = *name, .pack_bytes = bytes, .percent = percent, .replace = true
	};
	uint64_t stored;

	return parity_make(store, &order, &stored, e);
}

struct heal {
	struct store *store;
	const struct keys *keys;
	const struct pack_added *what;
	struct pack_healing *out;
	struct parity *parity;
	struct parity_state state;
};

static unsigned percent_of(const struct parity_info *info)
{
	return info->percent >= 1 && info->percent <= PARITY_PERCENT_MAX ? info->percent : PARITY_PERCENT_MAX;
}

/* With keys, a good pack stays as it is, whatever the parity says, and is what the parity is made of. */
static enum err_code heal_with_keys(struct heal *h, struct err *e)
{
	struct parity_info info = parity_describe(h->parity);
	bool pack_bad = parity_state_pack_bad(&h->state), good;
	struct err why;
	enum err_code rc = judge_stored(h->store, h->keys, h->what, &why, e);

	good = !rc && !why.code;
	if (rc || (good && !pack_bad && !parity_state_parity_bad(&h->state)))
		return rc;
	if (!good) {
		rc = judge_mended(h->store, h->keys, h->what, e);
		if (!rc)
			rc = parity_put_back(h->parity, &h->state, h->out->kept, e);
		h->out->pack_mended = !rc;
	}
	if (!rc && (pack_bad != h->out->pack_mended || parity_state_parity_bad(&h->state))) {
		rc = remake(h->store, &h->what->name, keys_repo(h->keys), h->what->bytes, percent_of(&info), e);
		h->out->parity_mended = !rc;
	}
	return rc;
}

static enum err_code heal_without(struct heal *h, struct err *e)
{
	struct parity_info info = parity_describe(h->parity);
	enum err_code rc = ERR_OK;

	if (parity_state_pack_bad(&h->state)) {
		rc = parity_put_back(h->parity, &h->state, h->out->kept, e);
		h->out->pack_mended = !rc;
	}
	/* The pack has every sum now, so the very same parity comes out of it. */
	if (!rc && parity_state_parity_bad(&h->state)) {
		rc = remake(h->store, &h->what->name, info.repo, info.pack_bytes, percent_of(&info), e);
		h->out->parity_mended = !rc;
	}
	return rc;
}

enum err_code pack_heal(struct store *store, const struct keys *k, const struct pack_added *what,
                        struct pack_healing *out, struct err *e)
{
	struct heal h = { .store = store, .keys = k, .what = what, .out = out };
	enum err_code rc = parity_open(store, &what->name, &h.parity, e);

	*out = (struct pack_healing){ 0 };
	if (!rc)
		rc = parity_inspect(h.parity, &h.state, e);
	if (!rc) {
		out->cells_bad = h.state.cells_bad;
		out->parity_cells_bad = h.state.parity_cells_bad;
		rc = k ? heal_with_keys(&h, e) : heal_without(&h, e);
	}
	parity_state_release(&h.state);
	parity_free(&h.parity);
	return rc ? err_note(e, "while repairing %s", pack_path(&what->name).text) : ERR_OK;
}

/* *THERE: a parity object stands there; *FITS: it is good and for PERCENT. */
static enum err_code look(struct store *store, const struct pack_added *what, unsigned percent, bool *there, bool *fits,
                          struct err *e)
{
	struct parity *p = NULL;
	enum err_code rc = parity_open(store, &what->name, &p, e);

	*there = rc != ERR_NOT_FOUND;
	*fits = false;
	if (!rc) {
		struct parity_info info = parity_describe(p);

		*fits = info.copies_whole && info.percent == percent && info.pack_bytes == what->bytes;
	}
	parity_free(&p);
	/* One that cannot be used is replaced; one that a newer version made is left alone. */
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

enum err_code pack_protect(struct store *store, const struct keys *k, const struct pack_added *what, unsigned percent,
                           uint64_t *stored, struct err *e)
{
	struct parity_order order = {
		.repo = keys_repo(k), .name = what->name, .pack_bytes = what->bytes, .percent = percent
	};
	bool there, fits;
	struct err why;
	enum err_code rc = look(store, what, percent, &there, &fits, e);

	*stored = 0;
	if (rc || fits)
		return rc;
	rc = judge_stored(store, k, what, &why, e);
	if (!rc && why.code)
		rc = err_set(e, why.code, "%s is damaged, repair it first: %s", pack_path(&what->name).text, why.text);
	order.replace = there;
	return rc ? rc : parity_make(store, &order, stored, e);
}
