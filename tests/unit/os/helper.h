/*
 * helper: other processes for the suites of os. A helper is a copy of the test
 * (fork), so what lies at an address here lies at the same address there, and
 * what it changes there is only seen by reading it. It ends with the test.
 */
#ifndef PP_TESTS_OS_HELPER_H
#define PP_TESTS_OS_HELPER_H

#include "../base/testing.h"
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct helper {
    pid_t pid;
    int to;   /* what is written here it can read from its own `from` */
    int from; /* what it says */
} helper;

/* Starts one; `run` gets its own side of the pipes. */
static inline helper helper_start(void (*run)(helper *self, void *user),
                                  void *user)
{
    int down[2];
    int up[2];
    helper h;
    ck_assert_int_eq(pipe(down), 0);
    ck_assert_int_eq(pipe(up), 0);
    h.pid = fork();
    ck_assert_int_ge(h.pid, 0);
    if (h.pid == 0) {
        helper self = {getpid(), up[1], down[0]};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(down[1]);
        close(up[0]);
        run(&self, user);
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    h.to = down[1];
    h.from = up[0];
    return h;
}

/* Either side: says a byte, or waits for one (0 at the end). */
static inline void helper_say(const helper *h, char what)
{
    ck_assert_int_eq(write(h->to, &what, 1), 1);
}

static inline char helper_hear(const helper *h)
{
    char what = 0;
    ssize_t n;
    do {
        n = read(h->from, &what, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? what : 0;
}

/* Says that it is ready, and waits until the pipe is closed. */
static inline void helper_rest(const helper *self)
{
    helper_say(self, 'r');
    while (helper_hear(self) != 0) {
    }
}

static inline void helper_end(helper *h)
{
    close(h->to);
    close(h->from);
    kill(h->pid, SIGKILL);
    while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static inline pp_os_process *open_process(int64_t pid)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process = NULL;
    pyprof_status status = pp_os_process_open(NULL, pid, &process, &err);
    ck_assert_msg(status == PYPROF_OK, "%s", err.message);
    return process;
}

static inline uint64_t address_of(const volatile void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* A while, for what has no event to wait for; tests loop over it. */
static inline void nap(void)
{
    const struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
}

static inline char state_of(const pp_os_process *process, uint64_t tid)
{
    pp_os_task_state state = {0};
    pp_os_task *task = pp_os_task_open(NULL, process, tid);
    bool known = task != NULL && pp_os_task_read(task, &state);
    pp_os_task_close(task);
    return known ? state.state : '\0';
}

#endif /* PP_TESTS_OS_HELPER_H */
