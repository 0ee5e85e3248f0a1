/**
 * @file pyprof/sample.h
 * @brief Borrowed views of what was seen: frames, stacks, threads, a sample.
 *
 * Names and stacks are interned: each distinct function, frame and stack has a
 * number, small, dense, starting at 1 (0 is "none") and never reused while the
 * profile lasts. So a collector counts by number and asks for text once, at
 * its end. A stack is its innermost frame and the number of the stack that
 * called it; the stacks of a program make one tree.
 */
#ifndef PYPROF_SAMPLE_H
#define PYPROF_SAMPLE_H

#include <pyprof/status.h>

PYPROF_BEGIN_DECLS

/** The interned names, frames, stacks and threads of one profile. */
typedef struct pyprof_tables pyprof_tables;

/** What a frame is. */
enum {
    PYPROF_FRAME_PYTHON = 0,    /**< a Python function, module or class body */
    PYPROF_FRAME_GC = 1,        /**< `<GC>`: the garbage collector runs */
    PYPROF_FRAME_NATIVE = 2,    /**< `<native>`: code that is not Python */
    PYPROF_FRAME_TASK = 3,      /**< `<task>`: start of an asyncio task */
    PYPROF_FRAME_TRUNCATED = 4, /**< `<truncated>`: deeper frames cut here */
    PYPROF_FRAME_TORN = 5,      /**< `<torn>`: what was called is not known */
    PYPROF_FRAME_UNKNOWN = 6    /**< `<unknown>`: a name that was unreadable */
};

/** No line, column or opcode is known. */
#define PYPROF_UNKNOWN (-1)

/**
 * @brief One place in a program.
 *
 * Lines count from 1, columns are UTF-8 byte offsets from 0, and
 * ::PYPROF_UNKNOWN stands for "not known". Text is valid as long as the tables.
 */
typedef struct pyprof_frame {
    size_t sz;            /**< sizeof(pyprof_frame), set by the caller */
    pyprof_text function; /**< qualified name (plain before 3.11) */
    pyprof_text name;     /**< plain name (co_name) */
    pyprof_text file;     /**< co_filename; "~" for a synthetic frame */
    uint32_t function_id; /**< equal for all lines of a function */
    int32_t kind;         /**< one of PYPROF_FRAME_ */
    int32_t first_line;   /**< line of the definition */
    int32_t line;         /**< the line being executed */
    int32_t end_line;     /**< last line of the expression being executed */
    int32_t column;       /**< its first column */
    int32_t end_column;   /**< the column after its last one */
    int32_t opcode;       /**< the instruction, where it was asked for */
} pyprof_frame;

/** One thread of the target, as long as it lasted. */
typedef struct pyprof_thread {
    size_t sz;            /**< sizeof(pyprof_thread), set by the caller */
    uint64_t interpreter; /**< id of its interpreter; 0 is the main one */
    /** thread id in the target's pid namespace; 0: not known */
    uint64_t native_id;
    uint64_t os_id;     /**< thread id here; 0: not known */
    uint64_t python_id; /**< threading.get_ident() */
    int64_t pid;        /**< process that it belongs to */
    int32_t is_main;    /**< 1: the main thread of its interpreter */
    int32_t reserved;   /**< 0 */
    pyprof_text name;   /**< threading's name, else the system's, else "" */
} pyprof_thread;

/** How a stack was read. */
enum {
    PYPROF_STACK_WHOLE = 0, /**< it is what the thread had at one moment */
    PYPROF_STACK_TORN = 1,  /**< only its root part is sure; `<torn>` ends it */
    PYPROF_STACK_UNREADABLE = 2 /**< nothing is sure; the stack is 0 */
};

/** What is known of a thread at the moment of a sample (bits). */
enum {
    PYPROF_THREAD_HAS_GIL = 1, /**< holds the GIL (free-threaded: attached) */
    PYPROF_THREAD_ON_CPU = 2,  /**< runs on a CPU */
    /** whether it runs was not asked, or not answered */
    PYPROF_THREAD_CPU_UNKNOWN = 4,
    PYPROF_THREAD_GIL_REQUESTED = 8,  /**< waits for the GIL */
    PYPROF_THREAD_HAS_EXCEPTION = 16, /**< raises or handles an exception */
    PYPROF_THREAD_MAIN = 32,          /**< main thread of its interpreter */
    PYPROF_THREAD_GIL_UNKNOWN = 64, /**< who holds the GIL could not be read */
    PYPROF_THREAD_IN_GC = 128       /**< its stack contains `<GC>` */
};

/**
 * @brief One thread in one sample.
 *
 * Elements of an array of the library: the size is part of the ABI.
 */
typedef struct pyprof_stack_sample {
    uint32_t thread;   /**< thread number; see ::pyprof_tables_thread */
    uint32_t stack;    /**< stack number; 0: no Python frame */
    uint32_t depth;    /**< number of frames of the stack */
    int32_t state;     /**< one of PYPROF_STACK_ */
    uint64_t flags;    /**< PYPROF_THREAD_ bits */
    uint64_t reserved; /**< 0 */
} pyprof_stack_sample;

/**
 * @brief One round over the threads that were asked for.
 *
 * Valid *for this callback*, with all that it points to, except the tables.
 */
typedef struct pyprof_sample {
    size_t sz;        /**< sizeof(pyprof_sample) */
    uint64_t time_ns; /**< monotonic clock, nanoseconds */
    uint64_t count;   /**< rounds that it stands for, at least 1 */
    const pyprof_stack_sample *stacks; /**< one for each thread */
    uint64_t n_stacks;                 /**< how many; may be 0 */
    const pyprof_tables *tables;       /**< names behind the numbers */
} pyprof_sample;

/**
 * @brief The place that a frame number stands for.
 *
 * May be called from the collector's functions only, or after the run.
 *
 * @param tables    the tables that the number came with
 * @param frame     a frame number
 * @param out_frame filled up to its `sz`; text is valid as long as the tables
 * @retval PYPROF_ERR_INVALID no such frame, an argument is NULL, or
 *                            `out_frame->sz` is not set
 */
PYPROF_API pyprof_status pyprof_tables_frame(const pyprof_tables *tables,
                                             uint32_t frame,
                                             pyprof_frame *out_frame);

/**
 * @brief Innermost frame and caller of a stack.
 *
 * @param tables     the tables that the number came with
 * @param stack      a stack number
 * @param out_parent number of the calling stack, 0 at the root; may be NULL
 * @param out_frame  number of the innermost frame; may be NULL
 * @retval PYPROF_ERR_INVALID no such stack
 */
PYPROF_API pyprof_status pyprof_tables_stack(const pyprof_tables *tables,
                                             uint32_t stack,
                                             uint32_t *out_parent,
                                             uint32_t *out_frame);

/**
 * @brief What is known of a thread number.
 *
 * @param tables     the tables that the number came with
 * @param thread     a thread number
 * @param out_thread filled up to its `sz`; text is valid until the next sample
 * @retval PYPROF_ERR_INVALID no such thread
 */
PYPROF_API pyprof_status pyprof_tables_thread(const pyprof_tables *tables,
                                              uint32_t thread,
                                              pyprof_thread *out_thread);

/** @brief Highest frame number given so far. */
PYPROF_API uint32_t pyprof_tables_frames(const pyprof_tables *tables);

/** @brief Highest stack number given so far. */
PYPROF_API uint32_t pyprof_tables_stacks(const pyprof_tables *tables);

/** @brief Highest thread number given so far. */
PYPROF_API uint32_t pyprof_tables_threads(const pyprof_tables *tables);

PYPROF_END_DECLS

#endif /* PYPROF_SAMPLE_H */
