/*
 * What the files of sampler/ share. No other folder includes this.
 */
#ifndef PP_SAMPLER_INTERNAL_H
#define PP_SAMPLER_INTERNAL_H

#include "layout/layout.h"
#include "os/os.h"
#include "sampler/sampler.h"
#include "unwind/unwind.h"

#include <stdatomic.h>

#define PP_NS_PER_SECOND UINT64_C(1000000000)
#define PP_MAX_COLLECTORS 64

/* A thread of the target, as the system knows it; by slot of the unwinder. */
typedef struct pp_followed {
    uint64_t native_id; /* 0: free */
    uint64_t os_id;
    pp_os_task *task; /* NULL: not opened, or gone */
    bool tried;
} pp_followed;

/* Where the sampling thread is, and after whom it goes (follow.c). */
typedef struct pp_follow {
    pp_followed *threads;
    size_t n, cap;
    pp_os_cpus home; /* CPUs that this process may use */
    bool home_known;
    bool refused;      /* the system doesn't let the thread move */
    int32_t cpu;       /* pinned to it; -1: not pinned */
    uint32_t age;      /* rounds since the target's CPU was asked for */
    uint32_t slot;     /* thread that is followed; UINT32_MAX: none yet */
    int32_t there;     /* CPU where that was last seen; -1: not known */
    uint64_t switches; /* of the sampling thread, when a look began */
} pp_follow;

/* Python's names of threads (naming.c). */
typedef struct pp_naming {
    pp_os_process *process; /* own handle; NULL: only the system's names */
    pp_reader *reader;
    pp_names *names;
    uint8_t *looks; /* by number of the thread less one; see naming.c */
    size_t n_looks, cap_looks;
    bool wanted; /* there are threads that another look may name */
    uint64_t next_ns, pause_ns;
} pp_naming;

typedef enum pp_sampler_state {
    PP_SAMPLER_NEW,
    PP_SAMPLER_STEPPED, /* driven by the caller */
    PP_SAMPLER_RUNS,    /* in its own threads */
    PP_SAMPLER_ENDED
} pp_sampler_state;

/* Counters that any thread may read while they grow; relaxed order is enough,
 * since each stands for itself. */
typedef _Atomic uint64_t pp_count;

struct pyprof_sampler {
    pp_allocator allocator;
    pyprof_target *target;
    pyprof_sampler_opts opts; /* with the defaults filled in */
    pp_layout layout;
    pp_unwind *unwind;
    pp_decoder *decoder;
    pyprof_tables *tables;
    pyprof_collector *collectors[PP_MAX_COLLECTORS];
    size_t n_collectors;
    pp_sampler_state state;
    int32_t placement; /* in use */
    uint64_t jitter;   /* state of its random numbers */

    pp_follow follow;
    pp_naming naming;
    uint64_t *stopped; /* os ids of threads that are stopped */
    size_t n_stopped, cap_stopped;
    uint64_t stop_second; /* budget of stops: the second, and how many in it */
    uint32_t stops_in_second;

    /* sampling thread -> decoding thread */
    pp_ring *ring;   /* NULL: decoded where it was sampled */
    uint8_t *buffer; /* then the record is here */
    size_t cap_buffer;
    pp_os_thread *sampling, *decoding;
    pp_os_event *stop, *drain, *ended;
    _Atomic bool sampling_over;
    /* Taken by the thread that decodes while it does, and by the other one
     * while it changes the layout that decoding needs. */
    _Atomic bool decoding_busy;
    _Atomic int32_t avoid_cpu; /* CPU that the decoder keeps off; -1 none */

    char name[64]; /* room for a thread's name while it is described */
    pyprof_stack_sample *shown; /* of a snapshot */
    size_t cap_shown;
    uint32_t absent; /* rounds in a row that found no runtime */

    uint64_t started_ns; /* of the first round */
    uint64_t ended_ns;
    atomic_flag failing;  /* the first failure is the run's */
    pyprof_status failed; /* read after the end */
    pyprof_error error;

    struct {
        pp_count rounds, gone, lost, missed, overrun, retries, stops,
            stops_refused, moves, elapsed_ns, sampling_cpu_ns;
        pp_count read_calls, read_spans, read_bytes;
        pp_count naming_calls, naming_spans, naming_bytes; /* more of these */
        pp_count codes, codes_read, codes_changed, codes_evicted, unwind_bytes;
        pp_count whole, torn, unreadable, truncated, idle;
        pp_count decoding_cpu_ns, stacks, folded, threads, table_bytes;
    } counts;
};

static inline void pp_bump(pp_count *count, uint64_t by)
{
    atomic_store_explicit(
        count, atomic_load_explicit(count, memory_order_relaxed) + by,
        memory_order_relaxed);
}

static inline void pp_set(pp_count *count, uint64_t value)
{
    atomic_store_explicit(count, value, memory_order_relaxed);
}

static inline uint64_t pp_get(const pp_count *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* ---- follow.c ----------------------------------------------------------- */

void pp_follow_begin(pyprof_sampler *s); /* in the sampling thread */
/* Back to where the calling thread may run by itself. */
void pp_follow_end(pyprof_sampler *s);
/* The next round is not soon after the last: asks for the CPU again. */
void pp_follow_expect(pyprof_sampler *s);
/* Before a round: goes to where the target's thread runs, now and then. */
void pp_follow_prepare(pyprof_sampler *s);
/* Goes to the CPU of one thread at once. False when it is there already, or
 * can't go. */
bool pp_follow_go(pyprof_sampler *s, const pp_round_thread *thread);
/* How a look may prove that the followed thread stood still. */
pp_unwind_care pp_follow_care(const pyprof_sampler *s);
/* What the unwinder needs for PP_CARE_HELD. */
pp_unwind_holding pp_follow_holding(pyprof_sampler *s);
/* After a round: who is to be followed from now on. */
void pp_follow_note(pyprof_sampler *s, const pp_round *round);
/* Whether a thread is on a CPU now, as PYPROF_THREAD_ bits. */
uint64_t pp_follow_cpu_flags(pyprof_sampler *s, const pp_round_thread *thread);
/* The system's id for an id of the target's own namespace; 0: not known. */
uint64_t pp_follow_translate(pyprof_sampler *s, uint64_t native_id);
/* The system's id of a thread; 0: not known. */
uint64_t pp_follow_os_id(pyprof_sampler *s, const pp_round_thread *thread);
void pp_follow_free(pyprof_sampler *s);

/* ---- naming.c -----------------------------------------------------------
 */

/* Begins anew for the layout and runtime at hand. Without a look into the
 * target the system's names stay. PYPROF_ERR_NO_MEMORY. */
pyprof_status pp_naming_open(pyprof_sampler *s, pyprof_error *err);
void pp_naming_close(pyprof_sampler *s);
/* Where records are decoded: gives the threads in the tables their names when
 * it is time to; `now`: in any case, also to those that were renamed. What
 * fails leaves names as they are. */
void pp_naming_update(pyprof_sampler *s, bool now);

/* ---- take.c ----------------------------------------------------------------
 */

/* One round, with what it takes to make it true; its record goes to the ring
 * or is decoded at once. PYPROF_ERR_GONE: the target has ended. */
pyprof_status pp_take_round(pyprof_sampler *s, uint64_t now, pyprof_error *err);
/* Decodes one record and tells the collectors. */
pyprof_status pp_take_decode(pyprof_sampler *s, const void *record,
                             pyprof_error *err);
/* One round outside of any run, shown to `take`. */
pyprof_status pp_take_snapshot(pyprof_sampler *s,
                               int32_t (*take)(void *user,
                                               const pyprof_sample *sample),
                               void *user, pyprof_error *err);
void pp_take_release(pyprof_sampler *s); /* threads that are stopped */
/* Decoding needs the layout: whoever changes that, or decodes in a thread of
 * its own, has to claim it. False: it is taken. */
bool pp_take_claim_decoding(pyprof_sampler *s);
void pp_take_release_decoding(pyprof_sampler *s);
/* Brings the counters up to date: in the sampling thread, and in the one that
 * decodes. */
void pp_take_count_reads(pyprof_sampler *s);
void pp_take_count_tables(pyprof_sampler *s);

/* ---- open.c ---------------------------------------------------------------
 */

/* The target runs another program now: starts on its layout. The ring must be
 * empty, and no other thread may decode. */
pyprof_status pp_open_layout(pyprof_sampler *s, pyprof_error *err);

/* ---- loop.c
 * -------------------------------------------------------------------- */

pyprof_status pp_loop_begin(pyprof_sampler *s, pyprof_error *err);
pyprof_status pp_loop_end(pyprof_sampler *s, pyprof_error *err);

#endif /* PP_SAMPLER_INTERNAL_H */
