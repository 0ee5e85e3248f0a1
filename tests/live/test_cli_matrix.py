"""run, attach, dump and check on every interpreter: the right functions, by
qualified name where the version has them, on the right lines."""

import re

import harness

SHAPE = harness.program("cli_shape.py")
THREADS = harness.program("cli_threads.py")


def marked(path, mark):
    """Numbers of the lines that end in `# @mark`."""
    with open(path) as file:
        return {number for number, line in enumerate(file, 1)
                if line.rstrip().endswith("# @" + mark)}


def shape(interpreter):
    """The stack that cli_shape.py is nearly always in: names and marks."""
    if interpreter.version >= (3, 11):
        frames = [("<module>", "module"), ("main", "main"),
                  ("generate", "generate"), ("Worker.method", "method"),
                  ("Worker.method.<locals>.inner", "inner"), ("leaf", "leaf")]
    else:
        frames = [("<module>", "module"), ("main", "main"),
                  ("generate", "generate"), ("method", "method"),
                  ("inner", "inner"), ("leaf", "leaf")]
    return frames


def check_shape(interpreter, text):
    """Samples of that stack, on the right lines. Whatever has the innermost
    function has to have the others, too: an impossible stack fails the test.
    How many there are is for other tests: this machine may be busy."""
    wanted = shape(interpreter)
    right = 0
    for stack, count in harness.collapsed(text).items():
        frames = [frame.split(":") for frame in stack
                  if frame.startswith("cli_shape.py:")]
        names = [name for _, name, _ in frames]
        assert "leaf" not in names or names == [name for name, _ in wanted], \
            (stack, text)
        if len(frames) == len(wanted) and all(
                int(line) in marked(SHAPE, mark)
                for (_, _, line), (_, mark) in zip(frames, wanted)):
            right += count
    assert right > 0, text


def test_run(interpreter):
    result = harness.cli("run", "--collapsed", "-o", "-", "--",
                         *interpreter.command, SHAPE, "1")
    assert result.status == 0, result
    output = result.stdout.split("\n", 1)
    assert output[0] == "ready", result
    check_shape(interpreter, output[1])


def test_attach(interpreter):
    with harness.target(interpreter, SHAPE, "1000") as target:
        for options in ([], ["-a"], ["--blocking"], ["--placement", "free"]):
            result = harness.cli("attach", "-d", "0.5", "--collapsed", "-o",
                                 "-", *options, target.pid)
            assert result.status == 0, result
            check_shape(interpreter, result.stdout)
        assert target.alive()


def test_attach_to_the_end(interpreter):
    """A target that ends by itself while it is sampled."""
    with harness.target(interpreter, SHAPE, "2") as target:
        result = harness.cli("attach", "--collapsed", "-o", "-", target.pid)
        assert result.status == 0, result
        check_shape(interpreter, result.stdout)
        assert "pyprof-cli:" not in result.stderr, result


def sections(text):
    """{thread name: (flags, [lines])} of a dump."""
    found = {}
    for section in text.split("\n\n")[1:]:
        head, *lines = section.splitlines()
        match = re.match(r'Thread (\d+)(?: "(.*)")?(?: \((.*)\))?:$', head)
        assert match, head
        found[match.group(2)] = ((match.group(3) or "").split(", "), lines)
    return found


def leaf_of(lines):
    """(line number, function, source text) of the last frame."""
    for index in range(len(lines) - 1, -1, -1):
        match = re.match(r'  File "(.*)", line (\d+), in (.*)$', lines[index])
        if match and match.group(1).endswith("cli_threads.py"):
            return (int(match.group(2)), match.group(3),
                    lines[index + 1].strip())
    raise AssertionError(lines)


def test_dump(interpreter):
    with harness.target(interpreter, THREADS) as target:
        result = harness.cli("dump", target.pid)
        assert result.status == 0, result
        head = result.stdout.splitlines()[0]
        assert head.startswith("Process %d: Python %d.%d." % (
            (target.pid,) + interpreter.version)), result
        assert head.endswith("5 threads"), result
        threads = sections(result.stdout)
        mains = [flags for flags, _ in threads.values()
                 if "main thread" in flags]
        assert len(mains) == 1, result
        for name in ("spinner-1", "spinner-2", "d\u00f6ser"):
            assert name in threads, (name, result)
        for name, mark in (("spinner-1", "spin"), ("d\u00f6ser", "doze"),
                           ("waiter\\x1b[31m", "wait")):
            line, function, source = leaf_of(threads[name][1])
            assert function == mark, (name, result)
            assert line in marked(THREADS, mark) or mark == "spin", result
            if line in marked(THREADS, mark):
                assert source.endswith("# @" + mark), result
        assert "idle" in threads["d\u00f6ser"][0], result
        assert not any("idle" in threads[name][0] and
                       "has GIL" in threads[name][0] for name in threads)
        assert "\033" not in result.stdout, result
        assert target.alive()


def test_check(interpreter):
    with harness.target(interpreter, THREADS) as target:
        result = harness.cli("check", target.pid)
        assert result.status == 0 and result.stderr == "", result
        assert "CPython %d.%d." % interpreter.version in result.stdout, result
        assert "5 threads" in result.stdout, result
        assert ("free-threaded" in result.stdout) == interpreter.threaded
        assert "failed" not in result.stdout, result


def test_python_option(interpreter):
    """--python with a launcher, for a script and a module."""
    if len(interpreter.command) != 1:
        return  # --python takes one program
    result = harness.cli("run", "--collapsed", "-o", "-", "--python",
                         interpreter.command[0], SHAPE, "0.5")
    assert result.status == 0, result
    check_shape(interpreter, result.stdout.split("\n", 1)[1])


if __name__ == "__main__":
    harness.main(test_run, test_attach, test_attach_to_the_end, test_dump,
                 test_check, test_python_option)
