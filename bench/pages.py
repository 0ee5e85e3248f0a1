"""What it takes to write a page of many distinct stacks, and to open it.

    python3 bench/pages.py [--stacks N,...] [--compare N] [--formats F,...]
                             [--write]

Each of our formats is driven through the profile of pages.c at each of
--stacks; at --compare stacks, Python 3.15's own collectors are driven through
the same profile as well (pages_315.py), and both are in the table. Memory is
the peak of the process, less what making the input had taken. The flame graphs
are then opened in Chromium (tests/browser/measure.js). --write puts the tables
into docs/benchmarks.md.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys

import common
import harness
import report

MADE = os.path.join(common.ROOT, "build-test", "bin", "bench_pages")
MEASURE = os.path.join(common.ROOT, "tests", "browser", "measure.js")
# Ours -> how 3.15 calls it; None: it has none.
FORMATS = {"flamegraph": "flamegraph", "diff-flamegraph": None,
           "heatmap": "heatmap"}


def size_of(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(path) for name in names)


def run(command, path):
    """What a driver says of itself, and the size of what it wrote; None when it
    failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)
    if done.returncode != 0:
        common.note("failed: %s\n%s" % (" ".join(command), done.stderr))
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    result["seconds"] = result["collect_s"] + result["write_s"]
    result["mb"] = result["peak_mb"] - result["input_mb"]
    result["bytes"] = size_of(path)
    return result


def ours(name, stacks, path):
    common.note("%s, %d stacks" % (name, stacks))
    return run([MADE, name, str(stacks), path], path)


def python(name, stacks, folder):
    interpreter = harness.interpreter("3.15")
    common.note("3.15's %s, %d stacks" % (name, stacks))
    path = os.path.join(folder, "315-%s.html" % name)
    result = run(interpreter.command
                 + [os.path.join(common.HERE, "pages_315.py"), name,
                    str(stacks), path], path)
    if result and name == "heatmap":
        result["bytes"] = size_of(path[:-len(".html")])
    return result


def cells(result):
    if result is None:
        return ["failed", "", ""]
    return ["%.2f" % result["seconds"], "%.0f" % result["mb"],
            "%.1f" % (result["bytes"] / 1e6)]


def comparison(options, folder):
    rows = []
    for name in options.formats:
        theirs = FORMATS[name]
        if theirs is None:
            continue
        mine = ours(name, options.compare, os.path.join(folder, name))
        other = python(theirs, options.compare, folder)
        ratio = ["", ""]
        if mine and other:
            ratio = ["%.0f" % (other["seconds"] / mine["seconds"]),
                     "%.1f" % (other["mb"] / mine["mb"])]
        rows.append([name] + cells(mine) + cells(other) + ratio)
    return ("Both at %s distinct stacks:\n\n" % common.thousands(options.compare)
            + common.table(["format", "s", "MB", "file MB", "3.15: s", "MB",
                            "file MB", "times as quick", "memory of 3.15"],
                           rows)
            + "\n\n3.15 prunes what is below 0.1 % from its flame graph, which "
              "here is nearly all; ours has every node.")


def sizes(options, folder, pages):
    rows = []
    for stacks in options.stacks:
        for name in options.formats:
            path = os.path.join(folder, "%s-%d.html" % (name, stacks))
            result = ours(name, stacks, path)
            rows.append([name, common.thousands(stacks)] + cells(result))
            if name == "flamegraph" and result:
                pages.append((stacks, path))
            elif os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
    return common.table(["format", "distinct stacks", "s", "MB", "file MB"],
                        rows)


def opening(pages):
    modules = os.environ.get("PYPROF_NODE_MODULES") or os.path.join(
        common.CACHE, "node-browser", "node_modules")
    rows = []
    for stacks, path in pages:
        common.note("Chromium, %d stacks" % stacks)
        done = subprocess.run(
            ["node", MEASURE, path], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True,
            env=dict(os.environ, PYPROF_NODE_MODULES=modules))
        if done.returncode != 0:
            return "Not opened in a browser: " + done.stderr.strip()
        seen = json.loads(done.stdout)
        rows.append([common.thousands(stacks), common.thousands(seen["boxes"]),
                     seen["shownMs"], "%.1f" % seen["frameMs"],
                     "%.1f" % seen["slowestFrameMs"], seen["framesOver33ms"],
                     seen["heapMb"]])
    return ("The flame graphs in Chromium, 1400 x 900, zooming and moving for "
            "120 frames:\n\n"
            + common.table(["distinct stacks", "boxes", "shown after ms",
                            "a frame, ms", "slowest, ms", "over 33 ms",
                            "heap MB"], rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stacks", default="300000,1000000",
                        type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--compare", default=100000, type=int)
    parser.add_argument("--formats", default=list(FORMATS),
                        type=lambda text: text.split(","))
    parser.add_argument("--write", action="store_true",
                        help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    folder = common.folder()
    pages = []
    texts = [report.heading("Pages: time, memory, size, opening",
                            " ".join(["./dev bench pages"] + sys.argv[1:])),
             comparison(options, folder), sizes(options, folder, pages),
             opening(pages)]
    common.say("\n\n".join(texts))
    if options.write:
        report.write("pages", "\n\n".join(texts))


if __name__ == "__main__":
    main()
