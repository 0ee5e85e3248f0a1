/*
 * option_rows.c: the options, one row each. Output formats are rows that the
 * library gives (pyprof_format), so a new format has its option by itself.
 */
#include "options.h"

#include <string.h>

/* ---- what each option does ------------------------------------------------
 */

static const char *set_rate(settings *s, const option_row *row,
                            const char *value)
{
    (void)row;
    s->rate_given = true;
    return parse_rate(value, &s->sampler.interval_ns);
}

static const char *set_interval(settings *s, const option_row *row,
                                const char *value)
{
    (void)row;
    s->interval_given = true;
    return parse_micros(value, &s->sampler.interval_ns);
}

static const char *set_duration(settings *s, const option_row *row,
                                const char *value)
{
    (void)row;
    return parse_seconds(value, &s->sampler.duration_ns);
}

static const char *set_flag(settings *s, const option_row *row,
                            const char *value)
{
    (void)value;
    s->sampler.flags |= row->flag;
    return NULL;
}

static const char *set_placement(settings *s, const option_row *row,
                                 const char *value)
{
    static const char *const words[] = {"auto", "target", "free"};
    (void)row;
    for (int32_t i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) == 0) {
            s->sampler.placement = i;
            return NULL;
        }
    }
    return "not one of auto, target, free";
}

static const char *set_thread(settings *s, const option_row *row,
                              const char *value)
{
    (void)row;
    return parse_id(value, &s->replay.thread);
}

static const char *set_pid(settings *s, const option_row *row,
                           const char *value)
{
    (void)row;
    return parse_pid(value, &s->replay.pid);
}

static const char *set_from(settings *s, const option_row *row,
                            const char *value)
{
    (void)row;
    return parse_seconds(value, &s->replay.from_ns);
}

static const char *set_to(settings *s, const option_row *row, const char *value)
{
    (void)row;
    return parse_seconds(value, &s->replay.to_ns);
}

static const char *set_salvage(settings *s, const option_row *row,
                               const char *value)
{
    (void)row;
    (void)value;
    s->replay.flags |= PYPROF_REPLAY_SALVAGE;
    return NULL;
}

static const char *set_compression(settings *s, const option_row *row,
                                   const char *value)
{
    (void)row;
    if (strcmp(value, "none") == 0) {
        s->table.flags |= PYPROF_FORMAT_UNCOMPRESSED;
    } else if (strcmp(value, "auto") == 0 || strcmp(value, "zstd") == 0) {
        s->table.flags &= ~(uint64_t)PYPROF_FORMAT_UNCOMPRESSED;
    } else {
        return "not one of auto, zstd, none";
    }
    return NULL;
}

static const char *set_depth(settings *s, const option_row *row,
                             const char *value)
{
    (void)row;
    return parse_count(value, 1, 1000000, &s->sampler.max_depth);
}

static const char *set_output(settings *s, const option_row *row,
                              const char *value)
{
    (void)row;
    s->output = value;
    return value[0] == '\0' ? "empty" : NULL;
}

static const char *set_stats_json(settings *s, const option_row *row,
                                  const char *value)
{
    (void)row;
    s->stats_json = value;
    return value[0] == '\0' ? "empty" : NULL;
}

static const char *set_format(settings *s, const option_row *row,
                              const char *value)
{
    (void)value;
    if (s->format != NULL && strcmp(s->format, row->name) != 0) {
        return "only one output format can be given";
    }
    s->format = row->name;
    return NULL;
}

static const char *set_comparison(settings *s, const option_row *row,
                                  const char *value)
{
    s->baseline = value;
    return value[0] == '\0' ? "empty" : set_format(s, row, value);
}

static const char *set_sort(settings *s, const option_row *row,
                            const char *value)
{
    static const char *const words[] = {
        "nsamples",  "tottime",        "cumtime", "sample-pct",
        "cumul-pct", "nsamples-cumul", "name"};
    (void)row;
    for (int32_t i = 0; i < 7; i++) {
        if (strcmp(value, words[i]) == 0) {
            s->table.sort = PYPROF_SORT_NSAMPLES + i;
            s->table_given = true;
            return NULL;
        }
    }
    return "not one of nsamples, tottime, cumtime, sample-pct, cumul-pct, "
           "nsamples-cumul, name";
}

static const char *set_limit(settings *s, const option_row *row,
                             const char *value)
{
    uint32_t limit = 0;
    const char *wrong = parse_count(value, 0, 1000000, &limit);
    (void)row;
    s->table.limit = limit == 0 ? -1 : (int32_t)limit;
    s->table_given = true;
    return wrong;
}

static const char *set_no_summary(settings *s, const option_row *row,
                                  const char *value)
{
    (void)row;
    (void)value;
    s->table.flags |= PYPROF_FORMAT_NO_SUMMARY;
    s->table_given = true;
    return NULL;
}

static const char *set_sampled_mark(settings *s, const option_row *row,
                                    const char *value)
{
    (void)row;
    (void)value;
    s->table.flags |= PYPROF_FORMAT_SAMPLED_MARK;
    return NULL;
}

static const char *set_realtime(settings *s, const option_row *row,
                                const char *value)
{
    (void)row;
    (void)value;
    s->realtime_stats = true;
    return NULL;
}

static const char *set_python(settings *s, const option_row *row,
                              const char *value)
{
    (void)row;
    s->python = value;
    return value[0] == '\0' ? "empty" : NULL;
}

static const char *set_module(settings *s, const option_row *row,
                              const char *value)
{
    (void)row;
    (void)value;
    s->kind = TARGET_MODULE;
    return NULL;
}

static const char *set_quiet(settings *s, const option_row *row,
                             const char *value)
{
    (void)row;
    (void)value;
    s->quiet = true;
    return NULL;
}

static const char *set_help(settings *s, const option_row *row,
                            const char *value)
{
    (void)row;
    (void)value;
    s->help = true;
    return NULL;
}

/* ---- the table -------------------------------------------------------------
 */

enum {
    SAMPLING = COMMAND_RUN | COMMAND_ATTACH,
    READING = SAMPLING | COMMAND_DUMP,
    WRITING = SAMPLING | COMMAND_REPLAY,
    ALL = READING | COMMAND_CHECK | COMMAND_REPLAY
};

static const option_row rows[] = {
    {COMMAND_RUN, 'm', "module", NULL,
     "the target is a module, as with python -m", set_module, 0},
    {COMMAND_RUN, 'c', NULL, "CODE",
     "the target is a line of code, as with python -c", NULL, 0},
    {COMMAND_RUN, 0, "python", "EXE",
     "interpreter of scripts, -m and -c (default: python3)", set_python, 0},
    {SAMPLING, 'r', "sampling-rate", "RATE",
     "samples a second: 500, 500hz, 2.5khz (default: 1khz)", set_rate, 0},
    {SAMPLING, 'i', "interval", "MICROSECONDS",
     "time between two samples, instead of a rate", set_interval, 0},
    {SAMPLING, 'd', "duration", "SECONDS",
     "end after this time, such as 10 or 0.5 "
     "(default: when the target ends); under run the "
     "target is ended then, too",
     set_duration, 0},
    {READING, 'a', "all-threads", NULL,
     "all threads, not just the main one (dump: always)", set_flag,
     PYPROF_SAMPLE_ALL_THREADS},
    {READING, 0, "blocking", NULL,
     "stop the target's threads while they are read", set_flag,
     PYPROF_SAMPLE_BLOCKING},
    {SAMPLING, 0, "placement", "WHERE",
     "where the sampling thread runs: target (on the "
     "target's CPU: exact), free (on another one: "
     "cheapest), auto (default: target up to 2khz)",
     set_placement, 0},
    {SAMPLING, 0, "jitter", NULL,
     "vary the interval, against lock-step with the target", set_flag,
     PYPROF_SAMPLE_JITTER},
    {READING, 0, "max-depth", "N",
     "frames of a stack; deeper ones are cut at the root "
     "and marked <truncated> (default: 4096)",
     set_depth, 0},
    {COMMAND_REPLAY, 0, "thread", "ID",
     "only the thread with this id (native, system or Python's)", set_thread,
     0},
    {COMMAND_REPLAY, 0, "pid", "PID", "only threads of this process", set_pid,
     0},
    {COMMAND_REPLAY, 0, "from", "SECONDS",
     "only what was sampled so long after the start, or later", set_from, 0},
    {COMMAND_REPLAY, 0, "to", "SECONDS", "and only what came before this",
     set_to, 0},
    {COMMAND_REPLAY, 0, "salvage", NULL,
     "of a file that is damaged or has no end, use what can be read",
     set_salvage, 0},
    {WRITING, 'o', "output", "PATH",
     "file, or folder for a file with the default name, "
     "or - for standard output",
     set_output, 0},
    {WRITING, 0, "sort", "KEY",
     "table: nsamples (default), tottime, cumtime, "
     "sample-pct, cumul-pct, nsamples-cumul, name",
     set_sort, 0},
    {WRITING, 'l', "limit", "N", "table: rows (default: 15; 0: all)", set_limit,
     0},
    {WRITING, 0, "no-summary", NULL, "table: leave out the summary below it",
     set_no_summary, 0},
    {WRITING, 0, "mark-sampled", NULL,
     "pstats: with the mark of Python 3.15's sampled profiles, which older "
     "versions can't load",
     set_sampled_mark, 0},
    {WRITING, 0, "compression", "KIND",
     "binary, pyprof: zstd (the same as auto, the default) or none",
     set_compression, 0},
    {SAMPLING, 0, "realtime-stats", NULL,
     "a line of statistics each second, on stderr", set_realtime, 0},
    {SAMPLING, 0, "stats-json", "FILE",
     "write the counters of the sampler to a file", set_stats_json, 0},
    {WRITING, 'q', "quiet", NULL, "nothing on stderr but errors", set_quiet, 0},
    {ALL, 'h', "help", NULL, "show this text", set_help, 0},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

/* A row for each output format. */
static size_t collect_formats(command_id command, option_row *to, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; n < max; i++) {
        pyprof_format_info info;
        memset(&info, 0, sizeof(info));
        info.sz = sizeof(info);
        if (pyprof_format(i, &info) != PYPROF_OK) {
            break;
        }
        bool compares = (info.caps & PYPROF_COLLECTOR_BASELINE) != 0;
        to[n++] = (option_row){
            .commands = command,
            .name = info.name,
            .value = compares ? "BASELINE" : NULL,
            .help = info.description,
            .set = compares ? set_comparison : set_format,
        };
    }
    return n;
}

/* The formats come before --output. */
size_t options_collect(command_id command, option_row to[MAX_ROWS])
{
    size_t n = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        if ((rows[i].commands & command) == 0) {
            continue;
        }
        if (rows[i].set == set_output) {
            n += collect_formats(command, &to[n], MAX_ROWS - N_ROWS);
        }
        to[n++] = rows[i];
    }
    return n;
}

/* ---- help ---- */

enum { HELP_COLUMN = 28, LAST_COLUMN = 80 };

/* Words, in lines that begin at HELP_COLUMN. */
static void print_words(FILE *to, const char *text)
{
    int column = HELP_COLUMN;
    while (*text != '\0') {
        int size = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + size > LAST_COLUMN) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        fprintf(to, "%s%.*s", column > HELP_COLUMN ? " " : "", size, text);
        column += size + (column > HELP_COLUMN);
        text += size;
        text += *text == ' ';
    }
    fputc('\n', to);
}

void options_print(FILE *to, command_id command)
{
    option_row all[MAX_ROWS];
    size_t n = options_collect(command, all);
    for (size_t i = 0; i < n; i++) {
        const option_row *row = &all[i];
        char letter[] = "  ";
        char left[64];
        if (row->letter != 0) {
            letter[0] = '-';
            letter[1] = row->letter;
        }
        (void)snprintf(left, sizeof(left), "  %s%s%s%s%s%s", letter,
                       row->letter != 0 && row->name != NULL ? ", " : "  ",
                       row->name != NULL ? "--" : "",
                       row->name != NULL ? row->name : "",
                       row->value != NULL && row->name != NULL ? " " : "",
                       row->value != NULL ? row->value : "");
        fprintf(to, "%-*s", HELP_COLUMN, left);
        if (strlen(left) >= HELP_COLUMN) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
        }
        print_words(to, row->help);
    }
}
