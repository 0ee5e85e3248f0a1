"""What it takes to start: `run` of an empty script, and attaching.

Started without arguments by sampling.py; with --inside it is itself the part
that runs in the sid root, where 3.15 and its profiler are.
"""
import json
import os
import subprocess
import sys
import time

if __name__ != "__main__":
    import common
    import peers
    from speed import NEWEST, SHAPES, interleaved, target


def once(command):
    """Seconds that a command takes; raises when it fails."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        raise OSError("does not end: " + " ".join(command)) from None
    took = time.perf_counter() - start
    if done.returncode != 0:
        raise OSError(done.stdout.decode("utf-8", "replace").strip())
    return took


def inside(pairs, ways):
    """{name: [seconds or None for a failure, reason of the last failure]},
    all in turn. What failed three times and never worked is left out."""
    found = {name: [[], ""] for name in ways}
    for number in range(pairs + 1):
        for name, command in ways.items():
            seconds, _ = found[name]
            took = None
            if not (len(seconds) > 2 and not any(seconds)):
                try:
                    took = once(command)
                except OSError as error:
                    found[name][1] = str(error)
            if number:  # the first warms up
                seconds.append(took)
    return found


def ways_to_run(python, script, cli, pyspy, own):
    ways = {"alone": [python, script],
            "libpyprof run": [cli, "run", "--collapsed", "-o", "/dev/null",
                              "--python", python, script],
            "py-spy record": [pyspy, "record", "-f", "raw", "-o", "/dev/null",
                              "-r", "1000", "--", python, script]}
    if own:
        ways["profiling.sampling run"] = [
            python, "-m", "profiling.sampling", "run", "--collapsed", "-o",
            "/tmp/pyprof-bench-start.txt", script]
    return ways


def running(plan):
    """Rows of the table of `run`."""
    script = common.temporary("empty.py")
    open(script, "w").close()
    pairs = 8 if plan.quick else 40
    cli = os.path.join(common.BUILD, "bin", "pyprof-cli")
    pyspy = os.path.join(peers.environment(), "bin", "py-spy")
    found = []
    outside = common.interpreter("3.13")
    results = []
    if outside is not None:
        common.note("run of an empty script, 3.13")
        results.append(("3.13", inside(pairs, ways_to_run(
            outside.command[0], script, cli, pyspy, False))))
    if common.interpreter(NEWEST) is not None:
        common.note("run of an empty script, 3.15")
        ways = ways_to_run("/usr/bin/python3.15", script, cli, pyspy, True)
        done = subprocess.run(
            peers.in_root(["/usr/bin/python3.15", os.path.abspath(__file__),
                           "--inside", str(pairs), json.dumps(ways)]),
            stdout=subprocess.PIPE, check=True)
        results.append((NEWEST, json.loads(done.stdout)))
    for python, by_name in results:
        alone = by_name["alone"][0]
        for name, (seconds, reason) in by_name.items():
            worked = [1000 * v for v in seconds if v]
            more = [1000 * (a - b) for a, b in zip(seconds, alone) if a and b]
            lost = len(seconds) - len(worked)
            lines = [line for line in reason.splitlines() if line.strip()]
            found.append([
                python, name, common.Spread(worked).text("%.1f"),
                common.Spread(more).text("%.1f") if name != "alone" else "",
                "%d: %s" % (lost, lines[0][:90]) if lost and lines else "0"])
    return found, pairs


def attaching(plan):
    """Rows of the table of `attach`: from the start of the command to the
    first sample, by its own account; and a whole run less what it sampled."""
    passes = 5 if plan.quick else 30
    tools = [peers.Ours("ours", "libpyprof"), peers.Python315(),
             peers.PySpy("py-spy", "py-spy, --nonblocking",
                         ["--nonblocking"])]
    with target(NEWEST, SHAPES[0]) as child:
        def way(tool):
            def one():
                short = 0.1 if isinstance(tool, peers.Ours) else 1
                run = tool.start(child.pid, 1000, short)
                if run.begun:
                    first = run.begun - run.child.started
                    run.finish()
                    return first, None
                run.finish()
                whole = run.child.seconds - run.seconds
                first = run.stats.get("first_sample_ns")
                return (first / 1e9 if first else None), whole
            return tool.key, one
        common.note("attaching")
        results, failures = interleaved(passes, [way(t) for t in tools])
    found = []
    for tool in tools:
        if tool.key in failures:
            found.append([tool.label, failures[tool.key], ""])
            continue
        columns = []
        for index in (0, 1):
            values = [1000 * r[index] for r in results[tool.key]
                      if r[index] is not None]
            columns.append(common.Spread(values).text("%.1f"))
        found.append([tool.label] + columns)
    return found, passes


def run(plan):
    """Starting."""
    first, pairs = running(plan)
    second, passes = attaching(plan)
    return ("""### Starting
A script that does nothing, alone and under a profiler, in turn, %d times;
milliseconds, median and quartiles, then the differences of the same pass.

""" % pairs + common.table(
        ["Python", "command", "ms", "more than alone", "failed"], first) + """

Attaching to a target 6 deep on 3.15, %d times; milliseconds. To the first
sample: from the start of the command, by what it says itself (for py-spy: until
it says that it samples). All but sampling: the whole command less the time in
which it sampled, so starting, attaching, writing and ending.

""" % passes + common.table(
        ["profiler", "to the first sample", "all but sampling"], second))


if __name__ == "__main__":
    print(json.dumps(inside(int(sys.argv[2]), json.loads(sys.argv[3]))))
