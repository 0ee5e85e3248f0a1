/*
 * pyprof: a profile as it was sampled, for replay. In go samples; out come
 * chunks of definitions and of rounds (collector.h has the layout, and
 * docs/PROFILE_FORMAT.md explains it), compressed by zstd, one about each
 * second: what was flushed can be read whatever happens then.
 *
 * All that the tables have is defined, in their order: a replay gets the same
 * numbers. Nothing is kept of the samples. Without a writer from the start, the
 * chunks are kept in memory until the end.
 *
 * Invariants:
 * 1. Whatever a record refers to is defined by a record before it.
 * 2. A round is told by its difference to the one before, in `last`.
 * 3. A chunk ends between two rounds, or holds no round at all: it makes sense
 *    with the chunks before it alone.
 */
#include "collector/format.h"

#include <string.h>

/* A chunk is closed when it is this large, or spans this time. */
#define CHUNK_SIZE ((size_t)256 * 1024)
#define CHUNK_NS UINT64_C(1000000000)
#define LEVEL 5
/* Stacks of one definition, so that a chunk ends soon after it is full. */
#define CHAIN_MAX 65536

typedef struct saved {
    pp_allocator allocator;
    uint64_t flags; /* PYPROF_FORMAT_ */
    const pyprof_tables *tables;
    uint64_t interval_ns, start_ns;
    pyprof_writer *memory; /* NULL: there was a writer from the start */
    pyprof_writer *packed; /* around the one that chunks go to; NULL: none */
    pyprof_writer *out;    /* where chunks go */
    pp_line define, rounds, times, chunk;
    pp_intern texts;
    uint32_t n_functions, n_frames, n_stacks; /* defined so far */
    uint64_t *threads; /* by number less one: hash of what was written, 0: no */
    size_t n_threads, cap_threads;
    pyprof_stack_sample *last;
    size_t n_last, cap_last;
    uint64_t last_count;
    uint64_t repeats; /* rounds like the last one that are not written yet */
    int64_t last_us;
    uint64_t chunk_ns; /* time of the first round of the chunk */
    bool has_round;    /* there is one in the chunk */
    bool is_failed;    /* out of memory */
} saved;

/* ---- bytes ------------------------------------------------------------- */

static void put_bytes(pp_line *line, pyprof_text text)
{
    pp_line_varint(line, text.size);
    pp_line_add(line, text.data, (size_t)text.size);
}

static void add_section(pp_line *payload, uint64_t tag, pp_line *section)
{
    if (section->size > 0) {
        pp_line_varint(payload, tag);
        pp_line_varint(payload, section->size);
        pp_line_add(payload, section->data, section->size);
    }
    payload->is_failed = payload->is_failed || section->is_failed;
    pp_line_clear(section);
}

/* Writes the payload as a chunk and empties it. */
static pyprof_status write_chunk(saved *s, pyprof_error *err)
{
    pp_line *payload = &s->chunk;
    uint8_t head[PP_VARINT_MAX + 4];
    if (payload->is_failed || s->is_failed) {
        return pp_error_memory(err, "a saved profile");
    }
    size_t n = pp_varint_put(head, payload->size);
    uint32_t crc = pp_crc32(0, payload->data, payload->size);
    for (int i = 0; i < 4; i++) {
        head[n++] = (uint8_t)(crc >> 8 * i);
    }
    PP_TRY(pp_writer_write(s->out, head, n, err));
    PP_TRY(pp_line_write(payload, s->out, err));
    pp_line_clear(payload);
    return PYPROF_OK;
}

/* ---- definitions ------------------------------------------------------- */

static void put_text(saved *s, pyprof_text text)
{
    uint32_t known = pp_intern_find(&s->texts, text.data, (size_t)text.size);
    pp_line_varint(&s->define, known);
    if (known == 0) {
        put_bytes(&s->define, text);
        s->is_failed |=
            pp_intern_put(&s->texts, text.data, (size_t)text.size) == 0;
    }
}

static void define_function(saved *s, uint32_t number)
{
    pp_function_key key;
    if (pp_tables_function_view(s->tables, number, &key)) {
        pp_line_varint(&s->define, PP_DEFINE_FUNCTION);
        put_text(s, key.qualname);
        put_text(s, key.name);
        put_text(s, key.file);
        pp_line_signed(&s->define, key.first_line);
        pp_line_varint(&s->define, (uint64_t)key.kind);
    }
}

static void define_frame(saved *s, uint32_t number)
{
    pyprof_frame view;
    if (pp_tables_frame_view(s->tables, number, &view)) {
        pp_line_varint(&s->define, PP_DEFINE_FRAME);
        pp_line_varint(&s->define, view.function_id);
        pp_line_signed(&s->define, view.line);
        pp_line_signed(&s->define, (int64_t)view.end_line - view.line);
        pp_line_signed(&s->define, view.column);
        pp_line_signed(&s->define, (int64_t)view.end_column - view.column);
        pp_line_signed(&s->define, view.opcode);
    }
}

/* Defines the stack after `before` and those that follow it and are each called
 * by the one before; the number of the last one. */
static uint32_t define_stacks(saved *s, uint32_t before)
{
    uint32_t last = pp_tables_stacks(s->tables);
    uint32_t first = before + 1;
    uint32_t n = 1;
    uint32_t parent = 0;
    uint32_t frame = 0;
    (void)pp_tables_stack_view(s->tables, first, &parent, NULL);
    pp_line_varint(&s->define, PP_DEFINE_STACKS);
    pp_line_varint(&s->define, parent);
    while (first + n <= last && n < CHAIN_MAX &&
           pp_tables_stack_view(s->tables, first + n, &parent, NULL) &&
           parent == first + n - 1) {
        n++;
    }
    pp_line_varint(&s->define, n);
    for (uint32_t i = 0; i < n; i++) {
        (void)pp_tables_stack_view(s->tables, first + i, NULL, &frame);
        pp_line_varint(&s->define, frame);
    }
    return before + n;
}

static uint64_t thread_hash(const pyprof_thread *thread)
{
    uint64_t hash = pp_hash_bytes(thread->name.data, (size_t)thread->name.size);
    hash = pp_hash_u64(hash ^ thread->os_id);
    hash = pp_hash_u64(hash ^ thread->native_id);
    hash = pp_hash_u64(hash ^ thread->python_id);
    hash = pp_hash_u64(hash ^ (uint64_t)thread->pid);
    hash = pp_hash_u64(hash ^ (uint64_t)(uint32_t)thread->is_main ^
                       thread->interpreter << 32);
    return hash == 0 ? 1 : hash;
}

/* Writes what is known of a thread, if that is news. */
static void define_thread(saved *s, uint32_t number)
{
    pyprof_thread thread;
    if (!pp_tables_thread_view(s->tables, number, &thread)) {
        return;
    }
    if (number > s->n_threads) {
        if (!pp_grow(&s->allocator, &s->threads, &s->cap_threads,
                     sizeof(*s->threads), number, 0)) {
            s->is_failed = true;
            return;
        }
        memset(s->threads + s->n_threads, 0,
               (number - s->n_threads) * sizeof(*s->threads));
        s->n_threads = number;
    }
    uint64_t hash = thread_hash(&thread);
    if (s->threads[number - 1] == hash) {
        return;
    }
    s->threads[number - 1] = hash;
    pp_line_varint(&s->define, PP_DEFINE_THREAD);
    pp_line_varint(&s->define, number);
    pp_line_signed(&s->define, thread.pid);
    pp_line_varint(&s->define, thread.interpreter);
    pp_line_varint(&s->define, thread.native_id);
    pp_line_varint(&s->define, thread.os_id);
    pp_line_varint(&s->define, thread.python_id);
    pp_line_varint(&s->define, (uint64_t)(thread.is_main != 0));
    put_bytes(&s->define, thread.name);
}

static pyprof_status end_chunk(saved *s, pyprof_error *err);

/* All that the tables have got since, so that a replay numbers as they do. */
static pyprof_status define_news(saved *s, pyprof_error *err)
{
    const pyprof_tables *tables = s->tables;
    while (s->n_threads < pp_tables_threads(tables) && !s->is_failed) {
        define_thread(s, (uint32_t)s->n_threads + 1);
    }
    while (s->n_functions < pp_tables_functions(tables)) {
        define_function(s, ++s->n_functions);
    }
    while (s->n_frames < pp_tables_frames(tables)) {
        define_frame(s, ++s->n_frames);
    }
    while (s->n_stacks < pp_tables_stacks(tables)) {
        s->n_stacks = define_stacks(s, s->n_stacks);
        if (s->define.size >= CHUNK_SIZE) {
            PP_TRY(end_chunk(s, err));
        }
    }
    return PYPROF_OK;
}

/* ---- rounds ------------------------------------------------------------ */

static void put_repeats(saved *s)
{
    if (s->repeats > 0) {
        pp_line_varint(&s->rounds, PP_ROUND_REPEAT);
        pp_line_varint(&s->rounds, s->repeats);
        s->repeats = 0;
    }
}

static uint64_t state_of(const pyprof_stack_sample *seen)
{
    return seen->flags << 2 | (uint64_t)seen->state;
}

static unsigned change_bits(const pyprof_stack_sample *now,
                            const pyprof_stack_sample *before)
{
    return (now->stack != before->stack ? PP_CHANGE_STACK : 0U) |
           (state_of(now) != state_of(before) ? PP_CHANGE_STATE : 0U);
}

/* How many entries have changed; SIZE_MAX: these are other threads. */
static size_t count_changes(const saved *s, const pyprof_sample *sample)
{
    size_t changes = 0;
    if (sample->n_stacks != s->n_last) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < s->n_last; i++) {
        if (sample->stacks[i].thread != s->last[i].thread) {
            return SIZE_MAX;
        }
        changes += change_bits(&sample->stacks[i], &s->last[i]) != 0;
    }
    return changes;
}

static void put_full(saved *s, const pyprof_sample *sample)
{
    pp_line_varint(&s->rounds, PP_ROUND_FULL);
    pp_line_varint(&s->rounds, sample->n_stacks);
    for (size_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        pp_line_varint(&s->rounds, seen->thread);
        pp_line_varint(&s->rounds, seen->stack);
        pp_line_varint(&s->rounds, state_of(seen));
    }
}

static void put_changes(saved *s, const pyprof_sample *sample, size_t n)
{
    if (n > 1) {
        pp_line_varint(&s->rounds, PP_ROUND_CHANGES);
        pp_line_varint(&s->rounds, n);
    }
    uint64_t gap = 0;
    for (size_t i = 0; i < s->n_last; i++, gap++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        unsigned bits = change_bits(seen, &s->last[i]);
        if (bits == 0) {
            continue;
        }
        pp_line_varint(&s->rounds,
                       (gap << 2 | bits) + (n > 1 ? 0 : PP_ROUND_CHANGE));
        if ((bits & PP_CHANGE_STACK) != 0) {
            pp_line_varint(&s->rounds, seen->stack);
        }
        if ((bits & PP_CHANGE_STATE) != 0) {
            pp_line_varint(&s->rounds, state_of(seen));
        }
        gap = UINT64_MAX;
    }
}

static void put_round(saved *s, const pyprof_sample *sample)
{
    size_t changes = count_changes(s, sample);
    int64_t us = (int64_t)(sample->time_ns - s->start_ns) / 1000;
    pp_line_signed(&s->times,
                   us - s->last_us - (int64_t)(s->interval_ns / 1000));
    s->last_us = us;
    if (changes == 0 && sample->count == s->last_count) {
        s->repeats++;
        return;
    }
    put_repeats(s);
    if (sample->count != s->last_count) {
        pp_line_varint(&s->rounds, PP_ROUND_COUNT);
        pp_line_varint(&s->rounds, sample->count);
        s->last_count = sample->count;
    }
    if (changes == 0) {
        s->repeats = 1;
        return;
    }
    if (changes == SIZE_MAX) {
        put_full(s, sample);
    } else {
        put_changes(s, sample, changes);
    }
    size_t n = (size_t)sample->n_stacks;
    if (!pp_grow(&s->allocator, &s->last, &s->cap_last, sizeof(*s->last), n,
                 0)) {
        s->is_failed = true;
        return;
    }
    memcpy(s->last, sample->stacks, n * sizeof(*s->last));
    s->n_last = n;
}

/* Gathers the sections into a chunk and writes it. */
static pyprof_status end_chunk(saved *s, pyprof_error *err)
{
    /* those that have got another name since, too */
    for (uint32_t i = 1; i <= s->n_threads; i++) {
        define_thread(s, i);
    }
    put_repeats(s);
    add_section(&s->chunk, PP_SECTION_DEFINE, &s->define);
    add_section(&s->chunk, PP_SECTION_ROUNDS, &s->rounds);
    add_section(&s->chunk, PP_SECTION_TIMES, &s->times);
    s->has_round = false;
    return s->chunk.size == 0 && !s->chunk.is_failed ? PYPROF_OK
                                                     : write_chunk(s, err);
}

/* ---- the collector ----------------------------------------------------- */

static void forget(saved *s)
{
    const pp_allocator *a = &s->allocator;
    pp_writer_close(s->packed);
    pp_writer_close(s->memory);
    pp_line_free(&s->define);
    pp_line_free(&s->rounds);
    pp_line_free(&s->times);
    pp_line_free(&s->chunk);
    pp_intern_free(&s->texts);
    pp_free(a, s->threads);
    pp_free(a, s->last);
    *s = (saved){.allocator = s->allocator, .flags = s->flags};
    pp_line_init(&s->define, &s->allocator);
    pp_line_init(&s->rounds, &s->allocator);
    pp_line_init(&s->times, &s->allocator);
    pp_line_init(&s->chunk, &s->allocator);
    pp_intern_init(&s->texts, &s->allocator);
    s->last_count = 1;
}

static pyprof_status write_head(pyprof_writer *to, bool is_packed,
                                pyprof_error *err)
{
    uint8_t head[PP_SAVED_HEAD] = {0};
    memcpy(head, PP_SAVED_MAGIC, 8);
    head[8] = PP_SAVED_VERSION;
    head[9] = is_packed ? PP_SAVED_ZSTD : PP_SAVED_NONE;
    return pp_writer_write(to, head, sizeof(head), err);
}

static void put_session(pp_line *to, const pyprof_session *session)
{
    pp_line_varint(to, session->interval_ns);
    pp_line_varint(to, session->start_ns);
    pp_line_signed(to, session->start_unix_ns);
    pp_line_signed(to, session->pid);
    pp_line_signed(to, session->mode);
    pp_line_signed(to, session->python_version);
    pp_line_varint(to, session->capture);
}

static pyprof_status begin(void *self, const pyprof_session *session,
                           pyprof_error *err)
{
    saved *s = self;
    pyprof_writer *to = session->writer;
    forget(s);
    s->tables = session->tables;
    s->interval_ns = session->interval_ns;
    s->start_ns = session->start_ns;
    if (to == NULL) {
        PP_TRY(pp_writer_open_memory(&s->allocator, &s->memory, err));
        to = s->memory;
    }
    bool is_packed = (s->flags & PYPROF_FORMAT_UNCOMPRESSED) == 0;
    PP_TRY(write_head(to, is_packed, err));
    if (is_packed) {
        PP_TRY(pp_writer_open_zstd(to, false, LEVEL, &s->allocator, &s->packed,
                                   err));
    }
    s->out = is_packed ? s->packed : to;
    put_session(&s->define, session);
    add_section(&s->chunk, PP_SECTION_SESSION, &s->define);
    PP_TRY(write_chunk(s, err));
    return session->writer == NULL ? PYPROF_OK : pp_writer_flush(s->out, err);
}

static pyprof_status take(void *self, const pyprof_sample *sample,
                          pyprof_error *err)
{
    saved *s = self;
    if (s->has_round && sample->time_ns - s->chunk_ns >= CHUNK_NS) {
        PP_TRY(end_chunk(s, err));
        if (s->memory == NULL) {
            PP_TRY(pp_writer_flush(s->out, err));
        }
    }
    PP_TRY(define_news(s, err));
    for (size_t i = 0; i < sample->n_stacks; i++) {
        if (sample->stacks[i].stack > s->n_stacks) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "a sample has stack %lu of %lu",
                                (unsigned long)sample->stacks[i].stack,
                                (unsigned long)s->n_stacks);
        }
    }
    if (s->is_failed) {
        return pp_error_memory(err, "a saved profile");
    }
    if (!s->has_round) {
        s->has_round = true;
        s->chunk_ns = sample->time_ns;
    }
    put_round(s, sample);
    return s->rounds.size + s->times.size < CHUNK_SIZE ? PYPROF_OK
                                                       : end_chunk(s, err);
}

static void put_summary(pp_line *to, const pyprof_summary *summary)
{
    pp_line_varint(to, summary->duration_ns);
    pp_line_varint(to, summary->rounds);
    pp_line_varint(to, summary->attempted);
    pp_line_varint(to, summary->whole);
    pp_line_varint(to, summary->torn);
    pp_line_varint(to, summary->gone);
    pp_line_varint(to, summary->unreadable);
    pp_line_varint(to, summary->missed);
}

static pyprof_status finish(void *self, const pyprof_summary *summary,
                            pyprof_writer *writer, pyprof_error *err)
{
    saved *s = self;
    PP_TRY(end_chunk(s, err));
    put_summary(&s->define, summary);
    add_section(&s->chunk, PP_SECTION_SUMMARY, &s->define);
    PP_TRY(write_chunk(s, err));
    if (s->packed != NULL) {
        PP_TRY(pp_writer_finish(s->packed, err));
    }
    if (s->memory != NULL) {
        pyprof_text bytes = pp_writer_memory(s->memory);
        PP_TRY(pp_writer_write(writer, bytes.data, (size_t)bytes.size, err));
    }
    return PYPROF_OK;
}

static void init(void *self, const pyprof_format_opts *opts)
{
    saved *s = self;
    s->flags = opts->flags;
    forget(s);
}

static void destroy(void *self)
{
    saved *s = self;
    forget(s);
}

const pp_format pp_format_saved = {
    .ops =
        {
            .begin = begin,
            .sample = take,
            .finish = finish,
            .free = destroy,
        },
    .size = sizeof(saved),
    .init = init,
};
