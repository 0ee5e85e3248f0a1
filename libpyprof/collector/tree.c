/*
 * tree: from counted stacks to a tree of what a format tells apart. In go
 * counts by stack number and an item for each frame; out comes a tree with its
 * sums.
 *
 * Invariants:
 * 1. A node's parent has a lower number, as with stacks.
 * 2. Two children of a node have different items.
 * 3. Only nodes with samples are linked as children.
 */
#include "collector/format.h"

#include <string.h>

static void *numbers(const pp_allocator *a, size_t n, size_t size)
{
    return pp_calloc(a, n, size);
}

/* A new node, or 0 when out of memory. The arrays of a tree grow together. */
static uint32_t add_node(pp_tree *tree, uint32_t parent, uint32_t item)
{
    size_t need = (size_t)tree->n + 2;
    if (need > tree->cap) {
        size_t cap = tree->cap;
        if (!pp_grow(tree->allocator, &tree->parent, &cap,
                     sizeof(*tree->parent), need, 0)) {
            return 0;
        }
        cap = tree->cap;
        if (!pp_grow(tree->allocator, &tree->item, &cap, sizeof(*tree->item),
                     need, 0)) {
            return 0;
        }
        cap = tree->cap;
        if (!pp_grow(tree->allocator, &tree->self, &cap, sizeof(*tree->self),
                     need, 0)) {
            return 0;
        }
        tree->cap = cap;
    }
    uint32_t node = ++tree->n;
    tree->parent[node] = parent;
    tree->item[node] = item;
    tree->self[node] = 0;
    return node;
}

/* A hash table of nodes by (parent, item). The nodes themselves are what is
 * compared, so a slot is no more than a number; 0 is free. */
typedef struct node_index {
    uint32_t *slots;
    size_t mask;
} node_index;

static bool make_index(node_index *index, const pp_allocator *a, size_t n)
{
    size_t size = 8;
    while (size - size / 4 < n) {
        size *= 2;
    }
    index->mask = size - 1;
    index->slots = numbers(a, size, sizeof(*index->slots));
    return index->slots != NULL;
}

/* The slot of a node: its number, or 0 where it belongs. */
static uint32_t *find_slot(const node_index *index, const pp_tree *tree,
                           uint32_t parent, uint32_t item)
{
    uint64_t hash = pp_hash_u64((uint64_t)parent << 32 | item);
    for (size_t i = (size_t)hash & index->mask;; i = (i + 1) & index->mask) {
        uint32_t node = index->slots[i];
        if (node == 0 ||
            (tree->parent[node] == parent && tree->item[node] == item)) {
            return &index->slots[i];
        }
    }
}

/* Gives each stack its node, making nodes for new (parent, item). */
static bool merge_stacks(pp_tree *tree, const pyprof_tables *tables,
                         const uint64_t *counts, size_t n_counts,
                         const uint32_t *item_of)
{
    node_index known;
    bool is_done = make_index(&known, tree->allocator, n_counts);
    for (uint32_t stack = 1; stack < n_counts && is_done; stack++) {
        uint32_t parent = 0;
        uint32_t frame = 0;
        (void)pp_tables_stack_view(tables, stack, &parent, &frame);
        uint32_t above = tree->node_of[parent];
        uint32_t *node = find_slot(&known, tree, above, item_of[frame]);
        if (*node == 0) {
            *node = add_node(tree, above, item_of[frame]);
        }
        is_done = *node != 0;
        if (is_done) {
            tree->node_of[stack] = *node;
            tree->self[*node] += counts[stack];
        }
    }
    pp_free(tree->allocator, known.slots);
    return is_done;
}

/* Links children in the order of their items: all nodes are sorted by item, by
 * counting, and each is put before its parent's first child, last one first. */
static bool link_children(pp_tree *tree, uint32_t n_items)
{
    const pp_allocator *a = tree->allocator;
    size_t n = (size_t)tree->n + 1;
    uint32_t *start = numbers(a, (size_t)n_items + 2, sizeof(*start));
    uint32_t *sorted = numbers(a, n, sizeof(*sorted));
    if (start == NULL || sorted == NULL) {
        pp_free(a, start);
        pp_free(a, sorted);
        return false;
    }
    for (uint32_t node = 1; node <= tree->n; node++) {
        start[tree->item[node] + 1]++;
    }
    for (uint32_t item = 1; item <= n_items; item++) {
        start[item + 1] += start[item];
    }
    for (uint32_t node = 1; node <= tree->n; node++) {
        sorted[start[tree->item[node]]++] = node;
    }
    for (uint32_t i = tree->n; i > 0; i--) {
        uint32_t node = sorted[i - 1];
        if (tree->total[node] != 0) {
            uint32_t parent = tree->parent[node];
            tree->next_sibling[node] = tree->first_child[parent];
            tree->first_child[parent] = node;
        }
    }
    pp_free(a, start);
    pp_free(a, sorted);
    return true;
}

static bool make_sums(pp_tree *tree)
{
    size_t n = (size_t)tree->n + 1;
    const pp_allocator *a = tree->allocator;
    tree->total = numbers(a, n, sizeof(*tree->total));
    tree->first_child = numbers(a, n, sizeof(*tree->first_child));
    tree->next_sibling = numbers(a, n, sizeof(*tree->next_sibling));
    if (tree->total == NULL || tree->first_child == NULL ||
        tree->next_sibling == NULL) {
        return false;
    }
    for (uint32_t node = tree->n; node > 0; node--) {
        tree->total[node] += tree->self[node];
        tree->total[tree->parent[node]] += tree->total[node];
    }
    return true;
}

pyprof_status pp_tree_make(pp_tree *tree, const pp_allocator *allocator,
                           const pyprof_tables *tables, const uint64_t *counts,
                           size_t n_counts, const uint32_t *item_of,
                           uint32_t n_items, pyprof_error *err)
{
    *tree = (pp_tree){.allocator = allocator};
    tree->node_of =
        numbers(allocator, n_counts > 0 ? n_counts : 1, sizeof(uint32_t));
    if (tree->node_of == NULL ||
        !merge_stacks(tree, tables, counts, n_counts, item_of) ||
        !make_sums(tree) || !link_children(tree, n_items)) {
        return pp_error_memory(err, "the tree of stacks");
    }
    return PYPROF_OK;
}

void pp_tree_free(pp_tree *tree)
{
    const pp_allocator *a = tree->allocator;
    pp_free(a, tree->parent);
    pp_free(a, tree->item);
    pp_free(a, tree->self);
    pp_free(a, tree->total);
    pp_free(a, tree->first_child);
    pp_free(a, tree->next_sibling);
    pp_free(a, tree->node_of);
    *tree = (pp_tree){.allocator = a};
}

void pp_tree_walk(const pp_tree *tree, void (*enter)(void *user, uint32_t node),
                  void (*leave)(void *user, uint32_t node), void *user)
{
    uint32_t node = tree->n == 0 ? 0 : tree->first_child[0];
    while (node != 0) {
        enter(user, node);
        if (tree->first_child[node] != 0) {
            node = tree->first_child[node];
            continue;
        }
        for (;;) {
            if (leave != NULL) {
                leave(user, node);
            }
            if (tree->next_sibling[node] != 0) {
                node = tree->next_sibling[node];
                break;
            }
            node = tree->parent[node];
            if (node == 0) {
                return;
            }
        }
    }
}
