/*
 * base: what every folder stands on - allocation, errors, text, log, arena,
 * hash map, intern table, varint, ring, checked arithmetic. Knows libc and the
 * public status and allocator types, and nothing else.
 *
 * Unless a comment says otherwise, an object is used by one thread at a time,
 * and functions without an object are safe from any thread.
 */
#ifndef PP_BASE_H
#define PP_BASE_H

#include <pyprof/status.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PP_OFFSET_END(type, field) \
    (offsetof(type, field) + sizeof(((type *)0)->field))
#define PP_UNUSED(x) ((void)(x))

#if defined(__GNUC__) || defined(__clang__)
#define PP_LIKELY(x) __builtin_expect(!!(x), 1)
/* For what must cost no call, whatever the compiler thinks of its size. */
#define PP_INLINE static inline __attribute__((always_inline))
#define PP_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define PP_MUST_CHECK __attribute__((warn_unused_result))
#define PP_NOINLINE __attribute__((noinline))
#else
#define PP_LIKELY(x) (x)
#define PP_INLINE static inline
#define PP_UNLIKELY(x) (x)
#define PP_PRINTF(fmt, args)
#define PP_MUST_CHECK
#define PP_NOINLINE
#endif

/* Forwards a failure to the caller; the message is already there. */
#define PP_TRY(expr)                                    \
    do {                                                \
        pyprof_status pp_try_status_ = (expr);          \
        if (PP_UNLIKELY(pp_try_status_ != PYPROF_OK)) { \
            return pp_try_status_;                      \
        }                                               \
    } while (0)

/* ---- alloc.c ---------------------------------------------------------- */

/* The only place of the library that calls malloc. A NULL `allocator` in any
 * function below stands for the C library's. */
typedef pyprof_allocator pp_allocator;

/* Copies `from` (NULL: the C library's) into `to`, checking `sz`
 * (PYPROF_ERR_UNSUPPORTED) and that alloc, realloc and free are there
 * (PYPROF_ERR_INVALID). */
pyprof_status pp_alloc_init(pp_allocator *to, const pyprof_allocator *from,
                            pyprof_error *err);
/* Not zeroed; a pointer of its own also for size 0. NULL: out of memory. */
void *pp_alloc(const pp_allocator *a, size_t size);
/* Zeroed. NULL also when n * size overflows. */
void *pp_calloc(const pp_allocator *a, size_t n, size_t size);
/* NULL also when n * size overflows; `ptr` is then as it was. */
void *pp_realloc(const pp_allocator *a, void *ptr, size_t n, size_t size);
void pp_free(const pp_allocator *a, void *ptr);

/* Grows a vector so that it has room for `need` elements: `data` is the
 * address of the pointer to `*cap` elements of `size` bytes, by doubling; new
 * elements are not zeroed. False, with the vector as it was, when out of memory
 * or when `need` exceeds `max` elements (0: no maximum). */
bool pp_grow(const pp_allocator *a, void *data, size_t *cap, size_t size,
             size_t need, size_t max);

/* ---- status.c --------------------------------------------------------- */

/* "no-permission"; "unknown" for a value that is none. */
const char *pp_status_name(pyprof_status status);
/* One sentence; "unknown status" for a value that is none. */
const char *pp_status_text(pyprof_status status);
bool pp_status_is_known(pyprof_status status);

/* ---- error.c ---------------------------------------------------------- */

/* Fills `err` (may be NULL; only up to err->sz bytes) and returns `status`.
 * errno is kept as it was. The message becomes one printable line of UTF-8
 * (see pp_text_line); one that is too long loses its middle, so that cause and
 * remedy, which stand at its ends, stay. */
pyprof_status pp_error_set(pyprof_error *err, pyprof_status status,
                           const char *format, ...) PP_PRINTF(3, 4);
/* The same with an errno value, whose text is appended: "...: No such file". */
pyprof_status pp_error_errno(pyprof_error *err, pyprof_status status,
                             int os_errno, const char *format, ...)
    PP_PRINTF(4, 5);
/* The same with an address of the target. */
pyprof_status pp_error_address(pyprof_error *err, pyprof_status status,
                               uint64_t address, const char *format, ...)
    PP_PRINTF(4, 5);
/* Hands on an error that was kept: all of `from`, up to err->sz bytes. */
pyprof_status pp_error_copy(pyprof_error *err, const pyprof_error *from);
/* "out of memory for WHAT"; returns PYPROF_ERR_NO_MEMORY. */
pyprof_status pp_error_memory(pyprof_error *err, const char *what);

/* ---- text.c ----------------------------------------------------------- */

/* What pp_text_decode answers for a byte that is no UTF-8. */
#define PP_TEXT_BAD UINT32_MAX

/* Decodes one character of `size` > 0 bytes: its code point into `*out`, and
 * the bytes it takes are returned (1 to 4). Surrogates (three bytes, as
 * Python's "surrogatepass" has them) are code points like any other; overlong
 * forms, values above U+10FFFF and stray bytes are PP_TEXT_BAD, one byte each.
 */
size_t pp_text_decode(const char *text, size_t size, uint32_t *out);
/* Copies text into `to` of `room` > 0 bytes as one printable line of UTF-8, NUL
 * included: white space becomes a blank; other control characters,
 * surrogates and bad bytes become '?'. Cut at a character when `room` is small.
 * Returns its length, never more than `size`; `to` may be `from`. */
size_t pp_text_line(char *to, size_t room, const char *from, size_t size);

/* ---- opts.c ----------------------------------------------------------- */

/* Largest structure that a caller can mean; a larger `sz` is garbage. */
#define PP_OPTS_SIZE_MAX ((size_t)65536)

/* Reads a caller's opts (NULL: none) into `to` of `known` bytes: what the
 * caller does not have is zero, and to's own sz becomes `known`. An `sz` below
 * sizeof(size_t) or above PP_OPTS_SIZE_MAX, or a non-zero byte past `known`, is
 * PYPROF_ERR_UNSUPPORTED. `name` is for the message. */
pyprof_status pp_opts_read(void *to, size_t known, const void *opts,
                           const char *name, pyprof_error *err);
/* Writes a result structure that begins with size_t sz: copies at most the
 * caller's `sz` bytes of `from`, keeping the caller's sz, and zeroes what the
 * caller has beyond `known`. False, with nothing written, when the caller's sz
 * is smaller than a size_t or above PP_OPTS_SIZE_MAX. */
bool pp_opts_write(void *to, const void *from, size_t known);

/* ---- log.c ------------------------------------------------------------ */

typedef struct pp_log {
    pyprof_log_fn fn; /* NULL: silent */
    void *user;
} pp_log;

/* Formats one line (cut at 511 bytes, made printable as pp_text_line does) and
 * hands it over; keeps errno. `log` may be NULL. */
void pp_log_line(const pp_log *log, int32_t level, const char *area,
                 const char *format, ...) PP_PRINTF(4, 5);

/* ---- arena.c ---------------------------------------------------------- */

/* Memory that is freed all at once. Blocks never move. */
typedef struct pp_arena {
    const pp_allocator *allocator; /* must outlive the arena; may be NULL */
    struct pp_arena_block *head;
    size_t used;     /* bytes handed out */
    size_t reserved; /* bytes taken from the allocator */
} pp_arena;

void pp_arena_init(pp_arena *arena, const pp_allocator *allocator);
/* 8-byte aligned, not zeroed, valid until pp_arena_free; NULL when out of
 * memory. */
void *pp_arena_alloc(pp_arena *arena, size_t size);
/* A NUL-terminated copy of `size` bytes. */
char *pp_arena_text(pp_arena *arena, const void *data, size_t size);
/* Frees all of it; the arena is then empty and usable again. */
void pp_arena_free(pp_arena *arena);

/* ---- map.c ------------------------------------------------------------ */

/* Hash map from a uint64 key (any value) to a uint64 value; open addressing.
 * Steady-state look-ups touch one or two cache lines. */
typedef struct pp_map {
    const pp_allocator *allocator;
    struct pp_map_slot *slots;
    size_t n_slots; /* power of two, or 0 */
    size_t n_used;
} pp_map;

/* Takes no memory before the first pp_map_put; `allocator` must outlive it. */
void pp_map_init(pp_map *map, const pp_allocator *allocator);
/* Pointer to the value, or NULL. Valid until the next change of the map. */
uint64_t *pp_map_find(const pp_map *map, uint64_t key);
/* Pointer to the value of `key`, made as 0 when it was missing (`*out_new`,
 * may be NULL, says so); NULL when out of memory. */
uint64_t *pp_map_put(pp_map *map, uint64_t key, bool *out_new);
/* True when the key was there. */
bool pp_map_remove(pp_map *map, uint64_t key);
/* Calls `visit` for every entry, in no order; the map must not change. */
void pp_map_each(const pp_map *map,
                 void (*visit)(void *user, uint64_t key, uint64_t value),
                 void *user);
void pp_map_clear(pp_map *map); /* keeps the memory */
size_t pp_map_bytes(const pp_map *map);
void pp_map_free(pp_map *map);

/* ---- intern.c --------------------------------------------------------- */

/* Equal bytes get the same number, from 1 on. Text is NUL-terminated and
 * never moves. */
typedef struct pp_intern {
    const pp_allocator *allocator;
    pp_arena arena;
    struct pp_intern_entry *entries;
    size_t n_entries, cap_entries;
    uint32_t *buckets;
    size_t n_buckets;
} pp_intern;

void pp_intern_init(pp_intern *table, const pp_allocator *allocator);
/* The number, or 0 when out of memory (also: text of 4 GiB, 2^32 texts). */
uint32_t pp_intern_put(pp_intern *table, const void *data, size_t size);
/* The number of text that was put before, or 0. */
uint32_t pp_intern_find(const pp_intern *table, const void *data, size_t size);
/* The bytes of a number; {"", 0} for a number that was never given. */
pyprof_text pp_intern_text(const pp_intern *table, uint32_t id);
size_t pp_intern_bytes(const pp_intern *table);
void pp_intern_free(pp_intern *table);

/* ---- hash.c ----------------------------------------------------------- */

/* Not for keys that an attacker chooses to collide in bulk: seeds are fixed so
 * that runs are repeatable, and tables are capped. The value depends on the
 * byte order: never store it. */
uint64_t pp_hash_bytes(const void *data, size_t size);
static inline uint64_t pp_hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return x;
}

/* ---- sort.c ----------------------------------------------------------- */

/* Sorts `n` numbers so that `is_before` holds for no later pair; equal ones
 * keep their order. Takes n * 4 bytes meanwhile; false, with nothing sorted,
 * when out of memory. */
bool pp_sort_u32(const pp_allocator *a, uint32_t *numbers, size_t n,
                 bool (*is_before)(void *user, uint32_t x, uint32_t y),
                 void *user) PP_MUST_CHECK;

/* ---- varint.c --------------------------------------------------------- */

#define PP_VARINT_MAX 10 /* bytes of the longest one */

/* LEB128. Returns the bytes written (at most PP_VARINT_MAX). */
size_t pp_varint_put(uint8_t *to, uint64_t value);
/* Reads one from [*p, end), moving *p; false, with *p and *out as they were,
 * when cut off or over 64 bits. */
bool pp_varint_get(const uint8_t **p, const uint8_t *end, uint64_t *out);

/* Small numbers of either sign as small unsigned ones. */
static inline uint64_t pp_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value < 0 ? -1 : 0);
}

static inline int64_t pp_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* ---- crc.c ------------------------------------------------------------ */

/* CRC-32 as in gzip and PNG, of `size` more bytes after those of `crc` (0 at
 * the beginning). */
uint32_t pp_crc32(uint32_t crc, const void *data, size_t size);

/* ---- checked arithmetic ----------------------------------------------- */

/* Each returns false, leaving *out alone, when the result does not fit. */
static inline bool pp_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool pp_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

/* ---- ring.c ----------------------------------------------------------- */

/* A queue of variable-size records between one thread that puts and one that
 * takes; neither ever waits for the other. Memory is one block. */
typedef struct pp_ring pp_ring;

/* `size` is rounded up to a power of two, at least 64. NULL when out of
 * memory. The allocator is copied. */
pp_ring *pp_ring_new(const pp_allocator *allocator, size_t size);
/* Putting thread. Room for a record of `size` contiguous, 8-byte aligned bytes,
 * or NULL when the taker is too far behind. Nothing is visible before
 * pp_ring_commit; reserving again instead forgets the first. A record of up to
 * pp_ring_record_max bytes always fits an empty ring, a longer one never. */
void *pp_ring_reserve(pp_ring *ring, size_t size);
/* Putting thread. Publishes the reserved record; `size` may be less than was
 * reserved. */
void pp_ring_commit(pp_ring *ring, size_t size);
/* Taking thread. The oldest record, 8-byte aligned, and its size, or NULL.
 * Valid until pp_ring_pop. */
const void *pp_ring_peek(pp_ring *ring, size_t *out_size);
/* Taking thread. Gives back the record that pp_ring_peek showed last; does
 * nothing when it showed none. */
void pp_ring_pop(pp_ring *ring);
size_t pp_ring_record_max(const pp_ring *ring);
/* Bytes in use, a snapshot: any thread. */
size_t pp_ring_used(const pp_ring *ring);
size_t pp_ring_capacity(const pp_ring *ring);
/* When neither thread uses it any more. NULL is fine. */
void pp_ring_free(pp_ring *ring);

#endif /* PP_BASE_H */
