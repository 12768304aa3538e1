/*
 * tape: between the program under test and the kernel. Every call on a file of one of the two disks (folders that are
 * named to it) passes here, whether our own code, RocksDB or libc's caller makes it: the functions are defined in the
 * executable and so come before libc's.
 *   Recording   each call that changes something is appended, with its bytes, in the order in which it happened.
 *   Failing     the n-th call of those that an error can hit fails; nothing of it happens (a short one happens in part).
 *   Off         everything passes. What is outside of the disks (the mail that is backed up) always passes.
 * Process  a tape lies in shared memory: forked children write it, one at a time, with any number of threads.
 * Not seen: mmap (nobody writes through it here), and what libc does inside of nftw and stdio, but for opening and fread.
 */
#ifndef MAILHOLD_TESTS_DISK_TAPE_H
#define MAILHOLD_TESTS_DISK_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_STORE, DISK_CLIENT, DISK_COUNT };

enum tape_kind {
	TAPE_STEP,   /* a command begins; offset is its number */
	TAPE_CREATE, /* a file; without a name when it was made with O_TMPFILE */
	TAPE_MKDIR,
	TAPE_LINK,   /* a further name */
	TAPE_UNLINK, /* a file's or a folder's name is taken away */
	TAPE_RENAME, /* dir and name to dir2 and name2 */
	TAPE_WRITE,
	TAPE_TRUNCATE, /* offset: the new size */
	TAPE_SYNC,     /* a file or folder */
	TAPE_SYNC_ALL, /* the whole disk */
	TAPE_TELL      /* results went to standard output */
};
const char *tape_kind_name(enum tape_kind kind);

/* One operation. INO and DIR are the kernel's numbers, good until they are created anew. Borrowed from the tape. */
struct tape_op {
	enum tape_kind kind;
	unsigned disk;
	uint64_t ino, dir, dir2;
	uint64_t offset;
	const char *name, *name2; /* "" where there is none */
	const uint8_t *data;
	size_t len;
};

/* Makes the shared memory; once, before the first fork. ROOTS are absolute paths of folders that exist. */
void tape_start(const char *const roots[DISK_COUNT]);
/* Empties it. */
void tape_clear(void);
/* Other roots, for this process and its children. */
void tape_move(const char *const roots[DISK_COUNT]);
/* On or off, for this process and its children. */
void tape_record(bool on);
void tape_step(uint64_t number);
/* The inode number of a root, for whoever plays the tape. */
uint64_t tape_root_ino(unsigned disk);
/* Reads the operation at *AT (0: the first) and moves on; false at the end. */
bool tape_next(uint64_t *at, struct tape_op *out);

/* What a file system lacks: O_TMPFILE, and hard links. */
void tape_lacks(bool tmpfile, bool links);

enum fault {
	FAULT_NONE,
	FAULT_EIO,    /* once: reading, writing, syncing, looking */
	FAULT_EIO_ON, /* from then on: a disk that has died */
	FAULT_ENOSPC, /* from then on: what needs room; taking away works */
	FAULT_EDQUOT, /* as ENOSPC */
	FAULT_EROFS,  /* from then on: whatever changes something */
	FAULT_EINTR,  /* once */
	FAULT_SHORT,  /* from then on, every third read or write moves half of the bytes */
	FAULT_KINDS
};
const char *fault_name(enum fault fault);
/* A process that makes children fail beside others calls it first: its counters are its own. */
void tape_own_faults(void);
/* Call number AT (from 0) of those on DISK that FAULT can hit fails, in this process and its children. Counts from 0. */
void tape_fault(enum fault fault, unsigned disk, uint64_t at);
/* Nothing fails, all that FAULT could hit is counted for each FAULT and disk. */
void tape_count(void);
uint64_t tape_counted(enum fault fault, unsigned disk);
/* What the first call was that was hit; "" for none. */
const char *tape_fault_hit(void);

#endif
