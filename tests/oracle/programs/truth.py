"""What the programs of this folder have in common: how they tell their truth.

    PROGRAM.py TRUTH SECONDS [ARG...]

A program prints "ready" once it does what it was written for, goes on until
SIGTERM or until SECONDS have passed, and leaves what it knows about itself in
the file TRUTH, as JSON: the first time before "ready", the last time when it
ends. Runs on Python 3.8 to 3.15 with the standard library alone.

Which stacks are legal is written into the programs' own source. A comment
`# -> f g` at the end of a line says which functions may stand directly above
that line while it executes, `@` meaning functions of other modules. A line
without such a comment calls nothing. Where a generator expression shares the
line of its function, it has a part of its own: `# -> f | <genexpr>: g h`. The
main thread starts at `<module>`.
"""
import ast
import io
import json
import os
import re
import signal
import sys
import threading
import time
import tokenize

ARROW = re.compile(r"#\s*->\s*(.+?)\s*$")
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.GeneratorExp, ast.Lambda)
INLINE = ("<genexpr>", "<lambda>")


def arrows(source):
    """Rows (line, function that it is about or None, [callee, ...])."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        match = ARROW.match(token.string)
        if token.type != tokenize.COMMENT or not match:
            continue
        for part in match.group(1).split("|"):
            words = part.split()
            about = words.pop(0)[:-1] if words[0][-1] == ":" else None
            found.append((token.start[0], about, words))
    return found


def functions(source, filename):
    """The functions of a source text, each with its lines and what it calls."""
    tree = ast.parse(source)
    last = len(source.splitlines())
    result = [{"name": "<module>", "file": filename, "first": 1, "last": last,
               "calls": {}}]

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, SCOPES):
                name = getattr(child, "name", None) or INLINE[
                    isinstance(child, ast.Lambda)]
                result.append({"name": name, "file": filename,
                               "first": child.lineno,
                               "last": child.end_lineno, "calls": {}})
            visit(child)

    visit(tree)
    for line, about, callees in arrows(source):
        holders = [f for f in result if f["first"] <= line <= f["last"]
                   and (f["name"] == about or
                        not about and f["name"] not in INLINE)]
        # The innermost function begins last, or ends first.
        holder = max(holders, key=lambda f: (f["first"], -f["last"]))
        holder["calls"][str(line)] = callees
    return result


class Truth:
    """One run of one program; made by its first line, asked by its loop."""

    def __init__(self, program):
        self.path = sys.argv[1]
        self.seconds = float(sys.argv[2])
        self.args = sys.argv[3:]
        self.going = True
        self.data = {
            "program": os.path.basename(program),
            "args": self.args,
            "pid": os.getpid(),
            "python": "%d.%d.%d" % sys.version_info[:3],
            "functions": [],
            "entries": {},
            "threads": {},
        }
        self.lock = threading.Lock()
        with open(program, encoding="utf-8") as file:
            self.add(file.read(), os.path.basename(program))

    def add(self, source, filename):
        """Adds the functions of a source text, compiled as `filename`."""
        self.data["functions"] += functions(source, filename)

    def entry(self, name):
        """Says that threads or event loops may start function `name`."""
        self.data["entries"][name] = True

    def thread(self, name):
        """Says that the calling thread runs function `name`, and only it."""
        with self.lock:
            self.data["threads"][str(threading.get_native_id())] = name
            self.data["entries"][name] = True

    def write(self):
        modules = [getattr(m, "__file__", None) for m in sys.modules.values()]
        self.data["library"] = sorted({os.path.basename(file)
                                       for file in modules if file})
        with open(self.path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.data, file)
        os.replace(self.path + ".part", self.path)

    def stop(self, signum, frame):
        self.going = False

    def ready(self):
        """From here on every stack is one that the rule allows."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGALRM, self.stop)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        self.data["main"] = threading.get_native_id()
        self.write()
        print("ready", flush=True)

    def done(self, **more):
        self.data.update(more)
        self.write()


class Clock:
    """What one thread did when, as it measures it around its pieces of work.

    `add` is called by the thread itself after each piece, with the moments
    (CLOCK_MONOTONIC) at which it began and ended and the CPU time that it took.
    All pieces are kept, so that whoever sampled for a part of the program's
    life can compare just that part.
    """

    def __init__(self, names):
        self.names = list(names)
        self.pieces = []

    def add(self, index, begin, end, cpu):
        self.pieces.append((index, begin, end, cpu))

    def data(self):
        return {"names": self.names, "pieces": self.pieces}


monotonic = time.monotonic
thread_time = time.thread_time
