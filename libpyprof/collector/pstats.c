/*
 * pstats: a file for Python's pstats module. In go samples; out comes one dict
 * in marshal's form, as cProfile and 3.15's profiling.sampling write it:
 *
 *   (file, line, name) -> (cc, nc, tt, ct, callers)
 *
 * with the line that is *executed*, cc the samples in the line itself, nc the
 * samples with it anywhere (once a stack), tt and ct the same as seconds.
 * callers maps the calling lines. Its values are cProfile's (nc, cc, tt, ct),
 * of which pstats of every version and the tools around it print columns. With
 * PYPROF_FORMAT_SAMPLED_MARK they are plain numbers that count each call of a
 * recursion, and the key ("__sampled__",) is there, as in 3.15, which takes the
 * file as one of samples then; older versions can't load that.
 *
 * Invariants:
 * 1. Only what version 2 of marshal has is used, without references: 2.7 to
 *    3.15 load it.
 * 2. The dict is never empty: pstats does not take an empty one.
 * 3. Text loads: marshal reads UTF-8 with surrogates, so bytes that are not
 *    are written as Python itself keeps such bytes, as U+DC80 to U+DCFF.
 */
#include "collector/format.h"

#include <string.h>

typedef struct pstats {
    pp_allocator allocator;
    pp_counts counts;
    bool has_mark;
} pstats;

/* One pair of rows of which one calls the other. */
typedef struct edge {
    uint32_t caller;
    uint32_t next;   /* next edge of the same row, 0: none */
    uint32_t active; /* how often it is in the stack that is walked */
    uint64_t each;   /* samples, each call of a recursion counted */
    uint64_t once;   /* samples, counted once a stack */
    uint64_t self;   /* samples that end in the row, called so */
} edge;

typedef struct row_sum {
    uint64_t self;
    uint64_t total;
    uint32_t active;
    uint32_t first_edge; /* 0: none */
} row_sum;

/* What the writing works with. */
typedef struct pstats_run {
    const pp_allocator *allocator;
    pp_rows rows;
    pp_tree tree;
    row_sum *sums;  /* sums[row] */
    pp_map edge_of; /* row << 32 | caller -> edge number */
    edge *edges;    /* edges[number - 1] */
    size_t n_edges, cap_edges;
    uint32_t *node_edge; /* by node: its edge number, 0: a root */
    bool is_failed;
    double seconds;
    bool has_mark;
} pstats_run;

/* ---- sums -------------------------------------------------------------- */

/* The edge number, 0 when out of memory. */
static uint32_t edge_between(pstats_run *run, uint32_t row, uint32_t caller)
{
    bool is_new;
    uint64_t key = (uint64_t)row << 32 | caller;
    uint64_t *number = pp_map_put(&run->edge_of, key, &is_new);
    if (number != NULL && is_new) {
        if (!pp_grow(run->allocator, &run->edges, &run->cap_edges,
                     sizeof(*run->edges), run->n_edges + 1, UINT32_MAX)) {
            return 0;
        }
        run->edges[run->n_edges] =
            (edge){.caller = caller, .next = run->sums[row].first_edge};
        *number = ++run->n_edges;
        run->sums[row].first_edge = (uint32_t)run->n_edges;
    }
    return number != NULL ? (uint32_t)*number : 0;
}

static void enter_edge(pstats_run *run, uint32_t node)
{
    const pp_tree *tree = &run->tree;
    uint32_t parent = tree->parent[node];
    if (parent == 0 || run->is_failed) {
        return;
    }
    uint32_t number = edge_between(run, tree->item[node], tree->item[parent]);
    run->node_edge[node] = number;
    if (number == 0) {
        run->is_failed = true;
        return;
    }
    edge *e = &run->edges[number - 1];
    e->each += tree->total[node];
    e->self += tree->self[node];
    if (e->active++ == 0) {
        e->once += tree->total[node];
    }
}

static void enter_node(void *user, uint32_t node)
{
    pstats_run *run = user;
    row_sum *sum = &run->sums[run->tree.item[node]];
    sum->self += run->tree.self[node];
    if (sum->active++ == 0) {
        sum->total += run->tree.total[node];
    }
    enter_edge(run, node);
}

static void leave_node(void *user, uint32_t node)
{
    pstats_run *run = user;
    run->sums[run->tree.item[node]].active--;
    if (run->node_edge[node] != 0) {
        run->edges[run->node_edge[node] - 1].active--;
    }
}

static pyprof_status make_sums(pstats_run *run, const pp_counts *counts,
                               pyprof_error *err)
{
    PP_TRY(pp_rows_make(&run->rows, run->allocator, counts->tables,
                        PP_ROWS_BY_LINE, err));
    PP_TRY(pp_tree_make(&run->tree, run->allocator, counts->tables,
                        counts->by_stack, counts->n, run->rows.row_of,
                        (uint32_t)run->rows.n, err));
    run->sums = pp_calloc(run->allocator, run->rows.n + 1, sizeof(*run->sums));
    run->node_edge = pp_calloc(run->allocator, (size_t)run->tree.n + 1,
                               sizeof(*run->node_edge));
    if (run->sums == NULL || run->node_edge == NULL) {
        return pp_error_memory(err, "rows");
    }
    pp_tree_walk(&run->tree, enter_node, leave_node, run);
    return run->is_failed ? pp_error_memory(err, "callers") : PYPROF_OK;
}

static void free_run(pstats_run *run)
{
    pp_rows_free(&run->rows);
    pp_tree_free(&run->tree);
    pp_map_free(&run->edge_of);
    pp_free(run->allocator, run->sums);
    pp_free(run->allocator, run->edges);
    pp_free(run->allocator, run->node_edge);
}

/* ---- marshal ----------------------------------------------------------- */

/* All numbers are little-endian, whatever the machine is. */
static void put_u32(pp_line *to, uint32_t value)
{
    char bytes[4];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(value >> 8 * i & 0xff);
    }
    pp_line_add(to, bytes, sizeof(bytes));
}

static void put_tuple(pp_line *to, uint32_t size)
{
    pp_line_add(to, "(", 1);
    put_u32(to, size);
}

static void put_integer(pp_line *to, uint64_t value)
{
    if (value <= INT32_MAX) {
        pp_line_add(to, "i", 1);
        put_u32(to, (uint32_t)value);
        return;
    }
    char digits[2 * 5]; /* of 15 bits, lowest first */
    uint32_t n = 0;
    for (; value != 0; value >>= 15) {
        digits[2 * n] = (char)(value & 0xff);
        digits[2 * n + 1] = (char)(value >> 8 & 0x7f);
        n++;
    }
    pp_line_add(to, "l", 1);
    put_u32(to, n);
    pp_line_add(to, digits, 2 * (size_t)n);
}

static void put_float(pp_line *to, double value)
{
    uint64_t bits;
    char bytes[8];
    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(bits >> 8 * i & 0xff);
    }
    pp_line_add(to, "g", 1);
    pp_line_add(to, bytes, sizeof(bytes));
}

static void put_text(pp_line *to, pyprof_text text)
{
    pp_line_add(to, "u", 1);
    size_t at = to->size;
    put_u32(to, 0); /* the size, once it is known */
    for (uint64_t i = 0; i < text.size;) {
        uint32_t code;
        size_t n =
            pp_text_decode(text.data + i, (size_t)(text.size - i), &code);
        if (code != PP_TEXT_BAD) {
            pp_line_add(to, text.data + i, n);
        } else {
            uint8_t byte = (uint8_t)text.data[i];
            const char escaped[3] = {(char)0xed, (char)(0xb0 | byte >> 6),
                                     (char)(0x80 | (byte & 0x3f))};
            pp_line_add(to, escaped, sizeof(escaped));
        }
        i += n;
    }
    if (!to->is_failed) {
        uint32_t size = (uint32_t)(to->size - at - 4);
        size_t end = to->size;
        to->size = at;
        put_u32(to, size);
        to->size = end;
    }
}

static void put_key(pp_line *to, const pp_row *row)
{
    put_tuple(to, 3);
    put_text(to, row->file);
    put_integer(to, (uint64_t)row->line);
    put_text(to, row->name);
}

/* ---- writing ----------------------------------------------------------- */

static void put_callers(pp_line *to, const pstats_run *run, uint32_t row)
{
    pp_line_add(to, "{", 1);
    for (uint32_t i = run->sums[row].first_edge; i != 0;
         i = run->edges[i - 1].next) {
        const edge *e = &run->edges[i - 1];
        put_key(to, &run->rows.rows[e->caller - 1]);
        if (run->has_mark) {
            put_integer(to, e->each);
        } else {
            put_tuple(to, 4);
            put_integer(to, e->once);
            put_integer(to, e->self);
            put_float(to, (double)e->self * run->seconds);
            put_float(to, (double)e->once * run->seconds);
        }
    }
    pp_line_add(to, "0", 1);
}

static void put_row(pp_line *to, const pstats_run *run, uint32_t row)
{
    const row_sum *sum = &run->sums[row];
    put_key(to, &run->rows.rows[row - 1]);
    put_tuple(to, 5);
    put_integer(to, sum->self);
    put_integer(to, sum->total);
    put_float(to, (double)sum->self * run->seconds);
    put_float(to, (double)sum->total * run->seconds);
    put_callers(to, run, row);
}

/* What stands for a profile without a sample. */
static void put_nothing(pp_line *to)
{
    const pp_row row = {.file = {"~", 1}, .name = {"<no samples>", 12}};
    put_key(to, &row);
    put_tuple(to, 5);
    put_integer(to, 0);
    put_integer(to, 0);
    put_float(to, 0);
    put_float(to, 0);
    pp_line_text(to, "{0");
}

static pyprof_status write_dict(const pstats_run *run, pp_line *piece,
                                pyprof_writer *w, pyprof_error *err)
{
    pp_line_text(piece, "{");
    uint32_t n_written = 0;
    for (uint32_t row = 1; row <= run->rows.n; row++) {
        if (run->sums[row].total != 0) {
            put_row(piece, run, row);
            PP_TRY(pp_line_write(piece, w, err));
            pp_line_clear(piece);
            n_written++;
        }
    }
    if (run->has_mark) {
        put_tuple(piece, 1);
        put_text(piece, (pyprof_text){.data = "__sampled__", .size = 11});
        pp_line_text(piece, "T");
    } else if (n_written == 0) {
        put_nothing(piece);
    }
    pp_line_text(piece, "0");
    return pp_line_write(piece, w, err);
}

/* ---- slots ------------------------------------------------------------- */

static pyprof_status pstats_begin(void *self, const pyprof_session *session,
                                  pyprof_error *err)
{
    pstats *p = self;
    PP_UNUSED(err);
    pp_counts_begin(&p->counts, session);
    return PYPROF_OK;
}

static pyprof_status pstats_sample(void *self, const pyprof_sample *sample,
                                   pyprof_error *err)
{
    pstats *p = self;
    return pp_counts_add(&p->counts, sample, err);
}

static pyprof_status pstats_finish(void *self, const pyprof_summary *summary,
                                   pyprof_writer *writer, pyprof_error *err)
{
    pstats *p = self;
    pstats_run run = {
        .allocator = &p->allocator,
        .seconds = pp_counts_seconds(&p->counts, summary),
        .has_mark = p->has_mark,
    };
    pp_map_init(&run.edge_of, run.allocator);
    run.rows.allocator = run.allocator;
    run.tree.allocator = run.allocator;
    pp_intern_init(&run.rows.keys, run.allocator);
    pyprof_status status = make_sums(&run, &p->counts, err);
    if (status == PYPROF_OK) {
        pp_line piece;
        pp_line_init(&piece, run.allocator);
        status = write_dict(&run, &piece, writer, err);
        pp_line_free(&piece);
    }
    free_run(&run);
    return status;
}

static void pstats_free(void *self)
{
    pstats *p = self;
    pp_counts_free(&p->counts);
    const pp_allocator allocator = p->allocator;
    pp_free(&allocator, p);
}

static void *pstats_make(const pp_allocator *a, const pyprof_format_opts *opts)
{
    pstats *p = pp_calloc(a, 1, sizeof(*p));
    if (p != NULL) {
        p->allocator = *a;
        pp_counts_init(&p->counts, &p->allocator);
        p->has_mark = (opts->flags & PYPROF_FORMAT_SAMPLED_MARK) != 0;
    }
    return p;
}

const pp_format pp_format_pstats = {
    .ops = {.begin = pstats_begin,
            .sample = pstats_sample,
            .finish = pstats_finish,
            .free = pstats_free},
    .make = pstats_make,
};
