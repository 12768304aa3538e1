/*
 * retention: which snapshots stay. A pure function: rules and times in, a verdict with its reasons for each snapshot
 * out. It knows no ledger, no clock and no disk. docs/retention.md tells it to people.
 *
 * What never happens, whatever the rules say: the newest complete snapshot of a group goes; an unfinished run takes the
 * place of a complete snapshot; a snapshot that lost more than half of its items takes the place of the one before it;
 * a snapshot whose claimed time cannot be true takes the place of any.
 * Order    that of the ledger. Times are claims:
 * one before that of its predecessor in the group, or after NOW, does not count.
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_ENGINE_RETENTION_RETENTION_H
#define MAILHOLD_ENGINE_RETENTION_RETENTION_H

#include "base/err.h"

enum retention_period {
	RETENTION_LAST, /* every snapshot is a period of its own */
	RETENTION_HOURLY,
	RETENTION_DAILY,
	RETENTION_WEEKLY, /* from Monday */
	RETENTION_MONTHLY,
	RETENTION_QUARTERLY,
	RETENTION_YEARLY,
	RETENTION_PERIODS
};

/*
 * Of each period the newest snapshot is kept, in local civil time by the snapshot's own zone. count[p]: for so many
 * periods that have one; 0: no such rule. within_ms[p]: for all periods of that long before the group's newest
 * snapshot; 0: no such rule.
 */
struct retention_rules {
	uint32_t count[RETENTION_PERIODS];
	int64_t within_ms[RETENTION_PERIODS];
	bool tags;   /* there is a rule that keeps tagged ones */
	bool forced; /* no brake */
};

struct retention_snapshot {
	uint32_t group; /* one account as one holder keeps it: below GROUP_COUNT */
	int64_t time_ms;
	int16_t zone_minutes;
	bool partial, shrunk, pinned, held, tagged; /* held: by a hold; tagged: a rule keeps it for its tags */
	bool settled; /* was there already when something of its group was forgotten, and stayed */
};

/* A complete one that was forgotten. It is judged no more, and tells how many a day were usual. */
struct retention_past {
	uint32_t group;
	int64_t time_ms;
};

struct retention_case {
	const struct retention_snapshot *snapshots; /* live ones, in ledger order */
	size_t count;
	const struct retention_past *past; /* in any order */
	size_t past_count;
	uint32_t group_count;
	int64_t now_ms;
};

/* Why it stays, or goes. The first RETENTION_PERIODS bits: by count[p]; the next: by within_ms[p]. */
enum retention_reason {
	RETENTION_WITHIN = RETENTION_PERIODS, /* number of the bit of within_ms[0] */
	RETENTION_TAGGED = 2 * RETENTION_PERIODS,
	RETENTION_PINNED,
	RETENTION_HELD,
	RETENTION_NEWEST, /* complete, and nothing newer is */
	RETENTION_SHRUNK, /* has less than half of the items of the one before: somebody should look */
	RETENTION_BEFORE_SHRUNK,
	RETENTION_BAD_CLOCK,  /* its time cannot be true, so it is judged by nobody */
	RETENTION_UNFINISHED, /* partial, and nothing complete came after it */
	RETENTION_FINISHED,   /* goes: partial, and something complete came after it */
	RETENTION_NO_RULE,    /* goes */
	RETENTION_REASON_END
};
#define RETENTION_BIT(reason) (1u << (reason))
/* "daily", "within-weekly", "pinned" …: fixed words for --json and for people. */
const char *retention_reason_name(unsigned reason);

struct retention_verdict {
	bool keep;
	unsigned reasons; /* RETENTION_BIT of each */
};

/* Why a policy was not carried out for a group. */
enum retention_brake {
	RETENTION_GO = 0,
	RETENTION_TOO_MANY, /* of at least RETENTION_BRAKE_MIN complete ones more than half would go */
	/*
	 * At least RETENTION_BRAKE_MIN settled ones would go even if nothing had come since. What rules left they leave
	 * again: so these are other rules, or a hold, a pin or the trash gave back what rules do not keep.
	 */
	RETENTION_SUDDEN,
	RETENTION_BURST /* many came within some day, far more than usual then, and push older ones out */
};
#define RETENTION_BRAKE_MIN 8
/*
 * 24 hours in which at least RETENTION_BRAKE_MIN came are a burst when these are more than RETENTION_BURST_TIMES as many
 * as came in as long a time of the RETENTION_USUAL_DAYS before. It may be long ago: it matters as long as it fills what
 * counts snapshots or hours.
 */
#define RETENTION_BURST_TIMES 4
#define RETENTION_USUAL_DAYS  30

/*
 * Judges the snapshots of OF. OUT gets one verdict each, BRAKES (OF->group_count of them) what stands against carrying
 * them out. ERR_USAGE: no rule at all.
 */
MUST_CHECK enum err_code retention_judge(const struct retention_rules *rules, const struct retention_case *of,
                                         struct retention_verdict *out, enum retention_brake *brakes, struct err *e);

#endif
