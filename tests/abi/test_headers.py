"""Each public header alone, in each language it promises, and its grammar."""

import os
import re
import subprocess
import sys
import tempfile

import headers

FLAGS = ["-fsyntax-only", "-pedantic", "-Wall", "-Wextra", "-Wshadow",
         "-Wconversion", "-Werror", "-I", headers.INCLUDE]
C = ["c99", "c11"]
CXX = ["c++11", "c++17", "c++20"]

# What another language's foreign function interface can't have, or what would
# break a program when it changes.
FORBIDDEN = [
    ("bool", r"\b(bool|_Bool)\b"),
    ("long, of another size elsewhere", r"\blong\b"),
    ("a FILE", r"\bFILE\b"),
    ("varargs", r"\.\.\.|\bva_list\b"),
    ("an inline function", r"\binline\b"),
    ("a bit-field", r"\w\s*:\s*\d+\s*;"),
    ("a named enum, whose size may change", r"\benum\s+\w"),
    ("exported data", r"\bextern\s+(?!\"C\")"),
]

failures = []


def fail(text):
    failures.append(text)
    print(text)


def check_grammar(name):
    text = headers.code(name)
    for what, pattern in FORBIDDEN:
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            fail("include/%s:%d: %s" % (name, line, what))


def check_compiles(compiler, standard, name, folder):
    suffix = ".cpp" if "++" in standard else ".c"
    path = os.path.join(folder, "alone" + suffix)
    with open(path, "w") as file:
        # Twice: a header has to stand being included again.
        file.write("#include <%s>\n#include <%s>\n" % (name, name))
        if suffix == ".cpp" and name == "pyprof/status.h":
            file.write("pyprof_error error = PYPROF_ERROR_INIT;\n")
    strict = [] if suffix == ".cpp" else ["-Wstrict-prototypes"]
    done = subprocess.run(
        [compiler, "-std=" + standard] + FLAGS + strict + [path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True)
    if done.returncode:
        fail("%s %s %s:\n%s" % (compiler, standard, name, done.stdout))


def check_first_fields():
    for name, fields in headers.structs():
        grows = name.endswith(("_opts", "_ops", "_info", "_stats", "_error"))
        if grows and fields[0] != "sz":
            fail("%s does not begin with sz" % name)


def main():
    compilers = headers.compilers()
    n_compiled = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in headers.names():
            check_grammar(name)
            for cc, cxx in compilers:
                runs = [(cc, standard) for standard in C]
                if cxx:
                    runs += [(cxx, standard) for standard in CXX]
                for compiler, standard in runs:
                    check_compiles(compiler, standard, name, folder)
                    n_compiled += 1
    check_first_fields()
    print("%d headers, %d times compiled, with %s; %d failures" % (
        len(headers.names()), n_compiled,
        ", ".join(name for pair in compilers for name in pair if name),
        len(failures)))
    if not any(cxx for _, cxx in compilers):
        sys.exit("no C++ compiler")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
