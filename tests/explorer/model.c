#include "model.h"

#include <assert.h>
#include <string.h>

static bool is_writer(size_t actor)
{
	return actor < WRITERS;
}

static uint8_t first_pack(size_t actor)
{
	return (uint8_t)(1 + actor);
}

static uint8_t second_pack(size_t writer)
{
	return (uint8_t)(1 + ACTORS + writer);
}

static bool is_root(const struct view *v, size_t snapshot)
{
	return v->snapshot[snapshot] == SNAP_LIVE || v->snapshot[snapshot] == SNAP_TRASH;
}

/* ---- the rules of the fold ---- */

static bool source_legal(const struct view *v, uint8_t source, unsigned removed)
{
	if (source == SOURCE_OWN)
		return true;
	if (source >= SOURCE_BASE)
		return is_root(v, source - SOURCE_BASE) || removed & REMOVED_BASE_CHECK;
	return v->pack[source] == PACK_IS_LIVE || removed & REMOVED_REFERENCE_CHECK;
}

static bool commit_legal(const struct view *v, const struct entry *r, unsigned removed)
{
	size_t w = r->actor;

	if (v->snapshot[1 + w] != SNAP_NONE || v->pack[first_pack(w)] != PACK_NONE)
		return false;
	if (r->flags & FLAG_SECOND && v->pack[second_pack(w)] != PACK_NONE)
		return false;
	if (v->session[w] != SESSION_IS_OPEN && !(removed & REMOVED_SESSION_CHECK))
		return false;
	return r->flags & FLAG_SAME_NAME || source_legal(v, r->target, removed);
}

static bool repack_legal(const struct view *v, const struct entry *r)
{
	if (v->session[r->actor] != SESSION_IS_OPEN && !(r->flags & FLAG_SESSIONLESS))
		return false;
	return v->pack[first_pack(r->actor)] == PACK_NONE && v->pack[r->target] == PACK_IS_LIVE;
}

bool entry_legal(const struct view *v, const struct entry *r, unsigned removed)
{
	switch (r->kind) {
	case KIND_COMMIT:
		return commit_legal(v, r, removed);
	case KIND_REPACK:
		return repack_legal(v, r);
	case KIND_CONDEMN:
		return v->pack[r->target] == PACK_IS_LIVE;
	case KIND_DROP:
		return v->pack[r->target] == PACK_IS_CONDEMNED;
	case KIND_FENCE:
		return v->session[r->target] == SESSION_IS_OPEN;
	default:
		return true; /* marks on snapshots pass over what is in another state */
	}
}

/* ---- the fold ---- */

static void pack_announce(struct view *v, uint8_t pack, bool holds_a)
{
	if (v->pack[pack] != PACK_NONE)
		return;
	v->pack[pack] = PACK_IS_LIVE;
	if (holds_a)
		v->holds_a |= (uint8_t)(1 << pack);
}

static void session_end(struct view *v, uint8_t actor, uint8_t how)
{
	if (v->session[actor] == SESSION_IS_OPEN)
		v->session[actor] = how;
}

static void pack_condemn(struct view *v, uint8_t pack)
{
	if (v->pack[pack] == PACK_IS_LIVE)
		v->pack[pack] = PACK_IS_CONDEMNED;
}

static void take_commit(struct view *v, const struct entry *r)
{
	size_t w = r->actor;

	if (v->snapshot[1 + w] == SNAP_NONE)
		v->snapshot[1 + w] = SNAP_LIVE;
	pack_announce(v, first_pack(w), r->flags & FLAG_HOLDS_A);
	if (r->flags & FLAG_SECOND)
		pack_announce(v, second_pack(w), true);
	if (r->flags & FLAG_SAME_NAME)
		v->pack[0] = PACK_IS_LIVE;
	session_end(v, r->actor, SESSION_IS_ENDED);
}

static void take_mark(uint8_t *snapshot, uint8_t from, uint8_t to)
{
	if (*snapshot == from)
		*snapshot = to;
}

void view_take(const struct model *m, struct view *v, const struct entry *r, size_t number)
{
	if (m->voiding && !entry_legal(v, r, 0))
		return;
	switch (r->kind) {
	case KIND_INIT:
		v->snapshot[0] = SNAP_LIVE;
		pack_announce(v, 0, true);
		break;
	case KIND_OPEN:
		v->session[r->actor] = SESSION_IS_OPEN;
		break;
	case KIND_COMMIT:
		take_commit(v, r);
		break;
	case KIND_FORGET:
		take_mark(&v->snapshot[r->target], SNAP_LIVE, SNAP_TRASH);
		break;
	case KIND_UNDO:
		take_mark(&v->snapshot[r->target], SNAP_TRASH, SNAP_LIVE);
		break;
	case KIND_EXPIRE:
		take_mark(&v->snapshot[r->target], SNAP_TRASH, SNAP_EXPIRED);
		break;
	case KIND_CONDEMN:
		pack_condemn(v, r->target);
		break;
	case KIND_DROP:
		if (v->pack[r->target] == PACK_IS_CONDEMNED)
			v->pack[r->target] = PACK_IS_DROPPED;
		break;
	case KIND_FENCE:
		session_end(v, r->target, SESSION_IS_FENCED);
		break;
	case KIND_REPACK:
		pack_announce(v, first_pack(r->actor), true);
		pack_condemn(v, r->target);
		session_end(v, r->actor, SESSION_IS_ENDED);
		break;
	case KIND_CHECKPOINT:
		v->checkpoint = (uint8_t)number;
		break;
	}
}

struct view model_fold(const struct model *m, const struct entry *history, size_t count)
{
	struct view v = { 0 };

	for (size_t i = 0; i < count; i++)
		view_take(m, &v, &history[i], i);
	return v;
}

/* ---- promises ---- */

static bool pack_good(const struct model *m, const struct state *s, const struct view *v, size_t pack)
{
	bool counts = v->pack[pack] == PACK_IS_LIVE || (v->pack[pack] == PACK_IS_CONDEMNED && !m->strict);

	return counts && s->present >> pack & 1;
}

static bool has_a(const struct model *m, const struct state *s, const struct view *v)
{
	for (size_t p = 0; p < PACKS; p++)
		if (pack_good(m, s, v, p) && v->holds_a >> p & 1)
			return true;
	return false;
}

const char *model_violation(const struct model *m, const struct state *s)
{
	static const char *const lost_a[SNAPSHOTS] = { "snapshot 0 has lost chunk a", "snapshot 1 has lost chunk a",
		                                       "snapshot 2 has lost chunk a" };
	static const char *const lost_own[SNAPSHOTS] = { "",
		                                         "snapshot 1 has lost the chunk that only its own pack holds",
		                                         "snapshot 2 has lost the chunk that only its own pack holds" };
	static const char *const no_success[WRITERS] = { "writer 0 reported a success that is not in the history",
		                                         "writer 1 reported a success that is not in the history" };
	const struct view *v = &s->view;

	for (size_t k = 0; k < SNAPSHOTS; k++) {
		if (!is_root(v, k))
			continue;
		if (!has_a(m, s, v))
			return lost_a[k];
		if (k && !pack_good(m, s, v, k))
			return lost_own[k];
	}
	for (size_t w = 0; w < WRITERS; w++)
		if (s->actor[w].step == STEP_DONE && v->snapshot[1 + w] == SNAP_NONE)
			return no_success[w];
	return NULL;
}

/* ---- making steps ---- */

/* What an actor decides from: the fold of the first COUNT records of S. */
struct scene {
	const struct model *m;
	const struct state *s;
	struct steps *out;
	const struct view *v;
	uint8_t count;
	uint8_t actor;
	bool stale;
};

static struct state *add_step(struct steps *out, const struct state *from, struct event event)
{
	assert(out->count < STEPS_MAX);
	out->to[out->count] = *from;
	out->event[out->count] = event;
	return &out->to[out->count++];
}

/* A copy of the state for the actor to change; a decision on an old fold costs one of the few that are allowed. */
static struct state *scene_step(const struct scene *c, enum what what, uint8_t pack)
{
	struct event event = { .what = (uint8_t)what, .actor = c->actor, .pack = pack, .count = c->count };
	struct state *t = add_step(c->out, c->s, event);

	if (c->stale)
		t->stale--;
	return t;
}

/* Visible is not durable: before it appends or deletes, a process syncs the newest record that it has read. */
static void make_durable(const struct model *m, struct state *t, uint8_t count)
{
	if (!(m->removed & REMOVED_MADE_DURABLE) && t->durable < count)
		t->durable = count;
}

static void leave(struct actor *a)
{
	*a = (struct actor){ .step = STEP_GONE };
}

static void succeed(struct actor *a)
{
	*a = (struct actor){ .step = STEP_DONE };
}

/* Its record is in the ledger, and it knows. */
static void own_done(struct state *t, size_t i)
{
	struct actor *a = &t->actor[i];
	struct entry r = a->want;

	a->want = (struct entry){ 0 };
	a->landed = a->slot = 0;
	if (!is_writer(i))
		*a = (struct actor){ .step = r.kind == KIND_OPEN ? STEP_COPY : STEP_START };
	else if (r.kind == KIND_OPEN)
		a->step = STEP_RESOLVE;
	else if (t->view.snapshot[1 + i] != SNAP_NONE)
		succeed(a);
	else
		leave(a); /* void */
}

static void append(const struct model *m, struct state *t, const struct entry *r)
{
	view_take(m, &t->view, r, t->count);
	t->history[t->count++] = *r;
	t->forgets += r->kind == KIND_FORGET;
	t->undos += r->kind == KIND_UNDO;
	t->checkpoints += r->kind == KIND_CHECKPOINT;
}

/* R stands at the end of the ledger now, and its sender will know sooner or later. */
static void put_entry(const struct model *m, struct state *t, size_t i, struct entry r)
{
	t->actor[i].want = r;
	t->actor[i].slot = t->count;
	append(m, t, &r);
	if (m->power_cuts)
		t->actor[i].landed = 1;
	else
		own_done(t, i);
}

static void send_entry(const struct scene *c, struct entry r)
{
	struct state *t;

	if (c->stale || c->count >= c->m->records)
		return; /* a create at an old number is refused, which changes nothing */
	t = scene_step(c, c->m->requests ? DID_DECIDE : DID_APPEND, 0);
	c->out->event[c->out->count - 1].entry = r;
	make_durable(c->m, t, c->count);
	if (c->m->requests) {
		t->actor[c->actor].want = r;
		t->actor[c->actor].slot = c->count;
	} else {
		put_entry(c->m, t, c->actor, r);
	}
}

static struct entry entry_of(const struct scene *c, enum kind kind, size_t target)
{
	return (struct entry){ .kind = (uint8_t)kind, .actor = c->actor, .target = (uint8_t)target };
}

/* ---- writers ---- */

/* The last choice when nothing that is there may be referred to: a writer stores a itself. */
static void store_again(const struct scene *c, bool first)
{
	struct state *t;
	struct actor *a;

	if (c->m->removed & REMOVED_FRESH_NAMES && (c->v->pack[0] == PACK_IS_LIVE || c->s->actor[c->actor].flags))
		return;
	t = scene_step(c, first ? DID_UPLOAD : DID_RESOLVE, SOURCE_OWN);
	a = &t->actor[c->actor];
	a->step = STEP_COMMIT;
	if (c->m->removed & REMOVED_FRESH_NAMES) {
		a->source = 0;
		a->flags |= FLAG_SAME_NAME;
		t->present |= 1;
	} else {
		a->source = SOURCE_OWN;
		a->flags |= first ? FLAG_HOLDS_A : FLAG_SECOND;
	}
	t->present |= (uint8_t)(1 << first_pack(c->actor));
	if (a->flags & FLAG_SECOND)
		t->present |= (uint8_t)(1 << second_pack(c->actor));
}

static void use_source(const struct scene *c, bool first, size_t source)
{
	struct state *t = scene_step(c, first ? DID_UPLOAD : DID_RESOLVE, (uint8_t)source);

	t->actor[c->actor].step = STEP_COMMIT;
	t->actor[c->actor].source = (uint8_t)source;
	t->present |= (uint8_t)(1 << first_pack(c->actor));
}

/*
 * FIRST: with the upload of the writer's pack. That an upload takes time is the same as a longer stop behind it. PAST:
 * from any older fold, all at once: what is there in some state now was there in the right state once.
 */
static void resolve(const struct scene *c, bool first, bool past)
{
	for (size_t k = 0; k < SNAPSHOTS; k++)
		if (is_root(c->v, k) || (past && c->v->snapshot[k] != SNAP_NONE))
			use_source(c, first, SOURCE_BASE + k);
	for (size_t p = 0; p < PACKS; p++)
		if ((c->v->pack[p] == PACK_IS_LIVE || (past && c->v->pack[p] != PACK_NONE)) && c->v->holds_a >> p & 1)
			use_source(c, first, p);
	store_again(c, first);
}

static void think_commit(const struct scene *c)
{
	const struct actor *a = &c->s->actor[c->actor];
	struct entry r = entry_of(c, KIND_COMMIT, a->source);

	r.flags = a->flags;
	if (entry_legal(c->v, &r, c->m->removed) || (c->m->careless && c->actor == 1))
		send_entry(c, r);
	else if (c->stale)
		return;
	else if (c->v->session[c->actor] != SESSION_IS_OPEN)
		leave(&scene_step(c, DID_LEAVE, 0)->actor[c->actor]);
	else
		resolve(c, false, false);
}

static void think_writer(const struct scene *c)
{
	switch (c->s->actor[c->actor].step) {
	case STEP_START:
		send_entry(c, entry_of(c, KIND_OPEN, 0));
		break;
	case STEP_RESOLVE:
		resolve(c, true, c->m->stale && !c->m->requests);
		break;
	case STEP_COMMIT:
		think_commit(c);
		break;
	}
}

/* ---- pruners ---- */

/* Marking: whether every root finds all that it needs without this pack. */
static bool unreachable(const struct model *m, const struct view *v, size_t pack)
{
	bool elsewhere = false;

	for (size_t p = 0; p < PACKS; p++)
		elsewhere |= p != pack && v->pack[p] == PACK_IS_LIVE && v->holds_a >> p & 1;
	for (size_t k = 0; k < SNAPSHOTS; k++) {
		if (!is_root(v, k) || (m->removed & REMOVED_TRASH_ROOT && v->snapshot[k] == SNAP_TRASH))
			continue;
		if ((k && pack == k) || (v->holds_a >> pack & 1 && !elsewhere))
			return false;
	}
	return true;
}

static void think_snapshots(const struct scene *c)
{
	bool forget = c->s->forgets < c->m->forgets;
	bool undo = c->s->undos < c->m->undos;

	for (size_t k = 0; k < SNAPSHOTS; k++) {
		if (forget && c->v->snapshot[k] == SNAP_LIVE)
			send_entry(c, entry_of(c, KIND_FORGET, k));
		if (c->v->snapshot[k] != SNAP_TRASH)
			continue;
		send_entry(c, entry_of(c, KIND_EXPIRE, k));
		if (undo)
			send_entry(c, entry_of(c, KIND_UNDO, k));
	}
}

static void think_delete(const struct scene *c, size_t pack)
{
	struct state *t = scene_step(c, c->m->requests ? DID_DOOM : DID_DELETE, (uint8_t)pack);
	make_durable(c->m, t, c->count);
	if (c->m->requests)
		t->actor[c->actor].doomed = (uint8_t)(1 + pack);
	else
		t->present &= (uint8_t) ~(1 << pack);
}

/* Rule F, second half: nobody will ever commit a pack whose session is over. */
static bool is_orphan(const struct scene *c, size_t pack)
{
	size_t owner = pack <= ACTORS ? pack - 1 : pack - 1 - ACTORS;

	if (c->m->removed & REMOVED_ORPHAN_RULE)
		return true;
	if (c->m->removed & REMOVED_PRUNER_SESSION && !is_writer(owner))
		return owner != c->actor; /* its name tells of no session that could be open */
	return c->v->session[owner] >= SESSION_IS_ENDED;
}

static void think_pack(const struct scene *c, size_t p)
{
	bool present = c->s->present >> p & 1;
	uint8_t is = c->v->pack[p];

	if (is == PACK_IS_LIVE && unreachable(c->m, c->v, p)) {
		send_entry(c, entry_of(c, KIND_CONDEMN, p));
		if (present && c->m->removed & REMOVED_RECORD_BEFORE_DELETE)
			think_delete(c, p);
	}
	if (present && (is == PACK_IS_CONDEMNED || (is == PACK_NONE && p && is_orphan(c, p))))
		think_delete(c, p);
	if (!present && is == PACK_IS_CONDEMNED && c->m->drops)
		send_entry(c, entry_of(c, KIND_DROP, p));
}

static void copy(const struct scene *c)
{
	struct state *t = scene_step(c, DID_COPY, first_pack(c->actor));

	t->present |= (uint8_t)(1 << first_pack(c->actor));
	t->actor[c->actor].step = STEP_PUBLISH;
}

static void think_repack(const struct scene *c)
{
	if (c->stale || c->v->pack[0] != PACK_IS_LIVE || c->v->pack[first_pack(c->actor)] != PACK_NONE)
		return;
	if (c->m->removed & REMOVED_PRUNER_SESSION)
		copy(c);
	else if (c->v->session[c->actor] == SESSION_NONE)
		send_entry(c, entry_of(c, KIND_OPEN, 0));
}

static void think_idle_pruner(const struct scene *c)
{
	think_snapshots(c);
	for (size_t p = 0; p < PACKS; p++)
		think_pack(c, p);
	for (size_t i = 0; i < ACTORS && c->m->fences; i++)
		if (i != c->actor && c->v->session[i] == SESSION_IS_OPEN)
			send_entry(c, entry_of(c, KIND_FENCE, i));
	if (c->m->repacks)
		think_repack(c);
	if (c->s->checkpoints < c->m->checkpoints)
		send_entry(c, entry_of(c, KIND_CHECKPOINT, 0));
}

static void think_publish(const struct scene *c)
{
	struct entry r = entry_of(c, KIND_REPACK, 0);

	if (c->m->removed & REMOVED_PRUNER_SESSION)
		r.flags = FLAG_SESSIONLESS;
	if (entry_legal(c->v, &r, 0))
		send_entry(c, r);
	else
		scene_step(c, DID_LEAVE, 0)->actor[c->actor] = (struct actor){ .step = STEP_START };
}

static void think_pruner(const struct scene *c)
{
	switch (c->s->actor[c->actor].step) {
	case STEP_START:
		think_idle_pruner(c);
		break;
	case STEP_COPY:
		if (c->v->pack[0] == PACK_IS_LIVE && c->s->present & 1)
			copy(c);
		else
			scene_step(c, DID_LEAVE, 0)->actor[c->actor].step = STEP_START;
		break;
	case STEP_PUBLISH:
		think_publish(c);
		break;
	}
}

/* ---- requests under way ---- */

/* Removed rules let a record stand elsewhere than right behind what it was decided from. */
static bool is_floating(const struct model *m, const struct entry *r)
{
	return (r->kind == KIND_COMMIT && m->removed & REMOVED_COMMIT_AT_HEAD) ||
	       (r->kind == KIND_CONDEMN && m->removed & REMOVED_MARK_AT_HEAD);
}

static void land_freed(struct steps *out, const struct state *s, size_t i, struct event event)
{
	struct entry r = s->actor[i].want;
	struct state *t;

	event.what = DID_LAND_FREED;
	t = add_step(out, s, event);
	if (r.kind == KIND_COMMIT)
		succeed(&t->actor[i]);
	else
		leave(&t->actor[i]);
	if (r.kind == KIND_CONDEMN)
		t->actor[i].doomed = (uint8_t)(1 + r.target);
}

/* Where requests get no answer, and the sender guesses instead of reading. */
static void guess(const struct model *m, struct steps *out, const struct state *s, size_t i, struct event event)
{
	struct state *t;

	if (!s->lost || s->actor[i].want.kind != KIND_COMMIT)
		return;
	if (m->removed & REMOVED_READ_OUTCOME) {
		event.what = DID_BELIEVE;
		t = add_step(out, s, event);
		succeed(&t->actor[i]);
		t->lost--;
	}
	if (m->removed & REMOVED_OWN_KEPT && s->count < m->records) {
		event.what = DID_DESPAIR;
		t = add_step(out, s, event);
		append(m, t, &s->actor[i].want);
		leave(&t->actor[i]);
		t->actor[i].doomed = (uint8_t)(1 + first_pack(i));
		t->lost--;
	}
}

static void land(const struct model *m, struct steps *out, const struct state *s, size_t i)
{
	const struct actor *a = &s->actor[i];
	struct event event = { .what = DID_LAND, .actor = (uint8_t)i, .count = a->slot, .entry = a->want };
	struct state *t;

	if (a->slot < s->freed) {
		land_freed(out, s, i, event);
		return;
	}
	guess(m, out, s, i, event);
	if (is_floating(m, &a->want))
		event.count = s->count;
	if (event.count < s->count) {
		event.what = DID_MISS;
		t = add_step(out, s, event);
		t->actor[i].want = (struct entry){ 0 };
		t->actor[i].slot = 0;
	} else if (event.count < m->records) {
		put_entry(m, add_step(out, s, event), i, a->want);
	}
}

/* The create's own sync is through, or the sender has read its record and synced it itself. */
static void acknowledge(struct steps *out, const struct state *s, size_t i)
{
	struct event event = {
		.what = DID_ACKNOWLEDGE, .actor = (uint8_t)i, .count = s->actor[i].slot, .entry = s->actor[i].want
	};
	struct state *t = add_step(out, s, event);

	if (t->durable <= s->actor[i].slot)
		t->durable = (uint8_t)(s->actor[i].slot + 1);
	own_done(t, i);
}

static void delete_pack(struct steps *out, const struct state *s, size_t i)
{
	uint8_t pack = (uint8_t)(s->actor[i].doomed - 1);
	struct event event = { .what = DID_DELETE, .actor = (uint8_t)i, .pack = pack };
	struct state *t = add_step(out, s, event);

	t->present &= (uint8_t) ~(1 << pack);
	t->actor[i].doomed = 0;
}

/* ---- the world ---- */

/* Takes names away that no sync covers, and every process that had begun something; deletions stay. */
static void power_cut(const struct model *m, struct steps *out, const struct state *s)
{
	for (uint8_t left = s->durable; left < s->count; left++) {
		struct event event = { .what = DID_POWER_CUT, .count = left };
		struct state *t = add_step(out, s, event);

		t->power_cuts--;
		t->count = 0;
		t->view = (struct view){ 0 };
		t->forgets = t->undos = t->checkpoints = 0;
		memset(t->history, 0, sizeof t->history);
		for (size_t n = 0; n < left; n++)
			append(m, t, &s->history[n]);
		for (size_t i = 0; i < ACTORS; i++) {
			struct actor *a = &t->actor[i];

			if (a->step != STEP_DONE && (a->step != STEP_START || a->want.kind || a->doomed))
				leave(a);
		}
	}
}

static void free_names(const struct model *m, struct steps *out, const struct state *s)
{
	uint8_t below = s->view.checkpoint;
	struct event event = { .what = DID_FREE_NAMES, .count = below };

	if (m->removed & REMOVED_NAMES_KEPT && below > s->freed)
		add_step(out, s, event)->freed = below;
}

/*
 * Taken at once, for they commute with all others' steps: a create whose number is taken is refused for ever, and what
 * stands there can be read; a delete of what is gone does nothing. What never comes up again is forgotten.
 */
static void settle(const struct model *m, struct state *s)
{
	for (size_t i = 0; i < ACTORS; i++) {
		struct actor *a = &s->actor[i];

		if (a->want.kind && !a->landed && a->slot < s->count && !(m->removed & REMOVED_NAMES_KEPT) &&
		    !is_floating(m, &a->want)) {
			a->want = (struct entry){ 0 };
			a->slot = 0;
		}
		if (a->doomed && !(s->present >> (a->doomed - 1) & 1) && !(m->removed & REMOVED_FRESH_NAMES))
			a->doomed = 0;
	}
	if (!m->power_cuts)
		s->durable = 0;
}

void model_append(const struct model *m, struct state *s, const struct entry *r)
{
	append(m, s, r);
	settle(m, s);
}

struct state model_start(const struct model *m)
{
	const struct entry init = { .kind = KIND_INIT };
	struct state s = { .durable = 1, .present = 1 };

	s.stale = m->stale;
	s.lost = m->lost;
	s.power_cuts = m->power_cuts;
	append(m, &s, &init);
	settle(m, &s);
	return s;
}

static void actor_steps(const struct model *m, const struct state *s, const struct view views[], uint8_t i,
                        struct steps *out)
{
	const struct actor *a = &s->actor[i];
	struct scene c = { .m = m, .s = s, .out = out, .actor = i };

	if (a->doomed) {
		delete_pack(out, s, i);
	} else if (a->landed) {
		acknowledge(out, s, i);
	} else if (a->want.kind) {
		land(m, out, s, i);
	} else if (a->step < STEP_DONE) {
		for (uint8_t n = s->stale && m->requests ? 1 : s->count; n <= s->count; n++) {
			c.count = n;
			c.v = &views[n];
			c.stale = n < s->count;
			if (is_writer(i))
				think_writer(&c);
			else
				think_pruner(&c);
		}
	}
}

void model_steps(const struct model *m, const struct state *s, struct steps *out)
{
	struct view views[RECORDS_MAX + 1];

	out->count = 0;
	views[0] = (struct view){ 0 };
	for (size_t n = 0; s->stale && m->requests && n < s->count; n++) {
		views[n + 1] = views[n];
		view_take(m, &views[n + 1], &s->history[n], n);
	}
	views[s->count] = s->view;
	for (uint8_t i = 0; i < ACTORS; i++)
		if (i < m->writers || (!is_writer(i) && i - WRITERS < m->pruners))
			actor_steps(m, s, views, i, out);
	if (s->power_cuts)
		power_cut(m, out, s);
	free_names(m, out, s);
	for (size_t k = 0; k < out->count; k++)
		settle(m, &out->to[k]);
}

/* ---- symmetry ---- */

/* Exchanges the two writers, the two pruners, or both, with all that is named after them. */
struct swap {
	bool writers, pruners;
};

static uint8_t swap_actor(struct swap x, uint8_t actor)
{
	return is_writer(actor) ? actor ^ x.writers : (uint8_t)(WRITERS + ((actor - WRITERS) ^ x.pruners));
}

static uint8_t swap_snapshot(struct swap x, uint8_t snapshot)
{
	return snapshot ? first_pack(swap_actor(x, snapshot - 1)) : 0;
}

static uint8_t swap_pack(struct swap x, uint8_t pack)
{
	if (!pack || pack >= PACKS)
		return pack >= SOURCE_BASE && pack < SOURCE_OWN ? SOURCE_BASE + swap_snapshot(x, pack - SOURCE_BASE)
		                                                : pack;
	return pack <= ACTORS ? first_pack(swap_actor(x, pack - 1))
	                      : second_pack(swap_actor(x, (uint8_t)(pack - 1 - ACTORS)));
}

static struct entry swap_entry(struct swap x, struct entry r)
{
	if (r.kind <= KIND_INIT)
		return r;
	r.actor = swap_actor(x, r.actor);
	switch (r.kind) {
	case KIND_FORGET:
	case KIND_UNDO:
	case KIND_EXPIRE:
		r.target = swap_snapshot(x, r.target);
		break;
	case KIND_FENCE:
		r.target = swap_actor(x, r.target);
		break;
	case KIND_COMMIT:
	case KIND_CONDEMN:
	case KIND_DROP:
	case KIND_REPACK:
		r.target = swap_pack(x, r.target);
		break;
	}
	return r;
}

static struct view swap_view(struct swap x, const struct view *v)
{
	struct view o = { .checkpoint = v->checkpoint };

	for (uint8_t i = 0; i < ACTORS; i++)
		o.session[swap_actor(x, i)] = v->session[i];
	for (uint8_t k = 0; k < SNAPSHOTS; k++)
		o.snapshot[swap_snapshot(x, k)] = v->snapshot[k];
	for (uint8_t p = 0; p < PACKS; p++) {
		o.pack[swap_pack(x, p)] = v->pack[p];
		o.holds_a |= (uint8_t)((v->holds_a >> p & 1) << swap_pack(x, p));
	}
	return o;
}

static struct state swap_state(struct swap x, const struct state *s)
{
	struct state t = *s;

	t.view = swap_view(x, &s->view);
	t.present = 0;
	for (uint8_t p = 0; p < PACKS; p++)
		t.present |= (uint8_t)((s->present >> p & 1) << swap_pack(x, p));
	for (size_t n = 0; n < s->count; n++)
		t.history[n] = swap_entry(x, s->history[n]);
	for (uint8_t i = 0; i < ACTORS; i++) {
		struct actor *a = &t.actor[swap_actor(x, i)];

		*a = s->actor[i];
		a->want = swap_entry(x, a->want);
		if (a->doomed)
			a->doomed = 1 + swap_pack(x, a->doomed - 1);
		if (a->step == STEP_COMMIT)
			a->source = swap_pack(x, a->source);
	}
	return t;
}

size_t model_state_bytes(const struct model *m)
{
	return m->requests || m->power_cuts ? sizeof(struct state) : offsetof(struct state, history);
}

struct state model_canonical(const struct model *m, const struct state *s)
{
	struct state least = *s;

	for (unsigned k = 1; k < 4; k++) {
		struct swap x = { k & 1, k >> 1 };
		struct state t;

		if ((x.writers && (m->writers < 2 || m->careless)) || (x.pruners && m->pruners < 2))
			continue;
		t = swap_state(x, s);
		if (memcmp(&t, &least, model_state_bytes(m)) < 0)
			least = t;
	}
	return least;
}
