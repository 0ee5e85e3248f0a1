"""Every interpreter's own pstats takes the files of tests/golden/pstats."""

import os
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    failed = []
    with open(os.environ["PYPROF_INTERPRETERS"]) as table:
        rows = [line.rstrip("\n").split("\t") for line in table]
    for name, command in rows:
        run = subprocess.run(
            shlex.split(command) + [os.path.join(HERE, "check_pstats.py"),
                                    os.path.join(HERE, "pstats")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)
        print("%s: %s" % (name, run.stdout.strip()))
        if run.returncode != 0:
            failed.append(name)
    if not rows:
        print("no interpreter")
        return 77
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
