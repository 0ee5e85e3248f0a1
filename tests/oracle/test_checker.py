"""The checker itself: stacks that never were are found out.

A checker that lets everything pass would make the other tests of this folder
worthless. Bad stacks are made up here from good ones, in the ways in which a
torn read makes them, and each must be seen. The parsers of the formats are
tested as well.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import legal
import stacks
from traces import stack, traced


# Any version does here.
PYTHON = harness.Interpreter("3.8", [sys.executable])


def chain(letter, count, depth=10):
    """The first frames of a chain of chains.py, as its source has them."""
    offset = 0 if letter == "a" else 2 * depth
    return [("chain.py", "%s%d" % (letter, i), offset + 2 * i + 2)
            for i in range(count)]


def made_up():
    """Stacks that never were, one by one."""
    truth, _ = traced(PYTHON, "chains.py", [])
    rule = legal.Rule(truth)
    lines = {f["name"]: f["calls"] for f in truth["functions"]
             if f["file"] == "chains.py"}
    to = {names[0]: int(line) for line, names in lines["main"].items()}
    module = ("chains.py", "<module>", int(list(lines["<module>"])[-1]))
    tid = truth["main"]

    def main(line):
        return [module, ("chains.py", "main", line)]

    good = main(to["a0"]) + chain("a", 10)
    assert rule.why(stack(good, tid)) is None, rule.why(stack(good, tid))
    assert rule.why(stack(good)) is None
    assert rule.why(stack(main(to["a0"]), tid)) is None
    assert rule.why(stack(good[:5], tid, torn=True)) is None
    assert rule.why(stack([], tid, torn=True)) is None
    assert rule.why(stack(good[4:], tid, truncated=True)) is None
    names = legal.Rule(truth, lines=False)
    assert names.why(stack(good, tid)) is None

    bad = {
        "nothing": [],
        "mixed chains": main(to["a0"]) + chain("a", 5) + chain("b", 10)[5:],
        "wrong chain for the line": main(to["a0"]) + chain("b", 10),
        "leaf of the other": good[:-1] + chain("b", 10)[-1:],
        "no main": [module] + chain("a", 10),
        "no root": good[1:],
        "main twice": main(to["a0"]) + main(to["a0"])[1:] + chain("a", 10),
        "foreign frame": good[:4] + [("os.py", "walk", 3)] + good[4:],
        "foreign root": [("site.py", "main", 3)] + good,
        "unknown function": good + [("chain.py", "z0", 1)],
        "leaf's line outside": good[:-1] + [("chain.py", "a9", 1)],
        "caller's line": main(to["b0"]) + chain("a", 10),
        "upside down": good[::-1],
    }
    for i in range(10):
        if i < 9:
            gap = chain("a", 10)
            del gap[i]
            bad["gap at %d" % i] = main(to["a0"]) + gap
        twice = chain("a", 10)
        twice.insert(i, twice[i])
        bad["a%d twice" % i] = main(to["a0"]) + twice
    by_lines = ("leaf's line outside", "caller's line",
                "wrong chain for the line")
    for what, frames in bad.items():
        assert rule.why(stack(frames, tid)) is not None, what
        if what not in by_lines:
            assert names.why(stack(frames, tid)) is not None, what
    # The root part of a torn stack is judged just the same.
    assert rule.why(stack(bad["mixed chains"], tid, torn=True)) is not None
    assert rule.why(stack(bad["no main"][:3], tid, torn=True)) is not None
    assert rule.why(stack(bad["gap at 5"][3:], tid, truncated=True)) is not None
    # A thread that is not the main one doesn't begin at <module>.
    assert rule.why(stack(good, tid + 1)) is not None


def made_up_threads():
    truth, seen = traced(PYTHON, "threads10.py", ["3", "4"])
    rule = legal.Rule(truth)
    ids = {name: int(tid) for tid, name in truth["threads"].items()}
    frames = [frames for tid, frames in seen
              if tid == ids["worker1"] and len(frames) > 5][0]
    assert rule.why(stack(frames, ids["worker1"])) is None
    assert rule.why(stack(frames)) is None
    for other in ("worker0", "worker2", "sleeper0"):
        assert rule.why(stack(frames, ids[other])) is not None, other
    assert rule.why(stack(frames, truth["main"])) is not None
    mixed = [[f, n.replace("t1", "t2"), line] if i == len(frames) - 1 else
             [f, n, line] for i, (f, n, line) in enumerate(frames)]
    assert rule.why(stack(mixed, ids["worker1"])) is not None


def made_up_generations():
    truth, seen = traced(PYTHON, "execs.py", ["5"])
    rule = legal.Rule(truth)
    tid = truth["main"]
    frames = [frames for _, frames in seen if frames[-1][1] == "leaf_3"][0]
    assert rule.why(stack(frames, tid)) is None
    call, gen, leaf = frames[-3:]
    below = frames[:-3]
    bad = {
        "another name": [call, gen, [leaf[0], "leaf_4", leaf[2]]],
        "another file": [call, gen, ["<gen 4>", leaf[1], leaf[2]]],
        "another generation": [call, gen, ["<gen 10>", "leaf_10", leaf[2]]],
        "lines of the next": [call, gen, [leaf[0], leaf[1], leaf[2] + 1000]],
        "lines of the one before": [call, gen,
                                    [leaf[0], leaf[1], leaf[2] - 1000]],
        "caller's line": [call, [gen[0], gen[1], gen[2] + 1], leaf],
        "gap": [call, leaf],
        "no call": [gen, leaf],
        "never made": [[f.replace("3", "99999"), n.replace("3", "99999"), line]
                       for f, n, line in (call, gen, leaf)],
    }
    for what, end in bad.items():
        assert rule.why(stack(below + end, tid)) is not None, what


def formats():
    """Each format's parser on a line or two of it."""
    one = list(stacks.parse_collapsed(
        "tid:7;m.py:<module>:3;<GC>;m.py:A.f:12;<torn> 5\n"
        "tid:7;<truncated>;<gen 3>:gen_3:3001;<native> 1\n"))
    assert one[0] == stacks.Stack(
        7, (("m.py", "<module>", 3), ("m.py", "f", 12)), 5, True, False,
        False), one
    assert one[1].truncated and not one[1].torn
    assert one[1].frames == (("<gen 3>", "gen_3", 3001),)
    two = list(stacks.parse_pyspy(
        "thread (29554);<module> (t.py:11);main (a/t.py:10) 498\n"))
    assert two == [stacks.Stack(
        29554, (("t.py", "<module>", 11), ("t.py", "main", 10)), 498, False,
        False, False)], two
    mojo = (b"MOJ\x03" b"\x01mode\0wall\0"
            b"\x02\xb2\xcd\x03\x00" b"7372\0"
            b"\x0b\x05/tmp/t.py\0" b"\x0b\x06main\0"
            b"\x03\x09\x05\x06\x80\x02\x0a\x09\x0d"
            b"\x05\x09" b"\x09\x13\x02\xb2\xcd\x03\x00" b"7372\0"
            b"\x05\x09\x04\x09\x13")
    three = sorted(stacks.parse_mojo(mojo), key=lambda s: s.broken)
    assert three[0] == stacks.Stack(
        0x7372, (("t.py", "main", 128),), 1, False, False, False), three
    assert three[1].broken


if __name__ == "__main__":
    harness.main(formats, made_up, made_up_threads, made_up_generations,
                 each=False)
