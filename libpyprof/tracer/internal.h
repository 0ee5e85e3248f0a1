/*
 * internal: how the files of the tracer work together.
 *
 *   hook_*.c       events of Python -> enter and leave, the common case inline
 *   hub.c          who gets an event: threads, and the tracers that follow them
 *   events.c       an event for any number of tracers, with any options
 *   tracer.c       one tracer: its life, installing, clearing
 *   snapshot.c     its books put together, with names
 *
 * There is one hub for each interpreter that a tracer was installed in. It has
 * a pp_thread for each thread that had an event, found by a thread-local key;
 * that has a pp_track (a lane, with whose it is) for each tracer.
 *
 * Where Python has its lock (GIL), that guards everything. A free-threaded
 * Python has none: there hub.lock guards the lists, and each thread's own lock
 * its tracks; in this order, and nothing of Python is called under either.
 */
#ifndef PP_TRACER_INTERNAL_H
#define PP_TRACER_INTERNAL_H

#include "os/os.h"
#include "tracer/account.h"
#include "tracer/pyapi.h"
#include "tracer/tracer.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct pp_thread pp_thread;
typedef struct pp_hub pp_hub;

/* One thread, for one tracer. In the lists of both, active or not. */
typedef struct pp_track {
    pp_lane lane;
    pyprof_tracer *tracer;
    pp_thread *thread;
    struct pp_track *next_of_tracer;
    struct pp_track *next_of_thread;
    pp_map suspended; /* frame of a coroutine -> when it was left */
    uint64_t last_now;
    bool is_active; /* gets events */
} pp_track;

struct pp_thread {
    /* Set when one track gets all events, with no option that needs more than
     * pp_lane_enter_plain and pp_lane_leave_plain, and the processor's counter
     * is the clock: then events go there at once. */
    pp_lane *plain;
    pp_lane *plain_c; /* the same for C functions */
    pp_hub *hub;
    pp_track *tracks;
    uint32_t n_active;
    uint64_t generation; /* grows when tracks come, go or are cleared */
    const pyprof_tracer *in_clock; /* whose clock it is in, or NULL */
    atomic_flag lock;
    atomic_bool is_ended;
    bool is_bound;      /* the thread-local key has it */
    bool is_hooked;     /* it has our profile function */
    void *python;       /* its thread state, where the hook is a thread's */
    pp_py_object *hook; /* likewise */
    pp_thread *next;
};

struct pp_hub {
    /* The thread that had the last event, where Python has its lock. */
    _Atomic(uintptr_t) here; /* its pointer; 0: not known */
    pp_thread *here_thread;
    pp_pyapi api;
    pp_allocator allocator;
    pthread_key_t key; /* pp_thread of the calling thread */
    atomic_flag lock;
    atomic_int refs;
    bool is_ended;  /* the interpreter has */
    bool is_steady; /* the processor's counter is the clock */
    bool has_lock;  /* no GIL */
    uint64_t first_ticks, first_ns;
    int64_t pid;
    void *interpreter;
    pp_thread *threads;
    pyprof_tracer *tracers; /* the installed ones */
    uint32_t n_tracers;
    pp_py_object *hook_type;
    pp_py_object *disable; /* sys.monitoring.DISABLE */
    int32_t tool_id;       /* -1: none */
    bool is_exclusive;
    bool has_disabled; /* an event was answered with DISABLE */
    uint64_t events;   /* that are asked for */
    pp_py_frame_layout frame_layout;
    bool has_frame_layout;
    const void *start_thread; /* definition of _thread.start_new_thread */
};

struct pyprof_tracer {
    pp_allocator allocator;
    pyprof_tracer_opts opts; /* its filters are ours */
    pp_hub *hub;             /* NULL: never installed */
    pp_track *tracks;
    pp_book ended; /* what threads left that have ended */
    bool is_installed;
    double tick_seconds; /* of the processor's counter, when uninstalled */
    pyprof_tracer *next; /* in the hub's list */
};

/* ---- hub.c -------------------------------------------------------------- */

/* That of the calling thread's interpreter, made when there is none; release
 * it. Needs Python's lock. */
pyprof_status pp_hub_get(const pp_pyapi *api, pp_hub **out, pyprof_error *err);
void pp_hub_release(pp_hub *hub);

/* No-ops where Python has its lock. */
void pp_hub_lock(pp_hub *hub, atomic_flag *lock);
void pp_hub_unlock(pp_hub *hub, atomic_flag *lock);

/* The calling thread's; NULL when out of memory. */
pp_thread *pp_hub_thread(pp_hub *hub);
/* The calling thread's, if it had an event before. */
pp_thread *pp_hub_thread_known(pp_hub *hub);
/* Where the calling thread's events go at once; NULL: the long way. */
static inline bool pp_hub_is_here(const pp_hub *hub)
{
    return PP_LIKELY(atomic_load_explicit(&hub->here, memory_order_relaxed) ==
                     pp_os_thread_pointer());
}
static inline pp_lane *pp_hub_plain(const pp_hub *hub)
{
    return pp_hub_is_here(hub) ? hub->here_thread->plain : NULL;
}
static inline pp_lane *pp_hub_plain_c(const pp_hub *hub)
{
    return pp_hub_is_here(hub) ? hub->here_thread->plain_c : NULL;
}
/* A new one that is not bound to a thread yet; in the list, with tracks of the
 * tracers that follow all threads. NULL when out of memory. */
pp_thread *pp_hub_thread_new(pp_hub *hub);
/* Binds it to the calling thread. */
void pp_hub_thread_bind(pp_hub *hub, pp_thread *thread);
/* Takes in what ended threads left. */
void pp_hub_reap(pp_hub *hub);

/* Gives a tracer events of a thread. False when out of memory. */
bool pp_hub_follow(pp_thread *thread, pyprof_tracer *tracer);
/* Ends that; open calls end now. */
void pp_hub_unfollow(pp_track *track);
/* A track leaves both lists; with the hub's lock. */
void pp_hub_track_unlink(pp_track *track);
/* Frees a track that is in no list; without a lock. */
void pp_hub_track_free(pp_hub *hub, pp_track *track);
/* Gives back the references to code that a book holds, then frees it. */
void pp_hub_book_free(const pp_hub *hub, pp_book *book);
/* For pp_book_fold: a reference to each code object. */
void pp_hub_keep(void *hub, const pp_entry *entry);

/* Seconds of a tick of pp_hub_ticks. */
double pp_hub_tick_seconds(const pp_hub *hub);
static inline uint64_t pp_hub_ticks(const pp_hub *hub)
{
    return PP_LIKELY(hub->is_steady) ? pp_os_ticks() : pp_os_now();
}

/* ---- events.c ------------------------------------------------------------ */

typedef enum pp_event_kind {
    PP_EVENT_CALL,   /* a function begins */
    PP_EVENT_RESUME, /* a generator or coroutine goes on */
    PP_EVENT_RETURN,
    PP_EVENT_YIELD,
    PP_EVENT_BEGIN, /* one of the first two: the frame knows */
    PP_EVENT_END    /* one of the other two: the frame knows */
} pp_event_kind;

typedef struct pp_event {
    pp_event_kind kind;
    uintptr_t key;
    pp_py_object *code;     /* that is called; of a C function, that calls it */
    pp_py_object *callable; /* the C function, else NULL */
    pp_py_object *first;    /* its first argument, where it has one */
    pp_py_object *frame;    /* that runs, NULL: ask */
} pp_event;

/* Any event, for all tracers that follow the calling thread. True when nobody
 * wants to hear of this place again. */
bool pp_event_handle(pp_hub *hub, pp_thread *thread, const pp_event *event);
/* The time now, by a tracer's clock other than the caller's own. */
uint64_t pp_event_now(const pp_hub *hub, const pyprof_tracer *tracer);

/* ---- filter.c ------------------------------------------------------------ */

/* Copies the filters of opts into memory of their own; `opts->filters` is that
 * then. */
pyprof_status pp_filters_copy(const pp_allocator *a, pyprof_tracer_opts *opts,
                              pyprof_error *err);
void pp_filters_free(const pp_allocator *a, pyprof_tracer_opts *opts);
/* Whether a function is to be recorded. Text is NUL-terminated. */
bool pp_filters_take(const pyprof_tracer_opts *opts, const char *file,
                     const char *module, const char *function);
/* Whether module names are needed to tell. */
bool pp_filters_need_module(const pyprof_tracer_opts *opts);

/* ---- hook_monitoring.c, hook_profile.c ------------------------------------
 */

/* How a hub gets events. Functions need Python's lock, and no other. */
typedef struct pp_hook_ops {
    /* Begins to get events for what the tracers need. `is_exclusive`: see
     * PYPROF_TRACE_EXCLUSIVE. */
    pyprof_status (*start)(pp_hub *hub, bool is_exclusive, pyprof_error *err);
    /* What is needed has changed. */
    pyprof_status (*update)(pp_hub *hub, pyprof_error *err);
    void (*stop)(pp_hub *hub);
} pp_hook_ops;
extern const pp_hook_ops pp_hook_monitoring;
extern const pp_hook_ops pp_hook_profile;

/* ---- snapshot.c -----------------------------------------------------------
 */

typedef struct pp_snapshot {
    pp_hub *hub; /* NULL: nothing was ever recorded */
    pp_book book;
    pyprof_calls calls;
    pp_intern texts;
    pyprof_function_calls *functions;
    pyprof_caller_calls *callers;
    uint64_t *row_of; /* by id: index in functions + 1; 0: none */
    double unit;      /* seconds of one unit of time */
} pp_snapshot;
/* Frees itself when it fails. Needs Python's lock. */
pyprof_status pp_snapshot_make(pyprof_tracer *tracer, pp_snapshot *snapshot,
                               pyprof_error *err);
void pp_snapshot_free(pp_snapshot *snapshot);

#endif /* PP_TRACER_INTERNAL_H */
