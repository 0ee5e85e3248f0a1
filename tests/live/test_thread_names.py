"""Threads are shown by the names that the target's threading module has."""

import ast
import re

import harness


def names_in(text):
    """{native id: name or None} of what pyprof-cli dump printed."""
    found = {}
    for line in text.splitlines():
        match = re.match(r'Thread (\d+)(?: "(.*)")?(?: \(.*\))?:$', line)
        if match:
            found[int(match.group(1))] = match.group(2)
    return found


def shown(name):
    """How the command prints it: what is no text is escaped."""
    return re.sub("[\ud800-\udfff]", lambda match: "".join(
        "\\x%02x" % byte
        for byte in match.group().encode("utf-8", "surrogatepass")), name)


def check(interpreter, *arguments):
    with harness.target(interpreter, "thread_names.py", *arguments) as target:
        names = ast.literal_eval(target.wait_line()[len("ready "):])
        for _ in range(3):
            result = harness.cli("dump", target.pid)
            assert result.status == 0, result
            found = names_in(result.stdout)
            assert set(found) == set(names), set(found) ^ set(names)
            for native_id, name in names.items():
                # Without a name of Python's it is the system's.
                wanted = found[native_id] if name is None else shown(name)
                assert wanted and found[native_id] == wanted, (
                    native_id, found[native_id], wanted)
        assert target.alive()


def test_names(interpreter):
    check(interpreter)


def test_many_names(interpreter):
    check(interpreter, "150")


def test_forked(interpreter):
    """A fork gives threads another native id, which older versions miss."""
    with harness.target(interpreter, "thread_names_fork.py") as target:
        children = ast.literal_eval(target.wait_line()[len("ready "):])
        assert len(children) == 2, children
        for pid, name in children:
            result = harness.cli("dump", pid)
            assert result.status == 0, result
            assert names_in(result.stdout) == {pid: name}, result


if __name__ == "__main__":
    harness.main(test_names, test_many_names, test_forked)
