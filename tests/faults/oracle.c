#include "oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "box.h"

static size_t unhex(const char *hex, uint8_t *out, size_t max)
{
	size_t bytes = strlen(hex) / 2;

	if (bytes > max || !text_unhex(span_cstr(hex), out, bytes))
		box_die("the reader gives '%s', which is not of at most %zu bytes", hex, max);
	return bytes;
}

/* "1,5,7" or "-" */
static oracle_set numbers(const char *text)
{
	oracle_set set = 0;

	while (*text && *text != '-') {
		char *end;
		unsigned long n = strtoul(text, &end, 10);

		if (end == text || n >= ORACLE_BLOCKS_MAX)
			box_die("the reader gives '%s' as blocks", text);
		set |= (oracle_set)1 << n;
		text = end + (*end == ',');
	}
	return set;
}

static void take_block(struct oracle *o, const char *line)
{
	struct oracle_block *b = &o->blocks[o->block_count];
	unsigned number;

	if (o->block_count == ORACLE_BLOCKS_MAX ||
	    sscanf(line, "block %u %119s %" SCNu64 " %" SCNu64 " %" SCNu64, &number, b->pack, &b->first, &b->end,
	           &b->record) != 5 ||
	    number != o->block_count)
		box_die("the reader says: %s", line);
	o->block_count++;
}

static void take_snapshot(struct oracle *o, const char *line)
{
	char hex[40];

	if (o->snapshot_count == ORACLE_SNAPSHOTS_MAX ||
	    sscanf(line, "snapshot %39s %" SCNu64, hex, &o->snapshots[o->snapshot_count].record) != 2)
		box_die("the reader says: %s", line);
	unhex(hex, o->snapshots[o->snapshot_count].id.bytes, sizeof o->snapshots[0].id.bytes);
	o->snapshot_count++;
}

static void take_item(struct oracle *o, const char *line)
{
	struct oracle_item *i = &o->items[o->item_count];
	char snapshot[40], path[140], key[140], digest[40], content[300], structure[300];

	if (o->item_count == ORACLE_ITEMS_MAX ||
	    sscanf(line, "item %39s %139s %139s %" SCNu64 " %39s %299s %299s", snapshot, path, key, &i->bytes, digest,
	           content, structure) != 7)
		box_die("the reader says: %s", line);
	i->snapshot = (unsigned)o->snapshot_count - 1; /* items stand below their snapshot */
	i->path_bytes = unhex(path, i->path, sizeof i->path);
	i->key_bytes = unhex(key, i->key, sizeof i->key);
	unhex(digest, i->digest, sizeof i->digest);
	i->content = numbers(content);
	i->structure = numbers(structure);
	o->item_count++;
}

void oracle_ask(const char *reader, const char *repository, const char *key_file, struct oracle *out)
{
	char command[2000], line[1200];
	FILE *f;

	memset(out, 0, sizeof *out);
	snprintf(command, sizeof command, "%.800s '%.500s' --key-file '%.500s' --needs 2>&1", reader, repository,
	         key_file);
	f = popen(command, "r");
	if (!f)
		box_die("%s cannot be run", command);
	while (fgets(line, sizeof line, f)) {
		if (!strncmp(line, "block ", 6))
			take_block(out, line);
		else if (!strncmp(line, "snapshot ", 9))
			take_snapshot(out, line);
		else if (!strncmp(line, "item ", 5))
			take_item(out, line);
	}
	if (pclose(f) != 0 || !out->item_count)
		box_die("the second reader failed: %s", line);
}

int oracle_find(const struct oracle *o, unsigned snapshot, struct span path, struct span key)
{
	for (size_t i = 0; i < o->item_count; i++) {
		const struct oracle_item *item = &o->items[i];

		if (item->snapshot == snapshot && span_equal(span_of(item->path, item->path_bytes), path) &&
		    span_equal(span_of(item->key, item->key_bytes), key))
			return (int)i;
	}
	return -1;
}
