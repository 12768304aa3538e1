/*
 * fuzz_plan: whatever stands in a plan, it is read or refused with a word; what was read wants no more items than it has lines, and only
 * once each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/plan_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan_file plan;
	struct err e = { 0 };
	char path[40];
	size_t lines = 0;
	int fd = memfd_create("plan", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		exit(2);
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (plan_file_load(path, &plan, &e) ? !*e.text : plan.items > lines || strlen(plan.snapshot) != 32 || plan.met)
		abort();
	(void)plan_file_wants(&plan, SPAN_LIT("INBOX"), SPAN_LIT("17.1"));
	if (plan.met > plan.items)
		abort();
	plan_file_release(&plan);
	close(fd);
	return 0;
}
