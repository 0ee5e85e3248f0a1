/*
 * model: a program that runs while it is read. It has threads, frames, code
 * objects and GILs in memory as a CPython has them, and whenever the reader has
 * copied a few words of that memory it does a few of its writes, in the order
 * in which the interpreter makes them. It remembers every stack that it ever
 * had, so that what was read can be compared with the truth.
 *
 * One write is one event. An action (a call, a return, a hand-over of the GIL)
 * is a queue of writes; the stack changes with one of them, which is marked.
 */
#ifndef PP_TESTS_UNWIND_MODEL_H
#define PP_TESTS_UNWIND_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/internal.h"

enum {
    MODEL_THREADS = 6,
    MODEL_INTERPS = 2,
    MODEL_CODES = 8,
    MODEL_DEPTH = 9,
    MODEL_NAMES = 256,
    MODEL_QUEUE = 48,
    MODEL_CHUNKS = 6,     /* of one thread */
    MODEL_SIDES = 16,     /* its frames outside of its data stack */
    MODEL_GENERATORS = 4, /* of these; the others are shims */
    FRAME_ROOM = 64,
    CHUNK_SIZE = 4096,
    CODE_ROOM = 256,
    NAME_ROOM = 64,
    MODEL_SIZE = 1 << 19,
    MODEL_CPUS = 1 << 20, /* where the threads' words about CPUs are */
    MODEL_HELD_CPU = 1,
    MODEL_SEEN = 1 << 18,
    TS_BASE = 0xa0 /* in a thread state: the frame below all */
};

/* What a program is like; chosen by the test. */
typedef struct model_opts {
    pp_frame_kind frames;
    pp_code_proof proof;
    bool gil;          /* else it is free-threaded */
    bool base_frame;   /* 3.15: chains end in the thread state */
    bool clears_code;  /* 3.14+: of a frame that is left */
    bool new_codes;    /* code objects are freed, others take their place */
    bool come_and_go;  /* threads do */
    bool keeps_root;   /* a thread's outermost function lasts */
    bool bursts;       /* now and then it does very much at once */
    uint32_t per_call; /* writes between two reads, in 1/16 */
} model_opts;

typedef struct model_frame {
    uint64_t address;
    uint32_t code; /* MODEL_CODES: a shim */
    uint32_t name; /* of its code, when it was called */
    uint32_t offset;
    bool side; /* a generator's */
} model_frame;

typedef enum model_effect {
    MODEL_NONE,
    MODEL_STEP,   /* the leaf is elsewhere */
    MODEL_PUSH,   /* `pushed` is the leaf now, above a shim or not */
    MODEL_POP,    /* the leaf is left, and a shim that follows it */
    MODEL_GIVEN,  /* nobody has the GIL */
    MODEL_UNLOCK, /* of the lists */
    MODEL_BORN,   /* another thread is in the list */
    MODEL_UNLINKED,
    MODEL_UNMAPPED, /* the page at `address` */
    MODEL_MAPPED
} model_effect;

typedef struct model_write {
    uint64_t address, value;
    uint32_t offset; /* of a step */
    uint8_t size;    /* 0: no memory is written */
    model_effect effect;
} model_write;

typedef struct model_thread {
    bool alive;  /* it is in the list, or about to be */
    bool bound;  /* it knows itself by name */
    bool linked; /* it is in the list */
    uint32_t interp;
    uint64_t tstate, ident;
    uint32_t cpu;  /* that it waits for, or runs on */
    uint32_t told; /* the CPU that its memory tells: on which it last ran */
    model_frame stack[MODEL_DEPTH + 2];
    uint32_t depth;
    model_frame pushed[2];
    uint32_t n_pushed;
    uint64_t top;    /* of its data stack */
    uint32_t chunk;  /* in use */
    uint32_t number; /* of its places in memory */
    int child;       /* that it is making */
    uint64_t cframes[MODEL_DEPTH + 2];
    uint32_t n_cframes;
    model_write queue[MODEL_QUEUE];
    uint32_t n_queue, at;
} model_thread;

typedef struct model_interp {
    uint64_t address, gil;
    int running; /* thread that has the GIL, or takes it; -1: none */
} model_interp;

/* One stack, or part of one, that a thread had. */
typedef struct model_seen {
    uint64_t key;
    uint64_t until; /* last moment; UINT64_MAX: still */
} model_seen;

typedef struct model {
    pp_reader base;
    model_opts opts;
    pp_layout layout;
    uint64_t seed, rng;
    uint64_t time; /* events so far */
    uint64_t unique;
    uint8_t *memory;
    bool unmapped[MODEL_SIZE / CHUNK_SIZE];
    bool frozen;
    bool held;        /* the reader has MODEL_HELD_CPU for itself */
    bool switched;    /* it had not all the time */
    bool whole_spans; /* nothing happens while one is copied */
    int list_lock;    /* thread that changes a list, or -1 */
    uint64_t runtime, tstates, frames_at, sides_at, codes_at, names_at;
    uint64_t type_at, empty_at;
    uint32_t tstate_room, side_room;
    model_interp interps[MODEL_INTERPS];
    uint32_t n_interps;
    model_thread threads[MODEL_THREADS];
    uint32_t n_threads;
    uint64_t next_ident;
    uint32_t names[MODEL_CODES]; /* what each code object is called now */
    uint32_t next_name;
    model_seen *seen;
    size_t n_seen;
} model;

static const uint64_t MODEL_BASE = UINT64_C(0x7f0000000000);

/* ---- chance -------------------------------------------------------------- */

static inline uint64_t model_random(model *m)
{
    m->rng ^= m->rng >> 12;
    m->rng ^= m->rng << 25;
    m->rng ^= m->rng >> 27;
    return m->rng * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static inline uint32_t model_below(model *m, uint32_t n)
{
    return (uint32_t)(model_random(m) % n);
}

/* ---- memory -------------------------------------------------------------- */

static inline void model_put(model *m, uint64_t address, uint64_t value,
                             size_t size)
{
    uint64_t at = address - MODEL_BASE;
    if (at > MODEL_SIZE - size) {
        fprintf(stderr, "model: a write out of bounds\n");
        abort();
    }
    memcpy(m->memory + at, &value, size);
}

static inline void model_put64(model *m, uint64_t address, uint64_t value)
{
    model_put(m, address, value, 8);
}

static inline uint64_t model_get64(const model *m, uint64_t address)
{
    return pp_load_u64(m->memory + (address - MODEL_BASE));
}

/* ---- what was ------------------------------------------------------------ */

static inline uint64_t model_mix(uint64_t hash, uint64_t value)
{
    return (pp_hash_u64(hash ^ value) + UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static inline model_seen *model_find(model *m, uint64_t key)
{
    size_t at = (size_t)(key >> 8) & (MODEL_SEEN - 1);
    while (m->seen[at].key != 0 && m->seen[at].key != key) {
        at = (at + 1) & (MODEL_SEEN - 1);
    }
    return &m->seen[at];
}

static inline void model_saw(model *m, uint64_t key, uint64_t until)
{
    model_seen *seen = model_find(m, key);
    if (seen->key == 0) {
        if (++m->n_seen > MODEL_SEEN * 7 / 8) {
            fprintf(stderr, "model: it has seen too much\n");
            abort();
        }
        seen->key = key;
    }
    seen->until = until;
}

/* What of a stack is remembered: a whole one, its n root frames, its n
 * innermost ones; and whether the innermost place counts, or its function only.
 */
enum { MODEL_WHOLE = 1, MODEL_ROOT = 2, MODEL_TOP = 3, MODEL_ANY_PLACE = 4 };

/* `names` and `offsets` begin at the root. */
static inline uint64_t model_key(const model *m, uint64_t ident, int kind,
                                 const uint32_t *names, const uint32_t *offsets,
                                 uint32_t n)
{
    uint64_t hash = model_mix(model_mix(m->seed, ident), (uint64_t)kind);
    for (uint32_t i = 0; i < n; i++) {
        bool any = i == n - 1 && (kind & MODEL_ANY_PLACE) != 0;
        hash =
            model_mix(hash, (uint64_t)names[i] << 32 | (any ? 0 : offsets[i]));
    }
    return model_mix(hash, n);
}

/* Notes the stack that a thread has: as one that lasts, or that ends now. */
static inline void model_note(model *m, const model_thread *t, uint64_t until)
{
    uint32_t names[MODEL_DEPTH + 2], offsets[MODEL_DEPTH + 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->depth; i++) {
        if (t->stack[i].code < MODEL_CODES) {
            names[n] = t->stack[i].name;
            offsets[n++] = t->stack[i].offset;
        }
    }
    for (int any = 0; any <= MODEL_ANY_PLACE; any += MODEL_ANY_PLACE) {
        model_saw(m,
                  model_key(m, t->ident, MODEL_WHOLE + any, names, offsets, n),
                  until);
        for (uint32_t k = 0; k <= n; k++) {
            model_saw(m,
                      model_key(m, t->ident, MODEL_TOP + any, names + n - k,
                                offsets + n - k, k),
                      until);
        }
    }
    for (uint32_t k = 0; k <= n; k++) {
        model_saw(m, model_key(m, t->ident, MODEL_ROOT, names, offsets, k),
                  until);
    }
}

/* ---- making writes ------------------------------------------------------- */

static inline void model_queue(model_thread *t, uint64_t address,
                               uint64_t value, uint8_t size,
                               model_effect effect)
{
    if (t->n_queue == MODEL_QUEUE) {
        fprintf(stderr, "model: an action is too long\n");
        abort();
    }
    t->queue[t->n_queue++] = (model_write){address, value, 0, size, effect};
}

static inline uint64_t model_current_at(const model *m, const model_thread *t)
{
    return m->opts.frames == PP_FRAMES_CFRAME
               ? t->cframes[t->n_cframes - 1] + m->layout.cframe.current_frame
               : t->tstate + m->layout.ts.frame;
}

static inline uint64_t model_code(const model *m, uint32_t code)
{
    return m->codes_at + (uint64_t)code * CODE_ROOM;
}

static inline uint64_t model_instr(const model *m, uint32_t code,
                                   uint32_t offset)
{
    return m->layout.instr_kind <= PP_INSTR_LASTI_UNITS
               ? offset
               : model_code(m, code) + m->layout.co.code + offset;
}

static inline uint8_t model_instr_size(const model *m)
{
    return m->layout.instr_kind <= PP_INSTR_LASTI_UNITS ? 4 : 8;
}

/* The next place in a function: never met before, so that what is equal in two
 * looks has not changed meanwhile. (A thread that keeps running may be back at
 * the same place: that is chance, not proof.) */
static inline uint32_t model_offset(model *m)
{
    return (uint32_t)(2 * ++m->unique);
}

static inline const model_frame *model_leaf(const model_thread *t)
{
    return t->depth > 0 ? &t->stack[t->depth - 1] : NULL;
}

static inline uint64_t model_bottom(const model *m, const model_thread *t)
{
    return m->opts.base_frame ? t->tstate + TS_BASE : 0;
}

static inline uint64_t model_back(const model *m, const model_thread *t)
{
    const model_frame *leaf = model_leaf(t);
    return leaf != NULL ? leaf->address : model_bottom(m, t);
}

static inline void model_step(model *m, model_thread *t)
{
    const model_frame *leaf = model_leaf(t);
    if (leaf == NULL || leaf->code == MODEL_CODES) {
        return;
    }
    uint32_t offset = model_offset(m);
    model_queue(t, leaf->address + m->layout.fr.instr,
                model_instr(m, leaf->code, offset), model_instr_size(m),
                MODEL_STEP);
    t->queue[t->n_queue - 1].offset = offset;
}

/* ---- the data stack ------------------------------------------------------ */

static inline uint64_t model_chunk(const model *m, const model_thread *t,
                                   uint32_t chunk)
{
    return m->frames_at +
           ((uint64_t)t->number * MODEL_CHUNKS + chunk) * CHUNK_SIZE;
}

/* Room for a frame: where the last one ends, or in a new chunk. */
static inline uint64_t model_room(model *m, model_thread *t)
{
    const pp_layout *l = &m->layout;
    uint64_t chunk = model_chunk(m, t, t->chunk);
    /* Few fit, so that chunks come and go. */
    if (t->top + FRAME_ROOM > chunk + l->chunk.data + 4 * FRAME_ROOM &&
        t->chunk + 1 < MODEL_CHUNKS) {
        uint64_t next = model_chunk(m, t, t->chunk + 1);
        model_queue(t, next, 0, 0, MODEL_MAPPED);
        model_queue(t, next + l->chunk.previous, chunk, 8, MODEL_NONE);
        model_queue(t, next + l->chunk.size, CHUNK_SIZE, 8, MODEL_NONE);
        model_queue(t, next + l->chunk.top, 0, 8, MODEL_NONE);
        model_queue(t, chunk + l->chunk.top,
                    (t->top - chunk - l->chunk.data) / 8, 8, MODEL_NONE);
        model_queue(t, t->tstate + l->ts.datastack_chunk, next, 8, MODEL_NONE);
        t->chunk++;
        t->top = next + l->chunk.data;
    }
    uint64_t frame = t->top;
    t->top += FRAME_ROOM;
    model_queue(t, t->tstate + l->ts.datastack_top, t->top, 8, MODEL_NONE);
    return frame;
}

/* The other way round: a frame is left. */
static inline void model_give_room(model *m, model_thread *t, uint64_t frame)
{
    const pp_layout *l = &m->layout;
    uint64_t chunk = model_chunk(m, t, t->chunk);
    t->top = frame;
    if (t->chunk > 0 && frame == chunk + l->chunk.data) {
        uint64_t before = model_chunk(m, t, --t->chunk);
        t->top =
            before + l->chunk.data + model_get64(m, before + l->chunk.top) * 8;
        model_queue(t, t->tstate + l->ts.datastack_chunk, before, 8,
                    MODEL_NONE);
        model_queue(t, t->tstate + l->ts.datastack_top, t->top, 8, MODEL_NONE);
        model_queue(t, chunk, 0, 0, MODEL_UNMAPPED);
        return;
    }
    model_queue(t, t->tstate + l->ts.datastack_top, frame, 8, MODEL_NONE);
}

/* ---- calls and returns --------------------------------------------------- */

static inline uint64_t model_side(const model *m, const model_thread *t,
                                  uint32_t i)
{
    return m->sides_at + ((uint64_t)t->number * MODEL_SIDES + i) * m->side_room;
}

/* A frame object or generator that no frame of the stack is in. */
static inline uint64_t model_free_side(model *m, model_thread *t)
{
    uint32_t first = model_below(m, MODEL_GENERATORS);
    for (uint32_t k = 0; k < MODEL_GENERATORS; k++) {
        uint32_t i = (first + k) % (MODEL_GENERATORS);
        bool used = false;
        for (uint32_t d = 0; d < t->depth; d++) {
            used |= t->stack[d].address == model_side(m, t, i);
        }
        if (!used) {
            return model_side(m, t, i);
        }
    }
    return 0;
}

/* Writes a frame that is not current yet; its fields in any order. */
static inline void model_frame_fill(model *m, model_thread *t,
                                    const model_frame *frame, uint64_t back)
{
    const pp_layout *l = &m->layout;
    bool shim = frame->code == MODEL_CODES;
    model_queue(t, frame->address + l->fr.code,
                shim ? m->type_at : model_code(m, frame->code), 8, MODEL_NONE);
    model_queue(t, frame->address + l->fr.instr,
                shim ? 0 : model_instr(m, frame->code, frame->offset),
                model_instr_size(m), MODEL_NONE);
    if (l->fr.owner != PP_NONE) {
        model_queue(t, frame->address + l->fr.owner, shim ? 3 : frame->side, 1,
                    MODEL_NONE);
    }
    model_queue(t, frame->address + l->fr.back, back, 8, MODEL_NONE);
}

/* Interpreters share no code objects. */
static inline uint32_t model_pick_code(model *m, const model_thread *t)
{
    return t->interp * (MODEL_CODES / MODEL_INTERPS) +
           model_below(m, MODEL_CODES / MODEL_INTERPS);
}

/* Calls a function: from Python, or (3.12+) through C, then with a shim; up to
 * 3.12 C also has a structure of its own. */
static inline void model_call(model *m, model_thread *t)
{
    bool heap = m->opts.frames == PP_FRAMES_HEAP;
    bool by_c = !heap && (t->depth == 0 || model_below(m, 3) == 0);
    uint32_t code = model_pick_code(m, t);
    model_frame callee = {.code = code, .offset = model_offset(m)};
    uint64_t back = model_back(m, t);
    uint64_t commit;
    if (t->depth + 2 > MODEL_DEPTH) {
        return;
    }
    callee.side = heap || (t->depth > 0 && model_below(m, 4) == 0);
    if (callee.side && (callee.address = model_free_side(m, t)) == 0) {
        return;
    }
    model_step(m, t);
    if (!callee.side) {
        callee.address = model_room(m, t);
    }
    callee.name = m->names[code];
    t->n_pushed = 0;
    if (by_c) {
        model_frame shim = {.code = MODEL_CODES};
        /* The C stack grows down. Places are used again and again: one for each
         * depth; up to 3.12 one for each loop, so that the loop outside is
         * always the same, as long as there is one (see walk.c). */
        shim.address = model_side(
            m, t,
            MODEL_SIDES - 1 -
                (m->opts.frames == PP_FRAMES_CFRAME ? t->n_cframes : t->depth));
        model_frame_fill(m, t, &callee, 0);
        if (m->opts.frames == PP_FRAMES_CFRAME) {
            t->cframes[t->n_cframes++] = shim.address + FRAME_ROOM - 16;
            model_queue(t, t->tstate + m->layout.ts.frame,
                        t->cframes[t->n_cframes - 1], 8, MODEL_NONE);
        }
        model_frame_fill(m, t, &shim, back);
        model_queue(t, callee.address + m->layout.fr.back, shim.address, 8,
                    MODEL_NONE);
        t->pushed[t->n_pushed++] = shim;
    } else {
        model_frame_fill(m, t, &callee, back);
    }
    t->pushed[t->n_pushed++] = callee;
    commit = model_current_at(m, t);
    if (by_c && m->opts.frames == PP_FRAMES_CFRAME) {
        model_queue(t, commit + 8, t->cframes[t->n_cframes - 2], 8, MODEL_NONE);
    }
    model_queue(t, commit, callee.address, 8, MODEL_PUSH);
}

static inline void model_return(model *m, model_thread *t)
{
    const pp_layout *l = &m->layout;
    if (t->depth <= (m->opts.keeps_root ? 1 : 0)) {
        return;
    }
    const model_frame leaf = *model_leaf(t);
    const model_frame *caller = t->depth > 1 ? &t->stack[t->depth - 2] : NULL;
    model_step(m, t);
    if (caller != NULL && caller->code == MODEL_CODES) {
        uint64_t before =
            t->depth > 2 ? t->stack[t->depth - 3].address : model_bottom(m, t);
        model_queue(t, model_current_at(m, t), caller->address, 8, MODEL_POP);
        if (m->opts.frames == PP_FRAMES_CFRAME) {
            t->n_cframes--;
            model_queue(t, t->tstate + l->ts.frame,
                        t->cframes[t->n_cframes - 1], 8, MODEL_NONE);
        } else {
            model_queue(t, model_current_at(m, t), before, 8, MODEL_NONE);
        }
    } else {
        model_queue(t, model_current_at(m, t),
                    caller != NULL ? caller->address : model_bottom(m, t), 8,
                    MODEL_POP);
    }
    if (m->opts.clears_code) {
        model_queue(t, leaf.address + l->fr.code, 0, 8, MODEL_NONE);
    }
    if (leaf.side) {
        model_queue(t, leaf.address + l->fr.back, 0, 8, MODEL_NONE);
    } else {
        model_give_room(m, t, leaf.address);
    }
}

/* A code object that no stack has becomes another one. */
static inline bool model_code_used(const model *m, uint32_t code)
{
    for (uint32_t i = 0; i < m->n_threads; i++) {
        const model_thread *t = &m->threads[i];
        for (uint32_t d = 0; d < t->depth; d++) {
            if (t->stack[d].code == code) {
                return true;
            }
        }
        for (uint32_t d = 0; d < t->n_pushed; d++) {
            if (t->pushed[d].code == code) {
                return true;
            }
        }
    }
    return false;
}

static inline uint64_t model_name(const model *m, uint32_t name)
{
    return m->names_at + (uint64_t)name * NAME_ROOM;
}

static inline void model_new_code(model *m, model_thread *t)
{
    const pp_layout *l = &m->layout;
    uint32_t code = model_pick_code(m, t);
    uint64_t interp = m->interps[t->interp].address;
    uint64_t at = model_code(m, code);
    if (model_code_used(m, code) || m->next_name == MODEL_NAMES) {
        return;
    }
    uint32_t name = m->next_name++;
    if (l->is.code_generation != PP_NONE) {
        model_queue(t, interp + l->is.code_generation,
                    model_get64(m, interp + l->is.code_generation) + 1, 8,
                    MODEL_NONE);
    }
    model_queue(t, at + l->ob.type, 0, 8, MODEL_NONE);
    model_queue(t, at + l->co.name, model_name(m, name), 8, MODEL_NONE);
    model_queue(t, at + l->co.qualname, model_name(m, name), 8, MODEL_NONE);
    if (l->is.func_version != PP_NONE) {
        uint64_t version = model_get64(m, interp + l->is.func_version) + 1;
        model_queue(t, at + l->co.version, version - 1, 4, MODEL_NONE);
        model_queue(t, interp + l->is.func_version, version, 8, MODEL_NONE);
    }
    model_queue(t, at + l->ob.type, m->type_at, 8, MODEL_NONE);
    m->names[code] = name;
}

#endif /* PP_TESTS_UNWIND_MODEL_H */
