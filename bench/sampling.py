"""How fast, and at what cost: this project's sampler and others, side by side.

    python3 bench/sampling.py [--quick] [--write]
                              [--only rate,calls,cost,cpu,memory,start]

The build that is measured is build/, or that in $PYPROF_BUILD. Everything else
runs in turn with it, on the same targets: CPython 3.15's profiling.sampling,
py-spy and austin. --write puts the tables into docs/benchmarks.md.
"""
import argparse
import importlib
import sys

import common
import report
import speed

PARTS = ["rate", "calls", "cost", "cpu", "memory", "start"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="a first look: too short to be quoted")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...",
                        help="of %s" % ", ".join(PARTS))
    parser.add_argument("--write", action="store_true",
                        help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    parts = options.only.split(",")
    for part in parts:
        if part not in PARTS:
            parser.error("no such part: " + part)
    plan = speed.QUICK if options.quick else speed.NORMAL
    texts = [report.heading("Sampling: speed and cost",
                            " ".join(["./dev bench sampling"] + sys.argv[1:]))]
    if options.quick:
        texts.append("A quick run: the figures are rough.")
    common.say(texts[-1])
    for part in parts:
        module = importlib.import_module("speed." + part)
        texts.append(module.run(plan))
        common.say("\n" + texts[-1])
    if options.write:
        report.write("sampling", "\n\n".join(texts))


if __name__ == "__main__":
    main()
