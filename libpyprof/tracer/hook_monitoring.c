/*
 * hook_monitoring: events through sys.monitoring, from 3.12 on. In come calls
 * of our hooks, on any thread; out go beginnings and ends of calls.
 *
 * Invariants:
 * 1. A hook never leaves an exception set: it would be raised in the program.
 * 2. None is not counted (it is immortal where sys.monitoring is), so it is
 *    returned as it is.
 * 3. A hook may be called by anyone who got hold of it, with anything.
 */
#include "tracer/internal.h"

#include <string.h>

/* ---- events ------------------------------------------------------------ */

static pp_py_object *slow(pp_hub *hub, const pp_event *event)
{
    pp_thread *thread = pp_hub_thread(hub);
    if (thread != NULL && pp_event_handle(hub, thread, event)) {
        hub->has_disabled = true;
        hub->api.inc_ref(hub->disable);
        return hub->disable;
    }
    return hub->api.none_struct;
}

/* Other C functions may be called from a place, so it is never let go. */
static PP_NOINLINE pp_py_object *slow_c(pp_hub *hub, pp_event_kind kind,
                                        uintptr_t key,
                                        pp_py_object *const *args)
{
    pp_py_object *answer = slow(hub, &(pp_event){.kind = kind,
                                                 .key = key,
                                                 .code = args[0],
                                                 .callable = args[2],
                                                 .first = args[3]});
    if (answer == hub->disable) {
        hub->api.dec_ref(answer);
    }
    return hub->api.none_struct;
}

static bool is_code(const pp_hub *hub, const pp_py_object *object)
{
    return pp_pyapi_type(&hub->api, object) == hub->api.code_type;
}

static size_t count_of(size_t n_args)
{
    return n_args & (SIZE_MAX >> 1); /* the top bit is vectorcall's own */
}

/* What is not common, apart: so the common case needs no registers kept. */
static PP_NOINLINE pp_py_object *slow_python(pp_hub *hub,
                                             pp_py_object *const *args,
                                             size_t n_args, pp_event_kind kind)
{
    if (count_of(n_args) < 2 || !is_code(hub, args[0])) {
        return hub->api.none_struct;
    }
    return slow(
        hub,
        &(pp_event){.kind = kind, .key = (uintptr_t)args[0], .code = args[0]});
}

PP_INLINE pp_py_object *begin(pp_py_object *self, pp_py_object *const *args,
                              size_t n_args, pp_event_kind kind)
{
    pp_hub *hub = pp_pyapi_hook_pointer(self);
    pp_lane *lane = pp_hub_plain(hub);
    if (PP_LIKELY(lane != NULL && count_of(n_args) >= 2)) {
        pp_call *call = pp_lane_enter_plain(lane, (uintptr_t)args[0]);
        if (PP_LIKELY(call != NULL)) {
            call->start = pp_os_ticks();
            return hub->api.none_struct;
        }
    }
    return slow_python(hub, args, n_args, kind);
}

static pp_py_object *on_call(pp_py_object *self, pp_py_object *const *args,
                             size_t n_args, pp_py_object *names)
{
    PP_UNUSED(names);
    return begin(self, args, n_args, PP_EVENT_CALL);
}

static pp_py_object *on_resume(pp_py_object *self, pp_py_object *const *args,
                               size_t n_args, pp_py_object *names)
{
    PP_UNUSED(names);
    return begin(self, args, n_args, PP_EVENT_RESUME);
}

PP_INLINE pp_py_object *end(pp_py_object *self, pp_py_object *const *args,
                            size_t n_args, pp_event_kind kind)
{
    pp_hub *hub = pp_pyapi_hook_pointer(self);
    pp_lane *lane = pp_hub_plain(hub);
    if (PP_LIKELY(
            lane != NULL && count_of(n_args) >= 2 &&
            pp_lane_leave_plain(lane, (uintptr_t)args[0], pp_os_ticks()))) {
        return hub->api.none_struct;
    }
    return slow_python(hub, args, n_args, kind);
}

static pp_py_object *on_return(pp_py_object *self, pp_py_object *const *args,
                               size_t n_args, pp_py_object *names)
{
    PP_UNUSED(names);
    return end(self, args, n_args, PP_EVENT_RETURN);
}

static pp_py_object *on_yield(pp_py_object *self, pp_py_object *const *args,
                              size_t n_args, pp_py_object *names)
{
    PP_UNUSED(names);
    return end(self, args, n_args, PP_EVENT_YIELD);
}

/* Python does not let go of an event that is a matter of the whole program. */
static pp_py_object *on_unwind(pp_py_object *self, pp_py_object *const *args,
                               size_t n_args, pp_py_object *names)
{
    const pp_hub *hub = pp_pyapi_hook_pointer(self);
    pp_py_object *answer = on_return(self, args, n_args, names);
    if (answer == hub->disable) {
        hub->api.dec_ref(answer);
    }
    return hub->api.none_struct;
}

static pp_py_object *on_throw(pp_py_object *self, pp_py_object *const *args,
                              size_t n_args, pp_py_object *names)
{
    const pp_hub *hub = pp_pyapi_hook_pointer(self);
    pp_py_object *answer = on_resume(self, args, n_args, names);
    if (answer == hub->disable) {
        hub->api.dec_ref(answer);
    }
    return hub->api.none_struct;
}

/* What a C function is known by; 0: what is called is none. */
static inline uintptr_t key_of_c(const pp_hub *hub, pp_py_object *const *args,
                                 size_t n_args)
{
    return PP_LIKELY(count_of(n_args) >= 4)
               ? (uintptr_t)pp_pyapi_method(&hub->api, args[2], args[3])
               : 0;
}

static pp_py_object *on_c_call(pp_py_object *self, pp_py_object *const *args,
                               size_t n_args, pp_py_object *names)
{
    pp_hub *hub = pp_pyapi_hook_pointer(self);
    PP_UNUSED(names);
    const uintptr_t key = key_of_c(hub, args, n_args);
    if (key == 0) {
        return hub->api.none_struct;
    }
    pp_lane *lane = pp_hub_plain_c(hub);
    if (PP_LIKELY(lane != NULL)) {
        pp_call *call = pp_lane_enter_plain(lane, key);
        if (PP_LIKELY(call != NULL)) {
            call->start = pp_os_ticks();
            return hub->api.none_struct;
        }
    }
    return slow_c(hub, PP_EVENT_CALL, key, args);
}

static pp_py_object *on_c_return(pp_py_object *self, pp_py_object *const *args,
                                 size_t n_args, pp_py_object *names)
{
    pp_hub *hub = pp_pyapi_hook_pointer(self);
    PP_UNUSED(names);
    const uintptr_t key = key_of_c(hub, args, n_args);
    if (key == 0) {
        return hub->api.none_struct;
    }
    pp_lane *lane = pp_hub_plain_c(hub);
    if (PP_LIKELY(lane != NULL &&
                  pp_lane_leave_plain(lane, key, pp_os_ticks()))) {
        return hub->api.none_struct;
    }
    return slow_c(hub, PP_EVENT_RETURN, key, args);
}

/* ---- subscribing ------------------------------------------------------- */

typedef struct subscription {
    const char *event;
    pp_py_vectorcall hook;
    bool is_builtin; /* only where C functions are recorded */
} subscription;

static const subscription subscriptions[] = {
    {"PY_START", on_call, false},   {"PY_RESUME", on_resume, false},
    {"PY_THROW", on_throw, false},  {"PY_RETURN", on_return, false},
    {"PY_YIELD", on_yield, false},  {"PY_UNWIND", on_unwind, false},
    {"CALL", on_c_call, true},      {"C_RETURN", on_c_return, true},
    {"C_RAISE", on_c_return, true},
};

/* Calls a function of sys.monitoring for its effect; true when it worked.
 * Numbers below 0 are left out; `last` may be NULL, its reference is kept. */
static bool tell(const pp_pyapi *api, const char *function, long first,
                 long second, pp_py_object *last)
{
    pp_py_object *arguments[4] = {NULL, NULL, NULL, NULL};
    size_t n = 0;
    if (first >= 0) {
        arguments[n++] = api->long_from_long(first);
    }
    if (second >= 0) {
        arguments[n++] = api->long_from_long(second);
    }
    if (last != NULL) {
        api->inc_ref(last);
        arguments[n++] = last;
    }
    pp_py_object *result = pp_pyapi_monitoring(api, function, arguments);
    if (result != NULL) {
        api->dec_ref(result);
    }
    return result != NULL;
}

static bool use_tool(pp_hub *hub, long id, const char *name)
{
    pp_py_object *text = hub->api.unicode_from_string(name);
    bool is_done = text != NULL && tell(&hub->api, "use_tool_id", id, -1, text);
    if (text != NULL) {
        hub->api.dec_ref(text);
    }
    if (is_done) {
        hub->tool_id = (int32_t)id;
    }
    return is_done;
}

/* Who holds the places, for a message. */
static void name_tools(const pp_pyapi *api, char *to, size_t size)
{
    to[0] = '\0';
    for (long id = 0; id < 6; id++) {
        pp_py_object *arguments[4] = {api->long_from_long(id), NULL, NULL,
                                      NULL};
        pp_py_object *name = pp_pyapi_monitoring(api, "get_tool", arguments);
        const char *text =
            name != NULL ? api->unicode_as_utf8_and_size(name, NULL) : NULL;
        size_t used = strlen(to);
        size_t n = text != NULL ? strlen(text) : 0;
        if (n > 0 && used + n + 3 < size) {
            memcpy(to + used, used > 0 ? ", " : "", used > 0 ? 2 : 0);
            used += used > 0 ? 2 : 0;
            memcpy(to + used, text, n + 1);
        }
        if (name != NULL) {
            api->dec_ref(name);
        }
        api->err_clear();
    }
}

static pyprof_status take_place(pp_hub *hub, bool is_exclusive,
                                pyprof_error *err)
{
    static const long places[] = {2, 3, 4, 5, 1, 0};
    if (is_exclusive) {
        return use_tool(hub, 2, "cProfile")
                   ? PYPROF_OK
                   : pp_pyapi_error(&hub->api, PYPROF_ERR_BUSY,
                                    "another profiling tool is already active",
                                    err);
    }
    for (size_t i = 0; i < PP_COUNT_OF(places); i++) {
        if (use_tool(hub, places[i], "libpyprof")) {
            return PYPROF_OK;
        }
        hub->api.err_clear();
    }
    char names[160];
    name_tools(&hub->api, names, sizeof(names));
    return pp_error_set(err, PYPROF_ERR_BUSY,
                        "all six places of sys.monitoring are taken, by %s: "
                        "one of these has to end first",
                        names);
}

static void give_place_back(pp_hub *hub)
{
    const pp_pyapi *api = &hub->api;
    pp_py_error held;
    pp_pyapi_hold_error(api, &held);
    /* 3.12's free_tool_id alone leaves events on */
    (void)tell(api, "set_events", hub->tool_id, 0, NULL);
    api->err_clear();
    for (size_t i = 0; i < PP_COUNT_OF(subscriptions); i++) {
        long event = pp_pyapi_event(api, subscriptions[i].event);
        (void)tell(api, "register_callback", hub->tool_id, event,
                   api->none_struct);
        api->err_clear();
    }
    (void)tell(api, "free_tool_id", hub->tool_id, -1, NULL);
    pp_pyapi_put_error(api, &held);
    hub->tool_id = -1;
    hub->events = 0;
}

static bool register_hooks(pp_hub *hub)
{
    const pp_pyapi *api = &hub->api;
    for (size_t i = 0; i < PP_COUNT_OF(subscriptions); i++) {
        const subscription *one = &subscriptions[i];
        long event = pp_pyapi_event(api, one->event);
        pp_py_object *hook =
            event > 0 ? pp_pyapi_hook_new(api, hub->hook_type, one->hook, hub)
                      : NULL;
        bool is_done = hook != NULL && tell(api, "register_callback",
                                            hub->tool_id, event, hook);
        if (hook != NULL) {
            api->dec_ref(hook);
        }
        if (!is_done) {
            return false;
        }
    }
    return true;
}

static pyprof_status monitoring_update(pp_hub *hub, pyprof_error *err)
{
    const pp_pyapi *api = &hub->api;
    bool has_builtins = false;
    for (const pyprof_tracer *t = hub->tracers; t != NULL; t = t->next) {
        has_builtins =
            has_builtins || (t->opts.flags & PYPROF_TRACE_NO_BUILTINS) == 0;
    }
    uint64_t events = 0;
    for (size_t i = 0; i < PP_COUNT_OF(subscriptions); i++) {
        if (has_builtins || !subscriptions[i].is_builtin) {
            events |= (uint64_t)pp_pyapi_event(api, subscriptions[i].event);
        }
    }
    if (hub->has_disabled) {
        hub->has_disabled = false;
        (void)tell(api, "restart_events", -1, -1, NULL);
        api->err_clear();
    }
    if (events != hub->events &&
        !tell(api, "set_events", hub->tool_id, (long)events, NULL)) {
        return pp_pyapi_error(api, PYPROF_ERR_CALLBACK,
                              "sys.monitoring.set_events failed", err);
    }
    hub->events = events;
    return PYPROF_OK;
}

static pyprof_status monitoring_start(pp_hub *hub, bool is_exclusive,
                                      pyprof_error *err)
{
    const pp_pyapi *api = &hub->api;
    if (hub->disable == NULL) {
        hub->disable = api->object_get_attr_string(api->monitoring, "DISABLE");
    }
    if (hub->disable == NULL) {
        return pp_pyapi_error(api, PYPROF_ERR_UNSUPPORTED_TARGET,
                              "no sys.monitoring.DISABLE", err);
    }
    PP_TRY(take_place(hub, is_exclusive, err));
    if (!register_hooks(hub)) {
        pyprof_status status =
            pp_pyapi_error(api, PYPROF_ERR_CALLBACK,
                           "sys.monitoring.register_callback failed", err);
        give_place_back(hub);
        return status;
    }
    pyprof_status status = monitoring_update(hub, err);
    if (status != PYPROF_OK) {
        give_place_back(hub);
    }
    return status;
}

const pp_hook_ops pp_hook_monitoring = {
    .start = monitoring_start,
    .update = monitoring_update,
    .stop = give_place_back,
};
