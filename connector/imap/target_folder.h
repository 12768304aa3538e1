/*
 * target_folder: where a collection goes in an account: which folder it is there, or what its name will be.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_TARGET_FOLDER_H
#define MAILHOLD_CONNECTOR_IMAP_TARGET_FOLDER_H

#include "folders.h"

/* What a run knows of its target, and what it has decided. */
struct target_names {
	struct folders folders;
	struct buf prefix; /* of the personal namespace (RFC 2342), as the server writes it: "INBOX." */
	char delimiter;    /* 0: no levels */
	struct buf moved; /* collections that did not go to their own name, and where: those below them go there, too */
	struct buf raws;  /* names that were given, each with a NUL behind */
	unsigned roles;   /* that were given, a bit each */
};
MUST_CHECK enum err_code target_names_load(struct imap_client *c, struct target_names *out, struct err *e);
void target_names_release(struct target_names *t);

struct target_folder {
	struct buf raw;  /* its name as the server writes it */
	struct buf path; /* as a person does */
	bool exists;
	bool by_role;                   /* it was found by its role, under another name */
	bool renamed;                   /* its own name cannot be had there */
	enum collection_role give_role; /* to be made with it */
};
/* INTO: a folder to put it in, or "". Remembers what it decides. */
MUST_CHECK enum err_code target_folder_find(struct target_names *t, const struct collection *c, const char *into,
                                            struct target_folder *out, struct err *e);
/* A folder that there is and that nothing was put to so far; *FOUND false: there are no more. */
MUST_CHECK enum err_code target_folder_rest(struct target_names *t, bool *found, struct target_folder *out,
                                            struct err *e);
void target_folder_release(struct target_folder *f);
/* "\\Sent"; NULL for roles that IMAP has no word for. */
const char *target_role_word(enum collection_role role);

#endif
