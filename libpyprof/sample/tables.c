/*
 * tables: the life of the tables, and the two smaller ones: functions and
 * threads. In go names as a target tells them, out come numbers.
 *
 * Invariants:
 * 1. Text of functions is interned and stays; text of threads changes, so each
 *    thread has memory of its own for its name, and a thread that renames
 *    itself for ever costs nothing.
 * 2. At the cap no text is interned: what can't become a function leaves
 *    nothing behind.
 * 3. The functions of the synthetic kinds and of what is folded, and their
 *    frames, are made first: they can't fail later.
 */
#include "sample/tables.h"

#include <string.h>

/* ---- functions --------------------------------------------------------- */

static uint64_t function_hash(const pp_function_node *node)
{
    uint64_t a = (uint64_t)node->qualname << 32 | node->file;
    uint64_t b = (uint64_t)node->name << 32 | (uint32_t)node->first_line;
    return pp_hash_u64(a + b * UINT64_C(0x9e3779b97f4a7c15) +
                       (uint64_t)(uint32_t)node->kind *
                           UINT64_C(0xc2b2ae3d27d4eb4f));
}

static uint64_t function_hash_of(const pyprof_tables *tables, uint32_t number)
{
    return function_hash(pp_pool_at(&tables->functions, number));
}

static bool is_same_function(const pp_function_node *a,
                             const pp_function_node *b)
{
    return a->qualname == b->qualname && a->name == b->name &&
           a->file == b->file && a->first_line == b->first_line &&
           a->kind == b->kind;
}

static uint32_t *function_slot(const pyprof_tables *tables,
                               const pp_function_node *wanted)
{
    uint32_t mask = tables->function_index.mask;
    uint32_t *slots = tables->function_index.slots;
    uint32_t i = (uint32_t)function_hash(wanted) & mask;
    while (
        slots[i] != 0 &&
        !is_same_function(pp_pool_at(&tables->functions, slots[i]), wanted)) {
        i = (i + 1) & mask;
    }
    return &slots[i];
}

static uint32_t function_add(pyprof_tables *tables,
                             const pp_function_node *wanted)
{
    pp_function_node *node =
        pp_pool_next(&tables->functions, &tables->allocator);
    if (node == NULL) {
        return 0;
    }
    *node = *wanted;
    uint32_t *slot = function_slot(tables, wanted);
    *slot = tables->functions.n + 1;
    if (!pp_index_ready(&tables->function_index, tables->functions.n + 1,
                        tables, function_hash_of)) {
        *slot = 0;
        return 0;
    }
    return ++tables->functions.n;
}

static uint32_t find_text(const pyprof_tables *tables, pyprof_text text)
{
    return pp_intern_find(&tables->text, text.data, (size_t)text.size);
}

static uint32_t put_text(pyprof_tables *tables, pyprof_text text)
{
    return pp_intern_put(&tables->text, text.data, (size_t)text.size);
}

uint32_t pp_tables_function(pyprof_tables *tables, const pp_function_key *key)
{
    pp_function_node wanted = {
        .qualname = find_text(tables, key->qualname),
        .name = find_text(tables, key->name),
        .file = find_text(tables, key->file),
        .first_line = key->first_line,
        .kind = key->kind,
    };
    /* a text that is new has number 0, which no function has */
    uint32_t found = *function_slot(tables, &wanted);
    if (PP_LIKELY(found != 0)) {
        return found;
    }
    if (tables->functions.n >= tables->max_functions) {
        tables->folded++;
        return tables->other_functions;
    }
    wanted.qualname = put_text(tables, key->qualname);
    wanted.name = put_text(tables, key->name);
    wanted.file = put_text(tables, key->file);
    if (wanted.qualname == 0 || wanted.name == 0 || wanted.file == 0) {
        return 0;
    }
    return function_add(tables, &wanted);
}

bool pp_tables_function_view(const pyprof_tables *tables, uint32_t function,
                             pp_function_key *out)
{
    if (function == 0 || function > tables->functions.n) {
        return false;
    }
    const pp_function_node *node = pp_pool_at(&tables->functions, function);
    *out = (pp_function_key){
        .qualname = pp_intern_text(&tables->text, node->qualname),
        .name = pp_intern_text(&tables->text, node->name),
        .file = pp_intern_text(&tables->text, node->file),
        .first_line = node->first_line,
        .kind = node->kind,
    };
    return true;
}

/* ---- synthetic frames -------------------------------------------------- */

static const char *const synthetic_names[PP_KINDS] = {
    [PYPROF_FRAME_GC] = "<GC>",     [PYPROF_FRAME_NATIVE] = "<native>",
    [PYPROF_FRAME_TASK] = "<task>", [PYPROF_FRAME_TRUNCATED] = "<truncated>",
    [PYPROF_FRAME_TORN] = "<torn>", [PYPROF_FRAME_UNKNOWN] = "<unknown>",
};

/* A function without a file, past any cap. */
static uint32_t add_named(pyprof_tables *tables, const char *name, int32_t kind)
{
    pyprof_text text = {.data = name, .size = strlen(name)};
    pyprof_text file = {.data = "~", .size = 1};
    pp_function_node wanted = {
        .qualname = put_text(tables, text),
        .file = put_text(tables, file),
        .first_line = PYPROF_UNKNOWN,
        .kind = kind,
    };
    wanted.name = wanted.qualname;
    if (wanted.qualname == 0 || wanted.file == 0) {
        return 0;
    }
    return function_add(tables, &wanted);
}

static bool add_synthetic(pyprof_tables *tables)
{
    const pp_position unknown = PP_POSITION_UNKNOWN;
    for (int32_t kind = PYPROF_FRAME_GC; kind < PP_KINDS; kind++) {
        uint32_t function = add_named(tables, synthetic_names[kind], kind);
        tables->synthetic[kind] = pp_tables_frame(tables, function, &unknown);
        if (tables->synthetic[kind] == 0) {
            return false;
        }
    }
    tables->other_functions =
        add_named(tables, "<other functions>", PYPROF_FRAME_UNKNOWN);
    uint32_t other = add_named(tables, "<other stacks>", PYPROF_FRAME_UNKNOWN);
    tables->other_stacks = pp_tables_frame(tables, other, &unknown);
    return tables->other_functions != 0 && tables->other_stacks != 0;
}

uint32_t pp_tables_synthetic(const pyprof_tables *tables, int32_t kind)
{
    if (kind <= PYPROF_FRAME_PYTHON || kind >= PP_KINDS) {
        kind = PYPROF_FRAME_UNKNOWN;
    }
    return tables->synthetic[kind];
}

/* ---- threads ----------------------------------------------------------- */

static bool set_thread(pyprof_tables *tables, pp_thread_node *node,
                       const pyprof_thread *thread)
{
    size_t size = (size_t)thread->name.size;
    char *name = NULL;
    if (size > 0) {
        if (size == SIZE_MAX) {
            return false;
        }
        name = pp_alloc(&tables->allocator, size + 1);
        if (name == NULL) {
            return false;
        }
        memcpy(name, thread->name.data, size);
        name[size] = '\0';
    }
    tables->name_bytes += size;
    tables->name_bytes -= node->thread.name.size;
    pp_free(&tables->allocator, node->name);
    node->name = name;
    node->thread = *thread;
    node->thread.sz = sizeof(*thread);
    node->thread.name.data = name != NULL ? name : "";
    return true;
}

uint32_t pp_tables_thread_new(pyprof_tables *tables,
                              const pyprof_thread *thread)
{
    if (tables->threads.n >= tables->max_threads) {
        return 0;
    }
    pp_thread_node *node = pp_pool_next(&tables->threads, &tables->allocator);
    if (node == NULL) {
        return 0;
    }
    *node = (pp_thread_node){.name = NULL};
    if (!set_thread(tables, node, thread)) {
        return 0;
    }
    return ++tables->threads.n;
}

pyprof_status pp_tables_thread_update(pyprof_tables *tables, uint32_t number,
                                      const pyprof_thread *thread)
{
    if (number == 0 || number > tables->threads.n) {
        return PYPROF_ERR_INVALID;
    }
    return set_thread(tables, pp_pool_at(&tables->threads, number), thread)
               ? PYPROF_OK
               : PYPROF_ERR_NO_MEMORY;
}

bool pp_tables_thread_view(const pyprof_tables *tables, uint32_t number,
                           pyprof_thread *out)
{
    if (number == 0 || number > tables->threads.n) {
        return false;
    }
    const pp_thread_node *node = pp_pool_at(&tables->threads, number);
    *out = node->thread;
    return true;
}

/* ---- life -------------------------------------------------------------- */

static uint32_t cap_of(uint32_t asked, uint32_t usual)
{
    return asked != 0 ? asked : usual;
}

static void free_tables(pyprof_tables *tables)
{
    const pp_allocator allocator = tables->allocator;
    for (uint32_t i = 1; i <= tables->threads.n; i++) {
        const pp_thread_node *node = pp_pool_at(&tables->threads, i);
        pp_free(&allocator, node->name);
    }
    pp_pool_free(&tables->stacks, &allocator);
    pp_pool_free(&tables->frames, &allocator);
    pp_pool_free(&tables->functions, &allocator);
    pp_pool_free(&tables->threads, &allocator);
    pp_index_free(&tables->stack_index, &allocator);
    pp_index_free(&tables->frame_index, &allocator);
    pp_index_free(&tables->function_index, &allocator);
    pp_intern_free(&tables->text);
    pp_free(&allocator, tables);
}

pyprof_tables *pp_tables_new(const pp_allocator *allocator,
                             const pp_tables_limits *limits)
{
    const pp_tables_limits usual = {0};
    if (limits == NULL) {
        limits = &usual;
    }
    pyprof_tables *tables = pp_calloc(allocator, 1, sizeof(*tables));
    if (tables == NULL) {
        return NULL;
    }
    if (allocator != NULL) {
        tables->allocator = *allocator;
    } else {
        (void)pp_alloc_init(&tables->allocator, NULL, NULL);
    }
    atomic_init(&tables->references, 1);
    pp_intern_init(&tables->text, &tables->allocator);
    tables->functions.element = sizeof(pp_function_node);
    tables->threads.element = sizeof(pp_thread_node);
    /* no cap yet for what add_synthetic makes */
    tables->max_frames = UINT32_MAX;
    if (!pp_nodes_init(tables) ||
        !pp_index_ready(&tables->function_index, 0, tables, function_hash_of) ||
        !add_synthetic(tables)) {
        free_tables(tables);
        return NULL;
    }
    tables->max_functions = cap_of(limits->max_functions, UINT32_C(1) << 20);
    tables->max_frames = cap_of(limits->max_frames, UINT32_C(1) << 22);
    tables->max_stacks = cap_of(limits->max_stacks, UINT32_C(1) << 23);
    tables->max_threads = cap_of(limits->max_threads, UINT32_C(1) << 16);
    return tables;
}

pyprof_tables *pp_tables_ref(pyprof_tables *tables)
{
    if (tables != NULL) {
        atomic_fetch_add_explicit(&tables->references, 1, memory_order_relaxed);
    }
    return tables;
}

void pp_tables_unref(pyprof_tables *tables)
{
    if (tables != NULL &&
        atomic_fetch_sub_explicit(&tables->references, 1,
                                  memory_order_acq_rel) == 1) {
        free_tables(tables);
    }
}

uint32_t pp_tables_functions(const pyprof_tables *tables)
{
    return tables->functions.n;
}

uint32_t pp_tables_frames(const pyprof_tables *tables)
{
    return tables->frames.n;
}

uint32_t pp_tables_stacks(const pyprof_tables *tables)
{
    return tables->stacks.n;
}

uint32_t pp_tables_threads(const pyprof_tables *tables)
{
    return tables->threads.n;
}

static uint64_t pool_bytes(const pp_pool *pool)
{
    return (uint64_t)pool->room * pool->element;
}

pp_tables_counters pp_tables_count(const pyprof_tables *tables)
{
    return (pp_tables_counters){
        .functions = tables->functions.n,
        .frames = tables->frames.n,
        .stacks = tables->stacks.n,
        .threads = tables->threads.n,
        .folded = tables->folded,
        .bytes = sizeof(*tables) + pool_bytes(&tables->stacks) +
                 pool_bytes(&tables->frames) + pool_bytes(&tables->functions) +
                 pool_bytes(&tables->threads) +
                 pp_index_bytes(&tables->stack_index) +
                 pp_index_bytes(&tables->frame_index) +
                 pp_index_bytes(&tables->function_index) +
                 pp_intern_bytes(&tables->text) + tables->name_bytes,
    };
}
