/*
 * check.c: `pyprof-cli check PID`: whether a process can be sampled and, if
 * not, which step fails and what to do about it.
 */
#include "cli.h"

#include <string.h>

static void print_step(void *user, const pyprof_check_step *step)
{
    bool colour = *(const bool *)user;
    bool ok = step->status == PYPROF_OK;
    printf("%s%-8s%s", colour ? ok ? "\033[32m" : "\033[31m" : "",
           ok ? "ok" : "failed", colour ? "\033[0m" : "");
    print_text(stdout, step->step.data, step->step.size);
    /* Why a step fails comes last, as the error of the command. */
    if (ok) {
        printf("%*s", step->step.size < 24 ? 24 - (int)step->step.size : 1, "");
        print_text(stdout, step->detail.data, step->detail.size);
    }
    printf("\n");
}

int command_check(const settings *s)
{
    bool colour = wants_colour(stdout);
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status =
        pyprof_target_check(s->pid, print_step, &colour, &err);
    if (status != PYPROF_OK) {
        (void)fflush(stdout);
        return fail_error(status, &err);
    }
    printf("Process %lld can be sampled.\n", (long long)s->pid);
    return STATUS_DONE;
}
