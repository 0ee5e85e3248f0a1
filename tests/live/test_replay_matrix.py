"""A recording of each interpreter, replayed: whole, twice, in parts."""

import os

import harness
from saved import script, stacks_of


def test_saved_and_replayed(python):
    """What the recording says of threads and processes comes back."""
    with harness.folder() as folder:
        path = os.path.join(folder, "saved.pyprof")
        result = harness.cli("run", "-a", "--pyprof", "-o", path, "--",
                             *python.command, script(folder))
        assert result.status == 0, result
        once = stacks_of(path)
        assert stacks_of(path, path) == {stack: 2 * count
                                         for stack, count in once.items()}
        tids = {stack[0] for stack in once}
        assert len(tids) == 2, tids
        tid = sorted(tids)[0]
        picked = stacks_of(path, "--thread", tid[len("tid:"):])
        assert picked == {stack: count for stack, count in once.items()
                          if stack[0] == tid}
        early = stacks_of(path, "--to", "0.5")
        late = stacks_of(path, "--from", "0.5")
        assert early + late == once
        again = os.path.join(folder, "again.pyprof")
        assert harness.cli("replay", path, "--pyprof", "-o",
                           again).status == 0
        pages = [harness.cli("replay", saved, "--gecko", "-o", "-").stdout
                 for saved in (path, again)]
        assert pages[0] == pages[1] and "helper" in pages[0]


if __name__ == "__main__":
    harness.main(test_saved_and_replayed)
