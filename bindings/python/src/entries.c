/*
 * entries: what a tracer recorded as getstats() has it. In go rows, out comes a
 * list of profiler_entry, in which each function lists what it called (rows
 * list their callers).
 */
#include "module.h"

static PyObject *code_of(const pyprof_function_calls *row)
{
    union {
        const void *from;
        PyObject *to;
    } code;
    code.from = row->code;
    if (code.to != NULL) {
        Py_INCREF(code.to);
        return code.to;
    }
    return libpyprof_text(row->name);
}

/* Takes the references; NULL where one of them is. */
static PyObject *record(PyTypeObject *type, PyObject *const *fields,
                        Py_ssize_t n)
{
    PyObject *made = PyStructSequence_New(type);
    int is_whole = made != NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        is_whole = is_whole && fields[i] != NULL;
        if (made != NULL) {
            PyStructSequence_SetItem(made, i, fields[i]);
        } else {
            Py_XDECREF(fields[i]);
        }
    }
    if (!is_whole) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}

static PyObject *entry_of(const libpyprof_taking *t,
                          const pyprof_function_calls *row)
{
    PyObject *calls = Py_None;
    Py_INCREF(calls);
    PyObject *const fields[] = {
        code_of(row),
        PyLong_FromUnsignedLongLong(row->calls),
        PyLong_FromUnsignedLongLong(row->calls - row->primitive_calls),
        PyFloat_FromDouble(row->total_time),
        PyFloat_FromDouble(row->own_time),
        calls,
    };
    return record(t->types->entry, fields, 6);
}

/* Adds a call to the list of its caller's entry. */
static int add_call(const libpyprof_taking *t, const pyprof_calls *calls,
                    const pyprof_function_calls *callee,
                    const pyprof_caller_calls *edge)
{
    PyObject *entry = PyList_GetItem(t->entries, (Py_ssize_t)edge->caller);
    PyObject *own =
        PyList_GetItem(t->entries, (Py_ssize_t)(callee - calls->functions));
    PyObject *list = entry != NULL ? PyStructSequence_GetItem(entry, 5) : NULL;
    PyObject *code = own != NULL ? PyStructSequence_GetItem(own, 0) : NULL;
    if (list == NULL || code == NULL) {
        return -1;
    }
    if (list == Py_None) {
        list = PyList_New(0);
        if (list == NULL) {
            return -1;
        }
        PyStructSequence_SetItem(entry, 5, list);
        Py_DECREF(Py_None); /* which it had before */
    }
    Py_INCREF(code);
    PyObject *const fields[] = {
        code,
        PyLong_FromUnsignedLongLong(edge->calls),
        PyLong_FromUnsignedLongLong(edge->calls - edge->primitive_calls),
        PyFloat_FromDouble(edge->total_time),
        PyFloat_FromDouble(edge->own_time),
    };
    PyObject *made = record(t->types->subentry, fields, 5);
    int answer = made != NULL ? PyList_Append(list, made) : -1;
    Py_XDECREF(made);
    return answer;
}

int32_t libpyprof_take(void *user, const pyprof_calls *calls)
{
    const libpyprof_taking *t = user;
    for (uint64_t i = 0; i < calls->n_functions; i++) {
        PyObject *entry = entry_of(t, &calls->functions[i]);
        int failed = entry == NULL || PyList_Append(t->entries, entry) != 0;
        Py_XDECREF(entry);
        if (failed) {
            return 1;
        }
    }
    for (uint64_t i = 0; i < calls->n_functions && t->has_callers; i++) {
        const pyprof_function_calls *row = &calls->functions[i];
        for (uint64_t j = 0; j < row->n_callers; j++) {
            if (add_call(t, calls, row,
                         &calls->callers[row->first_caller + j]) != 0) {
                return 1;
            }
        }
    }
    return 0;
}
