"""A stand-in for CPython's _lsprof: the same names, and one place for all.

With `sys.modules["_lsprof"]` set to this module, CPython's own cProfile and
profiling.tracing, and their tests, run on libpyprof.
"""
from libpyprof._native import ExclusiveProfiler as Profiler
from libpyprof._native import profiler_entry, profiler_subentry

__all__ = ["Profiler", "profiler_entry", "profiler_subentry"]
