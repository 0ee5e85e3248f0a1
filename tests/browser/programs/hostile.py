"""A program whose functions, files and threads have names that would like to be
markup, script or paths out of a folder. Ends by itself."""

import threading
import time

NAMES = [
    "</script><script>globalThis.PWNED = 1</script>",
    "<img src=x onerror='globalThis.PWNED=2'>",
    "\"><b class=x>PWNED</b>",
    "<!--<script>PWNED",
    "{{data}} {{script}} ${PWNED} PWNED\u2028\u202e\ud800\x00\x1b[31m",
]
FILES = [
    "../../escaped.html",
    "/tmp/../../../etc/passwd",
    "/srv/</script><script>globalThis.PWNED = 3</script>.py",
    "/srv/\" onmouseover=\"globalThis.PWNED=4\" x=\".py",
    "javascript:globalThis.PWNED=5//PWNED.py",
]


def work(seconds):
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        n += sum(range(200))
    return n


def make(name, file, callee):
    code = compile("def f(seconds):\n    return callee(seconds)\n", file,
                   "exec")
    space = {"callee": callee}
    exec(code, space)
    made = space["f"].__code__
    changes = {"co_name": name}
    if hasattr(made, "co_qualname"):
        changes["co_qualname"] = name
    space["f"].__code__ = made.replace(**changes)
    return space["f"]


def main():
    function = work
    for name, file in zip(NAMES, FILES):
        function = make(name, file, function)
    threads = [threading.Thread(target=function, args=(0.8,), name=name)
               for name in NAMES[:2]]
    for thread in threads:
        thread.start()
    function(0.5)
    for thread in threads:
        thread.join()


main()
