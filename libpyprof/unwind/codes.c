/*
 * Code objects: read once, remembered by address, and never believed without
 * proof, since a freed one's memory is soon another's.
 *
 * 1. A cached code object is used in a round only when it is proven for it: by
 *    a counter of the interpreter that moves when code objects are freed
 * (3.14+) or made (3.12, 3.13), by its identifying words read again in this
 * round, or (before 3.12 only, and only for frames that did not change) by
 * having been compared within the last PREFIX_TRUST_NS after a life of
 * SETTLED_NS.
 * 2. The counter is read before the object, so that what is stamped with it is
 *    at most older, never newer.
 * 3. What a torn round read is forgotten.
 *
 * It reads through the round's extra copies only, in as few calls as the
 * pointers allow: heads, then strings and line tables of all new ones at once.
 */
#include "unwind/internal.h"

enum {
    PAGE = 4096,
    TEXT_GUESS =
        192, /* bytes of a str that are read before its size is known */
    LINES_GUESS = 512,
    MAX_CHARS = 4096,
    MAX_LINES = 1 << 20,
    MAX_CODE = 1 << 26,
    MAX_PASSES = 6,
    ROOM = 8192
};
static const uint64_t PREFIX_TRUST_NS = 20 * 1000 * 1000;
static const uint64_t SETTLED_NS = 200 * 1000 * 1000;

#define OFFSET_UNKNOWN ((UINT32_MAX >> 2) - 1)
/* Include/cpython/code.h, 3.13+ */
#define CO_NO_MONITORING_EVENTS 0x2000000u

/* ---- the cache -------------------------------------------------------------
 */

static void reset_chains(pp_unwind *u)
{
    for (size_t i = 0; i < u->n_slots; i++) {
        u->slots[i].last.n = 0;
    }
}

static void drop_blobs(pp_unwind *u)
{
    for (size_t i = 0; i < u->n_codes; i++) {
        pp_free(&u->allocator, u->codes[i].blob);
        u->codes[i].blob = NULL;
    }
}

void pp_codes_flush(pp_unwind *u)
{
    u->counters.codes_evicted += u->n_codes;
    drop_blobs(u);
    pp_map_clear(&u->code_of);
    u->n_codes = 0;
    u->n_fresh = 0;
    u->fresh_at = 0;
    u->n_watch = 0;
    u->plan_dirty = true;
    reset_chains(u);
}

void pp_codes_free(pp_unwind *u)
{
    drop_blobs(u);
    pp_map_free(&u->code_of);
    pp_free(&u->allocator, u->codes);
    pp_free(&u->allocator, u->fresh);
    pp_free(&u->allocator, u->watch);
}

void pp_codes_begin(pp_unwind *u)
{
    if (u->n_codes >= u->opts.max_codes) {
        pp_codes_flush(u);
    }
    u->fresh_at = u->n_fresh;
}

static void mark_sound(pp_unwind *u, const pp_slot *slot)
{
    uint32_t n = slot->state == PYPROF_STACK_WHOLE  ? slot->now.n
                 : slot->state == PYPROF_STACK_TORN ? slot->sound
                                                    : 0;
    for (uint32_t i = slot->now.n - n; i < slot->now.n; i++) {
        uint32_t entry = slot->now.frames[i].entry;
        if (entry != PP_NO_CODE) {
            u->codes[entry].sound = u->round;
        }
    }
}

void pp_codes_forget(pp_unwind *u)
{
    size_t kept = u->fresh_at;
    if (u->n_fresh == u->fresh_at) {
        return;
    }
    for (size_t i = 0; i < u->n_order; i++) {
        mark_sound(u, &u->slots[u->order[i]]);
    }
    for (size_t i = u->fresh_at; i < u->n_fresh; i++) {
        pp_code *code = &u->codes[u->fresh[i]];
        if (code->sound == u->round) {
            u->fresh[kept++] = u->fresh[i];
        } else {
            pp_free(&u->allocator, code->blob);
            code->blob = NULL;
            code->fingerprint = 0; /* equal to none: it is read again */
        }
    }
    u->n_fresh = kept;
}

/* ---- reading one
 * -------------------------------------------------------------- */

/* Only what was read later than all frames: what an earlier copy has at this
 * place may be of an object that was there before. */
static const uint8_t *need(pp_unwind *u, uint64_t address, uint64_t size,
                           uint64_t guess)
{
    const uint8_t *p = pp_extra_find_since(&u->extra, address, size, u->fence);
    if (p == NULL) {
        uint64_t to_page_end = PAGE - address % PAGE;
        if (guess > to_page_end) {
            guess = to_page_end; /* the next page may not be there */
        }
        pp_extra_want(&u->extra, address, guess > size ? guess : size);
    }
    return p;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return pp_hash_u64(hash ^ value) + UINT64_C(0x9e3779b97f4a7c15);
}

/* A word that tells one code object from another: all that its maker fixes and
 * that the interpreter never changes. */
static uint64_t fingerprint(const pp_layout *l, const uint8_t *head)
{
    uint64_t hash = pp_load_u64(head + l->ob.type);
    hash = mix(hash, pp_load_u64(head + l->co.name));
    hash = mix(hash, pp_load_u64(head + l->co.filename));
    hash = mix(hash, pp_load_u64(head + l->co.linetable));
    hash = mix(hash, pp_load_u32(head + l->co.firstlineno));
    hash = mix(hash, pp_load_u32(head + l->co.flags));
    hash = mix(hash, pp_load_u32(head + l->co.argcount));
    if (l->co.qualname != PP_NONE) {
        hash = mix(hash, pp_load_u64(head + l->co.qualname));
        hash = mix(hash, pp_load_u64(head + l->ob.var_size));
    } else {
        hash = mix(hash, pp_load_u64(head + l->co.code));
    }
    if (l->co.version != PP_NONE) {
        hash = mix(hash, pp_load_u32(head + l->co.version));
    }
    return hash != 0 ? hash : 1;
}

typedef struct loaded_text {
    const uint8_t *data;
    pp_str_shape shape;
} loaded_text;

/* 1: there, 0: wanted, -1: not a str. */
static int load_text(pp_unwind *u, uint64_t address, loaded_text *out)
{
    const uint8_t *head =
        need(u, address, pp_text_head_size(u->layout), TEXT_GUESS);
    if (head == NULL) {
        return 0;
    }
    if (!pp_text_shape(u->layout, address, head, &out->shape)) {
        return -1;
    }
    if (out->shape.length > MAX_CHARS) {
        out->shape.length = MAX_CHARS;
    }
    if (out->shape.length == 0) {
        out->data = head;
        return 1;
    }
    out->data =
        need(u, out->shape.data, out->shape.length * out->shape.kind, 0);
    return out->data != NULL;
}

/* The same for a bytes object; `want_data` false: its size alone. */
static int load_bytes(pp_unwind *u, uint64_t address, uint64_t max,
                      bool want_data, const uint8_t **out, uint64_t *out_size)
{
    const pp_layout *l = u->layout;
    const uint8_t *head =
        need(u, address, l->ob.bytes_data, want_data ? LINES_GUESS : 0);
    if (head == NULL) {
        return 0;
    }
    *out_size = pp_load_u64(head + l->ob.var_size);
    if (*out_size > max) {
        return -1;
    }
    *out = head;
    if (!want_data || *out_size == 0) {
        return 1;
    }
    *out = need(u, address + l->ob.bytes_data, *out_size, 0);
    return *out != NULL;
}

/* Whether a type is the one of code objects; learnt once from its name. */
static int is_code_type(pp_unwind *u, uint64_t type)
{
    if (u->code_type != 0) {
        return type == u->code_type ? 1 : -1;
    }
    const uint8_t *p = need(u, type + u->layout->ob.tp_name, 8, 0);
    if (p == NULL) {
        return 0;
    }
    uint64_t name = pp_load_u64(p);
    p = need(u, name, sizeof("code"), 0);
    if (p == NULL) {
        return 0;
    }
    if (memcmp(p, "code", sizeof("code")) != 0) {
        return -1;
    }
    u->code_type = type;
    return 1;
}

static uint8_t *put_text(uint8_t *to, size_t room, const loaded_text *text,
                         uint32_t *out_size)
{
    size_t n = pp_text_utf8(text->data, text->shape.length, text->shape.kind,
                            (char *)to, room);
    to[n] = 0;
    *out_size = (uint32_t)n;
    return to + n + 1;
}

static pp_code_blob *make_blob(pp_unwind *u, const loaded_text text[3],
                               const uint8_t *lines, uint64_t lines_size)
{
    size_t room[3];
    size_t total = sizeof(pp_code_blob) + (size_t)lines_size;
    for (int i = 0; i < 3; i++) {
        /* Latin-1 grows to two bytes, two-byte characters to three. */
        room[i] =
            (size_t)text[i].shape.length * (text[i].shape.kind == 1 ? 2 : 4);
        total += room[i] + 1;
    }
    pp_code_blob *blob = pp_calloc(&u->allocator, 1, total);
    if (blob == NULL) {
        return NULL;
    }
    uint8_t *to = blob->bytes;
    to = put_text(to, room[0], &text[0], &blob->qualname_size);
    to = put_text(to, room[1], &text[1], &blob->name_size);
    to = put_text(to, room[2], &text[2], &blob->file_size);
    if (lines_size > 0) {
        memcpy(to, lines, (size_t)lines_size);
    }
    blob->lines_size = (uint32_t)lines_size;
    return blob;
}

/* Whether it is _Py_InitCleanup (3.13+, Python/specialize.c), whose frame
 * stands below that of an `__init__` and drops what it returns. All its names
 * are one object. CPython shows it nowhere either: it never gets to a line. */
static bool is_trampoline(const pp_layout *l, const uint8_t *head)
{
    uint64_t name = pp_load_u64(head + l->co.name);
    return (pp_load_u32(head + l->co.flags) & CO_NO_MONITORING_EVENTS) != 0 &&
           pp_load_u64(head + l->co.filename) == name;
}

/* All that makes a code object, from copies. 1: `*out_blob` is made, 0:
 * something is wanted, -1: it is none, -2: out of memory. */
static int load_code(pp_unwind *u, uint64_t address, const uint8_t *head,
                     uint64_t *out_start, pp_code_blob **out_blob)
{
    const pp_layout *l = u->layout;
    loaded_text text[3];
    const uint8_t *lines = NULL;
    const uint8_t *unused;
    uint64_t lines_size = 0;
    uint64_t code_size = 0;
    int got = is_code_type(u, pp_load_u64(head + l->ob.type));
    if (got <= 0) {
        return got;
    }
    uint32_t qualname = l->co.qualname != PP_NONE ? l->co.qualname : l->co.name;
    int all[5] = {
        load_text(u, pp_load_u64(head + qualname), &text[0]),
        load_text(u, pp_load_u64(head + l->co.name), &text[1]),
        load_text(u, pp_load_u64(head + l->co.filename), &text[2]),
        load_bytes(u, pp_load_u64(head + l->co.linetable), MAX_LINES, true,
                   &lines, &lines_size),
        1,
    };
    if (l->co.qualname != PP_NONE) {
        code_size = pp_load_u64(head + l->ob.var_size) * 2;
        *out_start = address + l->co.code;
    } else {
        all[4] = load_bytes(u, pp_load_u64(head + l->co.code), MAX_CODE, false,
                            &unused, &code_size);
        *out_start = 0;
    }
    for (size_t i = 0; i < PP_COUNT_OF(all); i++) {
        if (all[i] < 0) {
            return -1;
        }
        got = all[i] == 0 ? 0 : got;
    }
    if (got == 0) {
        return 0;
    }
    if (code_size > MAX_CODE) {
        return -1;
    }
    *out_blob = make_blob(u, text, lines, lines_size);
    if (*out_blob == NULL) {
        return -2;
    }
    (*out_blob)->first_line = (int32_t)pp_load_u32(head + l->co.firstlineno);
    (*out_blob)->code_size = (uint32_t)code_size;
    (*out_blob)->hidden = is_trampoline(l, head);
    return 1;
}

/* ---- entries
 * -------------------------------------------------------------------- */

static void watch(pp_unwind *u, uint32_t entry)
{
    pp_code *code = &u->codes[entry];
    code->watched = u->round;
    if (!code->in_watch &&
        pp_grow(&u->allocator, (void **)&u->watch, &u->cap_watch,
                sizeof(uint32_t), u->n_watch + 1, 0)) {
        u->watch[u->n_watch++] = entry;
        code->in_watch = true;
        u->plan_dirty = true;
    }
}

/* A new entry for an address; what had it before stays as it is. PP_NO_CODE:
 * out of memory, or of entries. */
static uint32_t new_entry(pp_unwind *u, uint64_t address)
{
    uint64_t *slot;
    if (!pp_grow(&u->allocator, (void **)&u->codes, &u->cap_codes,
                 sizeof(pp_code), u->n_codes + 1,
                 (size_t)u->opts.max_codes + ROOM) ||
        (slot = pp_map_put(&u->code_of, address, NULL)) == NULL) {
        return PP_NO_CODE;
    }
    u->codes[u->n_codes] = (pp_code){.address = address};
    *slot = ++u->n_codes;
    return (uint32_t)(*slot - 1);
}

/* The entry of an address, made when it is new. */
static uint32_t entry_for(pp_unwind *u, uint64_t address)
{
    const uint64_t *slot = pp_map_find(&u->code_of, address);
    return slot != NULL ? (uint32_t)(*slot - 1) : new_entry(u, address);
}

/* Takes what was read of a code object into its entry, or into another one when
 * a stack that the first look of this round proved has that. */
static int take_code(pp_unwind *u, uint32_t *entry, uint64_t now,
                     uint64_t start, pp_code_blob *blob)
{
    if (u->again && u->codes[*entry].fingerprint != 0) {
        uint32_t other = new_entry(u, u->codes[*entry].address);
        if (other == PP_NO_CODE) {
            return -2;
        }
        *entry = other;
    }
    pp_code *code = &u->codes[*entry];
    if (!pp_grow(&u->allocator, (void **)&u->fresh, &u->cap_fresh,
                 sizeof(uint32_t), u->n_fresh + 1, 0)) {
        return -2;
    }
    u->counters.codes_read++;
    if (code->fingerprint != 0) {
        u->counters.codes_changed++;
    }
    if (code->blob == NULL) {
        u->fresh[u->n_fresh++] = *entry;
    }
    pp_free(&u->allocator, code->blob);
    code->blob = blob;
    code->fingerprint = now;
    code->start = start;
    code->code_size = blob->code_size;
    code->known_ns = u->now;
    return 1;
}

/* Looks at one code object in this round; `late`: what was read with the plan
 * is too early. 1: proven, 0: something is wanted, -1: it is none, -2: out of
 * memory. `*entry` may become another one. */
static int look(pp_unwind *u, uint32_t *entry, uint64_t proof, bool late)
{
    pp_code *code = &u->codes[*entry];
    uint32_t size = u->layout->co.size;
    const uint8_t *head =
        late ? NULL : pp_view_find(&u->plan_look.between, code->address, size);
    pp_code_blob *blob = NULL;
    uint64_t start = 0;
    if (head == NULL) {
        late = true;
        head = need(u, code->address, size, 0);
    }
    if (head == NULL) {
        return 0;
    }
    uint64_t now = fingerprint(u->layout, head);
    if (now != code->fingerprint) {
        int got = load_code(u, code->address, head, &start, &blob);
        if (got <= 0) {
            return got;
        }
        got = take_code(u, entry, now, start, blob);
        if (got < 0) {
            pp_free(&u->allocator, blob);
            return got;
        }
        code = &u->codes[*entry];
    }
    code->proof = proof;
    code->proven_ns = u->now;
    code->checked = u->round;
    code->checked_late = late;
    return 1;
}

/* Whether a cached code object may be used without looking at it again. */
static bool proven(const pp_unwind *u, const pp_code *code, uint64_t proof,
                   bool settled_frame, bool late)
{
    if (code->fingerprint == 0) {
        return false;
    }
    if (code->checked == u->round && (code->checked_late || !late)) {
        return true;
    }
    if (u->layout->code_proof != PP_CODE_PROOF_NONE) {
        return code->proof == proof && proof != 0;
    }
    return settled_frame && code->proven_ns - code->known_ns > SETTLED_NS &&
           u->now - code->proven_ns < PREFIX_TRUST_NS;
}

static uint32_t instruction(const pp_unwind *u, const pp_code *code,
                            uint64_t instr)
{
    uint64_t offset = instr;
    switch (u->layout->instr_kind) {
    case PP_INSTR_LASTI_BYTES:
        offset = (uint32_t)instr;
        break;
    case PP_INSTR_LASTI_UNITS:
        offset = (uint64_t)(uint32_t)instr * 2;
        break;
    case PP_INSTR_PREV:
    case PP_INSTR_POINTER:
        offset = instr - code->start;
        break;
    }
    if (offset < code->code_size) {
        return (uint32_t)offset;
    }
    /* Before the first instruction: -1, or one unit before the code. */
    if ((int64_t)offset == -2 || (uint32_t)offset == UINT32_MAX ||
        offset == UINT64_C(0x1fffffffe)) {
        return 0;
    }
    return OFFSET_UNKNOWN;
}

/* One frame. 1: resolved, 0: something is wanted, -2: out of memory. */
static int resolve_frame(pp_unwind *u, pp_raw_frame *frame, uint64_t proof,
                         bool settled, bool moving, bool late)
{
    uint32_t entry = frame->entry;
    if (entry == PP_NO_CODE) {
        entry = entry_for(u, frame->code);
        if (entry == PP_NO_CODE) {
            return -2;
        }
    }
    if (!proven(u, &u->codes[entry], proof, settled, late)) {
        bool met = u->codes[entry].fingerprint != 0;
        int got = look(u, &entry, proof, late);
        if (moving && met) {
            watch(u, entry); /* it may well be met again */
        }
        if (got != 1) {
            frame->offset_kind = OFFSET_UNKNOWN << 2 | PP_RAW_PYTHON;
            frame->entry = PP_NO_CODE;
            return got == -1 ? 1 : got;
        }
    }
    frame->entry = entry;
    frame->offset_kind =
        instruction(u, &u->codes[entry], frame->instr) << 2 | PP_RAW_PYTHON;
    return 1;
}

/* Frames from the root that are as they were when last recorded. */
static uint32_t same_frames(pp_slot *slot)
{
    uint32_t n = slot->now.n < slot->last.n ? slot->now.n : slot->last.n;
    pp_raw_frame *now = slot->now.frames + slot->now.n;
    const pp_raw_frame *last = slot->last.frames + slot->last.n;
    uint32_t same = 0;
    if (slot->now.truncated != slot->last.truncated) {
        return 0;
    }
    while (same < n) {
        now--;
        last--;
        if (now->address != last->address || now->code != last->code ||
            now->instr != last->instr) {
            break;
        }
        now->entry = last->entry;
        now->offset_kind = last->offset_kind;
        same++;
    }
    return same;
}

static int resolve_slot(pp_unwind *u, pp_slot *slot)
{
    const pp_interp *interp = &u->interps[slot->interp];
    uint64_t proof = interp->proof;
    bool counted = u->layout->code_proof != PP_CODE_PROOF_NONE;
    int result = 1;
    uint32_t n = slot->now.n;
    if (counted && proof != 0 && proof == interp->kept_proof) {
        n -= slot->same; /* proven when they were recorded */
    }
    for (uint32_t i = 0; i < n; i++) {
        pp_raw_frame *frame = &slot->now.frames[i];
        if ((frame->offset_kind & 3) != PP_RAW_PYTHON) {
            continue;
        }
        bool settled = i >= slot->now.n - slot->same;
        uint32_t before = frame->entry;
        int got = resolve_frame(u, frame, proof, settled,
                                !counted || proof != interp->kept_proof,
                                slot->used_extra);
        if (got == -2) {
            return -2;
        }
        if (got == 0) {
            result = 0;
        }
        /* A changed name above or below makes the rest new, too. */
        if (settled && (frame->entry != before || got == 0 ||
                        (frame->entry != PP_NO_CODE &&
                         u->codes[frame->entry].blob != NULL))) {
            slot->same = slot->now.n - 1 - i;
        }
    }
    return result;
}

bool pp_codes_all_late(const pp_unwind *u, const pp_slot *slot)
{
    for (uint32_t i = 0; i < slot->now.n; i++) {
        uint32_t entry = slot->now.frames[i].entry;
        if (entry != PP_NO_CODE && (u->codes[entry].checked != u->round ||
                                    !u->codes[entry].checked_late)) {
            return false;
        }
    }
    return true;
}

pyprof_status pp_codes_resolve(pp_unwind *u, const uint32_t *slots, size_t n)
{
    u->fence = u->extra.reads;
    for (size_t i = 0; i < n; i++) {
        pp_slot *slot = &u->slots[slots[i]];
        slot->same = same_frames(slot);
    }
    for (int pass = 0; pass <= MAX_PASSES; pass++) {
        bool all = true;
        for (size_t i = 0; i < n; i++) {
            pp_slot *slot = &u->slots[slots[i]];
            if (slot->walk != PP_WALK_DONE || slot->known) {
                continue;
            }
            int got = resolve_slot(u, slot);
            if (got == -2) {
                return PYPROF_ERR_NO_MEMORY;
            }
            all = all && got == 1;
        }
        if (all || u->extra.n_wants == 0 || u->extra.failed) {
            break;
        }
        PP_TRY(pp_extra_run(&u->extra, u->reader));
    }
    u->extra.n_wants = 0;
    return PYPROF_OK;
}
