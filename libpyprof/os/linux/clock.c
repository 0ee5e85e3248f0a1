/*
 * clock: monotonic time, sleeping to a deadline, and the event that ends a
 * sleep early.
 *
 * An event is a word and an eventfd. The word makes a sleep that may be woken
 * one system call (a futex with an absolute deadline); the descriptor is for
 * waits that watch something else too. The word decides; the descriptor only
 * wakes. A wait that finds the descriptor readable while the word is 0 drains
 * it and goes on.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

uint64_t pp_os_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t pp_os_unix_now(void)
{
    return (int64_t)read_clock(CLOCK_REALTIME);
}

uint64_t pp_os_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t pp_os_self_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static struct timespec to_timespec(uint64_t ns)
{
    struct timespec t;
    t.tv_sec = (time_t)(ns / SECOND);
    t.tv_nsec = (long)(ns % SECOND);
    return t;
}

bool pp_os_sleep_until(uint64_t deadline_ns, pp_os_event *wake)
{
    struct timespec until = to_timespec(deadline_ns);
    if (wake == NULL) {
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
               EINTR) {
        }
        return false;
    }
    while (!pp_os_event_posted(wake)) {
        long rc = syscall(SYS_futex, &wake->word,
                          FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0u, &until,
                          NULL, FUTEX_BITSET_MATCH_ANY);
        if (rc != 0 && errno != EINTR && errno != EAGAIN) {
            return pp_os_event_posted(wake);
        }
    }
    return true;
}

pp_os_event *pp_os_event_new(const pp_allocator *allocator)
{
    pp_os_event *event = pp_calloc(allocator, 1, sizeof(*event));
    if (event == NULL) {
        return NULL;
    }
    event->allocator = allocator;
    atomic_init(&event->word, 0);
    event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event->fd < 0) {
        pp_free(allocator, event);
        return NULL;
    }
    return event;
}

/* The counter can't overflow into a failure that matters: EAGAIN means that
 * it is readable already. */
static void ring(pp_os_event *event)
{
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(event->fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
}

static void drain(pp_os_event *event)
{
    uint64_t count;
    ssize_t got;
    do {
        got = read(event->fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
}

void pp_os_event_post(pp_os_event *event)
{
    int saved = errno;
    if (atomic_exchange(&event->word, 1) == 0) {
        syscall(SYS_futex, &event->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
                0x7fffffff, NULL, NULL, 0);
        ring(event);
    }
    errno = saved;
}

bool pp_os_event_posted(const pp_os_event *event)
{
    return atomic_load_explicit(&event->word, memory_order_acquire) != 0;
}

void pp_os_event_clear(pp_os_event *event)
{
    drain(event);
    atomic_store(&event->word, 0);
}

void pp_os_event_free(pp_os_event *event)
{
    if (event != NULL) {
        close(event->fd);
        pp_free(event->allocator, event);
    }
}

/* One wait on up to two descriptors. False when the deadline has passed. */
static bool wait_once(struct pollfd *fds, nfds_t n, uint64_t deadline_ns)
{
    struct timespec left = {0, 0};
    struct timespec *timeout = NULL;
    if (deadline_ns != UINT64_MAX) {
        uint64_t now = pp_os_now();
        if (now < deadline_ns) {
            left = to_timespec(deadline_ns - now);
        }
        timeout = &left;
    }
    int rc = ppoll(fds, n, timeout, NULL);
    return rc != 0 || timeout == NULL || pp_os_now() < deadline_ns;
}

bool pp_os_process_wait(const pp_os_process *process, uint64_t deadline_ns,
                        pp_os_event *wake)
{
    struct pollfd fds[2] = {{.fd = -1}, {.fd = -1}};
    uint64_t until = deadline_ns;
    bool in_time = true;
    fds[0].fd = process->pidfd; /* -1 is skipped by poll */
    fds[0].events = POLLIN;
    fds[1].fd = wake != NULL ? wake->fd : -1;
    fds[1].events = POLLIN;
    while (pp_os_process_alive(process)) {
        if (!in_time || (wake != NULL && pp_os_event_posted(wake))) {
            return false;
        }
        if (process->pidfd < 0) {
            /* No descriptor tells: look now and then. */
            uint64_t soon = pp_os_now() + SECOND / 100;
            until = soon < deadline_ns ? soon : deadline_ns;
        }
        in_time = wait_once(fds, 2, until) || until != deadline_ns;
        if (wake != NULL && (fds[1].revents & POLLIN) != 0 &&
            !pp_os_event_posted(wake)) {
            drain(wake);
            if (pp_os_event_posted(wake)) {
                ring(wake);
            }
        }
    }
    return true;
}
