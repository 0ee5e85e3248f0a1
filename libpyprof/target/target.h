/*
 * target: which process, which binary in it, where the runtime is, which
 * version and build. Gives an address and a version; knows nothing of frames.
 */
#ifndef PP_TARGET_H
#define PP_TARGET_H

#include <pyprof/target.h>

#include "base/base.h"
#include "os/os.h"
#include "reader/reader.h"

/* How the runtime was found (for `check` and the log). */
typedef enum pp_found_by {
    PP_FOUND_NOT = 0,
    PP_FOUND_DYNSYM,  /* dynamic symbols in the target's own memory */
    PP_FOUND_SECTION, /* .PyRuntime section of the file */
    PP_FOUND_SYMTAB,  /* symbol table of the file */
    PP_FOUND_COOKIE,  /* the debug cookie of 3.13+ */
    PP_FOUND_POINTERS /* structures that point at each other */
} pp_found_by;

/* Flags of pp_runtime.build. */
enum {
    PP_BUILD_FREE_THREADED = 1,
    PP_BUILD_DEBUG = 2 /* Py_DEBUG, where it can be told */
};

/* Where the interpreter of a process is, and what it is. */
typedef struct pp_runtime {
    uint64_t address;     /* of _PyRuntime */
    uint32_t hex_version; /* as Py_Version: 0x030d00f0 */
    uint32_t build;       /* PP_BUILD_ bits */
    uint64_t async_debug; /* of _AsyncioDebug, 0 when there is none (yet) */
    /* Where, from what a thread's identity points at, the system notes on which
     * CPU the thread executes (cpu_id of struct rseq); 0: not known. */
    int64_t cpu_word;
    uint64_t image_base; /* where the start of the file that has it is */
    pp_found_by found_by;
    char path[256]; /* that file as the target names it, cut if long */
} pp_runtime;

/* What pp_target_find needs to know of a layout to recognise one (given by the
 * caller, who knows layout; target must not). For each version a row. */
typedef struct pp_runtime_shape {
    uint16_t version;             /* 0x030d */
    uint16_t free_threaded;       /* 0 or 1 */
    uint32_t runtime_size;        /* at least this much is mapped */
    uint32_t interpreters_head;   /* in the runtime */
    uint32_t interp_threads_head; /* in an interpreter */
    uint32_t tstate_interp;       /* in a thread state */
    uint32_t tstate_next;
    uint32_t interp_next; /* in an interpreter */
} pp_runtime_shape;

/* Finds the runtime: the ladder of in-memory dynamic symbols, sections and
 * symbol tables of the mapped files, cookie scan, pointer scan. Never decides
 * by a file's name, never runs the target's binary. Where there are several
 * runtimes, the one that is initialised.
 * PYPROF_ERR_NOT_PYTHON all was searched (the message says what);
 * PYPROF_ERR_NOT_READY there is a runtime, but it is not (or no longer)
 * initialised: then `*out` is filled, too, and looking at it again is cheap;
 * PYPROF_ERR_NO_PERMISSION with cause and remedy; PYPROF_ERR_GONE;
 * PYPROF_ERR_UNSUPPORTED_TARGET a Python whose version has no shape (the
 * message names the version). `process` may be NULL for a recorded image:
 * then what pp_reader_image_info tells is taken. Safe to call at any moment
 * of a process's life; about 0.1 ms while it is small and not Python. */
pyprof_status pp_target_find(pp_os_process *process, pp_reader *reader,
                             const pp_runtime_shape *shapes, size_t n_shapes,
                             const pp_allocator *allocator, const pp_log *log,
                             pp_runtime *out, pyprof_error *err);
/* Looks for _AsyncioDebug (3.14+), which may be mapped late. 0: not there. */
uint64_t pp_target_find_async(pp_os_process *process, pp_reader *reader,
                              const pp_allocator *allocator);

/* ---- image_elf.c: a pure byte parser, fuzzed on its own --------------- */

/* A place to read an ELF file's bytes from: memory of a target or a file. */
typedef struct pp_elf_source {
    /* Reads exactly `size` bytes at `offset` (a file offset, or an address
     * for an image in memory); false when it can't. */
    bool (*read)(void *user, uint64_t offset, void *to, size_t size);
    void *user;
} pp_elf_source;

typedef struct pp_elf_symbol {
    uint64_t value; /* not yet relocated */
    uint64_t size;
} pp_elf_symbol;

/* An image in memory; addresses are those in memory, 0 for none. */
typedef struct pp_elf_image {
    uint64_t base;      /* where the start of the file is mapped */
    uint64_t bias;      /* added to the addresses in the file */
    uint64_t low, high; /* what its segments span */
    /* Largest writable segment: [data_start, bss_start) comes from the file,
     * [bss_start, data_end) starts as zeros. */
    uint64_t data_start, bss_start, data_end;
    uint64_t dynamic, dynamic_size;
    uint64_t symbols, names, names_size, gnu_hash, hash;
    bool has_bias;
} pp_elf_image;

/* Looks a defined symbol up in the dynamic symbols of an image in memory, in
 * steps, so that a caller can fetch bytes for many images at once: header and
 * program headers (mostly in the first page of what is mapped at `base`);
 * dynamic section; one symbol, by DT_GNU_HASH, else DT_HASH. False when the
 * image is not believable; for the last, also when there is no such symbol. A
 * symbol is at its value + image->bias. Names are shorter than 128 bytes. */
bool pp_elf_memory_header(const pp_elf_source *memory, uint64_t base,
                          pp_elf_image *out);
bool pp_elf_memory_tables(const pp_elf_source *memory, pp_elf_image *image);
bool pp_elf_memory_find(const pp_elf_source *memory, const pp_elf_image *image,
                        const char *name, pp_elf_symbol *out);

/* Looks a symbol up in .symtab (then .dynsym) of a file. */
bool pp_elf_file_symbol(const pp_elf_source *file, uint64_t file_size,
                        const char *name, pp_elf_symbol *out);
/* Address (not relocated) and size of a section of a file, by name. */
bool pp_elf_file_section(const pp_elf_source *file, uint64_t file_size,
                         const char *name, pp_elf_symbol *out);

/* ---- handle.c: what the public pyprof_target is ----------------------- */

/* Visible to the sampler, which reads through it; only handle.c and check.c
 * change it. One thread's at a time, except `interrupt`. */
struct pyprof_target {
    pp_allocator allocator;
    pp_log log;
    pp_os_process *process;
    pp_reader *reader;
    pp_runtime runtime;  /* meaningful with has_runtime */
    bool has_runtime;    /* and it had a thread when it was looked at */
    bool child;          /* started by pp_target_spawn */
    bool self;           /* the calling process */
    bool self_described; /* its runtime begins with a description */
    uint64_t image_id;   /* of the program that `runtime` belongs to */
    pp_os_event *interrupt;
    pp_runtime_shape *shapes; /* own copy, for looking again after an exec */
    size_t n_shapes;
};

/* What a new handle is made with; all is copied. */
typedef struct pp_target_config {
    const pp_allocator *allocator; /* NULL: the C library's */
    pp_log log;
    const pp_runtime_shape *shapes; /* the versions that are known */
    size_t n_shapes;
} pp_target_config;

/* The public functions of the same names, without argument checks: their docs
 * are in pyprof/target.h. */
pyprof_status pp_target_open(int64_t pid, const pp_target_config *config,
                             pyprof_target **out, pyprof_error *err);
pyprof_status pp_target_spawn(const pp_os_command *command,
                              const pp_target_config *config,
                              pyprof_target **out, pyprof_error *err);
pyprof_status pp_target_ready(pyprof_target *target, uint64_t timeout_ns,
                              pyprof_error *err);
void pp_target_interrupt(pyprof_target *target);
void pp_target_describe(const pyprof_target *target, pyprof_target_info *out);
bool pp_target_alive(const pyprof_target *target);
pyprof_status pp_target_wait(pyprof_target *target, uint64_t timeout_ns,
                             int32_t *out_status, pyprof_error *err);
pyprof_status pp_target_end(pyprof_target *target, uint64_t grace_ns,
                            pyprof_error *err);
void pp_target_close(pyprof_target *target);

/* How a runtime was found, in one or two words. Static text. */
const char *pp_target_found_text(pp_found_by found_by);

/* Interpreters and thread states of a runtime, by its shape; each list is cut
 * after PP_TARGET_MAX_LIST elements, so one that loops ends too. */
typedef struct pp_target_census {
    uint32_t interpreters;
    uint32_t threads;
    bool cut; /* there may be more */
} pp_target_census;
enum { PP_TARGET_MAX_LIST = 100000 };
/* Counts them (`all`), or stops at the first thread (a cheap "is it ready").
 * Lists of a running process change while they are read: a link that leads
 * nowhere ends its list. PYPROF_ERR_FAULT the runtime itself can't be read. */
pyprof_status pp_target_count(pp_reader *reader, const pp_runtime *runtime,
                              const pp_runtime_shape *shape, bool all,
                              pp_target_census *out);
/* The shape of a runtime's version and build, or NULL. */
const pp_runtime_shape *pp_target_shape(const pp_runtime_shape *shapes,
                                        size_t n_shapes,
                                        const pp_runtime *runtime);

/* ---- check.c: each step of getting at a process, told one by one ------ */

/* What the steps need of those who know layouts (target must not). */
typedef struct pp_target_checker {
    pp_target_config config;
    /* Judges the structures of a runtime; `detail` (of `size` bytes) gets what
     * was found, in words. */
    pyprof_status (*believe)(pp_reader *reader, const pp_runtime *runtime,
                             char *detail, size_t size, pyprof_error *err);
    void (*step)(void *user, const pyprof_check_step *step); /* may be NULL */
    void *user;
} pp_target_checker;
/* pyprof_target_check, without argument checks. */
pyprof_status pp_target_check(int64_t pid, const pp_target_checker *checker,
                              pyprof_error *err);

#endif /* PP_TARGET_H */
