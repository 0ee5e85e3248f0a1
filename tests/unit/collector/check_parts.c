/*
 * collector: the parts that formats are made of - counts, tree, rows, lines -
 * against models that do the same slowly.
 */
#include "profile.h"

#include "collector/format.h"

#include <math.h>

/* ---- a random forest of stacks ----------------------------------------- */

#define STACKS 300
#define ITEMS 6

typedef struct forest {
    pyprof_tables *tables;
    uint32_t frames[ITEMS * 2]; /* two of each item */
    uint64_t counts[STACKS + 1];
    uint32_t *item_of; /* by frame */
} forest;

static void make_forest(forest *f, uint64_t seed)
{
    uint64_t random = seed;
    *f = (forest){.tables = pp_tables_new(NULL, NULL)};
    for (int32_t i = 0; i < ITEMS * 2; i++) {
        f->frames[i] = frame_at(f->tables, "a.py", "f", 1, 1 + i, 0);
    }
    while (pp_tables_stacks(f->tables) < STACKS) {
        uint32_t parent = (uint32_t)(test_random(&random) %
                                     (pp_tables_stacks(f->tables) + 1));
        uint32_t frame = f->frames[test_random(&random) % (ITEMS * 2)];
        ck_assert_uint_ne(pp_tables_stack(f->tables, parent, frame), 0);
    }
    for (size_t i = 1; i <= STACKS; i++) {
        f->counts[i] =
            test_random(&random) % 3 == 0 ? test_random(&random) % 100 : 0;
    }
    f->item_of = calloc(pp_tables_frames(f->tables) + 1, sizeof(uint32_t));
    for (uint32_t i = 1; i <= pp_tables_frames(f->tables); i++) {
        f->item_of[i] = 1;
    }
    for (uint32_t i = 0; i < ITEMS * 2; i++) {
        f->item_of[f->frames[i]] = i / 2 + 1;
    }
}

static void free_forest(forest *f)
{
    free(f->item_of);
    pp_tables_unref(f->tables);
}

/* Items of a stack, root first. */
static size_t items_of(const forest *f, uint32_t stack, uint32_t items[STACKS])
{
    size_t n = pp_tables_depth(f->tables, stack);
    for (size_t i = n; i > 0; i--) {
        uint32_t frame;
        TEST_THAT(pp_tables_stack_view(f->tables, stack, &stack, &frame));
        items[i - 1] = f->item_of[frame];
    }
    return n;
}

/* Samples of stacks with these items, exactly or as a beginning. */
static uint64_t samples_of(const forest *f, const uint32_t *path, size_t n,
                           bool exactly)
{
    uint64_t sum = 0;
    for (uint32_t stack = 1; stack <= STACKS; stack++) {
        uint32_t items[STACKS];
        size_t depth = items_of(f, stack, items);
        if ((exactly ? depth == n : depth >= n) &&
            memcmp(items, path, n * sizeof(path[0])) == 0) {
            sum += f->counts[stack];
        }
    }
    return sum;
}

typedef struct walk {
    const forest *f;
    const pp_tree *tree;
    uint32_t path[STACKS]; /* items from the root to the node */
    size_t depth;
    size_t n_entered, n_left;
    uint64_t self;
} walk;

static void enter(void *user, uint32_t node)
{
    walk *w = user;
    w->n_entered++;
    w->path[w->depth++] = w->tree->item[node];
    w->self += w->tree->self[node];
    TEST_THAT(w->tree->self[node] == samples_of(w->f, w->path, w->depth, true));
    TEST_THAT(w->tree->total[node] ==
              samples_of(w->f, w->path, w->depth, false));
    TEST_THAT(w->tree->total[node] != 0);
    uint32_t next = w->tree->next_sibling[node];
    if (next != 0) {
        TEST_THAT(w->tree->item[node] < w->tree->item[next]);
    }
}

static void leave(void *user, uint32_t node)
{
    walk *w = user;
    w->n_left++;
    TEST_THAT(w->path[--w->depth] == w->tree->item[node]);
}

START_TEST(test_tree)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        forest f;
        make_forest(&f, seed);
        pp_tree tree;
        ck_assert_int_eq(pp_tree_make(&tree, NULL, f.tables, f.counts,
                                      STACKS + 1, f.item_of, ITEMS, NULL),
                         0);
        walk w = {.f = &f, .tree = &tree};
        pp_tree_walk(&tree, enter, leave, &w);
        uint64_t all = 0;
        for (size_t i = 1; i <= STACKS; i++) {
            all += f.counts[i];
            ck_assert_uint_ne(tree.node_of[i], 0);
        }
        ck_assert_uint_eq(w.self, all);
        ck_assert_uint_eq(tree.total[0], all);
        ck_assert_uint_eq(w.n_entered, w.n_left);
        ck_assert_uint_eq(w.depth, 0);
        ck_assert_uint_gt(w.n_entered, 20);
        pp_tree_free(&tree);
        free_forest(&f);
    }
}
END_TEST

START_TEST(test_tree_empty)
{
    forest f;
    make_forest(&f, 1);
    pp_tree tree;
    walk w = {.f = &f};
    ck_assert_int_eq(
        pp_tree_make(&tree, NULL, f.tables, NULL, 0, f.item_of, ITEMS, NULL),
        0);
    pp_tree_walk(&tree, enter, leave, &w);
    pp_tree_free(&tree);
    memset(f.counts, 0, sizeof(f.counts));
    ck_assert_int_eq(pp_tree_make(&tree, NULL, f.tables, f.counts, STACKS + 1,
                                  f.item_of, ITEMS, NULL),
                     0);
    pp_tree_walk(&tree, enter, NULL, &w);
    pp_tree_free(&tree);
    ck_assert_uint_eq(w.n_entered, 0);
    free_forest(&f);
}
END_TEST

START_TEST(test_deep_tree)
{
    enum { DEPTH = 100000 };
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t frame = frame_at(tables, "a.py", "f", 1, 1, 0);
    uint32_t stack = 0;
    for (int i = 0; i < DEPTH; i++) {
        stack = pp_tables_stack(tables, stack, frame);
    }
    const pyprof_format_opts opts = {.sz = sizeof(opts)};
    const char *const formats[] = {"table", "pstats", "collapsed"};
    for (size_t i = 0; i < PP_COUNT_OF(formats); i++) {
        pyprof_collector *c = NULL;
        pyprof_writer *w = NULL;
        const pyprof_session session = profile_session(tables);
        const pyprof_summary summary = profile_summary();
        ck_assert_int_eq(pp_collector_new_format(formats[i], &opts, &c, NULL),
                         0);
        ck_assert_int_eq(pp_collector_begin(c, &session, tables, NULL), 0);
        ck_assert_int_eq(push(c, 1, stack, 0, 1, NULL), 0);
        ck_assert_int_eq(pp_collector_end(c, &summary, NULL), 0);
        ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
        ck_assert_int_eq(pp_collector_write(c, w, NULL), 0);
        pp_writer_close(w);
        pp_collector_free(c);
    }
    pp_tables_unref(tables);
}
END_TEST

/* ---- counts ------------------------------------------------------------ */

START_TEST(test_counts)
{
    forest f;
    make_forest(&f, 3);
    pp_counts counts;
    pp_counts_init(&counts, NULL);
    const pyprof_session session = profile_session(f.tables);
    pp_counts_begin(&counts, &session);
    const pyprof_stack_sample seen[] = {
        {.stack = 5, .state = PYPROF_STACK_WHOLE},
        {.stack = 7, .state = PYPROF_STACK_TORN},
        {.stack = 0, .state = PYPROF_STACK_WHOLE},
        {.stack = 0, .state = PYPROF_STACK_UNREADABLE},
        {.stack = 5, .state = PYPROF_STACK_WHOLE},
    };
    pyprof_sample sample = {.sz = sizeof(sample),
                            .count = UINT64_C(1) << 33,
                            .stacks = seen,
                            .n_stacks = PP_COUNT_OF(seen)};
    ck_assert_int_eq(pp_counts_add(&counts, &sample, NULL), 0);
    ck_assert_uint_eq(counts.by_stack[5], UINT64_C(1) << 34);
    ck_assert_uint_eq(counts.by_stack[7], UINT64_C(1) << 33);
    ck_assert_uint_eq(counts.by_stack[6], 0);
    ck_assert_uint_eq(counts.stacks, UINT64_C(3) << 33);
    ck_assert_uint_eq(counts.torn, UINT64_C(1) << 33);
    ck_assert_uint_eq(counts.empty, UINT64_C(1) << 33);
    ck_assert_uint_eq(counts.unreadable, UINT64_C(1) << 33);
    pp_counts_begin(&counts, &session);
    sample.count = 1;
    ck_assert_int_eq(pp_counts_add(&counts, &sample, NULL), 0);
    ck_assert_uint_eq(counts.by_stack[5], 2);
    ck_assert_uint_eq(counts.torn, 1);
    pp_counts_free(&counts);
    free_forest(&f);
}
END_TEST

START_TEST(test_seconds_of_a_sample)
{
    pp_counts counts = {.interval_ns = 1000000};
    pyprof_summary summary = {.sz = sizeof(summary)};
    ck_assert_double_eq(pp_counts_seconds(&counts, &summary), 0.001);
    summary.rounds = 1000;
    summary.duration_ns = 5000000000;
    ck_assert_double_eq(pp_counts_seconds(&counts, &summary), 0.001);
    summary.missed = 500;
    ck_assert_double_eq_tol(pp_counts_seconds(&counts, &summary), 0.0015,
                            1e-12);
    counts.interval_ns = 0;
    ck_assert_double_eq_tol(pp_counts_seconds(&counts, &summary), 0.005, 1e-12);
}
END_TEST

/* ---- rows -------------------------------------------------------------- */

START_TEST(test_rows)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t a5 = frame_at(tables, "a.py", "f", 1, 5, 0);
    uint32_t a5_too = frame_at(tables, "a.py", "f", 1, 5, 8);
    uint32_t a6 = frame_at(tables, "a.py", "f", 1, 6, 0);
    uint32_t b5 = frame_at(tables, "b.py", "f", 1, 5, 0);
    uint32_t g5 = frame_at(tables, "a.py", "g", 1, 5, 0);
    uint32_t f9 = frame_at(tables, "a.py", "f", 9, 5, 0);
    uint32_t none = frame_at(tables, "a.py", "f", 1, PYPROF_UNKNOWN, 0);
    uint32_t task = task_frame(tables, "Task-1");
    pp_rows rows;
    ck_assert_int_eq(pp_rows_make(&rows, NULL, tables, PP_ROWS_BY_LINE, NULL),
                     0);
    ck_assert_uint_eq(rows.row_of[a5], rows.row_of[a5_too]);
    ck_assert_uint_ne(rows.row_of[a5], rows.row_of[a6]);
    ck_assert_uint_ne(rows.row_of[a5], rows.row_of[b5]);
    ck_assert_uint_ne(rows.row_of[a5], rows.row_of[g5]);
    ck_assert_uint_eq(rows.row_of[a5], rows.row_of[f9]);
    ck_assert_int_eq(rows.rows[rows.row_of[none] - 1].line, 0);
    const pp_row *row = &rows.rows[rows.row_of[task] - 1];
    ck_assert(pp_text_is(row->file, "<task>"));
    ck_assert(pp_text_is(row->name, "Task-1"));
    row =
        &rows.rows[rows.row_of[pp_tables_synthetic(tables, PYPROF_FRAME_TASK)] -
                   1];
    ck_assert(pp_text_is(row->file, "~"));
    pp_rows_free(&rows);
    ck_assert_int_eq(
        pp_rows_make(&rows, NULL, tables, PP_ROWS_BY_FUNCTION, NULL), 0);
    ck_assert_uint_eq(rows.row_of[a5], rows.row_of[a6]);
    ck_assert_uint_eq(rows.row_of[a5], rows.row_of[none]);
    ck_assert_uint_ne(rows.row_of[a5], rows.row_of[f9]);
    ck_assert_int_eq(rows.rows[rows.row_of[f9] - 1].line, 9);
    pp_rows_free(&rows);
    pp_tables_unref(tables);
}
END_TEST

/* ---- line -------------------------------------------------------------- */

START_TEST(test_line)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pp_line line;
    pp_line_init(&line, &fault.table);
    pp_line_text(&line, "");
    pp_line_text(&line, "a");
    pp_line_number(&line, 0);
    pp_line_number(&line, UINT64_MAX);
    pp_line_clean(&line, text_of(";x\ny;"), ';', ',');
    pp_line_clean(&line, text_of(""), '\0', '\0');
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
    ck_assert_int_eq(pp_line_write(&line, w, NULL), 0);
    ck_assert_str_eq(pp_writer_memory(w).data, "a018446744073709551615,x y,");
    pp_line_clear(&line);
    fault.fail_at = fault.requests + 1;
    static const char zeros[5000];
    pp_line_add(&line, zeros, sizeof(zeros));
    pp_line_text(&line, "b"); /* after a hole nothing is right */
    ck_assert_int_eq(pp_line_write(&line, w, NULL), PYPROF_ERR_NO_MEMORY);
    pp_line_free(&line);
    pp_writer_close(w);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

START_TEST(test_path_tail)
{
    static const struct {
        const char *path;
        unsigned parts;
        const char *tail;
    } cases[] = {
        {"/a/b/c.py", 1, "c.py"},
        {"/a/b/c.py", 2, "b/c.py"},
        {"/a/b/c.py", 3, "a/b/c.py"},
        {"/a/b/c.py", 4, "/a/b/c.py"},
        {"/a/b/c.py", 9, "/a/b/c.py"},
        {"c.py", 1, "c.py"},
        {"c.py", 2, "c.py"},
        {"", 1, ""},
        {"a/", 1, "a/"},
        {"b/a/", 1, "a/"},
        {"<frozen x>", 1, "<frozen x>"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        pyprof_text tail = pp_path_tail(text_of(cases[i].path), cases[i].parts);
        ck_assert_msg(pp_text_is(tail, cases[i].tail), "%s, %u: %s",
                      cases[i].path, cases[i].parts, tail.data);
    }
}
END_TEST

/* ---- large numbers in marshal ------------------------------------------ */

START_TEST(test_large_counts)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t stack = STACK(tables, frame_at(tables, "a.py", "f", 1, 1, 0));
    const pyprof_format_opts opts = {.sz = sizeof(opts)};
    const pyprof_session session = profile_session(tables);
    const pyprof_summary summary = profile_summary();
    pyprof_collector *c = NULL;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_collector_new_format("pstats", &opts, &c, NULL), 0);
    ck_assert_int_eq(pp_collector_begin(c, &session, tables, NULL), 0);
    ck_assert_int_eq(push(c, 1, stack, 0, UINT64_C(0x8000000000000001), NULL),
                     0);
    ck_assert_int_eq(pp_collector_end(c, &summary, NULL), 0);
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), 0);
    ck_assert_int_eq(pp_collector_write(c, w, NULL), 0);
    /* 'l', five digits of 15 bits: 1, 0, 0, 0, 8 */
    static const char digits[] = "l\5\0\0\0\1\0\0\0\0\0\0\0\10\0";
    pyprof_text text = pp_writer_memory(w);
    size_t found = 0;
    for (size_t i = 0; i + sizeof(digits) <= text.size; i++) {
        found += memcmp(text.data + i, digits, sizeof(digits) - 1) == 0;
    }
    ck_assert_uint_eq(found, 2);
    pp_writer_close(w);
    pp_collector_free(c);
    pp_tables_unref(tables);
}
END_TEST

SUITE_MAIN("collector.parts", test_tree, test_tree_empty, test_deep_tree,
           test_counts, test_seconds_of_a_sample, test_rows, test_line,
           test_path_tail, test_large_counts)
