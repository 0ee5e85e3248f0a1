"""The small programs of examples/, each run as its first comment says."""

import os
import subprocess
import sys

import harness

SHAPE = harness.program("cli_shape.py")


def example(name, *arguments):
    path = os.path.join(harness.BUILD, "bin", name)
    if not os.path.exists(path):
        harness.skip("%s was not built (no Python to embed)" % name)
    done = subprocess.run([path] + [str(a) for a in arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8",
                          errors="surrogateescape",
                          timeout=harness.PATIENCE)
    return harness.Result(done.returncode, done.stdout, done.stderr, done.args)


def test_attach_step():
    with harness.running([sys.executable, SHAPE, "1000"]) as target:
        result = example("attach_step", target.pid, 100)
        assert result.status == 0, result
        counts = {line.split()[1]: int(line.split()[0])
                  for line in result.stdout.splitlines()}
        assert counts["leaf"] > 50 and sum(counts.values()) <= 100, result
    assert example("attach_step", target.pid).status == 1
    assert "attach_step: " in example("attach_step").stderr


def test_snapshot():
    with harness.running([sys.executable, SHAPE, "1000"]) as target:
        result = example("snapshot", target.pid)
        assert result.status == 0, result
        lines = result.stdout.splitlines()
        assert lines[0].startswith("thread %d " % target.pid), result
        assert lines[1].startswith("    leaf ("), result
        assert lines[-1].startswith("    <module> ("), result
    assert example("snapshot").status == 1


def test_to_memory():
    result = example("to_memory", sys.executable, SHAPE, "0.5")
    assert result.status == 0, result
    assert "most often: " in result.stdout, result
    assert "cli_shape.py:leaf:" in result.stdout, result
    assert example("to_memory", sys.executable, "-c",
                   "import sys; sys.exit(3)").status == 3


def test_embed_self():
    result = example("embed_self")
    assert result.status == 0, result
    stacks = harness.collapsed(result.stdout)
    assert any(":work:" in frame for stack in stacks for frame in stack), \
        result


def test_trace_function():
    result = example("trace_function")
    assert "square" in result.stderr and " 1000 " in result.stderr, result


if __name__ == "__main__":
    harness.main(test_attach_step, test_snapshot, test_to_memory,
                 test_embed_self, test_trace_function, each=False)
