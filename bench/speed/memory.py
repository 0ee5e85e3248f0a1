"""Memory of the profiler, over many samples of a program with many stacks."""
import contextlib
import os
import signal
import time

import common
import peers
from speed import NEWEST, Shape, target

FASTEST = 1000000

PROGRAMS = [Shape("service", ["service"]), Shape("compiler", ["compiler"])]


def peak(pid):
    """Highest resident memory so far, bytes. Not what wait4 says: that has
    the memory of the process that started it in it."""
    with contextlib.suppress(OSError):
        with open("/proc/%d/status" % pid) as file:
            for line in file:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
    return 0


def watched(tool, pid, rate, seconds):
    """A run of that long, and its peak memory."""
    run = tool.start(pid, rate, None)
    end = time.monotonic() + seconds
    highest = 0
    while time.monotonic() < end and not run.child.poll():
        highest = max(highest, peak(run.child.pid))
        time.sleep(0.1)
    return run, highest


def finish(run):
    """Ends it; peak memory until the very end, as the profile that is written
    then may take memory as well."""
    highest = 0
    run.child.signal(signal.SIGINT)
    while not run.child.poll():
        highest = max(highest, peak(run.child.pid))
        time.sleep(0.001)
    run.finish()
    return highest


def measure(tool, program, samples, longest):
    """Cells of the table for one run."""
    with target(NEWEST, program) as child:
        probe = tool.profile(child.pid, FASTEST, 2)
        speed = probe.rounds / probe.seconds
        run, sampling = watched(tool, child.pid, FASTEST,
                                min(longest, samples / speed * 1.05))
        writing = finish(run)
    different = len({stack.frames for stack in run.stacks()})
    return [common.thousands(run.rounds), "%.0f s" % run.seconds,
            common.thousands(different), "%.1f MB" % (sampling / 1e6),
            "%.1f MB" % (max(sampling, writing) / 1e6),
            "%.1f MB" % (os.path.getsize(run.out) / 1e6)]


def run(plan):
    """Memory of the profiler."""
    samples = 200000 if plan.quick else 10000000
    longest = 5 if plan.quick else 60
    tools = [(peers.Ours("ours", "libpyprof", ["--placement", "free"]), 900),
             (peers.Python315(), longest),
             (peers.PySpy("py-spy", "py-spy, --nonblocking",
                          ["--nonblocking"]), longest)]
    found = []
    for program in PROGRAMS:
        for tool, limit in tools:
            common.note("memory of %s, %s" % (tool.label, program.label))
            try:
                cells = measure(tool, program, samples, limit)
            except peers.Failed as reason:
                cells = [str(reason), "", "", "", "", ""]
            found.append([program.label, tool.label] + cells)
    return ("""### Memory of the profiler
Peak resident memory of the profiler at its highest rate with `--collapsed`,
which keeps whole stacks; until it is told to end, and with the writing of the
profile. Ours until it has %s samples, the others for at most %d s. *service*
does what services do, *compiler* works on syntax trees recursively.

""" % (common.thousands(samples), longest) + common.table(
        ["program", "profiler", "samples", "time", "different stacks",
         "peak, sampling", "peak, all", "size of the profile"], found))
