"""Other people's programs read our files, and find our numbers in them."""

import collections
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
import harness

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs",
                       "two_threads.py")


def record(folder):
    """One recording, of which all files are made."""
    path = os.path.join(folder, "profile.pyprof")
    result = harness.cli("run", "-a", "--pyprof", "-o", path, PROGRAM)
    assert result.status == 0, result
    return path


def replay(saved, form, folder, name):
    path = os.path.join(folder, name)
    result = harness.cli("replay", saved, "--" + form, "-o", path)
    assert result.status == 0, result
    return path


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True,
                          timeout=harness.PATIENCE, **more)
    assert done.returncode == 0, (command, done.stdout)
    return done.stdout


# ---- Firefox Profiler.

class Firefox:
    """A session of Firefox Profiler's command line over one file."""

    def __init__(self, path, folder):
        self.program = harness.consumer("npm-consumers", "node_modules",
                                        ".bin", "profiler-cli")
        self.env = dict(os.environ, HOME=folder, XDG_RUNTIME_DIR=folder)
        run(self.program, "load", path, env=self.env)

    def ask(self, *words):
        return json.loads(run(self.program, *words, "--json", env=self.env))

    def stop(self):
        run(self.program, "stop", env=self.env)


def by_thread(collapsed):
    """{thread: {stack: samples}}; a stack without its lines."""
    threads = collections.defaultdict(collections.Counter)
    for stack, count in harness.collapsed(collapsed).items():
        names = tuple(":".join(frame.split(":")[:2]) for frame in stack[1:])
        threads[int(stack[0][len("tid:"):])][names] += count
    return threads


def totals(stacks):
    found = collections.Counter()
    for stack, count in stacks.items():
        for frame in set(stack):
            found[frame] += count
    return found


def compare(firefox, thread, stacks):
    """Samples of each function, as both see them."""
    samples = firefox.ask("thread", "samples", "--thread",
                          thread["threadHandle"], "--limit", "1000",
                          "--include-idle")
    categories = samples["categoryBreakdown"]
    assert categories["totalSamples"] == sum(stacks.values()), categories
    ours = totals(stacks)
    found = samples["topFunctionsByTotal"]
    names = [function["name"].replace("!", ":", 1) for function in found]
    assert len(found) > 1, samples
    for name, function in zip(names, found):
        # a line of collapsed does not tell one __init__.py from another
        assert names.count(name) > 1 or function["totalSamples"] == ours[name], (function, ours)


def compare_markers(firefox, thread, profile):
    """How many there are of each, and that they can be told apart."""
    names = profile["shared"]["stringArray"]
    mine = [t for t in profile["threads"] if t["tid"] == thread["tid"]][0]
    ours = collections.Counter(names[i] for i in mine["markers"]["name"])
    found = firefox.ask("thread", "markers", "--thread",
                        thread["threadHandle"])
    assert found["totalMarkerCount"] == sum(ours.values()), found
    counts = {kind["markerName"]: kind["count"] for kind in found["byType"]}
    assert counts == ours and "No GIL" in ours, (counts, ours)


def test_firefox_profiler():
    with harness.folder() as folder:
        saved = record(folder)
        gecko = replay(saved, "gecko", folder, "profile.json")
        with open(replay(saved, "collapsed", folder, "profile.txt")) as file:
            ours = by_thread(file.read())
        with open(gecko) as file:
            profile = json.load(file)
        firefox = Firefox(gecko, folder)
        try:
            threads = firefox.ask("thread", "list")["threads"]
            names = sorted(thread["name"] for thread in threads)
            assert names == ["MainThread", "spinner", "waiter"], threads
            tids = {thread["name"]: thread["tid"]
                    for thread in profile["threads"]}
            for thread in threads:
                compare(firefox, thread, ours[tids[thread["name"]]])
                compare_markers(firefox, thread, profile)
        finally:
            firefox.stop()


def test_gecko_says_when_and_who():
    with harness.folder() as folder:
        path = os.path.join(folder, "profile.json")
        with harness.target(harness.interpreters()[0], PROGRAM, "9") as target:
            before = target.pid
            result = harness.cli("attach", target.pid, "-a", "-d", "0.3",
                                 "--gecko", "-o", path)
            assert result.status == 0, result
        with open(path) as file:
            profile = json.load(file)
        age = os.stat(path).st_mtime - profile["meta"]["startTime"] / 1000
        assert 0 <= age < harness.PATIENCE, age
        for thread in profile["threads"]:
            assert thread["pid"] == str(before), thread["pid"]
        main = [t for t in profile["threads"] if t["isMainThread"]]
        assert len(main) == 1 and main[0]["name"] == "MainThread", main


# ---- pstats.

def test_gprof2dot():
    program = harness.consumer("venv-consumers", "bin", "gprof2dot")
    with harness.folder() as folder:
        path = replay(record(folder), "pstats", folder, "profile.pstats")
        graph = run(program, "-f", "pstats", path, "-n", "0", "-e", "0")
        assert "digraph" in graph and "two_threads" in graph, graph
        assert "spin" in graph, graph


def test_snakeviz():
    python = harness.consumer("venv-consumers", "bin", "python")
    code = ("import sys; from pstats import Stats; "
            "from snakeviz.stats import json_stats, table_rows; "
            "s = Stats(sys.argv[1]); "
            "print(len(table_rows(s)), len(json_stats(s)))")
    with harness.folder() as folder:
        path = replay(record(folder), "pstats", folder, "profile.pstats")
        rows, functions = run(python, "-c", code, path).split()
        # it leaves out what neither called nor was called
        assert 5 < int(functions) <= int(rows), (rows, functions)


if __name__ == "__main__":
    harness.main(test_firefox_profiler, test_gecko_says_when_and_who,
                 test_gprof2dot, test_snakeviz, each=False)
