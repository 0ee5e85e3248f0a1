/*
 * gecko_text: writes what gecko.c has kept as Firefox Profiler's "processed"
 * profile, version 57. In go runs of stacks and markers by thread; out comes
 * JSON, a column at a time, so that no text of the whole is ever in memory.
 *
 * Each thread has tables of its own. What is in them is numbered in the order
 * in which its samples need it: equal samples make equal files.
 *
 * Invariant: a frame's or stack's place in `local` is 0 unless it is in the
 * tables of the thread at hand.
 */
#include "collector/gecko.h"
#include "collector/json.h"

#include <string.h>

/* Numbers of the tables, as rows of a thread's own; rows from 0. */
typedef struct column {
    uint32_t *local; /* row plus one, by number of the tables */
    uint32_t *rows;  /* number, by row */
    size_t n, cap;
} column;

typedef struct printer {
    const gecko *g;
    const pp_allocator *allocator;
    const pyprof_tables *tables;
    pp_json json;
    column stacks, frames, functions;
    pp_intern strings, files; /* of all threads; of the thread at hand */
    uint32_t *path;
    size_t cap_path;
} printer;

enum category {
    CATEGORY_OTHER,
    CATEGORY_PYTHON,
    CATEGORY_NATIVE,
    CATEGORY_GC,
    CATEGORY_GIL,
    CATEGORY_CPU,
    CATEGORY_CODE,
    CATEGORY_OPCODES,
    CATEGORY_EXCEPTION
};

static const struct {
    const char *name, *color;
} categories[] = {
    [CATEGORY_OTHER] = {"Other", "grey"},
    [CATEGORY_PYTHON] = {"Python", "yellow"},
    [CATEGORY_NATIVE] = {"Native", "blue"},
    [CATEGORY_GC] = {"GC", "orange"},
    [CATEGORY_GIL] = {"GIL", "green"},
    [CATEGORY_CPU] = {"CPU", "purple"},
    [CATEGORY_CODE] = {"Code Type", "red"},
    [CATEGORY_OPCODES] = {"Opcodes", "magenta"},
    [CATEGORY_EXCEPTION] = {"Exception", "lightblue"},
};

static const struct {
    const char *name, *type;
    int category;
} states[GECKO_STATES] = {
    [GECKO_HAS_GIL] = {"Has GIL", "HasGIL", CATEGORY_GIL},
    [GECKO_NO_GIL] = {"No GIL", "NoGIL", CATEGORY_GIL},
    [GECKO_ON_CPU] = {"On CPU", "OnCPU", CATEGORY_CPU},
    [GECKO_OFF_CPU] = {"Off CPU", "OffCPU", CATEGORY_CPU},
    [GECKO_PYTHON_CODE] = {"Python Code", "PythonCode", CATEGORY_CODE},
    [GECKO_NATIVE_CODE] = {"Native Code", "NativeCode", CATEGORY_CODE},
    [GECKO_GIL_WAIT] = {"Waiting for GIL", "WaitingforGIL", CATEGORY_GIL},
    [GECKO_GC] = {"GC Collecting", "GCCollecting", CATEGORY_GC},
    [GECKO_EXCEPTION] = {"Has Exception", "HasException", CATEGORY_EXCEPTION},
    [GECKO_NO_EXCEPTION] = {"No Exception", "NoException", CATEGORY_EXCEPTION},
};

static uint32_t string_row(printer *p, pyprof_text text)
{
    uint32_t id = pp_intern_put(&p->strings, text.data, (size_t)text.size);
    if (id == 0) {
        pp_json_fail(&p->json);
        return 0;
    }
    return id - 1;
}

static pyprof_text literal(const char *text)
{
    return (pyprof_text){.data = text, .size = strlen(text)};
}

/* ---- the tables of a thread -------------------------------------------- */

/* The row of a number, new at the end of the table. */
static uint32_t row_of(printer *p, column *c, uint32_t number)
{
    if (c->local[number] == 0) {
        if (!pp_grow(p->allocator, &c->rows, &c->cap, sizeof(*c->rows),
                     c->n + 1, 0)) {
            pp_json_fail(&p->json);
            return 0;
        }
        c->rows[c->n++] = number;
        c->local[number] = (uint32_t)c->n;
    }
    return c->local[number] - 1;
}

static void clear_column(column *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->local[c->rows[i]] = 0;
    }
    c->n = 0;
}

/* A stack with its callers, and all that they need. */
static void add_stack(printer *p, uint32_t stack)
{
    size_t n = 0;
    for (; stack != 0 && p->stacks.local[stack] == 0; n++) {
        if (!pp_grow(p->allocator, &p->path, &p->cap_path, sizeof(*p->path),
                     n + 1, 0)) {
            pp_json_fail(&p->json);
            return;
        }
        p->path[n] = stack;
        (void)pp_tables_stack_view(p->tables, stack, &stack, NULL);
    }
    while (n > 0 && p->json.status == PYPROF_OK) {
        uint32_t frame = 0;
        pyprof_frame view;
        stack = p->path[--n];
        (void)row_of(p, &p->stacks, stack);
        (void)pp_tables_stack_view(p->tables, stack, NULL, &frame);
        if (p->frames.local[frame] == 0 &&
            pp_tables_frame_view(p->tables, frame, &view)) {
            (void)row_of(p, &p->frames, frame);
            (void)row_of(p, &p->functions, view.function_id);
        }
    }
}

/* ---- runs and markers -------------------------------------------------- */

typedef struct reading {
    const uint8_t *at, *end;
} reading;

static reading begin_reading(const pp_line *line)
{
    const uint8_t *at = (const uint8_t *)line->data;
    return (reading){.at = at, .end = at == NULL ? NULL : at + line->size};
}

static uint64_t next_number(reading *r)
{
    uint64_t value = 0;
    (void)pp_varint_get(&r->at, r->end, &value);
    return value;
}

typedef struct run {
    uint64_t gap, n; /* rounds before it, and of it */
    uint32_t stack;
} run;

static bool next_run(reading *r, run *out)
{
    if (r->at == r->end) {
        return false;
    }
    out->gap = next_number(r);
    out->n = next_number(r) + 1;
    out->stack = (uint32_t)next_number(r);
    return true;
}

static void put_stack_column(printer *p, const gecko_thread *t)
{
    reading r = begin_reading(&t->runs);
    run one;
    pp_json_key_list(&p->json, "stack");
    while (next_run(&r, &one)) {
        int64_t row =
            one.stack == 0 ? -1 : (int64_t)p->stacks.local[one.stack] - 1;
        for (uint64_t i = 0; i < one.n; i++) {
            pp_json_known(&p->json, row);
        }
    }
    pp_json_close(&p->json, "]");
}

static void put_time_column(printer *p, const gecko_thread *t)
{
    reading r = begin_reading(&t->runs);
    reading times = begin_reading(&p->g->times);
    int64_t interval = (int64_t)(p->g->session.interval_ns / 1000);
    int64_t now = 0;
    run one;
    pp_json_key_list(&p->json, "time");
    while (next_run(&r, &one)) {
        for (uint64_t i = 0; i < one.gap + one.n; i++) {
            now += interval + pp_unzigzag(next_number(&times));
            if (i >= one.gap) {
                pp_json_us(&p->json, now);
            }
        }
    }
    pp_json_close(&p->json, "]");
}

static void put_samples(printer *p, const gecko_thread *t)
{
    pp_json_key(&p->json, "samples");
    pp_json_open(&p->json, "{");
    put_stack_column(p, t);
    put_time_column(p, t);
    pp_json_key_raw(&p->json, "weight", "null");
    pp_json_key_raw(&p->json, "weightType", "\"samples\"");
    pp_json_key_number(&p->json, "length", t->n_samples);
    pp_json_close(&p->json, "}");
}

typedef struct marker {
    int state;
    int64_t start, length;
} marker;

static bool next_marker(reading *r, marker *m)
{
    if (r->at == r->end) {
        return false;
    }
    m->state = (int)next_number(r);
    m->start += pp_unzigzag(next_number(r));
    m->length = (int64_t)next_number(r);
    return true;
}

static void put_marker_column(printer *p, const gecko_thread *t,
                              const char *name,
                              void (*put)(printer *p, const marker *m))
{
    reading r = begin_reading(&t->markers);
    marker m = {.start = 0};
    pp_json_key_list(&p->json, name);
    while (next_marker(&r, &m)) {
        put(p, &m);
    }
    pp_json_close(&p->json, "]");
}

static void put_marker_data(printer *p, const marker *m)
{
    pp_json_open(&p->json, "{");
    pp_json_key_text(&p->json, "type", literal(states[m->state].type));
    pp_json_key(&p->json, "duration");
    pp_json_us(&p->json, m->length);
    pp_json_close(&p->json, "}");
}

static void put_marker_name(printer *p, const marker *m)
{
    pp_json_number(&p->json, string_row(p, literal(states[m->state].name)));
}

static void put_marker_start(printer *p, const marker *m)
{
    pp_json_us(&p->json, m->start);
}

static void put_marker_end(printer *p, const marker *m)
{
    pp_json_us(&p->json, m->start + m->length);
}

static void put_marker_category(printer *p, const marker *m)
{
    pp_json_number(&p->json, (uint64_t)states[m->state].category);
}

static void put_markers(printer *p, const gecko_thread *t)
{
    pp_json_key(&p->json, "markers");
    pp_json_open(&p->json, "{");
    put_marker_column(p, t, "data", put_marker_data);
    put_marker_column(p, t, "name", put_marker_name);
    put_marker_column(p, t, "startTime", put_marker_start);
    put_marker_column(p, t, "endTime", put_marker_end);
    pp_json_key_repeat(&p->json, "phase", "1", (size_t)t->n_markers);
    put_marker_column(p, t, "category", put_marker_category);
    pp_json_key_number(&p->json, "length", t->n_markers);
    pp_json_close(&p->json, "}");
}

/* ---- tables ------------------------------------------------------------ */

static unsigned category_of(int32_t kind)
{
    switch (kind) {
    case PYPROF_FRAME_PYTHON:
    case PYPROF_FRAME_TASK:
        return CATEGORY_PYTHON;
    case PYPROF_FRAME_GC:
        return CATEGORY_GC;
    case PYPROF_FRAME_NATIVE:
        return CATEGORY_NATIVE;
    default:
        return CATEGORY_OTHER;
    }
}

static pyprof_frame frame_at(const printer *p, uint32_t frame)
{
    pyprof_frame view = {.sz = sizeof(view)};
    (void)pp_tables_frame_view(p->tables, frame, &view);
    return view;
}

static void put_stacks(printer *p)
{
    const column *c = &p->stacks;
    uint32_t frame = 0;
    uint32_t parent = 0;
    pp_json_key(&p->json, "stackTable");
    pp_json_open(&p->json, "{");
    pp_json_key_list(&p->json, "frame");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], NULL, &frame);
        pp_json_number(&p->json, p->frames.local[frame] - 1);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_list(&p->json, "category");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], NULL, &frame);
        pp_json_number(&p->json, category_of(frame_at(p, frame).kind));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "subcategory", "0", c->n);
    pp_json_key_list(&p->json, "prefix");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], &parent, NULL);
        pp_json_known(&p->json,
                      parent == 0 ? -1 : (int64_t)c->local[parent] - 1);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_number(&p->json, "length", c->n);
    pp_json_close(&p->json, "}");
}

static void put_frames(printer *p)
{
    const column *c = &p->frames;
    pp_json_key(&p->json, "frameTable");
    pp_json_open(&p->json, "{");
    pp_json_key_repeat(&p->json, "address", "-1", c->n);
    pp_json_key_list(&p->json, "category");
    for (size_t i = 0; i < c->n; i++) {
        pp_json_number(&p->json, category_of(frame_at(p, c->rows[i]).kind));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "subcategory", "0", c->n);
    pp_json_key_list(&p->json, "func");
    for (size_t i = 0; i < c->n; i++) {
        pp_json_number(&p->json,
                       p->functions.local[frame_at(p, c->rows[i]).function_id] -
                           1);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "innerWindowID", "null", c->n);
    pp_json_key_repeat(&p->json, "implementation", "null", c->n);
    pp_json_key_repeat(&p->json, "optimizations", "null", c->n);
    pp_json_key_list(&p->json, "line");
    for (size_t i = 0; i < c->n; i++) {
        int32_t line = frame_at(p, c->rows[i]).line;
        pp_json_known(&p->json, line > 0 ? line : -1);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_list(&p->json, "column");
    for (size_t i = 0; i < c->n; i++) {
        pp_json_known(&p->json, frame_at(p, c->rows[i]).column);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "inlineDepth", "0", c->n);
    pp_json_key_repeat(&p->json, "nativeSymbol", "null", c->n);
    pp_json_key_number(&p->json, "length", c->n);
    pp_json_close(&p->json, "}");
}

/* Row of a function's file in the resource table; -1: it has none. */
static int64_t resource_of(printer *p, const pp_function_key *function)
{
    if (pp_text_is(function->file, "~")) {
        return -1;
    }
    uint32_t id = pp_intern_put(&p->files, function->file.data,
                                (size_t)function->file.size);
    if (id == 0) {
        pp_json_fail(&p->json);
    }
    return (int64_t)id - 1;
}

static pp_function_key function_at(const printer *p, size_t row)
{
    pp_function_key function = {.qualname = {.data = "", .size = 0}};
    (void)pp_tables_function_view(p->tables, p->functions.rows[row], &function);
    return function;
}

static void put_functions(printer *p)
{
    size_t n = p->functions.n;
    pp_json_key(&p->json, "funcTable");
    pp_json_open(&p->json, "{");
    pp_json_key_list(&p->json, "name");
    for (size_t i = 0; i < n; i++) {
        pp_json_number(&p->json, string_row(p, function_at(p, i).qualname));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "isJS", "false", n);
    pp_json_key_repeat(&p->json, "relevantForJS", "false", n);
    pp_json_key_list(&p->json, "resource");
    for (size_t i = 0; i < n; i++) {
        pp_function_key function = function_at(p, i);
        pp_json_item(&p->json);
        int64_t row = resource_of(p, &function);
        if (row < 0) {
            pp_line_text(&p->json.line, "-1");
        } else {
            pp_line_number(&p->json.line, (uint64_t)row);
        }
    }
    pp_json_close(&p->json, "]");
    pp_json_key_list(&p->json, "fileName");
    for (size_t i = 0; i < n; i++) {
        pp_function_key function = function_at(p, i);
        pp_json_known(&p->json, pp_text_is(function.file, "~")
                                    ? -1
                                    : (int64_t)string_row(p, function.file));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_list(&p->json, "lineNumber");
    for (size_t i = 0; i < n; i++) {
        int32_t line = function_at(p, i).first_line;
        pp_json_known(&p->json, line > 0 ? line : -1);
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "columnNumber", "null", n);
    pp_json_key_number(&p->json, "length", n);
    pp_json_close(&p->json, "}");
}

static void put_resources(printer *p)
{
    size_t n = p->files.n_entries;
    pp_json_key(&p->json, "resourceTable");
    pp_json_open(&p->json, "{");
    pp_json_key_repeat(&p->json, "lib", "null", n);
    pp_json_key_list(&p->json, "name");
    for (uint32_t id = 1; id <= n; id++) {
        pp_json_number(
            &p->json,
            string_row(p, pp_path_tail(pp_intern_text(&p->files, id), 1)));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_repeat(&p->json, "host", "null", n);
    pp_json_key_repeat(&p->json, "type", "1", n);
    pp_json_key_number(&p->json, "length", n);
    pp_json_close(&p->json, "}");
}

/* ---- threads ----------------------------------------------------------- */

static void put_thread_name(printer *p, const pyprof_thread *thread,
                            uint64_t id)
{
    pp_json_key(&p->json, "name");
    pp_json_item(&p->json);
    if (thread->name.size > 0) {
        pp_line_json(&p->json.line, thread->name);
    } else {
        pp_line_text(&p->json.line, "\"Thread-");
        pp_line_number(&p->json.line, id);
        pp_line_text(&p->json.line, "\"");
    }
}

static void put_thread_head(printer *p, const pyprof_thread *thread)
{
    uint64_t id = thread->os_id != 0       ? thread->os_id
                  : thread->native_id != 0 ? thread->native_id
                                           : thread->python_id;
    bool is_main = thread->is_main != 0 && thread->interpreter == 0;
    int64_t pid = thread->pid != 0 ? thread->pid : p->g->session.pid;
    put_thread_name(p, thread, id);
    pp_json_key_raw(&p->json, "isMainThread", is_main ? "true" : "false");
    pp_json_key_raw(&p->json, "processType", "\"default\"");
    pp_json_key_raw(&p->json, "processName", "\"Python\"");
    pp_json_key_number(&p->json, "processStartupTime", 0);
    pp_json_key_raw(&p->json, "processShutdownTime", "null");
    pp_json_key_number(&p->json, "registerTime", 0);
    pp_json_key_raw(&p->json, "unregisterTime", "null");
    pp_json_key_raw(&p->json, "pausedRanges", "[]");
    pp_json_key(&p->json, "pid");
    pp_json_item(&p->json);
    pp_line_text(&p->json.line, "\"");
    pp_line_number(&p->json.line, pid < 0 ? 0 : (uint64_t)pid);
    pp_line_text(&p->json.line, "\"");
    pp_json_key_number(&p->json, "tid", id);
}

static void put_thread(printer *p, uint32_t number)
{
    const gecko_thread *t = &p->g->threads[number - 1];
    pyprof_thread thread;
    run one;
    if (t->n_samples == 0 ||
        !pp_tables_thread_view(p->tables, number, &thread)) {
        return;
    }
    clear_column(&p->stacks);
    clear_column(&p->frames);
    clear_column(&p->functions);
    pp_intern_free(&p->files);
    for (reading r = begin_reading(&t->runs); next_run(&r, &one);) {
        add_stack(p, one.stack);
    }
    if (p->json.status != PYPROF_OK) {
        return;
    }
    pp_json_open(&p->json, "{");
    put_thread_head(p, &thread);
    put_samples(p, t);
    put_markers(p, t);
    put_stacks(p);
    put_frames(p);
    put_functions(p);
    put_resources(p);
    pp_json_key_raw(
        &p->json, "nativeSymbols",
        "{\"libIndex\":[],\"address\":[],\"name\":[],\"functionSize\":[],"
        "\"length\":0}");
    pp_json_close(&p->json, "}");
}

/* ---- the file ---------------------------------------------------------- */

static void put_categories(printer *p)
{
    pp_json_key(&p->json, "categories");
    pp_json_open(&p->json, "[");
    for (size_t i = 0; i < PP_COUNT_OF(categories); i++) {
        pp_json_open(&p->json, "{");
        pp_json_key_text(&p->json, "name", literal(categories[i].name));
        pp_json_key_text(&p->json, "color", literal(categories[i].color));
        pp_json_key_raw(&p->json, "subcategories", "[\"Other\"]");
        pp_json_close(&p->json, "}");
    }
    pp_json_close(&p->json, "]");
}

static void put_marker_schema(printer *p)
{
    pp_json_key(&p->json, "markerSchema");
    pp_json_open(&p->json, "[");
    for (size_t i = 0; i < GECKO_STATES; i++) {
        pp_json_open(&p->json, "{");
        pp_json_key_text(&p->json, "name", literal(states[i].type));
        pp_json_key_raw(&p->json, "display",
                        "[\"marker-chart\",\"marker-table\"]");
        pp_json_key_raw(&p->json, "fields",
                        "[{\"key\":\"duration\",\"label\":\"Duration\","
                        "\"format\":\"duration\"}]");
        pp_json_close(&p->json, "}");
    }
    pp_json_close(&p->json, "]");
}

static void put_product(printer *p)
{
    uint32_t version = (uint32_t)p->g->session.python_version;
    pp_json_key(&p->json, "product");
    pp_json_item(&p->json);
    pp_line_text(&p->json.line, "\"Python");
    if (version != 0) {
        pp_line_text(&p->json.line, " ");
        pp_line_number(&p->json.line, version >> 8);
        pp_line_text(&p->json.line, ".");
        pp_line_number(&p->json.line, version & 0xff);
    }
    pp_line_text(&p->json.line, "\"");
}

static void put_meta(printer *p)
{
    const pyprof_session *session = &p->g->session;
    int64_t start = session->start_unix_ns;
    pp_json_key(&p->json, "meta");
    pp_json_open(&p->json, "{");
    pp_json_key(&p->json, "interval");
    pp_json_item(&p->json);
    pp_line_ms(&p->json.line, session->interval_ns);
    pp_json_key(&p->json, "startTime");
    pp_json_item(&p->json);
    pp_line_ms(&p->json.line, start > 0 ? (uint64_t)start : session->start_ns);
    pp_json_key_raw(&p->json, "processType", "0");
    put_categories(p);
    pp_json_key_raw(&p->json, "stackwalk", "0");
    pp_json_key_raw(&p->json, "version", "32");
    pp_json_key_raw(&p->json, "preprocessedProfileVersion", "57");
    put_product(p);
    pp_json_key_raw(&p->json, "importedFrom", "\"libpyprof\"");
    pp_json_key_raw(&p->json, "symbolicated", "true");
    put_marker_schema(p);
    pp_json_key_raw(&p->json, "extensions",
                    "{\"id\":[],\"name\":[],\"baseURL\":[],\"length\":0}");
    pp_json_close(&p->json, "}");
}

static void put_strings(printer *p)
{
    pp_json_key(&p->json, "shared");
    pp_json_open(&p->json, "{");
    pp_json_key_list(&p->json, "stringArray");
    for (uint32_t id = 1; id <= p->strings.n_entries; id++) {
        pp_json_item(&p->json);
        pp_line_json(&p->json.line, pp_intern_text(&p->strings, id));
    }
    pp_json_close(&p->json, "]");
    pp_json_key_raw(&p->json, "sources",
                    "{\"length\":0,\"uuid\":[],\"filename\":[]}");
    pp_json_close(&p->json, "}");
}

static void put_profile(printer *p)
{
    pp_json_open(&p->json, "{");
    put_meta(p);
    pp_json_key_raw(&p->json, "libs", "[]");
    pp_json_key_raw(&p->json, "pages", "[]");
    pp_json_key(&p->json, "threads");
    pp_json_open(&p->json, "[");
    for (uint32_t i = 1; i <= p->g->n_threads && p->json.status == PYPROF_OK;
         i++) {
        put_thread(p, i);
    }
    pp_json_close(&p->json, "]");
    put_strings(p);
    pp_json_close(&p->json, "}");
    pp_line_text(&p->json.line, "\n");
    pp_json_flush(&p->json, 0);
}

static void free_column(const printer *p, column *c)
{
    pp_free(p->allocator, c->local);
    pp_free(p->allocator, c->rows);
}

static bool make_column(const printer *p, column *c, uint32_t n)
{
    c->local = pp_calloc(p->allocator, (size_t)n + 1, sizeof(*c->local));
    return c->local != NULL;
}

pyprof_status pp_gecko_write(gecko *g, pyprof_writer *w, pyprof_error *err)
{
    printer p = {
        .g = g, .allocator = &g->allocator, .tables = g->session.tables};
    pp_json_init(&p.json, p.allocator, w, err);
    pp_intern_init(&p.strings, p.allocator);
    pp_intern_init(&p.files, p.allocator);
    if (make_column(&p, &p.stacks, pp_tables_stacks(p.tables)) &&
        make_column(&p, &p.frames, pp_tables_frames(p.tables)) &&
        make_column(&p, &p.functions, pp_tables_functions(p.tables))) {
        put_profile(&p);
    } else {
        pp_json_fail(&p.json);
    }
    free_column(&p, &p.stacks);
    free_column(&p, &p.frames);
    free_column(&p, &p.functions);
    pp_free(p.allocator, p.path);
    pp_line_free(&p.json.line);
    pp_intern_free(&p.strings);
    pp_intern_free(&p.files);
    return p.json.status;
}
