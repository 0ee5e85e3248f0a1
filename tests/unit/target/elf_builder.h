/*
 * elf_builder: small ELF files with just the parts that a test wants.
 *
 * A file is a page of headers and dynamic symbols, a page of code, data, and
 * then, where they are wanted, sections. A byte at offset x is at link address
 * base + x, also once it is mapped.
 */
#ifndef PP_TESTS_ELF_BUILDER_H
#define PP_TESTS_ELF_BUILDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ELF_PAGE = 4096,
    ELF_DATA = 2 * ELF_PAGE, /* where data begins */
    ELF_DYNAMIC = 0x200,
    ELF_HASH = 0x400,
    ELF_GNU_HASH = 0x500,
    ELF_SYMBOLS = 0x700,
    ELF_NAMES = 0xb00,
    ELF_MAX_SYMBOLS = 24
};

typedef struct elf_symbol {
    const char *name;
    uint64_t offset; /* in the file; 0: undefined */
} elf_symbol;

typedef struct elf_plan {
    bool fixed;         /* ET_EXEC */
    uint64_t base;      /* link address of the first byte */
    uint64_t relocated; /* added to the pointers of the dynamic section, as
                         * glibc's loader does */
    size_t data_size;   /* whole pages */
    size_t bss_size;    /* behind it, only in memory */
    bool no_dynamic, hash, gnu_hash, symtab;
    const char *section;   /* one in the data, e.g. ".PyRuntime" ... */
    uint64_t section_from; /* ... from this offset in the data to its end */
    elf_symbol symbols[ELF_MAX_SYMBOLS];
    size_t n_symbols;
} elf_plan;

static inline void elf_put(uint8_t *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void elf_segment(uint8_t *file, const elf_plan *plan, int i,
                               uint32_t type, uint32_t flags, uint64_t offset,
                               uint64_t size, uint64_t memory_size)
{
    uint8_t *p = file + 64 + i * 56;
    elf_put(p, type, 4);
    elf_put(p + 4, flags, 4);
    elf_put(p + 8, offset, 8);
    elf_put(p + 16, plan->base + offset, 8);
    elf_put(p + 24, plan->base + offset, 8);
    elf_put(p + 32, size, 8);
    elf_put(p + 40, memory_size, 8);
    elf_put(p + 48, ELF_PAGE, 8);
}

static inline uint32_t elf_gnu_hash(const char *name)
{
    uint32_t h = 5381;
    for (; *name != '\0'; name++) {
        h = h * 33 + (uint8_t)*name;
    }
    return h;
}

static inline uint32_t elf_old_hash(const char *name)
{
    uint32_t h = 0;
    for (; *name != '\0'; name++) {
        h = (h << 4) + (uint8_t)*name;
        uint32_t g = h & 0xf0000000;
        h ^= g >> 24;
        h &= ~g;
    }
    return h;
}

/* Symbol table and names at the given places; the names' size. */
static inline size_t elf_symbol_table(uint8_t *symbols, uint8_t *names,
                                      const elf_plan *plan)
{
    size_t at = 1;
    names[0] = '\0';
    memset(symbols, 0, 24);
    for (size_t i = 0; i < plan->n_symbols; i++) {
        const elf_symbol *s = &plan->symbols[i];
        uint8_t *p = symbols + (i + 1) * 24;
        elf_put(p, at, 4);
        p[4] = 1 << 4 | 1; /* global object */
        elf_put(p + 6, s->offset != 0 ? 1 : 0, 2);
        elf_put(p + 8, s->offset != 0 ? plan->base + s->offset : 0, 8);
        elf_put(p + 16, 8, 8);
        memcpy(names + at, s->name, strlen(s->name) + 1);
        at += strlen(s->name) + 1;
    }
    return at;
}

static inline void elf_dynamic_entry(uint8_t **p, uint64_t tag, uint64_t value)
{
    elf_put(*p, tag, 8);
    elf_put(*p + 8, value, 8);
    *p += 16;
}

static inline void elf_dynamic(uint8_t *file, const elf_plan *plan)
{
    uint8_t *p = file + ELF_DYNAMIC;
    uint64_t at = plan->base + plan->relocated;
    size_t n = plan->n_symbols;
    size_t names = elf_symbol_table(file + ELF_SYMBOLS, file + ELF_NAMES, plan);
    if (plan->hash) {
        uint8_t *h = file + ELF_HASH;
        elf_dynamic_entry(&p, 4, at + ELF_HASH);
        elf_put(h, 2, 4); /* buckets */
        elf_put(h + 4, n + 1, 4);
        for (size_t i = 0; i < n; i++) {
            uint8_t *bucket =
                h + 8 + elf_old_hash(plan->symbols[i].name) % 2 * 4;
            memcpy(h + 16 + (i + 1) * 4, bucket, 4);
            elf_put(bucket, i + 1, 4);
        }
    }
    if (plan->gnu_hash) {
        uint8_t *h = file + ELF_GNU_HASH;
        uint64_t bloom = 0;
        elf_dynamic_entry(&p, 0x6ffffef5, at + ELF_GNU_HASH);
        elf_put(h, 1, 4);     /* buckets */
        elf_put(h + 4, 1, 4); /* first symbol */
        elf_put(h + 8, 1, 4); /* words of the filter */
        elf_put(h + 12, 6, 4);
        elf_put(h + 24, n > 0 ? 1 : 0, 4);
        for (size_t i = 0; i < n; i++) {
            uint32_t hash = elf_gnu_hash(plan->symbols[i].name);
            bloom |= UINT64_C(1) << (hash % 64);
            bloom |= UINT64_C(1) << ((hash >> 6) % 64);
            elf_put(h + 28 + i * 4, (hash & ~1u) | (i + 1 == n), 4);
        }
        elf_put(h + 16, bloom, 8);
    }
    elf_dynamic_entry(&p, 5, at + ELF_NAMES);
    elf_dynamic_entry(&p, 6, at + ELF_SYMBOLS);
    elf_dynamic_entry(&p, 10, names);
    elf_dynamic_entry(&p, 11, 24);
    elf_dynamic_entry(&p, 0, 0);
}

static inline void elf_section(uint8_t *table, int i, uint32_t name,
                               uint32_t type, uint64_t address, uint64_t offset,
                               uint64_t size, uint32_t link, uint64_t entry)
{
    uint8_t *p = table + i * 64;
    elf_put(p, name, 4);
    elf_put(p + 4, type, 4);
    elf_put(p + 16, address, 8);
    elf_put(p + 24, offset, 8);
    elf_put(p + 32, size, 8);
    elf_put(p + 40, link, 4);
    elf_put(p + 56, entry, 8);
}

/* Sections behind the data: names, symbols, their names, and the wanted one. */
static inline size_t elf_sections(uint8_t *file, size_t at,
                                  const elf_plan *plan)
{
    uint8_t *symbols = file + at;
    uint8_t *names = symbols + ELF_MAX_SYMBOLS * 24 + 24;
    size_t names_size = elf_symbol_table(symbols, names, plan);
    uint8_t *section_names = names + 1024;
    const char *wanted = plan->section != NULL ? plan->section : ".other";
    static const char fixed_names[] = "\0.symtab\0.strtab\0.shstrtab";
    memcpy(section_names, fixed_names, sizeof(fixed_names));
    memcpy(section_names + sizeof(fixed_names), wanted, strlen(wanted) + 1);
    uint8_t *table = section_names + 128;
    size_t n = (size_t)(table - file);
    uint64_t from = ELF_DATA + plan->section_from;
    elf_section(table, 1, sizeof(fixed_names), 1, plan->base + from, from,
                plan->data_size - plan->section_from, 0, 0);
    elf_section(table, 2, 17, 3, 0, (size_t)(section_names - file), 128, 0, 0);
    elf_section(table, 3, 9, 3, 0, (size_t)(names - file), names_size, 0, 0);
    elf_section(table, 4, 1, plan->symtab ? 2 : 1, 0, at,
                (plan->n_symbols + 1) * 24, 3, 24);
    elf_put(file + 40, n, 8);
    elf_put(file + 58, 64, 2);
    elf_put(file + 60, 5, 2);
    elf_put(file + 62, 2, 2);
    return n + 5 * 64;
}

/* A file by a plan; free it. */
static inline uint8_t *elf_build(const elf_plan *plan, size_t *out_size)
{
    size_t end = ELF_DATA + plan->data_size;
    uint8_t *file = calloc(1, end + 8192);
    static const uint8_t magic[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    memcpy(file, magic, sizeof(magic));
    elf_put(file + 16, plan->fixed ? 2 : 3, 2);
    elf_put(file + 18, 62, 2);
    elf_put(file + 20, 1, 4);
    elf_put(file + 32, 64, 8);
    elf_put(file + 52, 64, 2);
    elf_put(file + 54, 56, 2);
    elf_put(file + 56, plan->no_dynamic ? 3 : 4, 2);
    elf_segment(file, plan, 0, 1, 4, 0, ELF_PAGE, ELF_PAGE);
    elf_segment(file, plan, 1, 1, 5, ELF_PAGE, ELF_PAGE, ELF_PAGE);
    elf_segment(file, plan, 2, 1, 6, ELF_DATA, plan->data_size,
                plan->data_size + plan->bss_size);
    if (!plan->no_dynamic) {
        elf_segment(file, plan, 3, 2, 4, ELF_DYNAMIC, 0x100, 0x100);
        elf_dynamic(file, plan);
    }
    *out_size = end;
    if (plan->symtab || plan->section != NULL) {
        *out_size = elf_sections(file, end, plan);
    }
    return file;
}

#endif /* PP_TESTS_ELF_BUILDER_H */
