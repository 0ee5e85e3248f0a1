/*
 * The second look at a chain: is it what the first one saw?
 *
 * In: a chain, and the views of the second look (the plan's own, or another
 * call). Out: a verdict, and how much of a chain that changed is sure: its root
 * part, as far as both looks agree. Reads nothing.
 */
#include "unwind/internal.h"

/* What a second look has of a place; what it does not look at again (a shim,
 * the thread state: see plan.c) stands as it was read in between, and what not
 * even the first one read as that took it. */
static const uint8_t *second_find(const pp_slot *slot, pp_second *look,
                                  uint64_t address, uint64_t size)
{
    const uint8_t *p = pp_view_find(&look->after, address, size);
    if (p == NULL) {
        p = pp_view_find(&look->between, address, size);
    }
    if (p == NULL && slot->root_kept && address == slot->root_shim) {
        p = slot->root_bytes;
    }
    return p;
}

/* The frame that a second look finds current; false when it isn't there. */
static bool second_first(const pp_unwind *u, const pp_slot *slot,
                         pp_second *look, uint64_t *out)
{
    const pp_layout *l = u->layout;
    const uint8_t *p = second_find(slot, look, slot->tstate + l->ts.frame, 8);
    if (p == NULL) {
        return false;
    }
    *out = pp_load_u64(p);
    if (l->frame_kind != PP_FRAMES_CFRAME) {
        return true;
    }
    if (*out != slot->cframe) {
        return false;
    }
    for (uint64_t loop = slot->cframe; loop != 0;) {
        p = second_find(slot, look, loop + l->cframe.current_frame, 8);
        if (p == NULL) {
            return false;
        }
        *out = pp_load_u64(p);
        if (loop == slot->loop) {
            break;
        }
        if (*out != slot->told_frame) {
            return false; /* it had just begun, now it is on its way */
        }
        loop = slot->loop;
    }
    return true;
}

static uint64_t frame_code(const pp_layout *l, const pp_raw_frame *frame,
                           const uint8_t *p)
{
    /* A shim's code is of no interest and may be anything. */
    return (frame->offset_kind & 3) == PP_RAW_SHIM
               ? frame->code
               : pp_load_u64(p + l->fr.code) & l->fr.code_mask;
}

static uint64_t frame_instr(const pp_layout *l, const uint8_t *p)
{
    return l->instr_kind <= PP_INSTR_LASTI_UNITS ? pp_load_u32(p + l->fr.instr)
                                                 : pp_load_u64(p + l->fr.instr);
}

pp_verdict pp_second_verify(pp_unwind *u, const pp_slot *slot, pp_second *look)
{
    const pp_layout *l = u->layout;
    const pp_chain *chain = &slot->now;
    pp_verdict verdict = PP_SAME;
    uint64_t at;
    if (!second_first(u, slot, look, &at)) {
        return PP_CHANGED;
    }
    for (uint32_t i = 0; i < chain->n; i++) {
        const pp_raw_frame *frame = &chain->frames[i];
        const uint8_t *p;
        if (at != frame->address ||
            (p = second_find(slot, look, at, l->fr.size)) == NULL ||
            frame_code(l, frame, p) != frame->code) {
            return PP_CHANGED;
        }
        if (frame_instr(l, p) != frame->instr) {
            if (i > 0) {
                return PP_CHANGED;
            }
            verdict = PP_MOVED_LEAF;
        }
        at = pp_load_u64(p + l->fr.back);
    }
    return at == slot->walk_at ? verdict : PP_CHANGED;
}

static bool second_step(const pp_unwind *u, const pp_slot *slot,
                        pp_second *look, uint64_t *at)
{
    const uint8_t *p = second_find(slot, look, *at, u->layout->fr.size);
    if (p == NULL) {
        return false;
    }
    *at = pp_load_u64(p + u->layout->fr.back);
    return true;
}

uint32_t pp_second_sound(pp_unwind *u, const pp_slot *slot, pp_second *look)
{
    const pp_layout *l = u->layout;
    const pp_chain *chain = &slot->now;
    uint64_t end = slot->bottom;
    uint64_t first;
    uint32_t n = 0;
    if (chain->truncated || slot->walk != PP_WALK_DONE ||
        slot->walk_at != end || !second_first(u, slot, look, &first)) {
        return 0;
    }
    for (uint64_t at = first; at != end; n++) {
        if (n > u->opts.max_depth || !second_step(u, slot, look, &at)) {
            return 0;
        }
    }
    uint64_t at = first;
    for (uint32_t skip = n; skip > chain->n; skip--) {
        second_step(u, slot, look, &at);
    }
    uint32_t i = n < chain->n ? chain->n - n : 0;
    uint32_t since = i; /* from here to the root the two agree */
    for (; i < chain->n; i++) {
        const pp_raw_frame *frame = &chain->frames[i];
        const uint8_t *p = second_find(slot, look, at, l->fr.size);
        if (at != frame->address || frame_code(l, frame, p) != frame->code ||
            frame_instr(l, p) != frame->instr) {
            since = i + 1;
        }
        at = pp_load_u64(p + l->fr.back);
    }
    return chain->n - since;
}
