/*
 * callgrind: a file for KCachegrind and the tools around it. In go calls, or
 * samples; out comes its text format, a block for each function:
 *
 *   fl=(1) FILE
 *   fn=(1) NAME
 *   LINE COST
 *   cfi=(2) FILE
 *   cfn=(2) NAME
 *   calls=COUNT LINE
 *   LINE COST
 *
 * with the line of the definition. The cost of calls is nanoseconds, that of
 * samples is samples, and a call's count then is the number of samples, too:
 * how often it was called, samples don't know.
 *
 * A function is known by its file and name, so that what has no name of its own
 * ("<lambda>") gets its line, too. Names are said once and numbered.
 */
#include "collector/format.h"

#include <string.h>

typedef struct callgrind {
    pp_allocator allocator;
    pp_counts counts;
    pp_calls calls;
    bool has_calls;
} callgrind;

/* One function's or one call's cost. */
typedef struct cost {
    uint64_t count;
    uint64_t own;
    uint64_t total;
} cost;

/* Something to write, from calls or from samples. */
typedef struct source {
    const pp_allocator *allocator;
    const pp_calls *calls; /* NULL: samples */
    const pp_sums *sums;
    size_t n;        /* functions, from index 0 */
    uint32_t *first; /* by function: number of its first edge as caller */
    uint32_t *next;  /* by number of an edge: the next one */
    uint32_t *name;  /* by function: how its name is numbered, 0: not yet */
    pp_intern files;
    uint32_t n_names;
    uint32_t n_files;
    pp_line line;
} source;

static uint64_t to_ns(double seconds)
{
    return seconds > 0 && seconds < 1e9 ? (uint64_t)(seconds * 1e9 + 0.5) : 0;
}

/* ---- where it comes from ------------------------------------------------ */

static pp_row row_at(const source *s, size_t i)
{
    if (s->calls == NULL) {
        return s->sums->rows.rows[i];
    }
    const pp_call_row *row = &s->calls->rows[i];
    return (pp_row){
        .file = row->file, .name = row->qualname, .line = row->line};
}

static cost cost_of(const source *s, size_t i)
{
    if (s->calls == NULL) {
        const pp_sum *sum = &s->sums->of_row[i + 1];
        return (cost){.own = sum->self, .total = sum->total};
    }
    const pp_call_row *row = &s->calls->rows[i];
    return (cost){.count = row->calls,
                  .own = to_ns(row->own),
                  .total = to_ns(row->total)};
}

/* Of an edge by its number, with its ends' indices. */
static cost cost_of_edge(const source *s, size_t number, size_t *out_callee,
                         size_t *out_caller)
{
    if (s->calls == NULL) {
        const pp_sum_edge *edge = &s->sums->edges[number - 1];
        *out_caller = edge->caller - 1;
        return (cost){.count = edge->once, .total = edge->once};
    }
    const pp_call_edge *edge = &s->calls->edges[number - 1];
    *out_caller = edge->caller;
    *out_callee = edge->callee;
    return (cost){.count = edge->calls, .total = to_ns(edge->total)};
}

static size_t edges_of(const source *s)
{
    return s->calls == NULL ? s->sums->n_edges : s->calls->n_edges;
}

/* Edges by caller; those of samples are in lists by callee. */
static void link_edges(source *s, uint32_t *callees)
{
    if (s->calls == NULL) {
        for (uint32_t row = 1; row <= s->sums->rows.n; row++) {
            for (uint32_t e = s->sums->of_row[row].first_edge; e != 0;
                 e = s->sums->edges[e - 1].next) {
                callees[e] = row - 1;
            }
        }
    }
    for (uint32_t e = (uint32_t)edges_of(s); e > 0; e--) {
        size_t callee = callees[e];
        size_t caller;
        (void)cost_of_edge(s, e, &callee, &caller);
        callees[e] = (uint32_t)callee;
        s->next[e] = s->first[caller];
        s->first[caller] = e;
    }
}

/* ---- writing ------------------------------------------------------------ */

static void put_number(pp_line *line, const char *before, uint64_t number)
{
    pp_line_text(line, before);
    pp_line_number(line, number);
}

/* `key`=(NUMBER), with the text where it is new. False: out of memory. */
static bool put_file(source *s, const char *key, pyprof_text file)
{
    uint32_t number = pp_intern_put(&s->files, file.data, (size_t)file.size);
    put_number(&s->line, key, number);
    pp_line_text(&s->line, ")");
    if (number > s->n_files) {
        s->n_files = number;
        pp_line_text(&s->line, " ");
        pp_line_clean(&s->line, file, '\0', '\0');
    }
    pp_line_text(&s->line, "\n");
    return number != 0;
}

static void put_name(source *s, const char *key, size_t i)
{
    bool is_new = s->name[i] == 0;
    if (is_new) {
        s->name[i] = ++s->n_names;
    }
    put_number(&s->line, key, s->name[i]);
    pp_line_text(&s->line, ")");
    if (is_new) {
        pp_row row = row_at(s, i);
        pp_line_text(&s->line, " ");
        pp_line_clean(&s->line, row.name, '\0', '\0');
        if (row.line > 0 && row.name.size > 0 &&
            row.name.data[row.name.size - 1] == '>') {
            put_number(&s->line, ":", (uint64_t)row.line);
        }
    }
    pp_line_text(&s->line, "\n");
}

static void put_cost(pp_line *line, int32_t at, uint64_t units)
{
    pp_line_number(line, (uint64_t)(at > 0 ? at : 0));
    put_number(line, " ", units);
    pp_line_text(line, "\n");
}

static bool put_function(source *s, size_t i, const uint32_t *callees)
{
    pp_row row = row_at(s, i);
    bool is_done = put_file(s, "fl=(", row.file);
    put_name(s, "fn=(", i);
    put_cost(&s->line, row.line, cost_of(s, i).own);
    for (uint32_t e = s->first[i]; e != 0; e = s->next[e]) {
        size_t callee = callees[e];
        size_t caller;
        cost c = cost_of_edge(s, e, &callee, &caller);
        pp_row called = row_at(s, callee);
        is_done = put_file(s, "cfi=(", called.file) && is_done;
        put_name(s, "cfn=(", callee);
        put_number(&s->line, "calls=", c.count);
        put_number(&s->line, " ",
                   (uint64_t)(called.line > 0 ? called.line : 0));
        pp_line_text(&s->line, "\n");
        put_cost(&s->line, row.line, c.total);
    }
    pp_line_text(&s->line, "\n");
    return is_done;
}

static pyprof_status write_all(source *s, const uint32_t *callees,
                               pyprof_writer *w, pyprof_error *err)
{
    pp_line_text(&s->line,
                 "# callgrind format\nversion: 1\ncreator: libpyprof\n"
                 "positions: line\n");
    pp_line_text(&s->line, s->calls != NULL
                               ? "event: ns : Nanoseconds\nevents: ns\n\n"
                               : "events: Samples\n\n");
    for (size_t i = 0; i < s->n; i++) {
        cost c = cost_of(s, i);
        if ((c.total | c.own | c.count) == 0) {
            continue;
        }
        if (!put_function(s, i, callees)) {
            return pp_error_memory(err, "names of files");
        }
        PP_TRY(pp_line_write(&s->line, w, err));
        pp_line_clear(&s->line);
    }
    return pp_line_write(&s->line, w, err);
}

static pyprof_status write_source(source *s, pyprof_writer *w,
                                  pyprof_error *err)
{
    const pp_allocator *a = s->allocator;
    size_t n_edges = edges_of(s);
    pp_line_init(&s->line, a);
    pp_intern_init(&s->files, a);
    s->first = pp_calloc(a, s->n + 1, sizeof(*s->first));
    s->name = pp_calloc(a, s->n + 1, sizeof(*s->name));
    s->next = pp_calloc(a, n_edges + 1, sizeof(*s->next));
    uint32_t *callees = pp_calloc(a, n_edges + 1, sizeof(*callees));
    pyprof_status status = PYPROF_OK;
    if (s->first == NULL || s->name == NULL || s->next == NULL ||
        callees == NULL) {
        status = pp_error_memory(err, "calls");
    } else {
        link_edges(s, callees);
        status = write_all(s, callees, w, err);
    }
    pp_free(a, s->first);
    pp_free(a, s->name);
    pp_free(a, s->next);
    pp_free(a, callees);
    pp_intern_free(&s->files);
    pp_line_free(&s->line);
    return status;
}

/* ---- slots -------------------------------------------------------------- */

static pyprof_status callgrind_begin(void *self, const pyprof_session *session,
                                     pyprof_error *err)
{
    callgrind *c = self;
    PP_UNUSED(err);
    pp_counts_begin(&c->counts, session);
    c->has_calls = false;
    return PYPROF_OK;
}

static pyprof_status callgrind_sample(void *self, const pyprof_sample *sample,
                                      pyprof_error *err)
{
    callgrind *c = self;
    return pp_counts_add(&c->counts, sample, err);
}

static pyprof_status callgrind_calls(void *self, const pyprof_calls *calls,
                                     pyprof_error *err)
{
    callgrind *c = self;
    c->has_calls = true;
    return pp_calls_make(&c->calls, calls, err);
}

static pyprof_status callgrind_finish(void *self, const pyprof_summary *summary,
                                      pyprof_writer *writer, pyprof_error *err)
{
    callgrind *c = self;
    PP_UNUSED(summary);
    source s = {.allocator = &c->allocator};
    if (c->has_calls) {
        s.calls = &c->calls;
        s.n = c->calls.n_rows;
        return write_source(&s, writer, err);
    }
    pp_sums sums;
    pyprof_status status = pp_sums_make(&sums, &c->allocator, &c->counts,
                                        PP_ROWS_BY_FUNCTION, err);
    if (status == PYPROF_OK) {
        s.sums = &sums;
        s.n = sums.rows.n;
        status = write_source(&s, writer, err);
    }
    pp_sums_free(&sums);
    return status;
}

static void callgrind_free(void *self)
{
    callgrind *c = self;
    pp_counts_free(&c->counts);
    pp_calls_free(&c->calls);
}

static void callgrind_init(void *self, const pyprof_format_opts *opts)
{
    callgrind *c = self;
    PP_UNUSED(opts);
    pp_counts_init(&c->counts, &c->allocator);
    pp_calls_init(&c->calls, &c->allocator);
}

const pp_format pp_format_callgrind = {
    .ops = {.begin = callgrind_begin,
            .sample = callgrind_sample,
            .finish = callgrind_finish,
            .free = callgrind_free,
            .calls = callgrind_calls},
    .size = sizeof(callgrind),
    .init = callgrind_init,
};
