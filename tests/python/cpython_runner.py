"""Runs tests by the names of modules: `with|without TEST,... MODULE...`, only
the listed ones or all others. Prints as unittest does.

A test that fails may leave things behind, so those that are to fail get a
process of their own.
"""
import sys
import unittest


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            for inner in tests_of(test):
                yield inner
        else:
            yield test


def main():
    way, names, modules = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    # some of them look at argv
    del sys.argv[1:]
    found = unittest.defaultTestLoader.loadTestsFromNames(modules)
    chosen = [test for test in tests_of(found)
              if (test.id().rsplit(".", 1)[1] in names) == (way == "with")]
    result = unittest.TextTestRunner(verbosity=2).run(
        unittest.TestSuite(chosen))
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
