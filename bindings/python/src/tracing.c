/*
 * tracing: the class Profiler over pyprof_tracer, with the surface of
 * _lsprof.Profiler. In come switches, out come the rows of getstats().
 *
 * It is there twice: libpyprof.Profiler, of which there may be any number at a
 * time, and one that is a stand-in for _lsprof.Profiler in everything, also in
 * that there is only one place for it.
 *
 * The tracer's own functions are called with Python's lock, in which they may
 * be interrupted, but an object is one thread's at a time, as a tracer is.
 */
#include "module.h"

#include <math.h>

typedef struct profiler {
    PyObject_HEAD pyprof_tracer *tracer;
    PyObject *timer; /* NULL: the library's clock */
    double unit;     /* seconds of the timer's integers; 0: it says seconds */
    pyprof_tracer_opts opts;
    int is_exclusive;
} profiler;

/* The extension's own, made once for the process. */
static libpyprof_types shown_types;

static profiler *of(PyObject *self)
{
    return (profiler *)(void *)self;
}

/* ---- the timer --------------------------------------------------------- */

/* What a timer said, in units of the tracer. -1 with an exception set. */
static int64_t ticks_of(const profiler *p, PyObject *said)
{
    if (p->unit != 0.0) {
        return (int64_t)PyLong_AsLongLong(said);
    }
    double seconds = PyFloat_AsDouble(said);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    double ticks = floor(seconds * 1e9);
    return ticks > -9.2e18 && ticks < 9.2e18 ? (int64_t)ticks : 0;
}

static int64_t call_timer(void *self)
{
    const profiler *p = self;
    PyObject *timer = p->timer;
    int64_t ticks = 0;
    PyObject *type;
    PyObject *value;
    PyObject *trace;
    PyErr_Fetch(&type, &value, &trace);
    Py_INCREF(timer);
    PyObject *said = PyObject_CallObject(timer, NULL);
    if (said != NULL) {
        ticks = ticks_of(p, said);
        Py_DECREF(said);
    }
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(timer);
        ticks = 0;
    }
    Py_DECREF(timer);
    PyErr_Restore(type, value, trace);
    return ticks;
}

/* ---- making ------------------------------------------------------------ */

/* Which word of `words` (ended by NULL) a text is; -1 with an exception. */
static int word_of(const char *option, const char *text,
                   const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            return i;
        }
    }
    PyErr_Format(PyExc_ValueError, "%s must be '%s' or '%s', not '%s'", option,
                 words[0], words[1], text);
    return -1;
}

/* Reads (include, what, glob) tuples. `filters` has room for `n`; `*keep` holds
 * the text. */
static int read_filters(PyObject *given, pyprof_filter *filters, Py_ssize_t n)
{
    static const char *const whats[] = {"file", "module", "function", NULL};
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *one = PySequence_GetItem(given, i);
        int is_included;
        const char *what;
        if (one == NULL ||
            !PyArg_ParseTuple(one,
                              "pss;a filter is (include, "
                              "what, glob)",
                              &is_included, &what, &filters[i].glob)) {
            Py_XDECREF(one);
            return -1;
        }
        Py_DECREF(one); /* the sequence is a tuple, which keeps it */
        filters[i].is_included = is_included;
        for (filters[i].what = 0; whats[filters[i].what] != NULL;
             filters[i].what++) {
            if (strcmp(whats[filters[i].what], what) == 0) {
                break;
            }
        }
        if (whats[filters[i].what] == NULL) {
            PyErr_Format(PyExc_ValueError,
                         "a filter is for 'file', 'module' or 'function', "
                         "not '%s'",
                         what);
            return -1;
        }
    }
    return 0;
}

static int new_tracer(profiler *p, PyObject *filters)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tracer *tracer = NULL;
    pyprof_filter *list = NULL;
    PyObject *kept = NULL;
    int answer = -1;
    if (filters != NULL && filters != Py_None) {
        kept = PySequence_Tuple(filters);
        Py_ssize_t n = kept != NULL ? PyTuple_Size(kept) : -1;
        list = n >= 0 ? PyMem_Calloc((size_t)n + 1, sizeof(*list)) : NULL;
        if (list == NULL || read_filters(kept, list, n) != 0) {
            if (!PyErr_Occurred()) {
                PyErr_NoMemory();
            }
            goto done;
        }
        p->opts.filters = n > 0 ? list : NULL;
        p->opts.n_filters = (uint64_t)n;
    }
    if (pyprof_tracer_new(&p->opts, &tracer, &err) != PYPROF_OK) {
        (void)libpyprof_raise(&err);
    } else {
        pyprof_tracer_free(p->tracer);
        p->tracer = tracer;
        answer = 0;
    }
done:
    p->opts.filters = NULL;
    p->opts.n_filters = 0;
    PyMem_Free(list);
    Py_XDECREF(kept);
    return answer;
}

static void set_switches(profiler *p, int subcalls, int builtins)
{
    if (subcalls >= 0) {
        p->opts.flags &= ~(uint64_t)PYPROF_TRACE_NO_CALLERS;
        p->opts.flags |= subcalls ? 0 : PYPROF_TRACE_NO_CALLERS;
    }
    if (builtins >= 0) {
        p->opts.flags &= ~(uint64_t)PYPROF_TRACE_NO_BUILTINS;
        p->opts.flags |= builtins ? 0 : PYPROF_TRACE_NO_BUILTINS;
    }
}

/* Refused in the middle of an event, where a timer is called. */
static int may_begin_anew(const profiler *p)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    if (p->tracer != NULL &&
        pyprof_tracer_uninstall(p->tracer, &err) == PYPROF_ERR_BUSY) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot initialize profiler in external timer");
        return 0;
    }
    return 1;
}

static void set_timer(profiler *p, PyObject *timer, double unit)
{
    PyObject *before = p->timer;
    p->timer = timer != Py_None ? timer : NULL;
    Py_XINCREF(p->timer);
    Py_XDECREF(before);
    p->unit = unit;
    p->opts.clock_user = p;
    if (p->timer != NULL) {
        p->opts.clock = PYPROF_CLOCK_CALLER;
        p->opts.clock_fn = call_timer;
        p->opts.clock_unit = unit != 0.0 ? unit : 1e-9;
    }
}

static int profiler_init(PyObject *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"timer",   "timeunit",  "subcalls",   "builtins",
                               "clock",   "threads",   "coroutines", "paths",
                               "filters", "max_bytes", NULL};
    static const char *const clocks[] = {"wall", "cpu", NULL};
    static const char *const whose[] = {"all", "current", NULL};
    static const char *const steps[] = {"steps", "whole", NULL};
    profiler *p = of(self);
    PyObject *timer = Py_None;
    PyObject *filters = NULL;
    double unit = 0.0;
    int subcalls = 1;
    int builtins = 1;
    int paths = 0;
    unsigned long long max_bytes = 0;
    const char *clock = "wall";
    const char *threads = "all";
    const char *coroutines = "steps";
    if (!PyArg_ParseTupleAndKeywords(args, names, "|Odpp$ssspOK:Profiler",
                                     keywords, &timer, &unit, &subcalls,
                                     &builtins, &clock, &threads, &coroutines,
                                     &paths, &filters, &max_bytes)) {
        return -1;
    }
    int which_clock = word_of("clock", clock, clocks);
    int which_threads = word_of("threads", threads, whose);
    int which_steps = word_of("coroutines", coroutines, steps);
    if (which_clock < 0 || which_threads < 0 || which_steps < 0 ||
        !may_begin_anew(p)) {
        return -1;
    }
    memset(&p->opts, 0, sizeof(p->opts));
    p->opts.sz = sizeof(p->opts);
    p->opts.clock = which_clock == 0 ? PYPROF_CLOCK_WALL : PYPROF_CLOCK_CPU;
    p->opts.max_bytes = max_bytes;
    p->opts.flags =
        (which_threads == 1 ? (uint64_t)PYPROF_TRACE_THIS_THREAD : 0) |
        (which_steps == 1 ? (uint64_t)PYPROF_TRACE_WHOLE_COROUTINES : 0) |
        (paths ? (uint64_t)PYPROF_TRACE_PATHS : 0) |
        (p->is_exclusive ? (uint64_t)PYPROF_TRACE_EXCLUSIVE : 0);
    set_switches(p, subcalls, builtins);
    set_timer(p, timer, unit);
    return new_tracer(p, filters);
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *names,
                      int is_exclusive)
{
    (void)args;
    (void)names;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self != NULL) {
        of(self)->is_exclusive = is_exclusive;
    }
    return self;
}

static PyObject *profiler_new(PyTypeObject *type, PyObject *args,
                              PyObject *names)
{
    return make(type, args, names, 0);
}

static PyObject *exclusive_new(PyTypeObject *type, PyObject *args,
                               PyObject *names)
{
    return make(type, args, names, 1);
}

static void profiler_dealloc(PyObject *self)
{
    profiler *p = of(self);
    PyTypeObject *type = Py_TYPE(self);
    pyprof_tracer_free(p->tracer);
    Py_XDECREF(p->timer);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static int is_made(const profiler *p)
{
    if (p->tracer == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Profiler.__init__ was not called");
        return 0;
    }
    return 1;
}

/* ---- on and off -------------------------------------------------------- */

static PyObject *enable(PyObject *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"subcalls", "builtins", NULL};
    profiler *p = of(self);
    pyprof_error err = PYPROF_ERROR_INIT;
    int subcalls = -1;
    int builtins = -1;
    if (!PyArg_ParseTupleAndKeywords(args, names, "|pp:enable", keywords,
                                     &subcalls, &builtins) ||
        !is_made(p)) {
        return NULL;
    }
    set_switches(p, subcalls, builtins);
    if (subcalls >= 0 || builtins >= 0) {
        (void)pyprof_tracer_set_flags(p->tracer, p->opts.flags, &err);
    }
    if (err.status == PYPROF_OK) {
        (void)pyprof_tracer_install(p->tracer, &err);
    }
    if (err.status != PYPROF_OK) {
        return libpyprof_raise(&err);
    }
    Py_RETURN_NONE;
}

/* Why something is refused while a timer runs. */
static PyObject *in_timer(const pyprof_error *err, const char *what)
{
    if (err->status != PYPROF_ERR_BUSY) {
        return libpyprof_raise(err);
    }
    PyErr_Format(PyExc_RuntimeError, "cannot %s profiler in external timer",
                 what);
    return NULL;
}

static PyObject *disable(PyObject *self, PyObject *ignored)
{
    profiler *p = of(self);
    pyprof_error err = PYPROF_ERROR_INIT;
    (void)ignored;
    if (!is_made(p)) {
        return NULL;
    }
    if (pyprof_tracer_uninstall(p->tracer, &err) != PYPROF_OK) {
        return in_timer(&err, "disable");
    }
    Py_RETURN_NONE;
}

static PyObject *clear(PyObject *self, PyObject *ignored)
{
    profiler *p = of(self);
    pyprof_error err = PYPROF_ERROR_INIT;
    (void)ignored;
    if (!is_made(p)) {
        return NULL;
    }
    if (pyprof_tracer_clear(p->tracer, &err) != PYPROF_OK) {
        return in_timer(&err, "clear");
    }
    Py_RETURN_NONE;
}

/* ---- results ----------------------------------------------------------- */

static PyObject *getstats(PyObject *self, PyObject *ignored)
{
    profiler *p = of(self);
    pyprof_error err = PYPROF_ERROR_INIT;
    (void)ignored;
    if (!is_made(p)) {
        return NULL;
    }
    libpyprof_taking t = {
        .types = &shown_types,
        .entries = PyList_New(0),
        .has_callers = (p->opts.flags & PYPROF_TRACE_NO_CALLERS) == 0,
    };
    if (t.entries == NULL) {
        return NULL;
    }
    if (pyprof_tracer_snapshot(p->tracer, libpyprof_take, &t, &err) !=
        PYPROF_OK) {
        Py_DECREF(t.entries);
        return PyErr_Occurred() ? NULL : libpyprof_raise(&err);
    }
    return t.entries;
}

static pyprof_status write_format(profiler *p, const char *format,
                                  const char *path, pyprof_error *err)
{
    pyprof_collector *collector = NULL;
    pyprof_writer *writer = NULL;
    pyprof_status status =
        pyprof_collector_new_format(format, NULL, &collector, err);
    if (status == PYPROF_OK) {
        status = pyprof_tracer_collect(p->tracer, collector, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_writer_open_path(path, NULL, &writer, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_collector_write(collector, writer, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_writer_finish(writer, err);
    }
    pyprof_writer_close(writer);
    pyprof_collector_free(collector);
    return status;
}

static PyObject *write_file(PyObject *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"path", "format", NULL};
    profiler *p = of(self);
    pyprof_error err = PYPROF_ERROR_INIT;
    PyObject *path = NULL;
    const char *format = "pstats";
    if (!PyArg_ParseTupleAndKeywords(args, names, "O&|s:write", keywords,
                                     PyUnicode_FSConverter, &path, &format)) {
        return NULL;
    }
    char *bytes = PyBytes_AsString(path);
    pyprof_status status = PYPROF_ERR_INVALID;
    if (bytes != NULL && is_made(p)) {
        status = write_format(p, format, bytes, &err);
    }
    Py_DECREF(path);
    if (status != PYPROF_OK) {
        return PyErr_Occurred() ? NULL : libpyprof_raise(&err);
    }
    Py_RETURN_NONE;
}

static PyObject *counters(PyObject *self, PyObject *ignored)
{
    profiler *p = of(self);
    pyprof_tracer_stats stats = {.sz = sizeof(stats)};
    (void)ignored;
    if (!is_made(p)) {
        return NULL;
    }
    (void)pyprof_tracer_read_stats(p->tracer, &stats);
    return Py_BuildValue(
        "{sKsKsKsKsKsKsisi}", "functions", (unsigned long long)stats.functions,
        "callers", (unsigned long long)stats.callers, "paths",
        (unsigned long long)stats.paths, "threads",
        (unsigned long long)stats.threads, "bytes",
        (unsigned long long)stats.bytes, "folded",
        (unsigned long long)stats.folded, "tool_id", (int)stats.tool_id,
        "is_installed", (int)stats.is_installed);
}

/* ---- the names of _lsprof's callbacks ---------------------------------- */

/* Events come to hooks of the library, not to these. They take what
 * sys.monitoring gives to a callback, and leave it. */
static PyObject *two(PyObject *self, PyObject *args)
{
    PyObject *given[2];
    (void)self;
    if (!PyArg_UnpackTuple(args, "_pystart_callback", 2, 2, &given[0],
                           &given[1])) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *three(PyObject *self, PyObject *args)
{
    PyObject *given[3];
    (void)self;
    if (!PyArg_UnpackTuple(args, "_pyreturn_callback", 3, 3, &given[0],
                           &given[1], &given[2])) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *four(PyObject *self, PyObject *args)
{
    PyObject *given[4];
    (void)self;
    if (!PyArg_UnpackTuple(args, "_ccall_callback", 4, 4, &given[0], &given[1],
                           &given[2], &given[3])) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- types ------------------------------------------------------------- */

#define WITH_NAMES(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"enable", WITH_NAMES(enable), METH_VARARGS | METH_KEYWORDS,
     "enable(subcalls=True, builtins=True): start collecting. What is not "
     "given stays as it was."},
    {"disable", disable, METH_NOARGS, "disable(): stop collecting."},
    {"clear", clear, METH_NOARGS, "clear(): forget what was collected."},
    {"getstats", getstats, METH_NOARGS,
     "getstats(): a list of profiler_entry, one for each function."},
    {"write", WITH_NAMES(write_file), METH_VARARGS | METH_KEYWORDS,
     "write(path, format='pstats'): a file, in any format that the library "
     "has; those made of stacks need paths=True."},
    {"counters", counters, METH_NOARGS,
     "counters(): how much is recorded, as a dict."},
    {"_pystart_callback", two, METH_VARARGS, NULL},
    {"_pythrow_callback", three, METH_VARARGS, NULL},
    {"_pyreturn_callback", three, METH_VARARGS, NULL},
    {"_ccall_callback", four, METH_VARARGS, NULL},
    {"_creturn_callback", four, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyStructSequence_Field entry_fields[] = {
    {"code", "code object, or the name of a C function"},
    {"callcount", "how many times it was called"},
    {"reccallcount", "how many of these were recursive"},
    {"totaltime", "seconds in it and what it called"},
    {"inlinetime", "seconds in it alone"},
    {"calls", "what it called: a list of profiler_subentry, or None"},
    {NULL, NULL},
};

static PyStructSequence_Desc entry_desc = {
    "_lsprof.profiler_entry", "Calls of one function.", entry_fields, 6};
static PyStructSequence_Desc subentry_desc = {
    "_lsprof.profiler_subentry", "Calls of one function by another.",
    entry_fields, 5};

#define DOC                                                                \
    "Profiler(timer=None, timeunit=0.0, subcalls=True, builtins=True, *, " \
    "clock='wall', threads='all', coroutines='steps', paths=False, "       \
    "filters=None, max_bytes=0)"

static PyType_Slot shared_slots[] = {
    {Py_tp_new, (void *)profiler_new},
    {Py_tp_init, (void *)profiler_init},
    {Py_tp_dealloc, (void *)profiler_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, DOC},
    {0, NULL},
};

static PyType_Slot exclusive_slots[] = {
    {Py_tp_new, (void *)exclusive_new},
    {Py_tp_init, (void *)profiler_init},
    {Py_tp_dealloc, (void *)profiler_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, DOC},
    {0, NULL},
};

static PyType_Spec shared_spec = {
    .name = "_lsprof.Profiler",
    .basicsize = sizeof(profiler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = shared_slots,
};

static PyType_Spec exclusive_spec = {
    .name = "_lsprof.Profiler",
    .basicsize = sizeof(profiler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = exclusive_slots,
};

static int add(PyObject *module, const char *name, PyObject *made)
{
    if (made == NULL || PyModule_AddObject(module, name, made) != 0) {
        Py_XDECREF(made);
        return -1;
    }
    return 0;
}

int libpyprof_add_tracing(PyObject *module)
{
    if (shown_types.entry == NULL) {
        shown_types.entry = PyStructSequence_NewType(&entry_desc);
        shown_types.subentry = PyStructSequence_NewType(&subentry_desc);
    }
    Py_XINCREF((PyObject *)shown_types.entry);
    Py_XINCREF((PyObject *)shown_types.subentry);
    return add(module, "profiler_entry", (PyObject *)shown_types.entry) ||
                   add(module, "profiler_subentry",
                       (PyObject *)shown_types.subentry) ||
                   add(module, "Profiler", PyType_FromSpec(&shared_spec)) ||
                   add(module, "ExclusiveProfiler",
                       PyType_FromSpec(&exclusive_spec))
               ? -1
               : 0;
}
