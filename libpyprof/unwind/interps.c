/*
 * Interpreters: the words of each that are looked at in every round, and its
 * GIL.
 *
 * In: the head of the plan. Out: the fields of pp_interp, or a want. What is
 * asked once (where a GIL is) is read at once; all else comes from copies.
 */
#include "unwind/internal.h"

/* ---- fields of interpreters ---------------------------------------------- */

/* One word, at once: for what is asked once. 0 when it can't be read. */
uint64_t pp_interp_word(pp_unwind *u, uint64_t address, uint32_t offset)
{
    uint64_t value = 0;
    if (offset == PP_NONE ||
        pp_reader_u64(u->reader, address + offset, &value) != PYPROF_OK) {
        return 0;
    }
    return value;
}

static const uint8_t *head_find(pp_unwind *u, uint64_t address, uint64_t size)
{
    const uint8_t *p = pp_view_find(&u->head, address, size);
    if (p == NULL) {
        p = pp_view_find(&u->proofs, address, size);
    }
    return p != NULL ? p : pp_extra_find(&u->extra, address, size);
}

bool pp_interp_u64(pp_unwind *u, uint64_t address, uint64_t *out)
{
    const uint8_t *p = head_find(u, address, sizeof(uint64_t));
    if (p == NULL) {
        pp_extra_want(&u->extra, address, sizeof(uint64_t));
        return false;
    }
    *out = pp_load_u64(p);
    return true;
}

static bool optional_u64(pp_unwind *u, uint64_t base, uint32_t offset,
                         uint64_t *out)
{
    return offset == PP_NONE || pp_interp_u64(u, base + offset, out);
}

bool pp_interp_gil(pp_view *view, const pp_layout *l, uint64_t gil,
                   pp_gil_state *out)
{
    const uint8_t *holder = pp_view_find(view, gil + l->gil.last_holder, 8);
    const uint8_t *locked = pp_view_find(view, gil + l->gil.locked, 4);
    const uint8_t *number = pp_view_find(view, gil + l->gil.switch_number, 8);
    if (holder == NULL || locked == NULL || number == NULL) {
        return false;
    }
    *out = (pp_gil_state){pp_load_u64(holder), pp_load_u64(number),
                          (int32_t)pp_load_u32(locked)};
    return true;
}

bool pp_interp_has_gil(const pp_layout *l)
{
    return l->gil_kind != PP_GIL_NONE;
}

/* Whether the GIL's counter proves anything: before 3.12 all interpreters
 * share one, and a thread may change its state under it without a switch. */
bool pp_interp_gil_proves(const pp_unwind *u)
{
    return pp_interp_has_gil(u->layout) &&
           (u->layout->gil_kind == PP_GIL_INTERP || u->n_interps == 1);
}

/* Where an interpreter's GIL is: asked for once, since it never moves. 0 while
 * the interpreter is being made. */
static uint64_t find_gil(pp_unwind *u, uint64_t interp)
{
    const pp_layout *l = u->layout;
    return l->gil_kind == PP_GIL_RUNTIME
               ? u->runtime + l->rt.gil
               : pp_interp_word(u, interp, l->is.ceval_gil);
}

/* The counter that proves cached code objects, as one word that no other
 * interpreter has: some share their memory, none their counters. */
static uint64_t make_proof(const pp_layout *l, const pp_interp *interp,
                           const uint8_t *p)
{
    uint64_t count = pp_load_u64(p);
    if (l->code_proof == PP_CODE_PROOF_CREATED && (count &= UINT32_MAX) == 0) {
        return 0; /* it has run over: proves nothing any more */
    }
    return (pp_hash_u64(interp->address) + count) | UINT64_C(1) << 63;
}

static uint64_t proof_address(const pp_layout *l, const pp_interp *interp)
{
    return interp->address + (l->code_proof == PP_CODE_PROOF_GENERATION
                                  ? l->is.code_generation
                                  : l->is.func_version);
}

static bool read_proof(pp_unwind *u, pp_interp *interp)
{
    const pp_layout *l = u->layout;
    interp->proof = 0;
    if (l->code_proof == PP_CODE_PROOF_NONE) {
        return true;
    }
    uint64_t at = proof_address(l, interp);
    const uint8_t *p = pp_view_find(&u->proofs, at, sizeof(uint64_t));
    if (p == NULL) {
        p = pp_extra_find(&u->extra, at, sizeof(uint64_t));
    }
    if (p == NULL) {
        pp_extra_want(&u->extra, at, sizeof(uint64_t));
        return false;
    }
    interp->proof = make_proof(l, interp, p);
    return true;
}

bool pp_interp_proof_moved(const pp_unwind *u, const pp_interp *interp,
                           pp_view *view)
{
    const pp_layout *l = u->layout;
    if (l->code_proof == PP_CODE_PROOF_NONE || interp->proof == 0) {
        return true;
    }
    const uint8_t *p =
        pp_view_find(view, proof_address(l, interp), sizeof(uint64_t));
    return p == NULL || make_proof(l, interp, p) != interp->proof;
}

/* The words of an interpreter that are looked at in each round. False when
 * something is missing (it was wanted). */
bool pp_interp_read(pp_unwind *u, pp_interp *interp)
{
    const pp_layout *l = u->layout;
    uint64_t address = interp->address;
    bool there =
        optional_u64(u, address, l->is.gc_collecting, &interp->gc_collecting);
    if (u->opts.all_threads) {
        there &= pp_interp_u64(u, address + l->is.threads_head,
                               &interp->threads_head);
        there &= pp_interp_u64(u, address + l->is.next, &interp->next);
    }
    there &= read_proof(u, interp);
    interp->gil_known = false;
    if (there && pp_interp_has_gil(l)) {
        pp_gil_state gil;
        if (interp->gil == 0) {
            interp->gil = find_gil(u, address);
            u->plan_dirty = true;
        } else if (pp_interp_gil(u->opts.all_threads ? &u->head : &u->proofs, l,
                                 interp->gil, &gil)) {
            interp->gil_known = true;
            interp->holder = gil.holder;
            interp->switches = gil.switches;
            interp->locked = gil.locked;
        }
    }
    return there;
}

uint32_t pp_interp_for(pp_unwind *u, uint64_t address)
{
    size_t free_index = u->n_interps;
    for (size_t i = 0; i < u->n_interps; i++) {
        if (u->interps[i].address == address) {
            return (uint32_t)i;
        }
    }
    if (!pp_grow(&u->allocator, (void **)&u->interps, &u->cap_interps,
                 sizeof(pp_interp), u->n_interps + 1, PP_MAX_INTERPS)) {
        return UINT32_MAX;
    }
    u->interps[u->n_interps++] = (pp_interp){
        .address = address,
        .id = pp_interp_word(u, address, u->layout->is.id),
    };
    u->plan_dirty = true;
    return (uint32_t)free_index;
}
