#include "engine/work/verified.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"

#define FILE_NAME      "verified"
#define FILE_MAGIC     SPAN_LIT("mhverify")
#define FILE_VERSION   1
#define HASH_BYTES     16
#define FILE_BYTES_MAX ((size_t)1 << 30)

enum err_code verified_set(struct verified *v, uint32_t ordinal, int64_t at_ms, struct err *e)
{
	if (ordinal >= v->count) {
		uint32_t count = ordinal + ordinal / 2 + 16;
		int64_t *grown = mem_grow(v->at_ms, count * sizeof *grown);

		if (!grown)
			return err_no_memory(e, count * sizeof *grown);
		memset(grown + v->count, 0, (count - v->count) * sizeof *grown);
		v->at_ms = grown;
		v->count = count;
	}
	v->at_ms[ordinal] = at_ms;
	return ERR_OK;
}

int64_t verified_at(const struct verified *v, uint32_t ordinal)
{
	return ordinal < v->count ? v->at_ms[ordinal] : 0;
}

void verified_release(struct verified *v)
{
	mem_free(v->at_ms);
	*v = (struct verified){ 0 };
}

static enum err_code take_rows(const struct repo *r, struct span file, struct verified *v, struct err *e)
{
	struct rd in = rd_of(span_first(file, file.len - HASH_BYTES));
	int64_t now = clock_now_ms();
	uint8_t hash[HASH_BYTES], magic[8];
	uint32_t version, count;
	enum err_code rc = ERR_OK;

	crypto_digest(in.left, hash, sizeof hash);
	rd_copy(&in, magic, sizeof magic);
	version = rd_u32(&in);
	count = rd_u32(&in);
	if (memcmp(hash, file.ptr + file.len - HASH_BYTES, sizeof hash) != 0 ||
	    memcmp(magic, FILE_MAGIC.ptr, sizeof magic) != 0 || version != FILE_VERSION)
		return ERR_OK;
	for (uint32_t i = 0; !rc && i < count && !in.bad; i++) {
		struct pack_name name;
		uint32_t ordinal;
		int64_t at;

		rd_copy(&in, name.random, sizeof name.random);
		name.session = rd_u64(&in);
		at = (int64_t)rd_u64(&in);
		if (!in.bad && at > 0 && at <= now && ledger_pack_find(r->ledger, &name, &ordinal))
			rc = verified_set(v, ordinal, at, e);
	}
	return rc;
}

enum err_code verified_load(const struct repo *r, struct verified *out, struct err *e)
{
	struct buf path = BUF_EMPTY, file = BUF_WITH_MAX(FILE_BYTES_MAX);
	enum err_code rc = repo_cache_path(r, FILE_NAME, &path, e);

	*out = (struct verified){ 0 };
	if (!rc)
		rc = file_read((const char *)path.ptr, FILE_BYTES_MAX, &file, e);
	if (!rc && file.len > HASH_BYTES)
		rc = take_rows(r, buf_span(&file), out, e);
	if (rc && rc != ERR_NO_MEMORY)
		rc = ERR_OK;
	if (rc)
		verified_release(out);
	buf_release(&path);
	buf_release(&file);
	return rc;
}

enum err_code verified_save(const struct repo *r, const struct verified *v, struct err *e)
{
	struct buf path = BUF_EMPTY, file = BUF_WITH_MAX(FILE_BYTES_MAX);
	struct wr w = wr_to(&file, e);
	uint8_t hash[HASH_BYTES];
	uint32_t count = 0;
	enum err_code rc;

	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++)
		count += ledger_pack(r->ledger, i)->state == PACK_LIVE && verified_at(v, i);
	wr_bytes(&w, FILE_MAGIC);
	wr_u32(&w, FILE_VERSION);
	wr_u32(&w, count);
	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(r->ledger, i);

		if (fact->state != PACK_LIVE || !verified_at(v, i))
			continue;
		wr_bytes(&w, span_of(fact->pack.name.random, sizeof fact->pack.name.random));
		wr_u64(&w, fact->pack.name.session);
		wr_u64(&w, (uint64_t)verified_at(v, i));
	}
	rc = wr_end(&w);
	if (!rc) {
		crypto_digest(buf_span(&file), hash, sizeof hash);
		rc = buf_append(&file, span_of(hash, sizeof hash), e);
	}
	if (!rc)
		rc = repo_cache_path(r, FILE_NAME, &path, e);
	if (!rc)
		rc = file_replace((const char *)path.ptr, buf_span(&file), 0600, false, e);
	buf_release(&path);
	buf_release(&file);
	return rc;
}

void verified_sum(const struct repo *r, const struct verified *v, struct engine_verified *out)
{
	*out = (struct engine_verified){ 0 };
	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(r->ledger, i);
		int64_t at = verified_at(v, i);

		if (fact->state != PACK_LIVE)
			continue;
		out->packs += at != 0;
		out->bytes += at ? fact->pack.bytes : 0;
		out->never_packs += at == 0;
		out->never_bytes += at ? 0 : fact->pack.bytes;
		if (at && (!out->oldest_ms || at < out->oldest_ms))
			out->oldest_ms = at;
	}
}
