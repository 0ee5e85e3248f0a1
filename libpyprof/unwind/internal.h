/*
 * What the files of unwind/ share. No other folder includes this.
 */
#ifndef PP_UNWIND_INTERNAL_H
#define PP_UNWIND_INTERNAL_H

#include "unwind/unwind.h"

#include <string.h>

#define PP_NO_CODE UINT32_MAX

/* Reads an integer of the target at any alignment. */
static inline uint64_t pp_load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t pp_load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* ---- copies made beyond the plan (extra.c) --------------------------------
 */

typedef struct pp_extra_copy {
    uint64_t address;
    uint64_t size;
    const uint8_t *bytes;
    uint32_t read; /* pp_extra.reads when it was made */
} pp_extra_copy;

/* Pieces that were missing in the plan, read while the round goes on. Bytes
 * never move within a round. */
typedef struct pp_extra {
    const pp_allocator *allocator;
    pp_span *wants;
    size_t n_wants, cap_wants;
    pp_extra_copy *copies; /* sorted by address; may overlap */
    size_t n_copies, cap_copies;
    pp_arena arena;
    uint32_t reads; /* in this round */
    uint64_t bytes; /* in this round */
    bool failed;    /* out of memory or over a cap */
} pp_extra;

void pp_extra_init(pp_extra *extra, const pp_allocator *allocator);
void pp_extra_free(pp_extra *extra);
void pp_extra_begin(pp_extra *extra); /* a new round */
void pp_extra_want(pp_extra *extra, uint64_t address, uint64_t size);
/* Reads all wants in one call; what can't be read is just not there. */
pyprof_status pp_extra_run(pp_extra *extra, pp_reader *reader);
const uint8_t *pp_extra_find(const pp_extra *extra, uint64_t address,
                             uint64_t size);
/* Only what was read later than the first `read` times. */
const uint8_t *pp_extra_find_since(const pp_extra *extra, uint64_t address,
                                   uint64_t size, uint32_t read);

/* ---- code objects (codes.c) ------------------------------------------------
 */

/* What is known of a code object, for the decoder. One block of memory. */
typedef struct pp_code_blob {
    uint32_t qualname_size, name_size, file_size, lines_size;
    int32_t first_line;
    uint32_t code_size;
    bool hidden; /* the interpreter's own: its frames are not shown */
    /* qualname NUL name NUL file NUL line table */
    uint8_t bytes[];
} pp_code_blob;

typedef struct pp_code {
    uint64_t address;
    uint64_t fingerprint;
    uint64_t proof;     /* value of the counter when it was last compared */
    uint64_t proven_ns; /* when that was */
    uint64_t known_ns;  /* when it was first read */
    uint64_t start;     /* address of its bytecode; 0: offsets are direct */
    uint32_t code_size; /* bytes of bytecode */
    uint32_t watched;   /* round in which it was last needed fresh */
    pp_code_blob *blob; /* until a record took it */
    uint32_t checked;   /* round in which it was last compared */
    bool checked_late;  /* ... after all frames of that round were read */
    uint32_t sound;     /* round in which a stack that is sure had it */
    bool in_watch;      /* named in `watch` */
} pp_code;

/* ---- frames
 * ------------------------------------------------------------------ */

typedef enum pp_raw_kind {
    PP_RAW_PYTHON,
    PP_RAW_SHIM,      /* entry from C */
    PP_RAW_TRUNCATED, /* only in records */
    PP_RAW_CLEARED    /* innermost and being left: it has no code any more */
} pp_raw_kind;

/* One element of the chain of frames, as it was read. */
typedef struct pp_raw_frame {
    uint64_t address;
    uint64_t code;  /* 0 for a shim */
    uint64_t instr; /* as it stands in the frame */
    uint32_t entry; /* of the code cache; PP_NO_CODE: unknown */
    uint32_t
        offset_kind; /* byte offset of the instruction << 2 | pp_raw_kind */
} pp_raw_frame;

typedef struct pp_chain {
    pp_raw_frame *frames; /* innermost first */
    uint32_t n, cap;
    bool truncated;
} pp_chain;

/* A piece that lies outside of the data stack. */
typedef struct pp_side {
    uint64_t address;
    uint32_t used; /* round in which it was last met */
    bool once;     /* a shim or a cframe: see plan.c */
} pp_side;

/* A full chunk of a data stack. */
typedef struct pp_old_chunk {
    uint64_t address, end;
    uint32_t used;
} pp_old_chunk;

enum { PP_MAX_SHIM = 128 }; /* bytes of a frame's head; larger ones are read */

enum { PP_MAX_SIDES = 4096, PP_MAX_OLD_CHUNKS = 512 };

typedef enum pp_walk {
    PP_WALK_MORE, /* something is missing: it was wanted */
    PP_WALK_DONE,
    PP_WALK_BAD,  /* what was read can't be */
    PP_WALK_FAULT /* something can't be read */
} pp_walk;

/* One thread of the target. */
typedef struct pp_slot {
    uint64_t tstate; /* 0: free slot */
    uint32_t interp; /* index */
    uint32_t seen;   /* round in which it was last in the list */
    uint64_t python_id, native_id, unique_id;
    bool main;
    bool announced; /* a record told of it */

    /* what to read of it next time */
    uint64_t chunk, window_end, cframe;
    uint32_t window_used; /* round in which the window was last full */
    pp_old_chunk *old_chunks;
    size_t n_old_chunks, cap_old_chunks;
    pp_side *sides;
    size_t n_sides, cap_sides;

    /* this round */
    uint64_t next, first_frame, flags;
    /* 3.11, 3.12: the evaluation loop whose frames are walked, the one that C
     * called it from, and the frames that are current in that one and in the
     * innermost one. */
    uint64_t loop, outer_loop, outer, told_frame;
    uint64_t entered_from; /* what is below the first frame that C called */
    bool entered;          /* that is known */
    uint64_t bottom; /* what stands for a frame below the outermost; or 0 */
    uint64_t datastack_top;
    uint64_t walk_at; /* frame to go on with */
    bool walk_begun;  /* walk_at is a frame */
    uint32_t walk_steps;
    uint32_t walk_missed; /* consecutive attempts at walk_at */
    pp_walk walk;
    bool used_extra;    /* the chain needs what the plan did not have */
    bool known;         /* unchanged by proof: the last chain stands */
    bool may_run;       /* it could run while this round read it */
    bool hot;           /* wanted twice in the next plan */
    bool in_plan_twice; /* section B of the plan has it */
    bool held;          /* the reader held its CPU: it stood still */
    int32_t cpu;        /* where it was last; -1 unknown */
    int32_t state;
    uint32_t sound; /* torn: frames from the root that are sure */
    uint32_t same;  /* frames from the root equal to the last chain */
    uint64_t root;  /* outermost frame of the last chain that was proven */
    /* The shim that this chain ends in, as it was read; and the one that the
     * last proven chain ended in, with the frame above it. */
    uint64_t met_shim, root_shim, root_top;
    uint8_t met_bytes[PP_MAX_SHIM], root_bytes[PP_MAX_SHIM];
    bool root_kept; /* this round's chain ends in the latter, unread */
    pp_chain now;
    /* the last round that was recorded */
    pp_chain last;
    int32_t last_state;
} pp_slot;

typedef struct pp_interp {
    uint64_t address;
    uint64_t id;
    uint64_t gil; /* address of its GIL's structure, 0 unknown */
    uint64_t threads_head, next;
    uint64_t gc_collecting;
    uint64_t proof; /* counter of code objects */
    uint32_t seen;
    /* proof that nobody but the holder ran since the last recorded round */
    uint64_t holder, switches;
    int32_t locked;
    bool gil_known; /* the three above are of this round */
    bool certified; /* ... and nobody switched while it was read */
    uint64_t kept_head, kept_holder, kept_switches;
    uint64_t kept_proof;
    bool kept; /* the kept_ fields describe the recorded round */
} pp_interp;

enum { PP_MAX_INTERPS = 1024 };

/* A second look: what was read between it and the first, and itself. */
typedef struct pp_second {
    pp_view between, after;
} pp_second;

struct pp_unwind {
    pp_allocator allocator;
    pp_reader *reader;
    const pp_layout *layout;
    uint64_t runtime;
    int64_t inner_pid;
    pp_unwind_opts opts;

    uint32_t round;
    uint64_t now;
    pp_unwind_care care;
    int32_t held_cpu; /* that the reader had for itself so far; -1 none */

    pp_gather plan;
    pp_view head, a, proofs, tail;
    pp_second plan_look; /* sections `once` and `b` */
    bool plan_dirty;
    bool plan_full;   /* the plan has all threads, not just the holders */
    uint32_t misses;  /* rounds in a row in which the shortcut would fail */
    uint64_t full_ns; /* when all was last read */
    pp_gather check;
    pp_second check_look;
    pp_extra extra;

    pp_interp *interps;
    size_t n_interps, cap_interps;
    pp_interp *saved; /* what a round knew of them, while it looks again */
    size_t cap_saved;
    uint64_t main_interp, main_tstate, main_ident;
    pp_slot *slots;
    size_t n_slots, cap_slots;
    pp_map slot_of; /* tstate -> index + 1 */
    uint32_t *work; /* of these, the ones that are walked */
    size_t cap_work;
    uint32_t *order; /* slots of this round, list order */
    size_t n_order, cap_order;
    pp_round_thread *threads;
    size_t cap_threads;

    pp_code *codes;
    size_t n_codes, cap_codes;
    pp_map code_of;  /* address -> index + 1 */
    uint32_t *fresh; /* codes that the next record tells of */
    size_t n_fresh, cap_fresh;
    size_t fresh_at;    /* n_fresh when the round began */
    uint64_t code_type; /* address of PyCode_Type, once it is known */
    bool again;         /* the second look of a round, or a later one */
    uint32_t fence;     /* extra reads before code objects were looked at */
    uint32_t *watch;    /* codes whose head belongs into the plan */
    size_t n_watch, cap_watch;

    uint32_t ident_offset; /* of the thread id in struct pthread (<= 3.10) */
    bool ident_searched;
    uint32_t ts_low, ts_high; /* the part of a thread state that is read */
    bool has_shims;           /* every stack ends in one, at its root */

    pp_unwind_counters counters;
};

/* ---- plan.c ---------------------------------------------------------------
 */

/* Makes the plan for the threads at hand. */
bool pp_plan_make(pp_unwind *u, bool full);
/* Whether the plan has to be made anew for this round. */
bool pp_plan_is_due(const pp_unwind *u);
/* Whether this round reads also what the others take as it was. */
bool pp_plan_whole(const pp_unwind *u);
/* Adds who holds the GIL of an interpreter, where it has one. */
void pp_plan_add_gil(pp_gather *g, const pp_unwind *u, const pp_interp *interp);
/* Adds what proves the code objects of each interpreter, where it has such. */
void pp_plan_add_proofs(pp_gather *g, const pp_unwind *u);
/* Adds the word that tells where a thread was last (PP_CARE_HELD). */
void pp_plan_add_cpu(pp_gather *g, const pp_unwind *u, const pp_slot *slot);
/* Adds to `check` what a second look at a chain needs: what says which frame is
 * current, and (in a later section) the frames. */
void pp_plan_check_current(pp_unwind *u, const pp_slot *slot);
void pp_plan_check_frames(pp_unwind *u, const pp_slot *slot);

/* ---- interps.c ------------------------------------------------------------
 */

typedef struct pp_gil_state {
    uint64_t holder, switches;
    int32_t locked;
} pp_gil_state;

/* One word, at once: for what is asked once. 0 when it can't be read. */
uint64_t pp_interp_word(pp_unwind *u, uint64_t address, uint32_t offset);
/* One word of this round; false when it is missing (it was wanted). */
bool pp_interp_u64(pp_unwind *u, uint64_t address, uint64_t *out);
bool pp_interp_gil(pp_view *view, const pp_layout *l, uint64_t gil,
                   pp_gil_state *out);
bool pp_interp_has_gil(const pp_layout *l);
/* Whether the GIL's counter proves anything: before 3.12 all interpreters
 * share one, and a thread may change its state under it without a switch. */
bool pp_interp_gil_proves(const pp_unwind *u);
/* Whether code objects were freed or made since the proof of an interpreter was
 * read: `view` has it as it is now. True when that can't be told. */
bool pp_interp_proof_moved(const pp_unwind *u, const pp_interp *interp,
                           pp_view *view);
/* The words of an interpreter that are looked at in each round. False when
 * something is missing (it was wanted). */
bool pp_interp_read(pp_unwind *u, pp_interp *interp);
/* Its index, made when it is new; UINT32_MAX: out of memory or too many. */
uint32_t pp_interp_for(pp_unwind *u, uint64_t address);

/* ---- threads.c -------------------------------------------------------------
 */

void pp_threads_clear(pp_slot *slot);
/* Completes what is known of a thread when it is first shown. */
void pp_threads_meet(pp_unwind *u, pp_slot *slot);
/* All interpreters and threads into `order`. *out_done false: the lists are not
 * to be had in this round. */
pyprof_status pp_threads_list(pp_unwind *u, bool *out_done);
/* The main thread alone. */
bool pp_threads_find_main(pp_unwind *u);
pyprof_status pp_threads_list_main(pp_unwind *u, bool *out_done);

/* ---- prove.c ----------------------------------------------------------------
 */

/* Whether what proves that a thread stands still is known (PP_CARE_HELD). */
bool pp_prove_can_hold(const pp_unwind *u, const pp_slot *slot);
/* Whether the first n slots of `work` stood still while the plan was read. */
void pp_prove_held(pp_unwind *u, size_t n);

/* Whether a thread could run while this round read it. */
bool pp_prove_may_run(const pp_unwind *u, const pp_slot *slot);
/* A state for each of the first n slots of `work`, with as many more looks as
 * that takes: none when the plan had everything, else one (two when the GIL
 * changed hands). */
pyprof_status pp_prove(pp_unwind *u, size_t n);

/* ---- walk.c ---------------------------------------------------------------
 */

/* A piece of this round: from the plan, else from the extra copies. */
const uint8_t *pp_walk_find(pp_unwind *u, uint64_t address, uint64_t size,
                            bool *out_extra);
/* Takes the header of a thread state; false when it isn't there (it was
 * wanted). walk is PP_WALK_BAD when it is no thread state of its interpreter.
 */
bool pp_walk_header(pp_unwind *u, pp_slot *slot);
void pp_walk_begin(pp_slot *slot);
pp_walk pp_walk_frames(pp_unwind *u, pp_slot *slot);
bool pp_chain_reserve(const pp_allocator *a, pp_chain *chain, uint32_t need,
                      uint32_t max);

/* ---- second.c --------------------------------------------------------------
 */

/* Compares the chain with a second look at the same places. */
typedef enum pp_verdict { PP_SAME, PP_MOVED_LEAF, PP_CHANGED } pp_verdict;
pp_verdict pp_second_verify(pp_unwind *u, const pp_slot *slot, pp_second *look);
/* Frames from the root that a first and a second look agree on. */
uint32_t pp_second_sound(pp_unwind *u, const pp_slot *slot, pp_second *look);

/* ---- codes.c ---------------------------------------------------------------
 */

/* Resolves `entry` and offset of the frames of a chain that are new since the
 * last record, or whose code must be looked at again. May read. */
pyprof_status pp_codes_resolve(pp_unwind *u, const uint32_t *slots, size_t n);
/* Whether all code objects of a chain were looked at after its frames were
 * read. */
bool pp_codes_all_late(const pp_unwind *u, const pp_slot *slot);
/* Forgets the code objects that were read since the round began: it proved
 * torn, so they may be anything. */
void pp_codes_forget(pp_unwind *u);
/* To be called as a round begins: makes room when the cache is full. */
void pp_codes_begin(pp_unwind *u);
void pp_codes_flush(pp_unwind *u);
void pp_codes_free(pp_unwind *u);

/* ---- text.c ----------------------------------------------------------------
 */

/* Bytes of a str object's head that tell its shape. */
typedef struct pp_str_shape {
    uint64_t data;   /* address of the characters */
    uint64_t length; /* characters */
    uint32_t kind;   /* bytes a character: 1, 2, 4 */
    bool ascii;
} pp_str_shape;
/* False when it is not a str that can be read. */
bool pp_text_shape(const pp_layout *layout, uint64_t address,
                   const uint8_t *head, pp_str_shape *out);
/* UTF-8 (surrogates kept as three bytes, 3.x's "surrogatepass") of
 * characters; returns the bytes, at most `size`, cut between characters. */
size_t pp_text_utf8(const uint8_t *data, uint64_t length, uint32_t kind,
                    char *to, size_t size);
uint32_t pp_text_head_size(const pp_layout *layout);

/* ---- records (record.c, decode.c) -------------------------------------------
 */

typedef struct pp_record {
    uint64_t time_ns;
    uint32_t n_codes, n_threads, n_stacks, n_frames;
} pp_record; /* followed by the arrays below, in this order */

typedef struct pp_record_code {
    pp_code_blob *blob; /* now the record's */
    uint64_t entry;
} pp_record_code;

typedef struct pp_record_thread {
    uint64_t interpreter, native_id, python_id;
    uint32_t slot;
    uint32_t main;
} pp_record_thread;

typedef struct pp_record_stack {
    uint32_t slot;
    int32_t state;
    uint64_t flags;
    uint32_t keep;  /* frames from the root that are as in the last record */
    uint32_t n_new; /* frames that follow them, in the array of frames */
} pp_record_stack;

typedef struct pp_record_frame {
    uint32_t entry;
    uint32_t offset_kind;
} pp_record_frame;

#endif /* PP_UNWIND_INTERNAL_H */
