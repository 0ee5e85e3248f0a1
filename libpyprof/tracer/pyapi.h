/*
 * pyapi: the Python C API as the tracer needs it, found in this process at run
 * time. Nothing else of the library knows it. What the API does not say (where
 * in an object something is) is found out from objects that are there, and
 * checked, before it is used.
 *
 * All functions need Python's lock (an attached thread), but those marked.
 * None leaves an exception set, and one that was set stays.
 */
#ifndef PP_TRACER_PYAPI_H
#define PP_TRACER_PYAPI_H

#include "base/base.h"

/* A PyObject; never looked into but through the offsets below. */
typedef struct pp_py_object pp_py_object;

typedef pp_py_object *(*pp_py_vectorcall)(pp_py_object *self,
                                          pp_py_object *const *args,
                                          size_t n_args, pp_py_object *names);
typedef int (*pp_py_tracefunc)(pp_py_object *self, pp_py_object *frame,
                               int what, pp_py_object *arg);

/* What there is of functions: X(result, name, symbol, arguments). */
#define PP_PY_NEEDED(X)                                                       \
    X(int, is_initialized, "Py_IsInitialized", (void))                        \
    X(const char *, get_version, "Py_GetVersion", (void))                     \
    X(int, gil_state_ensure, "PyGILState_Ensure", (void))                     \
    X(void, gil_state_release, "PyGILState_Release", (int state))             \
    X(void *, eval_save_thread, "PyEval_SaveThread", (void))                  \
    X(void, eval_restore_thread, "PyEval_RestoreThread", (void *thread))      \
    X(void *, thread_state_get, "PyThreadState_Get", (void))                  \
    X(void *, thread_state_swap, "PyThreadState_Swap", (void *thread))        \
    X(void *, thread_state_next, "PyThreadState_Next", (void *thread))        \
    X(void *, interpreter_state_thread_head, "PyInterpreterState_ThreadHead", \
      (void *interpreter))                                                    \
    X(pp_py_object *, interpreter_state_get_dict,                             \
      "PyInterpreterState_GetDict", (void *interpreter))                      \
    X(void, eval_set_profile, "PyEval_SetProfile",                            \
      (pp_py_tracefunc function, pp_py_object * self))                        \
    X(pp_py_object *, eval_get_frame, "PyEval_GetFrame", (void))              \
    X(void, inc_ref, "Py_IncRef", (pp_py_object * object))                    \
    X(void, dec_ref, "Py_DecRef", (pp_py_object * object))                    \
    X(pp_py_object *, err_occurred, "PyErr_Occurred", (void))                 \
    X(void, err_clear, "PyErr_Clear", (void))                                 \
    X(void, err_fetch, "PyErr_Fetch",                                         \
      (pp_py_object * *type, pp_py_object * *value, pp_py_object * *trace))   \
    X(void, err_restore, "PyErr_Restore",                                     \
      (pp_py_object * type, pp_py_object * value, pp_py_object * trace))      \
    X(pp_py_object *, import_import_module, "PyImport_ImportModule",          \
      (const char *name))                                                     \
    X(pp_py_object *, object_get_attr_string, "PyObject_GetAttrString",       \
      (pp_py_object * object, const char *name))                              \
    X(pp_py_object *, object_call_object, "PyObject_CallObject",              \
      (pp_py_object * callable, pp_py_object * arguments))                    \
    X(pp_py_object *, object_repr, "PyObject_Repr", (pp_py_object * object))  \
    X(pp_py_object *, object_str, "PyObject_Str", (pp_py_object * object))    \
    X(pp_py_object *, tuple_new, "PyTuple_New", (ptrdiff_t size))             \
    X(int, tuple_set_item, "PyTuple_SetItem",                                 \
      (pp_py_object * tuple, ptrdiff_t at, pp_py_object * item))              \
    X(pp_py_object *, long_from_long, "PyLong_FromLong", (long value))        \
    X(long, long_as_long, "PyLong_AsLong", (pp_py_object * number))           \
    X(pp_py_object *, unicode_from_string, "PyUnicode_FromString",            \
      (const char *text))                                                     \
    X(const char *, unicode_as_utf8_and_size, "PyUnicode_AsUTF8AndSize",      \
      (pp_py_object * text, ptrdiff_t * size))                                \
    X(pp_py_object *, unicode_as_encoded_string, "PyUnicode_AsEncodedString", \
      (pp_py_object * text, const char *encoding, const char *errors))        \
    X(int, bytes_as_string_and_size, "PyBytes_AsStringAndSize",               \
      (pp_py_object * bytes, char **text, ptrdiff_t *size))                   \
    X(pp_py_object *, object_get_item, "PyObject_GetItem",                    \
      (pp_py_object * object, pp_py_object * key))                            \
    X(pp_py_object *, dict_get_item_string, "PyDict_GetItemString",           \
      (pp_py_object * dict, const char *key))                                 \
    X(int, dict_set_item_string, "PyDict_SetItemString",                      \
      (pp_py_object * dict, const char *key, pp_py_object *value))            \
    X(pp_py_object *, type_from_spec, "PyType_FromSpec", (void *spec))        \
    X(pp_py_object *, type_generic_alloc, "PyType_GenericAlloc",              \
      (pp_py_object * type, ptrdiff_t n_items))                               \
    X(pp_py_object *, vectorcall_call, "PyVectorcall_Call",                   \
      (pp_py_object * self, pp_py_object * args, pp_py_object * names))       \
    X(int, type_is_subtype, "PyType_IsSubtype",                               \
      (pp_py_object * type, pp_py_object * base))                             \
    X(pp_py_object *, capsule_new, "PyCapsule_New",                           \
      (void *pointer, const char *name, void (*end)(pp_py_object * capsule))) \
    X(void *, capsule_get_pointer, "PyCapsule_GetPointer",                    \
      (pp_py_object * capsule, const char *name))                             \
    X(pp_py_object *, cfunction_get_self, "PyCFunction_GetSelf",              \
      (pp_py_object * function))                                              \
    X(pp_py_object *, module_get_name_object, "PyModule_GetNameObject",       \
      (pp_py_object * module))

/* Those that not every version has, or that are not for everyone. */
#define PP_PY_OPTIONAL(X)                                               \
    X(void *, interpreter_state_get, "PyInterpreterState_Get", (void))  \
    X(void *, private_interpreter_state_get, "_PyInterpreterState_Get", \
      (void))                                                           \
    X(void *, thread_state_get_unchecked, "PyThreadState_GetUnchecked", \
      (void))                                                           \
    X(void *, private_thread_state_unchecked_get,                       \
      "_PyThreadState_UncheckedGet", (void))                            \
    X(pp_py_object *, frame_get_code, "PyFrame_GetCode",                \
      (pp_py_object * frame))                                           \
    X(pp_py_object *, private_type_lookup, "_PyType_Lookup",            \
      (pp_py_object * type, pp_py_object * name))

/* Objects: X(name, symbol, is_needed). */
#define PP_PY_OBJECTS(X)                          \
    X(none_struct, "_Py_NoneStruct", 1)           \
    X(base_object_type, "PyBaseObject_Type", 1)   \
    X(code_type, "PyCode_Type", 1)                \
    X(module_type, "PyModule_Type", 1)            \
    X(unicode_type, "PyUnicode_Type", 1)          \
    X(cfunction_type, "PyCFunction_Type", 1)      \
    X(method_descr_type, "PyMethodDescr_Type", 1) \
    X(cmethod_type, "PyCMethod_Type", 0)

typedef struct pp_pyapi {
#define PP_PY_MEMBER(result, name, symbol, arguments) result(*name) arguments;
    PP_PY_NEEDED(PP_PY_MEMBER)
    PP_PY_OPTIONAL(PP_PY_MEMBER)
#undef PP_PY_MEMBER
#define PP_PY_MEMBER(name, symbol, is_needed) pp_py_object *name;
    PP_PY_OBJECTS(PP_PY_MEMBER)
#undef PP_PY_MEMBER
    size_t header;            /* bytes of an object's beginning */
    size_t type_at;           /* where in an object its type is */
    size_t function_method;   /* in a C function its method's definition */
    size_t descriptor_method; /* in a method descriptor the same */
    size_t descriptor_type;   /* in a method descriptor the type it is of */
    bool is_free_threaded;
    pp_py_object *monitoring; /* sys.monitoring; NULL before 3.12 */
} pp_pyapi;

/* Finds all of it. Needs no lock, takes it. PYPROF_ERR_NOT_PYTHON,
 * PYPROF_ERR_NOT_READY, PYPROF_ERR_UNSUPPORTED_TARGET as in tracer.h. */
pyprof_status pp_pyapi_load(pp_pyapi *api, pyprof_error *err);

/* Without Python's lock: takes it where this thread does not have it. */
typedef struct pp_py_lock {
    bool is_taken;
    int state;
} pp_py_lock;
void pp_pyapi_enter(const pp_pyapi *api, pp_py_lock *lock);
void pp_pyapi_leave(const pp_pyapi *api, const pp_py_lock *lock);

/* Keeps an exception that is set, around what may set another. */
typedef struct pp_py_error {
    pp_py_object *type, *value, *trace;
} pp_py_error;
void pp_pyapi_hold_error(const pp_pyapi *api, pp_py_error *held);
void pp_pyapi_put_error(const pp_pyapi *api, const pp_py_error *held);
/* What Python says went wrong, as our error; the exception is cleared. */
pyprof_status pp_pyapi_error(const pp_pyapi *api, pyprof_status status,
                             const char *what, pyprof_error *err);

/* Interpreter of the calling thread. */
void *pp_pyapi_interpreter(const pp_pyapi *api);

/* Calls a function of sys.monitoring with up to four arguments, whose
 * references are taken; NULL ones are left out at the end. A new reference, or
 * NULL with an exception set. */
pp_py_object *pp_pyapi_monitoring(const pp_pyapi *api, const char *function,
                                  pp_py_object *const arguments[4]);
/* sys.monitoring.events.NAME; 0 when there is none. */
long pp_pyapi_event(const pp_pyapi *api, const char *name);

/* A callable object with room for a pointer, and that pointer. `is_subject`
 * ones are called by vectorcall with `call`; they can be given to Python.
 * NULL with an exception set. */
pp_py_object *pp_pyapi_hook_new(const pp_pyapi *api, pp_py_object *type,
                                pp_py_vectorcall call, void *pointer);
/* The type of these. NULL with an exception set. */
pp_py_object *pp_pyapi_hook_type(const pp_pyapi *api);

/* The same place in every hook, whatever the build of Python is. */
enum { PP_PY_HOOK_AT = 64 };
typedef struct pp_py_hook {
    pp_py_vectorcall call;
    void *pointer;
} pp_py_hook;
static inline void *pp_pyapi_hook_pointer(const pp_py_object *hook)
{
    return ((const pp_py_hook *)(const void *)((const char *)hook +
                                               PP_PY_HOOK_AT))
        ->pointer;
}

/* A pointer inside of an object. */
static inline pp_py_object *pp_pyapi_at(const pp_py_object *object, size_t at)
{
    return *(pp_py_object *const *)(const void *)((const char *)object + at);
}

static inline pp_py_object *pp_pyapi_type(const pp_pyapi *api,
                                          const pp_py_object *object)
{
    return pp_pyapi_at(object, api->type_at);
}

/* What identifies a C function, of what Python calls: the same for all methods
 * made of one definition. NULL: it is no C function that is recorded. `first`
 * is the first argument, of which a method descriptor has to be. */
static inline const void *pp_pyapi_method(const pp_pyapi *api,
                                          const pp_py_object *callable,
                                          const pp_py_object *first)
{
    const pp_py_object *type = pp_pyapi_type(api, callable);
    if (type == api->method_descr_type) {
        pp_py_object *of = pp_pyapi_at(callable, api->descriptor_type);
        pp_py_object *given = pp_pyapi_type(api, first);
        if (PP_LIKELY(given == of) || api->type_is_subtype(given, of)) {
            return pp_pyapi_at(callable, api->descriptor_method);
        }
        return NULL;
    }
    if (type == api->cfunction_type ||
        (type == api->cmethod_type && type != NULL)) {
        return pp_pyapi_at(callable, api->function_method);
    }
    return NULL;
}

/* Where the code object is in a frame, for those before 3.12. */
typedef struct pp_py_frame_layout {
    size_t outer; /* in the frame object: the code, or the inner frame */
    size_t inner; /* in the inner frame: the code; SIZE_MAX: there is none */
} pp_py_frame_layout;
/* Finds it in a frame that runs; false when it can't be found. */
bool pp_pyapi_frame_layout(const pp_pyapi *api, pp_py_object *frame,
                           pp_py_frame_layout *out);
static inline const void *pp_pyapi_frame_code(const pp_py_frame_layout *layout,
                                              const pp_py_object *frame)
{
    const pp_py_object *found = pp_pyapi_at(frame, layout->outer);
    return layout->inner == SIZE_MAX ? found
                                     : pp_pyapi_at(found, layout->inner);
}

/* Of the frame of a generator or coroutine at such an event: whether it goes on
 * after it was suspended; whether it is suspended, and does not return. */
bool pp_pyapi_frame_is_resumed(const pp_pyapi *api, pp_py_object *frame);
bool pp_pyapi_frame_is_suspended(const pp_pyapi *api, pp_py_object *frame);

/* Text that was taken from an object; give it back. */
typedef struct pp_py_text {
    pyprof_text text;
    pp_py_object *owner; /* NULL: none */
} pp_py_text;
/* An attribute as UTF-8, where it is text. Characters that are no text (bytes
 * of a path, say) come as they are on disk. False when it isn't there. */
bool pp_pyapi_text(const pp_pyapi *api, pp_py_object *object, const char *name,
                   pp_py_text *out);
void pp_pyapi_text_free(const pp_pyapi *api, pp_py_text *text);
/* An attribute as a number; `otherwise` where it is none. */
long pp_pyapi_number(const pp_pyapi *api, pp_py_object *object,
                     const char *name, long otherwise);

/* What cProfile shows of a C function: "<built-in method builtins.len>".
 * `first` is as in pp_pyapi_method. False when out of memory. */
bool pp_pyapi_describe(const pp_pyapi *api, pp_py_object *callable,
                       pp_py_object *first, const pp_allocator *a,
                       char **out_text);
/* __name__ of the module that a C function is of, or that the frame which runs
 * is of (callable NULL). False when there is none. */
bool pp_pyapi_module(const pp_pyapi *api, pp_py_object *callable,
                     pp_py_object *frame, pp_py_text *out);

#endif /* PP_TRACER_PYAPI_H */
