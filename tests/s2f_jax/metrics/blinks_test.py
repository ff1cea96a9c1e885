import numpy as np
import pytest

from data_pipelines.demo import curves, face, motion
from data_pipelines.faces.measures import eye_aspect_ratio
from s2f_jax.metrics import blinks

OPEN = 0.3


def closing(times, at, seconds, depth=OPEN, fast=0.35):
    """What a blink takes of the opening [T]: straight down for `fast` of it, and straight up."""
    phase = (times - at) / seconds
    return depth * np.clip(np.minimum(phase / fast, (1 - phase) / (1 - fast)), 0, 1)


def eye(ratio, width=10.0):
    """Six points with that aspect ratio."""
    half = ratio * width / 2
    x = width * np.array([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    return np.stack([x, half * np.array([0, -1, -1, 0, 1, 1])], axis=1)


def landmarks(ratios, tilt=0.0, brow=10.0):
    """[T, 68, 2]: eyes 30 pixels apart with these aspect ratios, brows so far above them."""
    points = np.zeros((len(ratios), 68, 2))
    for t, ratio in enumerate(ratios):
        points[t, 36:42], points[t, 42:48] = eye(ratio), eye(ratio) + (30, 0)
    points[:, 17:27, 0], points[:, 17:27, 1] = np.linspace(0, 40, 10), -brow
    c, s = np.cos(tilt), np.sin(tilt)
    return points @ np.array([[c, s], [-s, c]])


def test_eye_aspect_ratio_by_hand():
    points = landmarks([0.3, 0.0, 0.45])
    np.testing.assert_allclose(eye_aspect_ratio(points), [0.3, 0, 0.45], atol=1e-12)
    points[:, 42:48] = eye(0.1)  # The mean of both.
    np.testing.assert_allclose(eye_aspect_ratio(points)[0], 0.2)
    turned = landmarks([0.3], tilt=0.4) * 3 + 7
    np.testing.assert_allclose(eye_aspect_ratio(turned), 0.3)


def test_a_made_blink_has_its_frames():
    #                 0    1    2    3    4    5    6    7    8    9
    opening = np.array([0.3, 0.3, 0.3, 0.2, 0.0, 0.1, 0.2, 0.3, 0.3, 0.3])
    np.testing.assert_array_equal(blinks.find_blinks(opening, 25), [[2, 4, 7]])
    np.testing.assert_allclose(blinks.blink_durations(opening, np.array([[2, 4, 7]]), 25), [5 / 25])


def test_the_threshold_is_the_stated_one():
    fall = np.array([0.3, 0.3, 0.3 - 0.0725, 0.2275, 0.2275, 0.3, 0.3])
    assert len(blinks.find_blinks(fall, 25)) == 1
    assert len(blinks.find_blinks(fall + np.array([0, 0, 0.001, 0, 0, 0, 0]), 25)) == 0


def test_a_slow_closing_and_a_still_face_are_no_blinks():
    times = np.arange(75) / 25
    assert blinks.find_blinks(OPEN - closing(times, 0.5, 1.5), 25).shape == (0, 3)
    assert blinks.find_blinks(np.full(75, OPEN), 25).shape == (0, 3)
    assert blinks.find_blinks(np.full(1, OPEN), 25).shape == (0, 3)


@pytest.mark.parametrize("fps", [20, 24, 25, 29.97, 30, 50, 60])
def test_the_same_blinks_at_any_rate(fps):
    times = np.arange(round(4 * fps)) / fps
    starts, seconds = np.array([0.5, 1.3, 2.6]), 0.24
    opening = OPEN - sum(closing(times, at, seconds) for at in starts)
    found = blinks.find_blinks(opening, fps)
    np.testing.assert_allclose(found[:, 0] / fps, starts, atol=1 / fps)
    np.testing.assert_allclose(found[:, 1] / fps, starts + 0.35 * seconds, atol=1 / fps)
    lengths = blinks.blink_durations(opening, found, fps)
    np.testing.assert_allclose(lengths, seconds, atol=2 / fps)


def test_two_blinks_in_a_row_are_two_and_two_steps_down_are_one():
    two = np.array([0.3, 0.3, 0.1, 0.0, 0.2, 0.3, 0.2, 0.1, 0.0, 0.15, 0.3, 0.3])
    np.testing.assert_array_equal(blinks.find_blinks(two, 25)[:, [0, 2]], [[1, 5], [5, 10]])
    steps = np.array([0.4, 0.4, 0.3, 0.29, 0.28, 0.27, 0.1, 0.0, 0.2, 0.4, 0.4])
    np.testing.assert_array_equal(blinks.find_blinks(steps, 25), [[1, 7, 9]])


def test_a_blink_that_the_end_cuts_off_counts_and_has_no_length():
    opening = np.array([0.3, 0.3, 0.3, 0.3, 0.15, 0.0])
    found = blinks.find_blinks(opening, 25)
    np.testing.assert_array_equal(found, [[3, 5, 5]])
    assert len(blinks.blink_durations(opening, found, 25)) == 0


def test_noise_and_a_slow_drift_make_no_blink_longer():
    """A brow that rises after a blink opens the eye a little further, for a second."""
    rng, times = np.random.default_rng(0), np.arange(100) / 25
    drift = 0.05 * np.clip(times - 1, 0, 1)
    opening = OPEN + drift - closing(times, 0.8, 0.24) + rng.uniform(-0.003, 0.003, 100)
    ((start, _, end),) = blinks.find_blinks(opening, 25)
    assert (end - start) / 25 == pytest.approx(0.24, abs=0.06)


NONE = np.zeros((0, 3), int)


@pytest.mark.parametrize("ratio", [0.0, 0.4])
@pytest.mark.parametrize("tilt", [0.0, 0.3, -0.5])
def test_brow_height_by_hand_whatever_the_tilt_and_the_lids(ratio, tilt):
    np.testing.assert_allclose(blinks.brow_height(landmarks([ratio], tilt), NONE), 10 / 30)
    assert blinks.brow_height(landmarks([ratio], tilt, brow=4.0), NONE) < 10 / 30


def test_brows_that_go_down_in_a_blink_are_no_frown():
    points = np.concatenate([landmarks([0.3], brow=b) for b in (9, 9, 5, 3, 5, 12, 12, 6)])
    height = blinks.brow_height(points, np.array([[1, 3, 5]]))
    np.testing.assert_allclose(30 * height, [9, 9, 9.75, 10.5, 11.25, 12, 12, 6])
    height = blinks.brow_height(points, np.array([[1, 3, 5], [6, 7, 7]]))
    np.testing.assert_allclose(30 * height[5:], 12)


def test_blinks_of_drawn_faces_are_found_by_their_landmarks():
    """Those that close the eye at least by half, in 40 clips of 3 s: none missed, none invented."""
    true, hits, found_at_all = 0, 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        performance = motion.random_motion(rng, [], 75, 25, amplitude=1.0)
        drawn = curves.landmarks(face.random_face(rng), performance)
        found = blinks.find_blinks(eye_aspect_ratio(drawn), 25)
        blink = performance.blink
        edges = np.flatnonzero(np.diff(np.concatenate([[False], blink > 0, [False]])))
        spans = [(a, b) for a, b in edges.reshape(-1, 2) if blink[a:b].max() >= 0.5]
        true += len(spans)
        found_at_all += len(found)
        hits += sum(any(a <= deepest < b for deepest in found[:, 1]) for a, b in spans)
    assert true > 20 and hits >= 0.95 * true and hits >= 0.95 * found_at_all
