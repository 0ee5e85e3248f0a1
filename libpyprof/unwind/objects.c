/*
 * Python objects of a target: int, str, dict, instances and modules.
 *
 * In: an address. Out: its value, from copies of pages, or a want. What differs
 * by version is in the layout.
 *
 * Invariants: every pointer may be wild and every size a lie, so each object's
 * type is asked before it is believed, and each size is capped before it is
 * used; nothing is followed without end, and nothing recurses. `pages` maps a
 * page's number to its copy, or to WANTED or MISSING, which no address is.
 *
 * Sources: Include/cpython/longintrepr.h, Include/object.h (flags),
 * Objects/dict-common.h, later Include/internal/pycore_dict.h.
 */
#include "unwind/objects.h"

enum {
    PAGE = 4096, /* or a part of one, where pages are larger */
    MAX_PIECE = 1 << 16,
    MAX_PAGES = 1 << 14,
    MAX_CALLS = 1 << 11,
    MAX_ENTRIES = 1 << 20,
    MAX_LOG2_SIZE = 24,
    MAX_CHARS = 4096,
    MAX_CHAR = 4, /* bytes, in a str and in UTF-8 */
    MAX_KEY = 64,
    MAX_HEAD = 256,
    WANTED = 0,
    MISSING = 1
};

/* ---- memory ----------------------------------------------------------------
 */

void pp_objects_init(pp_objects *o, const pp_allocator *allocator,
                     pp_reader *reader, const pp_layout *layout)
{
    memset(o, 0, sizeof(*o));
    o->allocator = allocator;
    o->reader = reader;
    o->layout = layout;
    pp_map_init(&o->pages, allocator);
    pp_arena_init(&o->arena, allocator);
}

void pp_objects_free(pp_objects *o)
{
    pp_map_free(&o->pages);
    pp_arena_free(&o->arena);
    pp_free(o->allocator, o->wanted);
    pp_free(o->allocator, o->text);
}

void pp_objects_begin(pp_objects *o)
{
    pp_map_clear(&o->pages);
    pp_arena_free(&o->arena);
    o->n_wanted = 0;
    o->n_pages = 0;
    o->calls = 0;
    o->hit_bytes = NULL;
    o->status = PYPROF_OK;
}

static pp_look fail(pp_objects *o)
{
    o->status = PYPROF_ERR_NO_MEMORY;
    return PP_LOOK_NONE;
}

static pp_look want(pp_objects *o, uint64_t page)
{
    if (o->status != PYPROF_OK || o->n_pages == MAX_PAGES ||
        o->calls >= MAX_CALLS) {
        return PP_LOOK_NONE;
    }
    if (!pp_grow(o->allocator, (void **)&o->wanted, &o->cap_wanted,
                 sizeof(uint64_t), o->n_wanted + 1, MAX_PAGES)) {
        return fail(o);
    }
    uint64_t *state = pp_map_put(&o->pages, page, NULL);
    if (state == NULL) {
        return fail(o);
    }
    *state = WANTED;
    o->wanted[o->n_wanted++] = page;
    o->n_pages++;
    return PP_LOOK_MORE;
}

/* Its bytes; NULL: `*out_why` is MORE or NONE. */
static const uint8_t *find_page(pp_objects *o, uint64_t page, pp_look *out_why)
{
    if (o->hit_bytes != NULL && o->hit == page) {
        return o->hit_bytes;
    }
    const uint64_t *state = pp_map_find(&o->pages, page);
    if (state == NULL) {
        *out_why = want(o, page);
        return NULL;
    }
    if (*state <= MISSING) {
        *out_why = *state == WANTED ? PP_LOOK_MORE : PP_LOOK_NONE;
        return NULL;
    }
    o->hit = page;
    o->hit_bytes = (const uint8_t *)(uintptr_t)*state;
    return o->hit_bytes;
}

pp_look pp_objects_copy(pp_objects *o, uint64_t address, void *to, size_t size)
{
    uint8_t *at = to;
    pp_look all = PP_LOOK_DONE;
    /* Nothing is ever at the very start, nor in the upper half. */
    if (address < PAGE || address > INT64_MAX || size > MAX_PIECE) {
        return PP_LOOK_NONE;
    }
    while (size > 0) {
        size_t offset = (size_t)(address % PAGE);
        size_t length = size < PAGE - offset ? size : PAGE - offset;
        pp_look why = PP_LOOK_NONE;
        const uint8_t *bytes = find_page(o, address / PAGE, &why);
        if (bytes != NULL) {
            memcpy(at, bytes + offset, length);
        } else if (why == PP_LOOK_NONE) {
            return why;
        } else {
            all = PP_LOOK_MORE;
        }
        address += length;
        at += length;
        size -= length;
    }
    return all;
}

pp_look pp_objects_u64(pp_objects *o, uint64_t address, uint64_t *out)
{
    return pp_objects_copy(o, address, out, sizeof(*out));
}

/* The fate of pages that were wanted: `bytes` NULL, they can't be read. */
static void settle(pp_objects *o, size_t first, size_t end, uint8_t *bytes)
{
    for (size_t i = first; i < end; i++) {
        uint64_t *state = pp_map_find(&o->pages, o->wanted[i]);
        *state = MISSING;
        if (bytes != NULL) {
            *state = (uint64_t)(uintptr_t)bytes;
            bytes += PAGE;
        }
    }
}

static void want_again(void *user, uint64_t page, uint64_t state)
{
    pp_objects *o = user;
    if (state > MISSING && o->n_wanted < o->cap_wanted) {
        o->wanted[o->n_wanted++] = page;
    }
}

void pp_objects_again(pp_objects *o)
{
    o->n_wanted = 0;
    if (!pp_grow(o->allocator, (void **)&o->wanted, &o->cap_wanted,
                 sizeof(uint64_t), o->n_pages, 0)) {
        fail(o);
        return;
    }
    pp_map_each(&o->pages, want_again, o);
    for (size_t i = 0; i < o->n_wanted; i++) {
        *pp_map_find(&o->pages, o->wanted[i]) = WANTED;
    }
    pp_arena_free(&o->arena);
    o->hit_bytes = NULL;
}

static pyprof_status fetch(pp_objects *o, uint8_t *bytes)
{
    enum { BATCH = 256 };
    size_t first = 0;
    while (first < o->n_wanted && o->calls < MAX_CALLS) {
        pp_span spans[BATCH];
        size_t n = 0;
        size_t got = 0;
        for (; n < BATCH && first + n < o->n_wanted; n++) {
            spans[n] = (pp_span){o->wanted[first + n] * PAGE, PAGE};
        }
        o->calls++;
        PP_TRY(pp_reader_readv(o->reader, bytes, spans, n, &got));
        settle(o, first, first + got, bytes);
        bytes += got * PAGE;
        first += got;
        if (got < n) {
            settle(o, first, first + 1, NULL);
            first++;
        }
    }
    settle(o, first, o->n_wanted, NULL);
    return PYPROF_OK;
}

pyprof_status pp_objects_fetch(pp_objects *o)
{
    if (o->status == PYPROF_OK && o->n_wanted > 0) {
        uint8_t *bytes = pp_arena_alloc(&o->arena, o->n_wanted * PAGE);
        o->status = bytes != NULL ? fetch(o, bytes) : PYPROF_ERR_NO_MEMORY;
    }
    o->n_wanted = 0;
    return o->status;
}

/* ---- types -----------------------------------------------------------------
 */

static pp_look find_type(pp_objects *o, uint64_t object, uint64_t *out,
                         uint64_t *out_flags)
{
    const pp_layout *l = o->layout;
    if (object % sizeof(uint64_t) != 0) {
        return PP_LOOK_NONE;
    }
    PP_LOOK_TRY(pp_objects_u64(o, object + l->ob.type, out));
    PP_LOOK_TRY(pp_objects_u64(o, *out + l->ob.tp_flags, out_flags));
    return (*out_flags & PP_TYPE_READY) != 0 ? PP_LOOK_DONE : PP_LOOK_NONE;
}

/* Whether an object's type has one of the PP_TYPE_ flags. */
static pp_look check_kind(pp_objects *o, uint64_t object, uint64_t flag)
{
    uint64_t type;
    uint64_t flags;
    PP_LOOK_TRY(find_type(o, object, &type, &flags));
    return (flags & flag) != 0 ? PP_LOOK_DONE : PP_LOOK_NONE;
}

pp_look pp_objects_type(pp_objects *o, uint64_t object, pp_type *out)
{
    const pp_layout *l = o->layout;
    uint64_t dictoffset = 0;
    PP_LOOK_TRY(find_type(o, object, &out->address, &out->flags));
    out->cached_keys = 0;
    pp_look look = pp_look_both(
        pp_objects_u64(o, out->address + l->ob.tp_basicsize, &out->basicsize),
        pp_objects_u64(o, out->address + l->ob.tp_dictoffset, &dictoffset));
    if ((out->flags & PP_TYPE_IS_HEAP) != 0) {
        look = pp_look_both(
            look, pp_objects_u64(o, out->address + l->ob.ht_cached_keys,
                                 &out->cached_keys));
    }
    out->dictoffset = (int64_t)dictoffset;
    return look;
}

/* ---- int and str -----------------------------------------------------------
 */

/* How many digits an int >= 0 has. */
static pp_look count_digits(pp_objects *o, uint64_t object, uint64_t *out)
{
    const pp_layout *l = o->layout;
    if (l->ob.long_tag == PP_NONE) { /* negative: an int below zero */
        PP_LOOK_TRY(pp_objects_u64(o, object + l->ob.var_size, out));
        return PP_LOOK_DONE;
    }
    enum { SIGN = 3, ZERO = 1, NEGATIVE = 2, NOT_SIZE_BITS = 3 };
    uint64_t tag;
    PP_LOOK_TRY(pp_objects_u64(o, object + l->ob.long_tag, &tag));
    if ((tag & SIGN) >= NEGATIVE) {
        return PP_LOOK_NONE;
    }
    *out = (tag & SIGN) == ZERO ? 0 : tag >> NOT_SIZE_BITS;
    return PP_LOOK_DONE;
}

pp_look pp_objects_int(pp_objects *o, uint64_t object, uint64_t *out)
{
    enum { MAX_DIGITS = 5 }; /* as many as 64 bits need, of 15 bits each */
    const pp_layout *l = o->layout;
    uint32_t bits = l->ob.long_digit_bits;
    size_t digit_size = bits > 16 ? sizeof(uint32_t) : sizeof(uint16_t);
    uint8_t digits[MAX_DIGITS * sizeof(uint32_t)];
    uint64_t n;
    uint64_t value = 0;
    PP_LOOK_TRY(check_kind(o, object, PP_TYPE_OF_INT));
    PP_LOOK_TRY(count_digits(o, object, &n));
    if (n > MAX_DIGITS) {
        return PP_LOOK_NONE;
    }
    PP_LOOK_TRY(pp_objects_copy(o, object + l->ob.long_digit, digits,
                                (size_t)n * digit_size));
    for (size_t i = (size_t)n; i-- > 0;) {
        uint32_t digit = 0;
        memcpy(&digit, digits + i * digit_size, digit_size);
        if (value >> (64 - bits) != 0 || digit >> bits != 0) {
            return PP_LOOK_NONE;
        }
        value = value << bits | digit;
    }
    *out = value;
    return PP_LOOK_DONE;
}

static pp_look find_shape(pp_objects *o, uint64_t object, pp_str_shape *out)
{
    uint8_t head[MAX_HEAD];
    uint32_t size = pp_text_head_size(o->layout);
    if (size > sizeof(head)) {
        return PP_LOOK_NONE;
    }
    PP_LOOK_TRY(pp_objects_copy(o, object, head, size));
    return pp_text_shape(o->layout, object, head, out) ? PP_LOOK_DONE
                                                       : PP_LOOK_NONE;
}

pp_look pp_objects_text(pp_objects *o, uint64_t object, pp_arena *arena,
                        pyprof_text *out)
{
    enum { ROOM = MAX_CHARS * MAX_CHAR };
    pp_str_shape shape;
    PP_LOOK_TRY(check_kind(o, object, PP_TYPE_OF_STR));
    PP_LOOK_TRY(find_shape(o, object, &shape));
    if (shape.length > MAX_CHARS) {
        shape.length = MAX_CHARS;
    }
    if (!pp_grow(o->allocator, (void **)&o->text, &o->cap_text, 1,
                 (size_t)ROOM * 2, 0)) {
        return fail(o);
    }
    char *utf8 = (char *)o->text + ROOM;
    PP_LOOK_TRY(pp_objects_copy(o, shape.data, o->text,
                                (size_t)shape.length * shape.kind));
    size_t size = pp_text_utf8(o->text, shape.length, shape.kind, utf8, ROOM);
    const char *kept = pp_arena_text(arena, utf8, size);
    if (kept == NULL) {
        return fail(o);
    }
    *out = (pyprof_text){kept, size};
    return PP_LOOK_DONE;
}

/* Whether an object is this str; NONE when it is anything else. */
static pp_look check_text(pp_objects *o, uint64_t object, const char *text,
                          size_t size)
{
    char data[MAX_KEY];
    pp_str_shape shape;
    PP_LOOK_TRY(find_shape(o, object, &shape));
    if (shape.kind != 1 || shape.length != size || size > sizeof(data)) {
        return PP_LOOK_NONE;
    }
    PP_LOOK_TRY(pp_objects_copy(o, shape.data, data, size));
    if (memcmp(data, text, size) != 0) {
        return PP_LOOK_NONE;
    }
    return check_kind(o, object, PP_TYPE_OF_STR);
}

/* ---- dicts -----------------------------------------------------------------
 */

/* Up to 3.10: as many indices as slots, as wide as their number takes. */
static pp_look measure_slots(pp_objects *o, uint64_t keys, uint64_t *out_slots,
                             uint64_t *out_bytes)
{
    PP_LOOK_TRY(pp_objects_u64(o, keys + o->layout->keys.slots, out_slots));
    if (*out_slots > UINT64_C(1) << MAX_LOG2_SIZE) {
        return PP_LOOK_NONE;
    }
    uint64_t width = *out_slots <= UINT8_MAX    ? 1
                     : *out_slots <= UINT16_MAX ? 2
                                                : 4;
    *out_bytes = *out_slots * width;
    return PP_LOOK_DONE;
}

/* 3.11+: the logarithms of both; and entries of str keys are shorter. */
static pp_look measure_logs(pp_objects *o, uint64_t keys, uint64_t *out_slots,
                            uint64_t *out_bytes, bool *out_text)
{
    enum { MAX_WIDTH = 3 }; /* logarithm of the bytes of an index */
    const pp_layout *l = o->layout;
    uint8_t size = 0;
    uint8_t bytes = 0;
    uint8_t kind = 0;
    pp_look look = pp_look_both(
        pp_objects_copy(o, keys + l->keys.log2_size, &size, 1),
        pp_objects_copy(o, keys + l->keys.log2_index_bytes, &bytes, 1));
    PP_LOOK_TRY(
        pp_look_both(look, pp_objects_copy(o, keys + l->keys.kind, &kind, 1)));
    if (size > MAX_LOG2_SIZE || bytes > size + MAX_WIDTH) {
        return PP_LOOK_NONE;
    }
    *out_slots = UINT64_C(1) << size;
    *out_bytes = UINT64_C(1) << bytes;
    *out_text = kind != 0;
    return PP_LOOK_DONE;
}

/* `values`: address of the first value, or 0 when they are in the entries. */
static pp_look open_keys(pp_objects *o, uint64_t keys, uint64_t values,
                         pp_dict *out)
{
    const pp_layout *l = o->layout;
    uint64_t slots = 0;
    uint64_t index_bytes = 0;
    bool text = false;
    if (keys % sizeof(uint64_t) != 0 || values % sizeof(uint64_t) != 0) {
        return PP_LOOK_NONE;
    }
    pp_look look = l->keys.slots != PP_NONE
                       ? measure_slots(o, keys, &slots, &index_bytes)
                       : measure_logs(o, keys, &slots, &index_bytes, &text);
    PP_LOOK_TRY(pp_look_both(
        look, pp_objects_u64(o, keys + l->keys.n_entries, &out->n)));
    if (out->n > slots || out->n > MAX_ENTRIES) {
        return PP_LOOK_NONE;
    }
    out->entries = keys + l->keys.indices + index_bytes;
    out->values = values;
    out->entry_size = text ? l->keys.text_entry_size : l->keys.entry_size;
    out->key = text ? l->keys.text_entry_key : l->keys.entry_key;
    out->value = text ? l->keys.text_entry_value : l->keys.entry_value;
    return PP_LOOK_DONE;
}

pp_look pp_objects_dict(pp_objects *o, uint64_t object, pp_dict *out)
{
    const pp_layout *l = o->layout;
    uint64_t keys = 0;
    uint64_t values = 0;
    PP_LOOK_TRY(check_kind(o, object, PP_TYPE_OF_DICT));
    PP_LOOK_TRY(
        pp_look_both(pp_objects_u64(o, object + l->ob.dict_keys, &keys),
                     pp_objects_u64(o, object + l->ob.dict_values, &values)));
    return open_keys(o, keys, values != 0 ? values + l->attrs.values_item : 0,
                     out);
}

pp_look pp_objects_entry(pp_objects *o, const pp_dict *dict, uint64_t i,
                         uint64_t *out_key, uint64_t *out_value)
{
    uint64_t entry = dict->entries + i * dict->entry_size;
    uint64_t value = dict->values != 0 ? dict->values + i * sizeof(uint64_t)
                                       : entry + dict->value;
    pp_look look = pp_look_both(pp_objects_u64(o, entry + dict->key, out_key),
                                pp_objects_u64(o, value, out_value));
    if (look == PP_LOOK_DONE && (*out_key == 0 || *out_value == 0)) {
        *out_key = 0;
        *out_value = 0;
    }
    return look;
}

static pp_look check_entry(pp_objects *o, const pp_dict *dict, uint64_t i,
                           const char *key, uint64_t *out)
{
    uint64_t at = 0;
    uint64_t value = 0;
    PP_LOOK_TRY(pp_objects_entry(o, dict, i, &at, &value));
    if (value == 0) {
        return PP_LOOK_NONE;
    }
    PP_LOOK_TRY(check_text(o, at, key, strlen(key)));
    *out = value;
    return PP_LOOK_DONE;
}

/* The hash of a str is made with the target's own secret, so all keys are
 * compared; but they are all wanted at once. */
pp_look pp_objects_item(pp_objects *o, const pp_dict *dict, const char *key,
                        uint64_t *hint, uint64_t *out)
{
    pp_look result = PP_LOOK_NONE;
    if (*hint < dict->n) {
        pp_look look = check_entry(o, dict, *hint, key, out);
        if (look != PP_LOOK_NONE) {
            return look;
        }
    }
    for (uint64_t i = 0; i < dict->n; i++) {
        pp_look look = check_entry(o, dict, i, key, out);
        if (look == PP_LOOK_DONE) {
            *hint = i;
            return look;
        }
        if (look == PP_LOOK_MORE) {
            result = look;
        }
    }
    return result;
}

pp_look pp_objects_module(pp_objects *o, uint64_t module, pp_dict *out)
{
    uint64_t dict;
    PP_LOOK_TRY(pp_objects_u64(o, module + o->layout->ob.module_dict, &dict));
    return pp_objects_dict(o, dict, out);
}

/* ---- attributes ------------------------------------------------------------
 */

/* Where an instance has its attributes: the address of a dict object, or of
 * values whose keys its type has. The other is 0. */
static pp_look find_attributes(pp_objects *o, uint64_t object,
                               const pp_type *type, uint64_t *out_dict,
                               uint64_t *out_values)
{
    const pp_layout *l = o->layout;
    uint64_t before = object - l->attrs.dict_before;
    uint8_t valid = 0;
    *out_values = 0;
    if ((type->flags & l->attrs.managed_flag) == 0) {
        if (type->dictoffset <= 0 || type->dictoffset > MAX_PIECE) {
            return PP_LOOK_NONE;
        }
        return pp_objects_u64(o, object + (uint64_t)type->dictoffset, out_dict);
    }
    PP_LOOK_TRY(pp_objects_u64(o, before, out_dict));
    switch (l->attrs_kind) {
    case PP_ATTRS_DICT:
        break;
    case PP_ATTRS_BEFORE:
        PP_LOOK_TRY(
            pp_objects_u64(o, object - l->attrs.values_before, out_values));
        break;
    case PP_ATTRS_TAGGED:
        if (*out_dict % 2 != 0) {
            *out_values = *out_dict + 1;
        }
        break;
    case PP_ATTRS_INLINE:
        if (*out_dict == 0 && (type->flags & l->attrs.inline_flag) != 0 &&
            type->basicsize < MAX_PIECE) {
            uint64_t values = object + type->basicsize;
            PP_LOOK_TRY(
                pp_objects_copy(o, values + l->attrs.values_valid, &valid, 1));
            *out_values = valid != 0 ? values : 0;
        }
        break;
    }
    if (*out_values != 0) {
        *out_dict = 0;
    }
    return PP_LOOK_DONE;
}

pp_look pp_objects_attribute(pp_objects *o, uint64_t object, const char *name,
                             uint64_t *hint, uint64_t *out)
{
    pp_type type;
    pp_dict attributes;
    uint64_t dict;
    uint64_t values;
    PP_LOOK_TRY(pp_objects_type(o, object, &type));
    PP_LOOK_TRY(find_attributes(o, object, &type, &dict, &values));
    if (values != 0) {
        PP_LOOK_TRY(open_keys(o, type.cached_keys,
                              values + o->layout->attrs.values_item,
                              &attributes));
    } else {
        PP_LOOK_TRY(pp_objects_dict(o, dict, &attributes));
    }
    return pp_objects_item(o, &attributes, name, hint, out);
}
