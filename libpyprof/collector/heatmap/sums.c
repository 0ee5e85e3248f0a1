/*
 * sums: from counted stacks to files, functions, lines and calls. In go counts
 * by stack number; out come sums in which a stack counts once for each file,
 * function, line and call that it has.
 *
 * Invariant: what is innermost more than once on the way to a node is only
 * counted where it is met first, so no total exceeds the number of stacks.
 *
 * Frames without a file (`<GC>`, frozen modules, code from a string) have no
 * line; a call through them is one by the line that is further out.
 */
#include "collector/heatmap/heatmap.h"

#include <string.h>

#define NONE UINT32_MAX

/* What a node of the tree is. */
typedef struct item {
    uint32_t function; /* index */
    uint32_t line;     /* index, NONE: no file */
} item;

typedef struct adding {
    pp_heat_sums *out;
    pp_tree tree;
    item *items;
    size_t n_items, cap_items;
    uint32_t *item_of; /* by frame: index + 1 */
    pp_map files, functions, lines, keys, calls;
    uint32_t *caller;  /* by node: line of the nearest caller that has one */
    uint32_t *call_of; /* by node: call + 1 */
    /* how often each is open on the way to the node at hand */
    uint32_t *open_files, *open_functions, *open_lines, *open_calls;
} adding;

/* The index of a key, a new one being the next; NONE: out of memory. */
static uint32_t number_of(const pp_allocator *a, pp_map *map, uint64_t key,
                          void *data, size_t *cap, size_t size, size_t n)
{
    bool is_new;
    uint64_t *number = pp_map_put(map, key, &is_new);
    if (number == NULL ||
        (is_new && !pp_grow(a, data, cap, size, n + 1, NONE))) {
        return NONE;
    }
    if (is_new) {
        *number = n;
    }
    return (uint32_t)*number;
}

/* ---- frames -------------------------------------------------------------- */

static bool has_page(const pyprof_frame *frame)
{
    return frame->kind == PYPROF_FRAME_PYTHON && frame->file.size > 0 &&
           frame->line > 0 && frame->file.data[0] != '<' &&
           frame->file.data[0] != '[' && !pp_text_is(frame->file, "~");
}

static uint32_t file_number(adding *s, const pyprof_frame *frame)
{
    pp_heat_sums *out = s->out;
    uint32_t file = number_of(
        out->allocator, &s->files, (uint64_t)(uintptr_t)frame->file.data,
        &out->files, &out->cap_files, sizeof(*out->files), out->n_files);
    if (file != NONE && file == out->n_files) {
        out->files[out->n_files++] = (pp_heat_file){.path = frame->file};
    }
    return file;
}

static uint32_t line_number(adding *s, const pyprof_frame *frame)
{
    pp_heat_sums *out = s->out;
    uint32_t file = file_number(s, frame);
    if (file == NONE) {
        return NONE;
    }
    uint64_t key = (uint64_t)file << 32 | (uint32_t)frame->line;
    uint32_t line =
        number_of(out->allocator, &s->lines, key, &out->lines, &out->cap_lines,
                  sizeof(*out->lines), out->n_lines);
    if (line != NONE && line == out->n_lines) {
        out->lines[out->n_lines++] =
            (pp_heat_line){.file = file, .line = (uint32_t)frame->line};
        out->files[file].n_lines++;
    }
    return line;
}

static uint32_t function_number(adding *s, const pyprof_frame *frame,
                                uint32_t line)
{
    pp_heat_sums *out = s->out;
    uint32_t function = number_of(
        out->allocator, &s->functions, frame->function_id, &out->functions,
        &out->cap_functions, sizeof(*out->functions), out->n_functions);
    if (function != NONE && function == out->n_functions) {
        out->functions[out->n_functions++] = (pp_heat_function){
            .name = frame->function,
            .file = NONE,
            .first_line =
                frame->first_line > 0 ? (uint32_t)frame->first_line : 0};
    }
    if (function != NONE && line != NONE &&
        out->functions[function].file == NONE) {
        out->functions[function].file = out->lines[line].file;
        out->files[out->lines[line].file].n_functions++;
    }
    return function;
}

static pyprof_status make_items(adding *s, const pyprof_tables *tables,
                                pyprof_error *err)
{
    const pp_allocator *a = s->out->allocator;
    uint32_t n = pp_tables_frames(tables);
    s->item_of = pp_calloc(a, (size_t)n + 1, sizeof(*s->item_of));
    if (s->item_of == NULL) {
        return pp_error_memory(err, "lines");
    }
    for (uint32_t number = 1; number <= n; number++) {
        pyprof_frame frame;
        (void)pp_tables_frame_view(tables, number, &frame);
        bool is_here = has_page(&frame);
        uint32_t line = is_here ? line_number(s, &frame) : NONE;
        if (is_here && line == NONE) {
            return pp_error_memory(err, "lines");
        }
        uint32_t function = function_number(s, &frame, line);
        if (function == NONE) {
            return pp_error_memory(err, "functions");
        }
        uint64_t key = (uint64_t)function << 32 | line;
        uint32_t at = number_of(a, &s->keys, key, &s->items, &s->cap_items,
                                sizeof(*s->items), s->n_items);
        if (at == NONE) {
            return pp_error_memory(err, "lines");
        }
        if (at == s->n_items) {
            s->items[s->n_items++] = (item){.function = function, .line = line};
        }
        s->item_of[number] = at + 1;
    }
    return PYPROF_OK;
}

/* ---- calls --------------------------------------------------------------- */

static pyprof_status make_calls(adding *s, pyprof_error *err)
{
    const pp_tree *tree = &s->tree;
    pp_heat_sums *out = s->out;
    for (uint32_t node = 1; node <= tree->n; node++) {
        const item *it = &s->items[tree->item[node] - 1];
        uint32_t above = tree->parent[node];
        uint32_t caller = NONE;
        if (above != 0) {
            uint32_t line = s->items[tree->item[above] - 1].line;
            caller = line != NONE ? line : s->caller[above];
        }
        s->caller[node] = caller;
        if (caller == NONE || it->line == NONE || tree->total[node] == 0) {
            continue;
        }
        uint32_t call = number_of(
            out->allocator, &s->calls, (uint64_t)caller << 32 | it->function,
            &out->calls, &out->cap_calls, sizeof(*out->calls), out->n_calls);
        if (call == NONE) {
            return pp_error_memory(err, "calls");
        }
        if (call == out->n_calls) {
            out->calls[out->n_calls++] =
                (pp_heat_call){.line = caller, .function = it->function};
        }
        s->call_of[node] = call + 1;
    }
    return PYPROF_OK;
}

/* ---- sums ---------------------------------------------------------------- */

static void enter_node(void *user, uint32_t node)
{
    adding *s = user;
    pp_heat_sums *out = s->out;
    const item *it = &s->items[s->tree.item[node] - 1];
    uint64_t self = s->tree.self[node];
    uint64_t total = s->tree.total[node];
    pp_heat_function *function = &out->functions[it->function];
    function->heat.self += self;
    function->heat.total += s->open_functions[it->function]++ == 0 ? total : 0;
    if (it->line != NONE) {
        pp_heat_line *line = &out->lines[it->line];
        pp_heat_file *file = &out->files[line->file];
        line->heat.self += self;
        line->heat.total += s->open_lines[it->line]++ == 0 ? total : 0;
        file->heat.self += self;
        file->heat.total += s->open_files[line->file]++ == 0 ? total : 0;
    }
    uint32_t call = s->call_of[node];
    if (call != 0 && s->open_calls[call - 1]++ == 0) {
        out->calls[call - 1].samples += total;
    }
}

static void leave_node(void *user, uint32_t node)
{
    adding *s = user;
    const item *it = &s->items[s->tree.item[node] - 1];
    s->open_functions[it->function]--;
    if (it->line != NONE) {
        s->open_lines[it->line]--;
        s->open_files[s->out->lines[it->line].file]--;
    }
    if (s->call_of[node] != 0) {
        s->open_calls[s->call_of[node] - 1]--;
    }
}

static pyprof_status add_up(adding *s, const pp_counts *counts,
                            pyprof_error *err)
{
    pp_heat_sums *out = s->out;
    const pp_allocator *a = out->allocator;
    PP_TRY(make_items(s, counts->tables, err));
    PP_TRY(pp_tree_make(&s->tree, a, counts->tables, counts->by_stack,
                        counts->n, s->item_of, (uint32_t)s->n_items, err));
    size_t n = (size_t)s->tree.n + 1;
    s->caller = pp_calloc(a, n, sizeof(uint32_t));
    s->call_of = pp_calloc(a, n, sizeof(uint32_t));
    if (s->caller == NULL || s->call_of == NULL) {
        return pp_error_memory(err, "calls");
    }
    PP_TRY(make_calls(s, err));
    s->open_files = pp_calloc(a, out->n_files + 1, sizeof(uint32_t));
    s->open_functions = pp_calloc(a, out->n_functions + 1, sizeof(uint32_t));
    s->open_lines = pp_calloc(a, out->n_lines + 1, sizeof(uint32_t));
    s->open_calls = pp_calloc(a, out->n_calls + 1, sizeof(uint32_t));
    if (s->open_files == NULL || s->open_functions == NULL ||
        s->open_lines == NULL || s->open_calls == NULL) {
        return pp_error_memory(err, "sums");
    }
    pp_tree_walk(&s->tree, enter_node, leave_node, s);
    for (size_t i = 0; i < out->n_lines; i++) {
        const pp_heat *heat = &out->lines[i].heat;
        out->most.self =
            heat->self > out->most.self ? heat->self : out->most.self;
        out->most.total =
            heat->total > out->most.total ? heat->total : out->most.total;
    }
    out->stacks = counts->stacks;
    return PYPROF_OK;
}

/* ---- order --------------------------------------------------------------- */

static bool is_file_before(void *user, uint32_t x, uint32_t y)
{
    const pp_heat_sums *s = user;
    const pp_heat *a = &s->files[x].heat;
    const pp_heat *b = &s->files[y].heat;
    return a->total != b->total ? a->total > b->total : a->self > b->self;
}

static bool is_line_before(void *user, uint32_t x, uint32_t y)
{
    const pp_heat_line *lines = ((const pp_heat_sums *)user)->lines;
    return lines[x].file != lines[y].file ? lines[x].file < lines[y].file
                                          : lines[x].line < lines[y].line;
}

static bool is_function_before(void *user, uint32_t x, uint32_t y)
{
    const pp_heat_function *f = ((const pp_heat_sums *)user)->functions;
    return f[x].file != f[y].file ? f[x].file < f[y].file
                                  : f[x].first_line < f[y].first_line;
}

static bool is_call_before(void *user, uint32_t x, uint32_t y)
{
    const pp_heat_call *calls = ((const pp_heat_sums *)user)->calls;
    return calls[x].line != calls[y].line ? calls[x].line < calls[y].line
                                          : calls[x].samples > calls[y].samples;
}

static bool is_called_before(void *user, uint32_t x, uint32_t y)
{
    const pp_heat_call *calls = ((const pp_heat_sums *)user)->calls;
    return calls[x].function != calls[y].function
               ? calls[x].function < calls[y].function
               : calls[x].samples > calls[y].samples;
}

/* All numbers from 0 to n in an order; NULL: out of memory. */
static uint32_t *ordered(pp_heat_sums *s, size_t n,
                         bool (*is_before)(void *user, uint32_t x, uint32_t y))
{
    uint32_t *order = pp_calloc(s->allocator, n + 1, sizeof(*order));
    for (size_t i = 0; order != NULL && i < n; i++) {
        order[i] = (uint32_t)i;
    }
    if (order != NULL && !pp_sort_u32(s->allocator, order, n, is_before, s)) {
        pp_free(s->allocator, order);
        return NULL;
    }
    return order;
}

static pyprof_status put_in_order(pp_heat_sums *s, pyprof_error *err)
{
    s->file_order = ordered(s, s->n_files, is_file_before);
    s->line_order = ordered(s, s->n_lines, is_line_before);
    s->function_order = ordered(s, s->n_functions, is_function_before);
    s->calls_of = ordered(s, s->n_calls, is_call_before);
    s->called_from = ordered(s, s->n_calls, is_called_before);
    if (s->file_order == NULL || s->line_order == NULL ||
        s->function_order == NULL || s->calls_of == NULL ||
        s->called_from == NULL) {
        return pp_error_memory(err, "the order of lines");
    }
    for (size_t i = 0; i < s->n_files; i++) {
        s->files[s->file_order[i]].page = (uint32_t)i;
    }
    uint32_t lines = 0;
    uint32_t functions = 0;
    for (size_t i = 0; i < s->n_files; i++) {
        s->files[i].first_line = lines;
        s->files[i].first_function = functions;
        lines += s->files[i].n_lines;
        functions += s->files[i].n_functions;
    }
    return PYPROF_OK;
}

uint32_t pp_heat_calls(const pp_heat_sums *s, const uint32_t *order,
                       uint32_t of, uint32_t *n)
{
    bool is_by_line = order == s->calls_of;
    uint32_t low = 0;
    uint32_t high = (uint32_t)s->n_calls;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const pp_heat_call *call = &s->calls[order[middle]];
        if ((is_by_line ? call->line : call->function) < of) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *n = 0;
    while (low + *n < s->n_calls) {
        const pp_heat_call *call = &s->calls[order[low + *n]];
        if ((is_by_line ? call->line : call->function) != of) {
            break;
        }
        ++*n;
    }
    return low;
}

pyprof_status pp_heat_sums_make(pp_heat_sums *sums, const pp_counts *counts,
                                const pp_allocator *a, pyprof_error *err)
{
    *sums = (pp_heat_sums){.allocator = a};
    adding s = {.out = sums};
    s.tree.allocator = a;
    pp_map *maps[] = {&s.files, &s.functions, &s.lines, &s.keys, &s.calls};
    for (size_t i = 0; i < PP_COUNT_OF(maps); i++) {
        pp_map_init(maps[i], a);
    }
    pyprof_status status = add_up(&s, counts, err);
    if (status == PYPROF_OK) {
        status = put_in_order(sums, err);
    }
    for (size_t i = 0; i < PP_COUNT_OF(maps); i++) {
        pp_map_free(maps[i]);
    }
    pp_tree_free(&s.tree);
    void *const memory[] = {s.items,      s.item_of,    s.caller,
                            s.call_of,    s.open_files, s.open_functions,
                            s.open_lines, s.open_calls};
    for (size_t i = 0; i < PP_COUNT_OF(memory); i++) {
        pp_free(a, memory[i]);
    }
    return status;
}

void pp_heat_sums_free(pp_heat_sums *s)
{
    void *const memory[] = {s->files,          s->functions,  s->lines,
                            s->calls,          s->file_order, s->line_order,
                            s->function_order, s->calls_of,   s->called_from};
    for (size_t i = 0; i < PP_COUNT_OF(memory); i++) {
        pp_free(s->allocator, memory[i]);
    }
    *s = (pp_heat_sums){.allocator = s->allocator};
}
