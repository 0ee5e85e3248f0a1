"""What tests over the interpreters share; Python 3.8+, standard library only.

A test is a script tests/{live,golden,oracle}/test_*.py, run by ctest through
tests/run_live.py, or by hand:

    PYPROF_BUILD=build-test python3 tests/live/test_NAME.py [INTERPRETER...]

The shape of a script in another folder than live/ (in live/, without the first
two lines):

    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
    import harness

    def test(interpreter):
        with harness.target(interpreter, "spin.py", "3") as target:
            result = harness.cli("attach", target.pid, "-d", "1",
                                 "--collapsed", "-o", "-")
            stacks = harness.collapsed(result.stdout)
            assert any("spin" in s for s in stacks), result

    if __name__ == "__main__":
        harness.main(test)

Programs that are targets live in a folder programs/ beside the test (or are
given as an absolute path). They print a line "ready" (flushed) when there is
something to see, and then do what they do until they are killed.

Whatever this module starts, it ends: at the end of the `with` block, and again
at exit, with all that it started in turn.
"""

import atexit
import collections
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("PYPROF_BUILD")
                        or os.path.join(ROOT, "build-test"))
CLI = os.path.join(BUILD, "bin", "pyprof-cli")
SKIPPED = 77

# Nothing is timed by this; it only ends what hangs.
PATIENCE = 120


class Skip(Exception):
    """A test that can't be run here; the text says why."""


def skip(reason):
    raise Skip(reason)


# ---- Interpreters.

class Interpreter:
    """One Python of the matrix.

    name      as in `tools/interpreters --list`, such as "3.13t"
    command   list that starts it, arguments follow
    version   (3, 13)
    threaded  True for a free-threaded build
    debug     True for a debug build
    chroot    True when it runs in a root and mount namespace of its own
    """

    def __init__(self, name, command):
        self.name = name
        self.command = command
        digits = name.split("-")[0].rstrip("t")
        self.version = tuple(int(part) for part in digits.split("."))
        self.threaded = name.endswith("t")
        self.debug = name.endswith("-dbg")
        self.chroot = "/libpyprof/bin/" in command[0]

    def __repr__(self):
        return self.name


def interpreters():
    """Those that are there, in the order of their versions."""
    table = os.environ.get("PYPROF_INTERPRETERS")
    if table:
        with open(table) as file:
            lines = file.read()
    else:
        lines = subprocess.run(
            [os.path.join(ROOT, "tools", "interpreters"), "--list"],
            stdout=subprocess.PIPE, universal_newlines=True,
            check=True).stdout
    found = []
    for line in lines.splitlines():
        name, _, command = line.partition("\t")
        found.append(Interpreter(name, shlex.split(command)))
    return found


def interpreter(name):
    """One of them by name; the test is skipped when it is not there."""
    for one in interpreters():
        if one.name == name:
            return one
    raise Skip("no Python %s here" % name)


# ---- Processes.

_started = []


class Process:
    """A program that was started in a process group of its own.

    pid     its process id. Launchers of the matrix only exec, so it is the
            interpreter's own.
    lines   what it printed so far: lines without their newlines
    """

    def __init__(self, command, env=None, cwd=None, stdin=subprocess.DEVNULL):
        self.command = [str(part) for part in command]
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._popen = subprocess.Popen(
            self.command, stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd,
            env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **(env or {})))
        self.pid = self._popen.pid
        self.stdin = self._popen.stdin
        _started.append(self)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._popen.stdout:
            with self._news:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_line(self, start="ready"):
        """The first line that begins with `start`, once it is printed."""
        def found():
            return [line for line in self.lines if line.startswith(start)]

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, PATIENCE)
            lines = found()
        if not lines:
            raise AssertionError("no line %r from %s, which printed:\n%s" % (
                start, self.command, "\n".join(self.lines)))
        return lines[0]

    def alive(self):
        return self._popen.poll() is None

    def signal(self, number):
        self._popen.send_signal(number)

    def wait(self):
        """Its exit status, once it ends by itself."""
        status = self._popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def kill(self):
        """Ends it and all of its process group; safe to call twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self in _started:
            _started.remove(self)


@atexit.register
def _kill_all():
    for process in list(_started):
        process.kill()


@contextlib.contextmanager
def running(command, ready="ready", **more):
    """Any command, killed at the end of the block; a Process.

    ready   wait for a line that begins so; None: don't wait
    """
    process = Process(command, **more)
    try:
        if ready is not None:
            process.wait_line(ready)
        yield process
    finally:
        process.kill()


def program(name):
    """Path of a target: programs/NAME beside the running test."""
    if os.path.isabs(name):
        return name
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    return os.path.join(folder, "programs", name)


def target(python, name, *arguments, **more):
    """programs/NAME run by an interpreter, as `running` does."""
    return running(python.command + [program(name)] + list(arguments), **more)


@contextlib.contextmanager
def folder():
    """A temporary folder that targets of every root see at the same path."""
    path = tempfile.mkdtemp(prefix="pyprof-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


Result = collections.namedtuple("Result", "status stdout stderr command")


def cli(*arguments, env=None, cwd=None, input=None, timeout=PATIENCE):
    """Runs pyprof-cli to its end; a Result with text as str."""
    command = [CLI] + [str(argument) for argument in arguments]
    done = subprocess.run(
        command, env=dict(os.environ, **(env or {})), cwd=cwd, input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
        encoding="utf-8", errors="replace")
    return Result(done.returncode, done.stdout, done.stderr, command)


def cache(*parts):
    """A path in the cache folder of ./dev, which may not be there."""
    base = os.environ.get("LIBPYPROF_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        "libpyprof")
    return os.path.join(base, *parts)


def consumer(*parts):
    """A program that reads our files, installed by `./dev test golden`."""
    path = cache(*parts)
    if not os.path.exists(path):
        raise Skip("no %s: ./dev test golden installs it" % path)
    return path


# ---- What comes out.

def judges_itself(python, program):
    """Runs a program that tests this build and knows whether it is right; its
    last line is shown."""
    done = subprocess.run(python.command + [program, BUILD],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=PATIENCE)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout


def collapsed(text):
    """{(frame, frame, ...): samples} of a collapsed file, root first.

    The first element is what the line begins with, a thread's mark if any.
    """
    stacks = collections.Counter()
    for line in text.splitlines():
        stack, space, count = line.rpartition(" ")
        assert space and count.isdigit(), "not a collapsed line: %r" % line
        stacks[tuple(stack.split(";"))] += int(count)
    return stacks


def leaf_shares(stacks):
    """{leaf: share of all samples} of what `collapsed` returned."""
    total = sum(stacks.values())
    leaves = collections.Counter()
    for stack, count in stacks.items():
        leaves[stack[-1]] += count
    return {leaf: count / total for leaf, count in leaves.items()}


# ---- Running a test.

def _attempt(test, *arguments):
    """"passed", "skipped" or "failed"; what went wrong is printed."""
    try:
        test(*arguments)
        return "passed"
    except Skip as reason:
        print("    skipped: %s" % reason, flush=True)
        return "skipped"
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return "failed"
    finally:
        _kill_all()


def main(*tests, each=True):
    """Runs `test(interpreter)` for each interpreter, or `test()` once.

    Exits 0 when all passed, 1 when one failed, 77 when one was skipped and
    none failed. Names on the command line choose among the interpreters.
    """
    wanted = sys.argv[1:]
    subjects = [(one,) for one in interpreters()
                if not wanted or one.name in wanted] if each else [()]
    outcomes = collections.Counter()
    for test in tests:
        for subject in subjects:
            label = " ".join([test.__name__] + [str(one) for one in subject])
            print("%s ..." % label, flush=True)
            outcome = _attempt(test, *subject)
            print("%s: %s" % (label, outcome), flush=True)
            outcomes[outcome] += 1
    print(", ".join("%d %s" % (n, name) for name, n in outcomes.items()))
    if outcomes["failed"] or not outcomes:
        sys.exit(1)
    sys.exit(SKIPPED if outcomes["skipped"] else 0)
