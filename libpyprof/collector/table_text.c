/*
 * table_text: a table of functions as lines of text. In go numbers, out come
 * columns that align and, where names allow, fit 80 characters.
 *
 * What a reader must know to read a number stands above the table, once: what
 * the percents are of, what unit times have, how many stacks are not whole.
 */
#include "collector/table.h"

#include <string.h>

#define TOP 3        /* rows of each list of the summary */
#define PARTS_MAX 16 /* components of a path that are tried */
#define HOT 20.0     /* percent of stacks from which a row is hot, */
#define WARM 5.0     /* and warm */

/* A unit of time, by the longest time of the table. */
typedef struct unit {
    const char *name;
    double seconds;
} unit;

/* What the writing works with. */
typedef struct printer {
    const pp_table *t;
    pyprof_writer *w;
    pyprof_error *err;
    pp_line line;
    unit unit;
    int width_samples; /* of columns */
    int width_time;
    unsigned *parts; /* by row: components of its file's path to show */
} printer;

/* ---- colours ----------------------------------------------------------- */

static const char *const bold = "\x1b[1m";
static const char *const dim = "\x1b[2m";
static const char *const red = "\x1b[31m";
static const char *const yellow = "\x1b[33m";
static const char *const cyan = "\x1b[36m";
static const char *const plain = "\x1b[0m";

static const char *colour(const printer *p, const char *code)
{
    return (p->t->flags & PYPROF_FORMAT_COLOR) != 0 ? code : "";
}

/* Hot and warm rows stand out; `share` is a percent. */
static const char *heat(const printer *p, double share)
{
    return colour(p, share >= HOT ? red : share >= WARM ? yellow : "");
}

static const char *cool(const printer *p, double share)
{
    return share >= WARM ? colour(p, plain) : "";
}

static double percent(const printer *p, uint64_t part)
{
    return 100.0 * (double)part / (double)p->t->counts->stacks;
}

/* ---- names ------------------------------------------------------------- */

/* Marks rows whose file looks like another's when `parts` components of the
 * path are shown; they get one more. */
static bool split_names(printer *p, unsigned parts, bool *out_is_clear)
{
    const pp_table *t = p->t;
    pp_intern tails;
    pp_map file_of; /* tail -> the first file's text address, 0: several */
    pp_intern_init(&tails, t->allocator);
    pp_map_init(&file_of, t->allocator);
    bool is_done = true;
    *out_is_clear = true;
    for (int pass = 0; pass < 2 && is_done; pass++) {
        for (size_t i = 0; i < t->n && is_done; i++) {
            uint32_t number = t->order[i];
            const pp_row *row = &t->rows.rows[number - 1];
            if (p->parts[number] != parts) {
                continue;
            }
            pyprof_text tail = pp_path_tail(row->file, parts);
            uint32_t id = pp_intern_put(&tails, tail.data, (size_t)tail.size);
            bool is_new = false;
            uint64_t *file = id == 0 ? NULL : pp_map_put(&file_of, id, &is_new);
            is_done = file != NULL;
            uint64_t address = (uint64_t)(uintptr_t)row->file.data;
            if (is_done && pass == 0) {
                *file = is_new || *file == address ? address : 0;
            } else if (is_done && *file == 0 && tail.size < row->file.size) {
                p->parts[number] = parts + 1;
                *out_is_clear = false;
            }
        }
    }
    pp_intern_free(&tails);
    pp_map_free(&file_of);
    return is_done;
}

/* Chooses how much of each path is shown: the last component, more where that
 * stands for several files, and for those whose last one says nothing. */
static bool choose_names(printer *p)
{
    const pp_table *t = p->t;
    p->parts = pp_calloc(t->allocator, t->rows.n + 1, sizeof(*p->parts));
    if (p->parts == NULL) {
        return false;
    }
    for (uint32_t number = 1; number <= t->rows.n; number++) {
        pyprof_text tail = pp_path_tail(t->rows.rows[number - 1].file, 1);
        bool says_nothing =
            pp_text_is(tail, "__init__.py") || pp_text_is(tail, "__main__.py");
        p->parts[number] = says_nothing ? 2 : 1;
    }
    for (unsigned parts = 1; parts <= PARTS_MAX; parts++) {
        bool is_clear;
        if (!split_names(p, parts, &is_clear)) {
            return false;
        }
        if (is_clear && parts > 1) {
            break; /* no row has more */
        }
    }
    return true;
}

static void add_name(printer *p, uint32_t number)
{
    const pp_row *row = &p->t->rows.rows[number - 1];
    pp_line *line = &p->line;
    if (pp_text_is(row->file, "~") || pp_text_is(row->file, "<task>")) {
        pp_line_text(line, colour(p, cyan));
        if (pp_text_is(row->file, "<task>")) {
            pp_line_text(line, "<task> ");
        }
        pp_line_clean(line, row->name, '\0', '\0');
        pp_line_text(line, colour(p, plain));
        return;
    }
    pp_line_text(line, colour(p, dim));
    pp_line_clean(line, pp_path_tail(row->file, p->parts[number]), '\0', '\0');
    if (row->line > 0) {
        pp_line_text(line, ":");
        pp_line_number(line, (uint64_t)row->line);
    }
    pp_line_text(line, colour(p, plain));
    pp_line_text(line, "(");
    pp_line_text(line, colour(p, cyan));
    pp_line_clean(line, row->name, '\0', '\0');
    pp_line_text(line, colour(p, plain));
    pp_line_text(line, ")");
}

/* The rest of a row: the name, and the hottest line where the row has a part in
 * the whole. */
static pyprof_status put_name(printer *p, uint32_t number)
{
    const pp_table_row *sum = &p->t->sums[number];
    pp_line_clear(&p->line);
    add_name(p, number);
    if (sum->n_lines > 1 && sum->line > 0 && percent(p, sum->total) >= WARM) {
        double share = 100.0 * (double)sum->line_total / (double)sum->total;
        pp_line_text(&p->line, ", ");
        pp_line_number(&p->line, (uint64_t)(share + 0.5));
        pp_line_text(&p->line, "% in line ");
        pp_line_number(&p->line, (uint64_t)sum->line);
    }
    pp_line_text(&p->line, "\n");
    return pp_line_write(&p->line, p->w, p->err);
}

/* ---- the head ---------------------------------------------------------- */

static unit unit_for(double longest)
{
    static const unit units[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}};
    size_t i = 0;
    while (i + 1 < PP_COUNT_OF(units) && longest < units[i].seconds) {
        i++;
    }
    return units[i];
}

static int digits_of(uint64_t number)
{
    int n = 1;
    while (number >= 10) {
        number /= 10;
        n++;
    }
    return n;
}

static void choose_widths(printer *p)
{
    const pp_table *t = p->t;
    uint64_t longest = 0;
    p->width_samples = 8;
    for (size_t i = 0; i < t->n; i++) {
        const pp_table_row *sum = &t->sums[t->order[i]];
        longest = sum->total > longest ? sum->total : longest;
        int width = digits_of(sum->self) + 1 + digits_of(sum->total);
        if (i < t->n_shown && width > p->width_samples) {
            p->width_samples = width;
        }
    }
    double seconds = (double)longest * t->seconds;
    p->unit = unit_for(seconds);
    double shown = seconds / p->unit.seconds;
    int width = (shown < 1e18 ? digits_of((uint64_t)shown) : 20) + 4;
    p->width_time = width > 7 ? width : 7;
}

/* What is in the samples besides whole stacks. */
static pyprof_status put_others(const printer *p)
{
    const pp_counts *counts = p->t->counts;
    if (counts->torn > 0) {
        PP_TRY(pp_writer_printf(
            p->w, p->err,
            "%llu of them torn: only the callers are sure, <torn> stands for "
            "the rest.\n",
            (unsigned long long)counts->torn));
    }
    if (counts->empty > 0 && counts->unreadable > 0) {
        return pp_writer_printf(
            p->w, p->err,
            "Not counted: %llu without a Python frame, %llu unreadable.\n",
            (unsigned long long)counts->empty,
            (unsigned long long)counts->unreadable);
    }
    if (counts->empty > 0) {
        return pp_writer_printf(p->w, p->err,
                                "Not counted: %llu without a Python frame.\n",
                                (unsigned long long)counts->empty);
    }
    if (counts->unreadable > 0) {
        return pp_writer_printf(p->w, p->err, "Not counted: %llu unreadable.\n",
                                (unsigned long long)counts->unreadable);
    }
    return PYPROF_OK;
}

static pyprof_status put_head(const printer *p)
{
    const pp_table *t = p->t;
    unsigned long long n = t->counts->stacks;
    unit each = unit_for(t->seconds);
    PP_TRY(pp_writer_printf(
        p->w, p->err,
        "%sProfile Stats:%s %llu stack%s in %.2f s, each standing for %.3f "
        "%s.\n",
        colour(p, bold), colour(p, plain), n, n == 1 ? "" : "s",
        (double)t->summary->duration_ns / 1e9, t->seconds / each.seconds,
        each.name));
    PP_TRY(put_others(p));
    PP_TRY(pp_writer_printf(p->w, p->err,
                            "nsamples is direct/cumulative, percents are of "
                            "%llu stack%s, times in %s.\n\n",
                            n, n == 1 ? "" : "s", p->unit.name));
    return pp_writer_printf(p->w, p->err,
                            "%s%*s  sample%%  %*s  cumul%%  %*s  "
                            "filename:lineno(function)%s\n",
                            colour(p, bold), p->width_samples, "nsamples",
                            p->width_time, "tottime", p->width_time, "cumtime",
                            colour(p, plain));
}

/* ---- rows -------------------------------------------------------------- */

static double time_of(const printer *p, uint64_t samples)
{
    return (double)samples * p->t->seconds / p->unit.seconds;
}

static pyprof_status put_row(printer *p, uint32_t number)
{
    const pp_table_row *sum = &p->t->sums[number];
    double self = percent(p, sum->self);
    double total = percent(p, sum->total);
    int pad =
        p->width_samples - digits_of(sum->self) - 1 - digits_of(sum->total);
    PP_TRY(pp_writer_printf(
        p->w, p->err, "%*s%llu/%llu  %s%7.1f%s  %*.3f  %6.1f  %*.3f  ", pad, "",
        (unsigned long long)sum->self, (unsigned long long)sum->total,
        heat(p, self), self, cool(p, self), p->width_time,
        time_of(p, sum->self), total, p->width_time, time_of(p, sum->total)));
    return put_name(p, number);
}

static pyprof_status put_rows(printer *p)
{
    const pp_table *t = p->t;
    for (size_t i = 0; i < t->n_shown; i++) {
        PP_TRY(put_row(p, t->order[i]));
    }
    if (t->n_shown < t->n) {
        size_t more = t->n - t->n_shown;
        PP_TRY(pp_writer_printf(p->w, p->err, "... and %zu more function%s.\n",
                                more, more == 1 ? "" : "s"));
    }
    return PYPROF_OK;
}

/* ---- summary ----------------------------------------------------------- */

/* One list: what it is called, what its rows are ordered by and what is shown
 * of them. An order of 0 or less: not in it. */
typedef struct top_list {
    const char *title;
    double (*order)(const pp_table_row *sum);
    double (*shown)(const pp_table_row *sum);
    const char *format;
} top_list;

static double own_share(const pp_table_row *sum)
{
    return (double)sum->self / (double)sum->total;
}

/* Whoever has one sample, its own, has the highest share: the share decides who
 * is in, the samples who is first. */
static double hot_samples(const pp_table_row *sum)
{
    return own_share(sum) >= 0.5 ? (double)sum->self : 0;
}

static double below(const pp_table_row *sum)
{
    return (double)(sum->total - sum->self);
}

static double magnification(const pp_table_row *sum)
{
    return sum->self == 0 || sum->total / sum->self < 2
               ? 0
               : (double)sum->total / (double)sum->self;
}

static const top_list lists[] = {
    {"Hot spots (direct/cumulative samples, most direct ones first):",
     hot_samples, own_share, "  %8.3f  "},
    {"Indirect calls (cumulative - direct samples):", below, below,
     "  %8.0f  "},
    {"Call magnification (cumulative/direct samples):", magnification,
     magnification, "  %8.1f  "},
};

static bool is_function(const pp_table *t, uint32_t number)
{
    int32_t kind = t->rows.rows[number - 1].kind;
    return kind == PYPROF_FRAME_PYTHON || kind == PYPROF_FRAME_GC;
}

/* The best rows of a list. A function with few samples has extreme ratios by
 * chance: it takes 1 % of the stacks to be in a list. */
static size_t find_top(const printer *p, const top_list *list,
                       uint32_t top[TOP])
{
    const pp_table *t = p->t;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t number = t->order[i];
        const pp_table_row *sum = &t->sums[number];
        double score = list->order(sum);
        if (score <= 0 || percent(p, sum->total) < 1 ||
            !is_function(t, number)) {
            continue;
        }
        size_t at = n;
        while (at > 0) {
            const pp_table_row *before = &t->sums[top[at - 1]];
            double other = list->order(before);
            if (other > score ||
                (other >= score && before->total >= sum->total)) {
                break;
            }
            at--;
        }
        if (at < TOP) {
            size_t last = n < TOP ? n++ : TOP - 1;
            memmove(&top[at + 1], &top[at], (last - at) * sizeof(top[0]));
            top[at] = number;
        }
    }
    return n;
}

static pyprof_status put_list(printer *p, const top_list *list)
{
    uint32_t top[TOP];
    size_t n = find_top(p, list, top);
    if (n == 0) {
        return PYPROF_OK;
    }
    PP_TRY(pp_writer_printf(p->w, p->err, "\n%s\n", list->title));
    for (size_t i = 0; i < n; i++) {
        const pp_table_row *sum = &p->t->sums[top[i]];
        PP_TRY(pp_writer_printf(p->w, p->err, list->format, list->shown(sum)));
        pp_line_clear(&p->line);
        add_name(p, top[i]);
        pp_line_text(&p->line, "\n");
        PP_TRY(pp_line_write(&p->line, p->w, p->err));
    }
    return PYPROF_OK;
}

static pyprof_status put_summary(printer *p)
{
    PP_TRY(pp_writer_printf(p->w, p->err,
                            "\n%sSummary of Interesting Functions%s\n",
                            colour(p, bold), colour(p, plain)));
    for (size_t i = 0; i < PP_COUNT_OF(lists); i++) {
        PP_TRY(put_list(p, &lists[i]));
    }
    return PYPROF_OK;
}

/* ---- all --------------------------------------------------------------- */

static pyprof_status put_nothing(printer *p)
{
    PP_TRY(pp_writer_printf(p->w, p->err, "No samples were collected.\n"));
    return put_others(p);
}

static pyprof_status put_table(printer *p)
{
    if (!choose_names(p)) {
        return pp_error_memory(p->err, "names of functions");
    }
    choose_widths(p);
    PP_TRY(put_head(p));
    PP_TRY(put_rows(p));
    if ((p->t->flags & PYPROF_FORMAT_NO_SUMMARY) != 0) {
        return PYPROF_OK;
    }
    return put_summary(p);
}

pyprof_status pp_table_write(const pp_table *table, pyprof_writer *w,
                             pyprof_error *err)
{
    printer p = {.t = table, .w = w, .err = err};
    pp_line_init(&p.line, table->allocator);
    pyprof_status status =
        table->counts->stacks == 0 ? put_nothing(&p) : put_table(&p);
    pp_line_free(&p.line);
    pp_free(table->allocator, p.parts);
    return status;
}
