import numpy as np
import pytest

from s2f_jax.reports import intervals


def test_what_does_not_vary_has_no_width():
    values, ones = np.full(6, 0.25), np.ones(6)
    assert intervals.bootstrap_interval(values, ones, list("aabbcc")) == (0.25, 0.25)


def test_two_speakers_of_one_clip_each_by_hand():
    """Of 0 and 1, a resample is 0, 1/2 or 1, in shares of 1/4, 1/2, 1/4."""
    means = intervals.resampled_means(np.array([0.0, 1.0]), np.ones(2), ["a", "b"])
    assert set(means) == {0, 0.5, 1}
    assert np.mean(means == 0.5) == pytest.approx(0.5, abs=0.05)
    assert intervals.bootstrap_interval(np.array([0.0, 1.0]), np.ones(2), ["a", "b"]) == (0, 1)


def test_weights_count_by_hand():
    """0 of weight 3 and 1 of weight 1: 0, 1/4 or 1."""
    means = intervals.resampled_means(np.array([0.0, 1.0]), np.array([3.0, 1.0]), ["a", "b"])
    assert set(means) == {0, 0.25, 1}


def test_speakers_are_drawn_whole():
    """Clips that agree within each speaker: a resample's mean is one of its speakers' alone."""
    values = np.repeat([0.0, 1.0], 50)
    means = intervals.resampled_means(values, np.ones(100), ["a"] * 50 + ["b"] * 50)
    assert set(means) == {0, 0.5, 1}


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Clips of a speaker are alike: an interval over clips alone would cover far less often."""
    rng = np.random.default_rng(0)
    speakers = [f"s{i}" for i in range(25) for _ in range(4)]
    covered, narrow = 0, 0
    for seed in range(100):
        values = np.repeat(rng.normal(0, 1, 25), 4) + rng.normal(0, 0.3, 100)
        low, high = intervals.bootstrap_interval(values, np.ones(100), speakers, seed)
        covered += low <= 0 <= high
        low, high = intervals.bootstrap_interval(values, np.ones(100), ["s"] * 100, seed)
        narrow += low <= 0 <= high
    assert covered >= 88
    assert narrow <= 80


def test_the_interval_depends_on_the_seed_alone():
    values, ones, speakers = np.arange(6.0), np.ones(6), list("aabbcc")
    first = intervals.bootstrap_interval(values, ones, speakers, 1)
    assert first == intervals.bootstrap_interval(values, ones, speakers, 1)
    assert first != intervals.bootstrap_interval(values, ones, speakers, 2)


def test_a_constant_shift_has_an_interval_without_width():
    """Pairing takes out all that the clips have in common, however much they differ."""
    values = np.random.default_rng(0).normal(0, 10, 40)
    both = np.stack([values + 0.5, values])
    speakers = [f"s{i // 4}" for i in range(40)]
    low, high = intervals.paired_interval(both, np.ones((2, 40)), speakers)
    assert low == pytest.approx(0.5, abs=1e-12) and high == pytest.approx(0.5, abs=1e-12)
    weights = np.tile(np.arange(1.0, 41.0), (2, 1))
    low, high = intervals.paired_interval(both, weights, speakers)
    assert low == pytest.approx(0.5, abs=1e-12) and high == pytest.approx(0.5, abs=1e-12)


def test_a_row_against_itself_differs_by_exactly_nothing():
    values, weights = np.random.default_rng(0).uniform(0.1, 1, (2, 30))
    found = intervals.paired_interval(
        np.stack([values, values]), np.stack([weights, weights]), ["s"] * 15 + ["t"] * 15
    )
    assert found == (0, 0)


def test_the_distance_to_a_target():
    """0.9 is nearer to 1 than 1.3 is, by 0.2, though it is less by 0.4."""
    both = np.stack([np.full(8, 0.9), np.full(8, 1.3)])
    found = intervals.paired_interval(both, np.ones((2, 8)), list("abcdefgh"), target=1.0)
    assert found == pytest.approx((-0.2, -0.2))


def test_pairing_finds_what_single_intervals_do_not():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 5, 60)
    both = np.stack([common + 1 + rng.normal(0, 0.5, 60), common])
    speakers = [f"s{i // 3}" for i in range(60)]
    low, high = intervals.paired_interval(both, np.ones((2, 60)), speakers)
    assert 0.5 < low < high < 1.5
    ours, others = (intervals.bootstrap_interval(v, np.ones(60), speakers) for v in both)
    assert ours[0] < others[1]
