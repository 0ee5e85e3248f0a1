"""System calls of a round, counted by strace and by our own counters."""
import os
import re
import shutil

import common
import peers
from speed import FOR_AUSTIN, NEWEST, SHAPES, target

RATE = 100


def tools(python):
    found = [peers.Ours("ours", "libpyprof"),
             peers.Ours("free", "libpyprof, --placement free",
                        ["--placement", "free"])]
    if python == NEWEST:
        found.append(peers.Python315())
        found += [peers.PySpy("py-spy", "py-spy, --nonblocking",
                              ["--nonblocking"]),
                  peers.PySpy("py-spy-stop", "py-spy (stops the target)")]
    else:
        found.append(peers.Austin())
    return found


def first_child(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return int(file.read().split()[0])


def traced(tool, pid, seconds, shape):
    """({call: count}, Run) of one run under strace."""
    counts = common.temporary("strace")
    plain = tool.command

    def command(*arguments):
        return (["strace", "-f", "-qq", "-c", "-S", "calls", "-U",
                 "calls,name", "-o", counts] + plain(*arguments))

    tool.command = command
    try:
        run = tool.start(pid, RATE, seconds, shape.every_thread)
        # strace keeps signals to itself.
        run.child.signal = lambda number: os.kill(first_child(run.child.pid),
                                                  number)
        run.finish()
    finally:
        del tool.command
    found = {}
    with open(counts) as file:
        for line in file:
            match = re.match(r"\s*(\d+)\s+(\w+)$", line)
            if match and match.group(2) != "total":
                found[match.group(2)] = int(match.group(1))
    return found, run


def steady(tool, pid, shape, short, long):
    """Calls a round without those of starting up: a longer run minus a
    shorter one."""
    few, first = traced(tool, pid, short, shape)
    many, second = traced(tool, pid, long, shape)
    rounds = second.rounds - first.rounds
    if rounds <= 0:
        raise peers.Failed("too few rounds under strace")

    def each(names):
        return sum(many.get(n, 0) - few.get(n, 0) for n in names) / rounds

    return {"reads": each(("process_vm_readv",)),
            "writes": each(("process_vm_writev",)),
            "ptrace": each(("ptrace",)), "all": each(set(many) | set(few)),
            "rounds": rounds}


def own_counters(tool, pid, shape, plan):
    """Calls, spans and bytes of a round as ours counts them, at 1 kHz."""
    run = tool.profile(pid, 1000, max(2, plan.seconds), shape.every_thread)
    s = run.stats
    return ["%.3f" % (s[name] / s["rounds"]) if name == "read_calls" else
            "%.1f" % (s[name] / s["rounds"])
            for name in ("read_calls", "read_spans", "read_bytes")]


def run(plan):
    """System calls of a round."""
    if not shutil.which("strace"):
        return "### System calls of a round\nNot counted: there is no strace.\n"
    short, long = (1, 3) if plan.quick else (2, 6)
    found = []
    for python in (NEWEST, FOR_AUSTIN):
        for shape in SHAPES:
            for tool in tools(python):
                common.note("calls of %s, %s, %s" % (tool.label, shape.label,
                                                     python))
                head = ["%s, %s" % (shape.label, python), tool.label]
                try:
                    with target(python, shape) as child:
                        c = steady(tool, child.pid, shape, short, long)
                        own = ["", "", ""]
                        if isinstance(tool, peers.Ours):
                            own = own_counters(tool, child.pid, shape, plan)
                    found.append(head + ["%.2f" % c["reads"],
                                         "%.2f" % c["writes"],
                                         "%.2f" % c["ptrace"],
                                         "%.1f" % c["all"]] + own)
                except peers.Failed as reason:
                    found.append(head + [str(reason)] + [""] * 6)
    return ("""### System calls of a round
By `strace -f -c` at %d Hz: a run of %d s minus one of %d s, so that starting up
is not in it, over the rounds that the profiler reports for the difference.
The last three columns are our own counters at 1 kHz, starting up included.

""" % (RATE, long, short) + common.table(
        ["target", "profiler", "reads of memory", "writes", "ptrace",
         "all calls", "own: read calls", "spans", "bytes"], found))
