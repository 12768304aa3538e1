#include "engine/repo/holders.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define ID_PREFIX_DIGITS_MIN 4

enum role repo_role(const struct repo *r)
{
	return keys_role(r->keys);
}

enum err_code repo_need_names(const struct repo *r, const char *what, struct err *e)
{
	if (keys_read_names(r->keys))
		return ERR_OK;
	return err_set(e, ERR_DENIED,
	               "this key may not %s: it is a keeper's, which can list, check, forget, pin and count snapshots, "
	               "and read nothing in them",
	               what);
}

static enum err_code depositor_may_not(const char *what, const char *who, struct err *e)
{
	return err_set(
	        e, ERR_DENIED,
	        "this key may not %s: it is a depositor's, which adds snapshots, lists and checks them, and reads "
	        "no bodies; that takes %s",
	        what, who);
}

enum err_code repo_need_content(const struct repo *r, const char *what, struct err *e)
{
	enum err_code rc = repo_need_names(r, what, e);

	return rc || keys_read_content(r->keys) ? rc : depositor_may_not(what, "a full key", e);
}

enum err_code repo_need_keep(const struct repo *r, const char *what, struct err *e)
{
	return keys_role(r->keys) == ROLE_DEPOSIT ? depositor_may_not(what, "a full key or a keeper's", e) : ERR_OK;
}

enum err_code repo_need_full(const struct repo *r, const char *what, struct err *e)
{
	if (keys_role(r->keys) == ROLE_FULL)
		return ERR_OK;
	return err_set(e, ERR_DENIED, "this key may not %s: only a full one may", what);
}

/* The objects open what they open; this tells honestly that records of this holder would count for nobody. */
enum err_code holder_check(const struct repo *r, struct err *e)
{
	struct holder_id self = keys_holder(r->keys);
	const struct holder_payload *p = ledger_holder_find(r->ledger, &self);

	if (p && p->role == HOLDER_REMOVED)
		return err_set(e, ERR_WRONG_KEY, "this key was removed from the repository");
	if (!p && !ledger_in_doubt(r->ledger))
		return err_set(e, ERR_WRONG_KEY,
		               "this key was never announced (an interrupted mailhold key add); make it again with "
		               "another key");
	return ERR_OK;
}

/* ---- writing the objects ---- */

static enum err_code put_slot(struct store *s, const struct key_path *path, const struct keys *k,
                              const struct secret *secret, const struct slot_options *slot, struct err *e)
{
	struct buf bytes = BUF_EMPTY;
	enum err_code rc = slot_seal(k, secret, slot, &bytes, e);

	if (!rc)
		rc = store_put(s, path->text, buf_span(&bytes), e);
	buf_release(&bytes);
	return rc;
}

static enum err_code put_bundle(struct store *s, const struct keys *k, struct err *e)
{
	struct key_path path = key_path_of(keys_holder(k), KEY_BUNDLE);
	struct buf bytes = BUF_EMPTY;
	enum err_code rc = bundle_seal(k, &bytes, e);

	if (!rc)
		rc = store_put(s, path.text, buf_span(&bytes), e);
	buf_release(&bytes);
	return rc;
}

static enum err_code put_label(struct store *s, const struct keys *namer, struct holder_id holder, struct span text,
                               struct err *e)
{
	struct label label = { .holder = holder, .time_ms = clock_now_ms(), .len = text.len };
	struct key_path path = key_path_of(holder, KEY_LABEL);
	struct buf bytes = BUF_EMPTY;
	enum err_code rc;

	if (text.len > LABEL_TEXT_MAX)
		return err_set(e, ERR_USAGE, "a label has at most %d bytes, this one has %zu", LABEL_TEXT_MAX,
		               text.len);
	if (text.len)
		memcpy(label.text, text.ptr, text.len);
	rc = label_seal(namer, &label, &bytes, e);
	if (!rc)
		rc = store_put(s, path.text, buf_span(&bytes), e);
	buf_release(&bytes);
	return rc;
}

enum err_code holder_objects_put(struct store *s, const struct keys *namer, const struct keys *k,
                                 const struct secret *secret, const struct slot_options *slot, struct err *e)
{
	struct key_path path = key_path_of(keys_holder(k), KEY_SLOT);
	enum err_code rc = put_label(s, namer, keys_holder(k), slot->label, e);

	if (!rc)
		rc = put_bundle(s, k, e);
	if (!rc)
		rc = put_slot(s, &path, k, secret, slot, e);
	return rc ? err_note(e, "while writing the key objects") : ERR_OK;
}

/* What was stored opens, with the secret that its owner will come with, to the keys that were meant. */
static enum err_code prove(struct repo *r, const struct key_path *slot, const struct secret *secret,
                           const struct keys *meant, struct err *e)
{
	struct holder_id got_id, meant_id = keys_holder(meant);
	struct keys *got = NULL;
	enum err_code rc = unlock_slot(r->store, slot->text, secret, &got, e);

	if (rc)
		return rc;
	got_id = keys_holder(got);
	if (keys_role(got) != keys_role(meant) || memcmp(&got_id, &meant_id, sizeof got_id) != 0)
		rc = err_set(e, ERR_CORRUPT, "the key that was stored opens to another one");
	keys_free(&got);
	return rc;
}

/* ---- listing ---- */

struct key_row {
	struct key_info info;
	struct label label;
	bool announced, bundle;
};
struct key_rows {
	struct repo *repo;
	struct key_row *rows;
	size_t count;
	size_t unnamed; /* rows whose label cannot be read */
	struct err why; /* the first of them */
};

static enum err_code row_of(struct key_rows *l, const struct holder_id *id, struct key_row **out, struct err *e)
{
	struct key_row *grown;

	for (size_t i = 0; i < l->count; i++)
		if (!memcmp(&l->rows[i].info.id, id, sizeof *id)) {
			*out = &l->rows[i];
			return ERR_OK;
		}
	grown = mem_grow(l->rows, (l->count + 1) * sizeof *grown);
	if (!grown)
		return err_no_memory(e, (l->count + 1) * sizeof *grown);
	l->rows = grown;
	*out = &grown[l->count++];
	**out = (struct key_row){ .info = { .id = *id, .added_ms = INT64_MIN } };
	text_hex(span_of(id->bytes, ID16_BYTES), (*out)->info.id_hex);
	return ERR_OK;
}

static enum err_code see_object(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct key_rows *l = ctx;
	struct buf slot = BUF_EMPTY;
	struct err why = { 0 };
	struct slot_info info;
	struct holder_id id;
	struct key_row *row;
	enum key_object what = key_path_parse(name, &id);
	enum err_code rc;

	(void)bytes;
	/* A label alone is what is left of a removed holder, whom the ledger knows. */
	if (what == KEY_OTHER || what == KEY_LABEL)
		return ERR_OK;
	rc = row_of(l, &id, &row, e);
	if (rc)
		return rc;
	row->bundle |= what == KEY_BUNDLE;
	if (what == KEY_BUNDLE)
		return ERR_OK;
	row->info.slots++;
	rc = store_get(l->repo->store, name, SLOT_BYTES, &slot, &why);
	if (!rc)
		rc = slot_inspect(buf_span(&slot), &info, &why);
	if (!rc)
		row->info.kind = info.kind;
	else
		repo_notice(l->repo, ENGINE_WARNING, "%s: %s", name, why.text);
	buf_release(&slot);
	if (rc == ERR_NO_MEMORY)
		*e = why;
	return rc == ERR_NO_MEMORY ? rc : ERR_OK; /* one that cannot be read is listed no less */
}

/* A label that is missing or damaged costs a name, not the list. UNREAD: why there is none, or no code. */
static enum err_code read_label(struct repo *r, struct key_row *row, struct err *unread, struct err *e)
{
	struct key_path path = key_path_of(row->info.id, KEY_LABEL);
	struct buf bytes = BUF_EMPTY;
	struct err why = { 0 };

	*unread = why;
	if (keys_read_names(r->keys) && !store_get(r->store, path.text, LABEL_BYTES, &bytes, &why) &&
	    !label_open(r->keys, &row->info.id, buf_span(&bytes), &row->label, &why))
		row->info.added_ms = row->label.time_ms;
	if (why.code == ERR_NO_MEMORY) {
		*e = why;
	} else if (why.code && why.code != ERR_NOT_FOUND) {
		*unread = why;
		repo_notice(r, ENGINE_WARNING, "%s: %s", path.text, why.text);
	}
	buf_release(&bytes);
	return why.code == ERR_NO_MEMORY ? why.code : ERR_OK;
}

static enum key_state row_state(const struct key_row *row)
{
	if (!row->announced)
		return KEY_UNFINISHED;
	if (!row->info.role)
		return KEY_REMOVED;
	return row->info.slots && row->bundle ? KEY_VALID : KEY_GONE;
}

static enum err_code gather(struct repo *r, struct key_rows *out, struct err *e)
{
	struct holder_id self = keys_holder(r->keys);
	enum err_code rc = ledger_refresh(r->ledger, e);

	*out = (struct key_rows){ .repo = r };
	for (size_t i = 0; !rc && i < ledger_holder_count(r->ledger); i++) {
		const struct holder_payload *p = ledger_holder(r->ledger, i);
		struct key_row *row;

		rc = row_of(out, &p->holder, &row, e);
		if (!rc) {
			row->announced = true;
			row->info.accounts = p->account_count;
			row->info.account_ids = p->accounts;
			row->info.role = (unsigned)p->role; /* the same numbers; 0 is removed */
		}
	}
	if (!rc)
		rc = store_list(r->store, "key", see_object, out, e);
	for (size_t i = 0; !rc && i < out->count; i++) {
		struct key_row *row = &out->rows[i];
		struct err unread;

		rc = read_label(r, row, &unread, e);
		if (unread.code && !out->unnamed++)
			out->why = unread;
		row->info.label = span_of(row->label.text, row->label.len);
		row->info.state = row_state(row);
		row->info.self = !memcmp(&row->info.id, &self, sizeof self);
	}
	if (rc) {
		mem_free(out->rows);
		*out = (struct key_rows){ 0 };
	}
	return rc;
}

enum err_code repo_keys(struct repo *r, key_visit visit, void *ctx, struct err *e)
{
	struct key_rows l;
	enum err_code rc = gather(r, &l, e);

	for (size_t i = 0; !rc && i < l.count; i++)
		rc = visit(ctx, &l.rows[i].info, e);
	mem_free(l.rows);
	return rc;
}

static bool is_prefix(const char *text, const char *hex)
{
	size_t len = strlen(text);

	return len >= ID_PREFIX_DIGITS_MIN && len <= 2 * ID16_BYTES &&
	       text_equal_nocase(span_of(hex, len), span_of(text, len));
}

enum err_code repo_key_find(struct repo *r, const char *text, struct holder_id *out, struct err *e)
{
	struct key_rows l;
	size_t labels = 0, ids = 0, by_label = 0, by_id = 0;
	bool finished = false;
	enum err_code rc = gather(r, &l, e);

	for (size_t i = 0; !rc && i < l.count; i++) {
		const struct key_info *k = &l.rows[i].info;

		if (k->state == KEY_REMOVED && !k->slots && !l.rows[i].bundle)
			continue;
		/* What an interrupted add left is meant only when nothing else has that label. */
		if (k->label.len && span_equal(k->label, span_cstr(text)) &&
		    (k->state != KEY_UNFINISHED || !finished)) {
			labels = k->state != KEY_UNFINISHED && !finished ? 1 : labels + 1;
			finished |= k->state != KEY_UNFINISHED;
			by_label = i;
		}
		if (is_prefix(text, k->id_hex)) {
			by_id = i;
			ids++;
		}
	}
	/* A label may look like digits: whoever gave it means the label. */
	if (!rc && labels + (labels ? 0 : ids) == 0 && l.unnamed)
		rc = err_set(
		        e, l.why.code,
		        "no key that can be read is called '%s', and the labels of %zu cannot (digits of an id will "
		        "do): %.400s",
		        text_name(span_cstr(text)).text, l.unnamed, l.why.text);
	else if (!rc && labels + (labels ? 0 : ids) == 0)
		rc = err_set(e, ERR_NOT_FOUND, "there is no key '%s' (a label, or at least %d digits of an id)",
		             text_name(span_cstr(text)).text, ID_PREFIX_DIGITS_MIN);
	else if (!rc && (labels > 1 || (!labels && ids > 1)))
		rc = err_set(e, ERR_USAGE, "several keys are called '%s'; write digits of the id",
		             text_name(span_cstr(text)).text);
	if (!rc)
		*out = l.rows[labels ? by_label : by_id].info.id;
	mem_free(l.rows);
	return rc;
}

/* ---- adding ---- */

static enum err_code label_is_free(struct repo *r, struct span label, struct err *e)
{
	struct key_rows l;
	enum err_code rc;

	if (!label.len)
		return ERR_OK;
	rc = gather(r, &l, e);
	for (size_t i = 0; !rc && i < l.count; i++)
		/* What an interrupted add left must not stand in the way of the same add. */
		if (l.rows[i].info.state != KEY_REMOVED && l.rows[i].info.state != KEY_UNFINISHED &&
		    span_equal(l.rows[i].info.label, label))
			rc = err_set(e, ERR_EXISTS, "there is a key '%s' already", text_name(label).text);
	mem_free(l.rows);
	return rc;
}

static enum err_code delete_objects(struct repo *r, const struct holder_id *id, const char *keep, bool slots_only,
                                    struct err *e);

static enum err_code secret_is_taken(enum slot_kind kind, struct err *e)
{
	return err_set(e, ERR_EXISTS, "this %s opens the repository already; choose another one",
	               kind == SLOT_PASSWORD ? "password" : "key file");
}

/*
 * Whom SECRET lets in, by which slot; FOUND false: nobody. A damaged slot lets nobody in; one that cannot be read for now
 * may, and so may one that SECRET opens and whose bundle is damaged. Without a bundle it is what was left of a key.
 */
static enum err_code who_opens(struct repo *r, const struct secret *secret, enum slot_kind kind, bool *found,
                               struct holder_id *out, struct key_path *slot, struct err *e)
{
	struct keys *known = NULL;
	bool opened;
	enum err_code rc = unlock_any(r->store, secret, kind, &known, slot, &opened, e);

	*found = rc == ERR_OK;
	if (rc == ERR_WRONG_KEY || rc == ERR_NOT_FOUND)
		return ERR_OK;
	if (rc == ERR_CORRUPT && !opened) {
		repo_notice(r, ENGINE_WARNING, "%s", e->text);
		return ERR_OK;
	}
	if (rc)
		return err_note(e, "while looking whether this %s opens the repository already; nothing was changed",
		                kind == SLOT_PASSWORD ? "password" : "key file");
	*out = keys_holder(known);
	keys_free(&known);
	return ERR_OK;
}

/*
 * Two slots with one password: nobody could say which of the two holders somebody is. What an add left behind that never
 * knew whether it had been announced opens nothing, and goes, so that the same add can be done again.
 */
static enum err_code secret_is_new(struct repo *r, const struct secret *secret, enum slot_kind kind, struct err *e)
{
	struct key_path slot;
	struct holder_id id;
	bool found;
	enum err_code rc = who_opens(r, secret, kind, &found, &id, &slot, e);

	if (rc || !found)
		return rc;
	rc = ledger_refresh(r->ledger, e);
	if (rc)
		return rc;
	if (ledger_in_doubt(r->ledger) || ledger_holder_find(r->ledger, &id))
		return secret_is_taken(kind, e);
	return delete_objects(r, &id, NULL, false, e);
}

/* What a new key is to be. */
struct key_wanted {
	enum role role;
	struct account_id *accounts; /* of a depositor; none: all */
	size_t account_count;
};

static enum err_code announce(struct repo *r, const struct keys *k, const struct key_wanted *want, struct err *e)
{
	/* The roles have the same numbers in bundles and records. */
	struct holder_payload p = { .holder = keys_holder(k),
		                    .role = (enum holder_role)keys_role(k),
		                    .accounts = want->accounts,
		                    .account_count = want->account_count };

	memcpy(p.public_key, keys_sign_public(k), sizeof p.public_key);
	p.has_box = true;
	memcpy(p.box_public, keys_box_public(k), sizeof p.box_public);
	return ledger_put_holder(r->ledger, &p, e);
}

/* The first holder is announced by record 0, which has no place for it: once there are others, keys may be rotated. */
static enum err_code announce_own_box(struct repo *r, struct err *e)
{
	struct holder_id self = keys_holder(r->keys);
	const struct holder_payload *now;
	enum err_code rc = ledger_refresh(r->ledger, e);

	if (rc)
		return rc;
	now = ledger_holder_find(r->ledger, &self);
	return !now || now->has_box ? ERR_OK : announce(r, r->keys, &(struct key_wanted){ .role = ROLE_FULL }, e);
}

static enum err_code add_key(struct repo *r, const struct key_wanted *want, const struct secret *secret,
                             const struct slot_options *slot, struct holder_id *out, struct err *e)
{
	struct keys *k = NULL;
	struct holder_id id;
	struct key_path path;
	enum err_code rc = repo_need_full(r, "add keys", e);

	if (!rc)
		rc = label_is_free(r, slot->label, e);
	if (!rc)
		rc = secret_is_new(r, secret, slot->kind, e);
	if (!rc)
		rc = want->account_count ? keys_new_depositor(r->keys, want->accounts, want->account_count, &k, e)
		                         : keys_new_holder(r->keys, want->role, &k, e);
	if (rc)
		return rc;
	id = keys_holder(k);
	path = key_path_of(id, KEY_SLOT);
	rc = holder_objects_put(r->store, r->keys, k, secret, slot, e);
	if (!rc)
		rc = prove(r, &path, secret, k, e);
	if (!rc)
		rc = announce_own_box(r, e);
	if (!rc)
		rc = announce(r, k, want, e);
	/* Unless it may have been announced, nothing of it stays; what cannot be deleted is told by repo_keys. */
	if (rc && rc != ERR_OUTCOME_UNKNOWN)
		(void)!delete_objects(r, &id, NULL, false, &(struct err){ 0 });
	if (!rc)
		*out = id;
	keys_free(&k);
	return rc;
}

enum err_code repo_key_add(struct repo *r, enum role role, const struct secret *secret, const struct slot_options *slot,
                           struct holder_id *out, struct err *e)
{
	return add_key(r, &(struct key_wanted){ .role = role }, secret, slot, out, e);
}

enum err_code repo_key_add_deposit(struct repo *r, const char *const *accounts, size_t account_count,
                                   const struct secret *secret, const struct slot_options *slot, struct holder_id *out,
                                   struct err *e)
{
	struct key_wanted want = { .role = ROLE_DEPOSIT, .account_count = account_count };
	enum err_code rc = repo_need_full(r, "add keys", e);

	/* None would mean all: too much to give by mistake. */
	if (!rc && !account_count)
		rc = err_set(e, ERR_USAGE, "name the accounts that the key is for");
	if (rc)
		return rc;
	want.accounts = mem_zalloc(account_count, sizeof *want.accounts);
	if (!want.accounts)
		return err_no_memory(e, account_count * sizeof *want.accounts);
	for (size_t i = 0; i < account_count; i++)
		want.accounts[i] = keys_account(r->keys, span_cstr(accounts[i]));
	rc = add_key(r, &want, secret, slot, out, e);
	mem_free(want.accounts);
	return rc;
}

/* ---- taking away ---- */

struct deletion {
	struct repo *repo;
	const struct holder_id *id;
	const char *keep; /* or NULL */
	bool slots_only;
};

static enum err_code delete_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	const struct deletion *d = ctx;
	struct holder_id id;
	enum key_object what = key_path_parse(name, &id);

	(void)bytes;
	if (what == KEY_OTHER || memcmp(&id, d->id, sizeof id) != 0 || (d->keep && !strcmp(name, d->keep)) ||
	    (d->slots_only && what != KEY_SLOT && what != KEY_SLOT_LATER))
		return ERR_OK;
	/* The label stays, so that the list of keys can tell who was removed. */
	if (what == KEY_LABEL && ledger_holder_find(d->repo->ledger, &id))
		return ERR_OK;
	return store_delete(d->repo->store, name, e);
}

static enum err_code delete_objects(struct repo *r, const struct holder_id *id, const char *keep, bool slots_only,
                                    struct err *e)
{
	struct deletion d = { r, id, keep, slots_only };

	return store_list(r->store, "key", delete_one, &d, e);
}

/* The ledger's own rule counts holders; this one counts those who can still come in. */
static enum err_code others_remain(struct repo *r, const struct holder_id *id, bool *announced, struct err *e)
{
	struct key_rows l;
	size_t others = 0;
	bool is_full = false;
	enum err_code rc = gather(r, &l, e);

	*announced = false;
	for (size_t i = 0; !rc && i < l.count; i++) {
		const struct key_info *k = &l.rows[i].info;

		if (!memcmp(&k->id, id, sizeof *id)) {
			*announced = k->state == KEY_VALID || k->state == KEY_GONE;
			is_full = k->role == ROLE_FULL;
		} else if (k->state == KEY_VALID && k->role == ROLE_FULL) {
			others++;
		}
	}
	mem_free(l.rows);
	if (!rc && is_full && !others)
		return err_set(e, ERR_STATE,
		               "this is the only full key that opens the repository; add another one first");
	return rc;
}

enum err_code repo_key_remove(struct repo *r, const struct holder_id *id, struct err *e)
{
	struct holder_payload p = { .holder = *id, .role = HOLDER_REMOVED };
	const struct holder_payload *now;
	bool announced = false;
	enum err_code rc = repo_need_full(r, "remove keys", e);

	if (!rc)
		rc = others_remain(r, id, &announced, e);
	if (!rc && !announced && ledger_in_doubt(r->ledger))
		rc = err_set(e, ERR_CORRUPT, "a ledger record cannot be read, which may say that this key is good");
	if (!rc && announced) {
		now = ledger_holder_find(r->ledger, id);
		memcpy(p.public_key, now->public_key, sizeof p.public_key);
		rc = ledger_put_holder(r->ledger, &p, e);
	}
	if (rc)
		return rc;
	rc = delete_objects(r, id, NULL, false, e);
	return rc ? err_note(e, "the key is removed, but its objects are still there; remove it again") : ERR_OK;
}

enum err_code repo_key_may_rotate(struct repo *r, const struct holder_id *without, struct err *e)
{
	struct holder_id self = keys_holder(r->keys);
	char hex[2 * ID16_BYTES + 1];
	enum err_code rc = repo_need_full(r, "rotate keys", e);

	if (!rc)
		rc = ledger_refresh(r->ledger, e);
	for (size_t i = 0; !rc && i < ledger_holder_count(r->ledger); i++) {
		const struct holder_payload *p = ledger_holder(r->ledger, i);

		if (p->role == HOLDER_REMOVED || p->has_box || !memcmp(&p->holder, &self, sizeof self) ||
		    (without && !memcmp(&p->holder, without, sizeof *without)))
			continue;
		text_hex(span_of(p->holder.bytes, ID16_BYTES), hex);
		rc = err_set(
		        e, ERR_STATE,
		        "key %.8s was made before keys could be rotated and would be left out; remove it, and add a "
		        "new one for whoever has it",
		        hex);
	}
	return rc;
}

enum err_code repo_key_rotate(struct repo *r, uint32_t *epoch, struct err *e)
{
	struct keys *next = NULL;
	enum err_code rc = repo_key_may_rotate(r, NULL, e);

	if (!rc)
		rc = announce_own_box(r, e);
	if (!rc)
		rc = keys_next_epoch(r->keys, &next, e);
	if (!rc)
		rc = ledger_rotate(r->ledger, next, e);
	if (!rc)
		*epoch = keys_epoch(next);
	keys_free(&next);
	return rc;
}

/* Puts the new slot of this holder, as PATH. */
static enum err_code put_later(struct repo *r, const struct key_path *path, const struct secret *secret,
                               enum slot_kind kind, struct err *e)
{
	struct key_row row = { .info = { .id = keys_holder(r->keys) } };
	struct slot_options slot = { .kind = kind };
	struct err unread;
	enum err_code rc = read_label(r, &row, &unread, e);

	if (rc)
		return rc;
	slot.label = span_of(row.label.text, row.label.len);
	rc = put_slot(r->store, path, r->keys, secret, &slot, e);
	if (!rc)
		rc = prove(r, path, secret, r->keys, e);
	if (rc) {
		/* The old one is the only one again. */
		(void)!store_delete(r->store, path->text, &(struct err){ 0 });
		return err_note(e, "nothing was changed");
	}
	return ERR_OK;
}

enum err_code repo_key_change(struct repo *r, const struct secret *secret, enum slot_kind kind, struct err *e)
{
	struct holder_id self = keys_holder(r->keys), id;
	struct key_path path = key_path_of(self, KEY_SLOT_LATER), known;
	struct err why;
	bool found;
	enum err_code rc = who_opens(r, secret, kind, &found, &id, &known, e);

	if (rc)
		return rc;
	/* A change that was cut short after the new slot is ended, not refused. */
	if (!found) {
		rc = put_later(r, &path, secret, kind, e);
	} else if (!memcmp(&id, &self, sizeof id) && strcmp(known.text, r->slot.text) != 0) {
		path = known;
		rc = store_sync(r->store, path.text, e); /* what is seen need not be durable */
	} else {
		rc = secret_is_taken(kind, e);
	}
	if (rc)
		return rc;
	/* Rule 9: only now may the old one go. */
	r->slot = path;
	if (delete_objects(r, &self, path.text, true, &why))
		return err_set(e, ERR_OUTCOME_UNKNOWN,
		               "the new one opens the repository, but so may the old one: %.400s", why.text);
	return ERR_OK;
}
