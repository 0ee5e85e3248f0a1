/*
 * module: the extension module libpyprof._native. It makes what the files
 * beside it define, and turns statuses into exceptions.
 */
#include "module.h"

PyObject *libpyprof_raise(const pyprof_error *err)
{
    PyObject *kind = PyExc_RuntimeError;
    switch (err->status) {
    case PYPROF_ERR_NO_MEMORY:
        kind = PyExc_MemoryError;
        break;
    case PYPROF_ERR_INVALID:
    case PYPROF_ERR_UNSUPPORTED:
    case PYPROF_ERR_NO_FORMAT:
    case PYPROF_ERR_BUSY:
        kind = PyExc_ValueError;
        break;
    case PYPROF_ERR_IO:
    case PYPROF_ERR_OS:
        kind = PyExc_OSError;
        break;
    default:
        break;
    }
    if (kind == PyExc_OSError && err->os_errno != 0) {
        PyObject *arguments =
            Py_BuildValue("(is)", (int)err->os_errno, err->message);
        if (arguments != NULL) {
            PyErr_SetObject(kind, arguments);
            Py_DECREF(arguments);
        }
        return NULL;
    }
    PyErr_SetString(kind, err->message);
    return NULL;
}

PyObject *libpyprof_text(pyprof_text text)
{
    return PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.size,
                                "surrogateescape");
}

static PyObject *version(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    return PyUnicode_FromString(pyprof_version_string());
}

static PyMethodDef functions[] = {
    {"version", version, METH_NOARGS, "Version of the library that is used."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "libpyprof._native",
    .m_doc = "The C library, for the modules of libpyprof.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) {
        return NULL;
    }
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    if (libpyprof_add_tracing(module) != 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
