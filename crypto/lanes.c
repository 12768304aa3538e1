/*
 * Messages are dealt to lanes, the longest first; a lane whose message has ended takes the next one. All lanes advance
 * together by as many blocks as the nearest end allows. What the key's own block makes of the initial value is the same for
 * every message, so it is computed once for each call. When only a lane or two are left, the plain kernel ends their
 * messages: it takes half as long for a block as a wide one takes for a block in each lane.
 */
#include "lanes.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "lanes_rounds.h"

#define DEAL_MAX    256 /* messages put in order at once */
#define LENGTH_LOGS 65
#define FEW         2 /* messages that are sooner done by the plain kernel */

/*
 * Invariants
 * 1. lane L is idle when message[L] is NULL; then it reads ZEROS again and again, and what it computes is nobody's.
 * 2. left[L] is at least 1 in a lane that is not idle: the last block is taken when nothing else of its message is left.
 */
struct lanes {
	struct lanes_state s;
	const struct span *message[LANES_MAX];
	size_t left[LANES_MAX];
	size_t width, busy;
	const struct span *in; /* as given to lanes_hash, from where this deal begins */
	uint8_t *out;
	size_t bytes;
	uint64_t start[8]; /* the chaining value after the key's block, and the bytes that it took */
	uint64_t start_bytes;
	uint8_t tail[LANES_MAX][LANES_BLOCK_BYTES];
};

static const uint8_t zeros[LANES_BLOCK_BYTES];

/* ---- one message, in lane 0 ---- */

/* LEFT bytes of it are to be taken, at least 1; TAIL is scratch. */
static void end_plainly(struct lanes_state *s, size_t left, uint8_t tail[LANES_BLOCK_BYTES])
{
	size_t blocks = (left - 1) / LANES_BLOCK_BYTES;

	s->stride[0] = s->step[0] = LANES_BLOCK_BYTES;
	s->last[0] = 0;
	lanes_plain.run(s, blocks);
	left -= blocks * LANES_BLOCK_BYTES;
	memcpy(tail, s->at[0], left);
	memset(tail + left, 0, LANES_BLOCK_BYTES - left);
	s->at[0] = tail;
	s->step[0] = left;
	s->last[0] = UINT64_MAX;
	lanes_plain.run(s, 1);
}

/* The initial value, and the key's block if there is a key. RFC 7693, sections 2.5 and 3.3. */
static void start(struct lanes_state *s, const uint8_t *key, size_t bytes, uint8_t tail[LANES_BLOCK_BYTES])
{
	static const uint64_t iv[8] = { IV0, IV1, IV2, IV3, IV4, IV5, IV6, IV7 };

	for (int i = 0; i < 8; i++)
		s->h[i][0] = iv[i];
	s->h[0][0] ^= 0x01010000u | (key ? LANES_KEY_BYTES << 8 : 0) | (uint64_t)bytes;
	s->t[0] = 0;
	if (!key)
		return;
	memcpy(tail, key, LANES_KEY_BYTES);
	memset(tail + LANES_KEY_BYTES, 0, LANES_BLOCK_BYTES - LANES_KEY_BYTES);
	s->at[0] = tail;
	s->stride[0] = 0;
	s->step[0] = LANES_BLOCK_BYTES;
	s->last[0] = 0;
	lanes_plain.run(s, 1);
}

static void put_digest(const struct lanes_state *s, size_t lane, uint8_t *out, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(s->h[i / 8][lane] >> 8 * (i % 8));
}

static void hash_one(const uint8_t *key, struct span in, uint8_t *out, size_t bytes)
{
	struct lanes_state s;
	uint8_t tail[LANES_BLOCK_BYTES];

	/* Without any bytes the key's block is the last one: not worth a way of its own. */
	if (in.len == 0) {
		crypto_generichash(out, bytes, NULL, 0, key, key ? LANES_KEY_BYTES : 0);
		return;
	}
	start(&s, key, bytes, tail);
	s.at[0] = in.ptr;
	end_plainly(&s, in.len, tail);
	put_digest(&s, 0, out, bytes);
	sodium_memzero(&s, sizeof s);
	sodium_memzero(tail, sizeof tail);
}

/* ---- many ---- */

static void idle(struct lanes *l, size_t lane)
{
	l->message[lane] = NULL;
	l->s.at[lane] = zeros;
	l->s.stride[lane] = 0;
	l->s.step[lane] = 0;
	l->s.last[lane] = 0;
}

static void begin(struct lanes *l, size_t lane, const struct span *message)
{
	for (int i = 0; i < 8; i++)
		l->s.h[i][lane] = l->start[i];
	l->s.t[lane] = l->start_bytes;
	l->s.at[lane] = message->ptr;
	l->s.stride[lane] = LANES_BLOCK_BYTES;
	l->s.step[lane] = LANES_BLOCK_BYTES;
	l->s.last[lane] = 0;
	l->message[lane] = message;
	l->left[lane] = message->len;
	l->busy++;
}

static void give_digest(struct lanes *l, size_t lane)
{
	put_digest(&l->s, lane, l->out + (size_t)(l->message[lane] - l->in) * l->bytes, l->bytes);
	idle(l, lane);
	l->busy--;
}

/* How many blocks every busy lane has before its last one. */
static size_t blocks_before_an_end(const struct lanes *l)
{
	size_t least = SIZE_MAX;

	for (size_t lane = 0; lane < l->width; lane++)
		if (l->message[lane] && l->left[lane] < least)
			least = l->left[lane];
	return (least - 1) / LANES_BLOCK_BYTES;
}

/* The last block of a message is filled up with zeros. */
static void end_block(struct lanes *l, size_t lane)
{
	size_t left = l->left[lane];

	memcpy(l->tail[lane], l->s.at[lane], left);
	memset(l->tail[lane] + left, 0, LANES_BLOCK_BYTES - left);
	l->s.at[lane] = l->tail[lane];
	l->s.step[lane] = left;
	l->s.last[lane] = UINT64_MAX;
}

/* Up to the nearest end, and one block more: at least one message is done then. */
static void advance(const struct lanes_kernel *kernel, struct lanes *l)
{
	size_t blocks = blocks_before_an_end(l);

	if (blocks) {
		kernel->run(&l->s, blocks);
		for (size_t lane = 0; lane < l->width; lane++)
			if (l->message[lane])
				l->left[lane] -= blocks * LANES_BLOCK_BYTES;
	}
	for (size_t lane = 0; lane < l->width; lane++)
		if (l->message[lane] && l->left[lane] <= LANES_BLOCK_BYTES)
			end_block(l, lane);
	kernel->run(&l->s, 1);
	for (size_t lane = 0; lane < l->width; lane++) {
		if (!l->message[lane])
			continue;
		if (l->s.last[lane])
			give_digest(l, lane);
		else
			l->left[lane] -= LANES_BLOCK_BYTES;
	}
}

/* The few that are left, each by itself. */
static void finish_plainly(struct lanes *l)
{
	struct lanes_state one;

	for (size_t lane = 0; lane < l->width; lane++) {
		if (!l->message[lane])
			continue;
		for (int i = 0; i < 8; i++)
			one.h[i][0] = l->s.h[i][lane];
		one.t[0] = l->s.t[lane];
		one.at[0] = l->s.at[lane];
		end_plainly(&one, l->left[lane], l->tail[lane]);
		for (int i = 0; i < 8; i++)
			l->s.h[i][lane] = one.h[i][0];
		give_digest(l, lane);
	}
	sodium_memzero(&one, sizeof one);
}

static unsigned length_log(const struct span *message)
{
	return message->len ? 64 - (unsigned)__builtin_clzll(message->len) : 0;
}

/* The longest first, as far as powers of two tell them apart: what is left at the end, with lanes idle, is short. */
static void put_in_order(const struct span *in, size_t count, uint16_t order[DEAL_MAX])
{
	uint16_t starts[LENGTH_LOGS + 1] = { 0 };

	for (size_t i = 0; i < count; i++)
		starts[LENGTH_LOGS - length_log(&in[i])]++;
	for (size_t i = 1; i <= LENGTH_LOGS; i++)
		starts[i] = (uint16_t)(starts[i] + starts[i - 1]);
	for (size_t i = 0; i < count; i++)
		order[starts[LENGTH_LOGS - length_log(&in[i]) - 1]++] = (uint16_t)i;
}

static void deal(const struct lanes_kernel *kernel, struct lanes *l, const uint8_t *key, size_t count)
{
	uint16_t order[DEAL_MAX];
	size_t next = 0;

	put_in_order(l->in, count, order);
	for (; count && l->in[order[count - 1]].len == 0; count--)
		hash_one(key, SPAN_EMPTY, l->out + order[count - 1] * l->bytes, l->bytes);
	for (;;) {
		for (size_t lane = 0; lane < l->width && next < count; lane++)
			if (!l->message[lane])
				begin(l, lane, &l->in[order[next++]]);
		if (next == count && l->busy <= FEW)
			break;
		advance(kernel, l);
	}
	finish_plainly(l);
}

void lanes_hash(const struct lanes_kernel *kernel, const uint8_t *key, const struct span *in, size_t count,
                uint8_t *out, size_t bytes)
{
	struct lanes l;

	assert(bytes >= 1 && bytes <= LANES_DIGEST_MAX);
	if (kernel->width <= FEW || count <= FEW) {
		for (size_t i = 0; i < count; i++)
			hash_one(key, in[i], out + i * bytes, bytes);
		return;
	}
	memset(&l, 0, sizeof l);
	l.width = kernel->width;
	l.bytes = bytes;
	start(&l.s, key, bytes, l.tail[0]);
	for (int i = 0; i < 8; i++)
		l.start[i] = l.s.h[i][0];
	l.start_bytes = l.s.t[0];
	for (size_t lane = 0; lane < LANES_MAX; lane++)
		idle(&l, lane);
	for (size_t done = 0; done < count; done += DEAL_MAX) {
		l.in = in + done;
		l.out = out + done * bytes;
		deal(kernel, &l, key, count - done < DEAL_MAX ? count - done : DEAL_MAX);
	}
	sodium_memzero(&l, sizeof l);
}

/* ---- which ---- */

size_t lanes_kernels(const struct lanes_kernel *out[LANES_KERNELS_MAX])
{
	size_t count = 0;

#if defined __x86_64__
	if (sodium_runtime_has_avx512f())
		out[count++] = &lanes_avx512;
	if (sodium_runtime_has_avx2())
		out[count++] = &lanes_avx2;
#endif
	out[count++] = &lanes_plain;
	return count;
}

bool lanes_agrees(const struct lanes_kernel *kernel)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 129, 255, 256, 257, 300, 64, 31, 200 };
	uint8_t key[LANES_KEY_BYTES], bytes[300], want[32];
	struct span in[sizeof lengths / sizeof *lengths];
	size_t count = sizeof lengths / sizeof *lengths;
	uint8_t got[sizeof lengths / sizeof *lengths][32];
	bool same = true;

	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(7 * i + 1);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * i + 3 * i);
	for (size_t i = 0; i < count; i++)
		in[i] = span_of(bytes + sizeof bytes - lengths[i], lengths[i]);
	lanes_hash(kernel, key, in, count, got[0], sizeof got[0]);
	for (size_t i = 0; i < count; i++) {
		crypto_generichash(want, sizeof want, in[i].ptr, in[i].len, key, sizeof key);
		same = same && memcmp(want, got[i], sizeof want) == 0;
	}
	return same;
}
