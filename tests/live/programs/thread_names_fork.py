"""Children that were forked by threads with names, until they are killed.

Prints "ready" and, for each child, its process id and the name of the thread
that forked it, which is the only one there.
"""
import os
import threading
import time

children = []


def fork():
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begin, b".")
        while True:
            time.sleep(1000)
    os.read(begun, 1)
    children.append((pid, threading.current_thread().name))


fork()
thread = threading.Thread(target=fork, name="a thread that forks")
thread.start()
thread.join()
print("ready %r" % children, flush=True)
time.sleep(1000)
