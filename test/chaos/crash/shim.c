/*
 * Preloaded into a process: counts its file operations below CRASH_PREFIX and dies by SIGKILL at operation CRASH_AT.
 *
 * CRASH_HOW=before|after|torn   where it dies; `torn`: in the middle of the first write from CRASH_AT on
 * CRASH_REPORT=file             512 bytes: int64 count of operations, then the operation at which the process died
 * CRASH_SOCKETS=1               writes to TCP sockets count as operations too
 *
 * Processes that the process starts inherit this; the first one dies with whichever meets CRASH_AT. Pages that change
 * through a memory map (mmap, msync) pass by unseen, and so does what the kernel writes for io_uring.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct report {
  long operations;
  char died[504];
};

static struct report unread, *report = &unread;
static const char *prefix = "";
static long at;
static enum { BEFORE, AFTER, TORN } how;
static int sockets;
static pid_t first;

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  if (getenv("CRASH_PREFIX")) prefix = strdup(getenv("CRASH_PREFIX"));
  if (getenv("CRASH_AT")) at = atol(getenv("CRASH_AT"));
  const char *text = getenv("CRASH_HOW");
  how = text && !strcmp(text, "after") ? AFTER : text && !strcmp(text, "torn") ? TORN : BEFORE;
  sockets = getenv("CRASH_SOCKETS") != NULL;
  char pid[16];
  snprintf(pid, sizeof pid, "%d", getpid());
  setenv("CRASH_FIRST", pid, 0);
  first = atoi(getenv("CRASH_FIRST"));
  if (!getenv("CRASH_REPORT")) return;
  int fd = open(getenv("CRASH_REPORT"), O_RDWR);
  void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) report = map;
}

/* Whether the operation on `path` is the one to die at. */
static int strikes(const char *operation, const char *path, size_t bytes) {
  static int struck;
  long n = __atomic_add_fetch(&report->operations, 1, __ATOMIC_SEQ_CST);
  if (how == TORN ? at == 0 || n < at || bytes < 2 || __atomic_exchange_n(&struck, 1, __ATOMIC_SEQ_CST) : n != at)
    return 0;
  snprintf(report->died, sizeof report->died, "%s of %zu bytes, %s", operation, bytes, path);
  return 1;
}

static int below(const char *operation, const char *path) {
  char whole[4096];
  if (!path || !*prefix) return 0;
  if (*path != '/') {
    if (!getcwd(whole, sizeof whole - 1)) return 0;
    size_t length = strlen(whole);
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    path = whole;
  }
  return !strncmp(path, prefix, strlen(prefix)) && strikes(operation, path + strlen(prefix), 0);
}

static int into(const char *operation, int fd, size_t bytes) {
  char link[32], path[4096];
  if (fd <= 2 || !*prefix) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  if (!strncmp(path, prefix, strlen(prefix))) return strikes(operation, path + strlen(prefix), bytes);
  if (!sockets || strncmp(path, "socket:", 7)) return 0;
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) || address.ss_family == AF_UNIX) return 0;
  return strikes(operation, "a socket", bytes);
}

static void die(void) {
  if (first != getpid()) kill(first, SIGKILL);
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Runs `call`; at the chosen operation it dies before it, after it, or after `part` of it. */
#define OPERATION(type, struck, call, part) \
  int dies = struck;                        \
  if (dies && how == BEFORE) die();         \
  if (dies && how == TORN) { part; die(); } \
  type result = call;                       \
  if (dies) die();                          \
  return result

#define WRITE(name, parameters, ...)                                                   \
  ssize_t name parameters {                                                            \
    REAL(name);                                                                        \
    OPERATION(ssize_t, into(#name, fd, n), real(fd, bytes, n __VA_ARGS__),             \
              if (real(fd, bytes, n / 2 __VA_ARGS__) < 0) die());                      \
  }
WRITE(write, (int fd, const void *bytes, size_t n))
WRITE(pwrite, (int fd, const void *bytes, size_t n, off_t offset), , offset)
WRITE(pwrite64, (int fd, const void *bytes, size_t n, off64_t offset), , offset)

static size_t total(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int k = 0; k < count; k++) bytes += parts[k].iov_len;
  return bytes;
}

/* The first half of the bytes of `parts`, in memory of its own: the process dies before it could matter. */
static struct iovec half(const struct iovec *parts, int count) {
  size_t bytes = total(parts, count) / 2;
  struct iovec one = {malloc(bytes + 1), 0};
  for (int k = 0; k < count && one.iov_len < bytes; k++) {
    size_t take = parts[k].iov_len < bytes - one.iov_len ? parts[k].iov_len : bytes - one.iov_len;
    memcpy((char *)one.iov_base + one.iov_len, parts[k].iov_base, take);
    one.iov_len += take;
  }
  return one;
}

#define WRITE_PARTS(name, parameters, ...)                                                            \
  ssize_t name parameters {                                                                           \
    REAL(name);                                                                                       \
    OPERATION(ssize_t, into(#name, fd, total(parts, count)), real(fd, parts, count __VA_ARGS__),      \
              struct iovec one = half(parts, count); if (real(fd, &one, 1 __VA_ARGS__) < 0) die());   \
  }
WRITE_PARTS(writev, (int fd, const struct iovec *parts, int count))
WRITE_PARTS(pwritev, (int fd, const struct iovec *parts, int count, off_t offset), , offset)
WRITE_PARTS(pwritev64, (int fd, const struct iovec *parts, int count, off64_t offset), , offset)

#define ON_FILE(name, parameters, ...) \
  int name parameters { REAL(name); OPERATION(int, into(#name, fd, 0), real(__VA_ARGS__), ); }
ON_FILE(fsync, (int fd), fd)
ON_FILE(fdatasync, (int fd), fd)
ON_FILE(ftruncate, (int fd, off_t length), fd, length)
ON_FILE(ftruncate64, (int fd, off64_t length), fd, length)
ON_FILE(fallocate, (int fd, int mode, off_t offset, off_t length), fd, mode, offset, length)

#define ON_PATH(name, path, parameters, ...) \
  int name parameters { REAL(name); OPERATION(int, below(#name, path), real(__VA_ARGS__), ); }
ON_PATH(rename, to, (const char *from, const char *to), from, to)
ON_PATH(link, to, (const char *from, const char *to), from, to)
ON_PATH(unlink, path, (const char *path), path)
ON_PATH(remove, path, (const char *path), path)
ON_PATH(rmdir, path, (const char *path), path)
ON_PATH(mkdir, path, (const char *path, mode_t mode), path, mode)
ON_PATH(creat, path, (const char *path, mode_t mode), path, mode)

/* An open counts where it makes or empties a file. */
#define OPEN(name)                                                                                  \
  int name(const char *path, int flags, ...) {                                                      \
    REAL(name);                                                                                     \
    va_list rest;                                                                                   \
    va_start(rest, flags);                                                                          \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                       \
    va_end(rest);                                                                                   \
    OPERATION(int, flags & (O_CREAT | O_TRUNC) && below(#name, path), real(path, flags, mode), );   \
  }
OPEN(open)
OPEN(open64)
