/* wire: packets of SFTP as bytes. Every length in an answer is met by what is left of the packet before it is used. */
#include "wire.h"

#define ATTR_SIZE     0x00000001
#define ATTR_UIDGID   0x00000002
#define ATTR_MODE     0x00000004
#define ATTR_TIMES    0x00000008
#define ATTR_EXTENDED 0x80000000

/* A cursor that cannot leave its span; dry, it gives zeros. */
struct be {
	struct span left;
	bool bad;
};

static struct span take(struct be *r, size_t n)
{
	struct span got = { r->left.ptr, n };

	if (r->bad || n > r->left.len) {
		r->bad = true;
		return SPAN_EMPTY;
	}
	r->left = span_skip(r->left, n);
	return got;
}

static uint64_t take_uint(struct be *r, size_t bytes)
{
	struct span got = take(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < got.len; i++)
		v = v << 8 | got.ptr[i];
	return v;
}

static struct span take_string(struct be *r)
{
	return take(r, (size_t)take_uint(r, 4));
}

static void take_attrs(struct be *r, struct sftp_attrs *out)
{
	uint32_t flags = (uint32_t)take_uint(r, 4);

	*out = (struct sftp_attrs){ .has_size = flags & ATTR_SIZE, .has_mode = flags & ATTR_MODE };
	if (flags & ATTR_SIZE)
		out->size = take_uint(r, 8);
	if (flags & ATTR_UIDGID)
		(void)take(r, 8);
	if (flags & ATTR_MODE)
		out->mode = (uint32_t)take_uint(r, 4);
	if (flags & ATTR_TIMES)
		(void)take(r, 8);
	if (flags & ATTR_EXTENDED)
		for (uint64_t n = take_uint(r, 4); n && !r->bad; n--) {
			(void)take_string(r);
			(void)take_string(r);
		}
}

enum err_code sftp_answer_parse(struct span packet, struct sftp_answer *out, struct err *e)
{
	struct be r = { packet, false };

	*out = (struct sftp_answer){ .type = (enum sftp_type)take_uint(&r, 1) };
	out->id = (uint32_t)take_uint(&r, 4);
	switch (out->type) {
	case SFTP_STATUS:
		out->status = (uint32_t)take_uint(&r, 4);
		/* Early servers leave the text out. */
		if (!r.bad && r.left.len)
			out->text = take_string(&r);
		break;
	case SFTP_HANDLE:
		out->bytes = take_string(&r);
		if (out->bytes.len > SFTP_HANDLE_MAX)
			return err_set(e, ERR_CORRUPT, "the server's handle is longer than %d bytes", SFTP_HANDLE_MAX);
		break;
	case SFTP_DATA:
		out->bytes = take_string(&r);
		break;
	case SFTP_NAME:
		out->count = (uint32_t)take_uint(&r, 4);
		out->bytes = r.left;
		break;
	case SFTP_ATTRS:
		take_attrs(&r, &out->attrs);
		break;
	case SFTP_EXTENDED_REPLY:
	case SFTP_VERSION_IS:
		out->bytes = r.left;
		break;
	default:
		return err_set(e, ERR_CORRUPT, "the server sent a packet of type %d, which is no answer",
		               (int)out->type);
	}
	return r.bad ? err_set(e, ERR_CORRUPT, "the server's answer of type %d ends too early", (int)out->type)
	             : ERR_OK;
}

enum err_code sftp_next_entry(struct span *entries, struct span *name, struct sftp_attrs *attrs, struct err *e)
{
	struct be r = { *entries, false };

	*name = take_string(&r);
	(void)take_string(&r); /* as ls -l would print it */
	take_attrs(&r, attrs);
	*entries = r.left;
	return r.bad ? err_set(e, ERR_CORRUPT, "the server's listing ends too early") : ERR_OK;
}

bool sftp_offers(struct span pairs, const char *extension, struct span *data)
{
	struct be r = { pairs, false };

	while (r.left.len && !r.bad) {
		struct span name = take_string(&r), value = take_string(&r);

		if (!r.bad && span_equal(name, span_of(extension, strlen(extension)))) {
			if (data)
				*data = value;
			return true;
		}
	}
	return false;
}

/* ---- requests ---- */

static void append(struct sftp_request *r, struct span s)
{
	if (!r->rc)
		r->rc = buf_append(r->out, s, r->e);
}

static void append_uint(struct sftp_request *r, uint64_t v, size_t bytes)
{
	uint8_t be[8];

	for (size_t i = 0; i < bytes; i++)
		be[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	append(r, span_of(be, bytes));
}

struct sftp_request sftp_begin(struct buf *out, enum sftp_type type, uint32_t id, struct err *e)
{
	struct sftp_request r = { out, out->len, e, ERR_OK };

	append_uint(&r, 0, 4);
	append_uint(&r, (uint64_t)type, 1);
	append_uint(&r, id, 4);
	return r;
}

void sftp_u32(struct sftp_request *r, uint32_t v)
{
	append_uint(r, v, 4);
}

void sftp_u64(struct sftp_request *r, uint64_t v)
{
	append_uint(r, v, 8);
}

void sftp_string(struct sftp_request *r, struct span s)
{
	append_uint(r, s.len, 4);
	append(r, s);
}

void sftp_mode(struct sftp_request *r, uint32_t mode)
{
	append_uint(r, mode ? ATTR_MODE : 0, 4);
	if (mode)
		append_uint(r, mode, 4);
}

enum err_code sftp_end(struct sftp_request *r)
{
	size_t len = r->out->len - r->start - 4;

	if (r->rc) {
		r->out->len = r->start;
		return r->rc;
	}
	for (size_t i = 0; i < 4; i++)
		r->out->ptr[r->start + i] = (uint8_t)(len >> (8 * (3 - i)));
	return ERR_OK;
}
