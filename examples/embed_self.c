/*
 * embed_self.c: a C program that has Python inside samples itself.
 *
 *     embed_self           runs a little Python, prints where its time went
 *
 * The sampler's threads are the library's own: they hold no GIL, run no Python
 * and never appear in the profile.
 */
#include <Python.h>

#include <pyprof/pyprof.h>

#include <stdio.h>

static const char *const program =
    "import time\n"
    "def work():\n"
    "    return sum(i * i for i in range(1000))\n"
    "def busy(seconds):\n"
    "    end = time.monotonic() + seconds\n"
    "    while time.monotonic() < end:\n"
    "        work()\n"
    "busy(0.5)\n";

static int failed(const pyprof_error *err)
{
    fprintf(stderr, "embed_self: %s\n", err->message);
    return 1;
}

/* Prints the stacks, one line each: frame;frame;frame COUNT */
static pyprof_status print_profile(pyprof_collector *collector,
                                   pyprof_error *err)
{
    pyprof_writer *writer = NULL;
    pyprof_status status = pyprof_writer_open_fd(1, NULL, &writer, err);
    if (status == PYPROF_OK) {
        status = pyprof_collector_write(collector, writer, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_writer_finish(writer, err);
    }
    pyprof_writer_close(writer);
    return status;
}

int main(void)
{
    pyprof_target *target = NULL;
    pyprof_sampler *sampler = NULL;
    pyprof_collector *collector = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status;

    Py_Initialize(); /* first: the library looks for a Python that is there */
    status = pyprof_target_open_self(NULL, &target, &err);
    if (status == PYPROF_OK) {
        status = pyprof_sampler_open(target, NULL, &sampler, &err);
    }
    if (status == PYPROF_OK) {
        status =
            pyprof_collector_new_format("collapsed", NULL, &collector, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_add(sampler, collector, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_start(sampler, &err);
    }
    if (status == PYPROF_OK) {
        PyRun_SimpleString(program);
        pyprof_sampler_stop(sampler);
        status = pyprof_sampler_wait(sampler, UINT64_MAX, &err);
    }
    if (status == PYPROF_OK) {
        status = print_profile(collector, &err);
    }
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
    pyprof_target_close(target);
    Py_Finalize();
    return status == PYPROF_OK ? 0 : failed(&err);
}
