/*
 * events: an event for all tracers that follow a thread, whatever their
 * options. In goes what Python tells, out go beginnings and ends of calls for
 * each lane. hook_*.c deal with the common case themselves.
 *
 * Invariant: what runs Python here (the caller's clock, names for filters and
 * for C functions) may let another thread in, which may change the tracks. So
 * it is done without the lock, and before a track is touched after it, the
 * thread's generation is compared.
 */
#include "tracer/internal.h"

#include <string.h>

/* co_flags: coroutine, iterable coroutine, asynchronous generator */
#define COROUTINE_FLAGS (0x80 | 0x100 | 0x200)

/* What goes with one event. */
typedef struct handling {
    pp_hub *hub;
    pp_thread *thread;
    const pp_event *event;
    uint64_t generation;
} handling;

static bool is_start(const pp_event *event)
{
    return event->kind == PP_EVENT_CALL || event->kind == PP_EVENT_RESUME ||
           event->kind == PP_EVENT_BEGIN;
}

/* Around what may run Python. */
static void let_go(const handling *h)
{
    pp_hub_unlock(h->hub, &h->thread->lock);
}

/* False when the tracks are not what they were. */
static bool take_back(const handling *h)
{
    pp_hub_lock(h->hub, &h->thread->lock);
    return h->thread->generation == h->generation;
}

/* ---- clocks ------------------------------------------------------------ */

uint64_t pp_event_now(const pp_hub *hub, const pyprof_tracer *tracer)
{
    return tracer->opts.clock == PYPROF_CLOCK_CPU ? pp_os_thread_cpu_ns()
                                                  : pp_hub_ticks(hub);
}

/* False when the tracks are not what they were. */
static bool read_clock(const handling *h, pp_track *track)
{
    const pyprof_tracer *tracer = track->tracer;
    if (tracer->opts.clock != PYPROF_CLOCK_CALLER) {
        track->last_now = pp_event_now(h->hub, tracer);
        return true;
    }
    int64_t (*clock)(void *user) = tracer->opts.clock_fn;
    void *user = tracer->opts.clock_user;
    const pyprof_tracer *outer = h->thread->in_clock;
    h->thread->in_clock = tracer;
    let_go(h);
    int64_t now = clock(user);
    bool is_same = take_back(h);
    h->thread->in_clock = outer;
    if (is_same) {
        track->last_now = (uint64_t)now;
    }
    return is_same;
}

/* ---- entries ----------------------------------------------------------- */

/* A NUL-terminated copy; NULL: out of memory. */
static char *copy_of(const pp_allocator *a, const char *text, size_t size)
{
    char *copy = pp_alloc(a, size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

/* Whether a function is recorded by its names. */
static bool is_taken(const handling *h, const pyprof_tracer_opts *opts,
                     const char *label)
{
    const pp_pyapi *api = &h->hub->api;
    const pp_event *event = h->event;
    pp_py_text file = {.owner = NULL};
    pp_py_text name = {.owner = NULL};
    pp_py_text module = {.owner = NULL};
    pp_py_error held;
    pp_pyapi_hold_error(api, &held);
    if (event->callable == NULL) {
        (void)pp_pyapi_text(api, event->code, "co_filename", &file);
        if (!pp_pyapi_text(api, event->code, "co_qualname", &name)) {
            (void)pp_pyapi_text(api, event->code, "co_name", &name);
        }
    }
    if (pp_filters_need_module(opts)) {
        (void)pp_pyapi_module(api, event->callable, event->frame, &module);
    }
    bool is_yes =
        pp_filters_take(opts, file.owner != NULL ? file.text.data : "~",
                        module.owner != NULL ? module.text.data : "",
                        label != NULL        ? label
                        : name.owner != NULL ? name.text.data
                                             : "");
    pp_pyapi_text_free(api, &file);
    pp_pyapi_text_free(api, &name);
    pp_pyapi_text_free(api, &module);
    pp_pyapi_put_error(api, &held);
    return is_yes;
}

/* A new entry. NULL when the tracks are not what they were. */
static pp_entry *add_entry(handling *h, pp_track *track)
{
    const pp_pyapi *api = &h->hub->api;
    const pp_event *event = h->event;
    const pp_allocator allocator = h->hub->allocator;
    char *label = NULL;
    bool is_described = true;
    let_go(h);
    if (event->callable != NULL) {
        is_described = pp_pyapi_describe(api, event->callable, event->first,
                                         &allocator, &label);
    }
    /* the tracer is looked at, so that it has to be there still */
    bool is_same = take_back(h);
    bool is_excluded = false;
    if (is_same && track->tracer->opts.n_filters != 0) {
        const pyprof_tracer_opts opts = track->tracer->opts;
        is_excluded = !is_taken(h, &opts, label);
        is_same = h->thread->generation == h->generation;
    }
    char *own = NULL;
    if (is_same && label != NULL) {
        own = copy_of(&track->lane.book.allocator, label, strlen(label));
    }
    pp_free(&allocator, label);
    if (!is_same) {
        pp_free(&allocator, own);
        return NULL;
    }
    pp_book *book = &track->lane.book;
    if (!is_described || (event->callable != NULL && own == NULL)) {
        book->is_failed = true;
    }
    bool is_new;
    pp_entry *entry = pp_book_add(book, event->key, own, is_excluded, &is_new);
    if (is_new && event->callable == NULL) {
        api->inc_ref(event->code);
    }
    return entry;
}

/* A C function that excluded code calls is excluded with it. */
static bool is_callers_excluded(const pp_event *event, const pp_track *track)
{
    if (event->callable == NULL || track->tracer->opts.n_filters == 0 ||
        event->code == NULL) {
        return false;
    }
    const pp_entry *caller =
        pp_book_find(&track->lane.book, (uintptr_t)event->code);
    return caller != NULL && caller->id == PP_ENTRY_EXCLUDED;
}

/* ---- coroutines -------------------------------------------------------- */

static bool is_coroutine(const handling *h, const pp_track *track)
{
    const pp_event *event = h->event;
    if (PP_LIKELY((track->tracer->opts.flags & PYPROF_TRACE_WHOLE_COROUTINES) ==
                  0) ||
        event->callable != NULL) {
        return false;
    }
    long flags = pp_pyapi_number(&h->hub->api, event->code, "co_flags", 0);
    return (flags & COROUTINE_FLAGS) != 0;
}

/* What tells one coroutine from another. */
static uint64_t frame_of(const handling *h)
{
    const pp_py_object *frame = h->event->frame != NULL
                                    ? h->event->frame
                                    : h->hub->api.eval_get_frame();
    return (uint64_t)(uintptr_t)frame;
}

static bool is_resumed(const handling *h)
{
    const pp_event *event = h->event;
    return event->kind == PP_EVENT_RESUME ||
           (event->kind == PP_EVENT_BEGIN &&
            pp_pyapi_frame_is_resumed(&h->hub->api, event->frame));
}

static bool is_suspended(const handling *h)
{
    const pp_event *event = h->event;
    return event->kind == PP_EVENT_YIELD ||
           (event->kind == PP_EVENT_END &&
            pp_pyapi_frame_is_suspended(&h->hub->api, event->frame));
}

/* The time of an await is in the total of who awaits, and of its caller's
 * calls of it, but in nobody's own. */
static void add_suspended(const handling *h, pp_track *track, pp_call *call)
{
    uint64_t frame = frame_of(h);
    const uint64_t *since = pp_map_find(&track->suspended, frame);
    if (since == NULL) {
        return;
    }
    uint64_t away = call->start - *since;
    (void)pp_map_remove(&track->suspended, frame);
    if (!is_resumed(h)) {
        return; /* another one's frame was there before */
    }
    if (call->entry->level == 1) {
        call->entry->sum.total += away;
    }
    if (call->edge->level == 1) {
        call->edge->sum.total += away;
    }
}

static void suspend(const handling *h, pp_track *track, uint64_t now)
{
    uint64_t *since = pp_map_put(&track->suspended, frame_of(h), NULL);
    if (since == NULL) {
        track->lane.book.is_failed = true;
    } else {
        *since = now;
    }
}

/* ---- events ------------------------------------------------------------ */

typedef enum outcome {
    OUTCOME_DONE,
    OUTCOME_EXCLUDED,
    OUTCOME_CHANGED /* the tracks are not what they were */
} outcome;

static outcome begin(handling *h, pp_track *track)
{
    const pp_event *event = h->event;
    if (is_callers_excluded(event, track)) {
        return OUTCOME_EXCLUDED;
    }
    pp_entry *entry = pp_book_find(&track->lane.book, event->key);
    if (entry == NULL && (entry = add_entry(h, track)) == NULL) {
        return OUTCOME_CHANGED;
    }
    if (entry->id == PP_ENTRY_EXCLUDED) {
        return OUTCOME_EXCLUDED;
    }
    if (track->tracer->opts.clock == PYPROF_CLOCK_CALLER &&
        !read_clock(h, track)) {
        return OUTCOME_CHANGED;
    }
    pp_call *call = pp_lane_enter(&track->lane, event->key, entry);
    if (track->tracer->opts.clock != PYPROF_CLOCK_CALLER) {
        (void)read_clock(h, track);
    }
    if (call != NULL) {
        call->start = track->last_now;
        if (is_coroutine(h, track)) {
            add_suspended(h, track, call);
        }
    }
    return OUTCOME_DONE;
}

static outcome end(handling *h, pp_track *track)
{
    const pp_event *event = h->event;
    pp_lane *lane = &track->lane;
    if (track->tracer->opts.n_filters != 0) {
        const pp_entry *entry = pp_book_find(&lane->book, event->key);
        if (entry != NULL && entry->id == PP_ENTRY_EXCLUDED) {
            return OUTCOME_EXCLUDED;
        }
    }
    if (lane->top == lane->stack && lane->unrecorded == 0) {
        return OUTCOME_DONE;
    }
    if (!read_clock(h, track)) {
        return OUTCOME_CHANGED;
    }
    bool is_end = true;
    if (is_coroutine(h, track) && is_suspended(h)) {
        is_end = false;
        suspend(h, track, track->last_now);
    }
    if (PP_LIKELY(lane->top->key == event->key && lane->unrecorded == 0)) {
        pp_lane_leave_top(lane, track->last_now, is_end);
    } else {
        pp_lane_leave_other(lane, event->key, track->last_now, is_end);
    }
    return OUTCOME_DONE;
}

/* A tracer whose clock is running must not see what the clock calls. */
static bool wants(const pp_thread *thread, const pp_track *track,
                  const pp_event *event)
{
    const pyprof_tracer *tracer = track->tracer;
    return track->is_active && thread->in_clock != tracer &&
           (event->callable == NULL ||
            (tracer->opts.flags & PYPROF_TRACE_NO_BUILTINS) == 0);
}

bool pp_event_handle(pp_hub *hub, pp_thread *thread, const pp_event *event)
{
    if (thread->n_active == 0) {
        return false;
    }
    handling h = {.hub = hub, .thread = thread, .event = event};
    pp_hub_lock(hub, &thread->lock);
    h.generation = thread->generation;
    uint32_t n_excluded = 0;
    for (pp_track *t = thread->tracks; t != NULL; t = t->next_of_thread) {
        if (!wants(thread, t, event)) {
            continue;
        }
        outcome what = is_start(event) ? begin(&h, t) : end(&h, t);
        if (what == OUTCOME_CHANGED) {
            break;
        }
        n_excluded += what == OUTCOME_EXCLUDED;
    }
    pp_hub_unlock(hub, &thread->lock);
    return n_excluded > 0 && n_excluded == hub->n_tracers;
}
