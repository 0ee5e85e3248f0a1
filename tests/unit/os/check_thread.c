/* os/thread: threads of this process and the CPUs that they run on. */
#include "helper.h"

#include <pthread.h>

typedef struct seen {
    uint64_t id;
    char name[16];
    bool blocks;
    uint32_t cpu;
    pyprof_status pinned;
} seen;

static void look_around(void *user)
{
    seen *s = user;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    s->blocks = sigismember(&mask, SIGINT) == 1 &&
                sigismember(&mask, SIGTERM) == 1 &&
                sigismember(&mask, SIGPROF) == 1;
    s->id = pp_os_thread_self();
    prctl(PR_GET_NAME, s->name);
    pp_os_thread_urgent();
}

START_TEST(test_start_and_join)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    seen s = {0};
    pp_os_thread *thread;
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    ck_assert_int_eq(pp_os_thread_start(NULL, "a-name-that-is-too-long",
                                        look_around, &s, &thread, &err),
                     PYPROF_OK);
    pp_os_thread_join(thread);
    ck_assert(s.blocks);
    ck_assert_uint_ne(s.id, pp_os_thread_self());
    ck_assert_uint_ne(s.id, 0);
    ck_assert_str_eq(s.name, "a-name-that-is-");
    /* the starter's own mask is as it was */
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ck_assert_int_eq(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    pp_os_thread_join(NULL);
    ck_assert_int_eq(pp_os_self_pid(), getpid());
    ck_assert_uint_eq(pp_os_thread_self(), (uint64_t)getpid());
}
END_TEST

static void move_around(void *user)
{
    seen *s = user;
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_cpus mine;
    ck_assert_int_eq(pp_os_cpus_of_self(&mine, &err), PYPROF_OK);
    s->pinned = PYPROF_ERR_INTERNAL;
    for (uint32_t cpu = 0; cpu < 1024; cpu++) {
        if (((mine.bits[cpu / 64] >> (cpu % 64)) & 1) != 0) {
            s->pinned = pp_os_cpu_pin(cpu, &err);
            s->cpu = pp_os_cpu_current();
            if (s->pinned != PYPROF_OK || s->cpu != cpu) {
                return;
            }
        }
    }
    s->cpu = UINT32_MAX;
    ck_assert_int_eq(pp_os_cpus_set(&mine, &err), PYPROF_OK);
    pp_os_cpus again;
    ck_assert_int_eq(pp_os_cpus_of_self(&again, &err), PYPROF_OK);
    ck_assert_mem_eq(&mine, &again, sizeof(mine));
}

START_TEST(test_pin)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    seen s = {0};
    pp_os_thread *thread;
    pp_os_thread_start(NULL, "mover", move_around, &s, &thread, &err);
    pp_os_thread_join(thread);
    ck_assert_int_eq(s.pinned, PYPROF_OK);
    ck_assert_uint_eq(s.cpu, UINT32_MAX);
    /* no such CPU, and none that could be named */
    ck_assert_int_eq(pp_os_cpu_pin(1023, &err), PYPROF_ERR_OS);
    ck_assert_int_eq(pp_os_cpu_pin(1024, &err), PYPROF_ERR_OS);
    ck_assert_int_eq(pp_os_cpu_pin(UINT32_MAX, NULL), PYPROF_ERR_OS);
}
END_TEST

static void nothing(void *user)
{
    PP_UNUSED(user);
}

static bool start_one(fault_alloc *fault)
{
    pp_os_thread *thread = NULL;
    pyprof_status status =
        pp_os_thread_start(&fault->table, "x", nothing, NULL, &thread, NULL);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    pp_os_thread_join(thread);
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    fault_loop(start_one);
}
END_TEST

SUITE_MAIN("os.thread", test_start_and_join, test_pin, test_out_of_memory)
