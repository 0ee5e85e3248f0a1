/*
 * Records an image of a Python process: what the unwinder reads of it, in every
 * way of reading, and a little around each piece, so that another way of
 * reading finds it, too. The process is to stand still (record_images.py stops
 * it).
 *
 *   record_image PID IMAGE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/layout.h"
#include "target/target.h"
#include "unwind/unwind.h"

enum { MAX_BYTES = 8 << 20, ROUNDS = 3, AROUND = 128, PAGE = 4096 };

static _Noreturn void fail(const char *what, const pyprof_error *err)
{
    fprintf(stderr, "record_image: %s: %s\n", what, err->message);
    exit(1);
}

/* ---- a reader that asks for a little more -------------------------------- */

typedef struct wide_reader {
    pp_reader base;
    pp_reader *inner; /* the recorder */
    uint8_t rest[1 << 20];
} wide_reader;

static pyprof_status wide_readv(pp_reader *reader, void *to,
                                const pp_span *spans, size_t n,
                                size_t *out_spans, uint64_t *io_calls)
{
    wide_reader *self = (wide_reader *)reader;
    pyprof_status status =
        self->inner->ops->readv(self->inner, to, spans, n, out_spans, io_calls);
    for (size_t i = 0; status == PYPROF_OK && i < *out_spans; i++) {
        uint64_t end = spans[i].address + spans[i].size;
        pp_span more = {spans[i].address & ~(uint64_t)(AROUND - 1), 0};
        /* The next page may not be there. */
        end = (end + AROUND - 1) & ~(uint64_t)(AROUND - 1);
        more.size = end - more.address;
        if (more.size <= sizeof(self->rest)) {
            pp_reader_read(self->inner, more.address, self->rest,
                           (size_t)more.size);
        }
    }
    return status;
}

static void wide_close(pp_reader *reader)
{
    PP_UNUSED(reader);
}

static const pp_reader_ops wide_ops = {"wide", wide_readv, wide_close};

/* ---- recording ----------------------------------------------------------- */

static void look(pp_reader *reader, const pp_layout *layout, uint64_t runtime,
                 int64_t inner_pid, bool all_threads, pp_unwind_care care)
{
    pyprof_error err = {.sz = sizeof(err)};
    pp_unwind_opts opts = {.all_threads = all_threads,
                           .max_depth = 4096,
                           .max_codes = 65536,
                           .max_threads = 1024};
    pp_unwind *unwind;
    if (pp_unwind_new(NULL, reader, layout, runtime, inner_pid, &opts, &unwind,
                      &err) != PYPROF_OK) {
        fail("the unwinder", &err);
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        pp_round round;
        if (pp_unwind_round(unwind, i * 1000 * 1000, care, &round) !=
            PYPROF_OK) {
            fail("a round failed", &err);
        }
        void *record = malloc(pp_unwind_record_size(unwind));
        if (record == NULL) {
            fail("out of memory", &err);
        }
        pp_unwind_record(unwind, i, record);
        pp_decoder_drop(NULL, record);
        free(record);
    }
    pp_unwind_free(unwind);
}

static void record(pyprof_target *target, pp_reader *recorder)
{
    pyprof_error err = {.sz = sizeof(err)};
    const pp_runtime *found = &target->runtime;
    pp_image_info info = {found->address, found->async_debug,
                          found->hex_version, found->build};
    static wide_reader wide = {.base = {.ops = &wide_ops}};
    pp_layout layout;
    pp_reader_record_info(recorder, &info);
    wide.inner = recorder;
    if (pp_layout_load(recorder, found->address, found->hex_version,
                       (found->build & PP_BUILD_FREE_THREADED) != 0, &layout,
                       NULL, &err) != PYPROF_OK) {
        fail("the layout", &err);
    }
    for (int all = 0; all <= 1; all++) {
        for (int care = PP_CARE_CHECKED; care <= PP_CARE_STOPPED; care++) {
            look(&wide.base, &layout, found->address,
                 pp_os_process_inner_pid(target->process), all != 0,
                 (pp_unwind_care)care);
        }
    }
}

int main(int argc, char **argv)
{
    pyprof_error err = {.sz = sizeof(err)};
    pyprof_target *target;
    pp_reader *recorder;
    void *data;
    size_t size;
    if (argc != 3) {
        fprintf(stderr, "usage: record_image PID IMAGE\n");
        return 2;
    }
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);
    pp_runtime_shape *shapes = calloc(n, sizeof(*shapes));
    if (shapes == NULL) {
        fail("out of memory", &err);
    }
    for (size_t i = 0; i < n; i++) {
        const pp_layout *table = rows[i].table;
        shapes[i] = (pp_runtime_shape){
            .version = table->version,
            .free_threaded = table->free_threaded,
            .runtime_size = table->rt.size,
            .interpreters_head = table->rt.interpreters_head,
            .interp_threads_head = table->is.threads_head,
            .tstate_interp = table->ts.interp,
            .tstate_next = table->ts.next,
            .interp_next = table->is.next,
        };
    }
    pp_target_config config = {.shapes = shapes, .n_shapes = n};
    if (pp_target_open(atoll(argv[1]), &config, &target, &err) != PYPROF_OK ||
        pp_target_ready(target, 0, &err) != PYPROF_OK) {
        fail(argv[1], &err);
    }
    if (pp_reader_open_recorder(NULL, target->reader, MAX_BYTES, &recorder,
                                &err) != PYPROF_OK) {
        fail("the recorder", &err);
    }
    record(target, recorder);
    if (pp_reader_record(recorder, &data, &size, &err) != PYPROF_OK) {
        fail("the image", &err);
    }
    FILE *file = fopen(argv[2], "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size ||
        fclose(file) != 0) {
        perror(argv[2]);
        return 1;
    }
    pp_free(NULL, data);
    pp_reader_close(recorder);
    pp_target_close(target);
    free(shapes);
    return 0;
}
