"""What libpyprof counts is what cProfile of the same version counts, function
by function and caller by caller."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
import harness  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs",
                       "exact.py")


def test(interpreter):
    if interpreter.threaded:
        return  # its own cProfile hangs; test_threads knows the truth itself
    harness.judges_itself(interpreter, PROGRAM)


if __name__ == "__main__":
    harness.main(test)
