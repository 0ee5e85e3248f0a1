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

#include <string.h>

#define FLUSH_SIZE ((size_t)65536)

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
    pp_line line;
    pyprof_writer *w;
    pyprof_error *err;
    pyprof_status status; /* the first failure; nothing is done after it */
    bool is_first;        /* no comma before the next item */
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

/* ---- JSON -------------------------------------------------------------- */

static void flush(printer *p, size_t at_least)
{
    if (p->status == PYPROF_OK && p->line.size >= at_least) {
        p->status = pp_line_write(&p->line, p->w, p->err);
        pp_line_clear(&p->line);
    }
}

static void fail_memory(printer *p)
{
    if (p->status == PYPROF_OK) {
        p->status = pp_error_memory(p->err, "a profile for Firefox Profiler");
    }
}

/* What follows is an item of the list or object at hand. */
static void item(printer *p)
{
    if (!p->is_first) {
        pp_line_text(&p->line, ",");
    }
    p->is_first = false;
    flush(p, FLUSH_SIZE);
}

static void put_raw(printer *p, const char *text)
{
    item(p);
    pp_line_text(&p->line, text);
}

static void put_number(printer *p, uint64_t number)
{
    item(p);
    pp_line_number(&p->line, number);
}

/* A number below 0 is not known. */
static void put_known(printer *p, int64_t number)
{
    if (number < 0) {
        put_raw(p, "null");
    } else {
        put_number(p, (uint64_t)number);
    }
}

static void put_us(printer *p, int64_t us)
{
    item(p);
    pp_line_ms(&p->line, us < 0 ? 0 : (uint64_t)us * 1000);
}

static void key(printer *p, const char *name)
{
    item(p);
    pp_line_text(&p->line, "\"");
    pp_line_text(&p->line, name);
    pp_line_text(&p->line, "\":");
    p->is_first = true; /* no comma before its value */
}

static void open_value(printer *p, const char *bracket)
{
    put_raw(p, bracket);
    p->is_first = true;
}

static void close_value(printer *p, const char *bracket)
{
    pp_line_text(&p->line, bracket);
    p->is_first = false;
}

static void key_text(printer *p, const char *name, pyprof_text text)
{
    key(p, name);
    item(p);
    pp_line_json(&p->line, text);
}

static void key_raw(printer *p, const char *name, const char *value)
{
    key(p, name);
    put_raw(p, value);
}

static void key_number(printer *p, const char *name, uint64_t number)
{
    key(p, name);
    put_number(p, number);
}

/* A column of `n` equal values. */
static void key_repeat(printer *p, const char *name, const char *value,
                       size_t n)
{
    key(p, name);
    open_value(p, "[");
    for (size_t i = 0; i < n; i++) {
        put_raw(p, value);
    }
    close_value(p, "]");
}

static void begin_column(printer *p, const char *name)
{
    key(p, name);
    open_value(p, "[");
}

static uint32_t string_row(printer *p, pyprof_text text)
{
    uint32_t id = pp_intern_put(&p->strings, text.data, (size_t)text.size);
    if (id == 0) {
        fail_memory(p);
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
            fail_memory(p);
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
            fail_memory(p);
            return;
        }
        p->path[n] = stack;
        (void)pp_tables_stack_view(p->tables, stack, &stack, NULL);
    }
    while (n > 0 && p->status == PYPROF_OK) {
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
    begin_column(p, "stack");
    while (next_run(&r, &one)) {
        int64_t row =
            one.stack == 0 ? -1 : (int64_t)p->stacks.local[one.stack] - 1;
        for (uint64_t i = 0; i < one.n; i++) {
            put_known(p, row);
        }
    }
    close_value(p, "]");
}

static void put_time_column(printer *p, const gecko_thread *t)
{
    reading r = begin_reading(&t->runs);
    reading times = begin_reading(&p->g->times);
    int64_t interval = (int64_t)(p->g->session.interval_ns / 1000);
    int64_t now = 0;
    run one;
    begin_column(p, "time");
    while (next_run(&r, &one)) {
        for (uint64_t i = 0; i < one.gap + one.n; i++) {
            now += interval + pp_unzigzag(next_number(&times));
            if (i >= one.gap) {
                put_us(p, now);
            }
        }
    }
    close_value(p, "]");
}

static void put_samples(printer *p, const gecko_thread *t)
{
    key(p, "samples");
    open_value(p, "{");
    put_stack_column(p, t);
    put_time_column(p, t);
    key_raw(p, "weight", "null");
    key_raw(p, "weightType", "\"samples\"");
    key_number(p, "length", t->n_samples);
    close_value(p, "}");
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
    begin_column(p, name);
    while (next_marker(&r, &m)) {
        put(p, &m);
    }
    close_value(p, "]");
}

static void put_marker_data(printer *p, const marker *m)
{
    open_value(p, "{");
    key_text(p, "type", literal(states[m->state].type));
    key(p, "duration");
    put_us(p, m->length);
    close_value(p, "}");
}

static void put_marker_name(printer *p, const marker *m)
{
    put_number(p, string_row(p, literal(states[m->state].name)));
}

static void put_marker_start(printer *p, const marker *m)
{
    put_us(p, m->start);
}

static void put_marker_end(printer *p, const marker *m)
{
    put_us(p, m->start + m->length);
}

static void put_marker_category(printer *p, const marker *m)
{
    put_number(p, (uint64_t)states[m->state].category);
}

static void put_markers(printer *p, const gecko_thread *t)
{
    key(p, "markers");
    open_value(p, "{");
    put_marker_column(p, t, "data", put_marker_data);
    put_marker_column(p, t, "name", put_marker_name);
    put_marker_column(p, t, "startTime", put_marker_start);
    put_marker_column(p, t, "endTime", put_marker_end);
    key_repeat(p, "phase", "1", (size_t)t->n_markers);
    put_marker_column(p, t, "category", put_marker_category);
    key_number(p, "length", t->n_markers);
    close_value(p, "}");
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
    key(p, "stackTable");
    open_value(p, "{");
    begin_column(p, "frame");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], NULL, &frame);
        put_number(p, p->frames.local[frame] - 1);
    }
    close_value(p, "]");
    begin_column(p, "category");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], NULL, &frame);
        put_number(p, category_of(frame_at(p, frame).kind));
    }
    close_value(p, "]");
    key_repeat(p, "subcategory", "0", c->n);
    begin_column(p, "prefix");
    for (size_t i = 0; i < c->n; i++) {
        (void)pp_tables_stack_view(p->tables, c->rows[i], &parent, NULL);
        put_known(p, parent == 0 ? -1 : (int64_t)c->local[parent] - 1);
    }
    close_value(p, "]");
    key_number(p, "length", c->n);
    close_value(p, "}");
}

static void put_frames(printer *p)
{
    const column *c = &p->frames;
    key(p, "frameTable");
    open_value(p, "{");
    key_repeat(p, "address", "-1", c->n);
    begin_column(p, "category");
    for (size_t i = 0; i < c->n; i++) {
        put_number(p, category_of(frame_at(p, c->rows[i]).kind));
    }
    close_value(p, "]");
    key_repeat(p, "subcategory", "0", c->n);
    begin_column(p, "func");
    for (size_t i = 0; i < c->n; i++) {
        put_number(p,
                   p->functions.local[frame_at(p, c->rows[i]).function_id] - 1);
    }
    close_value(p, "]");
    key_repeat(p, "innerWindowID", "null", c->n);
    key_repeat(p, "implementation", "null", c->n);
    key_repeat(p, "optimizations", "null", c->n);
    begin_column(p, "line");
    for (size_t i = 0; i < c->n; i++) {
        int32_t line = frame_at(p, c->rows[i]).line;
        put_known(p, line > 0 ? line : -1);
    }
    close_value(p, "]");
    begin_column(p, "column");
    for (size_t i = 0; i < c->n; i++) {
        put_known(p, frame_at(p, c->rows[i]).column);
    }
    close_value(p, "]");
    key_repeat(p, "inlineDepth", "0", c->n);
    key_repeat(p, "nativeSymbol", "null", c->n);
    key_number(p, "length", c->n);
    close_value(p, "}");
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
        fail_memory(p);
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
    key(p, "funcTable");
    open_value(p, "{");
    begin_column(p, "name");
    for (size_t i = 0; i < n; i++) {
        put_number(p, string_row(p, function_at(p, i).qualname));
    }
    close_value(p, "]");
    key_repeat(p, "isJS", "false", n);
    key_repeat(p, "relevantForJS", "false", n);
    begin_column(p, "resource");
    for (size_t i = 0; i < n; i++) {
        pp_function_key function = function_at(p, i);
        item(p);
        int64_t row = resource_of(p, &function);
        if (row < 0) {
            pp_line_text(&p->line, "-1");
        } else {
            pp_line_number(&p->line, (uint64_t)row);
        }
    }
    close_value(p, "]");
    begin_column(p, "fileName");
    for (size_t i = 0; i < n; i++) {
        pp_function_key function = function_at(p, i);
        put_known(p, pp_text_is(function.file, "~")
                         ? -1
                         : (int64_t)string_row(p, function.file));
    }
    close_value(p, "]");
    begin_column(p, "lineNumber");
    for (size_t i = 0; i < n; i++) {
        int32_t line = function_at(p, i).first_line;
        put_known(p, line > 0 ? line : -1);
    }
    close_value(p, "]");
    key_repeat(p, "columnNumber", "null", n);
    key_number(p, "length", n);
    close_value(p, "}");
}

static void put_resources(printer *p)
{
    size_t n = p->files.n_entries;
    key(p, "resourceTable");
    open_value(p, "{");
    key_repeat(p, "lib", "null", n);
    begin_column(p, "name");
    for (uint32_t id = 1; id <= n; id++) {
        put_number(
            p, string_row(p, pp_path_tail(pp_intern_text(&p->files, id), 1)));
    }
    close_value(p, "]");
    key_repeat(p, "host", "null", n);
    key_repeat(p, "type", "1", n);
    key_number(p, "length", n);
    close_value(p, "}");
}

/* ---- threads ----------------------------------------------------------- */

static void put_thread_name(printer *p, const pyprof_thread *thread,
                            uint64_t id)
{
    key(p, "name");
    item(p);
    if (thread->name.size > 0) {
        pp_line_json(&p->line, thread->name);
    } else {
        pp_line_text(&p->line, "\"Thread-");
        pp_line_number(&p->line, id);
        pp_line_text(&p->line, "\"");
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
    key_raw(p, "isMainThread", is_main ? "true" : "false");
    key_raw(p, "processType", "\"default\"");
    key_raw(p, "processName", "\"Python\"");
    key_number(p, "processStartupTime", 0);
    key_raw(p, "processShutdownTime", "null");
    key_number(p, "registerTime", 0);
    key_raw(p, "unregisterTime", "null");
    key_raw(p, "pausedRanges", "[]");
    key(p, "pid");
    item(p);
    pp_line_text(&p->line, "\"");
    pp_line_number(&p->line, pid < 0 ? 0 : (uint64_t)pid);
    pp_line_text(&p->line, "\"");
    key_number(p, "tid", id);
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
    if (p->status != PYPROF_OK) {
        return;
    }
    open_value(p, "{");
    put_thread_head(p, &thread);
    put_samples(p, t);
    put_markers(p, t);
    put_stacks(p);
    put_frames(p);
    put_functions(p);
    put_resources(p);
    key_raw(p, "nativeSymbols",
            "{\"libIndex\":[],\"address\":[],\"name\":[],\"functionSize\":[],"
            "\"length\":0}");
    close_value(p, "}");
}

/* ---- the file ---------------------------------------------------------- */

static void put_categories(printer *p)
{
    key(p, "categories");
    open_value(p, "[");
    for (size_t i = 0; i < PP_COUNT_OF(categories); i++) {
        open_value(p, "{");
        key_text(p, "name", literal(categories[i].name));
        key_text(p, "color", literal(categories[i].color));
        key_raw(p, "subcategories", "[\"Other\"]");
        close_value(p, "}");
    }
    close_value(p, "]");
}

static void put_marker_schema(printer *p)
{
    key(p, "markerSchema");
    open_value(p, "[");
    for (size_t i = 0; i < GECKO_STATES; i++) {
        open_value(p, "{");
        key_text(p, "name", literal(states[i].type));
        key_raw(p, "display", "[\"marker-chart\",\"marker-table\"]");
        key_raw(p, "fields",
                "[{\"key\":\"duration\",\"label\":\"Duration\","
                "\"format\":\"duration\"}]");
        close_value(p, "}");
    }
    close_value(p, "]");
}

static void put_product(printer *p)
{
    uint32_t version = (uint32_t)p->g->session.python_version;
    key(p, "product");
    item(p);
    pp_line_text(&p->line, "\"Python");
    if (version != 0) {
        pp_line_text(&p->line, " ");
        pp_line_number(&p->line, version >> 8);
        pp_line_text(&p->line, ".");
        pp_line_number(&p->line, version & 0xff);
    }
    pp_line_text(&p->line, "\"");
}

static void put_meta(printer *p)
{
    const pyprof_session *session = &p->g->session;
    int64_t start = session->start_unix_ns;
    key(p, "meta");
    open_value(p, "{");
    key(p, "interval");
    item(p);
    pp_line_ms(&p->line, session->interval_ns);
    key(p, "startTime");
    item(p);
    pp_line_ms(&p->line, start > 0 ? (uint64_t)start : session->start_ns);
    key_raw(p, "processType", "0");
    put_categories(p);
    key_raw(p, "stackwalk", "0");
    key_raw(p, "version", "32");
    key_raw(p, "preprocessedProfileVersion", "57");
    put_product(p);
    key_raw(p, "importedFrom", "\"libpyprof\"");
    key_raw(p, "symbolicated", "true");
    put_marker_schema(p);
    key_raw(p, "extensions",
            "{\"id\":[],\"name\":[],\"baseURL\":[],\"length\":0}");
    close_value(p, "}");
}

static void put_strings(printer *p)
{
    key(p, "shared");
    open_value(p, "{");
    begin_column(p, "stringArray");
    for (uint32_t id = 1; id <= p->strings.n_entries; id++) {
        item(p);
        pp_line_json(&p->line, pp_intern_text(&p->strings, id));
    }
    close_value(p, "]");
    key_raw(p, "sources", "{\"length\":0,\"uuid\":[],\"filename\":[]}");
    close_value(p, "}");
}

static void put_profile(printer *p)
{
    open_value(p, "{");
    put_meta(p);
    key_raw(p, "libs", "[]");
    key_raw(p, "pages", "[]");
    key(p, "threads");
    open_value(p, "[");
    for (uint32_t i = 1; i <= p->g->n_threads && p->status == PYPROF_OK; i++) {
        put_thread(p, i);
    }
    close_value(p, "]");
    put_strings(p);
    close_value(p, "}");
    pp_line_text(&p->line, "\n");
    flush(p, 0);
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
    printer p = {.g = g,
                 .allocator = &g->allocator,
                 .tables = g->session.tables,
                 .w = w,
                 .err = err,
                 .is_first = true};
    pp_line_init(&p.line, p.allocator);
    pp_intern_init(&p.strings, p.allocator);
    pp_intern_init(&p.files, p.allocator);
    if (make_column(&p, &p.stacks, pp_tables_stacks(p.tables)) &&
        make_column(&p, &p.frames, pp_tables_frames(p.tables)) &&
        make_column(&p, &p.functions, pp_tables_functions(p.tables))) {
        put_profile(&p);
    } else {
        fail_memory(&p);
    }
    free_column(&p, &p.stacks);
    free_column(&p, &p.frames);
    free_column(&p, &p.functions);
    pp_free(p.allocator, p.path);
    pp_line_free(&p.line);
    pp_intern_free(&p.strings);
    pp_intern_free(&p.files);
    return p.status;
}
