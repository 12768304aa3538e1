/*
 * Opening, keeping up with the ledger, and making anew. A writer holds a lock of our own (index.lock, flock) besides
 * RocksDB's, so that taking away a damaged database and making a new one has one owner. A reader opens without a lock;
 * only when packs are missing it becomes the writer for a moment, and holds the missing entries in memory when it
 * cannot.
 */
#include "engine/index/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "engine/index/index_internal.h"

/* Dead entries are removed when they are this many and more than a quarter. */
#define CLEAR_CHUNKS_MIN 65536

/* ---- packs ---- */

void index_name_key(const struct pack_name *name, uint8_t key[IDMAP_KEY_BYTES])
{
	memset(key, 0, IDMAP_KEY_BYTES);
	memcpy(key, name->random, sizeof name->random);
	for (int b = 0; b < 8; b++)
		key[sizeof name->random + b] = (uint8_t)(name->session >> (8 * b));
}

static enum err_code grow_packs(struct index *i, uint32_t number, struct err *e)
{
	uint32_t capacity = i->capacity ? i->capacity : 64;
	struct known **grown;

	if (number >= UINT32_MAX / 4)
		return err_set(e, ERR_CORRUPT, "the local index has a pack number %" PRIu32, number);
	while (capacity <= number)
		capacity *= 2;
	if (capacity != i->capacity) {
		grown = mem_grow(i->packs, capacity * sizeof(*grown));
		if (!grown)
			return err_no_memory(e, capacity * sizeof(*grown));
		i->packs = grown;
		i->capacity = capacity;
	}
	while (i->count <= number)
		i->packs[i->count++] = NULL;
	return ERR_OK;
}

enum err_code index_learn(struct index *i, uint32_t number, const struct pack_added *pack, struct known **out,
                          uint32_t *number_out, struct err *e)
{
	uint8_t key[IDMAP_KEY_BYTES];
	struct known *known;
	enum err_code rc;

	if (number == UINT32_MAX)
		number = i->count;
	rc = grow_packs(i, number, e);
	if (rc)
		return rc;
	known = mem_zalloc(1, sizeof *known);
	if (!known)
		return err_no_memory(e, sizeof *known);
	known->pack = *pack;
	known->ordinal = NO_ORDINAL;
	index_name_key(&pack->name, key);
	rc = idmap_put(&i->by_name, key, number, e);
	if (rc || i->packs[number]) {
		mem_free(known);
		return rc ? rc : err_set(e, ERR_CORRUPT, "the local index has pack %" PRIu32 " twice", number);
	}
	i->packs[number] = known;
	*out = known;
	if (number_out)
		*number_out = number;
	return ERR_OK;
}

static void forget_packs(struct index *i)
{
	for (uint32_t j = 0; j < i->count; j++)
		mem_free(i->packs[j]);
	i->count = 0;
	i->db_packs = 0;
	idmap_clear(&i->by_name);
}

/* ---- the lock ---- */

/* The process that holds the lock writes its number into the file: only for the message, so nothing depends on it. */
static void tell_holder(int fd)
{
	char text[24];
	int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, (size_t)len, 0);
}

static long holder(int fd)
{
	char text[24] = "";
	ssize_t len = pread(fd, text, sizeof text - 1, 0);
	long pid = len > 0 ? strtol(text, NULL, 10) : 0;

	return pid > 0 ? pid : 0;
}

static enum err_code take_lock(struct index *i, struct err *e)
{
	const char *path = (const char *)i->lock_path.ptr;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int seen = errno;
		long pid = holder(fd);

		close(fd);
		if (seen != EWOULDBLOCK)
			return err_sys(e, seen, "cannot lock %s", path);
		if (!pid)
			return err_set(e, ERR_BUSY, "the local index %s is in use by another process", path);
		return err_set(e, ERR_BUSY, "the local index %s is in use by another process, number %ld", path, pid);
	}
	tell_holder(fd);
	i->lock_fd = fd;
	return ERR_OK;
}

static void drop_lock(struct index *i)
{
	if (i->lock_fd >= 0)
		close(i->lock_fd);
	i->lock_fd = -1;
}

/* ---- opening the database ---- */

struct load {
	struct index *index;
	uint32_t clearing;
};

static enum err_code load_mark(void *ctx, const struct index_mark *mark, bool clearing, struct err *e)
{
	struct load *load = ctx;
	struct known *known;
	enum err_code rc;

	if (clearing) {
		load->clearing++;
		return grow_packs(load->index, mark->number, e); /* the number stays taken */
	}
	rc = index_learn(load->index, mark->number, &mark->pack, &known, NULL, e);
	if (rc)
		return rc;
	known->chunks = mark->chunks;
	known->held = true;
	load->index->db_packs++;
	return ERR_OK;
}

/* Opens what is there and learns its packs. Nothing stays on failure. */
static enum err_code open_database(struct index *i, bool read_only, uint32_t *clearing, struct err *e)
{
	struct load load = { i, 0 };
	enum err_code rc = index_db_open((const char *)i->path.ptr, keys_repo(i->keys), read_only, &i->db, e);

	if (!rc)
		rc = index_db_marks(i->db, load_mark, &load, e);
	if (rc) {
		index_db_free(&i->db);
		forget_packs(i);
		return rc;
	}
	*clearing = load.clearing;
	return ERR_OK;
}

static void tell_rebuild(struct index *i, const struct err *why, uint32_t packs)
{
	char line[ERR_TEXT_MAX + 128];

	if (!i->notice)
		return;
	snprintf(line, sizeof line, "the local index was damaged (%.400s) and is being rebuilt from %" PRIu32 " packs",
	         why->text, packs);
	i->notice(i->ctx, line);
}

/* An index that holds nothing while there are packs: a new client, or somebody removed the folder. */
static void tell_new(struct index *i, uint32_t packs)
{
	char line[128];

	if (!i->notice || i->count || !packs)
		return;
	snprintf(line, sizeof line, "there is no local index yet; it is being made from %" PRIu32 " packs", packs);
	i->notice(i->ctx, line);
}

static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_IO || rc == ERR_UNSUPPORTED || rc == ERR_NOT_FOUND;
}

static uint32_t live_count(const struct ledger *l)
{
	uint32_t live = 0;

	for (uint32_t j = 0; j < ledger_pack_count(l); j++)
		live += ledger_pack(l, j)->state == PACK_LIVE;
	return live;
}

/* As the writer, with the lock held: what cannot be opened is taken away and made anew. */
static enum err_code open_or_remake(struct index *i, uint32_t packs, uint32_t *clearing, struct err *e)
{
	enum err_code rc = open_database(i, false, clearing, e);

	if (!rc)
		tell_new(i, packs);
	if (!is_damage(rc))
		return rc;
	tell_rebuild(i, e, packs);
	rc = file_remove_tree((const char *)i->path.ptr, e);
	if (!rc)
		rc = open_database(i, false, clearing, e);
	return rc;
}

/* ---- keeping up with the ledger ---- */

static enum known_state state_of(const struct pack_fact *fact)
{
	return fact->state == PACK_LIVE ? KNOWN_LIVE : KNOWN_DEAD;
}

/* Notes whether packs that we do not trust have several makers; *FIRST is the first of these packs, or NULL. */
static void see_maker(struct index *i, const struct pack_fact *fact, const struct pack_fact **first)
{
	static const struct holder_id several;

	if (!*first)
		*first = fact;
	i->rivals |= memcmp(&(*first)->maker, &fact->maker, sizeof fact->maker) != 0 ||
	             memcmp(&fact->maker, &several, sizeof several) == 0;
}

/* Sets ordinals, states and trust from the ledger and learns its new live packs. Under LOCK, exclusively. */
static enum err_code follow_ledger(struct index *i, const struct ledger *l, struct err *e)
{
	struct holder_id self = keys_holder(i->keys);
	const struct pack_fact *first = NULL;
	enum err_code rc = ERR_OK;

	i->rivals = false;
	for (uint32_t j = 0; j < i->count; j++) {
		if (i->packs[j] && i->packs[j]->ordinal == NO_ORDINAL)
			i->packs[j]->state = i->packs[j]->own ? KNOWN_OWN : KNOWN_DEAD;
	}
	for (uint32_t ordinal = 0; !rc && ordinal < ledger_pack_count(l); ordinal++) {
		const struct pack_fact *fact = ledger_pack(l, ordinal);
		uint8_t key[IDMAP_KEY_BYTES];
		struct known *known = NULL;
		uint64_t number;

		index_name_key(&fact->pack.name, key);
		if (idmap_get(&i->by_name, key, &number))
			known = i->packs[number];
		else if (fact->state == PACK_LIVE)
			rc = index_learn(i, UINT32_MAX, &fact->pack, &known, NULL, e);
		if (known && !rc) {
			known->ordinal = ordinal;
			known->state = state_of(fact);
			known->trusted = pack_trusted_by(fact, &self);
			if (fact->state == PACK_LIVE && !fact->trusted)
				see_maker(i, fact, &first);
		}
	}
	return rc;
}

/* Numbers of live packs whose entries are missing, in order of commit. *OUT: mem_free. */
static enum err_code missing_packs(const struct index *i, const struct ledger *l, uint32_t **out, uint32_t *count,
                                   struct err *e)
{
	uint32_t *numbers = mem_zalloc(ledger_pack_count(l) + 1, sizeof *numbers);
	uint32_t n = 0;

	if (!numbers)
		return err_no_memory(e, ledger_pack_count(l) * sizeof *numbers);
	for (uint32_t ordinal = 0; ordinal < ledger_pack_count(l); ordinal++) {
		uint8_t key[IDMAP_KEY_BYTES];
		uint64_t number;

		index_name_key(&ledger_pack(l, ordinal)->pack.name, key);
		if (idmap_get(&i->by_name, key, &number) && i->packs[number]->state == KNOWN_LIVE &&
		    !i->packs[number]->held)
			numbers[n++] = (uint32_t)number;
	}
	*out = numbers;
	*count = n;
	return ERR_OK;
}

/* Follows the ledger and fills DB (or memory) with what is missing. CHANGE is held. */
static enum err_code catch_up(struct index *i, const struct ledger *l, struct index_db *db, struct err *e)
{
	uint32_t *missing = NULL, count = 0;
	enum err_code rc;

	/* Several handles share the index; what the newest of them learned stands. */
	if (ledger_head(l).number < i->head)
		return ERR_OK;
	i->head = ledger_head(l).number;
	pthread_rwlock_wrlock(&i->lock);
	rc = follow_ledger(i, l, e);
	if (!rc)
		rc = missing_packs(i, l, &missing, &count, e);
	pthread_rwlock_unlock(&i->lock);
	if (!rc && count)
		rc = index_fill(i, db, missing, count, e);
	mem_free(missing);
	return rc;
}

/* ---- removing what is dead, at a writer's opening ---- */

static enum err_code clear_dead(struct index *i, uint32_t clearing, struct err *e)
{
	bool *dead = mem_zalloc(i->count + 1, sizeof *dead);
	uint64_t dead_chunks = 0, all = 0;
	enum err_code rc = ERR_OK;

	if (!dead)
		return err_no_memory(e, i->count);
	for (uint32_t j = 0; j < i->count; j++) {
		const struct known *known = i->packs[j];

		dead[j] = !known || (known->held && known->state == KNOWN_DEAD);
		dead_chunks += known && dead[j] ? known->chunks : 0;
		all += known ? known->chunks : 0;
	}
	if (clearing || (dead_chunks >= CLEAR_CHUNKS_MIN && dead_chunks > all / 4)) {
		rc = index_db_clear(i->db, dead, i->count, e);
		for (uint32_t j = 0; !rc && j < i->count; j++) {
			if (!dead[j] || !i->packs[j])
				continue;
			/* It stays known by name: a late commit reads it again, under the same number. */
			i->packs[j]->held = false;
			i->packs[j]->chunks = 0;
		}
	}
	mem_free(dead);
	return rc;
}

/* ---- modes ---- */

static enum err_code open_as_writer(struct index *i, const struct ledger *l, struct err *e)
{
	uint32_t clearing = 0;
	enum err_code rc = open_or_remake(i, live_count(l), &clearing, e);

	if (!rc)
		rc = catch_up(i, l, i->db, e);
	/* Damage in a part that opening does not read shows when files are merged or read. */
	if (rc == ERR_CORRUPT) {
		struct err why = *e;

		index_db_free(&i->db);
		forget_packs(i);
		tell_rebuild(i, &why, live_count(l));
		rc = file_remove_tree((const char *)i->path.ptr, e);
		if (!rc)
			rc = open_database(i, false, &clearing, e);
		if (!rc)
			rc = catch_up(i, l, i->db, e);
	}
	if (!rc)
		rc = clear_dead(i, clearing, e);
	return rc;
}

/* True when every live pack of the ledger is held. */
static bool covers(const struct index *i, const struct ledger *l)
{
	for (uint32_t ordinal = 0; ordinal < ledger_pack_count(l); ordinal++) {
		const struct pack_fact *fact = ledger_pack(l, ordinal);
		uint8_t key[IDMAP_KEY_BYTES];
		uint64_t number;

		index_name_key(&fact->pack.name, key);
		if (fact->state == PACK_LIVE && (!idmap_get(&i->by_name, key, &number) || !i->packs[number]->held))
			return false;
	}
	return true;
}

/* Becomes the writer for a moment. */
static enum err_code write_for_reading(struct index *i, const struct ledger *l, struct err *e)
{
	uint32_t ignored;
	enum err_code rc = take_lock(i, e);

	if (rc)
		return rc;
	index_db_free(&i->db);
	forget_packs(i);
	rc = open_as_writer(i, l, e);
	index_db_free(&i->db);
	forget_packs(i);
	if (!rc)
		rc = open_database(i, true, &ignored, e);
	drop_lock(i);
	return rc;
}

static enum err_code open_as_reader(struct index *i, const struct ledger *l, struct err *e)
{
	uint32_t ignored;
	enum err_code rc = open_database(i, true, &ignored, e);

	if (rc && rc != ERR_NOT_FOUND && !is_damage(rc) && rc != ERR_DENIED)
		return rc;
	if (!i->db || !covers(i, l)) {
		rc = write_for_reading(i, l, e);
		/* Somebody writes, or nobody may: what the files lack is held in memory. */
		if (rc == ERR_BUSY || rc == ERR_DENIED || rc == ERR_NO_SPACE || is_damage(rc))
			rc = i->db ? ERR_OK : open_database(i, true, &ignored, e);
		if (rc && rc != ERR_NO_MEMORY)
			rc = ERR_OK;
	}
	if (!rc)
		rc = catch_up(i, l, NULL, e);
	return rc;
}

/* ---- making anew while open ---- */

/* Numbers of all packs that count; they keep their numbers. *OUT: mem_free. */
static enum err_code unhold_all(struct index *i, uint32_t **out, uint32_t *count, struct err *e)
{
	uint32_t *numbers = mem_zalloc(i->count + 1, sizeof *numbers);
	uint32_t n = 0;

	if (!numbers)
		return err_no_memory(e, i->count * sizeof *numbers);
	for (uint32_t j = 0; j < i->count; j++) {
		if (!i->packs[j])
			continue;
		if (i->packs[j]->held && i->packs[j]->state != KNOWN_DEAD)
			numbers[n++] = j;
		i->packs[j]->held = false;
		i->packs[j]->pending = false;
	}
	i->db_packs = 0;
	*out = numbers;
	*count = n;
	return ERR_OK;
}

static enum err_code remake_locked(struct index *i, struct index_db **fresh, struct err *e)
{
	enum err_code rc;

	index_db_free(&i->db);
	index_memory_release(&i->memory);
	i->generation++;
	if (i->mode == INDEX_READ) {
		/* The files are somebody else's to mend; the mark makes the next writer do it. */
		*fresh = NULL;
		return ERR_OK;
	}
	rc = file_remove_tree((const char *)i->path.ptr, e);
	if (!rc)
		rc = index_db_open((const char *)i->path.ptr, keys_repo(i->keys), false, fresh, e);
	if (!rc)
		i->db = *fresh;
	return rc; /* on failure DB is NULL and lookups find nothing: chunks are stored again, none is lost */
}

/* CHANGE is held. */
static enum err_code heal(struct index *i, const struct err *why, struct err *e)
{
	uint32_t *numbers = NULL, count = 0;
	struct index_db *fresh = NULL;
	enum err_code rc;

	pthread_rwlock_wrlock(&i->lock);
	rc = unhold_all(i, &numbers, &count, e);
	if (!rc) {
		tell_rebuild(i, why, count);
		rc = remake_locked(i, &fresh, e);
	}
	i->filling = true;
	pthread_rwlock_unlock(&i->lock);
	if (!rc && count)
		rc = index_fill(i, fresh, numbers, count, e);
	pthread_rwlock_wrlock(&i->lock);
	i->filling = false;
	pthread_rwlock_unlock(&i->lock);
	mem_free(numbers);
	return rc;
}

enum err_code index_heal(struct index *i, uint32_t generation, const struct err *why, struct err *e)
{
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&i->change);
	if (i->generation == generation) /* else another thread was here first */
		rc = heal(i, why, e);
	pthread_mutex_unlock(&i->change);
	return rc;
}

/* ---- door ---- */

static enum err_code make_paths(struct index *i, const char *folder, struct err *e)
{
	enum err_code rc = file_make_folders(folder, 0700, e);

	if (!rc)
		rc = file_join(folder, "index", &i->path, e);
	if (!rc)
		rc = file_join(folder, "index.sst", &i->temporary, e);
	if (!rc)
		rc = file_join(folder, "index.lock", &i->lock_path, e);
	return rc;
}

enum err_code index_open(const char *folder, struct store *store, const struct keys *k, const struct ledger *l,
                         enum index_mode mode, ledger_notice notice, void *ctx, struct index **out, struct err *e)
{
	struct index *i = mem_zalloc(1, sizeof *i);
	enum err_code rc;

	if (!i)
		return err_no_memory(e, sizeof *i);
	*i = (struct index){ .store = store, .keys = k, .mode = mode, .lock_fd = -1, .notice = notice, .ctx = ctx };
	pthread_mutex_init(&i->change, NULL);
	pthread_rwlock_init(&i->lock, NULL);
	rc = make_paths(i, folder, e);
	if (!rc && mode == INDEX_WRITE)
		rc = take_lock(i, e);
	if (!rc)
		rc = mode == INDEX_WRITE ? open_as_writer(i, l, e) : open_as_reader(i, l, e);
	if (rc) {
		index_free(&i);
		return err_note(e, "while opening the local index in %s", folder);
	}
	*out = i;
	return ERR_OK;
}

const char *index_library_version(void)
{
	return MAILHOLD_ROCKSDB_VERSION;
}

enum err_code index_update(struct index *i, const struct ledger *l, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&i->change);
	rc = catch_up(i, l, i->mode == INDEX_WRITE ? i->db : NULL, e);
	if (rc == ERR_CORRUPT) {
		struct err why = *e;

		rc = heal(i, &why, e);
		if (!rc)
			rc = catch_up(i, l, i->mode == INDEX_WRITE ? i->db : NULL, e);
	}
	pthread_mutex_unlock(&i->change);
	return rc;
}

/* Entries of one pack of our own, from ids in pack order. */
static enum err_code own_entries(const uint32_t *chunks_per_block, uint32_t block_count, const struct chunk_id *ids,
                                 uint32_t number, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (uint32_t block = 0; !rc && block < block_count; block++) {
		uint8_t *at;

		rc = buf_extend(out, chunks_per_block[block] * sizeof(struct index_entry), &at, e);
		for (uint32_t slot = 0; !rc && slot < chunks_per_block[block]; slot++) {
			struct index_entry entry = { *ids++, { number, block, slot } };

			memcpy(at + slot * sizeof entry, &entry, sizeof entry);
		}
	}
	return rc;
}

/* Enters an own pack, not held yet. */
static enum err_code learn_own(struct index *i, const struct pack_added *pack, struct known **known, uint32_t *number,
                               struct err *e)
{
	uint8_t key[IDMAP_KEY_BYTES];
	uint64_t there;
	enum err_code rc;

	index_name_key(&pack->name, key);
	pthread_rwlock_wrlock(&i->lock);
	if (idmap_get(&i->by_name, key, &there))
		rc = err_set(e, ERR_EXISTS, "the pack is in the index already");
	else
		rc = index_learn(i, UINT32_MAX, pack, known, number, e);
	if (!rc) {
		(*known)->own = true;
		(*known)->state = KNOWN_OWN;
	}
	pthread_rwlock_unlock(&i->lock);
	return rc;
}

/* Marks of the packs that wait, and their entries: those of a pack that failed halfway stay out. */
static enum err_code gather_pending(struct index *i, struct buf *entries, struct buf *marks, struct err *e)
{
	struct index_entry *at;
	size_t kept = 0, count;
	enum err_code rc = index_memory_entries(&i->memory, entries, e);

	for (uint32_t j = 0; !rc && j < i->count; j++) {
		struct index_mark mark = { .number = j };

		if (!i->packs[j] || !i->packs[j]->pending)
			continue;
		mark.chunks = i->packs[j]->chunks;
		mark.pack = i->packs[j]->pack;
		rc = buf_append(marks, span_of(&mark, sizeof mark), e);
	}
	at = (struct index_entry *)(void *)entries->ptr;
	count = entries->len / sizeof *at;
	for (size_t j = 0; !rc && j < count; j++) {
		if (i->packs[at[j].place.pack]->pending)
			at[kept++] = at[j];
	}
	entries->len = kept * sizeof *at;
	return rc;
}

/* Writes down what a writer holds in memory, as one unit. CHANGE is held, so nobody else changes what is read here
 * without LOCK. */
static enum err_code write_down(struct index *i, struct err *e)
{
	struct buf entries = BUF_WITH_MAX(INDEX_MEMORY_ENTRIES_MAX * sizeof(struct index_entry));
	struct buf marks = BUF_WITH_MAX(PACK_BYTES_MAX);
	size_t mark_count;
	enum err_code rc = gather_pending(i, &entries, &marks, e);

	mark_count = marks.len / sizeof(struct index_mark);
	if (!rc && mark_count)
		rc = index_db_put(i->db, (const char *)i->temporary.ptr,
		                  (const struct index_entry *)(const void *)entries.ptr,
		                  entries.len / sizeof(struct index_entry),
		                  (const struct index_mark *)(const void *)marks.ptr, mark_count, e);
	if (!rc) {
		pthread_rwlock_wrlock(&i->lock);
		i->db_packs += (uint32_t)mark_count;
		index_memory_release(&i->memory);
		for (uint32_t j = 0; j < i->count; j++) {
			if (i->packs[j])
				i->packs[j]->pending = false;
		}
		pthread_rwlock_unlock(&i->lock);
	}
	buf_release(&entries);
	buf_release(&marks);
	return rc;
}

/* A writer's pack waits in memory unless it is too large for that. */
static enum err_code put_own(struct index *i, struct known *known, const struct index_mark *mark,
                             const struct buf *entries, struct err *e)
{
	const struct index_entry *first = (const struct index_entry *)(const void *)entries->ptr;
	bool direct = i->db && i->mode == INDEX_WRITE && mark->chunks > INDEX_OWN_ENTRIES_MAX;
	enum err_code rc = ERR_OK;

	if (direct)
		rc = index_db_put(i->db, (const char *)i->temporary.ptr, first, mark->chunks, mark, 1, e);
	else if (i->db && i->mode == INDEX_WRITE && i->memory.count + mark->chunks > INDEX_OWN_ENTRIES_MAX)
		rc = write_down(i, e);
	pthread_rwlock_wrlock(&i->lock);
	for (uint32_t j = 0; !rc && !direct && j < mark->chunks; j++)
		rc = index_memory_add(&i->memory, &first[j], e);
	if (!rc) {
		known->chunks = mark->chunks;
		known->held = true;
		known->pending = !direct;
		i->db_packs += direct;
	}
	pthread_rwlock_unlock(&i->lock);
	return rc;
}

enum err_code index_add_own(struct index *i, const struct pack_added *pack, const uint32_t *chunks_per_block,
                            uint32_t block_count, const struct chunk_id *ids, struct err *e)
{
	struct buf entries = BUF_WITH_MAX(PACK_BYTES_MAX * 2);
	struct index_mark mark = { .pack = *pack };
	struct known *known = NULL;
	enum err_code rc;

	pthread_mutex_lock(&i->change);
	rc = learn_own(i, pack, &known, &mark.number, e);
	if (!rc)
		rc = own_entries(chunks_per_block, block_count, ids, mark.number, &entries, e);
	if (!rc) {
		mark.chunks = (uint32_t)(entries.len / sizeof(struct index_entry));
		rc = put_own(i, known, &mark, &entries, e);
		if (rc == ERR_CORRUPT) {
			struct err why = *e;

			rc = heal(i, &why, e);
			if (!rc)
				rc = put_own(i, known, &mark, &entries, e);
		}
	}
	pthread_mutex_unlock(&i->change);
	buf_release(&entries);
	if (rc)
		err_note(e, "while adding a pack to the local index");
	return rc;
}

const struct pack_added *index_pack(const struct index *i, uint32_t pack)
{
	struct index *self = (struct index *)(uintptr_t)i; /* the lock is no part of what is const here */
	const struct pack_added *got = NULL;

	pthread_rwlock_rdlock(&self->lock);
	if (pack < i->count && i->packs[pack])
		got = &i->packs[pack]->pack;
	pthread_rwlock_unlock(&self->lock);
	return got;
}

bool index_pack_ordinal(const struct index *i, uint32_t pack, uint32_t *ordinal)
{
	struct index *self = (struct index *)(uintptr_t)i;
	uint32_t got = NO_ORDINAL;

	pthread_rwlock_rdlock(&self->lock);
	if (pack < i->count && i->packs[pack])
		got = i->packs[pack]->ordinal;
	pthread_rwlock_unlock(&self->lock);
	if (got != NO_ORDINAL)
		*ordinal = got;
	return got != NO_ORDINAL;
}

bool index_pack_trusted(const struct index *i, uint32_t pack)
{
	struct index *self = (struct index *)(uintptr_t)i;
	bool trusted = false;

	pthread_rwlock_rdlock(&self->lock);
	if (pack < i->count && i->packs[pack])
		trusted = i->packs[pack]->trusted || i->packs[pack]->state == KNOWN_OWN;
	pthread_rwlock_unlock(&self->lock);
	return trusted;
}

bool index_has_rivals(const struct index *i)
{
	struct index *self = (struct index *)(uintptr_t)i;
	bool rivals;

	pthread_rwlock_rdlock(&self->lock);
	rivals = i->rivals;
	pthread_rwlock_unlock(&self->lock);
	return rivals;
}

void index_free(struct index **i)
{
	struct err ignored; /* what is not written down is read from the packs next time */

	if (!*i)
		return;
	if ((*i)->mode == INDEX_WRITE && (*i)->db && write_down(*i, &ignored))
		assert(ignored.code != ERR_OK);
	index_db_free(&(*i)->db);
	drop_lock(*i);
	forget_packs(*i);
	mem_free((*i)->packs);
	idmap_release(&(*i)->by_name);
	index_memory_release(&(*i)->memory);
	block_codec_free(&(*i)->codec);
	buf_release(&(*i)->path);
	buf_release(&(*i)->temporary);
	buf_release(&(*i)->lock_path);
	pthread_mutex_destroy(&(*i)->change);
	pthread_rwlock_destroy(&(*i)->lock);
	mem_free(*i);
	*i = NULL;
}
