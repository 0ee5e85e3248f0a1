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

/* Adds the classes of tracing.c to the module; -1 with an exception set. */
int libpyprof_add_tracing(PyObject *module);

#endif /* LIBPYPROF_MODULE_H */
