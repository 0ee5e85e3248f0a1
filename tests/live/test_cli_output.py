"""Where pyprof-cli writes to, and what it refuses before anything starts."""

import os
import pstats
import stat

import harness

LONG = "import time; e = time.time() + 0.3\nwhile time.time() < e: pass"


def run(*options, **more):
    return harness.cli("run", *options, "-c", LONG, **more)


def test_file():
    with harness.folder() as folder:
        path = os.path.join(folder, "stacks.txt")
        result = run("--collapsed", "-o", path)
        assert result.status == 0 and result.stdout == "", result
        assert "Written to: %s (collapsed)" % path in result.stderr, result
        with open(path) as file:
            assert harness.collapsed(file.read())
        assert os.listdir(folder) == ["stacks.txt"]


def test_pstats_file():
    """A file without a format, and --pstats with one, are for pstats."""
    with harness.folder() as folder:
        for name, options in (("a.pstats", []), ("b.pstats", ["--pstats"])):
            path = os.path.join(folder, name)
            assert run(*options, "-o", path).status == 0
            assert pstats.Stats(path).total_calls > 0


def test_default_name():
    with harness.folder() as folder:
        assert run("--collapsed", cwd=folder).status == 0
        names = os.listdir(folder)
        assert len(names) == 1, names
        stem, extension = os.path.splitext(names[0])
        assert extension == ".txt", names
        format_name, _, pid = stem.partition("_")
        assert format_name == "collapsed" and pid.isdigit(), names


def test_folder():
    with harness.folder() as folder:
        for where in (folder, folder + "/"):
            result = run("--pstats", "-o", where)
            assert result.status == 0, result
        names = os.listdir(folder)
        assert len(names) == 2, names
        assert all(name.startswith("pstats_") and name.endswith(".pstats")
                   for name in names), names


def test_stdout():
    result = run("--collapsed", "-o", "-")
    assert harness.collapsed(result.stdout), result
    assert "Captured" in result.stderr and "Written" not in result.stderr


def test_overwrite_keeps_old_until_done():
    with harness.folder() as folder:
        path = os.path.join(folder, "stacks.txt")
        with open(path, "w") as file:
            file.write("old")
        script = os.path.join(folder, "look.py")
        with open(script, "w") as file:
            file.write("print(open(%r).read())\n" % path + LONG)
        result = harness.cli("run", "--collapsed", "-o", path, script)
        assert result.stdout == "old\n", result
        with open(path) as file:
            assert harness.collapsed(file.read())


def test_special_files():
    assert run("--collapsed", "-o", "/dev/null").status == 0
    result = run("--collapsed", "-o", "/dev/stdout")
    assert result.status == 0 and harness.collapsed(result.stdout), result


def refused(*options, cwd=None):
    """Status 1, one line, and the target was never started."""
    with harness.folder() as folder:
        trace = os.path.join(folder, "started")
        result = harness.cli("run", *options, "-c",
                             "open(%r, 'w')" % trace, cwd=cwd)
        assert result.status == 1, result
        assert result.stdout == "", result
        assert result.stderr.startswith("pyprof-cli: "), result
        assert result.stderr.count("\n") == 1, result
        assert not os.path.exists(trace), result
        return result.stderr


def test_refused():
    with harness.folder() as folder:
        assert "gone" in refused("-o", os.path.join(folder, "gone", "x"))
        plain = os.path.join(folder, "plain")
        open(plain, "w").close()
        assert "plain" in refused("-o", os.path.join(plain, "x"))
        assert "folder" in refused("--stats-json", folder)
        assert "gone" in refused("--stats-json",
                                 os.path.join(folder, "gone", "x"))
        assert "/proc" in refused("-o", "/proc/x")
        assert "long" in refused("-o", os.path.join(folder, "n" * 5000))
        assert os.listdir(folder) == ["plain"]


def test_full_disk():
    result = run("--collapsed", "-o", "/dev/full")
    assert result.status == 1, result
    assert "No space left" in result.stderr, result


def test_mode_of_file():
    """As other programs make files: by the umask."""
    with harness.folder() as folder:
        path = os.path.join(folder, "x")
        assert run("--collapsed", "-o", path).status == 0
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666 & ~mask


if __name__ == "__main__":
    harness.main(test_file, test_pstats_file, test_default_name, test_folder,
                 test_stdout, test_overwrite_keeps_old_until_done,
                 test_special_files, test_refused, test_full_disk,
                 test_mode_of_file, each=False)
