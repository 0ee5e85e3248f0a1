"""Runs programs under cProfile and under libpyprof, each in turn, and compares
what was counted: function by function, caller by caller. Prints differences,
and "N programs, M functions" at the end."""
import asyncio
import collections
import copy
import functools
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(sys.argv[1], "python"))
import cProfile  # noqa: E402

from libpyprof._native import Profiler  # noqa: E402


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def even(n):
    return True if n == 0 else odd(n - 1)


def odd(n):
    return False if n == 0 else even(n - 1)


def recursion():
    fib(10)
    even(20)
    fib(3)

    def nest(n, inner):
        return inner(n) if n else 0
    nest(3, lambda n: nest(n - 1, fib))
    nest(3, lambda n: nest(n - 1, fib))


def c_calls():
    items = []
    for i in range(50):
        items.append(len(str(i)))
        items.sort()
    items.sort(key=lambda item: -item)
    max(items, key=abs)
    list(map(len, ["a", "bc"]))
    "a,b".split(",")
    ", ".join("abc")
    isinstance(items, list)
    dict.fromkeys("ab").get("a")
    int("3"), dict(a=1), str(4), object()
    print("", end="", *[], **{"flush": True})
    functools.partial(len, "abc")()
    sys.intern("x" * 3)
    {}.items().__len__()
    (1).__add__(2)
    [].__len__()


def numbers(n):
    for i in range(n):
        try:
            yield i
        except KeyError:
            yield -1


def outer(n):
    got = yield from numbers(n)
    return got


def generators():
    list(numbers(5))
    sum(n * n for n in outer(4))
    g = numbers(3)
    next(g)
    g.throw(KeyError)
    g.close()
    g = numbers(3)
    next(g)
    del g
    try:
        numbers(2).throw(ValueError)
    except ValueError:
        pass
    next(numbers(0), None)
    [x for x in numbers(3)], {x for x in numbers(3)}
    {x: x for x in numbers(2)}
    any(n > 1 for n in numbers(9))


async def leaf(n):
    await asyncio.sleep(0)
    return n


async def feed(n):
    for i in range(n):
        yield await leaf(i)


async def trunk():
    total = 0
    async for i in feed(3):
        total += i
    total += await leaf(1)
    return total + sum(await asyncio.gather(leaf(2), leaf(3)))


def drive(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


async def plain(n):
    return n


async def chain():
    return await plain(1) + await plain(2)


def coroutines():
    drive(chain())
    c = leaf(1)
    c.send(None)
    c.close()
    plain(3).close()


def fail(depth):
    if depth == 0:
        raise LookupError
    try:
        fail(depth - 1)
    finally:
        len("x")


def exceptions():
    for depth in (0, 3):
        try:
            fail(depth)
        except LookupError:
            pass
    for bad in (lambda: [].pop(), lambda: len(3), lambda: {}["x"],
                lambda: int("x"), lambda: bytes.find(b"", 3, 3, 3, 3)):
        try:
            bad()
        except Exception:
            pass
    try:
        sys.exit(3)
    except SystemExit:
        pass


class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class Thing(metaclass=Meta):
    def __init__(self, n=0):
        self.n = n

    @property
    def half(self):
        return self.n // 2

    def __getattr__(self, name):
        return name

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return hash(self.n)

    @classmethod
    def make(cls):
        return cls(1)

    @staticmethod
    def free(n):
        return abs(n)


def classes():
    things = {Thing(), Thing.make()}
    for thing in things:
        thing.half, thing.other, thing == thing, thing.free(3)
    hasattr(Thing(3), "x")

    class Inner(Thing):
        def __init__(self):
            super().__init__(9)
    Inner()
    collections.Counter("abca").most_common(1)
    sorted(things, key=hash)


def mixed():
    data = {"a": [1, 2, {"b": (3, 4)}], "c": "text"}
    copy.deepcopy(data)
    json.loads(json.dumps(data))
    re.compile("(a|b)+c?%d" % 5).findall("abac")
    re.purge()


def evaluated():
    exec("def f():\n  return len('x')\nf(); f()", {})
    eval("sum([1, 2])")
    exec(compile("x = [abs(i) for i in range(3)]", "there", "exec"), {})


PROGRAMS = [recursion, c_calls, generators, coroutines, exceptions, classes,
            mixed, evaluated]
# each program has run before: caches are warm, imports done


def name_of(code):
    return code if isinstance(code, str) else (
        code.co_filename, code.co_firstlineno, code.co_name)


def table(entries):
    """{name: (calls, recursive)}, {(caller, callee): the same}"""
    rows, edges = collections.Counter(), collections.Counter()
    for entry in entries:
        name = name_of(entry.code)
        if "Profiler" in str(name):
            continue
        rows[name, "nc"] += entry.callcount
        rows[name, "rec"] += entry.reccallcount
        assert entry.totaltime >= 0 and entry.inlinetime >= 0, entry
        for call in entry.calls or ():
            edge = name, name_of(call.code)
            edges[edge, "nc"] += call.callcount
            edges[edge, "rec"] += call.reccallcount
    return rows, edges


def profiled(make, program, **switches):
    profiler = make(**switches)
    profiler.enable(**switches)
    program()
    profiler.disable()
    return table(profiler.getstats())


def main():
    functions = failures = 0
    for program in PROGRAMS:
        program()
        program()
        for switches in ({}, {"builtins": False}, {"subcalls": False}):
            stock = profiled(cProfile.Profile, program, **switches)
            ours = profiled(Profiler, program, **switches)
            again = profiled(cProfile.Profile, program, **switches)
            for mine, theirs, later, what in zip(ours, stock, again,
                                                 ("function", "call")):
                for key in sorted(set(mine) | set(theirs), key=str):
                    functions += 1
                    if mine[key] != theirs[key] and theirs[key] == later[key]:
                        failures += 1
                        print("%s %s %s %s: %d, cProfile has %d" % (
                            program.__name__, switches, what, key, mine[key],
                            theirs[key]))
    print("%d programs, %d numbers, %d differ" % (
        len(PROGRAMS), functions, failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
