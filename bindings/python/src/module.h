/*
 * module: what the files of the extension share. It is written against the
 * limited API of 3.8 and the public headers, so one binary serves every Python
 * with a GIL; a free-threaded one needs a build of its own.
 */
#ifndef LIBPYPROF_MODULE_H
#define LIBPYPROF_MODULE_H

#ifndef LIBPYPROF_FREE_THREADED
#define Py_LIMITED_API 0x03080000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pyprof/pyprof.h>

/* Sets the Python exception that stands for a status; returns NULL. */
PyObject *libpyprof_raise(const pyprof_error *err);

/* Text of the library as a str: bytes that are no UTF-8 as Python has them. */
PyObject *libpyprof_text(pyprof_text text);

/* The structure sequences of getstats(). */
typedef struct libpyprof_types {
    PyTypeObject *entry;
    PyTypeObject *subentry;
} libpyprof_types;

/* What goes with a snapshot. */
typedef struct libpyprof_taking {
    const libpyprof_types *types;
    PyObject *entries; /* a list, in the order of the rows */
    int has_callers;
} libpyprof_taking;

/* Takes a snapshot for pyprof_tracer_snapshot; `user` is a libpyprof_taking.
 * Not 0: an exception is set. */
int32_t libpyprof_take(void *user, const pyprof_calls *calls);

/* Adds the classes of tracing.c to the module; -1 with an exception set. */
int libpyprof_add_tracing(PyObject *module);

#endif /* LIBPYPROF_MODULE_H */
