/*
 * account: who called whom, how often and how long; of one thread for one
 * tracer. In come the beginnings and ends of calls, each a key and a time; it
 * knows neither Python nor where times come from.
 *
 * A book has the sums; a lane is a book with the stack of open calls above it.
 * What is on the way of every call is inline here. A lane is used by one thread
 * at a time; callers see to that.
 *
 * Times are unsigned and wrap: a clock that goes back makes a difference that
 * is negative as an int64_t.
 */
#ifndef PP_TRACER_ACCOUNT_H
#define PP_TRACER_ACCOUNT_H

#include "base/base.h"

typedef struct pp_edge pp_edge;

/* Calls that ended, and their times. */
typedef struct pp_tally {
    uint64_t calls;
    uint64_t repeated; /* of these, inside another call of the same */
    uint64_t own;
    uint64_t total; /* of those that are not */
} pp_tally;

/* A function: one code object, or one C function. */
typedef struct pp_entry {
    uintptr_t key; /* address of the code object or of the definition */
    pp_tally sum;
    pp_edge *edge;  /* last one that was used; never NULL once recorded */
    char *label;    /* of a C function, else NULL */
    uint32_t level; /* open calls of it */
    uint32_t id;    /* from 1 on; PP_ENTRY_EXCLUDED: not recorded */
} pp_entry;

#define PP_ENTRY_EXCLUDED UINT32_MAX
/* Key of `<other functions>`: no address. */
#define PP_KEY_OTHER ((uintptr_t)1)

/* Calls of one function by one other. Those by nobody have caller 0. */
struct pp_edge {
    uint64_t key; /* id of the callee << 32 | id of the caller */
    pp_tally sum;
    uint32_t level;
    uint32_t reserved;
};

static inline uint64_t pp_edge_key(uint32_t callee, uint32_t caller)
{
    return (uint64_t)callee << 32 | caller;
}

/* A call path: a function, called by another path. */
typedef struct pp_path {
    uint32_t parent; /* 0: called by nobody */
    uint32_t entry;  /* id */
    uint64_t own;
    uint64_t calls; /* that ended */
} pp_path;

/* Hash table of pointers to things that have their key inside. */
typedef struct pp_slots {
    void **slots;
    size_t n_used;
    uint32_t shift; /* 64 - log2 of the size; 64: no slots yet */
} pp_slots;

typedef struct pp_book {
    pp_allocator allocator;
    pp_arena arena; /* entries and edges */
    pp_slots entries;
    pp_slots edges;
    pp_entry **by_id; /* by_id[id - 1] */
    size_t n_entries, cap_entries;
    pp_map path_of; /* parent << 32 | entry -> number of the path */
    pp_path *paths; /* paths[number - 1] */
    size_t n_paths, cap_paths;
    size_t label_bytes;
    uint64_t max_bytes; /* 0: no limit */
    uint64_t folded;    /* calls of functions that have no entry of their own */
    bool is_full;       /* max_bytes reached */
    bool is_failed;     /* memory ran out */
    pp_entry other;     /* `<other functions>`, has an id once it is used */
    pp_edge lost;       /* takes what edges beyond the limit would have */
} pp_book;

/* An open call. */
typedef struct pp_call {
    uintptr_t key; /* of what was called, which `entry` may not have */
    pp_entry *entry;
    pp_edge *edge;
    uint64_t start;
    uint64_t children; /* time of what it called */
    uint32_t path;
    uint32_t reserved;
} pp_call;

typedef struct pp_lane {
    pp_call *top;  /* the innermost open call; the first one is nobody's */
    pp_call *last; /* the last that there is room for */
    pp_call *stack;
    uint64_t unrecorded; /* open calls that there was no memory for */
    pp_book book;
    pp_entry nobody; /* of the stack's first call */
    bool has_paths;
} pp_lane;

/* ---- on the way of every call ------------------------------------------ */

static inline size_t pp_slots_at(const pp_slots *slots, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> slots->shift);
}

static inline size_t pp_slots_mask(const pp_slots *slots)
{
    return (size_t)(UINT64_MAX >> slots->shift);
}

/* NULL: not known. */
static inline pp_entry *pp_book_find(const pp_book *book, uintptr_t key)
{
    const size_t mask = pp_slots_mask(&book->entries);
    for (size_t i = pp_slots_at(&book->entries, key >> 4);;
         i = (i + 1) & mask) {
        pp_entry *entry = book->entries.slots[i];
        if (entry == NULL || PP_LIKELY(entry->key == key)) {
            return entry;
        }
    }
}

/* NULL: not known. */
static inline pp_edge *pp_book_find_edge(const pp_book *book, uint64_t key)
{
    const size_t mask = pp_slots_mask(&book->edges);
    for (size_t i = pp_slots_at(&book->edges, key);; i = (i + 1) & mask) {
        pp_edge *edge = book->edges.slots[i];
        if (edge == NULL || PP_LIKELY(edge->key == key)) {
            return edge;
        }
    }
}

/* The edge, made where it is new; the lost one where there is no room. */
pp_edge *pp_book_edge_slow(pp_book *book, pp_entry *callee, uint64_t key);
static inline pp_edge *pp_book_edge(pp_book *book, pp_entry *callee,
                                    const pp_entry *caller)
{
    const uint64_t key = pp_edge_key(callee->id, caller->id);
    if (PP_LIKELY(callee->edge->key == key)) {
        return callee->edge;
    }
    pp_edge *edge = pp_book_find_edge(book, key);
    if (PP_UNLIKELY(edge == NULL)) {
        return pp_book_edge_slow(book, callee, key);
    }
    callee->edge = edge;
    return edge;
}

/* More room on the stack; false, with the call counted as unrecorded, when
 * there is none. */
bool pp_lane_grow(pp_lane *lane);
void pp_lane_enter_path(pp_lane *lane, pp_call *call);
void pp_lane_leave_path(pp_lane *lane, const pp_call *call, uint64_t own,
                        bool is_end);

/* One call more. `level`: of those that are open, itself included; `is_end`
 * false: only its time. */
static inline void pp_tally_add(pp_tally *sum, uint32_t level, uint64_t own,
                                uint64_t total, bool is_end)
{
    sum->calls += is_end;
    sum->own += own;
    if (PP_LIKELY(level == 1)) {
        sum->total += total;
    } else {
        sum->repeated += is_end;
    }
}

/* The two steps that every way of entering and leaving ends with. */
static inline pp_call *pp_lane_push(pp_lane *lane, uintptr_t key,
                                    pp_entry *entry, pp_edge *edge)
{
    pp_call *call = lane->top + 1;
    entry->level++;
    edge->level++;
    call->key = key;
    call->entry = entry;
    call->edge = edge;
    call->children = 0;
    lane->top = call;
    return call;
}

/* Returns the time in the call itself. */
static inline uint64_t pp_lane_pop(pp_lane *lane, uint64_t now, bool is_end)
{
    pp_call *call = lane->top;
    pp_entry *entry = call->entry;
    pp_edge *edge = call->edge;
    const uint64_t total = now - call->start;
    const uint64_t own = total - call->children;
    lane->top = call - 1;
    call[-1].children += total;
    pp_tally_add(&entry->sum, entry->level--, own, total, is_end);
    pp_tally_add(&edge->sum, edge->level--, own, total, is_end);
    return own;
}

/* A call begins; its start is put in last, by pp_lane_enter's caller, so that
 * the work of this is not in the call's time. NULL: not recorded. */
static inline pp_call *pp_lane_enter(pp_lane *lane, uintptr_t key,
                                     pp_entry *entry)
{
    if (PP_UNLIKELY(entry->id == PP_ENTRY_EXCLUDED)) {
        return NULL;
    }
    pp_call *caller = lane->top;
    if (PP_UNLIKELY(caller == lane->last)) {
        if (!pp_lane_grow(lane)) {
            return NULL;
        }
        caller = lane->top;
    }
    pp_edge *edge = pp_book_edge(&lane->book, entry, caller->entry);
    pp_call *call = pp_lane_push(lane, key, entry, edge);
    if (PP_UNLIKELY(lane->has_paths)) {
        pp_lane_enter_path(lane, call);
    }
    return call;
}

/* The innermost open call ends. `is_end` false: it is only suspended, and
 * counts when it has ended. */
static inline void pp_lane_leave_top(pp_lane *lane, uint64_t now, bool is_end)
{
    const pp_call *call = lane->top;
    const uint64_t own = pp_lane_pop(lane, now, is_end);
    if (PP_UNLIKELY(lane->has_paths)) {
        pp_lane_leave_path(lane, call, own, is_end);
    }
}

/* A call of `key` ends that is not the innermost one: those inside it end too.
 * What never began is ignored. */
void pp_lane_leave_other(pp_lane *lane, uintptr_t key, uint64_t now,
                         bool is_end);

/* The two again for a lane without paths whose book excludes nothing, and
 * without a call, so that they need no registers kept. They do all of it but
 * the start, or nothing: then (NULL, false) the other ones have to. */
static inline pp_call *pp_lane_enter_plain(pp_lane *lane, uintptr_t key)
{
    pp_book *book = &lane->book;
    pp_entry *entry = pp_book_find(book, key);
    pp_call *caller = lane->top;
    if (PP_UNLIKELY(entry == NULL || caller == lane->last)) {
        return NULL;
    }
    pp_edge *edge = entry->edge;
    const uint64_t edge_key = pp_edge_key(entry->id, caller->entry->id);
    if (PP_UNLIKELY(edge->key != edge_key)) {
        edge = pp_book_find_edge(book, edge_key);
        if (PP_UNLIKELY(edge == NULL)) {
            return NULL;
        }
        entry->edge = edge;
    }
    return pp_lane_push(lane, key, entry, edge);
}

static inline bool pp_lane_leave_plain(pp_lane *lane, uintptr_t key,
                                       uint64_t now)
{
    if (PP_UNLIKELY(lane->top->key != key || lane->unrecorded != 0)) {
        return false;
    }
    pp_lane_pop(lane, now, true);
    return true;
}

/* ---- books and lanes ---------------------------------------------------- */

/* False when out of memory; the book can then be freed. The allocator is
 * copied. */
bool pp_book_init(pp_book *book, const pp_allocator *allocator,
                  uint64_t max_bytes);
/* To be called after a book was copied to another place, which it moves to. It
 * must have no open calls. */
void pp_book_moved(pp_book *book);
/* An entry for a key that is not known. `label` (may be NULL) becomes the
 * book's. Never NULL: where there is no room it is `<other functions>`, and
 * `*out_new` false; the label is freed then. */
pp_entry *pp_book_add(pp_book *book, uintptr_t key, char *label,
                      bool is_excluded, bool *out_new);
/* Adds all that `from` has to `to`. `keep` (may be NULL) is called for each key
 * that is new to `to`. False when out of memory. */
bool pp_book_fold(pp_book *to, const pp_book *from,
                  void (*keep)(void *user, const pp_entry *entry), void *user);
/* Calls `visit` for each edge that has calls. */
void pp_book_each_edge(const pp_book *book,
                       void (*visit)(void *user, const pp_edge *edge),
                       void *user);
uint64_t pp_book_bytes(const pp_book *book);
void pp_book_free(pp_book *book);

/* False when out of memory; the lane can then be freed. It must not move. */
bool pp_lane_init(pp_lane *lane, const pp_allocator *allocator,
                  uint64_t max_bytes, bool has_paths);
/* Ends all open calls. */
void pp_lane_flush(pp_lane *lane, uint64_t now);
/* Forgets all open calls, without a trace of them. */
void pp_lane_forget_open(pp_lane *lane);
void pp_lane_free(pp_lane *lane);

#endif /* PP_TRACER_ACCOUNT_H */
