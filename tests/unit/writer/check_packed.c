/*
 * writer: compression around a writer. Python's own gzip reads what gzip.c
 * writes; zstd reads what zstd.c writes.
 */
#define _POSIX_C_SOURCE 200809L
#include "../base/testing.h"

#include "writer/writer.h"

#include <stdio.h>
#include <unistd.h>
#include <zstd.h>

enum { SIZE = 300000 };

/* Data of several kinds; a kind is a number from 0. */
enum { KINDS = 6 };

static void fill(uint8_t *data, size_t size, int kind)
{
    uint64_t state = 88172645463325252U;
    for (size_t i = 0; i < size; i++) {
        uint64_t r = test_random(&state);
        switch (kind) {
        case 0: /* nothing repeats */
            data[i] = (uint8_t)r;
            break;
        case 1: /* longest matches */
            data[i] = 'x';
            break;
        case 2: /* few bytes, many short matches */
            data[i] = (uint8_t) "abcd"[r % 4];
            break;
        case 3: /* matches as far as they can be */
            data[i] = i < 32768 ? (uint8_t)r : data[i - 32768];
            break;
        case 4: /* one further than they can be */
            data[i] = i < 32769 ? (uint8_t)r : data[i - 32769];
            break;
        default: /* very uneven: deep trees */
            data[i] = 0;
            while (data[i] < 40 && (r & 1) != 0) {
                data[i]++;
                r >>= 1;
            }
            break;
        }
    }
}

/* Writes in pieces of odd sizes, flushing now and then. */
static pyprof_writer *pack(int32_t compression, const uint8_t *data,
                           size_t size)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_pack(&w, compression, NULL, &err), PYPROF_OK);
    size_t at = 0;
    for (size_t n = 1; at < size; n = n * 3 % 100003 + 1) {
        n = n < size - at ? n : size - at;
        ck_assert_int_eq(pp_writer_write(w, data + at, n, &err), PYPROF_OK);
        at += n;
        if (n % 5 == 0) {
            ck_assert_int_eq(pp_writer_flush(w, &err), PYPROF_OK);
        }
    }
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_OK);
    return w;
}

static void save(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_gzip)
{
    static uint8_t data[SIZE];
    static const size_t sizes[] = {0, 1, 2, 3, 259, 32768, 65536, SIZE};
    char folder[] = "/tmp/pyprof-packed-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    for (int kind = 0; kind < KINDS; kind++) {
        fill(data, SIZE, kind);
        for (size_t i = 0; i < PP_COUNT_OF(sizes); i++) {
            pyprof_writer *w = pack(PYPROF_COMPRESSION_GZIP, data, sizes[i]);
            pyprof_text packed = pp_writer_memory(w);
            char name[64];
            snprintf(name, sizeof(name), "%d-%zu.gz", kind, sizes[i]);
            save(name, packed.data, (size_t)packed.size);
            snprintf(name, sizeof(name), "%d-%zu", kind, sizes[i]);
            save(name, data, sizes[i]);
            /* no worse than a little over plain */
            ck_assert_uint_le(packed.size, sizes[i] + sizes[i] / 50 + 2000);
            pp_writer_close(w);
        }
    }
    ck_assert_int_eq(
        system("python3 -c \"import glob, gzip\n"
               "names = glob.glob('*.gz')\n"
               "assert names\n"
               "for n in names:\n"
               "    assert gzip.open(n).read() == open(n[:-3], 'rb').read(), n"
               "\""),
        0);
    ck_assert_int_eq(chdir("/"), 0);
    char command[80];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* Much of what repeats is found. */
START_TEST(test_gzip_is_small)
{
    static uint8_t data[SIZE];
    static const struct {
        int kind;
        size_t most;
    } wanted[] = {{1, SIZE / 100}, {2, SIZE / 3}, {3, SIZE / 4}};
    for (size_t i = 0; i < PP_COUNT_OF(wanted); i++) {
        fill(data, SIZE, wanted[i].kind);
        pyprof_writer *w = pack(PYPROF_COMPRESSION_GZIP, data, SIZE);
        ck_assert_uint_le(pp_writer_memory(w).size, wanted[i].most);
        pp_writer_close(w);
    }
}
END_TEST

START_TEST(test_zstd)
{
    static uint8_t data[SIZE];
    static uint8_t back[SIZE];
    for (int kind = 0; kind < KINDS; kind++) {
        fill(data, SIZE, kind);
        pyprof_writer *w = pack(PYPROF_COMPRESSION_ZSTD, data, SIZE);
        pyprof_text packed = pp_writer_memory(w);
        ZSTD_DCtx *d = ZSTD_createDCtx();
        ZSTD_inBuffer in = {.src = packed.data, .size = (size_t)packed.size};
        ZSTD_outBuffer out = {.dst = back, .size = SIZE};
        ck_assert_uint_eq(ZSTD_decompressStream(d, &out, &in), 0);
        ck_assert_uint_eq(out.pos, SIZE);
        ck_assert_int_eq(memcmp(data, back, SIZE), 0);
        ZSTD_freeDCtx(d);
        pp_writer_close(w);
    }
}
END_TEST

/* A full disk shows, and closes what is inside. */
START_TEST(test_full)
{
    for (int32_t kind = PYPROF_COMPRESSION_GZIP;
         kind <= PYPROF_COMPRESSION_ZSTD; kind++) {
        static uint8_t data[SIZE];
        pyprof_error err = PYPROF_ERROR_INIT;
        pyprof_writer *w = NULL;
        fill(data, SIZE, 0);
        ck_assert_int_eq(pp_writer_open_path("/dev/full", 0, NULL, &w, &err),
                         PYPROF_OK);
        ck_assert_int_eq(pp_writer_pack(&w, kind, NULL, &err), PYPROF_OK);
        pyprof_status status = pp_writer_write(w, data, SIZE, &err);
        if (status == PYPROF_OK) {
            status = pp_writer_finish(w, &err);
        }
        ck_assert_int_eq(status, PYPROF_ERR_IO);
        pp_writer_close(w);
    }
}
END_TEST

static bool pack_once(fault_alloc *fault)
{
    pyprof_writer *w = NULL;
    pyprof_status status = pp_writer_open_memory(&fault->table, &w, NULL);
    if (status == PYPROF_OK) {
        status =
            pp_writer_pack(&w, PYPROF_COMPRESSION_GZIP, &fault->table, NULL);
    }
    if (status == PYPROF_OK) {
        status = pp_writer_write(w, "hello", 5, NULL);
    }
    if (status == PYPROF_OK) {
        status = pp_writer_finish(w, NULL);
    }
    pp_writer_close(w);
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    fault_loop(pack_once);
}
END_TEST

/* In place: there from the start, and left there. */
START_TEST(test_in_place)
{
    char path[] = "/tmp/pyprof-place-XXXXXX";
    char text[8] = "";
    pyprof_writer *w = NULL;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "old", 3), 3);
    close(fd);
    ck_assert_int_eq(
        pp_writer_open_path(path, PYPROF_WRITER_IN_PLACE, NULL, &w, NULL),
        PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, "new", 3, NULL), PYPROF_OK);
    ck_assert_int_eq(pp_writer_flush(w, NULL), PYPROF_OK);
    pp_writer_close(w); /* not finished */
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, file), 3);
    fclose(file);
    ck_assert_str_eq(text, "new");
    unlink(path);
}
END_TEST

SUITE_MAIN("writer.packed", test_gzip, test_gzip_is_small, test_zstd, test_full,
           test_out_of_memory, test_in_place)
