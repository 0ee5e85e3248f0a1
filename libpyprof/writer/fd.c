/*
 * fd: a writer to a file descriptor that stays the caller's, and the loop that
 * gets bytes into any descriptor.
 *
 * A pipe whose reader has gone raises SIGPIPE, which ends a program that did
 * not ask for it. The library has no signal handlers, so the signal is held
 * back on this thread while it writes and taken from the queue if it came; one
 * that was waiting before stays.
 */
#include "writer/sink.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* Largest piece for one write(2); POSIX leaves more than SSIZE_MAX open. */
#define PIECE_MAX ((size_t)1 << 30)

typedef struct pipe_guard {
    sigset_t old_mask;
    bool is_held; /* SIGPIPE is held back and was not waiting before */
} pipe_guard;

static bool is_pipe_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void guard_begin(pipe_guard *guard)
{
    sigset_t only_pipe;
    sigemptyset(&only_pipe);
    sigaddset(&only_pipe, SIGPIPE);
    guard->is_held =
        !is_pipe_pending() &&
        pthread_sigmask(SIG_BLOCK, &only_pipe, &guard->old_mask) == 0;
}

static void guard_end(const pipe_guard *guard, int error)
{
    if (!guard->is_held) {
        return;
    }
    if (error == EPIPE && is_pipe_pending()) {
        sigset_t only_pipe;
        int taken;
        sigemptyset(&only_pipe);
        sigaddset(&only_pipe, SIGPIPE);
        sigwait(&only_pipe, &taken);
    }
    pthread_sigmask(SIG_SETMASK, &guard->old_mask, NULL);
}

/* Waits until a full descriptor takes bytes again. Returns 0 or an errno. */
static int wait_writable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    while (poll(&wanted, 1, -1) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    /* an error or a hang-up shows in the next write */
    return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size < PIECE_MAX ? size : PIECE_MAX);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        int error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK) {
            error = wait_writable(fd);
        } else if (error == EINTR) {
            error = 0;
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int pp_writer_fd_write(int fd, const void *data, size_t size)
{
    pipe_guard guard;
    guard_begin(&guard);
    int error = write_all(fd, data, size);
    guard_end(&guard, error);
    return error;
}

static pyprof_status fd_write(pyprof_writer *w, const void *data, size_t size,
                              pyprof_error *err)
{
    int error = pp_writer_fd_write(w->as.fd.fd, data, size);
    if (error != 0) {
        return pp_error_errno(err, PYPROF_ERR_IO, error,
                              "cannot write to file descriptor %d",
                              w->as.fd.fd);
    }
    return PYPROF_OK;
}

static const pp_sink fd_sink = {
    .buffer = PP_WRITER_BUFFER,
    .write = fd_write,
};

pyprof_status pp_writer_open_fd(int fd, const pp_allocator *a,
                                pyprof_writer **out, pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&fd_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.fd.fd = fd;
    *out = w;
    return PYPROF_OK;
}
