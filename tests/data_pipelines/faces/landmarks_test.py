import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.faces import landmarks as landmarks_module
from tests.programs import ROOT


def turn(scale, degrees, shift):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def test_similarity_recovers_a_known_transform():
    points = np.random.default_rng(0).normal(size=(5, 2))
    known = turn(1.7, 30, (4, -2))
    found = alignment.fit_similarity(points, alignment.transform_points(known, points))
    np.testing.assert_allclose(found, known, atol=1e-12)


def test_similarity_never_mirrors():
    points = np.array([[0.0, 0], [2, 0], [0, 1]])
    found = alignment.fit_similarity(points, points * (-1, 1))
    assert np.linalg.det(found[:, :2]) > 0


def test_similarity_is_least_squares():
    rng = np.random.default_rng(1)
    points, target = rng.normal(size=(2, 5, 2))
    found = alignment.fit_similarity(points, target)
    error = np.sum((alignment.transform_points(found, points) - target) ** 2)
    for change in 1e-3 * rng.normal(size=(20, 4)):
        a, b, x, y = change
        other = found + np.array([[a, -b, x], [b, a, y]])  # Still a similarity.
        assert np.sum((alignment.transform_points(other, points) - target) ** 2) > error


def test_canonical_points_are_the_paper_code_s_and_scale_with_the_image():
    np.testing.assert_allclose(alignment.canonical_points(128, 96), alignment.CANONICAL)
    # The edge of the first pixel is at -0.5, at every size.
    np.testing.assert_allclose(
        alignment.canonical_points(64, 48) + 0.5, (alignment.CANONICAL + 0.5) / 2
    )


@pytest.mark.parametrize("scale", [2.5, 0.8, 0.31])
def test_align_puts_a_point_where_the_transform_says(scale):
    image = np.zeros((300, 300, 3), np.float32)
    y, x = np.mgrid[:300, :300]
    image[...] = (
        255 * np.exp(-((x - 140) ** 2 + (y - 120) ** 2) / (2 * (6 / scale) ** 2))[..., None]
    )
    transform = turn(scale, 10, (0, 0))
    transform[:, 2] = (40, 60) - transform[:, :2] @ (140, 120)
    drawn = alignment.align(np.rint(image).astype(np.uint8), transform, 128, 96)[..., 0].astype(
        float
    )
    y, x = np.mgrid[:128, :96]
    assert np.sum(x * drawn) / drawn.sum() == pytest.approx(40, abs=0.05)
    assert np.sum(y * drawn) / drawn.sum() == pytest.approx(60, abs=0.05)


def test_align_averages_detail_that_is_too_fine():
    checks = (255 * (np.indices((512, 384)).sum(0) % 2)).astype(np.uint8)
    drawn = alignment.align(np.dstack([checks] * 3), turn(0.23, 0, (0, 0)), 100, 80)
    assert np.abs(drawn[2:-2, 2:-2].astype(float) - 127.5).max() < 30  # Sampled, it has 0 and 255.


def test_mesh_table_has_a_point_for_each_landmark_and_mirrors():
    assert len(landmarks_module.MESH_68) == len(set(landmarks_module.MESH_68)) == 68
    assert [landmarks_module.MESH_68[i] for i in alignment.STABLE] == [2, 33, 133, 362, 263]


def test_eye_corners_move_inwards_and_the_nose_down():
    mesh = np.zeros((478, 2))
    for index, x in zip((33, 133, 362, 263), (0, 100, 200, 300), strict=True):
        mesh[index] = (x, 50)
    mesh[168], mesh[2] = (150, 0), (150, 100)
    points = landmarks_module.mesh_to_ibug(mesh)[list(alignment.STABLE)]
    np.testing.assert_allclose(points[1:, 0], [6, 94, 206, 294])
    np.testing.assert_allclose(points[0], [150, 105])


def test_no_face_is_a_user_error(monkeypatch):
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [])
    with pytest.raises(UserError, match="--aligned"):
        landmarks_module.find_largest_face(np.zeros((10, 10, 3), np.uint8))


def test_the_largest_face_becomes_the_portrait(monkeypatch):
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[list(alignment.STABLE)] = 2 * alignment.CANONICAL + 30
    monkeypatch.setattr(
        landmarks_module, "find_faces", lambda image: [landmarks, np.zeros((68, 2))]
    )
    image = np.zeros((400, 300, 3), np.uint8)
    nose = np.rint(landmarks[33]).astype(int)
    cv2.circle(image, nose.tolist(), 8, (255, 255, 255), -1)
    found, count = landmarks_module.find_largest_face(image)
    drawn = alignment.align(image, alignment.face_transform(found, 128, 96), 128, 96)
    assert drawn.shape == (128, 96, 3) and count == 2
    assert drawn[72, 49].min() > 250 and drawn[60, 49].max() < 5


def test_a_portrait_goes_to_another_face_where_one_is_given():
    """To one of half the size, 10 pixels further right: by its five stable points."""
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[list(alignment.STABLE)] = alignment.CANONICAL
    face = (alignment.CANONICAL / 2 + (10, 0)).tolist()
    transform = alignment.face_transform(landmarks, 128, 96, face)
    np.testing.assert_allclose(transform, [[0.5, 0, 10], [0, 0.5, 0]], atol=1e-4)
    image = np.zeros((128, 96, 3), np.uint8)
    cv2.circle(image, (40, 60), 8, (255, 255, 255), -1)
    drawn = alignment.align(image, transform, 128, 96)
    assert drawn[30, 30].min() > 250 and drawn[60, 40].max() < 5


@pytest.mark.skipif(not os.environ.get("S2F_FACE_LANDMARKER"), reason="needs the landmark model")
def test_the_model_finds_no_face_in_noise():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    assert landmarks_module.find_faces(noise) == []


def test_the_import_leaves_other_libraries_whole():
    """With the modules that MediaPipe imports and this project does not use."""
    code = """
import importlib
import data_pipelines.faces.landmarks
from mediapipe.tasks.python.audio.core import audio_record
from mediapipe.tasks.python.vision import drawing_utils
import matplotlib.pyplot
assert drawing_utils.plt is matplotlib.pyplot
assert callable(drawing_utils.plt.figure)
try:
    sounddevice = importlib.import_module("sounddevice")
except OSError:  # Without PortAudio.
    sounddevice = None
assert audio_record.sd is sounddevice
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_the_message_says_how_large_a_face_must_be(monkeypatch):
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [])
    with pytest.raises(UserError, match="1280x720 image: give .* 38 pixels wide or more, or --al"):
        landmarks_module.find_largest_face(np.zeros((720, 1280, 3), np.uint8))
