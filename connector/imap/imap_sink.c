#include "imap_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "mime/mend/mend.h"
#include "mime/mime.h"
#include "imap_sink_internal.h"
#include "readback.h"

#define HEAD_BYTES    (256 * KIB) /* of a message that is not held whole: enough for its header */
#define GRACE_MS      10000
#define GRACE_LOOK_MS 500

static const char *into(const struct imap_sink *s)
{
	return s->into.len ? (const char *)s->into.ptr : "";
}

bool imap_sink_again(struct imap_sink *s, enum err_code *rc, struct err *e)
{
	struct err why = *e;

	*rc = sink_line_again(&s->line, &why, e);
	if (*rc && (!s->line.client || imap_is_broken(s->line.client)))
		s->base.gone = true;
	return *rc == ERR_OK;
}

/* ---- the account ---- */

static enum err_code load_names(struct imap_sink *s, struct err *e)
{
	target_names_release(&s->names);
	s->names = (struct target_names){ .prefix = BUF_EMPTY };
	return target_names_load(s->line.client, &s->names, e);
}

static enum err_code need_names(struct imap_sink *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (!s->has_names)
		AGAIN(s, rc, load_names(s, e));
	s->has_names = !rc;
	return rc;
}

static bool is_below(struct span path, struct span folder)
{
	return span_starts(path, folder) && (path.len == folder.len || path.ptr[folder.len] == '/');
}

static enum err_code holds_messages(struct imap_sink *s, struct span raw, bool *out, struct err *e)
{
	struct folder_status status = { 0 };
	enum err_code rc = ERR_OK;

	if (!folders_status(&s->names.folders, raw, &status))
		AGAIN(s, rc, folder_ask_status(s->line.client, raw, &status, e));
	if (rc && !s->base.gone)
		rc = ERR_OK; /* a folder that nobody may look into */
	*out |= status.messages > 0;
	return rc;
}

/* An account is empty when no folder of it has a message; a folder is when it is not there. */
static enum err_code sink_occupied(struct item_sink *base, bool *out, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	enum err_code rc = need_names(s, e);

	*out = false;
	for (size_t i = 0; !rc && !*out && i < s->names.folders.outline.count; i++) {
		struct span path = s->names.folders.outline.collections[i].path;

		if (!*into(s))
			rc = holds_messages(s, s->names.folders.outline.raws[i], out, e);
		else
			*out = is_below(path, span_cstr(into(s)));
	}
	return rc;
}

/* A calendar put as messages would help nobody, and litter the mailbox. What nobody could tell may be mail. */
static enum err_code mail_only(enum item_kind kind, struct err *e)
{
	if (kind == KIND_MAIL || kind == KIND_OTHER)
		return ERR_OK;
	return err_set(e, ERR_UNSUPPORTED,
	               "a mail server keeps mail, not a collection or item of kind '%s': restore that to a path",
	               item_kind_name(kind));
}

/* ---- folders ---- */

void imap_sink_folder_free(struct sink_folder *f)
{
	if (!f)
		return;
	outbox_folder_release(&f->box);
	target_folder_release(&f->target);
	buf_release(&f->keywords);
	mem_free(f);
}

static enum err_code simple(struct imap_sink *s, const char *word, struct span raw, const char *more, struct err *e)
{
	struct buf name = BUF_EMPTY;
	unsigned tag;
	enum err_code rc = imap_string(s->line.client, raw, &name, e);

	if (!rc)
		rc = imap_send(s->line.client, &tag, e, "%s %.*s%s", word, (int)name.len, (const char *)name.ptr, more);
	if (!rc)
		rc = imap_wait(s->line.client, tag, NULL, NULL, e);
	buf_release(&name);
	return rc;
}

/* A folder that somebody else made meanwhile, or that only held others so far, is as good. */
static enum err_code create(struct imap_sink *s, const struct sink_folder *f, struct err *e)
{
	const char *role = target_role_word(f->target.give_role);
	struct span raw = buf_span(&f->target.raw);
	bool special = role && (imap_capabilities(s->line.client) & IMAP_CREATE_SPECIAL_USE);
	char use[32] = "";
	struct err ignored;
	enum err_code rc;

	if (special)
		snprintf(use, sizeof use, " (USE (%s))", role);
	rc = simple(s, "CREATE", raw, use, e);
	/* A role that the server does not give to this folder is no reason not to have the folder. */
	if (rc && special && !imap_is_broken(s->line.client))
		rc = simple(s, "CREATE", raw, "", e);
	if (imap_is_broken(s->line.client))
		return rc;
	if (!rc)
		rc = journal_made(&s->journal, raw, e);
	else if (sink_line_select(&s->line, raw, &ignored) == ERR_OK)
		rc = ERR_OK;
	if (!rc)
		(void)!simple(s, "SUBSCRIBE", raw, "", &ignored);
	return imap_is_broken(s->line.client) ? err_set(e, ERR_IO, "the connection broke") : rc;
}

/*
 * What an earlier run has put. A run that was killed a moment ago may have left a command whole in the server's hands, which is still
 * at it: what that run noted and is not there gets some time to appear.
 */
static enum err_code recognise(struct imap_sink *s, struct sink_folder *f, struct err *e)
{
	struct outbox_folder *box = &f->box;
	int64_t until = s->journal.left_ms + GRACE_MS;
	size_t missing = 0;
	enum err_code rc;

	for (;;) {
		rc = journal_recognise(&s->journal, buf_span(&f->target.raw), box->uid_validity, &box->there, &missing,
		                       e);
		if (rc || !missing || clock_now_ms() >= until || until > clock_now_ms() + GRACE_MS)
			return rc;
		rc = sink_line_pause(&s->line, GRACE_LOOK_MS, e);
		if (!rc)
			rc = there_load_again(s->line.client, 1, &box->there, e);
		if (rc)
			return rc;
	}
}

static enum err_code open_folder(struct imap_sink *s, struct sink_folder *f, struct err *e)
{
	struct outbox_folder *box = &f->box;
	struct span any = SPAN_LIT("\\*");
	enum err_code rc = sink_line_select(&s->line, buf_span(&f->target.raw), e);

	if (rc)
		return rc;
	box->uid_validity = s->line.uid_validity;
	box->uid_next = s->line.uid_next ? s->line.uid_next : 1;
	buf_clear(&box->permanent);
	rc = buf_append(&box->permanent, buf_span(&s->line.permanent), e);
	/* A folder that is only looked at keeps nothing, some servers say: that tells nothing of what it could keep. */
	box->any_keyword =
	        !s->login.changes || !box->permanent.len || text_contains_nocase(buf_span(&box->permanent), any);
	there_release(&box->there);
	box->there = THERE_EMPTY;
	if (!rc && s->line.messages)
		rc = there_load(s->line.client, 1, &box->there, e);
	if (!rc)
		rc = recognise(s, f, e);
	f->listed = !rc;
	return rc;
}

enum err_code imap_sink_need_folder(struct imap_sink *s, struct sink_folder *f, bool plan, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (!f->target.exists && plan)
		return ERR_OK;
	if (!f->target.exists)
		AGAIN(s, rc, create(s, f, e));
	if (rc)
		return err_note(e, "while making the folder '%s'", text_name(buf_span(&f->target.path)).text);
	f->target.exists = true;
	AGAIN(s, rc, open_folder(s, f, e));
	return rc ? err_note(e, "while looking into the folder '%s'", text_name(buf_span(&f->target.path)).text)
	          : ERR_OK;
}

enum err_code imap_sink_add_folder(struct imap_sink *s, struct sink_folder *f, size_t *handle, struct err *e)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 32;
		struct sink_folder **grown = mem_grow(s->folders, cap * sizeof(struct sink_folder *));

		if (!grown)
			return err_no_memory(e, cap * sizeof(struct sink_folder *));
		s->folders = grown;
		s->cap = cap;
	}
	*handle = s->count;
	s->folders[s->count++] = f;
	return ERR_OK;
}

/* What the account has before the first message is put. */
static enum err_code need_elsewhere(struct imap_sink *s, struct err *e)
{
	enum err_code rc;

	if (!s->missing_only || s->elsewhere)
		return ERR_OK;
	rc = elsewhere_open(&s->login, &s->elsewhere, e);
	if (!rc)
		rc = elsewhere_load(s->elsewhere, &s->names.folders, &s->journal, e);
	if (rc) {
		/* With half of what there is, messages would be put that are there. */
		elsewhere_free(&s->elsewhere);
		s->base.gone = true;
	}
	return rc;
}

static enum err_code sink_collection(struct item_sink *base, const struct collection *c, bool plan, size_t *handle,
                                     struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f = mem_zalloc(1, sizeof *f);
	struct span keywords;
	enum err_code rc;

	if (!f)
		return err_no_memory(e, sizeof *f);
	f->box.there = THERE_EMPTY;
	rc = mail_only(c->kind, e);
	if (!rc)
		rc = need_names(s, e);
	if (!rc)
		rc = need_elsewhere(s, e);
	if (!rc)
		rc = target_folder_find(&s->names, c, into(s), &f->target, e);
	if (!rc)
		rc = buf_append(&f->box.raw, buf_span(&f->target.raw), e);
	if (!rc && outline_find(c, SPAN_LIT("maildir:file:dovecot-keywords"), &keywords))
		rc = buf_append(&f->keywords, keywords, e);
	if (!rc)
		rc = imap_sink_need_folder(s, f, plan, e);
	if (!rc)
		rc = imap_sink_add_folder(s, f, handle, e);
	if (rc)
		imap_sink_folder_free(f);
	return rc;
}

static enum err_code sink_describe(struct item_sink *base, size_t handle, struct buf *out, struct err *e)
{
	const struct target_folder *t = &imap_sink_own(base)->folders[handle]->target;
	enum err_code rc = text_percent(out, buf_span(&t->path), "", e);

	if (!rc && !t->exists)
		rc = buf_printf(out, e, " (to be made)");
	else if (!rc && t->by_role)
		rc = buf_printf(out, e, " (by its role)");
	if (!rc && t->renamed)
		rc = buf_printf(out, e, " (as '%s': the server cannot hold its name)",
		                text_name(buf_span(&t->raw)).text);
	return rc;
}

/* ---- plans ---- */

static enum err_code check_size(const struct imap_sink *s, uint64_t bytes, struct err *e)
{
	uint64_t most = imap_append_limit(s->line.client);

	if (!most || bytes <= most)
		return ERR_OK;
	return err_set(e, ERR_LIMIT, "it has %s, and the server takes at most %s", text_size(bytes).text,
	               text_size(most).text);
}

struct there_wish imap_sink_wish(const struct item_out *item)
{
	struct there_wish wish = { .bytes = item->bytes };
	struct span id;
	uint64_t date;
	int16_t zone;
	bool dated = fields_get_u64(item->summary, SUMMARY_DATE, &date);

	if (fields_get(item->summary, SUMMARY_MESSAGE_ID, &id))
		wish.id = mail_id_of_value(id);
	wish.date_s = imap_sink_date(item, SPAN_EMPTY, dated ? (int64_t)date : INT64_MIN, &zone);
	return wish;
}

/* ONE is the item: has it the item's flags? */
static enum err_code compare_flags(struct imap_sink *s, const struct sink_folder *f, const struct item_out *item,
                                   const struct there_one *one, struct err *e)
{
	enum err_code rc = imap_sink_flags(s, f, item, e);

	s->flags_there = there_flags(&f->box.there, one);
	s->flags_differ = !rc && !span_equal(s->flags_there, buf_span(&s->flags));
	return rc;
}

static enum err_code sink_decide(struct item_sink *base, size_t handle, const struct item_out *item,
                                 enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                 struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f = s->folders[handle];
	struct there_wish wish = imap_sink_wish(item);
	struct there_one *one = there_find(&f->box.there, &wish, 0);
	struct span path = SPAN_EMPTY;
	enum err_code rc = mail_only(item->kind, e);

	(void)collision;
	s->flags_differ = false;
	if (rc)
		return rc;
	*verdict = one ? SINK_PRESENT : s->flags_only ? SINK_MISSING : SINK_PUT;
	if (one) {
		one->state = THERE_TAKEN;
		rc = compare_flags(s, f, item, one, e);
	} else {
		if (s->elsewhere)
			rc = elsewhere_find(s->elsewhere, buf_span(&f->target.raw), &wish, NULL, &path, e);
		if (!rc && path.len)
			*verdict = SINK_PRESENT;
		else if (!rc)
			rc = check_size(s, item->bytes, e);
	}
	return rc ? rc : text_percent(target, path.len ? path : buf_span(&f->target.path), "", e);
}

/* ---- putting ---- */

static bool has_nul(struct span bytes)
{
	return bytes.len && memchr(bytes.ptr, 0, bytes.len);
}

/* Holds the whole body, as it is to be sent. */
static enum err_code read_whole(struct imap_sink *s, const struct item_body *body, struct outbox_mail *m, struct err *e)
{
	struct mail_printer printer;
	struct line_ends ends = { 0 };
	struct span piece;
	enum err_code rc = ERR_OK;

	buf_clear(&s->body);
	do {
		rc = body->next(body->ctx, &piece, e);
		if (!rc)
			rc = buf_append(&s->body, piece, e);
	} while (!rc && piece.len);
	if (rc)
		return rc;
	m->body = buf_span(&s->body);
	line_ends_add(&ends, m->body);
	if (line_ends_are_local(&ends)) {
		m->changes |= SINK_LINE_ENDS;
		buf_clear(&s->converted);
		rc = line_ends_convert(m->body, &s->converted, e);
		m->body = buf_span(&s->converted);
	}
	if (!rc)
		rc = mail_printer_init(&printer, e);
	if (rc)
		return rc;
	mail_printer_add(&printer, m->body);
	mail_printer_end(&printer, &m->print);
	m->print.id = mail_id(m->body);
	m->has_nul = has_nul(m->body);
	return ERR_OK;
}

/* One look at a body that is too large to hold; a second one when its line ends have to be converted. */
static enum err_code look_through(struct imap_sink *s, const struct item_body *body, struct outbox_mail *m,
                                  struct line_ends *ends, struct err *e)
{
	struct mail_printer printer;
	struct span piece;
	enum err_code rc = mail_printer_init(&printer, e);

	if (rc)
		return rc;
	buf_clear(&s->body);
	rc = body->rewind(body->ctx, e);
	while (!rc) {
		rc = body->next(body->ctx, &piece, e);
		if (rc || !piece.len)
			break;
		line_ends_add(ends, piece);
		m->has_nul |= has_nul(piece);
		if (s->body.len < HEAD_BYTES)
			rc = buf_append(&s->body, span_first(piece, HEAD_BYTES - s->body.len), e);
		buf_clear(&s->converted);
		if (!rc && m->converts) {
			rc = line_ends_convert(piece, &s->converted, e);
			piece = buf_span(&s->converted);
		}
		if (!rc)
			mail_printer_add(&printer, piece);
	}
	mail_printer_end(&printer, &m->print);
	m->print.id = mail_id(buf_span(&s->body));
	return rc;
}

static enum err_code read_large(struct imap_sink *s, const struct item_body *body, struct outbox_mail *m, struct err *e)
{
	struct line_ends ends = { 0 }, again = { 0 };
	enum err_code rc = look_through(s, body, m, &ends, e);

	m->stream = body;
	if (rc || !line_ends_are_local(&ends))
		return rc;
	m->changes |= SINK_LINE_ENDS;
	m->converts = true;
	return look_through(s, body, m, &again, e);
}

struct mending {
	struct mend mend;
	struct mail_printer printer;
	struct buf head;
	struct buf *out;
};

/* Another piece of the copy stands in OUT. */
static enum err_code take_mended(struct mending *k, struct err *e)
{
	struct span piece = buf_span(k->out);

	mail_printer_add(&k->printer, piece);
	return k->head.len < HEAD_BYTES ? buf_append(&k->head, span_first(piece, HEAD_BYTES - k->head.len), e) : ERR_OK;
}

static enum err_code mend_stream(struct mending *k, const struct item_body *body, struct err *e)
{
	struct span piece;
	enum err_code rc = body->rewind(body->ctx, e);

	while (!rc) {
		rc = body->next(body->ctx, &piece, e);
		if (rc || !piece.len)
			break;
		buf_clear(k->out);
		rc = mend_add(&k->mend, piece, k->out, e);
		if (!rc)
			rc = take_mended(k, e);
	}
	buf_clear(k->out);
	return rc;
}

/* The mended copy's print and, of what is held whole, its bytes; only when there is anything to mend. */
static enum err_code prepare_mended(struct imap_sink *s, const struct item_body *body, struct outbox_mail *m,
                                    struct err *e)
{
	struct mending k = { .mend = MEND_EMPTY, .head = BUF_EMPTY, .out = &s->mended };
	enum err_code rc = mail_printer_init(&k.printer, e);

	if (rc)
		return rc;
	buf_clear(&s->mended);
	rc = m->stream ? mend_stream(&k, body, e) : mend_add(&k.mend, m->body, &s->mended, e);
	if (!rc)
		rc = mend_end(&k.mend, &s->mended, e);
	if (!rc)
		rc = take_mended(&k, e);
	if (m->converts)
		k.mend.did.line_ends = 0; /* those are told otherwise */
	mail_printer_end(&k.printer, &m->mended_print);
	m->mended_print.id = mail_id(buf_span(&k.head));
	buf_clear(&s->mended_note);
	if (!rc && mend_did(&k.mend.did)) {
		rc = mend_words(&k.mend.did, &s->mended_note, e);
		if (!rc)
			rc = buf_append(&s->mended_note, span_of("", 1), e);
		m->mended_note = rc ? NULL : (const char *)s->mended_note.ptr;
		m->mended_body = m->stream ? SPAN_EMPTY : buf_span(&s->mended);
	}
	buf_release(&k.head);
	mend_release(&k.mend);
	return rc;
}

static enum err_code sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                              const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                              struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f = s->folders[handle];
	struct outbox_mail m = { .ticket = item->ticket, .key = item->key, .note = "" };
	enum err_code rc;

	(void)collision; /* nothing has an item's place: a folder holds any number of messages */
	if (!f->listed)
		return err_set(e, ERR_STATE, "the folder was only planned");
	rc = mail_only(item->kind, e);
	if (rc)
		return rc;
	rc = item->bytes > OUTBOX_WHOLE_MAX ? read_large(s, body, &m, e) : read_whole(s, body, &m, e);
	if (!rc)
		rc = check_size(s, m.print.bytes, e);
	if (!rc)
		rc = imap_sink_flags(s, f, item, e);
	if (rc)
		return rc;
	m.flags = buf_span(&s->flags);
	m.changes |= s->flags_lost ? SINK_FLAGS_LOST : 0;
	m.date_s = imap_sink_date(item, m.stream ? buf_span(&s->body) : m.body, INT64_MIN, &m.zone_minutes);
	if (s->mends)
		rc = prepare_mended(s, body, &m, e);
	if (rc)
		return rc;
	*verdict = SINK_LATER;
	rc = outbox_put(s->outbox, &f->box, &m, e);
	if (!rc)
		return ERR_OK;
	/* The outbox has it, and tells no more of it. */
	s->base.gone = true;
	return rc;
}

/* ---- ends ---- */

static enum err_code sink_collection_done(struct item_sink *base, size_t handle, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f = s->folders[handle];
	struct buf shown = BUF_EMPTY;
	struct readback r = { .line = &s->line,
		              .journal = &s->journal,
		              .percent = s->verify_percent,
		              .report = s->base.report,
		              .report_ctx = s->base.report_ctx };
	enum err_code rc = outbox_end(s->outbox, e);

	if (!rc)
		rc = text_percent(&shown, buf_span(&f->target.path), "", e);
	if (!rc)
		rc = buf_append(&shown, span_of("", 1), e);
	r.folder = (const char *)shown.ptr;
	if (!rc)
		rc = readback_folder(&r, &f->box, &s->check, e);
	buf_release(&shown);
	there_release(&f->box.there);
	buf_release(&f->box.placed);
	buf_release(&f->box.texts);
	f->listed = false;
	return rc;
}

static enum err_code sink_finish(struct item_sink *base, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);

	/* After a failure of its own it has told that already. */
	return s->base.gone ? ERR_OK : outbox_end(s->outbox, e);
}

static void sink_checked(const struct item_sink *base, struct sink_check *out)
{
	*out = ((const struct imap_sink *)(const void *)base)->check;
}

static void sink_free(struct item_sink **base)
{
	struct imap_sink *s;

	if (!*base)
		return;
	s = imap_sink_own(*base);
	outbox_free(&s->outbox);
	elsewhere_free(&s->elsewhere);
	(void)!journal_sync(&s->journal, &(struct err){ 0 });
	journal_release(&s->journal);
	for (size_t i = 0; i < s->count; i++)
		imap_sink_folder_free(s->folders[i]);
	mem_free(s->folders);
	sink_line_release(&s->line);
	target_names_release(&s->names);
	for (size_t i = 0; i < ARRAY_LEN(s->strings); i++)
		mem_free(s->strings[i]);
	buf_wipe(&s->password);
	buf_release(&s->into);
	buf_release(&s->body);
	buf_release(&s->converted);
	buf_release(&s->flags);
	buf_release(&s->mended);
	buf_release(&s->mended_note);
	mem_free(s);
	*base = NULL;
}

static const struct item_sink_ops imap_sink_ops = {
	.occupied = sink_occupied,
	.collection = sink_collection,
	.describe = sink_describe,
	.decide = sink_decide,
	.put = sink_put,
	.collection_done = sink_collection_done,
	.finish = sink_finish,
	.checked = sink_checked,
	.other_flags = imap_sink_other_flags,
	.exists = imap_sink_exists,
	.unclaimed = imap_sink_unclaimed,
	.elsewhere = imap_sink_elsewhere,
	.others = imap_sink_others,
	.free = sink_free,
};

/* ---- opening ---- */

enum err_code imap_sink_into(struct item_sink *base, const char *folder, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);

	buf_clear(&s->into);
	return folder && *folder ? buf_append(&s->into, span_of(folder, strlen(folder) + 1), e) : ERR_OK;
}

enum err_code imap_sink_open(const struct imap_login *login, const struct imap_sink_options *o, struct item_sink **out,
                             struct err *e)
{
	struct imap_sink *s = mem_zalloc(1, sizeof *s);
	struct item_sink *base = s ? &s->base : NULL;
	struct outbox_options box = { .flags_only = o->flags_only };
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_sink){ .ops = &imap_sink_ops,
		                      .world = "imap",
		                      .wants_summaries = true,
		                      .batches = true,
		                      .refuses_collections = true,
		                      .sets_flags = o->flags_only };
	s->flags_only = o->flags_only;
	s->missing_only = o->missing_only;
	s->mends = o->mends;
	s->mended.max = 16 * MIB;
	box.elsewhere = &s->elsewhere;
	s->verify_percent = o->verify_percent;
	s->body.max = s->converted.max = 8 * MIB;
	rc = imap_login_keep(login, s->strings, &s->password, &s->login, e);
	if (!rc)
		rc = imap_sink_into(base, o->into, e);
	if (!rc)
		rc = journal_open(login->changes ? o->journal : NULL, &s->journal, e);
	if (!rc)
		rc = sink_line_open(&s->login, &s->line, e);
	box.journal = &s->journal;
	box.line = &s->line;
	box.sink = base;
	if (!rc)
		rc = outbox_open(&box, &s->outbox, e);
	if (rc) {
		sink_free(&base);
		return rc;
	}
	*out = base;
	return ERR_OK;
}
