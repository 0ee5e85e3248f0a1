"""Two chains of DEPTH functions, called in turn.

    chains.py TRUTH SECONDS [DEPTH]

A stack is main and a beginning of one chain; both letters in one stack, or a
gap in it, is a stack that this program never had. The leaves do next to
nothing, so the stack changes all the time: the hardest case for whoever reads
it while it runs.
"""
import truth

run = truth.Truth(__file__)
depth = int(run.args[0]) if run.args else 10


def chain(letter):
    lines = []
    for i in range(depth - 1):
        lines.append("def %s%d():" % (letter, i))
        lines.append("    %s%d()  # -> %s%d" % (letter, i + 1, letter, i + 1))
    lines.append("def %s%d():" % (letter, depth - 1))
    lines.append("    return 1")
    return lines


source = "\n".join(chain("a") + chain("b")) + "\n"
run.add(source, "chain.py")
a0 = b0 = None  # made by the source
exec(compile(source, "chain.py", "exec"))


def main():
    while run.going:
        a0()  # -> a0
        b0()  # -> b0


run.ready()  # -> @
main()  # -> main
run.done()
