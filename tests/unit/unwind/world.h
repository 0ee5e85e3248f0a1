/*
 * world: a target made by hand for what reads Python objects: one block of
 * memory in which objects are laid out as a version of CPython has them, and a
 * reader of it. Addresses are numbers that mean nothing to this process.
 */
#ifndef PP_TESTS_UNWIND_WORLD_H
#define PP_TESTS_UNWIND_WORLD_H

#include "../base/testing.h"
#include "unwind/objects.h"

#define WORLD_BASE UINT64_C(0x7f0012340000)
#define WORLD_SIZE ((size_t)4 << 20)
#define WORLD_PAGE 4096

typedef struct world {
    pp_reader reader;
    const pp_layout *layout;
    uint8_t *bytes;
    uint64_t used;
    uint64_t hole; /* address of a page that can't be read; 0: none */
    uint64_t type_int, type_str, type_dict, type_module, type_class;
    uint64_t none; /* an object of another type */
} world;

static inline bool world_has(const world *w, const pp_span *span)
{
    uint64_t at = span->address - WORLD_BASE;
    return at < WORLD_SIZE && span->size <= WORLD_SIZE - at &&
           (w->hole == 0 || span->address >= w->hole + WORLD_PAGE ||
            span->address + span->size <= w->hole);
}

static inline pyprof_status world_readv(pp_reader *reader, void *to,
                                        const pp_span *spans, size_t n,
                                        size_t *out_spans, uint64_t *io_calls)
{
    const world *w = (const world *)reader;
    uint8_t *at = to;
    (*io_calls)++;
    for (*out_spans = 0; *out_spans < n; (*out_spans)++) {
        const pp_span *span = &spans[*out_spans];
        if (!world_has(w, span)) {
            break;
        }
        memcpy(at, w->bytes + (span->address - WORLD_BASE), span->size);
        at += span->size;
    }
    return PYPROF_OK;
}

static const pp_reader_ops world_ops = {.name = "world", .readv = world_readv};

/* ---- bytes ----------------------------------------------------------------
 */

static inline void world_put(world *w, uint64_t address, const void *data,
                             size_t size)
{
    uint64_t at = address - WORLD_BASE;
    ck_assert_uint_le(at, WORLD_SIZE);
    ck_assert_uint_le(size, WORLD_SIZE - at);
    memcpy(w->bytes + at, data, size);
}

static inline void world_put_u64(world *w, uint64_t address, uint64_t value)
{
    world_put(w, address, &value, sizeof(value));
}

static inline void world_put_u32(world *w, uint64_t address, uint32_t value)
{
    world_put(w, address, &value, sizeof(value));
}

static inline void world_put_u8(world *w, uint64_t address, uint8_t value)
{
    world_put(w, address, &value, sizeof(value));
}

static inline uint64_t world_alloc(world *w, uint64_t size)
{
    uint64_t address = WORLD_BASE + w->used;
    w->used += (size + 15) / 16 * 16;
    ck_assert_uint_le(w->used, WORLD_SIZE);
    return address;
}

/* Moves on so that the next object begins `before` bytes before a page ends. */
static inline void world_near_page_end(world *w, uint64_t before)
{
    w->used = (w->used / WORLD_PAGE + 2) * WORLD_PAGE - before;
}

/* ---- objects --------------------------------------------------------------
 */

static inline uint64_t world_type(world *w, uint64_t flags)
{
    uint64_t type = world_alloc(w, w->layout->ob.ht_cached_keys + 8);
    world_put_u64(w, type + w->layout->ob.tp_flags, flags | PP_TYPE_READY);
    return type;
}

/* An object with 64 bytes of room before it. */
static inline uint64_t world_object(world *w, uint64_t type, uint64_t size)
{
    uint64_t object = world_alloc(w, size + 64) + 64;
    world_put_u64(w, object + w->layout->ob.type, type);
    return object;
}

static inline uint64_t world_int_of(world *w, int sign, const uint32_t *digits,
                                    uint64_t n)
{
    const pp_layout *l = w->layout;
    uint64_t object = world_object(w, w->type_int, l->ob.long_digit + n * 4);
    if (l->ob.long_tag != PP_NONE) {
        uint64_t code = n == 0 ? 1 : sign < 0 ? 2 : 0;
        world_put_u64(w, object + l->ob.long_tag, n << 3 | code);
    } else {
        world_put_u64(w, object + l->ob.var_size, sign < 0 ? 0 - n : n);
    }
    world_put(w, object + l->ob.long_digit, digits, (size_t)n * 4);
    return object;
}

static inline uint64_t world_int(world *w, uint64_t value)
{
    uint32_t digits[3] = {(uint32_t)(value & 0x3fffffff),
                          (uint32_t)(value >> 30 & 0x3fffffff),
                          (uint32_t)(value >> 60)};
    uint64_t n = digits[2] != 0   ? 3
                 : digits[1] != 0 ? 2
                 : digits[0] != 0 ? 1
                                  : 0;
    return world_int_of(w, 1, digits, n);
}

/* A str of `kind` bytes a character; ASCII when `ascii`. */
static inline uint64_t world_str_of(world *w, const void *data, uint64_t length,
                                    uint32_t kind, bool ascii)
{
    const pp_layout *l = w->layout;
    uint64_t head = ascii ? l->ob.str_ascii : l->ob.str_compact;
    uint64_t object = world_object(w, w->type_str, head + length * kind);
    world_put_u64(w, object + l->ob.str_length, length);
    world_put_u32(w, object + l->ob.str_state,
                  kind << l->ob.str_kind_shift | l->ob.str_compact_mask |
                      l->ob.str_ready_mask |
                      (ascii ? l->ob.str_ascii_mask : 0));
    world_put(w, object + head, data, (size_t)length * kind);
    return object;
}

static inline uint64_t world_str(world *w, const char *ascii)
{
    return world_str_of(w, ascii, strlen(ascii), 1, true);
}

typedef struct world_item {
    uint64_t key, value; /* both 0: a hole */
} world_item;

/* Keys with room for 1 << log2 entries. `text`: all keys are str. */
static inline uint64_t world_keys(world *w, const world_item *items, uint64_t n,
                                  uint8_t log2, bool text)
{
    const pp_layout *l = w->layout;
    bool logs = l->keys.slots == PP_NONE;
    uint8_t width = log2 < 8 ? 0 : log2 < 16 ? 1 : 2; /* logarithm */
    uint64_t indices = UINT64_C(1) << (log2 + width);
    uint32_t size = logs && text ? l->keys.text_entry_size : l->keys.entry_size;
    uint32_t key = logs && text ? l->keys.text_entry_key : l->keys.entry_key;
    uint32_t value =
        logs && text ? l->keys.text_entry_value : l->keys.entry_value;
    uint64_t keys = world_alloc(w, l->keys.indices + indices + n * size);
    if (logs) {
        world_put_u8(w, keys + l->keys.log2_size, log2);
        world_put_u8(w, keys + l->keys.log2_index_bytes,
                     (uint8_t)(log2 + width));
        world_put_u8(w, keys + l->keys.kind, text ? 1 : 0);
    } else {
        world_put_u64(w, keys + l->keys.slots, UINT64_C(1) << log2);
    }
    world_put_u64(w, keys + l->keys.n_entries, n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t entry = keys + l->keys.indices + indices + i * size;
        world_put_u64(w, entry + key, items[i].key);
        world_put_u64(w, entry + value, items[i].value);
    }
    return keys;
}

static inline uint64_t world_dict_of(world *w, uint64_t keys, uint64_t values)
{
    const pp_layout *l = w->layout;
    uint64_t dict = world_object(w, w->type_dict, l->ob.dict_values + 8);
    world_put_u64(w, dict + l->ob.dict_keys, keys);
    world_put_u64(w, dict + l->ob.dict_values, values);
    return dict;
}

static inline uint64_t world_dict(world *w, const world_item *items, uint64_t n,
                                  bool text)
{
    return world_dict_of(w, world_keys(w, items, n, 6, text), 0);
}

static inline uint64_t world_module(world *w, uint64_t dict)
{
    uint64_t module =
        world_object(w, w->type_module, w->layout->ob.module_dict + 8);
    world_put_u64(w, module + w->layout->ob.module_dict, dict);
    return module;
}

/* Values as an instance has them, apart or inside it. */
static inline uint64_t world_values(world *w, uint64_t at,
                                    const world_item *items, uint64_t n)
{
    const pp_layout *l = w->layout;
    if (at == 0) {
        at = world_alloc(w, l->attrs.values_item + n * 8 + 8);
    }
    if (l->attrs.values_valid != PP_NONE) {
        world_put_u8(w, at + l->attrs.values_valid, 1);
    }
    for (uint64_t i = 0; i < n; i++) {
        world_put_u64(w, at + l->attrs.values_item + i * 8, items[i].value);
    }
    return at;
}

/* Where an instance of type_class keeps its dict. */
#define WORLD_DICTOFFSET UINT64_C(48)
#define WORLD_BASICSIZE UINT64_C(64)

/* How an instance has its attributes. */
typedef enum world_way {
    WORLD_DICT,   /* a dict of its own */
    WORLD_SPLIT,  /* a dict whose keys all instances share */
    WORLD_VALUES, /* values without a dict; before 3.11 as WORLD_SPLIT */
    WORLD_WAYS
} world_way;

static inline void world_attach(world *w, uint64_t object, uint64_t dict)
{
    const pp_layout *l = w->layout;
    world_put_u64(w,
                  l->attrs_kind == PP_ATTRS_DICT
                      ? object + WORLD_DICTOFFSET
                      : object - l->attrs.dict_before,
                  dict);
}

/* Instances that share keys must be made of items with equal keys. */
static inline uint64_t world_instance(world *w, const world_item *items,
                                      uint64_t n, world_way way)
{
    const pp_layout *l = w->layout;
    uint64_t object =
        world_object(w, w->type_class, WORLD_BASICSIZE + 16 + n * 8);
    if (way == WORLD_DICT) {
        world_attach(w, object, world_dict(w, items, n, true));
        return object;
    }
    uint64_t shared = w->type_class + l->ob.ht_cached_keys;
    uint64_t keys = world_keys(w, items, n, 6, true);
    if (l->keys.kind != PP_NONE) {
        world_put_u8(w, keys + l->keys.kind, 2);
    }
    world_put_u64(w, shared, keys);
    if (way == WORLD_SPLIT || l->attrs_kind == PP_ATTRS_DICT) {
        world_attach(w, object,
                     world_dict_of(w, keys, world_values(w, 0, items, n)));
        return object;
    }
    switch (l->attrs_kind) {
    case PP_ATTRS_BEFORE:
        world_put_u64(w, object - l->attrs.values_before,
                      world_values(w, 0, items, n));
        break;
    case PP_ATTRS_TAGGED:
        world_put_u64(w, object - l->attrs.dict_before,
                      world_values(w, 0, items, n) - 1);
        break;
    default:
        world_values(w, object + WORLD_BASICSIZE, items, n);
        break;
    }
    return object;
}

/* ---- a world --------------------------------------------------------------
 */

static inline void world_make(world *w, const pp_layout *layout)
{
    memset(w, 0, sizeof(*w));
    w->reader.ops = &world_ops;
    w->layout = layout;
    w->bytes = calloc(1, WORLD_SIZE);
    ck_assert_ptr_nonnull(w->bytes);
    w->type_int = world_type(w, PP_TYPE_OF_INT);
    w->type_str = world_type(w, PP_TYPE_OF_STR);
    w->type_dict = world_type(w, PP_TYPE_OF_DICT);
    w->type_module = world_type(w, 0);
    w->type_class = world_type(w, PP_TYPE_IS_HEAP | layout->attrs.managed_flag |
                                      layout->attrs.inline_flag);
    world_put_u64(w, w->type_class + layout->ob.tp_basicsize, WORLD_BASICSIZE);
    world_put_u64(w, w->type_class + layout->ob.tp_dictoffset,
                  layout->attrs_kind == PP_ATTRS_DICT ? WORLD_DICTOFFSET
                                                      : UINT64_MAX);
    w->none = world_object(w, w->type_module, 64);
}

static inline void world_free(world *w)
{
    free(w->bytes);
}

/* Runs a test once for each version that is known. */
static inline void world_each(void (*test)(world *w))
{
    const pp_version_row *rows = NULL;
    size_t n = pp_layout_versions(&rows);
    ck_assert_uint_gt(n, 0);
    for (size_t i = 0; i < n; i++) {
        world w;
        world_make(&w, rows[i].table);
        test(&w);
        world_free(&w);
    }
}

#endif /* PP_TESTS_UNWIND_WORLD_H */
