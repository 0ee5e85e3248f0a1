#!/usr/bin/env python3
"""Doxygen's filter for status.h: `status_docs.py FILE` prints it for the manual.

The enumeration there is made by a macro from PYPROF_STATUS_MAP, so no value has
a comment that Doxygen could find. Each is written out here, with its text.
"""

import re
import sys

ROW = re.compile(r'X\((\w+), (-?\d+), "([^"]*)",\s*"([^"]*)",\s*"([^"]*)"\)')


def main():
    with open(sys.argv[1]) as file:
        text = file.read()
    rows = ROW.findall(text.replace("\\\n", " "))
    values = ["    PYPROF_%s = %s, /**< \"%s\": %s (Python: %s) */"
              % (name, value, short, sentence, python)
              for name, value, short, sentence, python in rows]
    call = re.compile(r"^ *PYPROF_STATUS_MAP\(PYPROF_STATUS_ENUM\)$", re.M)
    text, n = call.subn(lambda match: "\n".join(values), text)
    if not rows or n != 1:
        sys.exit("status_docs.py: %d rows, %d places" % (len(rows), n))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
