"""The highest rate that each reaches, and what the kernel alone allows."""
import json
import os
import subprocess

import common
import peers
from speed import FOR_AUSTIN, NEWEST, SHAPES, interleaved, target

FASTEST = 1000000


def tools(python):
    found = [peers.Ours("ours", "libpyprof", ["--placement", "free"])]
    if python == NEWEST:
        found.append(peers.Python315())
        found += [peers.PySpy("py-spy", "py-spy, --nonblocking",
                              ["--nonblocking"]),
                  peers.PySpy("py-spy-stop", "py-spy (stops the target)")]
    else:
        found.append(peers.Austin())
    return found


def writable(pid):
    """Start and end of the target's heap, for a plan made up."""
    with open("/proc/%d/maps" % pid) as file:
        for line in file:
            if line.rstrip().endswith("[heap]"):
                start, end = line.split()[0].split("-")
                return int(start, 16), int(end, 16)
    raise peers.Failed("no heap in the target's maps")


def plan_of(pid, shape):
    """File with the spans that a round of ours reads, once it has learnt.

    As it says itself (--plan-out); else as many spans of the same size, a page
    apart, in the target's heap.
    """
    path = common.temporary("plan")
    ours = peers.Ours("plan", "", ["--placement", "free", "--plan-out", path])
    try:
        ours.profile(pid, 10000, 1, shape.every_thread)
        if os.path.getsize(path) > 0:
            return path, "its own plan"
    except (peers.Failed, OSError):
        pass
    run = peers.Ours("ours", "").profile(pid, 10000, 1, shape.every_thread)
    spans = max(1, round(run.stats["read_spans"] / run.stats["rounds"]))
    size = max(8, round(run.stats["read_bytes"] / run.stats["rounds"] / spans))
    start, end = writable(pid)
    with open(path, "w") as file:
        for i in range(spans):
            address = start + i * max(4096, -(-size // 4096) * 4096)
            file.write("%x %d\n" % (min(address, end - size), size))
    return path, "as many spans of the same size"


def floor(pid, path, seconds):
    done = subprocess.run([common.compiled("floor"), str(pid), path,
                           str(seconds)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def measure(python, shape, plan):
    """Rows of the table for one target."""
    chosen = tools(python)
    with target(python, shape) as child:
        ways = []
        for tool in chosen:
            def once(tool=tool):
                common.note("%s, %s: %s" % (python, shape.label, tool.label))
                run = tool.profile(child.pid, FASTEST, plan.seconds,
                                   shape.every_thread)
                stacks = sum(stack.count for stack in run.stacks())
                return (run.rounds / run.seconds,
                        run.failed / max(1, run.attempted),
                        stacks / run.rounds)
            ways.append((tool.key, once))
        try:
            path, how = plan_of(child.pid, shape)

            def bare():
                result = floor(child.pid, path, plan.seconds)
                return result["rounds"] / result["seconds"], (
                    result["short"] / result["rounds"]), 0
            ways.append(("floor", bare))
        except peers.Failed as reason:
            how = str(reason)
        results, failures = interleaved(plan.passes, ways)
    return rows(python, shape, chosen, results, failures, how)


def ratio(results, key, other):
    """Spread of the ratios within a pass."""
    pairs = zip(results.get(key, ()), results.get(other, ()))
    return common.Spread([a[0] / b[0] for a, b in pairs])


def rows(python, shape, chosen, results, failures, how):
    reference = "3.15" if python == NEWEST else "austin"
    found = []
    names = [(tool.key, tool.label) for tool in chosen]
    names.append(("floor", "the bare system call (%s)" % how))
    for key, label in names:
        head = ["%s, %s" % (shape.label, python), label]
        if key not in results or not results[key]:
            found.append(head + [failures.get(key, how), "", "", "", "", ""])
            continue
        rate = common.Spread([r[0] for r in results[key]])
        lost = common.Spread([r[1] for r in results[key]])
        found.append(head + [
            common.thousands(max(rate.values)),
            common.thousands(rate.median) + " (%s to %s)" % (
                common.thousands(rate.low), common.thousands(rate.high)),
            ratio(results, key, reference).text("%.2f"),
            ratio(results, key, "floor").text("%.2f"),
            "%.1f %%" % (100 * lost.median),
            "%.1f" % results[key][0][2] if results[key][0][2] else ""])
    return found


def run(plan):
    """Highest rate."""
    found = []
    for python in (NEWEST, FOR_AUSTIN):
        for shape in SHAPES:
            try:
                found += measure(python, shape, plan)
            except peers.Failed as reason:
                found.append([shape.label + ", " + python, str(reason), "", "",
                              "", "", "", ""])
    return ("""### Highest rate
Rounds a second, all threads that were asked for in each. Each profiler in its
own way to its maximum: ours `-r 1000khz --placement free`, `profiling.sampling
-r 1000000`, py-spy `-r 1000000` until Ctrl-C, austin `-i 1`; %d passes of %d s
in turn, median and quartiles. Ratios are of runs of the same pass, to 3.15's
own (on 3.14 to austin's, which can't read 3.15) and to the bare system call
over the same spans. Errors are stacks that a profiler says it could not read.

""" % (plan.passes, plan.seconds) + common.table(
        ["target", "profiler", "best", "rounds/s", "to 3.15's (austin's)",
         "to the floor", "errors", "stacks a round"], found))
