/*
 * Names of threads, as Python's threading module has them.
 *
 * In: the runtime. Out: a table from thread identity to name. The way there:
 * interpreter -> sys.modules -> "threading" -> `_active`, a dict from identity
 * to Thread object -> its attributes `_name`, `_ident` and `_native_id`. All of
 * these have had the same names since 3.8.
 *
 * Invariants: all interpreters and all threads go each step together, so that
 * the number of reads depends on the length of the way alone. A Thread object
 * is believed when its own `_ident` is what `_active` has it under, and when a
 * second look finds the same name: memory of one that ended meanwhile is soon
 * another's.
 */
#include "unwind/objects.h"

enum {
    MAX_NAMES = 1 << 16,
    BATCH = 1024 /* threads that are read together, within one cap on pages */
};

/* An interpreter on the way to its `_active`. */
typedef struct source {
    uint64_t interp;
    uint64_t module; /* threading; 0: not found yet */
    pp_look look;
    pp_dict active;
} source;

/* A Thread object on the way to its name. */
typedef struct thread {
    size_t source;                            /* index of its interpreter */
    uint64_t key, object;                     /* as `_active` has them */
    uint64_t ident_at, native_id_at, name_at; /* its attributes; 0: not found */
    uint64_t ident, native_id;
    pyprof_text name;
    uint64_t first_native_id; /* of the first look */
    pyprof_text first_name;
    pp_look look;
} thread;

typedef struct known_name {
    size_t source;
    uint64_t native_id; /* 0: not known */
    pyprof_text text;
} known_name;

struct pp_names {
    pp_allocator allocator;
    const pp_layout *layout;
    uint64_t runtime;
    pp_objects objects;
    pp_arena texts;
    source *sources;
    size_t n_sources, cap_sources;
    thread *threads;
    size_t n_threads, cap_threads;
    known_name *names;
    size_t n_names, cap_names;
    pp_map by_ident; /* -> index */
    struct {
        uint64_t threading, active, ident, native_id, name;
    } hints; /* entries where these were found last */
};

pp_names *pp_names_new(const pp_allocator *allocator, pp_reader *reader,
                       const pp_layout *layout, uint64_t runtime)
{
    pp_names *n = pp_calloc(allocator, 1, sizeof(*n));
    if (n == NULL) {
        return NULL;
    }
    if (pp_alloc_init(&n->allocator, allocator, NULL) != PYPROF_OK) {
        pp_free(allocator, n);
        return NULL;
    }
    n->layout = layout;
    n->runtime = runtime;
    pp_objects_init(&n->objects, &n->allocator, reader, layout);
    pp_arena_init(&n->texts, &n->allocator);
    pp_map_init(&n->by_ident, &n->allocator);
    return n;
}

void pp_names_free(pp_names *n)
{
    if (n == NULL) {
        return;
    }
    pp_objects_free(&n->objects);
    pp_arena_free(&n->texts);
    pp_map_free(&n->by_ident);
    pp_allocator allocator = n->allocator;
    pp_free(&allocator, n->sources);
    pp_free(&allocator, n->threads);
    pp_free(&allocator, n->names);
    pp_free(&allocator, n);
}

/* ---- the interpreters
 * ---------------------------------------------------------------- */

static pp_look no_memory(pp_names *n)
{
    n->objects.status = PYPROF_ERR_NO_MEMORY;
    return PP_LOOK_NONE;
}

/* Newest first, as the runtime lists them: the main one comes last. */
static pp_look list_sources(pp_names *n)
{
    for (;;) {
        uint64_t interp;
        uint64_t link =
            n->n_sources == 0
                ? n->runtime + n->layout->rt.interpreters_head
                : n->sources[n->n_sources - 1].interp + n->layout->is.next;
        PP_LOOK_TRY(pp_objects_u64(&n->objects, link, &interp));
        if (interp == 0 || n->n_sources == PP_MAX_INTERPS) {
            return PP_LOOK_DONE;
        }
        if (!pp_grow(&n->allocator, (void **)&n->sources, &n->cap_sources,
                     sizeof(source), n->n_sources + 1, 0)) {
            return no_memory(n);
        }
        n->sources[n->n_sources++] = (source){.interp = interp};
    }
}

static pp_look find_active(pp_names *n, source *s)
{
    pp_objects *o = &n->objects;
    pp_dict dict;
    uint64_t at;
    if (s->module == 0) {
        PP_LOOK_TRY(pp_objects_u64(o, s->interp + n->layout->is.modules, &at));
        PP_LOOK_TRY(pp_objects_dict(o, at, &dict));
        PP_LOOK_TRY(pp_objects_item(o, &dict, "threading", &n->hints.threading,
                                    &s->module));
    }
    PP_LOOK_TRY(pp_objects_module(o, s->module, &dict));
    PP_LOOK_TRY(pp_objects_item(o, &dict, "_active", &n->hints.active, &at));
    return pp_objects_dict(o, at, &s->active);
}

/* The threads of an interpreter, once all entries of its dict are at hand. */
static pp_look list_threads(pp_names *n, size_t index)
{
    const source *s = &n->sources[index];
    pp_look all = PP_LOOK_DONE;
    uint64_t key = 0;
    uint64_t value = 0;
    for (uint64_t i = 0; i < s->active.n; i++) {
        all = pp_look_both(
            all, pp_objects_entry(&n->objects, &s->active, i, &key, &value));
    }
    if (all != PP_LOOK_DONE) {
        return all;
    }
    for (uint64_t i = 0; i < s->active.n; i++) {
        pp_objects_entry(&n->objects, &s->active, i, &key, &value);
        if (value == 0) {
            continue;
        }
        if (n->n_threads == MAX_NAMES) {
            break;
        }
        if (!pp_grow(&n->allocator, (void **)&n->threads, &n->cap_threads,
                     sizeof(thread), n->n_threads + 1, 0)) {
            return no_memory(n);
        }
        n->threads[n->n_threads++] =
            (thread){.source = index, .key = key, .object = value};
    }
    return PP_LOOK_DONE;
}

static pp_look look_at_sources(pp_names *n)
{
    bool more = false;
    for (size_t i = 0; i < n->n_sources; i++) {
        source *s = &n->sources[i];
        if (s->look == PP_LOOK_MORE) {
            s->look = find_active(n, s);
            if (s->look == PP_LOOK_DONE) {
                s->look = list_threads(n, i);
            }
            more |= s->look == PP_LOOK_MORE;
        }
    }
    return more ? PP_LOOK_MORE : PP_LOOK_DONE;
}

/* ---- the threads
 * --------------------------------------------------------------------- */

static pp_look find_attribute(pp_objects *o, const thread *t,
                              const char *attribute, uint64_t *hint,
                              uint64_t *at)
{
    return *at != 0 ? PP_LOOK_DONE
                    : pp_objects_attribute(o, t->object, attribute, hint, at);
}

static pp_look find_ids(pp_names *n, thread *t)
{
    pp_objects *o = &n->objects;
    uint64_t key = 0;
    pp_look native_id = find_attribute(o, t, "_native_id", &n->hints.native_id,
                                       &t->native_id_at);
    pp_look ident =
        find_attribute(o, t, "_ident", &n->hints.ident, &t->ident_at);
    if (native_id == PP_LOOK_DONE) {
        native_id = pp_objects_int(o, t->native_id_at, &t->native_id);
    }
    if (ident == PP_LOOK_DONE) {
        ident = pp_objects_int(o, t->ident_at, &t->ident);
    }
    PP_LOOK_TRY(pp_look_both(ident, pp_objects_int(o, t->key, &key)));
    if (native_id == PP_LOOK_NONE) {
        t->native_id = 0; /* it is None, before the thread runs */
    }
    return native_id == PP_LOOK_MORE ? PP_LOOK_MORE
           : key == t->ident         ? PP_LOOK_DONE
                                     : PP_LOOK_NONE;
}

static pp_look find_name(pp_names *n, thread *t)
{
    pp_objects *o = &n->objects;
    pp_look ids = find_ids(n, t);
    pp_look name = find_attribute(o, t, "_name", &n->hints.name, &t->name_at);
    if (name == PP_LOOK_DONE && t->name.data == NULL) {
        name = pp_objects_text(o, t->name_at, &n->texts, &t->name);
    }
    return pp_look_both(ids, name);
}

static pp_look look_at_threads(pp_names *n, size_t first, size_t end)
{
    bool more = false;
    for (size_t i = first; i < end; i++) {
        thread *t = &n->threads[i];
        if (t->look == PP_LOOK_MORE) {
            t->look = find_name(n, t);
            more |= t->look == PP_LOOK_MORE;
        }
    }
    return more ? PP_LOOK_MORE : PP_LOOK_DONE;
}

static pyprof_status keep_name(pp_names *n, const thread *t,
                               uint64_t main_ident)
{
    bool is_new;
    if (!pp_grow(&n->allocator, (void **)&n->names, &n->cap_names,
                 sizeof(known_name), n->n_names + 1, 0)) {
        return PYPROF_ERR_NO_MEMORY;
    }
    uint64_t *index = pp_map_put(&n->by_ident, t->ident, &is_new);
    if (index == NULL) {
        return PYPROF_ERR_NO_MEMORY;
    }
    if (!is_new && n->names[*index].source > t->source) {
        return PYPROF_OK; /* an older interpreter has it, too */
    }
    *index = n->n_names;
    /* Up to 3.13 a fork leaves the main thread with its parent's native id; and
     * its identity is never another's. */
    uint64_t native_id = t->ident == main_ident ? 0 : t->native_id;
    n->names[n->n_names++] = (known_name){t->source, native_id, t->name};
    return PYPROF_OK;
}

static pyprof_status look_until_done(pp_names *n, size_t first, size_t end)
{
    while (look_at_threads(n, first, end) == PP_LOOK_MORE) {
        PP_TRY(pp_objects_fetch(&n->objects));
    }
    return n->objects.status;
}

static bool is_same(const thread *t)
{
    return t->look == PP_LOOK_DONE && t->native_id == t->first_native_id &&
           t->name.size == t->first_name.size &&
           memcmp(t->name.data, t->first_name.data, t->name.size) == 0;
}

static pyprof_status read_batch(pp_names *n, size_t first, size_t end,
                                uint64_t main_ident)
{
    PP_TRY(look_until_done(n, first, end));
    pp_objects_again(&n->objects);
    PP_TRY(pp_objects_fetch(&n->objects));
    for (size_t i = first; i < end; i++) {
        thread *t = &n->threads[i];
        if (t->look == PP_LOOK_DONE) {
            *t = (thread){.source = t->source,
                          .key = t->key,
                          .object = t->object,
                          .first_native_id = t->native_id,
                          .first_name = t->name};
        }
    }
    PP_TRY(look_until_done(n, first, end));
    for (size_t i = first; i < end; i++) {
        if (is_same(&n->threads[i])) {
            PP_TRY(keep_name(n, &n->threads[i], main_ident));
        }
    }
    return PYPROF_OK;
}

static pyprof_status read_threads(pp_names *n, uint64_t main_ident)
{
    for (size_t first = 0; first < n->n_threads; first += BATCH) {
        size_t end =
            n->n_threads - first < BATCH ? n->n_threads : first + BATCH;
        if (first > 0) {
            pp_objects_begin(&n->objects);
        }
        PP_TRY(read_batch(n, first, end, main_ident));
    }
    return PYPROF_OK;
}

/* ---- all of it
 * ----------------------------------------------------------------------- */

static void forget(pp_names *n)
{
    pp_arena_free(&n->texts);
    pp_map_clear(&n->by_ident);
    n->n_sources = 0;
    n->n_threads = 0;
    n->n_names = 0;
    pp_objects_begin(&n->objects);
}

static pyprof_status read_names(pp_names *n)
{
    uint64_t main_ident = 0;
    while (list_sources(n) == PP_LOOK_MORE) {
        PP_TRY(pp_objects_fetch(&n->objects));
    }
    while (look_at_sources(n) == PP_LOOK_MORE) {
        PP_TRY(pp_objects_fetch(&n->objects));
    }
    PP_TRY(n->objects.status);
    /* Near the list of interpreters: its page is at hand. */
    if (pp_objects_u64(&n->objects, n->runtime + n->layout->rt.main_thread,
                       &main_ident) == PP_LOOK_MORE) {
        PP_TRY(pp_objects_fetch(&n->objects));
        pp_objects_u64(&n->objects, n->runtime + n->layout->rt.main_thread,
                       &main_ident);
    }
    return read_threads(n, main_ident);
}

pyprof_status pp_names_read(pp_names *n)
{
    forget(n);
    pyprof_status status = read_names(n);
    pp_objects_begin(&n->objects); /* the pages are not needed any more */
    return status;
}

pyprof_text pp_names_find(const pp_names *n, uint64_t python_id,
                          uint64_t native_id)
{
    static const pyprof_text unknown = {"", 0};
    const uint64_t *index = pp_map_find(&n->by_ident, python_id);
    if (index == NULL) {
        return unknown;
    }
    const known_name *found = &n->names[*index];
    bool other = native_id != 0 && found->native_id != 0 &&
                 found->native_id != native_id;
    return other ? unknown : found->text;
}
