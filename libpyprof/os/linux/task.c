/*
 * task: the threads of a process, and what the system says of each.
 *
 * A kept file makes a look at a thread one system call. Its line holds the
 * thread's name, which may be anything: fields are counted from the last
 * closing parenthesis.
 */
#include "os/linux/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pp_os_task {
    const pp_allocator *allocator;
    const pp_os_process *process;
    pid_t tid;
    int stat_fd;
    int runtime_fd;   /* schedstat; -1: not opened yet */
    bool no_runtime;  /* the system does not count */
    uint64_t tick_ns; /* one tick of the coarse times */
};

/* The kernel's struct linux_dirent64. */
typedef struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
} entry;

/* Calls `visit` for each thread id; its answer false ends it. -1 with errno. */
static int each_thread(int proc_fd, bool (*visit)(void *user, pid_t tid),
                       void *user)
{
    _Alignas(8) char buffer[8192];
    int fd = openat(proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool go_on = fd >= 0;
    int rc = fd >= 0 ? 0 : -1;
    while (go_on) {
        long n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
        if (n < 0) {
            rc = -1;
        }
        if (n <= 0) {
            break;
        }
        for (long at = 0; at < n && go_on;) {
            const entry *e = (const entry *)(const void *)(buffer + at);
            if (e->name[0] >= '1' && e->name[0] <= '9') {
                go_on = visit(user, (pid_t)strtol(e->name, NULL, 10));
            }
            at += e->size;
        }
    }
    if (fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return rc;
}

typedef struct live_search {
    const pp_os_process *process;
    pid_t found;
} live_search;

static bool visit_live(void *user, pid_t tid)
{
    live_search *search = user;
    char state = pp_os_thread_state(search->process, tid);
    if (state != '\0' && state != 'Z' && state != 'X') {
        search->found = tid;
        return false;
    }
    return true;
}

pid_t pp_os_live_thread(const pp_os_process *process)
{
    live_search search = {process, 0};
    each_thread(process->proc_fd, visit_live, &search);
    return search.found;
}

typedef struct thread_visit {
    const pp_os_process *process;
    bool (*visit)(void *user, uint64_t os_id, uint64_t native_id);
    void *user;
} thread_visit;

static bool visit_thread(void *user, pid_t tid)
{
    const thread_visit *v = user;
    pid_t inner = tid;
    if (v->process->levels > 1) {
        char path[48];
        char status[4096];
        int levels;
        snprintf(path, sizeof(path), "task/%d/status", (int)tid);
        if (pp_os_read_file(v->process->proc_fd, path, status, sizeof(status)) <
            0) {
            return true; /* it ended meanwhile */
        }
        inner = pp_os_status_inner_id(status, tid, &levels);
    }
    return v->visit(v->user, (uint64_t)tid, (uint64_t)inner);
}

pyprof_status pp_os_process_threads(pp_os_process *process,
                                    bool (*visit)(void *user, uint64_t os_id,
                                                  uint64_t native_id),
                                    void *user, pyprof_error *err)
{
    thread_visit v = {process, visit, user};
    if (each_thread(process->proc_fd, visit_thread, &v) == 0) {
        return PYPROF_OK;
    }
    if (errno == ENOENT || errno == ESRCH) {
        return pp_error_set(err, PYPROF_ERR_GONE, "process %d has ended",
                            (int)process->pid);
    }
    return pp_error_errno(err, PYPROF_ERR_OS, errno,
                          "can't list the threads of process %d",
                          (int)process->pid);
}

static int open_task_file(int proc_fd, pid_t tid, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "task/%d/%s", (int)tid, name);
    return openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
}

pp_os_task *pp_os_task_open(const pp_allocator *allocator,
                            const pp_os_process *process, uint64_t os_id)
{
    pp_os_task *task = pp_calloc(allocator, 1, sizeof(*task));
    long ticks = sysconf(_SC_CLK_TCK);
    if (task == NULL) {
        return NULL;
    }
    task->allocator = allocator;
    task->process = process;
    task->tid = (pid_t)os_id;
    task->tick_ns = UINT64_C(1000000000) / (ticks > 0 ? (uint64_t)ticks : 100);
    task->stat_fd = open_task_file(process->proc_fd, task->tid, "stat");
    task->runtime_fd = -1;
    if (task->stat_fd < 0) {
        pp_os_task_close(task);
        return NULL;
    }
    return task;
}

/* Skips `n` fields; NULL when there are not so many. */
static const char *skip_fields(const char *at, int n)
{
    while (at != NULL && n-- > 0) {
        at = strchr(at, ' ');
        if (at != NULL) {
            at++;
        }
    }
    return at;
}

bool pp_os_task_read(pp_os_task *task, pp_os_task_state *out)
{
    char text[1024];
    ssize_t n = pread(task->stat_fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return false;
    }
    at += 2; /* field 3, the state */
    memset(out, 0, sizeof(*out));
    out->state = strchr("RSDTtZXI", *at) != NULL ? *at : '?';
    out->cpu = -1;
    at = skip_fields(at, 11); /* field 14, utime */
    if (at != NULL) {
        char *end;
        out->user_ns = strtoull(at, &end, 10) * task->tick_ns;
        out->system_ns = strtoull(end, &end, 10) * task->tick_ns;
    }
    at = skip_fields(at, 25); /* field 39, processor */
    if (at != NULL && *at >= '0' && *at <= '9') {
        out->cpu = (int32_t)strtol(at, NULL, 10);
    }
    return true;
}

bool pp_os_task_runtime(pp_os_task *task, uint64_t *out_ns)
{
    char text[128];
    if (task->runtime_fd < 0 && !task->no_runtime) {
        task->runtime_fd =
            open_task_file(task->process->proc_fd, task->tid, "schedstat");
        task->no_runtime = task->runtime_fd < 0;
    }
    if (task->no_runtime) {
        return false;
    }
    ssize_t n = pread(task->runtime_fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    *out_ns = strtoull(text, NULL, 10);
    return true;
}

size_t pp_os_task_name(const pp_os_process *process, uint64_t os_id, char *to,
                       size_t size)
{
    char path[48];
    if (size == 0) {
        return 0;
    }
    snprintf(path, sizeof(path), "task/%d/comm", (int)os_id);
    ssize_t n = pp_os_read_file(process->proc_fd, path, to, size);
    if (n > 0 && to[n - 1] == '\n') {
        n--;
    }
    if (n < 0) {
        n = 0;
    }
    to[n] = '\0';
    return (size_t)n;
}

void pp_os_task_close(pp_os_task *task)
{
    if (task == NULL) {
        return;
    }
    if (task->stat_fd >= 0) {
        close(task->stat_fd);
    }
    if (task->runtime_fd >= 0) {
        close(task->runtime_fd);
    }
    pp_free(task->allocator, task);
}
