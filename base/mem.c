#include "mem.h"
#include "num.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool fail_armed;
static atomic_uint_fast64_t fail_at, fail_seen;

static bool must_fail(void)
{
	if (!atomic_load_explicit(&fail_armed, memory_order_relaxed))
		return false;
	return atomic_fetch_add(&fail_seen, 1) + 1 == atomic_load(&fail_at);
}

void *mem_alloc(size_t bytes)
{
	return must_fail() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zalloc(size_t count, size_t each)
{
	return must_fail() ? NULL : calloc(count ? count : 1, each ? each : 1);
}

void *mem_grow(void *old, size_t bytes)
{
	return must_fail() ? NULL : realloc(old, bytes ? bytes : 1);
}

void mem_free(void *ptr)
{
	free(ptr);
}

void mem_fail_nth(uint64_t nth)
{
	atomic_store(&fail_at, nth);
	atomic_store(&fail_seen, 0);
	atomic_store(&fail_armed, nth != 0);
}

uint64_t mem_alloc_count(void)
{
	return atomic_load(&fail_seen);
}
