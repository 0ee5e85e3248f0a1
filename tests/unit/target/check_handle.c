/*
 * The target handle: starting, waiting, interrupting, ending, with commands
 * that never are Python; and counting threads in memory that lies.
 */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "target/target.h"

/* ---- memory made up ------------------------------------------------------ */

enum { WORDS = 64 };
typedef struct fake {
    pp_reader base;
    uint64_t words[WORDS]; /* at addresses 0, 8, 16, ... */
} fake;

static pyprof_status fake_readv(pp_reader *reader, void *to,
                                const pp_span *spans, size_t n,
                                size_t *out_spans, uint64_t *io_calls)
{
    fake *f = (fake *)reader;
    char *at = to;
    (*io_calls)++;
    for (*out_spans = 0; *out_spans < n; (*out_spans)++) {
        const pp_span *span = &spans[*out_spans];
        if (span->address == 0 || span->address > WORDS * 8 ||
            span->size > WORDS * 8 - span->address) {
            break;
        }
        memcpy(at, (const char *)f->words + span->address, span->size);
        at += span->size;
    }
    return PYPROF_OK;
}

static const pp_reader_ops fake_ops = {"fake", fake_readv, NULL};

/* Runtime at 8: head at +0. Interpreter: next +0, threads +8. Thread: next +0,
 * interpreter +8. */
static const pp_runtime_shape shape = {.version = 0x030d,
                                       .interpreters_head = 0,
                                       .interp_next = 0,
                                       .interp_threads_head = 8,
                                       .tstate_next = 0,
                                       .tstate_interp = 8};

static void fake_init(fake *f)
{
    memset(f, 0, sizeof(*f));
    f->base.ops = &fake_ops;
}

static pp_target_census census_of(fake *f, bool all)
{
    pp_runtime runtime = {.address = 8, .hex_version = 0x030d00f0};
    pp_target_census census = {99, 99, false};
    ck_assert_int_eq(pp_target_count(&f->base, &runtime, &shape, all, &census),
                     PYPROF_OK);
    return census;
}

START_TEST(test_count)
{
    fake f;
    fake_init(&f);
    ck_assert_uint_eq(census_of(&f, true).interpreters, 0);
    f.words[1] = 80; /* head: interpreter at 80 */
    ck_assert_uint_eq(census_of(&f, true).interpreters, 1);
    ck_assert_uint_eq(census_of(&f, true).threads, 0);
    f.words[80 / 8 + 1] = 160; /* its threads: 160, 176 */
    f.words[160 / 8] = 176;
    f.words[160 / 8 + 1] = 80;
    f.words[176 / 8 + 1] = 80;
    f.words[80 / 8] = 240; /* a second one, with 256 */
    f.words[240 / 8 + 1] = 256;
    f.words[256 / 8 + 1] = 240;
    pp_target_census census = census_of(&f, true);
    ck_assert_uint_eq(census.interpreters, 2);
    ck_assert_uint_eq(census.threads, 3);
    ck_assert(!census.cut);
    census = census_of(&f, false);
    ck_assert_uint_eq(census.threads, 1);
}
END_TEST

START_TEST(test_count_lies)
{
    fake f;
    fake_init(&f);
    f.words[1] = 80;
    f.words[80 / 8] = 80; /* an interpreter after itself */
    f.words[80 / 8 + 1] = 160;
    f.words[160 / 8] = 160; /* a thread after itself */
    f.words[160 / 8 + 1] = 80;
    pp_target_census census = census_of(&f, true);
    ck_assert(census.cut);
    ck_assert_uint_le(census.threads, PP_TARGET_MAX_LIST);
    ck_assert_uint_le(census.interpreters, PP_TARGET_MAX_LIST);
    f.words[160 / 8 + 1] = 88; /* a thread of someone else */
    census = census_of(&f, true);
    ck_assert_uint_eq(census.threads, 0);
    f.words[80 / 8] = UINT64_MAX - 4; /* off the end */
    f.words[80 / 8 + 1] = UINT64_MAX - 7;
    census = census_of(&f, true);
    ck_assert_uint_eq(census.threads, 0);
    ck_assert_uint_eq(census.interpreters, 2);
}
END_TEST

START_TEST(test_count_fault)
{
    fake f;
    pp_runtime runtime = {.address = 1 << 20};
    pp_target_census census = {7, 7, true};
    fake_init(&f);
    ck_assert_int_eq(pp_target_count(&f.base, &runtime, &shape, true, &census),
                     PYPROF_ERR_FAULT);
    ck_assert_uint_eq(census.threads, 7);
}
END_TEST

START_TEST(test_shape)
{
    const pp_runtime_shape shapes[] = {
        {.version = 0x030c},
        {.version = 0x030d},
        {.version = 0x030d, .free_threaded = 1},
    };
    pp_runtime runtime = {.hex_version = 0x030d01f0};
    ck_assert_ptr_eq(pp_target_shape(shapes, 3, &runtime), &shapes[1]);
    runtime.build = PP_BUILD_FREE_THREADED | PP_BUILD_DEBUG;
    ck_assert_ptr_eq(pp_target_shape(shapes, 3, &runtime), &shapes[2]);
    runtime.hex_version = 0x030c01f0;
    ck_assert_ptr_null(pp_target_shape(shapes, 3, &runtime));
}
END_TEST

/* ---- commands that are not Python -----------------------------------------
 */

static const pp_target_config config = {.shapes = &shape, .n_shapes = 1};

static pyprof_target *spawn(const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    pp_os_command command = {.argv = argv, .fds = {-1, -1, -1}};
    pyprof_target *target = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_msg(pp_target_spawn(&command, &config, &target, &err) ==
                      PYPROF_OK,
                  "%s", err.message);
    return target;
}

START_TEST(test_ready_gone)
{
    static const struct {
        const char *script, *message;
    } rows[] = {
        {"exit 3", "with status 3 before Python started"},
        {"kill -9 $$", "by signal 9 before Python started"},
        {"sleep 0.05; exec true", "with status 0 before Python started"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        pyprof_error err = PYPROF_ERROR_INIT;
        pyprof_target *target = spawn(rows[i].script);
        ck_assert_int_eq(pp_target_ready(target, UINT64_MAX, &err),
                         PYPROF_ERR_GONE);
        ck_assert_ptr_nonnull(strstr(err.message, rows[i].message));
        ck_assert(!pp_target_alive(target));
        pp_target_close(target);
    }
}
END_TEST

START_TEST(test_ready_timeout)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = spawn("exec sleep 1000");
    ck_assert_int_eq(pp_target_ready(target, 0, &err), PYPROF_ERR_NOT_READY);
    ck_assert_int_eq(pp_target_ready(target, 5000000, &err),
                     PYPROF_ERR_NOT_READY);
    ck_assert_int_eq(err.status, PYPROF_ERR_NOT_READY);
    ck_assert(pp_target_alive(target));
    ck_assert_int_eq(pp_target_end(target, 1000000000, &err), PYPROF_OK);
    ck_assert(!pp_target_alive(target));
    pp_target_close(target);
}
END_TEST

static void pause_ms(long ms)
{
    struct timespec pause = {0, ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void *interrupt_soon(void *target)
{
    pause_ms(20);
    pp_target_interrupt(target);
    return NULL;
}

START_TEST(test_interrupt)
{
    pthread_t thread;
    int32_t status = -1;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = spawn("exec sleep 1000");
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_soon, target), 0);
    ck_assert_int_eq(pp_target_ready(target, UINT64_MAX, &err),
                     PYPROF_ERR_BUSY);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    /* It holds... */
    ck_assert_int_eq(pp_target_wait(target, UINT64_MAX, &status, &err),
                     PYPROF_ERR_BUSY);
    ck_assert_int_eq(status, -1);
    /* ...but how a command ended is told all the same. */
    ck_assert_int_eq(pp_target_end(target, 1000000000, &err), PYPROF_OK);
    ck_assert_int_eq(pp_target_wait(target, 0, &status, &err), PYPROF_OK);
    ck_assert_int_eq(status, 128 + SIGTERM);
    pp_target_close(target);
}
END_TEST

START_TEST(test_wait)
{
    int32_t status = -1;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = spawn("sleep 0.05; exit 11");
    ck_assert_int_eq(pp_target_wait(target, 0, &status, &err),
                     PYPROF_ERR_NOT_READY);
    ck_assert_int_eq(pp_target_wait(target, UINT64_MAX, &status, &err),
                     PYPROF_OK);
    ck_assert_int_eq(status, 11);
    ck_assert_int_eq(pp_target_wait(target, 0, &status, &err), PYPROF_OK);
    ck_assert_int_eq(pp_target_end(target, 0, &err), PYPROF_OK);
    pp_target_close(target);
    pp_target_close(NULL);
}
END_TEST

START_TEST(test_end_by_force)
{
    int32_t status = -1;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_target *target = spawn("trap '' TERM; while :; do sleep 0.01; done");
    pause_ms(50);
    ck_assert_int_eq(pp_target_end(target, 20000000, &err), PYPROF_OK);
    ck_assert_int_eq(pp_target_wait(target, 0, &status, &err), PYPROF_OK);
    ck_assert_int_eq(status, 128 + SIGKILL);
    pp_target_close(target);
}
END_TEST

START_TEST(test_open)
{
    pyprof_target *target = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    /* This program has no Python. */
    ck_assert_int_eq(pp_target_open(getpid(), &config, &target, &err),
                     PYPROF_ERR_NOT_PYTHON);
    ck_assert_int_ne(err.message[0], '\0');
    ck_assert_int_eq(pp_target_open(INT32_MAX, &config, &target, &err),
                     PYPROF_ERR_NO_PROCESS);
    ck_assert_ptr_null(target);
}
END_TEST

START_TEST(test_spawn_fails)
{
    const char *argv[] = {"no-such-command-at-all", NULL};
    pp_os_command command = {.argv = argv, .fds = {-1, -1, -1}};
    pyprof_target *target = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_target_spawn(&command, &config, &target, &err),
                     PYPROF_ERR_SPAWN);
    ck_assert_ptr_nonnull(strstr(err.message, "no-such-command-at-all"));
    ck_assert_ptr_null(target);
}
END_TEST

START_TEST(test_describe)
{
    pyprof_target_info info;
    pyprof_target *target = spawn("exec sleep 1000");
    pp_target_describe(target, &info);
    ck_assert_int_gt(info.pid, 0);
    ck_assert_int_eq(info.version, 0);
    ck_assert_uint_eq(info.image.size, 0);
    ck_assert_str_eq(info.found_by.data, "");
    ck_assert_int_eq(pp_target_end(target, 0, NULL), PYPROF_OK);
    pp_target_close(target);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target.handle");
    TCase *memory = tcase_create("memory");
    TCase *commands = tcase_create("commands");
    tcase_add_test(memory, test_count);
    tcase_add_test(memory, test_count_lies);
    tcase_add_test(memory, test_count_fault);
    tcase_add_test(memory, test_shape);
    tcase_add_test(commands, test_ready_gone);
    tcase_add_test(commands, test_ready_timeout);
    tcase_add_test(commands, test_interrupt);
    tcase_add_test(commands, test_wait);
    tcase_add_test(commands, test_end_by_force);
    tcase_add_test(commands, test_open);
    tcase_add_test(commands, test_spawn_fails);
    tcase_add_test(commands, test_describe);
    suite_add_tcase(suite, memory);
    suite_add_tcase(suite, commands);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
