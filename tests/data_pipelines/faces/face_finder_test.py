"""The real models on real faces: any size, any tilt, upright ones as before."""

import contextlib
import os
import pathlib

import cv2
import numpy as np
import pytest

from data_pipelines.faces import alignment, landmarks, regions, tracking
from data_pipelines.media import decode, images
from tests import composites

INPUTS = pathlib.Path(__file__).parents[4] / "shared" / "inputs"
REAL = "S2F_FACE_LANDMARKER" in os.environ and "S2F_GRID" in os.environ
pytestmark = pytest.mark.skipif(
    not REAL, reason="S2F_FACE_LANDMARKER and S2F_GRID say where the real ones are"
)


@pytest.fixture(scope="module")
def finder():
    with contextlib.closing(landmarks.FaceFinder(8)) as finder:
        yield finder


@pytest.fixture(scope="module")
def portraits(finder):
    """(frame, landmarks) of every speaker; GRID has one face in each frame."""
    frames = composites.grid_frames(os.environ["S2F_GRID"])
    assert len(frames) >= 10
    return [(frame, finder(frame)[0].landmarks) for frame in frames]


def turned(image, degrees, level=90):
    """Turned clockwise, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), -degrees, 1)
    cos, sin = np.abs(matrix[0, :2])
    size = round(height * sin + width * cos), round(height * cos + width * sin)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(image, matrix, size, borderValue=(level,) * 3), matrix


def error(found, expected):
    """Mean distance of the landmarks, of the distance between the eyes."""
    distances = np.linalg.norm(found - expected, axis=1)
    return distances.mean() / np.linalg.norm(expected[45] - expected[36])


def outcome(found, expected):
    """What became of the one face of a scene: "right", "none", "wrong way up" or "elsewhere"."""
    if not found:
        return "none"
    place, true = (regions.landmark_region(points) for points in (found[0].landmarks, expected))
    if regions.overlap(place, true) < 0.3:
        return "elsewhere"
    if abs(regions.wrap_degrees(place.tilt - true.tilt)) > 45:
        return "wrong way up"
    return "right" if error(found[0].landmarks, expected) < 0.25 else "rough"


def outcomes(finder, portraits, shares, tilts, seed):
    """The outcomes of composites, with what was composed."""
    rng, results = np.random.default_rng(seed), []
    for k, (share, tilt) in enumerate(zip(shares, tilts, strict=True)):
        scene = composites.compose(*portraits[k % len(portraits)], share, tilt, rng)
        found = outcome(finder.search(scene.image), scene.landmarks)
        results.append((found, share, tilt, scene.kind))
    return results


def test_upright_portraits_keep_the_landmarks_of_the_first_look(finder, portraits):
    for frame, points in portraits:
        (found,) = finder.search(frame)
        np.testing.assert_array_equal(found.landmarks, points)


@pytest.mark.parametrize("degrees", [60, 120, 180, 210, 270])
def test_a_portrait_at_any_tilt_is_found_as_it_is(finder, portraits, degrees):
    for frame, points in portraits[::4]:
        image, matrix = turned(frame, degrees)
        (found,) = finder.search(image)
        assert error(found.landmarks, alignment.transform_points(matrix, points)) < 0.06
        crop = alignment.align(image, alignment.face_transform(found.landmarks, 128, 96), 128, 96)
        upright = alignment.align(frame, alignment.face_transform(points, 128, 96), 128, 96)
        assert np.corrcoef(crop.ravel(), upright.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("change", ["blurred", "dark", "shades", "mask", "noisy"])
def test_bad_upright_portraits_are_neither_refused_nor_turned(finder, portraits, change):
    rng = np.random.default_rng(0)
    for frame, points in portraits[::3]:
        eyes = float(np.linalg.norm(points[45] - points[36]))
        image = frame.copy()
        if change == "blurred":
            image = cv2.GaussianBlur(frame, (0, 0), eyes / 12)
        elif change == "dark":
            image = (0.15 * frame).astype(np.uint8)
        elif change == "noisy":
            image = np.clip(frame + rng.normal(0, 25, frame.shape), 0, 255).astype(np.uint8)
        else:
            covered = points[36:48] if change == "shades" else points[list(range(3, 14)) + [30]]
            margin = 0.2 * eyes
            (x0, y0), (x1, y1) = covered.min(axis=0) - margin, covered.max(axis=0) + margin
            image[int(y0) : int(y1), int(x0) : int(x1)] = 20 if change == "shades" else 180
        first = finder(image)
        if first:
            np.testing.assert_array_equal(finder.search(image)[0].landmarks, first[0].landmarks)


def test_a_small_face_in_a_large_photograph(finder, portraits):
    """Eyes 250 pixels apart in 5000."""
    frame, points = portraits[0]
    share = 250 / np.linalg.norm(points[45] - points[36]) * np.ptp(points[:17, 0]) / 5000
    rng = np.random.default_rng(0)
    scene = composites.compose(frame, points, share, 0.0, rng, kind="gradient", side=5000)
    (found,) = finder.search(scene.image)
    assert error(found.landmarks, scene.landmarks) < 0.06


def test_a_row_of_four(finder, portraits):
    """Each a fourteenth of the width."""
    row = np.full((720, 1600, 3), 120, np.uint8)
    for k, (frame, points) in enumerate(portraits[:4]):
        scale = 112 / np.ptp(points[:17, 0])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = small.shape[0], min(400, small.shape[1])
        row[200 : 200 + height, 400 * k : 400 * k + width] = small[:, :width]
    assert len(finder.search(row)) == 4


@pytest.mark.skipif(not INPUTS.is_dir(), reason="needs shared/inputs beside the checkout")
def test_the_medium_shot_is_found_upright():
    points, count = landmarks.find_largest_face(
        images.read_image(str(INPUTS / "medium_shot_1280x720.jpg"))
    )
    assert count == 1 and abs(regions.landmark_tilt(points)) < 10
    assert np.linalg.norm(points[45] - points[36]) == pytest.approx(63, abs=2)


def test_what_has_no_face_has_none(finder, portraits):
    rng = np.random.default_rng(0)
    for kind in composites.BACKGROUNDS:
        assert finder.search(composites.background(kind, 300, 400, portraits[0][0], rng)) == []


def moving(frames, points, share, tilt, lost=()):
    """The frames as a medium shot that drifts, with the true landmarks."""
    ground = np.linspace(60, 160, 640).astype(np.uint8)[None, :, None]
    ground = np.broadcast_to(ground, (360, 640, 3))
    angle = np.radians(tilt)
    scale = share * 640 / np.ptp(points[0][:17, 0])
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shown, true = [], []
    for t, (frame, found) in enumerate(zip(frames, points, strict=True)):
        shift = (300 + 1.5 * t, 180 + 8 * np.sin(t / 4)) - matrix @ points[0].mean(axis=0)
        transform = np.column_stack([matrix, shift])
        small, used = composites.shrunk(frame, transform, scale)
        over = cv2.warpAffine(small, used, (640, 360))
        inside = cv2.warpAffine(np.full(small.shape[:2], 255, np.uint8), used, (640, 360))
        image = np.where(inside[..., None] > 127, over, ground)
        shown.append(ground.copy() if t in lost else image)
        true.append(alignment.transform_points(transform, found))
    return shown, true


@pytest.fixture(scope="module")
def clip(finder):
    frames = decode.decode_clip(next(pathlib.Path(os.environ["S2F_GRID"]).glob("s2/*.mpg"))).frames
    return frames[:40], [finder(frame)[0].landmarks for frame in frames[:40]]


@pytest.mark.parametrize(("share", "tilt"), [(0.06, 0), (0.11, 10), (0.07, 180), (0.3, 150)])
def test_a_medium_shot_is_tracked_with_one_search(finder, clip, share, tilt, monkeypatch):
    searches = []
    search = finder.search
    monkeypatch.setattr(finder, "search", lambda image: searches.append(0) or search(image))
    shown, true = moving(*clip, share, tilt, lost=(20, 21))
    tracked = list(tracking.track_face(shown, finder))
    assert [t for t, face in enumerate(tracked) if np.isnan(face.blink)] == [20, 21]
    assert max(error(face.landmarks, t) for face, t in zip(tracked, true, strict=True)) < 0.08
    assert len(searches) == 1


def test_a_clip_does_not_depend_on_the_one_before(finder, clip):
    shown, _ = moving(*clip, 0.06, 0)
    alone = [face.landmarks for face in tracking.track_face(shown, finder)]
    list(tracking.track_face(moving(*clip, 0.07, 170)[0], finder))
    again = [face.landmarks for face in tracking.track_face(shown, finder)]
    np.testing.assert_array_equal(alone, again)


@pytest.mark.slow
def test_composites_of_any_size(finder, portraits):
    """200 nearly upright and 200 at any tilt, 3 to 100 % of the longer side wide."""
    rng = np.random.default_rng(0)
    for name, most in (("nearly upright", 20), ("any tilt", 180)):
        shares = np.exp(rng.uniform(np.log(0.03), 0, 200))
        results = outcomes(finder, portraits, shares, rng.uniform(-most, most, 200), most)
        for low, high in ((0.03, 0.05), (0.05, 0.15), (0.15, 0.6), (0.6, 1)):
            band = [found for found, share, *_ in results if low <= share < high]
            counts = {found: band.count(found) for found in sorted(set(band))}
            print(f"{name}, {100 * low:.0f} to {100 * high:.0f} %: {counts}")
        large = [found for found, share, *_ in results if share > 0.05]
        assert np.mean([found == "right" for found in large]) >= 0.99
        assert "wrong way up" not in [found for found, *_ in results]


@pytest.mark.slow
def test_no_upright_portrait_of_grid_is_changed(finder):
    """Six frames of up to 40 clips of every speaker."""
    frames = composites.grid_frames(os.environ["S2F_GRID"], per_speaker=40, per_clip=6)
    for frame in frames:
        first, found = finder(frame), finder.search(frame)
        assert len(first) == len(found) >= 1
        for a, b in zip(first, found, strict=True):
            np.testing.assert_array_equal(a.landmarks, b.landmarks)
    print(f"{len(frames)} frames")
