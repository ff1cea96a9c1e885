"""Moving pictures for a page: videos side by side, as an animated WebP."""

import io
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image

from data_pipelines.common import files
from s2f_jax.reports.figures import GAP, upscale

_QUALITY = 80  # Of 100.
_EFFORT = 4  # Of 6: smaller files for more time.


def tile_videos(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of videos uint8 [T_i, H, W, 3] -> one uint8 [T, H', W', 3], white where there is none.

    As long as the longest; of shorter ones the last frame stands. Small ones are enlarged.
    """
    longest = max(len(video) for row in rows for video in row)
    columns, white = max(map(len, rows)), np.full_like(rows[0][0][:1], 255)
    rows = [[*row, *[white] * (columns - len(row))] for row in rows]
    moments = []
    for t in range(longest):
        lines = [[upscale(video[min(t, len(video) - 1)]) for video in row] for row in rows]
        moments.append(_joined([_joined(line, 1) for line in lines], 0))
    return np.stack(moments)


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """With white gaps between them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=axis)


def write_webp(path: epath.PathLike, frames: np.ndarray, fps: float, xmp: bytes) -> None:
    """Frames uint8 [T, H, W, 3] RGB, over and over; xmp: what the file says of itself.

    Raises UserError where it cannot be written.
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
        method=_EFFORT,
        xmp=xmp,
    )
    files.write_atomically(path, buffer.getvalue())
