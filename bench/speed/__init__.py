"""The parts of `bench/sampling.py`: each has `run(plan)`, which measures and
returns a piece of Markdown. `Plan` says how long and with what."""
import collections

import common
import peers

# seconds   of one run of a profiler
# passes    times that all are run, in turn
# triples   windows of the cost measurement
# quick     True for a first look: too short for a figure to be quoted
Plan = collections.namedtuple("Plan", "seconds passes triples quick")

NORMAL = Plan(2, 7, 320, False)
QUICK = Plan(1, 3, 60, True)


class Shape:
    """A target to look at."""

    def __init__(self, label, arguments, every_thread=False):
        self.label, self.arguments = label, arguments
        self.every_thread = every_thread


SHAPES = [Shape("6 deep", ["deep", 6]), Shape("100 deep", ["deep", 100]),
          Shape("10 threads, -a", ["threads", 10, 16], True)]

# The newest, which all but austin can read; for austin one that it can.
NEWEST = "3.15"
FOR_AUSTIN = "3.14"


def program():
    return common.os.path.join(common.HERE, "target.py")


def target(python, shape, counter="-"):
    """The target, running; None where the interpreter is missing."""
    one = common.interpreter(python)
    if one is None:
        raise peers.Failed("no Python %s here" % python)
    return common.target(one, program(), counter, *shape.arguments)


def interleaved(passes, ways):
    """Calls each of `ways` in turn, `passes` times; the order turns as well.

    ways    rows (key, function without arguments)
    Returns {key: [result, ...]} and {key: why it failed}. One that failed
    twice is left out from then on.
    """
    results = collections.defaultdict(list)
    failures = collections.defaultdict(list)
    for number in range(passes):
        turned = ways[number % len(ways):] + ways[:number % len(ways)]
        for key, function in turned:
            if len(failures[key]) > 1:
                continue
            try:
                results[key].append(function())
            except peers.Failed as reason:
                failures[key].append(str(reason))
    return results, {key: reasons[0] for key, reasons in failures.items()
                     if reasons and not results[key]}
