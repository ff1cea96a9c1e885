"""Contact sheets: some clips of a speaker in one picture."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from data_pipelines.media import images

ROWS, COLUMNS = 8, 8  # Clips, and frames of each.

Item = TypeVar("Item")


def contact_sheet(clips: Sequence[Sequence[bytes]]) -> np.ndarray:
    """Draws one row per clip, from its first frame to its last.

    Args:
      clips: The JPEG frames of each clip; all of one size [h, w].

    Returns:
      uint8 [len(clips) * h, COLUMNS * w, 3], RGB.
    """
    rows = []
    for jpegs in clips:
        frames = evenly_spaced(jpegs, COLUMNS)
        frames += frames[-1:] * (COLUMNS - len(frames))  # Of a very short clip.
        rows.append(np.hstack([images.decode_jpeg(jpeg) for jpeg in frames]))
    return np.vstack(rows)


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Picks items at even distances, the first and the last among them.

    Args:
      items: What to pick from.
      count: Largest number to pick.

    Returns:
      The picked items, in order.
    """
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]
