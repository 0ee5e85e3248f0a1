"""Exceptions that unwind several levels, through finally and except.

    exceptions.py TRUTH SECONDS

And objects that are made: a call of a class with an `__init__` in Python has a
frame of the interpreter's own in between, which is not the program's.
"""
import truth

run = truth.Truth(__file__)


class Trouble(Exception):
    pass


def note(n):
    return n + 1


class Point:
    def __init__(self, n):
        self.n = note(n)  # -> note


def clean(n):
    return note(n)  # -> note


def fall(n):
    if n == 0:
        raise Trouble("at the bottom")
    fall(n - 1)  # -> fall


def guarded(n):
    try:
        fall(n)  # -> fall
    finally:
        clean(n)  # -> clean


def translate(n):
    try:
        guarded(n)  # -> guarded
    except Trouble as trouble:
        note(n)  # -> note
        raise ValueError(n) from trouble


def retry(n):
    for attempt in range(3):
        try:
            return translate(n)  # -> translate
        except ValueError:
            clean(attempt)  # -> clean
    return second(n)  # -> second


def second(n):
    try:
        try:
            fall(2)  # -> fall
        finally:
            note(n)  # -> note
    except Trouble:
        pass
    else:
        note(0)  # -> note


def main():
    while run.going:
        for depth in range(8):
            retry(depth)  # -> retry
            Point(depth)  # -> __init__


run.ready()  # -> @
main()  # -> main
run.done()
