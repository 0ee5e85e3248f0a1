"""What being sampled costs the target, by the target's own count of work."""
import subprocess
import time

import common
import peers
from speed import FOR_AUSTIN, NEWEST, SHAPES, target

WINDOW_MS = 50


class Case:
    """One profiler at one rate.

    told  rate that the profiler is told. profiling.sampling and py-spy make up
          for the ticks that they lost while they were stopped, as soon as they
          go on. They are on a third of the time: told a third of the rate,
          they make all of it while they are
    """

    def __init__(self, tool, rate, place, told=None, python=NEWEST):
        self.tool, self.rate, self.place = tool, rate, place
        self.told, self.python = told or rate, python


def cases():
    def ours(place):
        return peers.Ours("ours", "libpyprof, --placement " + place,
                          ["--placement", place])

    return [Case(ours("target"), 1000, "target"),
            Case(ours("free"), 1000, "free"),
            Case(ours("free"), 10000, "free"),
            Case(peers.Python315(), 1000, "free", 333),
            Case(peers.PySpy("py-spy", "py-spy, --nonblocking",
                             ["--nonblocking"]), 1000, "free", 333),
            Case(peers.PySpy("py-spy-stop", "py-spy (stops the target)"),
                 1000, "free", 333),
            Case(ours("target"), 1000, "target", python=FOR_AUSTIN),
            Case(peers.Austin(), 1000, "free", python=FOR_AUSTIN)]


def measure(case, plan):
    """Rows (nothing, baseline, sampler, wakes, ns on) and rounds a second."""
    counter = common.Counter()
    with target(case.python, SHAPES[0], counter.path) as child:
        run = case.tool.start(child.pid, case.told, None)
        time.sleep(2)  # so that it is past its start
        if run.child.poll():
            case.tool.read(run)
            raise peers.Failed("ended at once")
        done = subprocess.run(
            [common.compiled("cost"), str(child.pid), counter.path,
             str(run.child.pid), str(case.rate), case.place,
             str(plan.triples), str(WINDOW_MS)],
            stdout=subprocess.PIPE, check=True, universal_newlines=True)
        try:
            run.finish()
        except peers.Failed:
            pass
    rows = [[float(cell) for cell in line.split()]
            for line in done.stdout.splitlines()]
    # On before and after as well, at the rate that it was told.
    on = sum(row[4] for row in rows) / 1e9
    outside = max(0.0, run.seconds - 3 * on) * case.told
    return rows, (run.rounds - outside) / on if on else 0.0


def lost(spread):
    """What is missing from 1, in percent, with its quartiles."""
    return "%.2f %% (%.2f to %.2f)" % tuple(
        100 * (1 - x) for x in (spread.median, spread.high, spread.low))


def analyse(rows):
    """(cost, baseline's cost, their ratio, windows dropped).

    A profiler that was stopped while it held the target leaves windows in
    which the target does nothing; they say nothing of cost and are dropped.
    """
    usual = common.quantile([row[0] for row in rows], 0.5)
    kept = [row for row in rows
            if row[0] > 0.2 * usual and row[1] > 0.2 * usual]
    sampler = common.Spread([row[2] / row[0] for row in kept])
    baseline = common.Spread([row[1] / row[0] for row in kept])
    times = (1 - sampler.median) / (1 - baseline.median) if (
        baseline.median < 1) else float("inf")
    return sampler, baseline, times, len(rows) - len(kept)


def run(plan):
    """Cost to the target."""
    found = []
    for case in cases():
        common.note("cost of %s at %d Hz on %s" % (case.tool.label, case.rate,
                                                   case.python))
        head = ["%s, %s" % (case.tool.label, case.python),
                "%g kHz" % (case.rate / 1000)]
        try:
            rows, rate = measure(case, plan)
        except peers.Failed as reason:
            found.append(head + [str(reason), "", "", "", ""])
            continue
        sampler, baseline, times, dropped = analyse(rows)
        found.append(head + [
            lost(sampler), "%.2f" % (100 * sampler.error), lost(baseline),
            "%.2f" % times if case.place == "target" else "-",
            "%d, %d" % (sampler.n, dropped),
            common.thousands(rate)])
    return ("""### Cost to the target
The target (6 deep) counts its own work in shared memory. Windows of %d ms take
turns, in an order drawn anew for each triple: nothing; a thread that only wakes
up at that rate and makes one 64-byte read, on the target's CPU where the
profiler is there, else off it; the profiler. A profiler is switched by SIGSTOP
and SIGCONT; one that makes up for lost ticks is told a third of the rate, so
that it makes all of it while it is on. Work lost against the window of the same
triple without anything: median and quartiles, then the standard error of the
median.

""" % WINDOW_MS + common.table(
        ["profiler", "rate", "work lost", "+-", "lost to the bare thread",
         "times the bare thread", "triples, dropped", "rounds/s while on"],
        found))
