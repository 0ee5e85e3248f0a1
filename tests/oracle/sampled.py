"""A program of programs/ under pyprof-cli: what the tests have in common."""
import json
import os
import time

import harness
import judge
import legal
import stacks

# Seconds that a program is sampled, times this; more for a thorough run.
SCALE = float(os.environ.get("PYPROF_ORACLE_SCALE", "1"))


class Profile:
    """What was sampled, what was counted, and the truth.

    rows        of stacks.py
    stats       counters of the sampler by name
    truth       what the program wrote at its end
    start, end  of the sampling, CLOCK_MONOTONIC
    """

    def __init__(self, rows, stats, truth, start, end):
        self.rows, self.stats, self.truth = rows, stats, truth
        self.start, self.end = start, end


def attach(target, folder, seconds, options):
    """Samples a running program; (rows, stats, start, end)."""
    stats = os.path.join(folder, "stats")
    began = time.monotonic()
    result = harness.cli("attach", "-d", "%g" % seconds, "--collapsed", "-o",
                         "-", "--stats-json", stats, *options, target.pid)
    assert result.status == 0, result
    with open(stats) as file:
        counts = json.load(file)
    start = began + counts["first_sample_ns"] / 1e9
    return (list(stacks.parse_collapsed(result.stdout)), counts, start,
            start + counts["elapsed_ns"] / 1e9)


def profiles(interpreter, name, arguments, seconds, *ways):
    """One run of a program, sampled once for each way: a list of Profile.

    A way is a list of options of pyprof-cli.
    """
    seconds *= SCALE
    with harness.folder() as folder:
        path = os.path.join(folder, "truth")
        life = str(60 + 3 * seconds * len(ways))
        with harness.target(interpreter, name, path, life,
                            *arguments) as target:
            found = [attach(target, folder, seconds, way) for way in ways]
            target.signal(15)
            assert target.wait() == 0, target.lines
        with open(path) as file:
            truth = json.load(file)
    return [Profile(rows, stats, truth, start, end)
            for rows, stats, start, end in found]


class Problems:
    """Notes what is wrong and goes on, so that one run tells all of it."""

    def __init__(self):
        self.found = []

    def check(self, label, function, *arguments):
        try:
            function(*arguments)
        except AssertionError as error:
            self.found.append("%s: %s: %s" % (label, function.__name__, error))

    def end(self):
        assert not self.found, "\n" + "\n".join(self.found)


def check_counts(profile):
    """Nothing is dropped in silence: what was attempted is accounted for, and
    what was read is in the file."""
    s = profile.stats
    assert s["attempted"] == (s["whole"] + s["torn"] + s["gone"]
                              + s["unreadable"]), s
    whole = sum(row.count for row in profile.rows if not row.torn)
    torn = sum(row.count for row in profile.rows if row.torn)
    assert whole == s["whole"] - s["idle"], (whole, s)
    assert torn <= s["torn"], (torn, s)
    assert s["attempted"] >= 20, s


def check_legal(profile):
    """Not one stack that the program can't have."""
    rule = legal.Rule(profile.truth)
    _, _, _, reasons = legal.verdict(rule, profile.rows)
    assert not reasons, sorted(reasons.items(), key=lambda r: -r[1])[:10]


def check_whole(profile, interpreter):
    """Nearly all of the attempts gave a whole stack."""
    # Frames of 3.8 to 3.10 lie on the heap: more to read, in more pieces.
    share = 0.95 if interpreter.version <= (3, 10) else 0.995
    s = profile.stats
    error = judge.standard_error(share, s["attempted"])
    assert s["whole"] / s["attempted"] >= share - judge.SIGMAS * error, s


def describe(label, profile):
    s = profile.stats
    print("    %-22s %6d attempted, %.2f %% whole, %d torn, %d gone, "
          "%d unreadable, %d stops" % (
              label, s["attempted"], 100.0 * s["whole"] / s["attempted"],
              s["torn"], s["gone"], s["unreadable"], s["stops"]), flush=True)
