/*
 * hook_profile: events through PyEval_SetProfile, before 3.12. In come calls of
 * our function, with the hook of the thread; out go beginnings and ends of
 * calls.
 *
 * A profile function is a thread's own. So each thread gets one, with its
 * pp_thread in it: those that are there when the first tracer comes, and those
 * that a followed thread starts, right after it did, which is before they can
 * run. Threads that C code makes later on its own are not seen.
 *
 * Setting another thread's goes by taking its place for a moment, while we have
 * Python's lock and it waits for that.
 */
#include "tracer/internal.h"

#include <string.h>

/* As in CPython's headers, the same since 2.3. */
enum {
    TRACE_CALL = 0,
    TRACE_RETURN = 3,
    TRACE_C_CALL = 4,
    TRACE_C_EXCEPTION = 5,
    TRACE_C_RETURN = 6
};

static pyprof_status profile_update(pp_hub *hub, pyprof_error *err);

/* ---- events ------------------------------------------------------------ */

/* Everything that is not said and done at once. */
static int slow(pp_thread *thread, const pp_event *event)
{
    (void)pp_event_handle(thread->hub, thread, event);
    return 0;
}

static bool find_layout(pp_hub *hub, pp_py_object *frame)
{
    if (!hub->has_frame_layout) {
        hub->has_frame_layout =
            pp_pyapi_frame_layout(&hub->api, frame, &hub->frame_layout);
    }
    return hub->has_frame_layout;
}

/* The first event of a thread, in that thread. */
static void bind(pp_hub *hub, pp_thread *thread)
{
    if (!thread->is_bound) {
        pp_hub_thread_bind(hub, thread);
    }
}

static PP_NOINLINE int slow_python(pp_thread *thread, pp_py_object *frame,
                                   pp_event_kind kind)
{
    pp_hub *hub = thread->hub;
    if (!find_layout(hub, frame)) {
        return 0;
    }
    bind(hub, thread);
    const void *code = pp_pyapi_frame_code(&hub->frame_layout, frame);
    const uintptr_t key = (uintptr_t)code;
    return slow(thread,
                &(pp_event){.kind = kind,
                            .key = key,
                            .code = (pp_py_object *)key, /* NOLINT: address */
                            .frame = frame});
}

static inline int on_python(pp_thread *thread, pp_py_object *frame,
                            pp_event_kind kind)
{
    const bool is_begin = kind == PP_EVENT_BEGIN;
    pp_hub *hub = thread->hub;
    if (PP_UNLIKELY(!hub->has_frame_layout)) {
        return slow_python(thread, frame, kind);
    }
    const void *code = pp_pyapi_frame_code(&hub->frame_layout, frame);
    const uintptr_t key = (uintptr_t)code;
    pp_lane *lane = thread->plain;
    if (PP_LIKELY(lane != NULL)) {
        pp_call *call;
        if (!is_begin) {
            if (PP_LIKELY(pp_lane_leave_plain(lane, key, pp_os_ticks()))) {
                return 0;
            }
        } else if (PP_LIKELY((call = pp_lane_enter_plain(lane, key)) != NULL)) {
            call->start = pp_os_ticks();
            return 0;
        }
    }
    return slow_python(thread, frame, kind);
}

static PP_NOINLINE int slow_c(pp_thread *thread, pp_py_object *frame,
                              pp_py_object *callable, pp_event_kind kind)
{
    pp_hub *hub = thread->hub;
    if (!find_layout(hub, frame)) {
        return 0;
    }
    bind(hub, thread);
    const void *code = pp_pyapi_frame_code(&hub->frame_layout, frame);
    const uintptr_t key =
        (uintptr_t)pp_pyapi_method(&hub->api, callable, callable);
    return slow(
        thread,
        &(pp_event){.kind = kind,
                    .key = key,
                    .code = (pp_py_object *)(uintptr_t)code, /* NOLINT */
                    .callable = callable,
                    .first = callable,
                    .frame = frame});
}

static inline int on_c_begin(pp_thread *thread, pp_py_object *frame,
                             pp_py_object *callable)
{
    const uintptr_t key =
        (uintptr_t)pp_pyapi_method(&thread->hub->api, callable, callable);
    pp_lane *lane = thread->plain_c;
    if (key == 0) {
        return 0;
    }
    if (PP_LIKELY(lane != NULL)) {
        pp_call *call = pp_lane_enter_plain(lane, key);
        if (PP_LIKELY(call != NULL)) {
            call->start = pp_os_ticks();
            return 0;
        }
    }
    return slow_c(thread, frame, callable, PP_EVENT_CALL);
}

/* A thread was started, by one that may be followed. */
static PP_NOINLINE int on_c_end_of_start(pp_thread *thread, pp_py_object *frame,
                                         pp_py_object *callable)
{
    pyprof_error ignored = PYPROF_ERROR_INIT;
    (void)profile_update(thread->hub, &ignored);
    return slow_c(thread, frame, callable, PP_EVENT_RETURN);
}

static inline int on_c_end(pp_thread *thread, pp_py_object *frame,
                           pp_py_object *callable)
{
    pp_hub *hub = thread->hub;
    const uintptr_t key =
        (uintptr_t)pp_pyapi_method(&hub->api, callable, callable);
    if (key == 0) {
        return 0;
    }
    if (PP_UNLIKELY(key == (uintptr_t)hub->start_thread)) {
        return on_c_end_of_start(thread, frame, callable);
    }
    pp_lane *lane = thread->plain_c;
    if (PP_LIKELY(lane != NULL &&
                  pp_lane_leave_plain(lane, key, pp_os_ticks()))) {
        return 0;
    }
    return slow_c(thread, frame, callable, PP_EVENT_RETURN);
}

static int on_event(pp_py_object *self, pp_py_object *frame, int what,
                    pp_py_object *arg)
{
    pp_thread *thread = pp_pyapi_hook_pointer(self);
    switch (what) {
    case TRACE_CALL:
        return on_python(thread, frame, PP_EVENT_BEGIN);
    case TRACE_RETURN:
        /* an exception leaves without a value */
        return on_python(thread, frame,
                         arg != NULL ? PP_EVENT_END : PP_EVENT_RETURN);
    case TRACE_C_CALL:
        return arg != NULL ? on_c_begin(thread, frame, arg) : 0;
    case TRACE_C_RETURN:
    case TRACE_C_EXCEPTION:
        return arg != NULL ? on_c_end(thread, frame, arg) : 0;
    default:
        return 0;
    }
}

/* ---- hooking threads --------------------------------------------------- */

static pp_thread *thread_of(const pp_hub *hub, const void *python)
{
    pp_thread *thread = hub->threads;
    while (thread != NULL &&
           (thread->python != python ||
            atomic_load_explicit(&thread->is_ended, memory_order_acquire))) {
        thread = thread->next;
    }
    return thread;
}

/* Sets or removes the profile function of a thread, be it another one. */
static void set_profile(const pp_hub *hub, void *python, pp_py_object *hook)
{
    const pp_pyapi *api = &hub->api;
    void *self = api->thread_state_get();
    if (python != self) {
        (void)api->thread_state_swap(python);
    }
    api->eval_set_profile(hook != NULL ? on_event : NULL, hook);
    if (python != self) {
        (void)api->thread_state_swap(self);
    }
}

/* A pp_thread for a thread of Python. NULL when out of memory. */
static pp_thread *adopt(pp_hub *hub, void *python, bool is_self)
{
    pp_thread *thread = is_self ? pp_hub_thread(hub) : thread_of(hub, python);
    if (thread == NULL) {
        thread = pp_hub_thread_new(hub);
    }
    if (thread == NULL) {
        return NULL;
    }
    thread->python = python;
    if (thread->hook == NULL) {
        thread->hook =
            pp_pyapi_hook_new(&hub->api, hub->hook_type, NULL, thread);
        if (thread->hook == NULL) {
            hub->api.err_clear();
            return NULL;
        }
    }
    return thread;
}

static bool is_for_all(const pp_hub *hub)
{
    for (const pyprof_tracer *t = hub->tracers; t != NULL; t = t->next) {
        if ((t->opts.flags & PYPROF_TRACE_THIS_THREAD) == 0) {
            return true;
        }
    }
    return false;
}

/* Each thread that is followed has the function, and no other. */
static pyprof_status profile_update(pp_hub *hub, pyprof_error *err)
{
    const pp_pyapi *api = &hub->api;
    void *self = api->thread_state_get();
    const bool is_all = is_for_all(hub);
    bool is_done = true;
    for (void *python = api->interpreter_state_thread_head(hub->interpreter);
         python != NULL; python = api->thread_state_next(python)) {
        pp_thread *thread = is_all || python == self
                                ? adopt(hub, python, python == self)
                                : thread_of(hub, python);
        if (thread == NULL) {
            is_done = is_done && !is_all && python != self;
            continue;
        }
        bool is_wanted = thread->n_active > 0;
        if (is_wanted != thread->is_hooked) {
            thread->is_hooked = is_wanted;
            set_profile(hub, python, is_wanted ? thread->hook : NULL);
        }
    }
    return is_done ? PYPROF_OK : pp_error_memory(err, "a thread");
}

/* Definition of the function that makes threads. */
static void find_start_thread(pp_hub *hub)
{
    const pp_pyapi *api = &hub->api;
    pp_py_object *module = api->import_import_module("_thread");
    pp_py_object *function =
        module != NULL ? api->object_get_attr_string(module, "start_new_thread")
                       : NULL;
    if (function != NULL) {
        hub->start_thread = pp_pyapi_method(api, function, function);
        api->dec_ref(function);
    }
    if (module != NULL) {
        api->dec_ref(module);
    }
    api->err_clear();
}

static pyprof_status profile_start(pp_hub *hub, bool is_exclusive,
                                   pyprof_error *err)
{
    PP_UNUSED(is_exclusive); /* whoever comes last has it, as with cProfile */
    if (hub->start_thread == NULL) {
        find_start_thread(hub);
    }
    return profile_update(hub, err);
}

static void profile_stop(pp_hub *hub)
{
    pyprof_error ignored = PYPROF_ERROR_INIT;
    (void)profile_update(hub, &ignored);
}

const pp_hook_ops pp_hook_profile = {
    .start = profile_start,
    .update = profile_update,
    .stop = profile_stop,
};
