/*
 * options.c: the grammar of the command line, as a table: an option is one
 * row. Output formats are rows that the library gives (pyprof_format), so a new
 * format has its option by itself.
 *
 * Rules, those of Python's argparse: a long option may be shortened as long as
 * it stays unambiguous, a value may follow after `=`; of repeated options the
 * last one counts. Under `run` everything from the target on is the target's.
 */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct option_row option_row;
struct option_row {
    unsigned commands; /* COMMAND_ bits of those that have it */
    char letter;       /* 0: none */
    const char *name;  /* NULL: none */
    const char *value; /* what stands for its value in the help; NULL: a flag */
    const char *help;  /* lines separated by \n */
    /* NULL when it was understood, or what is wrong. */
    const char *(*set)(settings *s, const option_row *row, const char *value);
    uint64_t flag; /* for set_flag */
};

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
    ALL = READING | COMMAND_CHECK
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
     "end after this time, such as 10 or 0.5\n"
     "(default: when the target ends); under run the\n"
     "target is ended then, too",
     set_duration, 0},
    {READING, 'a', "all-threads", NULL,
     "all threads, not just the main one (dump: always)", set_flag,
     PYPROF_SAMPLE_ALL_THREADS},
    {READING, 0, "blocking", NULL,
     "stop the target's threads while they are read", set_flag,
     PYPROF_SAMPLE_BLOCKING},
    {SAMPLING, 0, "placement", "WHERE",
     "where the sampling thread runs: target (on the\n"
     "target's CPU: exact), free (on another one:\n"
     "cheapest), auto (default: target up to 2khz)",
     set_placement, 0},
    {SAMPLING, 0, "jitter", NULL,
     "vary the interval, against lock-step with the target", set_flag,
     PYPROF_SAMPLE_JITTER},
    {READING, 0, "max-depth", "N",
     "frames of a stack; deeper ones are cut at the root\n"
     "and marked <truncated> (default: 4096)",
     set_depth, 0},
    {SAMPLING, 'o', "output", "PATH",
     "file, or folder for a file with the default name,\n"
     "or - for standard output",
     set_output, 0},
    {SAMPLING, 0, "sort", "KEY",
     "table: nsamples (default), tottime, cumtime,\n"
     "sample-pct, cumul-pct, nsamples-cumul, name",
     set_sort, 0},
    {SAMPLING, 'l', "limit", "N", "table: rows (default: 15; 0: all)",
     set_limit, 0},
    {SAMPLING, 0, "no-summary", NULL, "table: leave out the summary below it",
     set_no_summary, 0},
    {SAMPLING, 0, "realtime-stats", NULL,
     "a line of statistics each second, on stderr", set_realtime, 0},
    {SAMPLING, 0, "stats-json", "FILE",
     "write the counters of the sampler to a file", set_stats_json, 0},
    {SAMPLING, 'q', "quiet", NULL, "nothing on stderr but errors", set_quiet,
     0},
    {ALL, 'h', "help", NULL, "show this text", set_help, 0},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), MAX_ROWS = N_ROWS + 64 };

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
        to[n++] = (option_row){
            .commands = command,
            .name = info.name,
            .help = info.description,
            .set = set_format,
        };
    }
    return n;
}

/* The rows of a command; the formats come before --output. */
static size_t collect_rows(command_id command, option_row *to)
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

/* ---- parsing
 * ----------------------------------------------------------------- */

typedef struct parser {
    settings *s;
    char **args; /* what is left */
    option_row rows[MAX_ROWS];
    size_t n_rows;
    bool has_pid;
} parser;

static const char *command_name(command_id command)
{
    switch (command) {
    case COMMAND_RUN:
        return "run";
    case COMMAND_ATTACH:
        return "attach";
    case COMMAND_DUMP:
        return "dump";
    case COMMAND_CHECK:
        break;
    }
    return "check";
}

static int wrong(const parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int wrong(const parser *p, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return usage_error("%s: %s (pyprof-cli %s --help shows the options)",
                       command_name(p->s->command), what,
                       command_name(p->s->command));
}

static int apply(parser *p, const option_row *row, const char *shown,
                 const char *value)
{
    const char *problem = row->set(p->s, row, value);
    if (problem == NULL) {
        return STATUS_DONE;
    }
    return value != NULL ? wrong(p, "%s '%s': %s", shown, value, problem)
                         : wrong(p, "%s: %s", shown, problem);
}

/* The next argument as a value: not one that looks like an option. */
static const char *take_value(parser *p)
{
    const char *next = *p->args;
    if (next == NULL || (next[0] == '-' && next[1] != '\0' &&
                         strspn(next + 1, "0123456789.") == 0)) {
        return NULL;
    }
    p->args++;
    return next;
}

/* Exact name, or the only one that begins so. */
static int find_long(const parser *p, const char *text, size_t size,
                     const option_row **out)
{
    const option_row *found = NULL;
    const option_row *other = NULL;
    for (size_t i = 0; i < p->n_rows; i++) {
        const option_row *row = &p->rows[i];
        if (row->name == NULL || strncmp(row->name, text, size) != 0) {
            continue;
        }
        if (row->name[size] == '\0') {
            *out = row;
            return STATUS_DONE;
        }
        other = found;
        found = row;
    }
    if (found == NULL || size == 0) {
        return wrong(p, "no option --%.*s", (int)size, text);
    }
    if (other != NULL) {
        return wrong(p, "--%.*s is ambiguous: --%s or --%s", (int)size, text,
                     other->name, found->name);
    }
    *out = found;
    return STATUS_DONE;
}

static int parse_long(parser *p, const char *text)
{
    const option_row *row = NULL;
    size_t size = strcspn(text, "=");
    const char *value = text[size] == '=' ? text + size + 1 : NULL;
    char shown[64];
    int status = find_long(p, text, size, &row);
    if (status != STATUS_DONE) {
        return status;
    }
    (void)snprintf(shown, sizeof(shown), "--%s", row->name);
    if (row->value == NULL && value != NULL) {
        return wrong(p, "%s takes no value", shown);
    }
    if (row->value != NULL && value == NULL) {
        value = take_value(p);
        if (value == NULL) {
            return wrong(p, "%s needs a value: %s", shown, row->value);
        }
    }
    return apply(p, row, shown, value);
}

/* Makes `-c CODE` (or -cCODE) the target: all that follows is its. */
static int take_code(parser *p, const char *code)
{
    if (*code != '\0') {
        /* One array element is needed: that of -cCODE itself is free. */
        p->args--;
        /* argv's strings are writable and outlive the settings. */
        memmove(*p->args, code, strlen(code) + 1);
    }
    if (*p->args == NULL) {
        return wrong(p, "-c needs a line of code");
    }
    p->s->kind = TARGET_CODE;
    p->s->target = p->args;
    return STATUS_DONE;
}

/* Letters behind one dash: flags, the last of them maybe with a value. */
static int parse_letters(parser *p, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const option_row *row = NULL;
        const char *value = NULL;
        char shown[3] = {'-', *letters, '\0'};
        for (size_t i = 0; i < p->n_rows && row == NULL; i++) {
            row = p->rows[i].letter == *letters ? &p->rows[i] : NULL;
        }
        if (row == NULL) {
            return wrong(p, "no option %s", shown);
        }
        if (row->set == NULL) {
            return take_code(p, letters + 1);
        }
        if (row->value != NULL) {
            value = letters[1] != '\0' ? letters + 1 : take_value(p);
            if (value == NULL) {
                return wrong(p, "%s needs a value: %s", shown, row->value);
            }
            return apply(p, row, shown, value);
        }
        int status = apply(p, row, shown, NULL);
        if (status != STATUS_DONE) {
            return status;
        }
    }
    return STATUS_DONE;
}

/* `-` alone stands for a program on standard input, as for Python. */
static int take_positional(parser *p)
{
    const char *text = *p->args;
    if (p->s->command == COMMAND_RUN) {
        p->s->target = p->args;
        return STATUS_DONE;
    }
    if (p->has_pid) {
        return wrong(p, "'%s' is one argument too many", text);
    }
    const char *problem = parse_pid(text, &p->s->pid);
    if (problem != NULL) {
        return wrong(p, "'%s' is %s", text, problem);
    }
    p->has_pid = true;
    p->args++;
    return STATUS_DONE;
}

/* One argument. Ends with p->s->target set when the rest is the target's. */
static int parse_one(parser *p, bool *options_over)
{
    const char *text = *p->args;
    if (*options_over || text[0] != '-' || text[1] == '\0') {
        return take_positional(p);
    }
    p->args++;
    if (strcmp(text, "--") == 0) {
        *options_over = true;
        if (p->s->command == COMMAND_RUN && *p->args != NULL) {
            if (p->s->kind != TARGET_MODULE) {
                p->s->kind = TARGET_COMMAND;
            }
            p->s->target = p->args;
        }
        return STATUS_DONE;
    }
    return text[1] == '-' ? parse_long(p, text + 2)
                          : parse_letters(p, text + 1);
}

/* Rules between options. */
static int check_settings(const parser *p)
{
    const settings *s = p->s;
    if (s->command == COMMAND_RUN && s->target == NULL) {
        return wrong(p, "nothing to run: give a SCRIPT, -m MODULE, -c CODE, "
                        "or -- COMMAND");
    }
    if (s->command != COMMAND_RUN && !p->has_pid) {
        return wrong(p, "a process id is needed");
    }
    if (s->rate_given && s->interval_given) {
        return wrong(p, "--sampling-rate and --interval exclude each other");
    }
    if (s->table_given && s->format != NULL &&
        strncmp(s->format, "pstats", 6) != 0) {
        return wrong(p,
                     "--sort, --limit and --no-summary are for the table, "
                     "not for --%s",
                     s->format);
    }
    if (s->kind == TARGET_COMMAND && s->python != NULL) {
        return wrong(p, "--python is for scripts, -m and -c: a command "
                        "brings its own interpreter");
    }
    return STATUS_DONE;
}

int options_parse(command_id command, char **args, settings *out)
{
    parser p;
    bool options_over = false;
    memset(&p, 0, sizeof(p));
    memset(out, 0, sizeof(*out));
    out->command = command;
    out->kind = TARGET_SCRIPT;
    out->sampler.sz = sizeof(out->sampler);
    out->table.sz = sizeof(out->table);
    p.s = out;
    p.args = args;
    p.n_rows = collect_rows(command, p.rows);
    while (*p.args != NULL && out->target == NULL && !out->help) {
        int status = parse_one(&p, &options_over);
        if (status != STATUS_DONE) {
            return status;
        }
    }
    return out->help ? STATUS_DONE : check_settings(&p);
}

/* ---- help
 * ---------------------------------------------------------------------- */

void options_print(FILE *to, command_id command)
{
    option_row all[MAX_ROWS];
    size_t n = collect_rows(command, all);
    for (size_t i = 0; i < n; i++) {
        const option_row *row = &all[i];
        char left[64];
        (void)snprintf(
            left, sizeof(left), "  %c%c%s %s%s%s%s",
            row->letter != 0 ? '-' : ' ', row->letter != 0 ? row->letter : ' ',
            row->letter != 0 && row->name != NULL ? "," : " ",
            row->name != NULL ? "--" : "", row->name != NULL ? row->name : "",
            row->value != NULL && row->name != NULL ? " " : "",
            row->value != NULL ? row->value : "");
        fprintf(to, "%-28s", left);
        if (strlen(left) > 27) {
            fprintf(to, "\n%28s", "");
        }
        for (const char *c = row->help; *c != '\0'; c++) {
            fputc(*c, to);
            if (*c == '\n') {
                fprintf(to, "%28s", "");
            }
        }
        fputc('\n', to);
    }
}
