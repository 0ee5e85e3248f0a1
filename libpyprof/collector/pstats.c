/*
 * pstats: a file for Python's pstats module. In go samples, or calls; out comes
 * one dict in marshal's form, as cProfile and 3.15's profiling.sampling write
 * it. Of calls it is cProfile's, function by function. Of samples:
 *
 *   (file, line, name) -> (cc, nc, tt, ct, callers)
 *
 * with the line that is *executed*, cc the samples in the line itself, nc the
 * samples with it anywhere (once a stack), tt and ct the same as seconds.
 * callers maps the calling lines. Its values are cProfile's (nc, cc, tt, ct),
 * of which pstats of every version and the tools around it print columns. With
 * PYPROF_FORMAT_SAMPLED_MARK they are plain numbers that count each call of a
 * recursion, and the key ("__sampled__",) is there, as in 3.15, which takes the
 * file as one of samples then; older versions can't load that.
 *
 * Invariants:
 * 1. Only what version 2 of marshal has is used, without references: 2.7 to
 *    3.15 load it.
 * 2. The dict is never empty: pstats does not take an empty one.
 * 3. Text loads: marshal reads UTF-8 with surrogates, so bytes that are not
 *    are written as Python itself keeps such bytes, as U+DC80 to U+DCFF.
 */
#include "collector/format.h"

#include <string.h>

typedef struct pstats {
    pp_allocator allocator;
    pp_counts counts;
    pp_calls calls;
    bool has_calls; /* else samples */
    bool has_mark;
} pstats;

/* What the writing of samples works with. */
typedef struct pstats_run {
    pp_sums sums;
    double seconds;
    bool has_mark;
} pstats_run;

/* ---- marshal ----------------------------------------------------------- */

/* All numbers are little-endian, whatever the machine is. */
static void put_u32(pp_line *to, uint32_t value)
{
    char bytes[4];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(value >> 8 * i & 0xff);
    }
    pp_line_add(to, bytes, sizeof(bytes));
}

static void put_tuple(pp_line *to, uint32_t size)
{
    pp_line_add(to, "(", 1);
    put_u32(to, size);
}

static void put_integer(pp_line *to, uint64_t value)
{
    if (value <= INT32_MAX) {
        pp_line_add(to, "i", 1);
        put_u32(to, (uint32_t)value);
        return;
    }
    char digits[2 * 5]; /* of 15 bits, lowest first */
    uint32_t n = 0;
    for (; value != 0; value >>= 15) {
        digits[2 * n] = (char)(value & 0xff);
        digits[2 * n + 1] = (char)(value >> 8 & 0x7f);
        n++;
    }
    pp_line_add(to, "l", 1);
    put_u32(to, n);
    pp_line_add(to, digits, 2 * (size_t)n);
}

static void put_float(pp_line *to, double value)
{
    uint64_t bits;
    char bytes[8];
    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(bits >> 8 * i & 0xff);
    }
    pp_line_add(to, "g", 1);
    pp_line_add(to, bytes, sizeof(bytes));
}

static void put_text(pp_line *to, pyprof_text text)
{
    pp_line_add(to, "u", 1);
    size_t at = to->size;
    put_u32(to, 0); /* the size, once it is known */
    for (uint64_t i = 0; i < text.size;) {
        uint32_t code;
        size_t n =
            pp_text_decode(text.data + i, (size_t)(text.size - i), &code);
        if (code != PP_TEXT_BAD) {
            pp_line_add(to, text.data + i, n);
        } else {
            uint8_t byte = (uint8_t)text.data[i];
            const char escaped[3] = {(char)0xed, (char)(0xb0 | byte >> 6),
                                     (char)(0x80 | (byte & 0x3f))};
            pp_line_add(to, escaped, sizeof(escaped));
        }
        i += n;
    }
    if (!to->is_failed) {
        uint32_t size = (uint32_t)(to->size - at - 4);
        size_t end = to->size;
        to->size = at;
        put_u32(to, size);
        to->size = end;
    }
}

static void put_key(pp_line *to, const pp_row *row)
{
    put_tuple(to, 3);
    put_text(to, row->file);
    put_integer(to, (uint64_t)row->line);
    put_text(to, row->name);
}

/* ---- writing ----------------------------------------------------------- */

static void put_callers(pp_line *to, const pstats_run *run, uint32_t row)
{
    pp_line_add(to, "{", 1);
    const pp_sums *sums = &run->sums;
    for (uint32_t i = sums->of_row[row].first_edge; i != 0;
         i = sums->edges[i - 1].next) {
        const pp_sum_edge *e = &sums->edges[i - 1];
        put_key(to, &sums->rows.rows[e->caller - 1]);
        if (run->has_mark) {
            put_integer(to, e->each);
        } else {
            put_tuple(to, 4);
            put_integer(to, e->once);
            put_integer(to, e->self);
            put_float(to, (double)e->self * run->seconds);
            put_float(to, (double)e->once * run->seconds);
        }
    }
    pp_line_add(to, "0", 1);
}

static void put_row(pp_line *to, const pstats_run *run, uint32_t row)
{
    const pp_sum *sum = &run->sums.of_row[row];
    put_key(to, &run->sums.rows.rows[row - 1]);
    put_tuple(to, 5);
    put_integer(to, sum->self);
    put_integer(to, sum->total);
    put_float(to, (double)sum->self * run->seconds);
    put_float(to, (double)sum->total * run->seconds);
    put_callers(to, run, row);
}

/* What stands for a profile without a sample. */
static void put_nothing(pp_line *to)
{
    const pp_row row = {.file = {"~", 1}, .name = {"<no samples>", 12}};
    put_key(to, &row);
    put_tuple(to, 5);
    put_integer(to, 0);
    put_integer(to, 0);
    put_float(to, 0);
    put_float(to, 0);
    pp_line_text(to, "{0");
}

static pyprof_status write_dict(const pstats_run *run, pp_line *piece,
                                pyprof_writer *w, pyprof_error *err)
{
    pp_line_text(piece, "{");
    uint32_t n_written = 0;
    for (uint32_t row = 1; row <= run->sums.rows.n; row++) {
        if (run->sums.of_row[row].total != 0) {
            put_row(piece, run, row);
            PP_TRY(pp_line_write(piece, w, err));
            pp_line_clear(piece);
            n_written++;
        }
    }
    if (run->has_mark) {
        put_tuple(piece, 1);
        put_text(piece, (pyprof_text){.data = "__sampled__", .size = 11});
        pp_line_text(piece, "T");
    } else if (n_written == 0) {
        put_nothing(piece);
    }
    pp_line_text(piece, "0");
    return pp_line_write(piece, w, err);
}

/* ---- calls ------------------------------------------------------------- */

static void put_call_key(pp_line *to, const pp_call_row *row)
{
    const pp_row key = {
        .file = row->file, .name = row->name, .line = row->line};
    put_key(to, &key);
}

static void put_call_row(pp_line *to, const pp_calls *calls,
                         const pp_call_row *row)
{
    put_call_key(to, row);
    put_tuple(to, 5);
    put_integer(to, row->primitive);
    put_integer(to, row->calls);
    put_float(to, row->own);
    put_float(to, row->total);
    pp_line_add(to, "{", 1);
    for (uint32_t i = row->first_edge; i != 0; i = calls->edges[i - 1].next) {
        const pp_call_edge *e = &calls->edges[i - 1];
        put_call_key(to, &calls->rows[e->caller]);
        put_tuple(to, 4);
        put_integer(to, e->calls);
        put_integer(to, e->primitive);
        put_float(to, e->own);
        put_float(to, e->total);
    }
    pp_line_add(to, "0", 1);
}

static pyprof_status write_calls(const pp_calls *calls, pp_line *piece,
                                 pyprof_writer *w, pyprof_error *err)
{
    pp_line_text(piece, "{");
    for (size_t i = 0; i < calls->n_rows; i++) {
        put_call_row(piece, calls, &calls->rows[i]);
        PP_TRY(pp_line_write(piece, w, err));
        pp_line_clear(piece);
    }
    if (calls->n_rows == 0) {
        put_nothing(piece);
    }
    pp_line_text(piece, "0");
    return pp_line_write(piece, w, err);
}

/* ---- slots ------------------------------------------------------------- */

static pyprof_status pstats_begin(void *self, const pyprof_session *session,
                                  pyprof_error *err)
{
    pstats *p = self;
    PP_UNUSED(err);
    pp_counts_begin(&p->counts, session);
    p->has_calls = false;
    return PYPROF_OK;
}

static pyprof_status pstats_calls(void *self, const pyprof_calls *calls,
                                  pyprof_error *err)
{
    pstats *p = self;
    p->has_calls = true;
    return pp_calls_make(&p->calls, calls, err);
}

static pyprof_status pstats_sample(void *self, const pyprof_sample *sample,
                                   pyprof_error *err)
{
    pstats *p = self;
    return pp_counts_add(&p->counts, sample, err);
}

static pyprof_status write_samples(const pstats *p,
                                   const pyprof_summary *summary,
                                   pp_line *piece, pyprof_writer *writer,
                                   pyprof_error *err)
{
    pstats_run run = {
        .seconds = pp_counts_seconds(&p->counts, summary),
        .has_mark = p->has_mark,
    };
    pyprof_status status = pp_sums_make(&run.sums, &p->allocator, &p->counts,
                                        PP_ROWS_BY_LINE, err);
    if (status == PYPROF_OK) {
        status = write_dict(&run, piece, writer, err);
    }
    pp_sums_free(&run.sums);
    return status;
}

static pyprof_status pstats_finish(void *self, const pyprof_summary *summary,
                                   pyprof_writer *writer, pyprof_error *err)
{
    const pstats *p = self;
    pp_line piece;
    pp_line_init(&piece, &p->allocator);
    pyprof_status status = p->has_calls
                               ? write_calls(&p->calls, &piece, writer, err)
                               : write_samples(p, summary, &piece, writer, err);
    pp_line_free(&piece);
    return status;
}

static void pstats_free(void *self)
{
    pstats *p = self;
    pp_counts_free(&p->counts);
    pp_calls_free(&p->calls);
}

static void pstats_init(void *self, const pyprof_format_opts *opts)
{
    pstats *p = self;
    pp_counts_init(&p->counts, &p->allocator);
    pp_calls_init(&p->calls, &p->allocator);
    p->has_mark = (opts->flags & PYPROF_FORMAT_SAMPLED_MARK) != 0;
}

const pp_format pp_format_pstats = {
    .ops = {.begin = pstats_begin,
            .sample = pstats_sample,
            .finish = pstats_finish,
            .free = pstats_free,
            .calls = pstats_calls},
    .size = sizeof(pstats),
    .init = pstats_init,
};
