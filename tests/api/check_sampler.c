/*
 * pyprof/sampler.h from the outside, on a Python that this machine has:
 * arguments that are wrong, options out of range, each way of driving it, and
 * the states in which a call is refused.
 */
#include <check.h>
#include <pyprof/pyprof.h>
#include <stdlib.h>
#include <string.h>

static const char *const program = "import time\n"
                                   "def work():\n"
                                   "    return sum(range(1000))\n"
                                   "end = time.time() + 100\n"
                                   "while time.time() < end:\n"
                                   "    work()\n";

static pyprof_target *target;

/* A Python that is ready; each test runs in a process of its own. */
static void start(void)
{
    const char *argv[] = {"python3", "-S", "-c", program, NULL};
    pyprof_command command = {.sz = sizeof(command), .argv = argv};
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_msg(pyprof_target_spawn(&command, NULL, &target, &err) ==
                      PYPROF_OK,
                  "%s", err.message);
    ck_assert_msg(pyprof_target_ready(target, UINT64_MAX, &err) == PYPROF_OK,
                  "%s", err.message);
}

static void stop(void)
{
    ck_assert_int_eq(pyprof_target_end(target, 0, NULL), PYPROF_OK);
    pyprof_target_close(target);
}

static pyprof_sampler *open_sampler(const pyprof_sampler_opts *opts)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_sampler *sampler = NULL;
    ck_assert_msg(pyprof_sampler_open(target, opts, &sampler, &err) ==
                      PYPROF_OK,
                  "%s", err.message);
    return sampler;
}

static pyprof_sampler_stats stats_of(const pyprof_sampler *sampler)
{
    pyprof_sampler_stats stats;
    memset(&stats, 0, sizeof(stats));
    stats.sz = sizeof(stats);
    ck_assert_int_eq(pyprof_sampler_read_stats(sampler, &stats), PYPROF_OK);
    ck_assert_uint_eq(stats.attempted,
                      stats.whole + stats.torn + stats.gone + stats.unreadable);
    return stats;
}

START_TEST(test_null_arguments)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_sampler *sampler = NULL;
    pyprof_sampler_stats stats = {.sz = sizeof(stats)};
    ck_assert_int_eq(pyprof_sampler_open(NULL, NULL, &sampler, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_open(target, NULL, NULL, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_add(NULL, NULL, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_start(NULL, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_wait(NULL, 0, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_step(NULL, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_finish(NULL, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_snapshot(NULL, NULL, NULL, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_read_stats(NULL, &stats),
                     PYPROF_ERR_INVALID);
    pyprof_sampler_stop(NULL);
    pyprof_sampler_close(NULL);
    sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, NULL, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_snapshot(sampler, NULL, NULL, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_sampler_read_stats(sampler, NULL),
                     PYPROF_ERR_INVALID);
    pyprof_sampler_close(sampler);
}
END_TEST

static void refused(const pyprof_sampler_opts *opts, pyprof_status status)
{
    pyprof_sampler *sampler = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pyprof_sampler_open(target, opts, &sampler, &err), status);
    ck_assert_int_eq(err.status, status);
    ck_assert_int_ne(err.message[0], '\0');
    ck_assert_ptr_null(sampler);
}

START_TEST(test_opts)
{
    struct {
        pyprof_sampler_opts opts;
        uint64_t more;
    } newer = {.opts = {.sz = sizeof(newer)}, .more = 1};
    refused(&newer.opts, PYPROF_ERR_UNSUPPORTED);
    newer.more = 0;
    pyprof_sampler_close(open_sampler(&newer.opts));
    pyprof_sampler_opts opts = {.sz = sizeof(opts)};
    opts.interval_ns = 999;
    refused(&opts, PYPROF_ERR_INVALID);
    opts.interval_ns = UINT64_MAX;
    refused(&opts, PYPROF_ERR_INVALID);
    opts.interval_ns = 0;
    opts.duration_ns = UINT64_MAX;
    refused(&opts, PYPROF_ERR_INVALID);
    opts.duration_ns = 0;
    opts.flags = UINT64_C(1) << 63;
    refused(&opts, PYPROF_ERR_UNSUPPORTED);
    opts.flags = PYPROF_SAMPLE_BLOCKING | PYPROF_SAMPLE_NO_STOPS;
    refused(&opts, PYPROF_ERR_INVALID);
    opts.flags = 0;
    opts.mode = 99;
    refused(&opts, PYPROF_ERR_UNSUPPORTED);
    opts.mode = PYPROF_MODE_WALL;
    opts.placement = 3;
    refused(&opts, PYPROF_ERR_INVALID);
    opts.placement = -1;
    refused(&opts, PYPROF_ERR_INVALID);
    /* An older program's structure ends sooner. */
    opts.placement = PYPROF_PLACEMENT_FREE;
    opts.sz = offsetof(pyprof_sampler_opts, placement);
    pyprof_sampler_close(open_sampler(&opts));
}
END_TEST

/* ---- each way of driving it ------------------------------------------------
 */

typedef struct seen {
    uint64_t begins, samples, rounds, finishes, frees;
    int32_t answer; /* of sample */
} seen;

static pyprof_status on_begin(void *self, const pyprof_session *session,
                              pyprof_error *err)
{
    seen *s = self;
    (void)err;
    ck_assert_ptr_nonnull(session->tables);
    ck_assert_int_gt(session->pid, 0);
    s->begins++;
    return PYPROF_OK;
}

static pyprof_status on_sample(void *self, const pyprof_sample *sample,
                               pyprof_error *err)
{
    seen *s = self;
    (void)err;
    ck_assert_uint_gt(sample->n_stacks, 0);
    s->samples++;
    s->rounds += sample->count;
    return s->answer;
}

static pyprof_status on_finish(void *self, const pyprof_summary *summary,
                               pyprof_writer *writer, pyprof_error *err)
{
    seen *s = self;
    (void)err;
    (void)writer;
    ck_assert_uint_ge(summary->rounds, s->rounds);
    s->finishes++;
    return PYPROF_OK;
}

static void on_free(void *self)
{
    ((seen *)self)->frees++;
}

static const pyprof_collector_ops ops = {.sz = sizeof(ops),
                                         .name = "seen",
                                         .begin = on_begin,
                                         .sample = on_sample,
                                         .finish = on_finish,
                                         .free = on_free};

static pyprof_collector *new_collector(seen *s)
{
    pyprof_collector *collector = NULL;
    ck_assert_int_eq(pyprof_collector_new(&ops, s, &collector, NULL),
                     PYPROF_OK);
    return collector;
}

START_TEST(test_threads)
{
    seen first = {0};
    seen second = {0};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *a = new_collector(&first);
    pyprof_collector *b = new_collector(&second);
    pyprof_sampler_opts opts = {.sz = sizeof(opts), .duration_ns = 200000000};
    pyprof_sampler *sampler = open_sampler(&opts);
    ck_assert_int_eq(pyprof_sampler_add(sampler, a, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_add(sampler, b, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(pyprof_sampler_step(sampler, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(pyprof_sampler_add(sampler, a, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(pyprof_sampler_wait(sampler, UINT64_MAX, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_wait(sampler, 0, &err), PYPROF_OK);
    pyprof_sampler_stats stats = stats_of(sampler);
    ck_assert_uint_gt(stats.rounds, 0);
    ck_assert_uint_eq(first.begins, 1);
    ck_assert_uint_gt(first.samples, 0);
    ck_assert_uint_eq(first.samples, second.samples);
    ck_assert_uint_le(first.rounds, stats.rounds);
    ck_assert_uint_eq(first.finishes, 0); /* only when it is written */
    pyprof_sampler_close(sampler);
    pyprof_collector_free(a);
    pyprof_collector_free(b);
    ck_assert_uint_eq(first.frees, 1);
    ck_assert_int_eq(pyprof_target_alive(target), 1);
}
END_TEST

START_TEST(test_stop)
{
    seen s = {0};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_wait(sampler, 1000000, &err),
                     PYPROF_ERR_NOT_READY);
    pyprof_sampler_stop(sampler);
    ck_assert_int_eq(pyprof_sampler_wait(sampler, UINT64_MAX, &err), PYPROF_OK);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
}
END_TEST

START_TEST(test_close_while_running)
{
    seen s = {0};
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, NULL), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, NULL), PYPROF_OK);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
    ck_assert_uint_eq(s.frees, 1);
}
END_TEST

START_TEST(test_target_ends)
{
    seen s = {0};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_target_end(target, 0, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_wait(sampler, UINT64_MAX, &err), PYPROF_OK);
    (void)stats_of(sampler);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
}
END_TEST

START_TEST(test_collector_fails)
{
    seen s = {.answer = PYPROF_ERR_LIMIT};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_OK);
    pyprof_status status = pyprof_sampler_wait(sampler, UINT64_MAX, &err);
    ck_assert(status == PYPROF_ERR_LIMIT || status == PYPROF_ERR_CALLBACK);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
}
END_TEST

START_TEST(test_steps)
{
    seen s = {0};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, &err), PYPROF_OK);
    for (uint64_t i = 1; i <= 20; i++) {
        ck_assert_int_eq(pyprof_sampler_step(sampler, &err), PYPROF_OK);
        ck_assert_uint_eq(stats_of(sampler).rounds, i);
    }
    ck_assert_uint_gt(s.samples, 0);
    ck_assert_int_eq(pyprof_sampler_start(sampler, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(pyprof_sampler_finish(sampler, &err), PYPROF_OK);
    ck_assert_int_ne(pyprof_sampler_step(sampler, &err), PYPROF_OK);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
}
END_TEST

START_TEST(test_step_to_the_end)
{
    seen s = {0};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector = new_collector(&s);
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_step(sampler, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_target_end(target, 0, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_step(sampler, &err), PYPROF_ERR_GONE);
    ck_assert_int_eq(pyprof_sampler_finish(sampler, &err), PYPROF_OK);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
}
END_TEST

static int32_t take(void *user, const pyprof_sample *sample)
{
    uint64_t *taken = user;
    pyprof_thread thread = {.sz = sizeof(thread)};
    ck_assert_uint_eq(sample->n_stacks, 1);
    ck_assert_int_eq(
        pyprof_tables_thread(sample->tables, sample->stacks[0].thread, &thread),
        PYPROF_OK);
    ck_assert_int_eq(thread.is_main, 1);
    return ++*taken == 3 ? 5 : 0;
}

START_TEST(test_snapshot)
{
    uint64_t taken = 0;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_sampler *sampler = open_sampler(NULL);
    ck_assert_int_eq(pyprof_sampler_snapshot(sampler, take, &taken, &err),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_snapshot(sampler, take, &taken, &err),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_snapshot(sampler, take, &taken, &err),
                     PYPROF_ERR_CALLBACK);
    ck_assert_uint_eq(taken, 3);
    ck_assert_int_eq(pyprof_target_end(target, 0, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_snapshot(sampler, take, &taken, &err),
                     PYPROF_ERR_GONE);
    pyprof_sampler_close(sampler);
}
END_TEST

START_TEST(test_describe)
{
    pyprof_target_info info = {.sz = sizeof(info)};
    ck_assert_int_eq(pyprof_target_describe(target, &info), PYPROF_OK);
    ck_assert_int_ge(info.version, 0x03080000);
    ck_assert_uint_ne(info.runtime, 0);
    ck_assert_uint_gt(info.found_by.size, 0);
    ck_assert_uint_gt(info.image.size, 0);
    ck_assert_int_eq(pyprof_target_ready(target, 0, NULL), PYPROF_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api.sampler");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, start, stop);
    tcase_add_test(all, test_null_arguments);
    tcase_add_test(all, test_opts);
    tcase_add_test(all, test_threads);
    tcase_add_test(all, test_stop);
    tcase_add_test(all, test_close_while_running);
    tcase_add_test(all, test_target_ends);
    tcase_add_test(all, test_collector_fails);
    tcase_add_test(all, test_steps);
    tcase_add_test(all, test_step_to_the_end);
    tcase_add_test(all, test_snapshot);
    tcase_add_test(all, test_describe);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
