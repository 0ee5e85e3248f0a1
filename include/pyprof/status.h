/**
 * @file pyprof/status.h
 * @brief What a call answers, and the error that says what to do about it.
 *
 * Every function that can fail returns a ::pyprof_status: 0 is success, a
 * negative value is one of the errors below. Values are in decades by domain
 * and never change their meaning.
 */
#ifndef PYPROF_STATUS_H
#define PYPROF_STATUS_H

#include <pyprof/common.h>

/**
 * @brief The one list of statuses: name, value, short name, text, and the
 *        Python exception that stands for it.
 *
 * The enumeration, ::pyprof_status_name, ::pyprof_status_text, the manual and
 * the bindings are all made from it.
 */
#define PYPROF_STATUS_MAP(X)                                                  \
    X(OK, 0, "ok", "success", "None")                                         \
    X(ERR_INVALID, -1, "invalid", "an argument is wrong", "ValueError")       \
    X(ERR_NO_MEMORY, -2, "no-memory", "out of memory", "MemoryError")         \
    X(ERR_INTERNAL, -3, "internal", "the library broke a rule of its own",    \
      "InternalError")                                                        \
    X(ERR_UNSUPPORTED, -4, "unsupported",                                     \
      "this library does not know the option that is set",                    \
      "UnsupportedOption")                                                    \
    X(ERR_BUSY, -5, "busy", "the handle is in use, or in another state",      \
      "BusyError")                                                            \
    X(ERR_LIMIT, -6, "limit", "a cap that was set is reached", "LimitError")  \
    X(ERR_NO_PROCESS, -10, "no-process", "there is no such process",          \
      "NoSuchProcess")                                                        \
    X(ERR_NO_PERMISSION, -11, "no-permission",                                \
      "the system does not let this process read that one",                   \
      "PermissionDenied")                                                     \
    X(ERR_NOT_PYTHON, -12, "not-python", "no CPython runtime in the process", \
      "NotPython")                                                            \
    X(ERR_UNSUPPORTED_TARGET, -13, "unsupported-target",                      \
      "a CPython that this library does not know", "UnsupportedTarget")       \
    X(ERR_NOT_READY, -14, "not-ready",                                        \
      "the runtime is there, but not (or no longer) initialised",             \
      "TargetNotReady")                                                       \
    X(ERR_GONE, -15, "gone", "the process has ended", "ProcessGone")          \
    X(ERR_SPAWN, -16, "spawn", "the command could not be started",            \
      "SpawnError")                                                           \
    X(ERR_TRACED, -17, "traced", "a debugger holds the process",              \
      "TracedError")                                                          \
    X(ERR_FAULT, -20, "fault", "the address is not mapped in the target",     \
      "MemoryFault")                                                          \
    X(ERR_TORN, -21, "torn", "the target changed while it was read",          \
      "TornRead")                                                             \
    X(ERR_CORRUPT, -22, "corrupt",                                            \
      "what was read cannot be what it claims to be", "CorruptData")          \
    X(ERR_IO, -30, "io", "reading or writing failed", "OSError")              \
    X(ERR_NO_FORMAT, -31, "no-format", "no output format of that name",       \
      "UnknownFormat")                                                        \
    X(ERR_CALLBACK, -40, "callback", "a function of the caller failed",       \
      "CallbackError")                                                        \
    X(ERR_OS, -50, "os", "the system refused a call", "OSError")

PYPROF_BEGIN_DECLS

/** Answer of a call: 0, or one of the negative `PYPROF_ERR_` values. */
typedef int32_t pyprof_status;

/** The values of ::pyprof_status. */
enum {
#define PYPROF_STATUS_ENUM(name, value, id, text, python) PYPROF_##name = value,
    PYPROF_STATUS_MAP(PYPROF_STATUS_ENUM)
#undef PYPROF_STATUS_ENUM
        PYPROF_STATUS_LAST_ = -1000 /**< not a status; keeps the list's end */
};

/** Bytes of ::pyprof_error.message, with the final NUL. */
#define PYPROF_ERROR_MESSAGE_SIZE 320

/**
 * @brief Details of a failure, in the caller's own memory.
 *
 * Set `sz` to `sizeof(pyprof_error)` (or use ::PYPROF_ERROR_INIT) and pass its
 * address as the last argument; NULL where the status alone is enough. It is
 * written only when a call fails. `message` is one line that names the cause
 * and, where there is one, the remedy.
 */
typedef struct pyprof_error {
    size_t sz;        /**< sizeof(pyprof_error) */
    int32_t status;   /**< the status that was returned */
    int32_t os_errno; /**< errno of the call that failed, or 0 */
    uint64_t address; /**< address in the target that it is about, or 0 */
    char message[PYPROF_ERROR_MESSAGE_SIZE]; /**< one line, NUL-terminated */
} pyprof_error;

/** Initialiser of a ::pyprof_error. */
#define PYPROF_ERROR_INIT              \
    {                                  \
        sizeof(pyprof_error), 0, 0, 0, \
        {                              \
            0                          \
        }                              \
    }

/**
 * @brief Short name of a status, such as "no-permission".
 *
 * Thread-safe. Static text; "unknown" for a value that this library lacks.
 */
PYPROF_API const char *pyprof_status_name(pyprof_status status);

/**
 * @brief One sentence about a status.
 *
 * Thread-safe. Static text; "unknown status" for a value that it lacks.
 */
PYPROF_API const char *pyprof_status_text(pyprof_status status);

PYPROF_END_DECLS

#endif /* PYPROF_STATUS_H */
