"""Animated images for a page: videos side by side, as an animated WebP."""

import io
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image

from data_pipelines.common import files
from s2f_jax.reports.figures import GAP, upscale

_QUALITY = 80  # Of 100.
_METHOD = 4  # Of 6: smaller files for more time.


def tile_videos(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Tiles videos into one, with white gaps; small ones are enlarged.

    Args:
      rows: Rows of videos uint8 [T_i, H, W, 3]; shorter rows are filled up with white.

    Returns:
      uint8 [T, H', W', 3], as long as the longest; of shorter ones the last frame is repeated.
    """
    frames = max(len(video) for row in rows for video in row)
    columns, white = max(map(len, rows)), np.full_like(rows[0][0][:1], 255)
    rows = [[*row, *[white] * (columns - len(row))] for row in rows]
    tiled = []
    for t in range(frames):
        tiles = [[upscale(video[min(t, len(video) - 1)]) for video in row] for row in rows]
        tiled.append(_join([_join(row, 1) for row in tiles], 0))
    return np.stack(tiled)


def _join(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Concatenates images with white gaps between them."""
    shape = list(images[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for image in images for part in (gap, image)]
    return np.concatenate(parts[1:], axis=axis)


def write_webp(path: epath.PathLike, frames: np.ndarray, fps: float, xmp: bytes) -> None:
    """Writes an animated WebP that loops forever.

    Args:
      path: Of the file.
      frames: uint8 [T, H, W, 3] RGB.
      fps: Frames per second; durations are rounded so that their sum is exact to a millisecond.
      xmp: XMP metadata.

    Raises:
      UserError: It cannot be written.
    """
    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)  # Milliseconds.
    first, *others = map(Image.fromarray, frames)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=np.diff(ends).tolist(),
        loop=0,
        quality=_QUALITY,
        method=_METHOD,
        xmp=xmp,
    )
    files.write_atomically(path, buffer.getvalue())
