/*
 * mem: malloc and friends behind one door, so that a test can make the n-th allocation fail. Plain otherwise.
 */
#ifndef MAILHOLD_BASE_MEM_H
#define MAILHOLD_BASE_MEM_H

#include "span.h"

MUST_CHECK void *mem_alloc(size_t bytes);               /* NULL when out of memory; 0 bytes gives a valid pointer */
MUST_CHECK void *mem_zalloc(size_t count, size_t each); /* zeroed; NULL also when the product wraps */
MUST_CHECK void *mem_grow(void *old, size_t bytes);     /* realloc; OLD stays good on failure */
void mem_free(void *ptr);

/* Tests only: the NTH allocation from now on fails (1 = the next), 0 switches it off. Not thread-safe. */
void mem_fail_nth(uint64_t nth);
/* Tests only: allocations counted since mem_fail_nth was last called. */
uint64_t mem_alloc_count(void);

#endif
