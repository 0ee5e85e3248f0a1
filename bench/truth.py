"""How true: programs that know their own truth, under several profilers.

    python3 bench/truth.py [--quick] [--python 3.15,3.14] [--write]
    python3 bench/truth.py --million [--python ...] [--write]

The programs are those of tests/oracle/programs, and so are the rules by which
their stacks are judged. The build that is measured is build/, or that in
$PYPROF_BUILD. --million takes a million samples of ours alone and counts the
impossible stacks. --write puts the tables into docs/benchmarks.md.
"""
import argparse
import contextlib
import json
import os
import sys

import common
import judge
import legal
import peers
import report

RATE = 1000

# Programs that are there for their stacks, and those that know their shares.
LEGALITY = [("chains.py", ["10"]), ("chains.py", ["60"]), ("walk.py", []),
            ("generators.py", []), ("asynchronous.py", []),
            ("exceptions.py", []), ("recursion.py", ["300"]),
            ("execs.py", []), ("threads10.py", [])]
SHARES = [("shares.py", ["three"]), ("shares.py", ["tail"]),
          ("shares.py", ["mixed"]), ("shares.py", ["threads"])]
EVERY_THREAD = ("threads10.py", "threads")


def tools():
    return [peers.Ours("ours", "libpyprof"),
            peers.Ours("free", "libpyprof, --placement free",
                       ["--placement", "free"]),
            peers.Ours("stop", "libpyprof, --blocking", ["--blocking"]),
            peers.Python315("3.15", "profiling.sampling"),
            peers.Python315("3.15-stop", "profiling.sampling, --blocking",
                            ["--blocking"]),
            peers.PySpy("py-spy", "py-spy, --nonblocking",
                        ["--nonblocking"]),
            peers.PySpy("py-spy-stop", "py-spy (stops the target)"),
            peers.Austin()]


# Whose leaves are taken for true: these stop the target for each sample.
REFERENCES = ["py-spy-stop", "3.15-stop", "stop"]


class Tally:
    """All runs of one profiler over one program."""

    def __init__(self):
        self.attempted = self.failed = 0
        self.windows = []  # rows (stacks, start, end)

    def add(self, run):
        self.attempted += run.attempted
        self.failed += run.failed
        self.windows.append((run.stacks(),) + run.window)

    def stacks(self):
        return [stack for stacks, _, _ in self.windows for stack in stacks]


def label(program, arguments):
    return " ".join([program[:-3]] + arguments)


@contextlib.contextmanager
def running(python, program, arguments, life):
    """An oracle program: (Child, function that ends it and gives its truth)."""
    path = common.temporary("truth.json")

    def truth():
        child.signal(15)
        child.wait(30)
        with open(path) as file:
            return json.load(file)

    with common.target(python, os.path.join(common.ORACLE, "programs",
                                            program),
                       path, life, *arguments) as child:
        yield child, truth


def measure(python, program, arguments, seconds, passes, chosen):
    """({key: Tally}, {key: why it failed}, the program's truth)."""
    tallies, failures = {}, {}
    every = any(word in EVERY_THREAD for word in [program] + arguments)
    life = 60 + len(chosen) * passes * (seconds + 30)
    with running(python, program, arguments, life) as (child, truth):
        for number in range(passes):
            for tool in chosen[number % len(chosen):] + (
                    chosen[:number % len(chosen)]):
                if tool.key in failures:
                    continue
                common.note("%s, %s: %s" % (python, label(program, arguments),
                                            tool.label))
                try:
                    run = tool.profile(child.pid, RATE, seconds, every)
                    tallies.setdefault(tool.key, Tally()).add(run)
                except peers.Failed as reason:
                    failures[tool.key] = str(reason)
        return tallies, failures, truth()


def share_rows(tally, truth):
    """Rows (function, measured, sampled, error), over all windows."""
    sums = {}
    for stacks, start, end in tally.windows:
        for clock in truth["clocks"]:
            measured = judge.measured_shares(clock, start, end)
            sampled, n = judge.sampled_shares(clock["names"], stacks)
            for name in clock["names"]:
                row = sums.setdefault(name, [0.0, 0.0, 0])
                row[0] += measured[name] * n
                row[1] += sampled[name] * n
                row[2] += n
    return [(name, m / n, s / n, n) for name, (m, s, n) in sums.items() if n]


def percent(part, whole):
    return "%.2f %%" % (100.0 * part / whole) if whole else "-"


def legality_row(tool, tally, truth, reference):
    stacks = tally.stacks()
    total, whole, torn, wrong = legal.verdict(legal.Rule(truth, lines=False),
                                              stacks)
    _, _, _, lines = legal.verdict(legal.Rule(truth), stacks)
    functions = sum(wrong.values())
    bias = "-"
    if reference:
        difference, error, leaf = judge.largest_bias(
            [window[0] for window in tally.windows], reference)
        bias = "%+.1f (+-%.1f) %s" % (100 * difference, 100 * error,
                                      leaf[1] if leaf else "")
    attempted = max(tally.attempted, total)
    return [tool.label, common.thousands(attempted), percent(whole, attempted),
            percent(torn, attempted), percent(functions, whole + torn),
            percent(sum(lines.values()) - functions, whole + torn), bias]


def reference_for(tool, tallies):
    """Passes of all profilers that stop the target, but of itself."""
    return [stacks for key in REFERENCES
            if key in tallies and key != tool.key
            for stacks, _, _ in tallies[key].windows]


def one_table(python, program, arguments, seconds, passes):
    chosen = tools()
    tallies, failures, truth = measure(python, program, arguments, seconds,
                                       passes, chosen)
    shares = "clocks" in truth
    rows = []
    for tool in chosen:
        if tool.key not in tallies:
            rows.append([tool.label, failures.get(tool.key, "-")]
                        + [""] * (4 if shares else 5))
        elif shares:
            found = share_rows(tallies[tool.key], truth)
            errors = [abs(m - s) for _, m, s, _ in found]
            worst = max(found, key=lambda row: abs(row[1] - row[2]))
            rows.append([
                tool.label, common.thousands(tallies[tool.key].attempted),
                "%.2f" % (100 * max(errors)), worst[0],
                "%.2f to %.2f" % (100 * worst[1], 100 * worst[2]),
                "%.2f" % (100 * judge.standard_error(worst[1], worst[3]))])
        else:
            rows.append(legality_row(tool, tallies[tool.key], truth,
                                     reference_for(tool, tallies)))
    head = (["profiler", "attempts", "largest error, points", "of",
             "measured to sampled, %", "standard error"] if shares else
            ["profiler", "attempts", "whole", "torn, marked", "impossible",
             "wrong line only", "leaf bias, points"])
    return "#### %s, Python %s (%s)\n\n%s" % (
        label(program, arguments), python, truth["python"],
        common.table(head, rows))


INTRODUCTION = """Each profiler at 1 kHz on the same process, in turn. *Whole*
are stacks that it gave as complete, of those that it attempted; the rest it
dropped, or marked. *Impossible* are stacks, of those that it gave, that the
program never had by the names of the functions; *wrong line only* are those of
which only a line can't be. *Leaf bias* is the largest difference of a leaf's
share from what the profilers say that stop the target for each sample (the
others of these, for one that does so itself), with the standard error. For
shares: the function whose sampled share is farthest from what the program
measured of itself.
"""


def compare(options):
    seconds, passes = (2, 1) if options.quick else (4, 5)
    texts = [INTRODUCTION]
    for python in options.pythons:
        for program, arguments in LEGALITY + SHARES:
            if options.programs and program[:-3] not in options.programs:
                continue
            texts.append(one_table(python, program, arguments, seconds,
                                   passes))
            common.say("\n" + texts[-1])
    return "\n\n".join(texts)


def million(options):
    """A million samples of ours, at 1 kHz and without stopping."""
    programs = [("chains.py", ["10"]), ("chains.py", ["60"]), ("walk.py", []),
                ("generators.py", []), ("exceptions.py", [])]
    goal = 20000 if options.quick else 1000000
    rows = []
    for python in options.pythons:
        for program, arguments in programs:
            common.note("%s: %s" % (python, label(program, arguments)))
            wanted = goal / len(programs)
            tool = peers.Ours()
            tally = Tally()
            with running(python, program, arguments, 7200) as (child, truth):
                while tally.attempted < wanted:
                    run = tool.profile(child.pid, RATE, min(
                        30, (wanted - tally.attempted) / RATE + 0.1))
                    tally.add(run)
                stacks = tally.stacks()
                _, whole, torn, wrong = legal.verdict(legal.Rule(truth()),
                                                      stacks)
            for reason, count in sorted(wrong.items(), key=lambda r: -r[1]):
                common.say("%d: %s" % (count, reason))
            rows.append([label(program, arguments), str(python),
                         common.thousands(tally.attempted),
                         percent(whole, tally.attempted),
                         common.thousands(torn),
                         common.thousands(sum(wrong.values()))])
    return ("Ours at 1 kHz, in a row on each program; impossible by functions, "
            "files or lines.\n\n" + common.table(
                ["program", "Python", "attempts", "whole", "torn, marked",
                 "impossible"], rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="a first look: too short to be quoted")
    parser.add_argument("--million", action="store_true",
                        help="count impossible stacks in a million of ours")
    parser.add_argument("--python", default="3.15,3.14", metavar="NAME,...",
                        help="interpreters of the matrix (default %(default)s)")
    parser.add_argument("--programs", default="", metavar="NAME,...",
                        help="only these, such as chains,shares")
    parser.add_argument("--write", action="store_true",
                        help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    options.programs = [name for name in options.programs.split(",") if name]
    options.pythons = []
    for name in options.python.split(","):
        one = common.interpreter(name)
        if one is None:
            common.say("missing: Python %s" % name)
        else:
            options.pythons.append(one)
    name = "million" if options.million else "truth"
    title = ("A million samples" if options.million else
             "Truth: what the programs really did")
    head = report.heading(title, " ".join(["./dev bench truth"]
                                          + sys.argv[1:]))
    common.say(head)
    text = (million if options.million else compare)(options)
    if options.million:
        common.say(text)
    if options.write:
        report.write(name, head + "\n" + text)


if __name__ == "__main__":
    main()
