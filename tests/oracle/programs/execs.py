"""Code that is made by exec, runs for some milliseconds, and is freed again.

    execs.py TRUTH SECONDS [TURNS]

Generation k has the file `<gen k>` and the functions call_k, gen_k and leaf_k,
which call each other in this order. Its lines begin at 1,000 * (k % 50 + 1),
and the shape of its line table is one of seven. Freed code objects leave their
addresses to later ones: a profiler that keeps what it knew of an address mixes
two generations, and a stack that does is one that never was.
"""
import truth

SHAPES = 7
GROUND = 50

run = truth.Truth(__file__)
turns = int(run.args[0]) if run.args else 9000


def text(k, shape):
    pad = ["    pad = 0"] * shape
    return ["def call_%s(n):" % k] + pad + [
        "    gen_%s(n)  # -> gen_%s" % (k, k),
        "    return 1",
        "def gen_%s(n):" % k] + pad[1:] + [
        "    for i in range(n):"] + ["    "] * shape + [
        "        leaf_%s(i)  # -> leaf_%s" % (k, k),
        "    return 2",
        "def leaf_%s(i):" % k] + pad[2:] + [
        "    total = 0",
        "    for j in range(5):",
        "        total += i",
        "    return total"]


def generation(k):
    lines = [""] * (1000 * (k % GROUND + 1) - 1)
    lines += text(k, k % SHAPES)  # -> text
    made = {}
    code = compile("\n".join(lines), "<gen %d>" % k, "exec")
    exec(code, made)  # -> <module>
    return made["call_%d" % k]


# What the rule needs: each shape once, under names that stand for all.
for shape in range(SHAPES):
    name = "s%d" % shape
    run.add("\n".join(text(name, shape)) + "\n", "<gen %s>" % name)
run.data["generations"] = {"shapes": SHAPES, "ground": GROUND}
for function in run.data["functions"]:
    for callees in function["calls"].values():
        if callees == ["call_s?"]:
            callees[:] = ["call_s%d" % shape for shape in range(SHAPES)]


def main():
    k = 0
    while run.going:
        k += 1
        call = generation(k)  # -> generation
        call(turns)  # -> call_s?
    run.data["generations"]["last"] = k


run.ready()  # -> @
main()  # -> main
run.done()
