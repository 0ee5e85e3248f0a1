"""Runs one test over the interpreters: `run_live.py TEST [ARG...]`.

TEST is a Python script or a program. It gets, in its environment,
  PYPROF_BUILD         the build folder (given by ctest)
  PYPROF_INTERPRETERS  a file: a line NAME<TAB>COMMAND for each interpreter
and answers by its exit status: 0 passed, 77 skipped (it printed why), anything
else failed. In CI nothing may be missing: there a missing interpreter and a
skip are failures.
"""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = 77


def main():
    in_ci = os.environ.get("CI") == "true"
    listing = subprocess.run(
        [os.path.join(ROOT, "tools", "interpreters"), "--list"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, check=True)
    for line in listing.stderr.splitlines():
        print("run_live: " + line)
    if in_ci and listing.stderr:
        print("run_live: in CI a missing interpreter is a failure")
        return 1

    command = sys.argv[1:]
    if command[0].endswith(".py"):
        command.insert(0, sys.executable)
    with tempfile.NamedTemporaryFile("w", prefix="pyprof-interpreters-",
                                     suffix=".txt") as table:
        table.write(listing.stdout)
        table.flush()
        sys.stdout.flush()
        status = subprocess.run(
            command, env=dict(os.environ, PYPROF_INTERPRETERS=table.name)
        ).returncode
    if status == SKIPPED:
        print("run_live: SKIPPED, for the reason above")
        if in_ci:
            print("run_live: in CI a skip is a failure")
            return 1
    if status < 0:
        print("run_live: killed by signal %d" % -status)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
