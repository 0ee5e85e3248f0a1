/* os/explain: each rule that can refuse is named, with its remedy. */
#define _GNU_SOURCE
#include "helper.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>

enum { NOBODY = 65534, OTHER = 65533 };

static void become(uid_t user, gid_t group)
{
    ck_assert_int_eq(setresgid(group, group, group), 0);
    ck_assert_int_eq(setresuid(user, user, user), 0);
}

static void run_as(helper *self, void *user)
{
    const uid_t *ids = user;
    become(ids[0], ids[1]);
    prctl(PR_SET_DUMPABLE, ids[2] == 0 ? 1 : 0);
    helper_rest(self);
}

static bool skipped(void)
{
    if (getuid() != 0) {
        fprintf(stderr, "skipped: other users need privilege\n");
    }
    return getuid() != 0;
}

/* Reading is refused, and what explains it has these words. */
static void expect_refusal(pid_t pid, const char *first, const char *second)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process = open_process(pid);
    const pp_os_span span = {address_of(&err), 8};
    uint64_t word;
    uint64_t calls = 0;
    size_t got = 0;
    pp_os_maps maps;
    ck_assert_int_eq(
        pp_os_process_readv(process, &word, &span, 1, &got, &calls),
        PYPROF_ERR_NO_PERMISSION);
    ck_assert_uint_eq(pp_os_process_image_id(process), 0);
    ck_assert_int_eq(pp_os_thread_stop(process, (uint64_t)pid, &err),
                     PYPROF_ERR_NO_PERMISSION);
    ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, &err),
                     PYPROF_ERR_NO_PERMISSION);
    ck_assert_int_eq(pp_os_process_explain(process, &err),
                     PYPROF_ERR_NO_PERMISSION);
    ck_assert_msg(strstr(err.message, first) != NULL &&
                      strstr(err.message, second) != NULL,
                  "%s", err.message);
    ck_assert_ptr_null(strchr(err.message, '\n'));
    /* what needs no permission still works */
    ck_assert(pp_os_process_alive(process));
    ck_assert_int_ne(state_of(process, (uint64_t)pid), '\0');
    pp_os_process_close(process);
}

static helper start_as(uid_t user, gid_t group, bool hidden)
{
    uid_t ids[3] = {user, group, hidden};
    helper h = helper_start(run_as, ids);
    ck_assert_int_eq(helper_hear(&h), 'r');
    return h;
}

START_TEST(test_other_user)
{
    if (skipped()) {
        return;
    }
    helper h = start_as(OTHER, OTHER, false);
    become(NOBODY, NOBODY);
    expect_refusal(h.pid, "runs as user 65533, this program as user 65534",
                   "CAP_SYS_PTRACE");
    close(h.to);
}
END_TEST

START_TEST(test_other_group)
{
    if (skipped()) {
        return;
    }
    helper h = start_as(NOBODY, OTHER, false);
    become(NOBODY, NOBODY);
    expect_refusal(h.pid, "runs as group 65533, this program as group 65534",
                   "root");
    close(h.to);
}
END_TEST

START_TEST(test_not_dumpable)
{
    if (skipped()) {
        return;
    }
    helper h = start_as(NOBODY, NOBODY, true);
    become(NOBODY, NOBODY);
    expect_refusal(h.pid, "not dumpable", "root");
    close(h.to);
}
END_TEST

static void rest(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_rest(self);
}

START_TEST(test_user_namespace)
{
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    if (unshare(CLONE_NEWUSER) != 0) {
        fprintf(stderr, "skipped: user namespaces are not allowed here\n");
        helper_end(&h);
        return;
    }
    expect_refusal(h.pid, "another user namespace", "root");
    helper_end(&h);
}
END_TEST

START_TEST(test_seccomp)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {PP_COUNT_OF(code),
                                       (struct sock_filter *)(uintptr_t)code};
    pyprof_error err = PYPROF_ERROR_INIT;
    helper h = helper_start(rest, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    ck_assert_int_eq(pp_os_process_explain(process, &err),
                     PYPROF_ERR_NO_PERMISSION);
    ck_assert_msg(strstr(err.message, "seccomp") != NULL, "%s", err.message);
    helper_end(&h);
    /* it has ended: that is what is the case */
    ck_assert_int_eq(pp_os_process_explain(process, &err), PYPROF_ERR_GONE);
    pp_os_process_close(process);
}
END_TEST

/* Same user, nothing in the way: reading without any privilege works. */
START_TEST(test_allowed)
{
    if (skipped()) {
        return;
    }
    helper h = start_as(NOBODY, NOBODY, false);
    become(NOBODY, NOBODY);
    pp_os_process *process = open_process(h.pid);
    ck_assert_uint_ne(pp_os_process_image_id(process), 0);
    pp_os_process_close(process);
    close(h.to);
}
END_TEST

SUITE_MAIN("os.explain", test_other_user, test_other_group, test_not_dumpable,
           test_user_namespace, test_seccomp, test_allowed)
