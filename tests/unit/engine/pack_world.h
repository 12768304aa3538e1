/*
 * pack_world: a store in a temporary folder, keys and a codec, and a way to write packs of made-up chunks into it.
 * Chunk N has bytes that follow from N alone, so that tests name chunks by number.
 */
#ifndef MAILHOLD_TESTS_UNIT_ENGINE_PACK_WORLD_H
#define MAILHOLD_TESTS_UNIT_ENGINE_PACK_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/pack/pack.h"

static struct err err;

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		enum err_code got_ = (call);                                                                           \
		if (got_)                                                                                              \
			fail_msg("%s: %s (%s)", #call, err.text, err_code_name(got_));                                 \
	} while (0)
#define FAILS(want, call) assert_string_equal(err_code_name(call), err_code_name(want))

struct pack_world {
	char root[64];
	char store_path[96];
	char index_path[96];
	struct store *store;
	struct keys *keys;
	struct block_codec *codec;
};

static inline void pack_world_open(struct pack_world *w)
{
	*w = (struct pack_world){ 0 };
	strcpy(w->root, "/tmp/mailhold-pack-XXXXXX");
	assert_non_null(mkdtemp(w->root));
	snprintf(w->store_path, sizeof w->store_path, "%s/store", w->root);
	snprintf(w->index_path, sizeof w->index_path, "%s/cache", w->root);
	OK(crypto_start(&err));
	OK(store_create(w->store_path, &w->store, &err));
	OK(keys_new(&w->keys, &err));
	OK(block_codec_open(3, &w->codec, &err));
}

static inline void pack_world_close(struct pack_world *w)
{
	store_free(&w->store);
	keys_free(&w->keys);
	block_codec_free(&w->codec);
	OK(file_remove_tree(w->root, &err));
}

/* The bytes of chunk NUMBER, 20..179 of them, in a static array. */
static inline struct span chunk_bytes(uint32_t number)
{
	static uint8_t bytes[200];
	size_t len = 20 + number * 7919u % 160;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)("mailhold"[i % 8] ^ (number >> (8 * (i % 4))));
	return span_of(bytes, len);
}

static inline struct chunk_id chunk_id_of(const struct pack_world *w, enum block_class class, uint32_t number)
{
	struct chunk_id id;

	keys_chunk_id(w->keys, block_class_scope(class), chunk_bytes(number), &id);
	return id;
}

/* Adds a block of chunks FIRST .. FIRST+COUNT-1 to a writer. */
static inline void add_block(struct pack_world *w, struct pack_writer *pw, enum block_class class, uint32_t first,
                             uint32_t count)
{
	struct seal_writer *seal = pack_writer_seal(pw, class);
	struct buf sealed = BUF_EMPTY;
	struct block_info info = { 0 };
	struct block_draft d;
	uint32_t number;

	block_draft_init(&d, class);
	for (uint32_t i = 0; i < count; i++) {
		struct chunk_id id = chunk_id_of(w, class, first + i);

		OK(block_draft_add(&d, &id, chunk_bytes(first + i), &err));
	}
	OK(block_seal(w->codec, &d, seal, seal_writer_next(seal), keys_repo(w->keys), &info, &sealed, &err));
	OK(pack_writer_add(pw, &info, buf_span(&sealed), (const struct chunk_id *)(const void *)d.ids.ptr, &number,
	                   &err));
	assert_int_equal(number + 1, pack_writer_blocks(pw));
	block_draft_release(&d);
	buf_release(&sealed);
}

/* A pack of BLOCKS text blocks with PER_BLOCK chunks each, from chunk FIRST on. */
static inline struct pack_added make_pack(struct pack_world *w, uint32_t first, uint32_t blocks, uint32_t per_block)
{
	struct pack_writer *pw = NULL;
	struct pack_added added;

	OK(pack_writer_open(w->store, w->keys, 7, &pw, &err));
	for (uint32_t b = 0; b < blocks; b++)
		add_block(w, pw, CLASS_TEXT, first + b * per_block, per_block);
	OK(pack_writer_finish(&pw, &added, &err));
	assert_null(pw);
	return added;
}

/* The file of a pack in the store's folder, for damaging it. */
static inline int pack_file(const struct pack_world *w, const struct pack_added *what)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", w->store_path, pack_path(&what->name).text);
	chmod(path, 0600);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void flip_byte(int fd, uint64_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static inline void wipe_range(int fd, uint64_t at, size_t len)
{
	uint8_t *junk = malloc(len);

	assert_non_null(junk);
	memset(junk, 0xdb, len);
	assert_int_equal(pwrite(fd, junk, len, (off_t)at), (ssize_t)len);
	free(junk);
}

#endif
