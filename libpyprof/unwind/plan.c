/*
 * What the next round reads, in one call: sections in this order
 *
 *   head  the GIL and the hot words of each interpreter, the list's head
 *   a     thread states, windows of data stacks, frames outside of them
 *   proof the counters of code objects, whether the GC collects
 *   once  heads of code objects that must be fresh; of the threads that may run
 *         meanwhile: thread state and shims
 *   b     of the same threads: windows and other frames again, for comparison;
 *         thread state and shims, too, when they run on (PP_CARE_CHECKED)
 *   tail  the GIL again; where the threads that may run were last
 *
 * The order carries the proof. Who holds the GIL is read before anything that
 * it protects, and again after. Frames that are equal in `a` and `b` stood
 * still from the one to the other, so what says which frame is current, read
 * in between, is true of them at that moment. A shim lives longer than the
 * frame above it and never changes, so it is read in between, too. (In 3.11
 * and 3.12 the thread state points at a structure on the C stack that has the
 * current frame: the pointer is read twice, so that the structure was alive
 * when it was read in between.)
 *
 * A frame keeps its code object alive, so what is read of that between the two
 * looks is true of the frame, too: its head, or the counter that tells that it
 * is still what it was when that had the same value. The counter comes first:
 * what is remembered with it is never older than it.
 *
 * "Equal, so it stood still" is as good as sure where the reader keeps the
 * thread from running (PP_CARE_STRICT). A thread that runs on may be back at
 * the same place in the microseconds between: then nothing is read just once,
 * and thread state and stack must fit in the second look by themselves, too.
 *
 * A thread whose CPU the reader holds stands still all the time, and the tail
 * proves it (PP_CARE_HELD): all of it is read once.
 *
 * A plan stands until something was missing in it or has not been met for a
 * while.
 */
#include "unwind/internal.h"

enum { SIDE_AGE = 96, CHUNK_AGE = 96, WATCH_AGE = 24, MAX_WATCH = 48 };
/* Rounds after which unused pieces leave the plan; 2^n - 1. */
enum { REPLAN_MASK = 63 };

static void add_field(pp_gather *g, uint64_t base, uint32_t offset)
{
    if (offset != PP_NONE) {
        pp_gather_add(g, base + offset, sizeof(uint64_t));
    }
}

void pp_plan_add_gil(pp_gather *g, const pp_unwind *u, const pp_interp *interp)
{
    const pp_layout *l = u->layout;
    if (interp->gil != 0 && l->gil_kind != PP_GIL_NONE) {
        add_field(g, interp->gil, l->gil.last_holder);
        add_field(g, interp->gil, l->gil.locked);
        add_field(g, interp->gil, l->gil.switch_number);
    }
}

static void add_head(pp_unwind *u)
{
    const pp_layout *l = u->layout;
    for (size_t i = 0; i < u->n_interps; i++) {
        const pp_interp *interp = &u->interps[i];
        if (u->opts.all_threads) {
            pp_plan_add_gil(&u->plan, u, interp);
            add_field(&u->plan, interp->address, l->is.threads_head);
            add_field(&u->plan, interp->address, l->is.next);
        }
    }
    if (u->opts.all_threads) {
        add_field(&u->plan, u->runtime, l->rt.interpreters_head);
    }
}

void pp_plan_add_proofs(pp_gather *g, const pp_unwind *u)
{
    for (size_t i = 0; i < u->n_interps; i++) {
        add_field(g, u->interps[i].address, u->layout->is.code_generation);
        add_field(g, u->interps[i].address, u->layout->is.func_version);
    }
}

void pp_plan_add_cpu(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    if (pp_prove_can_hold(u, slot)) {
        pp_gather_add(g, slot->python_id + (uint64_t)u->opts.holding.cpu_word,
                      sizeof(uint32_t));
    }
}

static void expire(pp_unwind *u, pp_slot *slot)
{
    size_t kept = 0;
    for (size_t i = 0; i < slot->n_sides; i++) {
        if (u->round - slot->sides[i].used < SIDE_AGE) {
            slot->sides[kept++] = slot->sides[i];
        }
    }
    slot->n_sides = kept;
    kept = 0;
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        if (u->round - slot->old_chunks[i].used < CHUNK_AGE) {
            slot->old_chunks[kept++] = slot->old_chunks[i];
        }
    }
    slot->n_old_chunks = kept;
}

static void add_header(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    pp_gather_add(g, slot->tstate + u->ts_low, u->ts_high - u->ts_low);
}

static void add_sides(pp_gather *g, const pp_unwind *u, const pp_slot *slot,
                      bool once)
{
    for (size_t i = 0; i < slot->n_sides; i++) {
        if (slot->sides[i].once == once &&
            (pp_plan_whole(u) || slot->sides[i].address != slot->root_shim)) {
            pp_gather_add(g, slot->sides[i].address, u->layout->fr.size);
        }
    }
}

static void add_stack(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    if (slot->chunk != 0 && slot->window_end > slot->chunk) {
        pp_gather_add(g, slot->chunk, slot->window_end - slot->chunk);
    }
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        pp_gather_add(g, slot->old_chunks[i].address,
                      slot->old_chunks[i].end - slot->old_chunks[i].address);
    }
    add_sides(g, u, slot, false);
}

bool pp_plan_whole(const pp_unwind *u)
{
    return (u->round & REPLAN_MASK) == 0;
}

bool pp_plan_is_due(const pp_unwind *u)
{
    return u->plan_dirty || (u->round & REPLAN_MASK) <= 1;
}

static bool header_twice(const pp_unwind *u)
{
    return u->layout->frame_kind == PP_FRAMES_CFRAME;
}

/* Code objects that were looked at lately are read along: without a counter
 * that proves them (before 3.12), or while that counter moves. */
static void add_watched(pp_unwind *u)
{
    size_t kept = 0;
    for (size_t i = 0; i < u->n_watch; i++) {
        pp_code *code = &u->codes[u->watch[i]];
        if (u->round - code->watched < WATCH_AGE && kept < MAX_WATCH) {
            u->watch[kept++] = u->watch[i];
            pp_gather_add(&u->plan, code->address, u->layout->co.size);
        } else {
            code->in_watch = false;
        }
    }
    u->n_watch = kept;
}

typedef void (*add_part)(pp_gather *g, const pp_unwind *u, const pp_slot *slot);

static void add_hot(pp_unwind *u, add_part part)
{
    for (size_t i = 0; i < u->n_slots; i++) {
        if (u->slots[i].in_plan_twice) {
            part(&u->plan, u, &u->slots[i]);
        }
    }
}

/* What says which frame is current: to be read between two looks at them. */
static void add_current(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    if (!header_twice(u)) {
        add_header(g, u, slot);
        return;
    }
    uint64_t loops[] = {slot->cframe, slot->loop, slot->outer_loop};
    for (size_t i = 0; i < PP_COUNT_OF(loops); i++) {
        if (loops[i] != 0) {
            pp_gather_add(g, loops[i] + u->layout->cframe.current_frame,
                          2 * sizeof(uint64_t));
        }
    }
}

static void add_once(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    add_sides(g, u, slot, true);
    add_current(g, u, slot);
}

static void add_twice(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    add_stack(g, u, slot);
    if (header_twice(u)) {
        add_header(g, u, slot);
    }
}

/* Not the thread state: that comes next. */
static void add_before(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    add_twice(g, u, slot);
    add_sides(g, u, slot, true);
}

static void add_all(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    add_twice(g, u, slot);
    add_once(g, u, slot);
}

bool pp_plan_make(pp_unwind *u, bool full)
{
    bool strict = u->care == PP_CARE_STRICT;
    pp_gather_begin(&u->plan);
    add_head(u);
    pp_gather_section(&u->plan);
    for (size_t i = 0; i < u->n_slots; i++) {
        pp_slot *slot = &u->slots[i];
        slot->in_plan_twice = slot->tstate != 0 && slot->hot &&
                              u->care != PP_CARE_STOPPED &&
                              !pp_prove_can_hold(u, slot);
        if (slot->tstate != 0 && (full || slot->hot)) {
            expire(u, slot);
            add_part part = !slot->in_plan_twice ? add_all
                            : strict             ? add_twice
                                                 : add_before;
            part(&u->plan, u, slot);
        }
    }
    pp_gather_section(&u->plan);
    pp_plan_add_proofs(&u->plan, u);
    for (size_t i = 0; i < u->n_interps; i++) {
        /* Right beside these, as a rule. */
        add_field(&u->plan, u->interps[i].address, u->layout->is.gc_collecting);
        if (!u->opts.all_threads) {
            pp_plan_add_gil(&u->plan, u,
                            &u->interps[i]); /* proves nothing here */
        }
    }
    pp_gather_section(&u->plan);
    add_watched(u);
    add_hot(u, strict ? add_once : add_current);
    pp_gather_section(&u->plan);
    add_hot(u, strict ? add_twice : add_all);
    pp_gather_section(&u->plan);
    for (size_t i = 0; i < u->n_interps && u->opts.all_threads; i++) {
        pp_plan_add_gil(&u->plan, u, &u->interps[i]);
    }
    for (size_t i = 0; i < u->n_slots; i++) {
        if (u->slots[i].tstate != 0 && u->slots[i].hot) {
            pp_plan_add_cpu(&u->plan, u, &u->slots[i]);
        }
    }
    u->plan_dirty = false;
    u->plan_full = full;
    u->counters.plans++;
    if (!pp_gather_seal(&u->plan)) {
        return false;
    }
    u->head = pp_gather_view(&u->plan, 0);
    u->a = pp_gather_view(&u->plan, 1);
    u->proofs = pp_gather_view(&u->plan, 2);
    u->plan_look = (pp_second){.between = pp_gather_view(&u->plan, 3),
                               .after = pp_gather_view(&u->plan, 4)};
    u->tail = pp_gather_view(&u->plan, 5);
    return true;
}

void pp_plan_check_current(pp_unwind *u, const pp_slot *slot)
{
    add_current(&u->check, u, slot);
}

void pp_plan_check_frames(pp_unwind *u, const pp_slot *slot)
{
    if (header_twice(u)) {
        add_header(&u->check, u, slot);
    }
    for (uint32_t i = 0; i < slot->now.n; i++) {
        pp_gather_add(&u->check, slot->now.frames[i].address,
                      u->layout->fr.size);
    }
}
