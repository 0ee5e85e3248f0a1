/*
 * pyapi: finds the Python C API and what it does not say. In go names, out
 * come functions, types and offsets that were checked against objects.
 *
 * Invariant: nothing is used that was not found and checked before, so a
 * Python of another shape is an error and not a crash.
 *
 * It must not know what is traced.
 */
#include "tracer/pyapi.h"

#include "os/os.h"

#include <string.h>

/* ---- finding ----------------------------------------------------------- */

typedef struct symbol {
    const char *name;
    size_t at; /* in pp_pyapi */
    bool is_needed;
} symbol;

static const symbol symbols[] = {
#define NEEDED(result, name, symbol, arguments) \
    {symbol, offsetof(pp_pyapi, name), true},
    PP_PY_NEEDED(NEEDED)
#undef NEEDED
#define OPTIONAL(result, name, symbol, arguments) \
    {symbol, offsetof(pp_pyapi, name), false},
        PP_PY_OPTIONAL(OPTIONAL)
#undef OPTIONAL
#define OBJECT(name, symbol, is_needed) \
    {symbol, offsetof(pp_pyapi, name), is_needed},
            PP_PY_OBJECTS(OBJECT)
#undef OBJECT
};

static pyprof_status find_symbols(pp_pyapi *api, pyprof_error *err)
{
    for (size_t i = 0; i < PP_COUNT_OF(symbols); i++) {
        void *found = pp_os_symbol(symbols[i].name);
        if (found == NULL && symbols[i].is_needed) {
            return pp_error_set(
                err,
                i == 0 ? PYPROF_ERR_NOT_PYTHON : PYPROF_ERR_UNSUPPORTED_TARGET,
                "no %s in this process: is libpython linked, or loaded with "
                "RTLD_GLOBAL?",
                symbols[i].name);
        }
        /* functions and objects are of one size here, as POSIX has it */
        memcpy((char *)api + symbols[i].at, &found, sizeof(found));
    }
    return PYPROF_OK;
}

/* ---- lock and errors --------------------------------------------------- */

static bool is_attached(const pp_pyapi *api)
{
    if (api->thread_state_get_unchecked != NULL) {
        return api->thread_state_get_unchecked() != NULL;
    }
    if (api->private_thread_state_unchecked_get != NULL) {
        return api->private_thread_state_unchecked_get() != NULL;
    }
    return false; /* PyGILState_Ensure knows, but for other interpreters */
}

void pp_pyapi_enter(const pp_pyapi *api, pp_py_lock *lock)
{
    lock->is_taken = !is_attached(api);
    lock->state = lock->is_taken ? api->gil_state_ensure() : 0;
}

void pp_pyapi_leave(const pp_pyapi *api, const pp_py_lock *lock)
{
    if (lock->is_taken) {
        api->gil_state_release(lock->state);
    }
}

void pp_pyapi_hold_error(const pp_pyapi *api, pp_py_error *held)
{
    *held = (pp_py_error){NULL, NULL, NULL};
    if (api->err_occurred() != NULL) {
        api->err_fetch(&held->type, &held->value, &held->trace);
    }
}

void pp_pyapi_put_error(const pp_pyapi *api, const pp_py_error *held)
{
    if (held->type != NULL) {
        api->err_restore(held->type, held->value, held->trace);
    } else if (api->err_occurred() != NULL) {
        api->err_clear();
    }
}

static void drop(const pp_pyapi *api, pp_py_object *object)
{
    if (object != NULL) {
        api->dec_ref(object);
    }
}

pyprof_status pp_pyapi_error(const pp_pyapi *api, pyprof_status status,
                             const char *what, pyprof_error *err)
{
    pp_py_error raised = {NULL, NULL, NULL};
    api->err_fetch(&raised.type, &raised.value, &raised.trace);
    pp_py_object *text =
        raised.value != NULL ? api->object_str(raised.value) : NULL;
    const char *said =
        text != NULL ? api->unicode_as_utf8_and_size(text, NULL) : NULL;
    status = pp_error_set(err, status, "%s: %s", what,
                          said != NULL ? said : "Python failed");
    drop(api, text);
    drop(api, raised.type);
    drop(api, raised.value);
    drop(api, raised.trace);
    api->err_clear();
    return status;
}

void *pp_pyapi_interpreter(const pp_pyapi *api)
{
    return api->interpreter_state_get != NULL
               ? api->interpreter_state_get()
               : api->private_interpreter_state_get();
}

/* ---- attributes -------------------------------------------------------- */

/* A new reference or NULL; no exception either way. */
static pp_py_object *attribute(const pp_pyapi *api, pp_py_object *object,
                               const char *name)
{
    pp_py_object *found = api->object_get_attr_string(object, name);
    if (found == NULL) {
        api->err_clear();
    }
    return found;
}

long pp_pyapi_number(const pp_pyapi *api, pp_py_object *object,
                     const char *name, long otherwise)
{
    pp_py_object *found = attribute(api, object, name);
    if (found == NULL) {
        return otherwise;
    }
    long number = api->long_as_long(found);
    if (number == -1 && api->err_occurred() != NULL) {
        api->err_clear();
        number = otherwise;
    }
    api->dec_ref(found);
    return number;
}

/* Encodes text that is not plain UTF-8; `*out_owner` holds the bytes. */
static bool encode(const pp_pyapi *api, pp_py_object *text,
                   const char **out_data, ptrdiff_t *out_size,
                   pp_py_object **out_owner)
{
    static const char *const ways[] = {"surrogateescape", "backslashreplace"};
    for (size_t i = 0; i < PP_COUNT_OF(ways); i++) {
        pp_py_object *bytes =
            api->unicode_as_encoded_string(text, "utf-8", ways[i]);
        char *data = NULL;
        if (bytes != NULL &&
            api->bytes_as_string_and_size(bytes, &data, out_size) == 0) {
            *out_data = data;
            *out_owner = bytes;
            return true;
        }
        drop(api, bytes);
        api->err_clear();
    }
    return false;
}

/* Takes the reference `found`. */
static bool text_of(const pp_pyapi *api, pp_py_object *found, pp_py_text *out)
{
    const char *data = NULL;
    ptrdiff_t size = 0;
    if (!api->type_is_subtype(pp_pyapi_type(api, found), api->unicode_type)) {
        api->dec_ref(found);
        return false;
    }
    data = api->unicode_as_utf8_and_size(found, &size);
    out->owner = found;
    if (data == NULL) {
        api->err_clear();
        bool is_done = encode(api, found, &data, &size, &out->owner);
        api->dec_ref(found);
        if (!is_done) {
            return false;
        }
    }
    out->text = (pyprof_text){.data = data, .size = (uint64_t)size};
    return true;
}

bool pp_pyapi_text(const pp_pyapi *api, pp_py_object *object, const char *name,
                   pp_py_text *out)
{
    pp_py_object *found = attribute(api, object, name);
    return found != NULL && text_of(api, found, out);
}

void pp_pyapi_text_free(const pp_pyapi *api, pp_py_text *text)
{
    drop(api, text->owner);
    text->owner = NULL;
}

/* ---- sys.monitoring ---------------------------------------------------- */

/* Takes the references of the arguments. */
static pp_py_object *call(const pp_pyapi *api, pp_py_object *callable,
                          pp_py_object *const *arguments, ptrdiff_t n)
{
    pp_py_object *tuple = api->tuple_new(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (tuple == NULL) {
            drop(api, arguments[i]);
        } else if (api->tuple_set_item(tuple, i, arguments[i]) != 0) {
            api->dec_ref(tuple);
            tuple = NULL;
        }
    }
    pp_py_object *result =
        tuple != NULL ? api->object_call_object(callable, tuple) : NULL;
    drop(api, tuple);
    return result;
}

pp_py_object *pp_pyapi_monitoring(const pp_pyapi *api, const char *function,
                                  pp_py_object *const arguments[4])
{
    ptrdiff_t n = 0;
    while (n < 4 && arguments[n] != NULL) {
        n++;
    }
    pp_py_object *callable =
        api->object_get_attr_string(api->monitoring, function);
    if (callable == NULL) {
        for (ptrdiff_t i = 0; i < n; i++) {
            api->dec_ref(arguments[i]);
        }
        return NULL;
    }
    pp_py_object *result = call(api, callable, arguments, n);
    api->dec_ref(callable);
    return result;
}

long pp_pyapi_event(const pp_pyapi *api, const char *name)
{
    pp_py_object *events = attribute(api, api->monitoring, "events");
    if (events == NULL) {
        return 0;
    }
    long event = pp_pyapi_number(api, events, name, 0);
    api->dec_ref(events);
    return event;
}

/* ---- hooks ------------------------------------------------------------- */

/* As in CPython's headers, the same since 3.2. */
typedef struct type_slot {
    int slot;
    void *value;
} type_slot;

typedef struct type_spec {
    const char *name;
    int basicsize;
    int itemsize;
    unsigned flags;
    type_slot *slots;
} type_spec;

typedef struct member_def {
    const char *name;
    int type;
    ptrdiff_t offset;
    int flags;
    const char *doc;
} member_def;

enum {
    SLOT_CALL = 50,
    SLOT_MEMBERS = 72,
    MEMBER_SSIZE = 19,
    MEMBER_READONLY = 1,
    FLAGS_DEFAULT = 1 << 18,
    FLAG_VECTORCALL = 1 << 11
};

pp_py_object *pp_pyapi_hook_type(const pp_pyapi *api)
{
    static const member_def members[] = {
        {"__vectorcalloffset__", MEMBER_SSIZE,
         (ptrdiff_t)(PP_PY_HOOK_AT + offsetof(pp_py_hook, call)),
         MEMBER_READONLY, NULL},
        {NULL, 0, 0, 0, NULL},
    };
    type_slot slots[3] = {{0, NULL}, {0, NULL}, {0, NULL}};
    type_spec spec = {
        .name = "libpyprof.hook",
        .basicsize = PP_PY_HOOK_AT + (int)sizeof(pp_py_hook),
        .flags = FLAGS_DEFAULT,
        .slots = slots,
    };
    /* before 3.12 nothing calls a hook as an object */
    if (api->monitoring != NULL) {
        const member_def *first = members;
        slots[0].slot = SLOT_CALL;
        memcpy(&slots[0].value, &api->vectorcall_call, sizeof(void *));
        slots[1].slot = SLOT_MEMBERS;
        memcpy(&slots[1].value, &first, sizeof(void *));
        spec.flags |= FLAG_VECTORCALL;
    }
    return api->type_from_spec(&spec);
}

pp_py_object *pp_pyapi_hook_new(const pp_pyapi *api, pp_py_object *type,
                                pp_py_vectorcall function, void *pointer)
{
    pp_py_object *made = api->type_generic_alloc(type, 0);
    if (made != NULL) {
        pp_py_hook *hook = (pp_py_hook *)(void *)((char *)made + PP_PY_HOOK_AT);
        hook->call = function;
        hook->pointer = pointer;
    }
    return made;
}

/* ---- where things are in objects --------------------------------------- */

/* PyCFunctionObject and PyMethodDescrObject, after the header. */
enum { FUNCTION_METHOD = 0, FUNCTION_SELF = 8 };
enum { DESCRIPTOR_TYPE = 0, DESCRIPTOR_METHOD = 24 };

static bool check_functions(const pp_pyapi *api, pp_py_object *list)
{
    pp_py_object *bound = attribute(api, list, "append");
    pp_py_object *plain = attribute(api, pp_pyapi_type(api, list), "append");
    bool is_good =
        bound != NULL && plain != NULL &&
        pp_pyapi_type(api, bound) == api->cfunction_type &&
        pp_pyapi_type(api, plain) == api->method_descr_type &&
        pp_pyapi_at(bound, api->header + FUNCTION_SELF) == list &&
        api->cfunction_get_self(bound) == list &&
        pp_pyapi_at(plain, api->descriptor_type) == pp_pyapi_type(api, list) &&
        pp_pyapi_at(plain, api->descriptor_method) ==
            pp_pyapi_at(bound, api->function_method);
    drop(api, bound);
    drop(api, plain);
    return is_good;
}

/* A list to look at: sys.path, say. */
static bool check_objects(const pp_pyapi *api)
{
    pp_py_object *builtins = api->import_import_module("builtins");
    pp_py_object *type =
        builtins != NULL ? attribute(api, builtins, "list") : NULL;
    pp_py_object *list =
        type != NULL ? api->object_call_object(type, NULL) : NULL;
    bool is_good = list != NULL && pp_pyapi_type(api, list) == type &&
                   check_functions(api, list);
    api->err_clear();
    drop(api, builtins);
    drop(api, type);
    drop(api, list);
    return is_good;
}

static pyprof_status find_layout(pp_pyapi *api, pyprof_error *err)
{
    long header =
        pp_pyapi_number(api, api->base_object_type, "__basicsize__", 0);
    bool is_good =
        header >= 2 * (long)sizeof(void *) && header <= PP_PY_HOOK_AT;
    if (is_good) {
        api->header = (size_t)header;
        api->type_at = api->header - sizeof(void *);
        api->function_method = api->header + FUNCTION_METHOD;
        api->descriptor_type = api->header + DESCRIPTOR_TYPE;
        api->descriptor_method = api->header + DESCRIPTOR_METHOD;
        is_good = check_objects(api);
    }
    return is_good ? PYPROF_OK
                   : pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                                  "the objects of Python %.60s are not as "
                                  "this library knows them",
                                  api->get_version());
}

pyprof_status pp_pyapi_load(pp_pyapi *api, pyprof_error *err)
{
    memset(api, 0, sizeof(*api));
    PP_TRY(find_symbols(api, err));
    if (api->interpreter_state_get == NULL &&
        api->private_interpreter_state_get == NULL) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                            "Python %.60s is too old: 3.8 is the first",
                            api->get_version());
    }
    if (!api->is_initialized()) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "Python is not initialised in this process: "
                            "Py_Initialize comes first");
    }
    pp_py_lock lock;
    pp_py_error held;
    pp_pyapi_enter(api, &lock);
    pp_pyapi_hold_error(api, &held);
    api->is_free_threaded =
        strstr(api->get_version(), "free-threading") != NULL;
    pyprof_status status = find_layout(api, err);
    if (status == PYPROF_OK) {
        pp_py_object *sys = api->import_import_module("sys");
        /* kept for good: sys keeps it as well */
        api->monitoring =
            sys != NULL ? attribute(api, sys, "monitoring") : NULL;
        drop(api, sys);
    }
    pp_pyapi_put_error(api, &held);
    pp_pyapi_leave(api, &lock);
    return status;
}

/* Words of a frame, or of an inner one, that are looked at. */
enum { FRAME_WORDS = 4, INNER_WORDS = 8 };

bool pp_pyapi_frame_layout(const pp_pyapi *api, pp_py_object *frame,
                           pp_py_frame_layout *out)
{
    pp_py_error held;
    pp_pyapi_hold_error(api, &held);
    pp_py_object *code = attribute(api, frame, "f_code");
    pp_pyapi_put_error(api, &held);
    bool is_found = false;
    if (code == NULL) {
        return false;
    }
    for (size_t i = 0; i < FRAME_WORDS && !is_found; i++) {
        *out = (pp_py_frame_layout){.outer = api->header + i * sizeof(void *),
                                    .inner = SIZE_MAX};
        is_found = pp_pyapi_at(frame, out->outer) == code;
    }
    if (!is_found) {
        /* 3.11: after f_back comes the address of the inner frame */
        out->outer = api->header + sizeof(void *);
        const pp_py_object *inner = pp_pyapi_at(frame, out->outer);
        for (size_t i = 0; inner != NULL && i < INNER_WORDS && !is_found; i++) {
            out->inner = i * sizeof(void *);
            is_found = pp_pyapi_at(inner, out->inner) == code;
        }
    }
    api->dec_ref(code);
    return is_found;
}

/* Of versions before 3.12, which alone are asked. */
enum { OPCODE_RETURN_VALUE = 83, OPCODE_RESUME = 151, RESUME_KIND = 3 };

/* The instruction that a frame is at, and its argument; -1: none yet. An error
 * that is being raised stays. */
static int instruction_of(const pp_pyapi *api, pp_py_object *frame,
                          int *out_argument)
{
    pp_py_error held;
    pp_pyapi_hold_error(api, &held);
    long at = pp_pyapi_number(api, frame, "f_lasti", -1);
    pp_py_object *code = attribute(api, frame, "f_code");
    pp_py_object *bytes = code != NULL ? attribute(api, code, "co_code") : NULL;
    char *text = NULL;
    ptrdiff_t size = 0;
    int found = -1;
    if (bytes != NULL &&
        api->bytes_as_string_and_size(bytes, &text, &size) == 0 && at >= 0 &&
        at + 1 < size) {
        found = (unsigned char)text[at];
        *out_argument = (unsigned char)text[at + 1];
    }
    drop(api, bytes);
    drop(api, code);
    pp_pyapi_put_error(api, &held);
    return found;
}

bool pp_pyapi_frame_is_resumed(const pp_pyapi *api, pp_py_object *frame)
{
    int argument = 0;
    int found = instruction_of(api, frame, &argument);
    /* 3.11 has an instruction for it, which says where from */
    return found == OPCODE_RESUME ? (argument & RESUME_KIND) != 0 : found >= 0;
}

bool pp_pyapi_frame_is_suspended(const pp_pyapi *api, pp_py_object *frame)
{
    int argument = 0;
    int found = instruction_of(api, frame, &argument);
    return found >= 0 && found != OPCODE_RETURN_VALUE;
}

/* ---- names of C functions ---------------------------------------------- */

static bool copy_text(const pp_allocator *a, const char *const parts[5],
                      char **out)
{
    size_t size = 0;
    for (size_t i = 0; i < 5; i++) {
        size += strlen(parts[i]);
    }
    char *text = pp_alloc(a, size + 1);
    if (text == NULL) {
        return false;
    }
    *out = text;
    for (size_t i = 0; i < 5; i++) {
        size_t n = strlen(parts[i]);
        memcpy(text, parts[i], n);
        text += n;
    }
    *text = '\0';
    return true;
}

/* repr() of what a type has by a name, such as "<method 'append' of 'list'
 * objects>"; NULL when it has none. */
static pp_py_object *repr_of(const pp_pyapi *api, pp_py_object *type,
                             pp_py_object *name)
{
    pp_py_object *found = NULL;
    if (api->private_type_lookup != NULL) {
        found = api->private_type_lookup(type, name);
        if (found != NULL) {
            api->inc_ref(found);
        }
    } else {
        const char *text = api->unicode_as_utf8_and_size(name, NULL);
        found = text != NULL ? attribute(api, type, text) : NULL;
    }
    if (found == NULL) {
        api->err_clear();
        return NULL;
    }
    pp_py_object *repr = api->object_repr(found);
    api->dec_ref(found);
    if (repr == NULL) {
        api->err_clear();
    }
    return repr;
}

/* The module's name where it is given as text or as a module. A borrowed
 * `module` (may be NULL); a new reference or NULL. */
static pp_py_object *module_name(const pp_pyapi *api, pp_py_object *module,
                                 bool is_module_taken)
{
    if (module == NULL) {
        return NULL;
    }
    pp_py_object *type = pp_pyapi_type(api, module);
    if (api->type_is_subtype(type, api->unicode_type)) {
        api->inc_ref(module);
        return module;
    }
    if (!is_module_taken || !api->type_is_subtype(type, api->module_type)) {
        return NULL;
    }
    pp_py_object *name = api->module_get_name_object(module);
    if (name == NULL) {
        api->err_clear();
    }
    return name;
}

static const char *utf8(const pp_pyapi *api, pp_py_object *text)
{
    const char *data =
        text != NULL ? api->unicode_as_utf8_and_size(text, NULL) : NULL;
    if (text != NULL && data == NULL) {
        api->err_clear();
    }
    return data;
}

/* Of a function that has a `self`, the module's own functions among them. */
static bool describe_method(const pp_pyapi *api, pp_py_object *of,
                            pp_py_object *name, pp_py_object *module,
                            const pp_allocator *a, char **out)
{
    pp_py_object *repr = repr_of(api, of, name);
    const char *text = utf8(api, repr);
    bool is_done;
    if (text != NULL) {
        is_done =
            copy_text(a, (const char *const[]){text, "", "", "", ""}, out);
    } else {
        const char *called = utf8(api, name);
        const char *where = utf8(api, module);
        is_done = copy_text(a,
                            (const char *const[]){
                                "<built-in method ", where != NULL ? where : "",
                                where != NULL ? "." : "",
                                called != NULL ? called : "?", ">"},
                            out);
    }
    drop(api, repr);
    return is_done;
}

static bool describe(const pp_pyapi *api, pp_py_object *callable,
                     pp_py_object *first, const pp_allocator *a, char **out)
{
    pp_py_object *name = attribute(api, callable, "__name__");
    const char *called = utf8(api, name);
    if (called == NULL) {
        drop(api, name);
        return copy_text(
            a, (const char *const[]){"<built-in method ?>", "", "", "", ""},
            out);
    }
    bool is_done;
    if (pp_pyapi_type(api, callable) == api->method_descr_type) {
        is_done =
            describe_method(api, pp_pyapi_type(api, first), name, NULL, a, out);
    } else {
        pp_py_object *self = pp_pyapi_at(callable, api->header + FUNCTION_SELF);
        pp_py_object *given =
            pp_pyapi_at(callable, api->header + FUNCTION_SELF + sizeof(void *));
        pp_py_object *module = module_name(api, given, self == NULL);
        const char *where = utf8(api, module);
        if (self != NULL) {
            is_done = describe_method(api, pp_pyapi_type(api, self), name,
                                      module, a, out);
        } else if (where == NULL || strcmp(where, "builtins") == 0) {
            is_done = copy_text(
                a, (const char *const[]){"<", called, ">", "", ""}, out);
        } else {
            is_done = copy_text(
                a, (const char *const[]){"<", where, ".", called, ">"}, out);
        }
        drop(api, module);
    }
    drop(api, name);
    return is_done;
}

bool pp_pyapi_describe(const pp_pyapi *api, pp_py_object *callable,
                       pp_py_object *first, const pp_allocator *a,
                       char **out_text)
{
    pp_py_error held;
    pp_pyapi_hold_error(api, &held);
    bool is_done = describe(api, callable, first, a, out_text);
    pp_pyapi_put_error(api, &held);
    return is_done;
}

bool pp_pyapi_module(const pp_pyapi *api, pp_py_object *callable,
                     pp_py_object *frame, pp_py_text *out)
{
    if (callable != NULL) {
        return pp_pyapi_text(api, callable, "__module__", out);
    }
    if (frame == NULL) {
        frame = api->eval_get_frame();
    }
    pp_py_object *names =
        frame != NULL ? attribute(api, frame, "f_globals") : NULL;
    pp_py_object *key = api->unicode_from_string("__name__");
    pp_py_object *found =
        names != NULL && key != NULL ? api->object_get_item(names, key) : NULL;
    if (found == NULL) {
        api->err_clear();
    }
    drop(api, names);
    drop(api, key);
    return found != NULL && text_of(api, found, out);
}
