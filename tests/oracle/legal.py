"""Which stacks a program of programs/ can have.

What comes in is the truth that the program wrote about itself and one stack of
stacks.py; what comes out is None, or why the program never had that stack. The
rule is the one that the program's own source states with its `# -> ` comments
(see programs/truth.py): who may stand directly above whom, and on which line
the one below must be at that time. For a torn stack the same holds for the
part that is there, and a truncated one may begin anywhere.
"""
import re

OUTSIDE = "@"  # any function of a module that the program imported

GENERATION = re.compile(r"<gen (\d+)>$")


class Rule:
    """The rule of one run of one program.

    lines  False: judge by functions alone (other profilers have other ideas
           of a line than ours)
    """

    def __init__(self, truth, lines=True):
        self.lines = lines
        self.main = truth.get("main")
        self.threads = {int(tid): name
                        for tid, name in truth["threads"].items()}
        self.entries = set(truth["entries"])
        self.functions = {}
        for function in truth["functions"]:
            key = (function["file"], function["name"])
            self.functions.setdefault(key, []).append(function)
        self.files = {file for file, _ in self.functions}
        self.library = set(truth["library"])
        self.generations = truth.get("generations")

    def why(self, stack):
        """None for a stack that may be, else what is wrong with it."""
        frames = list(stack.frames)
        if frames and frames[-1][0] == "truth.py" and frames[-1][1] == "stop":
            frames.pop()  # the handler of the signal that ends the program
        if not frames and not stack.torn:
            return "no frame at all"
        if self.generations:
            frames, reason = self.plain(frames)
            if reason:
                return reason
        may = None if stack.truncated else self.roots(stack.tid)
        below = "the root"
        for file, name, line in frames:
            here = "%s:%s:%d" % (file, name, line)
            if file not in self.files:
                if file not in self.library:
                    return "%s does not exist" % here
                if may is not None and OUTSIDE not in may:
                    return "%s above %s" % (here, below)
                may = self.outside(stack.tid)
            else:
                function = self.find(file, name, line)
                if function is None:
                    return "%s does not exist" % here
                if may is not None and name not in may:
                    return "%s above %s" % (here, below)
                may = self.above(function, line)
            below = here
        return None

    def roots(self, tid):
        """What a thread's stack may begin with."""
        if tid is None:
            return {"<module>", OUTSIDE}
        if tid == self.main:
            return {"<module>"}
        return {OUTSIDE}

    def outside(self, tid):
        """What may stand above a function that is not the program's."""
        own = self.threads.get(tid)
        return {OUTSIDE} | ({own} if own else self.entries)

    def find(self, file, name, line):
        """The function of that name that has that line; 0 is no line."""
        for function in self.functions.get((file, name), ()):
            if (not self.lines or line == 0 or
                    function["first"] <= line <= function["last"]):
                return function
        return None

    def above(self, function, line):
        if self.lines:
            return set(function["calls"].get(str(line), ()))
        return {name for names in function["calls"].values()
                for name in names}

    def plain(self, frames):
        """Frames of a generation as those of the shape that stands for it.

        The number in the name, the number in the file and the place of the
        lines belong together, and no stack has two numbers.
        """
        shapes = self.generations["shapes"]
        result, seen = [], set()
        for file, name, line in frames:
            match = GENERATION.match(file)
            if match is None:
                result.append((file, name, line))
                continue
            here = "%s:%s:%d" % (file, name, line)
            k = int(match.group(1))
            seen.add(k)
            if k > self.generations.get("last", k):
                return None, "%s was never made" % here
            shape = "s%d" % (k % shapes)
            start = 1000 * (k % self.generations["ground"] + 1) - 1
            if name == "<module>" and line == 1:
                line = start + 1  # where every module starts
            if line and line <= start:
                return None, "%s: the line is of another generation" % here
            word, _, number = name.partition("_")
            if number not in ("", str(k)):
                return None, "%s: the function is of another file" % here
            result.append(("<gen %s>" % shape,
                           word + "_" + shape if number else word,
                           line - start if line else 0))
        if len(seen) > 1:
            return None, "generations %s in one stack" % sorted(seen)
        return result, None


def verdict(rule, stacks):
    """(stacks, whole, torn, {reason: count}) over rows of stacks.py.

    What the profiler calls broken itself is in none of whole, torn, reasons.
    """
    total = whole = torn = 0
    reasons = {}
    for stack in stacks:
        total += stack.count
        if stack.broken:
            continue
        reason = rule.why(stack)
        if reason is not None:
            reason += " (torn)" if stack.torn else ""
            reasons[reason] = reasons.get(reason, 0) + stack.count
        if stack.torn:
            torn += stack.count
        else:
            whole += stack.count
    return total, whole, torn, reasons
