/*
 * scene: a story of commands on one repository, recorded on the tape as the real program runs them, and what it has
 * promised by then. The mail that is backed up lies outside of the disks and is made from numbers.
 */
#ifndef MAILHOLD_TESTS_DISK_SCENE_H
#define MAILHOLD_TESTS_DISK_SCENE_H

#include "disk.h"

#include "base/buf.h"

#define STEPS_MAX 40

/* What the judge's next snapshot is taken of: something of every scene's mail, and something new. */
#define NEXT_FIRST 4
#define NEXT_COUNT 17

enum effect {
	EFFECT_END, /* of the list */
	EFFECT_NONE,
	EFFECT_INIT,
	EFFECT_SNAPSHOT,
	EFFECT_FORGET, /* of the snapshot of step SUBJECT */
	EFFECT_UNDO,
	EFFECT_EXPIRE, /* a prune that empties the trash */
	EFFECT_KEY_ADD,
	EFFECT_KEY_CHANGE,
	EFFECT_KEY_REMOVE,
	EFFECT_HARM, /* not a command: the newest record is damaged, and the client's cache is lost */
	EFFECT_REPAIR_LEDGER
};

/*
 * WORDS of the command line: "mail:FIRST-COUNT" stands for a Maildir with these messages, "id:STEP" for the id that this
 * step's snapshot got, "client:NAME" for a file on the client's disk.
 */
struct step {
	const char *words;
	enum effect effect;
	unsigned subject;
};
struct scene {
	const char *name;
	bool no_tmpfile, no_links; /* what the disks lack */
	bool later;                /* only the last steps are cut: what comes before is another scene's business */
	unsigned cut_from;         /* the first step that is cut, with LATER */
	struct step steps[STEPS_MAX];
};
extern const struct scene scenes[];
extern const size_t scene_count;

/* ---- the place ---- */

struct stage {
	char folder[64]; /* everything of this run */
	char roots[DISK_COUNT][96];
};
/* Makes a folder below TMPDIR. */
void stage_open(struct stage *s);
void stage_close(struct stage *s);
/* Empties (or makes) a pair of disks in FOLDER/NAME and gives their roots. */
struct roots {
	char text[DISK_COUNT][160];
	const char *both[DISK_COUNT];
};
void stage_disks(const struct stage *s, const char *name, struct roots *out);

/* The Maildir of "FIRST-COUNT", made when it is missing; and the sum of all that a snapshot of it must hold. */
void mail_folder(const struct stage *s, unsigned first, unsigned count, char out[160]);
uint64_t mail_sum(unsigned first, unsigned count);
/* One item's part of the sum. */
uint64_t mail_item_sum(struct span collection, struct span key, struct span bytes);

/* ---- running commands ---- */

struct result {
	int exit; /* 1000 + the signal that ended it */
	char *out, *err;
};
/* Runs one step's command in a child; IDS are the hex ids of the steps' snapshots. With HARM it does that instead. */
void run_step(const struct stage *s, const struct roots *at, const struct step *step, char ids[STEPS_MAX][33],
              const char *key_name, bool recorded, struct result *out);
void result_release(struct result *r);
/* The 32 digits behind "id": in OUT; false when there are none. */
bool result_id(const struct result *r, char id[33]);
/* The key file that opens the repository before step K. */
const char *key_before(const struct scene *scene, unsigned k);
/* The messages of "mail:FIRST-COUNT" in WORDS. */
bool step_mail(const struct step *step, unsigned *first, unsigned *count);

/* ---- a recorded scene ---- */

#define KEY_NAMES_MAX 3
extern const char *const key_names[KEY_NAMES_MAX]; /* of key files on the client's disk: init, key add, key passwd */

struct recorded {
	const struct scene *scene;
	unsigned step_count;
	uint64_t op_count;
	uint64_t begun[STEPS_MAX], told[STEPS_MAX]; /* operations before; told: UINT64_MAX for never */
	char ids[STEPS_MAX][33];
	uint8_t keys[KEY_NAMES_MAX][32];
	bool has_key[KEY_NAMES_MAX];
	unsigned loose; /* a step that may have made snapshots of ids that nobody knows; STEPS_MAX for none */
};
/* Runs SCENE on empty disks while the tape records, and makes all mail. Ends the process when a command fails. */
void scene_record(const struct stage *s, const struct scene *scene, struct recorded *out);
/* Reads the key files that are there. */
void scene_read_keys(const struct roots *at, struct recorded *r);

/* What must hold after AT operations. */
enum must {
	MUST_NOTHING, /* not promised yet, or given up */
	MUST_LIVE,
	MUST_LIVE_OR_TRASH,
	MUST_TRASH
};
struct promise {
	bool init;                      /* there is a repository */
	bool harmed;                    /* a record is damaged, and not passed over for sure */
	enum must snapshots[STEPS_MAX]; /* by step */
	bool key_file[KEY_NAMES_MAX];   /* the file is on the client's disk */
	bool opens[KEY_NAMES_MAX];      /* it opens the repository */
	bool opens_not[KEY_NAMES_MAX];
};
void scene_promise(const struct recorded *r, uint64_t at, struct promise *out);
/* The step during which operation AT happens. */
unsigned scene_step_at(const struct recorded *r, uint64_t at);

/* ---- judging ---- */

struct verdict {
	bool good;
	char text[900];
};
/*
 * In this process: opens the repository of P that lies at AT, checks every byte, compares every snapshot with what it must
 * hold, takes the next snapshot, prunes, and compares again. REPOSITORY tells whether there was one.
 */
void judge(const struct stage *s, const struct recorded *r, const struct promise *promise, const struct picture *p,
           bool client_lost, const struct roots *at, bool *repository, struct verdict *out);
/* Of what a run with faults left: all but the next snapshot and the prune. SNAPSHOTS is set for those that are live. */
void judge_quick(const struct recorded *r, const struct promise *promise, const struct roots *at, bool live[STEPS_MAX],
                 struct verdict *out);

#endif
