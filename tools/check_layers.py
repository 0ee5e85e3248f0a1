#!/usr/bin/env python3
"""Rules of the source that no compiler knows. Prints FILE:LINE: what is wrong.

Who includes whom is in tools/layers.txt; what must not be used where is in
FORBIDDEN below; the rest is what every file has to look like.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MOST_LINES = 700

STANDARD_HEADERS = set(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math "
    "setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio "
    "stdlib stdnoreturn string tgmath threads time uchar wchar wctype".split())

# (what, where it may stand, pattern). Looked for in libpyprof/, in the code
# alone: comments and the insides of literals don't count.
FORBIDDEN = [
    ("a system's macro", r"libpyprof/os/",
     r"\b(__linux__|__gnu_linux__|__APPLE__|_WIN32|__FreeBSD__)\b"),
    ("memory from elsewhere than pp_alloc", r"libpyprof/base/alloc\.c$",
     r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|"
     r"asprintf|vasprintf|aligned_alloc|posix_memalign|getline)\s*\("),
    ("Python's C API", r"libpyprof/tracer/pyapi\.c$",
     r"\b_?Py[A-Z]\w*|\bPython\.h\b"),
    ("printing", None,
     r"(?<![\w.>])(v?printf|puts|putchar|perror|psignal)\s*\(|"
     r"\b(stdout|stderr)\b"),
    ("ending the process", None,
     r"(?<![\w.>])(exit|abort|quick_exit|_Exit|err|errx)\s*\("),
    ("ending the process (a forked child may)", r"libpyprof/os/",
     r"(?<![\w.>])_exit\s*\("),
    ("a signal's disposition", r"libpyprof/os/",
     r"(?<![\w.>])(signal|sigaction|sigvec|signalfd)\s*\("),
    ("a comparison of versions: make it a field of the layout",
     r"libpyprof/layout/", r"version\s*[<>]=?(?![<>])"),
    ("an unbounded copy", None,
     r"(?<![\w.>])(strcpy|strcat|v?sprintf|gets|alloca|v?sscanf)\s*\("),
    ("the environment", None,
     r"(?<![\w.>])(secure_getenv|getenv|setenv|putenv)\s*\("),
    ("_GNU_SOURCE", r"libpyprof/os/", r"\b_GNU_SOURCE\b"),
]

# The same for every file, wherever it is.
MACHINE_PATHS = r"/(?:root|work)/"
REGISTRIES = (r"\b(?:deb|ftp|snapshot)\.debian\.org|\bpypi\.org|python[h]osted|"
              r"registry\.npmjs|crates\.io|proxy\.golang|repo1?\.maven")
UNFINISHED = r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b"
LINES = [
    ("a tab", re.compile(r"\t")),
    ("blanks at the end", re.compile(r"[ \t]+$")),
    ("a path of one machine", re.compile(MACHINE_PATHS)),
    ("a registry's host", re.compile(REGISTRIES)),
    ("something unfinished", re.compile(UNFINISHED)),
]

COMMENT_OR_LITERAL = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
INCLUDE = re.compile(r"^\s*#\s*include\s+([<\"])([^>\"]+)[>\"]", re.M)

problems = []


def report(path, line, what):
    problems.append((path, line, what))


def tracked_files():
    """What git has or would take, else (no git) all but what is built."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, check=True).stdout
        found = listing.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [f for f in folders
                          if f != ".git" and not f.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, name), ROOT)
                      for name in names]
    return sorted(name for name in set(found)
                  if name and os.path.isfile(os.path.join(ROOT, name)))


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def code_only(text):
    """The text with comments and literals blanked, every line in its place."""
    def blank(match):
        return " " + "\n" * match.group().count("\n")
    return COMMENT_OR_LITERAL.sub(blank, text)


def read_layers():
    layers = {}
    with open(os.path.join(ROOT, "tools", "layers.txt")) as file:
        for line in file:
            line = line.partition("#")[0].strip()
            if line:
                folder, _, rest = line.partition(":")
                folders, _, headers = rest.partition("|")
                layers[folder] = (folders.split(), headers.split())
    return layers


def check_quoted_include(path, line, folder, name, allowed):
    """An #include "..." of a file in libpyprof/<folder>/."""
    if "/" not in name or name.startswith(folder + "/"):
        return
    to, _, rest = name.partition("/")
    if "*" not in allowed and to not in allowed:
        report(path, line, "%s may not include %s (tools/layers.txt)"
               % (folder, to))
    elif to == "api":
        report(path, line, "nobody includes api")
    elif rest != to + ".h":
        report(path, line, "%s is %s's own: include %s/%s.h"
               % (name, to, to, to))


def check_includes(path, text, layers):
    parts = path.split("/")
    inside = parts[0] == "libpyprof" and len(parts) > 2
    folder = parts[1] if inside else None
    if inside and folder not in layers:
        report(path, 1, "folder %s is not in tools/layers.txt" % folder)
        return
    only_public = path.startswith(("include/", "examples/", "bindings/",
                                   "tests/api/", "tests/abi/"))
    for match in INCLUDE.finditer(text):
        line = line_of(text, match.start())
        kind, name = match.groups()
        if only_public and kind == '"':
            beside = os.path.join(ROOT, os.path.dirname(path), name)
            if path.startswith("include/") or not os.path.isfile(beside):
                report(path, line, "only <pyprof/...> may be included here")
        if path.startswith("include/") and kind == "<" and not (
                name.startswith("pyprof/") or name in ("stddef.h",
                                                       "stdint.h")):
            report(path, line, "public headers need no <%s>" % name)
        if not inside:
            continue
        folders, headers = layers[folder]
        if kind == '"':
            check_quoted_include(path, line, folder, name, folders)
        elif not name.startswith("pyprof/") and "*" not in headers and (
                name not in headers and
                name[:-len(".h")] not in STANDARD_HEADERS):
            report(path, line, "%s has no need of <%s> (tools/layers.txt)"
                   % (folder, name))


def check_forbidden(path, text):
    code = code_only(text)
    for what, where, pattern in FORBIDDEN:
        if where and re.search("^" + where, path):
            continue
        for match in re.finditer(pattern, code):
            report(path, line_of(code, match.start()),
                   "%s: %s" % (what, match.group().strip()))


def check_looks(path, text):
    lines = text.split("\n")
    if lines[-1] != "":
        report(path, len(lines), "no newline at the end")
    for number, line in enumerate(lines, 1):
        for what, pattern in LINES:
            if pattern.search(line):
                report(path, number, what)
    if path.endswith((".c", ".h")):
        opening = text.partition("*/")[0]
        if not text.startswith("/*"):
            report(path, 1, "opens without a comment that says its role")
        elif len(lines) > MOST_LINES and "Generated by" not in opening:
            report(path, len(lines), "more than %d lines" % MOST_LINES)


def main():
    layers = read_layers()
    n_files = 0
    for path in tracked_files():
        with open(os.path.join(ROOT, path), "rb") as file:
            data = file.read()
        if b"\0" in data or path.startswith("tests/fuzz/corpus/"):
            continue
        n_files += 1
        text = data.decode("utf-8", "replace")
        check_looks(path, text)
        if path.endswith((".c", ".h", ".def")):
            check_includes(path, text, layers)
            if path.startswith("libpyprof/"):
                check_forbidden(path, text)
    for path, line, what in problems:
        print("%s:%d: %s" % (path, line, what))
    print("%d files, %d problems" % (n_files, len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
