#include "engine/work/last.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"

#define LAST_VERSION   1
#define LAST_BYTES_MAX (64 * MIB)
#define LAST_ROWS_MAX  1000000

static enum err_code account_path(struct repo *r, const char *what, const struct account_id *account, struct buf *out,
                                  struct err *e)
{
	char name[16 + 2 * ID16_BYTES], hex[2 * ID16_BYTES + 1];

	text_hex(span_of(account->bytes, ID16_BYTES), hex);
	snprintf(name, sizeof name, "%s-%s", what, hex);
	return repo_cache_path(r, name, out, e);
}

static enum err_code last_path(struct repo *r, const struct account_id *account, struct buf *out, struct err *e)
{
	return account_path(r, "last", account, out, e);
}

static bool decode(struct span plain, const struct snapshot_id *snapshot, struct last *out)
{
	struct rd r = rd_of(plain);
	struct snapshot_id of;
	uint64_t count;

	if (rd_u8(&r) != LAST_VERSION)
		return false;
	rd_copy(&r, &of, sizeof of);
	count = rd_var(&r);
	if (r.bad || memcmp(&of, snapshot, sizeof of) != 0 || count > LAST_ROWS_MAX)
		return false;
	out->rows = mem_zalloc(count, sizeof *out->rows);
	if (!out->rows)
		return false;
	for (out->count = 0; out->count < count && !r.bad; out->count++) {
		struct last_collection *row = &out->rows[out->count];

		row->path = rd_blob(&r, plain.len);
		rd_copy(&r, &row->facts_id, sizeof row->facts_id);
		row->cursor = rd_blob(&r, plain.len);
		row->items = rd_var(&r);
		row->bytes = rd_var(&r);
	}
	return rd_done(&r);
}

bool last_load(struct repo *r, const struct account_id *account, const struct snapshot_id *snapshot, struct last *out)
{
	struct buf path = BUF_EMPTY, sealed = BUF_WITH_MAX(LAST_BYTES_MAX);
	struct err ignored;
	bool good;

	*out = (struct last){ .plain = BUF_WITH_MAX(LAST_BYTES_MAX) };
	good = last_path(r, account, &path, &ignored) == ERR_OK &&
	       file_read((const char *)path.ptr, LAST_BYTES_MAX / 2, &sealed, &ignored) == ERR_OK &&
	       box_open(r->keys, BOX_CACHE, keys_epoch(r->keys), SPAN_LIT("mailhold last 1"), buf_span(&sealed),
	                &out->plain, &ignored) == ERR_OK &&
	       decode(buf_span(&out->plain), snapshot, out);
	buf_release(&path);
	buf_release(&sealed);
	if (!good)
		last_release(out);
	return good;
}

void last_save(struct repo *r, const struct account_id *account, const struct snapshot_id *snapshot,
               const struct last_collection *rows, size_t count)
{
	struct buf path = BUF_EMPTY, plain = BUF_WITH_MAX(LAST_BYTES_MAX), sealed = BUF_WITH_MAX(LAST_BYTES_MAX);
	struct err e;
	struct wr w = wr_to(&plain, &e);
	enum err_code rc;

	wr_u8(&w, LAST_VERSION);
	wr_bytes(&w, span_of(snapshot, sizeof *snapshot));
	wr_var(&w, count);
	for (size_t i = 0; i < count; i++) {
		wr_blob(&w, rows[i].path);
		wr_bytes(&w, span_of(&rows[i].facts_id, sizeof rows[i].facts_id));
		wr_blob(&w, rows[i].cursor);
		wr_var(&w, rows[i].items);
		wr_var(&w, rows[i].bytes);
	}
	rc = wr_end(&w);
	if (!rc)
		rc = box_seal(r->keys, BOX_CACHE, keys_epoch(r->keys), SPAN_LIT("mailhold last 1"), buf_span(&plain),
		              &sealed, &e);
	if (!rc)
		rc = last_path(r, account, &path, &e);
	if (!rc)
		rc = file_replace((const char *)path.ptr, buf_span(&sealed), 0600, false, &e);
	if (rc)
		repo_notice(r, ENGINE_WARNING, "the next run will be slower: the local cache cannot be written: %s",
		            e.text);
	buf_release(&path);
	buf_release(&plain);
	buf_release(&sealed);
}

void last_release(struct last *l)
{
	mem_free(l->rows);
	buf_release(&l->plain);
	*l = LAST_EMPTY;
}

const struct last_collection *last_find(const struct last *l, struct span path)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_compare(l->rows[middle].path, path);

		if (order == 0)
			return &l->rows[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ---- lost ---- */

void lost_note(struct repo *r, const struct account_id *account)
{
	struct buf path = BUF_EMPTY;
	struct err why;
	enum err_code rc = account_path(r, "lost", account, &path, &why);

	if (!rc)
		rc = file_replace((const char *)path.ptr, SPAN_EMPTY, 0600, false, &why);
	if (rc)
		repo_notice(r, ENGINE_WARNING, "the next snapshot does not know that items were lost: %s", why.text);
	buf_release(&path);
}

bool lost_noted(struct repo *r, const struct account_id *account)
{
	struct buf path = BUF_EMPTY;
	struct err ignored;
	bool there = account_path(r, "lost", account, &path, &ignored) == ERR_OK &&
	             access((const char *)path.ptr, F_OK) == 0;

	buf_release(&path);
	return there;
}

void lost_clear(struct repo *r, const struct account_id *account)
{
	struct buf path = BUF_EMPTY;
	struct err ignored;

	if (account_path(r, "lost", account, &path, &ignored) == ERR_OK)
		(void)unlink((const char *)path.ptr);
	buf_release(&path);
}
