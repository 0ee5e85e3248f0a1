/*
 * tables: what a generated table (py3XX.c) consists of. For the files of this
 * folder only.
 */
#ifndef PP_LAYOUT_TABLES_H
#define PP_LAYOUT_TABLES_H

#include "layout/layout.h"

/* A value that differs by architecture, which is the target's as well. */
#if defined(__aarch64__)
#define PP_ARCH(x86_64, aarch64) (aarch64)
#else
#define PP_ARCH(x86_64, aarch64) (x86_64)
#endif

typedef enum pp_described_kind { PP_IS_OFFSET, PP_IS_SIZE } pp_described_kind;

/* One field of pp_layout that _Py_DebugOffsets tells (3.13+). Its members are
 * given by their own offsets in it; 0, where the cookie is, is none. */
typedef struct pp_described {
    const char *field;     /* "is.next" */
    const char *note;      /* what to say when table and description differ */
    uint16_t to;           /* offset of the field in pp_layout */
    uint16_t width, align; /* of what is there */
    uint16_t within;       /* member: size of the structure that holds it */
    uint16_t member;
    uint16_t within2, member2; /* the second member, if sign is not 0 */
    uint8_t kind;              /* pp_described_kind */
    int8_t sign;               /* field = member + sign * member2 */
} pp_described;

#define PP_DESCRIBED(name, what, bytes, alignment, second_sign, in, at, in2, \
                     at2)                                                    \
    {                                                                        \
        .field = #name,                                                      \
        .note = "the target describes another " #name                        \
                " than the table of its version",                            \
        .to = offsetof(pp_layout, name), .width = (bytes),                   \
        .align = (alignment), .within = (in), .member = (at),                \
        .within2 = (in2), .member2 = (at2), .kind = (what),                  \
        .sign = (second_sign)                                                \
    }

typedef struct pp_layout_table {
    pp_layout layout;
    const pp_described *described; /* NULL before 3.13 */
    size_t n_described;
    size_t description_size; /* bytes of _Py_DebugOffsets */
} pp_layout_table;

#define PP_VERSION(version, free_threaded, name, table, status) \
    extern const pp_layout_table table;
#include "layout/versions.def"
#undef PP_VERSION

/* The table of a version and build, or NULL. Static. */
const pp_layout_table *pp_layout_table_find(uint16_t version,
                                            bool free_threaded);

/* debug_offsets.c. Both return a status as pp_layout_load does.
 * The head of the description, of a runtime that should be of `version`. */
pyprof_status pp_layout_read_header(pp_reader *reader, uint64_t runtime,
                                    uint16_t version, bool *out_free_threaded,
                                    pyprof_error *err);
/* Changes `layout`, which has the table's values, into what the runtime tells
 * of itself. The head was read. */
pyprof_status pp_layout_describe(pp_reader *reader, uint64_t runtime,
                                 const pp_layout_table *table,
                                 pp_layout *layout, const char **out_note,
                                 pyprof_error *err);

#endif /* PP_LAYOUT_TABLES_H */
