"""README's first command runs to its end and leaves what it says."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "build", "demo.html")


def main():
    if os.path.exists(PAGE):
        os.remove(PAGE)
    done = subprocess.run([os.path.join(ROOT, "dev"), "demo"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    assert done.returncode == 0, done.stdout
    assert "open build/demo.html" in done.stdout, done.stdout
    with open(PAGE) as file:
        assert "find_longest_match" in file.read()


if __name__ == "__main__":
    sys.exit(main())
