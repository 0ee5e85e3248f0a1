/*
 * api_writer: checks what a caller gives to a writer, then calls down.
 */
#include "base/base.h"
#include "writer/writer.h"

/* `may`: the flags that this kind of writer has. */
static pyprof_status read_opts(const pyprof_writer_opts *opts, uint64_t may,
                               pp_allocator *allocator,
                               pyprof_writer_opts *out_known, pyprof_error *err)
{
    PP_TRY(pp_opts_read(out_known, sizeof(*out_known), opts,
                        "pyprof_writer_opts", err));
    if ((out_known->flags & ~may) != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_writer_opts.flags: %#llx is not known to "
                            "this kind of writer",
                            (unsigned long long)(out_known->flags & ~may));
    }
    if (out_known->compression < PYPROF_COMPRESSION_NONE ||
        out_known->compression > PYPROF_COMPRESSION_ZSTD) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_writer_opts.compression: %d is not known "
                            "to this version of the library",
                            (int)out_known->compression);
    }
    return pp_alloc_init(allocator, out_known->allocator, err);
}

/* Hands out what was opened, compressing if that was asked for. */
static pyprof_status hand_out(pyprof_writer *w, const pyprof_writer_opts *opts,
                              const pp_allocator *allocator,
                              pyprof_writer **out_writer, pyprof_error *err)
{
    PP_TRY(pp_writer_pack(&w, opts->compression, allocator, err));
    *out_writer = w;
    return PYPROF_OK;
}

static pyprof_status is_null(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL", what);
}

/* What the functions that open something by its path begin with. `what` it is
 * the name of. */
static pyprof_status check_path(const char *path, const char *what,
                                pyprof_writer **out_writer, pyprof_error *err)
{
    if (path == NULL || out_writer == NULL) {
        return is_null(path == NULL ? "path" : "out_writer", err);
    }
    if (path[0] == '\0') {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "path is empty: give a %s name", what);
    }
    return PYPROF_OK;
}

pyprof_status pyprof_writer_open_path(const char *path,
                                      const pyprof_writer_opts *opts,
                                      pyprof_writer **out_writer,
                                      pyprof_error *err)
{
    PP_TRY(check_path(path, "file", out_writer, err));
    pp_allocator allocator;
    pyprof_writer_opts known;
    PP_TRY(read_opts(opts, PYPROF_WRITER_IN_PLACE, &allocator, &known, err));
    pyprof_writer *w = NULL;
    PP_TRY(pp_writer_open_path(path, known.flags, &allocator, &w, err));
    return hand_out(w, &known, &allocator, out_writer, err);
}

pyprof_status pyprof_writer_open_folder(const char *path,
                                        const pyprof_writer_opts *opts,
                                        pyprof_writer **out_writer,
                                        pyprof_error *err)
{
    PP_TRY(check_path(path, "folder", out_writer, err));
    pp_allocator allocator;
    pyprof_writer_opts known;
    PP_TRY(read_opts(opts, 0, &allocator, &known, err));
    if (known.compression != PYPROF_COMPRESSION_NONE) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "a folder can't be compressed");
    }
    return pp_writer_open_folder(path, &allocator, out_writer, err);
}

pyprof_status pyprof_writer_open_file(pyprof_writer *folder, const char *name,
                                      pyprof_writer **out_writer,
                                      pyprof_error *err)
{
    if (folder == NULL || name == NULL || out_writer == NULL) {
        return is_null(folder == NULL ? "folder"
                       : name == NULL ? "name"
                                      : "out_writer",
                       err);
    }
    return pp_writer_open_file(folder, name, out_writer, err);
}

pyprof_status pyprof_writer_open_fd(int32_t fd, const pyprof_writer_opts *opts,
                                    pyprof_writer **out_writer,
                                    pyprof_error *err)
{
    if (out_writer == NULL) {
        return is_null("out_writer", err);
    }
    if (fd < 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "fd is %d: give an open file descriptor", (int)fd);
    }
    pp_allocator allocator;
    pyprof_writer_opts known;
    PP_TRY(read_opts(opts, 0, &allocator, &known, err));
    pyprof_writer *w = NULL;
    PP_TRY(pp_writer_open_fd(fd, &allocator, &w, err));
    return hand_out(w, &known, &allocator, out_writer, err);
}

pyprof_status pyprof_writer_open_memory(const pyprof_writer_opts *opts,
                                        pyprof_writer **out_writer,
                                        pyprof_error *err)
{
    if (out_writer == NULL) {
        return is_null("out_writer", err);
    }
    pp_allocator allocator;
    pyprof_writer_opts known;
    PP_TRY(read_opts(opts, 0, &allocator, &known, err));
    pyprof_writer *w = NULL;
    PP_TRY(pp_writer_open_memory(&allocator, &w, err));
    return hand_out(w, &known, &allocator, out_writer, err);
}

pyprof_status pyprof_writer_open_callback(const pyprof_writer_ops *ops,
                                          void *user,
                                          const pyprof_writer_opts *opts,
                                          pyprof_writer **out_writer,
                                          pyprof_error *err)
{
    if (ops == NULL || out_writer == NULL) {
        return is_null(ops == NULL ? "ops" : "out_writer", err);
    }
    pyprof_writer_ops table;
    PP_TRY(pp_opts_read(&table, sizeof(table), ops, "pyprof_writer_ops", err));
    if (table.write == NULL) {
        return is_null("pyprof_writer_ops.write", err);
    }
    pp_allocator allocator;
    pyprof_writer_opts known;
    PP_TRY(read_opts(opts, 0, &allocator, &known, err));
    pyprof_writer *w = NULL;
    PP_TRY(pp_writer_open_callback(&table, user, &allocator, &w, err));
    return hand_out(w, &known, &allocator, out_writer, err);
}

pyprof_status pyprof_writer_write(pyprof_writer *writer, const void *data,
                                  size_t size, pyprof_error *err)
{
    if (writer == NULL || (data == NULL && size > 0)) {
        return is_null(writer == NULL ? "writer" : "data", err);
    }
    return pp_writer_write(writer, data, size, err);
}

pyprof_status pyprof_writer_flush(pyprof_writer *writer, pyprof_error *err)
{
    if (writer == NULL) {
        return is_null("writer", err);
    }
    return pp_writer_flush(writer, err);
}

pyprof_status pyprof_writer_finish(pyprof_writer *writer, pyprof_error *err)
{
    if (writer == NULL) {
        return is_null("writer", err);
    }
    return pp_writer_finish(writer, err);
}

pyprof_text pyprof_writer_memory(const pyprof_writer *writer)
{
    if (writer == NULL) {
        return (pyprof_text){.data = "", .size = 0};
    }
    return pp_writer_memory(writer);
}

void pyprof_writer_close(pyprof_writer *writer)
{
    pp_writer_close(writer);
}
