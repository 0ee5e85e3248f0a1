/*
 * nodes: frames and stacks, the two tables that every sample goes through. In
 * go numbers, out come numbers; no text is touched.
 *
 * Invariants:
 * 1. Equal (parent, frame) give equal stacks, equal (function, position) equal
 *    frames, for as long as the tables live.
 * 2. A stack's parent has a lower number than the stack itself.
 * 3. A cap never fails a call: what does not fit is folded and counted. Only
 *    the elements that stand for the folded ones go beyond a cap: one frame a
 *    function, one stack.
 * 4. An index is grown when an element is added, never in a look-up: something
 *    known costs one slot, one node and a comparison.
 */
#include "sample/tables.h"

/* ---- stacks ------------------------------------------------------------ */

static uint64_t stack_hash(uint32_t parent, uint32_t frame)
{
    return pp_hash_u64((uint64_t)parent << 32 | frame);
}

static uint64_t stack_hash_of(const pyprof_tables *tables, uint32_t number)
{
    const pp_stack_node *node = pp_pool_at(&tables->stacks, number);
    return stack_hash(node->parent, node->frame);
}

/* The slot with the stack, or the free one where it belongs. */
static uint32_t *stack_slot(const pyprof_tables *tables, uint32_t parent,
                            uint32_t frame)
{
    uint32_t mask = tables->stack_index.mask;
    uint32_t *slots = tables->stack_index.slots;
    uint32_t i = (uint32_t)stack_hash(parent, frame) & mask;
    while (slots[i] != 0) {
        const pp_stack_node *node = pp_pool_at(&tables->stacks, slots[i]);
        if (node->parent == parent && node->frame == frame) {
            break;
        }
        i = (i + 1) & mask;
    }
    return &slots[i];
}

static uint32_t stack_add(pyprof_tables *tables, uint32_t parent,
                          uint32_t frame, uint32_t *slot)
{
    pp_stack_node *node = pp_pool_next(&tables->stacks, &tables->allocator);
    if (node == NULL) {
        return 0;
    }
    *node = (pp_stack_node){
        .parent = parent,
        .frame = frame,
        .depth = pp_tables_depth(tables, parent) + 1,
    };
    *slot = tables->stacks.n + 1;
    if (!pp_index_ready(&tables->stack_index, tables->stacks.n + 1, tables,
                        stack_hash_of)) {
        *slot = 0;
        return 0;
    }
    return ++tables->stacks.n;
}

static uint32_t stack_folded(pyprof_tables *tables, uint32_t parent)
{
    if (parent == 0) {
        uint32_t *slot = stack_slot(tables, 0, tables->other_stacks);
        parent = *slot != 0 ? *slot
                            : stack_add(tables, 0, tables->other_stacks, slot);
    }
    tables->folded += parent != 0;
    return parent;
}

uint32_t pp_tables_stack(pyprof_tables *tables, uint32_t parent, uint32_t frame)
{
    uint32_t *slot = stack_slot(tables, parent, frame);
    if (PP_LIKELY(*slot != 0)) {
        return *slot;
    }
    if (parent > tables->stacks.n || frame == 0 || frame > tables->frames.n) {
        return 0;
    }
    if (tables->stacks.n >= tables->max_stacks) {
        return stack_folded(tables, parent);
    }
    return stack_add(tables, parent, frame, slot);
}

uint32_t pp_tables_depth(const pyprof_tables *tables, uint32_t stack)
{
    if (stack == 0 || stack > tables->stacks.n) {
        return 0;
    }
    const pp_stack_node *node = pp_pool_at(&tables->stacks, stack);
    return node->depth;
}

bool pp_tables_stack_view(const pyprof_tables *tables, uint32_t stack,
                          uint32_t *out_parent, uint32_t *out_frame)
{
    if (stack == 0 || stack > tables->stacks.n) {
        return false;
    }
    const pp_stack_node *node = pp_pool_at(&tables->stacks, stack);
    if (out_parent != NULL) {
        *out_parent = node->parent;
    }
    if (out_frame != NULL) {
        *out_frame = node->frame;
    }
    return true;
}

/* ---- frames ------------------------------------------------------------ */

static uint64_t frame_hash(uint32_t function, const pp_position *at)
{
    uint64_t a = (uint64_t)function << 32 | (uint32_t)at->line;
    uint64_t b = (uint64_t)(uint32_t)at->end_line << 32 | (uint32_t)at->column;
    uint64_t c =
        (uint64_t)(uint32_t)at->end_column << 32 | (uint32_t)at->opcode;
    return pp_hash_u64(a + b * UINT64_C(0x9e3779b97f4a7c15) +
                       c * UINT64_C(0xc2b2ae3d27d4eb4f));
}

static uint64_t frame_hash_of(const pyprof_tables *tables, uint32_t number)
{
    const pp_frame_node *node = pp_pool_at(&tables->frames, number);
    return frame_hash(node->function, &node->position);
}

static bool is_same_position(const pp_position *a, const pp_position *b)
{
    return a->line == b->line && a->end_line == b->end_line &&
           a->column == b->column && a->end_column == b->end_column &&
           a->opcode == b->opcode;
}

static uint32_t *frame_slot(const pyprof_tables *tables, uint32_t function,
                            const pp_position *position)
{
    uint32_t mask = tables->frame_index.mask;
    uint32_t *slots = tables->frame_index.slots;
    uint32_t i = (uint32_t)frame_hash(function, position) & mask;
    while (slots[i] != 0) {
        const pp_frame_node *node = pp_pool_at(&tables->frames, slots[i]);
        if (node->function == function &&
            is_same_position(&node->position, position)) {
            break;
        }
        i = (i + 1) & mask;
    }
    return &slots[i];
}

static uint32_t frame_add(pyprof_tables *tables, uint32_t function,
                          const pp_position *position, uint32_t *slot)
{
    pp_frame_node *node = pp_pool_next(&tables->frames, &tables->allocator);
    if (node == NULL) {
        return 0;
    }
    *node = (pp_frame_node){.function = function, .position = *position};
    *slot = tables->frames.n + 1;
    if (!pp_index_ready(&tables->frame_index, tables->frames.n + 1, tables,
                        frame_hash_of)) {
        *slot = 0;
        return 0;
    }
    return ++tables->frames.n;
}

uint32_t pp_tables_frame(pyprof_tables *tables, uint32_t function,
                         const pp_position *position)
{
    uint32_t *slot = frame_slot(tables, function, position);
    if (PP_LIKELY(*slot != 0)) {
        return *slot;
    }
    if (function == 0 || function > tables->functions.n) {
        return 0;
    }
    if (tables->frames.n < tables->max_frames) {
        return frame_add(tables, function, position, slot);
    }
    slot = frame_slot(tables, function, &PP_POSITION_UNKNOWN);
    uint32_t reserve =
        *slot != 0 ? *slot
                   : frame_add(tables, function, &PP_POSITION_UNKNOWN, slot);
    tables->folded += reserve != 0;
    return reserve;
}

uint32_t pp_tables_frame_function(const pyprof_tables *tables, uint32_t frame)
{
    if (frame == 0 || frame > tables->frames.n) {
        return 0;
    }
    const pp_frame_node *node = pp_pool_at(&tables->frames, frame);
    return node->function;
}

bool pp_tables_frame_view(const pyprof_tables *tables, uint32_t frame,
                          pyprof_frame *out)
{
    if (frame == 0 || frame > tables->frames.n) {
        return false;
    }
    const pp_frame_node *node = pp_pool_at(&tables->frames, frame);
    pp_function_key key;
    if (!pp_tables_function_view(tables, node->function, &key)) {
        return false;
    }
    *out = (pyprof_frame){
        .sz = sizeof(*out),
        .function = key.qualname,
        .name = key.name,
        .file = key.file,
        .function_id = node->function,
        .kind = key.kind,
        .first_line = key.first_line,
        .line = node->position.line,
        .end_line = node->position.end_line,
        .column = node->position.column,
        .end_column = node->position.end_column,
        .opcode = node->position.opcode,
    };
    return true;
}

bool pp_nodes_init(pyprof_tables *tables)
{
    tables->stacks.element = sizeof(pp_stack_node);
    tables->frames.element = sizeof(pp_frame_node);
    return pp_index_ready(&tables->stack_index, 0, tables, stack_hash_of) &&
           pp_index_ready(&tables->frame_index, 0, tables, frame_hash_of);
}
