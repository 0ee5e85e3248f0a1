/*
 * output.c: which format, and where it goes. All that can be wrong with the
 * place is found before a target is started.
 */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool find_format(const char *name, pyprof_format_info *out)
{
    for (uint32_t i = 0;; i++) {
        memset(out, 0, sizeof(*out));
        out->sz = sizeof(*out);
        if (pyprof_format(i, out) != PYPROF_OK) {
            return false;
        }
        if (name == NULL ? (out->caps & PYPROF_COLLECTOR_TO_STDOUT) != 0
                         : strcmp(out->name, name) == 0) {
            return true;
        }
    }
}

/* The format that was asked for. Without one it is the table for a person, and
 * pstats for a file; pstats without a file is for a person, too. (These are the
 * rules of Python's own profiling.sampling.) */
static int choose_format(const settings *s, pyprof_format_info *out)
{
    static const char *const pstats = "pstats";
    bool to_file = s->output != NULL && strcmp(s->output, "-") != 0;
    const char *name = s->format;
    if (name == NULL && to_file) {
        name = pstats;
    } else if (name != NULL && s->output == NULL && strcmp(name, pstats) == 0) {
        name = NULL;
    }
    if (!find_format(name, out)) {
        return fail("this library has no output format '%s'",
                    name != NULL ? name : "table");
    }
    return STATUS_DONE;
}

static int in_folder(output *out, const char *folder)
{
    if (access(folder, W_OK | X_OK) != 0) {
        return fail("can't write into folder '%s': %s", folder,
                    strerror(errno));
    }
    out->folder = folder;
    return STATUS_DONE;
}

int output_probe(const char *path, const char *option)
{
    struct stat info;
    pyprof_writer *writer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return fail("%s '%s' is a folder: give a file", option, path);
        }
        if (access(path, W_OK) != 0) {
            return fail("%s '%s' can't be written: %s", option, path,
                        strerror(errno));
        }
        if (!S_ISREG(info.st_mode)) {
            return STATUS_DONE; /* opening a pipe would be felt */
        }
    }
    /* What is not finished leaves no trace. */
    pyprof_status status = pyprof_writer_open_path(path, NULL, &writer, &err);
    pyprof_writer_close(writer);
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}

static int choose_place(const settings *s, output *out)
{
    /* Room for the default name behind a folder, too. */
    if (s->output != NULL && strlen(s->output) > sizeof(out->path) - 100) {
        return fail("--output: the path is too long");
    }
    bool text = (out->format.caps & PYPROF_COLLECTOR_TEXT) != 0;
    struct stat info;
    if (s->output == NULL) {
        out->to_stdout = (out->format.caps & PYPROF_COLLECTOR_TO_STDOUT) != 0;
        return out->to_stdout ? STATUS_DONE : in_folder(out, ".");
    }
    if (strcmp(s->output, "-") == 0) {
        if ((out->format.caps & PYPROF_COLLECTOR_FOLDER) != 0) {
            return fail("--%s writes a folder: give its name (-o FOLDER)",
                        out->format.name);
        }
        out->to_stdout = true;
        if (!text && isatty(STDOUT_FILENO)) {
            return fail("--%s is not text: send it to a file (-o FILE) or "
                        "another program, not to a terminal",
                        out->format.name);
        }
        return STATUS_DONE;
    }
    if (stat(s->output, &info) == 0 && S_ISDIR(info.st_mode)) {
        return in_folder(out, s->output);
    }
    out->file = s->output;
    if ((out->format.caps & PYPROF_COLLECTOR_FOLDER) != 0) {
        /* It is not made before there is something to put into it. */
        return access(s->output, F_OK) != 0
                   ? STATUS_DONE
                   : fail("--output '%s' is a file: --%s writes a folder",
                          s->output, out->format.name);
    }
    return output_probe(s->output, "--output");
}

/* A pyprof_baseline_fn: `user` is the path of a saved profile. */
static pyprof_status replay_baseline(void *user, pyprof_collector *into,
                                     pyprof_error *err)
{
    pyprof_replay *replay = NULL;
    pyprof_status status = pyprof_replay_new(NULL, &replay, err);
    if (status == PYPROF_OK) {
        status = pyprof_replay_add_path(replay, user, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_replay_add(replay, into, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_replay_run(replay, err);
    }
    pyprof_replay_free(replay);
    return status;
}

/* That there is something to compare with is found before a target starts. */
static int check_baseline(const settings *s)
{
    pyprof_replay *replay = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status = pyprof_replay_new(NULL, &replay, &err);
    if (status == PYPROF_OK) {
        status = pyprof_replay_add_path(replay, s->baseline, &err);
    }
    pyprof_replay_free(replay);
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}

int output_plan(const settings *s, output *out)
{
    pyprof_format_opts opts = s->table;
    pyprof_error err = PYPROF_ERROR_INIT;
    int status = choose_format(s, &out->format);
    if (status == STATUS_DONE) {
        status = choose_place(s, out);
    }
    if (status == STATUS_DONE && s->baseline != NULL) {
        status = check_baseline(s);
    }
    if (status == STATUS_DONE && s->stats_json != NULL) {
        status = output_probe(s->stats_json, "--stats-json");
    }
    if (status != STATUS_DONE) {
        return status;
    }
    if (out->to_stdout && wants_colour(stdout)) {
        opts.flags |= PYPROF_FORMAT_COLOR;
    }
    opts.source = source_read;
    opts.source_user = &out->source;
    opts.baseline = replay_baseline;
    opts.baseline_user = (void *)s->baseline;
    pyprof_status made = pyprof_collector_new_format(out->format.name, &opts,
                                                     &out->collector, &err);
    return made == PYPROF_OK ? STATUS_DONE : fail_error(made, &err);
}

/* FORMAT_PID.EXT in the folder, or the file that was given. */
static int name_file(output *out, int64_t pid)
{
    int size;
    if (out->folder == NULL) {
        size_t ends = strlen(out->file);
        if ((out->format.caps & PYPROF_COLLECTOR_FOLDER) != 0 && ends > 5 &&
            strcmp(out->file + ends - 5, ".html") == 0) {
            ends -= 5; /* as Python's own profiling.sampling does */
        }
        size = snprintf(out->path, sizeof(out->path), "%.*s", (int)ends,
                        out->file);
    } else {
        bool here = strcmp(out->folder, ".") == 0;
        bool ends = out->folder[strlen(out->folder) - 1] == '/';
        size = snprintf(out->path, sizeof(out->path), "%s%s%s_%lld%s",
                        here ? "" : out->folder, here || ends ? "" : "/",
                        out->format.name, (long long)pid, out->format.suffix);
    }
    if (size < 0 || (size_t)size >= sizeof(out->path)) {
        return fail("the path of the output is too long");
    }
    return STATUS_DONE;
}

/* Where a file's name says that it is compressed. */
static int32_t compression_of(const char *path)
{
    static const struct {
        const char *suffix;
        int32_t compression;
    } known[] = {{".gz", PYPROF_COMPRESSION_GZIP},
                 {".zst", PYPROF_COMPRESSION_ZSTD}};
    size_t size = strlen(path);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].suffix);
        if (size > n && strcmp(path + size - n, known[i].suffix) == 0) {
            return known[i].compression;
        }
    }
    return PYPROF_COMPRESSION_NONE;
}

static pyprof_status open_writer(output *out, uint64_t flags, pyprof_error *err)
{
    pyprof_writer_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.sz = sizeof(opts);
    if (out->to_stdout) {
        (void)fflush(stdout);
        return pyprof_writer_open_fd(STDOUT_FILENO, &opts, &out->writer, err);
    }
    if ((out->format.caps & PYPROF_COLLECTOR_FOLDER) != 0) {
        return pyprof_writer_open_folder(out->path, &opts, &out->writer, err);
    }
    opts.flags = flags;
    opts.compression = compression_of(out->path);
    return pyprof_writer_open_path(out->path, &opts, &out->writer, err);
}

int output_begin(output *out, int64_t pid)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    if ((out->format.caps & PYPROF_COLLECTOR_STREAMS) == 0) {
        return STATUS_DONE;
    }
    if (!out->to_stdout && name_file(out, pid) != STATUS_DONE) {
        return STATUS_FAILED;
    }
    pyprof_status status = open_writer(out, PYPROF_WRITER_IN_PLACE, &err);
    if (status == PYPROF_OK) {
        out->is_streaming = true;
        status = pyprof_collector_stream(out->collector, out->writer, &err);
    }
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}

int output_write(output *out, int64_t pid)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status = PYPROF_OK;
    if (out->writer == NULL) {
        if (!out->to_stdout && name_file(out, pid) != STATUS_DONE) {
            return STATUS_FAILED;
        }
        status = open_writer(out, 0, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_collector_write(out->collector, out->writer, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_writer_finish(out->writer, &err);
    }
    out->is_finished = status == PYPROF_OK;
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}

void output_discard(output *out)
{
    struct stat info;
    if (out->is_streaming && !out->is_finished && !out->to_stdout &&
        stat(out->path, &info) == 0 && S_ISREG(info.st_mode)) {
        (void)unlink(out->path);
    }
}

void output_free(output *out)
{
    pyprof_collector_free(out->collector);
    out->collector = NULL;
    pyprof_writer_close(out->writer);
    out->writer = NULL;
    source_close(out->source);
    out->source = NULL;
}
