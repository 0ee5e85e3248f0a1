/*
 * arena: many small pieces of memory with one end. Blocks are taken from the
 * allocator, each twice as large as the last up to a bound, and pieces are cut
 * from the newest one.
 *
 * Invariants:
 * 1. A piece never moves and is 8-byte aligned.
 * 2. head is the block that pieces are cut from; a piece that is too large for
 *    a usual block gets its own, put behind head, so that head's rest is kept.
 */
#include "base/base.h"

#include <string.h>

#define BLOCK_MIN ((size_t)1024)
#define BLOCK_MAX ((size_t)65536)
#define PIECE_ALIGN ((size_t)8)

struct pp_arena_block {
    struct pp_arena_block *next;
    size_t size; /* bytes of data */
    size_t used;
    uint64_t data[]; /* uint64_t for its alignment */
};

void pp_arena_init(pp_arena *arena, const pp_allocator *allocator)
{
    *arena = (pp_arena){.allocator = allocator};
}

static struct pp_arena_block *new_block(pp_arena *arena, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct pp_arena_block)) {
        return NULL;
    }
    size_t bytes = sizeof(struct pp_arena_block) + size;
    struct pp_arena_block *block = pp_alloc(arena->allocator, bytes);
    if (block != NULL) {
        block->size = size;
        block->used = 0;
        arena->reserved += bytes;
    }
    return block;
}

/* A block with room for `size` bytes, as head or behind it. */
static struct pp_arena_block *block_for(pp_arena *arena, size_t size)
{
    struct pp_arena_block *head = arena->head;
    if (head != NULL && head->size - head->used >= size) {
        return head;
    }
    size_t usual = head == NULL ? BLOCK_MIN : head->size * 2;
    if (usual > BLOCK_MAX) {
        usual = BLOCK_MAX;
    }
    if (usual < BLOCK_MIN) {
        usual = BLOCK_MIN;
    }
    bool own = size > usual / 2;
    struct pp_arena_block *block = new_block(arena, own ? size : usual);
    if (block == NULL) {
        return NULL;
    }
    if (own && head != NULL) {
        block->next = head->next;
        head->next = block;
    } else {
        block->next = head;
        arena->head = block;
    }
    return block;
}

void *pp_arena_alloc(pp_arena *arena, size_t size)
{
    if (size > SIZE_MAX - PIECE_ALIGN) {
        return NULL;
    }
    size = (size + PIECE_ALIGN - 1) & ~(PIECE_ALIGN - 1);
    if (size == 0) {
        size = PIECE_ALIGN;
    }
    struct pp_arena_block *block = block_for(arena, size);
    if (block == NULL) {
        return NULL;
    }
    void *piece = (char *)block->data + block->used;
    block->used += size;
    arena->used += size;
    return piece;
}

char *pp_arena_text(pp_arena *arena, const void *data, size_t size)
{
    if (size == SIZE_MAX) {
        return NULL;
    }
    char *text = pp_arena_alloc(arena, size + 1);
    if (text == NULL) {
        return NULL;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

void pp_arena_free(pp_arena *arena)
{
    struct pp_arena_block *block = arena->head;
    while (block != NULL) {
        struct pp_arena_block *next = block->next;
        pp_free(arena->allocator, block);
        block = next;
    }
    pp_arena_init(arena, arena->allocator);
}
