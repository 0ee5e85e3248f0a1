/*
 * hash: bytes to a number, eight at a time. In go names and paths of code; they
 * differ in few bytes, so each step spreads every bit before the next.
 */
#include "base/base.h"

#include <string.h>

#define HASH_SEED UINT64_C(0x9ae16a3b2f90404f)

static uint64_t spread(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

uint64_t pp_hash_bytes(const void *data, size_t size)
{
    const unsigned char *p = data;
    /* the size goes in, so that zero bytes at the end count */
    uint64_t hash = HASH_SEED ^ (uint64_t)size;
    uint64_t word;
    for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        hash = spread(hash, word);
    }
    if (size > 0) {
        word = 0;
        memcpy(&word, p, size);
        hash = spread(hash, word);
    }
    return pp_hash_u64(hash);
}
