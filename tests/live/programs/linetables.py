"""Prints what an interpreter says of the line tables of its own library.

linetables.py FILE [MODULE...]: a line in FILE for each code object of the
modules (of about fifty, if none is named) and of the sources below:

    KIND FIRST-LINE CODE-SIZE TABLE RUN...

KIND is lnotab, 310 or locations; TABLE is in hexadecimal, "-" if empty. A RUN
is END:LINE,END-LINE,COLUMN,END-COLUMN, -1 for what is not known, and holds from
the end of the one before. With SMALL=1 in the environment only short lines, and
only some of those: what tests/unit/layout/linetables.inc has.

It runs in every interpreter from 3.8 on, so it uses nothing newer.
"""

import importlib.util
import os
import sys

MODULES = (
    "argparse ast asyncio.base_events asyncio.tasks base64 bdb calendar "
    "cmd collections configparser contextlib copy csv dataclasses "
    "datetime decimal difflib dis doctest email.message enum fractions "
    "functools heapq html.parser http.client inspect json.decoder logging "
    "mailbox multiprocessing.pool optparse pathlib pickle pprint random re "
    "shutil socket statistics subprocess tarfile tempfile threading tokenize "
    "traceback typing unittest.mock uuid weakref xml.dom.minidom zipfile"
).split()

# What libraries rarely have: long jumps, both ways, and wide columns.
WIDE = "x = (%s)\n" % " + ".join("name_%d" % i for i in range(200))
LONG = "def f(a):\n    b = (a +" + "\n" * 300 + "    1)\n" + \
    "\n" * 700 + "    return b\n"
BACK = "def f(g):\n    return g(\n" + \
    "".join("        g(%d,\n\n          *[1]),\n" % i for i in range(60)) + \
    "        last=1)\n"
BRANCHES = """
def f(a, b):
    for i in range(a):
        try:
            with b as c, a:
                if i: continue
                else: break
        except (ValueError, TypeError) as e:
            raise RuntimeError from e
        finally:
            print([x for x in c if x], {y: z for y, z in c})
    else:
        return
    while True:
        if a: pass

async def g(a):
    async with a as b:
        async for c in b:
            yield await c
    assert a, b
    return

@f
@f(1,
   2)
class C(
        object):
    x: int = 1
    def m(self): return super().m(
        *self.x, **{})
"""
BIG = "def f(a):\n" + "".join(
    "    a[%d] = a.name_%d(%d, a, *a, k=%d)\n" % (i, i, i, i)
    for i in range(300)) + "    return a\n"


def codes(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from codes(constant)


def sources(modules):
    for number, text in enumerate((WIDE, LONG, BACK, BRANCHES, BIG)):
        yield "<source %d>" % number, text
    for module in modules:
        try:
            path = importlib.util.find_spec(module).origin
            with open(path, "rb") as file:
                yield path, file.read()
        except (ImportError, AttributeError, OSError) as error:
            print("no %s: %s" % (module, error))


def positions_since_311(code):
    for line, end_line, column, end_column in code.co_positions():
        yield tuple(-1 if x is None else x
                    for x in (line, end_line, column, end_column))


def positions_310(code):
    lines = [-1] * (len(code.co_code) // 2)
    for start, end, line in code.co_lines():
        for at in range(start // 2, end // 2):
            lines[at] = -1 if line is None else line
    for line in lines:
        yield line, -1, -1, -1


def positions_before_310(code):
    import ctypes
    import dis

    line_of = ctypes.pythonapi.PyCode_Addr2Line
    line_of.argtypes = [ctypes.py_object, ctypes.c_int]
    starts = dict(dis.findlinestarts(code))
    shown = None
    for at in range(0, len(code.co_code), 2):
        line = line_of(code, at)
        # Two sources of truth: they have to agree where a line starts.
        if at in starts:
            shown = starts[at]
        assert shown is None or shown == line, (code, at, shown, line)
        yield line, -1, -1, -1


if sys.version_info >= (3, 11):
    kind, positions = "locations", positions_since_311
elif sys.version_info >= (3, 10):
    kind, positions = "310", positions_310
else:
    kind, positions = "lnotab", positions_before_310


def runs(code):
    """[end, position] of each run of equal positions, of two bytes a step."""
    found = []
    for number, position in enumerate(positions(code)):
        end = 2 * number + 2
        if found and found[-1][1] == position:
            found[-1][0] = end
        else:
            found.append([end, position])
    return found


def describe(code):
    table = code.co_lnotab if kind == "lnotab" else code.co_linetable
    return " ".join(
        [kind, str(code.co_firstlineno), str(len(code.co_code)),
         table.hex() or "-"] +
        ["%d:%s" % (end, ",".join(map(str, position)))
         for end, position in runs(code)])


def main():
    small = "SMALL" in os.environ
    count = 0
    with open(sys.argv[1], "w") as out:
        for path, text in sources(sys.argv[2:] or MODULES):
            for number, code in enumerate(codes(compile(text, path, "exec"))):
                line = describe(code)
                if small and (len(line) > 900 or number % 7 != 2) and \
                        not (path.startswith("<") and len(line) < 4000):
                    continue
                out.write(line + "\n")
                count += 1
    print("ready %d" % count)


main()
