#include <assert.h>

#include "engine/engine.h"
#include "engine/repo/repo.h"

/* PURPOSE ‖ 0 ‖ repository ‖ holder ‖ digest: nothing that is signed elsewhere looks so. */
static struct span message_of(const struct repo *r, const char *purpose, const struct holder_id *holder,
                              const uint8_t digest[STATEMENT_DIGEST_BYTES], uint8_t *out, size_t max)
{
	struct repo_id repo = keys_repo(r->keys);
	size_t n = strlen(purpose) + 1;

	assert(n + sizeof repo.bytes + sizeof holder->bytes + STATEMENT_DIGEST_BYTES <= max);
	memcpy(out, purpose, n);
	memcpy(out + n, repo.bytes, sizeof repo.bytes);
	n += sizeof repo.bytes;
	memcpy(out + n, holder->bytes, sizeof holder->bytes);
	n += sizeof holder->bytes;
	memcpy(out + n, digest, STATEMENT_DIGEST_BYTES);
	return span_of(out, n + STATEMENT_DIGEST_BYTES);
}

void engine_sign(const struct repo *r, const char *purpose, const uint8_t digest[STATEMENT_DIGEST_BYTES],
                 struct statement *out)
{
	uint8_t bytes[128];

	out->holder = keys_holder(r->keys);
	keys_sign(r->keys, message_of(r, purpose, &out->holder, digest, bytes, sizeof bytes), out->signature);
}

enum err_code engine_verify(const struct repo *r, const char *purpose, const uint8_t digest[STATEMENT_DIGEST_BYTES],
                            const struct statement *s, struct err *e)
{
	const struct holder_payload *p = ledger_holder_find(r->ledger, &s->holder);
	uint8_t bytes[128];

	if (!p)
		return err_set(e, ERR_NOT_FOUND, "the key that signed it is none of this repository's");
	if (p->role == HOLDER_REMOVED)
		return err_set(e, ERR_NOT_FOUND, "the key that signed it was removed from the repository");
	if (!sign_verify(p->public_key, message_of(r, purpose, &s->holder, digest, bytes, sizeof bytes), s->signature))
		return err_set(e, ERR_CORRUPT, "it is not what that key has signed");
	return ERR_OK;
}
