"""Layouts against the interpreters themselves: each finds its own objects,
threads and frames by the offsets that the library would use for it."""

import ctypes
import json
import os
import re
import subprocess

import harness

DUMPER = os.path.join(harness.BUILD, "bin", "unit_layout_tables")
HEADER = os.path.join(harness.ROOT, "libpyprof", "layout", "layout.h")
NONE = 0xffffffff
TYPES = {"bool": ctypes.c_bool, "uint8_t": ctypes.c_uint8,
         "uint16_t": ctypes.c_uint16, "uint32_t": ctypes.c_uint32,
         "uint64_t": ctypes.c_uint64, "char": ctypes.c_void_p}


def structure():
    """pp_layout as a ctypes structure, from its declaration."""
    with open(HEADER) as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    text = re.search(r"typedef struct pp_layout \{(.*?)\} pp_layout;", text,
                     re.S).group(1)
    levels = [[]]
    for token in re.findall(r"struct \{|\} \w+;|[^;{}]+;", text):
        token = " ".join(token.replace("const ", "").split())
        if token == "struct {":
            levels.append([])
        elif token.startswith("}"):
            group = type("group", (ctypes.Structure,),
                         {"_fields_": levels.pop()})
            levels[-1].append((token[2:-1], group))
        else:
            kind, names = token[:-1].split(" ", 1)
            for name in names.split(","):
                name, _, count = name.strip(" *]").partition("[")
                base = TYPES.get(kind, ctypes.c_int)
                levels[-1].append((name, base * int(count) if count else base))
    return type("pp_layout", (ctypes.Structure,), {"_fields_": levels[0]})


def fields(data):
    """The fields of a pp_layout, given as bytes, that are there."""
    layout, found = structure().from_buffer_copy(data), {}
    for name, _ in layout._fields_:
        value = getattr(layout, name)
        if not isinstance(value, ctypes.Structure):
            found[name] = value
            continue
        for inner, _ in value._fields_:
            one = getattr(value, inner)
            one = list(one) if isinstance(one, ctypes.Array) else one
            if one != NONE:
                found[name + "." + inner] = one
    del found["cpython"]
    return found


def test_as_the_interpreter_has_it(interpreter):
    with harness.target(interpreter, "layouts.py", stdin=subprocess.PIPE) as target:
        arguments = target.wait_line().split()[1:]
        dumper = harness.Process([DUMPER, target.pid] + arguments)
        assert dumper.wait() == 0, dumper.lines
        print("    %s" % dumper.lines[1])
        layout = fields(bytes.fromhex(dumper.lines[0]))
        target.stdin.write(json.dumps(layout).encode() + b"\n")
        target.stdin.flush()
        checked = target.wait_line("checked")
        print("    " + checked)
        print("    " + target.wait_line("untried"))
        assert target.wait() == 0, target.lines
        wrong = [line for line in target.lines if line.startswith("wrong")]
        assert not wrong, "\n".join(wrong)
        assert int(checked.split()[1]) > 95, checked


if __name__ == "__main__":
    harness.main(test_as_the_interpreter_has_it)
