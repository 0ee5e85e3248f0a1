"""`pyprof-cli run`: each way of naming a target, and that the target runs as
it would by itself."""

import json
import os
import shutil
import signal
import subprocess
import sys

import harness

WORLD = harness.program("cli_world.py")
BUSY = "import time; e = time.time() + 0.2\nwhile time.time() < e: pass\n"


def write(folder, name, text, mode=0o644):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def samples(result):
    """The samples of a run, whose table is of no interest here."""
    for line in result.stderr.splitlines():
        if line.startswith("Captured "):
            return int(line.split()[1])
    raise AssertionError(result)


def test_world():
    """argv, stdin, environment, descriptors, signals: all as without us."""
    options = ["-o", "/dev/null", "--collapsed"]
    python = sys.executable
    for arguments in ([], ["-a", "--collapsed", "--", "-o", "x y", ""]):
        plain = subprocess.run(
            [python, WORLD, "5"] + arguments, input="some text",
            stdout=subprocess.PIPE, encoding="utf-8")
        ours = harness.cli("run", *options, "--python", python, WORLD, "5",
                           *arguments, input="some text")
        assert plain.returncode == ours.status == 5, ours
        # The numbers of descriptors of a listing have a changing one.
        assert json.loads(plain.stdout) == json.loads(ours.stdout), ours


def test_kinds():
    with harness.folder() as folder:
        script = write(folder, "busy.py", BUSY)
        package = os.path.join(folder, "package")
        os.mkdir(package)
        write(package, "__main__.py", "import sys\n" + BUSY +
              "print(sys.argv[1:], __name__, __package__)\n")
        write(package, "__init__.py", "")
        shell = write(folder, "wrapper", "#!/bin/sh\nexec %s \"$@\"\n"
                      % sys.executable, 0o755)
        entry = write(folder, "entry", "#!%s\nimport sys\n%ssys.exit(4)\n"
                      % (sys.executable, BUSY), 0o755)
        archive = shutil.make_archive(os.path.join(folder, "app"), "zip",
                                      package)
        cases = (
            ([script], 0), (["--", sys.executable, script], 0),
            (["-c", BUSY], 0), (["-c" + BUSY], 0), (["-qc", BUSY], 0),
            (["-m", "package", "a"], 0), (["--module", "package", "-x"], 0),
            (["-m", "--", "package"], 0), ([package], 0), ([archive], 0),
            (["--", shell, script], 0), (["--", entry], 4),
            (["--", "sh", "-c", "%s %s; exit 3" % (shell, script)], 1),
            (["--", "sh", "-c", "sleep 0.1; exec %s %s" % (shell, script)], 0),
            (["--", sys.executable, "-X", "utf8", "-c", BUSY], 0),
            (["--python", shell, script], 0),
        )
        for arguments, status in cases:
            result = harness.cli("run", *arguments, cwd=folder)
            if status == 1:  # its Python is a child of the shell
                assert result.status == 3, result
                assert "child process" in result.stderr, result
                continue
            assert result.status == status, result
            if "-qc" not in arguments:
                assert samples(result) > 0, result


def test_stdin_program():
    result = harness.cli("run", "-", "x", input=BUSY +
                         "import sys; print(sys.argv)")
    assert result.status == 0, result
    assert result.stdout.startswith("['-', 'x']"), result


def test_statuses():
    cases = (
        ("import sys; sys.exit(0)", 0), ("import sys; sys.exit(3)", 3),
        ("raise ValueError('x')", 1), ("import os; os._exit(9)", 9),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
        ("import os; os.abort()", 128 + 6),
        ("import sys; sys.exit('message')", 1),
    )
    for code, status in cases:
        for before in ("", BUSY):
            result = harness.cli("run", "-c", before + code)
            assert result.status == status, result
            assert "pyprof-cli:" not in result.stderr, result


def test_short_lives():
    with harness.folder() as folder:
        empty = write(folder, "empty.py", "")
        for _ in range(5):
            result = harness.cli("run", empty)
            assert result.status == 0, result
            assert samples(result) > 0, result
        broken = write(folder, "broken.py", "def (:\n")
        result = harness.cli("run", broken)
        assert result.status == 1 and "SyntaxError" in result.stderr, result
    result = harness.cli("run", "-m", "no.such.module")
    assert result.status == 1, result
    assert "No module named" in result.stderr or "Error" in result.stderr


def one_line(result, status, *words):
    lines = [line for line in result.stderr.splitlines()
             if line.startswith("pyprof-cli: ")]
    assert result.status == status and len(lines) == 1, result
    assert all(word in lines[0] for word in words), (words, result)


def test_failures():
    with harness.folder() as folder:
        one_line(harness.cli("run", os.path.join(folder, "no.py")), 1,
                 "no.py", "No such file")
        one_line(harness.cli("run", "true"), 1, "run -- true")
        one_line(harness.cli("run", "--", "no-such-command"), 1,
                 "no-such-command", "PATH")
        plain = write(folder, "plain", "text")
        one_line(harness.cli("run", "--", plain), 1, "plain",
                 "Permission denied")
        one_line(harness.cli("run", "--python", "no-python", "-c", ""), 1,
                 "no-python")
    one_line(harness.cli("run", "--", "true"), 1, "before Python started")
    one_line(harness.cli("run", "--", "sh", "-c", "exit 5"), 5, "status 5")
    one_line(harness.cli("run", "--", "sh", "-c", "kill -9 $$"), 137,
             "signal 9")


def test_duration():
    """The target is ended, too; that is no failure."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    result = harness.cli("run", "-d", "0.5", "--collapsed", "-o", "/dev/null",
                         "-c", code)
    assert result.status == 0, result
    assert samples(result) > 0, result
    gone(int(result.stdout))
    result = harness.cli("run", "-d", "100", "-c", "print(1)")
    assert result.status == 0, result


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        raise AssertionError("%d still runs: %r" % (pid, file.read()))


def test_exec_chain():
    """A Python that executes another program, which is Python as well."""
    with harness.folder() as folder:
        second = write(folder, "second.py", BUSY)
        first = write(folder, "first.sh",
                      "#!/bin/bash\nfor i in 1 2 3 4 5; do :; done\n"
                      "exec /usr/bin/env %s %s\n" % (sys.executable, second),
                      0o755)
        result = harness.cli("run", "--collapsed", "-o", "-", "--", first)
        assert result.status == 0, result
        assert any("second.py" in frame for stack in
                   harness.collapsed(result.stdout) for frame in stack), result


def test_ignored_signals():
    """nohup's ignored SIGHUP is ignored in the target as well."""
    def deafen():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    done = subprocess.run(
        [harness.CLI, "run", "--collapsed", "-o", "/dev/null", "--python",
         sys.executable, WORLD, "0"], preexec_fn=deafen,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert int(signal.SIGHUP) in json.loads(done.stdout)["ignored"], done


if __name__ == "__main__":
    harness.main(test_world, test_kinds, test_stdin_program, test_statuses,
                 test_short_lives, test_failures, test_duration,
                 test_exec_chain, test_ignored_signals, each=False)
