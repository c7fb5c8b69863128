/* A slow disk: every sync takes SYNC_MICROS in all, or as long as the real one where that is longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static void wait_until(struct timespec time) {
    /* Unless told otherwise, the kernel wakes a thread up to 50 us late, to wake several at once. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
    }
}

static int sync_with(const char *name, int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("SYNC_MICROS");
    long micros = text ? atol(text) : 0;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += micros % 1000000 * 1000;
    end.tv_sec += micros / 1000000 + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    int result = real(file);
    int error = errno;
    wait_until(end);
    errno = error;
    return result;
}

int fsync(int file) { return sync_with("fsync", file); }
int fdatasync(int file) { return sync_with("fdatasync", file); }
