#include "report_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/text.h"

static const char purpose[] = "mailhold report 1";

/* ---- the chain of digests ---- */

static void chain_begin(uint8_t digest[STATEMENT_DIGEST_BYTES])
{
	crypto_digest(span_cstr(purpose), digest, STATEMENT_DIGEST_BYTES);
}

/* The digest of a line with its end stands behind that of all lines before. */
static enum err_code chain_add(uint8_t digest[STATEMENT_DIGEST_BYTES], struct span line, struct err *e)
{
	struct buf both = BUF_EMPTY;
	enum err_code rc = buf_append(&both, span_of(digest, STATEMENT_DIGEST_BYTES), e);

	if (!rc)
		rc = buf_append(&both, line, e);
	if (!rc)
		crypto_digest(buf_span(&both), digest, STATEMENT_DIGEST_BYTES);
	buf_release(&both);
	return rc;
}

/* The last line has one form only, so that none of its bytes can be another one, either. */
static enum err_code signature_line(const struct repo *repo, uint64_t lines, const struct statement *s, struct buf *out,
                                    struct err *e)
{
	char holder[2 * ID16_BYTES + 1], id[2 * ID16_BYTES + 1], signature[2 * SIGNATURE_BYTES + 1];
	struct repo_info info;

	repo_describe(repo, &info);
	text_hex(span_of(info.id.bytes, ID16_BYTES), id);
	text_hex(span_of(s->holder.bytes, ID16_BYTES), holder);
	text_hex(span_of(s->signature, SIGNATURE_BYTES), signature);
	return buf_printf(out, e,
	                  "{\"type\":\"signature\",\"lines\":%" PRIu64
	                  ",\"repository\":\"%s\",\"holder\":\"%s\",\"signature\":\"%s\"}\n",
	                  lines, id, holder, signature);
}

/* ---- writing ---- */

enum err_code report_file_open(const char *path, struct report_file *out, struct err *e)
{
	int fd;

	*out = (struct report_file){ .path = path };
	if (!path)
		return ERR_OK;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return err_set(e, ERR_EXISTS, "%s is there already; a report is never written over", path);
	if (fd < 0)
		return err_sys(e, errno, "cannot make %s", path);
	out->file = fdopen(fd, "w");
	if (!out->file) {
		close(fd);
		return err_no_memory(e, BUFSIZ);
	}
	chain_begin(out->digest);
	return ERR_OK;
}

static enum err_code add_line(struct report_file *f, struct span line, struct err *e)
{
	if (line.len > REPORT_LINE_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a line of the report has %zu bytes", line.len);
	if (fwrite(line.ptr, 1, line.len, f->file) != line.len)
		return err_sys(e, errno, "cannot write %s", f->path);
	f->lines++;
	return chain_add(f->digest, line, e);
}

void report_file_add(struct report_file *f, struct row *r)
{
	struct buf line = BUF_EMPTY;
	struct err e = { 0 };

	if (!f->file || f->failed.code) {
		row_drop(r);
		return;
	}
	if (row_text_line(r, &line, &e) || add_line(f, buf_span(&line), &e))
		f->failed = e;
	buf_release(&line);
}

enum err_code report_file_sign(struct report_file *f, const struct repo *repo, struct err *e)
{
	struct statement s;
	struct buf line = BUF_EMPTY;
	enum err_code rc = f->failed.code;

	if (!f->file)
		return ERR_OK;
	if (rc)
		*e = f->failed;
	if (!rc) {
		engine_sign(repo, purpose, f->digest, &s);
		rc = signature_line(repo, f->lines, &s, &line, e);
	}
	if (!rc &&
	    (fwrite(line.ptr, 1, line.len, f->file) != line.len || fflush(f->file) != 0 || fsync(fileno(f->file)) != 0))
		rc = err_sys(e, errno, "cannot write %s", f->path);
	buf_release(&line);
	report_file_release(f);
	return rc ? err_note(e, "while writing the report") : ERR_OK;
}

void report_file_release(struct report_file *f)
{
	if (f->file)
		fclose(f->file);
	if (f->file && !f->lines)
		unlink(f->path); /* nothing was begun: the name is free for the next try */
	f->file = NULL;
}

/* ---- reading ---- */

struct verifying {
	const char *path;
	struct report_checked *out;
	uint8_t digest[STATEMENT_DIGEST_BYTES];
	struct buf line; /* the newest: what follows it shows whether it is the signature */
};

/* "…,"NAME":"DIGITS"": exact digits behind NAME. What is wrong shows when the line is made again. */
static bool hex_member(struct span line, const char *name, uint8_t *out, size_t len)
{
	size_t n = strlen(name);

	for (size_t i = 0; i + n + 2 * len <= line.len; i++)
		if (!memcmp(line.ptr + i, name, n))
			return text_unhex(span_of(line.ptr + i + n, 2 * len), out, len);
	return false;
}

static enum err_code check_signature(struct verifying *v, const struct repo *repo, struct err *e)
{
	struct span line = buf_span(&v->line);
	struct statement s;
	struct repo_id id;
	struct repo_info info;
	struct buf again = BUF_EMPTY;
	enum err_code rc;

	if (!hex_member(line, "\"repository\":\"", id.bytes, sizeof id.bytes) ||
	    !hex_member(line, "\"holder\":\"", s.holder.bytes, sizeof s.holder.bytes) ||
	    !hex_member(line, "\"signature\":\"", s.signature, sizeof s.signature))
		return err_set(e, ERR_CORRUPT,
		               "%s does not end with a signature: the restore was broken off, or lines are gone",
		               v->path);
	repo_describe(repo, &info);
	if (memcmp(id.bytes, info.id.bytes, sizeof id.bytes) != 0)
		return err_set(e, ERR_WRONG_KEY, "%s was signed for another repository", v->path);
	rc = signature_line(repo, v->out->lines, &s, &again, e);
	if (!rc && !span_equal(buf_span(&again), line))
		rc = err_set(e, ERR_CORRUPT, "%s was changed: its last line is not as it was written", v->path);
	if (!rc)
		rc = engine_verify(repo, purpose, v->digest, &s, e);
	if (rc == ERR_CORRUPT)
		err_note(e, "%s was changed", v->path);
	v->out->holder = s.holder;
	buf_release(&again);
	return rc;
}

/* A line is part of the report as soon as another one follows. */
static enum err_code take_line(struct verifying *v, struct err *e)
{
	enum err_code rc = chain_add(v->digest, buf_span(&v->line), e);

	if (!rc && !v->out->lines++)
		rc = buf_append(&v->out->first, buf_span(&v->line), e);
	buf_clear(&v->out->last);
	return rc ? rc : buf_append(&v->out->last, buf_span(&v->line), e);
}

static enum err_code read_lines(struct verifying *v, FILE *file, struct err *e)
{
	enum err_code rc = ERR_OK;
	int c;

	while (!rc && (c = getc(file)) != EOF) {
		uint8_t byte = (uint8_t)c;

		if (v->line.len && v->line.ptr[v->line.len - 1] == '\n') {
			rc = take_line(v, e);
			buf_clear(&v->line);
		}
		if (!rc && v->line.len == REPORT_LINE_BYTES_MAX)
			rc = err_set(e, ERR_CORRUPT, "%s has a line that is too long for a report", v->path);
		if (!rc)
			rc = buf_append(&v->line, span_of(&byte, 1), e);
	}
	if (!rc && ferror(file))
		rc = err_sys(e, errno, "cannot read %s", v->path);
	return rc;
}

enum err_code report_file_verify(const char *path, const struct repo *repo, struct report_checked *out, struct err *e)
{
	struct verifying v = { .path = path, .out = out };
	FILE *file = fopen(path, "re");
	enum err_code rc;

	*out = (struct report_checked){ .lines = 0 };
	if (!file)
		return err_sys(e, errno, "cannot read %s", path);
	chain_begin(v.digest);
	rc = read_lines(&v, file, e);
	fclose(file);
	if (!rc)
		rc = check_signature(&v, repo, e);
	buf_release(&v.line);
	return rc;
}

void report_checked_release(struct report_checked *c)
{
	buf_release(&c->first);
	buf_release(&c->last);
}
