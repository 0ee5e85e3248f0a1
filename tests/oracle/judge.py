"""How near a profile is to the truth, in numbers; used by tests and benchmark.

What comes in are rows of stacks.py and what a program wrote about itself.
Differences are compared with a bar plus so many standard errors (SIGMAS), as a
share seen in n samples is never exact: with four and a half, one comparison in
150,000 fails by chance.
"""
import math

SIGMAS = 4.5


def standard_error(share, samples):
    """Of a share that was seen in so many samples; never quite 0."""
    samples = max(samples, 1)
    return math.sqrt(max(share * (1 - share), 0.5 / samples) / samples)


def leaf_shares(rows):
    """({(file, function): share as a leaf}, number of samples)."""
    counts, total = {}, 0
    for row in rows:
        if row.frames and not row.torn and not row.broken:
            leaf = row.frames[-1][:2]
            counts[leaf] = counts.get(leaf, 0) + row.count
            total += row.count
    return {leaf: n / total for leaf, n in counts.items()}, total


def design_effect(passes):
    """How much more the shares of several passes over one program differ from
    each other than chance explains, as a factor of the variance; at least 1.

    On a machine with other work the program is put aside for some milliseconds
    now and then, and all samples of that time show the same stack: they count
    for less than as many independent ones.
    """
    shares = [leaf_shares(rows) for rows in passes]
    shares = [(found, n) for found, n in shares if n]
    if len(shares) < 2:
        return 1.0
    factors = []
    for leaf in {leaf for found, _ in shares for leaf in found}:
        seen = [found.get(leaf, 0.0) for found, _ in shares]
        mean = sum(seen) / len(seen)
        if not 0.005 < mean < 0.995:
            continue
        variance = sum((s - mean) ** 2 for s in seen) / (len(seen) - 1)
        chance = sum(mean * (1 - mean) / n for _, n in shares) / len(shares)
        factors.append(variance / chance)
    return max(1.0, sum(factors) / len(factors)) if factors else 1.0


def largest_bias(passes, references):
    """Where two ways of sampling one program differ most in the shares of
    leaves. Both are given as lists of passes, each the rows of one profile.

    Returns (difference, its standard error, leaf), for the leaf whose
    difference is the largest.
    """
    shares, n = leaf_shares([row for rows in passes for row in rows])
    others, m = leaf_shares([row for rows in references for row in rows])
    more, other_more = design_effect(passes), design_effect(references)
    worst = (0.0, 0.0, None)
    for leaf in set(shares) | set(others):
        a, b = shares.get(leaf, 0.0), others.get(leaf, 0.0)
        error = math.hypot(standard_error(a, n) * math.sqrt(more),
                           standard_error(b, m) * math.sqrt(other_more))
        if abs(a - b) > abs(worst[0]):
            worst = (a - b, error, leaf)
    return worst


def measured_shares(clock, start, end):
    """{function: share of the wall clock} between two moments of
    CLOCK_MONOTONIC, as the program's thread measured it."""
    spent = [0.0] * len(clock["names"])
    for index, begin, finish, _ in clock["pieces"]:
        spent[index] += max(0.0, min(finish, end) - max(begin, start))
    whole = sum(spent) or 1.0
    return {name: t / whole for name, t in zip(clock["names"], spent)}


def sampled_shares(names, rows):
    """({function: share of the samples that have it}, samples with any)."""
    counts, total = dict.fromkeys(names, 0), 0
    for row in rows:
        if row.torn or row.broken:
            continue
        for _, function, _ in row.frames:
            if function in counts:
                counts[function] += row.count
                total += row.count
                break
    return {name: n / max(total, 1) for name, n in counts.items()}, total


def share_errors(truth, rows, start, end):
    """Rows (function, measured share, sampled share, standard error)."""
    result = []
    for clock in truth["clocks"]:
        measured = measured_shares(clock, start, end)
        sampled, n = sampled_shares(clock["names"], rows)
        for name in clock["names"]:
            result.append((name, measured[name], sampled[name],
                           standard_error(measured[name], n)))
    return result
