/*
 * fuzz_elf: the ELF parser on bytes of any kind, as a file and as an image in
 * memory. What it must hold to: no read outside of the source, an end in
 * reasonable time, and symbols that lie where they were said to.
 */
#include "target/target.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAPPED_AT UINT64_C(0x7f0000000000)

typedef struct input {
    const uint8_t *data;
    uint64_t size, base;
    uint64_t reads;
} input;

static bool read_input(void *user, uint64_t offset, void *to, size_t size)
{
    input *in = user;
    uint64_t at = offset - in->base;
    in->reads++;
    if (offset < in->base || size > in->size || at > in->size - size) {
        return false;
    }
    memcpy(to, in->data + at, size);
    return true;
}

static void try_memory(const uint8_t *data, size_t size, uint64_t base)
{
    static const char *const names[] = {"_PyRuntime", "Py_Version", "second"};
    input in = {data, size, base, 0};
    pp_elf_source memory = {read_input, &in};
    pp_elf_image image;
    if (!pp_elf_memory_header(&memory, base, &image) ||
        !pp_elf_memory_tables(&memory, &image)) {
        return;
    }
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        pp_elf_symbol symbol;
        if (pp_elf_memory_find(&memory, &image, names[i], &symbol) &&
            (image.names < image.low || image.names >= image.high)) {
            abort();
        }
    }
    if (in.reads > 1000000) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size, 0, 0};
    pp_elf_source file = {read_input, &in};
    pp_elf_symbol symbol;
    try_memory(data, size, MAPPED_AT);
    try_memory(data, size, 0x400000);
    try_memory(data, size, 0);
    pp_elf_file_symbol(&file, size, "_PyRuntime", &symbol);
    pp_elf_file_symbol(&file, size, "second", &symbol);
    pp_elf_file_section(&file, size, ".PyRuntime", &symbol);
    if (in.reads > 10 * (size + 10000)) {
        abort();
    }
    return 0;
}
