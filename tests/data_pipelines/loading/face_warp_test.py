"""Warps of a face: smooth, invertible, none at strength 0, and the eyes stay where they are aligned."""

import numpy as np
import pytest

from data_pipelines.faces import alignment
from data_pipelines.loading import face_warp

W, H = 96, 128


def face():
    """68 points of which the stable ones, eyes, mouth and chin lie where they do in aligned faces."""
    points = np.full((68, 2), (48.0, 70.0))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = (48, 47) + np.stack([40 * np.cos(angles), 62 * np.sin(angles)], -1)
    points[36:48] = np.linspace((24, 43), (72, 43), 12)
    points[list(alignment.STABLE)] = alignment.CANONICAL
    points[48:] = (48, 88) + np.stack([10 * np.cos(np.arange(20)), 4 * np.sin(np.arange(20))], -1)
    return points


def drawn(strength=1.0, count=40):
    return [
        face_warp.draw_warp(face(), (W, H), strength, np.random.default_rng(seed))
        for seed in range(count)
    ]


def plain(**changes):
    fields = {"aspect": 1.0, "lower_face": 1.0, "jaw": 1.0, "waves": np.zeros((2, 1, 4))}
    return face_warp.FaceWarp((W, H), (48.0, 43.0), **{**fields, **changes})


def test_no_strength_is_the_identity():
    (warp,) = drawn(0.0, 1)
    identity = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1)
    np.testing.assert_allclose(warp.maps(), identity, atol=1e-4)


def test_warped_undoes_source():
    points = np.random.default_rng(0).uniform((0, 0), (W, H), (50, 2))
    for warp in drawn():
        np.testing.assert_allclose(warp.source(warp.warped(points)), points, atol=0.01)


def test_nothing_folds():
    for warp in drawn():
        across, down = np.gradient(warp.maps(), axis=1), np.gradient(warp.maps(), axis=0)
        areas = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        assert 0.4 < areas.min() and areas.max() < 2


def test_aligned_points_move_little_and_the_mouth_moves_more():
    stable, mouth = face()[list(alignment.STABLE)], face()[48:].mean(axis=0)
    moved = [np.linalg.norm(warp.warped(stable) - stable, axis=-1).mean() / W for warp in drawn()]
    mouths = [np.linalg.norm(warp.warped(mouth) - mouth) / W for warp in drawn()]
    assert np.mean(moved) < 0.02 < np.mean(mouths) and max(mouths) < 0.12


def test_the_warped_face_is_aligned_again():
    stable = face()[list(alignment.STABLE)]
    for warp in drawn(count=10):
        again = alignment.fit_similarity(warp.warped(stable), stable)
        np.testing.assert_allclose(again, np.eye(2, 3), atol=1e-3)


def test_a_longer_lower_face_lowers_the_mouth_and_leaves_the_eyes():
    warp, eyes = plain(lower_face=1.1), np.array([[30.0, 43.0], [66.0, 43.0]])
    mouth = warp.warped(np.array([48.0, 88.0]))
    assert mouth[0] == pytest.approx(48) and 88 + 3 < mouth[1] < 88 + 4.5 + 1
    np.testing.assert_allclose(warp.warped(eyes), eyes, atol=0.7)


def test_a_wider_jaw_is_wide_at_the_chin_and_not_at_the_eyes():
    warp, width = plain(jaw=1.2), []
    for y in (43.0, 110.0):
        left, right = warp.warped(np.array([[38.0, y], [58.0, y]]))
        width.append((right - left)[0] / 20)
    assert width[0] == pytest.approx(1, abs=0.02) and width[1] == pytest.approx(1.2, abs=0.02)


def test_the_aspect_widens_everything():
    np.testing.assert_allclose(plain(aspect=1.1).warped(np.array([58.0, 90.0])), (59.0, 90.0))


def test_seeds_decide():
    a, b = (face_warp.draw_warp(face(), (W, H), 1.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.maps(), b.maps())
    assert np.abs(a.maps() - drawn(count=1)[0].maps()).max() > 0.5
