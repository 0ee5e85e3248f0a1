/* os/spawn and os/child: a command starts as it would by itself, or not at
 * all; and its end is known. */
#define _GNU_SOURCE
#include "helper.h"

#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/check-spawn-XXXXXX";

static void make_script(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void in_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
    static const char *const names[] = {"plain",    "bare", "lost", "tool",
                                        "sub/tool", "sub",  "out"};
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        if (unlink(names[i]) != 0) {
            rmdir(names[i]);
        }
    }
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
}

static pp_os_process *start(const pp_os_command *command)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process = NULL;
    pyprof_status status = pp_os_spawn(NULL, command, &process, &err);
    ck_assert_msg(status == PYPROF_OK, "%s", err.message);
    return process;
}

static int32_t end_of(pp_os_process *process, int32_t expected_signal)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    int32_t status = -1;
    int32_t number = -1;
    for (int i = 0; i < 2; i++) {
        pyprof_status rc = pp_os_child_status(process, &status, &number, &err);
        ck_assert_msg(rc == PYPROF_OK, "%s", err.message);
        ck_assert_int_eq(number, expected_signal);
    }
    ck_assert(!pp_os_process_alive(process));
    pp_os_process_close(process);
    return status;
}

/* Runs a command with its output in a pipe; the output, and how it ended. */
static int32_t output_of(pp_os_command command, char *to, size_t size)
{
    int pipes[2];
    size_t n = 0;
    ssize_t got;
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    command.fds[1] = pipes[1];
    pp_os_process *process = start(&command);
    close(pipes[1]);
    while (n < size - 1 && (got = read(pipes[0], to + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    to[n] = '\0';
    close(pipes[0]);
    return end_of(process, 0);
}

#define COMMAND(...)                                               \
    {                                                              \
        .argv = (const char *const[]){__VA_ARGS__, NULL}, .fds = { \
            -1,                                                    \
            -1,                                                    \
            -1                                                     \
        }                                                          \
    }

START_TEST(test_how_it_ends)
{
    static const char *const scripts[] = {"exit 0", "exit 3", "exit 255",
                                          "kill -TERM $$", "kill -SEGV $$"};
    static const int32_t statuses[] = {0, 3, 255, 128 + SIGTERM, 128 + SIGSEGV};
    static const int32_t signals[] = {0, 0, 0, SIGTERM, SIGSEGV};
    for (size_t i = 0; i < PP_COUNT_OF(scripts); i++) {
        const pp_os_command command = COMMAND("sh", "-c", scripts[i]);
        ck_assert_int_eq(end_of(start(&command), signals[i]), statuses[i]);
    }
    /* not of this library's starting */
    pyprof_error err = PYPROF_ERROR_INIT;
    int32_t status, number;
    pp_os_process *self = open_process(getpid());
    ck_assert_int_eq(pp_os_child_status(self, &status, &number, &err),
                     PYPROF_ERR_BUSY);
    ck_assert_int_eq(pp_os_child_end(self, 0, &err), PYPROF_ERR_BUSY);
    pp_os_process_close(self);
    /* taken by another wait */
    const pp_os_command command = COMMAND("true");
    pp_os_process *process = start(&command);
    ck_assert_int_eq(waitpid((pid_t)pp_os_process_pid(process), NULL, 0),
                     (pid_t)pp_os_process_pid(process));
    ck_assert_int_eq(pp_os_child_status(process, &status, &number, &err),
                     PYPROF_ERR_BUSY);
    ck_assert_int_eq(pp_os_child_end(process, 0, &err), PYPROF_OK);
    pp_os_process_close(process);
}
END_TEST

START_TEST(test_arguments_environment_folder)
{
    char text[4096];
    char expected[128];
    in_folder();
    pp_os_command echo = COMMAND("printf", "%s|", "a b", "", "c\nd", "$x");
    ck_assert_int_eq(output_of(echo, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "a b||c\nd|$x|");
    /* its environment: ours, or what is given and nothing else */
    setenv("CHECK_SPAWN", "inherited", 1);
    pp_os_command show = COMMAND("sh", "-c", "echo \"$CHECK_SPAWN\"");
    ck_assert_int_eq(output_of(show, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "inherited\n");
    pp_os_command all = COMMAND("/usr/bin/env");
    all.envp = (const char *const[]){"A=1", "B=two words", NULL};
    ck_assert_int_eq(output_of(all, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "A=1\nB=two words\n");
    /* its working directory, from which the command is looked up, too */
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    make_script("sub/tool", "#!/bin/sh\npwd\n", 0755);
    snprintf(expected, sizeof(expected), "%s/sub\n", folder);
    pp_os_command relative = COMMAND("./tool");
    relative.cwd = "sub";
    ck_assert_int_eq(output_of(relative, text, sizeof(text)), 0);
    ck_assert_str_eq(text, expected);
    ck_assert_str_eq(getcwd(text, sizeof(text)), folder);
    remove_folder();
}
END_TEST

START_TEST(test_path)
{
    char text[256];
    char value[128];
    in_folder();
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    make_script("sub/tool", "#!/bin/sh\necho right\n", 0755);
    make_script("tool", "#!/bin/sh\necho wrong\n", 0644); /* not executable */
    pp_os_command command = COMMAND("tool");
    snprintf(value, sizeof(value), "PATH=/none:%s:/etc/passwd:%s/sub:/bin",
             folder, folder);
    command.envp = (const char *const[]){value, NULL};
    ck_assert_int_eq(output_of(command, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "right\n");
    /* an empty element is the working directory */
    command.cwd = "sub";
    command.envp = (const char *const[]){"PATH=/none:", NULL};
    ck_assert_int_eq(output_of(command, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "right\n");
    /* none is given: the system's */
    pp_os_command shell = COMMAND("sh", "-c", "echo found");
    shell.envp = (const char *const[]){"X=1", NULL};
    ck_assert_int_eq(output_of(shell, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "found\n");
    remove_folder();
}
END_TEST

START_TEST(test_scripts)
{
    char text[256];
    in_folder();
    make_script("bare", "echo \"bare $1 $#\"\n", 0755); /* no first line */
    pp_os_command bare = COMMAND("./bare", "one", "two");
    ck_assert_int_eq(output_of(bare, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "bare one 2\n");
    make_script("plain", "#!/bin/sh\necho \"plain $1 $#\"\n", 0755);
    pp_os_command plain = COMMAND("./plain", "one");
    ck_assert_int_eq(output_of(plain, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "plain one 1\n");
    remove_folder();
}
END_TEST

static void refuse(const pp_os_command *command, int expected_errno,
                   const char *expected)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process = NULL;
    ck_assert_int_eq(pp_os_spawn(NULL, command, &process, &err),
                     PYPROF_ERR_SPAWN);
    ck_assert_ptr_null(process);
    ck_assert_int_eq(err.os_errno, expected_errno);
    ck_assert_msg(strstr(err.message, expected) != NULL, "%s", err.message);
    /* no child is left */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

START_TEST(test_what_cannot_start)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process;
    in_folder();
    make_script("plain", "text", 0644);
    make_script("lost", "#!/no/such/interpreter\n", 0755);
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    static const struct {
        const char *name;
        int error;
        const char *message;
    } cases[] = {
        {"no-such-command", ENOENT, "no-such-command: it is in no folder"},
        {"./none", ENOENT, "./none"},
        {"./plain", EACCES, "./plain"},
        {"./sub", EACCES, "./sub"},
        {"./plain/x", ENOTDIR, "./plain/x"},
        {"./lost", ENOENT, "interpreter"},
        {"", ENOENT, "can't start"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        const pp_os_command command = COMMAND(cases[i].name);
        refuse(&command, cases[i].error, cases[i].message);
    }
    pp_os_command elsewhere = COMMAND("true");
    elsewhere.cwd = "no/such/folder";
    refuse(&elsewhere, ENOENT, "no/such/folder");
    pp_os_command closed = COMMAND("true");
    closed.fds[0] = 250;
    refuse(&closed, EBADF, "descriptor 250");
    const pp_os_command none = {.argv = (const char *const[]){NULL}};
    ck_assert_int_eq(pp_os_spawn(NULL, &none, &process, &err),
                     PYPROF_ERR_INVALID);
    remove_folder();
}
END_TEST

/* What becomes 0, 1, 2 may be any of 0, 1, 2 here. */
START_TEST(test_descriptors)
{
    char text[256];
    int in[2];
    int out[2];
    int err_pipe[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(err_pipe, O_CLOEXEC), 0);
    for (int fd = 3; fd < 256; fd++) { /* and what this test was given */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    int saved[3];
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
    }
    dup2(out[1], 0);
    dup2(err_pipe[1], 1);
    dup2(in[0], 2);
    pp_os_command command = COMMAND(
        "sh", "-c", "read x; echo \"out $x\"; echo err >&2; ls /proc/self/fd");
    command.fds[0] = 2;
    command.fds[1] = 0;
    command.fds[2] = 1;
    pp_os_process *process = start(&command);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    close(out[1]);
    close(err_pipe[1]);
    close(in[0]);
    ck_assert_int_eq(write(in[1], "in\n", 3), 3);
    close(in[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(out[0], text + n, sizeof(text) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    text[n] = '\0';
    /* 3 is the listing's own */
    ck_assert_str_eq(text, "out in\n0\n1\n2\n3\n");
    got = read(err_pipe[0], text, sizeof(text));
    ck_assert_int_eq(got, 4);
    ck_assert_mem_eq(text, "err\n", 4);
    close(out[0]);
    close(err_pipe[0]);
    ck_assert_int_eq(end_of(process, 0), 0);
}
END_TEST

static void on_signal(int number)
{
    PP_UNUSED(number);
}

/* Masks and handlers of the program must not leak; what it ignores, may. */
START_TEST(test_signals)
{
    char text[4096];
    struct sigaction handled = {.sa_handler = on_signal};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t all;
    sigset_t before;
    sigaction(SIGUSR1, &handled, NULL);
    sigaction(SIGUSR2, &ignored, NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pp_os_command command = COMMAND("cat", "/proc/self/status");
    ck_assert_int_eq(output_of(command, text, sizeof(text)), 0);
    ck_assert_ptr_nonnull(strstr(text, "SigBlk:\t0000000000000000\n"));
    ck_assert_ptr_nonnull(strstr(text, "SigCgt:\t0000000000000000\n"));
    const char *ign = strstr(text, "SigIgn:\t");
    ck_assert_ptr_nonnull(ign);
    uint64_t bits = strtoull(ign + 8, NULL, 16);
    ck_assert_uint_eq((bits >> (SIGUSR2 - 1)) & 1, 1);
    ck_assert_uint_eq((bits >> (SIGUSR1 - 1)) & 1, 0);
    /* ours are as they were */
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    ck_assert_int_eq(sigismember(&now, SIGINT), 1);
}
END_TEST

START_TEST(test_end)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    char c;
    int pipes[2];
    const uint64_t grace = UINT64_C(50000000);
    /* one that obeys, one that is stopped, one that does not obey */
    static const char *const scripts[] = {
        "echo r; exec sleep 1000", "echo r; kill -STOP $$; sleep 1000",
        "trap '' TERM; echo r; while :; do sleep 1000; done"};
    static const int32_t signals[] = {SIGTERM, SIGTERM, SIGKILL};
    for (size_t i = 0; i < PP_COUNT_OF(scripts); i++) {
        pp_os_command command = COMMAND("sh", "-c", scripts[i]);
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        command.fds[1] = pipes[1];
        pp_os_process *process = start(&command);
        close(pipes[1]);
        ck_assert_int_eq(read(pipes[0], &c, 1), 1);
        while (i == 1 &&
               state_of(process, (uint64_t)pp_os_process_pid(process)) != 'T') {
            nap();
        }
        uint64_t patience = i < 2 ? UINT64_MAX : grace;
        ck_assert_int_eq(pp_os_child_end(process, patience, &err), PYPROF_OK);
        ck_assert(!pp_os_process_alive(process));
        ck_assert_int_eq(pp_os_child_end(process, 0, &err), PYPROF_OK);
        ck_assert_int_eq(end_of(process, signals[i]), 128 + signals[i]);
        close(pipes[0]);
    }
    /* a handle may be closed while the command runs: it runs on */
    pp_os_command command = COMMAND("sh", "-c", "read x; exit 9");
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    command.fds[0] = pipes[0];
    pp_os_process *process = start(&command);
    pid_t pid = (pid_t)pp_os_process_pid(process);
    pp_os_process_close(process);
    close(pipes[1]);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 9);
    close(pipes[0]);
}
END_TEST

/* A quick end, with nobody who would wait for it: still a handle. */
START_TEST(test_ends_at_once)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const pp_os_command command = COMMAND("/bin/true");
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(end_of(start(&command), 0), 0);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGCHLD, &ignore, NULL);
    for (int i = 0; i < 50; i++) {
        int32_t status, number;
        pp_os_process *process = start(&command);
        ck_assert_int_eq(pp_os_child_status(process, &status, &number, &err),
                         PYPROF_ERR_BUSY);
        pp_os_process_close(process);
    }
}
END_TEST

static bool spawn_one(fault_alloc *fault)
{
    const pp_os_command command = COMMAND("/bin/true");
    pp_os_process *process = NULL;
    pyprof_status status = pp_os_spawn(&fault->table, &command, &process, NULL);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    if (status == PYPROF_OK) {
        end_of(process, 0);
    }
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    fault_loop(spawn_one);
    /* nothing runs on unseen */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

SUITE_MAIN("os.spawn", test_how_it_ends, test_arguments_environment_folder,
           test_path, test_scripts, test_what_cannot_start, test_descriptors,
           test_signals, test_end, test_ends_at_once, test_out_of_memory)
