"""Drives a collector of Python 3.15's profiling.sampling through the profile of
pages.c, number for number: `pages_315.py FORMAT STACKS PATH`. Runs on 3.15;
prints a line of JSON.
"""
import json
import resource
import sys
import time

FUNCTIONS, FILES, THREADS = 4000, 200, 4
MASK = (1 << 64) - 1
state = 88172645463325252


def next_random():
    global state
    state ^= (state << 13) & MASK
    state ^= state >> 7
    state ^= (state << 17) & MASK
    return state


def next_stack():
    """As pages.c makes it: ((function, line), ...), root first."""
    depth = 12 + next_random() % 14
    function = 0
    stack = []
    for level in range(depth):
        bits = next_random()
        choice = 0
        while choice < 6 and bits & 7 == 7:
            choice += 1
            bits >>= 3
        function = (function * 31 + choice * 7 + level + 1) % FUNCTIONS
        line = 0 if level + 2 < depth else ((bits >> 20) & 0xffffffff) % 40
        stack.append((function, line))
    return tuple(stack)


def make_stacks(n):
    from _remote_debugging import FrameInfo, LocationInfo
    frames = {}

    def frame(key):
        made = frames.get(key)
        if made is None:
            function, line = key
            number = function % 997 + 1 + line
            made = frames[key] = FrameInfo((
                "/srv/app/package/module_%d.py" % (function % FILES),
                LocationInfo((number, number, -1, -1)),
                "Class%d.method_%d" % (function // 20, function), None))
        return made

    seen = set()
    stacks = []
    while len(stacks) < n:
        stack = next_stack()
        if stack not in seen:
            seen.add(stack)
            stacks.append([frame(key) for key in reversed(stack)])
    return stacks


def make_collector(name):
    if name == "flamegraph":
        from profiling.sampling.stack_collector import FlamegraphCollector
        return FlamegraphCollector(1000)
    from profiling.sampling.heatmap_collector import HeatmapCollector
    return HeatmapCollector(1000)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(name, n, path):
    from _remote_debugging import InterpreterInfo, ThreadInfo
    stacks = make_stacks(n)
    collector = make_collector(name)
    before = peak_mb()
    start = time.perf_counter()
    for i, stack in enumerate(stacks):
        thread = ThreadInfo((1001 + i % THREADS, 1, stack))
        times = [i * 1000] * (1 + i % 3)
        collector.collect([InterpreterInfo((0, [thread]))], times)
    collected = time.perf_counter()
    if hasattr(collector, "set_stats"):
        collector.set_stats(1000, n / 1000, 1000.0, 0.0, 0.0, mode=0)
    stdout, sys.stdout = sys.stdout, sys.stderr
    collector.export(path)
    sys.stdout = stdout
    print(json.dumps({
        "format": name, "stacks": n, "collect_s": collected - start,
        "write_s": time.perf_counter() - collected, "peak_mb": peak_mb(),
        "input_mb": before}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
