/*
 * nodes: what a page has of a profile, between nodes.c, which makes it, and
 * write.c and names.c, which write it.
 */
#ifndef PP_COLLECTOR_FLAMEGRAPH_NODES_H
#define PP_COLLECTOR_FLAMEGRAPH_NODES_H

#include "collector/flamegraph/flamegraph.h"

/* A line of a function: what a node is. */
typedef struct pp_flame_item {
    uint32_t function; /* of the tables */
    uint32_t line;     /* 0: not known */
    uint32_t frame;    /* one of its frames */
    uint32_t uses;     /* nodes that are it */
} pp_flame_item;

/* Samples of a thread that end in a node. */
typedef struct pp_flame_entry {
    uint32_t thread;
    uint32_t stack; /* then: the node's rank */
    uint64_t count;
} pp_flame_entry;

typedef struct pp_flame_nodes {
    const pp_allocator *allocator;
    const pyprof_tables *tables;
    pp_flame_item *items; /* by number from 0 */
    size_t n_items, cap_items;
    uint32_t *item_of; /* by frame: number + 1 */
    pp_tree tree;      /* its items are numbers + 1 */
    /* by item number: its place in the page, from 1, most used first; 0: no
     * node has it */
    uint32_t *place_of;
    uint32_t *item_at; /* by place - 1: item number */
    uint32_t n_places;
    /* By node: its rank in the page (callers first, from 1). One that is folded
     * has the rank of the block that stands for it. */
    uint32_t *rank_of;
    uint32_t *folded; /* by node: how many below it are folded */
    uint32_t n_ranks;
    uint32_t n_folded;       /* in all */
    uint64_t fold_below;     /* samples: smaller ones are folded */
    uint32_t fold_ties;      /* nodes with just so many that are kept */
    pp_flame_entry *entries; /* of the profile, then of its baseline */
    size_t n_entries[2];
} pp_flame_nodes;

/* PYPROF_ERR_NO_MEMORY leaves nodes that can be freed. `merged` may be NULL:
 * then there is no baseline. */
pyprof_status pp_flame_nodes_make(pp_flame_nodes *nodes, const pp_flame *flame,
                                  const pp_flame_merged *merged,
                                  pyprof_error *err);
/* Whether a node is in the page itself. */
bool pp_flame_nodes_has(const pp_flame_nodes *nodes, uint32_t node);
void pp_flame_nodes_free(pp_flame_nodes *nodes);

/* ---- names.c ------------------------------------------------------------- */

/* Writes functions, lines, files, names, source lines and opcodes. */
pyprof_status pp_flame_names_write(const pp_flame_nodes *nodes,
                                   const pp_flame *flame, pyprof_writer *w,
                                   pyprof_error *err);
/* Begin and end of a block of data of a page. */
pyprof_status pp_flame_block_open(pyprof_writer *w, const char *name,
                                  pyprof_error *err);
pyprof_status pp_flame_block_close(pyprof_writer *w, pyprof_error *err);

#endif /* PP_COLLECTOR_FLAMEGRAPH_NODES_H */
