"""Runs one browser test: `run.py TEST.js`. Makes the pages that it looks at in a
temporary folder, which is its argument.

Needs Chromium, Node.js and, in $PYPROF_NODE_MODULES (else in ./dev's cache
folder), the packages of package.json. Exits 77 when one is missing, which is a
failure in CI. With PYPROF_SCREENSHOTS set to a folder, pictures are kept there.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(os.environ["PYPROF_BUILD"], "bin")
CACHE = os.environ.get("LIBPYPROF_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
    "libpyprof")
MODULES = os.environ.get("PYPROF_NODE_MODULES") or os.path.join(
    CACHE, "node-browser", "node_modules")


def missing():
    if not shutil.which("node"):
        return "no Node.js"
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        return "no Chromium"
    if not os.path.isdir(os.path.join(MODULES, "playwright-core")):
        return "no %s/playwright-core (./dev test browser gets it)" % MODULES
    return None


def make_pages(folder):
    """made.html and diff.html are of a profile that is always the same;
    real.html and heat/ are of programs/hostile.py."""
    cli = os.path.join(BIN, "pyprof-cli")
    made = os.path.join(BIN, "bench_pages")
    program = os.path.join(HERE, "programs", "hostile.py")
    for command in (
            [made, "flamegraph", "3000", "made.html"],
            [made, "diff-flamegraph", "3000", "diff.html"],
            [cli, "run", "-q", "-a", "--flamegraph", "-o", "real.html", program],
            [cli, "run", "-q", "-a", "--heatmap", "-o", "heat", program]):
        subprocess.run(command, cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)


def main():
    reason = missing()
    if reason is not None:
        print("SKIPPED: " + reason)
        return 1 if os.environ.get("CI") == "true" else 77
    with tempfile.TemporaryDirectory(prefix="pyprof-browser-") as folder:
        make_pages(folder)
        status = subprocess.run(
            ["node", os.path.join(HERE, sys.argv[1]), folder],
            env=dict(os.environ, PYPROF_NODE_MODULES=MODULES)).returncode
        keep = os.environ.get("PYPROF_SCREENSHOTS")
        if keep:
            os.makedirs(keep, exist_ok=True)
            for picture in glob.glob(os.path.join(folder, "*.png")):
                shutil.copy(picture, keep)
    return status


if __name__ == "__main__":
    sys.exit(main())
