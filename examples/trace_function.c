/*
 * trace_function.c: a C program that has Python inside counts and times the
 * calls of one of its functions.
 *
 *     trace_function > profile.pstats      (read it with `python3 -m pstats`)
 */
#include <Python.h>

#include <pyprof/pyprof.h>

#include <stdio.h>

static const char *const program =
    "def square(n):\n"
    "    return n * n\n"
    "def work():\n"
    "    return sum(square(i) for i in range(1000))\n";

static int32_t print_calls(void *user, const pyprof_calls *calls)
{
    (void)user;
    for (uint64_t i = 0; i < calls->n_functions; i++) {
        const pyprof_function_calls *row = &calls->functions[i];
        fprintf(stderr, "%8llu %10.6f s  %s\n", (unsigned long long)row->calls,
                row->total_time, row->name.data);
    }
    return 0;
}

int main(void)
{
    pyprof_tracer *tracer = NULL;
    pyprof_collector *collector = NULL;
    pyprof_writer *writer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;

    Py_Initialize();
    PyRun_SimpleString(program);
    int failed = pyprof_tracer_new(NULL, &tracer, &err) ||
                 pyprof_tracer_install(tracer, &err);
    if (!failed) {
        PyRun_SimpleString("work()");
        failed =
            pyprof_tracer_uninstall(tracer, &err) ||
            pyprof_tracer_snapshot(tracer, print_calls, NULL, &err) ||
            pyprof_collector_new_format("pstats", NULL, &collector, &err) ||
            pyprof_tracer_collect(tracer, collector, &err) ||
            pyprof_writer_open_fd(1, NULL, &writer, &err) ||
            pyprof_collector_write(collector, writer, &err) ||
            pyprof_writer_finish(writer, &err);
    }
    if (failed) {
        fprintf(stderr, "trace_function: %s\n", err.message);
    }
    pyprof_writer_close(writer);
    pyprof_collector_free(collector);
    pyprof_tracer_free(tracer);
    Py_Finalize();
    return failed;
}
