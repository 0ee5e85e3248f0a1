/* os/process: a handle means one process, and says what it is. */
#define _GNU_SOURCE
#include "helper.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static pyprof_status refusal(int64_t pid, const char *expected)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process = NULL;
    pyprof_status status = pp_os_process_open(NULL, pid, &process, &err);
    ck_assert_ptr_null(process);
    ck_assert_msg(strstr(err.message, expected) != NULL, "%s", err.message);
    ck_assert_int_eq(err.status, status);
    return status;
}

static void *sleep_on(void *user)
{
    *(volatile long *)user = syscall(SYS_gettid);
    pause();
    return NULL;
}

static void at_once(helper *self, void *user)
{
    PP_UNUSED(user);
    PP_UNUSED(self);
}

START_TEST(test_no_such_process)
{
    volatile long tid = 0;
    pthread_t thread;
    char expected[80];
    ck_assert_int_eq(refusal(0, "no process 0"), PYPROF_ERR_NO_PROCESS);
    ck_assert_int_eq(refusal(-1, "no process -1"), PYPROF_ERR_NO_PROCESS);
    ck_assert_int_eq(refusal(INT64_MIN, "no process"), PYPROF_ERR_NO_PROCESS);
    ck_assert_int_eq(refusal((int64_t)1 << 32, "no process"),
                     PYPROF_ERR_NO_PROCESS);
    ck_assert_int_eq(refusal(INT32_MAX, "no process 2147483647"),
                     PYPROF_ERR_NO_PROCESS);
    /* the id of a thread */
    pthread_create(&thread, NULL, sleep_on, (void *)(uintptr_t)&tid);
    while (tid == 0) {
        nap();
    }
    snprintf(expected, sizeof(expected), "thread of process %d", getpid());
    ck_assert_int_eq(refusal(tid, expected), PYPROF_ERR_NO_PROCESS);
    /* one that has ended, before and after its parent took note */
    helper h = helper_start(at_once, NULL);
    ck_assert_int_eq(helper_hear(&h), 0);
    siginfo_t info;
    waitid(P_PID, (id_t)h.pid, &info, WEXITED | WNOWAIT);
    ck_assert_int_eq(refusal(h.pid, "zombie"), PYPROF_ERR_NO_PROCESS);
    helper_end(&h);
    ck_assert_int_eq(refusal(h.pid, "no process"), PYPROF_ERR_NO_PROCESS);
}
END_TEST

START_TEST(test_self)
{
    pp_os_process *self = open_process(getpid());
    char path[4096];
    char expected[4096];
    ck_assert_int_eq(pp_os_process_pid(self), getpid());
    ck_assert(pp_os_process_alive(self));
    ck_assert_uint_ne(pp_os_process_image_id(self), 0);
    ck_assert_uint_eq(pp_os_process_cwd(self, path, sizeof(path)),
                      strlen(path));
    ck_assert_str_eq(path, getcwd(expected, sizeof(expected)));
    ssize_t n = readlink("/proc/self/exe", expected, sizeof(expected) - 1);
    ck_assert_uint_eq(pp_os_process_exe(self, path, sizeof(path)), (size_t)n);
    ck_assert_mem_eq(path, expected, (size_t)n);
    /* no room */
    ck_assert_uint_eq(pp_os_process_cwd(self, path, 3), 0);
    ck_assert_str_eq(path, "");
    ck_assert_uint_eq(pp_os_process_exe(self, path, 1), 0);
    ck_assert_str_eq(path, "");
    pp_os_process_close(self);
    pp_os_process_close(NULL);
}
END_TEST

/* Executes the same program again and again, as often as it is told to. */
static void run_execs(helper *self, void *user)
{
    PP_UNUSED(user);
    dup2(self->from, 0);
    dup2(self->to, 1);
    execl("/bin/sh", "sh", "-c",
          "echo r; read x; exec /bin/sh -c 'echo r; read x; "
          "exec /bin/sh -c \"echo r; read x\"'",
          (char *)NULL);
}

START_TEST(test_image_id)
{
    helper h = helper_start(run_execs, NULL);
    pp_os_process *process = open_process(h.pid);
    uint64_t last = 0;
    char path[256];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(helper_hear(&h), 'r');
        ck_assert_int_eq(helper_hear(&h), '\n');
        uint64_t id = pp_os_process_image_id(process);
        ck_assert_uint_ne(id, 0);
        ck_assert_uint_ne(id, last);
        for (int again = 0; again < 5; again++) {
            ck_assert_uint_eq(pp_os_process_image_id(process), id);
        }
        last = id;
        ck_assert_uint_gt(pp_os_process_exe(process, path, sizeof(path)), 0);
        helper_say(&h, '\n');
    }
    ck_assert(pp_os_process_wait(process, UINT64_MAX, NULL));
    ck_assert_uint_eq(pp_os_process_image_id(process), 0);
    ck_assert_uint_eq(pp_os_process_exe(process, path, sizeof(path)), 0);
    ck_assert_uint_eq(pp_os_process_cwd(process, path, sizeof(path)), 0);
    helper_end(&h);
    pp_os_process_close(process);
}
END_TEST

/* A handle outlives its process; the number may by then be another's. */
START_TEST(test_number_used_again)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(at_once, NULL);
    char text[64];
    helper other;
    /* taken before it ends: it ends when this reads its pipe's end */
    pp_os_process *process = NULL;
    if (pp_os_process_open(NULL, h.pid, &process, &err) != PYPROF_OK) {
        helper_end(&h);
        return; /* it was quicker: nothing to be seen here */
    }
    helper_hear(&h);
    helper_end(&h);
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%d", h.pid - 1);
    bool forced = fd >= 0 && write(fd, text, (size_t)n) == n;
    other = helper_start(at_once, NULL);
    ck_assert(!pp_os_process_alive(process));
    ck_assert_uint_eq(pp_os_process_image_id(process), 0);
    ck_assert_int_eq(state_of(process, (uint64_t)h.pid), '\0');
    if (fd >= 0) {
        close(fd);
    }
    PP_UNUSED(forced);
    helper_end(&other);
    pp_os_process_close(process);
}
END_TEST

static void run_threaded(helper *self, void *user)
{
    pthread_t thread;
    volatile long tid = 0;
    PP_UNUSED(user);
    pthread_create(&thread, NULL, sleep_on, (void *)(uintptr_t)&tid);
    while (tid == 0) {
        nap();
    }
    helper_rest(self);
}

typedef struct pairs {
    uint64_t os[8], native[8];
    size_t n, stop_at;
} pairs;

static bool note_pair(void *user, uint64_t os_id, uint64_t native_id)
{
    pairs *p = user;
    ck_assert_uint_lt(p->n, 8);
    p->os[p->n] = os_id;
    p->native[p->n++] = native_id;
    return p->n != p->stop_at;
}

START_TEST(test_threads)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(run_threaded, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    pairs p = {.stop_at = 0};
    ck_assert_int_eq(pp_os_process_threads(process, note_pair, &p, &err),
                     PYPROF_OK);
    ck_assert_uint_eq(p.n, 2);
    ck_assert_uint_eq(p.os[0], (uint64_t)h.pid);
    ck_assert_uint_ne(p.os[1], p.os[0]);
    ck_assert_mem_eq(p.os, p.native, 2 * sizeof(p.os[0]));
    pairs first = {.stop_at = 1};
    ck_assert_int_eq(pp_os_process_threads(process, note_pair, &first, &err),
                     PYPROF_OK);
    ck_assert_uint_eq(first.n, 1);
    kill(h.pid, SIGKILL);
    pp_os_process_wait(process, UINT64_MAX, NULL);
    helper_end(&h);
    ck_assert_int_eq(pp_os_process_threads(process, note_pair, &p, &err),
                     PYPROF_ERR_GONE);
    pp_os_process_close(process);
}
END_TEST

/* Its child is the first process of a pid namespace of its own. */
static void run_namespace(helper *self, void *user)
{
    pid_t *shared = user;
    if (unshare(CLONE_NEWPID) != 0) {
        helper_say(self, 'n');
        helper_rest(self);
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_threaded(self, NULL);
        _exit(0);
    }
    *shared = child;
    waitpid(child, NULL, 0);
}

START_TEST(test_pid_namespace)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    volatile pid_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    helper h = helper_start(run_namespace, (void *)(uintptr_t)shared);
    if (helper_hear(&h) != 'r') {
        fprintf(stderr, "skipped: no pid namespace without privilege\n");
        helper_end(&h);
        return;
    }
    while (*shared == 0) {
        nap();
    }
    pid_t pid = *shared;
    pp_os_process *process = open_process(pid);
    ck_assert_int_eq(pp_os_process_pid(process), pid);
    ck_assert_int_eq(pp_os_process_inner_pid(process), 1);
    pairs p = {.stop_at = 0};
    ck_assert_int_eq(pp_os_process_threads(process, note_pair, &p, &err),
                     PYPROF_OK);
    ck_assert_uint_eq(p.n, 2);
    ck_assert_uint_eq(p.os[0], (uint64_t)pid);
    ck_assert_uint_eq(p.native[0], 1);
    ck_assert_uint_eq(p.native[1], 2);
    ck_assert_uint_ne(p.os[1], 2);
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

static bool open_self(fault_alloc *fault)
{
    pp_os_process *process = NULL;
    pyprof_status status =
        pp_os_process_open(&fault->table, getpid(), &process, NULL);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    pp_os_process_close(process);
    return status == PYPROF_OK;
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

START_TEST(test_out_of_memory)
{
    int before = count_fds();
    fault_loop(open_self);
    ck_assert_int_eq(count_fds(), before);
}
END_TEST

SUITE_MAIN("os.process", test_no_such_process, test_self, test_image_id,
           test_number_used_again, test_threads, test_pid_namespace,
           test_out_of_memory)
