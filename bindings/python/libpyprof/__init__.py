"""Profilers for CPython programs: `libpyprof.tracing` counts and times every
call, from inside."""
from libpyprof._native import version as _version

__version__ = _version()
