"""What the speed benchmark looks at. Any CPython 3.8 to 3.15.

    target.py COUNTER deep DEPTH            one thread, DEPTH frames deep
    target.py COUNTER threads COUNT DEPTH   COUNT such threads
    target.py COUNTER service               a program, see workload.py
    target.py COUNTER compiler              one with very many stacks

It prints "ready", then works until it is killed. DEPTH counts every frame of
the thread. COUNTER is a file of 4,096 bytes whose first eight hold how much
work was done, or "-".
"""
import mmap
import sys
import threading

if sys.argv[1] == "-":
    counter = memoryview(bytearray(8)).cast("Q")
else:
    with open(sys.argv[1], "r+b") as file:
        counter = memoryview(mmap.mmap(file.fileno(), 4096)).cast("Q")

say = sys.stdout.write


def leaf(n):
    return n + 1


def step(n):
    return leaf(leaf(n))


def work(report):
    """Endless: small calls, two deep, as programs have them."""
    n = 0
    while True:
        for _ in range(25):
            n = step(n)
            n = step(n)
        if report:
            counter[0] = n


def down(frames, report):
    if frames > 1:
        down(frames - 1, report)
    else:
        work(report)


def ready():
    say("ready\n")
    sys.stdout.flush()


def deep(depth):
    sys.setrecursionlimit(depth + 100)
    ready()
    # <module>, deep, down ..., work, step and leaf.
    down(depth - 5, True)


def threads(count, depth):
    arrived = threading.Semaphore(0)

    def body(report):
        arrived.release()
        # Three frames of threading, body, down ..., work, step and leaf.
        down(depth - 7, report)

    for k in range(count):
        threading.Thread(target=body, args=(k == 0,), daemon=True).start()
    for k in range(count):
        arrived.acquire()
    ready()
    threading.Event().wait()


def program(name):
    import workload
    ready()
    getattr(workload, "run_" + name)(counter)


if sys.argv[2] == "deep":
    deep(int(sys.argv[3]))
elif sys.argv[2] == "threads":
    threads(int(sys.argv[3]), int(sys.argv[4]))
else:
    program(sys.argv[2])
