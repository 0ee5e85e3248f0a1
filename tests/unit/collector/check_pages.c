/* collector: what the formats that are web pages share, and what they hold. */
#define _POSIX_C_SOURCE 200809L
#include "profile.h"

#include "collector/flamegraph/nodes.h"
#include "collector/heatmap/heatmap.h"

#include <stdio.h>
#include <unistd.h>

/* ---- text -----------------------------------------------------------------
 */

static void check_text(bool is_json, const char *text, const char *expected)
{
    pp_line line;
    pp_line_init(&line, NULL);
    if (is_json) {
        pp_page_json(&line, text_of(text));
    } else {
        pp_page_html(&line, text_of(text), true);
    }
    ck_assert_uint_eq(line.size, strlen(expected));
    ck_assert_mem_eq(line.data, expected, line.size);
    pp_line_free(&line);
}

START_TEST(test_text)
{
    check_text(true, "a\"b\\c", "\"a\\\"b\\\\c\"");
    check_text(true, "</script><!--&",
               "\"\\u003c/script\\u003e\\u003c!--\\u0026\"");
    check_text(true, "n\n\x01\xff", "\"n ??\"");
    check_text(true, "\xe2\x9c\x93", "\"\xe2\x9c\x93\"");
    check_text(false, "<a href=\"x\" title='y'>&",
               "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;");
    check_text(false, "\tx\t", "\tx\t");
    check_text(true, "a\xe2\x80\xaez\xe2\x81\xa6",
               "\"a\xef\xbf\xbdz\xef\xbf\xbd\"");
}
END_TEST

/* Reads what pp_column writes, as page/common.js does. */
static uint64_t read_number(const char **at)
{
    uint64_t number = 0;
    uint64_t scale = 1;
    for (;;) {
        unsigned char c = (unsigned char)*(*at)++;
        uint64_t digit = c == '!' ? 25 : (uint64_t)(c - '#');
        ck_assert_uint_lt(digit, 92);
        if (digit < 46) {
            return number + digit * scale;
        }
        number += digit * scale;
        scale *= 46;
    }
}

START_TEST(test_columns)
{
    pyprof_writer *w = NULL;
    pp_column column;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
    pp_column_begin(&column, w, NULL);
    for (uint64_t n = 0; n < 5000; n++) {
        pp_column_number(&column, n);
        pp_column_signed(&column, 2500 - (int64_t)n);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        pp_column_number(&column, UINT64_C(1) << bit);
    }
    ck_assert_int_eq(pp_column_end(&column), 0);
    pyprof_text text = pp_writer_memory(w);
    const char *at = text.data;
    for (uint64_t n = 0; n < 5000; n++) {
        ck_assert_uint_eq(read_number(&at), n);
        uint64_t bits = read_number(&at);
        int64_t number = (int64_t)(bits >> 1);
        ck_assert_int_eq(bits % 2 != 0 ? -number - 1 : number,
                         2500 - (int64_t)n);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        ck_assert_uint_eq(read_number(&at), UINT64_C(1) << bit);
    }
    ck_assert_ptr_eq(at, text.data + text.size);
    ck_assert_ptr_null(strchr(text.data, '<'));
    pp_writer_close(w);
}
END_TEST

/* ---- the order of time ----------------------------------------------------
 */

START_TEST(test_log)
{
    enum { MAX = 64, ROUNDS = 100000 };
    pp_flame_log log;
    pp_flame_log_init(&log, NULL, MAX);
    const pyprof_session session = {
        .sz = sizeof(session), .interval_ns = 1000, .start_ns = 5000};
    pp_flame_log_begin(&log, &session);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const pyprof_sample sample = {
            .sz = sizeof(sample), .time_ns = 5000 + round * 1000, .count = 1};
        const pyprof_stack_sample seen[] = {
            {.thread = 1, .stack = 1 + (uint32_t)(round * 7 / 1000)},
            {.thread = 2, .stack = 1 + (uint32_t)(round % 3 == 0)},
        };
        for (size_t i = 0; i < PP_COUNT_OF(seen); i++) {
            ck_assert_int_eq(pp_flame_log_add(&log, &sample, &seen[i], NULL),
                             0);
        }
        ck_assert_uint_le(log.n, MAX);
    }
    /* of each thread: in order, apart, and nearly the whole time */
    ck_assert_uint_gt(log.tick_ns, log.first_tick_ns);
    for (uint32_t thread = 1; thread <= 2; thread++) {
        uint64_t end = 0;
        uint64_t ticks = 0;
        for (size_t i = 0; i < log.n; i++) {
            const pp_flame_run *run = &log.runs[i];
            if (run->thread == thread) {
                ck_assert_uint_ge(run->tick, end);
                ck_assert_uint_gt(run->length, 0);
                end = (uint64_t)run->tick + run->length;
                ticks += run->length;
            }
        }
        ck_assert_uint_ge(ticks * log.tick_ns, ROUNDS * UINT64_C(950));
        ck_assert_uint_le(end * log.tick_ns, ROUNDS * UINT64_C(1100));
    }
    pp_flame_log_free(&log);
}
END_TEST

/* ---- nodes ----------------------------------------------------------------
 */

/* A page with more nodes than it has room for: the smallest go into blocks,
 * and no sample is lost. */
START_TEST(test_folding)
{
    enum { WIDE = 1200000 };
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    const pyprof_thread thread = {.sz = sizeof(thread), .os_id = 1};
    ck_assert_uint_eq(pp_tables_thread_new(tables, &thread), 1);
    pp_flame flame;
    memset(&flame, 0, sizeof(flame));
    ck_assert_int_eq(pp_alloc_init(&flame.allocator, NULL, NULL), 0);
    flame.session.tables = tables;
    pp_map_init(&flame.counts, &flame.allocator);
    uint32_t root = STACK(tables, frame_at(tables, "a.py", "root", 1, 1, 0));
    uint64_t all = 0;
    for (int32_t i = 1; i <= WIDE; i++) {
        uint32_t frame = frame_at(tables, "a.py", "f", 1, i, 0);
        uint32_t stack = pp_tables_stack(tables, root, frame);
        uint64_t count = i % 10 == 0 ? 2 : 1;
        *pp_map_put(&flame.counts, UINT64_C(1) << 32 | stack, NULL) = count;
        all += count;
    }
    pp_flame_nodes nodes;
    ck_assert_int_eq(pp_flame_nodes_make(&nodes, &flame, NULL, NULL), 0);
    uint32_t kept = 0;
    for (uint32_t node = 1; node <= nodes.tree.n; node++) {
        bool is_here = pp_flame_nodes_has(&nodes, node);
        kept += is_here;
        if (nodes.tree.total[node] == 2) {
            ck_assert(is_here);
        }
        if (is_here && nodes.tree.parent[node] != 0) {
            ck_assert(pp_flame_nodes_has(&nodes, nodes.tree.parent[node]));
        }
    }
    ck_assert_uint_eq(kept, PP_FLAME_NODES_MAX);
    ck_assert_uint_eq(nodes.n_folded, nodes.tree.n - kept);
    ck_assert_uint_eq(nodes.n_ranks, kept + 1); /* one block */
    uint64_t sum = 0;
    for (size_t i = 0; i < nodes.n_entries[0]; i++) {
        ck_assert_uint_ge(nodes.entries[i].stack, 1);
        ck_assert_uint_le(nodes.entries[i].stack, nodes.n_ranks);
        sum += nodes.entries[i].count;
    }
    ck_assert_uint_eq(sum, all);
    pp_flame_nodes_free(&nodes);
    pp_map_free(&flame.counts);
    pp_tables_unref(tables);
}
END_TEST

/* ---- a comparison ---------------------------------------------------------
 */

static int32_t baseline_mode;

static pyprof_status drive(void *user, pyprof_collector *into,
                           pyprof_error *err)
{
    PP_UNUSED(user);
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pushed rows[PROFILE_MAX];
    size_t n = build_profile(tables, rows);
    pyprof_session session = profile_session(tables);
    session.mode = baseline_mode;
    const pyprof_summary summary = profile_summary();
    pyprof_status status = pp_collector_begin(into, &session, tables, err);
    for (size_t i = 0; i < n && status == PYPROF_OK; i++) {
        status =
            push(into, rows[i].thread, rows[i].stack, rows[i].state, 10, err);
    }
    if (status == PYPROF_OK) {
        status = pp_collector_end(into, &summary, err);
    }
    pp_tables_unref(tables);
    return status;
}

static pyprof_status run_format(const char *format,
                                const pyprof_format_opts *opts,
                                pyprof_writer *w, pyprof_error *err)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = NULL;
    pyprof_status status = pp_collector_new_format(format, opts, &c, err);
    if (status == PYPROF_OK) {
        status = drive_profile(c, tables, err);
    }
    if (status == PYPROF_OK) {
        status = pp_collector_write(c, w, err);
    }
    pp_collector_free(c);
    pp_tables_unref(tables);
    return status;
}

START_TEST(test_baseline)
{
    pyprof_format_opts opts = {.sz = sizeof(opts)};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
    ck_assert_int_eq(run_format("diff-flamegraph", &opts, w, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "baseline"));
    opts.baseline = drive;
    baseline_mode = 1;
    ck_assert_int_eq(run_format("diff-flamegraph", &opts, w, &err),
                     PYPROF_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "mode"));
    baseline_mode = 0;
    ck_assert_int_eq(run_format("diff-flamegraph", &opts, w, &err), 0);
    ck_assert_ptr_nonnull(strstr(pp_writer_memory(w).data, "\"baseline\":{"));
    pp_writer_close(w);
}
END_TEST

static bool compare(fault_alloc *fault)
{
    const pyprof_format_opts opts = {
        .sz = sizeof(opts), .allocator = &fault->table, .baseline = drive};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
    pyprof_status status = run_format("diff-flamegraph", &opts, w, &err);
    pp_writer_close(w);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    return status == PYPROF_OK;
}

START_TEST(test_comparing_out_of_memory)
{
    fault_loop(compare);
}
END_TEST

/* ---- the heatmap ----------------------------------------------------------
 */

static pyprof_status give_source(void *user, pyprof_text path,
                                 pyprof_writer *to, pyprof_error *err)
{
    PP_UNUSED(user);
    if (strcmp(path.data, "/app/rec.py") == 0) {
        return pyprof_writer_write(to, "def <i>:\n\tx\r\n\nend", 17, err);
    }
    return PYPROF_ERR_IO;
}

static char folder[64];

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static bool map(fault_alloc *fault)
{
    const pyprof_format_opts opts = {
        .sz = sizeof(opts), .allocator = &fault->table, .source = give_source};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_folder(folder, NULL, &w, NULL), 0);
    pyprof_status status = run_format("heatmap", &opts, w, &err);
    pp_writer_close(w);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    return status == PYPROF_OK;
}

START_TEST(test_heatmap_out_of_memory)
{
    strcpy(folder, "/tmp/pyprof-check-pages-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    fault_loop(map);
    remove_folder();
}
END_TEST

START_TEST(test_heatmap_sums)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pushed rows[PROFILE_MAX];
    size_t n = build_profile(tables, rows);
    pp_counts counts;
    pp_counts_init(&counts, NULL);
    const pyprof_session session = profile_session(tables);
    pp_counts_begin(&counts, &session);
    for (size_t i = 0; i < n; i++) {
        const pyprof_stack_sample seen = {.thread = rows[i].thread,
                                          .stack = rows[i].stack,
                                          .state = rows[i].state};
        const pyprof_sample sample = {.sz = sizeof(sample),
                                      .count = rows[i].count,
                                      .stacks = &seen,
                                      .n_stacks = 1};
        ck_assert_int_eq(pp_counts_add(&counts, &sample, NULL), 0);
    }
    pp_heat_sums sums;
    ck_assert_int_eq(pp_heat_sums_make(&sums, &counts, NULL, NULL), 0);
    ck_assert_uint_eq(sums.stacks, 1012);
    const pp_heat_file *busy = &sums.files[sums.file_order[0]];
    ck_assert_str_eq(busy->path.data, "/app/busy.py");
    ck_assert_uint_eq(busy->heat.total, 937);
    for (size_t i = 0; i < sums.n_files; i++) {
        ck_assert_uint_le(sums.files[i].heat.total, sums.stacks);
        ck_assert_uint_ge(sums.files[i].heat.total, sums.files[i].heat.self);
    }
    for (size_t i = 0; i < sums.n_lines; i++) {
        const pp_heat_line *line = &sums.lines[i];
        if (line->line == 3 &&
            strcmp(sums.files[line->file].path.data, "/app/rec.py") == 0) {
            ck_assert_uint_eq(line->heat.total, 96); /* not 181 */
            ck_assert_uint_eq(line->heat.self, 36);
        }
    }
    pp_heat_sums_free(&sums);
    pp_counts_free(&counts);
    pp_tables_unref(tables);
}
END_TEST

SUITE_MAIN("collector.pages", test_text, test_columns, test_log, test_folding,
           test_baseline, test_comparing_out_of_memory,
           test_heatmap_out_of_memory, test_heatmap_sums)
