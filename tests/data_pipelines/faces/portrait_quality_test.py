"""Faces like training frames give no warning; each way of spoiling one gives its own."""

import os
import pathlib

import cv2
import numpy as np
import pytest

from data_pipelines.faces import alignment, portrait_quality
from data_pipelines.faces.landmarks import find_faces
from data_pipelines.media import decode
from tests.data_pipelines.demo.draw_test import picture, speaker
from tests.data_pipelines.faces import head_pose_test

H, W = 128, 96


@pytest.fixture(scope="module")
def drawn():
    image, landmarks = picture(speaker(0, glasses=0.0), H)
    return image.astype(np.uint8), landmarks


def resized(image, landmarks, factor):
    size = round(factor * image.shape[1]), round(factor * image.shape[0])
    exact = np.array(size) / (image.shape[1], image.shape[0])
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller, ((landmarks + 0.5) * exact - 0.5).astype(np.float32)


def eyes(landmarks):
    return [landmarks[first : first + 6] for first in (36, 42)]


def with_glasses(image, landmarks, passing, one=False):
    """Lenses that let a share of the light through, before both eyes or one."""
    lenses = np.ones(image.shape[:2], np.float32)
    for points in eyes(landmarks)[: 1 if one else 2]:
        middle = np.rint(points.mean(axis=0)).astype(int).tolist()
        cv2.ellipse(lenses, middle, (13, 10), 0, 0, 360, passing, -1)
    return (image * lenses[..., None]).astype(np.uint8)


def turned(landmarks, **angles):
    """The points that tell where a head looks, of one that is turned."""
    points = landmarks.copy()
    places = list(head_pose_test.head_pose._HEAD)
    points[places] = head_pose_test.seen(**angles)[0, places]
    return points


def warnings(image, landmarks):
    return portrait_quality.portrait_warnings(image, landmarks, H, W)


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_face_gives_no_warning(seed):
    image, landmarks = picture(speaker(seed), H)
    assert warnings(image.astype(np.uint8), landmarks) == []


def test_position_and_tilt_do_not_change_the_measures(drawn):
    image, landmarks = drawn
    canvas = cv2.copyMakeBorder(image, 40, 60, 80, 20, cv2.BORDER_REPLICATE)
    shifted = landmarks + (80, 40)
    rotation = cv2.getRotationMatrix2D((120, 110), -20, 1.0)  # Negative is clockwise.
    tilted = cv2.warpAffine(canvas, rotation, (196, 228), borderMode=cv2.BORDER_REPLICATE)
    points = alignment.transform_points(rotation, shifted).astype(np.float32)
    straight, found = (portrait_quality.measure(*each, H, W) for each in (drawn, (tilted, points)))
    assert found.tilt - straight.tilt == pytest.approx(20, abs=0.01)
    assert found.eyes == pytest.approx(straight.eyes, rel=1e-4)
    assert found.yaw == pytest.approx(straight.yaw, abs=0.1)
    assert found.light == pytest.approx(straight.light, rel=0.05)
    assert warnings(tilted, points) == []


def test_a_small_face_is_reported_with_the_size_it_needs(drawn):
    small = resized(*drawn, 0.5)
    measured = portrait_quality.measure(*small, H, W)
    assert measured.enlarged == pytest.approx(2, rel=0.02)
    assert measured.eyes == pytest.approx(24, abs=1)
    (said,) = warnings(*small)
    assert "small" in said and "enlarges it 2.0 times" in said and "eyes 33 pixels apart" in said
    assert warnings(*resized(*drawn, 0.75)) == []  # 33 / 49 of the crop is enough.


def test_a_small_face_is_enough_for_a_small_model(drawn):
    small = resized(*drawn, 0.5)
    assert portrait_quality.portrait_warnings(*small, 64, 48) == []


def test_another_transform_changes_the_measures_of_the_crop_alone(drawn):
    image, landmarks = drawn
    closer = 2 * alignment.face_transform(landmarks, H, W)
    closer[:, 2] -= (48, 64)
    usual = portrait_quality.measure(image, landmarks, H, W)
    found = portrait_quality.measure(image, landmarks, H, W, closer)
    assert found.enlarged == pytest.approx(2 * usual.enlarged)
    assert (found.yaw, found.eye_light) == (usual.yaw, usual.eye_light)  # Of the face itself.
    (said,) = portrait_quality.portrait_warnings(image, landmarks, H, W, closer)
    assert "small" in said


def test_a_blurred_face_is_reported(drawn):
    image, landmarks = drawn
    (said,) = warnings(cv2.GaussianBlur(image, (0, 0), 2.5), landmarks)
    assert "blurred" in said and "sharper" in said
    assert warnings(cv2.GaussianBlur(image, (0, 0), 0.5), landmarks) == []


@pytest.mark.parametrize(
    ("angles", "doubted"),
    [
        ({"yaw": 30}, True),
        ({"yaw": -30}, True),
        ({"pitch": 30}, True),
        ({"pitch": -30}, True),
        ({"yaw": 12}, False),
        ({"pitch": -12}, False),
    ],
)
def test_a_head_that_is_turned_away_is_reported(drawn, angles, doubted):
    said = [s for s in warnings(drawn[0], turned(drawn[1], **angles)) if "turned" in s]
    assert len(said) == doubted
    if doubted:
        ((name, value),) = angles.items()
        found = int(said[0].split(f"{name} ")[1].split()[0].rstrip(","))
        assert found == pytest.approx(value, abs=4)  # Aligned, its distance is another.


@pytest.mark.parametrize("passing", [0.0, 0.1, 0.3])
def test_sunglasses_are_reported_and_clear_glasses_are_not(drawn, passing):
    image, landmarks = drawn
    for one in (False, True):
        (said,) = warnings(with_glasses(image, landmarks, passing, one), landmarks)
        assert "eyes cannot be seen" in said and "sunglasses" in said
    assert warnings(with_glasses(image, landmarks, 0.9), landmarks) == []


def test_closed_eyes_are_reported():
    image, landmarks = picture(speaker(0, glasses=0.0), H, blink=1.0)
    said = warnings(image.astype(np.uint8), landmarks)
    assert [s for s in said if "closed" in s]


def test_a_dark_image_is_reported_and_not_taken_for_sunglasses(drawn):
    image, landmarks = drawn
    (said,) = warnings((image * 0.2).astype(np.uint8), landmarks)
    assert "dark" in said and "brighter" in said
    assert warnings((image * 0.6).astype(np.uint8), landmarks) == []


def test_dark_skin_is_not_a_dark_image():
    image, landmarks = picture(speaker(0, glasses=0.0, skin=(90.0, 60.0, 45.0)), H)
    assert warnings(image.astype(np.uint8), landmarks) == []


def test_a_face_at_the_border_is_reported(drawn):
    image, landmarks = drawn
    assert portrait_quality.measure(image, landmarks, H, W).outside < 0.05
    cut = portrait_quality.measure(image[:, 24:], landmarks - (24, 0), H, W)
    assert cut.outside == pytest.approx(0.25, abs=0.02)
    (said,) = warnings(image[:, 24:], landmarks - (24, 0))
    assert "25 % of the model's crop lie outside" in said and "room around" in said


def test_every_warning_is_one_sentence_with_a_cure(drawn):
    image, landmarks = resized(*drawn, 0.3)
    said = warnings((image * 0.2).astype(np.uint8)[:, 8:], turned(landmarks, yaw=40) * 0.3)
    assert len(said) >= 3
    assert all(": give" in s and "\n" not in s for s in said)


@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_image_has_finite_measures(drawn, level):
    measured = portrait_quality.measure(np.full((H, W, 3), level, np.uint8), drawn[1], H, W)
    assert np.isfinite([*vars(measured).values()]).all()


REAL = "S2F_FACE_LANDMARKER" in os.environ and "S2F_GRID" in os.environ


@pytest.mark.skipif(not REAL, reason="S2F_FACE_LANDMARKER and S2F_GRID say where the real ones are")
def test_no_speaker_of_grid_gives_a_warning():
    speakers = sorted(pathlib.Path(os.environ["S2F_GRID"]).glob("s*"))
    assert len(speakers) >= 10
    for folder in speakers:
        image = decode.decode_clip(sorted(folder.glob("*.mpg"))[0]).frames[0]
        landmarks = find_faces(image)[0]
        assert warnings(image, landmarks) == [], folder
        small, points = resized(image, landmarks, 0.25)
        assert warnings(small, points), folder
