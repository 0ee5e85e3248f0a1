/*
 * A tracer in a process that has no Python: an error that says so.
 */
#include <pyprof/pyprof.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int32_t take_none(void *user, const pyprof_calls *calls)
{
    *(int *)user += 1;
    return calls->n_functions == 0 ? 0 : 1;
}

START_TEST(install_says_that_there_is_no_python)
{
    pyprof_tracer *tracer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    int taken = 0;
    ck_assert_int_eq(pyprof_tracer_new(NULL, &tracer, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_tracer_install(tracer, &err),
                     PYPROF_ERR_NOT_PYTHON);
    ck_assert_ptr_nonnull(strstr(err.message, "libpython"));
    ck_assert_int_eq(pyprof_tracer_uninstall(tracer, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_tracer_clear(tracer, &err), PYPROF_OK);
    ck_assert_int_eq(pyprof_tracer_snapshot(tracer, take_none, &taken, &err),
                     PYPROF_OK);
    ck_assert_int_eq(taken, 1);
    pyprof_tracer_free(tracer);
    pyprof_tracer_free(NULL);
}
END_TEST

static int64_t no_time(void *user)
{
    (void)user;
    return 0;
}

START_TEST(options_out_of_range_are_refused)
{
    const pyprof_filter bad = {.glob = "*", .what = 7};
    const pyprof_filter none = {.glob = NULL};
    const pyprof_tracer_opts opts[] = {
        {.sz = sizeof(opts[0]), .flags = 1U << 20},
        {.sz = sizeof(opts[0]), .reserved = 1},
        {.sz = sizeof(opts[0]), .clock = 3},
        {.sz = sizeof(opts[0]), .clock = PYPROF_CLOCK_CALLER},
        {.sz = sizeof(opts[0]), .clock_fn = no_time},
        {.sz = sizeof(opts[0]), .clock_unit = 1.0 / 0.0},
        {.sz = sizeof(opts[0]), .n_filters = 1},
        {.sz = sizeof(opts[0]), .n_filters = 1, .filters = &bad},
        {.sz = sizeof(opts[0]), .n_filters = 1, .filters = &none},
    };
    for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
        pyprof_tracer *tracer = NULL;
        pyprof_error err = PYPROF_ERROR_INIT;
        ck_assert_int_lt(pyprof_tracer_new(&opts[i], &tracer, &err), 0);
        ck_assert_int_ne(err.message[0], '\0');
        ck_assert_ptr_null(tracer);
    }
}
END_TEST

START_TEST(null_is_refused)
{
    pyprof_tracer_stats stats = {.sz = sizeof(stats)};
    ck_assert_int_eq(pyprof_tracer_new(NULL, NULL, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_install(NULL, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_uninstall(NULL, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_clear(NULL, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_set_flags(NULL, 0, NULL),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_snapshot(NULL, take_none, NULL, NULL),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_collect(NULL, NULL, NULL),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tracer_read_stats(NULL, &stats),
                     PYPROF_ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no_python");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, install_says_that_there_is_no_python);
    tcase_add_test(tests, options_out_of_range_are_refused);
    tcase_add_test(tests, null_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
