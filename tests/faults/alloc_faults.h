/*
 * alloc_faults: makes the n-th allocation of a process fail, whoever asks: our rooms, and the C libraries that they
 * call (libc, zstd, libsodium, jansson), and tells what was never freed. It stands before malloc and mmap of the whole
 * program; with the address sanitizer, which stands there itself, only base/mem's own switch is used.
 *
 * Left alone are RocksDB and all that it calls, in whichever thread: it is C++, throws, and its C interface ends the
 * process then. So is whatever is asked for while nothing is armed.
 * Thread   arm and report in one thread, before others are started and after they have ended.
 */
#ifndef MAILHOLD_TESTS_ALLOC_FAULTS_H
#define MAILHOLD_TESTS_ALLOC_FAULTS_H

#include "base/span.h"

enum { ALLOC_LEAKS_MAX = 8 };

struct alloc_report {
	uint64_t count;  /* allocations that could have failed since the arming */
	uint64_t failed; /* those that did */
	uint64_t leaked; /* blocks of ours, and of libraries for us, that were not freed; libc's own are in libc_kept */
	uint64_t libc_kept; /* libc keeps a little for itself (time zone, locale): compare with a good run */
	uint64_t leaks[ALLOC_LEAKS_MAX]; /* numbers of the first ones, counted from 1 as allocations are */
	bool leaks_told;                 /* false: this build leaves that to the sanitizer */
};

/* Once, at the start of main: learns whose code lies where. */
void alloc_faults_start(void);
/* The NTH allocation from now on fails (1 = the next), with ALL_AFTER every later one, too. UINT64_MAX: only counts. */
void alloc_faults_arm(uint64_t nth, bool all_after);
/* Prints where allocation number SHOWN is made to stderr when it comes; for finding leaks. 0: none. */
void alloc_faults_show(uint64_t shown);
/* Switches off. */
void alloc_faults_report(struct alloc_report *out);

#endif
