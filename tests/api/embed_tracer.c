/*
 * The tracer in a program that has Python inside: before, while and after there
 * is an interpreter, from other threads, and with every allocation failing
 * once. Linked to a Python, so it is no Check suite of its own: one process, in
 * order.
 */
#include <Python.h>

#include <pyprof/pyprof.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* ---- an allocator that fails ------------------------------------------- */

typedef struct failing {
    long until; /* the allocation with this number fails, from 1 on */
    int is_for_good;
    long n;
    long n_failed;
    long live;
} failing;

static int fails(failing *f)
{
    f->n++;
    int is_failing = f->is_for_good ? f->n >= f->until : f->n == f->until;
    f->n_failed += is_failing;
    return is_failing;
}

static void *f_alloc(void *user, size_t size)
{
    failing *f = user;
    void *made = fails(f) ? NULL : malloc(size);
    f->live += made != NULL;
    return made;
}

static void *f_realloc(void *user, void *ptr, size_t size)
{
    failing *f = user;
    void *made = fails(f) ? NULL : realloc(ptr, size);
    f->live += made != NULL && ptr == NULL;
    return made;
}

static void f_free(void *user, void *ptr)
{
    failing *f = user;
    f->live -= ptr != NULL;
    free(ptr);
}

/* ---- what is traced ----------------------------------------------------- */

static const char *const program =
    "def fib(n):\n"
    "    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
    "def deep(n):\n"
    "    return deep(n - 1) + 1 if n else 0\n"
    "space = {}\n"
    "exec('\\n'.join('def f%d(): return len(\"x\")' % i\n"
    "               for i in range(300)), space)\n"
    "def many():\n"
    "    return sum(space['f%d' % i]() for i in range(300))\n";

static long evaluate(const char *text)
{
    PyObject *main_module = PyImport_AddModule("__main__");
    PyObject *names = PyModule_GetDict(main_module);
    PyObject *result = PyRun_String(text, Py_eval_input, names, names);
    CHECK(result != NULL);
    long number = PyLong_AsLong(result);
    Py_DECREF(result);
    return number;
}

static int32_t find_fib(void *user, const pyprof_calls *calls)
{
    for (uint64_t i = 0; i < calls->n_functions; i++) {
        const pyprof_function_calls *row = &calls->functions[i];
        if (strcmp(row->name.data, "fib") == 0) {
            *(uint64_t *)user = row->calls;
            CHECK(row->primitive_calls <= row->calls);
            CHECK(row->code != NULL && row->first_line == 1);
        }
    }
    return 0;
}

static void write_all(pyprof_tracer *tracer, const pyprof_allocator *allocator,
                      pyprof_status *status)
{
    static const char *const formats[] = {"pstats", "callgrind", "collapsed"};
    for (size_t i = 0; i < 3; i++) {
        pyprof_collector *collector = NULL;
        pyprof_writer *writer = NULL;
        pyprof_format_opts opts = {.sz = sizeof(opts), .allocator = allocator};
        pyprof_writer_opts memory = {.sz = sizeof(memory),
                                     .allocator = allocator};
        *status =
            pyprof_collector_new_format(formats[i], &opts, &collector, NULL);
        if (*status == PYPROF_OK) {
            *status = pyprof_tracer_collect(tracer, collector, NULL);
        }
        if (*status == PYPROF_OK) {
            *status = pyprof_writer_open_memory(&memory, &writer, NULL);
        }
        if (*status == PYPROF_OK) {
            *status = pyprof_collector_write(collector, writer, NULL);
        }
        pyprof_writer_close(writer);
        pyprof_collector_free(collector);
    }
}

/* ---- checks ------------------------------------------------------------- */

/* One run in which an allocation fails. False when none was asked for. */
static int run_failing(failing *f)
{
    const pyprof_allocator allocator = {.sz = sizeof(allocator),
                                        .alloc = f_alloc,
                                        .realloc = f_realloc,
                                        .free = f_free,
                                        .user = f};
    const pyprof_filter filter = {.glob = "nothing*",
                                  .what = PYPROF_FILTER_FUNCTION};
    const pyprof_tracer_opts opts = {.sz = sizeof(opts),
                                     .allocator = &allocator,
                                     .flags = PYPROF_TRACE_PATHS,
                                     .filters = &filter,
                                     .n_filters = 1};
    pyprof_tracer *tracer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    uint64_t calls = 0;
    pyprof_status status = pyprof_tracer_new(&opts, &tracer, &err);
    if (status == PYPROF_OK) {
        status = pyprof_tracer_install(tracer, &err);
        CHECK(evaluate("fib(9)") == 34);
        CHECK(evaluate("deep(200)") == 200);
        CHECK(evaluate("many()") == 300);
        CHECK(pyprof_tracer_uninstall(tracer, NULL) == PYPROF_OK);
    }
    if (status == PYPROF_OK) {
        status = pyprof_tracer_snapshot(tracer, find_fib, &calls, &err);
        CHECK(status != PYPROF_OK || calls == 109);
    }
    if (tracer != NULL) {
        pyprof_status written;
        write_all(tracer, &allocator, &written);
        CHECK(written == PYPROF_OK || written == PYPROF_ERR_NO_MEMORY);
        pyprof_status cleared = pyprof_tracer_clear(tracer, NULL);
        CHECK(cleared == PYPROF_OK || cleared == PYPROF_ERR_NO_MEMORY);
    }
    CHECK(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    CHECK(status == PYPROF_OK || err.message[0] != '\0');
    CHECK(!PyErr_Occurred());
    pyprof_tracer_free(tracer);
    CHECK(f->live == 0);
    return f->n_failed > 0;
}

static void check_every_allocation(void)
{
    for (int is_for_good = 0; is_for_good < 2; is_for_good++) {
        long n = 1;
        failing f = {.until = n, .is_for_good = is_for_good};
        while (run_failing(&f)) {
            n++;
            f = (failing){.until = n, .is_for_good = is_for_good};
        }
        printf("allocations %s: %ld\n", is_for_good ? "from" : "once", n);
    }
}

static void *uninstall(void *tracer)
{
    CHECK(pyprof_tracer_uninstall(tracer, NULL) == PYPROF_OK);
    return NULL;
}

static void check_other_threads(void)
{
    pyprof_tracer *tracer = NULL;
    uint64_t calls = 0;
    pthread_t thread;
    CHECK(pyprof_tracer_new(NULL, &tracer, NULL) == PYPROF_OK);
    PyThreadState *state = PyEval_SaveThread();
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_OK); /* no lock */
    PyEval_RestoreThread(state);
    CHECK(evaluate("fib(3)") == 2);
    state = PyEval_SaveThread();
    CHECK(pthread_create(&thread, NULL, uninstall, tracer) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pyprof_tracer_snapshot(tracer, find_fib, &calls, NULL) == PYPROF_OK);
    PyEval_RestoreThread(state);
    CHECK(evaluate("fib(3)") == 2);
    CHECK(calls == 5);
    pyprof_tracer_free(tracer);
}

static int64_t busy_clock(void *tracer)
{
    pyprof_tracer *self = *(pyprof_tracer **)tracer;
    CHECK(pyprof_tracer_clear(self, NULL) == PYPROF_ERR_BUSY);
    CHECK(pyprof_tracer_install(self, NULL) == PYPROF_ERR_BUSY);
    CHECK(pyprof_tracer_uninstall(self, NULL) == PYPROF_ERR_BUSY);
    return 1;
}

static int32_t refuse(void *user, const pyprof_calls *calls)
{
    (void)user;
    (void)calls;
    return 9;
}

static void check_clock_that_calls_back(void)
{
    pyprof_tracer *tracer = NULL;
    uint64_t calls = 0;
    pyprof_tracer_opts opts = {.sz = sizeof(opts),
                               .clock = PYPROF_CLOCK_CALLER,
                               .clock_fn = busy_clock,
                               .clock_user = &tracer};
    CHECK(pyprof_tracer_new(&opts, &tracer, NULL) == PYPROF_OK);
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_OK);
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_OK);
    CHECK(pyprof_tracer_set_flags(tracer, PYPROF_TRACE_NO_BUILTINS, NULL) ==
          PYPROF_ERR_BUSY);
    CHECK(evaluate("fib(3)") == 2);
    CHECK(pyprof_tracer_uninstall(tracer, NULL) == PYPROF_OK);
    CHECK(pyprof_tracer_snapshot(tracer, find_fib, &calls, NULL) == PYPROF_OK);
    CHECK(calls == 5);
    CHECK(pyprof_tracer_snapshot(tracer, refuse, NULL, NULL) ==
          PYPROF_ERR_CALLBACK);
    pyprof_tracer_free(tracer);
}

/* A tracer that lives longer than the interpreter that it was for. */
static void check_interpreters_end(int is_installed)
{
    pyprof_tracer *tracer = NULL;
    uint64_t calls = 0;
    Py_Initialize();
    PyRun_SimpleString(program);
    CHECK(pyprof_tracer_new(NULL, &tracer, NULL) == PYPROF_OK);
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_OK);
    CHECK(evaluate("fib(3)") == 2);
    if (!is_installed) {
        CHECK(pyprof_tracer_uninstall(tracer, NULL) == PYPROF_OK);
    }
    Py_Finalize();
    CHECK(pyprof_tracer_snapshot(tracer, find_fib, &calls, NULL) ==
          PYPROF_ERR_NOT_READY);
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_ERR_NOT_READY);
    CHECK(pyprof_tracer_uninstall(tracer, NULL) == PYPROF_OK);
    Py_Initialize();
    CHECK(pyprof_tracer_install(tracer, NULL) == PYPROF_ERR_NOT_READY);
    pyprof_tracer_free(tracer);
    Py_Finalize();
}

int main(void)
{
    pyprof_tracer *tracer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    CHECK(pyprof_tracer_new(NULL, &tracer, &err) == PYPROF_OK);
    CHECK(pyprof_tracer_install(tracer, &err) == PYPROF_ERR_NOT_READY);
    CHECK(strstr(err.message, "Py_Initialize") != NULL);
    Py_Initialize();
    PyRun_SimpleString(program);
    CHECK(pyprof_tracer_install(tracer, &err) == PYPROF_OK);
    pyprof_tracer_free(tracer);
    check_every_allocation();
    check_other_threads();
    check_clock_that_calls_back();
    Py_Finalize();
    check_interpreters_end(0);
    check_interpreters_end(1);
    puts("all good");
    return 0;
}
