"""Saved profiles, there and back: ours, and those of Python 3.15's profiler."""

import gzip
import os
import signal
import subprocess
import time

import harness
from saved import script, stacks_of


def theirs(python, *arguments):
    done = subprocess.run(
        python.command + ["-m", "profiling.sampling"] + list(arguments),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stdout
    return done.stdout


def their_stacks(python, path, folder):
    out = os.path.join(folder, "theirs.txt")
    theirs(python, "replay", path, "--collapsed", "-o", out)
    with open(out) as file:
        return harness.collapsed(file.read())


def test_theirs_reads_ours():
    python = harness.interpreter("3.15")
    with harness.folder() as folder:
        for kind in ("zstd", "none"):
            path = os.path.join(folder, kind + ".bin")
            result = harness.cli("run", "-a", "--binary", "--compression",
                                 kind, "-o", path, script(folder))
            assert result.status == 0, result
            ours = stacks_of(path)
            assert sum(ours.values()) > 500, ours
            assert their_stacks(python, path, folder) == ours


def test_ours_reads_theirs():
    python = harness.interpreter("3.15")
    with harness.folder() as folder:
        for kind in ("zstd", "none"):
            path = os.path.join(folder, kind + ".bin")
            theirs(python, "run", "-a", "--binary", "--compression", kind,
                   "-o", path, script(folder))
            ours = stacks_of(path)
            assert sum(ours.values()) > 500, ours
            assert their_stacks(python, path, folder) == ours


def test_killed():
    """What was flushed before a kill is there."""
    with harness.folder() as folder:
        path = os.path.join(folder, "killed.pyprof")
        program = os.path.join(folder, "long.py")
        with open(program, "w") as file:
            # it ends with the command that is killed, which can't end it
            file.write("import os\nparent = os.getppid()\n"
                       "print('ready', flush=True)\n"
                       "while os.getppid() == parent:\n    pass\n")
        with harness.running(
                [harness.CLI, "run", "--pyprof", "-o", path, program]) as run:
            # three flushes, however slow the machine is
            sizes = set()
            deadline = time.monotonic() + harness.PATIENCE
            while len(sizes) < 4 and time.monotonic() < deadline:
                time.sleep(0.2)
                if os.path.exists(path):
                    sizes.add(os.path.getsize(path))
            run.signal(signal.SIGKILL)
        whole = harness.cli("replay", path, "--collapsed", "-o", "-")
        assert whole.status == 1 and "--salvage" in whole.stderr, whole
        stacks = stacks_of(path, "--salvage")
        assert sum(stacks.values()) > 500, stacks


def test_streamed_lines():
    """JSON Lines are there while it samples, and end as they should."""
    result = harness.cli("run", "--jsonl", "-o", "-", "-c",
                         "import time\ne = time.time() + 2.2\n"
                         "while time.time() < e: pass")
    assert result.status == 0, result
    kinds = [line.split('"')[3] for line in result.stdout.splitlines()]
    assert kinds[0] == "meta" and kinds[-1] == "end", kinds
    assert kinds.count("delta") >= 2 and "agg" in kinds, kinds


def test_compressed():
    with harness.folder() as folder:
        saved = os.path.join(folder, "a.pyprof")
        assert harness.cli("run", "--pyprof", "-o", saved,
                           script(folder)).status == 0
        for suffix in ("", ".gz", ".zst"):
            path = os.path.join(folder, "a.json" + suffix)
            assert harness.cli("replay", saved, "--gecko", "-o",
                               path).status == 0
        with open(os.path.join(folder, "a.json"), "rb") as plain, \
                gzip.open(os.path.join(folder, "a.json.gz")) as packed:
            assert plain.read() == packed.read()


if __name__ == "__main__":
    harness.main(test_theirs_reads_ours, test_ours_reads_theirs, test_killed,
                 test_streamed_lines, test_compressed, each=False)
