"""Stacks as profilers write them, brought into one form.

What comes in is the text or the bytes of a file: collapsed stacks (this
project's and those of `profiling.sampling`), the raw format of py-spy, or
austin's MOJO. What comes out are rows of `Stack`. Nothing is judged here.
"""
import collections
import re

# frames     (file's base name, function without its qualifiers, line or 0),
#            root first
# torn       only the root part is known
# truncated  the root part is missing
# broken     the profiler itself says that it is no stack
Stack = collections.namedtuple(
    "Stack", "tid frames count torn truncated broken")

# What stands for no function of the program.
SYNTHETIC = ("<GC>", "<native>", "<torn>", "<truncated>")


def short(function):
    """Function name without class and enclosing functions."""
    return function.rsplit(".", 1)[-1]


def base(path):
    return path.rsplit("/", 1)[-1]


def parse_collapsed(text):
    """Lines `tid:TID;file:function:line;... COUNT`, root first."""
    for row in text.splitlines():
        stack, _, count = row.rpartition(" ")
        tid, frames, marks = None, [], set()
        for part in stack.split(";"):
            if part.startswith("tid:"):
                tid = int(part[4:].split(":")[0])
            elif part in SYNTHETIC:
                marks.add(part)
            else:
                file, function, line = split_frame(part)
                frames.append((base(file), short(function), line))
        yield Stack(tid, tuple(frames), int(count), "<torn>" in marks,
                    "<truncated>" in marks, False)


def split_frame(part):
    """`file:function:line`; a function's name has no colon, a file's may.
    A name alone is a function of no file."""
    if part.count(":") < 2:
        return "", part, 0
    file, function, line = part.rsplit(":", 2)
    return file, function, max(0, int(line))


PYSPY = re.compile(r"(.*) \((.*):(\d+)\)$")


def parse_pyspy(text):
    """Lines `thread (ID);function (file:line);... COUNT`, root first.

    A name that was read while it changed may have a newline in it.
    """
    for row in text.split("\n"):
        stack, _, count = row.rpartition(" ")
        if not count.isdigit():
            continue
        tid, frames = None, []
        for part in stack.split(";"):
            match = PYSPY.match(part)
            if match:
                frames.append((base(match.group(2)), short(match.group(1)),
                               int(match.group(3))))
            elif part.startswith("thread (") and ")" in part:
                tid = int(part[8:].split(")")[0].split(":")[0], 0)
        yield Stack(tid, tuple(frames), int(count), False, False, False)


class Mojo:
    """The events of austin's binary format, versions 1 to 4 of austin's own.

    An event is a byte and its fields: numbers of 6 bits, then of 7 each, the
    lowest first (bit 6 of the first byte is the sign), and text up to a NUL.
    """

    FIELDS = {1: "ss", 2: "nns", 3: "nnnnnnn", 4: "", 5: "n", 6: "s", 7: "",
              8: "", 9: "n", 10: "n", 11: "ns", 12: "n"}

    def __init__(self, data):
        if data[:3] != b"MOJ":
            raise ValueError("not a MOJO file")
        self.data = data
        self.at = 4

    def number(self):
        byte = self.data[self.at]
        self.at += 1
        value, shift, negative = byte & 0x3f, 6, byte & 0x40
        while byte & 0x80:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
        return -value if negative else value

    def text(self):
        end = self.data.index(0, self.at)
        value = self.data[self.at:end].decode("utf-8", "replace")
        self.at = end + 1
        return value

    def events(self):
        while self.at < len(self.data):
            kind = self.data[self.at]
            self.at += 1
            if kind not in self.FIELDS:
                raise ValueError("MOJO event %d" % kind)
            try:
                yield kind, [self.text() if field == "s" else self.number()
                             for field in self.FIELDS[kind]]
            except (IndexError, ValueError):
                return  # cut off in the middle: the tool was ended


def parse_mojo(data):
    """Each sample of a MOJO file; the same stack comes many times."""
    strings, frames = {1: "<unknown>"}, {}
    tid, stack, broken = None, None, False
    totals = collections.Counter()
    for kind, fields in Mojo(data).events():
        if kind == 2:
            if stack is not None:
                totals[(tid, tuple(stack), broken)] += 1
            tid, stack, broken = int(fields[2], 16), [], False
        elif kind == 3:
            key, file, name, line = fields[:4]
            frames[key] = (base(strings.get(file, "?")),
                           short(strings.get(name, "?")), line)
        elif kind == 4:
            broken = True
        elif kind == 5:
            stack.append(frames.get(fields[0], ("?", "?", 0)))
        elif kind == 11:
            strings[fields[0]] = fields[1]
    if stack is not None:
        totals[(tid, tuple(stack), broken)] += 1
    for (tid, stack, broken), count in totals.items():
        yield Stack(tid, stack, count, False, False, broken)


def leaves(stacks):
    """{(file, function): count} of the last frames, of whole stacks only."""
    found = collections.Counter()
    for stack in stacks:
        if stack.frames and not stack.torn and not stack.broken:
            found[stack.frames[-1][:2]] += stack.count
    return found
