"""Legality with ten threads that want the GIL (or have none), and sleepers."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import sampled


def check_seen(profile):
    """Every thread that the program has is in the profile."""
    seen = {row.tid for row in profile.rows}
    missing = [name for tid, name in profile.truth["threads"].items()
               if int(tid) not in seen]
    assert not missing, missing


def threads(interpreter):
    profile, = sampled.profiles(interpreter, "threads10.py", [], 1.5,
                                ["-r", "1khz", "-a"])
    sampled.describe("threads10.py", profile)
    problems = sampled.Problems()
    problems.check("", sampled.check_counts, profile)
    problems.check("", sampled.check_legal, profile)
    problems.check("", check_seen, profile)
    problems.check("", sampled.check_whole, profile, interpreter)
    problems.end()


if __name__ == "__main__":
    harness.main(threads)
