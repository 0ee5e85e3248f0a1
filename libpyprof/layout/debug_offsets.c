/*
 * debug_offsets: what a runtime tells of its own structures (3.13+), the
 * _Py_DebugOffsets that it begins with. In: the runtime's memory and the table
 * of its version. Out: a layout with the values that the runtime tells.
 *
 * The description is the target's word: every value is checked against the
 * size of the structure it is in, its alignment, a cap, and its neighbours.
 * Where it differs from the table it wins, as micro releases and debug builds
 * move things; fields that it leaves out move along with the one before them.
 * What it must not know: the description's own form, which is generated
 * (`described` of py3XX.c).
 */
#include "layout/tables.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER_SIZE = 24, /* cookie, version, free-threaded */
    MAX_DESCRIPTION = 2048,
    /* Sizes of structures. The largest that are known have 425 KB (a runtime)
     * and about 1 KB (all but runtimes and interpreters). */
    MAX_STATE = 16 << 20,
    MAX_STRUCTURE = 64 << 10,
    MIN_STRUCTURE = 8,
    /* A field this close behind another moves along with it; one further away
     * can have something in between that other builds have not. */
    NEAR = 512,
    /* A debug build's runtime is 16,000 bytes longer ahead of its main
     * interpreter; micro releases moved that by less than 100. */
    DEBUG_BYTES = 8192
};

static const char COOKIE[] = "xdebugpy";

/* The description, as it was read. */
typedef struct description {
    uint8_t bytes[MAX_DESCRIPTION];
} description;

static uint64_t word(const void *bytes, size_t at)
{
    uint64_t value;

    memcpy(&value, (const uint8_t *)bytes + at, sizeof(value));
    return value;
}

static uint32_t get(const pp_layout *layout, size_t at)
{
    uint32_t value;

    memcpy(&value, (const uint8_t *)layout + at, sizeof(value));
    return value;
}

static void set(pp_layout *layout, size_t at, uint32_t value)
{
    memcpy((uint8_t *)layout + at, &value, sizeof(value));
}

static pyprof_status corrupt(pyprof_error *err, const char *field,
                             uint64_t value)
{
    return pp_error_set(err, PYPROF_ERR_CORRUPT,
                        "the target's description of itself is not "
                        "believable: %s is %" PRIu64,
                        field, value);
}

pyprof_status pp_layout_read_header(pp_reader *reader, uint64_t runtime,
                                    uint16_t version, bool *out_free_threaded,
                                    pyprof_error *err)
{
    uint8_t header[HEADER_SIZE];

    if (pp_reader_read(reader, runtime, header, sizeof(header)) != PYPROF_OK) {
        return pp_error_address(err, PYPROF_ERR_FAULT, runtime,
                                "the runtime cannot be read");
    }
    if (memcmp(header, COOKIE, sizeof(COOKIE) - 1) != 0) {
        return pp_error_address(err, PYPROF_ERR_CORRUPT, runtime,
                                "the target's description of itself does not "
                                "begin with its cookie");
    }
    if (word(header, 8) >> 16 != version) {
        return corrupt(err, "version", word(header, 8));
    }
    if (word(header, 16) > 1) {
        return corrupt(err, "free_threaded", word(header, 16));
    }
    *out_free_threaded = word(header, 16) == 1;
    return PYPROF_OK;
}

/* The largest size that the structure of a field can have. */
static uint64_t max_size(const pp_described *row)
{
    bool state = strncmp(row->field, "rt.", 3) == 0 ||
                 strncmp(row->field, "is.", 3) == 0 ||
                 strncmp(row->field, "gil.", 4) == 0;

    return state ? MAX_STATE : MAX_STRUCTURE;
}

/* Size of a structure that the description tells at `within`; 0 when it is not
 * believable, MAX_STRUCTURE where it tells none. */
static uint64_t structure_size(const pp_described *row, const description *d,
                               uint16_t within)
{
    uint64_t size;

    if (within == 0) {
        return MAX_STRUCTURE;
    }
    size = word(d->bytes, within);
    return size >= MIN_STRUCTURE && size <= max_size(row) ? size : 0;
}

static bool fits(const pp_described *row, uint64_t offset, uint64_t size)
{
    return offset < size && row->width <= size - offset &&
           offset % row->align == 0;
}

/* The value of a field as the description tells it; false when it can't be. */
static bool described_value(const pp_described *row, const description *d,
                            uint32_t *out)
{
    uint64_t size = structure_size(row, d, row->within);
    uint64_t value = word(d->bytes, row->member);
    uint64_t second;

    if (row->kind == PP_IS_SIZE) {
        if (value < MIN_STRUCTURE || value > max_size(row) ||
            value % row->align != 0) {
            return false;
        }
    } else if (row->sign == 0) {
        if (!fits(row, value, size)) {
            return false;
        }
    } else {
        second = word(d->bytes, row->member2);
        if (row->sign < 0) {
            /* Both are told from the start of the outer structure. */
            if (!fits(row, value, size) || value < second) {
                return false;
            }
            value -= second;
        } else {
            if (!fits(row, second, structure_size(row, d, row->within2)) ||
                value >= size || !fits(row, value + second, size)) {
                return false;
            }
            value += second;
        }
    }
    *out = (uint32_t)value;
    return true;
}

/* Whether two fields of one structure would lie on top of each other. */
static bool overlap(const pp_described *a, uint64_t a_at, const pp_described *b,
                    uint64_t b_at)
{
    if (a->within != b->within || a->member == b->member ||
        a->kind == PP_IS_SIZE || b->kind == PP_IS_SIZE || a->sign < 0 ||
        b->sign < 0) {
        return false;
    }
    return a_at < b_at + b->width && b_at < a_at + a->width;
}

/* All that the description tells, checked, into `layout`. */
static pyprof_status take(const pp_layout_table *table, const description *d,
                          pp_layout *layout, pyprof_error *err)
{
    for (size_t i = 0; i < table->n_described; i++) {
        const pp_described *row = &table->described[i];
        uint32_t value;

        if (!described_value(row, d, &value)) {
            return corrupt(err, row->field, word(d->bytes, row->member));
        }
        for (size_t j = 0; j < i; j++) {
            const pp_described *other = &table->described[j];

            if (overlap(row, value, other, get(layout, other->to))) {
                return pp_error_set(
                    err, PYPROF_ERR_CORRUPT,
                    "the target's description of itself is not believable: "
                    "%s and %s overlap",
                    other->field, row->field);
            }
        }
        set(layout, row->to, value);
    }
    return PYPROF_OK;
}

/* ---- fields that the description leaves out ------------------------------ */

/* Offsets of one structure in pp_layout: all uint32_t from first to last. */
typedef struct group {
    const char *name;
    size_t first, last;
    size_t size;   /* where the structure's size is; 0: not to be checked */
    size_t inside; /* the last that lies inside that size */
} group;

#define GROUP(name, first_, last_, size_, inside_)  \
    {                                               \
#name, offsetof(pp_layout, name.first_),    \
            offsetof(pp_layout, name.last_), size_, \
            offsetof(pp_layout, name.inside_)       \
    }

static const group GROUPS[] = {
    GROUP(rt, interpreters_head, main_interpreter, offsetof(pp_layout, rt.size),
          main_interpreter),
    GROUP(is, next, asyncio_tasks_head, offsetof(pp_layout, is.size),
          asyncio_tasks_head),
    GROUP(gil, enabled, switch_number, 0, switch_number),
    /* The asyncio fields are behind: in the structure that starts with it. */
    GROUP(ts, next, asyncio_tasks_head, offsetof(pp_layout, ts.size), id),
    GROUP(fr, back, is_entry, 0, is_entry),
    GROUP(co, filename, tlbc, offsetof(pp_layout, co.size), varnames),
};

/* The described field of a group that is the last at or before `value` in the
 * table, its structure's size included; NULL when there is none. */
static const pp_described *before(const pp_layout_table *table, const group *g,
                                  uint32_t value)
{
    const pp_described *best = NULL;
    uint32_t best_value = 0;

    for (size_t i = 0; i < table->n_described; i++) {
        const pp_described *row = &table->described[i];
        uint32_t at = get(&table->layout, row->to);

        if (((row->to >= g->first && row->to <= g->last) ||
             row->to == g->size) &&
            at <= value && (best == NULL || at > best_value)) {
            best = row;
            best_value = at;
        }
    }
    return best;
}

static bool is_described(const pp_layout_table *table, size_t at)
{
    for (size_t i = 0; i < table->n_described; i++) {
        if (table->described[i].to == at) {
            return true;
        }
    }
    return false;
}

/* Moves the fields of a group that are not described along with those that
 * are. In a debug build those far from any are given up. */
static void follow(const pp_layout_table *table, const group *g, bool debug,
                   pp_layout *layout)
{
    for (size_t at = g->first; at <= g->last; at += sizeof(uint32_t)) {
        uint32_t value = get(&table->layout, at);
        const pp_described *row;

        if (value == PP_NONE || is_described(table, at)) {
            continue;
        }
        row = before(table, g, value);
        if (row == NULL) {
            continue;
        }
        if (value - get(&table->layout, row->to) <= NEAR) {
            uint32_t moved =
                get(layout, row->to) - get(&table->layout, row->to);

            set(layout, at, value + moved);
        } else if (debug) {
            set(layout, at, PP_NONE);
        }
    }
}

/* After `follow`: every offset of a group lies inside its structure. */
static pyprof_status check_group(const group *g, const pp_layout *layout,
                                 pyprof_error *err)
{
    uint32_t size;

    if (g->size == 0) {
        return PYPROF_OK;
    }
    size = get(layout, g->size);
    for (size_t at = g->first; at <= g->inside; at += sizeof(uint32_t)) {
        uint32_t value = get(layout, at);

        if (value != PP_NONE && value >= size) {
            return pp_error_set(err, PYPROF_ERR_CORRUPT,
                                "the target's description of itself is not "
                                "believable: %s.size is %u, too small for what "
                                "this version has at %u",
                                g->name, size, value);
        }
    }
    return PYPROF_OK;
}

/* What to tell of differences: an offset before a size. */
static const char *compare(const pp_layout_table *table,
                           const pp_layout *layout)
{
    const char *note = NULL;

    for (size_t i = 0; i < table->n_described; i++) {
        const pp_described *row = &table->described[i];

        if (get(layout, row->to) == get(&table->layout, row->to)) {
            continue;
        }
        if (row->kind == PP_IS_OFFSET) {
            return row->note;
        }
        if (note == NULL) {
            note = row->note;
        }
    }
    return note;
}

pyprof_status pp_layout_describe(pp_reader *reader, uint64_t runtime,
                                 const pp_layout_table *table,
                                 pp_layout *layout, const char **out_note,
                                 pyprof_error *err)
{
    description d;
    uint32_t main_at;
    bool debug;

    if (table->description_size > sizeof(d.bytes)) {
        return pp_error_set(err, PYPROF_ERR_INTERNAL,
                            "the description of CPython %s is larger than was "
                            "thought",
                            table->layout.cpython);
    }
    if (pp_reader_read(reader, runtime, d.bytes, table->description_size) !=
        PYPROF_OK) {
        return pp_error_address(err, PYPROF_ERR_FAULT, runtime,
                                "the runtime cannot be read");
    }
    PP_TRY(take(table, &d, layout, err));
    if (layout->is.size > layout->rt.size) {
        return corrupt(err, "is.size", layout->is.size);
    }
    /* A runtime ends with its main interpreter. */
    main_at = layout->rt.size - layout->is.size;
    debug = main_at > table->layout.rt.main_interpreter + DEBUG_BYTES;
    for (size_t i = 0; i < PP_COUNT_OF(GROUPS); i++) {
        follow(table, &GROUPS[i], debug, layout);
        PP_TRY(check_group(&GROUPS[i], layout, err));
    }
    layout->rt.main_interpreter = main_at;
    if (layout->code_proof == PP_CODE_PROOF_CREATED &&
        layout->is.func_version == PP_NONE) {
        layout->code_proof = PP_CODE_PROOF_NONE;
    }
    layout->debug_offsets = true;
    *out_note = compare(table, layout);
    return PYPROF_OK;
}
