"""What the benchmarks share: statistics, tables, processes, targets.

Python 3.8+, standard library only. Whatever this module starts, it ends, at
the latest at exit; nothing is ended by its name.
"""
import atexit
import contextlib
import ctypes
import math
import mmap
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
ORACLE = os.path.join(ROOT, "tests", "oracle")
sys.path[:0] = [ORACLE, os.path.join(ROOT, "tests", "live")]
import harness  # noqa: E402

BUILD = os.path.abspath(os.environ.get("PYPROF_BUILD")
                        or os.path.join(ROOT, "build"))
CACHE = os.environ.get("LIBPYPROF_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
    "libpyprof")


def say(text=""):
    print(text, flush=True)


def note(text):
    """What goes on, for whoever waits; not part of the results."""
    print("... " + text, file=sys.stderr, flush=True)


# ---- Statistics.

def quantile(values, q):
    """By linear interpolation, as most tables have it."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


class Spread:
    """Median and quartiles of some numbers, and how sure the median is."""

    def __init__(self, values):
        self.values = list(values)
        self.n = len(self.values)
        if self.n:
            self.low, self.median, self.high = (
                quantile(self.values, q) for q in (0.25, 0.5, 0.75))
            # For a bell-shaped middle: 1.25 sigma / sqrt(n), and sigma is the
            # distance of the quartiles over 1.35.
            self.error = (1.253 * (self.high - self.low) / 1.349
                          / math.sqrt(self.n))

    def text(self, form="%.3g"):
        if not self.n:
            return "-"
        if self.n == 1:
            return form % self.median
        return "%s (%s to %s)" % tuple(
            form % v for v in (self.median, self.low, self.high))

    def plain(self, form="%.3g"):
        return form % self.median if self.n else "-"


def share_error(p, n):
    """Standard error of a share p seen in n samples."""
    return math.sqrt(max(p * (1 - p), 1.0 / max(n, 1)) / max(n, 1))


def thousands(number):
    return "{:,.0f}".format(number)


# ---- Tables, in Markdown, so that they go into docs/benchmarks.md as they are.

def table(head, rows):
    rows = [[str(cell) for cell in row] + [""] * (len(head) - len(row))
            for row in [head] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i])
                 for i, cell in enumerate(row)]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            marks = ["-" * widths[0]] + ["-" * (w - 1) + ":"
                                         for w in widths[1:]]
            lines.append("| " + " | ".join(marks) + " |")
    return "\n".join(lines)


def machine():
    """One line on the machine."""
    model = ""
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    virtual = ""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        virtual = subprocess.run(["systemd-detect-virt"],
                                 stdout=subprocess.PIPE,
                                 universal_newlines=True).stdout.strip()
    virtual = ", virtual (%s)" % virtual if virtual not in ("", "none") else ""
    return "%s, %d cores%s, Linux %s, %s" % (
        model, os.cpu_count(), virtual, platform.release(), platform.machine())


# ---- Processes.

_folder = None


def folder():
    """A temporary folder for this run, in /tmp, which every root sees."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="pyprof-bench-", dir="/tmp")
        atexit.register(shutil.rmtree, _folder, True)
    return _folder


_files = 0


def temporary(name):
    global _files
    _files += 1
    return os.path.join(folder(), "%d-%s" % (_files, name))


class Child:
    """A process that was started here, with what it prints in files."""

    def __init__(self, command, cwd=None, env=None):
        self.command = [str(part) for part in command]
        self.out = temporary("output")
        with open(self.out, "wb") as out:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
                env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1",
                         NO_COLOR="1", **(env or {})))
        self.started = time.monotonic()
        self.pid = self.popen.pid
        self.usage = None
        self.status = None
        _children.add(self)

    def text(self):
        with open(self.out, encoding="utf-8", errors="replace") as file:
            return file.read()

    def poll(self):
        """Whether it has ended; takes its resource usage when it has."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._ended(status, usage)
        return self.status is not None

    def _ended(self, status, usage):
        self.status = (os.WEXITSTATUS(status) if os.WIFEXITED(status)
                       else -os.WTERMSIG(status))
        self.popen.returncode = self.status
        self.usage = usage
        self.seconds = time.monotonic() - self.started
        _children.discard(self)

    def wait(self, seconds):
        """Its exit status; it is killed when it takes longer."""
        end = time.monotonic() + seconds
        while not self.poll():
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError("%s took more than %g s; it printed:\n%s" % (
                    self.command, seconds, self.text()[-2000:]))
            time.sleep(0.005)
        return self.status

    def wait_text(self, text, seconds=30):
        """Waits until it has printed `text`; False when it ended before."""
        end = time.monotonic() + seconds
        while text not in self.text():
            if self.poll() and text not in self.text():
                return False
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def signal(self, number):
        if not self.poll():
            os.kill(self.pid, number)

    def kill(self):
        if not self.poll():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            pid, status, usage = os.wait4(self.pid, 0)
            self._ended(status, usage)


_children = set()


@atexit.register
def _kill_all():
    for child in list(_children):
        child.kill()


def cpu_seconds(pid):
    """CPU time of all threads that a process has and had, in ns precision
    where the kernel has it for those that run, as seconds."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with contextlib.suppress(OSError):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                total += int(file.read().split()[0])
    return total / 1e9


def peak_memory(child):
    """Peak resident memory of an ended child, bytes."""
    return child.usage.ru_maxrss * 1024


# ---- C programs of this folder.

def compiled(name, *flags):
    """The program made from NAME.c; the compiler is the machine's."""
    source = os.path.join(HERE, name + ".c")
    made = os.path.join(folder(), name)
    if not os.path.exists(made):
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c11",
                        "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", made,
                        source] + list(flags) + ["-pthread"], check=True)
    return made


# ---- Interpreters and targets.

def interpreter(name):
    """One of the matrix, or None where it is missing."""
    for one in harness.interpreters():
        if one.name == name:
            return one
    return None


@contextlib.contextmanager
def target(python, program, *arguments):
    """A program that prints "ready", run by an interpreter; a Child."""
    child = Child(python.command + [program] + [str(a) for a in arguments])
    try:
        if not child.wait_text("ready"):
            raise RuntimeError("%s printed:\n%s" % (child.command,
                                                    child.text()))
        time.sleep(0.1)
        yield child
    finally:
        child.kill()


class Counter:
    """A number that a target counts up in a file that both have mapped."""

    def __init__(self):
        self.path = temporary("counter")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        self.value = ctypes.c_uint64.from_buffer(self.map)

    def read(self):
        return self.value.value
