"""Time, memory and size of each output format, beside CPython 3.15's own.

    python3 bench/outputs.py [--stacks 300000,1000000] [--only FORMAT,...]
                             [--theirs] [--write]

One profile of N distinct stacks, 12 to 25 deep, is made as 3.15's binary
format, which both read; each then replays it into each of its formats. Without
--theirs only this project is run: 3.15 takes minutes and gigabytes. The build
that is measured is build/, or that in $PYPROF_BUILD.
"""
import argparse
import os
import random
import struct
import sys
import time

import common
import report

FORMATS = ["table", "pstats", "collapsed", "gecko", "jsonl", "binary",
           "pyprof", "flamegraph", "heatmap"]
THEIRS = {"pstats", "collapsed", "gecko", "jsonl", "flamegraph", "heatmap"}


# ---- The profile.

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return varint(value << 1 if value >= 0 else -value * 2 - 1)


def frame_table(files, functions, lines):
    """(strings, frames): `functions` in each file, `lines` in each of them."""
    strings, frames = [], []
    for file in range(files):
        strings.append("/srv/app/package%d/module%d.py" % (file % 7, file))
        where = len(strings) - 1
        for function in range(functions):
            strings.append("Class%d.method%d" % (function % 9, function))
            for line in range(lines):
                frames.append(varint(where) + varint(len(strings) - 1)
                              + zigzag(function * 20 + line + 1) + zigzag(0)
                              + zigzag(4) + zigzag(30) + b"\xff")
    return strings, frames


def walk(n, n_frames, chance):
    """N different stacks, innermost first, that share their outer parts.

    A frame calls one of a few others, as a line of a program does.
    """
    calls = [[chance.randrange(n_frames) for _ in range(6)]
             for _ in range(n_frames)]
    stack, seen = [0], set()
    while len(seen) < n:
        depth = chance.randint(12, 25)
        del stack[max(1, min(len(stack) - chance.randint(1, 10), depth - 1)):]
        while len(stack) < depth:
            stack.append(chance.choice(calls[stack[-1]]))
        key = hash(tuple(stack))
        if key not in seen:
            seen.add(key)
            yield stack[::-1]


def make_profile(path, n):
    strings, frames = frame_table(60, 40, 4)
    with open(path, "wb") as file:
        file.write(bytes(64))
        ids = [varint(i) for i in range(len(frames))]
        head = struct.pack("<QIB", 4242, 0, 1) + varint(1000) + b"\x01"
        for stack in walk(n, len(frames), random.Random(1)):
            file.write(head + varint(len(stack))
                       + b"".join([ids[i] for i in stack]))
        strings_at = file.tell()
        for text in strings:
            data = text.encode()
            file.write(varint(len(data)) + data)
        frames_at = file.tell()
        file.write(b"".join(frames))
        size = file.tell() + 32
        file.write(struct.pack("<IIQ16x", len(strings), len(frames), size))
        file.seek(0)
        file.write(struct.pack("<II4BQQQIQQII", 0x54414348, 1, 3, 15, 2, 0,
                               10 ** 9, 1000, n, 1, strings_at, frames_at, 0,
                               1))


# ---- Running.

def measure(command):
    """(seconds, MiB at the peak) of a command, or None when it failed."""
    start = time.monotonic()
    with open(os.devnull, "wb") as null:
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, null.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, null.fileno(), 2)])
        _, status, usage = os.wait4(pid, 0)
    if status != 0:
        return None
    return time.monotonic() - start, usage.ru_maxrss / 1024


def size_of(path):
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(where, name))
                   for where, _, names in os.walk(path) for name in names)
    return os.path.getsize(path) if os.path.exists(path) else 0


def cells(result, path):
    if result is None:
        return ["-", "-", "-"]
    return ["%.2f" % result[0], "%.0f" % result[1],
            "%.1f" % (size_of(path) / 1e6)]


def one_row(form, profile, folder, python):
    row = [form]
    path = os.path.join(folder, "ours-" + form)
    common.note("%s, ours" % form)
    ours = measure([os.path.join(common.BUILD, "bin", "pyprof-cli"), "replay",
                    "-q", profile, "--" + form, "-o", path])
    row += cells(ours, path)
    path = os.path.join(folder, "theirs-" + form)
    theirs = None
    if python is not None and form in THEIRS:
        common.note("%s, 3.15's" % form)
        theirs = measure(python.command + [
            "-m", "profiling.sampling", "replay", profile, "--" + form, "-o",
            path])
    row += cells(theirs, path)
    row.append("%.0f" % (theirs[0] / ours[0]) if theirs and ours else "-")
    return row


def table(n, forms, python):
    with common.harness.folder() as folder:
        profile = os.path.join(folder, "profile.bin")
        common.note("a profile of %d stacks" % n)
        make_profile(profile, n)
        rows = [one_row(form, profile, folder, python) for form in forms]
    head = ["format", "s", "MiB", "MB written", "3.15: s", "MiB",
            "MB written", "times faster"]
    lines = ["%d distinct stacks, 12 to 25 deep:" % n, "",
             "| %s |" % " | ".join(head), "|%s" % ("---|" * len(head))]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stacks", default="300000,1000000", metavar="N,...")
    parser.add_argument("--only", metavar="FORMAT,...",
                        help="of %s" % ", ".join(FORMATS))
    parser.add_argument("--theirs", action="store_true",
                        help="run 3.15's, too (slow: it needs 6 GB)")
    parser.add_argument("--write", action="store_true",
                        help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    forms = options.only.split(",") if options.only else FORMATS
    python = common.harness.interpreter("3.15") if options.theirs else None
    texts = [report.heading("Outputs: time, memory, size",
                            " ".join(["./dev bench outputs"] + sys.argv[1:]))]
    common.say(texts[-1])
    for n in options.stacks.split(","):
        texts.append(table(int(n), forms, python))
        common.say("\n" + texts[-1])
    if options.write:
        report.write("outputs", "\n\n".join(texts))


if __name__ == "__main__":
    main()
