/*
 * vouch: vouching for packs that a full holder has read whole, so that others may deduplicate against them
 * (docs/threat_model.md). check gathers them, one record names them.
 * Thread   one thread at a time.
 */
#ifndef MAILHOLD_ENGINE_WORK_VOUCH_H
#define MAILHOLD_ENGINE_WORK_VOUCH_H

#include "engine/repo/repo.h"

/*
 * Every byte of the pack was read, and every chunk of it is what its id says. Notes its ordinal in ORDINALS (uint32_t)
 * when that is news and our key vouches for anything: else nothing.
 */
MUST_CHECK enum err_code vouch_note(const struct repo *r, const struct pack_fact *fact, struct buf *ordinals,
                                    struct err *e);
/* Records what was noted, and releases ORDINALS. A failure is a notice: what was checked is as good without. */
void vouch_record(struct repo *r, struct buf *ordinals);

#endif
