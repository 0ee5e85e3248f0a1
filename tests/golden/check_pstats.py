"""Loads files of the pstats format with this Python's own pstats and checks
the numbers: `check_pstats.py FOLDER`, the folder being tests/golden/pstats or
one with fresh files of the same names. Runs on Python 2.7 and 3.8 to 3.15.

The profile is the one of tests/unit/collector/profile.h.
"""
from __future__ import print_function

import marshal
import os
import pstats
import sys

RUNPY = (u"<frozen runpy>", 87, u"_run_code")
MODULE = (u"/app/busy.py", 30, u"<module>")
MID = (u"/app/busy.py", 10, u"mid")
LEAF = (u"/app/busy.py", 5, u"leaf")
REC = (u"/app/rec.py", 3, u"rec")
REC4 = (u"/app/rec.py", 4, u"rec")
INTERVAL = 0.001

# key -> (direct, cumulative)
EXPECTED = {
    RUNPY: (0, 962),
    MODULE: (0, 937),
    MID: (0, 769),
    (u"/app/busy.py", 9, u"mid"): (7, 7),
    LEAF: (725, 766),
    REC: (36, 96),
    REC4: (60, 60),
    (u"/lib/busy.py", 5, u"leaf"): (90, 90),
    (u"/lib/pkg/__init__.py", 42, u"Class.method"): (25, 25),
    (u"/app/a;b\n.py", 2, u"od;d\x1b\udcff\udc80"): (12, 12),
    (u"/app/\U0001f40d.py", 0, u"sch\xf6n"): (13, 13),
    (u"~", 0, u"<GC>"): (41, 41),
    (u"~", 0, u"<native>"): (0, 90),
    (u"~", 0, u"<torn>"): (3, 3),
    (u"~", 0, u"<truncated>"): (0, 25),
    (u"<task>", 0, u"Task-1"): (0, 25),
}
# (callee, caller) -> (counted once a stack, direct, each call counted)
CALLERS = {
    (MODULE, RUNPY): (937, 0, 937),
    (LEAF, MID): (766, 725, 766),
    (REC, MODULE): (71, 11, 71),
    (REC, REC): (85, 25, 85),
    (REC4, REC): (60, 60, 60),
    (REC, (u"~", 0, u"<truncated>")): (25, 0, 25),
}


def near(a, b):
    return abs(a - b) < 1e-9


def load(path):
    with open(path, "rb") as f:
        stats = marshal.load(f)
        assert f.read() == b"", "bytes after the dict"
    return stats


def check_rows(stats, is_marked):
    assert set(stats) == set(EXPECTED), set(stats) ^ set(EXPECTED)
    for key, (direct, cumulative) in EXPECTED.items():
        cc, nc, tt, ct, callers = stats[key]
        assert (cc, nc) == (direct, cumulative), (key, cc, nc)
        assert near(tt, direct * INTERVAL), (key, tt)
        assert near(ct, cumulative * INTERVAL), (key, ct)
        for caller in callers:
            assert caller in stats, caller
    for (callee, caller), (once, direct, each) in CALLERS.items():
        value = stats[callee][4][caller]
        if is_marked:
            assert value == each, (callee, caller, value)
        else:
            nc, cc, tt, ct = value
            assert (nc, cc) == (once, direct), (callee, caller, value)
            assert near(tt, direct * INTERVAL), value
            assert near(ct, once * INTERVAL), value


class Sink(object):
    """A stream that takes any text, in every version."""

    def __init__(self):
        self.parts = []

    def write(self, text):
        self.parts.append(text)

    def flush(self):
        pass

    def text(self):
        return u"".join(p if isinstance(p, type(u"")) else p.decode("latin-1")
                        for p in self.parts)


def check_print(path):
    """All that pstats can print of a file, by every key."""
    sink = Sink()
    stats = pstats.Stats(path, stream=sink)
    for key in ("calls", "cumulative", "filename", "line", "name", "nfl",
                "pcalls", "stdname", "time"):
        stats.sort_stats(key)
    stats.sort_stats("time").print_stats().print_callers().print_callees()
    assert u"leaf" in sink.text()
    # twice itself, and without folders: numbers add up
    total = stats.total_tt
    stats.add(path)
    assert near(stats.total_tt, 2 * total)
    stats.strip_dirs().sort_stats("cumulative").print_stats(5)
    stats.print_callers(3)
    if hasattr(stats, "get_stats_profile"):
        assert "leaf" in stats.get_stats_profile().func_profiles


def check_marked(path):
    stats = load(path)
    assert stats.pop((u"__sampled__",)) is True
    check_rows(stats, True)
    if sys.version_info >= (3, 15):
        loaded = pstats.Stats(path, stream=Sink())
        assert type(loaded).__name__ == "SampledStats", type(loaded)
        loaded.sort_stats("nsamples_cumul" if "nsamples_cumul" in
                          loaded.get_sort_arg_defs() else "cumtime")
        loaded.print_stats()
        loaded.print_callers()


def main(folder):
    plain = os.path.join(folder, "profile.pstats")
    check_rows(load(plain), False)
    check_print(plain)
    check_marked(os.path.join(folder, "profile-marked.pstats"))

    empty = os.path.join(folder, "empty.pstats")
    stats = load(empty)
    assert stats == {(u"~", 0, u"<no samples>"): (0, 0, 0.0, 0.0, {})}, stats
    sink = Sink()
    pstats.Stats(empty, stream=sink).print_stats().print_callers()
    assert u"no samples" in sink.text()
    marked = load(os.path.join(folder, "empty-marked.pstats"))
    assert marked == {(u"__sampled__",): True}, marked
    print("pstats of Python %d.%d loads and prints the files"
          % sys.version_info[:2])


if __name__ == "__main__":
    main(sys.argv[1])
