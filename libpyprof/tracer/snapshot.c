/*
 * snapshot: what a tracer recorded, put together and named. In go the books of
 * its threads, out come rows of functions and their callers.
 *
 * Functions are told apart by what they are, not by their names: two with the
 * same name are two rows, which a collector may add up.
 */
#include "tracer/internal.h"

#include <string.h>

/* ---- putting together -------------------------------------------------- */

static bool fold_all(pyprof_tracer *tracer, pp_snapshot *s)
{
    pp_hub *hub = tracer->hub;
    bool is_done = true;
    pp_hub_lock(hub, &hub->lock);
    is_done = pp_book_fold(&s->book, &tracer->ended, pp_hub_keep, hub);
    for (pp_track *t = tracer->tracks; t != NULL && is_done;
         t = t->next_of_tracer) {
        pp_hub_lock(hub, &t->thread->lock);
        is_done = pp_book_fold(&s->book, &t->lane.book, pp_hub_keep, hub);
        pp_hub_unlock(hub, &t->thread->lock);
    }
    pp_hub_unlock(hub, &hub->lock);
    return is_done;
}

static double unit_of(const pyprof_tracer *tracer)
{
    const pyprof_tracer_opts *opts = &tracer->opts;
    if (opts->clock == PYPROF_CLOCK_CALLER) {
        return opts->clock_unit != 0 ? opts->clock_unit : 1e-9;
    }
    if (opts->clock == PYPROF_CLOCK_CPU) {
        return 1e-9;
    }
    return tracer->is_installed ? pp_hub_tick_seconds(tracer->hub)
                                : tracer->tick_seconds;
}

static double seconds(const pp_snapshot *s, uint64_t units)
{
    return (double)(int64_t)units * s->unit;
}

/* ---- names ------------------------------------------------------------- */

/* False when out of memory. */
static bool keep_text(pp_snapshot *s, pyprof_text text, pyprof_text *out)
{
    uint32_t number = pp_intern_put(&s->texts, text.data, (size_t)text.size);
    *out = pp_intern_text(&s->texts, number);
    return number != 0;
}

static pyprof_text literal(const char *text)
{
    return (pyprof_text){.data = text, .size = strlen(text)};
}

/* An attribute that is text; `otherwise` where it is none. */
static bool keep_attribute(pp_snapshot *s, pp_py_object *code, const char *name,
                           pyprof_text otherwise, pyprof_text *out)
{
    const pp_pyapi *api = &s->hub->api;
    pp_py_text found = {.owner = NULL};
    bool is_there = pp_pyapi_text(api, code, name, &found);
    bool is_done = keep_text(s, is_there ? found.text : otherwise, out);
    pp_pyapi_text_free(api, &found);
    return is_done;
}

static bool name_python(pp_snapshot *s, const pp_entry *entry,
                        pyprof_function_calls *row)
{
    pp_py_object *code = (pp_py_object *)entry->key; /* NOLINT: an address */
    row->kind = PYPROF_FUNCTION_PYTHON;
    row->code = code;
    row->first_line =
        (int32_t)pp_pyapi_number(&s->hub->api, code, "co_firstlineno", 0);
    return keep_attribute(s, code, "co_filename", literal("<unknown>"),
                          &row->file) &&
           keep_attribute(s, code, "co_name", literal("<unknown>"),
                          &row->name) &&
           keep_attribute(s, code, "co_qualname", row->name, &row->qualname);
}

static bool name_other(pp_snapshot *s, const pp_entry *entry,
                       pyprof_function_calls *row)
{
    bool is_c = entry->label != NULL;
    row->kind = is_c ? PYPROF_FUNCTION_C : PYPROF_FUNCTION_OTHER;
    row->file = literal("~");
    bool is_done = keep_text(
        s, literal(is_c ? entry->label : "<other functions>"), &row->name);
    row->qualname = row->name;
    return is_done;
}

/* ---- rows -------------------------------------------------------------- */

static bool make_functions(pp_snapshot *s)
{
    const pp_book *book = &s->book;
    const pp_allocator *a = &book->allocator;
    s->functions = pp_calloc(a, book->n_entries + 1, sizeof(*s->functions));
    s->row_of = pp_calloc(a, book->n_entries + 1, sizeof(*s->row_of));
    if (s->functions == NULL || s->row_of == NULL) {
        return false;
    }
    for (size_t i = 0; i < book->n_entries; i++) {
        const pp_entry *entry = book->by_id[i];
        if (entry->sum.calls == 0) {
            continue;
        }
        pyprof_function_calls *row = &s->functions[s->calls.n_functions];
        row->calls = entry->sum.calls;
        row->primitive_calls = entry->sum.calls - entry->sum.repeated;
        row->own_time = seconds(s, entry->sum.own);
        row->total_time = seconds(s, entry->sum.total);
        bool is_python = entry->label == NULL && entry->key != PP_KEY_OTHER;
        if (!(is_python ? name_python(s, entry, row)
                        : name_other(s, entry, row))) {
            return false;
        }
        s->row_of[entry->id] = ++s->calls.n_functions;
    }
    return true;
}

/* The rows of an edge's ends; NULL when one is not shown. */
static pyprof_function_calls *
callee_of(const pp_snapshot *s, const pp_edge *edge, uint64_t *out_caller)
{
    uint64_t callee = s->row_of[edge->key >> 32];
    uint64_t caller = s->row_of[(uint32_t)edge->key];
    *out_caller = caller - 1;
    return callee == 0 || caller == 0 || edge->sum.calls == 0
               ? NULL
               : &s->functions[callee - 1];
}

static void count_edge(void *user, const pp_edge *edge)
{
    pp_snapshot *s = user;
    uint64_t caller;
    pyprof_function_calls *row = callee_of(s, edge, &caller);
    if (row != NULL) {
        row->n_callers++;
        s->calls.n_callers++;
    }
}

static void add_edge(void *user, const pp_edge *edge)
{
    pp_snapshot *s = user;
    uint64_t caller;
    pyprof_function_calls *row = callee_of(s, edge, &caller);
    if (row != NULL) {
        s->callers[row->first_caller + row->n_callers++] =
            (pyprof_caller_calls){
                .caller = caller,
                .calls = edge->sum.calls,
                .primitive_calls = edge->sum.calls - edge->sum.repeated,
                .own_time = seconds(s, edge->sum.own),
                .total_time = seconds(s, edge->sum.total),
            };
    }
}

static bool make_callers(pp_snapshot *s)
{
    pp_book_each_edge(&s->book, count_edge, s);
    s->callers = pp_calloc(&s->book.allocator, s->calls.n_callers + 1,
                           sizeof(*s->callers));
    if (s->callers == NULL) {
        return false;
    }
    uint64_t first = 0;
    for (uint64_t i = 0; i < s->calls.n_functions; i++) {
        s->functions[i].first_caller = first;
        first += s->functions[i].n_callers;
        s->functions[i].n_callers = 0;
    }
    pp_book_each_edge(&s->book, add_edge, s);
    return true;
}

/* ---- life -------------------------------------------------------------- */

pyprof_status pp_snapshot_make(pyprof_tracer *tracer, pp_snapshot *s,
                               pyprof_error *err)
{
    memset(s, 0, sizeof(*s));
    s->hub = tracer->hub;
    if (s->hub != NULL) {
        pp_hub_reap(s->hub);
    }
    s->unit = unit_of(tracer);
    bool is_done = pp_book_init(&s->book, &tracer->allocator, 0);
    pp_intern_init(&s->texts, &s->book.allocator);
    if (is_done && s->hub != NULL) {
        is_done = fold_all(tracer, s);
    }
    if (is_done && s->book.is_failed) {
        pp_snapshot_free(s);
        return pp_error_set(err, PYPROF_ERR_NO_MEMORY,
                            "memory was exhausted while tracing: what was "
                            "recorded is not whole; clear the tracer");
    }
    is_done = is_done && make_functions(s) &&
              ((tracer->opts.flags & PYPROF_TRACE_NO_CALLERS) != 0 ||
               make_callers(s));
    if (!is_done) {
        pp_snapshot_free(s);
        return pp_error_memory(err, "a snapshot");
    }
    s->calls.sz = sizeof(s->calls);
    s->calls.functions = s->functions;
    s->calls.callers = s->callers;
    return PYPROF_OK;
}

void pp_snapshot_free(pp_snapshot *s)
{
    const pp_allocator allocator = s->book.allocator;
    pp_intern_free(&s->texts);
    pp_free(&allocator, s->functions);
    pp_free(&allocator, s->callers);
    pp_free(&allocator, s->row_of);
    pp_hub_book_free(s->hub, &s->book);
}
