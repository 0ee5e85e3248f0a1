/* target/image_elf: symbols and sections of real images, of made-up ones of
 * every kind, and of ones that are broken in every byte. */
#define _GNU_SOURCE
#include "../base/testing.h"
#include "elf_builder.h"
#include "target/target.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int elf_probe_of_this_test = 3;

/* Bytes at an address, [address, address + size), and how often it was read. */
typedef struct area {
    const uint8_t *bytes;
    uint64_t address, size;
    uint64_t reads;
} area;

static bool read_area(void *user, uint64_t offset, void *to, size_t size)
{
    area *a = user;
    a->reads++;
    if (offset < a->address || size > a->size ||
        offset - a->address > a->size - size) {
        return false;
    }
    memcpy(to, a->bytes + (offset - a->address), size);
    return true;
}

static bool find(area *a, uint64_t base, const char *name, uint64_t *address)
{
    pp_elf_source source = {read_area, a};
    pp_elf_image image;
    pp_elf_symbol symbol;
    if (!pp_elf_memory_header(&source, base, &image) ||
        !pp_elf_memory_tables(&source, &image) ||
        !pp_elf_memory_find(&source, &image, name, &symbol)) {
        return false;
    }
    *address = symbol.value + image.bias;
    return true;
}

/* ---- real ones ------------------------------------------------------- */

static bool read_self(void *user, uint64_t offset, void *to, size_t size)
{
    pp_os_process *self = user;
    const pp_os_span span = {offset, size};
    size_t got = 0;
    uint64_t calls = 0;
    return pp_os_process_readv(self, to, &span, 1, &got, &calls) == PYPROF_OK &&
           got == 1;
}

START_TEST(test_own_library)
{
    static const char *const names[] = {"getpid", "qsort", "strtoull",
                                        "environ", "fopen"};
    pp_os_process *process = NULL;
    Dl_info info;
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    ck_assert_ptr_nonnull(libc);
    ck_assert_int_eq(pp_os_process_open(NULL, getpid(), &process, NULL),
                     PYPROF_OK);
    pp_elf_source source = {read_self, process};
    ck_assert_int_ne(dladdr(dlsym(libc, "getpid"), &info), 0);
    pp_elf_image image;
    ck_assert(pp_elf_memory_header(&source, (uint64_t)(uintptr_t)info.dli_fbase,
                                   &image));
    ck_assert(pp_elf_memory_tables(&source, &image));
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        pp_elf_symbol symbol;
        ck_assert(pp_elf_memory_find(&source, &image, names[i], &symbol));
        Dl_info found;
        ck_assert_int_ne(
            dladdr((void *)(uintptr_t)(symbol.value + image.bias), &found), 0);
        ck_assert_ptr_eq(found.dli_fbase, info.dli_fbase);
    }
    pp_elf_symbol none;
    ck_assert(!pp_elf_memory_find(&source, &image, "_PyRuntime", &none));
    ck_assert(!pp_elf_memory_find(&source, &image, "", &none));
    dlclose(libc);
    pp_os_process_close(process);
}
END_TEST

static bool read_fd(void *user, uint64_t offset, void *to, size_t size)
{
    return pread(*(int *)user, to, size, (off_t)offset) == (ssize_t)size;
}

START_TEST(test_own_file)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    pp_elf_source file = {read_fd, &fd};
    uint64_t size = pp_os_file_size(fd);
    pp_elf_symbol symbol;
    pp_elf_symbol other;
    Dl_info info;
    ck_assert(
        pp_elf_file_symbol(&file, size, "elf_probe_of_this_test", &symbol));
    ck_assert_uint_eq(symbol.size, sizeof(int));
    ck_assert_int_ne(dladdr(&elf_probe_of_this_test, &info), 0);
    /* the same page either way: position-independent or not */
    ck_assert_uint_eq(
        (symbol.value ^ (uint64_t)(uintptr_t)&elf_probe_of_this_test) & 4095,
        0);
    ck_assert(pp_elf_file_section(&file, size, ".data", &other));
    ck_assert_uint_ge(symbol.value, other.value);
    ck_assert_uint_lt(symbol.value, other.value + other.size);
    ck_assert(!pp_elf_file_symbol(&file, size, "no_such_symbol", &symbol));
    ck_assert(!pp_elf_file_section(&file, size, ".none", &symbol));
    close(fd);
}
END_TEST

/* ---- made up --------------------------------------------------------- */

#define SYMBOLS                                                \
    {                                                          \
        {"first", 0x2000}, {"second", 0x2008}, {"nowhere", 0}, \
        {                                                      \
            "third", 0x2010                                    \
        }                                                      \
    }

static const elf_plan base_plan = {
    .data_size = ELF_PAGE, .symbols = SYMBOLS, .n_symbols = 4};

static void expect_symbols(const elf_plan *plan, uint64_t mapped_at)
{
    size_t size;
    uint8_t *file = elf_build(plan, &size);
    area a = {file, mapped_at, size, 0};
    uint64_t at = 0;
    ck_assert(find(&a, mapped_at, "first", &at));
    ck_assert_uint_eq(at, mapped_at + 0x2000);
    ck_assert(find(&a, mapped_at, "second", &at));
    ck_assert_uint_eq(at, mapped_at + 0x2008);
    ck_assert(find(&a, mapped_at, "third", &at));
    ck_assert_uint_eq(at, mapped_at + 0x2010);
    ck_assert(!find(&a, mapped_at, "nowhere", &at)); /* undefined */
    ck_assert(!find(&a, mapped_at, "fourth", &at));
    ck_assert(!find(&a, mapped_at, "firs", &at));
    ck_assert(!find(&a, mapped_at, "first2", &at));
    free(file);
}

START_TEST(test_kinds_of_images)
{
    static const uint64_t mapped = UINT64_C(0x7f0000010000);
    for (int i = 0; i < 8; i++) {
        elf_plan plan = base_plan;
        plan.hash = (i & 1) == 0;
        plan.gnu_hash = (i & 1) != 0;
        plan.base = (i & 2) == 0 ? 0 : 0x10000;
        /* glibc relocates the pointers, musl does not */
        plan.relocated = (i & 4) == 0 ? 0 : mapped - plan.base;
        expect_symbols(&plan, mapped);
    }
    /* not relocatable: where it is linked */
    elf_plan fixed = base_plan;
    fixed.fixed = true;
    fixed.gnu_hash = true;
    fixed.base = 0x400000;
    expect_symbols(&fixed, 0x400000);
    fixed.hash = true;
    expect_symbols(&fixed, 0x400000);
}
END_TEST

START_TEST(test_extents)
{
    elf_plan plan = base_plan;
    size_t size;
    plan.gnu_hash = true;
    plan.bss_size = 3 * ELF_PAGE;
    uint8_t *file = elf_build(&plan, &size);
    area a = {file, 0x10000000, size, 0};
    pp_elf_source source = {read_area, &a};
    pp_elf_image image;
    ck_assert(pp_elf_memory_header(&source, a.address, &image));
    ck_assert_uint_eq(image.bias, a.address);
    ck_assert_uint_eq(image.low, a.address);
    ck_assert_uint_eq(image.high, a.address + 6 * ELF_PAGE);
    ck_assert_uint_eq(image.data_start, a.address + 2 * ELF_PAGE);
    ck_assert_uint_eq(image.bss_start, a.address + 3 * ELF_PAGE);
    ck_assert_uint_eq(image.data_end, a.address + 6 * ELF_PAGE);
    free(file);
}
END_TEST

START_TEST(test_files)
{
    elf_plan plan = base_plan;
    size_t size;
    pp_elf_symbol symbol = {0, 0};
    plan.symtab = true;
    plan.section = ".PyRuntime";
    plan.base = 0x1000;
    uint8_t *file = elf_build(&plan, &size);
    area a = {file, 0, size, 0};
    pp_elf_source source = {read_area, &a};
    ck_assert(pp_elf_file_symbol(&source, size, "second", &symbol));
    ck_assert_uint_eq(symbol.value, 0x1000 + 0x2008);
    ck_assert(!pp_elf_file_symbol(&source, size, "nowhere", &symbol));
    ck_assert(!pp_elf_file_symbol(&source, size, "econd", &symbol));
    ck_assert(pp_elf_file_section(&source, size, ".PyRuntime", &symbol));
    ck_assert_uint_eq(symbol.value, 0x1000 + ELF_DATA);
    ck_assert_uint_eq(symbol.size, ELF_PAGE);
    ck_assert(!pp_elf_file_section(&source, size, ".PyRuntim", &symbol));
    /* cut off anywhere: never more than what is there */
    for (size_t cut = 0; cut < size; cut += 61) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, file, cut);
        area short_area = {part, 0, cut, 0};
        pp_elf_source short_source = {read_area, &short_area};
        pp_elf_file_symbol(&short_source, cut, "second", &symbol);
        pp_elf_file_section(&short_source, cut, ".PyRuntime", &symbol);
        free(part);
    }
    free(file);
}
END_TEST

/* ---- broken ---------------------------------------------------------- */

/* A number that is likely to break something. */
static uint64_t nasty(uint64_t *random)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       7,
                                       0xff,
                                       0xffff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       UINT64_C(0x7fffffffffffffff),
                                       UINT64_C(0x8000000000000000),
                                       UINT64_MAX - 4095,
                                       UINT64_MAX};
    uint64_t pick = test_random(random) % (PP_COUNT_OF(numbers) + 4);
    return pick < PP_COUNT_OF(numbers) ? numbers[pick] : test_random(random);
}

START_TEST(test_broken)
{
    elf_plan plan = base_plan;
    size_t size;
    uint64_t random = 1234;
    plan.hash = plan.gnu_hash = plan.symtab = true;
    plan.section = ".PyRuntime";
    uint8_t *whole = elf_build(&plan, &size);
    uint8_t *file = malloc(size);
    for (int round = 0; round < 20000; round++) {
        memcpy(file, whole, size);
        uint64_t n = 1 + test_random(&random) % 4;
        for (uint64_t i = 0; i < n; i++) {
            /* mostly where something is */
            uint64_t place = test_random(&random) % 4 != 0
                                 ? test_random(&random) % 0xc00
                                 : ELF_DATA + plan.data_size +
                                       test_random(&random) %
                                           (size - ELF_DATA - plan.data_size);
            int width = 1 << (test_random(&random) % 4);
            place -= place % (uint64_t)width;
            if (place + (uint64_t)width <= size) {
                elf_put(file + place, nasty(&random), width);
            }
        }
        area a = {file, 0x10000, size, 0};
        uint64_t at;
        find(&a, 0x10000, "second", &at);
        ck_assert_uint_lt(a.reads, 100000);
        a = (area){file, 0, size, 0};
        pp_elf_source source = {read_area, &a};
        pp_elf_symbol symbol;
        pp_elf_file_symbol(&source, size, "second", &symbol);
        pp_elf_file_section(&source, size, ".PyRuntime", &symbol);
        ck_assert_uint_lt(a.reads, 1000000);
    }
    free(file);
    free(whole);
}
END_TEST

SUITE_MAIN("target.image_elf", test_own_library, test_own_file,
           test_kinds_of_images, test_extents, test_files, test_broken)
