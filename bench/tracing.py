"""What tracing costs: this project's tracer and others, side by side.

    python3 bench/tracing.py [--quick] [--rounds N] [--only NAME,...] [--write]
                             [INTERPRETER...]

Each interpreter runs each program without a profiler, with its own cProfile,
with libpyprof and, where they can be installed, with yappi and viztracer, in
turn, round by round, in one process. Overhead is the time that a call takes
longer than without. The ratio to cProfile is taken of each round, so what
disturbs the machine disturbs both; its median and quartiles are shown.
"""
import argparse
import json
import os
import subprocess
import sys

import common
import report

TARGET = os.path.join(common.HERE, "tracing_target.py")
REQUIREMENTS = os.path.join(common.HERE, "requirements-tracing.txt")
VERSIONS = ["3.8", "3.10", "3.11", "3.12", "3.13", "3.15"]
PROGRAMS = ["fib", "C calls", "deepcopy", "8 threads", "100,000 functions"]
# program: overhead as a share of cProfile's, at most
BARS = {
    "3.8": (0.55, 0.55, 0.55), "3.9": (0.55, 0.55, 0.55),
    "3.10": (0.55, 0.55, 0.55), "3.11": (0.8, 0.8, 0.8),
}
NEW_BARS = (0.6, 0.5, 0.45)


def bar(version, program):
    bars = dict(zip(PROGRAMS, BARS.get(version, NEW_BARS)))
    # threads and many functions: against the bar of Python calls
    return bars.get(program) or 1.1 * bars["fib"]


def peers_of(python):
    """A folder with yappi and viztracer for an interpreter, or None. Those in
    the sid root have no pip, so they go without."""
    if python.chroot or python.threaded:
        return None
    folder = os.path.join(common.CACHE, "bench-tracing-" + python.name)
    with open(REQUIREMENTS) as file:
        wanted = file.read()
    stamp = os.path.join(folder, "requirements")
    if not os.path.exists(stamp) or open(stamp).read() != wanted:
        common.note("pip install, for %s: %s" % (python.name,
                                                 " ".join(wanted.split())))
        done = subprocess.run(
            python.command + ["-m", "pip", "install", "-q", "--upgrade",
                              "--target", folder, "-r", REQUIREMENTS],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)
        if done.returncode != 0:
            common.note("without yappi and viztracer: "
                        + done.stdout.strip().splitlines()[-1])
            return None
        with open(stamp, "w") as file:
            file.write(wanted)
    return folder


def measure(python, rounds, profilers, programs):
    environment = dict(os.environ)
    peers = peers_of(python) if "yappi" in profilers else None
    if peers:
        environment["PYTHONPATH"] = peers
    done = subprocess.run(
        python.command + [TARGET, common.BUILD, str(rounds),
                          ",".join(profilers), ",".join(programs)],
        stdout=subprocess.PIPE, universal_newlines=True, env=environment,
        check=True)
    return json.loads(done.stdout)


def nanoseconds(found, profiler):
    """Median overhead of a call."""
    times = found["seconds"]
    if profiler not in times:
        return None
    base = common.Spread(times["none"]).median
    return (common.Spread(times[profiler]).median - base) / found["calls"] * 1e9


def row(version, program, found):
    times = found["seconds"]
    ratios = [(ours - base) / (stock - base) for base, stock, ours in
              zip(times["none"], times["cProfile"], times["libpyprof"])
              if stock > base]
    spread = common.Spread(ratios)
    most = bar(version, program)

    def shown(profiler):
        value = nanoseconds(found, profiler)
        return "-" if value is None else "%.0f" % value
    base = common.Spread(times["none"]).median / found["calls"] * 1e9
    return [version, program, "%.0f" % base, shown("cProfile"),
            shown("libpyprof"),
            "%.2f (%.2f to %.2f)" % (spread.median, spread.low, spread.high),
            "%.2f%s" % (most, "" if spread.median <= most else " missed"),
            shown("yappi"), shown("viztracer")]


HEADINGS = ["Python", "program", "a call, ns", "cProfile", "libpyprof",
            "ratio (quartiles)", "at most", "yappi", "viztracer"]


def table(rows):
    lines = ["| %s |" % " | ".join(HEADINGS),
             "|%s|" % "|".join(["---"] * len(HEADINGS))]
    return "\n".join(lines + ["| %s |" % " | ".join(one) for one in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="a first look: too short to be quoted")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default=",".join(PROGRAMS), metavar="NAME,…")
    parser.add_argument("--no-peers", action="store_true",
                        help="without yappi and viztracer")
    parser.add_argument("--write", action="store_true",
                        help="put the table into docs/benchmarks.md")
    parser.add_argument("interpreter", nargs="*")
    options = parser.parse_args()
    rounds = options.rounds or (20 if options.quick else 200)
    profilers = ["none", "cProfile", "libpyprof"]
    if not options.no_peers:
        profilers += ["yappi", "viztracer"]
    rows = []
    for name in options.interpreter or VERSIONS:
        python = common.interpreter(name)
        if python is None:
            common.note("no Python %s here" % name)
            continue
        common.note("Python %s" % name)
        for program in options.only.replace("100,000", "100000").split(","):
            program = program.replace("100000", "100,000")
            if "threads" in program and python.version < (3, 12):
                continue  # cProfile follows no other threads there
            some = max(5, rounds // 20) if "functions" in program else rounds
            those = profilers
            if "functions" in program:  # yappi would take minutes
                those = [one for one in profilers if one != "yappi"]
            found = measure(python, some, those, [program])
            rows.append(row(name, program, found[program]))
    texts = [report.heading("Tracing: what a call costs", " ".join(
        ["./dev bench tracing"] + sys.argv[1:])),
        "Overhead of a recorded call, nanoseconds.", table(rows)]
    if options.quick:
        texts.insert(1, "A quick run: the figures are rough.")
    text = "\n\n".join(texts)
    common.say(text)
    if options.write:
        report.write("tracing", text)


if __name__ == "__main__":
    main()
