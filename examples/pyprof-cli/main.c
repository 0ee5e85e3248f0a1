/*
 * main.c: which command it is. A command is one row of the table.
 */
#include "cli.h"

#include <ctype.h>
#include <string.h>

typedef struct command_row {
    const char *name;
    command_id id;
    const char *usage; /* its arguments; lines separated by \n */
    const char *help;
    int (*call)(const settings *s);
} command_row;

static const command_row commands[] = {
    {"run", COMMAND_RUN,
     "[OPTIONS] SCRIPT [ARG...]\n"
     "[OPTIONS] -m MODULE [ARG...]\n"
     "[OPTIONS] -c CODE [ARG...]\n"
     "[OPTIONS] -- COMMAND [ARG...]",
     "start a program, sample it, exit with its status", command_run},
    {"attach", COMMAND_ATTACH, "[OPTIONS] PID",
     "sample a process that runs, until it ends or Ctrl-C", command_attach},
    {"dump", COMMAND_DUMP, "[OPTIONS] PID",
     "show what each thread of a process is doing now", command_dump},
    {"replay", COMMAND_REPLAY, "[OPTIONS] FILE...",
     "write a saved profile (--pyprof, --binary) in another format",
     command_replay},
    {"check", COMMAND_CHECK, "PID",
     "tell whether a process can be sampled and, if not, why", command_check},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *to)
{
    fprintf(to, "usage: pyprof-cli COMMAND ...\n\n"
                "Samples Python programs from outside, CPython 3.8 to 3.15.\n"
                "\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(to, "\npyprof-cli COMMAND --help shows the options of a command; "
                "--version the version.\n"
                "Exit status: 0 done (run: the program's own), 1 failed, "
                "2 wrong usage.\n");
}

static void print_command_help(const command_row *row)
{
    const char *start = "usage: ";
    printf("%spyprof-cli %s ", start, row->name);
    for (const char *c = row->usage; *c != '\0'; c++) {
        if (*c == '\n') {
            printf("\n%*spyprof-cli %s ", (int)strlen(start), "", row->name);
        } else {
            putchar(*c);
        }
    }
    printf("\n\n%c%s.\n", toupper((unsigned char)row->help[0]), row->help + 1);
    if (row->id == COMMAND_RUN) {
        printf("\nCOMMAND may be anything that becomes Python: an "
               "interpreter with its options,\n"
               "a console entry point, a shell script that ends in exec "
               "python. All from the\n"
               "target on belongs to it. It runs just as it would by "
               "itself.\n");
    }
    printf("\n");
    options_print(stdout, row->id);
}

static int finish_stdout(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return status == STATUS_DONE ? fail("can't write to standard output")
                                     : status;
    }
    return status;
}

int main(int argc, char **argv)
{
    settings s;
    if (argc < 2) {
        return usage_error(
            "a command is needed: run, attach, dump, replay or check "
            "(pyprof-cli --help tells more)");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return finish_stdout(STATUS_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pyprof-cli %s\n", pyprof_version_string());
        return finish_stdout(STATUS_DONE);
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        const command_row *row = &commands[i];
        if (strcmp(argv[1], row->name) != 0) {
            continue;
        }
        int status = options_parse(row->id, argv + 2, &s);
        if (status == STATUS_DONE && s.help) {
            print_command_help(row);
        } else if (status == STATUS_DONE) {
            status = row->call(&s);
        }
        return finish_stdout(status);
    }
    return usage_error("no command '%s': run, attach, dump, replay or check "
                       "(pyprof-cli --help tells more)",
                       argv[1]);
}
