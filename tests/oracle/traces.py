"""Stacks that a program had, seen from inside by sys.settrace."""
import json
import os

import harness
import stacks


def stack(frames, tid=None, torn=False, truncated=False):
    """A row of stacks.py, made by hand."""
    return stacks.Stack(tid, tuple(map(tuple, frames)), 1, torn, truncated,
                        False)


def traced(interpreter, name, arguments):
    """Truth of a program, and all the stacks that it had."""
    with harness.folder() as folder:
        truth, seen = (os.path.join(folder, n) for n in ("truth", "seen"))
        with harness.target(interpreter, "traced.py", seen, name, truth,
                            "0.3", *arguments) as target:
            status = target.wait()
        assert status == 0, target.lines
        with open(truth) as file, open(seen) as other:
            return json.load(file), json.load(other)
