"""Outline, landmarks, arrow and crop are drawn at their positions."""

import numpy as np
import pytest

from data_pipelines.faces import alignment, overlay
from tests.data_pipelines.faces import head_pose_test

H, W = 128, 96
OUTLINE, POINT, NOSE = overlay._CROP_COLOR, overlay._POINT_COLOR, overlay._NOSE_COLOR


def face(shape, scale, shift, **turned):
    """A grey picture and landmarks in it that the crop of 128x96 fits `scale` times, at a shift."""
    landmarks = alignment.transform_points(
        np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), head_pose_test.seen(**turned)[0]
    )
    return np.full((*shape, 3), 128, np.uint8), landmarks.astype(np.float32)


def panels(drawn):
    """The three of them, by the white columns between."""
    white = np.flatnonzero((drawn == 255).all(axis=(0, 2)))
    first, second = white[: overlay._GAP], white[overlay._GAP :]
    assert len(second) == overlay._GAP
    return drawn[:, : first[0]], drawn[:, first[-1] + 1 : second[0]], drawn[:, second[-1] + 1 :]


def coloured(panel, colour):
    """Rows and columns of the pixels of a colour."""
    return np.nonzero((np.abs(panel.astype(int) - colour) < 40).all(axis=-1))


def test_the_outline_is_where_the_crop_is_taken_from():
    image, landmarks = face((512, 512), 2.0, (100, 150))
    whole, _, seen = panels(overlay.draw(image, [landmarks], H, W))
    assert whole.shape == (512, 512, 3) and seen.shape == (512, 384, 3)
    transform = alignment.face_transform(landmarks, H, W)
    corners = np.array([[0, 0], [W, 0], [W, H], [0, H]]) - 0.5
    back = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]
    outline = alignment.transform_points(back, corners)
    rows, columns = coloured(whole, OUTLINE)
    np.testing.assert_allclose((columns.min(), rows.min()), outline.min(axis=0), atol=3)
    np.testing.assert_allclose((columns.max(), rows.max()), outline.max(axis=0), atol=3)


def test_the_crop_is_shown_as_the_model_sees_it():
    image, landmarks = face((256, 256), 1.0, (80, 60))
    image[:] = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    seen = panels(overlay.draw(image, [landmarks], H, W))[2]
    crop = alignment.align(image, alignment.face_transform(landmarks, H, W), H, W)
    np.testing.assert_array_equal(seen[2::4, 2::4], crop)


def test_landmarks_are_dots_on_the_face():
    image, landmarks = face((512, 512), 2.0, (100, 150))
    whole, close, _ = panels(overlay.draw(image, [landmarks], H, W))
    assert len(coloured(whole, POINT)[0]) == 0 < len(coloured(close, POINT)[0])


@pytest.mark.parametrize(("turned", "axis", "sign"), [("yaw", 1, 1), ("pitch", 0, -1)])
def test_the_arrow_points_to_where_the_nose_does(turned, axis, sign):
    lengths = []
    for angle in (-25, 25):
        image, landmarks = face((512, 512), 2.0, (100, 150), **{turned: angle})
        close = panels(overlay.draw(image, [landmarks], H, W))[1]
        places = coloured(close, NOSE)[axis]
        lengths.append(places.mean())
    assert sign * (lengths[1] - lengths[0]) > 20


@pytest.mark.parametrize("shape", [(40, 2000), (2000, 40), (17, 13), (1, 1)])
def test_images_of_any_shape_can_be_drawn(shape):
    image, landmarks = face(shape, 0.1, (3, 3))
    drawn = overlay.draw(image, [landmarks, landmarks + 5], H, W)
    assert drawn.dtype == np.uint8 and drawn.shape[0] == 512 and drawn.shape[1] < 2600
