"""Prints its process id and runs until a signal ends it. Arguments: `deaf`
ignores SIGINT and SIGTERM; `tidy` ends with 7 on SIGINT."""
import os
import signal
import sys
import time


def tidy(number, frame):
    sys.exit(7)


if "deaf" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "tidy" in sys.argv:
    signal.signal(signal.SIGINT, tidy)
print("ready %d" % os.getpid(), flush=True)
while True:
    sum(range(1000))
    time.sleep(0.001)
