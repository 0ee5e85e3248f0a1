/*
 * os: the contract between the library and the system. os/linux implements it;
 * another system is another folder with the same functions. Nothing above this
 * line includes a system header for what is declared here.
 *
 * Every function is thread-safe unless it says otherwise. Those that take a
 * pp_os_process are one thread's at a time, except where marked.
 */
#ifndef PP_OS_H
#define PP_OS_H

#include "base/base.h"

/* ---- clock and pacing ----------------------------------------------- */

/* Monotonic nanoseconds. */
uint64_t pp_os_now(void);
/* Nanoseconds since 1970. */
int64_t pp_os_unix_now(void);
/* The processor's own counter, a few nanoseconds to read: steady, and the same
 * on all processors, only where pp_os_ticks_steady says so. Ticks of unknown
 * length: compare with pp_os_now. */
static inline uint64_t pp_os_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return pp_os_now();
#endif
}
bool pp_os_ticks_steady(void);
/* A number that the calling thread has and no other that lives; 1 where there
 * is none to be had in no time. */
static inline uintptr_t pp_os_thread_pointer(void)
{
    uintptr_t pointer = 1;
#if defined(__x86_64__)
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
    return pointer;
}
/* Sleeps until the monotonic clock reads `deadline_ns`, or until `wake` (may
 * be NULL) is posted. True when woken before the deadline. */
typedef struct pp_os_event pp_os_event;
bool pp_os_sleep_until(uint64_t deadline_ns, pp_os_event *wake);
/* An event that stays posted until it is cleared; post is async-signal-safe
 * and may come from any thread. NULL when out of memory or descriptors. */
pp_os_event *pp_os_event_new(const pp_allocator *allocator);
void pp_os_event_post(pp_os_event *event);
bool pp_os_event_posted(const pp_os_event *event); /* cheap: no system call */
void pp_os_event_clear(pp_os_event *event);
void pp_os_event_free(pp_os_event *event);

/* ---- threads of this process ---------------------------------------- */

typedef struct pp_os_thread pp_os_thread;
pyprof_status pp_os_thread_start(const pp_allocator *allocator,
                                 const char *name, void (*run)(void *user),
                                 void *user, pp_os_thread **out,
                                 pyprof_error *err);
/* Waits for its end and frees it. NULL is fine. */
void pp_os_thread_join(pp_os_thread *thread);
uint64_t pp_os_thread_self(void); /* system id of the calling thread */
int64_t pp_os_self_pid(void);

/* CPUs on which the calling thread may run, as it was found. */
typedef struct pp_os_cpus {
    uint64_t bits[16]; /* 1,024 CPUs */
} pp_os_cpus;
pyprof_status pp_os_cpus_of_self(pp_os_cpus *out, pyprof_error *err);
pyprof_status pp_os_cpus_set(const pp_os_cpus *cpus, pyprof_error *err);
/* Moves the calling thread to one CPU; it runs there when this returns.
 * PYPROF_ERR_OS when the system refuses (a cpuset). */
pyprof_status pp_os_cpu_pin(uint32_t cpu, pyprof_error *err);
uint32_t pp_os_cpu_current(void);
/* How often the calling thread left its CPU so far, by its own will or not. */
uint64_t pp_os_thread_switches(void);
/* Asks for the finest timer and the shortest scheduling latency that the
 * system gives without privilege, for the calling thread. Never fails. */
void pp_os_thread_urgent(void);
/* CPU time used by the calling thread, and by this whole process (ns). */
uint64_t pp_os_thread_cpu_ns(void);
uint64_t pp_os_self_cpu_ns(void);

/* The address of a function or object that this process has by that name,
 * NULL when there is none. */
void *pp_os_symbol(const char *name);

/* ---- another process ------------------------------------------------ */

typedef struct pp_os_process pp_os_process;

/* Pins a process: the handle stays bound to this one even when its id is used
 * again. The calling process itself is allowed.
 * PYPROF_ERR_NO_PROCESS no such process, or a zombie. */
pyprof_status pp_os_process_open(const pp_allocator *allocator, int64_t pid,
                                 pp_os_process **out, pyprof_error *err);
void pp_os_process_close(pp_os_process *process);
int64_t pp_os_process_pid(const pp_os_process *process);
/* Its id in its own pid namespace (the innermost one). */
int64_t pp_os_process_inner_pid(const pp_os_process *process);
/* Cheap and sure (by the pinned handle). Any thread. */
bool pp_os_process_alive(const pp_os_process *process);
/* Waits until it ends, `deadline_ns` passes (UINT64_MAX: for ever) or `wake`
 * is posted. True when it has ended. Any thread. */
bool pp_os_process_wait(const pp_os_process *process, uint64_t deadline_ns,
                        pp_os_event *wake);
/* Changes whenever the process executes a program, be it the same one again
 * (and, at the price of false alarms, may change otherwise): compare with the
 * value seen before. On Linux it is made of the 16 random bytes that each exec
 * leaves on the new stack, and where they are: one read as long as they are
 * there. 0: it can't be told (no permission, ended, or just in an exec). */
uint64_t pp_os_process_image_id(pp_os_process *process);

/* One contiguous piece of a target's memory. */
typedef struct pp_os_span {
    uint64_t address;
    uint64_t size;
} pp_os_span;

/* Copies spans, one after the other, into `to` (which has room for all), in
 * order, in as few system calls as there can be: one for up to 1,024 spans.
 * Stops at the first span that can't be read whole: `*out_spans` spans are in
 * `to`. `*io_calls` grows by the system calls made. Never allocates.
 * PYPROF_OK even when it stopped early because of a fault (*out_spans < n);
 * PYPROF_ERR_GONE the process has ended; PYPROF_ERR_NO_PERMISSION refused:
 * pp_os_process_explain says why; PYPROF_ERR_OS the system can't (memory).
 * The sizes of 1,024 spans add up to less than 2 GiB. */
pyprof_status pp_os_process_readv(pp_os_process *process, void *to,
                                  const pp_os_span *spans, size_t n,
                                  size_t *out_spans, uint64_t *io_calls);
/* Fills `err` with why reading is refused and what to do: which rule (user,
 * dumpable, yama with its value, seccomp, user namespace) and the remedy.
 * Returns PYPROF_ERR_NO_PERMISSION, or what else is the case. */
pyprof_status pp_os_process_explain(pp_os_process *process, pyprof_error *err);

/* One mapping of a process. */
typedef struct pp_os_map {
    uint64_t start, end;
    uint64_t offset; /* in the file */
    uint64_t device, inode;
    uint32_t flags;   /* PP_OS_MAP_ bits */
    const char *path; /* "" for none; " (deleted)" is cut off, see flags */
} pp_os_map;
enum {
    PP_OS_MAP_READ = 1,
    PP_OS_MAP_WRITE = 2,
    PP_OS_MAP_EXEC = 4,
    PP_OS_MAP_DELETED = 8
};
typedef struct pp_os_maps {
    const pp_allocator *allocator;
    pp_os_map *items;
    size_t n;
    char *text;
} pp_os_maps;
/* At most 1,000,000 mappings are read. */
pyprof_status pp_os_process_maps(pp_os_process *process,
                                 const pp_allocator *allocator, pp_os_maps *out,
                                 pyprof_error *err);
void pp_os_maps_free(pp_os_maps *maps);
/* Opens, read-only, the very file that is mapped (by /proc's own links, else
 * by its path in the target's mount namespace, checked by device and inode).
 * -1 when there is no way. */
int pp_os_process_open_map(pp_os_process *process, const pp_os_map *map);
/* Opens, read-only, a file by its path as the target sees it; `cwd_relative`
 * paths are taken from the target's working directory. -1 when impossible. */
int pp_os_process_open_path(pp_os_process *process, const char *path);
/* Of a file that one of these opened. Reads exactly `size` bytes at `offset`;
 * false when they aren't all there. */
bool pp_os_file_read(int file, uint64_t offset, void *to, size_t size);
uint64_t pp_os_file_size(int file); /* 0 when it can't be told */
void pp_os_file_close(int file);
/* Path of the program, as far as the system tells; "" when it does not. */
size_t pp_os_process_exe(pp_os_process *process, char *to, size_t size);
/* The target's working directory as it sees it, "" when it can't be told. */
size_t pp_os_process_cwd(pp_os_process *process, char *to, size_t size);

/* ---- threads of another process ------------------------------------- */

/* Calls `visit` for each thread: its id here and in its own namespace (equal
 * when there is no other namespace). Stops when `visit` returns false. */
pyprof_status pp_os_process_threads(pp_os_process *process,
                                    bool (*visit)(void *user, uint64_t os_id,
                                                  uint64_t native_id),
                                    void *user, pyprof_error *err);

/* What the system says of a thread; a kept file makes it cheap. */
typedef struct pp_os_task pp_os_task;
typedef struct pp_os_task_state {
    char state;       /* 'R', 'S', 'D', 'T', 't', 'Z', 'X', 'I'; '?' unknown */
    int32_t cpu;      /* CPU on which it last ran; -1 unknown */
    uint64_t user_ns; /* time on a CPU in its own code, coarse */
    uint64_t system_ns;
} pp_os_task_state;
/* NULL when the thread is gone (or out of memory or descriptors). `process`
 * must outlive it. */
pp_os_task *pp_os_task_open(const pp_allocator *allocator,
                            const pp_os_process *process, uint64_t os_id);
/* False when it is gone. Its name may contain anything. */
bool pp_os_task_read(pp_os_task *task, pp_os_task_state *out);
/* Nanoseconds it has run so far, cheaper than pp_os_task_read: exact when it is
 * not running, else as of its last clock tick or switch. False when gone or
 * when the system does not count. */
bool pp_os_task_runtime(pp_os_task *task, uint64_t *out_ns);
/* Its name as the system knows it (15 bytes on Linux); "" when unknown. */
size_t pp_os_task_name(const pp_os_process *process, uint64_t os_id, char *to,
                       size_t size);
void pp_os_task_close(pp_os_task *task);

/* ---- stopping a thread ---------------------------------------------- */

/* Stops one thread so that it can be read, without a signal that the target
 * could see. The caller's thread must be the one that releases it. A thread
 * that is stopped this way runs on by itself when this process dies.
 * PYPROF_ERR_GONE it ended; PYPROF_ERR_TRACED another tracer holds it (the
 * message names it); PYPROF_ERR_NO_PERMISSION refused, or a thread of this
 * process; PYPROF_ERR_BUSY it sits in a system call that can't be interrupted
 * (after 20 ms): it will stop when that ends, so pp_os_threads_settle must be
 * called now and then until it says true. The target's parent, and this
 * process, see no status of it; this process gets a SIGCHLD for each stop. */
pyprof_status pp_os_thread_stop(pp_os_process *process, uint64_t os_id,
                                pyprof_error *err);
/* Lets it run on, handing on any signal that arrived meanwhile. */
void pp_os_thread_release(pp_os_process *process, uint64_t os_id);
/* Whether pp_os_thread_stop would be refused, without stopping anything. The
 * errors are those of pp_os_thread_stop; PYPROF_OK for this very process, whose
 * threads need no stop. */
pyprof_status pp_os_thread_may_stop(pp_os_process *process, uint64_t os_id,
                                    pyprof_error *err);
/* Lets threads run on that stopped after pp_os_thread_stop had given up. True
 * when none is left; then it costs nothing. By the thread that stopped them;
 * when that thread ends, they are let go by themselves. */
bool pp_os_threads_settle(pp_os_process *process);

/* ---- starting a command --------------------------------------------- */

typedef struct pp_os_command {
    const char *const *argv; /* argv[0] is looked up in PATH; NULL-terminated */
    const char *const *envp; /* NULL: this process's environment */
    const char *cwd;         /* NULL: this process's */
    int32_t fds[3];          /* what becomes 0, 1, 2; -1: inherited */
} pp_os_command;
/* Starts a command as it would start by itself: signals at their defaults (but
 * ignored ones stay ignored), no descriptor of ours open in it, the same
 * process group. PYPROF_ERR_SPAWN not found or not executable (known from the
 * exec itself, so never a half-started child). */
pyprof_status pp_os_spawn(const pp_allocator *allocator,
                          const pp_os_command *command, pp_os_process **out,
                          pyprof_error *err);
/* How a child of pp_os_spawn ended: status as a shell would show it (128 +
 * signal), and the signal or 0. Waits until then. PYPROF_ERR_BUSY not a child
 * of this process. May be called again. */
pyprof_status pp_os_child_status(pp_os_process *process, int32_t *out_status,
                                 int32_t *out_signal, pyprof_error *err);
/* Asks a process to end (SIGTERM), waits `grace_ns`, then makes it (SIGKILL),
 * and waits until it is gone. Only for children of pp_os_spawn. */
pyprof_status pp_os_child_end(pp_os_process *process, uint64_t grace_ns,
                              pyprof_error *err);

#endif /* PP_OS_H */
