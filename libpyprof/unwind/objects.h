/*
 * objects: Python objects of a target, by address: int, str, dict, attributes
 * of instances, modules. For what lies off the stacks (names of threads, tasks
 * of asyncio), where a look may take several reads, and rarely happens.
 *
 * Looks don't read: what they miss they want, and answer PP_LOOK_MORE. So a
 * caller takes all the looks that it can take, fetches what they want in one
 * call, and looks again, until nothing is missing:
 *
 *     while (look_at_all_of_it(objects) == PP_LOOK_MORE) {
 *         PP_TRY(pp_objects_fetch(objects));
 *     }
 *
 * That ends: what can't be read is PP_LOOK_NONE from then on, and the pages and
 * calls since pp_objects_begin are capped. The copies are of different moments
 * of a running target: whatever is found is plausible, never certain.
 */
#ifndef PP_UNWIND_OBJECTS_H
#define PP_UNWIND_OBJECTS_H

#include "unwind/internal.h"

typedef enum pp_look {
    PP_LOOK_MORE, /* something is missing; it was wanted */
    PP_LOOK_DONE, /* the result is written */
    PP_LOOK_NONE  /* there is no such thing, or nothing that can be believed */
} pp_look;

/* Forwards a look that is not done. */
#define PP_LOOK_TRY(expr)                            \
    do {                                             \
        pp_look pp_look_ = (expr);                   \
        if (PP_UNLIKELY(pp_look_ != PP_LOOK_DONE)) { \
            return pp_look_;                         \
        }                                            \
    } while (0)

/* Of two looks that are both needed. */
static inline pp_look pp_look_both(pp_look a, pp_look b)
{
    if (a == PP_LOOK_NONE || b == PP_LOOK_NONE) {
        return PP_LOOK_NONE;
    }
    return a == PP_LOOK_MORE ? a : b;
}

/* Pages of the target, copied once each. */
typedef struct pp_objects {
    const pp_allocator *allocator;
    pp_reader *reader;
    const pp_layout *layout;
    pp_map pages; /* page number -> its copy's address, or see objects.c */
    pp_arena arena;
    uint64_t *wanted; /* page numbers */
    size_t n_wanted, cap_wanted;
    uint32_t n_pages, calls; /* since pp_objects_begin */
    uint64_t hit;            /* number of the page that was met last */
    const uint8_t *hit_bytes;
    uint8_t *text; /* room to decode a str */
    size_t cap_text;
    pyprof_status status; /* first failure; pp_objects_fetch tells */
} pp_objects;

/* Takes no memory yet. All three must outlive it. */
void pp_objects_init(pp_objects *objects, const pp_allocator *allocator,
                     pp_reader *reader, const pp_layout *layout);
void pp_objects_free(pp_objects *objects);
/* Forgets all copies. */
void pp_objects_begin(pp_objects *objects);
/* Forgets all copies, and wants all those pages again: what is then found as it
 * was before, after a pp_objects_fetch, stood there in between. */
void pp_objects_again(pp_objects *objects);
/* Reads what was wanted; in one call when all of it is there.
 * PYPROF_ERR_NO_MEMORY, or what the reader says (PYPROF_ERR_GONE...); a fault
 * is not an error. */
pyprof_status pp_objects_fetch(pp_objects *objects);

/* ---- memory ---------------------------------------------------------------
 */

/* A piece of at most 64 KiB. */
pp_look pp_objects_copy(pp_objects *objects, uint64_t address, void *to,
                        size_t size);
pp_look pp_objects_u64(pp_objects *objects, uint64_t address, uint64_t *out);

/* ---- objects --------------------------------------------------------------
 */

/* Bits of a type's tp_flags that are the same in every version. */
enum {
    PP_TYPE_IS_HEAP = 1 << 9, /* it was made by a class statement, or like it */
    PP_TYPE_READY = 1 << 12,
    PP_TYPE_OF_INT = 1 << 24, /* int or a subclass */
    PP_TYPE_OF_STR = 1 << 28,
    PP_TYPE_OF_DICT = 1 << 29
};

typedef struct pp_type {
    uint64_t address;
    uint64_t flags;
    uint64_t basicsize;
    int64_t dictoffset;
    uint64_t cached_keys; /* keys that instances share; 0: none */
} pp_type;

/* The type of an object. NONE when that is no type. */
pp_look pp_objects_type(pp_objects *objects, uint64_t object, pp_type *out);
/* The value of an int from 0 to 2^64 - 1. */
pp_look pp_objects_int(pp_objects *objects, uint64_t object, uint64_t *out);
/* The text of a str as UTF-8 (as pp_text_utf8 makes it), NUL-terminated, at
 * most the first 4,096 characters; it is a piece of `arena`. */
pp_look pp_objects_text(pp_objects *objects, uint64_t object, pp_arena *arena,
                        pyprof_text *out);

/* ---- dicts ----------------------------------------------------------------
 */

/* What a dict's keys and values lead to: entries by number, in the order in
 * which they were made, with holes. At most 2^20. */
typedef struct pp_dict {
    uint64_t entries;
    uint64_t values; /* the first value, where values lie apart; else 0 */
    uint64_t n;
    uint32_t entry_size, key, value; /* bytes; in an entry */
} pp_dict;

/* A dict object (or one of a subclass). */
pp_look pp_objects_dict(pp_objects *objects, uint64_t object, pp_dict *out);
/* Entry `i` < dict->n: 0 in both for a hole. */
pp_look pp_objects_entry(pp_objects *objects, const pp_dict *dict, uint64_t i,
                         uint64_t *out_key, uint64_t *out_value);
/* The value of a str key: ASCII, at most 64 characters. `*hint` is the number
 * of the entry that is looked at first, and becomes the one that was found: for
 * dicts that are filled in the same order, or are looked into again. Any value
 * is right. */
pp_look pp_objects_item(pp_objects *objects, const pp_dict *dict,
                        const char *key, uint64_t *hint, uint64_t *out);

/* The dict of a module's global variables. */
pp_look pp_objects_module(pp_objects *objects, uint64_t module, pp_dict *out);
/* An attribute that an instance has by itself, not by its class; name and hint
 * as for pp_objects_item. */
pp_look pp_objects_attribute(pp_objects *objects, uint64_t object,
                             const char *name, uint64_t *hint, uint64_t *out);

#endif /* PP_UNWIND_OBJECTS_H */
