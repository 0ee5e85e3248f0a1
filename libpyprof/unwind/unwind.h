/*
 * unwind: interpreters, threads, frames and code objects: memory in, sample
 * out. Two halves that may run in two threads:
 *
 * - pp_unwind looks: one round copies what it needs of the target, follows the
 *   threads' frames in the copy, and checks that what it followed was true at
 *   one moment. It makes a compact record of it.
 * - pp_decoder understands: it turns records into interned names and stacks.
 *
 * A record is what was proven, in numbers: it needs no more of the target. The
 * halves share nothing but records and the (constant) layout.
 *
 * Who drives the rounds, on which CPU and how often, is not known here; nor are
 * processes, modes or collectors.
 */
#ifndef PP_UNWIND_H
#define PP_UNWIND_H

#include "base/base.h"
#include "layout/layout.h"
#include "reader/reader.h"
#include "sample/sample.h"

/* ---- looking ------------------------------------------------------------ */

typedef struct pp_unwind pp_unwind;

/* How a driver that sits on a CPU proves that a thread stood still: by the word
 * of the thread's own memory in which the system notes, before it executes
 * anything of the thread's, on which CPU that is (cpu_id of struct rseq). When
 * the word names the driver's CPU after all was read, and the driver was there
 * all the time, then the thread was nowhere. */
typedef struct pp_unwind_holding {
    /* Where that word is, from what the thread's identity points at. */
    int64_t cpu_word;
    /* Before the first read. */
    void (*begin)(void *user);
    /* The CPU that the driver has had for itself since `begin`; -1: none. */
    int32_t (*cpu)(void *user);
    void *user;
} pp_unwind_holding;

typedef struct pp_unwind_opts {
    bool all_threads;     /* else the main thread of the main interpreter */
    uint32_t max_depth;   /* frames kept of a stack */
    uint32_t max_codes;   /* code objects remembered */
    uint32_t max_threads; /* threads followed at one time */
    pp_unwind_holding holding; /* needed for PP_CARE_HELD alone */
} pp_unwind_opts;

/* How the next round may take what it reads. */
typedef enum pp_unwind_care {
    PP_CARE_CHECKED, /* everything that may change is read twice */
    PP_CARE_STRICT,  /* the same, and a moved leaf counts as a change: for a
                      * reader that expects that nothing ran */
    PP_CARE_STOPPED, /* the target's threads are stopped: read once */
    PP_CARE_HELD     /* read once, and proven by holding a CPU */
} pp_unwind_care;

/* State of a thread after a round: PYPROF_STACK_, and this one. */
#define PP_STACK_GONE 3

/* What the driver sees of a thread, to decide about it. */
typedef struct pp_round_thread {
    uint32_t slot;      /* stable while the thread lasts */
    int32_t state;      /* PYPROF_STACK_ or PP_STACK_GONE */
    uint64_t flags;     /* PYPROF_THREAD_ bits */
    uint64_t native_id; /* in its own namespace; 0: not known */
    uint64_t python_id;
    int32_t cpu;  /* where it last was, if PP_CARE_HELD has seen that; or -1 */
    bool may_run; /* it could have run while it was read */
    bool take;    /* true; the driver clears it to leave the thread out */
} pp_round_thread;

typedef struct pp_round {
    pp_round_thread *threads; /* until the next round */
    size_t n;
    size_t n_torn;   /* of these, PYPROF_STACK_TORN */
    size_t n_lost;   /* threads that could not even be listed */
    bool no_runtime; /* interpreters are gone: it ends, or execs */
} pp_round;

typedef struct pp_unwind_counters {
    uint64_t codes, codes_read, codes_changed, codes_evicted;
    uint64_t bytes; /* memory held */
    uint64_t plans; /* times that the plan was made anew */
    uint64_t extra; /* gathers beyond the planned one */
} pp_unwind_counters;

/* `reader` and `layout` must outlive it. `runtime` is the address of
 * _PyRuntime, `inner_pid` the process's id in its own namespace (0: unknown).
 */
pyprof_status pp_unwind_new(const pp_allocator *allocator, pp_reader *reader,
                            const pp_layout *layout, uint64_t runtime,
                            int64_t inner_pid, const pp_unwind_opts *opts,
                            pp_unwind **out, pyprof_error *err);
void pp_unwind_free(pp_unwind *unwind);

/* Reads once over the threads. Call it again for a better look (from another
 * CPU, or with a thread stopped): nothing is remembered as seen until
 * pp_unwind_record. PYPROF_ERR_GONE, PYPROF_ERR_NO_PERMISSION from the reader;
 * PYPROF_ERR_NO_MEMORY. All else shows in the threads' states. */
pyprof_status pp_unwind_round(pp_unwind *unwind, uint64_t now_ns,
                              pp_unwind_care care, pp_round *out);

/* Looks again at the threads that the last round found torn, and at no other;
 * `out` is that round with what is better known now. For a driver that made
 * them stand still meanwhile. Errors as above. */
pyprof_status pp_unwind_again(pp_unwind *unwind, uint64_t now_ns,
                              pp_unwind_care care, pp_round *out);

/* Bytes that the record of the last round needs at most. */
size_t pp_unwind_record_size(const pp_unwind *unwind);
/* Writes the record (8-byte aligned) and remembers the round as delivered.
 * Records must reach the decoder in order, none left out. Returns its size. */
size_t pp_unwind_record(pp_unwind *unwind, uint64_t time_ns, void *to);

pp_unwind_counters pp_unwind_count(const pp_unwind *unwind);

/* The spans of the plan at hand, for a benchmark of the bare system call.
 * Valid until the next round. */
size_t pp_unwind_plan(const pp_unwind *unwind, const pp_span **out_spans);

/* ---- understanding ------------------------------------------------------- */

typedef struct pp_decoder pp_decoder;

/* What the driver adds to a thread that it alone can know. */
typedef struct pp_decoder_ops {
    /* Completes a new thread: os_id, pid, name. Text is copied. */
    void (*describe)(void *user, pyprof_thread *thread);
    void *user;
} pp_decoder_ops;

/* `tables` gains a reference; `layout` must outlive it. */
pyprof_status pp_decoder_new(const pp_allocator *allocator,
                             const pp_layout *layout, pyprof_tables *tables,
                             const pp_decoder_ops *ops, pp_decoder **out,
                             pyprof_error *err);
void pp_decoder_free(pp_decoder *decoder);

typedef struct pp_decoded {
    pyprof_sample sample; /* valid until the next record */
    uint64_t whole, torn, gone, unreadable, truncated, idle; /* of this one */
} pp_decoded;

/* Takes one record. PYPROF_ERR_NO_MEMORY; a record is trusted (it never comes
 * from outside). */
pyprof_status pp_decoder_take(pp_decoder *decoder, const void *record,
                              pp_decoded *out, pyprof_error *err);
/* Frees what a record holds that will not be taken. */
void pp_decoder_drop(pp_decoder *decoder, const void *record);
uint64_t pp_decoder_bytes(const pp_decoder *decoder);

/* ---- names of threads ----------------------------------------------------
 */

typedef struct pp_names pp_names;

/* What `threading` calls the threads of a target. `reader` and `layout` must
 * outlive it; `runtime` is the address of _PyRuntime. Takes no lock: a reader
 * that another thread reads with is not for it. NULL: out of memory. */
pp_names *pp_names_new(const pp_allocator *allocator, pp_reader *reader,
                       const pp_layout *layout, uint64_t runtime);
void pp_names_free(pp_names *names);

/* Reads them anew, of all interpreters, and forgets what was known before: some
 * 20 system calls, however many threads there are. What changes while it is
 * read may be missing; that is not an error, nor is a target that has not
 * imported threading. PYPROF_ERR_GONE, PYPROF_ERR_NO_PERMISSION from the reader
 * and PYPROF_ERR_NO_MEMORY leave fewer names, or none. */
pyprof_status pp_names_read(pp_names *names);

/* The name of a thread: UTF-8 (surrogates as three bytes), NUL-terminated, at
 * most 4,096 characters; valid until the next pp_names_read. {"", 0} when it is
 * not known. Threads are told apart by threading.get_ident(), which the system
 * gives to another one as soon as a thread has ended; `native_id`, unless 0,
 * tells these apart, too. Where interpreters differ the main one is right. */
pyprof_text pp_names_find(const pp_names *names, uint64_t python_id,
                          uint64_t native_id);

#endif /* PP_UNWIND_H */
