"""Records the images in tests/images anew: `record_images.py TOOL [NAME...]`.

TOOL is the program record_image, which `cmake --build BUILD --target
record_image` makes. NAMEs are those of `./dev interpreters --list`, by default
one of each version. Each interpreter runs recorded.py, is stopped by a signal
and recorded as NAME.img; beside it is written, as NAME.expected, what the
program said of itself:

    thread interpreter ID[ main]
      FUNCTION FILE:LINE[ xTIMES]
      ...

a block for each thread with frames, innermost frame first, blocks sorted.
"""

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
IMAGES = os.path.join(ROOT, "tests", "images")
NAMES = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.15",
         "3.15-dbg")
# Where the frames are differs: these have a deep one as well.
DEEP = ("3.10", "3.12", "3.15")


def interpreters():
    listing = subprocess.run([os.path.join(ROOT, "dev"), "interpreters",
                              "--list"], stdout=subprocess.PIPE, check=True)
    for line in listing.stdout.decode().splitlines():
        name, command = line.split("\t", 1)
        yield name, shlex.split(command)


def block(thread):
    lines = ["thread interpreter %d%s" % (
        thread["interpreter"], " main" if thread["main"] else "")]
    for frame, equal in itertools.groupby(thread["frames"]):
        times = len(list(equal))
        lines.append("  %s %s:%d%s" % (
            *frame, " x%d" % times if times > 1 else ""))
    return "".join(line + "\n" for line in lines).encode()


def stopped(pid):
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task)) as stat:
            if stat.read().rpartition(")")[2].split()[0] != "T":
                return False
    return True


def anonymous(path):
    """Whose interpreter it was is nobody's business; nothing may move."""
    home = os.path.expanduser("~").encode()
    with open(path, "rb+") as file:
        data = file.read()
        file.seek(0)
        file.write(data.replace(home + b"/", b"/" + b"h" * (len(home) - 1)
                                + b"/"))


def record(tool, command, kind, image):
    # A copy, since some interpreters see another file system.
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "recorded.py"), encoding="utf-8") as source:
        text = source.read()
    start = ("import sys; sys.argv[1:] = [%r]; __name__ = '__main__'; "
             "exec(compile(sys.stdin.read(), 'recorded.py', 'exec'))" % kind)
    # Memory beside what is wanted comes along, so as little as possible of
    # this machine is to be in it: no environment, no site.
    process = subprocess.Popen(
        command + ["-I", "-S", "-X", "utf8", "-c", start],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
        told = json.loads(process.stdout.readline().decode())
        pid = told["pid"]
        # The thread that printed has yet to lie down.
        time.sleep(0.5)
        os.kill(pid, signal.SIGSTOP)
        while not stopped(pid):
            time.sleep(0.01)
        subprocess.run([tool, str(pid), image + ".img"], check=True)
    finally:
        process.kill()
        process.wait()
    anonymous(image + ".img")
    blocks = sorted(block(thread) for thread in told["threads"])
    with open(image + ".expected", "wb") as file:
        file.write(b"".join(blocks))
    print("%s: %d bytes" % (image, os.path.getsize(image + ".img")))


def main():
    tool, wanted = sys.argv[1], sys.argv[2:]
    for name, command in interpreters():
        if name not in (wanted or NAMES):
            continue
        record(tool, command, "shapes", os.path.join(IMAGES, name))
        if name in DEEP:
            record(tool, command, "deep",
                   os.path.join(IMAGES, name + "-deep"))


if __name__ == "__main__":
    main()
