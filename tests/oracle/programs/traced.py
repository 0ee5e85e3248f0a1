"""Runs a program of this folder and notes every stack that it ever has.

    traced.py STACKS PROGRAM.py TRUTH SECONDS [ARG...]

With sys.settrace in all threads: at each line, call and return from "ready" to
the end the stack is looked at from inside. STACKS gets rows [native thread id,
[[file, function, line], ...]] as JSON, root first. For the test of the rules:
whatever is found here must be legal.
"""
import json
import os
import runpy
import sys
import threading

import truth

stacks_path = sys.argv.pop(1)
program = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       sys.argv.pop(1))
found = set()
state = {"ready": False, "over": False}


def look(frame, event, argument):
    if not state["ready"]:
        if frame.f_code.co_name == "ready" and event == "return":
            state["ready"] = not state["over"]
        return look
    if frame.f_code.co_name == "stop":
        return None
    inside = threading.current_thread() is not threading.main_thread()
    stack = []
    at = frame
    while at is not None:
        code = at.f_code
        stack.append((os.path.basename(code.co_filename), code.co_name,
                      at.f_lineno or 0))
        if code.co_name == "<module>" and code.co_filename == program:
            inside = True
            break
        at = at.f_back
    if inside and state["ready"]:
        found.add((threading.get_native_id(), tuple(reversed(stack))))
    return look


class Truth(truth.Truth):
    def stop(self, signum, frame):
        # The handler runs inside `look` more often than not, untraced.
        state.update(ready=False, over=True)
        super().stop(signum, frame)


truth.Truth = Truth
sys.argv[0] = program
threading.settrace(look)
sys.settrace(look)
try:
    runpy.run_path(program, run_name="__main__")
finally:
    sys.settrace(None)
    threading.settrace(None)
    with open(stacks_path, "w") as file:
        json.dump(sorted(found), file)
