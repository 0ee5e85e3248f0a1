"""Ten threads that want the GIL, each in two chains of its own, and sleepers.

    threads10.py TRUTH SECONDS [THREADS] [DEPTH] [SLEEPERS]

The functions of a thread have names that no other thread uses, so a stack that
mixes two threads is seen, and so is one under another thread's id.
"""
import threading
import time

import truth

run = truth.Truth(__file__)
count = int(run.args[0]) if run.args else 10
depth = int(run.args[1]) if len(run.args) > 1 else 8
sleepers = int(run.args[2]) if len(run.args) > 2 else 2


def chain(prefix):
    lines = []
    for i in range(depth - 1):
        lines += ["def %s%d():" % (prefix, i),
                  "    %s%d()  # -> %s%d" % (prefix, i + 1, prefix, i + 1)]
    return lines + ["def %s%d():" % (prefix, depth - 1), "    return 1"]


lines = []
for k in range(count):
    lines += chain("t%da" % k) + chain("t%db" % k)
    lines += ["def worker%d():" % k,
              "    run.thread('worker%d')" % k,
              "    started.release()",
              "    while run.going:",
              "        t%da0()  # -> t%da0" % (k, k),
              "        t%db0()  # -> t%db0" % (k, k)]
for k in range(sleepers):
    lines += ["def sleeper%d():" % k,
              "    run.thread('sleeper%d')" % k,
              "    started.release()",
              "    while run.going:",
              "        nap%d()  # -> nap%d" % (k, k),
              "def nap%d():" % k,
              "    time.sleep(0.02)"]

source = "\n".join(lines) + "\n"
started = threading.Semaphore(0)
run.add(source, "worker.py")
exec(compile(source, "worker.py", "exec"))


def main():
    while run.going:
        time.sleep(0.05)


names = ["worker%d" % k for k in range(count)]
names += ["sleeper%d" % k for k in range(sleepers)]
threads = [threading.Thread(target=globals()[name]) for name in names]
for thread in threads:
    thread.start()
for thread in threads:
    started.acquire()
run.ready()  # -> @
main()  # -> main
for thread in threads:
    thread.join()
run.done()
