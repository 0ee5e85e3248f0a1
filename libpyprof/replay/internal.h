/*
 * What the files of replay/ share. No other folder includes this.
 *
 *   file -> pp_feed (bytes in order, decompressed) -> pp_source (rounds)
 *        -> run.c (merged, picked) -> collectors
 *
 * All bytes are untrusted.
 */
#ifndef PP_REPLAY_INTERNAL_H
#define PP_REPLAY_INTERNAL_H

#include "collector/collector.h"
#include "replay/replay.h"
#include "sample/sample.h"

/* ---- feed.c -------------------------------------------------------------
 */

/* A file, or bytes of the caller. */
typedef struct pp_input {
    int fd; /* -1: bytes */
    const uint8_t *data;
    uint64_t size;
    uint64_t n_read;
} pp_input;

/* Opens a regular file. Returns 0 or an errno. */
int pp_input_open(pp_input *in, const char *path);
void pp_input_close(pp_input *in);
/* Reads up to `size` bytes at a place; less only at the end. -1: see errno. */
int64_t pp_input_read(pp_input *in, uint64_t at, void *to, size_t size);

/* The bytes of a part of a file in order, decompressed where asked for. */
typedef struct pp_feed {
    const pp_allocator *allocator;
    pp_input *input;
    uint64_t at, end; /* what was not read yet */
    void *packed;     /* a ZSTD_DCtx; NULL: not compressed */
    bool in_frame;    /* the frame of zstd goes on */
    uint8_t *in;      /* read, not decompressed */
    size_t in_at, in_size;
    uint8_t *out; /* for whoever takes it */
    size_t out_at, out_size;
    int os_errno;        /* reading failed */
    const char *refused; /* by zstd; static */
} pp_feed;

/* PYPROF_ERR_NO_MEMORY leaves a feed that can be closed. */
pyprof_status pp_feed_open(pp_feed *feed, const pp_allocator *a,
                           pp_input *input, uint64_t at, uint64_t end,
                           bool is_packed, pyprof_error *err);
void pp_feed_close(pp_feed *feed);
/* At least `size` <= 64 bytes at feed->out + feed->out_at, if there are so many
 * left. */
bool pp_feed_need(pp_feed *feed, size_t size);
/* Each false, with nothing taken, when the bytes end or are none. */
bool pp_feed_varint(pp_feed *feed, uint64_t *out);
bool pp_feed_fixed(pp_feed *feed, unsigned size, bool is_swapped,
                   uint64_t *out);
/* Takes `size` bytes into `to`; false when there are less. */
bool pp_feed_take(pp_feed *feed, void *to, size_t size);
/* Whether all was taken, and a compressed part ended as it should. */
bool pp_feed_is_over(pp_feed *feed);
/* About where in the file it is. */
uint64_t pp_feed_where(const pp_feed *feed);

/* ---- a file as rounds ---------------------------------------------------
 */

typedef struct pp_source pp_source;

typedef struct pp_source_ops {
    const char *format; /* name of the format that writes it */
    /* Reads the head: fills session, is_packed, is_swapped. */
    pyprof_status (*open)(pp_source *source, pyprof_error *err);
    /* The next round, or has_round = false at the end. */
    pyprof_status (*next)(pp_source *source, pyprof_error *err);
    void (*close)(pp_source *source);
} pp_source_ops;

/* Numbers of the tables, by numbers of the file. */
typedef struct pp_numbers {
    uint32_t *of;
    size_t n, cap;
} pp_numbers;

struct pp_source {
    const pp_source_ops *ops;
    pyprof_replay *replay;
    const pp_allocator *allocator;
    pyprof_tables *tables;
    char *name;
    pp_input input;
    pp_feed feed;
    void *state; /* of ops */
    pyprof_session session;
    bool is_packed, is_swapped;
    bool has_summary;
    pyprof_summary summary;
    /* the round at hand */
    bool has_round;
    int64_t time_ns; /* from this file's start */
    uint64_t count;
    pyprof_stack_sample *stacks;
    size_t n_stacks, cap_stacks;
    /* the driver's */
    int64_t shift_ns; /* start of this file after the first one's */
    bool is_damaged;
    pyprof_error damage;
};

/* "NAME: byte N: ..."; PYPROF_ERR_CORRUPT, or PYPROF_ERR_IO when it is reading
 * that failed. */
pyprof_status pp_source_corrupt(const pp_source *source, pyprof_error *err,
                                const char *format, ...) PP_PRINTF(3, 4);
/* PYPROF_ERR_NO_MEMORY. */
pyprof_status pp_source_memory(pyprof_error *err);
/* Adds a number; false when out of memory. */
bool pp_numbers_add(const pp_source *source, pp_numbers *numbers,
                    uint32_t number);
/* The thread number of a file's thread: that of another file's where it is the
 * same thread. 0: out of memory, or too many. */
uint32_t pp_replay_thread(pyprof_replay *r, const pyprof_thread *thread);

extern const pp_source_ops pp_source_pyprof; /* pyprof.c */
extern const pp_source_ops pp_source_binary; /* binary.c */

#endif /* PP_REPLAY_INTERNAL_H */
