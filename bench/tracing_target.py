"""One interpreter's part of bench/tracing.py: runs programs under each profiler
in turn, round by round, and prints seconds as JSON.

    tracing_target.py BUILD ROUNDS PROFILER,... [PROGRAM,...]
"""
import copy
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(sys.argv[1], "python"))


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def run_fib():
    fib(17)


def run_c_calls():
    items = []
    append = items.append
    for i in range(1500):
        len(items)
        append(i)
        isinstance(i, int)


DATA = {"a": [1, 2, {"b": (3, [4, 5])}] * 3, "c": ["text"] * 5, "d": {1: 2}}


def run_deepcopy():
    for _ in range(15):
        copy.deepcopy(DATA)


def make_many(n):
    space = {}
    exec("\n".join("def f%d(): pass" % i for i in range(n))
         + "\nall = [%s]" % ", ".join("f%d" % i for i in range(n)), space)
    return space["all"]


MANY = []


def run_many():
    for function in MANY:
        function()


def run_threads():
    threads = [threading.Thread(target=fib, args=(14,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# program, calls that it makes
PROGRAMS = {"fib": (run_fib, 5167), "C calls": (run_c_calls, 4500),
            "deepcopy": (run_deepcopy, None), "8 threads": (run_threads, None),
            "100,000 functions": (run_many, 100000)}


def stock():
    import cProfile
    return cProfile.Profile()


def ours():
    from libpyprof.tracing import Profile
    return Profile()


class Yappi:
    def __init__(self):
        import yappi
        self.yappi = yappi
        yappi.set_clock_type("wall")

    def enable(self):
        self.yappi.start(builtins=True)

    def disable(self):
        self.yappi.stop()
        self.yappi.clear_stats()


class VizTracer:
    def __init__(self):
        import viztracer
        self.tracer = viztracer.VizTracer(tracer_entries=300000, verbose=0)

    def enable(self):
        self.tracer.start()

    def disable(self):
        self.tracer.stop()
        self.tracer.clear()


class Nothing:
    def enable(self):
        pass

    disable = enable


PROFILERS = {
    "none": Nothing, "cProfile": stock, "libpyprof": ours,
    "yappi": Yappi, "viztracer": VizTracer,
}


def twice(make, program):
    """The first run takes in what is new; the second is what calls cost."""
    profiler = make()
    profiler.enable()
    program()
    start = time.perf_counter()
    program()
    seconds = time.perf_counter() - start
    profiler.disable()
    return seconds


def count(program):
    profiler = ours()
    profiler.enable()
    program()
    profiler.disable()
    return sum(entry.callcount for entry in profiler.getstats())


def main():
    rounds, names = int(sys.argv[2]), sys.argv[3].split(",")
    wanted = [title for title in PROGRAMS
              if len(sys.argv) < 5 or title in sys.argv[4]]
    profilers = {}
    for name in names:
        try:
            PROFILERS[name]()
        except Exception:
            continue
        profilers[name] = PROFILERS[name]
    if "100,000 functions" in wanted:
        MANY.extend(make_many(100000))
    found = {}
    for title in wanted:
        program, calls = PROGRAMS[title]
        times = {name: [] for name in profilers}
        for _ in range(rounds):
            for name, make in profilers.items():
                times[name].append(twice(make, program))
        found[title] = {"calls": calls or count(program), "seconds": times}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
