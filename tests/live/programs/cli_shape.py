"""Spends its time in functions with names of several kinds, on known lines.

    cli_shape.py SECONDS
"""
import sys
import time


def leaf(end):
    total = 0
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
    end = time.perf_counter() + seconds
    return [
        value
        for value in generate(end)  # @main
    ]


print("ready", flush=True)
main(float(sys.argv[1]))  # @module
