/*
 * memory: many pieces of another process's memory by one system call.
 *
 * In: spans. Out: their bytes, one after the other, up to the first that
 * can't be read whole. The ordinary path is the bare process_vm_readv: spans
 * are handed to the kernel as they are (pp_os_span is laid out like struct
 * iovec), and nothing is allocated or copied.
 *
 * process_vm_readv takes a number, not a descriptor. A number is used again
 * only after the process was reaped, and then the addresses belong to
 * another address space: reads fault, and each fault asks the pidfd.
 */
#include "os/linux/linux.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_SPANS = 1024 }; /* the kernel's UIO_MAXIOV */

static_assert(sizeof(pp_os_span) == sizeof(struct iovec) &&
                  offsetof(pp_os_span, address) ==
                      offsetof(struct iovec, iov_base) &&
                  offsetof(pp_os_span, size) == offsetof(struct iovec, iov_len),
              "spans are handed to the kernel as they are");

static int open_mem_of(const pp_os_process *process, pid_t tid)
{
    char path[48];
    snprintf(path, sizeof(path), "task/%d/mem", (int)tid);
    return openat(process->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

int pp_os_mem_open(pp_os_process *process)
{
    if (process->mem_fd < 0) {
        process->mem_fd = open_mem_of(process, process->vm_pid);
    }
    if (process->mem_fd < 0 && (errno == ESRCH || errno == ENOENT)) {
        pid_t other = pp_os_live_thread(process);
        if (other != 0) {
            process->vm_pid = other;
            process->mem_fd = open_mem_of(process, other);
        }
    }
    return process->mem_fd;
}

/* One span from /proc/PID/mem. 1: whole, 0: not, -1: the file has lost its
 * memory (the process has ended, or runs another program). */
static int read_mem_span(int fd, uint8_t *to, const pp_os_span *span)
{
    uint64_t done = 0;
    if (span->address > INT64_MAX - span->size) {
        return 0;
    }
    while (done < span->size) {
        ssize_t n = pread(fd, to + done, (size_t)(span->size - done),
                          (off_t)(span->address + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 && done == 0 ? -1 : 0;
        }
        done += (uint64_t)n;
    }
    return 1;
}

static pyprof_status read_mem(pp_os_process *process, uint8_t *to,
                              const pp_os_span *spans, size_t n,
                              size_t *out_spans, uint64_t *io_calls)
{
    int reopened = 0;
    for (size_t i = 0; i < n;) {
        int fd = pp_os_mem_open(process);
        if (fd < 0) {
            return pp_os_process_alive(process) ? PYPROF_ERR_NO_PERMISSION
                                                : PYPROF_ERR_GONE;
        }
        (*io_calls)++;
        int whole = read_mem_span(fd, to, &spans[i]);
        if (whole < 0 && reopened++ == 0 && pp_os_process_alive(process)) {
            close(process->mem_fd);
            process->mem_fd = -1;
            continue;
        }
        if (whole <= 0) {
            break;
        }
        to += spans[i++].size;
        *out_spans = i;
    }
    if (*out_spans < n && !pp_os_process_alive(process)) {
        return PYPROF_ERR_GONE;
    }
    return PYPROF_OK;
}

/* What to do after process_vm_readv failed with an errno. True: try again. */
static bool recover(pp_os_process *process, int error, pyprof_status *out)
{
    if (error == EFAULT) {
        *out = pp_os_process_alive(process) ? PYPROF_OK : PYPROF_ERR_GONE;
        return false;
    }
    if (!pp_os_process_alive(process)) {
        *out = PYPROF_ERR_GONE;
        return false;
    }
    if (error == ESRCH) {
        /* Its first thread has ended, others run on: ask one of those. */
        pid_t other = pp_os_live_thread(process);
        *out = PYPROF_ERR_GONE;
        if (other == 0 || other == process->vm_pid) {
            return false;
        }
        process->vm_pid = other;
        return true;
    }
    if (error == EPERM || error == EACCES || error == ENOSYS) {
        /* The call may be missing or filtered where the file is not. */
        *out = PYPROF_ERR_NO_PERMISSION;
        process->use_mem = pp_os_mem_open(process) >= 0;
        return process->use_mem;
    }
    *out = error == EINVAL ? PYPROF_ERR_INVALID : PYPROF_ERR_OS;
    return false;
}

/* Up to MAX_SPANS spans of `total` bytes. */
static pyprof_status read_batch(pp_os_process *process, uint8_t *to,
                                const pp_os_span *spans, size_t n, size_t total,
                                size_t *out_spans, uint64_t *io_calls)
{
    struct iovec local = {to, total};
    pyprof_status status = PYPROF_OK;
    ssize_t got;
    for (;;) {
        if (PP_UNLIKELY(process->use_mem)) {
            return read_mem(process, to, spans, n, out_spans, io_calls);
        }
        (*io_calls)++;
        got = process_vm_readv(process->vm_pid, &local, 1,
                               (const struct iovec *)(const void *)spans, n, 0);
        if (PP_LIKELY(got == (ssize_t)total)) {
            *out_spans = n;
            return PYPROF_OK;
        }
        if (got >= 0) {
            break;
        }
        if (!recover(process, errno, &status)) {
            return status;
        }
    }
    size_t done = 0;
    size_t left = (size_t)got;
    while (done < n && spans[done].size <= left) {
        left -= (size_t)spans[done++].size;
    }
    *out_spans = done;
    return pp_os_process_alive(process) ? PYPROF_OK : PYPROF_ERR_GONE;
}

pyprof_status pp_os_process_readv(pp_os_process *process, void *to,
                                  const pp_os_span *spans, size_t n,
                                  size_t *out_spans, uint64_t *io_calls)
{
    uint8_t *at = to;
    *out_spans = 0;
    while (n > 0) {
        size_t batch = n < MAX_SPANS ? n : MAX_SPANS;
        size_t total = 0;
        size_t got = 0;
        for (size_t i = 0; i < batch; i++) {
            total += (size_t)spans[i].size;
        }
        pyprof_status status = PYPROF_OK;
        if (total > 0) {
            status =
                read_batch(process, at, spans, batch, total, &got, io_calls);
        } else {
            got = batch;
        }
        *out_spans += got;
        if (status != PYPROF_OK || got < batch) {
            return status;
        }
        at += total;
        spans += batch;
        n -= batch;
    }
    return PYPROF_OK;
}
