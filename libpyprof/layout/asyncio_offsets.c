/*
 * asyncio_offsets: what the C half of asyncio tells of itself (3.14+), the
 * thirteen words of _AsyncioDebug. In: their address, and the layout of the
 * runtime. Out: the layout with the fields that have to do with tasks.
 *
 * The words are the target's: each is checked like those of debug_offsets.c.
 * Their order is that of struct _Py_AsyncioModuleDebugOffsets in
 * Modules/_asynciomodule.c of 3.14 and 3.15, which no header has.
 */
#include "layout/tables.h"

#include <inttypes.h>
#include <string.h>

enum {
    WORD_TASK_SIZE = 0,
    WORD_INTERP_SIZE = 7,
    WORD_THREAD_SIZE = 9,
    WORDS = 13
};

enum { MAX_TASK = 64 << 10, MAX_THREAD = 1 << 20 };

typedef struct member {
    const char *field;
    size_t to;
    uint8_t word;
    uint8_t size;  /* word that has the size of its structure */
    uint8_t width; /* of what is there; its alignment is min(width, 8) */
} member;

#define MEMBER(name, word_, size_, width_)                     \
    {                                                          \
#name, offsetof(pp_layout, name), word_, size_, width_ \
    }

static const member MEMBERS[] = {
    MEMBER(task.name, 1, WORD_TASK_SIZE, 8),
    MEMBER(task.awaited_by, 2, WORD_TASK_SIZE, 8),
    MEMBER(task.is_task, 3, WORD_TASK_SIZE, 1),
    MEMBER(task.awaited_by_is_set, 4, WORD_TASK_SIZE, 1),
    MEMBER(task.coro, 5, WORD_TASK_SIZE, 8),
    MEMBER(task.node, 6, WORD_TASK_SIZE, 16),
    MEMBER(is.asyncio_tasks_head, 8, WORD_INTERP_SIZE, 16),
    MEMBER(ts.asyncio_running_loop, 10, WORD_THREAD_SIZE, 8),
    MEMBER(ts.asyncio_running_task, 11, WORD_THREAD_SIZE, 8),
    MEMBER(ts.asyncio_tasks_head, 12, WORD_THREAD_SIZE, 16),
};

static pyprof_status corrupt(pyprof_error *err, const char *field,
                             uint64_t value)
{
    return pp_error_set(err, PYPROF_ERR_CORRUPT,
                        "what the target's asyncio tells of itself is not "
                        "believable: %s is %" PRIu64,
                        field, value);
}

static pyprof_status check_sizes(const uint64_t *words, const pp_layout *layout,
                                 pyprof_error *err)
{
    if (words[WORD_TASK_SIZE] < layout->ob.size ||
        words[WORD_TASK_SIZE] > MAX_TASK) {
        return corrupt(err, "task.size", words[WORD_TASK_SIZE]);
    }
    if (words[WORD_INTERP_SIZE] != layout->is.size) {
        return corrupt(err, "is.size", words[WORD_INTERP_SIZE]);
    }
    if (words[WORD_THREAD_SIZE] < layout->ts.size ||
        words[WORD_THREAD_SIZE] > MAX_THREAD) {
        return corrupt(err, "ts.size", words[WORD_THREAD_SIZE]);
    }
    return PYPROF_OK;
}

static bool fits(const member *m, const uint64_t *words)
{
    uint64_t at = words[m->word], size = words[m->size];

    if (at >= size || m->width > size - at ||
        at % (m->width < 8 ? m->width : 8) != 0) {
        return false;
    }
    for (const member *other = MEMBERS; other < m; other++) {
        uint64_t other_at = words[other->word];

        if (other->size == m->size && at < other_at + other->width &&
            other_at < at + m->width) {
            return false;
        }
    }
    return true;
}

pyprof_status pp_layout_load_asyncio(pp_reader *reader, uint64_t async_debug,
                                     pp_layout *layout, pyprof_error *err)
{
    uint64_t words[WORDS];

    if (layout->ts.asyncio_tasks_head == PP_NONE) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                            "asyncio does not describe itself before 3.14");
    }
    if (pp_reader_read(reader, async_debug, words, sizeof(words)) !=
        PYPROF_OK) {
        return pp_error_address(err, PYPROF_ERR_FAULT, async_debug,
                                "asyncio's description cannot be read");
    }
    PP_TRY(check_sizes(words, layout, err));
    for (size_t i = 0; i < PP_COUNT_OF(MEMBERS); i++) {
        if (!fits(&MEMBERS[i], words)) {
            return corrupt(err, MEMBERS[i].field, words[MEMBERS[i].word]);
        }
    }
    for (size_t i = 0; i < PP_COUNT_OF(MEMBERS); i++) {
        uint32_t value = (uint32_t)words[MEMBERS[i].word];

        memcpy((uint8_t *)layout + MEMBERS[i].to, &value, sizeof(value));
    }
    layout->task.size = (uint32_t)words[WORD_TASK_SIZE];
    return PYPROF_OK;
}
