"""Videos side by side, as an animated WebP."""

import numpy as np
import pytest
from PIL import Image

from data_pipelines.common.errors import UserError
from s2f_jax.reports import moving
from s2f_jax.reports.figures import GAP
from tests import moving_pictures


def grey(frames, level, height=128, width=96):
    return np.full((frames, height, width, 3), level, np.uint8) + np.arange(
        frames, dtype=np.uint8
    ).reshape(-1, 1, 1, 1)


def test_rows_and_columns_with_white_between_them():
    frames = moving.tile_videos([[grey(3, 10), grey(5, 50)], [grey(2, 100), grey(5, 150)]])
    assert frames.shape == (5, 2 * 128 + GAP, 2 * 96 + GAP, 3)
    right, below = 96 + GAP, 128 + GAP
    assert frames[:, 0, 0, 0].tolist() == [10, 11, 12, 12, 12]  # The last one stands.
    assert frames[:, 0, right, 0].tolist() == [50, 51, 52, 53, 54]
    assert frames[:, below, 0, 0].tolist() == [100, 101, 101, 101, 101]
    assert frames[:, below, right, 0].tolist() == [150, 151, 152, 153, 154]
    assert (frames[:, 128:below] == 255).all() and (frames[:, :, 96:right] == 255).all()


def test_a_shorter_row_is_white_to_its_end():
    frames = moving.tile_videos([[grey(3, 10)], [grey(3, 50), grey(3, 100)]])
    assert frames.shape == (3, 2 * 128 + GAP, 2 * 96 + GAP, 3)
    assert (frames[:, :128, 96:] == 255).all() and (frames[:, 128 + GAP :, 96 + GAP :] < 110).all()


def test_small_videos_are_enlarged():
    assert moving.tile_videos([[grey(1, 0, 64, 48)]]).shape == (1, 128, 96, 3)


@pytest.mark.parametrize("fps", [25, 30, 29.97, 16000 / 533])
def test_a_moving_picture_lasts_as_long_as_its_video(tmp_path, fps):
    frames = np.random.default_rng(0).integers(0, 256, (50, 16, 12, 3), np.uint8)
    moving.write_webp(tmp_path / "a.webp", frames, fps, b"<said/>")
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.info["loop"] == 0 and picture.info["xmp"] == b"<said/>"
    _, lasting = moving_pictures.read(tmp_path / "a.webp")
    assert len(lasting) == 50 and lasting.sum() == round(50_000 / fps)
    assert np.ptp(lasting) <= 1


def test_the_colours_are_those_of_the_video(tmp_path):
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (3, 32, 24, 3))
    moving.write_webp(tmp_path / "a.webp", frames, 25, b"")
    shown, _ = moving_pictures.read(tmp_path / "a.webp")
    assert np.abs(shown - frames).max() <= 6


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match="Cannot write"):
        moving.write_webp(tmp_path / ("a" * 300), grey(2, 0), 25, b"")
