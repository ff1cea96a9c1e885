"""Contact sheets: some clips of a speaker in one picture."""

from collections.abc import Sequence

import numpy as np

from data_pipelines.media import images

ROWS, COLUMNS = 8, 8  # Rows and columns.


def contact_sheet(clips: Sequence[Sequence[bytes]]) -> np.ndarray:
    """The JPEGs of some clips -> a clip a row, from its first frame to its last, [H, W, 3]."""
    rows = []
    for jpegs in clips:
        chosen = evenly_spaced(jpegs, COLUMNS)
        chosen += chosen[-1:] * (COLUMNS - len(chosen))  # Of a very short clip.
        rows.append(np.hstack([images.decode_jpeg(jpeg) for jpeg in chosen]))
    return np.vstack(rows)


def evenly_spaced(items: Sequence, count: int) -> list:
    """At most `count` of them, from the first to the last."""
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]
