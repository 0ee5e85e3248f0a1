/*
 * collector: samples in, bytes out. One file (or folder) a format, one row a
 * format in formats.def. Never sees an address, a pid or a version.
 */
#ifndef PP_COLLECTOR_H
#define PP_COLLECTOR_H

#include <pyprof/collector.h>

#include "base/base.h"
#include "sample/sample.h"
#include "writer/writer.h"

/* The public functions, without argument checks; opts and ops are of this
 * version's size. PYPROF_ERR_NO_FORMAT names the formats that there are. */
pyprof_status pp_collector_new_format(const char *format,
                                      const pyprof_format_opts *opts,
                                      pyprof_collector **out,
                                      pyprof_error *err);
pyprof_status pp_collector_new(const pyprof_collector_ops *ops, void *self,
                               const pp_allocator *allocator,
                               pyprof_collector **out, pyprof_error *err);
pyprof_status pp_collector_stream(pyprof_collector *c, pyprof_writer *w,
                                  pyprof_error *err);
pyprof_status pp_collector_write(pyprof_collector *c, pyprof_writer *w,
                                 pyprof_error *err);
const char *pp_collector_name(const pyprof_collector *c);
void pp_collector_free(pyprof_collector *c);
pyprof_status pp_collector_format(uint32_t index, pyprof_format_info *out);

/* For drivers (sampler, replay, tracer; session->writer is not theirs to set):
 * begin once, feed, end once. State is
 * checked: a collector serves one driver at a time, anything else is
 * PYPROF_ERR_BUSY. It may begin again once a run has ended, written or not. The
 * collector keeps a reference to the tables (pp_tables_ref) until it is freed
 * or begins again, so that it can be written after the driver has closed.
 * A begin that fails began nothing; a sample that fails leaves the run open, to
 * be ended (and then written) all the same. */
pyprof_status pp_collector_begin(pyprof_collector *c,
                                 const pyprof_session *session,
                                 pyprof_tables *tables, pyprof_error *err);
pyprof_status pp_collector_sample(pyprof_collector *c,
                                  const pyprof_sample *sample,
                                  pyprof_error *err);
/* Instead of samples, once in a run, where the collector takes calls. */
bool pp_collector_takes_calls(const pyprof_collector *c);
pyprof_status pp_collector_calls(pyprof_collector *c, const pyprof_calls *calls,
                                 pyprof_error *err);
/* Keeps the summary for the writing that follows. */
pyprof_status pp_collector_end(pyprof_collector *c,
                               const pyprof_summary *summary,
                               pyprof_error *err);

/* ---- saved profiles: between those who write them and replay/ ----------- */

/* docs/PROFILE_FORMAT.md describes both files. Integers are little-endian;
 * "varint" is LEB128, "zigzag" one of a signed number. */

/* "pyprof": a head of PP_SAVED_HEAD bytes, then chunks (in one frame of zstd
 * where the head says so): varint size, CRC-32 of the payload (4 bytes),
 * payload. A payload is sections: tag, varint size, bytes. */
#define PP_SAVED_MAGIC "\x89PYPF\r\n\x1a"
enum {
    PP_SAVED_HEAD = 16, /* magic (8), version, compression, zeros */
    PP_SAVED_VERSION = 2,
    /* Larger ones are not believed; a writer stays far below. */
    PP_SAVED_CHUNK_MAX = 1 << 26,
    PP_SAVED_NONE = 0,
    PP_SAVED_ZSTD = 1
};

/* Sections. Those of one chunk are meant in this order, whatever theirs is; a
 * reader skips tags that it does not know. */
enum {
    PP_SECTION_SESSION = 1, /* varints of pyprof_session, see saved.c */
    PP_SECTION_DEFINE = 2,  /* PP_DEFINE_ records */
    PP_SECTION_ROUNDS = 3,  /* PP_ROUND_ records */
    PP_SECTION_TIMES = 4,   /* a zigzag for each round: microseconds that it is
                               later than one interval after the one before */
    PP_SECTION_SUMMARY = 5, /* varints of pyprof_summary: the end */
    PP_SECTIONS = 6
};

/* Each kind is numbered by itself, from 1, in the order of the file, which is
 * that of the tables (threads have their numbers written). A text is
 * a varint: 0 and then size and bytes of a new one, or the number of one. */
enum {
    PP_DEFINE_FUNCTION = 1, /* texts qualname, name, file; zigzag first_line;
                               varint kind */
    PP_DEFINE_FRAME = 2,    /* varint function; zigzags line, end_line - line,
                               column, end_column - column, opcode */
    PP_DEFINE_STACKS = 3,   /* varints parent, n, then n frames: a chain */
    PP_DEFINE_THREAD = 4    /* varint number (known: it is changed), zigzag pid,
                               varints interpreter, native_id, os_id, python_id,
                               is_main, size and bytes of its name */
};

/* The rounds are told as differences from the one before. An entry of a round
 * is one pyprof_stack_sample; its state is varint flags << 2 | state. */
enum {
    PP_ROUND_REPEAT = 0,  /* varint n: n more like the last one */
    PP_ROUND_COUNT = 1,   /* varint: what follows stands for so many rounds */
    PP_ROUND_FULL = 2,    /* varint n, n times: thread, stack, state */
    PP_ROUND_CHANGES = 3, /* varint n, n times a change */
    PP_ROUND_CHANGE = 4   /* 4 + gap << 2 | bits: one change */
};

/* A change: varint gap << 2 | bits, then a stack and a state as the bits say;
 * `gap` entries after the one that was changed last stay as they are. */
enum { PP_CHANGE_STACK = 1, PP_CHANGE_STATE = 2 };

/* "binary": what Python 3.15's profiling.sampling calls a binary profile. */
#define PP_BINARY_MAGIC UINT32_C(0x54414348)
enum {
    PP_BINARY_HEAD = 64,
    PP_BINARY_FOOTER = 32,
    PP_BINARY_TRAILER = 56, /* before the footer; may be missing */
    PP_BINARY_VERSION = 1,
    PP_BINARY_DEPTH = 256, /* deepest stack that it can have */
    PP_BINARY_REPEAT = 0,
    PP_BINARY_FULL = 1,
    PP_BINARY_SUFFIX = 2,
    PP_BINARY_POP_PUSH = 3
};

#endif /* PP_COLLECTOR_H */
