/*
 * internal: what the files that search for a runtime share.
 *
 * find.c walks the ladder, pages.c fetches bytes for it, judge.c says what a
 * place is worth, scan.c looks through data where no name helps.
 */
#ifndef PP_TARGET_INTERNAL_H
#define PP_TARGET_INTERNAL_H

#include "target/target.h"

/* ---- pages.c -------------------------------------------------------- */

/* Pages of the target, copied once each, so that a parser which reads a few
 * bytes at a time costs few system calls. A snapshot: it lives for one search
 * and serves only what does not change (headers, symbols). */
typedef struct pp_pages {
    pp_reader *reader;
    const pp_allocator *allocator;
    pp_map index; /* page number -> slot + 1, or 0 for "can't be read" */
    uint8_t *data;
    size_t n, cap; /* slots; bytes of data */
    uint64_t *wanted;
    size_t n_wanted, cap_wanted;
    pyprof_status status; /* of the last call that was refused */
} pp_pages;

void pp_pages_init(pp_pages *pages, pp_reader *reader,
                   const pp_allocator *allocator);
void pp_pages_free(pp_pages *pages);
/* Will need this piece; what is there already isn't read again. */
void pp_pages_want(pp_pages *pages, uint64_t address, uint64_t size);
/* Reads all that is wanted, in one call when all of it is there. */
void pp_pages_fetch(pp_pages *pages);
/* A pp_elf_source's `read`: `user` is the pages. */
bool pp_pages_read(void *user, uint64_t address, void *to, size_t size);

/* ---- a search ------------------------------------------------------- */

/* One ELF file that is mapped from its start. */
typedef struct pp_image {
    const pp_os_map *map;
    pp_elf_image elf;
    bool is_elf;
    bool has_symbols; /* dynamic ones, in memory */
    bool judged;      /* a runtime in it was found by name */
} pp_image;

typedef struct pp_search {
    pp_os_process *process;
    pp_reader *reader;
    const pp_runtime_shape *shapes;
    size_t n_shapes;
    const pp_allocator *allocator;
    const pp_log *log;
    pp_os_maps maps;
    pp_image *images; /* those that are likely to have a runtime come first */
    size_t n_images, n_likely;
    pp_pages pages;
    int file; /* of the image that is being looked at, or -1 */
    uint64_t file_size;
    uint8_t *data; /* of the image that is being scanned */
    size_t data_size, cap_data;
    uint64_t data_at;
    pp_runtime best;     /* best place so far, and what it is worth: */
    pyprof_status worth; /* OK, NOT_READY, UNSUPPORTED_TARGET or NOT_PYTHON */
    pyprof_error why;
    size_t n_files; /* for the message that nothing was found */
    uint64_t scanned;
    bool is_32_bit;
    bool is_described; /* `best` is ready, and describes itself */
} pp_search;

/* ---- judge.c -------------------------------------------------------- */

/* What a place that may be a runtime is worth. Keeps it when it is worth more
 * than the best so far. True when it is a runtime that is ready: the search is
 * over. `hex_version` is 0 unless it is known from elsewhere. */
bool pp_target_judge(pp_search *search, pp_image *image, uint64_t address,
                     pp_found_by found_by, uint32_t hex_version);
/* Address of a symbol of an image, by its dynamic symbols, else by the file
 * that is open; 0 when there is none. */
uint64_t pp_target_symbol(pp_search *search, const pp_image *image,
                          const char *name);
const pp_runtime_shape *pp_target_row(const pp_search *search,
                                      uint32_t hex_version, bool free_threaded);
/* Remembers that an unsupported version was met. */
void pp_target_unsupported(pp_search *search, const pp_image *image,
                           uint64_t address, uint32_t hex_version,
                           bool free_threaded);

/* ---- scan.c --------------------------------------------------------- */

/* The version in sys.version's text, somewhere in [from, to): 0x030a0df0, or
 * 0. `minor_of` restricts it to one minor version (0x030a), unless 0. */
uint32_t pp_target_scan_version(pp_search *search, uint64_t from, uint64_t to,
                                uint32_t minor_of);
/* Looks through an image's writable data for the cookie of 3.13+, and for the
 * version text (*out_version, 0: none). True when a runtime that is ready was
 * found. */
bool pp_target_scan_data(pp_search *search, pp_image *image,
                         uint32_t *out_version);
/* Looks through an image's writable data for structures that point at each
 * other as those of a version do. True when a runtime was found. */
bool pp_target_scan_pointers(pp_search *search, pp_image *image,
                             uint32_t hex_version);

#endif /* PP_TARGET_INTERNAL_H */
