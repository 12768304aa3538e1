#include "safe_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "dir_scan.h"

#define COMPONENT_MAX  255
#define COMPONENTS_MAX 64
#define CUT_AT         180

static bool must_change(struct span s, enum name_rule rule)
{
	if (s.len == 0 || s.len > COMPONENT_MAX)
		return true;
	if (s.ptr[0] == '.' && (s.len == 1 || (s.len == 2 && s.ptr[1] == '.')))
		return true;
	if (rule == NAME_PORTABLE && (s.ptr[s.len - 1] == '.' || s.ptr[s.len - 1] == ' ' || !text_is_utf8(s)))
		return true;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c == 0 || c == '/')
			return true;
		/* U+0080..U+009F are found by their second byte; a few harmless letters get encoded with them. */
		if (rule == NAME_PORTABLE && (c < 0x20 || c == 0x7f || c == '%' || strchr("\\:*?\"<>|", c) ||
		                              (c == 0xc2 && i + 1 < s.len && s.ptr[i + 1] < 0xa0)))
			return true;
	}
	return false;
}

/* Cuts a name that is too long and puts 32 hex digits of the whole before the suffix. */
static enum err_code shorten(struct buf *name, size_t start, struct span whole, struct span suffix, struct err *e)
{
	uint8_t hash[16];
	char hex[33];
	enum err_code rc;

	hash128(whole, hash);
	text_hex(span_of(hash, 16), hex);
	name->len = start + CUT_AT;
	/* Never in the middle of a percent code. */
	for (size_t back = 1; back <= 2; back++)
		if (name->ptr[start + CUT_AT - back] == '%')
			name->len = start + CUT_AT - back;
	rc = buf_printf(name, e, ".H%s", hex);
	if (!rc && suffix.len <= 32)
		rc = text_percent(name, suffix, "/", e);
	if (!rc && name->len - start > COMPONENT_MAX)
		name->len = start + COMPONENT_MAX;
	return rc;
}

enum err_code safe_name(struct span name, struct span suffix, enum name_rule rule, struct buf *out, bool *changed,
                        struct err *e)
{
	struct buf whole = BUF_EMPTY;
	size_t start = out->len;
	enum err_code rc;
	struct span s;

	rc = buf_append(&whole, name, e);
	if (!rc)
		rc = buf_append(&whole, suffix, e);
	if (rc)
		goto done;
	s = buf_span(&whole);
	*changed = must_change(s, rule);
	if (!*changed) {
		rc = buf_append(out, s, e);
		goto done;
	}
	if (s.len == 0) {
		rc = buf_append(out, SPAN_LIT("%"), e);
	} else if (s.ptr[0] == '.' && s.len <= 2) {
		rc = buf_printf(out, e, "%s", s.len == 2 ? "%2e%2e" : "%2e");
		if (!rc && s.len == 2 && s.ptr[1] != '.') {
			out->len = start;
			rc = text_percent(out, s, "/\\:*?\"<>|", e);
		}
	} else {
		rc = text_percent(out, s, rule == NAME_PORTABLE ? "/\\:*?\"<>|" : "/", e);
	}
	if (!rc && out->len > start && (out->ptr[out->len - 1] == '.' || out->ptr[out->len - 1] == ' ')) {
		uint8_t last = out->ptr[--out->len];

		rc = buf_append(out, last == '.' ? SPAN_LIT("%2e") : SPAN_LIT("%20"), e);
	}
	if (!rc && out->len - start > COMPONENT_MAX)
		rc = shorten(out, start, s, suffix, e);
done:
	buf_release(&whole);
	return rc;
}

enum err_code safe_path(struct span path, enum name_rule rule, struct buf *out, struct err *e)
{
	size_t start = out->len, components = 0;

	while (path.len) {
		const uint8_t *slash = memchr(path.ptr, '/', path.len);
		struct span part = span_first(path, slash ? (size_t)(slash - path.ptr) : path.len);
		enum err_code rc = ERR_OK;
		bool changed;

		path = span_skip(path, part.len + 1);
		if (part.len == 0)
			continue;
		if (++components > COMPONENTS_MAX)
			return err_set(e, ERR_LIMIT, "a folder lies more than %d levels deep", COMPONENTS_MAX);
		if (out->len > start)
			rc = buf_append(out, SPAN_LIT("/"), e);
		if (!rc)
			rc = safe_name(part, SPAN_EMPTY, rule, out, &changed, e);
		if (rc)
			return rc;
	}
	return ERR_OK;
}

static enum err_code step_down(int at, const char *name, bool make, int *fd, bool *made, struct err *e)
{
	*made = false;
	*fd = dir_open_below(at, name);
	if (*fd < 0 && errno == ENOENT && make) {
		*made = mkdirat(at, name, 0700) == 0;
		if (!*made && errno != EEXIST)
			return err_sys(e, errno, "cannot make folder %s", text_name(span_cstr(name)).text);
		*fd = dir_open_below(at, name);
	}
	if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(e, ERR_DENIED, "%s is not a folder (symbolic links are not followed)",
		               text_name(span_cstr(name)).text);
	if (*fd < 0)
		return err_sys(e, errno, "cannot open folder %s", text_name(span_cstr(name)).text);
	return ERR_OK;
}

enum err_code folder_open(int root_fd, const char *path, bool make, int *fd, bool *made, struct err *e)
{
	int at = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	char name[COMPONENT_MAX + 1];

	*made = false;
	if (at < 0)
		return err_sys(e, errno, "cannot open a folder");
	while (*path) {
		size_t len = strcspn(path, "/");
		enum err_code rc;
		int next = -1;

		if (len > COMPONENT_MAX) {
			close(at);
			return err_set(e, ERR_LIMIT, "a folder name has %zu bytes", len);
		}
		memcpy(name, path, len);
		name[len] = 0;
		path += len + (path[len] == '/');
		rc = step_down(at, name, make, &next, made, e);
		close(at);
		if (rc)
			return rc;
		at = next;
	}
	*fd = at;
	return ERR_OK;
}
