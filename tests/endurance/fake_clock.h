/* fake_clock: what time it is for everything in this process, C++ included; and for its children, until they set theirs. */
#ifndef MAILHOLD_TESTS_ENDURANCE_FAKE_CLOCK_H
#define MAILHOLD_TESTS_ENDURANCE_FAKE_CLOCK_H

#include <stdint.h>

/* From now on CLOCK_REALTIME shows TIME_MS, and goes on from there. The monotonic clock is left alone. */
void fake_clock_set(int64_t time_ms);

#endif
