/* os/clock: deadlines are kept, and an event ends every kind of wait. */
#include "helper.h"

#include <pthread.h>

#define MS UINT64_C(1000000)
#define LONG (60 * 1000 * MS)

static void post_soon(void *user)
{
    pp_os_sleep_until(pp_os_now() + 5 * MS, NULL);
    pp_os_event_post(user);
}

START_TEST(test_clocks)
{
    uint64_t before = pp_os_now();
    uint64_t cpu = pp_os_thread_cpu_ns();
    uint64_t process_cpu = pp_os_self_cpu_ns();
    while (pp_os_thread_cpu_ns() - cpu < MS) {
    }
    ck_assert_uint_gt(pp_os_now(), before);
    ck_assert_uint_ge(pp_os_self_cpu_ns() - process_cpu, MS / 2);
    /* 2020 to 2100 */
    ck_assert_int_gt(pp_os_unix_now(), INT64_C(1577836800000000000));
    ck_assert_int_lt(pp_os_unix_now(), INT64_C(4102444800000000000));
}
END_TEST

START_TEST(test_sleep_is_not_cut_short)
{
    pp_os_event *event = pp_os_event_new(NULL);
    for (int i = 0; i < 20; i++) {
        uint64_t deadline = pp_os_now() + (uint64_t)i * MS / 10;
        ck_assert(!pp_os_sleep_until(deadline, i % 2 == 0 ? NULL : event));
        ck_assert_uint_ge(pp_os_now(), deadline);
    }
    /* one that has passed */
    ck_assert(!pp_os_sleep_until(0, NULL));
    ck_assert(!pp_os_sleep_until(0, event));
    pp_os_event_free(event);
}
END_TEST

START_TEST(test_post_ends_sleep)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_event *event = pp_os_event_new(NULL);
    pp_os_thread *thread;
    uint64_t deadline = pp_os_now() + LONG;
    ck_assert(!pp_os_event_posted(event));
    ck_assert_int_eq(
        pp_os_thread_start(NULL, "poster", post_soon, event, &thread, &err),
        PYPROF_OK);
    ck_assert(pp_os_sleep_until(deadline, event));
    pp_os_thread_join(thread);
    /* it stays posted */
    ck_assert(pp_os_event_posted(event));
    ck_assert(pp_os_sleep_until(deadline, event));
    ck_assert(pp_os_sleep_until(UINT64_MAX, event));
    pp_os_event_post(event);
    pp_os_event_clear(event);
    ck_assert(!pp_os_event_posted(event));
    ck_assert(!pp_os_sleep_until(pp_os_now() + MS, event));
    ck_assert_uint_lt(pp_os_now(), deadline);
    pp_os_event_free(event);
}
END_TEST

static pp_os_event *for_handler;

static void on_signal(int number)
{
    PP_UNUSED(number);
    pp_os_event_post(for_handler);
}

START_TEST(test_post_from_a_signal_handler)
{
    struct sigaction action = {.sa_handler = on_signal};
    for_handler = pp_os_event_new(NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    ck_assert(pp_os_sleep_until(UINT64_MAX, for_handler));
    pp_os_event_free(for_handler);
}
END_TEST

static void rest(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_rest(self);
}

START_TEST(test_wait_for_a_process)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_event *event = pp_os_event_new(NULL);
    pp_os_thread *thread;
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    /* the deadline */
    ck_assert(!pp_os_process_wait(process, 0, NULL));
    ck_assert(!pp_os_process_wait(process, pp_os_now() + MS, event));
    /* the event, while waiting and before */
    pp_os_thread_start(NULL, "poster", post_soon, event, &thread, &err);
    ck_assert(!pp_os_process_wait(process, UINT64_MAX, event));
    pp_os_thread_join(thread);
    ck_assert(!pp_os_process_wait(process, UINT64_MAX, event));
    /* an old ring of the event must not be taken for a new one */
    pp_os_event_clear(event);
    ck_assert(!pp_os_process_wait(process, pp_os_now() + MS, event));
    /* the end */
    close(h.to);
    h.to = dup(2);
    ck_assert(pp_os_process_wait(process, UINT64_MAX, event));
    ck_assert(!pp_os_process_alive(process));
    ck_assert(pp_os_process_wait(process, 0, NULL));
    helper_end(&h);
    pp_os_process_close(process);
    pp_os_event_free(event);
}
END_TEST

/* Posts, clears and waits at random: nobody may wait for ever. */
enum { ROUNDS = 300 };
typedef struct shared {
    pp_os_event *event, *answer;
} shared;

static void answer_each(void *user)
{
    shared *s = user;
    for (int i = 0; i < ROUNDS; i++) {
        pp_os_sleep_until(UINT64_MAX, s->event);
        pp_os_event_clear(s->event);
        pp_os_event_post(s->answer);
    }
}

START_TEST(test_ping_pong)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    shared s = {pp_os_event_new(NULL), pp_os_event_new(NULL)};
    pp_os_thread *thread;
    pp_os_process *self = open_process(getpid());
    pp_os_thread_start(NULL, "answer", answer_each, &s, &thread, &err);
    for (int i = 0; i < ROUNDS; i++) {
        pp_os_event_post(s.event);
        if (i % 2 == 0) {
            ck_assert(pp_os_sleep_until(UINT64_MAX, s.answer));
        } else {
            ck_assert(!pp_os_process_wait(self, UINT64_MAX, s.answer));
        }
        pp_os_event_clear(s.answer);
    }
    pp_os_thread_join(thread);
    pp_os_process_close(self);
    pp_os_event_free(s.event);
    pp_os_event_free(s.answer);
}
END_TEST

static bool make_event(fault_alloc *fault)
{
    pp_os_event *event = pp_os_event_new(&fault->table);
    bool made = event != NULL;
    pp_os_event_free(event);
    return made;
}

START_TEST(test_out_of_memory)
{
    fault_loop(make_event);
}
END_TEST

SUITE_MAIN("os.clock", test_clocks, test_sleep_is_not_cut_short,
           test_post_ends_sleep, test_post_from_a_signal_handler,
           test_wait_for_a_process, test_ping_pong, test_out_of_memory)
