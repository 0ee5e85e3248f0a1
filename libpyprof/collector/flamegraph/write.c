/*
 * write: the page of a profile. In go the nodes; out comes page.html with these
 * blocks of data in it, beside those of names.c:
 *
 *   d-meta     JSON: what was sampled and how, threads and their figures
 *   d-tree     for each node, callers first: how many levels the one before it
 *              is left upwards (0: it is its caller), line item; item 0 is a
 *              block "(N smaller)", followed by N
 *   d-samples  for each thread, then (where there is one) for the baseline as a
 *              whole: number of entries; for each, rank (difference), samples
 *   d-log      for each thread: number of runs; for each, ticks since the end
 *              of the last, ticks - 1, rank (signed difference), state
 *
 * All numbers are columns of page.h.
 */
#include "collector/flamegraph/nodes.h"

#include <string.h>

typedef struct page_run {
    const pp_flame *flame;
    const pyprof_summary *summary;
    const pp_flame_merged *merged; /* NULL: nothing to compare with */
    pp_flame_nodes nodes;
    pp_line line;
    pp_column column;
    uint32_t depth; /* while walking */
    uint32_t last_depth;
} page_run;

/* ---- meta ---------------------------------------------------------------- */

static void add_number(pp_line *line, const char *key, uint64_t number)
{
    pp_line_text(line, "\"");
    pp_line_text(line, key);
    pp_line_text(line, "\":");
    pp_line_number(line, number);
    pp_line_text(line, ",");
}

static void add_profile(pp_line *line, const pyprof_session *session,
                        const pyprof_summary *summary)
{
    add_number(line, "interval", session->interval_ns);
    add_number(line, "startedMs",
               session->start_unix_ns > 0
                   ? (uint64_t)session->start_unix_ns / 1000000
                   : 0);
    add_number(line, "pid", session->pid > 0 ? (uint64_t)session->pid : 0);
    add_number(line, "mode", session->mode > 0 ? (uint64_t)session->mode : 0);
    int32_t python = session->python_version;
    add_number(line, "python", python > 0 ? (uint64_t)python : 0);
    add_number(line, "capture", session->capture);
    add_number(line, "duration", summary->duration_ns);
    add_number(line, "rounds", summary->rounds);
    add_number(line, "attempted", summary->attempted);
    add_number(line, "whole", summary->whole);
    add_number(line, "torn", summary->torn);
    add_number(line, "gone", summary->gone);
    add_number(line, "unreadable", summary->unreadable);
    add_number(line, "missed", summary->missed);
}

static void add_thread(pp_line *line, const pyprof_tables *tables,
                       uint32_t number, const pp_flame_thread *t)
{
    pyprof_thread thread;
    uint64_t id = 0;
    memset(&thread, 0, sizeof(thread));
    thread.name = (pyprof_text){.data = "", .size = 0};
    if (pp_tables_thread_view(tables, number, &thread)) {
        id = thread.os_id != 0       ? thread.os_id
             : thread.native_id != 0 ? thread.native_id
                                     : thread.python_id;
    }
    pp_line_text(line, "{\"name\":");
    pp_page_json(line, thread.name);
    pp_line_text(line, ",");
    add_number(line, "id", id);
    add_number(line, "interpreter", thread.interpreter);
    add_number(line, "main", thread.is_main != 0);
    add_number(line, "samples", t->samples);
    add_number(line, "empty", t->empty);
    add_number(line, "torn", t->torn);
    add_number(line, "unreadable", t->unreadable);
    add_number(line, "gilKnown", t->gil_known);
    add_number(line, "gil", t->gil);
    add_number(line, "gilRequested", t->gil_requested);
    add_number(line, "cpuKnown", t->cpu_known);
    add_number(line, "cpu", t->cpu);
    add_number(line, "exception", t->exception);
    add_number(line, "gc", t->gc);
    line->size--; /* the last comma */
    pp_line_text(line, "}");
}

/* Whether a thread is in the page; 0 is one that the sampler had no number for.
 */
static bool has_thread(const pp_flame *flame, size_t number)
{
    const pp_flame_thread *t = &flame->threads[number];
    return t->samples + t->empty + t->unreadable > 0;
}

static void add_threads(pp_line *line, const pp_flame *flame)
{
    bool is_first = true;
    pp_line_text(line, "\"threads\":[");
    for (size_t i = 0; i < flame->n_threads; i++) {
        if (has_thread(flame, i)) {
            pp_line_text(line, is_first ? "" : ",\n");
            add_thread(line, flame->session.tables, (uint32_t)i,
                       &flame->threads[i]);
            is_first = false;
        }
    }
    pp_line_text(line, "]");
}

static pyprof_status write_meta(page_run *run, pyprof_writer *w,
                                pyprof_error *err)
{
    const pp_flame *flame = run->flame;
    pp_line *line = &run->line;
    pp_line_clear(line);
    pp_line_text(line, "{");
    add_profile(line, &flame->session, run->summary);
    add_number(line, "nodes", run->nodes.n_ranks);
    add_number(line, "folded", run->nodes.n_folded);
    add_number(line, "tick", flame->log.tick_ns);
    add_number(line, "firstTick", flame->log.first_tick_ns);
    if (run->merged != NULL) {
        pp_line_text(line, "\"baseline\":{");
        add_profile(line, &flame->baseline->session, &flame->baseline->summary);
        line->size--;
        pp_line_text(line, "},");
    }
    add_threads(line, flame);
    pp_line_text(line, "}");
    PP_TRY(pp_flame_block_open(w, "meta", err));
    PP_TRY(pp_line_write(line, w, err));
    return pp_flame_block_close(w, err);
}

/* ---- tree ---------------------------------------------------------------- */

static void put_node(page_run *run, uint32_t depth, uint32_t place)
{
    pp_column_number(&run->column, (uint64_t)run->last_depth + 1 - depth);
    pp_column_number(&run->column, place);
    run->last_depth = depth;
}

static void put_block(page_run *run, uint32_t depth, uint32_t folded)
{
    if (folded > 0) {
        put_node(run, depth, 0);
        pp_column_number(&run->column, folded);
    }
}

static void enter_node(void *user, uint32_t node)
{
    page_run *run = user;
    const pp_flame_nodes *nodes = &run->nodes;
    run->depth++;
    if (pp_flame_nodes_has(nodes, node)) {
        put_node(run, run->depth, nodes->place_of[nodes->tree.item[node] - 1]);
        put_block(run, run->depth + 1, nodes->folded[node]);
    }
}

static void leave_node(void *user, uint32_t node)
{
    page_run *run = user;
    PP_UNUSED(node);
    run->depth--;
}

static pyprof_status write_tree(page_run *run, pyprof_writer *w,
                                pyprof_error *err)
{
    PP_TRY(pp_flame_block_open(w, "tree", err));
    pp_column_begin(&run->column, w, err);
    run->depth = 0;
    run->last_depth = 0;
    put_block(run, 1, run->nodes.folded[0]);
    pp_tree_walk(&run->nodes.tree, enter_node, leave_node, run);
    PP_TRY(pp_column_end(&run->column));
    return pp_flame_block_close(w, err);
}

/* ---- samples ------------------------------------------------------------- */

/* Adds up what is next to each other and of the same rank. */
static void put_entries(page_run *run, const pp_flame_entry *entries,
                        const uint32_t *order, size_t n)
{
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++) {
        distinct +=
            i == 0 || entries[order[i]].stack != entries[order[i - 1]].stack;
    }
    pp_column_number(&run->column, distinct);
    uint32_t last = 0;
    for (size_t i = 0; i < n;) {
        uint32_t rank = entries[order[i]].stack;
        uint64_t count = 0;
        for (; i < n && entries[order[i]].stack == rank; i++) {
            count += entries[order[i]].count;
        }
        pp_column_number(&run->column, rank - last);
        pp_column_number(&run->column, count);
        last = rank;
    }
}

/* Entries of the profile by thread, each thread's in the order of ranks. */
static pyprof_status put_threads(page_run *run, uint32_t *order,
                                 pyprof_error *err)
{
    const pp_flame *flame = run->flame;
    const pp_flame_entry *entries = run->nodes.entries;
    size_t n = run->nodes.n_entries[0];
    size_t *start =
        pp_calloc(run->nodes.allocator, flame->n_threads + 2, sizeof(*start));
    if (start == NULL) {
        return pp_error_memory(err, "the order of threads");
    }
    for (size_t i = 0; i < n; i++) {
        start[entries[i].thread + 1]++;
    }
    for (size_t t = 1; t <= flame->n_threads; t++) {
        start[t] += start[t - 1];
    }
    for (size_t i = 0; i < n; i++) {
        order[start[entries[i].thread]++] = (uint32_t)i;
    }
    size_t from = 0;
    for (size_t t = 0; t < flame->n_threads; t++) {
        if (has_thread(flame, t)) {
            put_entries(run, entries, order + from, start[t] - from);
        }
        from = start[t];
    }
    pp_free(run->nodes.allocator, start);
    return PYPROF_OK;
}

static pyprof_status write_samples(page_run *run, pyprof_writer *w,
                                   pyprof_error *err)
{
    const pp_flame_nodes *nodes = &run->nodes;
    size_t n = nodes->n_entries[0] > nodes->n_entries[1] ? nodes->n_entries[0]
                                                         : nodes->n_entries[1];
    uint32_t *order = pp_calloc(nodes->allocator, n + 1, sizeof(*order));
    if (order == NULL) {
        return pp_error_memory(err, "the order of entries");
    }
    pyprof_status status = pp_flame_block_open(w, "samples", err);
    pp_column_begin(&run->column, w, err);
    if (status == PYPROF_OK) {
        status = put_threads(run, order, err);
    }
    if (status == PYPROF_OK && run->merged != NULL) {
        for (size_t i = 0; i < nodes->n_entries[1]; i++) {
            order[i] = (uint32_t)i;
        }
        put_entries(run, nodes->entries + nodes->n_entries[0], order,
                    nodes->n_entries[1]);
    }
    pp_free(nodes->allocator, order);
    PP_TRY(status);
    PP_TRY(pp_column_end(&run->column));
    return pp_flame_block_close(w, err);
}

/* ---- log ----------------------------------------------------------------- */

static uint32_t rank_of_stack(const page_run *run, uint32_t stack)
{
    if (run->merged != NULL) {
        stack = run->merged->stack_of[0][stack];
    }
    return run->nodes.rank_of[run->nodes.tree.node_of[stack]];
}

/* The runs of all threads, thread by thread. */
static void put_runs(page_run *run, const uint32_t *order, const size_t *end)
{
    const pp_flame *flame = run->flame;
    size_t at = 0;
    for (size_t t = 0; t < flame->n_threads; t++) {
        uint32_t tick = 0;
        int64_t rank = 0;
        if (!has_thread(flame, t)) {
            continue;
        }
        pp_column_number(&run->column, end[t] - at);
        for (; at < end[t]; at++) {
            const pp_flame_run *r = &flame->log.runs[order[at]];
            int64_t next = rank_of_stack(run, r->stack);
            pp_column_number(&run->column, r->tick - tick);
            pp_column_number(&run->column, r->length - 1);
            pp_column_signed(&run->column, next - rank);
            pp_column_number(&run->column, r->state);
            tick = r->tick + r->length;
            rank = next;
        }
    }
}

static pyprof_status write_log(page_run *run, pyprof_writer *w,
                               pyprof_error *err)
{
    const pp_flame *flame = run->flame;
    const pp_flame_log *log = &flame->log;
    const pp_allocator *a = run->nodes.allocator;
    uint32_t *order = pp_calloc(a, log->n + 1, sizeof(*order));
    size_t *end = pp_calloc(a, flame->n_threads + 2, sizeof(*end));
    pyprof_status status = PYPROF_OK;
    if (order == NULL || end == NULL) {
        status = pp_error_memory(err, "the order of time");
    } else {
        for (size_t i = 0; i < log->n; i++) {
            end[log->runs[i].thread + 1]++;
        }
        for (size_t t = 1; t <= flame->n_threads; t++) {
            end[t] += end[t - 1];
        }
        for (size_t i = 0; i < log->n; i++) {
            order[end[log->runs[i].thread]++] = (uint32_t)i;
        }
        status = pp_flame_block_open(w, "log", err);
        pp_column_begin(&run->column, w, err);
        put_runs(run, order, end);
    }
    pp_free(a, order);
    pp_free(a, end);
    PP_TRY(status);
    PP_TRY(pp_column_end(&run->column));
    return pp_flame_block_close(w, err);
}

/* ---- the page ------------------------------------------------------------ */

static pyprof_status write_data(void *user, pyprof_writer *w, pyprof_error *err)
{
    page_run *run = user;
    PP_TRY(write_meta(run, w, err));
    PP_TRY(pp_flame_names_write(&run->nodes, run->flame, w, err));
    PP_TRY(write_tree(run, w, err));
    PP_TRY(write_samples(run, w, err));
    return write_log(run, w, err);
}

pyprof_status pp_flame_write(const pp_flame *flame,
                             const pyprof_summary *summary, pyprof_writer *w,
                             pyprof_error *err)
{
    static const pp_page_slot slots[] = {{"data", write_data}};
    pp_flame_merged merged = {.tables = NULL};
    page_run run = {.flame = flame, .summary = summary};
    pyprof_status status = PYPROF_OK;
    if (flame->baseline != NULL) {
        status = pp_flame_merge(&merged, flame, flame->baseline, err);
        run.merged = &merged;
    }
    if (status == PYPROF_OK) {
        pp_line_init(&run.line, &flame->allocator);
        status = pp_flame_nodes_make(&run.nodes, flame, run.merged, err);
        if (status == PYPROF_OK) {
            status = pp_page_fill(&pp_page_flamegraph, slots,
                                  PP_COUNT_OF(slots), &run, w, err);
        }
        pp_flame_nodes_free(&run.nodes);
        pp_line_free(&run.line);
    }
    pp_flame_merged_free(&merged, &flame->allocator);
    return status;
}
