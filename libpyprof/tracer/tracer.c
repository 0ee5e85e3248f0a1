/*
 * tracer: the life of one tracer. In go options, out come tracks of the threads
 * that it follows, and hooks that feed them.
 *
 * Invariants:
 * 1. A tracer is in its hub's list exactly while it is installed.
 * 2. Every public function is refused from inside of the tracer's own clock,
 *    which is called in the middle of an event.
 * 3. The exception that was set when a function was called is set after it.
 */
#include "tracer/internal.h"

#include <string.h>

/* ---- new --------------------------------------------------------------- */

pyprof_status pp_tracer_new(const pyprof_tracer_opts *opts, pyprof_tracer **out,
                            pyprof_error *err)
{
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, opts->allocator, err));
    pyprof_tracer *tracer = pp_calloc(&allocator, 1, sizeof(*tracer));
    if (tracer == NULL) {
        return pp_error_memory(err, "a tracer");
    }
    tracer->allocator = allocator;
    tracer->opts = *opts;
    tracer->tick_seconds = 1e-9;
    pyprof_status status = PYPROF_OK;
    if (!pp_book_init(&tracer->ended, &allocator, 0)) {
        status = pp_error_memory(err, "a tracer");
        tracer->opts.filters = NULL;
    } else {
        status = pp_filters_copy(&allocator, &tracer->opts, err);
    }
    if (status != PYPROF_OK) {
        pp_book_free(&tracer->ended);
        pp_free(&allocator, tracer);
        return status;
    }
    *out = tracer;
    return PYPROF_OK;
}

pyprof_status pp_tracer_set_flags(pyprof_tracer *tracer, uint64_t flags,
                                  pyprof_error *err)
{
    if (tracer->is_installed && flags != tracer->opts.flags) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "uninstall the tracer before its flags change");
    }
    if (((flags ^ tracer->opts.flags) & PYPROF_TRACE_PATHS) != 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "call paths are counted from the beginning, or "
                            "not at all");
    }
    tracer->opts.flags = flags;
    return PYPROF_OK;
}

/* ---- in and out -------------------------------------------------------- */

/* What a public function needs around it. */
typedef struct visit {
    const pp_hub *hub;
    pp_py_lock lock;
    pp_py_error held;
} visit;

/* False when there is no interpreter (any more) to enter. */
static bool enter(visit *v, const pp_hub *hub)
{
    v->hub = hub;
    if (hub == NULL || hub->is_ended || !hub->api.is_initialized()) {
        return false;
    }
    pp_pyapi_enter(&hub->api, &v->lock);
    pp_pyapi_hold_error(&hub->api, &v->held);
    return true;
}

static void leave(const visit *v)
{
    pp_pyapi_put_error(&v->hub->api, &v->held);
    pp_pyapi_leave(&v->hub->api, &v->lock);
}

static bool is_in_clock(const pyprof_tracer *tracer)
{
    const pp_thread *thread =
        tracer->hub != NULL ? pp_hub_thread_known(tracer->hub) : NULL;
    return thread != NULL && thread->in_clock != NULL;
}

static pyprof_status refuse(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_BUSY,
                        "cannot %s a tracer in a tracer's clock", what);
}

/* ---- install ----------------------------------------------------------- */

static const pp_hook_ops *hook_of(const pp_hub *hub)
{
    return hub->api.monitoring != NULL ? &pp_hook_monitoring : &pp_hook_profile;
}

/* Follows the threads that there are, and is in the list for those to come. */
static bool join(pp_hub *hub, pyprof_tracer *tracer)
{
    pp_thread *self = pp_hub_thread(hub);
    bool is_done = self != NULL && pp_hub_follow(self, tracer);
    pp_hub_lock(hub, &hub->lock);
    tracer->next = hub->tracers;
    hub->tracers = tracer;
    hub->n_tracers++;
    if ((tracer->opts.flags & PYPROF_TRACE_THIS_THREAD) == 0) {
        for (pp_thread *t = hub->threads; t != NULL && is_done; t = t->next) {
            is_done = atomic_load(&t->is_ended) || pp_hub_follow(t, tracer);
        }
    }
    tracer->is_installed = true;
    pp_hub_unlock(hub, &hub->lock);
    return is_done;
}

static void part(pp_hub *hub, pyprof_tracer *tracer)
{
    pp_hub_lock(hub, &hub->lock);
    pyprof_tracer **at = &hub->tracers;
    while (*at != NULL && *at != tracer) {
        at = &(*at)->next;
    }
    if (*at == tracer) {
        *at = tracer->next;
        hub->n_tracers--;
    }
    for (pp_track *t = tracer->tracks; t != NULL; t = t->next_of_tracer) {
        pp_hub_unfollow(t);
    }
    tracer->is_installed = false;
    tracer->tick_seconds = pp_hub_tick_seconds(hub);
    pp_hub_unlock(hub, &hub->lock);
}

static pyprof_status install(pp_hub *hub, pyprof_tracer *tracer,
                             pyprof_error *err)
{
    const bool is_exclusive =
        (tracer->opts.flags & PYPROF_TRACE_EXCLUSIVE) != 0;
    if (hub->n_tracers > 0 && (is_exclusive || hub->is_exclusive) &&
        hub->api.monitoring != NULL) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "another profiling tool is already active: tool "
                            "%d is already in use by a tracer",
                            (int)hub->tool_id);
    }
    bool is_first = hub->n_tracers == 0;
    pyprof_status status = PYPROF_OK;
    if (!join(hub, tracer)) {
        status = pp_error_memory(err, "the threads of a tracer");
    } else if (is_first) {
        status = hook_of(hub)->start(hub, is_exclusive, err);
        hub->is_exclusive = status == PYPROF_OK && is_exclusive;
    } else {
        status = hook_of(hub)->update(hub, err);
    }
    if (status != PYPROF_OK) {
        part(hub, tracer);
    }
    return status;
}

/* The hub of the calling thread's interpreter becomes the tracer's. */
static pyprof_status find_hub(pyprof_tracer *tracer, pyprof_error *err)
{
    if (tracer->hub != NULL && !tracer->hub->is_ended) {
        return PYPROF_OK;
    }
    if (tracer->hub != NULL) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "the interpreter that this tracer was for has "
                            "ended: make a new tracer");
    }
    pp_pyapi api;
    PP_TRY(pp_pyapi_load(&api, err));
    pp_py_lock lock;
    pp_py_error held;
    pp_pyapi_enter(&api, &lock);
    pp_pyapi_hold_error(&api, &held);
    pyprof_status status = pp_hub_get(&api, &tracer->hub, err);
    pp_pyapi_put_error(&api, &held);
    pp_pyapi_leave(&api, &lock);
    return status;
}

pyprof_status pp_tracer_install(pyprof_tracer *tracer, pyprof_error *err)
{
    PP_TRY(find_hub(tracer, err));
    visit v;
    if (!enter(&v, tracer->hub)) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "Python is not initialised any more");
    }
    pyprof_status status = PYPROF_OK;
    if (is_in_clock(tracer)) {
        status = refuse("install", err);
    } else if (!tracer->is_installed) {
        status = install(tracer->hub, tracer, err);
    }
    leave(&v);
    return status;
}

/* ---- uninstall --------------------------------------------------------- */

/* The time at which open calls end. A clock of another kind than wall time is
 * a thread's own: there, and where the caller's clock would be called for
 * every thread, it is that of the thread's last event. */
static void note_time(pp_hub *hub, pyprof_tracer *tracer)
{
    if (tracer->opts.clock == PYPROF_CLOCK_WALL) {
        uint64_t now = pp_hub_ticks(hub);
        for (pp_track *t = tracer->tracks; t != NULL; t = t->next_of_tracer) {
            t->last_now = now;
        }
        return;
    }
    pp_thread *self = pp_hub_thread_known(hub);
    for (pp_track *t = tracer->tracks; t != NULL; t = t->next_of_tracer) {
        if (t->thread == self && t->lane.top != t->lane.stack) {
            if (tracer->opts.clock == PYPROF_CLOCK_CPU) {
                t->last_now = pp_os_thread_cpu_ns();
            } else {
                self->in_clock = tracer;
                t->last_now =
                    (uint64_t)tracer->opts.clock_fn(tracer->opts.clock_user);
                self->in_clock = NULL;
            }
        }
    }
}

static void uninstall(pp_hub *hub, pyprof_tracer *tracer)
{
    /* the end of recording is now, not after the hooks are gone */
    note_time(hub, tracer);
    part(hub, tracer);
    if (hub->n_tracers == 0) {
        hook_of(hub)->stop(hub);
        hub->is_exclusive = false;
    } else {
        pyprof_error ignored = PYPROF_ERROR_INIT;
        (void)hook_of(hub)->update(hub, &ignored);
    }
}

pyprof_status pp_tracer_uninstall(pyprof_tracer *tracer, pyprof_error *err)
{
    visit v;
    if (!tracer->is_installed || !enter(&v, tracer->hub)) {
        return PYPROF_OK;
    }
    pyprof_status status = PYPROF_OK;
    if (is_in_clock(tracer)) {
        status = refuse("uninstall", err);
    } else {
        uninstall(tracer->hub, tracer);
        pp_hub_reap(tracer->hub);
    }
    leave(&v);
    return status;
}

/* ---- clear ------------------------------------------------------------- */

/* Swaps the sums of a track for none; `fresh` gets what there was. */
static void clear_track(pp_hub *hub, pp_track *track, pp_book *fresh)
{
    pp_hub_lock(hub, &track->thread->lock);
    pp_lane *lane = &track->lane;
    pp_lane_forget_open(lane);
    pp_book before = lane->book;
    lane->book = *fresh;
    pp_book_moved(&lane->book);
    *fresh = before;
    pp_book_moved(fresh);
    pp_map_clear(&track->suspended);
    track->thread->generation++;
    pp_hub_unlock(hub, &track->thread->lock);
}

static pyprof_status clear(pyprof_tracer *tracer, pyprof_error *err)
{
    pp_hub *hub = tracer->hub;
    pp_book fresh;
    bool is_done = true;
    if (hub != NULL && !hub->is_ended) {
        pp_hub_reap(hub);
    }
    for (pp_track *t = tracer->tracks; t != NULL && is_done;
         t = t->next_of_tracer) {
        is_done =
            pp_book_init(&fresh, &tracer->allocator, tracer->opts.max_bytes);
        if (is_done) {
            clear_track(hub, t, &fresh);
        }
        pp_hub_book_free(hub, &fresh);
    }
    if (!is_done) {
        return pp_error_memory(err, "an empty tracer");
    }
    if (!pp_book_init(&fresh, &tracer->allocator, 0)) {
        pp_book_free(&fresh);
        return pp_error_memory(err, "an empty tracer");
    }
    pp_book before = tracer->ended;
    tracer->ended = fresh;
    pp_book_moved(&tracer->ended);
    pp_book_moved(&before);
    pp_hub_book_free(hub, &before);
    return PYPROF_OK;
}

pyprof_status pp_tracer_clear(pyprof_tracer *tracer, pyprof_error *err)
{
    if (is_in_clock(tracer)) {
        return refuse("clear", err);
    }
    visit v;
    bool is_in = enter(&v, tracer->hub);
    pyprof_status status = clear(tracer, err);
    if (is_in) {
        leave(&v);
    }
    return status;
}

/* ---- stats and end ----------------------------------------------------- */

static void add_book(pyprof_tracer_stats *stats, const pp_book *book)
{
    stats->functions += book->n_entries;
    stats->callers += book->edges.n_used;
    stats->paths += book->n_paths;
    stats->bytes += pp_book_bytes(book);
    stats->folded += book->folded;
}

void pp_tracer_read_stats(pyprof_tracer *tracer, pyprof_tracer_stats *stats)
{
    visit v;
    bool is_in = enter(&v, tracer->hub);
    pp_hub *hub = tracer->hub;
    add_book(stats, &tracer->ended);
    for (const pp_track *t = tracer->tracks; t != NULL; t = t->next_of_tracer) {
        add_book(stats, &t->lane.book);
        stats->bytes +=
            sizeof(*t) +
            ((size_t)(t->lane.last - t->lane.stack) + 1) * sizeof(pp_call);
        stats->threads++;
    }
    stats->is_installed = tracer->is_installed;
    stats->tool_id = tracer->is_installed && hub != NULL ? hub->tool_id : -1;
    if (is_in) {
        leave(&v);
    }
}

void pp_tracer_free(pyprof_tracer *tracer)
{
    if (tracer == NULL) {
        return;
    }
    pp_hub *hub = tracer->hub;
    visit v;
    bool is_in = enter(&v, hub);
    if (tracer->is_installed && is_in) {
        uninstall(hub, tracer);
    }
    while (tracer->tracks != NULL) {
        pp_track *track = tracer->tracks;
        pp_hub_lock(hub, &hub->lock);
        pp_hub_track_unlink(track);
        pp_hub_unlock(hub, &hub->lock);
        pp_hub_track_free(hub, track);
    }
    pp_hub_book_free(hub, &tracer->ended);
    if (is_in) {
        pp_hub_reap(hub);
        leave(&v);
    }
    const pp_allocator allocator = tracer->allocator;
    pp_filters_free(&allocator, &tracer->opts);
    pp_free(&allocator, tracer);
    pp_hub_release(hub);
}
