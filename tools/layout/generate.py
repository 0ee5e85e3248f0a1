#!/usr/bin/env python3
"""Makes libpyprof/layout/py3XX.c from the headers of one CPython.

    tools/layout/generate.py NAME INCLUDE [--check | -o FILE] [-D NAME=VALUE]...

NAME is the table's, such as 3.14 or 3.14t; INCLUDE is the folder that has
Python.h and internal/ of that version. probe.c is compiled against it, for each
architecture, never linked or run, and the object's sections are read. --check
fails if the table is not what would be written; -o writes elsewhere, "-" to
standard output. -D is for builds with more options than OPTIONS gives.

To add a version of CPython:
 1. fields.def: its conditions (the compiler names each member that is gone);
 2. this program, to make its tables, with and without the GIL;
 3. a row for each in libpyprof/layout/versions.def.

One table serves x86-64 and AArch64: both are 64-bit little-endian, and types
have equal sizes and alignments, except those of the C library - glibc's
pthread_mutex_t has 40 and 48 bytes. What lies behind one differs: such a value
is written PP_ARCH(X86_64, AARCH64). Debian's headers need the files of both
architectures' libpython3.X-dev in one folder, for pyconfig.h.
"""

import argparse
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LAYOUT_H = HERE.parent.parent / "libpyprof" / "layout" / "layout.h"

# struct row and the head of an IMAGE in probe.c.
ROW = struct.Struct("<40s96sQIIIiIIII")
IMAGE = struct.Struct("<40sQQ")
WORD, NUMBER, SIZE, AT, MEANS, BUILD = range(6)

NONE = "PP_NONE"
# What these builds were compiled with that is in no header: (first version,
# ending of the name, -D). _Py_TIER2 is the JIT's: it lengthens thread states, so
# without it the sizes of 3.15's runtime and interpreters are 8 bytes short.
OPTIONS = (((3, 13), "t", "Py_GIL_DISABLED"), ((3, 14), "", "_Py_TIER2=3"))
COMPILERS = ("gcc", "aarch64-linux-gnu-gcc")  # the order of PP_ARCH
# What an element of an array means that no row of fields.def gives.
UNMEANT = {"fr.owners": "PP_OWNER_BAD", "gen.states": "PP_GEN_BAD"}


def die(message):
    sys.exit("generate.py: " + message)


class Row:
    """A line of fields.def, with its values in one version."""

    def __init__(self, raw):
        (field, text, self.value, self.kind, self.width, self.align, self.sign,
         self.within, self.member, self.within2, self.member2) = ROW.unpack(raw)
        self.field = c_string(field)
        self.text = c_string(text)


def c_string(raw):
    return raw.split(b"\0", 1)[0].decode("ascii")


def sections(path, names):
    """The bytes of the named sections of a little-endian 64-bit ELF object."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        die("the compiler did not make a 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, strings = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", data, table + i * size)
             for i in range(count)]
    found = {}
    for name, _, _, _, offset, length in heads:
        start = heads[strings][4] + name
        label = data[start:data.index(b"\0", start)].decode("ascii")
        if label in names:
            found[label] = data[offset:offset + length]
    missing = set(names) - set(found)
    if missing:
        die("no section " + ", ".join(sorted(missing)) + " in the object")
    return [found[name] for name in names]


def options(args):
    version = tuple(map(int, args.name.rstrip("t").split(".")))
    return [define for first, ending, define in OPTIONS
            if version >= first and args.name.endswith(ending)] + args.define


def compile_probe(args, compiler):
    include = pathlib.Path(args.include)
    if not (include / "Python.h").is_file():
        die("no Python.h in %s" % include)
    if not (include / "internal").is_dir():
        die("no internal headers in %s" % include)
    # Debian keeps pyconfig.h in ../TRIPLET/python3.X, included as
    # <TRIPLET/python3.X/pyconfig.h>.
    folders = [include, include / "internal",
               include / "internal" / "mimalloc", include.parent, HERE]
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "probe.o"
        command = [compiler, "-std=gnu11", "-O0", "-w", "-c",
                   str(HERE / "probe.c"), "-o", str(output)]
        command += ["-I" + str(f) for f in folders if f.is_dir()]
        command += ["-D" + d for d in options(args)]
        done = subprocess.run(command)
        if done.returncode:
            die("%s: the probe does not compile against %s"
                % (compiler, include))
        return sections(output, (".pp_rows", ".pp_bits"))


def read_rows(data):
    if not data or len(data) % ROW.size:
        die("probe.c's struct row and ROW differ")
    return [Row(data[i:i + ROW.size]) for i in range(0, len(data), ROW.size)]


def read_masks(data):
    """(field, mask) of each bit-field: the 32-bit word that holds it."""
    at = 0
    while at < len(data):
        field, offset, total = IMAGE.unpack_from(data, at)
        if not field.strip(b"\0"):
            die("probe.c's IMAGE is not what was expected")
        start = at + IMAGE.size + offset
        (mask,) = struct.unpack_from("<I", data, start)
        if mask == 0:
            die("%s has no bit in its first word" % c_string(field))
        yield c_string(field), mask
        at = (at + IMAGE.size + total + 7) // 8 * 8


def layout_fields():
    """The groups of pp_layout and the type of each field, in order."""
    text = LAYOUT_H.read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    body = re.search(r"typedef struct pp_layout \{(.*?)\} pp_layout;", text,
                     re.S)
    if not body:
        die("no struct pp_layout in layout.h")
    groups = [("", [])]
    for line in re.split(r"(?<=[;{])", body.group(1)):
        line = " ".join(line.split())
        if not line:
            continue
        if line == "struct {":
            groups.append((None, []))
            continue
        closed = re.fullmatch(r"\} (\w+);", line)
        if closed:
            groups[-1] = (closed.group(1), groups[-1][1])
            continue
        fields = re.fullmatch(r"(?:const )?(\w+) ([*\w, \[\]]+);", line)
        if not fields:
            die("layout.h: what is this? " + line)
        in_group = groups[-1] if groups[-1][0] is None else groups[0]
        for name in fields.group(2).split(","):
            in_group[1].append((name.strip(), fields.group(1)))
    return groups


def where_is(include, text):
    """The header that has the structure of a row, as `Include/...`."""
    name = re.sub(r"^sizeof\((.*)\)$", r"\1", text).split(".")[0]
    name = name.replace("struct ", "")
    if not re.fullmatch(r"\w+", name):
        return None
    headers = {h: h.read_text(errors="replace")
               for h in sorted(pathlib.Path(include).rglob("*.h"))}
    names = {name}
    for content in headers.values():
        names.update(re.findall(r"typedef struct (\w+) %s;" % name, content))
    for alias in sorted(names):
        for header, content in headers.items():
            if re.search(r"struct %s \{|\} *%s;" % (alias, alias), content):
                return "%s: %s" % (name, header.relative_to(include))
    return None


def initialiser(kind, row, other):
    if kind == "uint64_t":
        if other.value != row.value:
            die("%s differs by architecture" % row.field)
        return "UINT64_C(0x%x)" % row.value
    if max(row.value, other.value) >= 1 << 32:
        die("%s is out of range: %#x" % (row.field, row.value))
    if row.value != other.value:
        return "PP_ARCH(%d, %d)" % (row.value, other.value)
    return str(row.value)


def meanings(rows, field, count):
    values = [UNMEANT[field]] * count
    for row in rows:
        if row.kind == MEANS and row.field == field:
            if values[row.value] != UNMEANT[field]:
                die("%s has two meanings for one value" % field)
            values[row.value] = row.text
    return "{" + ", ".join(values) + "}"


def table_lines(rows, others, masks):
    """The initialisers of a pp_layout."""
    by_name = {row.field: (row, other) for row, other in zip(rows, others)
               if row.kind < MEANS}
    used = set()
    for group, fields in layout_fields():
        if group:
            yield "        .%s =" % group
            yield "            {"
        for name, kind in fields:
            path = group + "." + name if group else name
            indent = "                " if group else "        "
            note = ""
            if path == "*cpython":
                name, value = "cpython", '"%s"' % rows[0].text
            elif path == "version":
                value = "0x%04x" % (rows[0].value >> 16)
            elif path == "free_threaded":
                found = any(r.field == path for r in rows)
                value = "true" if found else "false"
            elif path == "debug_offsets":
                value = "false"
            elif path.endswith("[8]"):
                name, path = name[:-3], path[:-3]
                value = meanings(rows, path, 8)
            elif path in masks:
                value = "0x%x" % masks[path]
            elif path == "ob.str_kind_shift":
                mask = masks["ob.str_kind_mask"]
                value = str((mask & -mask).bit_length() - 1)
            elif path in by_name:
                row, other = by_name[path]
                used.add(path)
                value = row.text
                if row.kind != WORD:
                    value = initialiser(kind, row, other)
                    note = " /* %s */" % row.text
            elif path.endswith(("_mask", "_flag")):
                value = "0"
            else:
                value = NONE
            yield "%s.%s = %s,%s" % (indent, name, value, note)
        if group:
            yield "            },"
    unknown = set(by_name) - used
    unknown |= {r.field for r in rows if r.kind == MEANS} - set(UNMEANT)
    if unknown:
        die("not in layout.h: " + ", ".join(sorted(unknown)))


def described_lines(rows):
    for row in rows:
        if row.member:
            yield "    PP_DESCRIBED(%s, %s, %d, %d, %d, %d, %d, %d, %d)," % (
                row.field, "PP_IS_SIZE" if row.kind == SIZE else "PP_IS_OFFSET",
                min(row.width, 8), row.align, row.sign, row.within, row.member,
                row.within2, row.member2)


def render(args):
    objects = [compile_probe(args, c) for c in COMPILERS]
    rows, others = [read_rows(o[0]) for o in objects]
    masks, other_masks = [dict(read_masks(o[1])) for o in objects]
    if ([r.field for r in rows] != [r.field for r in others]
            or masks != other_masks):
        die("the architectures have other fields or bits")
    build = {row.field: row for row in rows if row.kind == BUILD}
    version = build["version"].text
    thin = "free_threaded" in build
    name = "%d.%d%s" % (build["version"].value >> 24,
                        build["version"].value >> 16 & 0xFF,
                        "t" if thin else "")
    if name != args.name:
        die("%s has the headers of %s" % (args.include, name))
    symbol = "py" + name.replace(".", "")
    headers = {where_is(args.include, t)
               for t in {r.text for r in rows if r.kind in (SIZE, AT)}}
    defines = "".join(" -D" + d for d in options(args))
    out = ["/*",
           " * py3XX: layout of CPython %s%s."
           % (version, ", free-threaded" if thin else ""),
           " * Generated by tools/layout; do not edit.",
           " *",
           " * From the headers of that version. Options:%s."
           % (defines or " none"),
           " * Structures, and the header (below Include/) that has each:"]
    out += sorted(" *   " + h for h in headers if h)
    out += [" */", '#include "layout/tables.h"', "", "/* clang-format off */"]
    described = list(described_lines(rows))
    if described:
        out += ["", "/* What _Py_DebugOffsets tells of it. */",
                "static const pp_described %s_described[] = {" % symbol]
        out += described + ["};"]
    out += ["", "const pp_layout_table pp_layout_%s = {" % symbol,
            "    .layout = {"]
    out += table_lines(rows, others, masks)
    out += ["    },"]
    if described:
        out += ["    .described = %s_described," % symbol,
                "    .n_described = PP_COUNT_OF(%s_described)," % symbol,
                "    .description_size = %d," % build["description"].value]
    return "\n".join(out + ["};", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="How to add a version: see the top of this file.")
    parser.add_argument("name", help="of the table, such as 3.14t")
    parser.add_argument("include", help="folder of Python.h")
    parser.add_argument("-D", dest="define", action="append", default=[],
                        metavar="NAME=VALUE", help="another build's option")
    parser.add_argument("-o", dest="output", metavar="FILE",
                        help="write here, not into libpyprof/layout")
    parser.add_argument("--check", action="store_true",
                        help="compare instead of writing")
    args = parser.parse_args()
    if not re.fullmatch(r"\d+\.\d+t?", args.name):
        die("not a name of a table: " + args.name)
    text = render(args)
    output = pathlib.Path(args.output or LAYOUT_H.with_name(
        "py%s.c" % args.name.replace(".", "")))
    if args.check:
        if output.read_text() != text:
            die("%s is not what %s gives" % (output, args.include))
    elif args.output == "-":
        sys.stdout.write(text)
    else:
        output.write_text(text)


if __name__ == "__main__":
    main()
