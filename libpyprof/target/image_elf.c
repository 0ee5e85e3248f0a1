/*
 * image_elf: a pure parser of ELF files and of ELF images in memory.
 *
 * In: a source of bytes. Out: symbols, sections and extents by name. It knows
 * nothing of processes, files or Python, and trusts nothing: every offset is
 * checked, every loop is bounded, and the work that a file can cause is in
 * proportion to its size. Only 64-bit little-endian ELF is read.
 *
 * An image in memory is read through its program headers and its dynamic
 * section alone, for that is all that is mapped for sure.
 */
#include "target/target.h"

#include <string.h>

enum {
    HEADER_SIZE = 64,
    SEGMENT_SIZE = 56,
    SECTION_SIZE = 64,
    SYMBOL_SIZE = 24,
    MAX_SEGMENTS = 128,
    MAX_DYNAMIC = 1024, /* entries */
    MAX_CHAIN = 1 << 14,
    MAX_NAME = 128,
    MAX_SAME_NAMES = 16,
    CHUNK = 8192,

    TYPE_EXEC = 2,
    TYPE_SHARED = 3,
    SEGMENT_LOAD = 1,
    SEGMENT_DYNAMIC = 2,
    SEGMENT_WRITABLE = 2,
    SECTION_SYMTAB = 2,
    SECTION_DYNSYM = 11,
    SECTION_NOBITS = 8,
    SECTION_INDEX_ESCAPE = 0xffff,
    SYMBOL_TLS = 6,

    TAG_HASH = 4,
    TAG_STRTAB = 5,
    TAG_SYMTAB = 6,
    TAG_STRSZ = 10,
    TAG_SYMENT = 11
};
#define TAG_GNU_HASH UINT64_C(0x6ffffef5)

/* ---- bytes ---------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool get(const pp_elf_source *source, uint64_t at, void *to, size_t size)
{
    uint64_t end;
    return pp_add_u64(at, size, &end) &&
           source->read(source->user, at, to, size);
}

/* Element `i` of a table of `size`-byte elements. */
static bool get_element(const pp_elf_source *source, uint64_t table, uint64_t i,
                        size_t size, void *to)
{
    uint64_t at;
    return i <= UINT32_MAX && pp_add_u64(table, i * size, &at) &&
           get(source, at, to, size);
}

static bool read_header(const pp_elf_source *source, uint64_t at,
                        uint8_t header[HEADER_SIZE])
{
    static const uint8_t wanted[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    return get(source, at, header, HEADER_SIZE) &&
           memcmp(header, wanted, sizeof(wanted)) == 0 &&
           (get16(header + 16) == TYPE_EXEC ||
            get16(header + 16) == TYPE_SHARED);
}

/* Number of program headers, 0 when they are not believable. */
static uint32_t count_segments(const uint8_t header[HEADER_SIZE])
{
    uint16_t n = get16(header + 56);
    return get16(header + 54) == SEGMENT_SIZE && n <= MAX_SEGMENTS ? n : 0;
}

/* ---- images in memory ----------------------------------------------- */

/* Takes note of one loadable segment. The first also tells the bias. */
static bool note_load(pp_elf_image *image, const uint8_t *segment,
                      bool relocatable)
{
    uint64_t offset = get64(segment + 8);
    uint64_t address = get64(segment + 16);
    uint64_t in_file = get64(segment + 32);
    uint64_t in_memory = get64(segment + 40);
    uint64_t end;
    if (!image->has_bias) {
        /* What is mapped at the base is the start of the file. */
        image->bias = relocatable ? image->base - (address - offset) : 0;
        image->low = UINT64_MAX;
        image->has_bias = true;
    }
    uint64_t start = address + image->bias;
    if (in_file > in_memory || !pp_add_u64(start, in_memory, &end)) {
        return false;
    }
    image->low = start < image->low ? start : image->low;
    image->high = end > image->high ? end : image->high;
    if ((get32(segment + 4) & SEGMENT_WRITABLE) != 0 &&
        in_memory > image->data_end - image->data_start) {
        image->data_start = start;
        image->bss_start = start + in_file;
        image->data_end = end;
    }
    return true;
}

bool pp_elf_memory_header(const pp_elf_source *memory, uint64_t base,
                          pp_elf_image *out)
{
    uint8_t header[HEADER_SIZE];
    uint8_t segments[MAX_SEGMENTS * SEGMENT_SIZE];
    pp_elf_image image;
    uint64_t at;
    memset(&image, 0, sizeof(image));
    image.base = base;
    if (!read_header(memory, base, header)) {
        return false;
    }
    uint32_t n = count_segments(header);
    if (n == 0 || !pp_add_u64(base, get64(header + 32), &at) ||
        !get(memory, at, segments, (size_t)n * SEGMENT_SIZE)) {
        return false;
    }
    bool relocatable = get16(header + 16) == TYPE_SHARED;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *segment = segments + (size_t)i * SEGMENT_SIZE;
        if (get32(segment) == SEGMENT_LOAD &&
            !note_load(&image, segment, relocatable)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < n && image.has_bias; i++) {
        const uint8_t *segment = segments + (size_t)i * SEGMENT_SIZE;
        if (get32(segment) == SEGMENT_DYNAMIC) {
            image.dynamic = get64(segment + 16) + image.bias;
            image.dynamic_size = get64(segment + 40);
        }
    }
    *out = image;
    return image.has_bias;
}

/* A pointer of the dynamic section. glibc's loader has relocated it, musl's
 * leaves it as it is in the file. 0 when it points outside of the image. */
static uint64_t dynamic_pointer(const pp_elf_image *image, uint64_t value)
{
    if (value >= image->low && value < image->high) {
        return value;
    }
    value += image->bias;
    return value >= image->low && value < image->high ? value : 0;
}

bool pp_elf_memory_tables(const pp_elf_source *memory, pp_elf_image *image)
{
    uint64_t symbol_size = SYMBOL_SIZE;
    uint64_t n = image->dynamic_size / 16;
    n = n < MAX_DYNAMIC ? n : MAX_DYNAMIC;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t entry[16];
        if (!get_element(memory, image->dynamic, i, sizeof(entry), entry)) {
            return false;
        }
        uint64_t tag = get64(entry);
        uint64_t value = get64(entry + 8);
        if (tag == 0) {
            break;
        }
        if (tag == TAG_SYMTAB) {
            image->symbols = dynamic_pointer(image, value);
        } else if (tag == TAG_STRTAB) {
            image->names = dynamic_pointer(image, value);
        } else if (tag == TAG_STRSZ) {
            image->names_size = value;
        } else if (tag == TAG_SYMENT) {
            symbol_size = value;
        } else if (tag == TAG_HASH) {
            image->hash = dynamic_pointer(image, value);
        } else if (tag == TAG_GNU_HASH) {
            image->gnu_hash = dynamic_pointer(image, value);
        }
    }
    return symbol_size == SYMBOL_SIZE && image->symbols != 0 &&
           image->names != 0 && (image->gnu_hash != 0 || image->hash != 0);
}

/* Whether symbol `i` is defined and has this name; then fills `out`. */
static bool take_symbol(const pp_elf_source *memory, const pp_elf_image *image,
                        uint64_t i, const char *name, pp_elf_symbol *out)
{
    uint8_t symbol[SYMBOL_SIZE];
    char text[MAX_NAME];
    size_t size = strlen(name) + 1;
    if (!get_element(memory, image->symbols, i, sizeof(symbol), symbol)) {
        return false;
    }
    uint64_t at = get32(symbol);
    if (get16(symbol + 6) == 0 || (symbol[4] & 0xf) == SYMBOL_TLS ||
        at >= image->names_size || size > image->names_size - at ||
        !get(memory, image->names + at, text, size) ||
        memcmp(text, name, size) != 0) {
        return false;
    }
    out->value = get64(symbol + 8);
    out->size = get64(symbol + 16);
    return true;
}

static bool find_by_gnu_hash(const pp_elf_source *memory,
                             const pp_elf_image *image, const char *name,
                             pp_elf_symbol *out)
{
    uint8_t head[16];
    uint8_t word[8];
    uint32_t h = 5381;
    for (const char *c = name; *c != '\0'; c++) {
        h = h * 33 + (uint8_t)*c;
    }
    if (!get(memory, image->gnu_hash, head, sizeof(head))) {
        return false;
    }
    uint32_t n_buckets = get32(head);
    uint32_t first = get32(head + 4);
    uint32_t n_bloom = get32(head + 8);
    uint32_t shift = get32(head + 12);
    uint64_t bloom = image->gnu_hash + sizeof(head);
    if (n_buckets == 0 || n_bloom == 0 || (n_bloom & (n_bloom - 1)) != 0 ||
        shift > 31 ||
        !get_element(memory, bloom, (h / 64) & (n_bloom - 1), 8, word)) {
        return false;
    }
    uint64_t bits = get64(word);
    if (((bits >> (h % 64)) & (bits >> ((h >> shift) % 64)) & 1) == 0) {
        return false;
    }
    uint64_t buckets = bloom + (uint64_t)n_bloom * 8;
    uint64_t chains = buckets + (uint64_t)n_buckets * 4;
    if (!get_element(memory, buckets, h % n_buckets, 4, word)) {
        return false;
    }
    uint64_t i = get32(word);
    for (int steps = 0; i >= first && steps < MAX_CHAIN; steps++, i++) {
        if (!get_element(memory, chains, i - first, 4, word)) {
            return false;
        }
        uint32_t entry = get32(word);
        if ((entry | 1) == (h | 1) &&
            take_symbol(memory, image, i, name, out)) {
            return true;
        }
        if ((entry & 1) != 0) {
            break;
        }
    }
    return false;
}

static bool find_by_hash(const pp_elf_source *memory, const pp_elf_image *image,
                         const char *name, pp_elf_symbol *out)
{
    uint8_t head[8];
    uint8_t word[4];
    uint32_t h = 0;
    for (const char *c = name; *c != '\0'; c++) {
        h = (h << 4) + (uint8_t)*c;
        h ^= (h >> 24) & 0xf0;
        h &= 0x0fffffff;
    }
    if (!get(memory, image->hash, head, sizeof(head))) {
        return false;
    }
    uint32_t n_buckets = get32(head);
    uint32_t n_chain = get32(head + 4);
    uint64_t buckets = image->hash + sizeof(head);
    uint64_t chains = buckets + (uint64_t)n_buckets * 4;
    if (n_buckets == 0 ||
        !get_element(memory, buckets, h % n_buckets, 4, word)) {
        return false;
    }
    uint32_t i = get32(word);
    for (int steps = 0; i != 0 && i < n_chain && steps < MAX_CHAIN; steps++) {
        if (take_symbol(memory, image, i, name, out)) {
            return true;
        }
        if (!get_element(memory, chains, i, 4, word)) {
            break;
        }
        i = get32(word);
    }
    return false;
}

bool pp_elf_memory_find(const pp_elf_source *memory, const pp_elf_image *image,
                        const char *name, pp_elf_symbol *out)
{
    if (strlen(name) >= MAX_NAME) {
        return false;
    }
    return image->gnu_hash != 0 ? find_by_gnu_hash(memory, image, name, out)
                                : find_by_hash(memory, image, name, out);
}

/* ---- files ---------------------------------------------------------- */

/* The table of sections of a file. */
typedef struct sections {
    uint64_t table;
    uint64_t n;
    uint64_t names, names_size;
} sections;

/* One section's header; false when there is none. Bytes of it lie in the file
 * (unless it has none there). */
static bool read_section(const pp_elf_source *file, uint64_t file_size,
                         const sections *all, uint64_t i,
                         uint8_t section[SECTION_SIZE])
{
    uint64_t end;
    if (i >= all->n ||
        !get_element(file, all->table, i, SECTION_SIZE, section)) {
        return false;
    }
    if (get32(section + 4) == SECTION_NOBITS) {
        return true;
    }
    return pp_add_u64(get64(section + 24), get64(section + 32), &end) &&
           end <= file_size;
}

static bool open_sections(const pp_elf_source *file, uint64_t file_size,
                          sections *out)
{
    uint8_t header[HEADER_SIZE];
    uint8_t section[SECTION_SIZE];
    if (!read_header(file, 0, header) || get16(header + 58) != SECTION_SIZE) {
        return false;
    }
    out->table = get64(header + 40);
    out->n = get16(header + 60);
    uint64_t names = get16(header + 62);
    if (out->table == 0 || out->table >= file_size) {
        return false;
    }
    /* Numbers that don't fit there are in the first section's header. */
    if (out->n == 0 || names == SECTION_INDEX_ESCAPE) {
        if (!get(file, out->table, section, sizeof(section))) {
            return false;
        }
        out->n = out->n == 0 ? get64(section + 32) : out->n;
        names = names == SECTION_INDEX_ESCAPE ? get32(section + 40) : names;
    }
    if (out->n > (file_size - out->table) / SECTION_SIZE ||
        !read_section(file, file_size, out, names, section) ||
        get32(section + 4) == SECTION_NOBITS) {
        return false;
    }
    out->names = get64(section + 24);
    out->names_size = get64(section + 32);
    return true;
}

/* Whether the name of a section, at `at` in the table of names, is this one.
 * `names` has the first `known` bytes of the table. */
static bool has_name(const pp_elf_source *file, const sections *all,
                     const uint8_t *names, uint64_t known, uint64_t at,
                     const char *name)
{
    char text[MAX_NAME];
    size_t size = strlen(name) + 1;
    if (at >= all->names_size || size > all->names_size - at) {
        return false;
    }
    if (at < known && size <= known - at) {
        return memcmp(names + at, name, size) == 0;
    }
    return get(file, all->names + at, text, size) &&
           memcmp(text, name, size) == 0;
}

bool pp_elf_file_section(const pp_elf_source *file, uint64_t file_size,
                         const char *name, pp_elf_symbol *out)
{
    sections all;
    uint8_t names[1024];
    uint8_t chunk[32 * SECTION_SIZE];
    if (strlen(name) >= MAX_NAME || !open_sections(file, file_size, &all)) {
        return false;
    }
    uint64_t known =
        all.names_size < sizeof(names) ? all.names_size : sizeof(names);
    if (!get(file, all.names, names, (size_t)known)) {
        return false;
    }
    for (uint64_t i = 0; i < all.n;) {
        uint64_t n = all.n - i < 32 ? all.n - i : 32;
        if (!get(file, all.table + i * SECTION_SIZE, chunk,
                 (size_t)n * SECTION_SIZE)) {
            return false;
        }
        for (uint64_t k = 0; k < n; k++, i++) {
            const uint8_t *section = chunk + k * SECTION_SIZE;
            if (has_name(file, &all, names, known, get32(section), name)) {
                out->value = get64(section + 16);
                out->size = get64(section + 32);
                return out->value != 0;
            }
        }
    }
    return false;
}

/* Offsets in a string table at which a name is (it may end another). */
typedef struct places {
    uint32_t at[MAX_SAME_NAMES];
    size_t n;
} places;

static bool is_place(const places *found, uint32_t at)
{
    for (size_t i = 0; i < found->n; i++) {
        if (found->at[i] == at) {
            return true;
        }
    }
    return false;
}

/* Searches a string table once, so that no symbol's name need be read. */
static void find_places(const pp_elf_source *file, uint64_t table,
                        uint64_t table_size, const char *name, places *out)
{
    uint8_t chunk[CHUNK];
    size_t size = strlen(name) + 1;
    uint64_t at = 0;
    out->n = 0;
    while (table_size - at >= size && at <= UINT32_MAX) {
        uint64_t left = table_size - at;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        if (!get(file, table + at, chunk, n)) {
            return;
        }
        for (size_t i = 0; i + size <= n; i++) {
            if (chunk[i] == (uint8_t)name[0] &&
                memcmp(chunk + i, name, size) == 0 && out->n < MAX_SAME_NAMES) {
                out->at[out->n++] = (uint32_t)(at + i);
            }
        }
        at += n - size + 1;
    }
}

/* Searches one symbol table. `section` is its header. */
static bool search_symbols(const pp_elf_source *file, uint64_t file_size,
                           const sections *all, const uint8_t *section,
                           const char *name, pp_elf_symbol *out)
{
    uint8_t strings[SECTION_SIZE];
    uint8_t chunk[CHUNK / SYMBOL_SIZE * SYMBOL_SIZE];
    places found;
    uint64_t table = get64(section + 24);
    uint64_t size = get64(section + 32);
    if (get64(section + 56) != SYMBOL_SIZE ||
        !read_section(file, file_size, all, get32(section + 40), strings) ||
        get32(strings + 4) == SECTION_NOBITS) {
        return false;
    }
    find_places(file, get64(strings + 24), get64(strings + 32), name, &found);
    for (uint64_t at = 0; found.n > 0 && size - at >= SYMBOL_SIZE;) {
        uint64_t left = (size - at) / SYMBOL_SIZE * SYMBOL_SIZE;
        size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        if (!get(file, table + at, chunk, n)) {
            return false;
        }
        for (size_t i = 0; i < n; i += SYMBOL_SIZE) {
            const uint8_t *symbol = chunk + i;
            if (get16(symbol + 6) != 0 && (symbol[4] & 0xf) != SYMBOL_TLS &&
                is_place(&found, get32(symbol))) {
                out->value = get64(symbol + 8);
                out->size = get64(symbol + 16);
                return true;
            }
        }
        at += n;
    }
    return false;
}

bool pp_elf_file_symbol(const pp_elf_source *file, uint64_t file_size,
                        const char *name, pp_elf_symbol *out)
{
    static const uint32_t types[] = {SECTION_SYMTAB, SECTION_DYNSYM};
    sections all;
    if (!open_sections(file, file_size, &all)) {
        return false;
    }
    for (size_t t = 0; t < PP_COUNT_OF(types); t++) {
        int tables = 0;
        for (uint64_t i = 1; i < all.n && tables < 2; i++) {
            uint8_t section[SECTION_SIZE];
            if (!read_section(file, file_size, &all, i, section) ||
                get32(section + 4) != types[t]) {
                continue;
            }
            tables++;
            if (search_symbols(file, file_size, &all, section, name, out)) {
                return true;
            }
        }
    }
    return false;
}
