/*
 * table: the hottest functions as text, for a person. In go samples; out comes
 * a table with one row a function, cProfile's columns, and a summary.
 *
 * What a row says: samples that end in the function, and those that have it
 * anywhere (a recursion counts once); their shares of all stacks; the same as
 * time; the function, and the line of it that is hottest where there are
 * several.
 *
 * Invariants:
 * 1. Percents are of all stacks with a Python frame, and sums are over all
 *    rows, whichever are shown.
 * 2. The order is total: equal rows are ordered by name.
 *
 * The numbers are made here; table_text.c writes them.
 */
#include "collector/table.h"

#include <string.h>

typedef struct table {
    pp_allocator allocator;
    pp_counts counts;
    int32_t sort;
    int32_t limit;
    uint64_t flags;
} table;

/* A line of a function: what a node of the tree is. */
typedef struct line_item {
    uint32_t row;
    int32_t line;
    uint64_t total;
} line_item;

/* What the sums are made with. */
typedef struct sums {
    pp_table *out;
    pp_tree tree;
    pp_intern keys; /* of line_item: row and line */
    line_item *items;
    size_t n_items, cap_items;
    uint32_t *item_of;   /* by frame */
    uint32_t *innermost; /* by row: its innermost node in the stack walked */
    uint32_t *outer;     /* by node: the next one outwards of the same row */
} sums;

static bool make_items(sums *s, const pyprof_tables *tables)
{
    const pp_allocator *a = s->out->allocator;
    uint32_t n = pp_tables_frames(tables);
    s->item_of = pp_calloc(a, (size_t)n + 1, sizeof(*s->item_of));
    if (s->item_of == NULL) {
        return false;
    }
    for (uint32_t number = 1; number <= n; number++) {
        pyprof_frame frame;
        if (!pp_tables_frame_view(tables, number, &frame)) {
            return false;
        }
        const uint32_t key[2] = {s->out->rows.row_of[number],
                                 (uint32_t)frame.line};
        uint32_t item = pp_intern_put(&s->keys, key, sizeof(key));
        if (item > s->n_items) {
            if (!pp_grow(a, &s->items, &s->cap_items, sizeof(*s->items), item,
                         0)) {
                return false;
            }
            s->items[item - 1] = (line_item){.row = key[0], .line = frame.line};
            s->n_items = item;
        }
        s->item_of[number] = item;
        if (item == 0) {
            return false;
        }
    }
    return true;
}

static line_item *item_of_node(const sums *s, uint32_t node)
{
    return &s->items[s->tree.item[node] - 1];
}

static void enter_node(void *user, uint32_t node)
{
    sums *s = user;
    line_item *item = item_of_node(s, node);
    pp_table_row *row = &s->out->sums[item->row];
    uint64_t total = s->tree.total[node];
    uint32_t outer = s->innermost[item->row];
    row->self += s->tree.self[node];
    item->total += total;
    if (outer == 0) {
        row->total += total;
    } else {
        /* of a recursion, the innermost call says in which line it is */
        item_of_node(s, outer)->total -= total;
    }
    s->outer[node] = outer;
    s->innermost[item->row] = node;
}

static void leave_node(void *user, uint32_t node)
{
    sums *s = user;
    s->innermost[item_of_node(s, node)->row] = s->outer[node];
}

static void find_hottest_lines(sums *s)
{
    for (size_t i = 0; i < s->n_items; i++) {
        const line_item *item = &s->items[i];
        pp_table_row *row = &s->out->sums[item->row];
        if (item->total == 0) {
            continue;
        }
        row->n_lines++;
        if (item->total > row->line_total ||
            (item->total == row->line_total && item->line < row->line)) {
            row->line_total = item->total;
            row->line = item->line;
        }
    }
}

static pyprof_status add_up(sums *s, const pp_counts *counts, pyprof_error *err)
{
    pp_table *t = s->out;
    const pp_allocator *a = t->allocator;
    PP_TRY(pp_rows_make(&t->rows, a, counts->tables, PP_ROWS_BY_FUNCTION, err));
    t->sums = pp_calloc(a, t->rows.n + 1, sizeof(*t->sums));
    s->innermost = pp_calloc(a, t->rows.n + 1, sizeof(*s->innermost));
    if (t->sums == NULL || s->innermost == NULL ||
        !make_items(s, counts->tables)) {
        return pp_error_memory(err, "rows");
    }
    PP_TRY(pp_tree_make(&s->tree, a, counts->tables, counts->by_stack,
                        counts->n, s->item_of, (uint32_t)s->n_items, err));
    s->outer = pp_calloc(a, (size_t)s->tree.n + 1, sizeof(*s->outer));
    if (s->outer == NULL) {
        return pp_error_memory(err, "rows");
    }
    pp_tree_walk(&s->tree, enter_node, leave_node, s);
    find_hottest_lines(s);
    return PYPROF_OK;
}

static pyprof_status make_sums(pp_table *t, const pp_counts *counts,
                               pyprof_error *err)
{
    const pp_allocator *a = t->allocator;
    sums s = {.out = t, .tree = {.allocator = a}};
    pp_intern_init(&s.keys, a);
    pyprof_status status = add_up(&s, counts, err);
    pp_tree_free(&s.tree);
    pp_intern_free(&s.keys);
    pp_free(a, s.items);
    pp_free(a, s.item_of);
    pp_free(a, s.innermost);
    pp_free(a, s.outer);
    return status;
}

/* ---- order ------------------------------------------------------------- */

static int compare_text(pyprof_text a, pyprof_text b)
{
    size_t shorter = (size_t)(a.size < b.size ? a.size : b.size);
    int order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool is_name_before(const pp_table *t, uint32_t x, uint32_t y)
{
    const pp_row *a = &t->rows.rows[x - 1];
    const pp_row *b = &t->rows.rows[y - 1];
    int order = compare_text(a->file, b->file);
    if (order == 0) {
        order = (a->line > b->line) - (a->line < b->line);
    }
    if (order == 0) {
        order = compare_text(a->name, b->name);
    }
    return order < 0;
}

static bool is_row_before(void *user, uint32_t x, uint32_t y)
{
    const pp_table *t = user;
    const pp_table_row *a = &t->sums[x];
    const pp_table_row *b = &t->sums[y];
    bool by_total = t->sort == PYPROF_SORT_CUMTIME ||
                    t->sort == PYPROF_SORT_CUMUL_PCT ||
                    t->sort == PYPROF_SORT_NSAMPLES_CUMUL;
    if (t->sort != PYPROF_SORT_NAME) {
        uint64_t first_a = by_total ? a->total : a->self;
        uint64_t first_b = by_total ? b->total : b->self;
        uint64_t second_a = by_total ? a->self : a->total;
        uint64_t second_b = by_total ? b->self : b->total;
        if (first_a != first_b) {
            return first_a > first_b;
        }
        if (second_a != second_b) {
            return second_a > second_b;
        }
    }
    return is_name_before(t, x, y);
}

static bool make_order(pp_table *t)
{
    t->order = pp_calloc(t->allocator, t->rows.n + 1, sizeof(*t->order));
    if (t->order == NULL) {
        return false;
    }
    for (uint32_t row = 1; row <= t->rows.n; row++) {
        if (t->sums[row].total != 0) {
            t->order[t->n++] = row;
        }
    }
    return pp_sort_u32(t->allocator, t->order, t->n, is_row_before, t);
}

/* ---- slots ------------------------------------------------------------- */

static pyprof_status table_begin(void *self, const pyprof_session *session,
                                 pyprof_error *err)
{
    table *t = self;
    PP_UNUSED(err);
    pp_counts_begin(&t->counts, session);
    return PYPROF_OK;
}

static pyprof_status table_sample(void *self, const pyprof_sample *sample,
                                  pyprof_error *err)
{
    table *t = self;
    return pp_counts_add(&t->counts, sample, err);
}

static pyprof_status table_finish(void *self, const pyprof_summary *summary,
                                  pyprof_writer *writer, pyprof_error *err)
{
    const table *t = self;
    pp_table run = {
        .allocator = &t->allocator,
        .counts = &t->counts,
        .summary = summary,
        .seconds = pp_counts_seconds(&t->counts, summary),
        .sort = t->sort,
        .flags = t->flags,
        .rows = {.allocator = &t->allocator},
    };
    pp_intern_init(&run.rows.keys, run.allocator);
    pyprof_status status = make_sums(&run, &t->counts, err);
    if (status == PYPROF_OK && !make_order(&run)) {
        status = pp_error_memory(err, "the order of rows");
    }
    if (status == PYPROF_OK) {
        run.n_shown = run.n;
        if (t->limit >= 0 && run.n_shown > (size_t)t->limit) {
            run.n_shown = (size_t)t->limit;
        }
        status = pp_table_write(&run, writer, err);
    }
    pp_rows_free(&run.rows);
    pp_free(run.allocator, run.sums);
    pp_free(run.allocator, run.order);
    return status;
}

static void table_free(void *self)
{
    table *t = self;
    pp_counts_free(&t->counts);
}

#define LIMIT_DEFAULT 15

static void table_init(void *self, const pyprof_format_opts *opts)
{
    table *t = self;
    pp_counts_init(&t->counts, &t->allocator);
    t->sort = opts->sort;
    t->limit = opts->limit == 0 ? LIMIT_DEFAULT : opts->limit;
    t->flags = opts->flags;
}

const pp_format pp_format_table = {
    .ops = {.begin = table_begin,
            .sample = table_sample,
            .finish = table_finish,
            .free = table_free},
    .size = sizeof(table),
    .init = table_init,
};
