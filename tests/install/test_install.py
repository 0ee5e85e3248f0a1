"""Installs to an empty prefix, then meets the library there as others would:
a program compiled with pkg-config alone, one with CMake's find_package, and
the installed pyprof-cli. Then the prefix moves, and all still holds.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CONSUMER = os.path.join(HERE, "consumer")
BUILD = os.environ["PYPROF_BUILD"]
ANSWER = "libpyprof 0.1.0 writes collapsed\n"


def run(*command, **env):
    print("$ " + " ".join(command), flush=True)
    return subprocess.run(command, env=dict(os.environ, **env), check=True,
                          stdout=subprocess.PIPE,
                          universal_newlines=True).stdout


def find(prefix, name):
    for folder, _, names in os.walk(prefix):
        if name in names:
            return os.path.join(folder, name)
    sys.exit("%s was not installed" % name)


def check_files(prefix):
    installed = sorted(
        os.path.relpath(os.path.join(folder, name), prefix)
        for folder, _, names in os.walk(prefix) for name in names)
    print("\n".join("  " + name for name in installed))
    source = os.path.join(HERE, "..", "..", "include", "pyprof")
    for name in os.listdir(source):
        assert "include/pyprof/" + name in installed, name
    for name in installed:
        with open(os.path.join(prefix, name), "rb") as file:
            assert name.startswith(("bin/", "include/")) or (
                prefix.encode() not in file.read()), (
                    "%s has the prefix inside" % name)


def check_pkg_config(prefix, work):
    folder = os.path.dirname(find(prefix, "pyprof.pc"))
    flags = run("pkg-config", "--cflags", "--libs", "pyprof",
                PKG_CONFIG_PATH=folder).split()
    program = os.path.join(work, "with-pkg-config")
    run("gcc", "-Wall", "-Wextra", "-Werror", "-o", program,
        os.path.join(CONSUMER, "consumer.c"), *flags)
    answer = run(program, LD_LIBRARY_PATH=os.path.dirname(folder))
    assert answer == ANSWER, answer


def check_find_package(prefix, work):
    build = os.path.join(work, "with-cmake")
    run("cmake", "-S", CONSUMER, "-B", build, "-G", "Ninja",
        "-DCMAKE_PREFIX_PATH=" + prefix)
    run("cmake", "--build", build)
    answer = run(os.path.join(build, "consumer"))
    assert answer == ANSWER, answer


def check_cli(prefix):
    """Starts without any help in finding its library."""
    program = os.path.join(prefix, "bin", "pyprof-cli")
    assert "run" in run(program, "--help")
    found = re.search(r"libpyprof\.so\.0 => (\S+)", run("ldd", program))
    assert found and os.path.samefile(found.group(1),
                                      find(prefix, "libpyprof.so.0"))


def main():
    work = tempfile.mkdtemp(prefix="pyprof-install-")
    try:
        for name in ("first", "moved"):
            prefix = os.path.join(work, name)
            if name == "first":
                run("cmake", "--install", BUILD, "--prefix", prefix)
            else:
                os.rename(os.path.join(work, "first"), prefix)
                shutil.rmtree(os.path.join(work, "with-cmake"))
            check_files(prefix)
            check_pkg_config(prefix, work)
            check_find_package(prefix, work)
            check_cli(prefix)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
