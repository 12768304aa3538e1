/* session: connecting, being let in, and packets over the one channel. */
#include "session.h"
#include "base/mem.h"
#include "base/text.h"

#include <libssh/libssh.h>
#include <pthread.h>
#include <stdlib.h>

#define CONNECT_SECONDS 30L
#define SILENCE_MS      60000
/* Requests gather and leave together: a packet of SSH has 32 KiB. */
#define FLUSH_BYTES (32 * KIB)
#define IGNORED_MAX 64
#define CHUNK_MAX   (255 * KIB)

struct sftp_session {
	ssh_session ssh;
	ssh_channel channel;
	bool broken;
	uint32_t next_id;
	struct sftp_server server;
	struct buf out; /* requests that have not left */
	struct buf in;  /* the packet that the last answer lies in */
	size_t ignored; /* ids whose answers nobody waits for */
	uint32_t ignore[IGNORED_MAX];
};

static enum err_code lost(struct sftp_session *s, const char *doing, struct err *e)
{
	const char *why = s->ssh ? ssh_get_error(s->ssh) : "";

	s->broken = true;
	err_set(e, ERR_IO, "the connection broke while %s%s%s", doing, *why ? ": " : "",
	        text_name(span_cstr(why)).text);
	e->retry = ERR_RETRY_LATER;
	return e->code;
}

static enum err_code set_options(ssh_session ssh, const struct sftp_place *place, struct err *e)
{
	const char *config = getenv("MAILHOLD_SSH_CONFIG");
	long seconds = CONNECT_SECONDS;
	int nodelay = 1, own = 0;
	bool ok = ssh_options_set(ssh, SSH_OPTIONS_HOST, place->host) == 0 &&
	          ssh_options_set(ssh, SSH_OPTIONS_TIMEOUT, &seconds) == 0 &&
	          ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &nodelay) == 0;

	/* The host's own section is found by the name in the URL; what the URL says goes before the section. */
	if (ok && ssh_options_parse_config(ssh, config && *config ? config : NULL) != 0)
		return err_set(e, ERR_USAGE, "cannot read the configuration of ssh%s%s", config ? ": " : "",
		               config ? config : "");
	ok = ok && ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &own) == 0;
	if (ok && *place->user)
		ok = ssh_options_set(ssh, SSH_OPTIONS_USER, place->user) == 0;
	if (ok && *place->port)
		ok = ssh_options_set(ssh, SSH_OPTIONS_PORT_STR, place->port) == 0;
	return ok ? ERR_OK : err_set(e, ERR_USAGE, "ssh does not take this host, user or port: %s", ssh_get_error(ssh));
}

static enum err_code check_host(ssh_session ssh, const struct sftp_place *place, struct err *e)
{
	switch (ssh_session_is_known_server(ssh)) {
	case SSH_KNOWN_HOSTS_OK:
		return ERR_OK;
	case SSH_KNOWN_HOSTS_CHANGED:
	case SSH_KNOWN_HOSTS_OTHER:
		return err_set(
		        e, ERR_DENIED,
		        "the host key of %s is not the one in known_hosts: another machine answers in its name, or "
		        "it was set up anew. Ask who runs it; then ssh-keygen -R %s, and connect with ssh once",
		        place->host, place->host);
	case SSH_KNOWN_HOSTS_UNKNOWN:
	case SSH_KNOWN_HOSTS_NOT_FOUND:
		return err_set(
		        e, ERR_DENIED,
		        "%s is not in known_hosts: connect with ssh once, compare the fingerprint, and try again",
		        place->host);
	default:
		return err_set(e, ERR_IO, "cannot tell whether %s is a known host: %s", place->host,
		               ssh_get_error(ssh));
	}
}

static enum err_code log_in(ssh_session ssh, const struct sftp_place *place, struct err *e)
{
	int got = ssh_userauth_none(ssh, NULL);

	if (got != SSH_AUTH_SUCCESS && got != SSH_AUTH_ERROR)
		got = ssh_userauth_publickey_auto(ssh, NULL, NULL);
	if (got == SSH_AUTH_SUCCESS)
		return ERR_OK;
	if (got == SSH_AUTH_ERROR && !ssh_is_connected(ssh)) {
		err_set(e, ERR_IO, "%s hung up at the login: %s", place->host, ssh_get_error(ssh));
		e->retry = ERR_RETRY_LATER;
		return e->code;
	}
	return err_set(e, ERR_DENIED,
	               "%s does not let us in: no key of the agent and no IdentityFile is taken there (a key with a "
	               "passphrase has to be in the agent: ssh-add)",
	               place->host);
}

/* libssh reads the configuration and asks for the user's home by calls that are one thread's at a time. */
static pthread_mutex_t connecting = PTHREAD_MUTEX_INITIALIZER;

static enum err_code connect_to(struct sftp_session *s, const struct sftp_place *place, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&connecting);
	s->ssh = ssh_new();
	rc = s->ssh ? set_options(s->ssh, place, e) : err_no_memory(e, 0);
	pthread_mutex_unlock(&connecting);
	if (!rc && ssh_connect(s->ssh) != SSH_OK) {
		rc = err_set(e, ERR_IO, "cannot connect to %s: %s", place->host, ssh_get_error(s->ssh));
		e->retry = ERR_RETRY_LATER;
	}
	if (!rc)
		rc = check_host(s->ssh, place, e);
	if (!rc)
		rc = log_in(s->ssh, place, e);
	if (rc)
		return rc;
	s->channel = ssh_channel_new(s->ssh);
	if (!s->channel)
		return err_no_memory(e, 0);
	if (ssh_channel_open_session(s->channel) == SSH_OK && ssh_channel_request_sftp(s->channel) == SSH_OK)
		return ERR_OK;
	if (!ssh_is_connected(s->ssh))
		return lost(s, "asking for the sftp subsystem", e);
	return err_set(e, ERR_UNSUPPORTED, "%s has no sftp subsystem: %s", place->host, ssh_get_error(s->ssh));
}

static enum err_code flush(struct sftp_session *s, struct err *e)
{
	struct span left = buf_span(&s->out);

	while (left.len) {
		int n = ssh_channel_write(s->channel, left.ptr, (uint32_t)left.len);

		if (n <= 0)
			return lost(s, "sending", e);
		left = span_skip(left, (size_t)n);
	}
	buf_clear(&s->out);
	return ERR_OK;
}

static enum err_code read_exactly(struct sftp_session *s, uint8_t *dst, size_t len, struct err *e)
{
	while (len) {
		int n = ssh_channel_read_timeout(s->channel, dst, (uint32_t)len, 0, SILENCE_MS);

		if (n <= 0)
			return lost(s, "waiting for an answer", e);
		dst += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

static enum err_code read_answer(struct sftp_session *s, struct sftp_answer *out, struct err *e)
{
	uint8_t head[4], *at;
	enum err_code rc = read_exactly(s, head, sizeof head, e);
	size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

	if (rc)
		return rc;
	buf_clear(&s->in);
	if (len == 0 || len > SFTP_PACKET_MAX)
		rc = err_set(e, ERR_CORRUPT, "the server announces an answer of %zu bytes", len);
	if (!rc)
		rc = buf_extend(&s->in, len, &at, e);
	if (!rc)
		rc = read_exactly(s, at, len, e);
	if (!rc)
		rc = sftp_answer_parse(buf_span(&s->in), out, e);
	if (rc)
		s->broken = true; /* where the next answer begins is not known */
	return rc;
}

static bool was_ignored(struct sftp_session *s, uint32_t id)
{
	for (size_t i = 0; i < s->ignored; i++)
		if (s->ignore[i] == id) {
			s->ignore[i] = s->ignore[--s->ignored];
			return true;
		}
	return false;
}

enum err_code sftp_session_wait(struct sftp_session *s, struct sftp_answer *out, struct err *e)
{
	enum err_code rc = s->broken ? lost(s, "it was not in use", e) : flush(s, e);

	do {
		if (!rc)
			rc = read_answer(s, out, e);
	} while (!rc && was_ignored(s, out->id));
	return rc;
}

enum err_code sftp_session_wait_for(struct sftp_session *s, uint32_t id, struct sftp_answer *out, struct err *e)
{
	enum err_code rc = sftp_session_wait(s, out, e);

	if (!rc && out->id != id) {
		s->broken = true;
		rc = err_set(e, ERR_CORRUPT, "the server answered request %u when %u was asked", out->id, id);
	}
	return rc;
}

void sftp_session_ignore(struct sftp_session *s, uint32_t id)
{
	if (s->ignored < IGNORED_MAX)
		s->ignore[s->ignored++] = id;
	else
		s->broken = true; /* 64 answers are due: this server does not answer */
}

struct sftp_request sftp_session_begin(struct sftp_session *s, enum sftp_type type, struct err *e)
{
	struct sftp_request r = { &s->out, s->out.len, e, ERR_OK };

	if (s->broken)
		r.rc = lost(s, "it was not in use", e);
	else if (s->out.len >= FLUSH_BYTES)
		r.rc = flush(s, e);
	if (!r.rc)
		r = sftp_begin(&s->out, type, s->next_id, e);
	return r;
}

enum err_code sftp_session_end(struct sftp_session *s, struct sftp_request *r, uint32_t *id)
{
	*id = s->next_id;
	if (!r->rc)
		s->next_id++;
	return sftp_end(r);
}

static uint32_t chunk_limit(struct span data, size_t at)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | data.ptr[at + i];
	/* 0 means: not told. Whatever is told, 32 KiB is taken by all. */
	return v < SFTP_DATA_BYTES ? SFTP_DATA_BYTES : v > CHUNK_MAX ? CHUNK_MAX : (uint32_t)v;
}

/* limits@openssh.com: packet, read, write, handles, 8 bytes each. */
static enum err_code ask_limits(struct sftp_session *s, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, SFTP_EXTENDED, e);
	struct sftp_answer answer;
	enum err_code rc;
	uint32_t id;

	sftp_string(&r, SPAN_LIT("limits@openssh.com"));
	rc = sftp_session_end(s, &r, &id);
	if (!rc)
		rc = sftp_session_wait_for(s, id, &answer, e);
	if (!rc && answer.type == SFTP_EXTENDED_REPLY && answer.bytes.len >= 32) {
		s->server.read_bytes = chunk_limit(answer.bytes, 8);
		s->server.write_bytes = chunk_limit(answer.bytes, 16);
	}
	return rc;
}

static enum err_code shake_hands(struct sftp_session *s, struct err *e)
{
	static const uint8_t hello[] = { 0, 0, 0, 5, SFTP_INIT, 0, 0, 0, SFTP_VERSION };
	struct sftp_answer answer;
	enum err_code rc = buf_append(&s->out, span_of(hello, sizeof hello), e);
	bool limits;

	if (!rc)
		rc = sftp_session_wait(s, &answer, e);
	if (rc)
		return rc;
	if (answer.type != SFTP_VERSION_IS || answer.id < SFTP_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "the server does not speak version %d of SFTP", SFTP_VERSION);
	s->server.hardlink = sftp_offers(answer.bytes, "hardlink@openssh.com", NULL);
	s->server.posix_rename = sftp_offers(answer.bytes, "posix-rename@openssh.com", NULL);
	s->server.fsync = sftp_offers(answer.bytes, "fsync@openssh.com", NULL);
	limits = sftp_offers(answer.bytes, "limits@openssh.com", NULL);
	return limits ? ask_limits(s, e) : ERR_OK;
}

enum err_code sftp_session_open(const struct sftp_place *place, struct sftp_session **out, struct err *e)
{
	struct sftp_session *s = mem_zalloc(1, sizeof *s);
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->out = BUF_WITH_MAX(2 * MIB);
	s->in = BUF_WITH_MAX(SFTP_PACKET_MAX);
	s->server.read_bytes = s->server.write_bytes = SFTP_DATA_BYTES;
	rc = connect_to(s, place, e);
	if (!rc)
		rc = shake_hands(s, e);
	if (rc) {
		sftp_session_free(&s);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

void sftp_session_free(struct sftp_session **sp)
{
	struct sftp_session *s = *sp;

	if (!s)
		return;
	if (s->channel) {
		if (!s->broken)
			ssh_channel_close(s->channel);
		ssh_channel_free(s->channel);
	}
	if (s->ssh) {
		ssh_disconnect(s->ssh);
		ssh_free(s->ssh);
	}
	buf_release(&s->out);
	buf_release(&s->in);
	mem_free(s);
	*sp = NULL;
}

bool sftp_session_broken(const struct sftp_session *s)
{
	return s->broken;
}

const struct sftp_server *sftp_session_server(const struct sftp_session *s)
{
	return &s->server;
}
