"""Where a face looks: a head that is turned by known angles, and seen by a camera, gives them back."""

import numpy as np
import pytest

from data_pipelines.faces import alignment, head_pose

H, W = 128, 96


def seen(yaw=0.0, pitch=0.0, roll=0.0, frames=1):
    """The head as a camera a metre away sees it, turned right, up and clockwise; [T, 68, 2]."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn_right = [[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]]
    turn_up = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    clockwise = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    turn = np.array(clockwise) @ turn_right @ turn_up
    places = list(head_pose._HEAD)
    points = np.array([head_pose._HEAD[place] for place in places], float) @ turn.T
    points[:, 2] += 1000
    landmarks = np.zeros((frames, 68, 2), np.float32)
    middle = (W - 1) / 2, (H - 1) / 2
    focal = head_pose.camera_focal(H, W)
    landmarks[:, places] = focal * points[:, :2] / points[:, 2:] + middle
    return landmarks


@pytest.mark.parametrize(
    "angles",
    [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 12), (15, -10, 0)],
)
def test_a_turned_head_is_seen_turned(angles):
    found = head_pose.angles(seen(*angles), H, W)[0]
    np.testing.assert_allclose(found, angles, atol=0.1)


def test_the_nose_points_to_where_a_face_looks():
    straight, right, up = seen()[0], seen(yaw=20)[0], seen(pitch=20)[0]
    tip, base = 30, 33
    assert right[tip, 0] - right[base, 0] > straight[tip, 0] - straight[base, 0] + 2
    assert up[base, 1] - up[tip, 1] > straight[base, 1] - straight[tip, 1] + 2


def test_noise_of_half_a_pixel_is_a_few_degrees():
    noisy = seen(yaw=10, frames=50) + np.random.default_rng(0).normal(0, 0.5, (50, 68, 2))
    found = head_pose.angles(noisy.astype(np.float32), H, W)
    assert np.abs(found.mean(axis=0) - (10, 0, 0)).max() < 2
    assert found.std(axis=0).max() < 5


def test_the_camera_sees_the_head_as_large_as_the_canonical_face():
    assert head_pose.camera_focal(H, W) == pytest.approx(1000 * 48.4 / 90, rel=0.01)


def test_the_residual_is_the_worst_of_the_stable_points():
    landmarks = np.zeros((4, 68, 2), np.float32)
    landmarks[:, list(alignment.STABLE)] = alignment.canonical_points(H, W)
    assert head_pose.residual(landmarks, H, W) == pytest.approx(0, abs=1e-5)
    landmarks[2, 39] += (3, 4)
    landmarks[1, 62] += 50  # The lips are free to move.
    assert head_pose.residual(landmarks, H, W) == pytest.approx(100 * 5 / 128, rel=1e-4)


def test_a_jump_is_of_most_points():
    landmarks = np.zeros((5, 68, 2), np.float32)
    landmarks[2:, 48:] += 20  # A mouth that opens at once is no jump,
    assert head_pose.jump(landmarks, H) == 0
    landmarks[3:] += (6, 8)  # A face that is elsewhere is one.
    assert head_pose.jump(landmarks, H) == pytest.approx(100 * 10 / 128)
    assert head_pose.jump(landmarks[:1], H) == 0
