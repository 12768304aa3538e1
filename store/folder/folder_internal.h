/*
 * folder_internal: the parts of a store in a local folder, for the files of this room and their tests.
 *
 * Every path is taken relative to root_fd, so neither a changed working folder nor a renamed parent misleads us.
 * No lock is held over I/O.
 */
#ifndef MAILHOLD_STORE_FOLDER_FOLDER_INTERNAL_H
#define MAILHOLD_STORE_FOLDER_FOLDER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "folder.h"
#include "store/contract/contract.h"

/* How this file system creates a file whole under a name that nobody had. Probed once, at the first write. */
enum create_way {
	CREATE_UNKNOWN = 0,
	CREATE_TMPFILE, /* O_TMPFILE, then linkat: nothing remains of a killed run */
	CREATE_LINK,    /* a named file in tmp/, then link, then unlink */
	CREATE_RENAME,  /* a named file in tmp/, then renameat2(RENAME_NOREPLACE): FAT and other linkless disks */
	CREATE_NONE     /* none of these works here */
};

/* ---- fd_cache: open descriptors for ranged reads, least recently used goes first ---- */

#define FD_CACHE_SLOTS 64

struct fd_slot {
	uint64_t hash;
	uint64_t used; /* tick of the last use */
	int fd;        /* -1: free */
	unsigned readers;
	bool dropped; /* the object was deleted: close when the last reader is done */
	char name[STORE_NAME_MAX + 1];
};

struct fd_cache {
	pthread_mutex_t lock;
	uint64_t tick;
	struct fd_slot slots[FD_CACHE_SLOTS];
};

void fd_cache_init(struct fd_cache *c);
void fd_cache_release(struct fd_cache *c);
/* The slot that holds NAME open, marked as being read; NULL when there is none. */
struct fd_slot *fd_cache_take(struct fd_cache *c, const char *name);
/* Hands FD over and marks it as being read; NULL (FD stays the caller's) when every slot is being read. */
struct fd_slot *fd_cache_put(struct fd_cache *c, const char *name, int fd);
void fd_cache_give_back(struct fd_cache *c, struct fd_slot *slot);
void fd_cache_drop(struct fd_cache *c, const char *name);

/* ---- folders that are known to exist and to be durable ---- */

#define FOLDERS_KNOWN 1024 /* a power of two */

struct folder_set {
	pthread_mutex_t lock;
	size_t used;
	uint64_t hashes[FOLDERS_KNOWN]; /* 0: free */
};

struct folder {
	struct store base;
	const char *path; /* inside the URL */
	int root_fd;
	atomic_int create_way;
	struct folder_set folders;
	struct fd_cache fds;
};

static inline struct folder *folder_of(struct store *s)
{
	return (struct folder *)s;
}

/* Makes the folders above NAME and their names durable. WITHOUT_CACHE looks at the disk again. */
MUST_CHECK enum err_code folders_for(struct folder *s, const char *name, bool without_cache, struct err *e);
/* Syncs the folder that holds NAME. */
MUST_CHECK enum err_code folder_sync(struct folder *s, const char *name, struct err *e);
/* As err_sys, for writing NAME (NULL: the store itself): a full disk and a missing folder get words of their own. */
enum err_code write_failed(struct folder *s, int sys_errno, const char *doing, const char *name, struct err *e);

/* ---- what the kind offers, by file ---- */

enum err_code folder_put(struct store *base, const char *name, struct span bytes, struct err *e);
enum err_code folder_get(struct store *base, const char *name, size_t max, struct buf *out, struct err *e);
enum err_code folder_get_range(struct store *base, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                               struct err *e);
enum err_code folder_size(struct store *base, const char *name, uint64_t *bytes, struct err *e);
enum err_code folder_delete(struct store *base, const char *name, struct err *e);
void folder_drop_empty(struct store *base, const char *folder);
enum err_code folder_sync_object(struct store *base, const char *name, struct err *e);
enum err_code folder_list(struct store *base, const char *folder, store_visit visit, void *ctx, struct err *e);
enum err_code folder_draft_open(struct store *base, struct store_draft **out, struct err *e);
enum err_code folder_draft_write(struct store_draft *base, struct span bytes, struct err *e);
void folder_draft_hint(struct store_draft *base);
enum err_code folder_draft_commit(struct store_draft *base, const char *name, struct err *e);
enum err_code folder_draft_put_back(struct store_draft *base, const char *name, char *kept, struct err *e);
void folder_draft_free(struct store_draft *base);

/* ---- create: a file that has no name yet, and giving it one ---- */

struct fresh {
	int fd;
	enum create_way way;
	char temp[STORE_TEMP_NAME_MAX]; /* "tmp/…" below the root; empty when there is no such name */
};
#define FRESH_NONE ((struct fresh){ -1, CREATE_UNKNOWN, "" })

MUST_CHECK enum err_code fresh_open(struct folder *s, struct fresh *out, struct err *e);
/* Syncs the bytes, gives them NAME, syncs the folder. ERR_EXISTS: somebody was first. The fresh file stays open. */
MUST_CHECK enum err_code fresh_commit(struct folder *s, struct fresh *f, const char *name, struct err *e);
/* Syncs the bytes and gives them NAME in the place of whatever has it; syncs the folder. */
MUST_CHECK enum err_code fresh_replace(struct folder *s, struct fresh *f, const char *name, struct err *e);
/* Gives F's file NAME; true when it has it. *SEEN is the errno of the call, 0 when it succeeded. */
bool fresh_give_name(struct folder *s, const struct fresh *f, const char *name, int *seen);
/* True for what a file system says that has no links or no such flag. */
bool link_missing(int sys_errno);
/* Closes it; nothing remains of what got no name. */
void fresh_close(struct folder *s, struct fresh *f);

/* ---- replace: putting an object back (docs/format/repository.md, "Putting back") ---- */

/* Keeps the object NAME under DAMAGED_FOLDER, durably, and tells its name there; empty when there is none. */
MUST_CHECK enum err_code keep_damaged(struct folder *s, const char *name, char kept[STORE_NAME_MAX + 1], struct err *e);

#endif
