"""Shares, intervals, d', agreement and power against numbers by hand, of papers and of scipy."""

import numpy as np
import pytest
import scipy.stats

from s2f_jax.apps.study import estimates


def test_the_paper_s_own_share():
    """718 of 900: 79.78 % [77.0, 82.4]."""
    wins = np.array([24] * 28 + [23] * 2)
    found = estimates.estimate_share(wins, np.full(30, 30))
    assert (found["wins"], found["votes"], found["participants"]) == (718, 900, 30)
    assert f"{100 * found['share']:.2f}" == "79.78"
    assert [f"{100 * bound:.1f}" for bound in found["exact"]] == ["77.0", "82.4"]
    assert found["p"] == scipy.stats.binomtest(718, 900).pvalue


def test_the_exact_interval_by_hand():
    """All of n: the lower end is the n-th root of 0.025."""
    found = estimates.estimate_share(np.full(5, 2), np.full(5, 2))
    assert found["exact"] == pytest.approx([0.025 ** (1 / 10), 1])
    assert found["p"] == pytest.approx(2 / 2**10)


def test_voters_who_each_vote_alike_count_once():
    """Each of ten voted one way nine times: as many as ten votes, a little less for ten people."""
    wins, votes = np.array([9] * 6 + [0] * 4), np.full(10, 9)
    # By hand: residuals 9 * 0.4 and 9 * 0.6, variance 10/9 * (6 * 3.6^2 + 4 * 5.4^2) / 90^2.
    variance = 10 / 9 * (6 * 3.6**2 + 4 * 5.4**2) / 90**2
    assert estimates.effective_votes(wins, votes) == pytest.approx(0.24 / variance)
    assert 0.24 / variance == pytest.approx(9)
    low, high = estimates.clustered_interval(wins, votes)
    nine = scipy.stats.binomtest(6, 10).proportion_ci(method="exact")
    assert low < nine.low and nine.high < high


def test_one_vote_a_person_is_nearly_the_exact_interval():
    """Nothing is clustered: what is left is Student's t of 200 people, and 199 for 200."""
    wins = np.array([1] * 130 + [0] * 70)
    found = estimates.estimate_share(wins, np.ones(200, int))
    assert found["clustered"] == pytest.approx(found["exact"], abs=0.002)
    assert found["effect"] == pytest.approx(200 / 199)


def test_nobody_s_votes_tell_more_than_independent_ones():
    """All have exactly half: that cannot make a share surer than 900 single votes."""
    found = estimates.estimate_share(np.full(30, 15), np.full(30, 30))
    (low, high), exact = found["clustered"], found["exact"]
    assert found["effect"] == 1 and low <= exact[0] and exact[1] <= high


def test_unanimous_votes_count_once_a_person():
    found = estimates.estimate_share(np.full(10, 30), np.full(10, 30))
    assert found["share"] == 1 and found["effect"] == 30
    assert 0.5 < found["clustered"][0] < 0.025 ** (1 / 10) and found["clustered"][1] == 1
    none = estimates.estimate_share(np.zeros(10, int), np.full(10, 30))
    assert none["clustered"] == pytest.approx([0, 1 - found["clustered"][0]])


def test_more_of_the_same_people_s_votes_make_it_no_surer_than_they_are_alike():
    few, many = (
        estimates.estimate_share(n * np.array([1, 0, 1, 1]), n * np.ones(4, int)) for n in (1, 50)
    )
    assert many["clustered"] == pytest.approx(few["clustered"])
    assert many["exact"][1] - many["exact"][0] < few["exact"][1] - few["exact"][0]


def test_what_cannot_be_had_is_none():
    nothing = estimates.estimate_share(np.zeros(3, int), np.zeros(3, int))
    assert [nothing[k] for k in ("share", "exact", "p", "clustered", "effect")] == [None] * 5
    one = estimates.estimate_share(np.array([3, 0]), np.array([4, 0]))
    assert one["participants"] == 1 and one["exact"] is not None and one["clustered"] is None


def test_d_prime_by_hand():
    """Hits 84 of 99, false alarms 15 of 99: 84.5 and 15.5 of 100, z of 0.845 is 1.0152."""
    found = estimates.d_prime(*(np.array(n) for n in ([42, 42], [50, 49], [8, 7], [49, 50])))
    assert found["d"] == pytest.approx(2 * 1.0152, abs=1e-3)
    assert found["criterion"] == pytest.approx(0, abs=1e-12)


def test_d_prime_of_the_perfect_is_finite_and_of_guessing_zero():
    perfect = estimates.d_prime(*(np.array(n) for n in ([5, 5], [5, 5], [0, 0], [5, 5])))
    assert perfect["d"] == pytest.approx(2 * scipy.stats.norm.ppf(10.5 / 11))
    assert np.isfinite([perfect["low"], perfect["high"]]).all()
    guessed = estimates.d_prime(*(np.array(n) for n in ([3, 2], [5, 5], [2, 3], [5, 5])))
    assert guessed["d"] == pytest.approx(0) and guessed["low"] < 0 < guessed["high"]


def test_d_prime_of_people_with_the_same_rates_is_not_certain():
    """3 of 5 hits and 1 of 5 false alarms, three times: 9.5 and 3.5 of 16. By a table of the normal,
    z is 0.2372 and -0.7764, phi 0.3879 and 0.2951, t of two degrees of freedom 4.3027."""
    found = estimates.d_prime(*(np.full(3, n) for n in (3, 5, 1, 5)))
    variance = 9.5 * 6.5 / 16**2 / (15 * 0.3879**2) + 3.5 * 12.5 / 16**2 / (15 * 0.2951**2)
    assert found["d"] == pytest.approx(1.0136, abs=2e-4)
    assert found["high"] - found["d"] == pytest.approx(4.3027 * np.sqrt(variance), rel=1e-3)
    assert found["d"] - found["low"] == pytest.approx(2.098, abs=2e-3)


def test_d_prime_of_the_perfect_counts_people_and_not_votes():
    """Eight people with 40 of 40 and 0 of 40: 40.5 of 41, z 2.2509, phi 0.03168, n of 8."""
    *_, error = estimates.d_prime_error(*(np.full(8, n) for n in (5, 5, 0, 5)))
    assert error == pytest.approx(np.sqrt(2 * 40.5 * 0.5 / 41**2 / (8 * 0.03168**2)), rel=2e-3)


def test_who_says_real_seldom_has_a_criterion_above_zero():
    found = estimates.d_prime(*(np.array(n) for n in ([2, 1], [10, 10], [0, 1], [10, 10])))
    assert found["criterion"] > 1


def test_d_prime_s_error_is_the_binomial_one_where_people_are_alike():
    """Of 4,000 people with a video of each kind, by the delta method."""
    rng = np.random.default_rng(0)
    hits, alarms = rng.random(4000) < 0.7, rng.random(4000) < 0.4
    ones = np.ones(4000)
    _, _, error = estimates.d_prime_error(hits * ones, ones, alarms * ones, ones)
    normal = scipy.stats.norm
    parts = [p * (1 - p) / 4000 / normal.pdf(normal.ppf(p)) ** 2 for p in (0.7, 0.4)]
    assert error == pytest.approx(np.sqrt(sum(parts)), rel=0.03)


def test_d_prime_without_either_kind_is_none():
    zero, some = np.zeros(2), np.array([3.0, 4.0])
    assert estimates.d_prime(zero, zero, some, some)["d"] is None
    one = estimates.d_prime(*(np.array([n]) for n in (4, 5, 1, 5)))
    assert one["d"] is not None and one["low"] is None


def test_fleiss_kappa_of_a_published_table():
    """Ten items, 14 voters, five answers: 0.378 of pairs agree, kappa 0.210."""
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    found = estimates.agreement(counts)
    assert found["pairs"] == pytest.approx(0.378, abs=5e-4)
    assert found["kappa"] == pytest.approx(0.210, abs=5e-4)


def test_agreement_of_unequal_items_by_hand():
    """3 against 1: 3 of 6 pairs agree; 2 against 0: all; a single vote says nothing."""
    found = estimates.agreement(np.array([[3, 1], [2, 0], [1, 0]]))
    chance = (5 / 6) ** 2 + (1 / 6) ** 2
    assert found["pairs"] == 0.75
    assert found["kappa"] == pytest.approx((0.75 - chance) / (1 - chance))


def test_agreement_without_two_votes_or_two_answers():
    assert estimates.agreement(np.array([[1, 0], [0, 1]])) == {"pairs": None, "kappa": None}
    assert estimates.agreement(np.zeros((0, 2))) == {"pairs": None, "kappa": None}
    assert estimates.agreement(np.array([[3, 0], [2, 0]])) == {"pairs": 1, "kappa": None}


def test_783_votes_tell_55_from_50_per_cent():
    assert estimates.votes_needed(0.55) == 783
    assert estimates.detectable_share(783) == pytest.approx(0.55)
    assert estimates.detectable_share(782) == pytest.approx(0.551)
    assert estimates.detectable_share(2) is None


def test_so_many_votes_have_that_power():
    """Of simulated studies of 783 votes at 55 %, 80 in 100 find it, by the normal approximation."""
    wins = np.random.default_rng(0).binomial(783, 0.55, 4000)
    z = (wins / 783 - 0.5) / np.sqrt(0.25 / 783)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)
