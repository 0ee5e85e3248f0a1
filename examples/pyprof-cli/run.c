/*
 * run.c: `pyprof-cli run ...`. Starts a command as it would start by itself,
 * samples it from its first Python frame on, ends with its exit status.
 *
 * Whatever happens, no process is left behind: the command ends by itself, or
 * is ended before this function returns. (Unless this process is killed in a
 * way that it can't see: then the command goes on by itself.)
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Between asking a command to end and making it. */
static const uint64_t GRACE_NS = 2 * NS_PER_SECOND;
/* For a command that has got Ctrl-C to end by itself. */
static const uint64_t CTRL_C_NS = 5 * NS_PER_SECOND;

/* ---- the command line of the target
 * -------------------------------------------- */

static bool is_program(const char *folder, size_t size, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%.*s/%s", size == 0 ? 1 : (int)size,
                     size == 0 ? "." : folder, name);
    return n > 0 && (size_t)n < sizeof(path) && access(path, X_OK) == 0;
}

static bool in_path(const char *name)
{
    const char *folder = getenv("PATH");
    while (folder != NULL && *folder != '\0') {
        size_t size = strcspn(folder, ":");
        if (is_program(folder, size, name)) {
            return true;
        }
        folder += size;
        folder += *folder == ':';
    }
    return false;
}

/* Found before anything is started, so that it is one line. */
static int check_script(const char *script)
{
    if (strcmp(script, "-") == 0) {
        return STATUS_DONE; /* the program comes on standard input */
    }
    if (access(script, R_OK) == 0) {
        return STATUS_DONE;
    }
    int problem = errno;
    if (problem == ENOENT && strchr(script, '/') == NULL && in_path(script)) {
        return fail("no script '%s' here: to run the command of that name, "
                    "write: pyprof-cli run -- %s",
                    script, script);
    }
    return fail("can't open script '%s': %s", script, strerror(problem));
}

/* The argv to start: NULL after a line on stderr. The caller frees it. */
static const char **build_argv(const settings *s)
{
    const char *python = s->python;
    size_t n_args = 0;
    size_t n = 0;
    if (s->kind == TARGET_SCRIPT && check_script(s->target[0]) != STATUS_DONE) {
        return NULL;
    }
    if (s->kind != TARGET_COMMAND && python == NULL) {
        python =
            in_path("python3") || !in_path("python") ? "python3" : "python";
    }
    while (s->target[n_args] != NULL) {
        n_args++;
    }
    const char **argv = calloc(n_args + 3, sizeof(*argv));
    if (argv == NULL) {
        (void)fail("out of memory");
        return NULL;
    }
    if (s->kind != TARGET_COMMAND) {
        argv[n++] = python;
    }
    if (s->kind == TARGET_MODULE || s->kind == TARGET_CODE) {
        argv[n++] = s->kind == TARGET_MODULE ? "-m" : "-c";
    }
    memcpy(&argv[n], s->target, n_args * sizeof(*argv));
    return argv;
}

/* ---- its end
 * ---------------------------------------------------------------------- */

/* Waits at most so long; a second signal ends the waiting, and so does the
 * first one if there was none before. True when the command has ended. */
static bool wait_ended(const pyprof_target *target, uint64_t limit_ns)
{
    uint64_t start = now_ns();
    int signals = signals_first();
    while (pyprof_target_alive(target)) {
        if (signals_again() || signals_first() != signals ||
            now_ns() - start >= limit_ns) {
            return !pyprof_target_alive(target);
        }
        sleep_ns(NS_PER_MS);
    }
    return true;
}

/* Asks the command to end, waits, makes it end. Its process id is its own
 * until the last line here or in exit_status, so signals can't hit another. */
static void end_command(pyprof_target *target, int64_t pid)
{
    if (pyprof_target_alive(target)) {
        (void)kill((pid_t)pid, SIGTERM);
        (void)wait_ended(target, GRACE_NS);
    }
    signals_kill_child(0);
    (void)pyprof_target_end(target, 0, NULL);
}

/* A command that was started here shares the terminal, and has had its Ctrl-C.
 * A signal that another process sent, maybe to this one alone, is handed on. */
static void after_signal(pyprof_target *target, int64_t pid)
{
    if (signals_first() == SIGINT) {
        if (!signals_from_terminal() && !wait_ended(target, 200 * NS_PER_MS)) {
            (void)kill((pid_t)pid, SIGINT);
        }
        (void)wait_ended(target, CTRL_C_NS);
    }
    end_command(target, pid);
}

/* The command has ended: `result` if something failed here, else its own. */
static int exit_status(pyprof_target *target, int result)
{
    int32_t status = 0;
    pyprof_error err = PYPROF_ERROR_INIT;
    signals_kill_child(0);
    pyprof_status told = pyprof_target_wait(target, UINT64_MAX, &status, &err);
    if (told != PYPROF_OK) {
        return fail_error(told, &err);
    }
    return result != STATUS_DONE ? result : status;
}

static int64_t pid_of(const pyprof_target *target)
{
    pyprof_target_info info;
    memset(&info, 0, sizeof(info));
    info.sz = sizeof(info);
    (void)pyprof_target_describe(target, &info);
    return info.pid;
}

/* The command never became a Python that can be sampled. */
static int no_python(pyprof_target *target, pyprof_status status,
                     const pyprof_error *err)
{
    int64_t pid = pid_of(target);
    if (status == PYPROF_ERR_GONE) {
        (void)fail("%s: nothing was sampled (Python in a child process of "
                   "the command is not seen)",
                   err->message);
        int own = exit_status(target, STATUS_DONE);
        return own != STATUS_DONE ? own : STATUS_FAILED;
    }
    if (signals_first() != 0) {
        after_signal(target, pid);
        int own = exit_status(target, STATUS_DONE);
        return own != STATUS_DONE ? own : 128 + signals_first();
    }
    end_command(target, pid);
    return fail_error(status, err);
}

/* ---- the command
 * -------------------------------------------------------------------- */

static int sample_command(session *run)
{
    pyprof_target *target = run->target;
    int64_t pid = pid_of(target);
    int result = session_sample(run);
    switch (run->end) {
    case END_SIGNAL:
        after_signal(target, pid);
        break;
    case END_DURATION:
        /* As with timeout(1), but nothing went wrong. */
        end_command(target, pid);
        return result;
    case END_FAILED:
    case END_TARGET:
        if (!wait_ended(target, UINT64_MAX)) {
            after_signal(target, pid);
        }
        break;
    }
    return exit_status(target, result);
}

static int start(session *run, const char *const *argv)
{
    pyprof_command command;
    pyprof_error err = PYPROF_ERROR_INIT;
    memset(&command, 0, sizeof(command));
    command.sz = sizeof(command);
    command.argv = argv;
    signals_install();
    run->began_ns = now_ns();
    pyprof_status status =
        pyprof_target_spawn(&command, NULL, &run->target, &err);
    if (status != PYPROF_OK) {
        return fail_error(status, &err);
    }
    signals_kill_child(pid_of(run->target));
    signals_stop_target(run->target);
    status = pyprof_target_ready(run->target, UINT64_MAX, &err);
    signals_stop_target(NULL);
    int result = status == PYPROF_OK ? sample_command(run)
                                     : no_python(run->target, status, &err);
    return result;
}

int command_run(const settings *s)
{
    session run;
    memset(&run, 0, sizeof(run));
    run.s = s;
    const char **argv = build_argv(s);
    int result = argv != NULL ? output_plan(s, &run.out) : STATUS_FAILED;
    if (result == STATUS_DONE) {
        result = start(&run, argv);
    }
    output_free(&run.out);
    pyprof_target_close(run.target);
    free(argv);
    return result;
}
