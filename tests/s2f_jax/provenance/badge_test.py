import numpy as np
import pytest

from s2f_jax.provenance import badge

SIZES = [(128, 96), (64, 48), (288, 360), (1080, 1920), (2160, 3840)]


def marked(height, width, level):
    frames = np.full((2, height, width, 3), level, np.uint8)
    return badge.add_badge(frames), frames


@pytest.mark.parametrize("size", SIZES)
def test_the_badge_is_small_and_in_the_corner(size):
    with_badge, without = marked(*size, 255)
    rows, columns = np.nonzero((with_badge != without)[0].any(axis=-1))
    height, width = size[0] - rows.min(), size[1] - columns.min()
    assert rows.max() == size[0] - 1 and columns.max() == size[1] - 1
    assert 13 <= height <= max(13, 0.06 * min(size)) and width <= 0.4 * size[1]
    np.testing.assert_array_equal(with_badge[0], with_badge[1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_letters_are_light_on_a_darker_plate_on_any_background(size, level):
    with_badge, _ = marked(*size, level)
    shown, _ = marked(*size, 255)
    rows, columns = np.nonzero((shown[0] != 255).any(axis=-1))
    plate = with_badge[0, rows.min() :, columns.min() :].astype(float)
    assert np.percentile(plate, 99) > 230  # Strokes are a pixel wide or more.
    assert np.median(plate) < 110
    share = (plate[..., 0] > 170).mean()
    assert 0.1 < share < 0.4  # Neither a blank plate nor a blot.


def test_a_wide_frame_has_the_full_text_and_a_narrow_one_two_letters():
    wide, narrow = (marked(128, width, 255)[0][0] for width in (400, 96))
    widths = [np.ptp(np.nonzero((image != 255).any(axis=(0, 2)))) + 1 for image in (wide, narrow)]
    assert widths[0] > 4 * widths[1]


def test_the_given_frames_are_not_changed():
    frames = np.random.default_rng(0).integers(0, 256, (3, 128, 96, 3), np.uint8)
    original = frames.copy()
    with_badge = badge.add_badge(frames)
    np.testing.assert_array_equal(frames, original)
    np.testing.assert_array_equal(with_badge[:, :100], frames[:, :100])
    assert with_badge.dtype == np.uint8


@pytest.mark.parametrize("size", [(1, 1), (2, 8), (16, 12)])
def test_frames_too_small_for_text_get_a_badge(size):
    with_badge, without = marked(*size, 255)
    assert with_badge.shape == without.shape and (with_badge != without).any()
    assert badge.add_badge(without[:0]).shape == (0, *size, 3)
