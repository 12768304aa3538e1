#include "tape.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define TAPE_BYTES_MAX ((size_t)1 << 30) /* of address space; only what is used takes memory */
#define FDS            4096
#define PATH_BYTES     1024

struct entry { /* followed by name, NUL, name2, NUL, data; padded to 8 bytes */
	uint32_t bytes;
	uint16_t kind, disk;
	uint32_t name_len, name2_len;
	uint64_t ino, dir, dir2, offset, len;
};

/* Shared by all processes. */
struct tape {
	atomic_uint_least64_t used;
	_Alignas(8) uint8_t bytes[TAPE_BYTES_MAX];
};

/* Shared by a process and its children. */
struct faults {
	atomic_uint_least64_t calls[FAULT_KINDS][DISK_COUNT]; /* that a fault can hit */
	char hit[256];                                        /* the first that was hit */
};

static struct tape *tape;
static struct faults *faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char roots[DISK_COUNT][PATH_BYTES];
static bool recording, lacks_tmpfile, lacks_links, counting;
static unsigned kill_at_link;
static enum fault fault;
static unsigned fault_disk;
static uint64_t fault_at;
/* By descriptor: 0 outside of the disks, else 1 + disk. */
static _Atomic unsigned char fds[FDS];
static _Atomic bool appends[FDS];

/* ---- the kernel, past ourselves ---- */

static int sys_stat_at(int dir, const char *path, struct stat *out, int flags)
{
	return (int)syscall(SYS_newfstatat, dir, path, out, flags);
}

static uint64_t ino_of(int fd)
{
	struct stat st;

	return sys_stat_at(fd, "", &st, AT_EMPTY_PATH) == 0 ? st.st_ino : 0;
}

static void *libc_function(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

/* ---- the tape ---- */

const char *tape_kind_name(enum tape_kind kind)
{
	static const char *const names[] = { "step",  "create",   "mkdir", "link",     "unlink", "rename",
		                             "write", "truncate", "sync",  "sync-all", "tell" };

	return names[kind];
}

static void *shared_room(size_t bytes)
{
	void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED) {
		perror("no memory for the tape");
		abort();
	}
	return room;
}

void tape_start(const char *const given[DISK_COUNT])
{
	tape = shared_room(sizeof *tape);
	tape_own_faults();
	tape_move(given);
}

void tape_own_faults(void)
{
	faults = shared_room(sizeof *faults);
}

void tape_move(const char *const given[DISK_COUNT])
{
	for (unsigned d = 0; d < DISK_COUNT; d++)
		snprintf(roots[d], sizeof roots[d], "%s", given[d]);
}

void tape_clear(void)
{
	atomic_store(&tape->used, 0);
}

void tape_record(bool on)
{
	recording = on;
}

uint64_t tape_root_ino(unsigned disk)
{
	struct stat st;

	return sys_stat_at(AT_FDCWD, roots[disk], &st, 0) == 0 ? st.st_ino : 0;
}

/* With the lock held, so that the order is that of the kernel. */
static void put(struct tape_op op)
{
	uint64_t used = atomic_load(&tape->used);
	struct entry e = { .kind = (uint16_t)op.kind,
		           .disk = (uint16_t)op.disk,
		           .name_len = op.name ? (uint32_t)strlen(op.name) : 0,
		           .name2_len = op.name2 ? (uint32_t)strlen(op.name2) : 0,
		           .ino = op.ino,
		           .dir = op.dir,
		           .dir2 = op.dir2,
		           .offset = op.offset,
		           .len = op.len };
	size_t total = (sizeof e + e.name_len + e.name2_len + 2 + op.len + 7) / 8 * 8;
	uint8_t *at = tape->bytes + used;

	if (total > TAPE_BYTES_MAX - used || total > UINT32_MAX)
		abort();
	e.bytes = (uint32_t)total;
	memcpy(at, &e, sizeof e);
	at += sizeof e;
	if (e.name_len)
		memcpy(at, op.name, e.name_len);
	at += e.name_len;
	*at++ = 0;
	if (e.name2_len)
		memcpy(at, op.name2, e.name2_len);
	at += e.name2_len;
	*at++ = 0;
	if (op.len)
		memcpy(at, op.data, op.len);
	atomic_store(&tape->used, used + total);
	if (op.kind == TAPE_LINK && op.disk == DISK_STORE && kill_at_link && --kill_at_link == 0)
		kill(getpid(), SIGKILL);
}

bool tape_next(uint64_t *at, struct tape_op *out)
{
	struct entry e;
	const uint8_t *p = tape->bytes + *at;

	if (*at >= atomic_load(&tape->used))
		return false;
	memcpy(&e, p, sizeof e);
	p += sizeof e;
	*out = (struct tape_op){ .kind = (enum tape_kind)e.kind,
		                 .disk = e.disk,
		                 .ino = e.ino,
		                 .dir = e.dir,
		                 .dir2 = e.dir2,
		                 .offset = e.offset,
		                 .name = (const char *)p,
		                 .name2 = (const char *)p + e.name_len + 1,
		                 .data = p + e.name_len + e.name2_len + 2,
		                 .len = e.len };
	*at += e.bytes;
	return true;
}

void tape_step(uint64_t number)
{
	put((struct tape_op){ .kind = TAPE_STEP, .offset = number });
}

void tape_kill_at_link(unsigned count)
{
	kill_at_link = count;
}

void tape_lacks(bool without_tmpfile, bool links)
{
	lacks_tmpfile = without_tmpfile;
	lacks_links = links;
}

/* ---- which disk ---- */

struct place {
	unsigned disk;
	uint64_t dir;
	char name[NAME_MAX + 1];
};

static int disk_of_fd(int fd)
{
	return fd >= 0 && fd < FDS ? (int)atomic_load(&fds[fd]) - 1 : -1;
}

static void note_fd(int fd, int disk, bool append)
{
	if (fd < 0 || fd >= FDS)
		return;
	atomic_store(&fds[fd], (unsigned char)(disk + 1));
	atomic_store(&appends[fd], append);
}

/* The disk that PATH lies on, or -1. */
static int disk_of(int dirfd, const char *path)
{
	if (path[0] != '/')
		return dirfd == AT_FDCWD ? -1 : disk_of_fd(dirfd);
	for (int d = 0; d < DISK_COUNT; d++) {
		size_t len = strlen(roots[d]);

		if (len && strncmp(path, roots[d], len) == 0 && (path[len] == '/' || path[len] == 0))
			return d;
	}
	return -1;
}

/* Folder and last part of PATH. False when there is no such folder; then the call will fail, too. */
static bool find_place(int dirfd, const char *path, int disk, struct place *out)
{
	char copy[PATH_BYTES];
	size_t len = strlen(path);
	struct stat st;
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof copy)
		abort();
	memcpy(copy, path, len);
	copy[len] = 0;
	slash = strrchr(copy, '/');
	snprintf(out->name, sizeof out->name, "%.*s", NAME_MAX, slash ? slash + 1 : copy);
	if (slash)
		slash[slash == copy] = 0;
	if (sys_stat_at(dirfd, slash ? copy : ".", &st, 0) != 0)
		return false;
	out->disk = (unsigned)disk;
	out->dir = st.st_ino;
	return true;
}

/* ---- failing ---- */

enum call { CALL_LOOK, CALL_OPEN, CALL_READ, CALL_WRITE, CALL_ROOM, CALL_TAKE, CALL_SYNC };

const char *fault_name(enum fault f)
{
	static const char *const names[] = { "none",  "EIO",  "EIO from then on", "ENOSPC", "EDQUOT", "EROFS",
		                             "EINTR", "short" };

	return names[f];
}

void tape_fault(enum fault f, unsigned disk, uint64_t at)
{
	fault = f;
	fault_disk = disk;
	fault_at = at;
	counting = false;
	memset(faults, 0, sizeof *faults);
}

void tape_count(void)
{
	tape_fault(FAULT_NONE, 0, 0);
	counting = true;
}

uint64_t tape_counted(enum fault f, unsigned disk)
{
	return atomic_load(&faults->calls[f][disk]);
}

const char *tape_fault_hit(void)
{
	return faults->hit;
}

/* LOOK: stat, access, listing. OPEN: of what is there. ROOM: makes a file, folder or name. TAKE: takes one away. */
static bool can_hit(enum fault f, enum call call)
{
	switch (f) {
	case FAULT_EIO:
	case FAULT_EIO_ON:
		return true;
	case FAULT_ENOSPC:
	case FAULT_EDQUOT:
		return call == CALL_WRITE || call == CALL_ROOM || call == CALL_SYNC;
	case FAULT_EROFS:
		return call == CALL_WRITE || call == CALL_ROOM || call == CALL_TAKE;
	case FAULT_EINTR:
		return call == CALL_OPEN || call == CALL_READ || call == CALL_WRITE || call == CALL_ROOM ||
		       call == CALL_SYNC;
	case FAULT_SHORT:
		return call == CALL_READ || call == CALL_WRITE;
	default:
		return false;
	}
}

/* True: this call is to fail (with errno set), or to be short. */
static bool hit(int disk, enum call call, const char *function, const char *path)
{
	static const int numbers[] = { 0, EIO, EIO, ENOSPC, EDQUOT, EROFS, EINTR, 0 };
	bool once = fault == FAULT_EIO || fault == FAULT_EINTR;
	uint64_t number;

	for (enum fault f = FAULT_NONE; counting && f < FAULT_KINDS; f++)
		if (can_hit(f, call))
			atomic_fetch_add(&faults->calls[f][disk], 1);
	if (fault == FAULT_NONE || disk != (int)fault_disk || !can_hit(fault, call))
		return false;
	number = atomic_fetch_add(&faults->calls[fault][disk], 1);
	if (once ? number != fault_at : number < fault_at)
		return false;
	if (fault == FAULT_SHORT && (number - fault_at) % 3)
		return false;
	if (number == fault_at)
		snprintf(faults->hit, sizeof faults->hit, "%s(%s)", function, path);
	errno = numbers[fault];
	return true;
}

static const char *fd_name(int fd, char out[PATH_BYTES])
{
	char link[40];
	ssize_t n;

	if (fault == FAULT_NONE)
		return "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_BYTES - 1);
	out[n > 0 ? n : 0] = 0;
	return out;
}

static bool hit_fd(int fd, enum call call, const char *function)
{
	char path[PATH_BYTES];
	int disk = disk_of_fd(fd);

	return disk >= 0 && (fault || counting) && hit(disk, call, function, fd_name(fd, path));
}

static bool hit_path(int dirfd, const char *path, enum call call, const char *function)
{
	int disk = disk_of(dirfd, path);

	return disk >= 0 && hit(disk, call, function, path);
}

/* ---- opening ---- */

static int recorded_open(int dirfd, const char *path, int flags, mode_t mode, int disk)
{
	bool nameless = (flags & O_TMPFILE) == O_TMPFILE, existed;
	struct place p;
	struct stat st;
	int fd;

	pthread_mutex_lock(&lock);
	existed = sys_stat_at(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	if (fd >= 0 && nameless) {
		put((struct tape_op){ .kind = TAPE_CREATE, .disk = (unsigned)disk, .ino = ino_of(fd) });
	} else if (fd >= 0 && (flags & O_CREAT) && !existed && find_place(dirfd, path, disk, &p)) {
		put((struct tape_op){
		        .kind = TAPE_CREATE, .disk = p.disk, .ino = ino_of(fd), .dir = p.dir, .name = p.name });
	} else if (fd >= 0 && (flags & O_TRUNC) && existed) {
		put((struct tape_op){ .kind = TAPE_TRUNCATE, .disk = (unsigned)disk, .ino = ino_of(fd) });
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	int disk = disk_of(dirfd, path), fd;

	if (disk >= 0 && lacks_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (disk >= 0 && hit(disk, makes ? CALL_ROOM : CALL_OPEN, "open", path))
		return -1;
	if (disk >= 0 && recording && (makes || (flags & O_TRUNC)))
		fd = recorded_open(dirfd, path, flags, mode, disk);
	else
		fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	note_fd(fd, disk, flags & O_APPEND);
	return fd;
}

#define OPEN_MODE(flags)                                                                                               \
	mode_t mode = 0;                                                                                               \
	if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) {                                                   \
		va_list args;                                                                                          \
		va_start(args, flags);                                                                                 \
		mode = va_arg(args, mode_t);                                                                           \
		va_end(args);                                                                                          \
	}

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(dirfd, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return do_open(dirfd, path, flags, mode);
}

/* What fortified code calls. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}

int __openat64_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}

static int do_mkostemp(char *path, int flags)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(path);

	for (int tries = 0; tries < 100; tries++) {
		uint8_t random[6];
		int fd;

		if (syscall(SYS_getrandom, random, sizeof random, 0) != sizeof random)
			return -1;
		for (size_t i = 0; i < 6; i++)
			path[len - 6 + i] = letters[random[i] % 36];
		fd = do_open(AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

int mkostemp(char *path, int flags)
{
	return do_mkostemp(path, flags);
}

int mkostemp64(char *path, int flags)
{
	return do_mkostemp(path, flags);
}

int close(int fd)
{
	note_fd(fd, -1, false);
	return (int)syscall(SYS_close, fd);
}

/* ---- stdio and listing: libc's own, looked at from outside ---- */

static FILE *do_fopen(const char *path, const char *mode, const char *function)
{
	FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *)) libc_function(function);
	FILE *file;

	if (hit_path(AT_FDCWD, path, CALL_OPEN, "fopen"))
		return NULL;
	file = next(path, mode);
	if (file)
		note_fd(fileno(file), disk_of(AT_FDCWD, path), false);
	return file;
}

FILE *fopen(const char *path, const char *mode)
{
	return do_fopen(path, mode, "fopen");
}

FILE *fopen64(const char *path, const char *mode)
{
	return do_fopen(path, mode, "fopen64");
}

int fclose(FILE *file)
{
	static int (*next)(FILE *);

	if (!next)
		next = (int (*)(FILE *))libc_function("fclose");
	note_fd(fileno(file), -1, false);
	return next(file);
}

size_t fread(void *to, size_t size, size_t count, FILE *file)
{
	static size_t (*next)(void *, size_t, size_t, FILE *);

	if (!next)
		next = (size_t(*)(void *, size_t, size_t, FILE *))libc_function("fread");
	/* Short reads are stdio's own business. */
	if (fault != FAULT_SHORT && fault != FAULT_EINTR && hit_fd(fileno(file), CALL_READ, "fread"))
		return 0;
	return next(to, size, count, file);
}

int fflush(FILE *file)
{
	static int (*next)(FILE *);
	int rc;

	if (!next)
		next = (int (*)(FILE *))libc_function("fflush");
	rc = next(file);
	if (recording && file == stdout && rc == 0) {
		pthread_mutex_lock(&lock);
		put((struct tape_op){ .kind = TAPE_TELL });
		pthread_mutex_unlock(&lock);
	}
	return rc;
}

DIR *opendir(const char *path)
{
	static DIR *(*next)(const char *);
	DIR *folder;

	if (!next)
		next = (DIR * (*)(const char *)) libc_function("opendir");
	if (hit_path(AT_FDCWD, path, CALL_OPEN, "opendir"))
		return NULL;
	folder = next(path);
	if (folder)
		note_fd(dirfd(folder), disk_of(AT_FDCWD, path), false);
	return folder;
}

int closedir(DIR *folder)
{
	static int (*next)(DIR *);

	if (!next)
		next = (int (*)(DIR *))libc_function("closedir");
	note_fd(dirfd(folder), -1, false);
	return next(folder);
}

struct dirent *readdir(DIR *folder)
{
	static struct dirent *(*next)(DIR *);

	if (!next)
		next = (struct dirent * (*)(DIR *)) libc_function("readdir");
	return hit_fd(dirfd(folder), CALL_LOOK, "readdir") ? NULL : next(folder);
}

struct dirent64 *readdir64(DIR *folder)
{
	static struct dirent64 *(*next)(DIR *);

	if (!next)
		next = (struct dirent64 * (*)(DIR *)) libc_function("readdir64");
	return hit_fd(dirfd(folder), CALL_LOOK, "readdir") ? NULL : next(folder);
}

/* ---- looking ---- */

static int do_stat(int dirfd, const char *path, void *out, int flags, const char *function)
{
	bool of_fd = (flags & AT_EMPTY_PATH) && !*path;

	if (of_fd ? hit_fd(dirfd, CALL_LOOK, function) : hit_path(dirfd, path, CALL_LOOK, function))
		return -1;
	return (int)syscall(SYS_newfstatat, dirfd, path, out, flags);
}

int stat(const char *path, struct stat *out)
{
	return do_stat(AT_FDCWD, path, out, 0, "stat");
}

int stat64(const char *path, struct stat64 *out)
{
	return do_stat(AT_FDCWD, path, out, 0, "stat");
}

int lstat(const char *path, struct stat *out)
{
	return do_stat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW, "lstat");
}

int lstat64(const char *path, struct stat64 *out)
{
	return do_stat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW, "lstat");
}

int fstat(int fd, struct stat *out)
{
	return do_stat(fd, "", out, AT_EMPTY_PATH, "fstat");
}

int fstat64(int fd, struct stat64 *out)
{
	return do_stat(fd, "", out, AT_EMPTY_PATH, "fstat");
}

int fstatat(int dirfd, const char *path, struct stat *out, int flags)
{
	return do_stat(dirfd, path, out, flags, "fstatat");
}

int fstatat64(int dirfd, const char *path, struct stat64 *out, int flags)
{
	return do_stat(dirfd, path, out, flags, "fstatat");
}

int access(const char *path, int mode)
{
	return hit_path(AT_FDCWD, path, CALL_LOOK, "access") ? -1 : (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

/* ---- reading ---- */

ssize_t read(int fd, void *to, size_t len)
{
	if (len && hit_fd(fd, CALL_READ, "read")) {
		if (fault != FAULT_SHORT)
			return -1;
		len = (len + 1) / 2;
	}
	return syscall(SYS_read, fd, to, len);
}

static ssize_t do_pread(int fd, void *to, size_t len, off64_t at)
{
	if (len && hit_fd(fd, CALL_READ, "pread")) {
		if (fault != FAULT_SHORT)
			return -1;
		len = (len + 1) / 2;
	}
	return syscall(SYS_pread64, fd, to, len, at);
}

ssize_t pread(int fd, void *to, size_t len, off_t at)
{
	return do_pread(fd, to, len, at);
}

ssize_t pread64(int fd, void *to, size_t len, off64_t at)
{
	return do_pread(fd, to, len, at);
}

/* ---- writing ---- */

/* PARTS as one write at AT, or at the file's own place when AT is negative. */
static ssize_t recorded_write(int fd, const struct iovec *parts, int count, off64_t at)
{
	struct stat st;
	off64_t from = at;
	ssize_t n, left;

	pthread_mutex_lock(&lock);
	sys_stat_at(fd, "", &st, AT_EMPTY_PATH);
	if (at < 0)
		from = atomic_load(&appends[fd]) ? st.st_size : (off64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
	n = at < 0 ? syscall(SYS_writev, fd, parts, count)
	           : syscall(SYS_pwrite64, fd, parts[0].iov_base, parts[0].iov_len, at);
	left = n;
	for (int i = 0; i < count && left > 0; i++) {
		size_t len = parts[i].iov_len < (size_t)left ? parts[i].iov_len : (size_t)left;

		put((struct tape_op){ .kind = TAPE_WRITE,
		                      .disk = (unsigned)disk_of_fd(fd),
		                      .ino = st.st_ino,
		                      .offset = (uint64_t)from,
		                      .data = parts[i].iov_base,
		                      .len = len });
		from += (off64_t)len;
		left -= (ssize_t)len;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static ssize_t do_write(int fd, const struct iovec *parts, int count, off64_t at, const char *function)
{
	struct iovec half;

	if (hit_fd(fd, CALL_WRITE, function)) {
		if (fault != FAULT_SHORT)
			return -1;
		half = (struct iovec){ parts[0].iov_base, (parts[0].iov_len + 1) / 2 };
		parts = &half;
		count = 1;
	}
	if (recording && disk_of_fd(fd) >= 0)
		return recorded_write(fd, parts, count, at);
	return at < 0 ? syscall(SYS_writev, fd, parts, count)
	              : syscall(SYS_pwrite64, fd, parts[0].iov_base, parts[0].iov_len, at);
}

ssize_t write(int fd, const void *from, size_t len)
{
	struct iovec part = { (void *)(uintptr_t)from, len };

	return do_write(fd, &part, 1, -1, "write");
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	return do_write(fd, parts, count, -1, "writev");
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
	struct iovec part = { (void *)(uintptr_t)from, len };

	return do_write(fd, &part, 1, at, "pwrite");
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t at)
{
	struct iovec part = { (void *)(uintptr_t)from, len };

	return do_write(fd, &part, 1, at, "pwrite");
}

static int do_ftruncate(int fd, off64_t size)
{
	int disk = disk_of_fd(fd), rc;

	if (hit_fd(fd, CALL_WRITE, "ftruncate") && fault != FAULT_SHORT)
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(SYS_ftruncate, fd, size);
	pthread_mutex_lock(&lock);
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0)
		put((struct tape_op){
		        .kind = TAPE_TRUNCATE, .disk = (unsigned)disk, .ino = ino_of(fd), .offset = (uint64_t)size });
	pthread_mutex_unlock(&lock);
	return rc;
}

int ftruncate(int fd, off_t size)
{
	return do_ftruncate(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return do_ftruncate(fd, size);
}

/* Room that is reserved and not in the file yet (FALLOC_FL_KEEP_SIZE, RocksDB's way) shows nowhere. */
static int do_fallocate(int fd, int mode, off64_t at, off64_t len)
{
	if (hit_fd(fd, CALL_WRITE, "fallocate") && fault != FAULT_SHORT)
		return -1;
	if (recording && disk_of_fd(fd) >= 0 && !(mode & 1))
		abort();
	return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	return do_fallocate(fd, mode, at, len);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
	return do_fallocate(fd, mode, at, len);
}

/* ---- syncing ---- */

static int do_sync(int fd, long number, const char *function)
{
	int disk = disk_of_fd(fd), rc;

	if (hit_fd(fd, CALL_SYNC, function))
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(number, fd);
	pthread_mutex_lock(&lock);
	rc = (int)syscall(number, fd);
	if (rc == 0)
		put((struct tape_op){ .kind = number == SYS_syncfs ? TAPE_SYNC_ALL : TAPE_SYNC,
		                      .disk = (unsigned)disk,
		                      .ino = ino_of(fd) });
	pthread_mutex_unlock(&lock);
	return rc;
}

int fsync(int fd)
{
	return do_sync(fd, SYS_fsync, "fsync");
}

int fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync, "fdatasync");
}

int syncfs(int fd)
{
	return do_sync(fd, SYS_syncfs, "syncfs");
}

/* ---- names ---- */

static int do_mkdir(int dirfd, const char *path, mode_t mode)
{
	int disk = disk_of(dirfd, path), rc;
	struct place p;
	struct stat st;

	if (disk >= 0 && hit(disk, CALL_ROOM, "mkdir", path))
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(SYS_mkdirat, dirfd, path, mode);
	pthread_mutex_lock(&lock);
	rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	if (rc == 0 && find_place(dirfd, path, disk, &p) && sys_stat_at(dirfd, path, &st, 0) == 0)
		put((struct tape_op){
		        .kind = TAPE_MKDIR, .disk = p.disk, .ino = st.st_ino, .dir = p.dir, .name = p.name });
	pthread_mutex_unlock(&lock);
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return do_mkdir(AT_FDCWD, path, mode);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return do_mkdir(dirfd, path, mode);
}

static int do_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	int disk = disk_of(to_dir, to), rc;
	struct place p;
	struct stat st;

	if (disk >= 0 && lacks_links) {
		errno = EPERM;
		return -1;
	}
	if (disk >= 0 && hit(disk, CALL_ROOM, "link", to))
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
	pthread_mutex_lock(&lock);
	rc = (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
	if (rc == 0 && find_place(to_dir, to, disk, &p) && sys_stat_at(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		put((struct tape_op){
		        .kind = TAPE_LINK, .disk = p.disk, .ino = st.st_ino, .dir = p.dir, .name = p.name });
	pthread_mutex_unlock(&lock);
	return rc;
}

int link(const char *from, const char *to)
{
	return do_link(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return do_link(from_dir, from, to_dir, to, flags);
}

static int do_unlink(int dirfd, const char *path, int flags)
{
	int disk = disk_of(dirfd, path), rc;
	struct place p;

	if (disk >= 0 && hit(disk, CALL_TAKE, "unlink", path))
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(SYS_unlinkat, dirfd, path, flags);
	pthread_mutex_lock(&lock);
	rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	if (rc == 0 && find_place(dirfd, path, disk, &p))
		put((struct tape_op){ .kind = TAPE_UNLINK, .disk = p.disk, .dir = p.dir, .name = p.name });
	pthread_mutex_unlock(&lock);
	return rc;
}

int unlink(const char *path)
{
	return do_unlink(AT_FDCWD, path, 0);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	return do_unlink(dirfd, path, flags);
}

int rmdir(const char *path)
{
	return do_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	struct stat st;
	bool folder = sys_stat_at(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);

	return do_unlink(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}

static int do_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	int disk = disk_of(to_dir, to), rc;
	struct place a, b;
	bool found;

	if (disk >= 0 && hit(disk, CALL_ROOM, "rename", to))
		return -1;
	if (!recording || disk < 0)
		return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	pthread_mutex_lock(&lock);
	found = find_place(from_dir, from, disk, &a) && find_place(to_dir, to, disk, &b);
	rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	if (rc == 0 && found)
		put((struct tape_op){ .kind = TAPE_RENAME,
		                      .disk = a.disk,
		                      .dir = a.dir,
		                      .name = a.name,
		                      .dir2 = b.dir,
		                      .name2 = b.name });
	pthread_mutex_unlock(&lock);
	return rc;
}

int rename(const char *from, const char *to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return do_rename(from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return do_rename(from_dir, from, to_dir, to, flags);
}

/* Nobody waits for a disk that was told to fail. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
	if (fault)
		return 0;
	return (int)syscall(SYS_nanosleep, wanted, left);
}

/*
 * RocksDB names its threads, which glibc does through /proc/self/task/…/comm. What that leaves in the kernel's cache of names
 * is taken away while threads and process end, and on a busy machine the parent then spins in wait4() until they have: it
 * was five sixths of the processor's time of a run. Nobody reads the names.
 */
int pthread_setname_np(pthread_t thread, const char *name)
{
	(void)thread;
	(void)name;
	return 0;
}
