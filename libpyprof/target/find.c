/*
 * find: the ladder that leads to a runtime.
 *
 * In: a process and a reader of its memory. Out: where its runtime is, and
 * which version. The steps, cheapest first:
 *  1. dynamic symbols of each mapped ELF file, read from the target's own
 *     memory: no file is needed, so deleted files, other mount namespaces and
 *     chroots are no matter. Nearly all targets end here.
 *  2. for images with as much data as a Python has, the data itself: the
 *     cookie of 3.13+, and the version text of one that is initialised.
 *  3. where that text is: the section or the symbol table of the file, then,
 *     for what was stripped of all names, structures that point at each other.
 * File names only decide what is looked at first.
 */
#include "target/internal.h"

#include <string.h>

enum { MAX_IMAGES = 4096, SEGMENTS_NEAR = 16 };
/* No CPython from 3.8 to 3.15 has less than three times this. */
#define LEAST_DATA ((uint64_t)96 << 10)
#define DYNAMIC_SIZE ((uint64_t)1024)

/* ---- images --------------------------------------------------------- */

/* Whether code of the same file is mapped right behind map `i`. */
static bool has_code(const pp_os_maps *maps, size_t i)
{
    const pp_os_map *first = &maps->items[i];
    for (size_t k = i; k < maps->n && k < i + SEGMENTS_NEAR; k++) {
        const pp_os_map *map = &maps->items[k];
        if (map->device == first->device && map->inode == first->inode &&
            (map->flags & PP_OS_MAP_EXEC) != 0) {
            return true;
        }
    }
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_likely(const pp_os_map *map)
{
    const char *name = base_name(map->path);
    return strncmp(name, "libpython", 9) == 0 ||
           strncmp(name, "python", 6) == 0;
}

static pyprof_status list_images(pp_search *search, pyprof_error *err)
{
    size_t cap = 0;
    for (size_t i = 0; i < search->maps.n; i++) {
        const pp_os_map *map = &search->maps.items[i];
        if (map->offset != 0 || map->inode == 0 ||
            (map->flags & PP_OS_MAP_READ) == 0 ||
            strncmp(map->path, "/dev/", 5) == 0 ||
            !has_code(&search->maps, i)) {
            continue;
        }
        if (search->n_images == MAX_IMAGES) {
            break;
        }
        if (!pp_grow(search->allocator, (void **)&search->images, &cap,
                     sizeof(*search->images), search->n_images + 1,
                     MAX_IMAGES)) {
            return pp_error_memory(err, "the images of a process");
        }
        pp_image *image = &search->images[search->n_images++];
        memset(image, 0, sizeof(*image));
        image->map = map;
    }
    /* The program itself is mapped first, as a rule. */
    for (size_t i = 0; i < search->n_images; i++) {
        if (i == 0 || is_likely(search->images[i].map)) {
            pp_image image = search->images[i];
            memmove(&search->images[search->n_likely + 1],
                    &search->images[search->n_likely],
                    (i - search->n_likely) * sizeof(image));
            search->images[search->n_likely++] = image;
        }
    }
    return PYPROF_OK;
}

/* ---- dynamic symbols ------------------------------------------------ */

/* Reads what is needed of images [first, end), each time for all at once. */
static void open_images(pp_search *search, size_t first, size_t end)
{
    pp_pages *pages = &search->pages;
    pp_elf_source memory = {pp_pages_read, pages};
    for (size_t i = first; i < end; i++) {
        pp_pages_want(pages, search->images[i].map->start, 64);
    }
    pp_pages_fetch(pages);
    for (size_t i = first; i < end; i++) {
        pp_image *image = &search->images[i];
        uint8_t magic[5] = {0};
        image->is_elf =
            pp_elf_memory_header(&memory, image->map->start, &image->elf);
        if (image->is_elf && image->elf.dynamic != 0) {
            pp_pages_want(pages, image->elf.dynamic, DYNAMIC_SIZE);
        } else if (i == 0 && pp_pages_read(pages, image->map->start, magic,
                                           sizeof(magic))) {
            search->is_32_bit = memcmp(magic, "\177ELF\1", 5) == 0;
        }
    }
    pp_pages_fetch(pages);
    for (size_t i = first; i < end; i++) {
        pp_image *image = &search->images[i];
        image->has_symbols = image->is_elf && image->elf.dynamic != 0 &&
                             pp_elf_memory_tables(&memory, &image->elf);
        if (image->has_symbols && image->elf.gnu_hash != 0) {
            pp_pages_want(pages, image->elf.gnu_hash, 1024);
        }
    }
    pp_pages_fetch(pages);
}

static bool search_memory(pp_search *search, size_t first, size_t end)
{
    open_images(search, first, end);
    for (size_t i = first; i < end; i++) {
        pp_image *image = &search->images[i];
        if (!image->has_symbols) {
            continue;
        }
        uint64_t address = pp_target_symbol(search, image, "_PyRuntime");
        if (address != 0 &&
            pp_target_judge(search, image, address, PP_FOUND_DYNSYM, 0)) {
            return true;
        }
    }
    return false;
}

/* ---- files ---------------------------------------------------------- */

static bool read_file(void *user, uint64_t offset, void *to, size_t size)
{
    const pp_search *search = user;
    return pp_os_file_read(search->file, offset, to, size);
}

static bool open_file(pp_search *search, const pp_image *image)
{
    search->file = pp_os_process_open_map(search->process, image->map);
    if (search->file < 0) {
        return false;
    }
    search->file_size = pp_os_file_size(search->file);
    search->n_files++;
    return true;
}

static void close_file(pp_search *search)
{
    pp_os_file_close(search->file);
    search->file = -1;
}

/* Place of a section or a symbol of the file that is open; 0 for none. */
static uint64_t file_place(pp_search *search, const pp_image *image,
                           const char *section, const char *symbol)
{
    pp_elf_source file = {read_file, search};
    pp_elf_symbol found;
    bool is_there =
        section != NULL
            ? pp_elf_file_section(&file, search->file_size, section, &found)
            : pp_elf_file_symbol(&file, search->file_size, symbol, &found);
    return is_there ? found.value + image->elf.bias : 0;
}

static bool search_file(pp_search *search, pp_image *image,
                        uint32_t hex_version)
{
    if (!open_file(search, image)) {
        return false;
    }
    uint64_t at = file_place(search, image, ".PyRuntime", NULL);
    bool found = at != 0 && pp_target_judge(search, image, at, PP_FOUND_SECTION,
                                            hex_version);
    if (!found && !image->judged) {
        at = file_place(search, image, NULL, "_PyRuntime");
        found = at != 0 && pp_target_judge(search, image, at, PP_FOUND_SYMTAB,
                                           hex_version);
    }
    close_file(search);
    return found;
}

/* ---- the whole ladder ----------------------------------------------- */

/* An image without a name that helps. Its data tells whether it is a Python at
 * all: files of programs can be big, so they are only opened when it is. */
static bool search_image(pp_search *search, pp_image *image)
{
    uint32_t hex_version = 0;
    uint64_t size = image->elf.data_end - image->elf.data_start;
    if (!image->is_elf || image->judged || size < LEAST_DATA) {
        return false;
    }
    if (pp_target_scan_data(search, image, &hex_version)) {
        return true;
    }
    if (image->judged || (hex_version == 0 && size <= search->data_size)) {
        return false;
    }
    if (hex_version != 0 && pp_target_row(search, hex_version, false) == NULL) {
        pp_target_unsupported(search, image, 0, hex_version, false);
        return false;
    }
    return search_file(search, image, hex_version) ||
           (hex_version != 0 &&
            pp_target_scan_pointers(search, image, hex_version));
}

static void climb(pp_search *search)
{
    if (search_memory(search, 0, search->n_likely) ||
        search_memory(search, search->n_likely, search->n_images) ||
        search->worth == PYPROF_ERR_NOT_READY) {
        return;
    }
    for (size_t i = 0; i < search->n_images; i++) {
        if (search_image(search, &search->images[i])) {
            return;
        }
    }
}

static uint64_t find_async(pp_search *search)
{
    uint64_t at = 0;
    for (size_t i = 0; i < search->n_images && at == 0; i++) {
        pp_image *image = &search->images[i];
        bool named = strstr(base_name(image->map->path), "_asyncio") != NULL;
        bool has_runtime = search->best.image_base != 0
                               ? image->map->start == search->best.image_base
                               : i < search->n_likely;
        if (!image->is_elf || !(named || has_runtime)) {
            continue;
        }
        at = pp_target_symbol(search, image, "_AsyncioDebug");
        if (at == 0 && open_file(search, image)) {
            at = file_place(search, image, ".AsyncioDebug", NULL);
            close_file(search);
        }
    }
    return at;
}

/* glibc 2.35+ registers a struct rseq for each thread and tells where it is
 * from the thread pointer, which on x86-64 is what pthread_self() gives, too.
 */
static int64_t find_cpu_word(pp_search *search)
{
    enum { CPU_ID = 4, FARTHEST = 1 << 16 }; /* in struct rseq; believed */
    pp_elf_source memory = {pp_pages_read, &search->pages};
#if !defined(__x86_64__)
    return 0;
#endif
    for (size_t i = 0; i < search->n_images; i++) {
        pp_image *image = &search->images[i];
        int64_t offset = 0;
        uint32_t size = 0;
        if (strncmp(base_name(image->map->path), "ld", 2) != 0) {
            continue;
        }
        if (!image->has_symbols) {
            open_images(search, i, i + 1);
        }
        uint64_t offset_at = pp_target_symbol(search, image, "__rseq_offset");
        uint64_t size_at = pp_target_symbol(search, image, "__rseq_size");
        if (offset_at != 0 && size_at != 0 &&
            memory.read(memory.user, offset_at, &offset, sizeof(offset)) &&
            memory.read(memory.user, size_at, &size, sizeof(size)) &&
            size > CPU_ID && offset % 8 == 0 && offset > -FARTHEST &&
            offset < FARTHEST) {
            return offset + CPU_ID;
        }
    }
    return 0;
}

static pyprof_status begin(pp_search *search, pyprof_error *err)
{
    PP_TRY(pp_os_process_maps(search->process, search->allocator, &search->maps,
                              err));
    PP_TRY(list_images(search, err));
    /* A first look tells whether its memory may be read at all. */
    if (search->n_images > 0) {
        pp_pages_want(&search->pages, search->images[0].map->start, 64);
        pp_pages_fetch(&search->pages);
    }
    if (search->pages.status == PYPROF_ERR_NO_PERMISSION) {
        return pp_os_process_explain(search->process, err);
    }
    return PYPROF_OK;
}

static void end(pp_search *search)
{
    pp_os_maps_free(&search->maps);
    pp_free(search->allocator, search->images);
    pp_free(search->allocator, search->data);
    pp_pages_free(&search->pages);
}

static pyprof_status nothing(const pp_search *search, pyprof_error *err)
{
    long long pid = (long long)pp_os_process_pid(search->process);
    if (search->is_32_bit) {
        return pp_error_set(err, PYPROF_ERR_NOT_PYTHON,
                            "process %lld is a 32-bit program, which "
                            "libpyprof does not read",
                            pid);
    }
    if (search->maps.n == 0) {
        return pp_error_set(err, PYPROF_ERR_NOT_PYTHON,
                            "process %lld has no memory of its own (a kernel "
                            "thread, or it is just starting)",
                            pid);
    }
    return pp_error_set(err, PYPROF_ERR_NOT_PYTHON,
                        "process %lld is not CPython: searched the dynamic "
                        "symbols of %zu mapped files, the symbol tables of "
                        "%zu, and %llu KiB of data",
                        pid, search->n_images, search->n_files,
                        (unsigned long long)(search->scanned >> 10));
}

/* What a search that is over has come to. */
static pyprof_status conclude(pp_search *search, pp_runtime *out,
                              pyprof_error *err)
{
    if (search->worth == PYPROF_OK) {
        if (search->is_described) {
            search->best.async_debug = find_async(search);
        }
        search->best.cpu_word = find_cpu_word(search);
        *out = search->best;
        return PYPROF_OK;
    }
    if (!pp_os_process_alive(search->process)) {
        return pp_error_set(err, PYPROF_ERR_GONE, "process %lld has ended",
                            (long long)pp_os_process_pid(search->process));
    }
    if (search->pages.status == PYPROF_ERR_NO_MEMORY) {
        return pp_error_memory(err, "searching for a runtime");
    }
    if (search->worth == PYPROF_ERR_NOT_PYTHON) {
        return nothing(search, err);
    }
    if (search->worth == PYPROF_ERR_NOT_READY) {
        *out = search->best;
    }
    return pp_error_address(err, search->worth, search->best.address, "%s",
                            search->why.message);
}

/* A recorded image tells where its runtime is. */
static pyprof_status find_recorded(const pp_search *search, pp_runtime *out,
                                   pyprof_error *err)
{
    pp_image_info info;
    if (!pp_reader_image_info(search->reader, &info) || info.runtime == 0) {
        return pp_error_set(err, PYPROF_ERR_NOT_PYTHON,
                            "the image does not say where its runtime is");
    }
    bool free_threaded = (info.build & PP_BUILD_FREE_THREADED) != 0;
    if (pp_target_row(search, info.hex_version, free_threaded) == NULL) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                            "the image is of Python %u.%u, which libpyprof "
                            "does not read",
                            info.hex_version >> 24,
                            (info.hex_version >> 16) & 0xff);
    }
    memset(out, 0, sizeof(*out));
    out->address = info.runtime;
    out->hex_version = info.hex_version;
    out->build = info.build;
    out->async_debug = info.async_debug;
    return PYPROF_OK;
}

static void search_init(pp_search *search, pp_os_process *process,
                        pp_reader *reader, const pp_allocator *allocator)
{
    memset(search, 0, sizeof(*search));
    search->process = process;
    search->reader = reader;
    search->allocator = allocator;
    search->file = -1;
    search->worth = PYPROF_ERR_NOT_PYTHON;
    search->why.sz = sizeof(search->why);
    search->maps.allocator = allocator;
    pp_pages_init(&search->pages, reader, allocator);
}

pyprof_status pp_target_find(pp_os_process *process, pp_reader *reader,
                             const pp_runtime_shape *shapes, size_t n_shapes,
                             const pp_allocator *allocator, const pp_log *log,
                             pp_runtime *out, pyprof_error *err)
{
    pp_search search;
    search_init(&search, process, reader, allocator);
    search.shapes = shapes;
    search.n_shapes = n_shapes;
    search.log = log;
    if (process == NULL) {
        return find_recorded(&search, out, err);
    }
    pyprof_status status = begin(&search, err);
    if (status == PYPROF_OK) {
        climb(&search);
        status = conclude(&search, out, err);
    }
    pp_log_line(log, PYPROF_LOG_DEBUG, "target",
                "searched %zu images, %zu files, %llu KiB of data: status %d",
                search.n_images, search.n_files,
                (unsigned long long)(search.scanned >> 10), (int)status);
    end(&search);
    return status;
}

uint64_t pp_target_find_async(pp_os_process *process, pp_reader *reader,
                              const pp_allocator *allocator)
{
    pp_search search;
    uint64_t at = 0;
    if (process == NULL) {
        pp_image_info info;
        return pp_reader_image_info(reader, &info) ? info.async_debug : 0;
    }
    search_init(&search, process, reader, allocator);
    if (begin(&search, NULL) == PYPROF_OK) {
        open_images(&search, 0, search.n_images);
        at = find_async(&search);
    }
    end(&search);
    return at;
}
