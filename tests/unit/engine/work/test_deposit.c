/*
 * Depositors: what their key takes, what it cannot read, and what one whose machine was taken over can do to others. The
 * evil writer here has a deposit key and the engine's own calls: it seals and signs properly, and lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/idmap.h"
#include "engine/work/writer.h"
#include "unit/engine/work/lab.h"

/* Ann holds the repository in full; the others have keys of their own. */
struct people {
	struct lab lab;
	struct secret *keys[4]; /* numbered: 1 and up */
};

static struct repo *open_as(struct people *p, uint8_t number)
{
	char cache[100]; /* each on a machine of its own */
	struct repo_options o = {
		.url = p->lab.url, .secret = p->keys[number], .secret_kind = SLOT_KEY_FILE, .cache_folder = cache
	};
	struct repo *r = NULL;

	snprintf(cache, sizeof cache, "%s-%u", p->lab.cache, number);
	ok(repo_open(&o, &r, &err));
	return r;
}

static struct repo *join(struct people *p, uint8_t number, enum role role, const char *account)
{
	uint8_t bytes[SLOT_KEY_FILE_BYTES] = { 100, number };
	struct slot_options slot = { .kind = SLOT_KEY_FILE };
	struct holder_id id;

	ok(secret_new(span_of(bytes, sizeof bytes), &p->keys[number], &err));
	if (account)
		ok(repo_key_add_deposit(p->lab.repo, &account, 1, p->keys[number], &slot, &id, &err));
	else
		ok(repo_key_add(p->lab.repo, role, p->keys[number], &slot, &id, &err));
	return open_as(p, number);
}

static void people_start(struct people *p, const char *name)
{
	memset(p, 0, sizeof *p);
	random_start(name);
	lab_start(&p->lab);
}

static void people_end(struct people *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->keys); i++)
		secret_free(&p->keys[i]);
	lab_end(&p->lab);
}

/* The lab goes on as somebody else; gives who it was. */
static struct repo *act_as(struct people *p, struct repo *who)
{
	struct repo *was = p->lab.repo;

	p->lab.repo = who;
	engine_stop_flag(who, &p->lab.stop);
	return was;
}

static void all_refresh(struct repo *r)
{
	ok(ledger_refresh(r->ledger, &err));
	if (r->index)
		ok(index_update(r->index, r->ledger, &err));
}

/* ---- what the key takes ---- */

static void a_depositor_takes_incremental_snapshots(void **state)
{
	static struct people p;
	struct repo *ann, *dora;

	(void)state;
	people_start(&p, "a_depositor_takes_incremental_snapshots");
	dora = join(&p, 1, ROLE_DEPOSIT, "ann");
	ann = act_as(&p, dora);
	for (int i = 0; i < 6; i++) {
		struct snapshot_options o = { .partial_every_bytes = i % 2 ? 200000 : 0 };

		p.lab.with_cursors = i > 2;
		change_world(&p.lab, 60);
		run_whole(&p.lab, &o); /* fails when anything is fetched twice */
		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			for (size_t n = p.lab.now.folders[f].count; n-- > 0;)
				if (p.lab.now.folders[f].items[n].trouble == FAKE_VANISHES)
					item_remove(&p.lab.now.folders[f], n);
		if (i == 2) {
			repo_free(&p.lab.repo);
			dora = open_as(&p, 1);
			(void)act_as(&p, dora);
		}
	}
	repository_is_good(&p.lab); /* as far as her key sees */
	assert_false(ledger_pack(dora->ledger, 0)->trusted);
	(void)act_as(&p, ann);
	all_refresh(ann);
	for (size_t i = 0; i < p.lab.count; i++)
		same_snapshot(&p.lab, &p.lab.ids[i], p.lab.kept[i], 2);
	repo_free(&dora);
	people_end(&p);
}

static enum err_code see_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	size_t *counts = ctx;

	(void)c;
	(void)e;
	counts[0]++;
	counts[1] += item->summary.len > 0;
	return ERR_OK;
}

static enum err_code no_hit(void *ctx, const struct find_hit *h, struct err *e)
{
	(void)ctx;
	(void)h;
	return err_set(e, ERR_CORRUPT, "found");
}

static enum err_code no_verdict(void *ctx, const struct forget_verdict *v, struct err *e)
{
	(void)ctx;
	(void)v;
	return err_set(e, ERR_CORRUPT, "judged");
}

#define DENIED(call) assert_string_equal(err_code_name(call), err_code_name(ERR_DENIED))

static void a_depositor_may_nothing_else(void **state)
{
	static struct people p;
	static struct prune_report pruned;
	struct forget_policy policy = { .keep = { 1 } };
	struct forget_report forgot;
	struct snapshot_report report;
	struct item_source untouched = { 0 }; /* without operations: one call is a crash */
	struct holder_id self, other;
	struct buf body = BUF_EMPTY;
	struct view *v = NULL;
	struct repo *dora;
	size_t seen[2] = { 0 }, by_ann[2] = { 0 };
	uint64_t count, head;
	char key[16];

	(void)state;
	people_start(&p, "a_depositor_may_nothing_else");
	change_world(&p.lab, 60);
	item_new(&p.lab, &p.lab.now.folders[0], false);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	dora = join(&p, 1, ROLE_DEPOSIT, "ann");
	head = ledger_head(dora->ledger).number;
	self = keys_holder(dora->keys);
	/* Names, but no summaries; no bodies. */
	ok(view_open(dora, &p.lab.ids[0], &v, &err));
	ok(view_items(v, 0, true, see_item, seen, &err));
	assert_true(seen[0] > 0);
	assert_int_equal(seen[1], 0);
	DENIED(view_body(v, 0, fake_key(&p.lab.now.folders[0].items[0], key), SPAN_EMPTY, gather, &body, &err));
	assert_non_null(strstr(err.text, "a depositor's"));
	DENIED(engine_restore(v, NULL, &(struct restore_options){ 0 }, NULL, NULL, &(struct restore_report){ 0 },
	                      &err));
	view_free(&v);
	ok(view_open(p.lab.repo, &p.lab.ids[0], &v, &err));
	ok(view_items(v, 0, true, see_item, by_ann, &err));
	assert_int_equal(by_ann[0], seen[0]);
	assert_true(by_ann[1] > 0);
	view_free(&v);
	DENIED(engine_find(dora, &(struct find_query){ 0 }, no_hit, NULL, &err));
	DENIED(engine_diff(dora, &p.lab.ids[0], &p.lab.ids[0], NULL, NULL, &err));
	DENIED(engine_deleted(dora, NULL, 0, NULL, NULL, &err));
	DENIED(engine_forget(dora, p.lab.ids, 1, false, &err));
	DENIED(engine_pin(dora, p.lab.ids, 1, false, &err));
	DENIED(engine_forget_policy(dora, &policy, no_verdict, NULL, &forgot, &err));
	DENIED(engine_prune(dora, &(struct prune_options){ .dry_run = true }, &pruned, &err));
	DENIED(engine_repair_ledger(dora, &count, &err));
	DENIED(repo_key_add(dora, ROLE_DEPOSIT, p.keys[1], &(struct slot_options){ 0 }, &other, &err));
	DENIED(repo_key_remove(dora, &self, &err));
	/* Another account: told before the source is asked for anything. */
	DENIED(engine_snapshot(dora, &untouched, &(struct snapshot_options){ .account = "bob" }, &report, &err));
	assert_non_null(strstr(err.text, "'bob'"));
	/* Past the polite refusal the record itself would be void. */
	DENIED(ledger_mark(dora->ledger, RECORD_FORGET, p.lab.ids, 1, &err));
	assert_int_equal(ledger_head(dora->ledger).number, head);
	buf_release(&body);
	repo_free(&dora);
	people_end(&p);
}

/* ---- by trying ---- */

static void every_block_of_content_stays_shut(void **state)
{
	static struct people p;
	struct repo *ann, *dora;
	size_t shut = 0, open = 0;

	(void)state;
	people_start(&p, "every_block_of_content_stays_shut");
	dora = join(&p, 1, ROLE_DEPOSIT, NULL);
	change_world(&p.lab, 100);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	change_world(&p.lab, 100);
	ann = act_as(&p, dora); /* her own packs are no better */
	all_refresh(dora);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	for (uint32_t i = 0; i < ledger_pack_count(dora->ledger); i++) {
		struct pack *pack = NULL;

		ok(pack_open(dora->store, dora->keys, &ledger_pack(dora->ledger, i)->pack, &pack, NULL, &err));
		for (uint32_t b = 0; b < pack_block_count(pack); b++) {
			struct block block = { 0 };
			bool content = block_class_scope(pack_block(pack, b)->class) == SCOPE_CONTENT;
			enum err_code rc = pack_read_block(pack, b, dora->codec, &block, &err);

			assert_string_equal(err_code_name(rc), err_code_name(content ? ERR_WRONG_KEY : ERR_OK));
			shut += content;
			open += !content;
			block_release(&block);
		}
		pack_free(&pack);
	}
	assert_true(shut > 4 && open > 4);
	(void)act_as(&p, ann);
	repo_free(&dora);
	people_end(&p);
}

/* ---- poison ---- */

struct named {
	enum block_class class;
	struct chunk_id id;
};

/* Every chunk of the live packs, by name. */
static void all_chunks(struct repo *r, struct buf *out)
{
	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++) {
		struct buf ids = BUF_EMPTY;
		struct pack *pack = NULL;

		if (ledger_pack(r->ledger, i)->state != PACK_LIVE)
			continue;
		ok(pack_open(r->store, r->keys, &ledger_pack(r->ledger, i)->pack, &pack, NULL, &err));
		for (uint32_t b = 0; b < pack_block_count(pack); b++) {
			buf_clear(&ids);
			ok(pack_ids(pack, b, r->codec, &ids, &err));
			for (size_t at = 0; at < ids.len; at += sizeof(struct chunk_id)) {
				struct named n = { .class = pack_block(pack, b)->class };

				memcpy(&n.id, ids.ptr + at, sizeof n.id);
				ok(buf_append(out, span_of(&n, sizeof n), &err));
			}
		}
		pack_free(&pack);
		buf_release(&ids);
	}
}

/* One pack of KEYS' holder that claims to have every chunk of CLASS that is named in ALL, and has rubbish. */
static struct pack_added lying_pack(struct repo *evil, uint64_t session, const struct buf *all)
{
	struct pack_writer *pw = NULL;
	struct buf sealed = BUF_EMPTY;
	struct pack_added added;

	ok(pack_writer_open(evil->store, evil->keys, session, &pw, &err));
	for (int class = 1; class < CLASS_END; class ++) {
		struct seal_writer *seal = pack_writer_seal(pw, (enum block_class) class);
		struct block_draft d;
		struct block_info info;
		uint32_t number;

		block_draft_init(&d, (enum block_class) class);
		for (size_t at = 0; at < all->len; at += sizeof(struct named)) {
			const struct named *n = (const struct named *)(const void *)(all->ptr + at);

			if (n->class == (enum block_class) class)
				ok(block_draft_add(&d, &n->id, SPAN_LIT("not what you think"), &err));
		}
		buf_clear(&sealed);
		if (block_draft_count(&d)) {
			ok(block_seal(evil->codec, &d, seal, seal_writer_next(seal), keys_repo(evil->keys), &info,
			              &sealed, &err));
			ok(pack_writer_add(pw, &info, buf_span(&sealed),
			                   (const struct chunk_id *)(const void *)d.ids.ptr, &number, &err));
		}
		block_draft_release(&d);
	}
	ok(pack_writer_finish(&pw, &added, &err));
	buf_release(&sealed);
	return added;
}

/* PACKS of them, committed: more than one, so that whoever looks at the first few only finds lies. */
static void poison(struct repo *evil, const struct buf *all, size_t packs)
{
	struct pack_added added[32];
	struct commit c = { .end_session = true, .added = added, .added_count = packs };
	uint64_t number;

	ok(repo_need_index(evil, INDEX_WRITE, &err));
	ok(ledger_open_session(evil->ledger, &c.session, &err));
	for (size_t i = 0; i < packs; i++)
		added[i] = lying_pack(evil, c.session, all);
	ok(ledger_commit(evil->ledger, &c, &number, &err));
}

static const struct prune_options at_once = { .max_unused_percent = 0, .max_repack_bytes = UINT64_MAX };

static void prune_all(struct repo *r)
{
	struct prune_report report;

	ok(engine_prune(r, &at_once, &report, &err));
}

/* What a world's snapshot consists of, by name; nothing of it stays in the repository. */
static void names_of_world(struct lab *l, struct buf *out)
{
	run_whole(l, &(struct snapshot_options){ .no_parent = true });
	all_chunks(l->repo, out);
	l->count--;
	ok(engine_forget(l->repo, &l->ids[l->count], 1, false, &err));
	free(l->kept[l->count]);
	prune_all(l->repo);
}

struct troubles {
	size_t packs[64], other;
	struct repo *repo;
};

static void note_trouble(void *ctx, const struct check_problem *problem)
{
	struct troubles *t = ctx;

	for (uint32_t i = 0; i < ledger_pack_count(t->repo->ledger); i++) {
		const char *path = pack_path(&ledger_pack(t->repo->ledger, i)->pack.name).text;

		if (!strncmp(problem->object, path, strlen(path))) {
			t->packs[i]++;
			return;
		}
	}
	t->other++;
}

static bool made_by(const struct pack_fact *fact, struct repo *who)
{
	struct holder_id id = keys_holder(who->keys);

	return !memcmp(&fact->maker, &id, sizeof id);
}

/* Names the liar's packs and nothing else, and vouches for all others. */
static void check_names_the_liar(struct people *p, struct repo *evil)
{
	struct troubles t = { .repo = p->lab.repo };
	struct check_report report;

	ok(engine_check(p->lab.repo, &(struct check_options){ .read_data = true }, note_trouble, &t, &report, &err));
	assert_int_equal(t.other, 0);
	assert_int_equal(report.items_affected, 0);
	for (uint32_t i = 0; i < ledger_pack_count(p->lab.repo->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(p->lab.repo->ledger, i);

		if (fact->state != PACK_LIVE)
			continue;
		assert_int_equal(t.packs[i] > 0, made_by(fact, evil));
		assert_int_equal(fact->trusted, !made_by(fact, evil));
	}
}

static void a_wrong_body_under_a_right_id_harms_nobody(void **state)
{
	static struct people p;
	struct repo *ann, *dora, *mallory;
	struct buf all = BUF_EMPTY;
	uint64_t before;

	(void)state;
	people_start(&p, "a_wrong_body_under_a_right_id_harms_nobody");
	dora = join(&p, 1, ROLE_DEPOSIT, "ann");
	mallory = join(&p, 2, ROLE_DEPOSIT, "mallory");
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		p.lab.now.folders[f].failing = false;
	change_world(&p.lab, 80);
	names_of_world(&p.lab, &all);
	poison(mallory, &all, 20);
	/* Dora is next; she believes nobody but herself, and what she stored is found behind all that. */
	all_refresh(dora);
	ann = act_as(&p, dora);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	(void)act_as(&p, ann);
	all_refresh(ann);
	same_snapshot(&p.lab, &p.lab.ids[0], p.lab.kept[0], 1);
	/* A prune that cannot know who is right keeps both. */
	prune_all(ann);
	all_refresh(ann);
	same_snapshot(&p.lab, &p.lab.ids[0], p.lab.kept[0], 1);
	check_names_the_liar(&p, mallory);
	/* Ann, too, with a snapshot of her own: nothing of it lies in a pack of Mallory's. */
	run_whole(&p.lab, &(struct snapshot_options){ .rescan = true }); /* on no base: everything is read */
	same_snapshot(&p.lab, &p.lab.ids[1], p.lab.kept[1], 1);
	/* Now that somebody vouches for Dora's packs, the lies are spare. */
	before = ledger_pack_count(ann->ledger);
	prune_all(ann);
	for (uint32_t i = 0; i < before; i++)
		assert_true(ledger_pack(ann->ledger, i)->state != PACK_LIVE ||
		            !made_by(ledger_pack(ann->ledger, i), mallory));
	same_snapshot(&p.lab, &p.lab.ids[0], p.lab.kept[0], 1);
	same_snapshot(&p.lab, &p.lab.ids[1], p.lab.kept[1], 1);
	repository_is_good(&p.lab);
	buf_release(&all);
	repo_free(&dora);
	repo_free(&mallory);
	people_end(&p);
}

/* What was stored before anybody vouched for it is stored once more, and afterwards not. */
static void what_was_verified_is_deduplicated_against(void **state)
{
	static struct people p;
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_options o = { .account = "copy", .dry_run = true };
	struct snapshot_report report;
	struct check_report checked;
	struct repo *ann, *dora;

	(void)state;
	assert_non_null(s);
	people_start(&p, "what_was_verified_is_deduplicated_against");
	dora = join(&p, 1, ROLE_DEPOSIT, "ann");
	for (int i = 0; i < 20; i++)
		item_new(&p.lab, &p.lab.now.folders[0], false);
	ann = act_as(&p, dora);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	/* Hers, for herself. */
	fake_source_init(s, &p.lab.now);
	o.account = "ann";
	o.no_parent = true;
	ok(engine_snapshot(dora, &s->base, &o, &report, &err));
	assert_int_equal(report.chunks_new, 0);
	(void)act_as(&p, ann);
	all_refresh(ann);
	o.account = "copy";
	ok(engine_snapshot(ann, &s->base, &o, &report, &err));
	assert_true(report.chunks_new > 20 && report.chunks_known < 20); /* known: one item's in another of the run */
	ok(engine_check(ann, &(struct check_options){ .read_data = true }, no_problem, NULL, &checked, &err));
	all_refresh(ann);
	ok(engine_snapshot(ann, &s->base, &o, &report, &err));
	assert_int_equal(report.chunks_new, 0);
	assert_true(report.chunks_known > 20);
	/* Once is enough. */
	ok(engine_check(ann, &(struct check_options){ .read_data = true }, no_problem, NULL, &checked, &err));
	assert_int_equal(checked.records, ledger_head(ann->ledger).number + 1);
	free(s);
	repo_free(&dora);
	people_end(&p);
}

/* Whoever builds on a snapshot believes what it says of items that are not read again. */
static void nobody_builds_on_another_depositors_snapshot(void **state)
{
	static struct people p;
	static struct fake_world truth;
	struct repo *ann, *mallory, *dora;

	(void)state;
	people_start(&p, "nobody_builds_on_another_depositors_snapshot");
	for (int i = 0; i < 50; i++)
		item_new(&p.lab, &p.lab.now.folders[0], false);
	mallory = join(&p, 1, ROLE_DEPOSIT, "ann");
	dora = join(&p, 2, ROLE_DEPOSIT, "ann");
	/* The same keys and versions, and other bodies: nothing is fetched of an item that seems known. */
	truth = p.lab.now;
	for (size_t i = 0; i < p.lab.now.folders[0].count; i++)
		p.lab.now.folders[0].items[i].seed++;
	ann = act_as(&p, mallory);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	free(p.lab.kept[--p.lab.count]);
	p.lab.now = truth;
	(void)act_as(&p, dora);
	all_refresh(dora);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	(void)act_as(&p, ann);
	all_refresh(ann);
	same_snapshot(&p.lab, &p.lab.ids[0], p.lab.kept[0], 1);
	free(p.lab.kept[--p.lab.count]);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	same_snapshot(&p.lab, &p.lab.ids[0], p.lab.kept[0], 1);
	/* A depositor builds on a full holder's, and that is all that it reads. */
	(void)act_as(&p, mallory);
	all_refresh(mallory);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	(void)act_as(&p, ann);
	repo_free(&dora);
	repo_free(&mallory);
	people_end(&p);
}

/* A keeper cannot tell who lies: it says so, and does not go on. */
static void a_keeper_stops_where_makers_disagree(void **state)
{
	static struct people p;
	struct repo *ann, *dora, *mallory, *keeper;
	struct troubles t = { 0 };
	struct check_report report;
	struct buf all = BUF_EMPTY;
	size_t disagreed = 0;

	(void)state;
	people_start(&p, "a_keeper_stops_where_makers_disagree");
	dora = join(&p, 1, ROLE_DEPOSIT, "ann");
	mallory = join(&p, 2, ROLE_DEPOSIT, "mallory");
	change_world(&p.lab, 40);
	names_of_world(&p.lab, &all);
	poison(mallory, &all, 1);
	all_refresh(dora);
	ann = act_as(&p, dora);
	run_whole(&p.lab, &(struct snapshot_options){ 0 });
	(void)act_as(&p, ann);
	all_refresh(ann);
	keeper = join(&p, 3, ROLE_KEEPER, NULL);
	t.repo = keeper;
	ok(engine_check(keeper, &(struct check_options){ 0 }, note_trouble, &t, &report, &err));
	assert_true(t.other > 0);
	for (size_t at = 0; at < all.len; at += sizeof(struct named)) {
		const struct named *n = (const struct named *)(const void *)(all.ptr + at);
		struct held_chunk held = HELD_CHUNK_NONE;

		if (n->class != CLASS_NODE)
			continue;
		assert_int_equal(reader_get(keeper->reader, keeper->codec, CLASS_NODE, &n->id, &held, &err),
		                 ERR_CORRUPT);
		disagreed += strstr(err.text, "disagree") != NULL;
	}
	assert_true(disagreed > 0);
	/* A full holder looks, and it is good again. */
	check_names_the_liar(&p, mallory);
	prune_all(ann);
	repo_free(&keeper);
	keeper = open_as(&p, 3);
	ok(engine_check(keeper, &(struct check_options){ .read_data = true }, no_problem, NULL, &report, &err));
	repo_free(&keeper);
	repo_free(&dora);
	repo_free(&mallory);
	buf_release(&all);
	people_end(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_depositor_takes_incremental_snapshots),
		cmocka_unit_test(a_depositor_may_nothing_else),
		cmocka_unit_test(every_block_of_content_stays_shut),
		cmocka_unit_test(a_wrong_body_under_a_right_id_harms_nobody),
		cmocka_unit_test(what_was_verified_is_deduplicated_against),
		cmocka_unit_test(nobody_builds_on_another_depositors_snapshot),
		cmocka_unit_test(a_keeper_stops_where_makers_disagree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
