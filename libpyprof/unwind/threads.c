/*
 * Which threads there are: the lists of interpreters and thread states, and a
 * slot for each thread as long as it lasts.
 *
 * In: copies of thread states. Out: `order`, the slots of this round.
 *
 * Invariants: a slot's thread state is in slot_of under its address; what was
 * not met in a whole list is dropped; each list ends after a bounded number of
 * steps, also when it loops.
 */
#include "unwind/internal.h"

enum { MAX_LIST = 1 << 20 };

/* ---- slots ------------------------------------------------------------------
 */

static pp_slot *free_slot(pp_unwind *u, uint32_t *out_index)
{
    for (size_t i = 0; i < u->n_slots; i++) {
        if (u->slots[i].tstate == 0) {
            *out_index = (uint32_t)i;
            return &u->slots[i];
        }
    }
    if (!pp_grow(&u->allocator, (void **)&u->slots, &u->cap_slots,
                 sizeof(pp_slot), u->n_slots + 1, u->opts.max_threads)) {
        return NULL;
    }
    *out_index = (uint32_t)u->n_slots;
    u->slots[u->n_slots] = (pp_slot){0};
    return &u->slots[u->n_slots++];
}

void pp_threads_clear(pp_slot *slot)
{
    pp_slot kept = *slot; /* its memory serves the next thread */
    *slot = (pp_slot){
        .old_chunks = kept.old_chunks,
        .cap_old_chunks = kept.cap_old_chunks,
        .sides = kept.sides,
        .cap_sides = kept.cap_sides,
        .now = kept.now,
        .last = kept.last,
    };
    slot->cpu = -1;
    slot->now.n = 0;
    slot->last.n = 0;
}

/* The slot of a thread state, made when it is new. False: out of memory, or
 * more threads than were allowed. */
static bool slot_for(pp_unwind *u, uint64_t tstate, uint32_t interp,
                     uint32_t *out_index)
{
    uint64_t *kept = pp_map_find(&u->slot_of, tstate);
    if (kept != NULL) {
        *out_index = (uint32_t)*kept;
        if (u->slots[*kept].interp == interp) {
            return true;
        }
        pp_threads_clear(&u->slots[*kept]);
    } else {
        pp_slot *slot = free_slot(u, out_index);
        if (slot == NULL ||
            (kept = pp_map_put(&u->slot_of, tstate, NULL)) == NULL) {
            return false;
        }
        *kept = *out_index;
        pp_threads_clear(slot);
    }
    u->slots[*out_index].tstate = tstate;
    u->slots[*out_index].interp = interp;
    u->plan_dirty = true;
    return true;
}

static void drop_unseen_slots(pp_unwind *u)
{
    for (size_t i = 0; i < u->n_slots; i++) {
        pp_slot *slot = &u->slots[i];
        if (slot->tstate != 0 && slot->seen != u->round) {
            pp_map_remove(&u->slot_of, slot->tstate);
            pp_threads_clear(slot);
            u->plan_dirty = true;
        }
    }
}

static bool push_order(pp_unwind *u, uint32_t slot)
{
    if (!pp_grow(&u->allocator, (void **)&u->order, &u->cap_order,
                 sizeof(uint32_t), u->n_order + 1, u->opts.max_threads)) {
        return false;
    }
    u->order[u->n_order++] = slot;
    return true;
}

/* Before 3.11 the system's thread id stands only in the C library's own
 * structure, which the thread's identity points at. Its place is found once,
 * by the main thread, whose id is that of the process. */
static void find_native_id(pp_unwind *u, pp_slot *slot)
{
    enum { SEARCH = 2048 };
    uint8_t bytes[SEARCH];
    uint32_t id;
    if (u->layout->ts.native_thread_id != PP_NONE || slot->python_id == 0) {
        return;
    }
    if (!u->ident_searched && u->inner_pid > 0 && u->main_ident != 0) {
        u->ident_searched = true;
        if (pp_reader_read(u->reader, u->main_ident, bytes, SEARCH) ==
            PYPROF_OK) {
            for (uint32_t at = 0; at + 4 <= SEARCH; at += 4) {
                if (pp_load_u32(bytes + at) == (uint32_t)u->inner_pid) {
                    u->ident_offset = at;
                    break;
                }
            }
        }
    }
    if (u->ident_offset != 0 &&
        pp_reader_read(u->reader, slot->python_id + u->ident_offset, &id,
                       sizeof(id)) == PYPROF_OK) {
        slot->native_id = id;
    }
}

void pp_threads_meet(pp_unwind *u, pp_slot *slot)
{
    if (slot->announced || slot->native_id != 0) {
        return;
    }
    find_native_id(u, slot);
}

/* ---- the list of threads
 * --------------------------------------------------------- */

/* True when there were any: the order is then of no use. */
static bool drop_unseen_interps(pp_unwind *u)
{
    bool unseen = false;
    for (size_t i = 0; i < u->n_interps; i++) {
        unseen |= u->interps[i].seen != u->round;
    }
    if (!unseen) {
        return false;
    }
    /* Rare: indices change, so all threads are taken up anew. */
    size_t kept = 0;
    for (size_t i = 0; i < u->n_interps; i++) {
        if (u->interps[i].seen == u->round) {
            u->interps[kept++] = u->interps[i];
        }
    }
    u->n_interps = kept;
    for (size_t i = 0; i < u->n_slots; i++) {
        if (u->slots[i].tstate != 0) {
            pp_threads_clear(&u->slots[i]);
        }
    }
    pp_map_clear(&u->slot_of);
    u->plan_dirty = true;
    return true;
}

/* Whether the thread at `at` of the order is one that has not run yet: up to
 * 3.11 its state carries the ids of the thread that makes it, from 3.12 on
 * none. States are put at the front of their list. */
static bool is_unborn(const pp_unwind *u, size_t at)
{
    const pp_slot *slot = &u->slots[u->order[at]];
    if (slot->announced) {
        return false;
    }
    for (size_t i = at + 1; i < u->n_order; i++) {
        if (u->slots[u->order[i]].python_id == slot->python_id) {
            return true;
        }
    }
    return slot->python_id == 0;
}

/* Leaves such threads out of the order, from `begin` on. */
static void drop_unborn(pp_unwind *u, size_t begin)
{
    size_t kept = begin;
    for (size_t i = begin; i < u->n_order; i++) {
        if (!is_unborn(u, i)) {
            u->order[kept++] = u->order[i];
        }
    }
    u->n_order = kept;
}

typedef enum listed { LIST_MORE, LIST_DONE, LIST_BAD } listed;

/* Threads of one interpreter, as far as their states are at hand. */
static listed list_threads(pp_unwind *u, uint32_t index)
{
    uint64_t tstate = u->interps[index].threads_head;
    uint32_t last = UINT32_MAX;
    size_t begin = u->n_order;
    for (size_t n = 0; tstate != 0; n++) {
        uint32_t i;
        if (n > MAX_LIST || tstate % sizeof(uint64_t) != 0 ||
            !slot_for(u, tstate, index, &i)) {
            return LIST_BAD;
        }
        pp_slot *slot = &u->slots[i];
        if (slot->seen == u->round) {
            return LIST_BAD; /* met before: the list loops */
        }
        slot->used_extra = false;
        if (!pp_walk_header(u, slot)) {
            return LIST_MORE;
        }
        if (slot->walk == PP_WALK_BAD) {
            return LIST_BAD;
        }
        slot->seen = u->round;
        slot->main = u->interps[index].address == u->main_interp &&
                     slot->python_id == u->main_ident;
        if (!push_order(u, i)) {
            return LIST_BAD;
        }
        last = i;
        tstate = slot->next;
    }
    drop_unborn(u, begin);
    if (last != UINT32_MAX && u->interps[index].address != u->main_interp) {
        u->slots[last].main = true; /* the oldest one */
    }
    return LIST_DONE;
}

/* Interpreters and their threads into `order`. */
static listed list_all(pp_unwind *u)
{
    uint64_t address;
    size_t loops = 0;
    bool more = false;
    u->n_order = 0;
    for (size_t i = 0; i < u->n_slots; i++) {
        u->slots[i].seen = u->round - 1;
    }
    if (!pp_interp_u64(u, u->runtime + u->layout->rt.interpreters_head,
                       &address)) {
        return LIST_MORE;
    }
    while (address != 0 && !more) {
        uint32_t index = pp_interp_for(u, address);
        if (index == UINT32_MAX || ++loops > PP_MAX_INTERPS ||
            address % sizeof(uint64_t) != 0) {
            return LIST_BAD;
        }
        u->interps[index].seen = u->round;
        if (!pp_interp_read(u, &u->interps[index])) {
            return LIST_MORE;
        }
        listed threads = list_threads(u, index);
        if (threads == LIST_BAD) {
            return LIST_BAD;
        }
        more = threads == LIST_MORE;
        address = u->interps[index].next;
    }
    return more ? LIST_MORE : LIST_DONE;
}

pyprof_status pp_threads_list(pp_unwind *u, bool *out_done)
{
    *out_done = false;
    for (;;) {
        listed result = list_all(u);
        if (result != LIST_MORE) {
            *out_done = result == LIST_DONE;
            u->extra.n_wants = 0;
            break;
        }
        size_t before = u->extra.n_copies;
        if (u->extra.n_wants == 0 || u->extra.failed) {
            break;
        }
        PP_TRY(pp_extra_run(&u->extra, u->reader));
        if (u->extra.n_copies == before) {
            break; /* what the list points at can't be read */
        }
    }
    if (*out_done && drop_unseen_interps(u)) {
        *out_done = false; /* the next round lists anew */
        u->n_order = 0;
    } else if (*out_done) {
        drop_unseen_slots(u);
    }
    return PYPROF_OK;
}

/* ---- the main thread alone
 * ----------------------------------------------------------- */

/* Finds the main interpreter and its main thread; only when they are not
 * known or no longer what they were. */
bool pp_threads_find_main(pp_unwind *u)
{
    const pp_layout *l = u->layout;
    u->main_interp = pp_interp_word(u, u->runtime, l->rt.interpreters_main);
    u->main_ident = pp_interp_word(u, u->runtime, l->rt.main_thread);
    u->main_tstate = 0;
    if (u->main_interp == 0) {
        return false;
    }
    uint64_t told = pp_interp_word(u, u->main_interp, l->is.threads_main);
    uint64_t tstate = pp_interp_word(u, u->main_interp, l->is.threads_head);
    uint64_t oldest = 0;
    for (size_t n = 0; tstate != 0 && n < u->opts.max_threads; n++) {
        uint64_t ident = pp_interp_word(u, tstate, l->ts.thread_id);
        if (tstate == told || (ident != 0 && ident == u->main_ident)) {
            u->main_tstate = tstate;
            break;
        }
        oldest = tstate;
        tstate = pp_interp_word(u, tstate, l->ts.next);
    }
    if (u->main_tstate == 0) {
        u->main_tstate = oldest;
    }
    if (u->main_ident == 0 && u->main_tstate != 0) {
        u->main_ident = pp_interp_word(u, u->main_tstate, l->ts.thread_id);
    }
    return u->main_tstate != 0;
}

pyprof_status pp_threads_list_main(pp_unwind *u, bool *out_done)
{
    uint32_t slot_index;
    *out_done = false;
    u->n_order = 0;
    uint32_t index = pp_interp_for(u, u->main_interp);
    if (index == UINT32_MAX ||
        !slot_for(u, u->main_tstate, index, &slot_index) ||
        !push_order(u, slot_index)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    pp_slot *slot = &u->slots[slot_index];
    u->interps[index].seen = u->round;
    slot->used_extra = false;
    for (int pass = 0; pass < 3; pass++) {
        if (pp_interp_read(u, &u->interps[index]) && pp_walk_header(u, slot)) {
            break;
        }
        PP_TRY(pp_extra_run(&u->extra, u->reader));
    }
    u->extra.n_wants = 0;
    slot->main = true;
    slot->seen = u->round;
    *out_done = slot->walk == PP_WALK_DONE;
    return PYPROF_OK;
}
