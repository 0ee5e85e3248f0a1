/*
 * Whether what was read was true at one moment.
 *
 * 1. A thread that waits for the GIL can't change its stack. Whoever takes the
 *    GIL from another thread moves `switch_number`; so while that number and
 *    the holder are the same before and after a read, only the holder can have
 *    run. All others are read once.
 * 2. The frames of what may run are read twice in the same call, and what says
 *    which is current in between. Equal links (callers, code, instruction) mean
 *    that the frames stood still, so at the moment in between all of it held.
 *    The innermost instruction of a thread that runs on moves all the time: it
 *    may be that of a call of the same function just before or after.
 * 3. When the plan fell short the second look is one more call, after the last
 *    of the extra ones.
 * 4. Better than 2 is to hold the CPU of what may run: then nothing is read
 *    twice. The word that tells where a thread was last is written by the
 *    system before it executes anything of that thread on another CPU, and the
 *    thread can't write it on this one meanwhile.
 * 5. Without a GIL all threads may run. A verdict is about a stack, not a
 *    round: one torn stack costs no other.
 *
 * Source of 1: take_gil() in Python/ceval_gil.h (3.8 to 3.11), ceval_gil.c.
 */
#include "unwind/internal.h"

/* ---- the proof
 * ------------------------------------------------------------------------ */

/* Whether only `holder` of each interpreter can have run while this was read:
 * `after` has the GIL's words as they were later than everything else. */
static void certify(pp_unwind *u, pp_view *after)
{
    for (size_t i = 0; i < u->n_interps; i++) {
        pp_interp *interp = &u->interps[i];
        pp_gil_state now;
        interp->certified =
            pp_interp_gil_proves(u) && interp->gil_known &&
            pp_interp_gil(after, u->layout, interp->gil, &now) &&
            now.holder == interp->holder && now.switches == interp->switches;
    }
}

bool pp_prove_may_run(const pp_unwind *u, const pp_slot *slot)
{
    const pp_interp *interp = &u->interps[slot->interp];
    return !u->opts.all_threads || !pp_interp_gil_proves(u) ||
           !interp->gil_known || interp->holder == slot->tstate;
}

bool pp_prove_can_hold(const pp_unwind *u, const pp_slot *slot)
{
    bool runs = true;
    if (u->care != PP_CARE_HELD || slot->python_id == 0) {
        return false;
    }
    if (!pp_interp_has_gil(u->layout)) {
        runs = u->layout->ts.state == PP_NONE ||
               (slot->flags & PYPROF_THREAD_HAS_GIL) != 0;
    } else if (!pp_interp_gil_proves(u)) {
        const pp_interp *interp = &u->interps[slot->interp];
        runs = interp->gil_known && interp->holder == slot->tstate;
    }
    return runs; /* no use in following a thread that waits */
}

/* Where a thread was last, by a look at it; false when it was not looked at. */
static bool see_cpu(pp_unwind *u, pp_slot *slot, pp_view *view)
{
    uint64_t word = slot->python_id + (uint64_t)u->opts.holding.cpu_word;
    const uint8_t *p = pp_prove_can_hold(u, slot)
                           ? pp_view_find(view, word, sizeof(uint32_t))
                           : NULL;
    slot->held = false;
    if (p == NULL) {
        return false;
    }
    slot->cpu = (int32_t)pp_load_u32(p);
    slot->held = slot->cpu >= 0 && slot->cpu == u->held_cpu;
    return true;
}

static void note_held_cpu(pp_unwind *u)
{
    const pp_unwind_holding *holding = &u->opts.holding;
    if (u->care == PP_CARE_HELD) {
        u->held_cpu = holding->cpu(holding->user);
    }
}

void pp_prove_held(pp_unwind *u, size_t n)
{
    note_held_cpu(u);
    for (size_t i = 0; i < n; i++) {
        see_cpu(u, &u->slots[u->work[i]], &u->tail);
    }
}

/* Whether a thread is judged by its CPU alone. */
static bool looks_held(const pp_unwind *u, const pp_slot *slot)
{
    return slot->may_run && pp_prove_can_hold(u, slot);
}

static void note_root(pp_slot *slot)
{
    const pp_chain *chain = &slot->now;
    if (chain->n == 0 || chain->truncated) {
        return;
    }
    const pp_raw_frame *last = &chain->frames[chain->n - 1];
    slot->root = last->address;
    if (slot->root_kept || chain->n == 1) {
        return;
    }
    slot->root_shim = slot->met_shim;
    slot->root_top = last[-1].address;
    memcpy(slot->root_bytes, slot->met_bytes, sizeof(slot->root_bytes));
}

/* An innermost frame that moved may have been left and entered again, and have
 * led nowhere meanwhile (as a generator does that waits). Where the walk can't
 * see that a chain is complete, it has to end where others ended. */
static bool ends_well(const pp_unwind *u, const pp_slot *slot)
{
    return u->has_shims || u->layout->ts.base_frame != PP_NONE ||
           slot->now.truncated ||
           slot->now.frames[slot->now.n - 1].address == slot->root;
}

/* Whether the names in a chain that was not in the plan can be wrong: its
 * frames are known to have stood still from a later moment on. */
static bool names_moved(pp_unwind *u, const pp_slot *slot, pp_second *look)
{
    return u->layout->code_proof != PP_CODE_PROOF_NONE &&
           pp_interp_proof_moved(u, &u->interps[slot->interp],
                                 &look->between) &&
           !pp_codes_all_late(u, slot);
}

static void give_verdict(pp_unwind *u, pp_slot *slot, pp_second *look)
{
    pp_verdict verdict = pp_second_verify(u, slot, look);
    if (look == &u->check_look && names_moved(u, slot, look)) {
        slot->state = PYPROF_STACK_TORN;
        return;
    }
    bool same =
        verdict == PP_SAME || (verdict == PP_MOVED_LEAF &&
                               u->care != PP_CARE_STRICT && ends_well(u, slot));
    if (verdict == PP_SAME) {
        note_root(slot);
    }
    slot->state = same ? PYPROF_STACK_WHOLE : PYPROF_STACK_TORN;
    slot->sound = same ? slot->now.n : pp_second_sound(u, slot, look);
}

/* One more call, in the order of the plan (see there): what says which frame is
 * current and what proves the code objects, after all of the first look; then
 * the frames; then the GIL. */
static pyprof_status look_again(pp_unwind *u, const uint32_t *slots, size_t n)
{
    pp_gather_begin(&u->check);
    for (size_t i = 0; i < n; i++) {
        if (!looks_held(u, &u->slots[slots[i]])) {
            pp_plan_check_current(u, &u->slots[slots[i]]);
        }
    }
    pp_plan_add_proofs(&u->check, u);
    pp_gather_section(&u->check);
    for (size_t i = 0; i < n; i++) {
        if (!looks_held(u, &u->slots[slots[i]])) {
            pp_plan_check_frames(u, &u->slots[slots[i]]);
        }
    }
    pp_gather_section(&u->check);
    for (size_t i = 0; i < u->n_interps; i++) {
        if (u->interps[i].gil_known) {
            pp_plan_add_gil(&u->check, u, &u->interps[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        pp_plan_add_cpu(&u->check, u, &u->slots[slots[i]]);
    }
    if (!pp_gather_seal(&u->check)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    u->counters.extra++;
    PP_TRY(pp_gather_run(&u->check, u->reader));
    u->check_look = (pp_second){.between = pp_gather_view(&u->check, 0),
                                .after = pp_gather_view(&u->check, 1)};
    return PYPROF_OK;
}

/* A shim is read once because the frame above it stood still. One that is
 * innermost (its frame is left, C goes on) has none above. */
static bool needs_more(const pp_unwind *u, const pp_slot *slot)
{
    return u->care == PP_CARE_STRICT && slot->now.n > 0 &&
           (slot->now.frames[0].offset_kind & 3) == PP_RAW_SHIM;
}

/* A stack that is whole, unless its innermost frame is one that was left: where
 * a loop's current frame is not set yet (see walk.c), what stands there may
 * even look right. Then its code object is gone, too, sooner or later. */
static void take_whole(pp_unwind *u, pp_slot *slot)
{
    const pp_raw_frame *first = slot->now.frames;
    slot->state = PYPROF_STACK_WHOLE;
    if (slot->now.n > 0 && u->layout->frame_kind == PP_FRAMES_CFRAME &&
        (first->offset_kind & 3) == PP_RAW_PYTHON &&
        first->entry == PP_NO_CODE) {
        slot->state = PYPROF_STACK_TORN;
        slot->sound = slot->now.n - 1;
    } else {
        note_root(slot);
    }
}

/* `last` was read after all else (NULL: nothing was). False: it does not tell,
 * and the thread counts as torn. */
static bool judge_held(pp_unwind *u, pp_slot *slot, pp_view *last)
{
    slot->state = PYPROF_STACK_TORN;
    if (last == NULL || !see_cpu(u, slot, last)) {
        return false;
    }
    if (slot->held && slot->walk == PP_WALK_DONE) {
        take_whole(u, slot);
    } else if (slot->held) {
        slot->state = PYPROF_STACK_UNREADABLE; /* it won't get better */
    }
    return true;
}

/* Judges the threads of `work`; those that need another look come back at its
 * front. */
static size_t judge(pp_unwind *u, uint32_t *work, size_t n, pp_second *look,
                    pp_view *last, bool second)
{
    size_t again = 0;
    for (size_t i = 0; i < n; i++) {
        pp_slot *slot = &u->slots[work[i]];
        slot->sound = 0;
        if (looks_held(u, slot)) {
            if (!judge_held(u, slot, last) && !second) {
                work[again++] = work[i];
            }
        } else if (slot->walk != PP_WALK_DONE) {
            /* What stood still, as far as can be known, won't get better. */
            bool still = u->care == PP_CARE_STOPPED ||
                         (!slot->may_run && u->interps[slot->interp].certified);
            slot->state = still ? PYPROF_STACK_UNREADABLE : PYPROF_STACK_TORN;
        } else if (u->care == PP_CARE_STOPPED) {
            take_whole(u, slot);
        } else if (look != NULL &&
                   (second || (slot->in_plan_twice && !needs_more(u, slot)))) {
            give_verdict(u, slot, look);
        } else if (!slot->may_run && u->interps[slot->interp].certified) {
            slot->state = PYPROF_STACK_WHOLE;
            note_root(slot);
        } else {
            work[again++] = work[i];
        }
    }
    return again;
}

/* Verdicts for all of `work`, with as many more looks as that takes: none when
 * the plan had everything, else one (two when the GIL changed hands). */
pyprof_status pp_prove(pp_unwind *u, size_t n)
{
    pp_view tail = u->tail;
    bool planned = u->extra.reads == 0;
    if (u->opts.all_threads) {
        for (size_t i = 0; i < u->n_interps; i++) {
            u->interps[i].certified = false;
        }
        if (planned) {
            certify(u, &tail);
        }
    }
    n = judge(u, u->work, n, planned ? &u->plan_look : NULL,
              planned ? &tail : NULL, false);
    for (int pass = 0; n > 0 && pass < 2; pass++) {
        /* First those that may run; the rest is proven if the GIL stayed. */
        size_t hot = 0;
        for (size_t i = 0; i < n; i++) {
            if (u->slots[u->work[i]].may_run || pass > 0) {
                uint32_t swap = u->work[hot];
                u->work[hot++] = u->work[i];
                u->work[i] = swap;
            }
        }
        PP_TRY(look_again(u, u->work, hot));
        pp_view last = pp_gather_view(&u->check, 2);
        note_held_cpu(u);
        if (u->opts.all_threads && pass == 0) {
            certify(u, &last);
        }
        judge(u, u->work, hot, &u->check_look, &last, true);
        memmove(u->work, u->work + hot, (n - hot) * sizeof(uint32_t));
        n = judge(u, u->work, n - hot, NULL, NULL, false);
    }
    return PYPROF_OK;
}
