/*
 * One round: which threads there are, what each was doing, and whether that is
 * proven.
 *
 * In: the plan's bytes (one call), and, where they fall short, extra ones. Out:
 * a chain for each thread, with a verdict.
 *
 * The shortcut: when the GIL has not changed hands since the last recorded
 * round (see prove.c), the other threads' stacks are what they were, so they
 * are not even read. It is checked in the same call that would make use of it,
 * and given up while it keeps failing. Threads that die without a hand-over are
 * noticed by a whole look every FULL_NS.
 */
#include "unwind/internal.h"

enum {
    LIST_ATTEMPTS = 3,
    GIVE_UP_MISSES = 2 /* shortcuts that fail in a row before none is tried */
};
static const uint64_t FULL_NS = 10 * 1000 * 1000;

/* ---- the round
 * ------------------------------------------------------------------------- */

static void begin_holding(pp_unwind *u)
{
    if (u->care == PP_CARE_HELD) {
        u->opts.holding.begin(u->opts.holding.user);
    }
}

static pyprof_status walk_all(pp_unwind *u, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pp_walk_begin(&u->slots[u->work[i]]);
    }
    for (;;) {
        bool more = false;
        for (size_t i = 0; i < n; i++) {
            pp_slot *slot = &u->slots[u->work[i]];
            if (slot->walk == PP_WALK_MORE) {
                slot->walk = pp_walk_frames(u, slot);
                more |= slot->walk == PP_WALK_MORE;
            }
        }
        if (!more) {
            return PYPROF_OK;
        }
        PP_TRY(pp_extra_run(&u->extra, u->reader));
        if (u->extra.failed) {
            for (size_t i = 0; i < n; i++) {
                if (u->slots[u->work[i]].walk == PP_WALK_MORE) {
                    u->slots[u->work[i]].walk = PP_WALK_FAULT;
                }
            }
            return PYPROF_OK;
        }
    }
}

static bool choose_work(pp_unwind *u, size_t *out_n)
{
    size_t n = 0;
    if (!pp_grow(&u->allocator, (void **)&u->work, &u->cap_work,
                 sizeof(uint32_t), u->n_order, u->opts.max_threads)) {
        return false;
    }
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        slot->may_run = pp_prove_may_run(u, slot);
        if (slot->hot != slot->may_run) {
            slot->hot = slot->may_run;
            u->plan_dirty = true;
        }
        if (!slot->known) {
            u->work[n++] = u->order[i];
        }
    }
    *out_n = n;
    return true;
}

static uint64_t slot_flags(const pp_unwind *u, const pp_slot *slot)
{
    const pp_interp *interp = &u->interps[slot->interp];
    uint64_t flags = slot->flags | PYPROF_THREAD_CPU_UNKNOWN;
    if (pp_interp_has_gil(u->layout)) {
        if (!interp->gil_known) {
            flags |= PYPROF_THREAD_GIL_UNKNOWN;
        } else if (interp->locked == 1 && interp->holder == slot->tstate) {
            flags |= PYPROF_THREAD_HAS_GIL;
            flags &= ~(uint64_t)PYPROF_THREAD_GIL_REQUESTED;
        }
    }
    return slot->main ? flags | PYPROF_THREAD_MAIN : flags;
}

static bool show(pp_unwind *u, pp_round *out)
{
    if (!pp_grow(&u->allocator, (void **)&u->threads, &u->cap_threads,
                 sizeof(pp_round_thread), u->n_order, u->opts.max_threads)) {
        return false;
    }
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        if (slot->known) {
            slot->state = PYPROF_STACK_WHOLE;
        }
        pp_threads_meet(u, slot);
        u->threads[i] = (pp_round_thread){
            .slot = u->order[i],
            .state = slot->state,
            .flags = slot_flags(u, slot),
            .native_id = slot->native_id,
            .python_id = slot->python_id,
            .cpu = u->care == PP_CARE_HELD && slot->may_run ? slot->cpu : -1,
            .may_run = slot->may_run,
            .take = true,
        };
        out->n_torn += slot->state == PYPROF_STACK_TORN;
    }
    out->threads = u->threads;
    out->n = u->n_order;
    return true;
}

/* Walks, resolves and proves the threads in `order` that are not known. */
static pyprof_status take_threads(pp_unwind *u, pp_round *out)
{
    size_t n;
    if (!choose_work(u, &n)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    pp_prove_held(u, n);
    PP_TRY(walk_all(u, n));
    PP_TRY(pp_codes_resolve(u, u->work, n));
    PP_TRY(pp_prove(u, n));
    if (!show(u, out)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    if (out->n_torn > 0) {
        pp_codes_forget(u);
    }
    return PYPROF_OK;
}

/* Whether nothing but the holders can have changed since the last record. Reads
 * nothing: looks at the heads of this round. */
static bool nothing_switched(pp_unwind *u)
{
    uint64_t address;
    size_t n = 0;
    if (!pp_interp_gil_proves(u) || u->n_interps == 0 ||
        !pp_interp_u64(u, u->runtime + u->layout->rt.interpreters_head,
                       &address)) {
        return false;
    }
    for (; address != 0; n++) {
        uint32_t index =
            n < u->n_interps ? pp_interp_for(u, address) : UINT32_MAX;
        if (index >= u->n_interps) {
            return false;
        }
        pp_interp *interp = &u->interps[index];
        if (!pp_interp_read(u, interp) || !interp->kept || !interp->gil_known ||
            interp->holder != interp->kept_holder ||
            interp->switches != interp->kept_switches ||
            interp->threads_head != interp->kept_head) {
            return false;
        }
        address = interp->next;
    }
    return n == u->n_interps;
}

/* Marks all but the holders as known; false when that can't be. */
static bool take_shortcut(pp_unwind *u)
{
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        bool holder = u->interps[slot->interp].holder == slot->tstate;
        slot->used_extra = false;
        if (holder
                ? !pp_walk_header(u, slot) || slot->walk == PP_WALK_BAD
                : slot->last_state != PYPROF_STACK_WHOLE || !slot->announced) {
            return false;
        }
        slot->known = !holder;
    }
    return true;
}

static pyprof_status run_plan(pp_unwind *u, bool full)
{
    bool serves = full ? u->plan_full : true;
    if (pp_plan_is_due(u) || !serves || (!full && u->plan_full)) {
        if (!pp_plan_make(u, full)) {
            return PYPROF_ERR_NO_MEMORY;
        }
    }
    pyprof_status status = pp_gather_run(&u->plan, u->reader);
    if (PP_UNLIKELY(!u->plan.whole)) {
        /* What the views remember may not be there this time. */
        u->head.hit_size = u->a.hit_size = 0;
        u->plan_look.between.hit_size = u->plan_look.after.hit_size = 0;
        u->proofs.hit_size = u->tail.hit_size = 0;
    }
    return status;
}

static void forget_known(pp_unwind *u)
{
    for (size_t i = 0; i < u->n_slots; i++) {
        u->slots[i].known = false;
    }
}

/* The threads can't be listed: gone with the runtime, or just unreadable. */
static void lose_threads(pp_unwind *u, pp_round *out)
{
    uint64_t address =
        pp_interp_word(u, u->runtime, u->layout->rt.interpreters_head);
    out->no_runtime = address == 0;
    out->n_lost = address == 0 ? 0 : u->n_order > 0 ? u->n_order : 1;
    u->main_interp = 0; /* all is looked for again */
    u->main_tstate = 0;
    u->n_order = 0;
    for (size_t i = 0; i < u->n_slots; i++) {
        pp_threads_clear(&u->slots[i]);
    }
    pp_map_clear(&u->slot_of);
    u->n_interps = 0;
    u->plan_dirty = true;
}

/* The first look of a round that needs no list: true when it was enough. */
static pyprof_status try_shortcut(pp_unwind *u, bool full, bool *out_enough)
{
    bool quiet = nothing_switched(u);
    *out_enough = quiet && !full && take_shortcut(u);
    u->misses = quiet ? 0 : u->misses + 1;
    u->extra.n_wants = 0;
    if (*out_enough || full) {
        return PYPROF_OK;
    }
    /* The other threads are not in this plan. */
    forget_known(u);
    for (size_t i = 0; i < u->n_slots; i++) {
        u->slots[i].hot =
            u->slots[i].tstate != 0 && pp_prove_may_run(u, &u->slots[i]);
    }
    pp_extra_begin(&u->extra);
    u->plan_dirty = true;
    return run_plan(u, true);
}

static pyprof_status round_all(pp_unwind *u, pp_round *out)
{
    bool may_shortcut = pp_interp_gil_proves(u) && u->n_order > 1 &&
                        u->care != PP_CARE_STOPPED &&
                        u->now - u->full_ns < FULL_NS;
    bool full = !may_shortcut || u->misses >= GIVE_UP_MISSES;
    bool done = false;
    forget_known(u);
    if (u->main_interp == 0 && !pp_threads_find_main(u)) {
        lose_threads(u, out);
        return PYPROF_OK;
    }
    PP_TRY(run_plan(u, full));
    if (may_shortcut) {
        PP_TRY(try_shortcut(u, full, &done));
        if (done) {
            return take_threads(u, out);
        }
    }
    for (int attempt = 0; attempt < LIST_ATTEMPTS && !done; attempt++) {
        if (attempt > 0) {
            /* A thread came or went while the list was copied. */
            pp_extra_begin(&u->extra);
            u->plan_dirty = true;
            PP_TRY(run_plan(u, true));
        }
        PP_TRY(pp_threads_list(u, &done));
    }
    if (!done) {
        lose_threads(u, out);
        return PYPROF_OK;
    }
    u->full_ns = u->now;
    return take_threads(u, out);
}

static pyprof_status round_main(pp_unwind *u, pp_round *out)
{
    bool done = false;
    for (int attempt = 0; attempt < LIST_ATTEMPTS && !done; attempt++) {
        if (attempt > 0 || u->main_tstate == 0) {
            u->main_tstate = 0;
            if (!pp_threads_find_main(u)) {
                break;
            }
            pp_extra_begin(&u->extra);
            u->plan_dirty = true;
        }
        PP_TRY(run_plan(u, true));
        PP_TRY(pp_threads_list_main(u, &done));
    }
    if (!done) {
        lose_threads(u, out);
        return PYPROF_OK;
    }
    return take_threads(u, out);
}

static pyprof_status look_at_torn(pp_unwind *u)
{
    size_t n = 0;
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        slot->hot = slot->state == PYPROF_STACK_TORN;
        if (slot->hot) {
            u->work[n++] = u->order[i];
        }
    }
    if (!pp_plan_make(u, false)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    PP_TRY(pp_gather_run(&u->plan, u->reader));
    for (size_t i = 0; i < u->n_interps; i++) {
        pp_interp_read(u, &u->interps[i]);
    }
    u->extra.n_wants = 0;
    size_t there = 0;
    for (size_t i = 0; i < n; i++) {
        pp_slot *slot = &u->slots[u->work[i]];
        slot->used_extra = false;
        slot->may_run = true;
        if (pp_walk_header(u, slot) && slot->walk != PP_WALK_BAD) {
            u->work[there++] = u->work[i];
        } else {
            slot->state = PP_STACK_GONE;
        }
    }
    n = there;
    u->extra.n_wants = 0;
    pp_prove_held(u, n);
    PP_TRY(walk_all(u, n));
    PP_TRY(pp_codes_resolve(u, u->work, n));
    return pp_prove(u, n);
}

pyprof_status pp_unwind_again(pp_unwind *u, uint64_t now_ns,
                              pp_unwind_care care, pp_round *out)
{
    if (!pp_grow(&u->allocator, (void **)&u->saved, &u->cap_saved,
                 sizeof(pp_interp), u->n_interps, PP_MAX_INTERPS)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    /* The other threads were proven by what was known then. */
    memcpy(u->saved, u->interps, u->n_interps * sizeof(pp_interp));
    u->round++;
    u->now = now_ns;
    u->care = care;
    u->again = true;
    begin_holding(u);
    pp_extra_begin(&u->extra);
    u->fresh_at = u->n_fresh;
    pyprof_status status = look_at_torn(u);
    u->counters.extra += u->extra.reads;
    u->plan_dirty = true;
    memcpy(u->interps, u->saved, u->n_interps * sizeof(pp_interp));
    PP_TRY(status);
    memset(out, 0, sizeof(*out));
    if (!show(u, out)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    if (out->n_torn > 0) {
        pp_codes_forget(u);
    }
    return PYPROF_OK;
}

pyprof_status pp_unwind_round(pp_unwind *u, uint64_t now_ns,
                              pp_unwind_care care, pp_round *out)
{
    memset(out, 0, sizeof(*out));
    u->plan_dirty |= care != u->care; /* it says what is read twice */
    u->round++;
    u->now = now_ns;
    u->care = care;
    u->again = false;
    begin_holding(u);
    pp_extra_begin(&u->extra);
    pp_codes_begin(u);
    pyprof_status status =
        u->opts.all_threads ? round_all(u, out) : round_main(u, out);
    u->counters.extra += u->extra.reads;
    return status;
}

/* ---- life
 * ----------------------------------------------------------------------------------
 */

static void header_range(pp_unwind *u)
{
    const pp_layout *l = u->layout;
    uint32_t fields[] = {l->ts.next,
                         l->ts.interp,
                         l->ts.frame,
                         l->ts.base_frame,
                         l->ts.thread_id,
                         l->ts.id,
                         l->ts.native_thread_id,
                         l->ts.datastack_chunk,
                         l->ts.datastack_top,
                         l->ts.state,
                         l->ts.gil_requested};
    u->ts_low = UINT32_MAX;
    for (size_t i = 0; i < PP_COUNT_OF(fields); i++) {
        if (fields[i] == PP_NONE) {
            continue;
        }
        u->ts_low = fields[i] < u->ts_low ? fields[i] : u->ts_low;
        u->ts_high = fields[i] + 8 > u->ts_high ? fields[i] + 8 : u->ts_high;
    }
}

static bool has_shims(const pp_layout *l)
{
    for (size_t i = 0; l->fr.owner != PP_NONE && i < PP_COUNT_OF(l->fr.owners);
         i++) {
        if (l->fr.owners[i] == PP_OWNER_SHIM) {
            return true;
        }
    }
    return false;
}

pyprof_status pp_unwind_new(const pp_allocator *allocator, pp_reader *reader,
                            const pp_layout *layout, uint64_t runtime,
                            int64_t inner_pid, const pp_unwind_opts *opts,
                            pp_unwind **out, pyprof_error *err)
{
    pp_unwind *u = pp_calloc(allocator, 1, sizeof(*u));
    if (u == NULL) {
        return pp_error_memory(err, "the unwinder");
    }
    PP_TRY(pp_alloc_init(&u->allocator, allocator, err));
    u->reader = reader;
    u->layout = layout;
    u->runtime = runtime;
    u->inner_pid = inner_pid;
    u->opts = *opts;
    u->plan_dirty = true;
    pp_gather_init(&u->plan, &u->allocator);
    pp_gather_init(&u->check, &u->allocator);
    pp_extra_init(&u->extra, &u->allocator);
    pp_map_init(&u->slot_of, &u->allocator);
    pp_map_init(&u->code_of, &u->allocator);
    header_range(u);
    u->has_shims = has_shims(layout);
    *out = u;
    return PYPROF_OK;
}

void pp_unwind_free(pp_unwind *u)
{
    if (u == NULL) {
        return;
    }
    pp_codes_free(u);
    for (size_t i = 0; i < u->n_slots; i++) {
        pp_free(&u->allocator, u->slots[i].old_chunks);
        pp_free(&u->allocator, u->slots[i].sides);
        pp_free(&u->allocator, u->slots[i].now.frames);
        pp_free(&u->allocator, u->slots[i].last.frames);
    }
    pp_map_free(&u->slot_of);
    pp_gather_free(&u->plan);
    pp_gather_free(&u->check);
    pp_extra_free(&u->extra);
    pp_free(&u->allocator, u->interps);
    pp_free(&u->allocator, u->saved);
    pp_free(&u->allocator, u->slots);
    pp_free(&u->allocator, u->order);
    pp_free(&u->allocator, u->work);
    pp_free(&u->allocator, u->threads);
    pp_allocator allocator = u->allocator;
    pp_free(&allocator, u);
}

pp_unwind_counters pp_unwind_count(const pp_unwind *u)
{
    pp_unwind_counters counters = u->counters;
    counters.codes = u->n_codes;
    counters.bytes = sizeof(*u) + u->plan.cap_buffer + u->check.cap_buffer +
                     u->cap_codes * sizeof(pp_code) +
                     pp_map_bytes(&u->code_of) + pp_map_bytes(&u->slot_of) +
                     u->cap_slots * sizeof(pp_slot);
    for (size_t i = 0; i < u->n_slots; i++) {
        const pp_slot *slot = &u->slots[i];
        counters.bytes +=
            (slot->now.cap + slot->last.cap) * sizeof(pp_raw_frame) +
            slot->cap_sides * sizeof(pp_side);
    }
    return counters;
}

size_t pp_unwind_plan(const pp_unwind *u, const pp_span **out_spans)
{
    *out_spans = u->plan.spans;
    return u->plan.n;
}
