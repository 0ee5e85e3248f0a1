/*
 * nodes: from counted stacks to the nodes of a page. In go counts by thread and
 * stack; out come a tree of lines of functions, each node with its rank, and
 * the entries of each thread in the order of ranks.
 *
 * Invariants:
 * 1. A node that is kept has callers that are kept.
 * 2. At most PP_FLAME_NODES_MAX nodes are kept; for what is folded there is a
 *    block in its caller that has all its samples, so sums stay.
 */
#include "collector/flamegraph/nodes.h"

#include <string.h>

/* ---- items --------------------------------------------------------------- */

static pyprof_status make_items(pp_flame_nodes *nodes, pyprof_error *err)
{
    uint32_t n = pp_tables_frames(nodes->tables);
    nodes->item_of =
        pp_calloc(nodes->allocator, (size_t)n + 1, sizeof(*nodes->item_of));
    if (nodes->item_of == NULL) {
        return pp_error_memory(err, "lines");
    }
    pp_map known;
    pp_map_init(&known, nodes->allocator);
    pyprof_status status = PYPROF_OK;
    for (uint32_t number = 1; number <= n && status == PYPROF_OK; number++) {
        pyprof_frame frame;
        (void)pp_tables_frame_view(nodes->tables, number, &frame);
        uint32_t line = frame.line > 0 ? (uint32_t)frame.line : 0;
        bool is_new;
        uint64_t *item = pp_map_put(
            &known, (uint64_t)frame.function_id << 32 | line, &is_new);
        if (item == NULL ||
            (is_new && !pp_grow(nodes->allocator, &nodes->items,
                                &nodes->cap_items, sizeof(*nodes->items),
                                nodes->n_items + 1, UINT32_MAX - 1))) {
            status = pp_error_memory(err, "lines");
            break;
        }
        if (is_new) {
            nodes->items[nodes->n_items] = (pp_flame_item){
                .function = frame.function_id, .line = line, .frame = number};
            *item = ++nodes->n_items;
        }
        nodes->item_of[number] = (uint32_t)*item;
    }
    pp_map_free(&known);
    return status;
}

/* ---- entries ------------------------------------------------------------- */

typedef struct filling {
    pp_flame_nodes *nodes;
    const uint32_t *stack_of; /* NULL: the stack's own number */
    uint64_t *by_stack;
    size_t n;
} filling;

static void add_entry(void *user, uint64_t key, uint64_t count)
{
    filling *f = user;
    uint32_t stack = (uint32_t)key;
    if (f->stack_of != NULL) {
        stack = f->stack_of[stack];
    }
    f->by_stack[stack] += count;
    f->nodes->entries[f->n++] = (pp_flame_entry){
        .thread = (uint32_t)(key >> 32), .stack = stack, .count = count};
}

/* Makes entries and the tree. */
static pyprof_status make_tree(pp_flame_nodes *nodes, const pp_flame *flame,
                               const pp_flame_merged *merged, pyprof_error *err)
{
    const pp_allocator *a = nodes->allocator;
    const pp_flame *before = merged != NULL ? flame->baseline : NULL;
    size_t n_stacks = (size_t)pp_tables_stacks(nodes->tables) + 1;
    nodes->n_entries[0] = flame->counts.n_used;
    nodes->n_entries[1] = before != NULL ? before->counts.n_used : 0;
    size_t n = nodes->n_entries[0] + nodes->n_entries[1];
    filling f = {.nodes = nodes};
    nodes->entries = pp_calloc(a, n > 0 ? n : 1, sizeof(*nodes->entries));
    f.by_stack = pp_calloc(a, n_stacks, sizeof(*f.by_stack));
    if (nodes->entries == NULL || f.by_stack == NULL) {
        pp_free(a, f.by_stack);
        return pp_error_memory(err, "counts of stacks");
    }
    f.stack_of = merged != NULL ? merged->stack_of[0] : NULL;
    pp_map_each(&flame->counts, add_entry, &f);
    if (before != NULL) {
        f.stack_of = merged->stack_of[1];
        pp_map_each(&before->counts, add_entry, &f);
    }
    pyprof_status status =
        pp_tree_make(&nodes->tree, a, nodes->tables, f.by_stack, n_stacks,
                     nodes->item_of, (uint32_t)nodes->n_items, err);
    pp_free(a, f.by_stack);
    return status;
}

/* ---- what is folded ------------------------------------------------------ */

bool pp_flame_nodes_has(const pp_flame_nodes *nodes, uint32_t node)
{
    /* Callers have at least as many samples and lower numbers, and of those
     * with just as many the first ones are kept: so callers are kept, too. */
    uint64_t total = nodes->tree.total[node];
    return total > nodes->fold_below ||
           (total == nodes->fold_below && total != 0 &&
            node <= nodes->fold_ties);
}

/* Finds the bound: the nodes above it, and the first ones at it, are as many as
 * a page has. */
static void choose_bound(pp_flame_nodes *nodes)
{
    const pp_tree *tree = &nodes->tree;
    uint32_t linked = 0;
    for (uint32_t node = 1; node <= tree->n; node++) {
        linked += tree->total[node] != 0;
    }
    nodes->fold_below = 0;
    nodes->fold_ties = 0;
    if (linked <= PP_FLAME_NODES_MAX) {
        return;
    }
    uint64_t low = 0; /* more than fit are above this one */
    uint64_t high = tree->total[0];
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint32_t above = 0;
        for (uint32_t node = 1; node <= tree->n; node++) {
            above += tree->total[node] > middle;
        }
        if (above > PP_FLAME_NODES_MAX) {
            low = middle;
        } else {
            high = middle;
        }
    }
    uint32_t room = PP_FLAME_NODES_MAX;
    for (uint32_t node = 1; node <= tree->n; node++) {
        room -= tree->total[node] > high;
    }
    nodes->fold_below = high;
    for (uint32_t node = 1; node <= tree->n && room > 0; node++) {
        room -= tree->total[node] == high;
        nodes->fold_ties = node;
    }
}

static void count_folded(pp_flame_nodes *nodes)
{
    const pp_tree *tree = &nodes->tree;
    for (uint32_t node = tree->n; node > 0; node--) {
        if (tree->total[node] == 0) {
            continue;
        }
        if (pp_flame_nodes_has(nodes, node)) {
            nodes->items[tree->item[node] - 1].uses++;
            continue;
        }
        /* what is below it was added to it before */
        nodes->n_folded++;
        nodes->folded[tree->parent[node]] += nodes->folded[node] + 1;
        nodes->folded[node] = 0;
    }
}

/* ---- ranks --------------------------------------------------------------- */

static void rank_node(void *user, uint32_t node)
{
    pp_flame_nodes *nodes = user;
    if (!pp_flame_nodes_has(nodes, node)) {
        return;
    }
    nodes->rank_of[node] = ++nodes->n_ranks;
    nodes->n_ranks += nodes->folded[node] > 0; /* the block comes next */
}

static pyprof_status make_ranks(pp_flame_nodes *nodes, pyprof_error *err)
{
    const pp_tree *tree = &nodes->tree;
    size_t n = (size_t)tree->n + 1;
    nodes->rank_of = pp_calloc(nodes->allocator, n, sizeof(*nodes->rank_of));
    nodes->folded = pp_calloc(nodes->allocator, n, sizeof(*nodes->folded));
    if (nodes->rank_of == NULL || nodes->folded == NULL) {
        return pp_error_memory(err, "the order of nodes");
    }
    choose_bound(nodes);
    count_folded(nodes);
    nodes->n_ranks = nodes->folded[0] > 0; /* a block of the root itself */
    pp_tree_walk(tree, rank_node, NULL, nodes);
    for (uint32_t node = 1; node <= tree->n; node++) {
        if (tree->total[node] != 0 && !pp_flame_nodes_has(nodes, node)) {
            uint32_t parent = tree->parent[node];
            bool is_first = parent == 0 || pp_flame_nodes_has(nodes, parent);
            nodes->rank_of[node] = nodes->rank_of[parent] + is_first;
        }
    }
    return PYPROF_OK;
}

static bool is_used_more(void *user, uint32_t x, uint32_t y)
{
    const pp_flame_item *items = user;
    return items[x].uses > items[y].uses;
}

static pyprof_status place_items(pp_flame_nodes *nodes, pyprof_error *err)
{
    const pp_allocator *a = nodes->allocator;
    size_t n = nodes->n_items;
    nodes->place_of = pp_calloc(a, n + 1, sizeof(*nodes->place_of));
    nodes->item_at = pp_calloc(a, n + 1, sizeof(*nodes->item_at));
    if (nodes->place_of == NULL || nodes->item_at == NULL) {
        return pp_error_memory(err, "the order of lines");
    }
    for (uint32_t item = 0; item < n; item++) {
        if (nodes->items[item].uses > 0) {
            nodes->item_at[nodes->n_places++] = item;
        }
    }
    if (!pp_sort_u32(a, nodes->item_at, nodes->n_places, is_used_more,
                     nodes->items)) {
        return pp_error_memory(err, "the order of lines");
    }
    for (uint32_t i = 0; i < nodes->n_places; i++) {
        nodes->place_of[nodes->item_at[i]] = i + 1;
    }
    return PYPROF_OK;
}

/* Puts entries in the order of ranks, counting. */
static pyprof_status sort_entries(pp_flame_nodes *nodes, pp_flame_entry *from,
                                  size_t n, pyprof_error *err)
{
    const pp_allocator *a = nodes->allocator;
    size_t n_ranks = (size_t)nodes->n_ranks + 2;
    uint32_t *start = pp_calloc(a, n_ranks, sizeof(*start));
    pp_flame_entry *sorted = pp_calloc(a, n > 0 ? n : 1, sizeof(*sorted));
    if (start == NULL || sorted == NULL) {
        pp_free(a, start);
        pp_free(a, sorted);
        return pp_error_memory(err, "the order of entries");
    }
    for (size_t i = 0; i < n; i++) {
        from[i].stack = nodes->rank_of[nodes->tree.node_of[from[i].stack]];
        start[from[i].stack + 1]++;
    }
    for (size_t rank = 1; rank < n_ranks; rank++) {
        start[rank] += start[rank - 1];
    }
    for (size_t i = 0; i < n; i++) {
        sorted[start[from[i].stack]++] = from[i];
    }
    memcpy(from, sorted, n * sizeof(*from));
    pp_free(a, start);
    pp_free(a, sorted);
    return PYPROF_OK;
}

pyprof_status pp_flame_nodes_make(pp_flame_nodes *nodes, const pp_flame *flame,
                                  const pp_flame_merged *merged,
                                  pyprof_error *err)
{
    *nodes = (pp_flame_nodes){
        .allocator = &flame->allocator,
        .tables = merged != NULL ? merged->tables : flame->session.tables,
    };
    nodes->tree.allocator = nodes->allocator;
    PP_TRY(make_items(nodes, err));
    PP_TRY(make_tree(nodes, flame, merged, err));
    PP_TRY(make_ranks(nodes, err));
    PP_TRY(place_items(nodes, err));
    PP_TRY(sort_entries(nodes, nodes->entries, nodes->n_entries[0], err));
    return sort_entries(nodes, nodes->entries + nodes->n_entries[0],
                        nodes->n_entries[1], err);
}

void pp_flame_nodes_free(pp_flame_nodes *nodes)
{
    const pp_allocator *a = nodes->allocator;
    pp_free(a, nodes->items);
    pp_free(a, nodes->item_of);
    pp_tree_free(&nodes->tree);
    pp_free(a, nodes->place_of);
    pp_free(a, nodes->item_at);
    pp_free(a, nodes->rank_of);
    pp_free(a, nodes->folded);
    pp_free(a, nodes->entries);
}
