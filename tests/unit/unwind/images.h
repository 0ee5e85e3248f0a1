/*
 * images: the recorded images of tests/images, and a sample as text, in the
 * form of their .expected files (see tests/tools/record_images.py).
 *
 * PYPROF_TESTS is the folder of the tests, given by the build.
 */
#ifndef PP_TESTS_UNWIND_IMAGES_H
#define PP_TESTS_UNWIND_IMAGES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/layout.h"
#include "reader/reader.h"
#include "sample/sample.h"
#include "unwind/unwind.h"

enum { IMAGES_MAX = 64 };

typedef struct images {
    char names[IMAGES_MAX][64]; /* without ".img" */
    int n;
} images;

typedef struct image {
    uint8_t *data;
    size_t size;
    pp_image_info info;
    pp_layout layout;
} image;

static inline _Noreturn void image_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static inline int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names of all images, in order. */
static inline images images_list(void)
{
    images list = {.n = 0};
    DIR *folder = opendir(PYPROF_TESTS "/images");
    struct dirent *entry;
    if (folder == NULL) {
        image_fail(PYPROF_TESTS "/images", "can't be opened");
    }
    while ((entry = readdir(folder)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".img") == 0 &&
            length - 4 < sizeof(list.names[0]) && list.n < IMAGES_MAX) {
            memcpy(list.names[list.n], entry->d_name, length - 4);
            list.names[list.n++][length - 4] = '\0';
        }
    }
    closedir(folder);
    qsort(list.names, (size_t)list.n, sizeof(list.names[0]), compare_names);
    if (list.n == 0) {
        image_fail(PYPROF_TESTS "/images", "no image there");
    }
    return list;
}

/* A file of the images' folder, with a NUL behind it. */
static inline uint8_t *image_file(const char *name, const char *ending,
                                  size_t *out_size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/images/%s%s", PYPROF_TESTS, name, ending);
    FILE *file = fopen(path, "rb");
    size_t size = 0;
    uint8_t *data = NULL;
    if (file == NULL) {
        image_fail(path, "can't be opened");
    }
    for (size_t room = 1 << 20;; room *= 2) {
        data = realloc(data, room);
        if (data == NULL) {
            image_fail(path, "out of memory");
        }
        size += fread(data + size, 1, room - 1 - size, file);
        if (size < room - 1) {
            break;
        }
    }
    fclose(file);
    data[size] = 0;
    if (out_size != NULL) {
        *out_size = size;
    }
    return data;
}

static inline pp_reader *image_open(const image *self)
{
    pyprof_error err = {.sz = sizeof(err)};
    pp_reader *reader;
    if (pp_reader_open_image(NULL, self->data, self->size, &reader, &err) !=
        PYPROF_OK) {
        image_fail("image", err.message);
    }
    return reader;
}

static inline image image_load(const char *name)
{
    pyprof_error err = {.sz = sizeof(err)};
    image self;
    self.data = image_file(name, ".img", &self.size);
    pp_reader *reader = image_open(&self);
    pp_reader_image_info(reader, &self.info);
    if (pp_layout_load(reader, self.info.runtime, self.info.hex_version,
                       (self.info.build & 1) != 0, &self.layout, NULL,
                       &err) != PYPROF_OK) {
        image_fail(name, err.message);
    }
    pp_reader_close(reader);
    return self;
}

static inline void image_unload(image *self)
{
    free(self->data);
}

/* ---- a sample as text ---------------------------------------------------- */

typedef struct text {
    char *bytes;
    size_t size, room;
} text;

static inline void text_add(text *self, const char *bytes, size_t size)
{
    if (self->size + size + 1 > self->room) {
        self->room = (self->size + size + 1) * 2;
        self->bytes = realloc(self->bytes, self->room);
        if (self->bytes == NULL) {
            image_fail("text", "out of memory");
        }
    }
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
    self->bytes[self->size] = '\0';
}

static inline void text_number(text *self, const char *before, long long number)
{
    char bytes[64];
    int n = snprintf(bytes, sizeof(bytes), "%s%lld", before, number);
    text_add(self, bytes, (size_t)n);
}

static inline void text_frame(text *self, const pyprof_frame *frame, int times)
{
    const char *base = frame->file.data;
    for (size_t i = 0; i < frame->file.size; i++) {
        if (frame->file.data[i] == '/') {
            base = frame->file.data + i + 1;
        }
    }
    text_add(self, "  ", 2);
    text_add(self, frame->function.data, frame->function.size);
    text_add(self, " ", 1);
    text_add(self, base, (size_t)(frame->file.data + frame->file.size - base));
    text_number(self, ":", frame->line);
    if (times > 1) {
        text_number(self, " x", times);
    }
    text_add(self, "\n", 1);
}

/* The innermost frame of a stack; `*at` becomes the stack that called it. */
static inline pyprof_frame text_innermost(const pyprof_tables *tables,
                                          uint32_t *at)
{
    pyprof_frame view;
    uint32_t frame;
    if (!pp_tables_stack_view(tables, *at, at, &frame) ||
        !pp_tables_frame_view(tables, frame, &view)) {
        image_fail("a stack", "that was never told of");
    }
    return view;
}

static inline text text_thread(const pp_decoded *decoded,
                               const pyprof_stack_sample *stack)
{
    const pyprof_tables *tables = decoded->sample.tables;
    text self = {NULL, 0, 0};
    pyprof_thread thread;
    uint32_t at = stack->stack;
    if (!pp_tables_thread_view(tables, stack->thread, &thread)) {
        image_fail("a thread", "that was never told of");
    }
    text_number(&self, "thread interpreter ", (long long)thread.interpreter);
    if (thread.is_main) {
        text_add(&self, " main", 5);
    }
    if (stack->state != PYPROF_STACK_WHOLE) {
        text_number(&self, " state ", stack->state);
    }
    text_add(&self, "\n", 1);
    while (at != 0) {
        pyprof_frame view = text_innermost(tables, &at);
        int times = 1;
        for (uint32_t next = at; next != 0; times++) {
            pyprof_frame other = text_innermost(tables, &next);
            if (other.function_id != view.function_id ||
                other.line != view.line) {
                break;
            }
            at = next;
        }
        text_frame(&self, &view, times);
    }
    return self;
}

static inline int compare_texts(const void *a, const void *b)
{
    return strcmp(((const text *)a)->bytes, ((const text *)b)->bytes);
}

/* All threads that have a frame, or whose stack is not whole. */
static inline char *text_sample(const pp_decoded *decoded)
{
    size_t n = (size_t)decoded->sample.n_stacks;
    text *threads = calloc(n + 1, sizeof(*threads));
    text all = {NULL, 0, 0};
    size_t used = 0;
    if (threads == NULL) {
        image_fail("text", "out of memory");
    }
    text_add(&all, "", 0);
    for (size_t i = 0; i < n; i++) {
        const pyprof_stack_sample *stack = &decoded->sample.stacks[i];
        if (stack->stack != 0 || stack->state != PYPROF_STACK_WHOLE) {
            threads[used++] = text_thread(decoded, stack);
        }
    }
    qsort(threads, used, sizeof(*threads), compare_texts);
    for (size_t i = 0; i < used; i++) {
        text_add(&all, threads[i].bytes, threads[i].size);
        free(threads[i].bytes);
    }
    free(threads);
    return all.bytes;
}

#endif /* PP_TESTS_UNWIND_IMAGES_H */
