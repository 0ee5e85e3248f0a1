/*
 * names: the part of a page that says what its nodes are: functions, files,
 * lines, source and opcodes. In go items by number, out come blocks of JSON and
 * of numbers.
 *
 *   d-names      {"names": [...], "files": [...], "source": [...]}; source is
 *                by line item, "" where it isn't known
 *   d-functions  for each: name, file, line of the definition, kind
 *   d-items      for each line item, most used first: function, line
 *   d-opcodes    by line item: item (difference), opcode, samples
 *
 * Numbers of names, files and functions are from 0.
 */
#include "collector/flamegraph/nodes.h"

#include <string.h>

typedef struct names {
    const pp_flame_nodes *nodes;
    const pp_flame *flame;
    pyprof_writer *w;
    pyprof_error *err;
    pp_line line;
    pp_map functions; /* number in the tables -> number in the page */
    uint32_t *frame_of_function;
    size_t n_functions, cap_functions;
    pp_map texts[2]; /* names and files: address -> number */
} names;

pyprof_status pp_flame_block_open(pyprof_writer *w, const char *name,
                                  pyprof_error *err)
{
    return pp_writer_printf(w, err, "<script type=\"text/plain\" id=\"d-%s\">",
                            name);
}

pyprof_status pp_flame_block_close(pyprof_writer *w, pyprof_error *err)
{
    return pp_writer_printf(w, err, "</script>\n");
}

static pyprof_frame frame_of_item(const names *n, uint32_t place)
{
    pyprof_frame frame;
    uint32_t item = n->nodes->item_at[place];
    (void)pp_tables_frame_view(n->nodes->tables, n->nodes->items[item].frame,
                               &frame);
    return frame;
}

/* Numbers the functions in the order in which items use them. */
static pyprof_status number_functions(names *n)
{
    const pp_allocator *a = n->nodes->allocator;
    for (uint32_t i = 0; i < n->nodes->n_places; i++) {
        const pp_flame_item *item = &n->nodes->items[n->nodes->item_at[i]];
        bool is_new;
        uint64_t *number = pp_map_put(&n->functions, item->function, &is_new);
        if (number == NULL ||
            (is_new &&
             !pp_grow(a, &n->frame_of_function, &n->cap_functions,
                      sizeof(*n->frame_of_function), n->n_functions + 1, 0))) {
            return pp_error_memory(n->err, "functions");
        }
        if (is_new) {
            n->frame_of_function[n->n_functions] = item->frame;
            *number = n->n_functions++;
        }
    }
    return PYPROF_OK;
}

static pyprof_status flush_line(names *n)
{
    pyprof_status status = pp_line_write(&n->line, n->w, n->err);
    pp_line_clear(&n->line);
    return status;
}

/* A JSON array of the names (0) or files (1) of functions, each once. */
static pyprof_status write_texts(names *n, const char *key, int which)
{
    PP_TRY(pp_writer_printf(n->w, n->err, "\"%s\":[", key));
    bool is_first = true;
    for (size_t i = 0; i < n->n_functions; i++) {
        pyprof_frame frame;
        (void)pp_tables_frame_view(n->nodes->tables, n->frame_of_function[i],
                                   &frame);
        pyprof_text text = which == 0 ? frame.function : frame.file;
        bool is_new;
        uint64_t *number = pp_map_put(&n->texts[which],
                                      (uint64_t)(uintptr_t)text.data, &is_new);
        if (number == NULL) {
            return pp_error_memory(n->err, "names");
        }
        if (!is_new) {
            continue;
        }
        *number = n->texts[which].n_used - 1;
        pp_line_text(&n->line, is_first ? "" : ",\n");
        pp_page_json(&n->line, text);
        PP_TRY(flush_line(n));
        is_first = false;
    }
    return pp_writer_printf(n->w, n->err, "]");
}

/* ---- source -------------------------------------------------------------- */

/* A line of source in the page at most; most are shorter than 100. */
#define SOURCE_LINE_MAX 200
/* In all: this is for a look, the heatmap has the whole. */
#define SOURCE_BYTES_MAX ((size_t)2 << 20)

typedef struct sources {
    names *n;
    uint32_t *order;   /* places, by file */
    uint32_t *file_of; /* by place */
    size_t *start;     /* by place: in `text`; size below */
    uint16_t *size;
    pp_line text;
} sources;

static bool is_file_before(void *user, uint32_t x, uint32_t y)
{
    const sources *s = user;
    return s->file_of[x] < s->file_of[y];
}

static void keep_line(sources *s, const pp_source *source, uint32_t place)
{
    const pp_flame_nodes *nodes = s->n->nodes;
    uint32_t line = nodes->items[nodes->item_at[place]].line;
    pyprof_text text = pp_source_line(source, line);
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    if (text.size > SOURCE_LINE_MAX) {
        text.size = SOURCE_LINE_MAX;
    }
    if (s->text.size < SOURCE_BYTES_MAX) {
        s->start[place] = s->text.size;
        s->size[place] = (uint16_t)text.size;
        pp_line_add(&s->text, text.data, (size_t)text.size);
    }
}

/* Reads each file once. */
static pyprof_status read_sources(sources *s)
{
    const pp_flame_nodes *nodes = s->n->nodes;
    uint32_t n = nodes->n_places;
    for (uint32_t i = 0; i < n;) {
        uint32_t file = s->file_of[s->order[i]];
        pp_source source;
        pyprof_status status =
            pp_source_read(&source, &s->n->flame->source,
                           frame_of_item(s->n, s->order[i]).file, s->n->err);
        for (; i < n && s->file_of[s->order[i]] == file; i++) {
            if (status == PYPROF_OK && source.data != NULL) {
                keep_line(s, &source, s->order[i]);
            }
        }
        pp_source_free(&source);
        PP_TRY(status);
    }
    return PYPROF_OK;
}

static pyprof_status print_sources(sources *s)
{
    names *n = s->n;
    PP_TRY(pp_writer_printf(n->w, n->err, ",\"source\":["));
    for (uint32_t i = 0; i < n->nodes->n_places; i++) {
        pyprof_text text = {.data = "", .size = 0};
        if (s->size[i] > 0 && !s->text.is_failed) {
            text.data = s->text.data + s->start[i];
            text.size = s->size[i];
        }
        pp_line_text(&n->line, i == 0 ? "" : ",");
        pp_page_json(&n->line, text);
        PP_TRY(flush_line(n));
    }
    return pp_writer_printf(n->w, n->err, "]");
}

static pyprof_status order_sources(sources *s)
{
    names *n = s->n;
    uint32_t places = n->nodes->n_places;
    for (uint32_t i = 0; i < places; i++) {
        uint64_t address = (uint64_t)(uintptr_t)frame_of_item(n, i).file.data;
        s->order[i] = i;
        s->file_of[i] = (uint32_t)*pp_map_find(&n->texts[1], address);
    }
    return pp_sort_u32(n->nodes->allocator, s->order, places, is_file_before, s)
               ? PYPROF_OK
               : pp_error_memory(n->err, "source lines");
}

static pyprof_status write_sources(names *n)
{
    const pp_allocator *a = n->nodes->allocator;
    size_t places = (size_t)n->nodes->n_places + 1;
    if (n->flame->source.read == NULL) {
        return PYPROF_OK;
    }
    sources s = {.n = n};
    pp_line_init(&s.text, a);
    s.order = pp_calloc(a, places, sizeof(*s.order));
    s.file_of = pp_calloc(a, places, sizeof(*s.file_of));
    s.start = pp_calloc(a, places, sizeof(*s.start));
    s.size = pp_calloc(a, places, sizeof(*s.size));
    pyprof_status status;
    if (s.order == NULL || s.file_of == NULL || s.start == NULL ||
        s.size == NULL) {
        status = pp_error_memory(n->err, "source lines");
    } else {
        status = order_sources(&s);
        status = status == PYPROF_OK ? read_sources(&s) : status;
        status = status == PYPROF_OK ? print_sources(&s) : status;
    }
    pp_free(a, s.order);
    pp_free(a, s.file_of);
    pp_free(a, s.start);
    pp_free(a, s.size);
    pp_line_free(&s.text);
    return status;
}

/* ---- numbers ------------------------------------------------------------- */

static pyprof_status write_functions(names *n, pp_column *c)
{
    PP_TRY(pp_flame_block_open(n->w, "functions", n->err));
    pp_column_begin(c, n->w, n->err);
    for (size_t i = 0; i < n->n_functions; i++) {
        pyprof_frame frame;
        (void)pp_tables_frame_view(n->nodes->tables, n->frame_of_function[i],
                                   &frame);
        for (int which = 0; which < 2; which++) {
            pyprof_text text = which == 0 ? frame.function : frame.file;
            pp_column_number(c, *pp_map_find(&n->texts[which],
                                             (uint64_t)(uintptr_t)text.data));
        }
        pp_column_number(c,
                         frame.first_line > 0 ? (uint64_t)frame.first_line : 0);
        pp_column_number(c, (uint64_t)frame.kind);
    }
    PP_TRY(pp_column_end(c));
    return pp_flame_block_close(n->w, n->err);
}

static pyprof_status write_items(names *n, pp_column *c)
{
    PP_TRY(pp_flame_block_open(n->w, "items", n->err));
    pp_column_begin(c, n->w, n->err);
    for (uint32_t i = 0; i < n->nodes->n_places; i++) {
        const pp_flame_item *item = &n->nodes->items[n->nodes->item_at[i]];
        pp_column_number(c, *pp_map_find(&n->functions, item->function));
        pp_column_number(c, item->line);
    }
    PP_TRY(pp_column_end(c));
    return pp_flame_block_close(n->w, n->err);
}

/* ---- opcodes ------------------------------------------------------------- */

typedef struct opcodes {
    const names *n;
    pp_map counts; /* place << 32 | opcode */
    uint64_t *keys;
    uint64_t *values;
    size_t n_keys;
    bool is_failed;
} opcodes;

static void add_opcode(void *user, uint64_t key, uint64_t count)
{
    opcodes *o = user;
    const pp_flame_nodes *nodes = o->n->nodes;
    uint32_t frame_number = 0;
    pyprof_frame frame;
    (void)pp_tables_stack_view(nodes->tables, (uint32_t)key, NULL,
                               &frame_number);
    if (!pp_tables_frame_view(nodes->tables, frame_number, &frame) ||
        frame.opcode < 0) {
        return;
    }
    uint32_t place = nodes->place_of[nodes->item_of[frame_number] - 1];
    if (place == 0) {
        return;
    }
    uint64_t *sum = pp_map_put(
        &o->counts, (uint64_t)place << 32 | (uint32_t)frame.opcode, NULL);
    if (sum == NULL) {
        o->is_failed = true;
        return;
    }
    *sum += count;
}

static void list_opcode(void *user, uint64_t key, uint64_t count)
{
    opcodes *o = user;
    o->keys[o->n_keys] = key;
    o->values[o->n_keys++] = count;
}

static bool is_key_before(void *user, uint32_t x, uint32_t y)
{
    const opcodes *o = user;
    return o->keys[x] < o->keys[y];
}

static bool list_opcodes(opcodes *o, uint32_t **order)
{
    const pp_allocator *a = o->n->nodes->allocator;
    size_t n = o->counts.n_used;
    o->keys = pp_calloc(a, n + 1, sizeof(*o->keys));
    o->values = pp_calloc(a, n + 1, sizeof(*o->values));
    *order = pp_calloc(a, n + 1, sizeof(**order));
    if (o->is_failed || o->keys == NULL || o->values == NULL ||
        *order == NULL) {
        return false;
    }
    pp_map_each(&o->counts, list_opcode, o);
    for (uint32_t i = 0; i < n; i++) {
        (*order)[i] = i;
    }
    return pp_sort_u32(a, *order, n, is_key_before, o);
}

/* The instructions that lines were at when they were innermost. */
static pyprof_status write_opcodes(const names *n, pp_column *c)
{
    const pp_allocator *a = n->nodes->allocator;
    opcodes o = {.n = n};
    uint32_t *order = NULL;
    pp_map_init(&o.counts, a);
    if (n->nodes->tables == n->flame->session.tables) {
        pp_map_each(&n->flame->counts, add_opcode, &o);
    }
    pyprof_status status = list_opcodes(&o, &order)
                               ? pp_flame_block_open(n->w, "opcodes", n->err)
                               : pp_error_memory(n->err, "opcodes");
    uint32_t last = 0;
    pp_column_begin(c, n->w, n->err);
    for (size_t i = 0; status == PYPROF_OK && i < o.n_keys; i++) {
        uint32_t place = (uint32_t)(o.keys[order[i]] >> 32);
        pp_column_number(c, place - last);
        pp_column_number(c, (uint32_t)o.keys[order[i]]);
        pp_column_number(c, o.values[order[i]]);
        last = place;
    }
    status = status == PYPROF_OK ? pp_column_end(c) : status;
    status = status == PYPROF_OK ? pp_flame_block_close(n->w, n->err) : status;
    pp_map_free(&o.counts);
    pp_free(a, o.keys);
    pp_free(a, o.values);
    pp_free(a, order);
    return status;
}

/* ---- all of it ----------------------------------------------------------- */

static pyprof_status write_all(names *n, pp_column *c)
{
    PP_TRY(number_functions(n));
    PP_TRY(pp_flame_block_open(n->w, "names", n->err));
    PP_TRY(pp_writer_printf(n->w, n->err, "{"));
    PP_TRY(write_texts(n, "names", 0));
    PP_TRY(pp_writer_printf(n->w, n->err, ","));
    PP_TRY(write_texts(n, "files", 1));
    PP_TRY(write_sources(n));
    PP_TRY(pp_writer_printf(n->w, n->err, "}"));
    PP_TRY(pp_flame_block_close(n->w, n->err));
    PP_TRY(write_functions(n, c));
    PP_TRY(write_items(n, c));
    return write_opcodes(n, c);
}

pyprof_status pp_flame_names_write(const pp_flame_nodes *nodes,
                                   const pp_flame *flame, pyprof_writer *w,
                                   pyprof_error *err)
{
    const pp_allocator *a = nodes->allocator;
    names n = {.nodes = nodes, .flame = flame, .w = w, .err = err};
    pp_column column;
    pp_line_init(&n.line, a);
    pp_map_init(&n.functions, a);
    pp_map_init(&n.texts[0], a);
    pp_map_init(&n.texts[1], a);
    pyprof_status status = write_all(&n, &column);
    pp_line_free(&n.line);
    pp_map_free(&n.functions);
    pp_map_free(&n.texts[0]);
    pp_map_free(&n.texts[1]);
    pp_free(a, n.frame_of_function);
    return status;
}
