/*
 * options.c: the grammar of the command line: the rules of Python's argparse. A
 * long option may be shortened as long as it stays unambiguous, a value may
 * follow after `=`; of repeated options the last one counts. Under `run` all
 * from the target on is the target's.
 */
#include "options.h"

#include <stdarg.h>
#include <string.h>

typedef struct parser {
    settings *s;
    char **args; /* what is left */
    option_row rows[MAX_ROWS];
    size_t n_rows;
    bool has_pid;
    size_t n_files;
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
    case COMMAND_REPLAY:
        return "replay";
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

/* Exact name, or the only one that begins so. NULL after a line on stderr. */
static const option_row *find_long(const parser *p, const char *text,
                                   size_t size)
{
    const option_row *found = NULL;
    const option_row *other = NULL;
    for (size_t i = 0; i < p->n_rows; i++) {
        const option_row *row = &p->rows[i];
        if (row->name == NULL || strncmp(row->name, text, size) != 0) {
            continue;
        }
        if (row->name[size] == '\0') {
            return row;
        }
        other = found;
        found = row;
    }
    if (found == NULL || size == 0) {
        (void)wrong(p, "no option --%.*s", (int)size, text);
        return NULL;
    }
    if (other != NULL) {
        (void)wrong(p, "--%.*s is ambiguous: --%s or --%s", (int)size, text,
                    other->name, found->name);
        return NULL;
    }
    return found;
}

static int parse_long(parser *p, const char *text)
{
    size_t size = strcspn(text, "=");
    const char *value = text[size] == '=' ? text + size + 1 : NULL;
    char shown[64];
    const option_row *row = find_long(p, text, size);
    if (row == NULL) {
        return STATUS_USAGE;
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
    if (p->s->command == COMMAND_REPLAY) {
        /* files gather where the arguments were that are done */
        p->s->files[p->n_files++] = *p->args++;
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
    if (s->command == COMMAND_REPLAY && p->n_files == 0) {
        return wrong(p, "a file is needed: one that --pyprof or --binary made");
    }
    if (s->command != COMMAND_RUN && s->command != COMMAND_REPLAY &&
        !p->has_pid) {
        return wrong(p, "a process id is needed");
    }
    if (s->replay.to_ns != 0 && s->replay.to_ns <= s->replay.from_ns) {
        return wrong(p, "--to has to be after --from");
    }
    if (s->rate_given && s->interval_given) {
        return wrong(p, "--sampling-rate and --interval exclude each other");
    }
    if (s->table_given && s->format != NULL &&
        strcmp(s->format, "table") != 0 && strcmp(s->format, "pstats") != 0) {
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
    out->replay.sz = sizeof(out->replay);
    out->files = args;
    p.s = out;
    p.args = args;
    p.n_rows = options_collect(command, p.rows);
    while (*p.args != NULL && out->target == NULL && !out->help) {
        int status = parse_one(&p, &options_over);
        if (status != STATUS_DONE) {
            return status;
        }
    }
    if (command == COMMAND_REPLAY) {
        out->files[p.n_files] = NULL;
    }
    return out->help ? STATUS_DONE : check_settings(&p);
}
