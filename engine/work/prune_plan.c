/*
 * What is worth to be rewritten: of the packs that hold something needed, those whose rewriting gives most back for
 * each byte that must be copied, until no more is unused than the options allow; and small ones that have enough of
 * their like. A block that is carried sealed keeps what is unused in it, so a pack's gain counts whole blocks where the
 * key cannot open them.
 */
#include "engine/work/prune.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define SMALL_PACK_BYTES (8 * MIB)
#define SMALL_PACKS_MIN  16 /* of one tier */
#define SMALL_TIERS      24 /* sizes by powers of 8, so that a byte moves a few times at most while small packs gather */
/* A full block of which so few percent are unused is carried: opening it and compressing it anew costs more. */
#define CARRIED_UNUSED_MAX 10

bool prune_is_late(const struct prune *p)
{
	return p->options->max_duration_ms && clock_monotonic_ms() - p->started_ms >= p->options->max_duration_ms;
}

/* ---- blocks ---- */

static uint32_t live_in(const struct mark_pack *t, uint32_t b)
{
	uint32_t live = 0;

	for (uint32_t i = t->starts[b]; i < t->starts[b + 1]; i++)
		live += mark_bit(t->live, i);
	return live;
}

static enum block_fate fate_of(const struct prune *p, const struct mark_pack *t, uint32_t b, uint32_t live)
{
	enum block_class class = (enum block_class)t->classes[b];
	uint64_t chunks = t->starts[b + 1] - t->starts[b];
	unsigned bearable = p->options->max_unused_percent;

	if (class == CLASS_MANIFEST)
		return BLOCK_OPENED;
	if (!live)
		return BLOCK_GONE;
	if (block_class_scope(class) != SCOPE_STRUCT && !keys_read_names(p->repo->keys))
		return BLOCK_CARRIED;
	if (bearable > CARRIED_UNUSED_MAX)
		bearable = CARRIED_UNUSED_MAX;
	if ((chunks - live) * 100 > chunks * bearable || t->raw[b] < block_class_target(class) / 2)
		return BLOCK_OPENED;
	return BLOCK_CARRIED;
}

enum block_fate prune_fate(const struct prune *p, uint32_t ordinal, uint32_t b)
{
	const struct mark_pack *t = &p->mark.packs[ordinal];

	return fate_of(p, t, b, live_in(t, b));
}

/* ---- packs ---- */

struct candidate {
	uint32_t ordinal;
	uint64_t bytes, live_bytes; /* of blocks, as mark_sum counts them */
	uint64_t kept_bytes;        /* what of them a repack would write */
	bool small;
};

/* Stored bytes that a repack of T would write. */
static uint64_t kept_bytes(const struct prune *p, const struct mark_pack *t)
{
	uint64_t sum = 0;

	for (uint32_t b = 0; b < t->block_count; b++) {
		uint32_t live = live_in(t, b), chunks = t->starts[b + 1] - t->starts[b];
		enum block_fate fate = fate_of(p, t, b, live);

		if (t->classes[b] == CLASS_MANIFEST || fate == BLOCK_GONE)
			continue;
		sum += fate == BLOCK_CARRIED ? t->sealed[b] : (uint64_t)t->sealed[b] * live / chunks;
	}
	return sum;
}

static uint64_t gain_of(const struct candidate *c)
{
	return c->bytes - c->kept_bytes;
}

/* Those that free most for each byte copied first. Small ones, which free little, last and oldest first. */
static int by_gain(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	double left = (double)x->kept_bytes / (double)(x->bytes + 1);
	double right = (double)y->kept_bytes / (double)(y->bytes + 1);

	if (x->small != y->small)
		return x->small - y->small;
	if (!x->small && left != right)
		return left < right ? -1 : 1;
	return x->ordinal < y->ordinal ? -1 : 1;
}

static unsigned tier_of(uint64_t bytes)
{
	unsigned tier = 0;

	for (; bytes >= 8 && tier < SMALL_TIERS - 1; bytes /= 8)
		tier++;
	return tier;
}

/* Packs that are small and have enough of their like. */
static void choose_small(const struct prune *p, struct candidate *all, size_t count)
{
	size_t tiers[SMALL_TIERS] = { 0 };

	for (size_t i = 0; i < count; i++)
		if (prune_fact(p, all[i].ordinal)->pack.bytes < SMALL_PACK_BYTES)
			tiers[tier_of(prune_fact(p, all[i].ordinal)->pack.bytes)]++;
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = prune_fact(p, all[i].ordinal)->pack.bytes;

		all[i].small = bytes < SMALL_PACK_BYTES && tiers[tier_of(bytes)] >= SMALL_PACKS_MIN;
	}
}

/* How much may be unused in all packs together. */
static uint64_t unused_allowed(const struct prune *p, uint64_t used)
{
	unsigned percent = p->options->max_unused_percent;
	uint64_t by_share = percent >= 100 ? UINT64_MAX : (uint64_t)((double)used * percent / (100 - percent));

	return by_share > p->options->max_unused_bytes ? by_share : p->options->max_unused_bytes;
}

static void take(struct prune *p, const struct candidate *c)
{
	p->victim[c->ordinal] = true;
	p->order[p->victim_count++] = (struct prune_victim){ c->ordinal, gain_of(c) };
	p->report->packs_repacked++;
	p->report->bytes_repacked += prune_fact(p, c->ordinal)->pack.bytes;
}

/* Chooses victims among packs that hold something needed, up to the limit of bytes to copy. */
static void choose_victims(struct prune *p, struct candidate *all, size_t count)
{
	uint64_t copied = 0, used = 0, unused = 0;

	choose_small(p, all, count);
	for (size_t i = 0; i < count; i++) {
		used += all[i].live_bytes;
		unused += all[i].bytes - all[i].live_bytes;
	}
	if (count)
		qsort(all, count, sizeof *all, by_gain);
	for (size_t i = 0; i < count; i++) {
		const struct candidate *c = &all[i];
		bool wasteful = gain_of(c) && unused > unused_allowed(p, used);

		if ((!c->small && !wasteful) || c->kept_bytes > p->options->max_repack_bytes - copied)
			continue;
		copied += c->kept_bytes;
		unused -= gain_of(c) < unused ? gain_of(c) : unused;
		take(p, c);
	}
	p->report->bytes_unused_left = unused;
	if (p->options->dry_run)
		p->report->bytes_copied = copied;
}

/* What a running session committed may be leaned on by its next commit: taking it away would only make that run fail.
 */
static bool is_in_use(const struct prune *p, uint32_t ordinal)
{
	uint64_t session = prune_fact(p, ordinal)->pack.name.session;

	return ledger_session(p->repo->ledger, session) == SESSION_OPEN &&
	       !(p->options->dry_run && p->options->silent_ms == 0);
}

static void look_at_pack(struct prune *p, uint32_t ordinal, struct candidate *all, size_t *count)
{
	struct prune_report *out = p->report;
	struct mark_sum sum = mark_sum(&p->mark, ordinal);
	uint64_t bytes = prune_fact(p, ordinal)->pack.bytes;

	out->packs++;
	out->bytes += bytes;
	out->chunks += sum.chunks;
	out->chunks_live += sum.live_chunks;
	if (is_in_use(p, ordinal))
		return;
	if (sum.live_chunks) {
		all[(*count)++] = (struct candidate){ .ordinal = ordinal,
			                              .bytes = sum.bytes,
			                              .live_bytes = sum.live_bytes,
			                              .kept_bytes = kept_bytes(p, &p->mark.packs[ordinal]) };
		return;
	}
	p->dead[ordinal] = true;
	out->packs_unused++;
	out->bytes_unused += bytes;
}

enum err_code prune_plan(struct prune *p, struct err *e)
{
	struct candidate *all;
	size_t count = 0;

	p->count = p->mark.pack_count;
	p->dead = mem_zalloc(p->count, sizeof *p->dead);
	p->victim = mem_zalloc(p->count, sizeof *p->victim);
	p->order = mem_zalloc(p->count, sizeof *p->order);
	all = mem_zalloc(p->count, sizeof *all);
	if (!p->dead || !p->victim || !p->order || !all) {
		mem_free(all);
		return err_no_memory(e, p->count * sizeof *all);
	}
	for (uint32_t i = 0; i < p->count; i++)
		if (prune_fact(p, i)->state == PACK_LIVE)
			look_at_pack(p, i, all, &count);
	choose_victims(p, all, count);
	mem_free(all);
	return ERR_OK;
}
