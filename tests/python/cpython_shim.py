"""Makes a Python run on libpyprof, children included; imported by a .pth file.

PYPROF_SHIM says how: "native" puts libpyprof's class in the place of _lsprof;
"python" also puts libpyprof.tracing in the place of cProfile and
profiling.tracing. -I and -E ignore that variable, so it is in the file.
"""
import importlib.abc
import importlib.machinery
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "cpython_shim.txt")) as _file:
    BUILD, WAY, MARK = _file.read().splitlines()

sys.path.append(os.path.join(BUILD, "python"))


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "_lsprof":
            file = "_lsprof.py"
        elif WAY == "python" and name in ("cProfile", "profiling.tracing"):
            file = "tracing.py"
        else:
            return None
        with open(MARK, "a") as mark:
            mark.write(name + "\n")
        where = os.path.join(BUILD, "python", "libpyprof", file)
        loader = importlib.machinery.SourceFileLoader(name, where)
        return importlib.machinery.ModuleSpec(name, loader, origin=where,
                                              is_package=False)


sys.meta_path.insert(0, Finder())
