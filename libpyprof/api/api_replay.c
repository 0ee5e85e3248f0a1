/*
 * api_replay: checks what a caller gives to a replay, then calls down.
 */
#include "base/base.h"
#include "replay/replay.h"

static pyprof_status is_null(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL", what);
}

pyprof_status pyprof_replay_new(const pyprof_replay_opts *opts,
                                pyprof_replay **out_replay, pyprof_error *err)
{
    if (out_replay == NULL) {
        return is_null("out_replay", err);
    }
    pyprof_replay_opts known;
    PP_TRY(
        pp_opts_read(&known, sizeof(known), opts, "pyprof_replay_opts", err));
    return pp_replay_new(&known, out_replay, err);
}

pyprof_status pyprof_replay_add_path(pyprof_replay *replay, const char *path,
                                     pyprof_error *err)
{
    if (replay == NULL || path == NULL) {
        return is_null(replay == NULL ? "replay" : "path", err);
    }
    return pp_replay_add_path(replay, path, err);
}

pyprof_status pyprof_replay_add_memory(pyprof_replay *replay, const char *name,
                                       const void *data, size_t size,
                                       pyprof_error *err)
{
    if (replay == NULL || name == NULL) {
        return is_null(replay == NULL ? "replay" : "name", err);
    }
    if (data == NULL && size > 0) {
        return is_null("data", err);
    }
    return pp_replay_add_memory(replay, name, data, size, err);
}

pyprof_status pyprof_replay_describe(const pyprof_replay *replay,
                                     uint32_t index,
                                     pyprof_replay_info *out_info)
{
    if (replay == NULL || out_info == NULL) {
        return PYPROF_ERR_INVALID;
    }
    return pp_replay_describe(replay, index, out_info);
}

pyprof_status pyprof_replay_add(pyprof_replay *replay,
                                pyprof_collector *collector, pyprof_error *err)
{
    if (replay == NULL || collector == NULL) {
        return is_null(replay == NULL ? "replay" : "collector", err);
    }
    return pp_replay_add(replay, collector, err);
}

pyprof_status pyprof_replay_run(pyprof_replay *replay, pyprof_error *err)
{
    if (replay == NULL) {
        return is_null("replay", err);
    }
    return pp_replay_run(replay, err);
}

pyprof_status pyprof_replay_read_stats(const pyprof_replay *replay,
                                       pyprof_replay_stats *out_stats)
{
    if (replay == NULL || out_stats == NULL) {
        return PYPROF_ERR_INVALID;
    }
    return pp_replay_read_stats(replay, out_stats);
}

void pyprof_replay_free(pyprof_replay *replay)
{
    pp_replay_free(replay);
}
