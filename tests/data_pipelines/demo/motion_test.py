"""Laws of the motion: what the sound tells, and what it does not."""

import numpy as np

from data_pipelines.contract import TimedText
from data_pipelines.demo import motion

FPS = 25


def path(*sounds, start=1.0, each=0.2, frames=75):
    spans = [
        TimedText(text, start + i * each, start + (i + 1) * each) for i, text in enumerate(sounds)
    ]
    return motion.mouth(spans, frames, FPS)


def at(time):
    return int(time * FPS)


def test_silence_closes_the_mouth():
    silent = path()
    for name in ("opening", "spread", "press", "bite"):
        assert np.abs(silent[name]).max() < 1e-6, name


def test_open_vowels_open_the_mouth_more_than_close_ones():
    opening = {vowel: path(vowel)["opening"].max() for vowel in ("ɑː", "ɛ", "uː")}
    assert opening["ɑː"] > 0.95 > opening["ɛ"] > opening["uː"] > 0.25


def test_lips_round_for_u_and_spread_for_i():
    assert path("uː")["spread"][at(1.1)] < -0.8
    assert path("iː")["spread"][at(1.1)] > 0.7


def test_lips_meet_for_b_and_touch_the_teeth_for_f():
    closed = path("ɑː", "b", "ɑː", each=0.08)
    assert closed["press"].max() == 1 and closed["opening"][at(1.08)] < 0.02
    assert path("ɑː", "f", "ɑː", each=0.1)["bite"].max() > 0.95


def test_a_vowel_shows_in_the_consonant_before_it():
    assert path("s", "uː")["spread"][at(1.15)] < path("s", "iː")["spread"][at(1.15)] - 0.3


def test_phones_a_quarter_second_later_do_not_move_the_mouth():
    one, other = path("ɛ", "ɑː"), path("ɛ", "uː")
    for name in one:
        np.testing.assert_allclose(one[name][: at(0.95)], other[name][: at(0.95)], atol=1e-6)


def test_the_same_sounds_give_the_same_mouth_whoever_moves_the_rest():
    phones = [TimedText("ɑː", 1.0, 1.5)]
    one, other = (
        motion.random_motion(np.random.default_rng(seed), phones, 75, FPS, 1.0) for seed in range(2)
    )
    np.testing.assert_array_equal(one.opening, other.opening)
    assert not np.array_equal(one.shift, other.shift)


def test_blinks_are_human_and_spare_the_first_frame():
    times = np.arange(75) / FPS
    closures = [motion.blinks(np.random.default_rng(seed), times) for seed in range(400)]
    closed = np.array(closures) > 0.5
    assert not np.any(np.array(closures)[:, 0])
    assert np.min(closures) >= 0 and np.max(closures) == 1
    blinks = np.sum(closed[:, 1:] & ~closed[:, :-1])
    assert 0.2 < blinks / (400 * 3) < 0.45  # Per second.
    assert 0.06 < closed.sum() / FPS / blinks < 0.25  # Seconds past half closed.


def test_the_head_stays_near_its_place():
    for seed in range(50):
        m = motion.random_motion(np.random.default_rng(seed), [], 75, FPS, 1.0)
        assert np.abs(m.shift).max() <= 1.4 and np.abs(m.angle).max() <= 1
        assert np.abs(np.diff(m.shift, axis=0)).max() < 0.3  # Slow.
