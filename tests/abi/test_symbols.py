"""What the shared library shows and needs.

Exported symbols = libpyprof.map = functions marked PYPROF_API; it needs the C
library alone; it imports nothing that the library promises not to do; and it
has no data that can be written.
"""

import os
import re
import subprocess
import sys

import headers

LIBRARY = os.path.join(os.environ["PYPROF_BUILD"], "lib", "libpyprof.so.0")
MAP = os.path.join(headers.ROOT, "libpyprof", "libpyprof.map")
MAY_NEED = re.compile(r"(libc|libpthread|libzstd|ld-linux-.*|"
                      r"lib[atu]b?san)\.so\.\d+$")
NEVER_IMPORTED = set(
    "exit _Exit quick_exit printf vprintf puts putchar perror stdout stderr "
    "getenv secure_getenv setenv putenv signal dlopen system popen fork "
    "setlocale atexit __cxa_atexit".split())

failures = []


def fail(text):
    failures.append(text)
    print(text)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE,
                          universal_newlines=True, check=True).stdout


def map_symbols():
    """{symbol: node} of the map; every one is listed by its name."""
    found = {}
    with open(MAP) as file:
        text = file.read()
    for node, body in re.findall(r"^(PYPROF_[\d.]+) \{(.*?)\}", text,
                                 re.S | re.M):
        shown, _, hidden = body.partition("local:")
        names = re.findall(r"([^\s;]+);", shown)
        for name in names:
            if not re.fullmatch(r"pyprof_\w+", name):
                fail("%s: %s is not one symbol's name" % (node, name))
            if name in found:
                fail("%s is listed twice" % name)
            found[name] = node
        if names != sorted(names):
            fail("%s is not sorted" % node)
    return found


def compare(have, want, which):
    for name in sorted(have - want):
        fail("%s: %s is too much" % (which, name))
    for name in sorted(want - have):
        fail("%s: %s is missing" % (which, name))


def check_exports():
    listed = map_symbols()
    exported = {}
    for line in output("nm", "-D", "--defined-only", LIBRARY).splitlines():
        name, _, node = line.split()[2].partition("@@")
        if name != node and line.split()[1] != "A":
            exported[name] = node
            if line.split()[1] != "T":
                fail("%s is data" % name)
    compare(set(exported), set(listed), "exported, by libpyprof.map")
    compare(set(listed), headers.functions(), "libpyprof.map, by headers")
    for name, node in exported.items():
        if listed.get(name, node) != node:
            fail("%s is in node %s, not %s" % (name, node, listed[name]))
    print("%d symbols" % len(exported))


def check_dynamic():
    text = output("readelf", "-d", LIBRARY)
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", text)
    if soname != ["libpyprof.so.0"]:
        fail("soname: %s" % soname)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    print("needs %s" % ", ".join(needed))
    for name in needed:
        if not MAY_NEED.match(name):
            fail("needs %s" % name)
    if "TEXTREL" in text:
        fail("is not position independent")


def check_imports():
    undefined = output("nm", "-D", "--undefined-only", LIBRARY)
    names = {line.split()[-1].partition("@")[0]
             for line in undefined.splitlines()}
    for name in sorted(names & NEVER_IMPORTED):
        fail("imports %s" % name)


def check_no_writable_data():
    """Only what the compiler's own start-up code has may be written."""
    start_up = re.compile(r"(completed\.\d+|__dso_handle|_edata|_end|"
                          r"__bss_start|__TMC_END__|\.data|\.bss|"
                          r".*(asan|ubsan|odr|Lubsan|\.Lubsan).*)$")
    for line in output("objdump", "-t", LIBRARY).splitlines():
        match = re.search(r"\s(\.data|\.bss|\.tbss|\.tdata)\s.*\s(\S+)$", line)
        if match and not start_up.match(match.group(2)):
            fail("%s can be written (%s)" % (match.group(2), match.group(1)))


def main():
    check_exports()
    check_dynamic()
    check_imports()
    check_no_writable_data()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
