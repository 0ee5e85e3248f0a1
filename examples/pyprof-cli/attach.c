/*
 * attach.c: `pyprof-cli attach PID`. The process is looked at, and left alone
 * in the end.
 */
#include "cli.h"

#include <string.h>

/* Opens a process; one that is only just starting gets a moment. */
static pyprof_status open_target(int64_t pid, pyprof_target **out,
                                 pyprof_error *err)
{
    uint64_t limit = now_ns() + 2 * NS_PER_SECOND;
    pyprof_status status;
    for (;;) {
        status = pyprof_target_open(pid, NULL, out, err);
        if (status != PYPROF_ERR_NOT_READY || now_ns() >= limit ||
            signals_first() != 0) {
            return status;
        }
        sleep_ns(NS_PER_MS);
    }
}

int command_attach(const settings *s)
{
    session run;
    pyprof_error err = PYPROF_ERROR_INIT;
    memset(&run, 0, sizeof(run));
    run.s = s;
    run.began_ns = now_ns();
    int result = output_plan(s, &run.out);
    if (result == STATUS_DONE) {
        signals_install();
        pyprof_status status = open_target(s->pid, &run.target, &err);
        result = status == PYPROF_OK ? session_sample(&run)
                                     : fail_error(status, &err);
    }
    output_free(&run.out);
    pyprof_target_close(run.target);
    return result;
}
