/*
 * binary: a profile as Python 3.15's profiling.sampling saves it with --binary
 * (version 1). In go samples; out come its header, a record for each change of
 * a thread's stack, tables of strings and frames, a footer (collector.h).
 *
 * The header says where the tables are, so it can't be written before the end:
 * the records wait in memory, compressed.
 *
 * The format has no name of a thread, no process, no plain name or first line
 * of a function, and no stack deeper than 256 frames: of a deeper one the
 * innermost are written, above a frame `<truncated>`. Threads without a Python
 * frame and stacks that were unreadable have no record.
 *
 * Invariant: a thread's record is told by its difference to the one before, in
 * `frames`; what is like it waits in `repeats`.
 */
#include "collector/format.h"

#include <pyprof/sampler.h>

#include <string.h>

#define LEVEL 5
#define REPEATS_MAX 4096
#define NO_OPCODE 255
/* PYPROF_THREAD_ bits that 3.15 has, too; GIL_UNKNOWN and IN_GC are ours. */
#define STATUS_MASK 0x3fU

typedef struct thread_state {
    uint32_t *frames; /* of the last record, innermost first; NULL: none yet */
    uint32_t depth;
    uint32_t stack; /* its number */
    int64_t last_us;
    pp_line repeats;
    uint64_t n_repeats;
} thread_state;

typedef struct binary {
    pp_allocator allocator;
    uint64_t flags;
    pyprof_session session;
    pyprof_writer *memory;  /* NULL before the first begin */
    pyprof_writer *packed;  /* around it; NULL: none */
    pyprof_writer *records; /* one of them */
    thread_state *threads;  /* by number less one */
    size_t n_threads, cap_threads;
    uint32_t *frame_of; /* by number: index in the file, plus one */
    size_t cap_frame_of;
    uint32_t *frames; /* by index: number */
    size_t n_frames, cap_frames;
    uint64_t n_samples;
    uint32_t n_seen; /* threads with records */
    pp_line line;    /* the record at hand */
} binary;

/* ---- bytes ------------------------------------------------------------- */

static void put_double(pp_line *line, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    pp_line_fixed(line, bits, 8);
}

/* ---- frames ------------------------------------------------------------ */

/* Index of a frame in the file; PYPROF_ERR_NO_MEMORY. */
static pyprof_status frame_index(binary *b, uint32_t frame, uint32_t *out,
                                 pyprof_error *err)
{
    size_t had = b->cap_frame_of;
    if (!pp_grow(&b->allocator, &b->frame_of, &b->cap_frame_of,
                 sizeof(*b->frame_of), (size_t)frame + 1, 0)) {
        return pp_error_memory(err, "frames of a binary profile");
    }
    if (b->cap_frame_of > had) {
        memset(b->frame_of + had, 0,
               (b->cap_frame_of - had) * sizeof(*b->frame_of));
    }
    if (b->frame_of[frame] == 0) {
        if (!pp_grow(&b->allocator, &b->frames, &b->cap_frames,
                     sizeof(*b->frames), b->n_frames + 1, 0)) {
            return pp_error_memory(err, "frames of a binary profile");
        }
        b->frames[b->n_frames++] = frame;
        b->frame_of[frame] = (uint32_t)b->n_frames;
    }
    *out = b->frame_of[frame] - 1;
    return PYPROF_OK;
}

/* The frames of a stack, innermost first, as many as the format can have. */
static pyprof_status list_frames(binary *b, uint32_t stack,
                                 uint32_t frames[PP_BINARY_DEPTH],
                                 uint32_t *out_depth, pyprof_error *err)
{
    const pyprof_tables *tables = b->session.tables;
    uint32_t depth = 0;
    while (stack != 0) {
        uint32_t frame = 0;
        uint32_t parent = 0;
        if (!pp_tables_stack_view(tables, stack, &parent, &frame)) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "a sample has a stack that does not exist");
        }
        bool is_cut = depth == PP_BINARY_DEPTH - 1 && parent != 0;
        if (is_cut) {
            frame = pp_tables_synthetic(tables, PYPROF_FRAME_TRUNCATED);
        }
        PP_TRY(frame_index(b, frame, &frames[depth], err));
        depth++;
        stack = is_cut ? 0 : parent;
    }
    *out_depth = depth;
    return PYPROF_OK;
}

/* ---- records ----------------------------------------------------------- */

static thread_state *state_at(binary *b, uint32_t number)
{
    if (number == 0 || !pp_grow(&b->allocator, &b->threads, &b->cap_threads,
                                sizeof(*b->threads), number, 0)) {
        return NULL;
    }
    for (; b->n_threads < number; b->n_threads++) {
        b->threads[b->n_threads] = (thread_state){.frames = NULL};
        pp_line_init(&b->threads[b->n_threads].repeats, &b->allocator);
    }
    return &b->threads[number - 1];
}

static void put_record_head(binary *b, uint32_t number, uint8_t encoding)
{
    pyprof_thread thread = {.sz = sizeof(thread)};
    (void)pp_tables_thread_view(b->session.tables, number, &thread);
    uint64_t id = thread.native_id != 0 ? thread.native_id
                  : thread.os_id != 0   ? thread.os_id
                                        : thread.python_id;
    pp_line_fixed(&b->line, id, 8);
    pp_line_fixed(&b->line, thread.interpreter, 4);
    pp_line_fixed(&b->line, encoding, 1);
}

static pyprof_status write_repeats(binary *b, uint32_t number, thread_state *t,
                                   pyprof_error *err)
{
    if (t->n_repeats == 0) {
        return PYPROF_OK;
    }
    pp_line_clear(&b->line);
    put_record_head(b, number, PP_BINARY_REPEAT);
    pp_line_varint(&b->line, t->n_repeats);
    pp_line_add(&b->line, t->repeats.data, t->repeats.size);
    b->line.is_failed = b->line.is_failed || t->repeats.is_failed;
    t->n_repeats = 0;
    pp_line_clear(&t->repeats);
    return pp_line_write(&b->line, b->records, err);
}

/* How many of the outermost frames two stacks share. */
static uint32_t shared_frames(const uint32_t *a, uint32_t n_a,
                              const uint32_t *b, uint32_t n_b)
{
    uint32_t shared = 0;
    while (shared < n_a && shared < n_b &&
           a[n_a - 1 - shared] == b[n_b - 1 - shared]) {
        shared++;
    }
    return shared;
}

static pyprof_status write_change(binary *b, uint32_t number, thread_state *t,
                                  uint64_t delta, uint8_t status,
                                  const uint32_t *frames, uint32_t depth,
                                  pyprof_error *err)
{
    uint32_t shared = shared_frames(frames, depth, t->frames, t->depth);
    PP_TRY(write_repeats(b, number, t, err));
    pp_line_clear(&b->line);
    put_record_head(b, number,
                    shared == 0 ? PP_BINARY_FULL : PP_BINARY_POP_PUSH);
    pp_line_varint(&b->line, delta);
    pp_line_fixed(&b->line, status, 1);
    if (shared != 0) {
        pp_line_varint(&b->line, t->depth - shared);
    }
    pp_line_varint(&b->line, depth - shared);
    for (uint32_t i = 0; i < depth - shared; i++) {
        pp_line_varint(&b->line, frames[i]);
    }
    memcpy(t->frames, frames, depth * sizeof(*frames));
    t->depth = depth;
    return pp_line_write(&b->line, b->records, err);
}

static pyprof_status add_one(binary *b, const pyprof_stack_sample *seen,
                             int64_t now_us, pyprof_error *err)
{
    thread_state *t = state_at(b, seen->thread);
    if (t == NULL) {
        return pp_error_memory(err, "threads of a binary profile");
    }
    uint64_t delta = now_us > t->last_us ? (uint64_t)(now_us - t->last_us) : 0;
    uint8_t status = (uint8_t)(seen->flags & STATUS_MASK);
    t->last_us += (int64_t)delta;
    b->n_samples++;
    if (t->frames != NULL && t->stack == seen->stack) {
        pp_line_varint(&t->repeats, delta);
        pp_line_fixed(&t->repeats, status, 1);
        return ++t->n_repeats < REPEATS_MAX
                   ? PYPROF_OK
                   : write_repeats(b, seen->thread, t, err);
    }
    if (t->frames == NULL) {
        t->frames =
            pp_calloc(&b->allocator, PP_BINARY_DEPTH, sizeof(*t->frames));
        if (t->frames == NULL) {
            return pp_error_memory(err, "threads of a binary profile");
        }
        b->n_seen++;
    }
    uint32_t frames[PP_BINARY_DEPTH] = {0};
    uint32_t depth = 0;
    PP_TRY(list_frames(b, seen->stack, frames, &depth, err));
    t->stack = seen->stack;
    return write_change(b, seen->thread, t, delta, status, frames, depth, err);
}

static pyprof_status take(void *self, const pyprof_sample *sample,
                          pyprof_error *err)
{
    binary *b = self;
    int64_t now_us = (int64_t)(sample->time_ns - b->session.start_ns) / 1000;
    for (size_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->state == PYPROF_STACK_UNREADABLE || seen->stack == 0) {
            continue;
        }
        for (uint64_t n = 0; n < sample->count; n++) {
            PP_TRY(add_one(b, seen, now_us, err));
        }
    }
    return PYPROF_OK;
}

/* ---- tables ------------------------------------------------------------ */

static uint32_t string_index(pp_intern *strings, pp_line *line,
                             pyprof_text text)
{
    uint32_t id = pp_intern_put(strings, text.data, (size_t)text.size);
    line->is_failed = line->is_failed || id == 0;
    return id - 1;
}

/* The frames into `line`, their texts into `strings`. */
static void put_frames(const binary *b, pp_intern *strings, pp_line *line)
{
    for (size_t i = 0; i < b->n_frames; i++) {
        pyprof_frame frame = {.sz = sizeof(frame)};
        (void)pp_tables_frame_view(b->session.tables, b->frames[i], &frame);
        bool has_line = frame.line >= 0;
        pyprof_text task = {.data = "<task>", .size = 6};
        pp_line_varint(
            line,
            string_index(strings, line,
                         frame.kind == PYPROF_FRAME_TASK ? task : frame.file));
        pp_line_varint(line, string_index(strings, line, frame.function));
        pp_line_signed(line, has_line ? frame.line : -1);
        pp_line_signed(line,
                       has_line ? (int64_t)frame.end_line - frame.line : 0);
        pp_line_signed(line, has_line ? frame.column : -1);
        pp_line_signed(line,
                       has_line ? (int64_t)frame.end_column - frame.column : 0);
        pp_line_fixed(line,
                      frame.opcode >= 0 && frame.opcode < NO_OPCODE
                          ? (uint64_t)frame.opcode
                          : NO_OPCODE,
                      1);
    }
}

static void put_strings(const pp_intern *strings, pp_line *line)
{
    for (uint32_t id = 1; id <= strings->n_entries; id++) {
        pyprof_text text = pp_intern_text(strings, id);
        pp_line_varint(line, text.size);
        pp_line_add(line, text.data, (size_t)text.size);
    }
}

/* ---- the file ---------------------------------------------------------- */

/* What the capture flags are called in 3.15: known, all threads, native, GC,
 * opcodes, blocking. */
static uint32_t flags_of(const pyprof_session *session)
{
    uint32_t flags = (uint32_t)(session->mode + 1) & 7U;
    flags |= 1U << 3;
    if ((session->capture & PYPROF_SAMPLE_ALL_THREADS) != 0) {
        flags |= 1U << 4;
    }
    if ((session->capture & PYPROF_SAMPLE_BLOCKING) != 0) {
        flags |= 1U << 8;
    }
    return flags;
}

static void put_header(const binary *b, pp_line *line, uint64_t strings_at,
                       uint64_t frames_at)
{
    const pyprof_session *session = &b->session;
    pp_line_fixed(line, PP_BINARY_MAGIC, 4);
    pp_line_fixed(line, PP_BINARY_VERSION, 4);
    pp_line_fixed(line, (uint64_t)session->python_version >> 8 & 0xff, 1);
    pp_line_fixed(line, (uint64_t)session->python_version & 0xff, 1);
    pp_line_fixed(line, 0, 2);
    pp_line_fixed(line, session->start_ns / 1000, 8);
    pp_line_fixed(line, session->interval_ns / 1000, 8);
    pp_line_fixed(line, b->n_samples, 8);
    pp_line_fixed(line, b->n_seen, 4);
    pp_line_fixed(line, strings_at, 8);
    pp_line_fixed(line, frames_at, 8);
    pp_line_fixed(line, b->packed != NULL, 4);
    pp_line_fixed(line, flags_of(session), 4);
}

static void put_trailer(pp_line *line, const pyprof_summary *summary)
{
    double seconds = (double)summary->duration_ns / 1e9;
    double attempted = (double)summary->attempted;
    double ticks = (double)summary->rounds + (double)summary->missed;
    double bad = (double)summary->unreadable + (double)summary->torn;
    put_double(line, seconds);
    put_double(line, seconds > 0 ? (double)summary->rounds / seconds : 0);
    put_double(line, attempted > 0 ? bad / attempted * 100 : 0);
    put_double(line, ticks > 0 ? (double)summary->missed / ticks * 100 : 0);
    pp_line_fixed(line, 3, 4);
    pp_line_fixed(line, 0, 4);
    pp_line_text(line, "TACHSTAT");
    pp_line_fixed(line, 1, 4);
    pp_line_fixed(line, PP_BINARY_TRAILER, 4);
}

static pyprof_status write_file(binary *b, const pyprof_summary *summary,
                                pp_intern *strings, pyprof_writer *w,
                                pyprof_error *err)
{
    pp_line frames;
    pp_line rest;
    pp_line_init(&frames, &b->allocator);
    pp_line_init(&rest, &b->allocator);
    put_frames(b, strings, &frames);
    put_strings(strings, &rest);
    pyprof_text records = pp_writer_memory(b->memory);
    uint64_t strings_at = PP_BINARY_HEAD + records.size;
    uint64_t frames_at = strings_at + rest.size;
    uint64_t end = frames_at + frames.size + PP_BINARY_TRAILER;
    pp_line_clear(&b->line);
    put_header(b, &b->line, strings_at, frames_at);
    pp_line_add(&rest, frames.data, frames.size);
    rest.is_failed = rest.is_failed || frames.is_failed;
    put_trailer(&rest, summary);
    pp_line_fixed(&rest, strings->n_entries, 4);
    pp_line_fixed(&rest, b->n_frames, 4);
    pp_line_fixed(&rest, end + PP_BINARY_FOOTER, 8);
    pp_line_fixed(&rest, 0, 8);
    pp_line_fixed(&rest, 0, 8);
    pyprof_status status = pp_line_write(&b->line, w, err);
    if (status == PYPROF_OK) {
        status = pp_writer_write(w, records.data, (size_t)records.size, err);
    }
    if (status == PYPROF_OK) {
        status = pp_line_write(&rest, w, err);
    }
    pp_line_free(&frames);
    pp_line_free(&rest);
    return status;
}

/* ---- slots ------------------------------------------------------------- */

static void forget(binary *b)
{
    const pp_allocator *a = &b->allocator;
    for (size_t i = 0; i < b->n_threads; i++) {
        pp_free(a, b->threads[i].frames);
        pp_line_free(&b->threads[i].repeats);
    }
    pp_writer_close(b->packed);
    pp_writer_close(b->memory);
    pp_free(a, b->threads);
    pp_free(a, b->frame_of);
    pp_free(a, b->frames);
    pp_line_free(&b->line);
    *b = (binary){.allocator = b->allocator, .flags = b->flags};
    pp_line_init(&b->line, &b->allocator);
}

static pyprof_status begin(void *self, const pyprof_session *session,
                           pyprof_error *err)
{
    binary *b = self;
    forget(b);
    b->session = *session;
    PP_TRY(pp_writer_open_memory(&b->allocator, &b->memory, err));
    b->records = b->memory;
    if ((b->flags & PYPROF_FORMAT_UNCOMPRESSED) == 0) {
        PP_TRY(pp_writer_open_zstd(b->memory, false, LEVEL, &b->allocator,
                                   &b->packed, err));
        b->records = b->packed;
    }
    return PYPROF_OK;
}

static pyprof_status finish(void *self, const pyprof_summary *summary,
                            pyprof_writer *writer, pyprof_error *err)
{
    binary *b = self;
    for (uint32_t i = 1; i <= b->n_threads; i++) {
        PP_TRY(write_repeats(b, i, &b->threads[i - 1], err));
    }
    if (b->packed != NULL) {
        PP_TRY(pp_writer_finish(b->packed, err));
    }
    pp_intern strings;
    pp_intern_init(&strings, &b->allocator);
    pyprof_status status = write_file(b, summary, &strings, writer, err);
    pp_intern_free(&strings);
    return status;
}

static void init(void *self, const pyprof_format_opts *opts)
{
    binary *b = self;
    b->flags = opts->flags;
    forget(b);
}

static void destroy(void *self)
{
    binary *b = self;
    forget(b);
}

const pp_format pp_format_binary = {
    .ops =
        {
            .begin = begin,
            .sample = take,
            .finish = finish,
            .free = destroy,
        },
    .size = sizeof(binary),
    .init = init,
};
