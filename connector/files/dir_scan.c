#include "dir_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define BLOCK_BYTES       (256 * KIB)
#define BLOCK_BYTES_SMALL (16 * KIB)

/* The kernel's record; glibc's struct dirent64 has the same layout with _FILE_OFFSET_BITS=64. */
struct kernel_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t record_bytes;
	uint8_t type;
	char name[];
};

enum err_code dir_scan_open(struct dir_scan *s, int fd, bool small, struct err *e)
{
	*s = (struct dir_scan){ .fd = fd, .block_bytes = small ? BLOCK_BYTES_SMALL : BLOCK_BYTES };
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "cannot go to the start of the folder");
	s->block = mem_alloc(s->block_bytes);
	return s->block ? ERR_OK : err_no_memory(e, s->block_bytes);
}

static enum dir_type type_of(int fd, const struct kernel_dirent *d)
{
	struct stat st;

	switch (d->type) {
	case DT_REG:
		return DIR_FILE;
	case DT_DIR:
		return DIR_FOLDER;
	case DT_UNKNOWN:
		if (fstatat(fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return S_ISREG(st.st_mode) ? DIR_FILE : S_ISDIR(st.st_mode) ? DIR_FOLDER : DIR_ODD;
		return DIR_ODD;
	default:
		return DIR_ODD;
	}
}

enum err_code dir_scan_next(struct dir_scan *s, struct dir_entry *out, bool *more, struct err *e)
{
	const struct kernel_dirent *d;

	do {
		if (s->at == s->end) {
			long n = syscall(SYS_getdents64, s->fd, s->block, s->block_bytes);

			if (n < 0)
				return err_sys(e, errno, "cannot read the folder");
			s->at = 0;
			s->end = (size_t)n;
			if (n == 0) {
				*more = false;
				return ERR_OK;
			}
		}
		d = (const struct kernel_dirent *)(const void *)(s->block + s->at);
		s->at += d->record_bytes;
		out->name = span_cstr(d->name);
	} while (d->name[0] == '.' && (out->name.len == 1 || (out->name.len == 2 && d->name[1] == '.')));
	out->type = type_of(s->fd, d);
	*more = true;
	return ERR_OK;
}

void dir_scan_release(struct dir_scan *s)
{
	mem_free(s->block);
	s->block = NULL;
	s->at = s->end = 0;
}

int dir_open_below(int folder_fd, const char *name)
{
	return openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}
