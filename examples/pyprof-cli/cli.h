/*
 * cli.h: what the parts of pyprof-cli share.
 *
 * The command is a program over the public headers, as anyone could write it.
 * main.c picks a command; options.c fills a `settings`; run.c, attach.c,
 * dump.c, check.c and replay.c are the commands; session.c is what run and
 * attach have in common; output.c decides where a profile goes; report.c tells
 * a person about it; signals.c ends things early; text.c prints what came from
 * elsewhere.
 */
#ifndef CLI_H
#define CLI_H

#include <pyprof/pyprof.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses; `run` adds its target's own. */
enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* ---- options.c ---------------------------------------------------------- */

typedef enum command_id {
    COMMAND_RUN = 1,
    COMMAND_ATTACH = 2,
    COMMAND_DUMP = 4,
    COMMAND_CHECK = 8,
    COMMAND_REPLAY = 16
} command_id;

typedef enum target_kind {
    TARGET_SCRIPT,
    TARGET_MODULE,
    TARGET_CODE,
    TARGET_COMMAND
} target_kind;

/* What the command line says. Strings are those of argv. */
typedef struct settings {
    command_id command;
    /* What to look at. */
    target_kind kind;   /* run */
    char **target;      /* run: script, module, code or program, then its
                           arguments, NULL at the end */
    int64_t pid;        /* the others */
    const char *python; /* NULL: python3 of PATH */
    char **files;       /* replay: NULL at the end */
    pyprof_replay_opts replay;
    /* How. */
    pyprof_sampler_opts sampler;
    bool rate_given, interval_given;
    /* Where to. */
    const char *format;   /* static name; NULL: the default */
    const char *output;   /* NULL: the default */
    const char *baseline; /* saved profile to compare with, or NULL */
    const char *stats_json;
    pyprof_format_opts table;
    bool table_given; /* an option that only the table has */
    bool realtime_stats;
    bool quiet;
    bool help;
} settings;

/* Reads the arguments after the command's name. STATUS_DONE, or STATUS_USAGE
 * after one line on stderr. */
int options_parse(command_id command, char **args, settings *out);
/* Prints the options that a command has. */
void options_print(FILE *to, command_id command);

/* ---- numbers.c ---------------------------------------------------------- */

/* Each returns NULL, or what is wrong with the text. */
const char *parse_rate(const char *text, uint64_t *out_interval_ns);
const char *parse_micros(const char *text, uint64_t *out_ns);
const char *parse_seconds(const char *text, uint64_t *out_ns);
const char *parse_count(const char *text, uint32_t min, uint32_t max,
                        uint32_t *out);
const char *parse_pid(const char *text, int64_t *out);
/* A number that is an id: not 0. */
const char *parse_id(const char *text, uint64_t *out);

/* ---- text.c ------------------------------------------------------------- */

/* One line on stderr, with control characters shown. Return STATUS_FAILED and
 * STATUS_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The message of a failed call of the library. */
int fail_error(pyprof_status status, const pyprof_error *err);

/* Prints text that came from a target: UTF-8 as it is; control characters, bad
 * bytes and marks that turn the direction of writing shown as escapes. */
void print_text(FILE *to, const char *data, size_t size);
void print_string(FILE *to, const char *text);

/* Whether a stream is a terminal that wants colours. */
bool wants_colour(FILE *stream);

/* ---- clock -------------------------------------------------------------- */

uint64_t now_ns(void);
void sleep_ns(uint64_t ns);

/* ---- signals.c ---------------------------------------------------------- */

/* From here on SIGINT, SIGTERM and SIGHUP end sampling, not this process. A
 * second one ends a started command by force, and soon this process too. */
void signals_install(void);
/* What the first signal stops: any may be NULL. `child` is the process id of
 * a command that a second signal kills, 0 for none. */
void signals_stop_target(pyprof_target *target);
void signals_stop_sampler(pyprof_sampler *sampler);
void signals_kill_child(int64_t child);
/* The first signal, 0 for none yet. */
int signals_first(void);
/* It came from the terminal, so a command started here has it as well. */
bool signals_from_terminal(void);
/* A second one came. */
bool signals_again(void);

/* ---- output.c ----------------------------------------------------------- */

typedef struct output {
    pyprof_format_info format;
    pyprof_collector *collector;
    bool to_stdout;
    const char *folder; /* the default name goes into it; NULL: `file` is set */
    const char *file;
    /* of the target, for the formats that show source; NULL: none yet */
    struct source *source;
    char path[4096];       /* where it was written to */
    pyprof_writer *writer; /* NULL: not opened yet */
    bool is_streaming;     /* the collector writes while it collects */
    bool is_finished;
} output;

/* Chooses format and place, makes the collector, and tries the place out.
 * Nothing is written yet. */
int output_plan(const settings *s, output *out);
/* Before the run: a format that streams gets its file, which is there from now
 * on. `pid` is for the default name. */
int output_begin(output *out, int64_t pid);
/* Writes the profile, or what is left of it. */
int output_write(output *out, int64_t pid);
/* Nothing was collected: a file that was begun is removed. */
void output_discard(output *out);
void output_free(output *out);
/* Whether a file could be written there. */
int output_probe(const char *path, const char *option);

/* ---- session.c ---------------------------------------------------------- */

typedef enum session_end {
    END_TARGET,   /* the target ended */
    END_DURATION, /* the time was over */
    END_SIGNAL,   /* asked to stop */
    END_FAILED    /* an error, told on stderr */
} session_end;

typedef struct session {
    const settings *s;
    pyprof_target *target;
    output out;
    uint64_t began_ns;        /* when the command began */
    uint64_t first_sample_ns; /* clock of the first sample, 0: none */
    pyprof_sampler_stats stats;
    session_end end;
} session;

/* Samples until there is a reason to stop, writes the profile and tells of it.
 * STATUS_DONE, or STATUS_FAILED after a line on stderr. */
int session_sample(session *run);

/* ---- report.c ----------------------------------------------------------- */

/* The line that follows sampling on a terminal. */
typedef struct progress {
    bool line;  /* a line that is redrawn */
    bool stats; /* --realtime-stats: once a second */
    bool drawn;
    uint64_t next_ns; /* next drawing; UINT64_MAX: never */
    uint64_t next_stats_ns;
    uint64_t last_ns;
    pyprof_sampler_stats last;
} progress;

void progress_begin(progress *p, const settings *s);
void progress_tick(progress *p, const pyprof_sampler_stats *stats);
void progress_end(progress *p);
/* The lines on stderr after sampling. */
void report_summary(const session *run);
/* The counters as a JSON file. */
int report_json(const session *run, const char *path);

/* ---- source.c ----------------------------------------------------------- */

/* Lines of source files as a process sees them. */
typedef struct source source;

/* NULL when out of memory; then nothing is found. */
source *source_open(int64_t pid);
/* One line without its end and leading blanks, or NULL. Valid until the next
 * call. `line` counts from 1. */
const char *source_line(source *s, const char *file, int32_t line,
                        size_t *out_size);
/* A pyprof_source_fn: `user` is the address of a `source *`. */
pyprof_status source_read(void *user, pyprof_text path, pyprof_writer *to,
                          pyprof_error *err);
void source_close(source *s);

/* ---- commands ----------------------------------------------------------- */

int command_run(const settings *s);
int command_attach(const settings *s);
int command_dump(const settings *s);
int command_check(const settings *s);
int command_replay(const settings *s);

#endif /* CLI_H */
