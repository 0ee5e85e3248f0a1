"""python -m libpyprof.tracing: what the program sees, exit statuses, files."""
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
import harness  # noqa: E402

PROGRAM = """\
import sys
import __main__
def work(n):
    return sum(abs(i) for i in range(n))
class Here: pass
assert __main__.Here is Here, __main__
print("argv", sys.argv[1:], __name__)
work(100)
if "exit" in sys.argv: sys.exit(3)
if "message" in sys.argv: sys.exit("farewell")
if "fail" in sys.argv: raise LookupError("lost")
"""


class Folder:
    def __init__(self, interpreter):
        self.command = interpreter.command
        self.path = tempfile.mkdtemp(prefix="pyprof-command-")
        self.environment = dict(
            os.environ, PYTHONPATH=os.path.join(harness.BUILD, "python"),
            PYTHONDONTWRITEBYTECODE="1")

    def write(self, name, text):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def run(self, *arguments):
        return subprocess.run(
            self.command + ["-m", "libpyprof.tracing"] + list(arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.path,
            universal_newlines=True, env=self.environment,
            timeout=harness.PATIENCE)


def expect(result, status, out="", err=""):
    assert result.returncode == status, result
    assert out in result.stdout and err in result.stderr, result
    return result


def check_targets(folder):
    script = folder.write("prog.py", PROGRAM)
    result = expect(folder.run("prog.py", "a", "-s"), 0,
                    "argv ['a', '-s'] __main__")
    assert "(work)" in result.stdout and "Ordered by: cumul" in result.stdout
    expect(folder.run("-m", "prog", "b"), 0, "argv ['b'] __main__")
    expect(folder.run("-m", "-s", "calls", "prog"), 0, "call count")
    expect(folder.run("-c", "import sys; print(sys.argv)", "-x"), 0,
           "['-c', '-x']")
    folder.write("package/__main__.py", PROGRAM)
    expect(folder.run("package", "c"), 0, "argv ['c'] __main__")
    with zipfile.ZipFile(os.path.join(folder.path, "app.zip"), "w") as file:
        file.write(script, "__main__.py")
    expect(folder.run("app.zip", "d"), 0, "argv ['d'] __main__")


def check_statuses(folder):
    expect(folder.run("prog.py", "exit"), 3, "(work)")
    expect(folder.run("prog.py", "message"), 1, "(work)", "farewell")
    failed = expect(folder.run("prog.py", "fail"), 1, "(work)",
                    "LookupError: lost")
    assert "_trace_command" not in failed.stderr, failed.stderr
    expect(folder.run(), 2, "Usage")
    expect(folder.run("-s", "demo", "prog.py"), 2, "",
           "option -s: invalid choice: 'demo'")
    expect(folder.run("-o", "x"), 2, "", "nothing to profile")
    expect(folder.run("-m"), 2, "", "nothing to profile")
    expect(folder.run("--help"), 0, "--coroutines")
    result = expect(folder.run("-o", "no/where", "prog.py"), 2, "",
                    "cannot write")
    assert "argv" not in result.stdout
    expect(folder.run("missing.py"), 1, "", "missing.py")


def check_files(folder):
    expect(folder.run("-o", "out", "prog.py", "fail"), 1)
    stats = pstats.Stats(os.path.join(folder.path, "out")).stats
    assert any(key[2] == "work" for key in stats)
    expect(folder.run("-o", "grind", "-f", "callgrind", "prog.py"), 0)
    with open(os.path.join(folder.path, "grind")) as file:
        assert "fn=(" in file.read()
    expect(folder.run("-o", "stacks", "-f", "collapsed", "-c",
                      "sum(i for i in range(100000))"), 0)
    with open(os.path.join(folder.path, "stacks")) as file:
        assert "<genexpr>" in file.read()
    result = expect(folder.run("--exclude", "function:work", "--no-builtins",
                               "prog.py"), 0)
    assert "(work)" not in result.stdout and "{built" not in result.stdout
    threads = ("import threading, time\n"
               "def late(): time.sleep(0.1)\n"
               "threading.Thread(target=late).start()")
    expect(folder.run("-c", threads), 0, "(late)")


def test(interpreter):
    folder = Folder(interpreter)
    try:
        check_targets(folder)
        check_statuses(folder)
        check_files(folder)
    finally:
        shutil.rmtree(folder.path)


if __name__ == "__main__":
    harness.main(test)
