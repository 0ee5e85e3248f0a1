"""A program to profile: how far are modules of the standard library from what
`ast.unparse` would write? Reads each, parses it, writes it anew, compares the
two line by line, and counts words. Where would you say that the time goes?
"""

import ast
import collections
import difflib
import json
import os
import re
import sys

MODULES = """argparse ast calendar cgi collections configparser csv dataclasses
datetime difflib doctest enum fractions ftplib functools gettext heapq inspect
ipaddress locale mailbox optparse pathlib pickle pickletools platform plistlib
pprint random shutil smtplib statistics string subprocess tarfile textwrap
threading traceback turtle typing uuid zipfile""".split()


def read_sources():
    folder = os.path.dirname(ast.__file__)
    for name in MODULES:
        path = os.path.join(folder, name + ".py")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                yield name, file.read()


def count_words(text):
    words = re.findall(r"[A-Za-z_]\w+", text)
    return collections.Counter(word.lower() for word in words)


def nesting(node, depth=0):
    children = [nesting(child, depth + 1)
                for child in ast.iter_child_nodes(node)]
    return max(children, default=depth)


def similarity(before, after):
    matcher = difflib.SequenceMatcher(None, before.splitlines(),
                                      after.splitlines())
    return matcher.ratio()


def study(text):
    tree = ast.parse(text)
    rewritten = ast.unparse(tree)
    return {
        "lines": text.count("\n"),
        "nesting": nesting(tree),
        "kept": round(similarity(text, rewritten), 3),
        "words": count_words(text).most_common(3),
    }


def main():
    report = {name: study(text) for name, text in read_sources()}
    text = json.dumps(report, indent=4, sort_keys=True)
    lines = sum(entry["lines"] for entry in report.values())
    print("%d modules, %d lines, a report of %d bytes"
          % (len(report), lines, len(text)))


if __name__ == "__main__":
    sys.exit(main())
