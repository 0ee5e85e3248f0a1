"""The generated tables are what the generator makes of the headers that an
interpreter brings along, where these are of the version the table is from."""

import os
import re
import shutil
import sys

import harness

GENERATOR = os.path.join(harness.ROOT, "tools", "layout", "generate.py")
WHERE = """
import platform, sysconfig
print("found", platform.python_version(), sysconfig.get_path("include"))
"""


def source(name):
    """The exact version that a table was made from."""
    with open(os.path.join(harness.ROOT, "libpyprof", "layout",
                           "py%s.c" % name.replace(".", ""))) as file:
        return re.search(r"layout of CPython ([\d.]+\d)", file.read()).group(1)


def test_tables(interpreter):
    name = re.sub("-.*", "", interpreter.name)
    with harness.running(interpreter.command + ["-c", WHERE],
                         ready="found") as process:
        _, version, include = process.wait_line("found").split()
    if version != source(name) or interpreter.chroot or \
            not os.path.isdir(os.path.join(include, "internal")):
        print("    no headers of %s here" % source(name))
        return
    for compiler in ("gcc", "aarch64-linux-gnu-gcc"):
        if not shutil.which(compiler):
            harness.skip("no %s here" % compiler)
    generator = harness.Process([sys.executable, GENERATOR, name, include,
                                 "--check"])
    assert generator.wait() == 0, "\n".join(generator.lines)
    if name == "3.13":
        generator = harness.Process([sys.executable, GENERATOR, "3.13t",
                                     include, "--check"])
        assert generator.wait() == 0, "\n".join(generator.lines)


if __name__ == "__main__":
    harness.main(test_tables)
