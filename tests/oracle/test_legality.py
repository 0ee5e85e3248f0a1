"""No stack is one that the program can't have; nearly all are whole.

At 1 kHz and without --blocking, so the program runs on while it is sampled.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import sampled

PROGRAMS = [("chains.py", ["10"], []), ("chains.py", ["60"], []),
            ("walk.py", [], []), ("generators.py", [], []),
            ("asynchronous.py", [], []), ("exceptions.py", [], []),
            ("recursion.py", ["300"], []), ("execs.py", [], []),
            # Deeper than the cap: cut and marked, not dropped.
            ("recursion.py", ["6000"], ["-a"])]


def check_cut(profile):
    cut = sum(row.count for row in profile.rows if row.truncated)
    assert cut == profile.stats["truncated"] > 0, profile.stats


def legality(interpreter):
    problems = sampled.Problems()
    for name, arguments, options in PROGRAMS:
        profile, = sampled.profiles(interpreter, name, arguments, 1.0,
                                    ["-r", "1khz"] + options)
        label = " ".join([name] + arguments)
        sampled.describe(label, profile)
        problems.check(label, sampled.check_counts, profile)
        problems.check(label, sampled.check_legal, profile)
        problems.check(label, sampled.check_whole, profile, interpreter)
        if arguments == ["6000"]:
            problems.check(label, check_cut, profile)
    problems.end()


if __name__ == "__main__":
    harness.main(legality)
