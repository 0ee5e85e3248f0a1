"""Three threads, each doing one thing, for a second or as long as is said."""

import sys
import threading
import time

SECONDS = float(sys.argv[1]) if sys.argv[1:] else 1.0


def spin():
    end = time.time() + SECONDS
    while time.time() < end:
        sum(range(100))


def wait():
    time.sleep(SECONDS)


threads = [threading.Thread(target=spin, name="spinner"),
           threading.Thread(target=wait, name="waiter")]
for thread in threads:
    thread.start()
print("ready", flush=True)
spin()
for thread in threads:
    thread.join()
