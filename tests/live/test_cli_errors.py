"""Processes that can't be sampled: one line that names cause and remedy, and
the right exit status."""

import ctypes
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import harness

COMMANDS = ("attach", "dump", "check")


def one_line(result, *words):
    """Status 1 and one line of ours, which has all of the words."""
    assert result.status == 1, result
    assert result.stderr.startswith("pyprof-cli: "), result
    assert result.stderr.count("\n") == 1, result
    for word in words:
        assert word in result.stderr, (word, result)


def test_no_process():
    with open("/proc/sys/kernel/pid_max") as file:
        nobody = int(file.read())  # one more than there can be
    for command in COMMANDS:
        one_line(harness.cli(command, nobody), str(nobody), "no process")


def test_zombie():
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        for command in COMMANDS:
            one_line(harness.cli(command, child.pid), str(child.pid))
    finally:
        child.wait()


def test_not_python():
    with harness.running(["sleep", "1000"], ready=None) as target:
        for command in COMMANDS:
            one_line(harness.cli(command, target.pid), "Python")
    one_line(harness.cli("attach", 1 if os.getpid() != 1 else os.getppid()))


def old_pythons():
    return sorted(
        path for version in ("2.7", "3.6", "3.7") for path in
        glob.glob(os.path.expanduser("~/.pyenv/versions/%s.*/bin/python%s"
                                     % (version, version))))


def test_unknown_version():
    """Pythons too old to be read, 2 among them: the version is named."""
    found = old_pythons()
    if not found:
        print("    not tried: no Python 2.7, 3.6 or 3.7 here")
    code = "import time, sys; print('ready'); sys.stdout.flush(); " \
           "time.sleep(1000)"
    for python in found:
        version = python.rpartition("python")[2]
        with harness.running([python, "-c", code]) as target:
            for command in COMMANDS:
                one_line(harness.cli(command, target.pid), version)
        result = harness.cli("run", "--python", python, "-c", code)
        lines = [line for line in result.stderr.splitlines()
                 if line.startswith("pyprof-cli: ")]
        assert result.status == 1 and len(lines) == 1, result
        assert version in lines[0], result


def test_exits_meanwhile():
    """Whatever the moment at which it ends: one line, or a result."""
    for number in range(40):
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(%f)"
             % (number * 0.002)])
        try:
            command = ("attach", "dump", "check")[number % 3]
            options = ["--collapsed", "-o", "/dev/null"] \
                if command == "attach" else []
            result = harness.cli(command, *options, child.pid)
            if result.status != 0:
                one_line(result)
        finally:
            child.wait()


def as_nobody(*arguments, prepare=None):
    """Runs the command line as another user, from a copy that it may read."""
    def become():
        if prepare is not None:
            prepare()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    folder = tempfile.mkdtemp()
    try:
        os.chmod(folder, 0o755)
        shutil.copy(harness.CLI, folder)
        for library in glob.glob(os.path.join(harness.BUILD, "lib",
                                              "libpyprof.so*")):
            shutil.copy(library, folder)
        done = subprocess.run(
            [os.path.join(folder, "pyprof-cli")] + [str(a) for a in arguments],
            env=dict(os.environ, LD_LIBRARY_PATH=folder), preexec_fn=become,
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8")
        return harness.Result(done.returncode, done.stdout, done.stderr,
                              done.args)
    finally:
        shutil.rmtree(folder)


def test_other_user():
    if os.geteuid() != 0:
        harness.skip("needs root, to become another user")
    code = "import time; print('ready', flush=True); time.sleep(1000)"
    with harness.running([sys.executable, "-c", code]) as target:
        for command in COMMANDS:
            one_line(as_nobody(command, target.pid), "ermission", "root")


def test_seccomp():
    """A filter that forbids to read other processes, as containers have."""
    if os.uname().machine != "x86_64":
        harness.skip("the filter below is for x86-64")

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    # Load the number of the call; process_vm_readv (310) and ptrace (101)
    # answer EPERM (1); everything else is let through.
    words = [(0x20, 0, 0, 0), (0x15, 1, 0, 310), (0x15, 0, 1, 101),
             (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
    packed = b"".join(
        code.to_bytes(2, "little") + bytes([yes, no]) +
        value.to_bytes(4, "little") for code, yes, no, value in words)
    text = ctypes.create_string_buffer(packed, len(packed))
    program = Filter(len(words), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)

    def forbid():
        libc.prctl(38, 1, 0, 0, 0)
        if libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")

    code = "import time; print('ready', flush=True); time.sleep(1000)"
    with harness.running([sys.executable, "-c", code]) as target:
        for command in COMMANDS:
            options = ["-d", "0.2"] if command == "attach" else []
            done = subprocess.run(
                [harness.CLI, command] + options + [str(target.pid)],
                preexec_fn=forbid, stdin=subprocess.DEVNULL,
                # LeakSanitizer would need ptrace.
                env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                encoding="utf-8")
            # Another way to the memory may be open; else the rule is named.
            if done.returncode != 0:
                one_line(harness.Result(done.returncode, done.stdout,
                                        done.stderr, done.args), "seccomp")


def test_debugger():
    """Held by another tracer, it can be sampled but not stopped."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = "import time; print('ready', flush=True); time.sleep(1000)"
    with harness.running([sys.executable, "-c", code]) as target:
        assert harness.cli("check", target.pid).status == 0
        with open("/proc/%d/status" % target.pid) as file:
            status = file.read()
        assert "TracerPid:\t0" in status and "State:\tS" in status, status
        if libc.ptrace(0x4206, target.pid, None, None) != 0:  # PTRACE_SEIZE
            harness.skip("this test may not trace")
        one_line(harness.cli("check", target.pid), "debugger",
                 str(os.getpid()))
        result = harness.cli("attach", "-d", "0.3", target.pid)
        assert result.status == 0, result


def test_check_tells_the_step():
    with harness.running(["sleep", "1000"], ready=None) as target:
        result = harness.cli("check", target.pid)
        lines = result.stdout.splitlines()
        assert lines[0].startswith("ok"), result
        assert lines[-1].startswith("failed"), result
        assert len(lines) == 3, result


if __name__ == "__main__":
    harness.main(test_no_process, test_zombie, test_not_python,
                 test_unknown_version, test_exits_meanwhile, test_other_user,
                 test_seccomp, test_debugger,
                 test_check_tells_the_step, each=False)
