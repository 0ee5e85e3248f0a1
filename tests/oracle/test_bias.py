"""What runs more often is not seen more often: the shares of the leaves are
those that a stopped program has.

A profiler that drops what it can't read, or reads again until it fits, prefers
stacks that stay for long. Two alternating chains with next to nothing to do
show it best.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import judge
import sampled

BAR = 0.01


def check_bias(difference, error):
    assert abs(difference) <= BAR + judge.SIGMAS * error, difference


def bias(interpreter):
    problems = sampled.Problems()
    for name, arguments in [("chains.py", ["10"])]:
        rate = ["-r", "2khz"]
        # In turn, so that a change of the machine's mood is in both.
        found = sampled.profiles(interpreter, name, arguments, 0.4,
                                 *[rate, rate + ["--blocking"]] * 4)
        for profile in found:
            problems.check(name, sampled.check_counts, profile)
            problems.check(name, sampled.check_legal, profile)
        difference, error, leaf = judge.largest_bias(
            [profile.rows for profile in found[::2]],
            [profile.rows for profile in found[1::2]])
        print("    %s: largest difference %.2f points (error %.2f) at %s" % (
            name, 100 * difference, 100 * error, leaf))
        problems.check(name, check_bias, difference, error)
    problems.end()


if __name__ == "__main__":
    harness.main(bias)
