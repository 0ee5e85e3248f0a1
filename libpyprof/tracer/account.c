/*
 * account: books and lanes. In go beginnings and ends of calls, out come sums
 * by function, by pair of functions, and by path.
 *
 * Invariants:
 * 1. Both tables always have a free slot, and slots, once a book is made.
 * 2. Entries and edges never move. Numbers of entries are 1, 2, 3, ...; the
 *    stack's first call has an entry of number 0, which nothing returns from.
 * 3. Running out of memory, or into the limit, loses names and never a call:
 *    it becomes one of `<other functions>`.
 */
#include "tracer/account.h"

#include <string.h>

#define SLOTS_MIN_LOG 6
#define STACK_MIN ((size_t)64)

/* ---- tables ------------------------------------------------------------ */

static uint64_t entry_place(const void *item)
{
    return ((const pp_entry *)item)->key >> 4;
}

static uint64_t edge_place(const void *item)
{
    return ((const pp_edge *)item)->key;
}

static void put(pp_slots *slots, void *item, uint64_t place)
{
    size_t mask = pp_slots_mask(slots);
    size_t i = pp_slots_at(slots, place);
    while (slots->slots[i] != NULL) {
        i = (i + 1) & mask;
    }
    slots->slots[i] = item;
}

static bool slots_init(pp_slots *slots, const pp_allocator *a)
{
    slots->shift = 64 - SLOTS_MIN_LOG;
    slots->slots = pp_calloc(a, (size_t)1 << SLOTS_MIN_LOG, sizeof(void *));
    return slots->slots != NULL;
}

/* Room for one more, at most 3/4 of the slots being taken. */
static bool slots_reserve(pp_slots *slots, const pp_allocator *a,
                          uint64_t (*place)(const void *item))
{
    size_t n = pp_slots_mask(slots) + 1;
    if (slots->n_used + 1 <= n / 4 * 3) {
        return true;
    }
    pp_slots bigger = {.shift = slots->shift - 1, .n_used = slots->n_used};
    bigger.slots = pp_calloc(a, n * 2, sizeof(void *));
    if (bigger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (slots->slots[i] != NULL) {
            put(&bigger, slots->slots[i], place(slots->slots[i]));
        }
    }
    pp_free(a, slots->slots);
    *slots = bigger;
    return true;
}

/* ---- books ------------------------------------------------------------- */

bool pp_book_init(pp_book *book, const pp_allocator *allocator,
                  uint64_t max_bytes)
{
    memset(book, 0, sizeof(*book));
    book->allocator = *allocator;
    book->max_bytes = max_bytes;
    pp_arena_init(&book->arena, &book->allocator);
    pp_map_init(&book->path_of, &book->allocator);
    book->other.key = PP_KEY_OTHER;
    book->other.edge = &book->lost;
    return slots_init(&book->entries, &book->allocator) &&
           slots_init(&book->edges, &book->allocator);
}

void pp_book_moved(pp_book *book)
{
    book->arena.allocator = &book->allocator;
    book->path_of.allocator = &book->allocator;
    book->other.edge = &book->lost;
    if (book->other.id != 0) {
        book->by_id[book->other.id - 1] = &book->other;
    }
}

uint64_t pp_book_bytes(const pp_book *book)
{
    return book->arena.reserved + pp_map_bytes(&book->path_of) +
           book->cap_paths * sizeof(*book->paths) +
           book->cap_entries * sizeof(pp_entry *) + book->label_bytes +
           (pp_slots_mask(&book->entries) + 1) * sizeof(void *) +
           (pp_slots_mask(&book->edges) + 1) * sizeof(void *);
}

/* True when no more may be taken; only asked when something new comes. */
static bool is_full(pp_book *book)
{
    if (!book->is_full && book->max_bytes != 0 &&
        pp_book_bytes(book) >= book->max_bytes) {
        book->is_full = true;
    }
    return book->is_full || book->is_failed;
}

static bool add_number(pp_book *book, pp_entry *entry)
{
    if (!pp_grow(&book->allocator, &book->by_id, &book->cap_entries,
                 sizeof(pp_entry *), book->n_entries + 1, INT32_MAX)) {
        return false;
    }
    book->by_id[book->n_entries] = entry;
    entry->id = (uint32_t)++book->n_entries;
    return true;
}

static pp_entry *other(pp_book *book)
{
    pp_entry *entry = &book->other;
    if (entry->id == 0 && !add_number(book, entry)) {
        book->is_failed = true;
    }
    book->folded++;
    return entry;
}

static pp_entry *new_entry(pp_book *book, uintptr_t key)
{
    if (!slots_reserve(&book->entries, &book->allocator, entry_place)) {
        return NULL;
    }
    pp_entry *entry = pp_arena_alloc(&book->arena, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    memset(entry, 0, sizeof(*entry));
    entry->key = key;
    entry->edge = &book->lost;
    return entry;
}

pp_entry *pp_book_add(pp_book *book, uintptr_t key, char *label,
                      bool is_excluded, bool *out_new)
{
    *out_new = false;
    pp_entry *entry = NULL;
    if (!is_full(book)) {
        entry = new_entry(book, key);
        if (entry == NULL || (!is_excluded && !add_number(book, entry))) {
            book->is_failed = true;
            entry = NULL;
        }
    }
    if (entry == NULL) {
        pp_free(&book->allocator, label);
        return other(book);
    }
    if (is_excluded) {
        entry->id = PP_ENTRY_EXCLUDED;
    }
    entry->label = label;
    book->label_bytes += label != NULL ? strlen(label) + 1 : 0;
    put(&book->entries, entry, entry_place(entry));
    book->entries.n_used++;
    *out_new = true;
    return entry;
}

pp_edge *pp_book_edge_slow(pp_book *book, pp_entry *callee, uint64_t key)
{
    pp_edge *edge = NULL;
    if (!is_full(book)) {
        if (slots_reserve(&book->edges, &book->allocator, edge_place)) {
            edge = pp_arena_alloc(&book->arena, sizeof(*edge));
        }
        if (edge == NULL) {
            book->is_failed = true;
        }
    }
    if (edge == NULL) {
        return &book->lost;
    }
    memset(edge, 0, sizeof(*edge));
    edge->key = key;
    put(&book->edges, edge, key);
    book->edges.n_used++;
    callee->edge = edge;
    return edge;
}

void pp_book_each_edge(const pp_book *book,
                       void (*visit)(void *user, const pp_edge *edge),
                       void *user)
{
    size_t n = pp_slots_mask(&book->edges) + 1;
    for (size_t i = 0; i < n; i++) {
        const pp_edge *edge = book->edges.slots[i];
        if (edge != NULL && (edge->sum.calls | edge->sum.own) != 0) {
            visit(user, edge);
        }
    }
}

void pp_book_free(pp_book *book)
{
    const pp_allocator *a = &book->allocator;
    for (size_t i = 0;
         book->entries.slots != NULL && i <= pp_slots_mask(&book->entries);
         i++) {
        pp_entry *entry = book->entries.slots[i];
        if (entry != NULL) {
            pp_free(a, entry->label);
        }
    }
    pp_free(a, book->entries.slots);
    pp_free(a, book->edges.slots);
    pp_free(a, book->by_id);
    pp_free(a, book->paths);
    pp_map_free(&book->path_of);
    pp_arena_free(&book->arena);
    book->entries.slots = NULL;
    book->edges.slots = NULL;
    book->by_id = NULL;
    book->paths = NULL;
}

/* ---- paths ------------------------------------------------------------- */

/* 0 when there is no room. */
static uint32_t path_number(pp_book *book, uint32_t parent, uint32_t entry)
{
    const uint64_t key = (uint64_t)parent << 32 | entry;
    uint64_t *number = pp_map_find(&book->path_of, key);
    if (number != NULL) {
        return (uint32_t)*number;
    }
    if (is_full(book)) {
        return 0;
    }
    if (!pp_grow(&book->allocator, &book->paths, &book->cap_paths,
                 sizeof(*book->paths), book->n_paths + 1, INT32_MAX) ||
        (number = pp_map_put(&book->path_of, key, NULL)) == NULL) {
        book->is_failed = true;
        return 0;
    }
    book->paths[book->n_paths] = (pp_path){.parent = parent, .entry = entry};
    *number = ++book->n_paths;
    return (uint32_t)*number;
}

void pp_lane_enter_path(pp_lane *lane, pp_call *call)
{
    uint32_t parent = call[-1].path;
    uint32_t path = path_number(&lane->book, parent, call->entry->id);
    /* what has no room is a part of its caller */
    call->path = path != 0 ? path : parent;
}

void pp_lane_leave_path(pp_lane *lane, const pp_call *call, uint64_t own,
                        bool is_end)
{
    if (call->path != 0) {
        pp_path *path = &lane->book.paths[call->path - 1];
        path->own += own;
        path->calls += is_end;
    }
}

/* ---- folding ----------------------------------------------------------- */

static void add_tally(pp_tally *to, const pp_tally *from)
{
    to->calls += from->calls;
    to->repeated += from->repeated;
    to->own += from->own;
    to->total += from->total;
}

static pp_entry *fold_entry(pp_book *to, const pp_entry *from,
                            void (*keep)(void *user, const pp_entry *entry),
                            void *user)
{
    pp_entry *entry =
        from->key == PP_KEY_OTHER ? &to->other : pp_book_find(to, from->key);
    if (entry == &to->other && entry->id == 0 && !add_number(to, entry)) {
        return NULL;
    }
    if (entry == NULL) {
        char *label = NULL;
        bool is_new;
        if (from->label != NULL) {
            size_t size = strlen(from->label) + 1;
            label = pp_alloc(&to->allocator, size);
            if (label == NULL) {
                return NULL;
            }
            memcpy(label, from->label, size);
        }
        entry = pp_book_add(to, from->key, label, false, &is_new);
        if (!is_new) {
            return NULL;
        }
        if (keep != NULL) {
            keep(user, entry);
        }
    }
    add_tally(&entry->sum, &from->sum);
    return entry;
}

static bool fold_edges(pp_book *to, const pp_book *from,
                       pp_entry *const *entries)
{
    static const pp_entry nobody = {.id = 0};
    size_t n = pp_slots_mask(&from->edges) + 1;
    for (size_t i = 0; i < n; i++) {
        const pp_edge *edge = from->edges.slots[i];
        if (edge == NULL || (edge->sum.calls | edge->sum.own) == 0) {
            continue;
        }
        uint32_t caller = (uint32_t)edge->key;
        pp_edge *sum = pp_book_edge(to, entries[edge->key >> 32],
                                    caller == 0 ? &nobody : entries[caller]);
        if (sum == &to->lost) {
            return false;
        }
        add_tally(&sum->sum, &edge->sum);
    }
    return true;
}

static bool fold_paths(pp_book *to, const pp_book *from,
                       pp_entry *const *entries)
{
    uint32_t *numbers =
        pp_calloc(&to->allocator, from->n_paths + 1, sizeof(*numbers));
    bool is_done = numbers != NULL;
    /* callers come before what they call */
    for (size_t i = 0; i < from->n_paths && is_done; i++) {
        const pp_path *path = &from->paths[i];
        uint32_t number =
            path_number(to, numbers[path->parent], entries[path->entry]->id);
        is_done = number != 0;
        if (is_done) {
            numbers[i + 1] = number;
            to->paths[number - 1].own += path->own;
            to->paths[number - 1].calls += path->calls;
        }
    }
    pp_free(&to->allocator, numbers);
    return is_done;
}

bool pp_book_fold(pp_book *to, const pp_book *from,
                  void (*keep)(void *user, const pp_entry *entry), void *user)
{
    pp_entry **entries =
        pp_calloc(&to->allocator, from->n_entries + 1, sizeof(pp_entry *));
    bool is_done = entries != NULL;
    for (size_t i = 0; i < from->n_entries && is_done; i++) {
        entries[i + 1] = fold_entry(to, from->by_id[i], keep, user);
        is_done = entries[i + 1] != NULL;
    }
    is_done = is_done && fold_edges(to, from, entries) &&
              fold_paths(to, from, entries);
    pp_free(&to->allocator, entries);
    to->folded += from->folded;
    to->is_failed = to->is_failed || from->is_failed;
    return is_done;
}

/* ---- lanes ------------------------------------------------------------- */

bool pp_lane_init(pp_lane *lane, const pp_allocator *allocator,
                  uint64_t max_bytes, bool has_paths)
{
    memset(lane, 0, sizeof(*lane));
    lane->has_paths = has_paths;
    if (!pp_book_init(&lane->book, allocator, max_bytes)) {
        return false;
    }
    lane->stack = pp_calloc(allocator, STACK_MIN, sizeof(*lane->stack));
    if (lane->stack == NULL) {
        return false;
    }
    lane->stack[0].entry = &lane->nobody;
    lane->top = lane->stack;
    lane->last = lane->stack + STACK_MIN - 1;
    return true;
}

bool pp_lane_grow(pp_lane *lane)
{
    size_t n = (size_t)(lane->last - lane->stack) + 1;
    size_t used = (size_t)(lane->top - lane->stack);
    pp_call *stack = NULL;
    if (lane->unrecorded == 0 && n <= SIZE_MAX / 2) {
        stack = pp_realloc(&lane->book.allocator, lane->stack, n * 2,
                           sizeof(*stack));
    }
    if (stack == NULL) {
        lane->book.is_failed = true;
        lane->unrecorded++;
        return false;
    }
    lane->stack = stack;
    lane->top = stack + used;
    lane->last = stack + n * 2 - 1;
    return true;
}

void pp_lane_leave_other(pp_lane *lane, uintptr_t key, uint64_t now,
                         bool is_end)
{
    if (lane->unrecorded > 0) {
        lane->unrecorded--;
        return;
    }
    pp_call *call = lane->top;
    while (call != lane->stack && call->key != key) {
        call--;
    }
    if (call == lane->stack) {
        return;
    }
    while (lane->top != call) {
        pp_lane_leave_top(lane, now, true);
    }
    pp_lane_leave_top(lane, now, is_end);
}

void pp_lane_flush(pp_lane *lane, uint64_t now)
{
    while (lane->top != lane->stack) {
        pp_lane_leave_top(lane, now, true);
    }
    lane->unrecorded = 0;
}

void pp_lane_forget_open(pp_lane *lane)
{
    for (; lane->top != lane->stack; lane->top--) {
        lane->top->entry->level--;
        lane->top->edge->level--;
    }
    lane->unrecorded = 0;
}

void pp_lane_free(pp_lane *lane)
{
    pp_free(&lane->book.allocator, lane->stack);
    pp_book_free(&lane->book);
    lane->stack = NULL;
}
