/*
 * From records to interned frames and stacks.
 *
 * In: records, in order. Out: a sample whose numbers are in the tables.
 *
 * 1. Text and line tables are decoded once for each code object; a place in it
 *    becomes a frame number once, then a look-up in an array.
 * 2. Of a stack that begins like the last one of its thread only the rest is
 *    looked up.
 * 3. It needs no memory of the target, and knows no addresses.
 */
#include "unwind/internal.h"

enum {
    UNIT = 2,          /* bytes of an instruction */
    MAX_UNITS = 65536, /* code objects with more use a map */
    MAX_RANGES = 1 << 20,
    OFFSET_UNKNOWN = (UINT32_MAX >> 2) - 1
};

/* What is known of one entry of the code cache. */
typedef struct known_code {
    uint32_t function;
    pp_code_blob *blob; /* for its line table; freed when it was decoded */
    pp_line_range *ranges;
    size_t n_ranges;
    uint32_t *frames; /* by unit; 0: not looked up yet */
    uint32_t n_units;
    uint32_t unknown_frame; /* of this function, without a line */
    bool hidden;
    pp_map by_unit; /* instead of `frames` for long code */
} known_code;

/* What was last told of one thread. */
typedef struct known_thread {
    uint32_t number;
    uint32_t *stacks; /* stacks[k] ends with the k-th frame from the root */
    size_t n, cap;
    pyprof_stack_sample last;
    bool truncated;
} known_thread;

struct pp_decoder {
    pp_allocator allocator;
    const pp_layout *layout;
    pyprof_tables *tables;
    pp_decoder_ops ops;
    known_code *codes;
    size_t n_codes, cap_codes;
    known_thread *threads;
    size_t n_threads, cap_threads;
    pyprof_stack_sample *samples;
    size_t cap_samples;
    pp_line_range *ranges; /* room to decode one line table */
    size_t cap_ranges;
    uint64_t bytes;
};

pyprof_status pp_decoder_new(const pp_allocator *allocator,
                             const pp_layout *layout, pyprof_tables *tables,
                             const pp_decoder_ops *ops, pp_decoder **out,
                             pyprof_error *err)
{
    pp_decoder *d = pp_calloc(allocator, 1, sizeof(*d));
    if (d == NULL) {
        return pp_error_memory(err, "the decoder");
    }
    PP_TRY(pp_alloc_init(&d->allocator, allocator, err));
    d->layout = layout;
    d->tables = pp_tables_ref(tables);
    if (ops != NULL) {
        d->ops = *ops;
    }
    *out = d;
    return PYPROF_OK;
}

static void forget_code(pp_decoder *d, known_code *code)
{
    pp_free(&d->allocator, code->blob);
    pp_free(&d->allocator, code->ranges);
    pp_free(&d->allocator, code->frames);
    if (code->n_units > MAX_UNITS) {
        pp_map_free(&code->by_unit);
    } else {
        d->bytes -= code->n_units * sizeof(uint32_t);
    }
    d->bytes -= code->n_ranges * sizeof(pp_line_range);
    memset(code, 0, sizeof(*code));
}

void pp_decoder_free(pp_decoder *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->n_codes; i++) {
        forget_code(d, &d->codes[i]);
    }
    for (size_t i = 0; i < d->n_threads; i++) {
        pp_free(&d->allocator, d->threads[i].stacks);
    }
    pp_free(&d->allocator, d->codes);
    pp_free(&d->allocator, d->threads);
    pp_free(&d->allocator, d->samples);
    pp_free(&d->allocator, d->ranges);
    pp_tables_unref(d->tables);
    pp_allocator allocator = d->allocator;
    pp_free(&allocator, d);
}

/* ---- code objects
 * ------------------------------------------------------------ */

static pyprof_status take_code(pp_decoder *d, const pp_record_code *told)
{
    size_t entry = (size_t)told->entry;
    pp_code_blob *blob = told->blob;
    size_t had = d->cap_codes;
    if (!pp_grow(&d->allocator, (void **)&d->codes, &d->cap_codes,
                 sizeof(known_code), entry + 1, 0)) {
        pp_free(&d->allocator, blob);
        return PYPROF_ERR_NO_MEMORY;
    }
    if (d->cap_codes > had) {
        memset(d->codes + had, 0, (d->cap_codes - had) * sizeof(known_code));
    }
    if (entry >= d->n_codes) {
        d->n_codes = entry + 1;
    }
    known_code *code = &d->codes[entry];
    forget_code(d, code);
    const char *text = (const char *)blob->bytes;
    pp_function_key key = {
        .qualname = {text, blob->qualname_size},
        .name = {text + blob->qualname_size + 1, blob->name_size},
        .file = {text + blob->qualname_size + blob->name_size + 2,
                 blob->file_size},
        .first_line = blob->first_line,
        .kind = PYPROF_FRAME_PYTHON,
    };
    code->blob = blob;
    code->hidden = blob->hidden;
    code->n_units = blob->code_size / UNIT;
    code->function = pp_tables_function(d->tables, &key);
    if (code->n_units > MAX_UNITS) {
        pp_map_init(&code->by_unit, &d->allocator);
    } else {
        code->frames =
            pp_calloc(&d->allocator, code->n_units + 1u, sizeof(uint32_t));
        d->bytes += code->n_units * sizeof(uint32_t);
    }
    return code->function == 0 ||
                   (code->frames == NULL && code->n_units <= MAX_UNITS)
               ? PYPROF_ERR_NO_MEMORY
               : PYPROF_OK;
}

/* Decodes the line table when its first line is asked for. */
static pyprof_status decode_lines(pp_decoder *d, known_code *code)
{
    const pp_code_blob *blob = code->blob;
    const uint8_t *table = blob->bytes + blob->qualname_size + blob->name_size +
                           blob->file_size + 3;
    /* An entry of any kind of table is at least one byte; 3.8's may also be
     * followed by one range that reaches to the end. */
    size_t most = (size_t)blob->lines_size + 2;
    size_t n = 0;
    if (!pp_grow(&d->allocator, (void **)&d->ranges, &d->cap_ranges,
                 sizeof(pp_line_range), most, MAX_RANGES + 2)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    pp_lines_decode(d->layout->line_kind, table, blob->lines_size,
                    blob->first_line, blob->code_size, d->ranges, most, &n);
    if (n > 0) {
        code->ranges = pp_alloc(&d->allocator, n * sizeof(pp_line_range));
        if (code->ranges == NULL) {
            return PYPROF_ERR_NO_MEMORY;
        }
        memcpy(code->ranges, d->ranges, n * sizeof(pp_line_range));
        d->bytes += n * sizeof(pp_line_range);
    }
    code->n_ranges = n;
    pp_free(&d->allocator, code->blob);
    code->blob = NULL;
    return PYPROF_OK;
}

static uint32_t new_frame(pp_decoder *d, known_code *code, uint32_t offset)
{
    pp_position position = PP_POSITION_UNKNOWN;
    if (code->blob != NULL && decode_lines(d, code) != PYPROF_OK) {
        return 0;
    }
    const pp_line_range *range =
        pp_lines_find(code->ranges, code->n_ranges, offset);
    if (range != NULL) {
        position.line = range->line;
        position.end_line = range->end_line;
        position.column = range->column;
        position.end_column = range->end_column;
    }
    return pp_tables_frame(d->tables, code->function, &position);
}

static uint32_t frame_of(pp_decoder *d, const pp_record_frame *told)
{
    if ((told->offset_kind & 3) == PP_RAW_TRUNCATED) {
        return pp_tables_synthetic(d->tables, PYPROF_FRAME_TRUNCATED);
    }
    if (told->entry >= d->n_codes || d->codes[told->entry].function == 0) {
        return pp_tables_synthetic(d->tables, PYPROF_FRAME_UNKNOWN);
    }
    known_code *code = &d->codes[told->entry];
    uint32_t offset = told->offset_kind >> 2;
    uint32_t unit = offset / UNIT;
    if (offset == OFFSET_UNKNOWN || unit >= code->n_units) {
        if (code->unknown_frame == 0) {
            pp_position unknown = PP_POSITION_UNKNOWN;
            code->unknown_frame =
                pp_tables_frame(d->tables, code->function, &unknown);
        }
        return code->unknown_frame;
    }
    if (PP_LIKELY(code->frames != NULL)) {
        if (PP_UNLIKELY(code->frames[unit] == 0)) {
            code->frames[unit] = new_frame(d, code, offset);
        }
        return code->frames[unit];
    }
    uint64_t *kept = pp_map_put(&code->by_unit, unit, NULL);
    if (kept == NULL) {
        return 0;
    }
    if (*kept == 0) {
        *kept = new_frame(d, code, offset);
    }
    return (uint32_t)*kept;
}

/* ---- threads and stacks
 * -------------------------------------------------------- */

static pyprof_status take_thread(pp_decoder *d, const pp_record_thread *told)
{
    size_t had = d->cap_threads;
    if (!pp_grow(&d->allocator, (void **)&d->threads, &d->cap_threads,
                 sizeof(known_thread), (size_t)told->slot + 1, 0)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    if (d->cap_threads > had) {
        memset(d->threads + had, 0,
               (d->cap_threads - had) * sizeof(known_thread));
    }
    if (told->slot >= d->n_threads) {
        d->n_threads = (size_t)told->slot + 1;
    }
    pyprof_thread thread = {
        .sz = sizeof(thread),
        .interpreter = told->interpreter,
        .native_id = told->native_id,
        .python_id = told->python_id,
        .is_main = told->main != 0,
        .name = {"", 0},
    };
    if (d->ops.describe != NULL) {
        d->ops.describe(d->ops.user, &thread);
    }
    known_thread *known = &d->threads[told->slot];
    known->number = pp_tables_thread_new(d->tables, &thread);
    known->n = 0;
    known->truncated = false;
    known->last = (pyprof_stack_sample){.thread = known->number};
    return known->number != 0 ? PYPROF_OK : PYPROF_ERR_NO_MEMORY;
}

static bool is_hidden(const pp_decoder *d, const pp_record_frame *told)
{
    return told->entry < d->n_codes && d->codes[told->entry].hidden;
}

static pyprof_status put_stack(pp_decoder *d, known_thread *thread,
                               const pp_record_stack *told,
                               const pp_record_frame *frames)
{
    uint32_t keep = told->keep;
    if (keep > thread->n) {
        keep = (uint32_t)thread->n;
    }
    if (!pp_grow(&d->allocator, (void **)&thread->stacks, &thread->cap,
                 sizeof(uint32_t), (size_t)keep + told->n_new, 0)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    uint32_t stack = keep > 0 ? thread->stacks[keep - 1] : 0;
    for (uint32_t i = 0; i < told->n_new; i++) {
        if (!is_hidden(d, &frames[i])) {
            uint32_t frame = frame_of(d, &frames[i]);
            stack = frame != 0 ? pp_tables_stack(d->tables, stack, frame) : 0;
            if (stack == 0) {
                return PYPROF_ERR_NO_MEMORY;
            }
        }
        thread->stacks[keep + i] = stack;
    }
    thread->n = (size_t)keep + told->n_new;
    if (keep == 0) {
        thread->truncated =
            told->n_new > 0 && (frames[0].offset_kind & 3) == PP_RAW_TRUNCATED;
    }
    if (told->state == PYPROF_STACK_TORN) {
        stack =
            pp_tables_stack(d->tables, stack,
                            pp_tables_synthetic(d->tables, PYPROF_FRAME_TORN));
        if (stack == 0) {
            return PYPROF_ERR_NO_MEMORY;
        }
    }
    thread->last.stack = stack;
    thread->last.depth = pp_tables_depth(d->tables, stack);
    return PYPROF_OK;
}

static void count_stack(const known_thread *thread, pp_decoded *out)
{
    switch (thread->last.state) {
    case PYPROF_STACK_WHOLE:
        out->whole++;
        out->idle += thread->last.stack == 0;
        out->truncated += thread->truncated;
        break;
    case PYPROF_STACK_TORN:
        out->torn++;
        break;
    default:
        out->unreadable++;
        break;
    }
}

pyprof_status pp_decoder_take(pp_decoder *d, const void *data, pp_decoded *out,
                              pyprof_error *err)
{
    const pp_record *record = data;
    const pp_record_code *codes = (const pp_record_code *)(record + 1);
    const pp_record_thread *threads =
        (const pp_record_thread *)(codes + record->n_codes);
    const pp_record_stack *stacks =
        (const pp_record_stack *)(threads + record->n_threads);
    const pp_record_frame *frames =
        (const pp_record_frame *)(stacks + record->n_stacks);
    pyprof_status status = PYPROF_OK;
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < record->n_codes; i++) {
        pyprof_status taken = take_code(d, &codes[i]);
        status = taken != PYPROF_OK ? taken : status;
    }
    for (uint32_t i = 0; i < record->n_threads && status == PYPROF_OK; i++) {
        status = take_thread(d, &threads[i]);
    }
    if (status == PYPROF_OK &&
        !pp_grow(&d->allocator, (void **)&d->samples, &d->cap_samples,
                 sizeof(pyprof_stack_sample), record->n_stacks, 0)) {
        status = PYPROF_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < record->n_stacks && status == PYPROF_OK; i++) {
        known_thread *thread = &d->threads[stacks[i].slot];
        if (stacks[i].keep != UINT32_MAX) {
            status = put_stack(d, thread, &stacks[i], frames);
            frames += stacks[i].n_new;
        }
        thread->last.state = stacks[i].state;
        thread->last.flags = stacks[i].flags;
        d->samples[i] = thread->last;
        count_stack(thread, out);
    }
    if (status != PYPROF_OK) {
        return pp_error_memory(err, "names and stacks");
    }
    out->sample = (pyprof_sample){
        .sz = sizeof(pyprof_sample),
        .time_ns = record->time_ns,
        .count = 1,
        .stacks = d->samples,
        .n_stacks = record->n_stacks,
        .tables = d->tables,
    };
    return PYPROF_OK;
}

void pp_decoder_drop(pp_decoder *d, const void *data)
{
    const pp_record *record = data;
    const pp_record_code *codes = (const pp_record_code *)(record + 1);
    for (uint32_t i = 0; i < record->n_codes; i++) {
        pp_free(&d->allocator, codes[i].blob);
    }
}

uint64_t pp_decoder_bytes(const pp_decoder *d)
{
    return d->bytes + d->cap_codes * sizeof(known_code) +
           d->cap_threads * sizeof(known_thread) +
           d->cap_ranges * sizeof(pp_line_range);
}
