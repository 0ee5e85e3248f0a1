/*
 * jsonl: counts by frame as lines of JSON, for scripts. In go samples; out come
 * the lines of Python 3.15's --jsonl (version 0): "meta", then "string_table"
 * and "frame_table" with what is new, at the end "agg" with all counts and
 * "end". A frame is file, function and position; a stack counts for each of its
 * frames once.
 *
 * With a writer from the start, each second of sampling brings its new names,
 * and its counts as a line of type "delta", which 3.15 does not have: readers
 * skip types that they don't know. The deltas of a file that was cut off add up
 * to what it would have had at its end.
 *
 * Invariants:
 * 1. A number in a line was defined by a line before it.
 * 2. `delta` is 0 for all but the stacks in `dirty`.
 */
#include "collector/format.h"

#include <string.h>

#define ROWS 256 /* of a line */
#define DELTA_NS UINT64_C(1000000000)

/* What is in a frame's key; texts by number. */
typedef struct frame_key {
    uint32_t file, function;
    int32_t line, end_line, column, end_column;
} frame_key;

typedef struct frame_counts {
    uint64_t self, total;
    uint64_t delta_self, delta_total; /* since the last delta */
    uint32_t seen_in; /* stack that it was counted for last, plus one */
} frame_counts;

typedef struct jsonl {
    pp_allocator allocator;
    const pyprof_tables *tables;
    pyprof_writer *writer; /* NULL: there is none before the end */
    uint64_t interval_ns, start_ns;
    int32_t mode;
    char run_id[33];
    pp_line line;
    pp_intern strings, keys;    /* keys: frame_key */
    size_t n_strings, n_frames; /* of these, written */
    frame_counts *frames;       /* by key number less one */
    size_t n_counted, cap_frames;
    uint32_t *key_of; /* by frame number; 0: not known yet */
    size_t cap_key_of;
    uint64_t *delta; /* by stack number */
    size_t n_delta, cap_delta;
    uint32_t *dirty; /* stacks with a delta */
    size_t n_dirty, cap_dirty;
    uint64_t from_ns, to_ns; /* of the delta, from the start */
    bool has_delta;
    uint64_t n_stacks, n_since; /* samples in all, and in the delta */
} jsonl;

static pyprof_status no_memory(pyprof_error *err)
{
    return pp_error_memory(err, "a JSON Lines profile");
}

/* ---- lines ------------------------------------------------------------- */

static void put_number(jsonl *j, const char *name, uint64_t value)
{
    pp_line_text(&j->line, name);
    pp_line_number(&j->line, value);
}

static void begin_line(jsonl *j, const char *type)
{
    pp_line_clear(&j->line);
    pp_line_text(&j->line, "{\"type\":\"");
    pp_line_text(&j->line, type);
    pp_line_text(&j->line, "\",\"v\":0,\"run_id\":\"");
    pp_line_text(&j->line, j->run_id);
    pp_line_text(&j->line, "\"");
}

static pyprof_status end_line(jsonl *j, const char *end, pyprof_writer *w,
                              pyprof_error *err)
{
    pp_line_text(&j->line, end);
    return pp_line_write(&j->line, w, err);
}

static const char *mode_name(int32_t mode)
{
    static const char *const names[] = {"wall", "cpu", "gil", "all",
                                        "exception"};
    return mode >= 0 && (size_t)mode < PP_COUNT_OF(names) ? names[mode]
                                                          : "unknown";
}

static pyprof_status write_meta(jsonl *j, pyprof_writer *w, pyprof_error *err)
{
    begin_line(j, "meta");
    put_number(j, ",\"sample_interval_usec\":", j->interval_ns / 1000);
    pp_line_text(&j->line, ",\"mode\":\"");
    pp_line_text(&j->line, mode_name(j->mode));
    return end_line(j, "\"}\n", w, err);
}

static pyprof_status write_strings(jsonl *j, pyprof_writer *w,
                                   pyprof_error *err)
{
    while (j->n_strings < j->strings.n_entries) {
        begin_line(j, "string_table");
        pp_line_text(&j->line, ",\"strings\":[");
        for (size_t i = 0; i < ROWS && j->n_strings < j->strings.n_entries;
             i++) {
            put_number(j,
                       i > 0 ? ",{\"str_id\":" : "{\"str_id\":", j->n_strings);
            pp_line_text(&j->line, ",\"value\":");
            pp_line_json(&j->line,
                         pp_intern_text(&j->strings, (uint32_t)++j->n_strings));
            pp_line_text(&j->line, "}");
        }
        PP_TRY(end_line(j, "]}\n", w, err));
    }
    return PYPROF_OK;
}

static void put_frame(jsonl *j, const frame_key *key)
{
    put_number(j, ",\"path_str_id\":", key->file - 1);
    put_number(j, ",\"func_str_id\":", key->function - 1);
    put_number(j, ",\"line\":", key->line < 0 ? 0 : (uint64_t)key->line);
    if (key->line >= 0 && key->end_line >= 0) {
        put_number(j, ",\"end_line\":", (uint64_t)key->end_line);
    }
    if (key->line >= 0 && key->column >= 0) {
        put_number(j, ",\"col\":", (uint64_t)key->column);
    }
    if (key->line >= 0 && key->end_column >= 0) {
        put_number(j, ",\"end_col\":", (uint64_t)key->end_column);
    }
    pp_line_text(&j->line, "}");
}

static pyprof_status write_frames(jsonl *j, pyprof_writer *w, pyprof_error *err)
{
    while (j->n_frames < j->keys.n_entries) {
        begin_line(j, "frame_table");
        pp_line_text(&j->line, ",\"frames\":[");
        for (size_t i = 0; i < ROWS && j->n_frames < j->keys.n_entries; i++) {
            frame_key key;
            put_number(
                j, i > 0 ? ",{\"frame_id\":" : "{\"frame_id\":", j->n_frames);
            memcpy(&key, pp_intern_text(&j->keys, (uint32_t)++j->n_frames).data,
                   sizeof(key));
            put_frame(j, &key);
        }
        PP_TRY(end_line(j, "]}\n", w, err));
    }
    return PYPROF_OK;
}

/* The counts, or what they grew by. A delta is one line, however long. */
static pyprof_status write_counts(jsonl *j, bool is_delta, pyprof_writer *w,
                                  pyprof_error *err)
{
    size_t i = 0;
    do {
        begin_line(j, is_delta ? "delta" : "agg");
        pp_line_text(&j->line, ",\"kind\":\"frame\",\"scope\":");
        if (is_delta) {
            put_number(j, "\"interval\",\"from_usec\":", j->from_ns / 1000);
            put_number(j, ",\"to_usec\":", j->to_ns / 1000);
            put_number(j, ",\"samples\":", j->n_since);
        } else {
            put_number(j, "\"final\",\"samples_total\":", j->n_stacks);
        }
        pp_line_text(&j->line, ",\"entries\":[");
        for (size_t n = 0; i < j->n_counted && (is_delta || n < ROWS); i++) {
            const frame_counts *at = &j->frames[i];
            if (is_delta && at->delta_total == 0) {
                continue;
            }
            put_number(j, n++ > 0 ? ",{\"frame_id\":" : "{\"frame_id\":", i);
            put_number(j, ",\"self\":", is_delta ? at->delta_self : at->self);
            put_number(
                j, ",\"cumulative\":", is_delta ? at->delta_total : at->total);
            pp_line_text(&j->line, "}");
        }
        PP_TRY(end_line(j, "]}\n", w, err));
    } while (i < j->n_counted);
    return PYPROF_OK;
}

/* ---- counting ---------------------------------------------------------- */

/* The counts of a frame number; NULL when out of memory. */
static frame_counts *counts_of(jsonl *j, uint32_t frame)
{
    if (j->key_of[frame] == 0) {
        pyprof_frame view;
        frame_key key;
        if (!pp_tables_frame_view(j->tables, frame, &view)) {
            return NULL;
        }
        memset(&key, 0, sizeof(key));
        key.file = view.kind == PYPROF_FRAME_TASK
                       ? pp_intern_put(&j->strings, "<task>", 6)
                       : pp_intern_put(&j->strings, view.file.data,
                                       (size_t)view.file.size);
        key.function = pp_intern_put(&j->strings, view.function.data,
                                     (size_t)view.function.size);
        key.line = view.line;
        key.end_line = view.end_line;
        key.column = view.column;
        key.end_column = view.end_column;
        uint32_t number = pp_intern_put(&j->keys, &key, sizeof(key));
        if (key.file == 0 || key.function == 0 || number == 0 ||
            !pp_grow(&j->allocator, &j->frames, &j->cap_frames,
                     sizeof(*j->frames), number, 0)) {
            return NULL;
        }
        if (number > j->n_counted) {
            j->frames[j->n_counted++] = (frame_counts){.seen_in = 0};
        }
        j->key_of[frame] = number;
    }
    return &j->frames[j->key_of[frame] - 1];
}

static bool make_room_for_frames(jsonl *j)
{
    size_t had = j->cap_key_of;
    if (!pp_grow(&j->allocator, &j->key_of, &j->cap_key_of, sizeof(*j->key_of),
                 (size_t)pp_tables_frames(j->tables) + 1, 0)) {
        return false;
    }
    memset(j->key_of + had, 0, (j->cap_key_of - had) * sizeof(*j->key_of));
    return true;
}

/* Spreads the counts of stacks over their frames. */
static pyprof_status spread(jsonl *j, pyprof_error *err)
{
    if (!make_room_for_frames(j)) {
        return no_memory(err);
    }
    for (size_t i = 0; i < j->n_dirty; i++) {
        uint32_t leaf = j->dirty[i];
        uint32_t stack = leaf;
        uint64_t n = j->delta[leaf];
        while (stack != 0) {
            uint32_t frame = 0;
            uint32_t parent = 0;
            (void)pp_tables_stack_view(j->tables, stack, &parent, &frame);
            frame_counts *at = counts_of(j, frame);
            if (at == NULL) {
                return no_memory(err);
            }
            at->self += stack == leaf ? n : 0;
            at->delta_self += stack == leaf ? n : 0;
            if (at->seen_in != (uint32_t)i + 1) {
                at->seen_in = (uint32_t)i + 1;
                at->total += n;
                at->delta_total += n;
            }
            stack = parent;
        }
        j->delta[leaf] = 0;
    }
    j->n_dirty = 0;
    for (size_t i = 0; i < j->n_counted; i++) {
        j->frames[i].seen_in = 0;
    }
    return PYPROF_OK;
}

static void clear_delta(jsonl *j)
{
    for (size_t i = 0; i < j->n_counted; i++) {
        j->frames[i].delta_self = 0;
        j->frames[i].delta_total = 0;
    }
    j->has_delta = false;
    j->n_since = 0;
}

static pyprof_status write_delta(jsonl *j, pyprof_error *err)
{
    PP_TRY(spread(j, err));
    PP_TRY(write_strings(j, j->writer, err));
    PP_TRY(write_frames(j, j->writer, err));
    PP_TRY(write_counts(j, true, j->writer, err));
    clear_delta(j);
    return pp_writer_flush(j->writer, err);
}

static pyprof_status add(jsonl *j, const pyprof_stack_sample *seen,
                         uint64_t count, pyprof_error *err)
{
    if (seen->stack >= j->n_delta) {
        uint32_t last = pp_tables_stacks(j->tables);
        size_t n = (size_t)last + 1;
        if (seen->stack > last) {
            return pp_error_set(
                err, PYPROF_ERR_INVALID, "a sample has stack %lu of %lu",
                (unsigned long)seen->stack, (unsigned long)last);
        }
        if (!pp_grow(&j->allocator, &j->delta, &j->cap_delta, sizeof(*j->delta),
                     n, 0)) {
            return no_memory(err);
        }
        memset(j->delta + j->n_delta, 0, (n - j->n_delta) * sizeof(*j->delta));
        j->n_delta = n;
    }
    if (j->delta[seen->stack] == 0) {
        if (!pp_grow(&j->allocator, &j->dirty, &j->cap_dirty, sizeof(*j->dirty),
                     j->n_dirty + 1, 0)) {
            return no_memory(err);
        }
        j->dirty[j->n_dirty++] = seen->stack;
    }
    j->delta[seen->stack] += count;
    j->n_stacks += count;
    j->n_since += count;
    return PYPROF_OK;
}

/* ---- slots ------------------------------------------------------------- */

static void forget(jsonl *j)
{
    const pp_allocator *a = &j->allocator;
    pp_line_free(&j->line);
    pp_intern_free(&j->strings);
    pp_intern_free(&j->keys);
    pp_free(a, j->frames);
    pp_free(a, j->key_of);
    pp_free(a, j->delta);
    pp_free(a, j->dirty);
    *j = (jsonl){.allocator = j->allocator};
    pp_line_init(&j->line, &j->allocator);
    pp_intern_init(&j->strings, &j->allocator);
    pp_intern_init(&j->keys, &j->allocator);
}

/* Of what tells two runs apart, so that a replay has the id of its profile. */
static void make_run_id(jsonl *j, const pyprof_session *session)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t a = pp_hash_u64((uint64_t)session->start_unix_ns ^
                             (uint64_t)session->pid << 40);
    uint64_t b = pp_hash_u64(session->start_ns + a);
    for (int i = 0; i < 32; i++) {
        uint64_t half = i < 16 ? a : b;
        j->run_id[i] = hex[half >> (i % 16 * 4) & 15];
    }
}

static pyprof_status begin(void *self, const pyprof_session *session,
                           pyprof_error *err)
{
    jsonl *j = self;
    forget(j);
    j->tables = session->tables;
    j->writer = session->writer;
    j->interval_ns = session->interval_ns;
    j->start_ns = session->start_ns;
    j->mode = session->mode;
    make_run_id(j, session);
    if (j->writer == NULL) {
        return PYPROF_OK;
    }
    PP_TRY(write_meta(j, j->writer, err));
    return pp_writer_flush(j->writer, err);
}

static pyprof_status take(void *self, const pyprof_sample *sample,
                          pyprof_error *err)
{
    jsonl *j = self;
    /* to the microsecond, as saved profiles have it: a replay writes the same
     */
    uint64_t now = (sample->time_ns - j->start_ns) / 1000 * 1000;
    if (!j->has_delta) {
        j->has_delta = true;
        j->from_ns = now;
    } else if (j->writer != NULL && now - j->from_ns >= DELTA_NS) {
        PP_TRY(write_delta(j, err));
        j->has_delta = true;
        j->from_ns = now;
    }
    j->to_ns = now;
    for (size_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->stack != 0 && seen->state != PYPROF_STACK_UNREADABLE) {
            PP_TRY(add(j, seen, sample->count, err));
        }
    }
    return PYPROF_OK;
}

static pyprof_status finish(void *self, const pyprof_summary *summary,
                            pyprof_writer *writer, pyprof_error *err)
{
    jsonl *j = self;
    if (j->writer == NULL) {
        PP_TRY(write_meta(j, writer, err));
    } else if (j->n_since > 0) {
        PP_TRY(write_delta(j, err));
    }
    PP_TRY(spread(j, err));
    PP_TRY(write_strings(j, writer, err));
    PP_TRY(write_frames(j, writer, err));
    if (j->n_counted > 0) {
        PP_TRY(write_counts(j, false, writer, err));
    }
    begin_line(j, "end");
    put_number(j, ",\"samples_total\":", j->n_stacks);
    put_number(j, ",\"duration_usec\":", summary->duration_ns / 1000);
    put_number(j, ",\"rounds\":", summary->rounds);
    put_number(j, ",\"missed\":", summary->missed);
    put_number(j, ",\"torn\":", summary->torn);
    put_number(j, ",\"unreadable\":", summary->unreadable);
    return end_line(j, "}\n", writer, err);
}

static void init(void *self, const pyprof_format_opts *opts)
{
    jsonl *j = self;
    PP_UNUSED(opts);
    forget(j);
}

static void destroy(void *self)
{
    jsonl *j = self;
    forget(j);
}

const pp_format pp_format_jsonl = {
    .ops =
        {
            .begin = begin,
            .sample = take,
            .finish = finish,
            .free = destroy,
        },
    .size = sizeof(jsonl),
    .init = init,
};
