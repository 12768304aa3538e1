/*
 * A mail goes through stages: it is compared with what looks like it in the folder, or put; sent under a tag; settled. One batch
 * fills while another is on its way. When all goes well nobody waits for the answer to a batch before the next one is sent.
 * As soon as something does not, both batches are brought to their end one command at a time (deliver).
 */
#include "outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define STAGING_BYTES     (64 * KIB)
#define LITERAL_MINUS_MAX 4096 /* RFC 7888, 5 */
#define GRACE_MS          3000
#define GRACE_LOOK_MS     500

enum stage {
	STAGE_LOOK = 1, /* what it may be in the folder is to be found */
	STAGE_COMPARE,  /* with its candidate */
	STAGE_STORE,    /* it is its candidate, which gets its flags */
	STAGE_PUT,      /* to be sent */
	STAGE_SENT,     /* under its tag */
	STAGE_SETTLED
};

struct mail {
	uint64_t ticket;
	struct mail_print print;
	int64_t date_s;
	size_t flags, flags_bytes, key, key_bytes, note; /* in texts */
	size_t body, body_bytes;                         /* in bodies */
	const struct item_body *stream;
	bool converts, has_nul;
	int16_t zone_minutes;
	unsigned changes;
	struct there_one *candidate; /* while it is compared or stored */
	enum stage stage;
	unsigned tag;
	uint32_t number; /* in the journal, once NOTED */
	bool noted;
};

struct batch {
	struct buf bodies, texts;
	struct mail mails[OUTBOX_BATCH_ITEMS];
	size_t count;
	uint32_t uid_next;  /* what was sent for this batch has at least this UID */
	struct err refusal; /* of what was refused last */
};

struct outbox {
	struct outbox_options o;
	struct outbox_folder *folder;
	struct batch *batches; /* two */
	unsigned filling;
	bool flying; /* the other one was sent */
	struct buf staging;
	struct err failure; /* set: nothing more goes */
};

static struct imap_client *client(const struct outbox *o)
{
	return o->o.line->client;
}

static struct span text_of(const struct batch *b, size_t at, size_t bytes)
{
	return bytes ? span_of(b->texts.ptr + at, bytes) : SPAN_EMPTY;
}

static bool has_stage(const struct batch *b, enum stage stage)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->mails[i].stage == stage)
			return true;
	return false;
}

static void empty(struct batch *b)
{
	buf_clear(&b->bodies);
	buf_clear(&b->texts);
	b->count = 0;
}

void outbox_folder_release(struct outbox_folder *f)
{
	buf_release(&f->raw);
	buf_release(&f->permanent);
	buf_release(&f->placed);
	buf_release(&f->texts);
	there_release(&f->there);
}

enum err_code outbox_open(const struct outbox_options *options, struct outbox **out, struct err *e)
{
	struct outbox *o = mem_zalloc(1, sizeof *o);

	if (!o)
		return err_no_memory(e, sizeof *o);
	o->o = *options;
	o->batches = mem_zalloc(2, sizeof *o->batches);
	if (!o->batches) {
		mem_free(o);
		return err_no_memory(e, 2 * sizeof *o->batches);
	}
	*out = o;
	return ERR_OK;
}

void outbox_free(struct outbox **o)
{
	if (!*o)
		return;
	for (size_t i = 0; i < 2; i++) {
		buf_release(&(*o)->batches[i].bodies);
		buf_release(&(*o)->batches[i].texts);
	}
	buf_release(&(*o)->staging);
	mem_free((*o)->batches);
	mem_free(*o);
	*o = NULL;
}

/* ---- what is settled ---- */

static enum err_code keep_text(struct outbox_folder *f, struct span text, uint32_t *at, uint32_t *bytes, struct err *e)
{
	if (f->texts.len + text.len > UINT32_MAX)
		return err_set(e, ERR_LIMIT, "too many messages for one folder");
	*at = (uint32_t)f->texts.len;
	*bytes = (uint32_t)text.len;
	return buf_append(&f->texts, text, e);
}

/* Remembers M, so that it can be read back. */
static enum err_code add_placed(struct outbox *o, const struct batch *b, const struct mail *m, uint32_t uid,
                                bool was_there, struct err *e)
{
	struct outbox_folder *f = o->folder;
	struct placed p = { .uid = uid,
		            .was_there = was_there,
		            .noted = m->noted,
		            .number = m->number,
		            .date_s = m->date_s,
		            .print = m->print };
	struct span flags = text_of(b, m->flags, m->flags_bytes);
	struct placed *last = placed_count(f) ? placed_at(f, placed_count(f) - 1) : NULL;
	enum err_code rc = ERR_OK;

	if (last && last->flags_bytes == flags.len &&
	    (!flags.len || !memcmp(f->texts.ptr + last->flags, flags.ptr, flags.len))) {
		p.flags = last->flags;
		p.flags_bytes = last->flags_bytes;
	} else {
		rc = keep_text(f, flags, &p.flags, &p.flags_bytes, e);
	}
	if (!rc)
		rc = keep_text(f, text_of(b, m->key, m->key_bytes), &p.key, &p.key_bytes, e);
	return rc ? rc : buf_append(&f->placed, span_of(&p, sizeof p), e);
}

static void tell(struct outbox *o, const struct batch *b, struct mail *m, enum sink_verdict verdict,
                 const struct err *failed)
{
	struct item_outcome out = { .ticket = m->ticket,
		                    .verdict = verdict,
		                    .changes = m->changes,
		                    .note = (const char *)b->texts.ptr + m->note,
		                    .failed = failed };

	m->stage = STAGE_SETTLED;
	if (o->o.sink->settled)
		o->o.sink->settled(o->o.sink->settled_ctx, &out);
}

static enum err_code settle_put(struct outbox *o, const struct batch *b, struct mail *m, uint32_t uid, struct err *e)
{
	enum err_code rc = add_placed(o, b, m, uid, false, e);

	if (!rc && m->noted)
		rc = journal_put(o->o.journal, m->number, uid, e);
	if (uid && uid >= o->folder->uid_next && uid < UINT32_MAX)
		o->folder->uid_next = uid + 1;
	tell(o, b, m, SINK_PUT, NULL);
	sink_line_progress(o->o.line);
	return rc;
}

static enum err_code settle_present(struct outbox *o, const struct batch *b, struct mail *m, struct err *e)
{
	struct there_one *one = m->candidate;
	enum err_code rc = add_placed(o, b, m, one->uid, true, e);

	one->state = THERE_TAKEN;
	m->candidate = NULL;
	if (!(m->changes & SINK_FLAGS_SET))
		m->changes = 0; /* nothing was sent */
	tell(o, b, m, SINK_PRESENT, NULL);
	sink_line_progress(o->o.line);
	return rc;
}

static enum err_code recover(struct outbox *o, struct err *e);

/* ---- what is there already ---- */

/* The content of what may be the same is equal, or it is taken for this one because its journal says so. */
static enum err_code found(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	struct span flags = text_of(b, m->flags, m->flags_bytes);

	if (o->o.flags_only && !span_equal(flags, there_flags(&o->folder->there, m->candidate))) {
		m->candidate->state = THERE_TAKEN;
		m->stage = STAGE_STORE;
		return ERR_OK;
	}
	return settle_present(o, b, m, e);
}

static void not_there(struct outbox *o, const struct batch *b, struct mail *m)
{
	m->candidate = NULL;
	m->stage = STAGE_PUT;
	if (o->o.flags_only)
		tell(o, b, m, SINK_MISSING, NULL);
}

/*
 * Looks for the message that M is, or may be. What has been read is known; what has not is asked for, by one mail at a time: who
 * meets one that another has asked for stays in STAGE_LOOK.
 */
static enum err_code look(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	struct there_wish wish = { .id = m->print.id, .date_s = m->date_s, .bytes = m->print.bytes };
	struct there_one *one;

	for (size_t i = 0; (one = there_find(&o->folder->there, &wish, i)) != NULL; i++) {
		if (one->state == THERE_ASKED)
			return ERR_OK;
		if (one->known && memcmp(one->content, m->print.content, sizeof one->content) != 0)
			continue;
		m->candidate = one;
		if (one->known)
			return found(o, b, m, e);
		one->state = THERE_ASKED;
		m->stage = STAGE_COMPARE;
		return ERR_OK;
	}
	not_there(o, b, m);
	return ERR_OK;
}

static enum err_code read_print(struct wire *w, struct mail_print *print, bool *has, struct err *e)
{
	struct mail_printer printer;
	struct wire_token t;
	struct span piece;
	bool is_nil = false;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc)
		rc = mail_printer_init(&printer, e);
	if (rc)
		return rc;
	if (t.kind == WIRE_LITERAL) {
		do {
			rc = wire_literal(w, &piece, e);
			if (!rc)
				mail_printer_add(&printer, piece);
		} while (!rc && piece.len);
	} else {
		rc = wire_text(w, &t, &piece, &is_nil, e);
		if (!rc)
			mail_printer_add(&printer, piece);
	}
	*has = !rc && !is_nil;
	mail_printer_end(&printer, print);
	return rc;
}

struct printing {
	print_visit visit;
	void *ctx;
};

static enum err_code take_print(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct printing *p = ctx;
	struct wire *w = imap_wire(c);
	struct mail_print print = { 0 };
	uint64_t uid = 0;
	bool has = false;
	struct wire_token t;
	enum err_code rc;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "FETCH") != 0)
		return wire_skip_line(w, e);
	rc = wire_next(w, &t, e);
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("UID"))) {
			struct wire_token number;

			rc = wire_next(w, &number, e);
			if (!rc && (number.kind != WIRE_ATOM || !text_number(number.text, UINT32_MAX, &uid)))
				rc = err_set(e, ERR_CORRUPT, "the server sent a message whose UID is no number");
		} else if (t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("BODY[]"))) {
			rc = read_print(w, &print, &has, e);
		} else if (t.kind == WIRE_ATOM) {
			rc = wire_next(w, &t, e);
			if (!rc)
				rc = wire_skip_value(w, &t, e);
		} else {
			rc = err_set(e, ERR_CORRUPT, "the server sent a strange message");
		}
	}
	if (!rc)
		rc = wire_skip_line(w, e);
	return rc || !uid || !has ? rc : p->visit(p->ctx, (uint32_t)uid, &print, e);
}

enum err_code fetch_prints(struct imap_client *c, struct span set, print_visit visit, void *ctx, struct err *e)
{
	struct printing p = { visit, ctx };
	unsigned tag;
	enum err_code rc =
	        imap_send(c, &tag, e, "UID FETCH %.*s (UID BODY.PEEK[])", (int)set.len, (const char *)set.ptr);

	return rc ? rc : imap_wait(c, tag, take_print, &p, e);
}

struct comparing {
	struct outbox *o;
	struct batch *b;
};

static enum err_code compare(void *ctx, uint32_t uid, const struct mail_print *print, struct err *e)
{
	struct comparing *k = ctx;

	for (size_t i = 0; i < k->b->count; i++) {
		struct mail *m = &k->b->mails[i];

		if (m->stage != STAGE_COMPARE || m->candidate->uid != uid || m->candidate->known)
			continue;
		memcpy(m->candidate->content, print->content, sizeof print->content);
		m->candidate->known = true;
		m->candidate->state = THERE_FREE;
		if (!memcmp(print->content, m->print.content, sizeof print->content))
			return found(k->o, k->b, m, e);
		m->stage = STAGE_LOOK;
	}
	return ERR_OK;
}

/* Asks for everything that is to be compared. Nothing else is on its way. */
static enum err_code compare_round(struct outbox *o, struct batch *b, struct err *e)
{
	struct comparing k = { o, b };
	struct buf set = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < b->count; i++)
		if (b->mails[i].stage == STAGE_COMPARE)
			rc = buf_printf(&set, e, "%s%" PRIu32, set.len ? "," : "", b->mails[i].candidate->uid);
	if (!rc && set.len)
		rc = fetch_prints(client(o), buf_span(&set), compare, &k, e);
	buf_release(&set);
	for (size_t i = 0; !rc && i < b->count; i++)
		if (b->mails[i].stage == STAGE_COMPARE) {
			/* It did not come: it is there no more. */
			b->mails[i].candidate->state = THERE_TAKEN;
			b->mails[i].candidate = NULL;
			b->mails[i].stage = STAGE_LOOK;
		}
	return rc;
}

/* Gives the flags of their items to those that are there and have others: one command for each set of flags. */
static enum err_code store_flags(struct outbox *o, struct batch *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && has_stage(b, STAGE_STORE)) {
		struct span flags = SPAN_EMPTY;
		struct buf set = BUF_EMPTY;
		unsigned tag;

		for (size_t i = 0; !rc && i < b->count; i++) {
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_STORE)
				continue;
			if (!set.len)
				flags = text_of(b, m->flags, m->flags_bytes);
			if (span_equal(flags, text_of(b, m->flags, m->flags_bytes)))
				rc = buf_printf(&set, e, "%s%" PRIu32, set.len ? "," : "", m->candidate->uid);
		}
		if (!rc)
			rc = imap_send(client(o), &tag, e, "UID STORE %.*s FLAGS.SILENT (%.*s)", (int)set.len,
			               (const char *)set.ptr, (int)flags.len, flags.len ? (const char *)flags.ptr : "");
		if (!rc)
			rc = imap_wait(client(o), tag, NULL, NULL, e);
		for (size_t i = 0; !rc && i < b->count; i++) {
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_STORE || !span_equal(flags, text_of(b, m->flags, m->flags_bytes)))
				continue;
			m->changes |= SINK_FLAGS_SET;
			rc = settle_present(o, b, m, e);
		}
		buf_release(&set);
	}
	return rc;
}

static enum err_code collect(struct outbox *o, struct batch *b, struct err *e);
static enum err_code settle_both(struct outbox *o, enum err_code rc, struct err *e);

/* Until every mail of the filling batch is settled or to be put. */
static enum err_code compare_all(struct outbox *o, struct err *e)
{
	struct batch *b = &o->batches[o->filling];
	enum err_code rc = ERR_OK;

	while (!rc && (has_stage(b, STAGE_LOOK) || has_stage(b, STAGE_COMPARE) || has_stage(b, STAGE_STORE))) {
		if (o->flying)
			rc = settle_both(o, ERR_OK, e);
		for (size_t i = 0; !rc && i < b->count; i++)
			if (b->mails[i].stage == STAGE_LOOK)
				rc = look(o, b, &b->mails[i], e);
		if (rc)
			return rc;
		rc = compare_round(o, b, e);
		if (!rc)
			rc = store_flags(o, b, e);
		if (rc)
			rc = recover(o, e);
	}
	return rc;
}

/* ---- sending ---- */

/* Small pieces are gathered: each write is a record of TLS, and maybe a packet. */
static enum err_code push(struct outbox *o, struct err *e)
{
	enum err_code rc = o->staging.len ? imap_send_more(client(o), buf_span(&o->staging), e) : ERR_OK;

	buf_clear(&o->staging);
	return rc;
}

static enum err_code stage_bytes(struct outbox *o, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		size_t n = num_min(STAGING_BYTES - o->staging.len, bytes.len);

		rc = buf_append(&o->staging, span_first(bytes, n), e);
		bytes = span_skip(bytes, n);
		if (!rc && o->staging.len == STAGING_BYTES)
			rc = push(o, e);
	}
	return rc;
}

static enum err_code stage_stream(struct outbox *o, const struct mail *m, struct err *e)
{
	const struct item_body *body = m->stream;
	struct buf converted = BUF_EMPTY;
	struct span piece;
	enum err_code rc = body->rewind(body->ctx, e);

	while (!rc) {
		rc = body->next(body->ctx, &piece, e);
		if (rc || !piece.len)
			break;
		buf_clear(&converted);
		if (m->converts) {
			rc = line_ends_convert(piece, &converted, e);
			piece = buf_span(&converted);
		}
		if (!rc)
			rc = stage_bytes(o, piece, e);
	}
	buf_release(&converted);
	return rc;
}

static void date_words(int64_t date_s, int16_t zone_minutes, char out[40])
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t local = (time_t)(date_s + (int64_t)zone_minutes * 60);
	int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;
	struct tm t = { 0 };

	out[0] = 0;
	if (date_s == THERE_NO_DATE || !gmtime_r(&local, &t) || t.tm_year > 9999 - 1900)
		return;
	snprintf(out, 40, " \"%2d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", t.tm_mday, months[t.tm_mon], t.tm_year + 1900,
	         t.tm_hour, t.tm_min, t.tm_sec, zone_minutes < 0 ? '-' : '+', zone / 60 % 100, zone % 60);
}

static bool at_once(const struct outbox *o, const struct mail *m)
{
	unsigned have = imap_capabilities(client(o));

	return (have & IMAP_LITERAL_PLUS) || ((have & IMAP_LITERAL_MINUS) && m->print.bytes <= LITERAL_MINUS_MAX);
}

/* " (\Seen) "date" {12+}": what stands before a mail's bytes. */
static enum err_code introduction(const struct outbox *o, const struct batch *b, const struct mail *m, struct buf *out,
                                  struct err *e)
{
	struct span flags = text_of(b, m->flags, m->flags_bytes);
	bool binary = m->has_nul && (imap_capabilities(client(o)) & IMAP_BINARY);
	char date[40];

	date_words(m->date_s, m->zone_minutes, date);
	return buf_printf(out, e, "%s%.*s%s%s %s{%" PRIu64 "%s}", flags.len ? " (" : "", (int)flags.len,
	                  flags.len ? (const char *)flags.ptr : "", flags.len ? ")" : "", date, binary ? "~" : "",
	                  m->print.bytes, at_once(o, m) ? "+" : "");
}

static enum err_code take_done(struct outbox *o, const struct imap_response *r, struct err *e);

/* Until the server asks for the literal of TAG. *REFUSED: it does not want it. */
static enum err_code await_go_ahead(struct outbox *o, unsigned tag, bool *refused, struct err *e)
{
	struct imap_response r;
	enum err_code rc;

	*refused = false;
	for (;;) {
		rc = imap_next(client(o), &r, e);
		if (rc || r.kind == IMAP_CONTINUE)
			return rc;
		if (r.kind == IMAP_DATA)
			rc = wire_skip_line(imap_wire(client(o)), e);
		if (!rc && r.kind == IMAP_DONE)
			rc = take_done(o, &r, e);
		if (rc)
			return rc;
		if (r.kind == IMAP_DONE && r.tag == tag) {
			*refused = true;
			return ERR_OK;
		}
	}
}

/* Begins a command with the first mail's introduction, or goes on with it. */
static enum err_code begin_mail(struct outbox *o, struct batch *b, struct mail *m, unsigned *tag, struct err *e)
{
	struct buf line = BUF_EMPTY, name = BUF_EMPTY;
	enum err_code rc = introduction(o, b, m, &line, e);

	if (!rc && !*tag) {
		rc = push(o, e);
		if (!rc)
			rc = imap_string(client(o), buf_span(&o->folder->raw), &name, e);
		if (!rc)
			rc = imap_send(client(o), tag, e, "APPEND %.*s%.*s", (int)name.len, (const char *)name.ptr,
			               (int)line.len, (const char *)line.ptr);
	} else if (!rc) {
		rc = buf_append(&line, SPAN_LIT("\r\n"), e);
		if (!rc)
			rc = stage_bytes(o, buf_span(&line), e);
	}
	m->tag = *tag;
	m->stage = STAGE_SENT;
	buf_release(&line);
	buf_release(&name);
	return rc;
}

static enum err_code send_mail(struct outbox *o, struct batch *b, struct mail *m, unsigned *tag, bool *refused,
                               struct err *e)
{
	enum err_code rc = begin_mail(o, b, m, tag, e);

	*refused = false;
	if (!rc && !at_once(o, m)) {
		rc = push(o, e);
		if (!rc)
			rc = await_go_ahead(o, *tag, refused, e);
		if (rc || *refused)
			return rc;
	}
	if (!rc && m->stream)
		return stage_stream(o, m, e);
	return rc ? rc : stage_bytes(o, span_of(b->bodies.ptr + m->body, m->body_bytes), e);
}

/* What is about to be sent stands in the journal first. */
static enum err_code note_range(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	struct journal_mail note = { .uid_validity = o->folder->uid_validity, .uid_next = o->folder->uid_next };
	enum err_code rc = journal_folder(o->o.journal, buf_span(&o->folder->raw), &note.folder, e);

	for (size_t i = from; !rc && i < to; i++) {
		struct mail *m = &b->mails[i];

		if (m->stage != STAGE_PUT || m->noted)
			continue;
		note.id = m->print.id;
		note.date_s = m->date_s;
		memcpy(note.content, m->print.content, sizeof note.content);
		rc = journal_send(o->o.journal, &note, &m->number, e);
		m->noted = !rc;
	}
	return rc ? rc : journal_sync(o->o.journal, e);
}

/* Sends those of FROM to TO that are to be put, in one command or, where the server has no MULTIAPPEND, in one for each. */
static enum err_code send_range(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	bool several = imap_capabilities(client(o)) & IMAP_MULTIAPPEND, refused = false;
	unsigned tag = 0;
	enum err_code rc = ERR_OK;

	buf_clear(&o->staging);
	b->uid_next = o->folder->uid_next;
	if (o->o.journal->path)
		rc = note_range(o, b, from, to, e);
	for (size_t i = from; !rc && i < to && !(refused && several); i++) {
		if (b->mails[i].stage != STAGE_PUT)
			continue;
		rc = send_mail(o, b, &b->mails[i], &tag, &refused, e);
		if (!rc && !several && !refused)
			rc = stage_bytes(o, SPAN_LIT("\r\n"), e);
		if (!rc && !several) {
			rc = at_once(o, &b->mails[i]) ? ERR_OK : push(o, e);
			tag = 0;
		}
	}
	if (!rc && several && tag && !refused)
		rc = stage_bytes(o, SPAN_LIT("\r\n"), e);
	return rc ? rc : push(o, e);
}

/* ---- answers ---- */

/* "38505 3955:3957,4000": the number I of the set, or 0. */
static uint32_t uid_number(struct span set, size_t i)
{
	while (set.len) {
		const uint8_t *comma = memchr(set.ptr, ',', set.len);
		struct span one = span_first(set, comma ? (size_t)(comma - set.ptr) : set.len);
		const uint8_t *colon = memchr(one.ptr, ':', one.len);
		uint64_t a = 0, z = 0;

		if (!text_number(colon ? span_first(one, (size_t)(colon - one.ptr)) : one, UINT32_MAX, &a) ||
		    (colon && !text_number(span_skip(one, (size_t)(colon - one.ptr) + 1), UINT32_MAX, &z)))
			return 0;
		z = colon ? z : a;
		if (z < a)
			return 0;
		if (i <= z - a)
			return (uint32_t)(a + i);
		i -= (size_t)(z - a) + 1;
		set = span_skip(set, one.len + 1);
	}
	return 0;
}

/* The UIDs behind "APPENDUID VALIDITY "; empty when the server does not tell, or tells of another folder. */
static struct span appended_uids(const struct outbox *o, struct span code)
{
	struct span word = SPAN_LIT("APPENDUID "), validity;
	const uint8_t *space;
	uint64_t value;

	if (code.len <= word.len || !text_equal_nocase(span_first(code, word.len), word))
		return SPAN_EMPTY;
	code = span_skip(code, word.len);
	space = memchr(code.ptr, ' ', code.len);
	if (!space)
		return SPAN_EMPTY;
	validity = span_first(code, (size_t)(space - code.ptr));
	if (!text_number(validity, UINT32_MAX, &value) || value != o->folder->uid_validity)
		return SPAN_EMPTY;
	return span_skip(code, validity.len + 1);
}

/* A command of ours is done. */
static enum err_code take_done(struct outbox *o, const struct imap_response *r, struct err *e)
{
	struct span uids = r->status == IMAP_OK ? appended_uids(o, r->code) : SPAN_EMPTY;
	enum err_code rc = ERR_OK;
	size_t n = 0;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; !rc && i < o->batches[k].count; i++) {
			struct batch *b = &o->batches[k];
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_SENT || m->tag != r->tag)
				continue;
			if (r->status == IMAP_OK) {
				rc = settle_put(o, b, m, uid_number(uids, n++), e);
				continue;
			}
			m->stage = STAGE_PUT;
			imap_refused(r, &b->refusal);
			if (text_equal_nocase(r->code, SPAN_LIT("OVERQUOTA")))
				b->refusal.code = ERR_NO_SPACE;
			else if (b->refusal.retry == ERR_RETRY_NEVER)
				b->refusal.code = ERR_DENIED;
		}
	return rc;
}

/* Until nothing of B is on its way. */
static enum err_code collect(struct outbox *o, struct batch *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && has_stage(b, STAGE_SENT)) {
		struct imap_response r;

		rc = imap_next(client(o), &r, e);
		if (!rc && r.kind == IMAP_DATA)
			rc = wire_skip_line(imap_wire(client(o)), e);
		else if (!rc && r.kind == IMAP_DONE)
			rc = take_done(o, &r, e);
	}
	return rc;
}

/* ---- after a broken connection ---- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What was put by us and settled answers for no other mail. */
static enum err_code take_placed(struct outbox_folder *f, struct err *e)
{
	size_t count = placed_count(f);
	uint32_t *uids = mem_zalloc(count + 1, sizeof *uids);

	if (!uids)
		return err_no_memory(e, count * sizeof *uids);
	for (size_t i = 0; i < count; i++)
		uids[i] = placed_at(f, i)->uid;
	qsort(uids, count, sizeof *uids, by_number);
	for (size_t i = 0; i < there_count(&f->there); i++)
		if (bsearch(&there_at(&f->there, i)->uid, uids, count, sizeof *uids, by_number))
			there_at(&f->there, i)->state = THERE_TAKEN;
	mem_free(uids);
	return ERR_OK;
}

/* Where a server does not tell UIDs (it has no UIDPLUS), what we put is found by what it looks like. */
static enum err_code name_placed(struct outbox_folder *f, struct journal *j, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < placed_count(f); i++) {
		struct placed *p = placed_at(f, i);
		struct there_wish wish = { .id = p->print.id,
			                   .date_s = p->date_s,
			                   .bytes = p->print.bytes,
			                   .any_size = p->date_s != THERE_NO_DATE };
		struct there_one *one = p->uid ? NULL : there_find(&f->there, &wish, 0);

		if (!one)
			continue;
		one->state = THERE_TAKEN;
		p->uid = one->uid;
		if (p->noted)
			rc = journal_put(j, p->number, p->uid, e);
	}
	return rc;
}

enum err_code outbox_look_back(struct imap_client *c, struct outbox_folder *f, uint32_t from, struct journal *j,
                               struct err *e)
{
	enum err_code rc = there_load_again(c, from, &f->there, e);

	if (!rc)
		rc = take_placed(f, e);
	return rc ? rc : name_placed(f, j, e);
}

/* Places in the list of what is there are about to change. */
static void forget_candidates(struct outbox *o)
{
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < o->batches[k].count; i++) {
			struct mail *m = &o->batches[k].mails[i];

			if (!m->candidate)
				continue;
			m->candidate->state = THERE_FREE;
			m->candidate = NULL;
			m->stage = STAGE_LOOK;
		}
}

/* Those of B that were sent and arrived, though the answer did not. *MISSING counts the others, which stay as they are. */
static enum err_code find_landed(struct outbox *o, struct batch *b, size_t *missing, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < b->count; i++) {
		struct mail *m = &b->mails[i];
		struct there_wish wish = { .id = m->print.id,
			                   .date_s = m->date_s,
			                   .bytes = m->print.bytes,
			                   .uid_from = b->uid_next,
			                   .any_size = m->date_s != THERE_NO_DATE };
		struct there_one *one;

		if (m->stage != STAGE_SENT)
			continue;
		one = there_find(&o->folder->there, &wish, 0);
		if (!one) {
			++*missing;
			continue;
		}
		one->state = THERE_TAKEN;
		rc = settle_put(o, b, m, one->uid, e);
	}
	return rc;
}

/*
 * Looks into the folder for what arrived. When GRACE_MS is not 0 and something did not, it looks again until then: the server may still
 * be at a command that it got whole before the connection went.
 */
static enum err_code look_for_landed(struct outbox *o, int64_t grace_ms, struct err *e)
{
	struct outbox_folder *f = o->folder;
	uint32_t from = f->uid_next;
	size_t missing = 0;
	enum err_code rc;

	forget_candidates(o);
	for (size_t k = 0; k < 2; k++)
		if (has_stage(&o->batches[k], STAGE_SENT) && o->batches[k].uid_next < from)
			from = o->batches[k].uid_next;
	rc = sink_line_select(o->o.line, buf_span(&f->raw), e);
	if (!rc && o->o.line->uid_validity != f->uid_validity)
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile",
		             text_name(buf_span(&f->raw)).text);
	while (!rc) {
		rc = outbox_look_back(client(o), f, from, o->o.journal, e);
		missing = 0;
		for (size_t k = 0; !rc && k < 2; k++)
			rc = find_landed(o, &o->batches[k], &missing, e);
		if (rc || !missing || grace_ms <= 0)
			break;
		rc = sink_line_pause(o->o.line, GRACE_LOOK_MS, e);
		grace_ms -= GRACE_LOOK_MS;
	}
	for (size_t k = 0; !rc && k < 2; k++)
		for (size_t i = 0; i < o->batches[k].count; i++)
			if (o->batches[k].mails[i].stage == STAGE_SENT)
				o->batches[k].mails[i].stage = STAGE_PUT;
	return rc;
}

/* After failure E: a connection again, and every mail settled, to be put, or to be looked for. */
static enum err_code recover(struct outbox *o, struct err *e)
{
	enum err_code rc;

	do {
		struct err why = *e;

		rc = sink_line_again(o->o.line, &why, e);
		if (rc) {
			o->o.sink->gone = true;
			return rc;
		}
		rc = look_for_landed(o, GRACE_MS, e);
	} while (rc && rc != ERR_VANISHED && rc != ERR_CANCELLED && rc != ERR_NO_MEMORY);
	o->o.sink->gone |= rc != ERR_OK;
	return rc;
}

/* ---- to the end ---- */

static size_t count_put(const struct batch *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		n += b->mails[i].stage == STAGE_PUT;
	return n;
}

/* Sends FROM to TO in one go and waits for what becomes of it. */
static enum err_code try_range(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc;

	b->refusal = (struct err){ 0 };
	rc = send_range(o, b, from, to, e);
	if (!rc)
		rc = collect(o, b, e);
	return rc ? recover(o, e) : ERR_OK;
}

/* A refused command should have put nothing, but not every server takes back what it had put when it said so. */
static enum err_code look_what_stayed(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc;

	for (size_t i = from; i < to; i++)
		if (b->mails[i].stage == STAGE_PUT)
			b->mails[i].stage = STAGE_SENT;
	rc = look_for_landed(o, 0, e);
	return rc ? recover(o, e) : ERR_OK;
}

/* Tries FROM to TO until it is done or refused for good. What was refused already, on its way with others, is not tried again. */
static enum err_code try_until_judged(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && count_put(b, from, to)) {
		if (!b->refusal.code)
			rc = try_range(o, b, from, to, e);
		if (rc || !b->refusal.code)
			continue; /* done, or the connection was lost and there is a new one */
		if (b->refusal.retry != ERR_RETRY_LATER || sink_line_again(o->o.line, &b->refusal, e) != ERR_OK)
			return o->o.line->death.code;
		b->refusal = (struct err){ 0 };
	}
	return rc;
}

static enum err_code give_up(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	if (b->refusal.code == ERR_NO_SPACE) {
		*e = b->refusal;
		return ERR_NO_SPACE;
	}
	tell(o, b, m, SINK_PUT, &b->refusal);
	return m->noted ? journal_refused(o->o.journal, m->number, e) : ERR_OK;
}

/* Every mail of FROM to TO is settled afterwards. What is refused is narrowed down to the one that is. */
static enum err_code deliver(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	size_t middle = from + (to - from) / 2;
	enum err_code rc = try_until_judged(o, b, from, to, e);

	if (!rc && count_put(b, from, to) > 1) {
		rc = look_what_stayed(o, b, from, to, e);
		b->refusal = (struct err){ 0 };
		if (!rc)
			rc = deliver(o, b, from, middle, e);
		b->refusal = (struct err){ 0 };
		return rc ? rc : deliver(o, b, middle, to, e);
	}
	for (size_t i = from; !rc && i < to; i++)
		if (b->mails[i].stage == STAGE_PUT)
			rc = give_up(o, b, &b->mails[i], e);
	return rc;
}

/* After trouble RC, or with none: what is on its way is settled, the other batch is empty, nothing flies. */
static enum err_code settle_both(struct outbox *o, enum err_code rc, struct err *e)
{
	struct batch *flight = &o->batches[!o->filling], *filling = &o->batches[o->filling];

	if (!rc)
		rc = collect(o, flight, e);
	if (!rc)
		rc = collect(o, filling, e);
	if (rc)
		rc = recover(o, e);
	if (!rc)
		rc = deliver(o, flight, 0, flight->count, e);
	if (rc)
		return rc;
	empty(flight);
	o->flying = false;
	return ERR_OK;
}

static bool waits_for_each(const struct outbox *o, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->mails[i].stage == STAGE_PUT && !at_once(o, &b->mails[i]))
			return true;
	return false;
}

/* Sends what was gathered. */
static enum err_code flush(struct outbox *o, struct err *e)
{
	struct batch *b = &o->batches[o->filling], *flight = &o->batches[!o->filling];
	enum err_code rc = compare_all(o, e);

	if (rc)
		return rc;
	if (!has_stage(b, STAGE_PUT)) {
		empty(b);
		return ERR_OK;
	}
	if (o->flying && waits_for_each(o, b))
		rc = settle_both(o, ERR_OK, e);
	if (rc)
		return rc;
	b->refusal = (struct err){ 0 };
	rc = send_range(o, b, 0, b->count, e);
	if (!rc)
		rc = collect(o, flight, e);
	if (rc || has_stage(flight, STAGE_PUT) || has_stage(b, STAGE_PUT)) {
		rc = settle_both(o, rc, e);
		if (!rc)
			rc = deliver(o, b, 0, b->count, e);
		if (!rc)
			empty(b);
		return rc;
	}
	empty(flight);
	o->filling = !o->filling;
	o->flying = true;
	return ERR_OK;
}

enum err_code outbox_end(struct outbox *o, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (o->failure.code) {
		*e = o->failure;
		return o->failure.code;
	}
	if (o->batches[o->filling].count)
		rc = flush(o, e);
	if (!rc && o->flying)
		rc = settle_both(o, ERR_OK, e);
	if (!rc)
		rc = journal_sync(o->o.journal, e);
	if (rc)
		o->failure = *e;
	return rc;
}

static enum err_code add_text(struct batch *b, struct span text, size_t *at, size_t *bytes, struct err *e)
{
	*at = b->texts.len;
	*bytes = text.len;
	return buf_append(&b->texts, text, e);
}

static enum err_code add(struct batch *b, const struct outbox_mail *from, struct err *e)
{
	struct mail *m = &b->mails[b->count];
	size_t ignored;
	enum err_code rc;

	*m = (struct mail){ .ticket = from->ticket,
		            .print = from->print,
		            .date_s = from->date_s,
		            .zone_minutes = from->zone_minutes,
		            .stream = from->stream,
		            .converts = from->converts,
		            .has_nul = from->has_nul,
		            .changes = from->changes,
		            .body = b->bodies.len,
		            .body_bytes = from->body.len,
		            .stage = STAGE_LOOK };
	rc = add_text(b, from->flags, &m->flags, &m->flags_bytes, e);
	if (!rc)
		rc = add_text(b, from->key, &m->key, &m->key_bytes, e);
	if (!rc)
		rc = add_text(b, span_of(from->note, strlen(from->note) + 1), &m->note, &ignored, e);
	if (!rc)
		rc = buf_append(&b->bodies, from->body, e);
	b->count += !rc;
	return rc;
}

enum err_code outbox_put(struct outbox *o, struct outbox_folder *f, const struct outbox_mail *from, struct err *e)
{
	struct batch *b = &o->batches[o->filling];
	enum err_code rc = ERR_OK;

	if (o->failure.code || o->folder != f)
		rc = outbox_end(o, e);
	o->folder = f;
	b = &o->batches[o->filling];
	if (!rc && (b->count == OUTBOX_BATCH_ITEMS ||
	            (b->count && b->bodies.len + from->body.len > OUTBOX_BATCH_BYTES) || (b->count && from->stream)))
		rc = flush(o, e);
	b = &o->batches[o->filling];
	if (!rc)
		rc = add(b, from, e);
	if (!rc)
		rc = look(o, b, &b->mails[b->count - 1], e);
	if (rc && !o->failure.code)
		o->failure = *e;
	return rc || !from->stream ? rc : outbox_end(o, e);
}
