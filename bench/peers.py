"""The profilers that the benchmarks compare: how each is started, and what it
says that it did. Ours is one of them.

py-spy and austin come from the package index, pinned in requirements.txt, in a
virtual environment in the cache folder (`./dev bench` makes the same one).
CPython's own `profiling.sampling` comes with the 3.15 of the sid root. Austin
needs a newer C library than this machine may have, so it runs in that root.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import common
import stacks

REQUIREMENTS = os.path.join(common.HERE, "requirements.txt")


class Failed(Exception):
    """A profiler that can't do it; the text is its own reason, shortened."""


def environment():
    """Folder of the virtual environment with the peers."""
    folder = os.path.join(common.CACHE, "venv-bench")
    with open(REQUIREMENTS) as file:
        wanted = file.read()
    stamp = os.path.join(folder, "requirements")
    if not os.path.exists(stamp) or open(stamp).read() != wanted:
        common.note("pip install, for the benchmarks: "
                    + " ".join(wanted.split()))
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q",
                        "-r", REQUIREMENTS], check=True)
        shutil.copyfile(REQUIREMENTS, stamp)
    return folder


def in_root(command):
    """A command line that runs in the sid root."""
    return [os.path.join(common.ROOT, "tools", "interpreters"),
            "--sid"] + command


class Run:
    """One run of a profiler over a target, while it goes on and after.

    rounds     times that it looked at the target
    seconds    during which it did
    attempted  stacks that it tried to read
    failed     of these, given up by its own account
    stats      ours: the counters by name
    window     when it sampled, CLOCK_MONOTONIC, as well as can be known
    """

    def __init__(self, tool, child, out, seconds):
        self.tool, self.child, self.out, self.asked = tool, child, out, seconds
        self.rounds = self.attempted = self.failed = 0
        self.seconds = 0.0
        self.stats = {}
        self.begun = None
        self.window = None

    def finish(self):
        """Waits for its end, and reads what it says."""
        self.tool.end(self)
        ended = time.monotonic()
        self.tool.read(self)
        first = self.begun
        if first is None and self.stats.get("first_sample_ns"):
            first = self.child.started + self.stats["first_sample_ns"] / 1e9
        if first is None:
            first = ended - self.seconds  # it takes little time to end
        self.window = first, first + self.seconds
        return self

    def stacks(self):
        return list(self.tool.parse(self.out))


def threads_of(run):
    """Number of threads that a run saw, at least 1."""
    return len({stack.tid for stack in run.tool.parse(run.out)}) or 1


class Tool:
    """A way of profiling. `key` is short and unique, `label` for tables."""

    # What it prints when it is about to take the first sample, if it does.
    starts = None

    def __init__(self, key, label):
        self.key, self.label = key, label

    def start(self, pid, rate, seconds, every_thread=False):
        """Begins to profile. `seconds` None: until it is told to stop."""
        out = common.temporary(self.key)
        command = self.command(pid, rate, seconds, every_thread, out)
        run = Run(self, common.Child(command), out, seconds)
        if self.starts and run.child.wait_text(self.starts):
            run.begun = time.monotonic()
        return run

    def profile(self, pid, rate, seconds, every_thread=False):
        return self.start(pid, rate, seconds, every_thread).finish()

    def end(self, run):
        run.child.wait((run.asked or 0) * 3 + 60)

    def fail(self, run):
        """Raises with the first line that looks like a reason."""
        lines = [line.strip() for line in run.child.text().splitlines()]
        for line in lines:
            if re.search(r"(?i)error|can't|cannot|fail|unsupported|denied|not ",
                         line) and "rate" not in line:
                line = re.sub(r"^\W+|\x1b\[[0-9;]*m", "", line)
                raise Failed(line.split(". ")[0][:90])
        raise Failed("ended with status %s: %s" % (
            run.child.status, (lines or ["no word"])[-1][:80]))

    def number(self, pattern, run):
        match = re.search(pattern, run.child.text())
        if not match:
            self.fail(run)
        return float(match.group(1).replace(",", ""))


class Ours(Tool):
    def __init__(self, key="ours", label="libpyprof", options=()):
        super().__init__(key, label)
        self.options = list(options)
        self.path = os.path.join(common.BUILD, "bin", "pyprof-cli")

    def command(self, pid, rate, seconds, every_thread, out):
        if not os.path.exists(self.path):
            raise Failed("not built: no %s" % self.path)
        return ([self.path, "attach", "-r", "%d" % rate, "--collapsed",
                 "-o", out, "--stats-json", out + ".json"]
                + (["-d", "%g" % seconds] if seconds else [])
                + (["-a"] if every_thread else []) + self.options
                + [str(pid)])

    def end(self, run):
        if run.asked is None:
            run.child.signal(signal.SIGINT)
        super().end(run)

    def read(self, run):
        try:
            with open(run.out + ".json") as file:
                run.stats = stats = json.load(file)
        except (OSError, ValueError):
            self.fail(run)
        run.rounds, run.attempted = stats["rounds"], stats["attempted"]
        run.failed = stats["torn"] + stats["unreadable"]
        run.seconds = stats["elapsed_ns"] / 1e9

    def parse(self, out):
        with open(out, encoding="utf-8", errors="surrogateescape") as file:
            return stacks.parse_collapsed(file.read())


class Python315(Tool):
    def __init__(self, key="3.15", label="profiling.sampling", options=()):
        super().__init__(key, label)
        self.options = list(options)

    def command(self, pid, rate, seconds, every_thread, out):
        python = common.interpreter("3.15")
        if python is None:
            raise Failed("no Python 3.15 here")
        duration = ["-d", "%d" % max(1, round(seconds))] if seconds else []
        return (python.command + ["-m", "profiling.sampling", "attach", "-r",
                                  "%d" % rate, "--collapsed", "-o", out]
                + duration + (["-a"] if every_thread else [])
                + self.options + [str(pid)])

    def end(self, run):
        if run.asked is None:
            run.child.signal(signal.SIGINT)
        super().end(run)

    def read(self, run):
        run.rounds = self.number(r"Captured ([\d,]+) sample", run)
        run.seconds = self.number(r"in ([\d.,]+) seconds", run)
        errors = self.number(r"Error rate: ([\d.,]+)", run)
        # It drops a round whole: as many stacks as the others have.
        failed = round(run.rounds * errors / 100)
        seen = sum(stack.count for stack in self.parse(run.out))
        each = seen / max(1, run.rounds - failed) or 1
        run.failed = round(failed * each)
        run.attempted = round(run.rounds * each)

    def parse(self, out):
        if not os.path.exists(out):
            return []  # it writes no file when it has nothing
        with open(out, encoding="utf-8", errors="replace") as file:
            return stacks.parse_collapsed(file.read())


class PySpy(Tool):
    """Its -d is a number of samples, so it is stopped by Ctrl-C instead. One
    sample is one thread."""

    starts = "Sampling process"

    def __init__(self, key="py-spy", label="py-spy", options=()):
        super().__init__(key, label)
        self.options = list(options)

    def command(self, pid, rate, seconds, every_thread, out):
        return ([os.path.join(environment(), "bin", "py-spy"), "record", "-i",
                 "-t", "-f", "raw", "-r", "%d" % rate, "-o", out, "-p",
                 str(pid)] + self.options)

    def end(self, run):
        if run.asked and run.begun:
            time.sleep(max(0.0, run.begun + run.asked - time.monotonic()))
        if run.begun:
            run.seconds = time.monotonic() - run.begun
            run.child.signal(signal.SIGINT)
        run.child.wait(60)

    def read(self, run):
        run.attempted = self.number(r"Samples: (\d+)", run)
        run.failed = self.number(r"Errors: (\d+)", run)
        run.rounds = run.attempted / threads_of(run)

    def parse(self, out):
        with open(out, encoding="utf-8", errors="replace") as file:
            return stacks.parse_pyspy(file.read())


class Austin(Tool):
    """One sample is one thread."""

    def __init__(self, key="austin", label="austin"):
        super().__init__(key, label)

    def command(self, pid, rate, seconds, every_thread, out):
        program = os.path.join(environment(), "bin", "austin")
        exposure = ["-x", "%d" % max(1, round(seconds))] if seconds else []
        return in_root([program, "-i", "%d" % max(1, round(1e6 / rate))]
                       + exposure + ["-o", out, "-p", str(pid)])

    def end(self, run):
        if run.asked is None:
            run.child.signal(signal.SIGINT)
        super().end(run)

    def read(self, run):
        text = re.sub(r"\x1b\[[0-9;]*m", "", run.child.text())
        match = re.search(r"Error rate[ .]*(\d+)/(\d+)", text)
        time_ = re.search(r"Total duration[ .]*([\d.]+)s", text)
        if not match or not time_:
            self.fail(run)
        run.failed, run.attempted = int(match.group(1)), int(match.group(2))
        run.seconds = float(time_.group(1))
        run.rounds = run.attempted / threads_of(run)

    def parse(self, out):
        with open(out, "rb") as file:
            return stacks.parse_mojo(file.read())
