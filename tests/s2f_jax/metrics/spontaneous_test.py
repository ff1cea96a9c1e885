"""Motion that does not follow from the sound, in videos whose deviations are known."""

import numpy as np
import pytest

from data_pipelines.faces import boxes
from s2f_jax.metrics import spontaneous
from s2f_jax.metrics.scoring import ClipPair


def _pair(video, aligned=True):
    return ClipPair("c", "s", "", video, video, 25, np.zeros(0, np.int16), 0, aligned)


def _still(frames=4, height=128, width=96):
    return np.full((frames, height, width, 3), 100, np.uint8)


def test_the_eyes_move_by_the_deviation_over_time():
    video = _still()
    rows, columns = boxes.eye_box(128, 96)
    video[::2, rows, columns] += 6  # 106, 100, 106, 100: the variance is 4 * 3^2 / 3.
    found = spontaneous.EyeMotionScorer().score(_pair(video)).values["eye_motion"]
    assert found == pytest.approx(12**0.5)
    video = _still()
    video[::2, rows.stop :] = 0  # What moves below the eyes does not count.
    assert spontaneous.EyeMotionScorer().score(_pair(video)).values["eye_motion"] == 0


def test_eyes_are_not_looked_for_in_faces_that_are_not_aligned():
    found = spontaneous.EyeMotionScorer().score(_pair(_still(), aligned=False)).values
    assert found == {"eye_motion": "not an aligned face"}


@pytest.mark.parametrize(("height", "width"), [(128, 96), (64, 48), (32, 24)])
def test_the_box_holds_both_eyes_and_not_the_nose(height, width):
    from data_pipelines.faces.alignment import canonical_points

    rows, columns = boxes.eye_box(height, width)
    nose, *eyes = canonical_points(height, width)
    for x, y in eyes:
        assert columns.start < x < columns.stop and rows.start < y < rows.stop
    assert nose[1] > rows.stop
    assert rows.stop <= boxes.mouth_box(height, width)[0].start


def test_the_spread_over_seeds_is_that_of_each_region():
    videos = [_still() for _ in range(3)]
    rows, columns = boxes.eye_box(128, 96)
    videos[1][:, rows, columns] += 3  # 0, 3, 0: the variance is (1 + 4 + 1) / 2.
    rows, columns = boxes.mouth_box(128, 96)
    videos[2][:2, rows, columns] += 3  # In half of the frames.
    found = spontaneous.seed_spread(videos).values
    assert found["seed_spread_eyes"] == pytest.approx(3**0.5)
    assert found["seed_spread_mouth"] == pytest.approx(3**0.5 / 2)


def test_a_model_without_noise_has_no_spread_however_it_moves():
    video = np.random.default_rng(0).integers(0, 256, (5, 64, 48, 3)).astype(np.uint8)
    assert set(spontaneous.seed_spread([video] * 4).values.values()) == {0}
