"""The rules fit the programs: all that a program does is legal.

Each program runs here under sys.settrace, which sees every stack that it has.
Then these are damaged, and the damage must be seen.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import legal
from traces import stack, traced

PROGRAMS = [("chains.py", []), ("chains.py", ["60"]), ("walk.py", []),
            ("generators.py", []), ("asynchronous.py", []),
            ("exceptions.py", []), ("threads10.py", ["3", "4"]),
            ("recursion.py", []), ("recursion.py", ["1200"]),
            ("execs.py", ["5"]), ("shares.py", ["mixed"]),
            ("shares.py", ["threads"])]

# The rules are in the sources, so the oldest and the newest do.
VERSIONS = [(3, 8), (3, 15)]


def programs(interpreter):
    """All that a program does is legal; torn and truncated too."""
    if interpreter.version not in VERSIONS or interpreter.debug:
        return
    for name, arguments in PROGRAMS:
        truth, seen = traced(interpreter, name, arguments)
        rule = legal.Rule(truth)
        assert len(seen) > 10, (name, len(seen))
        seen = seen[::len(seen) // 1000 + 1]
        for tid, frames in seen:
            reason = rule.why(stack(frames, tid))
            assert reason is None, (name, reason, frames)
            for cut in {1, len(frames) // 2, len(frames) - 1}:
                assert rule.why(stack(frames[:cut], tid, torn=True)) is None
                if cut < len(frames):
                    assert rule.why(stack(frames[cut:], tid,
                                          truncated=True)) is None
        damage(name, truth, rule, seen)
        print("    %s %s: %d stacks of Python %s" % (
            name, " ".join(arguments), len(seen), truth["python"]))


def damage(name, truth, rule, seen):
    """Damages the stacks in ways that no rule may overlook."""
    own = {f["file"] for f in truth["functions"]}
    if truth.get("generations"):
        own |= {frames[-1][0] for _, frames in seen}
    tried = 0
    for tid, frames in seen:
        for bad in damages(frames, own):
            tried += 1
            assert rule.why(stack(bad, tid)) is not None, (name, bad)
    assert tried > 10, name


def damages(frames, own):
    """Stacks with one wrong frame, below which something stands rightly."""
    for i in range(1, len(frames) - 1, len(frames) // 20 + 1):
        if frames[i][0] in own and frames[i + 1][0] in own:
            file, function, line = frames[i]
            # A caller at a line where it calls nothing, another function's
            # name, a file that doesn't have the function.
            for bad in ([file, function, 1000000], [file, "main", line],
                        ["other.py", function, line]):
                if bad != frames[i]:
                    yield frames[:i] + [bad] + frames[i + 1:]


if __name__ == "__main__":
    harness.main(programs)
