/*
 * child: how a command that was started here ends.
 *
 * The end is waited for on the pidfd and only then taken, with a call that
 * can't take anything else: another thread of this process may hold threads of
 * the same child, and waits for their stops.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_GRACE UINT64_C(30000000000)

bool pp_os_child_reap(pp_os_process *process)
{
    siginfo_t info;
    int rc;
    if (process->has_status) {
        return true;
    }
    if (pp_os_process_alive(process)) {
        return false;
    }
    do {
        info.si_pid = 0;
        rc = waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0 || info.si_pid == 0) {
        return false;
    }
    process->has_status = true;
    process->exit_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    process->exit_status =
        info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return true;
}

pyprof_status pp_os_child_status(pp_os_process *process, int32_t *out_status,
                                 int32_t *out_signal, pyprof_error *err)
{
    if (!process->is_child) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "process %d was not started by this library",
                            (int)process->pid);
    }
    pp_os_process_wait(process, UINT64_MAX, NULL);
    if (!pp_os_child_reap(process)) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "how process %d ended was taken by another wait "
                            "of this program",
                            (int)process->pid);
    }
    *out_status = process->exit_status;
    *out_signal = process->exit_signal;
    return PYPROF_OK;
}

static void send(const pp_os_process *process, int signal)
{
    if (process->pidfd < 0 || (syscall(SYS_pidfd_send_signal, process->pidfd,
                                       signal, NULL, 0u) != 0 &&
                               errno != ESRCH)) {
        kill(process->pid, signal);
    }
}

pyprof_status pp_os_child_end(pp_os_process *process, uint64_t grace_ns,
                              pyprof_error *err)
{
    if (!process->is_child) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "process %d was not started by this library",
                            (int)process->pid);
    }
    if (process->has_status || pp_os_child_reap(process)) {
        return PYPROF_OK;
    }
    uint64_t now = pp_os_now();
    uint64_t until = grace_ns > UINT64_MAX - now ? UINT64_MAX : now + grace_ns;
    send(process, SIGTERM);
    if (pp_os_thread_state(process, process->pid) == 'T') {
        send(process, SIGCONT); /* or it would not see the request */
    }
    if (!pp_os_process_wait(process, until, NULL)) {
        send(process, SIGKILL);
        if (!pp_os_process_wait(process, pp_os_now() + LAST_GRACE, NULL)) {
            return pp_error_set(err, PYPROF_ERR_OS,
                                "process %d was killed but does not end: it "
                                "sits in a system call that can't be "
                                "interrupted",
                                (int)process->pid);
        }
    }
    pp_os_child_reap(process);
    return PYPROF_OK;
}
