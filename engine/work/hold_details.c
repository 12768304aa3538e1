/* The sealed details of a hold, docs/format/ledger.md, section 4.4. */
#include "engine/work/hold.h"

enum hold_tag {
	HOLD_LABEL = 1,
	HOLD_WHO = 2,
	HOLD_UNTIL = 3,
	HOLD_ACCOUNT = 4,
	HOLD_FROM = 16,
	HOLD_TO = 17,
	HOLD_TITLE = 18,
	HOLD_MESSAGE_ID = 19,
	HOLD_FILE = 20,
	HOLD_PLACE = 21,
	HOLD_ANY = 22,
	HOLD_COLLECTION = 23,
	HOLD_KIND = 24,
	HOLD_AFTER = 25,
	HOLD_BEFORE = 26
};

struct text_field {
	uint32_t tag;
	size_t offset; /* in struct hold_details */
};

static const struct text_field texts[] = {
	{ HOLD_FROM, offsetof(struct hold_details, query.from) },
	{ HOLD_TO, offsetof(struct hold_details, query.to) },
	{ HOLD_TITLE, offsetof(struct hold_details, query.title) },
	{ HOLD_MESSAGE_ID, offsetof(struct hold_details, query.message_id) },
	{ HOLD_FILE, offsetof(struct hold_details, query.file) },
	{ HOLD_PLACE, offsetof(struct hold_details, query.place) },
	{ HOLD_ANY, offsetof(struct hold_details, query.any) },
	{ HOLD_COLLECTION, offsetof(struct hold_details, query.collection) },
};

static enum err_code add_text(struct buf *out, uint32_t tag, struct span text, struct err *e)
{
	return text.len ? fields_add(out, tag, text, e) : ERR_OK;
}

enum err_code hold_details_encode(const struct hold_details *d, struct buf *out, struct err *e)
{
	enum err_code rc = add_text(out, HOLD_LABEL, d->label, e);

	if (!rc)
		rc = add_text(out, HOLD_WHO, d->who, e);
	if (!rc && d->until_ms != INT64_MIN)
		rc = fields_add_u64(out, HOLD_UNTIL, (uint64_t)d->until_ms, 8, e);
	if (!rc)
		rc = add_text(out, HOLD_ACCOUNT, d->account, e);
	for (size_t i = 0; !rc && i < ARRAY_LEN(texts); i++)
		rc = add_text(out, texts[i].tag,
		              *(const struct span *)(const void *)((const char *)d + texts[i].offset), e);
	if (!rc && d->query.kind)
		rc = fields_add_u64(out, HOLD_KIND, (uint64_t)d->query.kind, 1, e);
	if (!rc && d->query.after_ms != INT64_MIN)
		rc = fields_add_u64(out, HOLD_AFTER, (uint64_t)d->query.after_ms, 8, e);
	if (!rc && d->query.before_ms != INT64_MAX)
		rc = fields_add_u64(out, HOLD_BEFORE, (uint64_t)d->query.before_ms, 8, e);
	return rc;
}

static size_t number_bytes(uint64_t v)
{
	size_t n = 1;

	while (v >>= 7)
		n++;
	return n;
}

/* Whether FIELDS has only tags that this version writes: no hold may be read as holding less than it says. */
static bool knows_all(struct span fields)
{
	struct span value;
	size_t bytes = 0;

	for (uint32_t tag = HOLD_LABEL; tag <= HOLD_BEFORE; tag++)
		if ((tag <= HOLD_ACCOUNT || tag >= HOLD_FROM) && fields_get(fields, tag, &value))
			bytes += number_bytes(tag) + number_bytes(value.len) + value.len;
	return bytes == fields.len;
}

enum err_code hold_details_decode(struct span fields, struct hold_details *out, struct err *e)
{
	struct hold_details d = { .until_ms = INT64_MIN, .query = { .after_ms = INT64_MIN, .before_ms = INT64_MAX } };
	uint64_t number;

	if (!fields_check(fields))
		return err_set(e, ERR_CORRUPT, "the details of a hold are damaged");
	if (!knows_all(fields))
		return err_set(e, ERR_UNSUPPORTED,
		               "a hold says more than this version understands; use the newer version of mailhold");
	(void)fields_get(fields, HOLD_LABEL, &d.label);
	(void)fields_get(fields, HOLD_WHO, &d.who);
	(void)fields_get(fields, HOLD_ACCOUNT, &d.account);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		(void)fields_get(fields, texts[i].tag, (struct span *)(void *)((char *)&d + texts[i].offset));
	if (fields_get_u64(fields, HOLD_UNTIL, &number))
		d.until_ms = (int64_t)number;
	if (fields_get_u64(fields, HOLD_KIND, &number))
		d.query.kind = (enum item_kind)number;
	if (fields_get_u64(fields, HOLD_AFTER, &number))
		d.query.after_ms = (int64_t)number;
	if (fields_get_u64(fields, HOLD_BEFORE, &number))
		d.query.before_ms = (int64_t)number;
	*out = d;
	return ERR_OK;
}

/* Associated data: what it is and whose. */
struct hold_ad {
	uint8_t bytes[15 + ID16_BYTES];
};

static struct hold_ad hold_ad(const struct hold_id *id)
{
	struct hold_ad ad;

	memcpy(ad.bytes, "mailhold hold 1", 15);
	memcpy(ad.bytes + 15, id->bytes, ID16_BYTES);
	return ad;
}

enum err_code hold_details_seal(const struct keys *k, const struct hold_id *id, const struct hold_details *d,
                                struct buf *out, struct err *e)
{
	struct hold_ad ad = hold_ad(id);
	struct buf plain = BUF_WITH_MAX(HOLD_SEALED_MAX);
	enum err_code rc = hold_details_encode(d, &plain, e);

	if (!rc)
		rc = box_seal(k, BOX_NAMES, keys_epoch(k), span_of(ad.bytes, sizeof ad.bytes), buf_span(&plain), out,
		              e);
	buf_wipe(&plain);
	return rc;
}

enum err_code hold_details_open(const struct keys *k, const struct hold_payload *p, struct buf *hold,
                                struct hold_details *out, struct err *e)
{
	struct hold_ad ad = hold_ad(&p->id);
	enum err_code rc;

	buf_clear(hold);
	rc = box_open(k, BOX_NAMES, p->epoch, span_of(ad.bytes, sizeof ad.bytes), p->sealed, hold, e);
	return rc ? rc : hold_details_decode(buf_span(hold), out, e);
}
