"""Threads with names of every kind, as many more as its argument says, until
it is killed.

Prints "ready" and a dict that the test evaluates: for the native id of each
thread the name that threading itself gives it, or None.
"""
import _thread
import ast
import sys
import threading
import time

stop = threading.Event()
names = {}
lock = threading.Lock()


def stay(*_):
    with lock:
        names[threading.get_native_id()] = None
    stop.wait()


def stay_as_dummy():
    threading.current_thread()  # makes the object
    stay()


class Crowded(threading.Thread):
    """More attributes than any shared or inline table has room for."""

    def __init__(self, **more):
        for number in range(60):
            setattr(self, "attribute_%d" % number, number)
        super().__init__(**more)


class Text(str):
    pass


class Slotted(threading.Thread):
    __slots__ = ("extra", "more")


def start(thread):
    thread.daemon = True
    thread.start()
    return thread


start(threading.Thread(target=stay, name="worker-1"))
start(threading.Thread(target=stay))
start(threading.Thread(target=stay, name="d\u00f6ser \u4e2d\u6587 \U0001f40d"))
start(threading.Thread(target=stay, name="\u00fc" * 200))
start(threading.Thread(target=stay, name="n" * 200))
start(threading.Thread(target=stay, name=Text("of a subclass")))
start(threading.Thread(target=stay, name="half a pair \ud83d"))
start(threading.Timer(0, stay)).name = "timer"
start(Crowded(target=stay, name="crowded"))
start(Slotted(target=stay, name="slotted")).extra = 1
start(threading.Thread(target=stay, name="before")).name = "renamed"
thread = threading.Thread(target=stay, name="with a dict")
thread.__dict__["added"] = 1  # makes the dict of an instance that had none
start(thread)
thread = threading.Thread(target=stay, name="lost an attribute")
thread.added = 1
del thread.added
start(thread)
_thread.start_new_thread(stay_as_dummy, ())
_thread.start_new_thread(stay, ())  # none of threading's
crowd = int(sys.argv[1]) if len(sys.argv) > 1 else 0
for number in range(crowd):
    start(threading.Thread(target=stay, name="crowd-%d" % number))
    if number % 3 == 0:  # leaves holes in the table of threads
        ended = threading.Thread(target=int)
        ended.start()
        ended.join()
threading.main_thread().name = "the main one"

while len(names) < crowd + 15:
    time.sleep(0.01)
for thread in threading.enumerate():
    names[thread.native_id] = thread.name
text = ascii(names)
assert ast.literal_eval(text) == names
print("ready " + text, flush=True)
stop.wait()
