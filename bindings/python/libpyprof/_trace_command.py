"""python -m libpyprof.tracing: profiles a program, then prints or saves.

The program sees what it would see without: its argv, its own __main__, its exit
status and message.
"""
import io
import optparse
import os
import pstats
import runpy
import sys
import threading
import types
import zipfile

from libpyprof.tracing import Profile

USAGE = ("%prog [-o FILE] [-s SORT] [-f FORMAT] [options] "
         "[-m MODULE | -c COMMAND | SCRIPT | FOLDER | ZIP] [ARG...]")


def _take_command(option, name, value, parser):
    """-c ends the options, as it does for Python."""
    if not parser.rargs:
        parser.error("-c requires 1 argument")
    parser.values.command = parser.rargs.pop(0)
    parser.largs.extend(parser.rargs)
    del parser.rargs[:]


def _take_filter(option, name, value, parser, include):
    what, colon, glob = value.partition(":")
    if not colon or what not in ("file", "module", "function"):
        parser.error("%s: WHAT is file, module or function, such as "
                     "module:json*" % name)
    parser.values.filters.append((include, what, glob))


def _parser():
    parser = optparse.OptionParser(usage=USAGE,
                                   prog="python -m libpyprof.tracing")
    parser.allow_interspersed_args = False
    add = parser.add_option
    add("-o", "--outfile", metavar="FILE", help="save the profile to FILE")
    add("-s", "--sort", default="cumulative", metavar="SORT",
        choices=sorted(pstats.Stats.sort_arg_dict_default),
        help="order of the table that is printed [%default]")
    add("-f", "--format", default="pstats", metavar="FORMAT",
        help="of FILE: pstats, callgrind, collapsed, ... [%default]")
    add("-m", dest="module", action="store_true", default=False,
        help="profile a module")
    add("-c", dest="command", action="callback", callback=_take_command,
        help="profile a command")
    add("--clock", default="wall", choices=["wall", "cpu"],
        help="wall or cpu [%default]")
    add("--threads", default="all", choices=["all", "current"],
        help="all or current [%default]")
    add("--coroutines", default="steps", choices=["steps", "whole"],
        help="what a call of a coroutine is: steps or whole [%default]")
    add("--no-builtins", dest="builtins", action="store_false", default=True,
        help="leave out functions made in C")
    for name, include in (("--include", True), ("--exclude", False)):
        add(name, type="string", action="callback", callback=_take_filter,
            callback_kwargs={"include": include}, metavar="WHAT:GLOB",
            help="record %s what matches; WHAT is file, module or function"
                 % ("only" if include else "not"))
    parser.set_defaults(filters=[], command=None)
    return parser


# ---- What is run.

def _command(options, arguments):
    sys.argv[:] = ["-c"] + arguments
    code = compile(options.command, "<string>", "exec")
    return code, _new_main({})


def _module(options, arguments):
    name = arguments[0]
    sys.argv[:] = arguments
    return ("run(name, run_name='__main__', alter_sys=True)",
            {"run": runpy.run_module, "name": name})


def _folder(options, arguments):
    sys.argv[:] = arguments
    return ("run(path, run_name='__main__')",
            {"run": runpy.run_path, "path": arguments[0]})


def _script(options, arguments):
    name = arguments[0]
    sys.argv[:] = arguments
    sys.path.insert(0, os.path.dirname(name))
    with io.open_code(name) as file:
        code = compile(file.read(), name, "exec")
    return code, _new_main({"__file__": name})


def _new_main(names):
    """The namespace of a __main__ that is the program's own."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=__builtins__, __spec__=None,
                           __package__=None, **names)
    sys.modules["__main__"] = module
    return module.__dict__


def _kind_of(options, arguments):
    if options.command is not None:
        return _command
    if options.module:
        return _module
    if os.path.isdir(arguments[0]) or zipfile.is_zipfile(arguments[0]):
        return _folder
    return _script


# ---- What comes out.

def _check_writable(parser, path):
    """Before the program runs, not after."""
    existed = os.path.exists(path)
    try:
        with open(path, "ab"):
            pass
        if not existed:
            os.remove(path)
    except OSError as error:
        parser.error("cannot write %s: %s" % (path, error.strerror))


def _report(profile, options):
    if options.outfile is None:
        profile.print_stats(options.sort)
    elif options.format == "pstats":
        profile.dump_stats(options.outfile)
    else:
        profile.write(options.outfile, options.format)


def _wait_for_threads():
    """Those that keep a program alive are a part of it."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()


def _own(traceback):
    """A traceback from the program's first frame on."""
    first = traceback
    here = (__file__, runpy.__file__, sys.modules[Profile.__module__].__file__)
    while first is not None:
        name = first.tb_frame.f_code.co_filename
        if name not in here and "runpy" not in name:
            return first
        first = first.tb_next
    return traceback


def _run(code, names, profile):
    """What ended the program, or None."""
    try:
        try:
            profile.enable()
            exec(code, names)
            _wait_for_threads()
        finally:
            profile.disable()
    except BaseException as error:
        return error
    return None


def _end(error):
    """Ends as Python would have ended the program."""
    error.__traceback__ = _own(error.__traceback__)
    if isinstance(error, Exception):
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
    raise error


def main(arguments=None):
    parser = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        parser.print_usage()
        sys.exit(2)
    options, rest = parser.parse_args(arguments)
    if options.command is None and not rest:
        parser.error("nothing to profile: give a script, -m MODULE or "
                     "-c COMMAND")
    if options.outfile is not None:
        options.outfile = os.path.abspath(options.outfile)
        _check_writable(parser, options.outfile)
    profile = Profile(
        builtins=options.builtins, clock=options.clock,
        threads=options.threads, coroutines=options.coroutines,
        paths=options.format not in ("pstats", "callgrind"),
        filters=options.filters)
    code, names = _kind_of(options, rest)(options, rest)
    error = _run(code, names, profile)
    try:
        _report(profile, options)
        sys.stdout.flush()
    except BrokenPipeError as broken:
        sys.stdout = None  # nothing more can be said there
        sys.exit(broken.errno)
    if error is not None:
        _end(error)
