"""Line tables of each interpreter's own library: every code object of some
fifty modules is decoded as the interpreter itself decodes it."""

import os

import harness

CHECKER = os.path.join(harness.BUILD, "bin", "unit_layout_linetable")


def test_as_the_interpreter_says(interpreter):
    with harness.folder() as folder:
        cases = os.path.join(folder, "cases.txt")
        with harness.target(interpreter, "linetables.py", cases) as target:
            assert target.wait() == 0, target.lines
        checker = harness.Process([CHECKER, cases])
        assert checker.wait() == 0, checker.lines
        tables = int(target.wait_line().split()[1])
        assert tables > 3000, target.lines
        assert checker.lines[-1].endswith("%d tables, 0 wrong" % tables), \
            checker.lines


if __name__ == "__main__":
    harness.main(test_as_the_interpreter_says)
