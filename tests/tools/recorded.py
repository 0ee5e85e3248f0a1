"""A program to record an image of: threads that stand still in known places.

Says on its standard output, as a line of JSON, what it is doing: a list of
threads, each {"main": bool, "interpreter": id, "frames": [[function, file,
line], ...]} with the innermost frame first. Then it stands still until it is
killed. Function names are qualified where the version has such.

    recorded.py shapes     every kind of frame and of text
    recorded.py deep       recursion over several pieces of the data stack
"""

import _thread
import json
import os
import sys
import threading

FOREVER = threading.Lock()
FOREVER.acquire()
READY = threading.Semaphore(0)


def frames_of(frame):
    frames = []
    while frame is not None:
        code = frame.f_code
        frames.append([getattr(code, "co_qualname", code.co_name),
                       os.path.basename(code.co_filename), frame.f_lineno])
        frame = frame.f_back
    return frames


def stand():
    READY.release(); FOREVER.acquire()


# ---- kinds of frames --------------------------------------------------------

class Recursive:
    def down(self, n):
        return stand() if n == 0 else self.down(n - 1)


def leaves():
    yield 1
    stand()


def branch():
    for leaf in leaves():
        yield leaf


def generators():
    def tree():
        yield from branch()
    return [leaf for leaf in tree()]


async def inner():
    stand()


async def outer():
    await inner()


def coroutines():
    try:
        outer().send(None)
    finally:
        print("never")


def by_c(_):
    return sorted([2, 1], key=lambda x: max([x], key=by_c_again))


def by_c_again(_):
    stand()


def through_c():
    list(map(by_c, [1]))


def recursive():
    Recursive().down(20)


def multiple_lines():
    return [
        0,
        stand(
        ),
        1]


SOURCE = """
def größe():
    имя(
        3)

def имя(x):
    𐐀𐐁()

def 𐐀𐐁():
    stand()
"""


def names():
    space = {"stand": stand}
    exec(compile(SOURCE, "/tmp/données_文_🐍.py", "exec"), space)
    space["größe"]()


def busy():
    READY.release()
    while True: pass


# ---- another interpreter ----------------------------------------------------

INSIDE = """
import json, os, sys
def within():
    os.write({out}, (json.dumps(there()) + "\\n").encode()); os.read({stop}, 1)
def there():
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        frames.append([getattr(code, "co_qualname", code.co_name),
                       os.path.basename(code.co_filename), frame.f_lineno])
        frame = frame.f_back
    return frames
within()
"""


def in_interpreter(module, interpreter, source):
    READY.release(); run_in(module)(interpreter, source)


def run_in(module):
    return getattr(module, "exec", None) or module.run_string


def another_interpreter():
    """Its number and its frames; None where there can't be one."""
    try:
        import _interpreters as module
    except ImportError:
        import _xxsubinterpreters as module
    out_read, out_write = os.pipe()
    stop_read, _ = os.pipe()
    interpreter = module.create()
    source = INSIDE.format(out=out_write, stop=stop_read)
    # Its frames are the only ones of a thread state of its own, but up to 3.11
    # what runs it may be shown below them: see record_images.py.
    start(in_interpreter, module, interpreter, source)
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(out_read, 65536)
    return int(interpreter), json.loads(line.decode())


def start(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    READY.acquire()
    return thread


class Program:
    def shapes(self):
        for function in (recursive, generators, coroutines, through_c,
                         multiple_lines, names):
            start(function)
        other = another_interpreter()
        start(busy)
        tell(other); FOREVER.acquire()

    def deep(self):
        start(lambda: Recursive().down(300))
        tell(None); FOREVER.acquire()


def tell(other):
    # Until all of them are where they stand.
    import time
    time.sleep(0.5)
    main = _thread.get_ident()
    threads = []
    for ident, frame in sys._current_frames().items():
        # The frames of this function are over when the image is taken.
        frames = frames_of(frame if ident != main else sys._getframe(1))
        threads.append({"main": ident == main, "interpreter": 0,
                        "frames": frames})
    if other is not None:
        threads.append({"main": True, "interpreter": other[0],
                        "frames": other[1]})
    print(json.dumps({"pid": os.getpid(), "threads": threads}), flush=True)


if __name__ == "__main__":
    getattr(Program(), sys.argv[1])()
