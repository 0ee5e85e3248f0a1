/*
 * sums: samples by row, and by pair of rows of which one calls the other. In go
 * counts by stack, out come sums in which a recursion counts once a stack.
 */
#include "collector/format.h"

/* The edge number, 0 when out of memory. */
static uint32_t edge_between(pp_sums *s, uint32_t row, uint32_t caller)
{
    bool is_new;
    uint64_t key = (uint64_t)row << 32 | caller;
    uint64_t *number = pp_map_put(&s->edge_of, key, &is_new);
    if (number != NULL && is_new) {
        if (!pp_grow(s->allocator, &s->edges, &s->cap_edges, sizeof(*s->edges),
                     s->n_edges + 1, UINT32_MAX)) {
            return 0;
        }
        s->edges[s->n_edges] =
            (pp_sum_edge){.caller = caller, .next = s->of_row[row].first_edge};
        *number = ++s->n_edges;
        s->of_row[row].first_edge = (uint32_t)s->n_edges;
    }
    return number != NULL ? (uint32_t)*number : 0;
}

static void enter_edge(pp_sums *s, uint32_t node)
{
    const pp_tree *tree = &s->tree;
    uint32_t parent = tree->parent[node];
    if (parent == 0 || s->is_failed) {
        return;
    }
    uint32_t number = edge_between(s, tree->item[node], tree->item[parent]);
    s->node_edge[node] = number;
    if (number == 0) {
        s->is_failed = true;
        return;
    }
    pp_sum_edge *e = &s->edges[number - 1];
    e->each += tree->total[node];
    e->self += tree->self[node];
    if (e->active++ == 0) {
        e->once += tree->total[node];
    }
}

static void enter_node(void *user, uint32_t node)
{
    pp_sums *s = user;
    pp_sum *sum = &s->of_row[s->tree.item[node]];
    sum->self += s->tree.self[node];
    if (sum->active++ == 0) {
        sum->total += s->tree.total[node];
    }
    enter_edge(s, node);
}

static void leave_node(void *user, uint32_t node)
{
    pp_sums *s = user;
    s->of_row[s->tree.item[node]].active--;
    if (s->node_edge[node] != 0) {
        s->edges[s->node_edge[node] - 1].active--;
    }
}

pyprof_status pp_sums_make(pp_sums *s, const pp_allocator *allocator,
                           const pp_counts *counts, int by, pyprof_error *err)
{
    *s = (pp_sums){.allocator = allocator};
    pp_map_init(&s->edge_of, allocator);
    s->rows.allocator = allocator;
    s->tree.allocator = allocator;
    pp_intern_init(&s->rows.keys, allocator);
    PP_TRY(pp_rows_make(&s->rows, allocator, counts->tables, by, err));
    PP_TRY(pp_tree_make(&s->tree, allocator, counts->tables, counts->by_stack,
                        counts->n, s->rows.row_of, (uint32_t)s->rows.n, err));
    s->of_row = pp_calloc(allocator, s->rows.n + 1, sizeof(*s->of_row));
    s->node_edge =
        pp_calloc(allocator, (size_t)s->tree.n + 1, sizeof(*s->node_edge));
    if (s->of_row == NULL || s->node_edge == NULL) {
        return pp_error_memory(err, "rows");
    }
    pp_tree_walk(&s->tree, enter_node, leave_node, s);
    return s->is_failed ? pp_error_memory(err, "callers") : PYPROF_OK;
}

void pp_sums_free(pp_sums *s)
{
    pp_rows_free(&s->rows);
    pp_tree_free(&s->tree);
    pp_map_free(&s->edge_of);
    pp_free(s->allocator, s->of_row);
    pp_free(s->allocator, s->edges);
    pp_free(s->allocator, s->node_edge);
}
