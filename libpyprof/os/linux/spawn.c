/*
 * spawn: starting a command, and how it ends.
 *
 * The child shares this process's memory until it executes (as vfork does, on
 * a stack of its own), so that starting costs the same from a program of any
 * size, and so that it can leave the exact reason when it can't execute.
 * Between clone and exec it calls the system and nothing else: no allocation,
 * no lock. Every signal is blocked meanwhile, so no handler of this process
 * ever runs in it.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STACK_SIZE = 256 << 10,
    KERNEL_SIGSET = 8, /* bytes of a signal set, as the kernel has it */
    MAX_ARGUMENTS = 1 << 22
};
static const char default_path[] = "/usr/local/bin:/bin:/usr/bin";

typedef enum step { STEP_NONE, STEP_FDS, STEP_CWD, STEP_EXEC } step;

/* What the child is to do, and what became of it. */
typedef struct start {
    const char *const *argv;
    char *const *envp;
    char *const *script_argv; /* for /bin/sh; slot 1 is the script */
    const char *path;         /* value of PATH */
    const char *cwd;
    int fds[3]; /* copies above 2, or -1 */
    step failed;
    int error;
    char file[PATH_MAX]; /* what is being tried */
} start;

/* ---- in the child --------------------------------------------------- */

/* What the child leaves on its stack stays marked there for a sanitizer, which
 * would find it when the memory is used again: these functions leave no marks.
 */
#if defined(__GNUC__) || defined(__clang__)
#define IN_CHILD __attribute__((no_sanitize_address))
#else
#define IN_CHILD
#endif

/* The kernel's struct sigaction begins with the handler on every machine. */
IN_CHILD static void default_signals(void)
{
    uint64_t now[8];
    uint64_t plain[8] = {0};
    for (int signal = 1; signal <= 64; signal++) {
        if (syscall(SYS_rt_sigaction, signal, NULL, now, KERNEL_SIGSET) == 0 &&
            now[0] != (uintptr_t)SIG_DFL && now[0] != (uintptr_t)SIG_IGN) {
            syscall(SYS_rt_sigaction, signal, plain, NULL, KERNEL_SIGSET);
        }
    }
}

/* Executes one file, by /bin/sh when it is a script that does not say of what
 * kind. Returns the errno. */
IN_CHILD static int try_file(start *s)
{
    execve(s->file, (char *const *)(uintptr_t)s->argv, s->envp);
    if (errno == ENOEXEC) {
        char **script = (char **)(uintptr_t)s->script_argv;
        script[1] = s->file;
        execve("/bin/sh", script, s->envp);
    }
    return errno;
}

/* Whether a failure only means that the next folder of PATH is to be tried. */
IN_CHILD static bool keep_looking(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES ||
           error == ESTALE || error == ENODEV || error == ETIMEDOUT;
}

IN_CHILD static int execute(start *s)
{
    const char *name = s->argv[0];
    size_t length = strlen(name);
    const char *at = s->path;
    bool refused = false;
    if (length == 0 || length >= sizeof(s->file)) {
        return length == 0 ? ENOENT : ENAMETOOLONG;
    }
    if (strchr(name, '/') != NULL) {
        memcpy(s->file, name, length + 1);
        return try_file(s);
    }
    for (;;) {
        size_t folder = strcspn(at, ":");
        if (folder + 1 + length < sizeof(s->file)) {
            memcpy(s->file, at, folder);
            s->file[folder] = '/';
            /* An empty folder is the working directory. */
            memcpy(s->file + folder + (folder > 0), name, length + 1);
            int error = try_file(s);
            refused = refused || error == EACCES;
            if (!keep_looking(error)) {
                return error;
            }
        }
        if (at[folder] == '\0') {
            return refused ? EACCES : ENOENT;
        }
        at += folder + 1;
    }
}

IN_CHILD static int child_main(void *arg)
{
    start *s = arg;
    uint64_t none = 0;
    default_signals();
    s->failed = STEP_FDS;
    for (int i = 0; i < 3; i++) {
        if (s->fds[i] >= 0 && dup2(s->fds[i], i) < 0) {
            s->error = errno;
            return 127;
        }
    }
    s->failed = STEP_CWD;
    if (s->cwd != NULL && chdir(s->cwd) != 0) {
        s->error = errno;
        return 127;
    }
    s->failed = STEP_EXEC;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET);
    s->error = execute(s);
    return 127;
}

/* ---- in the parent -------------------------------------------------- */

/* Runs child_main in a new process. Its id, or -1 with errno. */
static pid_t run_child(start *s, int *out_pidfd)
{
    uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        return -1;
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGSET);
    /* The flag is ignored by kernels before 5.2, which write nothing. */
    pid_t pid =
        clone(child_main, stack + STACK_SIZE,
              CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, s, out_pidfd);
    int error = errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGSET);
    munmap(stack, STACK_SIZE);
    errno = error;
    return pid;
}

static const char *path_of(char *const *envp)
{
    for (size_t i = 0; envp[i] != NULL; i++) {
        if (strncmp(envp[i], "PATH=", 5) == 0) {
            return envp[i] + 5;
        }
    }
    return default_path;
}

static void close_copies(start *s)
{
    for (int i = 0; i < 3; i++) {
        if (s->fds[i] >= 0) {
            close(s->fds[i]);
        }
    }
}

/* Copies of the wanted descriptors, out of the way of 0, 1 and 2. */
static pyprof_status copy_fds(start *s, const pp_os_command *command,
                              pyprof_error *err)
{
    for (int i = 0; i < 3; i++) {
        int fd = command->fds[i];
        if (fd >= 0) {
            s->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        }
        if (fd >= 0 && s->fds[i] < 0) {
            return pp_error_errno(err, PYPROF_ERR_SPAWN, errno,
                                  "can't start %s: descriptor %d can't become "
                                  "its descriptor %d",
                                  command->argv[0], fd, i);
        }
    }
    return PYPROF_OK;
}

static pyprof_status say_why(const start *s, pyprof_error *err)
{
    const char *name = s->argv[0];
    if (s->failed == STEP_CWD) {
        return pp_error_errno(err, PYPROF_ERR_SPAWN, s->error,
                              "can't start %s in the directory %s", name,
                              s->cwd);
    }
    if (s->failed == STEP_EXEC && s->error == ENOENT) {
        if (strchr(name, '/') == NULL) {
            return pp_error_errno(err, PYPROF_ERR_SPAWN, s->error,
                                  "can't start %s: it is in no folder of PATH",
                                  name);
        }
        if (s->cwd == NULL && access(name, F_OK) == 0) {
            return pp_error_errno(err, PYPROF_ERR_SPAWN, s->error,
                                  "can't start %s: the interpreter that its "
                                  "first line or its header names is missing",
                                  name);
        }
    }
    return pp_error_errno(err, PYPROF_ERR_SPAWN, s->error, "can't start %s",
                          name);
}

/* Everything is prepared: starts, and tells what became of it. */
static pyprof_status launch(const pp_allocator *allocator, start *s,
                            pp_os_process **out, pyprof_error *err)
{
    int pidfd = -1;
    pid_t pid = run_child(s, &pidfd);
    if (pid < 0) {
        return pp_error_errno(err, PYPROF_ERR_SPAWN, errno, "can't start %s",
                              s->argv[0]);
    }
    if (s->error != 0) {
        siginfo_t info;
        while (waitid(P_PID, (id_t)pid, &info, WEXITED) != 0 &&
               errno == EINTR) {
        }
        if (pidfd >= 0) {
            close(pidfd);
        }
        return say_why(s, err);
    }
    if (pidfd < 0) {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
    }
    pp_os_process *process;
    pyprof_status status =
        pp_os_process_adopt(allocator, pid, pidfd, true, &process, err);
    if (status != PYPROF_OK) {
        /* Nobody would know of it: it must not live on. */
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return status;
    }
    *out = process;
    return PYPROF_OK;
}

pyprof_status pp_os_spawn(const pp_allocator *allocator,
                          const pp_os_command *command, pp_os_process **out,
                          pyprof_error *err)
{
    size_t n = 0;
    if (command->argv == NULL || command->argv[0] == NULL) {
        return pp_error_set(err, PYPROF_ERR_INVALID, "no command to start");
    }
    while (command->argv[n] != NULL) {
        if (++n > MAX_ARGUMENTS) {
            return pp_error_errno(err, PYPROF_ERR_SPAWN, E2BIG,
                                  "can't start %s", command->argv[0]);
        }
    }
    start *s = pp_calloc(allocator, 1, sizeof(*s));
    const char **script = pp_calloc(allocator, n + 2, sizeof(*script));
    if (s == NULL || script == NULL) {
        pp_free(allocator, s);
        pp_free(allocator, (void *)script);
        return pp_error_memory(err, "starting a command");
    }
    script[0] = "/bin/sh";
    memcpy((void *)(script + 2), (const void *)(command->argv + 1),
           n * sizeof(*script)); /* with the NULL at the end */
    s->argv = command->argv;
    s->envp = command->envp != NULL ? (char *const *)(uintptr_t)command->envp
                                    : environ;
    s->script_argv = (char *const *)(uintptr_t)script;
    s->path = path_of(s->envp);
    s->cwd = command->cwd;
    s->fds[0] = s->fds[1] = s->fds[2] = -1;
    pyprof_status status = copy_fds(s, command, err);
    if (status == PYPROF_OK) {
        status = launch(allocator, s, out, err);
    }
    close_copies(s);
    pp_free(allocator, (void *)script);
    pp_free(allocator, s);
    return status;
}
