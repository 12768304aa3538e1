#include "retry.h"
#include "base/clock.h"
#include "base/stop.h"
#include "base/text.h"

#include <stdlib.h>
#include <unistd.h>

#define FIRST_WAIT_MS 200
#define MOST_WAIT_MS  30000

#define STRANGER_MS 5000

static int64_t patience_ms(const struct retry *r)
{
	const char *text = getenv("MAILHOLD_STORE_PATIENCE");
	uint64_t seconds = RETRY_PATIENCE_SECONDS;

	if (text && !text_number(span_cstr(text), 7 * 86400, &seconds))
		seconds = RETRY_PATIENCE_SECONDS;
	return (r->stop && r->met) || !seconds ? (int64_t)seconds * 1000 : STRANGER_MS;
}

static int64_t next_wait(const struct retry *r, enum err_retry kind)
{
	int64_t most = FIRST_WAIT_MS;
	uint32_t dice = 0;

	if (kind == ERR_RETRY_NOW && r->tries == 1)
		return 0;
	for (unsigned i = 1; i < r->tries && most < MOST_WAIT_MS; i++)
		most *= 2;
	if (most > MOST_WAIT_MS)
		most = MOST_WAIT_MS;
	(void)!getentropy(&dice, sizeof dice); /* without it all wait alike */
	return most / 2 + (int64_t)(dice % (uint32_t)(most / 2 + 1));
}

bool retry_again(struct retry *r, struct err *e)
{
	int64_t now = clock_monotonic_ms(), wait;

	if (!r->far || e->retry == ERR_RETRY_NEVER)
		return false;
	if (r->tries++ == 0)
		r->since = now;
	wait = next_wait(r, e->retry);
	if (now - r->since + wait > patience_ms(r)) {
		if (r->tries > 1)
			err_note(e, "tried %u times in %lld seconds", r->tries, (long long)(now - r->since) / 1000);
		return false;
	}
	return stop_wait(wait, r->stop, e) == ERR_OK;
}
