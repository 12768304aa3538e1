/* unlock: from a password or key file to the keys of its holder. */
#include "engine/repo/holders.h"

#include <stdio.h>

#include "base/text.h"

#define HOLDER_DIGITS (2 * ID16_BYTES)
#define LATER_DIGITS  8

/* ---- names under key/ ---- */

enum key_object key_path_parse(const char *name, struct holder_id *out)
{
	uint8_t digits[LATER_DIGITS / 2];
	const char *at = strrchr(name, '/');
	size_t len;

	at = at ? at + 1 : name;
	len = strlen(at);
	if (len < HOLDER_DIGITS || !text_unhex(span_of(at, HOLDER_DIGITS), out->bytes, ID16_BYTES))
		return KEY_OTHER;
	at += HOLDER_DIGITS;
	if (!*at)
		return KEY_SLOT;
	if (!strcmp(at, ".bundle"))
		return KEY_BUNDLE;
	if (!strcmp(at, ".label"))
		return KEY_LABEL;
	if (*at == '.' && text_unhex(span_cstr(at + 1), digits, sizeof digits))
		return KEY_SLOT_LATER;
	return KEY_OTHER;
}

struct key_path key_path_of(struct holder_id holder, enum key_object what)
{
	char hex[HOLDER_DIGITS + 1], later[LATER_DIGITS + 1] = "";
	uint8_t digits[LATER_DIGITS / 2];
	struct key_path path;

	text_hex(span_of(holder.bytes, ID16_BYTES), hex);
	if (what == KEY_SLOT_LATER) {
		crypto_random(digits, sizeof digits);
		text_hex(span_of(digits, sizeof digits), later);
	}
	snprintf(path.text, sizeof path.text, "key/%s%s%s", hex,
	         what == KEY_BUNDLE  ? ".bundle"
	         : what == KEY_LABEL ? ".label"
	         : *later            ? "."
	                             : "",
	         later);
	return path;
}

/* ---- one slot ---- */

static enum err_code open_bundle(struct store *s, const struct slot_info *info, const struct holder_secret *h,
                                 struct keys **out, struct err *e)
{
	struct key_path path = key_path_of(info->holder, KEY_BUNDLE);
	struct buf bundle = BUF_EMPTY;
	enum err_code rc = store_get(s, path.text, BUNDLE_BYTES_MAX, &bundle, e);

	if (!rc)
		rc = bundle_open(buf_span(&bundle), h, out, e);
	if (rc)
		err_note(e, "while opening %s", path.text);
	buf_release(&bundle);
	return rc;
}

/* KIND 0: any. *IS_KIND tells whether the slot was tried, *OPENED whether SECRET opens it, whatever its bundle is. */
static enum err_code open_slot(struct store *s, const char *name, const struct secret *secret, unsigned kind,
                               bool *is_kind, bool *opened, struct keys **out, struct err *e)
{
	struct holder_secret *h = NULL;
	struct buf slot = BUF_EMPTY;
	struct holder_id named;
	struct slot_info info;
	enum err_code rc = store_get(s, name, SLOT_BYTES, &slot, e);

	*is_kind = true;
	*opened = false;
	if (!rc)
		rc = slot_inspect(buf_span(&slot), &info, e);
	if (!rc && kind && info.kind != kind) {
		*is_kind = false;
		goto done;
	}
	if (!rc)
		rc = slot_open(buf_span(&slot), secret, &h, e);
	*opened = h != NULL;
	if (!rc && (key_path_parse(name, &named) == KEY_OTHER || memcmp(&named, &info.holder, sizeof named) != 0))
		rc = err_set(e, ERR_CORRUPT, "this is the slot of another holder");
	if (!rc)
		rc = open_bundle(s, &info, h, out, e);
done:
	holder_secret_free(&h);
	buf_release(&slot);
	return rc;
}

enum err_code unlock_slot(struct store *s, const char *name, const struct secret *secret, struct keys **out,
                          struct err *e)
{
	bool is_kind, opened;
	enum err_code rc = open_slot(s, name, secret, 0, &is_kind, &opened, out, e);

	return rc ? err_note(e, "in slot %s", name) : ERR_OK;
}

/* ---- all of them ---- */

/* Every slot of the wanted kind is tried: a repository may have several holders. */
struct unlock {
	struct store *store;
	const struct secret *secret;
	enum slot_kind kind;
	struct keys *keys;
	struct key_path path;
	size_t slots;
	bool other_kind;
	bool opened;    /* one that is of no use: its bundle cannot be had */
	struct err why; /* the last thing that went wrong with a slot */
};

static enum err_code try_slot(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct unlock *u = ctx;
	struct holder_id holder;
	enum key_object what = key_path_parse(name, &holder);
	bool is_kind, opened;
	enum err_code rc;

	(void)bytes;
	if (u->keys || (what != KEY_SLOT && what != KEY_SLOT_LATER))
		return ERR_OK;
	u->slots++;
	rc = open_slot(u->store, name, u->secret, u->kind, &is_kind, &opened, &u->keys, e);
	u->other_kind |= !is_kind;
	u->opened |= rc && opened;
	if (!rc) {
		if (is_kind)
			snprintf(u->path.text, sizeof u->path.text, "%.79s", name);
		return ERR_OK;
	}
	/* One damaged or foreign slot must not keep out a holder whose own slot is fine. */
	if (rc != ERR_WRONG_KEY || u->why.code == ERR_OK) {
		u->why = *e;
		if (rc != ERR_WRONG_KEY)
			err_note(&u->why, "in slot %s", name);
	}
	return rc == ERR_NO_MEMORY ? rc : ERR_OK;
}

enum err_code unlock_any(struct store *s, const struct secret *secret, enum slot_kind kind, struct keys **out,
                         struct key_path *slot, bool *opened, struct err *e)
{
	struct unlock u = { .store = s, .secret = secret, .kind = kind };
	uint64_t bytes;
	enum err_code rc = store_list(s, "key", try_slot, &u, e);

	*opened = u.opened;
	if (rc == ERR_NOT_FOUND)
		rc = ERR_OK;
	if (rc) {
		keys_free(&u.keys);
		return rc;
	}
	if (u.keys) {
		*out = u.keys;
		*slot = u.path;
		return ERR_OK;
	}
	if (u.slots == 0) {
		if (store_size(s, "ledger/0000000000000000", &bytes, e) == ERR_OK)
			return err_set(e, ERR_CORRUPT,
			               "%s has a ledger but no key slots; put the objects under key/ back from a copy",
			               store_url(s));
		return err_set(e, ERR_NO_REPOSITORY, "there is no repository at %s", store_url(s));
	}
	if (u.why.code == ERR_OK && u.other_kind)
		return err_set(e, ERR_WRONG_KEY, "the repository has no %s slot",
		               kind == SLOT_PASSWORD ? "password" : "key file");
	*e = u.why;
	return e->code;
}
