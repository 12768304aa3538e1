/*
 * box: what the fault tests share: a folder of their own, small mails to keep, and the program's commands run in a
 * child process each, so that one that crashes or hangs is told and nothing carries over to the next.
 * Thread   one; the process that forks has no others.
 */
#ifndef MAILHOLD_TESTS_FAULTS_BOX_H
#define MAILHOLD_TESTS_FAULTS_BOX_H

#include "alloc_faults.h"

enum { BOX_WORDS_MAX = 12, BOX_SECONDS_MAX = 60, BOX_PATH_MAX = 400 };

struct box {
	char folder[BOX_PATH_MAX / 2]; /* holds source/ (never changed), work/ and kept worlds */
	char work[BOX_PATH_MAX];       /* where commands run: repo, key, cache, state */
};

/* With BOX_FULL one mail has 70 attachments, more than a page names in place; BOX_SMALL is small throughout. */
enum box_size { BOX_SMALL, BOX_FULL };

/* Makes the folder, the mails below source/, and sets the environment for children. Ends the process on failure. */
void box_begin(struct box *b, enum box_size size);
void box_end(struct box *b);

/* Keeps work/ as NAME, and brings it back. A kept world is never changed. */
void box_keep(struct box *b, const char *name);
void box_bring_back(struct box *b, const char *name);

struct box_run {
	int code;          /* exit code; -SIGNAL when a signal ended it, which may be our own SIGALRM: it hung */
	char out[1 << 16]; /* what it printed, NUL-terminated, cut at the end of the room */
	char err[1 << 14];
	struct alloc_report mem;
	unsigned descriptors; /* left open */
};
/*
 * Runs one command line (words up to NULL; without the program's name) in work/, with its NTH allocation failing (0:
 * none, and nothing is counted).
 */
void box_command(struct box *b, const char *const *words, uint64_t nth, bool all_after, uint64_t show,
                 struct box_run *out);
/* As above, without faults, and the process ends when the command does not end with 0. */
void box_must(struct box *b, const char *const *words, struct box_run *out);

/* Every file below PATH with its bytes, as one number; order does not matter. 0 when there is none. */
uint64_t box_fingerprint(const char *path);

/* Prints and ends the process: the test itself cannot go on. */
_Noreturn void box_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* splitmix64 over *STATE. The seed is MAILHOLD_TEST_SEED or the clock, printed once. */
uint64_t box_random(uint64_t *state);
uint64_t box_seed(const char *test);

#endif
