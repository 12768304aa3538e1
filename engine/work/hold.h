/*
 * hold: what stays whatever the rules say, as the room's own files need it. Making and listing holds is engine.h's.
 * Format   docs/format/ledger.md, section 4.4.
 * Thread   one thread at a time.
 */
#ifndef MAILHOLD_ENGINE_WORK_HOLD_H
#define MAILHOLD_ENGINE_WORK_HOLD_H

#include "engine/snapshot/snapshot.h"

/* ---- details: tagged fields, sealed under BOX_NAMES with the hold's id as associated data ---- */

struct hold_details {
	struct span label, who, account;
	int64_t until_ms;        /* INT64_MIN: none */
	struct find_query query; /* without account */
};
MUST_CHECK enum err_code hold_details_encode(const struct hold_details *d, struct buf *out, struct err *e);
/* Spans point into FIELDS. ERR_UNSUPPORTED: a field that we do not know may narrow the query, so nobody may guess. */
MUST_CHECK enum err_code hold_details_decode(struct span fields, struct hold_details *out, struct err *e);
MUST_CHECK enum err_code hold_details_seal(const struct keys *k, const struct hold_id *id, const struct hold_details *d,
                                           struct buf *out, struct err *e);
/* HOLD receives what the spans of OUT point into. ERR_WRONG_KEY for a keeper. */
MUST_CHECK enum err_code hold_details_open(const struct keys *k, const struct hold_payload *p, struct buf *hold,
                                           struct hold_details *out, struct err *e);

/* ---- which must stay ---- */

/*
 * ROWS (numbers of ledger_snapshot) are to go, all of them live or all in the trash. WHY[i] becomes the hold that keeps
 * ROWS[i], or NULL. A hold on items keeps as few as it can, the newest first; those that only lie in the trash hold
 * nothing for live ones. To a keeper all that such a hold looks at must stay. Good for the ledger's head of now.
 */
MUST_CHECK enum err_code holds_judge(struct repo *r, const size_t *rows, size_t count, const struct hold_fact **why,
                                     struct err *e);

/*
 * Moves live snapshots to the trash, all or none. LOOKED is the ledger record at which the caller asked holds_judge
 * about these very ones and was told that none must stay; UINT64_MAX: it did not. ERR_NOT_FOUND names one that is held.
 */
MUST_CHECK enum err_code holds_forget(struct repo *r, uint64_t looked, const struct snapshot_id *ids, size_t count,
                                      struct err *e);
/* Appends the label to OUT; nothing for a keeper. */
MUST_CHECK enum err_code hold_label(const struct repo *r, const struct hold_fact *fact, struct buf *out, struct err *e);

/*
 * FRESH[i] becomes whether ROWS[i] has an item that Q finds and none of the rows before had. One that cannot be read
 * counts as if it had. Q's account is not looked at.
 */
MUST_CHECK enum err_code find_fresh(struct repo *r, const struct find_query *q, const size_t *rows, size_t count,
                                    bool *fresh, struct err *e);

#endif
