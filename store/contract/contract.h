/*
 * contract: what a kind of store implements so that store.h can offer it, and the rules that all kinds share. The
 * promises are those of store.h; names were checked at its door. Errors name the object as the user would find it.
 */
#ifndef MAILHOLD_STORE_CONTRACT_CONTRACT_H
#define MAILHOLD_STORE_CONTRACT_CONTRACT_H

#include <stdatomic.h>

#include "store/store.h"

struct store_kind;

/* First in the struct of every kind. */
struct store {
	const struct store_kind *kind;
	char *url; /* as the user typed it; owned by store.c, which keeps it in place from open to free */
	const volatile sig_atomic_t *stop;
	atomic_bool met; /* it has answered: store.c's */
};

/* First in every kind's draft. */
struct store_draft {
	struct store *store;
};

/* The functions of store.h, in its order; drop_empty_folder, sync and draft_hint may be NULL: there is nothing to do. */
struct store_kind {
	const char *prefix; /* of its URLs, "sftp://"; NULL takes what no other takes */
	bool far;           /* calls that fail with a hint in RETRY are made again, with patience (retry.h) */
	enum err_code (*open)(const char *url, struct store **out, struct err *e);
	enum err_code (*create)(const char *url, struct store **out, struct err *e);
	void (*free)(struct store *s);
	enum err_code (*put)(struct store *s, const char *name, struct span bytes, struct err *e);
	enum err_code (*get)(struct store *s, const char *name, size_t max, struct buf *out, struct err *e);
	enum err_code (*get_range)(struct store *s, const char *name, uint64_t offset, size_t len, uint8_t *dst,
	                           struct err *e);
	enum err_code (*size)(struct store *s, const char *name, uint64_t *bytes, struct err *e);
	enum err_code (*delete)(struct store *s, const char *name, struct err *e);
	void (*drop_empty_folder)(struct store *s, const char *folder);
	enum err_code (*sync)(struct store *s, const char *name, struct err *e);
	enum err_code (*list)(struct store *s, const char *folder, store_visit visit, void *ctx, struct err *e);
	enum err_code (*draft_open)(struct store *s, struct store_draft **out, struct err *e);
	enum err_code (*draft_write)(struct store_draft *d, struct span bytes, struct err *e);
	void (*draft_hint)(struct store_draft *d);
	/* For what is far: of a draft that was to be committed. */
	uint64_t (*draft_size)(const struct store_draft *d);
	enum err_code (*draft_read)(const struct store_draft *d, uint64_t offset, size_t len, uint8_t *dst,
	                            struct err *e);
	/* These two leave the draft to be freed by store.c, and may be called again after a failure. */
	enum err_code (*draft_commit)(struct store_draft *d, const char *name, struct err *e);
	enum err_code (*draft_put_back)(struct store_draft *d, const char *name, char *kept, struct err *e);
	void (*draft_free)(struct store_draft *d);
};

#define STORE_PART_MAX 100
/* What is being written lies below it in stores that have folders; no object's name begins with it. */
#define STORE_TEMP_FOLDER    "tmp"
#define STORE_DAMAGED_FOLDER "damaged"

bool store_name_part_ok(struct span part);
/* True for the name of an object: what a listing may tell. */
bool store_name_ok(const char *name);
/* "damaged/NAME.XXXXXXXX", drawn by chance. ERR_LIMIT when that is too long. */
MUST_CHECK enum err_code store_damaged_name(const char *name, char out[STORE_NAME_MAX + 1], struct err *e);
/* "tmp/" and 24 hex digits that nobody else draws: the kernel's randomness, for forked and cloned machines would share a counter. */
#define STORE_TEMP_NAME_MAX 40
MUST_CHECK bool store_temp_name(char out[STORE_TEMP_NAME_MAX]);

/*
 * A listing from far away: all of it first, then the visits, as a visit may call the store and wait for a connection of its own.
 * FOUND begins as STORE_FOUND and is released by the caller.
 */
MUST_CHECK enum err_code store_found_add(struct buf *found, const char *name, uint64_t bytes, struct err *e);
MUST_CHECK enum err_code store_found_visit(const struct buf *found, store_visit visit, void *ctx, struct err *e);
#define STORE_FOUND BUF_WITH_MAX(256 * MIB) /* some 3 million objects */

#endif
