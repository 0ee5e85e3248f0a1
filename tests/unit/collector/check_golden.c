/*
 * collector: the built-in formats against files of tests/golden. With
 * PYPROF_GOLDEN_WRITE set, the files are written instead; look at the
 * difference before committing it.
 */
#define _POSIX_C_SOURCE 200809L
#include "profile.h"

#include <stdio.h>

/* The bytes that a format makes of the profile. The caller closes the writer.
 */
static pyprof_writer *
write_format(const char *format, const pyprof_format_opts *opts, bool is_empty)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = NULL;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_collector_new_format(format, opts, &c, &err), 0);
    if (is_empty) {
        const pyprof_session session = profile_session(tables);
        pyprof_summary summary = {.sz = sizeof(summary)};
        ck_assert_int_eq(pp_collector_begin(c, &session, tables, &err), 0);
        ck_assert_int_eq(pp_collector_end(c, &summary, &err), 0);
    } else {
        ck_assert_msg(drive_profile(c, tables, &err) == PYPROF_OK, "%s",
                      err.message);
    }
    /* the driver has gone: the collector holds the tables */
    pp_tables_unref(tables);
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, &err), 0);
    ck_assert_msg(pp_collector_write(c, w, &err) == PYPROF_OK, "%s",
                  err.message);
    pp_collector_free(c);
    return w;
}

static void golden_path(char *path, size_t size, const char *name)
{
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, size, "%.*s/../../golden/%s", (int)(slash - __FILE__),
             __FILE__, name);
}

static void compare(const char *name, pyprof_text got)
{
    char path[4096];
    golden_path(path, sizeof(path), name);
    if (getenv("PYPROF_GOLDEN_WRITE") != NULL) {
        FILE *f = fopen(path, "wb");
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(got.data, 1, got.size, f), got.size);
        fclose(f);
        return;
    }
    static char expected[65536];
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "no %s", path);
    size_t size = fread(expected, 1, sizeof(expected), f);
    fclose(f);
    ck_assert_msg(size == got.size && memcmp(expected, got.data, size) == 0,
                  "%s differs: %.*s", name, (int)got.size, got.data);
}

static void check_format(const char *name, const char *format, int32_t sort,
                         int32_t limit, uint64_t flags, bool is_empty)
{
    const pyprof_format_opts opts = {
        .sz = sizeof(opts), .sort = sort, .limit = limit, .flags = flags};
    pyprof_writer *w = write_format(format, &opts, is_empty);
    compare(name, pp_writer_memory(w));
    pp_writer_close(w);
}

START_TEST(test_collapsed)
{
    check_format("collapsed/profile.txt", "collapsed", 0, 0, 0, false);
    check_format("collapsed/empty.txt", "collapsed", 0, 0, 0, true);
}
END_TEST

START_TEST(test_pstats)
{
    check_format("pstats/profile.pstats", "pstats", 0, 0, 0, false);
    check_format("pstats/empty.pstats", "pstats", 0, 0, 0, true);
    check_format("pstats/profile-marked.pstats", "pstats", 0, 0,
                 PYPROF_FORMAT_SAMPLED_MARK, false);
    check_format("pstats/empty-marked.pstats", "pstats", 0, 0,
                 PYPROF_FORMAT_SAMPLED_MARK, true);
}
END_TEST

START_TEST(test_table)
{
    check_format("pstats/table.txt", "table", 0, 0, 0, false);
    check_format("pstats/table-limit.txt", "table", PYPROF_SORT_CUMTIME, 3, 0,
                 false);
    check_format("pstats/table-name.txt", "table", PYPROF_SORT_NAME, -1,
                 PYPROF_FORMAT_NO_SUMMARY, false);
    check_format("pstats/table-colour.txt", "table", 0, 5, PYPROF_FORMAT_COLOR,
                 false);
    check_format("pstats/table-empty.txt", "table", 0, 0, 0, true);
}
END_TEST

SUITE_MAIN("collector.golden", test_collapsed, test_pstats, test_table)
