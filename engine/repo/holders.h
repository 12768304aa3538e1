/*
 * holders: for this room's own files: the objects under key/ and the records that announce whom they belong to.
 * Format   docs/format/key.md. key/HOLDER is a holder's first slot, key/HOLDER.XXXXXXXX (8 random hex digits) a later
 * one, which key passwd makes; key/HOLDER.bundle and key/HOLDER.label stand beside them.
 * Order    docs/order.md, rules
 * 8 and 9: objects are durable and were opened once before a record announces their holder; a removal is recorded
 * before objects are deleted.
 */
#ifndef MAILHOLD_ENGINE_REPO_HOLDERS_H
#define MAILHOLD_ENGINE_REPO_HOLDERS_H

#include "engine/repo/repo.h"

enum key_object { KEY_OTHER = 0, KEY_SLOT, KEY_SLOT_LATER, KEY_BUNDLE, KEY_LABEL };

/* KEY_OTHER for a name that is none of ours. */
enum key_object key_path_parse(const char *name, struct holder_id *out);
/* The name; of a KEY_SLOT_LATER with fresh random digits. */
struct key_path key_path_of(struct holder_id holder, enum key_object what);

/*
 * Tries SECRET on every slot of KIND. ERR_WRONG_KEY, ERR_NO_REPOSITORY, or what was wrong with the slot it fits. SLOT
 * names the one that opened. OPENED: SECRET opens a slot, though not what belongs to it.
 */
MUST_CHECK enum err_code unlock_any(struct store *s, const struct secret *secret, enum slot_kind kind,
                                    struct keys **out, struct key_path *slot, bool *opened, struct err *e);
/* The same with one slot, whose bytes say what kind it is. */
MUST_CHECK enum err_code unlock_slot(struct store *s, const char *name, const struct secret *secret, struct keys **out,
                                     struct err *e);

/* Bundle, label and slot of the holder of K, the slot last: without it nothing opens. NAMER seals the label. */
MUST_CHECK enum err_code holder_objects_put(struct store *s, const struct keys *namer, const struct keys *k,
                                            const struct secret *secret, const struct slot_options *slot,
                                            struct err *e);
/* ERR_WRONG_KEY when our holder was removed, or was never announced. */
MUST_CHECK enum err_code holder_check(const struct repo *r, struct err *e);

#endif
