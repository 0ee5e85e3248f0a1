/*
 * probe: what the compiler knows of one version of CPython, as data of an
 * object file. Compiled against that version's own headers by generate.py,
 * which reads the object's section `.pp_rows` and `.pp_bits`; never linked and
 * never run, so a cross compiler does for another architecture.
 *
 * In: the include folder of a CPython and the -D options that its own sources
 * were compiled with (Py_GIL_DISABLED, Py_DEBUG; _Py_TIER2, which lengthens
 * thread states and is in no header). Out: a row for each line of fields.def
 * that holds for that version. What it must not know: which field stands for
 * what - that is fields.def's.
 */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#define V(major, minor) (PY_VERSION_HEX >= ((major) << 24 | (minor) << 16))

/* Which header has a structure, by version. */
#if V(3, 9)
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#else
#include "code.h"
#include "internal/pycore_pymem.h"
#include "internal/pycore_pystate.h"
#endif
#include "internal/pycore_gil.h"
#if V(3, 11)
#include "internal/pycore_code.h"
#include "internal/pycore_dict.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_moduleobject.h"
#include "internal/pycore_object.h"
#else
#include "frameobject.h"
#endif
#if V(3, 12)
#include "internal/pycore_long.h"
#endif
#if V(3, 14)
#include "internal/pycore_genobject.h"
#include "internal/pycore_interpframe_structs.h"
#include "internal/pycore_stackref.h"
#include "internal/pycore_tstate.h"
#endif

#define NAME_SIZE 40
#define TEXT_SIZE 96

enum { ROW_WORD, ROW_NUMBER, ROW_SIZE, ROW_AT, ROW_MEANS, ROW_BUILD };

/* Read by generate.py: keep its ROW in step. `within` and `member` are offsets
 * in _Py_DebugOffsets, 0 for none: its first bytes are the cookie. */
struct row {
    char field[NAME_SIZE];
    char text[TEXT_SIZE];
    uint64_t value;
    uint32_t kind, width, align;
    int32_t sign; /* of the second member; 0: there is none */
    uint32_t within, member;
    uint32_t within2, member2;
};

/* A constant object in which one bit-field has all its bits set. */
#define IMAGE(type)                                              \
    struct {                                                     \
        char field[NAME_SIZE];                                   \
        uint64_t offset; /* of the word in the object */         \
        uint64_t total;  /* bytes of the object, with padding */ \
        type object;                                             \
    }

#define SECTION(name) __attribute__((used, aligned(8), section(name)))
#define WIDTH(type, member) sizeof(((type *)0)->member)
#define ALIGN(type, member) __alignof__(((type *)0)->member)
#define ALL_ONES(type, member, m) \
    {                             \
        .member = {.m = ~0u }     \
    }

#if V(3, 13)
#define MEMBER(group, m) \
    offsetof(_Py_DebugOffsets, group.size), offsetof(_Py_DebugOffsets, group.m)
#define MEMBER_UNSIZED(group, m) 0, offsetof(_Py_DebugOffsets, group.m)
#endif
#if V(3, 13)
#define D313(group, m) MEMBER(group, m)
#else
#define D313(group, m) 0, 0
#endif
#if V(3, 14)
#define D314(group, m) MEMBER(group, m)
#else
#define D314(group, m) 0, 0
#endif
#if V(3, 15)
#define D315(group, m) MEMBER(group, m)
#define D315_UNSIZED(group, m) MEMBER_UNSIZED(group, m)
#else
#define D315(group, m) 0, 0
#define D315_UNSIZED(group, m) 0, 0
#endif

/* ---- first reading: rows ------------------------------------------------ */

#define WORD(field, token) {#field, #token, 0, ROW_WORD, 0, 0, 0, 0, 0, 0, 0},
#define NUMBER(field, number) \
    {#field, #number, (uint64_t)(number), ROW_NUMBER, 0, 0, 0, 0, 0, 0, 0},
#define MEANS(field, number, token) \
    {#field, #token, (uint64_t)(number)&7, ROW_MEANS, 0, 0, 0, 0, 0, 0, 0},
#define SIZE(field, type) SIZE_D(field, type, D_NONE)
#define SIZE_D(field, type, ...) \
    {#field,                     \
     "sizeof(" #type ")",        \
     sizeof(type),               \
     ROW_SIZE,                   \
     0,                          \
     8,                          \
     0,                          \
     __VA_ARGS__,                \
     0,                          \
     0},
#define AT(field, type, member) AT_D(field, type, member, D_NONE)
#define AT_D(field, type, member, ...) \
    AT_ROW(field, type, member, 0, __VA_ARGS__, D_NONE)
#define AT_PLUS(field, type, member, ...) \
    AT_ROW(field, type, member, 1, __VA_ARGS__)
#define AT_MINUS(field, type, member, ...) \
    AT_ROW(field, type, member, -1, __VA_ARGS__)
/* What follows `sign`: two pairs of `within` and `member`, as D3XX makes. */
#define AT_ROW(field, type, member, sign, ...)            \
    {#field, #type "." #member,   offsetof(type, member), \
     ROW_AT, WIDTH(type, member), ALIGN(type, member),    \
     sign,   __VA_ARGS__},
#define AT_C(field, number, where) \
    {#field, where, (uint64_t)(number), ROW_AT, 8, 8, 0, 0, 0, 0, 0},
#define BITS(field, type, member, m)
#define D_NONE 0, 0

SECTION(".pp_rows")
const struct row pp_rows[] = {
    {"version", PY_VERSION, PY_VERSION_HEX, ROW_BUILD, 0, 0, 0, 0, 0, 0, 0},
#ifdef Py_GIL_DISABLED
    {"free_threaded", "", 1, ROW_BUILD, 0, 0, 0, 0, 0, 0, 0},
#endif
#if V(3, 13)
    {"description", "sizeof(_Py_DebugOffsets)", sizeof(_Py_DebugOffsets),
     ROW_BUILD, 0, 0, 0, 0, 0, 0, 0},
#endif
#include "fields.def"
};

#undef WORD
#undef NUMBER
#undef MEANS
#undef SIZE
#undef SIZE_D
#undef AT
#undef AT_D
#undef AT_PLUS
#undef AT_MINUS
#undef AT_C
#undef BITS

/* ---- second reading: bit-fields, which have no offsetof ------------------ */

#define WORD(field, token)
#define NUMBER(field, number)
#define MEANS(field, number, token)
#define SIZE(field, type)
#define SIZE_D(field, type, where)
#define AT(field, type, member)
#define AT_D(field, type, member, where)
#define AT_PLUS(field, type, member, where, more)
#define AT_MINUS(field, type, member, where, less)
#define AT_C(field, number, where)
#define PASTE(a, b) a##b
#define IMAGE_NAME(line) PASTE(pp_bits_, line)
#define BITS(field, type, member, m)                                          \
    SECTION(".pp_bits")                                                       \
    const IMAGE(type)                                                         \
        IMAGE_NAME(__LINE__) = {#field, offsetof(type, member), sizeof(type), \
                                ALL_ONES(type, member, m)};

#include "fields.def"
