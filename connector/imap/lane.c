#include "lane.h"

#include "base/text.h"

/* ---- waiting ---- */

/* Around whatever may wait for the server. */
static void away(void *ctx, bool gone)
{
	struct lane *lane = ctx;

	if (gone)
		pthread_mutex_unlock(&lane->lock);
	else
		pthread_mutex_lock(&lane->lock);
}

static void wait_changed(struct lane *lane)
{
	lane->waiting++;
	pthread_cond_wait(&lane->changed, &lane->lock);
	lane->waiting--;
}

static void tell_changed(struct lane *lane)
{
	if (lane->waiting)
		pthread_cond_broadcast(&lane->changed);
}

void lane_borrow(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	lane->borrowers++;
	while (lane->carrying || lane->borrowed || lane->errand)
		wait_changed(lane);
	lane->borrowers--;
	lane->borrowed = true;
}

void lane_return(struct lane *lane)
{
	lane->borrowed = false;
	tell_changed(lane);
	pthread_cond_signal(&lane->work);
	pthread_mutex_unlock(&lane->lock);
}

/* ---- carrying ---- */

/* The mailbox is open, and is the one that was listed. */
static enum err_code ready(struct lane *lane, struct err *e)
{
	enum err_code rc = session_examine(&lane->session, lane->raw, false, e);

	if (!rc && lane->session.status.uid_validity != lane->uid_validity)
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile", text_name(lane->raw).text);
	return rc;
}

static void carry_some(struct lane *lane)
{
	struct err why;
	enum err_code rc = ready(lane, &why);

	if (!rc)
		rc = fetch_carry(&lane->fetch, &why);
	if (rc)
		lane->failure = why;
}

static bool has_work(const struct lane *lane)
{
	return !lane->failure.code && !lane->borrowed && !lane->borrowers && lane->raw.len &&
	       fetch_has_work(&lane->fetch);
}

static void connect_it(struct lane *lane)
{
	struct imap_login login = lane->session.login;
	struct err why;

	lane->carrying = true;
	lane->opened = !session_open(&login, &lane->session, &why);
	lane->refused = !lane->opened;
	lane->carrying = false;
	tell_changed(lane);
}

static void *carry(void *arg)
{
	struct lane *lane = arg;

	pthread_mutex_lock(&lane->lock);
	if (!lane->opened)
		connect_it(lane);
	while (!lane->ending && !lane->refused) {
		bool errand = lane->errand && !lane->borrowed;

		if (!errand && !has_work(lane)) {
			pthread_cond_wait(&lane->work, &lane->lock);
			continue;
		}
		lane->carrying = true;
		if (errand)
			lane->errand(lane->errand_ctx, lane);
		else
			carry_some(lane);
		if (errand)
			lane->errand = NULL;
		lane->carrying = false;
		tell_changed(lane);
	}
	pthread_mutex_unlock(&lane->lock);
	return NULL;
}

bool lane_send(struct lane *lane, void (*errand)(void *ctx, struct lane *lane), void *ctx)
{
	bool sent;

	pthread_mutex_lock(&lane->lock);
	sent = lane->has_thread && lane->opened && !lane->session.death.code && !lane->errand;
	if (sent) {
		lane->errand = errand;
		lane->errand_ctx = ctx;
		pthread_cond_signal(&lane->work);
	}
	pthread_mutex_unlock(&lane->lock);
	return sent;
}

/* ---- open and free ---- */

static void init(struct lane *lane, const struct imap_login *login, uint64_t window_bytes)
{
	*lane = (struct lane){ .session = { .login = *login } };
	pthread_mutex_init(&lane->lock, NULL);
	pthread_cond_init(&lane->work, NULL);
	pthread_cond_init(&lane->changed, NULL);
	lane->session.login.away = away;
	lane->session.login.away_ctx = lane;
	fetch_init(&lane->fetch, &lane->session, window_bytes);
}

static void release(struct lane *lane)
{
	fetch_release(&lane->fetch);
	session_release(&lane->session);
	pthread_cond_destroy(&lane->changed);
	pthread_cond_destroy(&lane->work);
	pthread_mutex_destroy(&lane->lock);
}

/* What stands in for a connection may not like another thread. */
static bool start_thread(struct lane *lane)
{
	lane->has_thread = !lane->session.login.transport && !pthread_create(&lane->thread, NULL, carry, lane);
	return lane->has_thread;
}

enum err_code lane_open(struct lane *lane, const struct imap_login *login, uint64_t window_bytes, struct err *e)
{
	struct imap_login own;
	enum err_code rc;

	init(lane, login, window_bytes);
	own = lane->session.login;
	pthread_mutex_lock(&lane->lock);
	rc = session_open(&own, &lane->session, e);
	lane->opened = !rc;
	pthread_mutex_unlock(&lane->lock);
	if (rc) {
		release(lane);
		return rc;
	}
	if (!start_thread(lane)) {
		/* Whoever takes carries, and holds the lock. */
		lane->session.login.away = NULL;
		imap_stay(lane->session.client);
	}
	return ERR_OK;
}

enum err_code lane_begin(struct lane *lane, const struct imap_login *login, uint64_t window_bytes, struct err *e)
{
	init(lane, login, window_bytes);
	if (start_thread(lane))
		return ERR_OK;
	release(lane);
	return err_set(e, ERR_LIMIT, "no thread for another connection");
}

bool lane_is_open(struct lane *lane)
{
	bool yes;

	pthread_mutex_lock(&lane->lock);
	yes = lane->opened;
	pthread_mutex_unlock(&lane->lock);
	return yes;
}

bool lane_is_refused(struct lane *lane)
{
	bool yes;

	pthread_mutex_lock(&lane->lock);
	yes = lane->refused;
	pthread_mutex_unlock(&lane->lock);
	return yes;
}

void lane_free(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	lane->ending = true;
	session_end(&lane->session);
	pthread_cond_signal(&lane->work);
	pthread_mutex_unlock(&lane->lock);
	if (lane->has_thread)
		pthread_join(lane->thread, NULL);
	lane->session.login.away = NULL;
	release(lane);
}

/* ---- wanting and taking ---- */

void lane_clear(struct lane *lane)
{
	lane_borrow(lane);
	if (lane->opened)
		fetch_clear(&lane->fetch);
	lane->raw = SPAN_EMPTY;
	lane->failure.code = ERR_OK;
	lane_return(lane);
}

void lane_aim(struct lane *lane, struct span raw, uint32_t uid_validity)
{
	pthread_mutex_lock(&lane->lock);
	lane->raw = raw;
	lane->uid_validity = uid_validity;
	pthread_mutex_unlock(&lane->lock);
}

enum err_code lane_want(struct lane *lane, uint32_t uid, uint32_t bytes, bool head, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&lane->lock);
	rc = fetch_want(&lane->fetch, uid, bytes, head, e);
	pthread_mutex_unlock(&lane->lock);
	return rc;
}

/* Without a thread: what fails here fails again where somebody waits for it. */
void lane_go(struct lane *lane)
{
	struct err why;

	pthread_mutex_lock(&lane->lock);
	if (lane->has_thread)
		pthread_cond_signal(&lane->work);
	else if (!lane->session.death.code && !ready(lane, &why))
		(void)!fetch_ahead(&lane->fetch, &why);
	pthread_mutex_unlock(&lane->lock);
}

/* Until UID is settled, one way or other. */
static enum err_code wait_for(struct lane *lane, uint32_t uid, uint32_t bytes, bool head, struct err *e)
{
	bool pending = true;
	enum err_code rc;

	for (;;) {
		if (lane->failure.code) {
			*e = lane->failure;
			return e->code;
		}
		rc = fetch_is_pending(&lane->fetch, uid, bytes, head, &pending, e);
		if (rc || !pending)
			return rc;
		pthread_cond_signal(&lane->work);
		wait_changed(lane);
	}
}

enum err_code lane_take(struct lane *lane, uint32_t uid, uint32_t bytes, bool head, enum fetch_state *state,
                        struct buf *out, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&lane->lock);
	rc = lane->has_thread ? wait_for(lane, uid, bytes, head, e) : ready(lane, e);
	if (!rc)
		rc = fetch_take(&lane->fetch, uid, bytes, head, state, out, e);
	if (!rc && *state == FETCH_REFUSED)
		*e = lane->fetch.refusal;
	/* There may be room in the window now. */
	pthread_cond_signal(&lane->work);
	pthread_mutex_unlock(&lane->lock);
	return rc;
}

void lane_give_back(struct lane *lane, uint32_t uid, struct buf *body)
{
	pthread_mutex_lock(&lane->lock);
	fetch_return(&lane->fetch, uid, body);
	pthread_mutex_unlock(&lane->lock);
}

enum err_code lane_piece(struct lane *lane, uint32_t uid, uint64_t offset, uint64_t bytes, struct buf *out, bool *last,
                         struct err *e)
{
	enum err_code rc;

	lane_borrow(lane);
	rc = ready(lane, e);
	if (!rc)
		rc = fetch_piece(&lane->fetch, uid, offset, bytes, out, last, e);
	lane_return(lane);
	return rc;
}
