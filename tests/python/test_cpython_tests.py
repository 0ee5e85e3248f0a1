"""CPython's own tests of cProfile and pstats, run against libpyprof.

Each version's own tests, from its own library, in a venv whose .pth file puts
libpyprof in the place of _lsprof ("native": CPython's Python code above it) or
of cProfile altogether ("python"). Children of the tests, which run with -I,
get it too; a file that the shim marks shows that they did.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
import harness  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
# how many tests there are, so that none gets lost
MODULES = {
    "3.8": ("test.test_cprofile", 16),
    "3.11": ("test.test_cprofile", 16),
    "3.12": ("test.test_cprofile", 18),
    "3.13": ("test.test_cprofile", 21),
    "3.15": ("test.test_profiling.test_tracing_profiler", 30),
}


def expected(way, version):
    """{test: reason} of expected_failures.txt."""
    found = {}
    with open(os.path.join(HERE, "expected_failures.txt")) as file:
        for line in file:
            if line.split() and not line.startswith("#"):
                ways, versions, test, reason = line.split(None, 3)
                if ways in (way, "both") and version in versions.split(","):
                    found[test] = reason.strip()
    return found


def make_venv(interpreter, folder, way, mark):
    subprocess.run(interpreter.command + ["-m", "venv", "--without-pip",
                                          folder], check=True)
    packages = subprocess.run(
        interpreter.command + ["-c", "import sys; print('lib/python%d.%d/"
                               "site-packages' % sys.version_info[:2])"],
        stdout=subprocess.PIPE, universal_newlines=True,
        check=True).stdout.strip()
    packages = os.path.join(folder, packages)
    shutil.copy(os.path.join(HERE, "cpython_shim.py"), packages)
    with open(os.path.join(packages, "cpython_shim.txt"), "w") as file:
        file.write("%s\n%s\n%s\n" % (harness.BUILD, way, mark))
    with open(os.path.join(packages, "zz_pyprof.pth"), "w") as file:
        file.write("import cpython_shim\n")


def python_of(interpreter, folder):
    """The venv's Python; one in the sid root is started there."""
    python = os.path.join(folder, "bin", "python")
    if interpreter.chroot:
        runner = os.path.join(os.path.dirname(interpreter.command[0]),
                              "sid-run")
        return [runner, python]
    return [python]


def run(interpreter, module, way, listed):
    """What was printed, of the other tests and of those that are listed; and
    what the shim replaced."""
    folder = tempfile.mkdtemp(prefix="pyprof-cpython-")
    try:
        mark = os.path.join(folder, "mark")
        make_venv(interpreter, os.path.join(folder, "venv"), way, mark)
        texts = []
        for which in ("without", "with"):
            command = python_of(interpreter, os.path.join(folder, "venv")) + [
                os.path.join(HERE, "cpython_runner.py"), which,
                ",".join(listed), module, "test.test_pstats"]
            texts.append(subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd=folder, universal_newlines=True,
                timeout=harness.PATIENCE * 3).stdout)
        with open(mark) as file:
            marks = set(file.read().split())
        return texts, marks
    finally:
        shutil.rmtree(folder)


def count_of(text):
    match = re.search(r"^Ran (\d+) test", text, re.M)
    assert match, text
    return int(match.group(1))


def check(interpreter, module, count, way):
    listed = set(expected(way, interpreter.name))
    (others, text), marks = run(interpreter, module, way, listed)
    failed = set(re.findall(r"^(?:FAIL|ERROR): (\w+) ", text, re.M))
    total = count_of(others) + count_of(text)
    print("%s %s: %d tests, failed as listed: %s" % (
        interpreter, way, total, ", ".join(sorted(failed)) or "none"))
    assert re.search(r"^OK", others, re.M), others
    assert failed == listed, "%s\nlisted, but passed: %s" % (
        text, sorted(listed - failed))
    assert total > count, "%d tests, and %d were to be of %s alone" % (
        total, count, module)
    assert "cProfile" in marks if way == "python" else "_lsprof" in marks


def test(interpreter):
    if interpreter.name not in MODULES:
        return
    module, count = MODULES[interpreter.name]
    check(interpreter, module, count, "native")
    check(interpreter, module, count, "python")


if __name__ == "__main__":
    harness.main(test)
