/*
 * target/find: every way to a runtime, on made-up images in another process.
 *
 * A helper maps files like a loader and fills their data with what a Python
 * of some version would have there: as far as finding goes, it is one.
 */
#define _GNU_SOURCE
#include "../os/helper.h"
#include "elf_builder.h"
#include "target/target.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
    DATA_SIZE = 48 * ELF_PAGE, /* enough to be a Python */
    BSS_SIZE = 4 * ELF_PAGE,
    RUNTIME_AT = 5 * ELF_PAGE, /* in the data */
    VERSION_AT = 256,
    TEXT_AT = DATA_SIZE + 64, /* in what starts as zeros */
    MAX_IMAGES = 4
};

/* Shapes made up, like no real version's: each version its own numbers. */
static const pp_runtime_shape shapes[] = {
    {0x0308, 0, 4096, 32, 8, 16, 24, 0},  {0x0309, 0, 4096, 32, 8, 16, 24, 0},
    {0x030a, 0, 4096, 40, 16, 16, 24, 0}, {0x030b, 0, 4096, 48, 24, 24, 8, 0},
    {0x030d, 0, 4096, 600, 80, 16, 8, 0}, {0x030d, 1, 4096, 600, 80, 16, 8, 0},
};

/* One image, and the Python in it. */
typedef struct image {
    elf_plan plan;
    const char *path;  /* below the test's folder */
    const char *text;  /* what Py_GetVersion would answer, or NULL */
    uint32_t hex;      /* of Py_Version or the description; 0: neither */
    bool described;    /* begins with the cookie */
    uint64_t threaded; /* the description's word for free-threaded */
    uint32_t head, threads, interp; /* offsets that it really has */
    bool ready;
    bool decoys; /* the data is full of objects that point at each other */
    bool no_runtime;
    uint64_t at; /* where the runtime is, in the helper */
} image;

static char folder[] = "/tmp/check-find-XXXXXX";
static image images[MAX_IMAGES];
static size_t n_images;
static uint8_t *bases[MAX_IMAGES];

/* ---- the other process ---------------------------------------------- */

static void put_word(uint8_t *base, uint64_t offset, uint64_t value)
{
    memcpy(base + offset, &value, sizeof(value));
}

/* Two interpreters with a thread each, on the heap. */
static void put_interpreters(const image *im, uint8_t *runtime)
{
    uint8_t *interp[2];
    for (int i = 0; i < 2; i++) {
        uint8_t *thread = calloc(1, 4096);
        interp[i] = calloc(1, 8192);
        put_word(interp[i], im->threads, address_of(thread));
        put_word(thread, im->interp, address_of(interp[i]));
    }
    put_word(interp[0], 0, address_of(interp[1])); /* next */
    put_word(runtime, im->head, address_of(interp[0]));
    put_word(runtime, im->head + 8, address_of(interp[1])); /* main */
}

/* Objects in a ring, as types and modules are. */
static void put_decoys(const image *im, uint8_t *data)
{
    for (uint64_t at = 1024; at < RUNTIME_AT - 64; at += 64) {
        uint64_t other = address_of(data) + (at ^ 64);
        put_word(data, at, 1); /* references */
        put_word(data, at + im->threads, other);
        put_word(data, at + im->interp, other);
        put_word(data, at + 32, other);
        put_word(data, at + 40, other);
    }
}

static void put_python(const image *im, uint8_t *data)
{
    uint8_t *runtime = data + RUNTIME_AT;
    if (im->text != NULL) {
        memcpy(data + TEXT_AT, im->text, strlen(im->text));
    }
    if (im->no_runtime) {
        return;
    }
    if (im->described) {
        memcpy(runtime, "xdebugpy", 8);
        put_word(runtime, 8, im->hex);
        put_word(runtime, 16, im->threaded);
        put_word(runtime, 40, im->head);
        put_word(runtime, 72, im->threads);
    } else if (im->hex != 0) {
        put_word(data, VERSION_AT, im->hex);
    }
    if (im->decoys) {
        put_decoys(im, data);
    }
    if (im->ready) {
        put_interpreters(im, runtime);
    }
}

static void map_part(uint8_t *at, size_t size, int protection, int fd,
                     off_t offset)
{
    int flags = MAP_PRIVATE | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0);
    if (mmap(at, size, protection, flags, fd, offset) != at) {
        _exit(1);
    }
}

/* Maps a file as a loader does. */
static void map_image(const image *im, size_t i)
{
    uint8_t *base = bases[i];
    int fd = open(im->path, O_RDONLY | O_CLOEXEC);
    map_part(base, ELF_PAGE, PROT_READ, fd, 0);
    map_part(base + ELF_PAGE, ELF_PAGE, PROT_READ | PROT_EXEC, fd, ELF_PAGE);
    map_part(base + ELF_DATA, DATA_SIZE, PROT_READ | PROT_WRITE, fd, ELF_DATA);
    map_part(base + ELF_DATA + DATA_SIZE, BSS_SIZE, PROT_READ | PROT_WRITE, -1,
             0);
    close(fd);
    put_python(im, base + ELF_DATA);
}

static void run_images(helper *self, void *user)
{
    PP_UNUSED(user);
    for (size_t i = 0; i < n_images; i++) {
        map_image(&images[i], i);
    }
    helper_say(self, 'r');
    while (helper_hear(self) != 0) { /* told to: initialises the first */
        put_interpreters(&images[0], bases[0] + ELF_DATA + RUNTIME_AT);
        helper_say(self, 'r');
    }
}

/* ---- this process --------------------------------------------------- */

/* Adds an image; its symbols are those of a version from 3.8 on. */
static image *add_image(const char *path, uint16_t version)
{
    static const char *const marks[] = {"Py_Main", "PyCode_NewWithPosOnlyArgs",
                                        "PyInterpreterState_Get", "Py_NewRef"};
    static const uint16_t since[] = {0, 0x0308, 0x0309, 0x030a};
    image *im = &images[n_images++];
    elf_plan *plan = &im->plan;
    im->path = path;
    plan->data_size = DATA_SIZE;
    plan->bss_size = BSS_SIZE;
    plan->gnu_hash = true;
    plan->symbols[0] = (elf_symbol){"_PyRuntime", ELF_DATA + RUNTIME_AT};
    plan->n_symbols = 1;
    for (size_t i = 0; i < PP_COUNT_OF(marks); i++) {
        if (version >= since[i]) {
            plan->symbols[plan->n_symbols++] =
                (elf_symbol){marks[i], ELF_PAGE + 16 * i};
        }
    }
    if (version >= 0x030b) {
        plan->symbols[plan->n_symbols++] =
            (elf_symbol){"Py_Version", ELF_DATA + VERSION_AT};
    }
    for (size_t i = 0; i < PP_COUNT_OF(shapes); i++) {
        if (shapes[i].version == version) {
            im->head = shapes[i].interpreters_head;
            im->threads = shapes[i].interp_threads_head;
            im->interp = shapes[i].tstate_interp;
        }
    }
    im->ready = true;
    return im;
}

/* Room for one image, the same in the helper. */
static uint8_t *reserve(void)
{
    uint8_t *at = mmap(NULL, ELF_DATA + DATA_SIZE + BSS_SIZE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(at != MAP_FAILED);
    return at;
}

static helper start_images(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    for (size_t i = 0; i < n_images; i++) {
        size_t size;
        uint8_t *file;
        bases[i] = reserve();
        elf_plan *plan = &images[i].plan;
        if (plan->fixed) {
            plan->base = address_of(bases[i]);
        }
        if (plan->relocated != 0) {
            plan->relocated = address_of(bases[i]) - plan->base;
        }
        file = elf_build(plan, &size);
        int fd = open(images[i].path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        ck_assert_int_eq(write(fd, file, size), (ssize_t)size);
        close(fd);
        free(file);
        images[i].at = address_of(bases[i]) + ELF_DATA + RUNTIME_AT;
    }
    helper h = helper_start(run_images, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    return h;
}

static void stop_images(helper *h)
{
    helper_end(h);
    for (size_t i = 0; i < n_images; i++) {
        unlink(images[i].path);
    }
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
}

static pyprof_status find_in(pid_t pid, pp_runtime *out, pyprof_error *err)
{
    pp_os_process *process = open_process(pid);
    pp_reader *reader = NULL;
    ck_assert_int_eq(pp_reader_open_process(NULL, process, &reader, err),
                     PYPROF_OK);
    pyprof_status status = pp_target_find(
        process, reader, shapes, PP_COUNT_OF(shapes), NULL, NULL, out, err);
    pp_reader_close(reader);
    pp_os_process_close(process);
    return status;
}

/* glibc 2.35+ */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* The helper has the same C library as this process. */
static int64_t expected_cpu_word(void)
{
    enum { CPU_ID = 4 };
#if defined(__x86_64__)
    if (&__rseq_offset != NULL && &__rseq_size != NULL && __rseq_size > 0) {
        return __rseq_offset + CPU_ID;
    }
#endif
    return 0;
}

/* Starts what was added, and expects image `which` to be found. */
static void expect_found(size_t which, uint32_t hex, pp_found_by found_by)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_runtime found;
    helper h = start_images();
    pyprof_status status = find_in(h.pid, &found, &err);
    ck_assert_msg(status == PYPROF_OK, "%s", err.message);
    ck_assert_uint_eq(found.address, images[which].at);
    ck_assert_uint_eq(found.hex_version, hex);
    ck_assert_int_eq(found.found_by, found_by);
    ck_assert_uint_eq(found.image_base, address_of(bases[which]));
    ck_assert_int_eq(found.cpu_word, expected_cpu_word());
    ck_assert_ptr_nonnull(strstr(found.path, images[which].path));
    ck_assert_uint_eq(found.build,
                      images[which].threaded != 0 ? PP_BUILD_FREE_THREADED : 0);
    stop_images(&h);
}

static void expect_refused(pyprof_status expected, const char *words)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_runtime found;
    helper h = start_images();
    pyprof_status status = find_in(h.pid, &found, &err);
    ck_assert_msg(status == expected && strstr(err.message, words) != NULL,
                  "%d %s", status, err.message);
    stop_images(&h);
}

#define TEXT_38 "3.8.18 (default, Nov 20 2023, 01:00:00) \n[GCC 12.2.0]"
#define TEXT_310 \
    "3.10.0rc2 | by Somebody | (main, Nov 20 2023, 01:00:00) [GCC 12.2.0]"
#define TEXT_311 "3.11.7+ (heads/x:1, Nov 20 2023, 01:00:00) [Clang 16]"

/* ---- by name -------------------------------------------------------- */

START_TEST(test_dynamic_symbols)
{
    image *im = add_image("libpython3.8.so", 0x0308);
    im->text = TEXT_38;
    expect_found(0, 0x030812f0, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_version_without_text)
{
    add_image("app", 0x0309);
    expect_found(0, 0x03090000, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_version_symbol)
{
    image *im = add_image("app", 0x030b);
    im->hex = 0x030b07f0;
    im->plan.relocated = 1; /* as glibc's loader */
    expect_found(0, 0x030b07f0, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_described)
{
    image *im = add_image("app", 0x030d);
    im->hex = 0x030d01f0;
    im->described = true;
    im->head = 1200; /* a build whose numbers differ from the table's */
    im->threads = 96;
    im->plan.fixed = true;
    im->plan.hash = true;
    im->plan.gnu_hash = false;
    expect_found(0, 0x030d01f0, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_free_threaded)
{
    image *im = add_image("app", 0x030d);
    im->hex = 0x030d01f0;
    im->described = true;
    im->threaded = 1;
    expect_found(0, 0x030d01f0, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_the_ready_one)
{
    image *first = add_image("libpython3.10.so", 0x030a);
    image *second = add_image("plugin.so", 0x030d);
    first->ready = false;
    second->hex = 0x030d00f0;
    second->described = true;
    expect_found(1, 0x030d00f0, PP_FOUND_DYNSYM);
}
END_TEST

START_TEST(test_not_ready_yet)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_runtime found;
    image *im = add_image("app", 0x030d);
    im->ready = false;
    im->hex = 0x030d00f0;
    im->described = true;
    helper h = start_images();
    memset(&found, 0, sizeof(found));
    ck_assert_int_eq(find_in(h.pid, &found, &err), PYPROF_ERR_NOT_READY);
    ck_assert_uint_eq(found.address, im->at);
    ck_assert_uint_eq(err.address, im->at);
    ck_assert_uint_eq(found.hex_version, 0x030d00f0);
    helper_say(&h, 'i');
    ck_assert_int_eq(helper_hear(&h), 'r');
    ck_assert_int_eq(find_in(h.pid, &found, &err), PYPROF_OK);
    kill(h.pid, SIGKILL);
    waitpid(h.pid, NULL, WNOHANG);
    stop_images(&h);
}
END_TEST

/* ---- without a name ------------------------------------------------- */

static image *add_nameless(uint16_t version)
{
    image *im = add_image("app", version);
    im->plan.no_dynamic = true;
    return im;
}

START_TEST(test_cookie)
{
    image *im = add_nameless(0x030d);
    im->hex = 0x030d00f0;
    im->described = true;
    expect_found(0, 0x030d00f0, PP_FOUND_COOKIE);
}
END_TEST

START_TEST(test_symbol_table)
{
    image *im = add_nameless(0x0308);
    im->plan.symtab = true;
    im->text = TEXT_38;
    expect_found(0, 0x030812f0, PP_FOUND_SYMTAB);
}
END_TEST

START_TEST(test_section)
{
    image *im = add_nameless(0x030a);
    im->text = TEXT_310;
    im->plan.section = ".PyRuntime";
    im->plan.section_from = RUNTIME_AT;
    expect_found(0, 0x030a00c2, PP_FOUND_SECTION);
}
END_TEST

START_TEST(test_pointers)
{
    image *im = add_nameless(0x030b);
    im->text = TEXT_311;
    expect_found(0, 0x030b07f0, PP_FOUND_POINTERS);
}
END_TEST

START_TEST(test_pointers_among_decoys)
{
    image *im = add_nameless(0x030a);
    im->text = TEXT_310;
    im->decoys = true;
    expect_found(0, 0x030a00c2, PP_FOUND_POINTERS);
}
END_TEST

/* ---- none ----------------------------------------------------------- */

START_TEST(test_unsupported)
{
    static const struct {
        uint32_t hex;
        uint64_t threaded;
        const char *words;
    } cases[] = {
        {0x031000a1, 0, "runs Python 3.16.0; libpyprof reads 3.8 to 3.13"},
        {0x030c01f0, 1, "runs Python 3.12.1t;"},
        {0x02070000, 0, "runs Python 2.7;"},
    };
    image *im = add_image("app", 0x030d);
    im->described = true;
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        im->hex = cases[i].hex;
        im->threaded = cases[i].threaded;
        strcpy(folder, "/tmp/check-find-XXXXXX");
        expect_refused(PYPROF_ERR_UNSUPPORTED_TARGET, cases[i].words);
    }
}
END_TEST

START_TEST(test_old)
{
    image *im = add_image("libpython2.7.so", 0);
    im->plan.symbols[0].name = "PyString_FromString";
    im->no_runtime = true;
    im->text = "2.7.18 (default, May 1 2020, 01:00:00) \n[GCC 10]";
    expect_refused(PYPROF_ERR_UNSUPPORTED_TARGET, "runs Python 2.7.18;");
}
END_TEST

START_TEST(test_three_seven)
{
    image *im = add_image("libpython3.7.so", 0);
    im->head = 24;
    im->text = "3.7.16 (default, May 1 2020, 01:00:00) \n[GCC 10]";
    expect_refused(PYPROF_ERR_UNSUPPORTED_TARGET, "runs Python 3.7.16;");
}
END_TEST

START_TEST(test_not_python)
{
    image *im = add_image("python3.12", 0x030b); /* only by its name */
    im->plan.symbols[0].name = "main";
    im->no_runtime = true;
    expect_refused(PYPROF_ERR_NOT_PYTHON, "is not CPython: searched");
}
END_TEST

/* Text that is almost a version's, a cookie without sense, a runtime that
 * points nowhere: an answer each time, and nothing else. */
START_TEST(test_hostile)
{
    static const char *const texts[] = {
        "3.8.18 (default", "3.8.18",  "3.99999.1 (x) [y", "3.8.1 (x) y",
        "3.8.1000 (x) [y", "3.8.1 (", "4.8.1 (x) [y",     "3.8.1 (x) [y"};
    image *im = add_nameless(0x0308);
    for (size_t i = 0; i < PP_COUNT_OF(texts); i++) {
        pyprof_error err = PYPROF_ERROR_INIT;
        pp_runtime found;
        im->text = texts[i];
        im->ready = i + 1 < PP_COUNT_OF(texts);
        im->described = i == 3;
        im->hex = i == 3 ? UINT32_MAX : 0;
        strcpy(folder, "/tmp/check-find-XXXXXX");
        helper h = start_images();
        ck_assert_int_eq(find_in(h.pid, &found, &err), PYPROF_ERR_NOT_PYTHON);
        stop_images(&h);
    }
}
END_TEST

START_TEST(test_gone)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_runtime found;
    pp_reader *reader = NULL;
    add_image("app", 0x0308);
    helper h = start_images();
    pp_os_process *process = open_process(h.pid);
    pp_reader_open_process(NULL, process, &reader, &err);
    kill(h.pid, SIGKILL);
    pp_os_process_wait(process, UINT64_MAX, NULL);
    ck_assert_int_eq(pp_target_find(process, reader, shapes,
                                    PP_COUNT_OF(shapes), NULL, NULL, &found,
                                    &err),
                     PYPROF_ERR_GONE);
    ck_assert_uint_eq(pp_target_find_async(process, reader, NULL), 0);
    pp_reader_close(reader);
    pp_os_process_close(process);
    stop_images(&h);
}
END_TEST

/* A recorded image says itself where its runtime is. */
START_TEST(test_recorded)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_runtime found;
    pp_os_process *self = open_process(getpid());
    pp_reader *inner = NULL;
    pp_reader *recorder = NULL;
    pp_reader *recorded = NULL;
    void *data = NULL;
    size_t size = 0;
    pp_image_info info = {0x1234000, 0x77, 0x030d00f0, 1};
    pp_reader_open_process(NULL, self, &inner, NULL);
    pp_reader_open_recorder(NULL, inner, 4096, &recorder, NULL);
    for (int i = 0; i < 3; i++) {
        static const pyprof_status expected[] = {
            PYPROF_OK, PYPROF_ERR_UNSUPPORTED_TARGET, PYPROF_ERR_NOT_PYTHON};
        info.hex_version = i == 1 ? 0x030700f0 : 0x030d00f0;
        info.runtime = i == 2 ? 0 : 0x1234000;
        pp_reader_record_info(recorder, &info);
        ck_assert_int_eq(pp_reader_record(recorder, &data, &size, NULL),
                         PYPROF_OK);
        ck_assert_int_eq(
            pp_reader_open_image(NULL, data, size, &recorded, NULL), PYPROF_OK);
        ck_assert_int_eq(pp_target_find(NULL, recorded, shapes,
                                        PP_COUNT_OF(shapes), NULL, NULL, &found,
                                        &err),
                         expected[i]);
        ck_assert_uint_eq(pp_target_find_async(NULL, recorded, NULL), 0x77);
        pp_reader_close(recorded);
        pp_free(NULL, data);
    }
    ck_assert_uint_eq(found.address, 0x1234000);
    ck_assert_uint_eq(found.build, PP_BUILD_FREE_THREADED);
    /* a live reader without a process is no image */
    ck_assert_int_eq(
        pp_target_find(NULL, inner, shapes, 1, NULL, NULL, &found, &err),
        PYPROF_ERR_NOT_PYTHON);
    pp_reader_close(recorder);
    pp_reader_close(inner);
    pp_os_process_close(self);
}
END_TEST

/* ---- out of memory -------------------------------------------------- */

static pid_t for_memory;

static bool find_once(fault_alloc *fault)
{
    pp_os_process *process = NULL;
    pp_reader *reader = NULL;
    pp_runtime found;
    bool done = false;
    if (pp_os_process_open(&fault->table, for_memory, &process, NULL) ==
            PYPROF_OK &&
        pp_reader_open_process(&fault->table, process, &reader, NULL) ==
            PYPROF_OK) {
        done = pp_target_find(process, reader, shapes, PP_COUNT_OF(shapes),
                              &fault->table, NULL, &found, NULL) == PYPROF_OK;
    }
    pp_reader_close(reader);
    pp_os_process_close(process);
    return done;
}

START_TEST(test_out_of_memory)
{
    image *im = add_nameless(0x030b);
    im->text = TEXT_311;
    helper h = start_images();
    for_memory = h.pid;
    fault_loop(find_once);
    stop_images(&h);
}
END_TEST

SUITE_MAIN("target.find", test_dynamic_symbols, test_version_without_text,
           test_version_symbol, test_described, test_free_threaded,
           test_the_ready_one, test_not_ready_yet, test_cookie,
           test_symbol_table, test_section, test_pointers,
           test_pointers_among_decoys, test_unsupported, test_old,
           test_three_seven, test_not_python, test_hostile, test_gone,
           test_recorded, test_out_of_memory)
