/* os/task: what the system says of a thread, whatever its name. */
#define _GNU_SOURCE
#include "helper.h"

#include <pthread.h>
#include <sys/syscall.h>

typedef struct worker {
    volatile long tid;
    volatile bool stop;
} worker;

static void *burn(void *user)
{
    worker *w = user;
    prctl(PR_SET_NAME, ") R 1 (2 3) ");
    w->tid = syscall(SYS_gettid);
    while (!w->stop) {
    }
    return NULL;
}

START_TEST(test_a_running_thread)
{
    worker w = {0, false};
    pthread_t thread;
    pp_os_task_state first = {0};
    pp_os_task_state state = {0};
    uint64_t ran = 0;
    uint64_t runs = 0;
    char name[32];
    pthread_create(&thread, NULL, burn, &w);
    while (w.tid == 0) {
        nap();
    }
    pp_os_process *self = open_process(getpid());
    pp_os_task *task = pp_os_task_open(NULL, self, (uint64_t)w.tid);
    ck_assert_ptr_nonnull(task);
    ck_assert(pp_os_task_read(task, &first));
    ck_assert_int_eq(first.state, 'R');
    ck_assert_int_ge(first.cpu, 0);
    ck_assert_int_lt(first.cpu, 1024);
    ck_assert(pp_os_task_runtime(task, &ran));
    /* both clocks advance */
    do {
        nap();
        ck_assert(pp_os_task_read(task, &state));
        ck_assert(pp_os_task_runtime(task, &runs));
    } while (state.user_ns == first.user_ns || runs == ran);
    ck_assert_uint_gt(state.user_ns, first.user_ns);
    ck_assert_uint_gt(runs, ran);
    ck_assert_uint_eq(
        pp_os_task_name(self, (uint64_t)w.tid, name, sizeof(name)), 12);
    ck_assert_str_eq(name, ") R 1 (2 3) ");
    ck_assert_uint_eq(pp_os_task_name(self, (uint64_t)w.tid, name, 4), 3);
    ck_assert_str_eq(name, ") R");
    ck_assert_uint_eq(pp_os_task_name(self, (uint64_t)w.tid, name, 1), 0);
    /* it ends; the files are those of the thread that was */
    w.stop = true;
    pthread_join(thread, NULL);
    while (pp_os_task_read(task, &state)) {
        nap();
    }
    ck_assert(!pp_os_task_runtime(task, &runs));
    pp_os_task_close(task);
    ck_assert_ptr_null(pp_os_task_open(NULL, self, (uint64_t)w.tid));
    ck_assert_uint_eq(
        pp_os_task_name(self, (uint64_t)w.tid, name, sizeof(name)), 0);
    ck_assert_str_eq(name, "");
    pp_os_task_close(NULL);
    pp_os_process_close(self);
}
END_TEST

static void rest(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_rest(self);
}

START_TEST(test_states)
{
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    uint64_t tid = (uint64_t)h.pid;
    while (state_of(process, tid) != 'S') {
        nap();
    }
    kill(h.pid, SIGSTOP);
    while (state_of(process, tid) != 'T') {
        nap();
    }
    kill(h.pid, SIGKILL);
    pp_os_process_wait(process, UINT64_MAX, NULL);
    ck_assert_int_eq(state_of(process, tid), 'Z');
    helper_end(&h);
    ck_assert_int_eq(state_of(process, tid), '\0');
    ck_assert_ptr_null(pp_os_task_open(NULL, process, UINT64_MAX));
    ck_assert_ptr_null(pp_os_task_open(NULL, process, 0));
    pp_os_process_close(process);
}
END_TEST

static pp_os_process *for_memory;

static bool open_task(fault_alloc *fault)
{
    pp_os_task *task =
        pp_os_task_open(&fault->table, for_memory, (uint64_t)getpid());
    bool opened = task != NULL;
    pp_os_task_close(task);
    return opened;
}

START_TEST(test_out_of_memory)
{
    for_memory = open_process(getpid());
    fault_loop(open_task);
    pp_os_process_close(for_memory);
}
END_TEST

SUITE_MAIN("os.task", test_a_running_thread, test_states, test_out_of_memory)
