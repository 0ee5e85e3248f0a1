/*
 * sample: plain data between those who see stacks (unwind, replay, tracer) and
 * those who count them (collectors). Interned names, frames, stacks and
 * threads. No Python and no OS types.
 *
 * Tables are used by one thread at a time: the one that interns also calls the
 * collectors. Only pp_tables_ref and pp_tables_unref are thread-safe. What is
 * in the tables stays, with equal numbers and at equal addresses (but for the
 * name of a thread, see pp_tables_thread_view), until the last reference goes.
 */
#ifndef PP_SAMPLE_H
#define PP_SAMPLE_H

#include <pyprof/sample.h>

#include "base/base.h"

/* Caps of the tables; 0 means the default in each. A full table never loses a
 * sample: what does not fit is folded into its caller and counted. */
typedef struct pp_tables_limits {
    uint32_t max_functions; /* default 1 << 20 */
    uint32_t max_frames;    /* default 1 << 22 */
    uint32_t max_stacks;    /* default 1 << 23 */
    uint32_t max_threads;   /* default 1 << 16 */
} pp_tables_limits;

typedef struct pp_tables_counters {
    uint64_t functions, frames, stacks, threads; /* in use */
    uint64_t folded; /* requests answered with a coarser number */
    uint64_t bytes;  /* memory held */
} pp_tables_counters;

/* What a function is; text is copied when it is new. */
typedef struct pp_function_key {
    pyprof_text qualname, name, file;
    int32_t first_line;
    int32_t kind; /* PYPROF_FRAME_ */
} pp_function_key;

/* Where in a function; all PYPROF_UNKNOWN when not known. */
typedef struct pp_position {
    int32_t line, end_line, column, end_column;
    int32_t opcode;
} pp_position;

#define PP_POSITION_UNKNOWN                                        \
    ((pp_position){PYPROF_UNKNOWN, PYPROF_UNKNOWN, PYPROF_UNKNOWN, \
                   PYPROF_UNKNOWN, PYPROF_UNKNOWN})

/* NULL when out of memory. `allocator` (may be NULL) is copied. */
pyprof_tables *pp_tables_new(const pp_allocator *allocator,
                             const pp_tables_limits *limits);
/* Tables are shared by a driver and its collectors: made with one reference,
 * freed with the last. Thread-safe. NULL is fine. */
pyprof_tables *pp_tables_ref(pyprof_tables *tables);
void pp_tables_unref(pyprof_tables *tables);

/* Each returns the number of an equal element, making it when it is new.
 * 0: out of memory, or a number in the arguments that was never given (`parent`
 * may be 0). Known elements cost no memory and a few nanoseconds. When a cap is
 * reached they answer with what is nearest:
 * pp_tables_function the function `<other functions>`, pp_tables_frame any
 * frame of that function (one with unknown position, kept in reserve),
 * pp_tables_stack the parent (or, at the root, the stack of the single frame
 * `<other stacks>`); `folded` counts these. */
uint32_t pp_tables_function(pyprof_tables *tables, const pp_function_key *key);
uint32_t pp_tables_frame(pyprof_tables *tables, uint32_t function,
                         const pp_position *position);
uint32_t pp_tables_stack(pyprof_tables *tables, uint32_t parent,
                         uint32_t frame);
/* A frame of a synthetic kind: file "~", its usual name (`<GC>`, `<native>`,
 * `<task>`, `<truncated>`, `<torn>`, `<unknown>`), no line. Never 0; a kind
 * that is none of them gets that of PYPROF_FRAME_UNKNOWN. */
uint32_t pp_tables_synthetic(const pyprof_tables *tables, int32_t kind);

/* Depth of a stack: 0 for 0. */
uint32_t pp_tables_depth(const pyprof_tables *tables, uint32_t stack);
/* Function of a frame; 0 for 0. */
uint32_t pp_tables_frame_function(const pyprof_tables *tables, uint32_t frame);

/* The highest number given so far. */
uint32_t pp_tables_functions(const pyprof_tables *tables);
uint32_t pp_tables_frames(const pyprof_tables *tables);
uint32_t pp_tables_stacks(const pyprof_tables *tables);
uint32_t pp_tables_threads(const pyprof_tables *tables);

/* What a number stands for; false, with nothing written, when it was never
 * given. All fields are written, whatever sz says. Text is valid as long as the
 * tables, but for the name of a thread: until its next pp_tables_thread_update.
 */
bool pp_tables_function_view(const pyprof_tables *tables, uint32_t function,
                             pp_function_key *out);
bool pp_tables_frame_view(const pyprof_tables *tables, uint32_t frame,
                          pyprof_frame *out);
bool pp_tables_thread_view(const pyprof_tables *tables, uint32_t number,
                           pyprof_thread *out);
/* Either result may be NULL. */
bool pp_tables_stack_view(const pyprof_tables *tables, uint32_t stack,
                          uint32_t *out_parent, uint32_t *out_frame);

/* A new thread number. Text in `thread` is copied. 0: out of memory or full. */
uint32_t pp_tables_thread_new(pyprof_tables *tables,
                              const pyprof_thread *thread);
/* Replaces what is known of a thread (its name, say). PYPROF_ERR_INVALID: a
 * number that was never given; PYPROF_ERR_NO_MEMORY: the thread is as it was.
 */
pyprof_status pp_tables_thread_update(pyprof_tables *tables, uint32_t number,
                                      const pyprof_thread *thread);

pp_tables_counters pp_tables_count(const pyprof_tables *tables);

#endif /* PP_SAMPLE_H */
