/*
 * binary: reads what Python 3.15's profiling.sampling writes with --binary
 * (version 1; collector.h has the layout), of either byte order. In goes a
 * file; out come frames into the tables, and rounds of one thread each, in the
 * order of the file: records of different threads are not in the order of time.
 *
 * Invariant: each thread's stack is `depth` stacks of the tables, outermost
 * first, each the caller of the next: popping and pushing happens at the end.
 */
#include "replay/internal.h"

#include <pyprof/sampler.h>

#include <string.h>

/* Deepest stack that is believed, with room for later writers. */
#define DEPTH_MAX 65536
#define THREADS_MAX 65536

typedef struct binary_thread {
    uint64_t id;
    uint32_t interpreter;
    uint32_t number; /* in the tables */
    uint32_t *stacks;
    uint32_t *frames; /* of the tables, beside these */
    size_t depth, cap_stacks, cap_frames;
    uint64_t us;
    uint64_t n_samples;
} binary_thread;

typedef struct binary_state {
    uint64_t strings_at, frames_at, tables_end;
    uint32_t n_strings, n_frames;
    uint64_t n_samples; /* as the header says */
    uint64_t n_read;
    pp_numbers frames; /* of the tables, by index; 0: left out */
    binary_thread *threads;
    size_t n_threads, cap_threads;
    size_t thread;    /* index of the one whose record it is */
    uint64_t repeats; /* that are still to come of it */
    double rate, seconds, errors, missed;
} binary_state;

/* ---- head and foot ----------------------------------------------------- */

static uint64_t fixed(const pp_source *source, const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)at[source->is_swapped ? size - 1 - i : i] << 8 * i;
    }
    return value;
}

static double fixed_double(const pp_source *source, const uint8_t *at)
{
    uint64_t bits = fixed(source, at, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The statistics before the footer, of either length; none is fine. */
static void read_trailer(pp_source *source, uint64_t end)
{
    binary_state *b = source->state;
    uint8_t bytes[PP_BINARY_TRAILER];
    if (end < PP_BINARY_HEAD + 32 ||
        pp_input_read(&source->input, end - 16, bytes, 16) != 16 ||
        memcmp(bytes, "TACHSTAT", 8) != 0) {
        return;
    }
    uint64_t size = fixed(source, bytes + 12, 4);
    if ((size != 32 && size != PP_BINARY_TRAILER) || size > end ||
        pp_input_read(&source->input, end - size, bytes, (size_t)size) !=
            (int64_t)size) {
        return;
    }
    b->seconds = fixed_double(source, bytes);
    b->rate = fixed_double(source, bytes + 8);
    if (size == PP_BINARY_TRAILER) {
        uint64_t present = fixed(source, bytes + 32, 4);
        b->errors = (present & 1) != 0 ? fixed_double(source, bytes + 16) : 0;
        b->missed = (present & 2) != 0 ? fixed_double(source, bytes + 24) : 0;
    }
    b->tables_end = end - size;
}

static pyprof_status read_footer(pp_source *source, pyprof_error *err)
{
    binary_state *b = source->state;
    uint8_t bytes[PP_BINARY_FOOTER];
    uint64_t size = source->input.size;
    if (size < PP_BINARY_HEAD + PP_BINARY_FOOTER ||
        pp_input_read(&source->input, size - PP_BINARY_FOOTER, bytes,
                      PP_BINARY_FOOTER) != PP_BINARY_FOOTER ||
        fixed(source, bytes + 8, 8) != size) {
        return pp_source_corrupt(
            source, err,
            "the file has no end: it is cut off, or what wrote it "
            "was stopped");
    }
    b->n_strings = (uint32_t)fixed(source, bytes, 4);
    b->n_frames = (uint32_t)fixed(source, bytes + 4, 4);
    b->tables_end = size - PP_BINARY_FOOTER;
    read_trailer(source, b->tables_end);
    if (b->strings_at < PP_BINARY_HEAD || b->strings_at > b->frames_at ||
        b->frames_at > b->tables_end ||
        b->n_strings > b->frames_at - b->strings_at ||
        b->n_frames > (b->tables_end - b->frames_at) / 7) {
        return pp_source_corrupt(source, err,
                                 "tables that can't be where they are");
    }
    return PYPROF_OK;
}

static uint64_t capture_of(uint64_t flags)
{
    /* all threads and blocking, as 3.15 has them and as we do */
    return ((flags & 1U << 4) != 0 ? PYPROF_SAMPLE_ALL_THREADS : 0U) |
           ((flags & 1U << 8) != 0 ? PYPROF_SAMPLE_BLOCKING : 0U);
}

static pyprof_status read_head(pp_source *source, pyprof_error *err)
{
    binary_state *b = source->state;
    uint8_t head[PP_BINARY_HEAD];
    if (pp_input_read(&source->input, 0, head, sizeof(head)) !=
        (int64_t)sizeof(head)) {
        return pp_source_corrupt(source, err, "the file ends within its head");
    }
    source->is_swapped = fixed(source, head, 4) != PP_BINARY_MAGIC;
    uint64_t version = fixed(source, head + 4, 4);
    uint64_t packed = fixed(source, head + 56, 4);
    if (version != PP_BINARY_VERSION || packed > 1) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "%s: version %llu of Python's binary profiles, "
                            "compression %llu: this library reads version %d, "
                            "compression 0 and 1",
                            source->name, (unsigned long long)version,
                            (unsigned long long)packed, PP_BINARY_VERSION);
    }
    pyprof_session *session = &source->session;
    uint64_t interval_us = fixed(source, head + 20, 8);
    uint64_t start_us = fixed(source, head + 12, 8);
    uint64_t flags = fixed(source, head + 60, 4);
    if (interval_us > UINT64_MAX / 1000 || start_us > UINT64_MAX / 1000) {
        return pp_source_corrupt(source, err, "a wrong interval or start");
    }
    source->is_packed = packed == 1;
    session->interval_ns = interval_us * 1000;
    session->start_ns = start_us * 1000;
    session->python_version = head[8] << 8 | head[9];
    session->mode = (flags & 7) > 0 ? (int32_t)(flags & 7) - 1 : 0;
    session->capture = capture_of(flags);
    b->n_samples = fixed(source, head + 28, 8);
    b->strings_at = fixed(source, head + 40, 8);
    b->frames_at = fixed(source, head + 48, 8);
    return read_footer(source, err);
}

/* ---- tables ------------------------------------------------------------ */

static pyprof_status read_strings(pp_source *source, pp_arena *arena,
                                  pyprof_text *strings, pyprof_error *err)
{
    const binary_state *b = source->state;
    for (uint32_t i = 0; i < b->n_strings; i++) {
        uint64_t size;
        if (!pp_feed_varint(&source->feed, &size) ||
            size > b->frames_at - b->strings_at) {
            return pp_source_corrupt(source, err, "a wrong table of strings");
        }
        char *text = pp_arena_alloc(arena, (size_t)size + 1);
        if (text == NULL) {
            return pp_source_memory(err);
        }
        if (!pp_feed_take(&source->feed, text, (size_t)size)) {
            return pp_source_corrupt(source, err, "a wrong table of strings");
        }
        strings[i] = (pyprof_text){.data = text, .size = size};
    }
    return PYPROF_OK;
}

static bool is_text(pyprof_text text, const char *literal)
{
    size_t size = strlen(literal);
    return text.size == size && memcmp(text.data, literal, size) == 0;
}

/* What 3.15 tells by the name of a file. */
static pp_function_key key_of(pyprof_text file, pyprof_text function)
{
    static const struct {
        const char *name;
        int32_t kind;
    } kinds[] = {{"<GC>", PYPROF_FRAME_GC},
                 {"<native>", PYPROF_FRAME_NATIVE},
                 {"<truncated>", PYPROF_FRAME_TRUNCATED},
                 {"<torn>", PYPROF_FRAME_TORN},
                 {"<unknown>", PYPROF_FRAME_UNKNOWN}};
    pp_function_key key = {.qualname = function,
                           .name = function,
                           .file = file,
                           .first_line = PYPROF_UNKNOWN,
                           .kind = PYPROF_FRAME_PYTHON};
    if (is_text(file, "<task>")) {
        key.kind = PYPROF_FRAME_TASK;
        key.file = (pyprof_text){.data = "~", .size = 1};
        return key;
    }
    for (size_t i = 0; i < PP_COUNT_OF(kinds) && is_text(file, "~"); i++) {
        if (is_text(function, kinds[i].name)) {
            key.kind = kinds[i].kind;
            return key;
        }
    }
    for (uint64_t i = function.size; i > 0; i--) {
        if (function.data[i - 1] == '.') {
            key.name.data += i;
            key.name.size -= i;
            break;
        }
    }
    return key;
}

/* Python's profiler starts programs through a script of its own, which is no
 * part of them: it leaves these frames out when it replays, too. */
static bool is_launcher(pyprof_text file)
{
    static const char name[] = "_sync_coordinator.py";
    size_t size = sizeof(name) - 1;
    return file.size >= size &&
           memcmp(file.data + file.size - size, name, size) == 0;
}

static bool get_position(pp_source *source, pp_position *out)
{
    uint64_t raw[4];
    uint64_t opcode;
    int64_t value[4];
    for (size_t i = 0; i < 4; i++) {
        if (!pp_feed_varint(&source->feed, &raw[i])) {
            return false;
        }
        value[i] = pp_unzigzag(raw[i]);
        if (value[i] < INT32_MIN || value[i] > INT32_MAX) {
            return false;
        }
    }
    value[1] += value[0];
    value[3] += value[2];
    for (size_t i = 0; i < 4; i++) {
        value[i] = value[i] < PYPROF_UNKNOWN ? PYPROF_UNKNOWN : value[i];
        if (value[i] > INT32_MAX) {
            return false;
        }
    }
    if (!pp_feed_fixed(&source->feed, 1, false, &opcode)) {
        return false;
    }
    out->line = (int32_t)value[0];
    out->end_line = (int32_t)value[1];
    out->column = (int32_t)value[2];
    out->end_column = (int32_t)value[3];
    out->opcode = opcode == 255 ? PYPROF_UNKNOWN : (int32_t)opcode;
    return true;
}

static pyprof_status read_frames(pp_source *source, const pyprof_text *strings,
                                 pyprof_error *err)
{
    binary_state *b = source->state;
    for (uint32_t i = 0; i < b->n_frames; i++) {
        uint64_t file;
        uint64_t function;
        pp_position at;
        if (!pp_feed_varint(&source->feed, &file) ||
            !pp_feed_varint(&source->feed, &function) || file >= b->n_strings ||
            function >= b->n_strings || !get_position(source, &at)) {
            return pp_source_corrupt(source, err, "a wrong table of frames");
        }
        if (is_launcher(strings[file])) {
            if (!pp_numbers_add(source, &b->frames, 0)) {
                return pp_source_memory(err);
            }
            continue;
        }
        pp_function_key key = key_of(strings[file], strings[function]);
        uint32_t made = pp_tables_function(source->tables, &key);
        uint32_t frame =
            made == 0 ? 0 : pp_tables_frame(source->tables, made, &at);
        if (frame == 0 || !pp_numbers_add(source, &b->frames, frame)) {
            return pp_source_memory(err);
        }
    }
    return PYPROF_OK;
}

static pyprof_status read_tables(pp_source *source, pyprof_error *err)
{
    const binary_state *b = source->state;
    pyprof_text *strings = pp_calloc(
        source->allocator, (size_t)b->n_strings + 1, sizeof(*strings));
    if (strings == NULL) {
        return pp_source_memory(err);
    }
    pp_arena arena;
    pp_arena_init(&arena, source->allocator);
    pyprof_status status =
        pp_feed_open(&source->feed, source->allocator, &source->input,
                     b->strings_at, b->tables_end, false, err);
    if (status == PYPROF_OK) {
        status = read_strings(source, &arena, strings, err);
    }
    if (status == PYPROF_OK) {
        status = read_frames(source, strings, err);
    }
    pp_feed_close(&source->feed);
    pp_free(source->allocator, strings);
    pp_arena_free(&arena);
    return status;
}

/* ---- records ----------------------------------------------------------- */

static pyprof_status find_thread(pp_source *source, uint64_t id,
                                 uint64_t interpreter, pyprof_error *err)
{
    binary_state *b = source->state;
    /* mostly the same again, or one of few */
    for (size_t i = 0; i < b->n_threads; i++) {
        size_t at = (b->thread + i) % b->n_threads;
        if (b->threads[at].id == id &&
            b->threads[at].interpreter == interpreter) {
            b->thread = at;
            return PYPROF_OK;
        }
    }
    if (b->n_threads == THREADS_MAX) {
        return pp_source_corrupt(source, err, "too many threads");
    }
    const pyprof_thread thread = {.sz = sizeof(thread),
                                  .native_id = id,
                                  .interpreter = interpreter,
                                  .name = {.data = "", .size = 0}};
    uint32_t number = pp_replay_thread(source->replay, &thread);
    if (number == 0 || !pp_grow(source->allocator, &b->threads, &b->cap_threads,
                                sizeof(*b->threads), b->n_threads + 1, 0)) {
        return pp_source_memory(err);
    }
    b->thread = b->n_threads++;
    b->threads[b->thread] = (binary_thread){
        .id = id, .interpreter = (uint32_t)interpreter, .number = number};
    return PYPROF_OK;
}

/* Reads n frame indexes, innermost first, on top of those that stay. */
static pyprof_status push_frames(pp_source *source, binary_thread *t,
                                 uint64_t stay, uint64_t n, pyprof_error *err)
{
    const binary_state *b = source->state;
    if (stay > t->depth || n > DEPTH_MAX - stay) {
        return pp_source_corrupt(source, err, "a stack that can't be");
    }
    size_t depth = (size_t)(stay + n);
    if (!pp_grow(source->allocator, &t->stacks, &t->cap_stacks,
                 sizeof(*t->stacks), depth, 0) ||
        !pp_grow(source->allocator, &t->frames, &t->cap_frames,
                 sizeof(*t->frames), depth, 0)) {
        return pp_source_memory(err);
    }
    size_t had = t->depth;
    size_t first_new = depth;
    t->depth = (size_t)stay;
    /* frames first, as they come, then the stacks that end in them: a stack
     * stays where its frames are those that were there before */
    for (size_t i = depth; i > stay; i--) {
        uint64_t frame;
        if (!pp_feed_varint(&source->feed, &frame) || frame >= b->n_frames) {
            return pp_source_corrupt(source, err,
                                     "a frame that does not exist");
        }
        uint32_t number = b->frames.of[frame];
        if (i > had || t->frames[i - 1] != number) {
            first_new = i - 1;
        }
        t->frames[i - 1] = number;
    }
    for (size_t i = first_new; i < depth; i++) {
        uint32_t caller = i > 0 ? t->stacks[i - 1] : 0;
        uint32_t frame = t->frames[i];
        t->stacks[i] = caller;
        if (frame == 0) {
            continue; /* left out */
        }
        t->stacks[i] = pp_tables_stack(source->tables, caller, frame);
        if (t->stacks[i] == 0) {
            return pp_source_memory(err);
        }
    }
    t->depth = depth;
    return PYPROF_OK;
}

/* One sample of the thread at hand: its time and status, then (by `encoding`)
 * how its stack changes. */
static pyprof_status read_sample(pp_source *source, uint64_t encoding,
                                 pyprof_error *err)
{
    binary_state *b = source->state;
    binary_thread *t = &b->threads[b->thread];
    uint64_t delta;
    uint64_t status;
    uint64_t a = 0;
    uint64_t n;
    if (!pp_feed_varint(&source->feed, &delta) ||
        !pp_feed_fixed(&source->feed, 1, false, &status) ||
        delta > INT64_MAX / 4000 - t->us) {
        return pp_source_corrupt(source, err, "a wrong record");
    }
    if (encoding != PP_BINARY_REPEAT) {
        if ((encoding != PP_BINARY_FULL &&
             !pp_feed_varint(&source->feed, &a)) ||
            !pp_feed_varint(&source->feed, &n) ||
            (encoding == PP_BINARY_POP_PUSH && a > t->depth)) {
            return pp_source_corrupt(source, err, "a wrong record");
        }
        PP_TRY(push_frames(source, t,
                           encoding == PP_BINARY_FULL     ? 0
                           : encoding == PP_BINARY_SUFFIX ? a
                                                          : t->depth - a,
                           n, err));
    }
    t->us += delta;
    t->n_samples++;
    b->n_read++;
    if (!pp_grow(source->allocator, &source->stacks, &source->cap_stacks,
                 sizeof(*source->stacks), 1, 0)) {
        return pp_source_memory(err);
    }
    source->stacks[0] = (pyprof_stack_sample){
        .thread = t->number,
        .stack = t->depth > 0 ? t->stacks[t->depth - 1] : 0,
        .flags = status,
    };
    source->stacks[0].depth =
        pp_tables_depth(source->tables, source->stacks[0].stack);
    source->n_stacks = 1;
    source->count = 1;
    source->time_ns = (int64_t)(t->us * 1000);
    source->has_round = true;
    return PYPROF_OK;
}

static void make_summary(pp_source *source)
{
    const binary_state *b = source->state;
    pyprof_summary *to = &source->summary;
    uint64_t most = 0;
    uint64_t last_us = 0;
    for (size_t i = 0; i < b->n_threads; i++) {
        const binary_thread *t = &b->threads[i];
        most = t->n_samples > most ? t->n_samples : most;
        last_us = t->us > last_us ? t->us : last_us;
    }
    bool has_time = b->seconds > 0 && b->seconds < 1e9;
    double rounds = has_time && b->rate > 0 ? b->rate * b->seconds + 0.5 : 0;
    double missed =
        b->missed > 0 && b->missed < 100 ? b->missed / (100 - b->missed) : 0;
    to->duration_ns =
        has_time ? (uint64_t)(b->seconds * 1e9 + 0.5) : last_us * 1000;
    to->rounds =
        rounds >= (double)most && rounds < 1e15 ? (uint64_t)rounds : most;
    to->missed = (uint64_t)(missed * (double)to->rounds + 0.5);
    to->attempted = b->n_read;
    to->whole = b->n_read;
    source->has_summary = true;
}

static pyprof_status binary_next(pp_source *source, pyprof_error *err)
{
    binary_state *b = source->state;
    uint64_t id;
    uint64_t interpreter;
    uint64_t encoding;
    source->has_round = false;
    if (b->repeats > 0) {
        b->repeats--;
        return read_sample(source, PP_BINARY_REPEAT, err);
    }
    for (;;) {
        if (pp_feed_is_over(&source->feed)) {
            make_summary(source);
            return b->n_read == b->n_samples
                       ? PYPROF_OK
                       : pp_source_corrupt(source, err, "samples are missing");
        }
        if (!pp_feed_fixed(&source->feed, 8, source->is_swapped, &id) ||
            !pp_feed_fixed(&source->feed, 4, source->is_swapped,
                           &interpreter) ||
            !pp_feed_fixed(&source->feed, 1, false, &encoding) ||
            encoding > PP_BINARY_POP_PUSH) {
            return pp_source_corrupt(source, err, "a wrong record");
        }
        PP_TRY(find_thread(source, id, interpreter, err));
        if (encoding != PP_BINARY_REPEAT) {
            return read_sample(source, encoding, err);
        }
        if (!pp_feed_varint(&source->feed, &b->repeats)) {
            return pp_source_corrupt(source, err, "a wrong record");
        }
        if (b->repeats > 0) {
            b->repeats--;
            return read_sample(source, PP_BINARY_REPEAT, err);
        }
    }
}

/* ---- life -------------------------------------------------------------- */

static void binary_close(pp_source *source)
{
    binary_state *b = source->state;
    if (b == NULL) {
        return;
    }
    for (size_t i = 0; i < b->n_threads; i++) {
        pp_free(source->allocator, b->threads[i].stacks);
        pp_free(source->allocator, b->threads[i].frames);
    }
    pp_free(source->allocator, b->threads);
    pp_free(source->allocator, b->frames.of);
    pp_free(source->allocator, b);
}

static pyprof_status binary_open(pp_source *source, pyprof_error *err)
{
    binary_state *b = pp_calloc(source->allocator, 1, sizeof(*b));
    if (b == NULL) {
        return pp_source_memory(err);
    }
    source->state = b;
    PP_TRY(read_head(source, err));
    PP_TRY(read_tables(source, err));
    return pp_feed_open(&source->feed, source->allocator, &source->input,
                        PP_BINARY_HEAD, b->strings_at, source->is_packed, err);
}

const pp_source_ops pp_source_binary = {
    .format = "binary",
    .open = binary_open,
    .next = binary_next,
    .close = binary_close,
};
