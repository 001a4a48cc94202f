/* Preloaded into the program: calls that fail at random on files below NEMESIS_ROOT, and a wall clock that jumps.
 *
 * NEMESIS_CALLS  which calls, a letter each: w write fails, s write is short, i interrupted, r read, o open, y fsync, n rename, m mkdir, t ftruncate, u unlink
 * NEMESIS_EVERY  one in so many of them
 * NEMESIS_SEED   of the random numbers
 * NEMESIS_FLOCK  the number of the error that every flock answers
 * NEMESIS_CLOCK  the longest jump of CLOCK_REALTIME in seconds
 *
 * Calls that a library makes without libc pass by. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *root, *calls = "";
static uint64_t seed, every = 1, jump;
static int flock_error;
static _Atomic uint64_t draws;

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
    seed = number("NEMESIS_SEED");
    every = number("NEMESIS_EVERY") ? number("NEMESIS_EVERY") : 1;
    jump = number("NEMESIS_CLOCK");
    flock_error = (int)number("NEMESIS_FLOCK");
    if (getenv("NEMESIS_CALLS")) calls = getenv("NEMESIS_CALLS");
    root = getenv("NEMESIS_ROOT");
}

/* SplitMix64. */
static uint64_t draw(void) {
    uint64_t z = seed + (atomic_fetch_add(&draws, 1) + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int below_root(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static int path_hit(char call, const char *path) {
    char here[PATH_MAX];
    if (!root || !strchr(calls, call)) return 0;
    if (path[0] == '/' ? !below_root(path) : !getcwd(here, sizeof here) || !below_root(here)) return 0;
    return draw() % every == 0;
}

static int file_hit(char call, int file) {
    char link[64], path[PATH_MAX];
    if (!root || !strchr(calls, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below_root(path) && draw() % every == 0;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int one_of(int a, int b) { return draw() % 2 ? a : b; }

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *bytes, size_t count) {
    NEXT(write);
    if (file_hit('w', file)) return fail(one_of(EIO, ENOSPC));
    if (file_hit('i', file)) return fail(EINTR);
    if (count > 1 && file_hit('s', file)) count = 1 + draw() % (count - 1);
    return next(file, bytes, count);
}

ssize_t read(int file, void *bytes, size_t count) {
    NEXT(read);
    if (file_hit('r', file)) return fail(EIO);
    if (file_hit('i', file)) return fail(EINTR);
    return next(file, bytes, count);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (path_hit('o', path)) return fail(flags & O_CREAT ? one_of(ENOSPC, EMFILE) : one_of(EIO, EMFILE)); \
        if (path_hit('i', path)) return fail(EINTR); \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define SYNC(name) \
    int name(int file) { \
        NEXT(name); \
        if (file_hit('y', file)) return fail(one_of(EIO, ENOSPC)); \
        if (file_hit('i', file)) return fail(EINTR); \
        return next(file); \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    NEXT(rename);
    return path_hit('n', to) ? fail(one_of(EIO, ENOSPC)) : next(from, to);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    return path_hit('m', path) ? fail(one_of(EIO, ENOSPC)) : next(path, mode);
}

int unlink(const char *path) {
    NEXT(unlink);
    return path_hit('u', path) ? fail(EIO) : next(path);
}

#define TRUNCATE(name, offset) \
    int name(int file, offset length) { \
        NEXT(name); \
        if (file_hit('t', file)) return fail(EIO); \
        if (file_hit('i', file)) return fail(EINTR); \
        return next(file, length); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int flock(int file, int operation) {
    int (*next)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return flock_error ? fail(flock_error) : next(file, operation);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static _Atomic int64_t offset;
    NEXT(clock_gettime);
    int result = next(clock, now);
    if (jump && clock == CLOCK_REALTIME && result == 0) {
        if (draw() % 4 == 0) atomic_store(&offset, (int64_t)(draw() % (2 * jump + 1)) - (int64_t)jump);
        now->tv_sec += atomic_load(&offset);
    }
    return result;
}
