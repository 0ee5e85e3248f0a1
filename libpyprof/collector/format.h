/*
 * What the built-in formats share: how one is made, counting by number, and the
 * steps from numbers to names that come at the end.
 *
 * A format counts in its `sample` slot without touching a text, and works in
 * its `finish` slot:
 *   counts by stack -> pp_tree, whose nodes are what the format tells apart
 *   (lines, functions, texts) -> pp_tree_walk -> rows -> text.
 */
#ifndef PP_COLLECTOR_FORMAT_H
#define PP_COLLECTOR_FORMAT_H

#include "collector/collector.h"

/* ---- how a format is made ---------------------------------------------- */

typedef struct pp_format {
    /* name and caps come from formats.def; `free` as in pp_collector_new_own */
    pyprof_collector_ops ops;
    /* Of what the slots get as `self`: see pp_collector_new_own. */
    size_t size;
    /* Completes it. `opts` is whole and checked, and gone afterwards: copy what
     * is needed. */
    void (*init)(void *self, const pyprof_format_opts *opts);
} pp_format;

/* A collector that owns its `self`: `size` bytes that begin with a pp_allocator
 * to use, zeros behind it. The `free` slot gives back what those hold, but not
 * themselves. PYPROF_ERR_NO_MEMORY. */
pyprof_status pp_collector_new_own(const pyprof_collector_ops *ops, size_t size,
                                   const pp_allocator *allocator,
                                   void **out_self, pyprof_collector **out,
                                   pyprof_error *err);

#define PP_FORMAT(id, name, suffix, description, caps) \
    extern const pp_format pp_format_##id;
#include "collector/formats.def"
#undef PP_FORMAT

/* ---- counts.c ---------------------------------------------------------- */

/* How often each stack was seen. */
typedef struct pp_counts {
    const pp_allocator *allocator; /* must outlive the counts */
    const pyprof_tables *tables;   /* alive until the next begin */
    uint64_t interval_ns;
    uint64_t *by_stack; /* by number; n of them, 0 is not used */
    size_t n, cap;
    uint64_t stacks;     /* sum of by_stack */
    uint64_t torn;       /* of these, torn */
    uint64_t empty;      /* besides: threads without a Python frame */
    uint64_t unreadable; /* besides: nothing could be read */
} pp_counts;

void pp_counts_init(pp_counts *counts, const pp_allocator *allocator);
/* Starts anew, with the tables and the interval of a session. */
void pp_counts_begin(pp_counts *counts, const pyprof_session *session);
/* Counts all stacks of a sample; takes memory only for new stacks. */
pyprof_status pp_counts_add(pp_counts *counts, const pyprof_sample *sample,
                            pyprof_error *err);
/* The time that one sample stands for: the interval, and its share of the ticks
 * that were missed. */
double pp_counts_seconds(const pp_counts *counts,
                         const pyprof_summary *summary);
void pp_counts_free(pp_counts *counts);

/* ---- tree.c ------------------------------------------------------------ */

/* The stacks as a tree, in which frames that a format does not tell apart are
 * one node. Nodes are numbered from 1, callers before what they call; 0 is
 * above all roots. */
typedef struct pp_tree {
    const pp_allocator *allocator;
    uint32_t n;
    size_t cap;
    uint32_t *parent;
    uint32_t *item;  /* what the node is: see pp_tree_make */
    uint64_t *self;  /* samples that end in the node */
    uint64_t *total; /* and in those that it calls */
    uint32_t *first_child;
    uint32_t *next_sibling;
    uint32_t *node_of; /* node of a stack number, 0: none */
} pp_tree;

/* Makes the tree of the `n_counts` first stacks of `tables`. `item_of` gives,
 * by frame number (its length is pp_tables_frames + 1), what the format takes
 * it for: a number from 1 to `n_items`. Children are in the order of their
 * items. PYPROF_ERR_NO_MEMORY leaves a tree that can be freed. */
pyprof_status pp_tree_make(pp_tree *tree, const pp_allocator *allocator,
                           const pyprof_tables *tables, const uint64_t *counts,
                           size_t n_counts, const uint32_t *item_of,
                           uint32_t n_items, pyprof_error *err);
void pp_tree_free(pp_tree *tree);

/* Visits all nodes that have samples, callers first, without recursion of its
 * own: `enter` before the children of a node, `leave` (may be NULL) after. */
void pp_tree_walk(const pp_tree *tree, void (*enter)(void *user, uint32_t node),
                  void (*leave)(void *user, uint32_t node), void *user);

/* ---- rows.c ------------------------------------------------------------ */

/* What frames are taken together. */
enum {
    PP_ROWS_BY_LINE = 1,    /* file, line that is executed, qualified name */
    PP_ROWS_BY_FUNCTION = 2 /* file, line of the definition, qualified name */
};

typedef struct pp_row {
    pyprof_text file; /* "~" for a synthetic frame, "<task>" for a task */
    pyprof_text name;
    int32_t line; /* 0: not known */
    int32_t kind; /* PYPROF_FRAME_ */
} pp_row;

/* Distinct keys of frames, by number from 1. */
typedef struct pp_rows {
    const pp_allocator *allocator;
    pp_intern keys;
    pp_row *rows; /* rows[number - 1] */
    size_t n, cap;
    uint32_t *row_of; /* by frame number */
} pp_rows;

/* PYPROF_ERR_NO_MEMORY leaves rows that can be freed. */
pyprof_status pp_rows_make(pp_rows *rows, const pp_allocator *allocator,
                           const pyprof_tables *tables, int by,
                           pyprof_error *err);
void pp_rows_free(pp_rows *rows);

/* Whether text is `literal`. */
bool pp_text_is(pyprof_text text, const char *literal);

/* ---- sums.c ------------------------------------------------------------ */

/* One pair of rows of which one calls the other. */
typedef struct pp_sum_edge {
    uint32_t caller;
    uint32_t next;   /* next edge of the same row, 0: none */
    uint32_t active; /* how often it is in the stack that is walked */
    uint64_t each;   /* samples, each call of a recursion counted */
    uint64_t once;   /* samples, counted once a stack */
    uint64_t self;   /* samples that end in the row, called so */
} pp_sum_edge;

typedef struct pp_sum {
    uint64_t self;
    uint64_t total;
    uint32_t active;
    uint32_t first_edge; /* 0: none */
} pp_sum;

typedef struct pp_sums {
    const pp_allocator *allocator;
    pp_rows rows;
    pp_tree tree;
    pp_sum *of_row;     /* by row number */
    pp_map edge_of;     /* row << 32 | caller -> edge number */
    pp_sum_edge *edges; /* edges[number - 1] */
    size_t n_edges, cap_edges;
    uint32_t *node_edge; /* by node: its edge number, 0: a root */
    bool is_failed;
} pp_sums;

/* `by` is one of PP_ROWS_BY_. PYPROF_ERR_NO_MEMORY leaves sums that can be
 * freed, and so does success. */
pyprof_status pp_sums_make(pp_sums *s, const pp_allocator *allocator,
                           const pp_counts *counts, int by, pyprof_error *err);
void pp_sums_free(pp_sums *s);

/* ---- calls.c ----------------------------------------------------------- */

/* Calls of all functions that have the same file, line and name. */
typedef struct pp_call_row {
    pyprof_text file, name, qualname;
    int32_t line;
    uint32_t first_edge; /* 0: none */
    uint64_t calls, primitive;
    double own, total;
} pp_call_row;

typedef struct pp_call_edge {
    uint32_t callee, caller; /* indices of rows */
    uint32_t next;           /* next edge of the same callee, 0: none */
    uint64_t calls, primitive;
    double own, total;
} pp_call_edge;

/* What a tracer recorded, kept: text and all. */
typedef struct pp_calls {
    const pp_allocator *allocator; /* must outlive it */
    pp_intern texts, keys;
    pp_call_row *rows;
    size_t n_rows, cap_rows;
    pp_call_edge *edges; /* edges[number - 1] */
    size_t n_edges, cap_edges;
    pp_map edge_of; /* callee << 32 | caller -> number */
} pp_calls;

void pp_calls_init(pp_calls *calls, const pp_allocator *allocator);
/* Replaces what is there. PYPROF_ERR_INVALID: an index that is none. */
pyprof_status pp_calls_make(pp_calls *calls, const pyprof_calls *from,
                            pyprof_error *err);
void pp_calls_free(pp_calls *calls);

/* ---- line.c ------------------------------------------------------------ */

/* Text that is put together before it is written. Running out of memory is
 * remembered and shows in the end. */
typedef struct pp_line {
    const pp_allocator *allocator;
    char *data; /* NULL: empty; not NUL-terminated */
    size_t size, cap;
    bool is_failed;
} pp_line;

void pp_line_init(pp_line *line, const pp_allocator *allocator);
void pp_line_clear(pp_line *line);
void pp_line_add(pp_line *line, const char *data, size_t size);
void pp_line_text(pp_line *line, const char *text);
void pp_line_number(pp_line *line, uint64_t number);
/* For what is not text: LEB128, zigzag, and `size` <= 8 bytes, lowest first. */
void pp_line_varint(pp_line *line, uint64_t value);
void pp_line_signed(pp_line *line, int64_t value);
void pp_line_fixed(pp_line *line, uint64_t value, unsigned size);
/* As pp_text_line makes it, with each `avoid` (0: none) as `instead`. */
void pp_line_clean(pp_line *line, pyprof_text text, char avoid, char instead);
/* A JSON string with its quotes, of ASCII alone: a byte that is no UTF-8 is
 * U+FFFD, a surrogate stays one. */
void pp_line_json(pp_line *line, pyprof_text text);
/* Nanoseconds as milliseconds with three decimals, cut, not rounded; without
 * zeros at the end. */
void pp_line_ms(pp_line *line, uint64_t ns);
/* Writes it; PYPROF_ERR_NO_MEMORY when a part is missing. */
pyprof_status pp_line_write(const pp_line *line, pyprof_writer *w,
                            pyprof_error *err);
void pp_line_free(pp_line *line);

/* The last `parts` components of a path. */
pyprof_text pp_path_tail(pyprof_text path, unsigned parts);

#endif /* PP_COLLECTOR_FORMAT_H */
