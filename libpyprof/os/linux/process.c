/*
 * process: a handle that stays bound to one process, whether it lives, how it
 * is named, and which program it runs.
 *
 * Two descriptors pin it: a pidfd (alive or not, signals) and /proc/PID
 * itself, through which every file of it is opened. The number alone is only
 * used where the kernel takes nothing else: see memory.c.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STATUS_SIZE = 4096 };

static pyprof_status no_process(pyprof_error *err, pid_t pid)
{
    return pp_error_set(err, PYPROF_ERR_NO_PROCESS, "there is no process %d",
                        (int)pid);
}

/* /proc must be the one of the pid namespace that this process lives in, or
 * every number in it means another process. */
static pyprof_status check_proc(pyprof_error *err)
{
    char self[24];
    ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);
    if (n < 0) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "/proc is not there: mount it");
    }
    self[n] = '\0';
    if (strtol(self, NULL, 10) != (long)getpid()) {
        return pp_error_set(err, PYPROF_ERR_OS,
                            "/proc belongs to another pid namespace: mount "
                            "the one of this namespace");
    }
    return PYPROF_OK;
}

/* Fills what /proc/PID/status tells. The handle has its descriptors. */
static pyprof_status learn_ids(pp_os_process *process, pyprof_error *err)
{
    char status[STATUS_SIZE];
    if (pp_os_read_file(process->proc_fd, "status", status, sizeof(status)) <
        0) {
        return no_process(err, process->pid);
    }
    const char *group = pp_os_status_field(status, "Tgid");
    long leader = group != NULL ? strtol(group, NULL, 10) : process->pid;
    if (leader != process->pid) {
        return pp_error_set(err, PYPROF_ERR_NO_PROCESS,
                            "%d is a thread of process %ld: give that number",
                            (int)process->pid, leader);
    }
    process->inner_pid =
        pp_os_status_inner_id(status, process->pid, &process->levels);
    if (!pp_os_process_alive(process)) {
        return pp_error_set(err, PYPROF_ERR_NO_PROCESS,
                            "process %d has ended, only its parent has not "
                            "taken note yet (a zombie)",
                            (int)process->pid);
    }
    return PYPROF_OK;
}

static pyprof_status open_proc(pp_os_process *process, pyprof_error *err)
{
    char path[32];
    PP_TRY(check_proc(err));
    snprintf(path, sizeof(path), "/proc/%d", (int)process->pid);
    process->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process->proc_fd >= 0) {
        return PYPROF_OK;
    }
    if (errno == ENOENT && process->pidfd >= 0 &&
        pp_os_process_alive(process)) {
        return pp_error_errno(err, PYPROF_ERR_NO_PERMISSION, EACCES,
                              "process %d is hidden from this user (/proc is "
                              "mounted with hidepid): run as root or as the "
                              "user that it belongs to",
                              (int)process->pid);
    }
    if (errno == ENOENT || errno == ESRCH) {
        return no_process(err, process->pid);
    }
    return pp_error_errno(err, PYPROF_ERR_OS, errno, "can't open %s", path);
}

pyprof_status pp_os_process_adopt(const pp_allocator *allocator, pid_t pid,
                                  int pidfd, bool is_child, pp_os_process **out,
                                  pyprof_error *err)
{
    pp_os_process *process = pp_calloc(allocator, 1, sizeof(*process));
    if (process == NULL) {
        if (pidfd >= 0) {
            close(pidfd);
        }
        return pp_error_memory(err, "a process handle");
    }
    process->allocator = allocator;
    process->pid = pid;
    process->vm_pid = pid;
    process->inner_pid = pid;
    process->levels = 1;
    process->pidfd = pidfd;
    process->proc_fd = -1;
    process->mem_fd = -1;
    process->is_self = pid == getpid();
    process->is_child = is_child;
    pyprof_status status = open_proc(process, err);
    if (status == PYPROF_OK) {
        status = learn_ids(process, err);
    }
    if (status != PYPROF_OK && (!is_child || status != PYPROF_ERR_NO_PROCESS)) {
        process->is_child = false;
        pp_os_process_close(process);
        return status;
    }
    *out = process;
    return PYPROF_OK;
}

pyprof_status pp_os_process_open(const pp_allocator *allocator, int64_t pid,
                                 pp_os_process **out, pyprof_error *err)
{
    if (pid <= 0 || pid > INT_MAX) {
        return pp_error_set(err, PYPROF_ERR_NO_PROCESS,
                            "there is no process %lld", (long long)pid);
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0u);
    if (fd < 0 && errno == ESRCH) {
        return no_process(err, (pid_t)pid);
    }
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "can't take hold of process %lld",
                              (long long)pid);
    }
    /* Else: a kernel or a filter without pidfds, or the id of a thread. */
    return pp_os_process_adopt(allocator, (pid_t)pid, fd, false, out, err);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void pp_os_process_close(pp_os_process *process)
{
    if (process == NULL) {
        return;
    }
    pp_os_threads_finish(process);
    if (process->is_child && !process->has_status) {
        pp_os_child_reap(process);
    }
    close_fd(process->mem_fd);
    close_fd(process->proc_fd);
    close_fd(process->pidfd);
    pp_free(process->allocator, process);
}

int64_t pp_os_process_pid(const pp_os_process *process)
{
    return process->pid;
}

int64_t pp_os_process_inner_pid(const pp_os_process *process)
{
    return process->inner_pid;
}

bool pp_os_process_alive(const pp_os_process *process)
{
    if (process->pidfd >= 0) {
        struct pollfd fd = {.fd = process->pidfd, .events = POLLIN};
        int rc;
        do {
            rc = poll(&fd, 1, 0);
        } while (rc < 0 && errno == EINTR);
        return rc == 0;
    }
    /* The first thread may be a zombie while others run on. */
    char state = pp_os_thread_state(process, process->pid);
    if (state == 'Z' || state == 'X') {
        return pp_os_live_thread(process) != 0;
    }
    return state != '\0';
}

/* Address of the 16 random bytes that exec puts on the new stack; 0 when it
 * can't be told. */
static uint64_t find_random_bytes(const pp_os_process *process)
{
    uint64_t vector[2 * 64];
    char path[48];
    snprintf(path, sizeof(path), "task/%d/auxv", (int)process->vm_pid);
    ssize_t got =
        pp_os_read_file(process->proc_fd, path, (char *)vector, sizeof(vector));
    for (size_t i = 0; got > 0 && i + 1 < (size_t)got / 8; i += 2) {
        if (vector[i] == AT_RANDOM) {
            return vector[i + 1];
        }
    }
    return 0;
}

static uint64_t hash_random_bytes(pp_os_process *process)
{
    pp_os_span span = {process->random_at, 16};
    uint64_t bytes[2];
    uint64_t calls = 0;
    size_t got = 0;
    if (process->random_at == 0 ||
        pp_os_process_readv(process, bytes, &span, 1, &got, &calls) !=
            PYPROF_OK ||
        got != 1) {
        return 0;
    }
    uint64_t id =
        pp_hash_u64(bytes[0] ^ pp_hash_u64(bytes[1])) ^ process->random_at;
    return id != 0 ? id : 1;
}

uint64_t pp_os_process_image_id(pp_os_process *process)
{
    /* Where they were, if they are still there: one read, no /proc. */
    uint64_t id = hash_random_bytes(process);
    if (id == 0 || id != process->image_id) {
        process->random_at = find_random_bytes(process);
        process->image_id = hash_random_bytes(process);
    }
    return process->image_id;
}

size_t pp_os_process_exe(pp_os_process *process, char *to, size_t size)
{
    if (size == 0) {
        return 0;
    }
    ssize_t n = readlinkat(process->proc_fd, "exe", to, size - 1);
    size_t length = n > 0 ? (size_t)n : 0;
    static const char gone[] = " (deleted)";
    size_t suffix = sizeof(gone) - 1;
    if (length > suffix && memcmp(to + length - suffix, gone, suffix) == 0) {
        length -= suffix;
    }
    to[length] = '\0';
    return length;
}
