/*
 * linux: what the files of this folder share. Nobody else includes it.
 */
#ifndef PP_OS_LINUX_H
#define PP_OS_LINUX_H

#include "os/os.h"

#include <stdatomic.h>
#include <sys/types.h>

/* A thread whose stop was asked for and never came (it sits in a call that
 * can't be interrupted): let go as soon as it does stop. Only the thread that
 * asked can do that. */
typedef struct pp_os_late_stop {
    pid_t tid;
    uint64_t asked_by; /* pp_os_thread_self of the one who asked; 0: free */
} pp_os_late_stop;

enum { PP_OS_LATE_STOPS = 16 };

struct pp_os_process {
    const pp_allocator *allocator;
    pid_t pid;
    pid_t inner_pid;
    int levels;  /* pid namespaces that its id has, seen from here; >= 1 */
    int pidfd;   /* -1: the kernel has none */
    int proc_fd; /* /proc/PID, opened once: never another process's */
    bool is_self;
    /* Reading. */
    pid_t vm_pid; /* a thread that still has the memory; `pid` as a rule */
    int mem_fd;   /* /proc/PID/mem, -1: not opened */
    bool use_mem; /* process_vm_readv is missing or filtered */
    /* Which program it runs. */
    uint64_t random_at; /* address of the 16 random bytes that exec leaves */
    uint64_t image_id;
    /* Stopping. */
    pp_os_late_stop late[PP_OS_LATE_STOPS];
    size_t n_late;
    /* Children of pp_os_spawn. */
    bool is_child;
    bool has_status;
    int32_t exit_status, exit_signal;
};

struct pp_os_event {
    const pp_allocator *allocator;
    _Atomic uint32_t word; /* 1: posted; a futex */
    int fd;                /* eventfd, readable when posted */
};

/* Reads a small file whole, up to `size - 1` bytes, and ends it with a NUL.
 * -1 with errno when it can't be opened or read. */
ssize_t pp_os_read_file(int dir_fd, const char *path, char *to, size_t size);
/* The text behind "NAME:\t" in the text of a status file, or NULL. */
const char *pp_os_status_field(const char *status, const char *name);
/* Last number of the NSpid line (the id in the innermost namespace) and how
 * many there are; `otherwise` and 1 when there is no such line. */
pid_t pp_os_status_inner_id(const char *status, pid_t otherwise, int *levels);
/* State letter of a thread of the process; '\0' when it is gone. */
char pp_os_thread_state(const pp_os_process *process, pid_t tid);
/* /proc/PID/mem, opened when it isn't yet; -1 with errno. */
int pp_os_mem_open(pp_os_process *process);
/* A thread of the process that still has its memory (the first thread may
 * have ended before the others), or 0. */
pid_t pp_os_live_thread(const pp_os_process *process);
/* A table of mappings from any such file; errno is the system's when it is
 * PYPROF_ERR_OS. Result and ownership as pp_os_process_maps. */
pyprof_status pp_os_maps_read(int dir_fd, const char *path,
                              const pp_allocator *allocator, pp_os_maps *out,
                              pyprof_error *err);
/* Makes a handle of an id, and of a pidfd that becomes the handle's, or -1.
 * A child may have ended already; anything else that has is an error. */
pyprof_status pp_os_process_adopt(const pp_allocator *allocator, pid_t pid,
                                  int pidfd, bool is_child, pp_os_process **out,
                                  pyprof_error *err);
/* Before the handle goes: waits a while for threads that stop late. */
void pp_os_threads_finish(pp_os_process *process);
/* Reaps a child that has ended and keeps how it ended; false when it runs. */
bool pp_os_child_reap(pp_os_process *process);

#endif /* PP_OS_LINUX_H */
