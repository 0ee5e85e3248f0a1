"""What cProfile gets wrong or can't do, checked against programs that know
their own truth. Runs the functions named check_*, each in this process."""
import asyncio
import gc
import os
import pstats
import sys
import tempfile
import threading
import time
import types
import _thread

sys.path.insert(0, os.path.join(sys.argv[1], "python"))
from libpyprof.tracing import Profile  # noqa: E402

MONITORING = hasattr(sys, "monitoring")


def row(profile, name):
    """(primitive calls, calls, own time, total time, callers) of one name."""
    profile.snapshot_stats()
    rows = [value for key, value in profile.stats.items() if name in key[2]]
    assert len(rows) == 1, (name, rows, sorted(profile.stats))
    return rows[0]


def names(profile):
    profile.snapshot_stats()
    return {key[2] for key in profile.stats}


def callers(profile, name):
    return {key[2]: value[0] for key, value in row(profile, name)[4].items()}


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def in_threads(n, work, *args):
    threads = [threading.Thread(target=work, args=args) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- Threads.

def check_threads_have_their_own_times():
    def step():
        time.sleep(0.002)

    def work():
        for _ in range(20):
            step()
    with Profile() as profile:
        in_threads(3, work)
    cc, nc, tt, ct, _ = row(profile, "time.sleep")
    assert (cc, nc) == (60, 60), (cc, nc)
    assert 0.12 <= ct and abs(ct - tt) < 1e-9, (ct, tt)
    assert callers(profile, "time.sleep") == {"step": 60}
    assert callers(profile, "step") == {"work": 60}
    assert 0.12 <= row(profile, "work")[3]
    assert row(profile, "work")[2] < 0.06


def check_threads_that_switch_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with Profile() as profile:
            in_threads(4, fib, 16)
    finally:
        sys.setswitchinterval(interval)
    cc, nc = row(profile, "fib")[:2]
    assert (cc, nc) == (4, 4 * 3193), (cc, nc)
    assert set(callers(profile, "fib")) == {"fib", "run"}
    assert callers(profile, "fib")["run"] == 4


def check_threads_that_end():
    profile = Profile()
    profile.enable()
    for _ in range(20):
        in_threads(10, fib, 3)
    profile.disable()
    gc.collect()
    assert row(profile, "fib")[1] == 200 * 5
    in_threads(1, len, "x")
    profile.enable()
    profile.disable()
    assert profile.counters()["threads"] < 20, profile.counters()


def check_threads_of_the_lower_kind():
    done = threading.Semaphore(0)

    def work():
        fib(4)
        done.release()
    with Profile() as profile:
        for _ in range(5):
            _thread.start_new_thread(work, ())
        for _ in range(5):
            done.acquire()
    assert row(profile, "fib")[1] == 5 * 9


def check_threads_that_run_already():
    go, done = threading.Semaphore(0), threading.Semaphore(0)

    def work():
        while go.acquire() and not over:
            fib(5)
            done.release()
    over = False
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    with Profile() as profile:
        for _ in threads:
            go.release()
        for _ in threads:
            done.acquire()
    over = True
    for _ in threads:
        go.release()
    for thread in threads:
        thread.join()
    assert row(profile, "fib")[1] == 3 * 15


def check_one_thread_each():
    counts = {}
    barrier = threading.Barrier(3)

    def request(n):
        profile = Profile(threads="current")
        barrier.wait()
        with profile:
            barrier.wait()
            for _ in range(n):
                fib(6)
            barrier.wait()
        counts[n] = row(profile, "fib")[1]
    threads = [threading.Thread(target=request, args=(n,)) for n in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {1: 25, 2: 50, 5: 125}, counts


def check_disable_from_another_thread():
    profile = Profile()
    profile.enable()
    fib(5)
    in_threads(1, profile.disable)
    fib(5)
    assert row(profile, "fib")[1] == 15
    assert sys.getprofile() is None


# ---- Several at a time.

def check_profiles_overlap():
    first, second = Profile(), Profile(builtins=False)
    first.enable()
    fib(3)
    second.enable()
    fib(4)
    len("x")
    first.disable()
    fib(5)
    second.disable()
    fib(6)
    assert row(first, "fib")[1] == 5 + 9
    assert row(second, "fib")[1] == 9 + 15
    assert "<built-in method builtins.len>" in names(first)
    assert "<built-in method builtins.len>" not in names(second)


def check_profiles_nest():
    profiles = [Profile() for _ in range(5)]
    for profile in profiles:
        profile.enable()
        fib(2)
    for profile in reversed(profiles):
        profile.disable()
    got = [row(profile, "fib")[1] for profile in profiles]
    assert got == [15, 12, 9, 6, 3], got


def check_places_of_other_tools():
    if not MONITORING:
        return
    monitoring = sys.monitoring
    for tool in range(6):
        monitoring.use_tool_id(tool, "tool%d" % tool)
    profile = Profile()
    try:
        profile.enable()
    except ValueError as error:
        assert "tool0" in str(error) and "tool5" in str(error), error
    else:
        raise AssertionError("enabled without a place")
    monitoring.free_tool_id(5)
    profile.enable()
    assert profile.counters()["tool_id"] == 5
    fib(3)
    profile.disable()
    assert row(profile, "fib")[1] == 5
    for tool in range(5):
        monitoring.free_tool_id(tool)
    with profile:
        assert monitoring.get_tool(2) == "libpyprof"
    assert [monitoring.get_tool(tool) for tool in range(6)] == [None] * 6


def check_dropped_while_enabled():
    profile = Profile()
    profile.enable()
    del profile
    gc.collect()
    if MONITORING:
        assert sys.monitoring.get_tool(2) is None
    assert sys.getprofile() is None


# ---- What is recorded.

def check_switches_of_the_constructor_hold():
    profile = Profile(builtins=False, subcalls=False)
    with profile:
        fib(3)
        len("x")
    assert not any("len" in name for name in names(profile))
    assert row(profile, "fib")[4] == {}
    profile.enable(builtins=True)
    len("x")
    profile.disable()
    assert any("len" in name for name in names(profile))


def check_same_labels_add_up():
    functions = []
    for _ in range(3):
        space = {}
        exec(compile("def same():\n    return len('x')", "one", "exec"), space)
        functions.append(space["same"])
    with Profile() as profile:
        for function in functions:
            function()
    assert row(profile, "same")[:2] == (3, 3)
    assert callers(profile, "builtins.len") == {"same": 3}
    pair = [lambda: 1, lambda: 2]
    with Profile() as profile:
        pair[0](), pair[1]()
    assert row(profile, "<lambda>")[1] == 2


def check_open_frames():
    def outer(profile):
        profile.enable()
        fib(2)

    def inner(profile):
        fib(2)
        profile.disable()
    profile = Profile()
    outer(profile)
    inner(profile)
    assert "outer" not in names(profile)
    assert row(profile, "inner")[1] == 1
    assert row(profile, "fib")[1] == 6


def check_clear_in_between():
    profile = Profile()

    def deep(n):
        if n:
            deep(n - 1)
        else:
            profile.clear()
    profile.enable()
    deep(5)
    fib(2)
    profile.disable()
    assert "deep" not in names(profile)
    assert row(profile, "fib")[1] == 3
    profile.clear()
    assert profile.getstats() == []


def check_deep_recursion():
    def deep(n):
        return deep(n - 1) + 1 if n else 0
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20000)
    with Profile(paths=True) as profile:
        deep(3000)
    sys.setrecursionlimit(limit)
    cc, nc = row(profile, "deep")[:2]
    assert (cc, nc) == (1, 3001)


def check_filters():
    def kept():
        len("x")
        left()

    def left():
        abs(1)
        kept_too()

    def kept_too():
        pass
    with Profile(filters=[(False, "function", "*left*")]) as profile:
        for _ in range(3):
            kept()
    found = names(profile)
    assert "left" not in found
    assert "<built-in method builtins.abs>" not in found
    assert row(profile, "builtins.len")[1] == 3
    assert callers(profile, "kept_too") == {"kept": 3}
    with Profile(filters=[(True, "module", "__main__"),
                          (True, "file", "*/nowhere/*")]) as profile:
        kept()
        os.path.join("a", "b")
    assert "join" not in names(profile)
    assert row(profile, "kept_too")[1] == 1


def check_coroutines_both_ways():
    async def leaf():
        await asyncio.sleep(0.01)

    async def trunk():
        await leaf()

    async def both():
        await asyncio.gather(trunk(), trunk())
    for way, calls in (("steps", 4), ("whole", 2)):
        with Profile(coroutines=way) as profile:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(both())
            loop.close()
        _, nc, tt, ct, _ = row(profile, "leaf")
        assert nc == calls, (way, nc)
        assert tt < 0.009
        if way == "whole":
            assert 0.02 <= ct < 1, ct
            assert 0.02 <= row(profile, "trunk")[3]
            assert callers(profile, "leaf") == {"trunk": 2}
        else:
            assert ct < 0.01, ct


def check_cpu_clock():
    def sleeper():
        time.sleep(0.05)
    with Profile(clock="cpu") as profile:
        sleeper()
        spin(0.02)
    assert row(profile, "sleeper")[3] < 0.04
    assert row(profile, "spin")[3] > 0.001


def check_memory_cap():
    space = {}
    exec("\n".join("def f%d(): return f%d()" % (i, i - 1) if i else
                   "def f0(): return 1" for i in range(900)), space)
    sys.setrecursionlimit(3000)
    with Profile(max_bytes=30000) as profile:
        space["f899"]()
    assert profile.counters()["folded"] > 100, profile.counters()
    profile.snapshot_stats()
    assert row(profile, "<other functions>")[1] > 100
    total = sum(value[1] for value in profile.stats.values())
    assert total == 900 + 2, total  # the end of `with` is seen as well


# ---- Timers.

def unraisable(call):
    seen = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda info: seen.append(info.exc_type)
    try:
        call()
    finally:
        sys.unraisablehook = before
    return seen


def check_bad_timers():
    def with_timer(timer, *unit):
        def go():
            with Profile(timer, *unit) as profile:
                result.append(fib(4))
            result.append(row(profile, "fib")[1])
        result = []
        seen = unraisable(go)
        assert result == [3, 9], result
        return seen

    def raises():
        raise KeyError
    assert set(with_timer(raises)) == {KeyError}
    assert set(with_timer(lambda: "text")) == {TypeError}
    if sys.version_info >= (3, 10):  # before, a float was cut
        assert set(with_timer(lambda: 1.5, 0.1)) == {TypeError}
    assert set(with_timer(3)) == {TypeError}
    assert with_timer(lambda: 1e300) == []
    assert set(with_timer(lambda: 1 << 80, 1.0)) == {OverflowError}
    backwards = iter(range(10000, 0, -1))
    assert with_timer(lambda: next(backwards)) == []
    assert with_timer(None) == []


def check_timers_that_call_back():
    for name in ("disable", "clear", "enable", "__init__"):
        def timer():
            getattr(profile, name)()
            return 0
        profile = Profile(timer)

        def go():
            profile.enable()
            fib(3)
            profile.disable()
        seen = unraisable(go)
        assert set(seen) == {ValueError if name == "enable" else RuntimeError}
        assert row(profile, "fib")[1] == 5, name

    def reader():
        got.append(profile.getstats())
        return 0
    got = []
    profile = Profile(reader)
    profile.enable()
    fib(3)
    profile.disable()
    assert len(got) >= 10


def check_timer_units():
    ticks = iter(range(100000))
    with Profile(lambda: next(ticks), 0.5) as profile:
        fib(1)
    assert row(profile, "fib")[2:4] == (0.5, 0.5)


def check_timer_that_lets_others_in():
    def timer():
        time.sleep(0)
        return time.perf_counter()

    def toggle():
        for _ in range(50):
            other = Profile()
            with other:
                len("x")
            profile.getstats()
    profile = Profile(timer)
    with profile:
        threads = [threading.Thread(target=toggle) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            fib(5)
        for thread in threads:
            thread.join()
    assert row(profile, "fib")[1] <= 20 * 15


# ---- Ends.

def check_fork():
    with Profile() as profile:
        fib(3)
        child = os.fork()
        if child == 0:
            fib(4)
            in_threads(2, fib, 2)
            profile.disable()
            os._exit(0 if row(profile, "fib")[1] == 5 + 9 + 6 else 1)
        status = os.waitpid(child, 0)[1]
        fib(2)
    assert status == 0, status
    assert row(profile, "fib")[1] == 5 + 3


def check_use_without_init():
    profile = Profile.__new__(Profile)
    for use in (profile.enable, profile.disable, profile.clear,
                profile.getstats):
        try:
            use()
        except RuntimeError:
            continue
        raise AssertionError(use)


def check_hooks_called_by_anyone():
    if not MONITORING:
        return
    events = sys.monitoring.events
    for name in ("PY_START", "PY_RETURN", "CALL", "C_RETURN", "PY_UNWIND"):
        profile = Profile()
        profile.enable()
        event = getattr(events, name)
        hook = sys.monitoring.register_callback(2, event, None)
        profile.disable()
        for args in ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4),
                     (None, None, len, 1), (spin.__code__, 0, len, ())):
            hook(*args)
        profile.getstats()


# ---- Files.

def check_files():
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "out")
    with Profile(paths=True) as profile:
        fib(5)
        spin(0.02)
    for way in (profile.write, profile.dump_stats):
        way(path)
        stats = pstats.Stats(path).stats
        (cc, nc, tt, ct, who), = [
            value for key, value in stats.items() if key[2] == "fib"]
        assert (cc, nc) == (1, 15) and 0 < tt <= ct * 1.0001
        assert sum(v[0] for v in who.values()) == 14
        assert os.path.basename(__file__) in "".join(key[0] for key in stats)
    profile.write(path, format="collapsed")
    with open(path) as file:
        lines = file.read().splitlines()
    assert any("spin" in line.split(";")[-1] or "perf_counter" in line
               for line in lines), lines
    profile.write(path, format="callgrind")
    with open(path) as file:
        text = file.read()
    assert "fn=" in text and "calls=" in text and "spin" in text, text
    for bad in (lambda: Profile().write(path, format="collapsed"),
                lambda: profile.write(path, format="nonsense")):
        try:
            bad()
        except ValueError:
            continue
        raise AssertionError(bad)
    try:
        profile.write(os.path.join(folder, "no", "where"))
    except OSError:
        pass
    os.remove(path)
    os.rmdir(folder)


def check_no_references_are_lost():
    def cycle():
        space = {}
        exec("def f(): return len('x')", space)
        with Profile() as profile:
            space["f"]()
        profile.getstats()
    for _ in range(100):
        cycle()
    gc.collect()
    before = sum(type(o) is types.FunctionType for o in gc.get_objects())
    none = sys.getrefcount(None)
    for _ in range(1000):
        cycle()
    gc.collect()
    after = sum(type(o) is types.FunctionType for o in gc.get_objects())
    assert after - before < 10, (before, after)
    lost = none - sys.getrefcount(None)
    assert MONITORING or abs(lost) < 500, lost  # where None is counted


def main():
    only = sys.argv[2:]
    failed = 0
    checks = [(name, check) for name, check in sorted(globals().items())
              if name.startswith("check_") and (not only or name in only)]
    for name, check in checks:
        try:
            check()
        except Exception:
            import traceback
            traceback.print_exc()
            print("FAILED", name, flush=True)
            failed += 1
    print("%d checks, %d failed" % (len(checks), failed))
    sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
