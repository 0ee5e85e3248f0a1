/*
 * collect: a snapshot to whoever takes it: the caller's function, or a
 * collector. A collector that does not take calls gets the call paths, each as
 * a stack that was seen once for each microsecond.
 */
#include "tracer/internal.h"

#include "collector/collector.h"
#include "sample/sample.h"

#include <string.h>

#define INTERVAL_NS 1000

/* Python's lock around something with a snapshot in its middle. */
static pyprof_status with_snapshot(pyprof_tracer *tracer,
                                   pyprof_status (*use)(void *user,
                                                        const pp_snapshot *s,
                                                        pyprof_error *err),
                                   void *user, pyprof_error *err)
{
    pp_hub *hub = tracer->hub;
    pp_snapshot snapshot;
    if (hub == NULL) {
        PP_TRY(pp_snapshot_make(tracer, &snapshot, err));
        pyprof_status status = use(user, &snapshot, err);
        pp_snapshot_free(&snapshot);
        return status;
    }
    if (hub->is_ended || !hub->api.is_initialized()) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "the interpreter that was traced has ended: take "
                            "results before Py_Finalize");
    }
    pp_py_lock lock;
    pp_py_error held;
    pp_pyapi_enter(&hub->api, &lock);
    pp_pyapi_hold_error(&hub->api, &held);
    pyprof_status status = pp_snapshot_make(tracer, &snapshot, err);
    pp_pyapi_put_error(&hub->api, &held);
    if (status == PYPROF_OK) {
        status = use(user, &snapshot, err);
        pp_pyapi_hold_error(&hub->api, &held);
        pp_snapshot_free(&snapshot);
        pp_pyapi_put_error(&hub->api, &held);
    }
    pp_pyapi_leave(&hub->api, &lock);
    return status;
}

/* ---- the caller's function --------------------------------------------- */

typedef struct taker {
    int32_t (*take)(void *user, const pyprof_calls *calls);
    void *user;
} taker;

static pyprof_status give(void *user, const pp_snapshot *s, pyprof_error *err)
{
    const taker *t = user;
    int32_t answer = t->take(t->user, &s->calls);
    return answer == 0 ? PYPROF_OK
                       : pp_error_set(err, PYPROF_ERR_CALLBACK,
                                      "the function that takes a snapshot "
                                      "answered %d",
                                      (int)answer);
}

pyprof_status pp_tracer_snapshot(pyprof_tracer *tracer,
                                 int32_t (*take)(void *user,
                                                 const pyprof_calls *calls),
                                 void *user, pyprof_error *err)
{
    taker t = {.take = take, .user = user};
    return with_snapshot(tracer, give, &t, err);
}

/* ---- call paths -------------------------------------------------------- */

static uint32_t frame_of(pyprof_tables *tables,
                         const pyprof_function_calls *row)
{
    const pp_function_key key = {
        .qualname = row->qualname,
        .name = row->name,
        .file = row->file,
        .first_line = row->first_line,
        .kind = row->kind == PYPROF_FUNCTION_PYTHON ? PYPROF_FRAME_PYTHON
                                                    : PYPROF_FRAME_NATIVE,
    };
    pp_position position = PP_POSITION_UNKNOWN;
    position.line = row->first_line;
    uint32_t function = pp_tables_function(tables, &key);
    return function != 0 ? pp_tables_frame(tables, function, &position) : 0;
}

/* Numbers of stacks, by number of path; NULL when out of memory. What has not
 * ended yet has no row, and is a part of its caller. */
static uint32_t *make_stacks(pyprof_tables *tables, const pp_snapshot *s)
{
    const pp_book *book = &s->book;
    uint32_t *stacks =
        pp_calloc(&book->allocator, book->n_paths + 1, sizeof(*stacks));
    for (size_t i = 0; i < book->n_paths && stacks != NULL; i++) {
        const pp_path *path = &book->paths[i];
        uint32_t parent = stacks[path->parent];
        uint64_t row = s->row_of[path->entry];
        uint32_t frame =
            row != 0 ? frame_of(tables, &s->functions[row - 1]) : 0;
        stacks[i + 1] =
            row != 0 ? pp_tables_stack(tables, parent, frame) : parent;
        if (row != 0 && stacks[i + 1] == 0) {
            pp_free(&book->allocator, stacks);
            stacks = NULL;
        }
    }
    return stacks;
}

/* Rounds such that what is left over is not lost but goes to the next path. */
static pyprof_status push_paths(pyprof_collector *collector,
                                const pyprof_tables *tables,
                                const pp_snapshot *s, const uint32_t *stacks,
                                uint32_t thread, pyprof_summary *summary,
                                pyprof_error *err)
{
    double left = 0;
    for (size_t i = 0; i < s->book.n_paths; i++) {
        left += (double)(int64_t)s->book.paths[i].own * s->unit * 1e6;
        if (left < 1 || stacks[i + 1] == 0) {
            continue;
        }
        uint64_t count = left < 1e18 ? (uint64_t)left : 1;
        left -= (double)count;
        const pyprof_stack_sample one = {
            .thread = thread,
            .stack = stacks[i + 1],
            .depth = pp_tables_depth(tables, stacks[i + 1]),
        };
        const pyprof_sample sample = {.sz = sizeof(sample),
                                      .count = count,
                                      .stacks = &one,
                                      .n_stacks = 1,
                                      .tables = tables};
        PP_TRY(pp_collector_sample(collector, &sample, err));
        summary->rounds += count;
        summary->attempted += count;
        summary->whole += count;
    }
    return PYPROF_OK;
}

/* ---- collectors -------------------------------------------------------- */

typedef struct collecting {
    pyprof_collector *collector;
    bool has_paths;
    const pp_allocator *allocator;
} collecting;

static pyprof_status run(const collecting *c, const pp_snapshot *s,
                         pyprof_tables *tables, pyprof_error *err)
{
    const bool takes_calls = pp_collector_takes_calls(c->collector);
    uint32_t thread = 0;
    uint32_t *stacks = NULL;
    if (!takes_calls) {
        const pyprof_thread all = {.sz = sizeof(all),
                                   .pid = pp_os_self_pid(),
                                   .name = {.data = "", .size = 0}};
        thread = pp_tables_thread_new(tables, &all);
        stacks = make_stacks(tables, s);
        if (thread == 0 || stacks == NULL) {
            pp_free(&s->book.allocator, stacks);
            return pp_error_memory(err, "call paths");
        }
    }
    const pyprof_session session = {.sz = sizeof(session),
                                    .interval_ns = INTERVAL_NS,
                                    .start_ns = pp_os_now(),
                                    .start_unix_ns = pp_os_unix_now(),
                                    .pid = pp_os_self_pid(),
                                    .tables = tables};
    pyprof_summary summary = {.sz = sizeof(summary)};
    pyprof_status status =
        pp_collector_begin(c->collector, &session, tables, err);
    if (status == PYPROF_OK) {
        status = takes_calls ? pp_collector_calls(c->collector, &s->calls, err)
                             : push_paths(c->collector, tables, s, stacks,
                                          thread, &summary, err);
        summary.duration_ns = summary.rounds * INTERVAL_NS;
        pyprof_status ended = pp_collector_end(c->collector, &summary, NULL);
        status = status != PYPROF_OK ? status : ended;
    }
    pp_free(&s->book.allocator, stacks);
    return status;
}

static pyprof_status collect(void *user, const pp_snapshot *s,
                             pyprof_error *err)
{
    const collecting *c = user;
    if (!pp_collector_takes_calls(c->collector) && !c->has_paths) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the format \"%s\" needs call paths: set "
                            "PYPROF_TRACE_PATHS before tracing",
                            pp_collector_name(c->collector));
    }
    pyprof_tables *tables = pp_tables_new(c->allocator, NULL);
    if (tables == NULL) {
        return pp_error_memory(err, "names");
    }
    pyprof_status status = run(c, s, tables, err);
    pp_tables_unref(tables);
    return status;
}

pyprof_status pp_tracer_collect(pyprof_tracer *tracer,
                                pyprof_collector *collector, pyprof_error *err)
{
    collecting c = {
        .collector = collector,
        .has_paths = (tracer->opts.flags & PYPROF_TRACE_PATHS) != 0,
        .allocator = &tracer->allocator,
    };
    return with_snapshot(tracer, collect, &c, err);
}
