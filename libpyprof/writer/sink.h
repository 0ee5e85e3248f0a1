/*
 * The inside of a writer, shared by writer.c and the sinks.
 */
#ifndef PP_WRITER_SINK_H
#define PP_WRITER_SINK_H

#include "writer/writer.h"

/* What a kind of writer does. Errors are given in full each time; writer.c
 * keeps the first and does not call again. */
typedef struct pp_sink {
    size_t buffer;  /* bytes gathered before `write` is called; 0: none */
    bool is_packed; /* around another writer: as.packed */
    /* All bytes or an error. MUST be set. */
    pyprof_status (*write)(pyprof_writer *w, const void *data, size_t size,
                           pyprof_error *err);
    /* What was written so far gets to where it is seen. MAY be NULL. */
    pyprof_status (*flush)(pyprof_writer *w, pyprof_error *err);
    /* After the last write. MAY be NULL. */
    pyprof_status (*finish)(pyprof_writer *w, pyprof_error *err);
    /* Gives back all that the sink holds, finished or not. MAY be NULL. */
    void (*close)(pyprof_writer *w);
} pp_sink;

struct pyprof_writer {
    const pp_sink *sink;
    pp_allocator allocator;
    char *buffer;
    size_t used; /* bytes in buffer */
    bool is_finished;
    pyprof_error failure; /* the first; status 0: none yet */
    union {
        struct {
            int fd;
        } fd;
        struct {
            int fd;
            int folder;    /* open folder of a file that is renamed, or -1 */
            char *path;    /* for messages */
            char *name;    /* final name in `folder` */
            char temp[32]; /* name until then; "": nothing to remove */
        } path;
        struct {
            int fd;
            char *path;
            char *names; /* of the files made in it, each with its NUL */
            size_t n_names, size, cap;
            bool is_made; /* by this writer */
        } folder;
        struct {
            char *data; /* NULL: empty */
            size_t size, cap;
        } memory;
        struct {
            pyprof_writer_ops ops;
            void *user;
        } callback;
        struct {
            pyprof_writer *inner;
            void *state; /* of the compression */
            char *out;   /* room for what it makes; PP_WRITER_BUFFER bytes */
            bool owns_inner;
        } packed;
    } as;
};

#define PP_WRITER_BUFFER ((size_t)65536)

/* A writer with nothing but its sink; NULL when out of memory. */
pyprof_writer *pp_writer_make(const pp_sink *sink, const pp_allocator *a);

/* A writer to a file of an open folder, which it gives back itself; `path` is
 * for messages. The name is the caller's to check. On failure the folder stays
 * the caller's. */
pyprof_status pp_writer_open_at(int folder, const char *name, const char *path,
                                const pp_allocator *a, pyprof_writer **out,
                                pyprof_error *err);

/* Writes all to a file descriptor, through short writes, interruptions and
 * full pipes, without a SIGPIPE. Returns 0 or an errno. */
int pp_writer_fd_write(int fd, const void *data, size_t size);

#endif /* PP_WRITER_SINK_H */
