/*
 * diff: puts two profiles into one set of tables. In go two profiles with their
 * own numbers; out come tables in which a path of functions has one number,
 * whichever profile it is from.
 *
 * A function is the same when its file and its qualified name are: lines move
 * with every edit, and comparing two versions of a program is what this is for.
 */
#include "collector/flamegraph/flamegraph.h"

#include <string.h>

/* The frame in the new tables that stands for all lines of a function. */
static uint32_t merged_frame(pyprof_tables *to, const pyprof_frame *frame)
{
    const pp_position nowhere = PP_POSITION_UNKNOWN;
    const pp_function_key key = {
        .qualname = frame->function,
        .name = frame->name,
        .file = frame->file,
        .first_line = PYPROF_UNKNOWN,
        .kind = frame->kind,
    };
    uint32_t function = pp_tables_function(to, &key);
    return function == 0 ? 0 : pp_tables_frame(to, function, &nowhere);
}

static pyprof_status merge_frames(pyprof_tables *to, const pyprof_tables *from,
                                  uint32_t *frame_of, pyprof_error *err)
{
    uint32_t n = pp_tables_frames(from);
    for (uint32_t number = 1; number <= n; number++) {
        pyprof_frame frame;
        if (pp_tables_frame_view(from, number, &frame)) {
            frame_of[number] = merged_frame(to, &frame);
        }
        if (frame_of[number] == 0) {
            return pp_error_memory(err, "functions of two profiles");
        }
    }
    return PYPROF_OK;
}

static pyprof_status merge_one(pp_flame_merged *merged, int which,
                               const pp_flame *flame, pyprof_error *err)
{
    const pp_allocator *a = &flame->allocator;
    const pyprof_tables *from = flame->session.tables;
    uint32_t n = pp_tables_stacks(from);
    uint32_t *stack_of = pp_calloc(a, (size_t)n + 1, sizeof(*stack_of));
    uint32_t *frame_of =
        pp_calloc(a, (size_t)pp_tables_frames(from) + 1, sizeof(*frame_of));
    merged->stack_of[which] = stack_of;
    if (stack_of == NULL || frame_of == NULL) {
        pp_free(a, frame_of);
        return pp_error_memory(err, "stacks of two profiles");
    }
    pyprof_status status = merge_frames(merged->tables, from, frame_of, err);
    for (uint32_t stack = 1; stack <= n && status == PYPROF_OK; stack++) {
        uint32_t parent = 0;
        uint32_t frame = 0;
        (void)pp_tables_stack_view(from, stack, &parent, &frame);
        stack_of[stack] =
            pp_tables_stack(merged->tables, stack_of[parent], frame_of[frame]);
        if (stack_of[stack] == 0) {
            status = pp_error_memory(err, "stacks of two profiles");
        }
    }
    pp_free(a, frame_of);
    return status;
}

pyprof_status pp_flame_merge(pp_flame_merged *merged, const pp_flame *now,
                             const pp_flame *before, pyprof_error *err)
{
    const pp_tables_limits limits = {
        .max_functions = UINT32_C(1) << 21,
        .max_frames = UINT32_C(1) << 22,
        .max_stacks = UINT32_C(1) << 24,
    };
    *merged = (pp_flame_merged){.tables = NULL};
    merged->tables = pp_tables_new(&now->allocator, &limits);
    if (merged->tables == NULL) {
        return pp_error_memory(err, "two profiles");
    }
    PP_TRY(merge_one(merged, 0, now, err));
    return merge_one(merged, 1, before, err);
}

void pp_flame_merged_free(pp_flame_merged *merged, const pp_allocator *a)
{
    pp_tables_unref(merged->tables);
    pp_free(a, merged->stack_of[0]);
    pp_free(a, merged->stack_of[1]);
    *merged = (pp_flame_merged){.tables = NULL};
}
