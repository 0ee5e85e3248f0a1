"""An interpreter that checks a layout against its own objects, in its memory.

layouts.py prints "ready RUNTIME HEX-VERSION FREE-THREADED", then takes a line of
JSON from its standard input: the fields of pp_layout by name, what is absent
left out. It ends with "checked N", or with lines "wrong ..." before that.

It runs in every interpreter from 3.8 on, so it uses nothing newer.
"""

import asyncio
import ctypes
import faulthandler
import gc
import json
import sys
import threading
import time
import weakref

MASK64 = (1 << 64) - 1
L = {}
used = set()
wrong = []


def has(field):
    return field in L


def at(field):
    used.add(field)
    return L[field]


def bytes_at(address, size):
    return ctypes.string_at(address & MASK64, size)


def number(address, size, signed=False):
    return int.from_bytes(bytes_at(address, size), "little", signed=signed)


def word(address):
    return number(address, 8)


def check(what, seen, expected):
    if seen != expected:
        wrong.append("%s: %r, should be %r" % (what, seen, expected))


def check_true(what, seen):
    if not seen:
        wrong.append(what)


# ---- Objects.

def read_str(address):
    state = number(address + at("ob.str_state"), 4)
    length = word(address + at("ob.str_length"))
    kind = (state & at("ob.str_kind_mask")) >> at("ob.str_kind_shift")
    if not state & at("ob.str_compact_mask"):
        data = word(address + at("ob.str_legacy"))
    elif state & at("ob.str_ascii_mask"):
        data = address + at("ob.str_ascii")
    else:
        data = address + at("ob.str_compact")
    codec = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[kind]
    return bytes_at(data, length * kind).decode(codec)


def read_int(address):
    if has("ob.long_tag"):
        tag = word(address + at("ob.long_tag"))
        count, sign = tag >> 3, 1 - (tag & 3)
    else:
        size = number(address + at("ob.var_size"), 8, True)
        count, sign = abs(size), -1 if size < 0 else 1
    digits = [number(address + at("ob.long_digit") + 4 * i, 4)
              for i in range(count)]
    return sign * sum(digit << at("ob.long_digit_bits") * i
                      for i, digit in enumerate(digits))


def read_keys(keys):
    """[(key, value)] of the entries of a keys object, values perhaps 0."""
    if has("keys.slots"):
        slots = word(keys + at("keys.slots"))
        width = 1 if slots <= 0xff else 2 if slots <= 0xffff else 4
        entries = keys + at("keys.indices") + slots * width
        kind = "entry"
    else:
        entries = keys + at("keys.indices") + (
            1 << number(keys + at("keys.log2_index_bytes"), 1))
        text = number(keys + at("keys.kind"), 1)
        kind = "text_entry" if text else "entry"
    used.add("keys.log2_size")
    size = at("keys.%s_size" % kind)
    return [(word(entries + i * size + at("keys.%s_key" % kind)),
             word(entries + i * size + at("keys.%s_value" % kind)))
            for i in range(word(keys + at("keys.n_entries")))]


def read_dict(address):
    keys = read_keys(word(address + at("ob.dict_keys")))
    values = word(address + at("ob.dict_values"))
    if values:
        keys = [(key, word(values + at("attrs.values_item") + 8 * i))
                for i, (key, _) in enumerate(keys)]
    return [(key, value) for key, value in keys if value]


def read_attributes(obj):
    """{name: id} of an instance's attributes, as attrs_kind says."""
    address, cls = id(obj), type(obj)
    kind, values = at("attrs_kind"), 0
    if not cls.__flags__ & at("attrs.managed_flag"):
        check_true("%s has a dict" % cls, kind == 0 or cls.__dictoffset__ > 0)
        found = read_dict(word(address + cls.__dictoffset__))
    else:
        dict_at = word(address - at("attrs.dict_before"))
        if kind == 1:
            values = word(address - at("attrs.values_before"))
        elif kind == 2 and dict_at & 1:
            values, dict_at = dict_at + 1, 0
        elif kind == 3 and not dict_at and \
                cls.__flags__ & at("attrs.inline_flag"):
            inline = address + cls.__basicsize__
            if number(inline + at("attrs.values_valid"), 1):
                values = inline
        if values:
            names = read_keys(word(id(cls) + at("ob.ht_cached_keys")))
            found = [(key, word(values + at("attrs.values_item") + 8 * i))
                     for i, (key, _) in enumerate(names)]
        else:
            found = read_dict(dict_at)
    return {read_str(key): value for key, value in found if value}


def check_objects():
    check("ob.size", at("ob.size"), object.__basicsize__)
    for cls in (int, str, dict, type, OSError, threading.Thread):
        check("ob.type", word(id(cls) + at("ob.type")), id(type(cls)))
        check("ob.tp_name", ctypes.string_at(
            word(id(cls) + at("ob.tp_name"))).decode().split(".")[-1],
            cls.__name__)
        check("ob.tp_basicsize", word(id(cls) + at("ob.tp_basicsize")),
              cls.__basicsize__)
        check("ob.tp_flags", word(id(cls) + at("ob.tp_flags")), cls.__flags__)
        check("ob.tp_dictoffset", number(
            id(cls) + at("ob.tp_dictoffset"), 8, True), cls.__dictoffset__)
    if has("ob.refcnt"):
        mark = object()
        more = [mark] * 7
        before = number(id(mark) + at("ob.refcnt"), 4)
        more.clear()
        check("ob.refcnt", before - number(id(mark) + at("ob.refcnt"), 4), 7)
    three = (object(), object(), object())
    check("ob.var_size", word(id(three) + at("ob.var_size")), 3)
    check("ob.tuple_item", word(id(three) + at("ob.tuple_item") + 8),
          id(three[1]))
    many = list(three)
    check("ob.list_item", word(word(id(many) + at("ob.list_item")) + 16),
          id(many[2]))
    data = b"some bytes"
    check("ob.bytes_data", bytes_at(id(data) + at("ob.bytes_data"), 10), data)
    mark = {1, 2}.__class__(three)
    slots = word(id(mark) + at("ob.set_mask")) + 1
    table = word(id(mark) + at("ob.set_table"))
    check("ob.set_used", word(id(mark) + at("ob.set_used")), 3)
    found = {word(table + i * at("ob.set_entry_size")) for i in range(slots)}
    check("ob.set_table", found - {0}, {id(one) for one in three})
    referent = threading.Thread()
    reference = weakref.ref(referent)
    check("ob.weakref_object", word(id(reference) + at("ob.weakref_object")),
          id(referent))
    check("ob.module_dict", word(id(json) + at("ob.module_dict")),
          id(json.__dict__))
    for value in (1, 12345, -5, 1 << 29, (1 << 30) + 7, -(1 << 95) + 3):
        check("ob.long_digit", read_int(id(value)), value)


def check_strings():
    class Text(str):
        pass

    for text in ("ascii", "caf\u00e9 \u00ff", "\u03c0 is not 3", "\U0001f40d!",
                 "", "x" * 1000, "a" + "\u20ac" * 300):
        check("a str", read_str(id(text)), text)
    text = Text("one \u20ac")
    check("a subclass of str", read_str(id(text)), "one \u20ac")
    if at("ob.str_ready_mask"):
        state = number(id("ready") + at("ob.str_state"), 4)
        check_true("ob.str_ready_mask", state & at("ob.str_ready_mask"))


def check_dicts():
    for size in (0, 1, 5, 200, 70000):
        # Neither has text for all of its keys, so all are of the general kind.
        numbers = {i * 3 - 1: object() for i in range(size)}
        numbers.pop(2, None)
        check("a dict of %d" % size, read_dict(id(numbers)),
              [(id(key), id(value)) for key, value in numbers.items()])
        check("ob.dict_used", word(id(numbers) + at("ob.dict_used")),
              len(numbers))
    names = {"n%d" % i: object() for i in range(50)}
    del names["n7"]
    check("a dict of names", [(read_str(key), value) for key, value
                              in read_dict(id(names))],
          [(key, id(value)) for key, value in names.items()])


def check_attributes():
    class Plain:
        def __init__(self):
            self.one, self.two, self.three = object(), object(), object()

    class Early(Exception):
        pass

    def expected(obj):
        return {name: id(value) for name, value in vars(obj).items()}

    untouched, touched = Plain(), Plain()
    seen = read_attributes(untouched), read_attributes(touched)
    check("attributes", seen[0], expected(untouched))
    del touched.two
    check("attributes with a dict", read_attributes(touched),
          expected(touched))
    early = Early()
    early.mark = object()
    check("attributes by tp_dictoffset", read_attributes(early),
          expected(early))
    thread = threading.current_thread()
    check("a thread's attributes", read_attributes(thread), expected(thread))


# ---- Code.

def check_code():
    source = "def func(a, b=1, *c):\n    d = a + b\n    return [d, c]\n"
    code = [constant for constant in compile(
        "\n" * 41 + source, "/some/file.py", "exec").co_consts
        if hasattr(constant, "co_code")][0]
    here = id(code)
    check("co.filename", read_str(word(here + at("co.filename"))),
          "/some/file.py")
    check("co.name", read_str(word(here + at("co.name"))), "func")
    if has("co.qualname"):
        check("co.qualname", word(here + at("co.qualname")),
              id(code.co_qualname))
    check("co.firstlineno", number(here + at("co.firstlineno"), 4), 42)
    table = code.co_linetable if has("co.qualname") or \
        sys.version_info >= (3, 10) else code.co_lnotab
    check("co.linetable", word(here + at("co.linetable")), id(table))
    check("co.argcount", number(here + at("co.argcount"), 4), 2)
    check("co.flags", number(here + at("co.flags"), 4), code.co_flags)
    check("co.nlocals", number(here + at("co.nlocals"), 4), 4)
    if has("co.varnames"):
        check("co.varnames", word(here + at("co.varnames")),
              id(code.co_varnames))
        check("co.code", word(here + at("co.code")), id(code.co_code))
    else:
        names = word(here + at("co.localsplusnames"))
        check("co.localsplusnames", [
            read_str(word(names + at("ob.tuple_item") + 8 * i))
            for i in range(4)], ["a", "b", "c", "d"])
        kinds = word(here + at("co.localspluskinds"))
        check("co.localspluskinds", word(kinds + at("ob.var_size")), 4)
        # Between the first and the last instruction it is specialised.
        seen = bytes_at(here + at("co.code"), len(code.co_code))
        check("co.code", (seen[:2], seen[-2:]),
              (code.co_code[:2], code.co_code[-2:]))
        check("the size of code", word(here + at("ob.var_size")) * 2,
              len(code.co_code))
        check("co.size", at("co.size") // 8 * 8,
              (at("co.code") + 8) // 8 * 8)
    if has("co.framesize"):
        check_true("co.framesize", 0 < number(here + at("co.framesize"), 4)
                   - 4 - code.co_stacksize < 20)
        check_true("co.version", number(here + at("co.version"), 4) > 0)


# ---- Threads, interpreters, the runtime.

class Threads:
    """The states that matter, by the layout."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.interp = word(runtime + at("rt.interpreters_head"))
        self.states = []
        state = word(self.interp + at("is.threads_head"))
        while state:
            self.states.append(state)
            state = word(state + at("ts.next"))
        self.mine = [s for s in self.states if word(s + at("ts.thread_id"))
                     == threading.get_ident()][0]
        self.gil = None
        if has("is.ceval_gil"):
            self.gil = word(self.interp + at("is.ceval_gil"))
            check("is.gil", self.interp + at("is.gil"), self.gil)
        else:
            self.gil = runtime + at("rt.gil")


def check_runtime(t):
    main = threading.main_thread().ident
    check("rt.interpreters_main", word(t.runtime + at("rt.interpreters_main")),
          t.interp)
    check("rt.main_thread", word(t.runtime + at("rt.main_thread")), main)
    check("rt.finalizing", word(t.runtime + at("rt.finalizing")), 0)
    if has("rt.main_interpreter"):
        check("rt.main_interpreter", t.runtime + at("rt.main_interpreter"),
              t.interp)
        check("rt.size", at("rt.size"),
              at("rt.main_interpreter") + at("is.size"))
    if has("rt.tstate_current"):
        check("rt.tstate_current", word(t.runtime + at("rt.tstate_current")),
              t.mine)
    check("is.next", word(t.interp + at("is.next")), 0)
    check("is.id", word(t.interp + at("is.id")), 0)
    check("is.modules", word(t.interp + at("is.modules")), id(sys.modules))
    check("is.sysdict", word(t.interp + at("is.sysdict")), id(sys.__dict__))
    if has("is.threads_main"):
        check("is.threads_main", word(t.interp + at("is.threads_main")),
              t.mine)


def check_threads(t, others):
    check("threads", {word(s + at("ts.thread_id")) for s in t.states},
          {threading.get_ident()} | {o.ident for o in others})
    check("ts.interp", {word(s + at("ts.interp")) for s in t.states},
          {t.interp})
    check("ts.id", len({word(s + at("ts.id")) for s in t.states}),
          len(t.states))
    check_true("ts.id", max(word(s + at("ts.id")) for s in t.states) < 100)
    if has("ts.native_thread_id"):
        check("ts.native_thread_id", {word(s + at("ts.native_thread_id"))
                                      for s in t.states},
              {threading.get_native_id()} | {o.native_id for o in others})
    if has("ts.status"):
        # The other threads wait for a lock.
        check("ts.active_mask", [s for s in t.states if number(
            s + at("ts.status"), 4) & at("ts.active_mask")], [t.mine])
    if has("ts.state"):
        check("ts.state", [s for s in t.states
                           if number(s + at("ts.state"), 4) == 1], [t.mine])
    if at("ts.holds_gil_mask") and at("gil_kind") != 2:
        check("ts.holds_gil_mask", [s for s in t.states if number(
            s + at("ts.status"), 4) & at("ts.holds_gil_mask")], [t.mine])
    if has("ts.holds_gil"):
        check("ts.holds_gil", [s for s in t.states if number(
            s + at("ts.holds_gil"), 4)],
            [t.mine] if at("gil_kind") != 2 else [])
    if has("ts.gil_requested"):
        check("ts.gil_requested",
              number(t.mine + at("ts.gil_requested"), 4), 0)


def check_exceptions(t):
    check("ts.current_exception", word(t.mine + at("ts.current_exception")), 0)
    check("ts.exc_info", word(t.mine + at("ts.exc_info")),
          t.mine + at("ts.exc_state"))
    outer = t.mine + at("ts.exc_state")
    check("exc.previous", word(outer + at("exc.previous")), 0)
    check_true("exc.value", word(outer + at("exc.value")) in (0, id(None)))
    try:
        raise LookupError("known")
    except LookupError as error:
        seen = word(outer + at("exc.value"))
        check_true("exc.value", seen in (id(error), id(LookupError)))


def check_gil(t):
    check_true("gil.last_holder", word(t.gil + at("gil.last_holder"))
               in ((t.mine,) if at("gil_kind") != 2 else (t.mine, 0)))
    if at("gil_kind") == 2:
        check("gil.enabled", number(t.gil + at("gil.enabled"), 4), 0)
    else:
        check("gil.locked", number(t.gil + at("gil.locked"), 4), 1)
        before = word(t.gil + at("gil.switch_number"))
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join()
        check_true("gil.switch_number", before < word(
            t.gil + at("gil.switch_number")) < before + 10000)
    used.update(("gil.locked", "gil.switch_number", "gil.size"))


def check_collector(t):
    where = (t.runtime + at("rt.gc_collecting") if has("rt.gc_collecting")
             else t.interp + at("is.gc_collecting"))
    seen, codes = [], []

    def watch(phase, info):
        seen.append(number(where, 4))
        if has("is.gc_frame"):
            codes.append(untagged(
                word(word(t.interp + at("is.gc_frame")) + at("fr.code"))))

    gc.callbacks.append(watch)
    gc.collect()
    gc.callbacks.clear()
    check("gc_collecting", seen[:1], [1])
    check("gc_collecting", number(where, 4), 0)
    if codes:
        check("is.gc_frame", codes[0], id(check_collector.__code__))


def check_proof(t):
    if at("code_proof") == 1:
        where = t.interp + at("is.func_version")
        before = number(where, 4)
        code = compile("a = lambda: 1", "x", "exec")
        check("is.func_version", number(where, 4), before + 2)
        check("co.version", number(id(code) + at("co.version"), 4), before + 1)
        check_true("is.func_version", 0 < before < 1000000)
    elif at("code_proof") == 2:
        where = t.interp + at("is.code_generation")
        before = word(where)
        code = compile("a = 1", "x", "exec")
        check("is.code_generation", word(where), before)
        del code
        check("is.code_generation", word(where), before + 1)


# ---- Frames.

def frames(t):
    """Addresses of the frames of this thread's Python code, newest first.

    Those of the functions that read are new with each read: they are what they
    seem only because each read here is made in the same way, and so finds them
    at the same place again.
    """
    found, owner = [], 0
    here = number(t.mine + L["ts.frame"], 8)
    if L["frame_kind"] == 1:
        here = number(here + L["cframe.current_frame"], 8)
    while here:
        if "fr.owner" in L:
            owner = L["fr.owners"][number(here + L["fr.owner"], 1)]
        back = number(here + L["fr.back"], 8)
        if owner in (0, 1):
            found.append(here)
        else:
            check("an owner", owner, 3)
            if "ts.base_frame" in L and not back:
                check("ts.base_frame", word(t.mine + at("ts.base_frame")),
                      here)
        here = back
    used.update(("ts.frame", "cframe.current_frame", "fr.owner", "fr.owners",
                 "fr.back"))
    return found


def untagged(value):
    return value & at("fr.code_mask")


def check_frames(t, local):
    """In a function of its own, so that there is one frame to look at."""
    real, expected = sys._getframe(), []
    while real:
        expected.append(id(real.f_code))
        real = real.f_back
    me = [f for f in frames(t) if untagged(word(f + at("fr.code")))
          == id(check_frames.__code__)][0]
    seen = frames(t)
    seen = [untagged(word(f + at("fr.code"))) for f in seen[seen.index(me):]]
    check("fr.back", seen, expected)
    check("fr.globals", word(me + at("fr.globals")), id(globals()))
    check("fr.builtins", word(me + at("fr.builtins")),
          id(sys.modules["builtins"].__dict__))
    if has("fr.is_entry"):
        check("fr.is_entry", [number(f + at("fr.is_entry"), 1)
                              for f in (me, frames(t)[-1])], [0, 1])
    if has("fr.func"):
        check("fr.func", untagged(word(me + at("fr.func"))), id(check_frames))
    check("fr.localsplus", untagged(word(me + at("fr.localsplus") + 8)),
          id(local))
    size = len(check_frames.__code__.co_code)
    if has("fr.lineno"):
        check("a frame", me, id(sys._getframe()))
        scale = 2 if at("instr_kind") == 1 else 1
        lasti = number(me + at("fr.instr"), 4) * scale
        check_true("fr.instr", 0 < sys._getframe().f_lasti - lasti < 80)
        used.add("fr.lineno")
        check_true("fr.valuestack", word(me + at("fr.valuestack")) ==
                   me + at("fr.localsplus") +
                   8 * len(check_frames.__code__.co_varnames))
    else:
        where = word(me + at("fr.instr")) - id(check_frames.__code__) - \
            at("co.code")
        check_true("fr.instr", 0 < where < size)
        check_true("fr.instr", 0 < sys._getframe().f_lasti - where < 400)
    check_true("fr.size", at("fr.size") <= at("fr.localsplus"))


def check_generators(t):
    def outer():
        yield from inner

    def plain():
        mark = object()
        yield mark

    def state(generator):
        return (at("gen.states")[
            number(id(generator) + at("gen.state"), 1) & 7],)

    inner = plain()
    mark = next(inner)
    here = id(inner) + at("gen.frame")
    if not has("fr.owner"):
        here = word(here)
        check("gen.frame", here, id(inner.gi_frame))
    else:
        check("a generator's owner", L["fr.owners"][
            number(here + at("fr.owner"), 1)], 1)
        check("a generator that is suspended", state(inner), (1,))
        check("a generator that is new", state(plain()), (0,))
        here_is = []
        watcher = (state(here_is[0]) for _ in range(1))
        here_is.append(watcher)
        check("a generator that runs", list(watcher), [(3,)])
        check("a generator that is done", state(watcher), (4,))
    check("a generator's frame", untagged(word(here + at("fr.code"))),
          id(plain.__code__))
    check("a generator's locals", untagged(
        word(here + at("fr.localsplus"))), id(mark))
    inner = plain()
    upper = outer()
    next(upper)
    here = id(upper) + at("gen.frame")
    if not has("fr.owner"):
        here = word(here)
    top = here + at("fr.stackpointer")
    if at("stack_kind") == 0:
        top = word(top)
    elif at("stack_kind") == 1:
        top = word(here + at("fr.valuestack")) + 8 * number(top, 4)
    else:
        top = here + at("fr.localsplus") + 8 * number(top, 4)
    check("gen.awaited", untagged(word(top - at("gen.awaited"))), id(inner))
    if has("gen.state"):
        check_true("a generator that waits", state(upper) in ((1,), (2,)))


def check_chunks(t):
    if not has("chunk.data"):
        return
    chunk = word(t.mine + at("ts.datastack_chunk"))
    top = word(t.mine + at("ts.datastack_top"))
    limit = word(t.mine + at("ts.datastack_limit"))
    size = word(chunk + at("chunk.size"))
    check_true("chunk.data", chunk + at("chunk.data") <= top <= limit)
    check("chunk.size", chunk + size, limit)
    if not word(chunk + at("chunk.previous")):
        first = frames(t)[-1]
        check_true("chunk.data", chunk + at("chunk.data") <= first < top)
    used.add("chunk.top")


def check_asyncio(t):
    async def main():
        check("ts.asyncio_running_loop", word(
            t.mine + at("ts.asyncio_running_loop")),
            id(asyncio.get_running_loop()))
        check("ts.asyncio_running_task", word(
            t.mine + at("ts.asyncio_running_task")),
            id(asyncio.current_task()))
        head = t.mine + at("ts.asyncio_tasks_head")
        node = word(head)
        check_true("ts.asyncio_tasks_head", node != head and
                   word(node + 8) == head and 0 < node
                   - id(asyncio.current_task()) < 400)

    if has("ts.asyncio_running_loop"):
        asyncio.run(main())
    if has("is.asyncio_tasks_head"):
        head = t.interp + at("is.asyncio_tasks_head")
        check("is.asyncio_tasks_head", word(head), head)


def main():
    faulthandler.enable()
    runtime = ctypes.addressof(ctypes.c_char.in_dll(
        ctypes.pythonapi, "_PyRuntime"))
    threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    stop = threading.Event()
    others = [threading.Thread(target=stop.wait) for _ in range(3)]
    for other in others:
        other.start()
    print("ready %#x %#x %d" % (runtime, sys.hexversion, threaded), flush=True)
    L.update(json.loads(sys.stdin.readline()))

    check_objects()
    check_strings()
    check_dicts()
    check_attributes()
    check_code()
    t = Threads(runtime)
    check_runtime(t)
    check_threads(t, others)
    check_exceptions(t)
    check_gil(t)
    check_collector(t)
    check_proof(t)
    check_frames(t, object())
    check_generators(t)
    check_chunks(t)
    check_asyncio(t)
    stop.set()
    for other in others:
        other.join()
    for line in wrong:
        print("wrong %s" % line)
    untried = sorted(name for name in set(L) - used if "." in name)
    print("untried %s" % " ".join(untried))
    print("checked %d" % len(used), flush=True)


main()
