/*
 * writer: bytes to somewhere. Implements the public pyprof_writer functions
 * (their checks are in api/); compression is a writer around a writer.
 */
#ifndef PP_WRITER_H
#define PP_WRITER_H

#include <pyprof/writer.h>

#include "base/base.h"

/* The same contracts as the public functions, without argument checks. */
pyprof_status pp_writer_open_path(const char *path, uint64_t flags,
                                  const pp_allocator *a, pyprof_writer **out,
                                  pyprof_error *err);
pyprof_status pp_writer_open_folder(const char *path, const pp_allocator *a,
                                    pyprof_writer **out, pyprof_error *err);
pyprof_status pp_writer_open_file(pyprof_writer *folder, const char *name,
                                  pyprof_writer **out, pyprof_error *err);
pyprof_status pp_writer_open_fd(int fd, const pp_allocator *a,
                                pyprof_writer **out, pyprof_error *err);
pyprof_status pp_writer_open_memory(const pp_allocator *a, pyprof_writer **out,
                                    pyprof_error *err);
pyprof_status pp_writer_open_callback(const pyprof_writer_ops *ops, void *user,
                                      const pp_allocator *a,
                                      pyprof_writer **out, pyprof_error *err);
pyprof_status pp_writer_write(pyprof_writer *w, const void *data, size_t size,
                              pyprof_error *err);
pyprof_status pp_writer_flush(pyprof_writer *w, pyprof_error *err);
pyprof_status pp_writer_finish(pyprof_writer *w, pyprof_error *err);
pyprof_text pp_writer_memory(const pyprof_writer *w);
void pp_writer_close(pyprof_writer *w);

/* Compresses into `inner`, as one frame of zstd of a level from 1 to 19, which
 * pp_writer_finish ends. With `owns_inner` that finishes `inner` as well, and
 * closing closes it; when this fails, `inner` stays the caller's. */
pyprof_status pp_writer_open_zstd(pyprof_writer *inner, bool owns_inner,
                                  int level, const pp_allocator *a,
                                  pyprof_writer **out, pyprof_error *err);

/* The same, as a gzip file. */
pyprof_status pp_writer_open_gzip(pyprof_writer *inner, bool owns_inner,
                                  const pp_allocator *a, pyprof_writer **out,
                                  pyprof_error *err);
/* Puts the compression that opts ask for around *w, which it then owns. When
 * this fails, *w is closed and NULL. */
pyprof_status pp_writer_pack(pyprof_writer **w, int32_t compression,
                             const pp_allocator *a, pyprof_error *err);

/* printf into a writer; a line may be of any length. The same in every locale:
 * numbers have a decimal point and no groups. Knows %% %c %s %d %i %u %x %f
 * with the flags "-0+ ", a width, a precision for %s and %f, and the usual
 * lengths; anything else is PYPROF_ERR_INTERNAL. */
pyprof_status pp_writer_printf(pyprof_writer *w, pyprof_error *err,
                               const char *format, ...) PP_PRINTF(3, 4);

#endif /* PP_WRITER_H */
