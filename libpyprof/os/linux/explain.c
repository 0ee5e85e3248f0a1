/*
 * explain: which rule of the system refuses to let one process read another,
 * and what would change that.
 *
 * In: what /proc says of both. Out: one line. The rules are asked in the
 * kernel's own order: user and group, the target's dumpable flag and
 * capabilities, then security modules (Yama), then filters (seccomp).
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CAPABILITY_PTRACE = 19 };
#define REMEDY_ROOT                                                      \
    "run as root, or give this program CAP_SYS_PTRACE (in a container: " \
    "--cap-add=SYS_PTRACE)"

/* What decides, of one of the two. */
typedef struct identity {
    unsigned long uid[3], gid[3]; /* real, effective, saved */
    uint64_t permitted, effective;
    unsigned long seccomp;
    char user_namespace[64]; /* "" when it can't be told */
} identity;

static void three_numbers(const char *at, unsigned long out[3])
{
    for (int i = 0; i < 3 && at != NULL; i++) {
        char *end;
        out[i] = strtoul(at, &end, 10);
        at = end;
    }
}

static bool identify(int dir_fd, identity *out)
{
    char status[4096];
    memset(out, 0, sizeof(*out));
    if (pp_os_read_file(dir_fd, "status", status, sizeof(status)) < 0) {
        return false;
    }
    three_numbers(pp_os_status_field(status, "Uid"), out->uid);
    three_numbers(pp_os_status_field(status, "Gid"), out->gid);
    const char *field = pp_os_status_field(status, "CapPrm");
    out->permitted = field != NULL ? strtoull(field, NULL, 16) : 0;
    field = pp_os_status_field(status, "CapEff");
    out->effective = field != NULL ? strtoull(field, NULL, 16) : 0;
    field = pp_os_status_field(status, "Seccomp");
    out->seccomp = field != NULL ? strtoul(field, NULL, 10) : 0;
    ssize_t n = readlinkat(dir_fd, "ns/user", out->user_namespace,
                           sizeof(out->user_namespace) - 1);
    out->user_namespace[n > 0 ? n : 0] = '\0';
    return true;
}

static bool all_equal(const unsigned long theirs[3], unsigned long ours)
{
    return theirs[0] == ours && theirs[1] == ours && theirs[2] == ours;
}

/* Whether the two are in different user namespaces. Where the other's can't be
 * told, it is if this one is not in the first of all: its ids are mapped. */
static bool other_namespace(const identity *us, const identity *them)
{
    char map[128];
    unsigned long range[3] = {0, 0, 0};
    if (us->user_namespace[0] != '\0' && them->user_namespace[0] != '\0') {
        return strcmp(us->user_namespace, them->user_namespace) != 0;
    }
    if (pp_os_read_file(-1, "/proc/self/uid_map", map, sizeof(map)) < 0) {
        return false;
    }
    three_numbers(map, range);
    return range[0] != 0 || range[1] != 0 || range[2] != UINT32_MAX;
}

/* Value of Yama's switch; -1 when this kernel has none. */
static int yama_scope(void)
{
    char text[16];
    if (pp_os_read_file(-1, "/proc/sys/kernel/yama/ptrace_scope", text,
                        sizeof(text)) <= 0) {
        return -1;
    }
    return (int)strtol(text, NULL, 10);
}

static pyprof_status explain_yama(const pp_os_process *process, int scope,
                                  pyprof_error *err)
{
    int pid = (int)process->pid;
    if (scope >= 3) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: ptrace_scope "
                            "is 3, which forbids it to everybody until the "
                            "next boot",
                            pid);
    }
    if (scope == 2) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: ptrace_scope "
                            "is 2; " REMEDY_ROOT,
                            pid);
    }
    return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                        "Permission denied reading pid %d: ptrace_scope is "
                        "1; start it from here instead (run), or " REMEDY_ROOT,
                        pid);
}

/* The rules that are about who owns what. PYPROF_OK: they allow it. */
static pyprof_status explain_owner(const pp_os_process *process,
                                   const identity *us, const identity *them,
                                   pyprof_error *err)
{
    int pid = (int)process->pid;
    struct stat st;
    if (!all_equal(them->uid, us->uid[0])) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: it runs as "
                            "user %lu, this program as user %lu; run as that "
                            "user or as root, or give this program "
                            "CAP_SYS_PTRACE",
                            pid, them->uid[1], us->uid[0]);
    }
    if (!all_equal(them->gid, us->gid[0])) {
        return pp_error_set(
            err, PYPROF_ERR_NO_PERMISSION,
            "Permission denied reading pid %d: it runs as "
            "group %lu, this program as group %lu; " REMEDY_ROOT,
            pid, them->gid[1], us->gid[0]);
    }
    /* Files of a process that may not be dumped belong to root. */
    if (fstatat(process->proc_fd, "auxv", &st, 0) == 0 &&
        st.st_uid != them->uid[1]) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: it is marked "
                            "as not dumpable (by prctl, or because its file "
                            "is set-uid or unreadable); " REMEDY_ROOT,
                            pid);
    }
    if ((them->permitted & ~us->permitted) != 0) {
        return pp_error_set(
            err, PYPROF_ERR_NO_PERMISSION,
            "Permission denied reading pid %d: it has "
            "capabilities that this program lacks; " REMEDY_ROOT,
            pid);
    }
    return PYPROF_OK;
}

/* The kernel refuses although ownership allows it, or a capability does. */
static pyprof_status explain_rest(pp_os_process *process, const identity *us,
                                  bool capable, pyprof_error *err)
{
    int pid = (int)process->pid;
    int scope = yama_scope();
    /* The file goes by the same rules, but through calls that no filter
     * forbids: when it opens, what refuses is a filter. */
    bool rules_allow = pp_os_mem_open(process) >= 0;
    if (us->seccomp != 0 && rules_allow) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: a seccomp "
                            "filter on this program forbids it; in a "
                            "container, use --cap-add=SYS_PTRACE or "
                            "--security-opt seccomp=unconfined",
                            pid);
    }
    if (!rules_allow && (scope >= 3 || (scope >= 1 && !capable))) {
        return explain_yama(process, scope, err);
    }
    return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                        "Permission denied reading pid %d: a security module "
                        "of this system (SELinux, AppArmor) or a container "
                        "refuses; its log has the reason%s",
                        pid,
                        us->seccomp != 0 ? " (a seccomp filter is active, "
                                           "too)"
                                         : "");
}

pyprof_status pp_os_process_explain(pp_os_process *process, pyprof_error *err)
{
    identity us;
    identity them;
    int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool known = self >= 0 && identify(self, &us);
    if (self >= 0) {
        close(self);
    }
    if (!pp_os_process_alive(process) || !identify(process->proc_fd, &them)) {
        return pp_error_set(err, PYPROF_ERR_GONE, "process %d has ended",
                            (int)process->pid);
    }
    if (!known) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d; " REMEDY_ROOT,
                            (int)process->pid);
    }
    bool capable = ((us.effective >> CAPABILITY_PTRACE) & 1) != 0;
    if (!capable) {
        PP_TRY(explain_owner(process, &us, &them, err));
    } else if (other_namespace(&us, &them)) {
        return pp_error_set(err, PYPROF_ERR_NO_PERMISSION,
                            "Permission denied reading pid %d: it is in "
                            "another user namespace, where CAP_SYS_PTRACE of "
                            "this one does not count; run inside that one, "
                            "or as root outside",
                            (int)process->pid);
    }
    return explain_rest(process, &us, capable, err);
}
