/*
 * disk: two disks that follow a tape, operation by operation, and can be asked at any moment what a power cut would leave
 * of them. The model is what POSIX promises and no more:
 *   - a file's bytes and size are there for sure when the file was synced after they were written; what was not synced is
 *     there, missing, or there in part: by sectors of 512 bytes or pages of 4 KiB, in any mixture of older and newer; a
 *     hole reads as zeros or as rubbish;
 *   - a name that was given, changed or taken away counts for sure when its folder was synced afterwards; what was not
 *     synced may have happened or not, each by itself, whatever the order was. That a rename does both of its halves or
 *     none is not assumed.
 * Real file systems promise more; what stands here stands on all of them.
 */
#ifndef MAILHOLD_TESTS_DISK_DISK_H
#define MAILHOLD_TESTS_DISK_DISK_H

#include "tape.h"

struct disks;

/* New disks, empty, at the beginning of the tape, which must not change while they live. Ends the process without memory. */
struct disks *disks_new(void);
void disks_free(struct disks **d);
/* Plays one more operation and shows it (OUT may be NULL); false at the end. */
bool disks_play(struct disks *d, struct tape_op *out);
/* Everything that happened so far is on the disks for sure: time has passed. */
void disks_settle(struct disks *d, unsigned disk);

/* Syncs that are passed over: of files, or folders, of DISK whose path begins with PREFIX ("repo/pack/"). */
struct no_sync {
	unsigned disk;
	bool folders;
	const char *prefix;
};
void disks_ignore_syncs(struct disks *d, const struct no_sync *rule);
/* Syncs that were passed over. */
uint64_t disks_ignored(const struct disks *d);

enum survival {
	SURVIVES_SYNCED, /* nothing that was not synced */
	SURVIVES_ALL,
	SURVIVES_NAMES,   /* all names; of bytes only what was synced */
	SURVIVES_BYTES,   /* all bytes; of names only what was synced */
	SURVIVES_SOME,    /* each piece and name by the dice */
	SURVIVES_NOTHING, /* an empty disk: another machine, a cache that somebody removed */
	SURVIVAL_KINDS
};
const char *survival_name(enum survival s);
struct choice {
	enum survival survival[DISK_COUNT];
	uint64_t seed;
};

/* What is left. Paths are relative to the disk, folders before what is in them, in order. */
struct picture_file {
	unsigned disk;
	bool folder;
	char *path;
	uint8_t *bytes;
	size_t len;
};
struct picture {
	struct picture_file *files;
	size_t count, capacity;
};
void disks_picture(struct disks *d, const struct choice *c, struct picture *out);
void picture_release(struct picture *p);
uint64_t picture_hash(const struct picture *p);
/* Writes it below the roots, which are empty folders. */
void picture_put(const struct picture *p, const char *const roots[DISK_COUNT]);
/* The file PATH on DISK, or NULL. */
const struct picture_file *picture_find(const struct picture *p, unsigned disk, const char *path);

/* ---- dice ---- */

uint64_t dice(uint64_t *state);
static inline uint64_t dice_below(uint64_t *state, uint64_t bound)
{
	return dice(state) % bound;
}

#endif
