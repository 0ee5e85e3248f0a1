/* collector: slots, states, failures, and the built-in formats by name. */
#define _POSIX_C_SOURCE 200809L
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- a collector of the caller's own ----------------------------------- */

typedef struct own {
    int begins, samples, finishes, frees;
    pyprof_status answer; /* of every slot */
    bool explains;        /* fills the error too */
    uint64_t rounds;      /* of the summary that finish got */
} own;

static pyprof_status answer(own *o, pyprof_error *err)
{
    if (o->answer != PYPROF_OK && o->explains) {
        return pp_error_errno(err, o->answer, EIO, "own reason");
    }
    return o->answer;
}

static pyprof_status own_begin(void *self, const pyprof_session *session,
                               pyprof_error *err)
{
    own *o = self;
    o->begins++;
    ck_assert_uint_eq(session->interval_ns, 1000000);
    return answer(o, err);
}

static pyprof_status own_sample(void *self, const pyprof_sample *sample,
                                pyprof_error *err)
{
    own *o = self;
    o->samples++;
    ck_assert_uint_ge(sample->n_stacks, 1);
    return answer(o, err);
}

static pyprof_status own_finish(void *self, const pyprof_summary *summary,
                                pyprof_writer *writer, pyprof_error *err)
{
    own *o = self;
    o->finishes++;
    o->rounds = summary->rounds;
    PP_TRY(pp_writer_write(writer, "done", 4, err));
    return answer(o, err);
}

static void own_free(void *self)
{
    own *o = self;
    o->frees++;
}

static const pyprof_collector_ops own_ops = {
    .sz = sizeof(own_ops),
    .name = "own",
    .begin = own_begin,
    .sample = own_sample,
    .finish = own_finish,
    .free = own_free,
};

typedef struct fixture {
    pyprof_tables *tables;
    pyprof_session session;
    pyprof_summary summary;
    pyprof_collector *c;
    pyprof_writer *w;
    uint32_t stack;
} fixture;

static void set_up(fixture *f, const pyprof_collector_ops *ops, void *self)
{
    *f = (fixture){.tables = pp_tables_new(NULL, NULL)};
    f->session = profile_session(f->tables);
    f->summary = profile_summary();
    f->stack = STACK(f->tables, frame_at(f->tables, "a.py", "f", 1, 1, 0));
    ck_assert_uint_eq(f->stack, 1);
    ck_assert_int_eq(pp_collector_new(ops, self, NULL, &f->c, NULL), 0);
    ck_assert_int_eq(pp_writer_open_memory(NULL, &f->w, NULL), 0);
}

static void tear_down(fixture *f)
{
    pp_collector_free(f->c);
    pp_writer_close(f->w);
    pp_tables_unref(f->tables);
}

START_TEST(test_run)
{
    own o = {.answer = PYPROF_OK};
    fixture f;
    set_up(&f, &own_ops, &o);
    ck_assert_str_eq(pp_collector_name(f.c), "own");
    ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, NULL), 0);
    ck_assert_int_eq(push(f.c, 1, f.stack, 0, 1, NULL), 0);
    ck_assert_int_eq(push(f.c, 1, f.stack, 0, 1, NULL), 0);
    const pyprof_sample nothing = {.sz = sizeof(nothing), .count = 1};
    ck_assert_int_eq(pp_collector_sample(f.c, &nothing, NULL), 0);
    ck_assert_int_eq(o.samples, 2);
    ck_assert_int_eq(pp_collector_end(f.c, &f.summary, NULL), 0);
    ck_assert_int_eq(o.finishes, 0);
    ck_assert_int_eq(pp_collector_write(f.c, f.w, NULL), 0);
    ck_assert_int_eq(o.finishes, 1);
    ck_assert_uint_eq(o.rounds, 1031);
    ck_assert_str_eq(pp_writer_memory(f.w).data, "done");
    ck_assert_int_eq(o.frees, 0);
    tear_down(&f);
    ck_assert_int_eq(o.begins, 1);
    ck_assert_int_eq(o.frees, 1);
    pp_collector_free(NULL);
}
END_TEST

static void expect_busy(pyprof_status status, const pyprof_error *err)
{
    ck_assert_int_eq(status, PYPROF_ERR_BUSY);
    ck_assert_int_eq(strncmp(err->message, "the collector \"own\" ", 20), 0);
}

START_TEST(test_states)
{
    own o = {.answer = PYPROF_OK};
    fixture f;
    pyprof_error err = PYPROF_ERROR_INIT;
    set_up(&f, &own_ops, &o);
    for (int run = 0; run < 2; run++) {
        /* idle, or written by the run before */
        expect_busy(push(f.c, 1, f.stack, 0, 1, &err), &err);
        expect_busy(pp_collector_end(f.c, &f.summary, &err), &err);
        expect_busy(pp_collector_write(f.c, f.w, &err), &err);
        ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, &err),
                         0);
        expect_busy(pp_collector_begin(f.c, &f.session, f.tables, &err), &err);
        expect_busy(pp_collector_write(f.c, f.w, &err), &err);
        ck_assert_int_eq(pp_collector_end(f.c, &f.summary, &err), 0);
        expect_busy(push(f.c, 1, f.stack, 0, 1, &err), &err);
        expect_busy(pp_collector_end(f.c, &f.summary, &err), &err);
        ck_assert_int_eq(pp_collector_write(f.c, f.w, &err), 0);
        expect_busy(pp_collector_write(f.c, f.w, &err), &err);
    }
    ck_assert_int_eq(o.begins, 2);
    ck_assert_int_eq(o.finishes, 2);
    ck_assert_int_eq(o.samples, 0);
    tear_down(&f);
}
END_TEST

START_TEST(test_default_slots)
{
    const pyprof_collector_ops ops = {.sz = sizeof(ops), .sample = own_sample};
    own o = {.answer = PYPROF_OK};
    fixture f;
    set_up(&f, &ops, &o);
    ck_assert_str_eq(pp_collector_name(f.c), "collector");
    ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, NULL), 0);
    ck_assert_int_eq(push(f.c, 1, f.stack, 0, 1, NULL), 0);
    ck_assert_int_eq(pp_collector_end(f.c, &f.summary, NULL), 0);
    ck_assert_int_eq(pp_collector_write(f.c, f.w, NULL), 0);
    ck_assert_uint_eq(pp_writer_memory(f.w).size, 0);
    tear_down(&f);
}
END_TEST

typedef struct failure {
    pyprof_status answer;
    bool explains;
    pyprof_status expected;
    const char *in_message;
} failure;

static const failure failures[] = {
    {PYPROF_ERR_IO, true, PYPROF_ERR_IO, "own reason: Input/output error"},
    {PYPROF_ERR_IO, false, PYPROF_ERR_IO,
     "of the collector \"own\" failed: reading or writing failed"},
    {PYPROF_ERR_CALLBACK, false, PYPROF_ERR_CALLBACK, "function of the caller"},
    {1, false, PYPROF_ERR_CALLBACK, "failed with 1"},
    {42, true, PYPROF_ERR_CALLBACK, "failed with 42"},
    {-999, false, PYPROF_ERR_CALLBACK, "failed with -999"},
};

START_TEST(test_failing_slots)
{
    const failure *one = &failures[_i];
    own o = {.answer = one->answer, .explains = one->explains};
    fixture f;
    pyprof_error err = PYPROF_ERROR_INIT;
    set_up(&f, &own_ops, &o);
    ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, &err),
                     one->expected);
    ck_assert_msg(strstr(err.message, one->in_message) != NULL, "%s",
                  err.message);
    ck_assert_int_eq(err.status, one->expected);
    /* a begin that failed began nothing */
    ck_assert_int_eq(pp_collector_end(f.c, &f.summary, &err), PYPROF_ERR_BUSY);

    o.answer = PYPROF_OK;
    ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, &err), 0);
    o.answer = one->answer;
    ck_assert_int_eq(push(f.c, 1, f.stack, 0, 1, &err), one->expected);
    ck_assert_msg(strstr(err.message, one->in_message) != NULL, "%s",
                  err.message);
    ck_assert_int_eq(push(f.c, 1, f.stack, 0, 1, NULL), one->expected);
    ck_assert_int_eq(pp_collector_end(f.c, &f.summary, &err), 0);
    ck_assert_int_eq(pp_collector_write(f.c, f.w, &err), one->expected);
    ck_assert_msg(strstr(err.message, one->in_message) != NULL, "%s",
                  err.message);
    ck_assert_int_eq(pp_collector_write(f.c, f.w, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(o.finishes, 1);
    tear_down(&f);
}
END_TEST

START_TEST(test_holds_tables)
{
    own o = {.answer = PYPROF_OK};
    fault_alloc fault;
    fault_init(&fault, 0, false);
    fixture f;
    set_up(&f, &own_ops, &o);
    pyprof_tables *first = pp_tables_new(&fault.table, NULL);
    pyprof_session session = profile_session(first);
    ck_assert_int_eq(pp_collector_begin(f.c, &session, first, NULL), 0);
    pp_tables_unref(first);
    ck_assert_int_gt(fault.held, 0);
    ck_assert_int_eq(pp_collector_end(f.c, &f.summary, NULL), 0);
    ck_assert_int_gt(fault.held, 0);
    /* let go by the next begin */
    ck_assert_int_eq(pp_collector_begin(f.c, &f.session, f.tables, NULL), 0);
    ck_assert_int_eq(fault.held, 0);
    tear_down(&f);
}
END_TEST

/* ---- built-in formats -------------------------------------------------- */

START_TEST(test_list)
{
    uint32_t n = 0;
    for (;; n++) {
        pyprof_format_info info = {.sz = sizeof(info)};
        pyprof_status status = pp_collector_format(n, &info);
        if (status == PYPROF_ERR_NO_FORMAT) {
            break;
        }
        ck_assert_int_eq(status, PYPROF_OK);
        ck_assert_uint_gt(strlen(info.name), 0);
        ck_assert_uint_gt(strlen(info.description), 0);
        const pyprof_format_opts opts = {.sz = sizeof(opts)};
        pyprof_collector *c = NULL;
        ck_assert_int_eq(pp_collector_new_format(info.name, &opts, &c, NULL),
                         0);
        ck_assert_str_eq(pp_collector_name(c), info.name);
        pp_collector_free(c);
    }
    ck_assert_uint_ge(n, 3);
    pyprof_format_info info = {.sz = 3};
    ck_assert_int_eq(pp_collector_format(0, &info), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pp_collector_format(UINT32_MAX, &info),
                     PYPROF_ERR_NO_FORMAT);
}
END_TEST

START_TEST(test_wrong_options)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *c = NULL;
    pyprof_format_opts opts = {.sz = sizeof(opts)};
    ck_assert_int_eq(pp_collector_new_format("no such", &opts, &c, &err),
                     PYPROF_ERR_NO_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "\"no such\""));
    ck_assert_ptr_nonnull(strstr(err.message, "table, pstats, collapsed"));
    opts.sort = PYPROF_SORT_NAME + 1;
    ck_assert_int_eq(pp_collector_new_format("table", &opts, &c, &err),
                     PYPROF_ERR_INVALID);
    opts.sort = -1;
    ck_assert_int_eq(pp_collector_new_format("table", &opts, &c, &err),
                     PYPROF_ERR_INVALID);
    opts.sort = 0;
    opts.flags = UINT64_C(1) << 40;
    ck_assert_int_eq(pp_collector_new_format("table", &opts, &c, &err),
                     PYPROF_ERR_UNSUPPORTED);
    pyprof_allocator bad = {.sz = sizeof(bad)};
    opts.flags = 0;
    opts.allocator = &bad;
    ck_assert_int_eq(pp_collector_new_format("table", &opts, &c, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_ptr_null(c);
}
END_TEST

static const char *const formats[] = {"table", "pstats", "collapsed",
                                      "flamegraph"};
static const char *format; /* the one under test */

/* Tables are not part of it: check_tables has their loop. */
static bool collect(fault_alloc *fault)
{
    const pyprof_format_opts opts = {.sz = sizeof(opts),
                                     .allocator = &fault->table};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = NULL;
    pyprof_writer *w = NULL;
    pyprof_status status = pp_collector_new_format(format, &opts, &c, &err);
    if (status == PYPROF_OK) {
        status = drive_profile(c, tables, &err);
    }
    if (status == PYPROF_OK) {
        ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
        status = pp_collector_write(c, w, &err);
    }
    pp_writer_close(w);
    pp_collector_free(c);
    pp_tables_unref(tables);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    ck_assert_int_eq(err.status, status);
    return status == PYPROF_OK;
}

START_TEST(test_format_out_of_memory)
{
    format = formats[_i];
    fault_loop(collect);
}
END_TEST

START_TEST(test_format_steady_state)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    const pyprof_format_opts opts = {.sz = sizeof(opts),
                                     .allocator = &fault.table};
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    const pyprof_session session = profile_session(tables);
    pyprof_collector *c = NULL;
    ck_assert_int_eq(pp_collector_new_format(formats[_i], &opts, &c, NULL), 0);
    pushed rows[PROFILE_MAX];
    size_t n = build_profile(tables, rows);
    ck_assert_int_eq(pp_collector_begin(c, &session, tables, NULL), 0);
    size_t requests = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++) {
            ck_assert_int_eq(
                push(c, rows[i].thread, rows[i].stack, rows[i].state, 1, NULL),
                0);
        }
        if (round == 0) {
            requests = fault.requests;
        }
    }
    ck_assert_uint_eq(fault.requests, requests);
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(push(c, 1, 1000000, 0, 1, &err), PYPROF_ERR_INVALID);
    pp_collector_free(c);
    pp_tables_unref(tables);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

START_TEST(test_format_full_disk)
{
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0) {
        return;
    }
    const pyprof_format_opts opts = {.sz = sizeof(opts)};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = NULL;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_collector_new_format(formats[_i], &opts, &c, NULL), 0);
    ck_assert_int_eq(drive_profile(c, tables, NULL), 0);
    ck_assert_int_eq(pp_writer_open_fd(fd, NULL, &w, NULL), 0);
    pyprof_status status = pp_collector_write(c, w, &err);
    if (status == PYPROF_OK) { /* all of it was gathered */
        status = pp_writer_finish(w, &err);
    }
    ck_assert_int_eq(status, PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENOSPC);
    pp_writer_close(w);
    pp_collector_free(c);
    pp_tables_unref(tables);
    close(fd);
}
END_TEST

/* A sink that refuses its Nth piece: the failure comes back, at every N. */
static int32_t refuse(void *user, const void *data, size_t size)
{
    PP_UNUSED(data);
    PP_UNUSED(size);
    return --*(int *)user == 0 ? 1 : 0;
}

START_TEST(test_format_failing_writer)
{
    const pyprof_writer_ops ops = {.sz = sizeof(ops), .write = refuse};
    const pyprof_format_opts opts = {.sz = sizeof(opts)};
    pyprof_status status = PYPROF_ERR_CALLBACK;
    int n = 1;
    for (; status != PYPROF_OK; n++) {
        int left = n;
        pyprof_error err = PYPROF_ERROR_INIT;
        pyprof_tables *tables = pp_tables_new(NULL, NULL);
        pyprof_collector *c = NULL;
        pyprof_writer *w = NULL;
        ck_assert_int_eq(pp_collector_new_format(formats[_i], &opts, &c, NULL),
                         0);
        ck_assert_int_eq(drive_profile(c, tables, NULL), 0);
        ck_assert_int_eq(pp_writer_open_callback(&ops, &left, NULL, &w, NULL),
                         0);
        status = pp_collector_write(c, w, &err);
        ck_assert(status == PYPROF_OK || status == PYPROF_ERR_CALLBACK);
        ck_assert_int_eq(status == PYPROF_OK, left > 0);
        pp_writer_close(w);
        pp_collector_free(c);
        pp_tables_unref(tables);
    }
    ck_assert_int_gt(n, 2);
}
END_TEST

/* The same again after a new begin: nothing is left of the first run. */
START_TEST(test_format_runs_twice)
{
    const pyprof_format_opts opts = {.sz = sizeof(opts)};
    pyprof_collector *c = NULL;
    char *first = NULL;
    ck_assert_int_eq(pp_collector_new_format(formats[_i], &opts, &c, NULL), 0);
    for (int run = 0; run < 2; run++) {
        pyprof_tables *tables = pp_tables_new(NULL, NULL);
        pyprof_writer *w = NULL;
        if (run == 1) {
            /* other numbers for the same stacks */
            STACK(tables, frame_at(tables, "x.py", "x", 1, 1, 0));
        }
        ck_assert_int_eq(drive_profile(c, tables, NULL), 0);
        pp_tables_unref(tables);
        ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
        ck_assert_int_eq(pp_collector_write(c, w, NULL), 0);
        pyprof_text text = pp_writer_memory(w);
        if (run == 0) {
            first = malloc(text.size + 1);
            memcpy(first, text.data, text.size + 1);
        } else {
            ck_assert_int_eq(memcmp(first, text.data, text.size + 1), 0);
        }
        pp_writer_close(w);
    }
    free(first);
    pp_collector_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collector.collector");
    TCase *tcase = tcase_create("collector");
    tcase_add_test(tcase, test_run);
    tcase_add_test(tcase, test_states);
    tcase_add_test(tcase, test_default_slots);
    tcase_add_loop_test(tcase, test_failing_slots, 0, PP_COUNT_OF(failures));
    tcase_add_test(tcase, test_holds_tables);
    tcase_add_test(tcase, test_list);
    tcase_add_test(tcase, test_wrong_options);
    tcase_add_loop_test(tcase, test_format_out_of_memory, 0,
                        PP_COUNT_OF(formats));
    tcase_add_loop_test(tcase, test_format_steady_state, 0,
                        PP_COUNT_OF(formats));
    tcase_add_loop_test(tcase, test_format_full_disk, 0, PP_COUNT_OF(formats));
    tcase_add_loop_test(tcase, test_format_failing_writer, 0,
                        PP_COUNT_OF(formats));
    tcase_add_loop_test(tcase, test_format_runs_twice, 0, PP_COUNT_OF(formats));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
