/*
 * Fuzz entry of replay/: any bytes as a saved profile. The first byte says how
 * it is read (1: salvage); the rest is the file.
 *
 * A profile of our own has checksums that no mutation gets right: with bit 2
 * the checksums of the chunks are made right first, so that what is behind them
 * is reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/collector.h"
#include "replay/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODE_SALVAGE = 1, MODE_MEND = 2 };

/* Makes the checksums of an uncompressed profile right. */
static void mend(uint8_t *data, size_t size)
{
    const uint8_t *at = data + PP_SAVED_HEAD;
    const uint8_t *end = data + size;
    if (size < PP_SAVED_HEAD || memcmp(data, PP_SAVED_MAGIC, 8) != 0 ||
        data[9] != PP_SAVED_NONE) {
        return;
    }
    for (;;) {
        uint64_t chunk;
        if (!pp_varint_get(&at, end, &chunk) || end - at < 4 ||
            chunk > (uint64_t)(end - at) - 4) {
            return;
        }
        uint32_t crc = pp_crc32(0, at + 4, (size_t)chunk);
        for (int i = 0; i < 4; i++) {
            data[at - data + i] = (uint8_t)(crc >> 8 * i);
        }
        at += 4 + chunk;
    }
}

/* Rounds stay within what the summary and the counters can say; every stack is
 * one of the tables. */
static pyprof_status look(void *self, const pyprof_sample *sample,
                          pyprof_error *err)
{
    uint64_t *left = self;
    (void)err;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->stack > pp_tables_stacks(sample->tables) ||
            seen->thread > pp_tables_threads(sample->tables) ||
            seen->depth != pp_tables_depth(sample->tables, seen->stack) ||
            seen->state < PYPROF_STACK_WHOLE ||
            seen->state > PYPROF_STACK_UNREADABLE || sample->count == 0) {
            abort();
        }
    }
    /* a small file may stand for many rounds: enough is enough */
    if (sample->n_stacks > *left) {
        return PYPROF_ERR_LIMIT;
    }
    *left -= sample->n_stacks;
    return PYPROF_OK;
}

static void check_error(pyprof_status status, const pyprof_error *err)
{
    if (status != PYPROF_OK && err->message[0] == '\0') {
        abort();
    }
}

static void replay(const uint8_t *data, size_t size, uint64_t flags)
{
    static const char *const formats[] = {"collapsed", "jsonl", "gecko",
                                          "pyprof", "binary"};
    uint64_t left = 20000;
    pyprof_collector_ops ops = {
        .sz = sizeof(ops), .name = "look", .sample = look};
    const pyprof_replay_opts opts = {
        .sz = sizeof(opts), .flags = flags, .max_stacks = 1 << 16};
    const pyprof_format_opts plain = {.sz = sizeof(plain)};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_replay *r = NULL;
    pyprof_collector *c[2] = {NULL, NULL};
    const char *format = formats[size % PP_COUNT_OF(formats)];
    if (pp_replay_new(&opts, &r, &err) == PYPROF_OK &&
        pp_collector_new(&ops, &left, NULL, &c[0], &err) == PYPROF_OK &&
        pp_collector_new_format(format, &plain, &c[1], &err) == PYPROF_OK) {
        pyprof_status status =
            pp_replay_add_memory(r, "fuzz", data, size, &err);
        check_error(status, &err);
        if (status == PYPROF_OK) {
            pyprof_writer *w = NULL;
            (void)pp_replay_add(r, c[0], NULL);
            (void)pp_replay_add(r, c[1], NULL);
            check_error(pp_replay_run(r, &err), &err);
            if (pp_writer_open_memory(NULL, &w, &err) == PYPROF_OK) {
                check_error(pp_collector_write(c[1], w, &err), &err);
            }
            pp_writer_close(w);
        }
    }
    pp_replay_free(r);
    pp_collector_free(c[0]);
    pp_collector_free(c[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return -1;
    }
    /* a copy of the exact size, which can be mended */
    uint8_t *copy = malloc(size);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & MODE_MEND) != 0) {
        mend(copy, size - 1);
    }
    replay(copy, size - 1,
           (data[0] & MODE_SALVAGE) != 0 ? PYPROF_REPLAY_SALVAGE : 0U);
    free(copy);
    return 0;
}
