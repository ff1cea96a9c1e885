import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from s2f_jax.metrics import faces_in_videos
from s2f_jax.metrics.faces_in_videos import NO_MODEL, TOO_FEW, FaceTracker
from tests.stand_in_faces import SpotFinder

RED, GREEN = 0, 1  # Channels.
WIDTH = 12  # Of a spot, in pixels.


@pytest.fixture(autouse=True)
def spot_finder(monkeypatch, tmp_path):
    model = tmp_path / "model.task"
    model.write_bytes(b"any")
    monkeypatch.setattr(landmarks, "FaceFinder", SpotFinder)
    monkeypatch.setattr(landmarks, "model_path", lambda: model)
    monkeypatch.setattr(SpotFinder, "images", 0)


def video(frames, height=64, width=48):
    """A frame for each list of spots (channel, x, y, width)."""
    drawn = np.zeros((len(frames), height, width, 3), np.uint8)
    for image, spots in zip(drawn, frames, strict=True):
        for channel, x, y, size in spots:
            mask = np.zeros((height, width), np.uint8)
            cv2.circle(mask, (x, y), size // 2, 255, -1)
            image[..., channel] |= mask
    return drawn


def centres(found):
    """Of the eyes, [T, 2]."""
    return found.landmarks[:, 36:48].mean(axis=1)


def one(video, **options):
    return FaceTracker(workers=1, **options)([video], [False])[0]


def test_points_come_back_in_pixels_of_the_frame():
    path = [(10 + t, 30 - t) for t in range(6)]
    found = one(video([[(RED, x, y, WIDTH)] for x, y in path]))
    assert found.landmarks.shape == (6, 68, 2) and found.landmarks.dtype == np.float32
    np.testing.assert_allclose(centres(found), path, atol=0.1)  # Of pixels enlarged 6 times.
    assert np.ptp(found.landmarks[0, 36:48, 0]) == pytest.approx(WIDTH, abs=0.5)


def test_gaps_are_filled_in_time_and_counted():
    frames = [[(RED, 10 + t, 30, WIDTH)] for t in range(20)]
    gaps = [0, 7, 8, 19]
    for t in gaps:
        frames[t] = []
    found = one(video(frames))
    assert found.missing_frames == len(gaps)
    x = np.clip(10 + np.arange(20), 11, 28)  # At the ends the nearest there is.
    np.testing.assert_allclose(centres(found)[:, 0], x, atol=0.1)


def test_a_face_seen_too_seldom_is_none():
    frames = [[(RED, 20, 30, WIDTH)]] * 10
    assert one(video(frames[:8] + [[]] * 2)).missing_frames == 2
    assert one(video(frames[:7] + [[]] * 3)) == TOO_FEW
    assert one(video([[]] * 4)) == TOO_FEW


def test_the_largest_face_is_followed_where_it_shrinks_and_while_it_is_hidden():
    frames = [[(RED, 12, 30, 18 - t), (GREEN, 36, 30, WIDTH)] for t in range(10)]
    frames[5] = frames[5][1:]
    found = one(video(frames))
    assert found.missing_frames == 1
    np.testing.assert_allclose(centres(found)[:, 0], 12, atol=0.1)


def test_a_frame_that_repeats_the_one_before_is_searched_once():
    spots = [[(RED, x, 30, WIDTH)] for x in (10, 10, 10, 12, 10, 10)]
    found = one(video(spots))
    assert SpotFinder.images == 3
    np.testing.assert_allclose(centres(found)[:, 0], [10, 10, 10, 12, 10, 10], atol=0.1)


def test_long_videos_and_many_are_put_together_again():
    rng = np.random.default_rng(0)
    paths = [rng.integers(10, 14, n) for n in (230, 3, 101)]
    videos = [video([[(RED, x, 30, WIDTH)] for x in path], 64, 64) for path in paths]
    for found, path in zip(FaceTracker(1)(videos, [False] * 3), paths, strict=True):
        np.testing.assert_allclose(centres(found)[:, 0], path, atol=0.1)


def test_what_comes_again_is_not_searched_again(tmp_path):
    cache = tmp_path / "cache"
    real = video([[(RED, 10 + t, 30, WIDTH)] for t in range(4)])
    find = FaceTracker(1, cache)
    first, second = find([real, real.copy()], [True, True])
    assert SpotFinder.images == 4
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    find([real.copy()], [True])
    other_run = FaceTracker(1, cache)([real.copy()], [True])[0]
    assert SpotFinder.images == 4 and len(list(cache.iterdir())) == 1
    np.testing.assert_array_equal(first.landmarks, other_run.landmarks)
    FaceTracker(1, cache)([real[::-1]], [True])
    assert SpotFinder.images == 8 and len(list(cache.iterdir())) == 2


def test_what_does_not_cacheable_is_not_kept(tmp_path):
    generated = video([[(RED, 10, 30, WIDTH)]])
    FaceTracker(1, tmp_path / "cache")([generated], [False])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"text"])
def test_a_damaged_file_in_the_cache_is_made_again(tmp_path, capsys, content):
    real = video([[(RED, 10 + t, 30, WIDTH)] for t in range(4)])
    found = FaceTracker(1, tmp_path / "cache")([real], [True])[0]
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(content)
    again = FaceTracker(1, tmp_path / "cache")([real], [True])[0]
    np.testing.assert_array_equal(found.landmarks, again.landmarks)
    assert file.name in capsys.readouterr().out and file.read_bytes() == whole


def test_without_a_model_there_is_a_reason(monkeypatch):
    def refuse():
        raise UserError("The model is not here; fetch it.")

    monkeypatch.setattr(landmarks, "FaceFinder", lambda max_faces: refuse())
    find = FaceTracker(1)
    assert find.problem == "The model is not here; fetch it."
    assert find([video([[]])] * 2, [True, False]) == [NO_MODEL] * 2


def test_frames_are_enlarged_until_the_model_can_see():
    assert faces_in_videos.upscale_for_detector(np.zeros((64, 48, 3), np.uint8)).shape == (
        384,
        288,
        3,
    )
    assert faces_in_videos.upscale_for_detector(np.zeros((128, 96, 3), np.uint8)).shape == (
        384,
        288,
        3,
    )
    large = np.zeros((720, 576, 3), np.uint8)
    assert faces_in_videos.upscale_for_detector(large) is large


class SmallSpotFinder(SpotFinder):
    """Finds spots by a search alone, or where a face was before, as if they were small."""

    asked: list[str] = []

    def __call__(self, image):
        self.asked.append("look")
        return []

    def search(self, image):
        self.asked.append("search")
        return super().__call__(image)

    def follow(self, image, last):
        self.asked.append("follow")
        return super().__call__(image)


def test_small_faces_are_searched_for_now_and_then_and_followed_from_there(monkeypatch):
    """Of 300 frames, the second and the third task begin with searches of their own."""
    monkeypatch.setattr(landmarks, "FaceFinder", SmallSpotFinder)
    monkeypatch.setattr(SmallSpotFinder, "asked", [])
    drawn = video([[]] * 20 + [[(RED, 20, 30, WIDTH)]] * 280)
    drawn[:, 0, 0, 0] = np.arange(300) % 120  # No frame repeats another.
    assert one(drawn).missing_frames == 50  # The search at 0 found none, that at 50 did.
    asked = SmallSpotFinder.asked
    assert asked[:50] == ["search", *["look"] * 49]
    assert asked[50:100] == ["search", *["follow"] * 49]
    assert asked[100:] == ["search", *["follow"] * 99] * 2
