"""How often the intervals of 2,000 simulated studies hold the truth, with voters who differ.

`pytest -s tests/s2f_jax/apps/study/coverage_test.py` prints a line for each design.
"""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from s2f_jax.apps.study import estimates

STUDIES = 2000
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # To average over normal voters.


def studies(people, pairs, logit, voters, of_pairs, seen=None):
    """Wins and votes [STUDIES, people], and the true share, of votes whose log odds are a sum of a
    voter's normal deviate and a pair's.

    voters, of_pairs: their standard deviations; pairs are the same in all studies. seen: of the
    pairs, so many at least are answered by each voter, in an order of their own.
    """
    rng = np.random.default_rng(people * pairs)
    of_pair = np.random.default_rng(7).normal(0, of_pairs, pairs)
    odds = logit + rng.normal(0, voters, (STUDIES, people, 1)) + of_pair
    won = rng.random(odds.shape) < scipy.special.expit(odds)
    count = np.full((STUDIES, people), pairs)
    if seen is not None:
        count = rng.integers(seen, pairs + 1, count.shape)
        ranks = np.argsort(rng.random(odds.shape), axis=-1)
        won &= ranks < count[..., None]
    at_nodes = scipy.special.expit(logit + voters * _NODES[:, None] + of_pair)
    truth = (_WEIGHTS[:, None] * at_nodes).sum() / _WEIGHTS.sum() / pairs
    return won.sum(-1), count, truth


def exact(wins, votes):
    """Clopper-Pearson over votes, of all studies at once."""
    k, n = wins.sum(-1), votes.sum(-1)
    return scipy.stats.beta.ppf(0.025, k, n - k + 1), scipy.stats.beta.ppf(0.975, k + 1, n - k)


def bootstrap(wins, votes, draws=400):
    """Percentiles of studies whose voters are drawn again."""
    people = wins.shape[-1]
    times = np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), draws)
    return np.percentile((wins @ times.T) / (votes @ times.T), [2.5, 97.5], axis=-1)


def student(wins, votes):
    """The share plus and minus its standard error over people, by Student's t."""
    people, share = wins.shape[-1], wins.sum(-1) / votes.sum(-1)
    residuals = wins - votes * share[:, None]
    variance = people / (people - 1) * np.square(residuals).sum(-1) / votes.sum(-1) ** 2
    reach = scipy.stats.t.ppf(0.975, people - 1) * np.sqrt(variance)
    return share - reach, share + reach


def covered(interval, truth):
    low, high = interval
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize(
    ("people", "pairs", "logit", "voters", "of_pairs", "seen"),
    [
        (30, 30, 1.5, 0.8, 0.5, None),  # The paper's survey.
        (30, 30, 0.0, 0.8, 0.5, None),  # The same, had neither been better.
        (30, 30, 1.5, 1.2, 0.5, None),  # Voters who differ much.
        (30, 30, 3.0, 1.0, 0.5, None),  # Nearly all for one.
        (30, 30, 1.5, 0.8, 0.5, 10),  # Some stop early.
        (316, 10, 0.55, 0.8, 0.5, None),  # The paper's Turing test.
        (60, 12, 0.2, 0.6, 0.5, None),
        (16, 20, 0.8, 1.0, 0.5, None),  # Few people.
    ],
)
def test_the_clustered_interval_covers_and_the_naive_one_does_not(
    people, pairs, logit, voters, of_pairs, seen
):
    wins, votes, truth = studies(people, pairs, logit, voters, of_pairs, seen)
    clustered = covered(estimates.clustered_interval(wins, votes), truth)
    naive = covered(exact(wins, votes), truth)
    others = [covered(of(wins, votes), truth) for of in (bootstrap, student)]
    print(
        f"\n{people} people, {pairs} pairs, true share {truth:.3f}: clustered {clustered:.3f},"
        f" exact over votes {naive:.3f}, cluster bootstrap {others[0]:.3f}, t {others[1]:.3f}"
    )
    assert 0.93 <= clustered <= 0.97
    assert naive < 0.9
    assert all(abs(clustered - 0.95) <= abs(other - 0.95) + 0.01 for other in others)


@pytest.mark.parametrize(("people", "pairs"), [(30, 30), (316, 10)])
def test_where_voters_are_alike_both_cover(people, pairs):
    wins, votes, truth = studies(people, pairs, 1.4, 0.0, 0.0)
    assert 0.93 <= covered(estimates.clustered_interval(wins, votes), truth) <= 0.97
    assert 0.93 <= covered(exact(wins, votes), truth) <= 0.97


@pytest.mark.parametrize(
    ("people", "each", "d", "criteria", "senses"),
    [
        (316, 5, 0.7, 0.4, 0.3),
        (30, 5, 0.7, 0.4, 0.3),
        (20, 6, 0.0, 0.4, 0.0),
        (8, 5, 0.7, 0.0, 0.0),  # Few people, who are alike.
        (3, 5, 0.7, 0.4, 0.3),
        (8, 5, 3.0, 0.2, 0.2),  # Many studies without a mistake.
    ],
)
def test_the_interval_of_d_prime_covers(people, each, d, criteria, senses):
    """People whose criteria and sensitivities differ: the rates, pooled, are those of one normal."""
    rng = np.random.default_rng(people)
    shape = (STUDIES, people, each)
    criterion = rng.normal(0, criteria, (STUDIES, people, 1))
    sense = d + rng.normal(0, senses, (STUDIES, people, 1))
    hits = (rng.normal(size=shape) + sense / 2 > criterion).sum(-1)
    alarms = (rng.normal(size=shape) - sense / 2 > criterion).sum(-1)
    seen = np.full(hits.shape, each)
    truth = d / np.sqrt(1 + criteria**2 + (senses / 2) ** 2)
    found, _, error = estimates.d_prime_error(hits, seen, alarms, seen)
    reach = scipy.stats.t.ppf(0.975, people - 1) * error
    rate = covered((found - reach, found + reach), truth)
    print(f"\n{people} people, {each} of each kind, true d' {truth:.2f}: covered {rate:.3f}")
    # Of few people the binomial least of the variance is often the larger: more, rather than less.
    assert 0.93 <= rate <= (0.97 if people >= 30 else 1)
