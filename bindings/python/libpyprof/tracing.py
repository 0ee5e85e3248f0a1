"""Counts and times every call of a program, from inside.

A drop-in for cProfile (profiling.tracing from 3.15 on) that is right with
threads and costs about half:

    from libpyprof.tracing import Profile
    with Profile() as profile:
        work()
    profile.print_stats("cumulative")

Any number of profiles may be enabled at a time. `python -m libpyprof.tracing`
profiles a script, a module, a folder, a zip file or a command.
"""
from libpyprof._native import Profiler as _Profiler

__all__ = ["run", "runctx", "Profile"]


def run(statement, filename=None, sort=-1):
    """Run a statement in __main__ and print its profile, or save it.

    SystemExit ends the statement and not the program.
    """
    import __main__
    runctx(statement, __main__.__dict__, __main__.__dict__, filename, sort)


def runctx(statement, globals, locals, filename=None, sort=-1):
    """Like run(), in namespaces of the caller's."""
    profile = Profile()
    try:
        profile.runctx(statement, globals, locals)
    except SystemExit:
        pass
    finally:
        if filename is not None:
            profile.dump_stats(filename)
        else:
            profile.print_stats(sort)


def label(code):
    """What pstats calls a function: (file, line, name)."""
    if isinstance(code, str):
        return "~", 0, code
    return code.co_filename, code.co_firstlineno, code.co_name


def _added(a, b):
    return tuple(x + y for x, y in zip(a, b))


class Profile(_Profiler):
    """Profile(timer=None, timeunit=0.0, subcalls=True, builtins=True, *,
            clock="wall", threads="all", coroutines="steps", paths=False,
            filters=None, max_bytes=0)

    timer       a function that says the time: seconds, or integers of
                `timeunit` seconds each; None: a fast clock of the library
    subcalls    also who called whom
    builtins    also functions made in C
    clock       "wall", or "cpu": time on a CPU, at a cost
    threads     "all", or "current": only the one that enables
    coroutines  "steps": each step is a call, as in cProfile; "whole": a
                coroutine is one call, and its awaits are in its total
    paths       also call paths, for write() in formats made of stacks
    filters     (include, what, glob) tuples, `what` being "file", "module" or
                "function"; the first one that matches decides
    max_bytes   memory for what is recorded; 0: no limit
    """

    def print_stats(self, sort=-1):
        """Print a table; `sort` is a key of pstats, or a tuple of them."""
        import pstats
        keys = sort if isinstance(sort, tuple) else (sort,)
        pstats.Stats(self).strip_dirs().sort_stats(*keys).print_stats()

    def dump_stats(self, file):
        """Disable, and save for pstats."""
        import marshal
        with open(file, "wb") as stream:
            self.create_stats()
            marshal.dump(self.stats, stream)

    def create_stats(self):
        """Disable, and set `stats`."""
        self.disable()
        self.snapshot_stats()

    def snapshot_stats(self):
        """Set `stats`, as pstats has it: {label: (primitive calls, calls, own
        time, total time, {label of caller: (calls, primitive calls, own time,
        total time)})}. Functions with the same label add up."""
        self.stats = stats = {}
        entries = self.getstats()
        for entry in entries:
            key = label(entry.code)
            row = (entry.callcount - entry.reccallcount, entry.callcount,
                   entry.inlinetime, entry.totaltime)
            known = stats.get(key)
            if known is not None:
                stats[key] = _added(known[:4], row) + (known[4],)
            else:
                stats[key] = row + ({},)
        for entry in entries:
            caller = label(entry.code)
            for call in entry.calls or ():
                callers = stats[label(call.code)][4]
                row = (call.callcount, call.callcount - call.reccallcount,
                       call.inlinetime, call.totaltime)
                known = callers.get(caller)
                callers[caller] = row if known is None else _added(known, row)

    def run(self, cmd):
        """Profile a statement that runs in __main__."""
        import __main__
        return self.runctx(cmd, __main__.__dict__, __main__.__dict__)

    def runctx(self, cmd, globals, locals):
        """Profile a statement that runs in these namespaces."""
        self.enable()
        try:
            exec(cmd, globals, locals)
        finally:
            self.disable()
        return self

    def runcall(self, func, /, *args, **kw):
        """Profile one call; its result is returned."""
        self.enable()
        try:
            return func(*args, **kw)
        finally:
            self.disable()

    def __enter__(self):
        self.enable()
        return self

    def __exit__(self, *exc_info):
        self.disable()


def main(arguments=None):
    """The command line."""
    from libpyprof import _trace_command
    return _trace_command.main(arguments)


if __name__ == "__main__":
    main()
