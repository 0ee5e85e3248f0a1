/*
 * stop: holding one thread still while it is read, unseen by the target.
 *
 * PTRACE_SEIZE and PTRACE_INTERRUPT send no signal. The thread may come to a
 * stop of another kind first: about to take a signal, which is handed on when
 * it is let go, or held by job control, where it stays afterwards.
 *
 * Invariants:
 * - Wait statuses are looked at, never taken (WNOWAIT), so that a program that
 *   waits for the same child misses nothing. The one exception is the end of a
 *   thread, or of a process that is not this one's child: the kernel keeps
 *   those for the tracer alone, and an exec of the target waits for it.
 * - No wait is without end. A thread that does not come to a stop is noted
 *   down and let go as soon as it does (pp_os_threads_settle).
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MILLISECOND UINT64_C(1000000)
#define FIRST_LOOK MILLISECOND              /* then the state is asked, too */
#define PATIENCE_BLOCKED (20 * MILLISECOND) /* in an uninterruptible call */
#define PATIENCE (2000 * MILLISECOND)       /* waiting for a CPU */
#define LAST_PATIENCE (500 * MILLISECOND)   /* when the handle is closed */
#define FIRST_PAUSE UINT64_C(10000)
#define LONG_PAUSE UINT64_C(100000)
#define SHORT_WAIT (20 * MILLISECOND) /* then looks become rare */
enum { EAGER_LOOKS = 8, END_LOOKS = 40 };

typedef enum seen { SEEN_NOTHING, SEEN_STOP, SEEN_END, SEEN_FOREIGN } seen;

static long trace(int request, pid_t tid, uintptr_t address, uintptr_t data)
{
    return syscall(SYS_ptrace, (long)request, (long)tid, address, data);
}

static long wait_thread(pid_t tid, siginfo_t *info, int options)
{
    info->si_pid = 0;
    return syscall(SYS_waitid, P_PID, tid, info,
                   options | WNOHANG | __WALL | __WNOTHREAD, NULL);
}

/* Looks whether a seized thread has stopped or ended. */
static seen look(pid_t tid)
{
    siginfo_t info;
    if (wait_thread(tid, &info, WSTOPPED | WEXITED | WNOWAIT) != 0) {
        return errno == ECHILD ? SEEN_FOREIGN : SEEN_NOTHING;
    }
    if (info.si_pid == 0) {
        return SEEN_NOTHING;
    }
    return info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED
               ? SEEN_STOP
               : SEEN_END;
}

/* State letter of a thread, and the thread that traces it (0: none). False
 * when it is gone. */
static bool read_state(const pp_os_process *process, pid_t tid, char *state,
                       pid_t *tracer)
{
    char path[40];
    char status[4096];
    snprintf(path, sizeof(path), "task/%d/status", (int)tid);
    if (pp_os_read_file(process->proc_fd, path, status, sizeof(status)) < 0) {
        return false;
    }
    const char *field = pp_os_status_field(status, "State");
    *state = field != NULL ? *field : '?';
    field = pp_os_status_field(status, "TracerPid");
    *tracer = field != NULL ? (pid_t)strtol(field, NULL, 10) : 0;
    return true;
}

/* What became of a thread that shows no event: a slower look. */
static seen look_closely(const pp_os_process *process, pid_t tid, char *state)
{
    siginfo_t info;
    pid_t tracer;
    if (!read_state(process, tid, state, &tracer) || *state == 'Z' ||
        *state == 'X') {
        return SEEN_END;
    }
    if (tracer != (pid_t)pp_os_thread_self()) {
        return SEEN_FOREIGN;
    }
    /* Its stop may have been taken by a wait for just any child. */
    return trace(PTRACE_GETSIGINFO, tid, 0, (uintptr_t)&info) == 0
               ? SEEN_STOP
               : SEEN_NOTHING;
}

/* Whether the process is a child of this one, whoever started it. */
static bool is_own_child(const pp_os_process *process)
{
    char status[4096];
    if (process->is_child) {
        return true;
    }
    if (pp_os_read_file(process->proc_fd, "status", status, sizeof(status)) <
        0) {
        return false;
    }
    const char *parent = pp_os_status_field(status, "PPid");
    return parent != NULL && strtol(parent, NULL, 10) == (long)getpid();
}

/* Takes the end of a thread, where only this one can take it. False when it
 * can't be had yet: the first thread's comes after those of all others. */
static bool take_end(const pp_os_process *process, pid_t tid)
{
    siginfo_t info;
    if (tid == process->pid && is_own_child(process)) {
        return true;
    }
    return wait_thread(tid, &info, WEXITED) != 0 || info.si_pid != 0;
}

/* Lets a stopped thread run on. False when it is not stopped (any more). */
static bool let_go(pid_t tid)
{
    siginfo_t info;
    uintptr_t signal = 0;
    memset(&info, 0, sizeof(info));
    if (trace(PTRACE_GETSIGINFO, tid, 0, (uintptr_t)&info) == 0 &&
        (info.si_code >> 8) != PTRACE_EVENT_STOP) {
        signal = (uintptr_t)info.si_signo; /* it was about to take this one */
    }
    return trace(PTRACE_DETACH, tid, 0, signal) == 0;
}

/* ---- threads that stop late ----------------------------------------- */

static pp_os_late_stop *find_late(pp_os_process *process, pid_t tid)
{
    uint64_t self = pp_os_thread_self();
    for (size_t i = 0; i < PP_OS_LATE_STOPS; i++) {
        if (process->late[i].asked_by == self && process->late[i].tid == tid) {
            return &process->late[i];
        }
    }
    return NULL;
}

static bool note_late(pp_os_process *process, pid_t tid)
{
    for (size_t i = 0; i < PP_OS_LATE_STOPS; i++) {
        if (process->late[i].asked_by == 0) {
            process->late[i].tid = tid;
            process->late[i].asked_by = pp_os_thread_self();
            process->n_late++;
            return true;
        }
    }
    return false;
}

static void forget_late(pp_os_process *process, pp_os_late_stop *late)
{
    late->asked_by = 0;
    process->n_late--;
}

/* A thread is no longer traced under its number. One that executed a program
 * took over the number of the first thread, and is held under that; whether
 * it was told to stop before or after can't be known. */
static void follow_exec(pp_os_process *process, pid_t tid)
{
    char state;
    pid_t tracer;
    pid_t first = process->pid;
    if (tid != first && find_late(process, first) == NULL &&
        read_state(process, first, &state, &tracer) &&
        tracer == (pid_t)pp_os_thread_self() && note_late(process, first)) {
        trace(PTRACE_INTERRUPT, first, 0, 0);
    }
}

/* Does what can be done about one; false when it is still to come. */
static bool settle(pp_os_process *process, pid_t tid)
{
    char state;
    seen what = look(tid);
    if (what == SEEN_NOTHING) {
        what = look_closely(process, tid, &state);
    }
    switch (what) {
    case SEEN_STOP:
        let_go(tid);
        return true;
    case SEEN_END:
        return take_end(process, tid);
    case SEEN_FOREIGN:
        follow_exec(process, tid);
        return true;
    case SEEN_NOTHING:
        break;
    }
    return false;
}

bool pp_os_threads_settle(pp_os_process *process)
{
    if (PP_LIKELY(process->n_late == 0)) {
        return true;
    }
    for (size_t i = 0; i < PP_OS_LATE_STOPS; i++) {
        pp_os_late_stop *late = &process->late[i];
        if (late->asked_by == pp_os_thread_self() &&
            settle(process, late->tid)) {
            forget_late(process, late);
        }
    }
    return process->n_late == 0;
}

static bool has_own_late(const pp_os_process *process)
{
    uint64_t self = pp_os_thread_self();
    for (size_t i = 0; i < PP_OS_LATE_STOPS; i++) {
        if (process->late[i].asked_by == self) {
            return true;
        }
    }
    return false;
}

void pp_os_threads_finish(pp_os_process *process)
{
    uint64_t until = pp_os_now() + LAST_PATIENCE;
    /* Those of a thread that has ended were let go by its end. */
    while (!pp_os_threads_settle(process) && has_own_late(process) &&
           pp_os_now() < until) {
        pp_os_sleep_until(pp_os_now() + MILLISECOND, NULL);
    }
}

/* ---- stop and release ----------------------------------------------- */

static pyprof_status gone(pyprof_error *err, pid_t tid)
{
    return pp_error_set(err, PYPROF_ERR_GONE, "thread %d has ended", (int)tid);
}

static pyprof_status traced(const pp_os_process *process, pid_t tracer,
                            pyprof_error *err)
{
    char path[40];
    char status[4096];
    char name[64] = "";
    long pid = tracer;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)tracer);
    if (pp_os_read_file(-1, path, status, sizeof(status)) > 0) {
        const char *field = pp_os_status_field(status, "Tgid");
        pid = field != NULL ? strtol(field, NULL, 10) : pid;
        field = pp_os_status_field(status, "Name");
        if (field != NULL) {
            snprintf(name, sizeof(name), " (%.*s)", (int)strcspn(field, "\n"),
                     field);
        }
    }
    if (pid == (long)getpid()) {
        return pp_error_set(err, PYPROF_ERR_TRACED,
                            "process %d is stopped by another sampler of this "
                            "process",
                            (int)process->pid);
    }
    return pp_error_set(err, PYPROF_ERR_TRACED,
                        "process %d is held by the debugger with pid %ld%s: "
                        "end it, or sample without stopping",
                        (int)process->pid, pid, name);
}

/* Seizes a thread, or says why that is refused. */
static pyprof_status seize(pp_os_process *process, pid_t tid, pyprof_error *err)
{
    char state;
    pid_t tracer;
    int error = 0;
    /* A thread that is just ending is refused like one that is forbidden, and
     * may be another one under the same number (exec) a moment later. */
    for (int tries = 0; tries < 3; tries++) {
        if (trace(PTRACE_SEIZE, tid, 0, 0) == 0) {
            return PYPROF_OK;
        }
        error = errno;
        if (error == ESRCH || !read_state(process, tid, &state, &tracer) ||
            state == 'Z' || state == 'X') {
            return gone(err, tid);
        }
        if (tracer != 0) {
            return traced(process, tracer, err);
        }
    }
    if (error != EPERM && error != EACCES) {
        return pp_error_errno(err, PYPROF_ERR_OS, error, "can't stop thread %d",
                              (int)tid);
    }
    return pp_os_process_explain(process, err);
}

/* Waits until a thread that was told to stop has done so, has ended, or
 * patience is over (SEEN_NOTHING). */
static seen await_stop(const pp_os_process *process, pid_t tid)
{
    uint64_t begin = 0;
    uint64_t pause = FIRST_PAUSE;
    for (int looks = 0;; looks++) {
        seen what = look(tid);
        if (what != SEEN_NOTHING) {
            return what;
        }
        if (looks < EAGER_LOOKS) {
            continue;
        }
        /* It may be waiting for this very CPU. Sleeping gives that away;
         * yielding does not, and makes this thread wait for longer after. */
        uint64_t now = pp_os_now();
        begin = begin != 0 ? begin : now;
        if (now - begin >= FIRST_LOOK) {
            char state = '?';
            what = look_closely(process, tid, &state);
            if (what != SEEN_NOTHING) {
                return what;
            }
            if (now - begin >= (state == 'D' ? PATIENCE_BLOCKED : PATIENCE)) {
                return SEEN_NOTHING;
            }
        }
        pp_os_sleep_until(now + pause, NULL);
        pause = now - begin >= SHORT_WAIT ? MILLISECOND
                : pause < LONG_PAUSE      ? pause + pause / 4
                                          : pause;
    }
}

pyprof_status pp_os_thread_stop(pp_os_process *process, uint64_t os_id,
                                pyprof_error *err)
{
    pid_t tid = (pid_t)os_id;
    if (process->is_self) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "a process can't stop threads of its own");
    }
    pp_os_threads_settle(process);
    pp_os_late_stop *late = find_late(process, tid);
    if (late == NULL) {
        PP_TRY(seize(process, tid, err));
        /* One that has ended meanwhile is seen by whoever waits for it. */
        trace(PTRACE_INTERRUPT, tid, 0, 0);
    }
    for (;;) {
        seen what = await_stop(process, tid);
        if (what == SEEN_NOTHING && late == NULL && !note_late(process, tid)) {
            continue; /* no room to remember it: stay with it */
        }
        if (what == SEEN_NOTHING) {
            return pp_error_set(err, PYPROF_ERR_BUSY,
                                "thread %d does not stop: it sits in a system "
                                "call that can't be interrupted",
                                (int)tid);
        }
        if (late != NULL) {
            forget_late(process, late);
        }
        if (what == SEEN_STOP) {
            return PYPROF_OK;
        }
        if (what == SEEN_FOREIGN) {
            follow_exec(process, tid);
        } else if (!take_end(process, tid)) {
            note_late(process, tid);
        }
        return gone(err, tid);
    }
}

void pp_os_thread_release(pp_os_process *process, uint64_t os_id)
{
    pid_t tid = (pid_t)os_id;
    if (let_go(tid)) {
        return;
    }
    /* Killed while it was held: its end is this thread's to take, and comes
     * at once. */
    for (int i = 0; i < END_LOOKS; i++) {
        if (look(tid) != SEEN_NOTHING && settle(process, tid)) {
            return;
        }
        pp_os_sleep_until(pp_os_now() + FIRST_PAUSE, NULL);
    }
    if (find_late(process, tid) == NULL) {
        note_late(process, tid);
    }
}

/* ---- asking only ---------------------------------------------------- */

typedef struct attempt {
    pp_os_process *process;
    pid_t tid;
    pyprof_status status;
    pyprof_error err;
} attempt;

static void try_to_seize(void *user)
{
    attempt *a = user;
    a->status = seize(a->process, a->tid, &a->err);
}

pyprof_status pp_os_thread_may_stop(pp_os_process *process, uint64_t os_id,
                                    pyprof_error *err)
{
    attempt a = {process, (pid_t)os_id, PYPROF_OK, PYPROF_ERROR_INIT};
    pp_os_thread *thread;
    if (process->is_self) {
        return PYPROF_OK;
    }
    /* What a thread has seized goes free when it ends: the only way back that
     * does not need a stop. */
    PP_TRY(pp_os_thread_start(process->allocator, "pyprof-ask", try_to_seize,
                              &a, &thread, err));
    pp_os_thread_join(thread);
    if (a.status != PYPROF_OK && err != NULL) {
        (void)pp_opts_write(err, &a.err, sizeof(a.err));
    }
    return a.status;
}
