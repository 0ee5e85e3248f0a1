"""A thread that ends, one that follows it (mostly with the same identity), and
one name that changes: each when a line comes. Ends with its input."""
import sys
import threading
import time


def stay(stop):
    while not stop.is_set():
        time.sleep(0.001)


def start(name):
    stop = threading.Event()
    thread = threading.Thread(target=stay, args=(stop,), name=name,
                              daemon=True)
    thread.start()
    return thread, stop


thread, stop = start("the first of the two threads")
sys.stdin.readline()
stop.set()
thread.join()
thread, _ = start("the second of the two threads")
sys.stdin.readline()
thread.name = "the second, by another name"
print("renamed", flush=True)
sys.stdin.readline()
