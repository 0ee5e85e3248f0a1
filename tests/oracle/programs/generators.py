"""Generators inside generators, and coroutines driven by hand.

    generators.py TRUTH SECONDS

Their frames don't lie on the thread's stack: they are entered and left in the
middle of a call, and each is linked to whoever drives it at the time.
"""
import truth

run = truth.Truth(__file__)


def numbers(n):
    for i in range(n):
        yield small(i)  # -> small


def small(i):
    return i + 1


def outer(n):
    yield from middle(n)  # -> middle


def middle(n):
    yield from inner(n)  # -> inner
    yield from inner(n)  # -> inner


def inner(n):
    if n:
        yield from inner(n - 1)  # -> inner
    for value in numbers(3):  # -> numbers
        yield value


def plus(n):
    return n + 1


def drive_delegates():
    total = 0
    for value in outer(6):  # -> outer
        total += value
    return total


def drive_expression():
    few = numbers(20)  # -> numbers
    all = (plus(n) for n in few)  # -> <genexpr> | <genexpr>: plus numbers
    return sum(all)  # -> <genexpr>


class Pause:
    def __await__(self):
        yield 1
        yield 2


async def leaf(n):
    await Pause()  # -> __await__
    return small(n)  # -> small


async def branch(n):
    first = await leaf(n)  # -> leaf
    second = await leaf(n)  # -> leaf
    return first + second


async def trunk(n):
    total = 0
    for i in range(n):
        total += await branch(i)  # -> branch
    return total


def drive_coroutine():
    coroutine = trunk(5)  # -> trunk
    try:
        while True:
            coroutine.send(None)  # -> trunk
    except StopIteration as stop:
        return stop.value


def echo():
    received = None
    while True:
        received = yield small(received or 0)  # -> small


def drive_send():
    generator = echo()  # -> echo
    next(generator)  # -> echo
    for i in range(30):
        generator.send(i)  # -> echo
    generator.close()  # -> echo


def main():
    while run.going:
        drive_delegates()  # -> drive_delegates
        drive_expression()  # -> drive_expression
        drive_coroutine()  # -> drive_coroutine
        drive_send()  # -> drive_send


run.ready()  # -> @
main()  # -> main
run.done()
