/*
 * model_run: the model's life: threads that come and go, the GIL, what happens
 * between two reads, and the reader.
 */
#ifndef PP_TESTS_UNWIND_MODEL_RUN_H
#define PP_TESTS_UNWIND_MODEL_RUN_H

#include "model.h"

enum {
    RT_HEAD = 0x20,
    RT_MAIN = 0x28,
    RT_MAIN_THREAD = 0x30,
    IS_GIL = 0x200,
    TS_SIZE = 0xc0,
    TS_BASE_AT = 72,
    TS_CFRAME = 0x90
};

static inline pp_layout model_layout(const model_opts *o)
{
    pp_layout l;
    memset(&l, 0xff, sizeof(l)); /* PP_NONE */
    l.cpython = "model";
    l.version = 0x030d;
    l.free_threaded = !o->gil;
    l.frame_kind = o->frames;
    l.instr_kind =
        o->frames == PP_FRAMES_HEAP ? PP_INSTR_LASTI_BYTES : PP_INSTR_POINTER;
    l.line_kind = PP_LINES_LOCATIONS;
    l.gil_kind = o->gil ? PP_GIL_INTERP : PP_GIL_NONE;
    l.code_proof = o->proof;
    l.rt.interpreters_head = RT_HEAD;
    l.rt.interpreters_main = RT_MAIN;
    l.rt.main_thread = RT_MAIN_THREAD;
    l.is.next = 0;
    l.is.id = 8;
    l.is.threads_head = 16;
    l.is.gc_collecting = 0x40;
    l.is.ceval_gil = 0x60;
    if (o->proof == PP_CODE_PROOF_GENERATION) {
        l.is.code_generation = 0x48;
    } else if (o->proof == PP_CODE_PROOF_CREATED) {
        l.is.func_version = 0x50;
        l.co.version = 24;
    }
    l.gil.last_holder = 8;
    l.gil.locked = 16;
    l.gil.switch_number = 24;
    l.ts.size = TS_SIZE;
    l.ts.next = 8;
    l.ts.interp = 16;
    l.ts.frame = 24;
    if (o->frames != PP_FRAMES_HEAP) {
        l.ts.datastack_chunk = 32;
        l.ts.datastack_top = 40;
    }
    l.ts.thread_id = 48;
    l.ts.native_thread_id = 56;
    l.ts.id = 64;
    if (o->base_frame) {
        l.ts.base_frame = TS_BASE_AT;
    }
    l.cframe.current_frame = 0;
    l.fr.size = 40;
    l.fr.code = 0;
    l.fr.back = 8;
    l.fr.instr = 16;
    l.fr.owner = o->frames == PP_FRAMES_HEAP ? PP_NONE : 32;
    l.fr.code_mask = UINT64_MAX;
    memset(l.fr.owners, PP_OWNER_BAD, sizeof(l.fr.owners));
    l.fr.owners[0] = PP_OWNER_THREAD;
    l.fr.owners[1] = PP_OWNER_GENERATOR;
    l.fr.owners[3] = PP_OWNER_SHIM;
    l.co.size = 112;
    l.co.flags = 28;
    l.co.argcount = 32;
    l.co.firstlineno = 36;
    l.co.filename = 40;
    l.co.name = 48;
    l.co.qualname = 56;
    l.co.linetable = 64;
    l.co.code = 96;
    l.ob.type = 8;
    l.ob.var_size = 16;
    l.ob.tp_name = 24;
    l.ob.bytes_data = 32;
    l.ob.str_length = 16;
    l.ob.str_state = 24;
    l.ob.str_ascii = 32;
    l.ob.str_compact = 48;
    l.ob.str_kind_mask = 0x1c;
    l.ob.str_kind_shift = 2;
    l.ob.str_compact_mask = 0x20;
    l.ob.str_ascii_mask = 0x40;
    l.chunk.previous = 0;
    l.chunk.size = 8;
    l.chunk.top = 16;
    l.chunk.data = 24;
    return l;
}

/* ---- threads ------------------------------------------------------------- */

/* The words of a new thread state, all but its link. */
static inline void model_thread_new(model *m, uint32_t i, uint32_t interp)
{
    model_thread *t = &m->threads[i];
    *t = (model_thread){.alive = true,
                        .interp = interp,
                        .tstate = m->tstates + (uint64_t)i * m->tstate_room,
                        .ident = ++m->next_ident,
                        .number = i,
                        .child = -1};
    t->top = model_chunk(m, t, 0) + m->layout.chunk.data;
    t->cframes[t->n_cframes++] = t->tstate + TS_CFRAME;
}

static inline void model_thread_words(model *m, model_thread *by,
                                      const model_thread *t)
{
    const pp_layout *l = &m->layout;
    uint64_t at = t->tstate;
    model_queue(by, model_chunk(m, t, 0), 0, 0, MODEL_MAPPED);
    model_queue(by, model_chunk(m, t, 0) + l->chunk.previous, 0, 8, MODEL_NONE);
    model_queue(by, at + l->ts.interp, m->interps[t->interp].address, 8,
                MODEL_NONE);
    model_queue(by, at + l->ts.thread_id, 0, 8, MODEL_NONE);
    model_queue(by, at + l->ts.native_thread_id, 0, 8, MODEL_NONE);
    model_queue(by, at + l->ts.id, t->ident, 8, MODEL_NONE);
    model_queue(by, at + TS_CFRAME, 0, 8, MODEL_NONE);
    model_queue(by, at + TS_CFRAME + 8, 0, 8, MODEL_NONE);
    model_queue(by, at + TS_BASE_AT, at + TS_BASE, 8, MODEL_NONE);
    model_queue(by, at + l->ts.frame,
                l->frame_kind == PP_FRAMES_CFRAME ? at + TS_CFRAME
                                                  : model_bottom(m, t),
                8, MODEL_NONE);
    if (l->ts.datastack_chunk != PP_NONE) {
        model_queue(by, at + l->ts.datastack_chunk, model_chunk(m, t, 0), 8,
                    MODEL_NONE);
        model_queue(by, at + l->ts.datastack_top, t->top, 8, MODEL_NONE);
    }
}

/* A thread starts another one. */
static inline void model_spawn(model *m, model_thread *t)
{
    const pp_layout *l = &m->layout;
    uint64_t head = m->interps[t->interp].address + l->is.threads_head;
    for (uint32_t i = 1; i < MODEL_THREADS && m->list_lock < 0; i++) {
        if (!m->threads[i].alive) {
            m->list_lock = (int)t->number;
            model_thread_new(m, i, t->interp);
            t->child = (int)i;
            model_thread *child = &m->threads[i];
            model_thread_words(m, t, child);
            model_queue(t, child->tstate + l->ts.next, model_get64(m, head), 8,
                        MODEL_NONE);
            model_queue(t, head, child->tstate, 8, MODEL_BORN);
            model_queue(t, 0, 0, 0, MODEL_UNLOCK);
        }
    }
}

/* A new thread learns who it is; it needs no GIL for that. */
static inline void model_bind(model *m, model_thread *t)
{
    model_queue(t, t->tstate + m->layout.ts.thread_id, t->ident * 16, 8,
                MODEL_NONE);
    model_queue(t, t->tstate + m->layout.ts.native_thread_id, t->ident, 8,
                MODEL_NONE);
    t->bound = true;
}

static inline void model_exit(model *m, model_thread *t)
{
    const pp_layout *l = &m->layout;
    uint64_t interp = m->interps[t->interp].address;
    uint64_t link = interp + l->is.threads_head;
    if (t->number == 0 || t->depth > 0 || m->list_lock >= 0) {
        return;
    }
    m->list_lock = (int)t->number;
    while (model_get64(m, link) != t->tstate) {
        link = model_get64(m, link) + l->ts.next;
    }
    model_queue(t, link, model_get64(m, t->tstate + l->ts.next), 8,
                MODEL_UNLINKED);
    model_queue(t, 0, 0, 0, MODEL_UNLOCK);
    if (m->opts.gil) {
        /* It is not named as the last holder any more than it was. */
        model_queue(t, m->interps[t->interp].gil + l->gil.locked, 0, 4,
                    MODEL_GIVEN);
    }
    model_queue(t, t->tstate + l->ts.next, UINT64_C(0xdddddddddddddddd), 8,
                MODEL_NONE);
    model_queue(t, t->tstate + l->ts.interp, UINT64_C(0xdddddddddddddddd), 8,
                MODEL_NONE);
    model_queue(t, model_chunk(m, t, 0), 0, 0, MODEL_UNMAPPED);
}

/* ---- the GIL ------------------------------------------------------------- */

static inline void model_drop_gil(model *m, model_thread *t)
{
    uint64_t gil = m->interps[t->interp].gil;
    model_queue(t, gil + m->layout.gil.last_holder, t->tstate, 8, MODEL_NONE);
    model_queue(t, gil + m->layout.gil.locked, 0, 4, MODEL_GIVEN);
}

static inline void model_take_gil(model *m, model_interp *interp)
{
    uint32_t i = model_below(m, MODEL_THREADS);
    model_thread *t = &m->threads[i];
    uint64_t number = interp->gil + m->layout.gil.switch_number;
    if (!t->linked || &m->interps[t->interp] != interp || !t->bound ||
        t->at < t->n_queue) {
        return;
    }
    interp->running = (int)i;
    model_queue(t, interp->gil + m->layout.gil.locked, 1, 4, MODEL_NONE);
    if (model_get64(m, interp->gil + m->layout.gil.last_holder) != t->tstate) {
        model_queue(t, interp->gil + m->layout.gil.last_holder, t->tstate, 8,
                    MODEL_NONE);
        model_queue(t, number, model_get64(m, number) + 1, 8, MODEL_NONE);
    }
}

/* ---- events -------------------------------------------------------------- */

static inline void model_do(model *m, model_thread *t, const model_write *w)
{
    /* A thread that has ended has no frame, for as long as it is shown. */
    bool changes = w->effect == MODEL_STEP || w->effect == MODEL_PUSH ||
                   w->effect == MODEL_POP;
    uint64_t page = (w->address - MODEL_BASE) / CHUNK_SIZE;
    if (changes) {
        model_note(m, t, m->time);
    }
    if (w->size > 0) {
        model_put(m, w->address, w->value, w->size);
    }
    switch (w->effect) {
    case MODEL_STEP:
        t->stack[t->depth - 1].offset = w->offset;
        break;
    case MODEL_PUSH:
        for (uint32_t i = 0; i < t->n_pushed; i++) {
            t->stack[t->depth++] = t->pushed[i];
        }
        t->n_pushed = 0;
        break;
    case MODEL_POP:
        t->depth--;
        if (t->depth > 0 && t->stack[t->depth - 1].code == MODEL_CODES) {
            t->depth--;
        }
        break;
    case MODEL_GIVEN:
        m->interps[t->interp].running = -1;
        break;
    case MODEL_UNLOCK:
        m->list_lock = -1;
        break;
    case MODEL_BORN:
        m->threads[t->child].linked = true;
        model_note(m, &m->threads[t->child], UINT64_MAX);
        break;
    case MODEL_UNLINKED:
        t->linked = false;
        break;
    case MODEL_UNMAPPED:
        m->unmapped[page] = true;
        break;
    case MODEL_MAPPED:
        m->unmapped[page] = false;
        break;
    case MODEL_NONE:
        break;
    }
    if (changes) {
        model_note(m, t, UINT64_MAX);
    }
}

static inline void model_act(model *m, model_thread *t)
{
    switch (model_below(m, 16)) {
    default:
        model_call(m, t);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        model_return(m, t);
        break;
    case 11:
    case 12:
        model_step(m, t);
        break;
    case 13:
        if (m->opts.gil && t->n_queue == 0) {
            model_drop_gil(m, t);
        }
        break;
    case 14:
        if (m->opts.new_codes) {
            model_new_code(m, t);
        }
        break;
    case 15:
        if (m->opts.come_and_go && model_below(m, 2) == 0) {
            model_spawn(m, t);
        } else if (m->opts.come_and_go) {
            model_exit(m, t);
        }
        break;
    }
}

/* The next write of a thread, or its next action. */
static inline void model_go_on(model *m, model_thread *t)
{
    if (t->at < t->n_queue) {
        const model_write w = t->queue[t->at++];
        m->time++;
        model_do(m, t, &w);
        if (t->at == t->n_queue && !t->linked && !t->n_pushed) {
            t->alive = t->linked; /* the last that it did */
        }
        return;
    }
    t->at = t->n_queue = 0;
    model_act(m, t);
}

/* Whether a thread may run now; the system moves it now and then. */
static inline bool model_gets_cpu(model *m, model_thread *t)
{
    if (model_below(m, 32) == 0) {
        t->cpu = model_below(m, 2);
    }
    if (m->held && t->cpu == MODEL_HELD_CPU) {
        return false;
    }
    t->told = t->cpu;
    return true;
}

static inline void model_event(model *m)
{
    uint32_t i = model_below(m, MODEL_THREADS);
    model_thread *t = &m->threads[i];
    model_interp *interp = &m->interps[t->interp];
    if (!t->alive || !model_gets_cpu(m, t)) {
        return;
    }
    if (t->at < t->n_queue) {
        model_go_on(m, t);
    } else if (t->linked && !t->bound) {
        t->at = t->n_queue = 0;
        model_bind(m, t);
    } else if (!m->opts.gil || interp->running == (int)i) {
        if (t->linked) {
            model_go_on(m, t);
        }
    } else if (interp->running < 0) {
        model_take_gil(m, interp);
    }
}

/* What happens between two reads. */
static inline void model_run(model *m)
{
    uint32_t n = m->opts.per_call / 16;
    if (m->frozen) {
        return;
    }
    if (m->held && model_below(m, 64) == 0) {
        m->held = false;
        m->switched = true;
    }
    n += model_below(m, 16) < m->opts.per_call % 16;
    /* A few, or now and then very many. */
    n = m->opts.bursts && model_below(m, 64) == 0 ? 60 * n
                                                  : model_below(m, 2 * n + 1);
    for (uint32_t i = 0; i < n * MODEL_THREADS; i++) {
        model_event(m);
    }
}

/* ---- the reader ---------------------------------------------------------- */

/* Words that tell the CPUs, one in 16 bytes, by identity. */
static inline void model_copy_cpus(model *m, uint8_t *to, uint64_t at,
                                   uint64_t size)
{
    memset(to, 0xff, (size_t)size);
    for (uint32_t i = 0; i < MODEL_THREADS; i++) {
        const model_thread *t = &m->threads[i];
        uint64_t word = t->ident * 16;
        if (t->alive && word >= at && word - at + sizeof(t->told) <= size) {
            memcpy(to + (word - at), &t->told, sizeof(t->told));
        }
    }
    model_run(m);
}

static inline void model_begin_holding(void *user)
{
    model *m = user;
    m->held = !m->frozen;
    m->switched = false;
}

static inline int32_t model_held_cpu(void *user)
{
    const model *m = user;
    return m->switched ? -1 : MODEL_HELD_CPU;
}

static inline bool model_copy(model *m, uint8_t *to, const pp_span *span)
{
    uint64_t at = span->address - MODEL_BASE;
    uint64_t left = span->size;
    if (at >= MODEL_CPUS && at < MODEL_CPUS + MODEL_SIZE) {
        model_copy_cpus(m, to, at - MODEL_CPUS, span->size);
        return true;
    }
    if (at > MODEL_SIZE || span->size > MODEL_SIZE - at) {
        return false;
    }
    while (left > 0) {
        /* An aligned cache line is copied at once. */
        uint64_t n = (m->whole_spans || model_below(m, 2) == 0)
                         ? left
                         : 64 * (1 + model_below(m, 4)) - at % 64;
        n = n < left ? n : left;
        for (uint64_t page = at / CHUNK_SIZE; page <= (at + n - 1) / CHUNK_SIZE;
             page++) {
            if (m->unmapped[page]) {
                return false;
            }
        }
        memcpy(to, m->memory + at, (size_t)n);
        to += n;
        at += n;
        left -= n;
        model_run(m);
    }
    return true;
}

static inline pyprof_status model_readv(pp_reader *reader, void *to,
                                        const pp_span *spans, size_t n,
                                        size_t *out_spans, uint64_t *io_calls)
{
    model *m = (model *)reader;
    uint8_t *at = to;
    (*io_calls)++;
    for (*out_spans = 0; *out_spans < n; (*out_spans)++) {
        if (!model_copy(m, at, &spans[*out_spans])) {
            break;
        }
        at += spans[*out_spans].size;
    }
    return PYPROF_OK;
}

/* ---- its beginning ------------------------------------------------------- */

static inline void model_text(model *m, uint64_t at, const char *bytes)
{
    const pp_layout *l = &m->layout;
    model_put64(m, at + l->ob.str_length, strlen(bytes));
    model_put(m, at + l->ob.str_state,
              l->ob.str_compact_mask | l->ob.str_ascii_mask |
                  1u << l->ob.str_kind_shift,
              4);
    memcpy(m->memory + (at + l->ob.str_ascii - MODEL_BASE), bytes,
           strlen(bytes));
}

/* Where things are, in any order, near to each other or not. */
static inline void model_places(model *m)
{
    static const uint32_t sizes[] = {0x2000, 0x4000, 0x20000, 0x10000,
                                     0x1000, 0x5000, 0x1000};
    uint64_t *places[] = {&m->runtime,  &m->tstates,  &m->frames_at,
                          &m->sides_at, &m->codes_at, &m->names_at,
                          &m->type_at};
    bool placed[PP_COUNT_OF(places)] = {false};
    uint64_t at = MODEL_BASE + CHUNK_SIZE;
    for (size_t i = 0; i < PP_COUNT_OF(places); i++) {
        size_t k = model_below(m, PP_COUNT_OF(places));
        while (placed[k]) {
            k = (k + 1) % PP_COUNT_OF(places);
        }
        placed[k] = true;
        *places[k] = at;
        at += sizes[k] + (model_below(m, 2) == 0 ? 0 : 0x2000);
    }
    m->tstate_room = model_below(m, 2) == 0 ? 0x100 : 0x900;
    m->side_room = model_below(m, 2) == 0 ? 0x100 : 0x2a0;
    m->empty_at = m->type_at + 0x100;
}

static inline void model_objects(model *m)
{
    const pp_layout *l = &m->layout;
    model_put64(m, m->type_at + l->ob.tp_name, m->type_at + 0x80);
    memcpy(m->memory + (m->type_at + 0x80 - MODEL_BASE), "code", 5);
    model_put64(m, m->empty_at + l->ob.var_size, 0);
    for (uint32_t i = 0; i < MODEL_NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%u", i);
        model_text(m, model_name(m, i), name);
    }
    for (uint32_t i = 0; i < MODEL_CODES; i++) {
        uint64_t at = model_code(m, i);
        m->names[i] = m->next_name++;
        model_put64(m, at + l->ob.type, m->type_at);
        model_put64(m, at + l->ob.var_size, 1 << 24);
        model_put64(m, at + l->co.filename, model_name(m, 0));
        model_put64(m, at + l->co.name, model_name(m, m->names[i]));
        model_put64(m, at + l->co.qualname, model_name(m, m->names[i]));
        model_put64(m, at + l->co.linetable, m->empty_at);
        if (l->co.version != PP_NONE) {
            model_put(m, at + l->co.version, i + 1, 4);
        }
    }
}

static inline void model_interpreters(model *m)
{
    const pp_layout *l = &m->layout;
    m->n_interps = 1 + model_below(m, MODEL_INTERPS);
    for (uint32_t i = 0; i < m->n_interps; i++) {
        model_interp *interp = &m->interps[i];
        interp->address = m->runtime + 0x400 * (i + 1);
        interp->gil = interp->address + IS_GIL;
        interp->running = -1;
        model_put64(m, interp->address + l->is.next,
                    i + 1 < m->n_interps ? interp->address + 0x400 : 0);
        model_put64(m, interp->address + l->is.id, i);
        model_put64(m, interp->address + l->is.ceval_gil, interp->gil);
        model_put64(m, interp->address + 0x50, MODEL_CODES + 1);
    }
    model_put64(m, m->runtime + RT_HEAD, m->interps[0].address);
    model_put64(m, m->runtime + RT_MAIN, m->interps[0].address);
    model_put64(m, m->runtime + RT_MAIN_THREAD, 16);
}

static const pp_reader_ops model_ops = {"model", model_readv, NULL};

static inline void model_open(model *m, uint64_t seed, const model_opts *opts)
{
    uint8_t *memory = m->memory;
    model_seen *seen = m->seen;
    memset(memory, 0, MODEL_SIZE);
    size_t n_seen = m->n_seen; /* of other runs: their keys differ */
    if (n_seen > MODEL_SEEN / 2) {
        memset(seen, 0, MODEL_SEEN * sizeof(*seen));
        n_seen = 0;
    }
    *m = (model){.base = {.ops = &model_ops},
                 .opts = *opts,
                 .layout = model_layout(opts),
                 .seed = seed,
                 .rng = seed * 2 + 1,
                 .n_seen = n_seen,
                 .memory = memory,
                 .seen = seen,
                 .list_lock = -1};
    for (int i = 0; i < 16; i++) {
        model_random(m);
    }
    model_places(m);
    model_objects(m);
    model_interpreters(m);
    memset(m->unmapped, 0, sizeof(m->unmapped));
    m->n_threads = MODEL_THREADS;
    uint32_t n = 1 + model_below(m, MODEL_THREADS);
    n = n < m->n_interps ? m->n_interps : n;
    for (uint32_t i = 0; i < n; i++) {
        model_thread *t = &m->threads[i];
        uint64_t head;
        model_thread_new(m, i, i % m->n_interps);
        head = m->interps[t->interp].address + m->layout.is.threads_head;
        model_thread_words(m, t, t);
        model_bind(m, t);
        for (uint32_t k = 0; k < t->n_queue; k++) {
            model_do(m, t, &t->queue[k]);
        }
        t->n_queue = 0;
        model_put64(m, t->tstate + m->layout.ts.next, model_get64(m, head));
        model_put64(m, head, t->tstate);
        t->linked = true;
        model_note(m, t, UINT64_MAX);
    }
    for (uint32_t i = n; i < MODEL_THREADS; i++) {
        m->threads[i].number = i;
    }
    /* Not from the beginning of its life. */
    for (uint32_t i = model_below(m, 2000); i > 0; i--) {
        model_event(m);
    }
}

#endif /* PP_TESTS_UNWIND_MODEL_RUN_H */
