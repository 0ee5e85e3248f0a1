/*
 * os/stop: a thread that is stopped stands still, and the target never knows:
 * no signal is lost or repeated, nothing stays stopped, no status is taken.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { THREADS = 4, STOPS = 2000, MAX_TIDS = 64, SIGNALS = 3000 };

/* What the targets tell of themselves, in memory that both sides see. */
typedef struct board {
    volatile uint64_t turns[THREADS];
    volatile uint64_t alarms, signals, sum;
    volatile long tids[THREADS];
    volatile bool stop;
} board;

static board *shared;

static void make_board(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
}

static void on_alarm(int number)
{
    PP_UNUSED(number);
    __atomic_add_fetch(&shared->alarms, 1, __ATOMIC_SEQ_CST);
}

static void on_queued(int number, siginfo_t *info, void *context)
{
    PP_UNUSED(number);
    PP_UNUSED(context);
    __atomic_add_fetch(&shared->signals, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&shared->sum, (uint64_t)info->si_value.sival_int,
                       __ATOMIC_SEQ_CST);
}

static void *turn(void *user)
{
    size_t i = (size_t)(uintptr_t)user;
    shared->tids[i] = syscall(SYS_gettid);
    while (!shared->stop) {
        shared->turns[i]++;
        if (shared->turns[i] % 1000 == 0 && i % 2 == 1) {
            nap(); /* some sleep now and then */
        }
    }
    return NULL;
}

/* Threads that are busy, an alarm each millisecond, and signals that queue. */
static void run_busy(helper *self, void *user)
{
    pthread_t threads[THREADS];
    struct sigaction alarm_action = {.sa_handler = on_alarm,
                                     .sa_flags = SA_RESTART};
    struct sigaction queued_action = {.sa_sigaction = on_queued,
                                      .sa_flags = SA_SIGINFO | SA_RESTART};
    const struct itimerval often = {{0, 1000}, {0, 1000}};
    PP_UNUSED(user);
    sigaction(SIGALRM, &alarm_action, NULL);
    sigaction(SIGRTMIN, &queued_action, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, turn, (void *)i);
    }
    for (size_t i = 0; i < THREADS; i++) {
        while (shared->tids[i] == 0) {
            nap();
        }
    }
    setitimer(ITIMER_REAL, &often, NULL);
    helper_rest(self);
    shared->stop = true;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    _exit(42);
}

static void run_sender(helper *self, void *user)
{
    pid_t target = *(pid_t *)user;
    helper_say(self, 'r');
    for (int i = 0; i < SIGNALS;) {
        const union sigval value = {.sival_int = i};
        if (sigqueue(target, SIGRTMIN, value) == 0) {
            i++;
        } else {
            sched_yield();
        }
        if (i % 16 == 0) {
            nap();
        }
    }
    helper_rest(self);
}

START_TEST(test_signals_flying)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    uint64_t random = 11;
    make_board();
    helper h = helper_start(run_busy, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    helper sender = helper_start(run_sender, &h.pid);
    ck_assert_int_eq(helper_hear(&sender), 'r');
    pp_os_process *process = open_process(h.pid);
    uint64_t still = 0;
    for (int i = 0; i < STOPS; i++) {
        size_t which = test_random(&random) % (THREADS + 1);
        uint64_t tid =
            which < THREADS ? (uint64_t)shared->tids[which] : (uint64_t)h.pid;
        pyprof_status status = pp_os_thread_stop(process, tid, &err);
        ck_assert_msg(status == PYPROF_OK, "%s", err.message);
        if (which < THREADS) {
            uint64_t turns = shared->turns[which];
            for (int k = 0; k < 50; k++) {
                still += shared->turns[which] == turns;
            }
            ck_assert_uint_eq(shared->turns[which], turns);
        }
        pp_os_thread_release(process, tid);
    }
    ck_assert_uint_gt(still, 0);
    ck_assert_int_eq(helper_hear(&sender), 'r');
    while (shared->signals < SIGNALS) {
        nap();
    }
    uint64_t alarms = shared->alarms;
    while (shared->alarms < alarms + 5) { /* the timer still runs */
        nap();
    }
    ck_assert_uint_eq(shared->signals, SIGNALS);
    ck_assert_uint_eq(shared->sum, (uint64_t)SIGNALS * (SIGNALS - 1) / 2);
    for (size_t i = 0; i < THREADS; i++) {
        char state = state_of(process, (uint64_t)shared->tids[i]);
        ck_assert_msg(state == 'R' || state == 'S', "state %c", state);
    }
    ck_assert(pp_os_threads_settle(process));
    helper_end(&sender);
    /* it ends by itself, and its status is there for whoever waits */
    int status;
    close(h.to);
    ck_assert_int_eq(waitpid(h.pid, &status, 0), h.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    close(h.from);
    pp_os_process_close(process);
}
END_TEST

typedef struct tids {
    uint64_t id[MAX_TIDS];
    size_t n;
} tids;

static bool note_tid(void *user, uint64_t os_id, uint64_t native_id)
{
    tids *t = user;
    PP_UNUSED(native_id);
    t->id[t->n++] = os_id;
    return t->n < MAX_TIDS;
}

static void *end_at_once(void *user)
{
    return user;
}

/* Threads that come and go, and now and then another program. */
static void run_fleeting(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_say(self, 'r');
    for (;;) {
        pthread_t threads[4];
        for (size_t i = 0; i < 4; i++) {
            pthread_create(&threads[i], NULL, end_at_once, NULL);
        }
        for (size_t i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
    }
}

START_TEST(test_threads_that_end)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    int stopped = 0;
    helper h = helper_start(run_fleeting, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    for (int round = 0; round < 400; round++) {
        tids t = {.n = 0};
        ck_assert_int_eq(pp_os_process_threads(process, note_tid, &t, &err),
                         PYPROF_OK);
        for (size_t i = 0; i < t.n; i++) {
            pyprof_status status = pp_os_thread_stop(process, t.id[i], &err);
            ck_assert_msg(status == PYPROF_OK || status == PYPROF_ERR_GONE,
                          "%d %s", status, err.message);
            if (status == PYPROF_OK) {
                pp_os_thread_release(process, t.id[i]);
                stopped++;
            }
        }
    }
    ck_assert_int_ge(stopped, 400);
    /* killed while one is held */
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_OK);
    kill(h.pid, SIGKILL);
    pp_os_thread_release(process, (uint64_t)h.pid);
    int status;
    ck_assert_int_eq(waitpid(h.pid, &status, 0), h.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_ERR_GONE);
    ck_assert(pp_os_threads_settle(process));
    pp_os_process_close(process);
}
END_TEST

/* A thread executes the same program again, as long as it is told to. */
static void *exec_again(void *user)
{
    PP_UNUSED(user);
    execl("/proc/self/exe", "check_stop", "--exec", (char *)NULL);
    return NULL;
}

static int exec_main(void)
{
    char c;
    pthread_t thread;
    if (read(0, &c, 1) != 1) {
        return 7;
    }
    ssize_t n = write(1, &c, 1);
    pthread_create(&thread, NULL, exec_again, NULL);
    pthread_join(thread, NULL);
    return n == 1 ? 1 : 2;
}

static void run_execs(helper *self, void *user)
{
    PP_UNUSED(user);
    dup2(self->from, 0);
    dup2(self->to, 1);
    exec_again(NULL);
}

/* An exec ends all other threads, and waits for those that a tracer holds. */
START_TEST(test_exec_meanwhile)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(run_execs, NULL);
    pp_os_process *process = open_process(h.pid);
    for (int i = 0; i < 30; i++) {
        helper_say(&h, 'x');
        for (int k = 0; k < 10; k++) {
            tids t = {.n = 0};
            pp_os_process_threads(process, note_tid, &t, &err);
            for (size_t j = t.n; j-- > 0;) {
                pyprof_status status =
                    pp_os_thread_stop(process, t.id[j], &err);
                /* busy: an exec can take its time on a busy machine */
                ck_assert_msg(status == PYPROF_OK ||
                                  status == PYPROF_ERR_GONE ||
                                  status == PYPROF_ERR_BUSY,
                              "%d %s", status, err.message);
                if (status == PYPROF_OK) {
                    pp_os_thread_release(process, t.id[j]);
                }
            }
        }
        while (!pp_os_threads_settle(process)) {
            nap();
        }
        ck_assert_int_eq(helper_hear(&h), 'x');
    }
    close(h.to);
    int status;
    ck_assert_int_eq(waitpid(h.pid, &status, 0), h.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    close(h.from);
    pp_os_process_close(process);
}
END_TEST

static void rest(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_rest(self);
}

START_TEST(test_job_control)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    uint64_t tid = (uint64_t)h.pid;
    kill(h.pid, SIGSTOP);
    while (state_of(process, tid) != 'T') {
        nap();
    }
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(pp_os_thread_stop(process, tid, &err), PYPROF_OK);
        pp_os_thread_release(process, tid);
    }
    while (state_of(process, tid) != 'T') {
        nap();
    }
    /* it goes on when it is told to, and only then */
    kill(h.pid, SIGCONT);
    while (state_of(process, tid) != 'S') {
        nap();
    }
    /* a stop signal that arrives while it is held takes hold afterwards */
    ck_assert_int_eq(pp_os_thread_stop(process, tid, &err), PYPROF_OK);
    kill(h.pid, SIGSTOP);
    pp_os_thread_release(process, tid);
    while (state_of(process, tid) != 'T') {
        nap();
    }
    kill(h.pid, SIGCONT);
    while (state_of(process, tid) != 'S') {
        nap();
    }
    helper_end(&h);
    pp_os_process_close(process);
}
END_TEST

static void run_tracer(helper *self, void *user)
{
    pid_t target = *(pid_t *)user;
    prctl(PR_SET_NAME, "a debugger");
    bool holds = ptrace(PTRACE_SEIZE, target, NULL, NULL) == 0;
    helper_say(self, holds ? 'r' : 'n');
    helper_rest(self);
}

START_TEST(test_refusals)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    char expected[64];
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    helper tracer = helper_start(run_tracer, &h.pid);
    ck_assert_int_eq(helper_hear(&tracer), 'r');
    pp_os_process *process = open_process(h.pid);
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_ERR_TRACED);
    snprintf(expected, sizeof(expected), "pid %d (a debugger)", tracer.pid);
    ck_assert_msg(strstr(err.message, expected) != NULL, "%s", err.message);
    helper_end(&tracer);
    /* the debugger is gone */
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_OK);
    pp_os_thread_release(process, (uint64_t)h.pid);
    /* no such thread, and none of another process */
    ck_assert_int_eq(pp_os_thread_stop(process, INT32_MAX, &err),
                     PYPROF_ERR_GONE);
    helper_end(&h);
    pp_os_process_close(process);
    pp_os_process *self = open_process(getpid());
    ck_assert_int_eq(pp_os_thread_stop(self, (uint64_t)getpid(), &err),
                     PYPROF_ERR_NO_PERMISSION);
    pp_os_process_close(self);
}
END_TEST

/* Waits in vfork, which can't be interrupted, for a child that waits. */
static void run_vfork(helper *self, void *user)
{
    char c;
    PP_UNUSED(user);
    helper_say(self, 'r');
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        _exit(read(self->from, &c, 1) == 1 ? 0 : 1);
    }
    waitpid(child, NULL, 0);
    helper_rest(self);
}

START_TEST(test_stops_late)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(run_vfork, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    while (state_of(process, (uint64_t)h.pid) != 'D') {
        nap();
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                         PYPROF_ERR_BUSY);
        ck_assert(!pp_os_threads_settle(process));
    }
    helper_say(&h, 'x');
    while (!pp_os_threads_settle(process)) {
        nap();
    }
    ck_assert_int_eq(helper_hear(&h), 'r'); /* it runs on */
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_OK);
    pp_os_thread_release(process, (uint64_t)h.pid);
    helper_end(&h);
    pp_os_process_close(process);
}
END_TEST

/* The handle is closed before the thread has come to its stop. */
START_TEST(test_closed_before_it_stops)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(run_vfork, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    while (state_of(process, (uint64_t)h.pid) != 'D') {
        nap();
    }
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)h.pid, &err),
                     PYPROF_ERR_BUSY);
    helper_say(&h, 'x');
    pp_os_process_close(process);
    ck_assert_int_eq(helper_hear(&h), 'r');
    helper_end(&h);
}
END_TEST

static volatile bool waiting;

static void *wait_for_any(void *user)
{
    int status;
    PP_UNUSED(user);
    while (waiting) {
        waitpid(-1, &status, __WALL | WUNTRACED | WNOHANG);
    }
    return NULL;
}

/* A program may wait for just any child, and so take our events away. */
START_TEST(test_waits_of_others)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pthread_t thread;
    make_board();
    helper h = helper_start(run_busy, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    waiting = true;
    pthread_create(&thread, NULL, wait_for_any, NULL);
    for (int i = 0; i < 50; i++) {
        uint64_t tid = (uint64_t)shared->tids[i % THREADS];
        ck_assert_int_eq(pp_os_thread_stop(process, tid, &err), PYPROF_OK);
        pp_os_thread_release(process, tid);
    }
    waiting = false;
    pthread_join(thread, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        uint64_t turns = shared->turns[i];
        while (shared->turns[i] == turns) {
            nap();
        }
    }
    helper_end(&h);
    pp_os_process_close(process);
}
END_TEST

/* What is held goes on when the holder ends. */
static void run_holder(helper *self, void *user)
{
    pp_os_process *process = NULL;
    pid_t target = *(pid_t *)user;
    bool held = pp_os_process_open(NULL, target, &process, NULL) == PYPROF_OK &&
                pp_os_thread_stop(process, (uint64_t)target, NULL) == PYPROF_OK;
    helper_say(self, held ? 'r' : 'n');
    helper_hear(self);
    _exit(0);
}

START_TEST(test_holder_dies)
{
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    helper holder = helper_start(run_holder, &h.pid);
    ck_assert_int_eq(helper_hear(&holder), 'r');
    ck_assert_int_eq(state_of(process, (uint64_t)h.pid), 't');
    helper_end(&holder);
    while (state_of(process, (uint64_t)h.pid) != 'S') {
        nap();
    }
    helper_end(&h);
    pp_os_process_close(process);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--exec") == 0) {
        return exec_main();
    }
    const TTest *const tests[] = {test_signals_flying,
                                  test_threads_that_end,
                                  test_exec_meanwhile,
                                  test_job_control,
                                  test_refusals,
                                  test_stops_late,
                                  test_closed_before_it_stops,
                                  test_waits_of_others,
                                  test_holder_dies};
    return run_suite("os.stop", tests, PP_COUNT_OF(tests));
}
