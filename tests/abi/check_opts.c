/*
 * Structures of every size: a program may have been compiled with older or
 * newer headers than the library. Whatever is given by the caller is taken
 * when it is shorter, taken when it is longer and the rest is zero, and refused
 * when the rest says something that this library does not know. Whatever the
 * library fills is written up to the caller's size and not a byte further.
 */
#include <pyprof/pyprof.h>

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE 1024
#define TAIL 64

/* ---- What the caller gives --------------------------------------------- */

/* Makes something with opts, and lets go of it again. */
typedef pyprof_status (*use_opts)(const void *opts, pyprof_error *err);

static pyprof_status use_writer_opts(const void *opts, pyprof_error *err)
{
    pyprof_writer *writer = NULL;
    pyprof_status status = pyprof_writer_open_memory(opts, &writer, err);

    ck_assert((status == PYPROF_OK) == (writer != NULL));
    pyprof_writer_close(writer);
    return status;
}

static pyprof_status use_format_opts(const void *opts, pyprof_error *err)
{
    pyprof_collector *collector = NULL;
    pyprof_status status =
        pyprof_collector_new_format("collapsed", opts, &collector, err);

    ck_assert((status == PYPROF_OK) == (collector != NULL));
    pyprof_collector_free(collector);
    return status;
}

static pyprof_status use_target_opts(const void *opts, pyprof_error *err)
{
    static const char *const argv[] = {"true", NULL};
    pyprof_command command = {.sz = sizeof(command), .argv = argv};
    pyprof_target *target = NULL;
    int32_t exit_status = -1;
    pyprof_status status = pyprof_target_spawn(&command, opts, &target, err);

    ck_assert((status == PYPROF_OK) == (target != NULL));
    if (target != NULL) {
        ck_assert_int_eq(
            pyprof_target_wait(target, UINT64_MAX, &exit_status, err),
            PYPROF_OK);
        ck_assert_int_eq(exit_status, 0);
    }
    pyprof_target_close(target);
    return status;
}

static pyprof_status use_command(const void *command, pyprof_error *err)
{
    pyprof_target *target = NULL;
    int32_t exit_status = -1;
    pyprof_status status = pyprof_target_spawn(command, NULL, &target, err);

    ck_assert((status == PYPROF_OK) == (target != NULL));
    if (target != NULL) {
        ck_assert_int_eq(
            pyprof_target_wait(target, UINT64_MAX, &exit_status, err),
            PYPROF_OK);
    }
    pyprof_target_close(target);
    return status;
}

static pyprof_status take_nothing(void *self, const pyprof_sample *sample,
                                  pyprof_error *err)
{
    (void)self;
    (void)sample;
    (void)err;
    return PYPROF_OK;
}

static pyprof_status use_collector_ops(const void *ops, pyprof_error *err)
{
    pyprof_collector *collector = NULL;
    pyprof_status status = pyprof_collector_new(ops, NULL, &collector, err);

    ck_assert((status == PYPROF_OK) == (collector != NULL));
    pyprof_collector_free(collector);
    return status;
}

static int32_t write_nothing(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    (void)size;
    return 0;
}

static pyprof_status use_writer_ops(const void *ops, pyprof_error *err)
{
    pyprof_writer *writer = NULL;
    pyprof_status status =
        pyprof_writer_open_callback(ops, NULL, NULL, &writer, err);

    ck_assert((status == PYPROF_OK) == (writer != NULL));
    pyprof_writer_close(writer);
    return status;
}

static void *allocate(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void *reallocate(void *user, void *ptr, size_t size)
{
    (void)user;
    return realloc(ptr, size);
}

static void release(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

static pyprof_status use_allocator(const void *allocator, pyprof_error *err)
{
    pyprof_writer_opts opts = {.sz = sizeof(opts), .allocator = allocator};

    return use_writer_opts(&opts, err);
}

/* A Python to look at, started when a test first needs it and ended after it.
 * Each test runs in a process of its own. */
static pyprof_target *python;

static pyprof_target *start_python(void)
{
    static const char *const argv[] = {"python3", "-c",
                                       "import time; time.sleep(600)", NULL};
    pyprof_command command = {.sz = sizeof(command), .argv = argv};
    pyprof_error err = PYPROF_ERROR_INIT;

    if (python == NULL) {
        ck_assert_msg(pyprof_target_spawn(&command, NULL, &python, &err) ==
                          PYPROF_OK,
                      "%s", err.message);
        ck_assert_msg(pyprof_target_ready(python, UINT64_MAX, &err) ==
                          PYPROF_OK,
                      "%s", err.message);
    }
    return python;
}

static void end_python(void)
{
    if (python != NULL) {
        pyprof_target_end(python, 0, NULL);
        pyprof_target_close(python);
        python = NULL;
    }
}

static pyprof_status use_sampler_opts(const void *opts, pyprof_error *err)
{
    pyprof_sampler *sampler = NULL;
    pyprof_status status =
        pyprof_sampler_open(start_python(), opts, &sampler, err);

    ck_assert((status == PYPROF_OK) == (sampler != NULL));
    pyprof_sampler_close(sampler);
    return status;
}

static const char *const command_argv[] = {"true", NULL};

/* `sz` of each value is what its structure had at first; `least` is how much
 * of it has to be there. */
static const pyprof_writer_opts writer_opts = {.sz = sizeof(writer_opts)};
static const pyprof_format_opts format_opts = {.sz = sizeof(format_opts)};
static const pyprof_target_opts target_opts = {.sz = sizeof(target_opts)};
static const pyprof_sampler_opts sampler_opts = {.sz = sizeof(sampler_opts)};
static const pyprof_command command = {.sz = sizeof(command),
                                       .argv = command_argv};
static const pyprof_collector_ops collector_ops = {
    .sz = sizeof(collector_ops), .name = "nothing", .sample = take_nothing};
static const pyprof_writer_ops writer_ops = {
    .sz = sizeof(writer_ops), .name = "nowhere", .write = write_nothing};
static const pyprof_allocator allocator = {.sz = sizeof(allocator),
                                           .alloc = allocate,
                                           .realloc = reallocate,
                                           .free = release};

static const struct given {
    const char *name;
    use_opts use;
    const void *value;
    size_t size;
    size_t least; /* shorter than this something that must be set is missing */
} given[] = {
    {"pyprof_writer_opts", use_writer_opts, &writer_opts, sizeof(writer_opts),
     sizeof(size_t)},
    {"pyprof_format_opts", use_format_opts, &format_opts, sizeof(format_opts),
     sizeof(size_t)},
    {"pyprof_target_opts", use_target_opts, &target_opts, sizeof(target_opts),
     sizeof(size_t)},
    {"pyprof_sampler_opts", use_sampler_opts, &sampler_opts,
     sizeof(sampler_opts), sizeof(size_t)},
    {"pyprof_command", use_command, &command, sizeof(command),
     offsetof(pyprof_command, envp)},
    {"pyprof_collector_ops", use_collector_ops, &collector_ops,
     sizeof(collector_ops), offsetof(pyprof_collector_ops, finish)},
    {"pyprof_writer_ops", use_writer_ops, &writer_ops, sizeof(writer_ops),
     offsetof(pyprof_writer_ops, finish)},
    {"pyprof_allocator", use_allocator, &allocator, sizeof(allocator),
     offsetof(pyprof_allocator, user)},
};

#define N_GIVEN ((int)(sizeof(given) / sizeof(given[0])))

/* The value with `sz` bytes, in a block that ends where it ends, so that a
 * sanitizer sees a read behind it. `dirty`: its last byte is set. */
static pyprof_status use_sized(const struct given *one, size_t sz, int dirty,
                               pyprof_error *err)
{
    size_t bytes = sz < sizeof(size_t) ? sizeof(size_t) : sz;
    unsigned char *copy = calloc(1, bytes);
    pyprof_status status;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, one->value, bytes < one->size ? bytes : one->size);
    memcpy(copy, &sz, sizeof(sz));
    if (dirty) {
        copy[bytes - 1] = 1;
    }
    status = one->use(copy, err);
    free(copy);
    return status;
}

START_TEST(test_given_whole)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const struct given *one = &given[_i];

    ck_assert_msg(use_sized(one, one->size, 0, &err) == PYPROF_OK, "%s: %s",
                  one->name, err.message);
}
END_TEST

START_TEST(test_given_short)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const struct given *one = &given[_i];

    for (size_t sz = one->least; sz < one->size; sz += 8) {
        ck_assert_msg(use_sized(one, sz, 0, &err) == PYPROF_OK, "%s, %zu: %s",
                      one->name, sz, err.message);
    }
}
END_TEST

START_TEST(test_given_too_short)
{
    const struct given *one = &given[_i];

    /* Without even a size; and without what must be set. */
    for (size_t sz = 0; sz < one->least; sz += sz < 8 ? 1 : 8) {
        pyprof_error err = PYPROF_ERROR_INIT;
        pyprof_status status = use_sized(one, sz, 0, &err);

        ck_assert_msg(status == PYPROF_ERR_UNSUPPORTED ||
                          status == PYPROF_ERR_INVALID,
                      "%s, %zu: %d", one->name, sz, (int)status);
        ck_assert_int_eq(err.status, status);
        ck_assert_msg(err.message[0] != '\0', "%s, %zu", one->name, sz);
    }
}
END_TEST

START_TEST(test_given_long)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const struct given *one = &given[_i];

    for (size_t more = 1; more <= TAIL; more *= 2) {
        ck_assert_msg(use_sized(one, one->size + more, 0, &err) == PYPROF_OK,
                      "%s, %zu more: %s", one->name, more, err.message);
    }
}
END_TEST

START_TEST(test_given_dirty)
{
    const struct given *one = &given[_i];

    for (size_t more = 1; more <= TAIL; more *= 2) {
        pyprof_error err = PYPROF_ERROR_INIT;
        pyprof_status status = use_sized(one, one->size + more, 1, &err);

        ck_assert_msg(status == PYPROF_ERR_UNSUPPORTED, "%s, %zu more: %d",
                      one->name, more, (int)status);
        ck_assert_int_eq(err.status, status);
    }
}
END_TEST

/* ---- What the library fills -------------------------------------------- */

/* Fills `out`, which has a size, however it can be had. */
typedef void (*fill)(void *out);

static void fill_version(void *out)
{
    ck_assert_int_eq(pyprof_supported_version(0, out), PYPROF_OK);
}

static void fill_format(void *out)
{
    ck_assert_int_eq(pyprof_format(0, out), PYPROF_OK);
}

static void fill_error(void *out)
{
    pyprof_collector *collector;

    ck_assert_int_eq(
        pyprof_collector_new_format("no such format", NULL, &collector, out),
        PYPROF_ERR_NO_FORMAT);
}

static void fill_target(void *out)
{
    ck_assert_int_eq(pyprof_target_describe(start_python(), out), PYPROF_OK);
}

static void fill_stats(void *out)
{
    pyprof_sampler *sampler;

    ck_assert_int_eq(pyprof_sampler_open(start_python(), NULL, &sampler, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_read_stats(sampler, out), PYPROF_OK);
    pyprof_sampler_close(sampler);
}

/* Gets the first frame or thread of a snapshot into what `user` points to; 1
 * when there is none yet. */
static int32_t take_frame(void *user, const pyprof_sample *sample)
{
    uint32_t frame;

    if (sample->n_stacks == 0 || sample->stacks[0].stack == 0) {
        return 1;
    }
    ck_assert_int_eq(pyprof_tables_stack(sample->tables,
                                         sample->stacks[0].stack, NULL, &frame),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_tables_frame(sample->tables, frame, user),
                     PYPROF_OK);
    return 0;
}

static int32_t take_thread(void *user, const pyprof_sample *sample)
{
    ck_assert_uint_gt(sample->n_stacks, 0);
    ck_assert_int_eq(
        pyprof_tables_thread(sample->tables, sample->stacks[0].thread, user),
        PYPROF_OK);
    return 0;
}

static void fill_by_snapshot(int32_t (*take)(void *, const pyprof_sample *),
                             void *out)
{
    pyprof_sampler *sampler;
    pyprof_status status;

    ck_assert_int_eq(pyprof_sampler_open(start_python(), NULL, &sampler, NULL),
                     PYPROF_OK);
    do {
        status = pyprof_sampler_snapshot(sampler, take, out, NULL);
    } while (status == PYPROF_ERR_CALLBACK);
    ck_assert_int_eq(status, PYPROF_OK);
    pyprof_sampler_close(sampler);
}

static void fill_frame(void *out)
{
    fill_by_snapshot(take_frame, out);
}

static void fill_thread(void *out)
{
    fill_by_snapshot(take_thread, out);
}

static const struct filled {
    const char *name;
    fill fill;
    size_t size;
    int repeatable; /* the same bytes each time */
} filled[] = {
    {"pyprof_version_info", fill_version, sizeof(pyprof_version_info), 1},
    {"pyprof_format_info", fill_format, sizeof(pyprof_format_info), 1},
    {"pyprof_error", fill_error, sizeof(pyprof_error), 0},
    {"pyprof_target_info", fill_target, sizeof(pyprof_target_info), 1},
    {"pyprof_sampler_stats", fill_stats, sizeof(pyprof_sampler_stats), 0},
    {"pyprof_frame", fill_frame, sizeof(pyprof_frame), 0},
    {"pyprof_thread", fill_thread, sizeof(pyprof_thread), 0},
};

#define N_FILLED ((int)(sizeof(filled) / sizeof(filled[0])))

START_TEST(test_filled)
{
    const struct filled *one = &filled[_i];
    unsigned char whole[MAX_SIZE], part[MAX_SIZE];

    memset(whole, 0xee, sizeof(whole));
    memcpy(whole, &one->size, sizeof(size_t));
    one->fill(whole);
    for (size_t sz = sizeof(size_t); sz <= one->size + TAIL; sz += 4) {
        size_t known = sz < one->size ? sz : one->size;

        memset(part, 0xee, sizeof(part));
        memcpy(part, &sz, sizeof(sz));
        one->fill(part);
        /* The caller's size stays, and nothing behind it is touched. */
        ck_assert_msg(memcmp(part, &sz, sizeof(sz)) == 0, "%s", one->name);
        for (size_t i = sz; i < sizeof(part); i++) {
            ck_assert_msg(part[i] == 0xee, "%s, %zu: byte %zu", one->name, sz,
                          i);
        }
        ck_assert_msg(!one->repeatable ||
                          memcmp(part + sizeof(sz), whole + sizeof(sz),
                                 known - sizeof(sz)) == 0,
                      "%s, %zu", one->name, sz);
    }
}
END_TEST

/* A message that the caller's size cuts off still ends. */
START_TEST(test_error_is_terminated)
{
    for (size_t length = 1; length < 40; length++) {
        unsigned char bytes[sizeof(pyprof_error)];
        size_t sz = offsetof(pyprof_error, message) + length;

        memset(bytes, 0xee, sizeof(bytes));
        memcpy(bytes, &sz, sizeof(sz));
        fill_error(bytes);
        ck_assert_ptr_nonnull(
            memchr(bytes + offsetof(pyprof_error, message), 0, length));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opts");
    TCase *tcase = tcase_create("sizes");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, NULL, end_python);
    tcase_add_loop_test(tcase, test_given_whole, 0, N_GIVEN);
    tcase_add_loop_test(tcase, test_given_short, 0, N_GIVEN);
    tcase_add_loop_test(tcase, test_given_too_short, 0, N_GIVEN);
    tcase_add_loop_test(tcase, test_given_long, 0, N_GIVEN);
    tcase_add_loop_test(tcase, test_given_dirty, 0, N_GIVEN);
    tcase_add_loop_test(tcase, test_filled, 0, N_FILLED);
    tcase_add_test(tcase, test_error_is_terminated);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
