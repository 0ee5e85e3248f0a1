"""Puts the tables of a benchmark into docs/benchmarks.md.

The file has a part for each benchmark between two comments; a run replaces its
own part and leaves the rest alone.
"""
import os
import time

import common

PATH = os.path.join(common.ROOT, "docs", "benchmarks.md")

HEAD = """# Benchmarks

Made by `./dev bench sampling` and `./dev bench truth`, which run this project's
profiler and others side by side on the same targets. Nothing here is typed in
by hand. Absolute figures are those of the machine that is named; what carries
over to another one are the ratios, which are of runs made in turn.
"""


def heading(title, command):
    return "## %s\n%s, on %s. Command: `%s`\n" % (
        title, time.strftime("%Y-%m-%d"), common.machine(), command)


def write(name, text):
    begin, end = "<!-- begin %s -->" % name, "<!-- end %s -->" % name
    part = "%s\n%s\n%s" % (begin, text.strip(), end)
    old = HEAD
    if os.path.exists(PATH):
        with open(PATH, encoding="utf-8") as file:
            old = file.read()
    if begin in old and end in old:
        before, rest = old.split(begin, 1)
        new = before + part + rest.split(end, 1)[1]
    else:
        new = old.rstrip() + "\n\n" + part + "\n"
    os.makedirs(os.path.dirname(PATH), exist_ok=True)
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(new)
