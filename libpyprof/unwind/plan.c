/*
 * What the next round reads, in one call: sections in this order
 *
 *   head  the GIL and the hot words of each interpreter, the list's head
 *   a     thread states, windows of data stacks, frames outside of them, heads
 *         of code objects that must be fresh
 *   b     the same of the threads that may run meanwhile, for comparison
 *   tail  the GIL again
 *
 * The order carries the proof: who holds the GIL is read before anything that
 * it protects, and again after. A plan stands until something was missing in
 * it or has not been met for a while.
 */
#include "unwind/internal.h"

enum { SIDE_AGE = 96, CHUNK_AGE = 96, WATCH_AGE = 64, MAX_WATCH = 128 };

static void add_field(pp_gather *g, uint64_t base, uint32_t offset)
{
    if (offset != PP_NONE) {
        pp_gather_add(g, base + offset, sizeof(uint64_t));
    }
}

static void add_gil(pp_gather *g, const pp_unwind *u, const pp_interp *interp)
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
        add_gil(&u->plan, u, interp);
        if (u->opts.all_threads) {
            add_field(&u->plan, interp->address, l->is.threads_head);
            add_field(&u->plan, interp->address, l->is.next);
        }
        add_field(&u->plan, interp->address, l->is.gc_collecting);
        add_field(&u->plan, interp->address, l->is.code_generation);
        add_field(&u->plan, interp->address, l->is.func_version);
    }
    if (u->opts.all_threads) {
        add_field(&u->plan, u->runtime, l->rt.interpreters_head);
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

static void add_slot(pp_gather *g, const pp_unwind *u, const pp_slot *slot)
{
    const pp_layout *l = u->layout;
    pp_gather_add(g, slot->tstate + u->ts_low, u->ts_high - u->ts_low);
    if (slot->chunk != 0 && slot->window_end > slot->chunk) {
        pp_gather_add(g, slot->chunk, slot->window_end - slot->chunk);
    }
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        pp_gather_add(g, slot->old_chunks[i].address,
                      slot->old_chunks[i].end - slot->old_chunks[i].address);
    }
    for (size_t i = 0; i < slot->n_sides; i++) {
        pp_gather_add(g, slot->sides[i].address, l->fr.size);
    }
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

bool pp_plan_make(pp_unwind *u, bool full)
{
    pp_gather_begin(&u->plan);
    add_head(u);
    pp_gather_section(&u->plan);
    add_watched(u);
    for (size_t i = 0; i < u->n_slots; i++) {
        pp_slot *slot = &u->slots[i];
        slot->in_plan_twice = slot->tstate != 0 && slot->hot;
        if (slot->tstate != 0 && (full || slot->hot)) {
            expire(u, slot);
            add_slot(&u->plan, u, slot);
        }
    }
    pp_gather_section(&u->plan);
    if (u->care != PP_CARE_STOPPED) {
        for (size_t i = 0; i < u->n_slots; i++) {
            pp_slot *slot = &u->slots[i];
            if (slot->tstate != 0 && slot->in_plan_twice) {
                add_slot(&u->plan, u, slot);
            }
        }
    }
    pp_gather_section(&u->plan);
    if (u->opts.all_threads) {
        for (size_t i = 0; i < u->n_interps; i++) {
            add_gil(&u->plan, u, &u->interps[i]);
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
    u->b = pp_gather_view(&u->plan, 2);
    u->tail = pp_gather_view(&u->plan, 3);
    return true;
}

void pp_plan_check_slot(pp_unwind *u, const pp_slot *slot)
{
    const pp_layout *l = u->layout;
    pp_gather_add(&u->check, slot->tstate + u->ts_low, u->ts_high - u->ts_low);
    if (l->frame_kind == PP_FRAMES_CFRAME && slot->cframe != 0) {
        add_field(&u->check, slot->cframe, l->cframe.current_frame);
    }
    for (uint32_t i = 0; i < slot->now.n; i++) {
        pp_gather_add(&u->check, slot->now.frames[i].address, l->fr.size);
    }
}
