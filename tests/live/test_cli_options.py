"""Options of pyprof-cli: what is understood, what is refused, and how."""

import json
import os

import harness

SHORT = "sum(range(10))"
# Long enough to be sampled many times.
LONG = "import time; e = time.time() + 0.4\nwhile time.time() < e: pass"


def refused(*arguments):
    """One line on stderr, status 2; the line."""
    result = harness.cli(*arguments)
    assert result.status == 2, result
    assert result.stdout == "", result
    assert result.stderr.startswith("pyprof-cli: "), result
    assert result.stderr.count("\n") == 1, result
    return result.stderr


def stats(*options):
    """The sampler's counters after running LONG with some options."""
    with harness.folder() as folder:
        path = os.path.join(folder, "stats.json")
        result = harness.cli("run", "--stats-json", path, *options, "-c", LONG)
        assert result.status == 0, result
        with open(path) as file:
            return json.load(file)


def test_help():
    for arguments in (["--help"], ["-h"], ["run", "--help"], ["run", "-h"],
                      ["attach", "-h"], ["dump", "-h"], ["check", "-h"]):
        result = harness.cli(*arguments)
        assert result.status == 0, result
        assert result.stdout.startswith("usage: pyprof-cli"), result
        assert result.stderr == "", result
        wide = [line for line in result.stdout.splitlines() if len(line) > 80]
        assert not wide, wide
    text = harness.cli("run", "--help").stdout
    for option in ("--pstats", "--collapsed", "--sampling-rate", "--duration"):
        assert option in text, option
    assert harness.cli("--version").stdout.startswith("pyprof-cli 0.")


def test_refused():
    assert "command is needed" in refused()
    assert "'fly'" in refused("fly")
    assert "nothing to run" in refused("run")
    assert "process id is needed" in refused("attach")
    assert "not a process id" in refused("attach", "abc")
    assert "not a process id" in refused("dump", "0")
    assert "not a process id" in refused("check", "1.5")
    assert "not a process id" in refused("attach", "99999999999999999999")
    assert "too many" in refused("attach", "1", "2")
    assert "no option --nonsense" in refused("run", "--nonsense", "x.py")
    assert "no option -Z" in refused("run", "-Z", "x.py")
    assert "takes no value" in refused("run", "--quiet=yes", "x.py")
    assert "needs a value" in refused("run", "-d")
    assert "needs a value" in refused("run", "--output", "-a", "x.py")
    assert "ambiguous" in refused("run", "--s", "1", "x.py")
    assert "exclude" in refused("run", "-r", "1khz", "-i", "1000", "x.py")
    assert "only one" in refused("run", "--pstats", "--collapsed", "x.py")
    assert "table" in refused("run", "--collapsed", "--sort", "name", "x.py")
    assert "table" in refused("run", "--collapsed", "-l", "3", "x.py")
    assert "--python" in refused("run", "--python", "p", "--", "x")


def test_bad_numbers():
    for rate in ("0", "0hz", "-5", "abc", "1e3", "1 khz", "khz", ".5", "5.",
                 "nan", "inf", "2000khz", "1mhz", "", "0.00001"):
        assert "rate" in refused("run", "-r", rate, "x.py")
        assert "rate" in refused("run", "--sampling-rate=" + rate, "x.py")
    for interval in ("0", "0.5", "abc", "1e3", "-1", "99999999999", "nan"):
        assert "interval" in refused("run", "-i", interval, "x.py") or \
            "microseconds" in refused("run", "-i", interval, "x.py")
    for duration in ("0", "-1", "-0.5", "0.0", "abc", "1s", "nan", "1e5",
                     "9999999999999"):
        assert "duration" in refused("run", "-d", duration, "x.py") or \
            "seconds" in refused("run", "-d", duration, "x.py")
    for limit in ("-1", "1.5", "many", "99999999999"):
        assert "number" in refused("run", "-l", limit, "x.py")
    for depth in ("0", "-1", "deep"):
        assert "number" in refused("run", "--max-depth", depth, "x.py")
    assert "nsamples" in refused("run", "--sort", "calls", "x.py")
    assert "auto" in refused("run", "--placement", "here", "x.py")


def test_understood():
    """Each way of saying it works; what it does is looked at elsewhere."""
    for options in (["-r", "500"], ["-r", "500Hz"], ["-r", "0.5KHZ"],
                    ["-r", ".5".replace(".", "0.") + "k"], ["-r500"],
                    ["--sampling-rate", "2.5khz"], ["--sampling-rate=1K"],
                    ["--sampl", "100"], ["-i", "1000"], ["-i", "1500.5"],
                    ["--interval=2000"], ["-a"], ["-aq"], ["-qar", "200"],
                    ["--all-threads"], ["--all"], ["--blocking"], ["--jitter"],
                    ["--placement", "free"], ["--place=target"],
                    ["--max-depth", "10"], ["--sort", "cumtime"],
                    ["--sort=name", "-l", "3", "--no-summary"], ["-l0"],
                    ["--pstats"], ["--pstats", "-o", "/dev/null"],
                    ["--collapsed", "-o", "-"], ["--coll", "-o-"],
                    ["-d", "30"], ["-d", "30.5"], ["--duration", "30"],
                    ["--realtime-stats"], ["-q"], ["--quiet"]):
        result = harness.cli("run", *options, "-c", SHORT)
        assert result.status == 0, result
        assert "pyprof-cli:" not in result.stderr, result
        if "-q" in options or "--quiet" in options or "-aq" in options:
            assert result.stderr == "", result


def test_last_one_counts():
    result = harness.cli("run", "-r", "1", "-r", "2khz", "--collapsed",
                         "-o", "/nonexistent/x", "-o", "-", "-c", SHORT)
    assert result.status == 0, result


def test_rate():
    for options, rate in ((["-r", "100"], 100), (["-i", "20000"], 50),
                          (["-r", "0.2khz"], 200)):
        counted = stats(*options)
        # 0.4 s and start-up; not timed: a slow machine misses ticks.
        ticks = counted["rounds"] + counted["missed"]
        assert ticks >= 0.3 * rate, counted
        assert ticks <= 2 + rate * counted["elapsed_ns"] / 1e9, counted


def test_stats_json():
    counted = stats("--collapsed", "-o", "/dev/null")
    assert counted["rounds"] > 0, counted
    assert counted["attempted"] == sum(
        counted[key] for key in ("whole", "torn", "gone", "unreadable"))
    assert counted["first_sample_ns"] > 0, counted
    assert counted["placement"] in ("target", "free"), counted
    assert stats("--placement", "free")["placement"] == "free"
    assert stats("--placement", "target")["placement"] == "target"


def test_summary():
    result = harness.cli("run", "-c", LONG)
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Captured "), result
    assert lines[0].endswith(" seconds") and " samples in " in lines[0], result
    assert lines[1].startswith("Sample rate: "), result
    assert lines[1].endswith(" samples/sec"), result
    assert lines[2].startswith("Error rate: "), result
    float(lines[2].split()[-1])
    words = lines[3].split()
    assert words[0] == "Stacks:" and words[2] == "attempted", result
    counts = [int(word) for word in words if word.isdigit()]
    assert counts[0] == sum(counts[1:]) and len(counts) == 5, result
    assert "\033" not in result.stderr and "\r" not in result.stderr, result


def test_table():
    result = harness.cli("run", "-c", LONG)
    assert "nsamples" in result.stdout and "<module>" in result.stdout, result
    assert "\033" not in result.stdout, result
    for options in ([], ["--pstats"]):
        assert "nsamples" in harness.cli("run", *options, "-c", LONG).stdout
    full = harness.cli("run", "-c", LONG).stdout
    short = harness.cli("run", "--no-summary", "-c", LONG).stdout
    assert len(short) < len(full), (short, full)


if __name__ == "__main__":
    harness.main(test_help, test_refused, test_bad_numbers, test_understood,
                 test_last_one_counts, test_rate, test_stats_json,
                 test_summary, test_table, each=False)
