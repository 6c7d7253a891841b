// Loaded before libc by machine_faults_test.py: this process's wall clock is off by the seconds
// that the file ROULETTE_CLOCK holds (8 bytes, this machine's order), changed while it runs.
//
// Invariant: CLOCK_REALTIME alone is moved; every other clock is the machine's. No part of the
// product: tests only.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("ROULETTE_CLOCK");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) _exit(70);
  void *mapped = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) _exit(70);
  close(fd);
  offset_s = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  int code = (int)syscall(SYS_clock_gettime, clock, out);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && offset_s != NULL)
    out->tv_sec += *offset_s;
  return code;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
