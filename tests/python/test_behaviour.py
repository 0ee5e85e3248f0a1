"""Threads, several profiles at a time, timers, forks: what cProfile gets wrong
or can't do, on every interpreter."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
import harness  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs",
                       "behaviour.py")


def test(interpreter):
    harness.judges_itself(interpreter, PROGRAM)


if __name__ == "__main__":
    harness.main(test)
