/*
 * From a thread state to its chain of frames, in the copies of one round.
 *
 * In: copied bytes. Out: a chain, innermost frame first, or what is missing.
 *
 * 1. A walk reads nothing by itself: it wants, and is resumed at the same frame
 *    when the wants were read.
 * 2. It ends after a bounded number of steps, whatever the bytes say.
 * 3. Shims (entries from C) stay in the chain: they are links to be checked
 *    like any other.
 * 4. It does not judge whether the chain is true: second.c compares it with a
 *    second look at the same places.
 */
#include "unwind/internal.h"

enum {
    PAGE = 4096,
    CHUNK_GUESS = 16384, /* DATA_STACK_CHUNK_SIZE of 3.11 to 3.15 */
    MAX_PIECE = 1 << 20,
    MAX_C_STACK = 8 << 20, /* between two evaluation loops */
    WINDOW_SLACK = 512,
    USED_MASK = 15 /* rounds between two notes of what is in use; 2^n - 1 */
};

const uint8_t *pp_walk_find(pp_unwind *u, uint64_t address, uint64_t size,
                            bool *out_extra)
{
    const uint8_t *p = pp_view_find(&u->a, address, size);
    if (PP_LIKELY(p != NULL)) {
        return p;
    }
    p = pp_view_find(&u->plan_look.between, address, size);
    if (p != NULL) {
        return p;
    }
    if (u->extra.n_copies == 0) {
        return NULL;
    }
    p = pp_extra_find(&u->extra, address, size);
    if (p != NULL && out_extra != NULL) {
        *out_extra = true;
    }
    return p;
}

bool pp_chain_reserve(const pp_allocator *a, pp_chain *chain, uint32_t need,
                      uint32_t max)
{
    if (PP_LIKELY(need <= chain->cap)) {
        return true;
    }
    size_t cap = chain->cap;
    if (!pp_grow(a, (void **)&chain->frames, &cap, sizeof(pp_raw_frame), need,
                 max)) {
        return false;
    }
    chain->cap = (uint32_t)cap;
    return true;
}

static uint64_t header_field(const pp_unwind *u, const uint8_t *header,
                             uint32_t offset)
{
    return pp_load_u64(header + (offset - u->ts_low));
}

static uint64_t thread_flags(const pp_unwind *u, const uint8_t *header)
{
    const pp_layout *l = u->layout;
    uint64_t flags = 0;
    if (l->free_threaded && l->ts.state != PP_NONE) {
        /* 0 detached, 1 attached, 2 suspended (pystate.c) */
        if (pp_load_u32(header + (l->ts.state - u->ts_low)) == 1) {
            flags |= PYPROF_THREAD_HAS_GIL;
        }
    }
    if (l->ts.gil_requested != PP_NONE && !l->free_threaded &&
        pp_load_u32(header + (l->ts.gil_requested - u->ts_low)) != 0) {
        flags |= PYPROF_THREAD_GIL_REQUESTED;
    }
    return flags;
}

/* A thread state's memory may be another thread's since the last round. */
static void take_identity(pp_unwind *u, pp_slot *slot, const uint8_t *header)
{
    const pp_layout *l = u->layout;
    uint64_t python_id = header_field(u, header, l->ts.thread_id);
    uint64_t unique_id =
        l->ts.id != PP_NONE ? header_field(u, header, l->ts.id) : python_id;
    if (unique_id != slot->unique_id || python_id != slot->python_id) {
        slot->unique_id = unique_id;
        slot->python_id = python_id;
        slot->native_id = 0;
        slot->announced = false;
        slot->last.n = 0;
    }
    if (l->ts.native_thread_id != PP_NONE) {
        slot->native_id = header_field(u, header, l->ts.native_thread_id);
    }
}

/* A little more than is used, but not of a page that may not be there. */
static uint64_t window_end(uint64_t top)
{
    uint64_t page_end = (top + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    return top + WINDOW_SLACK < page_end ? top + WINDOW_SLACK : page_end;
}

/* What says which frame is current, as it was read between two looks at the
 * frames; a neighbour may have brought it along in another section, too. */
static const uint8_t *find_current(pp_unwind *u, const pp_slot *slot,
                                   uint64_t address, uint64_t size,
                                   bool *out_extra)
{
    const uint8_t *p = slot->in_plan_twice
                           ? pp_view_find(&u->plan_look.between, address, size)
                           : NULL;
    return p != NULL ? p : pp_walk_find(u, address, size, out_extra);
}

bool pp_walk_header(pp_unwind *u, pp_slot *slot)
{
    const pp_layout *l = u->layout;
    uint64_t at = slot->tstate + u->ts_low;
    const uint8_t *p =
        find_current(u, slot, at, u->ts_high - u->ts_low, &slot->used_extra);
    if (p == NULL) {
        pp_extra_want(&u->extra, at, u->ts_high - u->ts_low);
        return false;
    }
    slot->next = header_field(u, p, l->ts.next);
    slot->first_frame = header_field(u, p, l->ts.frame);
    if (l->frame_kind == PP_FRAMES_CFRAME) {
        slot->cframe = slot->first_frame;
    }
    slot->bottom =
        l->ts.base_frame != PP_NONE ? header_field(u, p, l->ts.base_frame) : 0;
    take_identity(u, slot, p);
    if (l->ts.datastack_chunk != PP_NONE) {
        slot->datastack_top = header_field(u, p, l->ts.datastack_top);
        uint64_t chunk = header_field(u, p, l->ts.datastack_chunk);
        if (chunk != slot->chunk) {
            slot->chunk = chunk;
            slot->window_end = 0;
        }
        if (slot->datastack_top > slot->window_end) {
            /* It grew: next time it is read in one piece. */
            slot->window_end = window_end(slot->datastack_top);
            u->plan_dirty = true;
        }
    }
    slot->flags = thread_flags(u, p);
    if (header_field(u, p, l->ts.interp) != u->interps[slot->interp].address) {
        slot->walk = PP_WALK_BAD;
        return true;
    }
    slot->walk = PP_WALK_DONE;
    return true;
}

void pp_walk_begin(pp_slot *slot)
{
    slot->now.n = 0;
    slot->now.truncated = false;
    slot->walk_steps = 0;
    slot->walk_missed = 0;
    slot->walk_begun = false;
    slot->entered = false;
    slot->root_kept = false;
    slot->met_shim = 0;
    slot->outer = slot->outer_loop = 0;
    slot->loop = slot->cframe;
    slot->walk_at = slot->cframe == 0 ? slot->first_frame : 0;
    slot->walk = PP_WALK_MORE;
}

/* ---- what to read when a frame is missing -------------------------------- */

static bool in_old_chunk(const pp_slot *slot, uint64_t address)
{
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        const pp_old_chunk *chunk = &slot->old_chunks[i];
        if (address >= chunk->address && address < chunk->end) {
            return true;
        }
    }
    return false;
}

static bool in_window(const pp_slot *slot, uint64_t address)
{
    return slot->chunk != 0 && address >= slot->chunk &&
           address < slot->datastack_top;
}

/* Wants the data-stack chunk below the deepest one that is known. */
static void want_older_chunk(pp_unwind *u, pp_slot *slot)
{
    const pp_layout *l = u->layout;
    uint64_t at = slot->chunk;
    for (size_t steps = 0; steps <= slot->n_old_chunks; steps++) {
        const uint8_t *p = pp_walk_find(u, at, l->chunk.data, NULL);
        if (p == NULL) {
            return;
        }
        uint64_t previous = pp_load_u64(p + l->chunk.previous);
        if (previous == 0 || previous % sizeof(uint64_t) != 0) {
            return;
        }
        if (!in_old_chunk(slot, previous)) {
            if (pp_grow(&u->allocator, (void **)&slot->old_chunks,
                        &slot->cap_old_chunks, sizeof(pp_old_chunk),
                        slot->n_old_chunks + 1, PP_MAX_OLD_CHUNKS)) {
                slot->old_chunks[slot->n_old_chunks++] =
                    (pp_old_chunk){previous, previous + CHUNK_GUESS, u->round};
                pp_extra_want(&u->extra, previous, CHUNK_GUESS);
            }
            return;
        }
        at = previous;
    }
}

/* A chunk that was pushed over says how far it is used. */
static void trim_old_chunks(pp_unwind *u, pp_slot *slot)
{
    const pp_layout *l = u->layout;
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        pp_old_chunk *chunk = &slot->old_chunks[i];
        const uint8_t *p = pp_walk_find(u, chunk->address, l->chunk.data, NULL);
        if (p == NULL) {
            continue;
        }
        uint64_t used = l->chunk.data + pp_load_u64(p + l->chunk.top) * 8;
        if (used > l->chunk.data && used <= MAX_PIECE &&
            chunk->address + used != chunk->end) {
            chunk->end = chunk->address + used;
        }
    }
}

static void want_frame(pp_unwind *u, pp_slot *slot, uint64_t address)
{
    const pp_layout *l = u->layout;
    if (l->frame_kind == PP_FRAMES_HEAP) {
        /* Frames of one thread lie close together on the heap. */
        uint64_t start = address & ~(uint64_t)(PAGE - 1);
        uint64_t end = address + l->fr.size;
        pp_extra_want(&u->extra, start,
                      end - start > PAGE ? end - start : PAGE);
        return;
    }
    if (in_window(slot, address)) {
        uint64_t size = slot->datastack_top - slot->chunk;
        if (size <= MAX_PIECE) {
            pp_extra_want(&u->extra, slot->chunk, size);
            return;
        }
    }
    pp_extra_want(&u->extra, address, l->fr.size);
    if (slot->chunk != 0) {
        trim_old_chunks(u, slot);
        for (size_t i = 0; i < slot->n_old_chunks; i++) {
            const pp_old_chunk *chunk = &slot->old_chunks[i];
            if (address >= chunk->address && address < chunk->end) {
                pp_extra_want(&u->extra, chunk->address,
                              chunk->end - chunk->address);
                return;
            }
        }
        want_older_chunk(u, slot);
    }
}

/* ---- remembering where frames were ----------------------------------------
 */

static size_t side_position(const pp_slot *slot, uint64_t address)
{
    size_t low = 0;
    size_t high = slot->n_sides;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slot->sides[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void note_side(pp_unwind *u, pp_slot *slot, uint64_t address, bool once)
{
    size_t at = side_position(slot, address);
    if (at < slot->n_sides && slot->sides[at].address == address) {
        slot->sides[at].used = u->round;
        u->plan_dirty |= slot->sides[at].once != once;
        slot->sides[at].once = once;
        return;
    }
    if (!pp_grow(&u->allocator, (void **)&slot->sides, &slot->cap_sides,
                 sizeof(pp_side), slot->n_sides + 1, PP_MAX_SIDES)) {
        return; /* it will be read each time it is met */
    }
    memmove(&slot->sides[at + 1], &slot->sides[at],
            (slot->n_sides - at) * sizeof(pp_side));
    slot->sides[at] = (pp_side){address, u->round, once};
    slot->n_sides++;
    u->plan_dirty = true;
}

static void note_frame(pp_unwind *u, pp_slot *slot, uint64_t address, bool once)
{
    if (in_window(slot, address)) {
        return;
    }
    for (size_t i = 0; i < slot->n_old_chunks; i++) {
        pp_old_chunk *chunk = &slot->old_chunks[i];
        if (address >= chunk->address && address < chunk->end) {
            chunk->used = u->round;
            return;
        }
    }
    note_side(u, slot, address, once);
}

/* ---- the walk
 * ---------------------------------------------------------------- */

/* One of the structures that 3.11 and 3.12 have on the C stack, one for each
 * evaluation loop: the current frame, and the address of the loop's caller's
 * (no matter which version, right behind it). Its address comes and goes like a
 * frame's. */
static pp_walk find_cframe(pp_unwind *u, pp_slot *slot, uint64_t address,
                           uint64_t out[2])
{
    uint64_t at = address + u->layout->cframe.current_frame;
    bool extra = false;
    const uint8_t *p = find_current(u, slot, at, 2 * sizeof(uint64_t), &extra);
    if (p == NULL) {
        pp_extra_want(&u->extra, at, 2 * sizeof(uint64_t));
        slot->used_extra = true;
        return slot->walk_missed++ > 1 ? PP_WALK_FAULT : PP_WALK_MORE;
    }
    if (extra || (u->round & USED_MASK) == 0) {
        slot->used_extra |= extra;
        note_side(u, slot, address, true);
    }
    out[0] = pp_load_u64(p);
    out[1] = pp_load_u64(p + sizeof(uint64_t));
    return PP_WALK_DONE;
}

static bool in_thread_state(const pp_unwind *u, const pp_slot *slot,
                            uint64_t address)
{
    return address - slot->tstate < u->layout->ts.size;
}

/* Begins with the current frame of the loop at hand. */
static pp_walk first_frame(pp_unwind *u, pp_slot *slot)
{
    uint64_t own[2], outer[2] = {0, 0};
    pp_walk walk = find_cframe(u, slot, slot->loop, own);
    if (walk != PP_WALK_DONE) {
        return walk;
    }
    if (slot->loop == slot->cframe) {
        slot->told_frame = own[0];
    }
    /* The outermost one is in the thread state and has no frame. */
    slot->outer_loop = 0;
    if (!in_thread_state(u, slot, slot->loop) &&
        !in_thread_state(u, slot, own[1])) {
        slot->outer_loop = own[1];
        walk = own[1] != 0 ? find_cframe(u, slot, own[1], outer) : PP_WALK_BAD;
        if (walk != PP_WALK_DONE) {
            return walk;
        }
    }
    slot->outer = outer[0];
    slot->walk_missed = 0;
    slot->walk_at = own[0];
    return PP_WALK_DONE;
}

static uint32_t frame_owner(const pp_layout *l, const uint8_t *p)
{
    if (l->fr.owner == PP_NONE) {
        return PP_OWNER_THREAD;
    }
    uint8_t value = p[l->fr.owner];
    return value < PP_COUNT_OF(l->fr.owners) ? l->fr.owners[value]
                                             : (uint32_t)PP_OWNER_BAD;
}

static bool is_shim(const pp_layout *l, const uint8_t *p)
{
    return frame_owner(l, p) == PP_OWNER_SHIM;
}

/* Whether C called this frame. */
static bool is_entry(const pp_layout *l, const uint8_t *p)
{
    return l->fr.is_entry != PP_NONE ? p[l->fr.is_entry] != 0 : is_shim(l, p);
}

static bool take_frame(pp_unwind *u, pp_slot *slot, const uint8_t *p)
{
    const pp_layout *l = u->layout;
    pp_chain *chain = &slot->now;
    pp_raw_frame *frame = &chain->frames[chain->n];
    uint32_t owner = frame_owner(l, p);
    frame->address = slot->walk_at;
    frame->code = pp_load_u64(p + l->fr.code) & l->fr.code_mask;
    frame->instr = l->instr_kind <= PP_INSTR_LASTI_UNITS
                       ? pp_load_u32(p + l->fr.instr)
                       : pp_load_u64(p + l->fr.instr);
    frame->entry = PP_NO_CODE;
    frame->offset_kind = PP_RAW_PYTHON;
    if (owner == PP_OWNER_SHIM) {
        frame->code = 0;
        frame->offset_kind = PP_RAW_SHIM;
    } else if (owner == PP_OWNER_BAD) {
        return false;
    } else if (frame->code == 0) {
        /* A frame that is being cleared is still current for a moment (3.14+
         * empties it first); anywhere else there must be code. */
        if (chain->n > 0) {
            return false;
        }
        frame->offset_kind = PP_RAW_CLEARED;
    }
    chain->n++;
    slot->walk_at = pp_load_u64(p + l->fr.back);
    if (!slot->entered && is_entry(l, p)) {
        slot->entered = true;
        slot->entered_from = slot->walk_at;
    }
    return true;
}

/* For some 20 instructions after C has called Python, 3.11 and 3.12 have an
 * evaluation loop whose current frame is not set yet: what stands there is left
 * from an earlier call. Then the place at which C entered the loop isn't the
 * frame that is current in the loop outside of it. (In 3.11 that frame may also
 * be current in both: when the inner loop is about to end.) */
static bool belongs_to_loop(const pp_slot *slot)
{
    const pp_chain *chain = &slot->now;
    uint64_t first = chain->n > 0 ? chain->frames[0].address : 0;
    if (slot->loop == 0 || first == slot->outer) {
        return true;
    }
    /* In a chain that was cut that place may be too deep to be seen. */
    return slot->entered ? slot->entered_from == slot->outer : chain->truncated;
}

/* Whether a chain ended where stacks end. A frame that is not current (yet, or
 * any more) leads nowhere, so it would look like the root of all. */
static bool is_complete(const pp_unwind *u, const pp_slot *slot)
{
    const pp_chain *chain = &slot->now;
    if (!belongs_to_loop(slot)) {
        return false;
    }
    if (chain->n == 0) {
        return true;
    }
    if (u->layout->ts.base_frame != PP_NONE) {
        return slot->walk_at != 0 && slot->walk_at == slot->bottom;
    }
    return !u->has_shims ||
           (chain->frames[chain->n - 1].offset_kind & 3) == PP_RAW_SHIM;
}

/* Whether the walk has come to the shim below all other frames, by the frame
 * that was above it when that was last proven. The C stack has nothing older
 * that could end below, so it is read now and then only. */
static bool is_root_shim(const pp_unwind *u, const pp_slot *slot)
{
    const pp_chain *chain = &slot->now;
    return slot->walk_at == slot->root_shim && chain->n > 0 &&
           chain->frames[chain->n - 1].address == slot->root_top &&
           !pp_plan_whole(u) && u->care != PP_CARE_STOPPED;
}

/* The frame that the walk has come to; NULL when it isn't at hand. */
static const uint8_t *find_frame(pp_unwind *u, pp_slot *slot, bool *out_extra)
{
    if (is_root_shim(u, slot)) {
        slot->root_kept = true;
        return slot->root_bytes;
    }
    return pp_walk_find(u, slot->walk_at, u->layout->fr.size, out_extra);
}

/* Keeps a shim that nothing is below, until the chain is proven. */
static void note_last_shim(const pp_unwind *u, pp_slot *slot, uint64_t address,
                           const uint8_t *p)
{
    uint32_t size = u->layout->fr.size;
    bool last = slot->walk_at == 0 || slot->walk_at == slot->bottom;
    if (last && size <= sizeof(slot->met_bytes) && is_shim(u->layout, p)) {
        slot->met_shim = address;
        memcpy(slot->met_bytes, p, size);
    }
}

static pp_walk walk_frames(pp_unwind *u, pp_slot *slot)
{
    const pp_layout *l = u->layout;
    uint32_t max = u->opts.max_depth;
    if (slot->loop != 0 && !slot->walk_begun) {
        pp_walk walk = first_frame(u, slot);
        if (walk != PP_WALK_DONE) {
            return walk;
        }
        slot->walk_begun = true;
    }
    while (slot->walk_at != 0 && slot->walk_at != slot->bottom) {
        if (slot->walk_steps >= max) {
            slot->now.truncated = true;
            return !belongs_to_loop(slot) ? PP_WALK_BAD : PP_WALK_DONE;
        }
        if (slot->walk_at % sizeof(uint64_t) != 0) {
            return PP_WALK_BAD;
        }
        bool extra = false;
        const uint8_t *p = find_frame(u, slot, &extra);
        if (p == NULL) {
            if (slot->walk_missed++ > 2) {
                return PP_WALK_FAULT;
            }
            slot->used_extra = true;
            want_frame(u, slot, slot->walk_at);
            return PP_WALK_MORE;
        }
        slot->walk_missed = 0;
        slot->walk_steps++;
        if (!pp_chain_reserve(&u->allocator, &slot->now, slot->now.n + 1,
                              max + 1)) {
            return PP_WALK_FAULT;
        }
        uint64_t address = slot->walk_at;
        if (!take_frame(u, slot, p)) {
            return PP_WALK_BAD;
        }
        note_last_shim(u, slot, address, p);
        slot->used_extra |= extra;
        if (extra || (u->round & USED_MASK) == 0) {
            note_frame(u, slot, address, is_shim(l, p));
        }
    }
    return is_complete(u, slot) ? PP_WALK_DONE : PP_WALK_BAD;
}

/* Whether the stack is the one of the loop outside of the innermost (3.11 and
 * 3.12). The current frame of the innermost is the entry of 3.12's, which C is
 * about to enter or has left: where it came from may be written, or not. Or it
 * leads nowhere because it isn't set yet (see belongs_to_loop); but the same is
 * seen where frames changed while they were read, so that is for a thread that
 * stands still. */
static bool is_outside(const pp_unwind *u, const pp_slot *slot, pp_walk walk)
{
    if (slot->loop == 0 || slot->loop != slot->cframe ||
        slot->outer_loop <= slot->loop ||
        slot->outer_loop - slot->loop >= MAX_C_STACK) {
        return false;
    }
    bool at_entry =
        slot->now.n > 0 && (slot->now.frames[0].offset_kind & 3) == PP_RAW_SHIM;
    bool lost = walk == PP_WALK_BAD || walk == PP_WALK_FAULT;
    return at_entry || (lost && (slot->held || u->care == PP_CARE_STOPPED));
}

pp_walk pp_walk_frames(pp_unwind *u, pp_slot *slot)
{
    pp_walk walk = walk_frames(u, slot);
    if (is_outside(u, slot, walk)) {
        uint64_t loop = slot->outer_loop;
        pp_walk_begin(slot);
        slot->loop = loop;
        walk = walk_frames(u, slot);
    }
    return walk;
}
