"""Intervals by hand and against scipy; how often they hold the truth: coverage_test.py."""

import numpy as np
import pytest
import scipy.stats

from s2f_jax.reports.intervals import combination_interval, mean_interval, paired_interval

_T1 = 12.7062  # 97.5 % of Student's t with one degree of freedom, of any table.


def _drawn(seed=0, speakers=6):
    """Values [2, clips] and weights [clips] of unequally many clips a speaker, and their speakers."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"s{i}" for i in range(speakers)], rng.integers(1, 9, speakers))
    return rng.normal(0, 1, (2, len(names))), rng.uniform(1, 9, len(names)), names


def test_what_does_not_vary_has_no_width():
    found = mean_interval(np.full(6, 0.25), np.ones(6), list("aabbcc"))
    assert found == pytest.approx((0.25, 0.25), abs=1e-15)


def test_two_speakers_of_one_clip_each_by_hand():
    """0 and 1: mean 1/2, standard error sqrt(1/2 / 2) = 1/2."""
    found = mean_interval(np.array([0.0, 1.0]), np.ones(2), ["a", "b"])
    assert found == pytest.approx((0.5 - _T1 / 2, 0.5 + _T1 / 2), abs=1e-4)


def test_weights_count_by_hand():
    """0 of weight 3 and 1 of weight 1: mean 1/4, variance 1/2 times (3/4)^2 + (1/4)^2."""
    found = mean_interval(np.array([0.0, 1.0]), np.array([3.0, 1.0]), ["a", "b"])
    reach = _T1 * np.sqrt(0.5 * 0.625)
    assert found == pytest.approx((0.25 - reach, 0.25 + reach), abs=1e-4)


@pytest.mark.parametrize("speakers", [2, 3, 10])
def test_of_equally_many_clips_it_is_student_s_over_the_speakers_means(speakers):
    values = np.random.default_rng(speakers).normal(3, 1, (speakers, 4))
    names = np.repeat([f"s{i}" for i in range(speakers)], 4)
    student = scipy.stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    assert mean_interval(values.ravel(), np.ones(4 * speakers), names) == pytest.approx(student)


def test_unequal_speakers_by_hand():
    """a has 4 clips, of means 0 and 2, b one of 3: shares 4/5 and 1/5, mean 7/5.

    Within: of a, mean square 1 over 1 - 1/4, so w = 4/3. The means, 1 and 3, have the variance 2, and
    b is 2 - 4/3 (1/4 + 1) / 2 = 7/6, but at least 2/2 of that 2. So the variances are 2 + 1/3 = 7/3
    and 2 + 4/3 = 10/3; center (3/7 + 9/10) / (3/7 + 3/10) = 31/17; scale (14/17)^2 3/7 + (20/17)^2 3/10
    = 12/17; squared error 12/17 (16/25 7/3 + 1/25 10/3) = 1464/1275.
    """
    found = mean_interval(np.array([0.0, 2.0, 0.0, 2.0, 3.0]), np.ones(5), list("aaaab"))
    reach = _T1 * np.sqrt(1464 / 1275)
    assert found == pytest.approx((1.4 - reach, 1.4 + reach), abs=1e-3)


def test_it_is_around_the_weighted_mean():
    (values, _), weights, names = _drawn()
    assert np.mean(mean_interval(values, weights, names)) == pytest.approx(
        np.average(values, weights=weights)
    )


def test_neither_order_nor_the_unit_of_the_weights_counts():
    (values, _), weights, names = _drawn()
    order = np.random.default_rng(1).permutation(len(values))
    found = mean_interval(values[order], 7 * weights[order], names[order])
    assert found == pytest.approx(mean_interval(values, weights, names))


def test_one_speaker_has_no_interval():
    values, ones = np.arange(4.0), np.ones(4)
    assert mean_interval(values, ones, list("aaaa")) is None
    assert paired_interval(np.stack([values, ones]), np.stack([ones, ones]), list("aaaa")) is None


def test_a_constant_shift_has_an_interval_without_width():
    """Pairing takes out all that the clips have in common, however much they differ."""
    values = np.random.default_rng(0).normal(0, 10, 40)
    both = np.stack([values + 0.5, values])
    speakers = [f"s{i // 4}" for i in range(40)]
    low, high = paired_interval(both, np.ones((2, 40)), speakers)
    assert low == pytest.approx(0.5, abs=1e-12) and high == pytest.approx(0.5, abs=1e-12)
    weights = np.tile(np.arange(1.0, 41.0), (2, 1))
    low, high = paired_interval(both, weights, speakers)
    assert low == pytest.approx(0.5, abs=1e-12) and high == pytest.approx(0.5, abs=1e-12)


def test_a_row_against_itself_differs_by_exactly_nothing():
    (values, _), weights, names = _drawn()
    assert paired_interval(np.stack([values] * 2), np.stack([weights] * 2), names) == (0, 0)


def test_of_equal_weights_it_is_the_interval_of_the_differences():
    values, weights, names = _drawn()
    found = paired_interval(values, np.stack([weights] * 2), names)
    assert found == pytest.approx(mean_interval(values[0] - values[1], weights, names))


def test_a_combination_of_means_is_that_of_its_clips():
    values, weights, names = _drawn()
    found = combination_interval(values, np.stack([weights] * 2), np.array([0.5, 2.0]), names)
    assert found == pytest.approx(mean_interval(0.5 * values[0] + 2 * values[1], weights, names))


def test_the_distance_to_a_target():
    """0.9 is nearer to 1 than 1.3 is, by 0.2, though it is less by 0.4."""
    both = np.stack([np.full(8, 0.9), np.full(8, 1.3)])
    found = paired_interval(both, np.ones((2, 8)), list("abcdefgh"), target=1.0)
    assert found == pytest.approx((-0.2, -0.2))


@pytest.mark.parametrize("shift", [-3, 3])
def test_on_one_side_of_a_target_the_distances_differ_as_the_means_do(shift):
    values, weights, names = _drawn()
    weights = np.stack([weights] * 2)
    low, high = paired_interval(values, weights, names)
    found = paired_interval(values + shift, weights, names, target=0.0)
    assert found == pytest.approx((low, high) if shift > 0 else (-high, -low))


def test_pairing_finds_what_single_intervals_do_not():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 5, 60)
    both = np.stack([common + 1 + rng.normal(0, 0.5, 60), common])
    speakers = [f"s{i // 3}" for i in range(60)]
    low, high = paired_interval(both, np.ones((2, 60)), speakers)
    assert 0.5 < low < high < 1.5
    ours, others = (mean_interval(v, np.ones(60), speakers) for v in both)
    assert ours[0] < others[1]


def _constant(*means, clips=6):
    """Runs whose every clip has the run's mean."""
    return np.repeat(np.array(means, float)[:, None], clips, axis=1), np.ones((len(means), clips))


def test_of_seeds_alone_it_is_welch_s():
    """Where the clips do not differ, the interval is that of Welch's test of the seeds' means."""
    first, second = [0.0, 2.0, 1.5], [10.0, 14.0]
    values, weights = _constant(*first, *second)
    found = paired_interval(
        values, weights, list("abcdef"), sides=[0, 0, 0, 1, 1], trained=["m"] * 3 + ["b"] * 2
    )
    welch = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found == pytest.approx(welch)


def test_a_config_of_one_seed_is_given_the_others_spread_by_hand():
    """1 and 3 against 0: errors 2 / 2 and 2 / 1, degrees of freedom 3^2 / (1^2 / 1 + 2^2 / 1)."""
    values, weights = _constant(1, 3, 0)
    found = paired_interval(
        values, weights, list("abcdef"), sides=[0, 0, 1], trained=["m", "m", "b"]
    )
    reach = scipy.stats.t.ppf(0.975, 9 / 5) * np.sqrt(3)
    assert found == pytest.approx((2 - reach, 2 + reach))
    real = paired_interval(values, weights, list("abcdef"), sides=[0, 0, 1], trained=["m", "m", ""])
    reach = scipy.stats.t.ppf(0.975, 1)  # The real videos have no seed.
    assert real == pytest.approx((2 - reach, 2 + reach))


def test_errors_over_clips_and_over_seeds_add_up_by_hand():
    """Clips of 0 and 4 in both runs, which are 1 apart: errors 8 / 2 and 1/2 / 2."""
    values = np.array([[0.0, 4.0], [1.0, 5.0]])
    found = combination_interval(values, np.ones((2, 2)), np.full(2, 0.5), ["a", "b"], ["m", "m"])
    freedom = (4 + 1 / 4) ** 2 / (4**2 / 1 + (1 / 4) ** 2 / 1)
    reach = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(4 + 1 / 4)
    assert found == pytest.approx((2.5 - reach, 2.5 + reach))


def test_seeds_that_give_the_same_change_nothing():
    (ours, others), weights, names = _drawn()
    alone = paired_interval(np.stack([ours, others]), np.stack([weights] * 2), names)
    values = np.stack([ours, ours, others, others])
    found = paired_interval(
        values, np.stack([weights] * 4), names, sides=[0, 0, 1, 1], trained=list("mmbb")
    )
    assert found == pytest.approx(alone)


def test_the_distance_of_several_seeds_is_that_of_their_mean():
    """0.6 and 1.2 have the mean 0.9, which is 0.1 from 1; 1.3 is 0.3 from it."""
    values, weights = _constant(0.6, 1.2, 1.3)
    found = paired_interval(values, weights, list("abcdef"), 1.0, [0, 0, 1])
    assert found == pytest.approx((-0.2, -0.2))
