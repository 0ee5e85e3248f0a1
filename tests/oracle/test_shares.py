"""The share of each function is the one that the program measured itself."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "live")]
import harness
import judge
import sampled

BAR = 0.01

KINDS = [("three", []), ("tail", []), ("mixed", []), ("threads", ["-a"])]


def blind(profile):
    """Share of the time in which the sampler did not look, as others had the
    processor: all of it may have been one function's."""
    s = profile.stats
    return s["missed"] / (s["missed"] + s["rounds"])


def check_shares(rows, more):
    wrong = [row for row in rows
             if abs(row[1] - row[2]) > BAR + more + judge.SIGMAS * row[3]]
    assert not wrong, (wrong, more)


def shares(interpreter):
    problems = sampled.Problems()
    for kind, options in KINDS:
        profile, = sampled.profiles(interpreter, "shares.py", [kind], 1.5,
                                    ["-r", "2khz"] + options)
        problems.check(kind, sampled.check_counts, profile)
        problems.check(kind, sampled.check_legal, profile)
        rows = judge.share_errors(profile.truth, profile.rows, profile.start,
                                  profile.end)
        worst = max(rows, key=lambda row: abs(row[1] - row[2]))
        print("    %s: at worst %s, measured %.2f %%, sampled %.2f %% "
              "(error %.2f, ticks missed %.2f %%)" % (
                  kind, worst[0], 100 * worst[1], 100 * worst[2],
                  100 * worst[3], 100 * blind(profile)), flush=True)
        problems.check(kind, check_shares, rows, blind(profile))
    problems.end()


if __name__ == "__main__":
    harness.main(shares)
