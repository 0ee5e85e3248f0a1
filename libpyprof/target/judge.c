/*
 * judge: what a place that may be a runtime is worth.
 *
 * In: an address, the image that it lies in, and how it was found. Out: the
 * version, and whether the runtime is initialised. The best place so far is
 * kept: ready before not yet ready before a version that has no shape.
 *
 * From 3.13 on a runtime describes itself. The first words of the description
 * are used here, the rest is layout's business: cookie, version,
 * free-threaded, then (size, finalizing, interpreters.head) of the runtime and
 * (size, id, next, threads.head) of an interpreter.
 */
#include "target/internal.h"

#include <stdio.h>
#include <string.h>

enum {
    WORD_VERSION = 1,
    WORD_FREE_THREADED = 2,
    WORD_INTERPRETERS = 5,
    WORD_THREADS = 9,
    WORDS = 10
};
#define MAX_OFFSET ((uint64_t)1 << 22)

const pp_runtime_shape *pp_target_row(const pp_search *search,
                                      uint32_t hex_version, bool free_threaded)
{
    for (size_t i = 0; i < search->n_shapes; i++) {
        const pp_runtime_shape *shape = &search->shapes[i];
        if (shape->version == hex_version >> 16 &&
            (shape->free_threaded != 0) == free_threaded) {
            return shape;
        }
    }
    return NULL;
}

/* ---- symbols -------------------------------------------------------- */

static bool read_file(void *user, uint64_t offset, void *to, size_t size)
{
    const pp_search *search = user;
    return pp_os_file_read(search->file, offset, to, size);
}

uint64_t pp_target_symbol(pp_search *search, const pp_image *image,
                          const char *name)
{
    pp_elf_symbol symbol;
    pp_elf_source memory = {pp_pages_read, &search->pages};
    pp_elf_source file = {read_file, search};
    if (image->has_symbols &&
        pp_elf_memory_find(&memory, &image->elf, name, &symbol)) {
        return symbol.value + image->elf.bias;
    }
    if (search->file >= 0 &&
        pp_elf_file_symbol(&file, search->file_size, name, &symbol)) {
        return symbol.value + image->elf.bias;
    }
    return 0;
}

/* ---- versions ------------------------------------------------------- */

static bool is_believable(uint64_t hex)
{
    uint64_t major = hex >> 24;
    return hex <= UINT32_MAX && (major == 2 || major == 3) &&
           ((hex >> 16) & 0xff) < 100;
}

/* Version of a runtime that does not describe itself, by its image. */
static uint32_t version_by_names(pp_search *search, const pp_image *image)
{
    static const struct {
        const char *name; /* new in that version */
        uint32_t hex_version;
    } marks[] = {{"Py_NewRef", 0x030a0000},
                 {"PyInterpreterState_Get", 0x03090000},
                 {"PyCode_NewWithPosOnlyArgs", 0x03080000},
                 {"Py_Main", 0x03070000}};
    uint64_t at = pp_target_symbol(search, image, "Py_Version");
    uint32_t value = 0;
    if (at != 0 &&
        pp_reader_read(search->reader, at, &value, sizeof(value)) ==
            PYPROF_OK &&
        is_believable(value)) {
        return value;
    }
    for (size_t i = 0; i < PP_COUNT_OF(marks); i++) {
        if (pp_target_symbol(search, image, marks[i].name) != 0) {
            return marks[i].hex_version;
        }
    }
    return 0;
}

/* The same with the last digits, from the text that sys.version is made of. */
static uint32_t version_by_text(pp_search *search, const pp_image *image,
                                uint32_t known)
{
    const pp_elf_image *elf = &image->elf;
    uint32_t found = pp_target_scan_version(search, elf->bss_start,
                                            elf->data_end, known >> 16);
    if (found == 0) {
        found = pp_target_scan_version(search, elf->data_start, elf->bss_start,
                                       known >> 16);
    }
    return found;
}

/* ---- keeping the best ----------------------------------------------- */

static int rank_of(pyprof_status worth)
{
    switch (worth) {
    case PYPROF_OK:
        return 3;
    case PYPROF_ERR_NOT_READY:
        return 2;
    case PYPROF_ERR_UNSUPPORTED_TARGET:
        return 1;
    default:
        return 0;
    }
}

/* True when it is better than what there was. */
static bool keep(pp_search *search, const pp_image *image,
                 const pp_runtime *runtime, pyprof_status worth)
{
    if (rank_of(worth) <= rank_of(search->worth)) {
        return false;
    }
    search->worth = worth;
    search->best = *runtime;
    search->best.image_base = image->map->start;
    snprintf(search->best.path, sizeof(search->best.path), "%s",
             image->map->path);
    return true;
}

void pp_target_unsupported(pp_search *search, const pp_image *image,
                           uint64_t address, uint32_t hex_version,
                           bool free_threaded)
{
    pp_runtime runtime;
    uint32_t oldest = UINT32_MAX;
    uint32_t newest = 0;
    char version[32];
    memset(&runtime, 0, sizeof(runtime));
    runtime.address = address;
    runtime.hex_version = hex_version;
    runtime.build = free_threaded ? PP_BUILD_FREE_THREADED : 0;
    if (!keep(search, image, &runtime, PYPROF_ERR_UNSUPPORTED_TARGET)) {
        return;
    }
    for (size_t i = 0; i < search->n_shapes; i++) {
        uint32_t v = search->shapes[i].version;
        oldest = v < oldest ? v : oldest;
        newest = v > newest ? v : newest;
    }
    if ((hex_version & 0xffff) != 0) {
        snprintf(version, sizeof(version), "%u.%u.%u%s", hex_version >> 24,
                 (hex_version >> 16) & 0xff, (hex_version >> 8) & 0xff,
                 free_threaded ? "t" : "");
    } else {
        snprintf(version, sizeof(version), "%u.%u%s", hex_version >> 24,
                 (hex_version >> 16) & 0xff, free_threaded ? "t" : "");
    }
    pp_error_address(&search->why, PYPROF_ERR_UNSUPPORTED_TARGET, address,
                     "process %lld runs Python %s; libpyprof reads %u.%u to "
                     "%u.%u",
                     (long long)pp_os_process_pid(search->process), version,
                     oldest >> 8, oldest & 0xff, newest >> 8, newest & 0xff);
}

/* ---- readiness ------------------------------------------------------ */

/* Whether the interpreter list is set up: its first interpreter has a thread
 * state, which (where the shape is sure) points back at it. */
static bool is_ready(pp_search *search, const pp_runtime *runtime,
                     const pp_runtime_shape *shape, const uint64_t *described)
{
    uint64_t head = shape->interpreters_head;
    uint64_t threads = shape->interp_threads_head;
    uint64_t interp = 0;
    uint64_t thread = 0;
    uint64_t owner = 0;
    if (described != NULL) {
        head = described[WORD_INTERPRETERS];
        threads = described[WORD_THREADS];
        if (head > MAX_OFFSET || threads > MAX_OFFSET) {
            return false;
        }
    }
    if (pp_reader_u64(search->reader, runtime->address + head, &interp) !=
            PYPROF_OK ||
        interp == 0 ||
        pp_reader_u64(search->reader, interp + threads, &thread) != PYPROF_OK ||
        thread == 0 ||
        pp_reader_u64(search->reader, thread + shape->tstate_interp, &owner) !=
            PYPROF_OK) {
        return false;
    }
    return owner == interp || described != NULL;
}

static void not_ready(pp_search *search, const pp_image *image,
                      const pp_runtime *runtime)
{
    if (keep(search, image, runtime, PYPROF_ERR_NOT_READY)) {
        pp_error_address(&search->why, PYPROF_ERR_NOT_READY, runtime->address,
                         "the Python of process %lld is not (or no longer) "
                         "initialised: try again",
                         (long long)pp_os_process_pid(search->process));
    }
}

bool pp_target_judge(pp_search *search, pp_image *image, uint64_t address,
                     pp_found_by found_by, uint32_t hex_version)
{
    uint64_t words[WORDS];
    pp_runtime runtime;
    memset(&runtime, 0, sizeof(runtime));
    runtime.address = address;
    runtime.found_by = found_by;
    runtime.hex_version = hex_version;
    if (pp_reader_read(search->reader, address, words, sizeof(words)) !=
        PYPROF_OK) {
        return false;
    }
    bool described = memcmp(words, "xdebugpy", 8) == 0;
    bool free_threaded = described && words[WORD_FREE_THREADED] != 0;
    if (described) {
        if (!is_believable(words[WORD_VERSION]) ||
            words[WORD_FREE_THREADED] > 1) {
            return false;
        }
        runtime.hex_version = (uint32_t)words[WORD_VERSION];
    } else if (hex_version == 0) {
        runtime.hex_version = version_by_names(search, image);
    }
    if (!described && runtime.hex_version == 0) {
        runtime.hex_version = version_by_text(search, image, 0);
    }
    if (runtime.hex_version == 0) {
        return false;
    }
    image->judged = true;
    runtime.build = free_threaded ? PP_BUILD_FREE_THREADED : 0;
    const pp_runtime_shape *shape =
        pp_target_row(search, runtime.hex_version, free_threaded);
    bool ready = shape != NULL &&
                 is_ready(search, &runtime, shape, described ? words : NULL);
    if (shape != NULL && !ready) {
        if (found_by != PP_FOUND_POINTERS) {
            not_ready(search, image, &runtime);
        }
        return false;
    }
    if (!described && (runtime.hex_version & 0xffff) == 0) {
        uint32_t whole = version_by_text(search, image, runtime.hex_version);
        runtime.hex_version = whole != 0 ? whole : runtime.hex_version;
    }
    if (shape == NULL) {
        pp_target_unsupported(search, image, address, runtime.hex_version,
                              free_threaded);
        return false;
    }
    keep(search, image, &runtime, PYPROF_OK);
    search->is_described = described;
    return true;
}
