"""Spends its time in functions with names of several kinds, on known lines.

    cli_shape.py SECONDS
"""
import sys
import time


def leaf(end):
    total = 0
    print("ready", flush=True)
    while time.perf_counter() < end:  # @leaf
        total += 1  # @leaf
    return total


class Worker:
    def method(self, end):
        def inner():
            return leaf(end)  # @inner

        return inner()  # @method


def generate(end):
    yield Worker().method(end)  # @generate


def main(seconds):
    for _ in generate(time.perf_counter() + seconds):  # @main
        pass


main(float(sys.argv[1]))  # @module
