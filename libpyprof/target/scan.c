/*
 * scan: looking through an image's writable data where no name helps.
 *
 * In: the data of one image, read in one piece. Out: the version in the text
 * that sys.version is made of (there once Python is initialised), and places
 * that may be a runtime: those that begin with the cookie of 3.13+, and those
 * where, by the shape of a version, there is a list of interpreters whose
 * thread states point back at them.
 * Bounded by MAX_DATA bytes and MAX_PAIRS places an image.
 */
#include "target/internal.h"

#include <string.h>

#define MAX_DATA ((size_t)32 << 20)
#define MAX_PAIRS ((size_t)1 << 20)
enum {
    BATCH = 1000,
    TEXT_SIZE = 256,
    MAX_WORD = 80,
    MAX_THREADS = 64,
    MAX_INTERPRETERS = 1000
};

/* ---- data ----------------------------------------------------------- */

/* Reads [from, to), as far as it is there; false when nothing is. */
static bool load(pp_search *search, uint64_t from, uint64_t to)
{
    size_t got = 0;
    if (to <= from) {
        return false;
    }
    size_t size = to - from < MAX_DATA ? (size_t)(to - from) : MAX_DATA;
    search->data_size = 0;
    if (!pp_grow(search->allocator, (void **)&search->data, &search->cap_data,
                 1, size, MAX_DATA)) {
        return false;
    }
    pyprof_status status =
        pp_reader_read_some(search->reader, from, search->data, size, &got);
    if (status != PYPROF_OK && status != PYPROF_ERR_FAULT) {
        return false;
    }
    search->data_at = from;
    search->data_size = got;
    search->scanned += got;
    return got > 0;
}

static uint64_t word_at(const pp_search *search, size_t at)
{
    uint64_t word;
    memcpy(&word, search->data + at, sizeof(word));
    return word;
}

/* ---- version text --------------------------------------------------- */

/* A decimal number of one to three digits. */
static bool small_number(const char **at, uint32_t *out)
{
    uint32_t value = 0;
    int digits = 0;
    while (**at >= '0' && **at <= '9' && digits < 4) {
        value = value * 10 + (uint32_t)(**at - '0');
        (*at)++;
        digits++;
    }
    *out = value;
    return digits > 0 && digits < 4 && value < 256;
}

/* "3.10.13 (main, Oct  9 2023, 12:00:00) [GCC 12.2.0]", where an older version
 * has a line break before the bracket: its number, or 0. */
static uint32_t parse_version(const char *text)
{
    const char *at = text;
    uint32_t major, minor, micro;
    uint32_t level = 0xf;
    uint32_t serial = 0;
    if (!small_number(&at, &major) || *at++ != '.' ||
        !small_number(&at, &minor) || *at++ != '.' ||
        !small_number(&at, &micro)) {
        return 0;
    }
    if (*at == 'a' || *at == 'b' || (at[0] == 'r' && at[1] == 'c')) {
        level = *at == 'a' ? 0xa : *at == 'b' ? 0xb : 0xc;
        at += *at == 'r' ? 2 : 1;
        if (!small_number(&at, &serial)) {
            return 0;
        }
    }
    at += *at == '+';
    if (*at != ' ' || (major != 2 && major != 3)) {
        return 0;
    }
    /* Some distributors put a word of their own before the build. */
    const char *build = strstr(at, " (");
    const char *end = build != NULL ? strstr(build, ") ") : NULL;
    if (end == NULL || build - at > MAX_WORD) {
        return 0;
    }
    end += 2;
    end += *end == '\n';
    return *end != '[' ? 0
                       : major << 24 | minor << 16 | micro << 8 | level << 4 |
                             (serial & 0xf);
}

/* The version text in the data that is loaded. */
static uint32_t find_version(const pp_search *search, uint32_t minor_of)
{
    const uint8_t *data = search->data;
    size_t size = search->data_size;
    for (size_t i = 1; i + 8 < size; i++) {
        const uint8_t *dot = memchr(data + i, '.', size - 8 - i);
        if (dot == NULL) {
            return 0;
        }
        i = (size_t)(dot - data);
        if (data[i - 1] != '2' && data[i - 1] != '3') {
            continue;
        }
        char text[TEXT_SIZE];
        size_t n = size - (i - 1);
        n = n < sizeof(text) - 1 ? n : sizeof(text) - 1;
        memcpy(text, data + i - 1, n);
        text[n] = '\0';
        uint32_t version = parse_version(text);
        if (version != 0 && (minor_of == 0 || version >> 16 == minor_of)) {
            return version;
        }
    }
    return 0;
}

uint32_t pp_target_scan_version(pp_search *search, uint64_t from, uint64_t to,
                                uint32_t minor_of)
{
    return load(search, from, to) ? find_version(search, minor_of) : 0;
}

/* ---- pointers ------------------------------------------------------- */

/* A place in the data where the list of interpreters may begin: the first
 * one, and behind it the main one. */
typedef struct pair {
    uint64_t at, first, main;
    uint64_t thread; /* the first's first thread state */
} pair;

/* Whether [address, address + size) lies in one writable mapping. */
static bool is_writable(const pp_search *search, uint64_t address,
                        uint64_t size)
{
    size_t low = 0;
    size_t high = search->maps.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (search->maps.items[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == search->maps.n) {
        return false;
    }
    const pp_os_map *map = &search->maps.items[low];
    return map->start <= address && size <= map->end - address &&
           (map->flags & PP_OS_MAP_WRITE) != 0;
}

static bool is_pointer(const pp_search *search, uint64_t value, uint64_t size)
{
    return value % 8 == 0 && value >= 4096 && is_writable(search, value, size);
}

/* Reads a word at each address, many a call; one that can't be read is 0. */
static void read_words(pp_reader *reader, const pp_span *spans, size_t n,
                       uint64_t *out)
{
    size_t first = 0;
    while (first < n) {
        size_t got = 0;
        if (pp_reader_readv(reader, out + first, spans + first, n - first,
                            &got) != PYPROF_OK) {
            got = 0;
        }
        first += got;
        if (first < n) {
            out[first++] = 0;
        }
    }
}

/* A word that is part of the data; false when it lies elsewhere. */
static bool local_word(const pp_search *search, uint64_t address, uint64_t *out)
{
    uint64_t at = address - search->data_at;
    if (address < search->data_at || search->data_size < 8 ||
        at > search->data_size - 8) {
        return false;
    }
    *out = word_at(search, (size_t)at);
    return true;
}

/* Whether what can be seen without another read speaks against a pair. Most
 * pointers in the data lead to the data, so few pairs are left to be read. */
static bool is_excluded(const pp_search *search, const pp_runtime_shape *shape,
                        uint64_t first)
{
    uint64_t thread, owner;
    if (!local_word(search, first + shape->interp_threads_head, &thread)) {
        return false;
    }
    return !is_pointer(search, thread, (uint64_t)shape->tstate_interp + 8) ||
           (local_word(search, thread + shape->tstate_interp, &owner) &&
            owner != first);
}

/* Collects places where two pointers follow each other. */
static size_t collect_pairs(pp_search *search, const pp_runtime_shape *shape,
                            pair **pairs)
{
    size_t n = 0;
    size_t cap = 0;
    uint64_t reach = (uint64_t)shape->interp_threads_head + 8;
    for (size_t at = shape->interpreters_head; at + 16 <= search->data_size;
         at += 8) {
        uint64_t first = word_at(search, at);
        if (first == 0 || !is_pointer(search, first, reach) ||
            !is_pointer(search, word_at(search, at + 8), reach) ||
            is_excluded(search, shape, first)) {
            continue;
        }
        if (!pp_grow(search->allocator, (void **)pairs, &cap, sizeof(pair),
                     n + 1, MAX_PAIRS)) {
            break;
        }
        (*pairs)[n++] =
            (pair){search->data_at + at, first, word_at(search, at + 8), 0};
    }
    return n;
}

/* Keeps those of up to BATCH pairs whose interpreter's thread state points
 * back at it, in order. */
static size_t filter_pairs(pp_search *search, const pp_runtime_shape *shape,
                           pair *pairs, size_t n)
{
    pp_span spans[BATCH];
    uint64_t words[BATCH];
    size_t kept = 0;
    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        spans[i] = (pp_span){pairs[i].first + shape->interp_threads_head, 8};
    }
    read_words(search->reader, spans, n, words);
    for (size_t i = 0; i < n; i++) {
        if (words[i] != 0 &&
            is_pointer(search, words[i], (uint64_t)shape->tstate_interp + 8)) {
            pairs[kept] = pairs[i];
            pairs[kept++].thread = words[i];
        }
    }
    for (size_t i = 0; i < kept; i++) {
        spans[i] = (pp_span){pairs[i].thread + shape->tstate_interp, 8};
    }
    read_words(search->reader, spans, kept, words);
    n = kept;
    kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (words[i] == pairs[i].first) {
            pairs[kept++] = pairs[i];
        }
    }
    return kept;
}

/* Whether the thread states of an interpreter are a list that ends, and all
 * point back at it. Looks at the first MAX_THREADS. */
static bool has_threads(pp_search *search, const pp_runtime_shape *shape,
                        uint64_t interp)
{
    uint64_t thread = 0;
    uint64_t owner = 0;
    int n = 0;
    if (pp_reader_u64(search->reader, interp + shape->interp_threads_head,
                      &thread) != PYPROF_OK) {
        return false;
    }
    for (; thread != 0 && n < MAX_THREADS; n++) {
        if (pp_reader_u64(search->reader, thread + shape->tstate_interp,
                          &owner) != PYPROF_OK ||
            owner != interp ||
            pp_reader_u64(search->reader, thread + shape->tstate_next,
                          &thread) != PYPROF_OK) {
            return false;
        }
    }
    return n > 0;
}

/* Objects that point at each other are common. Interpreters are a list as
 * well, and the main one is the last of it. */
static bool is_list(pp_search *search, const pp_runtime_shape *shape,
                    const pair *found)
{
    uint64_t interp = found->first;
    uint64_t next = 0;
    for (int n = 0; n < MAX_INTERPRETERS; n++) {
        if (!has_threads(search, shape, interp) ||
            pp_reader_u64(search->reader, interp + shape->interp_next, &next) !=
                PYPROF_OK) {
            return false;
        }
        if (next == 0) {
            return interp == found->main;
        }
        interp = next;
    }
    return false;
}

bool pp_target_scan_pointers(pp_search *search, pp_image *image,
                             uint32_t hex_version)
{
    const pp_runtime_shape *shape = pp_target_row(search, hex_version, false);
    pair *pairs = NULL;
    bool found = false;
    if (shape == NULL ||
        !load(search, image->elf.data_start, image->elf.data_end)) {
        return false;
    }
    size_t n = collect_pairs(search, shape, &pairs);
    for (size_t i = 0; i < n && !found; i += BATCH) {
        size_t some = n - i < BATCH ? n - i : BATCH;
        size_t hits = filter_pairs(search, shape, pairs + i, some);
        for (size_t k = 0; k < hits && !found; k++) {
            uint64_t runtime = pairs[i + k].at - shape->interpreters_head;
            found = image->elf.data_end - runtime >= shape->runtime_size &&
                    is_list(search, shape, &pairs[i + k]) &&
                    pp_target_judge(search, image, runtime, PP_FOUND_POINTERS,
                                    hex_version);
        }
    }
    pp_free(search->allocator, pairs);
    return found;
}

/* ---- the cookie ----------------------------------------------------- */

bool pp_target_scan_data(pp_search *search, pp_image *image,
                         uint32_t *out_version)
{
    *out_version = 0;
    if (!load(search, image->elf.data_start, image->elf.data_end)) {
        return false;
    }
    for (size_t at = 0; at + 8 <= search->data_size; at += 8) {
        if (memcmp(search->data + at, "xdebugpy", 8) == 0 &&
            pp_target_judge(search, image, search->data_at + at,
                            PP_FOUND_COOKIE, 0)) {
            return true;
        }
    }
    *out_version = find_version(search, 0);
    return false;
}
