/*
 * Whether what was read was true at one moment.
 *
 * 1. A thread that waits for the GIL can't change its stack. Whoever takes the
 *    GIL from another thread moves `switch_number`; so while that number and
 *    the holder are the same before and after a read, only the holder can have
 *    run. All others are read once.
 * 2. What may run is read twice in the same call, everything first, then
 *    everything again. Equal links (current frame, callers, code, instruction)
 *    mean that there was a moment, between the two, at which all of it held.
 * 3. When the plan fell short the second look is one more call, after the last
 *    of the extra ones.
 * 4. Without a GIL all threads may run. A verdict is about a stack, not a
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

static void give_verdict(pp_unwind *u, pp_slot *slot, pp_view *view)
{
    pp_verdict verdict = pp_walk_verify(u, slot, view);
    bool same = verdict == PP_SAME ||
                (verdict == PP_MOVED_LEAF && u->care != PP_CARE_STRICT);
    slot->state = same ? PYPROF_STACK_WHOLE : PYPROF_STACK_TORN;
    slot->sound = same ? slot->now.n : pp_walk_sound(u, slot, view);
}

static pyprof_status look_again(pp_unwind *u, const uint32_t *slots, size_t n)
{
    pp_gather_begin(&u->check);
    for (size_t i = 0; i < n; i++) {
        pp_plan_check_slot(u, &u->slots[slots[i]]);
    }
    pp_gather_section(&u->check);
    for (size_t i = 0; i < u->n_interps; i++) {
        const pp_layout *l = u->layout;
        if (u->interps[i].gil_known) {
            pp_gather_add(&u->check, u->interps[i].gil + l->gil.last_holder, 8);
            pp_gather_add(&u->check, u->interps[i].gil + l->gil.locked, 8);
            pp_gather_add(&u->check, u->interps[i].gil + l->gil.switch_number,
                          8);
        }
    }
    if (!pp_gather_seal(&u->check)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    u->counters.extra++;
    PP_TRY(pp_gather_run(&u->check, u->reader));
    u->check_view = pp_gather_view(&u->check, 0);
    return PYPROF_OK;
}

/* Judges the threads of `work`; those that need another look come back at its
 * front. */
static size_t judge(pp_unwind *u, uint32_t *work, size_t n, pp_view *view,
                    bool second)
{
    size_t again = 0;
    for (size_t i = 0; i < n; i++) {
        pp_slot *slot = &u->slots[work[i]];
        slot->sound = 0;
        if (slot->walk != PP_WALK_DONE) {
            slot->state = slot->may_run && u->care != PP_CARE_STOPPED
                              ? PYPROF_STACK_TORN
                              : PYPROF_STACK_UNREADABLE;
        } else if (u->care == PP_CARE_STOPPED) {
            slot->state = PYPROF_STACK_WHOLE;
        } else if (view != NULL && (second || slot->in_plan_twice)) {
            give_verdict(u, slot, view);
        } else if (!slot->may_run && u->interps[slot->interp].certified) {
            slot->state = PYPROF_STACK_WHOLE;
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
    n = judge(u, u->work, n, planned ? &u->b : NULL, false);
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
        if (u->opts.all_threads && pass == 0) {
            pp_view gil = pp_gather_view(&u->check, 1);
            certify(u, &gil);
        }
        judge(u, u->work, hot, &u->check_view, true);
        memmove(u->work, u->work + hot, (n - hot) * sizeof(uint32_t));
        n = judge(u, u->work, n - hot, NULL, false);
    }
    return PYPROF_OK;
}
