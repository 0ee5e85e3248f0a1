"""What the public headers say, read as text: shared by the tests beside it."""

import os
import re
import shutil

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
INCLUDE = os.path.join(ROOT, "include")

COMMENT = re.compile(r"/\*.*?\*/", re.S)


def names():
    """Each header, as a program names it: "pyprof/sample.h"."""
    folder = os.path.join(INCLUDE, "pyprof")
    return ["pyprof/" + name for name in sorted(os.listdir(folder))
            if name.endswith(".h")]


def code(name):
    """A header without its comments, lines as they were."""
    with open(os.path.join(INCLUDE, name)) as file:
        return COMMENT.sub(lambda m: "\n" * m.group().count("\n"),
                           file.read())


def functions():
    """Names of all functions marked PYPROF_API."""
    found = set()
    for name in names():
        for match in re.finditer(r"^PYPROF_API ([^;]*?)\(", code(name), re.M):
            found.add(re.search(r"(\w+)$", match.group(1)).group(1))
    return found


def structs():
    """[(name, [field, ...])] of all structures whose fields are public."""
    found = []
    for name in names():
        for match in re.finditer(
                r"typedef struct (\w+) \{(.*?)^\} \1;", code(name),
                re.S | re.M):
            fields = []
            for field in match.group(2).split(";"):
                pointer = re.search(r"\(\*(\w+)\)\(", field)
                plain = re.search(r"(\w+)(\[\w+\])?\s*$", field)
                if pointer:
                    fields.append(pointer.group(1))
                elif plain:
                    fields.append(plain.group(1))
            found.append((match.group(1), fields))
    return found


def compilers():
    """[(C compiler, C++ compiler or None)] of this machine."""
    pairs = [("gcc", "g++"), ("clang-14", "clang++-14"), ("clang", "clang++")]
    found = [(cc, cxx if shutil.which(cxx) else None)
             for cc, cxx in pairs if shutil.which(cc)]
    return found[:2]
