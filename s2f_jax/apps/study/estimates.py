"""What votes show: shares with intervals, d', agreement, power.

Votes of one person are alike, so that an interval over votes alone is too narrow (over 30 voters of
30 pairs it covers the truth in two cases of three). Of a cluster bootstrap, Student's t, and the exact
interval at the effective number of votes (Korn and Graubard 1998), the last covered the truth best in
simulated studies: coverage_test.py.
"""

from typing import Any

import numpy as np
import scipy.stats

LEVEL = 0.95
_POWER = 0.8


def share(wins: np.ndarray, votes: np.ndarray) -> dict[str, Any]:
    """Of each participant the wins and the votes, [N] -> the share and what is known of it.

    exact: Clopper-Pearson over votes, as if each came from another person. p: exact, two-sided,
    against 0.5, likewise. clustered: as clustered_interval has it, None of one participant. effect:
    the design effect, by which a clustered share varies more; None likewise.
    """
    wins, votes = wins[votes > 0], votes[votes > 0]
    total, won = int(votes.sum()), int(wins.sum())
    found = {"wins": won, "votes": total, "participants": len(votes), "share": None}
    if not total:
        return found | {"exact": None, "p": None, "clustered": None, "effect": None}
    test = scipy.stats.binomtest(won, total)
    exact = test.proportion_ci(LEVEL, "exact")
    found |= {"share": won / total, "exact": [exact.low, exact.high], "p": float(test.pvalue)}
    if len(votes) < 2:
        return found | {"clustered": None, "effect": None}
    low, high = clustered_interval(wins, votes)
    effective = float(effective_votes(wins, votes))
    return found | {"clustered": [float(low), float(high)], "effect": total / effective}


def clustered_interval(wins: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share whose votes come from N >= 2 people, by the last axis.

    Clopper-Pearson at the effective number of votes, less what is lost by estimating it from N
    people. wins, votes [..., N], votes above 0 -> low, high [...].
    """
    people = wins.shape[-1]
    p = wins.sum(-1) / votes.sum(-1)
    tail = (1 - LEVEL) / 2
    normal, student = scipy.stats.norm.ppf(tail), scipy.stats.t.ppf(tail, people - 1)
    n = np.minimum(effective_votes(wins, votes) * (normal / student) ** 2, votes.sum(-1))
    # At 0 and at 1 one of the ends has no quantile.
    low = np.where(p > 0, scipy.stats.beta.ppf(tail, p * n, n - p * n + 1), 0.0)
    high = np.where(p < 1, scipy.stats.beta.ppf(1 - tail, p * n + 1, n - p * n), 1.0)
    return low, high


def effective_votes(wins: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """How many independent votes would tell as much as these, [..., N] -> [...]; at most all.

    Where all voted alike nobody can tell how alike each one's votes are: then, one a person.
    """
    people = wins.shape[-1]
    total = votes.sum(-1)
    p = wins.sum(-1) / total
    residuals = wins - votes * p[..., None]
    variance = people / (people - 1) * np.square(residuals).sum(-1) / total**2
    unanimous = p * (1 - p) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(unanimous, people, p * (1 - p) / variance)
    return np.minimum(n, total)


def d_prime(hits: np.ndarray, signals: np.ndarray, alarms: np.ndarray, noises: np.ndarray) -> dict:
    """How well people tell two kinds apart, and how readily they say the one.

    Each [N], of every participant: "real" said of real videos, real videos seen, "real" said of
    generated ones, generated ones seen. Rates are pooled, with the log-linear correction (Hautus
    1995: half a vote each way). low, high: from the rates' variance over people, but at least that of
    independent votes (Gourevitch and Galanter 1967), Student's t; None of one participant. criterion:
    above 0, people say "real" seldom.
    """
    found: dict[str, Any] = {"d": None, "low": None, "high": None, "criterion": None}
    if not signals.sum() or not noises.sum():
        return found
    d, criterion, error = d_prime_error(hits, signals, alarms, noises)
    found |= {"d": float(d), "criterion": float(criterion)}
    if len(hits) > 1:
        reach = scipy.stats.t.ppf((1 + LEVEL) / 2, len(hits) - 1) * error
        found |= {"low": float(d - reach), "high": float(d + reach)}
    return found


def d_prime_error(
    hits: np.ndarray, signals: np.ndarray, alarms: np.ndarray, noises: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """d', criterion and the standard error of d', of counts [..., N] each -> [...] each.

    Where people happen to have the same rates these do not vary over them, and yet are not known: the
    variance is at least H (1 - H) / (n phi(z(H))^2), summed over both corrected rates H of n votes
    (Gourevitch and Galanter 1967). Of a rate of 0 or 1 nobody can tell how alike each one's votes are:
    then n is one a person.
    """
    normal = scipy.stats.norm
    people = hits.shape[-1]
    z, influence, least = [], 0.0, 0.0
    for said, seen, sign in ((hits, signals, 1), (alarms, noises, -1)):
        total = seen.sum(-1, keepdims=True)
        rate = said.sum(-1, keepdims=True) / total
        corrected = (said.sum(-1, keepdims=True) + 0.5) / (total + 1)
        at = normal.ppf(corrected)
        influence = influence + sign * (said - seen * rate) / total / normal.pdf(at)
        n = np.where(rate * (1 - rate) == 0, (seen > 0).sum(-1, keepdims=True), total)
        least = least + (corrected * (1 - corrected) / n / normal.pdf(at) ** 2)[..., 0]
        z.append(at[..., 0])
    variance = people / max(people - 1, 1) * np.square(influence).sum(-1)
    return z[0] - z[1], -(z[0] + z[1]) / 2, np.sqrt(np.maximum(variance, least))


def agreement(counts: np.ndarray) -> dict[str, float | None]:
    """Votes of each answer on each item, [items, answers] -> how far voters agree.

    pairs: the share of pairs of voters of one item who gave the same answer. kappa: Fleiss', that
    less what chance gives. Items may have unequal numbers of votes; those of one vote do not count.
    """
    counts = counts[counts.sum(-1) > 1]
    n = counts.sum(-1)
    if not len(counts):
        return {"pairs": None, "kappa": None}
    alike = float(np.mean((np.square(counts).sum(-1) - n) / (n * (n - 1))))
    by_chance = float(np.square(counts.sum(0) / n.sum()).sum())
    kappa = None if by_chance == 1 else (alike - by_chance) / (1 - by_chance)
    return {"pairs": alike, "kappa": kappa}


def votes_needed(p: float) -> int:
    """Independent votes that tell a share p from 0.5 at the level, in 80 of 100 studies."""
    a, b = scipy.stats.norm.ppf((1 + LEVEL) / 2), scipy.stats.norm.ppf(_POWER)
    return int(np.ceil(((a * 0.5 + b * np.sqrt(p * (1 - p))) / (p - 0.5)) ** 2))


def detectable(votes: float) -> float | None:
    """The smallest share above 0.5 that so many independent votes tell from it; None: none."""
    shares = np.arange(0.501, 1.0, 0.001)
    enough = [p for p in shares if votes_needed(float(p)) <= votes]
    return float(enough[0]) if enough else None
