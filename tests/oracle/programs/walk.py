"""Random walks over a fixed graph of forty functions.

    walk.py TRUTH SECONDS [SEED]

Each function may call three certain others, each on a line of its own, and
comes to an end after at most 24 steps. The graph and the walks are the same
for the same seed.
"""
import random

import truth

COUNT = 40
STEPS = 24

run = truth.Truth(__file__)
chance = random.Random(int(run.args[0]) if run.args else 15)


def function(i):
    below = [chance.randrange(COUNT) for _ in range(3)]
    lines = ["def w%d(path, at):" % i,
             "    turn = path[at]"]
    for k, other in enumerate(below):
        lines += ["    %s turn == %d:" % ("elif" if k else "if", k),
                  "        w%d(path, at + 1)  # -> w%d" % (other, other)]
    # Some go on after a call, so that the same frame calls different ones.
    if i % 3 == 0:
        lines += ["    if at + 2 < %d:" % STEPS,
                  "        w%d(path, %d - at %% 2)  # -> w%d"
                  % (below[0], STEPS - 2, below[0])]
    lines += ["    return turn"]
    return lines


source = "\n".join(sum((function(i) for i in range(COUNT)), [])) + "\n"
run.add(source, "walks.py")
w0 = w1 = None  # made by the source
exec(compile(source, "walks.py", "exec"))

# 3 is an end. A path always has one.
paths = []
for _ in range(200):
    length = chance.randrange(4, STEPS)
    steps = [chance.randrange(3) for _ in range(length)]
    paths.append(bytes(steps + [3] * (STEPS + 2 - length)))


def main():
    while run.going:
        for path in paths:
            w0(path, 0)  # -> w0
            w1(path, 0)  # -> w1


run.ready()  # -> @
main()  # -> main
run.done()
