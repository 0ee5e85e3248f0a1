"""Processor time that the profiler itself takes."""
import time

import common
import peers
from speed import FOR_AUSTIN, NEWEST, SHAPES, target


def measure(tool, pid, rate, seconds, every_thread):
    """(CPU seconds a round, share of a CPU): of the steady part of a run."""
    run = tool.start(pid, rate, None, every_thread)
    time.sleep(1.5)
    if run.child.poll():
        tool.read(run)
        raise peers.Failed("ended at once")
    before, start = common.cpu_seconds(run.child.pid), time.monotonic()
    time.sleep(seconds)
    after, end = common.cpu_seconds(run.child.pid), time.monotonic()
    run.finish()
    busy = (after - before) / (end - start)
    return busy / (run.rounds / run.seconds), busy


def cases():
    ours = peers.Ours("ours", "libpyprof")
    free = peers.Ours("free", "libpyprof, --placement free",
                      ["--placement", "free"])
    every = [(NEWEST, tool, 1000) for tool in (
        ours, free, peers.Python315(),
        peers.PySpy("py-spy", "py-spy, --nonblocking", ["--nonblocking"]),
        peers.PySpy("py-spy-stop", "py-spy (stops the target)"))]
    every += [(FOR_AUSTIN, ours, 1000), (FOR_AUSTIN, free, 1000),
              (FOR_AUSTIN, peers.Austin(), 1000)]
    return every


def run(plan):
    """Processor time of the profiler."""
    found = []
    seconds = 2 if plan.quick else 10
    for shape in SHAPES:
        reference = {}
        for python, tool, rate in cases():
            common.note("CPU time of %s, %s, %s" % (tool.label, shape.label,
                                                    python))
            head = ["%s, %s" % (shape.label, python), tool.label]
            try:
                with target(python, shape) as child:
                    each, busy = measure(tool, child.pid, rate, seconds,
                                         shape.every_thread)
            except peers.Failed as reason:
                found.append(head + [str(reason), "", ""])
                continue
            reference[(python, tool.key)] = each
            found.append(head + ["%.1f" % (each * 1e6), "%.2f %%"
                                 % (100 * busy), each, python])
        # Ratios need what comes later in the table.
        for row in found:
            if len(row) == 6:
                each, python = row[4:]
                other = reference.get((python, "3.15" if python == NEWEST
                                       else "austin"))
                row[4:] = ["%.2f" % (each / other) if other else ""]
    text = """### Processor time of the profiler
All of its threads, from the scheduler's own account, over %d s of a run at
1 kHz, by the rounds that it made. Ratios are to 3.15's own, on 3.14 to
austin's.

""" % seconds + common.table(
        ["target", "profiler", "us a round", "of a CPU",
         "to 3.15's (austin's)"], found)
    return text + "\n\n" + spinning(plan)


def spinning(plan):
    """That it sleeps between rounds, at rates below 50 kHz."""
    found = []
    seconds = 1 if plan.quick else 4
    for rate in (1000, 5000, 10000, 20000, 40000):
        row = ["%g kHz" % (rate / 1000)]
        for tool in (peers.Ours("free", "", ["--placement", "free"]),
                     peers.Python315()):
            try:
                with target(NEWEST, SHAPES[0]) as child:
                    each, busy = measure(tool, child.pid, rate, seconds, False)
                row += ["%.1f %%" % (100 * busy), "%.1f" % (each * 1e6),
                        common.thousands(busy / each)]
            except peers.Failed as reason:
                row += [str(reason), "", ""]
        found.append(row)
    return "Share of a CPU by rate (6 deep, free placement):\n\n" + (
        common.table(["rate asked", "libpyprof", "us a round", "rounds/s",
                      "profiling.sampling", "us a round", "rounds/s"], found))
