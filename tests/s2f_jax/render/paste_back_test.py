"""The animated face in its picture: where it belongs, without a seam, and nothing else changed."""

import cv2
import numpy as np
import pytest

from data_pipelines.faces import alignment
from s2f_jax.render.paste_back import Paster, face_mask

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 128, 96


def canonical_face():
    """The 68 points of an even face in the crop: the stable ones, a jaw, brows."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([48 + 39 * np.cos(angles), 48 + 62 * np.sin(angles)], axis=1)
    points[17:27, 0], points[17:27, 1] = np.linspace(18, 78, 10), 32
    points[27] = 48, 44
    points[list(alignment.STABLE)] = alignment.CANONICAL
    return points.astype(np.float32)


def placed(size, angle, scale, at):
    """-> a picture of soft colours, the landmarks of its face, the transform to the crop."""
    height, width = size
    coarse = RNG.integers(60, 200, (5, 6, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    back = cv2.getRotationMatrix2D((48, 64), angle, scale)
    back[:, 2] += np.array(at) - (48, 64)
    landmarks = alignment.transform_points(back, canonical_face()).astype(np.float32)
    return picture, landmarks, alignment.face_transform(landmarks, HEIGHT, WIDTH)


def pasted(picture, landmarks, transform, change=lambda still: still):
    still = alignment.align(picture, transform, HEIGHT, WIDTH)
    return Paster(picture, landmarks, transform, still)(change(still)).copy()


PLACES = [
    ((288, 360), 0, 1.0, (180, 144)),
    ((576, 720), 25, 2.5, (360, 280)),
    ((301, 401), -40, 0.5, (150, 150)),  # Smaller than the crop, and odd.
    ((300, 300), 10, 2.0, (20, 290)),  # Most of it beyond the picture's edge.
]


@pytest.mark.parametrize("place", PLACES)
def test_the_still_itself_leaves_the_picture_as_it_was(place):
    picture, landmarks, transform = placed(*place)
    same = pasted(picture, landmarks, transform)
    assert same.shape == picture.shape and same.dtype == np.uint8
    assert np.abs(same.astype(int) - picture).max() <= 6


@pytest.mark.parametrize("place", PLACES)
def test_what_lies_outside_the_crop_is_not_touched(place):
    picture, landmarks, transform = placed(*place)
    drawn = pasted(picture, landmarks, transform, lambda still: 255 - still)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    in_crop = alignment.transform_points(transform, np.stack([x, y], axis=-1).reshape(-1, 2))
    outside = ((in_crop < -1) | (in_crop > (WIDTH, HEIGHT))).any(axis=1).reshape(x.shape)
    np.testing.assert_array_equal(drawn[outside], picture[outside])
    assert (drawn[~outside] != picture[~outside]).any()


def test_the_mouth_comes_where_the_mouth_is():
    """A red spot at a place of the crop is seen at that place of the turned and enlarged face."""
    picture, landmarks, transform = placed(*PLACES[1])

    def spot(still):
        marked = still.copy()
        cv2.circle(marked, (49, 88), 4, (255, 0, 0), -1)
        return marked

    drawn = pasted(picture, landmarks, transform, spot).astype(int)
    red = np.argwhere((drawn - picture)[..., 0] - (drawn - picture)[..., 1] > 60)
    wanted = alignment.transform_points(
        cv2.invertAffineTransform(transform), np.array([49.0, 88.0])
    )
    assert red.mean(axis=0)[::-1] == pytest.approx(wanted, abs=1)


def test_there_is_no_step_at_the_crop_s_border():
    """However much darker the frame is drawn, neighbours there differ as they did."""
    picture, landmarks, transform = placed(*PLACES[1])
    drawn = pasted(picture, landmarks, transform, lambda still: still // 2)
    there = drawn.astype(int) - picture
    steps = [np.abs(np.diff(there, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) <= 20 and np.abs(there).max() > 0


def test_a_cast_of_colour_is_taken_off():
    picture, landmarks, transform = placed(*PLACES[0])
    cast = np.array([9, -7, 5])
    drawn = pasted(picture, landmarks, transform, lambda s: (s + cast).astype(np.uint8))
    assert np.abs(drawn.astype(int) - picture).max() <= 6


def test_the_mask_is_the_face_with_room_for_its_chin():
    points = canonical_face()
    share = face_mask(points, HEIGHT, WIDTH)
    assert share.dtype == np.float32 and share.shape == (HEIGHT, WIDTH)
    assert 0 <= share.min() and share.max() == 1
    edge = np.concatenate([share[0], share[-1], share[:, 0], share[:, -1]])
    assert edge.max() == 0
    x, chin = points[8].round().astype(int)
    assert share[chin : chin + 6, x].min() > 0.95  # An open mouth takes it there.
    assert share[[60, 90], [48, 48]].min() == 1
    assert np.abs(np.diff(share, axis=0)).max() < 0.3 > np.abs(np.diff(share, axis=1)).max()


def test_the_mask_scales_with_the_crop():
    small = face_mask((canonical_face() + 0.5) / 2 - 0.5, HEIGHT // 2, WIDTH // 2)
    large = face_mask(canonical_face(), HEIGHT, WIDTH)
    halved = cv2.resize(large, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(small - halved).mean() < 0.03
