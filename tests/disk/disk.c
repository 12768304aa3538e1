#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define NONE       UINT32_MAX
#define SECTOR     512
#define PAGE       4096
#define INO_SLOTS  (1u << 18) /* of the table of inode numbers: a power of two, far more than a tape has files */
#define PATH_BYTES 1024
#define NAME_BYTES 256

struct bytes {
	uint8_t *at;
	size_t len, capacity;
};

/* An unsynced change. Of a file: data, or a new size (data NULL). Of a folder: NAME is NODE from now on (NONE: nothing). */
struct change {
	const uint8_t *data;
	uint64_t offset;
	size_t len;
	const char *name;
	uint32_t node;
};

struct name {
	const char *text; /* in the tape */
	uint32_t node;
};

struct node {
	bool folder;
	unsigned disk;
	char *path;         /* its first name: for rules and messages */
	struct bytes bytes; /* synced */
	struct name *names; /* synced */
	uint32_t name_count, name_capacity;
	struct change *changes;
	uint32_t change_count, change_capacity;
};

struct ino_slot {
	uint64_t ino;
	uint32_t node;
	unsigned disk;
	bool used;
};

struct disks {
	uint64_t at; /* in the tape */
	struct node *nodes;
	uint32_t count, capacity;
	struct ino_slot *slots;
	const struct no_sync *rule;
	uint64_t ignored;
	char **first_paths; /* by node, when they have one in the end: a file may be synced before it has a name */
	uint32_t path_count;
	uint32_t roots[DISK_COUNT];
};

/* splitmix64 */
uint64_t dice(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void *need(void *got)
{
	if (!got) {
		fputs("no memory for the disks\n", stderr);
		abort();
	}
	return got;
}

#define GROW(array, count, capacity)                                                                                   \
	do {                                                                                                           \
		if ((count) == (capacity)) {                                                                           \
			(capacity) = (capacity) ? 2 * (capacity) : 8;                                                  \
			(array) = need(realloc((array), (capacity) * sizeof *(array)));                                \
		}                                                                                                      \
	} while (0)

/* ---- nodes ---- */

static struct ino_slot *slot_of(struct disks *d, unsigned disk, uint64_t ino)
{
	uint64_t state = ino * 2 + disk;
	uint64_t i = dice(&state) & (INO_SLOTS - 1);

	while (d->slots[i].used && (d->slots[i].ino != ino || d->slots[i].disk != disk))
		i = (i + 1) & (INO_SLOTS - 1);
	return &d->slots[i];
}

/* A number that is made anew means a new node. */
static uint32_t new_node(struct disks *d, unsigned disk, uint64_t ino, bool folder)
{
	struct ino_slot *slot = slot_of(d, disk, ino);

	GROW(d->nodes, d->count, d->capacity);
	d->nodes[d->count] = (struct node){ .folder = folder, .disk = disk };
	if (d->first_paths && d->count < d->path_count && d->first_paths[d->count])
		d->nodes[d->count].path = need(strdup(d->first_paths[d->count]));
	*slot = (struct ino_slot){ ino, d->count, disk, true };
	return d->count++;
}

static uint32_t node_of(struct disks *d, unsigned disk, uint64_t ino)
{
	struct ino_slot *slot = slot_of(d, disk, ino);

	return slot->used ? slot->node : NONE;
}

static struct change *add_change(struct node *n)
{
	GROW(n->changes, n->change_count, n->change_capacity);
	n->changes[n->change_count] = (struct change){ .node = NONE };
	return &n->changes[n->change_count++];
}

/* ---- names ---- */

static uint32_t find_name(const struct name *names, uint32_t count, const char *text)
{
	uint32_t i = 0;

	while (i < count && strcmp(names[i].text, text) != 0)
		i++;
	return i;
}

static void set_name(struct name **names, uint32_t *count, uint32_t *capacity, const char *text, uint32_t node)
{
	uint32_t i = find_name(*names, *count, text);

	if (node == NONE) {
		if (i < *count)
			(*names)[i] = (*names)[--*count];
		return;
	}
	if (i == *count) {
		GROW(*names, *count, *capacity);
		(*names)[(*count)++].text = text;
	}
	(*names)[i].node = node;
}

/* What NAME means now, unsynced changes included. */
static uint32_t lookup(const struct node *folder, const char *name)
{
	uint32_t i;

	for (i = folder->change_count; i > 0; i--)
		if (strcmp(folder->changes[i - 1].name, name) == 0)
			return folder->changes[i - 1].node;
	i = find_name(folder->names, folder->name_count, name);
	return i < folder->name_count ? folder->names[i].node : NONE;
}

static void change_name(struct disks *d, uint32_t folder, const char *name, uint32_t node)
{
	struct change *c;

	if (folder == NONE)
		return;
	c = add_change(&d->nodes[folder]);
	c->name = name;
	c->node = node;
	if (node != NONE && !d->nodes[node].path) {
		const char *above = d->nodes[folder].path ? d->nodes[folder].path : "?";
		char path[PATH_BYTES];

		snprintf(path, sizeof path, "%s%s%s", above, *above ? "/" : "", name);
		d->nodes[node].path = need(strdup(path));
	}
}

/* ---- bytes ---- */

static void resize(struct bytes *b, size_t len, uint8_t filling)
{
	if (len > b->capacity) {
		b->capacity = len > 2 * b->capacity ? len : 2 * b->capacity;
		b->at = need(realloc(b->at, b->capacity));
	}
	if (len > b->len)
		memset(b->at + b->len, filling, len - b->len);
	b->len = len;
}

static void write_at(struct bytes *b, uint64_t offset, const uint8_t *data, size_t len, uint8_t filling)
{
	if (offset + len > b->len)
		resize(b, offset + len, filling);
	if (len)
		memcpy(b->at + offset, data, len);
}

static void apply(struct bytes *b, const struct change *c)
{
	if (c->data)
		write_at(b, c->offset, c->data, c->len, 0);
	else
		resize(b, c->offset, 0);
}

static void sync_node(struct node *n)
{
	for (uint32_t i = 0; i < n->change_count; i++) {
		const struct change *c = &n->changes[i];

		if (n->folder)
			set_name(&n->names, &n->name_count, &n->name_capacity, c->name, c->node);
		else
			apply(&n->bytes, c);
	}
	n->change_count = 0;
}

void disks_settle(struct disks *d, unsigned disk)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->nodes[i].disk == disk)
			sync_node(&d->nodes[i]);
}

/* ---- playing ---- */

static bool passed_over(struct disks *d, const struct node *n)
{
	const struct no_sync *r = d->rule;
	bool hit = r && r->disk == n->disk && r->folders == n->folder && n->path &&
	           strncmp(n->path, r->prefix, strlen(r->prefix)) == 0;

	d->ignored += hit;
	return hit;
}

static void play_bytes(struct disks *d, const struct tape_op *op)
{
	uint32_t node = node_of(d, op->disk, op->ino);
	struct change *c;

	if (node == NONE)
		return;
	c = add_change(&d->nodes[node]);
	c->data = op->kind == TAPE_WRITE ? op->data : NULL;
	c->offset = op->offset;
	c->len = op->len;
}

static void play_rename(struct disks *d, const struct tape_op *op)
{
	uint32_t from = node_of(d, op->disk, op->dir), to = node_of(d, op->disk, op->dir2);
	uint32_t node = from == NONE ? NONE : lookup(&d->nodes[from], op->name);

	change_name(d, to, op->name2, node);
	change_name(d, from, op->name, NONE);
}

static void play(struct disks *d, const struct tape_op *op)
{
	uint32_t node;

	switch (op->kind) {
	case TAPE_CREATE:
	case TAPE_MKDIR:
		node = new_node(d, op->disk, op->ino, op->kind == TAPE_MKDIR);
		if (*op->name)
			change_name(d, node_of(d, op->disk, op->dir), op->name, node);
		break;
	case TAPE_LINK:
		change_name(d, node_of(d, op->disk, op->dir), op->name, node_of(d, op->disk, op->ino));
		break;
	case TAPE_UNLINK:
		change_name(d, node_of(d, op->disk, op->dir), op->name, NONE);
		break;
	case TAPE_RENAME:
		play_rename(d, op);
		break;
	case TAPE_WRITE:
	case TAPE_TRUNCATE:
		play_bytes(d, op);
		break;
	case TAPE_SYNC:
		node = node_of(d, op->disk, op->ino);
		if (node != NONE && !passed_over(d, &d->nodes[node]))
			sync_node(&d->nodes[node]);
		break;
	case TAPE_SYNC_ALL:
		disks_settle(d, op->disk);
		break;
	case TAPE_STEP:
	case TAPE_TELL:
		break;
	}
}

bool disks_play(struct disks *d, struct tape_op *out)
{
	struct tape_op op;

	if (!tape_next(&d->at, &op))
		return false;
	play(d, &op);
	if (out)
		*out = op;
	return true;
}

void disks_ignore_syncs(struct disks *d, const struct no_sync *rule)
{
	d->rule = rule;
}

uint64_t disks_ignored(const struct disks *d)
{
	return d->ignored;
}

static struct disks *disks_at_start(void)
{
	struct disks *d = need(calloc(1, sizeof *d));

	d->slots = need(calloc(INO_SLOTS, sizeof *d->slots));
	for (unsigned disk = 0; disk < DISK_COUNT; disk++) {
		d->roots[disk] = new_node(d, disk, tape_root_ino(disk), true);
		free(d->nodes[d->roots[disk]].path);
		d->nodes[d->roots[disk]].path = need(strdup(""));
	}
	return d;
}

struct disks *disks_new(void)
{
	struct disks *scout = disks_at_start(), *d;

	while (disks_play(scout, NULL))
		;
	d = disks_at_start();
	d->path_count = scout->count;
	d->first_paths = need(calloc(scout->count, sizeof *d->first_paths));
	for (uint32_t i = 0; i < scout->count; i++) {
		d->first_paths[i] = scout->nodes[i].path;
		scout->nodes[i].path = NULL;
	}
	disks_free(&scout);
	return d;
}

void disks_free(struct disks **at)
{
	struct disks *d = *at;

	if (!d)
		return;
	for (uint32_t i = 0; i < d->count; i++) {
		free(d->nodes[i].path);
		free(d->nodes[i].bytes.at);
		free(d->nodes[i].names);
		free(d->nodes[i].changes);
	}
	for (uint32_t i = 0; i < d->path_count; i++)
		free(d->first_paths[i]);
	free(d->first_paths);
	free(d->nodes);
	free(d->slots);
	free(d);
	*at = NULL;
}

/* ---- what a power cut leaves ---- */

const char *survival_name(enum survival s)
{
	static const char *const names[] = { "what was synced",         "everything", "all names, synced bytes",
		                             "all bytes, synced names", "some",       "nothing" };

	return names[s];
}

struct cut {
	struct disks *disks;
	enum survival survival;
	uint64_t seed;
	unsigned chance; /* of 100 that something unsynced is there */
	size_t sector;
	uint8_t filling; /* of holes */
	struct picture *picture;
};

static bool lucky(struct cut *c)
{
	return dice_below(&c->seed, 100) < c->chance;
}

/* The pieces of one write that made it. */
static void some_pieces(struct cut *c, struct bytes *b, const struct change *change)
{
	uint64_t at = change->offset, end = change->offset + change->len;

	while (at < end) {
		uint64_t next = (at / c->sector + 1) * c->sector;

		if (next > end)
			next = end;
		if (lucky(c))
			write_at(b, at, change->data + (at - change->offset), next - at, c->filling);
		at = next;
	}
}

static void left_of_file(struct cut *c, const struct node *n, struct bytes *out)
{
	size_t size = n->bytes.len, now = size;

	resize(out, n->bytes.len, 0);
	if (n->bytes.len)
		memcpy(out->at, n->bytes.at, n->bytes.len);
	for (uint32_t i = 0; i < n->change_count; i++) {
		const struct change *change = &n->changes[i];

		now = !change->data                        ? change->offset
		      : change->offset + change->len > now ? change->offset + change->len
		                                           : now;
		if (c->survival == SURVIVES_ALL || c->survival == SURVIVES_BYTES)
			apply(out, change);
		else if (c->survival == SURVIVES_SOME && change->data)
			some_pieces(c, out, change);
		else if (c->survival == SURVIVES_SOME && lucky(c))
			resize(out, change->offset, c->filling);
	}
	/* Sizes are told apart from bytes: a file may have its new size and not its bytes. */
	if (n->change_count && (c->survival == SURVIVES_NAMES || c->survival == SURVIVES_SOME) && (c->seed & 1))
		resize(out, now, c->filling);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct name *left_of_folder(struct cut *c, const struct node *n, uint32_t *count)
{
	uint32_t capacity = n->name_count;
	struct name *names = NULL;

	*count = n->name_count;
	if (capacity) {
		names = need(malloc(capacity * sizeof *names));
		memcpy(names, n->names, capacity * sizeof *names);
	}
	for (uint32_t i = 0; i < n->change_count; i++) {
		const struct change *change = &n->changes[i];
		bool there = c->survival == SURVIVES_ALL || c->survival == SURVIVES_NAMES ||
		             (c->survival == SURVIVES_SOME && lucky(c));

		if (there)
			set_name(&names, count, &capacity, change->name, change->node);
	}
	if (*count)
		qsort(names, *count, sizeof *names, by_text);
	return names;
}

static struct picture_file *add_file(struct picture *p, const struct node *n, const char *path)
{
	GROW(p->files, p->count, p->capacity);
	p->files[p->count] = (struct picture_file){ n->disk, n->folder, need(strdup(path)), NULL, 0 };
	return &p->files[p->count++];
}

/* PATH is the folder's; names are appended in place. */
static void take_folder(struct cut *c, uint32_t folder, char path[PATH_BYTES])
{
	size_t len = strlen(path);
	uint32_t count;
	struct name *names = left_of_folder(c, &c->disks->nodes[folder], &count);

	for (uint32_t i = 0; i < count; i++) {
		const struct node *n = &c->disks->nodes[names[i].node];
		struct picture_file *file;

		if (snprintf(path + len, PATH_BYTES - len, "%s%s", len ? "/" : "", names[i].text) >=
		    (int)(PATH_BYTES - len))
			abort();
		file = add_file(c->picture, n, path);
		if (n->folder) {
			take_folder(c, names[i].node, path);
		} else {
			struct bytes b = { 0 };

			left_of_file(c, n, &b);
			file->bytes = b.at;
			file->len = b.len;
		}
		path[len] = 0;
	}
	free(names);
}

void disks_picture(struct disks *d, const struct choice *choice, struct picture *out)
{
	static const unsigned chances[] = { 10, 50, 90, 97 };

	*out = (struct picture){ 0 };
	for (unsigned disk = 0; disk < DISK_COUNT; disk++) {
		struct cut c = {
			.disks = d, .survival = choice->survival[disk], .seed = choice->seed + disk, .picture = out
		};
		char path[PATH_BYTES] = "";

		c.chance = chances[dice_below(&c.seed, 4)];
		c.sector = dice_below(&c.seed, 2) ? SECTOR : PAGE;
		c.filling = dice_below(&c.seed, 2) ? 0 : 0xa5;
		if (c.survival != SURVIVES_NOTHING)
			take_folder(&c, d->roots[disk], path);
	}
}

void picture_release(struct picture *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->files[i].path);
		free(p->files[i].bytes);
	}
	free(p->files);
	*p = (struct picture){ 0 };
}

uint64_t picture_hash(const struct picture *p)
{
	uint64_t hash = p->count;

	for (size_t i = 0; i < p->count; i++) {
		const struct picture_file *f = &p->files[i];
		uint64_t parts[] = { hash, f->disk, f->folder, hash64(span_cstr(f->path)),
			             hash64(span_of(f->bytes ? f->bytes : (const uint8_t *)"", f->len)) };

		hash = hash64(span_of(parts, sizeof parts));
	}
	return hash;
}

static void put_file(const struct picture_file *f, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;

	while (fd >= 0 && done < f->len) {
		ssize_t n = write(fd, f->bytes + done, f->len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd < 0 || done < f->len) {
		perror(path);
		abort();
	}
	close(fd);
}

void picture_put(const struct picture *p, const char *const roots[DISK_COUNT])
{
	char path[2 * PATH_BYTES];

	for (size_t i = 0; i < p->count; i++) {
		const struct picture_file *f = &p->files[i];

		snprintf(path, sizeof path, "%s/%s", roots[f->disk], f->path);
		if (!f->folder)
			put_file(f, path);
		else if (mkdir(path, 0700) != 0) {
			perror(path);
			abort();
		}
	}
}

const struct picture_file *picture_find(const struct picture *p, unsigned disk, const char *path)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->files[i].disk == disk && strcmp(p->files[i].path, path) == 0)
			return &p->files[i];
	return NULL;
}
