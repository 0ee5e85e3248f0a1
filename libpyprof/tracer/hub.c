/*
 * hub: the threads of an interpreter, and who follows them. In go threads that
 * have their first event, and tracers that come and go; out comes, for the
 * events, a track for each tracer that follows a thread.
 *
 * The hub hangs in the interpreter's own dict, so that all tracers of this
 * library find it, and it ends with the interpreter. The library itself has no
 * data.
 *
 * Invariants:
 * 1. A track is in its thread's list and in its tracer's, or in neither.
 * 2. Whenever a thread's active tracks change, its generation does, and `plain`
 *    is set anew.
 * 3. A thread that has ended is only marked by the thread itself, and taken in
 *    later by somebody who has the locks.
 */
#include "tracer/internal.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define CAPSULE "libpyprof.tracer.hub"

/* ---- locks ------------------------------------------------------------- */

/* Whoever waits lets go of Python: who has the lock may be waiting for all
 * threads to stand still. */
static void wait_for(pp_hub *hub, atomic_flag *lock)
{
    void *thread = hub->api.eval_save_thread();
    for (unsigned i = 0;
         atomic_flag_test_and_set_explicit(lock, memory_order_acquire); i++) {
        /* in the child of a fork nobody is left to give it back */
        if (i % 1024 == 1023 && hub->pid != pp_os_self_pid()) {
            hub->pid = pp_os_self_pid();
            break;
        }
        sched_yield();
    }
    hub->api.eval_restore_thread(thread);
}

void pp_hub_lock(pp_hub *hub, atomic_flag *lock)
{
    if (PP_UNLIKELY(hub->has_lock) &&
        atomic_flag_test_and_set_explicit(lock, memory_order_acquire)) {
        wait_for(hub, lock);
    }
}

void pp_hub_unlock(pp_hub *hub, atomic_flag *lock)
{
    if (PP_UNLIKELY(hub->has_lock)) {
        atomic_flag_clear_explicit(lock, memory_order_release);
    }
}

/* ---- books ------------------------------------------------------------- */

static bool is_code(const pp_entry *entry)
{
    return entry->label == NULL && entry->key != PP_KEY_OTHER;
}

static pp_py_object *code_of(const pp_entry *entry)
{
    return (pp_py_object *)entry->key; /* NOLINT: it is an address */
}

void pp_hub_keep(void *hub, const pp_entry *entry)
{
    if (is_code(entry)) {
        ((pp_hub *)hub)->api.inc_ref(code_of(entry));
    }
}

void pp_hub_book_free(const pp_hub *hub, pp_book *book)
{
    size_t n =
        book->entries.slots != NULL ? pp_slots_mask(&book->entries) + 1 : 0;
    for (size_t i = 0; i < n && hub != NULL && !hub->is_ended; i++) {
        const pp_entry *entry = book->entries.slots[i];
        if (entry != NULL && is_code(entry)) {
            hub->api.dec_ref(code_of(entry));
        }
    }
    pp_book_free(book);
}

/* ---- tracks ------------------------------------------------------------ */

/* With the thread's lock. */
static void set_plain(pp_thread *thread)
{
    const uint64_t slow_flags =
        PYPROF_TRACE_PATHS | PYPROF_TRACE_WHOLE_COROUTINES;
    thread->generation++;
    thread->plain = NULL;
    thread->plain_c = NULL;
    if (thread->n_active != 1 || thread->hub->has_lock ||
        !thread->hub->is_steady) {
        return;
    }
    for (pp_track *t = thread->tracks; t != NULL; t = t->next_of_thread) {
        const pyprof_tracer_opts *opts = &t->tracer->opts;
        if (t->is_active && opts->clock == PYPROF_CLOCK_WALL &&
            (opts->flags & slow_flags) == 0 && opts->n_filters == 0) {
            thread->plain = &t->lane;
            thread->plain_c =
                (opts->flags & PYPROF_TRACE_NO_BUILTINS) == 0 ? &t->lane : NULL;
        }
    }
}

static pp_track *track_of(const pp_thread *thread, const pyprof_tracer *tracer)
{
    pp_track *track = thread->tracks;
    while (track != NULL && track->tracer != tracer) {
        track = track->next_of_thread;
    }
    return track;
}

static pp_track *track_new(pp_thread *thread, pyprof_tracer *tracer)
{
    pp_track *track = pp_calloc(&tracer->allocator, 1, sizeof(*track));
    if (track == NULL) {
        return NULL;
    }
    if (!pp_lane_init(&track->lane, &tracer->allocator, tracer->opts.max_bytes,
                      (tracer->opts.flags & PYPROF_TRACE_PATHS) != 0)) {
        pp_lane_free(&track->lane);
        pp_free(&tracer->allocator, track);
        return NULL;
    }
    pp_map_init(&track->suspended, &tracer->allocator);
    track->tracer = tracer;
    track->thread = thread;
    track->next_of_tracer = tracer->tracks;
    tracer->tracks = track;
    track->next_of_thread = thread->tracks;
    thread->tracks = track;
    return track;
}

bool pp_hub_follow(pp_thread *thread, pyprof_tracer *tracer)
{
    pp_hub *hub = thread->hub;
    pp_hub_lock(hub, &thread->lock);
    pp_track *track = track_of(thread, tracer);
    if (track == NULL) {
        track = track_new(thread, tracer);
    }
    if (track != NULL && !track->is_active) {
        track->is_active = true;
        thread->n_active++;
        set_plain(thread);
    }
    pp_hub_unlock(hub, &thread->lock);
    return track != NULL;
}

void pp_hub_unfollow(pp_track *track)
{
    pp_thread *thread = track->thread;
    pp_hub *hub = thread->hub;
    pp_hub_lock(hub, &thread->lock);
    if (track->is_active) {
        pp_lane_flush(&track->lane, track->last_now);
        pp_map_clear(&track->suspended);
        track->is_active = false;
        thread->n_active--;
        set_plain(thread);
    }
    pp_hub_unlock(hub, &thread->lock);
}

void pp_hub_track_unlink(pp_track *track)
{
    pp_thread *thread = track->thread;
    pp_hub *hub = thread->hub;
    pp_hub_lock(hub, &thread->lock);
    if (track->is_active) {
        thread->n_active--;
    }
    pp_track **at = &thread->tracks;
    while (*at != track) {
        at = &(*at)->next_of_thread;
    }
    *at = track->next_of_thread;
    set_plain(thread);
    pp_hub_unlock(hub, &thread->lock);
    at = &track->tracer->tracks;
    while (*at != track) {
        at = &(*at)->next_of_tracer;
    }
    *at = track->next_of_tracer;
}

void pp_hub_track_free(pp_hub *hub, pp_track *track)
{
    const pp_allocator allocator = track->lane.book.allocator;
    pp_map_free(&track->suspended);
    pp_free(&allocator, track->lane.stack);
    pp_hub_book_free(hub, &track->lane.book);
    pp_free(&allocator, track);
}

/* ---- threads ----------------------------------------------------------- */

/* The thread ends: without Python's lock, at a moment that nobody knows. */
static void thread_ended(void *ended)
{
    pp_thread *thread = ended;
    uintptr_t self = pp_os_thread_pointer();
    /* the next thread may have the same pointer */
    (void)atomic_compare_exchange_strong(&thread->hub->here, &self, 0);
    atomic_store_explicit(&thread->is_ended, true, memory_order_release);
}

pp_thread *pp_hub_thread_known(pp_hub *hub)
{
    pp_thread *thread = pthread_getspecific(hub->key);
    const uintptr_t self = pp_os_thread_pointer();
    if (thread != NULL && !hub->has_lock && self != 1 &&
        !atomic_load_explicit(&thread->is_ended, memory_order_relaxed)) {
        hub->here_thread = thread;
        atomic_store_explicit(&hub->here, self, memory_order_relaxed);
    }
    return thread;
}

pp_thread *pp_hub_thread_new(pp_hub *hub)
{
    pp_hub_reap(hub);
    pp_thread *thread = pp_calloc(&hub->allocator, 1, sizeof(*thread));
    if (thread == NULL) {
        return NULL;
    }
    thread->hub = hub;
    atomic_flag_clear(&thread->lock);
    atomic_init(&thread->is_ended, false);
    pp_hub_lock(hub, &hub->lock);
    thread->next = hub->threads;
    hub->threads = thread;
    for (pyprof_tracer *t = hub->tracers; t != NULL; t = t->next) {
        if ((t->opts.flags & PYPROF_TRACE_THIS_THREAD) == 0 &&
            !pp_hub_follow(thread, t)) {
            t->ended.is_failed = true;
        }
    }
    pp_hub_unlock(hub, &hub->lock);
    return thread;
}

void pp_hub_thread_bind(pp_hub *hub, pp_thread *thread)
{
    /* where this fails, what the thread leaves is taken in with the hub */
    (void)pthread_setspecific(hub->key, thread);
    thread->is_bound = true;
}

pp_thread *pp_hub_thread(pp_hub *hub)
{
    pp_thread *thread = pp_hub_thread_known(hub);
    if (thread == NULL) {
        thread = pp_hub_thread_new(hub);
        if (thread != NULL) {
            pp_hub_thread_bind(hub, thread);
        }
    }
    return thread;
}

/* What a track of an ended thread has becomes its tracer's. */
static void take_in(pp_hub *hub, pp_track *track)
{
    pp_book *ended = &track->tracer->ended;
    pp_lane_flush(&track->lane, track->last_now);
    if (!pp_book_fold(ended, &track->lane.book, pp_hub_keep, hub)) {
        ended->is_failed = true;
    }
    pp_hub_track_unlink(track);
}

/* Takes ended threads off the list; returns them, and their tracks. */
static pp_thread *collect_ended(pp_hub *hub, pp_track **out_tracks)
{
    pp_thread *ended = NULL;
    for (pp_thread **at = &hub->threads; *at != NULL;) {
        pp_thread *thread = *at;
        if (!atomic_load_explicit(&thread->is_ended, memory_order_acquire)) {
            at = &thread->next;
            continue;
        }
        *at = thread->next;
        thread->next = ended;
        ended = thread;
        while (thread->tracks != NULL) {
            pp_track *track = thread->tracks;
            take_in(hub, track);
            track->next_of_thread = *out_tracks;
            *out_tracks = track;
        }
    }
    return ended;
}

void pp_hub_reap(pp_hub *hub)
{
    pp_track *tracks = NULL;
    pp_hub_lock(hub, &hub->lock);
    pp_thread *ended = collect_ended(hub, &tracks);
    pp_hub_unlock(hub, &hub->lock);
    while (tracks != NULL) {
        pp_track *track = tracks;
        tracks = track->next_of_thread;
        pp_hub_track_free(hub, track);
    }
    while (ended != NULL) {
        pp_thread *thread = ended;
        ended = thread->next;
        if (thread->hook != NULL) {
            hub->api.dec_ref(thread->hook);
        }
        pp_free(&hub->allocator, thread);
    }
}

/* ---- life -------------------------------------------------------------- */

/* Tracers hold the hub, so there is no track any more. */
static void free_threads(pp_hub *hub)
{
    while (hub->threads != NULL) {
        pp_thread *thread = hub->threads;
        hub->threads = thread->next;
        pp_free(&hub->allocator, thread);
    }
}

void pp_hub_release(pp_hub *hub)
{
    if (hub != NULL && atomic_fetch_sub(&hub->refs, 1) == 1) {
        (void)pthread_key_delete(hub->key);
        free_threads(hub);
        const pp_allocator allocator = hub->allocator;
        pp_free(&allocator, hub);
    }
}

/* The interpreter's dict goes, and with it all that is Python's. */
static void capsule_ended(pp_py_object *capsule)
{
    pp_hub *hub = NULL;
    void *symbol = pp_os_symbol("PyCapsule_GetPointer");
    void *(*get)(pp_py_object *, const char *) = NULL;
    memcpy(&get, &symbol, sizeof(symbol));
    hub = get != NULL ? get(capsule, CAPSULE) : NULL;
    if (hub != NULL) {
        hub->is_ended = true;
        for (pyprof_tracer *t = hub->tracers; t != NULL; t = t->next) {
            t->is_installed = false;
        }
        hub->tracers = NULL;
        hub->n_tracers = 0;
        pp_hub_release(hub);
    }
}

static pyprof_status hub_new(const pp_pyapi *api, pp_hub **out,
                             pyprof_error *err)
{
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, NULL, err));
    pp_hub *hub = pp_calloc(&allocator, 1, sizeof(*hub));
    if (hub == NULL) {
        return pp_error_memory(err, "the tracers of an interpreter");
    }
    hub->allocator = allocator;
    hub->api = *api;
    if (pthread_key_create(&hub->key, thread_ended) != 0) {
        pp_free(&allocator, hub);
        return pp_error_set(err, PYPROF_ERR_OS,
                            "no thread-local key is left in this process");
    }
    atomic_flag_clear(&hub->lock);
    atomic_init(&hub->refs, 1);
    hub->has_lock = api->is_free_threaded;
    hub->is_steady = pp_os_ticks_steady();
    hub->first_ticks = pp_hub_ticks(hub);
    hub->first_ns = pp_os_now();
    hub->pid = pp_os_self_pid();
    hub->interpreter = pp_pyapi_interpreter(api);
    hub->tool_id = -1;
    *out = hub;
    return PYPROF_OK;
}

/* By this library's own copy: another one's hub may be of another version. */
static void capsule_key(char *to, size_t size)
{
    (void)snprintf(to, size, "libpyprof.tracer.%p",
                   (const void *)&pp_hook_monitoring);
}

pyprof_status pp_hub_get(const pp_pyapi *api, pp_hub **out, pyprof_error *err)
{
    char key[64];
    capsule_key(key, sizeof(key));
    pp_py_object *dict =
        api->interpreter_state_get_dict(pp_pyapi_interpreter(api));
    pp_py_object *capsule =
        dict != NULL ? api->dict_get_item_string(dict, key) : NULL;
    pp_hub *hub = NULL;
    if (capsule != NULL) {
        hub = api->capsule_get_pointer(capsule, CAPSULE);
    }
    if (hub == NULL) {
        api->err_clear();
        pyprof_status status = hub_new(api, &hub, err);
        if (hub == NULL) {
            return status;
        }
        hub->hook_type = pp_pyapi_hook_type(api);
        capsule = hub->hook_type != NULL && dict != NULL
                      ? api->capsule_new(hub, CAPSULE, capsule_ended)
                      : NULL;
        int failed = capsule == NULL ||
                     api->dict_set_item_string(dict, key, capsule) != 0;
        if (capsule != NULL) {
            api->dec_ref(capsule);
        }
        if (failed) {
            if (capsule == NULL) {
                pp_hub_release(hub);
            }
            return pp_pyapi_error(api, PYPROF_ERR_NO_MEMORY,
                                  "cannot keep the tracer in Python", err);
        }
    }
    (void)atomic_fetch_add(&hub->refs, 1);
    *out = hub;
    return PYPROF_OK;
}

double pp_hub_tick_seconds(const pp_hub *hub)
{
    enum { SHORTEST_NS = 200000 };
    if (!hub->is_steady) {
        return 1e-9;
    }
    uint64_t ns;
    uint64_t ticks;
    do {
        ticks = pp_os_ticks() - hub->first_ticks;
        ns = pp_os_now() - hub->first_ns;
    } while (ns < SHORTEST_NS);
    return ticks > 0 ? (double)ns / (double)ticks * 1e-9 : 1e-9;
}
