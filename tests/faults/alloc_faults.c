#include "alloc_faults.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

/* The sanitizer owns malloc. What base/mem hands out can fail no less, and leaks are the sanitizer's business. */
static uint64_t armed_at;

void alloc_faults_start(void)
{
}

void alloc_faults_arm(uint64_t nth, bool all_after)
{
	(void)all_after;
	armed_at = nth;
	mem_fail_nth(nth);
}

void alloc_faults_show(uint64_t shown)
{
	(void)shown;
}

void alloc_faults_report(struct alloc_report *out)
{
	*out = (struct alloc_report){ .count = mem_alloc_count() };
	out->failed = out->count >= armed_at;
	mem_fail_nth(0);
}

#else

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t each);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *ptr);

/* ---- whose code an address is ---- */

enum owner { OWNER_OTHER, OWNER_OURS, OWNER_LIBRARY, OWNER_LIBC };

struct range {
	uintptr_t from, to;
	enum owner owner;
};

enum { RANGES_MAX = 256, FRAMES_MAX = 48 };
static struct range ranges[RANGES_MAX];
static size_t range_count;

static enum owner owner_of_name(const char *name)
{
	static const struct {
		const char *part;
		enum owner owner;
	} known[] = { { "/libzstd.", OWNER_LIBRARY },    { "/libsodium.", OWNER_LIBRARY },
		      { "/libjansson.", OWNER_LIBRARY }, { "/libxxhash.", OWNER_LIBRARY },
		      { "/libc.so", OWNER_LIBC },        { "/ld-linux", OWNER_LIBC } };

	if (!*name)
		return OWNER_OURS;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strstr(name, known[i].part))
			return known[i].owner;
	return OWNER_OTHER;
}

static int note_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	for (size_t i = 0; i < info->dlpi_phnum && range_count < RANGES_MAX; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && p->p_flags & PF_X)
			ranges[range_count++] =
			        (struct range){ info->dlpi_addr + p->p_vaddr, info->dlpi_addr + p->p_vaddr + p->p_memsz,
				                owner_of_name(info->dlpi_name) };
	}
	return 0;
}

static enum owner owner_of(const void *code)
{
	uintptr_t at = (uintptr_t)code;

	for (size_t i = 0; i < range_count; i++)
		if (at >= ranges[i].from && at < ranges[i].to)
			return ranges[i].owner;
	return OWNER_OTHER;
}

void alloc_faults_start(void)
{
	void *frames[4];

	(void)backtrace(frames, 4); /* loads what it needs, now rather than inside of malloc */
	dl_iterate_phdr(note_module, NULL);
}

/* libc and the compressor also work for RocksDB: then they are its own business. */
static bool inside_other(void)
{
	void *frames[FRAMES_MAX];
	int count = backtrace(frames, FRAMES_MAX);

	for (int i = 0; i < count; i++)
		if (owner_of(frames[i]) == OWNER_OTHER)
			return true;
	return false;
}

/* ---- what is still held: an open-addressed table, under a spin lock because a mutex may be what is being made ---- */

enum { HELD_BITS = 16, HELD_MAX = 1 << HELD_BITS };
struct held {
	void *ptr;
	uint64_t number;
	enum owner owner;
};
static struct held table[HELD_MAX];
static size_t held_count;
static atomic_flag table_lock = ATOMIC_FLAG_INIT;

static void lock_table(void)
{
	while (atomic_flag_test_and_set_explicit(&table_lock, memory_order_acquire))
		;
}

static void unlock_table(void)
{
	atomic_flag_clear_explicit(&table_lock, memory_order_release);
}

static size_t home_of(const void *ptr)
{
	return (size_t)(((uintptr_t)ptr >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HELD_BITS));
}

static void hold(void *ptr, uint64_t number, enum owner owner)
{
	static const char full[] = "alloc_faults: more blocks are held than the table has room for\n";
	size_t at = home_of(ptr);

	lock_table();
	if (++held_count > HELD_MAX * 3 / 4) {
		if (write(STDERR_FILENO, full, sizeof full - 1) < 0)
			_exit(99);
		_exit(99);
	}
	while (table[at].ptr)
		at = (at + 1) % HELD_MAX;
	table[at] = (struct held){ ptr, number, owner };
	unlock_table();
}

/* Closes the gap, so that every entry stays reachable from its home. */
static void close_gap(size_t gap)
{
	for (size_t at = (gap + 1) % HELD_MAX; table[at].ptr; at = (at + 1) % HELD_MAX) {
		size_t home = home_of(table[at].ptr);

		if ((at - home) % HELD_MAX >= (at - gap) % HELD_MAX) {
			table[gap] = table[at];
			gap = at;
		}
	}
	table[gap].ptr = NULL;
}

static void let_go(void *ptr)
{
	size_t at = home_of(ptr);

	lock_table();
	while (table[at].ptr && table[at].ptr != ptr)
		at = (at + 1) % HELD_MAX;
	if (table[at].ptr) {
		held_count--;
		close_gap(at);
	}
	unlock_table();
}

/* ---- the switch ---- */

static atomic_bool armed;
static atomic_uint_fast64_t seen, failures;
static uint64_t fail_at, show_at;
static bool fail_after;
/* backtrace() may ask for memory itself. */
static _Thread_local bool inside;

void alloc_faults_arm(uint64_t nth, bool all_after)
{
	fail_at = nth;
	fail_after = all_after;
	atomic_store(&seen, 0);
	atomic_store(&failures, 0);
	atomic_store(&armed, true);
}

void alloc_faults_show(uint64_t shown)
{
	show_at = shown;
}

static void show(uint64_t number)
{
	void *frames[FRAMES_MAX];
	int count = backtrace(frames, FRAMES_MAX);

	fprintf(stderr, "allocation %llu:\n", (unsigned long long)number);
	backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

/* *NUMBER 0: none of ours. True: it must fail. */
static bool judge(const void *caller, uint64_t *number, enum owner *owner)
{
	bool fails;

	*number = 0;
	if (!atomic_load_explicit(&armed, memory_order_acquire) || inside)
		return false;
	*owner = owner_of(caller);
	if (*owner == OWNER_OTHER)
		return false;
	inside = true;
	if (*owner == OWNER_OURS || !inside_other()) {
		*number = atomic_fetch_add(&seen, 1) + 1;
		if (*number == show_at)
			show(*number);
	}
	inside = false;
	fails = *number && (*number == fail_at || (fail_after && *number > fail_at));
	if (fails) {
		atomic_fetch_add(&failures, 1);
		errno = ENOMEM;
	}
	return fails;
}

static void *held_from_now(void *ptr, uint64_t number, enum owner owner)
{
	if (ptr && number)
		hold(ptr, number, owner);
	return ptr;
}

void alloc_faults_report(struct alloc_report *out)
{
	size_t told = 0;

	atomic_store(&armed, false);
	*out = (struct alloc_report){ .count = atomic_load(&seen),
		                      .failed = atomic_load(&failures),
		                      .leaks_told = true };
	for (size_t i = 0; i < HELD_MAX; i++) {
		if (!table[i].ptr)
			continue;
		if (table[i].owner == OWNER_LIBC) {
			out->libc_kept++;
			continue;
		}
		out->leaked++;
		if (told < ALLOC_LEAKS_MAX)
			out->leaks[told++] = table[i].number;
	}
}

/* ---- malloc and its kin, as the whole program sees them ---- */

void *malloc(size_t bytes)
{
	enum owner owner;
	uint64_t number;

	if (judge(__builtin_return_address(0), &number, &owner))
		return NULL;
	return held_from_now(__libc_malloc(bytes), number, owner);
}

void *calloc(size_t count, size_t each)
{
	enum owner owner;
	uint64_t number;

	if (judge(__builtin_return_address(0), &number, &owner))
		return NULL;
	return held_from_now(__libc_calloc(count, each), number, owner);
}

void *realloc(void *old, size_t bytes)
{
	enum owner owner;
	uint64_t number;
	void *got;

	if (judge(__builtin_return_address(0), &number, &owner))
		return NULL;
	/* Before it is another's. A real failure would leave OLD untold, and end the test some other way. */
	if (old && atomic_load(&armed))
		let_go(old);
	got = __libc_realloc(old, bytes);
	return held_from_now(got, number, owner);
}

void free(void *ptr)
{
	int kept = errno;

	if (ptr && atomic_load_explicit(&armed, memory_order_acquire))
		let_go(ptr);
	__libc_free(ptr);
	errno = kept;
}

void *memalign(size_t align, size_t bytes)
{
	enum owner owner;
	uint64_t number;

	if (judge(__builtin_return_address(0), &number, &owner))
		return NULL;
	return held_from_now(__libc_memalign(align, bytes), number, owner);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	enum owner owner;
	uint64_t number;

	if (judge(__builtin_return_address(0), &number, &owner))
		return NULL;
	return held_from_now(__libc_memalign(align, bytes), number, owner);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
	enum owner owner;
	uint64_t number;
	void *got;

	if (judge(__builtin_return_address(0), &number, &owner))
		return ENOMEM;
	got = held_from_now(__libc_memalign(align, bytes), number, owner);
	if (!got)
		return ENOMEM;
	*out = got;
	return 0;
}

/* Guarded memory for secrets is mapped. Nobody's mappings are followed: munmap may take them piece by piece. */
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	enum owner owner;
	uint64_t number;

	if (fd < 0 && judge(__builtin_return_address(0), &number, &owner))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

/* With 64-bit offsets the headers turn that name into mmap64; libraries built without them say mmap. */
void *mmap_of_libraries(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) __asm__("mmap");

void *mmap_of_libraries(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	enum owner owner;
	uint64_t number;

	if (fd < 0 && judge(__builtin_return_address(0), &number, &owner))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

#endif
