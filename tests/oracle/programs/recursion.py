"""Deep recursion: at DEPTH frames, going up and down a little.

    recursion.py TRUTH SECONDS [DEPTH]

Seven functions call each other in a ring, so that a gap shows. At the bottom
of the recursion the program goes on in two alternating chains. Beyond 900
frames it runs in a thread with a stack that is large enough for versions that
use the C stack for calls between Python functions.
"""
import sys
import threading

import truth

RING = 7

run = truth.Truth(__file__)
depth = int(run.args[0]) if run.args else 300

lines = []
for i in range(RING):
    lines += ["def r%d(n):" % i,
              "    if n > 0:",
              "        r%d(n - 1)  # -> r%d" % ((i + 1) % RING, (i + 1) % RING),
              "    else:",
              "        bottom()  # -> bottom"]
for letter in "ab":
    for i in range(5):
        lines += ["def %s%d():" % (letter, i),
                  "    %s%d()  # -> %s%d" % (letter, i + 1, letter, i + 1)]
    lines += ["def %s5():" % letter, "    return 1"]
lines += ["def bottom():",
          "    arrive()  # -> @",
          "    while run.going:",
          "        a0()  # -> a0",
          "        b0()  # -> b0"]
source = "\n".join(lines) + "\n"
arrived = threading.Semaphore(0)
run.add(source, "ring.py")
r0 = None  # made by the source
exec(compile(source, "ring.py", "exec"))
sys.setrecursionlimit(depth + 200)


def deep():
    run.thread("deep")
    r0(depth)  # -> r0


def wait(thread):
    while run.going:
        thread.join(0.05)  # -> @


if depth <= 900:
    arrive = run.ready
    r0(depth)  # -> r0
else:
    threading.stack_size(min(1 << 30, 1 << 22 | depth * 4096))
    thread = threading.Thread(target=deep)
    arrive = arrived.release
    thread.start()
    arrived.acquire()
    run.ready()  # -> @
    wait(thread)  # -> wait
    thread.join()
run.done()
