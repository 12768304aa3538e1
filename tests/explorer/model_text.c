/* What happens in the model, in words: W0 and W1 are its writers, P0 and P1 its pruners. */
#include "model.h"

#include <stdio.h>

struct name {
	char text[8];
};

static struct name actor_name(size_t i)
{
	struct name n;

	snprintf(n.text, sizeof n.text, "%c%u", i < WRITERS ? 'W' : 'P', (unsigned)i % WRITERS);
	return n;
}

static struct event_text source_text(uint8_t source)
{
	struct event_text t;

	if (source == SOURCE_OWN)
		snprintf(t.text, sizeof t.text, "a in a pack of its own");
	else if (source >= SOURCE_BASE)
		snprintf(t.text, sizeof t.text, "a through base snapshot %d", source - SOURCE_BASE);
	else
		snprintf(t.text, sizeof t.text, "a in pack %d", source);
	return t;
}

struct event_text entry_text(const struct entry *r)
{
	static const char *const kinds[KIND_END] = { "none",   "INIT",    "OPEN", "COMMIT", "FORGET", "UNFORGET",
		                                     "EXPIRE", "CONDEMN", "DROP", "FENCE",  "REPACK", "CHECKPOINT" };
	struct event_text t;

	switch (r->kind) {
	case KIND_COMMIT:
		snprintf(t.text, sizeof t.text, "COMMIT snapshot %d (%.80s)", r->actor + 1,
		         source_text(r->target).text);
		break;
	case KIND_FORGET:
	case KIND_UNDO:
	case KIND_EXPIRE:
		snprintf(t.text, sizeof t.text, "%s snapshot %d", kinds[r->kind], r->target);
		break;
	case KIND_CONDEMN:
	case KIND_DROP:
		snprintf(t.text, sizeof t.text, "%s pack %d", kinds[r->kind], r->target);
		break;
	case KIND_FENCE:
		snprintf(t.text, sizeof t.text, "FENCE the session of %s", actor_name(r->target).text);
		break;
	case KIND_REPACK:
		snprintf(t.text, sizeof t.text, "REPACK pack %d as pack %d", r->target, r->actor + 1);
		break;
	default:
		snprintf(t.text, sizeof t.text, "%s", r->kind < KIND_END ? kinds[r->kind] : "?");
	}
	return t;
}

struct event_text event_text(const struct event *e)
{
	struct name who = actor_name(e->actor);
	struct event_text t, entry = entry_text(&e->entry), source = source_text(e->pack);

	switch (e->what) {
	case DID_APPEND:
		snprintf(t.text, sizeof t.text, "%s folds %d records and appends %.90s", who.text, e->count,
		         entry.text);
		break;
	case DID_DECIDE:
		snprintf(t.text, sizeof t.text, "%s folds %d records and sends %.90s", who.text, e->count, entry.text);
		break;
	case DID_LAND:
		snprintf(t.text, sizeof t.text, "record %d is %s's %.100s", e->count, who.text, entry.text);
		break;
	case DID_MISS:
		snprintf(t.text, sizeof t.text, "%s finds record %d to be another's", who.text, e->count);
		break;
	case DID_LAND_FREED:
		snprintf(t.text, sizeof t.text, "the freed name of record %d becomes %s's late %.90s", e->count,
		         who.text, entry.text);
		break;
	case DID_ACKNOWLEDGE:
		snprintf(t.text, sizeof t.text, "%s knows record %d to be durable", who.text, e->count);
		break;
	case DID_BELIEVE:
		snprintf(t.text, sizeof t.text, "%s gets no answer and takes its %.90s for done", who.text, entry.text);
		break;
	case DID_DESPAIR:
		snprintf(t.text, sizeof t.text, "%.90s lands; %s gets no answer, takes it for failed and cleans up",
		         entry.text, who.text);
		break;
	case DID_UPLOAD:
		snprintf(t.text, sizeof t.text, "%s folds %d records, uploads its pack, finds %.80s", who.text,
		         e->count, source.text);
		break;
	case DID_RESOLVE:
		snprintf(t.text, sizeof t.text, "%s folds %d records, finds anew: %.80s", who.text, e->count,
		         source.text);
		break;
	case DID_COPY:
		snprintf(t.text, sizeof t.text, "%s copies pack 0 into pack %d", who.text, e->pack);
		break;
	case DID_LEAVE:
		snprintf(t.text, sizeof t.text, "%s folds %d records and gives up", who.text, e->count);
		break;
	case DID_DOOM:
		snprintf(t.text, sizeof t.text, "%s folds %d records and will delete pack %d", who.text, e->count,
		         e->pack);
		break;
	case DID_DELETE:
		snprintf(t.text, sizeof t.text, "%s deletes pack %d", who.text, e->pack);
		break;
	case DID_POWER_CUT:
		snprintf(t.text, sizeof t.text, "power cut: %d records are left", e->count);
		break;
	default:
		snprintf(t.text, sizeof t.text, "records below checkpoint %d are deleted", e->count);
	}
	return t;
}
