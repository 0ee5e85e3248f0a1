/*
 * pyprof: reads the format "pyprof" (collector.h has its layout). In goes a
 * file, a chunk at a time; out come definitions into the tables, and rounds.
 *
 * A chunk is checked before a byte of it is believed, so damage costs what
 * follows it and nothing before.
 *
 * Invariants:
 * 1. All numbers of the file that are kept are of elements that it defined.
 * 2. `round` is the last round as the file tells it, with numbers of the
 *    tables; source->stacks is a copy, which the driver may change.
 */
#include "replay/internal.h"

#include <string.h>

/* A round may stand for so many; what drivers give is 1. */
#define COUNT_MAX (UINT64_C(1) << 20)
/* Texts, functions and such that a file may have: far beyond any cap of the
 * tables, where they are folded. */
#define NUMBERS_MAX ((size_t)1 << 28)

typedef struct span {
    const uint8_t *at, *end;
} span;

typedef struct pyprof_state {
    uint8_t *payload; /* of the chunk at hand */
    size_t cap_payload;
    span rounds, times; /* what is left of it */
    uint64_t repeats;   /* rounds like the last one that are still to come */
    pp_intern texts;
    pp_numbers functions, frames, stacks, threads;
    pyprof_stack_sample *round;
    size_t n_round, cap_round;
    uint64_t count;
    int64_t us; /* of the last round */
    bool has_session;
} pyprof_state;

/* ---- bytes of a section ------------------------------------------------ */

static bool get(span *s, uint64_t *out)
{
    return pp_varint_get(&s->at, s->end, out);
}

static bool get_signed(span *s, int64_t *out)
{
    uint64_t value;
    if (!get(s, &value)) {
        return false;
    }
    *out = pp_unzigzag(value);
    return true;
}

static bool get_i32(span *s, int64_t base, int32_t *out)
{
    int64_t value;
    if (!get_signed(s, &value) || value < INT32_MIN * INT64_C(2) ||
        value > INT32_MAX * INT64_C(2)) {
        return false;
    }
    value += base;
    if (value < PYPROF_UNKNOWN || value > INT32_MAX) {
        return false;
    }
    *out = (int32_t)value;
    return true;
}

static bool get_bytes(span *s, pyprof_text *out)
{
    uint64_t size;
    if (!get(s, &size) || size > (uint64_t)(s->end - s->at)) {
        return false;
    }
    *out = (pyprof_text){.data = (const char *)s->at, .size = size};
    s->at += size;
    return true;
}

/* A number that the file has defined; 0 only where `or_none`. */
static bool get_known(span *s, const pp_numbers *numbers, bool or_none,
                      uint32_t *out)
{
    uint64_t number;
    if (!get(s, &number) || number > numbers->n || (number == 0 && !or_none)) {
        return false;
    }
    *out = number == 0 ? 0 : numbers->of[number - 1];
    return true;
}

/* ---- definitions ------------------------------------------------------- */

/* What a definition answers. */
typedef enum outcome { DONE, BAD, NO_MEMORY } outcome;

static outcome get_text(pyprof_state *p, span *s, pyprof_text *out)
{
    uint64_t number;
    if (!get(s, &number) || number > p->texts.n_entries) {
        return BAD;
    }
    if (number == 0) {
        pyprof_text text;
        if (!get_bytes(s, &text) || p->texts.n_entries >= NUMBERS_MAX) {
            return BAD;
        }
        size_t before = p->texts.n_entries;
        number = pp_intern_put(&p->texts, text.data, (size_t)text.size);
        if (number == 0) {
            return NO_MEMORY;
        }
        if (number <= before) {
            return BAD; /* a text that was there: numbers would go wrong */
        }
    }
    *out = pp_intern_text(&p->texts, (uint32_t)number);
    return DONE;
}

static outcome define_function(const pp_source *source, pyprof_state *p,
                               span *s)
{
    pp_function_key key;
    pyprof_text *texts[] = {&key.qualname, &key.name, &key.file};
    for (size_t i = 0; i < PP_COUNT_OF(texts); i++) {
        outcome got = get_text(p, s, texts[i]);
        if (got != DONE) {
            return got;
        }
    }
    uint64_t kind;
    if (!get_i32(s, 0, &key.first_line) || !get(s, &kind) ||
        kind > PYPROF_FRAME_UNKNOWN || p->functions.n >= NUMBERS_MAX) {
        return BAD;
    }
    key.kind = (int32_t)kind;
    uint32_t number = pp_tables_function(source->tables, &key);
    return number != 0 && pp_numbers_add(source, &p->functions, number)
               ? DONE
               : NO_MEMORY;
}

static outcome define_frame(const pp_source *source, pyprof_state *p, span *s)
{
    pp_position at;
    uint32_t function;
    if (!get_known(s, &p->functions, false, &function) ||
        !get_i32(s, 0, &at.line) || !get_i32(s, at.line, &at.end_line) ||
        !get_i32(s, 0, &at.column) || !get_i32(s, at.column, &at.end_column) ||
        !get_i32(s, 0, &at.opcode) || p->frames.n >= NUMBERS_MAX) {
        return BAD;
    }
    uint32_t number = pp_tables_frame(source->tables, function, &at);
    return number != 0 && pp_numbers_add(source, &p->frames, number)
               ? DONE
               : NO_MEMORY;
}

static outcome define_stacks(const pp_source *source, pyprof_state *p, span *s)
{
    uint32_t stack;
    uint64_t n;
    if (!get_known(s, &p->stacks, true, &stack) || !get(s, &n)) {
        return BAD;
    }
    for (; n > 0; n--) {
        uint32_t frame;
        if (!get_known(s, &p->frames, false, &frame) ||
            p->stacks.n >= NUMBERS_MAX) {
            return BAD;
        }
        stack = pp_tables_stack(source->tables, stack, frame);
        if (stack == 0 || !pp_numbers_add(source, &p->stacks, stack)) {
            return NO_MEMORY;
        }
    }
    return DONE;
}

static outcome define_thread(const pp_source *source, pyprof_state *p, span *s)
{
    uint64_t number;
    uint64_t is_main;
    pyprof_thread thread = {.sz = sizeof(thread)};
    if (!get(s, &number) || number == 0 || number > p->threads.n + 1 ||
        !get_signed(s, &thread.pid) || !get(s, &thread.interpreter) ||
        !get(s, &thread.native_id) || !get(s, &thread.os_id) ||
        !get(s, &thread.python_id) || !get(s, &is_main) || is_main > 1 ||
        !get_bytes(s, &thread.name)) {
        return BAD;
    }
    thread.is_main = (int32_t)is_main;
    if (number <= p->threads.n) {
        return pp_tables_thread_update(source->tables,
                                       p->threads.of[number - 1],
                                       &thread) == PYPROF_OK
                   ? DONE
                   : NO_MEMORY;
    }
    uint32_t made = pp_replay_thread(source->replay, &thread);
    return made != 0 && pp_numbers_add(source, &p->threads, made) ? DONE
                                                                  : NO_MEMORY;
}

static pyprof_status read_definitions(const pp_source *source, span s,
                                      pyprof_error *err)
{
    pyprof_state *p = source->state;
    outcome got = DONE;
    while (s.at < s.end && got == DONE) {
        uint64_t kind = 0;
        (void)get(&s, &kind);
        switch (kind) {
        case PP_DEFINE_FUNCTION:
            got = define_function(source, p, &s);
            break;
        case PP_DEFINE_FRAME:
            got = define_frame(source, p, &s);
            break;
        case PP_DEFINE_STACKS:
            got = define_stacks(source, p, &s);
            break;
        case PP_DEFINE_THREAD:
            got = define_thread(source, p, &s);
            break;
        default:
            got = BAD;
            break;
        }
    }
    return got == DONE ? PYPROF_OK
           : got == NO_MEMORY
               ? pp_source_memory(err)
               : pp_source_corrupt(source, err, "a wrong definition");
}

/* ---- chunks ------------------------------------------------------------ */

static bool read_session(pp_source *source, span s)
{
    pyprof_session *to = &source->session;
    int64_t mode;
    int64_t python;
    if (!get(&s, &to->interval_ns) || !get(&s, &to->start_ns) ||
        !get_signed(&s, &to->start_unix_ns) || !get_signed(&s, &to->pid) ||
        !get_signed(&s, &mode) || !get_signed(&s, &python) ||
        !get(&s, &to->capture) || mode < 0 || mode > INT32_MAX || python < 0 ||
        python > UINT16_MAX) {
        return false;
    }
    to->mode = (int32_t)mode;
    to->python_version = (int32_t)python;
    return true;
}

static bool read_summary(pp_source *source, span s)
{
    pyprof_summary *to = &source->summary;
    uint64_t *fields[] = {&to->duration_ns, &to->rounds, &to->attempted,
                          &to->whole,       &to->torn,   &to->gone,
                          &to->unreadable,  &to->missed};
    for (size_t i = 0; i < PP_COUNT_OF(fields); i++) {
        if (!get(&s, fields[i])) {
            return false;
        }
    }
    source->has_summary = true;
    return true;
}

/* Reads the next chunk and checks it; `*out` is empty at the end. */
static pyprof_status read_payload(pp_source *source, span *out,
                                  pyprof_error *err)
{
    pyprof_state *p = source->state;
    uint64_t size;
    uint64_t crc;
    *out = (span){NULL, NULL};
    if (pp_feed_is_over(&source->feed)) {
        return PYPROF_OK;
    }
    if (!pp_feed_varint(&source->feed, &size) ||
        !pp_feed_fixed(&source->feed, 4, false, &crc)) {
        return pp_source_corrupt(source, err, "the file ends within a chunk");
    }
    if (size == 0 || size > PP_SAVED_CHUNK_MAX) {
        return pp_source_corrupt(source, err,
                                 "a chunk has a size that can't be");
    }
    /* taken piece by piece: a size is believed as far as there are bytes */
    size_t have = 0;
    while (have < size) {
        size_t piece =
            (size_t)size - have < 65536 ? (size_t)size - have : 65536;
        if (!pp_grow(source->allocator, &p->payload, &p->cap_payload, 1,
                     have + piece, 0)) {
            return pp_source_memory(err);
        }
        if (!pp_feed_take(&source->feed, p->payload + have, piece)) {
            return pp_source_corrupt(source, err,
                                     "the file ends within a chunk");
        }
        have += piece;
    }
    if (pp_crc32(0, p->payload, have) != crc) {
        return pp_source_corrupt(source, err,
                                 "the checksum of a chunk is wrong");
    }
    *out = (span){p->payload, p->payload + have};
    return PYPROF_OK;
}

/* Takes a chunk apart. `*out_over`: it was the end. */
static pyprof_status read_chunk(pp_source *source, bool *out_over,
                                pyprof_error *err)
{
    pyprof_state *p = source->state;
    span payload;
    span sections[PP_SECTIONS] = {{NULL, NULL}};
    PP_TRY(read_payload(source, &payload, err));
    *out_over = payload.at == NULL;
    while (payload.at < payload.end) {
        uint64_t tag;
        pyprof_text bytes;
        if (!get(&payload, &tag) || !get_bytes(&payload, &bytes)) {
            return pp_source_corrupt(source, err, "a section ends too late");
        }
        if (tag < PP_SECTIONS) {
            const uint8_t *at = (const uint8_t *)bytes.data;
            sections[tag] = (span){at, at + bytes.size};
        }
    }
    if (sections[PP_SECTION_SESSION].at != NULL) {
        if (p->has_session ||
            !read_session(source, sections[PP_SECTION_SESSION])) {
            return pp_source_corrupt(source, err, "a wrong session");
        }
        p->has_session = true;
    }
    if (sections[PP_SECTION_SUMMARY].at != NULL &&
        !read_summary(source, sections[PP_SECTION_SUMMARY])) {
        return pp_source_corrupt(source, err, "a wrong summary");
    }
    p->rounds = sections[PP_SECTION_ROUNDS];
    p->times = sections[PP_SECTION_TIMES];
    return read_definitions(source, sections[PP_SECTION_DEFINE], err);
}

/* ---- rounds ------------------------------------------------------------ */

static bool get_stack(const pp_source *source, pyprof_state *p, span *s,
                      pyprof_stack_sample *to)
{
    if (!get_known(s, &p->stacks, true, &to->stack)) {
        return false;
    }
    to->depth = pp_tables_depth(source->tables, to->stack);
    return true;
}

static bool get_state(span *s, pyprof_stack_sample *to)
{
    uint64_t state;
    if (!get(s, &state) || (state & 3) > PYPROF_STACK_UNREADABLE) {
        return false;
    }
    to->state = (int32_t)(state & 3);
    to->flags = state >> 2;
    return true;
}

static outcome get_full(const pp_source *source, pyprof_state *p)
{
    uint64_t n;
    /* each takes three bytes at least */
    if (!get(&p->rounds, &n) ||
        n > (uint64_t)(p->rounds.end - p->rounds.at) / 3) {
        return BAD;
    }
    if (!pp_grow(source->allocator, &p->round, &p->cap_round, sizeof(*p->round),
                 (size_t)n, 0)) {
        return NO_MEMORY;
    }
    p->n_round = 0;
    for (size_t i = 0; i < n; i++) {
        pyprof_stack_sample *to = &p->round[i];
        *to = (pyprof_stack_sample){.thread = 0};
        if (!get_known(&p->rounds, &p->threads, true, &to->thread) ||
            !get_stack(source, p, &p->rounds, to) ||
            !get_state(&p->rounds, to)) {
            return BAD;
        }
    }
    p->n_round = (size_t)n;
    return DONE;
}

static bool get_change(const pp_source *source, pyprof_state *p, uint64_t code,
                       size_t *at)
{
    uint64_t gap = code >> 2;
    if (gap >= p->n_round - *at || (code & 3) == 0) {
        return false;
    }
    pyprof_stack_sample *to = &p->round[*at + gap];
    *at += (size_t)gap + 1;
    return ((code & PP_CHANGE_STACK) == 0 ||
            get_stack(source, p, &p->rounds, to)) &&
           ((code & PP_CHANGE_STATE) == 0 || get_state(&p->rounds, to));
}

static bool get_changes(const pp_source *source, pyprof_state *p)
{
    uint64_t n;
    size_t at = 0;
    if (!get(&p->rounds, &n)) {
        return false;
    }
    for (; n > 0; n--) {
        uint64_t code;
        if (!get(&p->rounds, &code) || !get_change(source, p, code, &at)) {
            return false;
        }
    }
    return true;
}

static outcome get_round(const pp_source *source, pyprof_state *p)
{
    uint64_t head;
    size_t at = 0;
    if (!get(&p->rounds, &head)) {
        return BAD;
    }
    if (head == PP_ROUND_COUNT) {
        if (!get(&p->rounds, &p->count) || p->count == 0 ||
            p->count > COUNT_MAX || !get(&p->rounds, &head) ||
            head == PP_ROUND_COUNT) {
            return BAD;
        }
    }
    switch (head) {
    case PP_ROUND_REPEAT:
        if (!get(&p->rounds, &p->repeats) || p->repeats == 0) {
            return BAD;
        }
        p->repeats--;
        return DONE;
    case PP_ROUND_FULL:
        return get_full(source, p);
    case PP_ROUND_CHANGES:
        return get_changes(source, p) ? DONE : BAD;
    default:
        return get_change(source, p, head - PP_ROUND_CHANGE, &at) ? DONE : BAD;
    }
}

/* Shows the round as it is to the driver. */
static pyprof_status show(pp_source *source, pyprof_error *err)
{
    pyprof_state *p = source->state;
    int64_t late;
    int64_t interval_us = (int64_t)(source->session.interval_ns / 1000);
    int64_t us;
    if (!get_signed(&p->times, &late) ||
        __builtin_add_overflow(p->us, interval_us, &us) ||
        __builtin_add_overflow(us, late, &us) || us > INT64_MAX / 4000 ||
        us < INT64_MIN / 4000) {
        return pp_source_corrupt(source, err, "a wrong time");
    }
    if (!pp_grow(source->allocator, &source->stacks, &source->cap_stacks,
                 sizeof(*source->stacks), p->n_round, 0)) {
        return pp_source_memory(err);
    }
    if (p->n_round > 0) {
        memcpy(source->stacks, p->round, p->n_round * sizeof(*p->round));
    }
    p->us = us;
    source->n_stacks = p->n_round;
    source->time_ns = us * 1000;
    source->count = p->count;
    source->has_round = true;
    return PYPROF_OK;
}

static pyprof_status pyprof_next(pp_source *source, pyprof_error *err)
{
    pyprof_state *p = source->state;
    bool is_over = false;
    source->has_round = false;
    while (p->repeats == 0 && p->rounds.at == p->rounds.end && !is_over) {
        PP_TRY(read_chunk(source, &is_over, err));
    }
    if (is_over) {
        return source->has_summary
                   ? PYPROF_OK
                   : pp_source_corrupt(
                         source, err,
                         "the file has no end: what wrote it was stopped");
    }
    if (p->repeats > 0) {
        p->repeats--;
        return show(source, err);
    }
    outcome got = get_round(source, p);
    return got == DONE        ? show(source, err)
           : got == NO_MEMORY ? pp_source_memory(err)
                              : pp_source_corrupt(source, err, "a wrong round");
}

/* ---- life -------------------------------------------------------------- */

static void pyprof_close(pp_source *source)
{
    pyprof_state *p = source->state;
    const pp_allocator *a = source->allocator;
    if (p == NULL) {
        return;
    }
    pp_intern_free(&p->texts);
    pp_free(a, p->payload);
    pp_free(a, p->functions.of);
    pp_free(a, p->frames.of);
    pp_free(a, p->stacks.of);
    pp_free(a, p->threads.of);
    pp_free(a, p->round);
    pp_free(a, p);
}

static pyprof_status pyprof_begin(pp_source *source, pyprof_error *err)
{
    uint8_t head[PP_SAVED_HEAD] = {0};
    bool is_over = false;
    if (pp_input_read(&source->input, 0, head, sizeof(head)) !=
        (int64_t)sizeof(head)) {
        return pp_source_corrupt(source, err, "the file ends within its head");
    }
    if (head[8] != PP_SAVED_VERSION) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "%s: version %u of the format: this library reads "
                            "version %u",
                            source->name, head[8], PP_SAVED_VERSION);
    }
    if (head[9] > PP_SAVED_ZSTD) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "%s: compression %u is not known to this library",
                            source->name, head[9]);
    }
    source->is_packed = head[9] == PP_SAVED_ZSTD;
    pyprof_state *p = pp_calloc(source->allocator, 1, sizeof(*p));
    if (p == NULL) {
        return pp_source_memory(err);
    }
    source->state = p;
    p->count = 1;
    pp_intern_init(&p->texts, source->allocator);
    PP_TRY(pp_feed_open(&source->feed, source->allocator, &source->input,
                        PP_SAVED_HEAD, source->input.size, source->is_packed,
                        err));
    PP_TRY(read_chunk(source, &is_over, err));
    return p->has_session
               ? PYPROF_OK
               : pp_source_corrupt(source, err,
                                   "the file does not begin with a session");
}

const pp_source_ops pp_source_pyprof = {
    .format = "pyprof",
    .open = pyprof_begin,
    .next = pyprof_next,
    .close = pyprof_close,
};
