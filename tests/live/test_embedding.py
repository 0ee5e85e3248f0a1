"""Programs with Python inside, not called python: linked to the library and
statically, with symbols and stripped."""

import os
import shutil
import subprocess

import harness

SOURCE = os.path.join(harness.ROOT, "tests", "programs", "embed.c")
SCRIPT = harness.program("embedded.py")
VARIABLES = ("INCLUDEPY", "LIBDIR", "LIBPL", "LDLIBRARY", "LIBRARY", "LIBS",
             "SYSLIBS", "prefix", "VERSION")


def configuration(interpreter):
    code = "import sysconfig; [print(sysconfig.get_config_var(name) or '') " \
           "for name in %r]" % (VARIABLES,)
    done = subprocess.run(interpreter.command + ["-c", code],
                          stdout=subprocess.PIPE, check=True,
                          universal_newlines=True)
    return dict(zip(VARIABLES, done.stdout.splitlines()))


def build(config, path, libraries):
    command = [shutil.which("cc") or "gcc", "-I" + config["INCLUDEPY"], SOURCE,
               "-o", path] + libraries + \
        config["LIBS"].split() + config["SYSLIBS"].split()
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, (command, done.stdout)


def look_at(path, config):
    environment = {"PYTHONHOME": config["prefix"]}
    with harness.running([path, SCRIPT], env=environment) as target:
        result = harness.cli("attach", "-d", "0.5", "--collapsed", "-o", "-",
                             target.pid)
        assert result.status == 0, result
        stacks = harness.collapsed(result.stdout)
        assert any(frame.startswith("embedded.py:inside:") for stack in stacks
                   for frame in stack), result
        assert "inside" in harness.cli("dump", target.pid).stdout or \
            "<module>" in harness.cli("dump", target.pid).stdout
    result = harness.cli("run", "-d", "3", "--collapsed", "-o", "-", "--",
                         path, SCRIPT, env=environment)
    assert result.status == 0 and "embedded.py:inside:" in result.stdout, \
        result


def test_embedding(interpreter):
    if interpreter.chroot:
        return  # its root has no headers
    config = configuration(interpreter)
    if not os.path.exists(os.path.join(config["INCLUDEPY"], "Python.h")):
        harness.skip("%s: no headers" % interpreter)
    archive = os.path.join(config["LIBPL"], config["LIBRARY"])
    shared = config["LDLIBRARY"].endswith(".so")
    variants = 0
    with harness.folder() as folder:
        if shared:
            path = os.path.join(folder, "lens")
            build(config, path, [
                "-L" + config["LIBDIR"], "-Wl,-rpath," + config["LIBDIR"],
                os.path.join(config["LIBDIR"], config["LDLIBRARY"])])
            look_at(path, config)
            variants += 1
        if os.path.exists(archive):
            path = os.path.join(folder, "grain")
            # Debian's archive is not made for position-independent programs.
            build(config, path, [archive, "-no-pie"])
            look_at(path, config)
            stripped = os.path.join(folder, "chaff")
            subprocess.run(["strip", "-o", stripped, path], check=True)
            look_at(stripped, config)
            variants += 2
    if variants == 0:
        harness.skip("%s: no library to link" % interpreter)


if __name__ == "__main__":
    harness.main(test_embedding)
