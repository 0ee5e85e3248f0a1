"""Memory of the profiler, over many samples of a program with many stacks."""
import contextlib
import os
import time

import common
import peers
from speed import NEWEST, Shape, target

MANY = Shape("many stacks", ["many"])


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


def finish(run, highest):
    """The profile is written in the end, which may take memory as well."""
    import signal
    run.child.signal(signal.SIGINT)
    while not run.child.poll():
        highest = max(highest, peak(run.child.pid))
        time.sleep(0.001)
    run.finish()
    return highest


def measure(tool, rate, samples, longest):
    """[rounds, seconds, different stacks, bytes] of one run."""
    with target(NEWEST, MANY) as child:
        probe = tool.profile(child.pid, rate, 2)
        speed = probe.rounds / probe.seconds
        run, highest = watched(tool, child.pid, rate,
                               min(longest, samples / speed * 1.05))
        highest = finish(run, highest)
    lines = len({stack.frames for stack in run.stacks()})
    return [common.thousands(run.rounds), "%.0f s" % run.seconds,
            common.thousands(lines), "%.1f MB" % (highest / 1e6),
            "%.1f MB" % (os.path.getsize(run.out) / 1e6)]


def run(plan):
    """Memory of the profiler."""
    samples = 200000 if plan.quick else 10000000
    longest = 5 if plan.quick else 60
    cases = [(peers.Ours("ours", "libpyprof", ["--placement", "free"]),
              1000000, samples, 600),
             (peers.Python315(), 1000000, samples, longest),
             (peers.PySpy("py-spy", "py-spy, --nonblocking",
                          ["--nonblocking"]), 1000000, samples, longest)]
    found = []
    for tool, rate, wanted, limit in cases:
        common.note("memory of %s" % tool.label)
        try:
            found.append([tool.label] + measure(tool, rate, wanted, limit))
        except peers.Failed as reason:
            found.append([tool.label, str(reason), "", "", "", ""])
    return ("""### Memory of the profiler
Peak resident memory while it samples a program with very many stacks (it
parses, prints, compares and formats the standard library's sources) at its
highest rate, and writes the profile. Ours until it has %s samples, the others
for at most %d s.

""" % (common.thousands(samples), longest) + common.table(
        ["profiler", "samples", "time", "different stacks", "peak memory",
         "size of the profile"], found))
