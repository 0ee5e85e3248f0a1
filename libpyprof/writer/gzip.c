/*
 * gzip: a writer around a writer that makes a gzip file (RFC 1952) of deflate
 * blocks (RFC 1951). In go bytes, out goes the file.
 *
 * Input is taken in pieces of up to 32 KiB. A piece becomes literals and
 * matches (the longest of a few candidates with the same three bytes, within
 * the 32 KiB before), and these one block with Huffman codes of its own.
 *
 * Invariants:
 * 1. `window` is `history` bytes that were written, then the piece at hand;
 *    `at` is the position of its first byte, modulo 2^32.
 * 2. `head` and `chain` have positions. Old ones may be anything: a candidate
 *    counts only if it lies within the history and its bytes match.
 */
#include "writer/sink.h"

#include <string.h>

enum {
    WINDOW = 32768,
    HASH_BITS = 15,
    TRIES = 24, /* candidates that are looked at */
    MATCH_MIN = 3,
    MATCH_MAX = 258,
    GOOD_MATCH = 64, /* no better one is looked for */
    END_OF_BLOCK = 256,
    N_LITERALS = 286,
    N_DISTANCES = 30,
    N_LENGTHS = 19,
    BITS_MAX = 15,
    LENGTH_BITS_MAX = 7,
    N_CODES_MAX = N_LITERALS
};

typedef struct symbol {
    uint16_t value;    /* a byte, or the length of a match */
    uint16_t distance; /* 0: a byte */
} symbol;

typedef struct code {
    uint16_t bits[N_CODES_MAX]; /* first bit lowest */
    uint8_t size[N_CODES_MAX];  /* 0: not used */
} code;

typedef struct gzip {
    uint8_t window[2 * WINDOW];
    uint32_t history;
    uint32_t at;
    uint32_t head[1 << HASH_BITS]; /* position plus one */
    uint32_t chain[WINDOW];        /* by position: the one before it */
    symbol symbols[WINDOW];
    size_t n_symbols;
    code literals, distances, lengths;
    uint64_t bits; /* not put out yet, lowest first */
    unsigned n_bits;
    size_t n_out;
    uint32_t crc, size;
} gzip;

/* ---- bits -------------------------------------------------------------- */

static pyprof_status put_out(pyprof_writer *w, pyprof_error *err)
{
    gzip *g = w->as.packed.state;
    size_t n = g->n_out;
    g->n_out = 0;
    return n == 0
               ? PYPROF_OK
               : pp_writer_write(w->as.packed.inner, w->as.packed.out, n, err);
}

/* Whoever writes bits leaves room: see put_block. */
static void put_bits(pyprof_writer *w, uint32_t bits, unsigned n)
{
    gzip *g = w->as.packed.state;
    g->bits |= (uint64_t)bits << g->n_bits;
    g->n_bits += n;
    while (g->n_bits >= 8) {
        w->as.packed.out[g->n_out++] = (char)(g->bits & 0xff);
        g->bits >>= 8;
        g->n_bits -= 8;
    }
}

static void align_bits(pyprof_writer *w)
{
    const gzip *g = w->as.packed.state;
    if (g->n_bits > 0) {
        put_bits(w, 0, 8 - g->n_bits);
    }
}

static pyprof_status make_room(pyprof_writer *w, size_t need, pyprof_error *err)
{
    const gzip *g = w->as.packed.state;
    return g->n_out + need > PP_WRITER_BUFFER ? put_out(w, err) : PYPROF_OK;
}

/* ---- Huffman codes ----------------------------------------------------- */

/* The two rarest trees of `n`, those of weight 0 aside; false if there is but
 * one. */
static bool rarest(const uint32_t *weight, size_t n, size_t two[2])
{
    two[0] = SIZE_MAX;
    two[1] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (weight[i] == 0) {
            continue;
        }
        if (two[0] == SIZE_MAX || weight[i] < weight[two[0]]) {
            two[1] = two[0];
            two[0] = i;
        } else if (two[1] == SIZE_MAX || weight[i] < weight[two[1]]) {
            two[1] = i;
        }
    }
    return two[1] != SIZE_MAX;
}

/* Lengths of the codes of an optimal tree. Returns the longest. */
static unsigned make_tree(const uint32_t *counts, size_t n, uint8_t *size)
{
    uint32_t weight[2 * N_CODES_MAX] = {0};
    uint16_t parent[2 * N_CODES_MAX] = {0};
    uint8_t depth[2 * N_CODES_MAX] = {0};
    size_t two[2];
    size_t n_trees = n;
    unsigned longest = 0;
    memcpy(weight, counts, n * sizeof(*counts));
    while (rarest(weight, n_trees, two)) {
        weight[n_trees] = weight[two[0]] + weight[two[1]];
        for (int i = 0; i < 2; i++) {
            weight[two[i]] = 0;
            parent[two[i]] = (uint16_t)n_trees;
        }
        n_trees++;
    }
    for (size_t i = n_trees; i > 0; i--) {
        if (parent[i - 1] != 0) {
            depth[i - 1] = (uint8_t)(depth[parent[i - 1]] + 1);
        }
    }
    for (size_t i = 0; i < n; i++) {
        /* one code alone has a bit as well */
        size[i] = counts[i] == 0 ? 0 : depth[i] == 0 ? 1 : depth[i];
        longest = size[i] > longest ? size[i] : longest;
    }
    return longest;
}

static uint16_t reversed(uint32_t bits, unsigned n)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < n; i++) {
        out = out << 1 | (bits >> i & 1);
    }
    return (uint16_t)out;
}

/* Codes of up to `max` bits: where the tree is deeper, with counts that are
 * flattened until it is not. `counts` change. */
static void make_code(code *c, uint32_t *counts, size_t n, unsigned max)
{
    uint32_t next[BITS_MAX + 2] = {0};
    while (make_tree(counts, n, c->size) > max) {
        for (size_t i = 0; i < n; i++) {
            counts[i] = (counts[i] + 1) / 2;
        }
    }
    for (size_t i = 0; i < n; i++) {
        next[c->size[i] + 1] += c->size[i] != 0;
    }
    for (unsigned bits = 1; bits <= BITS_MAX; bits++) {
        next[bits] = (next[bits] + next[bits - 1]) << 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (c->size[i] != 0) {
            c->bits[i] = reversed(next[c->size[i]]++, c->size[i]);
        }
    }
}

/* ---- lengths and distances --------------------------------------------- */

/* A length is 257 and up: eight codes have no extra bit, then each four have
 * one more; distances begin with four, then each two. */
static unsigned length_code(unsigned length, unsigned *extra, unsigned *n_extra)
{
    unsigned l = length - MATCH_MIN;
    *n_extra = 0;
    *extra = 0;
    if (length == MATCH_MAX) {
        return 285;
    }
    if (l < 8) {
        return 257 + l;
    }
    unsigned top = 31U - (unsigned)__builtin_clz(l);
    *n_extra = top - 2;
    *extra = l & ((1U << *n_extra) - 1);
    return 257 + 4 * (top - 1) + (l >> *n_extra & 3);
}

static unsigned distance_code(unsigned distance, unsigned *extra,
                              unsigned *n_extra)
{
    unsigned d = distance - 1;
    *n_extra = 0;
    *extra = 0;
    if (d < 4) {
        return d;
    }
    unsigned top = 31U - (unsigned)__builtin_clz(d);
    *n_extra = top - 1;
    *extra = d & ((1U << *n_extra) - 1);
    return 2 * top + (d >> *n_extra & 1);
}

/* ---- a block ----------------------------------------------------------- */

static void count_symbols(gzip *g)
{
    uint32_t literals[N_LITERALS] = {0};
    uint32_t distances[N_DISTANCES] = {0};
    unsigned extra;
    unsigned n_extra;
    literals[END_OF_BLOCK] = 1;
    for (size_t i = 0; i < g->n_symbols; i++) {
        const symbol *s = &g->symbols[i];
        if (s->distance == 0) {
            literals[s->value]++;
        } else {
            literals[length_code(s->value, &extra, &n_extra)]++;
            distances[distance_code(s->distance, &extra, &n_extra)]++;
        }
    }
    bool has_match = false;
    for (size_t i = 0; i < N_DISTANCES; i++) {
        has_match = has_match || distances[i] > 0;
    }
    distances[0] += !has_match; /* there has to be one */
    make_code(&g->literals, literals, N_LITERALS, BITS_MAX);
    make_code(&g->distances, distances, N_DISTANCES, BITS_MAX);
}

/* The lengths of both codes, with a code of their own. They are not packed in
 * runs: a block is large enough for it not to matter. */
static void put_codes(pyprof_writer *w)
{
    static const uint8_t order[N_LENGTHS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                             11, 4,  12, 3, 13, 2, 14, 1, 15};
    gzip *g = w->as.packed.state;
    uint8_t sizes[N_LITERALS + N_DISTANCES];
    uint32_t counts[N_LENGTHS] = {0};
    memcpy(sizes, g->literals.size, N_LITERALS);
    memcpy(sizes + N_LITERALS, g->distances.size, N_DISTANCES);
    for (size_t i = 0; i < sizeof(sizes); i++) {
        counts[sizes[i]]++;
    }
    memset(&g->lengths, 0, sizeof(g->lengths));
    make_code(&g->lengths, counts, N_LENGTHS, LENGTH_BITS_MAX);
    put_bits(w, N_LITERALS - 257, 5);
    put_bits(w, N_DISTANCES - 1, 5);
    put_bits(w, N_LENGTHS - 4, 4);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        put_bits(w, g->lengths.size[order[i]], 3);
    }
    for (size_t i = 0; i < sizeof(sizes); i++) {
        put_bits(w, g->lengths.bits[sizes[i]], g->lengths.size[sizes[i]]);
    }
}

static pyprof_status put_block(pyprof_writer *w, pyprof_error *err)
{
    enum {
        ROOM_CODES = 512, /* more than the codes take */
        ROOM_SYMBOL = 16
    };
    gzip *g = w->as.packed.state;
    unsigned extra;
    unsigned n_extra;
    PP_TRY(make_room(w, ROOM_CODES, err));
    count_symbols(g);
    put_bits(w, 0, 1); /* not the last one */
    put_bits(w, 2, 2); /* with codes of its own */
    put_codes(w);
    for (size_t i = 0; i < g->n_symbols; i++) {
        const symbol *s = &g->symbols[i];
        PP_TRY(make_room(w, ROOM_SYMBOL, err));
        if (s->distance == 0) {
            put_bits(w, g->literals.bits[s->value], g->literals.size[s->value]);
            continue;
        }
        unsigned c = length_code(s->value, &extra, &n_extra);
        put_bits(w, g->literals.bits[c], g->literals.size[c]);
        put_bits(w, extra, n_extra);
        c = distance_code(s->distance, &extra, &n_extra);
        put_bits(w, g->distances.bits[c], g->distances.size[c]);
        put_bits(w, extra, n_extra);
    }
    PP_TRY(make_room(w, ROOM_SYMBOL, err));
    put_bits(w, g->literals.bits[END_OF_BLOCK], g->literals.size[END_OF_BLOCK]);
    g->n_symbols = 0;
    return PYPROF_OK;
}

/* ---- matches ----------------------------------------------------------- */

static uint32_t hash_of(const uint8_t *at)
{
    uint32_t three =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
    return three * UINT32_C(0x9e3779b1) >> (32 - HASH_BITS);
}

static unsigned match_size(const uint8_t *a, const uint8_t *b, unsigned max)
{
    unsigned n = 0;
    while (n < max && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* Remembers the bytes at index `i` of the window. */
static void remember(gzip *g, uint32_t i)
{
    uint32_t position = g->at + i - g->history;
    uint32_t *head = &g->head[hash_of(g->window + i)];
    g->chain[position % WINDOW] = *head;
    *head = position + 1;
}

/* The longest match for index `i`; 0: none. */
static unsigned find_match(const gzip *g, uint32_t i, uint32_t end,
                           uint32_t *out_distance)
{
    uint32_t position = g->at + i - g->history;
    uint32_t candidate = g->head[hash_of(g->window + i)];
    unsigned max = end - i < MATCH_MAX ? end - i : MATCH_MAX;
    unsigned best = MATCH_MIN - 1;
    for (int tries = 0; tries < TRIES && candidate != 0; tries++) {
        uint32_t distance = position - (candidate - 1);
        if (distance == 0 || distance > WINDOW || distance > i) {
            break;
        }
        unsigned n = match_size(g->window + i - distance, g->window + i, max);
        if (n > best) {
            best = n;
            *out_distance = distance;
            if (n >= GOOD_MATCH) {
                break;
            }
        }
        candidate = g->chain[(candidate - 1) % WINDOW];
    }
    return best >= MATCH_MIN ? best : 0;
}

/* Takes up to WINDOW bytes into a block. */
static pyprof_status put_piece(pyprof_writer *w, const uint8_t *data,
                               uint32_t size, pyprof_error *err)
{
    gzip *g = w->as.packed.state;
    uint32_t end = g->history + size;
    uint32_t i = g->history;
    memcpy(g->window + g->history, data, size);
    while (i < end) {
        uint32_t distance = 0;
        unsigned n = end - i < MATCH_MIN ? 0 : find_match(g, i, end, &distance);
        g->symbols[g->n_symbols++] =
            n == 0 ? (symbol){.value = g->window[i]}
                   : (symbol){.value = (uint16_t)n,
                              .distance = (uint16_t)distance};
        for (uint32_t next = i + (n == 0 ? 1 : n); i < next; i++) {
            if (end - i >= MATCH_MIN) {
                remember(g, i);
            }
        }
    }
    g->at += size;
    g->history = end < WINDOW ? end : WINDOW;
    memmove(g->window, g->window + end - g->history, g->history);
    return put_block(w, err);
}

/* ---- the sink ---------------------------------------------------------- */

static pyprof_status gzip_write(pyprof_writer *w, const void *data, size_t size,
                                pyprof_error *err)
{
    gzip *g = w->as.packed.state;
    const uint8_t *at = data;
    g->crc = pp_crc32(g->crc, data, size);
    g->size += (uint32_t)size;
    while (size > 0) {
        uint32_t n = size < WINDOW ? (uint32_t)size : WINDOW;
        PP_TRY(put_piece(w, at, n, err));
        at += n;
        size -= n;
    }
    return PYPROF_OK;
}

static pyprof_status gzip_flush(pyprof_writer *w, pyprof_error *err)
{
    PP_TRY(make_room(w, 16, err));
    put_bits(w, 0, 3); /* an empty block of plain bytes ends at a byte */
    align_bits(w);
    put_bits(w, 0xffff0000, 32);
    PP_TRY(put_out(w, err));
    return pp_writer_flush(w->as.packed.inner, err);
}

static pyprof_status gzip_finish(pyprof_writer *w, pyprof_error *err)
{
    const gzip *g = w->as.packed.state;
    PP_TRY(make_room(w, 16, err));
    put_bits(w, 3, 3); /* the last block, of fixed codes: nothing but its end */
    put_bits(w, 0, 7);
    align_bits(w);
    put_bits(w, g->crc, 32);
    put_bits(w, g->size, 32);
    PP_TRY(put_out(w, err));
    return w->as.packed.owns_inner ? pp_writer_finish(w->as.packed.inner, err)
                                   : PYPROF_OK;
}

static void gzip_close(pyprof_writer *w)
{
    pp_free(&w->allocator, w->as.packed.state);
    pp_free(&w->allocator, w->as.packed.out);
    if (w->as.packed.owns_inner) {
        pp_writer_close(w->as.packed.inner);
    }
}

static const pp_sink gzip_sink = {
    .buffer = PP_WRITER_BUFFER,
    .is_packed = true,
    .write = gzip_write,
    .flush = gzip_flush,
    .finish = gzip_finish,
    .close = gzip_close,
};

pyprof_status pp_writer_open_gzip(pyprof_writer *inner, bool owns_inner,
                                  const pp_allocator *a, pyprof_writer **out,
                                  pyprof_error *err)
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    pyprof_writer *w = pp_writer_make(&gzip_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.packed.inner = inner;
    w->as.packed.state = pp_calloc(a, 1, sizeof(gzip));
    w->as.packed.out = pp_alloc(a, PP_WRITER_BUFFER);
    if (w->as.packed.state == NULL || w->as.packed.out == NULL) {
        pp_writer_close(w);
        return pp_error_memory(err, "a writer");
    }
    gzip *g = w->as.packed.state;
    memcpy(w->as.packed.out, head, sizeof(head));
    g->n_out = sizeof(head);
    w->as.packed.owns_inner = owns_inner;
    *out = w;
    return PYPROF_OK;
}
