#include "stop.h"

#include <time.h>

/* A signal need not reach the thread that waits. */
#define LOOK_MS 50

enum err_code stop_wait(int64_t ms, const volatile sig_atomic_t *flag, struct err *e)
{
	for (; ms > 0; ms -= LOOK_MS) {
		struct timespec t = { .tv_nsec = (ms < LOOK_MS ? ms : LOOK_MS) * 1000000L };

		if (stop_asked(flag))
			return err_set(e, ERR_CANCELLED, "interrupted");
		nanosleep(&t, NULL);
	}
	return ERR_OK;
}
