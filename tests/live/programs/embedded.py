"""Runs inside another program; needs built-in modules only."""
import sys
from time import perf_counter


def inside():
    return sum(range(1000))  # @inside


print("ready")
sys.stdout.flush()
end = perf_counter() + 1000
while perf_counter() < end:
    inside()  # @module
