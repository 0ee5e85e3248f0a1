"""Threads with names that do different things, until it is killed."""
import threading
import time


def spin():
    while True:
        sum(range(1000))  # @spin


def doze():
    time.sleep(1000)  # @doze


def wait(event):
    event.wait()  # @wait


for number in (1, 2):
    threading.Thread(target=spin, name="spinner-%d" % number,
                     daemon=True).start()
threading.Thread(target=doze, name="d\u00f6ser", daemon=True).start()
threading.Thread(target=wait, args=(threading.Event(),), name="waiter\x1b[31m",
                 daemon=True).start()
time.sleep(0.2)
print("ready", flush=True)
doze()  # @module
