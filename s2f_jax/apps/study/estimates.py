"""Statistics of votes: shares with intervals, d', agreement, power.

Votes of one participant are correlated, so an interval over votes alone is too narrow (with 30
participants of 30 pairs each it covers the truth in two cases of three). Of a cluster bootstrap,
Student's t, and the exact interval at the effective number of votes (Korn and Graubard 1998), the last
covered the truth best in simulated studies: coverage_test.py.
"""

from typing import Any

import numpy as np
import scipy.stats

CONFIDENCE = 0.95
_POWER = 0.8


def estimate_share(wins: np.ndarray, votes: np.ndarray) -> dict[str, Any]:
    """Estimates a share with its intervals.

    Args:
      wins: Votes for it, of each participant [N].
      votes: All votes of each participant [N].

    Returns:
      wins, votes, participants: Totals; share. exact: Clopper-Pearson interval over votes, as if each
      came from another person. p: exact two-sided test against 0.5, likewise. clustered: as
      clustered_interval. effect: the design effect, by which clustering inflates the variance. All but
      the totals are None without votes, clustered and effect also with one participant.
    """
    wins, votes = wins[votes > 0], votes[votes > 0]
    total, total_wins = int(votes.sum()), int(wins.sum())
    estimate = {"wins": total_wins, "votes": total, "participants": len(votes), "share": None}
    if not total:
        return estimate | {"exact": None, "p": None, "clustered": None, "effect": None}
    test = scipy.stats.binomtest(total_wins, total)
    exact = test.proportion_ci(CONFIDENCE, "exact")
    estimate |= {
        "share": total_wins / total,
        "exact": [exact.low, exact.high],
        "p": float(test.pvalue),
    }
    if len(votes) < 2:
        return estimate | {"clustered": None, "effect": None}
    low, high = clustered_interval(wins, votes)
    effective = float(effective_votes(wins, votes))
    return estimate | {"clustered": [float(low), float(high)], "effect": total / effective}


def clustered_interval(wins: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the 95 % interval of a share whose votes come from N >= 2 participants.

    Clopper-Pearson at the effective number of votes, less what is lost by estimating that number from
    N participants (Korn and Graubard 1998).

    Args:
      wins: [..., N].
      votes: [..., N], each above 0.

    Returns:
      Lower and upper bound [...].
    """
    participants = wins.shape[-1]
    p = wins.sum(-1) / votes.sum(-1)
    tail = (1 - CONFIDENCE) / 2
    normal, student = scipy.stats.norm.ppf(tail), scipy.stats.t.ppf(tail, participants - 1)
    n = np.minimum(effective_votes(wins, votes) * (normal / student) ** 2, votes.sum(-1))
    # At 0 and at 1 one of the bounds has no quantile.
    low = np.where(p > 0, scipy.stats.beta.ppf(tail, p * n, n - p * n + 1), 0.0)
    high = np.where(p < 1, scipy.stats.beta.ppf(1 - tail, p * n + 1, n - p * n), 1.0)
    return low, high


def effective_votes(wins: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Computes how many independent votes would be worth as much as these.

    Where all votes agree, their correlation cannot be estimated: then it is one vote a participant.

    Args:
      wins: [..., N].
      votes: [..., N], each above 0.

    Returns:
      Effective number of votes [...], at most the number of votes.
    """
    participants = wins.shape[-1]
    total = votes.sum(-1)
    p = wins.sum(-1) / total
    residuals = wins - votes * p[..., None]
    variance = participants / (participants - 1) * np.square(residuals).sum(-1) / total**2
    unanimous = p * (1 - p) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(unanimous, participants, p * (1 - p) / variance)
    return np.minimum(n, total)


def d_prime(
    hits: np.ndarray, signals: np.ndarray, false_alarms: np.ndarray, noises: np.ndarray
) -> dict[str, float | None]:
    """Estimates how well participants tell real from generated videos (signal detection theory).

    Rates are pooled over participants, with the log-linear correction (Hautus 1995: half a vote each
    way).

    Args:
      hits: "Real" votes on real videos, of each participant [N].
      signals: Votes on real videos [N].
      false_alarms: "Real" votes on generated videos [N].
      noises: Votes on generated videos [N].

    Returns:
      d. low, high: its 95 % interval, Student's t, from the rates' variance over participants, but at
      least that of independent votes (Gourevitch and Galanter 1967); None with one participant.
      criterion: above 0, participants say "real" seldom. All None without votes on either kind.
    """
    estimate: dict[str, float | None] = {"d": None, "low": None, "high": None, "criterion": None}
    if not signals.sum() or not noises.sum():
        return estimate
    d, criterion, error = d_prime_error(hits, signals, false_alarms, noises)
    estimate |= {"d": float(d), "criterion": float(criterion)}
    if len(hits) > 1:
        margin = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(hits) - 1) * error
        estimate |= {"low": float(d - margin), "high": float(d + margin)}
    return estimate


def d_prime_error(
    hits: np.ndarray, signals: np.ndarray, false_alarms: np.ndarray, noises: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes d', the criterion and the standard error of d'.

    Where participants happen to have the same rates, these have no variance over participants and are
    still uncertain: the variance is at least H (1 - H) / (n phi(z(H))^2), summed over both corrected
    rates H of n votes (Gourevitch and Galanter 1967). At a rate of 0 or 1 the correlation of a
    participant's votes cannot be estimated: then n is the number of participants.

    Args:
      hits: [..., N].
      signals: [..., N].
      false_alarms: [..., N].
      noises: [..., N].

    Returns:
      d', criterion and standard error, each [...].
    """
    normal = scipy.stats.norm
    participants = hits.shape[-1]
    z, influence, minimum = [], 0.0, 0.0
    for says_real, votes, sign in ((hits, signals, 1), (false_alarms, noises, -1)):
        total = votes.sum(-1, keepdims=True)
        rate = says_real.sum(-1, keepdims=True) / total
        corrected = (says_real.sum(-1, keepdims=True) + 0.5) / (total + 1)
        z_score = normal.ppf(corrected)
        influence = influence + sign * (says_real - votes * rate) / total / normal.pdf(z_score)
        n = np.where(rate * (1 - rate) == 0, (votes > 0).sum(-1, keepdims=True), total)
        minimum = minimum + (corrected * (1 - corrected) / n / normal.pdf(z_score) ** 2)[..., 0]
        z.append(z_score[..., 0])
    variance = participants / max(participants - 1, 1) * np.square(influence).sum(-1)
    return z[0] - z[1], -(z[0] + z[1]) / 2, np.sqrt(np.maximum(variance, minimum))


def agreement(counts: np.ndarray) -> dict[str, float | None]:
    """Computes how far participants agree on items; items with one vote are ignored.

    Args:
      counts: Votes of each answer on each item [items, answers]; items may differ in votes.

    Returns:
      pairs: share of pairs of participants of one item who gave the same answer. kappa: Fleiss' kappa,
      which corrects that for chance. None if there is nothing to compare.
    """
    counts = counts[counts.sum(-1) > 1]
    n = counts.sum(-1)
    if not len(counts):
        return {"pairs": None, "kappa": None}
    observed = float(np.mean((np.square(counts).sum(-1) - n) / (n * (n - 1))))
    expected = float(np.square(counts.sum(0) / n.sum()).sum())
    kappa = None if expected == 1 else (observed - expected) / (1 - expected)
    return {"pairs": observed, "kappa": kappa}


def votes_needed(p: float) -> int:
    """Computes how many independent votes detect a share in 80 of 100 studies.

    Args:
      p: The share, not 0.5.

    Returns:
      Number of votes that tell it from 0.5 at the 95 % level.
    """
    a, b = scipy.stats.norm.ppf((1 + CONFIDENCE) / 2), scipy.stats.norm.ppf(_POWER)
    return int(np.ceil(((a * 0.5 + b * np.sqrt(p * (1 - p))) / (p - 0.5)) ** 2))


def detectable_share(votes: float) -> float | None:
    """Finds the smallest share above 0.5 that is detected in 80 of 100 studies.

    Args:
      votes: Number of independent votes.

    Returns:
      The share; None: there is none.
    """
    shares = np.arange(0.501, 1.0, 0.001)
    detected = [p for p in shares if votes_needed(float(p)) <= votes]
    return float(detected[0]) if detected else None
