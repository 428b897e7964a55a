/* Records, in order, a process's operations on the files of one folder, and its HTTP answers.
 *
 * The library is loaded before the C library (LD_PRELOAD). It writes a journal of every write,
 * truncation, flush and name change, the beginning of every HTTP answer, and all output. The call
 * and its record are made under one lock, so any prefix of the journal is the state at some
 * instant. A flush has two records, its beginning and its end, because writes continue meanwhile.
 *
 * A flush does not reach the disk. It takes a random time instead, so that a run neither depends on
 * this machine's disk nor wears it. The journal determines the data that a disk would have kept.
 *
 * UNSYNCED_FOLDER   the folder, as an absolute path without symbolic links
 * UNSYNCED_JOURNAL  the file to write
 * UNSYNCED_SEED     the seed of all random numbers
 * UNSYNCED_MICROS   the longest duration of a flush
 * UNSYNCED_EIO      failing flushes in thousandths; UNSYNCED_ENOSPC is the same for writes. Both
 *                   begin after the first answer, and fail for a few calls in a row.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "only for 64-bit Linux"
#endif

/* The kinds of records; journal.rs has the same. */
enum {
    EXISTING = 1, CREATED = 2, WRITE = 3, TRUNCATE = 4, FLUSH = 5, FLUSHED = 6, LINK = 7,
    UNLINK = 8, RENAME = 9, FOLDER = 10, ANSWER = 11, OUTPUT = 12, UNSUPPORTED = 13, REPORT = 14
};

/* One record, followed by `bytes` of content. */
struct record {
    uint32_t kind;
    uint32_t file;
    uint64_t offset;
    uint64_t length;
    uint64_t bytes;
};

/* The meaning of a descriptor: nothing, an output, or the number of a file. */
enum {
    MAX_FD = 65536, MAX_FILES = 4096,
    NOTHING = 0, STANDARD_OUTPUT = 1, STANDARD_ERROR = 2, FIRST_FILE = 3
};

struct file {
    dev_t device;
    ino_t inode;
    int is_shared_memory;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char folder[PATH_MAX];
static uint64_t records;
static uint32_t descriptors[MAX_FD];
static struct file files[MAX_FILES];
static uint32_t file_count = FIRST_FILE;
static uint64_t chance;
static uint64_t longest_flush, eio, enospc;
static uint64_t failing_flushes, failing_writes;
static int has_answered;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("UNSYNCED_JOURNAL"), *watched = getenv("UNSYNCED_FOLDER");
    if (!path || !watched || strlen(watched) >= sizeof folder) return;
    strcpy(folder, watched);
    chance = (uint64_t)number("UNSYNCED_SEED");
    longest_flush = (uint64_t)number("UNSYNCED_MICROS");
    eio = (uint64_t)number("UNSYNCED_EIO");
    enospc = (uint64_t)number("UNSYNCED_ENOSPC");
    descriptors[1] = STANDARD_OUTPUT;
    descriptors[2] = STANDARD_ERROR;
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static uint64_t random_below(uint64_t most) {
    chance += 0x9e3779b97f4a7c15u;
    uint64_t mixed = chance;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % (most ? most : 1);
}

/* Writes one record. Aborts if the journal cannot be written, because the run would prove nothing. */
static void note(uint32_t kind, uint32_t file, uint64_t offset, uint64_t length,
                 const struct iovec *parts, int count, size_t bytes) {
    struct record record = {kind, file, offset, length, bytes};
    records++;
    size_t left = bytes;
    if (syscall(SYS_write, journal, &record, sizeof record) != sizeof record) abort();
    for (int i = 0; i < count && left > 0; i++) {
        const char *at = parts[i].iov_base;
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        left -= part;
        while (part > 0) {
            long written = syscall(SYS_write, journal, at, part);
            if (written <= 0) abort();
            at += written;
            part -= (size_t)written;
        }
    }
}

static void note_text(uint32_t kind, uint32_t file, const char *text, size_t bytes) {
    struct iovec part = {(void *)text, bytes};
    note(kind, file, 0, 0, &part, 1, bytes);
}

static void note_number(uint32_t kind, uint32_t file, uint64_t offset, uint64_t length) {
    note(kind, file, offset, length, NULL, 0, 0);
}

/* The absolute path, without symbolic links in its folder. False if it is not below the watched
 * folder. */
static int resolve(int at, const char *path, char *resolved) {
    char whole[PATH_MAX * 2], parent[PATH_MAX], base[PATH_MAX] = "";
    if (journal < 0) return 0;
    if (path[0] != '/') {
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
    }
    int length = snprintf(whole, sizeof whole, "%s%s%s", base, base[0] ? "/" : "", path);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    char *name = strrchr(whole, '/');
    if (!name) return 0;
    *name++ = 0;
    if (!strcmp(name, ".") || !strcmp(name, "..")) {
        name[-1] = '/';
        if (!realpath(whole, resolved)) return 0;
    } else {
        if (!realpath(whole[0] ? whole : "/", parent)) return 0;
        const char *between = strcmp(parent, "/") ? "/" : "";
        if (snprintf(resolved, PATH_MAX, "%s%s%s", parent, between, name) >= PATH_MAX) return 0;
    }
    size_t watched = strlen(folder);
    return !strncmp(resolved, folder, watched)
        && (resolved[watched] == '/' || resolved[watched] == 0);
}

static int ends_in(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* The number of an open file. A new file is recorded with its path. */
static uint32_t file_of(int fd, const char *path, int is_new) {
    struct stat found;
    if (fstat(fd, &found)) return NOTHING;
    uint32_t known = FIRST_FILE;
    for (; known < file_count; known++)
        if (files[known].device == found.st_dev && files[known].inode == found.st_ino) break;
    if (known < file_count && !is_new) return known;
    if (known < file_count) files[known].inode = 0; /* removed, and its inode number reused */
    if (file_count == MAX_FILES) abort();
    files[file_count] = (struct file){found.st_dev, found.st_ino, ends_in(path, "-shm")};
    note_text(is_new ? CREATED : EXISTING, file_count, path, strlen(path));
    return file_count++;
}

static void set_descriptor(int fd, uint32_t file) {
    if (fd >= 0 && fd < MAX_FD) descriptors[fd] = file;
}

static uint32_t descriptor(int fd) {
    return fd >= 0 && fd < MAX_FD ? descriptors[fd] : NOTHING;
}

static int open_file(int at, const char *path, int flags, mode_t mode) {
    char resolved[PATH_MAX];
    pthread_mutex_lock(&lock);
    int is_watched = resolve(at, path, resolved);
    struct stat before;
    int is_new = is_watched && (flags & O_CREAT) && lstat(resolved, &before);
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int error = errno;
    if (fd >= 0) {
        uint32_t file = is_watched ? file_of(fd, resolved, is_new) : NOTHING;
        set_descriptor(fd, file);
        if (file != NOTHING && !is_new && (flags & O_TRUNC)) note_number(TRUNCATE, file, 0, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(at, path, flags | O_LARGEFILE, mode);
}

int creat(const char *path, mode_t mode) {
    return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    set_descriptor(fd, NOTHING);
    int result = (int)syscall(SYS_close, fd);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int copied(int from, int to) {
    pthread_mutex_lock(&lock);
    if (to >= 0) set_descriptor(to, descriptor(from));
    pthread_mutex_unlock(&lock);
    return to;
}

int dup(int fd) { return copied(fd, (int)syscall(SYS_dup, fd)); }

int dup2(int fd, int to) {
    if (fd == to) return (int)syscall(SYS_fcntl, fd, F_GETFD) < 0 ? -1 : to;
    return copied(fd, (int)syscall(SYS_dup3, fd, to, 0));
}

int dup3(int fd, int to, int flags) { return copied(fd, (int)syscall(SYS_dup3, fd, to, flags)); }

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, result) : result;
}

int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl(fd, command, argument);
}

/* The status of an HTTP answer; 0 if the bytes are not one. */
static uint64_t status_of(const struct iovec *parts, int count) {
    if (count < 1 || parts[0].iov_len < 12 || memcmp(parts[0].iov_base, "HTTP/1.1 ", 9)) return 0;
    const char *digits = (const char *)parts[0].iov_base + 9;
    return (uint64_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
}

/* Records an answer with the client's port. */
static void note_answer(int fd, uint64_t status) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) || peer.sin_family != AF_INET) return;
    has_answered |= status == 200;
    note_number(ANSWER, 0, ntohs(peer.sin_port), status);
}

/* The number of bytes that a write may write. A full disk accepts a part of them, or none. */
static long room(uint32_t file, size_t bytes) {
    if (!enospc || !has_answered || files[file].is_shared_memory) return (long)bytes;
    if (!failing_writes && random_below(1000) < enospc) failing_writes = 1 + random_below(20);
    if (!failing_writes) return (long)bytes;
    failing_writes--;
    return bytes > 1 && random_below(3) == 0 ? (long)random_below(bytes) : 0;
}

enum { AT_POSITION = -1 };

/* Makes one write and records it. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
    pthread_mutex_lock(&lock);
    uint32_t file = journal < 0 ? NOTHING : descriptor(fd);
    uint64_t status = journal < 0 || file != NOTHING ? 0 : status_of(parts, count);
    off_t at = offset;
    ssize_t written;
    int error;
    if (file >= FIRST_FILE) {
        if (offset == AT_POSITION) {
            int is_appending = (int)syscall(SYS_fcntl, fd, F_GETFL, 0) & O_APPEND;
            at = syscall(SYS_lseek, fd, 0, is_appending ? SEEK_END : SEEK_CUR);
        }
        size_t bytes = 0;
        for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
        long allowed = room(file, bytes);
        if (allowed == (long)bytes) {
            written = offset == AT_POSITION ? syscall(SYS_writev, fd, parts, count)
                                            : syscall(SYS_pwritev, fd, parts, count, offset, 0);
        } else if (allowed > 0 && count == 1) {
            written = offset == AT_POSITION
                ? syscall(SYS_write, fd, parts[0].iov_base, allowed)
                : syscall(SYS_pwrite64, fd, parts[0].iov_base, allowed, offset);
        } else {
            written = -1;
            errno = ENOSPC;
        }
        error = errno;
        if (written > 0) {
            note(WRITE, file, (uint64_t)at, (uint64_t)written, parts, count, (size_t)written);
        }
    } else {
        written = offset == AT_POSITION ? syscall(SYS_writev, fd, parts, count)
                                        : syscall(SYS_pwritev, fd, parts, count, offset, 0);
        error = errno;
        if (written > 0 && status) note_answer(fd, status);
        if (written > 0 && file != NOTHING)
            note(file == STANDARD_OUTPUT ? OUTPUT : REPORT, 0, 0, 0, parts, count,
                 (size_t)written);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct iovec part = {(void *)bytes, length};
    return write_parts(fd, &part, 1, AT_POSITION);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    struct iovec part = {(void *)bytes, length};
    return write_parts(fd, &part, 1, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return pwrite(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_parts(fd, parts, count, AT_POSITION);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return write_parts(fd, parts, count, offset);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    struct iovec part = {(void *)bytes, length};
    pthread_mutex_lock(&lock);
    uint64_t status = journal < 0 ? 0 : status_of(&part, 1);
    ssize_t sent = syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
    int error = errno;
    if (sent > 0 && status) note_answer(fd, status);
    pthread_mutex_unlock(&lock);
    errno = error;
    return sent;
}

static int flush(int fd, long call) {
    pthread_mutex_lock(&lock);
    uint32_t file = journal < 0 ? NOTHING : descriptor(fd);
    if (file < FIRST_FILE) {
        pthread_mutex_unlock(&lock);
        return (int)syscall(call, fd);
    }
    uint64_t began = records;
    note_number(FLUSH, file, 0, 0);
    if (eio && has_answered && !failing_flushes && random_below(1000) < eio)
        failing_flushes = 1 + random_below(3);
    int fails = failing_flushes > 0;
    failing_flushes -= (uint64_t)fails;
    struct timespec pause = {0, (long)(random_below(longest_flush + 1) * 1000)};
    pthread_mutex_unlock(&lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&lock);
    note_number(FLUSHED, file, began, fails ? EIO : 0);
    pthread_mutex_unlock(&lock);
    if (fails) errno = EIO;
    return fails ? -1 : 0;
}

int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

/* Records a call that the journal cannot represent, so that the run is refused. */
static void refuse(int fd, const char *call) {
    pthread_mutex_lock(&lock);
    if (journal >= 0 && descriptor(fd) >= FIRST_FILE && !files[descriptor(fd)].is_shared_memory)
        note_text(UNSUPPORTED, 0, call, strlen(call));
    pthread_mutex_unlock(&lock);
}

int ftruncate(int fd, off_t length) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    int error = errno;
    uint32_t file = journal < 0 ? NOTHING : descriptor(fd);
    if (!result && file >= FIRST_FILE) note_number(TRUNCATE, file, 0, (uint64_t)length);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    refuse(fd, "fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return fallocate(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    refuse(fd, "posix_fallocate");
    return syscall(SYS_fallocate, fd, 0, offset, length) ? errno : 0;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    return posix_fallocate(fd, offset, length);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length,
                        unsigned flags) {
    refuse(to, "copy_file_range");
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) {
    refuse(to, "sendfile");
    return syscall(SYS_sendfile, to, from, offset, length);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    return sendfile(to, from, offset, length);
}

/* A shared mapping is written without a call. SQLite uses one for the index of its log, which need
 * not survive. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS))
        refuse(fd, "mmap");
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}

/* Makes and records a change of one or two names, unless both are outside the folder. */
static int change_names(uint32_t kind, int at, const char *from, int to_at, const char *to,
                        long result_of(int, const char *, int, const char *)) {
    char first[PATH_MAX], second[PATH_MAX] = "";
    pthread_mutex_lock(&lock);
    int is_watched = resolve(at, from, first);
    int is_other_watched = to ? resolve(to_at, to, second) : is_watched;
    long result = result_of(at, from, to_at, to);
    int error = errno;
    if (!result && is_watched && is_other_watched) {
        char both[PATH_MAX * 2 + 1];
        int length = snprintf(both, sizeof both, "%s\n%s", first, second);
        note_text(kind, 0, both, (size_t)length);
    } else if (!result && (is_watched || is_other_watched)) {
        note_text(UNSUPPORTED, 0, "a name leaves the folder", 24);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return (int)result;
}

static long do_rename(int at, const char *from, int to_at, const char *to) {
    return syscall(SYS_renameat2, at, from, to_at, to, 0);
}

static long do_link(int at, const char *from, int to_at, const char *to) {
    return syscall(SYS_linkat, at, from, to_at, to, 0);
}

static long do_unlink(int at, const char *path, int flags, const char *none) {
    (void)none;
    return syscall(SYS_unlinkat, at, path, flags);
}

static long do_mkdir(int at, const char *path, int mode, const char *none) {
    (void)none;
    return syscall(SYS_mkdirat, at, path, mode);
}

int rename(const char *from, const char *to) {
    return change_names(RENAME, AT_FDCWD, from, AT_FDCWD, to, do_rename);
}

int renameat(int at, const char *from, int to_at, const char *to) {
    return change_names(RENAME, at, from, to_at, to, do_rename);
}

int link(const char *from, const char *to) {
    return change_names(LINK, AT_FDCWD, from, AT_FDCWD, to, do_link);
}

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    (void)flags;
    return change_names(LINK, at, from, to_at, to, do_link);
}

int unlink(const char *path) { return change_names(UNLINK, AT_FDCWD, path, 0, NULL, do_unlink); }

int unlinkat(int at, const char *path, int flags) {
    return change_names(UNLINK, at, path, flags, NULL, do_unlink);
}

int rmdir(const char *path) {
    return change_names(UNLINK, AT_FDCWD, path, AT_REMOVEDIR, NULL, do_unlink);
}

int mkdir(const char *path, mode_t mode) {
    return change_names(FOLDER, AT_FDCWD, path, (int)mode, NULL, do_mkdir);
}
