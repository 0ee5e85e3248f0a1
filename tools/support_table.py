#!/usr/bin/env python3
"""The table of supported versions in README.md, made from versions.def.

support_table.py           fails when README.md has another table
support_table.py --update  writes it

A row may say "tested" only if the test matrix has an interpreter of its name.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(ROOT, "README.md")
PLACE = re.compile(r"(?<=<!-- support table -->\n).*?(?=<!-- end -->)", re.S)
BUILDS = {False: "with the GIL", True: "free-threaded"}


def rows():
    """[(name, free_threaded, status)] of versions.def."""
    path = os.path.join(ROOT, "libpyprof", "layout", "versions.def")
    with open(path) as file:
        found = re.findall(
            r'^PP_VERSION\(\w+, (true|false), "([^"]+)", \w+, "([^"]+)"\)',
            file.read(), re.M)
    return [(name, free == "true", status) for free, name, status in found]


def matrix():
    """Names that tools/interpreters knows."""
    text = subprocess.run(
        [os.path.join(ROOT, "tools", "interpreters"), "--help"],
        stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout
    names = re.search(r"Names: (.*?)\(", text, re.S).group(1)
    return set(names.split())


def table():
    lines = ["| CPython | build | state |", "|---|---|---|"]
    names = matrix()
    for name, free_threaded, status in rows():
        if status == "tested" and name not in names:
            sys.exit("%s is not in the matrix, so it is not tested" % name)
        lines.append("| %s | %s | %s |" % (name.rstrip("t"),
                                           BUILDS[free_threaded], status))
    return "\n".join(lines) + "\n"


def main():
    with open(README) as file:
        text = file.read()
    place = PLACE.search(text)
    if not place:
        sys.exit("README.md has no place for the table")
    if sys.argv[1:] == ["--update"]:
        with open(README, "w") as file:
            file.write(text[:place.start()] + table() + text[place.end():])
    elif place.group() != table():
        sys.exit("README.md has another table: tools/support_table.py "
                 "--update\n" + table())


if __name__ == "__main__":
    main()
