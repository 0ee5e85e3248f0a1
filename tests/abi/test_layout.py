"""Sizes and offsets of the public structures, as in layout.txt (64-bit).

A field that moves breaks programs that were compiled before. To add one at the
end is fine where the structure begins with sz: run this with --update, and the
difference shows what the change is.
"""

import difflib
import os
import subprocess
import sys
import tempfile

import headers

COMMITTED = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "layout.txt")


def program():
    lines = ["#include <pyprof/pyprof.h>", "#include <stdio.h>",
             "int main(void)", "{"]
    for name, fields in headers.structs():
        lines.append('    printf("%s %%zu\\n", sizeof(%s));' % (name, name))
        for field in fields:
            lines.append(
                '    printf("    %s %%zu %%zu\\n", offsetof(%s, %s), '
                'sizeof(((%s *)0)->%s));' % (field, name, field, name, field))
    return "\n".join(lines + ["    return 0;", "}", ""])


def actual():
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "layout.c")
        with open(source, "w") as file:
            file.write(program())
        subprocess.run([headers.compilers()[0][0], "-std=c11", "-I",
                        headers.INCLUDE, "-o", folder + "/layout", source],
                       check=True)
        return subprocess.run([folder + "/layout"], stdout=subprocess.PIPE,
                              universal_newlines=True, check=True).stdout


def main():
    now = actual()
    if sys.argv[1:] == ["--update"]:
        with open(COMMITTED, "w") as file:
            file.write(now)
        return
    with open(COMMITTED) as file:
        before = file.read()
    sys.stdout.writelines(difflib.unified_diff(
        before.splitlines(True), now.splitlines(True), "layout.txt", "now"))
    print("%d structures" % len(headers.structs()))
    sys.exit(0 if before == now else 1)


if __name__ == "__main__":
    main()
