#include "progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "output.h"

enum { REDRAW_MS = 90, RATE_AFTER_MS = 1000, COLUMNS_DEFAULT = 80, COLUMNS_MAX = 300 };

void progress_init(struct progress *p, bool shown)
{
	*p = (struct progress){ .shown = shown };
	pthread_mutex_init(&p->lock, NULL);
}

static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
		return COLUMNS_DEFAULT;
	return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

static uint64_t num_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* "1:05:09", "4:07" */
static enum err_code put_time_left(struct buf *out, uint64_t seconds, struct err *e)
{
	unsigned long long h = seconds / 3600;
	unsigned m = (unsigned)(seconds / 60 % 60), s = (unsigned)(seconds % 60);

	if (h)
		return buf_printf(out, e, ", %llu:%02u:%02u left", h, m, s);
	return buf_printf(out, e, ", %u:%02u left", m, s);
}

/* The rate of bytes says more than that of items; the time left follows whatever has a known total. */
static enum err_code put_rate(const struct progress *p, const struct engine_progress *now, int64_t elapsed_ms,
                              struct buf *out, struct err *e)
{
	uint64_t bytes = now->bytes_done - num_min_u64(p->bytes_first, now->bytes_done);
	uint64_t items = now->items_done - num_min_u64(p->items_first, now->items_done);
	bool by_bytes = now->bytes_total > now->bytes_done;
	uint64_t done = by_bytes ? bytes : items;
	uint64_t left = by_bytes ? now->bytes_total - now->bytes_done
	                         : now->items_total - num_min_u64(now->items_total, now->items_done);
	double seconds = (double)elapsed_ms / 1000;
	enum err_code rc = ERR_OK;

	if (elapsed_ms < RATE_AFTER_MS || (bytes == 0 && items == 0))
		return ERR_OK;
	if (bytes)
		rc = buf_printf(out, e, ", %s/s", text_size((uint64_t)((double)bytes / seconds)).text);
	else
		rc = buf_printf(out, e, ", %s/s", number_text((uint64_t)((double)items / seconds)).text);
	if (!rc && left && done)
		rc = put_time_left(out, (uint64_t)((double)left * seconds / (double)done), e);
	return rc;
}

enum err_code progress_text(const struct progress *p, const struct engine_progress *now, int64_t elapsed_ms,
                            size_t columns, struct buf *out, struct err *e)
{
	struct buf text = BUF_EMPTY;
	enum err_code rc;

	rc = buf_printf(&text, e, "%s: %s", now->phase ? now->phase : "working", number_text(now->items_done).text);
	if (!rc && now->items_total)
		rc = buf_printf(&text, e, " of %s", number_text(now->items_total).text);
	if (!rc && now->bytes_done)
		rc = buf_printf(&text, e, ", %s", text_size(now->bytes_done).text);
	if (!rc && now->bytes_total)
		rc = buf_printf(&text, e, " of %s", text_size(now->bytes_total).text);
	if (!rc)
		rc = put_rate(p, now, elapsed_ms, &text, e);
	if (!rc && now->what && *now->what)
		rc = buf_printf(&text, e, "  %s", now->what);
	if (!rc)
		rc = output_safe(out, buf_span(&text), columns, NULL, e);
	buf_release(&text);
	return rc;
}

static void begin_phase(struct progress *p, const struct engine_progress *now, int64_t now_ms)
{
	snprintf(p->phase, sizeof p->phase, "%s", now->phase ? now->phase : "");
	p->phase_ms = now_ms;
	p->items_total = now->items_total;
	p->items_first = now->items_done;
	p->bytes_first = now->bytes_done;
}

void progress_update(void *ctx, const struct engine_progress *now)
{
	struct progress *p = ctx;
	struct buf text = BUF_EMPTY;
	struct err ignored;
	int64_t now_ms;

	if (!p->shown)
		return;
	pthread_mutex_lock(&p->lock);
	now_ms = clock_monotonic_ms();
	/* Another total is another stretch of work, with a rate of its own. */
	if (strncmp(p->phase, now->phase ? now->phase : "", sizeof p->phase - 1) != 0 || p->phase_ms == 0 ||
	    p->items_total != now->items_total)
		begin_phase(p, now, now_ms);
	if (now_ms - p->drawn_ms >= REDRAW_MS &&
	    progress_text(p, now, now_ms - p->phase_ms, terminal_columns() - 1, &text, &ignored) == ERR_OK) {
		fprintf(stderr, "\r%.*s\x1b[K", (int)text.len, text.len ? (const char *)text.ptr : "");
		fflush(stderr);
		p->drawn = true;
		p->drawn_ms = now_ms;
	}
	pthread_mutex_unlock(&p->lock);
	buf_release(&text);
}

static void clear_locked(struct progress *p)
{
	if (p->drawn)
		fputs("\r\x1b[K", stderr);
	p->drawn = false;
}

void progress_clear(struct progress *p)
{
	pthread_mutex_lock(&p->lock);
	clear_locked(p);
	pthread_mutex_unlock(&p->lock);
}

void progress_say(struct progress *p, const char *text)
{
	pthread_mutex_lock(&p->lock);
	clear_locked(p);
	fprintf(stderr, "%s\n", text);
	pthread_mutex_unlock(&p->lock);
}
