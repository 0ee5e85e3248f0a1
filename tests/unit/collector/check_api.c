/*
 * api: the argument checks in front of statuses, versions, tables, writers and
 * collectors, and that behind them the same things happen as below.
 */
#include "profile.h"

#include <pyprof/version.h>

#include <stdio.h>

static void expect(pyprof_status status, pyprof_status expected,
                   const char *in_message, pyprof_error *err)
{
    ck_assert_msg(status == expected, "%d: %s", (int)status, err->message);
    ck_assert_int_eq(err->status, expected);
    ck_assert_msg(strstr(err->message, in_message) != NULL, "%s", err->message);
    *err = (pyprof_error)PYPROF_ERROR_INIT;
}

START_TEST(test_status_and_version)
{
    ck_assert_str_eq(pyprof_status_name(PYPROF_ERR_GONE), "gone");
    ck_assert_str_eq(pyprof_status_text(PYPROF_ERR_GONE),
                     "the process has ended");
    ck_assert_str_eq(pyprof_status_name(7), "unknown");
    ck_assert_str_eq(pyprof_status_text(7), "unknown status");
    char version[32];
    snprintf(version, sizeof(version), "%d.%d.%d", PYPROF_VERSION_MAJOR,
             PYPROF_VERSION_MINOR, PYPROF_VERSION_PATCH);
    ck_assert_str_eq(pyprof_version_string(), version);
    ck_assert_int_eq(pyprof_version_number(), PYPROF_VERSION_NUMBER);
}
END_TEST

START_TEST(test_tables)
{
    pyprof_tables *t = pp_tables_new(NULL, NULL);
    uint32_t frame = frame_at(t, "a.py", "f", 1, 2, 3);
    uint32_t stack = STACK(t, frame);
    const pyprof_thread thread = {.sz = sizeof(thread), .os_id = 5};
    ck_assert_uint_eq(pp_tables_thread_new(t, &thread), 1);
    pyprof_frame out = {.sz = sizeof(out)};
    ck_assert_int_eq(pyprof_tables_frame(t, frame, &out), 0);
    ck_assert_int_eq(out.line, 2);
    ck_assert_str_eq(out.file.data, "a.py");
    /* an older caller, who has less room */
    out = (pyprof_frame){.sz = offsetof(pyprof_frame, line)};
    ck_assert_int_eq(pyprof_tables_frame(t, frame, &out), 0);
    ck_assert_int_eq(out.first_line, 1);
    ck_assert_int_eq(out.line, 0);
    ck_assert_uint_eq(out.sz, offsetof(pyprof_frame, line));
    out.sz = 0;
    ck_assert_int_eq(pyprof_tables_frame(t, frame, &out), PYPROF_ERR_INVALID);
    out.sz = sizeof(out);
    ck_assert_int_eq(pyprof_tables_frame(t, 0, &out), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_frame(t, 1000, &out), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_frame(t, frame, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_frame(NULL, frame, &out),
                     PYPROF_ERR_INVALID);
    uint32_t parent = 7;
    uint32_t leaf = 7;
    ck_assert_int_eq(pyprof_tables_stack(t, stack, &parent, &leaf), 0);
    ck_assert_uint_eq(parent, 0);
    ck_assert_uint_eq(leaf, frame);
    ck_assert_int_eq(pyprof_tables_stack(t, stack, NULL, NULL), 0);
    ck_assert_int_eq(pyprof_tables_stack(t, 9, &parent, &leaf),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_stack(NULL, stack, &parent, &leaf),
                     PYPROF_ERR_INVALID);
    pyprof_thread seen = {.sz = sizeof(seen)};
    ck_assert_int_eq(pyprof_tables_thread(t, 1, &seen), 0);
    ck_assert_uint_eq(seen.os_id, 5);
    ck_assert_int_eq(pyprof_tables_thread(t, 2, &seen), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_thread(t, 1, NULL), PYPROF_ERR_INVALID);
    ck_assert_int_eq(pyprof_tables_thread(NULL, 1, &seen), PYPROF_ERR_INVALID);
    seen.sz = 1;
    ck_assert_int_eq(pyprof_tables_thread(t, 1, &seen), PYPROF_ERR_INVALID);
    ck_assert_uint_ge(pyprof_tables_frames(t), frame);
    ck_assert_uint_eq(pyprof_tables_stacks(t), 1);
    ck_assert_uint_eq(pyprof_tables_threads(t), 1);
    ck_assert_uint_eq(pyprof_tables_frames(NULL), 0);
    ck_assert_uint_eq(pyprof_tables_stacks(NULL), 0);
    ck_assert_uint_eq(pyprof_tables_threads(NULL), 0);
    pp_tables_unref(t);
}
END_TEST

static int32_t take(void *user, const void *data, size_t size)
{
    PP_UNUSED(data);
    *(size_t *)user += size;
    return 0;
}

START_TEST(test_writer_arguments)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    pyprof_writer_ops ops = {.sz = sizeof(ops)};
    expect(pyprof_writer_open_path(NULL, NULL, &w, &err), PYPROF_ERR_INVALID,
           "path is NULL", &err);
    expect(pyprof_writer_open_path("", NULL, &w, &err), PYPROF_ERR_INVALID,
           "path is empty", &err);
    expect(pyprof_writer_open_path("x", NULL, NULL, &err), PYPROF_ERR_INVALID,
           "out_writer is NULL", &err);
    expect(pyprof_writer_open_fd(-1, NULL, &w, &err), PYPROF_ERR_INVALID,
           "fd is -1", &err);
    expect(pyprof_writer_open_fd(1, NULL, NULL, &err), PYPROF_ERR_INVALID,
           "out_writer is NULL", &err);
    expect(pyprof_writer_open_memory(NULL, NULL, &err), PYPROF_ERR_INVALID,
           "out_writer is NULL", &err);
    expect(pyprof_writer_open_callback(NULL, NULL, NULL, &w, &err),
           PYPROF_ERR_INVALID, "ops is NULL", &err);
    expect(pyprof_writer_open_callback(&ops, NULL, NULL, &w, &err),
           PYPROF_ERR_INVALID, "pyprof_writer_ops.write is NULL", &err);
    expect(pyprof_writer_open_callback(&ops, NULL, NULL, NULL, &err),
           PYPROF_ERR_INVALID, "out_writer is NULL", &err);
    ops.sz = 1;
    expect(pyprof_writer_open_callback(&ops, NULL, NULL, &w, &err),
           PYPROF_ERR_UNSUPPORTED, "pyprof_writer_ops", &err);
    const pyprof_writer_opts bad = {.sz = 1};
    expect(pyprof_writer_open_path("x", &bad, &w, &err), PYPROF_ERR_UNSUPPORTED,
           "pyprof_writer_opts", &err);
    expect(pyprof_writer_open_fd(1, &bad, &w, &err), PYPROF_ERR_UNSUPPORTED,
           "pyprof_writer_opts", &err);
    expect(pyprof_writer_open_memory(&bad, &w, &err), PYPROF_ERR_UNSUPPORTED,
           "pyprof_writer_opts", &err);
    const pyprof_allocator none = {.sz = sizeof(none)};
    const pyprof_writer_opts opts = {.sz = sizeof(opts), .allocator = &none};
    expect(pyprof_writer_open_memory(&opts, &w, &err), PYPROF_ERR_INVALID,
           "alloc, realloc and free", &err);
    ck_assert_ptr_null(w);
    expect(pyprof_writer_write(NULL, "x", 1, &err), PYPROF_ERR_INVALID,
           "writer is NULL", &err);
    expect(pyprof_writer_finish(NULL, &err), PYPROF_ERR_INVALID,
           "writer is NULL", &err);
    ck_assert_uint_eq(pyprof_writer_memory(NULL).size, 0);
    pyprof_writer_close(NULL);
}
END_TEST

START_TEST(test_writers)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    const pyprof_writer_opts opts = {.sz = sizeof(opts),
                                     .allocator = &fault.table};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pyprof_writer_open_memory(&opts, &w, &err), 0);
    ck_assert_int_eq(pyprof_writer_write(w, "abc", 3, &err), 0);
    ck_assert_int_eq(pyprof_writer_write(w, NULL, 0, &err), 0);
    expect(pyprof_writer_write(w, NULL, 1, &err), PYPROF_ERR_INVALID,
           "data is NULL", &err);
    ck_assert_int_eq(pyprof_writer_finish(w, &err), 0);
    ck_assert_str_eq(pyprof_writer_memory(w).data, "abc");
    pyprof_writer_close(w);
    size_t taken = 0;
    const pyprof_writer_ops ops = {.sz = sizeof(ops), .write = take};
    ck_assert_int_eq(pyprof_writer_open_callback(&ops, &taken, &opts, &w, &err),
                     0);
    ck_assert_int_eq(pyprof_writer_write(w, "abc", 3, &err), 0);
    ck_assert_uint_eq(taken, 3);
    pyprof_writer_close(w);
    ck_assert_int_eq(pyprof_writer_open_path("/dev/null", &opts, &w, &err), 0);
    ck_assert_int_eq(pyprof_writer_write(w, "abc", 3, &err), 0);
    ck_assert_int_eq(pyprof_writer_finish(w, &err), 0);
    pyprof_writer_close(w);
    ck_assert_int_eq(pyprof_writer_open_fd(1, &opts, &w, &err), 0);
    pyprof_writer_close(w);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

static pyprof_status ignore_sample(void *self, const pyprof_sample *sample,
                                   pyprof_error *err)
{
    PP_UNUSED(self);
    PP_UNUSED(sample);
    PP_UNUSED(err);
    return PYPROF_OK;
}

START_TEST(test_collector_arguments)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *c = NULL;
    expect(pyprof_collector_new_format(NULL, NULL, &c, &err),
           PYPROF_ERR_INVALID, "format is NULL", &err);
    expect(pyprof_collector_new_format("table", NULL, NULL, &err),
           PYPROF_ERR_INVALID, "out_collector is NULL", &err);
    expect(pyprof_collector_new_format("nope", NULL, &c, &err),
           PYPROF_ERR_NO_FORMAT, "nope", &err);
    const pyprof_format_opts bad = {.sz = 2};
    expect(pyprof_collector_new_format("table", &bad, &c, &err),
           PYPROF_ERR_UNSUPPORTED, "pyprof_format_opts", &err);
    pyprof_collector_ops ops = {.sz = sizeof(ops)};
    expect(pyprof_collector_new(NULL, NULL, &c, &err), PYPROF_ERR_INVALID,
           "ops is NULL", &err);
    expect(pyprof_collector_new(&ops, NULL, &c, &err), PYPROF_ERR_INVALID,
           "pyprof_collector_ops.sample is NULL", &err);
    expect(pyprof_collector_new(&ops, NULL, NULL, &err), PYPROF_ERR_INVALID,
           "out_collector is NULL", &err);
    ops.sz = 2;
    expect(pyprof_collector_new(&ops, NULL, &c, &err), PYPROF_ERR_UNSUPPORTED,
           "pyprof_collector_ops", &err);
    ck_assert_ptr_null(c);
    ops = (pyprof_collector_ops){
        .sz = sizeof(ops), .name = "mine", .sample = ignore_sample};
    ck_assert_int_eq(pyprof_collector_new(&ops, NULL, &c, &err), 0);
    ck_assert_str_eq(pyprof_collector_name(c), "mine");
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pyprof_writer_open_memory(NULL, &w, &err), 0);
    expect(pyprof_collector_write(NULL, w, &err), PYPROF_ERR_INVALID,
           "collector is NULL", &err);
    expect(pyprof_collector_write(c, NULL, &err), PYPROF_ERR_INVALID,
           "writer is NULL", &err);
    expect(pyprof_collector_write(c, w, &err), PYPROF_ERR_BUSY, "\"mine\"",
           &err);
    pyprof_writer_close(w);
    pyprof_collector_free(c);
    pyprof_collector_free(NULL);
    ck_assert_str_eq(pyprof_collector_name(NULL), "");
    ck_assert_int_eq(pyprof_format(0, NULL), PYPROF_ERR_INVALID);
    pyprof_format_info info = {.sz = sizeof(info)};
    ck_assert_int_eq(pyprof_format(0, &info), PYPROF_OK);
    ck_assert_int_eq(pyprof_format(99, &info), PYPROF_ERR_NO_FORMAT);
    ck_assert_int_eq(pyprof_collector_new_format("table", NULL, &c, &err), 0);
    ck_assert_str_eq(pyprof_collector_name(c), "table");
    pyprof_collector_free(c);
}
END_TEST

SUITE_MAIN("collector.api", test_status_and_version, test_tables,
           test_writer_arguments, test_writers, test_collector_arguments)
