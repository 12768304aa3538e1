#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

extern char **environ;

/* Our environment with MAILHOLD_ACCOUNT in it: made before the fork, after which a process with threads may do little. */
static char **environment_with(const char *account, struct buf *line, struct err *e)
{
	static const char name[] = "MAILHOLD_ACCOUNT=";
	size_t count = 0, n = 0;
	char **out;

	while (environ[count])
		count++;
	out = mem_zalloc(count + 2, sizeof *out);
	if (!out) {
		err_no_memory(e, (count + 2) * sizeof *out);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		if (!account || strncmp(environ[i], name, sizeof name - 1) != 0)
			out[n++] = environ[i];
	if (account) {
		if (buf_printf(line, e, "%s%s", name, account) || buf_append(line, span_of("", 1), e)) {
			mem_free(out);
			return NULL;
		}
		out[n] = (char *)line->ptr;
	}
	return out;
}

/* In the new process: only calls that are safe after a fork of a process with threads. */
static void become(const struct child *c, char **environment, int in, int out)
{
	struct sigaction usual = { .sa_handler = SIG_DFL };
	int nowhere = c->silent ? open("/dev/null", O_WRONLY) : -1;

	sigemptyset(&usual.sa_mask);
	sigaction(SIGPIPE, &usual, NULL);
	if ((in >= 0 && dup2(in, STDIN_FILENO) < 0) || dup2(out, STDOUT_FILENO) < 0 ||
	    (nowhere >= 0 && dup2(nowhere, STDERR_FILENO) < 0))
		_exit(127);
	execvpe(c->argv[0], (char *const *)(uintptr_t)c->argv, environment);
	_exit(127);
}

/* The input is short: it fits a pipe, so that nobody waits for the other. */
static enum err_code tell(int fd, struct span input, struct err *e)
{
	while (input.len) {
		ssize_t n = write(fd, input.ptr, input.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE)
			return ERR_OK; /* its exit code tells more */
		if (n < 0)
			return err_sys(e, errno, "cannot write to a program");
		input = span_skip(input, (size_t)n);
	}
	return ERR_OK;
}

static void close_both(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static enum err_code run(const struct child *c, char **environment, uint8_t *out, size_t max, size_t *len, int *status,
                         struct err *e)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, raw = 0;
	enum err_code rc = ERR_OK;
	pid_t pid;

	if ((c->told && pipe2(to, O_CLOEXEC) != 0) || pipe2(from, O_CLOEXEC) != 0) {
		rc = err_sys(e, errno, "cannot start %s", c->argv[0]);
		close_both(to);
		return rc;
	}
	pid = fork();
	if (pid == 0)
		become(c, environment, to[0], from[1]);
	if (pid < 0)
		rc = err_sys(e, errno, "cannot start %s", c->argv[0]);
	close(from[1]);
	from[1] = -1;
	if (!rc && c->told)
		rc = tell(to[1], c->input, e);
	close_both(to);
	if (!rc)
		rc = file_drain(from[0], "from a program", out, max, len, e);
	close_both(from);
	while (pid > 0 && waitpid(pid, &raw, 0) < 0 && errno == EINTR)
		;
	*status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
	return rc;
}

enum err_code child_run(const struct child *c, uint8_t *out, size_t max, size_t *len, int *status, struct err *e)
{
	struct buf line = BUF_EMPTY;
	char **environment = environment_with(c->account, &line, e);
	enum err_code rc;

	*len = 0;
	*status = 127;
	rc = environment ? run(c, environment, out, max, len, status, e) : e->code;
	mem_free(environment);
	buf_release(&line);
	return rc;
}
