/*
 * From a round to its record: only what is new since the last record, in
 * numbers. Writing it makes the round the one that later rounds are compared
 * with.
 *
 * Invariant: what `last` of a slot holds is exactly what the decoder was told
 * of that thread, so that "as in the last record" means the same to both.
 */
#include "unwind/internal.h"

/* Frames that a record shows: not shims. */
static bool shown(const pp_raw_frame *frame)
{
    return (frame->offset_kind & 3) == PP_RAW_PYTHON;
}

size_t pp_unwind_record_size(const pp_unwind *u)
{
    size_t frames = 0;
    for (size_t i = 0; i < u->n_order; i++) {
        frames += u->slots[u->order[i]].now.n + 1;
    }
    return sizeof(pp_record) + u->n_fresh * sizeof(pp_record_code) +
           u->n_order * (sizeof(pp_record_thread) + sizeof(pp_record_stack)) +
           frames * sizeof(pp_record_frame);
}

static pp_record_code *put_codes(pp_unwind *u, pp_record_code *to)
{
    for (size_t i = 0; i < u->n_fresh; i++) {
        pp_code *code = &u->codes[u->fresh[i]];
        *to++ = (pp_record_code){code->blob, u->fresh[i]};
        code->blob = NULL;
    }
    u->n_fresh = 0;
    u->fresh_at = 0;
    return to;
}

static bool taken(const pp_unwind *u, size_t i)
{
    return u->threads[i].take && u->threads[i].state != PP_STACK_GONE;
}

static pp_record_thread *put_threads(pp_unwind *u, pp_record_thread *to)
{
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        if (taken(u, i) && !slot->announced) {
            *to++ =
                (pp_record_thread){u->interps[slot->interp].id, slot->native_id,
                                   slot->python_id, u->order[i], slot->main};
            slot->announced = true;
            slot->last.n = 0;
        }
    }
    return to;
}

/* Leaves only what is to be shown of a stack: the sure part of a torn one. */
static void cut_chain(pp_slot *slot)
{
    pp_chain *chain = &slot->now;
    if (slot->state == PYPROF_STACK_WHOLE) {
        return;
    }
    uint32_t keep = slot->state == PYPROF_STACK_TORN ? slot->sound : 0;
    if (keep > chain->n) {
        keep = chain->n;
    }
    if (keep > 0) {
        memmove(chain->frames, chain->frames + (chain->n - keep),
                keep * sizeof(pp_raw_frame));
    }
    chain->n = keep;
    chain->truncated = false;
    if (slot->same > keep) {
        slot->same = keep;
    }
}

static pp_record_frame *put_frames(const pp_unwind *u, const pp_slot *slot,
                                   pp_record_frame *to, pp_record_stack *stack)
{
    const pp_chain *chain = &slot->now;
    pp_record_frame *begin = to;
    uint32_t i = chain->n;
    for (; i > chain->n - slot->same; i--) {
        stack->keep += shown(&chain->frames[i - 1]);
    }
    if (chain->truncated && slot->same > 0) {
        stack->keep++; /* the marker stands before them */
    } else if (chain->truncated) {
        *to++ = (pp_record_frame){PP_NO_CODE, PP_RAW_TRUNCATED};
    }
    for (; i > 0; i--) {
        const pp_raw_frame *frame = &chain->frames[i - 1];
        if (shown(frame)) {
            bool known = frame->entry != PP_NO_CODE &&
                         u->codes[frame->entry].fingerprint != 0;
            *to++ = (pp_record_frame){known ? frame->entry : PP_NO_CODE,
                                      frame->offset_kind};
        }
    }
    stack->n_new = (uint32_t)(to - begin);
    return to;
}

static void keep_proofs(pp_unwind *u, bool all)
{
    for (size_t i = 0; i < u->n_interps; i++) {
        pp_interp *interp = &u->interps[i];
        interp->kept = interp->certified && all;
        interp->kept_head = interp->threads_head;
        interp->kept_holder = interp->holder;
        interp->kept_switches = interp->switches;
        interp->kept_proof = interp->proof;
    }
}

size_t pp_unwind_record(pp_unwind *u, uint64_t time_ns, void *to)
{
    pp_record *record = to;
    pp_record_code *codes = (pp_record_code *)(record + 1);
    pp_record_thread *threads = (pp_record_thread *)put_codes(u, codes);
    pp_record_stack *stacks = (pp_record_stack *)put_threads(u, threads);
    uint32_t n = 0;
    for (size_t i = 0; i < u->n_order; i++) {
        n += taken(u, i);
    }
    pp_record_frame *frames = (pp_record_frame *)(stacks + n);
    pp_record_frame *end = frames;
    uint32_t at = 0;
    for (size_t i = 0; i < u->n_order; i++) {
        pp_slot *slot = &u->slots[u->order[i]];
        pp_record_stack stack = {u->order[i], u->threads[i].state,
                                 u->threads[i].flags, 0, 0};
        if (!taken(u, i)) {
            continue;
        }
        if (slot->known) {
            stack.keep = UINT32_MAX; /* all of it */
        } else {
            cut_chain(slot);
            end = put_frames(u, slot, end, &stack);
            pp_chain swap = slot->last;
            slot->last = slot->now;
            slot->now = swap;
            slot->now.n = 0;
            slot->last_state = slot->state;
        }
        stacks[at++] = stack;
    }
    keep_proofs(u, n == u->n_order);
    *record = (pp_record){
        .time_ns = time_ns,
        .n_codes = (uint32_t)((pp_record_code *)threads - codes),
        .n_threads = (uint32_t)((pp_record_thread *)stacks - threads),
        .n_stacks = n,
        .n_frames = (uint32_t)(end - frames),
    };
    return (size_t)((uint8_t *)end - (uint8_t *)to);
}
