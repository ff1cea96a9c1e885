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
    frames, columns = max(len(video) for row in rows for video in row), max(map(len, rows))
    tiled = []
    for row in rows:
        tiles = [_tile(video, frames) for video in row]
        tiles += [np.full_like(tiles[0], 255)] * (columns - len(row))
        tiled.append(np.concatenate(tiles, axis=2))
    return np.concatenate(tiled, axis=1)[:, :-GAP, :-GAP]


def _tile(video: np.ndarray, frames: int) -> np.ndarray:
    """Enlarges a video and extends it to so many frames, with a gap below and to the right."""
    large = np.stack([upscale(frame) for frame in video])
    large = np.pad(large, ((0, frames - len(large)), (0, 0), (0, 0), (0, 0)), mode="edge")
    return np.pad(large, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)


def write_webp(path: epath.PathLike, frames: np.ndarray, fps: float, xmp: bytes) -> None:
    """Writes an animated WebP that loops forever.

    Args:
      path: Path of the file.
      frames: uint8 [T, H, W, 3] RGB.
      fps: Frames per second; durations are rounded so that their sum is exact to a millisecond.
      xmp: XMP metadata.

    Raises:
      UserError: The file cannot be written.
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
