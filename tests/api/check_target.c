/*
 * pyprof/target.h from the outside: arguments that are wrong, structures of
 * other sizes, commands that are not Python.
 */
#include <check.h>
#include <pyprof/pyprof.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pyprof_target *const UNTOUCHED = (pyprof_target *)(uintptr_t)16;

START_TEST(test_null_arguments)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target_info info = {.sz = sizeof(info)};
    pyprof_target *target = UNTOUCHED;
    int32_t status = 7;
    ck_assert_int_eq(pyprof_target_open(getpid(), NULL, NULL, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(err.status, PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_open_self(NULL, NULL, NULL),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_spawn(NULL, NULL, &target, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_ready(NULL, 0, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_describe(NULL, &info), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_wait(NULL, 0, &status, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_end(NULL, 0, &err), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_alive(NULL), 0);
    pyprof_target_interrupt(NULL);
    pyprof_target_close(NULL);
    ck_assert_ptr_eq(target, UNTOUCHED);
    ck_assert_int_eq(status, 7);
}
END_TEST

START_TEST(test_open_refuses)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = UNTOUCHED;
    static const int64_t bad[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(pyprof_target_open(bad[i], NULL, &target, &err),
                         PYPROF_ERR_INVALID);
        ck_assert_int_eq(pyprof_target_check(bad[i], NULL, NULL, &err),
                         PYPROF_ERR_INVALID);
    }
    ck_assert_int_eq(pyprof_target_open(INT64_MAX, NULL, &target, &err),
                     PYPROF_ERR_NO_PROCESS);
    ck_assert_int_eq(pyprof_target_open_self(NULL, &target, &err),
                     PYPROF_ERR_NOT_PYTHON);
    ck_assert_int_ne(err.message[0], '\0');
    ck_assert_ptr_eq(target, UNTOUCHED);
}
END_TEST

START_TEST(test_opts)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = UNTOUCHED;
    struct {
        pyprof_target_opts opts;
        char more[16];
    } newer;
    memset(&newer, 0, sizeof(newer));
    /* Unknown but zero is fine; anything else is not ignored. */
    newer.opts.sz = sizeof(newer);
    ck_assert_int_eq(pyprof_target_open_self(&newer.opts, &target, &err),
                     PYPROF_ERR_NOT_PYTHON);
    newer.more[15] = 1;
    ck_assert_int_eq(pyprof_target_open_self(&newer.opts, &target, &err),
                     PYPROF_ERR_UNSUPPORTED);
    newer.opts.sz = 1;
    ck_assert_int_ne(pyprof_target_open_self(&newer.opts, &target, &err),
                     PYPROF_OK);
    pyprof_allocator broken = {.sz = sizeof(broken)};
    pyprof_target_opts opts = {.sz = sizeof(opts), .allocator = &broken};
    ck_assert_int_eq(pyprof_target_open_self(&opts, &target, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_ptr_eq(target, UNTOUCHED);
}
END_TEST

START_TEST(test_spawn_refuses)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = UNTOUCHED;
    const char *nothing[] = {NULL};
    const char *empty[] = {"", NULL};
    const char *program[] = {"true", NULL};
    pyprof_command command = {.sz = sizeof(command)};
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, &err),
                     PYPROF_ERR_INVALID);
    command.argv = nothing;
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, &err),
                     PYPROF_ERR_INVALID);
    command.argv = empty;
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, &err),
                     PYPROF_ERR_INVALID);
    command.argv = program;
    command.fds[1] = -1;
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, &err),
                     PYPROF_ERR_INVALID);
    command.fds[1] = 0;
    command.cwd = "/no/such/folder";
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, &err),
                     PYPROF_ERR_SPAWN);
    ck_assert_ptr_nonnull(strstr(err.message, "/no/such/folder"));
    ck_assert_ptr_eq(target, UNTOUCHED);
}
END_TEST

/* Descriptors, environment and folder of a command are those asked for. */
START_TEST(test_spawn)
{
    const char *argv[] = {"sh", "-c", "read a; echo $a $V $(pwd); exit 4",
                          NULL};
    const char *envp[] = {"V=word", "PATH=/usr/bin:/bin", NULL};
    pyprof_command command = {
        .sz = sizeof(command), .argv = argv, .envp = envp, .cwd = "/"};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = NULL;
    int in[2];
    int out[2];
    char text[64] = {0};
    int32_t status = -1;
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    command.fds[0] = in[0] + 1;
    command.fds[1] = out[1] + 1;
    ck_assert_msg(pyprof_target_spawn(&command, NULL, &target, &err) ==
                      PYPROF_OK,
                  "%s", err.message);
    ck_assert_int_eq(pyprof_target_alive(target), 1);
    ck_assert_int_eq(write(in[1], "text\n", 5), 5);
    ck_assert_int_eq(pyprof_target_ready(target, UINT64_MAX, &err),
                     PYPROF_ERR_GONE);
    ck_assert_int_eq(pyprof_target_wait(target, UINT64_MAX, &status, &err),
                     PYPROF_OK);
    ck_assert_int_eq(status, 4);
    ck_assert_int_eq(pyprof_target_wait(target, 0, NULL, NULL), PYPROF_OK);
    ck_assert_int_eq(pyprof_target_alive(target), 0);
    ck_assert_int_gt(read(out[0], text, sizeof(text) - 1), 0);
    ck_assert_str_eq(text, "text word /\n");
    pyprof_target_close(target);
}
END_TEST

START_TEST(test_describe_sizes)
{
    const char *argv[] = {"sleep", "1000", NULL};
    pyprof_command command = {.sz = sizeof(command), .argv = argv};
    pyprof_target *target = NULL;
    pyprof_target_info info;
    ck_assert_int_eq(pyprof_target_spawn(&command, NULL, &target, NULL),
                     PYPROF_OK);
    memset(&info, 0x55, sizeof(info));
    info.sz = offsetof(pyprof_target_info, version);
    ck_assert_int_eq(pyprof_target_describe(target, &info), PYPROF_OK);
    ck_assert_int_gt(info.pid, 0);
    ck_assert_int_eq(info.version, 0x55555555);
    info.sz = 1;
    ck_assert_int_eq(pyprof_target_describe(target, &info), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_target_end(target, 1000000000, NULL), PYPROF_OK);
    pyprof_target_close(target);
}
END_TEST

typedef struct steps {
    int n;
    pyprof_status last;
} steps;

static void count_step(void *user, const pyprof_check_step *step)
{
    steps *counted = user;
    ck_assert_uint_eq(step->sz, sizeof(*step));
    ck_assert_uint_gt(step->step.size, 0);
    ck_assert_uint_gt(step->detail.size, 0);
    ck_assert_int_eq(step->detail.data[step->detail.size], '\0');
    ck_assert_int_eq(counted->last, PYPROF_OK); /* none after a failed one */
    counted->n++;
    counted->last = step->status;
}

START_TEST(test_check)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    steps counted = {0, PYPROF_OK};
    ck_assert_int_eq(pyprof_target_check(getpid(), count_step, &counted, &err),
                     PYPROF_ERR_NOT_PYTHON);
    ck_assert_int_eq(counted.n, 3);
    ck_assert_int_eq(counted.last, PYPROF_ERR_NOT_PYTHON);
    ck_assert_int_eq(pyprof_target_check(INT32_MAX, NULL, NULL, NULL),
                     PYPROF_ERR_NO_PROCESS);
}
END_TEST

START_TEST(test_versions)
{
    pyprof_version_info info;
    int32_t last = 0;
    uint32_t n = 0;
    for (;; n++) {
        memset(&info, 0, sizeof(info));
        info.sz = sizeof(info);
        if (pyprof_supported_version(n, &info) != PYPROF_OK) {
            break;
        }
        ck_assert_int_ge(info.version, last); /* oldest first */
        ck_assert_int_ge(info.version, 0x0308);
        ck_assert_int_eq(strncmp(info.name, "3.", 2), 0);
        ck_assert_int_eq(info.name[strlen(info.name) - 1] == 't',
                         info.free_threaded);
        last = info.version;
    }
    ck_assert_uint_ge(n, 8);
    ck_assert_int_eq(pyprof_supported_version(n, &info), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_supported_version(0, NULL), PYPROF_ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api.target");
    TCase *all = tcase_create("all");
    tcase_add_test(all, test_null_arguments);
    tcase_add_test(all, test_open_refuses);
    tcase_add_test(all, test_opts);
    tcase_add_test(all, test_spawn_refuses);
    tcase_add_test(all, test_spawn);
    tcase_add_test(all, test_describe_sizes);
    tcase_add_test(all, test_check);
    tcase_add_test(all, test_versions);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
