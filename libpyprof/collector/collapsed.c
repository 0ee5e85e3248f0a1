/*
 * collapsed: one line a stack, for flame graph tools. In go samples; out comes
 *
 *   tid:TID;frame;...;frame COUNT
 *
 * root first, a frame being `file:function:line` with the last component of the
 * path and the line that is executed, or a bare name such as `<GC>`. Most
 * frequent stacks come first, then in the order of thread and frames.
 *
 * Tools split a line at ';', and at its last blank. So in names a ';' becomes
 * ',' and a control character ' ' or '?', as do bytes that are not UTF-8: names
 * stay readable, and stacks that differ in nothing else become one line.
 *
 * Threads without a Python frame have no line: an empty stack can't be said.
 *
 * TID is what this system calls the thread, else what the target's calls it,
 * else threading's number.
 */
#include "collector/format.h"

#include <string.h>

typedef struct collapsed {
    pp_allocator allocator;
    pp_map counts; /* thread << 32 | stack -> samples */
    const pyprof_tables *tables;
} collapsed;

/* One line of the output. */
typedef struct stack_line {
    uint32_t label; /* of its thread */
    uint32_t node;
    uint64_t count;
} stack_line;

/* What the writing works with. */
typedef struct collapsed_run {
    const pp_allocator *allocator;
    const pyprof_tables *tables;
    pp_line text;      /* the name, label or line at hand */
    pp_intern texts;   /* of frames and of threads' labels */
    uint32_t *item_of; /* by frame: rank of its text, from 1 */
    uint32_t *text_of; /* by rank: number of the text */
    uint32_t n_ranks;
    uint64_t *by_stack;
    uint32_t n_stacks;
    pp_tree tree;
    uint32_t *rank_of; /* by node: its place in the order of stacks */
    uint32_t n_walked;
    stack_line *lines;
    size_t n_lines, cap_lines;
    pp_map line_of; /* label << 32 | node -> index in lines */
    uint32_t *path; /* nodes of the line at hand, leaf first */
    size_t cap_path;
    bool is_failed;
} collapsed_run;

/* ---- texts ------------------------------------------------------------- */

static uint32_t intern_line(collapsed_run *run)
{
    if (run->text.is_failed) {
        return 0;
    }
    return pp_intern_put(&run->texts, run->text.data, run->text.size);
}

static uint32_t frame_text(collapsed_run *run, const pyprof_frame *frame)
{
    pp_line *line = &run->text;
    bool has_file = !pp_text_is(frame->file, "~");
    bool is_named_task = frame->kind == PYPROF_FRAME_TASK &&
                         !pp_text_is(frame->function, "<task>");
    int32_t number = has_file && frame->line > 0 ? frame->line : 0;
    pp_line_clear(line);
    if (is_named_task) {
        pp_line_text(line, "<task>:");
    } else if (has_file) {
        pp_line_clean(line, pp_path_tail(frame->file, 1), ';', ',');
        pp_line_text(line, ":");
    }
    pp_line_clean(line, frame->function, ';', ',');
    if (is_named_task || has_file) {
        pp_line_text(line, ":");
        pp_line_number(line, (uint64_t)number);
    }
    return intern_line(run);
}

static bool is_text_before(void *user, uint32_t x, uint32_t y)
{
    const pp_intern *texts = user;
    pyprof_text a = pp_intern_text(texts, x);
    pyprof_text b = pp_intern_text(texts, y);
    size_t shorter = (size_t)(a.size < b.size ? a.size : b.size);
    int order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order < 0 : a.size < b.size;
}

/* Gives each frame the rank of its text: item_of and text_of. */
static bool rank_frames(collapsed_run *run)
{
    const pp_allocator *a = run->allocator;
    uint32_t n = pp_tables_frames(run->tables);
    run->item_of = pp_calloc(a, (size_t)n + 1, sizeof(*run->item_of));
    if (run->item_of == NULL) {
        return false;
    }
    for (uint32_t number = 1; number <= n; number++) {
        pyprof_frame frame;
        if (pp_tables_frame_view(run->tables, number, &frame)) {
            run->item_of[number] = frame_text(run, &frame);
        }
        if (run->item_of[number] == 0) {
            return false;
        }
    }
    run->n_ranks = (uint32_t)run->texts.n_entries;
    uint32_t *rank = pp_calloc(a, (size_t)run->n_ranks + 1, sizeof(*rank));
    run->text_of =
        pp_calloc(a, (size_t)run->n_ranks + 1, sizeof(*run->text_of));
    bool is_done = rank != NULL && run->text_of != NULL;
    if (is_done) {
        for (uint32_t i = 1; i <= run->n_ranks; i++) {
            run->text_of[i] = i;
        }
        is_done = pp_sort_u32(a, run->text_of + 1, run->n_ranks, is_text_before,
                              &run->texts);
    }
    if (is_done) {
        for (uint32_t i = 1; i <= run->n_ranks; i++) {
            rank[run->text_of[i]] = i;
        }
        for (uint32_t number = 1; number <= n; number++) {
            run->item_of[number] = rank[run->item_of[number]];
        }
    }
    pp_free(a, rank);
    return is_done;
}

static uint32_t thread_label(collapsed_run *run, uint32_t number)
{
    pyprof_thread thread;
    uint64_t tid = 0;
    if (pp_tables_thread_view(run->tables, number, &thread)) {
        tid = thread.os_id != 0       ? thread.os_id
              : thread.native_id != 0 ? thread.native_id
                                      : thread.python_id;
    }
    pp_line_clear(&run->text);
    pp_line_text(&run->text, "tid:");
    pp_line_number(&run->text, tid);
    return intern_line(run);
}

/* ---- lines ------------------------------------------------------------- */

static void add_to_stack(void *user, uint64_t key, uint64_t count)
{
    collapsed_run *run = user;
    run->by_stack[(uint32_t)key] += count;
}

static void add_to_line(void *user, uint64_t key, uint64_t count)
{
    collapsed_run *run = user;
    uint32_t label =
        run->is_failed ? 0 : thread_label(run, (uint32_t)(key >> 32));
    uint32_t node = run->tree.node_of[(uint32_t)key];
    bool is_new;
    uint64_t *index =
        label == 0
            ? NULL
            : pp_map_put(&run->line_of, (uint64_t)label << 32 | node, &is_new);
    if (index == NULL) {
        run->is_failed = true;
        return;
    }
    if (is_new) {
        if (!pp_grow(run->allocator, &run->lines, &run->cap_lines,
                     sizeof(*run->lines), run->n_lines + 1, UINT32_MAX)) {
            run->is_failed = true;
            return;
        }
        *index = run->n_lines++;
        run->lines[*index] = (stack_line){.label = label, .node = node};
    }
    run->lines[*index].count += count;
}

static void rank_node(void *user, uint32_t node)
{
    collapsed_run *run = user;
    run->rank_of[node] = ++run->n_walked;
}

/* Makes the tree, and the lines in no order. */
static pyprof_status make_lines(collapsed_run *run, const pp_map *counts,
                                pyprof_error *err)
{
    const pp_allocator *a = run->allocator;
    run->n_stacks = pp_tables_stacks(run->tables);
    run->by_stack =
        pp_calloc(a, (size_t)run->n_stacks + 1, sizeof(*run->by_stack));
    if (run->by_stack == NULL || !rank_frames(run)) {
        return pp_error_memory(err, "names of frames");
    }
    pp_map_each(counts, add_to_stack, run);
    PP_TRY(pp_tree_make(&run->tree, a, run->tables, run->by_stack,
                        (size_t)run->n_stacks + 1, run->item_of, run->n_ranks,
                        err));
    run->rank_of = pp_calloc(a, (size_t)run->tree.n + 1, sizeof(*run->rank_of));
    if (run->rank_of == NULL) {
        return pp_error_memory(err, "the order of stacks");
    }
    pp_tree_walk(&run->tree, rank_node, NULL, run);
    pp_map_each(counts, add_to_line, run);
    return run->is_failed ? pp_error_memory(err, "lines of stacks") : PYPROF_OK;
}

static bool is_line_before(void *user, uint32_t x, uint32_t y)
{
    collapsed_run *run = user;
    const stack_line *a = &run->lines[x];
    const stack_line *b = &run->lines[y];
    if (a->count != b->count) {
        return a->count > b->count;
    }
    if (a->label != b->label) {
        return is_text_before(&run->texts, a->label, b->label);
    }
    return run->rank_of[a->node] < run->rank_of[b->node];
}

/* ---- writing ----------------------------------------------------------- */

static pyprof_status write_line(collapsed_run *run, const stack_line *one,
                                pyprof_writer *w, pyprof_error *err)
{
    size_t depth = 0;
    for (uint32_t node = one->node; node != 0; node = run->tree.parent[node]) {
        if (!pp_grow(run->allocator, &run->path, &run->cap_path,
                     sizeof(*run->path), depth + 1, 0)) {
            return pp_error_memory(err, "a stack");
        }
        run->path[depth++] = node;
    }
    pp_line *line = &run->text;
    pp_line_clear(line);
    pyprof_text label = pp_intern_text(&run->texts, one->label);
    pp_line_add(line, label.data, (size_t)label.size);
    while (depth > 0) {
        uint32_t item = run->tree.item[run->path[--depth]];
        pyprof_text name = pp_intern_text(&run->texts, run->text_of[item]);
        pp_line_text(line, ";");
        pp_line_add(line, name.data, (size_t)name.size);
    }
    pp_line_text(line, " ");
    pp_line_number(line, one->count);
    pp_line_text(line, "\n");
    return pp_line_write(line, w, err);
}

static pyprof_status write_lines(collapsed_run *run, pyprof_writer *w,
                                 pyprof_error *err)
{
    size_t n = run->n_lines;
    uint32_t *order = pp_calloc(run->allocator, n, sizeof(*order));
    if (order == NULL) {
        return pp_error_memory(err, "the order of lines");
    }
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    pyprof_status status = PYPROF_OK;
    if (!pp_sort_u32(run->allocator, order, n, is_line_before, run)) {
        status = pp_error_memory(err, "the order of lines");
    }
    for (size_t i = 0; i < n && status == PYPROF_OK; i++) {
        status = write_line(run, &run->lines[order[i]], w, err);
    }
    pp_free(run->allocator, order);
    return status;
}

static void free_run(collapsed_run *run)
{
    const pp_allocator *a = run->allocator;
    pp_line_free(&run->text);
    pp_intern_free(&run->texts);
    pp_free(a, run->item_of);
    pp_free(a, run->text_of);
    pp_free(a, run->by_stack);
    pp_tree_free(&run->tree);
    pp_free(a, run->rank_of);
    pp_free(a, run->lines);
    pp_map_free(&run->line_of);
    pp_free(a, run->path);
}

/* ---- slots ------------------------------------------------------------- */

static pyprof_status collapsed_begin(void *self, const pyprof_session *session,
                                     pyprof_error *err)
{
    collapsed *c = self;
    PP_UNUSED(err);
    pp_map_clear(&c->counts);
    c->tables = session->tables;
    return PYPROF_OK;
}

static pyprof_status collapsed_sample(void *self, const pyprof_sample *sample,
                                      pyprof_error *err)
{
    collapsed *c = self;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->stack == 0 || seen->state == PYPROF_STACK_UNREADABLE) {
            continue;
        }
        uint64_t key = (uint64_t)seen->thread << 32 | seen->stack;
        uint64_t *count = pp_map_find(&c->counts, key);
        if (PP_UNLIKELY(count == NULL)) {
            if (seen->stack > pp_tables_stacks(c->tables)) {
                return pp_error_set(err, PYPROF_ERR_INVALID,
                                    "a sample has stack %lu of %lu",
                                    (unsigned long)seen->stack,
                                    (unsigned long)pp_tables_stacks(c->tables));
            }
            count = pp_map_put(&c->counts, key, NULL);
            if (count == NULL) {
                return pp_error_memory(err, "counts of stacks");
            }
        }
        *count += sample->count;
    }
    return PYPROF_OK;
}

static pyprof_status collapsed_finish(void *self, const pyprof_summary *summary,
                                      pyprof_writer *writer, pyprof_error *err)
{
    collapsed *c = self;
    PP_UNUSED(summary);
    collapsed_run run = {.allocator = &c->allocator, .tables = c->tables};
    pp_line_init(&run.text, run.allocator);
    pp_intern_init(&run.texts, run.allocator);
    pp_map_init(&run.line_of, run.allocator);
    run.tree.allocator = run.allocator;
    pyprof_status status = make_lines(&run, &c->counts, err);
    if (status == PYPROF_OK) {
        status = write_lines(&run, writer, err);
    }
    free_run(&run);
    return status;
}

static void collapsed_free(void *self)
{
    collapsed *c = self;
    pp_map_free(&c->counts);
}

static void collapsed_init(void *self, const pyprof_format_opts *opts)
{
    collapsed *c = self;
    PP_UNUSED(opts);
    pp_map_init(&c->counts, &c->allocator);
}

const pp_format pp_format_collapsed = {
    .ops = {.begin = collapsed_begin,
            .sample = collapsed_sample,
            .finish = collapsed_finish,
            .free = collapsed_free},
    .size = sizeof(collapsed),
    .init = collapsed_init,
};
