"""Functions that use known shares of the time, by the program's own clocks.

    shares.py TRUTH SECONDS [KIND]

KIND is one of
    three    70, 20 and 10 percent, busy
    tail     fifty functions, from a fifth down to half a percent, busy
    mixed    some functions are busy, some sleep
    threads  two threads, each with 70, 20 and 10 percent of its own
The shares that count are the measured ones: the program reads the wall clock
and its thread's CPU clock around each piece of work, of 2 ms and more.
"""
import threading
import time

import truth

run = truth.Truth(__file__)
kind = run.args[0] if run.args else "three"


def plan():
    """Rows of (name, milliseconds of each piece of work, busy or sleeping)."""
    if kind == "three":
        return [("f70", 14.0, "burn"), ("f20", 4.0, "burn"),
                ("f10", 2.0, "burn")]
    if kind == "threads":
        return [("t%df%d" % (t, p), p / 5.0, "burn")
                for t in range(2) for p in (70, 20, 10)]
    if kind == "mixed":
        return [("busy40", 8.0, "burn"), ("nap30", 6.0, "sleep"),
                ("busy20", 4.0, "burn"), ("nap10", 2.0, "sleep")]
    # Long tail: each function's time is that of the first over its rank.
    return [("g%02d" % i, max(60.0 / (i + 1) ** 0.92, 1.6), "burn")
            for i in range(50)]


def text(name, way):
    if way == "sleep":
        return ["def %s(n):" % name, "    sleep(n)"]
    return ["def %s(n):" % name,
            "    x = 1",
            "    while n > 0:",
            "        x = (x * 5 + 1) & 65535",
            "        n -= 1"]


rows = plan()
sleep = time.sleep
source = "\n".join(sum((text(name, way) for name, _, way in rows), [])) + "\n"
run.add(source, "work.py")
exec(compile(source, "work.py", "exec"))


def amount(ms, way, speed):
    return ms / 1000.0 if way == "sleep" else int(ms / 1000.0 * speed)


def calibrate():
    """Turns of the busy loop a second; the best of some tries."""
    burn = globals()[[name for name, _, way in rows if way == "burn"][0]]
    best = 0.0
    for _ in range(5):
        start = truth.thread_time()
        burn(100000)
        best = max(best, 100000 / (truth.thread_time() - start))
    return best


def steady(work, clock):
    monotonic, thread_time = truth.monotonic, truth.thread_time
    t0, c0 = monotonic(), thread_time()
    while run.going:
        for index, (function, n) in enumerate(work):
            function(n)  # -> CALLEES
            t1, c1 = monotonic(), thread_time()
            clock.add(index, t0, t1, c1 - c0)  # -> @
            t0, c0 = t1, c1


def thread_main(index):
    run.thread("thread_main")
    started.release()
    begin.wait()  # -> @
    steady(parts[index], clocks[index])  # -> steady


def parts_of(speed):
    if kind != "threads":
        return [rows]
    return [rows[:3], rows[3:]]


speed = calibrate()
# The arrow of `steady` names all of the generated functions.
for function in run.data["functions"]:
    for callees in function["calls"].values():
        if "CALLEES" in callees:
            callees[:] = [name for name, _, _ in rows]
groups = parts_of(speed)
clocks = [truth.Clock([name for name, _, _ in group]) for group in groups]
parts = [[(globals()[name], amount(ms, way, speed)) for name, ms, way in group]
         for group in groups]

if kind == "threads":
    started = threading.Semaphore(0)
    begin = threading.Event()
    threads = [threading.Thread(target=thread_main, args=(k,))
               for k in range(len(groups))]
    for thread in threads:
        thread.start()
    for thread in threads:
        started.acquire()
    begin.set()
    run.ready()  # -> @
    for thread in threads:
        thread.join()  # -> @
else:
    run.ready()  # -> @
    steady(parts[0], clocks[0])  # -> steady
run.done(clocks=[clock.data() for clock in clocks])
