"""What the tests of saved profiles share: a program to record, and what a
replay of its file shows."""

import os

import harness

WORK = """
import threading, time
def down(n):
    return n and down(n - 1)
def work():
    end = time.time() + 1
    while time.time() < end:
        down(7)
threading.Thread(target=work, name="helper").start()
work()
"""


def script(folder):
    path = os.path.join(folder, "work.py")
    with open(path, "w") as file:
        file.write(WORK)
    return path


def stacks_of(*replay):
    result = harness.cli("replay", *replay, "--collapsed", "-o", "-")
    assert result.status == 0, result
    return harness.collapsed(result.stdout)
